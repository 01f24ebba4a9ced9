//! Redis's checksum of a data set (DEBUG DIGEST), so that this server's data can be compared with a
//! real one's.
//!
//! Invariant: it depends neither on the order of keys nor on how values are stored.

use sha1_smol::Sha1;

use crate::keyspace::{Db, Found, Keyspace};

/// The type number of strings in the checksum.
const STRING: u32 = 0;

/// A checksum in the making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checksum([u8; 20]);

impl Checksum {
    /// Adds something whose order does not matter.
    fn add(&mut self, part: &[u8]) {
        let hash = Sha1::from(part).digest().bytes();
        self.0.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds something whose order matters.
    fn mix(&mut self, part: &[u8]) {
        self.add(part);
        self.0 = Sha1::from(self.0).digest().bytes();
    }

    fn mix_value(&mut self, db: &Db, found: Found) {
        self.mix(&STRING.to_be_bytes());
        if let Ok(bytes) = db.value(found).string(&mut itoa::Buffer::new()) {
            self.mix(bytes);
        }
        if db.deadline(found).is_some() {
            self.add(b"!!expire!!");
        }
    }
}

impl core::fmt::Display for Checksum {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The checksum of one value; zeros if there is none.
pub(super) fn value_digest(db: &Db, found: Option<Found>) -> Checksum {
    let mut checksum = Checksum::default();
    if let Some(found) = found {
        checksum.mix_value(db, found);
    }
    checksum
}

/// The checksum of all databases.
pub(super) fn dataset_digest(keyspace: &Keyspace) -> Checksum {
    let mut all = Checksum::default();
    for index in 0..keyspace.count() {
        let db = keyspace.db(index);
        if db.is_empty() {
            continue;
        }
        all.mix(&(index as u32).to_be_bytes());
        let mut cursor = 0;
        loop {
            cursor = db.scan(cursor, |key, found| {
                if !keyspace.is_expired(index, found) {
                    let mut entry = Checksum::default();
                    entry.mix(key);
                    entry.mix_value(db, found);
                    all.add(&entry.0);
                }
            });
            if cursor == 0 {
                break;
            }
        }
    }
    all
}
