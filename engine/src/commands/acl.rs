//! ACL: making, showing and removing users.
//!
//! The gate that commands pass, the log of refusals and the file of users have their own files.

use super::Cx;
use super::acl_gate::{Wanted, terms};
use super::help::help;
use super::spec::{Command, Flags, Group};
use super::table::Row;
use crate::acl::{DEFAULT_USER, Denied, Permissions, Reason, is_user_name};
use crate::args::Args;
use crate::error::Error;
use crate::session::UserId;
use crate::value::number::parse_integer;

/// Bits of the longest password that GENPASS makes.
const PASSWORD_BITS_MAX: i64 = 4096;
/// Bits of a password where nobody says how many.
const PASSWORD_BITS: i64 = 256;
/// Bytes of a category that the error quotes.
const QUOTED_BYTES_MAX: usize = 128;

/// What everybody may ask.
pub(super) const OPEN: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);
/// What is about other users.
pub(super) const ADMIN: Flags = OPEN.and(Flags::ADMIN);

pub(super) const ACL: Command =
    Command { group: Group::Server, flags: ADMIN, since: "6.0.0", ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ACL",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about users and what they may do.",
        ..ACL
    },
    Command {
        name: "ACL CAT",
        syntax: "[category]",
        arity: -2,
        flags: OPEN,
        complexity: "O(1) since the categories and commands are a fixed set.",
        summary: "Lists the categories of commands, or the commands of one.",
        reply: "array<bulk>",
        run: categories,
        ..ACL
    },
    Command {
        name: "ACL DELUSER",
        syntax: "username [username ...]",
        arity: -3,
        complexity: "O(N) where N is the number of connections",
        summary: "Removes users and closes their connections.",
        reply: "integer",
        run: delete,
        ..ACL
    },
    Command {
        name: "ACL DRYRUN",
        syntax: "username command [arg [arg ...]]",
        arity: -4,
        since: "7.0.0",
        summary: "Tells whether a user may run a command, without running it.",
        reply: "ok | bulk",
        run: dry_run,
        ..ACL
    },
    Command {
        name: "ACL GENPASS",
        syntax: "[bits:integer]",
        arity: -2,
        flags: OPEN,
        summary: "Makes a random password that nobody can guess.",
        reply: "bulk",
        run: generate_password,
        ..ACL
    },
    Command {
        name: "ACL GETUSER",
        syntax: "username",
        arity: 3,
        complexity: "O(N) where N is the number of rules of the user",
        summary: "Returns the rules of a user.",
        reply: "map<bulk, any> | null",
        run: show,
        ..ACL
    },
    Command {
        name: "ACL HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..ACL
    },
    Command {
        name: "ACL LIST",
        arity: 2,
        complexity: "O(N) where N is the number of users",
        summary: "Returns all users as lines of a file.",
        reply: "array<bulk>",
        run: list,
        ..ACL
    },
    Command {
        name: "ACL SETUSER",
        syntax: "username [rule [rule ...]]",
        arity: -3,
        complexity: "O(N) where N is the number of rules given",
        summary: "Makes a user, or changes one.",
        reply: "ok",
        run: set,
        ..ACL
    },
    Command {
        name: "ACL USERS",
        arity: 2,
        complexity: "O(N) where N is the number of users",
        summary: "Returns the names of all users.",
        reply: "array<bulk>",
        run: names,
        ..ACL
    },
    Command {
        name: "ACL WHOAMI",
        arity: 2,
        flags: OPEN,
        summary: "Returns the name of the connection's user.",
        reply: "bulk",
        run: own_name,
        ..ACL
    },
];

/// The error of a subcommand that does not take so many words, where its row cannot say it.
pub(super) fn wrong_words(args: Args<'_>) -> Error {
    let name = String::from_utf8_lossy(args.at(1));
    Error::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL HELP."
    ))
}

fn categories(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let catalogue = cx.state.acl.catalogue();
    let names: Vec<&str> = match args.len() {
        2 => catalogue.category_names().collect(),
        3 => catalogue.names_in(args.at(2)).ok_or_else(|| {
            let category = &args.at(2)[..args.at(2).len().min(QUOTED_BYTES_MAX)];
            let category = String::from_utf8_lossy(category);
            Error::text(format!("ERR Unknown category '{category}'"))
        })?,
        _ => return Err(wrong_words(args)),
    };
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.text(name));
    Ok(())
}

fn delete(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.from(2).any(|name| name == DEFAULT_USER) {
        return Err(Error::fixed("ERR The 'default' user cannot be removed"));
    }
    let gone: Vec<UserId> = args.from(2).filter_map(|name| cx.state.acl.remove(name)).collect();
    if !gone.is_empty() {
        cx.state.end_clients_of(|user| gone.contains(&user), cx.fx);
    }
    // One that removes itself is still told so.
    if gone.contains(&cx.session.user) {
        cx.session.lose_user();
        cx.session.closing = true;
    }
    cx.reply.count(gone.len());
    Ok(())
}

