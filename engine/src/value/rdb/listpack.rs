//! Listpacks: small sequences of strings and integers in one block, since Redis 5.
//!
//! Four bytes of total length, two of count (65535: unknown), the entries, one byte 255. An entry
//! is its form, its data, and its own length, to be read backwards.
//!
//! Invariant: what [`Builder`] gives, [`Listpack`] and Redis read.

use super::{Corrupt, Element};
use crate::value::number::parse_integer;

const HEADER_BYTES: usize = 6;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;

const BAD: Corrupt = Corrupt("a listpack that does not fit together");

/// The entries of a listpack, checked one by one as they are read.
#[derive(Clone, Debug)]
pub struct Listpack<'a> {
    rest: &'a [u8],
    /// How many entries must be left, if the header says it.
    left: Option<u16>,
}

impl<'a> Listpack<'a> {
    /// Checks the header.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(BAD)?;
        let [a, b, c, d, e, f] = *header;
        let (total, count) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
        match rest.split_last() {
            Some((&END, rest)) if total as usize == bytes.len() => {
                let left = (count != COUNT_UNKNOWN).then_some(count);
                Ok(Self { rest, left })
            }
            _ => Err(BAD),
        }
    }

    fn entry(&mut self) -> Result<Element<'a>, Corrupt> {
        let (element, len) = decode(self.rest)?;
        let length = BackLength::of(len);
        let (_, after) = self.rest.split_at_checked(len).ok_or(BAD)?;
        self.rest = after.strip_prefix(length.bytes()).ok_or(BAD)?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(BAD)?;
        }
        Ok(element)
    }

    /// The next entry, which must be there.
    pub fn must(&mut self) -> Result<Element<'a>, Corrupt> {
        self.next().ok_or(BAD)?
    }

    /// The next entry, which must be an integer.
    pub fn integer(&mut self) -> Result<i64, Corrupt> {
        self.must()?.integer().ok_or(Corrupt("a string where an integer should be"))
    }

    /// Checks that nothing is left.
    pub fn end(&mut self) -> Result<(), Corrupt> {
        match self.next() {
            None => Ok(()),
            Some(_) => Err(Corrupt("too many entries")),
        }
    }
}

impl<'a> Iterator for Listpack<'a> {
    type Item = Result<Element<'a>, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            // Reported once.
            let missing = self.left.take().is_some_and(|left| left != 0);
            return missing.then_some(Err(BAD));
        }
        let entry = self.entry();
        if entry.is_err() {
            (self.rest, self.left) = (&[], None);
        }
        Some(entry)
    }
}

/// The entry at the beginning of `bytes`, and how long it is without its back length.
fn decode(bytes: &[u8]) -> Result<(Element<'_>, usize), Corrupt> {
    let array = |len: usize| -> Result<i64, Corrupt> {
        let bytes = bytes.get(1..=len).ok_or(BAD)?;
        let mut value = [0; 8];
        value[8 - len..].copy_from_slice(bytes);
        // The sign comes from above.
        Ok(i64::from_le_bytes(value) >> (64 - 8 * len))
    };
    let string = |header: usize, len: usize| {
        let end = header.checked_add(len).ok_or(BAD)?;
        Ok((Element::Bytes(bytes.get(header..end).ok_or(BAD)?), end))
    };
    let first = *bytes.first().ok_or(BAD)?;
    let second = || bytes.get(1).copied().map(usize::from).ok_or(BAD);
    match first {
        0..0x80 => Ok((Element::Integer(first.into()), 1)),
        0x80..0xc0 => string(1, usize::from(first & 0x3f)),
        0xc0..0xe0 => {
            let value = i64::from(first & 0x1f) << 8 | second()? as i64;
            Ok((Element::Integer(value << 51 >> 51), 2))
        }
        0xe0..0xf0 => string(2, usize::from(first & 0x0f) << 8 | second()?),
        0xf0 => {
            let len = bytes.get(1..).and_then(<[u8]>::first_chunk).ok_or(BAD)?;
            string(5, u32::from_le_bytes(*len) as usize)
        }
        0xf1 => Ok((Element::Integer(array(2)?), 3)),
        0xf2 => Ok((Element::Integer(array(3)?), 4)),
        0xf3 => Ok((Element::Integer(array(4)?), 5)),
        0xf4 => Ok((Element::Integer(array(8)?), 9)),
        0xf5..=END => Err(BAD),
    }
}

/// The length of an entry, seven bits a byte, highest first; all bytes but the first are marked.
struct BackLength {
    buffer: [u8; 5],
    start: usize,
}

impl BackLength {
    fn of(len: usize) -> Self {
        let mut length = Self { buffer: [0; 5], start: 5 };
        let mut rest = len;
        // Redis takes one byte more than needed for the largest number of each size but the first.
        let bytes = match len {
            0..=127 => 1,
            128..16_383 => 2,
            16_383..2_097_151 => 3,
            2_097_151..268_435_455 => 4,
            _ => 5,
        };
        for place in 0..bytes {
            length.start -= 1;
            let mark = if place + 1 < bytes { 0x80 } else { 0 };
            length.buffer[length.start] = (rest & 0x7f) as u8 | mark;
            rest >>= 7;
        }
        length
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// A listpack in the making.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }
}

impl Builder {
    /// Begins with so many entries that are there already.
    pub fn of_entries(entries: &[u8], count: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() + 1);
        bytes.resize(HEADER_BYTES, 0);
        bytes.extend_from_slice(entries);
        Self { bytes, count }
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long it will be, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len() + 1
    }

