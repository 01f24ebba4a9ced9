//! The same random commands to this engine and to a real redis-server: every reply must be the
//! same, byte for byte.
//!
//! Exceptions: what depends on the millisecond in which a command ran (TTL and its kin) may differ
//! a little; KEYS and whole SCANs are compared as sets. Commands and options that came after Redis
//! 7.0 are not drawn; RANDOMKEY is not either.
//!
//! A failure prints its seed; `ORRERY_DIFFERENTIAL_SEED=n` runs only that one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant as HostInstant, SystemTime, UNIX_EPOCH};

use orrery_engine::rng::Rng;
use orrery_engine::time::TtlClock;
use orrery_engine::{Config, ConnId, Instant, Now, Seed, UnixMicros};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;

const SEEDS: u64 = 6;
const COMMANDS_PER_SEED: usize = 3000;
/// How much later one of the two may have run a command than the other, in milliseconds.
const LAG_MS: i64 = 5000;

/// Words: `K` key, `V` value, `I` integer, `F` float, `O` offset, `D` database, `P` pattern, `S`
/// and `M` seconds and milliseconds from now, `US` and `UM` since the epoch. `[a|b]`: one of these
/// or nothing; `{a b}`: one to three times.
const TEMPLATES: &[&str] = &[
    "GET K",
    "GET K",
    "SET K V",
    "SET K V",
    "SET K V [NX|XX] [GET] [EX S|PX M|EXAT US|PXAT UM|KEEPTTL]",
    "SET K V [EX S|PX M|EXAT US|PXAT UM|KEEPTTL] [NX|XX|GET] [EX S|GET|KEEPTTL|NX]",
    "SETNX K V",
    "SETEX K S V",
    "PSETEX K M V",
    "GETSET K V",
    "GETDEL K",
    "GETEX K [EX S|PX M|EXAT US|PXAT UM|PERSIST] [EX S|PX M|PERSIST]",
    "MGET {K}",
    "MSET {K V}",
    "MSETNX {K V}",
    "INCR K",
    "DECR K",
    "INCRBY K I",
    "DECRBY K I",
    "INCRBYFLOAT K F",
    "APPEND K V",
    "STRLEN K",
    "GETRANGE K O O",
    "SUBSTR K O O",
    "SETRANGE K O V",
    "LCS K K [LEN|IDX] [MINMATCHLEN I] [WITHMATCHLEN] [IDX|LEN]",
    "DEL {K}",
    "UNLINK {K}",
    "EXISTS {K}",
    "TOUCH {K}",
    "TYPE K",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K [DB D] [REPLACE]",
    "MOVE K D",
    "EXPIRE K S [NX|XX|GT|LT] [NX|XX|GT|LT]",
    "PEXPIRE K M [NX|XX|GT|LT]",
    "EXPIREAT K US [NX|XX|GT|LT]",
    "PEXPIREAT K UM [NX|XX|GT|LT]",
    "TTL K",
    "PTTL K",
    "EXPIRETIME K",
    "PEXPIRETIME K",
    "PERSIST K",
    "KEYS P",
    "SELECT D",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "12",
    "3.5",
    "-0.25",
    "1e3",
    "-0",
    "+1",
    " 1",
    "1 ",
    "01",
    "nan",
    "inf",
    "0x10",
    "hello",
    "hello world",
    "HeLLo",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "0.1",
    "1e17",
    "a\r\nb",
    "\u{0}\u{1}x",
];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "10",
    "-7",
    "9223372036854775807",
    "-9223372036854775808",
    "x",
    "",
    "1.5",
    "9223372036854775808",
    " 1",
    "+1",
    "4611686018427387904",
];
const FLOATS: &[&str] = &[
    "0",
    "1",
    "-1",
    "0.1",
    "0.2",
    "-3.75",
    "1e3",
    "1e-5",
    "3.0e3",
    "1e17",
    "1e4930",
    "inf",
    "-inf",
    "nan",
    "x",
    "",
    " 1",
    "1 ",
    "0x1p3",
    "12345678901234567890.123456789",
    ".5",
    "5.",
    "-.5e-3",
    "1e5000",
    "1e-5000",
    "-1e4932",
];
const OFFSETS: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "-2",
    "-3",
    "5",
    "10",
    "70",
    "130",
    "1030",
    "-100",
    "536870912",
    "x",
    "9223372036854775807",
    "-9223372036854775808",
];
const DATABASES: &[&str] = &["0", "0", "0", "1", "1", "2", "15", "16", "-1", "x", "99999999999"];
const PATTERNS: &[&str] =
    &["*", "k*", "k?", "k[0-3]", "k[^1]", "\\k1", "", "k[", "*4", "K*", "**", "[a-k]2", "?"];
