//! The index of one database: an extendible hash table from hashes to handles.
//!
//! The leading bits of a hash choose a segment through the directory; the next six choose one of
//! its 64 buckets; a bucket is one cache line with ten one-byte tags and ten five-byte handles.
//! When a segment is full enough, it alone is split in two by one more bit. So the most that one
//! insertion ever moves is one segment (some 540 handles) and, rarely, the directory of four-byte
//! indexes.
//!
//! Buckets that overflow count how many entries went past them, so removal needs no tombstones and
//! a search ends at the first bucket that nothing went past.
//!
//! A position in hash space (the leading bits of a hash) orders all buckets of all segments,
//! whatever is split meanwhile: that is what a SCAN cursor is.
//!
//! Invariants: an entry lies in its home bucket or, with every bucket between counted as
//! overflowed, in a later one of the same segment; a segment of depth d is referred to by 2^(D-d)
//! neighbouring directory places. Sources: Fagin et al., "Extendible hashing" (1979); F14 (overflow
//! counts).

use super::arena::Handle;

const BUCKETS: usize = 64;
const BUCKET_BITS: u32 = 6;
const SLOTS: usize = 10;
/// A segment with this many entries is split before the next goes in: 85 %.
const SPLIT_AT: u16 = (BUCKETS * SLOTS * 85 / 100) as u16;
/// Two sister segments with at most this many entries together become one: far enough below
/// `SPLIT_AT` that a key coming and going does not split and merge in turn.
const MERGE_AT: u16 = SPLIT_AT / 2;
/// A segment is looked at for merging when it has this many entries or fewer.
const SPARSE: u16 = MERGE_AT / 2;
/// Segments are not split deeper: 2^36 segments are more than handles can address.
const DEPTH_MAX: u8 = 36;
/// A cursor is the leading 48 bits of a position.
const CURSOR_SHIFT: u32 = 16;

#[derive(Clone)]
#[repr(align(64))]
struct Bucket {
    /// 0: the slot is empty.
    tags: [u8; SLOTS],
    /// How many entries that belong here or before went further; stays at 255 once there.
    overflow: u8,
    handles: [[u8; 5]; SLOTS],
}

struct Segment {
    buckets: Box<[Bucket]>,
    depth: u8,
    len: u16,
}

/// The index. Entries themselves are elsewhere; where a hash is needed again, the caller's function
/// gives it.
#[derive(Default)]
pub(crate) struct Table {
    /// Segment by the leading `depth` bits of the hash; empty until the first insertion.
    directory: Vec<u32>,
    segments: Vec<Segment>,
    /// Indexes of `segments` that were merged into others and hold nothing.
    vacant: Vec<u32>,
    depth: u8,
    len: usize,
}

