//! What is known about the commands that ran: durations, logs of slow and large ones, events that
//! took long, hot keys; and who watches.
//!
//! Invariants: everything here is bounded; nothing here changes what a command does; a command that
//! is quick and small costs a few comparisons.

mod command_log;
mod durations;
mod histogram;
mod hot_keys;
mod latency;
mod outside;
mod sparkline;
mod timing;
mod top_keys;

use crate::config::{Config, Observation};
use crate::input::ConnId;
use crate::rng::{Rng, Seed};
use crate::state::State;

pub(crate) use command_log::{CommandLog, Entry};
pub(crate) use durations::Durations;
pub(crate) use histogram::Histogram;
pub(crate) use hot_keys::{HotKeys, Session as HotKeysSession, Wanted as HotKeysWanted};
pub(crate) use latency::Series;
pub use outside::{KeyWeight, LongEvent, SlowCommands};
pub(crate) use sparkline::draw;
pub(crate) use top_keys::TopKeys;

use latency::LatencyEvents;
pub(crate) use timing::Timing;

/// A reply from this size on is worth a reading of the stopwatch.
const LARGE_REPLY_BYTES: usize = 64 << 10;
/// What the protocol adds to the words of a quick command, at most.
const OVERHEAD_BYTES_MAX: usize = 512;
/// Below this threshold of the slow log quick commands are measured one by one.
const QUICK_THRESHOLD_US: i64 = 1_000;

/// Everything that is observed.
#[derive(Debug)]
pub struct Observer {
    /// Clients that get the lines of MONITOR, in the order in which they came.
    pub(crate) monitors: Vec<ConnId>,
    /// Commands that were slow.
    pub(crate) slow: CommandLog,
    /// Commands with large requests.
    pub(crate) large_requests: CommandLog,
    /// Commands with large replies.
    pub(crate) large_replies: CommandLog,
    /// What took long.
    pub(crate) latency: LatencyEvents,
    /// Durations of each command that ran, in the order of the table.
    pub(crate) durations: Durations,
    /// Keys that are used much, or large.
    pub(crate) hot_keys: HotKeys,
    pub(crate) timing: Timing,
    /// The script that goes on in later steps: its row, and its entry in the log of slow commands.
    pub(crate) script: Option<(usize, Entry)>,
    /// Every command is looked at closely.
    pub(crate) is_watchful: bool,
    /// A command with a reply from here on is looked at closely.
    pub(crate) notice_reply_bytes: usize,
    /// A command with a request from here on is looked at closely.
    pub(crate) notice_request_bytes: usize,
}

/// The number of a limit, where a negative one means none.
fn bytes(threshold: i64) -> usize {
    usize::try_from(threshold).unwrap_or(usize::MAX)
}

impl Observer {
    /// Nothing was observed of `commands` commands.
    pub(crate) fn new(commands: usize, config: &Config, seed: Seed) -> Self {
        let hot_keys = HotKeys::new(Rng::new(seed, "hot keys"), config.observation.hot_keys_sample);
        let mut observer = Self {
            monitors: Vec::new(),
            slow: CommandLog::default(),
            large_requests: CommandLog::default(),
            large_replies: CommandLog::default(),
            latency: LatencyEvents::default(),
            durations: Durations::new(commands),
            hot_keys,
            timing: Timing::default(),
            script: None,
            is_watchful: false,
            notice_reply_bytes: 0,
            notice_request_bytes: 0,
        };
        observer.configure(&config.observation);
        observer
    }

    /// Acts on changed settings, or on somebody who began or ceased to watch.
    pub(crate) fn configure(&mut self, settings: &Observation) {
        let logs_quick = (0..QUICK_THRESHOLD_US).contains(&settings.slow.threshold);
        self.is_watchful = logs_quick
            || settings.latency_threshold_ms > 0
            || !self.monitors.is_empty()
            || self.hot_keys.is_collecting();
        self.notice_reply_bytes = LARGE_REPLY_BYTES.min(bytes(settings.large_reply.threshold));
        let request_bytes = bytes(settings.large_request.threshold);
        self.notice_request_bytes = request_bytes.saturating_sub(OVERHEAD_BYTES_MAX);
        self.hot_keys.set_sample(settings.hot_keys_sample);
        self.slow.cut(settings.slow);
        self.large_requests.cut(settings.large_request);
        self.large_replies.cut(settings.large_reply);
    }

    /// Forgets the durations of commands (CONFIG RESETSTAT).
    pub(crate) fn forget_durations(&mut self) {
        self.durations.clear();
    }

    /// Heap bytes, but for those of the durations.
    pub(crate) fn memory_bytes(&self) -> usize {
        let logs = [&self.slow, &self.large_requests, &self.large_replies];
        let logs: usize = logs.iter().map(|log| log.memory_bytes()).sum();
        logs + self.latency.memory_bytes() + self.hot_keys.memory_bytes()
    }
}

impl State {
    /// Notes that something took so many milliseconds (`expire-cycle`, `eviction-cycle`...), if
    /// that is as long as `latency-monitor-threshold` says.
    pub fn note_latency(&mut self, event: &'static str, millis: u64, unix_secs: u64) {
        let threshold_ms = self.config.observation.latency_threshold_ms;
        if threshold_ms > 0 && millis >= threshold_ms {
            self.observer.latency.add(event, unix_secs, millis);
        }
    }

    /// Whether somebody wants to know what takes long.
    #[inline]
    pub(crate) fn wants_latency(&self) -> bool {
        self.config.observation.latency_threshold_ms > 0
    }

    /// Gives quick commands of the present step their share of its time so far: somebody is about
    /// to look at durations.
    pub(crate) fn settle_durations(&mut self) {
        let tracks = self.config.observation.latency_tracking;
        self.observer.settle(&mut self.stats, tracks);
    }

    /// Acts on changed settings of what is observed, or on somebody who began or ceased to watch.
    pub(crate) fn configure_observer(&mut self) {
        self.observer.configure(&self.config.observation);
    }

    /// A client no longer watches, if it did.
    pub(crate) fn end_monitor(&mut self, conn: ConnId) {
        self.observer.monitors.retain(|&monitor| monitor != conn);
        self.configure_observer();
    }
}
