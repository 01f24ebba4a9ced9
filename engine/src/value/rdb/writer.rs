//! Writing the primitives of an RDB value: lengths, strings, numbers.

use super::Element;
use super::lzf::{Compressor, Packing};
use super::stream::Id;
use crate::value::number::parse_integer;

/// Shorter strings are not worth compressing.
const COMPRESSED_LEN_MIN: usize = 21;
/// A compressed string must be so much shorter.
pub(super) const COMPRESSION_GAIN_MIN: usize = 4;
/// Longer strings are no integers of 32 bits.
const INTEGER_LEN_MAX: usize = 11;

/// Bytes in the making.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    compressor: Option<Compressor>,
}

impl Writer {
    pub(super) fn new(compress: bool) -> Self {
        Self { out: Vec::new(), compressor: compress.then(Compressor::default) }
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(super) fn length(&mut self, length: u64) {
        match length {
            0..0x40 => self.out.push(length as u8),
            0x40..0x4000 => self.out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.out.push(0x80);
                self.out.extend_from_slice(&(length as u32).to_be_bytes());
            }
            _ => {
                self.out.push(0x81);
                self.out.extend_from_slice(&length.to_be_bytes());
            }
        }
    }

    pub(super) fn count(&mut self, count: usize) {
        self.length(count as u64);
    }

    /// A string in its shortest form.
    pub(super) fn text(&mut self, text: Element<'_>) {
        let integer = match text {
            Element::Integer(value) => Some(value),
            Element::Bytes(bytes) if bytes.len() <= INTEGER_LEN_MAX => parse_integer(bytes),
            Element::Bytes(_) => None,
        };
        if integer.is_some_and(|value| self.integer(value)) {
            return;
        }
        self.bytes(text.bytes(&mut itoa::Buffer::new()));
    }

    /// False if the integer has no form of its own.
    fn integer(&mut self, value: i64) -> bool {
        if let Ok(value) = i8::try_from(value) {
            self.out.push(0xc0);
            self.out.extend_from_slice(&value.to_le_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.out.push(0xc1);
            self.out.extend_from_slice(&value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.out.push(0xc2);
            self.out.extend_from_slice(&value.to_le_bytes());
        } else {
            return false;
        }
        true
    }

    /// A string that is no short integer.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if bytes.len() >= COMPRESSED_LEN_MIN && self.compressed(bytes) {
            return;
        }
        self.count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn compressed(&mut self, bytes: &[u8]) -> bool {
        let Some(compressor) = &mut self.compressor else { return false };
        let Some(packed) = compressor.compress(bytes, bytes.len() - COMPRESSION_GAIN_MIN) else {
            return false;
        };
        self.packed_head(packed.len(), bytes.len());
        self.out.extend_from_slice(&packed);
        true
    }

    /// What comes before the compressed form of a string.
    pub(super) fn packed_head(&mut self, packed_len: usize, len: usize) {
        self.out.push(0xc3);
        self.count(packed_len);
        self.count(len);
    }

    /// Whether long strings are compressed.
    pub(super) fn compresses(&self) -> bool {
        self.compressor.is_some()
    }

    /// Compresses some more bytes of a string; true at its end, or when it is not worth it.
    pub(super) fn compress_some(
        &mut self,
        packing: &mut Packing,
        string: &[u8],
        count: usize,
    ) -> bool {
        let compressor = self.compressor.as_mut();
        compressor.is_none_or(|compressor| compressor.compress_some(packing, string, count))
    }

    pub(super) fn millis(&mut self, millis: i64) {
        self.out.extend_from_slice(&millis.to_le_bytes());
    }

    pub(super) fn binary_double(&mut self, value: f64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A stream identifier as two lengths.
    pub(super) fn id(&mut self, id: Id) {
        self.length(id.ms);
        self.length(id.seq);
    }

    /// A stream identifier as sixteen bytes.
    pub(super) fn raw_id(&mut self, id: Id) {
        self.out.extend_from_slice(&id.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::{Reader, Text};
    use super::*;

    #[test]
    fn lengths_are_read_back_and_as_short_as_they_can_be() {
        for (length, bytes) in
            [(0, 1), (63, 1), (64, 2), (16_383, 2), (16_384, 5), ((1 << 32) - 1, 5), (1 << 32, 9)]
        {
            let mut writer = Writer::default();
            writer.length(length);
            assert_eq!(writer.out.len(), bytes, "{length}");
            assert_eq!(Reader::new(&writer.out).length(), Ok(length));
        }
    }

    #[test]
    fn strings_are_read_back_and_as_short_as_they_can_be() {
        let long = "abcdefghij".repeat(100);
        for (text, len) in [
            ("", 1),
            ("0", 2),
            ("-128", 2),
            ("128", 3),
            ("40000", 5),
            ("-2147483648", 5),
            ("2147483648", 11),
            ("007", 4),
            ("hello", 6),
            (&long, 33),
        ] {
            let mut writer = Writer::new(true);
            writer.text(text.as_bytes().into());
            let read = Reader::new(&writer.out).text().map(Text::into_bytes);
            assert_eq!(read.as_deref(), Ok(text.as_bytes()));
            assert!(writer.out.len() <= len, "{text}: {} bytes", writer.out.len());
        }
    }
}
