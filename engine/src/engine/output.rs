//! What becomes of output that nobody takes, and of messages that clients did not ask for.
//!
//! Invariant: a client whose output is over the hard limit of its class is closed when the step
//! ends, one over the soft limit when its time is up.

use super::{Engine, OUTPUT_CHECK_INTERVAL};
use crate::config::OutputLimit;
use crate::effects::{Effect, Effects, LogLevel};
use crate::session::{OverLimit, Session};
use crate::time::Micros;

/// Nobody who has not logged in may let more output wait: what Redis keeps in a client's first
/// buffer and 1 KiB.
const UNAUTHENTICATED_OUTPUT_BYTES_MAX: u64 = 17 << 10;

impl Engine {
    /// Whether the running client has more output than it may. Asked once at the end of a step,
    /// which is bounded itself.
    #[inline]
    pub(super) fn exceeds_output_limit(&mut self, session: &mut Session, unsent: usize) -> bool {
        let limit = session.output_limit(&self.state.config.output_limits);
        let pending = (unsent + session.in_flight) as u64;
        if pending > UNAUTHENTICATED_OUTPUT_BYTES_MAX && self.state.must_authenticate(session) {
            return true;
        }
        limit.concerns(pending) && self.is_over(limit, pending, session)
    }

    #[cold]
    fn is_over(&mut self, limit: OutputLimit, pending: u64, session: &mut Session) -> bool {
        if limit.hard_bytes != 0 && pending >= limit.hard_bytes {
            return true;
        }
        match session.over_soft_limit {
            Some(since) => self.now.mono.since(since) > Micros::from_secs(limit.soft_secs),
            None => {
                session.over_soft_limit = Some(self.now.mono);
                self.state.over_soft_limit.push(session.id);
                self.output_check.get_or_insert(self.now.mono + OUTPUT_CHECK_INTERVAL);
                false
            }
        }
    }

    pub(super) fn abort_for_output(&mut self, session: &mut Session, fx: &mut Effects) {
        let text = format!(
            "Client id={} addr={} laddr={} name={} omem={} cmd={} scheduled to be closed ASAP for \
             overcoming of output buffer limits.",
            session.id.0,
            session.address(),
            session.local_address(),
            String::from_utf8_lossy(&session.name),
            session.output_pending(),
            session.last_command,
        );
        fx.push(Effect::Log(LogLevel::Warning, text));
        self.state.stats.output_buffer_closed += 1;
        session.kill();
        self.state.pubsub.end(session);
        fx.push(Effect::Abort(session.id));
    }

    /// Closes the clients that have been over the soft limit for too long.
    pub(super) fn check_output_limits(&mut self, fx: &mut Effects) {
        let mut clients = core::mem::take(&mut self.state.over_soft_limit);
        // One that was under the limit for a moment was noted twice.
        clients.sort_unstable();
        clients.dedup();
        for conn in clients {
            let Some(mut session) = self.state.sessions.take(conn) else { continue };
            let limit = session.output_limit(&self.state.config.output_limits);
            let pending = session.output_pending() as u64;
            if session.closing || !limit.concerns(pending) {
                session.over_soft_limit = None;
            } else if session.over_soft_limit.is_some() {
                if self.is_over(limit, pending, &mut session) {
                    self.abort_for_output(&mut session, fx);
                } else {
                    self.state.over_soft_limit.push(conn);
                }
            }
            self.state.sessions.put_back(session);
            self.state.count_client(conn);
        }
        let left = !self.state.over_soft_limit.is_empty();
        self.output_check = left.then(|| self.now.mono + OUTPUT_CHECK_INTERVAL);
    }

    /// Does what messages of this step have led to: output to flush, clients to close.
    #[cold]
    pub(super) fn end_post(&mut self, fx: &mut Effects) {
        for OverLimit { conn, pending_bytes, is_hard } in self.state.sessions.take_over_limit() {
            let Some(mut session) = self.state.sessions.take(conn) else { continue };
            let limit = session.output_limit(&self.state.config.output_limits);
            let is_over =
                is_hard || !session.closing && self.is_over(limit, pending_bytes, &mut session);
            if is_over {
                self.abort_for_output(&mut session, fx);
            }
            self.state.sessions.put_back(session);
            self.state.count_client(conn);
        }
        self.state.sessions.flush_post(fx);
    }
}
