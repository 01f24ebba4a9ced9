//! HSCAN, SSCAN and ZSCAN: cursor, options and the reply, whose length is known only at its end.
//!
//! A command reads the cursor first, then looks for its key (there may be none: [`Scan::empty`]),
//! then reads the options, in this order, as Redis does. A small collection is returned whole, with
//! cursor 0; of a big one, pieces of hash space until `COUNT` elements were looked at.

use super::arguments::integer;
use crate::args::Args;
use crate::error::Error;
use crate::resp::Reply;
use crate::value::glob;
use crate::value::packed::Element;

/// Elements that one call looks at without `COUNT`.
const COUNT_DEFAULT: usize = 10;
/// `COUNT` is a hint: one call never looks at many more elements, however large it is.
const COUNT_MAX: i64 = 10_000;
/// Pieces of a sparse collection that one call looks at, for each element of `COUNT`.
const PIECES_PER_COUNT: usize = 10;
/// The words that leave values or scores out, and the commands that know them.
const KEYS_ONLY: [(&str, &str); 2] = [("NOVALUES", "HSCAN"), ("NOSCORES", "ZSCAN")];
/// The largest number that is a cursor.
const CURSOR_MAX: u128 = u64::MAX as u128;

/// What a command that scans a collection was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    cursor: u64,
    pattern: Option<&'a [u8]>,
    count: usize,
    /// Whether values or scores are left out.
    pub(super) keys_only: bool,
}

impl<'a> Scan<'a> {
    /// Reads the cursor, which is word 2.
    pub(super) fn at_cursor(args: Args<'a>) -> Result<Self, Error> {
        let cursor = cursor_of(args.at(2))?;
        Ok(Self { cursor, pattern: None, count: COUNT_DEFAULT, keys_only: false })
    }

    /// Reads the options, which follow the cursor; `keys_only` is the word that leaves values or
    /// scores out, if the command has one.
    pub(super) fn options(mut self, args: Args<'a>, keys_only: &str) -> Result<Self, Error> {
        let mut index = 3;
        while index < args.len() {
            if let Some(&(word, command)) = KEYS_ONLY.iter().find(|(word, _)| args.is(index, word))
            {
                if word != keys_only {
                    return Err(Error::text(format!(
                        "ERR {word} option can only be used in {command}"
                    )));
                }
                self.keys_only = true;
                index += 1;
                continue;
            }
            let operand = args.opt(index + 1).ok_or(Error::Syntax)?;
            if args.is(index, "COUNT") {
                let count = integer(operand)?;
                if count < 1 {
                    return Err(Error::Syntax);
                }
                self.count = count.min(COUNT_MAX) as usize;
            } else if args.is(index, "MATCH") {
                self.pattern = Some(operand).filter(|&pattern| pattern != b"*");
            } else {
                return Err(Error::Syntax);
            }
            index += 2;
        }
        Ok(self)
    }

    /// The reply where there is no collection.
    pub(super) fn empty(reply: &mut Reply) {
        reply.array(2);
        reply.text("0");
        reply.array(0);
    }

    /// Replies. `piece` shows the page the elements of one piece, from a cursor on, and returns the
    /// next cursor.
    pub(super) fn reply(self, reply: &mut Reply, mut piece: impl FnMut(&mut Page<'_>, u64) -> u64) {
        reply.array(2);
        let start = reply.out.len();
        let mut page = Page { reply, pattern: self.pattern, looked_at: 0, written: 0 };
        let mut cursor = self.cursor;
        for _ in 0..self.count * PIECES_PER_COUNT {
            cursor = piece(&mut page, cursor);
            if cursor == 0 || page.looked_at >= self.count {
                break;
            }
        }
        let written = page.written;
        write_before(reply, start, |reply| {
            reply.text(itoa::Buffer::new().format(cursor));
            reply.array(written);
        });
    }
}

/// The part of a collection that one call replies with.
pub(super) struct Page<'a> {
    reply: &'a mut Reply,
    pattern: Option<&'a [u8]>,
    looked_at: usize,
    written: usize,
}

impl Page<'_> {
    /// Writes the key of an element if it is wanted; false if it is not.
    pub(super) fn key(&mut self, key: Element<'_>) -> bool {
        self.looked_at += 1;
        let is_wanted = self
            .pattern
            .is_none_or(|pattern| glob::matches(pattern, key.bytes(&mut itoa::Buffer::new())));
        if is_wanted {
            key.reply(self.reply);
            self.written += 1;
        }
        is_wanted
    }

    /// Writes what belongs to the key that was just written.
    pub(super) fn value(&mut self, value: Element<'_>) {
        value.reply(self.reply);
        self.written += 1;
    }
}

/// Writes what is known only now in front of what was written from `start` on.
pub(super) fn write_before(reply: &mut Reply, start: usize, write: impl FnOnce(&mut Reply)) {
    let end = reply.out.len();
    write(reply);
    let len = reply.out.len() - end;
    reply.out[start..].rotate_right(len);
}

/// Reads a cursor as C's `strtoul` does: an optional sign, digits, nothing else; no digits are 0.
pub(super) fn cursor_of(word: &[u8]) -> Result<u64, Error> {
    let invalid = Error::fixed("ERR invalid cursor");
    let (negative, digits) = match word {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, word),
    };
    if digits.is_empty() && !word.is_empty() {
        return Err(invalid);
    }
    let mut value = 0_u128;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(invalid);
        }
        value = value * 10 + u128::from(digit - b'0');
        if value > CURSOR_MAX {
            return Err(invalid);
        }
    }
    let value = value as u64;
    Ok(if negative { value.wrapping_neg() } else { value })
}
