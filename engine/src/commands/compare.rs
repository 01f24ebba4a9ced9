//! Strings: acting only if the value is what the client thinks it is, and digests to say so
//! briefly.
//!
//! A digest is the 64-bit XXH3 of the string, as sixteen hexadecimal digits. With these commands a
//! lock is extended (`SET k token IFEQ token PX ttl`) and released (`DELEX k IFEQ token`) without a
//! script. Redis 8.4 and Valkey 9.0 have them; error texts are those of Redis 8.4.

use xxhash_rust::xxh3::xxh3_64;

use super::Cx;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Value;

/// Hexadecimal digits of a digest.
const DIGEST_DIGITS: usize = 16;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "DELEX",
        syntax: "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | \
            IFDNE ifdne-digest]",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "DELETE", "VARIABLE_FLAGS"])],
        group: Group::String,
        since: "8.4.0",
        complexity: "O(1) for IFEQ and IFNE, O(N) for IFDEQ and IFDNE where N is the length of \
            the value.",
        summary: "Deletes a key if its string value or the digest of it compares as asked.",
        reply: "integer",
        run: delex,
        ..Command::ROW
    },
    Command {
        name: "DELIFEQ",
        syntax: "key value",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RM", "DELETE"])],
        group: Group::String,
        since: "valkey 9.0.0",
        summary: "Deletes a key if its string value equals the given one.",
        reply: "integer",
        run: delifeq,
        ..Command::ROW
    },
    Command {
        name: "DIGEST",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::String,
        since: "8.4.0",
        complexity: "O(N) where N is the length of the value.",
        summary: "Returns the hexadecimal digest of the string value of a key.",
        reply: "bulk | null",
        run: digest,
        ..Command::ROW
    },
];

/// A comparison with the value of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison<'a> {
    /// `IFEQ`
    Equal(&'a [u8]),
    /// `IFNE`
    NotEqual(&'a [u8]),
    /// `IFDEQ`
    DigestEqual(&'a [u8]),
    /// `IFDNE`
    DigestNotEqual(&'a [u8]),
}

impl<'a> Comparison<'a> {
    /// The option at word `index`, if it is one of the four and its operand follows.
    pub(super) fn option(args: Args<'a>, index: usize) -> Option<Self> {
        let operand = args.opt(index + 1)?;
        match () {
            () if args.is(index, "IFEQ") => Some(Self::Equal(operand)),
            () if args.is(index, "IFNE") => Some(Self::NotEqual(operand)),
            () if args.is(index, "IFDEQ") => Some(Self::DigestEqual(operand)),
            () if args.is(index, "IFDNE") => Some(Self::DigestNotEqual(operand)),
            () => None,
        }
    }

    /// Refuses a digest that cannot be one.
    pub(super) fn check(self) -> Result<(), Error> {
        match self {
            Self::DigestEqual(digest) | Self::DigestNotEqual(digest)
                if digest.len() != DIGEST_DIGITS =>
            {
                Err(Error::fixed("ERR must be exactly 16 hexadecimal characters"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it asks for a difference.
    pub(super) fn is_negated(self) -> bool {
        matches!(self, Self::NotEqual(_) | Self::DigestNotEqual(_))
    }

    /// Whether it holds for a value; an error if that is no string.
    pub(super) fn holds(self, value: Value<'_>) -> Result<bool, Error> {
        let mut buffer = itoa::Buffer::new();
        let string = value.string(&mut buffer)?;
        let equal = match self {
            Self::Equal(operand) | Self::NotEqual(operand) => string == operand,
            Self::DigestEqual(operand) | Self::DigestNotEqual(operand) => {
                digest_of(string).eq_ignore_ascii_case(operand)
            }
        };
        Ok(equal != self.is_negated())
    }
}

/// The digest of a string in lower case.
fn digest_of(string: &[u8]) -> [u8; DIGEST_DIGITS] {
    let hash = xxh3_64(string);
    core::array::from_fn(|place| {
        let nibble = hash >> (60 - 4 * place) & 0xf;
        b"0123456789abcdef"[nibble as usize]
    })
}

/// `DELEX key [comparison]`: without one, any type is deleted.
fn delex(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let comparison = match args.len() {
        2 => None,
        4 => {
            let comparison = Comparison::option(args, 2)
                .ok_or(Error::fixed("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?;
            comparison.check()?;
            Some(comparison)
        }
        _ => return Err(Error::WrongArity(cx.row.full_name)),
    };
    delete_if(cx, args.at(1), comparison)
}

/// `DELIFEQ key value`
fn delifeq(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    delete_if(cx, args.at(1), Some(Comparison::Equal(args.at(2))))
}

fn delete_if(cx: &mut Cx<'_>, key: &[u8], comparison: Option<Comparison<'_>>) -> Result<(), Error> {
    let deleted = match cx.find(key) {
        Some(found) if comparison.map_or(Ok(true), |it| it.holds(cx.value(found)))? => {
            cx.remove(found);
            cx.log_as([b"DEL".as_slice(), key]);
            cx.changed(key, "del");
            true
        }
        _ => false,
    };
    cx.reply.integer(i64::from(deleted));
    Ok(())
}

/// `DIGEST key`
fn digest(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.null();
        return Ok(());
    };
    let mut buffer = itoa::Buffer::new();
    let digest = digest_of(cx.value(found).string(&mut buffer)?);
    cx.reply.bulk(&digest);
    Ok(())
}
