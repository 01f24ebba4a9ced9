//! Streams to and from their RDB form: entries, groups, and what is remembered of producers.

use std::collections::BTreeMap;

use super::load::{Build, STRAY, Setting, TWICE};
use crate::config::Encodings;
use crate::value::rdb::{
    BLOCK_ENTRIES_MAX, Consumer, Corrupt, Element, Group, Id, Idempotence, Item, Pending, Producer,
    Saver, StreamSaver, Totals,
};
use crate::value::stream::{self, Claim, Deliveries, Log, Settings, Stream, StreamId};

/// How long names can be remembered, in seconds.
const DURATION_SECS_MAX: u64 = 86_400;
/// How many names of a producer can be remembered.
const NAMES_MAX: u64 = 10_000;

fn id_of(id: StreamId) -> Id {
    Id { ms: id.ms, seq: id.seq }
}

fn stream_id(id: Id) -> StreamId {
    StreamId::new(id.ms, id.seq)
}

/// What a stream remembers of producers where nobody has said otherwise.
fn default_settings(encodings: &Encodings) -> Settings {
    Settings {
        duration_secs: encodings.stream_producer_secs,
        names_max: encodings.stream_producer_names,
    }
}

/// Writes a stream.
pub(super) fn save_stream(into: &mut Saver, stream: &Stream, encodings: &Encodings) {
    let mut saver = StreamSaver::new(encodings.rdb_compression);
    let log = stream.log();
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        let fields: Vec<_> = entry.fields().collect();
        saver.entry(
            id_of(entry.id),
            fields.iter().map(|(name, value)| {
                (Element::Bytes(name.as_bytes()), Element::Bytes(value.as_bytes()))
            }),
        );
    }
    let (totals, groups, idempotence, usual) = rest_of(stream, encodings);
    saver.finish(into, &totals, &groups, &idempotence, usual);
}

/// Writes a piece of a stream: some blocks, each of its own in as many as it needs, and what comes
/// behind them in one. `place` is 0 at first, then what was returned; `None`: it is at its end.
pub(super) fn save_stream_piece(
    into: &mut Saver,
    stream: &Stream,
    place: u64,
    piece_bytes: usize,
    encodings: &Encodings,
) -> Option<u64> {
    const BEHIND_BLOCKS: u64 = 1 << 63;
    let entries_max = usize::from(BLOCK_ENTRIES_MAX);
    let log = stream.log();
    if place == BEHIND_BLOCKS {
        let (totals, groups, idempotence, _) = rest_of(stream, encodings);
        into.end_stream(&totals, &groups, &idempotence);
        return None;
    }
    if place == 0 {
        let blocks = log.block_lens().map(|len| len.div_ceil(entries_max)).sum();
        let (_, groups, idempotence, usual) = rest_of(stream, encodings);
        let given_back = groups.iter().any(|group| !group.given_back.is_empty());
        into.begin_stream(blocks, given_back, !(usual && idempotence.says_nothing()));
    }
    let (before, mut place) = (into.len(), place);
    while into.len() - before < piece_bytes {
        let mut entries = Vec::new();
        let next = log.show_block(place, |entry| {
            entries.push((id_of(entry.id), entry.fields().collect::<Vec<_>>()));
        });
        for block in entries.chunks(entries_max) {
            into.stream_block(block.iter().map(|(id, fields)| {
                let words = fields.iter().map(|(name, value)| {
                    (Element::Bytes(name.as_bytes()), Element::Bytes(value.as_bytes()))
                });
                (*id, words)
            }));
        }
        let Some(next) = next else { return Some(BEHIND_BLOCKS) };
        place = next;
    }
    Some(place)
}

/// What comes behind the entries; at the end whether nothing but what is usual was set for
/// producers.
fn rest_of<'a>(
    stream: &'a Stream,
    encodings: &Encodings,
) -> (Totals, Vec<Group<'a>>, Idempotence<'a>, bool) {
    let log = stream.log();
    let totals = Totals {
        length: log.len(),
        last_id: id_of(log.last_id()),
        first_id: id_of(log.first_id()),
        max_deleted_id: id_of(log.max_deleted_id()),
        entries_added: log.entries_added(),
    };
    let groups: Vec<Group<'_>> = stream.groups().map(group_of).collect();
    let usual = default_settings(encodings);
    let settings = stream.idempotency().map_or(usual, stream::Idempotency::settings);
    let idempotence = idempotence_of(stream.idempotency(), settings);
    (totals, groups, idempotence, settings == usual)
}

fn group_of(group: &stream::Group) -> Group<'_> {
    let numbers: Vec<_> = group.consumers().map(|(number, _)| number).collect();
    let consumers = group.consumers().map(|(_, consumer)| Consumer {
        name: consumer.name().into(),
        seen_ms: consumer.seen_ms() as i64,
        active_ms: consumer.active_ms().map_or(-1, |active_ms| active_ms as i64),
    });
    let pending = group.pending_from(StreamId::MIN).map(|entry| Pending {
        id: id_of(entry.id),
        delivered_ms: entry.delivered_ms() as i64,
        deliveries: entry.deliveries as u64,
        consumer: entry.owner.and_then(|owner| numbers.iter().position(|&it| it == owner)),
    });
    Group {
        name: group.name().into(),
        last_id: id_of(group.last_delivered()),
        entries_read: group.entries_read().map(|read| read as u64),
        consumers: consumers.collect(),
        pending: pending.collect(),
        given_back: group.released().into_iter().map(id_of).collect(),
    }
}

