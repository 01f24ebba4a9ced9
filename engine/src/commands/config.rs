//! CONFIG: reading, changing and saving the configuration, and forgetting the statistics.

use super::Cx;
use super::dispatch::loading;
use super::help::help;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::config::parameter::Actor;
use crate::config::{Config, Refusal, find, spelled};
use crate::effects::{Effect, LogLevel};
use crate::error::Error;
use crate::session::Blocked;
use crate::state::ConfigChange;

const ANY_TIME: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);
const CONFIG: Command =
    Command { arity: 2, flags: ANY_TIME, group: Group::Server, since: "2.0.0", ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CONFIG",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about the configuration.",
        ..CONFIG
    },
    Command {
        name: "CONFIG GET",
        syntax: "parameter [parameter ...]",
        arity: -3,
        complexity: "O(N) where N is the number of parameters that there are",
        summary: "Returns the parameters whose names match patterns, with their values.",
        reply: "map<bulk, bulk>",
        run: show,
        ..CONFIG
    },
    Command {
        name: "CONFIG HELP",
        flags: Flags::LOADING.and(Flags::STALE),
        since: "5.0.0",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..CONFIG
    },
    Command {
        name: "CONFIG RESETSTAT",
        complexity: "O(N) where N is the number of commands that there are",
        summary: "Sets the statistics of INFO back to zero.",
        reply: "ok",
        run: reset_stats,
        ..CONFIG
    },
    Command {
        name: "CONFIG REWRITE",
        since: "2.8.0",
        complexity: "O(N) where N is the number of parameters that there are",
        summary: "Writes the configuration in force into the configuration file.",
        reply: "ok",
        run: rewrite,
        ..CONFIG
    },
    Command {
        name: "CONFIG SET",
        syntax: "parameter value [parameter value ...]",
        arity: -4,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        complexity: "O(N) where N is the number of parameters that are set",
        summary: "Changes parameters: all of them or none.",
        reply: "ok",
        run: set,
        ..CONFIG
    },
];

/// What cannot be set while what was on disk is loaded.
const FIXED_IN_LOADING: [&str; 3] = ["appendonly", "dir", "repl-diskless-load"];

fn show(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    // No parameter's name has anything but ASCII, so what is no text matches none.
    let patterns: Vec<&str> = args.from(2).filter_map(|word| str::from_utf8(word).ok()).collect();
    let found = cx.state.config.matching(&patterns);
    cx.reply.map(found.len());
    for (name, value) in &found {
        cx.reply.text(name);
        cx.reply.text(value);
    }
    Ok(())
}

fn reset_stats(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.state.reset_stats(cx.now.mono);
    cx.reply.ok();
    Ok(())
}

fn rewrite(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    write_file(cx, false)
}

/// Writes the configuration file; `everything`: also what is at its default.
pub(super) fn write_file(cx: &mut Cx<'_>, everything: bool) -> Result<(), Error> {
    if cx.state.facts.config_file.is_none() {
        return Err(Error::fixed("ERR The server is running without a config file"));
    }
    cx.state.config.users = users(cx)?;
    let parameters = cx.state.config.directives();
    wait_for_driver(cx);
    cx.fx.push(Effect::RewriteConfig { conn: cx.session.id, parameters, everything });
    Ok(())
}

/// The users as directives of the configuration file; none where there is a file of users, or only
/// the default user as every server has it.
fn users(cx: &Cx<'_>) -> Result<Vec<String>, Error> {
    let config = &cx.state.config;
    if !config.acl_file.is_empty() || cx.state.acl.is_initial(&config.requirepass) {
        return Ok(Vec::new());
    }
    let directive = |line: Vec<u8>| {
        let line = String::from_utf8(line).map_err(|error| {
            let line = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Error::text(format!("ERR Rewriting config file: no UTF-8 text: {line}"))
        })?;
        let words: Vec<String> = line.split(' ').skip(1).map(str::to_owned).collect();
        Ok(spelled(&words))
    };
    cx.state.acl.lines().map(directive).collect()
}

