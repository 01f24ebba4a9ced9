//! One node of a list: entries in one allocation, with room at either end, or one long element.
//! Either may be compressed ([`super::closed`]); only what is open can be read here and changed.
//!
//! Invariant: a node is never empty while it is in a list, and an element lies alone in a node
//! exactly if it is longer than the limit that was in force when it came.

use super::Side;
use super::closed::Form;
use super::entry::{self, Entry, LISTPACK_OVERHEAD};
use super::limits::Limits;
use crate::value::packed::Element;
use crate::value::shared::{Part as Shareable, twin_bytes};

/// The first allocation of a node.
const BYTES_MIN: usize = 64;

/// Bytes before the entries of a packed list, for the count.
pub(super) const HEADER_BYTES: usize = 2;

/// A part of a list.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Room, then the entries; or the element; or either compressed.
    pub(super) bytes: Vec<u8>,
    /// Where the entries begin; how long the content is if it is compressed.
    pub(super) start: u32,
    /// How many there are.
    pub(super) count: u16,
    /// Whether there is one element and the bytes are it, as it is.
    pub(super) is_plain: bool,
    /// Whether it is compressed.
    pub(super) form: Form,
}

impl Clone for Node {
    /// A copy has no room.
    fn clone(&self) -> Self {
        match self.form {
            Form::Closed => Self { bytes: self.bytes.clone(), ..*self },
            _ => Self { bytes: self.content().to_vec(), start: 0, ..*self },
        }
    }
}

impl Shareable for Node {
    fn twin(&self) -> Self {
        Self { bytes: twin_bytes(&self.bytes), ..*self }
    }

    fn part_bytes(&self) -> usize {
        self.memory_bytes()
    }
}

impl Node {
    /// A node of one long element.
    pub(super) fn plain(element: &[u8]) -> Self {
        Self { bytes: element.to_vec(), count: 1, is_plain: true, ..Self::default() }
    }

    /// A node of one element, with room for `bytes_min` bytes; the room is where the next ones are
    /// expected.
    pub(super) fn new(entry: &Entry<'_>, side: Side, bytes_min: usize) -> Self {
        let mut node = Self::default();
        node.make_room(side, entry.len().max(bytes_min), usize::MAX);
        node.push(side, entry, usize::MAX);
        node
    }

    /// The entries of a packed list.
    pub(super) fn from_packed(bytes: Vec<u8>) -> Self {
        let count = packed_count(&bytes);
        let start = bytes.len().min(HEADER_BYTES) as u32;
        Self { bytes, start, count: count as u16, ..Self::default() }
    }

