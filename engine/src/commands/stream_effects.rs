//! What commands on consumer groups and trims put into the log of effects, in Redis's words: what
//! has become of entries, groups and consumers, whatever the time and whoever asked.
//!
//! Redis does not log that a consumer has seen its own entries once more; here that is logged like
//! any other delivery, so that the counts and times of deliveries are not lost.

use super::Cx;
use crate::args::Words;
use crate::value::stream::{Group, Pending, StreamId};

/// Records about the groups of streams, made while a stream is borrowed.
#[derive(Debug, Default)]
pub(super) struct Records {
    is_on: bool,
    key: Vec<u8>,
    made: Vec<Words>,
}

impl Records {
    /// None yet, about the stream at `key`.
    pub(super) fn new(cx: &Cx<'_>, key: &[u8]) -> Self {
        let is_on = cx.logs();
        let key = if is_on { key.to_vec() } else { Vec::new() };
        Self { is_on, key, made: Vec::new() }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    fn push(&mut self, words: &[&[u8]]) {
        self.made.push(Words::new(words.iter().copied()));
    }

    /// An entry is pending with a consumer, which is made if it is not there. If the entry has gone
    /// from the stream it is pending no longer.
    #[inline]
    pub(super) fn claim(&mut self, group: &Group, id: StreamId) {
        if self.is_on
            && let Some(pending) = group.pending(id)
        {
            self.note_claim(group, *pending);
        }
    }

    #[cold]
    fn note_claim(&mut self, group: &Group, pending: Pending) {
        let key = core::mem::take(&mut self.key);
        let id = pending.id.text();
        match pending.owner {
            None => self.push(&[b"XACK", &key, group.name(), id.as_bytes()]),
            Some(owner) => {
                let (mut delivered, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
                self.push(&[
                    b"XCLAIM",
                    &key,
                    group.name(),
                    group.consumer(owner).name(),
                    b"0",
                    id.as_bytes(),
                    b"TIME",
                    delivered.format(pending.delivered_ms()).as_bytes(),
                    b"RETRYCOUNT",
                    count.format(pending.deliveries).as_bytes(),
                    b"FORCE",
                    b"JUSTID",
                    b"LASTID",
                    group.last_delivered().text().as_bytes(),
                ]);
            }
        }
        self.key = key;
    }

    /// Entries that have gone from the stream are pending no longer.
    pub(super) fn acknowledge(&mut self, group: &Group, ids: &[StreamId]) {
        if self.is_on && !ids.is_empty() {
            let texts: Vec<_> = ids.iter().map(|id| id.text()).collect();
            let mut words = vec![b"XACK".as_slice(), &self.key, group.name()];
            words.extend(texts.iter().map(|text| text.as_bytes()));
            self.made.push(Words::new(words.into_iter()));
        }
    }

    /// How far a group has read.
    pub(super) fn position(&mut self, group: &Group) {
        if self.is_on {
            let key = core::mem::take(&mut self.key);
            let (id, mut read) = (group.last_delivered().text(), itoa::Buffer::new());
            let read = read.format(group.entries_read().unwrap_or(-1)).as_bytes();
            let group = group.name();
            self.push(&[b"XGROUP", b"SETID", &key, group, id.as_bytes(), b"ENTRIESREAD", read]);
            self.key = key;
        }
    }

    /// A consumer is there. It comes before all that is known of it.
    pub(super) fn consumer(&mut self, group: &Group, name: &[u8]) {
        if self.is_on {
            let words = [b"XGROUP", b"CREATECONSUMER".as_slice(), &self.key, group.name(), name];
            self.made.insert(0, Words::new(words.into_iter()));
        }
    }

    /// They are what is logged of the command.
    pub(super) fn log(self, cx: &mut Cx<'_>) {
        cx.log_nothing();
        for words in &self.made {
            cx.log_also(words.args().from(0));
        }
    }
}
