//! Every string command against a sorted map: random sequences over few keys, with time passing.

use orrery_engine::{Config, Seed};
use orrery_tests::model::{Expiry, Model, run};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

/// `proto-max-bulk-len` of the servers here: small enough to be reached.
const STRING_BYTES_MAX: u64 = 4000;

/// Values that are often met again.
const SHORT: &[&[u8]] = &[b"", b"a", b"b", b"ab", b"0", b"7", b"-3", b"0.5"];

type Key = u8;

#[derive(Clone, Copy, Debug)]
enum Compare {
    Eq,
    Ne,
    DigestEq,
    DigestNe,
}

#[derive(Clone, Debug)]
enum Condition {
    None,
    Nx,
    Xx,
    If(Compare, Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
enum NewTtl {
    Discard,
    Keep,
    At(Expiry),
}

/// A counter's numbers are quarters, so that doubles are exact.
#[derive(Clone, Debug)]
struct Window {
    key: Key,
    float: bool,
    by: Option<i64>,
    lower: Option<i64>,
    upper: Option<i64>,
    saturate: bool,
    expiry: Option<Expiry>,
    persist: bool,
    only_without_ttl: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Get(Key),
    Set {
        key: Key,
        value: Vec<u8>,
        condition: Condition,
        returns_old: bool,
        ttl: NewTtl,
    },
    SetNx(Key, Vec<u8>),
    SetEx(Key, Vec<u8>, u64),
    PSetEx(Key, Vec<u8>, u64),
    GetSet(Key, Vec<u8>),
    GetDel(Key),
    GetEx(Key, Option<Expiry>, bool),
    MGet(Vec<Key>),
    MSet(Vec<(Key, Vec<u8>)>),
    MSetNx(Vec<(Key, Vec<u8>)>),
    MSetEx(Vec<(Key, Vec<u8>)>, Condition, NewTtl),
    Incr(Key),
    Decr(Key),
    IncrBy(Key, i64),
    DecrBy(Key, i64),
    IncrByFloat(Key, i32),
    IncrEx(Window),
    Append(Key, Vec<u8>),
    StrLen(Key),
    GetRange(Key, i64, i64, bool),
    SetRange(Key, u16, Vec<u8>),
    LcsLen(Key, Key),
    DelEx(Key, Option<(Compare, Vec<u8>)>),
    DelIfEq(Key, Vec<u8>),
    Digest(Key),
    /// Time passes; the driver may oversleep.
    Wait(u64, bool),
}

fn name(key: Key) -> Vec<u8> {
    // One key is too long to share a page with others.
    if key == 0 { vec![b'k'; 1500] } else { format!("k{key}").into_bytes() }
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let fill = (any::<u8>(), prop_oneof![0..70_usize, 900..1100_usize, 3900..4000_usize]);
    prop_oneof![
        3 => prop::sample::select(SHORT)
            .prop_map(<[u8]>::to_vec),
        1 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        1 => fill.prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        (1..20_u64).prop_map(Expiry::Seconds),
        (1..5000_u64).prop_map(Expiry::Millis),
        (-5..20_i64).prop_map(Expiry::UnixSeconds),
        (-500..5000_i64).prop_map(Expiry::UnixMillis),
    ]
}

fn new_ttl() -> impl Strategy<Value = NewTtl> {
    prop_oneof![Just(NewTtl::Discard), Just(NewTtl::Keep), expiry().prop_map(NewTtl::At)]
}

fn compare() -> impl Strategy<Value = (Compare, Vec<u8>)> {
    let kind = prop_oneof![
        Just(Compare::Eq),
        Just(Compare::Ne),
        Just(Compare::DigestEq),
        Just(Compare::DigestNe)
    ];
    (kind, value())
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::None),
        Just(Condition::Nx),
        Just(Condition::Xx),
        compare().prop_map(|(compare, operand)| Condition::If(compare, operand)),
    ]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -20..20_i64, 1 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn window() -> impl Strategy<Value = Window> {
    let bound = || prop::option::of(-30..30_i64);
    let by = prop::option::of(prop_oneof![4 => -20..20_i64, 1 => number()]);
    let ttl = (prop::option::of(expiry()), any::<bool>(), any::<bool>());
    (0..5_u8, any::<bool>(), by, bound(), bound(), any::<bool>(), ttl).prop_map(
        |(key, float, by, lower, upper, saturate, (expiry, persist, only_without_ttl))| {
            // Quarters of huge numbers are not exact in the model's doubles.
            let by = if float { by.map(|by| by % 1000) } else { by };
            Window {
                key,
                float,
                by,
                lower,
                upper,
                saturate,
                expiry,
                persist: persist && expiry.is_none(),
                only_without_ttl: only_without_ttl && expiry.is_some(),
            }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..5_u8;
    let pairs = || prop::collection::vec((key(), value()), 1..4);
    let offset = || prop_oneof![-12..12_i64, -4100..4100_i64, number()];
    let set = (key(), value(), condition(), any::<bool>(), new_ttl());
    let first = prop_oneof![
        key().prop_map(Op::Get),
        set.prop_map(|(key, value, condition, returns_old, ttl)| {
            Op::Set { key, value, condition, returns_old, ttl }
        }),
        (key(), value()).prop_map(|(key, value)| Op::SetNx(key, value)),
        (key(), value(), 1..20_u64).prop_map(|(key, value, ttl)| Op::SetEx(key, value, ttl)),
        (key(), value(), 1..5000_u64).prop_map(|(key, value, ttl)| Op::PSetEx(key, value, ttl)),
        (key(), value()).prop_map(|(key, value)| Op::GetSet(key, value)),
        key().prop_map(Op::GetDel),
        (key(), prop::option::of(expiry()), any::<bool>())
            .prop_map(|(key, expiry, persist)| Op::GetEx(key, expiry, persist)),
        (prop::collection::vec(key(), 1..5)).prop_map(Op::MGet),
        pairs().prop_map(Op::MSet),
    ];
    let second = prop_oneof![
        pairs().prop_map(Op::MSetNx),
        (pairs(), condition(), new_ttl()).prop_map(|(pairs, condition, ttl)| {
            let plain = !matches!(condition, Condition::If(..));
            Op::MSetEx(pairs, if plain { condition } else { Condition::None }, ttl)
        }),
        key().prop_map(Op::Incr),
        key().prop_map(Op::Decr),
        (key(), number()).prop_map(|(key, by)| Op::IncrBy(key, by)),
        (key(), number()).prop_map(|(key, by)| Op::DecrBy(key, by)),
        (key(), -40..40_i32).prop_map(|(key, quarters)| Op::IncrByFloat(key, quarters)),
        window().prop_map(Op::IncrEx),
        window().prop_map(Op::IncrEx),
    ];
    let third = prop_oneof![
        (key(), value()).prop_map(|(key, value)| Op::Append(key, value)),
        key().prop_map(Op::StrLen),
        (key(), offset(), offset(), any::<bool>())
            .prop_map(|(key, start, end, old)| Op::GetRange(key, start, end, old)),
        (key(), 0..4100_u16, value()).prop_map(|(key, at, value)| Op::SetRange(key, at, value)),
        (key(), 0..30_u16, value()).prop_map(|(key, at, value)| Op::SetRange(key, at, value)),
        (key(), key()).prop_map(|(a, b)| Op::LcsLen(a, b)),
        (key(), prop::option::of(compare())).prop_map(|(key, it)| Op::DelEx(key, it)),
        (key(), value()).prop_map(|(key, value)| Op::DelIfEq(key, value)),
        key().prop_map(Op::Digest),
        (0..3000_u64, any::<bool>()).prop_map(|(millis, sleeps)| Op::Wait(millis, sleeps)),
        (0..3000_u64, any::<bool>()).prop_map(|(millis, sleeps)| Op::Wait(millis, sleeps)),
    ];
    prop_oneof![first, second, third]
}

fn digest(string: &[u8]) -> String {
    format!("{:016x}", xxh3_64(string))
}

fn quarters(value: i64) -> String {
    format!("{}", value as f64 / 4.0)
}

impl Compare {
    fn words(self, operand: &[u8]) -> [Vec<u8>; 2] {
        match self {
            Self::Eq => [b"IFEQ".to_vec(), operand.to_vec()],
            Self::Ne => [b"IFNE".to_vec(), operand.to_vec()],
            Self::DigestEq => [b"IFDEQ".to_vec(), digest(operand).to_uppercase().into_bytes()],
            Self::DigestNe => [b"IFDNE".to_vec(), digest(operand).into_bytes()],
        }
    }

    fn holds(self, string: &[u8], operand: &[u8]) -> bool {
        matches!(self, Self::Eq | Self::DigestEq) == (string == operand)
    }
}

impl Condition {
    fn words(&self) -> Vec<Vec<u8>> {
        match self {
            Self::None => vec![],
            Self::Nx => vec![b"NX".to_vec()],
            Self::Xx => vec![b"XX".to_vec()],
            Self::If(compare, operand) => compare.words(operand).to_vec(),
        }
    }

    fn holds(&self, old: Option<&[u8]>) -> bool {
        match (self, old) {
            (Self::None, _) => true,
            (Self::Nx, old) => old.is_none(),
            (Self::Xx, old) => old.is_some(),
            (Self::If(compare, operand), Some(old)) => compare.holds(old, operand),
            (Self::If(compare, _), None) => matches!(compare, Compare::Ne | Compare::DigestNe),
        }
    }
}

impl NewTtl {
    fn words(self, now: u64) -> Vec<Vec<u8>> {
        match self {
            Self::Discard => vec![],
            Self::Keep => vec![b"KEEPTTL".to_vec()],
            Self::At(expiry) => expiry.words(now).map(String::into_bytes).to_vec(),
        }
    }

    fn deadline(self, now: u64, old: Option<u64>) -> Option<u64> {
        match self {
            Self::Discard => None,
            Self::Keep => old,
            Self::At(expiry) => Some(expiry.deadline(now)),
        }
    }
}

impl Window {
    fn shown(&self, value: i64) -> String {
        if self.float { quarters(value) } else { value.to_string() }
    }

    fn words(&self, now: u64) -> Vec<Vec<u8>> {
        let mut words = vec!["INCREX".to_owned(), String::from_utf8(name(self.key)).expect("text")];
        let by = if self.float { Some(self.by.unwrap_or(4)) } else { self.by };
        let token = if self.float { "BYFLOAT" } else { "BYINT" };
        for (token, value) in [(token, by), ("LBOUND", self.lower), ("UBOUND", self.upper)] {
            words.extend(value.iter().flat_map(|value| [token.to_owned(), self.shown(*value)]));
        }
        words.extend(self.expiry.into_iter().flat_map(|expiry| expiry.words(now)));
        for (flag, token) in
            [(self.saturate, "SATURATE"), (self.persist, "PERSIST"), (self.only_without_ttl, "ENX")]
        {
            words.extend(flag.then(|| token.to_owned()));
        }
        words.into_iter().map(String::into_bytes).collect()
    }
}

impl Op {
    fn words(&self, now: u64) -> Vec<Vec<u8>> {
        fn all<const N: usize>(words: [&[u8]; N]) -> Vec<Vec<u8>> {
            words.map(<[u8]>::to_vec).to_vec()
        }
        let pairs_of = |pairs: &[(Key, Vec<u8>)]| {
            pairs.iter().flat_map(|(key, value)| [name(*key), value.clone()]).collect::<Vec<_>>()
        };
        let number = |number: i64| number.to_string().into_bytes();
        match self {
            Self::Get(key) => all([b"GET", &name(*key)]),
            Self::Set { key, value, condition, returns_old, ttl } => {
                let mut words = all([b"SET", &name(*key), value]);
                words.extend(ttl.words(now));
                words.extend(returns_old.then(|| b"get".to_vec()));
                words.extend(condition.words());
                words
            }
            Self::SetNx(key, value) => all([b"SETNX", &name(*key), value]),
            Self::SetEx(key, value, ttl) => {
                all([b"SETEX", &name(*key), &number(*ttl as i64), value])
            }
            Self::PSetEx(key, value, ttl) => {
                all([b"PSETEX", &name(*key), &number(*ttl as i64), value])
            }
            Self::GetSet(key, value) => all([b"GETSET", &name(*key), value]),
            Self::GetDel(key) => all([b"GETDEL", &name(*key)]),
            Self::GetEx(key, expiry, persist) => {
                let mut words = all([b"GETEX", &name(*key)]);
                match expiry {
                    Some(expiry) => words.extend(expiry.words(now).map(String::into_bytes)),
                    None => words.extend(persist.then(|| b"PERSIST".to_vec())),
                }
                words
            }
            Self::MGet(keys) => {
                [b"MGET".to_vec()].into_iter().chain(keys.iter().map(|key| name(*key))).collect()
            }
            Self::MSet(pairs) => [all([b"MSET"]), pairs_of(pairs)].concat(),
            Self::MSetNx(pairs) => [all([b"MSETNX"]), pairs_of(pairs)].concat(),
            Self::MSetEx(pairs, condition, ttl) => [
                all([b"MSETEX", &number(pairs.len() as i64)]),
                pairs_of(pairs),
                condition.words(),
                ttl.words(now),
            ]
            .concat(),
            Self::Incr(key) => all([b"INCR", &name(*key)]),
            Self::Decr(key) => all([b"DECR", &name(*key)]),
            Self::IncrBy(key, by) => all([b"INCRBY", &name(*key), &number(*by)]),
            Self::DecrBy(key, by) => all([b"DECRBY", &name(*key), &number(*by)]),
            Self::IncrByFloat(key, by) => {
                all([b"INCRBYFLOAT", &name(*key), quarters((*by).into()).as_bytes()])
            }
            Self::IncrEx(window) => window.words(now),
            Self::Append(key, value) => all([b"APPEND", &name(*key), value]),
            Self::StrLen(key) => all([b"STRLEN", &name(*key)]),
            Self::GetRange(key, start, end, old_name) => {
                let command: &[u8] = if *old_name { b"SUBSTR" } else { b"GETRANGE" };
                all([command, &name(*key), &number(*start), &number(*end)])
            }
            Self::SetRange(key, at, value) => {
                all([b"SETRANGE", &name(*key), &number((*at).into()), value])
            }
            Self::LcsLen(a, b) => all([b"LCS", &name(*a), &name(*b), b"LEN"]),
            Self::DelEx(key, comparison) => {
                let mut words = all([b"DELEX", &name(*key)]);
                words.extend(comparison.iter().flat_map(|(it, operand)| it.words(operand)));
                words
            }
            Self::DelIfEq(key, value) => all([b"DELIFEQ", &name(*key), value]),
            Self::Digest(key) => all([b"DIGEST", &name(*key)]),
            Self::Wait(..) => vec![],
        }
    }

    fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Get(_)
                | Self::MGet(_)
                | Self::StrLen(_)
                | Self::GetRange(..)
                | Self::LcsLen(..)
                | Self::Digest(_)
        )
    }
}

fn bulk_or_null(string: Option<&Vec<u8>>) -> Value {
    string.map_or(Value::Null, Value::bulk)
}

/// What the command must reply; the model is changed as the server must be.
fn apply(model: &mut Model, op: &Op) -> Value {
    let now = model.now;
    let old = |model: &Model, key: Key| model.find(&name(key)).map(|(string, _)| string.clone());
    match op {
        Op::Get(key) => bulk_or_null(old(model, *key).as_ref()),
        Op::Set { key, value, condition, returns_old, ttl } => {
            let (key, old) = (name(*key), old(model, *key));
            let holds = condition.holds(old.as_deref());
            if holds {
                model.set(&key, value.clone(), ttl.deadline(now, model.deadline(&key)));
            }
            match (returns_old, holds) {
                (true, _) => bulk_or_null(old.as_ref()),
                (false, true) => Value::simple("OK"),
                (false, false) => Value::Null,
            }
        }
        Op::SetNx(key, value) => {
            let free = old(model, *key).is_none();
            if free {
                model.set(&name(*key), value.clone(), None);
            }
            Value::Integer(free.into())
        }
        Op::SetEx(key, value, ttl) => {
            model.set(&name(*key), value.clone(), Some(now + 1000 * ttl));
            Value::simple("OK")
        }
        Op::PSetEx(key, value, ttl) => {
            model.set(&name(*key), value.clone(), Some(now + ttl));
            Value::simple("OK")
        }
        Op::GetSet(key, value) => {
            let old = old(model, *key);
            model.set(&name(*key), value.clone(), None);
            bulk_or_null(old.as_ref())
        }
        Op::GetDel(key) => {
            let old = old(model, *key);
            model.remove(&name(*key));
            bulk_or_null(old.as_ref())
        }
        Op::GetEx(key, expiry, persist) => {
            let (key, old) = (name(*key), old(model, *key));
            if let Some(old) = &old {
                match expiry {
                    Some(expiry) => model.expire(&key, expiry.deadline(now)),
                    None if *persist => model.set(&key, old.clone(), None),
                    None => {}
                }
            }
            bulk_or_null(old.as_ref())
        }
        Op::MGet(keys) => {
            Value::Array(keys.iter().map(|key| bulk_or_null(old(model, *key).as_ref())).collect())
        }
        Op::MSet(pairs) => {
            pairs.iter().for_each(|(key, value)| model.set(&name(*key), value.clone(), None));
            Value::simple("OK")
        }
        Op::MSetNx(pairs) => {
            let free = pairs.iter().all(|(key, _)| old(model, *key).is_none());
            if free {
                pairs.iter().for_each(|(key, value)| model.set(&name(*key), value.clone(), None));
            }
            Value::Integer(free.into())
        }
        Op::MSetEx(pairs, condition, ttl) => {
            let holds = pairs.iter().all(|(key, _)| condition.holds(old(model, *key).as_deref()));
            for (key, value) in pairs.iter().filter(|_| holds) {
                let key = name(*key);
                model.set(&key, value.clone(), ttl.deadline(now, model.deadline(&key)));
            }
            Value::Integer(holds.into())
        }
        Op::Incr(key) => count(model, *key, 1),
        Op::Decr(key) => count(model, *key, -1),
        Op::IncrBy(key, by) => count(model, *key, (*by).into()),
        Op::DecrBy(_, i64::MIN) => Value::error("ERR decrement would overflow"),
        Op::DecrBy(key, by) => count(model, *key, -i128::from(*by)),
        Op::Append(key, tail) => {
            let string = [model.string(&name(*key)), tail.clone()].concat();
            // A key that does not exist takes anything that the protocol lets through.
            store_grown(model, *key, string)
        }
        Op::StrLen(key) => Value::Integer(model.string(&name(*key)).len() as i64),
        Op::GetRange(key, start, end, _) => {
            let string = model.string(&name(*key));
            Value::bulk(range(&string, (*start).into(), (*end).into()))
        }
        Op::SetRange(key, at, value) => {
            let (mut string, at) = (model.string(&name(*key)), usize::from(*at));
            if value.is_empty() {
                return Value::Integer(string.len() as i64);
            }
            if at + value.len() > STRING_BYTES_MAX as usize {
                return too_long();
            }
            string.resize(string.len().max(at + value.len()), 0);
            string[at..at + value.len()].copy_from_slice(value);
            store_grown(model, *key, string)
        }
        Op::LcsLen(a, b) => lcs_len(&model.string(&name(*a)), &model.string(&name(*b))),
        Op::DelEx(key, comparison) => {
            let holds = old(model, *key).is_some_and(|old| {
                comparison.as_ref().is_none_or(|(it, operand)| it.holds(&old, operand))
            });
            Value::Integer((holds && model.remove(&name(*key))).into())
        }
        Op::DelIfEq(key, value) => {
            let holds = old(model, *key).as_ref() == Some(value);
            Value::Integer((holds && model.remove(&name(*key))).into())
        }
        Op::Digest(key) => {
            old(model, *key).map_or(Value::Null, |string| Value::bulk(digest(&string)))
        }
        Op::IncrByFloat(key, by) => count_quarters(model, *key, (*by).into()),
        Op::IncrEx(window) => count_window(model, window),
        Op::Wait(..) => unreachable!("time is not a command"),
    }
}

fn too_long() -> Value {
    Value::error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
}

fn store_grown(model: &mut Model, key: Key, string: Vec<u8>) -> Value {
    if string.len() > STRING_BYTES_MAX as usize {
        return too_long();
    }
    model.set_string(&name(key), string.clone());
    Value::Integer(string.len() as i64)
}

/// The integer that a string is, if it is spelled as one.
fn integer(string: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(string).ok()?;
    text.parse::<i64>().ok().filter(|value| value.to_string() == text)
}

fn integer_at(model: &Model, key: Key) -> Option<i64> {
    model.find(&name(key)).map_or(Some(0), |(string, _)| integer(string))
}

/// Four times the number that a string is.
fn quarters_at(model: &Model, key: Key) -> Option<f64> {
    let Some((string, _)) = model.find(&name(key)) else { return Some(0.0) };
    let text = std::str::from_utf8(string).ok().filter(|text| !text.starts_with(' '))?;
    text.parse::<f64>().ok().map(|value| value * 4.0)
}

fn count(model: &mut Model, key: Key, by: i128) -> Value {
    let Some(old) = integer_at(model, key) else {
        return Value::error("ERR value is not an integer or out of range");
    };
    match i64::try_from(i128::from(old) + by) {
        Ok(new) => {
            model.set_string(&name(key), new.to_string());
            Value::Integer(new)
        }
        Err(_) => Value::error("ERR increment or decrement would overflow"),
    }
}

fn count_quarters(model: &mut Model, key: Key, by: i64) -> Value {
    let Some(old) = quarters_at(model, key) else {
        return Value::error("ERR value is not a valid float");
    };
    let text = quarters(old as i64 + by);
    model.set_string(&name(key), text.clone());
    Value::bulk(text)
}

/// INCREX in the plainest words: in integers, quarters of numbers if it counts in floats.
fn count_window(model: &mut Model, window: &Window) -> Value {
    let shown = |value: i64| {
        if window.float { Value::bulk(quarters(value)) } else { Value::Integer(value) }
    };
    let (lower, upper) = (window.lower.unwrap_or(i64::MIN), window.upper.unwrap_or(i64::MAX));
    if lower > upper {
        return Value::error("ERR LBOUND can't be greater than UBOUND");
    }
    let old = if window.float {
        let Some(old) = quarters_at(model, window.key) else {
            return Value::error("ERR value is not a valid float");
        };
        old as i64
    } else {
        let Some(old) = integer_at(model, window.key) else {
            return Value::error("ERR value is not an integer or out of range");
        };
        old
    };
    let by = window.by.unwrap_or(if window.float { 4 } else { 1 });
    let sum = i128::from(old) + i128::from(by);
    let new = sum.clamp(lower.into(), upper.into());
    if new != sum && !window.saturate {
        return Value::Array(vec![shown(old), shown(0)]);
    }
    let Ok(applied) = i64::try_from(new - i128::from(old)) else {
        return Value::error("ERR increment or decrement would overflow");
    };
    let (key, new) = (name(window.key), new as i64);
    let text = if window.float { quarters(new) } else { new.to_string() };
    let old_deadline = model.deadline(&key);
    let deadline = match window.expiry {
        Some(expiry) if !(window.only_without_ttl && old_deadline.is_some()) => {
            Some(expiry.deadline(model.now))
        }
        _ if window.persist => None,
        _ => old_deadline,
    };
    model.set(&key, text, deadline);
    Value::Array(vec![shown(new), shown(applied)])
}

fn range(string: &[u8], start: i128, end: i128) -> Vec<u8> {
    let len = string.len() as i128;
    let place = |offset: i128| if offset < 0 { offset + len } else { offset };
    let wanted = |at: &usize| (place(start)..=place(end).max(0)).contains(&(*at as i128));
    if start < 0 && end < 0 && start > end {
        return vec![];
    }
    (0..string.len()).filter(wanted).map(|at| string[at]).collect()
}

fn lcs_len(a: &[u8], b: &[u8]) -> Value {
    let cells = (a.len() as u64 + 1) * (b.len() as u64 + 1);
    if cells * 4 > STRING_BYTES_MAX {
        let text = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        return Value::error(text);
    }
    let mut lengths = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            lengths[i][j] = if a[i - 1] == b[j - 1] {
                lengths[i - 1][j - 1] + 1
            } else {
                lengths[i - 1][j].max(lengths[i][j - 1])
            };
        }
    }
    Value::Integer(lengths[a.len()][b.len()])
}

