//! Replication, as far as it goes yet: every server is a master without replicas.
//!
//! Invariant: nothing here claims that data is anywhere else.

use super::Cx;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::value::number::parse_integer;

const PORT_MAX: i64 = 65535;

const REPLICATION: Command = Command { group: Group::Server, ..Command::ROW };
const FOLLOW: Command = Command {
    syntax: "(host port:integer | NO ONE)",
    arity: 3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE).and(Flags::NO_ASYNC_LOADING),
    reply: "ok",
    run: follow,
    ..REPLICATION
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "REPLICAOF",
        since: "5.0.0",
        summary: "Makes the server a master (NO ONE); to follow another one is not possible yet.",
        ..FOLLOW
    },
    Command {
        name: "ROLE",
        arity: 1,
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST),
        categories: &["admin", "dangerous"],
        since: "2.8.12",
        summary: "Returns the part that the server has in replication.",
        reply: "[bulk, integer, array<any>]",
        run: role,
        ..REPLICATION
    },
    Command {
        name: "SLAVEOF",
        summary: "Makes the server a master (NO ONE); to follow another one is not possible yet.",
        ..FOLLOW
    },
];

/// `REPLICAOF NO ONE`, `REPLICAOF host port`
fn follow(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.is(1, "NO") && args.is(2, "ONE") {
        // It is one already.
        cx.reply.ok();
        return Ok(());
    }
    let port = parse_integer(args.at(2)).filter(|port| (0..=PORT_MAX).contains(port));
    port.ok_or(Error::fixed("ERR Invalid master port"))?;
    Err(Error::fixed("ERR this server cannot follow another one yet; only NO ONE is possible"))
}

/// Replicas and the offset of a stream that nobody reads yet.
fn role(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.array(3);
    cx.reply.text("master");
    cx.reply.integer(0);
    cx.reply.array(0);
    Ok(())
}
