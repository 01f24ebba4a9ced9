//! Where moments lie on a page.
//!
//! A story waits for seconds and then decides itself within a millisecond. So each stretch between
//! two moments at which something happens is as wide as its order of magnitude.
//!
//! Invariant: a later moment lies further to the right.

/// The least width of a chart in pixels.
const WIDTH_MIN: u64 = 1_100;
/// What one stretch takes at least when there are few of them, and what a doubling adds.
const STRETCH: (u64, u64) = (6, 4);

/// Where moments lie.
pub(super) struct Axis {
    /// Moments in microseconds at which something happens, and where they lie in pixels.
    knots: Vec<(u64, u64)>,
}

impl Axis {
    pub(super) fn new(mut moments: Vec<u64>) -> Self {
        moments.push(0);
        moments.sort_unstable();
        moments.dedup();
        // Long stories are drawn more narrowly.
        let (least, doubling) = if moments.len() > 400 { (2, 2) } else { STRETCH };
        let mut x = 10;
        let mut knots = vec![(0, x)];
        for pair in moments.windows(2) {
            let gap_us = pair[1] - pair[0];
            x += least + doubling * u64::from((gap_us / 64 + 1).ilog2());
            knots.push((pair[1], x));
        }
        let mut axis = Self { knots };
        axis.widen();
        axis
    }

    fn widen(&mut self) {
        let width = self.width();
        if width < WIDTH_MIN {
            for (_, x) in &mut self.knots {
                *x = 10 + (*x - 10) * (WIDTH_MIN - 20) / (width - 20).max(1);
            }
        }
    }

    /// The width of the whole, in pixels.
    pub(super) fn width(&self) -> u64 {
        self.knots.last().map_or(0, |&(_, x)| x) + 10
    }

    /// The moments at which something happens.
    pub(super) fn moments(&self) -> impl Iterator<Item = u64> {
        self.knots.iter().map(|&(at_us, _)| at_us)
    }

    /// Where a moment lies, in tenths of a pixel.
    fn tenths(&self, at_us: u64) -> u64 {
        let next = self.knots.partition_point(|&(knot_us, _)| knot_us <= at_us);
        let (from_us, from) = self.knots[next.saturating_sub(1)];
        match self.knots.get(next) {
            Some(&(to_us, to)) => {
                10 * from + 10 * (to - from) * (at_us - from_us) / (to_us - from_us)
            }
            None => 10 * from,
        }
    }

    /// Where a moment lies, in pixels.
    pub(super) fn x(&self, at_us: u64) -> f64 {
        self.tenths(at_us) as f64 / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_further_to_the_right_and_waiting_is_short() {
        let axis = Axis::new(vec![500, 1_000, 10_000_000, 10_000_500]);
        let all: Vec<f64> = axis.moments().map(|at| axis.x(at)).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
        assert!(all[3] - all[2] < 10.0 * (all[2] - all[1]), "{all:?}");
        assert!(axis.x(5_000_000) > all[2] && axis.x(5_000_000) < all[3]);
        assert_eq!(axis.x(u64::MAX), axis.x(10_000_500));
        assert!(axis.width() >= WIDTH_MIN - 20);
    }
}
