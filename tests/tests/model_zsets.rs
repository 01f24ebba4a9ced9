//! Every command of sorted sets against sorted vectors: random sequences over few keys, with
//! encodings forced small and big and time passing.

use std::collections::{BTreeMap, BTreeSet};

use orrery_tests::model::run;
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

const SCORES: &[f64] = &[
    f64::NEG_INFINITY,
    -3.0,
    -0.25,
    -0.0,
    0.0,
    0.5,
    1.0,
    1.0,
    1.0,
    2.0,
    70_000.0,
    1e17,
    f64::INFINITY,
];
const WEIGHTS: &[f64] = &[1.0, 2.0, 0.0, -1.0, 0.5, f64::INFINITY];
/// A key that holds a string.
const STRING: Key = 9;
/// A key that holds the set of [`PLAIN_MEMBERS`].
const PLAIN_SET: Key = 8;
const PLAIN_MEMBERS: &[&[u8]] = &[b"m0", b"m3", b"7", b"other"];

type Key = u8;
type Member = u8;
type Pairs = Vec<(Vec<u8>, f64)>;

/// One end of a range: what it is, and whether that is excluded.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Score(f64, bool),
    Name(Member, bool),
    First,
    Last,
}

#[derive(Clone, Copy, Debug)]
enum Bounds {
    Ranks(i64, i64),
    Scores(Bound, Bound),
    Names(Bound, Bound),
}

#[derive(Clone, Copy, Debug)]
struct Query {
    key: Key,
    bounds: Bounds,
    is_reverse: bool,
    limit: Option<(i64, i64)>,
    with_scores: bool,
    /// ZREVRANGEBYSCORE instead of ZRANGE with options.
    has_old_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Combination {
    Union,
    Inter,
    Diff,
}

#[derive(Clone, Debug)]
struct Combine {
    combination: Combination,
    target: Option<Key>,
    keys: Vec<Key>,
    weights: Option<Vec<f64>>,
    aggregate: Option<&'static str>,
    with_scores: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Add {
        key: Key,
        options: Vec<&'static str>,
        pairs: Vec<(f64, Member)>,
    },
    IncrBy(Key, f64, Member),
    Rem(Key, Vec<Member>),
    Card(Key),
    MScore(Key, Vec<Member>),
    Rank {
        key: Key,
        member: Member,
        is_reverse: bool,
        with_score: bool,
    },
    Count(Key, Bounds),
    Range(Query),
    RangeStore(Key, Query),
    RemRange(Key, Bounds),
    Pop {
        key: Key,
        is_max: bool,
        count: Option<u8>,
    },
    MPop {
        keys: Vec<Key>,
        is_max: bool,
        count: Option<u8>,
        blocks: bool,
    },
    BPop {
        keys: Vec<Key>,
        is_max: bool,
    },
    Combine(Combine),
    InterCard(Vec<Key>, u8),
    RandMember(Key, i8, bool),
    Scan(Key, u8),
    Limits(u16, u8),
    Expire(Key, u64),
    /// Time passes; the driver may oversleep.
    Wait(u64, bool),
}

fn name(key: Key) -> Vec<u8> {
    format!("z{key}").into_bytes()
}

/// Integers, short and long names, and one that is empty.
fn member(member: Member) -> Vec<u8> {
    match member {
        0 => vec![],
        1..10 => (i64::from(member) * 7 - 30).to_string().into_bytes(),
        member if member % 11 == 0 => vec![b'm'; usize::from(member)],
        member if member % 23 == 0 => vec![member; 300],
        member => format!("m{}", member - 10).into_bytes(),
    }
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![20 => 0..4_u8, 1 => Just(STRING)]
}

fn input() -> impl Strategy<Value = Key> {
    prop_oneof![8 => 0..4_u8, 1 => Just(PLAIN_SET)]
}

fn some_member() -> impl Strategy<Value = Member> {
    prop_oneof![0..16_u8, 0..80_u8]
}

fn score() -> impl Strategy<Value = f64> {
    prop::sample::select(SCORES)
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let rank = || prop_oneof![-12..12_i64, -100..100_i64];
    let score = || (score(), any::<bool>()).prop_map(|(score, excl)| Bound::Score(score, excl));
    let name = || {
        prop_oneof![
            4 => (some_member(), any::<bool>()).prop_map(|(name, excl)| Bound::Name(name, excl)),
            1 => Just(Bound::First),
            1 => Just(Bound::Last),
        ]
    };
    prop_oneof![
        (rank(), rank()).prop_map(|(start, stop)| Bounds::Ranks(start, stop)),
        (score(), score()).prop_map(|(min, max)| Bounds::Scores(min, max)),
        (name(), name()).prop_map(|(min, max)| Bounds::Names(min, max)),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let limit = prop::option::of((-1..6_i64, -1..8_i64));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (key(), bounds(), limit, flags).prop_map(|(key, bounds, limit, flags)| {
        let (is_reverse, with_scores, has_old_name) = flags;
        let by_rank = matches!(bounds, Bounds::Ranks(..));
        let by_name = matches!(bounds, Bounds::Names(..));
        Query {
            key,
            bounds,
            is_reverse,
            limit: limit.filter(|_| !by_rank),
            with_scores: with_scores && !by_name,
            has_old_name,
        }
    })
}

fn options() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec!["NX"]),
        1 => Just(vec!["XX", "CH"]),
        1 => Just(vec!["GT", "CH"]),
        1 => Just(vec!["LT"]),
        1 => Just(vec!["XX", "GT", "CH"]),
        1 => Just(vec!["CH"]),
        1 => Just(vec!["INCR"]),
        1 => Just(vec!["NX", "INCR"]),
        1 => Just(vec!["GT", "INCR"]),
        1 => Just(vec!["LT", "INCR", "XX"]),
    ]
}

