//! Packed sequences: the bytes of small hashes, sorted sets and sets.
//!
//! Two bytes of count, then the elements one behind the other, each a header byte and a body:
//!
//! ```text
//! 00..7f  the integer 0 to 127 itself
//! 80..bf  a string of 0 to 63 bytes, which follow
//! c0..c7  an integer in 1 to 8 bytes, little endian, sign extended
//! c8      a double in 8 bytes
//! c9      a string; its length in one byte follows
//! ca      a string; its length in four bytes follows
//! ```
//! There are no links back: sequences are short and walked from the front. No bytes at all are an
//! empty sequence.
//!
//! Invariant: equal elements have equal bytes (the shortest form that fits), so a needle is encoded
//! once and compared as bytes.

use crate::resp::Reply;
use crate::value::number::{format_double, parse_integer};

/// A sequence never has more elements, whatever the limits say.
pub const ELEMENTS_MAX: usize = u16::MAX as usize;
/// Where the first element begins.
pub const HEADER_BYTES: usize = 2;

const SHORT_STRING: u8 = 0x80;
const SHORT_BYTES_MAX: usize = 63;
const INTEGER: u8 = 0xc0;
/// The header byte of a double.
pub const DOUBLE: u8 = 0xc8;
const STRING_8: u8 = 0xc9;
const STRING_32: u8 = 0xca;
/// Whole numbers up to here are the same as doubles and as integers.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// One element as it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element<'a> {
    /// A string that is not an integer.
    Bytes(&'a [u8]),
    /// A string that is an integer, or a whole score.
    Integer(i64),
    /// A score that is not a whole number.
    Double(f64),
}

impl<'a> Element<'a> {
    /// The string; an integer is spelled into `buffer`.
    ///
    /// # Panics
    /// If it is a double: those are scores, never strings.
    #[inline]
    pub fn bytes<'b>(self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Integer(value) => buffer.format(value).as_bytes(),
            Self::Double(_) => unreachable!("a score is not a string"),
        }
    }

    /// The string as bytes of its own.
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut itoa::Buffer::new()).to_vec()
    }

    /// How many bytes the string has.
    pub fn len(self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Integer(value) => itoa::Buffer::new().format(value).len(),
            Self::Double(value) => format_double(value).len(),
        }
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        self == Self::Bytes(b"")
    }

    /// The score.
    ///
    /// # Panics
    /// If it is a string: every second element of a sorted set is a score.
    #[inline]
    pub fn score(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Double(value) => value,
            Self::Bytes(_) => unreachable!("a string is not a score"),
        }
    }

    /// Writes the string as a bulk string.
    #[inline]
    pub fn reply(self, reply: &mut Reply) {
        match self {
            Self::Bytes(bytes) => reply.bulk(bytes),
            Self::Integer(value) => reply.bulk_integer(value),
            Self::Double(value) => reply.text(&format_double(value)),
        }
    }
}

/// An element as it is stored: what goes into a sequence and what is searched for.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    body: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// A string, which may spell an integer.
    #[inline]
    pub fn string(bytes: &'a [u8]) -> Self {
        match bytes.first() {
            Some(b'0'..=b'9' | b'-') if bytes.len() <= 20 => match parse_integer(bytes) {
                Some(value) => Self::integer(value),
                None => Self::text(bytes),
            },
            _ => Self::text(bytes),
        }
    }

    /// An integer.
    #[inline]
    pub fn integer(value: i64) -> Self {
        let mut head = [0; 9];
        if let 0..=127 = value {
            head[0] = value as u8;
            return Self { head, head_len: 1, body: &[] };
        }
        // One bit for the sign.
        let bits = 65 - (if value < 0 { !value } else { value }).leading_zeros();
        let len = bits.div_ceil(8) as usize;
        head[0] = INTEGER + (len - 1) as u8;
        head[1..=len].copy_from_slice(&value.to_le_bytes()[..len]);
        Self { head, head_len: len as u8 + 1, body: &[] }
    }

    /// A score.
    #[inline]
    pub fn score(value: f64) -> Self {
        let is_whole = value.abs() <= EXACT_INTEGER_MAX && value as i64 as f64 == value;
        if is_whole && !(value == 0.0 && value.is_sign_negative()) {
            return Self::integer(value as i64);
        }
        let mut head = [DOUBLE; 9];
        head[1..].copy_from_slice(&value.to_le_bytes());
        Self { head, head_len: 9, body: &[] }
    }

    /// An element that was read.
    pub fn element(element: Element<'a>) -> Self {
        match element {
            Element::Bytes(bytes) => Self::text(bytes),
            Element::Integer(value) => Self::integer(value),
            Element::Double(value) => Self::score(value),
        }
    }

    fn text(bytes: &'a [u8]) -> Self {
        let mut head = [0; 9];
        let head_len = match bytes.len() {
            len @ 0..=SHORT_BYTES_MAX => {
                head[0] = SHORT_STRING + len as u8;
                1
            }
            len @ ..=255 => {
                head[..2].copy_from_slice(&[STRING_8, len as u8]);
                2
            }
            len => {
                let len = u32::try_from(len).expect("a word is shorter than 4 GiB");
                head[0] = STRING_32;
                head[1..5].copy_from_slice(&len.to_le_bytes());
                5
            }
        };
        Self { head, head_len, body: bytes }
    }

    /// How many bytes it takes.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.body.len()
    }

    /// Nothing is stored in no bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The header and what belongs to it: of an integer or a score, everything.
    #[inline]
    pub fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    /// The text behind the header: of a string, all of it.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Whether `bytes` begin with this element.
    #[inline]
    fn is_at(&self, bytes: &[u8]) -> bool {
        let head = &self.head[..usize::from(self.head_len)];
        bytes.starts_with(head) && bytes[head.len()..].starts_with(self.body)
    }

    /// Appends it to `into`.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.head[..usize::from(self.head_len)]);
        into.extend_from_slice(self.body);
    }
}

