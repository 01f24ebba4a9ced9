//! COPY, RENAME and MOVE of values of every type, small and big, with times to live: what arrives
//! is what left, the original and the copy are two values, and everything is as in Redis 7.0.15.

use orrery_engine::config::Access;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, words};
use orrery_tests::server_in_process::Server;

/// One value of a type: how it is made, and a change that keeps its type.
struct Sample {
    name: &'static str,
    make: Vec<String>,
    change: &'static str,
}

fn many(command: &str, count: usize, each: impl Fn(usize) -> String) -> String {
    let words: Vec<String> = (0..count).map(each).collect();
    format!("{command} {}", words.join(" "))
}

fn samples() -> Vec<Sample> {
    let sample = |name, make: &[String], change| Sample { name, make: make.to_vec(), change };
    let owned = |line: &str| [line.to_owned()];
    let long = "x".repeat(3000);
    let pair = |number: usize| format!("f{number} value:{number}");
    let scored = |number: usize| format!("{}.5 m{number}", number % 97);
    let groups = [
        many("XADD s 1-1", 3, |number| format!("f{number} v{number}")),
        "XADD s 2-5 a b".to_owned(),
        "XADD s 3-1 c d".to_owned(),
        "XDEL s 3-1".to_owned(),
        "XGROUP CREATE s g 0".to_owned(),
        "XREADGROUP GROUP g alice COUNT 1 STREAMS s >".to_owned(),
    ];
    let blocks: Vec<String> =
        (1..300).map(|number| format!("XADD s {number}-1 sensor {number} v x")).collect();
    vec![
        sample("integer", &owned("SET s 12345"), "INCR s"),
        sample("text", &owned("SET s hello"), "APPEND s !"),
        sample("long text", &[format!("SET s {long}")], "SETRANGE s 5 y"),
        sample("small list", &owned("RPUSH s a b 3 a"), "LPUSH s z"),
        sample("big list", &[many("RPUSH s", 5000, |number| format!("element{number}"))], "RPOP s"),
        sample("set of integers", &owned("SADD s 1 2 300 -70000"), "SADD s 5"),
        sample("small set", &owned("SADD s a b 3"), "SREM s b"),
        sample("big set", &[many("SADD s", 3000, |number| format!("m{number}"))], "SADD s new"),
        sample("big intset", &[many("SADD s", 900, |n| (n * 7919).to_string())], "SREM s 0"),
        sample("small hash", &owned("HSET s a 1 b text"), "HINCRBY s a 1"),
        sample("big hash", &[many("HSET s", 2000, pair)], "HDEL s f7"),
        sample("small sorted set", &owned("ZADD s 1 a 2.5 b -inf c"), "ZINCRBY s 1 a"),
        sample("big sorted set", &[many("ZADD s", 2000, scored)], "ZREM s m9"),
        sample("stream", &groups, "XADD s 9-9 x y"),
        sample("long stream", &blocks, "XTRIM s MAXLEN 7"),
        sample("HyperLogLog", &[many("PFADD s", 2000, |n| n.to_string())], "PFADD s more"),
    ]
}

/// A server here and a real one.
struct Pair {
    server: Server,
    conn: ConnId,
    real: RealClient,
    _redis: RealRedis,
}

impl Pair {
    fn start(test: &str) -> Option<Self> {
        let redis = RealRedis::start_with(test, &["--enable-debug-command", "yes"])?;
        let real = redis.connect();
        let config = Config { debug_command: Access::Yes, ..Config::default() };
        let mut server = Server::new(config, Seed(1));
        let conn = server.connect();
        Some(Self { server, conn, real, _redis: redis })
    }

    /// Runs a command on both, which must answer the same.
    #[track_caller]
    fn run(&mut self, line: &str, what: &str) -> Value {
        let theirs = self.real.call(&words(line));
        let ours = self.server.line(self.conn, line);
        let line = &line[..line.len().min(100)];
        assert_eq!(ours, theirs, "{what}: {line}");
        ours
    }

