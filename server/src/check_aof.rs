//! `orrery-server --check-aof`: reads the files of an append-only log and says whether they are
//! whole, or up to where, as `redis-check-aof` of Redis 7.0 does.
//!
//! Invariants: a file is only ever changed by cutting its end, only the last file of a log is, and
//! only where `--fix` was confirmed or a time was given; no more of a file is in memory than its
//! largest record, twice.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orrery_engine::snapshot::LogInspector;
use orrery_engine::value::aof::{Broken, Damage, Manifest, Role};
use serde_json::{Value, json};

use crate::check_rdb::{print, progress_bar, tally_text, tell_notes};
use crate::platform::reason;

/// How `--check-aof` is used.
pub const HELP: &str = "\
Usage: orrery-server --check-aof [--json] [--fix | --truncate-to-timestamp SECONDS] FILE|MANIFEST

Reads the files of an append-only log, those that a manifest names or a single one, and says whether
they are whole, or up to which byte, and why not further. Judges like redis-check-aof of Redis 7.0.

  --fix    offer to cut the last file where it ceases to be whole; asks on standard output and
           reads y or n from standard input (echo y | orrery-server --check-aof --fix FILE)
  --truncate-to-timestamp SECONDS
           cut the last file, without asking, before the first annotation of a later time (files
           have them if they were written with aof-timestamp-enabled yes)
  --json   print one JSON object and nothing else; a question of --fix goes to standard error

Examples:
       orrery-server --check-aof appendonlydir/appendonly.aof.manifest
       orrery-server --check-aof --fix appendonly.aof

Exit status: 0 all is whole, or is now; 1 it is not, it cannot be read, or wrong usage.
";

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What is to be done.
struct Task<'a> {
    json: bool,
    fix: bool,
    until: Option<i64>,
    path: &'a str,
}

/// A file, of a log or alone.
struct Part<'a> {
    /// What it is called, and where it is.
    name: &'a str,
    path: &'a Path,
    /// What it is, in Redis's words.
    kind: &'static str,
    is_last: bool,
}

/// What became of a file.
#[derive(Clone, Copy)]
enum Verdict {
    Valid,
    Empty,
    Truncated,
    TruncatedToTime,
}

/// What was found, for those who want it in one piece.
#[derive(Default)]
struct Report {
    files: Vec<Value>,
    /// Lines and words of all files so far: Redis counts on from file to file.
    lines: u64,
}

