//! `orrery-sim run`: one world, its verdict, and the command that repeats it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use orrery_engine::config::Policy;
use orrery_engine::planted::PlantedBug;
use orrery_engine::time::TtlClock;
use serde_json::json;

use super::print;
use crate::fault::FaultKind;
use crate::judge::{Loss, server_history};
use crate::plan::Plan;
use crate::report;
use crate::setup::{Keeping, Memory, Setup};
use crate::trial::{Trial, first_difference, trial};
use crate::workload::Workload;
use crate::world::{self, Trace, Watch};

const EXAMPLES: &str = "\
Examples:
  orrery-sim run --seed 7
  orrery-sim run --seed 7 --faults partitions,kill --workload registers --seconds 30
  orrery-sim run --seed 7 --twice
  orrery-sim run --seed 7 --print-plan > plan.json; orrery-sim run --seed 7 --plan plan.json
  orrery-sim run --seed 7 --planted stale
  orrery-sim run --seed 7 --keep snapshots --workload saves --faults all,disks

Workloads: plain, registers, counters, ttl, queues, groups, fields, bulk, transactions,
messages, caches, scripts, locks, saves (with --keep).
Faults: kill, power-loss, pause, client-pause, vm-freeze, clock-step, clock-drift, clock-slew,
clock-strobe, partition-one-way, partition-halves, partition-ring, partition-bridge, isolate,
isolate-primary, half-open, reset, latency, loss, slow; of disks: disk-stall, disk-error,
disk-full, sync-failure, bit-rot, misdirected-write, disk-lie.
Groups: none, all (but those of disks), deaths, pauses, clocks, partitions, network, disks.

Exit status: 0 fine, 1 violation, difference or nothing happened, 2 usage or unknown.";

/// Events printed on each side of a difference.
const CONTEXT_EVENTS: u64 = 5;

/// Simulate servers, clients and faults from one seed, and judge what the clients saw.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// What everything is drawn from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Servers, each with its own data.
    #[arg(long, value_name = "N", default_value_t = 3)]
    servers: usize,
    /// Clients.
    #[arg(long, value_name = "N", default_value_t = 10)]
    clients: usize,
    /// Simulated seconds under faults; a fault-free end follows.
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u64,
    /// What clients do; several with commas.
    #[arg(long, value_name = "NAMES", value_parser = workloads,
          default_value = "registers,counters,ttl,bulk")]
    workload: Workloads,
    /// What happens to them; kinds or groups, several with commas.
    #[arg(long, value_name = "NAMES", value_parser = faults, default_value = "all")]
    faults: Faults,
    /// Which clock keys expire by.
    #[arg(long, value_enum, default_value_t = ClockArgument::Monotonic)]
    ttl_clock: ClockArgument,
    /// Evict when data and clients take so much more memory than an empty server does.
    #[arg(long, value_name = "POLICY:BYTES", value_parser = memory)]
    memory: Option<Memory>,
    /// What the servers keep on their disks.
    #[arg(long, value_name = "WHAT", value_parser = keeping, default_value = "nothing")]
    keep: Keeping,
    /// Do not tell servers with disks which keys are locks (lock-grace).
    #[arg(long)]
    without_lock_grace: bool,
    /// Give the servers a bug: ttl, split, stale, change, torn, reply, message, late, missed,
    /// victim, watch, mixed.
    #[arg(long, value_name = "BUG", value_parser = planted)]
    planted: Option<PlantedBug>,
    /// Carry out the faults in this file instead of drawing them.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Leave out the planned fault at this place (from 0); may be repeated.
    #[arg(long, value_name = "N")]
    without: Vec<usize>,
    /// Print the planned faults as JSON and do nothing.
    #[arg(long)]
    print_plan: bool,
    /// Run twice and compare.
    #[arg(long)]
    twice: bool,
    /// Write each server's history to DIR/server-N.jsonl, for `orrery-sim check`.
    #[arg(long, value_name = "DIR")]
    histories: Option<PathBuf>,
    /// One line per event.
    #[arg(long)]
    verbose: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Change the digest at this event of the second run, to see that --twice finds it.
    #[arg(long, value_name = "N", hide = true)]
    disturb: Option<u64>,
}

/// A list of workloads, each once.
#[derive(Clone, Debug)]
pub(super) struct Workloads(pub(super) Vec<Workload>);

#[derive(Clone, Debug)]
struct Faults(Vec<FaultKind>);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ClockArgument {
    /// Elapsed time: a wall clock that is set moves nothing.
    Monotonic,
    /// The wall clock, as in Redis.
    Wall,
}

pub(super) fn workloads(text: &str) -> Result<Workloads, String> {
    let named = |name: &str| Workload::named(name).ok_or_else(|| format!("no workload {name:?}"));
    let mut list: Vec<Workload> = text.split(',').map(named).collect::<Result<_, _>>()?;
    list.sort_unstable();
    list.dedup();
    Ok(Workloads(list))
}

fn faults(text: &str) -> Result<Faults, String> {
    let mut list = Vec::new();
    for word in text.split(',') {
        list.extend(FaultKind::named(word).ok_or_else(|| format!("no fault {word:?}"))?);
    }
    list.sort_unstable();
    list.dedup();
    Ok(Faults(list))
}

pub(super) fn planted(text: &str) -> Result<PlantedBug, String> {
    PlantedBug::named(text).ok_or_else(|| {
        let names = PlantedBug::ALL.map(PlantedBug::name).join(", ");
        format!("no planted bug {text:?}: {names}")
    })
}

fn keeping(text: &str) -> Result<Keeping, String> {
    Keeping::named(text).ok_or_else(|| {
        let names = Keeping::ALL.map(Keeping::name).join(", ");
        format!("nothing is called {text:?} that servers keep: {names}")
    })
}

