//! What a snapshot is written as: an RDB file, or commands (`aof-use-rdb-preamble no`).
//!
//! Commands are spelled as Redis spells them when it rewrites its log, so that either server reads
//! the other's. What commands cannot say of a stream (entries that were given back, producers,
//! deliveries of entries that are gone) is kept by giving its payload to RESTORE.
//!
//! Invariant: whoever runs the commands of a base has the keys of its moment, with their times.

use crate::config::Encodings;
use crate::evict::Usage;
use crate::keyspace::{Gave, Given, Value};
use crate::log::encode;
use crate::script::Libraries;
use crate::snapshot::{file, save};
use crate::value::number::format_double;
use crate::value::rdb::FileWriter;
use crate::value::stream::{Group, Stream, StreamId};

/// Elements that one command takes at most.
const ELEMENTS_PER_COMMAND: usize = 64;

/// What a snapshot is written with.
pub(super) enum Writer {
    /// An RDB file.
    Snapshot(FileWriter),
    /// Commands.
    Commands(Commands),
}

impl Writer {
    /// Adds an entry, or a piece of a big one; tells how many bytes that took. Commands are about a
    /// whole value.
    pub(super) fn add(&mut self, entry: &Given<'_>, usage: &Usage, encodings: &Encodings) -> Gave {
        match self {
            Self::Snapshot(writer) => file::add(writer, entry, usage, encodings),
            Self::Commands(commands) => Gave { bytes: commands.add(entry, encodings), rest: None },
        }
    }

    /// What was written since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Snapshot(writer) => writer.take(),
            Self::Commands(commands) => core::mem::take(&mut commands.out),
        }
    }

    /// How many bytes there are to take.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Snapshot(writer) => writer.len(),
            Self::Commands(commands) => commands.out.len(),
        }
    }

    /// The rest.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Snapshot(writer) => writer.finish(),
            Self::Commands(commands) => commands.finish(),
        }
    }

    /// The version of the RDB format that the keys so far need; commands have none.
    pub(super) fn version_needed(&self) -> u16 {
        match self {
            Self::Snapshot(writer) => writer.version_needed(),
            Self::Commands(_) => 0,
        }
    }

    /// Whether the keys need a newer version than the header says.
    pub(super) fn is_too_old(&self) -> bool {
        match self {
            Self::Snapshot(writer) => writer.is_too_old(),
            Self::Commands(_) => false,
        }
    }
}

/// A base as commands.
pub(super) struct Commands {
    out: Vec<u8>,
    /// Which database the last one was about.
    db: Option<usize>,
}

impl Commands {
    /// Begins with what is of no database: the time, if it is noted, and functions.
    pub(super) fn new(unix_secs: Option<u64>, libraries: &Libraries) -> Self {
        let mut commands = Self { out: Vec::new(), db: None };
        if let Some(secs) = unix_secs {
            commands.out.extend_from_slice(format!("#TS:{secs}\r\n").as_bytes());
        }
        for library in libraries.libraries().values() {
            commands.command(&[b"FUNCTION", b"LOAD", &library.text]);
        }
        commands
    }

    /// All of it.
    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn add(&mut self, entry: &Given<'_>, encodings: &Encodings) -> usize {
        let before = self.out.len();
        let key = entry.key;
        if self.db != Some(entry.db) {
            self.db = Some(entry.db);
            self.command(&[b"SELECT", itoa::Buffer::new().format(entry.db).as_bytes()]);
        }
        let mut batch = Batch::new(key);
        let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
        match entry.value {
            Value::Bytes(bytes) => self.command(&[b"SET", key, bytes]),
            Value::Integer(value) => {
                self.command(&[b"SET", key, digits.0.format(value).as_bytes()]);
            }
            Value::List(list) => list.elements().for_each(|element| {
                batch.add(&mut self.out, b"RPUSH", &[element.bytes(&mut digits.0)]);
            }),
            Value::Set(set) => set.iter().for_each(|member| {
                batch.add(&mut self.out, b"SADD", &[member.bytes(&mut digits.0)]);
            }),
            Value::Hash(hash) => hash.iter().for_each(|field| {
                let name = field.name.bytes(&mut digits.0);
                batch.add(&mut self.out, b"HMSET", &[name, field.value.bytes(&mut digits.1)]);
            }),
            Value::Zset(zset) => zset.iter().for_each(|(member, score)| {
                let (score, member) = (format_double(score), member.bytes(&mut digits.0));
                batch.add(&mut self.out, b"ZADD", &[score.as_bytes(), member]);
            }),
            Value::Stream(stream) if is_plain(stream) => self.stream(key, stream),
            Value::Stream(_) => {
                let payload = save(entry.value, encodings).into_payload();
                self.command(&[b"RESTORE", key, b"0", &payload]);
            }
        }
        batch.end(&mut self.out);
        if let Value::Hash(hash) = entry.value {
            for field in hash.iter() {
                let Some(deadline_ms) = field.deadline_ms else { continue };
                let (name, at) = (field.name.bytes(&mut digits.0), digits.1.format(deadline_ms));
                self.command(&[b"HPEXPIREAT", key, at.as_bytes(), b"FIELDS", b"1", name]);
            }
        }
        if let Some(deadline) = entry.deadline {
            self.command(&[b"PEXPIREAT", key, digits.0.format(deadline.0).as_bytes()]);
        }
        self.out.len() - before
    }