/// None of them is a small positive number, which could become a short time to live.
const JUNK: &[&str] = &[
    "x",
    "",
    "-1",
    "0",
    "NX",
    "xx",
    "GET",
    "Ex",
    "PX",
    "EXAT",
    "PXAT",
    "KEEPTTL",
    "PERSIST",
    "GT",
    "LT",
    "DB",
    "REPLACE",
    "LEN",
    "IDX",
    "99999999999999999999",
    "*",
    "\u{0}",
];

struct Draw<'a> {
    rng: &'a mut Rng,
}

impl Draw<'_> {
    fn one_of<'t, T: ?Sized>(&mut self, choices: &[&'t T]) -> &'t T {
        choices[self.rng.below(choices.len() as u64) as usize]
    }

    fn command(&mut self) -> Vec<Vec<u8>> {
        let template = self.one_of(TEMPLATES);
        let mut words = Vec::new();
        self.expand(template, &mut words);
        if self.rng.chance(1, 12) {
            self.damage(&mut words);
        }
        if self.rng.chance(1, 8) {
            words[0] = words[0].to_ascii_lowercase();
        }
        words
    }

    fn expand(&mut self, template: &str, words: &mut Vec<Vec<u8>>) {
        let mut rest = template.trim_start();
        while !rest.is_empty() {
            let (item, after) = match rest.as_bytes()[0] {
                b'[' => rest.split_at(rest.find(']').expect("a group is closed") + 1),
                b'{' => rest.split_at(rest.find('}').expect("a group is closed") + 1),
                _ => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
            };
            rest = after.trim_start();
            if let Some(group) = item.strip_prefix('[') {
                let choices: Vec<&str> = group.trim_end_matches(']').split('|').collect();
                if self.rng.chance(1, 3) {
                    let choice = self.one_of(&choices);
                    self.expand(choice, words);
                }
            } else if let Some(group) = item.strip_prefix('{') {
                for _ in 0..=self.rng.below(3) {
                    self.expand(group.trim_end_matches('}'), words);
                }
            } else {
                let word = self.word(item);
                words.push(word);
            }
        }
    }

    fn word(&mut self, kind: &str) -> Vec<u8> {
        let text = match kind {
            "K" => return self.key(),
            "V" => return self.value(),
            "I" => self.one_of(INTEGERS).to_owned(),
            "F" => self.one_of(FLOATS).to_owned(),
            "O" => self.one_of(OFFSETS).to_owned(),
            "D" => self.one_of(DATABASES).to_owned(),
            "P" => self.one_of(PATTERNS).to_owned(),
            "S" => self.span(1),
            "M" => self.span(1000),
            "US" => self.moment(1),
            "UM" => self.moment(1000),
            token => token.to_owned(),
        };
        text.into_bytes()
    }

    fn key(&mut self) -> Vec<u8> {
        match self.rng.below(60) {
            0 => Vec::new(),
            1 => vec![b'L'; 300],
            2 => vec![b'L'; 2000],
            number => format!("k{}", number % 6).into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.below(8) {
            0 => self.rng.next_u64().to_string().into_bytes(),
            1 => {
                // Around the lengths at which strings are stored in another way.
                let len = self.one_of(&[&20, &21, &44, &45, &64, &65, &900, &1030, &3000]);
                let start = self.rng.below(26) as u8;
                (0..*len).map(|at| b'a' + (start + (at % 7) as u8) % 26).collect()
            }
            2 => (0..self.rng.below(12)).map(|_| b"abc"[self.rng.below(3) as usize]).collect(),
            _ => self.one_of(VALUES).as_bytes().to_vec(),
        }
    }

    /// A time to live that does not end while the test runs, or no good one.
    fn span(&mut self, factor: u64) -> String {
        if self.rng.chance(1, 4) {
            let odd = ["0", "-1", "x", "", "1.5", "9223372036854775807", "9223372036854775"];
            let negative = ["-9223372036854775808", "-9223372036854775", "-100000"];
            return self.one_of(&[&odd[..], &negative[..]].concat()).to_owned();
        }
        ((100_000 + self.rng.below(1_000_000)) * factor).to_string()
    }

    /// A moment long ago or far ahead, or no good one.
    fn moment(&mut self, factor: u64) -> String {
        match self.rng.below(6) {
            0 => self.one_of(&["0", "-1", "x", "", "9223372036854775808"]).to_owned(),
            1 => (factor * (1 + self.rng.below(1_000_000_000))).to_string(),
            _ => (factor * (4_102_444_800 + self.rng.below(1_000_000))).to_string(),
        }
    }

    fn damage(&mut self, words: &mut Vec<Vec<u8>>) {
        let at = self.rng.below(words.len() as u64) as usize;
        let junk = self.one_of(JUNK).as_bytes().to_vec();
        match self.rng.below(4) {
            0 if words.len() > 1 => drop(words.remove(at)),
            1 => words.insert(at + 1, junk),
            2 => words.insert(at, words[at].clone()),
            _ => words[at] = junk,
        }
        if words[0].is_empty() || words[0].contains(&0) {
            words[0] = b"GET".to_vec();
        }
    }
}

