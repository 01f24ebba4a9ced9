//! XINFO: what a stream, its groups and their consumers look like.
//!
//! What versions after 7.0 added is shown where it says something: figures of producers once one
//! has named itself, released entries once there are some.

use super::Cx;
use super::arguments::integer;
use super::help::help;
use super::spec::{Command, Flags};
use super::stream_group::second_word;
use super::stream_words::{
    ROW, close_array, no_group, reply_entries, reply_entry, reply_id, subcommand_syntax,
};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;
use crate::resp::Reply;
use crate::value::stream::{Consumer, Group, Pending, Stream, StreamId};

/// Entries that FULL shows, if nobody says otherwise.
const FULL_COUNT: usize = 10;

const INFO: Command = Command { flags: Flags::READONLY, ..ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "XINFO",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands that describe streams.",
        ..INFO
    },
    Command {
        name: "XINFO CONSUMERS",
        syntax: "key group",
        arity: 4,
        keys: &[second_word(&["RO", "ACCESS"])],
        tips: &["nondeterministic_output"],
        summary: "Describes the consumers of a group.",
        reply: "array<map<bulk, any>>",
        run: consumers,
        ..INFO
    },
    Command {
        name: "XINFO GROUPS",
        syntax: "key",
        arity: 3,
        keys: &[second_word(&["RO", "ACCESS"])],
        summary: "Describes the groups of a stream.",
        reply: "array<map<bulk, any>>",
        run: groups,
        ..INFO
    },
    Command {
        name: "XINFO HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..INFO
    },
    Command {
        name: "XINFO STREAM",
        syntax: "key [FULL [COUNT count]]",
        arity: -3,
        keys: &[second_word(&["RO", "ACCESS"])],
        summary: "Describes a stream.",
        reply: "map<bulk, any>",
        run: stream,
        ..INFO
    },
];

fn find(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Found, Error> {
    cx.find_read(args.at(2)).ok_or(Error::NoSuchKey)
}

/// `XINFO CONSUMERS key group`
fn consumers(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = find(cx, args)?;
    let now_ms = cx.stream_now_ms();
    let stream = cx.state.keyspace.db(cx.session.db).value(found).stream()?;
    let group = stream.group(args.at(3)).ok_or_else(|| no_group(args.at(2), args.at(3)))?;
    cx.reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        let inactive =
            consumer.active_ms().map_or(-1, |active| now_ms.saturating_sub(active) as i64);
        cx.reply.map(4);
        cx.reply.text("name");
        cx.reply.bulk(consumer.name());
        cx.reply.text("pending");
        cx.reply.count(consumer.pending_len());
        cx.reply.text("idle");
        cx.reply.integer(now_ms.saturating_sub(consumer.seen_ms()) as i64);
        cx.reply.text("inactive");
        cx.reply.integer(inactive);
    }
    Ok(())
}

/// `XINFO GROUPS key`
fn groups(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = find(cx, args)?;
    let stream = cx.state.keyspace.db(cx.session.db).value(found).stream()?;
    cx.reply.array(stream.groups().len());
    for group in stream.groups() {
        cx.reply.map(6);
        cx.reply.text("name");
        cx.reply.bulk(group.name());
        cx.reply.text("consumers");
        cx.reply.count(group.consumers().len());
        cx.reply.text("pending");
        cx.reply.count(group.pending_len());
        position(cx.reply, stream, group);
    }
    Ok(())
}

/// How far a group has read: three pairs.
fn position(reply: &mut Reply, stream: &Stream, group: &Group) {
    reply.text("last-delivered-id");
    reply_id(reply, group.last_delivered());
    reply.text("entries-read");
    integer_or_null(reply, group.entries_read());
    reply.text("lag");
    integer_or_null(reply, stream.lag(group));
}

fn integer_or_null(reply: &mut Reply, value: Option<i64>) {
    match value {
        Some(value) => reply.integer(value),
        None => reply.null(),
    }
}

