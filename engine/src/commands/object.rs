//! OBJECT: how a value is stored and when it was last used. Looking does not count as use.

use super::Cx;
use super::help::help;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec};
use crate::args::Args;
use crate::config::EncodingNames;
use crate::error::Error;
use crate::keyspace::{Found, Value};

const KEY: KeySpec =
    KeySpec { flags: &["RO"], begin: Begin::Index(2), find: Find::Range { last: 0, step: 1 } };
const OBJECT: Command = Command {
    syntax: "key",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KEY],
    tips: &["nondeterministic_output"],
    categories: &["keyspace"],
    group: Group::Generic,
    since: "2.2.3",
    ..Command::ROW
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "OBJECT",
        arity: -2,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about how values are stored.",
        since: "2.2.3",
        ..Command::ROW
    },
    Command {
        name: "OBJECT ENCODING",
        summary: "Returns how the value of a key is stored.",
        reply: "bulk | null",
        run: encoding,
        ..OBJECT
    },
    Command {
        name: "OBJECT FREQ",
        since: "4.0.0",
        summary: "Returns how often a key was used of late, on a logarithmic scale.",
        reply: "integer | null",
        run: frequency,
        ..OBJECT
    },
    Command {
        name: "OBJECT HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        categories: &["keyspace"],
        since: "6.2.0",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..Command::ROW
    },
    Command {
        name: "OBJECT IDLETIME",
        summary: "Returns how many seconds ago a key was last used.",
        reply: "integer | null",
        run: idle_time,
        ..OBJECT
    },
    Command {
        name: "OBJECT REFCOUNT",
        summary: "Returns how often the value of a key is referred to.",
        reply: "integer | null",
        run: references,
        ..OBJECT
    },
];

/// A string up to this length is stored with its header in Redis.
const EMBEDDED_BYTES_MAX: usize = 44;
/// Redis has one shared object for each integer below this.
const SHARED_INTEGERS: i64 = 10_000;

/// Redis's name for how the value at `found` is stored.
pub(super) fn encoding_of(cx: &Cx<'_>, found: Found) -> &'static str {
    match cx.value(found) {
        Value::Integer(_) => "int",
        Value::Bytes(bytes) => {
            let raw = cx.state.keyspace.db(cx.session.db).is_raw(found);
            if raw || bytes.len() > EMBEDDED_BYTES_MAX { "raw" } else { "embstr" }
        }
        #[allow(unreachable_patterns, reason = "there are types beside strings")]
        collection => {
            let name = collection.collection_encoding().expect("strings are above");
            older_name(cx, collection.type_name(), name)
        }
    }
}

/// The name that the chosen version of Redis has for a form.
fn older_name(cx: &Cx<'_>, kind: &str, name: &'static str) -> &'static str {
    match (cx.state.config.encodings.names, kind, name) {
        (EncodingNames::Redis70, "list", _) => "quicklist",
        (EncodingNames::Redis70, "set", "listpack") => "hashtable",
        (EncodingNames::Redis70, "hash", "listpackex") => "listpack",
        _ => name,
    }
}

/// How often Redis would say that the value at `found` is referred to.
pub(super) fn references_of(cx: &Cx<'_>, found: Found) -> i64 {
    let is_shared = cx.state.config.eviction.shares_integers();
    match cx.value(found) {
        // Redis's mark of an object that is never freed.
        Value::Integer(0..SHARED_INTEGERS) if is_shared => i64::from(i32::MAX),
        _ => 1,
    }
}

/// Seconds since the key was last used; the clock has 24 bits.
pub(super) fn idle_secs_of(cx: &Cx<'_>, found: Found) -> u32 {
    cx.state.idle_secs(cx.state.keyspace.db(cx.session.db).access(found))
}

fn encoding(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match cx.find(args.at(2)) {
        Some(found) => cx.reply.text(encoding_of(cx, found)),
        None => cx.reply.null(),
    }
    Ok(())
}

fn frequency(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match cx.find(args.at(2)) {
        Some(_) if !cx.state.is_lfu() => {
            return Err(Error::fixed(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
                 Please note that when switching between policies at runtime LRU and LFU data will \
                 take some time to adjust.",
            ));
        }
        Some(found) => {
            let access = cx.state.keyspace.db(cx.session.db).access(found);
            cx.reply.integer(cx.state.frequency(access).into());
        }
        None => cx.reply.null(),
    }
    Ok(())
}

fn idle_time(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match cx.find(args.at(2)) {
        Some(_) if cx.state.is_lfu() => {
            return Err(Error::fixed(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
                 when switching between policies at runtime LRU and LFU data will take some time \
                 to adjust.",
            ));
        }
        Some(found) => cx.reply.integer(idle_secs_of(cx, found).into()),
        None => cx.reply.null(),
    }
    Ok(())
}

fn references(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match cx.find(args.at(2)) {
        Some(found) => cx.reply.integer(references_of(cx, found)),
        None => cx.reply.null(),
    }
    Ok(())
}
