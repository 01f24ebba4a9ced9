//! Sorted sets past the limits of the packed form: a B+-tree in the order of (score, member), and
//! an index from members to leaves.
//!
//! What was weighed, for a million members of 14 bytes: a leaf of packed keys costs 25 bytes per
//! key and 1 to 2 for the node. The members are stored only there. The index could repeat them (a
//! table of member and score: 30 bytes more), or hold a fingerprint and the score (13 bytes; a
//! lookup goes down the tree, and members of equal scores could not be scanned in an order that
//! outlives a change of score), or a fingerprint and the leaf: 8 bytes and 2 for buckets. The last
//! it is: some 38 bytes in all. A lookup reads a bucket (one or two cache lines), the leaf's tags
//! (one) and one member; a walk reads leaves from end to end. The price is that a split or join of
//! leaves tells the index of each member that moves: some twenty, once in twenty changes.
//!
//! Invariant: leaves are linked in the order of their keys; `counts` say how many members lie below
//! each child; the index has one record for each member, with its leaf.

use core::cmp::Ordering;
use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::edge::Edge;
use super::index::Index;
use super::node::{Inner, Leaf, NONE, Path, Shape};
use super::outside::Outside;
use super::run::{Key, Run};
use super::slab::Slab;
use crate::value::shared::Meter;

/// Allocations that are freed in one step.
const FREE_PER_STEP: usize = 256;
/// Bytes of long members that are freed in one step, or a little more.
const FREE_BYTES_PER_STEP: usize = 1 << 20;

/// A big sorted set.
#[derive(Debug)]
pub struct Tree {
    pub(super) leaves: Slab<Leaf>,
    pub(super) inners: Slab<Inner>,
    pub(super) outside: Outside,
    pub(super) index: Index,
    hash_key: (u64, u64),
    /// A leaf if `height` is 0.
    pub(super) root: u32,
    /// Inner nodes between the root, it included, and a leaf.
    pub(super) height: usize,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) len: usize,
    /// Bytes that nodes have allocated.
    pub(super) node_bytes: usize,
    pub(super) shape: Shape,
}

impl Clone for Tree {
    fn clone(&self) -> Self {
        let (leaves, inners) = (self.leaves.clone(), self.inners.clone());
        // Copies of vectors have no room.
        let node_bytes = leaves.iter().map(|leaf| leaf.run.capacity_bytes()).sum::<usize>()
            + inners.iter().map(Inner::capacity_bytes).sum::<usize>();
        Self {
            leaves,
            inners,
            node_bytes,
            outside: self.outside.clone(),
            index: self.index.clone(),
            ..*self
        }
    }
}

/// Where a member is: its leaf, and its place there.
pub(super) type Place = (u32, usize);

impl Tree {
    /// An empty tree whose hash function has this secret key.
    pub(super) fn new(hash_key: (u64, u64)) -> Self {
        Self::with_shape(hash_key, Shape::USUAL)
    }

    pub(super) fn with_shape(hash_key: (u64, u64), shape: Shape) -> Self {
        let mut leaves = Slab::default();
        let root = leaves.insert(Leaf { run: Run::default(), before: NONE, after: NONE });
        Self {
            leaves,
            inners: Slab::default(),
            outside: Outside::default(),
            index: Index::default(),
            hash_key,
            root,
            height: 0,
            first: root,
            last: root,
            len: 0,
            node_bytes: 0,
            shape,
        }
    }

    /// The same members in order, to be read: the index is not there.
    pub(super) fn share(&mut self, meter: &Meter) -> Self {
        Self {
            leaves: self.leaves.share(meter),
            inners: self.inners.share(meter),
            outside: self.outside.share(meter),
            index: Index::default(),
            ..*self
        }
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The score of a member.
    #[inline]
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        let (leaf, place) = self.find(self.hash(member), member)?;
        Some(self.leaves.at(leaf).run.score(place))
    }

