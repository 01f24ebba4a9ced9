//! What surrounds a value in a DUMP payload: behind it a version of two bytes and a checksum of
//! eight, both little endian.
//!
//! Invariant: [`open`] gives only bytes whose checksum is right.

use crc::{CRC_64_REDIS, Crc, Table};

/// CRC-64 as Redis computes it (Jones's polynomial), sixteen bytes at a time.
pub(super) static CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// The newest version of Redis's that is read.
pub(super) const REDIS_VERSION_MAX: u16 = 14;
/// The version of Valkey 9. Valkey 7.2 and 8 write Redis's version 11.
pub(super) const VALKEY_VERSION: u16 = 80;

/// Whose type bytes a payload has: one of them means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Redis, and Valkey before 9.
    Redis,
    /// Valkey 9.
    Valkey,
}

/// Whether values of a version can be read.
pub fn is_readable(version: u16) -> bool {
    version <= REDIS_VERSION_MAX || version == VALKEY_VERSION
}

/// The value in a payload, type byte first; `None` if the version is unknown or the checksum is
/// wrong.
pub fn open(payload: &[u8]) -> Option<(Dialect, &[u8])> {
    let (rest, checksum) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (value, version) = rest.split_last_chunk::<VERSION_BYTES>()?;
    let version = u16::from_le_bytes(*version);
    if !is_readable(version) || CHECKSUM.checksum(rest) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let dialect = if version == VALKEY_VERSION { Dialect::Valkey } else { Dialect::Redis };
    Some((dialect, value))
}

/// The same whatever the checksum says; for tests of what is behind them.
pub fn open_unchecked(payload: &[u8]) -> Option<(Dialect, &[u8])> {
    let (rest, _) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (value, version) = rest.split_last_chunk::<VERSION_BYTES>()?;
    let version = u16::from_le_bytes(*version);
    let dialect = if version == VALKEY_VERSION { Dialect::Valkey } else { Dialect::Redis };
    is_readable(version).then_some((dialect, value))
}

/// Makes a payload of a value.
pub fn seal(value: &mut Vec<u8>, version: u16) {
    value.extend_from_slice(&version.to_le_bytes());
    value.extend_from_slice(&CHECKSUM.checksum(value).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SET k hello` in redis-server 7.0.15.
    const HELLO: &[u8] = b"\x00\x05hello\x0a\x00cr\xdfve4 \x0a";

    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(open(HELLO), Some((Dialect::Redis, &HELLO[..7])));
        let mut ours = HELLO[..7].to_vec();
        seal(&mut ours, 10);
        assert_eq!(ours, HELLO);
    }

    #[test]
    fn what_was_damaged_or_is_too_new_is_refused() {
        for at in 0..HELLO.len() * 8 {
            let mut damaged = HELLO.to_vec();
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(open(&damaged), None, "bit {at}");
        }
        for len in 0..HELLO.len() {
            assert_eq!(open(&HELLO[..len]), None, "{len} bytes");
        }
        for (version, known) in [(1, true), (14, true), (15, false), (79, false), (80, true)] {
            let mut payload = HELLO[..7].to_vec();
            seal(&mut payload, version);
            assert_eq!(open(&payload).is_some(), known, "version {version}");
        }
    }
}
