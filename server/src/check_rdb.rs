//! `orrery-server --check-rdb`: reads an RDB file as loading would and says what is in it, or where
//! it is broken.
//!
//! Invariants: the file is only read; no more of it is in memory than its largest part, twice.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orrery_engine::snapshot::{Inspector, Note, Tally};
use orrery_engine::value::rdb::Broken;
use serde_json::json;

use crate::platform::reason;

/// How `--check-rdb` is used.
pub const HELP: &str = "\
Usage: orrery-server --check-rdb [--json] FILE

Reads an RDB file of Redis (versions 1 to 14) or Valkey as loading it would, and says what is in it,
or at which byte it is broken and why. The file is not changed.

  --json   print one JSON object and nothing else

Examples:
       orrery-server --check-rdb dump.rdb
       orrery-server --check-rdb --json dump.rdb | jq .keys

Exit status: 0 the file is whole, 1 it is broken, 2 it cannot be read, or wrong usage.
";

const WRONG_USAGE: u8 = 2;
/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Why there is no good end.
enum Trouble {
    Unreadable(io::Error),
    Broken(Broken),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Runs the command with the words behind `--check-rdb`.
pub fn run(words: &[String]) -> ExitCode {
    let (json, file) = match words {
        [flag] if flag == "-h" || flag == "--help" => {
            print(HELP);
            return ExitCode::SUCCESS;
        }
        [file] if !file.starts_with("--") => (false, file),
        [flag, file] | [file, flag] if flag == "--json" => (true, file),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut inspector = Inspector::new(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    if !json {
        print(&format!("[offset 0] Checking RDB file {file}\n"));
    }
    let verdict = inspect(Path::new(file), &mut inspector, json);
    if json {
        print(&format!("{}\n", as_json(file, &inspector, &verdict)));
    } else {
        tell(file, &inspector, &verdict);
    }
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Broken(_)) => ExitCode::FAILURE,
        Err(Trouble::Unreadable(_)) => ExitCode::from(WRONG_USAGE),
    }
}

/// Standard output may be closed by whoever reads it: that is no reason to panic.
pub(crate) fn print(text: &str) {
    drop(io::stdout().write_all(text.as_bytes()));
}

fn inspect(path: &Path, inspector: &mut Inspector, quiet: bool) -> Result<(), Trouble> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let bar = progress_bar(size, quiet);
    let mut bytes = Vec::new();
    let mut wanted = CHUNK_BYTES;
    while wanted > 0 {
        let more = wanted.max(CHUNK_BYTES).saturating_sub(bytes.len()).max(1);
        let read = (&mut file).take(more as u64).read_to_end(&mut bytes)?;
        let is_all = read < more;
        let progress = inspector.read(&bytes, is_all).map_err(Trouble::Broken)?;
        bytes.drain(..progress.taken);
        wanted = progress.wanted;
        bar.set_position(inspector.reader().offset());
        if !quiet {
            bar.suspend(|| tell_notes(inspector.take_notes()));
        }
        if wanted > 0 && is_all && progress.taken == 0 {
            let reason = "the file ends too early".to_owned();
            return Err(Trouble::Broken(Broken { offset: inspector.reader().offset(), reason }));
        }
    }
    // What was read behind the end was refused; what was not read yet is no better.
    if !bytes.is_empty() || file.read(&mut [0])? > 0 {
        let reason = "there is more behind the end of the file".to_owned();
        return Err(Trouble::Broken(Broken { offset: inspector.reader().offset(), reason }));
    }
    bar.finish_and_clear();
    Ok(())
}

