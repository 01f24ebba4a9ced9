//! Geo: the same random commands to this engine and to a real redis-server.
//!
//! Every reply must be the same, byte for byte, but for two things: which of the members that are
//! equally far away come first, which Redis leaves open where it sorts only a part; and the last
//! digits of a stored distance, where the C library and ours round sines differently.
//!
//! A failure prints its seed; `ORRERY_DIFFERENTIAL_SEED=n` runs only that one.

use orrery_engine::rng::Rng;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;

const SEEDS: u64 = 8;
const COMMANDS_PER_SEED: usize = 2000;

const LENGTHS: &[&str] = &[
    "0", "1", "10", "100", "200.5", "1000", "5000", "20000", "1e5", "1e9", "inf", "-1", "x", "nan",
    "", "0.001", "1e-300", "1e300",
];
const UNITS: &[&str] = &["m", "km", "ft", "mi", "M", "Km", "MI", "x", ""];
const ODD_DEGREES: &[&str] = &[
    "180",
    "-180",
    "180.1",
    "85.05112878",
    "-85.05112878",
    "85.06",
    "0",
    "-0",
    "x",
    "nan",
    "inf",
    "1e300",
    "",
    " 1",
    "0x10",
    "13.361389",
    "38.115556",
];

struct Draw<'a> {
    rng: &'a mut Rng,
    /// Around where most places are, and how far around.
    center: (f64, f64),
    spread: f64,
}

