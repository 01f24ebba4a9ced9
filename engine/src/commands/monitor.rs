//! MONITOR: a client that wants to see every command.
//!
//! Invariant: a client is in the list of those who watch exactly while it says that it is one.

use super::Cx;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "MONITOR",
    arity: 1,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    group: Group::Server,
    summary: "Shows every command that the server runs, as it runs them.",
    reply: "ok",
    run: monitor,
    ..Command::ROW
}];

/// Redis says nothing to a client that watches already.
fn monitor(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    if !cx.may_block() {
        return Err(Error::fixed("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if !cx.session.is_monitor {
        cx.session.is_monitor = true;
        cx.state.observer.monitors.push(cx.session.id);
        cx.state.configure_observer();
        cx.reply.ok();
    }
    Ok(())
}
