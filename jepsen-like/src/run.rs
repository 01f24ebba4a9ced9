//! One run: a server, clients, a nemesis, and what the checkers say.
//!
//! Invariant: times in the journal come from one monotonic clock of this process.

use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use orrery_sim::journal::Journal;
use orrery_sim::plan::Plan;
use orrery_sim::setup::Setup;
use orrery_sim::sockets::{Client, Shared, Wire};
use orrery_sim::workload::Workload;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{interval, sleep};

use crate::nemesis::{self, Deeds};
use crate::process::Process;
use crate::report::{Summary, summarise};
use crate::target::Target;

/// How long clients may take after the faults to read every key once more.
const LIVENESS: Duration = Duration::from_secs(15);
/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed, clients, seconds, workloads and faults, as in the simulator; one server.
    pub setup: Setup,
    /// How long clients think between two commands, on average.
    pub think: Duration,
    /// By how much the server may misjudge a span of time.
    pub clock_error_max_ms: u64,
    /// Where histories and the server's log go. It exists.
    pub directory: PathBuf,
}

/// Why there is no summary.
#[derive(Debug)]
pub enum Stop {
    /// Somebody wants the run to end.
    Interrupted,
    /// The server cannot be started, or something else of this machine does not work.
    Machine(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Machine(error)
    }
}

/// The time since the run began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn now_ns(self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Time since it began.
    pub elapsed: Duration,
    /// How long the phase of faults is.
    pub safety: Duration,
    /// Operations that were answered.
    pub answered: u64,
    /// Operations of unknown outcome.
    pub unknown: u64,
}

/// Everything that was recorded.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) journal: Journal,
    pub(crate) deeds: Deeds,
    /// Clients that did not see all that they wanted to see after the faults.
    pub(crate) starved: usize,
    /// The length of the phase of faults and of the one after it.
    pub(crate) phases: [Duration; 2],
    /// What is wrong with the server's process, if something is.
    pub(crate) complaint: Option<String>,
}

struct Loopback {
    address: SocketAddrV4,
    clock: Clock,
}

impl Wire for Loopback {
    type Stream = TcpStream;

    async fn connect(&self, _server: u16) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }
}

/// Runs and judges. `progress` is called a few times a second.
///
/// # Errors
/// When the run could not be carried out; whatever the server does is in the summary.
pub fn run(
    target: &Target,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, Stop> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, conduct(target, options, progress))
}

async fn conduct(
    target: &Target,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, Stop> {
    // From here on a signal ends the run in order; before, there is no server to leave behind.
    let mut signals = Signals::catch()?;
    let mut process = Process::start(target, &options.directory)?;
    // A server that has no IFEQ refuses it; one that has it finds no such key.
    let has_ifeq = process.ask(&["SET", "orrery-probe", "1", "IFEQ", "2"])?.starts_with('$');
    let record = record(&mut process, options, has_ifeq, &mut signals, progress).await?;
    drop(process);
    let (target, options) = (target.clone(), options.clone());
    let (told, verdict) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody listens any more after an interruption.
        let _ = told.send(summarise(&target, &options, record));
    });
    tokio::select! {
        summary = verdict => match summary {
            Ok(summary) => Ok(summary?),
            Err(_) => Err(Stop::Machine(io::Error::other("the checker panicked"))),
        },
        () = signals.next() => Err(Stop::Interrupted),
    }
}

/// Clients, faults, and what was seen of them.
async fn record(
    process: &mut Process,
    options: &Options,
    has_ifeq: bool,
    signals: &mut Signals,
    progress: &mut dyn FnMut(Progress),
) -> Result<Record, Stop> {
    let setup = &options.setup;
    let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let epoch_us = u64::try_from(epoch.as_micros()).unwrap_or(u64::MAX / 2);
    let shared = Shared::new(setup, epoch_us).with_think_time(options.think, setup.clients);
    let shared = Rc::new(if has_ifeq { shared } else { shared.without_ifeq() });
    let clock = Clock { start: Instant::now() };
    let wire = Rc::new(Loopback { address: process.address(), clock });
    let mut clients = start_clients(setup, &shared, &wire);
    let safety = Duration::from_secs(setup.seconds);
    let mut course = Course { shared: &shared, clock, safety, signals, progress };
    let plan = setup.plan();
    let deeds = tokio::select! {
        deeds = under_faults(process, &plan, clock, safety) => deeds,
        stop = course.watch() => return Err(stop),
    };
    let healed = Duration::from_nanos(clock.now_ns());
    shared.heal();
    tokio::select! {
        () = all_finish(&shared) => {}
        stop = course.watch() => return Err(stop),
    }
    let liveness = Duration::from_nanos(clock.now_ns()) - healed;
    shared.end();
    clients.shutdown().await;
    let (deeds, mut complaint) = match deeds {
        Ok(deeds) => (deeds, None),
        Err(error) => (Deeds::default(), Some(error.to_string())),
    };
    if let (None, Some(status)) = (&complaint, process.ended()) {
        complaint = Some(format!("the server ended by itself: {status}"));
    }
    Ok(Record {
        journal: shared.take_journal(),
        deeds,
        starved: shared.unfinished(),
        phases: [healed, liveness],
        complaint,
    })
}

fn start_clients(setup: &Setup, shared: &Rc<Shared>, wire: &Rc<Loopback>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for index in 0..setup.clients as u16 {
        let only_bulk = setup.workloads == [Workload::Bulk];
        let bulk = only_bulk || (index == 0 && setup.workloads.contains(&Workload::Bulk));
        let client = Client::new(Rc::clone(shared), index, bulk);
        clients.spawn_local(client.run(Rc::clone(wire)));
    }
    clients
}

async fn under_faults(
    process: &mut Process,
    plan: &Plan,
    clock: Clock,
    safety: Duration,
) -> io::Result<Deeds> {
    let deeds = nemesis::run(process, plan, clock).await;
    let left = safety.saturating_sub(Duration::from_nanos(clock.now_ns()));
    sleep(left).await;
    deeds
}

async fn all_finish(shared: &Shared) {
    let deadline = Instant::now() + LIVENESS;
    while shared.unfinished() > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
}

/// What tells this process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What is told while the run goes on.
struct Course<'a> {
    shared: &'a Shared,
    clock: Clock,
    safety: Duration,
    signals: &'a mut Signals,
    progress: &'a mut dyn FnMut(Progress),
}

impl Course<'_> {
    /// Tells the progress until somebody wants the run to end.
    async fn watch(&mut self) -> Stop {
        let mut ticks = interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                () = self.signals.next() => return Stop::Interrupted,
                _ = ticks.tick() => {
                    let (_, answered, unknown) = self.shared.counts();
                    let elapsed = Duration::from_nanos(self.clock.now_ns());
                    let safety = self.safety;
                    (self.progress)(Progress { elapsed, safety, answered, unknown });
                }
            }
        }
    }
}
