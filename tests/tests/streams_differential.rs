//! Streams: the same random commands to this engine and to a real redis-server 7.0.
//!
//! Every reply must be the same, but for fields of XINFO that later versions added and times that
//! depend on the millisecond; blocks must end where Redis ends them, since that is what approximate
//! trimming removes. Clients that wait are in the differential test of all families.
//!
//! A failure prints its seed; `ORRERY_DIFFERENTIAL_SEED=n` runs only that one.

#[path = "differential/compare.rs"]
mod compare;

use std::time::{Instant as HostInstant, SystemTime, UNIX_EPOCH};

use orrery_engine::rng::Rng;
use orrery_engine::time::TtlClock;
use orrery_engine::{Config, ConnId, Instant, Now, Seed, UnixMicros};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode, words};
use orrery_tests::server_in_process::Server;

const SEEDS: u64 = 8;
const COMMANDS_PER_SEED: usize = 2500;
/// After so many commands everything stored is compared.
const COMMANDS_PER_LOOK: usize = 25;

const KEYS: &[&str] = &["s0", "s0", "s0", "s1", "s1", "s2", "none", "string"];
const GROUPS: &[&str] = &["g", "g", "g", "h", "none"];
const CONSUMERS: &[&str] = &["alice", "alice", "bob", "carol", ""];
const FIELDS: &[&str] = &["a", "a 1 b", "sensor 000042 reading", "a 1 a", "\"\" \"\" b"];
const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "127",
    "128",
    "4095",
    "4096",
    "-4097",
    "32768",
    "8388608",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "000000012345",
    "01",
    "\"\"",
    "a-longer-text-of-which-there-is-more-than-sixty-three-bytes-so-that-its-head-grows",
];
const COUNTS: &[&str] =
    &["0", "1", "1", "2", "2", "3", "5", "10", "40", "-1", "x", "9223372036854775807"];
const ODD_IDS: &[&str] = &[
    "-",
    "+",
    "0",
    "0-0",
    "0-1",
    "18446744073709551615",
    "18446744073709551615-18446744073709551615",
    "18446744073709551616",
    "x",
    "\"\"",
    "1-x",
    "-1",
    "5-*",
];
const MIN_IDLES: &[&str] = &["0", "0", "0", "60000", "-5", "x", "9223372036854775807"];

struct Draw<'a> {
    rng: &'a mut Rng,
    /// About where the newest entries are.
    top: u64,
}