    /// A packed list of the entries; no bytes if there are none.
    pub(super) fn into_packed(mut self) -> Vec<u8> {
        if self.count == 0 {
            self.bytes.clear();
            return self.bytes;
        }
        let start = self.start as usize;
        if start > HEADER_BYTES {
            self.bytes.drain(HEADER_BYTES..start);
        } else if start < HEADER_BYTES {
            self.bytes.splice(0..0, core::iter::repeat_n(0, HEADER_BYTES - start));
        }
        self.bytes[..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.bytes
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The entries, or the long element.
    #[inline]
    pub(super) fn content(&self) -> &[u8] {
        debug_assert!(self.form != Form::Closed, "what is read is open");
        &self.bytes[self.start as usize..]
    }

    /// How long the content is, compressed or not.
    #[inline]
    pub(super) fn content_len(&self) -> usize {
        match self.form {
            Form::Closed => self.start as usize,
            _ => self.bytes.len() - self.start as usize,
        }
    }

    /// How long a listpack of the entries is.
    pub(super) fn listpack_bytes(&self) -> usize {
        self.content_len() + LISTPACK_OVERHEAD
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether another entry may come in.
    #[inline]
    pub(super) fn takes(&self, entry_len: usize, limits: &Limits) -> bool {
        !self.is_plain && !limits.exceeds(self.listpack_bytes() + entry_len, self.len() + 1)
    }

    /// Element number `index`, in the content.
    pub(super) fn element<'b>(&self, content: &'b [u8], index: usize) -> Element<'b> {
        if self.is_plain {
            return Element::Bytes(content);
        }
        entry::element_at(content, entry::offset_of(content, self.len(), index)).0
    }

    /// Adds an element at an end. The allocation grows by doubling, to `bytes_max` at most unless
    /// the entry needs more.
    #[inline]
    pub(super) fn push(&mut self, side: Side, entry: &Entry<'_>, bytes_max: usize) {
        let len = entry.len();
        self.make_room(side, len, bytes_max);
        match side {
            Side::Front => {
                let start = self.start as usize - len;
                entry.write(&mut self.bytes[start..start + len]);
                self.start = start as u32;
            }
            Side::Back => {
                let end = self.bytes.len();
                self.bytes.resize(end + len, 0);
                entry.write(&mut self.bytes[end..]);
            }
        }
        self.count += 1;
    }

    /// Makes sure that `need` bytes are free at an end.
    #[inline]
    fn make_room(&mut self, side: Side, need: usize, bytes_max: usize) {
        let free = match side {
            Side::Front => self.start as usize,
            Side::Back => self.bytes.capacity() - self.bytes.len(),
        };
        if free < need {
            self.move_or_grow(side, need, bytes_max);
        }
    }

    #[cold]
    fn move_or_grow(&mut self, side: Side, need: usize, bytes_max: usize) {
        let content_len = self.content().len();
        let capacity = self.bytes.capacity();
        let free = capacity - content_len;
        // A queue moves through its allocation: it goes back to the other end when it has left as
        // much room there as it is long, so that an element is moved once or so.
        if free < need || free < content_len {
            let doubled = (2 * capacity).clamp(BYTES_MIN, bytes_max.max(BYTES_MIN));
            let new_capacity = doubled.max(content_len + need);
            if side == Side::Back && self.start == 0 {
                self.bytes.reserve_exact(new_capacity - self.bytes.len());
                return;
            }
            let mut bytes = Vec::with_capacity(new_capacity);
            if side == Side::Front {
                bytes.resize(new_capacity - content_len, 0);
            }
            let start = bytes.len();
            bytes.extend_from_slice(self.content());
            (self.bytes, self.start) = (bytes, start as u32);
            return;
        }
        let start = self.start as usize;
        let new_start = if side == Side::Front { free } else { 0 };
        let end = self.bytes.len();
        self.bytes.resize(end.max(new_start + content_len), 0);
        self.bytes.copy_within(start..end, new_start);
        self.bytes.truncate(new_start + content_len);
        self.start = new_start as u32;
    }

    /// Puts an element before element number `index`, or behind the last.
    pub(super) fn insert(&mut self, index: usize, entry: &Entry<'_>) {
        let at = self.start as usize + self.offset_of(index);
        self.splice(at, at, Some(entry));
        self.count += 1;
    }

    /// Gives element number `index` another value.
    pub(super) fn set(&mut self, index: usize, entry: &Entry<'_>) {
        let start = self.start as usize + self.offset_of(index);
        let end = self.start as usize + self.offset_of(index + 1);
        self.splice(start, end, Some(entry));
    }

    /// How much longer or shorter the entries would be with another element number `index`.
    pub(super) fn len_with(&self, index: usize, entry: &Entry<'_>) -> usize {
        let old_len = self.offset_of(index + 1) - self.offset_of(index);
        self.listpack_bytes() - old_len + entry.len()
    }

    fn offset_of(&self, index: usize) -> usize {
        entry::offset_of(self.content(), self.len(), index)
    }

    /// Puts an entry in the place of some bytes.
    fn splice(&mut self, start: usize, end: usize, entry: Option<&Entry<'_>>) {
        let len = entry.map_or(0, Entry::len);
        let (old_end, new_end) = (self.bytes.len(), start + len);
        if new_end > end {
            self.reserve(new_end - end);
            self.bytes.resize(old_end + (new_end - end), 0);
        }
        self.bytes.copy_within(end..old_end, new_end);
        self.bytes.truncate(new_end + (old_end - end));
        if let Some(entry) = entry {
            entry.write(&mut self.bytes[start..new_end]);
        }
    }

    /// Makes sure that there is room behind the entries; little more than is needed, but enough
    /// that a list which grows by single elements is not moved for each.
    fn reserve(&mut self, need: usize) {
        if self.bytes.capacity() - self.bytes.len() < need {
            self.bytes.reserve_exact(need.max(self.bytes.len() / 16));
        }
    }

    /// Removes `count` elements, which are there, from an end.
    pub(super) fn remove_end(&mut self, side: Side, count: usize) {
        debug_assert!(count <= self.len(), "an element is there that is removed");
        match side {
            Side::Front => self.start += self.offset_of(count) as u32,
            Side::Back => {
                let end = self.start as usize + self.offset_of(self.len() - count);
                self.bytes.truncate(end);
            }
        }
        self.count -= count as u16;
    }

    /// Removes element number `index`.
    pub(super) fn remove(&mut self, index: usize) {
        let start = self.start as usize + self.offset_of(index);
        let end = self.start as usize + self.offset_of(index + 1);
        self.splice(start, end, None);
        self.count -= 1;
    }

    /// Removes up to `max` elements that equal the needle, beginning at `side`; returns how many.
    pub(super) fn remove_equal(
        &mut self,
        needle: &[u8],
        entry: &Entry<'_>,
        side: Side,
        max: usize,
    ) -> usize {
        if self.is_plain {
            let is_equal = max > 0 && self.content() == needle;
            self.count -= u16::from(is_equal);
            return usize::from(is_equal);
        }
        let mut starts = self.offsets_of(entry, side, max);
        if side == Side::Back {
            starts.reverse();
        }
        let (base, entry_len, old_end) = (self.start as usize, entry.len(), self.bytes.len());
        let Some(&first) = starts.first() else { return 0 };
        let mut write = base + first;
        for (number, &start) in starts.iter().enumerate() {
            let kept = base + start + entry_len;
            let kept_end = starts.get(number + 1).map_or(old_end, |&next| base + next);
            self.bytes.copy_within(kept..kept_end, write);
            write += kept_end - kept;
        }
        self.bytes.truncate(write);
        self.count -= starts.len() as u16;
        starts.len()
    }

    /// The same for a node that may be compressed: it is opened only if it has such elements. The
    /// buffer is for looking.
    pub(super) fn remove_equal_anyhow(
        &mut self,
        needle: &[u8],
        entry: &Entry<'_>,
        side: Side,
        max: usize,
        buffer: &mut Vec<u8>,
    ) -> usize {
        if self.form == Form::Closed {
            let mut opened = self.opened(buffer);
            let removed = opened.remove_equal(needle, entry, side, max);
            if removed == 0 {
                *buffer = opened.bytes;
                return 0;
            }
            opened.bytes.shrink_to_fit();
            *self = opened;
            return removed;
        }
        let removed = self.remove_equal(needle, entry, side, max);
        if removed > 0 {
            self.form = Form::Open;
        }
        self.shrink();
        removed
    }

    /// Where up to `max` entries begin that are like this one, from an end on.
    fn offsets_of(&self, entry: &Entry<'_>, side: Side, max: usize) -> Vec<usize> {
        let content = self.content();
        let mut starts = Vec::new();
        match side {
            Side::Front => {
                let mut at = 0;
                while at < content.len() && starts.len() < max {
                    if entry.is_at(content, at) {
                        starts.push(at);
                    }
                    at = entry::end_of(content, at);
                }
            }
            Side::Back => {
                let mut at = content.len();
                while at > 0 && starts.len() < max {
                    at = entry::start_of(content, at);
                    if entry.is_at(content, at) {
                        starts.push(at);
                    }
                }
            }
        }
        starts
    }

    /// Splits off the elements from number `index` on.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let at = self.start as usize + self.offset_of(index);
        let count = self.len() - index;
        let bytes = self.bytes[at..].to_vec();
        self.bytes.truncate(at);
        self.count = index as u16;
        Self { bytes, count: count as u16, ..Self::default() }
    }

