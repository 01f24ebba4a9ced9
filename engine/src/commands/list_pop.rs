//! Taking elements off the ends of lists, at once or as soon as there are some.

use super::Cx;
use super::arguments::{integer, until_after_secs};
use super::list::limits;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;
use crate::session::{Kind, TimedOut, WaitFor};
use crate::time::Instant;
use crate::value::collection::Collection;
use crate::value::list::{List, Side};

const POP: Command = Command {
    syntax: "key [count]",
    arity: -2,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[one_key(&["RW", "ACCESS", "DELETE"])],
    group: Group::List,
    complexity: "O(N) where N is the number of elements returned.",
    reply: "bulk | null | array<bulk>",
    ..Command::ROW
};

const BLOCKING_POP: Command = Command {
    syntax: "key [key ...] timeout:double",
    arity: -3,
    flags: Flags::WRITE.and(Flags::BLOCKING),
    keys: &[KeySpec {
        flags: &["RW", "ACCESS", "DELETE"],
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1 },
    }],
    group: Group::List,
    since: "2.0.0",
    complexity: "O(N) where N is the number of keys.",
    reply: "null | [bulk, bulk]",
    ..Command::ROW
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "LPOP",
        summary: "Takes the first element off a list, or so many.",
        run: |cx, args| pop(cx, args, Side::Front),
        ..POP
    },
    Command {
        name: "RPOP",
        summary: "Takes the last element off a list, or so many.",
        run: |cx, args| pop(cx, args, Side::Back),
        ..POP
    },
    Command {
        name: "LMPOP",
        syntax: "numkeys key [key ...] (LEFT | RIGHT) [COUNT count]",
        arity: -4,
        flags: Flags::WRITE,
        keys: &[KeySpec {
            flags: &["RW", "ACCESS", "DELETE"],
            begin: Begin::Index(1),
            find: Find::KeyNum { first: 1, step: 1 },
        }],
        group: Group::List,
        since: "7.0.0",
        complexity: "O(N+M) where N is the number of keys and M the number of elements returned.",
        summary: "Takes elements off the first of some lists that is there.",
        reply: "null | [bulk, array<bulk>]",
        run: multi_pop,
        ..Command::ROW
    },
    Command {
        name: "BLPOP",
        summary: "Takes the first element off the first of some lists that is there, or waits \
            for one.",
        run: |cx, args| blocking_pop(cx, args, Side::Front),
        ..BLOCKING_POP
    },
    Command {
        name: "BRPOP",
        summary: "Takes the last element off the first of some lists that is there, or waits for \
            one.",
        run: |cx, args| blocking_pop(cx, args, Side::Back),
        ..BLOCKING_POP
    },
    Command {
        name: "BLMPOP",
        syntax: "timeout:double numkeys key [key ...] (LEFT | RIGHT) [COUNT count]",
        arity: -5,
        flags: Flags::WRITE.and(Flags::BLOCKING),
        keys: &[KeySpec {
            flags: &["RW", "ACCESS", "DELETE"],
            begin: Begin::Index(2),
            find: Find::KeyNum { first: 1, step: 1 },
        }],
        group: Group::List,
        since: "7.0.0",
        complexity: "O(N+M) where N is the number of keys and M the number of elements returned.",
        summary: "Takes elements off the first of some lists that is there, or waits for one.",
        reply: "null | [bulk, array<bulk>]",
        run: blocking_multi_pop,
        ..Command::ROW
    },
];

/// Says that elements were taken off an end of a list, which may have gone with them.
pub(super) fn popped(cx: &mut Cx<'_>, key: &[u8], side: Side, is_gone: bool) {
    let event = match side {
        Side::Front => "lpop",
        Side::Back => "rpop",
    };
    cx.changed(key, event);
    if is_gone {
        cx.changed(key, "del");
    }
}

/// How the log spells that elements are taken off an end.
fn pop_word(side: Side) -> &'static [u8] {
    match side {
        Side::Front => b"LPOP",
        Side::Back => b"RPOP",
    }
}

/// Replies with one element of a found list and takes it off.
fn pop_one(cx: &mut Cx<'_>, key: &[u8], found: Found, side: Side) -> Result<(), Error> {
    let limits = limits(cx);
    let is_gone = cx.edit_found(found, |cx, list: &mut List| {
        list.reader().walk(side, 0, 1).for_each(|element| element.reply(cx.reply));
        list.remove_end(side, 1, &limits);
        list.is_empty()
    })?;
    popped(cx, key, side, is_gone);
    Ok(())
}

/// Replies with an array of elements of a found list and takes them off.
fn pop_some(
    cx: &mut Cx<'_>,
    key: &[u8],
    found: Found,
    side: Side,
    count: usize,
) -> Result<(), Error> {
    let limits = limits(cx);
    let (removed, is_gone) = cx.edit_found(found, |cx, list: &mut List| {
        let count = count.min(list.reader().len());
        cx.reply.array(count);
        list.reader().walk(side, 0, count).for_each(|element| element.reply(cx.reply));
        (list.remove_end(side, count, &limits), list.is_empty())
    })?;
    if let Some(removed) = removed {
        cx.state.keyspace.throw_away(removed);
    }
    popped(cx, key, side, is_gone);
    Ok(())
}

