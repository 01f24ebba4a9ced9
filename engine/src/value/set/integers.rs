//! Sets of integers as bytes: ascending, all of one width, found by binary search.
//!
//! The first byte is the width in bytes (2, 4 or 8), the second is `MARK`, which tells these
//! bytes from a packed sequence; then come the integers, little-endian. No bytes at all are the
//! empty set.
//!
//! Invariant: the integers are strictly ascending. A set that once held a wide integer stays wide.

/// The second byte. In a packed sequence it is the upper half of the count, which stays below.
pub(super) const MARK: u8 = 0xff;
/// Bytes before the first integer.
const HEADER: usize = 2;

/// A reader of a set of integers.
#[derive(Clone, Copy, Debug)]
pub struct Integers<'a> {
    width: usize,
    body: &'a [u8],
}

impl<'a> Integers<'a> {
    /// The set in these bytes; `None` if they are a packed sequence.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes {
            [] => Some(Self { width: 2, body: &[] }),
            [width, MARK, body @ ..] => Some(Self { width: (*width).into(), body }),
            _ => None,
        }
    }

    /// How many integers there are.
    #[inline]
    pub fn len(self) -> usize {
        // The widths are powers of two.
        self.body.len() >> self.width.trailing_zeros()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.body.is_empty()
    }

    /// The integer of this rank.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline]
    pub fn at(self, index: usize) -> i64 {
        read(self.width, &self.body[index * self.width..])
    }

    /// The rank of an integer, or the rank it would have.
    #[inline]
    pub fn find(self, value: i64) -> Result<usize, usize> {
        match self.width {
            2 => search(self.body, |cell: [u8; 2]| i16::from_le_bytes(cell).into(), value),
            4 => search(self.body, |cell: [u8; 4]| i32::from_le_bytes(cell).into(), value),
            _ => search(self.body, i64::from_le_bytes, value),
        }
    }

    /// Whether the integer is there.
    #[inline]
    pub fn contains(self, value: i64) -> bool {
        self.find(value).is_ok()
    }

    /// The integers, ascending.
    pub fn iter(self) -> impl ExactSizeIterator<Item = i64> + Clone + use<'a> {
        self.body.chunks_exact(self.width).map(move |cell| read(self.width, cell))
    }

    /// Whether both read the same bytes.
    pub(super) fn is_same(self, other: Self) -> bool {
        core::ptr::eq(self.body, other.body)
    }

    /// Whether every member has at most so many digits (and sign).
    pub(super) fn texts_fit(self, bytes_max: usize) -> bool {
        // The longest texts are at the ends.
        let ends = [0, self.len().saturating_sub(1)];
        self.is_empty() || ends.iter().all(|&end| text_len(self.at(end)) <= bytes_max)
    }

    /// Checks width and order.
    pub(super) fn check_invariants(self) {
        assert!(matches!(self.width, 2 | 4 | 8), "an integer has 2, 4 or 8 bytes");
        assert_eq!(self.body.len() % self.width, 0, "every integer is whole");
        assert!(self.iter().is_sorted_by(|a, b| a < b), "the integers are strictly ascending");
    }
}

/// Adds an integer; false if it was there.
pub(super) fn insert(bytes: &mut Vec<u8>, value: i64) -> bool {
    let width = width_of(value);
    if bytes.is_empty() {
        bytes.extend_from_slice(&[width as u8, MARK]);
    } else if width > usize::from(bytes[0]) {
        widen(bytes, width);
    }
    let set = Integers::read(bytes).expect("a set of integers");
    let width = set.width;
    // Integers often come in order.
    let last = set.len().checked_sub(1).map(|last| set.at(last));
    let rank = if last.is_none_or(|last| last < value) {
        set.len()
    } else {
        match set.find(value) {
            Ok(_) => return false,
            Err(rank) => rank,
        }
    };
    let at = HEADER + rank * width;
    let end = bytes.len();
    bytes.resize(end + width, 0);
    bytes.copy_within(at..end, at + width);
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    true
}

