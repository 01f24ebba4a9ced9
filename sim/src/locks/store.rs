//! What the holders of a lock work on: one value in a store, which may check their numbers.
//!
//! The store is an engine; numbers are checked by its command FENCE.
//!
//! Invariant: every change that was taken is written down with who made it and what it had read.

use orrery_engine::time::TtlClock;

use super::server::Process;
use crate::world::clock::HostClock;

/// What passes the store's fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fences {
    /// Nothing: the store knows nothing of numbers.
    Nothing,
    /// Writes.
    Writes,
    /// Writes, and the reads before them.
    All,
}

/// What a client does with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads it.
    Read,
    /// It writes another, which it has made of what it read.
    Write {
        /// What it had read.
        base: u64,
        /// What it writes.
        value: u64,
    },
}

/// A change that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, in microseconds.
    pub at_us: u64,
    /// Who made it.
    pub client: usize,
    /// The client's number, if it had one.
    pub fence: Option<u64>,
    /// What was there before it.
    pub before: u64,
    /// What the client had read.
    pub base: u64,
    /// What is there now.
    pub value: u64,
}

impl Change {
    /// Whether it has overwritten what its client had not seen.
    #[must_use]
    pub fn loses_an_update(&self) -> bool {
        self.before != self.base
    }
}

/// What became of an access.
pub(super) enum Accessed {
    /// The number was too old.
    Refused,
    /// It was a read, which gave this.
    Read(u64),
    /// It was a change.
    Changed(Change),
}

/// A store with one value, which is 0 at first.
pub(super) struct Store {
    process: Process,
    clock: HostClock,
    fences: Fences,
    /// Whether numbers come with the grant whose they are: equal ones of two grants are told
    /// apart.
    pub(super) names_owners: bool,
    value: u64,
}

impl Store {
    pub(super) fn new(fences: Fences, seed: u64) -> Self {
        let clock = HostClock::new(0, 0, 0);
        let process = Process::new(TtlClock::Monotonic, seed, 0, &clock);
        Self { process, clock, fences, names_owners: false, value: 0 }
    }

    /// Reads the value or changes it, for a client with its number and its grant.
    pub(super) fn access(
        &mut self,
        at_us: u64,
        (client, fence, grant): (usize, Option<u64>, u64),
        access: Access,
    ) -> Accessed {
        let command = match access {
            Access::Read => "GET value".to_owned(),
            Access::Write { value, .. } => format!("SET value {value}"),
        };
        let is_checked = match (self.fences, access) {
            (Fences::Nothing, _) | (Fences::Writes, Access::Read) => false,
            (Fences::Writes | Fences::All, _) => true,
        };
        let line = match fence.filter(|_| is_checked) {
            Some(number) if self.names_owners => {
                format!("FENCE fence {number}:{client}-{grant} {command}\r\n")
            }
            Some(number) => format!("FENCE fence {number} {command}\r\n"),
            None => format!("{command}\r\n"),
        };
        let said = self.process.ask(at_us * 1000, &self.clock, line.as_bytes());
        if said.starts_with(b"-FENCED ") {
            return Accessed::Refused;
        }
        let Access::Write { base, value } = access else {
            assert!(said.starts_with(b"$"), "{}", said.escape_ascii());
            return Accessed::Read(self.value);
        };
        assert_eq!(said, b"+OK\r\n", "{}", said.escape_ascii());
        let before = core::mem::replace(&mut self.value, value);
        Accessed::Changed(Change { at_us, client, fence, before, base, value })
    }
}