    /// Appends a string; one that spells an integer becomes one.
    pub fn push(&mut self, element: Element<'_>) {
        match element {
            Element::Integer(value) => self.push_integer(value),
            Element::Bytes(bytes) => match parse_integer(bytes) {
                Some(value) => self.push_integer(value),
                None => self.push_string(bytes),
            },
        }
    }

    fn push_string(&mut self, string: &[u8]) {
        let start = self.bytes.len();
        match string.len() {
            len @ 0..0x40 => self.bytes.push(0x80 | len as u8),
            len @ 0x40..0x1000 => {
                self.bytes.extend_from_slice(&(0xe000 | len as u16).to_be_bytes());
            }
            len => {
                self.bytes.push(0xf0);
                self.bytes.extend_from_slice(&(len as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(string);
        self.close(start);
    }

    fn push_integer(&mut self, value: i64) {
        let start = self.bytes.len();
        let (form, len) = match value {
            0..=127 => (value as u8, 0),
            -4096..=4095 => {
                self.bytes.push(0xc0 | (value >> 8) as u8 & 0x1f);
                (value as u8, 0)
            }
            -0x8000..=0x7fff => (0xf1, 2),
            -0x80_0000..=0x7f_ffff => (0xf2, 3),
            -0x8000_0000..=0x7fff_ffff => (0xf3, 4),
            _ => (0xf4, 8),
        };
        self.bytes.push(form);
        self.bytes.extend_from_slice(&value.to_le_bytes()[..len]);
        self.close(start);
    }

    fn close(&mut self, start: usize) {
        let length = BackLength::of(self.bytes.len() - start);
        self.bytes.extend_from_slice(length.bytes());
        self.count += 1;
    }

    /// Changes the first entry, a number below 128, to another such number.
    pub(super) fn set_first(&mut self, value: u8) {
        debug_assert!(self.bytes[HEADER_BYTES] < 0x80 && value < 0x80, "a number of one byte");
        self.bytes[HEADER_BYTES] = value;
    }

    /// The listpack.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let total = self.bytes.len() as u32;
        let count = u16::try_from(self.count).unwrap_or(COUNT_UNKNOWN);
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Corrupt> {
        Listpack::open(bytes)?.map(|entry| entry.map(Element::to_vec)).collect()
    }

    #[test]
    fn what_is_built_is_read_back() {
        let mut strings: Vec<Vec<u8>> = Vec::new();
        for bits in 0..64 {
            let power = 1_i64 << bits;
            for value in [power.wrapping_sub(1), power, power.wrapping_neg(), !power] {
                strings.push(value.to_string().into_bytes());
            }
        }
        for len in [0, 1, 63, 64, 127, 128, 4095, 4096, 16_377, 16_378, 16_379, 70_000] {
            strings.push(vec![b'x'; len]);
        }
        strings.push(b"007".to_vec());
        let mut builder = Builder::default();
        strings.iter().for_each(|string| builder.push(Element::Bytes(string)));
        let len = builder.len_bytes();
        let bytes = builder.finish();
        assert_eq!(bytes.len(), len);
        assert_eq!(read(&bytes).unwrap(), strings);
    }

    #[test]
    fn it_is_the_listpack_of_redis() {
        // RPUSH l a 1 -1 1000 100000 hello in redis-server 7.0.15, its node.
        let theirs = b"\x1e\x00\x00\x00\x06\x00\x81a\x02\x01\x01\xdf\xff\x02\xc3\xe8\x02\
            \xf2\xa0\x86\x01\x04\x85hello\x06\xff";
        let mut builder = Builder::default();
        for string in ["a", "1", "-1", "1000", "100000", "hello"] {
            builder.push(Element::Bytes(string.as_bytes()));
        }
        assert_eq!(builder.finish().escape_ascii().to_string(), theirs.escape_ascii().to_string());
    }

    #[test]
    fn more_entries_than_the_header_can_count_are_read() {
        let mut builder = Builder::default();
        (0..70_000).for_each(|value| builder.push(Element::Integer(value)));
        assert_eq!(read(&builder.finish()).unwrap().len(), 70_000);
    }

    #[test]
    fn every_damage_of_the_structure_is_noticed() {
        let mut builder = Builder::default();
        for string in ["a", "1", "-1", "70000", "hello"] {
            builder.push(Element::Bytes(string.as_bytes()));
        }
        let bytes = builder.finish();
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "cut to {len}");
        }
        for (at, other) in [(0, 1), (4, 4), (4, 6), (6, 0x82), (8, 3), (6, 0xf5), (6, 0xff)] {
            let mut damaged = bytes.clone();
            damaged[at] = other;
            assert!(read(&damaged).is_err(), "{other} at {at}");
        }
        let mut longer = bytes;
        longer.push(END);
        longer[0] += 1;
        assert!(read(&longer).is_err());
    }
}
