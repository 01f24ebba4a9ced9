//! Keys of any type: existence, names, and moving values between keys and databases.

use super::Cx;
use super::arguments::database;
use super::spec::{Begin, Command, Databases, Find, Flags, KeySpec, all_keys, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;

/// One key at word 2.
const fn second_key(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(2), find: Find::Range { last: 0, step: 1 } }
}

const SAME_OBJECT: Error = Error::fixed("ERR source and destination objects are the same");

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "DEL",
        syntax: "key [key ...]",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::WRITE,
        keys: &[all_keys(&["RM", "DELETE"])],
        complexity: "O(N) where N is the number of keys; big values are freed later, in steps.",
        summary: "Deletes keys and returns how many there were.",
        reply: "integer",
        run: del,
        ..Command::ROW
    },
    Command {
        name: "UNLINK",
        syntax: "key [key ...]",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[all_keys(&["RM", "DELETE"])],
        since: "4.0.0",
        complexity: "O(N) where N is the number of keys; big values are freed later, in steps.",
        summary: "Does what DEL does, which never frees big values at once either.",
        reply: "integer",
        run: del,
        ..Command::ROW
    },
    Command {
        name: "EXISTS",
        syntax: "key [key ...]",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[all_keys(&["RO"])],
        complexity: "O(N) where N is the number of keys.",
        summary: "Returns how many of the named keys exist; one that is named twice counts twice.",
        reply: "integer",
        run: exists,
        ..Command::ROW
    },
    Command {
        name: "TOUCH",
        syntax: "key [key ...]",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[all_keys(&["RO"])],
        since: "3.2.1",
        complexity: "O(N) where N is the number of keys.",
        summary: "Marks keys as used now and returns how many exist.",
        reply: "integer",
        run: touch,
        ..Command::ROW
    },
    Command {
        name: "TYPE",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO"])],
        summary: "Returns the name of the type of the value of a key.",
        reply: "simple",
        run: type_,
        ..Command::ROW
    },
    Command {
        name: "RENAME",
        syntax: "key newkey",
        arity: 3,
        flags: Flags::WRITE,
        keys: &[one_key(&["RW", "ACCESS", "DELETE"]), second_key(&["OW", "UPDATE"])],
        summary: "Gives a key another name, in place of a key that had that name.",
        reply: "ok",
        run: |cx, args| rename(cx, args).map(|_| cx.reply.ok()),
        ..Command::ROW
    },
    Command {
        name: "RENAMENX",
        syntax: "key newkey",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "DELETE"]), second_key(&["OW", "INSERT"])],
        summary: "Gives a key another name that no key has.",
        reply: "integer",
        run: renamenx,
        ..Command::ROW
    },
    Command {
        name: "COPY",
        syntax: "source destination [DB destination-db] [REPLACE]",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RO", "ACCESS"]), second_key(&["OW", "UPDATE"])],
        databases: Databases::SelectedAndNamed(target_of_copy),
        since: "6.2.0",
        complexity: "O(1) for short strings, O(N) for others where N is the size of the value.",
        summary: "Copies the value and the time to live of a key to another key.",
        reply: "integer",
        run: copy,
        ..Command::ROW
    },
    Command {
        name: "MOVE",
        syntax: "key db",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        databases: Databases::SelectedAndNamed(|_| vec![2]),
        summary: "Moves a key to another database that has no such key.",
        reply: "integer",
        run: move_,
        ..Command::ROW
    },
    Command {
        name: "RANDOMKEY",
        syntax: "",
        tips: &["request_policy:all_shards", "nondeterministic_output"],
        arity: 1,
        flags: Flags::READONLY.and(Flags::TOUCHES_ARBITRARY_KEYS),
        summary: "Returns the name of any key.",
        reply: "bulk | null",
        run: randomkey,
        ..Command::ROW
    },
];

