//! Every hash command against sorted maps of fields with deadlines: random sequences over few keys,
//! in packed form and in tables, with time passing for fields and for keys.

use std::collections::{BTreeMap, BTreeSet};

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::model::{Expiry, run};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

type Key = u8;
type Name = u16;

/// A value and when it expires.
type Field = (Vec<u8>, Option<u64>);

#[derive(Clone, Debug)]
enum Held {
    Hash(BTreeMap<Vec<u8>, Field>),
    Text,
}

/// Keys with what they hold and when they expire.
type Database = BTreeMap<Vec<u8>, (Held, Option<u64>)>;

/// Two databases of which the first is selected.
#[derive(Clone, Debug, Default)]
struct Model {
    databases: [Database; 2],
    now: u64,
    /// Fields have expired since the server last had time to look.
    unswept: bool,
    /// Whole hashes have.
    unswept_keys: bool,
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    None,
    Nx,
    Xx,
    Gt,
    Lt,
}

#[derive(Clone, Copy, Debug)]
enum NewTtl {
    Discard,
    Keep,
    Persist,
    At(Expiry),
}

#[derive(Clone, Debug)]
enum Op {
    Set(Key, Vec<(Name, Vec<u8>)>, bool),
    SetNx(Key, Name, Vec<u8>),
    SetEx {
        key: Key,
        exists: Option<bool>,
        fields: Option<bool>,
        ttl: NewTtl,
        pairs: Pairs,
    },
    Get(Key, Name),
    MGet(Key, Vec<Name>),
    GetEx(Key, NewTtl, Vec<Name>),
    GetDel(Key, Vec<Name>),
    Del(Key, Vec<Name>),
    Len(Key),
    StrLen(Key, Name),
    Exists(Key, Name),
    GetAll(Key),
    Keys(Key),
    Vals(Key),
    Scan(Key, u8, bool, bool),
    Random(Key, Option<(i8, bool)>),
    IncrBy(Key, Name, i64),
    IncrByFloat(Key, Name, i32),
    Expire(Key, Expiry, Condition, Vec<Name>),
    Ttl(Key, u8, Vec<Name>),
    Persist(Key, Vec<Name>),
    DelKey(Key),
    Rename(Key, Key),
    Copy(Key, Key),
    SetText(Key),
    ExpireKey(Key, u64),
    Move(Key),
    SwapDb,
    FlushDb,
    Limits(u16, u16),
    /// Time passes; the driver may oversleep.
    Wait(u64, bool),
}

type Pairs = Vec<(Name, Vec<u8>)>;

fn key_name(key: Key) -> Vec<u8> {
    if key == 0 { vec![b'k'; 1200] } else { format!("k{key}").into_bytes() }
}

/// Some names are numbers, one is too long for a packed hash.
fn field_name(name: Name) -> Vec<u8> {
    match name {
        0 => vec![],
        1..=5 => (i64::from(name) * 77 - 200).to_string().into_bytes(),
        6 => vec![b'n'; 65],
        _ => format!("field:{name}").into_bytes(),
    }
}

/// Few names are met again often; many make a hash big.
fn name() -> impl Strategy<Value = Name> {
    prop_oneof![4 => 0..12_u16, 1 => 0..200_u16]
}

