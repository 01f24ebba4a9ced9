//! Which scenario of the catalogue a small counterexample is an instance of.
//!
//! It looks at what is left of a story once nothing can be left out of it: what goes wrong in it,
//! what it breaks, and what the algorithm does that makes it possible.
//!
//! Invariant: a story that was made as small as it can be is of one scenario at most.

use core::fmt;
use std::collections::BTreeSet;

use orrery_engine::lock::{FailedExtension, Fencing, LocalClock, LossSignal, Settings, TokenRule};

use super::algorithm::Algorithm;
use super::judge::Invariant;
use super::store::Fences;
use super::story::{Story, What, Who};

/// A scenario of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Scenario {
    /// A release that deletes another's lock.
    PlainRelease = 1,
    /// A holder that is paused writes when it is none any more.
    PausedWriter = 3,
    /// Its write is what comes late, and nobody ever took the lock for theirs at the same time.
    LateWrite = 4,
    /// One of exactly a quorum loses the key.
    LostKey = 12,
    /// The release of an attempt takes away what a later one was granted.
    LateRelease = 14,
    /// An extension brings back what another one had meanwhile.
    BroughtBack = 15,
    /// An extension that fails gives everything back, and who goes by the lock is not told.
    SilentRelease = 17,
    /// A server's clock is set.
    ServerClock = 18,
    /// A client's clock is set while it asks for the lock. In the catalogue it is paused as well;
    /// nothing needs that.
    ClientClock = 20,
    /// A holder learns of its loss when an extension fails, or never.
    LateLoss = 21,
    /// A server comes back and has forgotten.
    Amnesia = 22,
    /// Clients go by other servers.
    Membership = 25,
    /// Numbers are checked when something is written, and not when it is read.
    UnfencedRead = 27,
    /// A counter was forgotten.
    LostCounter = 28,
    /// The servers' counters are not alike.
    Counters = 29,
    /// Somebody deletes the lock's key on the only server.
    Deleted = 32,
}

/// As the catalogue counts them: S01 to S43.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{:02}", *self as u8)
    }
}

/// What goes wrong in a story.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mishaps {
    pauses: bool,
    client_clock: bool,
    server_clock: bool,
    forgets: bool,
    deletes: bool,
    messages: bool,
    store: bool,
    uses: bool,
    others: bool,
}

impl Mishaps {
    fn of(story: &Story) -> Self {
        let network = story.network;
        let is_calm = network.slow_one_in == 0 && network.lost_one_in == 0;
        let mut seen = Self { messages: !is_calm, ..Self::default() };
        for step in &story.steps {
            let mishap = match (step.what, step.who) {
                (What::Pause { .. }, _) => &mut seen.pauses,
                (What::Clock { .. }, Who::Client(_)) => &mut seen.client_clock,
                (What::Clock { .. }, _) => &mut seen.server_clock,
                (What::Forget, _) => &mut seen.forgets,
                (What::Delete, _) => &mut seen.deletes,
                (What::Use { .. }, _) => &mut seen.uses,
                (
                    What::Cut { .. } | What::SlowRequests { .. } | What::SlowReplies { .. },
                    Who::Store(_),
                ) => &mut seen.store,
                (What::Cut { .. } | What::SlowRequests { .. } | What::SlowReplies { .. }, _)
                | (What::Stop { .. } | What::Fill { .. }, _) => &mut seen.messages,
                (What::Crash | What::Rate { .. } | What::Grace { .. }, _) => &mut seen.others,
                (
                    What::Acquire | What::Work { .. } | What::Read | What::Write | What::Release,
                    _,
                ) => continue,
            };
            *mishap = true;
        }
        seen
    }

    /// Whether only servers and the ways to them are slow, silent or full, and the store is.
    fn are_of_messages(self) -> bool {
        let messages = Self { messages: false, store: false, ..self };
        messages == Self::default()
    }
}

/// The scenario of which a small story is an instance, if it is one, by what it breaks with an
/// algorithm.
#[must_use]
pub fn scenario(
    story: &Story,
    algorithm: &Algorithm,
    broken: &BTreeSet<Invariant>,
) -> Option<Scenario> {
    let settings = (algorithm.settings)(story.nodes, story.ttl_ms);
    let seen = Mishaps::of(story);
    let breaks = |invariant| broken.contains(&invariant);
    let harms = breaks(Invariant::StaleWrite) || breaks(Invariant::LostUpdate);
    let is_twice = breaks(Invariant::Belief);
    let is_broken =
        is_twice || harms || breaks(Invariant::Numbers) || breaks(Invariant::Continuity);
    let is_unfenced = algorithm.fences == Fences::Nothing;
    let checks = [
        // Whatever comes of it, it would not without.
        (is_broken && seen.uses, Scenario::Membership),
        (breaks(Invariant::Foreign) && !settings.checks_release, Scenario::PlainRelease),
        (breaks(Invariant::Numbers) && seen.forgets, Scenario::LostCounter),
        (breaks(Invariant::Numbers) && has_counters(&settings), Scenario::Counters),
        (is_twice && seen.forgets, Scenario::Amnesia),
        (is_twice && seen.deletes && story.nodes == 1, Scenario::Deleted),
        (is_twice && seen.deletes, Scenario::LostKey),
        (is_twice && seen.server_clock, Scenario::ServerClock),
        (is_twice && seen.client_clock && by_wall(&settings), Scenario::ClientClock),
        (breaks(Invariant::Continuity) && brings_back(&settings), Scenario::BroughtBack),
        (is_twice && seen.are_of_messages() && gives_up(&settings), Scenario::SilentRelease),
        (is_twice && seen.are_of_messages() && shares(&settings), Scenario::LateRelease),
        (breaks(Invariant::LostUpdate) && writes_only(algorithm), Scenario::UnfencedRead),
        (harms && !is_twice && is_unfenced && seen.store, Scenario::LateWrite),
        (harms && is_unfenced && seen.pauses, Scenario::PausedWriter),
        (breaks(Invariant::TimelyLoss) && is_told_late(&settings), Scenario::LateLoss),
    ];
    checks.into_iter().find_map(|(applies, scenario)| applies.then_some(scenario))
}

fn has_counters(settings: &Settings) -> bool {
    settings.fencing == Fencing::Counter && settings.nodes > 1
}

fn by_wall(settings: &Settings) -> bool {
    settings.clock == LocalClock::Wall
}

fn brings_back(settings: &Settings) -> bool {
    settings.extension.is_some_and(|it| it.recreates)
}

fn gives_up(settings: &Settings) -> bool {
    settings.extension.is_some_and(|it| it.failed == FailedExtension::ReleaseSilently)
}

fn shares(settings: &Settings) -> bool {
    settings.tokens == TokenRule::PerAcquisition && settings.loss == LossSignal::AtDeadline
}

fn writes_only(algorithm: &Algorithm) -> bool {
    algorithm.fences == Fences::Writes
}

fn is_told_late(settings: &Settings) -> bool {
    settings.loss != LossSignal::AtDeadline
}
