//! Streams as logs: how long they are, ranges of entries, deletion, counters.

use super::Cx;
use super::arguments::integer;
use super::spec::{Command, Flags, one_key};
use super::stream_words::{
    ENTRIES, ROW, WRITE_FAST, interval_end, interval_start, reply_entries, stream_at, strict_id,
    strict_ids,
};
use crate::args::Args;
use crate::error::Error;
use crate::value::stream::{Deleted, References, Stream, StreamId};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "XLEN",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO"])],
        summary: "Returns how many entries a stream has.",
        reply: "integer",
        run: xlen,
        ..ROW
    },
    Command {
        name: "XRANGE",
        syntax: "key start:string end:string [COUNT count]",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        complexity: "O(N) where N is the number of entries returned",
        summary: "Returns the entries between two ids.",
        reply: ENTRIES,
        run: |cx, args| range(cx, args, false),
        ..ROW
    },
    Command {
        name: "XREVRANGE",
        syntax: "key end:string start:string [COUNT count]",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        complexity: "O(N) where N is the number of entries returned",
        summary: "Returns the entries between two ids, the last first.",
        reply: ENTRIES,
        run: |cx, args| range(cx, args, true),
        ..ROW
    },
    Command {
        name: "XDEL",
        syntax: "key id [id ...]",
        arity: -3,
        flags: WRITE_FAST,
        keys: &[one_key(&["RW", "DELETE"])],
        complexity: "O(1) for each id, whatever the length of the stream",
        summary: "Deletes entries; returns how many there were.",
        reply: "integer",
        run: xdel,
        ..ROW
    },
    Command {
        name: "XDELEX",
        syntax: "key [KEEPREF | DELREF | ACKED] IDS numids:integer id [id ...]",
        arity: -5,
        flags: WRITE_FAST,
        keys: &[one_key(&["RW", "DELETE"])],
        since: "8.2.0",
        complexity: "O(1) for each id, whatever the length of the stream",
        summary: "Deletes entries and says how references of consumer groups to them are treated.",
        reply: "array<integer>",
        run: xdelex,
        ..ROW
    },
    Command {
        name: "XSETID",
        syntax: "key last-id [ENTRIESADDED entries-added:integer] [MAXDELETEDID max-deleted-id]",
        arity: -3,
        flags: WRITE_FAST.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "UPDATE"])],
        summary: "Sets the last id of a stream, and what it counts.",
        reply: "ok",
        run: xsetid,
        ..ROW
    },
];

fn xlen(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let len = match cx.find_read(args.at(1)) {
        Some(found) => stream_at(cx, found)?.log().len(),
        None => 0,
    };
    cx.reply.count(len as usize);
    Ok(())
}

/// `XRANGE key start end [COUNT count]`, `XREVRANGE key end start [COUNT count]`
fn range(cx: &mut Cx<'_>, args: Args<'_>, reverse: bool) -> Result<(), Error> {
    let (start_at, end_at) = if reverse { (3, 2) } else { (2, 3) };
    let start = interval_start(args.at(start_at))?;
    let end = interval_end(args.at(end_at))?;
    let mut count = None;
    let mut index = 4;
    while index < args.len() {
        let word = args.opt(index + 1).filter(|_| args.is(index, "COUNT")).ok_or(Error::Syntax)?;
        count = Some(usize::try_from(integer(word)?.max(0)).unwrap_or(usize::MAX));
        index += 2;
    }
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.array(0);
        return Ok(());
    };
    let log = cx.state.keyspace.db(cx.session.db).value(found).stream()?.log();
    match (count, reverse) {
        (Some(0), _) => cx.reply.null_array(),
        (_, false) => reply_entries(cx.reply, log.range(start, end), count),
        (_, true) => reply_entries(cx.reply, log.range_back(start, end), count),
    }
    Ok(())
}

/// `XDEL key id [id ...]`
fn xdel(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let Some(found) = cx.find(key) else {
        cx.reply.integer(0);
        return Ok(());
    };
    stream_at(cx, found)?;
    let ids = strict_ids(args, 2)?;
    let deleted = cx.edit_found(found, |_, stream: &mut Stream| {
        ids.iter().filter(|&&id| stream.log_mut().delete(id)).count()
    })?;
    if deleted > 0 {
        cx.changed(key, "xdel");
    }
    cx.reply.count(deleted);
    Ok(())
}

/// The `[KEEPREF | DELREF | ACKED] IDS numids id [id ...]` of XDELEX and XACKDEL.
pub(super) struct Doomed {
    pub(super) references: References,
    /// Where the ids are.
    first: usize,
    pub(super) count: usize,
}

