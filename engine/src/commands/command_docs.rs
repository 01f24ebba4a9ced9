//! COMMAND DOCS: the documentation of commands, with the tree of their arguments.
//!
//! Invariant: everything here is read from the rows; the shapes are those of Redis 7.0.

use super::Cx;
use super::command::COMMAND;
use super::spec::Command;
use super::syntax::{Arg, Kind, parse};
use super::table::{Row, table};
use crate::args::Args;
use crate::error::Error;
use crate::resp::Reply;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "COMMAND DOCS",
    syntax: "[command-name [command-name ...]]",
    arity: -2,
    tips: &["nondeterministic_output_order"],
    since: "7.0.0",
    complexity: "O(N) where N is the number of commands to look up",
    summary: "Returns the documentation of some commands, or of all.",
    reply: "map<bulk, map<bulk, any>>",
    run: docs,
    ..COMMAND
}];

fn docs(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let rows: Vec<&Row> = if args.len() == 2 {
        cx.state.callable_rows().filter(|row| row.container.is_none()).collect()
    } else {
        args.from(2).filter_map(|name| cx.state.command_named(name)).collect()
    };
    cx.reply.map(rows.len());
    rows.iter().for_each(|row| document(cx.reply, row));
    Ok(())
}

/// The name and the documentation of one command.
fn document(reply: &mut Reply, row: &Row) {
    let command = row.command;
    let args = parse(command.syntax).expect("every row's syntax is in the notation");
    reply.text(row.full_name);
    reply.map(4 + usize::from(!args.is_empty()) + usize::from(!row.subcommands.is_empty()));
    let fields = [
        ("summary", command.summary.trim_end_matches('.')),
        ("since", command.since),
        ("group", command.group.name()),
        ("complexity", command.complexity),
    ];
    for (name, value) in fields {
        reply.text(name);
        reply.text(value);
    }
    if !args.is_empty() {
        let mut keys = KeyIndex { specs: command.keys.len(), next: 0 };
        reply.text("arguments");
        reply.array(args.len());
        args.iter().for_each(|arg| argument(reply, arg, &mut keys));
    }
    if !row.subcommands.is_empty() {
        reply.text("subcommands");
        reply.map(row.subcommands.len());
        row.subcommands.iter().for_each(|&index| document(reply, &table().rows()[index]));
    }
}

/// Counts key arguments: each belongs to the next key specification, the last one to all others.
struct KeyIndex {
    specs: usize,
    next: usize,
}

impl KeyIndex {
    fn next(&mut self) -> Option<usize> {
        let index = self.next.min(self.specs.checked_sub(1)?);
        self.next += 1;
        Some(index)
    }
}

fn argument(reply: &mut Reply, arg: &Arg, keys: &mut KeyIndex) {
    let key_spec = (arg.kind == Kind::Key).then(|| keys.next()).flatten();
    let flags: Vec<&str> = [
        ("optional", arg.optional),
        ("multiple", arg.multiple),
        ("multiple_token", arg.multiple_token),
    ]
    .into_iter()
    .filter_map(|(flag, set)| set.then_some(flag))
    .collect();
    let children = arg.kind.children();
    let optional_fields =
        [key_spec.is_some(), arg.token.is_some(), !flags.is_empty(), !children.is_empty()];
    reply.map(2 + optional_fields.iter().filter(|&&there| there).count());
    reply.text("name");
    reply.text(&arg.name);
    reply.text("type");
    reply.text(arg.kind.name());
    if let Some(index) = key_spec {
        reply.text("key_spec_index");
        reply.count(index);
    }
    if let Some(token) = arg.token {
        reply.text("token");
        reply.text(token);
    }
    if !flags.is_empty() {
        reply.text("flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
    }
    if !children.is_empty() {
        reply.text("arguments");
        reply.array(children.len());
        children.iter().for_each(|child| argument(reply, child, keys));
    }
}
