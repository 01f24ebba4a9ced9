//! `orrery-sim swarm`: many worlds, until time is up.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use orrery_engine::planted::PlantedBug;

use super::print;
use super::run::{Workloads, planted, workloads};
use crate::report;
use crate::setup::Setup;
use crate::swarm::{Swarm, Totals, swarm};

const EXAMPLES: &str = "\
Examples:
  orrery-sim swarm --seconds 60 --jobs 2
  orrery-sim swarm --seed 1000 --seeds 500 --json | jq .failures
  orrery-sim swarm --default-mix --seconds 10 --jobs 1
  orrery-sim swarm --planted stale

Exit status: 0 fine, 1 violation, panic, digest difference or nothing happened, 2 usage.
With --planted, 1 means that the bug was found.";

/// Draw worlds from consecutive seeds and run them until time is up.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Real time to spend, in seconds.
    #[arg(long, value_name = "S", default_value_t = 60)]
    seconds: u64,
    /// Threads; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// The first seed; drawn from the time if not given.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Stop after so many seeds.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seeds: u64,
    /// Run one seed of so many twice and compare the digests; 0: none.
    #[arg(long, value_name = "N", default_value_t = 10)]
    twice_one_in: u64,
    /// Run what `orrery-sim run` runs by default (3 servers, 10 clients, everything) with each
    /// seed instead of drawing worlds.
    #[arg(long)]
    default_mix: bool,
    /// With --default-mix: what clients do, instead of what `orrery-sim run` has them do.
    #[arg(long, value_name = "NAMES", value_parser = workloads, requires = "default_mix")]
    workload: Option<Workloads>,
    /// Give the servers a bug (ttl, split, stale, change, torn, reply, message, late, missed,
    /// victim, watch, mixed) and stop when it is found.
    #[arg(long, value_name = "BUG", value_parser = planted)]
    planted: Option<PlantedBug>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let setup = Swarm {
        time: Duration::from_secs(arguments.seconds),
        seeds_max: arguments.seeds,
        jobs: arguments.jobs.unwrap_or(processors).max(1),
        first_seed: arguments.seed.unwrap_or_else(seed_of_the_moment),
        planted: arguments.planted,
        twice_one_in: arguments.twice_one_in,
        fixed: arguments.default_mix.then(|| match &arguments.workload {
            None => Setup::default(),
            Some(Workloads(workloads)) => {
                Setup { workloads: workloads.clone(), ..Setup::default() }
            }
        }),
    };
    if let Some(problem) = Setup::default().problem() {
        eprintln!("orrery-sim: {problem}");
        return ExitCode::from(2);
    }
    let bar = progress_bar(arguments);
    let totals = swarm(&setup, &|totals: &Totals| show(&bar, totals));
    bar.finish_and_clear();
    if arguments.json {
        print(&format!("{}\n", report::totals_as_json(&totals)));
    } else {
        print(&report::totals_as_text(&totals));
    }
    ExitCode::from(u8::from(totals.failed()))
}

/// A seed that nobody has chosen, small enough to be typed.
fn seed_of_the_moment() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| u64::from(since.subsec_nanos()) / 1000 * 1_000_000 + 1)
}

fn progress_bar(arguments: &Arguments) -> ProgressBar {
    if arguments.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(arguments.seconds);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, totals: &Totals) {
    bar.set_position(totals.elapsed.as_secs());
    bar.set_message(format!(
        "{} seeds, {} events, {} failures, {} differences",
        totals.seeds, totals.events, totals.failures, totals.differences
    ));
}
