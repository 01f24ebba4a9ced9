//! Bitmaps: integers of any width inside strings.
//!
//! Invariant: all operations of a command are read before the first one is done, and the string has
//! room for all of them by then.

use super::Cx;
use super::arguments::integer;
use super::bitmap::checked_offset;
use super::raw_string::{add, edit, grow};
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::value::bitfield::{Field, Overflow};
use crate::value::number::parse_integer;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "BITFIELD",
        syntax: "key [(GET encoding offset | [OVERFLOW (WRAP | SAT | FAIL)] \
            (SET encoding offset value:integer | INCRBY encoding offset increment)) ...]",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE", "VARIABLE_FLAGS"])],
        key_flags: Some(key_flags),
        group: Group::Bitmap,
        since: "3.2.0",
        complexity: "O(1) for each operation.",
        summary: "Gets, sets and counts integers of any width inside the string value of a key.",
        reply: "array<integer | null>",
        run: |cx, args| bitfield(cx, args, true),
        ..Command::ROW
    },
    Command {
        name: "BITFIELD_RO",
        syntax: "key [GET encoding offset [GET encoding offset ...]]",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Bitmap,
        since: "6.0.0",
        complexity: "O(1) for each operation.",
        summary: "Gets integers of any width inside the string value of a key.",
        reply: "array<integer>",
        run: |cx, args| bitfield(cx, args, false),
        ..Command::ROW
    },
];

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Operation {
    field: Field,
    /// Its first bit.
    offset: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Get,
    Set(i64, Overflow),
    IncrementBy(i64, Overflow),
}

impl Operation {
    /// The bytes that the string must have.
    fn len_needed(&self) -> Option<usize> {
        match self.kind {
            Kind::Get => None,
            _ => Some(((self.offset + u64::from(self.field.bits()) - 1) / 8) as usize + 1),
        }
    }

    /// Runs on a string that is long enough; returns what it replies and whether it has changed
    /// anything.
    fn run(&self, string: &mut [u8]) -> (Option<i64>, bool) {
        let old = self.field.read(string, self.offset);
        let (new, overflow) = match self.kind {
            Kind::Get => return (Some(old), false),
            Kind::Set(value, overflow) => (self.field.given(value), overflow),
            Kind::IncrementBy(by, overflow) => (i128::from(old) + i128::from(by), overflow),
        };
        let Some(new) = self.field.fit(new, overflow) else { return (None, false) };
        self.field.write(string, self.offset, new);
        let replied = if matches!(self.kind, Kind::Set(..)) { old } else { new };
        (Some(replied), new != old)
    }
}

/// The offset of a field: a bit, or after `#` a number of fields like it.
fn field_offset(cx: &Cx<'_>, field: Field, word: &[u8]) -> Result<u64, Error> {
    let offset = match word.strip_prefix(b"#") {
        None => parse_integer(word),
        Some(number) => {
            parse_integer(number).and_then(|number| number.checked_mul(field.bits().into()))
        }
    };
    checked_offset(cx, offset)
}

/// Reads all operations.
fn parse(cx: &Cx<'_>, args: Args<'_>) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut index = 2;
    while index < args.len() {
        let left = args.len() - index;
        if args.is(index, "OVERFLOW") && left >= 2 {
            overflow = match () {
                () if args.is(index + 1, "WRAP") => Overflow::Wrap,
                () if args.is(index + 1, "SAT") => Overflow::Saturate,
                () if args.is(index + 1, "FAIL") => Overflow::Fail,
                () => return Err(Error::fixed("ERR Invalid OVERFLOW type specified")),
            };
            index += 2;
            continue;
        }
        let is_get = args.is(index, "GET") && left >= 3;
        let is_set = args.is(index, "SET") && left >= 4;
        let increments = args.is(index, "INCRBY") && left >= 4;
        if !(is_get || is_set || increments) {
            return Err(Error::Syntax);
        }
        let field = Field::parse(args.at(index + 1)).ok_or(Error::fixed(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
             but i64 is.",
        ))?;
        let offset = field_offset(cx, field, args.at(index + 2))?;
        let kind = match () {
            () if is_get => Kind::Get,
            () if is_set => Kind::Set(integer(args.at(index + 3))?, overflow),
            () => Kind::IncrementBy(integer(args.at(index + 3))?, overflow),
        };
        operations.push(Operation { field, offset, kind });
        index += if is_get { 3 } else { 4 };
    }
    Ok(operations)
}

/// `BITFIELD key ...`, `BITFIELD_RO key ...`
fn bitfield(cx: &mut Cx<'_>, args: Args<'_>, may_write: bool) -> Result<(), Error> {
    let operations = parse(cx, args)?;
    match operations.iter().filter_map(Operation::len_needed).max() {
        None => read(cx, args.at(1), &operations),
        Some(len) if may_write => write(cx, args.at(1), &operations, len),
        Some(_) => Err(Error::fixed("ERR BITFIELD_RO only supports the GET subcommand")),
    }
}

fn read(cx: &mut Cx<'_>, key: &[u8], operations: &[Operation]) -> Result<(), Error> {
    let mut buffer = itoa::Buffer::new();
    let string = match cx.find_read(key) {
        Some(found) => cx.state.keyspace.db(cx.session.db).value(found).string(&mut buffer)?,
        None => b"",
    };
    cx.reply.array(operations.len());
    for operation in operations {
        cx.reply.integer(operation.field.read(string, operation.offset));
    }
    Ok(())
}

fn write(cx: &mut Cx<'_>, key: &[u8], operations: &[Operation], len: usize) -> Result<(), Error> {
    let mut replies = Vec::with_capacity(operations.len());
    let mut run_all = |string: &mut Vec<u8>| {
        let grows = string.len() < len;
        let mut changed = false;
        grow(string, len);
        for operation in operations {
            let (reply, changes) = operation.run(string);
            let writes = !matches!(operation.kind, Kind::Get) && reply.is_some();
            replies.push(reply);
            changed |= changes || writes && grows;
        }
        (grows, changed)
    };
    let (grows, changed) = match cx.find(key) {
        Some(found) => edit(cx, found, run_all)?,
        None => {
            let mut string = Vec::new();
            let (_, changed) = run_all(&mut string);
            add(cx, key, string);
            (true, changed)
        }
    };
    if changed {
        cx.changed(key, "setbit");
    } else if grows {
        // All that it was asked for would have overflowed.
        cx.changed_silently(key);
    }
    cx.reply.array(replies.len());
    for reply in replies {
        match reply {
            Some(value) => cx.reply.integer(value),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

/// BITFIELD only reads when all it does is to get.
fn key_flags(args: Args<'_>) -> &'static [&'static str] {
    let mut index = 2;
    while index < args.len() {
        let left = args.len() - index;
        let writes = args.is(index, "SET") || args.is(index, "INCRBY");
        index += match () {
            () if writes && left >= 4 => return &["RW", "ACCESS", "UPDATE"],
            () if args.is(index, "GET") && left >= 3 => 3,
            () if args.is(index, "OVERFLOW") && left >= 2 => 2,
            () => 1,
        };
    }
    &["RO", "ACCESS"]
}
