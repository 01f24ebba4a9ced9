//! Ids of stream entries: milliseconds and a sequence number, in the spelling of clients.
//!
//! Invariant: ids are ordered as entries are.

use core::fmt;

/// Longer texts are no ids, as in Redis.
const TEXT_BYTES_MAX: usize = 127;

/// The id of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since the Unix epoch, if nobody chose something else.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

/// An id as XADD takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdRequest {
    /// `*`: the stream chooses.
    Auto,
    /// `5-*`: the stream chooses the sequence number.
    AutoSeq(u64),
    /// Exactly this one.
    Exact(StreamId),
}

impl StreamId {
    /// The smallest id; no entry has it.
    pub const MIN: Self = Self::new(0, 0);
    /// The greatest id.
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);

    /// An id from its two parts.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id right after this one; none after the greatest.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The id right before this one; none before the smallest.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// Reads `5-3`, or `5` with this sequence number.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        let (ms, seq) = split(text)?;
        let seq = seq.map_or(Some(missing_seq), c_number)?;
        Some(Self { ms: c_number(ms)?, seq })
    }

    /// As text.
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; 41], len: 0 };
        let mut push = |part: &str| {
            text.bytes[text.len..text.len + part.len()].copy_from_slice(part.as_bytes());
            text.len += part.len();
        };
        push(itoa::Buffer::new().format(self.ms));
        push("-");
        push(itoa::Buffer::new().format(self.seq));
        text
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl IdRequest {
    /// Reads what XADD takes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text == b"*" {
            return Some(Self::Auto);
        }
        match split(text)? {
            (ms, Some(b"*")) => Some(Self::AutoSeq(c_number(ms)?)),
            _ => Some(Self::Exact(StreamId::parse(text, 0)?)),
        }
    }
}

/// The text of an id.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; 41],
    len: usize,
}

impl IdText {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The part before the first minus sign and the one after it, up to a zero byte, where Redis
/// stops.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let text = &text[..end];
    Some(match text.iter().position(|&byte| byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    })
}

/// Reads a number as Redis reads the parts of ids: C's `strtoull`, which takes spaces, a sign and
/// leading zeros, but no plain negative number.
fn c_number(text: &[u8]) -> Option<u64> {
    let spaces = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[spaces..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    // A negative number in its plainest spelling is refused; `strtoull` would wrap it around.
    let is_plain = spaces == 0 && digits[0] != b'0' && value <= 1 << 63;
    match (negative, is_plain) {
        (false, _) => Some(value),
        (true, true) => None,
        (true, false) => Some(value.wrapping_neg()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        for (text, id) in [
            ("5-3", Some((5, 3))),
            ("5", Some((5, 9))),
            ("0-0", Some((0, 0))),
            ("007-08", Some((7, 8))),
            ("+5- 3", Some((5, 3))),
            ("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            ("18446744073709551616-0", None),
            ("5--3", None),
            ("5--03", Some((5, 3_u64.wrapping_neg()))),
            ("5\u{0}x", Some((5, 9))),
            ("5-3\u{0}x", Some((5, 3))),
            ("", None),
            ("-", None),
            ("-5", None),
            ("5-", None),
            ("x", None),
            ("5-3x", None),
            ("5-*", None),
        ] {
            let expected = id.map(|(ms, seq)| StreamId::new(ms, seq));
            assert_eq!(StreamId::parse(text.as_bytes(), 9), expected, "{text:?}");
        }
        assert_eq!(StreamId::parse(&[b'0'; 128], 0), None);
        assert_eq!(StreamId::parse(&[b'0'; 127], 0), Some(StreamId::MIN));
    }

    #[test]
    fn xadd_takes_what_the_stream_completes() {
        assert_eq!(IdRequest::parse(b"*"), Some(IdRequest::Auto));
        assert_eq!(IdRequest::parse(b"7-*"), Some(IdRequest::AutoSeq(7)));
        assert_eq!(IdRequest::parse(b"7"), Some(IdRequest::Exact(StreamId::new(7, 0))));
        assert_eq!(IdRequest::parse(b"*-7"), None);
    }

    #[test]
    fn neighbours_carry_over() {
        let edge = StreamId::new(1, u64::MAX);
        assert_eq!(edge.next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).previous(), Some(edge));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.previous(), None);
        assert_eq!(StreamId::MAX.text().as_bytes().len(), 41);
    }
}
