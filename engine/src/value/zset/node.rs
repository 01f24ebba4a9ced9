//! The nodes of a tree, and the way from the root to one of them.
//!
//! Invariant: child `i` of an inner node holds the keys from separator `i - 1` (included) to
//! separator `i` (excluded). A separator is the shortest key that tells its neighbours apart; it
//! need not be one of the set's.

use super::run::{Payload, Run};
use super::slab::Twin;
use crate::value::shared::twins;

/// No leaf.
pub(super) const NONE: u32 = u32::MAX;
/// Inner nodes above one another: with 29 or more children each, more than any memory holds.
pub(super) const HEIGHT_MAX: usize = 16;

/// How large the nodes of a tree become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of a leaf.
    pub(super) leaf_bytes: usize,
    /// Children of an inner node.
    pub(super) children: usize,
    /// Bytes of the separators of an inner node.
    pub(super) inner_bytes: usize,
    /// Longer members lie outside.
    pub(super) inline_bytes: usize,
}

impl Shape {
    /// A kilobyte per leaf: some forty short members, so that what a node costs beside its content
    /// is little, and moving half of it is quick.
    pub(super) const USUAL: Self =
        Self { leaf_bytes: 1024, children: 64, inner_bytes: 4096, inline_bytes: 127 };
}

/// A node that holds members.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) run: Run,
    /// The leaf before this one in order.
    pub(super) before: u32,
    /// The leaf behind this one in order.
    pub(super) after: u32,
}

/// A node that leads to others.
#[derive(Clone, Debug, Default)]
pub(super) struct Inner {
    pub(super) separators: Run,
    /// One more than there are separators.
    pub(super) children: Vec<u32>,
    /// Members below each child.
    pub(super) counts: Vec<u64>,
}

impl Twin for Leaf {
    fn twin(&self) -> Self {
        Self { run: self.run.twin(), ..*self }
    }

    fn heap_bytes(&self) -> usize {
        self.run.capacity_bytes()
    }
}

impl Twin for Inner {
    fn twin(&self) -> Self {
        Self {
            separators: self.separators.twin(),
            children: twins(&self.children, |&child| child),
            counts: twins(&self.counts, |&count| count),
        }
    }

    fn heap_bytes(&self) -> usize {
        self.capacity_bytes()
    }
}

impl Inner {
    /// Bytes allocated.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.separators.capacity_bytes()
            + self.children.capacity() * size_of::<u32>()
            + self.counts.capacity() * size_of::<u64>()
    }

    /// Members below all children.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Takes out a child and the separator at one side of it, and returns what stood for the
    /// member of that.
    pub(super) fn remove_child(&mut self, child: usize) -> Option<Carried> {
        self.children.remove(child);
        self.counts.remove(child);
        (self.separators.len() > 0).then(|| self.take_separator(child.saturating_sub(1)))
    }

    /// Takes a separator out.
    pub(super) fn take_separator(&mut self, index: usize) -> Carried {
        let carried = Carried::new(self.separators.score(index), self.separators.payload(index));
        self.separators.remove(index, index + 1);
        carried
    }
}

/// A separator on its way from node to node.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) score: f64,
    inline: Vec<u8>,
    outside: Option<u32>,
}

impl Carried {
    /// A copy of a key.
    pub(super) fn new(score: f64, payload: Payload<'_>) -> Self {
        match payload {
            Payload::Inline(bytes) => Self { score, inline: bytes.to_vec(), outside: None },
            Payload::Outside(number) => Self { score, inline: Vec::new(), outside: Some(number) },
        }
    }

    /// What stands for its member.
    pub(super) fn payload(&self) -> Payload<'_> {
        self.outside.map_or(Payload::Inline(&self.inline), Payload::Outside)
    }
}

/// One inner node on the way down, and the child that the way goes on to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    pub(super) inner: u32,
    pub(super) child: usize,
}

/// The way from the root to a leaf.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path {
    steps: [Step; HEIGHT_MAX],
    len: usize,
}

impl Path {
    /// Goes one node further down.
    #[inline]
    pub(super) fn push(&mut self, inner: u32, child: usize) {
        self.steps[self.len] = Step { inner, child };
        self.len += 1;
    }

    /// The steps from the root down.
    #[inline]
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps[..self.len]
    }
}
