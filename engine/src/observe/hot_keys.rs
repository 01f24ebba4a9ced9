//! Keys that are used much, by count, bytes and time, and keys that are large: a report that is
//! always kept from a sample of the commands, and the collections of HOTKEYS.
//!
//! Invariants: which commands are looked at depends on a counter and the seed, not on time; the
//! memory is bounded whatever keys there are.

use super::measure::request_bytes;
use super::top_keys::TopKeys;
use crate::args::Args;
use crate::commands::Cx;
use crate::commands::spec::Group;
use crate::commands::table::Row;
use crate::rng::Rng;
use crate::time::{Instant, Micros};

/// Keys of the report, for each way to count.
const KEYS: usize = 128;
/// After so many commands of the sample, what was counted counts half.
const AGE_SAMPLES: u64 = 1 << 16;
/// A collection keeps so many keys for each that it will show.
const KEYS_PER_SHOWN: usize = 10;

/// The report and the collection.
#[derive(Debug)]
pub(crate) struct HotKeys {
    rng: Rng,
    /// One of so many commands is looked at; 0: none.
    sample: u64,
    /// Commands up to the next that is.
    countdown: u64,
    /// How many were.
    pub(crate) samples: u64,
    pub(crate) by_count: TopKeys,
    pub(crate) by_bytes: TopKeys,
    pub(crate) by_micros: TopKeys,
    pub(crate) by_size: TopKeys,
    /// What HOTKEYS collects or has collected.
    pub(crate) session: Option<Box<Session>>,
}

/// What HOTKEYS START asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) by_micros: bool,
    pub(crate) by_bytes: bool,
    /// Keys to show.
    pub(crate) keys: usize,
    pub(crate) secs: Option<u64>,
    /// One of so many commands counts.
    pub(crate) sample: u64,
}

/// A collection of HOTKEYS.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) wanted: Wanted,
    pub(crate) began: Instant,
    pub(crate) began_unix_ms: u64,
    /// When it ended; none: it goes on.
    pub(crate) ended: Option<Instant>,
    pub(crate) micros: TopKeys,
    pub(crate) bytes: TopKeys,
    /// Of all commands.
    pub(crate) total_micros: u64,
    pub(crate) total_bytes: u64,
    /// The process's figures at the beginning, and at the end when it has come: user and system
    /// time in microseconds, bytes received and sent.
    pub(crate) before: [u64; 3],
    pub(crate) after: Option<[u64; 3]>,
}

impl HotKeys {
    pub(super) fn new(rng: Rng, sample: u64) -> Self {
        let keys = || TopKeys::new(KEYS);
        let mut hot = Self {
            rng,
            sample: 0,
            countdown: u64::MAX,
            samples: 0,
            by_count: keys(),
            by_bytes: keys(),
            by_micros: keys(),
            by_size: keys(),
            session: None,
        };
        hot.set_sample(sample);
        hot
    }

    /// Looks at one of `sample` commands from now on; 0: at none.
    pub(super) fn set_sample(&mut self, sample: u64) {
        if self.sample != sample {
            self.sample = sample;
            self.countdown = u64::MAX;
            self.wind_up();
        }
    }

    /// One of so many commands is looked at; 0: none.
    pub(crate) fn sample(&self) -> u64 {
        self.sample
    }

    /// Whether the present command is one that is looked at.
    #[inline]
    pub(super) fn is_turn(&mut self) -> bool {
        self.countdown -= 1;
        if self.countdown > 0 {
            return false;
        }
        self.wind_up();
        true
    }

    /// Commands that come in a pattern must not meet the counter in a pattern.
    fn wind_up(&mut self) {
        if self.sample > 0 {
            self.countdown = 1 + self.rng.below(self.sample.saturating_mul(2) - 1);
        } else {
            self.countdown = u64::MAX;
        }
    }

    /// Whether HOTKEYS collects.
    #[inline]
    pub(crate) fn is_collecting(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.ended.is_none())
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let report = [&self.by_count, &self.by_bytes, &self.by_micros, &self.by_size];
        let session = self.session.iter().flat_map(|session| [&session.micros, &session.bytes]);
        report.into_iter().chain(session).map(TopKeys::memory_bytes).sum()
    }
}

