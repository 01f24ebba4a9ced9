//! What is pending in a group: XPENDING shows it; XACK, XACKDEL and XNACK end it in different ways.

use super::Cx;
use super::arguments::integer;
use super::spec::{Command, Flags, one_key};
use super::stream::{DONE, Doomed, MISSING, REFERRED};
use super::stream_words::{
    ROW, WRITE_FAST, changed_silently, close_array, interval_end, interval_start, no_key_or_group,
    quoted, reply_id, stream_at, strict_id, strict_ids, wake,
};
use crate::args::Args;
use crate::error::Error;
use crate::resp::Reply;
use crate::value::stream::{Deleted, Group, Pending, Stream, StreamId};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "XACK",
        syntax: "key group id [id ...]",
        arity: -4,
        flags: WRITE_FAST,
        keys: &[one_key(&["RW", "UPDATE"])],
        complexity: "O(1) for each id",
        summary: "Says that entries were processed; returns how many were pending.",
        reply: "integer",
        run: xack,
        ..ROW
    },
    Command {
        name: "XACKDEL",
        syntax: "key group [KEEPREF | DELREF | ACKED] IDS numids:integer id [id ...]",
        arity: -6,
        flags: WRITE_FAST,
        keys: &[one_key(&["RW", "UPDATE", "DELETE"])],
        since: "8.2.0",
        complexity: "O(1) for each id",
        summary: "Says that entries were processed, and deletes them.",
        reply: "array<integer>",
        run: xackdel,
        ..ROW
    },
    Command {
        name: "XNACK",
        syntax: "key group (SILENT | FAIL | FATAL) IDS numids:integer id [id ...] \
            [RETRYCOUNT count] [FORCE]",
        arity: -7,
        flags: WRITE_FAST,
        keys: &[one_key(&["RW", "UPDATE"])],
        since: "8.8.0",
        complexity: "O(1) for each id",
        summary: "Gives pending entries back to the group, for any consumer to claim.",
        reply: "integer",
        run: xnack,
        ..ROW
    },
    Command {
        name: "XPENDING",
        syntax: "key group [[IDLE min-idle-time:integer] start:string end:string count [consumer]]",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        tips: &["nondeterministic_output"],
        complexity: "O(N) where N is the number of pending entries looked at",
        summary: "Returns what is pending in a group: the ends and who has how much, or entries.",
        reply: "[integer, bulk | null, bulk | null, array<[bulk, bulk]> | null] | \
            array<[bulk, bulk, integer, integer]>",
        run: xpending,
        ..ROW
    },
];

/// `XACK key group id [id ...]`
fn xack(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = cx.find_read(args.at(1));
    let has_group = match found {
        Some(found) => stream_at(cx, found)?.group(args.at(2)).is_some(),
        None => false,
    };
    let Some(found) = found.filter(|_| has_group) else {
        cx.reply.integer(0);
        return Ok(());
    };
    let ids = strict_ids(args, 3)?;
    let acknowledged = cx.edit_found(found, |_, stream: &mut Stream| {
        let acknowledge =
            |group: &mut Group| ids.iter().filter(|&&id| group.acknowledge(id)).count();
        stream.edit_group(args.at(2), |_, group| acknowledge(group))
    })?;
    let acknowledged = acknowledged.unwrap_or(0);
    if acknowledged > 0 {
        changed_silently(cx);
    }
    cx.reply.count(acknowledged);
    Ok(())
}