/// Where a handle stands in the table; valid until the next insertion or removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    segment: u32,
    bucket: u8,
    slot: u8,
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
        mut is_it: impl FnMut(Handle) -> bool,
    ) -> Option<(Position, Handle)> {
        if self.directory.is_empty() {
            return None;
        }
        let segment = self.directory[self.place(hash)];
        let found = &self.segments[segment as usize];
        let tag = tag_of(hash);
        let mut bucket = home(hash, found.depth);
        for _ in 0..BUCKETS {
            let line = &found.buckets[bucket];
            let mut matches = line.matches(tag);
            while matches != 0 {
                let slot = matches.trailing_zeros() as usize;
                matches &= matches - 1;
                let handle = Handle::from_bytes(line.handles[slot]);
                if is_it(handle) {
                    let position = Position { segment, bucket: bucket as u8, slot: slot as u8 };
                    return Some((position, handle));
                }
            }
            if line.overflow == 0 {
                return None;
            }
            bucket = (bucket + 1) % BUCKETS;
        }
        None
    }

    /// Adds a handle that is not in the table. `hash_of` gives the hash of any handle that is.
    pub(crate) fn insert(&mut self, hash: u64, handle: Handle, hash_of: impl Fn(Handle) -> u64) {
        if self.directory.is_empty() {
            self.directory.push(0);
            self.segments.push(Segment::new(0));
        }
        let mut segment = self.directory[self.place(hash)];
        while self.segments[segment as usize].len >= SPLIT_AT {
            self.split(segment, hash, &hash_of);
            segment = self.directory[self.place(hash)];
        }
        self.segments[segment as usize].insert(hash, handle);
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
        let segment = &mut self.segments[position.segment as usize];
        let line = &mut segment.buckets[usize::from(position.bucket)];
        assert_eq!(line.tags[usize::from(position.slot)], tag_of(hash), "not where it should be");
        line.tags[usize::from(position.slot)] = 0;
        let mut bucket = home(hash, segment.depth);
        while bucket != usize::from(position.bucket) {
            let overflow = &mut segment.buckets[bucket].overflow;
            if *overflow != u8::MAX {
                *overflow -= 1;
            }
            bucket = (bucket + 1) % BUCKETS;
        }
        segment.len -= 1;
        self.len -= 1;
        if segment.len <= SPARSE && segment.depth > 0 {
            self.merge(position.segment, hash, &hash_of);
        }
    }

    /// Puts another handle of the same key in its place: the entry has moved.
    pub(crate) fn replace(&mut self, position: Position, handle: Handle) {
        let segment = &mut self.segments[position.segment as usize];
        let line = &mut segment.buckets[usize::from(position.bucket)];
        line.handles[usize::from(position.slot)] = handle.to_bytes();
    }

    /// Visits every handle of one bucket's worth of hash space, starting at `cursor`, and returns
    /// the cursor of the next; 0 is both the start and the end.
    pub(crate) fn scan(
        &self,
        cursor: u64,
        hash_of: impl Fn(Handle) -> u64,
        mut visit: impl FnMut(Handle),
    ) -> u64 {
        if self.directory.is_empty() {
            return 0;
        }
        let position = cursor << CURSOR_SHIFT;
        let segment = &self.segments[self.directory[self.place(position)] as usize];
        let wanted = home(position, segment.depth);
        let mut bucket = wanted;
        for _ in 0..BUCKETS {
            let line = &segment.buckets[bucket];
            for slot in (0..SLOTS).filter(|&slot| line.tags[slot] != 0) {
                let handle = Handle::from_bytes(line.handles[slot]);
                if home(hash_of(handle), segment.depth) == wanted {
                    visit(handle);
                }
            }
            if line.overflow == 0 {
                break;
            }
            bucket = (bucket + 1) % BUCKETS;
        }
        let width = 1 << (64 - BUCKET_BITS - u32::from(segment.depth));
        let start = position & !(width - 1);
        start.checked_add(width).map_or(0, |next| next >> CURSOR_SHIFT)
    }

    /// Any handle in the bucket at this position in hash space: the `pick`-th slot in use, modulo.
    pub(crate) fn sample(&self, position: u64, pick: u64) -> Option<Handle> {
        if self.directory.is_empty() {
            return None;
        }
        let segment = &self.segments[self.directory[self.place(position)] as usize];
        let line = &segment.buckets[home(position, segment.depth)];
        let used = line.tags.iter().filter(|&&tag| tag != 0).count() as u64;
        let pick = pick.checked_rem(used)? as usize;
        let slot = (0..SLOTS).filter(|&slot| line.tags[slot] != 0).nth(pick)?;
        Some(Handle::from_bytes(line.handles[slot]))
    }

    /// Bytes that the table owns.
    pub(crate) fn memory_bytes(&self) -> usize {
        let in_use = self.segments.len() - self.vacant.len();
        in_use * BUCKETS * size_of::<Bucket>()
            + self.segments.capacity() * size_of::<Segment>()
            + (self.directory.capacity() + self.vacant.capacity()) * 4
    }

    /// How many handles fit without a split, if they were spread evenly.
    pub(crate) fn capacity(&self) -> usize {
        (self.segments.len() - self.vacant.len()) * BUCKETS * SLOTS
    }

    /// Drops up to `segments` segments, whatever they hold; true when none is left. For a table
    /// that is no longer in use.
    pub(crate) fn drop_segments(&mut self, segments: usize) -> bool {
        self.directory = Vec::new();
        let keep = self.segments.len().saturating_sub(segments);
        self.segments.truncate(keep);
        self.segments.is_empty()
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        // Two shifts, because a shift by 64 is not one.
        (hash >> 1 >> (63 - u32::from(self.depth))) as usize
    }

    fn split(&mut self, index: u32, hash: u64, hash_of: &impl Fn(Handle) -> u64) {
        let old_depth = self.segments[index as usize].depth;
        assert!(old_depth < DEPTH_MAX, "hashes do not spread: the table cannot grow");
        if old_depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&segment| [segment; 2]).collect();
            self.depth += 1;
        }
        let depth = old_depth + 1;
        let mut high = Segment::new(depth);
        // The low half stays where it is: then segments lie in memory in the order of their indexes,
        // and a table that is dropped from the end gives the end of the heap back bit by bit.
        let low = &mut self.segments[index as usize];
        let full = low.take_all(depth);
        for line in &full {
            for slot in (0..SLOTS).filter(|&slot| line.tags[slot] != 0) {
                let handle = Handle::from_bytes(line.handles[slot]);
                let hash = hash_of(handle);
                if hash << old_depth >> 63 == 0 {
                    low.insert(hash, handle);
                } else {
                    high.insert(hash, handle);
                }
            }
        }
        let added = match self.vacant.pop() {
            Some(index) => {
                self.segments[index as usize] = high;
                index
            }
            None => {
                self.segments.push(high);
                (self.segments.len() - 1) as u32
            }
        };
        let places = self.places(hash, old_depth);
        let middle = places.start + places.len() / 2;
        self.directory[middle..places.end].fill(added);
    }

    /// Moves a sparse segment's entries into its sister, if both have room in one.
    fn merge(&mut self, index: u32, hash: u64, hash_of: &impl Fn(Handle) -> u64) {
        let depth = self.segments[index as usize].depth;
        // The sister differs in the last bit that chooses the segment.
        let sister = self.directory[self.place(hash ^ 1 << (64 - u32::from(depth)))];
        let (here, there) = (&self.segments[index as usize], &self.segments[sister as usize]);
        if there.depth != depth || here.len + there.len > MERGE_AT {
            return;
        }
        let moved = self.segments[sister as usize].take_all(depth);
        let merged = &mut self.segments[index as usize];
        let own = merged.take_all(depth - 1);
        for line in own.iter().chain(&moved) {
            for slot in (0..SLOTS).filter(|&slot| line.tags[slot] != 0) {
                let handle = Handle::from_bytes(line.handles[slot]);
                merged.insert(hash_of(handle), handle);
            }
        }
        self.segments[sister as usize] = Segment { buckets: Box::default(), depth: 0, len: 0 };
        self.vacant.push(sister);
        let places = self.places(hash, depth - 1);
        self.directory[places].fill(index);
    }

    /// The neighbouring places that refer to the segment of `hash` at this depth.
    fn places(&self, hash: u64, depth: u8) -> core::ops::Range<usize> {
        let count = 1 << (self.depth - depth);
        let first = self.place(hash) & !(count - 1);
        first..first + count
    }

    /// Checks every bucket of every segment against the hashes.
    pub(crate) fn check_invariants(&self, hash_of: impl Fn(Handle) -> u64) {
        let mut len = 0;
        for (index, segment) in self.segments.iter().enumerate() {
            if segment.buckets.is_empty() {
                assert!(self.vacant.contains(&(index as u32)), "an empty segment is vacant");
                continue;
            }
            let places: Vec<usize> = (0..self.directory.len())
                .filter(|&place| self.directory[place] as usize == index)
                .collect();
            assert_eq!(places.len(), 1 << (self.depth - segment.depth), "places of a segment");
            let mut overflow = [0_u32; BUCKETS];
            let mut here = 0;
            for (at, line) in segment.buckets.iter().enumerate() {
                for slot in (0..SLOTS).filter(|&slot| line.tags[slot] != 0) {
                    here += 1;
                    let hash = hash_of(Handle::from_bytes(line.handles[slot]));
                    assert_eq!(line.tags[slot], tag_of(hash), "a tag is of its hash");
                    assert_eq!(self.directory[self.place(hash)] as usize, index, "right segment");
                    let mut bucket = home(hash, segment.depth);
                    while bucket != at {
                        overflow[bucket] += 1;
                        bucket = (bucket + 1) % BUCKETS;
                    }
                }
            }
            for (line, count) in segment.buckets.iter().zip(overflow) {
                let counted = u32::from(line.overflow);
                assert!(counted == count || line.overflow == u8::MAX, "overflow counts add up");
            }
            assert_eq!(here, segment.len, "a segment knows its length");
            len += usize::from(here);
        }
        assert_eq!(len, self.len, "the table knows its length");
    }
}

