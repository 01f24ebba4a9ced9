//! MEMORY: what memory is used for.

use super::Cx;
use super::help::help;
use super::info_memory::{Usage, percent};
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec};
use crate::args::Args;
use crate::error::Error;
use crate::value::number::parse_integer;

const FIGURES: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
const MEMORY: Command = Command { arity: 2, group: Group::Server, since: "4.0.0", ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "MEMORY",
        arity: -2,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about memory.",
        ..MEMORY
    },
    Command {
        name: "MEMORY DOCTOR",
        tips: FIGURES,
        complexity: "O(N) where N is the number of connections",
        summary: "Says what looks wrong about the use of memory.",
        reply: "verbatim",
        run: doctor,
        ..MEMORY
    },
    Command {
        name: "MEMORY HELP",
        flags: Flags::LOADING.and(Flags::STALE),
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..MEMORY
    },
    Command {
        name: "MEMORY MALLOC-STATS",
        tips: FIGURES,
        summary: "Returns what the allocator says about itself.",
        reply: "bulk",
        run: allocator,
        ..MEMORY
    },
    Command {
        name: "MEMORY PURGE",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        summary: "Gives back some of the memory of what was deleted.",
        reply: "ok",
        run: purge,
        ..MEMORY
    },
    Command {
        name: "MEMORY STATS",
        tips: FIGURES,
        complexity: "O(N) where N is the number of connections",
        summary: "Returns what memory is used for.",
        reply: "map<bulk, integer | double | map<bulk, integer>>",
        run: stats,
        ..MEMORY
    },
    Command {
        name: "MEMORY USAGE",
        syntax: "key [SAMPLES count]",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec {
            flags: &["RO"],
            begin: Begin::Index(2),
            find: Find::Range { last: 0, step: 1 },
        }],
        complexity: "O(1)",
        summary: "Returns how many bytes a key and its value take.",
        reply: "integer | null",
        run: usage,
        ..MEMORY
    },
];

/// Below this there is nothing to say about the use of memory.
const WORTH_A_LOOK_BYTES: usize = 5 << 20;

/// Less unused room in pages is not worth a word.
const UNUSED_BYTES_WORTH_A_WORD: usize = 10 << 20;
/// Fewer scripts are not worth a word.
const SCRIPTS_WORTH_A_WORD: usize = 1000;

fn usage(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut index = 3;
    while index < args.len() {
        if !args.is(index, "SAMPLES") || index + 1 == args.len() {
            return Err(Error::Syntax);
        }
        // The size is known exactly, so the number of samples does not matter.
        let samples = parse_integer(args.at(index + 1)).ok_or(Error::NotAnInteger)?;
        if samples < 0 {
            return Err(Error::Syntax);
        }
        index += 2;
    }
    match cx.find(args.at(2)) {
        Some(found) => {
            let bytes = cx.state.keyspace.db(cx.session.db).entry_bytes(found);
            cx.reply.count(bytes);
        }
        None => cx.reply.null(),
    }
    Ok(())
}