fn names() -> impl Strategy<Value = Vec<Name>> {
    prop::collection::vec(name(), 1..5)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let texts = ["", "a", "0", "7", "-3", "0.5", "-2.25", "abc", "9223372036854775807"];
    prop_oneof![
        4 => prop::sample::select(texts.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        2 => any::<i64>().prop_map(|value| (value >> (value & 63)).to_string().into_bytes()),
        1 => (any::<u8>(), prop_oneof![60..70_usize, 180..320_usize, Just(5000)])
            .prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn pairs() -> impl Strategy<Value = Pairs> {
    prop_oneof![
        8 => prop::collection::vec((name(), value()), 1..5),
        1 => prop::collection::vec((0..400_u16, value()), 100..300),
    ]
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        (0..20_u64).prop_map(Expiry::Seconds),
        (0..5000_u64).prop_map(Expiry::Millis),
        (-5..20_i64).prop_map(Expiry::UnixSeconds),
        (-500..5000_i64).prop_map(Expiry::UnixMillis),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        3 => Just(Condition::None),
        1 => Just(Condition::Nx),
        1 => Just(Condition::Xx),
        1 => Just(Condition::Gt),
        1 => Just(Condition::Lt),
    ]
}

fn ttl(other: NewTtl) -> impl Strategy<Value = NewTtl> {
    prop_oneof![1 => Just(NewTtl::Discard), 1 => Just(other), 3 => expiry().prop_map(NewTtl::At)]
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..4_u8;
    let maybe = || prop::option::of(any::<bool>());
    let set_ex = (key(), maybe(), maybe(), ttl(NewTtl::Keep), pairs());
    let random = prop::option::of((any::<i8>(), any::<bool>()));
    let by = prop_oneof![4 => -20..20_i64, 1 => any::<i64>()];
    let writes = prop_oneof![
        6 => (key(), pairs(), any::<bool>()).prop_map(|(key, pairs, m)| Op::Set(key, pairs, m)),
        2 => (key(), name(), value()).prop_map(|(key, name, value)| Op::SetNx(key, name, value)),
        4 => set_ex.prop_map(|(key, exists, fields, ttl, pairs)| {
            Op::SetEx { key, exists, fields, ttl, pairs }
        }),
        2 => (key(), ttl(NewTtl::Persist), names())
            .prop_map(|(key, ttl, names)| Op::GetEx(key, ttl, names)),
        2 => (key(), names()).prop_map(|(key, names)| Op::GetDel(key, names)),
        3 => (key(), names()).prop_map(|(key, names)| Op::Del(key, names)),
        2 => (key(), name(), by).prop_map(|(key, name, by)| Op::IncrBy(key, name, by)),
        2 => (key(), name(), -40..40_i32)
            .prop_map(|(key, name, by)| Op::IncrByFloat(key, name, by)),
        6 => (key(), expiry(), condition(), names())
            .prop_map(|(key, at, condition, names)| Op::Expire(key, at, condition, names)),
        2 => (key(), names()).prop_map(|(key, names)| Op::Persist(key, names)),
    ];
    let reads = prop_oneof![
        (key(), name()).prop_map(|(key, name)| Op::Get(key, name)),
        (key(), names()).prop_map(|(key, names)| Op::MGet(key, names)),
        key().prop_map(Op::Len),
        (key(), name()).prop_map(|(key, name)| Op::StrLen(key, name)),
        (key(), name()).prop_map(|(key, name)| Op::Exists(key, name)),
        key().prop_map(Op::GetAll),
        key().prop_map(Op::Keys),
        key().prop_map(Op::Vals),
        (key(), any::<u8>(), any::<bool>(), any::<bool>()).prop_map(
            |(key, count, only_names, matches)| Op::Scan(key, count, only_names, matches)
        ),
        (key(), random).prop_map(|(key, count)| Op::Random(key, count)),
        (key(), 0..4_u8, names()).prop_map(|(key, unit, names)| Op::Ttl(key, unit, names)),
    ];
    let keys = prop_oneof![
        key().prop_map(Op::DelKey),
        (key(), key()).prop_map(|(from, to)| Op::Rename(from, to)),
        (key(), key()).prop_map(|(from, to)| Op::Copy(from, to)),
        key().prop_map(Op::SetText),
        (key(), 1..5000_u64).prop_map(|(key, ttl)| Op::ExpireKey(key, ttl)),
        key().prop_map(Op::Move),
        Just(Op::SwapDb),
        Just(Op::FlushDb),
        (prop::sample::select(vec![0, 4, 50, 512]), prop::sample::select(vec![0, 6, 64, 1000]))
            .prop_map(|(entries, bytes)| Op::Limits(entries, bytes)),
    ];
    let waits = (prop_oneof![0..50_u64, 0..10_000_u64], any::<bool>())
        .prop_map(|(millis, oversleeps)| Op::Wait(millis, oversleeps));
    prop_oneof![8 => writes, 4 => reads, 2 => keys, 2 => waits]
}

fn words_of(parts: &[&[u8]], names: &[Name]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
    words.extend(names.iter().map(|name| field_name(*name)));
    words
}

fn fields_words(names: &[Name]) -> Vec<Vec<u8>> {
    words_of(&[b"FIELDS", names.len().to_string().as_bytes()], names)
}

fn pair_words(pairs: &Pairs) -> Vec<Vec<u8>> {
    pairs.iter().flat_map(|(name, value)| [field_name(*name), value.clone()]).collect()
}

impl NewTtl {
    fn words(self, now: u64) -> Vec<Vec<u8>> {
        match self {
            Self::Discard => vec![],
            Self::Keep => vec![b"KEEPTTL".to_vec()],
            Self::Persist => vec![b"PERSIST".to_vec()],
            Self::At(expiry) => expiry.words(now).map(String::into_bytes).to_vec(),
        }
    }
}

impl Condition {
    fn words(self) -> Vec<Vec<u8>> {
        match self {
            Self::None => vec![],
            Self::Nx => vec![b"NX".to_vec()],
            Self::Xx => vec![b"XX".to_vec()],
            Self::Gt => vec![b"GT".to_vec()],
            Self::Lt => vec![b"LT".to_vec()],
        }
    }

    fn holds(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Self::None => true,
            Self::Nx => old.is_none(),
            Self::Xx => old.is_some(),
            Self::Gt => old.is_some_and(|old| new > old),
            Self::Lt => old.is_none_or(|old| new < old),
        }
    }
}

impl Op {
    fn words(&self, now: u64) -> Vec<Vec<u8>> {
        let hash = |command: &str, key: Key| vec![command.as_bytes().to_vec(), key_name(key)];
        let flag = |word: &str, wanted: bool| wanted.then(|| word.as_bytes().to_vec());
        let number = |value: i64| vec![value.to_string().into_bytes()];
        match self {
            Self::Set(key, pairs, old_name) => {
                let command = if *old_name { "HMSET" } else { "HSET" };
                [hash(command, *key), pair_words(pairs)].concat()
            }
            Self::SetNx(key, name, value) => {
                [hash("HSETNX", *key), vec![field_name(*name), value.clone()]].concat()
            }
            Self::SetEx { key, exists, fields, ttl, pairs } => {
                let mut words = hash("HSETEX", *key);
                words.extend(exists.map(|it| if it { b"XX".to_vec() } else { b"NX".to_vec() }));
                words.extend(fields.map(|it| if it { b"FXX".to_vec() } else { b"FNX".to_vec() }));
                words.extend(ttl.words(now));
                words.extend([b"FIELDS".to_vec(), pairs.len().to_string().into_bytes()]);
                [words, pair_words(pairs)].concat()
            }
            Self::Get(key, name) => words_of(&[b"HGET", &key_name(*key)], &[*name]),
            Self::MGet(key, names) => words_of(&[b"HMGET", &key_name(*key)], names),
            Self::GetEx(key, ttl, names) => {
                [hash("HGETEX", *key), ttl.words(now), fields_words(names)].concat()
            }
            Self::GetDel(key, names) => [hash("HGETDEL", *key), fields_words(names)].concat(),
            Self::Del(key, names) => words_of(&[b"HDEL", &key_name(*key)], names),
            Self::Len(key) => hash("HLEN", *key),
            Self::StrLen(key, name) => words_of(&[b"HSTRLEN", &key_name(*key)], &[*name]),
            Self::Exists(key, name) => words_of(&[b"HEXISTS", &key_name(*key)], &[*name]),
            Self::GetAll(key) => hash("HGETALL", *key),
            Self::Keys(key) => hash("HKEYS", *key),
            Self::Vals(key) => hash("HVALS", *key),
            Self::Random(key, count) => {
                let mut words = hash("HRANDFIELD", *key);
                if let Some((count, with_values)) = count {
                    words.extend(number((*count).into()));
                    words.extend(flag("WITHVALUES", *with_values));
                }
                words
            }
            Self::IncrBy(key, name, by) => {
                [words_of(&[b"HINCRBY", &key_name(*key)], &[*name]), number(*by)].concat()
            }
            Self::IncrByFloat(key, name, by) => [
                words_of(&[b"HINCRBYFLOAT", &key_name(*key)], &[*name]),
                vec![quarters((*by).into()).into_bytes()],
            ]
            .concat(),
            Self::Expire(key, at, condition, names) => {
                let command = match at {
                    Expiry::Seconds(_) => "HEXPIRE",
                    Expiry::Millis(_) => "HPEXPIRE",
                    Expiry::UnixSeconds(_) => "HEXPIREAT",
                    Expiry::UnixMillis(_) => "HPEXPIREAT",
                };
                let [_, at] = at.words(now);
                let head = [hash(command, *key), vec![at.into_bytes()]].concat();
                [head, condition.words(), fields_words(names)].concat()
            }
            Self::Ttl(key, unit, names) => {
                let command = ["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME"][usize::from(*unit)];
                [hash(command, *key), fields_words(names)].concat()
            }
            Self::Persist(key, names) => [hash("HPERSIST", *key), fields_words(names)].concat(),
            Self::DelKey(key) => hash("DEL", *key),
            Self::Rename(from, to) => [hash("RENAME", *from), vec![key_name(*to)]].concat(),
            Self::Copy(from, to) => {
                [hash("COPY", *from), vec![key_name(*to), b"REPLACE".to_vec()]].concat()
            }
            Self::SetText(key) => [hash("SET", *key), vec![b"text".to_vec()]].concat(),
            Self::ExpireKey(key, ttl) => [hash("PEXPIRE", *key), number(*ttl as i64)].concat(),
            Self::Move(key) => [hash("MOVE", *key), number(1)].concat(),
            Self::SwapDb => words_of(&[b"SWAPDB", b"0", b"1"], &[]),
            Self::FlushDb => words_of(&[b"FLUSHDB"], &[]),
            Self::Limits(entries, bytes) => {
                let (entries, bytes) = (entries.to_string(), bytes.to_string());
                let names: [&[u8]; 2] = [b"hash-max-listpack-entries", b"hash-max-listpack-value"];
                let words: [&[u8]; 6] =
                    [b"CONFIG", b"SET", names[0], entries.as_bytes(), names[1], bytes.as_bytes()];
                words_of(&words, &[])
            }
            Self::Scan(..) | Self::Wait(..) => unreachable!("it is no single command"),
        }
    }

    fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Get(..)
                | Self::MGet(..)
                | Self::Len(_)
                | Self::StrLen(..)
                | Self::Exists(..)
                | Self::GetAll(_)
                | Self::Keys(_)
                | Self::Vals(_)
                | Self::Random(..)
                | Self::Ttl(..)
        )
    }

    /// Whether what has expired and is not taken out yet makes a difference: where Redis asks for
    /// keys or for a length.
    fn sees_the_dead(&self) -> bool {
        matches!(
            self,
            Self::Len(_)
                | Self::SetEx { exists: Some(_), .. }
                | Self::DelKey(_)
                | Self::Rename(..)
                | Self::Copy(..)
                | Self::ExpireKey(..)
                | Self::Move(_)
        )
    }
}

