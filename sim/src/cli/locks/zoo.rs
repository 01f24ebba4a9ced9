//! `orrery-sim locks zoo`: all stories of the catalogue with all algorithms, and whether each
//! breaks what it is known to break.
//!
//! Invariant: the status is 0 exactly if all verdicts are as expected.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::super::print;
use crate::locks::zoo::{self, Scenario, Verdict, counted, scenarios};
use crate::locks::{QUEUES, algorithm, queue};

const EXAMPLES: &str = "\
Examples:
  orrery-sim locks zoo
  orrery-sim locks zoo --only S12,S14
  orrery-sim locks zoo --algorithm redlock,fenced
  orrery-sim locks zoo --json | jq '.verdicts[] | select(.as_expected | not)'

A cell says which invariants the algorithm breaks (docs/LOCKS.md says what they are), or ok; ! in
front of it: something else was expected. `orrery-sim locks run S12 --algorithm redlock` tells what
happens.

Exit status: 0 all verdicts are as expected, 1 some are not, 2 usage.";

/// Let the catalogue's stories happen with lock algorithms, and compare what they break.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Only these stories.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these algorithms.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    algorithm: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The table is as wide as this at most.
const COLUMNS_MAX: usize = 100;
/// What takes longer than this has a progress bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let all = scenarios();
    let wants = |scenario: &Scenario, name: &str| {
        let Arguments { only, algorithm, .. } = arguments;
        (only.is_empty() || only.contains(&scenario.name))
            && (algorithm.is_empty() || algorithm.iter().any(|wanted| wanted == name))
    };
    if let Err(why) = check(arguments, &all) {
        eprintln!("orrery-sim: {why}");
        return ExitCode::from(2);
    }
    let runs = |scenario: &Scenario| {
        scenario.expected.iter().filter(|(name, _)| wants(scenario, name)).count()
    };
    let bar = progress_bar(all.iter().map(runs).sum());
    let began = Instant::now();
    let verdicts = zoo::run(&all, wants, || {
        bar.inc(1);
        if bar.is_hidden() && !arguments.json && began.elapsed() > PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    });
    bar.finish_and_clear();
    let waiting: Vec<&Scenario> = all
        .iter()
        .filter(|scenario| scenario.waits.is_some())
        .filter(|scenario| arguments.only.is_empty() || arguments.only.contains(&scenario.name))
        .collect();
    if verdicts.is_empty() && waiting.is_empty() {
        eprintln!(
            "orrery-sim: nothing is expected of these algorithms in these stories; leave out \
             --only or --algorithm"
        );
        return ExitCode::from(2);
    }
    if arguments.json {
        print(&format!("{}\n", as_json(&verdicts, &waiting)));
    } else {
        print(&as_text(&verdicts, &waiting, std::io::stdout().is_terminal()));
    }
    ExitCode::from(u8::from(!verdicts.iter().all(Verdict::is_as_expected)))
}

fn check(arguments: &Arguments, all: &[Scenario]) -> Result<(), String> {
    for name in &arguments.only {
        if !all.iter().any(|scenario| scenario.name == *name) {
            let names: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
            return Err(format!("--only: no story {name:?}; there are {}", names.join(", ")));
        }
    }
    for name in &arguments.algorithm {
        if algorithm(name).is_none() && queue(name).is_none() {
            let names = super::run::all_names();
            return Err(format!("--algorithm: no algorithm {name:?}; there are {names}"));
        }
    }
    Ok(())
}

fn progress_bar(runs: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(runs as u64), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} stories told") {
        bar.set_style(style);
    }
    bar
}

