//! The real server code on turmoil's simulated network.
//!
//! This is the proof of the thin driver: sockets, tasks, timers and buffers of `orrery-server`
//! under faults, with the world's clients, workloads and checkers. Turmoil ticks through a
//! millisecond at a time and has no clocks of its own per host, so most evidence still comes from
//! the world.
//!
//! Invariant: a run is a function of its [`Setup`]. Turmoil's random numbers are seeded, its epoch
//! is fixed, and the server draws nothing by itself. Tokio's own random numbers only decide the
//! order of `select!` branches, which neither the server nor the clients use; `--twice` is the
//! check.

mod faults;
mod panics;
mod platform;

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use orrery_engine::Config;
use orrery_server::{Launch, serve};
use turmoil::net::TcpStream;
use turmoil::{Builder, Sim};

use crate::chance::{Stream, roll_bytes};
use crate::fault::FaultKind;
use crate::history::json_lines;
use crate::judge::server_history;
use crate::setup::{Knobs, Setup};
use crate::sockets::{Client, Shared, Wire};
use crate::trial::{self, Trial};
use crate::world::{Effects, Files, Outcome, Weather, bulk_clients};
use faults::Faults;

pub use platform::{Machine, TurmoilPlatform};

/// What faults turmoil can carry out.
pub const FAULTS: [FaultKind; 11] = [
    FaultKind::Kill,
    FaultKind::PowerLoss,
    FaultKind::ClockStep,
    FaultKind::ClockStrobe,
    FaultKind::PartitionOneWay,
    FaultKind::PartitionHalves,
    FaultKind::PartitionRing,
    FaultKind::PartitionBridge,
    FaultKind::Isolate,
    FaultKind::HalfOpen,
    FaultKind::Latency,
];

const PORT: u16 = 6379;
const TICK: Duration = Duration::from_millis(1);
/// When every simulation begins: some day in 2026.
const EPOCH_US: u64 = 1_790_000_000_000_000;
/// How long clients may take after the faults to read everything once more.
const LIVENESS: Duration = Duration::from_secs(60);
/// Turmoil panics when more connections than this wait to be accepted.
const TCP_CAPACITY: usize = 4_096;
/// Turmoil never gives a port back whose connection was refused.
const BACKOFF_LEAST: Duration = Duration::from_millis(20);

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// What clients saw, and what happened to servers. The digest is that of the histories.
    pub outcome: Outcome,
    /// The history of each server, as JSON lines.
    pub histories: Vec<Vec<u8>>,
    /// Why the simulation itself ended early, if it did.
    pub broken: Option<String>,
    /// The last lines of the servers' logs.
    pub logs: Vec<String>,
    /// CPU time that the simulation took.
    pub cpu_time: Duration,
}

/// How clients reach servers in turmoil.
struct TurmoilWire;

impl Wire for TurmoilWire {
    type Stream = TcpStream;

    async fn connect(&self, server: u16) -> std::io::Result<TcpStream> {
        TcpStream::connect((server_name(server).as_str(), PORT)).await
    }