impl Session {
    /// A collection that begins.
    pub(crate) fn new(wanted: Wanted, began: Instant, unix_ms: u64, before: [u64; 3]) -> Self {
        let room = |is_wanted| if is_wanted { wanted.keys * KEYS_PER_SHOWN } else { 0 };
        let (micros, bytes) = (room(wanted.by_micros), room(wanted.by_bytes));
        Self {
            wanted,
            began,
            began_unix_ms: unix_ms,
            ended: None,
            micros: TopKeys::new(micros),
            bytes: TopKeys::new(bytes),
            total_micros: 0,
            total_bytes: 0,
            before,
            after: None,
        }
    }

    /// When it is to end by itself.
    fn until(&self) -> Option<Instant> {
        Some(self.began + Micros::from_secs(self.wanted.secs?))
    }
}

/// Ends the collection if its time is up.
pub(crate) fn end_if_due(cx: &mut Cx<'_>) {
    let Some(session) = &cx.state.observer.hot_keys.session else { return };
    if let Some(until) = session.until()
        && session.ended.is_none()
        && until <= cx.now.mono
    {
        stop(cx, until);
    }
}

/// Ends the collection as of `at`.
pub(crate) fn stop(cx: &mut Cx<'_>, at: Instant) {
    let after = figures(cx);
    if let Some(session) = &mut cx.state.observer.hot_keys.session {
        session.ended = Some(at);
        session.after = Some(after);
    }
    cx.state.configure_observer();
}

/// The process's figures now; see [`Session::before`].
pub(crate) fn figures(cx: &Cx<'_>) -> [u64; 3] {
    let (vitals, stats) = (&cx.state.vitals, &cx.state.stats);
    [vitals.cpu_user_us, vitals.cpu_system_us, stats.bytes_in + stats.bytes_out]
}

/// Counts a command that has run.
#[cold]
pub(super) fn note(
    cx: &mut Cx<'_>,
    row: &'static Row,
    args: Args<'_>,
    duration: Micros,
    reply_bytes: usize,
    is_sampled: bool,
) {
    end_if_due(cx);
    let bytes = request_bytes(args) + reply_bytes as u64;
    let hot = &mut cx.state.observer.hot_keys;
    let mut counts = false;
    if let Some(session) = &mut hot.session
        && session.ended.is_none()
    {
        if !cx.session.is_script {
            session.total_micros += duration.0;
            session.total_bytes += bytes;
        }
        counts = session.wanted.sample == 1 || hot.rng.chance(1, session.wanted.sample);
    }
    // The commands of a script count, not the keys that it declares.
    if row.command.group == Group::Scripting || !counts && !is_sampled {
        return;
    }
    match row.plain_range(args) {
        Some((first, last, step)) => {
            let keys = (first..last + 1).step_by(step);
            note_keys(cx, args, keys, duration.0, bytes, (counts, is_sampled));
        }
        None => {
            let mut keys = row.keys(args).unwrap_or_default();
            keys.retain(|key| !key.flags.contains(&"NOT_KEY"));
            let keys = keys.iter().map(|key| key.index);
            note_keys(cx, args, keys, duration.0, bytes, (counts, is_sampled));
        }
    }
    let hot = &mut cx.state.observer.hot_keys;
    if is_sampled {
        hot.samples += 1;
        if hot.samples.is_multiple_of(AGE_SAMPLES) {
            for keys in [&mut hot.by_count, &mut hot.by_bytes, &mut hot.by_micros] {
                keys.age();
            }
        }
    }
}

/// Counts the keys of a command: for the collection, for the report, or for both.
fn note_keys(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    keys: impl ExactSizeIterator<Item = usize>,
    micros: u64,
    bytes: u64,
    (counts, is_sampled): (bool, bool),
) {
    let each = keys.len().max(1) as u64;
    let db = cx.session.db;
    for key in keys {
        let key = args.at(key);
        if counts && let Some(session) = &mut cx.state.observer.hot_keys.session {
            session.micros.add(db, key, micros.div_ceil(each));
            session.bytes.add(db, key, bytes.div_ceil(each));
        }
        if is_sampled {
            sample(cx, db, key, micros / each, bytes / each);
        }
    }
}

/// Counts a key of the sample for the report: as if all commands were like those that are looked
/// at.
fn sample(cx: &mut Cx<'_>, db: usize, key: &[u8], micros: u64, bytes: u64) {
    let keyspace = cx.state.keyspace.db(db);
    let size = keyspace.find(key).map(|found| keyspace.entry_bytes(found) as u64);
    let hot = &mut cx.state.observer.hot_keys;
    let times = hot.sample.max(1);
    hot.by_count.add(db, key, times);
    hot.by_bytes.add(db, key, bytes * times);
    hot.by_micros.add(db, key, micros * times);
    hot.by_size.put(db, key, size);
}
