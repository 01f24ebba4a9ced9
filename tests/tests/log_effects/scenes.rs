//! Scenes with several clients and the records that they lead to.
//!
//! `scenes.txt` has the scenes, apart by empty lines: a title, commands of clients, the records
//! that this engine logs. A real redis-server, where one is installed, must log the same, word for
//! word; but for scenes of commands that it does not have (`# ours:`), those in which something is
//! drawn (`# random:`), of whose records only the first words and the lengths are compared, and
//! those in which this server does otherwise on purpose (`# but:`, and why).
//!
//! A script can keep changes to itself (`# lost:`); otherwise an engine that is fed with the log
//! must have the same data.
//!
//! `UPDATE_SCENES=1` writes the records of this engine into the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orrery_engine::config::Access;
use orrery_engine::log::Reader;
use orrery_engine::time::TtlClock;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{encode, words};
use orrery_tests::server_in_process::{START_UNIX_MS, Server};

use crate::lines;
use crate::records::{Record, agree};
use crate::replay::{difference, replayed};

/// How the records of a scene are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    ByWord,
    ByShape,
    OursAlone,
}

struct Scene {
    title: String,
    steps: Vec<String>,
    records: Vec<String>,
}

impl Scene {
    fn judged(&self) -> Judged {
        match self.title.split(':').next() {
            Some("# ours" | "# but") => Judged::OursAlone,
            Some("# random") => Judged::ByShape,
            _ => Judged::ByWord,
        }
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/log_effects/scenes.txt")
}

fn scenes() -> Vec<Scene> {
    let text = std::fs::read_to_string(file()).expect("the scenes are there");
    let scenes = text.split("\n\n").filter(|scene| !scene.trim().is_empty());
    scenes
        .map(|scene| {
            let mut lines = scene.lines().filter(|line| !line.is_empty());
            let title = lines.next().expect("a title").to_owned();
            assert!(title.starts_with("# "), "a title: {title}");
            let (records, steps): (Vec<&str>, Vec<&str>) =
                lines.partition(|line| line.starts_with("= "));
            Scene {
                title,
                steps: steps.into_iter().map(str::to_owned).collect(),
                records: records.into_iter().map(|line| line[2..].to_owned()).collect(),
            }
        })
        .collect()
}

fn config() -> Config {
    Config { debug_command: Access::Yes, ttl_clock: TtlClock::Wall, ..Config::default() }
}

/// The client of a line, and its commands.
fn commands(line: &str, zero_ms: u64) -> (char, Vec<Vec<Vec<u8>>>) {
    let (client, commands) = line.split_once(": ").expect("a client and commands");
    let commands = commands.split("; ").map(|command| {
        let mut words = words(command);
        for word in &mut words {
            // `@+5` is five milliseconds behind the beginning, `@s+5` so many seconds.
            let text = String::from_utf8_lossy(word).into_owned();
            if let Some(secs) = text.strip_prefix("@s") {
                let at = zero_ms as i64 / 1000 + secs.parse::<i64>().expect("seconds");
                *word = at.to_string().into_bytes();
            } else if let Some(moment) = text.strip_prefix('@') {
                // An id of a stream has a second number.
                let seq = moment[1..].find('-').map_or(moment.len(), |at| at + 1);
                let (millis, seq) = moment.split_at(seq);
                let at = zero_ms as i64 + millis.parse::<i64>().expect("milliseconds");
                *word = format!("{at}{seq}").into_bytes();
            }
        }
        words
    });
    (client.chars().next().expect("a letter"), commands.collect())
}

/// Milliseconds of a line that lets time pass.
fn pause(line: &str) -> Option<u64> {
    line.strip_prefix("~ ").map(|millis| millis.parse().expect("a number of milliseconds"))
}

/// What this engine logs; and the data of an engine that is fed with it must be the same.
fn ours(scene: &Scene) -> Vec<String> {
    let mut server = Server::new(config(), Seed(3));
    let mut clients: BTreeMap<char, ConnId> = BTreeMap::new();
    server.log().start();
    let control = server.connect();
    server.check(control, "SET warm 1", "OK");
    server.check(control, "FLUSHALL", "OK");
    let mut whole = server.log().take();
    for line in &scene.steps {
        if let Some(millis) = pause(line) {
            server.advance_ms(millis);
            continue;
        }
        let (client, commands) = commands(line, START_UNIX_MS);
        let conn = *clients.entry(client).or_insert_with(|| server.connect());
        let bytes: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        server.send(conn, &bytes);
        server.advance_ms(0);
        server.engine().check_invariants();
    }
    let log = server.log().take();
    whole.extend(&log);
    assert_eq!(server.log().position(), whole.len() as u64);
    let replica = replayed(&server, &config(), &whole);
    let problem = replica.map(|mut replica| difference(&mut server, &mut replica));
    let problem = problem.unwrap_or_else(Some);
    if let Some(difference) = problem.filter(|_| !scene.title.starts_with("# lost")) {
        let log = lines(&whole, START_UNIX_MS).join("\n");
        panic!("{}: {difference}\nthe log was\n{log}", scene.title);
    }
    lines(&log, START_UNIX_MS)
}

/// A real server with an append-only file.
struct Theirs {
    redis: RealRedis,
    control: RealClient,
}

impl Theirs {
    fn start(test: &str) -> Option<Self> {
        let arguments = [
            ["--appendonly", "yes"],
            ["--appendfsync", "always"],
            ["--enable-debug-command", "yes"],
            ["--auto-aof-rewrite-percentage", "0"],
        ];
        let redis = RealRedis::start_with(test, arguments.as_flattened())?;
        let control = redis.connect();
        Some(Self { redis, control })
    }

