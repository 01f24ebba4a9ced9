//! Registers as runs of equal ones, an opcode of one or two bytes for each.
//!
//! ```text
//! 00xxxxxx            x + 1 registers are 0
//! 01xxxxxx yyyyyyyy   xy + 1 registers are 0
//! 1vvvvvxx            x + 1 registers are v + 1
//! ```
//! Invariant: a change splits the run that it hits and merges what then is equal among the next few
//! opcodes, in the order in which Redis does it, so that the bytes are the same.

use core::fmt::Write as _;
use core::ops::Range;

use super::{Corrupted, HEADER_BYTES, REGISTERS};

/// The opcode of all registers when nothing was added.
pub(super) const ALL_ZERO: [u8; 2] = [0x7f, 0xff];

const LONG_ZERO: u8 = 0x40;
const VALUE: u8 = 0x80;
/// The longest run of zeros with one byte.
const ZERO_RUN_MAX: usize = 64;
/// The longest run of another value.
const VALUE_RUN_MAX: usize = 4;
/// The largest value that there is an opcode for.
const VALUE_MAX: u8 = 32;
/// After a change so many opcodes are looked at for neighbours that can be one.
const MERGE_STEPS: usize = 5;

/// A run of equal registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opcode {
    value: u8,
    run: usize,
    /// One or two.
    bytes: usize,
}

/// The opcode at the front of `packed`. A second byte that is missing counts as zero, as in Redis.
fn opcode(packed: &[u8]) -> Option<Opcode> {
    let (&first, rest) = packed.split_first()?;
    let low = usize::from(first & 0x3f);
    Some(if first & VALUE != 0 {
        Opcode { value: (first >> 2 & 0x1f) + 1, run: usize::from(first & 3) + 1, bytes: 1 }
    } else if first & LONG_ZERO != 0 {
        let second = rest.first().copied().unwrap_or_default();
        Opcode { value: 0, run: (low << 8 | usize::from(second)) + 1, bytes: 2 }
    } else {
        Opcode { value: 0, run: low + 1, bytes: 1 }
    })
}

fn value_opcode(value: u8, run: usize) -> u8 {
    VALUE | (value - 1) << 2 | (run - 1) as u8
}

/// Tells `visit` of every run: the registers and their value. Fails, maybe after some, if they are
/// not all there.
pub(super) fn for_each_run(
    packed: &[u8],
    mut visit: impl FnMut(Range<usize>, u8),
) -> Result<(), Corrupted> {
    let (mut rest, mut index) = (packed, 0);
    while let Some(opcode) = opcode(rest) {
        rest = rest.get(opcode.bytes..).ok_or(Corrupted)?;
        let end = index + opcode.run;
        if end > REGISTERS {
            return Err(Corrupted);
        }
        visit(index..end, opcode.value);
        index = end;
    }
    if index == REGISTERS { Ok(()) } else { Err(Corrupted) }
}

/// The opcodes as PFDEBUG DECODE shows them, whether they are well-formed or not.
pub(super) fn spell(packed: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = packed;
    while let Some(Opcode { value, run, bytes }) = opcode(rest) {
        let separator = if text.is_empty() { "" } else { " " };
        let written = match (value, bytes) {
            (0, 1) => write!(text, "{separator}z:{run}"),
            (0, _) => write!(text, "{separator}Z:{run}"),
            _ => write!(text, "{separator}v:{value},{run}"),
        };
        written.expect("a String takes everything");
        rest = rest.get(bytes..).unwrap_or_default();
    }
    text
}

/// What came of raising a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It was that high.
    No,
    /// It is now.
    Yes,
    /// It was not, and cannot be as long as the registers are sparse.
    DoesNotFit,
}

/// Raises a register of a whole string to `rank`, if that leaves it at most `bytes_max` long.
pub(super) fn raise(
    string: &mut Vec<u8>,
    index: usize,
    rank: u8,
    bytes_max: usize,
) -> Result<Raised, Corrupted> {
    if rank > VALUE_MAX {
        return Ok(Raised::DoesNotFit);
    }
    let (mut at, mut first, mut previous) = (HEADER_BYTES, 0, HEADER_BYTES);
    let hit = loop {
        let opcode = opcode(&string[at..]).ok_or(Corrupted)?;
        if index < first + opcode.run {
            break opcode;
        }
        previous = at;
        at += opcode.bytes;
        first += opcode.run;
        if at > string.len() {
            return Err(Corrupted);
        }
    };
    if hit.value >= rank {
        return Ok(Raised::No);
    }
    if at + hit.bytes > string.len() {
        return Err(Corrupted);
    }
    let (before, behind) = (index - first, first + hit.run - 1 - index);
    let split = Split::new(hit.value, before, rank, behind);
    let new = split.bytes();
    if new.len() > hit.bytes && string.len() + new.len() - hit.bytes > bytes_max {
        return Ok(Raised::DoesNotFit);
    }
    string.splice(at..at + hit.bytes, new.iter().copied());
    merge_from(string, previous);
    Ok(Raised::Yes)
}

