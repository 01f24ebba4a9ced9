//! `orrery-sim locks exhaustive`: every interleaving of a small world.
//!
//! The status says the verdict: 0 everything holds, 1 something is broken, 2 not everything was
//! searched.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::super::print;
use crate::locks::Fences;
use crate::locks::exhaustive::{
    Algorithm, Broken, Findings, Forgets, Invariant, NODES_MAX, Options, Progress, Scope,
    extending, search,
};

const EXAMPLES: &str = "\
Examples:
  orrery-sim locks exhaustive --clock-step 1 --until one-believes
  orrery-sim locks exhaustive --algorithm quorum-fenced --fences all
  orrery-sim locks exhaustive --algorithm quorum-fenced --fences writes --until no-lost-update
  orrery-sim locks exhaustive --algorithm fenced --counters 1,0,0 --until numbers-grow
  orrery-sim locks exhaustive --servers 1 --algorithm fenced --fences all --pause 1 --json
  orrery-sim locks exhaustive --algorithm quorum-fenced --fences all --table

Two clients acquire the lock, read a value from a store, write what they make of it, and give the
lock back, in every order in which messages can arrive. A lock lives three ticks, a server is
waited for one. Invariants: one-believes, one-granted, no-late-write, no-lost-update,
numbers-grow, later-served.

Exit status: 0 everything holds, 1 something is broken, 2 usage, or not everything was searched.";

