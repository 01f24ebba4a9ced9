//! Trials and swarms in words and in JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::loss_in_words;
use crate::fault::FaultKind;
use crate::plan::Plan;
use crate::setup::{Keeping, Setup};
use crate::swarm::Totals;
use crate::trial::Trial;
use crate::world::{Effects, Figures, Files};

/// A plan, one fault a line.
#[must_use]
pub fn plan_as_json(plan: &Plan) -> String {
    let faults: Vec<String> =
        plan.faults.iter().map(|planned| format!("  {}", json!(planned))).collect();
    format!("{{\"faults\": [\n{}\n]}}\n", faults.join(",\n"))
}

/// A trial, for people.
#[must_use]
pub fn trial_as_text(setup: &Setup, trial: &Trial, command: &str) -> String {
    let outcome = &trial.outcome;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<11}{value}");
    };
    let workloads: Vec<&str> = setup.workloads.iter().map(|workload| workload.name()).collect();
    line("seed", setup.seed.to_string());
    line(
        "world",
        format!(
            "{} servers, {} clients, {} s under faults, {}",
            setup.servers,
            setup.clients,
            setup.seconds,
            workloads.join(" ")
        ),
    );
    let faults: Vec<String> = FaultKind::ALL
        .into_iter()
        .filter(|kind| outcome.fired[kind.index()] > 0)
        .map(|kind| format!("{kind} {}", outcome.fired[kind.index()]))
        .collect();
    line("faults", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") });
    line("network", network(outcome.effects));
    line(
        "operations",
        format!(
            "{} ({} answered, {} unknown), {} events, {} engine steps",
            outcome.journal.ops.len(),
            outcome.journal.answered,
            outcome.journal.unknown,
            outcome.events,
            outcome.steps
        ),
    );
    let simulated = outcome.simulated_ns as f64 / 1e9;
    let (world, judge) = (trial.world_time.as_secs_f64(), trial.judge_time.as_secs_f64());
    line(
        "time",
        format!(
            "{simulated:.3} s simulated in {world:.4} s of CPU, judged in {judge:.4} s; \
             {:.0} events/s, {:.0} times real time",
            outcome.events as f64 / (world + judge),
            simulated / (world + judge)
        ),
    );
    if setup.keeping != Keeping::Nothing {
        line("files", files(trial));
    }
    line("data loss", loss_in_words(trial.loss()).to_owned());
    for judged in &trial.judged {
        line(
            &format!("server {}", judged.server),
            format!(
                "{} operations; clock error of keys with a time to live: {} ms of at most {} ms",
                judged.operations, judged.clock_error_ms, judged.clock_error_max_ms
            ),
        );
    }
    line("verdict", verdict(trial).to_owned());
    line("digest", format!("{:016x}", outcome.digest));
    for fault in &trial.faults {
        line("", fault.to_string());
    }
    line("repeat", command.to_owned());
    text
}

fn files(trial: &Trial) -> String {
    let Files { emptied, figures, .. } = &trial.outcome.files;
    let Figures { orders, failed, interrupted, lossy, cut } = figures;
    format!(
        "{orders} orders, {failed} of them failed; {interrupted} operations cut short by deaths, \
         {lossy} losses of power that took something away, {cut} logs cut where they were broken, \
         {} disks emptied; data was back after {} deaths",
        emptied.len(),
        trial.recovered()
    )
}

fn network(effects: Effects) -> String {
    let Effects { messages, held, lost, pieces, swallowed, waited, evicted, script_steps } =
        effects;
    format!(
        "{messages} messages: {held} held up, {lost} lost and sent again, {swallowed} swallowed, \
         {pieces} in pieces; {waited} inputs waited for a process; {evicted} keys evicted; scripts \
         went on after {script_steps} steps"
    )
}

fn verdict(trial: &Trial) -> &'static str {
    match (trial.failed(), trial.faults.is_empty()) {
        (true, _) => "FAILED",
        (false, true) => "fine",
        (false, false) => "unknown",
    }
}

/// A trial, for programs.
#[must_use]
pub fn trial_as_json(setup: &Setup, trial: &Trial, command: &str) -> Value {
    let outcome = &trial.outcome;
    let fired: serde_json::Map<String, Value> = FaultKind::ALL
        .into_iter()
        .map(|kind| (kind.name().to_owned(), json!(outcome.fired[kind.index()])))
        .collect();
    let servers: Vec<Value> = trial
        .judged
        .iter()
        .map(|judged| {
            json!({
                "operations": judged.operations,
                "clock_error_ms": judged.clock_error_ms,
                "clock_error_max_ms": judged.clock_error_max_ms,
                "violation": judged.wrong.is_some(),
                "loss": loss_in_words(judged.loss),
            })
        })
        .collect();
    json!({
        "seed": setup.seed,
        "verdict": verdict(trial),
        "problems": trial.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "digest": format!("{:016x}", outcome.digest),
        "data_loss": loss_in_words(trial.loss()),
        "faults_fired": fired,
        "servers": servers,
        "disk_orders": outcome.files.figures.orders,
        "disk_orders_failed": outcome.files.figures.failed,
        "disks_emptied": outcome.files.emptied.len(),
        "recovered": trial.recovered(),
        "operations": outcome.journal.ops.len(),
        "answered": outcome.journal.answered,
        "unknown": outcome.journal.unknown,
        "events": outcome.events,
        "engine_steps": outcome.steps,
        "simulated_s": outcome.simulated_ns as f64 / 1e9,
        "world_cpu_s": trial.world_time.as_secs_f64(),
        "judge_cpu_s": trial.judge_time.as_secs_f64(),
        "command": command,
    })
}

