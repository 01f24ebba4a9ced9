//! Rates of the last second or two, for INFO: samples of counters, taken as steps happen.
//!
//! Invariant: a rate is what was counted since the newest sample that is at least a second old,
//! divided by the time since then, so that an idle server's rates fall without any timer.

use std::collections::VecDeque;

use crate::time::{Instant, Micros};

/// Samples are at least this far apart.
const INTERVAL: Micros = Micros::from_millis(100);
/// A rate looks back at least this far, if the server is that old.
const WINDOW: Micros = Micros::from_secs(1);
/// More than a window's worth of samples.
const SAMPLES_MAX: usize = 16;

/// What is counted: commands, bytes in, bytes out.
pub(crate) type Counters = [u64; 3];

/// The samples.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    samples: VecDeque<(Instant, Counters)>,
    next: Instant,
}

impl Rates {
    /// Counting starts at zero.
    pub(crate) fn new(now: Instant) -> Self {
        let mut samples = VecDeque::with_capacity(SAMPLES_MAX);
        samples.push_back((now, Counters::default()));
        Self { samples, next: now + INTERVAL }
    }

    /// Whether it is time for a sample.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Takes a sample.
    pub(crate) fn sample(&mut self, now: Instant, counters: Counters) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now, counters));
        self.next = now + INTERVAL;
    }

    /// How much of each is counted per second at present.
    pub(crate) fn per_second(&self, now: Instant, counters: Counters) -> [f64; 3] {
        let is_old = |&&(at, _): &&(Instant, Counters)| now.since(at) >= WINDOW;
        let base = self.samples.iter().rev().find(is_old).or_else(|| self.samples.front());
        let Some(&(at, before)) = base else { return [0.0; 3] };
        let seconds = now.since(at).0 as f64 / 1e6;
        if seconds == 0.0 {
            return [0.0; 3];
        }
        core::array::from_fn(|i| counters[i].saturating_sub(before[i]) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_second_and_falls_when_nothing_happens() {
        let at = |millis: u64| Instant(millis * 1000);
        let mut rates = Rates::new(at(0));
        for tenth in 1..=30 {
            assert!(rates.is_due(at(tenth * 100)));
            rates.sample(at(tenth * 100), [tenth * 10, tenth, 0]);
            assert!(!rates.is_due(at(tenth * 100 + 99)));
        }
        assert_eq!(rates.per_second(at(3000), [300, 30, 0]), [100.0, 10.0, 0.0]);
        assert_eq!(rates.per_second(at(13_000), [300, 30, 0]), [0.0; 3]);
        assert_eq!(Rates::new(at(5)).per_second(at(5), [9, 9, 9]), [0.0; 3]);
    }
}
