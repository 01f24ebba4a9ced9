//! `orrery-sim check`: judges a history file.
//!
//! The status says the verdict: 0 linearizable, 1 not, 2 unknown or unreadable.

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::print;
use crate::check::{Options, Report, Verdict, check};
use crate::history::{self, Format};
use crate::model::redis::Vanishing;

const EXAMPLES: &str = "\
Examples:
  orrery-sim check history.jsonl
  orrery-sim check --format etcd etcd_002.log
  orrery-sim check --json --timeout-s 60 history.jsonl | jq .verdict
  zcat history.jsonl.gz | orrery-sim check -

Exit status: 0 linearizable, 1 not linearizable, 2 unknown or unreadable.";

/// Judge whether a history of operations is linearizable.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The history; `-` is standard input.
    file: PathBuf,
    /// How the file is written.
    #[arg(long, value_enum, default_value_t = FileFormat::Auto)]
    format: FileFormat,
    /// Judge all keys as one object (slow; to check the checker).
    #[arg(long)]
    no_partition: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Give up after so many seconds.
    #[arg(long, value_name = "N")]
    timeout_s: Option<u64>,
    /// Use at most about so many megabytes.
    #[arg(long, value_name = "N", default_value_t = 2_048)]
    memory_mb: usize,
    /// The greatest clock error of the server to consider, for keys with time to live.
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    max_clock_error_ms: u64,
    /// Which Redis keys the server may have evicted at any time.
    #[arg(long, value_enum, default_value_t = Evicts::None)]
    evicts: Evicts,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Evicts {
    /// None.
    None,
    /// Those with a time to live.
    Volatile,
    /// All.
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FileFormat {
    /// Guess from the first line.
    Auto,
    /// The log of Jepsen's etcd test.
    Etcd,
    /// EDN maps of a key-value store.
    Kv,
    /// Orrery's JSON lines.
    Jsonl,
}

impl FileFormat {
    fn explicit(self) -> Option<Format> {
        match self {
            Self::Auto => None,
            Self::Etcd => Some(Format::EtcdLog),
            Self::Kv => Some(Format::EdnLog),
            Self::Jsonl => Some(Format::JsonLines),
        }
    }
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let history = match load(arguments) {
        Ok(history) => history,
        Err(reason) => {
            let file = arguments.file.display();
            if arguments.json {
                let reason = format!("{file}: {reason}");
                print(&format!("{}\n", json!({"verdict": "unreadable", "reason": reason})));
            } else {
                eprintln!("orrery-sim: {file}: {reason}");
            }
            return ExitCode::from(2);
        }
    };
    let options = Options {
        no_partition: arguments.no_partition,
        timeout: arguments.timeout_s.map(Duration::from_secs),
        memory_bytes: arguments.memory_mb.saturating_mul(1 << 20),
        max_clock_error_ms: arguments.max_clock_error_ms,
        vanishing: match arguments.evicts {
            Evicts::None => Vanishing::Never,
            Evicts::Volatile => Vanishing::WithTtl,
            Evicts::All => Vanishing::Always,
        },
        ..Options::default()
    };
    let start = Instant::now();
    let report = check(&history, &options);
    let elapsed = start.elapsed();
    if arguments.json {
        print(&format!("{}\n", as_json(&report, elapsed)));
    } else {
        print(&as_text(&report, elapsed, io::stdout().is_terminal()));
    }
    ExitCode::from(match report.verdict {
        Verdict::Linearizable(_) => 0,
        Verdict::NotLinearizable(_) => 1,
        Verdict::Unknown(_) => 2,
    })
}

fn load(arguments: &Arguments) -> Result<history::History, String> {
    let bytes = if arguments.file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(&arguments.file)
    };
    let bytes = bytes.map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned())?;
    history::read(&text, arguments.format.explicit()).map_err(|error| error.to_string())
}

fn as_json(report: &Report, elapsed: Duration) -> serde_json::Value {
    let (verdict, detail) = match &report.verdict {
        Verdict::Linearizable(error) => ("linearizable", json!({ "clock_error": error })),
        Verdict::NotLinearizable(why) => ("not_linearizable", json!({ "counterexample": why })),
        Verdict::Unknown(reason) => ("unknown", json!({ "reason": reason })),
    };
    let mut value = json!({
        "verdict": verdict,
        "operations": report.operations,
        "partitions": report.partitions,
        "elapsed_us": u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
    });
    if let (Some(value), serde_json::Value::Object(detail)) = (value.as_object_mut(), detail) {
        value.extend(detail);
    }
    value
}

fn as_text(report: &Report, elapsed: Duration, colours: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let Report { operations, partitions, .. } = report;
    let (headline, detail) = match &report.verdict {
        Verdict::Linearizable(error) => {
            let detail = match (error.at_least_ms, error.at_most_ms) {
                (0, 0) => String::new(),
                (least, most) if least == most => {
                    format!("if the server's clock erred by {most} ms or more\n")
                }
                (least, most) => {
                    format!("if the server's clock erred by {most} ms; at least {least} ms\n")
                }
            };
            (paint("32", "linearizable"), detail)
        }
        Verdict::NotLinearizable(why) => {
            let detail = why.as_ref().map_or_else(String::new, ToString::to_string);
            (paint("31", "not linearizable"), detail)
        }
        Verdict::Unknown(reason) => (paint("33", "unknown"), format!("{reason}\n")),
    };
    format!(
        "{headline}: {operations} operations, {partitions} independent objects, {elapsed:.1?}\n\
         {detail}"
    )
}
