//! Hashes: fields together with their deadlines: HGETEX, HSETEX, HGETDEL.

use super::Cx;
use super::arguments::Unit;
use super::hash::{Outcome, Touched, limits};
use super::hash_expire::{COUNT_NOT_POSITIVE, Logged, check_type, fields_at, log_fields, moment};
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::value::collection::Collection;
use crate::value::hash::{Hash, NewDeadline};
use crate::value::number::parse_integer;

/// Words that a moment follows.
const UNITS: [(&str, Unit); 4] = [
    ("EX", Unit::Seconds),
    ("PX", Unit::Millis),
    ("EXAT", Unit::UnixSeconds),
    ("PXAT", Unit::UnixMillis),
];

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "HGETEX",
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
            PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
        arity: -5,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::Hash,
        since: "8.0.0",
        complexity: "O(N) where N is the number of fields.",
        summary: "Returns the values of some fields of a hash and sets or removes their time to \
            live.",
        reply: "array<bulk | null>",
        run: hgetex,
        ..Command::ROW
    },
    Command {
        name: "HSETEX",
        syntax: "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | \
            EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields \
            field value [field value ...]",
        arity: -6,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[one_key(&["RW", "UPDATE"])],
        group: Group::Hash,
        since: "8.0.0",
        complexity: "O(N) where N is the number of fields.",
        summary: "Sets fields of a hash with a time to live, if the key and the fields are there \
            or are not.",
        reply: "integer",
        run: hsetex,
        ..Command::ROW
    },
    Command {
        name: "HGETDEL",
        syntax: "key FIELDS numfields field [field ...]",
        arity: -5,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "DELETE"])],
        group: Group::Hash,
        since: "8.0.0",
        complexity: "O(N) where N is the number of fields.",
        summary: "Returns the values of some fields of a hash and removes these; a hash without \
            fields goes.",
        reply: "array<bulk | null>",
        run: hgetdel,
        ..Command::ROW
    },
];

/// What HGETEX does to the deadlines of the fields that it returns.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    Persist,
    At(u64),
}

/// `HGETEX key [expiration] FIELDS numfields field ...`
fn hgetex(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, now_ms) = (args.at(1), cx.key_now().0);
    check_type(cx, key)?;
    let unit = UNITS.iter().find(|(word, _)| args.is(2, word));
    let (change, at) = match unit {
        Some(&(_, unit)) => (Change::At(moment(cx, args.at(3), unit)?), 4),
        None if args.is(2, "PERSIST") => (Change::Persist, 3),
        None => (Change::Nothing, 2),
    };
    let first = fields_at(args, at, COUNT_NOT_POSITIVE)?;
    cx.reply.array(args.len() - first);
    let mut expired = Touched::new(cx);
    let (mut updated, mut deleted) = (Touched::new(cx), Touched::new(cx));
    let edited = cx.edit(key, |cx, hash: &mut Hash| {
        for name in args.from(first) {
            expired.note(hash.remove_if_due(name, now_ms), name);
            let Some(field) = hash.reader().find(name) else {
                cx.reply.null();
                continue;
            };
            field.value.reply(cx.reply);
            let has_deadline = field.deadline_ms.is_some();
            match change {
                Change::At(at) if at <= now_ms => deleted.note(hash.remove(name), name),
                Change::At(at) => updated.note(hash.set_deadline(name, Some(at)), name),
                Change::Persist if has_deadline => {
                    updated.note(hash.set_deadline(name, None), name);
                }
                Change::Persist | Change::Nothing => {}
            }
        }
        hash.is_empty()
    })?;
    let event = if matches!(change, Change::Persist) { "hpersist" } else { "hexpire" };
    match edited {
        Some(is_gone) => {
            log_fields(cx, key, &[&expired, &deleted], Logged::Nothing);
            match change {
                Change::At(at) => log_fields(cx, key, &[&updated], Logged::Until(at)),
                Change::Persist | Change::Nothing => {
                    log_fields(cx, key, &[&updated], Logged::ForEver);
                }
            }
            cx.log_nothing();
            let events = [(event, &updated), ("hdel", &deleted)];
            Outcome { expired, is_gone }.tell(cx, key, &events);
        }
        None => args.from(first).for_each(|_| cx.reply.null()),
    }
    Ok(())
}

