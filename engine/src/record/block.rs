//! The headers of files and of blocks.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::FORMAT_VERSION;
use super::spelling::{Cursor, Malformed};
use crate::time::{Instant, Now, UnixMicros};

const FILE_MAGIC: &[u8; 8] = b"ORRYREC\0";
const BLOCK_MAGIC: &[u8; 4] = b"ORBK";
/// Length of a file's header.
pub const FILE_HEADER_LEN: usize = 32;
/// Length of a block's header.
pub const BLOCK_HEADER_LEN: usize = 56;

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Which part of its recording it is, from 1.
    pub part: u32,
    /// Names the recording: parts of one have the same.
    pub recording: u64,
}

impl FileHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; FILE_HEADER_LEN] {
        let mut out = [0; FILE_HEADER_LEN];
        out[..8].copy_from_slice(FILE_MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.part.to_le_bytes());
        out[16..24].copy_from_slice(&self.recording.to_le_bytes());
        let checksum = xxh3_64(&out[..24]);
        out[24..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let header = cursor.array::<FILE_HEADER_LEN>()?;
        let mut cursor = Cursor::new(&header);
        if cursor.array::<8>()? != *FILE_MAGIC {
            return Err(Malformed("it is no recording"));
        }
        if cursor.u16()? != FORMAT_VERSION {
            return Err(Malformed("its format is of another version"));
        }
        cursor.u16()?;
        let (part, recording) = (cursor.u32()?, cursor.u64()?);
        if cursor.u64()? != xxh3_64(&header[..24]) {
            return Err(Malformed("the checksum of its header is wrong"));
        }
        Ok(Self { part, recording })
    }
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the engine was made from: the first block of the first part.
    Start,
    /// Events.
    Events,
    /// How the recording ended: the last block of the last part.
    End,
}

/// What a block begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// What it holds.
    pub kind: Kind,
    /// Length of what follows the header.
    pub payload_len: u32,
    /// Steps of the engine in it.
    pub steps: u32,
    /// Steps before it.
    pub steps_before: u64,
    /// The clocks before it.
    pub now: Now,
    /// The hash of all output up to its end.
    pub digest: u64,
    checksum: u64,
}

impl BlockHeader {
    /// The header of a block of events.
    pub(super) fn events(steps: u32, steps_before: u64, now: Now, digest: u64) -> Self {
        let kind = Kind::Events;
        Self { kind, payload_len: 0, steps, steps_before, now, digest, checksum: 0 }
    }

    /// The same for another kind of block.
    #[must_use]
    pub(super) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Puts the header where room was left for it at the front of `block`.
    pub(super) fn seal(mut self, block: &mut [u8]) {
        let (head, payload) = block.split_at_mut(BLOCK_HEADER_LEN);
        self.payload_len = payload.len() as u32;
        head[..4].copy_from_slice(BLOCK_MAGIC);
        head[4..8].copy_from_slice(&(self.kind as u32 + 1).to_le_bytes());
        head[8..12].copy_from_slice(&self.payload_len.to_le_bytes());
        head[12..16].copy_from_slice(&self.steps.to_le_bytes());
        head[16..24].copy_from_slice(&self.steps_before.to_le_bytes());
        head[24..32].copy_from_slice(&self.now.mono.0.to_le_bytes());
        head[32..40].copy_from_slice(&self.now.wall.0.to_le_bytes());
        head[40..48].copy_from_slice(&self.digest.to_le_bytes());
        let checksum = xxh3_64_with_seed(payload, xxh3_64(&head[..48]));
        head[48..].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads a header, but does not look at the checksum, which needs the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        if cursor.array::<4>()? != *BLOCK_MAGIC {
            return Err(Malformed("no block begins here"));
        }
        let kind = match cursor.u32()? {
            1 => Kind::Start,
            2 => Kind::Events,
            3 => Kind::End,
            _ => return Err(Malformed("a block is of no known kind")),
        };
        let (payload_len, steps, steps_before) = (cursor.u32()?, cursor.u32()?, cursor.u64()?);
        let now = Now { mono: Instant(cursor.u64()?), wall: UnixMicros(cursor.u64()?) };
        let (digest, checksum) = (cursor.u64()?, cursor.u64()?);
        Ok(Self { kind, payload_len, steps, steps_before, now, digest, checksum })
    }

    /// Looks at the checksum of a whole block, header and payload.
    pub fn verify(&self, block: &[u8]) -> Result<(), Malformed> {
        match block.split_at_checked(BLOCK_HEADER_LEN) {
            Some((head, payload))
                if xxh3_64_with_seed(payload, xxh3_64(&head[..48])) == self.checksum =>
            {
                Ok(())
            }
            _ => Err(Malformed("the checksum of a block is wrong")),
        }
    }
}
