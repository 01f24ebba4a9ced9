//! Every interleaving of a small world of locks: two clients, up to three servers, a store, and at
//! most so many pauses, clocks that are set, and crashes.
//!
//! The clients are the real machine of [`orrery_engine::lock`], the servers ideal ones. Time is
//! coarse: a lock lives three ticks. States are searched breadth first, so that what is broken is
//! broken in the fewest steps; and since what passes is not counted, only what is left, the search
//! ends by itself, however long the clients take. What it has not broken then holds, in that scope.
//!
//! A path to what is broken is walked a second time, with clients, servers and clocks as they are,
//! before it is told.
//!
//! Invariant: what is found is a function of the [`Scope`] alone.

mod machine;
mod moves;
mod scope;
mod search;
mod state;
mod story;
mod word;

pub use scope::{Algorithm, Forgets, NODES_MAX, Scope, TTL_TICKS, extending};
pub use search::{Findings, Found, Options, Progress, search};

/// What a lock and its store are to keep.
///
/// A grant is later than another if its client began to ask for it when the other was there
/// already. Of two that were asked for at the same time none is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: no two clients take the lock for theirs at the same time.
    OneBelieves,
    /// I2: no two clients have the keys of enough servers at the same time.
    OneGranted,
    /// I3: the store takes no write of a holder after anything of a later one.
    NoLateWrite,
    /// I4: no write replaces what its writer had not read.
    NoLostUpdate,
    /// I7: a grant has a higher number than all earlier ones, and no two have the same.
    NumbersGrow,
    /// The store refuses no holder because of an earlier one.
    LaterServed,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OneBelieves,
        Self::OneGranted,
        Self::NoLateWrite,
        Self::NoLostUpdate,
        Self::NumbersGrow,
        Self::LaterServed,
    ];

    /// Its name, as it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneBelieves => "one-believes",
            Self::OneGranted => "one-granted",
            Self::NoLateWrite => "no-late-write",
            Self::NoLostUpdate => "no-lost-update",
            Self::NumbersGrow => "numbers-grow",
            Self::LaterServed => "later-served",
        }
    }

    /// What it says.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::OneBelieves => "no two clients take the lock for theirs at the same time (I1)",
            Self::OneGranted => "no two clients have enough servers' keys at the same time (I2)",
            Self::NoLateWrite => "no write is taken after a later holder has got through (I3)",
            Self::NoLostUpdate => "no write replaces what its writer had not read (I4)",
            Self::NumbersGrow => "a later grant has a higher number, and no two have the same (I7)",
            Self::LaterServed => "the store refuses no holder because of an earlier one",
        }
    }
}

/// A set of invariants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Broken(u8);

impl Broken {
    /// None but this.
    #[must_use]
    pub fn only(invariant: Invariant) -> Self {
        Self(1 << invariant as u8)
    }

    /// Whether it is there.
    #[must_use]
    pub fn has(self, invariant: Invariant) -> bool {
        self.0 >> invariant as u8 & 1 == 1
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn insert_if(&mut self, applies: bool, invariant: Invariant) {
        self.0 |= u8::from(applies) << invariant as u8;
    }

    fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}
