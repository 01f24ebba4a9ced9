//! From members to leaves: for every member the leading 32 bits of its hash and the number of the
//! leaf that it is in, eight bytes together, without the member itself.
//!
//! It is a linear hash table (Litwin 1980): bucket after bucket is split as it grows, and joined
//! again as it shrinks, so that no change ever moves more than one bucket. Buckets are addressed by
//! the leading bits of the hash, so that each holds an interval of hash space, which splits halve
//! and joins restore. A scan cursor is a position in hash space: everything before it was visited,
//! whatever was split or joined meanwhile.
//!
//! Records are anonymous: two members with equal hashes in one leaf have equal records, and it does
//! not matter which is whose. Who looks a member up asks the leaf whether it is really there.
//!
//! Invariant: a record lies in the bucket whose interval its hash is in.

/// Records per bucket on average before the next bucket is split.
const RECORDS_MAX: usize = 24;
/// Records per bucket on average below which the last two are joined.
const RECORDS_MIN: usize = 10;
/// Buckets grow by so many records.
const GROWTH: usize = 4;
/// Buckets in one allocation of the directory.
const CHUNK: usize = 256;

/// A hash and a leaf, the hash in the upper half.
type Record = u64;

fn record(hash: u32, leaf: u32) -> Record {
    u64::from(hash) << 32 | u64::from(leaf)
}

fn hash_of(record: Record) -> u32 {
    (record >> 32) as u32
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Buckets by number, in chunks so that growth never moves them all. The number of a bucket is
    /// the leading bits of its hashes, the first bit as the lowest.
    chunks: Vec<Vec<Vec<Record>>>,
    buckets: usize,
    len: usize,
    /// Bytes allocated by buckets.
    bucket_bytes: usize,
    /// Places for buckets in all chunks.
    places: usize,
}

impl Clone for Index {
    fn clone(&self) -> Self {
        let chunks = self.chunks.clone();
        // Copies of vectors have no room.
        let records: usize = chunks.iter().flatten().map(Vec::capacity).sum();
        Self {
            buckets: self.buckets,
            len: self.len,
            bucket_bytes: records * size_of::<Record>(),
            places: chunks.iter().map(Vec::capacity).sum(),
            chunks,
        }
    }
}

