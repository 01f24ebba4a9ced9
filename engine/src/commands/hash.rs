//! Hashes: setting, reading and removing fields that are named.

use super::Cx;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::value::collection::Collection;
use crate::value::hash::{Hash, HashRef, Limits, NewDeadline};

const SET_FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const READ_FLAGS: Flags = Flags::READONLY.and(Flags::FAST);

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "HSET",
        syntax: "key field value [field value ...]",
        arity: -4,
        flags: SET_FLAGS,
        keys: &[one_key(&["RW", "UPDATE"])],
        group: Group::Hash,
        since: "2.0.0",
        complexity: "O(1) for each field.",
        summary: "Sets fields of a hash, which is made if there is none, and returns how many were \
            new.",
        reply: "integer",
        run: |cx, args| {
            let added = set_all(cx, args)?;
            cx.reply.count(added);
            Ok(())
        },
        ..Command::ROW
    },
    Command {
        name: "HMSET",
        syntax: "key field value [field value ...]",
        arity: -4,
        flags: SET_FLAGS,
        keys: &[one_key(&["RW", "UPDATE"])],
        group: Group::Hash,
        since: "2.0.0",
        complexity: "O(N) where N is the number of fields.",
        summary: "Sets fields of a hash, which is made if there is none.",
        reply: "ok",
        run: |cx, args| {
            set_all(cx, args)?;
            cx.reply.ok();
            Ok(())
        },
        ..Command::ROW
    },
    Command {
        name: "HSETNX",
        syntax: "key field value",
        arity: 4,
        flags: SET_FLAGS,
        keys: &[one_key(&["RW", "INSERT"])],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Sets a field of a hash unless it is there.",
        reply: "integer",
        run: hsetnx,
        ..Command::ROW
    },
    Command {
        name: "HGET",
        syntax: "key field",
        arity: 3,
        flags: READ_FLAGS,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns the value of a field of a hash.",
        reply: "bulk | null",
        run: hget,
        ..Command::ROW
    },
    Command {
        name: "HMGET",
        syntax: "key field [field ...]",
        arity: -3,
        flags: READ_FLAGS,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Hash,
        since: "2.0.0",
        complexity: "O(N) where N is the number of fields.",
        summary: "Returns the values of some fields of a hash.",
        reply: "array<bulk | null>",
        run: hmget,
        ..Command::ROW
    },
    Command {
        name: "HDEL",
        syntax: "key field [field ...]",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "DELETE"])],
        group: Group::Hash,
        since: "2.0.0",
        complexity: "O(N) where N is the number of fields.",
        summary: "Removes fields from a hash and returns how many were there; a hash without \
            fields goes.",
        reply: "integer",
        run: hdel,
        ..Command::ROW
    },
    Command {
        name: "HLEN",
        syntax: "key",
        arity: 2,
        flags: READ_FLAGS,
        keys: &[one_key(&["RO"])],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns how many fields a hash has.",
        reply: "integer",
        run: hlen,
        ..Command::ROW
    },
    Command {
        name: "HSTRLEN",
        syntax: "key field",
        arity: 3,
        flags: READ_FLAGS,
        keys: &[one_key(&["RO"])],
        group: Group::Hash,
        since: "3.2.0",
        summary: "Returns the length of the value of a field of a hash.",
        reply: "integer",
        run: hstrlen,
        ..Command::ROW
    },
    Command {
        name: "HEXISTS",
        syntax: "key field",
        arity: 3,
        flags: READ_FLAGS,
        keys: &[one_key(&["RO"])],
        group: Group::Hash,
        since: "2.0.0",
        summary: "Returns whether a hash has a field.",
        reply: "integer",
        run: hexists,
        ..Command::ROW
    },
];

/// Up to where hashes are packed at present.
#[inline]
pub(super) fn limits(cx: &Cx<'_>) -> Limits {
    let encodings = &cx.state.config.encodings;
    Limits {
        entries: encodings.hash_entries,
        value_bytes: encodings.hash_value_bytes,
        hash_key: cx.state.hash_key,
    }
}

/// Shows `read` the hash at a key, what it can draw on, and the time; a key that is not there is an
/// empty hash.
#[inline]
pub(super) fn read<R>(
    cx: &mut Cx<'_>,
    key: &[u8],
    read: impl FnOnce(HashRef<'_>, &mut Show<'_>) -> R,
) -> Result<R, Error> {
    let now_ms = cx.key_now().0;
    let found = cx.find_read(key);
    let state = &mut *cx.state;
    let hash = match found {
        Some(found) => state.keyspace.db(cx.session.db).value(found).hash()?,
        None => HashRef::EMPTY,
    };
    Ok(read(hash, &mut Show { reply: cx.reply, rng: &mut state.rng, now_ms }))
}

/// What a command needs to show a hash.
pub(super) struct Show<'a> {
    pub(super) reply: &'a mut crate::resp::Reply,
    pub(super) rng: &'a mut crate::rng::Rng,
    pub(super) now_ms: u64,
}

/// Fields that the same has happened to.
#[derive(Debug)]
pub(super) struct Touched<'a> {
    any: bool,
    /// Their names, if somebody may want to know them.
    names: Option<Vec<&'a [u8]>>,
}

impl<'a> Touched<'a> {
    /// None yet.
    pub(super) fn new(cx: &Cx<'_>) -> Self {
        let are_wanted = cx.state.config.notify_events.speaks_of_fields() || cx.logs();
        Self { any: false, names: are_wanted.then(Vec::new) }
    }

