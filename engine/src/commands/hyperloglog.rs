//! HyperLogLog: strings that estimate how many different elements were added to them.

use super::Cx;
use super::raw_string::{add, edit, make_raw};
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, all_keys, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Found, Value};
use crate::value::hyperloglog::{self, Corrupted, Encoding, Union};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "PFADD",
        syntax: "key [element [element ...]]",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[one_key(&["RW", "INSERT"])],
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "O(1) for each element.",
        summary: "Adds elements to a HyperLogLog; says whether its estimate may have changed.",
        reply: "integer",
        run: pfadd,
        ..Command::ROW
    },
    Command {
        name: "PFCOUNT",
        syntax: "key [key ...]",
        arity: -2,
        flags: Flags::READONLY.and(Flags::MAY_REPLICATE),
        keys: &[all_keys(&["RW", "ACCESS"])],
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "O(1) for one key, O(N) for N keys, with a much larger constant.",
        summary: "Estimates how many different elements were added to any of some HyperLogLogs.",
        reply: "integer",
        run: pfcount,
        ..Command::ROW
    },
    Command {
        name: "PFMERGE",
        syntax: "destkey [key ...]",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            one_key(&["RW", "ACCESS", "INSERT"]),
            KeySpec {
                flags: &["RO", "ACCESS"],
                begin: Begin::Index(2),
                find: Find::Range { last: -1, step: 1 },
            },
        ],
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "O(N) for N keys, with a large constant.",
        summary: "Adds everything that was added to some HyperLogLogs to the first one.",
        reply: "ok",
        run: pfmerge,
        ..Command::ROW
    },
    Command {
        name: "PFDEBUG",
        syntax: "(GETREG | DECODE | ENCODING | TODENSE) key",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::ADMIN),
        keys: &[KeySpec {
            flags: &["RW", "ACCESS"],
            begin: Begin::Index(2),
            find: Find::Range { last: 0, step: 1 },
        }],
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "O(N) where N is the length of the string.",
        summary: "Shows how a HyperLogLog is stored.",
        reply: "array<integer> | bulk | simple | integer",
        run: pfdebug,
        ..Command::ROW
    },
    Command {
        name: "PFSELFTEST",
        syntax: "",
        arity: 1,
        flags: Flags::ADMIN,
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "O(1) with a large constant.",
        summary: "Tests registers and estimates of HyperLogLogs.",
        reply: "ok",
        run: pfselftest,
        ..Command::ROW
    },
];

/// A longer sparse string is not spelled out; sixteen thousand opcodes are all that make sense.
const SPELLED_BYTES_MAX: usize = 1 << 20;