    fn now_ns(&self) -> u64 {
        nanos(turmoil::sim_elapsed().unwrap_or_default())
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn server_name(server: u16) -> String {
    format!("server-{server}")
}

fn client_name(client: u16) -> String {
    format!("client-{client}")
}

/// The shortest and the longest time that a message takes.
fn latency(knobs: &Knobs) -> (Duration, Duration) {
    let Weather { base_ns, jitter_ns, .. } = knobs.weather;
    (Duration::from_nanos(base_ns), Duration::from_nanos(base_ns + jitter_ns) + TICK)
}

/// The configuration of a server in turmoil.
fn config(setup: &Setup, knobs: &Knobs) -> Config {
    Config {
        // Its clients are other hosts.
        protected_mode: false,
        ttl_clock: setup.ttl_clock,
        step_commands_max: knobs.step_commands_max,
        encodings: knobs.encodings(),
        planted: setup.planted,
        ..Config::default()
    }
}

/// Runs one simulation.
#[must_use]
pub fn run(setup: &Setup) -> Run {
    let start = trial::cpu_time();
    let knobs = Knobs::draw(setup.chance());
    let shared = Shared::new(setup, EPOCH_US).with_backoff_of_at_least(BACKOFF_LEAST);
    let shared = Rc::new(shared);
    let machines: Vec<Rc<Machine>> = (0..setup.servers).map(|_| Rc::default()).collect();
    let watch = panics::Watch::begin();
    let mut sim = build(setup, &knobs);
    start_hosts(&mut sim, setup, &config(setup, &knobs), &machines, &shared);
    let mut faults = Faults::new(setup, &knobs, &machines);
    let ended = advance(&mut sim, setup, &mut faults, &shared);
    let starved = shared.unfinished();
    let elapsed = sim.elapsed();
    // Dropping the hosts' tasks may still run code of theirs.
    drop(sim);
    let cpu_time = trial::cpu_time() - start;
    let broken = match (ended, watch.end()) {
        (_, Some(panic)) => Some(format!("a task panicked: {panic}")),
        (Err(error), None) => Some(error),
        (Ok(()), None) => None,
    };
    let mut outcome = Outcome {
        journal: shared.take_journal(),
        digest: setup.seed,
        events: nanos(elapsed) / nanos(TICK) * (setup.servers + setup.clients) as u64,
        steps: 0,
        simulated_ns: nanos(elapsed),
        fired: faults.fired,
        struck_nobody: [false; FaultKind::ALL.len()],
        deaths: faults.deaths,
        clock_error_ms: vec![clock_error_ms(&knobs); setup.servers],
        starved: (0..starved).map(|_| "a client".to_owned()).collect(),
        overfull: Vec::new(),
        files: Files::default(),
        effects: Effects::default(),
        log: Vec::new(),
    };
    let histories: Vec<Vec<u8>> =
        (0..setup.servers as u16).map(|server| history(setup, &outcome, server)).collect();
    outcome.digest = histories.iter().fold(setup.seed, |hash, bytes| roll_bytes(hash, bytes));
    let logs = machines.iter().flat_map(|machine| machine.log_lines()).collect();
    Run { outcome, histories, broken, logs, cpu_time }
}

/// Judges a run.
#[must_use]
pub fn judge(setup: &Setup, run: Run) -> Trial {
    let start = trial::cpu_time();
    let judged = crate::judge::judge(setup, &run.outcome, true);
    let judge_time = trial::cpu_time() - start;
    let faults = trial::faults(setup, &run.outcome, &judged);
    Trial { outcome: run.outcome, judged, faults, world_time: run.cpu_time, judge_time }
}

fn history(setup: &Setup, outcome: &Outcome, server: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    json_lines::write(&server_history(setup, outcome, server), &mut bytes)
        .expect("memory takes all that is written");
    bytes
}

/// By how much a server here may misjudge the longest time to live: the engine's own slewing, and
/// rounding at both ends, where a clock's tick is turmoil's.
fn clock_error_ms(knobs: &Knobs) -> u64 {
    let slew_ppm = Config::default().ttl_clock_slew_ppm + 1;
    (knobs.ttl_most_ms * slew_ppm).div_ceil(1_000_000) + 2
}

fn build<'a>(setup: &Setup, knobs: &Knobs) -> Sim<'a> {
    let mut builder = Builder::new();
    let safety = Duration::from_secs(setup.seconds);
    builder
        .rng_seed(setup.chance().key(Stream::Setup, 1).at(0).bits())
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_micros(EPOCH_US))
        .tick_duration(TICK)
        .simulation_duration(safety + LIVENESS + Duration::from_secs(1))
        .tcp_capacity(TCP_CAPACITY)
        .ephemeral_ports(1_024..=65_535)
        .min_message_latency(latency(knobs).0)
        .max_message_latency(latency(knobs).1);
    if setup.chance().key(Stream::Setup, 1).at(1).chance(1, 2) {
        builder.enable_random_order();
    }
    builder.build()
}

fn start_hosts(
    sim: &mut Sim<'_>,
    setup: &Setup,
    config: &Config,
    machines: &[Rc<Machine>],
    shared: &Rc<Shared>,
) {
    for (server, machine) in (0_u16..).zip(machines) {
        let seeds = setup.chance().key(Stream::Engine, u64::from(server));
        let (machine, config) = (Rc::clone(machine), config.clone());
        sim.host(server_name(server), move || {
            let seed = seeds.at(machine.next_boot()).bits();
            let platform = TurmoilPlatform::new(seed, Rc::clone(&machine));
            let launch = Launch { config: config.clone(), config_file: None };
            async move {
                match serve(platform, launch).await? {
                    0 => Ok(()),
                    code => Err(format!("the server ended with {code}").into()),
                }
            }
        });
    }
    for client in 0..setup.clients as u16 {
        let bulk = usize::from(client) < bulk_clients(setup);
        let client_task = Client::new(Rc::clone(shared), client, bulk).run(Rc::new(TurmoilWire));
        sim.client(client_name(client), async move {
            client_task.await;
            Ok(())
        });
    }
}

/// Ticks through the safety phase, heals, and ticks on until every client has finished.
fn advance(
    sim: &mut Sim<'_>,
    setup: &Setup,
    faults: &mut Faults,
    shared: &Shared,
) -> Result<(), String> {
    let safety = Duration::from_secs(setup.seconds);
    while sim.elapsed() < safety {
        faults.carry_out(sim, nanos(sim.elapsed()));
        sim.step().map_err(|error| error.to_string())?;
    }
    faults.heal(sim);
    shared.heal();
    while shared.unfinished() > 0 && sim.elapsed() < safety + LIVENESS {
        sim.step().map_err(|error| error.to_string())?;
    }
    Ok(())
}
