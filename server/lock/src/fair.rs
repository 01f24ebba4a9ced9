//! Locks with a queue: fair locks, read-write locks and semaphores, on one server only.
//!
//! A majority of several servers cannot keep an order, nor count: three users of a semaphore with
//! two permits can each have a majority of three servers (S34), and who is first in three queues
//! may be three. What is on one server is gone when that server is; its numbers still tell late
//! holders apart.
//!
//! Invariant: who waits is served in the order in which the server heard of it; who dies waiting is
//! passed over when its lease is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::guard::Guard;
use crate::link::LockNames;
use crate::locks::{LockError, Locks, Wish, check_name, granted_by, lock_names};
use crate::turn::{Mode, Turn};

/// Most permits of a semaphore, and most readers at once.
pub const PERMITS_MAX: u32 = 10_000;
/// Between two questions of who waits and is not woken.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// A waiter has left when it has missed so many.
const MISSED_MAX: u64 = 6;

impl Locks {
    /// A lock whose waiters are served in the order in which they came. It has nothing to do with
    /// the lock of the same name that [`Locks::lock`] takes.
    ///
    /// # Errors
    /// If there are several servers, or the name is none.
    pub fn fair(&self, name: &str) -> Result<FairLock, LockError> {
        Ok(FairLock { queue: Queue::new(self, name, "fair".into(), 1)? })
    }

    /// A lock that many readers or one writer can have. Readers wait behind a writer that waits, so
    /// neither starves.
    ///
    /// # Errors
    /// If there are several servers, or the name is none.
    pub fn read_write(&self, name: &str) -> Result<ReadWriteLock, LockError> {
        Ok(ReadWriteLock { queue: Queue::new(self, name, "read-write".into(), PERMITS_MAX)? })
    }

    /// A semaphore: so many can have it at once. All its users must name the same number.
    ///
    /// # Errors
    /// If there are several servers, or the name is none, or there are no or too many permits.
    pub fn semaphore(&self, name: &str, permits: u32) -> Result<Semaphore, LockError> {
        if permits == 0 || permits > PERMITS_MAX {
            return Err(LockError::Invalid("a semaphore has 1 to 10000 permits"));
        }
        let form = format!("semaphore of {permits}");
        Ok(Semaphore { queue: Queue::new(self, name, form, permits)? })
    }
}

/// A lock whose waiters are served in the order in which they came.
#[derive(Clone, Debug)]
pub struct FairLock {
    queue: Queue,
}

impl FairLock {
    /// Acquires it; waits for its turn as long as [`Builder::wait`](crate::Builder::wait) says.
    ///
    /// # Errors
    /// If the turn has not come by then.
    pub async fn lock(&self) -> Result<Guard, LockError> {
        self.queue.wait(Mode::Alone).await
    }

    /// Acquires it if nobody has it or waits for it.
    ///
    /// # Errors
    /// If somebody does.
    pub async fn try_lock(&self) -> Result<Guard, LockError> {
        self.queue.attempt(Mode::Alone).await
    }
}

/// A lock that many readers or one writer can have.
#[derive(Clone, Debug)]
pub struct ReadWriteLock {
    queue: Queue,
}

impl ReadWriteLock {
    /// Acquires it together with other readers.
    ///
    /// # Errors
    /// If the turn has not come in time.
    pub async fn read(&self) -> Result<Guard, LockError> {
        self.queue.wait(Mode::Shared).await
    }

    /// Acquires it alone.
    ///
    /// # Errors
    /// If the turn has not come in time.
    pub async fn write(&self) -> Result<Guard, LockError> {
        self.queue.wait(Mode::Alone).await
    }

    /// Like [`Self::read`], if that is possible at once.
    ///
    /// # Errors
    /// If it is not.
    pub async fn try_read(&self) -> Result<Guard, LockError> {
        self.queue.attempt(Mode::Shared).await
    }

    /// Like [`Self::write`], if that is possible at once.
    ///
    /// # Errors
    /// If it is not.
    pub async fn try_write(&self) -> Result<Guard, LockError> {
        self.queue.attempt(Mode::Alone).await
    }
}

/// So many can have it at once, each with a number of its own.
#[derive(Clone, Debug)]
pub struct Semaphore {
    queue: Queue,
}

impl Semaphore {
    /// Acquires a permit; waits for its turn.
    ///
    /// # Errors
    /// If the turn has not come in time.
    pub async fn acquire(&self) -> Result<Guard, LockError> {
        self.queue.wait(Mode::Shared).await
    }

    /// Acquires a permit if one is free and nobody waits for it.
    ///
    /// # Errors
    /// If none is.
    pub async fn try_acquire(&self) -> Result<Guard, LockError> {
        self.queue.attempt(Mode::Shared).await
    }
}

#[derive(Clone, Debug)]
struct Queue {
    locks: Locks,
    name: Arc<str>,
    form: String,
    limit: u32,
}

impl Queue {
    fn new(locks: &Locks, name: &str, form: String, limit: u32) -> Result<Self, LockError> {
        if locks.owner().hub.settings().nodes != 1 {
            return Err(LockError::NeedsOneServer(
                "queues, readers and permits need one server: several keep no common order, and \
                 a majority of servers does not bound a count (S34)",
            ));
        }
        check_name(name)?;
        Ok(Self { locks: locks.clone(), name: name.into(), form, limit })
    }

    async fn wait(&self, mode: Mode) -> Result<Guard, LockError> {
        let owner = self.locks.owner();
        let end = Instant::now() + owner.wait;
        owner.listen();
        let wish = || {
            let names = self.names(mode)?;
            Ok(Wish::waiting(owner, names, &self.name, self.ask_every_ms()))
        };
        granted_by(owner, end, wish).await
    }

    async fn attempt(&self, mode: Mode) -> Result<Guard, LockError> {
        let wish = Wish::at_once(self.locks.owner(), self.names(mode)?, &self.name);
        wish.granted().await
    }

    fn names(&self, mode: Mode) -> Result<LockNames, LockError> {
        let lease_ms = self.ask_every_ms() * MISSED_MAX;
        let turn = Turn::new(&self.name, mode, self.form.clone(), self.limit, lease_ms);
        Ok(LockNames { turn: Some(turn), ..lock_names(&self.name)? })
    }

    fn ask_every_ms(&self) -> u64 {
        let node_timeout_ms = self.locks.owner().hub.node_timeout_ms();
        (ASK_EVERY.as_millis() as u64).max(node_timeout_ms)
    }
}
