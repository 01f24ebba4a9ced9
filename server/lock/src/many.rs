//! Several locks, all or none.
//!
//! Invariant: locks are taken in the order of their names, so that nobody who waits for one holds
//! another that is waited for in a circle.

use std::future::Future;

use tokio::time::Instant;

use crate::clock::Deadline;
use crate::guard::Guard;
use crate::lease::Lost;
use crate::locks::{LockError, Locks};

/// Most locks at once.
pub const LOCKS_MAX: usize = 64;

pub(crate) async fn lock_in_order(
    locks: &Locks,
    mut names: Vec<String>,
    end: Instant,
) -> Result<ManyGuard, LockError> {
    names.sort_unstable();
    names.dedup();
    if names.is_empty() || names.len() > LOCKS_MAX {
        return Err(LockError::Invalid("1 to 64 locks are taken together"));
    }
    let mut guards = Vec::with_capacity(names.len());
    for name in &names {
        // An error drops the guards, which gives their locks back.
        guards.push(locks.lock_until(name, end).await?);
    }
    Ok(ManyGuard { guards })
}

/// Several locks that are held together: as soon as one is lost, none counts.
#[derive(Debug)]
#[must_use = "a guard that is dropped gives the locks back at once"]
pub struct ManyGuard {
    guards: Vec<Guard>,
}

impl ManyGuard {
    /// The locks, in the order of their names.
    pub fn guards(&self) -> &[Guard] {
        &self.guards
    }

    /// The fencing token of one of them: each lock counts for itself.
    #[must_use]
    pub fn token(&self, name: &str) -> Option<u64> {
        self.guards.iter().find(|guard| guard.name() == name).map(Guard::token)
    }

    /// The same with whose it is: [`Guard::fence`].
    #[must_use]
    pub fn fence(&self, name: &str) -> Option<String> {
        self.guards.iter().find(|guard| guard.name() == name).map(Guard::fence)
    }

    /// Until when all of them are good.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        let deadlines = self.guards.iter().map(Guard::deadline);
        deadlines.min().unwrap_or(Deadline(orrery_base::time::Instant(0)))
    }

    /// Whether all are still held.
    ///
    /// # Errors
    /// Why one is not.
    pub fn check(&self) -> Result<(), Lost> {
        self.guards.iter().try_for_each(Guard::check)
    }

    /// Does something while all are held; it is dropped when the first is lost.
    ///
    /// # Errors
    /// If one was lost before the work was done.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Lost> {
        self.check()?;
        tokio::select! {
            biased;
            why = self.lost() => Err(why),
            done = work => self.check().map(|()| done),
        }
    }

    /// Waits until one of them is lost.
    pub async fn lost(&self) -> Lost {
        let mut losses: Vec<_> = self.guards.iter().map(|guard| Box::pin(guard.lost())).collect();
        std::future::poll_fn(|cx| {
            let polled = losses.iter_mut().map(|loss| loss.as_mut().poll(cx));
            polled.into_iter().find(|poll| poll.is_ready()).unwrap_or(std::task::Poll::Pending)
        })
        .await
    }

    /// Gives all back, the last first, and waits until servers have said so.
    ///
    /// # Errors
    /// If one was lost before; the others are given back all the same.
    pub async fn release(self) -> Result<(), Lost> {
        let mut result = Ok(());
        for guard in self.guards.into_iter().rev() {
            result = guard.release().await.and(result);
        }
        result
    }
}
