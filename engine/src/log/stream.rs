//! What one reader gets.

use super::encode;

/// The bytes of one reader that it has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    /// Bytes that were taken.
    taken: u64,
    /// The database of the last record; `None`: the reader does not know it.
    db: Option<usize>,
    /// The time that stands before the next records, and the last one that does.
    time: Option<u64>,
    noted_time: Option<u64>,
}

impl Stream {
    pub(super) fn position(&self) -> u64 {
        self.taken + self.bytes.len() as u64
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.taken += self.bytes.len() as u64;
        core::mem::take(&mut self.bytes)
    }

    pub(super) fn begin_part(&mut self) {
        self.db = None;
        self.noted_time = None;
    }

    pub(super) fn set_time(&mut self, unix_secs: Option<u64>) {
        self.time = unix_secs;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a record that belongs to no database.
    pub(super) fn append(&mut self, record: &[u8]) {
        if let Some(time) = self.time
            && self.noted_time.is_none_or(|noted| noted < time)
        {
            self.noted_time = Some(time);
            self.bytes.extend_from_slice(b"#TS:");
            self.bytes.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.bytes.extend_from_slice(record);
    }

    /// Appends a record of a change in a database.
    pub(super) fn append_in(&mut self, db: usize, record: &[u8]) {
        self.select(db);
        self.append(record);
    }

    /// What follows is about this database.
    pub(super) fn select(&mut self, db: usize) {
        if self.db != Some(db) {
            self.db = Some(db);
            let mut select = Vec::new();
            let mut digits = itoa::Buffer::new();
            encode::command(&mut select, [b"SELECT".as_slice(), digits.format(db).as_bytes()]);
            self.append(&select);
        }
    }
}
