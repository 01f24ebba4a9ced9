//! Strings as bounded counters: INCREX of Redis 8.8, made for rate limits by window.
//!
//! What the documentation leaves open is decided here: an option may be given once; a bound may be
//! infinite, an increment may not; a deadline that has passed makes the key expire at once.

use super::Cx;
use super::arguments::{Expiry, integer};
use super::counter::{float, float_in, store_float, store_integer};
use super::spec::{Command, Flags, Group, one_key};
use super::string::log_set_until;
use crate::args::Args;
use crate::error::Error;
use crate::resp::Protocol;
use crate::time::UnixMillis;
use crate::value::extended::Extended;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "INCREX",
    syntax: "key [BYFLOAT increment | BYINT increment] [LBOUND lowerbound] [UBOUND upperbound] \
        [SATURATE] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
        PXAT unix-time-milliseconds | PERSIST] [ENX]",
    arity: -2,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
    group: Group::String,
    since: "8.8.0",
    summary: "Adds to the number at a key within bounds and sets its time to live.",
    reply: "[integer, integer] | [double, double]",
    run: increx,
    ..Command::ROW
}];

#[derive(Debug, Default)]
struct Options<'a> {
    by_int: Option<&'a [u8]>,
    by_float: Option<&'a [u8]>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    expiry: Option<Expiry<'a>>,
    persist: bool,
    /// `ENX`: the deadline is set only where there is none.
    only_without_ttl: bool,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 2;
        while index < args.len() {
            index += options.option(args, index).ok_or(Error::Syntax)?;
        }
        let both = options.by_int.is_some() && options.by_float.is_some();
        let ttl_options = usize::from(options.expiry.is_some()) + usize::from(options.persist);
        if both || ttl_options > 1 || options.persist && options.only_without_ttl {
            return Err(Error::Syntax);
        }
        if options.only_without_ttl && options.expiry.is_none() {
            return Err(Error::fixed("ERR ENX flag requires an expiration"));
        }
        Ok(options)
    }

    /// Takes the option at word `index`; returns how many words it has. `None` if it is unknown,
    /// has no operand, or was there before.
    fn option(&mut self, args: Args<'a>, index: usize) -> Option<usize> {
        for (word, flag) in [
            ("SATURATE", &mut self.saturate),
            ("PERSIST", &mut self.persist),
            ("ENX", &mut self.only_without_ttl),
        ] {
            if args.is(index, word) {
                return (!core::mem::replace(flag, true)).then_some(1);
            }
        }
        let operand = args.opt(index + 1)?;
        for (word, place) in [
            ("BYINT", &mut self.by_int),
            ("BYFLOAT", &mut self.by_float),
            ("LBOUND", &mut self.lower),
            ("UBOUND", &mut self.upper),
        ] {
            if args.is(index, word) {
                return place.replace(operand).is_none().then_some(2);
            }
        }
        let expiry = Expiry::option(args, index)?;
        self.expiry.replace(expiry).is_none().then_some(2)
    }
}

/// `INCREX key ...`: replies with the new value and the increment that was applied. A sum outside
/// of the bounds, or of the type, leaves the key as it is and replies with its value and 0; with
/// `SATURATE` the nearest bound is stored instead.
fn increx(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(args)?;
    if options.by_float.is_some() {
        by_float(cx, args.at(1), &options)
    } else {
        by_integer(cx, args.at(1), &options)
    }
}

