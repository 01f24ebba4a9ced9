//! Every generic command against sorted maps: names, databases, deadlines and listings, in random
//! sequences over few keys, with time passing.

use std::collections::BTreeSet;

use orrery_engine::ConnId;
use orrery_tests::model::{Model, run};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

const DATABASES: usize = 3;
/// An iteration over so few keys ends within so many calls.
const SCANS_MAX: usize = 1000;
/// A pattern, and what it means.
type Pattern = (&'static str, fn(&str) -> bool);

const PATTERNS: &[Pattern] = &[
    ("*", |_| true),
    ("k*", |key| key.starts_with('k')),
    ("k?", |key| key.starts_with('k') && key.len() == 2),
    ("*[13]", |key| key.ends_with(['1', '3'])),
    ("\\k2", |key| key == "k2"),
    ("[^k]*", |key| !key.starts_with('k')),
    ("k2", |key| key == "k2"),
];

type Key = u8;

#[derive(Clone, Copy, Debug)]
enum Unit {
    Seconds,
    Millis,
    UnixSeconds,
    UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    None,
    Nx,
    Xx,
    Gt,
    Lt,
}

#[derive(Clone, Debug)]
enum Op {
    Set(Key, Vec<u8>),
    Append(Key, Vec<u8>),
    Select(usize),
    Del(Vec<Key>),
    Unlink(Vec<Key>),
    Exists(Vec<Key>),
    Touch(Vec<Key>),
    Type(Key),
    Rename(Key, Key),
    RenameNx(Key, Key),
    Copy {
        from: Key,
        to: Key,
        database: Option<usize>,
        replace: bool,
    },
    Move(Key, usize),
    RandomKey,
    Keys(usize),
    Scan {
        pattern: Option<usize>,
        count: u8,
        kind: Option<bool>,
    },
    Expire(Key, Unit, i64, Condition),
    Ttl(Key, Unit),
    Persist(Key),
    /// Time passes; the driver may oversleep.
    Wait(u64, bool),
}

fn name(key: Key) -> String {
    match key {
        0 => String::new(),
        1 => "L".repeat(1100),
        _ => format!("k{key}"),
    }
}

fn names(keys: &[Key]) -> Vec<String> {
    keys.iter().map(|key| name(*key)).collect()
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..6_u8;
    let keys = || prop::collection::vec(key(), 1..4);
    let value = || {
        let fill = (any::<u8>(), prop_oneof![0..60_usize, 900..1200_usize, Just(5000_usize)]);
        prop_oneof![
            any::<i64>().prop_map(|value| value.to_string().into_bytes()),
            fill.prop_map(|(byte, len)| vec![byte; len]),
        ]
    };
    let unit = || {
        prop_oneof![
            Just(Unit::Seconds),
            Just(Unit::Millis),
            Just(Unit::UnixSeconds),
            Just(Unit::UnixMillis)
        ]
    };
    let condition = prop_oneof![
        2 => Just(Condition::None),
        1 => Just(Condition::Nx),
        1 => Just(Condition::Xx),
        1 => Just(Condition::Gt),
        1 => Just(Condition::Lt),
    ];
    // A little in the past, soon, or far beyond the horizon of any wheel.
    let span = prop_oneof![4 => -3000..20_000_i64, 1 => Just(1 << 44), 1 => Just(1 << 50)];
    let copy = (key(), key(), prop::option::of(0..DATABASES), any::<bool>());
    let scan = (prop::option::of(0..PATTERNS.len()), 1..5_u8, prop::option::of(any::<bool>()));
    let first = prop_oneof![
        (key(), value()).prop_map(|(key, value)| Op::Set(key, value)),
        (key(), value()).prop_map(|(key, value)| Op::Set(key, value)),
        (key(), value()).prop_map(|(key, value)| Op::Append(key, value)),
        (0..DATABASES).prop_map(Op::Select),
        keys().prop_map(Op::Del),
        keys().prop_map(Op::Unlink),
        keys().prop_map(Op::Exists),
        keys().prop_map(Op::Touch),
        key().prop_map(Op::Type),
        (key(), key()).prop_map(|(from, to)| Op::Rename(from, to)),
    ];
    let second = prop_oneof![
        (key(), key()).prop_map(|(from, to)| Op::RenameNx(from, to)),
        copy.prop_map(|(from, to, database, replace)| Op::Copy { from, to, database, replace }),
        (key(), 0..DATABASES).prop_map(|(key, database)| Op::Move(key, database)),
        Just(Op::RandomKey),
        (0..PATTERNS.len()).prop_map(Op::Keys),
        scan.prop_map(|(pattern, count, kind)| Op::Scan { pattern, count, kind }),
        (key(), unit(), span, condition)
            .prop_map(|(key, unit, span, condition)| Op::Expire(key, unit, span, condition)),
        (key(), unit()).prop_map(|(key, unit)| Op::Ttl(key, unit)),
        key().prop_map(Op::Persist),
        (0..4000_u64, any::<bool>()).prop_map(|(millis, sleeps)| Op::Wait(millis, sleeps)),
    ];
    prop_oneof![first, second]
}

impl Op {
    fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Exists(_)
                | Self::Touch(_)
                | Self::Type(_)
                | Self::RandomKey
                | Self::Keys(_)
                | Self::Ttl(..)
        )
    }

    fn words(&self, now: u64) -> Vec<Vec<u8>> {
        let text = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let many = |command: &str, keys: &[Key]| {
            let keys = names(keys).into_iter().map(String::into_bytes);
            [command.as_bytes().to_vec()].into_iter().chain(keys).collect()
        };
        match self {
            Self::Set(key, value) => {
                vec![b"SET".to_vec(), name(*key).into_bytes(), value.clone()]
            }
            Self::Append(key, value) => {
                vec![b"APPEND".to_vec(), name(*key).into_bytes(), value.clone()]
            }
            Self::Select(database) => text(&["SELECT", &database.to_string()]),
            Self::Del(keys) => many("DEL", keys),
            Self::Unlink(keys) => many("UNLINK", keys),
            Self::Exists(keys) => many("EXISTS", keys),
            Self::Touch(keys) => many("TOUCH", keys),
            Self::Type(key) => text(&["TYPE", &name(*key)]),
            Self::Rename(from, to) => text(&["RENAME", &name(*from), &name(*to)]),
            Self::RenameNx(from, to) => text(&["RENAMENX", &name(*from), &name(*to)]),
            Self::Copy { from, to, database, replace } => {
                let mut words: Vec<Vec<u8>> = text(&["COPY", &name(*from), &name(*to)]);
                words.extend(replace.then(|| b"REPLACE".to_vec()));
                if let Some(database) = database {
                    words.extend([b"db".to_vec(), database.to_string().into_bytes()]);
                }
                words
            }
            Self::Move(key, database) => text(&["MOVE", &name(*key), &database.to_string()]),
            Self::RandomKey => text(&["RANDOMKEY"]),
            Self::Keys(pattern) => text(&["KEYS", PATTERNS[*pattern].0]),
            Self::Expire(key, unit, span, condition) => {
                let (command, number) = match unit {
                    Unit::Seconds => ("EXPIRE", span / 1000),
                    Unit::Millis => ("PEXPIRE", *span),
                    Unit::UnixSeconds => ("EXPIREAT", (now as i64 + span) / 1000),
                    Unit::UnixMillis => ("PEXPIREAT", now as i64 + span),
                };
                let mut words: Vec<Vec<u8>> = text(&[command, &name(*key), &number.to_string()]);
                if *condition != Condition::None {
                    words.push(format!("{condition:?}").into_bytes());
                }
                words
            }
            Self::Ttl(key, unit) => {
                let command = match unit {
                    Unit::Seconds => "TTL",
                    Unit::Millis => "PTTL",
                    Unit::UnixSeconds => "EXPIRETIME",
                    Unit::UnixMillis => "PEXPIRETIME",
                };
                text(&[command, &name(*key)])
            }
            Self::Persist(key) => text(&["PERSIST", &name(*key)]),
            Self::Scan { .. } | Self::Wait(..) => vec![],
        }
    }
}

