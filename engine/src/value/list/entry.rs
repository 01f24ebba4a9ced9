//! The elements of lists as bytes: Redis's listpack entries, so that a node can be copied into a
//! dump and out of one as it is.
//!
//! ```text
//! 0vvvvvvv                 the integer 0 to 127
//! 10llllll body            a string of up to 63 bytes
//! 110vvvvv v8              an integer of 13 bits, two's complement, high bits first
//! 1110llll l8 body         a string of up to 4095 bytes
//! f0 l32 body              a longer string
//! f1 f2 f3 f4 v16 to v64   an integer in 2, 3, 4 or 8 bytes; little endian, like l32
//! ```
//! Behind each stands its length in groups of seven bits, the highest first, all but the first with
//! the top bit set: so entries are walked backwards too.
//!
//! Invariant: equal elements have equal bytes (the shortest form that fits), so a needle is encoded
//! once and compared as bytes.

use crate::value::number::parse_integer;
use crate::value::packed::Element;

/// Bytes that a listpack has beside its entries.
pub(super) const LISTPACK_OVERHEAD: usize = 7;

const INTEGER_7_END: i64 = 128;
const STRING_6: u8 = 0x80;
const STRING_6_END: usize = 64;
const INTEGER_13: u8 = 0xc0;
const INTEGER_13_END: i64 = 1 << 12;
const STRING_12: u8 = 0xe0;
const STRING_12_END: usize = 1 << 12;
const STRING_32: u8 = 0xf0;
const INTEGER_16: u8 = 0xf1;
const INTEGER_24: u8 = 0xf2;
const INTEGER_32: u8 = 0xf3;
const INTEGER_64: u8 = 0xf4;

