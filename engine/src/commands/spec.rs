//! What a row of the command table says.
//!
//! A command is one row and one function in one file; everything else (COMMAND, COMMAND DOCS, key
//! extraction, ACL categories, documentation, random generators for tests) is derived from the row.

use super::Cx;
use super::keys::{BadKeys, FoundKey};
use super::table::Row;
use crate::args::Args;
use crate::error::Error;
use crate::state::State;

/// The function that runs a command.
pub type Handler = fn(&mut Cx<'_>, Args<'_>) -> Result<(), Error>;

/// The function that tells how a command of a row behaves with its words.
pub type FlagsWith = fn(&State, &Row, Args<'_>) -> Flags;

/// The function that finds a command's keys.
pub type KeyFinder = fn(Args<'_>) -> Result<Vec<FoundKey>, BadKeys>;

/// One command, or one subcommand (`CONFIG GET`), or the container of some (`CONFIG`).
pub struct Command {
    /// Upper-case name; a subcommand's has its container's before it.
    pub name: &'static str,
    /// The words after the name, in the notation of the Redis documentation:
    /// `key [key ...]`, `[NX | XX]`, `[EX seconds | PX milliseconds]`.
    pub syntax: &'static str,
    /// Number of words, the name (and the subcommand's) included; negative: at least so many.
    pub arity: i32,
    /// How it behaves.
    pub flags: Flags,
    /// How it behaves with these very words, where that depends on what it runs.
    pub flags_with: Option<FlagsWith>,
    /// The word at which the command begins that it runs, if it runs one (`carried.rs`).
    pub carries: Option<usize>,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// What becomes of the keys in one very command, where a specification says `VARIABLE_FLAGS`.
    pub key_flags: Option<fn(Args<'_>) -> &'static [&'static str]>,
    /// Finds the keys where specifications cannot (SORT's `STORE`).
    pub find_keys: Option<KeyFinder>,
    /// Which words are channels.
    pub channels: Option<Channels>,
    /// Which databases it reaches.
    pub databases: Databases,
    /// Hints for clients and proxies, in the words of COMMAND (`nondeterministic_output`,
    /// `request_policy:all_shards`).
    pub tips: &'static [&'static str],
    /// ACL categories beyond those that follow from group and flags, in lower case without `@`.
    pub categories: &'static [&'static str],
    /// The family that it is documented in.
    pub group: Group,
    /// The version that first had it; Valkey's own and ours say so (`valkey 9.0.0`, `orrery
    /// 0.1.0`).
    pub since: &'static str,
    /// The cost, as in the Redis documentation.
    pub complexity: &'static str,
    /// One sentence that ends with a full stop.
    pub summary: &'static str,
    /// What its replies look like when they are not errors: `ok`, `simple`, `bulk`, `integer`,
    /// `double`, `boolean`, `null`, `verbatim`, `any`, `array<T>`, `set<T>`, `map<K, V>`, tuples
    /// `[A, B]`, alternatives `A | B`; in the words of [`crate::resp::Reply`]. `messages<T>`: no
    /// reply, but one or more messages out of band.
    pub reply: &'static str,
    /// The function.
    pub run: Handler,
}

impl Command {
    /// Defaults for the columns that many rows leave out.
    pub const ROW: Self = Self {
        name: "",
        syntax: "",
        arity: 1,
        flags: Flags::NONE,
        flags_with: None,
        carries: None,
        keys: &[],
        key_flags: None,
        find_keys: None,
        channels: None,
        databases: Databases::Selected,
        tips: &[],
        categories: &[],
        group: Group::Generic,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "",
        reply: "",
        run: |_, _| Err(Error::Syntax),
    };

    /// Whether the command has exactly `words` words, or as many as it may have.
    pub fn takes(&self, words: usize) -> bool {
        let words = i64::try_from(words).unwrap_or(i64::MAX);
        let arity = i64::from(self.arity);
        if arity >= 0 { words == arity } else { words >= -arity }
    }
}

/// How a command behaves. The words are those of COMMAND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// May change data.
    pub const WRITE: Self = Self(1);
    /// Only reads data.
    pub const READONLY: Self = Self(1 << 1);
    /// Refused when memory is full.
    pub const DENYOOM: Self = Self(1 << 2);
    /// For administrators.
    pub const ADMIN: Self = Self(1 << 3);
    /// About pub/sub.
    pub const PUBSUB: Self = Self(1 << 4);
    /// Not from scripts.
    pub const NOSCRIPT: Self = Self(1 << 5);
    /// May block its client.
    pub const BLOCKING: Self = Self(1 << 6);
    /// Allowed while data is loaded.
    pub const LOADING: Self = Self(1 << 7);
    /// Allowed on a replica that lost its primary.
    pub const STALE: Self = Self(1 << 8);
    /// Constant or logarithmic time.
    pub const FAST: Self = Self(1 << 9);
    /// Allowed before authentication.
    pub const NO_AUTH: Self = Self(1 << 10);
    /// Not allowed while data is loaded in the background.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 11);
    /// Not allowed inside MULTI.
    pub const NO_MULTI: Self = Self(1 << 12);
    /// Allowed while a script is slow.
    pub const ALLOW_BUSY: Self = Self(1 << 13);
    /// Needs `enable-debug-command` or `enable-module-command`.
    pub const PROTECTED: Self = Self(1 << 14);
    /// Touches keys that its arguments do not name.
    pub const TOUCHES_ARBITRARY_KEYS: Self = Self(1 << 15);
    /// May write although it is not a write (PUBLISH).
    pub const MAY_REPLICATE: Self = Self(1 << 16);
    /// Allowed to a client of RESP2 that has subscribed to something.
    pub const SUBSCRIBED: Self = Self(1 << 23);
    /// Not in the log of slow commands.
    pub const SKIP_SLOWLOG: Self = Self(1 << 19);
    /// Not shown by MONITOR.
    pub const SKIP_MONITOR: Self = Self(1 << 20);
    /// May have no keys although it has a place for them.
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 21);
    /// Runs at once also inside MULTI.
    pub const NEVER_QUEUED: Self = Self(1 << 17);
    /// Runs the queued commands, and does whatever they do.
    pub const RUNS_QUEUED: Self = Self(1 << 18);
    /// Leaves MULTI behind: never refused because memory is full.
    pub const ENDS_TRANSACTION: Self = Self(1 << 25);

    /// Served for a slot that is moving here, without ASKING before it.
    pub const ASKING: Self = Self(1 << 22);

    /// Speaks of the connection: the next command is still what CLIENT CACHING was called for.
    pub const KEEPS_CACHING: Self = Self(1 << 24);

    /// Refused like a write after a save has failed.
    pub const MINDS_SAVES: Self = Self(1 << 26);

    /// No other command may carry it, although scripts may call it.
    pub const NOT_CARRIED: Self = Self(1 << 27);

    /// Both sets of flags.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The set as a number, for those who only keep it; see [`Self::from_bits`].
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// What [`Self::bits`] gave.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether all of `other` is in this set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names that COMMAND shows, in Redis's order. What has no name there is for
    /// this server only.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(flag, _)| self.has(*flag)).map(|&(_, name)| name).collect()
    }

    const NAMES: &[(Self, &'static str)] = &[
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::SKIP_MONITOR, "skip_monitor"),
        (Self::SKIP_SLOWLOG, "skip_slowlog"),
        (Self::ASKING, "asking"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::MAY_REPLICATE, "may_replicate"),
        (Self::NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (Self::NO_ASYNC_LOADING, "no_async_loading"),
        (Self::NO_MULTI, "no_multi"),
        (Self::ALLOW_BUSY, "allow_busy"),
    ];
}

