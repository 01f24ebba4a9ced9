//! Libraries of functions: FUNCTION.

use super::Cx;
use super::eval::log;
use super::help::help;
use super::script::end_running;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::resp::Reply;
use crate::script::{Library, Policy, Registered};
use crate::value::glob;
use crate::value::rdb;

/// What the only engine is called.
const ENGINE: &str = "LUA";
const CHANGES: Flags = Flags::NOSCRIPT.and(Flags::WRITE);
const ON_ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const FUNCTION: Command =
    Command { flags: Flags::NOSCRIPT, group: Group::Scripting, since: "7.0.0", ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "FUNCTION",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on the subcommand",
        summary: "The libraries of functions that the server knows.",
        ..FUNCTION
    },
    Command {
        name: "FUNCTION DELETE",
        syntax: "library-name",
        arity: 3,
        flags: CHANGES,
        tips: ON_ALL_SHARDS,
        summary: "Removes a library and its functions.",
        reply: "ok",
        run: delete,
        ..FUNCTION
    },
    Command {
        name: "FUNCTION DUMP",
        arity: 2,
        complexity: "O(N) where N is the number of libraries",
        summary: "Returns all libraries in a form that FUNCTION RESTORE takes.",
        reply: "bulk",
        run: dump,
        ..FUNCTION
    },
    Command {
        name: "FUNCTION FLUSH",
        syntax: "[ASYNC | SYNC]",
        arity: -2,
        flags: CHANGES,
        tips: ON_ALL_SHARDS,
        complexity: "O(N) where N is the number of libraries",
        summary: "Removes all libraries.",
        reply: "ok",
        run: flush,
        ..FUNCTION
    },
    Command {
        name: "FUNCTION HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..FUNCTION
    },
    Command {
        name: "FUNCTION KILL",
        arity: 2,
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        summary: "Ends the running function.",
        reply: "ok",
        run: kill,
        ..FUNCTION
    },
    Command {
        name: "FUNCTION LIST",
        syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        arity: -2,
        tips: &["nondeterministic_output_order"],
        complexity: "O(N) where N is the number of functions",
        summary: "Lists the libraries and their functions.",
        reply: "array<any>",
        run: list,
        ..FUNCTION
    },
    Command {
        name: "FUNCTION LOAD",
        syntax: "[REPLACE] function-code",
        arity: -3,
        flags: CHANGES.and(Flags::DENYOOM),
        tips: ON_ALL_SHARDS,
        summary: "Adds a library, or replaces it.",
        reply: "bulk",
        run: load,
        ..FUNCTION
    },
    Command {
        name: "FUNCTION RESTORE",
        syntax: "serialized-value [FLUSH | APPEND | REPLACE]",
        arity: -3,
        flags: CHANGES.and(Flags::DENYOOM),
        tips: ON_ALL_SHARDS,
        complexity: "O(N) where N is the number of functions in the value",
        summary: "Adds the libraries that FUNCTION DUMP returned.",
        reply: "ok",
        run: restore,
        ..FUNCTION
    },
    Command {
        name: "FUNCTION STATS",
        arity: 2,
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        summary: "Tells which function runs, and how many there are.",
        reply: "map<bulk, any>",
        run: stats,
        ..FUNCTION
    },
];

/// Errors of libraries are texts without a code, of one line or more.
fn refused(problem: &str) -> Error {
    Error::text(format!("ERR {}", problem.replace(['\r', '\n'], " ")))
}

/// Too many words for a subcommand.
fn too_many_words(args: Args<'_>) -> Error {
    let word = String::from_utf8_lossy(args.at(1));
    let problem = "unknown subcommand or wrong number of arguments for";
    refused(&format!("{problem} '{word}'. Try FUNCTION HELP."))
}

/// `FUNCTION DELETE library-name`
fn delete(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !cx.state.libraries.delete(args.at(2)) {
        return Err(Error::fixed("ERR Library not found"));
    }
    cx.state.dirty += 1;
    cx.reply.ok();
    Ok(())
}

fn dump(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let texts = cx.state.libraries.libraries().values().map(|library| library.text.as_slice());
    let payload = rdb::save_libraries(texts, cx.state.config.encodings.rdb_compression);
    cx.reply.bulk(&payload);
    Ok(())
}

