//! Events that took long: for each kind of event the longest of each second, for the last 160
//! seconds that had one.
//!
//! Invariant: an event that is listed has at least one sample; there are no more kinds of events
//! than the program names.

use std::collections::{BTreeMap, VecDeque};

/// Samples that an event keeps.
pub(crate) const SAMPLES_MAX: usize = 160;

/// All events, by name.
#[derive(Debug, Default)]
pub(crate) struct LatencyEvents(BTreeMap<&'static str, Series>);

/// One kind of event.
#[derive(Debug, Default)]
pub(crate) struct Series {
    samples: VecDeque<Sample>,
    /// The longest so far, in milliseconds.
    pub(crate) longest_ms: u64,
}

/// The longest event of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The second, of the wall clock.
    pub(crate) unix_secs: u64,
    /// How long it took, in milliseconds.
    pub(crate) millis: u64,
}

impl LatencyEvents {
    /// Notes that an event took so long.
    pub(crate) fn add(&mut self, event: &'static str, unix_secs: u64, millis: u64) {
        let series = self.0.entry(event).or_default();
        series.longest_ms = series.longest_ms.max(millis);
        match series.samples.back_mut() {
            Some(last) if last.unix_secs == unix_secs => last.millis = last.millis.max(millis),
            _ => {
                if series.samples.len() == SAMPLES_MAX {
                    series.samples.pop_front();
                }
                series.samples.push_back(Sample { unix_secs, millis });
            }
        }
    }

    /// The events in the order of their names.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, &Series)> {
        self.0.iter().map(|(name, series)| (*name, series))
    }

    /// An event by its name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(&'static str, &Series)> {
        self.iter().find(|(event, _)| event.as_bytes() == name)
    }

    /// Forgets an event; whether it was there. As in Redis the case of its name does not matter
    /// here.
    pub(crate) fn forget(&mut self, name: &[u8]) -> bool {
        let before = self.0.len();
        self.0.retain(|event, _| !event.as_bytes().eq_ignore_ascii_case(name));
        self.0.len() < before
    }

    /// Forgets all events; how many there were.
    pub(crate) fn forget_all(&mut self) -> usize {
        core::mem::take(&mut self.0).len()
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let bytes = |series: &Series| series.samples.capacity() * size_of::<Sample>();
        self.0.values().map(|series| size_of::<Series>() + bytes(series)).sum()
    }
}

/// What the samples of an event have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: usize,
    pub(crate) mean_ms: u64,
    /// The mean distance from the mean.
    pub(crate) deviation_ms: u64,
    /// Seconds from one sample to the next, on average.
    pub(crate) period_secs: f64,
}

impl Series {
    /// The samples, the oldest first.
    pub(crate) fn samples(&self) -> impl ExactSizeIterator<Item = Sample> {
        self.samples.iter().copied()
    }

    /// The newest sample.
    pub(crate) fn last(&self) -> Sample {
        *self.samples.back().expect("an event has a sample")
    }

    /// What its samples have in common now.
    pub(crate) fn summary(&self, unix_secs: u64) -> Summary {
        let count = self.samples.len();
        let sum: u64 = self.samples().map(|sample| sample.millis).sum();
        let mean_ms = sum / count as u64;
        let distances: u64 = self.samples().map(|sample| sample.millis.abs_diff(mean_ms)).sum();
        let oldest = self.samples().map(|sample| sample.unix_secs).min().unwrap_or(unix_secs);
        let span_secs = unix_secs.saturating_sub(oldest).max(1);
        Summary {
            count,
            mean_ms,
            deviation_ms: distances / count as u64,
            period_secs: span_secs as f64 / count as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_sample_and_old_ones_go() {
        let mut events = LatencyEvents::default();
        for (secs, millis) in [(10, 5), (10, 9), (10, 7), (12, 3)] {
            events.add("command", secs, millis);
        }
        let (_, series) = events.find(b"command").unwrap();
        let samples: Vec<_> = series.samples().map(|s| (s.unix_secs, s.millis)).collect();
        assert_eq!((samples, series.longest_ms), (vec![(10, 9), (12, 3)], 9));
        let summary = series.summary(20);
        assert_eq!((summary.count, summary.mean_ms, summary.deviation_ms), (2, 6, 3));
        assert!((summary.period_secs - 5.0).abs() < 1e-9);
        (100..400).for_each(|secs| events.add("command", secs, 1));
        let (_, series) = events.find(b"command").unwrap();
        assert_eq!((series.samples().len(), series.last().unix_secs), (SAMPLES_MAX, 399));
        assert!(events.find(b"Command").is_none() && events.forget(b"COMMAND"));
        assert!(!events.forget(b"command") && events.iter().len() == 0);
    }
}
