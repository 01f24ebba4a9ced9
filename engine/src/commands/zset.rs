//! Sorted sets: adding and removing members, and their scores.

use super::Cx;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::resp::{Protocol, Reply};
use crate::value::collection::Collection;
use crate::value::number::parse_integer;
use crate::value::packed::Element;
use crate::value::strtod::strtod;
use crate::value::zset::{Limits, Zset};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ZADD",
        syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score:double member [score:double member ...]",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[one_key(&["RW", "UPDATE"])],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)) for each member, where N is the size of the sorted set.",
        summary: "Adds members with scores to a sorted set or changes the scores of some.",
        reply: "integer | double | null",
        run: |cx, args| add(cx, args, Options::default()),
        ..Command::ROW
    },
    Command {
        name: "ZINCRBY",
        syntax: "key increment member",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "UPDATE"])],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)) where N is the size of the sorted set.",
        summary: "Adds to the score of a member; one that is not there has the score 0.",
        reply: "double | null",
        run: |cx, args| add(cx, args, Options { increments: true, ..Options::default() }),
        ..Command::ROW
    },
    Command {
        name: "ZREM",
        syntax: "key member [member ...]",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "DELETE"])],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(M*log(N)) where N is the size of the sorted set and M the number of \
            members.",
        summary: "Removes members from a sorted set.",
        reply: "integer",
        run: zrem,
        ..Command::ROW
    },
    Command {
        name: "ZCARD",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO"])],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Returns the number of members of a sorted set.",
        reply: "integer",
        run: zcard,
        ..Command::ROW
    },
    Command {
        name: "ZSCORE",
        syntax: "key member",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Returns the score of a member of a sorted set.",
        reply: "double | null",
        run: zscore,
        ..Command::ROW
    },
    Command {
        name: "ZMSCORE",
        syntax: "key member [member ...]",
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N) where N is the number of members asked for.",
        summary: "Returns the scores of members of a sorted set.",
        reply: "array<double | null>",
        run: zmscore,
        ..Command::ROW
    },
];

/// What decides the form of sorted sets.
pub(super) fn limits(cx: &Cx<'_>) -> Limits {
    let encodings = &cx.state.config.encodings;
    Limits {
        entries: encodings.zset_entries,
        value_bytes: encodings.zset_value_bytes,
        hash_key: cx.state.hash_key,
    }
}

/// A double as a client gives it. It may be infinite, not NaN.
#[inline]
pub(super) fn double(word: &[u8]) -> Option<f64> {
    if let Some(value) = parse_integer(word) {
        return Some(value as f64);
    }
    if matches!(word.first(), None | Some(b' ' | b'\t'..=b'\r')) {
        return None;
    }
    let read = strtod(word);
    let is_rounded_away = read.is_out_of_range && (read.value.is_infinite() || read.value == 0.0);
    (read.len == word.len() && !read.value.is_nan() && !is_rounded_away).then_some(read.value)
}

/// Replies with members in a row, with their scores if asked for: in RESP3 as pairs.
pub(super) fn reply_pairs<'a>(
    reply: &mut Reply,
    len: usize,
    with_scores: bool,
    pairs: impl Iterator<Item = (Element<'a>, f64)>,
) {
    if !with_scores {
        reply.array(len);
        pairs.for_each(|(member, _)| member.reply(reply));
        return;
    }
    let has_pairs = reply.protocol == Protocol::Resp3;
    reply.array(if has_pairs { len } else { 2 * len });
    for (member, score) in pairs {
        if has_pairs {
            reply.array(2);
        }
        member.reply(reply);
        reply.double(score);
    }
}

/// The options of ZADD.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    /// `NX`
    only_new: bool,
    /// `XX`
    only_old: bool,
    /// `GT`
    only_greater: bool,
    /// `LT`
    only_less: bool,
    /// `CH`
    counts_changes: bool,
    /// `INCR`
    increments: bool,
}

impl Options {
    /// Takes a word, if it is an option.
    fn take(&mut self, args: Args<'_>, index: usize) -> bool {
        let options = [
            ("NX", &mut self.only_new),
            ("XX", &mut self.only_old),
            ("CH", &mut self.counts_changes),
            ("INCR", &mut self.increments),
            ("GT", &mut self.only_greater),
            ("LT", &mut self.only_less),
        ];
        let found = options.into_iter().find(|(word, _)| args.is(index, word));
        found.map(|(_, option)| *option = true).is_some()
    }

