//! How the strings inside a block are stored.
//!
//! ```text
//! 00..7f  a string of 0 to 127 bytes, which follow
//! 82..93  2 to 19 decimal digits; their value follows as a number
//! a1..b3  a minus sign and 1 to 19 decimal digits; their value follows
//! ff      a longer string: its length as a number, then the bytes
//! ```
//! Numbers have seven bits to the byte, the lowest first; the last byte is below 80. Digits keep
//! their leading zeros: the header says how many there are, so that `000042` takes two bytes.
//!
//! Invariant: equal strings have equal bytes.

const DIGITS: u8 = 0x80;
const NEGATIVE_DIGITS: u8 = 0xa0;
const LONG: u8 = 0xff;
const SHORT_BYTES_MAX: usize = 0x7f;
/// So many decimal digits always fit into 64 bits.
const DIGITS_MAX: usize = 19;

/// A string as it is read.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// Bytes where they lie.
    Bytes(&'a [u8]),
    /// Digits that were spelled out.
    Digits {
        /// Begins with the text.
        buffer: [u8; 20],
        /// Its length.
        len: u8,
    },
}

impl Text<'_> {
    /// The string.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Digits { buffer, len } => &buffer[..usize::from(*len)],
        }
    }
}

/// Appends a number.
#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads the number at `at`; returns it and where it ends.
#[inline]
pub(super) fn number_at(bytes: &[u8], mut at: usize) -> (u64, usize) {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (number, at);
        }
        shift += 7;
    }
}

/// Appends a string; returns how many bytes it would take in one of Redis's listpacks.
#[inline]
pub(super) fn push_text(out: &mut Vec<u8>, text: &[u8]) -> usize {
    if let Some(decimal) = Decimal::of(text) {
        let header = if decimal.negative { NEGATIVE_DIGITS } else { DIGITS };
        if decimal.negative || decimal.digits > 1 {
            out.push(header + decimal.digits);
            push_number(out, decimal.value);
        } else {
            out.extend_from_slice(&[1, text[0]]);
        }
        return decimal.listpack_bytes(text.len());
    }
    match u8::try_from(text.len()) {
        Ok(len) if usize::from(len) <= SHORT_BYTES_MAX => out.push(len),
        _ => {
            out.push(LONG);
            push_number(out, text.len() as u64);
        }
    }
    out.extend_from_slice(text);
    listpack_string_bytes(text.len())
}

/// Reads the string at `at`; returns it and where it ends.
#[inline]
pub(super) fn text_at(bytes: &[u8], at: usize) -> (Text<'_>, usize) {
    let header = bytes[at];
    if usize::from(header) <= SHORT_BYTES_MAX {
        let end = at + 1 + usize::from(header);
        return (Text::Bytes(&bytes[at + 1..end]), end);
    }
    let (number, end) = number_at(bytes, at + 1);
    match header {
        LONG => {
            let start = end;
            let end = start + number as usize;
            (Text::Bytes(&bytes[start..end]), end)
        }
        NEGATIVE_DIGITS.. => (spelled(header - NEGATIVE_DIGITS, true, number), end),
        _ => (spelled(header - DIGITS, false, number), end),
    }
}

/// Where the string at `at` ends.
#[inline]
pub(super) fn text_end(bytes: &[u8], at: usize) -> usize {
    let header = bytes[at];
    if usize::from(header) <= SHORT_BYTES_MAX {
        return at + 1 + usize::from(header);
    }
    let (number, end) = number_at(bytes, at + 1);
    if header == LONG { end + number as usize } else { end }
}

/// Where the string at `at` ends, if it is this one.
#[inline]
pub(super) fn end_if_equal(bytes: &[u8], at: usize, text: &[u8]) -> Option<usize> {
    let (found, end) = text_at(bytes, at);
    (found.as_bytes() == text).then_some(end)
}

#[inline]
fn spelled(digits: u8, negative: bool, mut value: u64) -> Text<'static> {
    let mut buffer = [0; 20];
    let len = usize::from(digits) + usize::from(negative);
    buffer[0] = b'-';
    for digit in buffer[usize::from(negative)..len].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    Text::Digits { buffer, len: len as u8 }
}

