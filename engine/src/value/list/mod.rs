//! Lists: packed while they are small, then nodes of some kilobytes.
//!
//! A packed list is two bytes of count and the entries (`entry`); a long one is a deque of
//! `node`s. As in Redis 7.2 a list that has shrunk to one node of half the limit is packed again.
//! Nodes far from both ends may be compressed (`closed`, `depth`).
//!
//! Invariant: equal lists read the same, whichever form they have; and reading changes no form.

mod closed;
mod depth;
mod entry;
mod limits;
mod node;
mod nodes;
mod walk;

pub use limits::Limits;
pub use nodes::Nodes;
pub use walk::{OpenRef, Part, Walk};

use crate::value::collection::Collection;
use crate::value::number::parse_integer;
use crate::value::packed::Element;
use crate::value::shared::Meter;
use entry::Entry;
use node::{HEADER_BYTES, Node, packed_count};

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The head: LEFT.
    Front,
    /// The tail: RIGHT.
    Back,
}

/// A list of strings.
#[derive(Clone, Debug)]
pub enum List {
    /// Count and entries.
    Packed(Vec<u8>),
    /// Nodes.
    Nodes(Box<Nodes>),
}

/// Reads a list in either form.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// Count and entries.
    Packed(&'a [u8]),
    /// Nodes.
    Nodes(&'a Nodes),
}

impl<'a> ListRef<'a> {
    /// How many elements there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(bytes) => packed_count(bytes),
            Self::Nodes(nodes) => nodes.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Shows element number `index`, if it is there.
    pub fn with_element<R>(self, index: usize, show: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self {
            _ if index >= self.len() => None,
            Self::Packed(_) => {
                let (entries, count) = self.entries();
                let at = entry::offset_of(entries, count, index);
                Some(show(entry::element_at(entries, at).0))
            }
            Self::Nodes(nodes) => {
                let (number, inner) = nodes.locate(index);
                let (node, mut buffer) = (&nodes.nodes[number], Vec::new());
                Some(show(node.element(node.read(&mut buffer), inner)))
            }
        }
    }

    /// All elements in order.
    pub fn elements(self) -> Walk<'a> {
        self.walk(Side::Front, 0, usize::MAX)
    }

    /// The elements from an end on: over `skip` of them, then up to `count`.
    #[inline]
    pub fn walk(self, side: Side, skip: usize, count: usize) -> Walk<'a> {
        Walk { list: self, side, skip, count }
    }

    /// Of how many parts it consists.
    pub fn part_count(self) -> usize {
        match self {
            Self::Packed(_) => 1,
            Self::Nodes(nodes) => nodes.nodes.len(),
        }
    }

    /// Shows the parts in order, to be copied into a dump.
    pub fn for_each_part(self, mut show: impl FnMut(Part<'_>)) {
        match self {
            Self::Packed(_) => {
                let (bytes, count) = self.entries();
                show(Part::Entries { bytes, count });
            }
            Self::Nodes(nodes) => {
                let mut buffer = Vec::new();
                for node in &nodes.nodes {
                    show(Part::of(node, node.read(&mut buffer)));
                }
            }
        }
    }

    /// Shows one part, to be copied into a dump; nothing if there are not so many.
    pub fn show_part(self, number: usize, show: impl FnOnce(Part<'_>)) {
        match self {
            Self::Packed(_) => {
                let (bytes, count) = self.entries();
                show(Part::Entries { bytes, count });
            }
            Self::Nodes(nodes) => {
                if let Some(node) = nodes.nodes.get(number) {
                    show(Part::of(node, node.read(&mut Vec::new())));
                }
            }
        }
    }

    /// The same list with nothing compressed: if something is, a copy in `store`.
    pub fn open(self, store: &'a mut Option<List>) -> OpenRef<'a> {
        match self {
            Self::Nodes(nodes) if nodes.nodes.iter().any(|node| node.is_closed()) => {
                let copy = List::Nodes(Box::new(nodes.opened()));
                OpenRef(store.insert(copy).reader())
            }
            _ => OpenRef(self),
        }
    }

    /// Whether nodes far from the ends are compressed.
    pub fn compresses(self) -> bool {
        match self {
            Self::Packed(_) => false,
            Self::Nodes(nodes) => nodes.depth.is_set(),
        }
    }

    /// The entries of a packed list and their number.
    fn entries(self) -> (&'a [u8], usize) {
        match self {
            Self::Packed(bytes) => (&bytes[HEADER_BYTES.min(bytes.len())..], packed_count(bytes)),
            Self::Nodes(_) => (&[], 0),
        }
    }
}

/// A word as an element, to be compared with those of lists.
#[inline]
pub fn element_of(word: &[u8]) -> Element<'_> {
    match word.first() {
        Some(b'0'..=b'9' | b'-') => {
            parse_integer(word).map_or(Element::Bytes(word), Element::Integer)
        }
        _ => Element::Bytes(word),
    }
}

impl Default for List {
    fn default() -> Self {
        Self::Packed(Vec::new())
    }
}

impl List {
    /// Adds elements at an end, one after the other.
    pub fn push<'e>(
        &mut self,
        side: Side,
        elements: impl Iterator<Item = &'e [u8]> + Clone,
        limits: &Limits,
    ) {
        self.make_room(elements.clone(), limits);
        elements.for_each(|element| self.push_one(side, element, limits));
    }

    #[inline]
    fn push_one(&mut self, side: Side, element: &[u8], limits: &Limits) {
        match self {
            Self::Nodes(nodes) => nodes.push(side, element, limits),
            Self::Packed(bytes) => {
                let entry = Entry::new(element);
                change_packed(bytes, |node| match side {
                    Side::Front => node.insert(0, &entry),
                    Side::Back => node.insert(node.len(), &entry),
                });
            }
        }
    }

    /// Turns into nodes if elements are to come that it has no room for.
    fn make_room<'e>(&mut self, elements: impl Iterator<Item = &'e [u8]>, limits: &Limits) {
        let Self::Packed(bytes) = self else { return };
        let (mut new_bytes, mut new_len, mut any_long) = (0, 0, false);
        for element in elements {
            new_bytes += element.len();
            new_len += 1;
            any_long |= limits.is_long(element);
        }
        let old_bytes = bytes.len().max(HEADER_BYTES) - HEADER_BYTES + entry::LISTPACK_OVERHEAD;
        if any_long || limits.exceeds(old_bytes + new_bytes, packed_count(bytes) + new_len) {
            let node = Node::from_packed(core::mem::take(bytes));
            let mut nodes = Box::<Nodes>::default();
            if !node.is_empty() {
                nodes.insert_node(0, node);
            }
            *self = Self::Nodes(nodes);
        }
    }

    /// Becomes packed again if it is one node that is small enough.
    fn pack(&mut self, limits: &Limits, shrinking: bool) {
        let Self::Nodes(nodes) = self else { return };
        if nodes.nodes.len() != 1 {
            return;
        }
        let only = &nodes.nodes[0];
        let is_small = limits.allows_packing(only.listpack_bytes(), only.len(), shrinking);
        if !only.is_plain() && is_small {
            let mut bytes = nodes.take_only().into_packed();
            bytes.shrink_to_fit();
            *self = Self::Packed(bytes);
        }
    }

    /// Removes up to `count` elements from an end. What goes and is long to free is handed over.
    pub fn remove_end(&mut self, side: Side, count: usize, limits: &Limits) -> Option<Self> {
        let len = self.reader().len();
        let removed = match self {
            Self::Packed(bytes) if count < len => {
                change_packed(bytes, |node| node.remove_end(side, count));
                None
            }
            Self::Packed(bytes) => {
                bytes.clear();
                None
            }
            Self::Nodes(nodes) => Some(nodes.remove_end(side, count.min(len), limits)),
        };
        self.pack(limits, true);
        let long = removed.filter(Nodes::is_big)?;
        Some(Self::Nodes(Box::new(long)))
    }

    /// Puts an element before element number `index`, or behind the last.
    pub fn insert(&mut self, index: usize, element: &[u8], limits: &Limits) {
        self.make_room(core::iter::once(element), limits);
        match self {
            Self::Nodes(nodes) => nodes.insert(index, element, limits),
            Self::Packed(bytes) => {
                let entry = Entry::new(element);
                change_packed(bytes, |node| node.insert(index, &entry));
            }
        }
    }

    /// Gives element number `index`, which is there, another value.
    pub fn set(&mut self, index: usize, element: &[u8], limits: &Limits) {
        self.make_room(core::iter::once(element), limits);
        match self {
            Self::Nodes(nodes) => nodes.set(index, element, limits),
            Self::Packed(bytes) => {
                let entry = Entry::new(element);
                change_packed(bytes, |node| node.set(index, &entry));
            }
        }
        self.pack(limits, false);
    }

    /// Removes up to `max` elements that equal `needle`, from an end on; returns how many.
    pub fn remove_equal(
        &mut self,
        needle: &[u8],
        side: Side,
        max: usize,
        limits: &Limits,
    ) -> usize {
        let removed = match self {
            Self::Nodes(nodes) => nodes.remove_equal(needle, side, max, limits),
            Self::Packed(bytes) => {
                let entry = Entry::new(needle);
                change_packed(bytes, |node| node.remove_equal(needle, &entry, side, max))
            }
        };
        if removed > 0 {
            self.pack(limits, true);
        }
        removed
    }
}

