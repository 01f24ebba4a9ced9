//! Histories: what clients asked, when, and what they were told.
//!
//! A history is judged by `check`; it is recorded by the simulator, by the black-box runs, or read
//! from a file. The invariant of this module: an [`Operation`] never claims more than its client
//! saw. A client that got no answer records [`Outcome::Info`], whatever the server may have done.

use std::fmt;

mod describe;
pub mod edn_log;
pub mod etcd_log;
pub mod json_lines;
mod value;

use serde::{Deserialize, Serialize};

pub use value::{Reply, Value};

/// Most operations that a reader accepts, so that a hostile file cannot exhaust memory.
pub const MAX_OPERATIONS: usize = 10_000_000;

/// Which sequential specification a history is judged against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Specification {
    /// A register per key: `get`, `set` and `cas`; absent at first.
    Register,
    /// A string per key, empty at first: `get`, `set` and `append`.
    Kv,
    /// A Redis string per key, with time to live.
    Redis,
}

/// What one client asked of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// `GET key`.
    Get {
        /// The key.
        key: Value,
    },
    /// A read of a client's own copy, which need not know that the key's time is over before the
    /// server has deleted it.
    Cached {
        /// The key.
        key: Value,
    },
    /// `SET key value` with its options.
    Set(SetCommand),
    /// Compare and set: write `to` if the register holds `from`. Replies 1 or 0.
    Cas {
        /// The key.
        key: Value,
        /// The value it must hold.
        from: Value,
        /// The value it gets.
        to: Value,
    },
    /// `APPEND key value`.
    Append {
        /// The key.
        key: Value,
        /// What is added at the end.
        value: Value,
    },
    /// `GETDEL key`.
    GetDel {
        /// The key.
        key: Value,
    },
    /// `INCRBY key by` (INCR, DECR and DECRBY are special cases).
    IncrBy {
        /// The key.
        key: Value,
        /// The increment.
        by: i64,
    },
    /// `PEXPIRE key ttl_ms`; EXPIRE is this with a thousand times its argument.
    Expire {
        /// The key.
        key: Value,
        /// The time to live; zero or less deletes the key.
        ttl_ms: i64,
    },
    /// `PERSIST key`.
    Persist {
        /// The key.
        key: Value,
    },
    /// `PTTL key`.
    Pttl {
        /// The key.
        key: Value,
    },
    /// `TTL key`.
    Ttl {
        /// The key.
        key: Value,
    },
    /// `DEL key...`.
    Del {
        /// The keys.
        keys: Vec<Value>,
    },
    /// `EXISTS key...`.
    Exists {
        /// The keys; one named twice counts twice.
        keys: Vec<Value>,
    },
    /// `MGET key...`.
    MGet {
        /// The keys.
        keys: Vec<Value>,
    },
    /// `MSET key value...`.
    MSet {
        /// Keys and their new values.
        pairs: Vec<(Value, Value)>,
    },
    /// `MULTI ... EXEC`: single-key commands that take effect together.
    Multi {
        /// The queued commands; none of them may be `multi` itself.
        commands: Vec<Self>,
    },
}

/// The arguments of SET.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetCommand {
    /// The key.
    pub key: Value,
    /// The value it gets.
    pub value: Value,
    /// PX (or EX times a thousand).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<i64>,
    /// NX, XX or IFEQ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// KEEPTTL.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_ttl: bool,
    /// GET: the reply is the previous value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub get: bool,
}

/// When a SET takes effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Only if the key does not exist.
    Nx,
    /// Only if the key exists.
    Xx,
    /// Only if the key holds this value.
    IfEq(Value),
}

/// What the client knows of how its operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server answered. A conditional write that was refused is also an answer.
    Ok(Reply),
    /// The operation certainly took no effect and tells nothing about the state.
    Fail,
    /// Unknown: it may take effect at any later time, or never.
    Info,
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Unique in the history; for people to refer to.
    pub id: u64,
    /// The client. It has at most one operation open at a time.
    pub process: u64,
    /// What was asked.
    pub command: Command,
    /// True time of the call in microseconds.
    pub call_us: u64,
    /// True time of the answer; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_us: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Operations and the specification that they should satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// What to judge it by.
    pub specification: Specification,
    /// In any order; the times decide.
    pub operations: Vec<Operation>,
}

impl Command {
    /// Calls `visit` with each key that the command names, in order, repeats included.
    pub fn for_each_key<'a>(&'a self, visit: &mut dyn FnMut(&'a Value)) {
        match self {
            Self::Get { key }
            | Self::Cached { key }
            | Self::Cas { key, .. }
            | Self::Append { key, .. }
            | Self::GetDel { key }
            | Self::IncrBy { key, .. }
            | Self::Expire { key, .. }
            | Self::Persist { key }
            | Self::Pttl { key }
            | Self::Ttl { key } => visit(key),
            Self::Set(set) => visit(&set.key),
            Self::Del { keys } | Self::Exists { keys } | Self::MGet { keys } => {
                keys.iter().for_each(visit);
            }
            Self::MSet { pairs } => pairs.iter().for_each(|(key, _)| visit(key)),
            Self::Multi { commands } => {
                // One level only: `validate` refuses a MULTI inside a MULTI, and ignoring deeper
                // ones here keeps this function free of unbounded recursion.
                for command in commands.iter().filter(|inner| !inner.is_multi()) {
                    command.for_each_key(visit);
                }
            }
        }
    }

    fn is_multi(&self) -> bool {
        matches!(self, Self::Multi { .. })
    }
}

/// Why a file is not a history: the line (from 1) and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// For people.
    pub reason: String,
}

impl ReadError {
    fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

impl std::error::Error for ReadError {}

/// The format of a history file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The log lines of Jepsen's etcd test.
    EtcdLog,
    /// EDN maps of a key-value store, one per line.
    EdnLog,
    /// Orrery's own format.
    JsonLines,
}

impl Format {
    /// Guesses the format from the first line that is not blank.
    #[must_use]
    pub fn detect(text: &str) -> Option<Self> {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        if line.starts_with("{:") {
            Some(Self::EdnLog)
        } else if line.starts_with('{') {
            Some(Self::JsonLines)
        } else if line.contains("jepsen.util") {
            Some(Self::EtcdLog)
        } else {
            None
        }
    }
}

/// Reads a history; `None` for the format means to guess it.
///
/// # Errors
/// When the text is not a history in that format.
pub fn read(text: &str, format: Option<Format>) -> Result<History, ReadError> {
    match format.or_else(|| Format::detect(text)) {
        Some(Format::EtcdLog) => etcd_log::read(text),
        Some(Format::EdnLog) => edn_log::read(text),
        Some(Format::JsonLines) => json_lines::read(text),
        None if text.trim().is_empty() => Err(ReadError::new(0, "the file is empty")),
        None => Err(ReadError::new(1, "this is no known history format")),
    }
}
