//! DEBUG: tools for tests of servers and clients. Off unless `enable-debug-command` says otherwise.
//!
//! Invariant: nothing here is reachable without that permission. Unlike other commands these may
//! take as long as the data is big.

use super::Cx;
use super::config::write_file;
use super::debug_digest::{dataset_digest, value_digest};
use super::debug_protocol::protocol;
use super::debug_reload::{load_log, reload};
use super::object::{encoding_of, idle_secs_of, references_of};
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::config::{Encodings, memory};
use crate::effects::{Effect, LogLevel};
use crate::error::Error;
use crate::keyspace::{NewValue, Value};
use crate::snapshot::save;
use crate::time::Micros;
use crate::value::list::ListRef;
use crate::value::number::parse_integer;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "DEBUG",
    syntax: "subcommand [argument [argument ...]]",
    arity: -2,
    flags: Flags::ADMIN
        .and(Flags::NOSCRIPT)
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::PROTECTED),
    group: Group::Server,
    complexity: "Depends on subcommand.",
    summary: "Holds tools for tests.",
    reply: "any",
    run: debug,
    ..Command::ROW
}];

/// One tool. COMMAND knows DEBUG as one command, so these are no rows of its table.
struct Tool {
    name: &'static str,
    syntax: &'static str,
    /// How many words it may have, `DEBUG` and its name included.
    words: core::ops::RangeInclusive<usize>,
    what: &'static str,
    run: fn(&mut Cx<'_>, Args<'_>) -> Result<(), Error>,
}

const ANY: usize = usize::MAX;

/// Redis's largest QUICKLIST-PACKED-THRESHOLD.
const LIST_ELEMENT_BYTES_MAX: u64 = (1 << 32) - (1 << 20);

const TOOLS: &[Tool] = &[
    Tool {
        name: "AOF-FLUSH-SLEEP",
        syntax: "<microseconds>",
        words: 3..=3,
        what: "Say how long what was logged waits before it is written.",
        run: set_flush_delay,
    },
    Tool {
        name: "CHANGE-REPL-ID",
        syntax: "",
        words: 2..=2,
        what: "Begin a new history for replicas.",
        run: change_replication_id,
    },
    Tool {
        name: "CONFIG-REWRITE-FORCE-ALL",
        syntax: "",
        words: 2..=2,
        what: "Write every parameter into the configuration file, also what is at its default.",
        run: rewrite_config,
    },
    Tool {
        name: "DIGEST",
        syntax: "",
        words: 2..=2,
        what: "Return a checksum of all data; the same as that of a Redis with the same data.",
        run: digest,
    },
    Tool {
        name: "DIGEST-VALUE",
        syntax: "<key> [<key> ...]",
        words: 2..=ANY,
        what: "Return a checksum of each key's value.",
        run: digest_values,
    },
    Tool {
        name: "ERROR",
        syntax: "<text>",
        words: 3..=3,
        what: "Reply with an error of this text.",
        run: error,
    },
    Tool {
        name: "FAIL-SNAPSHOT",
        syntax: "",
        words: 2..=2,
        what: "Let the snapshot that is being written fail, as if the disk had refused it; for \
               tests that kill the child of a Redis.",
        run: fail_snapshot,
    },
    Tool { name: "HELP", syntax: "", words: 2..=2, what: "Print this list.", run: help },
    Tool {
        name: "HTSTATS",
        syntax: "<database>",
        words: 3..=4,
        what: "Describe the index of a database.",
        run: index_figures,
    },
    Tool {
        name: "LOADAOF",
        syntax: "",
        words: 2..=2,
        what: "Load the append-only file again, in place of all data.",
        run: load_log,
    },
    Tool {
        name: "LOG",
        syntax: "<text>",
        words: 3..=3,
        what: "Write a line to the log.",
        run: log,
    },
    Tool {
        name: "OBJECT",
        syntax: "<key>",
        words: 3..=3,
        what: "Describe how a key's value is stored.",
        run: object,
    },
    Tool {
        name: "PAUSE-CRON",
        syntax: "<0|1>",
        words: 3..=3,
        what: "Say whether what Redis does periodically rests: deleting keys whose time has come, \
               closing clients that are idle or over a soft limit, forgetting tracked keys.",
        run: pause_cron,
    },
    Tool {
        name: "POPULATE",
        syntax: "<count> [<prefix>] [<size>]",
        words: 3..=5,
        what: "Create so many string keys that are not there yet.",
        run: populate,
    },
    Tool {
        name: "PROTOCOL",
        syntax: "<type>",
        words: 3..=3,
        what: "Reply with an example: string, integer, double, bignum, null, array, set, map, \
               attrib, push, verbatim, true or false.",
        run: protocol,
    },
    Tool {
        name: "QUICKLIST-PACKED-THRESHOLD",
        syntax: "<size>",
        words: 3..=3,
        what: "Say how long an element of a list may be that shares a node; 0: as usual.",
        run: set_list_threshold,
    },
    Tool {
        name: "RELOAD",
        syntax: "[MERGE] [NOFLUSH] [NOSAVE]",
        words: 2..=ANY,
        what: "Save all data and load it again: with NOSAVE what was saved before, with NOFLUSH \
               beside what there is, with MERGE over it.",
        run: reload,
    },
    Tool {
        name: "REPLYBUFFER",
        syntax: "<PEAK-RESET-TIME|RESIZING> <value>",
        words: 4..=4,
        what: "Say how buffers of idle clients shrink; here these own none, so nothing changes.",
        run: reply_buffer,
    },
    Tool {
        name: "SET-ACTIVE-EXPIRE",
        syntax: "<0|1>",
        words: 3..=3,
        what: "Say whether keys are deleted when their time has come, or only when they are met.",
        run: set_active_expire,
    },
    Tool {
        name: "SET-DISABLE-DENY-SCRIPTS",
        syntax: "<0|1>",
        words: 3..=3,
        what: "Say whether scripts may call DEBUG PROTOCOL and DEBUG SLEEP.",
        run: set_scripts_may_debug,
    },
    Tool {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        syntax: "<0|1>",
        words: 3..=3,
        what: "Say whether RESTORE takes payloads whose checksums are wrong.",
        run: set_skips_checksum,
    },
    Tool {
        name: "SLEEP",
        syntax: "<seconds>",
        words: 3..=3,
        what: "Let the server do nothing for a while; fractions are allowed.",
        run: sleep,
    },
];

