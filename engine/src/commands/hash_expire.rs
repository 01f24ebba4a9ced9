//! Hashes: the deadlines of fields.
//!
//! Replies tell what became of each field: -2 there is none, -1 it has no deadline, 0 a condition
//! did not hold, 1 done, 2 deleted because the moment has passed.

use super::Cx;
use super::arguments::{Unit, integer};
use super::hash::{Outcome, Touched, read};
use super::spec::{Command, Flags, Group, KeySpec, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::value::collection::Collection;
use crate::value::hash::Hash;
use crate::value::number::parse_integer;

/// The latest deadline that clients can ask for, as in Redis: some 2230 years after the epoch.
const DEADLINE_MS_MAX: i64 = ((1 << 48) - 1) >> 2;

const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const CONDITION_FAILED: i64 = 0;
const DONE: i64 = 1;
const DELETED: i64 = 2;

/// What is said of a bad number of fields.
pub(super) const COUNT_NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

const SET_FLAGS: Flags = Flags::WRITE.and(Flags::FAST);
const SET_KEYS: &[KeySpec] = &[one_key(&["RW", "UPDATE"])];
const READ_FLAGS: Flags = Flags::READONLY.and(Flags::FAST);
const READ_KEYS: &[KeySpec] = &[one_key(&["RO", "ACCESS"])];
const COMPLEXITY: &str = "O(N) where N is the number of fields.";

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "HEXPIRE",
        syntax: "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        arity: -6,
        flags: SET_FLAGS,
        keys: SET_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Sets the time to live of fields of a hash in seconds.",
        reply: "array<integer>",
        run: |cx, args| expire(cx, args, Unit::Seconds),
        ..Command::ROW
    },
    Command {
        name: "HPEXPIRE",
        syntax: "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        arity: -6,
        flags: SET_FLAGS,
        keys: SET_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Sets the time to live of fields of a hash in milliseconds.",
        reply: "array<integer>",
        run: |cx, args| expire(cx, args, Unit::Millis),
        ..Command::ROW
    },
    Command {
        name: "HEXPIREAT",
        syntax: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        arity: -6,
        flags: SET_FLAGS,
        keys: SET_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Sets the Unix time in seconds at which fields of a hash expire.",
        reply: "array<integer>",
        run: |cx, args| expire(cx, args, Unit::UnixSeconds),
        ..Command::ROW
    },
    Command {
        name: "HPEXPIREAT",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        arity: -6,
        flags: SET_FLAGS,
        keys: SET_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Sets the Unix time in milliseconds at which fields of a hash expire.",
        reply: "array<integer>",
        run: |cx, args| expire(cx, args, Unit::UnixMillis),
        ..Command::ROW
    },
    Command {
        name: "HTTL",
        syntax: "key FIELDS numfields field [field ...]",
        arity: -5,
        flags: READ_FLAGS,
        keys: READ_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Returns the remaining time to live of fields of a hash in seconds.",
        reply: "array<integer>",
        run: |cx, args| ttl(cx, args, Unit::Seconds),
        ..Command::ROW
    },
    Command {
        name: "HPTTL",
        syntax: "key FIELDS numfields field [field ...]",
        arity: -5,
        flags: READ_FLAGS,
        keys: READ_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Returns the remaining time to live of fields of a hash in milliseconds.",
        reply: "array<integer>",
        run: |cx, args| ttl(cx, args, Unit::Millis),
        ..Command::ROW
    },
    Command {
        name: "HEXPIRETIME",
        syntax: "key FIELDS numfields field [field ...]",
        arity: -5,
        flags: READ_FLAGS,
        keys: READ_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Returns the Unix time in seconds at which fields of a hash expire.",
        reply: "array<integer>",
        run: |cx, args| ttl(cx, args, Unit::UnixSeconds),
        ..Command::ROW
    },
    Command {
        name: "HPEXPIRETIME",
        syntax: "key FIELDS numfields field [field ...]",
        arity: -5,
        flags: READ_FLAGS,
        keys: READ_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Returns the Unix time in milliseconds at which fields of a hash expire.",
        reply: "array<integer>",
        run: |cx, args| ttl(cx, args, Unit::UnixMillis),
        ..Command::ROW
    },
    Command {
        name: "HPERSIST",
        syntax: "key FIELDS numfields field [field ...]",
        arity: -5,
        flags: SET_FLAGS,
        keys: SET_KEYS,
        group: Group::Hash,
        since: "7.4.0",
        complexity: COMPLEXITY,
        summary: "Removes the time to live of fields of a hash.",
        reply: "array<integer>",
        run: persist,
        ..Command::ROW
    },
];

