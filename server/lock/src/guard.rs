//! A lock that is held.
//!
//! Invariant: a guard never says that the lock is held when its deadline has passed, whatever its
//! tasks are about.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::clock::Deadline;
use crate::lease::{Lease, Lost, Number, Stage};
use crate::locks::Owner;

/// A lock that is held. Dropped, it is given back in the background.
///
/// A guard does not keep others out by itself: the process may be paused and go on when the lock's
/// time is over. Everything that is changed under the lock must check the guard's
/// [`token`](Guard::token).
#[must_use = "a guard that is dropped gives the lock back at once"]
pub struct Guard {
    owner: Arc<Owner>,
    id: u64,
    lease: Arc<Lease>,
    name: String,
    number: Number,
}

impl Guard {
    pub(crate) fn new(
        owner: Arc<Owner>,
        id: u64,
        lease: Arc<Lease>,
        name: String,
        number: Number,
    ) -> Self {
        Self { owner, id, lease, name, number }
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fencing token: greater than that of every holder before. Send it along with all that is
    /// read or changed under the lock, and let whoever keeps the data refuse what is older than
    /// what it has seen, for example with the command FENCE of Orrery.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.number.number
    }

    /// The token with whose it is, as the command FENCE takes it: `N:OWNER`. Servers that have lost
    /// their counters may give a number twice; with their owners the two are told apart.
    #[must_use]
    pub fn fence(&self) -> String {
        let Number { number, owner } = self.number;
        format!("{number}:{owner}")
    }

    /// Until when the lock is good: counted from before it was asked for, and less than what the
    /// servers keep it for. Extensions make it later. It has passed when the lock is lost.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.lease.deadline()
    }

    /// Whether the lock is still held, by a look at the clock. Once lost is always lost.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self) -> Result<(), Lost> {
        self.lease.check()
    }

    /// Waits until the lock is lost.
    pub async fn lost(&self) -> Lost {
        self.lease.lost().await
    }

    /// Does something while the lock is held. At the deadline, whatever is under way, it is
    /// dropped.
    ///
    /// Dropping a future ends it where it waits: what it has sent before may still arrive
    /// somewhere, and needs the [`token`](Guard::token).
    ///
    /// # Errors
    /// If the lock was lost before the work was done.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Lost> {
        self.check()?;
        tokio::select! {
            biased;
            why = self.lost() => Err(why),
            done = work => self.check().map(|()| done),
        }
    }

    /// Gives the lock back and waits until servers have said so. Dropping a guard does not wait.
    ///
    /// # Errors
    /// If it was lost before. It is given back all the same, where it is still the holder's.
    pub async fn release(self) -> Result<(), Lost> {
        let held = self.check();
        let lease = Arc::clone(&self.lease);
        drop(self);
        match lease.ended().await {
            Stage::Lost(why) => Err(why),
            _ => held,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.owner.hub.release(self.id);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Guard");
        debug.field("name", &self.name).field("token", &self.token()).finish_non_exhaustive()
    }
}
