//! How much of a script one step runs: others are answered between its steps.
//!
//! A step is measured in units of about an instruction of Lua. What a unit takes differs a
//! thousandfold (a long string can be copied by one instruction), so the share follows the time
//! that steps were seen to take.
//!
//! Invariant: it follows only what the driver told of the time; without that every run of a script
//! is divided in the same way.

use crate::time::Micros;

/// The share of the first step.
const UNITS: u32 = 100_000;
const UNITS_MIN: u32 = 10;
const UNITS_MAX: u32 = 1_000_000;
/// Instructions between two pauses, when the share allows.
pub(super) const PAUSE_INTERVAL: u32 = 10_000;
/// A step that takes longer is too long, and one that takes less could be longer.
const ELAPSED_MAX: Micros = Micros::from_millis(6);
const ELAPSED_MIN: Micros = Micros::from_millis(2);
/// What a step should take.
const ELAPSED: Micros = Micros::from_millis(3);

/// The share of the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace(u32);

impl Default for Pace {
    fn default() -> Self {
        Self(UNITS)
    }
}

impl Pace {
    /// Units of one step.
    pub(crate) fn units(self) -> u32 {
        self.0
    }

    /// Instructions between two pauses.
    pub(crate) fn interval(self) -> u32 {
        self.0.min(PAUSE_INTERVAL)
    }

    /// A step that ran its whole share has taken so long.
    pub(crate) fn note(&mut self, elapsed: Micros) {
        let units = if elapsed > ELAPSED_MAX {
            (u64::from(self.0) * ELAPSED.0 / elapsed.0) as u32
        } else if elapsed < ELAPSED_MIN {
            self.0.saturating_mul(2)
        } else {
            self.0
        };
        self.0 = units.clamp(UNITS_MIN, UNITS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_follows_the_time_within_limits() {
        let mut pace = Pace::default();
        pace.note(Micros::from_millis(300));
        assert_eq!((pace.units(), pace.interval()), (1000, 1000));
        pace.note(Micros::from_secs(100));
        assert_eq!(pace.units(), UNITS_MIN);
        pace.note(Micros::from_millis(4));
        assert_eq!(pace.units(), UNITS_MIN);
        for _ in 0..40 {
            pace.note(Micros(0));
        }
        assert_eq!((pace.units(), pace.interval()), (UNITS_MAX, PAUSE_INTERVAL));
    }
}
