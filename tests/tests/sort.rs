//! SORT against the real redis-server: the same data in both, thousands of commands drawn from
//! pools that bring every option together, and what counts as a number.
//!
//! Where Redis leaves an order open (a set that is not sorted, elements that weigh the same as
//! text) the commands are drawn so that it cannot be seen.

use orrery_engine::rng::{Rng, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, words};
use orrery_tests::server_in_process::Server;

/// Commands of the random comparison.
const COMMANDS: usize = 4000;

const DATA: &str = r#"
SADD set:integers 1 2 3 10 20 -5 0 300 70000 -9223372036854775808 9223372036854775807
SADD set:mixed 1 2 2.0 1e1 10 -0.5 0x1F 007 7 +7
SADD set:texts 1 10 2 a b ab "" "with space" Z z "7 seas"
SADD set:one 5
RPUSH list:integers 5 3 3 1 20 -7 100 20 0
RPUSH list:floats 1.5 1.50 -2 inf -inf 1e3 1000 0.1 " 4"
RPUSH list:texts b a c b "" B 10 9 a
ZADD zset:integers 3 1 2 2 1 3 0 20 5 10 5 5
ZADD zset:texts 1 b 1 a 0 z 7.5 "" -1 m
MSET w_1 10 w_2 5 w_3 5 w_10 -1 w_20 2.5 w_5 100 w_0 10 w_300 1e2 w_7 0.5 w_100 7
MSET t_1 x t_2 b t_3 y t_10 a t_20 c t_5 zz t_0 "" t_-7 q t_100 xx t_b 1 t_a 2 t_c 3 t_B 4 t_ 5
MSET t_9 6 t_z 7 t_m 8 t_ab 9 t_Z 10 o_1 one o_2 two o_3 three o_b "the b" o_ nothing
MSET bad_1 1 bad_2 two *odd* star x->y arrow
HSET h_1 weight 3 name first
HSET h_2 weight 1 name second
HSET h_3 weight 2
HSET h_10 weight -7 name tenth -> arrow
HSET h_b name "hash of b" weight 4
SET h_20 string
HSET w_70000 weight 1
SET expired 1 PX 1
SET plain text
HSET hash f v
"#;

const SOURCES: &[&str] = &[
    "set:integers",
    "set:mixed",
    "set:texts",
    "set:one",
    "list:integers",
    "list:floats",
    "list:texts",
    "zset:integers",
    "zset:texts",
    "none",
    "plain",
    "hash",
];
/// Weights as numbers may be missing and equal, as texts must differ.
const NUMERIC_WEIGHTS: &[&str] =
    &["w_*", "h_*->weight", "none_*", "h_*->none", "bad_*", "t_*", "*"];
const TEXT_WEIGHTS: &[&str] = &["t_*"];
const CONSTANTS: &[&str] = &["nosort", "#", "", "w_1", "h->f"];
const GETS: &[&str] = &["#", "o_*", "h_*->name", "h_*->", "h_*->->", "w_*", "*", "none", "none_*"];
const LIMITS: &[&str] = &["0", "1", "2", "3", "5", "100", "-1", "-5", "9223372036854775807"];

/// Both servers with the same data.
struct Pair {
    server: Server,
    conn: orrery_engine::ConnId,
    real: RealClient,
    /// Ends the real server when it is dropped.
    _redis: RealRedis,
}

impl Pair {
    fn start(test: &str) -> Option<Self> {
        let redis = RealRedis::start_with(test, &["--enable-debug-command", "yes"])?;
        let real = redis.connect();
        let mut server = Server::default();
        let conn = server.connect();
        let mut pair = Self { server, conn, real, _redis: redis };
        for line in DATA.lines().filter(|line| !line.is_empty()) {
            pair.both(&words(line));
        }
        Some(pair)
    }

    /// The replies of both, ours first.
    fn both(&mut self, words: &[Vec<u8>]) -> (Value, Value) {
        (self.server.call(self.conn, words), self.real.call(words))
    }

