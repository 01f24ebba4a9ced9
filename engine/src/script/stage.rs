//! What scripts run on: the interpreter, the client that their commands are run for, and buffers
//! that are used again.

use super::fiber::{Fiber, Run};
use crate::input::{ConnId, Origin};
use crate::session::Session;
use crate::time::Instant;

/// What one script at a time runs on.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The interpreter.
    pub(crate) fiber: Fiber,
    /// The client that its commands are run for: in the caller's database, but a SELECT of the
    /// script is not the caller's.
    pub(crate) session: Session,
    /// What is to be run; the interpreter has it while a script runs.
    pub(crate) run: Option<Box<Run>>,
}

impl Stage {
    /// A new interpreter, whose scripts may take so many bytes of memory.
    pub(crate) fn new(memory_bytes_max: usize) -> Box<Self> {
        let origin = Origin::Unix { path: String::new() };
        let mut session = Session::new(ConnId(0), origin, Instant::default(), true);
        session.is_script = true;
        Box::new(Self { fiber: Fiber::new(memory_bytes_max), session, run: Some(Box::default()) })
    }

    /// The commands are run for `caller` from now on.
    pub(crate) fn enter(&mut self, caller: &Session) {
        self.session.id = caller.id;
        self.session.db = caller.db;
        self.session.user = caller.user;
        self.session.authenticated = caller.authenticated;
    }
}
