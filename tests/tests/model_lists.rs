//! Every list command against deques of byte strings: random sequences over few keys, with other
//! types in between, time passing, and limits that make lists packed and long.

use std::collections::{BTreeMap, VecDeque};

use orrery_engine::ConnId;
use orrery_tests::model::run;
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

type Key = u8;
type Word = Vec<u8>;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// Values of `list-max-listpack-size`.
const SIZES: [i64; 6] = [-2, -1, -5, 1, 4, 100];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

#[derive(Clone, Debug)]
struct Many {
    count: i64,
    exactly: bool,
    one_by_one: bool,
}

#[derive(Clone, Debug, Default)]
struct Search {
    rank: Option<i64>,
    count: Option<i64>,
    len: Option<i64>,
}

#[derive(Clone, Debug)]
enum Op {
    Push(Side, bool, Key, Vec<Word>),
    Pop(Side, Key, Option<i64>),
    Len(Key),
    Index(Key, i64),
    Range(Key, i64, i64),
    Set(Key, i64, Word),
    Insert(Key, bool, Word, Word),
    Remove(Key, i64, Word),
    Trim(Key, i64, i64),
    Position(Key, Word, Search),
    /// LMOVE, or BLMOVE where it need not wait.
    Move(Key, Key, Side, Side, bool),
    MoveMany(Key, Key, Side, Side, Option<Many>),
    /// LMPOP, or BLMPOP where it need not wait.
    MultiPop(Vec<Key>, Side, Option<i64>, bool),
    /// BLPOP and BRPOP where they need not wait.
    BlockingPop(Vec<Key>, Side),
    String(Key),
    Del(Key),
    Rename(Key, Key),
    Copy(Key, Key),
    Expire(Key, i64),
    Size(usize),
    /// `list-compress-depth`
    Depth(u8),
    /// Time passes; the driver may oversleep.
    Wait(u64, bool),
}

fn word() -> impl Strategy<Value = Word> {
    let filled =
        |len: core::ops::Range<usize>| (b'a'..b'd', len).prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![
        8 => (0..6_i64).prop_map(|value| value.to_string().into_bytes()),
        2 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        1 => (-5000..5000_i64).prop_map(|value| value.to_string().into_bytes()),
        4 => filled(0..4),
        3 => filled(60..130),
        1 => filled(1000..3000),
        1 => filled(4000..4200),
        1 => filled(8100..8300),
        1 => Just(b"007".to_vec()),
    ]
}

/// Many short words.
fn many_words() -> impl Strategy<Value = Vec<Word>> {
    let short = (0..40_i64).prop_map(|value| value.to_string().into_bytes());
    prop::collection::vec(short, 20..200)
}

/// Lists of some hundred elements to begin with, or none.
fn beginning() -> impl Strategy<Value = Vec<Op>> {
    let push = (0..3_u8, many_words()).prop_map(|(key, words)| {
        [Op::Push(Side::Right, true, key, words.clone()), Op::Push(Side::Left, true, key, words)]
    });
    let pushes = prop::collection::vec(push, 0..4);
    (0..SIZES.len(), 0..3_u8, pushes).prop_map(|(size, depth, pushes)| {
        let ops = [Op::Size(size), Op::Depth(depth)].into_iter();
        ops.chain(pushes.into_iter().flatten()).collect()
    })
}

