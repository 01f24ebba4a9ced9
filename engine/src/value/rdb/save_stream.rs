//! Writing streams. The form is described at the reading side.

use super::listpack::Builder;
use super::stream::{Group, Id, Idempotence, Totals};
use super::writer::Writer;
use super::{Element, Saver, Target, types};

/// How many entries a block has at most, as in Redis by default. It must fit a listpack's number of
/// one byte.
pub const BLOCK_ENTRIES_MAX: u8 = 100;
/// No entry is added to a block of this size, as in Redis by default.
const BLOCK_BYTES: usize = 4096;

const SAME_FIELDS: i64 = 2;

/// Writes one stream: its entries first, all else in [`Self::finish`].
#[derive(Debug)]
pub struct StreamSaver {
    /// The blocks that are full.
    blocks: Writer,
    blocks_len: usize,
    block: Option<Block>,
}

/// A block that entries are added to.
#[derive(Debug)]
struct Block {
    master: Id,
    entries: u8,
    names: Vec<Vec<u8>>,
    listpack: Builder,
}

impl Block {
    fn new<'a>(master: Id, names: impl Iterator<Item = Element<'a>>) -> Self {
        let names: Vec<Vec<u8>> = names.map(Element::to_vec).collect();
        let mut listpack = Builder::default();
        // The number of valid entries is filled in at the end.
        for number in [0, 0, names.len() as i64] {
            listpack.push(Element::Integer(number));
        }
        names.iter().for_each(|name| listpack.push(Element::Bytes(name)));
        listpack.push(Element::Integer(0));
        Self { master, entries: 0, names, listpack }
    }

    fn is_full(&self) -> bool {
        self.entries == BLOCK_ENTRIES_MAX || self.listpack.len_bytes() >= BLOCK_BYTES
    }

    fn push<'a>(
        &mut self,
        id: Id,
        fields: impl Iterator<Item = (Element<'a>, Element<'a>)> + Clone,
    ) {
        let mut buffer = itoa::Buffer::new();
        let same = {
            let mut names = self.names.iter();
            fields
                .clone()
                .all(|(name, _)| names.next().is_some_and(|known| known == name.bytes(&mut buffer)))
                && names.next().is_none()
        };
        let listpack = &mut self.listpack;
        let before = listpack.count();
        listpack.push(Element::Integer(if same { SAME_FIELDS } else { 0 }));
        listpack.push(Element::Integer(id.ms.wrapping_sub(self.master.ms) as i64));
        listpack.push(Element::Integer(id.seq.wrapping_sub(self.master.seq) as i64));
        if same {
            fields.for_each(|(_, value)| listpack.push(value));
        } else {
            listpack.push(Element::Integer(fields.clone().count() as i64));
            for (name, value) in fields {
                listpack.push(name);
                listpack.push(value);
            }
        }
        let elements = listpack.count() - before;
        listpack.push(Element::Integer(elements as i64));
        self.entries += 1;
    }

    fn finish(mut self, blocks: &mut Writer) {
        self.listpack.set_first(self.entries);
        blocks.bytes(&self.master.to_bytes());
        blocks.bytes(&self.listpack.finish());
    }
}

impl StreamSaver {
    /// A stream whose blocks are compressed or not.
    pub fn new(compress: bool) -> Self {
        Self { blocks: Writer::new(compress), blocks_len: 0, block: None }
    }

    /// Adds an entry. Identifiers ascend; there is at least one field.
    pub fn entry<'a>(
        &mut self,
        id: Id,
        fields: impl Iterator<Item = (Element<'a>, Element<'a>)> + Clone,
    ) {
        if self.block.as_ref().is_some_and(Block::is_full) {
            self.end_block();
        }
        let new = || Block::new(id, fields.clone().map(|(name, _)| name));
        self.block.get_or_insert_with(new).push(id, fields);
    }

    fn end_block(&mut self) {
        if let Some(block) = self.block.take() {
            block.finish(&mut self.blocks);
            self.blocks_len += 1;
        }
    }

    /// All else, and writes it. What only newer readers understand is written only if there is
    /// something to say: of `idempotence`, if it has more than settings that are `usual`.
    pub fn finish(
        mut self,
        saver: &mut Saver,
        totals: &Totals,
        groups: &[Group<'_>],
        idempotence: &Idempotence<'_>,
        usual: bool,
    ) {
        self.end_block();
        let Self { blocks, blocks_len, .. } = self;
        let given_back = groups.iter().any(|group| !group.given_back.is_empty());
        saver.begin_stream(blocks_len, given_back, !(usual && idempotence.says_nothing()));
        saver.writer.out.extend_from_slice(&blocks.out);
        saver.end_stream(totals, groups, idempotence);
    }
}