    fn same(&mut self, words: &[Vec<u8>]) -> Value {
        let (ours, theirs) = self.both(words);
        assert_eq!(ours, theirs, "{}", shown(words));
        ours
    }

    fn same_line(&mut self, line: &str) -> Value {
        self.same(&words(line))
    }
}

fn shown(words: &[Vec<u8>]) -> String {
    let words = words.iter().map(|word| format!("\"{}\"", word.escape_ascii()));
    words.collect::<Vec<_>>().join(" ")
}

/// Draws commands.
struct Draw(Rng);

impl Draw {
    fn one<'a>(&mut self, pool: &[&'a str]) -> &'a str {
        pool[self.0.below(pool.len() as u64) as usize]
    }

    fn command(&mut self) -> Vec<&'static str> {
        let source = self.one(SOURCES);
        let mut words = vec![if self.0.chance(1, 5) { "SORT_RO" } else { "SORT" }, source];
        let alpha = self.0.chance(1, 2);
        let stores = words[0] == "SORT" && self.0.chance(1, 4);
        let mut options: Vec<Vec<&str>> = Vec::new();
        // A set whose order nobody chose may be in any.
        let may_stay = !source.starts_with("set:") || source == "set:one" || stores;
        match self.0.below(5) {
            0 if may_stay => options.push(vec!["BY", self.one(CONSTANTS)]),
            1 | 2 if alpha => options.push(vec!["BY", self.one(TEXT_WEIGHTS)]),
            1 | 2 => options.push(vec!["BY", self.one(NUMERIC_WEIGHTS)]),
            _ => {}
        }
        // Not every element of these has a text to weigh.
        let incomplete = ["set:integers", "set:mixed", "set:texts", "list:floats"];
        if alpha && incomplete.contains(&source) {
            options.retain(|option| option[0] != "BY" || !option[1].contains('*'));
        }
        if alpha {
            options.push(vec!["ALPHA"]);
        }
        if self.0.chance(1, 2) {
            options.push(vec![self.one(&["ASC", "DESC", "desc"])]);
        }
        if self.0.chance(1, 2) {
            options.push(vec!["LIMIT", self.one(LIMITS), self.one(LIMITS)]);
        }
        for _ in 0..self.0.below(3) {
            options.push(vec!["GET", self.one(GETS)]);
        }
        if stores {
            options.push(vec!["STORE", "destination"]);
        }
        while !options.is_empty() {
            let at = self.0.below(options.len() as u64) as usize;
            words.extend(options.swap_remove(at));
        }
        words
    }
}

#[test]
fn sort_replies_as_redis() {
    let Some(mut pair) = Pair::start("sort_replies_as_redis") else { return };
    let mut draw = Draw(Rng::new(Seed(21), "sort"));
    let mut stored = 0;
    for _ in 0..COMMANDS {
        let command = draw.command();
        if draw.0.chance(1, 8) {
            // Whatever the destination holds gives way, its time to live included.
            pair.same_line(draw.one(&[
                "SET destination string",
                "SET destination string EX 1000",
                "DEL destination",
            ]));
        }
        let is_stored = command.contains(&"STORE");
        let command: Vec<Vec<u8>> = command.iter().map(|word| word.as_bytes().to_vec()).collect();
        let reply = pair.same(&command);
        if is_stored && !reply.is_error() {
            stored += 1;
            for line in ["TYPE destination", "TTL destination", "LRANGE destination 0 -1"] {
                let (ours, theirs) = pair.both(&words(line));
                assert_eq!(ours, theirs, "{line} after {}", shown(&command));
            }
        }
    }
    assert!(stored > COMMANDS / 20, "only {stored} results were stored");
    pair.server.engine().check_invariants();
}

