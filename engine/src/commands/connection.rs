//! Connections: who a client is, which database it uses, whether it is still there.

use super::Cx;
use super::acl_gate::Place;
use super::spec::{Command, Databases, Flags, Group};
use crate::acl::{DEFAULT_USER, Reason};
use crate::args::Args;
use crate::error::Error;
use crate::resp::Protocol;
use crate::session::{ReplyMode, UserId};
use crate::value::number::parse_integer;

/// What AUTH, HELLO and their like may do: run before authentication, while loading, in no script.
pub(super) const HANDSHAKE: Flags = Flags::NOSCRIPT
    .and(Flags::LOADING)
    .and(Flags::STALE)
    .and(Flags::FAST)
    .and(Flags::NO_AUTH)
    .and(Flags::ALLOW_BUSY);
const LEAVE: Flags =
    HANDSHAKE.and(Flags::SUBSCRIBED).and(Flags::NEVER_QUEUED).and(Flags::ENDS_TRANSACTION);

const WRONG_PASSWORD: Error =
    Error::fixed("WRONGPASS invalid username-password pair or user is disabled.");

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AUTH",
        syntax: "[username] password",
        arity: -2,
        flags: HANDSHAKE,
        group: Group::Connection,
        complexity: "O(1)",
        summary: "Proves to the server who the client is.",
        reply: "ok",
        run: auth,
        ..Command::ROW
    },
    Command {
        name: "ECHO",
        syntax: "message",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        group: Group::Connection,
        summary: "Answers with the string that it is given.",
        reply: "bulk",
        run: echo,
        ..Command::ROW
    },
    Command {
        name: "PING",
        syntax: "[message]",
        arity: -1,
        flags: Flags::FAST.and(Flags::SUBSCRIBED).and(Flags::MINDS_SAVES),
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        group: Group::Connection,
        summary: "Answers, to show that the server is there.",
        reply: "simple | bulk | [bulk, bulk]",
        run: ping,
        ..Command::ROW
    },
    Command {
        name: "QUIT",
        syntax: "",
        arity: -1,
        flags: LEAVE,
        group: Group::Connection,
        summary: "Closes the connection after all replies have been sent.",
        reply: "ok",
        run: quit,
        ..Command::ROW
    },
    Command {
        name: "RESET",
        syntax: "",
        arity: 1,
        flags: LEAVE,
        group: Group::Connection,
        since: "6.2.0",
        summary: "Makes the connection as it was when it was new.",
        reply: "simple",
        run: reset,
        ..Command::ROW
    },
    Command {
        name: "SELECT",
        syntax: "index",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST).and(Flags::NOT_CARRIED),
        databases: Databases::Named(|_| vec![1]),
        group: Group::Connection,
        summary: "Chooses the database that the connection works with.",
        reply: "ok",
        run: select,
        ..Command::ROW
    },
];

fn auth(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match args.len() {
        2 if cx.state.acl.default_user().needs_no_password() => {
            return Err(Error::fixed(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        2 => authenticate(cx, args, DEFAULT_USER, args.at(1))?,
        3 => authenticate(cx, args, args.at(1), args.at(2))?,
        _ => return Err(Error::Syntax),
    }
    cx.reply.ok();
    Ok(())
}

/// Makes the client one that has authenticated, or says that user or password is wrong. A client
/// that had authenticated before stays so.
pub(super) fn authenticate(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    user: &[u8],
    password: &[u8],
) -> Result<(), Error> {
    let Some(id) = cx.state.acl.authenticate(user, password) else {
        let (command, user) = (args.at(0).to_vec(), user.to_vec());
        cx.log_refusal(Reason::Login, Place::of(cx), command, user);
        return Err(WRONG_PASSWORD);
    };
    cx.session.user = id;
    cx.session.authenticated = true;
    Ok(())
}

fn echo(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.reply.bulk(args.at(1));
    Ok(())
}

fn ping(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 2 {
        return Err(Error::WrongArity(cx.row.full_name));
    }
    if cx.session.gets_only_messages() {
        // In RESP2 whatever comes to a subscriber looks like a message.
        cx.reply.array(2);
        cx.reply.text("pong");
        cx.reply.bulk(args.opt(1).unwrap_or_default());
        return Ok(());
    }
    match args.opt(1) {
        None => cx.reply.simple("PONG"),
        Some(message) => cx.reply.bulk(message),
    }
    Ok(())
}

fn quit(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.session.closing = true;
    cx.reply.ok();
    Ok(())
}

fn reset(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.state.pubsub.end(cx.session);
    cx.state.end_monitor(cx.session.id);
    cx.state.tracking.end(cx.session.id);
    let session = &mut *cx.session;
    session.transaction = None;
    cx.state.watches.forget(session.id);
    session.db = 0;
    session.protocol = Protocol::Resp2;
    session.name = Box::default();
    session.user = UserId::DEFAULT;
    session.authenticated = cx.state.acl.is_open();
    session.no_evict = false;
    session.no_touch = false;
    session.is_monitor = false;
    // A SKIP that is in force still swallows the reply of RESET, as in Redis.
    if session.reply_mode == ReplyMode::Off {
        session.reply_mode = ReplyMode::On;
    }
    cx.reply.protocol = Protocol::Resp2;
    cx.reply.simple("RESET");
    Ok(())
}

fn select(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let index = parse_integer(args.at(1)).ok_or(Error::NotAnInteger)?;
    if i32::try_from(index).is_err() {
        return Err(Error::fixed(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    let index = usize::try_from(index).map_err(|_| Error::DbIndexOutOfRange)?;
    if index >= cx.state.config.databases {
        return Err(Error::DbIndexOutOfRange);
    }
    cx.session.db = index;
    cx.reply.ok();
    Ok(())
}
