//! Keyspace events: the same commands to this engine and to a real redis-server 7.0, each with a
//! client that hears every event of every class. Both must hear the same after each command.
//!
//! Two things are otherwise on purpose: a walk (SCAN, KEYS) leaves expired keys to the clock where
//! Redis deletes them, and a command that empties the destination of SINTERSTORE and its like tells
//! of an expired one that it has expired, not that it was deleted.
//!
//! `events.txt` has a group for each family. Events of commands that came later are in
//! `later_events`.

use std::time::{Duration, Instant as HostInstant, SystemTime, UNIX_EPOCH};

use orrery_engine::commands::generate::Generator;
use orrery_engine::commands::spec::Flags;
use orrery_engine::commands::table::{Row, table};
use orrery_engine::config::Access;
use orrery_engine::rng::Rng;
use orrery_engine::time::TtlClock;
use orrery_engine::{Config, ConnId, Instant, Now, Seed, UnixMicros};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode, words};
use orrery_tests::server_in_process::Server;

const CASES: &str = include_str!("events.txt");
/// Every class there is, in both kinds of channels.
const CLASSES: &str = "KEAmn";

struct Pair {
    ours: Server,
    our_client: ConnId,
    our_listener: ConnId,
    real_client: RealClient,
    real_listener: RealClient,
    start: HostInstant,
}

impl Pair {
    fn new(real: &RealRedis, classes: &str) -> Self {
        let config =
            Config { ttl_clock: TtlClock::Wall, debug_command: Access::Yes, ..Config::default() };
        let mut ours = Server::new(config, Seed(1));
        let (our_client, our_listener) = (ours.connect(), ours.connect());
        let (real_client, real_listener) = (real.connect(), real.connect());
        let start = HostInstant::now();
        let mut pair = Self { ours, our_client, our_listener, real_client, real_listener, start };
        pair.turn_clocks();
        pair.both(&words("FLUSHALL"));
        pair.both(&words("SELECT 0"));
        pair.both(&words(&format!("CONFIG SET notify-keyspace-events {classes}")));
        let subscribe = encode(&["PSUBSCRIBE", "__key*__:*"]);
        pair.ours.send(pair.our_listener, &subscribe);
        pair.real_listener.send(&subscribe);
        pair.real_listener.read();
        pair
    }

    fn turn_clocks(&mut self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let mono = 2_000_000 + self.start.elapsed().as_micros() as u64;
        self.ours
            .set_clocks(Now { mono: Instant(mono), wall: UnixMicros(wall.as_micros() as u64) });
    }

    /// Sends a command to both and returns the replies: theirs, then ours.
    fn both(&mut self, command: &[Vec<u8>]) -> (Value, Value) {
        let real = self.real_client.call(command);
        self.turn_clocks();
        (real, self.ours.call(self.our_client, command))
    }

    /// What both listeners have heard since they were last asked.
    fn heard(&mut self) -> (Vec<String>, Vec<String>) {
        // The answer comes behind everything that was published before.
        self.real_listener.send(&encode(&["PING"]));
        let mut real = Vec::new();
        loop {
            let message = self.real_listener.read();
            if message.elements()[0].bytes() == b"pong" {
                break;
            }
            real.push(shown(&message));
        }
        let ours = Value::read_all(&self.ours.output(self.our_listener));
        (real, ours.iter().map(shown).collect())
    }

    fn sleep(&mut self, millis: u64) {
        std::thread::sleep(Duration::from_millis(millis));
        self.turn_clocks();
        self.ours.tick();
    }
}

/// A message in one line: channel and what was said in it.
fn shown(message: &Value) -> String {
    let parts = message.elements();
    let text = |part: &Value| part.bytes().escape_ascii().to_string();
    assert_eq!(parts[0].bytes(), b"pmessage", "{message}");
    format!("{} {}", text(&parts[2]), text(&parts[3]))
}

/// The groups of cases, each with its title.
fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in CASES.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(title) => groups.push((title, Vec::new())),
            None => groups.last_mut().expect("a group has a title").1.push(line),
        }
    }
    groups
}

