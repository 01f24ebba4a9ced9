//! Clients over sockets: what the world's clients do, for servers that tokio code talks to.
//!
//! The black-box runs use it over real sockets, the turmoil runs over simulated ones. Commands,
//! values, replies and the journal are those of the world; only waiting differs.
//!
//! Invariants: as in the world, a client has at most one batch of commands open, a command is in
//! the journal before its bytes leave, and a client never learns more than its connection told it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::chance::Chance;
use crate::errands::{Errands, Line, Menu};
use crate::journal::Journal;
use crate::setup::{Knobs, Setup};

/// Most bytes of replies that a client keeps; no reply to its commands comes near it.
const INBOX_BYTES_MAX: usize = 16 << 20;
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
    menu: Menu,
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
        let chance = setup.chance();
        Self {
            chance,
            menu: Menu::new(setup, Knobs::draw(chance)).with_one_connection(),
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
        let sets_a_second = commands_a_second * 2 / 5 / self.menu.workloads.len().max(1) as u64;
        let sets_in_ttl = sets_a_second * PACED_TTL_MS.1 / 2 / 1_000;
        self.menu.knobs.think_ns = think_ns;
        (self.menu.knobs.ttl_least_ms, self.menu.knobs.ttl_most_ms) = PACED_TTL_MS;
        self.menu.timed_keys = sets_in_ttl.clamp(1, u64::from(TIMED_KEYS_MAX)) as u16;
        self
    }

    /// Makes clients wait for at least so long before they connect again.
    #[must_use]
    pub fn with_backoff_of_at_least(mut self, backoff: Duration) -> Self {
        let backoff_ns = u64::try_from(backoff.as_nanos()).unwrap_or(u64::MAX / 8);
        self.menu.knobs.backoff_ns = self.menu.knobs.backoff_ns.max(2 * backoff_ns);
        self
    }

    /// Leaves out SET IFEQ, which servers before Redis 8.4 do not have.
    #[must_use]
    pub fn without_ifeq(mut self) -> Self {
        self.menu.has_ifeq = false;
        self
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
    errands: Errands,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// It is in the last round.
    closing: bool,
}

impl Client {
    /// Client number `index`; a bulk client writes and reads many keys in pipelines.
    #[must_use]
    pub fn new(shared: Rc<Shared>, index: u16, bulk: bool) -> Self {
        let errands = Errands::new(shared.chance, &shared.menu, index, bulk);
        Self { errands, inbox: Vec::new(), outbox: Vec::new(), closing: false, shared }
    }

    /// Works until the run ends, or until it has seen everything after the faults.
    pub async fn run<W: Wire>(mut self, wire: Rc<W>) {
        let patience = Duration::from_nanos(self.shared.menu.knobs.patience_ns);
        while !self.shared.over.get() && self.errands.connects < CONNECTS_MAX {
            if self.errands.connects > 0 {
                self.back_off().await;
            }
            self.errands.choose_server(&self.shared.menu, self.shared.healed.get());
            let Ok(Ok(mut stream)) = timeout(patience, wire.connect(self.errands.server)).await
            else {
                continue;
            };
            // However the conversation ends, whatever is open stays unknown.
            let finished = self.converse(&*wire, &mut stream).await.unwrap_or(false);
            self.errands.give_up(&mut self.shared.journal.borrow_mut());
            self.inbox.clear();
            if finished {
                self.shared.unfinished.update(|left| left - 1);
                return;
            }
        }
    }

    async fn back_off(&self) {
        let backoff_ns = self.shared.menu.knobs.backoff_ns;
        let mut draw = self.errands.leaving();
        sleep(Duration::from_nanos(draw.between(backoff_ns / 2, backoff_ns))).await;
    }

    /// Talks over one connection; true when it has seen all that it wanted to see.
    async fn converse<W: Wire>(&mut self, wire: &W, stream: &mut W::Stream) -> io::Result<bool> {
        loop {
            if self.shared.over.get() {
                return Ok(false);
            }
            self.think().await;
            if self.shared.healed.get() {
                if !self.errands.is_home() {
                    return Ok(false);
                }
                if !self.closing {
                    self.closing = true;
                    self.errands.begin_last_round();
                }
                if self.errands.has_read_all(&self.shared.menu) {
                    return Ok(true);
                }
            }
            let patience = Duration::from_nanos(self.shared.menu.knobs.patience_ns);
            let deadline = Instant::now() + patience;
            self.write_down(wire.now_ns());
            timeout_at(deadline, stream.write_all(&self.outbox)).await??;
            while !self.errands.has_nothing_open() {
                let read = timeout_at(deadline, stream.read_buf(&mut self.inbox)).await??;
                if read == 0 || self.inbox.len() > INBOX_BYTES_MAX {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.read(wire.now_ns())?;
            }
        }
    }

    async fn think(&self) {
        let wait_ns = self.errands.think_ns(&self.shared.menu, self.shared.healed.get());
        if wait_ns > 0 {
            sleep(Duration::from_nanos(wait_ns)).await;
        }
    }

    /// Puts the next batch into the journal and the outbox.
    fn write_down(&mut self, now_ns: u64) {
        let now = (now_ns, self.shared.epoch_us + now_ns / 1_000);
        let Shared { menu, journal, .. } = &*self.shared;
        let journal = &mut journal.borrow_mut();
        self.errands.write_batch(menu, journal, &mut self.outbox, now, self.closing);
    }

    /// Takes the answers that are complete.
    fn read(&mut self, now_ns: u64) -> io::Result<()> {
        let now = (now_ns, self.shared.epoch_us + now_ns / 1_000);
        let Shared { menu, journal, .. } = &*self.shared;
        let (journal, closing) = (&mut journal.borrow_mut(), self.closing);
        let read =
            self.errands.read(menu, journal, (Line::Main, &mut self.inbox), now, |_| closing);
        // An answer to nothing: the connection makes no sense any more.
        read.map_err(|_| io::ErrorKind::InvalidData.into())
    }
}
