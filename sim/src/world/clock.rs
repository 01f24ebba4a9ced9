//! A host's two clocks as functions of true time, piecewise linear.
//!
//! `mono` never goes back (but starts again at a reboot); `wall` is set and stepped at will. Rates
//! apply to both, as when the kernel's time keeping is disciplined. Every change starts a new
//! piece at the present moment, so a reading never depends on how often the clock was read.
//!
//! Invariant: `mono(at)` does not decrease with `at` between reboots, and
//! `mono(when_mono(m)) >= m`, with the smallest such moment.

use orrery_engine::{Instant, Now, UnixMicros};

/// Rates beyond this are no clock.
const RATE_PPM_MAX: i64 = 900_000;
/// Deadlines further away than this are after the end of every run.
const WAIT_NS_MAX: u64 = 1 << 42;

/// Both clocks of one host.
#[derive(Clone, Debug)]
pub(crate) struct HostClock {
    /// Where the present piece begins, in true time.
    start_ns: u64,
    mono_ns: u64,
    wall_ns: i64,
    /// The rate at which the host was built: its quartz.
    drift_ppm: i64,
    /// What faults add to it.
    slew_ppm: i64,
    frozen: bool,
    bound: Bound,
}

/// How wrong this clock has been so far: what a judge must allow for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The greatest deviation of the rate of `mono`.
    pub(crate) rate_ppm: u64,
    /// For how long `mono` stood still in all.
    pub(crate) frozen_ns: u64,
}

impl HostClock {
    /// A clock that reads `wall_ns` and `mono_ns` at true time zero.
    pub(crate) fn new(mono_ns: u64, wall_ns: i64, drift_ppm: i64) -> Self {
        Self {
            start_ns: 0,
            mono_ns,
            wall_ns,
            drift_ppm,
            slew_ppm: 0,
            frozen: false,
            bound: Bound { rate_ppm: drift_ppm.unsigned_abs(), frozen_ns: 0 },
        }
    }

    #[inline]
    fn rate_ppm(&self) -> i64 {
        (self.drift_ppm + self.slew_ppm).clamp(-RATE_PPM_MAX, RATE_PPM_MAX)
    }

    /// How much host time passes in `true_ns` of true time.
    #[inline]
    fn elapsed(&self, true_ns: u64) -> u64 {
        if self.frozen {
            return 0;
        }
        // Fits: a run is bounded by `SECONDS_MAX`, so the product stays below 2^62.
        let gain = (true_ns as i64 * self.rate_ppm()).div_euclid(1_000_000);
        true_ns.wrapping_add_signed(gain)
    }

    /// The monotonic clock, in nanoseconds.
    #[inline]
    pub(crate) fn mono_ns(&self, at_ns: u64) -> u64 {
        self.mono_ns + self.elapsed(at_ns - self.start_ns)
    }

    /// Both clocks as the engine wants them.
    #[inline]
    pub(crate) fn now(&self, at_ns: u64) -> Now {
        let elapsed = self.elapsed(at_ns - self.start_ns);
        Now {
            mono: Instant((self.mono_ns + elapsed) / 1000),
            wall: UnixMicros((self.wall_ns + elapsed as i64).max(0) as u64 / 1000),
        }
    }

    /// The first moment of true time, from `at_ns` on, at which the monotonic clock reads
    /// `mono_ns` or more; `None` while it stands still before that.
    #[inline]
    pub(crate) fn when_mono(&self, mono_ns: u64, at_ns: u64) -> Option<u64> {
        let wait_ns = mono_ns.saturating_sub(self.mono_ns);
        if wait_ns == 0 || self.mono_ns(at_ns) >= mono_ns {
            return Some(at_ns);
        }
        if self.frozen {
            return None;
        }
        if wait_ns > WAIT_NS_MAX {
            return None;
        }
        let rate = 1_000_000_u64.saturating_add_signed(self.rate_ppm());
        let estimate = wait_ns * 1_000_000 / rate;
        // Rounding of the estimate and of the reading can be off by a nanosecond or two.
        let mut span_ns = estimate.saturating_sub(2);
        while self.elapsed(span_ns) < wait_ns {
            span_ns += 1;
        }
        Some((self.start_ns + span_ns).max(at_ns))
    }