/// How many elements a sequence has.
#[inline]
pub fn count(sequence: &[u8]) -> usize {
    match sequence {
        [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}

/// Where the element that begins at `start` ends.
#[inline]
pub fn end_of(sequence: &[u8], start: usize) -> usize {
    match sequence[start] {
        0..SHORT_STRING => start + 1,
        header @ SHORT_STRING..INTEGER => start + 1 + usize::from(header - SHORT_STRING),
        header @ INTEGER..DOUBLE => start + 2 + usize::from(header - INTEGER),
        DOUBLE => start + 9,
        STRING_8 => start + 2 + usize::from(sequence[start + 1]),
        _ => start + 5 + long_len(sequence, start),
    }
}

/// The element that begins at `start`, and where it ends.
#[inline]
pub fn element_at(sequence: &[u8], start: usize) -> (Element<'_>, usize) {
    let end = end_of(sequence, start);
    let element = match sequence[start] {
        value @ 0..SHORT_STRING => Element::Integer(value.into()),
        SHORT_STRING..INTEGER => Element::Bytes(&sequence[start + 1..end]),
        INTEGER..DOUBLE => {
            let body = &sequence[start + 1..end];
            let mut wide = [if body[body.len() - 1] & 0x80 == 0 { 0 } else { 0xff }; 8];
            wide[..body.len()].copy_from_slice(body);
            Element::Integer(i64::from_le_bytes(wide))
        }
        DOUBLE => {
            let mut wide = [0; 8];
            wide.copy_from_slice(&sequence[start + 1..end]);
            Element::Double(f64::from_le_bytes(wide))
        }
        STRING_8 => Element::Bytes(&sequence[start + 2..end]),
        _ => Element::Bytes(&sequence[start + 5..end]),
    };
    (element, end)
}

fn long_len(sequence: &[u8], start: usize) -> usize {
    let mut len = [0; 4];
    len.copy_from_slice(&sequence[start + 1..start + 5]);
    u32::from_le_bytes(len) as usize
}

/// Where an element was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many elements stand before it.
    pub index: usize,
    /// Its first byte.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
}

/// The first element that equals `needle` among those whose index is a multiple of `step`: 2 finds
/// keys among pairs.
#[inline]
pub fn find(sequence: &[u8], needle: &Encoded<'_>, step: usize) -> Option<Place> {
    let mut start = HEADER_BYTES;
    let mut index = 0;
    while start < sequence.len() {
        if needle.is_at(&sequence[start..]) {
            return Some(Place { index, start, end: start + needle.len() });
        }
        for _ in 0..step {
            start = end_of(sequence, start);
        }
        index += step;
    }
    None
}

/// The elements in order.
pub fn elements(sequence: &[u8]) -> Elements<'_> {
    Elements { sequence, at: HEADER_BYTES }
}

/// The elements from the one that begins at `start` on.
pub fn elements_from(sequence: &[u8], start: usize) -> Elements<'_> {
    Elements { sequence, at: start }
}

/// Walks over a sequence.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    sequence: &'a [u8],
    at: usize,
}

impl Elements<'_> {
    /// Where the next element begins.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Passes over so many elements, if there are as many.
    pub fn pass(&mut self, count: usize) {
        for _ in 0..count {
            if self.at < self.sequence.len() {
                self.at = end_of(self.sequence, self.at);
            }
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.at >= self.sequence.len() {
            return None;
        }
        let (element, end) = element_at(self.sequence, self.at);
        self.at = end;
        Some(element)
    }
}

/// Appends an element.
pub fn push(sequence: &mut Vec<u8>, element: &Encoded<'_>) {
    begin(sequence);
    element.write(sequence);
    let count = count(sequence) + 1;
    set_count(sequence, count);
}

