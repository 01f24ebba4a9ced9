//! Prints the longest step of the engine while it grows, expires and is emptied.
//!
//! ```text
//! cargo bench -p orrery-tests --bench longest_step -- [KEYS]
//! ```
//! KEYS (default 20,000,000) are inserted; they are saved in the background, once alone and once
//! while random ones are written; they are flushed; a million expire in one second; then a
//! collection of every type gets a twentieth as many elements, is saved, is saved while it is
//! changed, and is deleted. A step's length is given as wall time and as CPU time of the thread:
//! the second does not count what other programs did meanwhile. The disk does everything at once.

use std::fmt::Write as _;
use std::time::Instant as Clock;

use bytes::BytesMut;
use orrery_engine::{
    Config, ConnId, DiskAnswer, Effect, Effects, Engine, Input, Instant, Now, Origin, Seed, Ticket,
    UnixMicros,
};

const CONN: ConnId = ConnId(1);
const COMMANDS_PER_STEP: usize = 16;
const START_US: u64 = 1_700_000_000_000_000;

struct Bench {
    engine: Engine,
    fx: Effects,
    input: BytesMut,
    output: Vec<u8>,
    mono_us: u64,
    phase: Phase,
    /// Orders for the disk that are to be answered.
    orders: Vec<Ticket>,
}

/// Figures of one phase, in microseconds.
#[derive(Default)]
struct Phase {
    steps: u64,
    cpu_total: f64,
    cpu_longest: f64,
    wall_longest: f64,
    over_2_ms: u64,
    longest_at: u64,
}

impl Bench {
    fn new() -> Self {
        let now = Now { mono: Instant(0), wall: UnixMicros(START_US) };
        let mut engine = Engine::new(Config::default(), Seed(1), now);
        let mut fx = Effects::new();
        let origin = Origin::Unix { path: String::new() };
        engine.step(now, Input::Opened { conn: CONN, origin }, &mut fx);
        fx.drain().for_each(drop);
        let (input, output) = (BytesMut::new(), Vec::new());
        Self { engine, fx, input, output, mono_us: 0, phase: Phase::default(), orders: Vec::new() }
    }

    fn now(&self) -> Now {
        Now { mono: Instant(self.mono_us), wall: UnixMicros(START_US + self.mono_us) }
    }

    fn step(&mut self, tick: bool) {
        self.mono_us += 1;
        let now = self.now();
        let order = if tick { self.orders.pop() } else { None };
        let (wall, cpu) = (Clock::now(), thread_cpu_us());
        let input = match order {
            Some(ticket) => Input::Disk { ticket, result: Ok(DiskAnswer::default()) },
            None if tick => Input::Tick,
            None => Input::Received { conn: CONN, bytes: &mut self.input },
        };
        self.engine.step(now, input, &mut self.fx);
        let cpu = thread_cpu_us() - cpu;
        let wall = wall.elapsed().as_secs_f64() * 1e6;
        self.phase.steps += 1;
        self.phase.cpu_total += cpu;
        if cpu > self.phase.cpu_longest {
            self.phase.cpu_longest = cpu;
            self.phase.longest_at = self.phase.steps;
        }
        self.phase.wall_longest = self.phase.wall_longest.max(wall);
        self.phase.over_2_ms += u64::from(cpu > 2000.0);
        let mut resume = false;
        for effect in self.fx.drain() {
            match effect {
                Effect::Disk(order) => self.orders.insert(0, order.ticket),
                effect => resume |= effect == Effect::Resume(CONN),
            }
        }
        self.output.clear();
        self.engine.take_output(CONN, &mut self.output);
        let len = self.output.len();
        self.engine.step(now, Input::Sent { conn: CONN, len }, &mut self.fx);
        assert!(!self.output.starts_with(b"-"), "{}", self.output.escape_ascii());
        if resume {
            self.step(false);
        }
    }

    fn send(&mut self, commands: &str) {
        self.input.extend_from_slice(commands.as_bytes());
        self.step(false);
        assert!(self.input.is_empty());
    }

    /// Ticks until nothing is due within `until_us` of monotonic time.
    fn settle(&mut self, until_us: u64) {
        while let Some((at, _)) = self.engine.deadline() {
            if at.0 > until_us {
                break;
            }
            self.mono_us = self.mono_us.max(at.0);
            self.step(true);
        }
    }

    /// Saves in the background; between the steps of that `write` may send something.
    fn save(&mut self, name: &str, mut write: impl FnMut(&mut Self)) {
        self.send("BGSAVE\r\n");
        while self.engine.state().keyspace.is_capturing() || !self.orders.is_empty() {
            self.mono_us = self.mono_us.max(self.engine.deadline().map_or(0, |(at, _)| at.0));
            self.step(true);
            write(self);
        }
        self.report(name);
    }