/// `DEL key ...`, `UNLINK key ...`
fn del(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut deleted = 0;
    for key in args.from(1) {
        if let Some(found) = cx.find(key) {
            cx.remove(found);
            cx.changed(key, "del");
            deleted += 1;
        }
    }
    cx.reply.integer(deleted);
    Ok(())
}

/// `EXISTS key ...`
fn exists(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = args.from(1).filter(|key| cx.find_untouched(key).is_some()).count();
    cx.reply.count(count);
    Ok(())
}

/// `TOUCH key ...`
fn touch(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = args.from(1).filter(|key| cx.find_read(key).is_some()).count();
    cx.reply.count(count);
    Ok(())
}

/// `TYPE key`
fn type_(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let name = match cx.find_untouched(args.at(1)) {
        Some(found) => cx.value(found).type_name(),
        None => "none",
    };
    cx.reply.simple(name);
    Ok(())
}

/// Renames word 1 to word 2, which may be the same.
fn rename(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (from, to) = (args.at(1), args.at(2));
    let found = cx.find(from).ok_or(Error::NoSuchKey)?;
    if from != to {
        let taken = cx.state.keyspace.take(cx.db(), found);
        let old = cx.put(cx.db(), to, taken);
        cx.changed(from, "rename_from");
        cx.changed(to, "rename_to");
        cx.tell_overwritten(cx.db(), to, old);
    }
    Ok(())
}

/// `RENAMENX key newkey`
fn renamenx(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.find(args.at(1)).ok_or(Error::NoSuchKey)?;
    let free = cx.find(args.at(2)).is_none();
    if free {
        rename(cx, args)?;
    }
    cx.reply.integer(i64::from(free));
    Ok(())
}

/// The words of COPY that name databases; the last one counts.
fn target_of_copy(args: Args<'_>) -> Vec<usize> {
    (4..args.len()).filter(|&index| args.is(index - 1, "DB")).collect()
}

/// `COPY source destination [DB destination-db] [REPLACE]`
fn copy(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (from, to) = (args.at(1), args.at(2));
    let (mut target, mut replace) = (cx.db(), false);
    let mut index = 3;
    while index < args.len() {
        match args.opt(index + 1) {
            _ if args.is(index, "REPLACE") => replace = true,
            Some(word) if args.is(index, "DB") => {
                target = database(cx, word)?;
                index += 1;
            }
            _ => return Err(Error::Syntax),
        }
        index += 1;
    }
    if target == cx.db() && from == to {
        return Err(SAME_OBJECT);
    }
    let copied = match cx.find_read(from) {
        Some(found) if replace || is_free(cx, target, to) => {
            let value = cx.state.keyspace.copy(cx.db(), found);
            let old = cx.put(target, to, value);
            cx.changed_in(target, to, "copy_to");
            cx.tell_overwritten(target, to, old);
            true
        }
        _ => false,
    };
    cx.reply.integer(i64::from(copied));
    Ok(())
}

/// `MOVE key db`
fn move_(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let target = database(cx, args.at(2))?;
    if target == cx.db() {
        return Err(SAME_OBJECT);
    }
    let moved = match cx.find(key) {
        Some(found) if is_free(cx, target, key) => {
            let taken = cx.state.keyspace.take(cx.db(), found);
            cx.put(target, key, taken);
            cx.changed(key, "move_from");
            cx.changed_in(target, key, "move_to");
            true
        }
        _ => false,
    };
    cx.reply.integer(i64::from(moved));
    Ok(())
}

/// Whether a database has no such key. What was found in another database stays found; in the same
/// one the search may remove an expired entry, which moves no other.
fn is_free(cx: &mut Cx<'_>, db: usize, key: &[u8]) -> bool {
    let found: Option<Found> = cx.state.keyspace.find(db, key);
    found.is_none()
}

/// `RANDOMKEY`
fn randomkey(cx: &mut Cx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let db = cx.db();
    match cx.state.keyspace.random_key(db, &mut cx.state.rng) {
        Some(found) => cx.reply.bulk(cx.state.keyspace.db(db).key(found)),
        None => cx.reply.null(),
    }
    Ok(())
}
