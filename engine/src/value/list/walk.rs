//! Reading a list: in either direction, from any place.

use std::collections::vec_deque;

use super::Side;
use super::entry;
use super::node::Node;
use crate::value::packed::Element;

/// A part of a list as it lies in memory.
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
    pub(super) fn of(node: &'a Node) -> Self {
        if node.is_plain() {
            Self::Long(node.content())
        } else {
            Self::Entries { bytes: node.content(), count: node.len() }
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
}

/// Walks over the elements of a list.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    side: Side,
    part: Part<'a>,
    nodes: vec_deque::Iter<'a, Node>,
    left: usize,
}

impl<'a> Elements<'a> {
    /// Walks from an end: over `skip` elements, then through `count` or as many as there are.
    pub(super) fn new(
        part: Option<Part<'a>>,
        nodes: vec_deque::Iter<'a, Node>,
        side: Side,
        skip: usize,
        count: usize,
    ) -> Self {
        let part = part.unwrap_or(Part::Entries { bytes: &[], count: 0 });
        let mut elements = Self { side, part, nodes, left: count };
        elements.pass(skip);
        elements
    }

    fn pass(&mut self, mut skip: usize) {
        while skip >= self.part.len() {
            skip -= self.part.len();
            if !self.next_part() {
                self.left = 0;
                return;
            }
        }
        self.part.pass(self.side, skip);
    }

    fn next_part(&mut self) -> bool {
        let node = match self.side {
            Side::Front => self.nodes.next(),
            Side::Back => self.nodes.next_back(),
        };
        match node {
            Some(node) => self.part = Part::of(node),
            None => self.part = Part::Entries { bytes: &[], count: 0 },
        }
        node.is_some()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.left == 0 || self.part.len() == 0 && !self.next_part() {
            return None;
        }
        self.left -= 1;
        Some(self.part.pop(self.side))
    }
}
