//! `orrery-sim replay`: runs a server's recording again.
//!
//! The status says the verdict: 0 the same, 1 another, 2 unreadable or wrong usage, 3 damaged in
//! the middle and the same up to there.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use orrery_engine::{Now, UnixMicros};
use serde_json::json;

use super::print;
use crate::replay::{self, Difference, Options, Parts, Replay, Report, Shown, Until, Verdict};
use crate::trial::cpu_time;

const EXAMPLES: &str = "\
Examples:
  orrery-sim replay /var/lib/orrery/flight              the last recording of that name
  orrery-sim replay /var/lib/orrery/flight.3            the third
  orrery-sim replay flight.3.1 --until 12.5s --print lock:42 --print queue
  orrery-sim replay flight.3.1 --until 2026-11-20T17:00:00Z --db 2 --print user:1
  orrery-sim replay flight.3.1 --stop-at-command 'DEL lock:*' --print lock:42
  orrery-sim replay flight.3.1 --json | jq .verdict

A server records with `orrery-server --record-file /var/lib/orrery/flight`.

Exit status: 0 every reply was the same, 1 one was not, 2 unreadable or wrong usage, 3 damaged in
the middle, the same up to there. A torn last block is what a killed server leaves: it is told of
and is no damage.";

/// Run a recording of a server again, and compare every reply.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A file of the recording, or the name before its numbers.
    file: PathBuf,
    /// Stop after a number of steps, a span since the start (1.5s) or at a time of day.
    #[arg(long, value_name = "TIME|STEP", value_parser = Until::parse)]
    until: Option<Until>,
    /// Stop before the first command whose words match this pattern, in any case.
    #[arg(long, value_name = "PATTERN")]
    stop_at_command: Option<String>,
    /// Print what this key holds where the replay stopped; may be given several times.
    #[arg(long, value_name = "KEY")]
    print: Vec<String>,
    /// The database of the keys to print.
    #[arg(long, value_name = "N", default_value_t = 0)]
    db: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let options = Options { until: arguments.until, command: arguments.stop_at_command.clone() };
    let opened = Parts::find(&arguments.file).and_then(|parts| Replay::open(parts, options));
    let mut replay = match opened {
        Ok(replay) => replay,
        Err(why) => return unreadable(arguments, &why),
    };
    let version = env!("CARGO_PKG_VERSION");
    if replay.start().version != version {
        eprintln!(
            "orrery-sim: recorded by version {}, replayed by {version}: they may differ",
            replay.start().version
        );
    }
    tell_of_panics();
    let bar = progress_bar(arguments, replay.bytes_total());
    let begun = cpu_time();
    let report = replay.run(&mut |bytes, steps| {
        bar.set_position(bytes);
        bar.set_message(format!("{steps} steps"));
    });
    bar.finish_and_clear();
    let spent = cpu_time() - begun;
    let show = |key: &String| replay::show(replay.engine(), arguments.db, key.as_bytes());
    let shown: Vec<Shown> = arguments.print.iter().map(show).collect();
    if arguments.json {
        print(&format!("{}\n", as_json(&report, spent, &shown)));
    } else {
        print(&as_text(&report, spent));
        shown.iter().for_each(|shown| print(&shown.as_text()));
    }
    ExitCode::from(match report.verdict {
        Verdict::Same => 0,
        Verdict::Differs(_) => 1,
        Verdict::Damaged(_) => 3,
    })
}

fn unreadable(arguments: &Arguments, why: &str) -> ExitCode {
    let file = arguments.file.display();
    if arguments.json {
        let value = json!({ "verdict": "unreadable", "reason": format!("{file}: {why}") });
        print(&format!("{value}\n"));
    } else {
        eprintln!("orrery-sim: {file}: {why}");
        eprintln!(
            "Name a recording that `orrery-server --record-file` made: NAME, NAME.N or NAME.N.1."
        );
    }
    ExitCode::from(2)
}

/// A recording may end in the panic that it was made to explain.
fn tell_of_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        eprintln!("orrery-sim: the engine panicked in step {}", replay::step_now());
    }));
}

fn progress_bar(arguments: &Arguments, bytes: u64) -> ProgressBar {
    if arguments.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let template = "{bar:30} {bytes}/{total_bytes} {eta}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn day(time: UnixMicros) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).map_or_else(|_| time.0.to_string(), |time| time.to_string())
}

/// A moment as seconds since the start and as a time of day.
fn moment(report: &Report, now: Now) -> String {
    let since = now.mono.since(report.start.now.mono).0 as f64 / 1e6;
    format!("{since:.6} s after the start, {}", day(now.wall))
}

fn as_text(report: &Report, spent: Duration) -> String {
    let Report { steps, outputs, output_bytes, bytes, .. } = report;
    let mut text = format!(
        "recorded  by version {}, from {} on\n\
         replayed  {bytes} bytes: {steps} steps, {outputs} times output of {output_bytes} bytes \
         together, in {:.3} s of CPU\n\
         reached   {}\n",
        report.start.version,
        day(report.start.now.wall),
        spent.as_secs_f64(),
        moment(report, report.now),
    );
    if let Some(stopped) = &report.stopped {
        text.push_str(&format!("stopped   {stopped}\n"));
    }
    if let Some(end) = &report.end {
        text.push_str(&format!("ended     {end}\n"));
    }
    let digest = if report.digest_compared { ", and so is the data at the end" } else { "" };
    match &report.verdict {
        Verdict::Same => text.push_str(&format!("verdict   the same in every byte{digest}\n")),
        Verdict::Damaged(why) => {
            text.push_str(&format!("verdict   damaged: {why}; the same up to there\n"))
        }
        Verdict::Differs(difference) => {
            let Difference { what, step, now, conn, request, reply } = &**difference;
            text.push_str(&format!("verdict   another: {what}\n"));
            text.push_str(&format!("where     step {step}, {}\n", moment(report, *now)));
            text.push_str(&format!("client    {}, which sent last\n", conn.0));
            text.push_str(&format!("          {}\n", request.escape_ascii()));
            text.push_str(&format!("replayed  {}\n", reply.escape_ascii()));
        }
    }
    text
}

fn as_json(report: &Report, spent: Duration, shown: &[Shown]) -> serde_json::Value {
    let (verdict, detail) = match &report.verdict {
        Verdict::Same => ("same", json!(null)),
        Verdict::Damaged(why) => ("damaged", json!(why)),
        Verdict::Differs(difference) => {
            let Difference { what, step, now, conn, request, reply } = &**difference;
            let detail = json!({
                "what": what,
                "step": step,
                "mono_us": now.mono.0,
                "wall_us": now.wall.0,
                "client": conn.0,
                "request": request.escape_ascii().to_string(),
                "reply": reply.escape_ascii().to_string(),
            });
            ("differs", detail)
        }
    };
    json!({
        "verdict": verdict,
        "detail": detail,
        "version": report.start.version,
        "steps": report.steps,
        "outputs": report.outputs,
        "output_bytes": report.output_bytes,
        "bytes": report.bytes,
        "start_wall_us": report.start.now.wall.0,
        "elapsed_us": report.now.mono.since(report.start.now.mono).0,
        "wall_us": report.now.wall.0,
        "cpu_seconds": spent.as_secs_f64(),
        "stopped": report.stopped,
        "ended": report.end,
        "digest_compared": report.digest_compared,
        "keys": shown.iter().map(Shown::as_json).collect::<Vec<_>>(),
    })
}
