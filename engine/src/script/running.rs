//! A script that runs, with what it needs to go on in a later step.

use super::Promises;
use super::fiber::{Ask, Fiber};
use crate::input::ConnId;
use crate::session::Session;
use crate::time::Instant;

/// A script that runs, between two steps too.
#[derive(Debug)]
pub struct Running {
    /// Who gets the reply.
    pub(crate) caller: ConnId,
    /// Whether the commands that it calls must not write.
    pub(crate) only_reads: bool,
    /// Whether it has called a command that writes.
    pub(crate) has_written: bool,
    /// What it promised.
    pub(crate) promises: Promises,
    /// When it began.
    pub(crate) since: Instant,
    pub(crate) fiber: Fiber,
    /// The client that its commands are run for: in the caller's database, but a SELECT of the
    /// script is not the caller's.
    pub(crate) session: Box<Session>,
    /// What the interpreter asked before the step ended.
    pub(crate) pending: Option<Ask>,
    /// Ends the script with this error at its next pause.
    pub(crate) ending: Option<String>,
}

impl Running {
    /// The interpreter back, after the end.
    pub(crate) fn into_fiber(self) -> Fiber {
        self.fiber
    }
}
