//! `orrery-sim locks swarm`: stories drawn by chance, and what they break.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde_json::json;

use super::choice::named;
use crate::cli::print;
use crate::locks::{
    Algorithm, Invariant, RUNS_MAX, Scenario, Shrunk, Swarm, Totals, draw, happen, page, scenario,
    shrink, swarm,
};

const EXAMPLES: &str = "\
Examples:
  orrery-sim locks swarm --algorithm redlock --seconds 10
  orrery-sim locks swarm --algorithm redsync --stories 100000 --seed 1 --shrink
  orrery-sim locks swarm --algorithm fenced --stories 20000 --shrink --out found/
  orrery-sim locks swarm --algorithm redlock --stories 5000 --json | jq .broken

With --out, DIR gets a story and a page for each invariant and each scenario that was found.
Exit status: 0 nothing was broken, 1 something was, 2 usage or DIR cannot be written.";

/// Draw stories from consecutive seeds and see what they break with an algorithm.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// With which algorithm they happen.
    #[arg(long, value_name = "NAME", value_parser = named)]
    algorithm: &'static Algorithm,
    /// Real time to spend on telling stories, in seconds; 10 if --stories is not given either.
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// The first seed.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Tell so many stories; with this and no --seconds, what is found does not depend on time.
    #[arg(long, value_name = "N")]
    stories: Option<u64>,
    /// Make some of what was found as small as it can be.
    #[arg(long)]
    shrink: bool,
    /// For each invariant, make so many stories small.
    #[arg(long, value_name = "N", default_value_t = 20)]
    samples: usize,
    /// Write small stories and their pages here.
    #[arg(long, value_name = "DIR", requires = "shrink")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A story made small.
struct Small {
    seed: u64,
    invariant: Invariant,
    shrunk: Shrunk,
    scenario: Option<Scenario>,
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let seconds = match (arguments.seconds, arguments.stories) {
        (Some(seconds), _) => seconds,
        (None, Some(_)) => u64::from(u32::MAX),
        (None, None) => 10,
    };
    let setup = Swarm {
        algorithm: arguments.algorithm,
        first_seed: arguments.seed,
        stories_max: arguments.stories.unwrap_or(u64::MAX - arguments.seed),
        time: Duration::from_secs(seconds),
    };
    let bar = progress_bar(arguments, seconds);
    let totals = swarm(&setup, &|totals: &Totals| show(&bar, arguments, totals));
    let small = if arguments.shrink { made_small(arguments, &totals, &bar) } else { Vec::new() };
    bar.finish_and_clear();
    if arguments.json {
        print(&format!("{}\n", as_json(arguments, &totals, &small)));
    } else {
        print(&as_text(arguments, &totals, &small));
    }
    if let Some(folder) = &arguments.out
        && let Err(error) = write(folder, arguments.algorithm, &small)
    {
        eprintln!("orrery-sim: {}: {error}", folder.display());
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(totals.failures > 0))
}

/// The first stories that broke each invariant, made small.
fn made_small(arguments: &Arguments, totals: &Totals, bar: &ProgressBar) -> Vec<Small> {
    let mut wanted = Vec::new();
    for invariant in Invariant::ALL {
        let breaks = totals.found.iter().filter(|found| found.broken.contains(&invariant));
        wanted.extend(breaks.take(arguments.samples).map(|found| (found.seed, invariant)));
    }
    bar.set_message(format!("making {} stories small", wanted.len()));
    let algorithm = arguments.algorithm;
    let small = |(seed, invariant)| {
        let story = draw(seed, algorithm.is_single);
        let shrunk = shrink(&story, algorithm, invariant, RUNS_MAX)?;
        let broken = happen(&shrunk.story, algorithm, false).broken();
        let scenario = scenario(&shrunk.story, algorithm, &broken);
        Some(Small { seed, invariant, shrunk, scenario })
    };
    wanted.into_par_iter().filter_map(small).collect()
}

