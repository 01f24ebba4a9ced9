//! What the program keeps on disk: under SIGKILL, and between it and the real redis-server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{Value, encode, words};
use rustix::process::Signal;

use crate::process::{Folder, Server};

/// How often a server is killed in each mode, unless `ORRERY_KILLS` says otherwise.
const ROUNDS: usize = 4;
/// Rounds differ in how long they last; after so many they begin again.
const PACES: usize = 8;

/// Runs one command; `None` when the connection breaks before the reply.
fn call(stream: &mut TcpStream, words: &[impl AsRef<[u8]>]) -> Option<Value> {
    stream.write_all(&encode(words)).ok()?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let len = stream.read(&mut buffer).ok().filter(|&len| len > 0)?;
        bytes.extend_from_slice(&buffer[..len]);
        if let Ok(Some((value, _))) = Value::read(&bytes) {
            return Some(value);
        }
    }
}

fn line(stream: &mut TcpStream, text: &str) -> Value {
    call(stream, &words(text)).unwrap_or_else(|| panic!("no reply to {text}"))
}

/// Counts one key up until the connection breaks; what was acknowledged last.
fn count_up(mut stream: TcpStream, key: String) -> i64 {
    let mut acknowledged = 0;
    while let Some(value) = call(&mut stream, &["INCR", &key]) {
        acknowledged = value.to_string().trim_start_matches("(integer) ").parse().expect("a count");
    }
    acknowledged
}

fn check_kills(policy: &str, rewrites: bool) {
    let folder = Folder::new();
    let directory = folder.file("");
    let arguments = ["--dir", &directory, "--appendonly", "yes", "--appendfsync", policy];
    let rounds = std::env::var("ORRERY_KILLS")
        .ok()
        .map_or(ROUNDS, |rounds| rounds.parse().expect("ORRERY_KILLS is a number"));
    for round in 0..rounds {
        let pace = (round % PACES) as u64;
        let mut server = Server::start(&arguments);
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let (stream, key) = (server.connect(), format!("count:{round}:{client}"));
                thread::spawn(move || count_up(stream, key))
            })
            .collect();
        thread::sleep(Duration::from_millis(150 + 130 * pace));
        if rewrites {
            let reply = line(&mut server.connect(), "BGREWRITEAOF").to_string();
            assert!(reply.starts_with("Background append only file rewriting"), "{reply}");
            thread::sleep(Duration::from_millis(7 * pace));
        }
        server.signal(Signal::KILL);
        let acknowledged: Vec<i64> =
            clients.into_iter().map(|client| client.join().expect("it counts")).collect();
        server.wait_for_end();
        assert!(acknowledged.iter().sum::<i64>() > 100, "the server did something");
        let again = Server::start(&arguments);
        let mut stream = again.connect();
        for (client, &told) in acknowledged.iter().enumerate() {
            let value = line(&mut stream, &format!("GET count:{round}:{client}")).to_string();
            let found: i64 = value.trim_matches('"').parse().unwrap_or(0);
            // The last one may have been logged, and its reply not sent.
            assert!((told..=told + 1).contains(&found), "{found} of {told} in round {round}");
        }
    }
}

#[test]
fn sigkill_loses_nothing_that_was_acknowledged_under_always() {
    check_kills("always", false);
}

#[test]
fn sigkill_loses_nothing_that_was_acknowledged_under_everysec() {
    check_kills("everysec", false);
}

#[test]
fn sigkill_loses_nothing_in_the_middle_of_a_rewrite() {
    check_kills("always", true);
}

#[test]
fn a_lock_that_a_killed_server_has_forgotten_is_not_granted_before_its_end() {
    let folder = Folder::new();
    let directory = folder.file("");
    let arguments = ["--dir", &directory, "--save", "", "--lock-grace", "lock:*"];
    let mut server = Server::start(&arguments);
    let acquire = "SET lock:a mine NX PX 1500";
    assert_eq!(line(&mut server.connect(), acquire).to_string(), "OK");
    server.signal(Signal::KILL);
    server.wait_for_end();
    let mut server = Server::start(&arguments);
    let began = Instant::now();
    let mut stream = server.connect();
    let mut refusals = 0;
    while line(&mut stream, acquire).to_string().starts_with("(error) LOCKGRACE ") {
        refusals += 1;
        assert!(began.elapsed() < Duration::from_secs(60), "it never ends");
        thread::sleep(Duration::from_millis(20));
    }
    // It began to wait before it listened.
    assert!(refusals > 1, "the first server's lock may be held still");
    assert_eq!(line(&mut stream, "GET lock:a").to_string(), "\"mine\"");
    // An end that saves what there is leaves nothing to wait for.
    drop(call(&mut stream, &["SHUTDOWN", "SAVE"]));
    server.wait_for_end();
    let again = Server::start(&arguments);
    assert_eq!(line(&mut again.connect(), "SET lock:b mine NX PX 1500").to_string(), "OK");
}