impl Index {
    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The leaves of records with this hash.
    #[inline]
    pub(super) fn leaves(&self, hash: u32) -> impl Iterator<Item = u32> + '_ {
        let bucket = match self.buckets {
            0 => &[][..],
            _ => self.bucket(self.address(hash)),
        };
        bucket.iter().filter(move |&&own| hash_of(own) == hash).map(|&own| own as u32)
    }

    /// Adds a record.
    pub(super) fn insert(&mut self, hash: u32, leaf: u32) {
        if self.buckets == 0 {
            self.add_bucket(Vec::new());
        }
        self.len += 1;
        self.push(self.address(hash), record(hash, leaf));
        if self.len > self.buckets * RECORDS_MAX {
            self.split();
        }
    }

    /// Takes a record out.
    ///
    /// # Panics
    /// If there is none: index and leaves differ.
    pub(super) fn remove(&mut self, hash: u32, leaf: u32) {
        let address = self.address(hash);
        let bucket = self.bucket_mut(address);
        let place = bucket.iter().position(|&own| own == record(hash, leaf));
        bucket.swap_remove(place.expect("every member of a leaf has a record"));
        let room = bucket.capacity() - bucket.len();
        if room >= 2 * GROWTH {
            bucket.shrink_to(bucket.len() + GROWTH);
            let given_back = room - (bucket.capacity() - bucket.len());
            self.bucket_bytes -= given_back * size_of::<Record>();
        }
        self.len -= 1;
        if self.buckets > 1 && self.len < (self.buckets - 1) * RECORDS_MIN {
            self.join();
        }
    }

    /// Says that a member has moved to another leaf.
    ///
    /// # Panics
    /// If there is no such record: index and leaves differ.
    pub(super) fn move_to(&mut self, hash: u32, from: u32, to: u32) {
        let address = self.address(hash);
        let mut records = self.bucket_mut(address).iter_mut();
        let place = records.find(|own| **own == record(hash, from));
        *place.expect("every member of a leaf has a record") = record(hash, to);
    }

    /// Visits every record of one bucket at or behind `cursor` and returns the cursor of the next;
    /// 0 is both the start and the end. Equal records are visited once.
    pub(super) fn scan(&self, cursor: u32, mut visit: impl FnMut(u32, u32)) -> u32 {
        if self.buckets == 0 {
            return 0;
        }
        let address = self.address(cursor);
        let bucket = self.bucket(address);
        for (place, &own) in bucket.iter().enumerate() {
            if hash_of(own) >= cursor && !bucket[..place].contains(&own) {
                visit(hash_of(own), own as u32);
            }
        }
        let width = 1_u64 << (u32::BITS - self.depth(address));
        let start = u64::from((address as u32).reverse_bits());
        // What is too large for 32 bits is the end, which is written 0.
        (start + width) as u32
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bucket_bytes
            + self.places * size_of::<Vec<Record>>()
            + self.chunks.capacity() * size_of::<Vec<Vec<Record>>>()
    }

    /// Frees a bounded part; true when nothing is left.
    pub(super) fn free_some(&mut self) -> bool {
        self.chunks.pop();
        self.chunks.is_empty()
    }

    /// All records; for tests.
    pub(super) fn records(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let all = self.chunks.iter().flatten().flatten();
        all.map(|&own| (hash_of(own), own as u32))
    }

    /// Checks where records lie, and the counts; for tests.
    pub(super) fn check_invariants(&self) {
        let (mut len, mut bytes, mut places) = (0, 0, 0);
        for address in 0..self.buckets {
            let bucket = &self.chunks[address / CHUNK][address % CHUNK];
            assert!(bucket.iter().all(|&own| self.address(hash_of(own)) == address), "place");
            len += bucket.len();
            bytes += bucket.capacity() * size_of::<Record>();
        }
        for chunk in &self.chunks {
            places += chunk.capacity();
        }
        assert_eq!(len, self.len, "the index knows its length");
        assert_eq!((bytes, places), (self.bucket_bytes, self.places), "the index knows its bytes");
        assert!(self.len <= self.buckets.max(1) * RECORDS_MAX, "the index grows");
    }

    /// The number of the bucket that holds `hash`.
    #[inline]
    fn address(&self, hash: u32) -> usize {
        let bits = hash.reverse_bits() as usize;
        let half = 1 << self.buckets.ilog2();
        let deep = bits & (2 * half - 1);
        // Buckets of the deeper half exist as far as splitting has come.
        if deep < self.buckets { deep } else { bits & (half - 1) }
    }

    /// How many leading bits the hashes of a bucket share.
    fn depth(&self, address: usize) -> u32 {
        let level = self.buckets.ilog2();
        let half = 1 << level;
        if address + half < self.buckets || address >= half { level + 1 } else { level }
    }

    #[inline]
    fn bucket(&self, address: usize) -> &[Record] {
        &self.chunks[address / CHUNK][address % CHUNK]
    }

    #[inline]
    fn bucket_mut(&mut self, address: usize) -> &mut Vec<Record> {
        &mut self.chunks[address / CHUNK][address % CHUNK]
    }

    fn push(&mut self, address: usize, record: Record) {
        let bucket = self.bucket_mut(address);
        let before = bucket.capacity();
        if bucket.len() == before {
            bucket.reserve_exact(GROWTH);
        }
        bucket.push(record);
        let grown = bucket.capacity() - before;
        self.bucket_bytes += grown * size_of::<Record>();
    }

    fn add_bucket(&mut self, bucket: Vec<Record>) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            // The first chunk grows with its content: most tables are small.
            let capacity = if self.chunks.is_empty() { 4 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
            self.places += capacity;
        }
        self.bucket_bytes += bucket.capacity() * size_of::<Record>();
        let last = self.chunks.last_mut().expect("there is a chunk");
        let before = last.capacity();
        last.push(bucket);
        self.places += last.capacity() - before;
        self.buckets += 1;
    }

    /// Splits the next bucket in two.
    fn split(&mut self) {
        let level = self.buckets.ilog2();
        let low = self.buckets - (1 << level);
        let old = core::mem::take(self.bucket_mut(low));
        self.bucket_bytes -= old.capacity() * size_of::<Record>();
        let bit = 1 << (u32::BITS - 1 - level);
        let (high, rest): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|&own| hash_of(own) & bit != 0);
        let (high, rest) = (fitted(&high), fitted(&rest));
        self.bucket_bytes += rest.capacity() * size_of::<Record>();
        *self.bucket_mut(low) = rest;
        self.add_bucket(high);
    }

    /// Joins the last bucket with the one that it was split from.
    fn join(&mut self) {
        let chunk = self.chunks.last_mut().expect("there is a bucket");
        let last = chunk.pop().expect("a chunk has a bucket");
        if chunk.is_empty() {
            self.places -= chunk.capacity();
            self.chunks.pop();
        }
        self.buckets -= 1;
        self.bucket_bytes -= last.capacity() * size_of::<Record>();
        let low = self.buckets - (1 << self.buckets.ilog2());
        let bucket = self.bucket_mut(low);
        let before = bucket.capacity();
        bucket.reserve_exact(last.len());
        bucket.extend_from_slice(&last);
        let grown = bucket.capacity() - before;
        self.bucket_bytes += grown * size_of::<Record>();
    }
}

