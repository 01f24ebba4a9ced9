//! What is wrong with locks as somebody wants to set them up: what is refused, and what is only
//! warned about.
//!
//! Invariant: each says in words what must be changed, and none shows a password.

use std::fmt;
use std::time::Duration;

use orrery_lock_machine::Doubt;

/// Why locks cannot be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// An address that is none.
    Address(&'static str),
    /// Certificates for TLS that are none, or no roots at all.
    Certificates(String),
    /// One server under two names counts as two that fail together.
    SameServer {
        /// Its first name.
        one: String,
        /// And its other.
        other: String,
    },
    /// Times and numbers that make no lock.
    Settings(&'static str),
    /// Settings that cannot exclude anybody.
    Unsafe(Doubt),
    /// Too few servers can be reached.
    Unreachable {
        /// So many must be.
        needed: u16,
        /// Those that are not, and why.
        troubles: Vec<(String, String)>,
    },
    /// A server that copies from another.
    Replica(String),
    /// A lock's time would be over when it is there.
    ShortTtl {
        /// How long it lives.
        ttl: Duration,
        /// How long a server takes to answer.
        round_trip: Duration,
    },
    /// The system has no entropy.
    Entropy,
    /// The system has no clock that goes on while it sleeps.
    Clock(std::io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) | Self::Settings(why) => f.write_str(why),
            Self::Certificates(why) => f.write_str(why),
            Self::SameServer { one, other } => write!(
                f,
                "{one} and {other} are one server: it would vote twice, and fail twice at once"
            ),
            Self::Unsafe(doubt) => doubt.fmt(f),
            Self::Unreachable { needed, troubles } => {
                write!(f, "{needed} servers must be there")?;
                troubles.iter().try_for_each(|(server, why)| write!(f, "; {server}: {why}"))
            }
            Self::Replica(server) => {
                write!(f, "{server} is a replica: what it grants its primary overrules")
            }
            Self::ShortTtl { ttl, round_trip } => write!(
                f,
                "a time to live of {ttl:?} is shorter than two round trips of {round_trip:?}: \
                 a lock would be over when it is there"
            ),
            Self::Entropy => f.write_str("the system has no entropy for the names of holders"),
            Self::Clock(error) => {
                write!(f, "the system has no clock that goes on while it sleeps: {error}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// What is not as it should be, though there are locks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A doubt about the settings.
    Doubt(Doubt),
    /// A server that could not be reached; it is tried again and again.
    Unreachable {
        /// Which.
        server: String,
        /// And why.
        why: String,
    },
    /// A server that removes keys when its memory is full, and locks are keys (S26).
    Evicts {
        /// Which.
        server: String,
        /// By this policy.
        policy: String,
    },
    /// A server that does not tell who it is: that it is not another's twin is not known.
    Nameless {
        /// Which.
        server: String,
    },
    /// The primary may change. Replicas are sent what it does after it has answered, so what it had
    /// not sent when a replica takes over is lost: a lock may be granted to somebody else while its
    /// holder has it, and both may have the same token, since the count is lost, too.
    /// [`Builder::replicas`](crate::Builder::replicas) makes it less likely. Servers that do not
    /// copy from each other, and a quorum of them, do not have this.
    Failover {
        /// Which of them is meant.
        servers: String,
    },
    /// Servers are given less time than they take.
    ShortTimeout {
        /// So much.
        timeout: Duration,
        /// And they take this.
        round_trip: Duration,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubt(doubt) => doubt.fmt(f),
            Self::Unreachable { server, why } => write!(f, "{server} cannot be reached: {why}"),
            Self::Evicts { server, policy } => write!(
                f,
                "{server} may remove locks when its memory is full (maxmemory-policy {policy})"
            ),
            Self::Nameless { server } => {
                write!(f, "{server} does not tell its run_id: it may be one of the others")
            }
            Self::Failover { servers } => write!(
                f,
                "{servers} may change: what it had not sent when a replica takes over is lost, so \
                 a lock may be granted twice at once, and both holders may have the same token"
            ),
            Self::ShortTimeout { timeout, round_trip } => write!(
                f,
                "servers have {timeout:?} to answer, less than two round trips of {round_trip:?}"
            ),
        }
    }
}
