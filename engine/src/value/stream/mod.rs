//! Streams: a log of entries, the groups of consumers that read it, and what is known of producers
//! that may send an entry twice.
//!
//! Invariant: the counts of bytes follow every change.

mod block;
mod consumer;
mod group;
mod groups;
mod id;
mod idempotency;
mod log;
mod pending;
mod range;
mod sorted;
mod text;
mod trim;

pub use block::{Entry, Fields};
pub use consumer::{Consumer, ConsumerNumber};
pub use group::{Claim, Deliveries, Group};
pub use id::{IdRequest, IdText, StreamId};
pub use idempotency::{Idempotency, IdempotencyCounts, Settings, name_of_fields};
pub use log::{CannotAdd, Limits, Log};
pub use pending::Pending;
pub use range::{Range, RangeBack};
pub use text::Text;
pub use trim::{Cut, References, Trim};

use groups::Groups;

use super::collection::Collection;
use super::shared::Meter;

/// A stream that owns more than this is freed in steps.
const BIG_BYTES: usize = 256 << 10;

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream(Box<Body>);

#[derive(Clone, Debug, Default)]
struct Body {
    log: Log,
    groups: Groups,
    idempotency: Option<Box<Idempotency>>,
}

impl Stream {
    /// The entries.
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// The entries, to add or delete some.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.0.log
    }

    /// The groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.0.groups.iter()
    }

    /// The group with this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.0.groups.find(name)
    }

    /// Lets `change` have a group, and the entries to look at; `None` if there is no such group.
    pub fn edit_group<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&Log, &mut Group) -> R,
    ) -> Option<R> {
        let log = &self.0.log;
        self.0.groups.edit(name, |group| change(log, group))
    }

    /// Adds a group; false if there is one with this name.
    pub fn add_group(
        &mut self,
        name: &[u8],
        last_delivered: StreamId,
        entries_read: Option<i64>,
    ) -> bool {
        self.0.groups.add(name, last_delivered, entries_read)
    }

    /// Removes a group; says whether there was one.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        self.0.groups.remove(name)
    }

    /// Deletes an entry if its references allow it. See [`References`].
    pub fn delete(&mut self, id: StreamId, references: References) -> Deleted {
        let Body { log, groups, .. } = &mut *self.0;
        if references == References::Drop {
            groups.forget_everywhere(id);
        }
        if log.entry(id).is_none() {
            return Deleted::Missing;
        }
        if references == References::Acked && groups.refer_to(id) {
            return Deleted::Referred;
        }
        log.delete(id);
        Deleted::Done
    }

    /// Trims; returns how many entries went.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        self.trim_up_to(trim).0
    }

    /// Like [`Self::trim`]. The second result is the last entry that went, where it depends on
    /// references which of them do.
    pub fn trim_up_to(&mut self, trim: Trim) -> (u64, StreamId) {
        let Body { log, groups, .. } = &mut *self.0;
        log.trim(trim, groups)
    }

    /// How many entries a group has still to read; `None` if that cannot be said.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        group.lag(&self.0.log)
    }

    /// What is known of producers; `None` if none has named itself.
    pub fn idempotency(&self) -> Option<&Idempotency> {
        self.0.idempotency.as_deref()
    }

    /// What is known of producers. `defaults` are the settings if there were none before.
    pub fn idempotency_mut(&mut self, defaults: Settings) -> &mut Idempotency {
        self.0.idempotency.get_or_insert_with(|| Box::new(Idempotency::new(defaults)))
    }

    /// Forgets what is too old about producers, a bounded part of it.
    pub fn forget_old_producers(&mut self, now_ms: u64) {
        if let Some(idempotency) = &mut self.0.idempotency {
            idempotency.forget_some(now_ms);
        }
    }
}

/// What became of an entry that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// There was none.
    Missing,
    /// It is gone.
    Done,
    /// A group has still to do with it.
    Referred,
}

impl Collection for Stream {
    type Reader<'a> = &'a Self;

    /// There is no packed form.
    fn from_packed(_bytes: Vec<u8>) -> Self {
        Self::default()
    }