/// `HGETDEL key FIELDS numfields field ...`
fn hgetdel(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, now_ms) = (args.at(1), cx.key_now().0);
    check_type(cx, key)?;
    let first = fields_at(args, 2, COUNT_NOT_POSITIVE)?;
    cx.reply.array(args.len() - first);
    let (mut deleted, mut expired) = (Touched::new(cx), Touched::new(cx));
    let edited = cx.edit(key, |cx, hash: &mut Hash| {
        for name in args.from(first) {
            expired.note(hash.remove_if_due(name, now_ms), name);
            match hash.reader().find(name) {
                Some(field) => {
                    field.value.reply(cx.reply);
                    deleted.note(hash.remove(name), name);
                }
                None => cx.reply.null(),
            }
        }
        hash.is_empty()
    })?;
    log_fields(cx, key, &[&expired, &deleted], Logged::Nothing);
    cx.log_nothing();
    match edited {
        Some(is_gone) => Outcome { expired, is_gone }.tell(cx, key, &[("hdel", &deleted)]),
        None => args.from(first).for_each(|_| cx.reply.null()),
    }
    Ok(())
}

/// What HSETEX was asked for.
#[derive(Clone, Copy, Debug)]
struct Options {
    /// `NX` and `XX`: whether the key must be there.
    key: Option<bool>,
    /// `FNX` and `FXX`: whether all fields must be there, or none.
    fields: Option<bool>,
    deadline: NewDeadline,
    /// Where fields and values begin.
    first: usize,
}

impl Options {
    fn parse(cx: &Cx<'_>, args: Args<'_>) -> Result<Self, Error> {
        let mut options =
            Self { key: None, fields: None, deadline: NewDeadline::Discard, first: 0 };
        let mut index = 2;
        while index < args.len() {
            if args.is(index, "FIELDS") {
                options.first = pairs_at(cx, args, index)?;
                return Ok(options);
            }
            index += options.option(cx, args, index)?;
        }
        // Redis takes this for a bug of its own.
        Err(Error::WrongArity(cx.row.full_name))
    }

    /// Reads the option at word `index`; returns how many words it has.
    fn option(&mut self, cx: &Cx<'_>, args: Args<'_>, index: usize) -> Result<usize, Error> {
        let only_one = |words: &str| {
            Error::text(format!("ERR Only one of {words} arguments can be specified"))
        };
        let keeps = args.is(index, "KEEPTTL");
        let unit = UNITS.iter().find(|(word, _)| args.is(index, word));
        if keeps || unit.is_some() {
            if self.deadline != NewDeadline::Discard {
                return Err(only_one("EX, PX, EXAT, PXAT or KEEPTTL"));
            }
            let Some(&(_, unit)) = unit else {
                self.deadline = NewDeadline::Keep;
                return Ok(1);
            };
            let number = args.opt(index + 1).ok_or(Error::fixed("ERR missing expire time"))?;
            self.deadline = NewDeadline::At(moment(cx, number, unit)?);
            return Ok(2);
        }
        let (place, must_be, words) = match () {
            () if args.is(index, "FXX") => (&mut self.fields, true, "FXX or FNX"),
            () if args.is(index, "FNX") => (&mut self.fields, false, "FXX or FNX"),
            () if args.is(index, "XX") => (&mut self.key, true, "XX or NX"),
            () if args.is(index, "NX") => (&mut self.key, false, "XX or NX"),
            () => {
                let word = String::from_utf8_lossy(args.at(index));
                return Err(Error::text(format!("ERR unknown argument: {word}")));
            }
        };
        if place.replace(must_be).is_some() {
            return Err(only_one(words));
        }
        Ok(1)
    }
}

/// Checks `FIELDS numfields`, which stand at word `index`, against the fields and values that
/// follow; returns where these begin.
fn pairs_at(cx: &Cx<'_>, args: Args<'_>, index: usize) -> Result<usize, Error> {
    let first = index + 2;
    if args.len() < first + 2 {
        return Err(Error::WrongArity(cx.row.full_name));
    }
    let count = parse_integer(args.at(index + 1));
    let count = count
        .filter(|count| (1..=i64::from(i32::MAX)).contains(count))
        .ok_or(Error::fixed("ERR invalid number of fields"))?;
    let words = args.len() - first;
    if words % 2 == 1 || count != words as i64 / 2 {
        return Err(Error::WrongArity(cx.row.full_name));
    }
    Ok(first)
}