/// A bar that appears where the file is large enough to take two seconds.
pub(crate) fn progress_bar(size: u64, quiet: bool) -> ProgressBar {
    const WORTH_A_BAR_BYTES: u64 = 256 << 20;
    if quiet || size < WORTH_A_BAR_BYTES || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
    let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Tells what is worth a line.
pub(crate) fn tell_notes(notes: Vec<(u64, Note)>) {
    for (offset, note) in notes {
        print(&match note {
            Note::Aux(name, value) => format!("[offset {offset}] AUX FIELD {name} = '{value}'\n"),
            Note::Database(index) => format!("[offset {offset}] Selecting DB ID {index}\n"),
        });
    }
}

fn tell(file: &str, inspector: &Inspector, verdict: &Result<(), Trouble>) {
    let offset = inspector.reader().offset();
    let mut text = match verdict {
        Ok(()) => format!("[offset {offset}] \\o/ RDB looks OK! \\o/\n"),
        Err(Trouble::Unreadable(error)) => {
            eprintln!("orrery-server: {file}: {}", reason(error));
            return;
        }
        Err(Trouble::Broken(broken)) => format!(
            "--- RDB ERROR DETECTED ---\n[offset {}] {}\n\
             [info] an RDB file has no copy of what is lost: restore an earlier one, or the \
             append-only files\n",
            broken.offset, broken.reason
        ),
    };
    text += &tally_text(inspector.tally());
    print(&text);
}

/// What is in a file, a line each.
pub(crate) fn tally_text(tally: &Tally) -> String {
    let mut text = format!("[info] {} keys read\n", tally.key_count());
    for (name, count) in &tally.keys {
        text += &format!("[info] {count} of type {name}\n");
    }
    text += &format!(
        "[info] {} expires\n[info] {} already expired\n[info] {} libraries of functions\n",
        tally.deadlines, tally.expired, tally.libraries
    );
    text
}

fn as_json(file: &str, inspector: &Inspector, verdict: &Result<(), Trouble>) -> serde_json::Value {
    let tally = inspector.tally();
    let (name, offset, why) = match verdict {
        Ok(()) => ("whole", inspector.reader().offset(), None),
        Err(Trouble::Broken(broken)) => ("broken", broken.offset, Some(broken.reason.clone())),
        Err(Trouble::Unreadable(error)) => ("unreadable", 0, Some(reason(error))),
    };
    json!({
        "file": file, "verdict": name, "offset": offset, "reason": why,
        "version": inspector.reader().version(), "keys": tally.key_count(), "types": tally.keys,
        "expires": tally.deadlines, "expired": tally.expired, "libraries": tally.libraries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<u64, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump.rdb");
        std::fs::write(&path, bytes).unwrap();
        let mut inspector = Inspector::new(0);
        let found = match inspect(&path, &mut inspector, true) {
            Ok(()) => Ok(inspector.tally().key_count()),
            Err(Trouble::Broken(broken)) => Err(broken.reason),
            Err(Trouble::Unreadable(error)) => panic!("{error}"),
        };
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn files_are_whole_or_broken() {
        let end = [0xff, 0, 0, 0, 0, 0, 0, 0, 0];
        let file = [&b"REDIS0011\xfe\x00\x00\x01k\x01v\x02\x01s\x02\x01a\x01b"[..], &end].concat();
        check(&file, Ok(2));
        check(&file[..file.len() - 1], Err("end too early"));
        check(&file[..5], Err("end too early"));
        check(b"", Err("end too early"));
        check(&[&file[..], b"x"].concat(), Err("more behind"));
        check(
            b"REDIS0011\xfe\x00\x02\x01s\x02\x01a\x01a\xff",
            Err("'s': an element that comes twice"),
        );
        check(b"#!/bin/sh\n", Err("no RDB file"));
        let long =
            [b"REDIS0011\x00\x01k\x80\x00\x30\x00\x00".to_vec(), vec![b'x'; 3 << 20]].concat();
        check(&[&long[..], &end].concat(), Ok(1));
        check(&long, Err("end too early"));
    }

    #[test]
    fn a_file_that_is_not_there_is_unreadable() {
        let found = inspect(Path::new("/nonexistent/dump.rdb"), &mut Inspector::new(0), true);
        assert!(matches!(found, Err(Trouble::Unreadable(_))));
    }
}