impl Doomed {
    /// Reads the words from `from` on, but not the ids.
    pub(super) fn parse(args: Args<'_>, from: usize) -> Result<Self, Error> {
        let mut references = None;
        let mut ids = None;
        let mut index = from;
        while index < args.len() {
            let word = WORDS.iter().find(|(word, _)| args.is(index, word));
            if let Some(&(_, value)) = word
                && references.is_none()
            {
                references = Some(value);
                index += 1;
            } else if args.is(index, "IDS") && index + 1 < args.len() {
                let count = id_count(args, index + 1)?;
                ids = Some((index + 2, count));
                index += 2 + count;
            } else {
                return Err(Error::Syntax);
            }
        }
        let (first, count) = ids.ok_or(Error::Syntax)?;
        Ok(Self { references: references.unwrap_or_default(), first, count })
    }

    /// The ids.
    pub(super) fn ids(&self, args: Args<'_>) -> Result<Vec<StreamId>, Error> {
        args.from(self.first).take(self.count).map(strict_id).collect()
    }

    /// The reply about entries of a stream or group that is not there.
    pub(super) fn reply_missing(&self, cx: &mut Cx<'_>) {
        cx.reply.array(self.count);
        for _ in 0..self.count {
            cx.reply.integer(MISSING);
        }
    }
}

/// What options say about references.
pub(super) const WORDS: [(&str, References); 3] =
    [("KEEPREF", References::Keep), ("DELREF", References::Drop), ("ACKED", References::Acked)];

/// Reply for an id that is not there.
pub(super) const MISSING: i64 = -1;
/// Reply for an entry that was deleted.
pub(super) const DONE: i64 = 1;
/// Reply for an entry that references keep.
pub(super) const REFERRED: i64 = 2;

fn id_count(args: Args<'_>, index: usize) -> Result<usize, Error> {
    let count = integer(args.at(index)).ok().filter(|&count| count > 0);
    let count = count.ok_or(Error::fixed("ERR Number of IDs must be a positive integer"))?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > args.len() - index - 1 {
        let text = "ERR The `numids` parameter must match the number of arguments";
        return Err(Error::fixed(text));
    }
    Ok(count)
}

/// `XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]`
fn xdelex(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let found = cx.find(key);
    if let Some(found) = found {
        stream_at(cx, found)?;
    }
    let doomed = Doomed::parse(args, 2)?;
    let Some(found) = found else {
        doomed.reply_missing(cx);
        return Ok(());
    };
    let ids = doomed.ids(args)?;
    cx.reply.array(ids.len());
    let deleted = cx.edit_found(found, |cx, stream: &mut Stream| {
        let mut deleted = 0;
        for id in ids {
            let outcome = stream.delete(id, doomed.references);
            deleted += usize::from(outcome == Deleted::Done);
            cx.reply.integer(match outcome {
                Deleted::Missing => MISSING,
                Deleted::Done => DONE,
                Deleted::Referred => REFERRED,
            });
        }
        deleted
    })?;
    if deleted > 0 {
        cx.changed(key, "xdel");
    }
    Ok(())
}

/// `XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]`
fn xsetid(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let last_id = strict_id(args.at(2))?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut index = 3;
    while index < args.len() {
        let word = args.opt(index + 1).ok_or(Error::Syntax)?;
        if args.is(index, "ENTRIESADDED") {
            let number = u64::try_from(integer(word)?);
            added = Some(number.map_err(|_| Error::fixed("ERR entries_added must be positive"))?);
        } else if args.is(index, "MAXDELETEDID") {
            max_deleted = strict_id(word)?;
            if last_id < max_deleted {
                return Err(Error::fixed(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
        } else {
            return Err(Error::Syntax);
        }
        index += 2;
    }
    let key = args.at(1);
    let found = cx.find(key).ok_or(Error::NoSuchKey)?;
    let log = stream_at(cx, found)?.log();
    if log.last_entry_id().is_some_and(|last| last_id < last) {
        let text = "ERR The ID specified in XSETID is smaller than the target stream top item";
        return Err(Error::fixed(text));
    }
    if !log.is_empty() && added.is_some_and(|added| log.len() > added) {
        return Err(Error::fixed(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    cx.edit_found(found, |_, stream: &mut Stream| {
        let log = stream.log_mut();
        let max_deleted =
            if max_deleted == StreamId::MIN { log.max_deleted_id() } else { max_deleted };
        let is_set =
            log.set_counters(last_id, max_deleted, added.unwrap_or_else(|| log.entries_added()));
        debug_assert!(is_set, "no entry is after the last id");
    })?;
    cx.announce(key, "xsetid");
    cx.reply.ok();
    Ok(())
}
