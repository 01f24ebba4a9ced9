//! Whose time a step's time was: commands that were measured have their own, quick ones share what
//! is left.
//!
//! Invariant: no more time is given to the commands of a step than the driver says that the step
//! took, but for rounding.

use super::Observer;
use crate::state::Stats;
use crate::time::{Instant, Micros};

/// The account of one step.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// Rows of commands that ran and have no duration yet.
    pub(crate) untimed: Vec<usize>,
    /// How much of the step has been given to commands.
    pub(crate) given: Micros,
    /// When the stopwatch was last read; else the beginning of the step.
    pub(crate) mark: Instant,
    /// The beginning of the step.
    began: Instant,
}

impl Observer {
    /// A step begins. Commands that nobody gave a duration have none.
    #[inline]
    pub(crate) fn begin_step(&mut self, now: Instant, stats: &mut Stats, tracks: bool) {
        if !self.timing.untimed.is_empty() {
            self.share(Micros(0), 0, stats, tracks);
        }
        self.timing.given = Micros(0);
        self.timing.mark = now;
        self.timing.began = now;
    }

    /// The step took so long: quick commands get what the others have left.
    pub(crate) fn end_step(&mut self, elapsed: Micros, stats: &mut Stats, tracks: bool) {
        let rest = Micros(elapsed.0.saturating_sub(self.timing.given.0));
        if !self.timing.untimed.is_empty() {
            self.share(rest, 0, stats, tracks);
        }
    }

    /// Gives quick commands of the present step their share of the time up to the last reading, for
    /// somebody who is about to look at durations.
    pub(crate) fn settle(&mut self, stats: &mut Stats, tracks: bool) {
        let timing = &mut self.timing;
        let passed = timing.mark.since(timing.began);
        let rest = Micros(passed.0.saturating_sub(timing.given.0));
        if !timing.untimed.is_empty() {
            timing.given = Micros(timing.given.0 + rest.0);
            self.share(rest, 0, stats, tracks);
        }
    }

    /// Shares a time among the commands from place `first` on that have none yet.
    pub(crate) fn share(&mut self, time: Micros, first: usize, stats: &mut Stats, tracks: bool) {
        let Some(rows) = self.timing.untimed.get(first..) else { return };
        let count = rows.len() as u64;
        if count == 0 {
            return;
        }
        // Whole microseconds add up: the first ones get those that are left over.
        let (each, left_over) = (time.0 / count, time.0 % count);
        let nanos = time.0.saturating_mul(1000) / count;
        for (place, &row) in rows.iter().enumerate() {
            stats.by_command[row].micros += each + u64::from((place as u64) < left_over);
            if tracks {
                self.durations.add(row, nanos);
            }
        }
        self.timing.untimed.truncate(first);
    }
}
