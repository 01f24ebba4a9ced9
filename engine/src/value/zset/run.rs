//! A sorted run of (score, member) keys in one allocation: the content of a leaf, and the
//! separators of an inner node.
//!
//! ```text
//! tags: 1 byte each | ends of members: 2 bytes each | scores: 8 bytes each | members, one behind
//! the other
//! ```
//! A binary search reads scores that lie side by side and looks at members only among equal scores;
//! a member is found by its tag (a byte of its hash) without reading the others; a walk reads
//! everything in order. A member that is too long for a run lies outside, and its number in its
//! place.
//!
//! Invariant: the sections are as long as the number of keys says; capacity follows content within
//! an eighth of a kilobyte, or two when the run shrank.

use core::cmp::Ordering;

use super::outside::Outside;
use crate::value::shared::twin_bytes;

/// Bytes of a key besides those of its member.
pub(super) const KEY_BYTES: usize = 11;
/// Bytes of the number of a member that lies outside.
pub(super) const NUMBER_BYTES: usize = 4;
/// Runs grow by this much.
const GROWTH_BYTES: usize = 128;
/// Runs with more room than this give some back.
const ROOM_BYTES_MAX: usize = 256;
/// Marks an end whose member lies outside.
const OUTSIDE: u16 = 0x8000;

/// What stands for a member inside a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    /// The member.
    Inline(&'a [u8]),
    /// The number of a member that lies outside.
    Outside(u32),
}

impl Payload<'_> {
    /// Bytes inside the run.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Outside(_) => NUMBER_BYTES,
        }
    }
}

/// One key of a run, whose member is resolved only when it is asked for.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    run: &'a Run,
    outside: &'a Outside,
    index: usize,
}

impl<'a> Key<'a> {
    /// Its score.
    #[inline]
    pub(super) fn score(self) -> f64 {
        self.run.score(self.index)
    }

    /// Its member.
    #[inline]
    pub(super) fn member(self) -> &'a [u8] {
        self.outside.bytes(self.run.payload(self.index))
    }

    /// How it compares with a key.
    #[inline]
    pub(super) fn compare(self, score: f64, member: &[u8]) -> Ordering {
        let own = self.score();
        if own < score {
            Ordering::Less
        } else if own > score {
            Ordering::Greater
        } else {
            self.member().cmp(member)
        }
    }
}

/// The run.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    bytes: Vec<u8>,
    len: u16,
}

impl Run {
    /// A copy with as much room.
    pub(super) fn twin(&self) -> Self {
        Self { bytes: twin_bytes(&self.bytes), len: self.len }
    }

    /// How many keys there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Bytes in use.
    #[inline]
    pub(super) fn used_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes allocated.
    #[inline]
    pub(super) fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The score of a key.
    #[inline]
    pub(super) fn score(&self, index: usize) -> f64 {
        let at = 3 * self.len() + 8 * index;
        let mut wide = [0; 8];
        wide.copy_from_slice(&self.bytes[at..at + 8]);
        f64::from_le_bytes(wide)
    }

    /// Gives a key another score.
    pub(super) fn set_score(&mut self, index: usize, score: f64) {
        let at = 3 * self.len() + 8 * index;
        self.bytes[at..at + 8].copy_from_slice(&score.to_le_bytes());
    }

    /// The tag of a key.
    pub(super) fn tag(&self, index: usize) -> u8 {
        self.bytes[..self.len()][index]
    }

