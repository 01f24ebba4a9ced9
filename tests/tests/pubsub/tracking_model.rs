//! Caches that are kept by the rules of client-side caching are never wrong once everything that
//! was sent has arrived: random clients read, cache and forget, others change the data in every way
//! there is, and messages lie around for a while.

use std::collections::BTreeMap;

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

const CACHES: usize = 4;
const KEYS: usize = 6;

/// How a client caches.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Whatever it reads, in RESP3.
    Reading,
    /// Only what it asks to.
    Asking,
    /// What begins with its prefix.
    Broadcast,
    /// With a second connection of RESP2 that gets the messages.
    Redirect,
}

#[derive(Clone, Debug)]
enum Op {
    /// A client reads a key and keeps the value.
    Read(usize, usize),
    /// It reads several in a transaction or a script.
    ReadMany(usize, bool, Vec<usize>),
    /// It changes a key: what it knows of it is what it wrote, unless it is told otherwise.
    Write(usize, usize),
    /// Somebody changes keys.
    Change(u8, Vec<usize>),
    /// A client looks at what has come.
    Look(usize),
    /// Time passes.
    Wait(u16),
}

fn ops() -> impl Strategy<Value = Op> {
    let (cache, key) = (0..CACHES, 0..KEYS);
    let keys = prop::collection::vec(key.clone(), 1..4);
    prop_oneof![
        8 => (cache.clone(), key.clone()).prop_map(|(c, k)| Op::Read(c, k)),
        3 => (cache.clone(), any::<bool>(), keys.clone())
            .prop_map(|(c, script, k)| Op::ReadMany(c, script, k)),
        3 => (cache.clone(), key).prop_map(|(c, k)| Op::Write(c, k)),
        8 => (0..13_u8, keys).prop_map(|(how, k)| Op::Change(how, k)),
        5 => cache.prop_map(Op::Look),
        2 => (0..30_u16).prop_map(Op::Wait),
    ]
}

fn ways() -> impl Strategy<Value = Vec<Way>> {
    let way = prop_oneof![
        Just(Way::Reading),
        Just(Way::Asking),
        Just(Way::Broadcast),
        Just(Way::Redirect)
    ];
    prop::collection::vec(way, CACHES)
}

fn name(key: usize) -> String {
    format!("k{key}")
}

/// A client with a cache. `None` as a value: there is no such key.
struct Cache {
    way: Way,
    conn: ConnId,
    /// Where its messages come.
    receiver: ConnId,
    values: BTreeMap<String, Value>,
}

impl Cache {
    fn new(server: &mut Server, way: Way, no_loop: bool) -> Self {
        let conn = server.connect();
        server.line(conn, "HELLO 3");
        let no_loop = if no_loop { "NOLOOP" } else { "" };
        let mut receiver = conn;
        let options = match way {
            Way::Reading => String::new(),
            Way::Asking => "OPTIN".to_owned(),
            Way::Broadcast => "BCAST PREFIX k".to_owned(),
            Way::Redirect => {
                receiver = server.connect();
                server.send(receiver, b"SUBSCRIBE __redis__:invalidate\r\n");
                format!("REDIRECT {}", receiver.0)
            }
        };
        server.check(conn, &format!("CLIENT TRACKING ON {options} {no_loop}"), "OK");
        Self { way, conn, receiver, values: BTreeMap::new() }
    }

    /// Takes messages out of what has come, forgets what they name, and returns the replies.
    fn take(&mut self, bytes: &[u8]) -> Vec<Value> {
        let mut replies = Vec::new();
        for value in Value::read_all(bytes) {
            match value {
                Value::Push(parts) => self.forget(&parts[1]),
                Value::Array(parts) if parts.first() == Some(&Value::bulk("message")) => {
                    self.forget(&parts[2]);
                }
                reply => replies.push(reply),
            }
        }
        replies
    }

    fn forget(&mut self, keys: &Value) {
        if *keys == Value::Null {
            self.values.clear();
            return;
        }
        for key in keys.elements() {
            self.values.remove(&String::from_utf8_lossy(key.bytes()).into_owned());
        }
    }

    fn look(&mut self, server: &mut Server) {
        let bytes = server.output(self.conn);
        assert_eq!(self.take(&bytes), [], "it has asked for nothing");
        if self.receiver != self.conn {
            let bytes = server.output(self.receiver);
            self.take(&bytes);
        }
    }

    /// Runs commands; the last one's reply is returned. Messages that arrived with it, before or
    /// behind it, were sent in the order of the bytes.
    fn call(&mut self, server: &mut Server, commands: &[Vec<String>], keep: &[String]) {
        let request: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        // What has come was sent before the reply.
        self.look(server);
        let bytes = server.send(self.conn, &request);
        for value in Value::read_all(&bytes) {
            match (&value, keep) {
                (Value::Push(parts), _) => self.forget(&parts[1]),
                (Value::Bulk(_) | Value::Null, [key]) => {
                    self.values.insert(key.clone(), value);
                }
                (Value::Array(values), keys) if values.len() == keys.len() => {
                    self.values.extend(keys.iter().cloned().zip(values.iter().cloned()));
                }
                _ => {}
            }
        }
    }

