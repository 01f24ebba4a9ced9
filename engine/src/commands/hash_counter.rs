//! Hashes: fields as numbers.
//!
//! A field that does not exist counts as 0; one that does keeps its deadline.

use super::Cx;
use super::arguments::integer;
use super::counter::float;
use super::hash::{Outcome, Touched, limits};
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::value::collection::Collection;
use crate::value::extended::Extended;
use crate::value::hash::{Hash, NewDeadline};
use crate::value::packed::Element;

const FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "HINCRBY",
        syntax: "key field increment",
        arity: 4,
        flags: FLAGS,
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Adds a number to the integer value of a field of a hash; a field that does not \
            exist counts as 0.",
        reply: "integer",
        run: hincrby,
        ..Command::ROW
    },
    Command {
        name: "HINCRBYFLOAT",
        syntax: "key field increment:double",
        arity: 4,
        flags: FLAGS,
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::Hash,
        since: "2.6.0",
        summary: "Adds a floating-point number to the value of a field of a hash; a field that \
            does not exist counts as 0.",
        reply: "bulk",
        run: hincrbyfloat,
        ..Command::ROW
    },
];

/// Gives the field at word 2 the value that `new` makes of its old one, and returns it.
fn change<T: AsRef<[u8]>>(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    event: &'static str,
    new: impl FnOnce(Option<Element<'_>>) -> Result<T, Error>,
) -> Result<T, Error> {
    let (key, name) = (args.at(1), args.at(2));
    let (limits, now_ms) = (limits(cx), cx.key_now().0);
    let (mut expired, mut changed) = (Touched::new(cx), Touched::new(cx));
    let (result, is_gone) = cx.edit_or_create(key, |_, hash: &mut Hash| {
        expired.note(hash.remove_if_due(name, now_ms), name);
        let result = new(hash.reader().find(name).map(|field| field.value));
        if let Ok(value) = &result {
            hash.set(name, value.as_ref(), NewDeadline::Keep, &limits);
        }
        (result, hash.is_empty())
    })?;
    changed.note(result.is_ok(), name);
    if cx.logs() {
        log_change(cx, args, expired.is_any(), result.as_ref().ok().map(AsRef::as_ref), event);
    }
    Outcome { expired, is_gone }.tell(cx, key, &[(event, &changed)]);
    result
}

/// Integers are logged as they are asked for; floats as what has come of them, as sums may differ
/// elsewhere, and so is what has expired on the way.
fn log_change(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    has_expired: bool,
    value: Option<&[u8]>,
    event: &'static str,
) {
    let (key, name) = (args.at(1), args.at(2));
    match value {
        None if has_expired => cx.log_as([b"HDEL".as_slice(), key, name]),
        Some(value) if has_expired => cx.log_as([b"HSET".as_slice(), key, name, value]),
        Some(value) if event == "hincrbyfloat" => {
            let hash = cx.find(key).and_then(|found| cx.value(found).hash().ok());
            let field = hash.and_then(|hash| hash.find(name));
            if field.is_some_and(|field| field.deadline_ms.is_some()) {
                let head = [b"HSETEX".as_slice(), key, b"KEEPTTL", b"FIELDS", b"1"];
                cx.log_as(head.into_iter().chain([name, value]).collect::<Vec<_>>());
            } else {
                cx.log_as([b"HSET".as_slice(), key, name, value]);
            }
        }
        _ => {}
    }
}

/// `HINCRBY key field increment`
fn hincrby(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let increment = integer(args.at(3))?;
    let mut sum = 0;
    let mut digits = itoa::Buffer::new();
    change(cx, args, "hincrby", |old| {
        let old = match old {
            None => 0,
            Some(Element::Integer(value)) => value,
            Some(_) => return Err(Error::fixed("ERR hash value is not an integer")),
        };
        sum = old.checked_add(increment).ok_or(Error::Overflow)?;
        Ok(digits.format(sum))
    })?;
    cx.reply.integer(sum);
    Ok(())
}

/// `HINCRBYFLOAT key field increment`
fn hincrbyfloat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let increment = float(args.at(3))?;
    if !increment.is_finite() {
        return Err(Error::fixed("ERR value is NaN or Infinity"));
    }
    let text = change(cx, args, "hincrbyfloat", |old| {
        let old = match old {
            None => Extended::ZERO,
            Some(Element::Integer(value)) => Extended::from(value),
            Some(other) => Extended::parse(&other.to_vec())
                .ok_or(Error::fixed("ERR hash value is not a float"))?,
        };
        let sum = old.add(increment);
        if sum.is_finite() { Ok(sum.format()) } else { Err(Error::NanOrInfinity) }
    })?;
    cx.reply.text(&text);
    Ok(())
}