fn as_json(verdicts: &[Verdict], waiting: &[&Scenario]) -> serde_json::Value {
    let words = |broken: &std::collections::BTreeSet<crate::locks::Invariant>| {
        broken.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let verdict = |verdict: &Verdict| {
        json!({
            "scenario": verdict.scenario,
            "algorithm": verdict.algorithm,
            "expected": verdict.expected.as_ref().map(words),
            "broken": words(&verdict.broken),
            "as_expected": verdict.is_as_expected(),
        })
    };
    let waits = |scenario: &&Scenario| json!({"scenario": scenario.name, "for": scenario.waits});
    json!({
        "as_expected": verdicts.iter().all(Verdict::is_as_expected),
        "verdicts": verdicts.iter().map(verdict).collect::<Vec<_>>(),
        "waiting": waiting.iter().map(waits).collect::<Vec<_>>(),
    })
}

fn as_text(verdicts: &[Verdict], waiting: &[&Scenario], colours: bool) -> String {
    let mut text = tables(verdicts, colours);
    for scenario in waiting {
        let waits = scenario.waits.as_deref().unwrap_or_default();
        text.push_str(&format!("{:<6} waits for {waits}\n", scenario.name));
    }
    let strange: Vec<&Verdict> =
        verdicts.iter().filter(|verdict| !verdict.is_as_expected()).collect();
    for Verdict { scenario, algorithm, expected, broken } in &strange {
        let expected = expected.as_ref().map(counted).unwrap_or_default();
        text.push_str(&format!(
            "{scenario} with {algorithm}: {}, but {expected} was expected; to see why: \
             orrery-sim locks run {scenario} --algorithm {algorithm}\n",
            counted(broken)
        ));
    }
    let count = verdicts.len();
    text.push_str(&match strange.len() {
        0 => format!("{count} verdicts, all as expected\n"),
        strange => format!("{count} verdicts, {strange} NOT as expected\n"),
    });
    text
}

/// Stories down, algorithms across, in as many tables as the width needs.
fn tables(verdicts: &[Verdict], colours: bool) -> String {
    let named = crate::locks::ALGORITHMS.iter().map(|algorithm| algorithm.name);
    let named = named.chain(QUEUES.iter().map(|queue| queue.name));
    let is_there = |name: &&str| verdicts.iter().any(|verdict| verdict.algorithm == *name);
    let mut left: Vec<&str> = named.filter(is_there).collect();
    let mut text = String::new();
    while !left.is_empty() {
        let mut columns: Vec<(&str, usize)> = Vec::new();
        let mut width = 6;
        while let Some(&name) = left.first() {
            let cells = verdicts.iter().filter(|verdict| verdict.algorithm == name);
            let widest = cells.map(|verdict| cell(verdict).len()).max().unwrap_or(0);
            let own = widest.max(name.len()) + 2;
            if !columns.is_empty() && width + own > COLUMNS_MAX {
                break;
            }
            width += own;
            columns.push((left.remove(0), own));
        }
        table(verdicts, &columns, colours, &mut text);
        text.push('\n');
    }
    text
}

fn table(verdicts: &[Verdict], columns: &[(&str, usize)], colours: bool, text: &mut String) {
    let mut rows: Vec<&str> = Vec::new();
    for verdict in verdicts {
        let has_column = columns.iter().any(|(name, _)| *name == verdict.algorithm);
        if has_column && rows.last() != Some(&verdict.scenario.as_str()) {
            rows.push(&verdict.scenario);
        }
    }
    let mut head = format!("{:<6}", "");
    for (name, width) in columns {
        head.push_str(&format!("{name:<width$}"));
    }
    text.push_str(&format!("{}\n", head.trim_end()));
    for row in rows {
        let mut line = format!("{row:<6}");
        for &(name, width) in columns {
            let of_both = |verdict: &&Verdict| verdict.scenario == row && verdict.algorithm == name;
            let (words, code) = match verdicts.iter().find(of_both) {
                Some(verdict) if !verdict.is_as_expected() => (cell(verdict), "31"),
                Some(verdict) if verdict.broken.is_empty() => (cell(verdict), "32"),
                Some(verdict) => (cell(verdict), "33"),
                None => (String::new(), "0"),
            };
            let padded = format!("{words:<width$}");
            line.push_str(&match colours {
                true => format!("\x1b[{code}m{padded}\x1b[0m"),
                false => padded,
            });
        }
        text.push_str(&format!("{}\n", line.trim_end()));
    }
}

fn cell(verdict: &Verdict) -> String {
    let mark = if verdict.is_as_expected() { "" } else { "!" };
    format!("{mark}{}", counted(&verdict.broken))
}
