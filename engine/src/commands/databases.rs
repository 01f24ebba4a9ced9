//! Whole databases: counting, emptying and exchanging them.

use super::Cx;
use super::spec::{Command, Databases, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::value::number::parse_integer;

const SERVER: Command = Command { group: Group::Server, ..Command::ROW };
const FLUSH_TIPS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "DBSIZE",
        arity: 1,
        flags: Flags::READONLY.and(Flags::FAST),
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        categories: &["keyspace"],
        summary: "Returns the number of keys in the database.",
        reply: "integer",
        run: size,
        ..SERVER
    },
    Command {
        name: "FLUSHALL",
        syntax: "[ASYNC | SYNC]",
        arity: -1,
        flags: Flags::WRITE,
        databases: Databases::Every,
        tips: FLUSH_TIPS,
        categories: &["keyspace", "dangerous"],
        complexity: "O(1); memory is given back in later steps",
        summary: "Removes all keys from all databases.",
        reply: "ok",
        run: flush_all,
        ..SERVER
    },
    Command {
        name: "FLUSHDB",
        syntax: "[ASYNC | SYNC]",
        arity: -1,
        flags: Flags::WRITE,
        tips: FLUSH_TIPS,
        categories: &["keyspace", "dangerous"],
        complexity: "O(1); memory is given back in later steps",
        summary: "Removes all keys from the database.",
        reply: "ok",
        run: flush,
        ..SERVER
    },
    Command {
        name: "SWAPDB",
        syntax: "index1 index2",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        databases: Databases::Named(|_| vec![1, 2]),
        categories: &["keyspace", "dangerous"],
        since: "4.0.0",
        summary: "Exchanges two databases, for all clients at once.",
        reply: "ok",
        run: swap,
        ..SERVER
    },
];

fn size(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let len = cx.state.keyspace.db(cx.session.db).len();
    cx.reply.count(len);
    Ok(())
}

fn flush_all(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_mode(args)?;
    for index in 0..cx.state.keyspace.count() {
        flush_one(cx, index);
    }
    cx.state.track_flush();
    cx.reply.ok();
    Ok(())
}

fn flush(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_mode(args)?;
    flush_one(cx, cx.session.db);
    cx.state.track_flush();
    cx.reply.ok();
    Ok(())
}

/// Both modes are the same here: the keys are gone at once, their memory little by little.
fn check_mode(args: Args<'_>) -> Result<(), Error> {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "ASYNC") || args.is(1, "SYNC") => Ok(()),
        _ => Err(Error::Syntax),
    }
}

fn flush_one(cx: &mut Cx<'_>, index: usize) {
    if !cx.state.keyspace.db(index).is_empty() {
        cx.state.touch_watched(index, None);
        cx.state.dirty += cx.state.keyspace.flush(index) as u64;
        cx.state.waits.touch_all(index);
    }
}

fn swap(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let index = |word: &[u8], text: &'static str| {
        let number = parse_integer(word).and_then(|number| i32::try_from(number).ok());
        number.ok_or_else(|| Error::fixed(text))
    };
    let first = index(args.at(1), "ERR invalid first DB index")?;
    let second = index(args.at(2), "ERR invalid second DB index")?;
    let known = |index: i32| {
        let index = usize::try_from(index).map_err(|_| Error::DbIndexOutOfRange)?;
        if index < cx.state.keyspace.count() { Ok(index) } else { Err(Error::DbIndexOutOfRange) }
    };
    let (first, second) = (known(first)?, known(second)?);
    if first == second {
        cx.reply.ok();
        return Ok(());
    }
    cx.state.touch_watched(first, Some(second));
    cx.state.touch_watched(second, Some(first));
    cx.state.keyspace.swap(first, second);
    cx.state.waits.touch_all(first);
    cx.state.waits.touch_all(second);
    cx.state.dirty += 1;
    cx.reply.ok();
    Ok(())
}
