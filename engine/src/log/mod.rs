//! The log of effects: whatever changes the data, as commands in RESP. Fed to an empty engine they
//! give the same data. It is what the append-only file and replicas get.
//!
//! Records are gathered while a client's command runs, with all that it runs itself (a transaction,
//! a script), and are given to the readers when that has ended. Where there are several of them
//! they stand between MULTI and EXEC.
//!
//! Invariants: what was given to a reader is complete, never the beginning of a transaction whose
//! end is still to come; records are in the order in which the data was changed; a record of
//! another database than the one before it follows a SELECT; nothing is written while nobody reads.

pub(crate) mod encode;
mod own;
mod readers;
mod stream;

pub(crate) use own::{Frame, Own};
pub use readers::{Reader, Readers};

use stream::Stream;

/// The log of one engine.
#[derive(Debug)]
pub struct Log {
    /// Who reads.
    readers: Readers,
    /// Who may get what is logged at the moment: a script can choose.
    may_get: Readers,
    file: Stream,
    replicas: Stream,
    /// The records of what runs.
    unit: Unit,
    /// What the command that runs wants logged.
    own: Own,
    /// The command in its place, encoded, if it wants another.
    instead: Vec<u8>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            readers: Readers::NONE,
            may_get: Readers::ALL,
            file: Stream::default(),
            replicas: Stream::default(),
            unit: Unit::default(),
            own: Own::Words,
            instead: Vec::new(),
        }
    }
}

/// Records that were not given to the readers yet.
#[derive(Debug, Default)]
struct Unit {
    /// Of all records, one after the other.
    bytes: Vec<u8>,
    records: Vec<Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    db: usize,
    /// Where it ends.
    end: usize,
    /// Who gets it.
    readers: Readers,
    /// Nobody asked for it: time has taken a key or a field.
    is_expiry: bool,
}

impl Log {
    /// Begins to log for the append-only file.
    pub fn start(&mut self) {
        self.start_for(Reader::File);
    }

    /// Ends that; what was not taken is forgotten.
    pub fn stop(&mut self) {
        self.stop_for(Reader::File);
    }