/// What the command must reply; the model is changed as the server must be.
fn apply(model: &mut Model, op: &Op) -> Value {
    let key_of = |key: &Key| name(*key).into_bytes();
    let count = |found: usize| Value::Integer(found as i64);
    match op {
        Op::Set(key, value) => {
            model.set(&key_of(key), value.clone(), None);
            Value::simple("OK")
        }
        Op::Append(key, tail) => {
            let string = [model.string(&key_of(key)), tail.clone()].concat();
            model.set_string(&key_of(key), string.clone());
            count(string.len())
        }
        Op::Select(database) => {
            model.selected = *database;
            Value::simple("OK")
        }
        Op::Del(keys) | Op::Unlink(keys) => {
            count(keys.iter().filter(|key| model.remove(&key_of(key))).count())
        }
        Op::Exists(keys) | Op::Touch(keys) => {
            count(keys.iter().filter(|key| model.find(&key_of(key)).is_some()).count())
        }
        Op::Type(key) => {
            Value::simple(if model.find(&key_of(key)).is_some() { "string" } else { "none" })
        }
        Op::Rename(from, to) => rename(model, &key_of(from), &key_of(to)),
        Op::RenameNx(from, to) => {
            let free = model.find(&key_of(to)).is_none();
            if model.find(&key_of(from)).is_some() && !free {
                return count(0);
            }
            match rename(model, &key_of(from), &key_of(to)) {
                error @ Value::Error(_) => error,
                _ => count(1),
            }
        }
        Op::Copy { from, to, database, replace } => {
            let database = database.unwrap_or(model.selected);
            if database == model.selected && from == to {
                return Value::error("ERR source and destination objects are the same");
            }
            let free = model.find_in(database, &key_of(to)).is_none();
            match model.find(&key_of(from)).cloned() {
                Some(entry) if free || *replace => {
                    model.set_in(database, &key_of(to), entry);
                    count(1)
                }
                _ => count(0),
            }
        }
        Op::Move(key, database) => {
            if *database == model.selected {
                return Value::error("ERR source and destination objects are the same");
            }
            let free = model.find_in(*database, &key_of(key)).is_none();
            match model.find(&key_of(key)).cloned() {
                Some(entry) if free => {
                    model.set_in(*database, &key_of(key), entry);
                    model.remove(&key_of(key));
                    count(1)
                }
                _ => count(0),
            }
        }
        Op::Keys(pattern) => {
            let keys = wanted(model, Some(*pattern), None);
            Value::Array(keys.into_iter().map(Value::Bulk).collect())
        }
        Op::Expire(key, unit, span, condition) => {
            expire(model, &key_of(key), *unit, *span, *condition)
        }
        Op::Ttl(key, unit) => ttl(model, &key_of(key), *unit),
        Op::Persist(key) => {
            let found = model.deadline(&key_of(key)).is_some();
            if found {
                model.set(&key_of(key), model.string(&key_of(key)), None);
            }
            count(found.into())
        }
        Op::RandomKey | Op::Scan { .. } | Op::Wait(..) => unreachable!("checked by itself"),
    }
}