    fn log(&self) -> Vec<u8> {
        let path = self.redis.directory().join("appendonlydir/appendonly.aof.1.incr.aof");
        std::fs::read(path).expect("it has an append-only file")
    }

    /// Returns when the server has seen what was sent before.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.control.call(&["PING"]);
        }
    }

    fn play(&mut self, scene: &Scene) -> Vec<String> {
        self.control.call(&["SCRIPT", "FLUSH"]);
        self.control.call(&["FUNCTION", "FLUSH"]);
        self.control.call(&["SET", "warm", "1"]);
        self.control.call(&["FLUSHALL"]);
        let before = self.log().len();
        let zero = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let zero_ms = zero.as_millis() as u64;
        let mut clients: BTreeMap<char, RealClient> = BTreeMap::new();
        for line in &scene.steps {
            if let Some(millis) = pause(line) {
                std::thread::sleep(Duration::from_millis(millis));
                continue;
            }
            let (client, commands) = commands(line, zero_ms);
            let redis = &self.redis;
            let client = clients.entry(client).or_insert_with(|| redis.connect());
            client.send(&commands.iter().flat_map(|words| encode(words)).collect::<Vec<u8>>());
            self.settle();
        }
        let log = self.log().split_off(before);
        drop(clients);
        self.settle();
        lines(&log, zero_ms)
    }
}

/// What two logs say of records of which something was drawn.
fn shape(records: &[String]) -> Vec<String> {
    let shape = |record: &String| {
        let words: Vec<&str> = record.split(' ').collect();
        format!("{} {}", words[0], words.len())
    };
    records.iter().map(shape).collect()
}

#[test]
fn every_scene_leads_to_its_records_and_they_to_its_data() {
    let mut scenes = scenes();
    let updates = std::env::var("UPDATE_SCENES").is_ok_and(|value| value == "1");
    let mut complaints = String::new();
    for scene in &mut scenes {
        let got = ours(scene);
        if updates {
            scene.records = got;
        } else if got != scene.records {
            let (got, expected) = (got.join("\n"), scene.records.join("\n"));
            write!(complaints, "\n\n{}\n{expected}\n-- but --\n{got}", scene.title).expect("text");
        }
    }
    if updates {
        let scenes = scenes.iter().map(|scene| {
            let records = scene.records.iter().map(|record| format!("= {record}"));
            let lines: Vec<String> = scene.steps.iter().cloned().chain(records).collect();
            format!("{}\n{}\n", scene.title, lines.join("\n"))
        });
        std::fs::write(file(), scenes.collect::<Vec<_>>().join("\n")).expect("it can be written");
    }
    assert!(complaints.is_empty(), "{complaints}");
    assert!(scenes.len() > 50, "there are {} scenes", scenes.len());
}

