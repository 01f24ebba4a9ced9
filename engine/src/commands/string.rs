//! Strings: setting and getting whole values.

use super::Cx;
use super::arguments::{Expiry, NewTtl, Unit};
use super::compare::Comparison;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Found, NewValue};
use crate::time::UnixMillis;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "GET",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::String,
        summary: "Returns the string value of a key.",
        reply: "bulk | null",
        run: get,
        ..Command::ROW
    },
    Command {
        name: "SET",
        syntax: "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | \
            IFDNE ifdne-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
            PXAT unix-time-milliseconds | KEEPTTL]",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE", "VARIABLE_FLAGS"])],
        key_flags: Some(set_key_flags),
        group: Group::String,
        summary: "Sets the string value of a key, whatever it held, if a condition holds.",
        reply: "ok | bulk | null",
        run: set,
        ..Command::ROW
    },
    Command {
        name: "SETNX",
        syntax: "key value",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[one_key(&["OW", "INSERT"])],
        group: Group::String,
        summary: "Sets the string value of a key that does not exist.",
        reply: "integer",
        run: setnx,
        ..Command::ROW
    },
    Command {
        name: "SETEX",
        syntax: "key seconds value",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["OW", "UPDATE"])],
        group: Group::String,
        since: "2.0.0",
        summary: "Sets the string value of a key and its time to live in seconds.",
        reply: "ok",
        run: |cx, args| setex(cx, args, Expiry { number: args.at(2), unit: Unit::Seconds }),
        ..Command::ROW
    },
    Command {
        name: "PSETEX",
        syntax: "key milliseconds value",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["OW", "UPDATE"])],
        group: Group::String,
        since: "2.6.0",
        summary: "Sets the string value of a key and its time to live in milliseconds.",
        reply: "ok",
        run: |cx, args| setex(cx, args, Expiry { number: args.at(2), unit: Unit::Millis }),
        ..Command::ROW
    },
    Command {
        name: "GETSET",
        syntax: "key value",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::String,
        summary: "Sets the string value of a key and returns the value that it had.",
        reply: "bulk | null",
        run: getset,
        ..Command::ROW
    },
    Command {
        name: "GETDEL",
        syntax: "key",
        arity: 2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "DELETE"])],
        group: Group::String,
        since: "6.2.0",
        summary: "Returns the string value of a key and deletes the key.",
        reply: "bulk | null",
        run: getdel,
        ..Command::ROW
    },
    Command {
        name: "GETEX",
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
            PXAT unix-time-milliseconds | PERSIST]",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::String,
        since: "6.2.0",
        summary: "Returns the string value of a key and sets or removes its time to live.",
        reply: "bulk | null",
        run: getex,
        ..Command::ROW
    },
];

/// `GET key`
fn get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_value(cx, args.at(1)).map(drop)
}

/// Replies with the string at a key or null; returns where it is.
fn reply_value(cx: &mut Cx<'_>, key: &[u8]) -> Result<Option<Found>, Error> {
    let found = cx.find_read(key);
    match found {
        Some(found) => cx.reply_string(found)?,
        None => cx.reply.null(),
    }
    Ok(found)
}

/// Whether SET goes ahead.
#[derive(Clone, Copy, Debug)]
enum Condition<'a> {
    /// `NX`: the key does not exist.
    Absent,
    /// `XX`: the key exists.
    Present,
    /// `IFEQ` and its kin: the key exists and its value compares as asked; the negated ones hold
    /// where no key is, too.
    Compares(Comparison<'a>),
}

