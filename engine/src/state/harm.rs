//! What planted bugs need that do their harm to transactions and replies; see [`crate::planted`].

use crate::args::Words;
use crate::input::ConnId;
use crate::planted::PlantedBug;
use crate::session::Transaction;
use crate::state::State;
use crate::time::Instant;

/// A planted bug at work. A server without one has none of this.
pub(crate) struct Harm {
    pub(crate) bug: PlantedBug,
    /// How often it could have done something.
    pub(crate) chances: u64,
    /// A transaction that was left in the middle.
    pub(crate) torn: Option<Torn>,
    /// What commands have replied, the latest last.
    pub(crate) replies: Vec<(Words, Vec<u8>)>,
}

/// A transaction of which some commands have run.
pub(crate) struct Torn {
    pub(crate) conn: ConnId,
    pub(crate) transaction: Box<Transaction>,
    /// How many have run.
    pub(crate) done: usize,
    /// When the others will.
    pub(crate) until: Instant,
}

impl State {
    /// When the rest of a torn transaction runs.
    #[inline]
    pub(crate) fn torn_until(&self) -> Option<Instant> {
        Some(self.harm.as_ref()?.torn.as_ref()?.until)
    }
}

impl Harm {
    /// Nothing has happened yet.
    pub(crate) fn new(bug: PlantedBug) -> Box<Self> {
        Box::new(Self { bug, chances: 0, torn: None, replies: Vec::new() })
    }

    /// Takes the transaction whose rest is due.
    pub(crate) fn take_torn(&mut self, now: Instant) -> Option<Torn> {
        self.torn.take_if(|torn| torn.until <= now)
    }
}
