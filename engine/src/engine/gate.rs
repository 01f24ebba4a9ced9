//! The durability gate: a client is told of nothing that the disk would not give back.
//!
//! Whatever a step says to clients, reads included, may show what the log does not hold yet. So the
//! output of a step waits for the position that the log has at the step's end, and leaves when the
//! log is safe up to there. Where `lock-grace` is on it also waits until the disk knows how long
//! the locks live that were granted up to there.
//!
//! Invariants: output leaves in order; what waits is let go in the order of the steps; while no log
//! is kept and there is no `lock-grace` nothing waits.

use super::Engine;
use crate::effects::{Effect, Effects};
use crate::state::State;

/// Those who wait for the disk are a crowd when they are so many.
const CROWD_MIN: usize = 16;

/// Something that waits.
#[derive(Debug)]
pub(super) struct Gated {
    /// What is said, or the server's end.
    effect: Effect,
    /// The step that has said it.
    step: u64,
    /// The log must be safe up to here.
    position: u64,
    /// The disk must know of locks that live so long.
    lock_ms: u64,
}

impl Engine {
    /// Ends a step: what was logged goes to the disk, now or in the tick that is due; what was said
    /// waits for it.
    pub(super) fn end_step(&mut self, writes: bool, fx: &mut Effects) {
        let persistence = &self.state.persistence;
        if persistence.aof.is_none() && persistence.grace.is_none() && self.gated.is_empty() {
            return;
        }
        self.state.note_locks(self.now.mono, fx);
        let position = self.state.log.position();
        if writes && self.is_crowd_over(position) {
            self.state.write_log(self.now.mono, fx);
        }
        let lock_ms = self.state.lock_bound_ms();
        let is_ending = fx.as_slice().iter().any(is_end);
        if !self.state.is_safe(position, lock_ms) || is_ending || !self.gated.is_empty() {
            self.hold_output(position, lock_ms, fx);
        }
        self.let_go(fx);
    }

    /// Whether what was logged goes to the disk now: nobody has added to it since the last time
    /// that this was asked, or enough clients wait. To hand it over costs as much as some commands.
    fn is_crowd_over(&mut self, position: u64) -> bool {
        let grows = core::mem::replace(&mut self.log_seen, position) != position;
        !grows || self.gated.len() >= CROWD_MIN
    }

    /// Keeps back what tells clients something; they learn it when all it shows is safe.
    fn hold_output(&mut self, position: u64, lock_ms: u64, fx: &mut Effects) {
        self.held_steps += 1;
        let step = self.held_steps;
        for effect in fx.take_if(|effect| says_something(effect) || is_end(effect)) {
            match effect {
                Effect::Flush(conn) | Effect::Close(conn) => {
                    if let Some(session) = self.state.sessions.find_mut(conn) {
                        session.hold_output(step);
                    }
                }
                _ => self.state.persistence.end_when_safe(),
            }
            self.gated.push_back(Gated { effect, step, position, lock_ms });
        }
        if self.state.persistence.is_ending {
            self.state.write_log(self.now.mono, fx);
        }
    }

    /// Lets everything go that is safe.
    fn let_go(&mut self, fx: &mut Effects) {
        while let Some(gated) = self.gated.front() {
            let may_go = if is_end(&gated.effect) {
                self.state.may_end(gated.position, self.now.mono, fx)
            } else {
                self.state.is_safe(gated.position, gated.lock_ms)
            };
            if !may_go {
                return;
            }
            let Some(Gated { effect, step, .. }) = self.gated.pop_front() else { return };
            if let Effect::Flush(conn) | Effect::Close(conn) = effect
                && let Some(session) = self.state.sessions.find_mut(conn)
            {
                session.free_output(step);
            }
            fx.push(effect);
        }
    }
}

impl State {
    /// Whether everybody may be told of what the log holds up to this position, and of locks that
    /// live so long.
    fn is_safe(&self, position: u64, lock_ms: u64) -> bool {
        let persistence = &self.persistence;
        let knows_locks = persistence.grace.as_ref().is_none_or(|grace| grace.has_kept(lock_ms));
        knows_locks && persistence.aof.as_ref().is_none_or(|aof| position <= aof.safe())
    }
}

fn says_something(effect: &Effect) -> bool {
    matches!(effect, Effect::Flush(_) | Effect::Close(_))
}

fn is_end(effect: &Effect) -> bool {
    matches!(effect, Effect::Shutdown { exit_code: 0 })
}
