//! Lists: pushing, reading and changing elements at their places.
//!
//! Taking elements off has its own file ([`super::list_pop`]), and so has moving them from list to
//! list ([`super::list_move`]).

use core::ops::ControlFlow;

use super::Cx;
use super::arguments::integer;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::value::collection::Collection;
use crate::value::list::{Limits, List, ListRef, Side, element_of};

const PUSH: Command = Command {
    syntax: "key element [element ...]",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: &[one_key(&["RW", "INSERT"])],
    group: Group::List,
    complexity: "O(N) where N is the number of elements pushed.",
    reply: "integer",
    ..Command::ROW
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "LPUSH",
        summary: "Puts elements before the first one of a list, one after the other; a key that \
            does not exist is an empty list.",
        run: |cx, args| push(cx, args, Side::Front),
        ..PUSH
    },
    Command {
        name: "RPUSH",
        summary: "Puts elements behind the last one of a list; a key that does not exist is an \
            empty list.",
        run: |cx, args| push(cx, args, Side::Back),
        ..PUSH
    },
    Command {
        name: "LPUSHX",
        since: "2.2.0",
        summary: "Puts elements before the first one of a list, if there is a list.",
        run: |cx, args| push_to_existing(cx, args, Side::Front),
        ..PUSH
    },
    Command {
        name: "RPUSHX",
        since: "2.2.0",
        summary: "Puts elements behind the last one of a list, if there is a list.",
        run: |cx, args| push_to_existing(cx, args, Side::Back),
        ..PUSH
    },
    Command {
        name: "LLEN",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO"])],
        group: Group::List,
        summary: "Returns the length of a list.",
        reply: "integer",
        run: len,
        ..Command::ROW
    },
    Command {
        name: "LINDEX",
        syntax: "key index:integer",
        arity: 3,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::List,
        complexity: "O(N) where N is the number of nodes of some kilobytes between the element \
            and the nearer end.",
        summary: "Returns the element at an index, from the end if it is negative.",
        reply: "bulk | null",
        run: index,
        ..Command::ROW
    },
    Command {
        name: "LRANGE",
        syntax: "key start stop",
        arity: 4,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::List,
        complexity: "O(N) where N is the number of elements returned, and the way to the first \
            as with LINDEX.",
        summary: "Returns the elements between two indexes, both included.",
        reply: "array<bulk>",
        run: range,
        ..Command::ROW
    },
    Command {
        name: "LSET",
        syntax: "key index:integer element",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "UPDATE"])],
        group: Group::List,
        complexity: "As LINDEX.",
        summary: "Gives the element at an index another value.",
        reply: "ok",
        run: set,
        ..Command::ROW
    },
    Command {
        name: "LINSERT",
        syntax: "key (BEFORE | AFTER) pivot element",
        arity: 5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "INSERT"])],
        group: Group::List,
        since: "2.2.0",
        complexity: "O(N) where N is the number of elements before the pivot.",
        summary: "Puts an element before or behind the first one that equals the pivot.",
        reply: "integer",
        run: insert,
        ..Command::ROW
    },
    Command {
        name: "LREM",
        syntax: "key count element",
        arity: 4,
        flags: Flags::WRITE,
        keys: &[one_key(&["RW", "DELETE"])],
        group: Group::List,
        complexity: "O(N) where N is the length of the list.",
        summary: "Removes elements of a value: so many from the head, from the tail if the count \
            is negative, all if it is 0.",
        reply: "integer",
        run: remove,
        ..Command::ROW
    },
    Command {
        name: "LTRIM",
        syntax: "key start stop",
        arity: 4,
        flags: Flags::WRITE,
        keys: &[one_key(&["RW", "DELETE"])],
        group: Group::List,
        complexity: "O(N) where N is the number of nodes removed; their memory is given back in \
            later steps.",
        summary: "Removes the elements outside of two indexes.",
        reply: "ok",
        run: trim,
        ..Command::ROW
    },
    Command {
        name: "LPOS",
        syntax: "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::List,
        since: "6.0.6",
        complexity: "O(N) where N is the length of the list, or MAXLEN.",
        summary: "Returns the indexes of elements of a value.",
        reply: "integer | null | array<integer>",
        run: position,
        ..Command::ROW
    },
];

/// The limits of the forms of lists.
pub(super) fn limits(cx: &Cx<'_>) -> Limits {
    let encodings = &cx.state.config.encodings;
    let limits = Limits::new(encodings.list_node_size).compressing(encodings.list_compress_depth);
    match cx.state.list_element_bytes {
        Some(bytes) => limits.with_long_elements(bytes),
        None => limits,
    }
}

