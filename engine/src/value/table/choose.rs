//! Random entries, each equally likely.
//!
//! A random slot of a random leaf of a random segment, out of as many of each as any has, is drawn
//! again until there is an entry: every entry is one of as many equally likely places.

use std::collections::BTreeSet;

use super::cell::Entry;
use super::segment::LEAVES_MAX;
use super::{Spot, Table};
use crate::rng::Rng;

/// In so few leaves entries are counted off instead.
const LEAVES_COUNTED_MAX: usize = 8;
/// Of so few segments the largest is looked up.
const SEGMENTS_MEASURED_MAX: usize = 8;
/// A larger part of all entries than one in so many is chosen on a walk over all.
const WALK_SHARE: usize = 8;

impl Table {
    /// A random entry; `None` if there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<Entry<'_>> {
        (!self.is_empty()).then(|| self.entry(self.random_spot(rng)))
    }

    /// Takes a random entry out after a visit to it, if there is one.
    pub fn pop(&mut self, rng: &mut Rng, visit: impl FnOnce(Entry<'_>)) {
        if !self.is_empty() {
            let spot = self.random_spot(rng);
            let entry = self.entry(spot);
            visit(entry);
            let hash = self.hash_of(entry);
            self.remove_at(spot, hash);
        }
    }

    /// Visits `count` different random entries, or all if there are fewer; each choice of so many
    /// is equally likely. Their order is not random.
    pub fn choose<'a>(&'a self, rng: &mut Rng, count: usize, mut visit: impl FnMut(Entry<'a>)) {
        if count >= self.len() / WALK_SHARE {
            // Knuth's algorithm S: of those left, choose each with the chance that fills the need.
            let mut wanted = count.min(self.len());
            for (passed, entry) in self.iter().enumerate() {
                if wanted == 0 {
                    return;
                }
                if rng.below((self.len() - passed) as u64) < wanted as u64 {
                    wanted -= 1;
                    visit(entry);
                }
            }
            return;
        }
        let mut chosen = BTreeSet::new();
        while chosen.len() < count {
            let spot = self.random_spot(rng);
            if chosen.insert((spot.segment, spot.leaf, spot.slot)) {
                visit(self.entry(spot));
            }
        }
    }

    /// Where a random entry is; there must be one.
    fn random_spot(&self, rng: &mut Rng) -> Spot {
        let few = self.segments.len() <= SEGMENTS_MEASURED_MAX;
        let leaves = || self.segments.iter().map(|segment| segment.leaves().len());
        if few && leaves().sum::<usize>() <= LEAVES_COUNTED_MAX {
            return self.counted_spot(rng.below(self.len() as u64) as usize);
        }
        let most_leaves = if few { leaves().max().unwrap_or_default() } else { LEAVES_MAX };
        loop {
            let segment = rng.below(self.segments.len() as u64) as usize;
            let leaf = rng.below(most_leaves as u64) as usize;
            let slot = rng.below(self.widest as u64) as usize;
            let Some(found) = self.segments[segment].leaves().get(leaf) else { continue };
            if slot < found.len() {
                return Spot { segment, leaf, slot };
            }
        }
    }

    /// Where the entry is before which there are so many.
    fn counted_spot(&self, mut slot: usize) -> Spot {
        for (segment, leaves) in self.segments.iter().map(|segment| segment.leaves()).enumerate() {
            for (leaf, found) in leaves.iter().enumerate() {
                if slot < found.len() {
                    return Spot { segment, leaf, slot };
                }
                slot -= found.len();
            }
        }
        unreachable!("leaves hold as many entries as there are")
    }
}