    /// Whether anybody reads the log. While nobody does this test is all that it costs.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.readers != Readers::NONE
    }

    /// Bytes ever logged for the append-only file.
    pub fn position(&self) -> u64 {
        self.position_for(Reader::File)
    }

    /// Takes what was logged for the append-only file since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        self.take_for(Reader::File)
    }

    /// Begins to log for a reader: from the next record on.
    pub fn start_for(&mut self, reader: Reader) {
        self.readers = self.readers.with(reader.into());
        self.stream(reader).begin_part();
    }

    /// Ends logging for a reader.
    pub fn stop_for(&mut self, reader: Reader) {
        self.readers = self.readers.without(reader.into());
        self.stream(reader).take();
    }

    /// Whether this reader reads.
    pub fn is_on_for(&self, reader: Reader) -> bool {
        self.readers.has(reader.into())
    }

    /// Bytes ever logged for a reader.
    pub fn position_for(&self, reader: Reader) -> u64 {
        match reader {
            Reader::File => self.file.position(),
            Reader::Replicas => self.replicas.position(),
        }
    }

    /// Takes what was logged for a reader since the last time.
    pub fn take_for(&mut self, reader: Reader) -> Vec<u8> {
        self.stream(reader).take()
    }

    /// What follows goes to another file, or to somebody who has not read what came before: the
    /// next record follows a SELECT in any case.
    pub fn begin_part(&mut self, reader: Reader) {
        self.stream(reader).begin_part();
    }

    /// Notes the time in seconds since the Unix epoch before the next records of the append-only
    /// file, where it has changed (`aof-timestamp-enabled`); `None`: no longer.
    pub fn set_time(&mut self, unix_secs: Option<u64>) {
        self.file.set_time(unix_secs);
    }

    /// Whether something runs whose records are not complete: a script that goes on in a later
    /// step.
    pub fn is_in_unit(&self) -> bool {
        !self.unit.records.is_empty()
    }

    /// Heap bytes of what was not taken, and of what runs.
    pub fn memory_bytes(&self) -> usize {
        self.file.memory_bytes()
            + self.replicas.memory_bytes()
            + self.unit.bytes.capacity()
            + self.unit.records.capacity() * size_of::<Record>()
            + self.instead.capacity()
    }

    fn stream(&mut self, reader: Reader) -> &mut Stream {
        match reader {
            Reader::File => &mut self.file,
            Reader::Replicas => &mut self.replicas,
        }
    }

    /// Adds a record of a change in a database, for some readers.
    pub(crate) fn push<'a, I>(&mut self, db: usize, words: I, readers: Readers)
    where
        I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
    {
        let readers = readers.and(self.may_get).and(self.readers);
        if readers != Readers::NONE {
            encode::command(&mut self.unit.bytes, words);
            self.end_record(db, readers, false);
        }
    }

    /// Adds a record of what time has taken, whatever a script says.
    pub(crate) fn push_expiry<'a, I>(&mut self, db: usize, words: I)
    where
        I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
    {
        if self.is_on() {
            encode::command(&mut self.unit.bytes, words);
            self.end_record(db, self.readers, true);
        }
    }

    fn end_record(&mut self, db: usize, readers: Readers, is_expiry: bool) {
        let end = self.unit.bytes.len();
        self.unit.records.push(Record { db, end, readers, is_expiry });
    }

    /// Who may get what is logged from now on; returns who could before.
    pub(crate) fn restrict(&mut self, readers: Readers) -> Readers {
        core::mem::replace(&mut self.may_get, readers)
    }

    /// How many records the unit has, for [`Self::roll_back`].
    pub(crate) fn mark(&self) -> usize {
        self.unit.records.len()
    }

    /// What was changed since then was undone. What time has taken stays away.
    pub(crate) fn roll_back(&mut self, mark: usize) {
        let Unit { bytes, records } = &mut self.unit;
        let mut start = mark.checked_sub(1).map_or(0, |last| records[last].end);
        let mut kept = start;
        let mut keep = |record: &Record| {
            if record.is_expiry {
                bytes.copy_within(start..record.end, kept);
                kept += record.end - start;
            }
            start = record.end;
            record.is_expiry.then_some(Record { end: kept, ..*record })
        };
        let stay: Vec<Record> =
            records[mark.min(records.len())..].iter().filter_map(&mut keep).collect();
        records.truncate(mark);
        records.extend(stay);
        bytes.truncate(kept);
    }

    /// The unit has ended: its records go to the readers. Several are a transaction if they belong
    /// `together`.
    pub(crate) fn commit(&mut self, together: bool) {
        if self.unit.records.is_empty() {
            return;
        }
        let is_transaction = together && self.unit.records.len() > 1;
        for reader in [Reader::File, Reader::Replicas] {
            if self.readers.has(reader.into()) {
                self.give(reader, is_transaction);
            }
        }
        self.unit.records.clear();
        self.unit.bytes.clear();
        if self.unit.bytes.capacity() > SPARE_BYTES_MAX {
            self.unit = Unit::default();
        }
    }

    fn give(&mut self, reader: Reader, is_transaction: bool) {
        let Self { file, replicas, unit, .. } = self;
        let stream = match reader {
            Reader::File => file,
            Reader::Replicas => replicas,
        };
        if is_transaction {
            // As Redis 7.0 has it: later versions would put it behind.
            stream.select(unit.records[0].db);
            stream.append(encode::MULTI);
        }
        let mut start = 0;
        for record in &unit.records {
            if record.readers.has(reader.into()) {
                stream.append_in(record.db, &unit.bytes[start..record.end]);
            }
            start = record.end;
        }
        if is_transaction {
            stream.append(encode::EXEC);
        }
    }
}

/// A buffer that grew beyond this is given back instead of kept for the next unit.
const SPARE_BYTES_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests;