impl Segment {
    fn new(depth: u8) -> Self {
        Self { buckets: vec![Bucket::EMPTY; BUCKETS].into_boxed_slice(), depth, len: 0 }
    }

    /// Empties the segment, gives it another depth, and returns a copy of what it held.
    fn take_all(&mut self, depth: u8) -> Vec<Bucket> {
        let all = self.buckets.to_vec();
        self.buckets.fill(Bucket::EMPTY);
        self.depth = depth;
        self.len = 0;
        all
    }

    fn insert(&mut self, hash: u64, handle: Handle) {
        assert!(usize::from(self.len) < BUCKETS * SLOTS, "a full segment is split first");
        let mut bucket = home(hash, self.depth);
        loop {
            let line = &mut self.buckets[bucket];
            if let Some(slot) = line.tags.iter().position(|&tag| tag == 0) {
                line.tags[slot] = tag_of(hash);
                line.handles[slot] = handle.to_bytes();
                self.len += 1;
                return;
            }
            line.overflow = line.overflow.saturating_add(1);
            bucket = (bucket + 1) % BUCKETS;
        }
    }
}

impl Bucket {
    const EMPTY: Self = Self { tags: [0; SLOTS], overflow: 0, handles: [[0; 5]; SLOTS] };

    /// A bit for each slot with this tag.
    #[inline]
    fn matches(&self, tag: u8) -> u32 {
        let mut found = 0;
        for (slot, &here) in self.tags.iter().enumerate() {
            found |= u32::from(here == tag) << slot;
        }
        found
    }
}

/// The home bucket of a hash in a segment of this depth.
#[inline]
fn home(hash: u64, depth: u8) -> usize {
    (hash << depth >> (64 - BUCKET_BITS)) as usize
}

/// The tag of a hash: its low byte, but never zero.
#[inline]
fn tag_of(hash: u64) -> u8 {
    let low = hash as u8;
    if low == 0 { 1 } else { low }
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
            cursor = table.scan(cursor, hash_of, |found| {
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
            cursor = table.scan(cursor, hash_of, |found| {
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
}
