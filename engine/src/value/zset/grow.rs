//! Members that go into a tree: leaves are split, then inner nodes as far up as needed.
//!
//! A leaf at either end of the order that overflows at that end is left full and a new one begun,
//! so that a set that is filled in order wastes nothing.

use super::node::{Carried, Inner, Leaf, NONE, Path};
use super::run::{KEY_BYTES, Payload, Run};
use super::tree::Tree;

impl Tree {
    /// Adds a member that is not there.
    pub(super) fn insert(&mut self, hash: u32, score: f64, member: &[u8]) {
        debug_assert!(!score.is_nan(), "scores have an order");
        let (path, leaf) = self.way_to(score, member);
        let place = self.place_in(leaf, score, member);
        let payload = self.outside.admit(member, self.shape.inline_bytes);
        self.len += 1;
        for step in path.steps() {
            self.inners.at_mut(step.inner).counts[step.child] += 1;
        }
        let run = &self.leaves.at(leaf).run;
        let is_full = run.used_bytes() + KEY_BYTES + payload.len() > self.shape.leaf_bytes;
        if !is_full || run.len() < 2 {
            self.put(leaf, place, hash, score, payload);
        } else if leaf == self.last && place == run.len() {
            let new = self.add_leaf(Run::default(), leaf, NONE);
            self.put(new, 0, hash, score, payload);
            self.add_child(&path, leaf, new);
        } else if leaf == self.first && place == 0 {
            let new = self.add_leaf(Run::default(), NONE, leaf);
            self.put(new, 0, hash, score, payload);
            self.add_child(&path, new, leaf);
        } else {
            let right = self.split_leaf(leaf);
            let middle = self.leaves.at(leaf).run.len();
            if place <= middle {
                self.put(leaf, place, hash, score, payload);
            } else {
                self.put(right, place - middle, hash, score, payload);
            }
            self.add_child(&path, leaf, right);
        }
    }

    fn put(&mut self, leaf: u32, place: usize, hash: u32, score: f64, payload: Payload<'_>) {
        self.change_leaf(leaf, |run| run.insert(place, score, hash as u8, payload));
        self.index.insert(hash, leaf);
    }

    /// Moves the upper half of a leaf into a new one and returns that.
    fn split_leaf(&mut self, leaf: u32) -> u32 {
        let middle = self.leaves.at(leaf).run.middle();
        let upper = self.change_leaf(leaf, |run| run.split_off(middle));
        let count = upper.len();
        let right = self.add_leaf(upper, leaf, self.leaves.at(leaf).after);
        self.tell_index(right, 0..count, leaf, right);
        right
    }

    /// Adds a leaf between two others, one of which may be missing.
    fn add_leaf(&mut self, run: Run, before: u32, after: u32) -> u32 {
        self.node_bytes += run.capacity_bytes();
        let leaf = self.leaves.insert(Leaf { run, before, after });
        match before {
            NONE => self.first = leaf,
            before => self.leaves.at_mut(before).after = leaf,
        }
        match after {
            NONE => self.last = leaf,
            after => self.leaves.at_mut(after).before = leaf,
        }
        leaf
    }

    /// Hangs a leaf that was split off beside the one at the end of `path`; `left` and `right` are
    /// the two in order.
    fn add_child(&mut self, path: &Path, mut left: u32, mut right: u32) {
        let mut separator = self.separator(left, right);
        let mut counts = [left, right].map(|leaf| self.leaves.at(leaf).run.len() as u64);
        for step in path.steps().iter().rev() {
            self.change_inner(step.inner, |inner| {
                inner.separators.insert(step.child, separator.score, 0, separator.payload());
                inner.children[step.child] = left;
                inner.children.insert(step.child + 1, right);
                inner.counts[step.child] = counts[0];
                inner.counts.insert(step.child + 1, counts[1]);
            });
            let inner = self.inners.at(step.inner);
            let is_too_large = inner.children.len() > self.shape.children
                || inner.separators.used_bytes() > self.shape.inner_bytes;
            if !is_too_large {
                return;
            }
            (separator, right) = self.split_inner(step.inner, step.child + 1);
            left = step.inner;
            counts = [left, right].map(|inner| self.inners.at(inner).count());
        }
        let mut root =
            Inner { children: vec![left, right], counts: counts.to_vec(), ..Inner::default() };
        root.separators.insert(0, separator.score, 0, separator.payload());
        self.node_bytes += root.capacity_bytes();
        self.root = self.inners.insert(root);
        self.height += 1;
    }

    /// Moves the upper half of an inner node, of whose children `added` is new, into a new node;
    /// returns the separator between the two and the new node.
    fn split_inner(&mut self, inner: u32, added: usize) -> (Carried, u32) {
        let upper = self.change_inner(inner, |inner| {
            let len = inner.children.len();
            let at = if added == len - 1 { added } else { len / 2 };
            Inner {
                separators: inner.separators.split_off(at),
                children: inner.children.split_off(at),
                counts: inner.counts.split_off(at),
            }
        });
        let separator = self.change_inner(inner, |inner| {
            let last = inner.separators.len() - 1;
            inner.take_separator(last)
        });
        self.node_bytes += upper.capacity_bytes();
        (separator, self.inners.insert(upper))
    }

    /// The shortest key that is greater than all of leaf `left` and not greater than any of
    /// `right`.
    fn separator(&mut self, left: u32, right: u32) -> Carried {
        let left = &self.leaves.at(left).run;
        let smaller = left.key(&self.outside, left.len() - 1);
        let greater = self.leaves.at(right).run.key(&self.outside, 0);
        let score = greater.score();
        let mut prefix: &[u8] = &[];
        if smaller.score() >= score {
            let (smaller, greater) = (smaller.member(), greater.member());
            let equal = smaller.iter().zip(greater).take_while(|(a, b)| a == b).count();
            prefix = &greater[..=equal];
        }
        let prefix = prefix.to_vec();
        Carried::new(score, self.outside.admit(&prefix, self.shape.inline_bytes))
    }
}
