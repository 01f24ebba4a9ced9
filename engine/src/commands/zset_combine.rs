//! Sorted sets: unions, intersections and differences, as replies, as new sets, or only counted.
//! Sets take part as sorted sets whose scores are all 1.

use super::Cx;
use super::arguments::integer;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, one_key};
use super::zset::{double, limits, reply_pairs};
use super::zset_range::store;
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Db, Value};
use crate::value::packed::Element;
use crate::value::set::{self, SetRef};
use crate::value::zset::{Tally, ZsetRef};

/// The keys behind their number.
const fn numbered_keys(number_at: usize) -> KeySpec {
    KeySpec {
        flags: &["RO", "ACCESS"],
        begin: Begin::Index(number_at),
        find: Find::KeyNum { first: 1, step: 1 },
    }
}

/// A row of a command that replies with members.
const SHOW: Command = Command {
    syntax: "numkeys key [key ...] [WEIGHTS weight:double [weight:double ...]] \
        [AGGREGATE (SUM | MIN | MAX | COUNT)] [WITHSCORES]",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[numbered_keys(1)],
    group: Group::SortedSet,
    since: "6.2.0",
    reply: "array<bulk | double | [bulk, double]>",
    ..Command::ROW
};
/// A row of a command that makes a sorted set.
const STORE: Command = Command {
    syntax: "destination:key numkeys key [key ...] [WEIGHTS weight:double [weight:double ...]] \
        [AGGREGATE (SUM | MIN | MAX | COUNT)]",
    arity: -4,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[one_key(&["OW", "UPDATE"]), numbered_keys(2)],
    group: Group::SortedSet,
    since: "2.0.0",
    reply: "integer",
    ..Command::ROW
};

const UNION_COST: &str = "O(N)+O(M*log(M)) where N is the size of all inputs together and M the \
    size of the result.";
const INTERSECTION_COST: &str = "O(N*K)+O(M*log(M)) where N is the size of the smallest input, K \
    the number of inputs and M the size of the result.";
const DIFFERENCE_COST: &str = "O(N*K)+O(M*log(M)) where N is the size of the first input, K the \
    number of inputs and M the size of the result.";

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ZUNION",
        complexity: UNION_COST,
        summary: "Returns the members that are in any of some sorted sets.",
        run: |cx, args| show(cx, args, Operation::Union),
        ..SHOW
    },
    Command {
        name: "ZINTER",
        complexity: INTERSECTION_COST,
        summary: "Returns the members that are in all of some sorted sets.",
        run: |cx, args| show(cx, args, Operation::Intersection),
        ..SHOW
    },
    Command {
        name: "ZDIFF",
        syntax: "numkeys key [key ...] [WITHSCORES]",
        complexity: DIFFERENCE_COST,
        summary: "Returns the members of a sorted set that are in none of some others.",
        run: |cx, args| show(cx, args, Operation::Difference),
        ..SHOW
    },
    Command {
        name: "ZUNIONSTORE",
        complexity: UNION_COST,
        summary: "Makes a sorted set of the members that are in any of some sorted sets.",
        run: |cx, args| make(cx, args, Operation::Union, "zunionstore"),
        ..STORE
    },
    Command {
        name: "ZINTERSTORE",
        complexity: INTERSECTION_COST,
        summary: "Makes a sorted set of the members that are in all of some sorted sets.",
        run: |cx, args| make(cx, args, Operation::Intersection, "zinterstore"),
        ..STORE
    },
    Command {
        name: "ZDIFFSTORE",
        syntax: "destination:key numkeys key [key ...]",
        since: "6.2.0",
        complexity: DIFFERENCE_COST,
        summary: "Makes a sorted set of the members of a sorted set that are in none of some \
            others.",
        run: |cx, args| make(cx, args, Operation::Difference, "zdiffstore"),
        ..STORE
    },
    Command {
        name: "ZINTERCARD",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[numbered_keys(1)],
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(N*K) where N is the size of the smallest input and K the number of inputs.",
        summary: "Counts the members that are in all of some sorted sets, up to a limit.",
        reply: "integer",
        run: zintercard,
        ..Command::ROW
    },
];

/// What is made of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores of a member in several inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
    /// The sum of the weights of the inputs that it is in.
    Count,
}

