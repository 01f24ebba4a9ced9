//! What must hold in every tree, checked from scratch; for tests.

use core::cmp::Ordering;

use super::node::NONE;
use super::run::{KEY_BYTES, Key, Payload, Run};
use super::tree::Tree;

/// What was seen on a walk over the nodes.
#[derive(Default)]
struct Seen {
    leaves: Vec<u32>,
    inners: usize,
    node_bytes: usize,
    outside: usize,
}

impl Tree {
    /// Checks order, counts, links, sizes, the index and the account of bytes.
    pub(super) fn check_invariants(&self) {
        let mut seen = Seen::default();
        let len = self.check_node(self.root, self.height, [None, None], &mut seen);
        assert_eq!(len as usize, self.len, "the tree knows its length");
        self.check_links(&seen.leaves);
        assert_eq!(seen.leaves.len(), self.leaves.len(), "no leaf is lost");
        assert_eq!(seen.inners, self.inners.len(), "no inner node is lost");
        assert_eq!(seen.node_bytes, self.node_bytes, "the tree knows its bytes");
        assert_eq!(seen.outside, self.outside.len(), "no long member is lost");
        self.check_index(&seen.leaves);
    }

    /// Checks all below a node, whose keys lie between `bounds`; returns how many members there
    /// are.
    fn check_node(
        &self,
        node: u32,
        height: usize,
        bounds: [Option<Key<'_>>; 2],
        seen: &mut Seen,
    ) -> u64 {
        if height == 0 {
            return self.check_leaf(node, bounds, seen);
        }
        let inner = self.inners.at(node);
        seen.inners += 1;
        seen.node_bytes += inner.capacity_bytes();
        inner.separators.check_invariants(&self.outside);
        let separators = inner.separators.len();
        assert_eq!(inner.children.len(), separators + 1, "children and separators");
        assert_eq!(inner.counts.len(), separators + 1, "children and counts");
        assert!(inner.children.len() <= self.shape.children, "children of a node");
        assert!(node != self.root || separators > 0, "a root with one child is not needed");
        for child in 0..=separators {
            let key = |index: usize| inner.separators.key(&self.outside, index);
            let low = if child == 0 { bounds[0] } else { Some(key(child - 1)) };
            let high = if child == separators { bounds[1] } else { Some(key(child)) };
            let count = self.check_node(inner.children[child], height - 1, [low, high], seen);
            assert_eq!(count, inner.counts[child], "members below a child");
        }
        seen.outside +=
            (0..separators).filter(|&at| self.is_outside(&inner.separators, at)).count();
        inner.count()
    }

    fn check_leaf(&self, leaf: u32, bounds: [Option<Key<'_>>; 2], seen: &mut Seen) -> u64 {
        let run = &self.leaves.at(leaf).run;
        seen.leaves.push(leaf);
        seen.node_bytes += run.capacity_bytes();
        run.check_invariants(&self.outside);
        let most = self.shape.leaf_bytes.max(2 * (KEY_BYTES + self.shape.inline_bytes));
        assert!(run.used_bytes() <= most, "{} bytes in a leaf", run.used_bytes());
        assert!(run.len() > 0 || self.height == 0, "an empty leaf");
        for place in 0..run.len() {
            let (member, score) = self.pair(run, place);
            assert_eq!(run.tag(place), self.hash(member) as u8, "a tag");
            if let Some(low) = bounds[0] {
                assert_ne!(low.compare(score, member), Ordering::Greater, "lower bound");
            }
            if let Some(high) = bounds[1] {
                assert_eq!(high.compare(score, member), Ordering::Greater, "upper bound");
            }
            seen.outside += usize::from(self.is_outside(run, place));
        }
        run.len() as u64
    }

    fn is_outside(&self, run: &Run, place: usize) -> bool {
        let is_outside = matches!(run.payload(place), Payload::Outside(_));
        let len = self.outside.bytes(run.payload(place)).len();
        assert_eq!(is_outside, len > self.shape.inline_bytes, "long members lie outside");
        is_outside
    }

    fn check_links(&self, leaves: &[u32]) {
        assert_eq!(leaves.first(), Some(&self.first), "the first leaf");
        assert_eq!(leaves.last(), Some(&self.last), "the last leaf");
        for (place, &leaf) in leaves.iter().enumerate() {
            let leaf = self.leaves.at(leaf);
            let before = place.checked_sub(1).map_or(NONE, |before| leaves[before]);
            let after = leaves.get(place + 1).copied().unwrap_or(NONE);
            assert_eq!((leaf.before, leaf.after), (before, after), "the links of a leaf");
        }
    }

    fn check_index(&self, leaves: &[u32]) {
        self.index.check_invariants();
        let mut expected = Vec::with_capacity(self.len);
        for &leaf in leaves {
            let run = &self.leaves.at(leaf).run;
            let hashes = (0..run.len()).map(|place| self.hash(self.pair(run, place).0));
            expected.extend(hashes.map(|hash| (hash, leaf)));
        }
        let mut records: Vec<(u32, u32)> = self.index.records().collect();
        expected.sort_unstable();
        records.sort_unstable();
        assert_eq!(records, expected, "one record for each member");
        assert_eq!(self.index.len(), self.len, "the index knows its length");
    }
}
