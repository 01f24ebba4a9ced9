//! A stopwatch that the driver lends to the engine for a step, to see how long commands take.
//!
//! Invariant: every reading is an input. The engine keeps what it has read until the driver takes
//! it, so that a recording can hand the same readings in again; without a stopwatch nothing is
//! read and no command takes any time.

use std::collections::VecDeque;

use crate::time::Instant;

/// Readings of the monotonic clock, in the course of a step.
#[derive(Default)]
pub struct Stopwatch {
    source: Source,
    readings: Vec<Instant>,
}

/// Where readings come from.
#[derive(Default)]
enum Source {
    /// Nowhere.
    #[default]
    None,
    /// A clock.
    Clock(Box<dyn FnMut() -> Instant>),
    /// A recording: these, in their order.
    Recorded(VecDeque<Instant>),
}

impl Stopwatch {
    /// A stopwatch that reads `clock`, the one that the steps' monotonic time comes from.
    pub fn new(clock: Box<dyn FnMut() -> Instant>) -> Self {
        Self { source: Source::Clock(clock), readings: Vec::new() }
    }

    /// A stopwatch that reads what was recorded; see [`Self::expect`].
    pub fn recorded() -> Self {
        Self { source: Source::Recorded(VecDeque::new()), readings: Vec::new() }
    }

    /// What a recorded stopwatch reads in the next step.
    pub fn expect(&mut self, readings: impl IntoIterator<Item = Instant>) {
        if let Source::Recorded(expected) = &mut self.source {
            expected.clear();
            expected.extend(readings);
        }
    }

    /// Reads it. A recorded one that has been read too often stands still.
    pub(crate) fn read(&mut self) -> Option<Instant> {
        let reading = match &mut self.source {
            Source::None => return None,
            Source::Clock(clock) => clock(),
            Source::Recorded(expected) => {
                expected.pop_front().or_else(|| self.readings.last().copied())?
            }
        };
        self.readings.push(reading);
        Some(reading)
    }

    /// What was read since this was last forgotten.
    #[inline]
    pub fn readings(&self) -> &[Instant] {
        &self.readings
    }

    /// Forgets what was read.
    #[inline]
    pub fn forget(&mut self) {
        self.readings.clear();
    }
}

impl core::fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stopwatch").field("readings", &self.readings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_kept_until_they_are_forgotten() {
        let mut time = 10;
        let mut watch = Stopwatch::new(Box::new(move || {
            time += 5;
            Instant(time)
        }));
        assert!(watch.readings().is_empty());
        assert_eq!((watch.read(), watch.read()), (Some(Instant(15)), Some(Instant(20))));
        let readings = watch.readings().to_vec();
        watch.forget();
        assert!(watch.readings().is_empty());
        let mut again = Stopwatch::recorded();
        again.expect(readings);
        let read = [again.read(), again.read(), again.read()];
        assert_eq!(read, [Some(Instant(15)), Some(Instant(20)), Some(Instant(20))]);
        assert_eq!(Stopwatch::default().read(), None);
    }
}