    /// How many members lie before an edge.
    pub(super) fn position(&self, edge: Edge<'_>) -> usize {
        let is_behind = |key: Key<'_>| edge.is_behind(key.score(), || key.member());
        let (mut node, mut before) = (self.root, 0);
        for _ in 0..self.height {
            let inner = self.inners.at(node);
            let child = inner.separators.partition(&self.outside, is_behind);
            before += inner.counts[..child].iter().sum::<u64>();
            node = inner.children[child];
        }
        let run = &self.leaves.at(node).run;
        before as usize + run.partition(&self.outside, is_behind)
    }

    /// How many members lie before a member, and its score.
    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        let (path, leaf) = self.way_to(score, member);
        let place = self.place_in(leaf, score, member);
        Some((self.count_before(&path) + place, score))
    }

    /// The leaf and the place in it of the member before which so many lie.
    ///
    /// # Panics
    /// If there are not more members.
    pub(super) fn at(&self, rank: usize) -> Place {
        let (_, leaf, place) = self.way_to_rank(rank);
        (leaf, place)
    }

    /// Has `decide` say what becomes of a member, given its score if it is there: a new score, or
    /// `None` to leave it.
    pub(super) fn update(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) {
        let hash = self.hash(member);
        let Some((leaf, place)) = self.find(hash, member) else {
            if let Some(score) = decide(None) {
                self.insert(hash, score, member);
            }
            return;
        };
        let old = self.leaves.at(leaf).run.score(place);
        if let Some(new) = decide(Some(old))
            && new != old
        {
            if self.stays_between_neighbours((leaf, place), old, new, member) {
                self.leaves.at_mut(leaf).run.set_score(place, new);
            } else {
                self.remove_key(old, member);
                self.insert(hash, new, member);
            }
        }
    }

    /// Takes a member out and returns its score.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.score(member)?;
        self.remove_key(score, member);
        Some(score)
    }

    /// Visits the members of one piece of hash space, and returns the cursor of the next; 0 is both
    /// the start and the end.
    pub(super) fn scan(&self, cursor: u32, mut visit: impl FnMut(&[u8], f64)) -> u32 {
        self.index.scan(cursor, |hash, leaf| {
            let run = &self.leaves.at(leaf).run;
            for place in run.tagged(hash as u8) {
                let member = self.outside.bytes(run.payload(place));
                if self.hash(member) == hash {
                    visit(member, run.score(place));
                }
            }
        })
    }

    /// Heap bytes, the tree's own included.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.node_bytes
            + self.leaves.memory_bytes()
            + self.inners.memory_bytes()
            + self.outside.memory_bytes()
            + self.index.memory_bytes()
    }

    /// Whether freeing it takes more than a step.
    pub(super) fn is_big(&self) -> bool {
        self.leaves.len() + self.outside.len() > FREE_PER_STEP
            || self.outside.memory_bytes() > FREE_BYTES_PER_STEP
    }

    /// Frees a bounded part; true when nothing is left.
    pub(super) fn free_some(&mut self) -> bool {
        let mut bytes = 0;
        for _ in 0..FREE_PER_STEP {
            if self.leaves.take_any().is_some() || self.inners.take_any().is_some() {
                continue;
            }
            match self.outside.free_some() {
                0 => return self.index.free_some(),
                freed => bytes += freed,
            }
            if bytes >= FREE_BYTES_PER_STEP {
                break;
            }
        }
        false
    }

    /// The leading bits of a member's hash.
    #[inline]
    pub(super) fn hash(&self, member: &[u8]) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1);
        hasher.write(member);
        (hasher.finish() >> 32) as u32
    }

    /// Where a member with this hash is.
    #[inline]
    fn find(&self, hash: u32, member: &[u8]) -> Option<Place> {
        for leaf in self.index.leaves(hash) {
            let run = &self.leaves.at(leaf).run;
            for place in run.tagged(hash as u8) {
                if self.outside.bytes(run.payload(place)) == member {
                    return Some((leaf, place));
                }
            }
        }
        None
    }

    /// The way to the leaf that a key is in or belongs in.
    #[inline]
    pub(super) fn way_to(&self, score: f64, member: &[u8]) -> (Path, u32) {
        let (mut path, mut node) = (Path::default(), self.root);
        for _ in 0..self.height {
            let inner = self.inners.at(node);
            let child = inner.separators.partition(&self.outside, |separator| {
                separator.compare(score, member) != Ordering::Greater
            });
            path.push(node, child);
            node = inner.children[child];
        }
        (path, node)
    }

    /// The place in a leaf that a key is at or belongs at.
    #[inline]
    pub(super) fn place_in(&self, leaf: u32, score: f64, member: &[u8]) -> usize {
        let run = &self.leaves.at(leaf).run;
        run.partition(&self.outside, |key| key.compare(score, member) == Ordering::Less)
    }

    /// The way to the key before which so many lie.
    pub(super) fn way_to_rank(&self, rank: usize) -> (Path, u32, usize) {
        assert!(rank < self.len, "there are more members than the rank");
        let (mut path, mut node, mut left) = (Path::default(), self.root, rank as u64);
        for _ in 0..self.height {
            let inner = self.inners.at(node);
            let mut child = 0;
            while left >= inner.counts[child] {
                left -= inner.counts[child];
                child += 1;
            }
            path.push(node, child);
            node = inner.children[child];
        }
        (path, node, left as usize)
    }

    /// How many members lie before the leaf at the end of a way.
    fn count_before(&self, path: &Path) -> usize {
        let before = path.steps().iter().map(|step| {
            let counts = &self.inners.at(step.inner).counts;
            counts[..step.child].iter().sum::<u64>()
        });
        before.sum::<u64>() as usize
    }

    /// Whether a member with another score stays where it is, as far as its leaf can tell.
    fn stays_between_neighbours(
        &self,
        (leaf, place): Place,
        old: f64,
        new: f64,
        member: &[u8],
    ) -> bool {
        let run = &self.leaves.at(leaf).run;
        // At an end of the leaf only a step inwards is known to be right.
        let behind_left = match place.checked_sub(1) {
            Some(left) => run.key(&self.outside, left).compare(new, member) == Ordering::Less,
            None => new > old,
        };
        let before_right = match place + 1 {
            right if right < run.len() => {
                run.key(&self.outside, right).compare(new, member) == Ordering::Greater
            }
            _ => new < old,
        };
        behind_left && before_right
    }

    /// Changes the run of a leaf and keeps account of its bytes.
    pub(super) fn change_leaf<R>(&mut self, leaf: u32, change: impl FnOnce(&mut Run) -> R) -> R {
        let run = &mut self.leaves.at_mut(leaf).run;
        let before = run.capacity_bytes();
        let result = change(run);
        self.node_bytes = self.node_bytes - before + run.capacity_bytes();
        result
    }

    /// Changes an inner node and keeps account of its bytes.
    pub(super) fn change_inner<R>(
        &mut self,
        inner: u32,
        change: impl FnOnce(&mut Inner) -> R,
    ) -> R {
        let inner = self.inners.at_mut(inner);
        let before = inner.capacity_bytes();
        let result = change(inner);
        self.node_bytes = self.node_bytes - before + inner.capacity_bytes();
        result
    }

    /// Tells the index that the members at `places` of `leaf`, which came from leaf `from`, are
    /// now in leaf `to`.
    pub(super) fn tell_index(
        &mut self,
        leaf: u32,
        places: core::ops::Range<usize>,
        from: u32,
        to: u32,
    ) {
        for place in places {
            let payload = self.leaves.at(leaf).run.payload(place);
            let hash = self.hash(self.outside.bytes(payload));
            self.index.move_to(hash, from, to);
        }
    }
}