/// Changes a packed list as one node.
#[inline]
fn change_packed<R>(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Node) -> R) -> R {
    let mut node = Node::from_packed(core::mem::take(bytes));
    let result = change(&mut node);
    *bytes = node.into_packed();
    result
}

impl Collection for List {
    type Reader<'a> = ListRef<'a>;

    fn from_packed(bytes: Vec<u8>) -> Self {
        Self::Packed(bytes)
    }

    fn read_packed(bytes: &[u8]) -> ListRef<'_> {
        ListRef::Packed(bytes)
    }

    fn reader(&self) -> ListRef<'_> {
        match self {
            Self::Packed(bytes) => ListRef::Packed(bytes),
            Self::Nodes(nodes) => ListRef::Nodes(nodes),
        }
    }

    fn encoding(reader: ListRef<'_>) -> &'static str {
        match reader {
            ListRef::Packed(_) => "listpack",
            ListRef::Nodes(_) => "quicklist",
        }
    }

    fn packed(&self) -> Option<&[u8]> {
        match self {
            Self::Packed(bytes) => Some(bytes),
            Self::Nodes(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Self::Packed(bytes) => Some(bytes),
            Self::Nodes(_) => None,
        }
    }

    fn share(&mut self, meter: &Meter) -> Self {
        match self {
            Self::Packed(bytes) => Self::Packed(bytes.clone()),
            Self::Nodes(nodes) => Self::Nodes(Box::new(nodes.share(meter))),
        }
    }

    fn is_empty(&self) -> bool {
        self.reader().is_empty()
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Packed(bytes) => bytes.capacity(),
            Self::Nodes(nodes) => nodes.memory_bytes(),
        }
    }

    fn is_big(&self) -> bool {
        match self {
            Self::Packed(_) => false,
            Self::Nodes(nodes) => nodes.is_big(),
        }
    }

    fn free_some(&mut self) -> bool {
        match self {
            Self::Packed(_) => true,
            Self::Nodes(nodes) => nodes.free_some(),
        }
    }

    fn check_invariants(&self) {
        match self {
            Self::Packed(_) => {
                let (entries, count) = self.reader().entries();
                entry::check_invariants(entries, count);
            }
            Self::Nodes(nodes) => nodes.check_invariants(),
        }
    }
}

#[cfg(test)]
mod tests;
