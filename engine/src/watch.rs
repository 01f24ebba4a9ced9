//! Keys that clients watch: a transaction runs only if none of its client's keys has changed.
//!
//! Invariants: a key lists exactly the clients that watch it; a client that watches nothing and is
//! not spoilt is not in the books; one that is spoilt watches nothing until it is told so.

use std::collections::{BTreeMap, BTreeSet};

use crate::input::ConnId;
use crate::state::State;

/// What one client watches.
#[derive(Debug)]
enum Watcher {
    /// These keys, by database, and none of them has changed; and how many bytes they take.
    Keys(BTreeSet<(usize, Box<[u8]>)>, usize),
    /// A key that it watched has changed.
    Spoilt,
}

/// All watched keys of all clients.
#[derive(Debug, Default)]
pub struct Watches {
    /// By database and key, who watches it.
    keys: BTreeMap<usize, BTreeMap<Box<[u8]>, BTreeSet<ConnId>>>,
    clients: BTreeMap<ConnId, Watcher>,
}

impl Watches {
    /// Lets a client watch a key. One that is spoilt stays so: it need not watch anything.
    pub(crate) fn watch(&mut self, conn: ConnId, db: usize, key: &[u8]) {
        let watcher = self.clients.entry(conn).or_insert_with(|| Watcher::Keys(BTreeSet::new(), 0));
        if let Watcher::Keys(keys, bytes) = watcher {
            if keys.insert((db, key.into())) {
                // Each key is in both books.
                *bytes += 2 * (key.len() + size_of::<(usize, Box<[u8]>)>());
            }
            self.keys.entry(db).or_default().entry(key.into()).or_default().insert(conn);
        }
    }

    /// A client watches nothing any more, and has no reason to refuse its transaction.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        if !self.clients.is_empty() {
            self.end(conn);
        }
    }

    /// Says that a key was changed or has gone.
    #[inline]
    pub(crate) fn touch(&mut self, db: usize, key: &[u8]) {
        if !self.clients.is_empty() {
            self.spoil(db, key);
        }
    }

    #[cold]
    fn spoil(&mut self, db: usize, key: &[u8]) {
        let Some(watchers) = self.keys.get(&db).and_then(|keys| keys.get(key)) else { return };
        for conn in watchers.clone() {
            self.end(conn);
            self.clients.insert(conn, Watcher::Spoilt);
        }
    }

    fn end(&mut self, conn: ConnId) {
        let Some(Watcher::Keys(keys, _)) = self.clients.remove(&conn) else { return };
        for (db, key) in keys {
            let of_db = self.keys.get_mut(&db).expect("a watched key is in its database's list");
            let watchers = of_db.get_mut(&key).expect("a watched key lists who watches it");
            watchers.remove(&conn);
            if watchers.is_empty() {
                of_db.remove(&key);
            }
            if of_db.is_empty() {
                self.keys.remove(&db);
            }
        }
    }

    /// Whether a key that the client watched has changed.
    pub fn is_spoilt(&self, conn: ConnId) -> bool {
        matches!(self.clients.get(&conn), Some(Watcher::Spoilt))
    }

    /// The keys that a client watches, with their databases.
    pub fn keys_of(&self, conn: ConnId) -> impl ExactSizeIterator<Item = &(usize, Box<[u8]>)> {
        static NONE: BTreeSet<(usize, Box<[u8]>)> = BTreeSet::new();
        match self.clients.get(&conn) {
            Some(Watcher::Keys(keys, _)) => keys.iter(),
            _ => NONE.iter(),
        }
    }

    /// The watched keys of a database.
    pub fn keys_in(&self, db: usize) -> impl Iterator<Item = &[u8]> {
        self.keys.get(&db).into_iter().flat_map(|keys| keys.keys().map(AsRef::as_ref))
    }

    /// How many clients watch something, and how many keys are watched.
    pub fn totals(&self) -> (usize, usize) {
        let clients = self.clients.values();
        let watching = clients.filter(|watcher| matches!(watcher, Watcher::Keys(..))).count();
        (watching, self.keys.values().map(BTreeMap::len).sum())
    }

    /// Heap bytes that a client's keys take here.
    pub fn memory_bytes_of(&self, conn: ConnId) -> usize {
        match self.clients.get(&conn) {
            Some(Watcher::Keys(_, bytes)) => *bytes,
            _ => 0,
        }
    }

    /// Checks that both books agree; for tests.
    pub(crate) fn check_invariants(&self) {
        let mut places = BTreeSet::new();
        for (&conn, watcher) in &self.clients {
            let Watcher::Keys(keys, _) = watcher else { continue };
            assert!(!keys.is_empty(), "who watches nothing is not in the books");
            places.extend(keys.iter().map(|(db, key)| (*db, key.clone(), conn)));
        }
        let mut listed = 0;
        for (&db, keys) in &self.keys {
            assert!(!keys.is_empty(), "a database without watched keys is not listed");
            for (key, watchers) in keys {
                assert!(!watchers.is_empty(), "a key that nobody watches is not listed");
                listed += watchers.len();
                for &conn in watchers {
                    assert!(places.contains(&(db, key.clone(), conn)), "the client knows it too");
                }
            }
        }
        assert_eq!(listed, places.len(), "every key of a client lists it");
    }
}

impl State {
    /// Whether a key that the client watched has changed. A deadline that has passed is a change,
    /// whether or not anybody has looked since.
    pub(crate) fn is_spoilt(&mut self, conn: ConnId) -> bool {
        for (db, key) in self.watches.keys_of(conn) {
            // Noted by the keyspace if it has expired.
            self.keyspace.find(*db, key);
        }
        self.tell_lapsed();
        self.watches.is_spoilt(conn)
    }

    /// Deletes what is over of the keys that are watched in one of two databases, in both.
    pub(crate) fn end_watched_stale(&mut self, dbs: [usize; 2]) {
        let watched = |db| self.watches.keys_in(db).map(Into::into);
        let keys: BTreeSet<Box<[u8]>> = dbs.into_iter().flat_map(watched).collect();
        for key in keys {
            for db in dbs {
                // Noted by the keyspace if it has expired.
                self.keyspace.find(db, &key);
            }
        }
        self.tell_lapsed();
    }

    /// Says that a database loses all its keys, or gets those of `other` instead: for those who
    /// watch a key only where it is or will be is this a change.
    pub(crate) fn touch_watched(&mut self, db: usize, other: Option<usize>) {
        let places = [Some(db), other];
        let exists = |key: &&[u8]| {
            let mut dbs = places.iter().flatten();
            dbs.any(|&index| self.keyspace.db(index).find(key).is_some())
        };
        let keys: Vec<Box<[u8]>> =
            self.watches.keys_in(db).filter(exists).map(Into::into).collect();
        for key in keys {
            self.watches.touch(db, &key);
        }
    }
}