    fn stream(&mut self, key: &[u8], stream: &Stream) {
        let log = stream.log();
        for entry in log.range(StreamId::MIN, StreamId::MAX) {
            let id = entry.id.text();
            let fields: Vec<_> = entry.fields().collect();
            let fields = fields.iter().flat_map(|(name, value)| [name, value]);
            let mut words = vec![b"XADD".as_slice(), key, id.as_bytes()];
            words.extend(fields.map(|word| word.as_bytes()));
            self.command(&words);
        }
        if log.is_empty() {
            // An entry that is gone at once leaves a stream without any.
            self.command(&[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
        }
        self.command(&[
            b"XSETID",
            key,
            log.last_id().text().as_bytes(),
            b"ENTRIESADDED",
            itoa::Buffer::new().format(log.entries_added()).as_bytes(),
            b"MAXDELETEDID",
            log.max_deleted_id().text().as_bytes(),
        ]);
        stream.groups().for_each(|group| self.group(key, group));
    }

    fn group(&mut self, key: &[u8], group: &Group) {
        let name = group.name();
        self.command(&[
            b"XGROUP",
            b"CREATE",
            key,
            name,
            group.last_delivered().text().as_bytes(),
            b"ENTRIESREAD",
            itoa::Buffer::new().format(group.entries_read().unwrap_or(-1)).as_bytes(),
        ]);
        for (_, consumer) in group.consumers() {
            self.command(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
        }
        for pending in group.pending_from(StreamId::MIN) {
            let Some(owner) = pending.owner else { continue };
            self.command(&[
                b"XCLAIM",
                key,
                name,
                group.consumer(owner).name(),
                b"0",
                pending.id.text().as_bytes(),
                b"TIME",
                itoa::Buffer::new().format(pending.delivered_ms()).as_bytes(),
                b"RETRYCOUNT",
                itoa::Buffer::new().format(pending.deliveries).as_bytes(),
                b"JUSTID",
                b"FORCE",
            ]);
        }
    }

    fn command(&mut self, words: &[&[u8]]) {
        encode::command(&mut self.out, words.iter().copied());
    }
}

/// Whether commands can say all of it.
fn is_plain(stream: &Stream) -> bool {
    let is_there = |id| stream.log().entry(id).is_some();
    let is_plain = |group: &Group| {
        let mut pending = group.pending_from(StreamId::MIN);
        pending.all(|entry| entry.owner.is_some() && is_there(entry.id))
    };
    stream.idempotency().is_none() && stream.groups().all(is_plain)
}

/// Elements of one key that share a command.
struct Batch<'k> {
    key: &'k [u8],
    name: &'static [u8],
    words: Vec<u8>,
    /// How many words, and elements.
    counts: (usize, usize),
}

impl<'k> Batch<'k> {
    fn new(key: &'k [u8]) -> Self {
        Self { key, name: b"", words: Vec::new(), counts: (0, 0) }
    }

    fn add(&mut self, out: &mut Vec<u8>, name: &'static [u8], element: &[&[u8]]) {
        self.name = name;
        element.iter().for_each(|word| encode::bulk(&mut self.words, word));
        self.counts.0 += element.len();
        self.counts.1 += 1;
        if self.counts.1 == ELEMENTS_PER_COMMAND {
            self.end(out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.counts.1 == 0 {
            return;
        }
        encode::array(out, 2 + self.counts.0);
        encode::bulk(out, self.name);
        encode::bulk(out, self.key);
        out.append(&mut self.words);
        self.counts = (0, 0);
    }
}
