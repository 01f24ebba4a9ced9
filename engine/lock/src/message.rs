//! What a client of a lock asks of servers, and what they answer.
//!
//! Invariant: a token names one attempt of one client for ever, or, where the library that is
//! imitated does so, one acquisition.

use core::fmt;

/// One of the servers of a lock, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u16);

/// Names a request of one client: its answer brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The value of a lock's key: who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The client, drawn at random by its driver: no two are equal.
    pub client: u128,
    /// Which of its attempts.
    pub attempt: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{:x}", self.client, self.attempt)
    }
}

/// What a server is asked to do, as one atomic command or script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SET key token NX PX ttl.
    Acquire {
        /// The value.
        token: Token,
        /// Its time to live.
        ttl_ms: u64,
        /// What becomes of the lock's counter if the key was set; the answer says how it stands.
        counter: CounterUse,
    },
    /// SET key token NX PXAT until, or without an end.
    AcquireUntil {
        /// The value.
        token: Token,
        /// The time of day at which it ends, in milliseconds.
        until_ms: Option<u64>,
        /// As above.
        counter: CounterUse,
    },
    /// PEXPIRE key ttl: gives the key so much time from now on, whoever has it.
    Limit {
        /// Its time to live.
        ttl_ms: u64,
    },
    /// GET key: whether the key has this value.
    Look {
        /// The value that it must have.
        token: Token,
    },
    /// Gives the key so much time from now on if it has this value.
    Extend {
        /// The value that it must have.
        token: Token,
        /// Its time to live.
        ttl_ms: u64,
        /// Whether a key that is not there is set.
        recreates: bool,
    },
    /// The counter becomes at least this if the key still has this value.
    Commit {
        /// The value that it must have.
        token: Token,
        /// The number.
        number: u64,
    },
    /// Deletes the key.
    Release {
        /// The value that it must have; `None`: whatever it has.
        token: Option<Token>,
    },
}

impl Request {
    /// Whether it changes what a lock must not lose before its time.
    #[must_use]
    pub fn is_to_last(&self) -> bool {
        match self {
            Self::Acquire { .. }
            | Self::AcquireUntil { .. }
            | Self::Extend { .. }
            | Self::Commit { .. } => true,
            Self::Limit { .. } | Self::Look { .. } | Self::Release { .. } => false,
        }
    }
}

/// What an acquisition does with the counter of its lock, which is never deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterUse {
    /// Nothing.
    Ignore,
    /// It is read.
    Read,
    /// It is increased by one.
    Increment,
    /// It becomes at least this; the answer says how it stood before.
    Propose(u64),
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Done {
        /// The lock's counter, where that was asked for.
        counter: u64,
    },
    /// It was not: the key has another value, or is not there.
    Refused {
        /// The lock's counter, where that was asked for.
        counter: u64,
    },
    /// The server said something else, cannot be asked, or too few of its replicas have it. Whether
    /// it was done is not known.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_spelled_so_that_no_two_are_equal() {
        let token = |client, attempt| Token { client, attempt }.to_string();
        assert_eq!(token(0xabc, 0x1f), "00000000000000000000000000000abc-1f");
        assert_ne!(token(1, 0x11), token(0x11, 1));
    }
}
