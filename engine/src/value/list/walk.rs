//! Reading a list: in either direction, from any place.
//!
//! Invariant: reading changes no node. A compressed one is opened into a buffer of the reader's,
//! one at a time.

use core::ops::ControlFlow;
use std::collections::vec_deque;

use super::entry;
use super::node::Node;
use super::nodes::Nodes;
use super::{ListRef, Side};
use crate::value::packed::Element;
use crate::value::shared::Shared;

/// A part of a list as it lies in memory when it is not compressed.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// So many entries of a listpack, one behind the other.
    Entries {
        /// Their bytes.
        bytes: &'a [u8],
        /// How many there are.
        count: usize,
    },
    /// One long element.
    Long(&'a [u8]),
}

impl<'a> Part<'a> {
    /// The content of a node.
    pub(super) fn of(node: &Node, content: &'a [u8]) -> Self {
        if node.is_plain() {
            Self::Long(content)
        } else {
            Self::Entries { bytes: content, count: node.len() }
        }
    }

    /// How long it is in a dump: a listpack has something around its entries.
    pub fn dump_len(self) -> usize {
        match self {
            Self::Entries { bytes, .. } => bytes.len() + entry::LISTPACK_OVERHEAD,
            Self::Long(bytes) => bytes.len(),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Entries { count, .. } => count,
            Self::Long(_) => 1,
        }
    }

    /// Takes the first (or last) element off; there is one.
    #[inline]
    fn pop(&mut self, side: Side) -> Element<'a> {
        match self {
            Self::Long(bytes) => {
                let element = Element::Bytes(bytes);
                *self = Self::Entries { bytes: &[], count: 0 };
                element
            }
            Self::Entries { bytes, count } => {
                let all = *bytes;
                *count -= 1;
                if side == Side::Front {
                    let (element, end) = entry::element_at(all, 0);
                    *bytes = &all[end..];
                    element
                } else {
                    let start = entry::start_of(all, all.len());
                    *bytes = &all[..start];
                    entry::element_at(all, start).0
                }
            }
        }
    }

    /// Passes over so many elements from an end.
    fn pass(&mut self, side: Side, skip: usize) {
        match self {
            Self::Entries { bytes, count } if skip > 0 => {
                let all = *bytes;
                *bytes = match side {
                    Side::Front => &all[entry::offset_of(all, *count, skip)..],
                    Side::Back => &all[..entry::offset_of(all, *count, *count - skip)],
                };
                *count -= skip;
            }
            _ => debug_assert_eq!(skip, 0, "whole parts are passed over by themselves"),
        }
    }

    /// Over `skip` elements from an end, then through `count`, or as many as there are.
    #[inline]
    fn try_for_each<B>(
        mut self,
        side: Side,
        skip: usize,
        count: usize,
        visit: &mut impl FnMut(Element<'a>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(rest) = self.len().checked_sub(skip).filter(|&rest| rest > 0) else {
            return ControlFlow::Continue(());
        };
        self.pass(side, skip);
        for _ in 0..count.min(rest) {
            visit(self.pop(side))?;
        }
        ControlFlow::Continue(())
    }
}

/// Elements of a list from an end on: over some, then through some.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    pub(super) list: ListRef<'a>,
    pub(super) side: Side,
    pub(super) skip: usize,
    pub(super) count: usize,
}

