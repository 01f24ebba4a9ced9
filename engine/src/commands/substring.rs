//! Strings: their length and parts of them, read and changed in place.

use super::Cx;
use super::arguments::integer;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Found, NewValue, Object};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "STRLEN",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO"])],
        group: Group::String,
        since: "2.2.0",
        summary: "Returns the length of the string value of a key in bytes.",
        reply: "integer",
        run: strlen,
        ..Command::ROW
    },
    Command {
        name: "GETRANGE",
        syntax: "key start end",
        arity: 4,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::String,
        since: "2.4.0",
        complexity: "O(N) where N is the length of the returned string.",
        summary: "Returns the bytes between two offsets of the string value of a key.",
        reply: "bulk",
        run: getrange,
        ..Command::ROW
    },
    Command {
        name: "SUBSTR",
        syntax: "key start end",
        arity: 4,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::String,
        complexity: "O(N) where N is the length of the returned string.",
        summary: "Does what GETRANGE does, under its old name.",
        reply: "bulk",
        run: getrange,
        ..Command::ROW
    },
    Command {
        name: "APPEND",
        syntax: "key value",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[one_key(&["RW", "INSERT"])],
        group: Group::String,
        since: "2.0.0",
        complexity: "O(1) amortised: the room of a string grows by doubling.",
        summary: "Appends to the string value of a key, or sets it if the key does not exist.",
        reply: "integer",
        run: append,
        ..Command::ROW
    },
    Command {
        name: "SETRANGE",
        syntax: "key offset value",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "UPDATE"])],
        group: Group::String,
        since: "2.2.0",
        complexity: "O(N) where N is the length of the given string, and of the zero bytes that \
            fill a gap.",
        summary: "Overwrites a part of the string value of a key, which grows as needed.",
        reply: "integer",
        run: setrange,
        ..Command::ROW
    },
];

/// `STRLEN key`
fn strlen(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let len = match cx.find_read(args.at(1)) {
        Some(found) => cx.value(found).string(&mut itoa::Buffer::new())?.len(),
        None => 0,
    };
    cx.reply.count(len);
    Ok(())
}

/// `GETRANGE key start end`: both ends count, negative offsets count from the end.
fn getrange(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.bulk(b"");
        return Ok(());
    };
    let mut buffer = itoa::Buffer::new();
    let value = cx.state.keyspace.db(cx.session.db).value(found);
    let string = value.string(&mut buffer)?;
    cx.reply.bulk(part(string, start, end));
    Ok(())
}

/// The bytes from `start` to `end`, both included.
fn part(string: &[u8], start: i64, end: i64) -> &[u8] {
    let len = string.len() as i64;
    let from_start = |offset: i64| if offset < 0 { (len + offset).max(0) } else { offset };
    // Redis looks at the signs before it cuts both ends to the string: -3 to -5 of "a" is nothing.
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end { b"" } else { &string[start as usize..=end as usize] }
}

/// `APPEND key value`
fn append(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, tail) = (args.at(1), args.at(2));
    let len = match cx.find(key) {
        None => {
            cx.add(key, NewValue::String(tail), None);
            tail.len()
        }
        Some(found) => {
            let len = length_of(cx, found)?;
            check_len(cx, len, tail.len())?;
            overwrite(cx, found, len, tail)?;
            len + tail.len()
        }
    };
    cx.changed(key, "append");
    cx.reply.count(len);
    Ok(())
}

/// `SETRANGE key offset value`
fn setrange(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, bytes) = (args.at(1), args.at(3));
    let offset = usize::try_from(integer(args.at(2))?)
        .map_err(|_| Error::fixed("ERR offset is out of range"))?;
    let found = cx.find(key);
    let len = found.map_or(Ok(0), |found| length_of(cx, found))?;
    if bytes.is_empty() {
        cx.reply.count(len);
        return Ok(());
    }
    check_len(cx, offset, bytes.len())?;
    match found {
        Some(found) => overwrite(cx, found, offset, bytes)?,
        None => {
            let mut string = vec![0; offset + bytes.len()];
            string[offset..].copy_from_slice(bytes);
            set_modified(cx, None, key, string);
        }
    }
    cx.changed(key, "setrange");
    cx.reply.count(len.max(offset + bytes.len()));
    Ok(())
}

fn length_of(cx: &Cx<'_>, found: Found) -> Result<usize, Error> {
    Ok(cx.value(found).string(&mut itoa::Buffer::new())?.len())
}

/// Refuses a string of `len + more` bytes if that is over `proto-max-bulk-len`.
fn check_len(cx: &Cx<'_>, len: usize, more: usize) -> Result<(), Error> {
    let max = cx.state.config.proto_max_bulk_len;
    let fits = len.checked_add(more).is_some_and(|total| total as u64 <= max);
    if fits { Ok(()) } else { Err(Error::StringTooLong) }
}

/// Writes `bytes` into the string at `found` from `offset` on; a gap is filled with zero bytes. A
/// long string is changed in place, with room to grow.
fn overwrite(cx: &mut Cx<'_>, found: Found, offset: usize, bytes: &[u8]) -> Result<(), Error> {
    let access = cx.state.access_of_changed(cx.session.db, found);
    let db = cx.session.db;
    if let Some(string) = cx.state.keyspace.string_mut(db, found) {
        let before = string.capacity();
        write(string, offset, bytes);
        cx.state.keyspace.string_changed(db, found, before, access);
        return Ok(());
    }
    let mut buffer = itoa::Buffer::new();
    let old = cx.value(found).string(&mut buffer)?;
    let mut string = Vec::with_capacity(old.len().max(offset + bytes.len()));
    string.extend_from_slice(old);
    write(&mut string, offset, bytes);
    set_modified(cx, Some(found), &[], string);
    Ok(())
}

fn write(string: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if offset >= string.len() {
        string.resize(offset, 0);
        string.extend_from_slice(bytes);
    } else {
        if end > string.len() {
            string.resize(end, 0);
        }
        string[offset..end].copy_from_slice(bytes);
    }
}

/// Longer strings than this are handed over instead of copied; none so long is stored inline.
pub(super) const COPIED_BYTES_MAX: usize = 1024;

/// Stores a modified string at `found`, or at `key` if there is no entry yet.
pub(super) fn set_modified(cx: &mut Cx<'_>, found: Option<Found>, key: &[u8], string: Vec<u8>) {
    let value = if string.len() > COPIED_BYTES_MAX {
        NewValue::Object(Object::Raw(string))
    } else {
        return match found {
            Some(found) => cx.replace_value(found, NewValue::Modified(&string)),
            None => cx.add(key, NewValue::Modified(&string), None),
        };
    };
    match found {
        Some(found) => cx.replace_value(found, value),
        None => cx.add(key, value, None),
    }
}
