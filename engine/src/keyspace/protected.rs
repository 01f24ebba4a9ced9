//! Keys that match patterns of the configuration: they are never evicted and survive a flush.
//!
//! Invariant: a database that has patterns knows exactly those of its keys that match one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::db::{Db, Taken};
use super::{Keyspace, hash_key};
use crate::value::glob;

/// The patterns.
#[derive(Debug, Default)]
pub(super) struct Patterns(Vec<Box<[u8]>>);

/// The protected keys of one database.
#[derive(Debug)]
pub(super) struct Protected {
    patterns: Arc<Patterns>,
    keys: BTreeSet<Box<[u8]>>,
}

impl Protected {
    pub(super) fn note_added(&mut self, key: &[u8]) {
        if self.patterns.0.iter().any(|pattern| glob::matches(pattern, key)) {
            self.keys.insert(key.into());
        }
    }

    pub(super) fn note_removed(&mut self, key: &[u8]) {
        self.keys.remove(key);
    }
}

impl Db {
    /// How many of its keys are protected.
    pub fn protected_len(&self) -> usize {
        self.protected.as_ref().map_or(0, |protected| protected.keys.len())
    }

    /// Whether a key that it has is protected.
    #[inline]
    pub fn is_protected(&self, key: &[u8]) -> bool {
        self.protected.as_ref().is_some_and(|protected| protected.keys.contains(key))
    }

    pub(super) fn check_protected(&self) {
        let Some(protected) = &self.protected else { return };
        let mut expected = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = self.scan(cursor, |key, _| {
                if protected.patterns.0.iter().any(|pattern| glob::matches(pattern, key)) {
                    expected.insert(key.into());
                }
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(protected.keys, expected, "protected keys are known");
    }
}

impl Keyspace {
    /// Protects the keys that match one of `patterns`. The keyspace is still empty.
    pub fn protect(&mut self, patterns: &[String]) {
        let patterns = patterns.iter().map(|pattern| pattern.as_bytes().into()).collect();
        self.protected = Arc::new(Patterns(patterns));
        for index in 0..self.count() {
            assert!(self.db(index).is_empty(), "keys are protected before there are any");
            self.db_mut(index).protected = self.protects();
        }
    }

    /// A database without keys.
    pub(super) fn empty_db(&mut self) -> Db {
        let mut db = Db::new(hash_key(&mut self.hash_keys));
        db.protected = self.protects();
        db
    }

    fn protects(&self) -> Option<Box<Protected>> {
        let (patterns, keys) = (Arc::clone(&self.protected), BTreeSet::new());
        (!patterns.0.is_empty()).then(|| Box::new(Protected { patterns, keys }))
    }

    /// Takes the protected keys of a database out of it.
    pub(super) fn take_protected(&mut self, index: usize) -> Vec<(Box<[u8]>, Taken)> {
        let protected = self.db(index).protected.as_ref();
        let keys: Vec<Box<[u8]>> =
            protected.map(|protected| protected.keys.iter().cloned().collect()).unwrap_or_default();
        let mut kept = Vec::with_capacity(keys.len());
        for key in keys {
            let found = self.db(index).find(&key).expect("a protected key is there");
            let taken = self.take(index, found);
            kept.push((key, taken));
        }
        kept
    }
}