/// No two flags that are shown are the same bit.
const _: () = {
    let (mut index, mut seen) = (0, 0);
    while index < Flags::NAMES.len() {
        let Flags(bit) = Flags::NAMES[index].0;
        assert!(seen & bit == 0, "a bit is one flag's");
        seen |= bit;
        index += 1;
    }
};

/// The family of a command. `categories` and INFO use Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Any type.
    Generic,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Hashes.
    Hash,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// Strings as arrays of bits.
    Bitmap,
    /// Strings as estimators of cardinality.
    HyperLogLog,
    /// Sorted sets as places on a sphere.
    Geo,
    /// Publishing and subscribing.
    PubSub,
    /// The nodes of a cluster.
    Cluster,
    /// Connections.
    Connection,
    /// Several commands as one.
    Transactions,
    /// Programs.
    Scripting,
    /// The server itself.
    Server,
}

impl Group {
    /// The name in COMMAND DOCS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::Geo => "geo",
            Self::PubSub => "pubsub",
            Self::Cluster => "cluster",
            Self::Connection => "connection",
            Self::Transactions => "transactions",
            Self::Scripting => "scripting",
            Self::Server => "server",
        }
    }

    /// The ACL category that every command of the group is in, if there is one.
    pub const fn category(self) -> Option<&'static str> {
        match self {
            Self::Generic => Some("keyspace"),
            Self::String => Some("string"),
            Self::List => Some("list"),
            Self::Set => Some("set"),
            Self::Hash => Some("hash"),
            Self::SortedSet => Some("sortedset"),
            Self::Stream => Some("stream"),
            Self::Bitmap => Some("bitmap"),
            Self::HyperLogLog => Some("hyperloglog"),
            Self::Geo => Some("geo"),
            Self::Connection => Some("connection"),
            Self::Transactions => Some("transaction"),
            Self::Scripting => Some("scripting"),
            // Its category goes by the flag.
            Self::PubSub | Self::Cluster | Self::Server => None,
        }
    }
}

