//! Keys that are drawn by lot, for whoever has to choose one to evict.
//!
//! Invariant: what is drawn depends on the numbers that the caller draws and on what the database
//! holds, never on an address.

use super::arena::Handle;
use super::db::Db;
use super::entry;
use crate::time::UnixMillis;

/// A key that could be evicted.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its 24 bits of access.
    pub access: u32,
    /// When it expires.
    pub deadline: Option<UnixMillis>,
}

impl Db {
    fn candidate(&self, handle: Handle) -> Candidate<'_> {
        let slot = self.arena.bytes(handle);
        Candidate {
            key: entry::key(slot),
            access: entry::access(slot),
            deadline: entry::deadline_ms(slot).map(UnixMillis),
        }
    }

    /// Any key near this position in hash space; `pick` chooses among neighbours.
    #[inline]
    pub fn lot(&self, position: u64, pick: u64) -> Option<Candidate<'_>> {
        self.table.sample(position, pick).map(|handle| self.candidate(handle))
    }

    /// The keys near this position in hash space: some ten.
    pub fn lots(&self, position: u64) -> impl Iterator<Item = Candidate<'_>> {
        self.table.bucket(position).map(|handle| self.candidate(handle))
    }

    /// Keys with a TTL, at most `max`: some of those that expire at about the same time, which
    /// `pick` chooses. None only if there are none.
    pub fn lots_with_ttl(&self, pick: u64, max: usize) -> impl Iterator<Item = Candidate<'_>> {
        let handles = self.wheel.any(&self.arena, pick, max);
        handles.into_iter().map(|handle| self.candidate(handle))
    }

    /// What is known of a key for its eviction.
    pub fn candidate_of(&self, key: &[u8]) -> Option<Candidate<'_>> {
        let found = self.find(key)?;
        Some(Candidate {
            key: self.key(found),
            access: self.access(found),
            deadline: self.deadline(found),
        })
    }
}
