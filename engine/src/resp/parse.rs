//! Incremental parsing of requests: multibulk (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) and inline.
//!
//! Invariants: nothing is copied (words are spans of the input; inline words are unescaped in
//! place), a byte that was looked at is not looked at again when more bytes arrive, and how the
//! input is cut into pieces never changes what is parsed.
//!
//! Source: the protocol specification at redis.io; error texts as Redis 7 gives them.

use super::words::split_words_in_place;
use crate::args::Span;

/// A header line or an inline request may be this long, as in Redis (`PROTO_INLINE_MAX_SIZE`).
const LINE_BYTES_MAX: usize = 64 * 1024;
/// A client that has not authenticated may send this many words a command.
const UNAUTHENTICATED_WORDS_MAX: i64 = 10;
/// A client that has not authenticated may send words of this many bytes.
const UNAUTHENTICATED_WORD_BYTES_MAX: i64 = 16384;
/// Words of one command, as in Redis.
const WORDS_MAX: i64 = i32::MAX as i64;
/// Spans are reserved for this many announced words; more only as they arrive.
const WORDS_RESERVED_MAX: usize = 1024;

/// The limits that apply to one client at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`, in bytes.
    pub bulk_bytes_max: u64,
    /// Whether the client has yet to authenticate.
    pub unauthenticated: bool,
}

/// What the parser found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole command: its words are in [`Parser::words`], its length is `consumed` bytes.
    Command {
        /// Bytes from the start of the command to its end.
        consumed: usize,
    },
    /// A whole but empty request, to be skipped.
    Empty {
        /// Its length in bytes.
        consumed: usize,
    },
    /// More bytes are needed.
    Incomplete,
    /// The client does not speak the protocol: answer and close.
    Error(ProtocolError),
}

/// Why the bytes are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No line end within 64 KiB of `*`.
    MultibulkLineTooLong,
    /// Not a number, or out of range.
    MultibulkLength,
    /// Too many words for a client that has not authenticated.
    UnauthenticatedMultibulkLength,
    /// No line end within 64 KiB of `$`.
    BulkLineTooLong,
    /// A word must start with `$`; holds what was there.
    ExpectedDollar(u8),
    /// Not a number, negative, or over `proto-max-bulk-len`.
    BulkLength,
    /// Too long a word for a client that has not authenticated.
    UnauthenticatedBulkLength,
    /// No line end within 64 KiB of an inline request.
    InlineTooLong,
    /// A quote in an inline request is not closed.
    UnbalancedQuotes,
}

impl ProtocolError {
    /// The error reply's text, without the leading `-`.
    pub fn message(self) -> Vec<u8> {
        let what = match self {
            Self::MultibulkLineTooLong => "too big mbulk count string",
            Self::MultibulkLength => "invalid multibulk length",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::BulkLineTooLong => "too big bulk count string",
            Self::ExpectedDollar(byte) => {
                // Redis prints the byte as it is; a line end inside a reply would break the
                // framing.
                let shown = if byte.is_ascii_control() { b' ' } else { byte };
                return [b"ERR Protocol error: expected '$', got '", [shown].as_slice(), b"'"]
                    .concat();
            }
            Self::BulkLength => "invalid bulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
            Self::InlineTooLong => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
        };
        format!("ERR Protocol error: {what}").into_bytes()
    }
}

/// Parses the requests of one client. All positions are relative to the start of the command that
/// is being parsed, so the bytes before it may be dropped at any time.
#[derive(Debug, Default)]
pub struct Parser {
    spans: Vec<Span>,
    /// Words that are still missing of the current multibulk request; `None` between requests.
    words_left: Option<usize>,
    /// Length of the word whose header was read, if its bytes have not all arrived.
    bulk_len: Option<usize>,
    /// Everything before this was parsed.
    position: usize,
    /// No line end is between `position` and here.
    scanned: usize,
}

impl Parser {
    /// Looks for one request at the start of `bytes`.
    pub fn parse(&mut self, bytes: &mut [u8], limits: Limits) -> Parsed {
        if self.words_left.is_none() {
            match bytes.first() {
                None => return Parsed::Incomplete,
                Some(b'*') => match self.header(bytes, ProtocolError::MultibulkLineTooLong) {
                    Ok(Some(line)) => match announced_words(&bytes[line], limits) {
                        Ok(0) => return self.finish_empty(),
                        Ok(words) => self.begin(words),
                        Err(error) => return Parsed::Error(error),
                    },
                    Ok(None) => return Parsed::Incomplete,
                    Err(error) => return Parsed::Error(error),
                },
                Some(_) => return self.inline(bytes),
            }
        }
        self.multibulk(bytes, limits)
    }

    /// The words of the command that `parse` has just found.
    pub fn words(&self) -> &[Span] {
        &self.spans
    }

    /// Makes ready for the next command.
    pub fn reset(&mut self) {
        self.spans.clear();
        self.words_left = None;
        self.bulk_len = None;
        self.position = 0;
        self.scanned = 0;
    }

    /// Whether a command has begun and not ended.
    pub fn is_mid_command(&self) -> bool {
        self.words_left.is_some() || self.scanned > 0
    }

    /// How many more bytes the word that is being received needs, if that is known: a driver can
    /// reserve them at once. `received` is what was received of the command so far.
    pub fn bytes_wanted(&self, received: usize) -> usize {
        self.bulk_len.map_or(0, |len| (self.position + len + 2).saturating_sub(received))
    }

    /// How many bytes of the command that is being received were parsed, and how many of them are
    /// words.
    pub fn parsed_bytes(&self) -> (usize, usize) {
        (self.position, self.spans.iter().map(|span| span.len).sum())
    }

