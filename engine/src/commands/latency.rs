//! LATENCY: events that took long, and how long commands take.

use super::Cx;
use super::help::help;
use super::latency_doctor::report;
use super::spec::{Command, Flags, Group};
use super::table::{Row, table};
use crate::args::Args;
use crate::error::Error;
use crate::observe::{Histogram, draw};

const ANY_TIME: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);
const LATENCY: Command =
    Command { arity: 2, flags: ANY_TIME, group: Group::Server, since: "2.8.13", ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "LATENCY",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about what takes long.",
        ..LATENCY
    },
    Command {
        name: "LATENCY DOCTOR",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        summary: "Says in words what took long, and what can be done about it.",
        reply: "verbatim",
        run: doctor,
        ..LATENCY
    },
    Command {
        name: "LATENCY GRAPH",
        syntax: "event",
        arity: 3,
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        summary: "Draws how long an event took, over time.",
        reply: "verbatim",
        run: graph,
        ..LATENCY
    },
    Command {
        name: "LATENCY HELP",
        flags: Flags::LOADING.and(Flags::STALE),
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..LATENCY
    },
    Command {
        name: "LATENCY HISTOGRAM",
        syntax: "[command [command ...]]",
        arity: -2,
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        since: "7.0.0",
        complexity: "O(N) where N is the number of commands with latency information being \
                     retrieved.",
        summary: "Returns how often commands took no longer than certain times.",
        reply: "map<bulk, map<bulk, integer | map<integer, integer>>>",
        run: histogram,
        ..LATENCY
    },
    Command {
        name: "LATENCY HISTORY",
        syntax: "event",
        arity: 3,
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        summary: "Returns when an event took how long.",
        reply: "array<[integer, integer]>",
        run: history,
        ..LATENCY
    },
    Command {
        name: "LATENCY LATEST",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        summary: "Returns the newest sample and the longest of every event.",
        reply: "array<[bulk, integer, integer, integer]>",
        run: latest,
        ..LATENCY
    },
    Command {
        name: "LATENCY RESET",
        syntax: "[event [event ...]]",
        arity: -2,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        summary: "Forgets events; all of them unless some are named.",
        reply: "integer",
        run: reset,
        ..LATENCY
    },
];

fn doctor(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let text = report(cx);
    cx.reply.verbatim("txt", &text);
    Ok(())
}

fn graph(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some((event, series)) = cx.state.observer.latency.find(args.at(2)) else {
        let mut text = b"ERR No samples available for event '".to_vec();
        text.extend_from_slice(args.at(2));
        text.push(b'\'');
        return Err(Error::text(String::from_utf8_lossy(&text).into_owned()));
    };
    let now_secs = cx.now.wall.0 / 1_000_000;
    let millis = || series.samples().map(|sample| sample.millis);
    let (high, low) = (millis().max().unwrap_or(0), millis().min().unwrap_or(0));
    let columns: Vec<(u64, String)> = series
        .samples()
        .map(|sample| (sample.millis, age(now_secs.saturating_sub(sample.unix_secs))))
        .collect();
    let text = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n{}",
        series.longest_ms,
        "-".repeat(80),
        draw(&columns)
    );
    cx.reply.verbatim("txt", &text);
    Ok(())
}

/// A span as the label of a column: `59s`, `3m`, `5h`, `2d`.
fn age(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m", secs / 60),
        3600..86_400 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

fn history(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some((_, series)) = cx.state.observer.latency.find(args.at(2)) else {
        cx.reply.array(0);
        return Ok(());
    };
    cx.reply.array(series.samples().len());
    for sample in series.samples() {
        cx.reply.array(2);
        cx.reply.integer(sample.unix_secs as i64);
        cx.reply.integer(sample.millis as i64);
    }
    Ok(())
}

fn latest(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let events = cx.state.observer.latency.iter();
    cx.reply.array(events.len());
    for (event, series) in events {
        cx.reply.array(4);
        cx.reply.text(event);
        cx.reply.integer(series.last().unix_secs as i64);
        cx.reply.integer(series.last().millis as i64);
        cx.reply.integer(series.longest_ms as i64);
    }
    Ok(())
}

fn reset(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let events = &mut cx.state.observer.latency;
    let forgotten = if args.len() == 2 {
        events.forget_all()
    } else {
        args.from(2).filter(|name| events.forget(name)).count()
    };
    cx.reply.count(forgotten);
    Ok(())
}

fn histogram(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.state.settle_durations();
    let rows = table().rows();
    let mut wanted: Vec<&Row> = Vec::new();
    if args.len() == 2 {
        wanted.extend(rows);
    }
    for row in args.from(2).filter_map(|name| cx.state.command_named(name)) {
        wanted.push(row);
        wanted.extend(row.subcommands.iter().map(|&index| &rows[index]));
    }
    let durations = &cx.state.observer.durations;
    let found: Vec<(&Row, &Histogram)> =
        wanted.into_iter().filter_map(|row| Some((row, durations.of(row.index)?))).collect();
    cx.reply.map(found.len());
    for (row, histogram) in found {
        cx.reply.text(row.full_name);
        cx.reply.map(2);
        cx.reply.text("calls");
        cx.reply.integer(histogram.total() as i64);
        cx.reply.text("histogram_usec");
        let counts = histogram.cumulative();
        cx.reply.map(counts.len());
        for (micros, count) in counts {
            cx.reply.integer(micros as i64);
            cx.reply.integer(count as i64);
        }
    }
    Ok(())
}
