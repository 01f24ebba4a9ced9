//! What applications ask for: a lock, several at once, a look at what lies there.
//!
//! Invariant: whoever stops waiting for a lock gives up what it may have been granted meanwhile.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orrery_lock_machine::{Cleanup, Settings, TokenRule};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::builder::Builder;
use crate::clock::Alarm;
use crate::found::{Found, look};
use crate::guard::Guard;
use crate::hub::{FOREIGN_FORM, Hub};
use crate::lease::{Lease, Number, Stage};
use crate::link::LockNames;
use crate::listener::listen;
use crate::many::{ManyGuard, lock_in_order};
use crate::metrics::Metrics;
use crate::primary::Whereabouts;
use crate::reentrant::ReentrantLock;
use crate::refusal::Warning;
use crate::stream::Dialer;

/// Longest name of a lock, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// What ends the name of a lock's counter.
const COUNTER: &str = ":fence";
/// Attempts after the first of who waits: its time ends earlier.
const RETRIES: u32 = 1_000_000;
/// Who has waited so long for a lock looks whether it is one.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// How often locks are looked at if no alarm can be set.
const WITHOUT_ALARM: Duration = Duration::from_millis(10);

/// Locks on one server or on a majority of several. Cheap to clone; all clones share connections,
/// which end with the last clone and the last guard.
#[derive(Clone)]
pub struct Locks {
    owner: Arc<Owner>,
}

impl Locks {
    /// Begins to set locks up.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn of(owner: Owner) -> Self {
        Self { owner: Arc::new(owner) }
    }

    /// What is not as it should be, as far as it was seen while connecting.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.owner.warnings
    }

    /// What has happened.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.owner.hub.counts.snapshot()
    }

    /// Acquires a lock; waits while somebody else has it, as long as [`Builder::wait`] says. Who
    /// comes first is not favoured: see [`Locks::fair`].
    ///
    /// # Errors
    /// If it was not granted in time; the error says what was in the way.
    pub async fn lock(&self, name: &str) -> Result<Guard, LockError> {
        self.lock_until(name, Instant::now() + self.owner.wait).await
    }

    pub(crate) async fn lock_until(&self, name: &str, end: Instant) -> Result<Guard, LockError> {
        let wish = || Ok(Wish::contending(&self.owner, lock_names(name)?, name));
        granted_by(&self.owner, end, wish).await
    }

    /// Acquires a lock if nobody has it.
    ///
    /// # Errors
    /// If it was not granted at the first attempt. Nothing is looked at: [`Locks::look`] says who
    /// has it.
    pub async fn try_lock(&self, name: &str) -> Result<Guard, LockError> {
        Wish::at_once(&self.owner, lock_names(name)?, name).granted().await
    }

    /// Acquires several locks, all or none, in the order of their names, so that two who want the
    /// same never wait for each other. A name that comes twice counts once.
    ///
    /// # Errors
    /// If one of them was not granted while [`Builder::wait`] had not passed for all together.
    pub async fn lock_many<I>(&self, names: I) -> Result<ManyGuard, LockError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let names = names.into_iter().map(Into::into).collect();
        lock_in_order(self, names, Instant::now() + self.owner.wait).await
    }

    /// A lock that its owner may enter again while holding it.
    #[must_use]
    pub fn reentrant(&self, name: impl Into<String>) -> ReentrantLock {
        ReentrantLock::new(self.clone(), name.into())
    }

    /// What lies under a lock's name on each server.
    ///
    /// # Errors
    /// If the name is none.
    pub async fn look(&self, name: &str) -> Result<Vec<Found>, LockError> {
        Ok(self.owner.look(&lock_names(name)?.lock).await)
    }

    pub(crate) fn owner(&self) -> &Arc<Owner> {
        &self.owner
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks").field("servers", &self.owner.names()).finish_non_exhaustive()
    }
}

/// Why there is no lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// It was not granted in time.
    NotAcquired {
        /// Which.
        name: String,
        /// What lay there when it was given up; empty where nobody looked.
        found: Vec<Found>,
        /// The last error that a server answered with.
        said: Option<String>,
    },
    /// A name or a number that no lock has.
    Invalid(&'static str),
    /// There is no such thing on several servers.
    NeedsOneServer(&'static str),
    /// A queue of this name is there for something else.
    Foreign {
        /// The name.
        name: String,
        /// What it is.
        form: String,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAcquired { name, found, said } => {
                write!(f, "the lock {name} was not granted")?;
                found.iter().try_for_each(|found| write!(f, "; {found}"))?;
                said.iter().try_for_each(|said| write!(f, "; a server said: {said}"))
            }
            Self::Invalid(why) | Self::NeedsOneServer(why) => f.write_str(why),
            Self::Foreign { name, form } => write!(f, "{name} is used as another thing: {form}"),
        }
    }
}