fn rename(model: &mut Model, from: &[u8], to: &[u8]) -> Value {
    let Some((string, deadline)) = model.find(from).cloned() else {
        return Value::error("ERR no such key");
    };
    model.remove(from);
    model.set(to, string, deadline);
    Value::simple("OK")
}

fn expire(model: &mut Model, key: &[u8], unit: Unit, span: i64, condition: Condition) -> Value {
    let now = model.now as i64;
    let new = match unit {
        Unit::Seconds => now + span / 1000 * 1000,
        Unit::UnixSeconds => (now + span) / 1000 * 1000,
        Unit::Millis | Unit::UnixMillis => now + span,
    };
    let Some((_, old)) = model.find(key).cloned() else { return Value::Integer(0) };
    let later = old.is_some_and(|old| new > old as i64);
    let earlier = old.is_none_or(|old| new < old as i64);
    let allowed = match condition {
        Condition::None => true,
        Condition::Nx => old.is_none(),
        Condition::Xx => old.is_some(),
        Condition::Gt => later,
        Condition::Lt => earlier,
    };
    if allowed {
        model.expire(key, new as u64);
    }
    Value::Integer(allowed.into())
}

fn ttl(model: &Model, key: &[u8], unit: Unit) -> Value {
    let Some((_, deadline)) = model.find(key) else { return Value::Integer(-2) };
    let Some(deadline) = *deadline else { return Value::Integer(-1) };
    let millis = match unit {
        Unit::Seconds | Unit::Millis => deadline - model.now,
        Unit::UnixSeconds | Unit::UnixMillis => deadline,
    };
    Value::Integer(match unit {
        Unit::Seconds | Unit::UnixSeconds => (millis + 500) / 1000,
        Unit::Millis | Unit::UnixMillis => millis,
    } as i64)
}

/// The keys that a pattern and a type name choose.
fn wanted(model: &Model, pattern: Option<usize>, kind: Option<bool>) -> Vec<Vec<u8>> {
    let matches = |key: &Vec<u8>| {
        let text = std::str::from_utf8(key).expect("keys here are text");
        // No pattern but `*` alone matches the empty key, as in Redis.
        pattern.is_none_or(|at| at == 0 || !text.is_empty() && (PATTERNS[at].1)(text))
    };
    model.keys().into_iter().filter(|key| matches(key) && kind != Some(false)).collect()
}

