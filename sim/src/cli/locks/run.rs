//! `orrery-sim locks run`: one story with one algorithm, told event by event.
//!
//! Invariant: the same arguments print the same.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::print;
use super::choice::{algorithm_names, scenario_named, story_for};
use crate::locks::zoo::{Scenario, counted};
use crate::locks::{Invariant, Line, QUEUES, algorithm, happen, queue, tell};

const EXAMPLES: &str = "\
Examples:
  orrery-sim locks run S12 --algorithm redlock
  orrery-sim locks run S03
  orrery-sim locks run my-story.txt --algorithm fenced --json | jq .broken

A story is a text, one line for each step; docs/LOCKS.md says how it is written, and those of the
catalogue are in sim/src/locks/stories.

Exit status: 0 nothing is broken, or what was expected; 1 something else is; 2 usage.";

/// Tell a story of the catalogue, or one in a file, event by event.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The name of a story of the catalogue, or a file.
    #[arg(value_name = "STORY")]
    story: String,
    /// The algorithm; the first of which the story expects something if not given.
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What came of a story.
struct Told {
    scenario: Scenario,
    name: &'static str,
    words: &'static str,
    broken: BTreeSet<Invariant>,
    lines: Vec<Line>,
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match told(arguments) {
        Ok(told) => show(arguments, &told),
        Err(why) => {
            eprintln!("orrery-sim: {why}");
            ExitCode::from(2)
        }
    }
}

/// The names of all algorithms, semaphores and queues.
pub(super) fn all_names() -> String {
    let queues = QUEUES.iter().map(|queue| queue.name).collect::<Vec<_>>().join(", ");
    format!("{}, {queues}", algorithm_names(|_| true))
}

fn told(arguments: &Arguments) -> Result<Told, String> {
    let name = &arguments.story;
    let scenario = scenario_named(name)?;
    let first = scenario.expected.first().map(|(first, _)| first);
    let wanted = arguments.algorithm.as_ref().or(first).ok_or_else(|| {
        format!("{name} expects nothing of any algorithm; choose one with --algorithm: {}", {
            algorithm_names(|algorithm| scenario.story_for(algorithm).is_some())
        })
    })?;
    if let (Some(queue), Some(story)) = (queue(wanted), scenario.stories.first()) {
        let (broken, lines) = queue.happen(story);
        let (name, words) = (queue.name, queue.words);
        return Ok(Told { scenario, name, words, broken, lines });
    }
    let found = algorithm(wanted).ok_or_else(|| {
        format!("--algorithm: no algorithm {wanted:?}; there are {}", all_names())
    })?;
    let story = story_for(&scenario, name, found)?;
    let outcome = happen(&story, found, true);
    let lines = outcome.trace.as_ref().map(tell).unwrap_or_default();
    let (name, words, broken) = (found.name, found.words, outcome.broken());
    Ok(Told { scenario, name, words, broken, lines })
}

fn show(arguments: &Arguments, told: &Told) -> ExitCode {
    let Told { scenario, name, broken, lines, .. } = told;
    let expected = scenario.expected.iter().find(|(other, _)| other == name);
    let expected = expected.map(|(_, broken)| broken);
    if arguments.json {
        let line = |line: &Line| {
            let broken = line.broken.map(|invariant| invariant.to_string());
            json!({"at_us": line.at_us, "text": line.text, "broken": broken})
        };
        let words = |broken: &BTreeSet<Invariant>| {
            broken.iter().map(Invariant::to_string).collect::<Vec<_>>()
        };
        let value = json!({
            "story": scenario.name,
            "title": scenario.title,
            "algorithm": name,
            "broken": words(broken),
            "expected": expected.map(words),
            "events": lines.iter().map(line).collect::<Vec<_>>(),
        });
        print(&format!("{value}\n"));
    } else {
        print(&as_text(told, std::io::stdout().is_terminal()));
        if let Some(expected) = expected.filter(|expected| *expected != broken) {
            print(&format!("expected  {}\n", counted(expected)));
        }
    }
    let is_fine = match expected {
        Some(expected) => expected == broken,
        None => broken.is_empty(),
    };
    ExitCode::from(u8::from(!is_fine))
}

/// The story in prose.
fn as_text(told: &Told, colours: bool) -> String {
    let Told { scenario, name, words, broken, lines } = told;
    let mut text = format!("{}: {}\nwith {name}: {words}\n\n", scenario.name, scenario.title);
    text.push_str("  time, ms\n");
    for line in lines {
        let at = format!("{}.{:03}", line.at_us / 1000, line.at_us % 1000);
        let (mark, on, off) = match line.broken {
            Some(_) if colours => ("!", "\x1b[31m", "\x1b[0m"),
            Some(_) => ("!", "", ""),
            None => (" ", "", ""),
        };
        text.push_str(&format!("{on}{at:>10} {mark} {}{off}\n", line.text));
    }
    text.push_str(&format!("\nverdict   {}\n", counted(broken)));
    text
}
