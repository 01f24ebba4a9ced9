//! Sets: intersections, unions and differences, as replies, as new sets, or only counted.

use core::ops::ControlFlow;

use super::Cx;
use super::set::limits;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, all_keys, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;
use crate::resp::Reply;
use crate::value::collection::Collection;
use crate::value::number::parse_integer;
use crate::value::packed::Element;
use crate::value::set::algebra::{
    difference, difference_set, estimate_union, intersection, intersection_set, union, union_set,
};
use crate::value::set::{Limits, Set, SetRef};

/// The keys behind the destination.
const SOURCES: KeySpec = KeySpec {
    flags: &["RO", "ACCESS"],
    begin: Begin::Index(2),
    find: Find::Range { last: -1, step: 1 },
};
/// A row of a command that replies with members.
const SHOW: Command = Command {
    syntax: "key [key ...]",
    tips: &["nondeterministic_output_order"],
    arity: -2,
    flags: Flags::READONLY,
    keys: &[all_keys(&["RO", "ACCESS"])],
    group: Group::Set,
    reply: "set<bulk>",
    ..Command::ROW
};
/// A row of a command that makes a set.
const STORE: Command = Command {
    syntax: "destination key [key ...]",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[one_key(&["OW", "UPDATE"]), SOURCES],
    group: Group::Set,
    reply: "integer",
    ..Command::ROW
};
/// A row of a command that counts.
const COUNT: Command = Command {
    syntax: "numkeys key [key ...] [LIMIT limit]",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec {
        flags: &["RO", "ACCESS"],
        begin: Begin::Index(1),
        find: Find::KeyNum { first: 1, step: 1 },
    }],
    group: Group::Set,
    reply: "integer",
    ..Command::ROW
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SINTER",
        complexity: "O(N*M) where N is the size of the smallest set and M the number of sets.",
        summary: "Returns the members that are in all of some sets.",
        run: |cx, args| show(cx, args, Operation::Intersection),
        ..SHOW
    },
    Command {
        name: "SINTERSTORE",
        complexity: "O(N*M) where N is the size of the smallest set and M the number of sets.",
        summary: "Makes a set of the members that are in all of some sets and returns how many.",
        run: |cx, args| store(cx, args, Operation::Intersection),
        ..STORE
    },
    Command {
        name: "SINTERCARD",
        since: "7.0.0",
        complexity: "O(N*M) where N is the size of the smallest set and M the number of sets.",
        summary: "Counts the members that are in all of some sets, up to a limit.",
        run: |cx, args| count(cx, args, Operation::Intersection),
        ..COUNT
    },
    Command {
        name: "SUNION",
        complexity: "O(N) where N is the size of all sets together.",
        summary: "Returns the members that are in any of some sets.",
        run: |cx, args| show(cx, args, Operation::Union),
        ..SHOW
    },
    Command {
        name: "SUNIONSTORE",
        complexity: "O(N) where N is the size of all sets together.",
        summary: "Makes a set of the members that are in any of some sets and returns how many.",
        run: |cx, args| store(cx, args, Operation::Union),
        ..STORE
    },
    Command {
        name: "SUNIONCARD",
        syntax: "numkeys key [key ...] [APPROX] [LIMIT limit]",
        since: "8.10.0",
        complexity: "O(N) where N is the size of all sets together.",
        summary: "Counts the members that are in any of some sets, up to a limit.",
        run: |cx, args| count(cx, args, Operation::Union),
        ..COUNT
    },
    Command {
        name: "SDIFF",
        complexity: "O(N) where N is the size of all sets together.",
        summary: "Returns the members of a set that are in none of some others.",
        run: |cx, args| show(cx, args, Operation::Difference),
        ..SHOW
    },
    Command {
        name: "SDIFFSTORE",
        complexity: "O(N) where N is the size of all sets together.",
        summary: "Makes a set of the members of a set that are in none of some others and returns \
            how many.",
        run: |cx, args| store(cx, args, Operation::Difference),
        ..STORE
    },
    Command {
        name: "SDIFFCARD",
        since: "8.10.0",
        complexity: "O(N) where N is the size of all sets together.",
        summary: "Counts the members of a set that are in none of some others, up to a limit.",
        run: |cx, args| count(cx, args, Operation::Difference),
        ..COUNT
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

impl Operation {
    /// Visits the members of the result.
    fn visit(
        self,
        sets: &mut [SetRef<'_>],
        limits: &Limits,
        visit: impl FnMut(Element<'_>) -> ControlFlow<()>,
    ) {
        match self {
            Self::Intersection => intersection(sets, visit),
            Self::Union => union(sets, limits, visit),
            Self::Difference => {
                if let Some((first, others)) = sets.split_first_mut() {
                    difference(*first, others, limits, visit);
                }
            }
        }
    }

    /// The result as a set of its own.
    fn set(self, sets: &mut [SetRef<'_>], limits: &Limits) -> Set {
        match self {
            Self::Intersection => intersection_set(sets, limits),
            Self::Union => union_set(sets, limits),
            Self::Difference => match sets.split_first_mut() {
                Some((first, others)) => difference_set(*first, others, limits),
                None => Set::default(),
            },
        }
    }

    /// What the making of a set is called in keyspace events.
    fn event(self) -> &'static str {
        match self {
            Self::Intersection => "sinterstore",
            Self::Union => "sunionstore",
            Self::Difference => "sdiffstore",
        }
    }
}

/// The entries of some keys, each of which holds a set or nothing.
fn find_sets<'a>(
    cx: &mut Cx<'_>,
    keys: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Option<Found>>, Error> {
    keys.map(|key| match cx.find_read(key) {
        Some(found) => cx.value(found).set().map(|_| Some(found)),
        None => Ok(None),
    })
    .collect()
}

/// The sets at these entries.
fn sets_at<'a>(cx: &'a Cx<'_>, found: &[Option<Found>]) -> Vec<SetRef<'a>> {
    let db = cx.state.keyspace.db(cx.session.db);
    found
        .iter()
        .map(|found| match *found {
            Some(found) => db.value(found).set().expect("it was a set when it was found"),
            None => SetRef::EMPTY,
        })
        .collect()
}

/// `SINTER key ...`, `SUNION key ...`, `SDIFF key ...`
fn show(cx: &mut Cx<'_>, args: Args<'_>, operation: Operation) -> Result<(), Error> {
    let found = find_sets(cx, args.from(1))?;
    let limits = limits(cx);
    let mut reply = core::mem::take(cx.reply);
    let start = reply.out.len();
    let mut len = 0;
    operation.visit(&mut sets_at(cx, &found), &limits, |member| {
        member.reply(&mut reply);
        len += 1;
        ControlFlow::Continue(())
    });
    put_header(&mut reply, start, len);
    *cx.reply = reply;
    Ok(())
}

/// Puts the header of a set before its members, which begin at `start` of the output.
fn put_header(reply: &mut Reply, start: usize, len: usize) {
    let end = reply.out.len();
    reply.set(len);
    let header = reply.out.len() - end;
    reply.out[start..].rotate_right(header);
}

/// `SINTERSTORE destination key ...`, `SUNIONSTORE ...`, `SDIFFSTORE ...`
fn store(cx: &mut Cx<'_>, args: Args<'_>, operation: Operation) -> Result<(), Error> {
    let found = find_sets(cx, args.from(2))?;
    let limits = limits(cx);
    let result = operation.set(&mut sets_at(cx, &found), &limits);
    let len = result.reader().len();
    let key = args.at(1);
    let existed = cx.store(key, result);
    if len > 0 {
        cx.changed(key, operation.event());
    } else if existed {
        cx.changed(key, "del");
    }
    cx.reply.count(len);
    Ok(())
}

/// What follows the keys of a command that counts.
#[derive(Clone, Copy, Debug, Default)]
struct CountOptions {
    /// How many words are keys.
    keys: usize,
    /// No more is counted; 0: no limit.
    limit: usize,
    /// `APPROX`: an estimate is enough.
    approx: bool,
}

impl CountOptions {
    fn parse(args: Args<'_>, takes_approx: bool) -> Result<Self, Error> {
        let keys = parse_integer(args.at(1)).filter(|&keys| keys > 0);
        let keys = keys.ok_or(Error::fixed("ERR numkeys should be greater than 0"))?;
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        if keys > args.len() - 2 {
            return Err(Error::fixed("ERR Number of keys can't be greater than number of args"));
        }
        let (mut limit, mut approx, mut index) = (0, false, 2 + keys);
        while index < args.len() {
            match args.opt(index + 1) {
                Some(word) if args.is(index, "LIMIT") => {
                    let number = parse_integer(word).and_then(|limit| usize::try_from(limit).ok());
                    limit = number.ok_or(Error::fixed("ERR LIMIT can't be negative"))?;
                    index += 1;
                }
                _ if takes_approx && args.is(index, "APPROX") => approx = true,
                _ => return Err(Error::Syntax),
            }
            index += 1;
        }
        Ok(Self { keys, limit, approx })
    }
}

/// `SINTERCARD numkeys key ... [LIMIT limit]`, `SUNIONCARD ...`, `SDIFFCARD ...`
fn count(cx: &mut Cx<'_>, args: Args<'_>, operation: Operation) -> Result<(), Error> {
    let options = CountOptions::parse(args, operation == Operation::Union)?;
    let found = find_sets(cx, args.from(2).take(options.keys))?;
    let limits = limits(cx);
    if options.approx {
        let estimate = estimate_union(&mut sets_at(cx, &found));
        let limit = if options.limit > 0 { options.limit } else { usize::MAX };
        cx.reply.count(usize::try_from(estimate).unwrap_or(usize::MAX).min(limit));
        return Ok(());
    }
    let mut len = 0;
    operation.visit(&mut sets_at(cx, &found), &limits, |_| {
        len += 1;
        if len == options.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    cx.reply.count(len);
    Ok(())
}
