//! From a record to verdicts, files and words.
//!
//! Invariant: a run in which nothing was answered, a fault never struck, or a kill went unnoticed
//! says nothing and is never reported as fine.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_sim::fault::FaultKind;
use orrery_sim::history::json_lines;
use orrery_sim::journal::{Journal, Op, Seen};
use orrery_sim::judge::{Judged, Loss, Wrong, has_own_checker, judge, server_history};
use orrery_sim::workload::{Ask, Workload};
use orrery_sim::world::{Death, Effects, Files, Outcome};
use serde_json::{Value, json};

use crate::process::Process;
use crate::run::{Options, Record};
use crate::target::Target;

/// What servers write when they find a bug in themselves.
const ALARMS: [&str; 4] = ["panicked at", "BUG REPORT", "ASSERTION FAILED", "AddressSanitizer"];

/// How a run ended; the number is the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Everything was as it should be.
    AsExpected = 0,
    /// The server did something that it must not do.
    Violation = 1,
    /// Nothing happened that could say anything, or the checker could not tell.
    Vacuous = 2,
}

/// What one workload's history says.
#[derive(Debug)]
pub struct Row {
    /// The workload.
    pub workload: Workload,
    /// Operations that were answered, answered with an error, and of unknown outcome.
    pub operations: [u64; 3],
    /// How often a key was found gone that can only have expired, or been lost or deleted.
    pub gone: u64,
    /// The verdict.
    pub judged: Judged,
    /// Where the history is.
    pub history: PathBuf,
}

/// Everything that is said about a run.
#[derive(Debug)]
pub struct Summary {
    /// What was tested.
    pub target: Target,
    /// One row a workload.
    pub rows: Vec<Row>,
    /// How often each kind of fault struck, by its index.
    pub fired: [u32; FaultKind::ALL.len()],
    /// The length of the phase of faults and of the one after it.
    pub phases: [Duration; 2],
    /// What is wrong, the most serious first.
    pub problems: Vec<(Status, String)>,
    /// The command that repeats the run.
    pub command: String,
    /// How long the checkers took.
    pub judge_time: Duration,
}

impl Summary {
    /// How the run ended.
    #[must_use]
    pub fn status(&self) -> Status {
        self.problems.first().map_or(Status::AsExpected, |(status, _)| *status)
    }

    /// Operations of all workloads: answered, answered with an error, of unknown outcome.
    #[must_use]
    pub fn operations(&self) -> [u64; 3] {
        [0, 1, 2].map(|at| self.rows.iter().map(|row| row.operations[at]).sum())
    }
}

/// Judges a record, stores the histories and puts everything together.
pub(crate) fn summarise(target: &Target, options: &Options, record: Record) -> io::Result<Summary> {
    let start = std::time::Instant::now();
    let outcome = outcome(options, &record);
    let mut rows = Vec::new();
    for &workload in &options.setup.workloads {
        let part = part(&outcome, workload);
        let history = options.directory.join(format!("history-{}.jsonl", workload.name()));
        store(options, &part, &history)?;
        let judged = judge(&options.setup, &part, true);
        let operations = count(&part.journal);
        let gone = gone(&part.journal);
        rows.extend(judged.into_iter().map(|judged| Row {
            workload,
            operations,
            gone,
            judged,
            history: history.clone(),
        }));
    }
    let mut summary = Summary {
        target: target.clone(),
        rows,
        fired: record.deeds.fired,
        phases: record.phases,
        problems: Vec::new(),
        command: command(target, options),
        judge_time: start.elapsed(),
    };
    summary.problems = problems(options, &record, &summary);
    Ok(summary)
}

/// The record in the words of the world, which the judge understands.
fn outcome(options: &Options, record: &Record) -> Outcome {
    let death = |at_ns: u64| Death { server: 0, at_ns, keys: 0 };
    Outcome {
        journal: copy(&record.journal, |_| true),
        digest: 0,
        events: 0,
        steps: 0,
        simulated_ns: 0,
        fired: record.deeds.fired,
        struck_nobody: [false; FaultKind::ALL.len()],
        deaths: record.deeds.deaths_ns.iter().copied().map(death).collect(),
        clock_error_ms: vec![options.clock_error_max_ms],
        starved: Vec::new(),
        overfull: Vec::new(),
        files: Files::default(),
        effects: Effects::default(),
        log: Vec::new(),
    }
}

/// What of an outcome is about one workload.
fn part(outcome: &Outcome, workload: Workload) -> Outcome {
    let mut journal = copy(&outcome.journal, |op| op.key.workload == workload);
    if workload != Workload::Caches {
        journal.recalls.clear();
    }
    Outcome {
        journal,
        deaths: outcome.deaths.clone(),
        clock_error_ms: outcome.clock_error_ms.clone(),
        starved: Vec::new(),
        overfull: Vec::new(),
        files: Files::default(),
        log: Vec::new(),
        ..*outcome
    }
}

