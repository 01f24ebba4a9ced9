//! What the keyspace asks of every collection (lists, sets, hashes, sorted sets, streams).
//!
//! A collection has a packed form while it is small: bytes that mean the same wherever they lie, so
//! that the keyspace can keep them inside the entry of the key. Reading works on the bytes where
//! they are; to change a collection the keyspace hands it out and stores it back.
//!
//! Invariant: `from_packed` of what `packed` gave is the same collection.

use super::shared::Meter;

/// A collection as the keyspace sees it.
pub trait Collection: Sized + Clone + core::fmt::Debug {
    /// What reads it, in either form.
    type Reader<'a>: Copy + core::fmt::Debug
    where
        Self: 'a;

    /// A collection from packed bytes; no bytes are an empty collection.
    fn from_packed(bytes: Vec<u8>) -> Self;

    /// The reader of packed bytes.
    fn read_packed(bytes: &[u8]) -> Self::Reader<'_>;

    /// The reader of this collection.
    fn reader(&self) -> Self::Reader<'_>;

    /// The name of its form, as OBJECT ENCODING gives it.
    fn encoding(reader: Self::Reader<'_>) -> &'static str;

    /// The bytes, if it is in its packed form.
    fn packed(&self) -> Option<&[u8]>;

    /// The buffer of the packed form, to be used again.
    fn into_packed(self) -> Option<Vec<u8>>;

    /// Whether it has no element, so that its key goes. (A stream without entries stays.)
    fn is_empty(&self) -> bool;

    /// The same collection, to be read: parts of it are shared and copied as either changes, which
    /// the meter counts. What is not needed to read all elements in order may be missing, and what
    /// cannot be shared is copied.
    #[doc(hidden)]
    fn share(&mut self, meter: &Meter) -> Self {
        let copy = self.clone();
        meter.add(copy.memory_bytes());
        copy
    }

    /// Heap bytes that it owns; every change keeps the figure, so that asking costs nothing.
    fn memory_bytes(&self) -> usize;

    /// Whether freeing it may take long, so that it should be freed in steps.
    fn is_big(&self) -> bool;

    /// Frees a bounded part; true when nothing is left. It is not used for anything else any more.
    fn free_some(&mut self) -> bool;

    /// The earliest deadline of all elements that have one, in milliseconds of key time.
    #[inline]
    fn first_deadline(_reader: Self::Reader<'_>) -> Option<u64> {
        None
    }

    /// Checks the structure; for tests.
    fn check_invariants(&self);
}
