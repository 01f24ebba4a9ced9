//! A key as an RDB file has it.

use super::save::{save_into, save_piece};
use crate::config::Encodings;
use crate::evict::Usage;
use crate::keyspace::{Gave, Given};
use crate::value::rdb::{FileWriter, Head};

/// Bytes of a piece of a big value.
const PIECE_BYTES: usize = 16 << 10;

/// Adds an entry to a file, or a piece of a big one; tells how many bytes that took.
pub(crate) fn add(
    file: &mut FileWriter,
    entry: &Given<'_>,
    usage: &Usage,
    encodings: &Encodings,
) -> Gave {
    let before = file.len();
    let saver = if entry.place.unwrap_or(0) == 0 {
        let (idle_secs, frequency) = usage.of(entry.access);
        let deadline_ms = entry.deadline.map(|time| time.0);
        file.key(entry.db, entry.key, &Head { deadline_ms, idle_secs, frequency })
    } else {
        file.same_key()
    };
    let Some(place) = entry.place else {
        save_into(saver, entry.value, encodings);
        return Gave { bytes: file.len() - before, rest: None };
    };
    let rest = save_piece(saver, entry.value, place, PIECE_BYTES, encodings);
    let bytes = file.len() - before;
    // A string that is being compressed costs, too, and gives nothing yet.
    Gave { bytes: if rest.is_some() { bytes.max(PIECE_BYTES) } else { bytes }, rest }
}
