//! All keys as an RDB file, and back.
//!
//! Invariant: what [`write`] gives, [`read`] reads as the same keys, in the same databases.

use super::load::{Loaded, Setting, load_front};
use super::save::save_into;
use crate::config::Encodings;
use crate::evict::Usage;
use crate::keyspace::{Given, Keyspace};
use crate::value::rdb::{self, Broken, Corrupt, FileReader, FileWriter, Head, Receive};

/// Adds an entry to a file; tells how many bytes that took.
fn add(file: &mut FileWriter, entry: &Given<'_>, usage: &Usage, encodings: &Encodings) -> usize {
    let before = file.len();
    let (idle_secs, frequency) = usage.of(entry.access);
    let deadline_ms = entry.deadline.map(|time| time.0);
    let head = Head { deadline_ms, idle_secs, frequency };
    save_into(file.key(entry.db, entry.key, &head), entry.value, encodings);
    file.len() - before
}

/// All keys as a file in memory, for ourselves: of the newest version.
pub(crate) fn write(keyspace: &mut Keyspace, usage: &Usage, encodings: &Encodings) -> Vec<u8> {
    let target = encodings.rdb_target;
    let version = target.version_max();
    let mut file = FileWriter::new(target, version, encodings.rdb_compression, true);
    keyspace.begin_capture();
    while !keyspace.capture_some(usize::MAX, |entry| add(&mut file, &entry, usage, encodings)) {}
    file.finish()
}

/// A key that was read.
pub(crate) struct Key {
    pub(crate) db: usize,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Loaded,
    pub(crate) head: Head,
}

/// The keys of a file that is in memory as a whole.
pub(crate) fn read(file: &[u8], setting: &Setting<'_>) -> Result<Vec<Key>, Broken> {
    let mut keys = Keys { setting, db: 0, keys: Vec::new() };
    FileReader::default().read(file, usize::MAX, true, &mut keys)?;
    Ok(keys.keys)
}

struct Keys<'s> {
    setting: &'s Setting<'s>,
    db: usize,
    keys: Vec<Key>,
}

impl Receive for Keys<'_> {
    fn aux(&mut self, _: u64, _: &[u8], _: &[u8]) -> Result<(), Corrupt> {
        Ok(())
    }

    fn library(&mut self, _: &[u8]) -> Result<(), Corrupt> {
        Ok(())
    }

    fn database(&mut self, _: u64, index: u64) -> Result<(), Corrupt> {
        self.db = usize::try_from(index).map_err(|_| Corrupt("a database of too high a number"))?;
        Ok(())
    }

    fn sizes(&mut self, _: u64, _: u64) -> Result<(), Corrupt> {
        Ok(())
    }

    fn key(&mut self, head: &Head, key: &[u8], value: rdb::Value<'_>) -> Result<usize, Corrupt> {
        let (value, len) = load_front(value, self.setting)?;
        let (key, head) = (key.to_vec(), head.clone());
        self.keys.push(Key { db: self.db, key, value, head });
        Ok(len)
    }
}
