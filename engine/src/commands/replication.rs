//! Replication, as far as it goes yet: every server is a master. Whoever sends SYNC can read its
//! changes, and is not counted as a replica.
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
        name: "REPLCONF",
        syntax: "",
        arity: -1,
        flags: Flags::ADMIN
            .and(Flags::NOSCRIPT)
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::ALLOW_BUSY),
        since: "3.0.0",
        summary: "What a replica says of itself; it is taken note of by nobody yet.",
        reply: "ok",
        run: configure,
        ..REPLICATION
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
    Command {
        name: "SYNC",
        syntax: "",
        arity: 1,
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI),
        summary: "Sends all keys as a snapshot, and then every change as a command.",
        reply: "any",
        run: sync,
        ..REPLICATION
    },
];

/// `REPLCONF option value ...`: acknowledgements get no reply, as in Redis.
fn configure(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    if !cx.session.is_replica {
        cx.reply.ok();
    }
    Ok(())
}

/// `SYNC`: all keys, and then every change.
fn sync(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    if !cx.session.is_replica {
        cx.session.is_replica = true;
        cx.state.add_feed(cx.session.id);
    }
    Ok(())
}

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
