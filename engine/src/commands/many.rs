//! Strings: many keys at once.

use super::Cx;
use super::arguments::{NewTtl, integer};
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, all_keys};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::NewValue;
use crate::time::UnixMillis;

/// Every second word is a key.
const fn keys_and_values(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(1), find: Find::Range { last: -1, step: 2 } }
}

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "MGET",
        syntax: "key [key ...]",
        tips: &["request_policy:multi_shard"],
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[all_keys(&["RO", "ACCESS"])],
        group: Group::String,
        complexity: "O(N) where N is the number of keys.",
        summary: "Returns the string values of keys, null for those that have none.",
        reply: "array<bulk | null>",
        run: mget,
        ..Command::ROW
    },
    Command {
        name: "MSET",
        syntax: "key value [key value ...]",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[keys_and_values(&["OW", "UPDATE"])],
        group: Group::String,
        since: "1.0.1",
        complexity: "O(N) where N is the number of keys.",
        summary: "Sets the string values of keys.",
        reply: "ok",
        run: mset,
        ..Command::ROW
    },
    Command {
        name: "MSETNX",
        syntax: "key value [key value ...]",
        tips: &["request_policy:multi_shard", "response_policy:agg_min"],
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[keys_and_values(&["OW", "INSERT"])],
        group: Group::String,
        since: "1.0.1",
        complexity: "O(N) where N is the number of keys.",
        summary: "Sets the string values of keys if none of the keys exists.",
        reply: "integer",
        run: msetnx,
        ..Command::ROW
    },
    Command {
        name: "MSETEX",
        syntax: "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | \
            EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec {
            flags: &["OW", "UPDATE"],
            begin: Begin::Index(1),
            find: Find::KeyNum { first: 1, step: 2 },
        }],
        group: Group::String,
        since: "8.4.0",
        complexity: "O(N) where N is the number of keys.",
        summary: "Sets the string values of keys with one time to live, all of them or none.",
        reply: "integer",
        run: msetex,
        ..Command::ROW
    },
];

/// `MGET key ...`
fn mget(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(args.len() - 1);
    for key in args.from(1) {
        match cx.find_read(key) {
            None => cx.reply.null(),
            // A key of another type is as good as none.
            Some(found) => cx.reply_string(found).unwrap_or_else(|_| cx.reply.null()),
        }
    }
    Ok(())
}

/// Sets `pairs` keys from word `first` on.
fn set_pairs(cx: &mut Cx<'_>, args: Args<'_>, first: usize, pairs: usize) {
    for pair in 0..pairs {
        let key = args.at(first + 2 * pair);
        cx.set(key, NewValue::String(args.at(first + 2 * pair + 1)), None);
        cx.changed(key, "set");
    }
}

/// How many pairs a command has that is nothing but pairs.
fn pairs_of(cx: &Cx<'_>, args: Args<'_>) -> Result<usize, Error> {
    let words = args.len() - 1;
    if words.is_multiple_of(2) { Ok(words / 2) } else { Err(Error::WrongArity(cx.row.full_name)) }
}

/// `MSET key value ...`
fn mset(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let pairs = pairs_of(cx, args)?;
    set_pairs(cx, args, 1, pairs);
    cx.reply.ok();
    Ok(())
}

/// `MSETNX key value ...`
fn msetnx(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let pairs = pairs_of(cx, args)?;
    let free = args.from(1).step_by(2).all(|key| cx.find(key).is_none());
    if free {
        set_pairs(cx, args, 1, pairs);
    }
    cx.reply.integer(i64::from(free));
    Ok(())
}

/// `MSETEX numkeys key value ... [NX | XX] [expiration]`
fn msetex(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let pairs = integer(args.at(1))
        .ok()
        .and_then(|pairs| i32::try_from(pairs).ok())
        .and_then(|pairs| usize::try_from(pairs).ok())
        .filter(|&pairs| pairs > 0)
        .ok_or(Error::fixed("ERR invalid numkeys value"))?;
    if args.len() - 2 < 2 * pairs {
        return Err(Error::fixed("ERR wrong number of key-value pairs"));
    }
    // Whether the keys must exist, or must not.
    let (mut must_exist, mut ttl) = (None, NewTtl::default());
    let mut index = 2 + 2 * pairs;
    while index < args.len() {
        if args.is(index, "NX") && must_exist != Some(true) {
            must_exist = Some(false);
            index += 1;
        } else if args.is(index, "XX") && must_exist != Some(false) {
            must_exist = Some(true);
            index += 1;
        } else {
            index += ttl.option(args, index).ok_or(Error::Syntax)?;
        }
    }
    let deadline = match ttl {
        NewTtl::At(expiry) => Some(expiry.deadline(cx)?),
        NewTtl::Keep | NewTtl::Discard => None,
    };
    let keys = || args.from(2).take(2 * pairs).step_by(2);
    if let Some(must_exist) = must_exist
        && keys().any(|key| cx.find(key).is_some() != must_exist)
    {
        cx.reply.integer(0);
        return Ok(());
    }
    if cx.logs() {
        log_pairs(cx, args, pairs, ttl, deadline);
    }
    for (pair, key) in keys().enumerate() {
        let value = NewValue::String(args.at(3 + 2 * pair));
        match cx.find(key) {
            Some(found) if matches!(ttl, NewTtl::Keep) => {
                cx.overwrite(key, found, value, cx.deadline(found));
            }
            Some(found) => cx.overwrite(key, found, value, deadline),
            None => cx.add(key, value, deadline),
        }
        cx.changed(key, "set");
        if deadline.is_some() {
            cx.also(key, "expire");
        }
    }
    cx.reply.integer(1);
    Ok(())
}

/// The log gets the deadline as a moment, and no condition that held.
fn log_pairs(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    pairs: usize,
    ttl: NewTtl<'_>,
    deadline: Option<UnixMillis>,
) {
    let mut digits = itoa::Buffer::new();
    let mut words: Vec<&[u8]> = args.from(0).take(2 + 2 * pairs).collect();
    words[0] = b"MSETEX";
    match deadline {
        Some(deadline) => words.extend([b"PXAT", digits.format(deadline.0).as_bytes()]),
        None if matches!(ttl, NewTtl::Keep) => words.push(b"KEEPTTL"),
        None => {}
    }
    cx.log_as(words);
}
