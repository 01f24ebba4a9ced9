//! What one client has subscribed to.
//!
//! Invariant: a session has this exactly while it subscribes to something; the names are those
//! under which [`crate::pubsub`] files the client.

use std::collections::BTreeSet;
use std::sync::Arc;

/// A channel's name or a pattern, shared by all who hold it.
pub(crate) type Name = Arc<[u8]>;

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// One channel.
    Channel,
    /// Every channel that matches a pattern.
    Pattern,
    /// One channel of a shard (SSUBSCRIBE): names of their own.
    ShardChannel,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::ShardChannel];
}

/// Heap bytes of one name in one client's set, beside the name itself.
const ENTRY_BYTES: usize = 3 * size_of::<Name>();

/// A client's subscriptions.
#[derive(Debug, Default)]
pub struct Subscriptions {
    names: [BTreeSet<Name>; 3],
    bytes: usize,
}

impl Subscriptions {
    /// The names of one kind, in order.
    pub(crate) fn names(&self, topic: Topic) -> &BTreeSet<Name> {
        &self.names[topic as usize]
    }

    /// How many there are of one kind.
    pub fn count(&self, topic: Topic) -> usize {
        self.names[topic as usize].len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeSet::is_empty)
    }

    /// Whether this name is among those of its kind.
    pub fn contains(&self, topic: Topic, name: &[u8]) -> bool {
        self.names[topic as usize].contains(name)
    }

    /// Adds a name that is not there.
    pub(crate) fn insert(&mut self, topic: Topic, name: Name) {
        self.bytes += ENTRY_BYTES + name.len();
        let is_new = self.names[topic as usize].insert(name);
        debug_assert!(is_new, "the client asked for it twice");
    }

    /// Takes a name out; whether it was there.
    pub(crate) fn remove(&mut self, topic: Topic, name: &[u8]) -> bool {
        let was_there = self.names[topic as usize].remove(name);
        if was_there {
            self.bytes -= ENTRY_BYTES + name.len();
        }
        was_there
    }

    /// Heap bytes that they own, itself included. Names count in full for every subscriber.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}
