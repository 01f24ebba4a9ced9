//! Walking over a table: all entries at once, or a leaf at a time by cursor.

use super::cell::Entry;
use super::leaf::Leaf;
use super::{Table, entry_bytes, tag_of};

/// Bits of a position in hash space.
const POSITION_BITS: u32 = 48;

impl Table {
    /// All entries.
    pub fn iter(&self) -> Entries<'_> {
        Entries { table: self, segment: 0, next_leaf: 0, rest: &[], left: self.len }
    }

    /// The first entry of those whose keys have this hash for which `is_it` holds.
    pub fn find_hash(&self, hash: u64, is_it: impl Fn(Entry<'_>) -> bool) -> Option<Entry<'_>> {
        let segment = &self.segments[self.segment_of(hash)];
        let leaf = segment.leaf(segment.leaf_of(hash));
        let slot = leaf.find(tag_of(hash), |bytes| {
            let entry = Entry::new(bytes, &self.blobs);
            self.hash_of(entry) == hash && is_it(entry)
        })?;
        Some(Entry::new(leaf.entry(slot), &self.blobs))
    }

    /// Visits the entries of the next leaf; returns the next cursor, 0 at the end. An entry that is
    /// there from the first call to the last is visited, whatever is added and removed meanwhile;
    /// if leaves are merged it may be visited twice.
    pub fn scan<'a>(&'a self, cursor: u64, visit: impl FnMut(Entry<'a>)) -> u64 {
        let position = cursor & ((1 << POSITION_BITS) - 1);
        let hash = position << (64 - POSITION_BITS);
        let segment = &self.segments[self.segment_of(hash)];
        self.entries_in(segment.leaf(segment.leaf_of(hash))).for_each(visit);
        let width = 1 << (POSITION_BITS - segment.leaf_depth(hash));
        let next = (position & !(width - 1)) + width;
        if next == 1 << POSITION_BITS { 0 } else { next }
    }

    /// Shows the entries of the leaf at a place, 0 at first; returns the next place, `None` at the
    /// end. Places mean something until the table is next changed.
    pub fn show_leaf<'a>(&'a self, place: u64, show: impl FnMut(Entry<'a>)) -> Option<u64> {
        let (segment, leaf) = ((place >> 32) as usize, place as u32 as usize);
        let leaves = self.segments[segment].leaves();
        self.entries_in(&leaves[leaf]).for_each(show);
        if leaf + 1 < leaves.len() {
            return Some(place + 1);
        }
        (segment + 1 < self.segments.len()).then_some(((segment + 1) as u64) << 32)
    }

    /// The entries of one leaf.
    fn entries_in<'a>(&'a self, leaf: &'a Leaf) -> Entries<'a> {
        // There is no segment behind the last.
        let segment = self.segments.len();
        Entries { table: self, segment, next_leaf: 0, rest: leaf.entries(), left: leaf.len() }
    }
}

/// Walks over entries.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    table: &'a Table,
    segment: usize,
    next_leaf: usize,
    /// What is left of the present leaf.
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        while self.rest.is_empty() {
            let segment = self.table.segments.get(self.segment)?;
            match segment.leaves().get(self.next_leaf) {
                Some(leaf) => {
                    self.rest = leaf.entries();
                    self.next_leaf += 1;
                }
                None => {
                    self.segment += 1;
                    self.next_leaf = 0;
                }
            }
        }
        let entry = Entry::new(self.rest, &self.table.blobs);
        self.rest = &self.rest[entry_bytes(self.rest, self.table.has_values)..];
        self.left -= 1;
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}
