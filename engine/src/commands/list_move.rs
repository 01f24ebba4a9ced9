//! Moving elements from one list to another, at once or as soon as there are some.
//!
//! LMOVEM and BLMOVEM are Redis 8.10's. What its documentation leaves open is decided here: where
//! nothing is moved the reply is a null array; the texts of wrong numbers are LMPOP's.

use super::Cx;
use super::arguments::until_after_secs;
use super::list::{limits, pushed};
use super::list_pop::{popped, positive, side};
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::session::{Kind, TimedOut, WaitFor};
use crate::time::Instant;
use crate::value::collection::Collection;
use crate::value::list::{Limits, List, Side};

const MOVE: Command = Command {
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        one_key(&["RW", "ACCESS", "DELETE"]),
        KeySpec {
            flags: &["RW", "INSERT"],
            begin: Begin::Index(2),
            find: Find::Range { last: 0, step: 1 },
        },
    ],
    group: Group::List,
    since: "6.2.0",
    reply: "bulk | null",
    ..Command::ROW
};

const BLOCKING_MOVE: Command =
    Command { flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::BLOCKING), ..MOVE };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "LMOVE",
        syntax: "source:key destination:key (LEFT | RIGHT) (LEFT | RIGHT)",
        arity: 5,
        summary: "Moves an element from an end of a list to an end of a list and returns it.",
        run: lmove,
        ..MOVE
    },
    Command {
        name: "RPOPLPUSH",
        syntax: "source:key destination:key",
        arity: 3,
        since: "1.2.0",
        summary: "Moves the last element of a list before the first one of a list and returns it.",
        run: |cx, args| move_one(cx, Ends::new(args, Side::Back, Side::Front)),
        ..MOVE
    },
    Command {
        name: "LMOVEM",
        syntax: "source:key destination:key (LEFT | RIGHT) (LEFT | RIGHT) \
            [(COUNT count | EXACTLY exactly:integer) (OBO | BULK)]",
        arity: -5,
        since: "8.10.0",
        complexity: "O(N) where N is the number of elements moved.",
        summary: "Moves some elements from an end of a list to an end of a list and returns them.",
        reply: "null | array<bulk>",
        run: lmovem,
        ..MOVE
    },
    Command {
        name: "BLMOVE",
        syntax: "source:key destination:key (LEFT | RIGHT) (LEFT | RIGHT) timeout:double",
        arity: 6,
        summary: "Moves an element as LMOVE does, or waits for one.",
        run: blmove,
        ..BLOCKING_MOVE
    },
    Command {
        name: "BRPOPLPUSH",
        syntax: "source:key destination:key timeout:double",
        arity: 4,
        since: "2.2.0",
        summary: "Moves an element as RPOPLPUSH does, or waits for one.",
        run: brpoplpush,
        ..BLOCKING_MOVE
    },
    Command {
        name: "BLMOVEM",
        syntax: "source:key destination:key (LEFT | RIGHT) (LEFT | RIGHT) timeout:double \
            [(COUNT count | EXACTLY exactly:integer) (OBO | BULK)]",
        arity: -6,
        since: "8.10.0",
        complexity: "O(N) where N is the number of elements moved.",
        summary: "Moves elements as LMOVEM does, or waits until there are enough.",
        reply: "null | array<bulk>",
        run: blmovem,
        ..BLOCKING_MOVE
    },
];

/// From where to where.
#[derive(Clone, Copy)]
struct Ends<'a> {
    source: &'a [u8],
    destination: &'a [u8],
    from: Side,
    to: Side,
}

impl<'a> Ends<'a> {
    fn new(args: Args<'a>, from: Side, to: Side) -> Self {
        Self { source: args.at(1), destination: args.at(2), from, to }
    }

    fn parse(args: Args<'a>) -> Result<Self, Error> {
        Ok(Self::new(args, side(args, 3)?, side(args, 4)?))
    }
}

/// Moves an element and replies with it; false: there is no source, and no reply is written.
fn try_move_one(cx: &mut Cx<'_>, ends: Ends<'_>) -> Result<bool, Error> {
    let moved = transfer(cx, ends, HowMany::ONE)?;
    if let Some(words) = &moved {
        words.iter().for_each(|word| cx.reply.bulk(word));
    }
    Ok(moved.is_some())
}

fn move_one(cx: &mut Cx<'_>, ends: Ends<'_>) -> Result<(), Error> {
    if !try_move_one(cx, ends)? {
        cx.reply.null();
    }
    Ok(())
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`
fn lmove(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    move_one(cx, Ends::parse(args)?)
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`
fn blmove(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let ends = Ends::parse(args)?;
    let until = until_after_secs(cx, args.at(5))?;
    if cx.logs() {
        log_move(cx, args, ends);
    }
    move_one_or_wait(cx, ends, until)
}

/// Logs BLMOVE without its time-out: with the client's words, or, if it has waited, as Redis says
/// it then.
fn log_move(cx: &mut Cx<'_>, args: Args<'_>, ends: Ends<'_>) {
    let (mut from, mut to) = (args.at(3), args.at(4));
    if cx.retry {
        (from, to) = (side_word(ends.from), side_word(ends.to));
    }
    cx.log_as([b"LMOVE".as_slice(), ends.source, ends.destination, from, to]);
}

fn side_word(side: Side) -> &'static [u8] {
    match side {
        Side::Front => b"left",
        Side::Back => b"right",
    }
}

/// `BRPOPLPUSH source destination timeout`
fn brpoplpush(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let until = until_after_secs(cx, args.at(3))?;
    cx.log_as([b"RPOPLPUSH".as_slice(), args.at(1), args.at(2)]);
    move_one_or_wait(cx, Ends::new(args, Side::Back, Side::Front), until)
}

