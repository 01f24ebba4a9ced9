//! Saving by hand: SAVE, BGSAVE, LASTSAVE.
//!
//! Invariant: SAVE holds nobody else up; what it saves is the data of one moment between its
//! request and its reply.

use super::Cx;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::effects::{Effect, LogLevel};
use crate::error::Error;
use crate::persistence::Reason;
use crate::session::Blocked;

const SERVER: Command = Command {
    arity: 1,
    group: Group::Server,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING),
    ..Command::ROW
};

const IN_PROGRESS: Error = Error::fixed("ERR Background save already in progress");

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SAVE",
        flags: SERVER.flags.and(Flags::NO_MULTI),
        complexity: "O(N) where N is the number of keys",
        summary: "Saves all keys to disk and replies when they are safe.",
        reply: "ok",
        run: save,
        ..SERVER
    },
    Command {
        name: "BGSAVE",
        syntax: "[SCHEDULE | CANCEL]",
        arity: -1,
        summary: "Begins to save all keys to disk.",
        reply: "simple",
        run: save_in_background,
        ..SERVER
    },
    Command {
        name: "BGREWRITEAOF",
        summary: "Begins to rewrite the append-only file.",
        reply: "simple",
        run: rewrite,
        ..SERVER
    },
    Command {
        name: "LASTSAVE",
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        tips: &["nondeterministic_output"],
        categories: &["admin", "dangerous"],
        summary: "Returns the Unix time of the last successful save.",
        reply: "integer",
        run: last_save,
        ..SERVER
    },
];

fn save(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    if cx.state.persistence.saving.is_some() {
        return Err(IN_PROGRESS);
    }
    let reason = Reason::Client(cx.session.id);
    cx.state.begin_save(reason, cx.now, cx.fx);
    cx.session.blocked = Some(Blocked::Driver);
    Ok(())
}

fn save_in_background(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let is_waiting = match args.opt(1) {
        None => false,
        Some(_) if args.len() == 2 && args.is(1, "SCHEDULE") => true,
        Some(_) if args.len() == 2 && args.is(1, "CANCEL") => return cancel(cx),
        Some(_) => return Err(Error::Syntax),
    };
    if cx.state.persistence.saving.is_some() {
        if !is_waiting {
            return Err(IN_PROGRESS);
        }
        cx.state.persistence.is_scheduled = true;
        cx.reply.simple("Background saving scheduled");
        return Ok(());
    }
    cx.fx.push(Effect::Log(LogLevel::Notice, "Background saving started".to_owned()));
    cx.state.begin_save(Reason::Background, cx.now, cx.fx);
    cx.reply.simple("Background saving started");
    Ok(())
}

/// As Valkey 8.1 has it.
fn cancel(cx: &mut Cx<'_>) -> Result<(), Error> {
    let persistence = &mut cx.state.persistence;
    let saving = persistence.saving.as_ref();
    if saving.is_some_and(|saving| saving.reason == Reason::Background) {
        cx.state.cancel_save(cx.fx);
        cx.reply.simple("Background saving cancelled");
    } else if core::mem::take(&mut persistence.is_scheduled) {
        cx.reply.simple("Scheduled background saving cancelled");
    } else {
        let text = "ERR Background saving is currently not in progress or scheduled";
        return Err(Error::fixed(text));
    }
    Ok(())
}

fn rewrite(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let persistence = &mut cx.state.persistence;
    let is_saving = persistence.saving.is_some();
    let is_rewriting = persistence.aof.as_ref().is_some_and(|aof| aof.is_rewriting());
    if is_rewriting || persistence.lone.is_some() {
        let text = "ERR Background append only file rewriting already in progress";
        return Err(Error::fixed(text));
    }
    let is_free = if let Some(aof) = &mut persistence.aof {
        aof.is_asked = true;
        !is_saving && !aof.is_changing()
    } else {
        cx.state.ask_for_lone_base();
        !is_saving
    };
    cx.reply.simple(if is_free {
        "Background append only file rewriting started"
    } else {
        "Background append only file rewriting scheduled"
    });
    Ok(())
}

/// As in Redis the start of a server counts as a save: what was loaded then needs no other.
fn last_save(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(cx.state.persistence.saves.last_unix_secs as i64);
    Ok(())
}
