//! Locks on Redis, Valkey and Orrery that say until when they are good.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use orrery_lock::Locks;
//!
//! let locks = Locks::builder().node("redis://127.0.0.1:6379").build().await?;
//! let guard = locks.lock("stock").await?;
//! // Dropped at the lock's deadline, whatever it is about.
//! let left = guard.run(async { take_one(guard.token()).await }).await?;
//! guard.release().await?;
//! # drop(left);
//! # Ok(())
//! # }
//! # async fn take_one(_token: u64) -> u64 { 0 }
//! ```
//!
//! No lock with a time to live excludes two holders by itself: a holder that was paused goes on
//! when its time is over. This library tells the holder as early as it can ([`Guard::check`],
//! [`Guard::run`], [`Guard::deadline`]) and numbers every grant ([`Guard::token`]), so that whoever
//! keeps the data can refuse what comes late.
//!
//! A server is reached over TCP, a unix socket or, with the feature `tls`, TLS: see
//! [`Builder::node`]. It may also be whichever of several is primary now
//! ([`Builder::primary_among`], [`Builder::sentinels`]); then a takeover can lose a lock and the
//! count of its tokens, and [`Warning::Failover`] says so.
//!
//! The algorithms are the state machines of `orrery-lock-machine`, the same that Orrery's simulator
//! runs; this crate gives them connections, clocks and entropy.
//!
//! Invariants: a deadline is counted from before the first request, by a clock that counts the time
//! that the machine sleeps; what was lost is never held again; each server is asked over one
//! connection, in order.

mod address;
mod builder;
mod clock;
mod connection;
mod facts;
mod fair;
mod found;
mod guard;
mod hub;
mod lease;
mod link;
mod listener;
mod locks;
mod many;
mod metrics;
mod news;
mod primary;
mod reentrant;
mod refusal;
mod reply;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod turn;

pub use address::Address;
pub use builder::Builder;
pub use clock::Deadline;
pub use fair::{FairLock, PERMITS_MAX, ReadWriteLock, Semaphore};
pub use found::{Found, What};
pub use guard::Guard;
pub use lease::Lost;
pub use locks::{LockError, Locks, NAME_BYTES_MAX};
pub use many::{LOCKS_MAX, ManyGuard};
pub use metrics::Metrics;
pub use orrery_lock_machine::Doubt;
pub use reentrant::{EnterError, Entered, ReentrantLock};
pub use refusal::{Refusal, Warning};
