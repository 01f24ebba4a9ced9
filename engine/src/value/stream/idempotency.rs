//! What a stream remembers of producers that send an entry again when they got no answer.
//!
//! A producer names each entry; under a name that is remembered nothing is added a second time.
//! Names are remembered for a time, and only so many of each producer.
//!
//! Invariant: the names of a producer are in the order in which they came.

use std::collections::{BTreeSet, VecDeque};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::id::StreamId;

/// Producers whose old names are looked for when an entry is added.
const PRODUCERS_PER_STEP: usize = 2;
/// Names that are forgotten at a time.
const NAMES_PER_STEP: usize = 64;
/// About what the index of names spends on one.
const INDEX_BYTES: usize = 24;

/// How long, and how many names of a producer, are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Seconds.
    pub duration_secs: u64,
    /// Names of one producer.
    pub names_max: usize,
}

/// The producers of a stream.
#[derive(Debug)]
pub struct Idempotency {
    settings: Settings,
    /// In the order of their names.
    producers: Vec<Producer>,
    /// Where the search for old names goes on.
    next: usize,
    added: u64,
    duplicates: u64,
    heap_bytes: usize,
}

#[derive(Clone, Debug)]
struct Producer {
    name: Box<[u8]>,
    sent: VecDeque<Sent>,
    /// The number of the first in `sent`.
    first: u64,
    /// Hash of a name, and its number.
    index: BTreeSet<(u64, u64)>,
    /// Bytes of all names.
    name_bytes: usize,
}

/// An entry under the name that its producer gave it.
#[derive(Clone, Debug)]
struct Sent {
    name: Box<[u8]>,
    id: StreamId,
    at_ms: u64,
}

/// Figures for XINFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyCounts {
    /// Producers of whom something is remembered.
    pub producers: usize,
    /// Names that are remembered.
    pub names: usize,
    /// Named entries that were ever added.
    pub added: u64,
    /// Entries that were not added a second time.
    pub duplicates: u64,
}

impl Clone for Idempotency {
    fn clone(&self) -> Self {
        let producers = self.producers.clone();
        // The copies have no room to grow.
        let heap_bytes = producers.iter().map(Producer::heap_bytes).sum();
        Self { producers, heap_bytes, ..*self }
    }
}

impl Idempotency {
    pub(super) fn new(settings: Settings) -> Self {
        let producers = Vec::new();
        Self { settings, producers, next: 0, added: 0, duplicates: 0, heap_bytes: 0 }
    }

    /// The settings.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Changes the settings; if they are others than before, all names are forgotten.
    pub fn configure(&mut self, settings: Settings) {
        if settings != self.settings {
            self.settings = settings;
            self.producers = Vec::new();
            self.heap_bytes = 0;
        }
    }

    /// The figures as they are now; what is too old does not count.
    pub fn counts(&self, now_ms: u64) -> IdempotencyCounts {
        let deadline = self.oldest_ms(now_ms);
        let young = self.producers.iter().map(|producer| {
            let old = producer.sent.partition_point(|sent| sent.at_ms < deadline);
            producer.sent.len() - old
        });
        let (added, duplicates) = (self.added, self.duplicates);
        let empty = IdempotencyCounts { added, duplicates, ..IdempotencyCounts::default() };
        young.filter(|&names| names > 0).fold(empty, |counts, names| IdempotencyCounts {
            producers: counts.producers + 1,
            names: counts.names + names,
            ..counts
        })
    }

    /// The entry that a producer has added under this name, if it is remembered.
    pub fn find(&self, producer: &[u8], name: &[u8], now_ms: u64) -> Option<StreamId> {
        let at = self.search(producer).ok()?;
        let sent = self.producers[at].find(name)?;
        (sent.at_ms >= self.oldest_ms(now_ms)).then_some(sent.id)
    }

    /// Counts an entry that is not added a second time.
    pub fn note_duplicate(&mut self) {
        self.duplicates += 1;
    }