/// What quarters in 64 bits cannot show: the model has no answer.
fn is_beyond_the_model(model: &Model, op: &Op) -> bool {
    let key = match op {
        Op::IncrByFloat(key, _) | Op::IncrEx(Window { key, float: true, .. }) => *key,
        _ => return false,
    };
    quarters_at(model, key).is_some_and(|value| value.abs() > 1e15 || value.fract() != 0.0)
}

proptest! {
    #[test]
    fn strings_behave_like_a_map(ops in prop::collection::vec(op(), 1..120)) {
        let config = Config { proto_max_bulk_len: STRING_BYTES_MAX, ..Config::default() };
        let mut server = Server::new(config, Seed(1));
        let conn = server.connect();
        let mut model = Model::new(server.unix_ms());
        model.set(b"", "", Some(0));
        for op in &ops {
            if let Op::Wait(millis, oversleeps) = *op {
                if oversleeps {
                    server.oversleep_ms(millis);
                } else {
                    server.advance_ms(millis);
                }
                model.now += millis;
                continue;
            }
            if is_beyond_the_model(&model, op) {
                continue;
            }
            let got = run(&mut server, conn, &op.words(model.now), op.only_reads());
            prop_assert_eq!(&apply(&mut model, op), &got, "{:?}", op);
        }
        model.check(&mut server, conn);
        server.engine().check_invariants();
    }

    /// LCS has many right answers; Redis's choice is compared in the differential test.
    #[test]
    fn a_common_subsequence_is_one(a in "[abc]{0,20}", b in "[abc]{0,20}") {
        let mut server = Server::default();
        let conn = server.connect();
        server.call(conn, &["MSET", "a", &a, "b", &b]);
        let common = server.call(conn, &["LCS", "a", "b"]).bytes().to_vec();
        for string in [&a, &b] {
            let mut rest = string.bytes();
            prop_assert!(common.iter().all(|byte| rest.any(|other| other == *byte)));
        }
        prop_assert_eq!(lcs_len(a.as_bytes(), b.as_bytes()), Value::Integer(common.len() as i64));
        let runs = server.call(conn, &["LCS", "a", "b", "IDX", "WITHMATCHLEN"]);
        let runs = runs.elements()[1].elements();
        let total: i64 = runs.iter().map(|run| run.elements()[2].integer()).sum();
        prop_assert_eq!(total, common.len() as i64);
    }
}
