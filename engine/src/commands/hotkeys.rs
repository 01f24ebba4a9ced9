//! HOTKEYS: which keys take the time and the bytes. A collection is started and stopped; a report
//! from a sample is always there.

use super::Cx;
use super::help::help;
use super::hotkeys_count::{end_if_due, figures, stop};
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::observe::{HotKeysSession, HotKeysWanted, TopKeys};
use crate::resp::Reply;
use crate::value::number::parse_integer;

const HOTKEYS: Command = Command {
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT),
    group: Group::Server,
    since: "8.6.0",
    ..Command::ROW
};

/// Metrics that there are.
const METRICS_MAX: i64 = 2;
/// Keys that the report shows unless told.
const REPORTED_KEYS: i64 = 10;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "HOTKEYS",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about keys that are used much.",
        ..HOTKEYS
    },
    Command {
        name: "HOTKEYS GET",
        tips: &["request_policy:special", "response_policy:special", "nondeterministic_output"],
        complexity: "O(K) where K is the number of hotkeys returned.",
        summary: "Returns what was collected so far, or by the last collection.",
        reply: "map<bulk, integer | array<bulk | integer>> | null",
        run: collected,
        ..HOTKEYS
    },
    Command {
        name: "HOTKEYS HELP",
        flags: Flags::LOADING.and(Flags::STALE),
        since: "8.6.1",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..HOTKEYS
    },
    Command {
        name: "HOTKEYS REPORT",
        syntax: "[COUNT count]",
        arity: -2,
        tips: &["nondeterministic_output"],
        since: "orrery 0.1.0",
        complexity: "O(1): there is a bound on the keys that are known.",
        summary: "Returns hot and large keys as far as a sample of all commands shows them.",
        reply: "map<bulk, integer | array<[integer, bulk, integer]>>",
        run: report,
        ..HOTKEYS
    },
    Command {
        name: "HOTKEYS RESET",
        tips: &["request_policy:special"],
        summary: "Forgets what was collected.",
        reply: "ok",
        run: reset,
        ..HOTKEYS
    },
    Command {
        name: "HOTKEYS START",
        syntax: "METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio] \
                 [SLOTS count slot [slot ...]]",
        arity: -2,
        tips: &["request_policy:special"],
        summary: "Begins to collect the keys that take the most time or bytes.",
        reply: "ok",
        run: start,
        ..HOTKEYS
    },
    Command {
        name: "HOTKEYS STOP",
        tips: &["request_policy:special"],
        summary: "Ends the collection; what it has found can still be read.",
        reply: "ok | null",
        run: end,
        ..HOTKEYS
    },
];

fn start(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    end_if_due(cx);
    if cx.state.observer.hot_keys.is_collecting() {
        return Err(Error::fixed("ERR hotkey tracking session already in progress"));
    }
    let wanted = parse(args)?;
    let before = figures(cx);
    let session = HotKeysSession::new(wanted, cx.now.mono, cx.now.wall.as_millis(), before);
    cx.state.observer.hot_keys.session = Some(Box::new(session));
    cx.state.configure_observer();
    cx.reply.ok();
    Ok(())
}

/// `METRICS count metric... [option value]...`
fn parse(args: Args<'_>) -> Result<HotKeysWanted, Error> {
    if !args.is(2, "METRICS") || args.len() < 4 {
        return Err(Error::fixed("ERR METRICS parameter is required"));
    }
    let metrics = number(args, 3, 1, METRICS_MAX, "ERR METRICS count must be > 0 and <= 2")?;
    let mut wanted =
        HotKeysWanted { by_micros: false, by_bytes: false, keys: 10, secs: None, sample: 1 };
    for index in 4..4 + metrics as usize {
        let twice = |name: &str| Error::text(format!("ERR METRICS {name} defined more than once!"));
        if index >= args.len() {
            return Err(Error::fixed(
                "ERR METRICS count does not match number of metric types provided",
            ));
        }
        if args.is(index, "CPU") {
            if core::mem::replace(&mut wanted.by_micros, true) {
                return Err(twice("CPU"));
            }
        } else if args.is(index, "NET") && core::mem::replace(&mut wanted.by_bytes, true) {
            return Err(twice("NET"));
        }
    }
    if !wanted.by_micros && !wanted.by_bytes {
        return Err(Error::fixed("ERR METRICS no valid metrics passed. Supported: CPU|NET"));
    }
    let mut index = 4 + metrics as usize;
    while index < args.len() {
        if index + 1 == args.len() {
            return Err(Error::Syntax);
        }
        if args.is(index, "COUNT") {
            let why = "ERR COUNT must be between 1 and 64";
            wanted.keys = number(args, index + 1, 1, 64, why)? as usize;
        } else if args.is(index, "DURATION") {
            let why = "ERR DURATION must be between 1 and 1000000";
            wanted.secs = Some(number(args, index + 1, 1, 1_000_000, why)? as u64);
        } else if args.is(index, "SAMPLE") {
            let why = "ERR SAMPLE ratio must be positive";
            wanted.sample = number(args, index + 1, 1, i64::from(i32::MAX), why)? as u64;
        } else if args.is(index, "SLOTS") {
            return Err(Error::fixed("ERR SLOTS parameter cannot be used in non-cluster mode"));
        } else {
            return Err(Error::Syntax);
        }
        index += 2;
    }
    Ok(wanted)
}

