//! Integers of any width inside strings: what BITFIELD reads and writes.
//!
//! Invariant: a field's first bit is its most significant one; a value that is written fits its
//! field.

/// Bytes that a field can touch: 64 bits that do not begin at a byte.
const FIELD_BYTES_MAX: usize = 9;

/// An integer type: its sign and its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    signed: bool,
    /// 1 to 64; at most 63 without a sign, as replies have 64 bits with one.
    bits: u32,
}

/// What becomes of a value that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The high bits are lost.
    #[default]
    Wrap,
    /// The nearest value that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Field {
    /// Reads `i8`, `u63`...
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (&sign, bits) = text.split_first()?;
        let signed = match sign {
            b'i' => true,
            b'u' => false,
            _ => return None,
        };
        let bits = u32::try_from(super::number::parse_integer(bits)?).ok()?;
        let max = if signed { 64 } else { 63 };
        (1..=max).contains(&bits).then_some(Self { signed, bits })
    }

    /// The width.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The smallest value.
    fn min(self) -> i128 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// The largest value.
    fn max(self) -> i128 {
        let bits = if self.signed { self.bits - 1 } else { self.bits };
        (1 << bits) - 1
    }

    /// Makes a value fit; `None` if it does not and must not be written.
    pub fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        if (self.min()..=self.max()).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.value_of(value as u64)),
            Overflow::Saturate => Some(value.clamp(self.min(), self.max()) as i64),
            Overflow::Fail => None,
        }
    }

    /// What the value of a SET means in this type. A negative one is a huge one without sign; so
    /// are the smallest of all, because Redis's difference of them and the type's maximum wraps.
    pub fn given(self, value: i64) -> i128 {
        let wraps = self.bits < 64 && self.max() - i128::from(value) > i64::MAX.into();
        if !self.signed || wraps { (value as u64).into() } else { value.into() }
    }

    /// The value whose lowest bits these are.
    fn value_of(self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed {
            ((bits << unused) as i64) >> unused
        } else {
            (bits << unused >> unused) as i64
        }
    }

    /// Reads the field that begins at bit `offset`; beyond its end the string is all zeros.
    pub fn read(self, string: &[u8], offset: u64) -> i64 {
        let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        let touched = string.get(start..).unwrap_or_default();
        let touched = &touched[..touched.len().min(FIELD_BYTES_MAX)];
        self.value_of((window(touched) >> self.shift(offset)) as u64)
    }

    /// Writes the field that begins at bit `offset`.
    ///
    /// # Panics
    /// If the string is too short.
    pub fn write(self, string: &mut [u8], offset: u64, value: i64) {
        let start = (offset / 8) as usize;
        let len = ((offset % 8) as usize + self.bits as usize).div_ceil(8);
        let touched = &mut string[start..start + len];
        let mask = ((1_u128 << self.bits) - 1) << self.shift(offset);
        let new = u128::from(value as u64) << self.shift(offset) & mask;
        let all = window(touched) & !mask | new;
        touched.copy_from_slice(&all.to_be_bytes()[..len]);
    }

    /// How far the field's last bit is from the end of the window that begins with its first byte.
    fn shift(self, offset: u64) -> u32 {
        u128::BITS - (offset % 8) as u32 - self.bits
    }
}

/// The bytes as the first ones of a big-endian number.
fn window(bytes: &[u8]) -> u128 {
    let mut whole = [0; 16];
    whole[..bytes.len()].copy_from_slice(bytes);
    u128::from_be_bytes(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};
    use crate::value::bitmap::{bit, set_bit};

    #[test]
    fn types_are_a_letter_and_a_width() {
        for (text, expected) in [
            ("u1", Some((false, 1))),
            ("i1", Some((true, 1))),
            ("u63", Some((false, 63))),
            ("i64", Some((true, 64))),
            ("u64", None),
            ("i65", None),
            ("i0", None),
            ("i-1", None),
            ("I8", None),
            ("i08", None),
            ("i", None),
            ("", None),
            ("8", None),
        ] {
            let field = Field::parse(text.as_bytes()).map(|field| (field.signed, field.bits));
            assert_eq!(field, expected, "{text}");
        }
    }

    #[test]
    fn fields_are_read_and_written_bit_by_bit() {
        let mut rng = Rng::new(Seed(1), "bitfield");
        for _ in 0..5000 {
            let signed = rng.chance(1, 2);
            let bits = 1 + rng.below(if signed { 64 } else { 63 }) as u32;
            let field = Field { signed, bits };
            let mut string: Vec<u8> = (0..24).map(|_| rng.next_u64() as u8).collect();
            let offset = rng.below(24 * 8);
            let mut expected = 0_u64;
            for place in offset..offset + u64::from(bits) {
                expected = expected << 1 | u64::from(bit(&string, place));
            }
            let negative = signed && bit(&string, offset);
            let high = if negative && bits < 64 { u64::MAX << bits } else { 0 };
            assert_eq!(field.read(&string, offset), (expected | high) as i64);
            if offset + u64::from(bits) > 24 * 8 {
                continue;
            }
            let value = field.value_of(rng.next_u64());
            let mut slow = string.clone();
            for place in 0..bits {
                let on = value as u64 >> (bits - 1 - place) & 1 == 1;
                set_bit(&mut slow, offset + u64::from(place), on);
            }
            field.write(&mut string, offset, value);
            assert_eq!(string, slow);
            assert_eq!(field.read(&string, offset), value);
        }
        assert_eq!(Field { signed: true, bits: 64 }.read(&[0xff], u64::MAX), 0);
    }

    #[test]
    fn values_that_do_not_fit_wrap_saturate_or_fail() {
        let (i8, u8) = (Field { signed: true, bits: 8 }, Field { signed: false, bits: 8 });
        for (field, value, wrapped, saturated) in [
            (i8, 128, -128, 127),
            (i8, -129, 127, -128),
            (i8, 300, 44, 127),
            (u8, 256, 0, 255),
            (u8, -1, 255, 0),
            (u8, -257, 255, 0),
            (Field { signed: true, bits: 64 }, i128::from(i64::MAX) + 1, i64::MIN, i64::MAX),
            (Field { signed: true, bits: 1 }, 1, -1, 0),
        ] {
            assert_eq!(field.fit(value, Overflow::Wrap), Some(wrapped), "{field:?} {value}");
            assert_eq!(field.fit(value, Overflow::Saturate), Some(saturated), "{field:?} {value}");
            assert_eq!(field.fit(value, Overflow::Fail), None, "{field:?} {value}");
        }
        assert_eq!(u8.fit(255, Overflow::Fail), Some(255));
        assert_eq!(u8.fit(u8.given(-1), Overflow::Saturate), Some(255));
        assert_eq!(i8.fit(i8.given(-1000), Overflow::Saturate), Some(-128));
        assert_eq!(i8.fit(i8.given(i64::MIN), Overflow::Saturate), Some(127));
    }
}
