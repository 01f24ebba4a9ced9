//! Entries that were delivered and not acknowledged.

use super::consumer::ConsumerNumber;
use super::id::StreamId;
use super::sorted::Keyed;

/// One such entry, as its group knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: StreamId,
    /// When it was last delivered; of an entry without an owner, its place in their queue.
    pub(super) since: u64,
    /// How often it was delivered; wraps as the count of Redis does.
    pub deliveries: i64,
    /// Whose it is; nobody's after XNACK.
    pub owner: Option<ConsumerNumber>,
}

impl Pending {
    /// When it was last delivered, in milliseconds since the Unix epoch; 0 if it has no owner.
    pub fn delivered_ms(&self) -> u64 {
        if self.owner.is_some() { self.since } else { 0 }
    }

    /// How long ago that was.
    pub fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.delivered_ms())
    }

    /// Its place among all pending entries of its group in the order in which they are claimed:
    /// those without owner first, then those that were delivered first.
    pub(super) fn claim_order(&self) -> ClaimOrder {
        ClaimOrder { has_owner: self.owner.is_some(), since: self.since, id: self.id }
    }
}

impl Keyed for Pending {
    fn key(&self) -> StreamId {
        self.id
    }

    fn twin(&self) -> Self {
        *self
    }
}

/// See [`Pending::claim_order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClaimOrder {
    pub(super) has_owner: bool,
    pub(super) since: u64,
    pub(super) id: StreamId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_entry_is_small() {
        assert_eq!(size_of::<Pending>(), 40);
    }
}