impl Saver {
    /// A stream of so many blocks, which are to follow. `given_back`: there are entries that were
    /// given back; `knows_producers`: there is something to say of them.
    pub fn begin_stream(&mut self, blocks: usize, given_back: bool, knows_producers: bool) {
        let (type_byte, version) = match self.target {
            _ if given_back => (types::STREAM_5, 14),
            _ if knows_producers => (types::STREAM_4, 13),
            Target::Redis70 => (types::STREAM_2, 10),
            Target::Redis72 | Target::Valkey9 => (types::STREAM_3, 11),
        };
        self.needs(version);
        self.begin(type_byte);
        self.stream_type = type_byte;
        self.writer.count(blocks);
    }

    /// The next block of the stream: entries in order, no more than [`BLOCK_ENTRIES_MAX`] and at
    /// least one, each with at least one field.
    pub fn stream_block<'a, F>(&mut self, entries: impl IntoIterator<Item = (Id, F)>)
    where
        F: Iterator<Item = (Element<'a>, Element<'a>)> + Clone,
    {
        let mut block = None;
        for (id, fields) in entries {
            let new = || Block::new(id, fields.clone().map(|(name, _)| name));
            block.get_or_insert_with(new).push(id, fields);
        }
        if let Some(block) = block {
            block.finish(&mut self.writer);
        }
    }

    /// What comes behind the blocks of the stream.
    pub fn end_stream(
        &mut self,
        totals: &Totals,
        groups: &[Group<'_>],
        idempotence: &Idempotence<'_>,
    ) {
        let (type_byte, writer) = (self.stream_type, &mut self.writer);
        writer.length(totals.length);
        for id in [totals.last_id, totals.first_id, totals.max_deleted_id] {
            writer.id(id);
        }
        writer.length(totals.entries_added);
        writer.count(groups.len());
        groups.iter().for_each(|group| write_group(writer, group, type_byte));
        if type_byte >= types::STREAM_4 {
            write_idempotence(writer, idempotence);
        }
    }
}

impl Idempotence<'_> {
    /// Whether there is nothing but settings.
    pub fn says_nothing(&self) -> bool {
        self.producers.is_empty() && (self.added, self.repeated) == (0, 0)
    }
}

fn write_group(writer: &mut Writer, group: &Group<'_>, type_byte: u8) {
    writer.text(Element::Bytes(&group.name));
    writer.id(group.last_id);
    // Unknown is written as -1.
    writer.length(group.entries_read.unwrap_or(u64::MAX));
    writer.count(group.pending.len());
    let mut owned = vec![Vec::new(); group.consumers.len()];
    for entry in &group.pending {
        writer.raw_id(entry.id);
        writer.millis(entry.delivered_ms);
        writer.length(entry.deliveries);
        if let Some(index) = entry.consumer {
            owned[index].push(entry.id);
        }
    }
    writer.count(group.consumers.len());
    for (consumer, owned) in group.consumers.iter().zip(owned) {
        writer.text(Element::Bytes(&consumer.name));
        writer.millis(consumer.seen_ms);
        if type_byte >= types::STREAM_3 {
            writer.millis(consumer.active_ms);
        }
        writer.count(owned.len());
        owned.into_iter().for_each(|id| writer.raw_id(id));
    }
    if type_byte >= types::STREAM_5 {
        writer.count(group.given_back.len());
        group.given_back.iter().for_each(|&id| writer.raw_id(id));
    }
}

