//! The table of big hashes and sets: keys, or keys with values, found by hash, in few bytes.
//!
//! Extendible hashing in two levels: the leading bits of a hash choose a segment, further bits a
//! leaf, in which a few dozen entries lie packed in one allocation. A full leaf is split, sparse
//! sisters are merged, and so are segments; no operation ever moves more than one of each. There is
//! neither a pointer per entry nor a free slot. Splitting where it is full (and not in turn, as
//! linear hashing does) keeps leaves even if keys come or go in the order of their hashes: that is
//! what a client does who scans one table to fill or to empty one.
//!
//! A leaf covers an interval of hash space. A scan's cursor is a position in hash space, which
//! means the same however many leaves there are.
//!
//! Invariant: a leaf holds exactly the entries whose hash leads to it.
//! Source: Fagin and others, "Extendible hashing: a fast access method for dynamic files" (1979).

mod blobs;
mod cell;
mod choose;
mod leaf;
mod segment;
mod walk;

#[cfg(test)]
mod tests;

use siphasher::sip::SipHasher13;

use crate::value::packed::Encoded;
use crate::value::shared::{Meter, Shared};
use blobs::Blobs;
use cell::{Cell, Value, cell_bytes, hashed, hashed_in, holds, value_bytes};
pub use cell::{DEADLINE_MS_MAX, Entry};
use leaf::Leaf;
use segment::Segment;
pub use walk::Entries;

/// What one call of `free_some` frees: so many allocations, so many bytes of blobs.
const FREE_ALLOCATIONS_PER_STEP: usize = 256;
const FREE_BYTES_PER_STEP: usize = 1 << 20;

/// No more bits of a hash lead to a leaf.
const DEPTH_MAX: u32 = 48;

/// The secret key of a table's hash function, so that clients cannot aim at one leaf.
pub type HashKey = (u64, u64);

/// A big set or a big map.
#[derive(Debug)]
pub struct Table {
    /// The segments that leading bits of a hash choose: the number of a segment for each value of
    /// [`Self::root_bits`] bits.
    root: Vec<u32>,
    root_bits: u32,
    /// At least one.
    segments: Vec<Shared<Segment>>,
    len: usize,
    /// Heap bytes of all segments.
    segment_bytes: usize,
    /// No leaf has more entries.
    widest: usize,
    blobs: Blobs,
    has_values: bool,
    hasher: SipHasher13,
}

/// Where an entry is, until the table is next changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    segment: usize,
    leaf: usize,
    slot: usize,
}

impl Clone for Table {
    fn clone(&self) -> Self {
        let segments = self.segments.clone();
        // A copy has less room to grow.
        let segment_bytes = segments.iter().map(|segment| segment.memory_bytes()).sum();
        let (root, blobs) = (self.root.clone(), self.blobs.clone());
        Self { root, segments, segment_bytes, blobs, ..*self }
    }
}

impl Table {
    /// An empty table of keys alone.
    pub fn of_keys(hash_key: HashKey) -> Self {
        Self::new(hash_key, false)
    }

    /// An empty table of keys with values.
    pub fn of_pairs(hash_key: HashKey) -> Self {
        Self::new(hash_key, true)
    }

    fn new(hash_key: HashKey, has_values: bool) -> Self {
        let segment = Segment::new(0);
        Self {
            root: vec![0],
            root_bits: 0,
            segment_bytes: segment.memory_bytes(),
            segments: vec![Shared::from(segment)],
            len: 0,
            widest: 0,
            blobs: Blobs::default(),
            has_values,
            hasher: SipHasher13::new_with_keys(hash_key.0, hash_key.1),
        }
    }