    fn check(self, pairs: usize) -> Result<(), Error> {
        let Self { only_new, only_old, only_greater, only_less, .. } = self;
        if only_new && only_old {
            return Err(Error::fixed("ERR XX and NX options at the same time are not compatible"));
        }
        if (only_greater || only_less) && only_new || only_greater && only_less {
            return Err(Error::fixed(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increments && pairs > 1 {
            return Err(Error::fixed("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// What becomes of a member that has the score `old`, when it is given `score`.
    #[inline]
    fn decide(self, old: Option<f64>, score: f64) -> Decision {
        let Some(old) = old else {
            return if self.only_old { Decision::Leave } else { Decision::Set(score) };
        };
        if self.only_new {
            return Decision::Leave;
        }
        let score = if self.increments { old + score } else { score };
        if score.is_nan() {
            return Decision::NotANumber;
        }
        if self.only_less && score >= old || self.only_greater && score <= old {
            return Decision::Leave;
        }
        Decision::Set(score)
    }
}

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Decision {
    /// The options spare it.
    Leave,
    /// It gets a score, which may be the one that it has.
    Set(f64),
    /// It would get a score that is none.
    NotANumber,
}

/// What ZADD has done.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    added: usize,
    updated: usize,
    /// The score of the last member that the options did not spare.
    score: Option<f64>,
    is_not_a_number: bool,
}

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]` and
/// `ZINCRBY key increment member`, which is the same with one option set.
fn add(cx: &mut Cx<'_>, args: Args<'_>, mut options: Options) -> Result<(), Error> {
    let mut index = 2;
    while options.take(args, index) {
        index += 1;
    }
    let words = args.len() - index;
    if words == 0 || words % 2 == 1 {
        return Err(Error::Syntax);
    }
    options.check(words / 2)?;
    let pairs = || (index..args.len()).step_by(2).map(|at| (args.at(at), args.at(at + 1)));
    for (score, _) in pairs() {
        double(score).ok_or(Error::NotAFloat)?;
    }
    let (key, limits) = (args.at(1), limits(cx));
    let done = cx.edit_or_create(key, |_, zset: &mut Zset| {
        let mut done = Done::default();
        for (score, member) in pairs() {
            let score = double(score).expect("it was read before");
            put(zset, &limits, options, member, score, &mut done);
        }
        done
    })?;
    if done.is_not_a_number {
        return Err(Error::fixed("ERR resulting score is not a number (NaN)"));
    }
    match (options.increments, done.score) {
        (true, Some(score)) => cx.reply.double(score),
        (true, None) => cx.reply.null(),
        (false, _) if options.counts_changes => cx.reply.count(done.added + done.updated),
        (false, _) => cx.reply.count(done.added),
    }
    if done.added + done.updated > 0 {
        cx.changed(key, if options.increments { "zincr" } else { "zadd" });
    }
    Ok(())
}

fn put(
    zset: &mut Zset,
    limits: &Limits,
    options: Options,
    member: &[u8],
    score: f64,
    done: &mut Done,
) {
    zset.update(limits, member, |old| match options.decide(old, score) {
        Decision::Leave => None,
        Decision::NotANumber => {
            done.is_not_a_number = true;
            None
        }
        Decision::Set(new) => {
            done.score = Some(new);
            match old {
                None => done.added += 1,
                Some(old) => done.updated += usize::from(old != new),
            }
            Some(new)
        }
    });
}

/// `ZREM key member [member ...]`
fn zrem(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let removed = cx.edit(key, |_, zset: &mut Zset| {
        let removed = args.from(2).filter(|member| zset.remove(member).is_some()).count();
        (removed, zset.is_empty())
    })?;
    let (removed, is_gone) = removed.unwrap_or_default();
    cx.reply.count(removed);
    if removed > 0 {
        cx.changed(key, "zrem");
    }
    if is_gone {
        cx.changed(key, "del");
    }
    Ok(())
}

/// `ZCARD key`
fn zcard(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let len = match cx.find_read(args.at(1)) {
        Some(found) => cx.value(found).zset()?.len(),
        None => 0,
    };
    cx.reply.count(len);
    Ok(())
}

/// `ZSCORE key member`
fn zscore(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let score = match cx.find_read(args.at(1)) {
        Some(found) => cx.value(found).zset()?.score(args.at(2)),
        None => None,
    };
    reply_score(cx.reply, score);
    Ok(())
}

/// `ZMSCORE key member [member ...]`
fn zmscore(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let zset = match cx.find_read(args.at(1)) {
        Some(found) => Some(cx.state.keyspace.db(cx.session.db).value(found).zset()?),
        None => None,
    };
    cx.reply.array(args.len() - 2);
    for member in args.from(2) {
        reply_score(cx.reply, zset.and_then(|zset| zset.score(member)));
    }
    Ok(())
}

fn reply_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_as_redis_does() {
        for (text, value) in [
            ("1", Some(1.0)),
            ("-0", Some(-0.0)),
            ("+1.5", Some(1.5)),
            ("0x10", Some(16.0)),
            ("1e308", Some(1e308)),
            ("4e-320", Some(4e-320)),
            ("1e400", None),
            ("1e-400", None),
            ("-Inf", Some(f64::NEG_INFINITY)),
            ("infinity", Some(f64::INFINITY)),
            ("nan", None),
            ("", None),
            (" 1", None),
            ("1 ", None),
            ("1x", None),
            ("9223372036854775807", Some(9_223_372_036_854_775_807.0)),
        ] {
            let read = double(text.as_bytes());
            assert_eq!(read.map(f64::to_bits), value.map(f64::to_bits), "{text:?}");
        }
    }
}