fn write_idempotence(writer: &mut Writer, idempotence: &Idempotence<'_>) {
    writer.length(idempotence.duration_secs);
    writer.length(idempotence.names_max);
    writer.count(idempotence.producers.len());
    for producer in &idempotence.producers {
        writer.text(Element::Bytes(&producer.name));
        writer.count(producer.messages.len());
        for (name, id) in &producer.messages {
            writer.text(Element::Bytes(name));
            writer.id(*id);
        }
    }
    writer.length(idempotence.added);
    writer.length(idempotence.repeated);
}

#[cfg(test)]
mod tests {
    use super::super::stream::{Consumer, Pending, Producer};
    use super::super::{Dialect, Item, load};
    use super::*;

    type Entry = (Id, Vec<(Vec<u8>, Vec<u8>)>);

    fn id(ms: u64, seq: u64) -> Id {
        Id { ms, seq }
    }

    fn entries() -> Vec<Entry> {
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let mut entries = vec![(id(5, 10), vec![pair("a", "1"), pair("b", "x")])];
        for n in 0..250 {
            entries.push((id(6 + n / 3, n), vec![pair("a", "2"), pair("b", &n.to_string())]));
        }
        entries.push((id(1 << 50, 0), vec![pair("other", &"y".repeat(5000))]));
        entries.push((id(u64::MAX, u64::MAX), vec![pair("", "")]));
        entries
    }

