//! Consumers of a group, and the entries that are theirs.

use core::num::NonZeroU32;

use super::id::StreamId;
use super::sorted::Sorted;

/// Names a consumer within its group, as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerNumber(NonZeroU32);

impl ConsumerNumber {
    pub(super) fn of(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("a group has fewer than 2^32 consumers"))
    }

    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// What it calls itself.
    pub(super) name: Box<[u8]>,
    /// When it last read or claimed, in milliseconds since the Unix epoch.
    pub(super) seen_ms: u64,
    /// When it last got something by that.
    pub(super) active_ms: Option<u64>,
    /// The entries that are its own.
    pub(super) pending: Sorted<StreamId>,
}

impl Consumer {
    pub(super) fn new(name: &[u8], seen_ms: u64) -> Self {
        Self { name: name.into(), seen_ms, active_ms: None, pending: Sorted::default() }
    }

    /// What it calls itself.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it last read or claimed, in milliseconds since the Unix epoch.
    pub fn seen_ms(&self) -> u64 {
        self.seen_ms
    }

    /// When it last got something by that; `None`: never.
    pub fn active_ms(&self) -> Option<u64> {
        self.active_ms
    }

    /// How many entries are its own.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The ids of its entries from `start` on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.iter_from(start).copied()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.pending.heap_bytes()
    }
}
