//! Every set command against a map of sorted sets: random sequences over few keys in every form of
//! sets, with time passing.
//!
//! Replies in no particular order are compared as sets; of random ones the model learns what was
//! taken, and checks that it was there.

use std::collections::{BTreeMap, BTreeSet};

use orrery_engine::{Config, Seed};
use orrery_tests::model::run;
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

type Key = u8;
type Member = Vec<u8>;
type Members = BTreeSet<Member>;

/// Keys; a command may name one twice.
const KEYS: u8 = 5;
/// Members that are often met again: strings that are nearly integers, and integers of every width.
const FAMILIAR: &[&str] = &[
    "",
    "a",
    "b",
    "0",
    "1",
    "-1",
    "7",
    "01",
    "-0",
    "+1",
    "127",
    "128",
    "32767",
    "32768",
    "-32769",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
];

#[derive(Clone, Debug)]
enum Stored {
    String,
    Set(Members),
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Inter,
    Union,
    Diff,
}

#[derive(Clone, Debug)]
enum Op {
    Add(Key, Vec<Member>),
    /// So many numbered members from a first one on: integers, or strings.
    AddMany(Key, i64, usize, bool),
    Remove(Key, Vec<Member>),
    RemoveMany(Key, i64, usize, bool),
    IsMember(Key, Member),
    AreMembers(Key, Vec<Member>),
    Card(Key),
    Members(Key),
    Pop(Key, Option<usize>),
    Random(Key, Option<i64>),
    Move(Key, Key, Member),
    Show(Operation, Vec<Key>),
    Store(Operation, Key, Vec<Key>),
    Count(Operation, Vec<Key>, Option<usize>, bool),
    Scan(Key, u8),
    /// The key becomes a string.
    Set(Key),
    Del(Key),
    Rename(Key, Key),
    Copy(Key, Key),
    Expire(Key, u64),
    /// `set-max-intset-entries`, `set-max-listpack-entries`, `set-max-listpack-value`
    Limits(u16, u16, u16),
    /// Time passes; the driver may oversleep.
    Wait(u64, bool),
}

/// What every key holds, and until when.
#[derive(Debug, Default)]
struct Model {
    keys: BTreeMap<Key, (Stored, Option<u64>)>,
    now: u64,
}

/// The key holds another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WrongType;

impl Model {
    fn find(&self, key: Key) -> Option<&(Stored, Option<u64>)> {
        self.keys.get(&key).filter(|(_, deadline)| deadline.is_none_or(|it| it >= self.now))
    }

    /// The members at a key, none if there is no key.
    fn set(&self, key: Key) -> Result<Members, WrongType> {
        match self.find(key) {
            Some((Stored::Set(members), _)) => Ok(members.clone()),
            Some((Stored::String, _)) => Err(WrongType),
            None => Ok(Members::new()),
        }
    }

    fn deadline(&self, key: Key) -> Option<u64> {
        self.find(key)?.1
    }

    /// Changes the members at a key; its deadline stays.
    fn change(&mut self, key: Key, members: Members) {
        let deadline = self.deadline(key);
        self.store(key, members, deadline);
    }

    fn store(&mut self, key: Key, members: Members, deadline: Option<u64>) {
        if members.is_empty() {
            self.keys.remove(&key);
        } else {
            self.keys.insert(key, (Stored::Set(members), deadline));
        }
    }

    fn combine(&self, operation: Operation, keys: &[Key]) -> Result<Members, WrongType> {
        let sets: Vec<Members> = keys.iter().map(|key| self.set(*key)).collect::<Result<_, _>>()?;
        let (first, others) = sets.split_first().expect("at least one key");
        let all = match operation {
            Operation::Union => return Ok(sets.iter().flatten().cloned().collect()),
            Operation::Inter => {
                { first.iter().filter(|it| others.iter().all(|set| set.contains(*it))) }
                    .cloned()
                    .collect()
            }
            Operation::Diff => {
                { first.iter().filter(|it| !others.iter().any(|set| set.contains(*it))) }
                    .cloned()
                    .collect()
            }
        };
        Ok(all)
    }
}

fn name(key: Key) -> Vec<u8> {
    // One key is so long that there is little room beside it in its entry.
    if key == 0 { vec![b'k'; 900] } else { format!("k{key}").into_bytes() }
}

fn numbered(first: i64, count: usize, integers: bool) -> Vec<Member> {
    let prefix = if integers { "" } else { "member:" };
    (first..).take(count).map(|number| format!("{prefix}{number}").into_bytes()).collect()
}