fn as_text(arguments: &Arguments, totals: &Totals, small: &[Small]) -> String {
    let mut text = String::new();
    let rate = totals.stories as f64 / totals.elapsed.as_secs_f64().max(1e-9);
    let _ = writeln!(
        text,
        "{}: {} stories in {:.1} s ({rate:.0}/s), {} grants; something was broken in {}",
        arguments.algorithm.name,
        totals.stories,
        totals.elapsed.as_secs_f64(),
        totals.grants,
        totals.failures
    );
    for invariant in Invariant::ALL {
        if let (stories, Some(first)) = totals.broken[invariant as usize] {
            let words = invariant.words();
            let _ = writeln!(text, "{invariant:<4}{stories:>8} stories, first {first}: {words}");
        }
    }
    for (scenario, (count, seed)) in scenarios(small) {
        let _ = writeln!(text, "{scenario}: {count} of those made small, first {seed}");
    }
    for (key, small) in firsts(small) {
        let (faults, operations) = (small.shrunk.faults(), small.shrunk.operations());
        let _ = writeln!(
            text,
            "\n# {key}, seed {}: {faults} faults, {operations} operations\n{}",
            small.seed,
            small.shrunk.story.to_string().trim_end()
        );
    }
    if !small.is_empty() {
        let [faults, operations] = sizes(small);
        let _ = writeln!(
            text,
            "\n{} made small: faults {} (median), {} (most); operations {}, {}; \
             {} left to chance",
            small.len(),
            faults.0,
            faults.1,
            operations.0,
            operations.1,
            small.iter().filter(|small| small.shrunk.has_chance()).count()
        );
    }
    text
}

/// How many there are of each scenario, and the first seed.
fn scenarios(small: &[Small]) -> BTreeMap<Scenario, (usize, u64)> {
    let mut all: BTreeMap<Scenario, (usize, u64)> = BTreeMap::new();
    for small in small {
        if let Some(scenario) = small.scenario {
            let (count, seed) = all.entry(scenario).or_insert((0, small.seed));
            *count += 1;
            *seed = small.seed.min(*seed);
        }
    }
    all
}

/// The first of each invariant and scenario, by names that are good for files.
fn firsts(small: &[Small]) -> BTreeMap<String, &Small> {
    let mut all = BTreeMap::new();
    for small in small {
        let kind = small.scenario.map_or_else(|| "other".to_owned(), |it| it.to_string());
        all.entry(format!("{}-{kind}", small.invariant)).or_insert(small);
    }
    all
}

/// The median and the greatest number of faults, and of operations.
fn sizes(small: &[Small]) -> [(usize, usize); 2] {
    let of = |size: fn(&Shrunk) -> usize| {
        let mut all: Vec<usize> = small.iter().map(|small| size(&small.shrunk)).collect();
        all.sort_unstable();
        (all[all.len() / 2], all[all.len() - 1])
    };
    [of(Shrunk::faults), of(Shrunk::operations)]
}

fn as_json(arguments: &Arguments, totals: &Totals, small: &[Small]) -> serde_json::Value {
    let mut broken = serde_json::Map::new();
    for invariant in Invariant::ALL {
        if let (stories, Some(first)) = totals.broken[invariant as usize] {
            broken.insert(invariant.to_string(), json!({"stories": stories, "first": first}));
        }
    }
    let small: Vec<serde_json::Value> = small
        .iter()
        .map(|small| {
            json!({
                "seed": small.seed,
                "invariant": small.invariant.to_string(),
                "scenario": small.scenario.map(|scenario| scenario.to_string()),
                "faults": small.shrunk.faults(),
                "operations": small.shrunk.operations(),
                "chance": small.shrunk.has_chance(),
                "runs": small.shrunk.runs,
                "minimal": small.shrunk.is_minimal,
                "story": small.shrunk.story.to_string(),
            })
        })
        .collect();
    json!({
        "algorithm": arguments.algorithm.name,
        "first_seed": arguments.seed,
        "stories": totals.stories,
        "grants": totals.grants,
        "elapsed_ms": u64::try_from(totals.elapsed.as_millis()).unwrap_or(u64::MAX),
        "failures": totals.failures,
        "broken": broken,
        "small": small,
    })
}

fn write(folder: &Path, algorithm: &Algorithm, small: &[Small]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (key, small) in firsts(small) {
        let name = format!("{}-{key}", algorithm.name);
        let story = &small.shrunk.story;
        std::fs::write(folder.join(format!("{name}.story")), story.to_string())?;
        std::fs::write(folder.join(format!("{name}.html")), page(story, algorithm))?;
    }
    Ok(())
}

fn progress_bar(arguments: &Arguments, seconds: u64) -> ProgressBar {
    if arguments.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(arguments.stories.unwrap_or(seconds * 1000));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent} %, {eta} left  {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, arguments: &Arguments, totals: &Totals) {
    let elapsed = totals.elapsed.as_secs_f64();
    bar.set_position(match arguments.stories {
        Some(_) => totals.stories,
        None => (elapsed * 1000.0) as u64,
    });
    let rate = totals.stories as f64 / elapsed.max(1e-9);
    let failures = totals.failures;
    bar.set_message(format!(
        "{} stories ({rate:.0}/s), {failures} break something",
        totals.stories
    ));
}
