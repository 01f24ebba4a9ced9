//! An engine with clocks that a test turns by hand and clients that speak bytes.
//!
//! Invariant: a test reaches the engine only through its front door: `step`, `deadline`,
//! `take_output`.

use std::collections::BTreeMap;

use bytes::BytesMut;
use orrery_engine::log::Log;
use orrery_engine::{
    Config, ConnId, DiskOrder, Effect, Effects, Engine, Facts, Input, Instant, Lane, Micros, Now,
    Origin, Seed, Stopwatch, Timer, UnixMicros,
};

use crate::memory_disk::MemoryDisk;
use crate::resp_value::{Value, encode, words};

/// Wall time at the start of every test: 2026-01-01 00:00:00 UTC, in milliseconds.
pub const START_UNIX_MS: u64 = 1_767_225_600_000;

/// Steps that may follow from one input before the engine counts as stuck.
const STEPS_MAX: usize = 1_000_000;

/// A server in this process.
pub struct Server {
    engine: Engine,
    now: Now,
    fx: Effects,
    clients: BTreeMap<ConnId, Client>,
    next_conn: u64,
    /// Effects that concern the driver and not a connection's bytes, since they were last taken.
    effects: Vec<Effect>,
    disk: MemoryDisk,
    /// Orders that the disk does not carry out before it is told to.
    kept_orders: Option<Vec<DiskOrder>>,
    /// Only orders that nobody should wait for are kept.
    keeps_syncs_only: bool,
}

#[derive(Default)]
struct Client {
    input: BytesMut,
    /// What the engine gave out for it and nobody has read.
    output: Vec<u8>,
    closed: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self::new(Config::default(), Seed(1))
    }
}

impl Server {
    /// An empty server at [`START_UNIX_MS`].
    pub fn new(config: Config, seed: Seed) -> Self {
        let now = Now { mono: Instant(1_000_000), wall: UnixMicros(START_UNIX_MS * 1000) };
        Self {
            engine: Engine::new(config, seed, now),
            now,
            fx: Effects::new(),
            clients: BTreeMap::new(),
            next_conn: 1,
            effects: Vec::new(),
            disk: MemoryDisk::default(),
            kept_orders: None,
            keeps_syncs_only: false,
        }
    }

    /// A server that finds these files when it starts.
    pub fn start(config: Config, seed: Seed, files: BTreeMap<String, Vec<u8>>) -> Self {
        let mut server = Self::new(config, seed);
        server.disk.files = files;
        server.input(Input::Start);
        server
    }

    /// The server's disk.
    pub fn disk(&mut self) -> &mut MemoryDisk {
        &mut self.disk
    }

    /// The disk stalls: its orders wait until [`Self::release_disk`].
    pub fn stall_disk(&mut self) {
        self.kept_orders.get_or_insert_default();
    }

    /// Only syncs that go on beside the writing stall.
    pub fn stall_syncs(&mut self) {
        self.stall_disk();
        self.keeps_syncs_only = true;
    }

    /// The disk goes on.
    pub fn release_disk(&mut self) {
        self.keeps_syncs_only = false;
        for order in self.kept_orders.take().unwrap_or_default() {
            self.order(&order);
        }
        self.settle();
    }

    /// Tells the engine about its process.
    pub fn set_facts(&mut self, facts: Facts) {
        self.engine.set_facts(facts);
    }

    /// Gives the engine what passwords are made from.
    pub fn set_secret(&mut self, secret: [u8; 32]) {
        self.engine.set_secret(secret);
    }

