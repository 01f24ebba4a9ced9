//! Sorted sets: the members of a range, by rank, by score or by name.
//!
//! All ten commands are one: they read a query, find the ranks that it means, and show, store or
//! remove the members of these ranks.

use core::ops::Range;

use super::Cx;
use super::arguments::integer;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, one_key};
use super::zset::{limits, reply_pairs};
use super::zset_bounds::{name_range, score_range};
use crate::args::Args;
use crate::error::Error;
use crate::value::collection::Collection;
use crate::value::zset::{Edge, Tally, Zset, ZsetRef};

/// The cost of finding a range and showing it.
const COMPLEXITY: &str = "O(log(N)+M) where N is the size of the sorted set and M the number of \
    members returned.";
/// A row of a command that shows members.
const SHOW: Command = Command {
    arity: -4,
    flags: Flags::READONLY,
    keys: &[one_key(&["RO", "ACCESS"])],
    group: Group::SortedSet,
    complexity: COMPLEXITY,
    reply: "array<bulk | double | [bulk, double]>",
    ..Command::ROW
};
/// A row of a command that removes members.
const REMOVE: Command = Command {
    arity: 4,
    flags: Flags::WRITE,
    keys: &[one_key(&["RW", "DELETE"])],
    group: Group::SortedSet,
    complexity: "O(log(N)+M) where N is the size of the sorted set and M the number of members \
        removed.",
    reply: "integer",
    ..Command::ROW
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ZRANGE",
        syntax: "key start:string stop:string [BYSCORE | BYLEX] [REV] [LIMIT offset count] \
            [WITHSCORES]",
        since: "1.2.0",
        summary: "Returns the members of a sorted set in a range of ranks, scores or names.",
        run: |cx, args| show(cx, args, Form { by: None, is_reverse: None, stores: false }),
        ..SHOW
    },
    Command {
        name: "ZRANGEBYLEX",
        syntax: "key min:string max:string [LIMIT offset count]",
        since: "2.8.9",
        summary: "Returns the members of a sorted set of equal scores in a range of names.",
        run: |cx, args| show(cx, args, Form::new(By::Name, false)),
        ..SHOW
    },
    Command {
        name: "ZRANGEBYSCORE",
        syntax: "key min:double max:double [WITHSCORES] [LIMIT offset count]",
        since: "1.0.5",
        summary: "Returns the members of a sorted set in a range of scores.",
        run: |cx, args| show(cx, args, Form::new(By::Score, false)),
        ..SHOW
    },
    Command {
        name: "ZREVRANGE",
        syntax: "key start:integer stop:integer [WITHSCORES]",
        since: "1.2.0",
        summary: "Returns the members of a sorted set in a range of ranks counted from the end.",
        run: |cx, args| show(cx, args, Form::new(By::Rank, true)),
        ..SHOW
    },
    Command {
        name: "ZREVRANGEBYLEX",
        syntax: "key max:string min:string [LIMIT offset count]",
        since: "2.8.9",
        summary: "Returns the members of a sorted set of equal scores in a range of names, the \
            last first.",
        run: |cx, args| show(cx, args, Form::new(By::Name, true)),
        ..SHOW
    },
    Command {
        name: "ZREVRANGEBYSCORE",
        syntax: "key max:double min:double [WITHSCORES] [LIMIT offset count]",
        since: "2.2.0",
        summary: "Returns the members of a sorted set in a range of scores, the highest first.",
        run: |cx, args| show(cx, args, Form::new(By::Score, true)),
        ..SHOW
    },
    Command {
        name: "ZRANGESTORE",
        syntax: "dst:key src:key min:string max:string [BYSCORE | BYLEX] [REV] \
            [LIMIT offset count]",
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["OW", "UPDATE"]), SOURCE],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(log(N)+M) where N is the size of the sorted set and M the number of members \
            stored.",
        summary: "Makes a sorted set of the members of another in a range of ranks, scores or \
            names.",
        reply: "integer",
        run: zrangestore,
        ..Command::ROW
    },
    Command {
        name: "ZREMRANGEBYRANK",
        syntax: "key start:integer stop:integer",
        since: "2.0.0",
        summary: "Removes the members of a sorted set in a range of ranks.",
        run: |cx, args| remove(cx, args, By::Rank, "zremrangebyrank"),
        ..REMOVE
    },
    Command {
        name: "ZREMRANGEBYSCORE",
        syntax: "key min:double max:double",
        since: "1.2.0",
        summary: "Removes the members of a sorted set in a range of scores.",
        run: |cx, args| remove(cx, args, By::Score, "zremrangebyscore"),
        ..REMOVE
    },
    Command {
        name: "ZREMRANGEBYLEX",
        syntax: "key min:string max:string",
        since: "2.8.9",
        summary: "Removes the members of a sorted set of equal scores in a range of names.",
        run: |cx, args| remove(cx, args, By::Name, "zremrangebylex"),
        ..REMOVE
    },
];

/// The key behind the destination.
const SOURCE: KeySpec = KeySpec {
    flags: &["RO", "ACCESS"],
    begin: Begin::Index(2),
    find: Find::Range { last: 0, step: 1 },
};

/// What a range is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Name,
}

/// What a command's name says of its query.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// `None`: an option says it.
    by: Option<By>,
    /// `None`: an option says it.
    is_reverse: Option<bool>,
    stores: bool,
}

impl Form {
    const fn new(by: By, is_reverse: bool) -> Self {
        Self { by: Some(by), is_reverse: Some(is_reverse), stores: false }
    }
}

/// The two ends of a range.
#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    Ranks(i64, i64),
    Edges(Edge<'a>, Edge<'a>),
}

