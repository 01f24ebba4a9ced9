//! Points in time and spans of time, all handed in from outside; nothing here reads a clock.
//!
//! Two clocks enter with every step: `mono` never goes back and drives timeouts; `wall` is the
//! time of day and may step. Key time, which decides when keys expire, is derived from both by
//! [`KeyClock`].

use core::ops::Add;

/// A span of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// A span of whole milliseconds; saturates.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// A span of whole seconds; saturates.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// The span in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }
}

/// A reading of a host's monotonic clock: microseconds since an arbitrary moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// How much later `self` is than `earlier`; zero if it is not later.
    pub const fn since(self, earlier: Self) -> Micros {
        Micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Micros> for Instant {
    type Output = Self;

    fn add(self, span: Micros) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// A reading of a host's wall clock: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMicros(pub u64);

impl UnixMicros {
    /// The same moment in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }
}

/// Key time in milliseconds since the Unix epoch: what TTLs are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// Both clocks of the host, sampled once per step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock; must not go back from one step to the next.
    pub mono: Instant,
    /// The wall clock; may go anywhere.
    pub wall: UnixMicros,
}

/// Which clock decides when keys expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TtlClock {
    /// Wall time at start plus elapsed monotonic time, slewed towards the wall clock.
    #[default]
    Monotonic,
    /// The wall clock as it is, as in Redis.
    Wall,
}

impl TtlClock {
    /// The word for it in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Monotonic => "monotonic",
            Self::Wall => "wall",
        }
    }

    /// What a word means; anything but `wall` is the default.
    pub fn of(word: &str) -> Self {
        if word == "wall" { Self::Wall } else { Self::Monotonic }
    }
}

/// Derives key time from the two clocks of the host.
///
/// In `Monotonic` mode a step of the wall clock neither kills keys nor keeps them: key time follows
/// the monotonic clock and approaches the wall clock by at most `slew_ppm` microseconds per
/// elapsed second. Invariant: in that mode key time never goes back.
#[derive(Clone, Debug)]
pub struct KeyClock {
    mode: TtlClock,
    slew_ppm: u64,
    last_mono: Instant,
    key_micros: u64,
    /// The part of the slew that is still below one microsecond, in millionths.
    slew_remainder: u64,
    /// Nothing expires: it stands at the epoch.
    stands: bool,
}

impl KeyClock {
    /// A clock that agrees with `now.wall` at this moment. `slew_ppm` above one million is cut.
    pub fn new(mode: TtlClock, slew_ppm: u64, now: Now) -> Self {
        Self {
            mode,
            slew_ppm: slew_ppm.min(1_000_000),
            last_mono: now.mono,
            key_micros: now.wall.0,
            slew_remainder: 0,
            stands: false,
        }
    }

    /// Lets key time stand at the epoch, where nothing has expired, or go on as if it had never
    /// stood.
    pub fn hold(&mut self, stands: bool) {
        self.stands = stands;
    }

    /// Whether key time stands.
    pub fn stands(&self) -> bool {
        self.stands
    }

    /// Takes the next sample of both clocks.
    ///
    /// # Panics
    /// If the monotonic clock went back: that is a bug of the driver.
    pub fn advance(&mut self, now: Now) {
        assert!(now.mono >= self.last_mono, "the monotonic clock went back");
        let elapsed = now.mono.since(self.last_mono).0;
        self.last_mono = now.mono;
        if self.mode == TtlClock::Wall {
            self.key_micros = now.wall.0;
            return;
        }
        self.key_micros = self.key_micros.saturating_add(elapsed);
        let error = now.wall.0.abs_diff(self.key_micros);
        if error == 0 || elapsed == 0 {
            return;
        }
        let budget = elapsed.saturating_mul(self.slew_ppm).saturating_add(self.slew_remainder);
        self.slew_remainder = budget % 1_000_000;
        let slew = error.min(budget / 1_000_000);
        if now.wall.0 > self.key_micros {
            self.key_micros += slew;
        } else {
            self.key_micros -= slew;
        }
    }

    /// Changes the mode; a change to `Monotonic` starts from the present key time.
    pub fn set_mode(&mut self, mode: TtlClock) {
        self.mode = mode;
    }

    /// Changes how fast key time follows the wall clock. Above one million it is cut.
    pub fn set_slew_ppm(&mut self, slew_ppm: u64) {
        self.slew_ppm = slew_ppm.min(1_000_000);
    }

    /// Key time now, in milliseconds.
    pub fn now(&self) -> UnixMillis {
        if self.stands { UnixMillis(0) } else { UnixMillis(self.key_micros / 1000) }
    }

    /// Key time now, in microseconds since the Unix epoch.
    pub fn now_micros(&self) -> u64 {
        self.key_micros
    }

    /// When, on the monotonic clock, key time will reach `deadline` if nothing steps.
    pub fn when(&self, deadline: UnixMillis) -> Instant {
        let wait = deadline.0.saturating_mul(1000).saturating_sub(self.key_micros);
        self.last_mono + Micros(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64, wall_ms: u64) -> Now {
        Now { mono: Instant(mono_ms * 1000), wall: UnixMicros(wall_ms * 1000) }
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_key_time_only_at_the_slew_rate() {
        let mut clock = KeyClock::new(TtlClock::Monotonic, 500, at(0, 1_000_000));
        clock.advance(at(1000, 9_000_000));
        assert_eq!(clock.now_micros(), 1_001_000_000 + 500);
        clock.advance(at(2000, 1));
        assert_eq!(clock.now_micros(), 1_002_000_000);
    }

    #[test]
    fn key_time_arrives_at_the_wall_clock_and_stays() {
        let mut clock = KeyClock::new(TtlClock::Monotonic, 500_000, at(0, 1_000_000));
        for second in 1..10 {
            clock.advance(at(second * 1000, 1_002_000 + second * 1000));
        }
        assert_eq!(clock.now(), UnixMillis(1_002_000 + 9000));
    }

    #[test]
    fn with_the_wall_clock_key_time_is_the_wall_clock() {
        let mut clock = KeyClock::new(TtlClock::Wall, 500, at(0, 1_000_000));
        clock.advance(at(1, 5));
        assert_eq!(clock.now(), UnixMillis(5));
    }

    #[test]
    fn slewing_back_never_makes_key_time_go_back() {
        let mut clock = KeyClock::new(TtlClock::Monotonic, 2_000_000, at(0, 1_000_000));
        let mut last = clock.now_micros();
        for millis in 1..1000 {
            clock.advance(at(millis, 0));
            assert!(clock.now_micros() >= last);
            last = clock.now_micros();
        }
    }
}
