//! The values that clients write.
//!
//! Invariant: every value of a run is different and says which operation wrote it.

use super::words::push_number;
use crate::chance::{Chance, Key, Stream};

/// How values look: integers, short strings, and strings of the lengths at which an engine stores
/// or moves them differently.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    key: Key,
}

impl Values {
    /// The looks of this run's values.
    #[must_use]
    pub fn new(chance: Chance) -> Self {
        Self { key: chance.key(Stream::Value, 0) }
    }

    /// Appends the value of a number.
    pub fn write(&self, value: u64, out: &mut Vec<u8>) {
        let mut draw = self.key.at(value);
        let style = draw.below(256);
        if style >= 128 {
            out.push(b'v');
        }
        let start = out.len();
        push_number(out, value);
        let len = match style {
            0..240 => return,
            240..250 => draw.between(20, 200),
            250..255 => draw.between(200, 2_000),
            _ => draw.between(2_000, 20_000),
        };
        out.resize(start + len as usize, b'.');
    }

    /// The number whose value this is.
    #[must_use]
    pub fn read(&self, bytes: &[u8], scratch: &mut Vec<u8>) -> Option<u64> {
        let digits = bytes.strip_prefix(b"v").unwrap_or(bytes);
        let len = digits.iter().take(19).take_while(|byte| byte.is_ascii_digit()).count();
        let number = digits[..len].iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'));
        scratch.clear();
        self.write(number, scratch);
        (scratch == bytes).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_back_and_nothing_else_is() {
        let values = Values::new(Chance::new(1));
        let mut scratch = Vec::new();
        for number in 1..3000 {
            let mut text = Vec::new();
            values.write(number, &mut text);
            assert_eq!(values.read(&text, &mut scratch), Some(number));
            text.push(b'.');
            assert_eq!(values.read(&text, &mut scratch), None);
        }
        assert_eq!(values.read(b"", &mut scratch), None);
        assert_eq!(values.read(b"hello", &mut scratch), None);
    }
}