/// A swarm, for people.
#[must_use]
pub fn totals_as_text(totals: &Totals) -> String {
    let mut text = String::new();
    let seconds = totals.elapsed.as_secs_f64();
    let busy = (totals.world_time + totals.judge_time).as_secs_f64();
    let simulated = totals.simulated_ns as f64 / 1e9;
    let _ = writeln!(
        text,
        "seeds      {} from {} on, in {seconds:.1} s with {} jobs: {:.1} seeds/s",
        totals.seeds,
        totals.first_seed,
        totals.jobs,
        totals.seeds as f64 / seconds
    );
    let _ = writeln!(
        text,
        "events     {}: {:.0} in a second of CPU ({:.0} without judging)",
        totals.events,
        totals.events as f64 / busy,
        totals.events as f64 / totals.world_time.as_secs_f64()
    );
    let _ = writeln!(
        text,
        "time       {simulated:.0} s simulated in {busy:.1} s of CPU: {:.0} times real time on one \
         core ({:.0} without judging); {:.0} % of the work is judging",
        simulated / busy,
        simulated / totals.world_time.as_secs_f64(),
        100.0 * totals.judge_time.as_secs_f64() / busy
    );
    let _ = writeln!(
        text,
        "clients    {} operations answered, {} with unknown outcome",
        totals.answered, totals.unknown_operations
    );
    let _ = writeln!(
        text,
        "servers    {} keys evicted in {} of {} runs with little memory, {} commands refused; {} \
         steps of scripts that went on; {} looks at copies",
        totals.evicted.0,
        totals.evicted.1,
        totals.runs_with_little_memory,
        totals.refused,
        totals.script_steps,
        totals.recalls
    );
    let _ = writeln!(text, "faults     (times struck, runs)");
    for kind in FaultKind::ALL {
        let (fired, runs) = totals.fired[kind.index()];
        let _ = writeln!(text, "           {kind:<18} {fired:>9} {runs:>8}");
    }
    let _ = writeln!(
        text,
        "data loss  {} runs with deaths; clients saw the loss in {} of them, as expected",
        totals.runs_with_deaths, totals.runs_with_seen_loss
    );
    let _ = writeln!(text, "files      {}", files_of_all(totals));
    let _ = writeln!(
        text,
        "verdict    {} failures, {} digest differences in {} runs made twice, {} unknown",
        totals.failures, totals.differences, totals.twice, totals.unknown_verdicts
    );
    for report in &totals.reports {
        let _ = writeln!(text, "\nseed {}: {}", report.seed, report.what);
        let _ = writeln!(text, "  {}", report.command);
    }
    text
}

fn files_of_all(totals: &Totals) -> String {
    format!(
        "{} runs with disks: {} orders, {} of them failed; data was back after {} deaths, {} disks \
         were emptied",
        totals.runs_with_disks,
        totals.disks.orders,
        totals.disks.failed,
        totals.recovered,
        totals.emptied
    )
}

/// A swarm, for programs.
#[must_use]
pub fn totals_as_json(totals: &Totals) -> Value {
    let busy = (totals.world_time + totals.judge_time).as_secs_f64();
    let simulated = totals.simulated_ns as f64 / 1e9;
    let fired: serde_json::Map<String, Value> = FaultKind::ALL
        .into_iter()
        .map(|kind| (kind.name().to_owned(), json!(totals.fired[kind.index()].0)))
        .collect();
    let reports: Vec<Value> = totals
        .reports
        .iter()
        .map(
            |report| json!({ "seed": report.seed, "what": report.what, "command": report.command }),
        )
        .collect();
    json!({
        "first_seed": totals.first_seed,
        "seeds": totals.seeds,
        "jobs": totals.jobs,
        "elapsed_s": totals.elapsed.as_secs_f64(),
        "seeds_per_s": totals.seeds as f64 / totals.elapsed.as_secs_f64(),
        "events": totals.events,
        "events_per_cpu_s": totals.events as f64 / busy,
        "events_per_cpu_s_without_judging":
            totals.events as f64 / totals.world_time.as_secs_f64(),
        "simulated_s": simulated,
        "cpu_s": busy,
        "times_real_time_per_core": simulated / busy,
        "times_real_time_per_core_without_judging": simulated / totals.world_time.as_secs_f64(),
        "answered": totals.answered,
        "unknown_operations": totals.unknown_operations,
        "refused": totals.refused,
        "evicted_keys": totals.evicted.0,
        "runs_with_evictions": totals.evicted.1,
        "runs_with_little_memory": totals.runs_with_little_memory,
        "script_steps": totals.script_steps,
        "looks_at_copies": totals.recalls,
        "faults_fired": fired,
        "runs_with_deaths": totals.runs_with_deaths,
        "runs_with_seen_loss": totals.runs_with_seen_loss,
        "runs_with_disks": totals.runs_with_disks,
        "disk_orders": totals.disks.orders,
        "disk_orders_failed": totals.disks.failed,
        "disks_emptied": totals.emptied,
        "recovered": totals.recovered,
        "failures": totals.failures,
        "digest_differences": totals.differences,
        "runs_made_twice": totals.twice,
        "unknown_verdicts": totals.unknown_verdicts,
        "reports": reports,
    })
}