fn copy(journal: &Journal, wanted: impl Fn(&Op) -> bool) -> Journal {
    let mut part = Journal::default();
    part.ops = journal.ops.iter().copied().filter(wanted).collect();
    part.texts.clone_from(&journal.texts);
    part.lists.clone_from(&journal.lists);
    part.recalls.clone_from(&journal.recalls);
    part
}

fn count(journal: &Journal) -> [u64; 3] {
    let mut counts = [0; 3];
    for op in &journal.ops {
        counts[match op.seen {
            Seen::Open | Seen::Unknown => 2,
            Seen::Error(_) => 1,
            _ => 0,
        }] += 1;
    }
    counts
}

/// How often a read found nothing where somebody had been told before that something was written.
fn gone(journal: &Journal) -> u64 {
    let mut written = BTreeSet::new();
    let mut gone = 0;
    for op in &journal.ops {
        match (op.ask, op.seen) {
            (Ask::Get, Seen::Nil) => gone += u64::from(written.contains(&op.key)),
            (Ask::Set { .. } | Ask::SetPx { .. }, Seen::Done)
            | (Ask::IncrBy { .. }, Seen::Integer(_)) => {
                written.insert(op.key);
            }
            _ => {}
        }
    }
    gone
}

/// Stores what was judged: a history in the checker's format, or, of queues and streams, one
/// operation a line as the client saw it.
fn store(options: &Options, part: &Outcome, path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let journal = &part.journal;
    for op in journal.ops.iter().filter(|op| has_own_checker(op.key)) {
        let Op { client, call_ns, return_ns, ask, .. } = op;
        write!(out, "{call_ns} {return_ns} client {client} key {} {ask:?}", op.key.index)?;
        match op.seen {
            Seen::List(at) => writeln!(out, " {:?}", journal.lists[at as usize])?,
            Seen::Error(at) | Seen::Odd(at) => {
                writeln!(out, " {}", String::from_utf8_lossy(&journal.texts[at as usize]))?;
            }
            seen => writeln!(out, " {seen:?}")?,
        }
    }
    json_lines::write(&server_history(&options.setup, part, 0), &mut out)?;
    out.flush()
}

fn problems(options: &Options, record: &Record, summary: &Summary) -> Vec<(Status, String)> {
    let mut problems = Vec::new();
    for Row { workload, judged, .. } in &summary.rows {
        let name = workload.name();
        match &judged.wrong {
            None => {}
            Some(Wrong::NotLinearizable(why)) => {
                let why = why.as_ref().map_or_else(String::new, |why| format!("\n{why}"));
                let text = format!("the history of {name} is not linearizable{why}");
                problems.push((Status::Violation, text));
            }
            Some(Wrong::NotKept(why)) => {
                problems.push((Status::Violation, format!("{name}: {why}")));
            }
            Some(Wrong::Unknown(reason)) => {
                problems.push((Status::Vacuous, format!("{name}: no verdict: {reason}")));
            }
        }
    }
    problems.extend(record.complaint.iter().map(|text| (Status::Violation, text.clone())));
    problems.extend(alarm(&options.directory).map(|line| (Status::Violation, line)));
    if record.starved > 0 && record.complaint.is_none() {
        let text = format!("{} clients got no answers after the faults", record.starved);
        problems.push((Status::Violation, text));
    }
    if summary.operations()[0] == 0 {
        problems.push((Status::Vacuous, "no operation was answered".to_owned()));
    }
    for &kind in &options.setup.faults {
        if summary.fired[kind.index()] == 0 {
            problems.push((Status::Vacuous, format!("the fault {kind} never struck")));
        }
    }
    if let Some(row) = summary.rows.iter().find(|row| row.workload == Workload::Ttl)
        && row.gone == 0
    {
        problems.push((Status::Vacuous, "no client saw a key expire".to_owned()));
    }
    let seen = summary.rows.iter().any(|row| row.judged.loss == Loss::Seen);
    if !record.deeds.deaths_ns.is_empty() && !seen {
        let text = "the server was killed, but no client saw that its data was gone";
        problems.push((Status::Vacuous, text.to_owned()));
    }
    problems.sort_by_key(|(status, _)| *status);
    problems
}

/// A line of the server's log that says that it found a bug in itself.
fn alarm(directory: &Path) -> Option<String> {
    let log = std::fs::read(Process::log_path(directory)).ok()?;
    let log = String::from_utf8_lossy(&log);
    let line = log.lines().find(|line| ALARMS.iter().any(|alarm| line.contains(alarm)))?;
    Some(format!("the server's log says: {line}"))
}

fn command(target: &Target, options: &Options) -> String {
    let setup = &options.setup;
    let names =
        |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(",") };
    format!(
        "orrery-jepsen run --target {} --nemesis {} --seconds {} --seed {} --clients {} \
         --workload {} --think-us {} --clock-error-ms {}",
        target.path.display(),
        names(setup.faults.iter().map(|kind| kind.name()).collect()),
        setup.seconds,
        setup.seed,
        setup.clients,
        names(setup.workloads.iter().map(|workload| workload.name()).collect()),
        options.think.as_micros(),
        options.clock_error_max_ms,
    )
}

