//! The format of a recording: everything that went into an engine, and a running hash of what came
//! out. Pure bytes: a server writes them, a replayer reads them.
//!
//! Invariants: what [`Writer`] wrote is read back as it was; each block can be read by itself and
//! bears its own checksum; reading damaged bytes gives an error and never panics.
//!
//! The format byte for byte is in docs/RECORDING.md; a change of it changes [`FORMAT_VERSION`].

mod block;
mod event;
mod spelling;
mod start;
mod write;

pub use block::{BLOCK_HEADER_LEN, BlockHeader, FILE_HEADER_LEN, FileHeader, Kind};
pub use event::{Capacity, Event, Events, Recorded};
pub use spelling::Malformed;
pub use start::{End, Start};
pub use write::{Writer, sealed};

use crate::input::ConnId;

/// The version of the format.
pub const FORMAT_VERSION: u16 = 2;

/// The hash of all output so far, with what was given out next.
#[inline]
pub fn roll(digest: u64, conn: ConnId, output: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(output, digest.rotate_left(1) ^ conn.0)
}

#[cfg(test)]
mod tests;
