//! A script that takes longer than a step: who waits for its end, and who is told that it runs.
//!
//! Invariant: while a script runs nothing else changes the data, and key time stands still.

use super::Engine;
use crate::commands::Cx;
use crate::commands::dispatch::fail;
use crate::commands::eval;
use crate::commands::table::table;
use crate::commands::transaction::go_on;
use crate::effects::{Effect, Effects};
use crate::resp::Reply;
use crate::script::Running;
use crate::session::{Blocked, Session};
use crate::time::{Instant, Micros};

impl Engine {
    /// When the script has run for so long that others are told so.
    pub(super) fn busy_from(&self) -> Option<Instant> {
        let running = self.state.running_script.as_ref()?;
        Some(running.since + Micros::from_millis(self.state.config.busy_reply_threshold_ms))
    }

    /// Goes on with the script that runs, if one does.
    pub(super) fn run_script(&mut self, fx: &mut Effects) {
        let Some(mut running) = self.state.running_script.take() else { return };
        let caller = self.state.sessions.take(running.caller);
        let is_there = caller.is_some();
        let mut session = caller.unwrap_or_else(|| Box::new(self.nobody(&running)));
        let mut reply =
            Reply { out: core::mem::take(&mut session.outbox), protocol: session.protocol };
        let start = reply.out.len();
        let mut cx = Cx {
            state: &mut self.state,
            session: &mut session,
            reply: &mut reply,
            fx,
            now: self.now,
            row: &table().rows()[0],
            retry: false,
            may_block: true,
            is_carried: false,
        };
        let Some(result) = eval::go_on(&mut cx, &mut running) else {
            session.outbox = reply.out;
            if is_there {
                self.state.sessions.put_back(session);
                self.state.count_client(running.caller);
            }
            self.state.running_script = Some(running);
            if self.busy_from().is_some_and(|from| from <= self.now.mono) {
                self.release(fx);
            }
            return;
        };
        cx.session.blocked = None;
        cx.state.note_script_end(running.since, cx.now);
        let Running { program, stage, rest, row, .. } = *running;
        cx.state.put_back_stage(&program, stage);
        match (rest, result) {
            (Some(rest), result) => go_on(&mut cx, *rest, (row, result), start),
            (None, Err(error)) => fail(&mut cx, row, &error),
            (None, Ok(())) => {}
        }
        // A transaction may have come to its next script.
        let has_ended = session.blocked.is_none();
        if has_ended {
            self.state.end_unit(true);
            session.end_command(&mut reply.out, start);
            self.state.tracking.end_command(session.id);
        }
        session.outbox = reply.out;
        if is_there {
            if has_ended && !session.closing {
                fx.push(Effect::Flush(session.id));
                fx.push(Effect::Resume(session.id));
            }
            let conn = session.id;
            self.state.sessions.put_back(session);
            self.state.count_client(conn);
        }
        if has_ended {
            self.release(fx);
        }
    }

    /// Stands in for a caller that has gone: the script and the rest of its transaction are run,
    /// the reply is dropped.
    fn nobody(&self, running: &Running) -> Session {
        let origin = crate::input::Origin::Unix { path: String::new() };
        let mut session = Session::new(running.caller, origin, self.now.mono, true);
        if let Some(rest) = &running.rest {
            session.db = rest.db;
            session.user = rest.user;
            session.authenticated = rest.authenticated;
        }
        session
    }

    /// Those who waited for the script go on: it has ended, or they are told that it is busy.
    fn release(&mut self, fx: &mut Effects) {
        for conn in core::mem::take(&mut self.state.held_by_script) {
            if let Some(session) = self.state.sessions.find_mut(conn)
                && session.blocked == Some(Blocked::ScriptOfAnother)
            {
                session.blocked = None;
                fx.push(Effect::Resume(conn));
            }
        }
    }
}
