//! The scripts that a server knows: SCRIPT.

use super::Cx;
use super::help::help;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::script::{Brought, Running, Sha};

const SCRIPT: Command =
    Command { flags: Flags::NOSCRIPT, group: Group::Scripting, since: "2.6.0", ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SCRIPT",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on the subcommand",
        summary: "The scripts that the server knows.",
        ..SCRIPT
    },
    Command {
        name: "SCRIPT DEBUG",
        syntax: "YES | SYNC | NO",
        arity: 3,
        since: "3.2.0",
        summary: "There is no debugger of scripts: only NO succeeds.",
        reply: "ok",
        run: debug,
        ..SCRIPT
    },
    Command {
        name: "SCRIPT EXISTS",
        syntax: "sha1 [sha1 ...]",
        arity: -3,
        tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
        complexity: "O(N) where N is the number of SHA-1s",
        summary: "Says which scripts are known.",
        reply: "array<integer>",
        run: exists,
        ..SCRIPT
    },
    Command {
        name: "SCRIPT FLUSH",
        syntax: "[ASYNC | SYNC]",
        arity: -2,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        complexity: "O(N) where N is the number of scripts",
        summary: "Forgets all scripts.",
        reply: "ok",
        run: flush,
        ..SCRIPT
    },
    Command {
        name: "SCRIPT HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "5.0.0",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..SCRIPT
    },
    Command {
        name: "SCRIPT KILL",
        arity: 2,
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        summary: "Ends the running script.",
        reply: "ok",
        run: kill,
        ..SCRIPT
    },
    Command {
        name: "SCRIPT LOAD",
        syntax: "script",
        arity: 3,
        flags: Flags::NOSCRIPT.and(Flags::STALE),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        complexity: "O(N) where N is the length of the script",
        summary: "Makes a script known and returns its SHA-1.",
        reply: "bulk",
        run: load,
        ..SCRIPT
    },
    Command {
        name: "SCRIPT SHOW",
        syntax: "sha1",
        arity: 3,
        flags: Flags::NOSCRIPT.and(Flags::STALE),
        since: "valkey 8.0.0",
        summary: "Returns the text of a script.",
        reply: "bulk",
        run: show,
        ..SCRIPT
    },
];

fn debug(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.is(2, "YES") || args.is(2, "SYNC") {
        return Err(Error::fixed("ERR there is no debugger of scripts"));
    }
    if !args.is(2, "NO") {
        return Err(Error::fixed("ERR Use SCRIPT DEBUG YES/SYNC/NO"));
    }
    cx.reply.ok();
    Ok(())
}

fn exists(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(args.len() - 2);
    for word in args.from(2) {
        let known = Sha::parse(word).and_then(|sha| cx.state.scripts.find(sha));
        cx.reply.integer(known.is_some().into());
    }
    Ok(())
}

fn flush(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let known = args.is(2, "SYNC") || args.is(2, "ASYNC");
    if args.len() > 3 || args.len() == 3 && !known {
        return Err(Error::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    cx.state.scripts.flush();
    cx.reply.ok();
    Ok(())
}

fn kill(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    end_running(cx, |running| running.program.function().is_none())
}

/// What runs ends at its next pause, and what it has written is undone.
pub(super) fn end_running(cx: &mut Cx<'_>, is_meant: fn(&Running) -> bool) -> Result<(), Error> {
    let Some(running) = &mut cx.state.running_script else {
        return Err(Error::fixed("NOTBUSY No scripts in execution right now."));
    };
    let can_undo = cx.state.keyspace.undo().is_some_and(|undo| !undo.is_lost());
    if running.has_written && !can_undo {
        return Err(Error::fixed(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You \
             can either wait the script termination or kill the server in a hard way using the \
             SHUTDOWN NOSAVE command.",
        ));
    }
    if !is_meant(running) {
        return Err(running.program.busy());
    }
    running.ending = Some("ERR Script killed by user with SCRIPT KILL.".to_owned());
    cx.reply.ok();
    Ok(())
}

fn load(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let memory_bytes_max = cx.state.config.script_memory_bytes_max;
    let script = cx.state.scripts.load(args.at(2), Brought::ToStay, memory_bytes_max);
    let sha = cx.state.scripts.script(script.map_err(Error::text)?).sha;
    cx.reply.text(&sha.to_string());
    Ok(())
}

fn show(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let script = Sha::parse(args.at(2)).and_then(|sha| cx.state.scripts.find(sha));
    let script = script.ok_or(Error::fixed("NOSCRIPT No matching script."))?;
    cx.reply.bulk(&cx.state.scripts.script(script).text);
    Ok(())
}