fn dry_run(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let shown = |index: usize| String::from_utf8_lossy(args.at(index));
    let Some(user) = cx.state.acl.find(args.at(2)) else {
        return Err(Error::text(format!("ERR User '{}' not found", shown(2))));
    };
    let command = args.skip(3);
    let Ok(row) = cx.state.command(command) else {
        return Err(Error::text(format!("ERR Command '{}' not found", shown(3))));
    };
    if !row.command.takes(command.len()) {
        return Err(Error::WrongArity(row.full_name));
    }
    let carried = cx.state.carried(row, command)?;
    for (row, command) in [(row, command)].into_iter().chain(carried) {
        if let Some(text) = refusal(cx, user, row, command) {
            cx.reply.bulk(&text);
            return Ok(());
        }
    }
    cx.reply.ok();
    Ok(())
}

/// What would be said to a user who may not run a command.
fn refusal(cx: &Cx<'_>, user: UserId, row: &Row, command: Args<'_>) -> Option<Vec<u8>> {
    let (db, databases) = (Some(cx.session.db), cx.state.config.databases);
    let wanted = Wanted { row, args: command, db, databases };
    Some(match cx.state.acl.user(user).check(&wanted) {
        Ok(()) => return None,
        Err(Denied { reason: Reason::Command | Reason::Login, .. }) => {
            let name = row.full_name;
            format!("This user has no permissions to run the '{name}' command").into_bytes()
        }
        Err(Denied { reason: Reason::Key, index }) => no_access(command.at(index), "key"),
        Err(Denied { reason: Reason::Channel, index }) => no_access(command.at(index), "channel"),
        Err(Denied { reason: Reason::Database, .. }) => {
            b"This user has no permissions to access database".to_vec()
        }
    })
}

fn no_access(word: &[u8], kind: &str) -> Vec<u8> {
    let start: &[u8] = b"This user has no permissions to access the '";
    [start, word, b"' ", kind.as_bytes()].concat()
}

fn generate_password(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let bits = match args.len() {
        2 => PASSWORD_BITS,
        3 => parse_integer(args.at(2)).ok_or(Error::NotAnInteger)?,
        _ => return Err(wrong_words(args)),
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(Error::text(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to {PASSWORD_BITS_MAX}"
        )));
    }
    let password = cx.state.acl.random_password((bits as usize).div_ceil(4));
    cx.reply.text(&password);
    Ok(())
}

fn show(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(id) = cx.state.acl.find(args.at(2)) else {
        cx.reply.null();
        return Ok(());
    };
    let user = cx.state.acl.user(id);
    let (flags, hashes) = (user.flags(), user.password_hashes());
    let permissions = user.permissions(cx.state.acl.catalogue());
    let [root, selectors @ ..] = permissions.as_slice() else { return Ok(()) };
    cx.reply.map(3 + fields(root));
    cx.reply.text("flags");
    cx.reply.set(flags.len());
    flags.iter().for_each(|flag| cx.reply.text(flag));
    cx.reply.text("passwords");
    cx.reply.texts(&hashes);
    show_permissions(cx, root);
    cx.reply.text("selectors");
    cx.reply.array(selectors.len());
    for selector in selectors {
        cx.reply.map(fields(selector));
        show_permissions(cx, selector);
    }
    Ok(())
}

/// How many fields a selector has: Redis 7.0's, and one for databases where not all are allowed.
fn fields(permissions: &Permissions) -> usize {
    3 + usize::from(permissions.databases.is_some())
}

fn show_permissions(cx: &mut Cx<'_>, permissions: &Permissions) {
    let Permissions { commands, keys, channels, databases } = permissions;
    for (name, rules) in [("commands", commands), ("keys", keys), ("channels", channels)] {
        cx.reply.text(name);
        cx.reply.bulk(rules);
    }
    if let Some(databases) = databases {
        cx.reply.text("databases");
        cx.reply.text(databases);
    }
}

fn list(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let lines = cx.state.acl.lines();
    cx.reply.array(lines.len());
    lines.for_each(|line| cx.reply.bulk(&line));
    Ok(())
}

fn names(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let users = cx.state.acl.users();
    cx.reply.array(users.len());
    users.for_each(|user| cx.reply.bulk(user.name()));
    Ok(())
}

fn own_name(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.bulk(cx.state.acl.user(cx.session.user).name());
    Ok(())
}

fn set(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let name = args.at(2);
    if !is_user_name(name) {
        return Err(Error::fixed("ERR Usernames can't contain spaces or null characters"));
    }
    let words: Vec<&[u8]> = args.from(3).collect();
    let catalogue = cx.state.acl.catalogue().clone();
    let terms = terms(&catalogue, &cx.state.config);
    let changed = cx.state.acl.change(name, &words, terms);
    if let Some(revoked) = changed.map_err(|why| Error::text(format!("ERR {why}")))? {
        cx.state.end_clients_that_lost(&revoked, cx.fx);
        cx.session.closing |= revoked.concerns(cx.session);
    }
    cx.reply.ok();
    Ok(())
}
