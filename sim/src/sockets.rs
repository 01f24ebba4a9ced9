//! Clients over sockets: what the world's clients do, for servers that tokio code talks to.
//!
//! The black-box runs use it over real sockets, the turmoil runs over simulated ones. Commands,
//! values, replies and the journal are those of the world; only waiting differs.
//!
//! Invariants: as in the world, a client has at most one batch of commands open, a command is in
//! the journal before its bytes leave, and a client never learns more than its connection told it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::chance::{Chance, Draw, Key, Stream};
use crate::journal::{Journal, NEVER_NS, Op, Seen};
use crate::setup::{Knobs, Setup};
use crate::workload::{Ask, KeyName, Values, Workload, parse_reply};

/// Most bytes of replies that a client keeps; no reply to its commands comes near it.
const INBOX_BYTES_MAX: usize = 16 << 20;
/// A bulk client that has written and read all its keys goes on this much slower.
const BULK_REST: u64 = 16;
/// So many bulk clients of one server have keys of their own; numbers of keys have sixteen bits.
const BULK_RANGES_MAX: u16 = 40;
/// Longest time that a client may be told to think.
const THINK_NS_MAX: u64 = 60_000_000_000;
/// What a command on this machine takes at least, to guess how many there will be.
const ROUND_TRIP_NS: u64 = 200_000;
/// Times to live where the pace is not the world's, in milliseconds.
const PACED_TTL_MS: (u64, u64) = (20, 2_000);
/// Most keys with a time to live.
const TIMED_KEYS_MAX: u16 = 2_000;
/// Most connections that a client may try in a run that never lets it connect.
const CONNECTS_MAX: u64 = 1_000_000;

/// How clients reach servers, and what time it is.
pub trait Wire: 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Connects to a server.
    fn connect(&self, server: u16) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Time since the run began, in nanoseconds; the same for all clients.
    fn now_ns(&self) -> u64;
}

/// What all clients of a run share.
#[derive(Debug)]
pub struct Shared {
    chance: Chance,
    knobs: Knobs,
    values: Values,
    workloads: Vec<Workload>,
    servers: u16,
    /// Keys with a time to live, on each server.
    timed_keys: u16,
    has_ifeq: bool,
    epoch_us: u64,
    journal: RefCell<Journal>,
    healed: Cell<bool>,
    over: Cell<bool>,
    unfinished: Cell<usize>,
}

impl Shared {
    /// For a run of this setup. `epoch_us` is the wall clock's time when the run began.
    #[must_use]
    pub fn new(setup: &Setup, epoch_us: u64) -> Self {
        let workloads = setup.workloads.iter().copied();
        let knobs = Knobs::draw(setup.chance());
        Self {
            chance: setup.chance(),
            timed_keys: knobs.keys,
            knobs,
            values: Values::new(setup.chance()),
            workloads: workloads.filter(|&workload| workload != Workload::Bulk).collect(),
            servers: setup.servers as u16,
            has_ifeq: true,
            epoch_us,
            journal: RefCell::default(),
            healed: Cell::new(false),
            over: Cell::new(false),
            unfinished: Cell::new(setup.clients),
        }
    }

    /// Makes clients think for about so long instead of what the seed says, and makes the number of
    /// keys with a time to live fit that pace: few would be written again before they expire.
    #[must_use]
    pub fn with_think_time(mut self, think: Duration, clients: usize) -> Self {
        let think_ns = u64::try_from(think.as_nanos()).unwrap_or(u64::MAX).min(THINK_NS_MAX);
        let commands_a_second = 1_000_000_000 * clients as u64 / (think_ns + ROUND_TRIP_NS);
        // Two of five commands on these keys set the time to live.
        let sets_a_second = commands_a_second * 2 / 5 / self.workloads.len().max(1) as u64;
        let sets_in_ttl = sets_a_second * PACED_TTL_MS.1 / 2 / 1_000;
        self.knobs.think_ns = think_ns;
        (self.knobs.ttl_least_ms, self.knobs.ttl_most_ms) = PACED_TTL_MS;
        self.timed_keys = sets_in_ttl.clamp(1, u64::from(TIMED_KEYS_MAX)) as u16;
        self
    }

    /// Makes clients wait for at least so long before they connect again.
    #[must_use]
    pub fn with_backoff_of_at_least(mut self, backoff: Duration) -> Self {
        let backoff_ns = u64::try_from(backoff.as_nanos()).unwrap_or(u64::MAX / 8);
        self.knobs.backoff_ns = self.knobs.backoff_ns.max(2 * backoff_ns);
        self
    }

    /// Leaves out SET IFEQ, which servers before Redis 8.4 do not have.
    #[must_use]
    pub fn without_ifeq(mut self) -> Self {
        self.has_ifeq = false;
        self
    }