impl<'a> Bounds<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, Error> {
        Ok(match by {
            By::Rank => Self::Ranks(integer(min)?, integer(max)?),
            By::Score => {
                let (min, max) = score_range(min, max)?;
                Self::Edges(min, max)
            }
            By::Name => {
                let (min, max) = name_range(min, max)?;
                Self::Edges(min, max)
            }
        })
    }

    /// The ranks that they mean in a set, counted from the end if `is_reverse` and they are ranks.
    fn ranks(self, zset: ZsetRef<'_>, is_reverse: bool) -> Range<usize> {
        let (start, stop) = match self {
            Self::Edges(min, max) => return zset.between(min, max),
            Self::Ranks(start, stop) => (start, stop),
        };
        let len = zset.len() as i64;
        let from_end = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
        let (start, end) = (from_end(start).max(0), from_end(stop).min(len - 1) + 1);
        if start >= end {
            return 0..0;
        }
        let (start, end) = if is_reverse { (len - end, len - start) } else { (start, end) };
        start as usize..end as usize
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    bounds: Bounds<'a>,
    is_reverse: bool,
    with_scores: bool,
    offset: i64,
    /// Negative: no limit.
    limit: i64,
}

impl<'a> Query<'a> {
    /// Reads a query whose bounds are the words `first` and `first + 1`.
    fn parse(args: Args<'a>, first: usize, form: Form) -> Result<Self, Error> {
        let Form { mut by, mut is_reverse, stores } = form;
        let (mut with_scores, mut offset, mut limit) = (false, 0, -1);
        let mut index = first + 2;
        while index < args.len() {
            if !stores && args.is(index, "WITHSCORES") {
                with_scores = true;
            } else if args.is(index, "LIMIT") && index + 2 < args.len() {
                (offset, limit) = (integer(args.at(index + 1))?, integer(args.at(index + 2))?);
                index += 2;
            } else if is_reverse.is_none() && args.is(index, "REV") {
                is_reverse = Some(true);
            } else if by.is_none() && args.is(index, "BYLEX") {
                by = Some(By::Name);
            } else if by.is_none() && args.is(index, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Error::Syntax);
            }
            index += 1;
        }
        let (by, is_reverse) = (by.unwrap_or(By::Rank), is_reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(Error::fixed(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Name {
            return Err(Error::fixed(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (mut min, mut max) = (args.at(first), args.at(first + 1));
        if is_reverse && by != By::Rank {
            (min, max) = (max, min);
        }
        let bounds = Bounds::parse(by, min, max)?;
        // LIMIT 0 -1 is let through for ranks, as in Redis, and then means nothing.
        let offset = if by == By::Rank { 0 } else { offset };
        Ok(Self { bounds, is_reverse, with_scores, offset, limit })
    }

    /// The ranks of the members asked for.
    fn ranks(&self, zset: ZsetRef<'_>) -> Range<usize> {
        let Range { start, end } = self.bounds.ranks(zset, self.is_reverse);
        // An offset from before the beginning never comes to an end.
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let left = (end - start).saturating_sub(offset);
        let count = usize::try_from(self.limit).map_or(left, |limit| left.min(limit));
        if self.is_reverse {
            let end = end - offset.min(end - start);
            end - count..end
        } else {
            let start = start + offset.min(end - start);
            start..start + count
        }
    }
}

/// Shows the members that a query asks for.
fn show(cx: &mut Cx<'_>, args: Args<'_>, form: Form) -> Result<(), Error> {
    let query = Query::parse(args, 2, form)?;
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.array(0);
        return Ok(());
    };
    let zset = cx.state.keyspace.db(cx.session.db).value(found).zset()?;
    let ranks = query.ranks(zset);
    let len = ranks.len();
    let pairs = if query.is_reverse { zset.range_back(ranks) } else { zset.range(ranks) };
    reply_pairs(cx.reply, len, query.with_scores, pairs);
    Ok(())
}

/// `ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]`
fn zrangestore(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let query = Query::parse(args, 3, Form { by: None, is_reverse: None, stores: true })?;
    let (target, limits) = (args.at(1), limits(cx));
    let mut stored = Tally::new(&limits);
    if let Some(found) = cx.find_read(args.at(2)) {
        let zset = cx.value(found).zset()?;
        let mut buffer = itoa::Buffer::new();
        for (member, score) in zset.range(query.ranks(zset)) {
            stored.push(member.bytes(&mut buffer), score);
        }
    }
    store(cx, target, stored.into_zset(&limits), "zrangestore");
    Ok(())
}

/// Stores a result and replies with its size; an empty one deletes the key.
pub(super) fn store(cx: &mut Cx<'_>, key: &[u8], zset: Zset, event: &'static str) {
    let len = zset.reader().len();
    let was_there = cx.store(key, zset);
    cx.reply.count(len);
    if len > 0 {
        cx.changed(key, event);
    } else if was_there {
        cx.changed(key, "del");
    }
}

/// Removes the members of a range.
fn remove(cx: &mut Cx<'_>, args: Args<'_>, by: By, event: &'static str) -> Result<(), Error> {
    let bounds = Bounds::parse(by, args.at(2), args.at(3))?;
    let key = args.at(1);
    let removed = cx.edit(key, |_, zset: &mut Zset| {
        let ranks = bounds.ranks(zset.reader(), false);
        zset.remove_ranks(ranks.clone());
        (ranks.len(), zset.is_empty())
    })?;
    let (removed, is_gone) = removed.unwrap_or_default();
    cx.reply.count(removed);
    if removed > 0 {
        cx.changed(key, event);
    }
    if is_gone {
        cx.changed(key, "del");
    }
    Ok(())
}
