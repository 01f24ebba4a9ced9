//! The keyspace against the simplest thing that could be right: a sorted map with deadlines.
//!
//! Random operations with clock steps; after each run every structure checks its own invariants.

use std::collections::{BTreeMap, BTreeSet};

use orrery_engine::keyspace::{Keyspace, NewValue, Object, Value};
use orrery_engine::rng::{Rng, Seed};
use orrery_engine::time::UnixMillis;
use proptest::prelude::*;

const START_MS: u64 = 1_700_000_000_000;

#[derive(Clone, Debug)]
enum Op {
    Set { key: u16, value: Content, ttl_ms: Option<u64> },
    Remove { key: u16 },
    SetTtl { key: u16, ttl_ms: Option<u64> },
    Find { key: u16 },
    Advance { ms: u64 },
    GoBack { ms: u64 },
    Expire { budget: usize },
    Free,
    Flush,
    Swap,
    Populate { from: u16 },
}

#[derive(Clone, Debug)]
enum Content {
    Bytes(usize, u8),
    Integer(i64),
    Modified(usize, u8),
    Object(usize, u8),
}

impl Content {
    fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Bytes(len, fill) | Self::Modified(len, fill) | Self::Object(len, fill) => {
                vec![fill; len]
            }
            Self::Integer(value) => value.to_string().into_bytes(),
        }
    }
}

fn content() -> impl Strategy<Value = Content> {
    let len = prop_oneof![4 => 0..40_usize, 2 => 200..1100_usize, 1 => 1100..70_000_usize];
    prop_oneof![
        3 => (len.clone(), b'a'..=b'z').prop_map(|(len, fill)| Content::Bytes(len, fill)),
        2 => any::<i64>().prop_map(Content::Integer),
        1 => (len.clone(), b'0'..=b'9').prop_map(|(len, fill)| Content::Modified(len, fill)),
        1 => (len, b'a'..=b'z').prop_map(|(len, fill)| Content::Object(len, fill)),
    ]
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        3 => Just(None),
        3 => (1..200_u64).prop_map(Some),
        2 => (1..10_000_000_u64).prop_map(Some),
        1 => (1_u64 << 40..1 << 62).prop_map(Some),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    // Few keys that collide often, and enough others to split the index several times.
    let key = prop_oneof![0..200_u16, 0..4000_u16];
    prop_oneof![
        12 => (key.clone(), content(), ttl())
            .prop_map(|(key, value, ttl_ms)| Op::Set { key, value, ttl_ms }),
        4 => key.clone().prop_map(|key| Op::Remove { key }),
        4 => (key.clone(), ttl()).prop_map(|(key, ttl_ms)| Op::SetTtl { key, ttl_ms }),
        4 => key.prop_map(|key| Op::Find { key }),
        3 => prop_oneof![1..50_u64, 1..5_000_000_u64].prop_map(|ms| Op::Advance { ms }),
        1 => (1..5000_u64).prop_map(|ms| Op::GoBack { ms }),
        3 => (1..200_usize).prop_map(|budget| Op::Expire { budget }),
        1 => Just(Op::Free),
        1 => prop_oneof![
            20 => Just(Op::Free),
            1 => Just(Op::Flush),
            1 => Just(Op::Swap),
            4 => (0..4000_u16).prop_map(|from| Op::Populate { from }),
        ],
    ]
}

