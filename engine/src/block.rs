//! Clients whose command waits for something that has not happened yet, and how their wait ends.
//!
//! Invariant: a client is in the list of deadlines exactly while it waits with one, so the list is
//! never longer than there are clients.

use std::collections::BTreeSet;

use crate::effects::{Effect, Effects};
use crate::input::ConnId;
use crate::resp::Reply;
use crate::session::{Blocked, Session, TimedOut, Wait};
use crate::state::State;
use crate::time::Instant;

/// When the patience of waiting clients ends, in order.
#[derive(Debug, Default)]
pub struct Deadlines {
    list: BTreeSet<(Instant, ConnId)>,
}

impl Deadlines {
    /// The first of them.
    pub fn first(&self) -> Option<Instant> {
        self.list.first().map(|&(at, _)| at)
    }

    /// Begins the wait of the client that runs the present command.
    pub(crate) fn block(&mut self, session: &mut Session, wait: Wait) {
        session.blocked = Some(Blocked::Command(wait));
        if let Some(until) = wait.until {
            self.list.insert((until, session.id));
        }
    }

    /// Forgets a client that is gone.
    pub(crate) fn forget(&mut self, session: &Session) {
        if let Some(Blocked::Command(Wait { until: Some(until), .. })) = session.blocked {
            let was_there = self.list.remove(&(until, session.id));
            assert!(was_there, "a client that waits with a deadline is in the list");
        }
    }
}

/// Why a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its patience has ended, or somebody says that it has.
    TimedOut,
    /// Somebody ends it with an error.
    Error,
}

impl State {
    /// Ends the wait of a client inside a command, if it waits: it gets a reply and goes on.
    pub(crate) fn unblock(&mut self, conn: ConnId, ending: Ending, fx: &mut Effects) -> bool {
        let Some(session) = self.sessions.find_mut(conn) else { return false };
        let Some(Blocked::Command(wait)) = session.blocked else { return false };
        self.deadlines.forget(session);
        session.blocked = None;
        if session.closing {
            // It was killed; nobody reads what it would get.
            return false;
        }
        let mut reply =
            Reply { out: core::mem::take(&mut session.outbox), protocol: session.protocol };
        let start = reply.out.len();
        match (ending, wait.timed_out) {
            (Ending::Error, _) => {
                reply.error_text("UNBLOCKED client unblocked via CLIENT UNBLOCK");
            }
            (Ending::TimedOut, TimedOut::Zero) => reply.integer(0),
            (Ending::TimedOut, TimedOut::TwoZeroes) => {
                reply.array(2);
                reply.integer(0);
                reply.integer(0);
            }
        }
        session.end_command(&mut reply.out, start);
        session.outbox = reply.out;
        fx.push(Effect::Flush(conn));
        fx.push(Effect::Resume(conn));
        if ending == Ending::Error {
            self.count_error("UNBLOCKED");
        }
        true
    }

    /// Ends the waits whose deadline has come, at most `budget` of them.
    pub(crate) fn end_waits(&mut self, now: Instant, budget: usize, fx: &mut Effects) {
        for _ in 0..budget {
            match self.deadlines.list.first() {
                Some(&(until, conn)) if until <= now => {
                    self.unblock(conn, Ending::TimedOut, fx);
                    let is_next = self.deadlines.list.first() == Some(&(until, conn));
                    assert!(!is_next, "a client in the list waits");
                }
                _ => return,
            }
        }
    }
}