    /// The same table, to be read: segments and blobs are shared.
    pub(crate) fn share(&mut self, meter: &Meter) -> Self {
        let segments = self.segments.iter_mut().map(|segment| segment.share(meter)).collect();
        let (root, blobs) = (self.root.clone(), self.blobs.share(meter));
        meter.add(root.capacity() * size_of::<u32>());
        Self { root, segments, blobs, ..*self }
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash of a key, for those who keep an order of their own beside the table.
    #[inline]
    pub fn hash(&self, key: &Encoded<'_>) -> u64 {
        self.hasher.hash(hashed(key))
    }

    /// Whether there is such a key.
    #[inline]
    pub fn contains(&self, key: &Encoded<'_>) -> bool {
        self.spot(self.hash(key), key).is_some()
    }

    /// The entry of a key.
    #[inline]
    pub fn find(&self, key: &Encoded<'_>) -> Option<Entry<'_>> {
        self.spot(self.hash(key), key).map(|spot| self.entry(spot))
    }

    /// The hash of an entry's key, as [`Self::hash`] gives it.
    pub fn hash_of(&self, entry: Entry<'_>) -> u64 {
        self.hasher.hash(hashed_in(entry.bytes(), &self.blobs))
    }

    /// Adds a key to a table of keys; false if it is there.
    pub fn insert(&mut self, key: &Encoded<'_>) -> bool {
        debug_assert!(!self.has_values, "pairs are set");
        let hash = self.hash(key);
        let is_new = self.spot(hash, key).is_none();
        if is_new {
            self.add(hash, key, None);
        }
        is_new
    }

    /// Gives a key of a table of pairs a value, and a deadline if the value has one; true if the
    /// key is new.
    pub fn set(
        &mut self,
        key: &Encoded<'_>,
        value: &Encoded<'_>,
        deadline_ms: Option<u64>,
    ) -> bool {
        debug_assert!(self.has_values, "keys alone are inserted");
        let hash = self.hash(key);
        match self.spot(hash, key) {
            Some(spot) => {
                self.overwrite(spot, hash, value, deadline_ms);
                false
            }
            None => {
                let cell = Cell::new(value, &mut self.blobs);
                self.add(hash, key, Some(Value { cell, deadline_ms }));
                true
            }
        }
    }

    /// Changes only when the value of a key expires; false if there is no such key.
    pub fn set_deadline(&mut self, key: &Encoded<'_>, deadline_ms: Option<u64>) -> bool {
        let hash = self.hash(key);
        let Some(spot) = self.spot(hash, key) else { return false };
        let entry = self.bytes_at(spot);
        let from = cell_bytes(entry);
        let old = cell::deadline_bytes(&entry[from..]);
        let new = deadline_ms.map(cell::deadline_cell);
        let new = new.as_ref().map_or(&[][..], |cell| &cell[..]);
        self.change(spot, |leaf| {
            leaf.splice(spot.slot, from, old, new.len()).copy_from_slice(new);
        });
        self.split_if_crowded(hash, spot);
        true
    }

    /// Takes a key out; false if there is no such key.
    pub fn remove(&mut self, key: &Encoded<'_>) -> bool {
        let hash = self.hash(key);
        let Some(spot) = self.spot(hash, key) else { return false };
        self.remove_at(spot, hash);
        true
    }

    /// Heap bytes owned.
    #[inline]
    pub fn memory_bytes(&self) -> usize {
        self.segment_bytes
            + self.segments.capacity() * size_of::<Shared<Segment>>()
            + self.root.capacity() * size_of::<u32>()
            + self.blobs.memory_bytes()
    }

    /// Whether freeing it takes more than one step.
    pub fn is_big(&self) -> bool {
        self.memory_bytes() > FREE_BYTES_PER_STEP
            || self.blobs.len() > FREE_ALLOCATIONS_PER_STEP
            || self.segments.len() > 1
    }

    /// Frees a bounded part; true when nothing is left. The table is not used any more.
    pub fn free_some(&mut self) -> bool {
        if !self.blobs.free_some(FREE_ALLOCATIONS_PER_STEP, FREE_BYTES_PER_STEP) {
            return false;
        }
        let mut leaves = FREE_ALLOCATIONS_PER_STEP;
        while let Some(mut segment) = self.segments.pop() {
            self.segment_bytes -= segment.memory_bytes();
            let Some(own) = segment.own_to_free() else { continue };
            if !own.free_some(&mut leaves) {
                self.segment_bytes += segment.memory_bytes();
                self.segments.push(segment);
                return false;
            }
        }
        true
    }

    /// Checks the structure; for tests.
    pub fn check_invariants(&self) {
        self.blobs.check_invariants();
        let (mut len, mut blobs, mut named) = (0, Vec::new(), 0);
        for (index, segment) in self.segments.iter().enumerate() {
            segment.check_invariants();
            named += self.root.iter().filter(|&&number| number as usize == index).count();
            assert!(segment.depth <= self.root_bits, "the root has bits for all");
            for (leaf_index, leaf) in segment.leaves().iter().enumerate() {
                len += leaf.len();
                assert!(leaf.len() <= self.widest, "no leaf is wider than the widest");
                leaf.check_invariants(
                    |entry| self.entry_bytes(entry),
                    |tag, bytes| {
                        let hash = self.hash_of(Entry::new(bytes, &self.blobs));
                        assert_eq!(tag, tag_of(hash), "a tag is of its hash");
                        let place = (self.segment_of(hash), segment.leaf_of(hash));
                        assert_eq!(place, (index, leaf_index), "an entry is where its hash leads");
                        blobs.extend(cell::blob_in(bytes));
                        if self.has_values {
                            blobs.extend(cell::value_blob(&bytes[cell_bytes(bytes)..]));
                        }
                    },
                );
            }
        }
        assert_eq!(named, 1 << self.root_bits, "the root is as long as it says");
        assert_eq!(len, self.len, "entries are counted");
        let bytes: usize = self.segments.iter().map(|segment| segment.memory_bytes()).sum();
        assert_eq!(bytes, self.segment_bytes, "segments are accounted for");
        blobs.sort_unstable();
        blobs.dedup();
        assert_eq!(blobs.len(), self.blobs.len(), "every blob has one owner");
    }

    /// Where a key is.
    #[inline]
    fn spot(&self, hash: u64, key: &Encoded<'_>) -> Option<Spot> {
        let number = self.segment_of(hash);
        let segment = &self.segments[number];
        let leaf = segment.leaf_of(hash);
        let is_it = |entry: &[u8]| holds(entry, key, &self.blobs);
        let slot = segment.leaf(leaf).find(tag_of(hash), is_it)?;
        Some(Spot { segment: number, leaf, slot })
    }

    #[inline]
    fn entry(&self, spot: Spot) -> Entry<'_> {
        Entry::new(self.bytes_at(spot), &self.blobs)
    }

    #[inline]
    fn bytes_at(&self, spot: Spot) -> &[u8] {
        self.segments[spot.segment].leaf(spot.leaf).entry(spot.slot)
    }

    /// The number of the segment that a hash leads to.
    #[inline]
    fn segment_of(&self, hash: u64) -> usize {
        self.root[self.root_of(hash)] as usize
    }

    #[inline]
    fn root_of(&self, hash: u64) -> usize {
        // In two steps, because there may be no bits at all.
        (hash >> 1 >> (63 - self.root_bits)) as usize
    }

    /// Changes the leaf of a spot and keeps the figures.
    #[inline]
    fn change<R>(&mut self, spot: Spot, change: impl FnOnce(&mut Leaf) -> R) -> R {
        let segment = &mut self.segments[spot.segment];
        let before = segment.memory_bytes();
        let result = segment.change(spot.leaf, change);
        self.segment_bytes = self.segment_bytes + segment.memory_bytes() - before;
        result
    }

    /// Takes the entry of a spot out, whose hash this is.
    fn remove_at(&mut self, spot: Spot, hash: u64) {
        let entry = self.bytes_at(spot);
        let (len, key_bytes) = (self.entry_bytes(entry), cell_bytes(entry));
        let key_blob = cell::blob_in(entry);
        let value_blob = if self.has_values { cell::value_blob(&entry[key_bytes..]) } else { None };
        for blob in [key_blob, value_blob].into_iter().flatten() {
            self.blobs.remove(blob);
        }
        self.change(spot, |leaf| leaf.remove(spot.slot, len));
        self.len -= 1;
        self.merge_if_sparse(hash, spot);
    }

    /// How long the entry at the front of `bytes` is.
    #[inline]
    fn entry_bytes(&self, bytes: &[u8]) -> usize {
        entry_bytes(bytes, self.has_values)
    }

    fn add(&mut self, hash: u64, key: &Encoded<'_>, value: Option<Value<'_>>) {
        let key = Cell::new(key, &mut self.blobs);
        let len = key.len() + value.as_ref().map_or(0, Value::len);
        let segment = self.segment_of(hash);
        let leaf = self.segments[segment].leaf_of(hash);
        let spot = Spot { segment, leaf, slot: self.segments[segment].leaf(leaf).len() };
        self.change(spot, |leaf| {
            leaf.push(tag_of(hash), len, |into| {
                let rest = key.write(into);
                if let Some(value) = value {
                    value.write(rest);
                }
            });
        });
        self.len += 1;
        self.widest = self.widest.max(spot.slot + 1);
        self.split_if_crowded(hash, spot);
    }

    fn overwrite(&mut self, spot: Spot, hash: u64, value: &Encoded<'_>, deadline_ms: Option<u64>) {
        let entry = self.bytes_at(spot);
        let from = cell_bytes(entry);
        let old = value_bytes(&entry[from..]);
        let cell = match cell::value_blob(&entry[from..]) {
            Some(blob) if cell::is_far(value) => {
                self.blobs.replace(blob, value.body());
                Cell::Far(blob)
            }
            blob => {
                if let Some(blob) = blob {
                    self.blobs.remove(blob);
                }
                Cell::new(value, &mut self.blobs)
            }
        };
        let new = Value { cell, deadline_ms };
        self.change(spot, |leaf| {
            new.write(leaf.splice(spot.slot, from, old, new.len()));
        });
        if new.len() > old {
            self.split_if_crowded(hash, spot);
        }
    }

    /// Splits the leaf of a spot, to which a hash led, if it is too full.
    #[inline]
    fn split_if_crowded(&mut self, hash: u64, spot: Spot) {
        if self.segments[spot.segment].is_crowded(spot.leaf) {
            self.split(hash);
        }
    }

    /// Splits the leaf that a hash leads to until it is no longer too full: more than once only
    /// where all entries agree in further bits.
    fn split(&mut self, hash: u64) {
        loop {
            let number = self.segment_of(hash);
            let segment = &mut self.segments[number];
            let is_done =
                !segment.is_crowded(segment.leaf_of(hash)) || segment.leaf_depth(hash) == DEPTH_MAX;
            if is_done {
                return;
            }
            let (blobs, hasher, has_values) = (&self.blobs, &self.hasher, self.has_values);
            let before = segment.memory_bytes();
            let is_split = segment.split_leaf(
                hash,
                |bytes| entry_bytes(bytes, has_values),
                |bytes| hasher.hash(hashed_in(bytes, blobs)),
            );
            self.segment_bytes = self.segment_bytes + segment.memory_bytes() - before;
            if !is_split {
                self.split_segment(hash, number);
            }
        }
    }

    fn split_segment(&mut self, hash: u64, number: usize) {
        let segment = &mut self.segments[number];
        let before = segment.memory_bytes();
        let upper = segment.split();
        let depth = segment.depth;
        self.segment_bytes =
            self.segment_bytes + segment.memory_bytes() + upper.memory_bytes() - before;
        self.segments.push(upper.into());
        if depth > self.root_bits {
            self.root = self.root.iter().flat_map(|&number| [number, number]).collect();
            self.root_bits += 1;
        }
        let run = 1 << (self.root_bits - depth);
        // The first place of the upper half.
        let first = self.root_of(hash | 1 << (64 - depth)) / run * run;
        self.root[first..first + run].fill(self.segments.len() as u32 - 1);
    }

    /// Merges the leaf of a spot, to which a hash led, with others that are sparse, too.
    #[inline]
    fn merge_if_sparse(&mut self, hash: u64, spot: Spot) {
        let segment = &mut self.segments[spot.segment];
        let before = segment.memory_bytes();
        let mut is_merged = false;
        while segment.merge_leaf(hash) {
            is_merged = true;
        }
        if is_merged {
            self.widest = self.widest.max(segment.leaf(segment.leaf_of(hash)).len());
            self.segment_bytes = self.segment_bytes + segment.memory_bytes() - before;
            if segment.depth > 0 && segment.is_sparse() {
                self.merge_segment(hash, spot.segment);
            }
        }
    }

    /// Merges a segment with its sister, if that is sparse, too.
    fn merge_segment(&mut self, hash: u64, number: usize) {
        let depth = self.segments[number].depth;
        let bit = 1 << (64 - depth);
        let sister = self.segment_of(hash ^ bit);
        if !self.segments[number].fits_with(&self.segments[sister]) {
            return;
        }
        let (lower, upper) = if hash & bit == 0 { (number, sister) } else { (sister, number) };
        let gone = self.segments.swap_remove(upper);
        let moved = self.segments.len();
        for place in &mut self.root {
            if *place as usize == upper {
                *place = lower as u32;
            }
        }
        for place in &mut self.root {
            if *place as usize == moved {
                *place = upper as u32;
            }
        }
        let into = &mut self.segments[if lower == moved { upper } else { lower }];
        let before = into.memory_bytes() + gone.memory_bytes();
        into.absorb(gone.into_own());
        self.segment_bytes = self.segment_bytes + into.memory_bytes() - before;
        while self.segments.iter().all(|segment| segment.depth < self.root_bits) {
            self.root = self.root.iter().copied().step_by(2).collect();
            self.root_bits -= 1;
        }
    }
}

#[inline]
fn entry_bytes(bytes: &[u8], has_values: bool) -> usize {
    let key = cell_bytes(bytes);
    if has_values { key + value_bytes(&bytes[key..]) } else { key }
}

/// The tag of a hash: bits that choose no leaf.
#[inline]
fn tag_of(hash: u64) -> u8 {
    hash as u8
}