    /// Keys of a workload, on each server.
    fn keys(&self, workload: Workload) -> u16 {
        match workload {
            Workload::Bulk => self.knobs.bulk_keys,
            Workload::Ttl => self.timed_keys,
            _ => self.knobs.keys,
        }
    }

    /// The key at this place among all that are not bulk.
    fn key_at(&self, mut place: u16) -> KeyName {
        let mut at = 0;
        while place >= self.keys(self.workloads[at]) && at + 1 < self.workloads.len() {
            place -= self.keys(self.workloads[at]);
            at += 1;
        }
        KeyName { workload: self.workloads[at], index: place }
    }

    /// The faults are over: everybody reads every key once more and stops.
    pub fn heal(&self) {
        self.healed.set(true);
    }

    /// Nobody sends anything more.
    pub fn end(&self) {
        self.over.set(true);
    }

    /// Clients that have not yet seen, after the faults, all that they wanted to see.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished.get()
    }

    /// What clients have seen so far: operations, answered, unknown.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        let journal = self.journal.borrow();
        (journal.ops.len() as u64, journal.answered, journal.unknown)
    }

    /// Takes the journal at the end of the run.
    #[must_use]
    pub fn take_journal(&self) -> Journal {
        self.journal.take()
    }
}

/// One client: a connection at a time, patience, and a place in the journal.
#[derive(Debug)]
pub struct Client {
    shared: Rc<Shared>,
    index: u16,
    server: u16,
    /// The server that it mostly uses, and reads in the end.
    home: u16,
    /// Values that it saw last, by key of the server that it talks to.
    seen: BTreeMap<KeyName, u64>,
    /// Places in the journal of the commands that it waits for.
    open: VecDeque<usize>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    batches: u64,
    connects: u64,
    commands: Key,
    thoughts: Key,
    connecting: Key,
    bulk: bool,
    /// The bulk client's next key; the next key of the last round of reads.
    next_key: u16,
    /// Where a bulk client's own range of keys begins: a write that is lost stays lost if nobody
    /// else writes the key.
    first_key: u16,
    /// How often a bulk client has written and read all its keys.
    rounds: u64,
    /// It is in the last round.
    closing: bool,
}

impl Client {
    /// Client number `index`; a bulk client writes and reads many keys in pipelines.
    #[must_use]
    pub fn new(shared: Rc<Shared>, index: u16, bulk: bool) -> Self {
        let (chance, who) = (shared.chance, u64::from(index));
        Self {
            index,
            server: index % shared.servers,
            home: index % shared.servers,
            seen: BTreeMap::new(),
            open: VecDeque::new(),
            inbox: Vec::new(),
            outbox: Vec::new(),
            batches: 0,
            connects: 0,
            commands: chance.key(Stream::Command, who),
            thoughts: chance.key(Stream::Think, who),
            connecting: chance.key(Stream::Connect, who),
            bulk: bulk || shared.workloads.is_empty(),
            next_key: 0,
            first_key: (index / shared.servers).min(BULK_RANGES_MAX) * shared.knobs.bulk_keys,
            rounds: 0,
            closing: false,
            shared,
        }
    }

    /// Works until the run ends, or until it has seen everything after the faults.
    pub async fn run<W: Wire>(mut self, wire: Rc<W>) {
        let patience = Duration::from_nanos(self.shared.knobs.patience_ns);
        while !self.shared.over.get() && self.connects < CONNECTS_MAX {
            if self.connects > 0 {
                self.back_off().await;
            }
            self.choose_server();
            let Ok(Ok(mut stream)) = timeout(patience, wire.connect(self.server)).await else {
                continue;
            };
            // However the conversation ends, whatever is open stays unknown.
            let finished = self.converse(&*wire, &mut stream).await.unwrap_or(false);
            for at in self.open.drain(..) {
                self.shared.journal.borrow_mut().give_up(at);
            }
            self.inbox.clear();
            if finished {
                self.shared.unfinished.update(|left| left - 1);
                return;
            }
        }
    }

    async fn back_off(&self) {
        let backoff_ns = self.shared.knobs.backoff_ns;
        let mut draw = self.connecting.at(self.connects << 16 | 0xffff);
        sleep(Duration::from_nanos(draw.between(backoff_ns / 2, backoff_ns))).await;
    }

    fn choose_server(&mut self) {
        let mut draw = self.connecting.at(self.connects);
        self.connects += 1;
        let strays = !self.bulk && !self.shared.healed.get() && draw.chance(1, 4);
        let server =
            if strays { draw.below(u64::from(self.shared.servers)) as u16 } else { self.home };
        if server != self.server {
            self.server = server;
            self.seen.clear();
        }
    }