/// `XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]`
fn xackdel(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, group) = (args.at(1), args.at(2));
    let found = cx.find(key);
    let has_group = match found {
        Some(found) => stream_at(cx, found)?.group(group).is_some(),
        None => false,
    };
    let doomed = Doomed::parse(args, 3)?;
    let Some(found) = found.filter(|_| has_group) else {
        doomed.reply_missing(cx);
        return Ok(());
    };
    let ids = doomed.ids(args)?;
    cx.reply.array(ids.len());
    let (acknowledged, deleted) = cx.edit_found(found, |cx, stream: &mut Stream| {
        let (mut acknowledged, mut deleted) = (0, 0);
        for id in ids {
            let was_pending = stream.edit_group(group, |_, group| group.acknowledge(id));
            if was_pending != Some(true) {
                cx.reply.integer(MISSING);
                continue;
            }
            acknowledged += 1;
            let outcome = stream.delete(id, doomed.references);
            deleted += usize::from(outcome == Deleted::Done);
            // An entry that had gone before is deleted as well as one can.
            cx.reply.integer(if outcome == Deleted::Referred { REFERRED } else { DONE });
        }
        (acknowledged, deleted)
    })?;
    if deleted > 0 {
        cx.changed(key, "xdel");
    } else if acknowledged > 0 {
        changed_silently(cx);
    }
    Ok(())
}

/// What XNACK does with the number of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// `SILENT`: as if it had not been delivered.
    Silent,
    /// `FAIL`: it stays.
    Fail,
    /// `FATAL`: as high as it gets.
    Fatal,
}

/// The options of XNACK.
#[derive(Debug)]
struct Release {
    mode: Mode,
    ids: Vec<StreamId>,
    retry_count: Option<i64>,
    force: bool,
}

impl Release {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        const MODES: [(&str, Mode); 3] =
            [("SILENT", Mode::Silent), ("FAIL", Mode::Fail), ("FATAL", Mode::Fatal)];
        let mode = MODES.iter().find(|(word, _)| args.is(3, word));
        let &(_, mode) = mode.ok_or(Error::fixed("ERR mode must be SILENT, FAIL, or FATAL"))?;
        let mut release = Self { mode, ids: Vec::new(), retry_count: None, force: false };
        let mut index = 4;
        while index < args.len() {
            let has_more = index + 1 < args.len();
            if args.is(index, "IDS") && has_more {
                index += release.ids(args, index)?;
            } else if args.is(index, "RETRYCOUNT") && has_more {
                let count = integer(args.at(index + 1))?;
                if count < 0 {
                    return Err(Error::fixed("ERR Invalid RETRYCOUNT value, must be >= 0"));
                }
                release.retry_count = Some(count);
                index += 2;
            } else if args.is(index, "FORCE") {
                release.force = true;
                index += 1;
            } else {
                let word = quoted(args.at(index));
                return Err(Error::text(format!("ERR Unrecognized XNACK option '{word}'")));
            }
        }
        if release.ids.is_empty() {
            return Err(Error::fixed("ERR syntax error, expected IDS keyword"));
        }
        Ok(release)
    }

    /// `IDS numids id [id ...]`; returns how many words these are.
    fn ids(&mut self, args: Args<'_>, index: usize) -> Result<usize, Error> {
        let count = integer(args.at(index + 1)).ok().filter(|&count| count > 0);
        let count = count.ok_or(Error::fixed("ERR numids must be a positive integer"))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > args.len() - index - 2 {
            return Err(Error::fixed("ERR number of IDs doesn't match numids"));
        }
        self.ids = args.from(index + 2).take(count).map(strict_id).collect::<Result<_, _>>()?;
        Ok(2 + count)
    }

    /// The number of deliveries of an entry from now on; of one that was not pending if `None`.
    fn deliveries(&self, before: Option<i64>) -> i64 {
        let before = before.unwrap_or(0);
        self.retry_count.unwrap_or_else(|| match self.mode {
            Mode::Silent => before.saturating_sub(1).max(0),
            Mode::Fail => before,
            Mode::Fatal => i64::MAX,
        })
    }
}

/// `XNACK key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]`
fn xnack(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, group) = (args.at(1), args.at(2));
    let found = cx.find(key).ok_or_else(|| no_key_or_group(key, group))?;
    if stream_at(cx, found)?.group(group).is_none() {
        return Err(no_key_or_group(key, group));
    }
    let release = Release::parse(args)?;
    let released = cx.edit_found(found, |_, stream: &mut Stream| {
        stream.edit_group(group, |log, group| {
            let mut released = 0;
            for &id in &release.ids {
                let before = group.pending(id).map(|pending| pending.deliveries);
                if before.is_some() || release.force && log.entry(id).is_some() {
                    group.release(id, release.deliveries(before));
                    released += 1;
                }
            }
            released
        })
    })?;
    let released = released.unwrap_or(0);
    if released > 0 {
        changed_silently(cx);
        // Whoever waits for something to claim has it now.
        wake(cx, key);
    }
    cx.reply.count(released);
    Ok(())
}

