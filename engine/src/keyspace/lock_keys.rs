//! How long keys live that match the patterns of `lock-grace`: the latest deadline that one got.
//! One without a deadline lives as long as there is time.
//!
//! Invariant: no key that matches gets a deadline later than what [`Keyspace::take_lock_deadline`]
//! says next, once the patterns are known.

use super::Keyspace;
use super::db::Found;
use crate::time::UnixMillis;
use crate::value::glob;

/// The patterns, and what was seen.
#[derive(Debug)]
pub(super) struct LockKeys {
    patterns: Vec<Box<[u8]>>,
    latest: Option<UnixMillis>,
}

impl LockKeys {
    fn note(&mut self, key: &[u8], deadline: Option<UnixMillis>) {
        let deadline = deadline.unwrap_or(UnixMillis(u64::MAX));
        if self.latest < Some(deadline) && matches(&self.patterns, key) {
            self.latest = Some(deadline);
        }
    }
}

fn matches(patterns: &[Box<[u8]>], key: &[u8]) -> bool {
    patterns.iter().any(|pattern| glob::matches(pattern, key))
}

impl Keyspace {
    /// From now on the deadlines of keys that match one of `patterns` are noted.
    pub(crate) fn watch_locks(&mut self, patterns: &[String]) {
        let patterns = patterns.iter().map(|pattern| pattern.as_bytes().into()).collect();
        self.locks = Some(Box::new(LockKeys { patterns, latest: None }));
    }

    /// Whether a key matches.
    pub(crate) fn is_lock(&self, key: &[u8]) -> bool {
        self.locks.as_ref().is_some_and(|locks| matches(&locks.patterns, key))
    }

    /// The latest deadline that a key that matches got since this was asked last.
    pub(crate) fn take_lock_deadline(&mut self) -> Option<UnixMillis> {
        self.locks.as_mut()?.latest.take()
    }

    /// A key gets this deadline.
    #[inline]
    pub(super) fn note_lock(&mut self, key: &[u8], deadline: Option<UnixMillis>) {
        if let Some(locks) = &mut self.locks {
            locks.note(key, deadline);
        }
    }

    /// A found key gets this deadline.
    #[inline]
    pub(super) fn note_found_lock(
        &mut self,
        index: usize,
        found: Found,
        deadline: Option<UnixMillis>,
    ) {
        if let Some(locks) = &mut self.locks {
            locks.note(self.databases[index].key(found), deadline);
        }
    }
}
