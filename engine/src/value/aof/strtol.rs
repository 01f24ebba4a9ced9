//! Numbers as C's `strtol` and `atoll` read them: Redis reads those of its logs so.

/// The number that a text begins with, and how long it is there; 0 and nothing if there is none. A
/// number that is too large is the largest of its sign.
pub(super) fn strtol(text: &[u8]) -> (i64, usize) {
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let spaces = text.iter().take_while(is_space).count();
    let sign = usize::from(matches!(text.get(spaces), Some(b'+' | b'-')));
    let is_negative = text.get(spaces) == Some(&b'-');
    let from = spaces + sign;
    let digits = text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return (0, 0);
    }
    let value = text[from..from + digits].iter().fold(0_i64, |value, byte| {
        let digit = i64::from(byte - b'0');
        let digit = if is_negative { -digit } else { digit };
        value.saturating_mul(10).saturating_add(digit)
    });
    (value, from + digits)
}

#[cfg(test)]
mod tests {
    use super::strtol;

    #[test]
    fn numbers_are_read_as_in_c() {
        for (text, expected) in [
            ("12\r\n", (12, 2)),
            ("-7x", (-7, 2)),
            (" \t+0012", (12, 7)),
            ("", (0, 0)),
            ("x", (0, 0)),
            ("  -", (0, 0)),
            ("\r\n", (0, 0)),
            ("9223372036854775808", (i64::MAX, 19)),
            ("-9223372036854775809", (i64::MIN, 20)),
        ] {
            assert_eq!(strtol(text.as_bytes()), expected, "{text:?}");
        }
    }
}
