//! An order-independent hash of the whole state, to compare two engines or two runs.
//!
//! Invariant: it depends on nothing that hash keys, insertion order or memory layout decide.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::keyspace::{Found, Keyspace};

/// The digest of a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl core::fmt::Display for Digest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The digest of all keys, values and deadlines; expired entries that nobody has met do not count.
pub(crate) fn digest(keyspace: &Keyspace) -> Digest {
    let mut sum = 0_u128;
    for index in 0..keyspace.count() {
        let mut cursor = 0;
        loop {
            cursor = keyspace.db(index).scan(cursor, |key, found| {
                if !keyspace.is_expired(index, found) {
                    sum = sum.wrapping_add(entry_digest(keyspace, index, key, found));
                }
            });
            if cursor == 0 {
                break;
            }
        }
    }
    Digest(sum)
}

fn entry_digest(keyspace: &Keyspace, index: usize, key: &[u8], found: Found) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write_u64(index as u64);
    hasher.write_u64(key.len() as u64);
    hasher.write(key);
    let db = keyspace.db(index);
    hasher.write_u64(db.deadline(found).map_or(u64::MAX, |deadline| deadline.0));
    match db.value(found).string(&mut itoa::Buffer::new()) {
        Ok(bytes) => hasher.write(bytes),
        Err(_) => hasher.write(db.value(found).type_name().as_bytes()),
    }
    let hash = hasher.finish128();
    u128::from(hash.h1) << 64 | u128::from(hash.h2)
}
