//! Numbers as C's `%g` writes them.

/// C's `%.{precision}g` of a number; `precision` is at least 1.
pub(super) fn general(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        return format!("{sign}{}", if number.is_nan() { "nan" } else { "inf" });
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{number:.*e}", precision - 1);
    let (digits, exponent) = scientific.split_once('e').expect("it has an exponent");
    let exponent: i32 = exponent.parse().expect("it is a number");
    let precision = precision as i32;
    if (-4..precision).contains(&exponent) {
        let places = usize::try_from(precision - 1 - exponent).expect("the exponent is smaller");
        return without_zeros(&format!("{number:.places$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(digits), exponent.unsigned_abs())
}

/// Without the zeros at the end of a fraction, and without a point that nothing follows.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_c() {
        for (number, precision, expected) in [
            (1.0, 14, "1"),
            (-0.0, 14, "-0"),
            (100.0, 14, "100"),
            (100.0, 2, "1e+02"),
            (0.1, 14, "0.1"),
            (1e14, 14, "1e+14"),
            (123_456_789_012_345.0, 14, "1.2345678901234e+14"),
            (12_345_678_901_234.0, 14, "12345678901234"),
            (1e-5, 14, "1e-05"),
            (0.0001, 14, "0.0001"),
            (9.999_999, 3, "10"),
            (99_999.9, 3, "1e+05"),
            (1.5, 1, "2"),
            (2.5, 1, "2"),
            (f64::MIN_POSITIVE, 14, "2.2250738585072e-308"),
            (f64::INFINITY, 14, "inf"),
            (f64::NEG_INFINITY, 14, "-inf"),
        ] {
            assert_eq!(general(number, precision), expected);
        }
    }
}
