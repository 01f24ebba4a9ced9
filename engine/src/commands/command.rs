//! COMMAND: the table itself, for clients that ask what there is.
//!
//! Invariant: everything here is read from the rows; the shapes are those of Redis 7.0.

use super::Cx;
use super::help::help;
use super::keys::FoundKey;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec};
use super::table::{Row, table};
use crate::args::Args;
use crate::error::Error;
use crate::resp::Reply;
use crate::state::State;
use crate::value::glob;

pub(super) const COMMAND: Command = Command {
    flags: Flags::LOADING.and(Flags::STALE),
    categories: &["connection"],
    group: Group::Server,
    since: "2.8.13",
    ..Command::ROW
};

const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "COMMAND",
        arity: -1,
        tips: ANY_ORDER,
        complexity: "O(N) where N is the total number of commands",
        summary: "Returns what the server knows about all commands.",
        reply: "array<[bulk, integer, set<simple>, integer, integer, integer, set<simple>, \
            set<bulk>, set<map<bulk, any>>, set<any> | array<any>]>",
        run: all,
        ..COMMAND
    },
    Command {
        name: "COMMAND COUNT",
        arity: 2,
        summary: "Returns the number of commands, subcommands not counted.",
        reply: "integer",
        run: count,
        ..COMMAND
    },
    Command {
        name: "COMMAND GETKEYS",
        syntax: "command [arg ...]",
        arity: -4,
        complexity: "O(N) where N is the number of arguments to the command",
        summary: "Returns the keys in a command that is given in full.",
        reply: "array<bulk>",
        run: keys,
        ..COMMAND
    },
    Command {
        name: "COMMAND GETKEYSANDFLAGS",
        syntax: "command [arg ...]",
        arity: -4,
        since: "7.0.0",
        complexity: "O(N) where N is the number of arguments to the command",
        summary: "Returns the keys in a command that is given in full, and what becomes of each.",
        reply: "array<[bulk, set<simple>]>",
        run: keys_and_flags,
        ..COMMAND
    },
    Command {
        name: "COMMAND HELP",
        arity: 2,
        since: "5.0.0",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..COMMAND
    },
    Command {
        name: "COMMAND INFO",
        syntax: "[command-name [command-name ...]]",
        arity: -2,
        tips: ANY_ORDER,
        complexity: "O(N) where N is the number of commands to look up",
        summary: "Returns what the server knows about some commands, or about all.",
        reply: "array<[bulk, integer, set<simple>, integer, integer, integer, set<simple>, \
            set<bulk>, set<map<bulk, any>>, set<any> | array<any>] | null>",
        run: info,
        ..COMMAND
    },
    Command {
        name: "COMMAND LIST",
        syntax: "[FILTERBY (MODULE module-name | ACLCAT category | PATTERN pattern)]",
        arity: -2,
        tips: ANY_ORDER,
        since: "7.0.0",
        complexity: "O(N) where N is the total number of commands",
        summary: "Lists the names of all commands, or of some.",
        reply: "array<bulk>",
        run: list,
        ..COMMAND
    },
];

/// The rows that are not subcommands.
fn top_rows(state: &State) -> impl Iterator<Item = &'static Row> + Clone {
    state.callable_rows().filter(|row| row.container.is_none())
}

fn all(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let rows = top_rows(cx.state);
    cx.reply.array(rows.clone().count());
    rows.for_each(|row| describe(cx.reply, row));
    Ok(())
}

fn count(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.count(top_rows(cx.state).count());
    Ok(())
}