fn idempotence_of(known: Option<&stream::Idempotency>, settings: Settings) -> Idempotence<'_> {
    let mut idempotence = Idempotence {
        duration_secs: settings.duration_secs,
        names_max: settings.names_max as u64,
        ..Idempotence::default()
    };
    let Some(known) = known else { return idempotence };
    let producers = &mut idempotence.producers;
    for (producer, name, id, _) in known.sent() {
        if producers.last().is_none_or(|last| *last.name != *producer) {
            producers.push(Producer { name: producer.into(), messages: Vec::new() });
        }
        if let Some(last) = producers.last_mut() {
            last.messages.push((name.into(), id_of(id)));
        }
    }
    let counts = known.counts(0);
    (idempotence.added, idempotence.repeated) = (counts.added, counts.duplicates);
    idempotence
}

impl Build for Stream {
    fn add(&mut self, item: Item<'_>, setting: &Setting<'_>) -> Result<(), Corrupt> {
        match item {
            Item::StreamEntry { id, fields, starts_block, is_deleted } => {
                let mut buffers = Vec::new();
                let words = words_of(fields, &mut buffers);
                let words = words.iter().copied();
                add_entry(self.log_mut(), stream_id(id), words, starts_block, is_deleted)
            }
            Item::StreamTotals(totals) => {
                let (last, deleted) = (stream_id(totals.last_id), stream_id(totals.max_deleted_id));
                if self.log_mut().set_counters(last, deleted, totals.entries_added) {
                    Ok(())
                } else {
                    Err(Corrupt("a stream with other identifiers than it says"))
                }
            }
            Item::StreamGroup(group) => add_group(self, group),
            Item::StreamIdempotence(known) => add_idempotence(self, known, setting.encodings),
            _ => Err(STRAY),
        }
    }
}

/// Deleted entries keep their place, so that trimming stops where it would have stopped; where one
/// is in the way of an entry that came after XSETID went back, it goes.
fn add_entry<'a>(
    log: &mut Log,
    id: StreamId,
    words: impl Iterator<Item = &'a [u8]> + Clone,
    starts_block: bool,
    is_deleted: bool,
) -> Result<(), Corrupt> {
    if id == StreamId::MIN || log.restore(id, words.clone(), starts_block, is_deleted) {
        return Ok(());
    }
    let last = log.last_entry_id().unwrap_or_default();
    let done = is_deleted
        || log.set_counters(last, StreamId::MIN, 0)
            && log.restore(id, words, starts_block, is_deleted);
    if done { Ok(()) } else { Err(Corrupt("entries out of order")) }
}

/// Names and values in turn; integers are spelled into `buffers`.
fn words_of<'a>(
    fields: &[(Element<'a>, Element<'a>)],
    buffers: &'a mut Vec<itoa::Buffer>,
) -> Vec<&'a [u8]> {
    buffers.resize_with(2 * fields.len(), itoa::Buffer::new);
    let elements = fields.iter().flat_map(|&(name, value)| [name, value]);
    elements.zip(buffers).map(|(element, buffer)| element.bytes(buffer)).collect()
}

fn millis(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default()
}

fn add_group(stream: &mut Stream, new: &Group<'_>) -> Result<(), Corrupt> {
    let read = new.entries_read.map(|read| read as i64);
    if !stream.add_group(&new.name, stream_id(new.last_id), read) {
        return Err(TWICE);
    }
    let added = stream.edit_group(&new.name, |_, group| {
        let mut numbers = Vec::new();
        for consumer in &new.consumers {
            let seen_ms = millis(consumer.seen_ms);
            let number = group.add_consumer(&consumer.name, seen_ms).ok_or(TWICE)?;
            group.set_active(number, u64::try_from(consumer.active_ms).ok());
            numbers.push(number);
        }
        for entry in &new.pending {
            let id = stream_id(entry.id);
            // As in Redis the number may be any of 64 bits.
            let deliveries = entry.deliveries as i64;
            if let Some(index) = entry.consumer {
                let (owner, delivered_ms) = (numbers[index], millis(entry.delivered_ms));
                let deliveries = Deliveries::Set(deliveries);
                group.claim(id, Claim { owner, delivered_ms, deliveries });
            }
        }
        for &id in &new.given_back {
            let entry = new.pending.binary_search_by_key(&id, |entry| entry.id);
            let entry = entry.map_err(|_| STRAY)?;
            group.release(stream_id(id), new.pending[entry].deliveries as i64);
        }
        Ok(())
    });
    added.unwrap_or(Err(STRAY))
}

fn add_idempotence(
    stream: &mut Stream,
    new: &Idempotence<'_>,
    encodings: &Encodings,
) -> Result<(), Corrupt> {
    if !(1..=DURATION_SECS_MAX).contains(&new.duration_secs)
        || !(1..=NAMES_MAX).contains(&new.names_max)
    {
        return Err(Corrupt("settings that cannot be"));
    }
    let settings = Settings { duration_secs: new.duration_secs, names_max: new.names_max as usize };
    let is_new = settings == default_settings(encodings)
        && new.producers.is_empty()
        && (new.added, new.repeated) == (0, 0);
    if is_new {
        return Ok(());
    }
    let known = stream.idempotency_mut(settings);
    for producer in &new.producers {
        // When a name was given is not written: about when its entry was added.
        let oldest_first: BTreeMap<Id, &[u8]> =
            producer.messages.iter().map(|(name, id)| (*id, &**name)).collect();
        for (id, name) in oldest_first {
            known.restore(&producer.name, name, stream_id(id), id.ms);
        }
    }
    known.set_counters(new.added, new.repeated);
    Ok(())
}