/// The list at a key that is read; `None`: there is none.
fn read<'a>(cx: &'a mut Cx<'_>, key: &[u8]) -> Result<Option<ListRef<'a>>, Error> {
    let Some(found) = cx.find_read(key) else { return Ok(None) };
    cx.state.keyspace.db(cx.session.db).value(found).list().map(Some)
}

/// The index that a word means: negative ones count from the end. It may be outside of the list.
fn from_start(index: i64, len: usize) -> i64 {
    if index < 0 { index.saturating_add_unsigned(len as u64) } else { index }
}

/// The index of an element, if it is there.
fn inside(index: i64, len: usize) -> Option<usize> {
    usize::try_from(from_start(index, len)).ok().filter(|&index| index < len)
}

/// The elements between two indexes, as the first and how many there are.
fn bounds(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let first = from_start(start, len).max(0) as usize;
    let last = from_start(stop, len);
    let end = usize::try_from(last).map_or(0, |last| last.saturating_add(1).min(len));
    (first.min(end), end.saturating_sub(first))
}

fn push_event(side: Side) -> &'static str {
    match side {
        Side::Front => "lpush",
        Side::Back => "rpush",
    }
}

/// Says that elements were pushed at an end of a list.
pub(super) fn pushed(cx: &mut Cx<'_>, key: &[u8], side: Side) {
    cx.changed(key, push_event(side));
}

/// `LPUSH key element ...`, `RPUSH key element ...`
fn push(cx: &mut Cx<'_>, args: Args<'_>, side: Side) -> Result<(), Error> {
    let (key, limits) = (args.at(1), limits(cx));
    let len = cx.edit_or_create(key, |_, list: &mut List| {
        list.push(side, args.from(2), &limits);
        list.reader().len()
    })?;
    pushed(cx, key, side);
    cx.reply.count(len);
    Ok(())
}

/// `LPUSHX key element ...`, `RPUSHX key element ...`
fn push_to_existing(cx: &mut Cx<'_>, args: Args<'_>, side: Side) -> Result<(), Error> {
    let (key, limits) = (args.at(1), limits(cx));
    let len = cx.edit(key, |_, list: &mut List| {
        list.push(side, args.from(2), &limits);
        list.reader().len()
    })?;
    if len.is_some() {
        pushed(cx, key, side);
    }
    cx.reply.count(len.unwrap_or(0));
    Ok(())
}

/// `LLEN key`
fn len(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let len = read(cx, args.at(1))?.map_or(0, ListRef::len);
    cx.reply.count(len);
    Ok(())
}

/// `LINDEX key index`; as in Redis the index is read only if there is a list.
fn index(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.null();
        return Ok(());
    };
    let list = cx.state.keyspace.db(cx.session.db).value(found).list()?;
    let index = inside(integer(args.at(2))?, list.len());
    let shown = index.and_then(|index| list.with_element(index, |it| it.reply(cx.reply)));
    if shown.is_none() {
        cx.reply.null();
    }
    Ok(())
}

/// `LRANGE key start stop`
fn range(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (start, stop) = (integer(args.at(2))?, integer(args.at(3))?);
    let Some(found) = cx.find_read(args.at(1)) else {
        cx.reply.array(0);
        return Ok(());
    };
    let list = cx.state.keyspace.db(cx.session.db).value(found).list()?;
    let (first, count) = bounds(start, stop, list.len());
    cx.reply.array(count);
    list.walk(Side::Front, first, count).for_each(|element| element.reply(cx.reply));
    Ok(())
}

/// `LSET key index element`
fn set(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, limits) = (args.at(1), limits(cx));
    let found = cx.find(key).ok_or(Error::NoSuchKey)?;
    let len = cx.value(found).list()?.len();
    let index = inside(integer(args.at(2))?, len).ok_or(Error::OutOfRange)?;
    cx.edit_found(found, |_, list: &mut List| list.set(index, args.at(3), &limits))?;
    cx.changed(key, "lset");
    cx.reply.ok();
    Ok(())
}

/// `LINSERT key BEFORE|AFTER pivot element`; -1: there is no such pivot.
fn insert(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, limits) = (args.at(1), limits(cx));
    let behind = args.is(2, "AFTER");
    if !behind && !args.is(2, "BEFORE") {
        return Err(Error::Syntax);
    }
    let Some(found) = cx.find(key) else {
        cx.reply.integer(0);
        return Ok(());
    };
    let list = cx.value(found).list()?;
    let pivot = element_of(args.at(3));
    let Some(index) = list.elements().position(|element| element == pivot) else {
        cx.reply.integer(-1);
        return Ok(());
    };
    let len = list.len() + 1;
    cx.edit_found(found, |_, list: &mut List| {
        list.insert(index + usize::from(behind), args.at(4), &limits);
    })?;
    cx.changed(key, "linsert");
    cx.reply.count(len);
    Ok(())
}