#[derive(Debug, Default)]
struct SetOptions<'a> {
    condition: Option<Condition<'a>>,
    returns_old: bool,
    ttl: NewTtl<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 3;
        while index < args.len() {
            index += options.option(args, index).ok_or(Error::Syntax)?;
        }
        Ok(options)
    }

    /// Takes the option at word `index`; returns how many words it has.
    fn option(&mut self, args: Args<'a>, index: usize) -> Option<usize> {
        if args.is(index, "GET") {
            self.returns_old = true;
            return Some(1);
        }
        if args.is(index, "NX") && matches!(self.condition, None | Some(Condition::Absent)) {
            self.condition = Some(Condition::Absent);
            return Some(1);
        }
        if args.is(index, "XX") && matches!(self.condition, None | Some(Condition::Present)) {
            self.condition = Some(Condition::Present);
            return Some(1);
        }
        if let Some(comparison) = Comparison::option(args, index) {
            if self.condition.is_some() {
                return None;
            }
            self.condition = Some(Condition::Compares(comparison));
            return Some(2);
        }
        self.ttl.option(args, index)
    }

    fn holds(&self, cx: &Cx<'_>, found: Option<Found>) -> Result<bool, Error> {
        match (self.condition, found) {
            (None, _) => Ok(true),
            (Some(Condition::Absent), _) => Ok(found.is_none()),
            (Some(Condition::Present), _) => Ok(found.is_some()),
            (Some(Condition::Compares(comparison)), None) => Ok(comparison.is_negated()),
            (Some(Condition::Compares(comparison)), Some(found)) => {
                comparison.holds(cx.value(found))
            }
        }
    }
}

/// `SET key value [condition] [GET] [expiration]`
/// SET only looks at the old value for GET and the conditions on it.
fn set_key_flags(args: Args<'_>) -> &'static [&'static str] {
    let reads = |index| ["GET", "IFEQ", "IFNE", "IFDEQ", "IFDNE"].iter().any(|w| args.is(index, w));
    if (3..args.len()).any(reads) { &["RW", "ACCESS", "UPDATE"] } else { &["OW", "UPDATE"] }
}

fn set(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() == 3 {
        cx.set(args.at(1), NewValue::String(args.at(2)), None);
        cx.changed(args.at(1), "set");
        cx.reply.ok();
        return Ok(());
    }
    let options = SetOptions::parse(args)?;
    let (key, value) = (args.at(1), NewValue::String(args.at(2)));
    let deadline = match options.ttl {
        NewTtl::At(expiry) => Some(expiry.deadline(cx)?),
        NewTtl::Keep | NewTtl::Discard => None,
    };
    if let Some(Condition::Compares(comparison)) = options.condition {
        comparison.check()?;
    }
    let found = if options.returns_old { reply_value(cx, key)? } else { cx.find(key) };
    if !options.holds(cx, found)? {
        if !options.returns_old {
            cx.reply.null();
        }
        return Ok(());
    }
    match found {
        Some(found) if matches!(options.ttl, NewTtl::Keep) => {
            cx.overwrite(key, found, value, cx.deadline(found));
        }
        Some(found) => cx.overwrite(key, found, value, deadline),
        None => cx.add(key, value, deadline),
    }
    if cx.logs() {
        log_set(cx, args, &options, deadline);
    }
    cx.changed(key, "set");
    if deadline.is_some() {
        cx.also(key, "expire");
    }
    if !options.returns_old {
        cx.reply.ok();
    }
    Ok(())
}

/// The log gets the deadline as a moment, and neither a condition that held nor the wish for a
/// reply; what has nothing to leave out is logged as it is.
fn log_set(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    options: &SetOptions<'_>,
    deadline: Option<UnixMillis>,
) {
    let has_comparison = matches!(options.condition, Some(Condition::Compares(_)));
    match (options.ttl, deadline) {
        (_, Some(deadline)) => log_set_until(cx, args.at(1), args.at(2), deadline),
        (_, None) if has_comparison => {
            let keeps = matches!(options.ttl, NewTtl::Keep);
            let words = [b"SET".as_slice(), args.at(1), args.at(2), b"KEEPTTL"];
            cx.log_as(words.into_iter().take(3 + usize::from(keeps)));
        }
        (_, None) if options.returns_old => {
            let asks =
                |&(index, word): &(usize, &[u8])| index > 2 && word.eq_ignore_ascii_case(b"GET");
            let words = args.from(0).enumerate().filter(|word| !asks(word));
            let words: Vec<&[u8]> = words.map(|(_, word)| word).collect();
            cx.log_as(words);
        }
        (_, None) => {}
    }
}

/// Logs that a key was set to a string that expires.
pub(super) fn log_set_until(cx: &mut Cx<'_>, key: &[u8], value: &[u8], deadline: UnixMillis) {
    let mut digits = itoa::Buffer::new();
    let deadline = digits.format(deadline.0).as_bytes();
    cx.log_as([b"SET".as_slice(), key, value, b"PXAT", deadline]);
}

/// `SETNX key value`
fn setnx(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let absent = cx.find(key).is_none();
    if absent {
        cx.add(key, NewValue::String(args.at(2)), None);
        cx.changed(key, "set");
    }
    cx.reply.integer(i64::from(absent));
    Ok(())
}

/// `SETEX key seconds value`, `PSETEX key milliseconds value`
fn setex(cx: &mut Cx<'_>, args: Args<'_>, expiry: Expiry<'_>) -> Result<(), Error> {
    let deadline = expiry.deadline(cx)?;
    cx.set(args.at(1), NewValue::String(args.at(3)), Some(deadline));
    if cx.logs() {
        log_set_until(cx, args.at(1), args.at(3), deadline);
    }
    cx.changed(args.at(1), "set");
    cx.also(args.at(1), "expire");
    cx.reply.ok();
    Ok(())
}

/// `GETSET key value`
fn getset(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, value) = (args.at(1), NewValue::String(args.at(2)));
    match reply_value(cx, key)? {
        Some(found) => cx.overwrite(key, found, value, None),
        None => cx.add(key, value, None),
    }
    cx.log_as([b"SET".as_slice(), key, args.at(2)]);
    cx.changed(key, "set");
    Ok(())
}

