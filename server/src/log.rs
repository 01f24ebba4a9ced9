//! The log: lines in the format of Redis, `PID:M 20 Nov 2026 10:02:15.123 * message`, or an object
//! of JSON a line.
//!
//! Invariants: a log file is opened for each line, so that it may be moved away at any time; a line
//! of JSON is one object whatever the message holds.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use jiff::Zoned;
use orrery_engine::LogLevel;
use serde_json::{Map, Value};

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// As Redis writes it.
    #[default]
    Text,
    /// An object of JSON.
    Json,
}

impl LogFormat {
    /// What a word of the configuration means.
    pub(crate) fn of(word: &str) -> Self {
        if word == "json" { Self::Json } else { Self::Text }
    }
}

/// Writes log lines to standard output or to a file.
#[derive(Debug)]
pub struct Log {
    level: Cell<LogLevel>,
    format: Cell<LogFormat>,
    file: RefCell<Option<PathBuf>>,
    coloured: bool,
}

impl Log {
    /// A log of lines from `level` on, to `file` or to standard output.
    pub fn new(level: LogLevel, format: LogFormat, file: Option<PathBuf>) -> Self {
        let coloured = file.is_none() && io::stdout().is_terminal();
        Self {
            level: Cell::new(level),
            format: Cell::new(format),
            file: RefCell::new(file),
            coloured,
        }
    }

    /// Changes which lines are written.
    pub fn set_level(&self, level: LogLevel) {
        self.level.set(level);
    }

    /// Changes what lines look like.
    pub fn set_format(&self, format: LogFormat) {
        self.format.set(format);
    }

    /// Writes a line if its level is high enough.
    pub fn write(&self, level: LogLevel, text: &str) {
        self.write_with(level, text, &[]);
    }

    /// Writes a line with what is known beside the text; it is shown where lines are objects.
    pub fn write_with(&self, level: LogLevel, text: &str, fields: &[(&str, Value)]) {
        if level < self.level.get() {
            return;
        }
        let now = Zoned::now();
        let process = std::process::id();
        match self.format.get() {
            LogFormat::Json => self.put(&object(&now, process, level, text, fields)),
            LogFormat::Text => {
                let time = now.strftime("%d %b %Y %H:%M:%S%.3f");
                let line = format!("{process}:M {time} {} {text}", mark(level));
                self.put(&match level {
                    LogLevel::Warning if self.coloured => format!("\x1b[33m{line}\x1b[0m\n"),
                    LogLevel::Debug if self.coloured => format!("\x1b[2m{line}\x1b[0m\n"),
                    _ => format!("{line}\n"),
                });
            }
        }
    }

    fn put(&self, text: &str) {
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

/// The line of an object. What every line has comes first, for people who read it all the same.
fn object(
    now: &Zoned,
    process: u32,
    level: LogLevel,
    text: &str,
    fields: &[(&str, Value)],
) -> String {
    let time = now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z");
    let (level, message) = (word(level), Value::from(text));
    let mut line = format!(
        "{{\"time\":\"{time}\",\"level\":\"{level}\",\"pid\":{process},\"message\":{message}"
    );
    if !fields.is_empty() {
        let fields: Map<String, Value> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        line.push_str(&format!(",\"fields\":{}", Value::from(fields)));
    }
    line.push_str("}\n");
    line
}

fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Verbose => "verbose",
        LogLevel::Notice => "notice",
        LogLevel::Warning => "warning",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_line_whatever_the_message_holds() {
        let now: Zoned = "2026-11-20T10:02:15.5+01:00[+01:00]".parse().unwrap();
        let text = "a \"b\" \\ c\nd\u{1}\u{7f}é\u{2028}";
        let line = object(&now, 7, LogLevel::Notice, text, &[("port", 6379.into())]);
        assert!(line.starts_with(
            "{\"time\":\"2026-11-20T10:02:15.500+01:00\",\"level\":\"notice\",\"pid\":7,\
             \"message\":\"a "
        ));
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], text);
        assert_eq!(read["fields"], serde_json::json!({ "port": 6379 }));
        let plain = object(&now, 7, LogLevel::Warning, "x", &[]);
        assert!(plain.ends_with("\"level\":\"warning\",\"pid\":7,\"message\":\"x\"}\n"), "{plain}");
    }
}
