//! Looks through an RDB file as loading it would, and keeps nothing but counts.
//!
//! Invariant: what is found whole here, loads.

use std::collections::BTreeMap;

use super::load::{Setting, load_front};
use crate::config::Encodings;
use crate::value::rdb::{self, Broken, Corrupt, FileReader, Head, Progress, Receive};

/// What was found in a file so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Keys by the names of their types.
    pub keys: BTreeMap<&'static str, u64>,
    /// Keys that expire.
    pub deadlines: u64,
    /// Keys whose time is over.
    pub expired: u64,
    /// Libraries of functions.
    pub libraries: u64,
}

impl Tally {
    /// How many keys there are.
    pub fn key_count(&self) -> u64 {
        self.keys.values().sum()
    }
}

/// Something in a file that is worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What the server that wrote said of itself.
    Aux(String, String),
    /// A database begins.
    Database(u64),
}

/// An inspection of one file.
#[derive(Default)]
pub struct Inspector {
    reader: FileReader,
    findings: Findings,
}

#[derive(Default)]
pub(super) struct Findings {
    pub(super) now_ms: u64,
    pub(super) encodings: Encodings,
    pub(super) tally: Tally,
    pub(super) notes: Vec<(u64, Note)>,
}

impl Inspector {
    /// An inspection at this time, in milliseconds since the epoch.
    pub fn new(now_ms: u64) -> Self {
        let findings = Findings { now_ms, ..Findings::default() };
        Self { reader: FileReader::default(), findings }
    }

    /// Reads on; `is_all`: nothing comes behind these bytes. [`FileReader::read`] tells more.
    pub fn read(&mut self, bytes: &[u8], is_all: bool) -> Result<Progress, Broken> {
        let progress = self.reader.read(bytes, usize::MAX, is_all, &mut self.findings)?;
        if self.reader.has_ended() && progress.taken < bytes.len() {
            let reason = "there is more behind the end of the file".to_owned();
            return Err(Broken { offset: self.reader.offset(), reason });
        }
        Ok(progress)
    }

    /// The reader, for where it stands.
    pub fn reader(&self) -> &FileReader {
        &self.reader
    }

    /// What was found so far.
    pub fn tally(&self) -> &Tally {
        &self.findings.tally
    }

    /// What is worth a line since the last time, with where it stands in the file.
    pub fn take_notes(&mut self) -> Vec<(u64, Note)> {
        core::mem::take(&mut self.findings.notes)
    }
}

impl Receive for Findings {
    fn aux(&mut self, offset: u64, name: &[u8], value: &[u8]) -> Result<(), Corrupt> {
        let text = |bytes: &[u8]| bytes[..bytes.len().min(128)].escape_ascii().to_string();
        self.notes.push((offset, Note::Aux(text(name), text(value))));
        Ok(())
    }

    fn library(&mut self, _: &[u8]) -> Result<(), Corrupt> {
        self.tally.libraries += 1;
        Ok(())
    }

    fn database(&mut self, offset: u64, index: u64) -> Result<(), Corrupt> {
        self.notes.push((offset, Note::Database(index)));
        Ok(())
    }

    fn sizes(&mut self, _: u64, _: u64) -> Result<(), Corrupt> {
        Ok(())
    }

    fn key(
        &mut self,
        _: u64,
        head: &Head,
        _: &[u8],
        value: rdb::Value<'_>,
    ) -> Result<usize, Corrupt> {
        let setting = Setting { encodings: &self.encodings, hash_key: (0, 0) };
        let (_, len) = load_front(value, &setting)?;
        let name = rdb::kind(value.type_byte, value.dialect)?.name();
        *self.tally.keys.entry(name).or_default() += 1;
        if let Some(deadline_ms) = head.deadline_ms {
            self.tally.deadlines += 1;
            self.tally.expired += u64::from(deadline_ms < self.now_ms);
        }
        Ok(len)
    }
}