    /// Makes the users that the configuration declares, with what the file of users holds.
    ///
    /// # Panics
    /// If they are wrong.
    pub fn load_users(&mut self, file: Option<&[u8]>) -> Vec<String> {
        self.engine.load_users(file).expect("the test's users are right")
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine's log of effects.
    pub fn log(&mut self) -> &mut Log {
        self.engine.log()
    }

    /// Lets nothing expire, or lets it expire again.
    pub fn hold_expiry(&mut self, holds: bool) {
        self.engine.hold_expiry(holds);
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Wall time in milliseconds.
    pub fn unix_ms(&self) -> u64 {
        self.now.wall.as_millis()
    }

    /// A new client over a unix socket.
    pub fn connect(&mut self) -> ConnId {
        self.connect_from(Origin::Unix { path: "/tmp/test.sock".into() })
    }

    /// A new client from anywhere.
    pub fn connect_from(&mut self, origin: Origin) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.clients.insert(conn, Client::default());
        self.step(Input::Opened { conn, origin });
        self.settle();
        conn
    }

    /// The client goes away.
    pub fn disconnect(&mut self, conn: ConnId) {
        self.clients.remove(&conn);
        self.step(Input::Closed { conn });
        self.settle();
    }

    /// Sends bytes and returns what the client has received since it last looked.
    pub fn send(&mut self, conn: ConnId, bytes: &[u8]) -> Vec<u8> {
        self.client(conn).input.extend_from_slice(bytes);
        self.receive(conn);
        self.settle();
        self.output(conn)
    }

    /// Runs one command and returns its one reply.
    ///
    /// # Panics
    /// If the reply is not exactly one well-formed value.
    #[track_caller]
    pub fn call<W: AsRef<[u8]>>(&mut self, conn: ConnId, words: &[W]) -> Value {
        let bytes = self.send(conn, &encode(words));
        match Value::read(&bytes) {
            Ok(Some((value, len))) if len == bytes.len() => value,
            other => panic!("not one reply: {other:?} in {}", bytes.escape_ascii()),
        }
    }

    /// Runs a command that is written as a line, as for `redis-cli`.
    #[track_caller]
    pub fn line(&mut self, conn: ConnId, line: &str) -> Value {
        self.call(conn, &words(line))
    }

    /// Runs the command in `line` and compares its reply, shown as `redis-cli` would, with
    /// `expected`.
    #[track_caller]
    pub fn check(&mut self, conn: ConnId, line: &str, expected: &str) {
        assert_eq!(self.line(conn, line).to_string(), expected, "after {line}");
    }

    /// What the client has received and not looked at.
    pub fn output(&mut self, conn: ConnId) -> Vec<u8> {
        std::mem::take(&mut self.client(conn).output)
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self, conn: ConnId) -> bool {
        self.clients.get(&conn).is_none_or(|client| client.closed)
    }

    /// Lets time pass on both clocks and ticks whenever the engine wants to be woken.
    pub fn advance_ms(&mut self, millis: u64) {
        let end = self.now.mono + Micros::from_millis(millis);
        for _ in 0..STEPS_MAX {
            match self.engine.deadline() {
                Some((at, _)) if at <= end => self.move_clocks(at.max(self.now.mono)),
                _ => {
                    self.move_clocks(end);
                    return;
                }
            }
            self.step(Input::Tick);
            self.settle();
        }
        panic!("the engine never stops asking for ticks: {:?}", self.engine.deadline());
    }

    /// Lets time pass on both clocks while the driver sleeps: no ticks.
    pub fn oversleep_ms(&mut self, millis: u64) {
        self.move_clocks(self.now.mono + Micros::from_millis(millis));
    }

    /// One tick now.
    pub fn tick(&mut self) {
        self.step(Input::Tick);
        self.settle();
    }

    /// Sets the wall clock, and only that: somebody has changed the system's time.
    pub fn set_wall_clock(&mut self, wall: UnixMicros) {
        self.now.wall = wall;
    }

    /// Sets both clocks, for tests in real time. The monotonic clock must not go back.
    pub fn set_clocks(&mut self, now: Now) {
        self.now = now;
    }

    /// Lends the engine a stopwatch; without, commands take no time.
    pub fn set_stopwatch(&mut self, stopwatch: Stopwatch) {
        self.fx.stopwatch = stopwatch;
    }

    /// Like [`Self::send`], of bytes whose step takes so long.
    pub fn send_taking(&mut self, conn: ConnId, bytes: &[u8], elapsed: Micros) -> Vec<u8> {
        self.client(conn).input.extend_from_slice(bytes);
        self.receive(conn);
        self.engine.note_elapsed(elapsed);
        self.settle();
        self.output(conn)
    }

    /// Any other input, such as `Done`.
    pub fn input(&mut self, input: Input<'_>) {
        self.step(input);
        self.settle();
    }

    /// The effects that concern the driver, since this was last asked: everything but `Flush`,
    /// `Resume`, `Close` and `Abort`.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn move_clocks(&mut self, mono: Instant) {
        let passed = mono.since(self.now.mono);
        self.now.mono = mono;
        self.now.wall = UnixMicros(self.now.wall.0 + passed.0);
    }

    fn client(&mut self, conn: ConnId) -> &mut Client {
        self.clients.get_mut(&conn).expect("the test connected it")
    }

    fn step(&mut self, input: Input<'_>) {
        self.engine.step(self.now, input, &mut self.fx);
    }

    fn receive(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if !client.closed {
            let bytes = &mut client.input;
            self.engine.step(self.now, Input::Received { conn, bytes }, &mut self.fx);
        }
    }

    /// Carries out effects until there are none left.
    fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            let effects: Vec<Effect> = self.fx.drain().collect();
            if effects.is_empty() {
                // What only waits for its next step has it.
                let due = self.engine.deadline().filter(|(at, _)| *at <= self.now.mono);
                let state = self.engine.state();
                let is_busy = state.persistence.is_busy() || state.has_log_turn();
                if due.is_none_or(|(_, timer)| timer != Timer::Files && !is_busy) {
                    return;
                }
                self.step(Input::Tick);
                continue;
            }
            for effect in effects {
                match effect {
                    Effect::Flush(conn) => self.flush(conn),
                    Effect::Close(conn) => {
                        self.flush(conn);
                        if let Some(client) = self.clients.get_mut(&conn) {
                            client.closed = true;
                        }
                        self.step(Input::Closed { conn });
                    }
                    Effect::Abort(conn) => {
                        if let Some(client) = self.clients.get_mut(&conn) {
                            client.closed = true;
                        }
                        self.step(Input::Closed { conn });
                    }
                    Effect::Resume(conn) => self.receive(conn),
                    Effect::Disk(order) => match &mut self.kept_orders {
                        Some(kept) if !self.keeps_syncs_only || order.lane == Lane::Sync => {
                            kept.push(order);
                        }
                        _ => self.order(&order),
                    },
                    other => self.effects.push(other),
                }
            }
        }
        panic!("the engine never settles");
    }

    fn order(&mut self, order: &DiskOrder) {
        let result = self.disk.carry_out(order);
        self.step(Input::Disk { ticket: order.ticket, result });
    }

    fn flush(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let before = client.output.len();
        self.engine.take_output(conn, &mut client.output);
        let len = client.output.len() - before;
        self.step(Input::Sent { conn, len });
    }
}
