//! Prints what the engine alone costs per command: no sockets, no system calls.
//!
//! ```text
//! cargo bench -p orrery-tests --bench hot_path -- [TEST...]
//! ```
//! CPU nanoseconds of the thread per command at pipelines 1, 16 and 64, over random keys.

use bytes::BytesMut;
use orrery_engine::rng::Rng;
use orrery_engine::{
    Config, ConnId, Effects, Engine, Input, Instant, Now, Origin, Seed, UnixMicros,
};

const CONN: ConnId = ConnId(1);
const KEYS: u64 = 100_000;
/// Few enough that their bytes stay in the cache, as a socket's would.
const COMMANDS: usize = 25_600;
/// How often they are all run; the first time makes the keys and is not counted.
const ROUNDS: u32 = 16;

/// Makes one command from a random key number.
type Make = fn(u64) -> Vec<String>;

const TESTS: &[(&str, Make)] = &[
    ("ping", |_| vec!["PING".into()]),
    ("set", |key| vec!["SET".into(), name(key), "x".repeat(16)]),
    ("get", |key| vec!["GET".into(), name(key)]),
    ("incr", |key| vec!["INCR".into(), format!("counter:{key:012}")]),
    ("setex", |key| vec!["SET".into(), name(key), "x".repeat(16), "EX".into(), "100".into()]),
    ("expire", |key| vec!["EXPIRE".into(), name(key), "100".into()]),
    ("mset", |key| {
        let pair = |i: u64| [name((key + i * 7919) % KEYS), "x".repeat(16)];
        std::iter::once("MSET".into()).chain((0..10).flat_map(pair)).collect()
    }),
];

fn name(key: u64) -> String {
    format!("key:{key:012}")
}

fn encode(words: &[String], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    println!("{:8} {:>10} {:>10} {:>10}   CPU ns per command", "test", "P=1", "P=16", "P=64");
    for &(test, make) in TESTS {
        if wanted.is_empty() || wanted.iter().any(|name| name == test) {
            let [a, b, c] = [1, 16, 64].map(|pipeline| measure(make, pipeline));
            println!("{test:8} {a:>10.1} {b:>10.1} {c:>10.1}");
        }
    }
}

fn measure(make: Make, pipeline: usize) -> f64 {
    let now = Now { mono: Instant(1), wall: UnixMicros(1_700_000_000_000_000) };
    let mut engine = Engine::new(Config::default(), Seed(1), now);
    let mut fx = Effects::new();
    let origin = Origin::Unix { path: String::new() };
    engine.step(now, Input::Opened { conn: CONN, origin }, &mut fx);
    let mut rng = Rng::new(Seed(7), "keys");
    let mut batches = Vec::new();
    for _ in 0..COMMANDS / pipeline {
        let mut batch = Vec::new();
        for _ in 0..pipeline {
            encode(&make(rng.below(KEYS)), &mut batch);
        }
        batches.push(batch);
    }
    let mut output = Vec::new();
    let mut input = BytesMut::with_capacity(1 << 16);
    let mut start = 0;
    for round in 0..ROUNDS {
        if round == 1 {
            start = thread_cpu_ns();
        }
        for batch in &batches {
            input.clear();
            input.extend_from_slice(batch);
            engine.step(now, Input::Received { conn: CONN, bytes: &mut input }, &mut fx);
            fx.drain().for_each(drop);
            output.clear();
            engine.take_output(CONN, &mut output);
            engine.step(now, Input::Sent { conn: CONN, len: output.len() }, &mut fx);
        }
        assert!(round == 0 || !output.starts_with(b"-"), "{}", output.escape_ascii());
    }
    let cpu = thread_cpu_ns() - start;
    cpu as f64 / (batches.len() * pipeline) as f64 / f64::from(ROUNDS - 1)
}

fn thread_cpu_ns() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