    /// A checksum of the value of a key, the same on both.
    #[track_caller]
    fn digest(&mut self, key: &str, what: &str) -> Value {
        let digest = self.run(&format!("DEBUG DIGEST-VALUE {key}"), what);
        digest.elements()[0].clone()
    }

    /// The time to live in seconds, the same on both but for what passed meanwhile.
    #[track_caller]
    fn ttl(&mut self, key: &str, what: &str) -> i64 {
        let line = format!("TTL {key}");
        let theirs = self.real.call(&words(&line)).integer();
        let ours = self.server.line(self.conn, &line).integer();
        assert!((theirs..=theirs + 100).contains(&ours), "{what}: {ours}, {theirs}");
        ours
    }

    /// Makes the value of a sample; it will expire. Returns its digests without and with a
    /// deadline, which is part of them.
    fn make(&mut self, sample: &Sample) -> (Value, Value) {
        self.run("FLUSHALL", sample.name);
        for line in &sample.make {
            self.run(line, sample.name);
        }
        let lasting = self.digest("s", sample.name);
        self.run("EXPIRE s 1000", sample.name);
        let fading = self.digest("s", sample.name);
        assert_ne!(lasting, fading, "{}", sample.name);
        (lasting, fading)
    }
}

#[test]
fn a_copy_is_a_value_of_its_own() {
    let Some(mut pair) = Pair::start("a_copy_is_a_value_of_its_own") else { return };
    for sample in samples() {
        let what = sample.name;
        let (lasting, fading) = pair.make(&sample);
        assert_eq!(pair.run("COPY s c", what).integer(), 1, "{what}");
        assert_eq!(pair.digest("c", what), fading, "{what}");
        assert!(pair.ttl("c", what) > 900, "{what}: the copy expires too");
        // A change of one is no change of the other, in both directions.
        pair.run(sample.change, what);
        assert_ne!(pair.digest("s", what), fading, "{what}");
        assert_eq!(pair.digest("c", what), fading, "{what}");
        pair.run("PERSIST c", what);
        assert!(pair.ttl("s", what) > 900, "{what}");
        pair.run("DEL s", what);
        assert_eq!(pair.digest("c", what), lasting, "{what}");
        pair.run("TYPE c", what);
        // Onto something else, only when told so.
        pair.run("RPUSH other x", what);
        pair.run("EXPIRE other 50", what);
        assert_eq!(pair.run("COPY c other", what).integer(), 0, "{what}");
        assert_eq!(pair.run("COPY c other REPLACE", what).integer(), 1, "{what}");
        assert_eq!(pair.digest("other", what), lasting, "{what}");
        assert_eq!(pair.ttl("other", what), -1, "{what}: the old time to live is gone");
        assert_eq!(pair.run("COPY c other DB 3", what).integer(), 1, "{what}");
        pair.run("COPY c c", what);
        pair.run("SELECT 3", what);
        assert_eq!(pair.digest("other", what), lasting, "{what}");
        pair.run("SELECT 0", what);
        assert_eq!(pair.digest("c", what), lasting, "{what}");
        pair.server.engine().check_invariants();
    }
}

#[test]
fn a_renamed_key_keeps_value_and_deadline() {
    let Some(mut pair) = Pair::start("a_renamed_key_keeps_value_and_deadline") else { return };
    for sample in samples() {
        let what = sample.name;
        let (lasting, fading) = pair.make(&sample);
        pair.run("SADD target something else", what);
        pair.run("RENAMENX s target", what);
        pair.run("RENAME s target", what);
        pair.run("EXISTS s", what);
        assert_eq!(pair.digest("target", what), fading, "{what}");
        assert!(pair.ttl("target", what) > 900, "{what}");
        pair.run("RENAME target target", what);
        // A name that is too long to lie in the entry beside the value, and back.
        let long = "k".repeat(1200);
        pair.run(&format!("RENAMENX target {long}"), what);
        assert_eq!(pair.digest(&long, what), fading, "{what}");
        assert!(pair.ttl(&long, what) > 900, "{what}");
        pair.run(&format!("PERSIST {long}"), what);
        pair.run("SET s string EX 77", what);
        pair.run(&format!("RENAME {long} s"), what);
        assert_eq!(pair.ttl("s", what), -1, "{what}");
        assert_eq!(pair.digest("s", what), lasting, "{what}");
        pair.run(sample.change, what);
        assert_ne!(pair.digest("s", what), lasting, "{what}");
        pair.server.engine().check_invariants();
    }
}

