//! Bitmaps: combining some into one.

use super::Cx;
use super::raw_string;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec};

use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Db, Value};
use crate::value::bitmap::{Operation, combine};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "BITOP",
    syntax: "(AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE) destkey key [key ...]",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec {
            flags: &["OW", "UPDATE"],
            begin: Begin::Index(2),
            find: Find::Range { last: 0, step: 1 },
        },
        KeySpec {
            flags: &["RO", "ACCESS"],
            begin: Begin::Index(3),
            find: Find::Range { last: -1, step: 1 },
        },
    ],
    group: Group::Bitmap,
    since: "2.6.0",
    complexity: "O(N) where N is the sum of the lengths of the strings.",
    summary: "Combines the string values of keys bit by bit and stores the result.",
    reply: "integer",
    run: bitop,
    ..Command::ROW
}];

const OPERATIONS: [(&str, Operation); 8] = [
    ("AND", Operation::And),
    ("OR", Operation::Or),
    ("XOR", Operation::Xor),
    ("NOT", Operation::Not),
    ("DIFF", Operation::Diff),
    ("DIFF1", Operation::Diff1),
    ("ANDOR", Operation::AndOr),
    ("ONE", Operation::One),
];

/// `BITOP operation destkey key ...`: replies with the length of the result; an empty one deletes
/// the key.
fn bitop(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let &(word, operation) =
        OPERATIONS.iter().find(|(word, _)| args.is(1, word)).ok_or(Error::Syntax)?;
    if operation == Operation::Not && args.len() != 4 {
        return Err(Error::fixed("ERR BITOP NOT must be called with a single source key."));
    }
    let needs_others = matches!(operation, Operation::Diff | Operation::Diff1 | Operation::AndOr);
    if needs_others && args.len() < 5 {
        let text = format!("ERR BITOP {word} must be called with multiple source keys.");
        return Err(Error::text(text));
    }
    let result = combine_keys(cx, operation, args)?;
    let (key, len) = (args.at(2), result.len());
    if len > 0 {
        raw_string::set(cx, key, result);
        cx.changed(key, "set");
    } else if let Some(found) = cx.find(key) {
        cx.remove(found);
        cx.changed(key, "del");
    }
    cx.reply.count(len);
    Ok(())
}

fn combine_keys(cx: &mut Cx<'_>, operation: Operation, args: Args<'_>) -> Result<Vec<u8>, Error> {
    let mut integers = Vec::new();
    for key in args.from(3) {
        if let Some(found) = cx.find_read(key) {
            match cx.value(found) {
                Value::Integer(value) => {
                    integers.push(itoa::Buffer::new().format(value).to_owned())
                }
                value => drop(value.string(&mut itoa::Buffer::new())?),
            }
        }
    }
    // What had expired is gone; from here on nothing moves.
    let db: &Db = cx.state.keyspace.db(cx.session.db);
    let mut integers = integers.iter().map(String::as_bytes);
    let strings: Vec<&[u8]> = args
        .from(3)
        .map(|key| match db.find(key).map(|found| db.value(found)) {
            Some(Value::Bytes(bytes)) => bytes,
            Some(Value::Integer(_)) => integers.next().unwrap_or_default(),
            _ => b"",
        })
        .collect();
    Ok(combine(operation, &strings))
}