/// An element as it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    head: [u8; 9],
    head_len: u8,
    body: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The entry of a string, which may spell an integer.
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        match bytes.first() {
            Some(b'0'..=b'9' | b'-') if bytes.len() <= 20 => match parse_integer(bytes) {
                Some(value) => Self::integer(value),
                None => Self::text(bytes),
            },
            _ => Self::text(bytes),
        }
    }

    fn integer(value: i64) -> Self {
        let mut head = [0; 9];
        let len = match value {
            0..INTEGER_7_END => {
                head[0] = value as u8;
                return Self { head, head_len: 1, body: &[] };
            }
            _ if (-INTEGER_13_END..INTEGER_13_END).contains(&value) => {
                let bits = value as u16 & 0x1fff;
                head[0] = INTEGER_13 | (bits >> 8) as u8;
                head[1] = bits as u8;
                return Self { head, head_len: 2, body: &[] };
            }
            _ if i16::try_from(value).is_ok() => 2,
            -0x80_0000..0x80_0000 => 3,
            _ if i32::try_from(value).is_ok() => 4,
            _ => 8,
        };
        head[0] = match len {
            2 => INTEGER_16,
            3 => INTEGER_24,
            4 => INTEGER_32,
            _ => INTEGER_64,
        };
        head[1..=len].copy_from_slice(&value.to_le_bytes()[..len]);
        Self { head, head_len: len as u8 + 1, body: &[] }
    }

    fn text(bytes: &'a [u8]) -> Self {
        let mut head = [0; 9];
        let head_len = match bytes.len() {
            len @ 0..STRING_6_END => {
                head[0] = STRING_6 | len as u8;
                1
            }
            len @ ..STRING_12_END => {
                head[0] = STRING_12 | (len >> 8) as u8;
                head[1] = len as u8;
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

    fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    fn forward_len(&self) -> usize {
        usize::from(self.head_len) + self.body.len()
    }

    /// How many bytes it takes, its length behind it included.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let len = self.forward_len();
        len + link_len(len)
    }

    /// Writes it into exactly as many bytes as it takes.
    #[inline]
    pub(super) fn write(&self, into: &mut [u8]) {
        let len = self.forward_len();
        let (head, rest) = into.split_at_mut(usize::from(self.head_len));
        head.copy_from_slice(self.head());
        let (body, link) = rest.split_at_mut(self.body.len());
        body.copy_from_slice(self.body);
        write_link(len, link);
    }

    /// Whether the entry that begins at `start` is this one.
    #[inline]
    pub(super) fn is_at(&self, entries: &[u8], start: usize) -> bool {
        let rest = &entries[start..];
        rest.starts_with(self.head()) && rest[self.head().len()..].starts_with(self.body)
    }
}

/// How many bytes the length behind an entry takes. The limits are Redis's.
#[inline]
fn link_len(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

fn write_link(len: usize, into: &mut [u8]) {
    let mut rest = len;
    for byte in into[1..].iter_mut().rev() {
        *byte = (rest & 127) as u8 | 128;
        rest >>= 7;
    }
    into[0] = rest as u8;
}

/// The head's length and the whole length of the entry at `start`, without the length behind it.
#[inline]
fn lengths(entries: &[u8], start: usize) -> (usize, usize) {
    match entries[start] {
        0..STRING_6 => (1, 1),
        byte @ STRING_6..INTEGER_13 => (1, 1 + usize::from(byte & 0x3f)),
        INTEGER_13..STRING_12 => (1, 2),
        byte @ STRING_12..STRING_32 => {
            let len = usize::from(byte & 0x0f) << 8 | usize::from(entries[start + 1]);
            (2, 2 + len)
        }
        STRING_32 => {
            let mut len = [0; 4];
            len.copy_from_slice(&entries[start + 1..start + 5]);
            (5, 5 + u32::from_le_bytes(len) as usize)
        }
        INTEGER_16 => (1, 3),
        INTEGER_24 => (1, 4),
        INTEGER_32 => (1, 5),
        _ => (1, 9),
    }
}

/// Where the entry that begins at `start` ends.
#[inline]
pub(super) fn end_of(entries: &[u8], start: usize) -> usize {
    let (_, len) = lengths(entries, start);
    start + len + link_len(len)
}

/// Where the entry that ends at `end` begins.
#[inline]
pub(super) fn start_of(entries: &[u8], end: usize) -> usize {
    let (mut at, mut len, mut shift) = (end - 1, 0, 0);
    loop {
        let byte = entries[at];
        len |= usize::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return at - len;
        }
        at -= 1;
        shift += 7;
    }
}

/// The element that begins at `start`, and where its entry ends.
#[inline]
pub(super) fn element_at(entries: &[u8], start: usize) -> (Element<'_>, usize) {
    let (head_len, len) = lengths(entries, start);
    let body = &entries[start + head_len..start + len];
    let element = match entries[start] {
        value @ 0..STRING_6 => Element::Integer(value.into()),
        STRING_6..INTEGER_13 | STRING_12..=STRING_32 => Element::Bytes(body),
        byte @ INTEGER_13..STRING_12 => {
            let bits = u16::from(byte & 0x1f) << 8 | u16::from(body[0]);
            // The sign is the highest of 13 bits.
            Element::Integer(i64::from((bits << 3) as i16 >> 3))
        }
        _ => {
            let mut wide = [if body[body.len() - 1] & 0x80 == 0 { 0 } else { 0xff }; 8];
            wide[..body.len()].copy_from_slice(body);
            Element::Integer(i64::from_le_bytes(wide))
        }
    };
    (element, start + len + link_len(len))
}

/// Where the entry number `index` of `count` begins; `count` itself is the end.
#[inline]
pub(super) fn offset_of(entries: &[u8], count: usize, index: usize) -> usize {
    if index <= count / 2 {
        (0..index).fold(0, |at, _| end_of(entries, at))
    } else {
        (index..count).fold(entries.len(), |at, _| start_of(entries, at))
    }
}

/// Checks the form of every entry, in both directions; for tests.
pub(super) fn check_invariants(entries: &[u8], count: usize) {
    let (mut at, mut walked) = (0, 0);
    while at < entries.len() {
        let (element, end) = element_at(entries, at);
        let bytes = element.to_vec();
        let entry = Entry::new(&bytes);
        let mut again = vec![0; entry.len()];
        entry.write(&mut again);
        assert_eq!(&entries[at..end], again, "an entry has its shortest form");
        assert_eq!(end_of(entries, at), end, "an entry ends where it says");
        assert_eq!(start_of(entries, end), at, "an entry begins where it says");
        at = end;
        walked += 1;
    }
    assert_eq!((at, walked), (entries.len(), count), "the entries are counted");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(words: &[&[u8]]) -> Vec<u8> {
        let mut entries = Vec::new();
        for word in words {
            let entry = Entry::new(word);
            let start = entries.len();
            entries.resize(start + entry.len(), 0);
            entry.write(&mut entries[start..]);
        }
        check_invariants(&entries, words.len());
        entries
    }

    #[test]
    fn what_is_written_is_read_in_both_directions() {
        let numbers: Vec<String> = [
            0,
            127,
            128,
            -1,
            4095,
            4096,
            -4096,
            -4097,
            32_767,
            32_768,
            -32_769,
            8_388_607,
            8_388_608,
            -8_388_609,
            2_147_483_647,
            2_147_483_648,
            i64::MAX,
            i64::MIN,
        ]
        .iter()
        .map(i64::to_string)
        .collect();
        let lens =
            [0, 1, 63, 64, 125, 126, 4095, 4096, 16_377, 16_378, 16_400, 2_097_146, 2_097_150];
        let strings: Vec<Vec<u8>> = lens.iter().map(|&len| vec![b'x'; len]).collect();
        let odd: [&[u8]; 4] = [b"007", b"-0", b"9223372036854775808", b"1a"];
        let words: Vec<&[u8]> = numbers
            .iter()
            .map(String::as_bytes)
            .chain(strings.iter().map(Vec::as_slice))
            .chain(odd)
            .collect();
        let entries = written(&words);
        let mut end = entries.len();
        for (index, word) in words.iter().enumerate().rev() {
            let start = start_of(&entries, end);
            assert_eq!(element_at(&entries, start).0.to_vec(), *word);
            assert!(Entry::new(word).is_at(&entries, start));
            assert_eq!(offset_of(&entries, words.len(), index), start);
            end = start;
        }
    }

    #[test]
    fn the_bytes_are_those_of_a_listpack() {
        assert_eq!(written(&[b"a"]), [0x81, b'a', 2]);
        assert_eq!(written(&[b"127"]), [0x7f, 1]);
        assert_eq!(written(&[b"-1"]), [0xdf, 0xff, 2]);
        assert_eq!(written(&[b"1024"]), [0xc4, 0x00, 2]);
        assert_eq!(written(&[b"-32768"]), [0xf1, 0x00, 0x80, 3]);
        let long = [b'x'; 200];
        let entry = written(&[&long]);
        assert_eq!(&entry[..2], [0xe0, 200]);
        assert_eq!(&entry[202..], [1, 0x80 | 74]);
    }
}