/// Both servers and what was said to them.
struct Pair {
    ours: Server,
    our_clients: Vec<ConnId>,
    real_clients: Vec<RealClient>,
    start: HostInstant,
    log: Vec<String>,
    seed: u64,
}

impl Pair {
    fn new(real: &RealRedis, seed: u64) -> Self {
        // As in Redis; the harness starts its own clock long before now.
        let config = Config { ttl_clock: TtlClock::Wall, ..Config::default() };
        let mut ours = Server::new(config, Seed(seed));
        real.connect().call(&["FLUSHALL"]);
        let our_clients = vec![ours.connect(), ours.connect()];
        let real_clients = vec![real.connect(), real.connect()];
        let start = HostInstant::now();
        let mut pair = Self { ours, our_clients, real_clients, start, log: Vec::new(), seed };
        pair.turn_clocks();
        // The second client speaks RESP3.
        let (_, reply) = pair.replies(1, &[b"HELLO".to_vec(), b"3".to_vec()]);
        assert!(!Value::read_all(&reply)[0].is_error(), "HELLO 3 gives {}", reply.escape_ascii());
        pair
    }

    fn turn_clocks(&mut self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let mono = 2_000_000 + self.start.elapsed().as_micros() as u64;
        self.ours
            .set_clocks(Now { mono: Instant(mono), wall: UnixMicros(wall.as_micros() as u64) });
    }

    /// What the real server and this one say.
    fn replies(&mut self, client: usize, words: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let bytes = encode(words);
        let shown: Vec<String> =
            words.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect();
        self.log.push(format!("{client}> {}", shown.join(" ")));
        self.real_clients[client].send(&bytes);
        let real = self.real_clients[client].read_raw();
        self.turn_clocks();
        let ours = self.ours.send(self.our_clients[client], &bytes);
        (real, ours)
    }

    fn compare(&mut self, client: usize, words: &[Vec<u8>]) {
        let (real, ours) = self.replies(client, words);
        if real == ours || same(words, &real, &ours) {
            return;
        }
        let from = self.log.len().saturating_sub(12);
        panic!(
            "seed {}, command {}:\n{}\nredis: {}\nours:  {}",
            self.seed,
            self.log.len(),
            self.log[from..].join("\n"),
            real.escape_ascii(),
            ours.escape_ascii()
        );
    }

    fn line(&mut self, client: usize, line: &str) {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        self.compare(client, &words);
    }

    /// Keys that really expire, each in another way.
    fn let_keys_expire(&mut self, rng: &mut Rng) {
        let moment = self.start.elapsed().as_millis() as u64;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let soon = now.as_millis() + 30;
        self.line(0, "SELECT 0");
        for line in [
            "SET k0 v PX 30".to_owned(),
            format!("SET k1 {moment} PXAT {soon}"),
            "PSETEX k2 30 12".to_owned(),
            "SET k3 v".to_owned(),
            "PEXPIRE k3 30".to_owned(),
            "SET k4 v".to_owned(),
            format!("PEXPIREAT k4 {soon}"),
            "SET k5 v".to_owned(),
            "GETEX k5 PX 30".to_owned(),
        ] {
            self.line(0, &line);
        }
        std::thread::sleep(Duration::from_millis(80));
        for _ in 0..8 {
            let words = Draw { rng }.command();
            if !words[0].eq_ignore_ascii_case(b"SELECT") {
                self.compare(0, &words);
            }
        }
        self.line(0, "MGET k0 k1 k2 k3 k4 k5");
    }

