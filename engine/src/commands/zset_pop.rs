//! Sorted sets: taking members off either end.

use super::Cx;
use super::arguments::integer;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;
use crate::resp::Protocol;
use crate::value::collection::Collection;
use crate::value::zset::Zset;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ZPOPMIN",
        syntax: "key [count]",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "DELETE"])],
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)*M) where N is the size of the sorted set and M the number of members \
            returned.",
        summary: "Removes and returns the members with the lowest scores of a sorted set.",
        reply: "array<bulk | double | [bulk, double]>",
        run: |cx, args| pop(cx, args, Side::Min),
        ..Command::ROW
    },
    Command {
        name: "ZPOPMAX",
        syntax: "key [count]",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "DELETE"])],
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)*M) where N is the size of the sorted set and M the number of members \
            returned.",
        summary: "Removes and returns the members with the highest scores of a sorted set.",
        reply: "array<bulk | double | [bulk, double]>",
        run: |cx, args| pop(cx, args, Side::Max),
        ..Command::ROW
    },
    Command {
        name: "ZMPOP",
        syntax: "numkeys key [key ...] (MIN | MAX) [COUNT count]",
        arity: -4,
        flags: Flags::WRITE,
        keys: &[KeySpec {
            flags: &["RW", "ACCESS", "DELETE"],
            begin: Begin::Index(1),
            find: Find::KeyNum { first: 1, step: 1 },
        }],
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(K) + O(M*log(N)) where K is the number of keys, N the size of the sorted \
            set and M the number of members returned.",
        summary: "Removes and returns members at one end of the first sorted set that is there.",
        reply: "[bulk, array<[bulk, double]>] | null",
        run: zmpop,
        ..Command::ROW
    },
];

/// Which end members are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The lowest score, and of equal ones the first name.
    Min,
    /// The highest score, and of equal ones the last name.
    Max,
}

impl Side {
    /// How the log spells that members are taken from the end.
    pub(super) const fn word(self) -> &'static [u8] {
        match self {
            Self::Min => b"ZPOPMIN",
            Self::Max => b"ZPOPMAX",
        }
    }

    const fn event(self) -> &'static str {
        match self {
            Self::Min => "zpopmin",
            Self::Max => "zpopmax",
        }
    }
}

/// How popped members are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Member, score, member, score.
    Flat,
    /// An array of pairs.
    Pairs,
    /// The key, then member and score.
    KeyFlat,
    /// The key and an array of pairs.
    KeyPairs,
}

/// `ZPOPMIN key [count]`
fn pop(cx: &mut Cx<'_>, args: Args<'_>, side: Side) -> Result<(), Error> {
    let count = match args.len() {
        2 => None,
        3 => {
            let count = integer(args.at(2)).ok().and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(Error::fixed("ERR value is out of range, must be positive"))?)
        }
        _ => return Err(Error::Syntax),
    };
    let key = args.at(1);
    let Some(found) = cx.find(key) else {
        cx.reply.array(0);
        return Ok(());
    };
    let is_nested = cx.reply.protocol == Protocol::Resp3 && count.is_some();
    let shown = if is_nested { Shown::Pairs } else { Shown::Flat };
    pop_found(cx, key, found, side, count.unwrap_or(1), shown)
}

/// Takes members off the sorted set at a found key and replies with them. None are asked for: the
/// reply has none, and no key.
pub(super) fn pop_found(
    cx: &mut Cx<'_>,
    key: &[u8],
    found: Found,
    side: Side,
    count: usize,
    shown: Shown,
) -> Result<(), Error> {
    let len = cx.value(found).zset()?.len();
    let count = count.min(len);
    if count == 0 {
        cx.reply.array(0);
        return Ok(());
    }
    let is_gone = count == len;
    match shown {
        Shown::Flat | Shown::Pairs => {}
        Shown::KeyFlat => cx.log_as([side.word(), key]),
        Shown::KeyPairs => {
            cx.log_as([side.word(), key, itoa::Buffer::new().format(count).as_bytes()]);
        }
    }
    cx.edit_found(found, |cx, zset: &mut Zset| {
        let ranks = match side {
            Side::Min => 0..count,
            Side::Max => len - count..len,
        };
        show(cx, key, zset, ranks.clone(), side, shown);
        zset.remove_ranks(ranks);
    })?;
    cx.changed(key, side.event());
    if is_gone {
        cx.changed(key, "del");
    }
    Ok(())
}

fn show(
    cx: &mut Cx<'_>,
    key: &[u8],
    zset: &Zset,
    ranks: core::ops::Range<usize>,
    side: Side,
    shown: Shown,
) {
    let reply = &mut *cx.reply;
    let count = ranks.len();
    match shown {
        Shown::Flat => reply.array(2 * count),
        Shown::Pairs => reply.array(count),
        Shown::KeyFlat => {
            reply.array(2 * count + 1);
            reply.bulk(key);
        }
        Shown::KeyPairs => {
            reply.array(2);
            reply.bulk(key);
            reply.array(count);
        }
    }
    let pairs = match side {
        Side::Min => zset.reader().range(ranks),
        Side::Max => zset.reader().range_back(ranks),
    };
    for (member, score) in pairs {
        if matches!(shown, Shown::Pairs | Shown::KeyPairs) {
            reply.array(2);
        }
        member.reply(reply);
        reply.double(score);
    }
}

/// The words of ZMPOP and BZMPOP from the number of keys on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Several<'a> {
    args: Args<'a>,
    first: usize,
    len: usize,
    pub(super) side: Side,
    pub(super) count: usize,
}

impl<'a> Several<'a> {
    /// Reads the words from the number of keys at word `at` on.
    pub(super) fn parse(args: Args<'a>, at: usize) -> Result<Self, Error> {
        let positive = |word: &[u8], error: &'static str| {
            let number = integer(word).ok().and_then(|number| usize::try_from(number).ok());
            number.filter(|&number| number > 0).ok_or_else(|| Error::fixed(error))
        };
        let len = positive(args.at(at), "ERR numkeys should be greater than 0")?;
        let side_at = len.saturating_add(at + 1);
        let side = match side_at {
            at if args.is(at, "MIN") => Side::Min,
            at if args.is(at, "MAX") => Side::Max,
            _ => return Err(Error::Syntax),
        };
        let (mut count, mut index) = (None, side_at + 1);
        while index < args.len() {
            if count.is_some() || !args.is(index, "COUNT") || index + 1 >= args.len() {
                return Err(Error::Syntax);
            }
            count = Some(positive(args.at(index + 1), "ERR count should be greater than 0")?);
            index += 2;
        }
        Ok(Self { args, first: at + 1, len, side, count: count.unwrap_or(1) })
    }

    /// The keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.args.from(self.first).take(self.len)
    }
}

/// The first key that is there; it must be a sorted set.
pub(super) fn first_found<'a>(
    cx: &mut Cx<'_>,
    keys: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<(&'a [u8], Found)>, Error> {
    for key in keys {
        if let Some(found) = cx.find(key) {
            cx.value(found).zset()?;
            return Ok(Some((key, found)));
        }
    }
    Ok(None)
}

/// `ZMPOP numkeys key [key ...] (MIN | MAX) [COUNT count]`
fn zmpop(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let several = Several::parse(args, 1)?;
    match first_found(cx, several.keys())? {
        Some((key, found)) => {
            pop_found(cx, key, found, several.side, several.count, Shown::KeyPairs)
        }
        None => {
            cx.reply.null_array();
            Ok(())
        }
    }
}
