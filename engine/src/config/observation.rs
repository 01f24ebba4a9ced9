//! The settings of what is measured and logged.

/// What is measured and logged, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Commands that took at least so many microseconds are logged.
    pub slow: LogLimits,
    /// Commands whose request had more than so many bytes are logged.
    pub large_request: LogLimits,
    /// Commands whose reply had more than so many bytes are logged.
    pub large_reply: LogLimits,
    /// What takes at least so many milliseconds is an event of LATENCY; 0: there are no events.
    pub latency_threshold_ms: u64,
    /// Whether every command's durations are counted.
    pub latency_tracking: bool,
    /// Which percentiles of them INFO shows.
    pub percentiles: Vec<String>,
    /// One of so many commands is looked at for hot and big keys; 0: none.
    pub hot_keys_sample: u64,
}

/// When a command enters a log, and how long the log may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// From here on it enters; negative: none does.
    pub threshold: i64,
    /// The most entries.
    pub len_max: usize,
}

impl Default for Observation {
    fn default() -> Self {
        let large = LogLimits { threshold: 1 << 20, len_max: 128 };
        Self {
            slow: LogLimits { threshold: 10_000, len_max: 128 },
            large_request: large,
            large_reply: large,
            latency_threshold_ms: 0,
            latency_tracking: true,
            percentiles: ["50", "99", "99.9"].map(str::to_owned).to_vec(),
            hot_keys_sample: 100,
        }
    }
}