/// A quarter of a number, in digits.
fn quarters(value: i64) -> String {
    (value as f64 / 4.0).to_string()
}

/// What a reply must be.
enum Expected {
    Exactly(Value),
    /// So many elements of this list at a time, in any order of those.
    Shuffled(Vec<Value>, usize),
    /// Random fields: how many, of these, different ones or not.
    Random {
        of: BTreeMap<Vec<u8>, Vec<u8>>,
        count: usize,
        differ: bool,
        with_values: bool,
    },
}

use Expected::{Exactly, Shuffled};

fn wrong_type() -> Value {
    Value::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

fn bulk_or_null(field: Option<&Field>) -> Value {
    field.map_or(Value::Null, |(value, _)| Value::bulk(value))
}

fn integers(values: impl Iterator<Item = i64>) -> Expected {
    Exactly(Value::Array(values.map(Value::Integer).collect()))
}

impl Model {
    /// Lets time pass: what has expired is gone.
    fn wait(&mut self, millis: u64) {
        self.now += millis;
        let now = self.now;
        let dead = |deadline: &Option<u64>| deadline.is_some_and(|deadline| deadline < now);
        for database in &mut self.databases {
            for (held, deadline) in database.values_mut() {
                let Held::Hash(fields) = held else { continue };
                let before = fields.len();
                fields.retain(|_, (_, deadline)| !dead(deadline));
                self.unswept |= fields.len() < before;
                // With the time to live of its key it would live on if a field came in time.
                self.unswept_keys |= fields.is_empty() && !dead(deadline);
            }
            database.retain(|_, (held, deadline)| {
                !dead(deadline) && !matches!(held, Held::Hash(fields) if fields.is_empty())
            });
        }
    }

    fn fields(&self, key: Key) -> Option<BTreeMap<Vec<u8>, Field>> {
        match self.databases[0].get(&key_name(key)) {
            Some((Held::Hash(fields), _)) => Some(fields.clone()),
            Some((Held::Text, _)) => None,
            None => Some(BTreeMap::new()),
        }
    }

    fn store(&mut self, key: Key, fields: BTreeMap<Vec<u8>, Field>) {
        let key = key_name(key);
        if fields.is_empty() {
            self.databases[0].remove(&key);
        } else {
            let deadline = self.databases[0].get(&key).and_then(|(_, deadline)| *deadline);
            self.databases[0].insert(key, (Held::Hash(fields), deadline));
        }
    }

    /// What the command must reply; the model is changed as the server must be.
    fn apply(&mut self, op: &Op) -> Expected {
        match op {
            Op::DelKey(key) => {
                let known = self.databases[0].remove(&key_name(*key)).is_some();
                Exactly(Value::Integer(known.into()))
            }
            Op::Rename(from, to) => match self.databases[0].remove(&key_name(*from)) {
                Some(entry) => {
                    self.databases[0].insert(key_name(*to), entry);
                    Exactly(Value::simple("OK"))
                }
                None => Exactly(Value::error("ERR no such key")),
            },
            Op::Copy(from, to) if from == to => {
                Exactly(Value::error("ERR source and destination objects are the same"))
            }
            Op::Copy(from, to) => {
                let entry = self.databases[0].get(&key_name(*from)).cloned();
                let known = entry.is_some();
                entry.map(|entry| self.databases[0].insert(key_name(*to), entry));
                Exactly(Value::Integer(known.into()))
            }
            Op::SetText(key) => {
                self.databases[0].insert(key_name(*key), (Held::Text, None));
                Exactly(Value::simple("OK"))
            }
            Op::ExpireKey(key, ttl) => {
                let now = self.now;
                let entry = self.databases[0].get_mut(&key_name(*key));
                let known = entry.map(|(_, deadline)| *deadline = Some(now + ttl)).is_some();
                Exactly(Value::Integer(known.into()))
            }
            Op::Move(key) => {
                let key = key_name(*key);
                let is_free = !self.databases[1].contains_key(&key);
                let entry = self.databases[0].get(&key).cloned().filter(|_| is_free);
                if let Some(entry) = &entry {
                    self.databases[0].remove(&key);
                    self.databases[1].insert(key, entry.clone());
                }
                Exactly(Value::Integer(entry.is_some().into()))
            }
            Op::SwapDb => {
                self.databases.swap(0, 1);
                Exactly(Value::simple("OK"))
            }
            Op::FlushDb => {
                self.databases[0].clear();
                Exactly(Value::simple("OK"))
            }
            Op::Limits(..) => Exactly(Value::simple("OK")),
            _ => self.apply_to_hash(op),
        }
    }

    fn apply_to_hash(&mut self, op: &Op) -> Expected {
        let key = *match op {
            Op::Set(key, ..) | Op::SetNx(key, ..) | Op::SetEx { key, .. } | Op::Get(key, _) => key,
            Op::MGet(key, _) | Op::GetEx(key, ..) | Op::GetDel(key, _) | Op::Del(key, _) => key,
            Op::Len(key) | Op::StrLen(key, _) | Op::Exists(key, _) | Op::GetAll(key) => key,
            Op::Keys(key) | Op::Vals(key) | Op::Random(key, _) | Op::IncrBy(key, ..) => key,
            Op::IncrByFloat(key, ..) | Op::Expire(key, ..) | Op::Ttl(key, ..) => key,
            Op::Persist(key, _) => key,
            other => unreachable!("{other:?} is not about one hash"),
        };
        let Some(mut fields) = self.fields(key) else { return Exactly(wrong_type()) };
        let reply = match read(&fields, op, self.now) {
            Some(reply) => reply,
            None => write(&mut fields, op, self.now),
        };
        self.store(key, fields);
        reply
    }
}

/// What a command that only reads must reply; `None` if it is another.
fn read(fields: &BTreeMap<Vec<u8>, Field>, op: &Op, now: u64) -> Option<Expected> {
    let find = |name: &Name| fields.get(&field_name(*name));
    let exactly = |value| Some(Exactly(value));
    match op {
        Op::Get(_, name) => exactly(bulk_or_null(find(name))),
        Op::MGet(_, names) => {
            exactly(Value::Array(names.iter().map(|name| bulk_or_null(find(name))).collect()))
        }
        Op::Len(_) => exactly(Value::Integer(fields.len() as i64)),
        Op::StrLen(_, name) => {
            exactly(Value::Integer(find(name).map_or(0, |(value, _)| value.len() as i64)))
        }
        Op::Exists(_, name) => exactly(Value::Integer(find(name).is_some().into())),
        Op::GetAll(_) => {
            let pairs = fields.iter().flat_map(|(name, (value, _))| [name, value]);
            Some(Shuffled(pairs.map(Value::bulk).collect(), 2))
        }
        Op::Keys(_) => Some(Shuffled(fields.keys().map(Value::bulk).collect(), 1)),
        Op::Vals(_) => {
            Some(Shuffled(fields.values().map(|(value, _)| Value::bulk(value)).collect(), 1))
        }
        Op::Random(_, None) if fields.is_empty() => exactly(Value::Null),
        Op::Random(_, count) => {
            let of: BTreeMap<_, _> =
                fields.iter().map(|(name, (value, _))| (name.clone(), value.clone())).collect();
            let (number, with_values) = count.unwrap_or((1, false));
            let differ = number >= 0;
            let wanted = usize::from(number.unsigned_abs());
            let count = if differ { wanted.min(of.len()) } else { wanted };
            let count = if of.is_empty() { 0 } else { count };
            Some(Expected::Random { of, count, differ, with_values })
        }
        Op::Ttl(_, unit, names) => Some(integers(names.iter().map(|name| match find(name) {
            None => -2,
            Some((_, None)) => -1,
            Some((_, Some(deadline))) => match unit {
                0 => (deadline - now).div_ceil(1000) as i64,
                1 => (deadline - now) as i64,
                2 => deadline.div_ceil(1000) as i64,
                _ => *deadline as i64,
            },
        }))),
        _ => None,
    }
}

/// Does what a command must do, and returns what it must reply.
fn write(fields: &mut BTreeMap<Vec<u8>, Field>, op: &Op, now: u64) -> Expected {
    match op {
        Op::Set(_, pairs, old_name) => {
            let mut added = 0;
            for (name, value) in pairs {
                added +=
                    i64::from(fields.insert(field_name(*name), (value.clone(), None)).is_none());
            }
            Exactly(if *old_name { Value::simple("OK") } else { Value::Integer(added) })
        }
        Op::SetNx(_, name, value) => {
            let is_free = !fields.contains_key(&field_name(*name));
            if is_free {
                fields.insert(field_name(*name), (value.clone(), None));
            }
            Exactly(Value::Integer(is_free.into()))
        }
        Op::SetEx { exists, fields: condition, ttl, pairs, .. } => {
            let holds = exists.is_none_or(|must_be| must_be != fields.is_empty())
                && pairs.iter().all(|(name, _)| {
                    let known = fields.contains_key(&field_name(*name));
                    condition.is_none_or(|must_be| must_be == known)
                });
            for (name, value) in pairs.iter().filter(|_| holds) {
                let name = field_name(*name);
                let deadline = match ttl {
                    NewTtl::Keep => fields.get(&name).and_then(|(_, deadline)| *deadline),
                    NewTtl::At(expiry) => Some(expiry.deadline(now)),
                    NewTtl::Discard | NewTtl::Persist => None,
                };
                if deadline.is_some_and(|deadline| deadline <= now) {
                    fields.remove(&name);
                } else {
                    fields.insert(name, (value.clone(), deadline));
                }
            }
            Exactly(Value::Integer(holds.into()))
        }
        Op::GetEx(_, ttl, names) => {
            let reply = names.iter().map(|name| {
                let name = field_name(*name);
                let value = bulk_or_null(fields.get(&name));
                match ttl {
                    NewTtl::At(expiry) => {
                        expire(fields, &name, expiry.deadline(now), Condition::None, now);
                    }
                    NewTtl::Persist => {
                        fields.entry(name).and_modify(|(_, deadline)| *deadline = None);
                    }
                    NewTtl::Discard | NewTtl::Keep => {}
                }
                value
            });
            Exactly(Value::Array(reply.collect()))
        }
        Op::GetDel(_, names) => {
            let reply = names.iter().map(|name| {
                let removed = fields.remove(&field_name(*name));
                bulk_or_null(removed.as_ref())
            });
            Exactly(Value::Array(reply.collect()))
        }
        Op::Del(_, names) => {
            let removed = names.iter().filter(|name| fields.remove(&field_name(**name)).is_some());
            Exactly(Value::Integer(removed.count() as i64))
        }
        Op::IncrBy(_, name, by) => Exactly(count(fields, &field_name(*name), *by)),
        Op::IncrByFloat(_, name, by) => {
            Exactly(count_quarters(fields, &field_name(*name), (*by).into()))
        }
        Op::Expire(_, at, condition, names) => {
            let at = at.deadline(now);
            integers(
                names.iter().map(|name| expire(fields, &field_name(*name), at, *condition, now)),
            )
        }
        Op::Persist(_, names) => {
            integers(names.iter().map(|name| match fields.get_mut(&field_name(*name)) {
                None => -2,
                Some((_, None)) => -1,
                Some((_, deadline)) => {
                    *deadline = None;
                    1
                }
            }))
        }
        other => unreachable!("{other:?} does not change a hash"),
    }
}

fn expire(
    fields: &mut BTreeMap<Vec<u8>, Field>,
    name: &[u8],
    at: u64,
    condition: Condition,
    now: u64,
) -> i64 {
    let Some((_, deadline)) = fields.get_mut(name) else { return -2 };
    if !condition.holds(*deadline, at) {
        return 0;
    }
    if at <= now {
        fields.remove(name);
        return 2;
    }
    *deadline = Some(at);
    1
}

/// The integer that a string is, if it is spelled as one.
fn integer(string: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(string).ok()?;
    text.parse::<i64>().ok().filter(|value| value.to_string() == text)
}

fn count(fields: &mut BTreeMap<Vec<u8>, Field>, name: &[u8], by: i64) -> Value {
    let (old, deadline) = match fields.get(name) {
        None => (Some(0), None),
        Some((value, deadline)) => (integer(value), *deadline),
    };
    let Some(old) = old else { return Value::error("ERR hash value is not an integer") };
    let Some(new) = old.checked_add(by) else {
        return Value::error("ERR increment or decrement would overflow");
    };
    fields.insert(name.to_vec(), (new.to_string().into_bytes(), deadline));
    Value::Integer(new)
}

/// Four times the number that a field is.
fn quarters_in(fields: &BTreeMap<Vec<u8>, Field>, name: &[u8]) -> Option<f64> {
    let Some((value, _)) = fields.get(name) else { return Some(0.0) };
    std::str::from_utf8(value).ok()?.parse::<f64>().ok().map(|value| value * 4.0)
}

fn count_quarters(fields: &mut BTreeMap<Vec<u8>, Field>, name: &[u8], by: i64) -> Value {
    let Some(old) = quarters_in(fields, name) else {
        return Value::error("ERR hash value is not a float");
    };
    let text = quarters(old as i64 + by);
    let deadline = fields.get(name).and_then(|(_, deadline)| *deadline);
    fields.insert(name.to_vec(), (text.clone().into_bytes(), deadline));
    Value::bulk(text)
}

/// What quarters in doubles cannot show: the model has no answer.
fn is_beyond_the_model(model: &Model, op: &Op) -> bool {
    let Op::IncrByFloat(key, name, _) = op else { return false };
    let fields = model.fields(*key).unwrap_or_default();
    quarters_in(&fields, &field_name(*name))
        .is_some_and(|value| value.abs() > 1e15 || value.fract() != 0.0)
}

fn groups(values: &[Value], size: usize) -> BTreeMap<String, usize> {
    let mut groups = BTreeMap::new();
    for group in values.chunks(size) {
        *groups.entry(format!("{group:?}")).or_default() += 1;
    }
    groups
}

fn check_reply(op: &Op, expected: &Expected, got: &Value) {
    match expected {
        Exactly(value) => assert_eq!(value, got, "{op:?}"),
        Shuffled(values, size) => {
            assert_eq!(groups(values, *size), groups(got.elements(), *size), "{op:?}");
        }
        Expected::Random { of, count, differ, with_values } => {
            let single = [got.clone()];
            let elements = if let Value::Array(elements) = got { elements } else { &single[..] };
            let step = if *with_values { 2 } else { 1 };
            assert_eq!(elements.len(), count * step, "{op:?}");
            let mut seen = BTreeSet::new();
            for element in elements.chunks(step) {
                let value = of.get(element[0].bytes()).expect("it is a field");
                assert!(element.get(1).is_none_or(|other| other.bytes() == value), "{op:?}");
                assert!(seen.insert(element[0].bytes().to_vec()) || !differ, "{op:?}");
            }
        }
    }
}

/// A whole iteration meets every field at least once, with its value.
fn check_scan(server: &mut Server, conn: ConnId, model: &Model, op: &Op) {
    let Op::Scan(key, count, only_names, matches) = op else { unreachable!("it is a scan") };
    let pattern = if *matches { "field:*" } else { "*" };
    let Some(fields) = model.fields(*key) else { return };
    let (mut met, mut cursor) = (BTreeMap::new(), "0".to_owned());
    loop {
        let mut words = vec![b"HSCAN".to_vec(), key_name(*key), cursor.into_bytes()];
        words.extend([b"MATCH".to_vec(), pattern.as_bytes().to_vec(), b"COUNT".to_vec()]);
        words.push((1 + u32::from(*count)).to_string().into_bytes());
        words.extend(only_names.then(|| b"NOVALUES".to_vec()));
        let reply = run(server, conn, &words, true);
        let elements = reply.elements();
        for element in elements[1].elements().chunks(if *only_names { 1 } else { 2 }) {
            met.insert(element[0].bytes().to_vec(), element.get(1).map(|it| it.bytes().to_vec()));
        }
        cursor = String::from_utf8(elements[0].bytes().to_vec()).expect("a number");
        if cursor == "0" {
            break;
        }
    }
    let wanted: BTreeMap<_, _> = fields
        .iter()
        .filter(|(name, _)| !matches || name.starts_with(b"field:"))
        .map(|(name, (value, _))| (name.clone(), (!only_names).then(|| value.clone())))
        .collect();
    assert_eq!(met, wanted, "{op:?}");
}

/// Compares everything that is stored.
fn check_all(server: &mut Server, conn: ConnId, model: &mut Model) {
    server.advance_ms(0);
    for database in 0..2 {
        let keys = server.call(conn, &["KEYS", "*"]);
        let mut keys: Vec<_> = keys.elements().iter().map(|key| key.bytes().to_vec()).collect();
        keys.sort();
        assert!(keys.iter().eq(model.databases[0].keys()), "keys of database {database}");
        for (key, (held, deadline)) in &model.databases[0] {
            let got = server.call(conn, &[b"PEXPIRETIME".as_slice(), key]).integer();
            assert_eq!(got, deadline.map_or(-1, |deadline| deadline as i64));
            let Held::Hash(fields) = held else { continue };
            let got = server.call(conn, &[b"HGETALL".as_slice(), key]);
            let pairs = fields.iter().flat_map(|(name, (value, _))| [name, value]);
            let wanted: Vec<Value> = pairs.map(Value::bulk).collect();
            assert_eq!(groups(&wanted, 2), groups(got.elements(), 2));
            for (name, (_, deadline)) in fields {
                let words = [b"HPEXPIRETIME".as_slice(), key, b"FIELDS", b"1", name];
                let got = server.call(conn, &words).elements()[0].integer();
                assert_eq!(got, deadline.map_or(-1, |deadline| deadline as i64));
            }
        }
        server.call(conn, &["SWAPDB", "0", "1"]);
        model.databases.swap(0, 1);
    }
    server.engine().check_invariants();
}

proptest! {
    #[test]
    fn hashes_behave_like_maps(
        ops in prop::collection::vec(op(), 1..120),
        entries in prop::sample::select(vec![4_u16, 512]),
    ) {
        let mut server = Server::new(Config::default(), Seed(1));
        let conn = server.connect();
        let mut model = Model { now: server.unix_ms(), ..Model::default() };
        run(&mut server, conn, &Op::Limits(entries, 64).words(0), false);
        for op in &ops {
            if let Op::Wait(millis, oversleeps) = *op {
                if oversleeps {
                    server.oversleep_ms(millis);
                } else {
                    server.advance_ms(millis);
                }
                model.wait(millis);
                continue;
            }
            if is_beyond_the_model(&model, op) {
                continue;
            }
            if model.unswept_keys || model.unswept && op.sees_the_dead() {
                server.advance_ms(0);
                (model.unswept, model.unswept_keys) = (false, false);
            }
            if let Op::Scan(..) = op {
                check_scan(&mut server, conn, &model, op);
                continue;
            }
            let got = run(&mut server, conn, &op.words(model.now), op.only_reads());
            check_reply(op, &model.apply(op), &got);
        }
        check_all(&mut server, conn, &mut model);
    }
}
