//! Reading an RDB file piece by piece, as its bytes arrive.
//!
//! Invariants: any bytes give progress or [`Broken`] with the place, never a panic. Nothing is held
//! between two calls but a few numbers; what is not whole yet is asked for again with more behind
//! it, twice as much each time, so that all in all no byte is looked at more than a few times.

use core::ops::ControlFlow;

use crc::{Digest, Table};

use super::envelope::{CHECKSUM, Dialect};
use super::functions::library;
use super::header::{self, CHECKSUM_VERSION_MIN, HEADER_BYTES};
use super::reader::{Reader, SHORT};
use super::{Corrupt, Value, opcodes, types};

/// What stands before a key's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// When the key expires, in milliseconds since the epoch.
    pub deadline_ms: Option<u64>,
    /// For how many seconds it had not been used.
    pub idle_secs: Option<u64>,
    /// How often it had been used, on the scale of OBJECT FREQ.
    pub frequency: Option<u8>,
}

/// Takes what is read.
pub trait Receive {
    /// What the server that wrote said of itself, at this place of the file.
    fn aux(&mut self, offset: u64, name: &[u8], value: &[u8]) -> Result<(), Corrupt>;
    /// The text of a library of functions.
    fn library(&mut self, text: &[u8]) -> Result<(), Corrupt>;
    /// The keys that follow this place of the file are of this database.
    fn database(&mut self, offset: u64, index: u64) -> Result<(), Corrupt>;
    /// How many keys the database has, and how many of them expire.
    fn sizes(&mut self, keys: u64, deadlines: u64) -> Result<(), Corrupt>;
    /// A key at this place of the file and its value with whatever is behind it: gives how long it
    /// is there, or [`SHORT`], as [`super::load_front`] does.
    fn key(
        &mut self,
        offset: u64,
        head: &Head,
        key: &[u8],
        value: Value<'_>,
    ) -> Result<usize, Corrupt>;
    /// Nothing may be put off any longer: called after every [`SETTLED_PARTS`] parts, and before
    /// [`FileReader::read`] returns, whatever that comes to. An error here goes before one of a
    /// later part.
    fn settle(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}

/// How many keys whoever receives them may put off at most.
pub const SETTLED_PARTS: usize = 64;

/// A file that cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where the part begins that is wrong, in bytes from the start of the file.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl Broken {
    /// What is wrong about the value of a key at this place.
    pub fn of_key(offset: u64, key: &[u8], corrupt: Corrupt) -> Self {
        Self { offset, reason: Wrong::of_key(corrupt, key).into_reason() }
    }
}

/// How far a call of [`FileReader::read`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes are done with: the next call begins behind them.
    pub taken: usize,
    /// How many bytes the next call should have, if there are so many; zero at the end of the file.
    pub wanted: usize,
}

/// Where reading stands.
pub struct FileReader {
    offset: u64,
    checksum: Digest<'static, u64, Table<16>>,
    dialect: Dialect,
    /// Zero before the header.
    version: u16,
    head: Head,
    ended: bool,
}

impl Default for FileReader {
    fn default() -> Self {
        Self {
            offset: 0,
            checksum: CHECKSUM.digest(),
            dialect: Dialect::Redis,
            version: 0,
            head: Head::default(),
            ended: false,
        }
    }
}

/// How many bytes a call should have at least, where nothing larger is known to be there.
const WANTED_MIN: usize = 64 << 10;

impl FileReader {
    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the end of the file was read: what is behind it is something else.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The version, once the header was read.
    pub fn version(&self) -> Option<u16> {
        (self.version != 0).then_some(self.version)
    }

    /// Reads on until the bytes end or so many are taken. `is_all`: nothing comes behind the bytes.
    pub fn read(
        &mut self,
        bytes: &[u8],
        taken_max: usize,
        is_all: bool,
        receiver: &mut impl Receive,
    ) -> Result<Progress, Broken> {
        let read = self.parts(bytes, taken_max, is_all, receiver);
        receiver.settle()?;
        read
    }

    fn parts(
        &mut self,
        bytes: &[u8],
        taken_max: usize,
        is_all: bool,
        receiver: &mut impl Receive,
    ) -> Result<Progress, Broken> {
        let (mut taken, mut summed, mut unsettled) = (0, 0, 0);
        let mut wanted = WANTED_MIN;
        while !self.ended && taken < taken_max {
            let rest = &bytes[taken..];
            if rest.first() == Some(&opcodes::END) {
                self.checksum.update(&bytes[summed..taken]);
                summed = taken;
            }
            match self.part(rest, receiver) {
                Ok(len) => {
                    taken += len;
                    self.offset += len as u64;
                }
                Err(Wrong::Corrupt(SHORT)) if !is_all => {
                    wanted = rest.len().saturating_mul(2).max(WANTED_MIN);
                    break;
                }
                Err(wrong) => {
                    return Err(Broken { offset: self.offset, reason: wrong.into_reason() });
                }
            }
            unsettled += 1;
            if unsettled == SETTLED_PARTS {
                receiver.settle()?;
                unsettled = 0;
            }
        }
        // Many short parts are summed faster together.
        self.checksum.update(&bytes[summed..taken]);
        Ok(Progress { taken, wanted: if self.ended { 0 } else { wanted } })
    }

