//! What a stream knows beside its entries, in a form of its own that the engine's streams and RDB
//! bytes are both turned into.

use std::borrow::Cow;

/// The identifier of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Milliseconds.
    pub ms: u64,
    /// Counts within the millisecond.
    pub seq: u64,
}

impl Id {
    /// Its sixteen bytes, in the order of identifiers.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }
}

/// Counters of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many entries it has.
    pub length: u64,
    /// The identifier that was given out last.
    pub last_id: Id,
    /// The first entry, zero if there is none.
    pub first_id: Id,
    /// The greatest identifier that was deleted, zero if there is none.
    pub max_deleted_id: Id,
    /// How many entries were ever added.
    pub entries_added: u64,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// Its name.
    pub name: Cow<'a, [u8]>,
    /// What it was given last.
    pub last_id: Id,
    /// How many entries it has read, if that is known.
    pub entries_read: Option<u64>,
    /// Its consumers, by different names.
    pub consumers: Vec<Consumer<'a>>,
    /// What was delivered and not acknowledged, in order of identifiers.
    pub pending: Vec<Pending>,
    /// Those of them that belong to nobody, first the one that was given back first.
    pub given_back: Vec<Id>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer<'a> {
    /// Its name.
    pub name: Cow<'a, [u8]>,
    /// When it last tried to read, in milliseconds since the epoch.
    pub seen_ms: i64,
    /// When it last got something, in milliseconds since the epoch; negative: never.
    pub active_ms: i64,
}

/// An entry that a consumer has not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The entry; it may be deleted.
    pub id: Id,
    /// When it was last delivered, in milliseconds since the epoch.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// Whose it is, an index into the group's consumers; `None`: nobody's.
    pub consumer: Option<usize>,
}

/// What a stream remembers of producers that name their messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Idempotence<'a> {
    /// How long a name is remembered, in seconds.
    pub duration_secs: u64,
    /// How many names of a producer are remembered.
    pub names_max: u64,
    /// The producers.
    pub producers: Vec<Producer<'a>>,
    /// How many messages with names were added.
    pub added: u64,
    /// How many were recognized as repeated.
    pub repeated: u64,
}

/// A producer and the names that it gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producer<'a> {
    /// Its name.
    pub name: Cow<'a, [u8]>,
    /// Its messages' names, oldest first, and their entries.
    pub messages: Vec<(Cow<'a, [u8]>, Id)>,
}
