//! Whether transactions over lists were strictly serializable.
//!
//! The method is Elle's (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from
//! Experimental Observations", 2020): values that are appended are distinct, so a list that was
//! read tells which appends came before the read and in which order. From these orders follow
//! dependencies: who overwrote whom (ww), who read from whom (wr), who read what another changed
//! later (rw), and who ended before another began (real time). Transactions are strictly
//! serializable if nobody read what cannot have been there, and the dependencies have no cycle.
//!
//! Invariants: a transaction without an answer may have happened at any time after its call, or
//! never, and is blamed for nothing; the same history gives the same findings in the same order;
//! the work grows with the length of what was read.

mod cycles;
mod explain;
mod graph;
mod versions;

use std::fmt;

/// One command of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A value was put at the end of a list. No two are the same in one list.
    Append {
        /// The list.
        key: u64,
        /// The value.
        value: u64,
    },
    /// A list was read.
    Read {
        /// The list.
        key: u64,
        /// What was in it; `None`: nobody knows.
        values: Option<Vec<u64>>,
    },
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has happened.
    Committed,
    /// It has certainly not happened.
    Aborted,
    /// Nobody knows.
    Unknown,
}

/// One transaction of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its number, for people.
    pub id: u64,
    /// The client.
    pub client: u64,
    /// What it did, in order.
    pub steps: Vec<Step>,
    /// What became of it.
    pub fate: Fate,
    /// When it was called.
    pub call_ns: u64,
    /// When its answer came; [`u64::MAX`] if it did not.
    pub return_ns: u64,
}

/// The name of what is wrong. The order is that in which findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A transaction did not see what it did itself, or saw the same list in two states.
    Internal,
    /// A value was in a list twice.
    Duplicate,
    /// A value was read that nobody has appended.
    Garbage,
    /// Two reads of one list do not agree about the order of its values.
    IncompatibleOrder,
    /// A value of a transaction was read that has not happened: an aborted read.
    G1a,
    /// A list was read in the middle of a transaction on it: an intermediate read.
    G1b,
    /// A cycle of appends.
    G0,
    /// A cycle of appends and reads from others: circular information flow.
    G1c,
    /// A cycle with one read of what was changed later: a read skew, or a lost update.
    GSingle,
    /// A cycle with several reads of what was changed later: a write skew.
    G2,
    /// As [`Self::G0`], with the order of real time.
    G0Realtime,
    /// As [`Self::G1c`], with the order of real time.
    G1cRealtime,
    /// As [`Self::GSingle`], with the order of real time: a stale read, or a lost append.
    GSingleRealtime,
    /// As [`Self::G2`], with the order of real time.
    G2Realtime,
}

impl Kind {
    /// Its name in the literature, where it has one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Duplicate => "duplicate-elements",
            Self::Garbage => "garbage-read",
            Self::IncompatibleOrder => "incompatible-order",
            Self::G1a => "G1a",
            Self::G1b => "G1b",
            Self::G0 => "G0",
            Self::G1c => "G1c",
            Self::GSingle => "G-single",
            Self::G2 => "G2",
            Self::G0Realtime => "G0-realtime",
            Self::G1cRealtime => "G1c-realtime",
            Self::GSingleRealtime => "G-single-realtime",
            Self::G2Realtime => "G2-realtime",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub kind: Kind,
    /// The transactions that show it, by place; of a cycle in its order.
    pub transactions: Vec<usize>,
    /// Why, in words.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}

/// Judges transactions: what is wrong with them, one finding of each kind at most, the first that
/// is met; empty: nothing.
#[must_use]
pub fn check(transactions: &[Transaction]) -> Vec<Finding> {
    let (versions, mut findings) = versions::infer(transactions);
    let graph = graph::build(transactions, &versions);
    findings.extend(cycles::find(transactions, &versions, &graph));
    findings.sort_by_key(|finding| finding.kind);
    findings
}

#[cfg(test)]
mod tests;
