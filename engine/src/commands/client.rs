//! CLIENT: what a client says and asks about its own connection.
//!
//! Listing, killing and pausing clients and tracking keys have their own files.

use super::Cx;
use super::help::help;
use super::spec::{Command, Flags, Group};
use super::table::table;
use crate::args::Args;
use crate::block::Ending;
use crate::error::Error;
use crate::input::ConnId;
use crate::session::ReplyMode;
use crate::value::number::parse_integer;

/// Most subcommands of CLIENT: any time, but from no script.
pub(super) const ANY_TIME: Flags =
    Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::KEEPS_CACHING);

const CLIENT: Command =
    Command { group: Group::Connection, flags: ANY_TIME, since: "6.0.0", ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CLIENT",
        arity: -2,
        flags: Flags::NONE,
        since: "2.4.0",
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about client connections.",
        ..CLIENT
    },
    Command {
        name: "CLIENT CAPA",
        syntax: "capability [capability ...]",
        arity: -3,
        flags: ANY_TIME.and(Flags::ALLOW_BUSY),
        since: "valkey 8.0.0",
        summary: "Tells the server what the client can do; unknown words are ignored.",
        reply: "ok",
        run: capa,
        ..CLIENT
    },
    Command {
        name: "CLIENT GETNAME",
        arity: 2,
        since: "2.6.9",
        summary: "Returns the name of the connection.",
        reply: "bulk | null",
        run: name,
        ..CLIENT
    },
    Command {
        name: "CLIENT HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::KEEPS_CACHING),
        since: "5.0.0",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..CLIENT
    },
    Command {
        name: "CLIENT ID",
        arity: 2,
        since: "5.0.0",
        summary: "Returns the number that names the connection; it is never used again.",
        reply: "integer",
        run: id,
        ..CLIENT
    },
    Command {
        name: "CLIENT IMPORT-SOURCE",
        syntax: "(ON | OFF)",
        arity: 3,
        since: "valkey 8.1.0",
        summary: "Marks the client as the source of an import.",
        reply: "ok",
        run: import_source,
        ..CLIENT
    },
    Command {
        name: "CLIENT NO-EVICT",
        syntax: "(ON | OFF)",
        arity: 3,
        flags: ANY_TIME.and(Flags::ADMIN),
        since: "7.0.0",
        summary: "Says whether the connection is spared when clients take too much memory.",
        reply: "ok",
        run: no_evict,
        ..CLIENT
    },
    Command {
        name: "CLIENT NO-TOUCH",
        syntax: "(ON | OFF)",
        arity: 3,
        since: "7.2.0",
        summary: "Says whether the client's reads count as use of the keys.",
        reply: "ok",
        run: no_touch,
        ..CLIENT
    },
    Command {
        name: "CLIENT REPLY",
        syntax: "(ON | OFF | SKIP)",
        arity: 3,
        since: "3.2.0",
        summary: "Says whether the server replies to the client's commands.",
        reply: "ok",
        run: reply,
        ..CLIENT
    },
    Command {
        name: "CLIENT SETINFO",
        syntax: "(LIB-NAME libname | LIB-VER libver)",
        arity: 4,
        since: "7.2.0",
        summary: "Tells the name or version of the client's library.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        reply: "ok",
        run: set_info,
        ..CLIENT
    },
    Command {
        name: "CLIENT SETNAME",
        syntax: "connection-name",
        arity: 3,
        since: "2.6.9",
        summary: "Gives the connection a name, or takes it away with an empty one.",
        reply: "ok",
        run: set_name_of_self,
        ..CLIENT
    },
    Command {
        name: "CLIENT UNBLOCK",
        syntax: "client-id [TIMEOUT | ERROR]",
        arity: -3,
        flags: ANY_TIME.and(Flags::ADMIN),
        since: "5.0.0",
        complexity: "O(log N) where N is the number of client connections",
        summary: "Ends the wait of a client that is blocked by a command.",
        reply: "integer",
        run: unblock,
        ..CLIENT
    },
];

/// A subcommand whose row takes any number of words has too many.
pub(super) fn too_many_words(args: Args<'_>) -> Error {
    let name = String::from_utf8_lossy(args.at(1));
    Error::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLIENT HELP."
    ))
}