/// A short key, a long one, or one too long for a shared page.
fn key_bytes(key: u16) -> Vec<u8> {
    let mut bytes = format!("key:{key}").into_bytes();
    match key % 50 {
        48 => bytes.resize(300, b'.'),
        49 => bytes.resize(2000, b'.'),
        _ => {}
    }
    bytes
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

struct Pair {
    keyspace: Keyspace,
    model: [Model; 2],
    now_ms: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut keyspace = Keyspace::new(2, Rng::new(Seed(seed), "keyspace"));
        keyspace.set_now(UnixMillis(START_MS));
        Self { keyspace, model: Default::default(), now_ms: START_MS }
    }

    fn apply(&mut self, op: &Op) {
        let deadline = |ttl: Option<u64>| ttl.map(|ttl| UnixMillis(self.now_ms + ttl));
        match op {
            Op::Set { key, value, ttl_ms } => {
                let (key, bytes, deadline) = (key_bytes(*key), value.bytes(), deadline(*ttl_ms));
                let new = match value {
                    Content::Bytes(..) => NewValue::String(&bytes),
                    Content::Integer(value) => NewValue::Integer(*value),
                    Content::Modified(..) => NewValue::Modified(&bytes),
                    Content::Object(..) => NewValue::Object(Object::Raw(bytes.clone())),
                };
                self.keyspace.set(0, &key, new, deadline, 7);
                self.model[0].insert(key, (bytes, deadline.map(|at| at.0)));
            }
            Op::Remove { key } => {
                let key = key_bytes(*key);
                let found = self.keyspace.find(0, &key);
                assert_eq!(found.is_some(), self.living(&key).is_some());
                if let Some(found) = found {
                    self.keyspace.remove(0, found);
                }
                self.model[0].remove(&key);
            }
            Op::SetTtl { key, ttl_ms } => {
                let (key, deadline) = (key_bytes(*key), deadline(*ttl_ms));
                if let Some(found) = self.keyspace.find(0, &key) {
                    let found = self.keyspace.set_deadline(0, found, deadline);
                    assert_eq!(self.keyspace.db(0).deadline(found), deadline);
                    let entry = self.model[0].get_mut(&key).expect("it lives in the model too");
                    entry.1 = deadline.map(|at| at.0);
                }
            }
            Op::Find { key } => self.check_key(&key_bytes(*key)),
            Op::Advance { ms } => self.set_now(self.now_ms + ms),
            Op::GoBack { ms } => self.set_now(self.now_ms - ms.min(&(self.now_ms - START_MS))),
            Op::Expire { budget } => {
                let now_ms = self.now_ms;
                let model = &mut self.model;
                self.keyspace.expire_some(*budget, false, |db, key, _, _| {
                    let (_, deadline) = model[db].remove(key).expect("what expires existed");
                    assert!(deadline.expect("it had a TTL") < now_ms, "expired too early");
                });
            }
            Op::Free => self.keyspace.free_some(),
            Op::Flush => {
                self.keyspace.flush(0, true);
                self.model[0].clear();
            }
            Op::Populate { from } => {
                for key in *from..from + 500 {
                    let value = Content::Integer(i64::from(key));
                    self.apply(&Op::Set { key, value, ttl_ms: None });
                }
            }
            Op::Swap => {
                self.keyspace.swap(0, 1);
                self.model.swap(0, 1);
            }
        }
    }

    fn set_now(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.keyspace.set_now(UnixMillis(now_ms));
    }

    fn living(&self, key: &[u8]) -> Option<&(Vec<u8>, Option<u64>)> {
        self.model[0].get(key).filter(|(_, deadline)| deadline.is_none_or(|at| at >= self.now_ms))
    }

    fn check_key(&mut self, key: &[u8]) {
        let found = self.keyspace.find(0, key);
        let expected = self.living(key);
        let db = self.keyspace.db(0);
        let actual = found.map(|found| {
            assert_eq!(db.key(found), key);
            let bytes = match db.value(found) {
                Value::Bytes(bytes) => bytes.to_vec(),
                Value::Integer(value) => value.to_string().into_bytes(),
                other => panic!("nobody has stored {other:?}"),
            };
            (bytes, db.deadline(found).map(|at| at.0))
        });
        assert_eq!(actual.as_ref(), expected);
        if found.is_none() {
            self.model[0].remove(key);
        }
    }

    fn check_all(&mut self) {
        self.keyspace.check_invariants();
        let mut seen = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = self.keyspace.db(0).scan(cursor, |key, found| {
                if !self.keyspace.is_expired(0, found) {
                    assert!(seen.insert(key.to_vec()), "a quiet scan meets a key once");
                }
            });
            if cursor == 0 {
                break;
            }
        }
        let living: BTreeSet<Vec<u8>> =
            self.model[0].keys().filter(|key| self.living(key).is_some()).cloned().collect();
        assert_eq!(seen, living);
        for key in living {
            self.check_key(&key);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_keyspace_does_what_a_map_with_deadlines_does(
        seed in any::<u64>(),
        ops in prop::collection::vec(op(), 1..1200),
    ) {
        let mut pair = Pair::new(seed);
        for op in &ops {
            pair.apply(op);
        }
        pair.check_all();
    }

    #[test]
    fn everything_expires_in_order_and_on_time(
        seed in any::<u64>(),
        ttls in prop::collection::vec(prop_oneof![1..100_u64, 1..100_000_000_u64], 1..2000),
    ) {
        let mut pair = Pair::new(seed);
        for (key, ttl) in ttls.iter().enumerate() {
            let key = format!("k{key}");
            let deadline = Some(UnixMillis(START_MS + ttl));
            pair.keyspace.set(0, key.as_bytes(), NewValue::Integer(1), deadline, 0);
        }
        let mut sorted = ttls.clone();
        sorted.sort_unstable();
        let mut expired = 0;
        // The driver's loop: sleep until the next deadline, do a little, look again.
        while let Some(next) = pair.keyspace.next_deadline() {
            let now_ms = pair.now_ms.max(next.0);
            pair.set_now(now_ms);
            let before = expired;
            pair.keyspace.expire_some(8, false, |_, _, _, _| expired += 1);
            for ttl in &sorted[before..expired] {
                prop_assert!(START_MS + ttl < now_ms, "too early");
                // Eight a turn, so at most the rest of a burst is late; never by wall time.
                prop_assert_eq!(START_MS + ttl + 1, now_ms, "late");
            }
        }
        prop_assert_eq!(expired, ttls.len());
        prop_assert!(pair.keyspace.db(0).is_empty());
        pair.keyspace.check_invariants();
    }
}
