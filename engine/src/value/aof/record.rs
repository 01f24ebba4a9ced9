//! One record at the start of bytes: a command as an array of bulk strings, or an annotation, which
//! is a line that begins with `#`.
//!
//! Invariants: nothing is kept of a record that is not whole; what is refused is what
//! `redis-check-aof` refuses, and a command without a word, which Redis does not load; places and
//! words are its, too.

use super::strtol::strtol;
use crate::args::Span;

/// Bytes of a line that tells a number, with its end.
const HEADER_BYTES_MAX: usize = 127;
/// Bytes of an annotation, with its end.
const ANNOTATION_BYTES_MAX: usize = 1023;
/// Words that room is made for before they are there.
const WORDS_RESERVED_MAX: i64 = 1024;

/// How large a record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a word.
    pub word_bytes_max: u64,
    /// Bytes of a command.
    pub command_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { word_bytes_max: 512 << 20, command_bytes_max: 2 << 30 }
    }
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A command; its words are in the spans.
    Command,
    /// An annotation, from `#` to before the line's end.
    Annotation(Span),
}

/// Why there is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It may be whole when there are so many bytes.
    Short(usize),
    /// The bytes end where they could go on.
    Cut(Fault),
    /// It is none.
    Wrong(Fault),
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where the part begins that is wrong.
    pub(super) at: usize,
    /// How many lines and words there are before it.
    pub(super) lines: u64,
    pub(super) reason: String,
}

/// Looks at one record.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    /// Nothing comes behind the bytes.
    is_all: bool,
    at: usize,
    /// Lines and words that were whole.
    lines: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8], is_all: bool) -> Self {
        Self { bytes, is_all, at: 0, lines: 0 }
    }

    /// How long the record is, and how many lines and words it has.
    pub(super) fn extent(&self) -> (usize, u64) {
        (self.at, self.lines)
    }

    /// Takes the record that the bytes begin with, of which there is at least one.
    pub(super) fn record(&mut self, limits: Limits, spans: &mut Vec<Span>) -> Result<Record, Stop> {
        spans.clear();
        match self.bytes[0] {
            b'#' => self.annotation(),
            b'*' => self.command(limits, spans),
            _ => Err(self.wrong(0, "AOF format error")),
        }
    }

    fn annotation(&mut self) -> Result<Record, Stop> {
        let window = &self.bytes[..self.bytes.len().min(ANNOTATION_BYTES_MAX)];
        let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
            return Err(match window.len() {
                ANNOTATION_BYTES_MAX => self.wrong(0, "An annotation is too long"),
                // Redis takes it for one, and writes the next command into it.
                _ => self.short(0, 0, "The file ends in the middle of an annotation"),
            });
        };
        self.at = end + 1;
        let len = if end > 0 && window[end - 1] == b'\r' { end - 1 } else { end };
        Ok(Record::Annotation(Span { start: 0, len }))
    }

    fn command(&mut self, limits: Limits, spans: &mut Vec<Span>) -> Result<Record, Stop> {
        let words = self.header(b'*')?;
        if words < 1 {
            return Err(self.wrong(0, format!("Expected a command, got {words} words")));
        }
        spans.reserve(words.min(WORDS_RESERVED_MAX) as usize);
        let word_bytes_max = i64::try_from(limits.word_bytes_max).unwrap_or(i64::MAX - 2);
        for _ in 0..words {
            let start = self.at;
            let len = self.header(b'$')?;
            if !(0..=word_bytes_max).contains(&len) {
                let reason = format!(
                    "Expected to read string of {len} bytes, which is not in the suitable range"
                );
                return Err(self.wrong(start, reason));
            }
            let end = self.at as u64 + len as u64 + 2;
            if end > limits.command_bytes_max {
                return Err(self.wrong(start, "A command is too long"));
            }
            let found = self.bytes.len() - self.at;
            let Some(word) = self.bytes.get(self.at..end as usize) else {
                let wanted = len + 2;
                let reason = format!("Expected to read {wanted} bytes, got {found} bytes");
                return Err(self.short(self.at, end as usize, reason));
            };
            let [.., first, second] = *word else { unreachable!("it has two bytes at least") };
            if [first, second] != *b"\r\n" {
                return Err(self.wrong(self.at, no_line_end(first, second)));
            }
            spans.push(Span { start: self.at, len: len as usize });
            self.at = end as usize;
            self.lines += 1;
        }
        Ok(Record::Command)
    }

    /// The number of a line that begins with `prefix`.
    fn header(&mut self, prefix: u8) -> Result<i64, Stop> {
        let rest = &self.bytes[self.at..];
        // As every server writes them.
        if let [first, b'0'..=b'9', ..] = rest
            && *first == prefix
        {
            let mut value = 0;
            for (index, byte) in rest.iter().enumerate().skip(1).take(18) {
                match byte {
                    b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
                    b'\r' if rest.get(index + 1) == Some(&b'\n') => {
                        self.at += index + 2;
                        self.lines += 1;
                        return Ok(value);
                    }
                    _ => break,
                }
            }
        }
        self.odd_header(prefix)
    }

    /// The number of a line that is spelled as only `redis-check-aof` would read it, or not whole.
    fn odd_header(&mut self, prefix: u8) -> Result<i64, Stop> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let window = &rest[..rest.len().min(HEADER_BYTES_MAX)];
        let end = window.iter().position(|&byte| byte == b'\n');
        let line = &window[..end.map_or(window.len(), |end| end + 1)];
        let is_open = end.is_none() && window.len() < HEADER_BYTES_MAX;
        let Some((&first, text)) = line.split_first() else {
            return Err(self.short(start, 0, "The file ends in the middle of a command"));
        };
        if is_open && !self.is_all {
            // What is wrong with it may depend on what comes.
            return Err(Stop::Short(0));
        }
        if first != prefix {
            let (expected, got) = (char::from(prefix), first.escape_ascii());
            let reason = format!("Expected prefix '{expected}', got: '{got}'");
            return Err(self.wrong(start, reason));
        }
        let (value, len) = strtol(text);
        let behind = &text[len..];
        if behind.starts_with(b"\r\n") {
            self.at += line.len();
            self.lines += 1;
            return Ok(value);
        }
        let byte = |index| behind.get(index).copied().unwrap_or(0);
        let reason = no_line_end(byte(0), byte(1));
        let may_go_on = behind.is_empty() || behind == b"\r";
        Err(if is_open && may_go_on {
            self.short(start, 0, reason)
        } else {
            self.wrong(start, reason)
        })
    }

    fn wrong(&self, at: usize, reason: impl Into<String>) -> Stop {
        Stop::Wrong(Fault { at, lines: self.lines, reason: reason.into() })
    }

    /// There is less than there should be; zero: nobody knows how much that is.
    fn short(&self, at: usize, wanted: usize, reason: impl Into<String>) -> Stop {
        if self.is_all {
            Stop::Cut(Fault { at, lines: self.lines, reason: reason.into() })
        } else {
            Stop::Short(wanted)
        }
    }
}

fn no_line_end(first: u8, second: u8) -> String {
    format!("Expected \\r\\n, got: {first:02x}{second:02x}")
}
