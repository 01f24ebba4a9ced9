//! Ziplists: what small collections were packed in before Redis 7.
//!
//! Four bytes of total length, four of the last entry's place, two of count (65535: unknown), the
//! entries, one byte 255. An entry is the length of the one before, its form, its data.

use super::{Corrupt, Element};

const HEADER_BYTES: usize = 10;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// The length before takes five bytes, this one first.
const LONG: u8 = 0xfe;

const BAD: Corrupt = Corrupt("a ziplist that does not fit together");

/// The entries of a ziplist, checked one by one as they are read.
#[derive(Clone, Debug)]
pub(super) struct Ziplist<'a> {
    rest: &'a [u8],
    /// How many entries must be left, if the header says it.
    left: Option<u16>,
    /// How many bytes from here the last entry must begin; negative: it is behind.
    last_in: i64,
    /// The length of the entry before.
    before: usize,
    done: bool,
}

impl<'a> Ziplist<'a> {
    /// Checks the header.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(BAD)?;
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (total, last) = (word(0), i64::from(word(4)));
        let count = u16::from_le_bytes([header[8], header[9]]);
        match rest.split_last() {
            Some((&END, entries)) if total as usize == bytes.len() => Ok(Self {
                rest: entries,
                left: (count != COUNT_UNKNOWN).then_some(count),
                last_in: last - HEADER_BYTES as i64,
                before: 0,
                done: false,
            }),
            _ => Err(BAD),
        }
    }

    fn entry(&mut self) -> Result<Element<'a>, Corrupt> {
        let (before, header) = match *self.rest {
            [LONG, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 5),
            [LONG | END, ..] | [] => return Err(BAD),
            [before, ..] => (usize::from(before), 1),
        };
        let (element, len) = decode(&self.rest[header..])?;
        let len = header + len;
        if before != self.before {
            return Err(BAD);
        }
        self.rest = self.rest.get(len..).ok_or(BAD)?;
        let is_last = self.rest.is_empty();
        if is_last != (self.last_in == 0) {
            return Err(BAD);
        }
        self.last_in -= len as i64;
        self.before = len;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(BAD)?;
        }
        Ok(element)
    }
}

impl<'a> Iterator for Ziplist<'a> {
    type Item = Result<Element<'a>, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.rest.is_empty() {
            self.done = true;
            // In an empty one the last entry is where the end is, or where Redis put it at first.
            let fits = self.left.is_none_or(|left| left == 0) && self.last_in <= 0;
            return (!fits).then_some(Err(BAD));
        }
        let entry = self.entry();
        self.done = entry.is_err();
        Some(entry)
    }
}

/// The entry at the beginning of `bytes`, without the length of the one before, and its own length.
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
    match *bytes {
        [first @ 0..0x40, ..] => string(1, usize::from(first)),
        [first @ 0x40..0x80, second, ..] => {
            string(2, usize::from(u16::from_be_bytes([first & 0x3f, second])))
        }
        [0x80..0xc0, a, b, c, d, ..] => string(5, u32::from_be_bytes([a, b, c, d]) as usize),
        [0xc0, ..] => Ok((Element::Integer(array(2)?), 3)),
        [0xd0, ..] => Ok((Element::Integer(array(4)?), 5)),
        [0xe0, ..] => Ok((Element::Integer(array(8)?), 9)),
        [0xf0, ..] => Ok((Element::Integer(array(3)?), 4)),
        [0xfe, ..] => Ok((Element::Integer(array(1)?), 2)),
        [first @ 0xf1..=0xfd, ..] => Ok((Element::Integer(i64::from(first) - 0xf1), 1)),
        _ => Err(BAD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Corrupt> {
        Ziplist::open(bytes)?.map(|entry| entry.map(Element::to_vec)).collect()
    }

    /// One of every form of number, short strings, and one so long that the next entry counts in
    /// five bytes.
    fn sample() -> (Vec<u8>, Vec<Vec<u8>>) {
        let long = vec![b'x'; 300];
        let forms: [(&[u8], &[u8]); 10] = [
            (b"\x05hello", b"hello"),
            (b"\xf1", b"0"),
            (b"\xfd", b"12"),
            (b"\xfe\x80", b"-128"),
            (b"\xc0\x00\x80", b"-32768"),
            (b"\xf0\xff\xff\x7f", b"8388607"),
            (b"\xd0\x00\x00\x00\x80", b"-2147483648"),
            (b"\xe0\xff\xff\xff\xff\xff\xff\xff\x7f", b"9223372036854775807"),
            (&[b"\x41\x2c", &long[..]].concat(), &long),
            (b"\x80\x00\x00\x00\x02ab", b"ab"),
        ];
        let mut bytes = vec![0; HEADER_BYTES];
        let mut start = HEADER_BYTES;
        for (index, (form, _)) in forms.iter().enumerate() {
            let before = bytes.len() - start;
            start = bytes.len();
            if before < 254 {
                bytes.push(if index == 0 { 0 } else { before as u8 });
            } else {
                bytes.push(LONG);
                bytes.extend_from_slice(&(before as u32).to_le_bytes());
            }
            bytes.extend_from_slice(form);
        }
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..8].copy_from_slice(&(start as u32).to_le_bytes());
        bytes[8] = forms.len() as u8;
        (bytes, forms.iter().map(|(_, text)| text.to_vec()).collect())
    }

    #[test]
    fn every_form_is_read() {
        let (bytes, strings) = sample();
        assert_eq!(read(&bytes).unwrap(), strings);
        assert_eq!(read(b"\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff"), Ok(Vec::new()));
    }

    #[test]
    fn every_damage_of_the_structure_is_noticed() {
        let (bytes, strings) = sample();
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "cut to {len}");
        }
        let second = HEADER_BYTES + 7;
        for (at, other) in [(0, 1), (4, 0), (8, 9), (8, 11), (10, 1), (second, 6), (11, 0xff)] {
            let mut damaged = bytes.clone();
            damaged[at] = other;
            assert!(read(&damaged).is_err(), "{other} at {at}");
        }
        let mut uncounted = bytes;
        uncounted[8..10].fill(0xff);
        assert_eq!(read(&uncounted).unwrap(), strings);
        assert!(read(b"\x0b\x00\x00\x00\x0b\x00\x00\x00\x00\x00\xff").is_err());
    }
}
