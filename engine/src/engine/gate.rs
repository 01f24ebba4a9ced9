//! The durability gate: a client is told of nothing that the log would not give back.
//!
//! Whatever a step says to clients, reads included, may show what the log does not hold yet. So the
//! output of a step waits for the position that the log has at the step's end, and leaves when the
//! log is safe up to there.
//!
//! Invariants: output leaves in order; what waits is let go in the order of positions; while no log
//! is kept nothing waits.

use super::Engine;
use crate::effects::{Effect, Effects};

impl Engine {
    /// Ends a step: what was logged goes to the disk, now or in the tick that is due; what was said
    /// waits for it.
    pub(super) fn end_step(&mut self, writes: bool, fx: &mut Effects) {
        if self.state.persistence.aof.is_none() && self.gated.is_empty() {
            return;
        }
        if writes {
            self.state.write_log(self.now.mono, fx);
        }
        let position = self.state.log.position();
        let safe = self.state.persistence.aof.as_ref().map_or(u64::MAX, |aof| aof.safe());
        let is_ending = fx.as_slice().iter().any(is_end);
        if position > safe || is_ending || !self.gated.is_empty() {
            self.hold_output(position, fx);
        }
        self.let_go(fx);
    }

    /// Keeps back what tells clients something; they learn it when the log is safe.
    fn hold_output(&mut self, position: u64, fx: &mut Effects) {
        for effect in fx.take_if(|effect| says_something(effect) || is_end(effect)) {
            match effect {
                Effect::Flush(conn) | Effect::Close(conn) => {
                    if let Some(session) = self.state.sessions.find_mut(conn) {
                        session.hold_output(position);
                    }
                }
                _ => self.state.persistence.end_when_safe(),
            }
            self.gated.push_back((position, effect));
        }
        if self.state.persistence.is_ending {
            self.state.write_log(self.now.mono, fx);
        }
    }

    /// Lets everything go for which the log is safe.
    fn let_go(&mut self, fx: &mut Effects) {
        while let Some((position, effect)) = self.gated.front() {
            let Some(aof) = &self.state.persistence.aof else { break };
            let may_go =
                if is_end(effect) { aof.is_settled(*position) } else { *position <= aof.safe() };
            if !may_go {
                return;
            }
            let Some((position, effect)) = self.gated.pop_front() else { return };
            self.release_output(position, effect, fx);
        }
        if self.state.persistence.aof.is_none() {
            while let Some((position, effect)) = self.gated.pop_front() {
                self.release_output(position, effect, fx);
            }
        }
    }

    fn release_output(&mut self, position: u64, effect: Effect, fx: &mut Effects) {
        if let Effect::Flush(conn) | Effect::Close(conn) = effect
            && let Some(session) = self.state.sessions.find_mut(conn)
        {
            session.free_output(position);
        }
        fx.push(effect);
    }
}

fn says_something(effect: &Effect) -> bool {
    matches!(effect, Effect::Flush(_) | Effect::Close(_))
}

fn is_end(effect: &Effect) -> bool {
    matches!(effect, Effect::Shutdown { exit_code: 0 })
}