    /// Starts a new piece.
    fn cut(&mut self, at_ns: u64) {
        let elapsed = self.elapsed(at_ns - self.start_ns);
        if self.frozen {
            self.bound.frozen_ns += at_ns - self.start_ns;
        }
        self.mono_ns += elapsed;
        self.wall_ns += elapsed as i64;
        self.start_ns = at_ns;
    }

    /// Sets the wall clock forward or back.
    pub(crate) fn step_wall(&mut self, at_ns: u64, by_ns: i64) {
        self.cut(at_ns);
        self.wall_ns += by_ns;
    }

    /// Changes the rate of both clocks by so much.
    pub(crate) fn add_rate(&mut self, at_ns: u64, ppm: i64) {
        self.cut(at_ns);
        self.slew_ppm += ppm;
        self.bound.rate_ppm = self.bound.rate_ppm.max(self.rate_ppm().unsigned_abs());
    }

    /// The virtual machine is suspended: neither clock goes on.
    pub(crate) fn freeze(&mut self, at_ns: u64) {
        self.cut(at_ns);
        self.frozen = true;
    }

    /// The virtual machine goes on; with `catch_up` somebody sets its wall clock right.
    pub(crate) fn thaw(&mut self, at_ns: u64, catch_up: bool) {
        let stood_ns = at_ns - self.start_ns;
        self.cut(at_ns);
        self.frozen = false;
        if catch_up {
            self.wall_ns += stood_ns as i64;
        }
    }

    /// The machine boots: the monotonic clock starts again.
    pub(crate) fn reboot(&mut self, at_ns: u64) {
        self.cut(at_ns);
        self.mono_ns = 0;
    }

    /// How wrong this clock has been up to now.
    pub(crate) fn bound(&self, at_ns: u64) -> Bound {
        let mut copy = self.clone();
        copy.cut(at_ns);
        copy.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Chance, Stream};

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn drift_moves_both_clocks_and_a_step_only_the_wall_clock() {
        let mut clock = HostClock::new(5, 1000 * SECOND as i64, 100);
        assert_eq!(clock.mono_ns(10 * SECOND), 5 + 10 * SECOND + 1_000_000);
        clock.step_wall(10 * SECOND, -(30 * SECOND as i64));
        let now = clock.now(10 * SECOND);
        assert_eq!(now.mono.0, 10_001_000);
        assert_eq!(now.wall.0, 980_001_000);
    }

    #[test]
    fn a_frozen_clock_stands_still_and_may_catch_up() {
        let mut clock = HostClock::new(0, 0, 0);
        clock.freeze(SECOND);
        assert_eq!(clock.mono_ns(3 * SECOND), SECOND);
        assert_eq!(clock.when_mono(2 * SECOND, 3 * SECOND), None);
        assert_eq!(clock.when_mono(SECOND, 3 * SECOND), Some(3 * SECOND));
        clock.thaw(3 * SECOND, true);
        let now = clock.now(4 * SECOND);
        assert_eq!((now.mono.0, now.wall.0), (2_000_000, 4_000_000));
        assert_eq!(clock.bound(4 * SECOND).frozen_ns, 2 * SECOND);
    }

    #[test]
    fn when_mono_is_the_first_moment_that_reads_enough() {
        let key = Chance::new(2).key(Stream::Clock, 0);
        for index in 0..2000 {
            let mut draw = key.at(index);
            let rate = draw.below(1_000_000) as i64 - 500_000;
            let mut clock = HostClock::new(draw.below(SECOND), 0, rate);
            let cut = draw.below(SECOND);
            clock.add_rate(cut, draw.below(1000) as i64 - 500);
            let wanted = clock.mono_ns(cut) + draw.below(10 * SECOND);
            let at = clock.when_mono(wanted, cut).expect("it runs");
            assert!(clock.mono_ns(at) >= wanted);
            assert!(at == cut || clock.mono_ns(at - 1) < wanted, "{index}");
        }
    }
}