/// The allocator's figures are those of the engine's own pages. What the process holds beside is
/// not told apart: there are no entries `allocator.resident`, `allocator-rss` and `rss-overhead`.
fn stats(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let usage = Usage::now(cx);
    let (peak, startup) = (cx.state.memory_peak, cx.state.memory_startup);
    let filled: Vec<usize> = (0..cx.state.keyspace.count())
        .filter(|&index| !cx.state.keyspace.db(index).is_empty())
        .collect();
    let keys: usize = filled.iter().map(|&index| cx.state.keyspace.db(index).len()).sum();
    let per_key = usage.used.saturating_sub(startup).checked_div(keys).unwrap_or(0);
    let resident = cx.state.vitals.resident_bytes;
    let (_, _, functions) = cx.state.libraries.totals();
    let unused = cx.state.keyspace.unused_bytes();
    let reply = &mut *cx.reply;
    let counts = [
        ("peak.allocated", peak),
        ("total.allocated", usage.used),
        ("startup.allocated", startup),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", usage.clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", functions),
    ];
    reply.map(counts.len() + filled.len() + 12);
    for (name, count) in counts {
        reply.text(name);
        reply.count(count);
    }
    for index in filled {
        reply.text(&format!("db.{index}"));
        reply.map(3);
        reply.text("overhead.hashtable.main");
        reply.count(cx.state.keyspace.db(index).overhead_bytes());
        // Deadlines are in the entries and slots in the index: neither has a table.
        for name in ["overhead.hashtable.expires", "overhead.hashtable.slot-to-keys"] {
            reply.text(name);
            reply.count(0);
        }
    }
    let counts = [
        ("overhead.total", usage.overhead),
        ("keys.count", keys),
        ("keys.bytes-per-key", per_key),
        ("dataset.bytes", usage.data),
    ];
    for (name, count) in counts {
        reply.text(name);
        reply.count(count);
    }
    reply.text("dataset.percentage");
    reply.double(usage.data_percent(startup));
    reply.text("peak.percentage");
    reply.double(percent(usage.used, peak));
    let active = usage.used + unused;
    for (name, count) in [("allocator.allocated", usage.used), ("allocator.active", active)] {
        reply.text(name);
        reply.count(count);
    }
    reply.text("allocator-fragmentation.ratio");
    reply.double(percent(active, usage.used) / 100.0);
    reply.text("allocator-fragmentation.bytes");
    reply.count(unused);
    reply.text("fragmentation");
    reply.double(percent(resident as usize, usage.used) / 100.0);
    reply.text("fragmentation.bytes");
    reply.integer(if resident == 0 { 0 } else { resident as i64 - usage.used as i64 });
    Ok(())
}

fn doctor(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let usage = Usage::now(cx);
    let (peak, resident) = (cx.state.memory_peak, cx.state.vitals.resident_bytes as usize);
    let (pending, _) = cx.state.keyspace.lazy_free();
    let clients = cx.state.sessions.len().max(1);
    let mut findings = Vec::new();
    if peak > usage.used / 2 * 3 {
        findings.push(format!(
            "The peak was {peak} bytes, {:.1} times of what is used now: the allocator may still \
             hold the difference.",
            peak as f64 / usage.used as f64
        ));
    }
    if resident > usage.used / 10 * 14 {
        findings.push(format!(
            "The process takes {resident} bytes, {:.1} times of what is accounted for: memory is \
             fragmented or not yet given back.",
            resident as f64 / usage.used as f64
        ));
    }
    if usage.clients / clients > 200 << 10 {
        findings.push(format!(
            "Clients hold {} bytes each on average: some send or receive more than they read.",
            usage.clients / clients
        ));
    }
    let unused = cx.state.keyspace.unused_bytes();
    if unused > usage.used / 10 && unused > UNUSED_BYTES_WORTH_A_WORD {
        findings.push(format!(
            "Pages hold {unused} bytes that nothing is in: values of some sizes gave way to those \
             of others."
        ));
    }
    let (scripts, script_bytes) = cx.state.scripts.totals();
    if scripts > SCRIPTS_WORTH_A_WORD {
        findings.push(format!(
            "There are {scripts} scripts of {script_bytes} bytes: are they made anew instead of \
             being given arguments?"
        ));
    }
    if pending > 0 {
        findings.push(format!("{pending} deleted objects are still to be freed."));
    }
    let text = if usage.used < WORTH_A_LOOK_BYTES {
        "This server holds next to nothing: there is nothing to diagnose.\n".to_owned()
    } else if findings.is_empty() {
        "Nothing looks wrong with the use of memory.\n".to_owned()
    } else {
        findings.iter().map(|finding| format!("* {finding}\n")).collect()
    };
    cx.reply.verbatim("txt", &text);
    Ok(())
}

/// Does at once what the next step would: frees a bounded piece of what was deleted.
fn purge(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.state.keyspace.free_some();
    cx.reply.ok();
    Ok(())
}

fn allocator(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.text("Stats not supported for the current allocator");
    Ok(())
}
