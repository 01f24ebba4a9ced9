//! Plays recorded events into an engine and compares its output.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use orrery_engine::record::{BlockHeader, Capacity, Event, Recorded, Start, roll};
use orrery_engine::{Config, ConnId, Effects, Engine, Input, Instant, Now, Stopwatch};
use rustc_hash::FxHashMap;

/// The step that is being made, for whoever reports a panic of the engine.
static STEP: AtomicU64 = AtomicU64::new(0);

/// The step that is being made or was made last in this process.
#[must_use]
pub fn step_now() -> u64 {
    STEP.load(Ordering::Relaxed)
}

/// Why an event could not be played.
#[derive(Debug)]
pub enum Trouble {
    /// No server does this.
    Nonsense(&'static str),
    /// Something else came out.
    Differs(Box<Difference>),
}

/// Where a replay was not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was different.
    pub what: String,
    /// Steps up to and with the one that showed it.
    pub step: u64,
    /// The clocks then.
    pub now: Now,
    /// Whose output it was.
    pub conn: ConnId,
    /// What that client had sent last, at most so much of it as a line shows.
    pub request: Vec<u8>,
    /// What came out in the replay, likewise.
    pub reply: Vec<u8>,
}

/// How much of a request and of a reply is kept to show.
const SHOWN_BYTES_MAX: usize = 400;

/// An engine under replay.
pub struct Player {
    engine: Engine,
    fx: Effects,
    /// What each open connection has sent and the engine has left.
    inputs: FxHashMap<ConnId, BytesMut>,
    /// What output is taken into; its capacity is part of what is replayed.
    output: Vec<u8>,
    /// Output that is taken behind something.
    behind: Vec<u8>,
    now: Now,
    digest: u64,
    steps: u64,
    outputs: u64,
    output_bytes: u64,
    /// The first bytes of what was received last, and from whom.
    last: (ConnId, Vec<u8>),
    reply: Vec<u8>,
}

impl Player {
    /// An engine like the one that was recorded.
    pub fn new(start: &Start) -> Result<Self, String> {
        let mut config = Config::default();
        for (name, words) in &start.directives {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            config.set(name, &words).map_err(|why| format!("its parameter {name}: {why}"))?;
        }
        let mut engine = Engine::new(config, start.seed, start.now);
        engine.set_facts(start.facts.clone());
        if let Some(secret) = start.secret {
            engine.set_secret(secret);
        }
        if engine.config().has_users() {
            engine.load_users(start.users.as_deref()).map_err(|why| format!("its users: {why}"))?;
        }
        let mut fx = Effects::new();
        fx.stopwatch = Stopwatch::recorded();
        Ok(Self {
            engine,
            fx,
            inputs: FxHashMap::default(),
            output: Vec::new(),
            behind: Vec::new(),
            now: start.now,
            digest: 0,
            steps: 0,
            outputs: 0,
            output_bytes: 0,
            last: (ConnId(0), Vec::new()),
            reply: Vec::new(),
        })
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The clocks of the last step.
    pub fn now(&self) -> Now {
        self.now
    }

    /// The hash of all output so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How often output was taken, and how much.
    pub fn outputs(&self) -> (u64, u64) {
        (self.outputs, self.output_bytes)
    }

    /// What a connection has sent and the engine has left.
    pub(super) fn left(&self, conn: ConnId) -> &[u8] {
        self.inputs.get(&conn).map_or(&[], |left| left)
    }

    /// Whether a block can follow.
    pub(super) fn may_follow(&self, header: &BlockHeader) -> Result<(), &'static str> {
        if header.now != self.now {
            return Err("the clocks jump between two blocks");
        }
        Ok(())
    }

    /// What the stopwatch will read in the step that comes.
    pub(super) fn expect(&mut self, readings: &[Instant]) {
        self.fx.stopwatch.expect(readings.iter().copied());
    }

    /// Plays one event.
    pub fn play(&mut self, event: Event<'_>) -> Result<(), Trouble> {
        match event {
            Event::Step { now, input } => self.step(now, input).map_err(Trouble::Nonsense),
            Event::Elapsed { elapsed, .. } => {
                self.engine.note_elapsed(elapsed);
                Ok(())
            }
            Event::Taken { conn, capacity, len, check } => self.take(conn, capacity, len, check),
        }
    }

