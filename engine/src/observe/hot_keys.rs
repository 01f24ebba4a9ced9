//! Keys that are used much, by count, bytes and time, and keys that are large: a report that is
//! always kept from a sample of the commands, and the collections of HOTKEYS.
//!
//! Invariants: which commands are looked at depends on a counter and the seed, not on time; the
//! memory is bounded whatever keys there are.

use super::top_keys::TopKeys;
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
    pub(crate) fn is_turn(&mut self) -> bool {
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

    /// Whether the next command counts for the collection, if there is one.
    pub(crate) fn counts(&mut self) -> bool {
        match &self.session {
            Some(session) if session.ended.is_none() => {
                session.wanted.sample == 1 || self.rng.chance(1, session.wanted.sample)
            }
            _ => false,
        }
    }

    /// Counts a key of the sample for the report, as if all commands were like those that are
    /// looked at. `size` is that of the key now; `None`: it is not there.
    pub(crate) fn report(
        &mut self,
        (db, key): (usize, &[u8]),
        micros: u64,
        bytes: u64,
        size: Option<u64>,
    ) {
        let times = self.sample.max(1);
        self.by_count.add(db, key, times);
        self.by_bytes.add(db, key, bytes * times);
        self.by_micros.add(db, key, micros * times);
        self.by_size.put(db, key, size);
    }

    /// A command of the sample has been counted.
    pub(crate) fn end_sample(&mut self) {
        self.samples += 1;
        if self.samples.is_multiple_of(AGE_SAMPLES) {
            for keys in [&mut self.by_count, &mut self.by_bytes, &mut self.by_micros] {
                keys.age();
            }
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
    pub(crate) fn until(&self) -> Option<Instant> {
        Some(self.began + Micros::from_secs(self.wanted.secs?))
    }
}