fn debug(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match TOOLS.iter().find(|tool| args.is(1, tool.name)) {
        Some(tool) if tool.words.contains(&args.len()) => (tool.run)(cx, args),
        _ => {
            let name = String::from_utf8_lossy(args.at(1));
            Err(Error::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."
            )))
        }
    }
}

fn help(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.array(1 + 2 * TOOLS.len());
    cx.reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for tool in TOOLS {
        cx.reply.simple(format!("{} {}", tool.name, tool.syntax).trim_end());
        cx.reply.simple(&format!("    {}", tool.what));
    }
    Ok(())
}

fn change_replication_id(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.state.replication_id = cx.state.rng.hex40();
    cx.reply.ok();
    Ok(())
}

fn rewrite_config(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    write_file(cx, true)
}

fn digest(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let digest = dataset_digest(&cx.state.keyspace);
    cx.reply.simple(&digest.to_string());
    Ok(())
}

fn digest_values(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(args.len() - 2);
    for key in args.from(2) {
        let found = cx.find(key);
        let digest = value_digest(cx.state.keyspace.db(cx.session.db), found);
        cx.reply.simple(&digest.to_string());
    }
    Ok(())
}

fn error(_: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    Err(Error::text(String::from_utf8_lossy(args.at(2)).into_owned()))
}

fn log(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let text = format!("DEBUG LOG: {}", String::from_utf8_lossy(args.at(2)));
    cx.fx.push(Effect::Log(LogLevel::Warning, text));
    cx.reply.ok();
    Ok(())
}

fn pause_cron(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.state.pauses_cron = parse_integer(args.at(2)).is_some_and(|number| number != 0);
    cx.reply.ok();
    Ok(())
}

fn reply_buffer(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let is_number = parse_integer(args.at(3)).is_some();
    let is_known = match () {
        () if args.is(2, "PEAK-RESET-TIME") => {
            is_number || args.is(3, "NEVER") || args.is(3, "RESET")
        }
        () => args.is(2, "RESIZING") && is_number,
    };
    if !is_known {
        return Err(Error::Syntax);
    }
    cx.reply.ok();
    Ok(())
}

fn index_figures(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let index = parse_integer(args.at(2)).ok_or(Error::NotAnInteger)?;
    let index = usize::try_from(index).ok().filter(|&index| index < cx.state.keyspace.count());
    let index = index.ok_or(Error::fixed("ERR Out of range database"))?;
    let db = cx.state.keyspace.db(index);
    let text = format!(
        "[Index]\n places: {}\n number of elements: {}\n bytes: {}\n[Deadlines]\n number of \
         elements: {}\n",
        db.index_capacity(),
        db.len(),
        db.overhead_bytes(),
        db.len_with_ttl()
    );
    cx.reply.verbatim("txt", &text);
    Ok(())
}

