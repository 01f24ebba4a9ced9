//! What the commands on streams have in common: ids and intervals as arguments, entries as replies,
//! the errors about groups.

use super::Cx;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;
use crate::resp::{Protocol, Reply};
use crate::value::stream::{Entry, IdRequest, Limits, Settings, Stream, StreamId};

/// Defaults for the rows of this group.
pub(super) const ROW: Command = Command { group: Group::Stream, since: "5.0.0", ..Command::ROW };
/// A command that writes in constant time.
pub(super) const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
/// How an entry is replied.
pub(super) const ENTRIES: &str = "array<[bulk, array<bulk>]> | null";

const INVALID_ID: Error =
    Error::fixed("ERR Invalid stream ID specified as stream command argument");

/// An id that must be spelled out: neither `-` nor `+`.
pub(super) fn strict_id(word: &[u8]) -> Result<StreamId, Error> {
    strict_id_or(word, 0)
}

fn strict_id_or(word: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    StreamId::parse(word, missing_seq).ok_or(INVALID_ID)
}

/// An id, `-` or `+`.
pub(super) fn any_id(word: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict_id_or(word, missing_seq),
    }
}

/// The id that XADD is to give.
pub(super) fn new_id(word: &[u8]) -> Result<IdRequest, Error> {
    IdRequest::parse(word).ok_or(INVALID_ID)
}

/// All words from `from` on as ids; any that is none is an error.
pub(super) fn strict_ids(args: Args<'_>, from: usize) -> Result<Vec<StreamId>, Error> {
    args.from(from).map(strict_id).collect()
}

/// The start of an interval; `(` excludes it.
pub(super) fn interval_start(word: &[u8]) -> Result<StreamId, Error> {
    match excluded(word) {
        None => any_id(word, 0),
        Some(rest) => strict_id_or(rest, 0)?
            .next()
            .ok_or(Error::fixed("ERR invalid start ID for the interval")),
    }
}

/// The end of an interval; `(` excludes it.
pub(super) fn interval_end(word: &[u8]) -> Result<StreamId, Error> {
    match excluded(word) {
        None => any_id(word, u64::MAX),
        Some(rest) => strict_id_or(rest, u64::MAX)?
            .previous()
            .ok_or(Error::fixed("ERR invalid end ID for the interval")),
    }
}

fn excluded(word: &[u8]) -> Option<&[u8]> {
    word.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

/// The limits of blocks that are in force.
pub(super) fn limits(cx: &Cx<'_>) -> Limits {
    let encodings = &cx.state.config.encodings;
    Limits {
        node_bytes: encodings.stream_node_bytes as u64,
        node_entries: encodings.stream_node_entries as u64,
    }
}

/// What is remembered of producers where nobody has said otherwise.
pub(super) fn producer_defaults(cx: &Cx<'_>) -> Settings {
    let encodings = &cx.state.config.encodings;
    Settings {
        duration_secs: encodings.stream_producer_secs,
        names_max: encodings.stream_producer_names,
    }
}

/// The stream at a found key.
pub(super) fn stream_at<'a>(cx: &'a Cx<'_>, found: Found) -> Result<&'a Stream, Error> {
    cx.state.keyspace.db(cx.session.db).value(found).stream()
}

/// Says that something was changed that Redis neither announces nor counts as a change of the key:
/// what is pending, and who reads.
pub(super) fn changed_silently(cx: &mut Cx<'_>) {
    cx.state.dirty += 1;
}

impl Cx<'_> {
    /// Now, for entries that are delivered and consumers that read: key time, unless it stands.
    pub(super) fn stream_now_ms(&self) -> u64 {
        if self.state.clock.stands() { self.now.wall.as_millis() } else { self.key_now().0 }
    }
}

/// Those who wait for a key are tried again, although Redis does not count it as changed.
pub(super) fn wake(cx: &mut Cx<'_>, key: &[u8]) {
    cx.state.waits.touch(cx.session.db, key);
}

/// Text that quotes bytes of the client, as C prints them: up to a zero byte.
pub(super) fn quoted(word: &[u8]) -> String {
    let end = word.iter().position(|&byte| byte == 0).unwrap_or(word.len());
    String::from_utf8_lossy(&word[..end]).into_owned()
}

/// No such key or group, in the words of most commands.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (quoted(key), quoted(group));
    Error::text(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

/// No such group, where the key is known to exist.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (quoted(key), quoted(group));
    Error::text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// What the containers say where arguments of a subcommand make no sense.
pub(super) fn subcommand_syntax(args: Args<'_>, container: &str) -> Error {
    let word = args.at(1);
    let word = quoted(&word[..word.len().min(128)]);
    Error::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {container} HELP."
    ))
}

/// Replies with an id.
#[inline]
pub(super) fn reply_id(reply: &mut Reply, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

/// Replies with an entry: its id and its fields.
pub(super) fn reply_entry(reply: &mut Reply, entry: Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply_fields(reply, entry);
}

/// Replies with the fields of an entry.
pub(super) fn reply_fields(reply: &mut Reply, entry: Entry<'_>) {
    reply.array(2 * entry.len());
    for (name, value) in entry.fields() {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

/// Replies with entries, all of them or the first `count`.
pub(super) fn reply_entries<'a>(
    reply: &mut Reply,
    entries: impl Iterator<Item = Entry<'a>>,
    count: Option<usize>,
) {
    let start = reply.out.len();
    let mut len = 0;
    for entry in entries.take(count.unwrap_or(usize::MAX)) {
        reply_entry(reply, entry);
        len += 1;
    }
    close_array(reply, start, len);
}

/// Makes an array of the `len` replies that were written from `start` on: its header is put before
/// them, since nobody knew how many there would be.
pub(super) fn close_array(reply: &mut Reply, start: usize, len: usize) {
    let end = reply.out.len();
    reply.array(len);
    let header = reply.out.len() - end;
    reply.out[start..].rotate_right(header);
}

/// Like [`close_array`], for pairs of a key and its entries: a map; in RESP2 an array of arrays,
/// for which [`open_pair`] has written the headers.
pub(super) fn close_pairs(reply: &mut Reply, start: usize, len: usize) {
    let end = reply.out.len();
    match reply.protocol {
        Protocol::Resp2 => reply.array(len),
        Protocol::Resp3 => reply.map(len),
    }
    let header = reply.out.len() - end;
    reply.out[start..].rotate_right(header);
}

/// See [`close_pairs`].
pub(super) fn open_pair(reply: &mut Reply, key: &[u8]) {
    if reply.protocol == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}