    fn read(&mut self, server: &mut Server, keys: &[String], how: Option<bool>) {
        let word = |text: &str| text.to_owned();
        let get = |key: &String| vec![word("GET"), key.clone()];
        let mut commands: Vec<Vec<String>> = Vec::new();
        if matches!(self.way, Way::Asking) {
            commands.push(vec![word("CLIENT"), word("CACHING"), word("YES")]);
        }
        match how {
            None => commands.extend(keys.iter().map(get)),
            Some(false) => {
                commands.push(vec![word("MULTI")]);
                commands.extend(keys.iter().map(get));
                commands.push(vec![word("EXEC")]);
            }
            Some(true) => {
                let script = "local all = {} for i, key in ipairs(ARGV) do \
                              all[i] = redis.call('GET', key) end return all";
                let mut words = vec![word("EVAL"), word(script), word("0")];
                words.extend(keys.iter().cloned());
                commands.push(words);
            }
        }
        self.call(server, &commands, keys);
    }
}

/// Changes keys in one of many ways.
fn change(server: &mut Server, conn: ConnId, how: u8, keys: &[String], stamp: usize) {
    let all = keys.join(" ");
    let pairs: Vec<String> = keys.iter().map(|key| format!("{key} {stamp}")).collect();
    let pairs = pairs.join(" ");
    let (first, last) = (&keys[0], &keys[keys.len() - 1]);
    let line = match how {
        0..4 => format!("SET {first} {stamp}"),
        4 => format!("MSET {pairs}"),
        5 => format!("DEL {all}"),
        6 => format!("SET {first} {stamp} PX {}", 1 + stamp % 20),
        7 => format!("PEXPIRE {first} {}", stamp % 25),
        8 => format!("COPY {first} {last} REPLACE"),
        9 => "FLUSHALL".to_owned(),
        10 => format!("MULTI\r\nSET {first} a\r\nDEL {first}\r\nSET {last} {stamp}\r\nEXEC"),
        11 => format!("EVAL \"redis.call('SET', ARGV[1], {stamp}) return 1\" 0 {first}"),
        _ => format!("APPEND {first} x"),
    };
    // Errors (COPY of a key to itself) change nothing.
    for line in line.split("\r\n") {
        server.line(conn, line);
    }
}

fn check(server: &mut Server, admin: ConnId, caches: &mut [Cache]) {
    for cache in caches {
        cache.look(server);
        for (key, value) in &cache.values {
            let truth = server.call(admin, &["GET", key]);
            // Asking may have found out that the key is over, which is told now.
            if *value != truth {
                let mut bytes = server.output(cache.receiver);
                bytes.extend(server.output(cache.conn));
                let name = key.as_bytes();
                let is_told = bytes.windows(name.len()).any(|window| window == name);
                assert!(is_told, "{:?} keeps {key} = {value}, which is {truth}", cache.way);
                return;
            }
        }
    }
}

fn run(ways: &[Way], no_loop: bool, keys_max: usize, ops: &[Op]) {
    let config = Config { tracking_table_max_keys: keys_max, ..Config::default() };
    let mut server = Server::new(config, Seed(11));
    let admin = server.connect();
    let mut caches: Vec<Cache> =
        ways.iter().map(|&way| Cache::new(&mut server, way, no_loop)).collect();
    for (stamp, op) in ops.iter().enumerate() {
        match op {
            Op::Read(cache, key) => caches[*cache].read(&mut server, &[name(*key)], None),
            Op::ReadMany(cache, script, keys) => {
                let keys: Vec<String> = keys.iter().map(|&key| name(key)).collect();
                // A script does not end its array at a value that is not there.
                let script = *script && keys.len() == 1;
                caches[*cache].read(&mut server, &keys, Some(script));
            }
            Op::Write(cache, key) => {
                let (cache, key) = (&mut caches[*cache], name(*key));
                let value = stamp.to_string();
                // It must not count on a message: with NOLOOP there is none.
                cache.values.remove(&key);
                cache.call(&mut server, &[vec!["SET".into(), key, value]], &[]);
            }
            Op::Change(how, keys) => {
                let keys: Vec<String> = keys.iter().map(|&key| name(key)).collect();
                change(&mut server, admin, *how, &keys, stamp);
            }
            Op::Look(cache) => caches[*cache].look(&mut server),
            Op::Wait(millis) => server.advance_ms(u64::from(*millis)),
        }
        server.engine().check_invariants();
        assert!(keys_max == 0 || server.engine().state().tracking.totals()[0] <= keys_max);
        if stamp % 5 == 0 {
            check(&mut server, admin, &mut caches);
        }
    }
    server.advance_ms(100);
    check(&mut server, admin, &mut caches);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_cache_is_wrong_when_everything_has_arrived(
        ways in ways(),
        no_loop in any::<bool>(),
        keys_max in prop_oneof![Just(0_usize), 1..6_usize],
        ops in prop::collection::vec(ops(), 1..120),
    ) {
        run(&ways, no_loop, keys_max, &ops);
    }
}
