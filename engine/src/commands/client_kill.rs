//! CLIENT KILL: closing connections by address or by filters.
//!
//! Invariant: a killed client runs nothing more and gets no more replies; the one that kills itself
//! still gets the reply to that.

use super::Cx;
use super::client::ANY_TIME;
use super::client_filter::Filter;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "CLIENT KILL",
    syntax: "ip:port | [ID client-id [client-id ...]] \
             [TYPE (NORMAL | MASTER | SLAVE | REPLICA | PUBSUB)] [USER username] [ADDR ip:port] \
             [LADDR ip:port] [SKIPME (YES | NO)] [MAXAGE maxage] [NAME name] [IDLE idle] \
             [FLAGS flags] [LIB-NAME lib-name] [LIB-VER lib-ver] [DB db] [IP ip] [CAPA capa] \
             [NOT-ID client-id [client-id ...]] \
             [NOT-TYPE (NORMAL | MASTER | SLAVE | REPLICA | PUBSUB)] [NOT-USER username] \
             [NOT-ADDR ip:port] [NOT-LADDR ip:port] [NOT-NAME name] [NOT-FLAGS flags] \
             [NOT-LIB-NAME lib-name] [NOT-LIB-VER lib-ver] [NOT-DB db] [NOT-IP ip] \
                 [NOT-CAPA capa]",
    arity: -3,
    flags: ANY_TIME.and(Flags::ADMIN),
    group: Group::Connection,
    since: "2.4.0",
    complexity: "O(N) where N is the number of client connections",
    summary: "Closes the connections of other clients, or of this one.",
    reply: "integer | ok",
    run: kill,
    ..Command::ROW
}];

fn kill(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    // The old form may name the client itself.
    let is_old_form = args.len() == 3;
    let filter = if is_old_form {
        Filter::of_address(args.at(2))
    } else {
        Filter::parse(args, &cx.state.acl, cx.state.config.databases, true)?
    };
    let mut killed = 0;
    for conn in cx.state.sessions.ids() {
        if conn == cx.session.id {
            if !filter.spares_self && filter.matches(cx, cx.session) {
                cx.session.closing = true;
                killed += 1;
            }
        } else if let Some(session) = cx.state.sessions.find(conn)
            && filter.matches(cx, session)
        {
            cx.state.end_client(conn, cx.fx);
            killed += 1;
        }
    }
    match killed {
        _ if !is_old_form => cx.reply.count(killed),
        0 => return Err(Error::fixed("ERR No such client")),
        _ => cx.reply.ok(),
    }
    Ok(())
}