/// The opcodes that take the place of one: up to two bytes, one, and two.
struct Split {
    bytes: [u8; 5],
    len: usize,
}

impl Split {
    fn new(old: u8, before: usize, rank: u8, behind: usize) -> Self {
        let mut split = Self { bytes: [0; 5], len: 0 };
        split.push(old, before);
        split.push(rank, 1);
        split.push(old, behind);
        split
    }

    fn push(&mut self, value: u8, run: usize) {
        if run == 0 {
            return;
        }
        if value == 0 && run > ZERO_RUN_MAX {
            self.push_byte(LONG_ZERO | ((run - 1) >> 8) as u8);
            self.push_byte((run - 1) as u8);
        } else if value == 0 {
            self.push_byte((run - 1) as u8);
        } else {
            self.push_byte(value_opcode(value, run));
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Makes one of neighbours with the same value, among a few opcodes from offset `at` on.
fn merge_from(string: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGE_STEPS {
        let Some(this) = opcode(string.get(at..).unwrap_or_default()) else { return };
        if this.value > 0
            && let Some(next) = opcode(&string[at + 1..])
            && next.value == this.value
            && this.run + next.run <= VALUE_RUN_MAX
        {
            string[at + 1] = value_opcode(this.value, this.run + next.run);
            string.remove(at);
            // The run may be joined by the next one, too.
            continue;
        }
        at += this.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(changes: &[(usize, u8)]) -> String {
        let mut string = vec![0; HEADER_BYTES];
        string.extend_from_slice(&ALL_ZERO);
        for &(index, rank) in changes {
            assert_eq!(raise(&mut string, index, rank, usize::MAX), Ok(Raised::Yes));
        }
        spell(&string[HEADER_BYTES..])
    }

    #[test]
    fn runs_are_split_and_merged() {
        assert_eq!(spelled(&[(0, 1)]), "v:1,1 Z:16383");
        assert_eq!(spelled(&[(64, 1)]), "z:64 v:1,1 Z:16319");
        assert_eq!(spelled(&[(65, 32)]), "Z:65 v:32,1 Z:16318");
        assert_eq!(spelled(&[(16_383, 2)]), "Z:16383 v:2,1");
        assert_eq!(spelled(&[(5, 1), (6, 1), (7, 1), (8, 1)]), "z:5 v:1,4 Z:16375");
        assert_eq!(spelled(&[(5, 1), (6, 1), (7, 1), (8, 1), (9, 1)]), "z:5 v:1,4 v:1,1 Z:16374");
        assert_eq!(spelled(&[(5, 1), (7, 1), (6, 1)]), "z:5 v:1,3 Z:16376");
        assert_eq!(spelled(&[(5, 1), (6, 1), (7, 1), (6, 4)]), "z:5 v:1,1 v:4,1 v:1,1 Z:16376");
    }

    #[test]
    fn a_change_that_does_not_fit_changes_nothing() {
        let mut string = vec![0; HEADER_BYTES];
        string.extend_from_slice(&ALL_ZERO);
        let before = string.clone();
        assert_eq!(raise(&mut string, 7, 33, usize::MAX), Ok(Raised::DoesNotFit));
        assert_eq!(raise(&mut string, 7, 1, HEADER_BYTES + 3), Ok(Raised::DoesNotFit));
        assert_eq!(string, before);
        assert_eq!(raise(&mut string, 7, 1, HEADER_BYTES + 4), Ok(Raised::Yes));
        assert_eq!(raise(&mut string, 7, 1, 0), Ok(Raised::No));
        assert_eq!(raise(&mut string, 7, 2, 0), Ok(Raised::Yes));
    }

    #[test]
    fn registers_must_all_be_there() {
        for (packed, is_whole) in [
            (&[0x7f, 0xff][..], true),
            (&[0x7f, 0xfe, 0x00][..], true),
            (&[0x7f, 0xfe, 0x80][..], true),
            (&[0x7f, 0xfe][..], false),
            (&[0x7f][..], false),
            (&[0x7f, 0xff, 0x00][..], false),
            (&[][..], false),
        ] {
            assert_eq!(for_each_run(packed, |_, _| {}).is_ok(), is_whole, "{packed:?}");
        }
    }
}