    /// A whole iteration on both sides.
    fn scan(&mut self, client: usize, rng: &mut Rng) {
        let pattern = Draw { rng }.one_of(PATTERNS);
        let options = match rng.below(5) {
            0 => vec![],
            1 => vec!["COUNT", "1"],
            2 => vec!["COUNT", "1000000", "TYPE", "STRING"],
            3 => vec!["TYPE", "hash"],
            _ => vec!["MATCH", pattern, "COUNT", "3"],
        };
        let mut found: [BTreeSet<Vec<u8>>; 2] = Default::default();
        let mut cursors = [b"0".to_vec(), b"0".to_vec()];
        let mut done = [false; 2];
        while done != [true, true] {
            for side in [0, 1] {
                if done[side] {
                    continue;
                }
                let mut words = vec![b"SCAN".to_vec(), cursors[side].clone()];
                words.extend(options.iter().map(|word| Vec::from(*word)));
                let (real, ours) = self.replies(client, &words);
                let value = Value::read_all(if side == 0 { &real } else { &ours }).remove(0);
                cursors[side] = value.elements()[0].bytes().to_vec();
                done[side] = cursors[side] == b"0";
                let keys = value.elements()[1].elements();
                found[side].extend(keys.iter().map(|key| key.bytes().to_vec()));
            }
        }
        assert_eq!(found[0], found[1], "seed {}, SCAN {options:?}", self.seed);
    }
}

/// Whether replies that are not the same bytes are as good as the same.
fn same(words: &[Vec<u8>], real: &[u8], ours: &[u8]) -> bool {
    let (real, ours) = (Value::read_all(real).remove(0), Value::read_all(ours).remove(0));
    let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
    match (name.as_str(), real, ours) {
        ("TTL" | "EXPIRETIME", Value::Integer(real), Value::Integer(ours)) => {
            real > 0 && (real - ours).abs() <= LAG_MS / 1000
        }
        ("PTTL" | "PEXPIRETIME", Value::Integer(real), Value::Integer(ours)) => {
            real > 0 && (real - ours).abs() <= LAG_MS
        }
        ("KEYS", Value::Array(mut real), Value::Array(mut ours)) => {
            let text = |value: &Value| value.bytes().to_vec();
            real.sort_by_key(text);
            ours.sort_by_key(text);
            real == ours
        }
        _ => false,
    }
}

fn run(real: &RealRedis, seed: u64) {
    let mut rng = Rng::new(Seed(seed), "differential");
    let mut pair = Pair::new(real, seed);
    for count in 1..=COMMANDS_PER_SEED {
        let client = rng.below(2) as usize;
        if count % 500 == 0 {
            pair.let_keys_expire(&mut rng);
        } else if count % 100 == 0 {
            pair.scan(client, &mut rng);
        } else {
            let words = Draw { rng: &mut rng }.command();
            pair.compare(client, &words);
        }
        if rng.chance(1, 10) {
            pair.ours.tick();
        }
    }
    pair.ours.engine().check_invariants();
}

#[test]
fn random_commands_get_the_replies_of_redis() {
    let Some(real) = RealRedis::start("differential") else { return };
    match std::env::var("ORRERY_DIFFERENTIAL_SEED") {
        Ok(seed) => run(&real, seed.parse().expect("a seed is a number")),
        Err(_) => (1..=SEEDS).for_each(|seed| run(&real, seed)),
    }
}

/// Each line alone after a FLUSHALL would hardly be drawn; what it needs stands before it.
const CASES: &str = include_str!("differential_cases.txt");

#[test]
fn chosen_commands_get_the_replies_of_redis() {
    let Some(real) = RealRedis::start("differential cases") else { return };
    let mut pair = Pair::new(&real, 0);
    for client in [0, 1] {
        for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words = orrery_tests::resp_value::words(line);
            pair.compare(client, &words);
        }
    }
}