/// Runs the command with the words behind `--check-aof`.
pub fn run(words: &[String]) -> ExitCode {
    if matches!(words, [flag] if flag == "-h" || flag == "--help") {
        print(HELP);
        return ExitCode::SUCCESS;
    }
    let task = match task_of(words) {
        Ok(task) => task,
        Err(why) => {
            eprint!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::default();
    let outcome = task.check(&mut report);
    let is_good = outcome.is_ok();
    if task.json {
        let verdict = if is_good { "valid" } else { "broken" };
        let object = json!({
            "file": task.path, "verdict": verdict, "reason": outcome.err(), "files": report.files,
        });
        print(&format!("{object}\n"));
    } else if let Err(why) = outcome {
        print(&format!("{why}\n"));
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn task_of(words: &[String]) -> Result<Task<'_>, String> {
    let mut task = Task { json: false, fix: false, until: None, path: "" };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--json" => task.json = true,
            "--fix" => task.fix = true,
            "--truncate-to-timestamp" => {
                let time = rest.next().and_then(|time| time.parse().ok());
                task.until = Some(time.ok_or("Invalid timestamp, aborting...\n")?);
            }
            path if !path.starts_with("--") && task.path.is_empty() => task.path = path,
            _ => return Err(HELP.to_owned()),
        }
    }
    if task.path.is_empty() || task.fix && task.until.is_some() {
        return Err(HELP.to_owned());
    }
    Ok(task)
}

impl Task<'_> {
    fn say(&self, text: &str) {
        if !self.json {
            print(&format!("{text}\n"));
        }
    }

    /// Checks what the path names. The error is the last thing to be said.
    fn check(&self, report: &mut Report) -> Result<(), String> {
        let path = Path::new(self.path);
        let start = start_of(path).map_err(|error| cannot_open(path, &error))?;
        if is_manifest(&start) {
            return self.check_log(path, report);
        }
        self.say("Start checking Old-Style AOF");
        let part = Part { name: self.path, path, kind: "AOF", is_last: true };
        self.check_part(&part, report)
    }

    /// Checks all files that a manifest names.
    fn check_log(&self, path: &Path, report: &mut Report) -> Result<(), String> {
        self.say("Start checking Multi Part AOF");
        let text = fs::read(path).map_err(|error| cannot_open(path, &error))?;
        let manifest = Manifest::parse(&text)
            .map_err(|wrong| format!("\n*** FATAL AOF MANIFEST FILE ERROR ***\n{wrong}"))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let count = manifest.files_to_load().count();
        for (index, (file, role)) in manifest.files_to_load().enumerate() {
            let path = &folder.join(&file.name);
            let kind = if role == Role::Base { "BASE AOF" } else { "INCR AOF" };
            if role == Role::Base {
                let start = start_of(path).map_err(|error| cannot_open(path, &error))?;
                let format = if is_snapshot(&start) { "RDB" } else { "RESP" };
                self.say(&format!("Start to check BASE AOF ({format} format)."));
            } else if index == usize::from(manifest.base().is_some()) {
                self.say("Start to check INCR files.");
            }
            let part = Part { name: &file.name, path, kind, is_last: index + 1 == count };
            self.check_part(&part, report)?;
        }
        self.say("All AOF files and manifest are valid");
        Ok(())
    }

    fn check_part(&self, part: &Part<'_>, report: &mut Report) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut inspector = LogInspector::new(now_ms, self.until);
        let size = fs::metadata(part.path).map_err(|error| cannot_open(part.path, &error))?.len();
        let inspected = self.inspect(part, size, &mut inspector);
        let inspected = inspected.map_err(|error| cannot_open(part.path, &error))?;
        let broken = inspected.as_ref().err();
        let whole = inspector.reader().lines();
        report.lines += broken.map_or(whole, |broken| broken.lines);
        let judged = self.judge(part, (size, report.lines), &inspector, broken);
        report.files.push(as_json(part, size, &inspector, broken, &judged));
        let (name, kind) = (part.name, part.kind);
        match judged? {
            Verdict::Valid => self.say(&format!("{kind} {name} is valid")),
            Verdict::Empty => self.say(&format!("{kind} {name} is empty")),
            Verdict::Truncated => self.say(&format!("Successfully truncated AOF {name}")),
            Verdict::TruncatedToTime => {
                let until = self.until.unwrap_or_default();
                self.say(&format!("Successfully truncated AOF {name} to timestamp {until}"));
            }
        }
        Ok(())
    }

    /// Reads a file to its end, or to where it is broken.
    fn inspect(
        &self,
        part: &Part<'_>,
        size: u64,
        inspector: &mut LogInspector,
    ) -> io::Result<Result<(), Broken>> {
        let mut file = File::open(part.path)?;
        let bar = progress_bar(size, self.json);
        let (mut bytes, mut wanted) = (Vec::new(), CHUNK_BYTES);
        let mut is_in_snapshot = true;
        while wanted > 0 {
            let more = wanted.max(CHUNK_BYTES).saturating_sub(bytes.len()).max(1);
            let read = (&mut file).take(more as u64).read_to_end(&mut bytes)?;
            let progress = match inspector.read(&bytes, read < more) {
                Ok(progress) => progress,
                Err(broken) => {
                    self.tell_snapshot(inspector);
                    return Ok(Err(broken));
                }
            };
            bytes.drain(..progress.taken);
            wanted = progress.wanted;
            bar.set_position(inspector.reader().offset());
            if is_in_snapshot {
                bar.suspend(|| self.tell_snapshot(inspector));
                is_in_snapshot = !inspector.reader().is_behind_snapshot();
            }
        }
        bar.finish_and_clear();
        Ok(Ok(()))
    }

    fn tell_snapshot(&self, inspector: &mut LogInspector) {
        let notes = inspector.take_notes();
        if !self.json {
            tell_notes(notes);
        }
    }

    /// Says what was found in a file, and cuts it if that is wanted.
    fn judge(
        &self,
        part: &Part<'_>,
        (size, lines): (u64, u64),
        inspector: &LogInspector,
        broken: Option<&Broken>,
    ) -> Result<Verdict, String> {
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let good_up_to = inspector.reader().good_up_to();
        match broken {
            Some(Broken { damage: Damage::Snapshot, offset, reason, .. }) => {
                self.say(&format!("--- RDB ERROR DETECTED ---\n[offset {offset}] {reason}"));
                return Err("RDB preamble of AOF file is not sane, aborting.".to_owned());
            }
            _ if inspector.has_snapshot() => {
                self.say(tally_text(inspector.tally()).trim_end());
                self.say("RDB preamble is OK, proceeding with AOF tail...");
            }
            _ => {}
        }
        match broken {
            Some(Broken { damage: Damage::Refused, reason, .. }) => {
                return match inspector.over_at() {
                    Some(offset) => self.cut_to_time(part, offset),
                    None => Err(reason.clone()),
                };
            }
            Some(Broken { offset, reason, .. }) => {
                self.say(&match reason.as_str() {
                    "AOF format error" => format!("AOF {} format error", part.name),
                    _ if reason.ends_with(" in AOF") => {
                        format!("0x{offset:>16x}: {reason} {}", part.name)
                    }
                    _ => format!("0x{offset:>16x}: {reason}"),
                });
            }
            None => {}
        }
        let (name, left) = (part.name, size.saturating_sub(good_up_to));
        if let (None, Some(until)) = (broken, self.until) {
            self.say(&format!("Truncate nothing in AOF {name} to timestamp {until}"));
            return Ok(Verdict::Valid);
        }
        let line = 1 + lines;
        self.say(&format!(
            "AOF analyzed: filename={name}, size={size}, ok_up_to={good_up_to}, \
             ok_up_to_line={line}, diff={left}"
        ));
        match broken {
            None => Ok(Verdict::Valid),
            Some(_) if self.fix => self.fix(part, size, good_up_to),
            Some(_) => {
                Err(format!("AOF {name} is not valid. Use the --fix option to try fixing it."))
            }
        }
    }

    /// Cuts a file if whoever asked for it confirms.
    fn fix(&self, part: &Part<'_>, size: u64, good_up_to: u64) -> Result<Verdict, String> {
        let name = part.name;
        if !part.is_last {
            return Err(format!("Failed to truncate AOF {name} because it is not the last file"));
        }
        let left = size - good_up_to;
        let question = format!(
            "This will shrink the AOF {name} from {size} bytes, with {left} bytes, to \
             {good_up_to} bytes\nContinue? [y/N]: "
        );
        if self.json {
            eprint!("{question}");
        } else {
            print(&question);
            drop(io::stdout().flush());
        }
        let mut answer = String::new();
        drop(io::stdin().read_line(&mut answer));
        if !answer.starts_with(['y', 'Y']) {
            return Err("Aborting...".to_owned());
        }
        cut(part.path, good_up_to).map_err(|_| format!("Failed to truncate AOF {name}"))?;
        Ok(Verdict::Truncated)
    }

    /// Cuts a file before the first annotation of a later time.
    fn cut_to_time(&self, part: &Part<'_>, offset: u64) -> Result<Verdict, String> {
        let (name, until) = (part.name, self.until.unwrap_or_default());
        if offset == 0 {
            return Err(format!("AOF {name} has nothing before timestamp {until}, aborting..."));
        }
        if !part.is_last {
            return Err(format!(
                "Failed to truncate AOF {name} to timestamp {until} to offset {offset} because it \
                 is not the last file.\nIf you insist, please delete all files after this file \
                 according to the manifest file and delete the corresponding records in manifest \
                 file manually. Then check again."
            ));
        }
        let cut = cut(part.path, offset);
        cut.map_err(|_| format!("Failed to truncate AOF {name} to timestamp {until}"))?;
        Ok(Verdict::TruncatedToTime)
    }
}

