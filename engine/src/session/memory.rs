//! The memory of all clients as a sum that is always known, for those who ask before each command.
//!
//! Invariant: the sum is that of the `counted_bytes` of all sessions but the running one, for which
//! nothing is noted; while nobody asks, nothing is counted and nothing is spent on it.

use super::Sessions;
use crate::input::ConnId;

/// The sum, if anybody asks for it.
#[derive(Debug, Default)]
pub(super) struct Sum {
    is_kept: bool,
    bytes: usize,
}

impl Sum {
    #[inline]
    pub(super) fn remove(&mut self, counted_bytes: usize) {
        self.bytes -= counted_bytes;
    }

    /// A session whose bytes are known has so many more.
    #[inline]
    pub(super) fn add(&mut self, counted_bytes: &mut usize, more: usize) {
        if self.is_kept {
            *counted_bytes += more;
            self.bytes += more;
        }
    }
}

impl Sessions {
    /// Begins or ends to count. Returns whether all sessions are to be counted now.
    pub(crate) fn start_counting(&mut self, counts: bool) -> bool {
        let begins = counts && !self.sum.is_kept;
        self.sum.is_kept = counts;
        if !counts {
            self.sum.bytes = 0;
            self.by_id.values_mut().flatten().for_each(|session| session.counted_bytes = 0);
        }
        begins
    }

    /// Whether the sum is kept.
    #[inline]
    pub(crate) fn is_counting(&self) -> bool {
        self.sum.is_kept
    }

    /// Bytes of all clients but the running one, if they are counted.
    #[inline]
    pub fn counted_bytes(&self) -> usize {
        self.sum.bytes
    }

    /// Checks that the sum adds up; for tests.
    pub(crate) fn check_counted(&self) {
        let sum: usize = self.by_id.values().flatten().map(|session| session.counted_bytes).sum();
        assert_eq!(sum, self.sum.bytes, "the memory of clients adds up");
    }

    /// Notes what a client takes.
    pub(crate) fn set_counted(&mut self, conn: ConnId, bytes: usize) {
        if let Some(session) = self.by_id.get_mut(&conn).and_then(Option::as_deref_mut) {
            self.sum.bytes = self.sum.bytes + bytes - session.counted_bytes;
            session.counted_bytes = bytes;
        }
    }
}
