//! A model of what may be evicted, run against the engine with random commands.
//!
//! The model knows which keys there are and which have a TTL; what has gone without a command that
//! deletes was evicted, and must have been allowed to go.

use std::collections::BTreeMap;

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

const POLICIES: [&str; 10] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-lrm",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-lrm",
    "volatile-random",
    "volatile-ttl",
];
const OOM: &str = "(error) OOM command not allowed when used memory > 'maxmemory'.";
/// What a command may add beside its value: a segment of the index, and what is counted only when
/// somebody looks (users, channels, logs).
const SLACK_BYTES: usize = 64 << 10;

#[derive(Clone, Debug)]
enum Op {
    Set { key: u8, bytes: usize, volatile: bool },
    Lock { key: u8 },
    Push { key: u8, bytes: usize },
    Get { key: u8 },
    Expire { key: u8 },
    Persist { key: u8 },
    Delete { key: u8 },
    Select { db: usize },
    Policy(usize),
    Limit { more: usize },
    Flush,
    Wait { millis: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (any::<u8>(), 0..3000_usize, any::<bool>())
            .prop_map(|(key, bytes, volatile)| Op::Set { key, bytes, volatile }),
        2 => (0..20_u8).prop_map(|key| Op::Lock { key }),
        4 => (any::<u8>(), 0..500_usize).prop_map(|(key, bytes)| Op::Push { key, bytes }),
        6 => any::<u8>().prop_map(|key| Op::Get { key }),
        2 => any::<u8>().prop_map(|key| Op::Expire { key }),
        1 => any::<u8>().prop_map(|key| Op::Persist { key }),
        1 => any::<u8>().prop_map(|key| Op::Delete { key }),
        1 => (0..3_usize).prop_map(|db| Op::Select { db }),
        1 => (0..POLICIES.len()).prop_map(Op::Policy),
        1 => (0..60_000_usize).prop_map(|more| Op::Limit { more }),
        1 => Just(Op::Flush),
        2 => (0..3000_u64).prop_map(|millis| Op::Wait { millis }),
    ]
}

/// The keys of all databases, and whether they have a TTL.
type Keys = BTreeMap<(usize, String), bool>;

/// Whether a policy lets a key go.
fn may_go(policy: usize, key: &str, volatile: bool) -> bool {
    let name = POLICIES[policy];
    name != "noeviction"
        && !key.starts_with("lock:")
        && (volatile || !name.starts_with("volatile-"))
}

