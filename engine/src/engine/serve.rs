//! Clients that wait for keys are tried again when the keys have changed.
//!
//! Invariant: no other command runs while a client that could be served waits to be tried again,
//! so those who wait are served in the order in which they came, before those who come later. The
//! only exception is CLIENT PAUSE, during which data does not change.

use super::Engine;
use crate::commands::Cx;
use crate::commands::dispatch::dispatch;
use crate::commands::table::table;
use crate::effects::{Effect, Effects};
use crate::input::ConnId;
use crate::resp::Reply;
use crate::session::{Blocked, Session};

/// Clients that are tried again, and keys that are looked at, in one step.
const LOOKS_PER_STEP: usize = 512;
/// A step also tries no more when it has written this much.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

impl Engine {
    /// Whether clients are to be tried again before any other command runs.
    #[inline]
    pub(super) fn must_serve(&self) -> bool {
        self.state.waits.has_ready()
            && !self.state.is_paused(self.now.mono)
            && self.state.running_script.is_none()
            && !self.state.persistence.holds_everybody()
    }

    /// Tries a bounded number of those whose keys have changed; the rest comes with the next step.
    pub(super) fn serve(&mut self, fx: &mut Effects) {
        self.state.tell_lapsed();
        if !self.must_serve() {
            return;
        }
        let mut budget = LOOKS_PER_STEP.saturating_sub(self.looks);
        let before = budget;
        while self.served_bytes < OUTPUT_BYTES_MAX
            && let Some(conn) = self.state.next_ready(&mut budget)
        {
            let session = self.state.sessions.take(conn).expect("who waits does not run");
            self.try_again(session, fx);
        }
        self.looks += before - budget;
    }

    fn try_again(&mut self, mut session: Box<Session>, fx: &mut Effects) {
        if session.closing {
            self.state.waits.end(&mut session);
        } else {
            self.run_again(&mut session, fx);
        }
        let conn = session.id;
        self.state.sessions.put_back(session);
        self.state.count_client(conn);
    }

    /// Runs the command that a client waits with. It either writes its reply or waits on, with the
    /// place and the patience that it had.
    fn run_again(&mut self, session: &mut Session, fx: &mut Effects) {
        let keys_wait = session.keys_wait.take().expect("it waits for keys");
        let blocked = session.blocked.take();
        let mut reply =
            Reply { out: core::mem::take(&mut session.outbox), protocol: session.protocol };
        let (start, ready_len) = (reply.out.len(), self.state.waits.ready_len());
        let mut cx = Cx {
            state: &mut self.state,
            session,
            reply: &mut reply,
            fx,
            now: self.now,
            row: &table().rows()[0],
            retry: true,
            may_block: true,
            is_carried: false,
        };
        dispatch(&mut cx, keys_wait.words.args());
        self.ran += 1;
        self.served_bytes += reply.out.len() - start;
        session.outbox = reply.out;
        if matches!(session.blocked, Some(Blocked::Command(_))) {
            session.blocked = blocked;
            self.state.waits.take_back_ready(ready_len, &keys_wait);
            session.keys_wait = Some(keys_wait);
            return;
        }
        // A command that waits for keys ends when it is served: nothing else holds its client.
        session.blocked = blocked;
        session.keys_wait = Some(keys_wait);
        self.state.waits.end(session);
        let sessions = &mut self.state.sessions;
        sessions.collect_mail(session.id, session.protocol, &mut session.outbox);
        self.go_on(session, fx);
    }

    /// The client was served: it gets its reply, and what it sent meanwhile is run.
    fn go_on(&mut self, session: &mut Session, fx: &mut Effects) {
        session.last_active = self.now.mono;
        let conn: ConnId = session.id;
        if self.exceeds_output_limit(session, session.outbox.len()) {
            self.abort_for_output(session, fx);
            return;
        }
        fx.push(Effect::Flush(conn));
        if session.input_pending > 0 {
            fx.push(Effect::Resume(conn));
        }
    }
}
