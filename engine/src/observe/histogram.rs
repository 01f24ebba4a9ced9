//! Durations of one command, counted in buckets that are wider where durations are longer.
//!
//! Invariant: a bucket is no wider than 1/128 of the durations in it, so percentiles have two
//! significant digits; the number of buckets is fixed.

/// Shorter durations have buckets of their own, in nanoseconds.
const EXACT: u64 = 256;
/// Buckets of each doubling above that.
const BUCKETS_PER_DOUBLING: u64 = 128;
/// The longest duration that is told apart: a second.
const LONGEST_NS: u64 = 1_000_000_000;
const BUCKETS: usize = index_of(LONGEST_NS) + 1;

/// The durations of one command.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), total: 0 }
    }
}

const fn index_of(nanos: u64) -> usize {
    if nanos < EXACT {
        return nanos as usize;
    }
    let doubling = nanos.ilog2() as u64 - EXACT.ilog2() as u64;
    let place = (nanos >> (doubling + 1)) - BUCKETS_PER_DOUBLING;
    (EXACT + doubling * BUCKETS_PER_DOUBLING + place) as usize
}

/// The longest duration in a bucket, in nanoseconds.
const fn highest_of(index: usize) -> u64 {
    let index = index as u64;
    if index < EXACT {
        return index;
    }
    let doubling = (index - EXACT) / BUCKETS_PER_DOUBLING;
    let place = (index - EXACT) % BUCKETS_PER_DOUBLING + BUCKETS_PER_DOUBLING;
    ((place + 1) << (doubling + 1)) - 1
}

impl Histogram {
    /// Heap bytes of one.
    pub(crate) const BYTES: usize = size_of::<[u64; BUCKETS]>();

    /// Counts a duration. As in Redis none is shorter than a nanosecond or longer than a second.
    #[inline]
    pub(crate) fn add(&mut self, nanos: u64) {
        self.buckets[index_of(nanos.clamp(1, LONGEST_NS))] += 1;
        self.total += 1;
    }

    /// How many durations there are.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The duration that `percentile` percent of all do not exceed, in nanoseconds.
    pub(crate) fn at_percentile(&self, percentile: f64) -> u64 {
        let wanted = (percentile.min(100.0) / 100.0 * self.total as f64 + 0.5) as u64;
        let wanted = wanted.max(1);
        let mut seen = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest_of(index);
            }
        }
        0
    }

    /// How many durations are no longer than certain ones, which double from about a microsecond
    /// on: (microseconds, count) where the count is higher than that before it.
    pub(crate) fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        let (mut seen, mut before, mut next) = (0, 0, 0);
        let mut level_ns = 1024;
        while before < self.total {
            let end = index_of(level_ns).min(BUCKETS - 1);
            seen += self.buckets[next..=end].iter().sum::<u64>();
            next = end + 1;
            if seen > before {
                found.push((highest_of(index_of(level_ns)) / 1000, seen));
                before = seen;
            }
            level_ns *= 2;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_narrow_and_they_follow_each_other() {
        for index in 1..BUCKETS {
            let (before, highest) = (highest_of(index - 1), highest_of(index));
            assert!(before < highest);
            assert_eq!((index_of(before + 1), index_of(highest)), (index, index));
            assert!((highest - before).saturating_sub(1) * 128 <= highest, "{index} is wide");
        }
    }

    #[test]
    fn percentiles_of_a_ramp() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|micros| histogram.add(micros * 1000));
        for (percentile, micros) in [(0.0, 1.0), (50.0, 500.0), (99.9, 999.0), (100.0, 1000.0)] {
            let found = histogram.at_percentile(percentile) as f64 / 1000.0;
            assert!((found - micros).abs() / micros < 0.01, "{percentile}: {found}");
        }
        histogram.add(0);
        histogram.add(u64::MAX);
        assert_eq!((histogram.at_percentile(0.0), histogram.total()), (1, 1002));
        assert!(histogram.at_percentile(100.0) >= LONGEST_NS);
    }

    #[test]
    fn cumulative_counts_double_their_durations_as_in_redis() {
        let mut histogram = Histogram::default();
        for micros in [1, 2, 30, 30, 600, 1_000_000] {
            histogram.add(micros * 1000);
        }
        let expected = [(1, 1), (2, 2), (33, 4), (1056, 5), (1_082_130, 6)];
        assert_eq!(histogram.cumulative(), expected);
        assert_eq!(Histogram::default().cumulative(), []);
    }
}