impl Draw<'_> {
    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.rng.below(choices.len() as u64) as usize]
    }

    fn key(&mut self) -> &'static str {
        self.one_of(KEYS)
    }

    fn group(&mut self) -> &'static str {
        self.one_of(GROUPS)
    }

    fn consumer(&mut self) -> String {
        format!("\"{}\"", self.one_of(CONSUMERS))
    }

    fn maybe(&mut self, chance: u64, text: impl FnOnce(&mut Self) -> String) -> String {
        if self.rng.chance(1, chance) { text(self) } else { String::new() }
    }

    fn count(&mut self) -> String {
        self.maybe(3, |draw| format!("COUNT {}", draw.one_of(COUNTS)))
    }

    /// The id of an entry that may be there.
    fn id(&mut self) -> String {
        if self.rng.chance(1, 15) {
            return self.one_of(ODD_IDS).to_owned();
        }
        let back = if self.rng.chance(1, 2) { 8 } else { 80 };
        let ms = self.top.saturating_sub(self.rng.below(back));
        match self.rng.below(3) {
            0 => ms.to_string(),
            _ => format!("{ms}-{}", self.rng.below(4)),
        }
    }

    fn ids(&mut self) -> String {
        let count = 1 + self.rng.below(4);
        (0..count).map(|_| self.id()).collect::<Vec<_>>().join(" ")
    }

    fn bound(&mut self, all: &str) -> String {
        match self.rng.below(6) {
            0 | 1 => all.to_owned(),
            2 => format!("({}", self.id()),
            _ => self.id(),
        }
    }

    fn new_id(&mut self) -> String {
        if self.rng.chance(1, 12) {
            return self.id();
        }
        self.top += self.rng.below(3);
        match self.rng.below(5) {
            0 => format!("{}-*", self.top),
            1 => self.top.to_string(),
            _ => format!("{}-{}", self.top, self.rng.below(4)),
        }
    }

    fn trim(&mut self) -> String {
        let kind = self.one_of(&["MAXLEN", "MAXLEN", "minid"]);
        let how = self.one_of(&["", "=", "~", "~", "~"]);
        let threshold = if kind == "MAXLEN" && !self.rng.chance(1, 20) {
            self.rng.below(60).to_string()
        } else {
            self.id()
        };
        let limit = self.maybe(3, |draw| format!("LIMIT {}", draw.one_of(COUNTS)));
        format!("{kind} {how} {threshold} {limit}")
    }

    fn add(&mut self) -> String {
        let make = self.maybe(10, |_| "NOMKSTREAM".to_owned());
        let trim = self.maybe(6, Self::trim);
        let (key, id, value) = (self.key(), self.new_id(), self.one_of(VALUES));
        // Most entries have the fields of the one before.
        let fields = if self.rng.chance(2, 3) { FIELDS[0] } else { self.one_of(FIELDS) };
        format!("XADD {key} {make} {trim} {id} {fields} {value}")
    }

    fn read(&mut self) -> String {
        let (count, two) = (self.count(), self.rng.chance(1, 4));
        let keys = if two { "s0 s1" } else { self.key() };
        let start = |draw: &mut Self| match draw.id().as_str() {
            "+" => "$".to_owned(),
            id => id.to_owned(),
        };
        let mut starts = start(self);
        if two {
            starts = format!("{starts} {}", start(self));
        }
        format!("XREAD {count} STREAMS {keys} {starts}")
    }

    fn read_as(&mut self) -> String {
        let (group, consumer, count) = (self.group(), self.consumer(), self.count());
        let no_ack = self.maybe(6, |_| "NOACK".to_owned());
        let keys = if self.rng.chance(1, 4) { "s0 s1" } else { self.key() };
        let start = |draw: &mut Self| match draw.rng.below(3) {
            0 => draw.id().replace('+', "0"),
            _ => ">".to_owned(),
        };
        let mut starts = start(self);
        if keys.len() > 2 && keys.starts_with("s0") {
            starts = format!("{starts} {}", start(self));
        }
        format!("XREADGROUP GROUP {group} {consumer} {count} {no_ack} STREAMS {keys} {starts}")
    }

    fn change_group(&mut self) -> String {
        let (key, group, consumer) = (self.key(), self.group(), self.consumer());
        let id = if self.rng.chance(1, 3) { "$".to_owned() } else { self.id() };
        let read = self.maybe(4, |draw| format!("ENTRIESREAD {}", draw.one_of(COUNTS)));
        match self.rng.below(8) {
            0..=2 => {
                let make = self.maybe(3, |_| "MKSTREAM".to_owned());
                format!("XGROUP CREATE {key} {group} {id} {make} {read}")
            }
            3 | 4 => format!("XGROUP SETID {key} {group} {id} {read}"),
            5 => format!("XGROUP CREATECONSUMER {key} {group} {consumer}"),
            6 => format!("XGROUP DELCONSUMER {key} {group} {consumer}"),
            _ => format!("XGROUP DESTROY {key} {group}"),
        }
    }

    fn pending(&mut self) -> String {
        let (key, group, consumer) = (self.key(), self.group(), self.consumer());
        let (min_idle, ids) = (self.one_of(MIN_IDLES), self.ids());
        let just_id = self.maybe(5, |_| "JUSTID".to_owned());
        match self.rng.below(10) {
            0..=2 => format!("XACK {key} {group} {ids}"),
            3 => format!("XPENDING {key} {group}"),
            4 | 5 => {
                let idle = self.maybe(4, |_| format!("IDLE {min_idle}"));
                let (start, end) = (self.bound("-"), self.bound("+"));
                let count = self.one_of(COUNTS);
                let consumer = self.maybe(3, Self::consumer);
                format!("XPENDING {key} {group} {idle} {start} {end} {count} {consumer}")
            }
            6 | 7 => {
                let time = match self.rng.below(5) {
                    0 => format!("IDLE {}", self.one_of(MIN_IDLES)),
                    1 => format!("TIME {}", self.one_of(&["0", "1500000000000", "x", "-1"])),
                    _ => String::new(),
                };
                let retries = self.maybe(5, |draw| format!("RETRYCOUNT {}", draw.one_of(COUNTS)));
                let force = self.maybe(4, |_| "FORCE".to_owned());
                let last = self.maybe(8, |draw| format!("LASTID {}", draw.id()));
                format!(
                    "XCLAIM {key} {group} {consumer} {min_idle} {ids} {time} {retries} {force} \
                     {just_id} {last}"
                )
            }
            _ => {
                let (start, count) = (self.bound("-"), self.count());
                format!("XAUTOCLAIM {key} {group} {consumer} {min_idle} {start} {count} {just_id}")
            }
        }
    }

    fn command(&mut self) -> String {
        let line = match self.rng.below(40) {
            0..=14 => self.add(),
            15 => format!("XLEN {}", self.key()),
            16 | 17 => {
                format!("XRANGE {} {} {} {}", self.key(), self.bound("-"), self.bound("+"), "")
                    + &self.count()
            }
            18 => {
                format!("XREVRANGE {} {} {} {}", self.key(), self.bound("+"), self.bound("-"), "")
                    + &self.count()
            }
            19 | 20 => format!("XDEL {} {}", self.key(), self.ids()),
            21 => format!("XTRIM {} {}", self.key(), self.trim()),
            22 => self.read(),
            23..=27 => self.read_as(),
            28..=30 => self.change_group(),
            31..=36 => self.pending(),
            37 => {
                let added = self.maybe(2, |draw| format!("ENTRIESADDED {}", draw.one_of(COUNTS)));
                let deleted = self.maybe(2, |draw| format!("MAXDELETEDID {}", draw.id()));
                format!("XSETID {} {} {added} {deleted}", self.key(), self.id())
            }
            38 => match self.rng.below(3) {
                0 => format!("XINFO STREAM {} FULL {}", self.key(), self.count()),
                1 => format!("XINFO GROUPS {}", self.key()),
                _ => format!("XINFO CONSUMERS {} {}", self.key(), self.group()),
            },
            _ => match self.rng.below(4) {
                0 => format!("COPY {} s2 REPLACE", self.key()),
                1 => "DEL s2".to_owned(),
                2 => "RENAME s2 s1".to_owned(),
                _ => format!("XADD {} {} a", self.key(), self.new_id()),
            },
        };
        match self.rng.below(40) {
            0 => line.rsplit_once(' ').map_or_else(|| line.clone(), |(line, _)| line.to_owned()),
            1 => format!("{line} {}", self.one_of(&["COUNT", "x", "STREAMS", "~", "FULL", "1"])),
            _ => line,
        }
    }
}

