//! A long list: nodes of some kilobytes in a deque, so that both ends are at hand and a place far
//! inside is found by the counts of the nodes before it.
//!
//! Invariants: no node is empty; the length and the memory are the sums over the nodes; how each is
//! held is for [`super::depth`] to say.

use std::collections::VecDeque;

use super::Side;
use super::closed::Form;
use super::depth::Depth;
use super::entry::Entry;
use super::limits::Limits;
use super::node::Node;
use crate::value::shared::{Meter, Shared};

/// A list of so many nodes is long: its nodes are allocated at once as large as they will be.
const LONG_NODES: usize = 4;
/// The room of a node in a list that is not.
const SMALL_NODE_BYTES: usize = 256;
/// What a full node leaves for the allocator, so that its size is a round one.
const ALLOCATION_OVERHEAD: usize = 8;
/// Nodes and bytes freed in one step.
const NODES_PER_STEP: usize = 256;
const BYTES_PER_STEP: usize = 1 << 20;
/// A list of more nodes is freed in steps.
const BIG_NODES: usize = 64;

/// The nodes of a list, in order.
#[derive(Debug, Default)]
pub struct Nodes {
    pub(super) nodes: VecDeque<Shared<Node>>,
    len: usize,
    node_bytes: usize,
    pub(super) depth: Depth,
}

impl Clone for Nodes {
    /// A copy is as large as it must be, whatever room the original has.
    fn clone(&self) -> Self {
        let nodes = self.nodes.clone();
        let node_bytes = nodes.iter().map(|node| node.memory_bytes()).sum();
        Self { nodes, len: self.len, node_bytes, depth: self.depth.clone() }
    }
}

impl Nodes {
    /// The same nodes, to be read.
    pub(super) fn share(&mut self, meter: &Meter) -> Self {
        meter.add(self.nodes.len() * size_of::<Shared<Node>>());
        let nodes = self.nodes.iter_mut().map(|node| node.share(meter)).collect();
        Self { nodes, len: self.len, node_bytes: self.node_bytes, depth: self.depth.clone() }
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Heap bytes, itself included: it is boxed.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.nodes.capacity() * size_of::<Shared<Node>>() + self.node_bytes
    }

    /// The node and the index in it of element number `index`; the length itself is behind the last
    /// node.
    pub(super) fn locate(&self, index: usize) -> (usize, usize) {
        if index >= self.len {
            return (self.nodes.len(), 0);
        }
        if index < self.len / 2 {
            let mut left = index;
            for (number, node) in self.nodes.iter().enumerate() {
                match left.checked_sub(node.len()) {
                    None => return (number, left),
                    Some(rest) => left = rest,
                }
            }
        } else {
            let mut end = self.len;
            for (number, node) in self.nodes.iter().enumerate().rev() {
                let start = end - node.len();
                if start <= index {
                    return (number, index - start);
                }
                end = start;
            }
        }
        unreachable!("the nodes hold as many elements as they count")
    }

    /// A copy of which nothing is compressed.
    pub(super) fn opened(&self) -> Self {
        let mut copy = self.clone();
        for number in 0..copy.nodes.len() {
            copy.in_place(number, Node::open);
        }
        copy.depth = Depth::default();
        copy
    }

    /// Adds a node.
    pub(super) fn insert_node(&mut self, number: usize, node: Node) {
        self.len += node.len();
        self.node_bytes += node.memory_bytes();
        self.nodes.insert(number, node.into());
        self.depth.inserted(number);
        self.settle_edges();
    }

    /// Removes a node, and opens it.
    fn remove_node(&mut self, number: usize) -> Node {
        let mut node = self.nodes.remove(number).expect("the node is there").into_own();
        self.len -= node.len();
        self.node_bytes -= node.memory_bytes();
        self.depth.removed(number);
        self.settle_edges();
        node.open();
        node
    }

    /// Opens a node and changes it.
    #[inline]
    fn change<R>(&mut self, number: usize, change: impl FnOnce(&mut Node) -> R) -> R {
        self.in_place(number, |node| {
            if node.form != Form::Open {
                node.open();
            }
            change(node)
        })
    }

    /// Changes a node, and keeps the sums.
    #[inline]
    pub(super) fn in_place<R>(&mut self, number: usize, change: impl FnOnce(&mut Node) -> R) -> R {
        let node = &mut self.nodes[number];
        let (len, bytes) = (node.len(), node.memory_bytes());
        let result = change(node);
        self.len = self.len - len + node.len();
        self.node_bytes = self.node_bytes - bytes + node.memory_bytes();
        result
    }

