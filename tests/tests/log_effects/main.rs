//! The log of effects: what is written for which commands, word for word as Redis writes its
//! append-only file, and that an engine which is fed with it has the same data.

mod property;
mod records;
mod replay;
mod scenes;

use records::Record;

/// The records of a log, shown as lines.
fn lines(bytes: &[u8], zero_ms: u64) -> Vec<String> {
    Record::read_all(bytes).iter().map(|record| record.shown(zero_ms)).collect()
}
