//! The hashes of keys, and of the entries that have them.
//!
//! Invariant: the hash of an entry is that of its key, as long as the entry is there.

use siphasher::sip::SipHasher13;

use super::arena::{Arena, Handle};
use super::entry;
use super::table::Hashes;

/// The secret key of the hash function, so that clients cannot aim at one bucket.
pub(crate) type HashKey = (u64, u64);

/// What the index asks about its entries.
pub(super) struct Entries<'a> {
    pub(super) arena: &'a Arena,
    pub(super) hash_key: HashKey,
}

impl Hashes for Entries<'_> {
    fn hash_of(&self, handle: Handle) -> u64 {
        hash_entry(self.arena, self.hash_key, handle)
    }

    fn touch(&self, handle: Handle) -> u8 {
        self.arena.bytes(handle)[0]
    }
}

/// The hash of the entry at a handle.
pub(super) fn hash_entry(arena: &Arena, hash_key: HashKey, handle: Handle) -> u64 {
    hash(hash_key, entry::key(arena.bytes(handle)))
}

/// The hash of a key.
#[inline]
pub(super) fn hash(hash_key: HashKey, key: &[u8]) -> u64 {
    SipHasher13::new_with_keys(hash_key.0, hash_key.1).hash(key)
}