/// Removes an integer; false if it was not there.
pub(super) fn remove(bytes: &mut Vec<u8>, value: i64) -> bool {
    let set = Integers::read(bytes).expect("a set of integers");
    match set.find(value) {
        Ok(rank) => {
            remove_at(bytes, rank);
            true
        }
        Err(_) => false,
    }
}

/// Removes the integer of this rank. What becomes empty has no bytes.
pub(super) fn remove_at(bytes: &mut Vec<u8>, rank: usize) {
    let width = usize::from(bytes[0]);
    let at = HEADER + rank * width;
    bytes.drain(at..at + width);
    if bytes.len() == HEADER {
        bytes.clear();
    }
}

/// Writes every integer in more bytes.
fn widen(bytes: &mut Vec<u8>, width: usize) {
    let old = Integers::read(bytes).expect("a set of integers");
    // One more is about to come.
    let mut wide = Vec::with_capacity(HEADER + (old.len() + 1) * width);
    wide.extend_from_slice(&[width as u8, MARK]);
    for value in old.iter() {
        wide.extend_from_slice(&value.to_le_bytes()[..width]);
    }
    *bytes = wide;
}

/// How many bytes an integer takes alone.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

#[inline]
fn read(width: usize, cell: &[u8]) -> i64 {
    match width {
        2 => i16::from_le_bytes([cell[0], cell[1]]).into(),
        4 => i32::from_le_bytes([cell[0], cell[1], cell[2], cell[3]]).into(),
        _ => i64::from_le_bytes(*cell.first_chunk().expect("an integer is whole")),
    }
}

#[inline]
fn search<const WIDTH: usize>(
    body: &[u8],
    read: impl Fn([u8; WIDTH]) -> i64,
    value: i64,
) -> Result<usize, usize> {
    let (cells, _) = body.as_chunks::<WIDTH>();
    cells.binary_search_by(|&cell| read(cell).cmp(&value))
}

/// How many characters an integer is spelled with.
fn text_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(value < 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::{Rng, Seed};

    fn list(bytes: &[u8]) -> Vec<i64> {
        Integers::read(bytes).expect("integers").iter().collect()
    }

    #[test]
    fn a_set_is_as_wide_as_its_widest_member_was() {
        let mut bytes = Vec::new();
        for (value, len) in [(5, 4), (-32_768, 6), (32_768, 14), (i64::MIN, 34), (i64::MAX, 42)] {
            assert!(insert(&mut bytes, value));
            assert!(!insert(&mut bytes, value), "{value} is there");
            assert_eq!(bytes.len(), len, "after {value}");
        }
        assert_eq!(list(&bytes), [i64::MIN, -32_768, 5, 32_768, i64::MAX]);
        for value in [i64::MIN, i64::MAX, 32_768, 5] {
            assert!(remove(&mut bytes, value));
            assert!(!remove(&mut bytes, value));
        }
        assert_eq!(bytes.len(), 10, "it stays wide");
        assert!(remove(&mut bytes, -32_768));
        assert!(bytes.is_empty());
    }

    #[test]
    fn random_integers_are_kept_as_in_a_tree() {
        let mut rng = Rng::new(Seed(3), "integers");
        for shift in [60, 50, 34, 20, 0] {
            let (mut bytes, mut tree) = (Vec::new(), BTreeSet::new());
            for _ in 0..600 {
                let value = rng.next_u64() as i64 >> shift;
                if rng.chance(2, 3) {
                    assert_eq!(insert(&mut bytes, value), tree.insert(value));
                } else if !tree.is_empty() {
                    let value = if rng.chance(1, 2) {
                        value
                    } else {
                        *tree.iter().nth(rng.below(tree.len() as u64) as usize).expect("a rank")
                    };
                    assert_eq!(remove(&mut bytes, value), tree.remove(&value));
                }
                let set = Integers::read(&bytes).expect("integers");
                set.check_invariants();
                assert_eq!(set.len(), tree.len());
                assert_eq!(set.contains(value), tree.contains(&value));
            }
            assert!(list(&bytes).iter().eq(&tree));
        }
    }

    #[test]
    fn texts_are_measured() {
        for value in [0, 9, 10, -1, -10, 99, 100, i64::MAX, i64::MIN] {
            assert_eq!(text_len(value), value.to_string().len());
        }
    }
}