fn member() -> impl Strategy<Value = Member> {
    let fill = (any::<u8>(), prop_oneof![2..6_usize, 60..70_usize, 190..260_usize]);
    prop_oneof![
        4 => prop::sample::select(FAMILIAR).prop_map(|text| text.as_bytes().to_vec()),
        3 => (-20..20_i64).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        2 => fill.prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop::sample::select(&[Operation::Inter, Operation::Union, Operation::Diff][..])
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    let keys = || prop::collection::vec(key(), 1..5);
    let members = || prop::collection::vec(member(), 1..6);
    let many = || (key(), -300..300_i64, 1..400_usize, any::<bool>());
    let limit = || prop_oneof![Just(0_u16), 1..8_u16, 8..200_u16, Just(600_u16)];
    let changes = prop_oneof![
        4 => (key(), members()).prop_map(|(key, all)| Op::Add(key, all)),
        2 => many().prop_map(|(key, first, count, integers)| {
            Op::AddMany(key, first, count, integers)
        }),
        2 => (key(), members()).prop_map(|(key, all)| Op::Remove(key, all)),
        2 => many().prop_map(|(key, first, count, integers)| {
            Op::RemoveMany(key, first, count, integers)
        }),
        2 => (key(), prop::option::of(prop_oneof![0..6_usize, 0..400_usize]))
            .prop_map(|(key, count)| Op::Pop(key, count)),
        2 => (key(), key(), member()).prop_map(|(from, to, it)| Op::Move(from, to, it)),
        3 => (operation(), key(), keys())
            .prop_map(|(operation, key, keys)| Op::Store(operation, key, keys)),
    ];
    let reads = prop_oneof![
        (key(), member()).prop_map(|(key, it)| Op::IsMember(key, it)),
        (key(), members()).prop_map(|(key, all)| Op::AreMembers(key, all)),
        key().prop_map(Op::Card),
        key().prop_map(Op::Members),
        (key(), prop::option::of(prop_oneof![-8..8_i64, -400..400_i64]))
            .prop_map(|(key, count)| Op::Random(key, count)),
        (operation(), keys()).prop_map(|(operation, keys)| Op::Show(operation, keys)),
        (operation(), keys(), prop::option::of(0..40_usize), any::<bool>())
            .prop_map(|(operation, keys, limit, approx)| Op::Count(operation, keys, limit, approx)),
        (key(), 1..20_u8).prop_map(|(key, count)| Op::Scan(key, count)),
    ];
    let others = prop_oneof![
        key().prop_map(Op::Set),
        key().prop_map(Op::Del),
        (key(), key()).prop_map(|(from, to)| Op::Rename(from, to)),
        (key(), key()).prop_map(|(from, to)| Op::Copy(from, to)),
        (key(), 1..5000_u64).prop_map(|(key, millis)| Op::Expire(key, millis)),
        (limit(), limit(), limit()).prop_map(|(a, b, c)| Op::Limits(a, b, c)),
        (0..3000_u64, any::<bool>()).prop_map(|(millis, sleeps)| Op::Wait(millis, sleeps)),
    ];
    prop_oneof![6 => changes, 4 => reads, 2 => others]
}

impl Operation {
    fn command(self, suffix: &str) -> Vec<u8> {
        let name = match self {
            Self::Inter => "SINTER",
            Self::Union => "SUNION",
            Self::Diff => "SDIFF",
        };
        format!("{name}{suffix}").into_bytes()
    }
}

impl Op {
    fn words(&self) -> Vec<Vec<u8>> {
        let words = |command: &str, key: Key, rest: &[Member]| {
            [vec![command.as_bytes().to_vec(), name(key)], rest.to_vec()].concat()
        };
        let number = |number: i64| number.to_string().into_bytes();
        let names = |keys: &[Key]| keys.iter().map(|key| name(*key)).collect::<Vec<_>>();
        match self {
            Self::Add(key, all) => words("SADD", *key, all),
            Self::AddMany(key, first, count, integers) => {
                words("SADD", *key, &numbered(*first, *count, *integers))
            }
            Self::Remove(key, all) => words("SREM", *key, all),
            Self::RemoveMany(key, first, count, integers) => {
                words("SREM", *key, &numbered(*first, *count, *integers))
            }
            Self::IsMember(key, it) => words("SISMEMBER", *key, std::slice::from_ref(it)),
            Self::AreMembers(key, all) => words("SMISMEMBER", *key, all),
            Self::Card(key) => words("SCARD", *key, &[]),
            Self::Members(key) => words("SMEMBERS", *key, &[]),
            Self::Pop(key, count) => {
                words("SPOP", *key, &Vec::from_iter(count.map(|count| number(count as i64))))
            }
            Self::Random(key, count) => {
                words("SRANDMEMBER", *key, &Vec::from_iter(count.map(number)))
            }
            Self::Move(from, to, it) => words("SMOVE", *from, &[name(*to), it.clone()]),
            Self::Show(operation, keys) => [vec![operation.command("")], names(keys)].concat(),
            Self::Store(operation, key, keys) => {
                [vec![operation.command("STORE"), name(*key)], names(keys)].concat()
            }
            Self::Count(operation, keys, limit, approx) => {
                let head = vec![operation.command("CARD"), number(keys.len() as i64)];
                let mut words = [head, names(keys)].concat();
                if *approx && matches!(operation, Operation::Union) {
                    words.push(b"approx".to_vec());
                }
                if let Some(limit) = limit {
                    words.extend([b"LIMIT".to_vec(), number(*limit as i64)]);
                }
                words
            }
            Self::Set(key) => words("SET", *key, &[b"string".to_vec()]),
            Self::Del(key) => words("DEL", *key, &[]),
            Self::Rename(from, to) => words("RENAME", *from, &[name(*to)]),
            Self::Copy(from, to) => words("COPY", *from, &[name(*to), b"REPLACE".to_vec()]),
            Self::Expire(key, millis) => words("PEXPIRE", *key, &[number(*millis as i64)]),
            Self::Limits(integers, entries, bytes) => {
                let pairs = [
                    ("set-max-intset-entries", integers),
                    ("set-max-listpack-entries", entries),
                    ("set-max-listpack-value", bytes),
                ];
                let head = vec![b"CONFIG".to_vec(), b"SET".to_vec()];
                let pairs = pairs.iter().flat_map(|(name, value)| {
                    [name.as_bytes().to_vec(), value.to_string().into_bytes()]
                });
                head.into_iter().chain(pairs).collect()
            }
            Self::Scan(..) | Self::Wait(..) => vec![],
        }
    }

    fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::IsMember(..)
                | Self::AreMembers(..)
                | Self::Card(_)
                | Self::Members(_)
                | Self::Random(..)
                | Self::Show(..)
                | Self::Count(..)
        )
    }
}