    /// Talks over one connection; true when it has seen all that it wanted to see.
    async fn converse<W: Wire>(&mut self, wire: &W, stream: &mut W::Stream) -> io::Result<bool> {
        loop {
            if self.shared.over.get() {
                return Ok(false);
            }
            self.think().await;
            if self.shared.healed.get() {
                if self.server != self.home {
                    return Ok(false);
                }
                if !self.closing {
                    self.closing = true;
                    self.next_key = 0;
                }
                if self.next_key >= self.keys() {
                    return Ok(true);
                }
            }
            let patience = Duration::from_nanos(self.shared.knobs.patience_ns);
            let deadline = Instant::now() + patience;
            self.write_down(wire.now_ns());
            timeout_at(deadline, stream.write_all(&self.outbox)).await??;
            while !self.open.is_empty() {
                let read = timeout_at(deadline, stream.read_buf(&mut self.inbox)).await??;
                if read == 0 || self.inbox.len() > INBOX_BYTES_MAX {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.read(wire.now_ns())?;
            }
        }
    }

    async fn think(&self) {
        let mut draw = self.thoughts.at(self.batches);
        let Knobs { think_ns, hasty, .. } = self.shared.knobs;
        if self.shared.healed.get() || (!self.bulk && draw.chance(hasty, 16)) {
            return;
        }
        let mut wait_ns = draw.between(think_ns / 4, think_ns * 7 / 4);
        if self.bulk && self.rounds > 0 {
            wait_ns *= BULK_REST;
        }
        if wait_ns > 0 {
            sleep(Duration::from_nanos(wait_ns)).await;
        }
    }

    /// How many keys it can read on its server.
    fn keys(&self) -> u16 {
        match self.bulk {
            true => self.shared.keys(Workload::Bulk),
            false => self.shared.workloads.iter().map(|&workload| self.shared.keys(workload)).sum(),
        }
    }

    /// Puts the next batch into the journal and the outbox.
    fn write_down(&mut self, now_ns: u64) {
        self.outbox.clear();
        let mut draw = self.commands.at(self.batches);
        self.batches += 1;
        let round = if self.closing { self.keys() } else { self.keys() * 2 };
        let left = round.saturating_sub(self.next_key);
        let count = if self.bulk { self.shared.knobs.pipeline.min(left).max(1) } else { 1 };
        let shared = Rc::clone(&self.shared);
        let journal = &mut *shared.journal.borrow_mut();
        for slot in 0..count {
            let (key, ask) = self.next_command(journal.next_value(), &mut draw);
            self.open.push_back(journal.ops.len());
            ask.write(key, &shared.values, &mut self.outbox);
            journal.ops.push(Op {
                client: self.index,
                slot,
                server: self.server,
                key,
                ask,
                seen: Seen::Open,
                call_ns: now_ns,
                return_ns: NEVER_NS,
                call_local_us: shared.epoch_us + now_ns / 1_000,
                return_local_us: 0,
            });
        }
    }

    fn next_command(&mut self, value: u64, draw: &mut Draw) -> (KeyName, Ask) {
        let Shared { knobs, workloads, has_ifeq, .. } = &*self.shared;
        if self.bulk {
            // Rounds of writing every key, reading every key.
            let round = self.next_key / knobs.bulk_keys;
            let index = self.first_key + self.next_key % knobs.bulk_keys;
            self.next_key += 1;
            if !self.closing && self.next_key >= 2 * knobs.bulk_keys {
                self.next_key = 0;
                self.rounds += 1;
            }
            let reads = self.closing || round % 2 == 1;
            let ask = if reads { Ask::Get } else { Ask::Set { value } };
            return (KeyName { workload: Workload::Bulk, index }, ask);
        }
        if self.closing {
            return (self.shared.key_at(self.next_key), Ask::Get);
        }
        let workload = draw.pick(workloads);
        let index = draw.below(u64::from(self.shared.keys(workload))) as u16;
        let key = KeyName { workload, index };
        let known = if *has_ifeq { self.seen.get(&key).copied().unwrap_or(0) } else { 0 };
        (key, Ask::draw(draw, workload, value, known, knobs))
    }

    /// Takes the answers that are complete.
    fn read(&mut self, now_ns: u64) -> io::Result<()> {
        let journal = &mut *self.shared.journal.borrow_mut();
        let mut taken = 0;
        while let Some((said, len)) = parse_reply(&self.inbox[taken..]) {
            taken += len;
            // An answer to nothing: the connection makes no sense any more.
            let at = self.open.pop_front().ok_or(io::ErrorKind::InvalidData)?;
            let now = (now_ns, self.shared.epoch_us + now_ns / 1_000);
            let seen = journal.answer(at, said, &self.shared.values, now);
            let key = journal.ops[at].key;
            if let Seen::Value(value) = seen
                && key.workload == Workload::Registers
            {
                self.seen.insert(key, value);
            }
            if self.closing && !self.bulk {
                self.next_key += 1;
            }
        }
        self.inbox.drain(..taken);
        Ok(())
    }
}
