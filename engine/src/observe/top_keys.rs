//! The keys that weigh most in a stream of keys, in bounded memory: the space-saving method of
//! Metwally, Agrawal and El Abbadi ("Efficient computation of frequent and top-k elements in data
//! streams", 2005).
//!
//! Invariants: there are never more than `capacity` keys, each of a bounded length; a key whose
//! weight is more than the total divided by the capacity is among them; what is said of a key is
//! no less than its true weight, and no more than that and its `error`.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a key that are kept.
const KEY_BYTES_MAX: usize = 128;

/// The heaviest keys. All memory is taken at the beginning.
#[derive(Clone, Debug)]
pub(crate) struct TopKeys {
    capacity: usize,
    /// These are walked for every key, so they lie by themselves.
    hashes: Vec<u64>,
    weights: Vec<u64>,
    places: Vec<Place>,
    /// The beginnings of the keys, one behind the other.
    bytes: Vec<u8>,
}

/// What is known of a key beside its weight.
#[derive(Clone, Copy, Debug)]
struct Place {
    db: usize,
    len: usize,
    error: u64,
}

/// One of the heaviest keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopKey<'a> {
    pub(crate) db: usize,
    /// The key, or the beginning of a long one.
    pub(crate) key: &'a [u8],
    /// How long the key is.
    pub(crate) len: usize,
    /// How much of its weight may be that of keys that had its place before.
    pub(crate) error: u64,
    pub(crate) weight: u64,
}

