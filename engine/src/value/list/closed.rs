//! Compressed nodes: LZF, as in RDB files. A compressed node is closed; it is opened to be changed,
//! and into a buffer of the reader's to be read.
//!
//! The rules are Redis's: what is shorter than 48 bytes is left as it is, and so is what would not
//! become at least nine bytes shorter. An element of more than a megabyte is left, too, so that no
//! step is long.
//!
//! Invariant: a closed node is shorter than an open one, and its list reads the same.

use super::entry::LISTPACK_OVERHEAD;
use super::node::Node;
use crate::value::rdb::lzf::{self, Compressor};

/// Shorter nodes are not compressed.
const STORED_BYTES_MIN: usize = 48;
/// Neither are longer ones.
const STORED_BYTES_MAX: usize = 1 << 20;
/// What compression has to save.
const GAIN_BYTES_MIN: usize = 9;

/// Whether a node is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// It can be read and changed.
    #[default]
    Open,
    /// As `Open`; and it has not been changed since it turned out that compressing it gains
    /// nothing.
    Refused,
    /// It is compressed.
    Closed,
}

impl Node {
    /// Whether it is compressed.
    pub(super) fn is_closed(&self) -> bool {
        self.form == Form::Closed
    }

    /// Compresses the content, if that is worth it. True if it was tried.
    pub(super) fn close(&mut self) -> bool {
        if self.form != Form::Open {
            return false;
        }
        self.form = Form::Refused;
        if let Some(mut packed) = compressed(self.content(), self.is_plain) {
            packed.shrink_to_fit();
            self.start = self.content().len() as u32;
            self.bytes = packed;
            self.form = Form::Closed;
        }
        true
    }

    /// Makes the node fit to be changed. True if it was compressed.
    pub(super) fn open(&mut self) -> bool {
        let was_closed = self.form == Form::Closed;
        if was_closed {
            let mut bytes = Vec::new();
            self.open_into(&mut bytes);
            (self.bytes, self.start) = (bytes, 0);
        }
        self.form = Form::Open;
        was_closed
    }

    /// The same node, open, in a buffer that is taken.
    pub(super) fn opened(&self, buffer: &mut Vec<u8>) -> Self {
        self.open_into(buffer);
        let bytes = core::mem::take(buffer);
        Self { bytes, start: 0, form: Form::Open, ..*self }
    }

    /// The content; if it is compressed it is written into the buffer.
    #[inline]
    pub(super) fn read<'b>(&'b self, buffer: &'b mut Vec<u8>) -> &'b [u8] {
        if self.form == Form::Closed {
            self.open_into(buffer);
            return buffer;
        }
        self.content()
    }

    #[cold]
    fn open_into(&self, buffer: &mut Vec<u8>) {
        debug_assert_eq!(self.form, Form::Closed, "only what is closed is opened");
        let opened = lzf::decompress_into(buffer, &self.bytes, self.start as usize);
        opened.expect("what was compressed here is read back");
    }

    pub(super) fn check_form(&self, content: &[u8]) {
        match self.form {
            Form::Open => {}
            Form::Refused => {
                assert_eq!(compressed(content, self.is_plain), None, "it gains nothing");
            }
            Form::Closed => {
                let expected = compressed(content, self.is_plain);
                assert_eq!(expected.as_deref(), Some(&self.bytes[..]), "it is worth it");
                assert_eq!(self.bytes.capacity(), self.bytes.len(), "there is no room in it");
            }
        }
    }
}

/// The compressed form of a content, if it is worth it.
fn compressed(content: &[u8], is_plain: bool) -> Option<Vec<u8>> {
    let around = if is_plain { 0 } else { LISTPACK_OVERHEAD };
    if !(STORED_BYTES_MIN..=STORED_BYTES_MAX).contains(&(content.len() + around)) {
        return None;
    }
    Compressor::sized_for(content.len()).compress(content, content.len() - GAIN_BYTES_MIN)
}
