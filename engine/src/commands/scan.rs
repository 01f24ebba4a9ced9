//! Keys of any type: listing them.
//!
//! SCAN's guarantee: a key that exists from the first call to the one that returns cursor 0 is
//! returned. The cursor is a position in hash space, which stays valid however the table grows.

use super::Cx;
use super::arguments::integer;
use super::scan_collection::{cursor_of, write_before};
use super::spec::{Command, Flags};
use crate::args::Args;
use crate::error::Error;
use crate::value::glob;

/// Keys that one SCAN returns without `COUNT`.
const COUNT_DEFAULT: i64 = 10;
/// `COUNT` is a hint: one call never collects more keys than this, however large it is.
const COUNT_MAX: i64 = 10_000;
/// One call looks at so many pieces of hash space for each key it was asked for.
const PIECES_PER_COUNT: i64 = 10;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "KEYS",
        syntax: "pattern",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        arity: 2,
        flags: Flags::READONLY,
        categories: &["dangerous"],
        complexity: "O(N) where N is the number of keys in the database.",
        summary: "Returns the names of all keys that match a glob pattern.",
        reply: "array<bulk>",
        run: keys,
        ..Command::ROW
    },
    Command {
        name: "SCAN",
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        tips: &["nondeterministic_output", "request_policy:special"],
        arity: -2,
        flags: Flags::READONLY.and(Flags::TOUCHES_ARBITRARY_KEYS),
        since: "2.8.0",
        complexity: "O(1) for each call, O(N) for a whole iteration where N is the number of keys.",
        summary: "Returns some names of keys and a cursor to go on from; 0 begins and ends.",
        reply: "[bulk, array<bulk>]",
        run: scan,
        ..Command::ROW
    },
];

/// Writes an array whose length is known only when its elements are written.
fn reply_array(cx: &mut Cx<'_>, elements: impl FnOnce(&mut Cx<'_>) -> usize) {
    let start = cx.reply.out.len();
    let len = elements(cx);
    write_before(cx.reply, start, |reply| reply.array(len));
}

/// `KEYS pattern`
fn keys(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let filter =
        Filter { pattern: Some(args.at(1)).filter(|&pattern| pattern != b"*"), kind: None };
    reply_array(cx, |cx| {
        let (mut cursor, mut len) = (0, 0);
        loop {
            cursor = filter.piece(cx, cursor, &mut len, None);
            if cursor == 0 {
                return len;
            }
        }
    });
    Ok(())
}

/// Which keys are wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    /// The name of a type, in any case.
    kind: Option<&'a [u8]>,
}

impl Filter<'_> {
    /// Writes the wanted keys of one piece of hash space and counts them; returns the next cursor.
    /// Wanted keys that have expired are noted, if that is asked for.
    fn piece(
        self,
        cx: &mut Cx<'_>,
        cursor: u64,
        len: &mut usize,
        mut expired: Option<&mut Vec<Box<[u8]>>>,
    ) -> u64 {
        let index = cx.session.db;
        let (keyspace, reply) = (&cx.state.keyspace, &mut *cx.reply);
        let db = keyspace.db(index);
        db.scan(cursor, |key, found| {
            let wanted = self.pattern.is_none_or(|pattern| glob::matches(pattern, key))
                && self.kind.is_none_or(|kind| {
                    kind.eq_ignore_ascii_case(db.value(found).type_name().as_bytes())
                });
            if !wanted {
                return;
            }
            if keyspace.is_expired(index, found) {
                if let Some(expired) = &mut expired {
                    expired.push(key.into());
                }
            } else {
                reply.bulk(key);
                *len += 1;
            }
        })
    }
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
fn scan(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut cursor = cursor_of(args.at(1))?;
    let (mut filter, mut count) = (Filter::default(), COUNT_DEFAULT);
    let mut index = 2;
    while index < args.len() {
        let operand = args.opt(index + 1).ok_or(Error::Syntax)?;
        if args.is(index, "COUNT") {
            count = integer(operand)?;
            if count < 1 {
                return Err(Error::Syntax);
            }
        } else if args.is(index, "MATCH") {
            filter.pattern = Some(operand).filter(|&pattern| pattern != b"*");
        } else if args.is(index, "TYPE") {
            filter.kind = Some(operand);
        } else {
            return Err(Error::Syntax);
        }
        index += 2;
    }
    let count = count.min(COUNT_MAX);
    cx.reply.array(2);
    let start = cx.reply.out.len();
    let mut expired = Vec::new();
    reply_array(cx, |cx| {
        let mut len = 0;
        for _ in 0..count * PIECES_PER_COUNT {
            cursor = filter.piece(cx, cursor, &mut len, Some(&mut expired));
            if cursor == 0 || len as i64 >= count {
                break;
            }
        }
        len
    });
    // As in Redis, which looks each of them up.
    for key in expired {
        cx.find(&key);
    }
    // The cursor goes before the keys and is known only behind them.
    write_before(cx.reply, start, |reply| reply.text(itoa::Buffer::new().format(cursor)));
    Ok(())
}