impl TopKeys {
    /// Room for so many keys.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            hashes: Vec::with_capacity(capacity),
            weights: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
            bytes: vec![0; capacity * KEY_BYTES_MAX],
        }
    }

    /// Adds a weight to a key.
    pub(crate) fn add(&mut self, db: usize, key: &[u8], weight: u64) {
        let hash = xxh3_64_with_seed(key, db as u64);
        if weight == 0 || self.capacity == 0 {
            return;
        }
        if let Some(place) = self.find(hash) {
            self.weights[place] = self.weights[place].saturating_add(weight);
        } else if self.places.len() < self.capacity {
            self.push(db, key, hash, weight);
        } else if let Some((place, least)) = self.lightest() {
            self.replace(place, db, key, hash, least.saturating_add(weight));
            self.places[place].error = least;
        }
    }

    /// Says what a key weighs now; it is kept if others weigh less. Nothing is a key that has gone.
    pub(crate) fn put(&mut self, db: usize, key: &[u8], weight: Option<u64>) {
        let hash = xxh3_64_with_seed(key, db as u64);
        match (self.find(hash), weight) {
            (Some(place), Some(weight)) => self.weights[place] = weight,
            (Some(place), None) => self.remove(place),
            (None, None) => {}
            (None, Some(weight)) if self.places.len() < self.capacity => {
                self.push(db, key, hash, weight);
            }
            (None, Some(weight)) => {
                if let Some((place, _)) = self.lightest().filter(|&(_, least)| least < weight) {
                    self.replace(place, db, key, hash, weight);
                }
            }
        }
    }

    /// Makes everything weigh half: what is old counts less and less.
    pub(crate) fn age(&mut self) {
        self.weights.iter_mut().for_each(|weight| *weight /= 2);
        self.places.iter_mut().for_each(|place| place.error /= 2);
    }

    /// The heaviest keys, at most `count`.
    pub(crate) fn heaviest(&self, count: usize) -> Vec<TopKey<'_>> {
        let mut all: Vec<TopKey<'_>> = (0..self.places.len()).map(|at| self.key(at)).collect();
        all.retain(|key| key.weight > 0);
        all.sort_by_key(|key| (core::cmp::Reverse(key.weight), key.db, key.key));
        all.truncate(count);
        all
    }

    /// A copy of the keys that are kept as a whole, with their databases.
    pub(crate) fn whole_keys(&self) -> Vec<(usize, Box<[u8]>)> {
        let all = (0..self.places.len()).map(|at| self.key(at));
        let whole = all.filter(|key| key.len == key.key.len());
        whole.map(|key| (key.db, key.key.into())).collect()
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let each = 2 * size_of::<u64>() + size_of::<Place>() + KEY_BYTES_MAX;
        self.capacity * each
    }

    fn key(&self, place: usize) -> TopKey<'_> {
        let Place { db, len, error } = self.places[place];
        let start = place * KEY_BYTES_MAX;
        let key = &self.bytes[start..start + len.min(KEY_BYTES_MAX)];
        TopKey { db, key, len, error, weight: self.weights[place] }
    }

    fn find(&self, hash: u64) -> Option<usize> {
        self.hashes.iter().position(|&other| other == hash)
    }

    fn lightest(&self) -> Option<(usize, u64)> {
        let weights = self.weights.iter().copied().enumerate();
        weights.min_by_key(|&(_, weight)| weight)
    }

    fn push(&mut self, db: usize, key: &[u8], hash: u64, weight: u64) {
        self.hashes.push(hash);
        self.weights.push(weight);
        self.places.push(Place { db, len: key.len(), error: 0 });
        self.replace(self.places.len() - 1, db, key, hash, weight);
    }

    fn replace(&mut self, place: usize, db: usize, key: &[u8], hash: u64, weight: u64) {
        self.hashes[place] = hash;
        self.weights[place] = weight;
        self.places[place] = Place { db, len: key.len(), error: 0 };
        let kept = &key[..key.len().min(KEY_BYTES_MAX)];
        let start = place * KEY_BYTES_MAX;
        self.bytes[start..start + kept.len()].copy_from_slice(kept);
    }

    fn remove(&mut self, place: usize) {
        self.hashes.swap_remove(place);
        self.weights.swap_remove(place);
        self.places.swap_remove(place);
        let last = self.places.len() * KEY_BYTES_MAX;
        self.bytes.copy_within(last..last + KEY_BYTES_MAX, place * KEY_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    #[test]
    fn heavy_keys_are_found_among_many_and_weights_are_bounds() {
        let mut rng = Rng::new(Seed(1), "keys");
        let mut top = TopKeys::new(100);
        let mut truth = std::collections::BTreeMap::new();
        for _ in 0..20_000 {
            let key = if rng.chance(1, 2) { rng.below(10) } else { 10 + rng.below(5_000) };
            let key = format!("key:{key}");
            top.add(0, key.as_bytes(), 3);
            *truth.entry(key).or_insert(0) += 3_u64;
        }
        let heaviest = top.heaviest(10);
        assert_eq!(heaviest.len(), 10);
        for key in heaviest {
            let name = String::from_utf8(key.key.to_vec()).unwrap();
            let number: u64 = name[4..].parse().unwrap();
            assert!(number < 10, "{name} is no hot key");
            let truth = truth[&name];
            assert!(truth <= key.weight && key.weight <= truth + key.error, "{key:?}: {truth}");
        }
        assert_eq!(top.places.len(), 100);
    }

    #[test]
    fn sizes_are_replaced_and_keys_that_have_gone_are_dropped() {
        let mut top = TopKeys::new(2);
        for (key, size) in [("a", 10), ("b", 20), ("c", 5), ("d", 30), ("b", 1)] {
            top.put(0, key.as_bytes(), Some(size));
        }
        let names = |top: &TopKeys| -> Vec<(Vec<u8>, u64)> {
            top.heaviest(9).into_iter().map(|key| (key.key.to_vec(), key.weight)).collect()
        };
        assert_eq!(names(&top), [(b"d".to_vec(), 30), (b"b".to_vec(), 1)]);
        top.put(0, b"d", None);
        top.put(1, b"b", Some(2));
        assert_eq!(names(&top), [(b"b".to_vec(), 2), (b"b".to_vec(), 1)]);
        top.age();
        assert_eq!(names(&top), [(b"b".to_vec(), 1)]);
    }

    #[test]
    fn long_keys_take_bounded_memory() {
        let mut top = TopKeys::new(2);
        let (mut long, mut other) = (vec![b'x'; 10_000], vec![b'x'; 10_000]);
        long.push(b'1');
        other.push(b'2');
        top.add(0, &long, 1);
        top.add(0, &other, 2);
        assert!(top.memory_bytes() < 1_000);
        let heaviest = top.heaviest(2);
        assert_eq!((heaviest.len(), heaviest[0].weight), (2, 2), "they are told apart");
        assert_eq!((heaviest[0].len, top.whole_keys().len()), (10_001, 0));
    }
}
