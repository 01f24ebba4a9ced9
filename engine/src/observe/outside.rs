//! What was observed, for those who look from outside the engine: figures for scrapers.
//!
//! Invariant: looking changes nothing.

use super::Observer;
use super::top_keys::TopKeys;

/// Commands that were slow, as the log of them shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowCommands {
    /// How many the log holds.
    pub len: usize,
    /// The newest one's id and how long it took, in microseconds.
    pub newest: Option<(u64, u64)>,
}

/// A kind of event that took long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongEvent {
    /// What LATENCY calls it.
    pub name: &'static str,
    /// When it last took long, in seconds of the wall clock.
    pub last_unix_secs: u64,
    /// How long it took then, in milliseconds.
    pub last_ms: u64,
    /// The longest that it ever took, in milliseconds.
    pub longest_ms: u64,
}

/// What keys are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWeight {
    /// Commands of the sample that named the key.
    Commands,
    /// Bytes that those commands moved.
    Bytes,
    /// Time that those commands took, in microseconds.
    Micros,
    /// Bytes that the key and its value take.
    Size,
}

impl Observer {
    /// The log of slow commands in short.
    pub fn slow_commands(&self) -> SlowCommands {
        let newest = self.slow.entries().next().map(|entry| (entry.id, entry.amount));
        SlowCommands { len: self.slow.len(), newest }
    }

    /// Every kind of event that took long, by name.
    pub fn long_events(&self) -> impl Iterator<Item = LongEvent> + '_ {
        self.latency.iter().map(|(name, series)| LongEvent {
            name,
            last_unix_secs: series.last().unix_secs,
            last_ms: series.last().millis,
            longest_ms: series.longest_ms,
        })
    }

    /// How many calls of the command with this row were timed, and the durations that so many
    /// percent of them did not exceed, in microseconds; none if none was timed.
    pub fn command_durations(&self, row: usize, percents: &[f64]) -> Option<(u64, Vec<f64>)> {
        let histogram = self.durations.of(row)?;
        let micros = |&percent: &f64| histogram.at_percentile(percent) as f64 / 1000.0;
        Some((histogram.total(), percents.iter().map(micros).collect()))
    }

    /// The weights of the heaviest keys that are known, at most `count`, the heaviest first; each
    /// with its database and the beginning of its name.
    pub fn heaviest_keys(&self, by: KeyWeight, count: usize) -> Vec<(usize, &[u8], u64)> {
        let hot = &self.hot_keys;
        let keys: &TopKeys = match by {
            KeyWeight::Commands => &hot.by_count,
            KeyWeight::Bytes => &hot.by_bytes,
            KeyWeight::Micros => &hot.by_micros,
            KeyWeight::Size => &hot.by_size,
        };
        keys.heaviest(count).into_iter().map(|key| (key.db, key.key, key.weight)).collect()
    }
}