    /// Remembers that an entry was added under this name.
    pub fn remember(&mut self, producer: &[u8], name: &[u8], id: StreamId, now_ms: u64) {
        self.restore(producer, name, id, now_ms);
        self.added += 1;
    }

    /// Like [`Self::remember`], without counting it.
    pub fn restore(&mut self, producer: &[u8], name: &[u8], id: StreamId, at_ms: u64) {
        let at = match self.search(producer) {
            Ok(at) => at,
            Err(at) => {
                let producer = Producer::new(producer);
                self.heap_bytes += producer.heap_bytes();
                self.producers.insert(at, producer);
                at
            }
        };
        let (oldest_ms, names_max) = (self.oldest_ms(at_ms), self.settings.names_max);
        let producer = &mut self.producers[at];
        let before = producer.heap_bytes();
        producer.forget_name(name);
        // One more than fits is enough: it holds before and after.
        while producer.sent.len() >= names_max {
            producer.forget_first();
        }
        producer.forget_old(oldest_ms);
        producer.push(Sent { name: name.into(), id, at_ms });
        self.heap_bytes = self.heap_bytes + producer.heap_bytes() - before;
    }

    /// What producers have sent, for DUMP: producer, name, entry, when.
    pub fn sent(&self) -> impl Iterator<Item = (&[u8], &[u8], StreamId, u64)> {
        self.producers.iter().flat_map(|producer| {
            let sent = producer.sent.iter();
            sent.map(|sent| (&*producer.name, &*sent.name, sent.id, sent.at_ms))
        })
    }

    /// Sets the counters, for RESTORE.
    pub fn set_counters(&mut self, added: u64, duplicates: u64) {
        (self.added, self.duplicates) = (added, duplicates);
    }

    /// Forgets what is too old, a bounded part of it; producers of whom nothing is left go.
    pub(super) fn forget_some(&mut self, now_ms: u64) {
        let oldest_ms = self.oldest_ms(now_ms);
        for _ in 0..PRODUCERS_PER_STEP.min(self.producers.len()) {
            self.next = if self.next < self.producers.len() { self.next } else { 0 };
            let producer = &mut self.producers[self.next];
            let before = producer.heap_bytes();
            producer.forget_old(oldest_ms);
            let after = producer.heap_bytes();
            if producer.sent.is_empty() {
                self.heap_bytes -= before;
                self.producers.remove(self.next);
                if self.producers.is_empty() {
                    return;
                }
            } else {
                self.heap_bytes = self.heap_bytes + after - before;
                self.next += 1;
            }
        }
    }

    /// What was sent before this is too old.
    fn oldest_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.settings.duration_secs.saturating_mul(1000))
    }

    fn search(&self, producer: &[u8]) -> Result<usize, usize> {
        self.producers.binary_search_by(|known| (*known.name).cmp(producer))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.heap_bytes + self.producers.capacity() * size_of::<Producer>()
    }

    /// Drops some of it; true when nothing is left. It is not used for anything else any more.
    pub(super) fn drop_some(&mut self) -> bool {
        self.producers.pop();
        self.producers.is_empty()
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.producers.is_sorted_by(|a, b| a.name < b.name), "producers are in order");
        let bytes: usize = self.producers.iter().map(Producer::heap_bytes).sum();
        assert_eq!(self.heap_bytes, bytes, "bytes of the producers");
        for producer in &self.producers {
            assert_eq!(producer.index.len(), producer.sent.len(), "every name is in the index");
            assert!(producer.sent.len() <= self.settings.names_max, "names of a producer");
            for (number, sent) in producer.sent.iter().enumerate() {
                let entry = (xxh3_64(&sent.name), producer.first + number as u64);
                assert!(producer.index.contains(&entry), "a name is in the index");
            }
        }
    }
}

impl Producer {
    fn new(name: &[u8]) -> Self {
        let (sent, index) = (VecDeque::new(), BTreeSet::new());
        Self { name: name.into(), sent, first: 0, index, name_bytes: 0 }
    }

