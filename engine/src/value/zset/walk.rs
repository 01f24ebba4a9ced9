//! Walking over the members of a tree in order, from either end.

use super::run::Run;
use super::tree::Tree;

/// Members in ascending order.
#[derive(Clone, Debug)]
pub(super) struct Ascending<'a> {
    tree: &'a Tree,
    run: &'a Run,
    after: u32,
    place: usize,
    left: usize,
}

/// Members in descending order.
#[derive(Clone, Debug)]
pub(super) struct Descending<'a> {
    tree: &'a Tree,
    run: &'a Run,
    before: u32,
    /// Behind the next member.
    end: usize,
    left: usize,
}

impl Tree {
    /// The members of ranks `start..end`, the first first.
    pub(super) fn ascending(&self, start: usize, end: usize) -> Ascending<'_> {
        let left = end.saturating_sub(start);
        let (leaf, place) = if left == 0 { (self.first, 0) } else { self.at(start) };
        let leaf = self.leaves.at(leaf);
        Ascending { tree: self, run: &leaf.run, after: leaf.after, place, left }
    }

    /// The members of ranks `start..end`, the last first.
    pub(super) fn descending(&self, start: usize, end: usize) -> Descending<'_> {
        let left = end.saturating_sub(start);
        let (leaf, place) = if left == 0 { (self.first, 0) } else { self.at(end - 1) };
        let leaf = self.leaves.at(leaf);
        Descending { tree: self, run: &leaf.run, before: leaf.before, end: place + 1, left }
    }

    /// The member and score at a place of a run of this tree.
    #[inline]
    pub(super) fn pair<'a>(&'a self, run: &'a Run, place: usize) -> (&'a [u8], f64) {
        (self.outside.bytes(run.payload(place)), run.score(place))
    }
}

impl<'a> Iterator for Ascending<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        if self.place == self.run.len() {
            let leaf = self.tree.leaves.at(self.after);
            (self.run, self.after, self.place) = (&leaf.run, leaf.after, 0);
        }
        let pair = self.tree.pair(self.run, self.place);
        self.place += 1;
        self.left -= 1;
        Some(pair)
    }
}

impl<'a> Iterator for Descending<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        if self.end == 0 {
            let leaf = self.tree.leaves.at(self.before);
            (self.run, self.before, self.end) = (&leaf.run, leaf.before, leaf.run.len());
        }
        self.end -= 1;
        self.left -= 1;
        Some(self.tree.pair(self.run, self.end))
    }
}