    /// Reads one part; gives its length. Nothing is changed before all of it is there.
    fn part(&mut self, bytes: &[u8], receiver: &mut impl Receive) -> Result<usize, Wrong> {
        if self.version == 0 {
            let header = *bytes.first_chunk::<HEADER_BYTES>().ok_or(SHORT)?;
            (self.dialect, self.version) = header::read(header)?;
            return Ok(HEADER_BYTES);
        }
        let mut reader = Reader::new(bytes);
        let opcode = reader.byte()?;
        if opcode == opcodes::END {
            return self.end(&mut reader, bytes);
        }
        let len = match self.note(opcode, &mut reader, receiver)? {
            ControlFlow::Continue(()) => bytes.len() - reader.left(),
            ControlFlow::Break(()) => self.key(bytes, receiver)?,
        };
        Ok(len)
    }

    fn end(&mut self, reader: &mut Reader<'_>, bytes: &[u8]) -> Result<usize, Wrong> {
        if self.version >= CHECKSUM_VERSION_MIN {
            let expected = u64::from_le_bytes(reader.array()?);
            self.checksum.update(&bytes[..1]);
            let found = self.checksum.clone().finalize();
            if expected != 0 && expected != found {
                return Err(Wrong::Said(format!(
                    "RDB CRC error: the checksum is {found:016x}, and the file says {expected:016x}"
                )));
            }
        }
        self.ended = true;
        Ok(bytes.len() - reader.left())
    }

    /// Reads what is no key; breaks if it is one.
    fn note(
        &mut self,
        opcode: u8,
        reader: &mut Reader<'_>,
        receiver: &mut impl Receive,
    ) -> Result<ControlFlow<()>, Wrong> {
        match opcode {
            opcodes::DATABASE => receiver.database(self.offset, reader.length()?)?,
            opcodes::SIZES => {
                let (keys, deadlines) = (reader.length()?, reader.length()?);
                receiver.sizes(keys, deadlines)?;
            }
            opcodes::AUX => {
                let (name, value) = (reader.blob()?, reader.blob()?);
                receiver.aux(self.offset, &name, &value)?;
            }
            opcodes::LIBRARY | opcodes::EARLY_LIBRARY => {
                // Which of its parts is short is of no interest here.
                receiver.library(&library(reader, opcode).map_err(|_| SHORT)?)?;
            }
            opcodes::DEADLINE_SECS => {
                let secs = i32::from_le_bytes(reader.array()?);
                self.head.deadline_ms = Some(u64::try_from(secs).unwrap_or(0) * 1000);
            }
            opcodes::DEADLINE_MS => {
                self.head.deadline_ms = Some(u64::try_from(reader.millis()?).unwrap_or(0));
            }
            opcodes::IDLE => self.head.idle_secs = Some(reader.length()?),
            opcodes::FREQUENCY => self.head.frequency = Some(reader.byte()?),
            opcodes::SLOT_SIZES => {
                for _ in 0..3 {
                    reader.length()?;
                }
            }
            opcodes::SLOT_IMPORT if self.dialect == Dialect::Valkey => {
                reader.blob()?;
                for _ in 0..reader.length()? {
                    let _range = (reader.length()?, reader.length()?);
                }
            }
            opcodes::SLOT_IMPORT => {
                return Err(Wrong::Said("what a module says of a key is not supported".to_owned()));
            }
            opcodes::MODULE_AUX => return Err(module("data beside keys", reader.length()?)),
            _ => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads a key and its value, type byte first.
    fn key(&mut self, bytes: &[u8], receiver: &mut impl Receive) -> Result<usize, Wrong> {
        let mut reader = Reader::new(bytes);
        let type_byte = reader.byte()?;
        let key = reader.blob()?;
        let wrong = |corrupt| Wrong::of_key(corrupt, &key);
        if type_byte == types::MODULE || type_byte == types::MODULE_2 {
            return Err(module("a value", reader.length()?));
        }
        let before = bytes.len() - reader.left();
        let value = Value { type_byte, rest: &bytes[before..], dialect: self.dialect };
        let len = receiver.key(self.offset, &self.head, &key, value).map_err(wrong)?;
        self.head = Head::default();
        Ok(before + len)
    }
}

fn module(what: &str, id: u64) -> Wrong {
    Wrong::Said(format!("it has {what} of the module '{}', which is not there", module_name(id)))
}

/// The nine letters of a module's type that its number stands for.
fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|place| LETTERS[(id >> (10 + 6 * place)) as usize % 64] as char).collect()
}

/// Why a part cannot be read.
enum Wrong {
    Corrupt(Corrupt),
    Said(String),
}

impl Wrong {
    /// Keeps [`SHORT`], which is no reason as long as more may come.
    fn of_key(corrupt: Corrupt, key: &[u8]) -> Self {
        if corrupt == SHORT {
            return Self::Corrupt(corrupt);
        }
        let shown = &key[..key.len().min(128)];
        Self::Said(format!("the value of key '{}': {}", shown.escape_ascii(), corrupt.0))
    }

    fn into_reason(self) -> String {
        match self {
            Self::Corrupt(Corrupt(reason)) => reason.to_owned(),
            Self::Said(reason) => reason,
        }
    }
}

impl From<Corrupt> for Wrong {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self::Said(reason)
    }
}
