//! The search nodes seen so far, and those that they make superfluous.
//!
//! A node that has used fewer optional operations than another, and is equal otherwise, can do
//! whatever the other can: an optional operation never has to take effect. So only the least sets
//! of optional operations are kept for each level, state and set of required operations.

use rustc_hash::{FxHashMap, FxHashSet};

use super::bits::Bits;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key<R> {
    level_and_state: u64,
    required: R,
}

const END: u32 = u32::MAX;

/// What was seen.
#[derive(Debug)]
pub(super) struct Visited<R, O> {
    /// Used when there are no optional operations at all.
    plain: FxHashSet<Key<R>>,
    /// First link of the chain of optional sets.
    heads: FxHashMap<Key<R>, u32>,
    links: Vec<(O, u32)>,
}

impl<R, O> Default for Visited<R, O> {
    fn default() -> Self {
        Self { plain: FxHashSet::default(), heads: FxHashMap::default(), links: Vec::new() }
    }
}

impl<R: Bits, O: Bits> Visited<R, O> {
    /// Whether the node is worth exploring; it is remembered if so.
    pub(super) fn insert(&mut self, level: u32, state: u32, required: R, optional: O) -> bool {
        let key = Key { level_and_state: u64::from(level) << 32 | u64::from(state), required };
        if O::CAPACITY == 0 {
            return self.plain.insert(key);
        }
        let head = self.heads.entry(key).or_insert(END);
        let mut at = *head;
        while at != END {
            let (seen, next) = self.links[at as usize];
            if seen.is_subset(optional) {
                return false;
            }
            at = next;
        }
        let link = u32::try_from(self.links.len()).expect("the memory limit is below 2^32 links");
        self.links.push((optional, *head));
        *head = link;
        true
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.plain.capacity() * (size_of::<Key<R>>() + 1)
            + self.heads.capacity() * (size_of::<(Key<R>, u32)>() + 1)
            + self.links.capacity() * size_of::<(O, u32)>()
    }
}