fn first_op() -> impl Strategy<Value = Op> {
    let key = || 0..3_u8;
    let side = || prop_oneof![Just(Side::Left), Just(Side::Right)];
    let index = || {
        prop_oneof![
            8 => -8..8_i64,
            8 => -300..300_i64,
            1 => Just(i64::MIN),
            1 => Just(i64::MAX)
        ]
    };
    let many = prop::collection::vec(word(), 1..8);
    let elements = prop_oneof![6 => many, 1 => many_words()];
    let push = (side(), any::<bool>(), key(), elements);
    let count = prop::option::of(-1..20_i64);
    let search = (
        prop::option::of(prop_oneof![-3..4_i64, Just(i64::MAX)]),
        prop::option::of(-1..4_i64),
        prop::option::of(prop_oneof![-1..12_i64, 0..300_i64]),
    );
    prop_oneof![
        8 => push.prop_map(|(side, always, key, words)| Op::Push(side, always, key, words)),
        2 => (side(), key(), count).prop_map(|(side, key, count)| Op::Pop(side, key, count)),
        1 => key().prop_map(Op::Len),
        1 => (key(), index()).prop_map(|(key, index)| Op::Index(key, index)),
        2 => (key(), index(), index()).prop_map(|(key, from, to)| Op::Range(key, from, to)),
        2 => (key(), index(), word()).prop_map(|(key, index, word)| Op::Set(key, index, word)),
        3 => (key(), any::<bool>(), word(), word())
            .prop_map(|(key, behind, pivot, word)| Op::Insert(key, behind, pivot, word)),
        2 => (key(), index(), word()).prop_map(|(key, count, word)| Op::Remove(key, count, word)),
        1 => (key(), index(), index()).prop_map(|(key, from, to)| Op::Trim(key, from, to)),
        2 => (key(), 0..9_i64, -9..0_i64).prop_map(|(key, from, to)| Op::Trim(key, from, to)),
        2 => (key(), word(), search).prop_map(|(key, word, (rank, count, len))| {
            Op::Position(key, word, Search { rank, count, len })
        }),
    ]
}

fn second_op() -> impl Strategy<Value = Op> {
    let key = || 0..3_u8;
    let keys = || prop::collection::vec(key(), 1..4);
    let side = || prop_oneof![Just(Side::Left), Just(Side::Right)];
    let many =
        prop::option::of(
            (0..6_i64, any::<bool>(), any::<bool>())
                .prop_map(|(count, exactly, one_by_one)| Many { count, exactly, one_by_one }),
        );
    let ends = || (key(), key(), side(), side());
    prop_oneof![
        2 => (ends(), any::<bool>())
            .prop_map(|((from, to, a, b), blocks)| Op::Move(from, to, a, b, blocks)),
        2 => (ends(), many).prop_map(|((from, to, a, b), many)| Op::MoveMany(from, to, a, b, many)),
        2 => (keys(), side(), prop::option::of(0..5_i64), any::<bool>())
            .prop_map(|(keys, side, count, blocks)| Op::MultiPop(keys, side, count, blocks)),
        1 => (keys(), side()).prop_map(|(keys, side)| Op::BlockingPop(keys, side)),
        1 => key().prop_map(Op::String),
        1 => key().prop_map(Op::Del),
        1 => (key(), key()).prop_map(|(from, to)| Op::Rename(from, to)),
        1 => (key(), key()).prop_map(|(from, to)| Op::Copy(from, to)),
        1 => (key(), 1..3000_i64).prop_map(|(key, millis)| Op::Expire(key, millis)),
        2 => (0..SIZES.len()).prop_map(Op::Size),
        1 => (0..3_u8).prop_map(Op::Depth),
        2 => (0..1500_u64, any::<bool>()).prop_map(|(millis, sleeps)| Op::Wait(millis, sleeps)),
    ]
}

fn name(key: Key) -> String {
    format!("list:{key}")
}

fn side_word(side: Side) -> &'static str {
    match side {
        Side::Left => "LEFT",
        Side::Right => "right",
    }
}

/// The words of a command; those that are not text come last.
fn words(text: &[&str], rest: &[&Word]) -> Vec<Word> {
    let text = text.iter().map(|word| word.as_bytes().to_vec());
    text.chain(rest.iter().map(|word| (*word).clone())).collect()
}

impl Op {
    fn only_reads(&self) -> bool {
        matches!(self, Self::Len(_) | Self::Index(..) | Self::Range(..) | Self::Position(..))
    }

