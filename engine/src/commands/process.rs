//! The server as a process: its clock, its end.

use super::Cx;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::effects::{Effect, LogLevel};
use crate::error::Error;
use crate::persistence::Reason;
use crate::session::Blocked;

const SERVER: Command = Command { group: Group::Server, ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SHUTDOWN",
        syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        arity: -1,
        flags: Flags::ADMIN
            .and(Flags::NOSCRIPT)
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::NO_MULTI)
            .and(Flags::ALLOW_BUSY),
        summary: "Ends the server.",
        reply: "ok",
        run: shutdown,
        ..SERVER
    },
    Command {
        name: "TIME",
        arity: 1,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        tips: &["nondeterministic_output"],
        since: "2.6.0",
        summary: "Returns the time of day in seconds and microseconds.",
        reply: "[bulk, bulk]",
        run: time,
        ..SERVER
    },
];

/// The wall clock of the host, which may step; keys expire by key time, which does not.
fn time(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let wall = cx.now.wall.0;
    cx.reply.array(2);
    cx.reply.bulk_integer((wall / 1_000_000) as i64);
    cx.reply.bulk_integer((wall % 1_000_000) as i64);
    Ok(())
}

fn shutdown(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let has = |word: &str| (1..args.len()).any(|index| args.is(index, word));
    let known = ["SAVE", "NOSAVE", "NOW", "FORCE", "ABORT"];
    let all_known = (1..args.len()).all(|index| known.iter().any(|word| args.is(index, word)));
    let (save, no_save, force, abort) = (has("SAVE"), has("NOSAVE"), has("FORCE"), has("ABORT"));
    if !all_known || save && no_save || abort && args.len() > 2 {
        return Err(Error::Syntax);
    }
    if abort {
        let persistence = &mut cx.state.persistence;
        let was_asked = core::mem::take(&mut persistence.must_end);
        if persistence.end_put_off.take().is_some() || was_asked {
            let text = "Shutdown manually aborted.".to_owned();
            cx.fx.push(Effect::Log(LogLevel::Warning, text));
            cx.reply.ok();
            return Ok(());
        }
        // While a shutdown waits for the disk, nobody else is served.
        return Err(Error::fixed("ERR No shutdown in progress."));
    }
    if let Some(running) = &cx.state.running_script
        && !no_save
    {
        // As in Redis: what the script has done so far is nothing to be saved.
        return Err(running.program.busy());
    }
    let text = "User requested shutdown...".to_owned();
    cx.fx.push(Effect::Log(LogLevel::Warning, text));
    let persistence = &cx.state.persistence;
    let saves = save || !no_save && !persistence.settings.save_points.is_empty();
    if !saves || persistence.is_loading() {
        cx.state.cancel_save(cx.fx);
        if cx.state.shut_down(cx.fx) {
            cx.session.closing = true;
        } else {
            // Nobody is to find the server going on who finds this connection closed.
            cx.session.blocked = Some(Blocked::Driver);
        }
        return Ok(());
    }
    if persistence.saving.as_ref().is_some_and(|saving| !saving.gives_way()) {
        return Err(Error::fixed("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    let text = "Saving the final RDB snapshot before exiting.".to_owned();
    cx.fx.push(Effect::Log(LogLevel::Notice, text));
    let reason = Reason::Shutdown { conn: Some(cx.session.id), forces: force };
    cx.state.begin_save(reason, cx.now, cx.fx);
    cx.session.blocked = Some(Blocked::Driver);
    Ok(())
}
