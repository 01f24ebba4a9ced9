//! SLOWLOG: the commands that took long; COMMANDLOG: those and the ones that were large.

use super::Cx;
use super::help::help;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::observe::{CommandLog, Observer};
use crate::resp::Reply;
use crate::value::number::parse_integer;

const ANY_TIME: Flags = Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE);
const SLOWLOG: Command =
    Command { arity: 2, flags: ANY_TIME, group: Group::Server, since: "2.2.12", ..Command::ROW };
const COMMANDLOG: Command = Command {
    arity: 3,
    flags: ANY_TIME,
    group: Group::Server,
    since: "valkey 8.1.0",
    ..Command::ROW
};

/// Id, second, microseconds or bytes, words, address and name of each.
const ENTRIES: &str = "array<[integer, integer, integer, array<bulk>, bulk, bulk]>";

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SLOWLOG",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about the log of slow commands.",
        ..SLOWLOG
    },
    Command {
        name: "SLOWLOG GET",
        syntax: "[count]",
        arity: -2,
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        complexity: "O(N) where N is the number of entries returned",
        summary: "Returns the newest entries of the log of slow commands, ten unless told.",
        reply: ENTRIES,
        run: slow_entries,
        ..SLOWLOG
    },
    Command {
        name: "SLOWLOG HELP",
        flags: Flags::LOADING.and(Flags::STALE),
        since: "6.2.0",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..SLOWLOG
    },
    Command {
        name: "SLOWLOG LEN",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        summary: "Returns how many entries the log of slow commands has.",
        reply: "integer",
        run: |cx, _| {
            cx.reply.count(cx.state.observer.slow.len());
            Ok(())
        },
        ..SLOWLOG
    },
    Command {
        name: "SLOWLOG RESET",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        complexity: "O(N) where N is the number of entries in the slowlog",
        summary: "Empties the log of slow commands.",
        reply: "ok",
        run: |cx, _| {
            cx.state.observer.slow.clear();
            cx.reply.ok();
            Ok(())
        },
        ..SLOWLOG
    },
    Command {
        name: "COMMANDLOG",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about the logs of slow and large commands.",
        ..COMMANDLOG
    },
    Command {
        name: "COMMANDLOG GET",
        syntax: "count:integer (SLOW | LARGE-REQUEST | LARGE-REPLY)",
        arity: 4,
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        complexity: "O(N) where N is the number of entries returned",
        summary: "Returns the newest entries of one of the logs of commands.",
        reply: ENTRIES,
        run: entries,
        ..COMMANDLOG
    },
    Command {
        name: "COMMANDLOG HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..COMMANDLOG
    },
    Command {
        name: "COMMANDLOG LEN",
        syntax: "(SLOW | LARGE-REQUEST | LARGE-REPLY)",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        summary: "Returns how many entries one of the logs of commands has.",
        reply: "integer",
        run: len,
        ..COMMANDLOG
    },
    Command {
        name: "COMMANDLOG RESET",
        syntax: "(SLOW | LARGE-REQUEST | LARGE-REPLY)",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        complexity: "O(N) where N is the number of entries in the commandlog",
        summary: "Empties one of the logs of commands.",
        reply: "ok",
        run: reset,
        ..COMMANDLOG
    },
];

/// `SLOWLOG GET [count]`
fn slow_entries(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(Error::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP.",
            String::from_utf8_lossy(args.at(1))
        )));
    }
    let count = args.opt(2).map_or(Ok(10), count)?;
    write(cx.reply, &cx.state.observer.slow, count);
    Ok(())
}

/// `COMMANDLOG GET count type`
fn entries(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let log = log(&mut cx.state.observer, args, 3)?;
    let count = count(args.at(2))?;
    write(cx.reply, log, count);
    Ok(())
}

fn len(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let log = log(&mut cx.state.observer, args, 2)?;
    cx.reply.count(log.len());
    Ok(())
}

fn reset(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    log(&mut cx.state.observer, args, 2)?.clear();
    cx.reply.ok();
    Ok(())
}

/// The log that word `index` names.
fn log<'a>(
    observer: &'a mut Observer,
    args: Args<'_>,
    index: usize,
) -> Result<&'a mut CommandLog, Error> {
    if args.is(index, "SLOW") {
        Ok(&mut observer.slow)
    } else if args.is(index, "LARGE-REQUEST") {
        Ok(&mut observer.large_requests)
    } else if args.is(index, "LARGE-REPLY") {
        Ok(&mut observer.large_replies)
    } else {
        Err(Error::fixed(
            "ERR type should be one of the following: slow, large-request, large-reply",
        ))
    }
}

/// How many entries are wanted; -1: all.
fn count(word: &[u8]) -> Result<usize, Error> {
    match parse_integer(word) {
        Some(-1) => Ok(usize::MAX),
        Some(count @ 0..) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
        _ => Err(Error::fixed("ERR count should be greater than or equal to -1")),
    }
}

fn write(reply: &mut Reply, log: &CommandLog, count: usize) {
    let count = count.min(log.len());
    reply.array(count);
    for entry in log.entries().take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.unix_secs as i64);
        reply.integer(i64::try_from(entry.amount).unwrap_or(i64::MAX));
        reply.array(entry.words.len());
        entry.words.iter().for_each(|word| reply.bulk(word));
        reply.text(&entry.address);
        reply.bulk(&entry.name);
    }
}