const KEYS: &[&str] = &[
    "SET string hello",
    "SET number 12345",
    "SET expires soon PX 100000000",
    "RPUSH list a b 3",
    "SADD integers 1 2 3",
    "SADD words a b c",
    "SPOP words",
    "HSET hash field value",
    "HINCRBYFLOAT hash float 1.5",
    "ZADD zset 1.5 a 2 b",
    "XADD stream 1-1 field value",
    "XADD stream * field value",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group consumer COUNT 1 STREAMS stream >",
    "EVAL \"for i = 1, 1000 do redis.call('RPUSH', KEYS[1], i) end\" 1 long",
    "EVAL \"for i = 1, 1000 do redis.call('ZADD', KEYS[1], i, i) end\" 1 ranks",
    "SELECT 9",
    "INCRBYFLOAT elsewhere 1.25",
    "SELECT 0",
];

fn digest_of(reply: &Value) -> String {
    let text = reply.to_string();
    assert!(text.len() >= 40, "{text}");
    text
}

#[test]
fn redis_goes_on_with_our_files_and_we_with_its() {
    for log in ["yes", "no"] {
        let folder = Folder::new();
        let directory = folder.file("");
        let arguments = ["--dir", &directory, "--appendonly", log, "--enable-debug-command", "yes"];
        let ours = [&arguments[..], &["--rdb-version", "10", "--save", "3600 1"]].concat();
        let mut server = Server::start(&ours);
        let mut stream = server.connect();
        for text in KEYS {
            let reply = line(&mut stream, text);
            assert!(!reply.is_error(), "{text}: {reply:?}");
        }
        let digest = digest_of(&line(&mut stream, "DEBUG DIGEST"));
        assert_eq!(server.end(Signal::TERM), Some(0));
        let theirs = [&arguments[..], &["--save", "3600 1"]].concat();
        let name = format!("our-files-{log}");
        let Some(redis) = RealRedis::start_with(&name, &theirs) else { return };
        let mut client = redis.connect();
        assert_eq!(
            digest_of(&client.call(&["DEBUG", "DIGEST"])),
            digest,
            "redis-server, log {log}"
        );
        for text in KEYS.iter().filter(|text| !text.starts_with("XADD stream 1-1")) {
            client.call(&words(text));
        }
        let digest = digest_of(&client.call(&["DEBUG", "DIGEST"]));
        assert!(!client.call(&["SAVE"]).is_error());
        drop(redis);
        let server = Server::start(&ours);
        let found = digest_of(&line(&mut server.connect(), "DEBUG DIGEST"));
        assert_eq!(found, digest, "ours again, log {log}");
    }
}

#[test]
fn a_redis_replica_gets_all_keys_and_every_change() {
    let server = Server::start(&["--rdb-version", "10", "--enable-debug-command", "yes"]);
    let mut stream = server.connect();
    for text in KEYS {
        line(&mut stream, text);
    }
    let port = server.port.to_string();
    let arguments = ["--replicaof", "127.0.0.1", &port, "--enable-debug-command", "yes"];
    let Some(redis) = RealRedis::start_with("replica", &arguments) else { return };
    let mut client = redis.connect();
    for round in 0.. {
        let text = client.call(&["INFO", "replication"]).to_string();
        if text.contains("master_link_status:up") {
            break;
        }
        assert!(round < 600, "{text}");
        thread::sleep(Duration::from_millis(100));
    }
    for text in KEYS.iter().filter(|text| !text.starts_with("XADD stream 1-1")) {
        line(&mut stream, text);
    }
    let digest = digest_of(&line(&mut stream, "DEBUG DIGEST"));
    for round in 0.. {
        let found = digest_of(&client.call(&["DEBUG", "DIGEST"]));
        if found == digest {
            break;
        }
        assert!(round < 100, "{found} and not {digest}");
        thread::sleep(Duration::from_millis(100));
    }
}
