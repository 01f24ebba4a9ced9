//! Reading a double from the front of a text as C's `strtod` does in the C locale.
//!
//! Decimal text is read by the standard library, which rounds correctly; hexadecimal text is
//! rounded here, to nearest, ties to even.

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Read {
    /// The number; zero if there is none.
    pub value: f64,
    /// How many bytes it takes, leading white space included; 0 if there is no number.
    pub len: usize,
    /// Whether the number is too large for a double or too close to zero for a normal one: C's
    /// `ERANGE`.
    pub is_out_of_range: bool,
}

/// Reads the number at the front of `text`: white space, a sign, then decimal digits with an
/// optional fraction and exponent, hexadecimal ones behind `0x`, `inf`, `infinity` or `nan`.
pub fn strtod(text: &[u8]) -> Read {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let signed = matches!(text.get(start), Some(b'+' | b'-'));
    let is_negative = text.get(start) == Some(&b'-');
    let start = start + usize::from(signed);
    let Some((value, len, is_out_of_range)) = unsigned(&text[start..]) else {
        return Read { value: 0.0, len: 0, is_out_of_range: false };
    };
    let value = if is_negative { -value } else { value };
    Read { value, len: start + len, is_out_of_range }
}

/// Value, length, and whether it is out of range.
fn unsigned(text: &[u8]) -> Option<(f64, usize, bool)> {
    let begins_with =
        |word: &[u8]| text.get(..word.len()).is_some_and(|front| front.eq_ignore_ascii_case(word));
    for word in [&b"infinity"[..], b"inf"] {
        if begins_with(word) {
            return Some((f64::INFINITY, word.len(), false));
        }
    }
    if begins_with(b"nan") {
        return Some((f64::NAN, 3 + payload_len(&text[3..]), false));
    }
    if begins_with(b"0x")
        && let Some((value, len, is_out_of_range)) = hexadecimal(&text[2..])
    {
        return Some((value, 2 + len, is_out_of_range));
    }
    decimal(text)
}

/// The length of what may follow `nan`: letters, digits and underscores in parentheses.
fn payload_len(text: &[u8]) -> usize {
    if text.first() != Some(&b'(') {
        return 0;
    }
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = 1 + text[1..].iter().take_while(|&byte| is_word(byte)).count();
    if text.get(end) == Some(&b')') { end + 1 } else { 0 }
}

/// The lengths of digits, and of digits with a fraction; `None` if there is no digit.
fn mantissa_len(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|&byte| is_digit(byte)).count();
    let whole = digits(0);
    if text.get(whole) != Some(&b'.') {
        return (whole > 0).then_some(whole);
    }
    let fraction = digits(whole + 1);
    (whole + fraction > 0).then_some(whole + 1 + fraction)
}

/// The length of an exponent behind this letter, 0 if there is none.
fn exponent_len(text: &[u8], letter: u8) -> usize {
    if !text.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&letter)) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    let digits = text[1 + sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 { 0 } else { 1 + sign + digits }
}

fn decimal(text: &[u8]) -> Option<(f64, usize, bool)> {
    let mantissa = mantissa_len(text, u8::is_ascii_digit)?;
    let len = mantissa + exponent_len(&text[mantissa..], b'e');
    // ASCII in a form that the standard library takes too.
    let value: f64 = str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    let is_zero = !text[..mantissa].iter().any(|byte| matches!(byte, b'1'..=b'9'));
    Some((value, len, !is_zero && !value.is_normal()))
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize, bool)> {
    let mantissa_len = mantissa_len(text, u8::is_ascii_hexdigit)?;
    let (mut mantissa, mut exponent, mut sticky, mut in_fraction) = (0_u64, 0_i64, false, false);
    for &byte in &text[..mantissa_len] {
        let Some(digit) = char::from(byte).to_digit(16) else {
            in_fraction = true;
            continue;
        };
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            exponent -= if in_fraction { 4 } else { 0 };
        } else {
            // Beyond what a double holds: only whether it is zero counts.
            sticky |= digit != 0;
            exponent += if in_fraction { 0 } else { 4 };
        }
    }
    let exponent_len = exponent_len(&text[mantissa_len..], b'p');
    if exponent_len > 0 {
        let digits = &text[mantissa_len + 1..mantissa_len + exponent_len];
        exponent = exponent.saturating_add(saturated(digits));
    }
    let (value, is_out_of_range) = scaled(mantissa, sticky, exponent);
    Some((value, mantissa_len + exponent_len, is_out_of_range))
}

