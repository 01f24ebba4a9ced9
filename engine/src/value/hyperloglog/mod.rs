//! HyperLogLog: strings that estimate how many different elements were added to them.
//!
//! ```text
//! 0      "HYLL"
//! 4      0 dense, 1 sparse
//! 5..8   unused
//! 8..16  the last estimate, little endian; its top bit set: it is out of date
//! 16..   2^14 registers
//! ```
//! The bytes are those of Redis, so that a string can be copied between the two with GET and SET.
//! Registers are dense (six bits each) or sparse (runs); sparse ones become dense when they are too
//! long or too large, and stay so.
//!
//! Invariant: whatever the bytes are, nothing here panics: clients can write anything into a
//! string.

mod dense;
mod estimate;
mod hash;
mod self_test;
mod sparse;

pub use self_test::self_test;

/// Bits of an element's hash that choose its register.
const INDEX_BITS: u32 = 14;
/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// The largest value that an element gives a register.
const RANK_MAX: u32 = u64::BITS - INDEX_BITS + 1;
/// Bytes before the registers.
const HEADER_BYTES: usize = 16;
/// The length of a dense string.
const DENSE_BYTES: usize = HEADER_BYTES + dense::BYTES;
const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const COUNT_AT: usize = 8;
/// In the last byte of the estimate: it is out of date.
const OUT_OF_DATE: u8 = 0x80;

/// How often each value is among the registers.
type Histogram = [u32; 64];

/// How the registers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// As runs of equal ones.
    Sparse,
}