/// Which words of a command are channels: its user must be allowed to use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Word 1.
    First,
    /// Every word behind the name.
    All,
    /// Every word behind the name is a pattern of channels.
    AllPatterns,
}

/// Which databases a command reaches: its user must be allowed to.
#[derive(Clone, Copy, Debug)]
pub enum Databases {
    /// That of the client, if it has to do with keys at all.
    Selected,
    /// Those that these words name, and no other.
    Named(fn(Args<'_>) -> Vec<usize>),
    /// That of the client and those that these words name.
    SelectedAndNamed(fn(Args<'_>) -> Vec<usize>),
    /// Every one.
    Every,
}

/// Where some of a command's keys are, and what becomes of them: Redis's key specifications.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// What the command does with them, in COMMAND's words: `&["RW", "ACCESS", "UPDATE"]`.
    pub flags: &'static [&'static str],
    /// Where the search starts.
    pub begin: Begin,
    /// How to go on from there.
    pub find: Find,
}

/// Where the keys of a specification begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this word; the command's name is word 0.
    Index(usize),
    /// At the word behind this one, which is searched from word `from` on; from the last word
    /// backwards if `from` is negative.
    Keyword {
        /// The word in upper case (`STREAMS`).
        word: &'static str,
        /// Where the search begins.
        from: i32,
    },
    /// A specification cannot say it (SORT).
    Unknown,
}

/// Which words from the beginning on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Every `step`-th word up to `last`, which counts from the beginning; -1 is the last word.
    Range {
        /// The last key, relative to the first; negative: from the end of the command.
        last: i32,
        /// The distance from key to key.
        step: usize,
    },
    /// The first half of the words up to the end (`STREAMS key key id id`).
    FirstHalf,
    /// A specification cannot say it (SORT).
    Unknown,
    /// A number of keys at the beginning, the keys from `first` words after it.
    KeyNum {
        /// The first key, relative to the number.
        first: usize,
        /// The distance from key to key.
        step: usize,
    },
}

/// One key at word 1.
pub const fn one_key(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(1), find: Find::Range { last: 0, step: 1 } }
}

/// Keys from word 1 to the end.
pub const fn all_keys(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(1), find: Find::Range { last: -1, step: 1 } }
}

#[cfg(test)]
mod tests {
    use super::Flags;

    #[test]
    fn every_flag_has_a_bit_of_its_own() {
        let nameless = [
            Flags::PROTECTED,
            Flags::TOUCHES_ARBITRARY_KEYS,
            Flags::SUBSCRIBED,
            Flags::NEVER_QUEUED,
            Flags::RUNS_QUEUED,
            Flags::KEEPS_CACHING,
            Flags::ENDS_TRANSACTION,
            Flags::MINDS_SAVES,
            Flags::NOT_CARRIED,
        ];
        let mut seen = Flags::NONE;
        for flag in Flags::NAMES.iter().map(|&(flag, _)| flag).chain(nameless) {
            assert_eq!((flag.0.count_ones(), flag.0 & seen.0), (1, 0), "{flag:?}");
            seen = seen.and(flag);
        }
    }
}
