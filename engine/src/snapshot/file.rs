//! A key as an RDB file has it.

use super::save::save_into;
use crate::config::Encodings;
use crate::evict::Usage;
use crate::keyspace::Given;
use crate::value::rdb::{FileWriter, Head};

/// Adds an entry to a file; tells how many bytes that took.
pub(crate) fn add(
    file: &mut FileWriter,
    entry: &Given<'_>,
    usage: &Usage,
    encodings: &Encodings,
) -> usize {
    let before = file.len();
    let (idle_secs, frequency) = usage.of(entry.access);
    let deadline_ms = entry.deadline.map(|time| time.0);
    let head = Head { deadline_ms, idle_secs, frequency };
    save_into(file.key(entry.db, entry.key, &head), entry.value, encodings);
    file.len() - before
}