/// The entries that XPENDING lists.
#[derive(Debug)]
struct Listing<'a> {
    start: StreamId,
    end: StreamId,
    count: usize,
    min_idle_ms: i64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Listing<'a> {
    /// `None`: only a summary is wanted.
    fn parse(args: Args<'a>) -> Result<Option<Self>, Error> {
        match args.len() {
            3 => return Ok(None),
            6..=9 => {}
            _ => return Err(Error::Syntax),
        }
        let (mut first, mut min_idle_ms) = (3, 0);
        if args.is(3, "IDLE") {
            min_idle_ms = integer(args.at(4))?;
            if args.len() < 8 {
                return Err(Error::Syntax);
            }
            first = 5;
        }
        let count = integer(args.at(first + 2))?.max(0);
        Ok(Some(Self {
            start: interval_start(args.at(first))?,
            end: interval_end(args.at(first + 1))?,
            count: usize::try_from(count).unwrap_or(usize::MAX),
            min_idle_ms,
            consumer: args.opt(first + 3),
        }))
    }
}

/// `XPENDING key group [[IDLE min-idle-time] start:string end:string count [consumer]]`
fn xpending(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let listing = Listing::parse(args)?;
    let (key, name) = (args.at(1), args.at(2));
    let found = cx.find_read(key).ok_or_else(|| no_key_or_group(key, name))?;
    let now_ms = cx.stream_now_ms();
    let stream = cx.state.keyspace.db(cx.session.db).value(found).stream()?;
    let group = stream.group(name).ok_or_else(|| no_key_or_group(key, name))?;
    let Some(listing) = listing else {
        summarize(cx.reply, group);
        return Ok(());
    };
    let all = group.pending_from(listing.start);
    match listing.consumer.map(|name| group.find_consumer(name)) {
        None => list(cx.reply, group, all, &listing, now_ms),
        // Nothing is pending with somebody who is not there.
        Some(None) => cx.reply.array(0),
        Some(Some(number)) => {
            let ids = group.consumer(number).pending_from(listing.start);
            let own = ids.filter_map(|id| group.pending(id));
            list(cx.reply, group, own, &listing, now_ms);
        }
    }
    Ok(())
}

/// The ends, and who has how much.
fn summarize(reply: &mut Reply, group: &Group) {
    reply.array(4);
    reply.count(group.pending_len());
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(reply, first);
    reply_id(reply, last);
    let (start, mut len) = (reply.out.len(), 0);
    for (_, consumer) in group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
        len += 1;
    }
    close_array(reply, start, len);
}

/// One line for each entry.
fn list<'a>(
    reply: &mut Reply,
    group: &Group,
    pending: impl Iterator<Item = &'a Pending>,
    listing: &Listing<'_>,
    now_ms: u64,
) {
    let start = reply.out.len();
    let mut len = 0;
    // A negative limit is no limit.
    let min_idle_ms = u64::try_from(listing.min_idle_ms).unwrap_or(0);
    let wanted = pending
        .take_while(|pending| pending.id <= listing.end)
        .filter(|pending| pending.idle_ms(now_ms) >= min_idle_ms)
        .take(listing.count);
    for pending in wanted {
        len += 1;
        reply.array(4);
        reply_id(reply, pending.id);
        reply.bulk(pending.owner.map_or(&[], |owner| group.consumer(owner).name()));
        reply.integer(pending.owner.map_or(-1, |_| pending.idle_ms(now_ms) as i64));
        reply.integer(pending.deliveries);
    }
    close_array(reply, start, len);
}
