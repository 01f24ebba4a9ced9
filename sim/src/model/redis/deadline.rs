//! When a key may expire: exact reasoning about unknown instants and an imperfect clock.
//!
//! # What is unknown
//! An operation takes effect at an instant T that nobody recorded. T lies in the operation's
//! window `[call, return]` and instants do not decrease along a linearization. A command that
//! gives a key `ttl` at instant T creates a deadline
//!
//! ```text
//! D = T + ttl + d,      -slack <= d <= resolution + slack
//! ```
//!
//! `slack` is the clock error: by how much the server may misjudge a span of time. `resolution`
//! is one tick of the clock that key time is counted in (a millisecond for Redis, which rounds
//! both ends down and lets a key live through its last tick). An operation at T finds the key if
//! `T <= D` and misses it if `T >= D`; a key that was missed stays gone. `PTTL` answering `p`
//! says `p - slack <= D - T <= p + resolution + slack`.
//!
//! # Why a few numbers are enough
//! All of these are bounds on a difference of two unknowns, so the feasible (T, D) form a *zone*,
//! as in timed automata, and forgetting an unknown that no later constraint mentions leaves a
//! zone again, without loss. The next instant T' only has to be at or after T. Of the zone only
//! this can therefore matter later: the least T (kept in the state as `low`), the least and the
//! greatest D, and the greatest D - T (`lead`). That is what [`Deadline`] keeps, in tightest form,
//! so for a single key the judgement is exact for a given slack, up to this: bounds are closed
//! (a read exactly at the deadline may go either way).
//!
//! # What is approximated
//! For keys that are judged together, bounds between two deadlines (through an instant that is
//! forgotten) are dropped. Errors of different spans are taken as independent. Both only widen
//! the zone: a history that a server with that clock error can produce is never called illegal.

use crate::model::NEVER_US;

/// The instants at which the operation at hand may take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) earliest_us: i64,
    pub(super) latest_us: i64,
}

/// What the clock may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The error of a measured span.
    pub slack_us: i64,
    /// The tick of key time.
    pub resolution_us: i64,
}

/// What is known of the instant at which a key dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deadline {
    earliest_us: i64,
    latest_us: i64,
    /// The greatest distance from the last instant to the deadline.
    lead_us: i64,
}

impl Deadline {
    /// The deadline of a key that gets `ttl_us` at the moment.
    pub(super) fn new(moment: Moment, ttl_us: i64, clock: Clock) -> Self {
        let longest_us = ttl_us + clock.resolution_us + clock.slack_us;
        Self {
            earliest_us: moment.earliest_us + ttl_us - clock.slack_us,
            latest_us: (moment.latest_us + longest_us).min(NEVER_US),
            lead_us: longest_us,
        }
    }

    /// The key is alive and has between `least_us` and `most_us` to live.
    pub(super) fn remaining(
        self,
        moment: Moment,
        least_us: i64,
        most_us: i64,
    ) -> Option<(Self, Moment)> {
        let least_us = least_us.max(0);
        let lead_us = self.lead_us.min(most_us);
        let earliest_us = self.earliest_us.max(moment.earliest_us + least_us);
        let latest_us = self.latest_us.min(moment.latest_us + lead_us);
        let narrowed = Moment {
            earliest_us: moment.earliest_us.max(earliest_us - lead_us),
            latest_us: moment.latest_us.min(latest_us - least_us),
        };
        let possible = least_us <= lead_us
            && earliest_us <= latest_us
            && narrowed.earliest_us <= narrowed.latest_us;
        possible.then_some((Self { earliest_us, latest_us, lead_us }, narrowed))
    }

    /// The key is dead.
    pub(super) fn dead(self, moment: Moment) -> Option<Moment> {
        let earliest_us = moment.earliest_us.max(self.earliest_us);
        (earliest_us <= moment.latest_us).then_some(Moment { earliest_us, ..moment })
    }

    /// In tightest form after an operation at the moment, so that equal zones are equal values.
    pub(super) fn settle(mut self, moment: Moment) -> Self {
        self.lead_us = self.lead_us.min(self.latest_us - moment.earliest_us);
        self
    }

    /// In words.
    pub(super) fn describe(self) -> String {
        let Self { earliest_us, latest_us, .. } = self;
        if latest_us >= NEVER_US {
            format!("expires at or after {earliest_us} us")
        } else {
            format!("expires in {earliest_us}..{latest_us} us")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: Clock = Clock { slack_us: 0, resolution_us: 0 };

    impl Deadline {
        fn alive(self, moment: Moment) -> Option<(Self, Moment)> {
            self.remaining(moment, 0, NEVER_US)
        }
    }

    fn at(earliest_us: i64, latest_us: i64) -> Moment {
        Moment { earliest_us, latest_us }
    }

    #[test]
    fn a_read_after_the_last_possible_deadline_misses() {
        let deadline = Deadline::new(at(100, 200), 1_000, EXACT);
        assert!(deadline.alive(at(1_201, 1_300)).is_none());
        assert!(deadline.alive(at(1_200, 1_300)).is_some());
        assert!(deadline.dead(at(0, 1_099)).is_none());
        assert!(deadline.dead(at(0, 1_100)).is_some());
    }

    #[test]
    fn a_remaining_time_narrows_the_deadline() {
        let deadline = Deadline::new(at(0, 500), 1_000, EXACT);
        // 600 to live at an instant in 500..=510 means a deadline in 1100..=1110.
        let (narrow, _) = deadline.remaining(at(500, 510), 600, 600).unwrap();
        assert!(narrow.dead(at(0, 1_099)).is_none());
        assert!(narrow.alive(at(1_111, 2_000)).is_none());
        assert!(deadline.remaining(at(500, 510), 1_001, 1_001).is_none(), "longer than the ttl");
    }

    #[test]
    fn an_alive_read_bounds_the_instant_from_above() {
        let deadline = Deadline::new(at(0, 0), 100, EXACT);
        let (_, moment) = deadline.alive(at(50, 1_000)).unwrap();
        assert_eq!(moment, at(50, 100));
    }

    #[test]
    fn slack_moves_both_ends() {
        let clock = Clock { slack_us: 30, resolution_us: 10 };
        let deadline = Deadline::new(at(0, 0), 100, clock);
        assert!(deadline.dead(at(0, 69)).is_none() && deadline.dead(at(0, 70)).is_some());
        assert!(deadline.alive(at(141, 200)).is_none() && deadline.alive(at(140, 200)).is_some());
    }
}
