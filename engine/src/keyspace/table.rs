//! The index of one database: an extendible hash table from hashes to handles.
//!
//! The leading bits of a hash choose a segment through the directory; the next six choose one of
//! its buckets. When a segment is full enough, it alone is split in two by one more bit (or by more
//! bits where it is known how many keys will come); when two sisters are sparse, they become one.
//! So the most that one change ever moves is one segment (some 540 handles) and, rarely, the
//! directory of four-byte numbers.
//!
//! A position in hash space (the leading bits of a hash) orders all buckets of all segments,
//! whatever is split meanwhile: that is what a SCAN cursor is.
//!
//! Invariant: a segment of depth d is referred to by 2^(D-d) neighbouring places of the directory
//! of depth D. Source: Fagin et al., "Extendible hashing" (1979).

use core::hint::black_box;
use core::iter;

use super::arena::Handle;
pub(crate) use super::segment::Position;
use super::segment::{BUCKETS, SLOTS, Segments};

/// A segment with this many entries is split before the next goes in: 85 %.
const SPLIT_AT: u16 = (BUCKETS * SLOTS * 85 / 100) as u16;
/// Two sister segments with at most this many entries together become one: far enough below
/// `SPLIT_AT` that a key coming and going does not split and merge in turn.
const MERGE_AT: u16 = SPLIT_AT / 2;
/// A segment is looked at for merging when it has this many entries or fewer.
const SPARSE: u16 = MERGE_AT / 2;
/// A segment is split into up to 2^4 where a known number of keys is on its way.
const SPLIT_BITS_MAX: u8 = 4;
/// Segments are not split deeper: 2^36 segments are more than handles can address.
const DEPTH_MAX: u8 = 36;
/// A cursor is the leading 48 bits of a position.
const CURSOR_SHIFT: u32 = 16;

/// Where the hashes of the entries come from when an insertion needs them again.
pub(crate) trait Hashes {
    /// The hash of an entry that is in the table.
    fn hash_of(&self, handle: Handle) -> u64;

    /// Reads something of the entry. A loop of this waits for memory once for many entries; a loop
    /// of `hash_of` waits for each.
    fn touch(&self, handle: Handle) -> u8;
}

impl<F: Fn(Handle) -> u64> Hashes for F {
    fn hash_of(&self, handle: Handle) -> u64 {
        self(handle)
    }

    fn touch(&self, _: Handle) -> u8 {
        0
    }
}

/// The index. Entries themselves are elsewhere; where a hash is needed again, the caller gives it.
/// Positions are valid until the next insertion or removal.
#[derive(Default)]
pub(crate) struct Table {
    /// Segment by the leading `depth` bits of the hash; empty until the first insertion.
    directory: Vec<u32>,
    segments: Segments,
    depth: u8,
    len: usize,
    /// Segments of a lesser depth are split into more than two: see `expect`.
    expected_depth: u8,
}