    fn read_packed(_bytes: &[u8]) -> &Self {
        unreachable!("streams have no packed form")
    }

    fn reader(&self) -> &Self {
        self
    }

    fn encoding(_reader: &Self) -> &'static str {
        "stream"
    }

    fn packed(&self) -> Option<&[u8]> {
        None
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        None
    }

    /// Entries are shared, groups and names of producers are copied.
    fn share(&mut self, meter: &Meter) -> Self {
        let Body { log, groups, idempotency } = &mut *self.0;
        let known = idempotency.as_ref().map_or(0, |it| it.memory_bytes());
        meter.add(groups.heap_bytes() + known);
        let (groups, idempotency) = (groups.clone(), idempotency.clone());
        Self(Box::new(Body { log: log.share(meter), groups, idempotency }))
    }

    /// Never: a stream without entries stays.
    fn is_empty(&self) -> bool {
        false
    }

    fn memory_bytes(&self) -> usize {
        let idempotency = self.0.idempotency.as_ref().map_or(0, |it| it.memory_bytes());
        size_of::<Body>() + self.0.log.heap_bytes() + self.0.groups.heap_bytes() + idempotency
    }

    fn is_big(&self) -> bool {
        self.memory_bytes() > BIG_BYTES
    }

    fn free_some(&mut self) -> bool {
        let Body { log, groups, idempotency } = &mut *self.0;
        let idempotency_is_gone = idempotency.as_mut().is_none_or(|it| it.drop_some());
        idempotency_is_gone && log.drop_some() && groups.drop_some()
    }

    fn check_invariants(&self) {
        self.0.log.check_invariants();
        self.0.groups.check_invariants();
        if let Some(idempotency) = &self.0.idempotency {
            idempotency.check_invariants();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { node_bytes: 4096, node_entries: 100 };

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    #[test]
    fn entries_with_the_same_fields_are_small() {
        let mut stream = Stream::default();
        for number in 0..100_000 {
            let ms = 1_767_225_600_000 + number / 3;
            let reading = format!("{number:012}");
            let words = ["sensor", "000042", "reading", &reading].map(str::as_bytes);
            stream
                .log_mut()
                .push(StreamId::new(ms, number % 3), words.into_iter(), LIMITS)
                .expect("it can be added");
        }
        stream.check_invariants();
        let bytes_per_entry = stream.memory_bytes() as f64 / 100_000.0;
        assert!(bytes_per_entry < 12.0, "{bytes_per_entry}");
    }

    #[test]
    fn a_copy_is_a_stream_of_its_own() {
        let mut stream = Stream::default();
        let limits = Limits { node_bytes: 4096, node_entries: 3 };
        for ms in 1..=20 {
            let words = [&b"field"[..], b"value"].into_iter();
            stream.log_mut().push(id(ms), words, limits).expect("it can be added");
        }
        for name in ["a", "b", "c"] {
            stream.add_group(name.as_bytes(), StreamId::MIN, None);
            stream.edit_group(name.as_bytes(), |log, group| {
                for consumer in ["x", "y", "z"] {
                    let number = group.add_consumer(consumer.as_bytes(), 5).expect("it is new");
                    let seven: Vec<StreamId> = log
                        .range(group.last_delivered(), StreamId::MAX)
                        .take(7)
                        .map(|it| it.id)
                        .collect();
                    for id in seven {
                        group.deliver(id, number, 5);
                        group.advance(log, id);
                    }
                }
            });
        }
        let producers = stream.idempotency_mut(Settings { duration_secs: 10, names_max: 10 });
        (1..=3).for_each(|ms| producers.remember(b"producer", &[ms], id(ms.into()), 5));
        let mut copy = stream.clone();
        copy.check_invariants();
        copy.delete(id(3), References::Drop);
        copy.remove_group(b"b");
        copy.check_invariants();
        stream.check_invariants();
        assert_eq!((stream.log().len(), copy.log().len()), (20, 19));
        assert!(stream.group(b"b").is_some_and(|group| group.pending(id(3)).is_some()));
    }
}
