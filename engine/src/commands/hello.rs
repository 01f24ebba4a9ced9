//! HELLO: protocol version, authentication and name in one request.

use super::Cx;
use super::client::set_name;
use super::connection::{HANDSHAKE, authenticate};
use super::info::REDIS_VERSION;
use super::spec::{Command, Group};
use crate::args::Args;
use crate::error::Error;
use crate::resp::Protocol;
use crate::value::number::parse_integer;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "HELLO",
    syntax: "[protover [AUTH username password] [SETNAME clientname]]",
    arity: -1,
    flags: HANDSHAKE,
    group: Group::Connection,
    since: "6.0.0",
    summary: "Chooses the protocol version and answers what server this is.",
    reply: "map<bulk, bulk | integer | array<any>>",
    run: hello,
    ..Command::ROW
}];

/// Options take effect one by one, so that one after a wrong one does nothing, as in Redis 7.0.
fn hello(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let protocol = args.opt(1).map(protocol).transpose()?;
    let mut index = 2;
    while let Some(option) = args.opt(index) {
        let values = args.len() - index - 1;
        if args.is(index, "AUTH") && values >= 2 {
            authenticate(cx, args, args.at(index + 1), args.at(index + 2))?;
            index += 3;
        } else if args.is(index, "SETNAME") && values >= 1 {
            set_name(cx, args.at(index + 1))?;
            index += 2;
        } else {
            let option = String::from_utf8_lossy(option);
            return Err(Error::text(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if cx.state.must_authenticate(cx.session) {
        return Err(Error::fixed(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO AUTH <user> <pass> option can be used to authenticate the client and select \
             the RESP protocol version at the same time",
        ));
    }
    if let Some(protocol) = protocol {
        cx.session.protocol = protocol;
        cx.reply.protocol = protocol;
    }
    describe(cx);
    Ok(())
}

fn protocol(text: &[u8]) -> Result<Protocol, Error> {
    match parse_integer(text) {
        Some(2) => Ok(Protocol::Resp2),
        Some(3) => Ok(Protocol::Resp3),
        Some(_) => Err(Error::fixed("NOPROTO unsupported protocol version")),
        None => Err(Error::fixed("ERR Protocol version is not an integer or out of range")),
    }
}

fn describe(cx: &mut Cx<'_>) {
    let reply = &mut *cx.reply;
    reply.map(7);
    reply.text("server");
    // Client libraries switch features on by this word.
    reply.text("redis");
    reply.text("version");
    reply.text(REDIS_VERSION);
    reply.text("proto");
    reply.integer(match cx.session.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    });
    reply.text("id");
    reply.integer(cx.session.id.0 as i64);
    reply.text("mode");
    reply.text("standalone");
    reply.text("role");
    reply.text("master");
    reply.text("modules");
    reply.array(0);
}