impl Draw<'_> {
    fn one_of(&mut self, choices: &[&str]) -> String {
        choices[self.rng.below(choices.len() as u64) as usize].to_owned()
    }

    fn key(&mut self) -> String {
        if self.rng.chance(1, 40) {
            return self.one_of(&["string", "none", "odd"]);
        }
        format!("g{}", self.rng.below(3))
    }

    /// Where results go. They are no places: many of them would be in one.
    fn target(&mut self) -> String {
        self.one_of(&["d0", "d1", "d2"])
    }

    fn member(&mut self) -> String {
        let number = self.rng.below(150);
        if number.is_multiple_of(3) { number.to_string() } else { format!("m{number}") }
    }

    fn offset(&mut self) -> f64 {
        (self.rng.next_u64() as f64 / u64::MAX as f64 - 0.5) * 2.0 * self.spread
    }

    fn degrees(&mut self, words: &mut Vec<String>) {
        if self.rng.chance(1, 25) {
            words.extend([self.one_of(ODD_DEGREES), self.one_of(ODD_DEGREES)]);
            return;
        }
        let longitude = (self.center.0 + self.offset() + 540.0).rem_euclid(360.0) - 180.0;
        let latitude = (self.center.1 + self.offset()).clamp(-85.0, 85.0);
        words.extend([longitude.to_string(), latitude.to_string()]);
    }

    fn length(&mut self) -> String {
        if self.rng.chance(1, 8) {
            return self.one_of(LENGTHS);
        }
        // A degree is a hundred kilometres and a bit.
        let scale = self.spread * 60.0;
        format!("{:.3}", scale * (1 + self.rng.below(100)) as f64 / 50.0)
    }

    fn unit(&mut self) -> String {
        if self.rng.chance(1, 10) { self.one_of(UNITS) } else { "km".to_owned() }
    }

    fn command(&mut self) -> Vec<String> {
        let mut words = match self.rng.below(16) {
            0..=3 => self.add(),
            4 => self.of_members("GEOPOS"),
            5 => self.of_members("GEOHASH"),
            6 => {
                let mut words = vec!["GEODIST".to_owned(), self.key()];
                words.extend([self.member(), self.member()]);
                if self.rng.chance(1, 2) {
                    words.push(self.unit());
                }
                words
            }
            7 => self.radius("GEORADIUS"),
            8 => self.radius("GEORADIUS_RO"),
            9 => self.radius_by_member("GEORADIUSBYMEMBER"),
            10 => self.radius_by_member("GEORADIUSBYMEMBER_RO"),
            11..=13 => {
                let words = vec!["GEOSEARCH".to_owned(), self.key()];
                self.search(words)
            }
            14 => {
                let words = vec!["GEOSEARCHSTORE".to_owned(), self.target(), self.key()];
                self.search(words)
            }
            _ => vec!["ZREM".to_owned(), self.key(), self.member()],
        };
        if self.rng.chance(1, 25) {
            words.pop();
        } else if self.rng.chance(1, 25) {
            words.push(self.one_of(&["ASC", "x", "COUNT", "STORE", "WITHDIST", "ANY", "km"]));
        }
        words
    }

    fn add(&mut self) -> Vec<String> {
        let mut words = vec!["GEOADD".to_owned(), self.key()];
        for option in ["NX", "xx", "CH"] {
            if self.rng.chance(1, 6) {
                words.push(option.to_owned());
            }
        }
        for _ in 0..=self.rng.below(6) {
            self.degrees(&mut words);
            words.push(self.member());
        }
        words
    }

    fn of_members(&mut self, command: &str) -> Vec<String> {
        let mut words = vec![command.to_owned(), self.key()];
        words.extend((0..self.rng.below(5)).map(|_| self.member()));
        words
    }

    fn radius(&mut self, command: &str) -> Vec<String> {
        let mut words = vec![command.to_owned(), self.key()];
        self.degrees(&mut words);
        words.extend([self.length(), self.unit()]);
        self.options(&mut words);
        words
    }

    fn radius_by_member(&mut self, command: &str) -> Vec<String> {
        let mut words = vec![command.to_owned(), self.key(), self.member()];
        words.extend([self.length(), self.unit()]);
        self.options(&mut words);
        words
    }

    fn search(&mut self, mut words: Vec<String>) -> Vec<String> {
        let mut parts: Vec<Vec<String>> = Vec::new();
        if self.rng.chance(19, 20) {
            let mut part = vec!["FROMLONLAT".to_owned()];
            self.degrees(&mut part);
            parts.push(part);
        }
        if self.rng.chance(1, 2) {
            if self.rng.chance(19, 20) {
                parts.clear();
            }
            parts.push(vec!["FROMMEMBER".to_owned(), self.member()]);
        }
        if self.rng.chance(19, 20) {
            parts.push(vec!["BYRADIUS".to_owned(), self.length(), self.unit()]);
        }
        if self.rng.chance(1, 2) {
            if self.rng.chance(19, 20) {
                parts.retain(|part| part[0] != "BYRADIUS");
            }
            parts.push(vec!["BYBOX".to_owned(), self.length(), self.length(), self.unit()]);
        }
        let mut options = Vec::new();
        self.options(&mut options);
        parts.push(options);
        // The parts may stand in any order.
        while !parts.is_empty() {
            let at = self.rng.below(parts.len() as u64) as usize;
            words.extend(parts.remove(at));
        }
        words
    }

    fn options(&mut self, words: &mut Vec<String>) {
        for option in ["WITHDIST", "withcoord", "WITHHASH"] {
            if self.rng.chance(1, 5) {
                words.push(option.to_owned());
            }
        }
        if self.rng.chance(1, 2) {
            words.push(self.one_of(&["ASC", "DESC", "asc"]));
        }
        if self.rng.chance(1, 3) {
            words.extend(["COUNT".to_owned(), self.one_of(&["1", "2", "3", "10", "0", "x", "-1"])]);
            if self.rng.chance(1, 3) {
                words.push("ANY".to_owned());
            }
        }
        if self.rng.chance(1, 10) {
            words.extend([self.one_of(&["STORE", "STOREDIST", "storedist"]), self.target()]);
        }
    }
}

/// Both servers and what was said to them.
struct Pair {
    ours: Server,
    our_clients: [ConnId; 2],
    real_clients: [RealClient; 2],
    log: Vec<String>,
    seed: u64,
}

impl Pair {
    fn new(real: &RealRedis, seed: u64) -> Self {
        let mut ours = Server::new(Config::default(), Seed(seed));
        let our_clients = [ours.connect(), ours.connect()];
        let real_clients = [real.connect(), real.connect()];
        let mut pair = Self { ours, our_clients, real_clients, log: Vec::new(), seed };
        pair.real_clients[0].call(&["FLUSHALL"]);
        // The second client speaks RESP3.
        pair.real_clients[1].call(&["HELLO", "3"]);
        pair.ours.line(pair.our_clients[1], "HELLO 3");
        pair.line("SET string x");
        // Scores that no place has.
        pair.line("ZADD odd -1 a 0 b 0.5 c 1e300 d -1e300 e inf f -inf g 4503599627370496 h");
        pair.line("ZADD odd 9223372036854775808 i 18446744073709551615 j 3479099956230698 k");
        pair.line("GEOPOS odd a b c d e f g h i j k");
        pair.line("GEOHASH odd a b c d e f g h i j k");
        pair
    }