/// `FUNCTION FLUSH [ASYNC | SYNC]`
fn flush(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(too_many_words(args));
    }
    if args.len() == 3 && !args.is(2, "SYNC") && !args.is(2, "ASYNC") {
        return Err(Error::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    cx.state.libraries.flush();
    cx.state.dirty += 1;
    cx.reply.ok();
    Ok(())
}

fn kill(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    end_running(cx, |running| running.program.function().is_some())
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`
fn list(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (mut pattern, mut with_code) = (None, false);
    let mut index = 2;
    while index < args.len() {
        if !with_code && args.is(index, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && args.is(index, "LIBRARYNAME") {
            index += 1;
            let given = args.opt(index);
            pattern = Some(given.ok_or(Error::fixed("ERR library name argument was not given"))?);
        } else {
            let word = String::from_utf8_lossy(args.at(index));
            return Err(refused(&format!("Unknown argument {word}")));
        }
        index += 1;
    }
    let libraries = cx.state.libraries.libraries().iter();
    let wanted: Vec<(&String, &Library)> = libraries
        .filter(|(name, _)| {
            pattern.is_none_or(|pattern| glob::matches_ignoring_case(pattern, name.as_bytes()))
        })
        .collect();
    cx.reply.array(wanted.len());
    for (name, library) in wanted {
        write_library(cx.reply, name, library, with_code);
    }
    Ok(())
}

fn write_library(reply: &mut Reply, name: &str, library: &Library, with_code: bool) {
    reply.map(3 + usize::from(with_code));
    reply.text("library_name");
    reply.text(name);
    reply.text("engine");
    reply.text(ENGINE);
    reply.text("functions");
    reply.array(library.functions.len());
    for Registered { name, description, flags, .. } in &library.functions {
        reply.map(3);
        reply.text("name");
        reply.text(name);
        reply.text("description");
        reply.bulk_or_null(description.as_deref());
        reply.text("flags");
        let flags = flags.names();
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
    }
    if with_code {
        reply.text("library_code");
        reply.bulk(&library.text);
    }
}

/// `FUNCTION LOAD [REPLACE] function-code`
fn load(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let last = args.len() - 1;
    for index in 2..last {
        if !args.is(index, "REPLACE") {
            let word = String::from_utf8_lossy(args.at(index));
            return Err(refused(&format!("Unknown option given: {word}")));
        }
    }
    let memory_bytes_max = cx.state.config.script_memory_bytes_max;
    let loaded = cx.state.libraries.load(args.at(last), last > 2, memory_bytes_max);
    write_log(cx);
    let name = loaded.map_err(|problem| refused(&problem))?;
    cx.state.dirty += 1;
    cx.reply.text(&name);
    Ok(())
}

/// Writes what libraries said while they were loaded.
fn write_log(cx: &mut Cx<'_>) {
    for (level, text) in cx.state.libraries.take_said() {
        log(cx, level, &text);
    }
}

/// `FUNCTION RESTORE serialized-value [FLUSH | APPEND | REPLACE]`
fn restore(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 4 {
        return Err(too_many_words(args));
    }
    let policy = match args.opt(3) {
        None => Policy::Append,
        Some(_) if args.is(3, "APPEND") => Policy::Append,
        Some(_) if args.is(3, "REPLACE") => Policy::Replace,
        Some(_) if args.is(3, "FLUSH") => Policy::Flush,
        Some(_) => {
            return Err(Error::fixed(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let Some((_, bytes)) = rdb::open(args.at(2)) else {
        return Err(Error::fixed("ERR DUMP payload version or checksum are wrong"));
    };
    let texts = rdb::load_libraries(bytes).map_err(refused)?;
    let memory_bytes_max = cx.state.config.script_memory_bytes_max;
    let restored = cx.state.libraries.restore(&texts, policy, memory_bytes_max);
    write_log(cx);
    restored.map_err(|problem| refused(&problem))?;
    cx.state.dirty += 1;
    cx.reply.ok();
    Ok(())
}

fn stats(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let running = cx.state.running_script.as_ref();
    if let Some(running) = running
        && running.program.function().is_none()
    {
        return Err(running.program.busy());
    }
    let reply = &mut *cx.reply;
    reply.map(2);
    reply.text("running_script");
    match running.and_then(|running| Some((running, running.program.function()?))) {
        None => reply.null(),
        Some((running, called)) => {
            reply.map(3);
            reply.text("name");
            reply.text(&called.name);
            reply.text("command");
            let words = called.words.args();
            reply.array(words.len());
            words.from(0).for_each(|word| reply.bulk(word));
            reply.text("duration_ms");
            reply.integer(cx.now.mono.since(running.since).as_millis() as i64);
        }
    }
    let (libraries, functions, _) = cx.state.libraries.totals();
    reply.text("engines");
    reply.map(1);
    reply.text(ENGINE);
    reply.map(2);
    reply.text("libraries_count");
    reply.count(libraries);
    reply.text("functions_count");
    reply.count(functions);
    Ok(())
}