#[test]
fn a_moved_key_keeps_value_and_deadline() {
    let Some(mut pair) = Pair::start("a_moved_key_keeps_value_and_deadline") else { return };
    for sample in samples() {
        let what = sample.name;
        let (_, fading) = pair.make(&sample);
        pair.run("MOVE s 0", what);
        pair.run("MOVE s 99", what);
        assert_eq!(pair.run("MOVE s 5", what).integer(), 1, "{what}");
        assert_eq!(pair.run("MOVE s 5", what).integer(), 0, "{what}: it is not here any more");
        pair.run("SELECT 5", what);
        assert_eq!(pair.digest("s", what), fading, "{what}");
        assert!(pair.ttl("s", what) > 900, "{what}");
        pair.run("COPY s s DB 0", what);
        assert_eq!(pair.run("MOVE s 0", what).integer(), 0, "{what}: there is one");
        pair.run(sample.change, what);
        pair.run("SWAPDB 0 5", what);
        assert_eq!(pair.digest("s", what), fading, "{what}: that of the other database");
        pair.run("SELECT 0", what);
        assert_ne!(pair.digest("s", what), fading, "{what}");
        pair.server.engine().check_invariants();
    }
}

/// The deadlines of fields go where the hash goes. (Redis 7.0 has none.)
#[test]
fn deadlines_of_fields_are_copied_and_moved() {
    for count in [3, 1000] {
        let mut server = Server::default();
        let conn = server.connect();
        server.line(conn, &many("HSET s", count, |number| format!("f{number} v")));
        server.line(conn, "HPEXPIRE s 5000 FIELDS 1 f0");
        server.line(conn, "HPEXPIRE s 9000 FIELDS 1 f1");
        server.check(conn, "COPY s c", "(integer) 1");
        server.check(conn, "RENAME s r", "OK");
        server.check(conn, "COPY r r DB 2", "(integer) 1");
        server.check(conn, "MOVE r 1", "(integer) 1");
        server.advance_ms(5001);
        let left = count as i64 - 1;
        for (database, key) in [(0, "c"), (1, "r"), (2, "r")] {
            server.line(conn, &format!("SELECT {database}"));
            let ttl = server.line(conn, &format!("HPTTL {key} FIELDS 3 f0 f1 f2"));
            let ttl: Vec<i64> = ttl.elements().iter().map(Value::integer).collect();
            assert_eq!(ttl[0], -2, "{key} in {database}");
            assert!((3000..4000).contains(&ttl[1]), "{key} in {database}: {ttl:?}");
            assert_eq!(ttl[2], -1, "{key} in {database}");
            assert_eq!(server.line(conn, &format!("HLEN {key}")).integer(), left);
        }
        server.engine().check_invariants();
    }
}

/// The form of RESTORE that nodes use among themselves, with payloads of the real server.
#[test]
fn restore_asking_does_what_restore_does() {
    let Some(mut pair) = Pair::start("restore_asking_does_what_restore_does") else { return };
    pair.run("CONFIG SET rdbcompression no", "settings");
    for sample in samples() {
        let what = sample.name;
        let (lasting, _) = pair.make(&sample);
        let payload = pair.real.call(&["DUMP", "s"]);
        let words = [b"RESTORE-ASKING", &b"c"[..], b"0", payload.bytes()];
        for expected in
            [Value::simple("OK"), Value::error("BUSYKEY Target key name already exists.")]
        {
            assert_eq!(pair.real.call(&words), expected, "{what}");
            assert_eq!(pair.server.call(pair.conn, &words), expected, "{what}");
        }
        assert_eq!(pair.digest("c", what), lasting, "{what}");
    }
}