fn set(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    let mut words = Vec::with_capacity(args.len());
    for word in args.from(2) {
        words.push(str::from_utf8(word).map_err(|_| not_text(word))?);
    }
    let pairs: Vec<(&str, &str)> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    if cx.state.persistence.is_loading() {
        // What is loaded depends on them.
        let is_fixed =
            |name: &str| find(name).is_some_and(|it| FIXED_IN_LOADING.contains(&it.name));
        if pairs.iter().any(|&(name, _)| is_fixed(name)) {
            return Err(loading(cx));
        }
    }
    let local = cx.session.origin.is_local();
    let next = cx.state.config.changed(&pairs, local).map_err(|refusal| match refusal {
        Refusal::Unknown(name) => Error::text(format!(
            "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
        )),
        Refusal::Value { name, why } => refused(&name, &why),
    })?;
    warn_of_ignored(cx, &next);
    warn_of_limit(cx, &next);
    let mut names = next.changed_for(Actor::Driver, &cx.state.config);
    let given: Vec<&str> = pairs.iter().map(|&(name, _)| name).collect();
    names.extend(next.volatile_for(Actor::Driver, &given));
    // An error is said to be related to the first one that was given.
    let place = |name: &str| {
        given.iter().position(|given| find(given).is_some_and(|found| found.name == name))
    };
    names.sort_by_key(|name| place(name));
    names.dedup();
    if names.is_empty() {
        cx.state.configure(next);
        cx.reply.ok();
        return Ok(());
    }
    if cx.state.config_change.is_some() {
        return Err(refused(names[0], "another change is being carried out"));
    }
    let conn = cx.session.id;
    let (before, after) = (cx.state.config.clone(), next.clone());
    cx.state.configure(next);
    cx.state.config_change = Some(ConfigChange { conn, names: names.clone(), before, after });
    wait_for_driver(cx);
    cx.fx.push(Effect::ApplyConfig { conn, names });
    Ok(())
}

/// The driver carries out what was asked, and the client gets its reply then. Inside a transaction
/// it cannot wait: the reply says that the driver was asked, and the log whether it could.
pub(super) fn wait_for_driver(cx: &mut Cx<'_>) {
    if cx.may_block() {
        cx.session.blocked = Some(Blocked::Driver);
    } else {
        cx.reply.ok();
    }
}

/// Nor must a limit that is below what is in use.
fn warn_of_limit(cx: &mut Cx<'_>, next: &Config) {
    let limit = next.eviction.bytes_max;
    if limit == 0 || limit == cx.state.config.eviction.bytes_max {
        return;
    }
    let used = cx.state.memory_used();
    if limit < used as u64 {
        let policy = next.eviction.policy.name();
        let text = format!(
            "CONFIG SET: maxmemory is now {limit} bytes while {used} are in use: by the policy \
             {policy} keys are evicted, or commands that need memory are refused"
        );
        cx.fx.push(Effect::Log(LogLevel::Warning, text));
    }
}

/// What is set and has no effect must not go unnoticed.
fn warn_of_ignored(cx: &mut Cx<'_>, next: &Config) {
    let unsupported = next.unsupported();
    for name in next.changed_for(Actor::Nobody, &cx.state.config) {
        if unsupported.iter().any(|other| other == name) {
            let text = format!("CONFIG SET: '{name}' is kept but not supported: it has no effect");
            cx.fx.push(Effect::Log(LogLevel::Warning, text));
        }
    }
}

fn refused(name: &str, why: &str) -> Error {
    Error::text(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
}

/// Values are text here; Redis takes any bytes.
fn not_text(word: &[u8]) -> Error {
    let shown = String::from_utf8_lossy(&word[..word.len().min(64)]);
    Error::text(format!("ERR CONFIG SET failed - '{shown}' is not UTF-8 text"))
}
