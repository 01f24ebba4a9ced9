//! Strings as numbers: INCR and its kin.
//!
//! An integer is counted in place. Floats are C's `long double`, see [`crate::value::extended`].

use super::Cx;
use super::arguments::integer;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Found, NewValue, Value};
use crate::value::extended::Extended;

const FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "INCR",
        syntax: "key",
        arity: 2,
        flags: FLAGS,
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::String,
        summary: "Adds one to the integer value of a key; a key that does not exist counts as 0.",
        reply: "integer",
        run: |cx, args| count(cx, args.at(1), 1),
        ..Command::ROW
    },
    Command {
        name: "DECR",
        syntax: "key",
        arity: 2,
        flags: FLAGS,
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::String,
        summary: "Takes one from the integer value of a key; a key that does not exist counts \
            as 0.",
        reply: "integer",
        run: |cx, args| count(cx, args.at(1), -1),
        ..Command::ROW
    },
    Command {
        name: "INCRBY",
        syntax: "key increment",
        arity: 3,
        flags: FLAGS,
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::String,
        summary: "Adds a number to the integer value of a key; a key that does not exist counts \
            as 0.",
        reply: "integer",
        run: |cx, args| count(cx, args.at(1), integer(args.at(2))?),
        ..Command::ROW
    },
    Command {
        name: "DECRBY",
        syntax: "key decrement",
        arity: 3,
        flags: FLAGS,
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::String,
        summary: "Takes a number from the integer value of a key; a key that does not exist \
            counts as 0.",
        reply: "integer",
        run: decrby,
        ..Command::ROW
    },
    Command {
        name: "INCRBYFLOAT",
        syntax: "key increment:double",
        arity: 3,
        flags: FLAGS,
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::String,
        since: "2.6.0",
        summary: "Adds a floating-point number to the value of a key; a key that does not exist \
            counts as 0.",
        reply: "bulk",
        run: incrbyfloat,
        ..Command::ROW
    },
];

/// Adds to the integer at a key and replies with the sum.
fn count(cx: &mut Cx<'_>, key: &[u8], increment: i64) -> Result<(), Error> {
    let found = cx.find(key);
    let old = found.map_or(Ok(0), |found| cx.value(found).integer())?;
    let new = old.checked_add(increment).ok_or(Error::Overflow)?;
    store_integer(cx, key, found, new);
    cx.changed(key, "incrby");
    cx.reply.integer(new);
    Ok(())
}

/// Stores an integer; a key that exists keeps its deadline, and an integer its place.
#[inline]
pub(super) fn store_integer(cx: &mut Cx<'_>, key: &[u8], found: Option<Found>, value: i64) {
    match found {
        Some(found) => cx.replace_value(found, NewValue::Integer(value)),
        None => cx.add(key, NewValue::Integer(value), None),
    }
}

/// `DECRBY key decrement`
fn decrby(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let increment =
        integer(args.at(2))?.checked_neg().ok_or(Error::fixed("ERR decrement would overflow"))?;
    count(cx, args.at(1), increment)
}

/// `INCRBYFLOAT key increment`
fn incrbyfloat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let found = cx.find(key);
    let old = found.map_or(Ok(Extended::ZERO), |found| float_in(cx.value(found)))?;
    let increment = float(args.at(2))?;
    let new = old.add(increment);
    if !new.is_finite() {
        return Err(Error::NanOrInfinity);
    }
    let text = new.format();
    store_float(cx, key, found, &text);
    cx.log_as([b"SET".as_slice(), key, text.as_bytes(), b"KEEPTTL"]);
    cx.changed(key, "incrbyfloat");
    cx.reply.text(&text);
    Ok(())
}

/// A float as a client gives it.
pub(super) fn float(word: &[u8]) -> Result<Extended, Error> {
    Extended::parse(word).ok_or(Error::NotAFloat)
}

/// The float that a value is.
pub(super) fn float_in(value: Value<'_>) -> Result<Extended, Error> {
    match value {
        Value::Integer(value) => Ok(Extended::from(value)),
        other => float(other.string(&mut itoa::Buffer::new())?),
    }
}

/// Stores the text of a float; a key that exists keeps its deadline. Redis does not look whether
/// the text is an integer.
pub(super) fn store_float(cx: &mut Cx<'_>, key: &[u8], found: Option<Found>, text: &str) {
    let value = NewValue::Text(text.as_bytes());
    match found {
        Some(found) => cx.replace_value(found, value),
        None => cx.add(key, value, None),
    }
}
