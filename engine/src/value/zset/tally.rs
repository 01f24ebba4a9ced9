//! Scores by member while sorted sets are combined, in any order; sorted at the end.
//!
//! It lives for one command, which takes as long as its inputs are large anyway: so it is the plain
//! thing, a vector of entries and a table of their numbers with open addressing.
//!
//! Invariant: every entry that was added by [`Tally::add`] is in the table, which is at most half
//! full.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::{Limits, Zset};

/// Places in the first table.
const SLOTS_MIN: usize = 16;
/// A place that no entry has.
const VACANT: u32 = u32::MAX;

/// The scores so far.
#[derive(Debug)]
pub struct Tally {
    /// Members one behind the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    slots: Vec<u32>,
    hash_key: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    len: u32,
    hash: u32,
    score: f64,
}

impl Tally {
    /// An empty one; limits have the key of its hash function.
    pub fn new(limits: &Limits) -> Self {
        Self {
            bytes: Vec::new(),
            entries: Vec::new(),
            slots: Vec::new(),
            hash_key: limits.hash_key,
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a member that is known not to be there, and that is not asked for again.
    pub fn push(&mut self, member: &[u8], score: f64) {
        self.push_hashed(member, score, 0);
    }

    /// Adds a member with a score, or changes the score that it has.
    pub fn add(&mut self, member: &[u8], score: f64, change: impl FnOnce(f64) -> f64) {
        if 2 * (self.entries.len() + 1) > self.slots.len() {
            self.grow();
        }
        let hash = self.hash(member);
        let slot = self.slot(hash, |entry| {
            entry.hash == hash
                && self.bytes[entry.start..].get(..entry.len as usize) == Some(member)
        });
        if let Some(entry) = self.entries.get_mut(self.slots[slot] as usize) {
            entry.score = change(entry.score);
            return;
        }
        self.slots[slot] = self.entries.len() as u32;
        self.push_hashed(member, score, hash);
    }

    /// Puts the members in order.
    pub fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| {
            let by_score = a.score.partial_cmp(&b.score).expect("a score is not NaN");
            by_score.then_with(|| member_of(bytes, a).cmp(member_of(bytes, b)))
        });
        // The table speaks of places that entries have left.
        self.slots = Vec::new();
    }

    /// The members and their scores, in order if they were sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], f64)> + Clone + '_ {
        self.entries.iter().map(|entry| (member_of(&self.bytes, entry), entry.score))
    }

    /// The sorted set of these members.
    pub fn into_zset(mut self, limits: &Limits) -> Zset {
        self.sort();
        Zset::from_sorted(limits, self.iter())
    }

    fn push_hashed(&mut self, member: &[u8], score: f64, hash: u32) {
        let len = u32::try_from(member.len()).expect("a word is shorter than 4 GiB");
        self.entries.push(Entry { start: self.bytes.len(), len, hash, score });
        self.bytes.extend_from_slice(member);
    }

    /// The place of the entry that `is_it` holds for, or the vacant one where it belongs.
    fn slot(&self, hash: u32, is_it: impl Fn(&Entry) -> bool) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.entries.get(self.slots[slot] as usize) {
                Some(entry) if !is_it(entry) => slot = (slot + 1) & mask,
                _ => return slot,
            }
        }
    }

    fn grow(&mut self) {
        let len = (2 * self.slots.len()).max(SLOTS_MIN);
        self.slots.clear();
        self.slots.resize(len, VACANT);
        for number in 0..self.entries.len() {
            let slot = self.slot(self.entries[number].hash, |_| false);
            self.slots[slot] = number as u32;
        }
    }

    fn hash(&self, member: &[u8]) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1);
        hasher.write(member);
        hasher.finish() as u32
    }
}

fn member_of<'a>(bytes: &'a [u8], entry: &Entry) -> &'a [u8] {
    &bytes[entry.start..entry.start + entry.len as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::collection::Collection;

    #[test]
    fn scores_are_summed_and_sorted() {
        let limits = Limits { entries: 128, value_bytes: 64, hash_key: (1, 2) };
        let mut tally = Tally::new(&limits);
        for number in 0..3000_u32 {
            let score = f64::from(number);
            tally.add(format!("m{}", number % 1000).as_bytes(), score, |sum| sum + score);
        }
        assert_eq!(tally.len(), 1000);
        let zset = tally.into_zset(&limits);
        zset.check_invariants();
        assert_eq!(zset.reader().score(b"m0"), Some(3000.0));
        assert_eq!(zset.reader().rank(b"m999"), Some((999, 3.0 * 999.0 + 3000.0)));
    }
}