fn verdict(row: &Row) -> &'static str {
    match (&row.judged.wrong, row.judged.loss) {
        (Some(Wrong::NotLinearizable(_)), Loss::None) => "NOT LINEARIZABLE",
        (Some(Wrong::NotLinearizable(_)), _) => "NOT LINEARIZABLE, even with loss at each kill",
        (Some(Wrong::NotKept(_)), _) => "NOT KEPT",
        (Some(Wrong::Unknown(_)), _) => "unknown",
        (None, Loss::None) => "linearizable",
        (None, Loss::Seen) => "linearizable if each kill empties the server; loss seen",
        (None, Loss::Unseen) => "linearizable; the loss at kills was not seen",
    }
}

/// A summary, for people.
#[must_use]
pub(crate) fn as_text(summary: &Summary) -> String {
    let mut text = String::new();
    let [safety, liveness] = summary.phases.map(|phase| phase.as_secs_f64());
    let [ok, failed, unknown] = summary.operations();
    let _ = writeln!(text, "target     {} ({})", summary.target, summary.target.path.display());
    let faults: Vec<String> = FaultKind::ALL
        .into_iter()
        .filter(|kind| summary.fired[kind.index()] > 0)
        .map(|kind| format!("{kind} {}", summary.fired[kind.index()]))
        .collect();
    let faults = if faults.is_empty() { "none".to_owned() } else { faults.join(", ") };
    let _ = writeln!(text, "faults     {faults}");
    let _ = writeln!(
        text,
        "time       {safety:.1} s under faults, {liveness:.1} s after, {:.1} s judging; \
         {:.0} ops/s",
        summary.judge_time.as_secs_f64(),
        (ok + failed) as f64 / (safety + liveness)
    );
    let _ = writeln!(text, "operations {ok} ok, {failed} failed, {unknown} unknown\n");
    let _ = writeln!(
        text,
        "{:<10} {:>8} {:>7} {:>8} {:>10} {:>12}  verdict",
        "workload", "ok", "failed", "unknown", "found gone", "clock error"
    );
    for row in &summary.rows {
        let [ok, failed, unknown] = row.operations;
        let timed = row.workload == Workload::Ttl && row.judged.wrong.is_none();
        let error =
            if timed { format!("{} ms", row.judged.clock_error_ms) } else { "-".to_owned() };
        let name = row.workload.name();
        let verdict = verdict(row);
        let gone = row.gone;
        let _ = writeln!(
            text,
            "{name:<10} {ok:>8} {failed:>7} {unknown:>8} {gone:>10} {error:>12}  {verdict}"
        );
    }
    text.push('\n');
    for row in &summary.rows {
        let mut check = format!("orrery-sim check {}", row.history.display());
        if row.workload == Workload::Ttl {
            let _ = write!(check, " --max-clock-error-ms {}", row.judged.clock_error_max_ms);
        }
        let _ = writeln!(text, "history    {check}");
    }
    let _ = writeln!(text, "repeat     {}", summary.command);
    for (_, problem) in &summary.problems {
        let _ = writeln!(text, "problem    {problem}");
    }
    let _ = writeln!(
        text,
        "verdict    {}",
        match summary.status() {
            Status::AsExpected => "as expected",
            Status::Violation => "VIOLATION",
            Status::Vacuous => "NOTHING SHOWN",
        }
    );
    text
}

/// A summary, for programs.
#[must_use]
pub(crate) fn as_json(summary: &Summary) -> Value {
    let [ok, failed, unknown] = summary.operations();
    let rows: Vec<Value> = summary
        .rows
        .iter()
        .map(|row| {
            let [ok, failed, unknown] = row.operations;
            json!({
                "workload": row.workload.name(),
                "ok": ok,
                "failed": failed,
                "unknown": unknown,
                "found_gone": row.gone,
                "verdict": verdict(row),
                "linearizable": row.judged.wrong.is_none(),
                "loss_seen": row.judged.loss == Loss::Seen,
                "clock_error_ms": row.judged.clock_error_ms,
                "clock_error_max_ms": row.judged.clock_error_max_ms,
                "history": row.history,
            })
        })
        .collect();
    let fired: serde_json::Map<String, Value> = FaultKind::ALL
        .into_iter()
        .filter(|kind| summary.fired[kind.index()] > 0)
        .map(|kind| (kind.name().to_owned(), json!(summary.fired[kind.index()])))
        .collect();
    json!({
        "target": summary.target.to_string(),
        "status": summary.status() as u8,
        "problems": summary.problems.iter().map(|(_, text)| text).collect::<Vec<_>>(),
        "faults_fired": fired,
        "ok": ok,
        "failed": failed,
        "unknown": unknown,
        "seconds": summary.phases.map(|phase| phase.as_secs_f64()),
        "judge_s": summary.judge_time.as_secs_f64(),
        "workloads": rows,
        "command": summary.command,
    })
}