impl Table {
    /// How many handles are in the table.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Finds the handle with this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(
        &self,
        hash: u64,
        is_it: impl FnMut(Handle) -> bool,
    ) -> Option<(Position, Handle)> {
        if self.directory.is_empty() {
            return None;
        }
        self.segments.find(self.segment_of(hash), hash, is_it)
    }

    /// Somebody says that the table will hold so many handles; 0: nobody knows. Then a segment is
    /// split into as many at once as it would become one after another, up to sixteen, and far
    /// fewer entries have to be read again. If it is not true, the table is that much too large and
    /// no more.
    pub(crate) fn expect(&mut self, len: usize) {
        let is_enough = |depth: &u8| len >> depth <= usize::from(SPLIT_AT);
        self.expected_depth = (0..DEPTH_MAX).find(is_enough).unwrap_or(DEPTH_MAX);
    }

    /// Reads what an insertion or a search with this hash begins with: a loop of this waits for
    /// memory once for many hashes.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> u8 {
        if self.directory.is_empty() {
            return 0;
        }
        self.segments.touch(self.segment_of(hash), hash)
    }

    /// Adds a handle that is not in the table. `hashes` knows any handle that is.
    pub(crate) fn insert(&mut self, hash: u64, handle: Handle, hashes: impl Hashes) {
        if self.directory.is_empty() {
            let first = self.segments.add(0);
            self.directory.push(first);
        }
        while self.segments.len(self.segment_of(hash)) >= SPLIT_AT {
            self.split(hash, &hashes);
        }
        self.segments.insert(self.segment_of(hash), hash, handle, false);
        self.len += 1;
    }

    /// Takes the handle at `position`, whose hash is `hash`, out of the table. `hash_of` gives the
    /// hash of any handle that stays.
    pub(crate) fn remove(
        &mut self,
        hash: u64,
        position: Position,
        hash_of: impl Fn(Handle) -> u64,
    ) {
        self.segments.remove(hash, position);
        self.len -= 1;
        if self.segments.len(position.segment) <= SPARSE {
            self.merge(hash, &hash_of);
        }
    }

    /// Puts another handle of the same key in its place: the entry has moved.
    pub(crate) fn replace(&mut self, position: Position, handle: Handle) {
        self.segments.replace(position, handle);
    }

    /// Whether the handle at a position is marked. Marks go where the handle goes, also when it is
    /// replaced by another of the same key.
    pub(crate) fn is_marked(&self, position: Position) -> bool {
        self.segments.is_marked(position)
    }

    /// Marks the handle at a position, or takes the mark back.
    pub(crate) fn set_mark(&mut self, position: Position, is_marked: bool) {
        self.segments.set_mark(position, is_marked);
    }

    /// Visits every handle of one bucket's worth of hash space, starting at `cursor`, and returns
    /// the cursor of the next; 0 is both the start and the end.
    pub(crate) fn scan(
        &self,
        cursor: u64,
        hash_of: impl Fn(Handle) -> u64,
        mut visit: impl FnMut(Position, Handle, u64),
    ) -> u64 {
        if self.directory.is_empty() {
            return 0;
        }
        let position = cursor << CURSOR_SHIFT;
        let segment = self.segment_of(position);
        let wanted = self.segments.home(segment, position);
        for (place, handle) in self.segments.chain(segment, position) {
            let hash = hash_of(handle);
            if self.segments.home(segment, hash) == wanted {
                visit(place, handle, hash);
            }
        }
        let width = self.segments.bucket_width(segment);
        let start = position & !(width - 1);
        start.checked_add(width).map_or(0, |next| next >> CURSOR_SHIFT)
    }

    /// The cursor of a scan that comes to this hash next.
    pub(crate) fn cursor_of(hash: u64) -> u64 {
        hash >> CURSOR_SHIFT
    }

    /// Any handle in the bucket at this position in hash space: the `pick`-th slot in use, modulo.
    pub(crate) fn sample(&self, position: u64, pick: u64) -> Option<Handle> {
        if self.directory.is_empty() {
            return None;
        }
        let segment = self.segment_of(position);
        let used = self.segments.neighbours(segment, position).count() as u64;
        let pick = pick.checked_rem(used)? as usize;
        self.segments.neighbours(segment, position).nth(pick)
    }

    /// The handles in the bucket at this position in hash space.
    pub(crate) fn bucket(&self, position: u64) -> impl Iterator<Item = Handle> + '_ {
        let segment = (!self.directory.is_empty()).then(|| self.segment_of(position));
        segment.into_iter().flat_map(move |segment| self.segments.neighbours(segment, position))
    }

    /// Bytes that the table owns.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.segments.memory_bytes() + self.directory.capacity() * 4
    }

    /// How many handles fit without a split, if they were spread evenly.
    pub(crate) fn capacity(&self) -> usize {
        self.segments.in_use() * BUCKETS * SLOTS
    }

    /// Gives a bounded part back, whatever it holds; true when nothing is left. For a table that is
    /// no longer in use.
    pub(crate) fn drop_some(&mut self) -> bool {
        self.directory = Vec::new();
        self.segments.drop_some()
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> u32 {
        self.directory[self.place(hash)]
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        // Two shifts, because a shift by 64 is not one.
        (hash >> 1 >> (63 - u32::from(self.depth))) as usize
    }

    /// The neighbouring places that refer to the segment of `hash` at this depth.
    fn places(&self, hash: u64, depth: u8) -> core::ops::Range<usize> {
        let count = 1 << (self.depth - depth);
        let first = self.place(hash) & !(count - 1);
        first..first + count
    }

    /// Splits the segment of `hash` in two, or in more where more keys are expected.
    fn split(&mut self, hash: u64, hashes: &impl Hashes) {
        let first = self.segment_of(hash);
        let old_depth = self.segments.depth(first);
        assert!(old_depth < DEPTH_MAX, "hashes do not spread: the table cannot grow");
        // The last of the splits to come is the widest: it is the one that reads most entries.
        let to_come = self.expected_depth.saturating_sub(old_depth).max(1);
        let bits = (to_come - 1) % SPLIT_BITS_MAX + 1;
        let depth = old_depth + bits;
        if depth > self.depth {
            let copies = 1 << (depth - self.depth);
            let repeated = self.directory.iter().flat_map(|&at| iter::repeat_n(at, copies));
            self.directory = repeated.collect();
            self.depth = depth;
        }
        let mut parts = [first; 1 << SPLIT_BITS_MAX];
        let parts = &mut parts[..1 << bits];
        parts[1..].fill_with(|| self.segments.add(depth));
        let all = self.segments.take_all(first, depth);
        black_box(all.iter().fold(0, |sum, &(handle, _)| sum ^ hashes.touch(handle)));
        for (handle, is_marked) in all {
            let hash = hashes.hash_of(handle);
            let part = parts[(hash << old_depth >> (64 - u32::from(bits))) as usize];
            self.segments.insert(part, hash, handle, is_marked);
        }
        let places = self.places(hash, old_depth);
        let width = places.len() >> bits;
        for (places, &part) in self.directory[places].chunks_exact_mut(width).zip(&*parts) {
            places.fill(part);
        }
    }

    /// Moves the entries of the sister of `hash`'s segment into it, if both have room in one.
    fn merge(&mut self, hash: u64, hash_of: &impl Fn(Handle) -> u64) {
        let segment = self.segment_of(hash);
        let depth = self.segments.depth(segment);
        if depth == 0 {
            return;
        }
        // The sister differs in the last bit that chooses the segment.
        let sister = self.segment_of(hash ^ 1 << (64 - u32::from(depth)));
        let len = self.segments.len(segment) + self.segments.len(sister);
        if self.segments.depth(sister) != depth || len > MERGE_AT {
            return;
        }
        let mut all = self.segments.take_all(segment, depth - 1);
        all.extend(self.segments.take_all(sister, depth));
        for (handle, is_marked) in all {
            self.segments.insert(segment, hash_of(handle), handle, is_marked);
        }
        self.segments.vacate(sister);
        let places = self.places(hash, depth - 1);
        self.directory[places].fill(segment);
    }

    /// Checks every bucket of every segment against the hashes.
    pub(crate) fn check_invariants(&self, hash_of: impl Fn(Handle) -> u64) {
        let mut len = 0;
        for segment in self.segments.numbers() {
            let places = self.directory.iter().filter(|&&referred| referred == segment).count();
            assert_eq!(places, 1 << (self.depth - self.segments.depth(segment)), "places");
            len += self.segments.check_invariants(segment, |handle| {
                let hash = hash_of(handle);
                assert_eq!(self.segment_of(hash), segment, "a handle is in its segment");
                hash
            });
        }
        assert_eq!(len, self.len, "the table knows its length");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    /// Hashes of made-up handles, by handle.
    fn hash_of(handle: Handle) -> u64 {
        let [a, b, c, d, e] = handle.to_bytes();
        Rng::new(Seed(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])), "h").next_u64()
    }

    fn handle(n: u64) -> Handle {
        let [a, b, c, d, e, ..] = n.to_le_bytes();
        Handle::from_bytes([a, b, c, d, e])
    }

    fn find(table: &Table, n: u64) -> Option<Position> {
        let wanted = handle(n);
        table.find(hash_of(wanted), |found| found == wanted).map(|(position, _)| position)
    }

    #[test]
    fn what_goes_in_is_found_until_it_is_removed() {
        let mut table = Table::default();
        for n in 0..20_000 {
            table.insert(hash_of(handle(n)), handle(n), hash_of);
        }
        table.check_invariants(hash_of);
        for n in (0..20_000).step_by(2) {
            let position = find(&table, n).expect("it was inserted");
            table.remove(hash_of(handle(n)), position, hash_of);
        }
        table.check_invariants(hash_of);
        for n in 0..20_000 {
            assert_eq!(find(&table, n).is_some(), n % 2 == 1);
        }
        assert_eq!(table.len(), 10_000);
    }

    #[test]
    fn a_table_that_empties_gives_its_segments_back() {
        let mut table = Table::default();
        for n in 0..20_000 {
            table.insert(hash_of(handle(n)), handle(n), hash_of);
        }
        let grown = table.memory_bytes();
        for n in 0..20_000 {
            let position = find(&table, n).expect("it was inserted");
            table.remove(hash_of(handle(n)), position, hash_of);
            if n % 1000 == 0 {
                table.check_invariants(hash_of);
            }
        }
        table.check_invariants(hash_of);
        assert!(table.memory_bytes() < grown / 8, "{} of {grown}", table.memory_bytes());
        table.insert(hash_of(handle(1)), handle(1), hash_of);
        assert!(find(&table, 1).is_some());
    }

    #[test]
    fn a_scan_meets_everything_that_stays_while_the_table_shrinks() {
        let mut table = Table::default();
        for n in 0..20_000 {
            table.insert(hash_of(handle(n)), handle(n), hash_of);
        }
        let mut seen = std::collections::BTreeSet::new();
        let (mut cursor, mut next) = (0, 0);
        loop {
            cursor = table.scan(cursor, hash_of, |_, found, _| {
                seen.insert(found);
            });
            if cursor == 0 {
                break;
            }
            for n in next..(next + 40).min(19_000) {
                let position = find(&table, n).expect("it is still there");
                table.remove(hash_of(handle(n)), position, hash_of);
            }
            next = (next + 40).min(19_000);
        }
        assert!((19_000..20_000).all(|n| seen.contains(&handle(n))));
    }

    #[test]
    fn a_scan_meets_everything_that_stays_while_the_table_grows() {
        let mut table = Table::default();
        for n in 0..3000 {
            table.insert(hash_of(handle(n)), handle(n), hash_of);
        }
        let mut seen = std::collections::BTreeSet::new();
        let (mut cursor, mut next) = (0, 3000);
        loop {
            cursor = table.scan(cursor, hash_of, |_, found, _| {
                seen.insert(found);
            });
            if cursor == 0 {
                break;
            }
            for n in next..next + 50 {
                table.insert(hash_of(handle(n)), handle(n), hash_of);
            }
            next += 50;
        }
        assert!((0..3000).all(|n| seen.contains(&handle(n))));
        assert!(cursor < 1 << 48);
    }
    #[test]
    fn a_table_that_knows_what_will_come_becomes_the_same_with_fewer_hashes() {
        let fill = |expected: usize| {
            let (mut table, hashed) = (Table::default(), core::cell::Cell::new(0));
            table.expect(expected);
            for n in 0..20_000 {
                table.insert(hash_of(handle(n)), handle(n), |handle| {
                    hashed.set(hashed.get() + 1);
                    hash_of(handle)
                });
                if n % 1000 == 0 {
                    table.check_invariants(hash_of);
                }
            }
            table.check_invariants(hash_of);
            assert!((0..20_000).all(|n| find(&table, n).is_some()));
            (table.capacity(), hashed.get())
        };
        let (capacity, hashed) = fill(0);
        let (expected_capacity, expected_hashed) = fill(20_000);
        assert!(expected_hashed * 4 < hashed, "{expected_hashed} of {hashed}");
        assert!(expected_capacity <= capacity * 5 / 4, "{expected_capacity}, not {capacity}");
        // Who promises more than there is gets a table that is too large by a bounded factor.
        assert!(fill(usize::MAX).0 <= capacity << SPLIT_BITS_MAX);
    }
}