/// ON or OFF at word `index`.
fn switch(args: Args<'_>, index: usize) -> Result<bool, Error> {
    if args.is(index, "ON") {
        Ok(true)
    } else if args.is(index, "OFF") {
        Ok(false)
    } else {
        Err(Error::Syntax)
    }
}

fn capa(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.session.redirects |= (2..args.len()).any(|index| args.is(index, "REDIRECT"));
    cx.reply.ok();
    Ok(())
}

fn name(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let name = &cx.session.name;
    cx.reply.bulk_or_null((!name.is_empty()).then_some(name));
    Ok(())
}

fn id(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(cx.session.id.0 as i64);
    Ok(())
}

fn import_source(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !args.is(2, "OFF") {
        return Err(Error::fixed("ERR Server is not in import mode"));
    }
    cx.reply.ok();
    Ok(())
}

fn no_evict(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.session.no_evict = switch(args, 2)?;
    cx.reply.ok();
    Ok(())
}

fn no_touch(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.session.no_touch = switch(args, 2)?;
    cx.reply.ok();
    Ok(())
}

/// OFF and SKIP themselves have no reply; SKIP does nothing while replies are off.
fn reply(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.is(2, "ON") {
        cx.session.reply_mode = ReplyMode::On;
        cx.reply.ok();
    } else if !cx.may_block() && (args.is(2, "OFF") || args.is(2, "SKIP")) {
        // Redis leaves a hole in the reply of EXEC, which no client can read then.
        return Err(Error::fixed("ERR CLIENT REPLY OFF and SKIP are not allowed in a transaction"));
    } else if args.is(2, "OFF") {
        cx.session.reply_mode = ReplyMode::Off;
    } else if args.is(2, "SKIP") {
        if cx.session.reply_mode != ReplyMode::Off {
            cx.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Error::Syntax);
    }
    Ok(())
}

fn set_info(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let value = args.at(3);
    let (field, label) = if args.is(2, "LIB-NAME") {
        (&mut cx.session.lib_name, "lib-name")
    } else if args.is(2, "LIB-VER") {
        (&mut cx.session.lib_ver, "lib-ver")
    } else {
        let option = String::from_utf8_lossy(args.at(2));
        return Err(Error::text(format!("ERR Unrecognized option '{option}'")));
    };
    if !is_printable(value) {
        return Err(Error::text(format!(
            "ERR {label} cannot contain spaces, newlines or special characters."
        )));
    }
    *field = value.into();
    cx.reply.ok();
    Ok(())
}

fn set_name_of_self(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    set_name(cx, args.at(2))?;
    cx.reply.ok();
    Ok(())
}

/// Gives the client a name.
pub(super) fn set_name(cx: &mut Cx<'_>, name: &[u8]) -> Result<(), Error> {
    if !is_printable(name) {
        return Err(Error::fixed(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    cx.session.name = name.into();
    Ok(())
}

/// Names are printed in the lines of CLIENT LIST, between spaces.
fn is_printable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// Only a client that waits inside a command can be unblocked, not one that CLIENT PAUSE or the
/// driver holds back.
fn unblock(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 4 {
        return Err(too_many_words(args));
    }
    if args.len() == 4 && !args.is(3, "TIMEOUT") && !args.is(3, "ERROR") {
        return Err(Error::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    }
    let id = parse_integer(args.at(2)).ok_or(Error::NotAnInteger)?;
    let ending = if args.is(3, "ERROR") { Ending::Error } else { Ending::TimedOut };
    let conn = u64::try_from(id).ok().map(ConnId);
    let waits_with = conn.and_then(|conn| cx.state.sessions.find(conn)).map(|it| it.last_command);
    let ended = conn.is_some_and(|conn| cx.state.unblock(conn, ending, cx.now.mono, cx.fx));
    let row = waits_with.and_then(|name| table().find_full(name.as_bytes()));
    if let Some(row) = row.filter(|_| ended && ending == Ending::Error) {
        cx.state.stats.by_command[row.index].failed += 1;
    }
    cx.reply.integer(i64::from(ended));
    Ok(())
}
