//! Cells: how a key and its value lie in a leaf.
//!
//! A cell is an element in its packed form (see [`crate::value::packed`]), or, of a long one, the
//! number of a blob. Before a value may stand the time at which it expires:
//!
//! ```text
//! 00..ca  an element
//! cb      a long string; the number of its blob follows in four bytes
//! cc      a deadline in six bytes; the value follows
//! ```
//! Invariant: a string is far exactly if its packed form is longer than [`NEAR_BYTES_MAX`], so that
//! equal strings have equal forms.

use super::blobs::Blobs;
use crate::value::packed::{self, Element, Encoded};

/// Longer elements lie out of line.
pub(super) const NEAR_BYTES_MAX: usize = 200;
/// The latest deadline that can be stored.
pub const DEADLINE_MS_MAX: u64 = (1 << 48) - 1;

const FAR: u8 = 0xcb;
const FAR_BYTES: usize = 5;
const DEADLINE: u8 = 0xcc;
const DEADLINE_BYTES: usize = 7;

/// A key with its value, as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// From the first byte of the key on, as far as the leaf goes.
    bytes: &'a [u8],
    blobs: &'a Blobs,
}

impl<'a> Entry<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8], blobs: &'a Blobs) -> Self {
        Self { bytes, blobs }
    }

    #[inline]
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The key.
    #[inline]
    pub fn key(self) -> Element<'a> {
        element_in(self.bytes, self.blobs)
    }

    /// The value. Only tables of pairs have values.
    #[inline]
    pub fn value(self) -> Element<'a> {
        let value = &self.bytes[cell_bytes(self.bytes)..];
        element_in(&value[deadline_bytes(value)..], self.blobs)
    }

    /// When the value expires. Only tables of pairs have deadlines.
    #[inline]
    pub fn deadline_ms(self) -> Option<u64> {
        deadline_in(&self.bytes[cell_bytes(self.bytes)..])
    }
}

/// A cell that is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Near(Encoded<'a>),
    Far(u32),
}

impl<'a> Cell<'a> {
    /// The cell of an element; a long one becomes a blob.
    #[inline]
    pub(super) fn new(element: &Encoded<'a>, blobs: &mut Blobs) -> Self {
        if is_far(element) { Self::Far(blobs.insert(element.body())) } else { Self::Near(*element) }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Near(element) => element.len(),
            Self::Far(_) => FAR_BYTES,
        }
    }

    /// Writes it to the front of `into`; returns what is left of that.
    #[inline]
    pub(super) fn write<'b>(&self, into: &'b mut [u8]) -> &'b mut [u8] {
        match self {
            Self::Near(element) => put(put(into, element.head()), element.body()),
            Self::Far(number) => put(put(into, &[FAR]), &number.to_le_bytes()),
        }
    }
}

/// A value that is to be written: its deadline, if it has one, and its cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) cell: Cell<'a>,
    pub(super) deadline_ms: Option<u64>,
}

impl Value<'_> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.cell.len() + if self.deadline_ms.is_some() { DEADLINE_BYTES } else { 0 }
    }

    #[inline]
    pub(super) fn write<'b>(&self, into: &'b mut [u8]) -> &'b mut [u8] {
        let into = match self.deadline_ms {
            Some(deadline_ms) => put(into, &deadline_cell(deadline_ms)),
            None => into,
        };
        self.cell.write(into)
    }
}

/// A deadline as it stands before a value.
#[inline]
pub(super) fn deadline_cell(deadline_ms: u64) -> [u8; DEADLINE_BYTES] {
    assert!(deadline_ms <= DEADLINE_MS_MAX, "commands refuse later deadlines");
    let [a, b, c, d, e, f, ..] = deadline_ms.to_le_bytes();
    [DEADLINE, a, b, c, d, e, f]
}

#[inline]
fn put<'b>(into: &'b mut [u8], bytes: &[u8]) -> &'b mut [u8] {
    let (front, rest) = into.split_at_mut(bytes.len());
    front.copy_from_slice(bytes);
    rest
}

/// Whether an element lies out of line.
#[inline]
pub(super) fn is_far(element: &Encoded<'_>) -> bool {
    element.len() > NEAR_BYTES_MAX
}

/// How long the cell at the front of `bytes` is.
#[inline]
pub(super) fn cell_bytes(bytes: &[u8]) -> usize {
    if bytes[0] == FAR { FAR_BYTES } else { packed::end_of(bytes, 0) }
}

/// How long the deadline at the front of `bytes` is; 0: there is none.
#[inline]
pub(super) fn deadline_bytes(bytes: &[u8]) -> usize {
    if bytes[0] == DEADLINE { DEADLINE_BYTES } else { 0 }
}

/// How long the value at the front of `bytes` is, its deadline included.
#[inline]
pub(super) fn value_bytes(bytes: &[u8]) -> usize {
    let deadline = deadline_bytes(bytes);
    deadline + cell_bytes(&bytes[deadline..])
}

/// The deadline at the front of `bytes`.
#[inline]
pub(super) fn deadline_in(bytes: &[u8]) -> Option<u64> {
    let &[DEADLINE, a, b, c, d, e, f, ..] = bytes else { return None };
    Some(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
}

/// The blob of the cell at the front of `bytes`, if that is far.
#[inline]
pub(super) fn blob_in(bytes: &[u8]) -> Option<u32> {
    let &[FAR, a, b, c, d, ..] = bytes else { return None };
    Some(u32::from_le_bytes([a, b, c, d]))
}

/// The blob of the value at the front of `bytes`, if that is far.
#[inline]
pub(super) fn value_blob(bytes: &[u8]) -> Option<u32> {
    blob_in(&bytes[deadline_bytes(bytes)..])
}

/// The element that the cell at the front of `bytes` holds.
#[inline]
fn element_in<'a>(bytes: &'a [u8], blobs: &'a Blobs) -> Element<'a> {
    match blob_in(bytes) {
        Some(number) => Element::Bytes(blobs.at(number)),
        None => packed::element_at(bytes, 0).0,
    }
}

/// Whether the cell at the front of `bytes` holds this element.
#[inline]
pub(super) fn holds(bytes: &[u8], element: &Encoded<'_>, blobs: &Blobs) -> bool {
    if is_far(element) {
        return blob_in(bytes).is_some_and(|number| blobs.at(number) == element.body());
    }
    let head = element.head();
    bytes.starts_with(head) && bytes[head.len()..].starts_with(element.body())
}

/// What is hashed of an element that is searched for: the text of a string, the form of a number.
#[inline]
pub(super) fn hashed<'a>(element: &'a Encoded<'_>) -> &'a [u8] {
    if element.body().is_empty() { element.head() } else { element.body() }
}

/// What is hashed of the element in the cell at the front of `bytes`: the same as [`hashed`].
#[inline]
pub(super) fn hashed_in<'a>(bytes: &'a [u8], blobs: &'a Blobs) -> &'a [u8] {
    match element_in(bytes, blobs) {
        Element::Bytes(text) if !text.is_empty() => text,
        _ => &bytes[..cell_bytes(bytes)],
    }
}