/// Values have no address here that would mean anything.
fn object(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    // One whose time is over is still there for who looks in this way.
    let found = cx.state.keyspace.db(cx.db()).find(args.at(2)).ok_or(Error::NoSuchKey)?;
    let (encoding, encodings) = (encoding_of(cx, found), &cx.state.config.encodings);
    let nodes = match cx.value(found) {
        Value::List(list) if encoding == "quicklist" => node_figures(list, encodings),
        _ => String::new(),
    };
    let text = format!(
        "Value at:0x0 refcount:{} encoding:{encoding} serializedlength:{} lru:{} \
         lru_seconds_idle:{}{nodes}",
        references_of(cx, found),
        serialized_len(cx.value(found), encodings),
        cx.state.keyspace.db(cx.session.db).access(found),
        idle_secs_of(cx, found)
    );
    cx.reply.simple(&text);
    Ok(())
}

/// How long the value is in a dump, without its type, version and checksum.
fn serialized_len(value: Value<'_>, encodings: &Encodings) -> usize {
    const TYPE_BYTES: usize = 1;
    save(value, encodings).into_value().0.len() - TYPE_BYTES
}

/// What there is to say of the nodes of a list.
fn node_figures(list: ListRef<'_>, encodings: &Encodings) -> String {
    let mut bytes = 0;
    list.for_each_part(|part| bytes += part.dump_len());
    format!(
        " ql_nodes:{} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} \
         ql_uncompressed_size:{bytes}",
        list.part_count(),
        list.len() as f64 / list.part_count() as f64,
        encodings.list_node_size,
        u8::from(list.compresses())
    )
}

/// `<prefix>:<n>` holds `value:<n>`, cut or filled with zero bytes to the size.
fn populate(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let number = |index: usize| {
        let number = parse_integer(args.at(index)).and_then(|number| u64::try_from(number).ok());
        number.ok_or(Error::fixed("ERR value is out of range, must be positive"))
    };
    let count = number(2)?;
    let prefix = args.opt(3).unwrap_or(b"key");
    let size = if args.len() == 5 { number(4)? } else { 0 };
    if size > cx.state.config.proto_max_bulk_len {
        return Err(Error::StringTooLong);
    }
    for n in 0..count {
        let key = [prefix, b":", n.to_string().as_bytes()].concat();
        if cx.find(&key).is_none() {
            let mut value = format!("value:{n}").into_bytes();
            if size > 0 {
                value.resize(size as usize, 0);
            }
            cx.set(&key, NewValue::String(&value), None);
            cx.changed_silently(&key);
        }
    }
    cx.reply.ok();
    Ok(())
}

/// As in Redis the size may have a unit.
fn set_list_threshold(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let size = str::from_utf8(args.at(2)).ok().and_then(memory::parse);
    let size = size.filter(|&size| size <= LIST_ELEMENT_BYTES_MAX).ok_or(Error::fixed(
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
    ))?;
    cx.state.list_element_bytes = (size > 0).then_some(size as usize);
    cx.reply.ok();
    Ok(())
}

fn set_active_expire(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.state.active_expire = parse_integer(args.at(2)).is_some_and(|number| number != 0);
    cx.reply.ok();
    Ok(())
}

fn set_scripts_may_debug(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.state.scripts_may_debug = parse_integer(args.at(2)).is_some_and(|number| number != 0);
    cx.reply.ok();
    Ok(())
}

fn set_skips_checksum(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.state.persistence.skips_checksum =
        parse_integer(args.at(2)).is_some_and(|number| number != 0);
    cx.reply.ok();
    Ok(())
}

fn set_flush_delay(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let micros = parse_integer(args.at(2)).and_then(|micros| u64::try_from(micros).ok());
    if let Some(aof) = &mut cx.state.persistence.aof {
        aof.flush_delay = Micros(micros.unwrap_or(0));
    }
    cx.reply.ok();
    Ok(())
}

fn fail_snapshot(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let persistence = &mut cx.state.persistence;
    let (is_rewriting, is_scheduled) = persistence.rewriting();
    if persistence.saving.is_none() && !is_rewriting && !is_scheduled {
        return Err(Error::fixed("ERR no snapshot is being written"));
    }
    persistence.fails_snapshot = true;
    cx.reply.ok();
    Ok(())
}

/// As in Redis what is no number means no time.
fn sleep(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let seconds = str::from_utf8(args.at(2)).ok().and_then(|text| text.parse::<f64>().ok());
    let micros = seconds.unwrap_or(0.0) * 1e6;
    // The cast cuts negative numbers and NaN to zero.
    cx.fx.push(Effect::Stall(Micros(micros as u64)));
    cx.reply.ok();
    Ok(())
}
