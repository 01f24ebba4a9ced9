//! What a client waits for inside a command, and what it needs when the wait ends.
//!
//! Invariant: a client has a [`KeysWait`] exactly while it waits for keys; then it is in the queue
//! of each of them, under its ticket.

use crate::args::Words;
use crate::time::Instant;

/// What a command waits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When its patience ends; `None`: never.
    pub until: Option<Instant>,
    /// What it then replies.
    pub timed_out: TimedOut,
}

/// The reply of a command whose patience has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedOut {
    /// No replica has acknowledged (WAIT).
    Zero,
    /// Neither this server nor a replica has acknowledged (WAITAOF).
    TwoZeroes,
    /// There was no element (BLMOVE, BRPOPLPUSH).
    Null,
    /// There was none where several could have been (BLPOP, BLMPOP, XREAD).
    NullArray,
}

/// What a key must hold for a waiting client to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A list.
    List,
    /// A sorted set.
    Zset,
    /// A stream (XREAD).
    Stream,
    /// Anything, or nothing at all: the client wants to know of every change, and of the end of
    /// the key (XREADGROUP, whose group goes with the stream).
    Anything,
}

impl Kind {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;
}

/// What a command asks for that cannot be served yet, see [`crate::commands::Cx::wait_for`].
#[derive(Debug)]
pub struct WaitFor<'a> {
    /// The keys, of the client's database; one may be named twice.
    pub keys: &'a [&'a [u8]],
    /// What one of them must hold.
    pub kind: Kind,
    /// When the client's patience ends; `None`: never.
    pub until: Option<Instant>,
    /// What it then gets.
    pub timed_out: TimedOut,
    /// The words that the command is run with again; `None`: those that it has.
    pub words: Option<Vec<Vec<u8>>>,
}

/// A client's wait for keys.
#[derive(Debug)]
pub(crate) struct KeysWait {
    /// Its place in every queue: who came first has the lower one.
    pub(crate) ticket: u64,
    pub(crate) kind: Kind,
    pub(crate) db: usize,
    pub(crate) keys: Vec<Box<[u8]>>,
    /// The command.
    pub(crate) words: Words,
}

impl KeysWait {
    /// Heap bytes that it owns, itself included.
    pub(crate) fn memory_bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|key| size_of::<Box<[u8]>>() + key.len()).sum();
        size_of::<Self>() + keys + self.words.memory_bytes()
    }
}