#[test]
fn every_command_tells_of_the_same_events_as_redis() {
    let test = "every_command_tells_of_the_same_events_as_redis";
    let Some(real) = RealRedis::start_with(test, &["--enable-debug-command", "yes"]) else {
        return;
    };
    let (mut differences, mut events) = (Vec::new(), 0);
    for (title, lines) in groups() {
        let mut pair = Pair::new(&real, CLASSES);
        for line in lines {
            if let Some(millis) = line.strip_prefix("@sleep ") {
                pair.sleep(millis.parse().expect("milliseconds"));
            } else {
                let (theirs, ours) = pair.both(&words(line));
                if theirs.is_error() != ours.is_error() {
                    differences.push(format!("{title}: {line}: redis {theirs}, ours {ours}"));
                }
            }
            let (theirs, ours) = pair.heard();
            events += theirs.len();
            if theirs != ours {
                differences.push(format!("{title}: {line}\n  redis {theirs:?}\n  ours  {ours:?}"));
            }
        }
        pair.ours.engine().check_invariants();
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    assert!(events > 800, "only {events} events were heard");
}

/// Each class alone: the same commands, and only its events.
#[test]
fn each_class_lets_through_what_it_lets_through_in_redis() {
    let test = "each_class_lets_through_what_it_lets_through_in_redis";
    let Some(real) = RealRedis::start(test) else { return };
    let commands = [
        "SET s v",
        "RPUSH l a",
        "SADD m a",
        "HSET h f v",
        "ZADD z 1 a",
        "XADD x 1-1 f v",
        "GET none",
        "EXPIRE s 100",
        "SORT l STORE d",
        "RENAME s t",
        "PFADD p a",
        "GEOADD g 1 1 a",
        "DEL z",
        "PSETEX s 1 v",
    ];
    for class in "g$lshzxetdnmA".chars() {
        for channels in ["K", "E", "KE", ""] {
            let mut pair = Pair::new(&real, &format!("{class}{channels}"));
            let set = pair.both(&words("CONFIG GET notify-keyspace-events"));
            assert_eq!(set.0, set.1);
            for command in commands {
                pair.both(&words(command));
            }
            pair.sleep(5);
            pair.both(&words("GET s"));
            let (theirs, ours) = pair.heard();
            assert_eq!(theirs, ours, "{class}{channels}");
            let is_silent = channels.is_empty() || matches!(class, 'e' | 'd');
            assert_eq!(theirs.is_empty(), is_silent, "{class}{channels}");
        }
    }
}

/// Commands that are not drawn, and why.
const NOT_DRAWN: &[(&str, &str)] = &[
    ("spop", "chooses at random, and then the sets differ"),
    ("restore", "no payload is drawn"),
    ("xadd", "makes ids of the time; the cases have it"),
    ("xautoclaim", "depends on the time"),
    ("xclaim", "depends on the time"),
    ("swapdb", "the listener would hear the same of other databases"),
    ("move", "as SWAPDB"),
    ("scan", "walks in an order of its own"),
    ("keys", "as SCAN"),
    ("randomkey", "chooses at random"),
    ("pfselftest", "takes seconds"),
    ("pfdebug", "its words are not those of the documentation"),
];
/// Options that give a key a time to live: when it ends, the servers would not agree.
const TTL_OPTIONS: [&str; 4] = ["EX", "PX", "EXAT", "PXAT"];
const DRAWN: usize = 6000;
const ROUND: usize = 300;

/// Random commands on few keys, so that types clash, keys go and come again, and options meet.
#[test]
fn random_commands_tell_of_the_same_events_as_redis() {
    let test = "random_commands_tell_of_the_same_events_as_redis";
    let Some(real) = RealRedis::start(test) else { return };
    let mut rng = Rng::new(Seed(8), "random events");
    let mut asker = real.connect();
    let rows: Vec<&Row> = table().rows().iter().filter(|row| is_drawn(row, &mut asker)).collect();
    assert!(rows.len() > 120, "only {} rows", rows.len());
    let mut pair = Pair::new(&real, CLASSES);
    let (mut run, mut events) = (Vec::new(), 0);
    for step in 0..DRAWN {
        if step % ROUND == 0 {
            pair.both(&words("FLUSHALL"));
            run.clear();
        }
        let row = rows[rng.below(rows.len() as u64) as usize];
        let command = Generator::new(&mut rng, pair.ours.unix_ms()).valid(row);
        let has_ttl = |word: &Vec<u8>| {
            TTL_OPTIONS.iter().any(|option| word.eq_ignore_ascii_case(option.as_bytes()))
        };
        if command.iter().any(has_ttl) {
            continue;
        }
        run.push(command.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>());
        let theirs = pair.real_client.call(&command);
        if theirs.is_error() {
            // Options of later versions, which ours would take; what was missed was told of.
            pair.heard();
            continue;
        }
        pair.turn_clocks();
        let ours = pair.ours.call(pair.our_client, &command);
        if ours.is_error() {
            // As later versions do: LPOS with the smallest of all ranks.
            pair.heard();
            continue;
        }
        let (mut their_events, mut our_events) = pair.heard();
        events += their_events.len();
        if row.full_name.starts_with("sort") {
            // A set has no order in which its elements are looked up.
            their_events.sort();
            our_events.sort();
        }
        let lines: Vec<String> = run.iter().map(|words| words.join(" ")).collect();
        assert_eq!(their_events, our_events, "redis, ours\n{}", lines.join("\n"));
    }
    assert!(events > 3000, "only {events} events were heard");
}

/// Whether a row is a command of Redis 7.0 that reads or writes keys, now and without chance.
fn is_drawn(row: &Row, real: &mut RealClient) -> bool {
    let flags = row.command.flags;
    let is_excused = NOT_DRAWN.iter().any(|&(name, _)| name == row.full_name)
        || row.full_name.contains("expire")
        || row.full_name.ends_with("setex");
    let on_data = flags.has(Flags::WRITE) || flags.has(Flags::READONLY);
    if !row.subcommands.is_empty() || flags.has(Flags::BLOCKING) || is_excused || !on_data {
        return false;
    }
    let info = real.call(&["COMMAND", "INFO", row.full_name]);
    !matches!(info.elements()[0], Value::Null | Value::NullArray)
}