impl std::error::Error for LockError {}

/// What all locks of a client have in common; its tasks end with it.
pub(crate) struct Owner {
    pub(crate) hub: Arc<Hub>,
    servers: Vec<Arc<Whereabouts>>,
    pub(crate) dialer: Dialer,
    /// How long [`Locks::lock`] tries.
    pub(crate) wait: Duration,
    warnings: Vec<Warning>,
    /// Aborted when dropped.
    tasks: Mutex<JoinSet<()>>,
    is_listening: AtomicBool,
}

impl Owner {
    pub(crate) fn new(
        hub: Arc<Hub>,
        servers: Vec<Arc<Whereabouts>>,
        dialer: Dialer,
        wait: Duration,
        warnings: Vec<Warning>,
        mut tasks: JoinSet<()>,
    ) -> io::Result<Self> {
        let alarm = Alarm::new()?;
        tasks.spawn(keep_time(Arc::clone(&hub), alarm));
        let (tasks, is_listening) = (Mutex::new(tasks), AtomicBool::new(false));
        Ok(Self { hub, servers, dialer, wait, warnings, tasks, is_listening })
    }

    /// Sees to it that waiters in queues are woken.
    pub(crate) fn listen(&self) {
        if !self.is_listening.swap(true, Ordering::Relaxed) {
            let (hub, dialer) = (Arc::clone(&self.hub), self.dialer.clone());
            let listener = listen(hub, Arc::clone(&self.servers[0]), dialer);
            self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(listener);
        }
    }

    fn names(&self) -> Vec<String> {
        self.servers.iter().map(ToString::to_string).collect()
    }

    async fn look(&self, key: &[u8]) -> Vec<Found> {
        let servers = self.names().into_iter();
        let patience = Duration::from_millis(self.hub.node_timeout_ms());
        look(&self.hub, servers, key, patience).await
    }
}

/// Ticks the locks whose time has come.
async fn keep_time(hub: Arc<Hub>, alarm: Alarm) {
    loop {
        let next = hub.tick();
        let is_set = alarm.set(next);
        let rung = async {
            is_set?;
            alarm.rung().await
        };
        tokio::select! {
            biased;
            rung = rung => if let Err(error) = rung {
                // Not seen yet. Guards look at the clock themselves, and those who wait for news
                // have them a little later.
                tracing::error!(%error, "the alarm of locks does not work");
                sleep(WITHOUT_ALARM).await;
            },
            () = hub.earlier.notified() => {}
        }
    }
}

/// Waits for a lock. If another server has taken over that is so far away that no answer would come
/// in the time that the wish leaves for it, the wish is made anew.
pub(crate) async fn granted_by(
    owner: &Owner,
    end: Instant,
    wish: impl Fn() -> Result<Wish, LockError>,
) -> Result<Guard, LockError> {
    loop {
        let timeout_ms = owner.hub.node_timeout_ms();
        let wish = wish()?;
        tokio::select! {
            biased;
            granted = wish.granted_by(end) => return granted,
            () = owner.hub.slower_than(timeout_ms.saturating_mul(2)) => {}
        }
    }
}

/// A lock that is waited for; dropped, it is given up.
pub(crate) struct Wish {
    owner: Arc<Owner>,
    id: u64,
    lease: Arc<Lease>,
    name: String,
    /// The key that somebody else may have set.
    key: Option<Vec<u8>>,
    is_fulfilled: bool,
}

impl Wish {
    /// One that is given up when it is not fulfilled at once.
    pub(crate) fn at_once(owner: &Arc<Owner>, names: LockNames, name: &str) -> Self {
        Self::new(owner, names, name, owner.hub.settings())
    }

    /// One that tries again and again.
    fn contending(owner: &Arc<Owner>, names: LockNames, name: &str) -> Self {
        Self::new(owner, names, name, Settings { retries: RETRIES, ..owner.hub.settings() })
    }