    fn words(&self) -> Vec<Word> {
        match self {
            Self::Push(side, always, key, elements) => {
                let command = match (side, always) {
                    (Side::Left, true) => "LPUSH",
                    (Side::Left, false) => "LPUSHX",
                    (Side::Right, true) => "RPUSH",
                    (Side::Right, false) => "RPUSHX",
                };
                words(&[command, &name(*key)], &elements.iter().collect::<Vec<_>>())
            }
            Self::Pop(side, key, count) => {
                let command = if *side == Side::Left { "LPOP" } else { "RPOP" };
                let mut words = words(&[command, &name(*key)], &[]);
                words.extend(count.map(|count| count.to_string().into_bytes()));
                words
            }
            Self::Len(key) => words(&["LLEN", &name(*key)], &[]),
            Self::Index(key, index) => words(&["LINDEX", &name(*key), &index.to_string()], &[]),
            Self::Range(key, from, to) => {
                words(&["LRANGE", &name(*key), &from.to_string(), &to.to_string()], &[])
            }
            Self::Set(key, index, word) => {
                words(&["LSET", &name(*key), &index.to_string()], &[word])
            }
            Self::Insert(key, behind, pivot, word) => {
                let place = if *behind { "after" } else { "BEFORE" };
                words(&["LINSERT", &name(*key), place], &[pivot, word])
            }
            Self::Remove(key, count, word) => {
                words(&["LREM", &name(*key), &count.to_string()], &[word])
            }
            Self::Trim(key, from, to) => {
                words(&["LTRIM", &name(*key), &from.to_string(), &to.to_string()], &[])
            }
            Self::Position(key, word, search) => {
                let mut words = words(&["LPOS", &name(*key)], &[word]);
                for (option, number) in
                    [("RANK", search.rank), ("count", search.count), ("MAXLEN", search.len)]
                {
                    if let Some(number) = number {
                        words.extend([option.into(), number.to_string().into_bytes()]);
                    }
                }
                words
            }
            _ => self.more_words(),
        }
    }

