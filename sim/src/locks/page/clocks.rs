//! How far a host's clocks are off, as a story sets them.
//!
//! Invariant: the monotonic clock goes on; what is set is the time of day.

use crate::locks::story::{Story, What, Who};

/// What happens to a host's clocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Clocks {
    /// From when on, how much the time of day is set by, and at which rate they go from then on.
    changes: Vec<(u64, i64, i64)>,
}

impl Clocks {
    pub(super) fn of(story: &Story, host: Who) -> Self {
        let mut rate_ppm = 0;
        let mut changes = Vec::new();
        for step in story.steps.iter().filter(|step| step.who == host) {
            match step.what {
                What::Clock { by_ms } => changes.push((step.at_us, by_ms * 1000, rate_ppm)),
                What::Rate { by_ppm } => {
                    rate_ppm += by_ppm;
                    changes.push((step.at_us, 0, rate_ppm));
                }
                _ => {}
            }
        }
        Self { changes }
    }

    /// Whether they are right all the time.
    pub(super) fn are_right(&self) -> bool {
        self.changes.is_empty()
    }

    /// When they are set.
    pub(super) fn changes(&self) -> impl Iterator<Item = u64> {
        self.changes.iter().map(|&(at_us, ..)| at_us)
    }

    /// By how much the monotonic clock and the time of day are ahead at this moment, and just
    /// before it, in microseconds.
    pub(super) fn ahead_us(&self, at_us: u64, is_before: bool) -> (i64, i64) {
        let (mut gained_us, mut set_us, mut rate_ppm, mut since_us) = (0, 0, 0, 0);
        for &(from_us, by_us, rate_then_ppm) in &self.changes {
            if from_us > at_us || from_us == at_us && is_before {
                break;
            }
            gained_us += gain(from_us - since_us, rate_ppm);
            (since_us, rate_ppm, set_us) = (from_us, rate_then_ppm, set_us + by_us);
        }
        gained_us += gain(at_us - since_us, rate_ppm);
        (gained_us, gained_us + set_us)
    }

    /// When the monotonic clock says this, not before a moment.
    pub(super) fn when(&self, mono_us: u64, from_us: u64) -> u64 {
        let says = |at_us: u64| at_us.saturating_add_signed(self.ahead_us(at_us, false).0);
        let (mut before, mut after) = (from_us, from_us + 1);
        while says(after) < mono_us && after < 1 << 50 {
            (before, after) = (after, after + 2 * (after - from_us));
        }
        while after - before > 1 {
            let middle = before.midpoint(after);
            if says(middle) < mono_us { before = middle } else { after = middle }
        }
        after
    }
}

fn gain(span_us: u64, rate_ppm: i64) -> i64 {
    (span_us as i128 * i128::from(rate_ppm) / 1_000_000) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locks::read;

    #[test]
    fn rates_add_up_and_the_time_of_day_is_set() {
        let text = "nodes 1\nclients 1\n1000 A clock +50\n2000 A rate +1000\n4000 A rate -1000\n";
        let clocks = Clocks::of(&read(text, &[]).expect("a story"), Who::Client(0));
        assert_eq!(clocks.ahead_us(1_000_000, true), (0, 0));
        assert_eq!(clocks.ahead_us(1_000_000, false), (0, 50_000));
        assert_eq!(clocks.ahead_us(3_000_000, false), (1_000, 51_000));
        assert_eq!(clocks.ahead_us(9_000_000, false), (2_000, 52_000));
        assert_eq!(clocks.when(3_001_000, 0), 3_000_000);
        assert_eq!(clocks.when(500_000, 0), 500_000);
    }
}