    /// Their names; none if nobody wants to know them.
    pub(super) fn names(&self) -> &[&'a [u8]] {
        self.names.as_deref().unwrap_or_default()
    }

    /// Whether it has happened to any.
    pub(super) fn is_any(&self) -> bool {
        self.any
    }

    /// It has happened to the field `name`, or not.
    #[inline]
    pub(super) fn note(&mut self, happened: bool, name: &'a [u8]) {
        self.any |= happened;
        if let Some(names) = &mut self.names
            && happened
        {
            names.push(name);
        }
    }

    fn tell(&self, cx: &mut Cx<'_>, key: &[u8], event: &'static str) {
        cx.changed(key, event);
        if let Some(names) = &self.names {
            cx.state.notify_fields(cx.db(), key, event, names);
        }
    }
}

/// What became of a hash that was changed, for those who watch keys.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    /// Fields whose deadlines had passed were taken out on the way.
    pub(super) expired: Touched<'a>,
    /// There is no field left.
    pub(super) is_gone: bool,
}

impl Outcome<'_> {
    /// Tells of what happened to `key`: the command's own events, each with its fields, stand
    /// between.
    pub(super) fn tell(
        &self,
        cx: &mut Cx<'_>,
        key: &[u8],
        events: &[(&'static str, &Touched<'_>)],
    ) {
        if self.expired.any {
            self.expired.tell(cx, key, "hexpired");
        }
        let own = || events.iter().filter(|(_, touched)| touched.any);
        own().for_each(|(event, touched)| touched.tell(cx, key, event));
        if self.is_gone && (self.expired.any || own().next().is_some()) {
            cx.changed(key, "del");
        }
    }
}

/// Sets the fields and values from word 2 on; returns how many fields were new.
fn set_all(cx: &mut Cx<'_>, args: Args<'_>) -> Result<usize, Error> {
    if args.len() % 2 == 1 {
        return Err(Error::WrongArity(cx.row.full_name));
    }
    let (key, limits, now_ms) = (args.at(1), limits(cx), cx.key_now().0);
    let (mut expired, mut set) = (Touched::new(cx), Touched::new(cx));
    let added = cx.edit_or_create(key, |_, hash: &mut Hash| {
        let mut added = 0;
        for index in (2..args.len()).step_by(2) {
            let (name, value) = (args.at(index), args.at(index + 1));
            expired.note(hash.remove_if_due(name, now_ms), name);
            added += usize::from(hash.set(name, value, NewDeadline::Discard, &limits));
            set.note(true, name);
        }
        added
    })?;
    Outcome { expired, is_gone: false }.tell(cx, key, &[("hset", &set)]);
    Ok(added)
}

/// `HSETNX key field value`
fn hsetnx(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, name) = (args.at(1), args.at(2));
    let (limits, now_ms) = (limits(cx), cx.key_now().0);
    let (mut expired, mut set) = (Touched::new(cx), Touched::new(cx));
    let is_free = cx.edit_or_create(key, |_, hash: &mut Hash| {
        expired.note(hash.remove_if_due(name, now_ms), name);
        let is_free = hash.reader().find(name).is_none();
        if is_free {
            hash.set(name, args.at(3), NewDeadline::Discard, &limits);
        }
        is_free
    })?;
    set.note(is_free, name);
    if expired.is_any() {
        // It was in the way no longer.
        cx.log_as([b"HSET".as_slice(), key, name, args.at(3)]);
    }
    cx.reply.integer(is_free.into());
    Outcome { expired, is_gone: false }.tell(cx, key, &[("hset", &set)]);
    Ok(())
}

/// `HGET key field`
fn hget(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |hash, show| show.value(hash, args.at(2)))
}

/// `HMGET key field ...`
fn hmget(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |hash, show| {
        show.reply.array(args.len() - 2);
        args.from(2).for_each(|name| show.value(hash, name));
    })
}

impl Show<'_> {
    /// Replies with the value of a field or null.
    #[inline]
    pub(super) fn value(&mut self, hash: HashRef<'_>, name: &[u8]) {
        match hash.find_living(name, self.now_ms) {
            Some(field) => field.value.reply(self.reply),
            None => self.reply.null(),
        }
    }
}

/// `HDEL key field ...`: fields whose deadlines have passed go, but do not count.
fn hdel(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, now_ms) = (args.at(1), cx.key_now().0);
    let (mut expired, mut gone) = (Touched::new(cx), Touched::new(cx));
    let edited = cx.edit(key, |_, hash: &mut Hash| {
        let mut removed = 0;
        for name in args.from(2) {
            if hash.remove_if_due(name, now_ms) {
                expired.note(true, name);
            } else if hash.remove(name) {
                gone.note(true, name);
                removed += 1;
            }
        }
        (removed, hash.is_empty())
    })?;
    let (removed, is_gone) = edited.unwrap_or_default();
    Outcome { expired, is_gone }.tell(cx, key, &[("hdel", &gone)]);
    cx.reply.count(removed);
    Ok(())
}

/// `HLEN key`: fields whose deadlines have passed count until they are taken out, as in Redis.
fn hlen(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |hash, show| show.reply.count(hash.len()))
}

/// `HSTRLEN key field`
fn hstrlen(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |hash, show| {
        let field = hash.find_living(args.at(2), show.now_ms);
        show.reply.count(field.map_or(0, |field| field.value.len()));
    })
}

/// `HEXISTS key field`
fn hexists(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |hash, show| {
        let is_there = hash.find_living(args.at(2), show.now_ms).is_some();
        show.reply.integer(is_there.into());
    })
}
