//! What clients saw, as they saw it: the raw material of histories.
//!
//! Invariant: an operation is written down before its command leaves, and an answer only when the
//! client has read it.

use crate::workload::{Ask, KeyName, Said, Values, Workload, number};

/// The moment that never came.
pub const NEVER_NS: u64 = u64::MAX;

/// What a client knows of one command's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing yet.
    Open,
    /// It will never know.
    Unknown,
    /// +OK.
    Done,
    /// Nothing there, or not done.
    Nil,
    /// An integer reply.
    Integer(i64),
    /// The value that was written under this number.
    Value(u64),
    /// A counter's value.
    Count(i64),
    /// An error; its text is in [`Journal::texts`].
    Error(u32),
    /// Anything else; its text is in [`Journal::texts`].
    Odd(u32),
}

/// One command of one client.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// The client, counted from zero.
    pub client: u16,
    /// Its place among the commands that were sent at once.
    pub slot: u16,
    /// The server that it was sent to.
    pub server: u16,
    /// The key.
    pub key: KeyName,
    /// The command.
    pub ask: Ask,
    /// What came of it.
    pub seen: Seen,
    /// True time of the call.
    pub call_ns: u64,
    /// True time of the answer.
    pub return_ns: u64,
    /// The client's wall clock at the call, in microseconds.
    pub call_local_us: u64,
    /// The client's wall clock at the answer.
    pub return_local_us: u64,
}

/// All operations of a run, in the order of their calls.
#[derive(Debug, Default)]
pub struct Journal {
    /// The operations.
    pub ops: Vec<Op>,
    /// Texts that are no values.
    pub texts: Vec<Vec<u8>>,
    /// How many were answered.
    pub answered: u64,
    /// How many have an unknown outcome.
    pub unknown: u64,
    scratch: Vec<u8>,
}

impl Journal {
    /// The number of the next value: one that no operation has written.
    #[must_use]
    pub fn next_value(&self) -> u64 {
        self.ops.len() as u64 + 1
    }

    /// Writes down an answer.
    pub(crate) fn answer(
        &mut self,
        at: usize,
        said: Said<'_>,
        values: &Values,
        (now_ns, local_us): (u64, u64),
    ) -> Seen {
        let counter = self.ops[at].key.workload == Workload::Counters;
        let seen = match said {
            Said::Simple(b"OK") => Seen::Done,
            Said::Nil => Seen::Nil,
            Said::Integer(value) => Seen::Integer(value),
            Said::Error(text) => Seen::Error(self.keep(text)),
            Said::Simple(text) | Said::Odd(text) => Seen::Odd(self.keep(text)),
            Said::Bulk(text) if counter => match number(text) {
                Some(count) => Seen::Count(count),
                None => Seen::Odd(self.keep(text)),
            },
            Said::Bulk(text) => match values.read(text, &mut self.scratch) {
                Some(value) => Seen::Value(value),
                None => Seen::Odd(self.keep(text)),
            },
        };
        self.answered += 1;
        let op = &mut self.ops[at];
        op.seen = seen;
        op.return_ns = now_ns;
        op.return_local_us = local_us;
        seen
    }

    /// The client gives an operation up.
    pub(crate) fn give_up(&mut self, at: usize) {
        self.unknown += 1;
        self.ops[at].seen = Seen::Unknown;
    }

    fn keep(&mut self, text: &[u8]) -> u32 {
        self.texts.push(text.to_vec());
        self.texts.len() as u32 - 1
    }
}
