//! The 80-bit floating-point numbers of x87 processors, in software: what C calls `long double` on
//! the machines where Redis keeps its floats.
//!
//! INCRBYFLOAT and its kin read text into such a number, add, and print 17 decimals. To give the
//! same digits on every machine, reading, adding and printing are done here in integers, each
//! rounded once, to nearest, ties to even.
//!
//! Invariant: a finite number is `mantissa * 2^exponent` with the mantissa's top bit set, or with
//! the least exponent (subnormal numbers and zero), so that equal numbers are equal field by field.

use core::cmp::Ordering;

use super::natural::Natural;

/// Exponent of the last bit of the smallest numbers.
const EXPONENT_MIN: i32 = -16445;
/// Exponent of the last bit of the largest numbers.
const EXPONENT_MAX: i32 = 16320;
/// A text must be shorter than this, as in Redis (`MAX_LONG_DOUBLE_CHARS`).
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// Decimals that are printed before trailing zeros are cut.
const DECIMALS: u32 = 17;
/// A decimal exponent beyond this, in either direction, is out of range whatever the digits are.
const DECIMAL_EXPONENT_MAX: i64 = 5000;

const ZERO: Finite = Finite { mantissa: 0, exponent: EXPONENT_MIN };

/// A number with a 64-bit mantissa and a 15-bit exponent. There is no NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    /// `None`: infinity.
    finite: Option<Finite>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finite {
    mantissa: u64,
    exponent: i32,
}

impl Extended {
    /// The largest finite number.
    pub const MAX: Self = Self {
        negative: false,
        finite: Some(Finite { mantissa: u64::MAX, exponent: EXPONENT_MAX }),
    };

    /// Zero.
    pub const ZERO: Self = Self { negative: false, finite: Some(ZERO) };