    /// What stands for the member of a key.
    #[inline]
    pub(super) fn payload(&self, index: usize) -> Payload<'_> {
        let members = KEY_BYTES * self.len();
        let (start, end) = (self.start(index), self.end_word(index));
        let bytes = &self.bytes[members + start..members + usize::from(end & !OUTSIDE)];
        if end & OUTSIDE == 0 {
            return Payload::Inline(bytes);
        }
        let mut number = [0; NUMBER_BYTES];
        number.copy_from_slice(bytes);
        Payload::Outside(u32::from_le_bytes(number))
    }

    /// A key with its member.
    #[inline]
    pub(super) fn key<'a>(&'a self, outside: &'a Outside, index: usize) -> Key<'a> {
        debug_assert!(index < self.len(), "the key is there");
        Key { run: self, outside, index }
    }

    /// How many keys at the beginning `is_before` holds for; it must hold for none behind one that
    /// it does not hold for.
    #[inline]
    pub(super) fn partition(
        &self,
        outside: &Outside,
        is_before: impl Fn(Key<'_>) -> bool,
    ) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if is_before(self.key(outside, middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The places of keys with this tag.
    #[inline]
    pub(super) fn tagged(&self, tag: u8) -> impl Iterator<Item = usize> + '_ {
        let tags = self.bytes[..self.len()].iter().enumerate();
        tags.filter(move |&(_, &own)| own == tag).map(|(index, _)| index)
    }

    /// Puts a key in at `index`.
    pub(super) fn insert(&mut self, index: usize, score: f64, tag: u8, payload: Payload<'_>) {
        let (len, old) = (self.len(), self.bytes.len());
        let (start, added) = (self.start(index), payload.len());
        self.reserve(KEY_BYTES + added);
        self.bytes.resize(old + KEY_BYTES + added, 0);
        let members = KEY_BYTES * len;
        // From the back, so that nothing is overwritten before it has moved.
        for (from, to, by) in [
            (members + start, old, KEY_BYTES + added),
            (3 * len + 8 * index, members + start, KEY_BYTES),
            (len + 2 * index, 3 * len + 8 * index, 3),
            (index, len + 2 * index, 1),
        ] {
            self.bytes.copy_within(from..to, from + by);
        }
        self.bytes[index] = tag;
        self.len += 1;
        let (number, mark);
        let body = match payload {
            Payload::Inline(bytes) => {
                mark = 0;
                bytes
            }
            Payload::Outside(outside) => {
                number = outside.to_le_bytes();
                mark = OUTSIDE;
                &number[..]
            }
        };
        self.set_end_word(index, (start + added) as u16 | mark);
        self.move_ends(index + 1, added as u16);
        self.set_score(index, score);
        let at = KEY_BYTES * self.len() + start;
        self.bytes[at..at + added].copy_from_slice(body);
    }

    /// Takes the keys `from..to` out.
    pub(super) fn remove(&mut self, from: usize, to: usize) {
        let (len, old, count) = (self.len(), self.bytes.len(), to - from);
        let (start, end) = (self.start(from), self.start(to));
        self.move_ends(to, ((end - start) as u16).wrapping_neg());
        let members = KEY_BYTES * len;
        // From the front, for the same reason as above.
        for (first, last, by) in [
            (to, len + 2 * from, count),
            (len + 2 * to, 3 * len + 8 * from, 3 * count),
            (3 * len + 8 * to, members + start, KEY_BYTES * count),
            (members + end, old, KEY_BYTES * count + end - start),
        ] {
            self.bytes.copy_within(first..last, first - by);
        }
        self.bytes.truncate(old - KEY_BYTES * count - (end - start));
        self.len -= count as u16;
        if self.bytes.capacity() - self.bytes.len() > ROOM_BYTES_MAX {
            self.bytes.shrink_to(self.bytes.len().next_multiple_of(GROWTH_BYTES));
        }
    }

    /// Takes the keys from `at` on out and returns them.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let len = self.len();
        let start = self.start(at);
        let members = KEY_BYTES * len;
        let mut bytes = Vec::new();
        let taken = (len - at) * KEY_BYTES + self.bytes.len() - members - start;
        bytes.reserve_exact(taken.next_multiple_of(GROWTH_BYTES));
        for (from, to) in [
            (at, len),
            (len + 2 * at, 3 * len),
            (3 * len + 8 * at, members),
            (members + start, self.bytes.len()),
        ] {
            bytes.extend_from_slice(&self.bytes[from..to]);
        }
        let mut right = Self { bytes, len: (len - at) as u16 };
        right.move_ends(0, (start as u16).wrapping_neg());
        self.remove(at, len);
        right
    }

    /// Appends the keys of another run, which come behind all of this one.
    pub(super) fn append(&mut self, mut other: Self) {
        let (len, more) = (self.len(), other.len());
        let start = self.start(len);
        other.move_ends(0, start as u16);
        let mut bytes = Vec::new();
        let total = self.bytes.len() + other.bytes.len();
        bytes.reserve_exact(total.next_multiple_of(GROWTH_BYTES));
        for (from, to) in [(0, 1), (1, 3), (3, KEY_BYTES)] {
            bytes.extend_from_slice(&self.bytes[from * len..to * len]);
            bytes.extend_from_slice(&other.bytes[from * more..to * more]);
        }
        bytes.extend_from_slice(&self.bytes[KEY_BYTES * len..]);
        bytes.extend_from_slice(&other.bytes[KEY_BYTES * more..]);
        *self = Self { bytes, len: self.len + other.len };
    }

    /// The place before which about half of the bytes lie; at least one key is on each side.
    ///
    /// # Panics
    /// If there are fewer than two keys.
    pub(super) fn middle(&self) -> usize {
        let len = self.len();
        assert!(len >= 2, "a run of one key cannot be split");
        let half = self.bytes.len() / 2;
        let (mut low, mut high) = (1, len - 1);
        while low < high {
            let middle = (low + high) / 2;
            if KEY_BYTES * middle + self.start(middle) < half {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Where the member of a key begins, from the first member on; of the key behind the last,
    /// where the last ends.
    #[inline]
    fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { usize::from(self.end_word(index - 1) & !OUTSIDE) }
    }

    #[inline]
    fn end_word(&self, index: usize) -> u16 {
        let at = self.len() + 2 * index;
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn set_end_word(&mut self, index: usize, end: u16) {
        let at = self.len() + 2 * index;
        self.bytes[at..at + 2].copy_from_slice(&end.to_le_bytes());
    }

    /// Moves the ends of the keys from `index` on by so many bytes, modulo 2^16. The mark of a
    /// member outside is the highest bit and is not reached.
    fn move_ends(&mut self, index: usize, by: u16) {
        let len = self.len();
        for end in self.bytes[len + 2 * index..3 * len].chunks_exact_mut(2) {
            let word = u16::from_le_bytes([end[0], end[1]]);
            let moved = (word & !OUTSIDE).wrapping_add(by) & !OUTSIDE | word & OUTSIDE;
            end.copy_from_slice(&moved.to_le_bytes());
        }
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let capacity = needed.next_multiple_of(GROWTH_BYTES);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

    /// Checks the sections and the order; for tests.
    pub(super) fn check_invariants(&self, outside: &Outside) {
        let len = self.len();
        assert_eq!(self.bytes.len(), KEY_BYTES * len + self.start(len), "sections fill the run");
        for index in 1..len {
            let before = self.key(outside, index - 1);
            let key = self.key(outside, index);
            assert_eq!(before.compare(key.score(), key.member()), Ordering::Less, "order");
        }
        assert!(self.bytes.capacity() - self.bytes.len() <= ROOM_BYTES_MAX, "room in a run");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Keys = Vec<(f64, u8, Vec<u8>)>;

    fn keys_of(run: &Run, outside: &Outside) -> Keys {
        run.check_invariants(outside);
        let all = (0..run.len()).map(|index| {
            let key = run.key(outside, index);
            (key.score(), run.tag(index), key.member().to_vec())
        });
        all.collect()
    }

    fn run_of(outside: &mut Outside, count: usize) -> (Run, Keys) {
        let (mut run, mut expected) = (Run::default(), Keys::new());
        // Inserted from the middle outwards, some members long.
        for step in 0..count {
            let value = if step % 2 == 0 { 100 + step } else { 100 - step };
            let member = vec![value as u8; if value % 7 == 0 { 40 } else { value % 5 }];
            let place = run.partition(outside, |key| key.score() < value as f64);
            let payload = outside.admit(&member, 20);
            run.insert(place, value as f64, value as u8, payload);
            expected.insert(place, (value as f64, value as u8, member));
        }
        (run, expected)
    }

    #[test]
    fn keys_go_in_and_out_in_order() {
        let mut outside = Outside::default();
        let (mut run, mut expected) = run_of(&mut outside, 60);
        assert_eq!(keys_of(&run, &outside), expected);
        for (from, to) in [(0, 1), (10, 10), (20, 31), (40, 48), (0, 40)] {
            run.remove(from, to);
            expected.drain(from..to);
            assert_eq!(keys_of(&run, &outside), expected);
        }
    }

    #[test]
    fn runs_are_split_and_joined() {
        let mut outside = Outside::default();
        for at in [0, 1, 17, 59, 60] {
            let (mut run, expected) = run_of(&mut outside, 60);
            let right = run.split_off(at);
            assert_eq!(keys_of(&run, &outside), expected[..at]);
            assert_eq!(keys_of(&right, &outside), expected[at..]);
            run.append(right);
            assert_eq!(keys_of(&run, &outside), expected);
        }
    }

    #[test]
    fn the_middle_halves_the_bytes() {
        let mut outside = Outside::default();
        let (mut run, _) = run_of(&mut outside, 60);
        let bytes = run.used_bytes();
        let middle = run.middle();
        let right = run.split_off(middle);
        assert!(run.used_bytes().abs_diff(right.used_bytes()) < 40, "{bytes} in two");
        let (run, _) = run_of(&mut outside, 2);
        assert_eq!(run.middle(), 1);
    }

    #[test]
    fn members_are_found_by_their_tag() {
        let mut outside = Outside::default();
        let (run, expected) = run_of(&mut outside, 60);
        for (index, (_, tag, _)) in expected.iter().enumerate() {
            assert!(run.tagged(*tag).any(|found| found == index));
        }
    }
}