    fn line(&mut self, line: &str) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        self.compare(0, &words);
    }

    fn compare(&mut self, client: usize, words: &[String]) {
        self.log.push(format!("{client}> {}", words.join(" ")));
        let bytes = encode(words);
        self.real_clients[client].send(&bytes);
        let real = self.real_clients[client].read_raw();
        let ours = self.ours.send(self.our_clients[client], &bytes);
        if real == ours || is_as_good(words, &real, &ours) {
            return;
        }
        if self.are_ties(words) {
            return;
        }
        let from = self.log.len().saturating_sub(4);
        panic!(
            "seed {}, command {}:\n{}\nredis: {}\nours:  {}",
            self.seed,
            self.log.len(),
            self.log[from..].join("\n"),
            real.escape_ascii(),
            ours.escape_ascii()
        );
    }

    /// Whether both servers have found members at the same distances, though not the same ones.
    fn are_ties(&mut self, words: &[String]) -> bool {
        let has = |wanted: &str| words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
        if !has("COUNT") || has("STORE") || has("STOREDIST") || words[0] == "GEOSEARCHSTORE" {
            return false;
        }
        let bytes = encode(&[words, &["WITHDIST".to_owned()]].concat());
        self.real_clients[0].send(&bytes);
        let real = self.real_clients[0].read();
        let ours = Value::read_all(&self.ours.send(self.our_clients[0], &bytes)).remove(0);
        let distances = |value: &Value| -> Option<Vec<Value>> {
            let Value::Array(items) = value else { return None };
            Some(items.iter().map(|item| item.elements()[1].clone()).collect())
        };
        distances(&real).is_some() && distances(&real) == distances(&ours)
    }
}

/// Whether replies that are not the same bytes are as good as the same: stored distances.
fn is_as_good(words: &[String], real: &[u8], ours: &[u8]) -> bool {
    let (real, ours) = (Value::read_all(real).remove(0), Value::read_all(ours).remove(0));
    let (Value::Array(real), Value::Array(ours)) = (real, ours) else { return false };
    if words[0] != "ZRANGE" || real.len() != ours.len() {
        return false;
    }
    let nearly = |(a, b): (&Value, &Value)| match (number(a), number(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= a.abs() * 1e-13,
        _ => a == b,
    };
    real.iter().zip(&ours).all(nearly)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bulk(text) | Value::Double(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn run(real: &RealRedis, seed: u64) {
    let mut rng = Rng::new(Seed(seed), "geo");
    let mut pair = Pair::new(real, seed);
    // Small sets are packed, big ones trees.
    if seed.is_multiple_of(2) {
        pair.line("CONFIG SET zset-max-listpack-entries 10");
    } else {
        pair.line("CONFIG SET zset-max-listpack-entries 128");
    }
    let spread = [0.01, 1.0, 10.0, 60.0][seed as usize % 4];
    for count in 0..COMMANDS_PER_SEED {
        // Now and then everything happens elsewhere, the edges of the map included.
        let region = count / 250;
        let longitude = [0.0, 179.9, -73.9, 120.0][region % 4];
        let latitude = [0.0, 40.7, -33.8, 67.0, 80.0, -84.0][region % 6];
        let mut draw = Draw { rng: &mut rng, center: (longitude, latitude), spread };
        let words = draw.command();
        let client = rng.below(2) as usize;
        pair.compare(client, &words);
        if count % 25 == 0 {
            for key in ["g0", "g1", "g2", "d0", "d1", "d2"] {
                pair.line(&format!("ZRANGE {key} 0 -1 WITHSCORES"));
                pair.line(&format!("OBJECT ENCODING {key}"));
            }
        }
    }
    pair.ours.engine().check_invariants();
}

#[test]
fn places_are_those_of_redis() {
    let Some(real) = RealRedis::start("places_are_those_of_redis") else { return };
    match std::env::var("ORRERY_DIFFERENTIAL_SEED") {
        Ok(seed) => run(&real, seed.parse().expect("a seed is a number")),
        Err(_) => (1..=SEEDS).for_each(|seed| run(&real, seed)),
    }
}