fn memory(text: &str) -> Result<Memory, String> {
    Memory::named(text).ok_or_else(|| {
        let policies = Policy::ALL.map(Policy::name).join(", ");
        format!("not a policy and a number of bytes: {text:?}; policies: {policies}")
    })
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match prepare(arguments) {
        Ok(setup) if arguments.print_plan => {
            print(&report::plan_as_json(&setup.plan()));
            ExitCode::SUCCESS
        }
        Ok(setup) if arguments.twice => twice(arguments, &setup),
        Ok(setup) => once(arguments, &setup),
        Err(reason) => {
            eprintln!("orrery-sim: {reason}");
            ExitCode::from(2)
        }
    }
}

fn prepare(arguments: &Arguments) -> Result<Setup, String> {
    let plan = arguments.plan.as_ref().map(|path| -> Result<Plan, String> {
        let in_file = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| in_file(&error))?;
        serde_json::from_str(&text).map_err(|error| in_file(&error))
    });
    let setup = Setup {
        seed: arguments.seed,
        servers: arguments.servers,
        clients: arguments.clients,
        seconds: arguments.seconds,
        workloads: arguments.workload.0.clone(),
        faults: arguments.faults.0.clone(),
        ttl_clock: match arguments.ttl_clock {
            ClockArgument::Monotonic => TtlClock::Monotonic,
            ClockArgument::Wall => TtlClock::Wall,
        },
        memory: arguments.memory,
        keeping: arguments.keep,
        lock_grace: !arguments.without_lock_grace,
        planted: arguments.planted,
        plan: plan.transpose()?,
        without: arguments.without.clone(),
    };
    match setup.problem() {
        Some(problem) => Err(problem),
        None => Ok(setup),
    }
}

fn once(arguments: &Arguments, setup: &Setup) -> ExitCode {
    let trace = if arguments.verbose {
        Trace::new(0, u64::MAX, |line| print(&format!("{line}\n")))
    } else {
        Trace::default()
    };
    let result = trial(setup, &mut Watch { trace, ..Watch::default() }, true);
    if let Some(folder) = &arguments.histories
        && let Err(error) = write_histories(folder, setup, &result)
    {
        eprintln!("orrery-sim: {}: {error}", folder.display());
        return ExitCode::from(2);
    }
    let command = command_line(arguments, setup);
    if arguments.json {
        print(&format!("{}\n", report::trial_as_json(setup, &result, &command)));
    } else {
        print(&report::trial_as_text(setup, &result, &command));
    }
    status(&result)
}

fn status(result: &Trial) -> ExitCode {
    match (result.failed(), result.faults.is_empty()) {
        (true, _) => ExitCode::from(1),
        (false, false) => ExitCode::from(2),
        (false, true) => ExitCode::SUCCESS,
    }
}

fn command_line(arguments: &Arguments, setup: &Setup) -> String {
    let mut line = setup.command_line();
    if let Some(path) = &arguments.plan {
        line.push_str(&format!(" --plan {}", path.display()));
    }
    line
}

fn write_histories(folder: &PathBuf, setup: &Setup, result: &Trial) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for server in 0..setup.servers as u16 {
        let file = std::fs::File::create(folder.join(format!("server-{server}.jsonl")))?;
        let mut out = std::io::BufWriter::new(file);
        let history = server_history(setup, &result.outcome, server);
        crate::history::json_lines::write(&history, &mut out)?;
        out.flush()?;
    }
    Ok(())
}

/// Runs twice; where the runs part, shows the events around it from both.
fn twice(arguments: &Arguments, setup: &Setup) -> ExitCode {
    let run = |disturbed_event| {
        world::run(setup, &mut Watch { log: true, disturbed_event, ..Watch::default() })
    };
    let (one, other) = (run(None), run(arguments.disturb));
    let command = command_line(arguments, setup);
    let difference = first_difference(&one.log, &other.log);
    let same = difference.is_none() && one.digest == other.digest;
    if arguments.json {
        let value = json!({
            "seed": setup.seed,
            "digests": [format!("{:016x}", one.digest), format!("{:016x}", other.digest)],
            "same": same,
            "first_difference": difference,
            "events": [one.events, other.events],
            "command": command,
        });
        print(&format!("{value}\n"));
    } else {
        print(&format!("seed      {}\n", setup.seed));
        print(&format!("digests   {:016x} {:016x}\n", one.digest, other.digest));
        print(&format!("events    {} {}\n", one.events, other.events));
    }
    if let (Some(event), false) = (difference, arguments.json) {
        print(&format!("verdict   the runs differ from event {event} on; the events around it:\n"));
        let event = event as u64;
        let (from, until) = (event.saturating_sub(CONTEXT_EVENTS), event + CONTEXT_EVENTS);
        for disturbed_event in [None, arguments.disturb] {
            let trace = Trace::new(from, until, |line| print(&format!("  {line}\n")));
            let mut watch = Watch { trace, disturbed_event, ..Watch::default() };
            let again = world::run(setup, &mut watch);
            print(&format!("  digest {:016x}\n", again.digest));
        }
    } else if !arguments.json {
        print(if same { "verdict   the same\n" } else { "verdict   the final states differ\n" });
    }
    if !arguments.json {
        print(&format!("repeat    {command} --twice\n"));
    }
    if same { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// What a kill does to the verdict, in words.
pub(crate) fn loss_in_words(loss: Loss) -> &'static str {
    match loss {
        Loss::None => "none expected",
        Loss::Seen => "expected after kill or power loss (no persistence), and seen by clients",
        Loss::Unseen => "expected after kill or power loss (no persistence), seen by no client",
    }
}