fn move_one_or_wait(cx: &mut Cx<'_>, ends: Ends<'_>, until: Option<Instant>) -> Result<(), Error> {
    // As in Redis a time-out is a null array, but where nobody waits it is a null.
    if !cx.may_block() {
        move_one(cx, ends)?;
    } else if !try_move_one(cx, ends)? {
        wait(cx, ends, until);
    }
    Ok(())
}

fn wait(cx: &mut Cx<'_>, ends: Ends<'_>, until: Option<Instant>) {
    cx.wait_for(WaitFor {
        keys: &[ends.source],
        kind: Kind::List,
        until,
        timed_out: TimedOut::NullArray,
        words: None,
    });
}

/// How many elements are moved, and in which order they arrive.
#[derive(Clone, Copy)]
struct HowMany {
    count: usize,
    /// `EXACTLY`: fewer are none.
    exactly: bool,
    /// `OBO`: one after the other, so that elements pushed at the end from which they were taken
    /// arrive in reverse. Otherwise they keep their order.
    one_by_one: bool,
}

impl HowMany {
    const ONE: Self = Self { count: 1, exactly: false, one_by_one: true };

    /// Reads the words from `index` on, if there are any.
    fn parse(args: Args<'_>, index: usize) -> Result<Self, Error> {
        if args.len() == index {
            return Ok(Self::ONE);
        }
        let exactly = args.is(index, "EXACTLY");
        if args.len() != index + 3 || !exactly && !args.is(index, "COUNT") {
            return Err(Error::Syntax);
        }
        let text = if exactly {
            "ERR exactly should be greater than 0"
        } else {
            "ERR count should be greater than 0"
        };
        let count = positive(args.at(index + 1), text)?;
        let one_by_one = args.is(index + 2, "OBO");
        if !one_by_one && !args.is(index + 2, "BULK") {
            return Err(Error::Syntax);
        }
        Ok(Self { count, exactly, one_by_one })
    }
}

impl HowMany {
    /// Takes elements off a list; they are given in the order in which they will lie in the
    /// destination.
    fn take(self, ends: Ends<'_>, list: &mut List, limits: &Limits) -> Taken {
        let len = list.reader().len();
        let count = self.count.min(len);
        let skip = if ends.from == Side::Front { 0 } else { len - count };
        let mut words = list.reader().walk(Side::Front, skip, count).to_vecs();
        if self.one_by_one && ends.from == ends.to {
            words.reverse();
        }
        Taken { words, dropped: list.remove_end(ends.from, count, limits) }
    }
}

/// What was taken off a list.
struct Taken {
    words: Vec<Vec<u8>>,
    /// What takes long to free.
    dropped: Option<List>,
}

/// Pushes elements so that they lie as they are given.
fn put(list: &mut List, words: &[Vec<u8>], to: Side, limits: &Limits) {
    let words = words.iter().map(Vec::as_slice);
    match to {
        Side::Back => list.push(to, words, limits),
        Side::Front => list.push(to, words.rev(), limits),
    }
}

/// Moves elements; gives them in the order in which they lie in the destination. `None`: there are
/// not enough.
fn transfer(
    cx: &mut Cx<'_>,
    ends: Ends<'_>,
    how_many: HowMany,
) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let limits = limits(cx);
    let Some(source) = cx.find(ends.source) else { return Ok(None) };
    let len = cx.value(source).list()?.len();
    if how_many.exactly && len < how_many.count {
        return Ok(None);
    }
    let is_rotation = ends.source == ends.destination;
    if !is_rotation && let Some(destination) = cx.find(ends.destination) {
        cx.value(destination).list()?;
    }
    let (taken, is_gone) = cx.edit_found(source, |_, list: &mut List| {
        let taken = how_many.take(ends, list, &limits);
        if is_rotation {
            put(list, &taken.words, ends.to, &limits);
        }
        (taken, list.is_empty())
    })?;
    if !is_rotation {
        cx.edit_or_create(ends.destination, |_, list: &mut List| {
            put(list, &taken.words, ends.to, &limits);
        })?;
    }
    if let Some(dropped) = taken.dropped {
        cx.state.keyspace.throw_away(dropped);
    }
    pushed(cx, ends.destination, ends.to);
    popped(cx, ends.source, ends.from, is_gone);
    Ok(Some(taken.words))
}

/// Moves elements and replies with all of them; false: there are not enough, and no reply is
/// written.
fn try_move_some(cx: &mut Cx<'_>, ends: Ends<'_>, how_many: HowMany) -> Result<bool, Error> {
    let moved = transfer(cx, ends, how_many)?;
    if let Some(words) = &moved {
        cx.reply.array(words.len());
        words.iter().for_each(|word| cx.reply.bulk(word));
    }
    Ok(moved.is_some())
}

/// `LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT count|EXACTLY exactly OBO|BULK]`
fn lmovem(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let ends = Ends::parse(args)?;
    if !try_move_some(cx, ends, HowMany::parse(args, 5)?)? {
        cx.reply.null_array();
    }
    Ok(())
}

/// `BLMOVEM source destination LEFT|RIGHT LEFT|RIGHT timeout [COUNT count|EXACTLY exactly
/// OBO|BULK]`
fn blmovem(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let ends = Ends::parse(args)?;
    let until = until_after_secs(cx, args.at(5))?;
    if cx.logs() {
        let head = [b"LMOVEM".as_slice()].into_iter();
        let words = head.chain(args.from(1).take(4)).chain(args.from(6));
        cx.log_as(words.collect::<Vec<_>>());
    }
    if !try_move_some(cx, ends, HowMany::parse(args, 6)?)? {
        wait(cx, ends, until);
    }
    Ok(())
}