    /// Takes the only node out.
    pub(super) fn take_only(&mut self) -> Node {
        debug_assert_eq!(self.nodes.len(), 1, "it is the only one");
        self.remove_node(0)
    }

    fn end_number(&self, side: Side) -> Option<usize> {
        let last = self.nodes.len().checked_sub(1)?;
        Some(if side == Side::Front { 0 } else { last })
    }

    fn new_node(&self, entry: &Entry<'_>, side: Side, limits: &Limits) -> Node {
        let is_long = self.nodes.len() >= LONG_NODES;
        let room = if is_long { full_bytes(limits) } else { SMALL_NODE_BYTES };
        Node::new(entry, side, room.min(full_bytes(limits)))
    }

    /// Adds an element at an end.
    #[inline]
    pub(super) fn push(&mut self, side: Side, element: &[u8], limits: &Limits) {
        self.settle_some(limits);
        let behind = if side == Side::Front { 0 } else { self.nodes.len() };
        if limits.is_long(element) {
            self.insert_node(behind, Node::plain(element));
            return;
        }
        let entry = Entry::new(element);
        match self.end_number(side) {
            Some(number) if self.nodes[number].takes(entry.len(), limits) => {
                self.change(number, |node| node.push(side, &entry, full_bytes(limits)));
            }
            _ => {
                let node = self.new_node(&entry, side, limits);
                self.insert_node(behind, node);
            }
        }
    }

    /// Removes `count` elements from an end; whole nodes that go are handed over.
    pub(super) fn remove_end(&mut self, side: Side, count: usize, limits: &Limits) -> Self {
        self.settle_some(limits);
        let (mut left, mut whole) = (count, 0);
        while let Some(node) = self.nth_from(side, whole)
            && node.len() <= left
        {
            left -= node.len();
            whole += 1;
        }
        let removed = self.take_nodes(side, whole);
        if left > 0 {
            let number = self.end_number(side).expect("there are more elements");
            self.change(number, |node| node.remove_end(side, left));
        }
        self.shrink_deque();
        removed
    }

    fn nth_from(&self, side: Side, number: usize) -> Option<&Shared<Node>> {
        match side {
            Side::Front => self.nodes.get(number),
            Side::Back => self.nodes.get(self.nodes.len().checked_sub(number + 1)?),
        }
    }

    fn take_nodes(&mut self, side: Side, count: usize) -> Self {
        let kept = self.nodes.len() - count;
        let nodes: VecDeque<Shared<Node>> = match side {
            Side::Front => self.nodes.drain(..count).collect(),
            Side::Back => self.nodes.drain(kept..).collect(),
        };
        let len = nodes.iter().map(|node| node.len()).sum();
        let node_bytes = nodes.iter().map(|node| node.memory_bytes()).sum();
        self.len -= len;
        self.node_bytes -= node_bytes;
        if count > 0 {
            self.settle_removed(side, count);
        }
        Self { depth: Depth::unknown(count), nodes, len, node_bytes }
    }

    fn shrink_deque(&mut self) {
        let len = self.nodes.len();
        if self.nodes.capacity() > 64 && self.nodes.capacity() / 4 > len {
            self.nodes.shrink_to(2 * len);
        }
    }

    /// Puts an element before element number `index`, or behind the last.
    pub(super) fn insert(&mut self, index: usize, element: &[u8], limits: &Limits) {
        self.settle_some(limits);
        let number = self.insert_open(index, element, limits);
        // So far it is split and put together with its neighbours.
        self.settle_changed(number.saturating_sub(3)..=number + 2);
    }

    /// Inserts an element; returns about which node it lies in. Those around it may be left open.
    fn insert_open(&mut self, index: usize, element: &[u8], limits: &Limits) -> usize {
        let (number, inner) = self.locate(index);
        if limits.is_long(element) {
            let behind = self.split(number, inner);
            self.insert_node(behind, Node::plain(element));
            return behind;
        }
        let entry = Entry::new(element);
        let takes = |number: usize| {
            self.nodes.get(number).is_some_and(|node| node.takes(entry.len(), limits))
        };
        if takes(number) {
            self.change(number, |node| node.insert(inner, &entry));
        } else if inner == 0 && number > 0 && takes(number - 1) {
            self.change(number - 1, |node| node.push(Side::Back, &entry, full_bytes(limits)));
        } else {
            let behind = self.split(number, inner);
            let node = Node::new(&entry, Side::Back, 0);
            self.insert_node(behind, node);
            self.merge_around(behind, limits);
        }
        number
    }