fn combine() -> impl Strategy<Value = Combine> {
    let combination =
        prop::sample::select(&[Combination::Union, Combination::Inter, Combination::Diff][..]);
    let target = prop::option::of(0..4_u8);
    let keys = prop::collection::vec((input(), prop::sample::select(WEIGHTS)), 1..4);
    let aggregate =
        prop::sample::select(&[None, Some("SUM"), Some("MIN"), Some("MAX"), Some("COUNT")][..]);
    (combination, target, keys, any::<(bool, bool)>(), aggregate).prop_map(
        |(combination, target, keys, (has_weights, with_scores), aggregate)| {
            let (keys, weights): (Vec<Key>, Vec<f64>) = keys.into_iter().unzip();
            let is_diff = combination == Combination::Diff;
            Combine {
                combination,
                target,
                keys,
                weights: Some(weights).filter(|_| has_weights && !is_diff),
                aggregate: aggregate.filter(|_| !is_diff),
                with_scores: with_scores && target.is_none(),
            }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let members = || prop::collection::vec(some_member(), 1..5);
    let pairs = prop_oneof![
        3 => prop::collection::vec((score(), some_member()), 1..5),
        1 => prop::collection::vec((Just(1.0), some_member()), 1..30),
        1 => prop::collection::vec((score(), some_member()), 1..60),
        1 => prop::collection::vec((score(), any::<Member>()), 50..250),
    ];
    let count = || prop::option::of(0..9_u8);
    let changes = prop_oneof![
        6 => (key(), options(), pairs).prop_map(|(key, options, mut pairs)| {
            if options.contains(&"INCR") {
                pairs.truncate(1);
            }
            Op::Add { key, options, pairs }
        }),
        1 => (key(), score(), some_member())
            .prop_map(|(key, by, member)| Op::IncrBy(key, by, member)),
        2 => (key(), members()).prop_map(|(key, members)| Op::Rem(key, members)),
        1 => (key(), bounds()).prop_map(|(key, bounds)| Op::RemRange(key, bounds)),
        1 => (key(), any::<bool>(), count())
            .prop_map(|(key, is_max, count)| Op::Pop { key, is_max, count }),
        1 => (prop::collection::vec(key(), 1..3), any::<(bool, bool)>(), count()).prop_map(
            |(keys, (is_max, blocks), count)| Op::MPop {
                keys,
                is_max,
                count: count.filter(|&count| count > 0),
                blocks,
            }
        ),
        1 => (prop::collection::vec(key(), 1..3), any::<bool>())
            .prop_map(|(keys, is_max)| Op::BPop { keys, is_max }),
        1 => (0..4_u8, query()).prop_map(|(target, query)| Op::RangeStore(target, query)),
    ];
    let reads = prop_oneof![
        key().prop_map(Op::Card),
        (key(), members()).prop_map(|(key, members)| Op::MScore(key, members)),
        (key(), some_member(), any::<(bool, bool)>()).prop_map(
            |(key, member, (is_reverse, with_score))| Op::Rank {
                key,
                member,
                is_reverse,
                with_score
            }
        ),
        (key(), bounds())
            .prop_filter("ranks need no counting", |it| !matches!(it.1, Bounds::Ranks(..)))
            .prop_map(|(key, bounds)| Op::Count(key, bounds)),
        query().prop_map(Op::Range),
        query().prop_map(Op::Range),
        (prop::collection::vec(input(), 1..4), 0..6_u8)
            .prop_map(|(keys, limit)| Op::InterCard(keys, limit)),
        (key(), -20..20_i8, any::<bool>())
            .prop_map(|(key, count, scores)| Op::RandMember(key, count, scores)),
        (key(), 1..30_u8).prop_map(|(key, count)| Op::Scan(key, count)),
    ];
    prop_oneof![
        8 => changes,
        6 => reads,
        2 => combine().prop_map(Op::Combine),
        1 => (prop::sample::select(&[0_u16, 3, 20, 128][..]), prop::sample::select(&[3_u8, 64][..]))
            .prop_map(|(entries, bytes)| Op::Limits(entries, bytes)),
        1 => (0..4_u8, 0..3000_u64).prop_map(|(key, millis)| Op::Expire(key, millis)),
        1 => (0..2000_u64, any::<bool>()).prop_map(|(millis, sleeps)| Op::Wait(millis, sleeps)),
    ]
}

impl Bound {
    fn word(self) -> Vec<u8> {
        match self {
            Self::Score(score, excluded) => {
                format!("{}{score}", if excluded { "(" } else { "" }).into_bytes()
            }
            Self::Name(name, excluded) => {
                [if excluded { &b"("[..] } else { b"[" }, &member(name)].concat()
            }
            Self::First => b"-".to_vec(),
            Self::Last => b"+".to_vec(),
        }
    }

    /// Whether a pair is not before this bound, taken as a minimum.
    fn is_min_of(self, (name, score): &(Vec<u8>, f64)) -> bool {
        match self {
            Self::Score(bound, excluded) => *score > bound || !excluded && *score == bound,
            Self::Name(bound, excluded) => {
                *name > member(bound) || !excluded && *name == member(bound)
            }
            Self::First => true,
            Self::Last => false,
        }
    }

    /// Whether a pair is not behind this bound, taken as a maximum.
    fn is_max_of(self, (name, score): &(Vec<u8>, f64)) -> bool {
        match self {
            Self::Score(bound, excluded) => *score < bound || !excluded && *score == bound,
            Self::Name(bound, excluded) => {
                *name < member(bound) || !excluded && *name == member(bound)
            }
            Self::First => false,
            Self::Last => true,
        }
    }
}

impl Bounds {
    fn words(self) -> [Vec<u8>; 2] {
        match self {
            Self::Ranks(start, stop) => [start, stop].map(|rank| rank.to_string().into_bytes()),
            Self::Scores(min, max) | Self::Names(min, max) => [min.word(), max.word()],
        }
    }

    /// The pairs inside, of pairs in the order that they are asked for.
    fn select(self, pairs: &Pairs) -> Pairs {
        match self {
            Self::Ranks(start, stop) => {
                let len = pairs.len() as i64;
                let from_end = |rank: i64| if rank < 0 { rank + len } else { rank };
                let wanted = from_end(start)..=from_end(stop);
                let inside = |rank: usize| wanted.contains(&(rank as i64));
                let chosen = pairs.iter().enumerate().filter(|(rank, _)| inside(*rank));
                chosen.map(|(_, pair)| pair.clone()).collect()
            }
            Self::Scores(min, max) | Self::Names(min, max) => {
                let inside = |pair: &&(Vec<u8>, f64)| min.is_min_of(pair) && max.is_max_of(pair);
                pairs.iter().filter(inside).cloned().collect()
            }
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Ranks(..) => "",
            Self::Scores(..) => "BYSCORE",
            Self::Names(..) => "BYLEX",
        }
    }

    fn is_by_name(self) -> bool {
        matches!(self, Self::Names(..))
    }
}

impl Query {
    fn words(&self, target: Option<Key>) -> Vec<Vec<u8>> {
        let Self { key, bounds, is_reverse, limit, with_scores, has_old_name } = *self;
        let is_old = has_old_name && target.is_none();
        let suffix = bounds.suffix();
        let command = match (target, is_old, is_reverse) {
            (Some(_), ..) => "ZRANGESTORE".to_owned(),
            (None, true, false) => format!("ZRANGE{suffix}"),
            (None, true, true) => format!("ZREVRANGE{suffix}"),
            (None, false, _) => "ZRANGE".to_owned(),
        };
        let mut words = vec![command.into_bytes()];
        words.extend(target.map(name));
        words.push(name(key));
        let mut ends = bounds.words();
        if is_reverse && !matches!(bounds, Bounds::Ranks(..)) {
            ends.reverse();
        }
        words.extend(ends);
        if !is_old {
            words.extend((!suffix.is_empty()).then(|| suffix.as_bytes().to_vec()));
            words.extend(is_reverse.then(|| b"REV".to_vec()));
        }
        if let Some((offset, count)) = limit {
            words.push(b"LIMIT".to_vec());
            words.extend([offset, count].map(|number| number.to_string().into_bytes()));
        }
        if with_scores && target.is_none() {
            words.push(b"withscores".to_vec());
        }
        words
    }

    fn select(&self, mut pairs: Pairs) -> Pairs {
        if self.is_reverse {
            pairs.reverse();
        }
        let mut chosen = self.bounds.select(&pairs);
        if let Some((offset, count)) = self.limit {
            let Ok(offset) = usize::try_from(offset) else { return vec![] };
            chosen.drain(..offset.min(chosen.len()));
            chosen.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        }
        chosen
    }
}

fn texts(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn pop_words(command: &str, keys: &[Key], is_max: bool, count: Option<u8>) -> Vec<Vec<u8>> {
    let mut words = texts(&command.split(' ').collect::<Vec<_>>());
    words.push(keys.len().to_string().into_bytes());
    words.extend(keys.iter().map(|key| name(*key)));
    words.extend(texts(&[if is_max { "MAX" } else { "MIN" }]));
    words.extend(count.iter().flat_map(|count| texts(&["COUNT", &count.to_string()])));
    words
}

impl Combine {
    fn words(&self) -> Vec<Vec<u8>> {
        let command = match self.combination {
            Combination::Union => "ZUNION",
            Combination::Inter => "ZINTER",
            Combination::Diff => "ZDIFF",
        };
        let store = if self.target.is_some() { "STORE" } else { "" };
        let mut words = texts(&[&format!("{command}{store}")]);
        words.extend(self.target.map(name));
        words.extend(texts(&[&self.keys.len().to_string()]));
        words.extend(self.keys.iter().map(|key| name(*key)));
        if let Some(weights) = &self.weights {
            words.extend(texts(&["WEIGHTS"]));
            words.extend(weights.iter().map(|weight| weight.to_string().into_bytes()));
        }
        words.extend(self.aggregate.iter().flat_map(|word| texts(&["AGGREGATE", word])));
        words.extend(self.with_scores.then(|| b"WITHSCORES".to_vec()));
        words
    }
}

impl Op {
    fn words(&self) -> Vec<Vec<u8>> {
        let with = |command: &str, key: Key, rest: Vec<Vec<u8>>| {
            [texts(&[command]), vec![name(key)], rest].concat()
        };
        let members = |all: &[Member]| all.iter().map(|it| member(*it)).collect::<Vec<_>>();
        match self {
            Self::Add { key, options, pairs } => {
                let pairs = pairs
                    .iter()
                    .flat_map(|(score, name)| [score.to_string().into_bytes(), member(*name)]);
                with("ZADD", *key, texts(options).into_iter().chain(pairs).collect())
            }
            Self::IncrBy(key, by, name) => {
                with("ZINCRBY", *key, vec![by.to_string().into_bytes(), member(*name)])
            }
            Self::Rem(key, all) => with("ZREM", *key, members(all)),
            Self::Card(key) => with("ZCARD", *key, vec![]),
            Self::MScore(key, all) => with("ZMSCORE", *key, members(all)),
            Self::Rank { key, member: name, is_reverse, with_score } => {
                let command = if *is_reverse { "ZREVRANK" } else { "ZRANK" };
                let option = with_score.then(|| b"WithScore".to_vec());
                with(command, *key, [member(*name)].into_iter().chain(option).collect())
            }
            Self::Count(key, bounds) => {
                let command = if bounds.is_by_name() { "ZLEXCOUNT" } else { "ZCOUNT" };
                with(command, *key, bounds.words().to_vec())
            }
            Self::Range(query) => query.words(None),
            Self::RangeStore(target, query) => query.words(Some(*target)),
            Self::RemRange(key, bounds) => {
                let suffix = if bounds.suffix().is_empty() { "BYRANK" } else { bounds.suffix() };
                with(&format!("ZREMRANGE{suffix}"), *key, bounds.words().to_vec())
            }
            Self::Pop { key, is_max, count } => {
                let command = if *is_max { "ZPOPMAX" } else { "ZPOPMIN" };
                let count = count.iter().map(|count| count.to_string().into_bytes());
                with(command, *key, count.collect())
            }
            Self::MPop { keys, is_max, count, blocks } => {
                let command = if *blocks { "BZMPOP 0.5" } else { "ZMPOP" };
                pop_words(command, keys, *is_max, *count)
            }
            Self::BPop { keys, is_max } => {
                let command = if *is_max { "BZPOPMAX" } else { "BZPOPMIN" };
                let keys = keys.iter().map(|key| name(*key)).collect();
                [texts(&[command]), keys, texts(&["0.5"])].concat()
            }
            Self::Combine(combine) => combine.words(),
            Self::InterCard(keys, limit) => {
                let count = keys.len().to_string();
                let keys = keys.iter().map(|key| name(*key)).collect();
                let limit = texts(&["LIMIT", &limit.to_string()]);
                [texts(&["ZINTERCARD", &count]), keys, limit].concat()
            }
            Self::RandMember(key, count, with_scores) => {
                let option = with_scores.then(|| b"WITHSCORES".to_vec());
                let count = count.to_string().into_bytes();
                with("ZRANDMEMBER", *key, [count].into_iter().chain(option).collect())
            }
            Self::Expire(key, millis) => with("PEXPIRE", *key, texts(&[&millis.to_string()])),
            Self::Limits(entries, bytes) => texts(&[
                "CONFIG",
                "SET",
                "zset-max-listpack-entries",
                &entries.to_string(),
                "zset-max-ziplist-value",
                &bytes.to_string(),
            ]),
            Self::Scan(..) | Self::Wait(..) => vec![],
        }
    }

    fn only_reads(&self) -> bool {
        match self {
            Self::Combine(combine) => combine.target.is_none(),
            Self::Card(_)
            | Self::MScore(..)
            | Self::Rank { .. }
            | Self::Count(..)
            | Self::Range(_)
            | Self::InterCard(..)
            | Self::RandMember(..) => true,
            _ => false,
        }
    }

    /// Ranges by name have a meaning only where all scores are equal.
    fn query_by_name(&self) -> Option<Key> {
        match self {
            Self::Count(key, bounds) | Self::RemRange(key, bounds) if bounds.is_by_name() => {
                Some(*key)
            }
            Self::Range(query) | Self::RangeStore(_, query) if query.bounds.is_by_name() => {
                Some(query.key)
            }
            _ => None,
        }
    }
}

/// A sorted set in the plainest form.
#[derive(Clone, Debug, Default)]
struct Zset {
    scores: BTreeMap<Vec<u8>, f64>,
    deadline: Option<u64>,
    is_big: bool,
}

impl Zset {
    fn pairs(&self) -> Pairs {
        let mut pairs: Pairs =
            self.scores.iter().map(|(name, score)| (name.clone(), *score)).collect();
        pairs.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no NaN"));
        pairs
    }
}

struct Model {
    zsets: BTreeMap<Key, Zset>,
    now: u64,
    entries: usize,
    value_bytes: usize,
}

/// What the command must reply: as it is, or a string was met.
type Outcome = Result<Value, Value>;

impl Model {
    fn find(&self, key: Key) -> Result<Option<&Zset>, Value> {
        if key == STRING {
            let text = "WRONGTYPE Operation against a key holding the wrong kind of value";
            return Err(Value::error(text));
        }
        Ok(self.zsets.get(&key))
    }

    /// Lets time pass. A key lives through the millisecond of its deadline.
    fn advance(&mut self, millis: u64) {
        self.now += millis;
        let now = self.now;
        self.zsets.retain(|_, zset| zset.deadline.is_none_or(|deadline| deadline >= now));
    }

    fn pairs(&self, key: Key) -> Result<Pairs, Value> {
        if key == PLAIN_SET {
            return Ok(PLAIN_MEMBERS.iter().map(|name| (name.to_vec(), 1.0)).collect());
        }
        Ok(self.find(key)?.map(Zset::pairs).unwrap_or_default())
    }

    fn put(&mut self, key: Key, name: Vec<u8>, score: f64) {
        if !self.find(key).is_ok_and(|zset| zset.is_some()) {
            self.zsets.insert(key, Zset::default());
        }
        let (entries, value_bytes) = (self.entries, self.value_bytes);
        let zset = self.zsets.get_mut(&key).expect("it was just added");
        if !zset.scores.contains_key(&name) {
            zset.is_big |= zset.scores.len() >= entries || name.len() > value_bytes;
        }
        // 0 and -0 are the same score: the one that is there stays.
        let old = zset.scores.entry(name).or_insert(score);
        if *old != score {
            *old = score;
        }
    }

    fn remove(&mut self, key: Key, name: &[u8]) -> bool {
        let Some(zset) = self.zsets.get_mut(&key) else { return false };
        let removed = zset.scores.remove(name).is_some();
        if zset.scores.is_empty() {
            self.zsets.remove(&key);
        }
        removed
    }

    fn store(&mut self, key: Key, pairs: &Pairs) -> Value {
        self.zsets.remove(&key);
        pairs.iter().for_each(|(name, score)| self.put(key, name.clone(), *score));
        Value::Integer(pairs.len() as i64)
    }

    fn add(&mut self, key: Key, options: &[&str], pairs: &[(f64, Member)]) -> Outcome {
        self.find(key)?;
        let has = |option| options.contains(&option);
        let (mut added, mut updated, mut last) = (0, 0, Value::Null);
        for &(score, name) in pairs {
            let name = member(name);
            let old = self.find(key)?.and_then(|zset| zset.scores.get(&name).copied());
            let new = if has("INCR") { old.map_or(score, |old| old + score) } else { score };
            if old.is_some() && !has("NX") && new.is_nan() {
                return Err(Value::error("ERR resulting score is not a number (NaN)"));
            }
            let is_spared = match old {
                None => has("XX"),
                Some(old) => has("NX") || has("GT") && new <= old || has("LT") && new >= old,
            };
            if is_spared {
                continue;
            }
            added += i64::from(old.is_none());
            updated += i64::from(old.is_some_and(|old| old != new));
            last = double(new);
            self.put(key, name, new);
        }
        Ok(match (has("INCR"), has("CH")) {
            (true, _) => last,
            (false, true) => Value::Integer(added + updated),
            (false, false) => Value::Integer(added),
        })
    }

    /// Takes members off one end of the first key that is there.
    fn pop(
        &mut self,
        keys: &[Key],
        is_max: bool,
        count: usize,
    ) -> Result<Option<(Key, Pairs)>, Value> {
        for &key in keys {
            let mut pairs = self.pairs(key)?;
            if pairs.is_empty() {
                continue;
            }
            if is_max {
                pairs.reverse();
            }
            pairs.truncate(count);
            for (name, _) in &pairs {
                self.remove(key, name);
            }
            return Ok(Some((key, pairs)));
        }
        Ok(None)
    }

    fn combine(&self, combine: &Combine) -> Result<Pairs, Value> {
        let weights = combine.weights.clone().unwrap_or_else(|| vec![1.0; combine.keys.len()]);
        let inputs: Result<Vec<Pairs>, Value> =
            combine.keys.iter().map(|key| self.pairs(*key)).collect();
        let mut inputs: Vec<(BTreeMap<Vec<u8>, f64>, f64)> =
            inputs?.into_iter().map(BTreeMap::from_iter).zip(weights).collect();
        let mut result = BTreeMap::<Vec<u8>, f64>::new();
        if combine.combination == Combination::Diff {
            let (first, others) = inputs.split_first().expect("there is one");
            let is_alone = |name: &Vec<u8>| others.iter().all(|(it, _)| !it.contains_key(name));
            result.extend(
                first.0.iter().filter(|(name, _)| is_alone(name)).map(|(n, s)| (n.clone(), *s)),
            );
            return Ok(sorted(result));
        }
        inputs.sort_by_key(|(input, _)| input.len());
        let names: BTreeSet<Vec<u8>> =
            inputs.iter().flat_map(|(input, _)| input.keys().cloned()).collect();
        for name in names {
            let scores: Vec<Option<f64>> = inputs
                .iter()
                .map(|(input, weight)| {
                    let score = input.get(&name)?;
                    Some(if combine.aggregate == Some("COUNT") { *weight } else { score * weight })
                })
                .collect();
            let is_inter = combine.combination == Combination::Inter;
            if is_inter && scores.iter().any(Option::is_none) {
                continue;
            }
            result.insert(name, aggregate(&scores, combine.aggregate, is_inter));
        }
        Ok(sorted(result))
    }
}

/// The scores of one member in several inputs together; not a number counts as 0, in intersections
/// only in the first input and in sums.
fn aggregate(scores: &[Option<f64>], by: Option<&str>, is_inter: bool) -> f64 {
    let number = |value: f64| if value.is_nan() { 0.0 } else { value };
    let mut scores = scores.iter().flatten();
    let mut sum = number(*scores.next().expect("it is in one of them"));
    for &score in scores {
        let score = if is_inter { score } else { number(score) };
        match by {
            Some("MIN") => sum = if score < sum { score } else { sum },
            Some("MAX") => sum = if score > sum { score } else { sum },
            _ => sum = number(sum + score),
        }
    }
    sum
}

fn sorted(scores: BTreeMap<Vec<u8>, f64>) -> Pairs {
    Zset { scores, ..Zset::default() }.pairs()
}

fn double(value: f64) -> Value {
    Value::Double(format!("{value:e}").into_bytes())
}

/// The reply with all doubles spelled in one way.
fn normal(value: Value) -> Value {
    let all = |values: Vec<Value>| values.into_iter().map(normal).collect();
    match value {
        Value::Double(text) => {
            let text = String::from_utf8(text).expect("ASCII");
            double(text.parse().expect("a double"))
        }
        Value::Array(values) => Value::Array(all(values)),
        other => other,
    }
}

fn pair((name, score): &(Vec<u8>, f64)) -> Value {
    Value::Array(vec![Value::bulk(name), double(*score)])
}

fn shown(pairs: &Pairs, with_scores: bool) -> Value {
    let show = |it: &(Vec<u8>, f64)| if with_scores { pair(it) } else { Value::bulk(&it.0) };
    Value::Array(pairs.iter().map(show).collect())
}

/// What the command must reply; the model is changed as the server must be.
fn apply(model: &mut Model, op: &Op) -> Outcome {
    Ok(match op {
        Op::Add { key, options, pairs } => model.add(*key, options, pairs)?,
        Op::IncrBy(key, by, name) => model.add(*key, &["INCR"], &[(*by, *name)])?,
        Op::Rem(key, names) => {
            model.find(*key)?;
            let removed = names.iter().filter(|name| model.remove(*key, &member(**name))).count();
            Value::Integer(removed as i64)
        }
        Op::Card(key) => Value::Integer(model.pairs(*key)?.len() as i64),
        Op::MScore(key, names) => {
            let zset = model.find(*key)?.cloned().unwrap_or_default();
            let score = |name: &Member| zset.scores.get(&member(*name)).copied();
            Value::Array(names.iter().map(|it| score(it).map_or(Value::Null, double)).collect())
        }
        Op::Rank { key, member: name, is_reverse, with_score } => {
            let mut pairs = model.pairs(*key)?;
            if *is_reverse {
                pairs.reverse();
            }
            match pairs.iter().position(|(own, _)| *own == member(*name)) {
                None => Value::Null,
                Some(rank) if *with_score => {
                    Value::Array(vec![Value::Integer(rank as i64), double(pairs[rank].1)])
                }
                Some(rank) => Value::Integer(rank as i64),
            }
        }
        Op::Count(key, bounds) => Value::Integer(bounds.select(&model.pairs(*key)?).len() as i64),
        Op::Range(query) => shown(&query.select(model.pairs(query.key)?), query.with_scores),
        Op::RangeStore(target, query) => {
            let pairs = query.select(model.pairs(query.key)?);
            model.store(*target, &pairs)
        }
        Op::RemRange(key, bounds) => {
            let chosen = bounds.select(&model.pairs(*key)?);
            chosen.iter().for_each(|(name, _)| assert!(model.remove(*key, name)));
            Value::Integer(chosen.len() as i64)
        }
        Op::Pop { key, is_max, count } => pop(model, *key, *is_max, *count)?,
        Op::MPop { keys, is_max, count, .. } => {
            match model.pop(keys, *is_max, count.unwrap_or(1).into())? {
                Some((key, pairs)) => {
                    Value::Array(vec![Value::bulk(name(key)), shown(&pairs, true)])
                }
                None => Value::Null,
            }
        }
        Op::BPop { keys, is_max } => match model.pop(keys, *is_max, 1)? {
            Some((key, pairs)) => {
                let (member, score) = &pairs[0];
                Value::Array(vec![Value::bulk(name(key)), Value::bulk(member), double(*score)])
            }
            None => Value::Null,
        },
        Op::Combine(combine) => {
            let pairs = model.combine(combine)?;
            match combine.target {
                Some(target) => model.store(target, &pairs),
                None => shown(&pairs, combine.with_scores),
            }
        }
        Op::InterCard(keys, limit) => {
            let combine = Combine {
                combination: Combination::Inter,
                target: None,
                keys: keys.clone(),
                weights: None,
                aggregate: None,
                with_scores: false,
            };
            let len = model.combine(&combine)?.len() as i64;
            Value::Integer(if *limit == 0 { len } else { len.min((*limit).into()) })
        }
        Op::Expire(key, millis) => {
            let deadline = model.now + millis;
            let found = model.find(*key)?.is_some();
            match model.zsets.get_mut(key) {
                Some(zset) if found && *millis > 0 => zset.deadline = Some(deadline),
                _ => drop(model.zsets.remove(key)),
            }
            Value::Integer(found.into())
        }
        Op::Limits(entries, value_bytes) => {
            (model.entries, model.value_bytes) = ((*entries).into(), (*value_bytes).into());
            Value::simple("OK")
        }
        Op::RandMember(..) | Op::Scan(..) | Op::Wait(..) => unreachable!("they are run apart"),
    })
}

fn pop(model: &mut Model, key: Key, is_max: bool, count: Option<u8>) -> Outcome {
    let popped = model.pop(&[key], is_max, count.unwrap_or(1).into())?;
    let pairs = popped.map(|(_, pairs)| pairs).unwrap_or_default();
    Ok(match (count, pairs.first()) {
        (None, Some(first)) => pair(first),
        (None, None) => Value::Array(vec![]),
        (Some(_), _) => shown(&pairs, true),
    })
}

/// A random choice cannot be foretold: its size is known, and where its members come from.
fn check_random(model: &Model, key: Key, count: i8, with_scores: bool, got: &Value) {
    let pairs = match model.pairs(key) {
        Ok(pairs) => pairs,
        Err(error) => return assert_eq!(*got, error),
    };
    let many = usize::from(count.unsigned_abs());
    let all: Vec<Value> =
        pairs.iter().map(|it| if with_scores { pair(it) } else { Value::bulk(&it.0) }).collect();
    let drawn = got.elements();
    assert!(drawn.iter().all(|it| all.contains(it)), "{got:?} of {all:?}");
    if count >= 0 {
        assert_eq!(drawn.len(), many.min(all.len()));
        let distinct = all.iter().filter(|it| drawn.contains(it)).count();
        assert_eq!(distinct, drawn.len(), "members are drawn once");
    } else {
        assert_eq!(drawn.len(), if all.is_empty() { 0 } else { many });
    }
}

fn check_all(model: &Model, server: &mut Server, conn: orrery_engine::ConnId) {
    for key in 0..4 {
        let key_name = name(key);
        let words = [&b"ZRANGE"[..], &key_name, b"0", b"-1", b"WITHSCORES"];
        let got = normal(server.call(conn, &words));
        let zset = model.find(key).expect("not the string");
        assert_eq!(got, shown(&zset.map(Zset::pairs).unwrap_or_default(), true));
        let Some(zset) = zset else { continue };
        let got = server.call(conn, &[&b"OBJECT"[..], b"ENCODING", &key_name]);
        assert_eq!(got, Value::bulk(if zset.is_big { "skiplist" } else { "listpack" }));
        let got = server.call(conn, &[&b"PEXPIRETIME"[..], &key_name]).integer();
        assert_eq!(got, zset.deadline.map_or(-1, |deadline| deadline as i64));
    }
    server.engine().check_invariants();
}

/// All members that a scan returns, with their scores.
fn scan(server: &mut Server, conn: orrery_engine::ConnId, key: Key, count: u8) -> Value {
    let (mut cursor, mut seen) = (b"0".to_vec(), Vec::new());
    loop {
        let count = count.to_string();
        let words = [&b"ZSCAN"[..], &name(key), &cursor, b"COUNT", count.as_bytes()];
        let reply = server.call(conn, &words);
        if reply.is_error() {
            return reply;
        }
        cursor = reply.elements()[0].bytes().to_vec();
        seen.extend(reply.elements()[1].elements().chunks(2).map(|it| Value::Array(it.to_vec())));
        if cursor == b"0" {
            return Value::Array(seen);
        }
    }
}

fn check_scan(model: &Model, key: Key, got: &Value) {
    let pairs = match model.pairs(key) {
        Ok(pairs) => pairs,
        Err(error) => return assert_eq!(*got, error),
    };
    let number = |value: &Value| String::from_utf8_lossy(value.bytes()).parse::<f64>();
    let mut seen: Pairs = got
        .elements()
        .iter()
        .map(|it| (it.elements()[0].bytes().to_vec(), number(&it.elements()[1]).expect("a score")))
        .collect();
    seen.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no NaN").then_with(|| a.0.cmp(&b.0)));
    assert_eq!(seen, pairs, "a scan of what rests returns each once");
}

fn new_server() -> (Server, orrery_engine::ConnId) {
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "HELLO 3");
    server.call(conn, &[&b"SET"[..], &name(STRING), b"x"]);
    let members = PLAIN_MEMBERS.iter().copied();
    let words: Vec<&[u8]> = [&b"SADD"[..], b"z8"].into_iter().chain(members).collect();
    server.call(conn, &words);
    (server, conn)
}

proptest! {
    #[test]
    fn sorted_sets_behave_like_sorted_vectors(
        entries in prop::sample::select(&[0_usize, 3, 20, 128][..]),
        ops in prop::collection::vec(op(), 1..100),
    ) {
        let (mut server, conn) = new_server();
        let entries_text = entries.to_string();
        server.call(conn, &["CONFIG", "SET", "zset-max-listpack-entries", &entries_text]);
        let mut model =
            Model { zsets: BTreeMap::new(), now: server.unix_ms(), entries, value_bytes: 64 };
        for op in &ops {
            match *op {
                Op::Wait(millis, oversleeps) => {
                    if oversleeps {
                        server.oversleep_ms(millis);
                    } else {
                        server.advance_ms(millis);
                    }
                    model.advance(millis);
                    continue;
                }
                Op::Scan(key, count) => {
                    check_scan(&model, key, &scan(&mut server, conn, key, count));
                    continue;
                }
                _ => {}
            }
            let by_name = op.query_by_name().and_then(|key| model.pairs(key).ok());
            if by_name.is_some_and(|pairs| pairs.iter().any(|pair| pair.1 != pairs[0].1)) {
                if op.only_reads() {
                    run(&mut server, conn, &op.words(), true);
                }
                continue;
            }
            if let Op::MPop { keys, blocks: true, .. } | Op::BPop { keys, .. } = op
                && keys.iter().all(|key| model.pairs(*key).is_ok_and(|pairs| pairs.is_empty()))
            {
                // It would wait.
                continue;
            }
            let got = normal(run(&mut server, conn, &op.words(), op.only_reads()));
            if let Op::RandMember(key, count, with_scores) = *op {
                check_random(&model, key, count, with_scores, &got);
                continue;
            }
            let expected = apply(&mut model, op).unwrap_or_else(|error| error);
            prop_assert_eq!(&expected, &got, "{:?}", op);
        }
        check_all(&model, &mut server, conn);
    }
}
