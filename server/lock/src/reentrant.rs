//! A lock that its owner may enter again.
//!
//! Who the owner is, threads and tasks cannot tell: tasks move between threads, and start others.
//! So the owner is whoever has the handle: all that is entered through it and its clones is one
//! holder, with one token and one deadline, and the lock is given back when the last has left.
//!
//! Invariant: a loss is final here, too. As long as one entry of a lost lock is left, nobody enters
//! again through this handle.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use crate::guard::Guard;
use crate::lease::Lost;
use crate::locks::{LockError, Locks};

/// A lock that may be entered again through the same handle.
#[derive(Clone)]
pub struct ReentrantLock {
    locks: Locks,
    name: Arc<str>,
    entered: Arc<Mutex<Weak<Guard>>>,
}

impl ReentrantLock {
    pub(crate) fn new(locks: Locks, name: String) -> Self {
        Self { locks, name: name.into(), entered: Arc::default() }
    }

    /// Enters: acquires the lock, or goes in behind whoever holds it through this handle.
    ///
    /// # Errors
    /// If it was not granted in time, or is lost and not left yet.
    pub async fn enter(&self) -> Result<Entered, EnterError> {
        // One at a time: the second finds what the first was granted.
        let mut entered = self.entered.lock().await;
        if let Some(guard) = entered.upgrade() {
            guard.check().map_err(EnterError::Lost)?;
            return Ok(Entered { guard });
        }
        let guard = self.locks.lock(&self.name).await.map_err(EnterError::Lock)?;
        let guard = Arc::new(guard);
        *entered = Arc::downgrade(&guard);
        Ok(Entered { guard })
    }

    /// How many have entered and not left.
    pub async fn entries(&self) -> usize {
        self.entered.lock().await.strong_count()
    }
}

impl fmt::Debug for ReentrantLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantLock").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One entry; the last that is dropped gives the lock back. It is a [`Guard`] for the rest.
#[derive(Debug)]
#[must_use = "an entry that is dropped has left"]
pub struct Entered {
    guard: Arc<Guard>,
}

impl Deref for Entered {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.guard
    }
}

/// Why a lock cannot be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnterError {
    /// It was not granted.
    Lock(LockError),
    /// It was lost, and those who entered before have not left yet.
    Lost(Lost),
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(error) => error.fmt(f),
            Self::Lost(why) => write!(f, "{why}, and was not left yet"),
        }
    }
}

impl std::error::Error for EnterError {}
