//! From words to a reply: the search in the table, the gates that a command must pass, the call.
//!
//! Invariants: a command that fails leaves exactly one error in the reply; a command that must wait
//! leaves no trace, so that it can be parsed and run again.

use super::Cx;
use super::spec::Flags;
use super::table::{Row, Table, Unknown, table};
use crate::args::Args;
use crate::error::Error;
use crate::session::{Blocked, ReplyMode};

/// Bytes of arguments that the "unknown command" error quotes.
const QUOTED_BYTES_MAX: usize = 128;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It ran or was refused; its reply is written.
    Done,
    /// It must be tried again later; the session says why.
    Postponed,
}

/// Runs the command that `args` spell. `cx.row` is set to its row before any gate looks at it.
pub(crate) fn dispatch(cx: &mut Cx<'_>, args: Args<'_>) -> Ran {
    let table = table();
    let row = match table.find(args) {
        Ok(row) => row,
        Err(unknown) => {
            refuse(cx, None, &unknown_command(table, unknown, args));
            return Ran::Done;
        }
    };
    cx.row = row;
    if let Err(error) = admit(cx, args) {
        refuse(cx, Some(row), &error);
        return Ran::Done;
    }
    if must_wait(cx) {
        cx.session.blocked = Some(Blocked::ClientPause);
        return Ran::Postponed;
    }
    run(cx, args);
    Ran::Done
}

fn run(cx: &mut Cx<'_>, args: Args<'_>) {
    let row = cx.row;
    let mode = cx.session.reply_mode;
    let start = cx.reply.out.len();
    cx.session.last_command = row.full_name;
    cx.session.commands += 1;
    cx.state.stats.commands += 1;
    cx.state.stats.by_command[row.index].calls += 1;
    if let Err(error) = (row.command.run)(cx, args) {
        // Whatever the command had begun to say gives way to the error.
        cx.reply.out.truncate(start);
        cx.reply.error(&error);
        cx.state.count_error(&error.code());
        cx.state.stats.by_command[row.index].failed += 1;
    }
    match mode {
        ReplyMode::On => {}
        ReplyMode::Off if cx.session.reply_mode == ReplyMode::On => {}
        ReplyMode::Off => cx.reply.out.truncate(start),
        ReplyMode::SkipNext => {
            cx.reply.out.truncate(start);
            cx.session.reply_mode = ReplyMode::On;
        }
    }
}

/// The gates, in Redis's order.
fn admit(cx: &Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !cx.row.command.takes(args.len()) {
        return Err(Error::WrongArity(cx.row.full_name));
    }
    if !cx.session.authenticated && !cx.row.command.flags.has(Flags::NO_AUTH) {
        return Err(Error::fixed("NOAUTH Authentication required."));
    }
    Ok(())
}

fn must_wait(cx: &Cx<'_>) -> bool {
    let flags = cx.row.command.flags;
    match cx.state.pause {
        Some(pause) if cx.now.mono < pause.until => {
            let writes = flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE);
            (writes || !pause.writes_only) && !flags.has(Flags::DURING_PAUSE)
        }
        _ => false,
    }
}

fn refuse(cx: &mut Cx<'_>, row: Option<&Row>, error: &Error) {
    cx.reply.error(error);
    cx.state.count_error(&error.code());
    if let Some(row) = row {
        cx.state.stats.by_command[row.index].rejected += 1;
    }
}

fn unknown_command(table: &Table, unknown: Unknown, args: Args<'_>) -> Error {
    match unknown {
        Unknown::Command => {
            let mut quoted = String::new();
            for word in args.from(1) {
                if quoted.len() >= QUOTED_BYTES_MAX {
                    break;
                }
                let room = QUOTED_BYTES_MAX - quoted.len();
                quoted.push_str(&format!("'{}' ", lossy(word, room)));
            }
            let name = lossy(args.at(0), QUOTED_BYTES_MAX);
            Error::text(format!("ERR unknown command '{name}', with args beginning with: {quoted}"))
        }
        Unknown::Subcommand { container } => {
            let container = table.rows()[container].command.name;
            let name = lossy(args.at(1), QUOTED_BYTES_MAX);
            Error::text(format!("ERR unknown subcommand '{name}'. Try {container} HELP."))
        }
    }
}

/// The first bytes of a word as text.
fn lossy(word: &[u8], bytes_max: usize) -> String {
    String::from_utf8_lossy(&word[..word.len().min(bytes_max)]).into_owned()
}