    /// One that waits in a queue and asks every so often whether it is its turn.
    pub(crate) fn waiting(
        owner: &Arc<Owner>,
        names: LockNames,
        name: &str,
        ask_every_ms: u64,
    ) -> Self {
        let settings = Settings {
            retries: RETRIES,
            // The place in the queue is the token's; see `turn.rs` for why this is safe there.
            tokens: TokenRule::PerAcquisition,
            cleanup: Cleanup::Nowhere,
            retry_delay_ms: ask_every_ms,
            retry_jitter_ms: ask_every_ms / 8,
            ..owner.hub.settings()
        };
        Self::new(owner, names, name, settings)
    }

    fn new(owner: &Arc<Owner>, names: LockNames, name: &str, settings: Settings) -> Self {
        let key = names.turn.is_none().then(|| names.lock.clone());
        let (id, lease) = owner.hub.acquire(names, settings);
        let (owner, name) = (Arc::clone(owner), name.to_owned());
        Self { owner, id, lease, name, key, is_fulfilled: false }
    }

    pub(crate) async fn granted(self) -> Result<Guard, LockError> {
        match self.lease.decided().await {
            Stage::Held(number) => Ok(self.fulfilled(number)),
            _ => Err(self.failed(Vec::new())),
        }
    }

    async fn granted_by(self, end: Instant) -> Result<Guard, LockError> {
        match self.decided_by(end).await {
            Stage::Held(number) => Ok(self.fulfilled(number)),
            _ => {
                self.owner.hub.release(self.id);
                let found = self.look().await;
                Err(self.failed(found))
            }
        }
    }

    async fn decided_by(&self, end: Instant) -> Stage {
        let decided = self.lease.decided();
        tokio::pin!(decided);
        let first_look = end.min(Instant::now() + LOOK_AFTER);
        if let Ok(stage) = timeout_at(first_look, &mut decided).await {
            return stage;
        }
        for found in self.look().await.iter().filter(|found| found.is_foreign()) {
            tracing::warn!(lock = self.name, %found, "a lock is waited for that is none");
        }
        timeout_at(end, decided).await.unwrap_or(Stage::NotAcquired)
    }

    async fn look(&self) -> Vec<Found> {
        match &self.key {
            Some(key) => self.owner.look(key).await,
            None => Vec::new(),
        }
    }

    fn fulfilled(mut self, number: Number) -> Guard {
        self.is_fulfilled = true;
        let (owner, lease) = (Arc::clone(&self.owner), Arc::clone(&self.lease));
        Guard::new(owner, self.id, lease, std::mem::take(&mut self.name), number)
    }

    fn failed(&self, found: Vec<Found>) -> LockError {
        let said = self.lease.error();
        match said.as_deref().and_then(|said| said.strip_prefix(FOREIGN_FORM)) {
            Some(form) => LockError::Foreign { name: self.name.clone(), form: form.into() },
            None => LockError::NotAcquired { name: self.name.clone(), found, said },
        }
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        if !self.is_fulfilled {
            self.owner.hub.release(self.id);
        }
    }
}

/// The keys of a lock.
pub(crate) fn lock_names(name: &str) -> Result<LockNames, LockError> {
    check_name(name)?;
    // In a cluster both are in one slot.
    let counter = if name.contains('{') {
        format!("{name}{COUNTER}")
    } else {
        format!("{{{name}}}{COUNTER}")
    };
    Ok(LockNames { lock: name.into(), counter: counter.into_bytes(), turn: None })
}

/// Whether a lock may have this name.
pub(crate) fn check_name(name: &str) -> Result<(), LockError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(LockError::Invalid("the name of a lock has 1 to 512 bytes"));
    }
    if name.ends_with(COUNTER) {
        return Err(LockError::Invalid("names that end with :fence are those of counters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_limits_and_a_counter_beside_them() {
        let counter = |name: &str| lock_names(name).map(|names| names.counter);
        assert_eq!(counter("stock"), Ok(b"{stock}:fence".to_vec()));
        assert_eq!(counter("{shop}:stock"), Ok(b"{shop}:stock:fence".to_vec()));
        assert!(counter(&"n".repeat(NAME_BYTES_MAX)).is_ok());
        for wrong in ["", &"n".repeat(NAME_BYTES_MAX + 1), "{stock}:fence"] {
            assert!(matches!(counter(wrong), Err(LockError::Invalid(_))), "{wrong}");
        }
    }
}