/// `HSETEX key [conditions] [expiration] FIELDS numfields field value ...`
fn hsetex(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(cx, args)?;
    let (key, limits, now_ms) = (args.at(1), limits(cx), cx.key_now().0);
    check_type(cx, key)?;
    let is_there = cx.find(key).is_some();
    if options.key.is_some_and(|must_be| must_be != is_there) {
        cx.reply.integer(0);
        return Ok(());
    }
    let (mut expired, mut set) = (Touched::new(cx), Touched::new(cx));
    let (is_set, is_gone) = cx.edit_or_create(key, |_, hash: &mut Hash| {
        let mut holds = true;
        for name in args.from(options.first).step_by(2) {
            expired.note(hash.remove_if_due(name, now_ms), name);
            let is_there = hash.reader().find(name).is_some();
            holds &= options.fields.is_none_or(|must_be| must_be == is_there);
        }
        for index in (options.first..args.len()).step_by(2).filter(|_| holds) {
            let (name, value) = (args.at(index), args.at(index + 1));
            set.note(true, name);
            match options.deadline {
                // It is set and gone at once.
                NewDeadline::At(deadline_ms) if deadline_ms <= now_ms => {
                    hash.remove(name);
                }
                deadline => {
                    hash.set(name, value, deadline, &limits);
                }
            }
        }
        (holds, hash.is_empty())
    })?;
    if cx.logs() {
        log_hsetex(cx, args, &options, &expired, is_set);
    }
    let events: &[(&'static str, &Touched<'_>)] = match options.deadline {
        NewDeadline::At(deadline_ms) if deadline_ms <= now_ms => &[("hset", &set), ("hdel", &set)],
        NewDeadline::At(_) => &[("hset", &set), ("hexpire", &set)],
        NewDeadline::Discard | NewDeadline::Keep => &[("hset", &set)],
    };
    Outcome { expired, is_gone }.tell(cx, key, events);
    cx.reply.integer(is_set.into());
    Ok(())
}

/// The log gets the deadline as a moment, and no condition that held. Fields that had expired have
/// no deadline that could be kept.
fn log_hsetex(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    options: &Options,
    expired: &Touched<'_>,
    is_set: bool,
) {
    let (key, now_ms) = (args.at(1), cx.key_now().0);
    cx.log_nothing();
    if !is_set {
        log_fields(cx, key, &[expired], Logged::Nothing);
        return;
    }
    let pairs = || (options.first..args.len()).step_by(2).map(|at| (args.at(at), args.at(at + 1)));
    let mut digits = itoa::Buffer::new();
    let (head, keeps): (&[&[u8]], bool) = match options.deadline {
        NewDeadline::At(at) if at <= now_ms => {
            let names = pairs().map(|(name, _)| name);
            let words = [b"HDEL".as_slice(), key].into_iter().chain(names);
            cx.log_also(words.collect::<Vec<_>>());
            return;
        }
        NewDeadline::At(at) => (&[b"PXAT", digits.format(at).as_bytes()], false),
        NewDeadline::Keep => (&[b"KEEPTTL"], true),
        NewDeadline::Discard => (&[], false),
    };
    let is_new = |name: &[u8]| keeps && expired.names().contains(&name);
    let (new, others): (Vec<_>, Vec<_>) = pairs().partition(|(name, _)| is_new(name));
    if !new.is_empty() {
        let words = [b"HSET".as_slice(), key].into_iter();
        let words = words.chain(new.into_iter().flat_map(<[&[u8]; 2]>::from));
        cx.log_also(words.collect::<Vec<_>>());
    }
    if !others.is_empty() {
        let count = itoa::Buffer::new().format(others.len()).to_owned();
        let words = [b"HSETEX".as_slice(), key].into_iter().chain(head.iter().copied());
        let words = words.chain([b"FIELDS", count.as_bytes()]);
        let words = words.chain(others.into_iter().flat_map(<[&[u8]; 2]>::from));
        cx.log_also(words.collect::<Vec<_>>());
    }
}