    fn number(&self, name: &[u8]) -> Option<u64> {
        let hash = xxh3_64(name);
        let same = self.index.range((hash, 0)..=(hash, u64::MAX)).map(|&(_, number)| number);
        same.into_iter().find(|&number| *self.sent[(number - self.first) as usize].name == *name)
    }

    fn find(&self, name: &[u8]) -> Option<&Sent> {
        self.number(name).map(|number| &self.sent[(number - self.first) as usize])
    }

    fn push(&mut self, sent: Sent) {
        let number = self.first + self.sent.len() as u64;
        self.index.insert((xxh3_64(&sent.name), number));
        self.name_bytes += sent.name.len();
        self.sent.push_back(sent);
    }

    fn forget_first(&mut self) {
        if let Some(sent) = self.sent.pop_front() {
            self.index.remove(&(xxh3_64(&sent.name), self.first));
            self.name_bytes -= sent.name.len();
            self.first += 1;
        }
    }

    /// Forgets a name that is too old and comes again: it and what came before it.
    fn forget_name(&mut self, name: &[u8]) {
        if let Some(number) = self.number(name) {
            while self.first <= number {
                self.forget_first();
            }
        }
    }

    fn forget_old(&mut self, oldest_ms: u64) {
        for _ in 0..NAMES_PER_STEP {
            match self.sent.front() {
                Some(sent) if sent.at_ms < oldest_ms => self.forget_first(),
                _ => return,
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        self.name.len()
            + self.name_bytes
            + self.sent.capacity() * size_of::<Sent>()
            + self.sent.len() * INDEX_BYTES
    }
}

/// A name made from the fields of an entry: the same for the same fields in any order.
pub fn name_of_fields<'a>(words: impl Iterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut words = words;
    let mut sum = 0_u128;
    let mut pair = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        pair.clear();
        pair.extend_from_slice(&(name.len() as u64).to_le_bytes());
        pair.extend_from_slice(name);
        pair.extend_from_slice(value);
        sum = sum.wrapping_add(xxh3_128(&pair));
    }
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { duration_secs: 10, names_max: 3 };

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    #[test]
    fn names_are_remembered_for_a_time_and_in_a_number() {
        let mut it = Idempotency::new(SETTINGS);
        for number in 1..=4_u64 {
            it.remember(b"p", number.to_string().as_bytes(), id(number), 1000 * number);
            it.check_invariants();
        }
        let find = |it: &Idempotency, name: &str, now| it.find(b"p", name.as_bytes(), now);
        assert_eq!(find(&it, "1", 4000), None, "only three are remembered");
        assert_eq!(find(&it, "2", 12_000), Some(id(2)));
        assert_eq!(find(&it, "2", 12_001), None, "it is too old");
        assert_eq!(it.find(b"q", b"2", 4000), None, "another producer");
        let counts = it.counts(12_001);
        assert_eq!((counts.producers, counts.names, counts.added), (1, 2, 4));
        it.remember(b"p", b"2", id(9), 12_001);
        assert_eq!(find(&it, "2", 12_001), Some(id(9)));
        it.check_invariants();
        it.forget_some(60_000);
        assert_eq!(it.counts(60_000).producers, 0);
        it.check_invariants();
        it.configure(Settings { names_max: 4, ..SETTINGS });
        assert_eq!(it.sent().count(), 0);
    }

    #[test]
    fn a_name_of_fields_does_not_depend_on_their_order() {
        let name = |words: &[&str]| name_of_fields(words.iter().map(|word| word.as_bytes()));
        assert_eq!(name(&["a", "1", "b", "2"]), name(&["b", "2", "a", "1"]));
        assert_ne!(name(&["a", "1", "b", "2"]), name(&["a", "2", "b", "1"]));
        assert_ne!(name(&["a", "1"]), name(&["a1", ""]));
        assert_ne!(name(&["a", "1", "a", "1"]), name(&["a", "1"]));
    }
}