    /// Reads what Redis takes as a float: decimal or hexadecimal digits with an optional fraction
    /// and exponent, `inf` or `infinity`; nothing before or behind it, no NaN, nothing that is too
    /// large or too close to zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, finite: None });
        }
        let (number, radix) = match text {
            [b'0', b'x' | b'X', rest @ ..] => (Number::read(rest, 16, b'p')?, 16),
            _ => (Number::read(text, 10, b'e')?, 10),
        };
        let finite =
            if radix == 16 { number.rounded_from_binary() } else { number.rounded_from_decimal() };
        // Too large, or not zero and still rounded to it: C's ERANGE.
        let finite = finite?;
        (finite.mantissa != 0 || number.digits.is_zero())
            .then_some(Self { negative, finite: Some(finite) })
    }

    /// Whether it is not infinite.
    pub fn is_finite(self) -> bool {
        self.finite.is_some()
    }

    /// Whether it is below zero (or the negative zero).
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// The sum, correctly rounded; infinite where it is too large or a summand is infinite.
    #[expect(
        clippy::should_implement_trait,
        reason = "sums of infinities are not as in arithmetic"
    )]
    pub fn add(self, other: Self) -> Self {
        let (Some(a), Some(b)) = (self.finite, other.finite) else {
            return if self.finite.is_none() { self } else { other };
        };
        let ((a, a_negative), (b, b_negative)) =
            if (a.exponent, a.mantissa) >= (b.exponent, b.mantissa) {
                ((a, self.negative), (b, other.negative))
            } else {
                ((b, other.negative), (a, self.negative))
            };
        // 63 bits of room below the last bit; what falls out below them is only remembered.
        let distance = a.exponent.abs_diff(b.exponent);
        let wide_a = u128::from(a.mantissa) << 63;
        let wide_b = u128::from(b.mantissa) << 63;
        let shifted_b = wide_b.checked_shr(distance).unwrap_or(0);
        let sticky = shifted_b.checked_shl(distance).unwrap_or(0) != wide_b;
        let wide = match (a_negative == b_negative, sticky) {
            (true, _) => wide_a + shifted_b,
            (false, false) => wide_a - shifted_b,
            // The part that fell out is subtracted too: one less, and a rest above it.
            (false, true) => wide_a - shifted_b - 1,
        };
        let negative = a_negative && (wide != 0 || b_negative);
        Self { negative, finite: rounded(wide, a.exponent - 63, sticky) }
    }

    /// The difference, correctly rounded; see [`Self::add`].
    pub fn subtract(self, other: Self) -> Self {
        self.add(other.negated())
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    /// The product with a whole number, correctly rounded; infinite where it is too large.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        let product = self.finite.and_then(|Finite { mantissa, exponent }| {
            rounded(u128::from(mantissa) * u128::from(factor), exponent, false)
        });
        Self { finite: product, ..self }
    }

    /// The least integer that is not below the number; `None` if it is above all integers of 64
    /// bits, the least of them if it is below.
    pub fn ceil(self) -> Option<i64> {
        let below = self.negative.then_some(i64::MIN);
        let Some(Finite { mantissa, exponent }) = self.finite else { return below };
        let magnitude = if exponent >= 0 {
            // Bits that leave the top leave a number that is far too large.
            let fits = exponent.unsigned_abs() <= mantissa.leading_zeros();
            fits.then(|| mantissa << exponent.unsigned_abs())
        } else {
            let kept = mantissa.checked_shr(exponent.unsigned_abs()).unwrap_or(0);
            let rest = kept.checked_shl(exponent.unsigned_abs()).unwrap_or(0) != mantissa;
            kept.checked_add(u64::from(rest && !self.negative))
        };
        let magnitude = magnitude.and_then(|magnitude| i64::try_from(magnitude).ok());
        match magnitude {
            Some(magnitude) => Some(if self.negative { -magnitude } else { magnitude }),
            None => below,
        }
    }

    /// Spells a finite number with up to 17 decimals, rounded, without trailing zeros.
    ///
    /// # Panics
    /// If it is infinite.
    pub fn format(self) -> String {
        let Finite { mantissa, exponent } = self.finite.expect("only finite numbers are spelled");
        let ten_to_decimals = 10_u128.pow(DECIMALS);
        // `scaled` is the number times 10^17, rounded to an integer.
        let (whole, fraction) = if exponent >= 0 {
            let mut whole = Natural::from(u128::from(mantissa));
            whole.shift_left(exponent.unsigned_abs() as usize);
            (whole.to_string(), 0)
        } else {
            let exact = u128::from(mantissa) * ten_to_decimals;
            let scaled = shifted_right_to_even(exact, exponent.unsigned_abs());
            ((scaled / ten_to_decimals).to_string(), scaled % ten_to_decimals)
        };
        let mut text = whole;
        if fraction != 0 {
            let decimals = format!("{fraction:0width$}", width = DECIMALS as usize);
            text.push('.');
            text.push_str(decimals.trim_end_matches('0'));
        }
        if self.negative && text != "0" {
            text.insert(0, '-');
        }
        text
    }
}

impl From<i64> for Extended {
    fn from(value: i64) -> Self {
        let finite = rounded(u128::from(value.unsigned_abs()), 0, false);
        Self { negative: value < 0, finite }
    }
}