/// `GETDEL key`
fn getdel(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if let Some(found) = reply_value(cx, args.at(1))? {
        cx.remove(found);
        cx.log_as_removal(args.at(1), "lazyfree-lazy-user-del");
        cx.changed(args.at(1), "del");
    }
    Ok(())
}

/// `GETEX key [expiration]`. A moment that has passed deletes the key.
fn getex(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let (mut expiry, mut persist): (Option<Expiry<'_>>, bool) = (None, false);
    let mut index = 2;
    while index < args.len() {
        if args.is(index, "PERSIST") && expiry.is_none() {
            persist = true;
            index += 1;
            continue;
        }
        let option = Expiry::option(args, index).filter(|_| !persist).ok_or(Error::Syntax)?;
        if expiry.is_some_and(|earlier| earlier.unit != option.unit) {
            return Err(Error::Syntax);
        }
        expiry = Some(option);
        index += 2;
    }
    let Some(found) = reply_value(cx, key)? else { return Ok(()) };
    if let Some(expiry) = expiry {
        let deadline = expiry.deadline(cx)?;
        if cx.logs() {
            let mut digits = itoa::Buffer::new();
            let deadline = digits.format(deadline.0).as_bytes();
            cx.log_as([b"PEXPIREAT".as_slice(), key, deadline]);
        }
        expire_at(cx, key, found, deadline);
    } else if persist && cx.deadline(found).is_some() {
        cx.set_deadline(found, None);
        cx.log_as([b"PERSIST".as_slice(), key]);
        cx.changed(key, "persist");
    }
    Ok(())
}

/// Sets the deadline of a found key, or deletes the key if that has passed, and logs that.
pub(super) fn expire_at(cx: &mut Cx<'_>, key: &[u8], found: Found, deadline: UnixMillis) {
    if deadline <= cx.key_now() {
        cx.remove(found);
        cx.log_as_removal(key, "lazyfree-lazy-expire");
        cx.changed(key, "del");
    } else {
        cx.set_deadline(found, Some(deadline));
        cx.changed(key, "expire");
    }
}
