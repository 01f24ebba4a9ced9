//! Reading the arguments that many commands share: integers and expiration options.

use super::Cx;
use crate::args::Args;
use crate::error::Error;
use crate::time::{Instant, Micros, UnixMillis};
use crate::value::extended::Extended;
use crate::value::number::parse_integer;

/// A 64-bit integer, spelled as Redis spells integers.
#[inline]
pub(super) fn integer(word: &[u8]) -> Result<i64, Error> {
    parse_integer(word).ok_or(Error::NotAnInteger)
}

/// The index of a database.
pub(super) fn database(cx: &Cx<'_>, word: &[u8]) -> Result<usize, Error> {
    let index = i32::try_from(integer(word)?).map_err(|_| {
        let (min, max) = (i32::MIN, i32::MAX);
        Error::text(format!("ERR value is out of range, value must between {min} and {max}"))
    })?;
    let count = cx.state.keyspace.count();
    usize::try_from(index).ok().filter(|&index| index < count).ok_or(Error::DbIndexOutOfRange)
}

/// When the patience of a client ends that waits for a time in milliseconds; 0: never.
pub(super) fn until_after_millis(cx: &Cx<'_>, word: &[u8]) -> Result<Option<Instant>, Error> {
    let millis =
        parse_integer(word).ok_or(Error::fixed("ERR timeout is not an integer or out of range"))?;
    until(cx, millis)
}

/// When the patience of a client ends that waits for a time in seconds, with fractions; 0: never.
/// What is below a millisecond is one, as in Redis.
pub(super) fn until_after_secs(cx: &Cx<'_>, word: &[u8]) -> Result<Option<Instant>, Error> {
    let secs =
        Extended::parse(word).ok_or(Error::fixed("ERR timeout is not a float or out of range"))?;
    until(cx, secs.times(1000).ceil().ok_or(TIMEOUT_OUT_OF_RANGE)?)
}

const TIMEOUT_OUT_OF_RANGE: Error = Error::fixed("ERR timeout is out of range");

fn until(cx: &Cx<'_>, millis: i64) -> Result<Option<Instant>, Error> {
    let millis = u64::try_from(millis).map_err(|_| Error::fixed("ERR timeout is negative"))?;
    // Redis counts in milliseconds since the epoch.
    let end = millis.checked_add(cx.now.wall.as_millis());
    match end.is_some_and(|end| i64::try_from(end).is_ok()) {
        false => Err(TIMEOUT_OUT_OF_RANGE),
        true if millis == 0 => Ok(None),
        true => Ok(Some(cx.now.mono + Micros::from_millis(millis))),
    }
}

/// A point in time as a client gives it: its number is read only when the command gets so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry<'a> {
    pub(super) number: &'a [u8],
    pub(super) unit: Unit,
}

/// What the number of an [`Expiry`] counts, and from when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Millis,
    /// `EXAT`: seconds since the Unix epoch.
    UnixSeconds,
    /// `PXAT`: milliseconds since the Unix epoch.
    UnixMillis,
}

impl<'a> Expiry<'a> {
    /// The option at word `index`, if there is one and its number follows.
    pub(super) fn option(args: Args<'a>, index: usize) -> Option<Self> {
        const WORDS: [(&str, Unit); 4] = [
            ("EX", Unit::Seconds),
            ("PX", Unit::Millis),
            ("EXAT", Unit::UnixSeconds),
            ("PXAT", Unit::UnixMillis),
        ];
        let number = args.opt(index + 1)?;
        let (_, unit) = WORDS.into_iter().find(|&(word, _)| args.is(index, word))?;
        Some(Self { number, unit })
    }

    /// The moment; it must be after the epoch, but may have passed. What is relative to now must
    /// not.
    pub(super) fn deadline(self, cx: &Cx<'_>) -> Result<UnixMillis, Error> {
        let number = integer(self.number)?;
        let invalid = Error::InvalidExpireOf(cx.row.full_name);
        if number <= 0 {
            return Err(invalid);
        }
        let millis = match self.unit {
            Unit::Seconds | Unit::UnixSeconds => number.checked_mul(1000),
            Unit::Millis | Unit::UnixMillis => Some(number),
        };
        let now = cx.key_now().0 as i64;
        let at = match self.unit {
            Unit::Seconds | Unit::Millis => millis.and_then(|millis| millis.checked_add(now)),
            Unit::UnixSeconds | Unit::UnixMillis => millis,
        };
        at.map(|at| UnixMillis(at as u64)).ok_or(invalid)
    }
}

/// What becomes of a key's deadline when it gets a new value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum NewTtl<'a> {
    /// The key will have none.
    #[default]
    Discard,
    /// `KEEPTTL`: it stays.
    Keep,
    /// A new one.
    At(Expiry<'a>),
}

impl<'a> NewTtl<'a> {
    /// Takes the option at word `index`, if it is one of the five and goes with what came before;
    /// returns how many words it has.
    pub(super) fn option(&mut self, args: Args<'a>, index: usize) -> Option<usize> {
        if args.is(index, "KEEPTTL") && !matches!(self, Self::At(_)) {
            *self = Self::Keep;
            return Some(1);
        }
        let expiry = Expiry::option(args, index)?;
        match self {
            Self::Keep => return None,
            // The same option again is taken, as in Redis: the last one counts.
            Self::At(earlier) if earlier.unit != expiry.unit => return None,
            Self::At(_) | Self::Discard => *self = Self::At(expiry),
        }
        Some(2)
    }
}
