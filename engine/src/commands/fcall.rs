//! Running functions of libraries: FCALL and FCALL_RO.

use super::Cx;
use super::eval::{ANY_KEYS, READ_KEYS, READS, WRITES, begin, check, check_count, flags_with};
use super::spec::{Command, Flags, Group};
use super::table::Row;
use crate::args::{Args, Words};
use crate::error::Error;
use crate::script::{Called, FunctionFlags, Program, Promises};
use crate::state::State;
use crate::value::number::parse_integer;

const FCALL: Command = Command {
    syntax: "function numkeys:integer [key [key ...]] [arg [arg ...]]",
    arity: -3,
    group: Group::Scripting,
    since: "7.0.0",
    complexity: "Depends on the function that is run",
    reply: "any",
    flags_with: Some(flags_of_function),
    run: fcall,
    ..Command::ROW
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "FCALL",
        flags: WRITES,
        keys: ANY_KEYS,
        summary: "Runs a function of a library.",
        ..FCALL
    },
    Command {
        name: "FCALL_RO",
        flags: READS,
        categories: &["scripting"],
        keys: READ_KEYS,
        summary: "Runs a function of a library that only reads.",
        ..FCALL
    },
];

fn promises(flags: FunctionFlags) -> Promises {
    Promises {
        given: true,
        no_writes: flags.has(FunctionFlags::NO_WRITES),
        allow_oom: flags.has(FunctionFlags::ALLOW_OOM),
    }
}

fn flags_of_function(state: &State, row: &Row, args: Args<'_>) -> Flags {
    let function = state.libraries.function(args.at(1));
    flags_with(row, function.map(|function| promises(function.flags)).unwrap_or_default())
}

/// `FCALL function numkeys [key ...] [arg ...]`
fn fcall(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let function = cx.state.libraries.function(args.at(1));
    let function = function.ok_or(Error::fixed("ERR Function not found"))?;
    let keys = parse_integer(args.at(2)).ok_or(Error::fixed("ERR Bad number of keys provided"))?;
    let keys = check_count(keys, args)?;
    let promises = promises(function.flags);
    check(cx, promises)?;
    let called =
        Called { name: function.name.clone(), id: function.id, words: Words::new(args.from(0)) };
    let stage = cx.state.libraries.take_stage().expect("no function runs inside another");
    begin(cx, Program::Function(Box::new(called)), stage, promises, (keys, args))
}
