//! Keys of any type: when they expire.

use super::Cx;
use super::arguments::{Unit, integer};
use super::spec::{Command, Flags, KeySpec, one_key};
use super::string::expire_at;
use crate::args::Args;
use crate::error::Error;
use crate::time::UnixMillis;

const SET_SYNTAX: [&str; 4] = [
    "key seconds [NX | XX | GT | LT]",
    "key milliseconds [NX | XX | GT | LT]",
    "key unix-time-seconds [NX | XX | GT | LT]",
    "key unix-time-milliseconds [NX | XX | GT | LT]",
];
const SET_KEYS: &[KeySpec] = &[one_key(&["RW", "UPDATE"])];
const READ_KEYS: &[KeySpec] = &[one_key(&["RO", "ACCESS"])];

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "EXPIRE",
        syntax: SET_SYNTAX[0],
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: SET_KEYS,
        summary: "Sets the time to live of a key in seconds.",
        reply: "integer",
        run: |cx, args| expire(cx, args, Unit::Seconds),
        ..Command::ROW
    },
    Command {
        name: "PEXPIRE",
        syntax: SET_SYNTAX[1],
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: SET_KEYS,
        since: "2.6.0",
        summary: "Sets the time to live of a key in milliseconds.",
        reply: "integer",
        run: |cx, args| expire(cx, args, Unit::Millis),
        ..Command::ROW
    },
    Command {
        name: "EXPIREAT",
        syntax: SET_SYNTAX[2],
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: SET_KEYS,
        since: "1.2.0",
        summary: "Sets the Unix time in seconds at which a key expires.",
        reply: "integer",
        run: |cx, args| expire(cx, args, Unit::UnixSeconds),
        ..Command::ROW
    },
    Command {
        name: "PEXPIREAT",
        syntax: SET_SYNTAX[3],
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: SET_KEYS,
        since: "2.6.0",
        summary: "Sets the Unix time in milliseconds at which a key expires.",
        reply: "integer",
        run: |cx, args| expire(cx, args, Unit::UnixMillis),
        ..Command::ROW
    },
    Command {
        name: "TTL",
        syntax: "key",
        tips: &["nondeterministic_output"],
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: READ_KEYS,
        summary: "Returns the time to live of a key in seconds.",
        reply: "integer",
        run: |cx, args| ttl(cx, args, Unit::Seconds),
        ..Command::ROW
    },
    Command {
        name: "PTTL",
        syntax: "key",
        tips: &["nondeterministic_output"],
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: READ_KEYS,
        since: "2.6.0",
        summary: "Returns the time to live of a key in milliseconds.",
        reply: "integer",
        run: |cx, args| ttl(cx, args, Unit::Millis),
        ..Command::ROW
    },
    Command {
        name: "EXPIRETIME",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: READ_KEYS,
        since: "7.0.0",
        summary: "Returns the Unix time in seconds at which a key expires.",
        reply: "integer",
        run: |cx, args| ttl(cx, args, Unit::UnixSeconds),
        ..Command::ROW
    },
    Command {
        name: "PEXPIRETIME",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: READ_KEYS,
        since: "7.0.0",
        summary: "Returns the Unix time in milliseconds at which a key expires.",
        reply: "integer",
        run: |cx, args| ttl(cx, args, Unit::UnixMillis),
        ..Command::ROW
    },
    Command {
        name: "PERSIST",
        syntax: "key",
        arity: 2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: SET_KEYS,
        since: "2.2.0",
        summary: "Removes the time to live of a key.",
        reply: "integer",
        run: persist,
        ..Command::ROW
    },
];