    /// Lends an allocation for the spans, so that an idle client need not own one.
    pub fn lend(&mut self, spare: &mut Vec<Span>) {
        if self.spans.capacity() == 0 {
            core::mem::swap(&mut self.spans, spare);
        }
    }

    /// Gives the allocation back unless a command is half parsed.
    pub fn give_back(&mut self, spare: &mut Vec<Span>) {
        if self.words_left.is_none() && self.spans.capacity() > 0 {
            self.spans.clear();
            core::mem::swap(&mut self.spans, spare);
            self.spans = Vec::new();
        }
    }

    /// Heap bytes that the parser owns.
    pub fn memory_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }

    fn begin(&mut self, words: usize) {
        self.spans.clear();
        self.spans.reserve(words.min(WORDS_RESERVED_MAX));
        self.words_left = Some(words);
    }

    fn finish_empty(&mut self) -> Parsed {
        let consumed = self.position;
        self.reset();
        Parsed::Empty { consumed }
    }

    fn multibulk(&mut self, bytes: &[u8], limits: Limits) -> Parsed {
        let mut left = self.words_left.unwrap_or(0);
        while left > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => match self.bulk_header(bytes, limits) {
                    Ok(Some(len)) => len,
                    Ok(None) => return self.suspend(left),
                    Err(error) => return Parsed::Error(error),
                },
            };
            // The two bytes after a word are skipped without a look, as in Redis.
            if bytes.len() - self.position < len + 2 {
                self.bulk_len = Some(len);
                return self.suspend(left);
            }
            self.spans.push(Span { start: self.position, len });
            self.position += len + 2;
            self.bulk_len = None;
            left -= 1;
        }
        self.words_left = None;
        let consumed = self.position;
        self.position = 0;
        self.scanned = 0;
        Parsed::Command { consumed }
    }

    fn suspend(&mut self, left: usize) -> Parsed {
        self.words_left = Some(left);
        Parsed::Incomplete
    }

    fn bulk_header(
        &mut self,
        bytes: &[u8],
        limits: Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        let rest = &bytes[self.position..];
        // The common case in one look: `$` and one or two digits.
        if let [b'$', digit @ b'1'..=b'9', b'\r', _, ..] = *rest {
            self.position += 4;
            return Ok(Some(usize::from(digit - b'0')));
        }
        let Some(line) = self.header(bytes, ProtocolError::BulkLineTooLong)? else {
            return Ok(None);
        };
        let line = &bytes[line];
        if line[0] != b'$' {
            return Err(ProtocolError::ExpectedDollar(line[0]));
        }
        let len = strict_integer(&line[1..]).ok_or(ProtocolError::BulkLength)?;
        let max = i64::try_from(limits.bulk_bytes_max).unwrap_or(i64::MAX);
        if !(0..=max).contains(&len) {
            return Err(ProtocolError::BulkLength);
        }
        if limits.unauthenticated && len > UNAUTHENTICATED_WORD_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        Ok(Some(len as usize))
    }

    /// Takes one header line, without its end. `None`: it is not all there.
    fn header(
        &mut self,
        bytes: &[u8],
        too_long: ProtocolError,
    ) -> Result<Option<core::ops::Range<usize>>, ProtocolError> {
        let start = self.position;
        let from = self.scanned.max(start);
        let Some(found) = bytes[from..].iter().position(|&byte| byte == b'\r') else {
            if bytes.len() - start > LINE_BYTES_MAX {
                return Err(too_long);
            }
            self.scanned = bytes.len();
            return Ok(None);
        };
        let end = from + found;
        // Also when it arrived in one piece: pieces must not matter.
        if end - start > LINE_BYTES_MAX {
            return Err(too_long);
        }
        if end + 2 > bytes.len() {
            self.scanned = end;
            return Ok(None);
        }
        self.position = end + 2;
        self.scanned = self.position;
        // A line that is only its end still needs a first byte for the error message.
        let end = if end == start { end + 1 } else { end };
        Ok(Some(start..end))
    }

    fn inline(&mut self, bytes: &mut [u8]) -> Parsed {
        let Some(found) = bytes[self.scanned..].iter().position(|&byte| byte == b'\n') else {
            if bytes.len() > LINE_BYTES_MAX {
                return Parsed::Error(ProtocolError::InlineTooLong);
            }
            self.scanned = bytes.len();
            return Parsed::Incomplete;
        };
        let newline = self.scanned + found;
        if newline > LINE_BYTES_MAX {
            return Parsed::Error(ProtocolError::InlineTooLong);
        }
        let consumed = newline + 1;
        let end = if newline > 0 && bytes[newline - 1] == b'\r' { newline - 1 } else { newline };
        self.reset();
        if split_words_in_place(&mut bytes[..end], &mut self.spans).is_err() {
            return Parsed::Error(ProtocolError::UnbalancedQuotes);
        }
        if self.spans.is_empty() {
            return Parsed::Empty { consumed };
        }
        Parsed::Command { consumed }
    }
}

/// The number of words that `*...` announces; zero and negative ones mean an empty request.
fn announced_words(line: &[u8], limits: Limits) -> Result<usize, ProtocolError> {
    let words = strict_integer(&line[1..]).ok_or(ProtocolError::MultibulkLength)?;
    if words > WORDS_MAX {
        return Err(ProtocolError::MultibulkLength);
    }
    if limits.unauthenticated && words > UNAUTHENTICATED_WORDS_MAX {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    Ok(usize::try_from(words).unwrap_or(0))
}

/// An integer with nothing but a minus sign and digits, as Redis's `string2ll` takes it: no leading
/// zeros, no plus sign, no spaces.
fn strict_integer(text: &[u8]) -> Option<i64> {
    crate::value::number::parse_integer(text)
}