/// Both servers and what was said to them.
struct Pair {
    ours: Server,
    our_clients: [ConnId; 2],
    real_clients: [RealClient; 2],
    start: HostInstant,
    log: Vec<String>,
    seed: u64,
}

impl Pair {
    fn new(real: &RealRedis, seed: u64) -> Self {
        // As in Redis; the harness starts its own clock long before now.
        let config = Config { ttl_clock: TtlClock::Wall, ..Config::default() };
        let mut ours = Server::new(config, Seed(seed));
        let our_clients = [ours.connect(), ours.connect()];
        let real_clients = [real.connect(), real.connect()];
        let (start, log) = (HostInstant::now(), Vec::new());
        let mut pair = Self { ours, our_clients, real_clients, start, log, seed };
        pair.real_clients[0].call(&["FLUSHALL"]);
        // The second client speaks RESP3.
        pair.real_clients[1].call(&["HELLO", "3"]);
        pair.ours.line(pair.our_clients[1], "HELLO 3");
        pair.compare(0, "SET string x");
        pair
    }

    fn compare(&mut self, client: usize, line: &str) -> (Value, Value) {
        self.log.push(format!("{client}> {line}"));
        let words = words(line);
        let bytes = encode(&words);
        self.real_clients[client].send(&bytes);
        let real = self.real_clients[client].read_raw();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let mono = Instant(2_000_000 + self.start.elapsed().as_micros() as u64);
        self.ours.set_clocks(Now { mono, wall: UnixMicros(wall.as_micros() as u64) });
        let ours = self.ours.send(self.our_clients[client], &bytes);
        if !compare::same(&words, &real, &ours) {
            self.fail(&real.escape_ascii().to_string(), &ours.escape_ascii().to_string());
        }
        (Value::read_all(&real).remove(0), Value::read_all(&ours).remove(0))
    }

    fn fail(&self, real: &str, ours: &str) {
        let from = self.log.len().saturating_sub(12);
        panic!(
            "seed {}, command {}:\n{}\nredis: {real}\nours:  {ours}",
            self.seed,
            self.log.len(),
            self.log[from..].join("\n"),
        );
    }

    /// Compares all that is stored, and how it is divided into blocks.
    fn look(&mut self) {
        for key in ["s0", "s1", "s2"] {
            self.compare(0, &format!("XRANGE {key} - +"));
            self.compare(1, &format!("XREVRANGE {key} + -"));
            let (real, ours) = self.compare(0, &format!("XINFO STREAM {key} FULL COUNT 0"));
            let (real, ours) = (blocks(&real), blocks(&ours));
            if real != ours {
                self.fail(&format!("{real:?} blocks"), &format!("{ours:?} blocks"));
            }
        }
        self.ours.engine().check_invariants();
    }
}

/// The field of XINFO STREAM that says how many blocks there are.
fn blocks(info: &Value) -> Option<Value> {
    let Value::Array(items) = info else { return None };
    let at = items.iter().position(|item| *item == Value::bulk("radix-tree-keys"))?;
    items.get(at + 1).cloned()
}

fn run(real: &RealRedis, seed: u64) {
    let mut rng = Rng::new(Seed(seed), "streams");
    let mut pair = Pair::new(real, seed);
    let entries = ["100", "3", "10", "1", "0"][seed as usize % 5];
    let bytes = ["4096", "4096", "200", "0"][seed as usize % 4];
    pair.compare(0, &format!("CONFIG SET stream-node-max-entries {entries}"));
    pair.compare(0, &format!("CONFIG SET stream-node-max-bytes {bytes}"));
    let mut draw = Draw { rng: &mut rng, top: 5 };
    for count in 1..=COMMANDS_PER_SEED {
        let line = draw.command();
        let client = draw.rng.below(2) as usize;
        pair.compare(client, &line);
        if count % COMMANDS_PER_LOOK == 0 {
            pair.look();
        }
    }
}

#[test]
fn streams_are_those_of_redis() {
    let Some(real) = RealRedis::start("streams_are_those_of_redis") else { return };
    match std::env::var("ORRERY_DIFFERENTIAL_SEED") {
        Ok(seed) => run(&real, seed.parse().expect("a seed is a number")),
        Err(_) => (1..=SEEDS).for_each(|seed| run(&real, seed)),
    }
}
