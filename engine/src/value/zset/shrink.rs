//! Members that leave a tree: sparse neighbours are joined, leaves first, then inner nodes.
//!
//! A node is looked at when it is less than a quarter full, and joined with a sister if both fill
//! at most three quarters of one: so a member that comes and goes does not split and join in turn.

use core::ops::Range;

use super::node::{Carried, NONE, Path, Step};
use super::run::KEY_BYTES;
use super::tree::Tree;

impl Tree {
    /// Takes out a member that is there with this score.
    pub(super) fn remove_key(&mut self, score: f64, member: &[u8]) {
        let (path, leaf) = self.way_to(score, member);
        let place = self.place_in(leaf, score, member);
        self.remove_places(&path, leaf, place..place + 1);
    }

    /// Takes out the members of these ranks.
    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        let mut left = ranks.len();
        while left > 0 {
            let (path, leaf, place) = self.way_to_rank(ranks.start);
            let count = left.min(self.leaves.at(leaf).run.len() - place);
            self.remove_places(&path, leaf, place..place + count);
            left -= count;
        }
    }

    fn remove_places(&mut self, path: &Path, leaf: u32, places: Range<usize>) {
        let count = places.len();
        for place in places.clone() {
            let payload = self.leaves.at(leaf).run.payload(place);
            let hash = self.hash(self.outside.bytes(payload));
            self.index.remove(hash, leaf);
            self.outside.release(payload);
        }
        self.change_leaf(leaf, |run| run.remove(places.start, places.end));
        self.len -= count;
        for step in path.steps() {
            self.inners.at_mut(step.inner).counts[step.child] -= count as u64;
        }
        self.mend_leaf(path, leaf);
    }

    /// Joins a leaf that has become sparse with a sister, or drops an empty one.
    fn mend_leaf(&mut self, path: &Path, leaf: u32) {
        let Some((&parent, above)) = path.steps().split_last() else { return };
        let run = &self.leaves.at(leaf).run;
        if run.len() == 0 {
            self.drop_leaf(leaf);
            self.drop_child(parent);
            self.mend_inner(above, parent.inner);
            return;
        }
        if run.used_bytes() >= self.shape.leaf_bytes / 4 {
            return;
        }
        let children = &self.inners.at(parent.inner).children;
        let pairs = [parent.child, parent.child.wrapping_sub(1)];
        let fits = |&left: &usize| {
            let (Some(&left), Some(&right)) =
                (children.get(left), children.get(left.wrapping_add(1)))
            else {
                return false;
            };
            let bytes = [left, right].map(|leaf| self.leaves.at(leaf).run.used_bytes());
            bytes[0] + bytes[1] <= self.shape.leaf_bytes / 4 * 3
        };
        if let Some(left) = pairs.into_iter().find(fits) {
            self.join_leaves(parent.inner, left);
            self.mend_inner(above, parent.inner);
        }
    }

    /// Joins the children `left` and `left + 1` of an inner node, which are leaves. The one with
    /// more members stays, so that the index hears of few.
    fn join_leaves(&mut self, inner: u32, left: usize) {
        let children = &self.inners.at(inner).children;
        let pair = [children[left], children[left + 1]];
        let [low, high] = pair.map(|leaf| self.leaves.at(leaf).run.len());
        let (stays, goes) = if low >= high { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
        let count = low.min(high);
        self.tell_index(goes, 0..count, goes, stays);
        let taken = self.change_leaf(goes, core::mem::take);
        self.change_leaf(stays, |run| {
            if low >= high {
                run.append(taken);
            } else {
                let own = core::mem::replace(run, taken);
                run.append(own);
            }
        });
        self.drop_leaf(goes);
        let separator = self.change_inner(inner, |inner| {
            inner.children[left] = stays;
            inner.counts[left] += inner.counts[left + 1];
            inner.remove_child(left + 1)
        });
        self.release(separator);
    }

    /// Forgets a leaf without members.
    fn drop_leaf(&mut self, leaf: u32) {
        let gone = self.leaves.remove(leaf);
        self.node_bytes -= gone.run.capacity_bytes();
        match gone.before {
            NONE => self.first = gone.after,
            before => self.leaves.at_mut(before).after = gone.after,
        }
        match gone.after {
            NONE => self.last = gone.before,
            after => self.leaves.at_mut(after).before = gone.before,
        }
    }

    /// Forgets a child without members.
    fn drop_child(&mut self, step: Step) {
        let separator = self.change_inner(step.inner, |inner| inner.remove_child(step.child));
        self.release(separator);
    }

    /// Joins an inner node that has lost a child with a sister if it is sparse, or drops it if it
    /// has no child left; `above` is the way to it.
    fn mend_inner(&mut self, above: &[Step], inner: u32) {
        let Some((&parent, further)) = above.split_last() else {
            self.lower_root();
            return;
        };
        let len = self.inners.at(inner).children.len();
        if len == 0 {
            self.drop_inner(inner);
            self.drop_child(parent);
            self.mend_inner(further, parent.inner);
            return;
        }
        if len >= self.shape.children / 4 {
            return;
        }
        let pairs = [parent.child, parent.child.wrapping_sub(1)];
        if let Some(left) = pairs.into_iter().find(|&left| self.can_join(parent.inner, left)) {
            self.join_inners(parent.inner, left);
            self.mend_inner(further, parent.inner);
        }
    }

    /// Whether the children `left` and `left + 1` of an inner node, which are inner nodes, both
    /// exist and fit into one.
    fn can_join(&self, parent: u32, left: usize) -> bool {
        let parent = self.inners.at(parent);
        if left >= parent.children.len() || left + 1 >= parent.children.len() {
            return false;
        }
        let pair = [left, left + 1].map(|child| self.inners.at(parent.children[child]));
        let children: usize = pair.iter().map(|inner| inner.children.len()).sum();
        let bytes: usize = pair.iter().map(|inner| inner.separators.used_bytes()).sum();
        let between = KEY_BYTES + self.shape.inline_bytes;
        children <= self.shape.children / 4 * 3 && bytes + between <= self.shape.inner_bytes / 4 * 3
    }

    /// Moves all of child `left + 1` of an inner node into child `left`.
    fn join_inners(&mut self, parent: u32, left: usize) {
        let (low, high, separator) = self.change_inner(parent, |parent| {
            let (low, high) = (parent.children[left], parent.children[left + 1]);
            parent.counts[left] += parent.counts[left + 1];
            (low, high, parent.remove_child(left + 1))
        });
        let upper = self.inners.remove(high);
        self.node_bytes -= upper.capacity_bytes();
        let separator = separator.expect("there is one between two children");
        self.change_inner(low, |low| {
            let place = low.separators.len();
            low.separators.insert(place, separator.score, 0, separator.payload());
            low.separators.append(upper.separators);
            low.children.extend(upper.children);
            low.counts.extend(upper.counts);
        });
    }

    fn drop_inner(&mut self, inner: u32) {
        let gone = self.inners.remove(inner);
        self.node_bytes -= gone.capacity_bytes();
    }

    /// A root with one child makes way for it.
    fn lower_root(&mut self) {
        while self.height > 0 && self.inners.at(self.root).children.len() == 1 {
            let child = self.inners.at(self.root).children[0];
            self.drop_inner(self.root);
            self.root = child;
            self.height -= 1;
        }
    }

    fn release(&mut self, separator: Option<Carried>) {
        if let Some(separator) = separator {
            self.outside.release(separator.payload());
        }
    }
}
