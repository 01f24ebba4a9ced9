//! CLIENT PAUSE and UNPAUSE: holding back the commands of all clients for a while.
//!
//! Invariant: a pause that is in force is never shortened or narrowed by another one, only by
//! UNPAUSE.

use super::Cx;
use super::client::{ANY_TIME, too_many_words};
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::state::Pause;
use crate::time::Micros;
use crate::value::number::parse_integer;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CLIENT PAUSE",
        syntax: "timeout [WRITE | ALL]",
        arity: -3,
        flags: ANY_TIME.and(Flags::ADMIN),
        group: Group::Connection,
        since: "2.9.50",
        summary: "Holds back the commands of all clients for so many milliseconds.",
        reply: "ok",
        run: pause,
        ..Command::ROW
    },
    Command {
        name: "CLIENT UNPAUSE",
        arity: 2,
        flags: ANY_TIME.and(Flags::ADMIN),
        group: Group::Connection,
        since: "6.2.0",
        complexity: "O(N) where N is the number of client connections",
        summary: "Ends a pause: the commands that were held back run.",
        reply: "ok",
        run: unpause,
        ..Command::ROW
    },
];

fn pause(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let writes_only = match args.len() {
        3 => false,
        4 if args.is(3, "WRITE") => true,
        4 if args.is(3, "ALL") => false,
        4 => return Err(Error::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(too_many_words(args)),
    };
    let timeout_ms = parse_integer(args.at(2))
        .ok_or(Error::fixed("ERR timeout is not an integer or out of range"))?;
    let timeout_ms =
        u64::try_from(timeout_ms).map_err(|_| Error::fixed("ERR timeout is negative"))?;
    let mut wanted = Pause { until: cx.now.mono + Micros::from_millis(timeout_ms), writes_only };
    if let Some(present) = cx.state.pause.filter(|present| cx.now.mono < present.until) {
        wanted.until = wanted.until.max(present.until);
        wanted.writes_only &= present.writes_only;
    }
    cx.state.pause = Some(wanted);
    cx.reply.ok();
    Ok(())
}

fn unpause(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.state.end_pause(cx.fx);
    cx.reply.ok();
    Ok(())
}
