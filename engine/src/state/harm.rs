//! What planted bugs need that do their harm to transactions and replies; see [`crate::planted`].

use crate::args::Words;
use crate::input::ConnId;
use crate::planted::PlantedBug;
use crate::session::Transaction;
use crate::state::State;
use crate::time::Instant;

/// Of so many keys that expire, those who keep copies of one are not told.
const MISSED_ONE_IN: u64 = 4;
/// One eviction of this many looks at nothing.
const VICTIM_ONE_IN: u64 = 8;
/// One message of this many is not published as it should.
const HARMED_ONE_IN: u64 = 8;

/// A planted bug at work. A server without one has none of this.
pub(crate) struct Harm {
    pub(crate) bug: PlantedBug,
    /// How often it could have done something.
    pub(crate) chances: u64,
    /// A transaction that was left in the middle.
    pub(crate) torn: Option<Torn>,
    /// A message that is held back: its channel and itself.
    pub(crate) held: Option<(Vec<u8>, Vec<u8>)>,
    /// A script's command runs.
    pub(crate) in_script: bool,
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
    /// A command of a script begins or ends.
    #[inline]
    pub(crate) fn note_script_command(&mut self, begins: bool) {
        if let Some(harm) = &mut self.harm {
            harm.in_script = begins;
        }
    }

    /// When the rest of a torn transaction runs.
    #[inline]
    pub(crate) fn torn_until(&self) -> Option<Instant> {
        Some(self.harm.as_ref()?.torn.as_ref()?.until)
    }
}

impl Harm {
    /// Nothing has happened yet.
    pub(crate) fn new(bug: PlantedBug) -> Box<Self> {
        Box::new(Self {
            bug,
            chances: 0,
            torn: None,
            held: None,
            in_script: false,
            replies: Vec::new(),
        })
    }

    /// Whether a message is to be published now. One that is held back goes with the next.
    #[cold]
    pub(crate) fn lets_pass(&mut self, channel: &[u8], message: &[u8]) -> bool {
        if !matches!(self.bug, PlantedBug::LostMessage | PlantedBug::LateMessage) {
            return true;
        }
        self.chances += 1;
        let passes = self.held.is_some() || !self.chances.is_multiple_of(HARMED_ONE_IN);
        if !passes && self.bug == PlantedBug::LateMessage {
            self.held = Some((channel.to_vec(), message.to_vec()));
        }
        passes
    }

    /// Whether those who keep copies are told that a key has expired.
    #[cold]
    pub(crate) fn tells_of_expiry(&mut self) -> bool {
        if self.bug != PlantedBug::MissedNews {
            return true;
        }
        self.chances += 1;
        !self.chances.is_multiple_of(MISSED_ONE_IN)
    }

    /// Whether the next key that is evicted may be any.
    #[cold]
    pub(crate) fn takes_any_victim(&mut self) -> bool {
        if self.bug != PlantedBug::WrongVictim {
            return false;
        }
        self.chances += 1;
        self.chances.is_multiple_of(VICTIM_ONE_IN)
    }

    /// Whether those who watch a key do not see the change that is made.
    #[cold]
    pub(crate) fn hides_change(&self) -> bool {
        self.bug == PlantedBug::BlindWatch && self.in_script
    }

    /// Takes the transaction whose rest is due.
    pub(crate) fn take_torn(&mut self, now: Instant) -> Option<Torn> {
        self.torn.take_if(|torn| torn.until <= now)
    }
}