fn by_integer(cx: &mut Cx<'_>, key: &[u8], options: &Options<'_>) -> Result<(), Error> {
    let increment = options.by_int.map_or(Ok(1), integer)?;
    let lower = options.lower.map_or(Ok(i64::MIN), integer)?;
    let upper = options.upper.map_or(Ok(i64::MAX), integer)?;
    if lower > upper {
        return Err(BOUNDS_CROSSED);
    }
    let deadline = options.expiry.map(|expiry| expiry.deadline(cx)).transpose()?;
    let found = cx.find(key);
    let old = found.map_or(Ok(0), |found| cx.value(found).integer())?;
    let sum = i128::from(old) + i128::from(increment);
    let new = sum.clamp(lower.into(), upper.into());
    cx.reply.array(2);
    if new != sum && !options.saturate {
        cx.reply.integer(old);
        cx.reply.integer(0);
        return Ok(());
    }
    let applied = i64::try_from(new - i128::from(old)).map_err(|_| Error::Overflow)?;
    // Between two bounds that are 64-bit integers.
    let new = new as i64;
    store_integer(cx, key, found, new);
    finish(cx, key, (itoa::Buffer::new().format(new), "incrby"), options, deadline);
    cx.reply.integer(new);
    cx.reply.integer(applied);
    Ok(())
}

fn by_float(cx: &mut Cx<'_>, key: &[u8], options: &Options<'_>) -> Result<(), Error> {
    let increment = float(options.by_float.unwrap_or(b"1"))?;
    if !increment.is_finite() {
        return Err(Error::NanOrInfinity);
    }
    let least = Extended::MAX.negated();
    let lower = options.lower.map_or(Ok(least), float)?.max(least);
    let upper = options.upper.map_or(Ok(Extended::MAX), float)?.min(Extended::MAX);
    if lower > upper {
        return Err(BOUNDS_CROSSED);
    }
    let deadline = options.expiry.map(|expiry| expiry.deadline(cx)).transpose()?;
    let found = cx.find(key);
    let old = found.map_or(Ok(Extended::ZERO), |found| float_in(cx.value(found)))?;
    if !old.is_finite() {
        return Err(Error::NanOrInfinity);
    }
    let sum = old.add(increment);
    let within = (lower..=upper).contains(&sum);
    let (new, applied) = match (within, options.saturate) {
        (true, _) => (sum, increment),
        (false, true) => {
            let bound = sum.clamp(lower, upper);
            (bound, bound.subtract(old))
        }
        (false, false) => (old, Extended::ZERO),
    };
    if !applied.is_finite() {
        return Err(Error::NanOrInfinity);
    }
    let text = new.format();
    if within || options.saturate {
        store_float(cx, key, found, &text);
        finish(cx, key, (&text, "incrbyfloat"), options, deadline);
    }
    cx.reply.array(2);
    reply_float(cx, &text);
    reply_float(cx, &applied.format());
    Ok(())
}

const BOUNDS_CROSSED: Error = Error::fixed("ERR LBOUND can't be greater than UBOUND");

/// Deals with the deadline of the key whose new value was stored with the deadline that it had, and
/// tells of what has happened. The log gets what the key has become.
fn finish(
    cx: &mut Cx<'_>,
    key: &[u8],
    (value, event): (&str, &'static str),
    options: &Options<'_>,
    deadline: Option<UnixMillis>,
) {
    // The entry may have moved when it was stored.
    let Some(found) = cx.find(key) else { return };
    let kept = options.only_without_ttl && cx.deadline(found).is_some();
    let had_deadline = cx.deadline(found).is_some();
    let changes = options.persist || deadline.is_some() && !kept;
    let left = if changes { deadline } else { cx.deadline(found) };
    if changes {
        cx.set_deadline(found, deadline);
    }
    match left {
        _ if !cx.logs() => {}
        Some(deadline) => log_set_until(cx, key, value.as_bytes(), deadline),
        None => cx.log_as([b"SET".as_slice(), key, value.as_bytes()]),
    }
    cx.changed(key, event);
    if changes && deadline.is_some() {
        cx.also(key, "expire");
    } else if changes && had_deadline {
        cx.also(key, "persist");
    }
}

/// A float of more precision than a double.
fn reply_float(cx: &mut Cx<'_>, text: &str) {
    match cx.reply.protocol {
        Protocol::Resp2 => cx.reply.text(text),
        Protocol::Resp3 => {
            cx.reply.out.push(b',');
            cx.reply.out.extend_from_slice(text.as_bytes());
            cx.reply.out.extend_from_slice(b"\r\n");
        }
    }
}