/// `LREM key count element`
fn remove(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, limits) = (args.at(1), limits(cx));
    let count = integer(args.at(2))?;
    let side = if count < 0 { Side::Back } else { Side::Front };
    let max = match count.unsigned_abs() {
        0 => usize::MAX,
        max => usize::try_from(max).unwrap_or(usize::MAX),
    };
    let removed = cx.edit(key, |_, list: &mut List| {
        let removed = list.remove_equal(args.at(3), side, max, &limits);
        (removed, list.is_empty())
    })?;
    let (removed, is_gone) = removed.unwrap_or_default();
    if removed > 0 {
        cx.changed(key, "lrem");
    }
    if is_gone {
        cx.changed(key, "del");
    }
    cx.reply.count(removed);
    Ok(())
}

/// `LTRIM key start stop`
fn trim(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, limits) = (args.at(1), limits(cx));
    let (start, stop) = (integer(args.at(2))?, integer(args.at(3))?);
    let trimmed = cx.edit(key, |_, list: &mut List| {
        let len = list.reader().len();
        let (first, count) = bounds(start, stop, len);
        let before = if count == 0 { len } else { first };
        let removed = [
            list.remove_end(Side::Front, before, &limits),
            list.remove_end(Side::Back, len - before - count, &limits),
        ];
        (removed, list.is_empty())
    })?;
    if let Some((removed, is_gone)) = trimmed {
        removed.into_iter().flatten().for_each(|list| cx.state.keyspace.throw_away(list));
        cx.changed(key, "ltrim");
        if is_gone {
            cx.changed(key, "del");
        }
    }
    cx.reply.ok();
    Ok(())
}

/// The options of LPOS.
#[derive(Debug)]
struct Search {
    /// Which match is the first that counts; from the end if it is negative.
    rank: i64,
    /// How many are asked for; 0: all. `None`: one, and not as an array.
    count: Option<usize>,
    /// How many elements are looked at; 0: all.
    len_max: usize,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let mut search = Self { rank: 1, count: None, len_max: 0 };
        let natural = |word: &[u8], text: &'static str| {
            let number = integer(word).ok().and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| Error::fixed(text))
        };
        for index in (3..args.len()).step_by(2) {
            let word = args.opt(index + 1).ok_or(Error::Syntax)?;
            if args.is(index, "RANK") {
                search.rank = rank(word)?;
            } else if args.is(index, "COUNT") {
                search.count = Some(natural(word, "ERR COUNT can't be negative")?);
            } else if args.is(index, "MAXLEN") {
                search.len_max = natural(word, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(search)
    }

    /// Shows the indexes of the elements that equal `wanted`.
    fn for_each_match(&self, list: ListRef<'_>, wanted: &[u8], mut show: impl FnMut(usize)) {
        let side = if self.rank < 0 { Side::Back } else { Side::Front };
        let (len, wanted) = (list.len(), element_of(wanted));
        let looks = if self.len_max == 0 { usize::MAX } else { self.len_max };
        let mut skip = usize::try_from(self.rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
        let mut count = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let mut passed = 0;
        let _: ControlFlow<()> = list.walk(side, 0, looks).try_for_each(|element| {
            if element == wanted {
                match skip.checked_sub(1) {
                    Some(rest) => skip = rest,
                    None => {
                        show(if side == Side::Back { len - 1 - passed } else { passed });
                        count -= 1;
                    }
                }
            }
            passed += 1;
            if count == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

fn rank(word: &[u8]) -> Result<i64, Error> {
    match integer(word)? {
        0 => Err(Error::fixed(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
             or use negative to start from the end of the list",
        )),
        i64::MIN => {
            let (min, max) = (-i64::MAX, i64::MAX);
            let text = format!("ERR value is out of range, value must between {min} and {max}");
            Err(Error::text(text))
        }
        rank => Ok(rank),
    }
}

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`
fn position(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let search = Search::parse(args)?;
    let found = cx.find_read(args.at(1));
    let list = match found {
        Some(found) => Some(cx.state.keyspace.db(cx.session.db).value(found).list()?),
        None => None,
    };
    let (mut first, mut all) = (None, Vec::new());
    if let Some(list) = list {
        search.for_each_match(list, args.at(2), |index| match search.count {
            None => first = Some(index),
            Some(_) => all.push(index),
        });
    }
    match (search.count, first) {
        (Some(_), _) => {
            cx.reply.array(all.len());
            all.into_iter().for_each(|index| cx.reply.count(index));
        }
        (None, Some(index)) => cx.reply.count(index),
        (None, None) => cx.reply.null(),
    }
    Ok(())
}