    /// Splits a node before its element `inner`; returns the number of the second part.
    fn split(&mut self, number: usize, inner: usize) -> usize {
        if inner == 0 {
            return number;
        }
        let second = self.change(number, |node| node.split_off(inner));
        self.insert_node(number + 1, second);
        number + 1
    }

    /// Puts a node together with its neighbours where they fit into one.
    fn merge_around(&mut self, number: usize, limits: &Limits) {
        let number = if number > 0 && self.merge(number - 1, limits) { number - 1 } else { number };
        if self.merge(number, limits) {
            return;
        }
        if number > 1 {
            self.merge(number - 2, limits);
        }
    }

    /// Puts a node together with the next one, if they fit into one.
    fn merge(&mut self, number: usize, limits: &Limits) -> bool {
        let (Some(first), Some(second)) = (self.nodes.get(number), self.nodes.get(number + 1))
        else {
            return false;
        };
        let bytes = first.listpack_bytes() + second.content_len();
        let fits = !first.is_plain()
            && !second.is_plain()
            && !limits.exceeds(bytes, first.len() + second.len());
        if fits {
            let second = self.remove_node(number + 1);
            self.change(number, |node| node.append(&second));
        }
        fits
    }

    /// Gives element number `index` another value.
    pub(super) fn set(&mut self, index: usize, element: &[u8], limits: &Limits) {
        self.settle_some(limits);
        let (number, inner) = self.locate(index);
        if self.nodes[number].form == Form::Closed {
            self.in_place(number, Node::open);
        }
        let node = &self.nodes[number];
        if !limits.is_long(element) && !node.is_plain() {
            let entry = Entry::new(element);
            if !limits.exceeds(node.len_with(inner, &entry), node.len()) {
                self.change(number, |node| node.set(inner, &entry));
                self.settle_changed(number..=number);
                return;
            }
        }
        self.change(number, |node| match node.len() {
            1 => *node = Node::default(),
            _ => node.remove(inner),
        });
        if self.nodes[number].is_empty() {
            self.remove_node(number);
        }
        self.insert(index, element, limits);
    }

    /// Removes up to `max` elements that equal `needle`, from an end on; returns how many.
    pub(super) fn remove_equal(
        &mut self,
        needle: &[u8],
        side: Side,
        max: usize,
        limits: &Limits,
    ) -> usize {
        self.settle_some(limits);
        let entry = Entry::new(needle);
        let mut buffer = Vec::new();
        let (mut removed, mut number) = (0, self.end_number(side));
        while let Some(present) = number
            && removed < max
        {
            let here = self.in_place(present, |node| {
                node.remove_equal_anyhow(needle, &entry, side, max - removed, &mut buffer)
            });
            removed += here;
            let mut next = present + 1;
            if self.nodes[present].is_empty() {
                self.remove_node(present);
                next = present;
            } else if here > 0 && present > 0 && self.merge(present - 1, limits) {
                next = present;
            }
            if here > 0 {
                self.settle_changed(present.saturating_sub(1)..=present);
            }
            number = match side {
                Side::Front => Some(next).filter(|&next| next < self.nodes.len()),
                Side::Back => present.checked_sub(1).map(|before| before.min(self.nodes.len() - 1)),
            };
        }
        self.shrink_deque();
        removed
    }

    /// Whether freeing may take long.
    pub(super) fn is_big(&self) -> bool {
        self.nodes.len() > BIG_NODES || self.node_bytes > BYTES_PER_STEP
    }

    /// Frees a bounded part; true when nothing is left.
    pub(super) fn free_some(&mut self) -> bool {
        let mut freed_bytes = 0;
        for _ in 0..NODES_PER_STEP {
            let Some(last) = self.nodes.back_mut() else { return true };
            let bytes = last.memory_bytes();
            let left = BYTES_PER_STEP.saturating_sub(freed_bytes);
            if left == 0 {
                break;
            }
            if last.own_to_free().is_none_or(|node| node.free_some(left)) {
                self.nodes.pop_back();
            }
            freed_bytes += bytes.min(left);
        }
        self.nodes.is_empty()
    }

    pub(super) fn check_invariants(&self) {
        self.nodes.iter().for_each(|node| node.check_invariants());
        let (mut len, mut bytes) = (0, 0);
        for node in &self.nodes {
            len += node.len();
            bytes += node.memory_bytes();
        }
        assert_eq!(self.len, len, "a list knows its length");
        assert_eq!(self.node_bytes, bytes, "a list knows its memory");
        self.check_forms();
    }
}

/// The allocation of a full node.
fn full_bytes(limits: &Limits) -> usize {
    limits.bytes() - ALLOCATION_OVERHEAD
}