/// The members that a reply has, in their order.
fn listed(reply: &Value) -> Vec<Member> {
    reply.elements().iter().map(|it| it.bytes().to_vec()).collect()
}

/// The members that a reply of different ones has. In RESP3 it must be a set.
fn shown(reply: &Value) -> Members {
    assert!(matches!(reply, Value::Set(_)), "{reply}");
    let list = listed(reply);
    let members: Members = list.iter().cloned().collect();
    assert_eq!(members.len(), list.len(), "a member came twice: {reply}");
    members
}

/// Checks a reply and changes the model as the server must have been changed.
fn apply(model: &mut Model, op: &Op, reply: &Value) {
    if let Err(WrongType) = try_apply(model, op, reply) {
        let text = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(*reply, Value::error(text));
    }
}

fn try_apply(model: &mut Model, op: &Op, reply: &Value) -> Result<(), WrongType> {
    match op {
        Op::Add(key, all) => add(model, *key, all, reply)?,
        Op::AddMany(key, first, count, integers) => {
            add(model, *key, &numbered(*first, *count, *integers), reply)?;
        }
        Op::Remove(key, all) => remove(model, *key, all, reply)?,
        Op::RemoveMany(key, first, count, integers) => {
            remove(model, *key, &numbered(*first, *count, *integers), reply)?;
        }
        Op::IsMember(key, it) => {
            let is_there = model.set(*key)?.contains(it);
            assert_eq!(reply.integer(), is_there.into());
        }
        Op::AreMembers(key, all) => {
            let set = model.set(*key)?;
            let expected = all.iter().map(|it| Value::Integer(set.contains(it).into()));
            assert_eq!(*reply, Value::Array(expected.collect()));
        }
        Op::Card(key) => {
            let len = model.set(*key)?.len();
            assert_eq!(reply.integer(), len as i64);
        }
        Op::Members(key) => {
            let set = model.set(*key)?;
            assert_eq!(shown(reply), set);
        }
        Op::Pop(key, count) => pop(model, *key, *count, reply)?,
        Op::Random(key, count) => random(&model.set(*key)?, *count, reply),
        Op::Move(from, to, it) => move_(model, *from, *to, it, reply)?,
        Op::Show(operation, keys) => {
            let result = model.combine(*operation, keys)?;
            assert_eq!(shown(reply), result);
        }
        Op::Store(operation, key, keys) => {
            let result = model.combine(*operation, keys)?;
            assert_eq!(reply.integer(), result.len() as i64);
            model.store(*key, result, None);
        }
        Op::Count(operation, keys, limit, approx) => {
            let len = model.combine(*operation, keys)?.len();
            let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
            // An estimate is off by some percent.
            let slack = if *approx { 2 + len / 20 } else { 0 };
            let (least, most) = (len.saturating_sub(slack), len + slack);
            let counted = reply.integer() as usize;
            assert!((least.min(limit)..=most.min(limit)).contains(&counted), "{counted} of {len}");
        }
        _ => apply_to_keys(model, op, reply),
    }
    Ok(())
}

