//! Sizes in bytes as people write them: `1024`, `1k`, `1kb`, `64MB`.

/// The bytes that `text` means; `None` if it is no size. A number that does not fit is cut, as in
/// Redis.
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1;
    if number.is_empty() {
        return None;
    }
    let number = number.parse::<u64>().unwrap_or(u64::MAX);
    Some(number.saturating_mul(scale))
}

/// The size as a file should say it: with the largest unit that divides it.
pub fn spell(bytes: u64) -> String {
    const NAMED: [(&str, u64); 3] = [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)];
    match NAMED.iter().find(|&&(_, scale)| bytes != 0 && bytes.is_multiple_of(scale)) {
        Some((name, scale)) => format!("{}{name}", bytes / scale),
        None => bytes.to_string(),
    }
}

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("k", 1000),
    ("kb", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1 << 30),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("12b", Some(12)),
            ("1k", Some(1000)),
            ("1KB", Some(1024)),
            ("2m", Some(2_000_000)),
            ("2Mb", Some(2 << 20)),
            ("3g", Some(3_000_000_000)),
            ("3gB", Some(3 << 30)),
            ("99999999999999999999", Some(u64::MAX)),
            ("99999999999999gb", Some(u64::MAX)),
            ("", None),
            ("kb", None),
            ("-1", None),
            ("+1", None),
            ("1.5gb", None),
            ("1x", None),
            ("1 kb", None),
        ] {
            assert_eq!(parse(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn a_spelled_size_reads_back() {
        for bytes in [0, 1, 1023, 1024, 1536, 1 << 20, 5 << 30, u64::MAX] {
            assert_eq!(parse(&spell(bytes)), Some(bytes));
        }
        assert_eq!(spell(256 << 20), "256mb");
    }
}