/// What is refused, in which order, and corners of the syntax.
const LINES: &str = r##"
SORT
SORT plain
SORT plain BY
SORT hash ALPHA FOO
SORT none
SORT none STORE destination
SORT none LIMIT a b
SORT none LIMIT 1
SORT none LIMIT 1 x
SORT none LIMIT x 1 FOO
SORT none FOO LIMIT x 1
SORT plain LIMIT x 1
SORT none GET
SORT none STORE
SORT_RO none STORE destination
SORT_RO plain
SORT list:integers LIMIT 0 9223372036854775808
SORT list:integers LIMIT 9223372036854775807 9223372036854775807
SORT list:integers LIMIT -9223372036854775808 -9223372036854775808
SORT list:integers LIMIT 1 2 LIMIT 2 1
SORT list:integers DESC ASC
SORT list:integers BY w_* BY nosort
SORT list:integers BY nosort BY w_*
SORT list:texts
SORT list:texts STORE destination
SORT list:texts ALPHA STORE a STORE b
EXISTS a b
SORT list:texts ALPHA STORE list:texts
LRANGE list:texts 0 -1
SORT set:one STORE set:one
TYPE set:one
SORT none STORE set:one
EXISTS set:one
SORT list:integers LIMIT 5 0 STORE list:integers
EXISTS list:integers
SORT set:texts BY nosort STORE d
LRANGE d 0 -1
SORT set:texts BY nosort DESC STORE d
LRANGE d 0 -1
SORT set:texts BY nosort DESC LIMIT 1 3 GET # GET o_* STORE d
LRANGE d 0 -1
SORT set:integers BY expired*
SORT list:floats GET "*\x00"
SORT list:floats GET "#\x00"
SORT zset:integers BY "no\x00*" DESC
SORT list:floats BY "w\x00*" LIMIT 0 3
"##;

#[test]
fn corners_are_as_in_redis() {
    let Some(mut pair) = Pair::start("corners_are_as_in_redis") else { return };
    for line in LINES.lines().filter(|line| !line.is_empty()) {
        pair.same_line(line);
    }
    pair.both(&words("HELLO 3"));
    pair.same_line("SORT zset:integers GET none_* GET # GET o_*");
}

/// Texts that are numbers to C, or nearly.
const NUMBERS: &[&str] = &[
    "",
    " ",
    "1",
    " 1",
    "1 ",
    "\t\n\u{b}\u{c}\r1",
    "+1",
    "-1",
    "--1",
    "+-1",
    "1.",
    ".5",
    ".",
    "-.",
    "1e5",
    "1e",
    "1e+",
    "1E-3",
    "e1",
    "1.5.5",
    "1_000",
    "0x10",
    "0X1p4",
    "0x",
    "0x.8",
    "0x1p",
    "0x1.8p+1",
    "0xg",
    "inf",
    "-inf",
    "infinity",
    "INF",
    "infi",
    "nan",
    "-nan",
    "nan()",
    "nan(1)",
    "nan(",
    "1\u{0}2",
    "\u{0}",
    "x",
    "1x",
    "0x1p-1074",
    "1e308",
    "1.7976931348623157e308",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "1e-300",
    "2.2250738585072014e-308",
    "0e9999",
    "0x0p9999",
    "００",
    "1e+0001",
];
/// These leave `ERANGE` behind in Redis, which nothing resets: they come last.
const OUT_OF_RANGE: &[&str] = &["1e400", "-1e400", "1e-400", "1e-310", "0x1p1024", "0x1p-1080"];

#[test]
fn what_is_a_number_is_a_number_in_redis() {
    let Some(mut pair) = Pair::start("what_is_a_number_is_a_number_in_redis") else { return };
    for text in NUMBERS.iter().chain(OUT_OF_RANGE) {
        let list =
            |words: &[&str]| words.iter().map(|it| it.as_bytes().to_vec()).collect::<Vec<_>>();
        pair.same(&list(&["DEL", "numbers"]));
        pair.same(&list(&["RPUSH", "numbers", text, "1", "0", "5"]));
        pair.same(&list(&["SORT", "numbers"]));
        pair.same(&list(&["SET", "w_1", text]));
        pair.same(&list(&["SORT", "set:one", "BY", "w_*"]));
    }
}
