//! Keys that were read from a snapshot file and are not stored yet.
//!
//! Why: where a key belongs in the index is anywhere in memory. One key after another, each waits
//! for memory; the places of a few dozen keys looked at together wait but once.
//!
//! Invariants: keys are stored in the order in which they were read; nothing stays here between two
//! steps; a batch holds at most [`SETTLED_PARTS`](crate::value::rdb::SETTLED_PARTS) keys.

use core::hint::black_box;
use core::ops::Range;

use crate::keyspace::{Keyspace, NewValue};
use crate::snapshot::{Loaded, Setting, load_front};
use crate::time::UnixMillis;
use crate::value::rdb::{self, Broken, Corrupt, Element, Item, Kind};

/// A longer string gets memory of its own.
const COPIED_BYTES_MAX: usize = 1024;
/// Room for texts that is kept for the next step.
const SPARE_BYTES_MAX: usize = 256 << 10;

/// Keys that wait.
#[derive(Default)]
pub(super) struct Batch {
    records: Vec<Record>,
    /// The bytes of keys and short strings.
    texts: Vec<u8>,
}

/// A key that waits.
struct Record {
    key: Range<usize>,
    /// Of the key, once the batch is stored.
    hash: u64,
    value: Waiting,
    place: Place,
}

/// Where a key comes from, and where it goes.
pub(super) struct Place {
    /// Where it stands in the file.
    pub(super) offset: u64,
    pub(super) db: usize,
    pub(super) deadline: Option<UnixMillis>,
    pub(super) access: u32,
}

/// A value that was read.
pub(super) enum Waiting {
    /// A string that is among the texts of the batch.
    Text(Range<usize>),
    /// A string that is an integer.
    Integer(i64),
    /// Anything else.
    Other(Loaded),
}

impl Batch {
    /// Reads a value with more behind it; gives its length, too. It is for the next key that is
    /// pushed, or for none.
    pub(super) fn read(
        &mut self,
        value: rdb::Value<'_>,
        setting: &Setting<'_>,
    ) -> Result<(Waiting, usize), Corrupt> {
        if rdb::kind(value.type_byte, value.dialect)? != Kind::String {
            let (loaded, len) = load_front(value, setting)?;
            return Ok((Waiting::Other(loaded), len));
        }
        let (texts, mut waiting) = (&mut self.texts, Waiting::Integer(0));
        let len = rdb::load_front(value, &mut |item| {
            waiting = match item {
                Item::String(Element::Integer(value)) => Waiting::Integer(value),
                Item::String(Element::Bytes(bytes)) if bytes.len() <= COPIED_BYTES_MAX => {
                    Waiting::Text(add(texts, bytes))
                }
                Item::String(Element::Bytes(bytes)) => {
                    Waiting::Other(Loaded::String(bytes.to_vec()))
                }
                _ => return Err(Corrupt("a part of another type")),
            };
            Ok(())
        })?;
        Ok((waiting, len))
    }

    /// Keeps a key and the value that was just read.
    pub(super) fn push(&mut self, key: &[u8], value: Waiting, place: Place) {
        let key = add(&mut self.texts, key);
        self.records.push(Record { key, hash: 0, value, place });
    }

    /// Stores all keys; gives how many that were. A key that is there is replaced if it `replaces`,
    /// and else an error.
    pub(super) fn store(&mut self, keyspace: &mut Keyspace, replaces: bool) -> Result<u64, Broken> {
        let Self { records, texts } = self;
        for record in records.iter_mut() {
            record.hash = keyspace.hash(record.place.db, &texts[record.key.clone()]);
        }
        let near = records.iter().map(|record| keyspace.touch(record.place.db, record.hash));
        black_box(near.fold(0, |sum, byte| sum ^ byte));
        let mut stored = 0;
        for Record { key, hash, value, place } in records.drain(..) {
            let Place { offset, db, deadline, access } = place;
            let key = &texts[key];
            let is_there = keyspace.find_hashed(db, key, hash).is_some();
            if is_there && !replaces {
                let why = Corrupt("a key that was there before");
                return Err(Broken::of_key(offset, key, why));
            }
            let mut store = |value: NewValue<'_>| {
                if is_there {
                    keyspace.set(db, key, value, deadline, access);
                } else {
                    keyspace.add_hashed(db, (key, hash), value, deadline, access);
                }
            };
            match value {
                Waiting::Text(text) => store(NewValue::String(&texts[text])),
                Waiting::Integer(value) => store(NewValue::Integer(value)),
                Waiting::Other(loaded) => loaded.store(&mut store),
            }
            stored += 1;
        }
        texts.clear();
        texts.shrink_to(SPARE_BYTES_MAX);
        Ok(stored)
    }
}

/// Adds bytes to texts; gives where they are.
fn add(texts: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    let start = texts.len();
    texts.extend_from_slice(bytes);
    start..texts.len()
}
