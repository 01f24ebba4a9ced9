//! What was refused to whom: ACL LOG.
//!
//! Invariants: the newest entry is first; there are never more than were asked for when the last
//! one was added; equal refusals within a minute are one entry.

use std::collections::VecDeque;

use super::check::Reason;
use crate::time::{Instant, Micros};

/// Equal refusals are one entry if they are not further apart.
const SAME_WITHIN: Micros = Micros::from_secs(60);
/// Entries that are looked at to find an equal one.
const LOOKED_AT: usize = 10;
/// Bytes of a text that are kept.
const TEXT_BYTES_MAX: usize = 4096;

/// The log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: VecDeque<Entry>,
}

/// Something that was refused, perhaps several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How often.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// Where the command came from: `toplevel`, `multi`, `lua`.
    pub context: &'static str,
    /// The command, key or channel.
    pub object: Vec<u8>,
    /// Who wanted it.
    pub user: Vec<u8>,
    /// When it happened last.
    pub at: Instant,
    /// The client's line in CLIENT LIST when it happened last.
    pub client: String,
}

impl Entry {
    fn is_like(&self, other: &Self) -> bool {
        self.reason == other.reason
            && self.context == other.context
            && self.object == other.object
            && self.user == other.user
            && other.at.since(self.at) <= SAME_WITHIN
    }
}

impl Log {
    /// Adds a refusal and keeps the log to `entries_max`.
    pub fn add(&mut self, mut entry: Entry, entries_max: usize) {
        entry.object.truncate(TEXT_BYTES_MAX);
        entry.user.truncate(TEXT_BYTES_MAX);
        entry.client.truncate(entry.client.floor_char_boundary(TEXT_BYTES_MAX));
        let known = self.entries.iter().take(LOOKED_AT).position(|known| known.is_like(&entry));
        if let Some(known) = known.and_then(|index| self.entries.remove(index)) {
            entry.count += known.count;
        }
        self.entries.push_front(entry);
        self.entries.truncate(entries_max);
    }

    /// The entries, the newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let texts = |entry: &Entry| entry.object.len() + entry.user.len() + entry.client.len();
        self.entries.iter().map(|entry| size_of::<Entry>() + texts(entry)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str, secs: u64) -> Entry {
        Entry {
            count: 1,
            reason: Reason::Key,
            context: "toplevel",
            object: object.into(),
            user: b"alice".to_vec(),
            at: Instant(secs * 1_000_000),
            client: format!("at {secs}"),
        }
    }

    #[track_caller]
    fn check(log: &Log, expected: &[(&str, u64, &str)]) {
        let shown: Vec<(&str, u64, &str)> = log
            .entries()
            .map(|entry| {
                (str::from_utf8(&entry.object).unwrap(), entry.count, entry.client.as_str())
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn equal_refusals_within_a_minute_are_one_entry_and_come_first() {
        let mut log = Log::default();
        for (object, secs) in [("a", 0), ("b", 1), ("a", 60), ("a", 121)] {
            log.add(entry(object, secs), 10);
        }
        check(&log, &[("a", 1, "at 121"), ("a", 2, "at 60"), ("b", 1, "at 1")]);
        log.add(entry("c", 122), 2);
        check(&log, &[("c", 1, "at 122"), ("a", 1, "at 121")]);
        log.add(entry("d", 123), 0);
        check(&log, &[]);
    }
}