/// Which deadlines a new one may take the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// Any or none.
    Always,
    /// `NX`: none.
    Absent,
    /// `XX`: any.
    Present,
    /// `GT`: an earlier one; none counts as never.
    Greater,
    /// `LT`: a later one; none counts as never.
    Less,
}

impl Condition {
    const WORDS: [(&str, Self); 4] =
        [("NX", Self::Absent), ("XX", Self::Present), ("GT", Self::Greater), ("LT", Self::Less)];

    fn allows(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => old.is_none(),
            Self::Present => old.is_some(),
            Self::Greater => old.is_some_and(|old| new > old),
            Self::Less => old.is_none_or(|old| new < old),
        }
    }
}

/// The moment that a word of a command means.
pub(super) fn moment(cx: &Cx<'_>, word: &[u8], unit: Unit) -> Result<u64, Error> {
    let number = integer(word)?;
    if number < 0 {
        return Err(Error::fixed("ERR invalid expire time, must be >= 0"));
    }
    let millis = match unit {
        Unit::Seconds | Unit::UnixSeconds => number.saturating_mul(1000),
        Unit::Millis | Unit::UnixMillis => number,
    };
    let base = match unit {
        Unit::Seconds | Unit::Millis => cx.key_now().0 as i64,
        Unit::UnixSeconds | Unit::UnixMillis => 0,
    };
    if millis > DEADLINE_MS_MAX - base {
        return Err(Error::InvalidExpireOf(cx.row.full_name));
    }
    Ok((millis + base) as u64)
}

