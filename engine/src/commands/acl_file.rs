//! ACL LOAD and ACL SAVE: the file of users, which the driver reads and writes.

use super::Cx;
use super::acl::ACL;
use super::config::wait_for_driver;
use super::spec::Command;
use crate::args::Args;
use crate::effects::Effect;
use crate::error::Error;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ACL LOAD",
        arity: 2,
        complexity: "O(N) where N is the number of users in the file",
        summary: "Makes the users those of the file, and closes the connections of all others.",
        reply: "ok",
        run: load,
        ..ACL
    },
    Command {
        name: "ACL SAVE",
        arity: 2,
        complexity: "O(N) where N is the number of users",
        summary: "Writes all users into the file.",
        reply: "ok",
        run: save,
        ..ACL
    },
];

fn load(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    must_have_file(cx)?;
    wait_for_driver(cx);
    cx.fx.push(Effect::ReadUsers { conn: cx.session.id });
    Ok(())
}

fn save(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    must_have_file(cx)?;
    let mut text = Vec::new();
    for line in cx.state.acl.lines() {
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    wait_for_driver(cx);
    cx.fx.push(Effect::WriteUsers { conn: cx.session.id, text });
    Ok(())
}

fn must_have_file(cx: &Cx<'_>) -> Result<(), Error> {
    if cx.state.config.acl_file.is_empty() {
        return Err(Error::fixed(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
             users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have \
             a Redis configuration file set) in order to store users in the Redis configuration.",
        ));
    }
    Ok(())
}
