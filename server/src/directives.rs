//! From the program's arguments and redis.conf to a configuration.
//!
//! Invariant: a directive that is wrong is reported with the number and the text of its line, in
//! Redis's words; the first one ends the reading.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use orrery_engine::Config;
use orrery_engine::resp::split_words_in_place;

use crate::VERSION;

/// Files may include files to this depth; deeper means that they include each other.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The file.
    pub file: Option<PathBuf>,
    /// Whether to read directives from standard input, after the file's.
    pub stdin: bool,
    /// The directives of the command line, one a line, after all others.
    pub lines: String,
}

/// Why there is no configuration.
#[derive(Debug, PartialEq, Eq)]
pub enum Fatal {
    /// A directive is wrong.
    Directive {
        /// The number of its line, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directive { line, text, reason } => write!(
                f,
                "\n*** FATAL CONFIG FILE ERROR (Orrery {VERSION}) ***\n\
                 Reading the configuration file, at line {line}\n>>> '{text}'\n{reason}"
            ),
            Self::File { path, reason } => {
                let path = path.display();
                write!(f, "Fatal error, can't open config file '{path}': {reason}")
            }
        }
    }
}

impl std::error::Error for Fatal {}

impl Sources {
    /// Sorts the program's arguments as redis-server does: a first one without `--` is the file,
    /// `-` means standard input, `--name value...` are directives.
    pub fn from_arguments(arguments: &[String]) -> Self {
        let mut sources = Self::default();
        let mut rest = arguments;
        if let Some((first, others)) = rest.split_first()
            && !first.starts_with("--")
        {
            if first != "-" {
                sources.file = Some(absolute(Path::new(first)));
            } else {
                sources.stdin = true;
            }
            rest = others;
        }
        if let Some((last, others)) = rest.split_last()
            && last == "-"
        {
            sources.stdin = true;
            rest = others;
        }
        let mut name_needs_value = false;
        for argument in rest {
            match argument.strip_prefix("--") {
                // The word after a name is its value, whatever it looks like.
                Some(name) if !name_needs_value => {
                    sources.lines.push('\n');
                    sources.lines.push_str(name);
                    name_needs_value = true;
                }
                _ => {
                    sources.lines.push(' ');
                    sources.lines.push_str(&quote(argument));
                    name_needs_value = false;
                }
            }
        }
        sources
    }

    /// Reads everything.
    pub fn load(&self) -> Result<Config, Fatal> {
        let mut text = match &self.file {
            Some(path) => read(path)?,
            None => String::new(),
        };
        if self.stdin {
            io::stdin().read_to_string(&mut text).map_err(|error| Fatal::File {
                path: PathBuf::from("-"),
                reason: reason(&error),
            })?;
        }
        text.push_str(&self.lines);
        let mut config = Config::default();
        apply(&mut config, &text, 0)?;
        Ok(config)
    }
}

/// Applies every line of `text`.
fn apply(config: &mut Config, text: &str, depth: usize) -> Result<(), Fatal> {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_matches([' ', '\t', '\r', '\n']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong =
            |reason: String| Fatal::Directive { line: index + 1, text: line.to_owned(), reason };
        let words =
            words(line).ok_or_else(|| wrong("Unbalanced quotes in configuration line".into()))?;
        let Some((name, values)) = words.split_first() else { continue };
        if name.eq_ignore_ascii_case("include") {
            if depth == INCLUDE_DEPTH_MAX {
                return Err(wrong("Files include each other too deeply".into()));
            }
            let [pattern] = values else {
                return Err(wrong("wrong number of arguments".into()));
            };
            include(config, pattern, depth + 1)?;
            continue;
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        config.set(name, &values).map_err(wrong)?;
    }
    Ok(())
}

/// Applies every file that matches `pattern`, in the order of their names.
fn include(config: &mut Config, pattern: &str, depth: usize) -> Result<(), Fatal> {
    if !pattern.contains(['*', '?', '[']) {
        return apply(config, &read(Path::new(pattern))?, depth);
    }
    let unreadable = |reason: String| Fatal::File { path: PathBuf::from(pattern), reason };
    for path in glob::glob(pattern).map_err(|error| unreadable(error.to_string()))? {
        let path = path.map_err(|error| unreadable(error.to_string()))?;
        apply(config, &read(&path)?, depth)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Fatal> {
    let unreadable =
        |error: io::Error| Fatal::File { path: path.to_owned(), reason: reason(&error) };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    // Parameters are text; a stray byte in a comment does not matter.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The words of a line; `None`: its quotes are unbalanced.
pub(crate) fn words(line: &str) -> Option<Vec<String>> {
    let mut bytes = line.as_bytes().to_vec();
    let mut spans = Vec::new();
    split_words_in_place(&mut bytes, &mut spans).ok()?;
    let word = |start: usize, len: usize| String::from_utf8_lossy(&bytes[start..start + len]);
    Some(spans.iter().map(|span| word(span.start, span.len).into_owned()).collect())
}

/// A word as it is written in a file: in quotes if it needs them.
pub(crate) fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\' | b'#');
    if !word.is_empty() && word.bytes().all(|byte| plain(byte) || byte >= 0x80) {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    for symbol in word.chars() {
        match symbol {
            '"' | '\\' => quoted.extend(['\\', symbol]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_ascii_control() => {
                quoted.push_str(&format!("\\x{:02x}", control as u32));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// The words of the C library for an error.
fn reason(error: &io::Error) -> String {
    crate::serve::reason(error)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