/// `XINFO STREAM key [FULL [COUNT count]]`
fn stream(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = find(cx, args)?;
    let now_ms = cx.stream_now_ms();
    let stream = cx.state.keyspace.db(cx.session.db).value(found).stream()?;
    let full = match args.len() {
        3 => None,
        4 if args.is(3, "FULL") => Some(FULL_COUNT),
        6 if args.is(3, "FULL") && args.is(4, "COUNT") => {
            let count = integer(args.at(5))?;
            Some(usize::try_from(count).unwrap_or(FULL_COUNT))
        }
        _ => return Err(subcommand_syntax(args, "XINFO")),
    };
    let counted = if stream.idempotency().is_some() { 13 } else { 7 };
    match full {
        None => {
            cx.reply.map(counted + 3);
            counters(cx.reply, stream, now_ms);
            cx.reply.text("groups");
            cx.reply.count(stream.groups().len());
            for (name, entry) in [
                ("first-entry", stream.log().range(StreamId::MIN, StreamId::MAX).next()),
                ("last-entry", stream.log().range_back(StreamId::MIN, StreamId::MAX).next()),
            ] {
                cx.reply.text(name);
                match entry {
                    Some(entry) => reply_entry(cx.reply, entry),
                    None => cx.reply.null(),
                }
            }
        }
        Some(count) => {
            // None of anything means all of it.
            let count = if count == 0 { usize::MAX } else { count };
            cx.reply.map(counted + 2);
            counters(cx.reply, stream, now_ms);
            cx.reply.text("entries");
            let entries = stream.log().range(StreamId::MIN, StreamId::MAX);
            reply_entries(cx.reply, entries, Some(count));
            cx.reply.text("groups");
            cx.reply.array(stream.groups().len());
            for group in stream.groups() {
                full_group(cx.reply, stream, group, count);
            }
        }
    }
    Ok(())
}

/// What is counted about a stream: seven pairs, and six about producers if there are any.
fn counters(reply: &mut Reply, stream: &Stream, now_ms: u64) {
    let log = stream.log();
    reply.text("length");
    reply.count(log.len() as usize);
    // The blocks under their index are what the leaves under Redis's tree are.
    reply.text("radix-tree-keys");
    reply.count(log.blocks());
    reply.text("radix-tree-nodes");
    reply.count(log.blocks() + 1);
    reply.text("last-generated-id");
    reply_id(reply, log.last_id());
    reply.text("max-deleted-entry-id");
    reply_id(reply, log.max_deleted_id());
    reply.text("entries-added");
    reply.integer(log.entries_added() as i64);
    reply.text("recorded-first-entry-id");
    reply_id(reply, log.first_id());
    let Some(producers) = stream.idempotency() else { return };
    let (settings, counts) = (producers.settings(), producers.counts(now_ms));
    for (name, value) in [
        ("idmp-duration", settings.duration_secs),
        ("idmp-maxsize", settings.names_max as u64),
        ("pids-tracked", counts.producers as u64),
        ("iids-tracked", counts.names as u64),
        ("iids-added", counts.added),
        ("iids-duplicates", counts.duplicates),
    ] {
        reply.text(name);
        reply.integer(value as i64);
    }
}

fn full_group(reply: &mut Reply, stream: &Stream, group: &Group, count: usize) {
    let has_released = group.released_len() > 0;
    reply.map(7 + usize::from(has_released));
    reply.text("name");
    reply.bulk(group.name());
    position(reply, stream, group);
    reply.text("pel-count");
    reply.count(group.pending_len());
    if has_released {
        reply.text("nacked-count");
        reply.count(group.released_len());
    }
    reply.text("pending");
    let start = reply.out.len();
    let mut len = 0;
    for pending in group.pending_from(StreamId::MIN).take(count) {
        reply.array(4);
        reply_id(reply, pending.id);
        reply.bulk(pending.owner.map_or(&[], |owner| group.consumer(owner).name()));
        deliveries(reply, pending);
        len += 1;
    }
    close_array(reply, start, len);
    reply.text("consumers");
    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        full_consumer(reply, group, consumer, count);
    }
}

fn full_consumer(reply: &mut Reply, group: &Group, consumer: &Consumer, count: usize) {
    reply.map(5);
    reply.text("name");
    reply.bulk(consumer.name());
    reply.text("seen-time");
    reply.integer(consumer.seen_ms() as i64);
    reply.text("active-time");
    reply.integer(consumer.active_ms().map_or(-1, |active| active as i64));
    reply.text("pel-count");
    reply.count(consumer.pending_len());
    reply.text("pending");
    reply.array(consumer.pending_len().min(count));
    let ids = consumer.pending_from(StreamId::MIN).take(count);
    for pending in ids.filter_map(|id| group.pending(id)) {
        reply.array(3);
        reply_id(reply, pending.id);
        deliveries(reply, pending);
    }
}

/// When an entry was last delivered, and how often.
fn deliveries(reply: &mut Reply, pending: &Pending) {
    reply.integer(pending.delivered_ms() as i64);
    reply.integer(pending.deliveries);
}
