//! The nine bytes that a file begins with: whose it is, and its version.

use super::envelope::{Dialect, REDIS_VERSION_MAX, VALKEY_VERSION};

/// How long the header is.
pub(super) const HEADER_BYTES: usize = 9;

/// Versions below this have no checksum behind them.
pub(super) const CHECKSUM_VERSION_MIN: u16 = 5;

/// The header of a file of this version.
pub(super) fn header(version: u16) -> [u8; HEADER_BYTES] {
    let text = if version == VALKEY_VERSION {
        format!("VALKEY{version:03}")
    } else {
        format!("REDIS{version:04}")
    };
    text.as_bytes().try_into().expect("versions have at most four digits")
}

/// Whose file it is and its version, or what is wrong.
pub(super) fn read(header: [u8; HEADER_BYTES]) -> Result<(Dialect, u16), String> {
    let shown = || header.escape_ascii().to_string();
    let (dialect, digits) = if let Some(digits) = header.strip_prefix(b"REDIS") {
        (Dialect::Redis, digits)
    } else if let Some(digits) = header.strip_prefix(b"VALKEY") {
        (Dialect::Valkey, digits)
    } else {
        return Err(format!("it begins with '{}', not with REDIS or VALKEY: no RDB file", shown()));
    };
    let version = str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("no version in the header '{}'", shown()))?;
    let is_known = match dialect {
        Dialect::Redis => (1..=REDIS_VERSION_MAX).contains(&version),
        Dialect::Valkey => version == VALKEY_VERSION,
    };
    if is_known {
        Ok((dialect, version))
    } else {
        Err(format!("can't handle RDB format version {version} of '{}'", shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_written_are_read_and_others_refused() {
        for version in [10, 11, 12, 13, 14] {
            assert_eq!(read(header(version)), Ok((Dialect::Redis, version)));
        }
        assert_eq!(&header(80), b"VALKEY080");
        assert_eq!(read(header(80)), Ok((Dialect::Valkey, 80)));
        assert_eq!(read(*b"REDIS0001"), Ok((Dialect::Redis, 1)));
        for bad in
            [b"REDIS0000", b"REDIS0015", b"REDIS0080", b"VALKEY011", b"REDIS+001", b"RADIS0011"]
        {
            assert!(read(*bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
