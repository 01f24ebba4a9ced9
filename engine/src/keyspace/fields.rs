//! Hashes with fields that expire, in the order of their earliest deadlines.
//!
//! Keys stand there by their hash; two may agree in it and in their deadline, so they are counted.
//! The fields of one hash are in an order of its own (see [`crate::value::hash`]).
//!
//! Invariant: the order holds the earliest deadline of every value in its database that has one,
//! but for an object that is handed out at the moment.

use std::collections::BTreeMap;

use super::Keyspace;
use super::collections::Value;
use super::db::{Db, Found};
use crate::value::collection::Collection;
use crate::value::hash::Hash;

/// What a deadline takes in the order, about: its key and number in a tree's node that is two
/// thirds full.
const DEADLINE_BYTES: usize = 36;
/// Deadlines that one step of freeing takes out.
const DEADLINES_FREED_PER_STEP: usize = 4096;

/// The order of one database.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// How many keys there are of a deadline and of a hash.
    deadlines: BTreeMap<(u64, u64), u32>,
}

impl Fields {
    /// The earliest deadline, and the hash of its key.
    #[inline]
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.deadlines.first_key_value().map(|(&first, _)| first)
    }

    /// A value of the key with this hash has another deadline than before.
    #[inline]
    pub(super) fn change(&mut self, key_hash: u64, old: Option<u64>, new: Option<u64>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            let count = self.deadlines.get_mut(&(old, key_hash)).expect("it is in the order");
            *count -= 1;
            if *count == 0 {
                self.deadlines.remove(&(old, key_hash));
            }
        }
        if let Some(new) = new {
            *self.deadlines.entry((new, key_hash)).or_default() += 1;
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.deadlines.len() * DEADLINE_BYTES
    }

    /// Frees a bounded part; true when nothing is left.
    pub(super) fn drop_some(&mut self) -> bool {
        (0..DEADLINES_FREED_PER_STEP).any(|_| self.deadlines.pop_first().is_none())
    }

    /// Checks the order against that of all deadlines and hashes of keys; for tests.
    pub(super) fn check_invariants(&self, all: impl Iterator<Item = (u64, u64)>) {
        let mut expected = BTreeMap::new();
        all.for_each(|deadline| *expected.entry(deadline).or_default() += 1);
        assert_eq!(self.deadlines, expected, "every deadline of a field is in the order");
    }
}

impl Keyspace {
    /// Takes fields out of hashes whose deadlines have passed, up to `left` of them, which it
    /// counts down. `expired` is told of each hash, and of each that is gone.
    pub(super) fn expire_fields(
        &mut self,
        index: usize,
        left: &mut usize,
        wants_names: bool,
        expired: &mut impl FnMut(usize, &[u8], &'static str, &[Vec<u8>]),
    ) {
        while *left > 0
            && let Some((deadline_ms, found)) = self.databases[index].first_fields()
            && deadline_ms < self.now.0
        {
            let access = self.databases[index].access(found);
            let mut hash: Hash =
                self.hand_out(index, found).expect("only hashes have fields with deadlines");
            let mut names = Vec::new();
            let wanted = wants_names.then_some(&mut names);
            let count = hash.remove_due(self.now.0, *left, wanted);
            *left -= count;
            self.stats.expired_fields += count as u64;
            let key = self.databases[index].key(found);
            expired(index, key, "hexpired", &names);
            if hash.is_empty() {
                expired(index, key, "del", &[]);
            }
            self.put_back(index, found, hash, access);
        }
    }
}

impl Db {
    /// The entry whose fields expire first, and when.
    pub(super) fn first_fields(&self) -> Option<(u64, Found)> {
        let (deadline_ms, key_hash) = self.fields.first()?;
        let is_it = |value: Value<'_>| value.first_deadline() == Some(deadline_ms);
        let found = self.find_hash(key_hash, is_it);
        Some((deadline_ms, found.expect("a deadline in the order is of an entry")))
    }
}