/// Checks `FIELDS numfields`, which stand at word `index`, against the words that follow; returns
/// where these begin.
pub(super) fn fields_at(
    args: Args<'_>,
    index: usize,
    not_positive: &'static str,
) -> Result<usize, Error> {
    if !args.is(index, "FIELDS") {
        return Err(Error::fixed(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = args.opt(index + 1).and_then(parse_integer).filter(|&count| count > 0);
    let count = count.ok_or_else(|| Error::fixed(not_positive))?;
    let first = index + 2;
    if count != args.len() as i64 - first as i64 {
        return Err(Error::fixed(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(first)
}

/// An error if a key holds something else than a hash. Commands say so before they say what is
/// wrong with their words.
pub(super) fn check_type(cx: &mut Cx<'_>, key: &[u8]) -> Result<(), Error> {
    if let Some(found) = cx.find(key) {
        cx.value(found).hash()?;
    }
    Ok(())
}

/// What the log says has become of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logged {
    /// They are gone.
    Nothing,
    /// They have this deadline.
    Until(u64),
    /// They have none.
    ForEver,
}

/// Logs what has become of fields of a hash.
pub(super) fn log_fields(cx: &mut Cx<'_>, key: &[u8], fields: &[&Touched<'_>], what: Logged) {
    let names = || fields.iter().flat_map(|touched| touched.names().iter().copied());
    let count = names().count();
    if count == 0 || !cx.logs() {
        return;
    }
    let (mut digits, mut counted) = (itoa::Buffer::new(), itoa::Buffer::new());
    let mut words: Vec<&[u8]> = match what {
        Logged::Nothing => vec![b"HDEL", key],
        Logged::Until(at) => vec![b"HPEXPIREAT", key, digits.format(at).as_bytes()],
        Logged::ForEver => vec![b"HPERSIST", key],
    };
    if what != Logged::Nothing {
        words.extend([b"FIELDS".as_slice(), counted.format(count).as_bytes()]);
    }
    words.extend(names());
    cx.log_also(words);
}

/// `HEXPIRE key seconds [condition] FIELDS numfields field ...` and its kin
fn expire(cx: &mut Cx<'_>, args: Args<'_>, unit: Unit) -> Result<(), Error> {
    let (key, now_ms) = (args.at(1), cx.key_now().0);
    check_type(cx, key)?;
    let deadline_ms = moment(cx, args.at(2), unit)?;
    let condition = Condition::WORDS.iter().find(|(word, _)| args.is(3, word));
    let at = if condition.is_some() { 4 } else { 3 };
    let condition = condition.map_or(Condition::Always, |&(_, condition)| condition);
    let first = fields_at(args, at, "ERR Parameter `numFields` should be greater than 0")?;
    cx.reply.array(args.len() - first);
    let mut expired = Touched::new(cx);
    let (mut done, mut deleted) = (Touched::new(cx), Touched::new(cx));
    let edited = cx.edit(key, |cx, hash: &mut Hash| {
        for name in args.from(first) {
            expired.note(hash.remove_if_due(name, now_ms), name);
            let result = match hash.reader().find(name) {
                None => NO_FIELD,
                Some(field) if !condition.allows(field.deadline_ms, deadline_ms) => {
                    CONDITION_FAILED
                }
                Some(_) if deadline_ms <= now_ms => {
                    deleted.note(hash.remove(name), name);
                    DELETED
                }
                Some(_) => {
                    done.note(hash.set_deadline(name, Some(deadline_ms)), name);
                    DONE
                }
            };
            cx.reply.integer(result);
        }
        hash.is_empty()
    })?;
    match edited {
        Some(is_gone) => {
            log_fields(cx, key, &[&expired, &deleted], Logged::Nothing);
            log_fields(cx, key, &[&done], Logged::Until(deadline_ms));
            cx.log_nothing();
            let events = [("hexpire", &done), ("hdel", &deleted)];
            Outcome { expired, is_gone }.tell(cx, key, &events);
        }
        None => args.from(first).for_each(|_| cx.reply.integer(NO_FIELD)),
    }
    Ok(())
}

/// `HTTL key FIELDS numfields field ...` and its kin. Seconds are rounded up.
fn ttl(cx: &mut Cx<'_>, args: Args<'_>, unit: Unit) -> Result<(), Error> {
    check_type(cx, args.at(1))?;
    let first = fields_at(args, 2, COUNT_NOT_POSITIVE)?;
    read(cx, args.at(1), |hash, show| {
        show.reply.array(args.len() - first);
        for name in args.from(first) {
            let Some(field) = hash.find_living(name, show.now_ms) else {
                show.reply.integer(NO_FIELD);
                continue;
            };
            let shown = field.deadline_ms.map_or(NO_DEADLINE, |deadline_ms| {
                let left_ms = deadline_ms - show.now_ms;
                let shown = match unit {
                    Unit::Seconds => left_ms.div_ceil(1000),
                    Unit::Millis => left_ms,
                    Unit::UnixSeconds => deadline_ms.div_ceil(1000),
                    Unit::UnixMillis => deadline_ms,
                };
                shown as i64
            });
            show.reply.integer(shown);
        }
    })
}

/// `HPERSIST key FIELDS numfields field ...`
fn persist(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, now_ms) = (args.at(1), cx.key_now().0);
    check_type(cx, key)?;
    let first = fields_at(args, 2, COUNT_NOT_POSITIVE)?;
    cx.reply.array(args.len() - first);
    let (expired, mut done) = (Touched::new(cx), Touched::new(cx));
    let edited = cx.edit(key, |cx, hash: &mut Hash| {
        for name in args.from(first) {
            let result = match hash.reader().find_living(name, now_ms) {
                None => NO_FIELD,
                Some(field) if field.deadline_ms.is_none() => NO_DEADLINE,
                Some(_) => {
                    done.note(hash.set_deadline(name, None), name);
                    DONE
                }
            };
            cx.reply.integer(result);
        }
    })?;
    log_fields(cx, key, &[&done], Logged::ForEver);
    cx.log_nothing();
    match edited {
        Some(()) => Outcome { expired, is_gone: false }.tell(cx, key, &[("hpersist", &done)]),
        None => args.from(first).for_each(|_| cx.reply.integer(NO_FIELD)),
    }
    Ok(())
}