struct Run {
    server: Server,
    conn: ConnId,
    db: usize,
    policy: usize,
    /// The one that was in force before the command that runs.
    policy_before: usize,
    limit: usize,
    keys: Keys,
    transcript: String,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut config = Config::default();
        config.set("protected-keys", &["lock:*"]).unwrap();
        let mut server = Server::new(config, Seed(seed));
        let conn = server.connect();
        let keys = Keys::new();
        Self {
            server,
            conn,
            db: 0,
            policy: 0,
            policy_before: 0,
            limit: 0,
            keys,
            transcript: String::new(),
        }
    }

    /// Runs a command; returns its reply.
    fn say(&mut self, line: &str) -> String {
        let reply = self.server.line(self.conn, line).to_string();
        self.transcript.push_str(&reply);
        self.transcript.push('\n');
        reply
    }

    fn may_go(&self, key: &str, volatile: bool) -> bool {
        may_go(self.policy, key, volatile)
    }

    fn used(&self) -> usize {
        self.server.engine().state().memory_used()
    }

    /// A command that may take memory.
    fn write(&mut self, line: &str, key: String, volatile: bool, added: usize) {
        let reply = self.say(line);
        if reply == OOM {
            self.settle();
            let left = self.keys.iter().find(|((_, key), volatile)| self.may_go(key, **volatile));
            assert_eq!(left, None, "refused while something could be evicted: {line}");
            return;
        }
        if !reply.starts_with("(error) WRONGTYPE") {
            // A list may have been evicted and begun anew.
            let db = self.server.engine().state().keyspace.db(self.db);
            let found = db.find(key.as_bytes());
            let volatile = found.map_or(volatile, |found| db.deadline(found).is_some());
            self.keys.insert((self.db, key), volatile);
        }
        self.settle();
        let none_left = !self.keys.iter().any(|((_, key), volatile)| self.may_go(key, *volatile));
        assert!(
            self.limit == 0 || none_left || self.used() <= self.limit + added + SLACK_BYTES,
            "{} used, {} allowed, after {line}",
            self.used(),
            self.limit
        );
    }

    /// Finds out what was evicted, and whether it might be.
    fn settle(&mut self) {
        self.server.advance_ms(0);
        let state = self.server.engine().state();
        let is_there =
            |(db, key): &(usize, String)| state.keyspace.db(*db).find(key.as_bytes()).is_some();
        let (kept, gone): (Keys, Keys) =
            self.keys.clone().into_iter().partition(|(place, _)| is_there(place));
        for ((db, key), volatile) in &gone {
            // CONFIG SET is a command, too, before which keys are evicted.
            let may_go = [self.policy, self.policy_before]
                .into_iter()
                .any(|policy| may_go(policy, key, *volatile));
            assert!(may_go, "{key} of {db} must not go");
            assert!(self.limit > 0, "{key} of {db} has gone without a limit");
        }
        self.keys = kept;
        let count: usize = (0..3).map(|db| state.keyspace.db(db).len()).sum();
        assert_eq!(count, self.keys.len(), "keys came from nowhere");
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Set { key, bytes, volatile } => {
                let ttl = if volatile { " EX 100000" } else { "" };
                let line = format!("SET k{key} {}{ttl}", "v".repeat(bytes + 1));
                self.write(&line, format!("k{key}"), volatile, bytes);
            }
            Op::Lock { key } => {
                let line = format!("SET lock:{key} owner EX 100000");
                self.write(&line, format!("lock:{key}"), true, 0);
            }
            Op::Push { key, bytes } => {
                let name = format!("k{key}");
                let volatile = self.keys.get(&(self.db, name.clone())).copied().unwrap_or(false);
                let line = format!("RPUSH k{key} {}", "v".repeat(bytes + 1));
                // A list that becomes a big one gets a node of 8 KiB.
                self.write(&line, name, volatile, bytes + (32 << 10));
            }
            Op::Get { key } => drop(self.say(&format!("GET k{key}"))),
            Op::Expire { key } => {
                if self.say(&format!("EXPIRE k{key} 100000")) == "(integer) 1" {
                    self.keys.insert((self.db, format!("k{key}")), true);
                }
            }
            Op::Persist { key } => {
                if self.say(&format!("PERSIST k{key}")) == "(integer) 1" {
                    self.keys.insert((self.db, format!("k{key}")), false);
                }
            }
            Op::Delete { key } => {
                self.say(&format!("DEL k{key}"));
                self.keys.remove(&(self.db, format!("k{key}")));
            }
            Op::Select { db } => {
                self.say(&format!("SELECT {db}"));
                self.db = db;
            }
            Op::Policy(policy) => {
                // What is still to be evicted goes by the policy that was in force.
                self.settle();
                self.say(&format!("CONFIG SET maxmemory-policy {}", POLICIES[policy]));
                self.policy = policy;
                self.settle();
                self.policy_before = policy;
            }
            Op::Limit { more } => {
                self.settle();
                self.limit = self.used() - 20_000_usize.min(self.used()) + more;
                self.say(&format!("CONFIG SET maxmemory {}", self.limit));
            }
            Op::Flush => {
                self.say("FLUSHDB");
                let db = self.db;
                self.keys.retain(|(at, key), _| *at != db || key.starts_with("lock:"));
            }
            Op::Wait { millis } => self.server.advance_ms(millis),
        }
        self.settle();
        self.server.engine().check_invariants();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn only_what_may_go_goes_and_memory_stays_under_the_limit(
        ops in proptest::collection::vec(op(), 1..250),
        seed in any::<u64>(),
    ) {
        let (mut first, mut second) = (Run::new(seed), Run::new(seed));
        for op in &ops {
            first.apply(op);
            second.apply(op);
        }
        prop_assert_eq!(first.transcript, second.transcript);
        prop_assert_eq!(first.server.engine().digest(), second.server.engine().digest());
    }
}