/// Puts `new` in the place of `removed` elements, which lie in the bytes `start..end`.
///
/// # Panics
/// If the sequence would have more than [`ELEMENTS_MAX`] elements: callers convert before.
pub fn splice(
    sequence: &mut Vec<u8>,
    start: usize,
    end: usize,
    removed: usize,
    new: &[Encoded<'_>],
) {
    begin(sequence);
    let (start, end) = (start.max(HEADER_BYTES), end.max(HEADER_BYTES));
    let new_bytes: usize = new.iter().map(Encoded::len).sum();
    let old_len = sequence.len();
    let new_end = start + new_bytes;
    if new_end > end {
        sequence.resize(old_len + (new_end - end), 0);
        sequence.copy_within(end..old_len, new_end);
    } else {
        sequence.copy_within(end..old_len, new_end);
        sequence.truncate(old_len - (end - new_end));
    }
    let mut at = start;
    for element in new {
        let head = &element.head[..usize::from(element.head_len)];
        sequence[at..at + head.len()].copy_from_slice(head);
        at += head.len();
        sequence[at..at + element.body.len()].copy_from_slice(element.body);
        at += element.body.len();
    }
    let count = count(sequence) + new.len() - removed;
    set_count(sequence, count);
}

/// Checks the count and the form of every element; for tests.
pub fn check_invariants(sequence: &[u8]) {
    let mut elements = elements(sequence);
    let mut walked = 0;
    while let Some(element) = elements.next() {
        walked += 1;
        let mut again = Vec::new();
        match element {
            Element::Bytes(bytes) => Encoded::string(bytes).write(&mut again),
            other => Encoded::element(other).write(&mut again),
        }
        let end = elements.offset();
        assert_eq!(&sequence[end - again.len()..end], again, "an element has its shortest form");
    }
    assert!(elements.offset() == sequence.len().max(HEADER_BYTES), "elements fill the bytes");
    assert_eq!(walked, count(sequence), "a sequence knows its count");
}

fn begin(sequence: &mut Vec<u8>) {
    if sequence.is_empty() {
        sequence.resize(HEADER_BYTES, 0);
    }
}

fn set_count(sequence: &mut [u8], count: usize) {
    let count = u16::try_from(count).expect("a longer sequence is converted before");
    sequence[..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence_of(words: &[&[u8]]) -> Vec<u8> {
        let mut sequence = Vec::new();
        words.iter().for_each(|word| push(&mut sequence, &Encoded::string(word)));
        check_invariants(&sequence);
        sequence
    }

    fn words_of(sequence: &[u8]) -> Vec<Vec<u8>> {
        elements(sequence).map(Element::to_vec).collect()
    }

    #[test]
    fn what_goes_in_comes_out() {
        let long = vec![b'x'; 70_000];
        let words: [&[u8]; 22] = [
            b"",
            b"a",
            b"0",
            b"127",
            b"128",
            b"-1",
            b"-128",
            b"-129",
            b"32767",
            b"32768",
            b"8388607",
            b"8388608",
            b"2147483648",
            b"-9223372036854775808",
            b"9223372036854775807",
            b"9223372036854775808",
            b"007",
            b"-0",
            &[b'y'; 63],
            &[b'y'; 64],
            &[b'y'; 256],
            &long,
        ];
        let sequence = sequence_of(&words);
        assert_eq!(words_of(&sequence), words);
        for (index, word) in words.into_iter().enumerate() {
            let place = find(&sequence, &Encoded::string(word), 1).expect("it is there");
            assert_eq!(place.index, index);
            assert_eq!(end_of(&sequence, place.start), place.end);
        }
    }

    #[test]
    fn scores_keep_their_value_and_sign() {
        for score in [0.0, -0.0, 1.0, -1.5, 1e300, f64::INFINITY, f64::NEG_INFINITY, 9e15, 1e16] {
            let mut sequence = Vec::new();
            push(&mut sequence, &Encoded::score(score));
            let read = elements(&sequence).next().expect("it was pushed").score();
            assert_eq!(read.to_bits(), score.to_bits());
            check_invariants(&sequence);
        }
    }

    #[test]
    fn a_splice_puts_elements_in_the_place_of_others() {
        let mut sequence = sequence_of(&[b"one", b"2", b"three"]);
        let place = find(&sequence, &Encoded::string(b"2"), 1).expect("it is there");
        let new = [Encoded::string(b"a long string"), Encoded::integer(300)];
        splice(&mut sequence, place.start, place.end, 1, &new);
        check_invariants(&sequence);
        assert_eq!(words_of(&sequence), [&b"one"[..], b"a long string", b"300", b"three"]);
        let start = HEADER_BYTES;
        let end = end_of(&sequence, end_of(&sequence, start));
        splice(&mut sequence, start, end, 2, &[]);
        check_invariants(&sequence);
        assert_eq!(words_of(&sequence), [&b"300"[..], b"three"]);
    }

    #[test]
    fn a_step_searches_keys_only() {
        let sequence = sequence_of(&[b"a", b"b", b"b", b"c"]);
        let place = find(&sequence, &Encoded::string(b"b"), 2).expect("it is there");
        assert_eq!(place.index, 2);
        assert_eq!(find(&sequence, &Encoded::string(b"c"), 2), None);
    }
}
