//! What a recording says before its events and after them.

use super::block::{BLOCK_HEADER_LEN, BlockHeader, Kind};
use super::spelling::{Cursor, Malformed, put_bytes, put_number};
use crate::input::Facts;
use crate::rng::Seed;
use crate::time::{Instant, Now, UnixMicros};

/// What the engine was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The version of the program.
    pub version: String,
    /// The entropy.
    pub seed: Seed,
    /// The clocks.
    pub now: Now,
    /// The configuration: names and words of directives.
    pub directives: Vec<(String, Vec<String>)>,
    /// What the driver told about the process.
    pub facts: Facts,
    /// What random passwords are made from.
    pub secret: Option<[u8; 32]>,
    /// What the file of users held.
    pub users: Option<Vec<u8>>,
}

impl Start {
    /// The payload's bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.version.as_bytes());
        for number in [self.seed.0, self.now.mono.0, self.now.wall.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_number(out, self.directives.len() as u64);
        for (name, words) in &self.directives {
            put_bytes(out, name.as_bytes());
            put_number(out, words.len() as u64);
            words.iter().for_each(|word| put_bytes(out, word.as_bytes()));
        }
        put_facts(out, &self.facts);
        for part in [self.secret.as_ref().map(<[u8; 32]>::as_slice), self.users.as_deref()] {
            out.push(u8::from(part.is_some()));
            put_bytes(out, part.unwrap_or_default());
        }
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(payload);
        let version = cursor.text()?;
        let seed = Seed(cursor.u64()?);
        let now = Now { mono: Instant(cursor.u64()?), wall: UnixMicros(cursor.u64()?) };
        let mut directives = Vec::new();
        for _ in 0..cursor.number()? {
            let name = cursor.text()?;
            let mut words = Vec::new();
            for _ in 0..cursor.number()? {
                words.push(cursor.text()?);
            }
            directives.push((name, words));
        }
        let facts = facts(&mut cursor)?;
        let secret = part(&mut cursor)?.map(TryInto::try_into).transpose();
        let secret = secret.map_err(|_| Malformed("a secret has another length"))?;
        let users = part(&mut cursor)?.map(<[u8]>::to_vec);
        Ok(Self { version, seed, now, directives, facts, secret, users })
    }
}

/// Bytes that may not be there.
fn part<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    let is_there = cursor.byte()? != 0;
    let bytes = cursor.bytes()?;
    Ok(is_there.then_some(bytes))
}

fn put_facts(out: &mut Vec<u8>, facts: &Facts) {
    let Facts {
        process_id,
        executable,
        config_file,
        os,
        multiplexing_api,
        monotonic_clock,
        allocator,
        build_id,
    } = facts;
    put_number(out, u64::from(*process_id));
    out.push(u8::from(config_file.is_some()));
    let config_file = config_file.as_deref().unwrap_or_default();
    for text in
        [executable, config_file, os, multiplexing_api, monotonic_clock, allocator, build_id]
    {
        put_bytes(out, text.as_bytes());
    }
}

fn facts(cursor: &mut Cursor<'_>) -> Result<Facts, Malformed> {
    let process_id =
        cursor.number()?.try_into().map_err(|_| Malformed("a process is too large"))?;
    let has_file = cursor.byte()? != 0;
    let executable = cursor.text()?;
    let config_file = Some(cursor.text()?).filter(|_| has_file);
    Ok(Facts {
        process_id,
        executable,
        config_file,
        os: cursor.text()?,
        multiplexing_api: cursor.text()?,
        monotonic_clock: cursor.text()?,
        allocator: cursor.text()?,
        build_id: cursor.text()?,
    })
}

/// How a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why, in words.
    pub why: String,
    /// The digest of the engine's data, where it was worth the time.
    pub digest: Option<u128>,
}

impl End {
    /// The payload's bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.why.as_bytes());
        out.push(u8::from(self.digest.is_some()));
        out.extend_from_slice(&self.digest.unwrap_or_default().to_le_bytes());
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(payload);
        let why = cursor.text()?;
        let has_digest = cursor.byte()? != 0;
        let digest = Some(u128::from_le_bytes(cursor.array()?)).filter(|_| has_digest);
        Ok(Self { why, digest })
    }
}

/// A whole block of another kind than events.
pub(super) fn block(header: BlockHeader, kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut block = vec![0; BLOCK_HEADER_LEN];
    encode(&mut block);
    header.of_kind(kind).seal(&mut block);
    block
}