    fn more_words(&self) -> Vec<Word> {
        match self {
            Self::Move(from, to, a, b, blocks) => {
                let ends = [&name(*from), &name(*to), side_word(*a), side_word(*b)];
                match (a, b, blocks) {
                    (Side::Right, Side::Left, false) => words(&["RPOPLPUSH"], &[]),
                    (Side::Right, Side::Left, true) => words(&["BRPOPLPUSH"], &[]),
                    (_, _, false) => words(&["LMOVE"], &[]),
                    (_, _, true) => words(&["BLMOVE"], &[]),
                }
                .into_iter()
                .chain(words(
                    if (*a, *b) == (Side::Right, Side::Left) { &ends[..2] } else { &ends },
                    &[],
                ))
                .chain(blocks.then(|| b"0".to_vec()))
                .collect()
            }
            Self::MoveMany(from, to, a, b, many) => {
                let mut words =
                    words(&["LMOVEM", &name(*from), &name(*to), side_word(*a), side_word(*b)], &[]);
                if let Some(many) = many {
                    words.extend([
                        if many.exactly { b"exactly".to_vec() } else { b"COUNT".to_vec() },
                        many.count.to_string().into_bytes(),
                        if many.one_by_one { b"OBO".to_vec() } else { b"bulk".to_vec() },
                    ]);
                }
                words
            }
            Self::MultiPop(keys, side, count, blocks) => {
                let mut text = if *blocks {
                    vec!["BLMPOP".to_owned(), "0".to_owned()]
                } else {
                    vec!["LMPOP".to_owned()]
                };
                text.push(keys.len().to_string());
                text.extend(keys.iter().map(|key| name(*key)));
                text.push(side_word(*side).to_owned());
                if let Some(count) = count {
                    text.extend(["COUNT".to_owned(), count.to_string()]);
                }
                text.into_iter().map(String::into_bytes).collect()
            }
            Self::BlockingPop(keys, side) => {
                let mut text = vec![if *side == Side::Left { "BLPOP" } else { "BRPOP" }.to_owned()];
                text.extend(keys.iter().map(|key| name(*key)));
                text.push("0.5".to_owned());
                text.into_iter().map(String::into_bytes).collect()
            }
            Self::String(key) => words(&["SET", &name(*key), "string"], &[]),
            Self::Del(key) => words(&["DEL", &name(*key)], &[]),
            Self::Rename(from, to) => words(&["RENAME", &name(*from), &name(*to)], &[]),
            Self::Copy(from, to) => words(&["COPY", &name(*from), &name(*to), "REPLACE"], &[]),
            Self::Expire(key, millis) => words(&["PEXPIRE", &name(*key), &millis.to_string()], &[]),
            Self::Size(size) => {
                words(&["CONFIG", "SET", "list-max-listpack-size", &SIZES[*size].to_string()], &[])
            }
            Self::Depth(depth) => {
                words(&["CONFIG", "SET", "list-compress-depth", &depth.to_string()], &[])
            }
            _ => vec![],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    List(VecDeque<Word>),
    String,
}

/// What the server should hold.
#[derive(Default)]
struct Model {
    entries: BTreeMap<Key, (Held, Option<u64>)>,
    now: u64,
}

/// The error of a command on a key of another type.
struct WrongType;

impl Model {
    fn find(&self, key: Key) -> Option<&(Held, Option<u64>)> {
        self.entries.get(&key).filter(|(_, deadline)| deadline.is_none_or(|at| at >= self.now))
    }

    fn list(&self, key: Key) -> Result<Option<VecDeque<Word>>, WrongType> {
        match self.find(key) {
            None => Ok(None),
            Some((Held::List(list), _)) => Ok(Some(list.clone())),
            Some((Held::String, _)) => Err(WrongType),
        }
    }

    /// Keeps the deadline; an empty list goes.
    fn put(&mut self, key: Key, list: VecDeque<Word>) {
        let deadline = self.find(key).and_then(|(_, deadline)| *deadline);
        if list.is_empty() {
            self.entries.remove(&key);
        } else {
            self.entries.insert(key, (Held::List(list), deadline));
        }
    }

    fn apply(&mut self, op: &Op) -> Value {
        match self.try_apply(op) {
            Ok(value) => value,
            Err(WrongType) => Value::error(WRONG_TYPE),
        }
    }

    fn try_apply(&mut self, op: &Op) -> Result<Value, WrongType> {
        Ok(match op {
            Op::Push(side, always, key, elements) => {
                let list = self.list(*key)?;
                if list.is_none() && !always {
                    return Ok(Value::Integer(0));
                }
                let mut list = list.unwrap_or_default();
                elements.iter().for_each(|element| push(&mut list, *side, element.clone()));
                let len = list.len();
                self.put(*key, list);
                Value::Integer(len as i64)
            }
            Op::Pop(side, key, count) => self.pop(*side, *key, *count)?,
            Op::Len(key) => Value::Integer(self.list(*key)?.map_or(0, |list| list.len()) as i64),
            Op::Index(key, index) => {
                let list = self.list(*key)?.unwrap_or_default();
                place(*index, list.len()).map_or(Value::Null, |at| Value::bulk(&list[at]))
            }
            Op::Range(key, from, to) => {
                bulks(between(&self.list(*key)?.unwrap_or_default(), *from, *to))
            }
            Op::Set(key, index, word) => {
                let Some(mut list) = self.list(*key)? else {
                    return Ok(Value::error("ERR no such key"));
                };
                let Some(at) = place(*index, list.len()) else {
                    return Ok(Value::error("ERR index out of range"));
                };
                list[at] = word.clone();
                self.put(*key, list);
                Value::simple("OK")
            }
            Op::Insert(key, behind, pivot, word) => {
                let Some(mut list) = self.list(*key)? else { return Ok(Value::Integer(0)) };
                let Some(at) = list.iter().position(|element| element == pivot) else {
                    return Ok(Value::Integer(-1));
                };
                list.insert(at + usize::from(*behind), word.clone());
                let len = list.len();
                self.put(*key, list);
                Value::Integer(len as i64)
            }
            Op::Remove(key, count, word) => self.remove(*key, *count, word)?,
            Op::Trim(key, from, to) => {
                if let Some(list) = self.list(*key)? {
                    self.put(*key, between(&list, *from, *to).into());
                }
                Value::simple("OK")
            }
            Op::Position(key, word, search) => self.position(*key, word, search)?,
            _ => self.apply_more(op)?,
        })
    }

    fn apply_more(&mut self, op: &Op) -> Result<Value, WrongType> {
        Ok(match op {
            Op::Move(from, to, a, b, _) => {
                let one = Many { count: 1, exactly: false, one_by_one: true };
                match self.move_many(*from, *to, *a, *b, &one)? {
                    Some(moved) => Value::bulk(&moved[0]),
                    None => Value::Null,
                }
            }
            Op::MoveMany(_, _, _, _, Some(Many { count: 0, exactly, .. })) => {
                let what = if *exactly { "exactly" } else { "count" };
                Value::error(&format!("ERR {what} should be greater than 0"))
            }
            Op::MoveMany(from, to, a, b, many) => {
                let one = Many { count: 1, exactly: false, one_by_one: true };
                let moved = self.move_many(*from, *to, *a, *b, many.as_ref().unwrap_or(&one))?;
                moved.map_or(Value::NullArray, bulks)
            }
            Op::MultiPop(_, _, Some(0), _) => Value::error("ERR count should be greater than 0"),
            Op::MultiPop(keys, side, count, _) => {
                for key in keys {
                    if self.list(*key)?.is_some() {
                        let popped = self.pop(*side, *key, Some(count.unwrap_or(1)))?;
                        return Ok(Value::Array(vec![Value::bulk(name(*key)), popped]));
                    }
                }
                Value::NullArray
            }
            Op::BlockingPop(keys, side) => {
                for key in keys {
                    if self.list(*key)?.is_some() {
                        let popped = self.pop(*side, *key, None)?;
                        return Ok(Value::Array(vec![Value::bulk(name(*key)), popped]));
                    }
                }
                Value::NullArray
            }
            Op::String(key) => {
                self.entries.insert(*key, (Held::String, None));
                Value::simple("OK")
            }
            Op::Del(key) => {
                let found = self.find(*key).is_some();
                self.entries.remove(key);
                Value::Integer(found.into())
            }
            Op::Rename(from, to) => match self.find(*from).cloned() {
                None => Value::error("ERR no such key"),
                Some(entry) => {
                    self.entries.remove(from);
                    self.entries.insert(*to, entry);
                    Value::simple("OK")
                }
            },
            Op::Copy(from, to) if from == to => {
                Value::error("ERR source and destination objects are the same")
            }
            Op::Copy(from, to) => match self.find(*from).cloned() {
                None => Value::Integer(0),
                Some(entry) => {
                    self.entries.insert(*to, entry);
                    Value::Integer(1)
                }
            },
            Op::Expire(key, millis) => match self.find(*key).cloned() {
                None => Value::Integer(0),
                Some((held, _)) => {
                    let deadline = self.now + *millis as u64;
                    self.entries.insert(*key, (held, Some(deadline)));
                    Value::Integer(1)
                }
            },
            Op::Size(_) | Op::Depth(_) => Value::simple("OK"),
            _ => unreachable!("{op:?} is no command of this half"),
        })
    }

    fn pop(&mut self, side: Side, key: Key, count: Option<i64>) -> Result<Value, WrongType> {
        if count.is_some_and(|count| count < 0) {
            return Ok(Value::error("ERR value is out of range, must be positive"));
        }
        let Some(mut list) = self.list(key)? else {
            return Ok(if count.is_some() { Value::NullArray } else { Value::Null });
        };
        let mut popped = Vec::new();
        for _ in 0..count.unwrap_or(1) {
            popped.extend(if side == Side::Left { list.pop_front() } else { list.pop_back() });
        }
        self.put(key, list);
        Ok(match count {
            None => Value::bulk(&popped[0]),
            Some(_) => bulks(popped),
        })
    }

    fn remove(&mut self, key: Key, count: i64, word: &Word) -> Result<Value, WrongType> {
        let Some(list) = self.list(key)? else { return Ok(Value::Integer(0)) };
        let max = if count == 0 { u64::MAX } else { count.unsigned_abs() };
        let mut removed = 0;
        let mut keep = |element: &Word| {
            let goes = element == word && removed < max;
            removed += u64::from(goes);
            !goes
        };
        let kept: VecDeque<Word> = if count >= 0 {
            list.into_iter().filter(|element| keep(element)).collect()
        } else {
            let backwards: Vec<Word> = list.into_iter().rev().filter(|it| keep(it)).collect();
            backwards.into_iter().rev().collect()
        };
        self.put(key, kept);
        Ok(Value::Integer(removed as i64))
    }

    fn position(&self, key: Key, word: &Word, search: &Search) -> Result<Value, WrongType> {
        let rank = search.rank.unwrap_or(1);
        if rank == 0 {
            return Ok(Value::error(
                "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second \
                 ... or use negative to start from the end of the list",
            ));
        }
        if search.count.is_some_and(|count| count < 0) {
            return Ok(Value::error("ERR COUNT can't be negative"));
        }
        if search.len.is_some_and(|len| len < 0) {
            return Ok(Value::error("ERR MAXLEN can't be negative"));
        }
        let list = self.list(key)?.unwrap_or_default();
        let mut places: Vec<usize> = (0..list.len()).collect();
        if rank < 0 {
            places.reverse();
        }
        if let Some(len @ 1..) = search.len {
            places.truncate(len as usize);
        }
        let matches = places.into_iter().filter(|&at| list[at] == *word);
        let mut matches = matches.skip(usize::try_from(rank.unsigned_abs() - 1).unwrap());
        Ok(match search.count {
            None => matches.next().map_or(Value::Null, |at| Value::Integer(at as i64)),
            Some(count) => {
                let count = if count == 0 { usize::MAX } else { count as usize };
                Value::Array(matches.take(count).map(|at| Value::Integer(at as i64)).collect())
            }
        })
    }

    /// Moves elements one by one, or as a block; gives them as they lie in the destination.
    fn move_many(
        &mut self,
        from: Key,
        to: Key,
        from_side: Side,
        to_side: Side,
        many: &Many,
    ) -> Result<Option<Vec<Word>>, WrongType> {
        let Some(mut source) = self.list(from)? else { return Ok(None) };
        let count = many.count as usize;
        if many.exactly && source.len() < count {
            return Ok(None);
        }
        self.list(to)?;
        let count = count.min(source.len());
        let mut block: Vec<Word> = Vec::new();
        for _ in 0..count {
            let word = match from_side {
                Side::Left => source.pop_front(),
                Side::Right => source.pop_back(),
            };
            block.push(word.expect("it is long enough"));
        }
        if many.one_by_one {
            if to_side == Side::Left {
                block.reverse();
            }
        } else if from_side == Side::Right {
            block.reverse();
        }
        // A list that is moved within itself is never gone in between.
        let mut destination = if from == to {
            source
        } else {
            self.put(from, source);
            self.list(to)?.unwrap_or_default()
        };
        match to_side {
            Side::Left => block.iter().rev().for_each(|word| destination.push_front(word.clone())),
            Side::Right => destination.extend(block.iter().cloned()),
        }
        self.put(to, destination);
        Ok(Some(block))
    }

    fn check(&self, server: &mut Server, conn: ConnId) {
        for key in 0..3 {
            let got = run(server, conn, &words(&["TYPE", &name(key)], &[]), true);
            let Some((held, deadline)) = self.find(key) else {
                assert_eq!(got, Value::simple("none"));
                continue;
            };
            if let Held::List(list) = held {
                let range = words(&["LRANGE", &name(key), "0", "-1"], &[]);
                let elements = run(server, conn, &range, true);
                assert_eq!(elements, bulks(list.iter().cloned()), "{}", name(key));
                let encoding = words(&["OBJECT", "ENCODING", &name(key)], &[]);
                let encoding = run(server, conn, &encoding, true);
                let known = [Value::bulk("listpack"), Value::bulk("quicklist")];
                assert!(known.contains(&encoding), "{encoding}");
            } else {
                assert_eq!(got, Value::simple("string"));
            }
            let got = run(server, conn, &words(&["PEXPIRETIME", &name(key)], &[]), true);
            assert_eq!(got, Value::Integer(deadline.map_or(-1, |at| at as i64)));
        }
    }
}

fn push(list: &mut VecDeque<Word>, side: Side, element: Word) {
    match side {
        Side::Left => list.push_front(element),
        Side::Right => list.push_back(element),
    }
}

fn bulks(words: impl IntoIterator<Item = Word>) -> Value {
    Value::Array(words.into_iter().map(Value::bulk).collect())
}

fn place(index: i64, len: usize) -> Option<usize> {
    let at = if index < 0 { i128::from(index) + len as i128 } else { index.into() };
    usize::try_from(at).ok().filter(|&at| at < len)
}

fn between(list: &VecDeque<Word>, from: i64, to: i64) -> Vec<Word> {
    let len = list.len() as i128;
    let from_start = |index: i64| i128::from(index) + if index < 0 { len } else { 0 };
    let (from, to) = (from_start(from), from_start(to));
    let chosen = list.iter().enumerate().filter(|(at, _)| (from..=to).contains(&(*at as i128)));
    chosen.map(|(_, word)| word.clone()).collect()
}

/// Runs a command whose client may have to wait, and then waits until its patience ends.
fn run_or_wait(server: &mut Server, conn: ConnId, op: &Op, now: &mut u64) -> Value {
    server.send(conn, b"");
    let bytes = server.send(conn, &orrery_tests::resp_value::encode(&op.words()));
    if !bytes.is_empty() {
        return Value::read_all(&bytes).remove(0);
    }
    *now += 500;
    server.advance_ms(500);
    Value::read_all(&server.output(conn)).remove(0)
}

fn play(ops: &[Op]) -> Result<(), TestCaseError> {
    let mut server = Server::default();
    let conn = server.connect();
    let mut model = Model { now: server.unix_ms(), ..Model::default() };
    for op in ops {
        match op {
            Op::Wait(millis, sleeps) => {
                if *sleeps {
                    server.oversleep_ms(*millis);
                } else {
                    server.advance_ms(*millis);
                }
                model.now += millis;
            }
            // Those would wait for ever.
            Op::Move(from, _, _, _, true) if model.find(*from).is_none() => {}
            Op::MultiPop(keys, _, count, true)
                if *count != Some(0) && keys.iter().all(|key| model.find(*key).is_none()) => {}
            Op::BlockingPop(..) => {
                let expected = model.apply(op);
                let got = run_or_wait(&mut server, conn, op, &mut model.now);
                prop_assert_eq!(&got, &expected, "{:?}", op);
            }
            _ => {
                let got = run(&mut server, conn, &op.words(), op.only_reads());
                prop_assert_eq!(&got, &model.apply(op), "{:?}", op);
            }
        }
        server.engine().check_invariants();
    }
    model.check(&mut server, conn);
    Ok(())
}

proptest! {
    #[test]
    fn lists_behave_like_deques(
        beginning in beginning(),
        ops in prop::collection::vec(prop_oneof![2 => first_op(), 1 => second_op()], 1..150)
    ) {
        play(&[beginning, ops].concat())?;
    }
}
