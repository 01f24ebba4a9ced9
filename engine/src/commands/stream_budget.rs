//! MAXCOUNT and MAXSIZE: what XREAD and XREADGROUP return from all their streams together.
//!
//! Invariant: however small the budget is, the first entry is returned; so a reader gets on.

use crate::resp::Reply;

/// What is left for the streams that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    entries: usize,
    /// How long all that was written for the client is when it is enough.
    end: Option<usize>,
    has_some: bool,
}

impl Budget {
    /// So many entries and bytes from here on; `None`: no limit.
    pub(super) fn new(reply: &Reply, entries: Option<usize>, bytes: Option<usize>) -> Self {
        let end = bytes.map(|bytes| reply.out.len().saturating_add(bytes));
        Self { entries: entries.unwrap_or(usize::MAX), end, has_some: false }
    }

    /// How many entries there may still be.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Whether nothing more is to be returned. The size is known of what was written, not of what
    /// would come next, as in Redis.
    pub(super) fn is_spent(&self, reply: &Reply) -> bool {
        let is_full = self.end.is_some_and(|end| reply.out.len() >= end);
        self.entries == 0 || self.has_some && is_full
    }

    /// One entry is returned.
    pub(super) fn spend(&mut self) {
        self.entries = self.entries.saturating_sub(1);
        self.has_some = true;
    }
}