/// A signed decimal number, cut to what no mantissa makes up for.
fn saturated(text: &[u8]) -> i64 {
    let value = text
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0_i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1 << 40));
    if text[0] == b'-' { -value } else { value }
}

/// `mantissa * 2^exponent` and a little more if `sticky`, rounded; and whether it is out of range.
fn scaled(mantissa: u64, sticky: bool, exponent: i64) -> (f64, bool) {
    if mantissa == 0 {
        return (0.0, false);
    }
    let shift = mantissa.leading_zeros();
    let (mantissa, leading) = (mantissa << shift, exponent + 63 - i64::from(shift));
    if leading > 1023 {
        return (f64::INFINITY, true);
    }
    // A subnormal number has fewer bits than 53.
    let is_normal = leading >= -1022;
    let bits = if is_normal { 53 } else { 53 - (-1022 - leading) };
    if bits < 0 {
        return (0.0, true);
    }
    let dropped = 64 - bits as u32;
    let kept = mantissa.checked_shr(dropped).unwrap_or(0);
    let rest = u128::from(mantissa) & ((1 << dropped) - 1);
    let half = 1_u128 << (dropped - 1);
    let rounds_up = rest > half || rest == half && (sticky || kept & 1 == 1);
    let kept = kept + u64::from(rounds_up);
    // A carry out of the mantissa goes into the exponent, as it must.
    let value = if is_normal {
        f64::from_bits((((leading + 1023) as u64) << 52) + kept - (1 << 52))
    } else {
        f64::from_bits(kept)
    };
    let is_exact = rest == 0 && !sticky;
    (value, value.is_infinite() || !value.is_normal() && !is_exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (f64, usize, bool) {
        let read = strtod(text.as_bytes());
        (read.value, read.len, read.is_out_of_range)
    }

    #[test]
    fn numbers_are_read_from_the_front() {
        for (text, value, len) in [
            ("", 0.0, 0),
            ("-", 0.0, 0),
            ("x", 0.0, 0),
            (".", 0.0, 0),
            ("e5", 0.0, 0),
            ("12", 12.0, 2),
            (" \t\n12 ", 12.0, 5),
            ("+1.5e3x", 1500.0, 6),
            ("-.5", -0.5, 3),
            ("5.", 5.0, 2),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("1e-2", 0.01, 4),
            ("- 1", 0.0, 0),
            ("infinit", f64::INFINITY, 3),
            ("-INFINITY", f64::NEG_INFINITY, 9),
            ("0x", 0.0, 1),
            ("0x.p1", 0.0, 1),
            ("0x1F", 31.0, 4),
            ("-0X1.8p1", -3.0, 8),
            ("0x1p", 1.0, 3),
            ("0x.8", 0.5, 4),
        ] {
            assert_eq!(read(text), (value, len, false), "{text:?}");
        }
        for (text, len) in [("nan", 3), ("-NaN(a_1)x", 9), ("nan(", 3)] {
            let (value, read_len, _) = read(text);
            assert!(value.is_nan());
            assert_eq!(read_len, len, "{text:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for text in ["1e400", "-1e400", "1e-400", "1e-310", "0x1p1024", "0x1p-1080", "0x1.8p-1074"]
        {
            assert!(read(text).2, "{text}");
        }
        for text in ["0e400", "0.000e-400", "0x0p9999", "0x1p-1074", "2.3e-308", "1.79e308"] {
            assert!(!read(text).2, "{text}");
        }
    }

    #[test]
    fn hexadecimal_text_is_rounded_to_even() {
        for (text, value) in [
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000000001p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1fffffffffffffffffp0", 590_295_810_358_705_651_712.0),
            ("0x0.fffffffffffff8p-1022", f64::MIN_POSITIVE),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x0.8p-1074", 0.0),
            ("0x0.8001p-1074", f64::from_bits(1)),
        ] {
            assert_eq!(read(text).0, value, "{text}");
        }
        assert_eq!(read("0x1.fffffffffffff8p1023").0, f64::INFINITY);
    }
}