/// Cuts a file; when this returns the disk has it.
fn cut(path: &Path, len: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()
}

fn cannot_open(path: &Path, error: &io::Error) -> String {
    format!("Cannot open file {}: {}, aborting...", path.display(), reason(error))
}

/// The first bytes of a file: enough to tell what it is.
fn start_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(CHUNK_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Whether the first line that is no comment tells of a file.
fn is_manifest(start: &[u8]) -> bool {
    let mut lines = start.split(|&byte| byte == b'\n');
    let first = lines.find(|line| line.first() != Some(&b'#'));
    first.is_some_and(|line| line.starts_with(b"file"))
}

fn is_snapshot(start: &[u8]) -> bool {
    start.starts_with(b"REDIS") || start.starts_with(b"VALKEY")
}

fn as_json(
    part: &Part<'_>,
    size: u64,
    inspector: &LogInspector,
    broken: Option<&Broken>,
    judged: &Result<Verdict, String>,
) -> Value {
    let verdict = match judged {
        Ok(Verdict::Valid) => "valid",
        Ok(Verdict::Empty) => "empty",
        Ok(Verdict::Truncated | Verdict::TruncatedToTime) => "truncated",
        Err(_) => "broken",
    };
    let damage = broken.map(|broken| match broken.damage {
        Damage::Cut => "cut",
        Damage::Corrupt => "corrupt",
        Damage::Snapshot => "snapshot",
        Damage::Refused => "later",
    });
    let times = inspector.timestamps();
    json!({
        "file": part.name, "kind": part.kind, "verdict": verdict, "size": size,
        "ok_up_to": inspector.reader().good_up_to(),
        "offset": broken.map(|broken| broken.offset), "damage": damage,
        "reason": broken.map(|broken| &broken.reason),
        "keys": inspector.tally().key_count(), "commands": inspector.commands(),
        "first_timestamp": times.map(|(first, _)| first),
        "last_timestamp": times.map(|(_, last)| last),
    })
}