    /// What is different, with what is known about it.
    pub(super) fn difference(&self, what: &str) -> Difference {
        Difference {
            what: what.to_owned(),
            step: self.steps,
            now: self.now,
            conn: self.last.0,
            request: self.last.1.clone(),
            reply: self.reply.clone(),
        }
    }

    pub(super) fn step(&mut self, now: Now, input: Recorded<'_>) -> Result<(), &'static str> {
        if now.mono < self.now.mono {
            return Err("the clock goes back");
        }
        self.now = now;
        self.steps += 1;
        STEP.store(self.steps, Ordering::Relaxed);
        match input {
            Recorded::Received { conn, fresh } => self.receive(conn, fresh),
            Recorded::Sent { conn, len } => self.turn(Input::Sent { conn, len }),
            Recorded::Opened { conn, origin } => {
                if self.inputs.insert(conn, BytesMut::new()).is_some() {
                    return Err("a connection is opened twice");
                }
                self.turn(Input::Opened { conn, origin });
            }
            Recorded::Closed { conn } => {
                self.inputs.remove(&conn);
                self.turn(Input::Closed { conn });
            }
            Recorded::Done { conn, outcome } => self.turn(Input::Done { conn, outcome }),
            Recorded::Disk { ticket, result } => self.turn(Input::Disk { ticket, result }),
            Recorded::Start => self.turn(Input::Start),
            Recorded::Terminate { by_interrupt } => self.turn(Input::Terminate { by_interrupt }),
            Recorded::Vitals(vitals) => self.turn(Input::Vitals(vitals)),
            Recorded::Tick => self.turn(Input::Tick),
        }
        Ok(())
    }

    fn receive(&mut self, conn: ConnId, fresh: &[u8]) {
        if !fresh.is_empty() {
            self.last.0 = conn;
            self.last.1.clear();
            self.last.1.extend_from_slice(&fresh[..fresh.len().min(SHOWN_BYTES_MAX)]);
        }
        // What is left goes with the connection; most leave nothing.
        let mut bytes = self.inputs.get_mut(&conn).map(core::mem::take).unwrap_or_default();
        bytes.extend_from_slice(fresh);
        self.turn(Input::Received { conn, bytes: &mut bytes });
        if let Some(left) = self.inputs.get_mut(&conn) {
            *left = bytes;
        }
    }

    fn turn(&mut self, input: Input<'_>) {
        self.engine.step(self.now, input, &mut self.fx);
        // What a server did about them is in the recording.
        self.fx.drain().for_each(drop);
        self.fx.stopwatch.forget();
    }

    fn take(
        &mut self,
        conn: ConnId,
        capacity: Capacity,
        len: usize,
        check: u16,
    ) -> Result<(), Trouble> {
        let output = match capacity {
            Capacity::InUse => {
                self.behind.clear();
                self.behind.push(0);
                self.engine.take_output(conn, &mut self.behind);
                &self.behind[1..]
            }
            Capacity::Same | Capacity::Bytes(_) => {
                self.output.clear();
                if let Capacity::Bytes(bytes) = capacity
                    && bytes != self.output.capacity()
                {
                    self.output = Vec::new();
                    let room = self.output.try_reserve_exact(bytes);
                    room.map_err(|_| Trouble::Nonsense("a buffer is larger than memory"))?;
                }
                self.engine.take_output(conn, &mut self.output);
                &self.output[..]
            }
        };
        self.digest = roll(self.digest, conn, output);
        self.outputs += 1;
        self.output_bytes += output.len() as u64;
        if output.len() == len && self.digest as u16 == check {
            return Ok(());
        }
        self.reply = output[..output.len().min(SHOWN_BYTES_MAX)].to_vec();
        let what = if output.len() == len {
            format!("the {len} bytes for a client are others")
        } else {
            format!("{} bytes for a client where {len} were recorded", output.len())
        };
        if self.last.0 != conn {
            self.last = (conn, Vec::new());
        }
        Err(Trouble::Differs(Box::new(self.difference(&what))))
    }
}