/// A whole iteration; nothing changes meanwhile, so every key comes exactly as wanted.
fn scan(
    server: &mut Server,
    conn: ConnId,
    pattern: Option<usize>,
    count: u8,
    kind: Option<bool>,
) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    for _ in 0..SCANS_MAX {
        let mut words = vec!["SCAN".to_owned(), cursor, "COUNT".to_owned(), count.to_string()];
        if let Some(pattern) = pattern {
            words.extend(["match".to_owned(), PATTERNS[pattern].0.to_owned()]);
        }
        if let Some(kind) = kind {
            words.extend(["TYPE".to_owned(), if kind { "String" } else { "hash" }.to_owned()]);
        }
        let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        let reply = run(server, conn, &words, true);
        found.extend(reply.elements()[1].elements().iter().map(|key| key.bytes().to_vec()));
        cursor = String::from_utf8(reply.elements()[0].bytes().to_vec()).expect("digits");
        if cursor == "0" {
            return found;
        }
    }
    panic!("an iteration never ends");
}

proptest! {
    #[test]
    fn keys_behave_like_those_of_maps(ops in prop::collection::vec(op(), 1..150)) {
        let mut server = Server::default();
        let conn = server.connect();
        let mut model = Model::new(server.unix_ms());
        for op in &ops {
            match *op {
                Op::Wait(millis, true) => server.oversleep_ms(millis),
                Op::Wait(millis, false) => server.advance_ms(millis),
                Op::Scan { pattern, count, kind } => {
                    let found = scan(&mut server, conn, pattern, count, kind);
                    let expected: BTreeSet<_> = wanted(&model, pattern, kind).into_iter().collect();
                    prop_assert_eq!(found, expected, "{:?}", op);
                }
                Op::RandomKey => {
                    let key = run(&mut server, conn, &op.words(model.now), true);
                    match &key {
                        Value::Null => prop_assert!(model.keys().is_empty()),
                        key => prop_assert!(model.find(key.bytes()).is_some(), "{}", key),
                    }
                }
                _ => {
                    let mut got = run(&mut server, conn, &op.words(model.now), op.only_reads());
                    if let (Op::Keys(_), Value::Array(keys)) = (op, &mut got) {
                        keys.sort_by_key(|key| key.bytes().to_vec());
                    }
                    prop_assert_eq!(&apply(&mut model, op), &got, "{:?}", op);
                }
            }
            if let Op::Wait(millis, _) = op {
                model.now += millis;
            }
        }
        model.check(&mut server, conn);
        server.engine().check_invariants();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// SCAN's guarantee while the table grows, shrinks and expires: what stays is returned.
    #[test]
    fn a_scan_meets_every_key_that_stays(count in 1..200_u32, step in 50..800_u32) {
        let mut server = Server::default();
        let conn = server.connect();
        for number in 0..2000 {
            server.call(conn, &["SET", &format!("stay:{number}"), "v"]);
            let ttl = (1 + number % 50).to_string();
            server.call(conn, &["SET", &format!("expire:{number}"), "v", "PX", &ttl]);
        }
        let (mut cursor, mut found, mut fresh) = ("0".to_owned(), BTreeSet::new(), 0);
        loop {
            let reply = server.call(conn, &["SCAN", &cursor, "COUNT", &count.to_string()]);
            for key in reply.elements()[1].elements() {
                found.insert(key.bytes().to_vec());
            }
            cursor = String::from_utf8(reply.elements()[0].bytes().to_vec()).expect("digits");
            if cursor == "0" {
                break;
            }
            // The table stops growing at some time, or the scan might never catch up.
            for number in fresh..(fresh + step).min(20_000) {
                server.call(conn, &["SET", &format!("new:{number}"), "v"]);
                server.call(conn, &["DEL", &format!("new:{}", number / 2)]);
            }
            fresh = (fresh + step).min(20_000);
            server.advance_ms(1);
        }
        for number in 0..2000 {
            prop_assert!(found.contains(format!("stay:{number}").as_bytes()), "{}", number);
        }
        server.engine().check_invariants();
    }
}

/// Every living key comes out of RANDOMKEY, about as often as any other.
#[test]
fn random_keys_are_spread_over_all_keys() {
    let mut server = Server::default();
    let conn = server.connect();
    for number in 0..20 {
        server.call(conn, &["SET", &format!("k{number}"), "v"]);
    }
    server.call(conn, &["SET", "dead", "v", "PXAT", "1"]);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..4000 {
        let key = server.call(conn, &["RANDOMKEY"]).bytes().to_vec();
        *counts.entry(key).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 20, "{counts:?}");
    assert!(counts.values().all(|&count| count > 40), "{counts:?}");
}
