//! What happened, as counters that only grow.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What happened since the locks were built. Counters only grow.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        /// The same, being counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counts {
            $(pub(crate) $name: Count,)+
        }

        impl Counts {
            pub(crate) fn snapshot(&self) -> Metrics {
                Metrics { $($name: self.$name.0.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Locks that were asked for.
    wanted,
    /// Locks that were granted.
    acquired,
    /// Locks that were asked for and not granted: taken, given up, or too few servers answered.
    not_acquired,
    /// Microseconds between asking and being granted, of all that were granted together.
    waited_micros,
    /// Extensions that made a deadline later.
    extended,
    /// Locks that were lost while they were held.
    lost,
    /// Locks that were given back while they were held.
    released,
    /// Requests that were sent to servers.
    requests,
    /// Requests that could not be sent (no connection, a silent server, full queues), and releases
    /// that were sent to a silent server and are not waited for.
    unsent,
    /// Requests that a server answered with an error, or whose connection broke.
    failed,
    /// Connections that were made.
    connected,
    /// Connections that broke.
    disconnected,
    /// Wake-ups of waiters in queues that came from a server.
    woken,
    /// Locks of which a server told that somebody else may have changed them.
    suspected,
}

/// A counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }
}