fn info(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() == 2 {
        return all(cx, args);
    }
    cx.reply.array(args.len() - 2);
    for name in args.from(2) {
        match cx.state.command_named(name) {
            Some(row) => describe(cx.reply, row),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

fn list(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let is_wanted: &dyn Fn(&Row) -> bool = match args.len() {
        2 => &|_| true,
        5 if args.is(2, "FILTERBY") && args.is(3, "MODULE") => &|_| false,
        5 if args.is(2, "FILTERBY") && args.is(3, "ACLCAT") => {
            let category = String::from_utf8_lossy(args.at(4)).to_ascii_lowercase();
            &move |row: &Row| row.is_in(&category)
        }
        5 if args.is(2, "FILTERBY") && args.is(3, "PATTERN") => {
            &|row: &Row| glob::matches_ignoring_case(args.at(4), row.full_name.as_bytes())
        }
        _ => return Err(Error::Syntax),
    };
    let wanted: Vec<&str> =
        cx.state.callable_rows().filter(|row| is_wanted(row)).map(|row| row.full_name).collect();
    cx.reply.texts(&wanted);
    Ok(())
}

/// The keys of the command that starts at word 2.
fn find_keys(state: &State, args: Args<'_>) -> Result<Vec<FoundKey>, Error> {
    let command = args.skip(2);
    let row = state.command(command).map_err(|_| Error::fixed("ERR Invalid command specified"))?;
    if row.command.keys.is_empty() {
        return Err(Error::fixed("ERR The command has no key arguments"));
    }
    if !row.command.takes(command.len()) {
        return Err(Error::fixed("ERR Invalid number of arguments specified for command"));
    }
    state.carried(row, command)?;
    match row.keys(command) {
        Ok(keys) => Ok(keys),
        // A script may have none.
        Err(_) if row.command.flags.has(Flags::NO_MANDATORY_KEYS) => Ok(Vec::new()),
        Err(_) => Err(Error::fixed("ERR Invalid arguments specified for command")),
    }
}

fn keys(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = find_keys(cx.state, args)?;
    cx.reply.array(found.len());
    for key in found {
        cx.reply.bulk(args.at(2 + key.index));
    }
    Ok(())
}

fn keys_and_flags(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = find_keys(cx.state, args)?;
    cx.reply.array(found.len());
    for key in found {
        cx.reply.array(2);
        cx.reply.bulk(args.at(2 + key.index));
        key_flags(cx.reply, key.flags);
    }
    Ok(())
}

/// What COMMAND tells about one command.
fn describe(reply: &mut Reply, row: &Row) {
    let command = row.command;
    let range = row.key_range();
    reply.array(10);
    reply.text(row.full_name);
    reply.integer(i64::from(command.arity));
    let mut flags = command.flags.names();
    if range.movable {
        flags.push("movablekeys");
    }
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    reply.integer(range.first);
    reply.integer(range.last);
    reply.integer(range.step);
    let categories = row.categories();
    reply.set(categories.len());
    categories.iter().for_each(|category| reply.simple(&format!("@{category}")));
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.text(tip));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| key_spec(reply, spec));
    match row.subcommands.len() {
        0 => reply.set(0),
        subcommands => reply.array(subcommands),
    }
    row.subcommands.iter().for_each(|&index| describe(reply, &table().rows()[index]));
}

/// Redis writes what is done to the value in capitals, the rest in small letters.
fn key_flags(reply: &mut Reply, flags: &[&str]) {
    reply.set(flags.len());
    for flag in flags {
        if matches!(*flag, "RW" | "RO" | "OW" | "RM") {
            reply.simple(flag);
        } else {
            reply.simple(&flag.to_ascii_lowercase());
        }
    }
}

fn key_spec(reply: &mut Reply, spec: &KeySpec) {
    reply.map(3);
    reply.text("flags");
    key_flags(reply, spec.flags);
    reply.text("begin_search");
    match spec.begin {
        Begin::Index(index) => step(reply, "index", &[("index", index as i64)]),
        Begin::Keyword { word, from } => {
            reply.map(2);
            reply.text("type");
            reply.text("keyword");
            reply.text("spec");
            reply.map(2);
            reply.text("keyword");
            reply.text(word);
            reply.text("startfrom");
            reply.integer(from.into());
        }
        Begin::Unknown => step(reply, "unknown", &[]),
    }
    reply.text("find_keys");
    match spec.find {
        Find::Range { last, step: key_step } => step(
            reply,
            "range",
            &[("lastkey", i64::from(last)), ("keystep", key_step as i64), ("limit", 0)],
        ),
        Find::FirstHalf => {
            step(reply, "range", &[("lastkey", -1), ("keystep", 1), ("limit", 2)]);
        }
        Find::Unknown => step(reply, "unknown", &[]),
        Find::KeyNum { first, step: key_step } => step(
            reply,
            "keynum",
            &[("keynumidx", 0), ("firstkey", first as i64), ("keystep", key_step as i64)],
        ),
    }
}

/// One step of a key specification: its type and numbers.
fn step(reply: &mut Reply, kind: &str, numbers: &[(&str, i64)]) {
    reply.map(2);
    reply.text("type");
    reply.text(kind);
    reply.text("spec");
    reply.map(numbers.len());
    for &(name, value) in numbers {
        reply.text(name);
        reply.integer(value);
    }
}