/// The same records in an allocation with a little room.
fn fitted(records: &[Record]) -> Vec<Record> {
    let mut bucket = Vec::with_capacity(records.len().next_multiple_of(GROWTH));
    bucket.extend_from_slice(records);
    bucket
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    fn hashes(count: usize) -> Vec<u32> {
        let mut rng = Rng::new(Seed(5), "index");
        (0..count).map(|_| rng.next_u64() as u32).collect()
    }

    fn full(hashes: &[u32]) -> Index {
        let mut index = Index::default();
        for (leaf, &hash) in hashes.iter().enumerate() {
            index.insert(hash, leaf as u32);
        }
        index.check_invariants();
        index
    }

    #[test]
    fn records_are_found_moved_and_removed() {
        let hashes = hashes(10_000);
        let mut index = full(&hashes);
        for (leaf, &hash) in hashes.iter().enumerate() {
            assert!(index.leaves(hash).any(|found| found == leaf as u32));
            index.move_to(hash, leaf as u32, leaf as u32 + 100_000);
        }
        for (leaf, &hash) in hashes.iter().enumerate() {
            assert!(index.leaves(hash).any(|found| found == leaf as u32 + 100_000));
            index.remove(hash, leaf as u32 + 100_000);
            if leaf % 500 == 0 {
                index.check_invariants();
            }
        }
        assert_eq!((index.len(), index.buckets), (0, 1));
        assert!(index.memory_bytes() < 7000, "{} bytes are left", index.memory_bytes());
    }

    #[test]
    fn equal_hashes_are_kept_apart_by_their_leaf() {
        let mut index = Index::default();
        for leaf in 0..200 {
            index.insert(0xdead_beef, leaf);
            index.insert(0xdead_beef, leaf);
        }
        index.check_invariants();
        assert_eq!(index.leaves(0xdead_beef).count(), 400);
        let mut visited = Vec::new();
        index.scan(0xdead_beef, |_, leaf| visited.push(leaf));
        visited.sort_unstable();
        assert_eq!(visited, (0..200).collect::<Vec<_>>());
        index.remove(0xdead_beef, 7);
        assert_eq!(index.leaves(0xdead_beef).filter(|&leaf| leaf == 7).count(), 1);
    }

    /// Scans to the end and calls `between` after each step.
    fn scan(index: &mut Index, mut between: impl FnMut(&mut Index)) -> Vec<u32> {
        let (mut cursor, mut seen) = (0, Vec::new());
        loop {
            cursor = index.scan(cursor, |hash, _| seen.push(hash));
            if cursor == 0 {
                return seen;
            }
            between(index);
        }
    }

    #[test]
    fn a_scan_of_a_table_that_rests_meets_each_once() {
        let mut hashes = hashes(5000);
        let mut index = full(&hashes);
        let mut seen = scan(&mut index, |_| {});
        seen.sort_unstable();
        hashes.sort_unstable();
        assert_eq!(seen, hashes);
    }

    #[test]
    fn a_scan_meets_everything_that_stays_while_the_table_grows_or_shrinks() {
        let all = hashes(20_000);
        let mut next = 2000;
        let mut growing = full(&all[..2000]);
        let seen = scan(&mut growing, |index| {
            for (leaf, &hash) in all.iter().enumerate().skip(next).take(60) {
                index.insert(hash, leaf as u32);
            }
            next += 60;
        });
        assert!(all[..2000].iter().all(|hash| seen.contains(hash)));

        let mut next = 1000;
        let mut shrinking = full(&all);
        let seen = scan(&mut shrinking, |index| {
            for (leaf, &hash) in all.iter().enumerate().skip(next).take(60) {
                index.remove(hash, leaf as u32);
            }
            next += 60;
        });
        assert!(all[..1000].iter().all(|hash| seen.contains(hash)));
    }
}