impl Encoding {
    /// The name in PFDEBUG ENCODING.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// The registers of a string are not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// What the header says; `None` if the string is no HyperLogLog. The registers of a sparse one may
/// still be corrupted.
pub fn encoding(string: &[u8]) -> Option<Encoding> {
    if string.len() < HEADER_BYTES || !string.starts_with(MAGIC) {
        return None;
    }
    match string[ENCODING_AT] {
        0 if string.len() == DENSE_BYTES => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// A string to which nothing was added.
pub fn empty() -> Vec<u8> {
    let mut string = vec![0; HEADER_BYTES];
    string[..MAGIC.len()].copy_from_slice(MAGIC);
    string[ENCODING_AT] = 1;
    string.extend_from_slice(&sparse::ALL_ZERO);
    string
}

/// Adds an element; says whether a register has changed. Sparse registers that would take more than
/// `sparse_bytes_max`, the header included, become dense.
pub fn add(
    string: &mut Vec<u8>,
    element: &[u8],
    sparse_bytes_max: usize,
) -> Result<bool, Corrupted> {
    let (index, rank) = hash::register_of(element);
    raise(string, index, rank, sparse_bytes_max)
}

/// Raises a register to `rank` if it is lower.
fn raise(
    string: &mut Vec<u8>,
    index: usize,
    rank: u8,
    sparse_bytes_max: usize,
) -> Result<bool, Corrupted> {
    let changed = match encoding(string).ok_or(Corrupted)? {
        Encoding::Dense => dense::raise(&mut string[HEADER_BYTES..], index, rank),
        Encoding::Sparse => match sparse::raise(string, index, rank, sparse_bytes_max)? {
            sparse::Raised::No => false,
            sparse::Raised::Yes => true,
            sparse::Raised::DoesNotFit => {
                to_dense(string)?;
                dense::raise(&mut string[HEADER_BYTES..], index, rank)
            }
        },
    };
    if changed {
        forget_count(string);
    }
    Ok(changed)
}

/// Makes sparse registers dense; says whether they were sparse.
pub fn to_dense(string: &mut Vec<u8>) -> Result<bool, Corrupted> {
    if encoding(string).ok_or(Corrupted)? == Encoding::Dense {
        return Ok(false);
    }
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER_BYTES].copy_from_slice(&string[..HEADER_BYTES]);
    dense[ENCODING_AT] = 0;
    sparse::for_each_run(&string[HEADER_BYTES..], |registers, value| {
        if value > 0 {
            registers.for_each(|index| dense::set(&mut dense[HEADER_BYTES..], index, value));
        }
    })?;
    *string = dense;
    Ok(true)
}

/// The estimate that was kept, if it is up to date.
///
/// # Panics
/// If the string is no HyperLogLog.
pub fn kept_count(string: &[u8]) -> Option<u64> {
    let bytes: [u8; 8] = string[COUNT_AT..HEADER_BYTES].try_into().expect("eight bytes");
    (bytes[7] & OUT_OF_DATE == 0).then(|| u64::from_le_bytes(bytes))
}

/// Keeps an estimate.
///
/// # Panics
/// If the string is no HyperLogLog.
pub fn keep_count(string: &mut [u8], count: u64) {
    string[COUNT_AT..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Says that the kept estimate is out of date.
///
/// # Panics
/// If the string is no HyperLogLog.
pub fn forget_count(string: &mut [u8]) {
    string[HEADER_BYTES - 1] |= OUT_OF_DATE;
}

/// Estimates how many different elements were added.
pub fn count(string: &[u8]) -> Result<u64, Corrupted> {
    let registers = string.get(HEADER_BYTES..).ok_or(Corrupted)?;
    let histogram = match encoding(string).ok_or(Corrupted)? {
        Encoding::Dense => dense::histogram(registers),
        Encoding::Sparse => {
            let mut histogram = [0; 64];
            sparse::for_each_run(registers, |run, value| {
                histogram[usize::from(value)] += run.len() as u32;
            })?;
            histogram
        }
    };
    Ok(estimate::estimate(&histogram))
}

/// The registers' values.
pub fn registers(string: &[u8]) -> Result<Vec<u8>, Corrupted> {
    let mut union = Union::default();
    union.add(string)?;
    Ok(union.registers)
}

/// Sparse registers spelled as PFDEBUG DECODE does: `z` and `Z` for runs of zeros, `v` for a value
/// and how often it is there.
pub fn spell(string: &[u8]) -> String {
    sparse::spell(string.get(HEADER_BYTES..).unwrap_or_default())
}

/// What some HyperLogLogs have together: the largest value of each register.
#[derive(Clone, Debug)]
pub struct Union {
    registers: Vec<u8>,
    any_dense: bool,
}

impl Default for Union {
    fn default() -> Self {
        Self { registers: vec![0; REGISTERS], any_dense: false }
    }
}

impl Union {
    /// Adds what was added to a string.
    pub fn add(&mut self, string: &[u8]) -> Result<(), Corrupted> {
        let packed = string.get(HEADER_BYTES..).ok_or(Corrupted)?;
        match encoding(string).ok_or(Corrupted)? {
            Encoding::Dense => {
                self.any_dense = true;
                dense::merge(packed, &mut self.registers);
                Ok(())
            }
            Encoding::Sparse => sparse::for_each_run(packed, |run, value| {
                for register in &mut self.registers[run] {
                    *register = value.max(*register);
                }
            }),
        }
    }

    /// Estimates how many different elements were added to any of the strings.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; 64];
        for value in &self.registers {
            histogram[usize::from(value & 63)] += 1;
        }
        estimate::estimate(&histogram)
    }

    /// Puts the registers into a string that is one of those that were added, or empty. It is dense
    /// afterwards if one of them was.
    pub fn write_to(&self, string: &mut Vec<u8>, sparse_bytes_max: usize) -> Result<(), Corrupted> {
        if self.any_dense {
            to_dense(string)?;
        }
        for (index, &rank) in self.registers.iter().enumerate().filter(|(_, rank)| **rank > 0) {
            if string[ENCODING_AT] == 0 {
                // As it became dense on the way at the latest, the rest goes in at once.
                dense::pack(&self.registers, &mut string[HEADER_BYTES..]);
                break;
            }
            raise(string, index, rank, sparse_bytes_max)?;
        }
        forget_count(string);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    fn added(count: u64, sparse_bytes_max: usize) -> Vec<u8> {
        let mut string = empty();
        for element in 0..count {
            add(&mut string, &element.to_le_bytes(), sparse_bytes_max).expect("well-formed");
        }
        string
    }

    #[test]
    fn an_empty_one_is_that_of_redis() {
        assert_eq!(empty(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        assert_eq!(count(&empty()), Ok(0));
        assert_eq!(spell(&empty()), "Z:16384");
    }

    #[test]
    fn sparse_and_dense_registers_are_the_same() {
        let mut rng = Rng::new(Seed(1), "hyperloglog");
        let (mut sparse, mut dense) = (empty(), empty());
        to_dense(&mut dense).expect("well-formed");
        for step in 0..3000 {
            let element = rng.below(3000).to_le_bytes();
            let changed = add(&mut sparse, &element, usize::MAX);
            assert_eq!(changed, add(&mut dense, &element, 0), "step {step}");
            if step % 100 == 0 {
                assert_eq!(registers(&sparse), registers(&dense));
                assert_eq!(count(&sparse), count(&dense));
            }
        }
        assert_eq!(encoding(&sparse), Some(Encoding::Sparse));
        assert_eq!(to_dense(&mut sparse), Ok(true));
        assert_eq!(sparse, dense);
        assert_eq!(to_dense(&mut sparse), Ok(false));
    }

    #[test]
    fn what_is_too_long_becomes_dense() {
        let string = added(5000, 3000);
        assert_eq!((encoding(&string), string.len()), (Some(Encoding::Dense), DENSE_BYTES));
        for bytes_max in [0, 17, 18, 20, 21, 100] {
            let string = added(40, bytes_max);
            let is_sparse = encoding(&string) == Some(Encoding::Sparse);
            assert_eq!(is_sparse, string.len() <= bytes_max, "{bytes_max}");
            assert_eq!(registers(&string), registers(&added(40, usize::MAX)), "{bytes_max}");
        }
    }

    #[test]
    fn estimates_are_near_the_truth() {
        for elements in [1, 10, 100, 1000, 10_000, 100_000] {
            let estimate = count(&added(elements, 3000)).expect("well-formed");
            let error = estimate.abs_diff(elements) as f64 / elements as f64;
            assert!(error < 0.03, "{estimate} of {elements}");
        }
    }

    #[test]
    fn a_union_counts_what_is_in_any() {
        let (mut a, mut b) = (empty(), empty());
        for element in 0..600_u32 {
            let string = if element % 3 == 0 { &mut a } else { &mut b };
            add(string, &element.to_le_bytes(), 3000).expect("well-formed");
        }
        let mut both = empty();
        for element in 0..600_u32 {
            add(&mut both, &element.to_le_bytes(), 3000).expect("well-formed");
        }
        for dense in [false, true] {
            if dense {
                to_dense(&mut b).expect("well-formed");
            }
            let mut union = Union::default();
            union.add(&a).expect("well-formed");
            union.add(&b).expect("well-formed");
            assert_eq!(Ok(union.count()), count(&both));
            let mut written = a.clone();
            union.write_to(&mut written, 3000).expect("well-formed");
            assert_eq!(registers(&written), registers(&both));
            assert_eq!(encoding(&written) == Some(Encoding::Dense), dense);
            assert_eq!(kept_count(&written), None);
        }
    }

    #[test]
    fn an_estimate_is_kept_until_a_register_changes() {
        let mut string = added(10, 3000);
        assert_eq!(kept_count(&string), None);
        keep_count(&mut string, 10);
        assert_eq!(add(&mut string, &3_u64.to_le_bytes(), 3000), Ok(false));
        assert_eq!(kept_count(&string), Some(10));
        assert_eq!(add(&mut string, b"other", 3000), Ok(true));
        assert_eq!(kept_count(&string), None);
    }

    #[test]
    fn nothing_that_clients_write_is_trusted() {
        let mut rng = Rng::new(Seed(3), "corrupt");
        let (mut refused, mut taken) = (0, 0);
        for round in 0..4000 {
            let mut string = added(rng.below(if round % 50 == 0 { 3000 } else { 60 }), 3000);
            for _ in 0..=rng.below(4) {
                match rng.below(4) {
                    0 => string.truncate(rng.below(string.len() as u64 + 1) as usize),
                    1 => string.push(rng.next_u64() as u8),
                    _ if string.is_empty() => {}
                    _ => {
                        let at = rng.below(string.len() as u64) as usize;
                        string[at] = rng.next_u64() as u8;
                    }
                }
            }
            let mut union = Union::default();
            let results = [
                count(&string).map(drop),
                registers(&string).map(drop),
                union.add(&string),
                add(&mut string.clone(), &rng.next_u64().to_le_bytes(), 3000).map(drop),
                to_dense(&mut string.clone()).map(drop),
                union.write_to(&mut empty(), 3000),
            ];
            spell(&string);
            let is_err = results.iter().any(Result::is_err);
            refused += usize::from(is_err);
            taken += usize::from(!is_err);
        }
        assert!(refused > 500 && taken > 100, "{refused} refused, {taken} taken");
    }
}