impl Walk<'_> {
    /// Shows all of them.
    #[inline]
    pub fn for_each(self, mut visit: impl FnMut(Element<'_>)) {
        let _: ControlFlow<()> = self.try_for_each(|element| {
            visit(element);
            ControlFlow::Continue(())
        });
    }

    /// Shows them until the visitor has enough.
    #[inline]
    pub fn try_for_each<B>(
        self,
        mut visit: impl FnMut(Element<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Self { list, side, skip, count } = self;
        match list {
            ListRef::Packed(_) => {
                let (bytes, len) = list.entries();
                let part = Part::Entries { bytes, count: len };
                part.try_for_each(side, skip, count, &mut visit)
            }
            ListRef::Nodes(nodes) => nodes.try_for_each(side, skip, count, &mut visit),
        }
    }

    /// How many come before the first that is like this.
    pub fn position(self, mut is_like: impl FnMut(Element<'_>) -> bool) -> Option<usize> {
        let mut passed = 0;
        let found = self.try_for_each(|element| {
            if is_like(element) {
                return ControlFlow::Break(());
            }
            passed += 1;
            ControlFlow::Continue(())
        });
        found.is_break().then_some(passed)
    }

    /// Copies of them.
    pub fn to_vecs(self) -> Vec<Vec<u8>> {
        let mut copies = Vec::new();
        self.for_each(|element| copies.push(element.to_vec()));
        copies
    }
}

impl Nodes {
    #[inline]
    fn try_for_each<B>(
        &self,
        side: Side,
        skip: usize,
        count: usize,
        visit: &mut impl FnMut(Element<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if skip >= self.len() {
            return ControlFlow::Continue(());
        }
        let (number, mut inner) = self.locate_from(side, skip);
        let mut nodes = self.range_from(side, number);
        let (mut left, mut buffer) = (count, Vec::new());
        while left > 0 {
            let next = match side {
                Side::Front => nodes.next(),
                Side::Back => nodes.next_back(),
            };
            let Some(node) = next else { break };
            let part = Part::of(node, node.read(&mut buffer));
            part.try_for_each(side, inner, left, visit)?;
            left = left.saturating_sub(node.len() - inner);
            inner = 0;
        }
        ControlFlow::Continue(())
    }

    /// The node of the element, which is there, that comes after `skip` from an end, and how many
    /// come before it in the node. Whole nodes are passed over from the nearer end.
    fn locate_from(&self, side: Side, skip: usize) -> (usize, usize) {
        match side {
            Side::Front => self.locate(skip),
            Side::Back => {
                let (number, inner) = self.locate(self.len() - 1 - skip);
                (number, self.nodes[number].len() - 1 - inner)
            }
        }
    }

    /// The nodes from this one on, away from an end.
    fn range_from(&self, side: Side, number: usize) -> vec_deque::Iter<'_, Shared<Node>> {
        match side {
            Side::Front => self.nodes.range(number..),
            Side::Back => self.nodes.range(..=number),
        }
    }
}

/// A list of which nothing is compressed, so that its elements can be kept.
#[derive(Clone, Copy, Debug)]
pub struct OpenRef<'a>(pub(super) ListRef<'a>);

impl<'a> OpenRef<'a> {
    /// The elements from an end on: over `skip` of them, then up to `count`.
    pub fn elements(
        self,
        side: Side,
        skip: usize,
        count: usize,
    ) -> impl Iterator<Item = Element<'a>> {
        const NOTHING: Part<'_> = Part::Entries { bytes: &[], count: 0 };
        let mut elements = Elements { side, part: NOTHING, nodes: Default::default() };
        match self.0 {
            ListRef::Packed(_) if skip < self.0.len() => {
                let (bytes, count) = self.0.entries();
                elements.part = Part::Entries { bytes, count };
                elements.part.pass(side, skip);
            }
            ListRef::Nodes(nodes) if skip < nodes.len() => {
                let (number, inner) = nodes.locate_from(side, skip);
                elements.nodes = nodes.range_from(side, number);
                elements.next_part();
                elements.part.pass(side, inner);
            }
            _ => {}
        }
        elements.take(count)
    }
}

/// Walks over elements that can be kept.
#[derive(Clone, Debug)]
struct Elements<'a> {
    side: Side,
    part: Part<'a>,
    nodes: vec_deque::Iter<'a, Shared<Node>>,
}

impl Elements<'_> {
    fn next_part(&mut self) -> bool {
        let node = match self.side {
            Side::Front => self.nodes.next(),
            Side::Back => self.nodes.next_back(),
        };
        if let Some(node) = node {
            self.part = Part::of(node, node.content());
        }
        node.is_some()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.part.len() == 0 && !self.next_part() {
            return None;
        }
        Some(self.part.pop(self.side))
    }
}
