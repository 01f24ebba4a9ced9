//! Looks through a file of an append-only log, and keeps nothing but counts.
//!
//! Invariant: a snapshot at its start that is found whole here, loads; of commands only the form is
//! looked at.

use super::inspect::{Findings, Note, Tally};
use crate::args::Args;
use crate::value::aof::{self, AofReader, Broken, timestamp_of};
use crate::value::rdb::{self, Corrupt, Head, Progress};

/// An inspection of one file.
#[derive(Default)]
pub struct LogInspector {
    reader: AofReader,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    snapshot: Findings,
    commands: u64,
    timestamps: Option<(i64, i64)>,
    until: Option<i64>,
    over_at: Option<u64>,
}

impl LogInspector {
    /// An inspection at this time, in milliseconds since the epoch. It ends where an annotation
    /// tells a time behind `until`, in seconds.
    pub fn new(now_ms: u64, until: Option<i64>) -> Self {
        let snapshot = Findings { now_ms, ..Findings::default() };
        Self { reader: AofReader::default(), seen: Seen { snapshot, until, ..Seen::default() } }
    }

    /// Reads on; `is_all`: nothing comes behind these bytes. [`AofReader::read`] tells more.
    pub fn read(&mut self, bytes: &[u8], is_all: bool) -> Result<Progress, Broken> {
        self.reader.read(bytes, usize::MAX, is_all, &mut self.seen)
    }

    /// The reader, for where it stands.
    pub fn reader(&self) -> &AofReader {
        &self.reader
    }

    /// How many commands there are.
    pub fn commands(&self) -> u64 {
        self.seen.commands
    }

    /// The earliest and the latest time that annotations tell, in seconds since the epoch.
    pub fn timestamps(&self) -> Option<(i64, i64)> {
        self.seen.timestamps
    }

    /// Where the annotation is that tells a time which is too late.
    pub fn over_at(&self) -> Option<u64> {
        self.seen.over_at
    }

    /// Whether the file begins with a snapshot, as far as it was read.
    pub fn has_snapshot(&self) -> bool {
        self.reader.snapshot_bytes() > 0
    }

    /// What was found in the snapshot at the start.
    pub fn tally(&self) -> &Tally {
        &self.seen.snapshot.tally
    }

    /// What is worth a line of the snapshot since the last time, with where it stands in the file.
    pub fn take_notes(&mut self) -> Vec<(u64, Note)> {
        core::mem::take(&mut self.seen.snapshot.notes)
    }
}

impl aof::Receive for Seen {
    fn command(&mut self, _: u64, _: Args<'_>) -> Result<(), String> {
        self.commands += 1;
        Ok(())
    }

    fn annotation(&mut self, offset: u64, text: &[u8]) -> Result<(), String> {
        let Some(time) = timestamp_of(text) else { return Ok(()) };
        let Ok(time) = time else {
            let is_asked = self.until.is_some();
            return if is_asked { Err("Invalid timestamp annotation".to_owned()) } else { Ok(()) };
        };
        if self.until.is_some_and(|until| time > until) {
            self.over_at = Some(offset);
            return Err(format!("the time {time} is too late"));
        }
        let (first, last) = self.timestamps.unwrap_or((time, time));
        self.timestamps = Some((first.min(time), last.max(time)));
        Ok(())
    }
}

impl rdb::Receive for Seen {
    fn aux(&mut self, offset: u64, name: &[u8], value: &[u8]) -> Result<(), Corrupt> {
        self.snapshot.aux(offset, name, value)
    }

    fn library(&mut self, text: &[u8]) -> Result<(), Corrupt> {
        self.snapshot.library(text)
    }

    fn database(&mut self, offset: u64, index: u64) -> Result<(), Corrupt> {
        self.snapshot.database(offset, index)
    }

    fn sizes(&mut self, keys: u64, deadlines: u64) -> Result<(), Corrupt> {
        self.snapshot.sizes(keys, deadlines)
    }

    fn key(
        &mut self,
        offset: u64,
        head: &Head,
        key: &[u8],
        value: rdb::Value<'_>,
    ) -> Result<usize, Corrupt> {
        self.snapshot.key(offset, head, key, value)
    }
}