impl Aggregate {
    /// What one input adds for a member; 0 times infinity is NaN.
    fn weighted(self, score: f64, weight: f64) -> f64 {
        if self == Self::Count { weight } else { weight * score }
    }

    /// Two inputs together. Infinities that cancel out are 0, as in Redis.
    fn join(self, sum: f64, value: f64) -> f64 {
        match self {
            Self::Sum | Self::Count => without_nan(sum + value),
            Self::Min => {
                if value < sum {
                    value
                } else {
                    sum
                }
            }
            Self::Max => {
                if value > sum {
                    value
                } else {
                    sum
                }
            }
        }
    }
}

fn without_nan(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// What a command has besides its keys.
#[derive(Debug)]
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: no limit.
    limit: usize,
}

/// Which options a command may have.
#[derive(Clone, Copy, Debug, Default)]
struct Allowed {
    /// WEIGHTS and AGGREGATE.
    weights: bool,
    with_scores: bool,
    limit: bool,
}

impl Options {
    fn parse(args: Args<'_>, mut index: usize, keys: usize, may: Allowed) -> Result<Self, Error> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        while index < args.len() {
            let left = args.len() - index;
            if may.weights && left > keys && args.is(index, "WEIGHTS") {
                for (weight, word) in options.weights.iter_mut().zip(args.from(index + 1)) {
                    *weight =
                        double(word).ok_or(Error::fixed("ERR weight value is not a float"))?;
                }
                index += 1 + keys;
            } else if may.weights && left >= 2 && args.is(index, "AGGREGATE") {
                options.aggregate = match index + 1 {
                    at if args.is(at, "SUM") => Aggregate::Sum,
                    at if args.is(at, "MIN") => Aggregate::Min,
                    at if args.is(at, "MAX") => Aggregate::Max,
                    at if args.is(at, "COUNT") => Aggregate::Count,
                    _ => return Err(Error::Syntax),
                };
                index += 2;
            } else if may.with_scores && args.is(index, "WITHSCORES") {
                options.with_scores = true;
                index += 1;
            } else if may.limit && left >= 2 && args.is(index, "LIMIT") {
                let limit = integer(args.at(index + 1)).ok();
                options.limit = limit
                    .and_then(|limit| usize::try_from(limit).ok())
                    .ok_or(Error::fixed("ERR LIMIT can't be negative"))?;
                index += 2;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

/// One input.
#[derive(Clone, Copy, Debug)]
struct Input<'a> {
    value: Members<'a>,
    weight: f64,
}

#[derive(Clone, Copy, Debug)]
enum Members<'a> {
    None,
    Zset(ZsetRef<'a>),
    Set(SetRef<'a>),
}

impl<'a> Members<'a> {
    /// The value of a key, which a command has searched before and found to be of the right type.
    fn of(db: &'a Db, key: &[u8]) -> Self {
        match db.find(key).map(|found| db.value(found)) {
            Some(Value::Zset(zset)) => Self::Zset(zset),
            Some(Value::Set(set)) => Self::Set(set),
            _ => Self::None,
        }
    }

    fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Zset(zset) => zset.len(),
            Self::Set(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Zset(zset) => zset.score(member),
            Self::Set(set) => set.contains(set::member(member)).then_some(1.0),
        }
    }

    /// Visits all members until `visit` says that it is enough.
    fn for_each(self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        let mut buffer = itoa::Buffer::new();
        match self {
            Self::None => {}
            Self::Zset(zset) => {
                let mut pairs = zset.iter();
                pairs.all(|(member, score)| visit(member.bytes(&mut buffer), score));
            }
            Self::Set(set) => {
                set.iter().all(|member| visit(member.bytes(&mut buffer), 1.0));
            }
        }
    }
}

/// Reads the command from the number of keys at word `at` on; `finish` gets the inputs and the
/// rest.
fn combine<R>(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    at: usize,
    may: Allowed,
    finish: impl FnOnce(&Cx<'_>, &mut [Input<'_>], &Options) -> R,
) -> Result<(R, Options), Error> {
    let number = integer(args.at(at))?;
    if number < 1 {
        let command = cx.row.full_name;
        return Err(Error::text(format!(
            "ERR at least 1 input key is needed for '{command}' command"
        )));
    }
    let first = at + 1;
    let keys = usize::try_from(number).ok().filter(|&keys| keys <= args.len() - first);
    let keys = keys.ok_or(Error::Syntax)?;
    for key in args.from(first).take(keys) {
        if let Some(found) = cx.find_read(key) {
            match cx.value(found) {
                Value::Zset(_) | Value::Set(_) => {}
                _ => return Err(Error::WrongType),
            }
        }
    }
    let options = Options::parse(args, first + keys, keys, may)?;
    // Searched again: deleting what had expired may have moved what was found.
    let db = cx.state.keyspace.db(cx.session.db);
    let weights = options.weights.iter();
    let mut inputs: Vec<Input<'_>> = args
        .from(first)
        .zip(weights)
        .map(|(key, &weight)| Input { value: Members::of(db, key), weight })
        .collect();
    let result = finish(cx, &mut inputs, &options);
    Ok((result, options))
}

/// The members of the result with their scores.
fn tally(cx: &Cx<'_>, inputs: &mut [Input<'_>], options: &Options, operation: Operation) -> Tally {
    let mut tally = Tally::new(&limits(cx));
    match operation {
        Operation::Union => union(inputs, options.aggregate, &mut tally),
        Operation::Intersection => {
            intersection(inputs, options.aggregate, |member, score| {
                tally.push(member, score);
                true
            });
        }
        Operation::Difference => {
            let (first, others) = inputs.split_first().expect("there is an input");
            first.value.for_each(|member, score| {
                if others.iter().all(|other| other.value.score(member).is_none()) {
                    tally.push(member, score);
                }
                true
            });
        }
    }
    tally
}

