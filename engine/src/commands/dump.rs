//! DUMP and RESTORE: the value of a key as bytes that other servers read, and back.

use super::Cx;
use super::arguments::integer;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::effects::{Effect, LogLevel};
use crate::error::Error;
use crate::snapshot::{Setting, load, save};
use crate::time::UnixMillis;
use crate::value::rdb;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "DUMP",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        tips: &["nondeterministic_output"],
        since: "2.6.0",
        complexity: "O(N) where N is the size of the value.",
        summary: "Returns the value of a key as bytes that RESTORE takes.",
        reply: "bulk | null",
        run: dump,
        ..Command::ROW
    },
    Command {
        name: "RESTORE",
        categories: &["dangerous"],
        since: "2.6.0",
        summary: "Creates a key from bytes that DUMP gave.",
        ..RESTORE
    },
    Command {
        name: "RESTORE-ASKING",
        flags: RESTORE.flags.and(Flags::ASKING),
        group: Group::Server,
        categories: &["keyspace", "dangerous"],
        since: "3.0.0",
        summary: "Does what RESTORE does; for nodes that move keys among themselves.",
        ..RESTORE
    },
];

const RESTORE: Command = Command {
    syntax: "key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] \
        [FREQ frequency:integer]",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[one_key(&["OW", "UPDATE"])],
    complexity: "O(N) where N is the size of the value; O(N*log(N)) for sorted sets.",
    reply: "ok",
    run: restore,
    ..Command::ROW
};

/// `DUMP key`
fn dump(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.null();
        return Ok(());
    };
    let value = cx.state.keyspace.db(cx.session.db).value(found);
    cx.reply.bulk(&save(value, &cx.state.config.encodings).into_payload());
    Ok(())
}

/// What follows the payload.
#[derive(Debug, Default)]
struct Options {
    replace: bool,
    /// The time to live is a point in time.
    absolute: bool,
    idle_secs: Option<i64>,
    /// From 0 to 255.
    frequency: Option<i64>,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 4;
        while index < args.len() {
            match args.opt(index + 1) {
                _ if args.is(index, "REPLACE") => options.replace = true,
                _ if args.is(index, "ABSTTL") => options.absolute = true,
                Some(word) if args.is(index, "IDLETIME") && options.frequency.is_none() => {
                    let secs = integer(word)?;
                    if secs < 0 {
                        return Err(Error::fixed("ERR Invalid IDLETIME value, must be >= 0"));
                    }
                    options.idle_secs = Some(secs);
                    index += 1;
                }
                Some(word) if args.is(index, "FREQ") && options.idle_secs.is_none() => {
                    let frequency = integer(word)?;
                    if !(0..=255).contains(&frequency) {
                        return Err(Error::fixed(
                            "ERR Invalid FREQ value, must be >= 0 and <= 255",
                        ));
                    }
                    options.frequency = Some(frequency);
                    index += 1;
                }
                _ => return Err(Error::Syntax),
            }
            index += 1;
        }
        Ok(options)
    }
}

/// `RESTORE key ttl serialized-value [option ...]`
fn restore(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, payload) = (args.at(1), args.at(3));
    let options = Options::parse(args)?;
    if !options.replace && cx.find(key).is_some() {
        return Err(Error::fixed("BUSYKEY Target key name already exists."));
    }
    let ttl = integer(args.at(2))?;
    if ttl < 0 {
        return Err(Error::fixed("ERR Invalid TTL value, must be >= 0"));
    }
    let open = if cx.state.persistence.skips_checksum { rdb::open_unchecked } else { rdb::open };
    let (dialect, value) =
        open(payload).ok_or(Error::fixed("ERR DUMP payload version or checksum are wrong"))?;
    let (encodings, hash_key) = (&cx.state.config.encodings, cx.state.hash_key);
    let loaded = load(value, dialect, &Setting { encodings, hash_key }).map_err(|corrupt| {
        let what = rdb::packing(value.first().copied().unwrap_or_default());
        let text = format!("RESTORE: {what} integrity check failed: {}", corrupt.0);
        cx.fx.push(Effect::Log(LogLevel::Warning, text));
        Error::fixed("ERR Bad data format")
    })?;
    match deadline(ttl, options.absolute, cx.key_now()) {
        Ok(deadline) => {
            // What is replaced counts as deleted before.
            if let Some(found) = cx.find(key) {
                let old = cx.value(found).type_name();
                loaded.store(|value| cx.replace(found, value, deadline));
                cx.state.notify_new(cx.db(), key);
                cx.tell_overwritten(cx.db(), key, Some(old));
            } else {
                loaded.store(|value| cx.add(key, value, deadline));
            }
            set_access(cx, key, &options);
            if let Some(deadline) = deadline.filter(|_| !options.absolute && cx.logs()) {
                let mut digits = itoa::Buffer::new();
                let mut words: Vec<&[u8]> = args.from(0).collect();
                words[2] = digits.format(deadline.0).as_bytes();
                words.push(b"ABSTTL");
                cx.log_as(words);
            }
            cx.changed(key, "restore");
        }
        // It would be gone at once.
        Err(Passed) => {
            if let Some(found) = cx.find(key) {
                cx.remove(found);
                cx.log_as_removal(key, "lazyfree-lazy-server-del");
                cx.changed(key, "del");
            }
        }
    }
    cx.reply.ok();
    Ok(())
}

/// A deadline that is not in the future.
struct Passed;

/// When the key expires; a time to live of zero means never.
fn deadline(ttl: i64, absolute: bool, now: UnixMillis) -> Result<Option<UnixMillis>, Passed> {
    if ttl == 0 {
        return Ok(None);
    }
    let now = now.0 as i64;
    // Redis adds without looking, too: what overflows has passed.
    let at = if absolute { ttl } else { ttl.wrapping_add(now) };
    if at <= now { Err(Passed) } else { Ok(Some(UnixMillis(at as u64))) }
}

/// Pretends that the key was last used so long ago, or so often: whichever the policy looks at.
fn set_access(cx: &mut Cx<'_>, key: &[u8], options: &Options) {
    let access = if cx.state.is_lfu() {
        options.frequency.map(|frequency| cx.state.frequent(frequency as u8))
    } else {
        options.idle_secs.map(|secs| cx.state.access_after(secs as u64))
    };
    if let Some(access) = access
        && let Some(found) = cx.find(key)
    {
        cx.state.keyspace.db_mut(cx.session.db).set_access(found, access);
    }
}