    fn groups() -> Vec<Group<'static>> {
        let pending = |ms, consumer| Pending {
            id: id(ms, 0),
            delivered_ms: 1_700_000_000_000,
            deliveries: ms,
            consumer,
        };
        let consumer = |name: &'static str, active_ms| Consumer {
            name: name.as_bytes().into(),
            seen_ms: 7,
            active_ms,
        };
        vec![
            Group {
                name: b"g1"[..].into(),
                last_id: id(6, 1),
                entries_read: Some(2),
                consumers: vec![consumer("alice", 6), consumer("12", -1)],
                pending: vec![pending(5, Some(1)), pending(6, Some(0)), pending(9, Some(1))],
                given_back: Vec::new(),
            },
            Group {
                name: b"g2"[..].into(),
                last_id: id(0, 0),
                entries_read: None,
                consumers: Vec::new(),
                pending: Vec::new(),
                given_back: Vec::new(),
            },
        ]
    }

    fn save(
        target: Target,
        entries: &[Entry],
        groups: &[Group<'_>],
        idempotence: Option<&Idempotence<'_>>,
    ) -> (Vec<u8>, u16) {
        let mut saver = StreamSaver::new(true);
        for (id, fields) in entries {
            let element = |bytes| Element::Bytes(bytes);
            saver.entry(*id, fields.iter().map(|(a, b)| (element(a), element(b))));
        }
        let known = idempotence.cloned().unwrap_or_default();
        let mut written = Saver::new(target, true);
        let usual = idempotence.is_none();
        saver.finish(&mut written, &totals(entries), groups, &known, usual);
        written.into_value()
    }

    fn totals(entries: &[Entry]) -> Totals {
        Totals {
            length: entries.len() as u64,
            last_id: id(u64::MAX, u64::MAX),
            first_id: entries.first().map(|(id, _)| *id).unwrap_or_default(),
            max_deleted_id: id(3, 3),
            entries_added: 1000,
        }
    }

    #[track_caller]
    fn check(
        target: Target,
        groups: &[Group<'_>],
        idempotence: Option<&Idempotence<'_>>,
        version: u16,
    ) {
        let entries = entries();
        let (value, needed) = save(target, &entries, groups, idempotence);
        assert_eq!(needed, version);
        let mut read = Vec::new();
        let mut groups_left = groups.iter();
        load(&value, Dialect::Redis, &mut |item| {
            match item {
                Item::StreamEntry { id, fields, is_deleted: false, .. } => {
                    let pairs = fields.iter().map(|(a, b)| (a.to_vec(), b.to_vec()));
                    read.push((id, pairs.collect::<Vec<_>>()));
                }
                Item::StreamTotals(found) => assert_eq!(found, totals(&entries)),
                Item::StreamGroup(group) => {
                    let mut expected = groups_left.next().unwrap().clone();
                    if version == 10 {
                        // Not kept there.
                        expected.consumers.iter_mut().for_each(|c| c.active_ms = c.seen_ms);
                    }
                    assert_eq!(*group, expected);
                }
                Item::StreamIdempotence(found) => {
                    assert_eq!(*found, idempotence.cloned().unwrap_or_default());
                }
                other => panic!("{other:?}"),
            }
            Ok(())
        })
        .unwrap();
        assert!(groups_left.next().is_none() && read == entries);
        for len in (0..value.len()).step_by(3) {
            assert!(load(&value[..len], Dialect::Redis, &mut |_| Ok(())).is_err(), "{len}");
        }
    }

    #[test]
    fn streams_are_read_back_from_every_form() {
        check(Target::Redis70, &groups(), None, 10);
        check(Target::Redis72, &groups(), None, 11);
        check(Target::Valkey9, &[], None, 11);
        let idempotence = Idempotence {
            duration_secs: 100,
            names_max: 50,
            producers: vec![Producer {
                name: b"p"[..].into(),
                messages: vec![(b"m1"[..].into(), id(5, 10)), (b"m2"[..].into(), id(6, 0))],
            }],
            added: 2,
            repeated: 1,
        };
        check(Target::Redis72, &groups(), Some(&idempotence), 13);
        let mut given_back = groups();
        given_back[0].pending[1].consumer = None;
        given_back[0].pending[0].consumer = None;
        given_back[0].given_back = vec![id(6, 0), id(5, 0)];
        check(Target::Redis70, &given_back, None, 14);
    }

    #[test]
    fn streams_that_do_not_hold_together_are_refused() {
        let refused = |entries: &[Entry], groups: &[Group<'_>]| {
            let (value, _) = save(Target::Redis72, entries, groups, None);
            load(&value, Dialect::Redis, &mut |_| Ok(())).is_err()
        };
        let good = entries();
        assert!(!refused(&good, &groups()) && !refused(&[], &groups()));
        let mut entries = good.clone();
        entries.swap(3, 4);
        assert!(refused(&entries, &[]), "entries out of order");
        let mut entries = good.clone();
        entries[7].1.clear();
        assert!(refused(&entries, &[]), "an entry without fields");
        assert!(refused(&[(id(0, 0), good[0].1.clone())], &[]), "the identifier zero");
        let twice = [groups(), groups()].concat();
        assert!(refused(&good, &twice), "groups of one name");
        let mut changed = groups();
        changed[0].consumers[1].name = changed[0].consumers[0].name.clone();
        assert!(refused(&good, &changed), "consumers of one name");
        let mut changed = groups();
        changed[0].pending[1].consumer = None;
        assert!(refused(&good, &changed), "an entry that belongs to nobody");
        let mut changed = groups();
        changed[0].pending[1].id = changed[0].pending[0].id;
        assert!(refused(&good, &changed), "an entry pending twice");
        let mut totals = totals(&good);
        totals.length += 1;
        let mut value = Saver::new(Target::Redis72, false);
        let nothing = Idempotence::default();
        StreamSaver::new(false).finish(&mut value, &totals, &[], &nothing, true);
        assert!(load(&value.into_value().0, Dialect::Redis, &mut |_| Ok(())).is_err());
    }

    #[test]
    fn what_old_groups_have_read_is_guessed() {
        // Length 2, last 6-0, one group at 5-1, nothing pending, no consumers.
        let mut value = vec![types::STREAM, 1];
        let mut saver = StreamSaver::new(false);
        for ms in [5, 6] {
            saver.entry(id(ms, 1), [(Element::Integer(1), Element::Integer(2))].into_iter());
        }
        saver.end_block();
        value.extend_from_slice(&saver.blocks.out);
        for (group, expected) in [
            ((6, 1), Some(2)),
            ((5, 1), Some(1)),
            ((4, 0), Some(0)),
            ((5, 2), None),
            ((7, 0), None),
        ] {
            let tail = [2, 6, 1, 1, 1, b'g', group.0, group.1, 0, 0];
            let mut found = None;
            load(&[&value[..], &tail].concat(), Dialect::Redis, &mut |item| {
                if let Item::StreamGroup(group) = item {
                    found = Some(group.entries_read);
                }
                Ok(())
            })
            .unwrap();
            assert_eq!(found, Some(expected), "a group at {group:?}");
        }
    }
}
