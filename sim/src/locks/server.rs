//! A lock server: a real engine with the clocks of its host, or an ideal one.
//!
//! Invariant: both do the same with every request while no clock is set, but that a key of an
//! engine is there up to the end of its last millisecond.

use bytes::BytesMut;
use orrery_engine::lock::{CounterUse, Dialect, Names, Reply, Request, Said, Token, read, write};
use orrery_engine::time::TtlClock;
use orrery_engine::{Config, ConnId, Effects, Engine, Input, Origin, Seed};

use crate::world::clock::HostClock;

const NAMES: Names<'_> = Names { lock: b"{lock}", counter: b"{lock}:count" };
const CONN: ConnId = ConnId(1);

/// A server as the algorithm imagines it: one lock and its counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdealServer {
    /// Who has the lock, and until when, in microseconds.
    pub key: Option<(Token, u64)>,
    /// The last number.
    pub counter: u64,
}

impl IdealServer {
    /// Does what it is asked for.
    pub fn carry_out(&mut self, now_us: u64, request: Request) -> Reply {
        self.key = self.key.filter(|&(_, until)| now_us < until);
        let has = |token: Token| self.key.is_some_and(|(own, _)| own == token);
        let until = |ttl_ms: u64| now_us + ttl_ms * 1000;
        let is_done = match request {
            Request::Acquire { token, ttl_ms, counter } => {
                let is_free = self.key.is_none();
                if is_free {
                    self.key = Some((token, until(ttl_ms)));
                    self.counter += u64::from(counter == CounterUse::Increment);
                }
                is_free
            }
            Request::Extend { token, ttl_ms, recreates } => {
                let may = has(token) || recreates && self.key.is_none();
                if may {
                    self.key = Some((token, until(ttl_ms)));
                }
                may
            }
            Request::Commit { token, number } => {
                let may = has(token);
                if may {
                    self.counter = self.counter.max(number);
                }
                may
            }
            Request::Release { token } => {
                let may = token.map_or_else(|| self.key.is_some(), has);
                if may {
                    self.key = None;
                }
                may
            }
        };
        if is_done { Reply::Done { counter: self.counter } } else { Reply::Refused }
    }
}

/// An engine with one connection.
pub(super) struct Process {
    engine: Engine,
    effects: Effects,
    out: Vec<u8>,
}

impl Process {
    pub(super) fn new(ttl_clock: TtlClock, seed: u64, at_ns: u64, clock: &HostClock) -> Self {
        let config = Config { ttl_clock, ..Config::default() };
        let now = clock.now(at_ns);
        let mut engine = Engine::new(config, Seed(seed), now);
        let mut effects = Effects::new();
        let origin = Origin::Unix { path: "lab".into() };
        engine.step(now, Input::Opened { conn: CONN, origin }, &mut effects);
        Self { engine, effects, out: Vec::new() }
    }

    /// What it replies to one command.
    pub(super) fn ask(&mut self, at_ns: u64, clock: &HostClock, command: &[u8]) -> &[u8] {
        let mut bytes = BytesMut::from(command);
        let input = Input::Received { conn: CONN, bytes: &mut bytes };
        self.engine.step(clock.now(at_ns), input, &mut self.effects);
        self.effects.drain().for_each(drop);
        self.out.clear();
        self.engine.take_output(CONN, &mut self.out);
        let sent = Input::Sent { conn: CONN, len: self.out.len() };
        self.engine.step(clock.now(at_ns), sent, &mut self.effects);
        &self.out
    }
}

enum Kind {
    Ideal(IdealServer),
    Engine { process: Box<Process>, ttl_clock: TtlClock },
}

/// A lock server on a host of its own.
pub struct LockServer {
    kind: Kind,
    clock: HostClock,
    seed: u64,
    /// Nothing reaches it.
    pub is_cut: bool,
}

impl LockServer {
    /// An ideal one.
    #[must_use]
    pub fn ideal() -> Self {
        let clock = HostClock::new(0, 0, 0);
        Self { kind: Kind::Ideal(IdealServer::default()), clock, seed: 0, is_cut: false }
    }

    /// A real engine whose keys go by this clock.
    #[must_use]
    pub fn engine(ttl_clock: TtlClock, seed: u64, wall_ns: i64) -> Self {
        let clock = HostClock::new(1_000_000_000, wall_ns, 0);
        let process = Box::new(Process::new(ttl_clock, seed, 0, &clock));
        Self { kind: Kind::Engine { process, ttl_clock }, clock, seed, is_cut: false }
    }

    /// The ideal server, to be looked at and changed.
    ///
    /// # Panics
    /// If it is a real one.
    pub fn as_ideal(&mut self) -> &mut IdealServer {
        match &mut self.kind {
            Kind::Ideal(server) => server,
            Kind::Engine { .. } => panic!("it is an engine"),
        }
    }

    /// Does what it is asked for.
    ///
    /// # Panics
    /// If an engine says what it must not.
    pub fn carry_out(&mut self, at_ns: u64, request: Request) -> Reply {
        match &mut self.kind {
            Kind::Ideal(server) => server.carry_out(at_ns / 1000, request),
            Kind::Engine { process, .. } => {
                let mut command = Vec::new();
                write(&request, NAMES, Dialect::Conditions, &mut command);
                let said = process.ask(at_ns, &self.clock, &command);
                match read(&request, said) {
                    Said::Reply(reply, len) if len == said.len() => reply,
                    _ => panic!("{request:?} was answered with {}", said.escape_ascii()),
                }
            }
        }
    }

    /// Somebody sets the clock of its host.
    pub fn step_wall(&mut self, at_ns: u64, by_ns: i64) {
        self.clock.step_wall(at_ns, by_ns);
    }

    /// It dies and comes back at once, and has kept nothing.
    pub fn forget(&mut self, at_ns: u64) {
        self.seed += 1;
        match &mut self.kind {
            Kind::Ideal(server) => *server = IdealServer::default(),
            Kind::Engine { process, ttl_clock } => {
                **process = Process::new(*ttl_clock, self.seed, at_ns, &self.clock);
            }
        }
    }
}