    fn report(&mut self, name: &str) {
        let phase = std::mem::take(&mut self.phase);
        println!(
            "{name:44} {:>10} {:>9.2} {:>12.0} {:>12.0} {:>8} {:>10}",
            phase.steps,
            phase.cpu_total / phase.steps.max(1) as f64,
            phase.cpu_longest,
            phase.wall_longest,
            phase.over_2_ms,
            phase.longest_at
        );
    }
}

fn thread_cpu_us() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn insert(bench: &mut Bench, prefix: &str, keys: usize, suffix: &str) {
    let mut commands = String::new();
    for first in (0..keys).step_by(COMMANDS_PER_STEP) {
        commands.clear();
        for key in first..keys.min(first + COMMANDS_PER_STEP) {
            writeln!(commands, "SET {prefix}:{key:08} vvvvvvvvvvvvvvvv{suffix}\r")
                .expect("a string takes everything");
        }
        bench.send(&commands);
    }
}

/// Fills one collection, saves it, saves it while it is changed, and deletes it.
fn collection(bench: &mut Bench, kind: &str, elements: usize, command: impl Fn(usize) -> String) {
    let mut commands = String::new();
    for first in (0..elements).step_by(COMMANDS_PER_STEP) {
        commands.clear();
        for element in first..elements.min(first + COMMANDS_PER_STEP) {
            writeln!(commands, "{}\r", command(element)).expect("a string takes everything");
        }
        bench.send(&commands);
    }
    bench.report(&format!("{kind} of {elements} elements, {COMMANDS_PER_STEP} a step"));
    bench.save(&format!("BGSAVE of that {kind}"), |_| {});
    let mut next = elements;
    bench.save(&format!("BGSAVE of that {kind}, which is changed"), |bench| {
        next += 1;
        bench.send(&format!("{}\r\n", command(next)));
    });
    bench.send("DEL c\r\n");
    bench.settle(u64::MAX);
    bench.report(&format!("DEL of that {kind}"));
}

fn collections(bench: &mut Bench, elements: usize) {
    collection(bench, "list", elements, |at| format!("RPUSH c element:{at:08}"));
    collection(bench, "set", elements, |at| format!("SADD c element:{at:08}"));
    collection(bench, "set of integers", elements, |at| format!("SADD c {}", at * 7919));
    collection(bench, "hash", elements, |at| format!("HSET c field:{at:08} vvvvvvvvvvvvvvvv"));
    collection(bench, "hash with field TTLs", elements, |at| {
        format!("HSETEX c EX 100000 FIELDS 1 field:{at:08} vvvvvvvvvvvvvvvv")
    });
    let score = |at: usize| at * 7919 % 1_000_003;
    collection(bench, "sorted set", elements, |at| format!("ZADD c {} member:{at:08}", score(at)));
    collection(bench, "stream", elements, |at| format!("XADD c * sensor {at:06} reading {at}"));
}

fn main() {
    let keys = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(20_000_000);
    println!(
        "{:44} {:>10} {:>9} {:>12} {:>12} {:>8} {:>10}",
        "phase", "steps", "mean us", "longest cpu", "longest wall", "> 2 ms", "at step"
    );
    let mut bench = Bench::new();
    insert(&mut bench, "k", keys, "");
    bench.report(&format!("insert {keys} keys, {COMMANDS_PER_STEP} a step"));
    bench.save(&format!("BGSAVE of {keys} keys"), |_| {});
    let mut draw = 1;
    bench.save(&format!("BGSAVE of {keys} keys, {COMMANDS_PER_STEP} SET a step"), |bench| {
        let mut commands = String::new();
        for _ in 0..COMMANDS_PER_STEP {
            draw = draw * 6_364_136_223_846_793_005_u64 % 9_223_372_036_854_775_783;
            writeln!(commands, "SET k:{:08} wwwwwwwwwwwwwwww\r", draw as usize % keys)
                .expect("a string takes everything");
        }
        bench.send(&commands);
    });
    bench.send("FLUSHALL\r\n");
    bench.settle(u64::MAX);
    bench.report(&format!("FLUSHALL of {keys} keys"));
    let burst = 1_000_000.min(keys);
    insert(&mut bench, "t", burst, " EX 100");
    bench.report(&format!("insert {burst} keys with a TTL"));
    bench.settle(u64::MAX);
    bench.report(&format!("expire {burst} keys within a second"));
    bench.send("SET big x\r\n");
    bench.send(&format!("SETRANGE big {} x\r\n", 500_000_000));
    bench.report("make a string of 500 MB (one command)");
    bench.send("DEL big\r\n");
    bench.settle(u64::MAX);
    bench.report("DEL of a string of 500 MB");
    collections(&mut bench, keys / 20);
}