fn union(inputs: &mut [Input<'_>], aggregate: Aggregate, tally: &mut Tally) {
    inputs.sort_by_key(|input| input.value.len());
    for input in inputs {
        input.value.for_each(|member, score| {
            let value = without_nan(aggregate.weighted(score, input.weight));
            tally.add(member, value, |sum| aggregate.join(sum, value));
            true
        });
    }
}

/// Visits the members that all inputs have, until `visit` says that it is enough.
fn intersection(
    inputs: &mut [Input<'_>],
    aggregate: Aggregate,
    mut visit: impl FnMut(&[u8], f64) -> bool,
) {
    inputs.sort_by_key(|input| input.value.len());
    let (first, others) = inputs.split_first().expect("there is an input");
    first.value.for_each(|member, score| {
        let mut sum = without_nan(aggregate.weighted(score, first.weight));
        for other in others {
            let Some(score) = other.value.score(member) else { return true };
            // NaN counts as 0 only in the first input: Redis does so.
            sum = aggregate.join(sum, aggregate.weighted(score, other.weight));
        }
        visit(member, sum)
    });
}

/// `ZUNION numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE ...] [WITHSCORES]`
fn show(cx: &mut Cx<'_>, args: Args<'_>, operation: Operation) -> Result<(), Error> {
    let weights = operation != Operation::Difference;
    let may = Allowed { weights, with_scores: true, ..Allowed::default() };
    let (mut tally, options) =
        combine(cx, args, 1, may, |cx, inputs, options| tally(cx, inputs, options, operation))?;
    tally.sort();
    let pairs = tally.iter().map(|(member, score)| (Element::Bytes(member), score));
    reply_pairs(cx.reply, tally.len(), options.with_scores, pairs);
    Ok(())
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE ...]`
fn make(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    operation: Operation,
    event: &'static str,
) -> Result<(), Error> {
    let weights = operation != Operation::Difference;
    let may = Allowed { weights, ..Allowed::default() };
    let (zset, _) = combine(cx, args, 2, may, |cx, inputs, options| {
        tally(cx, inputs, options, operation).into_zset(&limits(cx))
    })?;
    store(cx, args.at(1), zset, event);
    Ok(())
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
fn zintercard(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let may = Allowed { limit: true, ..Allowed::default() };
    let (count, _) = combine(cx, args, 1, may, |_, inputs, options| {
        let mut count = 0;
        intersection(inputs, Aggregate::Count, |_, _| {
            count += 1;
            count != options.limit
        });
        count
    })?;
    cx.reply.count(count);
    Ok(())
}
