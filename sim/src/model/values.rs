//! Byte strings as small numbers, so that states and operations are cheap to copy and compare.
//!
//! Equal strings have equal numbers, whichever way they came about.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// The strings of one partition.
#[derive(Clone, Debug, Default)]
pub struct Values {
    ids: FxHashMap<Arc<[u8]>, u32>,
    bytes: Vec<Arc<[u8]>>,
    scratch: Vec<u8>,
}

impl Values {
    /// Makes room for about so many strings more.
    pub fn reserve(&mut self, count: usize) {
        self.ids.reserve(count);
        self.bytes.reserve(count);
    }

    /// The number of `bytes`.
    ///
    /// # Panics
    /// After 2^32 different strings, which is more than the limits of a check allow.
    pub fn intern(&mut self, bytes: &[u8]) -> u32 {
        if let Some(&id) = self.ids.get(bytes) {
            return id;
        }
        let id = u32::try_from(self.bytes.len()).expect("fewer than 2^32 values");
        let shared: Arc<[u8]> = bytes.into();
        self.bytes.push(Arc::clone(&shared));
        self.ids.insert(shared, id);
        id
    }

    /// The number of the concatenation of two strings.
    pub fn concatenate(&mut self, head: u32, tail: u32) -> u32 {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(self.bytes(head));
        scratch.extend_from_slice(self.bytes(tail));
        let id = self.intern(&scratch);
        self.scratch = scratch;
        id
    }

    /// The string behind a number that [`Values::intern`] gave.
    #[must_use]
    pub fn bytes(&self, id: u32) -> &[u8] {
        &self.bytes[id as usize]
    }

    /// Whether the first string is the beginning of the second, or all of it.
    #[must_use]
    pub fn is_prefix(&self, head: u32, whole: u32) -> bool {
        self.bytes(whole).starts_with(self.bytes(head))
    }

    /// The string in words.
    #[must_use]
    pub fn describe(&self, id: u32) -> String {
        crate::history::Value::from(self.bytes(id)).to_string()
    }
}