fn number(
    args: Args<'_>,
    index: usize,
    min: i64,
    max: i64,
    why: &'static str,
) -> Result<i64, Error> {
    let number = parse_integer(args.at(index)).filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Error::fixed(why))
}

fn end(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    end_if_due(cx);
    if !cx.state.observer.hot_keys.is_collecting() {
        cx.reply.null();
        return Ok(());
    }
    stop(cx, cx.now.mono);
    cx.reply.ok();
    Ok(())
}

fn reset(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    end_if_due(cx);
    if cx.state.observer.hot_keys.is_collecting() {
        return Err(Error::fixed("ERR hotkey tracking session in progress, stop tracking first"));
    }
    cx.state.observer.hot_keys.session = None;
    cx.reply.ok();
    Ok(())
}

fn collected(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    end_if_due(cx);
    let now = figures(cx);
    let Some(session) = &cx.state.observer.hot_keys.session else {
        cx.reply.null();
        return Ok(());
    };
    let reply = &mut *cx.reply;
    let wanted = &session.wanted;
    let after = session.after.unwrap_or(now);
    let [user, system, bytes] =
        core::array::from_fn(|index| after[index].saturating_sub(session.before[index]));
    let duration = session.ended.unwrap_or(cx.now.mono).since(session.began);
    reply.map(7 + 3 * usize::from(wanted.by_micros) + 2 * usize::from(wanted.by_bytes));
    let mut field = |name: &str, value: u64| {
        reply.text(name);
        reply.integer(value as i64);
    };
    field("tracking-active", u64::from(session.ended.is_none()));
    field("sample-ratio", wanted.sample);
    field("all-commands-all-slots-us", session.total_micros);
    field("net-bytes-all-commands-all-slots", session.total_bytes);
    field("collection-start-time-unix-ms", session.began_unix_ms);
    field("collection-duration-ms", duration.as_millis());
    if wanted.by_micros {
        field("total-cpu-time-user-ms", user / 1000);
        field("total-cpu-time-sys-ms", system / 1000);
    }
    if wanted.by_bytes {
        field("total-net-bytes", bytes);
    }
    reply.text("selected-slots");
    reply.array(0);
    let both = [
        (wanted.by_micros, "by-cpu-time-us", &session.micros),
        (wanted.by_bytes, "by-net-bytes", &session.bytes),
    ];
    for (_, name, keys) in both.into_iter().filter(|(is_wanted, ..)| *is_wanted) {
        reply.text(name);
        let heaviest = keys.heaviest(wanted.keys);
        reply.array(2 * heaviest.len());
        for key in heaviest {
            reply.bulk(key.key);
            reply.integer(key.weight as i64);
        }
    }
    Ok(())
}

/// `HOTKEYS REPORT [COUNT count]`
fn report(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = match args.len() {
        2 => REPORTED_KEYS,
        4 if args.is(2, "COUNT") => number(args, 3, 1, 128, "ERR COUNT must be between 1 and 128")?,
        _ => return Err(Error::Syntax),
    };
    refresh_sizes(cx);
    let hot = &cx.state.observer.hot_keys;
    let reply = &mut *cx.reply;
    reply.map(6);
    reply.text("sample-ratio");
    reply.integer(hot.sample() as i64);
    reply.text("sampled-commands");
    reply.integer(hot.samples as i64);
    write(reply, "by-count", &hot.by_count, count as usize);
    write(reply, "by-net-bytes", &hot.by_bytes, count as usize);
    write(reply, "by-cpu-time-us", &hot.by_micros, count as usize);
    write(reply, "by-size-bytes", &hot.by_size, count as usize);
    Ok(())
}

/// Large keys as they are now: those that have gone meanwhile are not shown.
fn refresh_sizes(cx: &mut Cx<'_>) {
    let keyspace = &cx.state.keyspace;
    let by_size = &mut cx.state.observer.hot_keys.by_size;
    for (db, key) in by_size.whole_keys() {
        let data = keyspace.db(db);
        let found = data.find(&key).filter(|&found| !keyspace.is_expired(db, found));
        by_size.put(db, &key, found.map(|found| data.entry_bytes(found) as u64));
    }
}

/// Database, key and weight of each.
fn write(reply: &mut Reply, name: &str, keys: &TopKeys, count: usize) {
    reply.text(name);
    let heaviest = keys.heaviest(count);
    reply.array(heaviest.len());
    for key in heaviest {
        reply.array(3);
        reply.count(key.db);
        reply.bulk(key.key);
        reply.integer(key.weight as i64);
    }
}