#[test]
fn redis_logs_the_same_records() {
    let Some(mut theirs) = Theirs::start("log") else { return };
    let mut complaints = String::new();
    for scene in scenes().iter().filter(|scene| scene.judged() != Judged::OursAlone) {
        let (ours, theirs) = (ours(scene), theirs.play(scene));
        let is_same = match scene.judged() {
            Judged::ByShape => shape(&ours) == shape(&theirs),
            _ => ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| agree(a, b)),
        };
        if !is_same {
            let (ours, theirs) = (ours.join("\n"), theirs.join("\n"));
            write!(complaints, "\n\n{}\n-- redis --\n{theirs}\n-- ours --\n{ours}", scene.title)
                .expect("text");
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

/// Messages are for replicas and not for the file, and scripts choose who gets what.
#[test]
fn replicas_get_messages_and_the_file_does_not() {
    let mut server = Server::new(config(), Seed(3));
    server.log().start();
    server.log().start_for(Reader::Replicas);
    let client = server.connect();
    server.line(client, "PUBLISH c hello");
    server.line(client, "SPUBLISH c hello");
    let script = "redis.call('set','a',1) redis.set_repl(redis.REPL_AOF) redis.call('set','b',1) \
         redis.set_repl(redis.REPL_REPLICA) redis.call('set','c',1) \
         redis.set_repl(redis.REPL_NONE) redis.call('set','d',1) \
         redis.set_repl(redis.REPL_ALL) redis.call('set','e',1)";
    server.call(client, &["EVAL", script, "0"]);
    let file = lines(&server.log().take(), START_UNIX_MS);
    assert_eq!(file, ["SELECT 0", "MULTI", "set a 1", "set b 1", "set e 1", "EXEC"]);
    let replicas = lines(&server.log().take_for(Reader::Replicas), START_UNIX_MS);
    let expected = [
        "SELECT 0",
        "PUBLISH c hello",
        "SPUBLISH c hello",
        "MULTI",
        "set a 1",
        "set c 1",
        "set e 1",
        "EXEC",
    ];
    assert_eq!(replicas, expected);
}

#[test]
fn a_killed_script_leaves_nothing_in_the_log() {
    let mut server = Server::new(config(), Seed(3));
    server.log().start();
    let (caller, killer) = (server.connect(), server.connect());
    server.line(killer, "DEBUG SET-ACTIVE-EXPIRE 0");
    server.line(killer, "SET old 1 PX 5");
    server.line(killer, "SET before 1");
    server.advance_ms(10);
    server.log().take();
    let script = "redis.call('incr','before') redis.call('get','old') redis.call('set','new',1) \
         while true do end";
    assert_eq!(server.send(caller, &encode(&["EVAL", script, "0"])), b"");
    for _ in 0..50 {
        server.tick();
    }
    assert!(server.log().take().is_empty(), "a script that runs has said nothing yet");
    assert_eq!(server.send(killer, b"SCRIPT KILL\r\n"), b"+OK\r\n");
    server.advance_ms(1);
    assert!(!server.output(caller).is_empty(), "it has ended");
    assert_eq!(lines(&server.log().take(), START_UNIX_MS), ["DEL old"]);
    server.check(killer, "GET before", "\"1\"");
}

#[test]
fn evicted_keys_are_removed_before_the_command_and_apart_from_it() {
    for (is_lazy, word) in [("no", "DEL"), ("yes", "UNLINK")] {
        let mut server = Server::new(config(), Seed(3));
        let client = server.connect();
        server.line(client, &format!("CONFIG SET lazyfree-lazy-eviction {is_lazy}"));
        server.log().start();
        for key in 0..3000 {
            server.call(client, &["SET", &format!("key:{key}"), &"x".repeat(400)]);
        }
        let mut log = server.log().take();
        let limit = "CONFIG SET maxmemory 900kb maxmemory-policy allkeys-random";
        server.check(client, limit, "OK");
        server.advance_ms(100);
        server.line(client, "SET last 1");
        let rest = server.log().take();
        let records = Record::read_all(&rest);
        let removed = records.iter().filter(|record| record.0[0] == word.as_bytes()).count();
        assert!(removed > 100, "{removed} keys were evicted");
        assert_eq!(removed + 1, records.len(), "and nothing else has happened");
        assert_eq!(records[removed].shown(0), "SET last 1");
        log.extend(rest);
        let unlimited = config();
        let mut replica = replayed(&server, &unlimited, &log).expect("every record is taken");
        assert_eq!(difference(&mut server, &mut replica), None);
    }
}
