//! Bitmaps: single bits of strings, and counting and searching them.

use super::Cx;
use super::arguments::integer;
use super::raw_string::{add, edit, grow, make_raw};
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::value::bitmap;
use crate::value::number::parse_integer;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SETBIT",
        syntax: "key offset value:integer",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Sets or clears a bit of the string value of a key, which grows as needed, and \
            returns what it was.",
        reply: "integer",
        run: setbit,
        ..Command::ROW
    },
    Command {
        name: "GETBIT",
        syntax: "key offset",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Returns a bit of the string value of a key.",
        reply: "integer",
        run: getbit,
        ..Command::ROW
    },
    Command {
        name: "BITCOUNT",
        syntax: "key [start end [BYTE | BIT]]",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Bitmap,
        since: "2.6.0",
        complexity: "O(N) where N is the length of the string or of the given part of it.",
        summary: "Counts the bits that are set in the string value of a key.",
        reply: "integer",
        run: bitcount,
        ..Command::ROW
    },
    Command {
        name: "BITPOS",
        syntax: "key bit [start [end [BYTE | BIT]]]",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Bitmap,
        since: "2.8.7",
        complexity: "O(N) where N is the length of the string or of the given part of it.",
        summary: "Finds the first bit of the string value of a key that is set, or clear.",
        reply: "integer",
        run: bitpos,
        ..Command::ROW
    },
];

const BAD_OFFSET: Error = Error::fixed("ERR bit offset is not an integer or out of range");

/// The offset of a bit, as a client gives it. A string must not become longer than
/// `proto-max-bulk-len` by it.
pub(super) fn bit_offset(cx: &Cx<'_>, word: &[u8]) -> Result<u64, Error> {
    checked_offset(cx, parse_integer(word))
}

/// See [`bit_offset`].
pub(super) fn checked_offset(cx: &Cx<'_>, offset: Option<i64>) -> Result<u64, Error> {
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| offset / 8 < cx.state.config.proto_max_bulk_len).ok_or(BAD_OFFSET)
}

/// `SETBIT key offset value`
fn setbit(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let offset = bit_offset(cx, args.at(2))?;
    let on = match args.at(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(Error::fixed("ERR bit is not an integer or out of range")),
    };
    let len = (offset / 8) as usize + 1;
    let Some(found) = cx.find(key) else {
        let mut string = vec![0; len];
        bitmap::set_bit(&mut string, offset, on);
        add(cx, key, string);
        cx.changed(key, "setbit");
        cx.reply.integer(0);
        return Ok(());
    };
    let mut buffer = itoa::Buffer::new();
    let string = cx.value(found).string(&mut buffer)?;
    let (grows, old) = (string.len() < len, bitmap::bit(string, offset));
    if grows || old != on {
        edit(cx, found, |string| {
            grow(string, len);
            bitmap::set_bit(string, offset, on);
        })?;
        cx.changed(key, "setbit");
    } else {
        make_raw(cx, found)?;
    }
    cx.reply.integer(old.into());
    Ok(())
}

/// `GETBIT key offset`
fn getbit(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let offset = bit_offset(cx, args.at(2))?;
    let bit = match cx.find_read(args.at(1)) {
        Some(found) => bitmap::bit(cx.value(found).string(&mut itoa::Buffer::new())?, offset),
        None => false,
    };
    cx.reply.integer(bit.into());
    Ok(())
}

/// The part of a string that a command looks at, as a client gives it.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: i64,
    end: i64,
    /// The numbers count bits, not bytes.
    in_bits: bool,
}

impl Part {
    /// The first and the last bit, both included, of a string of `len` bytes; `None` if the part is
    /// empty.
    fn bits(self, len: usize) -> Option<(u64, u64)> {
        let total = if self.in_bits { len as i64 * 8 } else { len as i64 };
        let place = |at: i64| if at < 0 { (total + at).max(0) } else { at };
        let (start, end) = (place(self.start), place(self.end).min(total - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start as u64, end as u64);
        Some(if self.in_bits { (start, end) } else { (start * 8, end * 8 + 7) })
    }
}

/// Whether word `index` says that numbers count bits; bytes are also meant where it is missing.
fn is_in_bits(args: Args<'_>, index: usize) -> Result<bool, Error> {
    match args.opt(index) {
        Some(_) if args.is(index, "BIT") => Ok(true),
        Some(_) if !args.is(index, "BYTE") => Err(Error::Syntax),
        _ => Ok(false),
    }
}

/// `BITCOUNT key [start end [BYTE | BIT]]`
fn bitcount(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.integer(0);
        return Ok(());
    };
    let mut buffer = itoa::Buffer::new();
    let string = cx.state.keyspace.db(cx.session.db).value(found).string(&mut buffer)?;
    let count = match args.len() {
        2 => bitmap::count_ones(string),
        4 | 5 => {
            let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
            let is_backwards = start < 0 && end < 0 && start > end;
            let part = if is_backwards {
                None
            } else {
                Part { start, end, in_bits: is_in_bits(args, 4)? }.bits(string.len())
            };
            part.map_or(0, |(first, last)| bitmap::count_ones_in(string, first, last))
        }
        _ => return Err(Error::Syntax),
    };
    cx.reply.integer(count as i64);
    Ok(())
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`
fn bitpos(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let wanted = match integer(args.at(2))? {
        0 => false,
        1 => true,
        _ => return Err(Error::fixed("ERR The bit argument must be 1 or 0.")),
    };
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.integer(if wanted { -1 } else { 0 });
        return Ok(());
    };
    let mut buffer = itoa::Buffer::new();
    let string = cx.state.keyspace.db(cx.session.db).value(found).string(&mut buffer)?;
    if args.len() > 6 {
        return Err(Error::Syntax);
    }
    let start = args.opt(3).map_or(Ok(0), integer)?;
    let in_bits = is_in_bits(args, 5)?;
    let end = args.opt(4).map(integer).transpose()?;
    let part = Part { start, end: end.unwrap_or(-1), in_bits };
    let place = part.bits(string.len()).and_then(|(first, last)| {
        let found = bitmap::find(string, wanted, first, last);
        // Without an end the string goes on with zeros for ever.
        found.or_else(|| (!wanted && end.is_none()).then_some(last + 1))
    });
    cx.reply.integer(place.map_or(-1, |place| place as i64));
    Ok(())
}