    /// Takes the elements of the node that follows, which has entries too.
    pub(super) fn append(&mut self, next: &Self) {
        self.bytes.reserve_exact(next.content().len());
        self.bytes.extend_from_slice(next.content());
        self.count += next.count;
    }

    /// Gives memory back if much more is allocated than used.
    pub(super) fn shrink(&mut self) {
        let content_len = self.content().len();
        if self.bytes.capacity() / 4 > content_len.max(BYTES_MIN) {
            self.bytes = self.content().to_vec();
            self.start = 0;
        }
    }

    /// Frees a bounded part of a long element; true when nothing is left.
    pub(super) fn free_some(&mut self, bytes_max: usize) -> bool {
        let keep = self.bytes.capacity().saturating_sub(bytes_max);
        self.bytes.truncate(keep);
        self.bytes.shrink_to(keep);
        keep == 0
    }

    pub(super) fn check_invariants(&self) {
        assert!(!self.is_empty(), "a node has elements");
        let mut content = Vec::new();
        let content = self.read(&mut content);
        assert_eq!(content.len(), self.content_len(), "a node knows how long its content is");
        if self.is_plain {
            assert_eq!(self.len(), 1, "a long element is alone");
        } else {
            entry::check_invariants(content, self.len());
        }
        self.check_form(content);
    }
}

/// How many elements a packed list has.
#[inline]
pub(super) fn packed_count(bytes: &[u8]) -> usize {
    match bytes {
        [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}
