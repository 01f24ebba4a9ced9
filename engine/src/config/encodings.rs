//! How values are stored: up to where collections keep their small forms, and what the forms are
//! called. All of it may change while the server runs; values change their form when they are next
//! written.

use crate::value::rdb::Target;

/// The limits of the small forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encodings {
    /// Most fields of a packed hash.
    pub hash_entries: usize,
    /// Longest field or value of a packed hash.
    pub hash_value_bytes: usize,
    /// Size of a list's node: elements if positive; -1 to -5: 4 to 64 KiB.
    pub list_node_size: i64,
    /// How many nodes at each end of a list are not compressed; 0: none is compressed.
    pub list_compress_depth: usize,
    /// Most members of a set of integers.
    pub intset_entries: usize,
    /// Most members of a packed set.
    pub set_entries: usize,
    /// Longest member of a packed set.
    pub set_value_bytes: usize,
    /// Most members of a packed sorted set.
    pub zset_entries: usize,
    /// Longest member of a packed sorted set.
    pub zset_value_bytes: usize,
    /// Largest sparse HyperLogLog.
    pub hyperloglog_sparse_bytes: usize,
    /// Largest block of a stream; 0: no limit.
    pub stream_node_bytes: usize,
    /// Most entries of a block of a stream; 0: no limit.
    pub stream_node_entries: usize,
    /// Seconds for which a stream remembers what its producers call their entries.
    pub stream_producer_secs: u64,
    /// How many such names it remembers of one producer.
    pub stream_producer_names: usize,
    /// Who has to read what DUMP writes.
    pub rdb_target: Target,
    /// Whether DUMP compresses long strings.
    pub rdb_compression: bool,
    /// Whose names OBJECT ENCODING gives.
    pub names: EncodingNames,
}

impl Default for Encodings {
    fn default() -> Self {
        Self {
            hash_entries: 512,
            hash_value_bytes: 64,
            list_node_size: -2,
            list_compress_depth: 0,
            intset_entries: 512,
            set_entries: 128,
            set_value_bytes: 64,
            zset_entries: 128,
            zset_value_bytes: 64,
            hyperloglog_sparse_bytes: 3000,
            stream_node_bytes: 4096,
            stream_node_entries: 100,
            stream_producer_secs: 100,
            stream_producer_names: 100,
            rdb_target: Target::Redis72,
            rdb_compression: true,
            names: EncodingNames::Redis72,
        }
    }
}

/// Whose names OBJECT ENCODING gives: Redis 7.2 was the first to say `listpack` of small lists and
/// of small sets of strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodingNames {
    /// `quicklist` for every list, `hashtable` for every set that is not of integers.
    Redis70,
    /// `listpack` for small lists and sets.
    #[default]
    Redis72,
}

impl EncodingNames {
    pub(super) const WORDS: [&str; 2] = ["7.0", "7.2"];

    pub(super) fn of(word: &str) -> Self {
        if word == "7.0" { Self::Redis70 } else { Self::Redis72 }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Redis70 => "7.0",
            Self::Redis72 => "7.2",
        }
    }
}

/// The words of `rdb-version`: the version that is written where nothing newer is needed; with 80
/// what Redis and Valkey write differently is written as Valkey 9 does.
pub(super) const RDB_VERSIONS: [&str; 3] = ["10", "11", "80"];

pub(super) fn rdb_target(word: &str) -> Target {
    match word {
        "10" => Target::Redis70,
        "80" => Target::Valkey9,
        _ => Target::Redis72,
    }
}

pub(super) fn rdb_version(target: Target) -> &'static str {
    match target {
        Target::Redis70 => "10",
        Target::Redis72 => "11",
        Target::Valkey9 => "80",
    }
}
