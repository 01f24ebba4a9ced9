//! LZF, the compression of strings in RDB files: runs of literal bytes and references to what came
//! up to 8 KiB before.
//!
//! A run is a byte below 32 and one more literal bytes than it says. A reference is three bits of
//! length (7: one more byte of length follows) and thirteen bits of distance; it stands for two
//! more bytes than its length says.
//!
//! Invariant: what [`Compressor`] gives, [`decompress`] and Redis read.

use super::Corrupt;

const LITERALS_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const MATCH_MIN: usize = 3;
const MATCH_MAX: usize = 7 + 255 + 2;
const HASH_BITS_MAX: u32 = 13;
const HASH_BITS_MIN: u32 = 6;

/// Room that is made for a compressed form before it is there.
const ROOM_BYTES_MAX: usize = 64 << 10;

/// How much longer than its compressed form a string can be: three bytes stand for 264.
pub const GROWTH_MAX: usize = 88;

/// The `len` bytes that `packed` stands for.
pub fn decompress(packed: &[u8], len: usize) -> Result<Vec<u8>, Corrupt> {
    let mut out = Vec::new();
    decompress_into(&mut out, packed, len)?;
    Ok(out)
}

/// Makes `out` the `len` bytes that `packed` stands for; no longer than they are, if it was empty.
pub fn decompress_into(out: &mut Vec<u8>, packed: &[u8], len: usize) -> Result<(), Corrupt> {
    const BAD: Corrupt = Corrupt("a compressed string that does not fit together");
    if len > packed.len().saturating_mul(GROWTH_MAX) {
        return Err(BAD);
    }
    out.clear();
    out.reserve_exact(len);
    let mut rest = packed;
    while let [control, after @ ..] = rest {
        rest = after;
        let control = usize::from(*control);
        if control < LITERALS_MAX {
            let (literals, after) = rest.split_at_checked(control + 1).ok_or(BAD)?;
            rest = after;
            out.extend_from_slice(literals);
        } else {
            let mut run = control >> 5;
            if run == 7 {
                let [more, after @ ..] = rest else { return Err(BAD) };
                rest = after;
                run += usize::from(*more);
            }
            let [low, after @ ..] = rest else { return Err(BAD) };
            rest = after;
            let distance = ((control & 0x1f) << 8 | usize::from(*low)) + 1;
            let start = out.len().checked_sub(distance).ok_or(BAD)?;
            copy_within(out, start, run + 2);
        }
        // Checked every time: no more than one run is ever in excess.
        if out.len() > len {
            return Err(BAD);
        }
    }
    if out.len() == len { Ok(()) } else { Err(BAD) }
}

/// Appends `run` bytes from `start` on; they may overlap with what is appended.
fn copy_within(out: &mut Vec<u8>, start: usize, run: usize) {
    let end = out.len() + run;
    while out.len() < end {
        // What is there repeats itself, twice as long every time.
        let len = (out.len() - start).min(end - out.len());
        out.extend_from_within(start..start + len);
    }
}

/// Compresses strings; keeps its table from one to the next.
#[derive(Debug)]
pub struct Compressor {
    /// Where each hash of three bytes was last seen, counted from `base`; up to `base`: in an
    /// earlier string.
    last_seen: Vec<u32>,
    base: u32,
}

/// A string that is being compressed, piece by piece.
#[derive(Debug)]
pub(super) struct Packing {
    /// The compressed form so far; `None` when it is not worth it.
    out: Option<Vec<u8>>,
    len_max: usize,
    at: usize,
    literals_from: usize,
}

impl Packing {
    /// Nothing of a string yet, whose compressed form may have so many bytes; `None`: such strings
    /// are not compressed.
    pub(super) fn of(input: &[u8], len_max: usize) -> Option<Self> {
        u32::try_from(input.len()).ok().filter(|&len| len < u32::MAX / 2)?;
        let out = Some(Vec::with_capacity(len_max.min(input.len()).min(ROOM_BYTES_MAX)));
        Some(Self { out, len_max, at: 0, literals_from: 0 })
    }

    /// The compressed form, at the end, if it was worth it.
    pub(super) fn packed(&self) -> Option<&[u8]> {
        self.out.as_deref()
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::with_hash_bits(HASH_BITS_MAX)
    }
}

impl Compressor {
    /// For one string of such a length: a short one needs no large table.
    pub fn sized_for(len: usize) -> Self {
        let hash_bits = (len | 1).ilog2() + 1;
        Self::with_hash_bits(hash_bits.clamp(HASH_BITS_MIN, HASH_BITS_MAX))
    }

    fn with_hash_bits(hash_bits: u32) -> Self {
        Self { last_seen: vec![0; 1 << hash_bits], base: 0 }
    }

    /// The compressed form, if it has at most `len_max` bytes.
    pub fn compress(&mut self, input: &[u8], len_max: usize) -> Option<Vec<u8>> {
        let mut packing = Packing::of(input, len_max)?;
        self.compress_some(&mut packing, input, usize::MAX);
        packing.out
    }

