//! Hashes: all fields, pieces of them, and random ones. Fields whose deadlines have passed are not
//! seen.

use super::Cx;
use super::arguments::integer;
use super::hash::read;
use super::scan_collection::Scan;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::resp::{Protocol, Reply};
use crate::value::hash::Field;

/// A reply of random fields, which may be any number, has not more bytes than this.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "HGETALL",
        syntax: "key",
        tips: &["nondeterministic_output_order"],
        arity: 2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Hash,
        since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        summary: "Returns all fields and values of a hash.",
        reply: "map<bulk, bulk>",
        run: hgetall,
        ..Command::ROW
    },
    Command {
        name: "HKEYS",
        syntax: "key",
        tips: &["nondeterministic_output_order"],
        arity: 2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Hash,
        since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        summary: "Returns all fields of a hash.",
        reply: "array<bulk>",
        run: |cx, args| list(cx, args, |field, reply| field.name.reply(reply)),
        ..Command::ROW
    },
    Command {
        name: "HVALS",
        syntax: "key",
        tips: &["nondeterministic_output_order"],
        arity: 2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Hash,
        since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        summary: "Returns all values of a hash.",
        reply: "array<bulk>",
        run: |cx, args| list(cx, args, |field, reply| field.value.reply(reply)),
        ..Command::ROW
    },
    Command {
        name: "HSCAN",
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        tips: &["nondeterministic_output"],
        arity: -3,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Hash,
        since: "2.8.0",
        complexity: "O(1) for each call, O(N) for a whole iteration where N is the number of \
            fields.",
        summary: "Returns some fields of a hash, with their values, and a cursor to go on from; 0 \
            begins and ends.",
        reply: "[bulk, array<bulk>]",
        run: hscan,
        ..Command::ROW
    },
    Command {
        name: "HRANDFIELD",
        syntax: "key [count [WITHVALUES]]",
        tips: &["nondeterministic_output"],
        arity: -2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Hash,
        since: "6.2.0",
        complexity: "O(N) where N is the number of fields returned.",
        summary: "Returns random fields of a hash: different ones, or, if the count is negative, \
            any.",
        reply: "bulk | null | array<bulk | [bulk, bulk]>",
        run: hrandfield,
        ..Command::ROW
    },
];

/// `HGETALL key`
fn hgetall(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |hash, show| {
        show.reply.map(hash.living_len(show.now_ms));
        for field in hash.living(show.now_ms) {
            field.name.reply(show.reply);
            field.value.reply(show.reply);
        }
    })
}

/// `HKEYS key` and `HVALS key`
fn list(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    write: impl Fn(&Field<'_>, &mut Reply),
) -> Result<(), Error> {
    read(cx, args.at(1), |hash, show| {
        show.reply.array(hash.living_len(show.now_ms));
        hash.living(show.now_ms).for_each(|field| write(&field, show.reply));
    })
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
fn hscan(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let scan = Scan::at_cursor(args)?;
    let now_ms = cx.key_now().0;
    let Some(found) = cx.find_read(args.at(1)) else {
        Scan::empty(cx.reply);
        return Ok(());
    };
    let hash = cx.state.keyspace.db(cx.session.db).value(found).hash()?;
    let scan = scan.options(args, "NOVALUES")?;
    scan.reply(cx.reply, |page, cursor| {
        hash.scan(cursor, |field| {
            if !field.is_due(now_ms) && page.key(field.name) && !scan.keys_only {
                page.value(field.value);
            }
        })
    });
    Ok(())
}

/// `HRANDFIELD key [count [WITHVALUES]]`
fn hrandfield(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() == 2 {
        return read(cx, args.at(1), |hash, show| match hash.random(show.now_ms, show.rng) {
            Some(field) => field.name.reply(show.reply),
            None => show.reply.null(),
        });
    }
    let count = integer(args.at(2))?;
    if count == i64::MIN {
        let max = i64::MAX;
        return Err(Error::text(format!(
            "ERR value is out of range, value must between -{max} and {max}"
        )));
    }
    let with_values = args.len() == 4 && args.is(3, "WITHVALUES");
    if args.len() > 3 && !with_values {
        return Err(Error::Syntax);
    }
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::fixed("ERR value is out of range"));
    }
    show_random(cx, args.at(1), count, with_values)
}

fn show_random(cx: &mut Cx<'_>, key: &[u8], count: i64, with_values: bool) -> Result<(), Error> {
    let fatal_bytes = cx.fatal_output_bytes();
    read(cx, key, |hash, show| {
        let living = hash.living_len(show.now_ms);
        let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        let len = match count {
            _ if living == 0 => 0,
            0.. => wanted.min(living),
            _ => wanted,
        };
        let reply = &mut *show.reply;
        let is_flat = reply.protocol == Protocol::Resp2;
        reply.array(if with_values && is_flat { len * 2 } else { len });
        let start = reply.out.len();
        let mut write = |field: Field<'_>| {
            if with_values && !is_flat {
                reply.array(2);
            }
            field.name.reply(reply);
            if with_values {
                field.value.reply(reply);
            }
            reply.out.len() - start <= REPLY_BYTES_MAX && reply.out.len() < fatal_bytes
        };
        let mut is_whole = true;
        if count >= 0 {
            hash.choose(len, show.now_ms, show.rng, |field| is_whole &= write(field));
        } else {
            hash.draw(len, show.now_ms, show.rng, |field| {
                is_whole &= write(field);
                is_whole
            });
        }
        if count >= 0 || is_whole || show.reply.out.len() >= fatal_bytes {
            Ok(())
        } else {
            Err(Error::fixed("ERR value is out of range, the reply would be too long"))
        }
    })?
}
