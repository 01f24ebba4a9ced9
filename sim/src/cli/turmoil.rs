//! `orrery-sim turmoil`: the real server code on turmoil's network, and its verdict.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use orrery_engine::planted::PlantedBug;
use serde_json::json;

use super::print;
use super::run::planted;
use crate::fault::FaultKind;
use crate::report;
use crate::setup::Setup;
use crate::turmoil::{self, FAULTS};
use crate::workload::Workload;

const EXAMPLES: &str = "\
Examples:
  orrery-sim turmoil --seed 7
  orrery-sim turmoil --seed 7 --faults partitions,kill --workload registers --seconds 30
  orrery-sim turmoil --seed 7 --twice
  orrery-sim turmoil --seed 7 --planted stale

Workloads: plain, registers, counters, ttl, bulk.
Faults: kill, power-loss, clock-step, clock-strobe, partition-one-way, partition-halves,
partition-ring, partition-bridge, isolate, half-open (a link that holds everything for a while),
latency; what else the world has, turmoil cannot do. Groups: none, all, deaths, clocks, partitions.

Exit status: 0 fine, 1 violation, difference or nothing happened, 2 usage or unknown.";

/// Run the real server code on a simulated network, and judge what the clients saw.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// What everything is drawn from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many seeds to run, one after the other.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
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
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = workload,
          default_value = "registers,counters,ttl,bulk")]
    workload: Vec<Workload>,
    /// What happens to them; kinds or groups, several with commas.
    #[arg(long, value_name = "NAMES", value_parser = faults, default_value = "all")]
    faults: Faults,
    /// Give the servers a bug: ttl, split, stale, change, torn, reply, message, late.
    #[arg(long, value_name = "BUG", value_parser = planted)]
    planted: Option<PlantedBug>,
    /// Run twice and compare the histories.
    #[arg(long)]
    twice: bool,
    /// Write each server's history to DIR/server-N.jsonl, for `orrery-sim check`.
    #[arg(long, value_name = "DIR")]
    histories: Option<PathBuf>,
    /// Print the last lines of the servers' logs.
    #[arg(long)]
    logs: bool,
    /// Print one JSON object a seed.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Faults(Vec<FaultKind>);

fn workload(name: &str) -> Result<Workload, String> {
    if Workload::ADDED.iter().any(|workload| workload.name() == name) {
        return Err(format!("{name} is for the simulated world"));
    }
    Workload::named(name).ok_or_else(|| format!("no workload {name:?}"))
}

fn faults(text: &str) -> Result<Faults, String> {
    let mut list = Vec::new();
    for word in text.split(',') {
        let kinds = FaultKind::named(word).ok_or_else(|| format!("no fault {word:?}"))?;
        match kinds.as_slice() {
            [kind] if !FAULTS.contains(kind) => return Err(format!("turmoil cannot do {kind}")),
            _ => list.extend(kinds.into_iter().filter(|kind| FAULTS.contains(kind))),
        }
    }
    list.sort_unstable();
    list.dedup();
    Ok(Faults(list))
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut worst = 0;
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds.max(1)) {
        let setup = Setup {
            seed,
            servers: arguments.servers,
            clients: arguments.clients,
            seconds: arguments.seconds,
            workloads: arguments.workload.clone(),
            faults: arguments.faults.0.clone(),
            planted: arguments.planted,
            ..Setup::default()
        };
        if let Some(problem) = setup.problem() {
            eprintln!("orrery-sim: {problem}");
            return ExitCode::from(2);
        }
        let status =
            if arguments.twice { twice(arguments, &setup) } else { once(arguments, &setup) };
        // A violation is worse than an unknown verdict.
        worst = match (worst, status) {
            (1, _) | (_, 1) => 1,
            (worst, status) => worst.max(status),
        };
    }
    ExitCode::from(worst)
}

fn once(arguments: &Arguments, setup: &Setup) -> u8 {
    let run = turmoil::run(setup);
    let command = command_line(arguments, setup);
    if let Some(folder) = &arguments.histories
        && let Err(error) = write_histories(folder, &run.histories)
    {
        eprintln!("orrery-sim: {}: {error}", folder.display());
        return 2;
    }
    let (broken, logs) = (run.broken.clone(), run.logs.clone());
    let trial = turmoil::judge(setup, run);
    if arguments.json {
        let mut value = report::trial_as_json(setup, &trial, &command);
        if let Some(object) = value.as_object_mut() {
            object.insert("broken".to_owned(), json!(broken));
        }
        print(&format!("{value}\n"));
    } else {
        print(&report::trial_as_text(setup, &trial, &command));
        if let Some(broken) = &broken {
            print(&format!("BROKEN    {broken}\n"));
        }
    }
    if arguments.logs {
        logs.iter().for_each(|line| print(&format!("{line}\n")));
    }
    match (trial.failed() || broken.is_some(), trial.faults.is_empty()) {
        (true, _) => 1,
        (false, false) => 2,
        (false, true) => 0,
    }
}

fn twice(arguments: &Arguments, setup: &Setup) -> u8 {
    let (one, other) = (turmoil::run(setup), turmoil::run(setup));
    let same = one.outcome.digest == other.outcome.digest && one.broken == other.broken;
    let digests = [one, other].map(|run| format!("{:016x}", run.outcome.digest));
    let command = command_line(arguments, setup);
    if arguments.json {
        let value = json!({
            "seed": setup.seed, "digests": digests, "same": same, "command": command,
        });
        print(&format!("{value}\n"));
    } else {
        print(&format!("seed      {}\ndigests   {}\n", setup.seed, digests.join(" ")));
        print(if same { "verdict   the same\n" } else { "verdict   the histories differ\n" });
        print(&format!("repeat    {command} --twice\n"));
    }
    u8::from(!same)
}

fn command_line(arguments: &Arguments, setup: &Setup) -> String {
    let line = setup.command_line().replacen("orrery-sim run", "orrery-sim turmoil", 1);
    if arguments.faults.0.len() < FAULTS.len() {
        return line;
    }
    let names: Vec<&str> = setup.faults.iter().map(|kind| kind.name()).collect();
    line.replacen(&names.join(","), "all", 1)
}

fn write_histories(folder: &Path, histories: &[Vec<u8>]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (server, bytes) in histories.iter().enumerate() {
        std::fs::write(folder.join(format!("server-{server}.jsonl")), bytes)?;
    }
    Ok(())
}