/// `LPOP key [count]`, `RPOP key [count]`
fn pop(cx: &mut Cx<'_>, args: Args<'_>, side: Side) -> Result<(), Error> {
    let key = args.at(1);
    if args.len() > 3 {
        return Err(Error::WrongArity(cx.row.full_name));
    }
    let count = match args.opt(2) {
        None => None,
        Some(word) => {
            let count = integer(word).ok().and_then(|count| usize::try_from(count).ok());
            let text = "ERR value is out of range, must be positive";
            Some(count.ok_or_else(|| Error::fixed(text))?)
        }
    };
    match (cx.find(key), count) {
        (None, None) => cx.reply.null(),
        (None, Some(_)) => cx.reply.null_array(),
        (Some(found), None) => pop_one(cx, key, found, side)?,
        (Some(found), Some(0)) => {
            cx.value(found).list()?;
            cx.reply.array(0);
        }
        (Some(found), Some(count)) => pop_some(cx, key, found, side, count)?,
    }
    Ok(())
}

/// An end of a list.
pub(super) fn side(args: Args<'_>, index: usize) -> Result<Side, Error> {
    if args.is(index, "LEFT") {
        Ok(Side::Front)
    } else if args.is(index, "RIGHT") {
        Ok(Side::Back)
    } else {
        Err(Error::Syntax)
    }
}

/// A number above zero, or an error of this text.
pub(super) fn positive(word: &[u8], text: &'static str) -> Result<usize, Error> {
    let number = integer(word).ok().and_then(|number| usize::try_from(number).ok());
    number.filter(|&number| number > 0).ok_or_else(|| Error::fixed(text))
}

/// What LMPOP and BLMPOP ask for.
struct MultiPop<'a> {
    keys: Vec<&'a [u8]>,
    side: Side,
    count: usize,
}

impl<'a> MultiPop<'a> {
    /// Reads the words from the number of keys on.
    fn parse(args: Args<'a>, number: usize) -> Result<Self, Error> {
        let len = positive(args.at(number), "ERR numkeys should be greater than 0")?;
        let side_index = len.saturating_add(number + 1);
        let side = side(args, side_index)?;
        let keys = args.from(number + 1).take(len).collect();
        let mut multi_pop = Self { keys, side, count: 1 };
        match args.len() - side_index - 1 {
            0 => {}
            1 => return Err(Error::Syntax),
            rest => {
                if !args.is(side_index + 1, "COUNT") {
                    return Err(Error::Syntax);
                }
                let word = args.at(side_index + 2);
                multi_pop.count = positive(word, "ERR count should be greater than 0")?;
                if rest > 2 {
                    return Err(Error::Syntax);
                }
            }
        }
        Ok(multi_pop)
    }

    /// Takes elements off the first list that is there; false: there is none.
    fn serve(&self, cx: &mut Cx<'_>) -> Result<bool, Error> {
        for key in &self.keys {
            if let Some(found) = cx.find(key) {
                let len = cx.value(found).list()?.len();
                cx.reply.array(2);
                cx.reply.bulk(key);
                pop_some(cx, key, found, self.side, self.count)?;
                let mut digits = itoa::Buffer::new();
                let count = digits.format(self.count.min(len)).as_bytes();
                cx.log_as([pop_word(self.side), key, count]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]`
fn multi_pop(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !MultiPop::parse(args, 1)?.serve(cx)? {
        cx.reply.null_array();
    }
    Ok(())
}

/// `BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]`
fn blocking_multi_pop(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let multi_pop = MultiPop::parse(args, 2)?;
    let until = until_after_secs(cx, args.at(1))?;
    if !multi_pop.serve(cx)? {
        wait(cx, &multi_pop.keys, until);
    }
    Ok(())
}

/// `BLPOP key [key ...] timeout`, `BRPOP key [key ...] timeout`
fn blocking_pop(cx: &mut Cx<'_>, args: Args<'_>, side: Side) -> Result<(), Error> {
    let last = args.len() - 1;
    let until = until_after_secs(cx, args.at(last))?;
    let keys = args.from(1).take(last - 1);
    for key in keys.clone() {
        if let Some(found) = cx.find(key) {
            cx.reply.array(2);
            cx.reply.bulk(key);
            cx.log_as([pop_word(side), key]);
            return pop_one(cx, key, found, side);
        }
    }
    let keys: Vec<&[u8]> = keys.collect();
    wait(cx, &keys, until);
    Ok(())
}

fn wait(cx: &mut Cx<'_>, keys: &[&[u8]], until: Option<Instant>) {
    let timed_out = TimedOut::NullArray;
    cx.wait_for(WaitFor { keys, kind: Kind::List, until, timed_out, words: None });
}