impl From<Corrupted> for Error {
    fn from(_: Corrupted) -> Self {
        Self::fixed("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The HyperLogLog at `found`.
fn string_at<'a>(cx: &'a Cx<'_>, found: Found) -> Result<(&'a [u8], Encoding), Error> {
    let value = cx.state.keyspace.db(cx.session.db).value(found);
    value.string(&mut itoa::Buffer::new())?;
    // An integer is some digits.
    let string = if let Value::Bytes(bytes) = value { bytes } else { b"" };
    let encoding = hyperloglog::encoding(string)
        .ok_or(Error::fixed("WRONGTYPE Key is not a valid HyperLogLog string value."))?;
    Ok((string, encoding))
}

fn sparse_bytes_max(cx: &Cx<'_>) -> usize {
    cx.state.config.encodings.hyperloglog_sparse_bytes
}

/// `PFADD key element ...`
fn pfadd(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let sparse_bytes_max = sparse_bytes_max(cx);
    let add_all = |string: &mut Vec<u8>| -> Result<bool, Corrupted> {
        args.from(2).try_fold(false, |changed, element| {
            Ok(changed | hyperloglog::add(string, element, sparse_bytes_max)?)
        })
    };
    let changed = match cx.find(key) {
        Some(found) => {
            string_at(cx, found)?;
            edit(cx, found, add_all)??
        }
        None => {
            let mut string = hyperloglog::empty();
            add_all(&mut string)?;
            hyperloglog::forget_count(&mut string);
            add(cx, key, string);
            true
        }
    };
    if changed {
        cx.changed(key, "pfadd");
    }
    cx.reply.integer(changed.into());
    Ok(())
}

/// What the HyperLogLogs at the keys from word 1 on have together. Keys that do not exist are empty
/// ones.
fn union_of(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Union, Error> {
    let mut union = Union::default();
    for key in args.from(1) {
        if let Some(found) = cx.find_read(key) {
            union.add(string_at(cx, found)?.0)?;
        }
    }
    Ok(union)
}

/// `PFCOUNT key ...`: the estimate of one key is kept inside its string.
fn pfcount(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 2 {
        let count = union_of(cx, args)?.count();
        cx.reply.integer(count as i64);
        return Ok(());
    }
    let key = args.at(1);
    let Some(found) = cx.find_read(key) else {
        cx.reply.integer(0);
        return Ok(());
    };
    let (string, _) = string_at(cx, found)?;
    let count = match hyperloglog::kept_count(string) {
        Some(count) => {
            make_raw(cx, found)?;
            count
        }
        None => {
            let count = hyperloglog::count(string)?;
            edit(cx, found, |string| hyperloglog::keep_count(string, count))?;
            cx.changed_silently(key);
            count
        }
    };
    cx.reply.integer(count as i64);
    Ok(())
}

/// `PFMERGE destkey key ...`
fn pfmerge(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let union = union_of(cx, args)?;
    let sparse_bytes_max = sparse_bytes_max(cx);
    match cx.find(key) {
        Some(found) => edit(cx, found, |string| union.write_to(string, sparse_bytes_max))??,
        None => {
            let mut string = hyperloglog::empty();
            union.write_to(&mut string, sparse_bytes_max)?;
            add(cx, key, string);
        }
    }
    cx.changed(key, "pfadd");
    cx.reply.ok();
    Ok(())
}

/// `PFDEBUG (GETREG | DECODE | ENCODING | TODENSE) key`
fn pfdebug(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(2);
    let found = cx.find(key).ok_or(Error::fixed("ERR The specified key does not exist"))?;
    let (string, encoding) = string_at(cx, found)?;
    if args.is(1, "DECODE") {
        if encoding != Encoding::Sparse {
            return Err(Error::fixed("ERR HLL encoding is not sparse"));
        }
        if string.len() > SPELLED_BYTES_MAX {
            return Err(Corrupted.into());
        }
        let text = hyperloglog::spell(string);
        cx.reply.text(&text);
    } else if args.is(1, "ENCODING") {
        cx.reply.simple(encoding.name());
    } else if args.is(1, "GETREG") {
        let registers = hyperloglog::registers(string)?;
        cx.reply.array(registers.len());
        registers.iter().for_each(|&value| cx.reply.integer(value.into()));
        make_dense(cx, key, found)?;
        return Ok(());
    } else if args.is(1, "TODENSE") {
        let changed = make_dense(cx, key, found)?;
        cx.reply.integer(changed.into());
        return Ok(());
    } else {
        let subcommand = String::from_utf8_lossy(args.at(1));
        return Err(Error::text(format!("ERR Unknown PFDEBUG subcommand '{subcommand}'")));
    }
    make_raw(cx, found)
}

/// Makes the registers dense, as GETREG does, too; says whether they were sparse.
fn make_dense(cx: &mut Cx<'_>, key: &[u8], found: Found) -> Result<bool, Error> {
    let changed = edit(cx, found, hyperloglog::to_dense)??;
    if changed {
        cx.changed_silently(key);
    }
    Ok(changed)
}

/// `PFSELFTEST`
fn pfselftest(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let sparse_bytes_max = sparse_bytes_max(cx);
    hyperloglog::self_test(&mut cx.state.rng, sparse_bytes_max)
        .map_err(|what| Error::text(format!("TESTFAILED {what}")))?;
    cx.reply.ok();
    Ok(())
}
