//! The log, in the line format of Redis: `PID:M 20 Nov 2026 10:02:15.123 * message`.
//!
//! Invariant: a log file is opened for each line, so that it may be moved away at any time.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use jiff::Zoned;
use orrery_engine::LogLevel;

/// Writes log lines to standard output or to a file.
#[derive(Debug)]
pub struct Log {
    level: Cell<LogLevel>,
    file: RefCell<Option<PathBuf>>,
    coloured: bool,
}

impl Log {
    /// A log of lines from `level` on, to `file` or to standard output.
    pub fn new(level: LogLevel, file: Option<PathBuf>) -> Self {
        let coloured = file.is_none() && io::stdout().is_terminal();
        Self { level: Cell::new(level), file: RefCell::new(file), coloured }
    }

    /// Changes which lines are written.
    pub fn set_level(&self, level: LogLevel) {
        self.level.set(level);
    }

    /// Writes a line if its level is high enough.
    pub fn write(&self, level: LogLevel, text: &str) {
        if level >= self.level.get() {
            let time = Zoned::now().strftime("%d %b %Y %H:%M:%S%.3f");
            let mark = mark(level);
            let line = format!("{}:M {time} {mark} {text}", std::process::id());
            self.put(&match level {
                LogLevel::Warning if self.coloured => format!("\x1b[33m{line}\x1b[0m\n"),
                LogLevel::Debug if self.coloured => format!("\x1b[2m{line}\x1b[0m\n"),
                _ => format!("{line}\n"),
            });
        }
    }

    /// Writes text as it is.
    pub fn put(&self, text: &str) {
        let written = match &*self.file.borrow() {
            None => io::stdout().write_all(text.as_bytes()),
            Some(path) => OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(text.as_bytes())),
        };
        // There is nobody left to tell that the log itself cannot be written.
        drop(written);
    }
}

fn mark(level: LogLevel) -> char {
    match level {
        LogLevel::Debug => '.',
        LogLevel::Verbose => '-',
        LogLevel::Notice => '*',
        LogLevel::Warning => '#',
    }
}
