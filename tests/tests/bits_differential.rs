//! Bitmaps, bitfields and HyperLogLogs: the same random commands to this engine and to a real
//! redis-server; every reply must be the same, byte for byte, and so must the strings.
//!
//! A failure prints its seed; `ORRERY_DIFFERENTIAL_SEED=n` runs only that one.

use orrery_engine::rng::Rng;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::encode;
use orrery_tests::server_in_process::Server;

const SEEDS: u64 = 8;
const COMMANDS_PER_SEED: usize = 2500;

const OFFSETS: &[&str] = &[
    "0",
    "1",
    "7",
    "8",
    "9",
    "31",
    "63",
    "64",
    "100",
    "367",
    "8191",
    "9000",
    "-1",
    "x",
    "",
    "01",
    " 1",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "#1",
];
const PLACES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "8",
    "12",
    "100",
    "-1",
    "-2",
    "-3",
    "-8",
    "-9",
    "-100",
    "x",
    "",
    "9223372036854775807",
    "-9223372036854775808",
];
const FIELDS: &[&str] = &[
    "u1", "i1", "u4", "i5", "u8", "i8", "u13", "i16", "u32", "i33", "u62", "u63", "i63", "i64",
    "u64", "i65", "u0", "i-1", "I8", "x", "", "8", "u08",
];
const FIELD_OFFSETS: &[&str] =
    &["0", "1", "5", "8", "62", "100", "#0", "#1", "#3", "#x", "#", "#-1", "-1", "x", "700", "#99"];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "10",
    "-10",
    "127",
    "128",
    "-128",
    "-129",
    "255",
    "256",
    "65536",
    "4611686018427387904",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "x",
    "",
    "1.5",
];
const VALUES: &[&str] = &["", "0", "1", "-1", "12345", "hello", "\u{0}\u{1}", "foobar", "HYLL"];

struct Draw<'a> {
    rng: &'a mut Rng,
}

