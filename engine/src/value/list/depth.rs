//! Which nodes of a list are compressed: those that are farther from both ends than the depth.
//!
//! A list takes over a new depth when it is changed, and then looks at some of its nodes with every
//! change, so that no change takes long: `unsettled` are the nodes that it has not looked at yet.
//!
//! Invariant: outside of `unsettled` an inner node is closed, or closing it would gain nothing; and
//! no other node is closed.

use core::ops::{Range, RangeInclusive};

use super::Side;
use super::closed::Form;
use super::limits::Limits;
use super::node::Node;
use super::nodes::Nodes;

/// Nodes that one change looks at, and those of them that it compresses or opens.
const LOOKS_PER_CHANGE: usize = 64;
const WORKS_PER_CHANGE: usize = 2;
/// When more nodes than this come too near to an end, they are opened little by little.
const OPENED_AT_ONCE: usize = 4;

/// How far a list is compressed.
#[derive(Clone, Debug, Default)]
pub(super) struct Depth {
    /// So many nodes at either end are open; 0: all.
    nodes: usize,
    /// Those that may still be in the wrong form.
    unsettled: Range<usize>,
}

impl Depth {
    /// The depth of `len` nodes that may have any form.
    pub(super) fn unknown(len: usize) -> Self {
        Self { nodes: 0, unsettled: 0..len }
    }

    /// Whether nodes are compressed at all.
    pub(super) fn is_set(&self) -> bool {
        self.nodes > 0
    }

    pub(super) fn inserted(&mut self, number: usize) {
        let Range { start, end } = &mut self.unsettled;
        *start += usize::from(number < *start);
        *end += usize::from(number < *end);
    }

    pub(super) fn removed(&mut self, number: usize) {
        let Range { start, end } = &mut self.unsettled;
        *start -= usize::from(number < *start);
        *end -= usize::from(number < *end);
    }

    fn removed_some(&mut self, side: Side, count: usize, kept: usize) {
        let Range { start, end } = &mut self.unsettled;
        if side == Side::Front {
            (*start, *end) = (start.saturating_sub(count), end.saturating_sub(count));
        }
        (*start, *end) = ((*start).min(kept), (*end).min(kept));
    }

    fn add(&mut self, more: Range<usize>) {
        let old = &self.unsettled;
        self.unsettled = match (old.is_empty(), more.is_empty()) {
            (_, true) => return,
            (true, _) => more,
            _ => old.start.min(more.start)..old.end.max(more.end),
        };
    }
}

impl Nodes {
    /// Takes over the depth, and brings a few nodes into their form if some are not; before every
    /// change.
    #[inline]
    pub(super) fn settle_some(&mut self, limits: &Limits) {
        if self.depth.nodes != limits.compress_depth() || !self.depth.unsettled.is_empty() {
            self.sweep(limits);
        }
    }

    #[cold]
    fn sweep(&mut self, limits: &Limits) {
        if self.depth.nodes != limits.compress_depth() {
            self.depth =
                Depth { nodes: limits.compress_depth(), ..Depth::unknown(self.nodes.len()) };
        }
        let mut works = 0;
        for _ in 0..LOOKS_PER_CHANGE {
            if works == WORKS_PER_CHANGE || self.depth.unsettled.is_empty() {
                return;
            }
            let number = self.depth.unsettled.start;
            self.depth.unsettled.start += 1;
            works += usize::from(self.settle(number));
        }
    }

    fn is_inner(&self, number: usize) -> bool {
        let (depth, len) = (self.depth.nodes, self.nodes.len());
        depth > 0 && number >= depth && number < len && len - number > depth
    }

    /// Brings a node into its form, if it is there; true if that was work.
    fn settle(&mut self, number: usize) -> bool {
        let is_inner = self.is_inner(number);
        match self.nodes.get(number).map(|node| node.form) {
            Some(Form::Open) if is_inner => self.in_place(number, Node::close),
            Some(Form::Closed) if !is_inner => self.in_place(number, Node::open),
            _ => false,
        }
    }

    /// Brings nodes that may have been changed into their forms.
    pub(super) fn settle_changed(&mut self, numbers: RangeInclusive<usize>) {
        if self.depth.is_set() {
            for number in numbers {
                self.settle(number);
            }
        }
    }

    /// Brings the nodes where the depth ends into their forms, after a node was added or removed.
    pub(super) fn settle_edges(&mut self) {
        let (depth, len) = (self.depth.nodes, self.nodes.len());
        if depth > 0 && depth <= len {
            for number in [depth - 1, depth, len - depth] {
                self.settle(number);
            }
            if depth < len {
                self.settle(len - depth - 1);
            }
        }
    }

    /// Opens the nodes that came nearer to an end when `count` were removed there.
    pub(super) fn settle_removed(&mut self, side: Side, count: usize) {
        let (depth, len) = (self.depth.nodes, self.nodes.len());
        self.depth.removed_some(side, count, len);
        let nearer = count.min(depth);
        let range = match side {
            Side::Front => (depth - nearer).min(len)..depth.min(len),
            Side::Back => len.saturating_sub(depth)..len.saturating_sub(depth - nearer),
        };
        if range.len() > OPENED_AT_ONCE {
            self.depth.add(range);
        } else {
            range.for_each(|number| {
                self.settle(number);
            });
        }
    }

    pub(super) fn check_forms(&self) {
        let unsettled = &self.depth.unsettled;
        assert!(unsettled.is_empty() || unsettled.end <= self.nodes.len(), "they are there");
        for (number, node) in self.nodes.iter().enumerate() {
            if !unsettled.contains(&number) {
                let wrong = if self.is_inner(number) { Form::Open } else { Form::Closed };
                assert!(node.form != wrong, "node {number} of {} is {wrong:?}", self.nodes.len());
            }
        }
    }
}
