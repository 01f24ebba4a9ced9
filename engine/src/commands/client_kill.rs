//! CLIENT KILL: closing connections by address or by filters.
//!
//! Invariant: a killed client runs nothing more and gets no more replies; the one that kills itself
//! still gets the reply to that.

use super::Cx;
use super::client::ANY_TIME;
use super::client_list::ClientType;
use super::spec::{Command, Flags, Group};
use crate::acl::Acl;
use crate::args::Args;
use crate::error::Error;
use crate::session::{Session, UserId};
use crate::time::Instant;
use crate::value::number::parse_integer;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "CLIENT KILL",
    syntax: "ip:port | [ID client-id] [TYPE (NORMAL | MASTER | SLAVE | REPLICA | PUBSUB)] \
             [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME (YES | NO)] [MAXAGE maxage]",
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

/// Which clients are meant; a client must match all that is given.
#[derive(Default)]
struct Filter<'a> {
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    kind: Option<ClientType>,
    id: Option<u64>,
    user: Option<UserId>,
    age_secs_min: Option<u64>,
    spares_self: bool,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>, acl: &Acl) -> Result<Self, Error> {
        let mut filter = Self { spares_self: true, ..Self::default() };
        for index in (2..args.len()).step_by(2) {
            let value = args.opt(index + 1).ok_or(Error::Syntax)?;
            if args.is(index, "ID") {
                filter.id = Some(
                    positive(value)
                        .map_err(|_| Error::fixed("ERR client-id should be greater than 0"))?,
                );
            } else if args.is(index, "TYPE") {
                filter.kind = Some(ClientType::parse(value)?);
            } else if args.is(index, "ADDR") {
                filter.address = Some(value);
            } else if args.is(index, "LADDR") {
                filter.local_address = Some(value);
            } else if args.is(index, "USER") {
                filter.user = Some(acl.find(value).ok_or_else(|| {
                    let user = String::from_utf8_lossy(value);
                    Error::text(format!("ERR No such user '{user}'"))
                })?);
            } else if args.is(index, "SKIPME") {
                filter.spares_self = match value {
                    _ if value.eq_ignore_ascii_case(b"yes") => true,
                    _ if value.eq_ignore_ascii_case(b"no") => false,
                    _ => return Err(Error::Syntax),
                };
            } else if args.is(index, "MAXAGE") {
                filter.age_secs_min = Some(positive(value).map_err(|is_integer| {
                    Error::fixed(if is_integer {
                        "ERR maxage should be greater than 0"
                    } else {
                        "ERR maxage is not an integer or out of range"
                    })
                })?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(filter)
    }

    fn matches(&self, session: &Session, now: Instant) -> bool {
        let age_secs = now.since(session.created).as_millis() / 1000;
        !session.closing
            && self.id.is_none_or(|id| session.id.0 == id)
            && self.user.is_none_or(|user| session.user == user)
            && self.kind.is_none_or(|kind| ClientType::of(session) == kind)
            && self.age_secs_min.is_none_or(|min| age_secs >= min)
            && self.address.is_none_or(|wanted| session.address().as_bytes() == wanted)
            && self.local_address.is_none_or(|wanted| session.local_address().as_bytes() == wanted)
    }
}

/// A positive integer; the error says whether it was an integer at all.
fn positive(text: &[u8]) -> Result<u64, bool> {
    match parse_integer(text) {
        Some(value) if value > 0 => Ok(value as u64),
        Some(_) => Err(true),
        None => Err(false),
    }
}

fn kill(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    // The old form may name the client itself.
    let is_old_form = args.len() == 3;
    let filter = if is_old_form {
        Filter { address: Some(args.at(2)), ..Filter::default() }
    } else {
        Filter::parse(args, &cx.state.acl)?
    };
    let mut killed = 0;
    for conn in cx.state.sessions.ids() {
        if conn == cx.session.id {
            if !filter.spares_self && filter.matches(cx.session, cx.now.mono) {
                cx.session.closing = true;
                killed += 1;
            }
        } else if let Some(session) = cx.state.sessions.find(conn)
            && filter.matches(session, cx.now.mono)
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
