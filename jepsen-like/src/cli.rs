//! The command line of `orrery-jepsen`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use orrery_sim::fault::FaultKind;
use orrery_sim::setup::Setup;
use orrery_sim::workload::Workload;

use crate::nemesis::FAULTS;
use crate::report::{as_json, as_text};
use crate::run::{Options, Progress, Stop, run};
use crate::target::Target;

const EXAMPLES: &str = "\
Examples:
  orrery-jepsen run --target target/release/orrery-server
  orrery-jepsen run --target /usr/bin/redis-server --nemesis pause --seconds 30 --seed 7
  orrery-jepsen run --target target/release/orrery-server --nemesis kill --workload ttl
  orrery-jepsen run --target target/release/orrery-server --json | jq .workloads

The server runs on a private port of 127.0.0.1 without persistence, so what it held is gone after a
kill. That is expected: a run with kills is as expected if clients saw the loss, and if the history
is linearizable once every kill empties the server.

Exit status: 0 as expected, 1 violation, 2 usage, or a run that shows nothing.";

/// What `mix` means. Bulk work would crowd out the rest: its client never thinks.
const MIX: [Workload; 3] = [Workload::Registers, Workload::Counters, Workload::Ttl];

/// Tests real server processes under real faults.
#[derive(Debug, Parser)]
#[command(name = "orrery-jepsen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<RunArguments>),
}

/// Start a server, work on it from many clients under faults, and judge what they saw.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct RunArguments {
    /// The server program: orrery-server, redis-server or valkey-server.
    #[arg(long, value_name = "PATH")]
    target: PathBuf,
    /// What happens to it: kill, pause, or none.
    #[arg(long, value_name = "FAULTS", value_parser = faults, default_value = "kill,pause")]
    nemesis: Faults,
    /// How long faults go on.
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u64,
    /// What times of faults and commands of clients are drawn from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Clients, each with one connection.
    #[arg(long, value_name = "N", default_value_t = 10)]
    clients: usize,
    /// What clients do: plain, registers, counters, ttl, bulk, or mix; several with commas.
    #[arg(long, value_name = "NAMES", value_parser = workloads, default_value = "mix")]
    workload: Workloads,
    /// How long a client thinks between two commands on average, in microseconds.
    #[arg(long, value_name = "N", default_value_t = 500)]
    think_us: u64,
    /// By how much the server may misjudge a time to live, in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 2)]
    clock_error_ms: u64,
    /// Where histories and the server's log go [default: a new folder for temporary files].
    #[arg(long, value_name = "DIR")]
    keep_logs: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// When to show a progress bar.
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    progress: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// On a terminal.
    Auto,
    /// Never.
    Never,
}

#[derive(Clone, Debug)]
struct Faults(Vec<FaultKind>);

#[derive(Clone, Debug)]
struct Workloads(Vec<Workload>);

fn faults(text: &str) -> Result<Faults, String> {
    let mut list = Vec::new();
    for word in text.split(',') {
        let kinds = FaultKind::named(word).ok_or_else(|| format!("no fault {word:?}"))?;
        if let Some(kind) = kinds.iter().find(|kind| !FAULTS.contains(kind)) {
            return Err(format!("{kind} is not for real processes: kill, pause or none"));
        }
        list.extend(kinds);
    }
    list.sort_unstable();
    list.dedup();
    Ok(Faults(list))
}

fn workloads(text: &str) -> Result<Workloads, String> {
    let mut list = Vec::new();
    for name in text.split(',') {
        match Workload::named(name) {
            Some(workload) if Workload::ADDED.contains(&workload) => {
                return Err(format!("{name} is for the simulated world"));
            }
            Some(workload) => list.push(workload),
            None if name == "mix" => list.extend(MIX),
            None => return Err(format!("no workload {name:?}")),
        }
    }
    list.sort_unstable();
    list.dedup();
    Ok(Workloads(list))
}

/// Runs the command line and gives the status to exit with.
#[must_use]
pub fn main() -> ExitCode {
    let Command::Run(arguments) = Arguments::parse().command;
    match prepare(&arguments) {
        Ok((target, options)) => carry_out(&arguments, &target, &options),
        Err(reason) => {
            eprintln!("orrery-jepsen: {reason}");
            ExitCode::from(2)
        }
    }
}

fn prepare(arguments: &RunArguments) -> Result<(Target, Options), String> {
    let setup = Setup {
        seed: arguments.seed,
        servers: 1,
        clients: arguments.clients,
        seconds: arguments.seconds,
        workloads: arguments.workload.0.clone(),
        faults: arguments.nemesis.0.clone(),
        ..Setup::default()
    };
    if let Some(problem) = setup.problem() {
        return Err(problem);
    }
    let target = Target::recognise(&arguments.target)?;
    let directory = arguments.keep_logs.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("orrery-jepsen-{}", std::process::id()))
    });
    let shown = directory.display().to_string();
    let directory = std::fs::create_dir_all(&directory)
        .and_then(|()| directory.canonicalize())
        .map_err(|error| format!("{shown}: {error}"))?;
    let think = Duration::from_micros(arguments.think_us);
    let clock_error_max_ms = arguments.clock_error_ms;
    Ok((target, Options { setup, think, clock_error_max_ms, directory }))
}

fn carry_out(arguments: &RunArguments, target: &Target, options: &Options) -> ExitCode {
    let bar = match arguments.progress {
        When::Auto if std::io::stderr().is_terminal() => bar(options),
        When::Auto | When::Never => ProgressBar::hidden(),
    };
    let result = run(target, options, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    match result {
        Ok(summary) => {
            let text =
                if arguments.json { format!("{}\n", as_json(&summary)) } else { as_text(&summary) };
            // A reader that went away (`| head`) is no reason to panic or to change the status.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(summary.status() as u8)
        }
        Err(Stop::Interrupted) => {
            eprintln!("orrery-jepsen: interrupted; the server was killed");
            ExitCode::from(2)
        }
        Err(Stop::Machine(error)) => {
            eprintln!("orrery-jepsen: {error}");
            ExitCode::from(2)
        }
    }
}

fn bar(options: &Options) -> ProgressBar {
    let bar = ProgressBar::new(options.setup.seconds * 1_000);
    let style = ProgressStyle::with_template("{bar:40.cyan/blue} {elapsed_precise} {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, progress: Progress) {
    let Progress { elapsed, safety, answered, unknown } = progress;
    let passed = elapsed.min(safety).as_millis();
    bar.set_position(u64::try_from(passed).unwrap_or(u64::MAX));
    let phase = if elapsed < safety { "under faults" } else { "after the faults" };
    let rate = answered as f64 / elapsed.as_secs_f64().max(0.001);
    bar.set_message(format!("{phase}: {answered} answered ({rate:.0}/s), {unknown} unknown"));
}