impl Draw<'_> {
    fn one_of(&mut self, choices: &[&str]) -> Vec<u8> {
        choices[self.rng.below(choices.len() as u64) as usize].as_bytes().to_vec()
    }

    fn key(&mut self, letter: char) -> Vec<u8> {
        format!("{letter}{}", self.rng.below(5)).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.below(5) {
            0 => vec![0xff; self.rng.below(200) as usize],
            1 => vec![0; self.rng.below(1500) as usize],
            2 => (0..self.rng.below(60)).map(|_| self.rng.next_u64() as u8).collect(),
            3 => (self.rng.next_u64() as i64).to_string().into_bytes(),
            _ => self.one_of(VALUES),
        }
    }

    fn bitmap_command(&mut self) -> Vec<Vec<u8>> {
        let key = self.key('b');
        let mut words = match self.rng.below(11) {
            0 | 1 => vec![b"SETBIT".to_vec(), key, self.one_of(OFFSETS), self.one_of(&["0", "1"])],
            2 => vec![b"SETBIT".to_vec(), key, self.one_of(OFFSETS), self.one_of(NUMBERS)],
            3 => vec![b"GETBIT".to_vec(), key, self.one_of(OFFSETS)],
            4 => self.part(vec![b"BITCOUNT".to_vec(), key]),
            5 => {
                let bit = self.one_of(&["0", "1", "0", "1", "2", "x", "-1"]);
                self.part(vec![b"BITPOS".to_vec(), key, bit])
            }
            6 => self.combine(),
            7 | 8 => self.fields("BITFIELD", key),
            9 => self.fields("BITFIELD_RO", key),
            _ => vec![b"SET".to_vec(), key, self.value()],
        };
        // Some have a word too few or too many.
        if self.rng.chance(1, 20) {
            words.pop();
        } else if self.rng.chance(1, 20) {
            words.push(self.one_of(&["BIT", "x", "0", "GET"]));
        }
        words
    }

    fn part(&mut self, mut words: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        for _ in 0..self.rng.below(3) {
            words.push(self.one_of(PLACES));
        }
        if self.rng.chance(1, 2) {
            words.push(self.one_of(&["BIT", "bit", "BYTE", "byte", "bits"]));
        }
        words
    }

    fn combine(&mut self) -> Vec<Vec<u8>> {
        let operation = self.one_of(&["AND", "OR", "XOR", "NOT", "and", "Or", "NOR"]);
        let mut words = vec![b"BITOP".to_vec(), operation, self.key('b')];
        for _ in 0..=self.rng.below(4) {
            words.push(if self.rng.chance(1, 12) { b"list".to_vec() } else { self.key('b') });
        }
        words
    }

    fn fields(&mut self, command: &str, key: Vec<u8>) -> Vec<Vec<u8>> {
        let mut words = vec![command.as_bytes().to_vec(), key];
        let only_reads = self.rng.chance(1, 3);
        for _ in 0..self.rng.below(4) {
            if self.rng.chance(1, 3) && !only_reads {
                words.push(b"OVERFLOW".to_vec());
                words.push(self.one_of(&["WRAP", "SAT", "FAIL", "sat", "fail", "x"]));
            }
            let operation = self.one_of(if only_reads {
                &["GET", "get"]
            } else {
                &["GET", "SET", "INCRBY", "incrby", "INCR"]
            });
            let has_number = !operation.eq_ignore_ascii_case(b"GET");
            words.push(operation);
            let field = if self.rng.chance(4, 5) { &FIELDS[..14] } else { FIELDS };
            words.push(self.one_of(field));
            let offset = if self.rng.chance(4, 5) { &FIELD_OFFSETS[..9] } else { FIELD_OFFSETS };
            words.push(self.one_of(offset));
            if has_number {
                words.push(self.one_of(NUMBERS));
            }
        }
        words
    }

    fn elements(&mut self) -> Vec<Vec<u8>> {
        let (count, distinct) = match self.rng.below(8) {
            0 => (0, 1),
            1 => (300, 100_000),
            2 | 3 => (30, 3000),
            _ => (1 + self.rng.below(3), 300),
        };
        (0..count).map(|_| format!("e{}", self.rng.below(distinct)).into_bytes()).collect()
    }

    fn hyperloglog_command(&mut self) -> Vec<Vec<u8>> {
        let key = self.key('h');
        let some_keys = |draw: &mut Self, word: &str| {
            let mut words = vec![word.as_bytes().to_vec()];
            words.extend((0..=draw.rng.below(4)).map(|_| draw.key('h')));
            words
        };
        match self.rng.below(14) {
            0..=4 => [vec![b"PFADD".to_vec(), key], self.elements()].concat(),
            5 | 6 => vec![b"PFCOUNT".to_vec(), key],
            7 => some_keys(self, "PFCOUNT"),
            8 => some_keys(self, "PFMERGE"),
            9 => {
                let word = self.one_of(&["ENCODING", "decode", "GETREG", "TODENSE", "x"]);
                vec![b"PFDEBUG".to_vec(), word, key]
            }
            10 => vec![b"DEL".to_vec(), key],
            11 => vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), key],
            12 => {
                let size = self.one_of(&["3000", "0", "20", "100", "800", "16000"]);
                vec![b"CONFIG".to_vec(), b"SET".to_vec(), b"hll-sparse-max-bytes".to_vec(), size]
            }
            _ => vec![b"COPY".to_vec(), key, self.key('h'), b"REPLACE".to_vec()],
        }
    }

    /// What only clients that know the format do.
    fn corruption(&mut self) -> Vec<Vec<u8>> {
        let key = self.key('h');
        match self.rng.below(4) {
            0 => vec![b"APPEND".to_vec(), key, self.value()],
            1 => vec![b"SET".to_vec(), key, self.value()],
            _ => {
                let offset = match self.rng.below(3) {
                    0 => self.rng.below(16),
                    1 => 16 + self.rng.below(40),
                    _ => self.rng.below(12_304),
                };
                let byte = vec![self.rng.next_u64() as u8];
                vec![b"SETRANGE".to_vec(), key, offset.to_string().into_bytes(), byte]
            }
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
        pair.real_clients[0].call(&["CONFIG", "SET", "hll-sparse-max-bytes", "3000"]);
        // The second client speaks RESP3.
        pair.real_clients[1].call(&["HELLO", "3"]);
        pair.ours.line(pair.our_clients[1], "HELLO 3");
        pair
    }

    fn compare(&mut self, client: usize, words: &[Vec<u8>]) -> Vec<u8> {
        let shown = |word: &Vec<u8>| {
            let text = word.escape_ascii().to_string();
            format!("\"{}\"", if text.len() > 300 { &text[..300] } else { &text })
        };
        let shown: Vec<String> = words.iter().map(shown).collect();
        self.log.push(format!("{client}> {}", shown.join(" ")));
        let bytes = encode(words);
        self.real_clients[client].send(&bytes);
        let real = self.real_clients[client].read_raw();
        let ours = self.ours.send(self.our_clients[client], &bytes);
        if real == ours {
            return real;
        }
        let from = self.log.len().saturating_sub(15);
        panic!(
            "seed {}, command {}:\n{}\nredis: {}\nours:  {}",
            self.seed,
            self.log.len(),
            self.log[from..].join("\n"),
            real.escape_ascii(),
            ours.escape_ascii()
        );
    }

    fn line(&mut self, line: &str) -> Vec<u8> {
        self.compare(0, &orrery_tests::resp_value::words(line))
    }

    /// Every string is the same, and so is how it is stored.
    fn compare_keys(&mut self, letter: char) {
        for number in 0..5 {
            self.line(&format!("GET {letter}{number}"));
            self.line(&format!("OBJECT ENCODING {letter}{number}"));
        }
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("ORRERY_DIFFERENTIAL_SEED") {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => (1..=SEEDS).collect(),
    }
}

#[test]
fn bitmaps_are_those_of_redis() {
    let Some(real) = RealRedis::start("bitmaps_are_those_of_redis") else { return };
    for seed in seeds() {
        let mut rng = Rng::new(Seed(seed), "bitmaps");
        let mut pair = Pair::new(&real, seed);
        for count in 0..COMMANDS_PER_SEED {
            let client = rng.below(2) as usize;
            let words = Draw { rng: &mut rng }.bitmap_command();
            // Both would only be slow with half a gigabyte.
            if words.iter().any(|word| word == b"4294967295") && words[0] == b"SETBIT" {
                continue;
            }
            pair.compare(client, &words);
            if count % 50 == 0 {
                pair.compare_keys('b');
            }
        }
        pair.compare_keys('b');
        pair.ours.engine().check_invariants();
    }
}

#[test]
fn hyperloglogs_are_those_of_redis() {
    let Some(real) = RealRedis::start("hyperloglogs_are_those_of_redis") else { return };
    for seed in seeds() {
        let mut rng = Rng::new(Seed(seed), "hyperloglogs");
        let mut pair = Pair::new(&real, seed);
        for count in 0..COMMANDS_PER_SEED {
            let client = rng.below(2) as usize;
            let mut draw = Draw { rng: &mut rng };
            // The last part of each run does not keep to the format.
            let corrupts = count > COMMANDS_PER_SEED / 2 && draw.rng.chance(1, 10);
            let words = if corrupts { draw.corruption() } else { draw.hyperloglog_command() };
            pair.compare(client, &words);
            if count % 20 == 0 {
                pair.compare_keys('h');
            }
        }
        pair.compare_keys('h');
        pair.ours.engine().check_invariants();
    }
}

/// A HyperLogLog on its whole way from one element to a million, byte by byte.
#[test]
fn a_growing_hyperloglog_has_the_bytes_of_redis() {
    let Some(real) = RealRedis::start("a_growing_hyperloglog_has_the_bytes_of_redis") else {
        return;
    };
    let mut pair = Pair::new(&real, 0);
    let (mut added, mut batch) = (0_u64, 1);
    while added < 1_000_000 {
        let mut words = vec![b"PFADD".to_vec(), b"h0".to_vec()];
        words.extend((added..added + batch).map(|element| element.to_string().into_bytes()));
        added += batch;
        pair.compare(0, &words);
        pair.line("GET h0");
        pair.line("PFCOUNT h0");
        pair.line("GET h0");
        batch = (added / 8).clamp(1, 20_000);
    }
    assert_eq!(pair.line("PFDEBUG ENCODING h0"), b"+dense\r\n");
}
