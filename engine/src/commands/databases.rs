//! Whole databases: counting, emptying and exchanging them.

use super::Cx;
use super::spec::{Command, Databases, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::value::number::parse_integer;

const SERVER: Command = Command { group: Group::Server, ..Command::ROW };
/// Protected keys of one database that a flush keeps.
const PROTECTED_KEPT_MAX: usize = 100_000;

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
        syntax: "[ASYNC | SYNC] [FORCE]",
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
        syntax: "[ASYNC | SYNC] [FORCE]",
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
    let (dirty, spares) = (cx.state.dirty, spares_protected(args)?);
    let indexes = 0..cx.state.keyspace.count();
    check_protected(cx, indexes.clone(), spares)?;
    for index in indexes {
        flush_one(cx, index, spares);
    }
    cx.state.abort_background_save(cx.fx);
    log_flush(cx, args, dirty);
    cx.state.track_flush();
    cx.reply.ok();
    Ok(())
}

fn flush(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (index, dirty, spares) = (cx.session.db, cx.state.dirty, spares_protected(args)?);
    check_protected(cx, index..index + 1, spares)?;
    flush_one(cx, index, spares);
    log_flush(cx, args, dirty);
    cx.state.track_flush();
    cx.reply.ok();
    Ok(())
}

/// Whether protected keys stay: FORCE, which Redis does not have, takes them too. Both modes are
/// the same here: the keys are gone at once, their memory little by little.
fn spares_protected(args: Args<'_>) -> Result<bool, Error> {
    let is_mode = |index| args.is(index, "ASYNC") || args.is(index, "SYNC");
    match args.len() {
        1 => Ok(true),
        2 if is_mode(1) => Ok(true),
        2 if args.is(1, "FORCE") => Ok(false),
        3 if is_mode(1) && args.is(2, "FORCE") => Ok(false),
        _ => Err(Error::Syntax),
    }
}

/// Keys that stay are put into a new database in the same step: there must not be too many.
fn check_protected(
    cx: &Cx<'_>,
    mut indexes: core::ops::Range<usize>,
    spares: bool,
) -> Result<(), Error> {
    let too_many = |index| cx.state.keyspace.db(index).protected_len() > PROTECTED_KEPT_MAX;
    if spares && indexes.any(too_many) {
        return Err(Error::fixed(
            "ERR too many keys match 'protected-keys' to keep them; FORCE removes them too",
        ));
    }
    Ok(())
}

/// Flushing is logged also where there was nothing to flush.
fn log_flush(cx: &mut Cx<'_>, args: Args<'_>, dirty: u64) {
    if cx.state.dirty == dirty {
        cx.log_also(args.from(0));
    }
}

fn flush_one(cx: &mut Cx<'_>, index: usize, spares_protected: bool) {
    if !cx.state.keyspace.db(index).is_empty() {
        cx.state.touch_watched(index, None);
        cx.state.dirty += cx.state.keyspace.flush(index, spares_protected) as u64;
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
        cx.state.dirty += 1;
        cx.reply.ok();
        return Ok(());
    }
    // Nobody minds that a key whose time is over comes or goes.
    cx.state.end_watched_stale([first, second]);
    cx.state.touch_watched(first, Some(second));
    cx.state.touch_watched(second, Some(first));
    cx.state.keyspace.swap(first, second);
    cx.state.waits.touch_all(first);
    cx.state.waits.touch_all(second);
    cx.state.dirty += 1;
    cx.reply.ok();
    Ok(())
}