/// Commands of keys of any type.
fn apply_to_keys(model: &mut Model, op: &Op, reply: &Value) {
    match op {
        Op::Set(key) => {
            model.keys.insert(*key, (Stored::String, None));
        }
        Op::Del(key) => {
            let existed = model.find(*key).is_some();
            assert_eq!(reply.integer(), existed.into());
            model.keys.remove(key);
        }
        Op::Rename(from, to) | Op::Copy(from, to) => {
            let Some(entry) = model.find(*from).cloned() else { return };
            if from == to {
                return;
            }
            if matches!(op, Op::Rename(..)) {
                model.keys.remove(from);
            }
            model.keys.insert(*to, entry);
        }
        Op::Expire(key, millis) => {
            if let Some((stored, _)) = model.find(*key).cloned() {
                model.keys.insert(*key, (stored, Some(model.now + millis)));
            }
        }
        Op::Limits(..) => assert_eq!(*reply, Value::simple("OK")),
        other => unreachable!("{other:?} is dealt with elsewhere"),
    }
}

fn add(model: &mut Model, key: Key, all: &[Member], reply: &Value) -> Result<(), WrongType> {
    let mut set = model.set(key)?;
    let added = all.iter().filter(|it| set.insert((*it).clone())).count();
    assert_eq!(reply.integer(), added as i64);
    model.change(key, set);
    Ok(())
}

fn remove(model: &mut Model, key: Key, all: &[Member], reply: &Value) -> Result<(), WrongType> {
    let mut set = model.set(key)?;
    let removed = all.iter().filter(|it| set.remove(*it)).count();
    assert_eq!(reply.integer(), removed as i64);
    model.change(key, set);
    Ok(())
}

fn pop(model: &mut Model, key: Key, count: Option<usize>, reply: &Value) -> Result<(), WrongType> {
    let mut set = model.set(key)?;
    let popped = match count {
        None if set.is_empty() => {
            assert_eq!(*reply, Value::Null);
            return Ok(());
        }
        None => Members::from([reply.bytes().to_vec()]),
        Some(_) => shown(reply),
    };
    assert_eq!(popped.len(), count.unwrap_or(1).min(set.len()));
    assert!(popped.iter().all(|it| set.remove(it)), "only members are popped");
    model.change(key, set);
    Ok(())
}

fn random(set: &Members, count: Option<i64>, reply: &Value) {
    match count {
        None if set.is_empty() => assert_eq!(*reply, Value::Null),
        None => assert!(set.contains(reply.bytes())),
        Some(count) => {
            assert!(matches!(reply, Value::Array(_)), "{reply}");
            let list = listed(reply);
            let many = count.unsigned_abs() as usize;
            assert!(list.iter().all(|it| set.contains(it)));
            if count < 0 && !set.is_empty() {
                assert_eq!(list.len(), many);
            } else {
                assert_eq!(list.len(), many.min(set.len()));
                assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
            }
        }
    }
}

fn move_(
    model: &mut Model,
    from: Key,
    to: Key,
    it: &Member,
    reply: &Value,
) -> Result<(), WrongType> {
    if model.find(from).is_none() {
        assert_eq!(reply.integer(), 0);
        return Ok(());
    }
    let (mut source, mut target) = (model.set(from)?, model.set(to)?);
    let is_there = source.contains(it);
    assert_eq!(reply.integer(), is_there.into());
    if is_there && from != to {
        source.remove(it);
        model.change(from, source);
        target.insert(it.clone());
        model.change(to, target);
    }
    Ok(())
}

/// A whole iteration; nothing is changed meanwhile, so that everything comes, once.
fn scan(server: &mut Server, conn: orrery_engine::ConnId, model: &Model, key: Key, count: u8) {
    let expected = match model.set(key) {
        Ok(set) => set,
        Err(WrongType) => return,
    };
    let mut members = Members::new();
    let mut cursor = b"0".to_vec();
    loop {
        let words =
            [b"SSCAN".to_vec(), name(key), cursor, b"COUNT".to_vec(), vec![b'0' + count % 9 + 1]];
        let reply = run(server, conn, &words, true);
        let parts = reply.elements();
        for it in listed(&parts[1]) {
            assert!(members.insert(it), "nothing comes twice from a set at rest");
        }
        cursor = parts[0].bytes().to_vec();
        if cursor == b"0" {
            break;
        }
    }
    assert_eq!(members, expected);
}

