//! Strings.

use super::Cx;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::NewValue;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "GET",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::String,
        summary: "Returns the string value of a key.",
        run: get,
        ..Command::ROW
    },
    Command {
        name: "SET",
        syntax: "key value",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE", "VARIABLE_FLAGS"])],
        group: Group::String,
        summary: "Sets the string value of a key.",
        run: set,
        ..Command::ROW
    },
];

fn get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match cx.find_read(args.at(1)) {
        Some(found) => cx.reply_string(found),
        None => {
            cx.reply.null();
            Ok(())
        }
    }
}

fn set(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.set(args.at(1), NewValue::String(args.at(2)), None);
    cx.changed(args.at(1), "set");
    cx.reply.ok();
    Ok(())
}
