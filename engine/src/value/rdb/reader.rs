//! Reading the primitives of an RDB value: lengths, strings, numbers.
//!
//! Invariant: nothing is allocated for a length that the bytes cannot have.

use std::borrow::Cow;

use super::stream::Id;
use super::{Corrupt, EMPTY, Element, lzf};

/// What was there so far is no whole value.
pub const SHORT: Corrupt = Corrupt("the bytes end too early");

/// A length, or the mark of a string in another form.
enum Length {
    Plain(u64),
    Special(u8),
}

/// A string that may own its bytes.
#[derive(Debug)]
pub(super) enum Text<'a> {
    Bytes(Cow<'a, [u8]>),
    Integer(i64),
}

impl<'a> Text<'a> {
    pub(super) fn element(&self) -> Element<'_> {
        match self {
            Self::Bytes(bytes) => Element::Bytes(bytes),
            Self::Integer(value) => Element::Integer(*value),
        }
    }

    pub(super) fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Integer(value) => value.to_string().into_bytes().into(),
        }
    }
}

/// What is left of the bytes.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Corrupt> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn any_length(&mut self) -> Result<Length, Corrupt> {
        let first = self.byte()?;
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(u64::from(first)),
            (1, _) => Length::Plain(u64::from(u16::from_be_bytes([first & 0x3f, self.byte()?]))),
            (2, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            (2, _) => return Err(Corrupt("a length of unknown form")),
            _ => Length::Special(first & 0x3f),
        })
    }

    /// A number in the form of a length.
    pub(super) fn length(&mut self) -> Result<u64, Corrupt> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(Corrupt("a string where a length should be")),
        }
    }

    /// How many things follow; each has at least one byte.
    pub(super) fn count(&mut self) -> Result<usize, Corrupt> {
        let count = usize::try_from(self.length()?).map_err(|_| SHORT)?;
        if count > self.rest.len() { Err(SHORT) } else { Ok(count) }
    }

    /// How many elements a collection has: none is an error.
    pub(super) fn elements(&mut self) -> Result<usize, Corrupt> {
        match self.count()? {
            0 => Err(EMPTY),
            count => Ok(count),
        }
    }

    pub(super) fn text(&mut self) -> Result<Text<'a>, Corrupt> {
        Ok(match self.any_length()? {
            Length::Plain(len) => {
                let len = usize::try_from(len).map_err(|_| SHORT)?;
                Text::Bytes(self.take(len)?.into())
            }
            Length::Special(0) => Text::Integer(i8::from_le_bytes(self.array()?).into()),
            Length::Special(1) => Text::Integer(i16::from_le_bytes(self.array()?).into()),
            Length::Special(2) => Text::Integer(i32::from_le_bytes(self.array()?).into()),
            Length::Special(3) => Text::Bytes(self.compressed()?.into()),
            Length::Special(_) => return Err(Corrupt("a string of unknown form")),
        })
    }

    fn compressed(&mut self) -> Result<Vec<u8>, Corrupt> {
        let packed_len = usize::try_from(self.length()?).map_err(|_| SHORT)?;
        let len = usize::try_from(self.length()?).map_err(|_| SHORT)?;
        lzf::decompress(self.take(packed_len)?, len)
    }

    /// A string of bytes in which a small collection is packed.
    pub(super) fn blob(&mut self) -> Result<Cow<'a, [u8]>, Corrupt> {
        Ok(self.text()?.into_bytes())
    }

    /// Milliseconds since the epoch.
    pub(super) fn millis(&mut self) -> Result<i64, Corrupt> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(super) fn binary_double(&mut self) -> Result<f64, Corrupt> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A double as old versions spell it.
    pub(super) fn text_double(&mut self) -> Result<f64, Corrupt> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => parse_double(self.take(usize::from(len))?),
        }
    }

    /// A stream identifier as two lengths.
    pub(super) fn id(&mut self) -> Result<Id, Corrupt> {
        Ok(Id { ms: self.length()?, seq: self.length()? })
    }

    /// A stream identifier as sixteen bytes.
    pub(super) fn raw_id(&mut self) -> Result<Id, Corrupt> {
        Ok(Id { ms: u64::from_be_bytes(self.array()?), seq: u64::from_be_bytes(self.array()?) })
    }
}

/// Reads a double from text.
pub(super) fn parse_double(text: &[u8]) -> Result<f64, Corrupt> {
    let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or(Corrupt("a score that is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_form_are_read() {
        let cases: [(&[u8], Option<u64>); 9] = [
            (b"\x3f", Some(63)),
            (b"\x40\x40", Some(64)),
            (b"\x7f\xff", Some(16_383)),
            (b"\x80\x00\x00\x40\x00", Some(16_384)),
            (b"\x81\x00\x00\x00\x01\x00\x00\x00\x00", Some(1 << 32)),
            (b"\x82\x00\x00\x40\x00", None),
            (b"\xc0\x01", None),
            (b"\x40", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Reader::new(bytes).length().ok(), expected, "{bytes:?}");
        }
        let mut reader = Reader::new(b"\x80\xff\xff\xff\xff");
        assert_eq!(reader.count(), Err(SHORT), "more things than bytes");
    }

    #[test]
    fn strings_of_every_form_are_read() {
        let cases: [(&[u8], Option<&[u8]>); 8] = [
            (b"\x03abc", Some(b"abc")),
            (b"\xc0\x80", Some(b"-128")),
            (b"\xc1\xff\x7f", Some(b"32767")),
            (b"\xc2\xff\xff\xff\x7f", Some(b"2147483647")),
            (b"\xc3\x05\x0a\x00a\xe0\x00\x00", Some(b"aaaaaaaaaa")),
            (b"\xc4", None),
            (b"\x04abc", None),
            (b"\x81\xff\xff\xff\xff\xff\xff\xff\xffabc", None),
        ];
        for (bytes, expected) in cases {
            let text = Reader::new(bytes).text().ok().map(Text::into_bytes);
            assert_eq!(text.as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn doubles_of_old_versions_are_read() {
        let read = |bytes: &[u8]| Reader::new(bytes).text_double();
        assert_eq!(read(b"\x043.25"), Ok(3.25));
        assert_eq!(read(b"\xfe"), Ok(f64::INFINITY));
        assert_eq!(read(b"\xff"), Ok(f64::NEG_INFINITY));
        assert!(read(b"\xfd").is_ok_and(f64::is_nan));
        assert!(read(b"\x03x.y").is_err() && read(b"\x00").is_err());
    }
}