/// Compares everything that is stored.
fn check(server: &mut Server, conn: orrery_engine::ConnId, model: &Model) {
    for key in 0..KEYS {
        let kind = server.call(conn, &[b"TYPE".as_slice(), &name(key)]);
        let expected = match model.find(key) {
            None => "none",
            Some((Stored::String, _)) => "string",
            Some((Stored::Set(_), _)) => "set",
        };
        assert_eq!(kind, Value::simple(expected), "key {key}");
        let deadline = server.call(conn, &[b"PEXPIRETIME".as_slice(), &name(key)]).integer();
        let expected = model.find(key).map_or(-2, |(_, at)| at.map_or(-1, |at| at as i64));
        assert_eq!(deadline, expected, "key {key}");
        let Ok(set) = model.set(key) else { continue };
        assert_eq!(shown(&server.call(conn, &[b"SMEMBERS".as_slice(), &name(key)])), set);
        let encoding = server.call(conn, &[b"OBJECT".as_slice(), b"ENCODING", &name(key)]);
        if encoding == Value::bulk("intset") {
            let spells_an_integer = |it: &Member| {
                let text = String::from_utf8_lossy(it);
                text.parse::<i64>().is_ok_and(|value| value.to_string() == text)
            };
            assert!(set.iter().all(spells_an_integer), "key {key}");
        }
    }
    server.engine().check_invariants();
}

proptest! {
    #[test]
    fn sets_behave_like_sorted_ones(ops in prop::collection::vec(op(), 1..100), seed: u64) {
        let mut server = Server::new(Config::default(), Seed(seed));
        let conn = server.connect();
        server.call(conn, &["HELLO", "3"]);
        let mut model = Model { now: server.unix_ms(), ..Model::default() };
        for op in &ops {
            match *op {
                Op::Wait(millis, oversleeps) => {
                    if oversleeps {
                        server.oversleep_ms(millis);
                    } else {
                        server.advance_ms(millis);
                    }
                    model.now += millis;
                }
                Op::Scan(key, count) => scan(&mut server, conn, &model, key, count),
                _ => {
                    let reply = run(&mut server, conn, &op.words(), op.only_reads());
                    apply(&mut model, op, &reply);
                }
            }
        }
        check(&mut server, conn, &model);
    }

    /// The guarantee of SSCAN: what is there from the first call to the last comes, and nothing
    /// that never was there, whatever happens to the set in between.
    #[test]
    fn scans_return_what_stays(
        first in (-300..300_i64, 1..1500_usize, any::<bool>()),
        changes in prop::collection::vec(
            (any::<bool>(), -300..1500_i64, 1..600_usize, any::<bool>(), 0..200_usize), 1..30),
        seed: u64,
    ) {
        let mut server = Server::new(Config::default(), Seed(seed));
        let conn = server.connect();
        let words = |command: &str, all: &[Member]| {
            [vec![command.as_bytes().to_vec(), b"s".to_vec()], all.to_vec()].concat()
        };
        let all = numbered(first.0, first.1, first.2);
        server.call(conn, &words("SADD", &all));
        let mut present: Members = all.into_iter().collect();
        let (mut stayed, mut ever) = (present.clone(), present.clone());
        let mut returned = Members::new();
        let mut cursor = b"0".to_vec();
        let mut changes = changes.into_iter();
        loop {
            let reply = server.call(conn, &[b"SSCAN".as_slice(), b"s", &cursor, b"COUNT", b"20"]);
            returned.extend(listed(&reply.elements()[1]));
            cursor = reply.elements()[0].bytes().to_vec();
            if cursor == b"0" {
                break;
            }
            let Some((adds, from, count, integers, pops)) = changes.next() else { continue };
            let some = numbered(from, count, integers);
            if adds {
                server.call(conn, &words("SADD", &some));
                ever.extend(some.iter().cloned());
                present.extend(some);
            } else {
                server.call(conn, &words("SREM", &some));
                for it in &some {
                    present.remove(it);
                }
            }
            let popped = server.call(conn, &["SPOP", "s", &pops.to_string()]);
            for it in listed(&popped) {
                present.remove(&it);
            }
            stayed.retain(|it| present.contains(it));
        }
        prop_assert!(returned.is_superset(&stayed));
        prop_assert!(returned.is_subset(&ever));
        server.engine().check_invariants();
    }
}
