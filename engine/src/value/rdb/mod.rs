//! Values as RDB files and DUMP payloads spell them: from bytes to elements and back.
//!
//! A [`Saver`] takes elements and gives bytes; [`load`] takes bytes and gives [`Item`]s, one after
//! another. Neither knows the keyspace, nor how collections hold what they hold.
//!
//! Invariants: any bytes give items or [`Corrupt`], never a panic; what is read is checked as
//! thoroughly as Redis checks with `sanitize-dump-payload yes`, but for duplicate members, fields
//! and set elements, which whoever takes the items has to refuse. Memory: nothing is taken for
//! lengths that the bytes cannot have; compressed bytes grow at most [`lzf::GROWTH_MAX`]-fold, and
//! beside them only one element is held at a time (of a stream: one entry or one group).

mod element;
mod envelope;
mod file_read;
mod file_write;
mod functions;
mod header;
mod intset;
pub mod listpack;
mod load;
mod load_stream;
pub mod lzf;
mod reader;
mod save;
mod save_stream;
mod stream;
mod writer;
mod ziplist;
mod zipmap;

pub use element::Element;
pub use envelope::{Dialect, is_readable, open, open_unchecked, seal};
pub use file_read::{Broken, FileReader, Head, Progress, Receive, SETTLED_PARTS};
pub use file_write::FileWriter;
pub use functions::{load_libraries, save_libraries};
pub use load::{EMPTY, empty_len, kind, load, load_front, packing, whole};
pub use reader::SHORT;
pub use save::{HashField, Saver, Target};
pub use save_stream::{BLOCK_ENTRIES_MAX, StreamSaver};
pub use stream::{Consumer, Group, Id, Idempotence, Pending, Producer, Totals};

/// Bytes that are no value, and what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt(pub &'static str);

/// What a payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string: exactly one [`Item::String`].
    String,
    /// A list: its elements from head to tail.
    List,
    /// A set.
    Set,
    /// A hash.
    Hash,
    /// A sorted set, in any order.
    Zset,
    /// A stream: its entries in order, then its totals, then its groups, then what it remembers of
    /// producers.
    Stream,
}

impl Kind {
    /// The type's name, as TYPE gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::Zset => "zset",
            Self::Stream => "stream",
        }
    }
}

/// The bytes of a value.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// What it is, and how it is packed.
    pub type_byte: u8,
    /// What is behind the type byte; in files, behind the key that follows it. There may be more
    /// than the value.
    pub rest: &'a [u8],
    /// What the type byte means.
    pub dialect: Dialect,
}

impl<'a> Value<'a> {
    /// A value whose type byte is its first.
    pub fn of(bytes: &'a [u8], dialect: Dialect) -> Result<Self, Corrupt> {
        let (&type_byte, rest) = bytes.split_first().ok_or(SHORT)?;
        Ok(Self { type_byte, rest, dialect })
    }
}

/// A part of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// A whole string.
    String(Element<'a>),
    /// An element of a list.
    ListElement(Element<'a>),
    /// An element of a set.
    SetMember(Element<'a>),
    /// A field of a hash.
    HashField {
        /// Its name.
        field: Element<'a>,
        /// Its value.
        value: Element<'a>,
        /// When it expires, in milliseconds since the epoch; it may have passed.
        deadline_ms: Option<u64>,
    },
    /// A member of a sorted set.
    ZsetMember {
        /// The member.
        member: Element<'a>,
        /// Its score, which is a number.
        score: f64,
    },
    /// An entry of a stream. Identifiers ascend, but for those of deleted entries: XSETID may have
    /// gone back behind them.
    StreamEntry {
        /// Its identifier.
        id: Id,
        /// Its fields and values; at least one.
        fields: &'a [(Element<'a>, Element<'a>)],
        /// Whether it is the first of a block.
        starts_block: bool,
        /// Whether it was deleted, and only its place is left.
        is_deleted: bool,
    },
    /// What a stream knows beside its entries.
    StreamTotals(Totals),
    /// A consumer group of a stream.
    StreamGroup(&'a Group<'a>),
    /// What a stream remembers of producers.
    StreamIdempotence(&'a Idempotence<'a>),
}

/// Takes the items of a value; refuses one that was there before.
pub type Visit<'v> = dyn FnMut(Item<'_>) -> Result<(), Corrupt> + 'v;

/// What comes in the place of a type byte in files.
mod opcodes {
    /// Where slots of a cluster come from: Valkey 9. In Redis 8.6, what modules say of a key.
    pub(super) const SLOT_IMPORT: u8 = 243;
    /// How many keys a slot of a cluster has.
    pub(super) const SLOT_SIZES: u8 = 244;
    pub(super) const LIBRARY: u8 = 245;
    /// As the release candidates of Redis 7.0 wrote it.
    pub(super) const EARLY_LIBRARY: u8 = 246;
    pub(super) const MODULE_AUX: u8 = 247;
    /// Seconds since the key was used.
    pub(super) const IDLE: u8 = 248;
    /// How often the key was used, on a logarithmic scale.
    pub(super) const FREQUENCY: u8 = 249;
    pub(super) const AUX: u8 = 250;
    /// How many keys the database has, and how many of them expire.
    pub(super) const SIZES: u8 = 251;
    pub(super) const DEADLINE_MS: u8 = 252;
    pub(super) const DEADLINE_SECS: u8 = 253;
    pub(super) const DATABASE: u8 = 254;
    pub(super) const END: u8 = 255;
}

/// The type bytes.
mod types {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    /// Scores as text.
    pub(super) const ZSET: u8 = 3;
    pub(super) const HASH: u8 = 4;
    /// Scores in binary.
    pub(super) const ZSET_2: u8 = 5;
    /// Values of modules, as Redis 3.2 and as Redis 4 wrote them.
    pub(super) const MODULE: u8 = 6;
    pub(super) const MODULE_2: u8 = 7;
    pub(super) const HASH_ZIPMAP: u8 = 9;
    pub(super) const LIST_ZIPLIST: u8 = 10;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const ZSET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    /// A list of ziplists.
    pub(super) const LIST_QUICKLIST: u8 = 14;
    pub(super) const STREAM: u8 = 15;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const ZSET_LISTPACK: u8 = 17;
    /// A list of listpacks and single big elements.
    pub(super) const LIST_QUICKLIST_2: u8 = 18;
    /// With what was ever added and deleted.
    pub(super) const STREAM_2: u8 = 19;
    pub(super) const SET_LISTPACK: u8 = 20;
    /// With when consumers were last active.
    pub(super) const STREAM_3: u8 = 21;
    /// Fields with deadlines: release candidates of Redis 7.4.
    pub(super) const HASH_DEADLINES_EARLY: u8 = 22;
    /// Fields with deadlines: Valkey 9, in version 80 only.
    pub(super) const HASH_2_VALKEY: u8 = 22;
    /// The same in a listpack: release candidates of Redis 7.4.
    pub(super) const HASH_LISTPACK_DEADLINES_EARLY: u8 = 23;
    /// Fields with deadlines, relative to the earliest: Redis 7.4.
    pub(super) const HASH_DEADLINES: u8 = 24;
    /// The same in a listpack.
    pub(super) const HASH_LISTPACK_DEADLINES: u8 = 25;
    /// With what is remembered of producers: Redis 8.6.
    pub(super) const STREAM_4: u8 = 26;
    /// With entries that were given back: Redis 8.8.
    pub(super) const STREAM_5: u8 = 27;
}