impl Ord for Extended {
    fn cmp(&self, other: &Self) -> Ordering {
        // Infinity is above every exponent.
        let size =
            |number: &Self| number.finite.map_or((i32::MAX, 0), |f| (f.exponent, f.mantissa));
        let zero = |number: &Self| number.finite == Some(ZERO);
        match (self.negative, other.negative) {
            _ if zero(self) && zero(other) => Ordering::Equal,
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Extended {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The number `mantissa * 2^exponent`, plus something below one unit if `sticky`, rounded; `None`
/// if it is too large. With `sticky` the mantissa must have more than 64 bits, or be about to be
/// shifted out for want of exponent.
fn rounded(mantissa: u128, exponent: i32, sticky: bool) -> Option<Finite> {
    let bits = 128 - mantissa.leading_zeros() as i32;
    if bits == 0 {
        return Some(ZERO);
    }
    let shift = (bits - 64).max(EXPONENT_MIN - exponent);
    if shift <= 0 {
        let left = shift.unsigned_abs();
        return within_range((mantissa << left) as u64, exponent + shift);
    }
    let right = shift.unsigned_abs();
    let kept = mantissa.checked_shr(right).unwrap_or(0);
    let rest = mantissa - kept.checked_shl(right).unwrap_or(0);
    let half = 1_u128.checked_shl(right - 1);
    let up = match half {
        None => false,
        Some(half) => rest > half || rest == half && (sticky || kept & 1 == 1),
    };
    let kept = kept + u128::from(up);
    match u64::try_from(kept) {
        Ok(kept) => within_range(kept, exponent + shift),
        // Rounded up to the next power of two.
        Err(_) => within_range((kept >> 1) as u64, exponent + shift + 1),
    }
}

fn within_range(mantissa: u64, exponent: i32) -> Option<Finite> {
    (exponent <= EXPONENT_MAX).then_some(Finite { mantissa, exponent })
}

/// `value / 2^bits`, rounded to nearest, ties to even.
fn shifted_right_to_even(value: u128, bits: u32) -> u128 {
    let kept = value.checked_shr(bits).unwrap_or(0);
    let rest = value - kept.checked_shl(bits).unwrap_or(0);
    match 1_u128.checked_shl(bits - 1) {
        Some(half) if rest > half || rest == half && kept & 1 == 1 => kept + 1,
        _ => kept,
    }
}

/// The digits and the exponent of a number as it is written.
struct Number {
    digits: Natural,
    /// How many digits there are without leading zeros.
    len: i64,
    /// The value is `digits` times ten (two, for hexadecimal digits) to this power.
    exponent: i64,
}

impl Number {
    /// Reads `123.45e-6` in the given radix; `None` unless that is the whole text.
    fn read(text: &[u8], radix: u32, exponent_mark: u8) -> Option<Self> {
        let (mut digits, mut len, mut exponent) = (Natural::default(), 0_i64, 0_i64);
        let (mut any, mut point) = (false, false);
        let digit_exponent = if radix == 16 { 4 } else { 1 };
        let mut rest = text;
        while let [byte, after @ ..] = rest {
            if let Some(digit) = char::from(*byte).to_digit(radix) {
                any = true;
                digits.multiply_add(radix, digit);
                len += i64::from(len > 0 || digit > 0);
                exponent -= if point { digit_exponent } else { 0 };
            } else if *byte == b'.' && !point {
                point = true;
            } else {
                break;
            }
            rest = after;
        }
        if !any {
            return None;
        }
        if let [mark, after @ ..] = rest {
            if !mark.eq_ignore_ascii_case(&exponent_mark) {
                return None;
            }
            exponent = exponent.saturating_add(exponent_of(after)?);
        }
        Some(Self { digits, len, exponent })
    }

    /// `None`: too large.
    fn rounded_from_decimal(&self) -> Option<Finite> {
        let magnitude = self.len.saturating_add(self.exponent);
        if self.digits.is_zero() || magnitude < -DECIMAL_EXPONENT_MAX {
            return Some(ZERO);
        }
        if magnitude > DECIMAL_EXPONENT_MAX {
            return None;
        }
        let power = Natural::power_of_ten(self.exponent.unsigned_abs() as usize);
        if self.exponent >= 0 {
            let (top, exponent, sticky) = self.digits.multiply(&power).top_bits();
            return rounded(top, exponent, sticky);
        }
        let (quotient, exponent, sticky) = self.digits.divide_to_100_bits(&power);
        rounded(quotient, exponent, sticky)
    }

    /// `None`: too large.
    fn rounded_from_binary(&self) -> Option<Finite> {
        if self.digits.is_zero() {
            return Some(ZERO);
        }
        let (top, exponent, sticky) = self.digits.top_bits();
        let exponent = i64::from(exponent).saturating_add(self.exponent);
        // Far outside of what `rounded` deals with anyway, and far inside of its integers.
        rounded(top, exponent.clamp(-100_000, 100_000) as i32, sticky)
    }
}

/// An exponent with an optional sign; saturates.
fn exponent_of(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_sum(a: &str, b: &str, sum: &str) {
        let read = |text: &str| Extended::parse(text.as_bytes()).expect("a float");
        assert_eq!(read(a).add(read(b)).format(), sum, "{a} + {b}");
    }

    #[test]
    fn products_are_rounded_up_to_integers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("0.1", Some(100)),
            ("0.0001", Some(1)),
            ("1.0001", Some(1001)),
            ("-0.0009", Some(0)),
            ("-1.5", Some(-1500)),
            ("-0.002", Some(-1)),
            ("-1e30", Some(i64::MIN)),
            ("-inf", Some(i64::MIN)),
            ("9223372036854775.807", Some(i64::MAX)),
            ("9223372036854775.808", None),
            ("0x7FFFFFFFFFFFFF", None),
            ("1e4930", None),
            ("inf", None),
        ] {
            let number = Extended::parse(text.as_bytes()).expect(text);
            assert_eq!(number.times(1000).ceil(), expected, "{text}");
        }
    }

    #[test]
    fn sums_are_those_of_redis() {
        // Expected values were given by redis-server 7.0.15 on x86-64.
        check_sum("0", "0.1", "0.1");
        check_sum("0.1", "0.2", "0.3");
        check_sum("3.0e3", "200", "3200");
        check_sum("1.5", "-1.5", "0");
        check_sum("-0", "-0", "0");
        check_sum("1e17", "0.3", "100000000000000000.296875");
        check_sum("9223372036854775807", "0.5", "9223372036854775807.5");
        check_sum("18446744073709551615", "0.5", "18446744073709551616");
        check_sum("0x1p-3", "0X.8", "0.625");
        check_sum("1e-18", "0", "0");
        check_sum("-1e-18", "0", "0");
        check_sum("5.0000000000000001e-18", "0", "0.00000000000000001");
    }

    #[test]
    fn only_whole_floats_are_read() {
        for text in [
            "", "+", "-", ".", "e5", "1e", "1e+", "1 ", " 1", "0x", "0xp1", "0x1p", "nan", "-nan",
            "infinit", "1e5000", "-1e5000", "1e-5000", "1\0", "1.2.3", "1_0", "0x1e1p", "in",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text:?}");
        }
        for (text, value) in [
            ("+1.", "1"),
            (".5", "0.5"),
            ("1E2", "100"),
            ("0e99999999999999999999", "0"),
            ("00012", "12"),
            ("0x1E1", "481"),
            ("1e-4950", "0"),
            ("-.25e1", "-2.5"),
        ] {
            let read = Extended::parse(text.as_bytes()).map(Extended::format);
            assert_eq!(read.as_deref(), Some(value), "{text:?}");
        }
        assert!(!Extended::parse(b"-Infinity").expect("infinity is a float").is_finite());
        let long = "1".repeat(TEXT_BYTES_MAX);
        assert_eq!(Extended::parse(long.as_bytes()), None);
    }

    #[test]
    fn the_ends_of_the_range() {
        let max = Extended::parse(b"1.189731495357231765e+4932").expect("the largest");
        assert_eq!(max, Extended::MAX);
        assert!(!max.add(max).is_finite());
        assert_eq!(max.format().len(), 4933);
        assert_eq!(Extended::parse(b"1.18973149535723177e+4932"), None);
        let least = Extended::parse(b"4e-4951").expect("the smallest");
        assert_eq!(least.finite, Some(Finite { mantissa: 1, exponent: EXPONENT_MIN }));
        assert_eq!(least.subtract(least).finite, Some(ZERO));
        assert_eq!(Extended::parse(b"1e-4951"), None);
    }

    #[test]
    fn numbers_are_ordered() {
        let texts =
            ["-inf", "-1e300", "-2", "-1", "0", "1e-4940", "0.5", "1", "3", "1e4000", "inf"];
        let numbers: Vec<Extended> =
            texts.iter().map(|text| Extended::parse(text.as_bytes()).expect("a float")).collect();
        assert!(numbers.is_sorted());
        assert_eq!(Extended::from(-2), numbers[2]);
        assert_eq!(Extended::parse(b"-0").cmp(&Extended::parse(b"0")), Ordering::Equal);
    }
}
