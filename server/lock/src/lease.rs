//! What the holder of a lock and the tasks that keep it have in common: until when it is good.
//!
//! Invariant: a loss is final. Whoever has seen the deadline pass, by looking at the clock, never
//! sees the lock again, even if an extension was granted at the same moment.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use orrery_base::time::Instant;
use orrery_lock_machine::Token;
use tokio::sync::watch;

use crate::clock::{self, Deadline};

/// Why a lock is one no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// Its time is over and was not made longer: the servers may have given it to the next.
    DeadlinePassed,
    /// Too many servers do not have it any more: it was deleted there, or forgotten.
    GoneFromServers,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadlinePassed => "the lock is lost: its time is over",
            Self::GoneFromServers => "the lock is lost: too few servers still have it",
        })
    }
}

impl std::error::Error for Lost {}

/// How far a lock has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is waited for.
    Wanted,
    /// It is held.
    Held(Number),
    /// It was not granted.
    NotAcquired,
    /// It was granted and is no more.
    Lost(Lost),
    /// It was given back.
    Released,
}

/// A grant's number, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) number: u64,
    pub(crate) owner: Token,
}

/// A lock between its holder and its keepers.
#[derive(Debug)]
pub(crate) struct Lease {
    /// In microseconds of the local clock; 0: it is over.
    until: AtomicU64,
    stage: watch::Sender<Stage>,
    /// The last error that a server answered with.
    error: Mutex<Option<String>>,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            until: AtomicU64::new(0),
            stage: watch::Sender::new(Stage::Wanted),
            error: Mutex::default(),
        }
    }
}

impl Lease {
    /// It is granted.
    pub(crate) fn grant(&self, until: Instant, number: Number) {
        self.until.store(until.0, Ordering::Release);
        self.stage.send_replace(Stage::Held(number));
    }

    /// Its time is longer; false: somebody has seen it end already.
    pub(crate) fn prolong(&self, until: Instant) -> bool {
        let later = |old| (old != 0).then_some(until.0.max(old));
        self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, later).is_ok()
    }

    /// Nobody goes by it any more, though it has not ended yet.
    pub(crate) fn stop(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// It has ended, or will not begin; returns what it was before, if that was not told yet.
    pub(crate) fn end(&self, how: Stage) -> Option<Stage> {
        self.until.store(0, Ordering::Release);
        let mut before = None;
        self.stage.send_if_modified(|stage| {
            if matches!(stage, Stage::Wanted | Stage::Held(_)) {
                before = Some(std::mem::replace(stage, how));
            }
            before.is_some()
        });
        before
    }

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Whether it is still held, by the clock.
    pub(crate) fn check(&self) -> Result<(), Lost> {
        loop {
            let until = self.until.load(Ordering::Acquire);
            if until == 0 {
                return Err(self.loss());
            }
            if clock::now().mono < Instant(until) {
                return Ok(());
            }
            // Final, unless an extension came between the two looks.
            let over = self.until.compare_exchange(until, 0, Ordering::AcqRel, Ordering::Acquire);
            if over.is_ok() {
                return Err(self.loss());
            }
        }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline(Instant(self.until.load(Ordering::Acquire)))
    }

    pub(crate) fn note_error(&self, error: String) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it is granted, or will not be.
    pub(crate) async fn decided(&self) -> Stage {
        self.passes(|stage| *stage != Stage::Wanted).await
    }

    /// Waits until it is held no more.
    pub(crate) async fn ended(&self) -> Stage {
        self.passes(|stage| !matches!(stage, Stage::Wanted | Stage::Held(_))).await
    }

    /// Waits until it is lost.
    pub(crate) async fn lost(&self) -> Lost {
        match self.ended().await {
            Stage::Lost(why) => why,
            _ => Lost::DeadlinePassed,
        }
    }

    async fn passes(&self, is_there: impl FnMut(&Stage) -> bool) -> Stage {
        let mut receiver = self.stage.subscribe();
        // The sender is ours: it is not gone while we wait.
        let seen = receiver.wait_for(is_there).await.map(|stage| *stage);
        seen.unwrap_or(Stage::Lost(Lost::DeadlinePassed))
    }

    fn loss(&self) -> Lost {
        match self.stage() {
            Stage::Lost(why) => why,
            _ => Lost::DeadlinePassed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u64) -> Number {
        Number { number, owner: Token { client: 1, attempt: 1 } }
    }

    fn in_ms(millis: u64) -> Instant {
        Instant(clock::now().mono.0 + millis * 1000)
    }

    #[test]
    fn who_has_seen_the_deadline_pass_never_sees_the_lock_again() {
        let lease = Lease::default();
        assert_eq!(lease.check(), Err(Lost::DeadlinePassed), "not granted");
        lease.grant(in_ms(60_000), number(1));
        assert_eq!(lease.check(), Ok(()));
        assert!(lease.prolong(in_ms(90_000)) && lease.deadline() > Deadline(in_ms(80_000)));
        lease.grant(Instant(1), number(1));
        assert_eq!(lease.check(), Err(Lost::DeadlinePassed));
        assert!(!lease.prolong(in_ms(60_000)), "too late");
        assert_eq!(lease.check(), Err(Lost::DeadlinePassed));
    }

    #[test]
    fn an_extension_never_makes_the_time_shorter_and_the_first_end_counts() {
        let lease = Lease::default();
        let late = in_ms(60_000);
        lease.grant(late, number(7));
        assert!(lease.prolong(in_ms(10)));
        assert_eq!(lease.deadline(), Deadline(late));
        lease.end(Stage::Lost(Lost::GoneFromServers));
        lease.end(Stage::Released);
        assert_eq!(lease.stage(), Stage::Lost(Lost::GoneFromServers));
        assert_eq!(lease.check(), Err(Lost::GoneFromServers));
    }
}