/// Which deadlines a new one may take the place of.
#[derive(Debug, Default)]
struct Conditions {
    /// `NX`: none.
    absent: bool,
    /// `XX`: any.
    present: bool,
    /// `GT`: an earlier one; none counts as never.
    greater: bool,
    /// `LT`: a later one; none counts as never.
    less: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let mut conditions = Self::default();
        for (index, word) in args.from(3).enumerate() {
            let place = match () {
                () if args.is(3 + index, "NX") => &mut conditions.absent,
                () if args.is(3 + index, "XX") => &mut conditions.present,
                () if args.is(3 + index, "GT") => &mut conditions.greater,
                () if args.is(3 + index, "LT") => &mut conditions.less,
                () => {
                    // Redis prints a C string.
                    let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
                    let word = String::from_utf8_lossy(word);
                    return Err(Error::text(format!("ERR Unsupported option {word}")));
                }
            };
            *place = true;
        }
        let Self { absent, present, greater, less } = conditions;
        if absent && (present || greater || less) {
            return Err(Error::fixed(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if greater && less {
            return Err(Error::fixed("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether `new`, in milliseconds since the epoch, may take the place of `old`.
    fn allow(&self, old: Option<UnixMillis>, new: i64) -> bool {
        let old = old.map(|old| i64::try_from(old.0).unwrap_or(i64::MAX));
        (!self.absent || old.is_none())
            && (!self.present || old.is_some())
            && (!self.greater || old.is_some_and(|old| new > old))
            && (!self.less || old.is_none_or(|old| new < old))
    }
}

/// `EXPIRE key seconds [condition]` and its kin. A moment that has passed deletes the key.
fn expire(cx: &mut Cx<'_>, args: Args<'_>, unit: Unit) -> Result<(), Error> {
    let key = args.at(1);
    let conditions = Conditions::parse(args)?;
    let number = integer(args.at(2))?;
    let millis = match unit {
        Unit::Seconds | Unit::UnixSeconds => number.checked_mul(1000),
        Unit::Millis | Unit::UnixMillis => Some(number),
    };
    let base = match unit {
        Unit::Seconds | Unit::Millis => cx.key_now().0 as i64,
        Unit::UnixSeconds | Unit::UnixMillis => 0,
    };
    let at = millis
        .and_then(|millis| millis.checked_add(base))
        .ok_or(Error::InvalidExpireOf(cx.row.full_name))?;
    let set = match cx.find(key) {
        Some(found) if conditions.allow(cx.deadline(found), at) => {
            if unit != Unit::UnixMillis && cx.logs() {
                let mut digits = itoa::Buffer::new();
                let head = [b"PEXPIREAT".as_slice(), key, digits.format(at).as_bytes()];
                cx.log_as(head.into_iter().chain(args.from(3)).collect::<Vec<_>>());
            }
            // Before the epoch has passed, too.
            expire_at(cx, key, found, UnixMillis(at.max(0) as u64));
            true
        }
        _ => false,
    };
    cx.reply.integer(i64::from(set));
    Ok(())
}

/// `TTL key` and its kin: -2 without key, -1 without deadline. Seconds are rounded to the nearest.
fn ttl(cx: &mut Cx<'_>, args: Args<'_>, unit: Unit) -> Result<(), Error> {
    let Some(found) = cx.find_untouched(args.at(1)) else {
        cx.reply.integer(-2);
        return Ok(());
    };
    let Some(deadline) = cx.deadline(found) else {
        cx.reply.integer(-1);
        return Ok(());
    };
    let left = deadline.0.saturating_sub(cx.key_now().0);
    let shown = match unit {
        Unit::Seconds => left.saturating_add(500) / 1000,
        Unit::Millis => left,
        Unit::UnixSeconds => deadline.0.saturating_add(500) / 1000,
        Unit::UnixMillis => deadline.0,
    };
    cx.reply.integer(i64::try_from(shown).unwrap_or(i64::MAX));
    Ok(())
}

/// `PERSIST key`
fn persist(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = cx.find(args.at(1)).filter(|&found| cx.deadline(found).is_some());
    if let Some(found) = found {
        cx.set_deadline(found, None);
        cx.changed(args.at(1), "persist");
    }
    cx.reply.integer(i64::from(found.is_some()));
    Ok(())
}
