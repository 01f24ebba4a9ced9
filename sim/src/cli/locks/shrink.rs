//! `orrery-sim locks shrink`: a story made as small as it can be.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::choice::{load, named};
use crate::cli::print;
use crate::locks::{Algorithm, Invariant, RUNS_MAX, happen, scenario, shrink};

const EXAMPLES: &str = "\
Examples:
  orrery-sim locks shrink S12 --algorithm redlock
  orrery-sim locks shrink found.story --algorithm redlock
  orrery-sim locks shrink found.story --algorithm redsync --invariant I1 > small.story

The small story goes to standard output, what was done to standard error.
Exit status: 0 a smaller or equal story was found, 1 the runs were used up before nothing more could
be left out, 2 the story breaks nothing (or not this), usage or unreadable.";

/// Make a story as small as it can be while it breaks the same invariant.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The name of a story of the catalogue, or a file.
    #[arg(value_name = "STORY")]
    story: String,
    /// With which algorithm it happens.
    #[arg(long, value_name = "NAME", value_parser = named)]
    algorithm: &'static Algorithm,
    /// What is to stay broken (I1 to I11); if not given, the first that is.
    #[arg(long, value_name = "I", value_parser = invariant)]
    invariant: Option<Invariant>,
    /// Tell it so many times at most.
    #[arg(long, value_name = "N", default_value_t = RUNS_MAX)]
    runs: u64,
    /// Print one JSON object, with the story in it.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match shrunk(arguments) {
        Ok(status) => status,
        Err(why) => {
            eprintln!("orrery-sim: {why}");
            ExitCode::from(2)
        }
    }
}

fn shrunk(arguments: &Arguments) -> Result<ExitCode, String> {
    let algorithm = arguments.algorithm;
    let story = load(&arguments.story, algorithm)?;
    let broken = happen(&story, algorithm, false).broken();
    let first = broken.first().copied();
    let invariant = arguments.invariant.or(first).ok_or_else(|| {
        format!(
            "nothing is broken in {} with {}: there is nothing to keep",
            arguments.story, algorithm.name
        )
    })?;
    let small = shrink(&story, algorithm, invariant, arguments.runs).ok_or_else(|| {
        format!(
            "{invariant} is not broken in {} with {}, but: {broken:?}",
            arguments.story, algorithm.name
        )
    })?;
    let broken = happen(&small.story, algorithm, false).broken();
    let kind = scenario(&small.story, algorithm, &broken).map(|scenario| scenario.to_string());
    let names: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let (faults, operations) = (small.faults(), small.operations());
    if arguments.json {
        let value = json!({
            "algorithm": algorithm.name, "invariant": invariant.to_string(), "broken": names,
            "scenario": kind, "faults": faults, "operations": operations,
            "chance": small.has_chance(), "runs": small.runs, "minimal": small.is_minimal,
            "story": small.story.to_string(),
        });
        print(&format!("{value}\n"));
    } else {
        print(&small.story.to_string());
        let kind = kind.map_or(String::new(), |kind| format!(", an instance of {kind}"));
        eprintln!(
            "{} breaks {}{kind}: {faults} faults, {operations} operations; {} runs",
            algorithm.name,
            names.join(" "),
            small.runs
        );
        if small.has_chance() {
            eprintln!(
                "what becomes of messages is left to chance: no steps were found that say it"
            );
        }
    }
    if !small.is_minimal {
        eprintln!("orrery-sim: the runs were used up; --runs allows more");
    }
    Ok(ExitCode::from(u8::from(!small.is_minimal)))
}

fn invariant(name: &str) -> Result<Invariant, String> {
    let found = Invariant::ALL.into_iter().find(|invariant| invariant.to_string() == name);
    found.ok_or_else(|| format!("no invariant {name:?}; there are I1 to I11"))
}
