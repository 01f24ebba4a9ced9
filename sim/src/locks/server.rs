//! A lock server: a real engine with the clocks of its host, or an ideal one.
//!
//! Invariant: both do the same with every request while no clock is set, but that a key of an
//! engine is there up to the end of its last millisecond.

use bytes::BytesMut;
use orrery_engine::lock::{
    CounterUse, Dialect, Manner, Names, Replicas, Reply, Request, Said, Token, read, write,
};
use orrery_engine::time::TtlClock;
use orrery_engine::{Config, ConnId, Effects, Engine, Input, Now, Origin, Seed};

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
                return self.grant(token, until(ttl_ms), counter);
            }
            Request::AcquireUntil { token, until_ms, counter } => {
                let until = until_ms.map_or(u64::MAX, |until_ms| until_ms.saturating_mul(1000));
                return self.grant(token, until, counter);
            }
            Request::Limit { ttl_ms } => {
                self.key = self.key.map(|(token, _)| (token, until(ttl_ms)));
                self.key.is_some()
            }
            Request::Look { token } => has(token),
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
        if is_done { Reply::Done { counter: self.counter } } else { Reply::Refused { counter: 0 } }
    }

    /// Gives the key to who asks for it, if it is free.
    fn grant(&mut self, token: Token, until: u64, counter: CounterUse) -> Reply {
        if self.key.is_some() {
            let tells = matches!(counter, CounterUse::Read | CounterUse::Propose(_));
            return Reply::Refused { counter: if tells { self.counter } else { 0 } };
        }
        self.key = Some((token, until));
        let before = self.counter;
        match counter {
            CounterUse::Ignore | CounterUse::Read => {}
            CounterUse::Increment => self.counter += 1,
            CounterUse::Propose(number) => {
                self.counter = self.counter.max(number);
                return Reply::Done { counter: before };
            }
        }
        Reply::Done { counter: self.counter }
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

/// An end that is a time of day becomes one by the clock that only goes on, as an engine does it.
fn by_mono(request: Request, now: Now) -> Request {
    match request {
        Request::AcquireUntil { token, until_ms: Some(until_ms), counter } => {
            let ttl_ms = until_ms.saturating_sub(now.wall.0 / 1000);
            Request::Acquire { token, ttl_ms, counter }
        }
        _ => request,
    }
}

enum Kind {
    Ideal { server: IdealServer, by_wall: bool },
    Engine { process: Box<Process>, ttl_clock: TtlClock },
}

/// A lock server on a host of its own.
pub struct LockServer {
    kind: Kind,
    clock: HostClock,
    seed: u64,
    /// Nothing reaches it.
    pub is_cut: bool,
    /// How many replicas say at once that they have what it has. They are nothing but a number:
    /// none takes its place.
    pub replicas: u16,
    /// Nothing reaches it before then, in microseconds of true time.
    pub(super) stopped_until_us: u64,
    /// It sets no keys before then.
    pub(super) full_until_us: u64,
    /// It sets no keys before its keys' clock says this, in microseconds.
    grace_until_us: Option<u64>,
}

impl LockServer {
    /// An ideal one whose keys go by a clock that only goes on, or by the time of day.
    #[must_use]
    pub fn ideal(by_wall: bool, wall_ns: i64) -> Self {
        let kind = Kind::Ideal { server: IdealServer::default(), by_wall };
        Self::new(kind, HostClock::new(0, wall_ns, 0), 0)
    }

    /// A real engine whose keys go by this clock.
    #[must_use]
    pub fn engine(ttl_clock: TtlClock, seed: u64, wall_ns: i64) -> Self {
        let clock = HostClock::new(1_000_000_000, wall_ns, 0);
        let process = Box::new(Process::new(ttl_clock, seed, 0, &clock));
        Self::new(Kind::Engine { process, ttl_clock }, clock, seed)
    }

    fn new(kind: Kind, clock: HostClock, seed: u64) -> Self {
        Self {
            kind,
            clock,
            seed,
            is_cut: false,
            replicas: 0,
            stopped_until_us: 0,
            full_until_us: 0,
            grace_until_us: None,
        }
    }

    /// Whether the clock by which its keys go can be set.
    pub(super) fn goes_by_wall(&self) -> bool {
        match self.kind {
            Kind::Ideal { by_wall, .. } => by_wall,
            Kind::Engine { ttl_clock, .. } => ttl_clock == TtlClock::Wall,
        }
    }

    /// What the clock by which its keys go says, in microseconds.
    fn key_time_us(&self, at_ns: u64) -> u64 {
        let now = self.clock.now(at_ns);
        if self.goes_by_wall() { now.wall.0 } else { now.mono.0 }
    }

    /// The ideal server, to be looked at and changed.
    ///
    /// # Panics
    /// If it is a real one.
    pub fn as_ideal(&mut self) -> &mut IdealServer {
        match &mut self.kind {
            Kind::Ideal { server, .. } => server,
            Kind::Engine { .. } => panic!("it is an engine"),
        }
    }

    /// Does what it is asked for.
    ///
    /// # Panics
    /// If an engine says what it must not.
    pub fn carry_out(&mut self, at_ns: u64, request: Request) -> Reply {
        let sets = matches!(request, Request::Acquire { .. } | Request::AcquireUntil { .. });
        if sets && self.refuses_keys(at_ns) {
            return Reply::Failed;
        }
        let key_time_us = self.key_time_us(at_ns);
        let now = self.clock.now(at_ns);
        match &mut self.kind {
            Kind::Ideal { server, by_wall } => {
                let request = if *by_wall { request } else { by_mono(request, now) };
                server.carry_out(key_time_us, request)
            }
            Kind::Engine { process, .. } => {
                let mut command = Vec::new();
                let manner = Manner::plain(Dialect::Conditions);
                write(&request, NAMES, manner, &mut command);
                let said = process.ask(at_ns, &self.clock, &command);
                match read(&request, manner, said) {
                    Said::Reply(reply, len) if len == said.len() => reply,
                    _ => panic!("{request:?} was answered with {}", said.escape_ascii()),
                }
            }
        }
    }

    /// How long it waits for replicas after something that it did, in vain; none: enough have it.
    pub(super) fn waits_in_vain_us(
        &self,
        request: &Request,
        replicas: Option<Replicas>,
    ) -> Option<u64> {
        let Replicas { needed, timeout_ms, none_will_do } = replicas?;
        let is_enough = self.replicas >= needed || none_will_do && self.replicas == 0;
        (request.is_to_last() && !is_enough).then_some(timeout_ms * 1000)
    }

    fn refuses_keys(&mut self, at_ns: u64) -> bool {
        let key_time_us = self.key_time_us(at_ns);
        self.grace_until_us = self.grace_until_us.filter(|&until| key_time_us < until);
        self.grace_until_us.is_some() || at_ns < self.full_until_us * 1000
    }

    /// It loses everything, and grants nothing until the clock of its keys says that so much time
    /// has passed.
    pub(super) fn forget_with_grace(&mut self, at_ns: u64, for_us: u64) {
        self.forget(at_ns);
        self.grace_until_us = Some(self.key_time_us(at_ns) + for_us);
    }

    /// It loses the lock's key: somebody deletes it, or it is evicted.
    pub(super) fn delete(&mut self, at_ns: u64) {
        self.carry_out(at_ns, Request::Release { token: None });
    }

    /// The clocks of its host go faster or slower.
    pub(super) fn add_rate(&mut self, at_ns: u64, by_ppm: i64) {
        self.clock.add_rate(at_ns, by_ppm);
    }

    /// What its counter says.
    pub(super) fn counter(&mut self, at_ns: u64) -> u64 {
        match &mut self.kind {
            Kind::Ideal { server, .. } => server.counter,
            Kind::Engine { process, .. } => {
                let said = process.ask(at_ns, &self.clock, b"GET {lock}:count\r\n");
                let digits = str::from_utf8(said).ok().and_then(|said| said.lines().nth(1));
                digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
            }
        }
    }

    /// The end of a key, in microseconds of true time, that its host's time of day gives it.
    pub(super) fn end_us(&self, at_ns: u64, until_ms: Option<u64>) -> u64 {
        let Some(until_ms) = until_ms else { return u64::MAX / 2 };
        let left_ms = until_ms.saturating_sub(self.clock.now(at_ns).wall.0 / 1000);
        at_ns / 1000 + self.true_us(at_ns, left_ms.saturating_mul(1000))
    }

    /// How much true time, in microseconds, its keys' clock takes for so much.
    pub(super) fn true_us(&self, at_ns: u64, for_us: u64) -> u64 {
        let wanted_ns = self.clock.mono_ns(at_ns) + for_us * 1000;
        let then_ns = self.clock.when_mono(wanted_ns, at_ns).unwrap_or(u64::MAX / 2);
        (then_ns - at_ns) / 1000
    }

    /// Somebody sets the clock of its host.
    pub fn step_wall(&mut self, at_ns: u64, by_ns: i64) {
        self.clock.step_wall(at_ns, by_ns);
    }

    /// It dies and comes back at once, and has kept nothing.
    pub fn forget(&mut self, at_ns: u64) {
        self.seed += 1;
        match &mut self.kind {
            Kind::Ideal { server, .. } => *server = IdealServer::default(),
            Kind::Engine { process, ttl_clock } => {
                **process = Process::new(*ttl_clock, self.seed, at_ns, &self.clock);
            }
        }
    }
}
