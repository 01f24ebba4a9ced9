//! What is searched: the algorithm, the fence, and what may go wrong how often.
//!
//! Invariant: every count fits the words of a [`state`](super::state); a scope that does not is
//! refused with the reason.

use orrery_engine::lock::{
    Expiry, Extension, FailedExtension, Fencing, LocalClock, Order, Settings,
};
use orrery_engine::time::Micros;

use crate::locks::Fences;

/// Two clients.
pub(super) const CLIENTS: usize = 2;
/// At most so many servers.
pub const NODES_MAX: usize = 3;
/// Time passes by so much at once.
pub(super) const TICK: Micros = Micros::from_millis(TICK_MS);
/// A lock lives so many ticks.
pub const TTL_TICKS: u64 = 3;
/// A clock that is set back goes back so far.
pub(super) const WALL_STEP_TICKS: u64 = 2;
const TICK_MS: u64 = 1000;
/// Grants of all clients together.
pub(super) const GRANTS_MAX: usize = 4;
/// Attempts of one client, as many as messages have names for.
const ATTEMPTS_MAX: u32 = 2;
/// A number that a server has counted up to at the beginning.
const COUNTER_MAX: u8 = 6;

/// How the lock is acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// [`Settings::redlock`]: grants have no numbers.
    Redlock,
    /// The same with the greatest of the servers' counters for a number.
    Fenced,
    /// [`Settings::fenced`]: the number is written to a majority before the lock is there.
    QuorumFenced,
    /// The same, but each request proposes a number, so that one round may be enough.
    Proposed,
}

/// What a server that crashes has lost when it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgets {
    /// Who has the lock. The counter is kept.
    Key,
    /// Everything.
    Everything,
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The clients'.
    pub settings: Settings,
    /// What the store checks.
    pub fences: Fences,
    /// How often each client acquires the lock.
    pub turns: [u8; CLIENTS],
    /// What the servers have counted before.
    pub counters: [u8; NODES_MAX],
    /// Pauses of clients.
    pub pauses: u8,
    /// Clocks of servers that are set forward by more than a lock lives.
    pub clock_steps: u8,
    /// Clocks of clients that are set back by two ticks; only those that go by them notice.
    pub wall_steps: u8,
    /// Crashes of servers.
    pub crashes: u8,
    /// What one has lost then.
    pub forgets: Forgets,
    /// No more time passes than so many ticks; none: as much as there is.
    pub ticks: Option<u8>,
}

impl Algorithm {
    /// On so many servers, with one attempt for each turn and without extensions.
    #[must_use]
    pub fn settings(self, nodes: u16) -> Settings {
        let ttl_ms = TTL_TICKS * TICK_MS;
        let settings = match self {
            Self::Redlock => Settings::redlock(nodes, ttl_ms),
            Self::Fenced => {
                Settings { fencing: Fencing::Counter, ..Settings::redlock(nodes, ttl_ms) }
            }
            Self::QuorumFenced => Settings::fenced(nodes, ttl_ms),
            Self::Proposed => {
                Settings { fencing: Fencing::Proposed, ..Settings::fenced(nodes, ttl_ms) }
            }
        };
        Settings { retries: 0, extension: None, node_timeout_ms: TICK_MS, ..settings }
    }
}

/// Extends a lock each tick while it is held no longer than so many, and repairs what is lost.
#[must_use]
pub fn extending(settings: Settings, held_ticks: u64) -> Settings {
    let extension = Extension {
        every_ms: TICK_MS,
        held_ms_max: held_ticks * TICK_MS,
        recreates: false,
        repairs: true,
        failed: FailedExtension::Keep,
    };
    Settings { extension: Some(extension), ..settings }
}

impl Scope {
    /// Two clients with one turn each, a store that checks nothing, and nothing that goes wrong.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            fences: Fences::Nothing,
            turns: [1; CLIENTS],
            counters: [0; NODES_MAX],
            pauses: 0,
            clock_steps: 0,
            wall_steps: 0,
            crashes: 0,
            forgets: Forgets::Everything,
            ticks: None,
        }
    }

    /// Why it cannot be searched.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let Settings { nodes, retries, retry_jitter_ms, ttl_ms, extension, .. } = self.settings;
        let most_turns = self.turns[0].max(self.turns[1]);
        let attempts = u32::from(most_turns) * retries.saturating_add(1).min(100);
        let numbers = self.turns[0] + self.turns[1] + self.counters.iter().max().unwrap_or(&0);
        let held_ms_max = extension.map_or(0, |rule| rule.held_ms_max);
        let Settings { expiry, looks_before_release, extends_released, .. } = self.settings;
        let is_odd = expiry != Expiry::WithKey || looks_before_release || extends_released;
        let checks = [
            (usize::from(nodes) > NODES_MAX, "there are at most three servers"),
            (is_odd, "keys end with their time to live, and releases are one request"),
            (retries > 0 && retry_jitter_ms > 0, "nothing is left to chance: no jitter"),
            (most_turns > 2, "a client has at most two turns"),
            (attempts > ATTEMPTS_MAX, "a client makes at most two attempts"),
            (self.counters.iter().any(|&it| it > COUNTER_MAX), "counters begin at 6 at most"),
            (numbers > 13, "there are too many numbers"),
            (held_ms_max > 3 * TICK_MS, "a lock is extended for three ticks at most"),
            (ttl_ms > 15 * TICK_MS, "a lock lives fifteen seconds at most, a second is a tick"),
            (self.budgets().iter().any(|&it| it > 3), "each thing goes wrong three times at most"),
        ];
        let wrong = checks.into_iter().find_map(|(is_wrong, why)| is_wrong.then_some(why));
        self.settings.problem().or(wrong)
    }

    /// Whether one server is as good as another.
    pub(super) fn is_symmetric(&self) -> bool {
        self.settings.order == Order::AllAtOnce
    }

    /// After so many ticks what is over is over for good.
    pub(super) fn horizon_ticks(&self) -> i64 {
        match self.settings.clock {
            LocalClock::Monotonic => 0,
            LocalClock::Wall => (WALL_STEP_TICKS * u64::from(self.wall_steps)) as i64,
        }
    }

    fn budgets(&self) -> [u8; 4] {
        [self.pauses, self.clock_steps, self.wall_steps, self.crashes]
    }
}