/// A string of decimal digits, perhaps with a minus sign before them.
struct Decimal {
    negative: bool,
    digits: u8,
    value: u64,
    /// Whether the first digit is a zero.
    starts_with_zero: bool,
}

impl Decimal {
    #[inline]
    fn of(text: &[u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        if digits.is_empty() || digits.len() > DIGITS_MAX {
            return None;
        }
        let mut value = 0;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + u64::from(digit);
        }
        let starts_with_zero = digits[0] == b'0';
        Some(Self { negative, digits: digits.len() as u8, value, starts_with_zero })
    }

    /// Redis stores 64-bit integers in their plainest spelling as numbers.
    fn listpack_bytes(&self, len: usize) -> usize {
        let plain = !self.starts_with_zero || self.digits == 1 && !self.negative;
        let signed = if self.negative {
            (self.value <= 1 << 63).then(|| (self.value as i64).wrapping_neg())
        } else {
            i64::try_from(self.value).ok()
        };
        match signed.filter(|_| plain) {
            Some(value) => listpack_integer_bytes(value),
            None => listpack_string_bytes(len),
        }
    }
}

/// Bytes of an integer in one of Redis's listpacks, its length for walking backwards included.
pub(super) fn listpack_integer_bytes(value: i64) -> usize {
    let body = match value {
        0..=127 => 1,
        -4096..=4095 => 2,
        -0x8000..=0x7fff => 3,
        -0x80_0000..=0x7f_ffff => 4,
        -0x8000_0000..=0x7fff_ffff => 5,
        _ => 9,
    };
    body + 1
}

/// Bytes of a string in one of Redis's listpacks, its length for walking backwards included.
fn listpack_string_bytes(len: usize) -> usize {
    let body = match len {
        0..64 => 1 + len,
        64..4096 => 2 + len,
        _ => 5 + len,
    };
    let length = match body {
        0..=127 => 1,
        128..16383 => 2,
        16383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    body + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_as_they_were() {
        let long = [b'x'; 300];
        let mut texts: Vec<Vec<u8>> = [
            "",
            "0",
            "7",
            "-1",
            "-0",
            "00",
            "-007",
            "000042",
            "000000012345",
            "12a",
            "a12",
            "-",
            "--1",
            "9223372036854775807",
            "-9223372036854775808",
            "9999999999999999999",
            "-9999999999999999999",
            "18446744073709551615",
            "00000000000000000000",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
        texts.extend((120..135).map(|len| long[..len].to_vec()));
        texts.push(long.to_vec());
        let mut bytes = Vec::new();
        for text in &texts {
            push_text(&mut bytes, text);
        }
        let mut at = 0;
        for text in &texts {
            let (found, end) = text_at(&bytes, at);
            assert_eq!(found.as_bytes(), text);
            assert_eq!(text_end(&bytes, at), end);
            assert_eq!(end_if_equal(&bytes, at, text), Some(end));
            assert_eq!(end_if_equal(&bytes, at, b"another"), None);
            at = end;
        }
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn digits_are_small() {
        for (text, len) in [("000042", 2), ("000000012345", 3), ("-5", 2), ("10", 2), ("5", 2)] {
            let mut bytes = Vec::new();
            push_text(&mut bytes, text.as_bytes());
            assert_eq!(bytes.len(), len, "{text}");
        }
    }

    #[test]
    fn the_size_in_a_listpack_is_that_of_redis() {
        for (text, size) in [
            ("5", 2),
            ("127", 2),
            ("128", 3),
            ("4096", 4),
            ("-4096", 3),
            ("-4097", 4),
            ("40000", 5),
            ("10000000", 6),
            ("3000000000", 10),
            ("007", 5),
            ("-0", 4),
            ("abc", 5),
            ("9223372036854775808", 21),
        ] {
            assert_eq!(push_text(&mut Vec::new(), text.as_bytes()), size, "{text}");
        }
        assert_eq!(listpack_string_bytes(64), 67);
        assert_eq!(listpack_string_bytes(200), 204);
        assert_eq!(listpack_string_bytes(5000), 5007);
    }
}
