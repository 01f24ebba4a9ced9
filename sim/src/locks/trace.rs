//! What happened in a lab, to be told and drawn.
//!
//! Invariant: the entries are in the order in which they happened.

use orrery_engine::lock::{Ended, Grant, Reply, Request};

use super::judge::Violation;
use super::store::Access;
use super::story::{Step, Who};

/// Something that a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The lock is there.
    Granted(Grant),
    /// It is there for longer.
    Extended(Grant),
    /// It is not.
    Ended(Ended),
}

/// What became of a client's work on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It has read this.
    Read(u64),
    /// Its change was taken.
    Written,
    /// Its number was too old.
    Refused,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// A client asks a lock server.
    Asked(Request),
    /// The server answers.
    Answered(Reply),
    /// A client asks the store, with a number or without.
    Accessed(Access, Option<u64>),
    /// The store answers.
    Worked(Work),
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening {
    /// A step of the story.
    Step(Step),
    /// A message was sent.
    Sent {
        /// From a client to a server, or back.
        link: Who,
        /// To the server or the store; otherwise from it.
        is_request: bool,
        /// What it says.
        spoken: Spoken,
        /// When it arrives; never if it is lost.
        arrives_us: Option<u64>,
    },
    /// A message has found its receiver: a server did what was asked, a client read the answer.
    Arrived {
        /// From a client to a server, or back.
        link: Who,
        /// At the server or the store; otherwise at the client.
        is_request: bool,
        /// What it says.
        spoken: Spoken,
    },
    /// A client was told something.
    Told(usize, Told),
    /// Who has the key of a server, and until when as things are.
    Key {
        /// The server.
        node: usize,
        /// Who has it; nobody: it is gone.
        holder: Option<(usize, u64)>,
    },
    /// A server has done what was asked, and waits in vain for enough of its replicas.
    IsAlone(usize),
    /// A client that was paused goes on.
    GoesOn(usize),
    /// The store has taken a change: the value before, what its writer had read, and the new one.
    Changed {
        /// Who wrote.
        client: usize,
        /// What was there.
        before: u64,
        /// What the writer had read.
        base: u64,
        /// What is there.
        value: u64,
    },
    /// An invariant was broken.
    Broken(Violation),
}

/// Everything that happened, and when, in microseconds of true time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// In order.
    pub entries: Vec<(u64, Happening)>,
}