/// Search every interleaving of two clients of a lock, and faults.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// How the lock is acquired.
    #[arg(long, value_enum, default_value_t = AlgorithmArgument::Redlock)]
    algorithm: AlgorithmArgument,
    /// Which of the clients' requests the store checks the numbers of.
    #[arg(long, value_enum, default_value_t = FencesArgument::None)]
    fences: FencesArgument,
    /// Lock servers, at most three.
    #[arg(long, value_name = "N", default_value_t = 3)]
    servers: u16,
    /// Pauses of a client.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pause: u8,
    /// Clocks of servers that are set forward by more than a lock lives.
    #[arg(long, value_name = "N", default_value_t = 0)]
    clock_step: u8,
    /// Crashes of servers, which come back at once.
    #[arg(long, value_name = "N", default_value_t = 0)]
    crash: u8,
    /// What a server that crashes has lost.
    #[arg(long, value_enum, default_value_t = ForgetsArgument::Everything)]
    forgets: ForgetsArgument,
    /// How often each client acquires the lock.
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "1,1")]
    turns: Vec<u8>,
    /// What each server has counted before.
    #[arg(long, value_name = "N,N,N", value_delimiter = ',', default_value = "0,0,0")]
    counters: Vec<u8>,
    /// Extend the lock each tick until it was held for so many, at most 3; 0: never.
    #[arg(long, value_name = "N", default_value_t = 0)]
    extend: u64,
    /// No more time than so many ticks; as much as there is if not given.
    #[arg(long, value_name = "N")]
    ticks: Option<u8>,
    /// Stop when this is broken instead of searching everything.
    #[arg(long, value_name = "INVARIANT", value_parser = invariant)]
    until: Option<Invariant>,
    /// Give up at so many states; each takes about 75 bytes.
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    states_max: usize,
    /// Search each combination of a pause, a clock that is set and a crash, and print a table.
    #[arg(long, conflicts_with_all = ["pause", "clock_step", "crash", "until", "json", "brief"])]
    table: bool,
    /// Do not tell how it is broken.
    #[arg(long)]
    brief: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AlgorithmArgument {
    /// Redlock, whose grants have no numbers.
    Redlock,
    /// Redlock with the greatest of the servers' counters for a number.
    Fenced,
    /// Redlock with numbers that a majority has before the lock is there.
    QuorumFenced,
    /// The same with numbers that are proposed, so that one round may be enough.
    Proposed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FencesArgument {
    /// None.
    None,
    /// Writes.
    Writes,
    /// Writes, and the reads before them.
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ForgetsArgument {
    /// Who has the lock; its counter is kept.
    Key,
    /// Everything.
    Everything,
}

fn invariant(name: &str) -> Result<Invariant, String> {
    let named = Invariant::ALL.into_iter().find(|it| it.name() == name);
    named.ok_or_else(|| {
        let names = Invariant::ALL.map(Invariant::name);
        format!("it is one of {}", names.join(", "))
    })
}

impl Arguments {
    fn scope(&self) -> Result<Scope, String> {
        let algorithm = match self.algorithm {
            AlgorithmArgument::Redlock => Algorithm::Redlock,
            AlgorithmArgument::Fenced => Algorithm::Fenced,
            AlgorithmArgument::QuorumFenced => Algorithm::QuorumFenced,
            AlgorithmArgument::Proposed => Algorithm::Proposed,
        };
        let plain = algorithm.settings(self.servers);
        let settings = if self.extend > 0 { extending(plain, self.extend) } else { plain };
        let mut counters = [0; NODES_MAX];
        if self.counters.len() > counters.len() {
            return Err("there are at most three servers".to_owned());
        }
        counters[..self.counters.len()].copy_from_slice(&self.counters);
        let scope = Scope {
            fences: match self.fences {
                FencesArgument::None => Fences::Nothing,
                FencesArgument::Writes => Fences::Writes,
                FencesArgument::All => Fences::All,
            },
            turns: self.turns[..].try_into().map_err(|_| "there are two clients".to_owned())?,
            counters,
            pauses: self.pause,
            clock_steps: self.clock_step,
            crashes: self.crash,
            forgets: match self.forgets {
                ForgetsArgument::Key => Forgets::Key,
                ForgetsArgument::Everything => Forgets::Everything,
            },
            ticks: self.ticks,
            ..Scope::new(settings)
        };
        scope.problem().map_or(Ok(scope), |problem| Err(problem.to_owned()))
    }
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let scope = match arguments.scope() {
        Ok(scope) => scope,
        Err(problem) => {
            eprintln!("orrery-sim: {problem}");
            return ExitCode::from(2);
        }
    };
    let options = Options {
        states_max: arguments.states_max,
        enough: arguments.until.map(Broken::only).unwrap_or_default(),
        ..Options::default()
    };
    let bar = progress_bar(arguments);
    if arguments.table {
        return table(&scope, options, &bar);
    }
    let (findings, elapsed) = watched(&scope, options, &bar);
    bar.finish_and_clear();
    if arguments.json {
        print(&format!("{}\n", as_json(&findings, elapsed)));
    } else {
        print(&as_text(&findings, elapsed, arguments.brief));
    }
    if findings.is_too_large {
        eprintln!(
            "orrery-sim: more than {} states: see --states-max, --ticks and --until",
            arguments.states_max
        );
    }
    status(!findings.broken.is_empty(), findings.is_complete)
}

fn status(is_broken: bool, is_complete: bool) -> ExitCode {
    ExitCode::from(match (is_broken, is_complete) {
        (true, _) => 1,
        (false, true) => 0,
        (false, false) => 2,
    })
}

fn watched(scope: &Scope, options: Options, bar: &ProgressBar) -> (Findings, Duration) {
    let start = Instant::now();
    let findings = search(scope, options, &|progress| show(bar, progress, start));
    (findings, start.elapsed())
}

/// The table: in how many steps each invariant is broken by which faults.
fn table(scope: &Scope, options: Options, bar: &ProgressBar) -> ExitCode {
    let names = Invariant::ALL.map(Invariant::name).join(" | ");
    print(&format!("| pause, step, crash | {names} | states | levels | s |\n"));
    print(&format!("|---{}|\n", "|--:".repeat(Invariant::ALL.len() + 3)));
    let (mut is_broken, mut is_complete) = (false, true);
    for faults in 0..8 {
        let [pauses, clock_steps, crashes] = [faults >> 2, faults >> 1 & 1, faults & 1];
        let scope = Scope { pauses, clock_steps, crashes, ..*scope };
        let (findings, elapsed) = watched(&scope, options, bar);
        let cell = |invariant: Invariant| match (findings.how(invariant), findings.is_complete) {
            (Some(found), _) => found.steps.to_string(),
            (None, true) => "holds".to_owned(),
            (None, false) => "?".to_owned(),
        };
        let cells = Invariant::ALL.map(cell).join(" | ");
        let Findings { states, levels, .. } = findings;
        let s = elapsed.as_secs_f64();
        bar.suspend(|| {
            let faults = format!("{pauses} {clock_steps} {crashes}");
            print(&format!("| {faults} | {cells} | {states} | {levels} | {s:.1} |\n"));
        });
        is_broken |= !findings.broken.is_empty();
        is_complete &= findings.is_complete;
    }
    bar.finish_and_clear();
    status(is_broken, is_complete)
}

fn progress_bar(arguments: &Arguments) -> ProgressBar {
    if arguments.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}  {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: Progress, start: Instant) {
    let Progress { level, states, open } = progress;
    let rate = per_second(states, start.elapsed());
    bar.tick();
    bar.set_message(format!("level {level}, {states} states, {open} open, {rate} states/s"));
}

fn per_second(states: usize, elapsed: Duration) -> u64 {
    (states as f64 / elapsed.as_secs_f64().max(1e-6)) as u64
}

fn as_json(findings: &Findings, elapsed: Duration) -> serde_json::Value {
    let invariants = Invariant::ALL.into_iter().map(|invariant| {
        let found = findings.how(invariant);
        let verdict = match (found, findings.is_complete) {
            (Some(_), _) => "broken",
            (None, true) => "holds",
            (None, false) => "unknown",
        };
        json!({
            "invariant": invariant.name(),
            "verdict": verdict,
            "steps": found.map(|found| found.steps),
            "story": found.map(|found| &found.story),
        })
    });
    json!({
        "invariants": invariants.collect::<Vec<_>>(),
        "is_complete": findings.is_complete,
        "states": findings.states,
        "steps": findings.steps,
        "levels": findings.levels,
        "client_states": findings.client_states,
        "elapsed_us": u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
    })
}

fn as_text(findings: &Findings, elapsed: Duration, is_brief: bool) -> String {
    let mut text = String::new();
    for invariant in Invariant::ALL {
        let verdict = match (findings.how(invariant), findings.is_complete) {
            (Some(found), _) => format!("broken in {} steps", found.steps),
            (None, true) => "holds".to_owned(),
            (None, false) => "not broken so far".to_owned(),
        };
        text.push_str(&format!("{:14}  {verdict}\n", invariant.name()));
    }
    for found in findings.broken.iter().filter(|_| !is_brief) {
        text.push_str(&format!("\nAgainst: {}\n", found.invariant.in_words()));
        for (at, line) in found.story.iter().enumerate() {
            text.push_str(&format!("{:4}. {line}\n", at + 1));
        }
    }
    let Findings { states, steps, levels, is_complete, .. } = findings;
    let (rate, all) = (per_second(*states, elapsed), if *is_complete { "all" } else { "not all" });
    text.push_str(&format!(
        "\n{states} states in {levels} levels, {steps} steps between them; {all} searched, \
         {elapsed:.1?}, {rate} states/s\n"
    ));
    text
}