    /// Compresses about `count` more bytes of a string, none of another one before its end; true
    /// there, or when it is not worth it.
    pub(super) fn compress_some(
        &mut self,
        packing: &mut Packing,
        input: &[u8],
        count: usize,
    ) -> bool {
        let Some(mut out) = packing.out.take() else { return true };
        let len = input.len() as u32;
        if packing.at == 0 && self.base > u32::MAX - len - 1 {
            self.last_seen.fill(0);
            self.base = 0;
        }
        let Packing { len_max, mut at, mut literals_from, .. } = *packing;
        let until = at.saturating_add(count);
        while at + MATCH_MIN <= input.len() && out.len() <= len_max {
            if at >= until {
                // So that the end need not write everything at once.
                push_literals(&mut out, &input[literals_from..at]);
                *packing = Packing { out: Some(out), len_max, at, literals_from: at };
                return false;
            }
            let Some(start) = self.seen(input, at) else {
                at += 1;
                continue;
            };
            let run = match_len(input, start, at);
            push_literals(&mut out, &input[literals_from..at]);
            push_reference(&mut out, at - start, run);
            // The places that are skipped are seen from their end only: enough for runs.
            let end = at + run;
            if end + MATCH_MIN <= input.len() {
                self.seen(input, end - 1);
            }
            (at, literals_from) = (end, end);
        }
        self.base += len;
        let literals = &input[literals_from..];
        if out.len() + literals.len() <= len_max {
            push_literals(&mut out, literals);
            packing.out = Some(out).filter(|out| out.len() <= len_max);
        }
        true
    }

    /// Where the three bytes at `at` were last seen near enough; notes that they are here.
    fn seen(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let key = &input[at..at + MATCH_MIN];
        let number = u32::from(key[0]) | u32::from(key[1]) << 8 | u32::from(key[2]) << 16;
        let hash_bits = self.last_seen.len().ilog2();
        let hash = number.wrapping_mul(0x9e37_79b1) >> (32 - hash_bits);
        let place = &mut self.last_seen[hash as usize];
        let before = core::mem::replace(place, self.base + at as u32 + 1);
        let start = before.checked_sub(self.base + 1)? as usize;
        (at - start <= DISTANCE_MAX && input[start..start + MATCH_MIN] == *key).then_some(start)
    }
}

/// How many bytes from `start` on are the same as from `at` on.
fn match_len(input: &[u8], start: usize, at: usize) -> usize {
    let most = (input.len() - at).min(MATCH_MAX);
    let same = input[start..start + most].iter().zip(&input[at..]).take_while(|(a, b)| a == b);
    same.count()
}

fn push_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn push_reference(out: &mut Vec<u8>, distance: usize, run: usize) {
    let (distance, run) = (distance - 1, run - 2);
    let high = (distance >> 8) as u8;
    if run < 7 {
        out.push((run as u8) << 5 | high);
    } else {
        out.push(7 << 5 | high);
        out.push((run - 7) as u8);
    }
    out.push(distance as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    #[test]
    fn what_is_compressed_is_read_back() {
        let mut rng = Rng::new(Seed(7), "lzf");
        let mut compressor = Compressor::default();
        for round in 0..400_u64 {
            let len = rng.below(if round % 20 == 0 { 40_000 } else { 600 }) as usize;
            let bits = rng.below(9);
            let letters = 1 + rng.below(1 << bits);
            let mut input: Vec<u8> = (0..len).map(|_| rng.below(letters) as u8).collect();
            if round % 3 == 0 && len > 10 {
                let part = rng.below(len as u64) as usize;
                input.extend_from_within(part..);
                input.extend_from_within(..part);
            }
            let packed = Compressor::sized_for(input.len()).compress(&input, usize::MAX).unwrap();
            assert_eq!(decompress(&packed, input.len()).as_deref(), Ok(&input[..]));
            let packed = compressor.compress(&input, usize::MAX).unwrap();
            assert_eq!(decompress(&packed, input.len()).as_deref(), Ok(&input[..]));
            let limit = packed.len();
            assert_eq!(compressor.compress(&input, limit).map(|packed| packed.len()), Some(limit));
            if limit > 0 {
                assert_eq!(compressor.compress(&input, limit - 1), None);
                assert!(decompress(&packed, input.len() + 1).is_err());
                assert!(decompress(&packed[..limit - 1], input.len()).is_err());
            }
        }
    }

    #[test]
    fn repetition_becomes_very_short() {
        let packed = Compressor::default().compress(&[b'x'; 100_000], usize::MAX).unwrap();
        assert!(packed.len() <= 100_000 / GROWTH_MAX + 8, "{} bytes", packed.len());
    }

    #[test]
    fn the_table_is_cleared_before_its_numbers_run_out() {
        let mut compressor = Compressor { base: u32::MAX - 40, ..Compressor::default() };
        for _ in 0..3 {
            let packed = compressor.compress(&[7; 30], usize::MAX).unwrap();
            assert_eq!(decompress(&packed, 30).unwrap(), [7; 30]);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for packed in [&b"\x20"[..], b"\xe0\x01", b"\x20\x00", b"\x05abc", b"\x00a\x20\x01"] {
            for len in 0..300 {
                assert!(decompress(packed, len).is_err(), "{packed:?} {len}");
            }
        }
        assert!(decompress(b"\x00a", usize::MAX).is_err(), "no memory is taken for a claim");
        assert_eq!(decompress(b"", 0), Ok(Vec::new()));
    }
}
