//! What a script changes, so that it can be undone when the script is stopped half way.
//!
//! Invariants: undoing the changes in reverse order gives what was there when the log was begun;
//! copies that are made only for the log cost no more than the script has been granted, and what
//! the log keeps no more than its limit. Where either would be exceeded the log is given up, and
//! the changes stand.

use std::collections::BTreeMap;

use super::Keyspace;
use super::db::{Db, Found, NewValue, Taken};
use super::trash::Trash;
use crate::time::UnixMillis;

/// Bytes of values that may be copied before any more are granted.
const GRANTED_BYTES: usize = 64 << 10;
/// Changes that are freed in the step that ends the log.
const FREED_AT_ONCE_MAX: usize = 256;
/// What an entry of the log takes beside what it keeps.
const CHANGE_BYTES: usize = size_of::<Change>() + 48;

/// The changes since the log was begun.
#[derive(Debug)]
pub(crate) struct Undo {
    changes: Vec<Change>,
    /// Which keys are in the log since databases were last flushed or swapped, by a hash.
    noted: BTreeMap<(usize, u64), usize>,
    kept_bytes: usize,
    kept_bytes_max: usize,
    granted_bytes: usize,
    /// Something was changed that cannot be undone.
    is_lost: bool,
}

/// One change.
pub(super) enum Change {
    Key {
        index: usize,
        key: Box<[u8]>,
        /// What the key held and when it was used last; `None`: it did not exist.
        before: Option<(Taken, u32)>,
    },
    Flushed {
        index: usize,
        before: Box<Db>,
    },
    Swapped(usize, usize),
}

impl core::fmt::Debug for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Key { index, key, before } => {
                let key = key.escape_ascii().to_string();
                f.debug_tuple("Key").field(index).field(&key).field(&before.is_some()).finish()
            }
            Self::Flushed { index, .. } => f.debug_tuple("Flushed").field(index).finish(),
            Self::Swapped(a, b) => f.debug_tuple("Swapped").field(a).field(b).finish(),
        }
    }
}

/// What undoing did, for those who must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// A key of a database has its old value.
    Key(usize, Box<[u8]>),
    /// A database has its old keys.
    Database(usize),
}

impl Undo {
    /// An empty log that keeps at most so many bytes.
    pub(crate) fn new(kept_bytes_max: usize) -> Box<Self> {
        Box::new(Self {
            changes: Vec::new(),
            noted: BTreeMap::new(),
            kept_bytes: 0,
            kept_bytes_max,
            granted_bytes: GRANTED_BYTES,
            is_lost: kept_bytes_max == 0,
        })
    }

    /// Whether something was changed that cannot be undone.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Lets the script cause copies of so many bytes more.
    pub(crate) fn grant(&mut self, bytes: usize) {
        self.granted_bytes = self.granted_bytes.saturating_add(bytes).min(self.kept_bytes_max);
    }

    /// Whether changes are still noted, and the key is not in the log yet.
    fn wants(&self, index: usize, hash: u64, key: &[u8]) -> bool {
        let known = self.noted.get(&(index, hash)).map(|&at| &self.changes[at]);
        !self.is_lost && !matches!(known, Some(Change::Key { key: known, .. }) if **known == *key)
    }

    fn push_key(&mut self, index: usize, hash: u64, key: Box<[u8]>, before: Option<(Taken, u32)>) {
        let value_bytes = before.as_ref().map_or(0, |(taken, _)| taken.memory_bytes());
        self.kept_bytes += CHANGE_BYTES + key.len() + value_bytes;
        self.noted.insert((index, hash), self.changes.len());
        self.changes.push(Change::Key { index, key, before });
    }
}

impl Keyspace {
    /// Begins to note changes.
    pub(crate) fn begin_undo(&mut self, undo: Box<Undo>) {
        debug_assert!(self.undo.is_none(), "one script runs at a time");
        self.undo = Some(undo);
    }

    /// The log of changes, if they are noted.
    pub(crate) fn undo(&mut self) -> Option<&mut Undo> {
        self.undo.as_deref_mut()
    }

    /// Ends noting changes: they stand.
    pub(crate) fn end_undo(&mut self) {
        let Some(mut undo) = self.undo.take() else { return };
        self.forget_changes(&mut undo);
    }

    /// Undoes up to `max` changes, the last one first; with the first one the log ends. Nothing
    /// must be changed before that. Tells what has its old value again, and whether the log has
    /// ended. One that has lost something undoes nothing.
    pub(crate) fn roll_back_some(&mut self, max: usize) -> (Vec<Undone>, bool) {
        let Some(mut undo) = self.undo.take() else { return (Vec::new(), true) };
        let mut undone = Vec::with_capacity(undo.changes.len().min(max));
        for _ in 0..max {
            let Some(change) = undo.changes.pop() else { return (undone, true) };
            match change {
                Change::Key { index, key, before } => {
                    self.restore(index, &key, before);
                    undone.push(Undone::Key(index, key));
                }
                Change::Flushed { index, before } => {
                    let now = core::mem::replace(&mut self.databases[index], *before);
                    self.sum_up();
                    self.throw_away_db(now);
                    undone.push(Undone::Database(index));
                }
                Change::Swapped(a, b) => {
                    self.exchange(a, b);
                    undone.extend([Undone::Database(a), Undone::Database(b)]);
                }
            }
        }
        self.undo = Some(undo);
        (undone, false)
    }

    fn restore(&mut self, index: usize, key: &[u8], before: Option<(Taken, u32)>) {
        match before {
            Some((taken, access)) => self.put(index, key, taken, access),
            None => {
                if let Some(found) = self.databases[index].find(key) {
                    self.remove(index, found);
                }
            }
        }
    }

    /// Notes a key that is to be added.
    #[cold]
    pub(super) fn note_new(&mut self, index: usize, key: &[u8]) {
        let hash = self.databases[index].hash(key);
        let Some(undo) = self.undo.as_deref_mut() else { return };
        if undo.wants(index, hash, key) {
            undo.push_key(index, hash, key.into(), None);
            self.check_undo();
        }
    }

    /// Notes an entry that is to be changed in place: its value is copied.
    #[cold]
    pub(super) fn note_change(&mut self, index: usize, found: Found) {
        self.capture_before(index, found, false);
        let db = &self.databases[index];
        let (key, hash) = (db.key(found), found.hash());
        let Some(undo) = self.undo.as_deref_mut() else { return };
        if !undo.wants(index, hash, key) {
            return;
        }
        let bytes = db.value_bytes(found);
        if bytes > undo.granted_bytes {
            undo.is_lost = true;
        } else {
            undo.granted_bytes -= bytes;
            undo.push_key(index, hash, key.into(), Some((db.copy(found), db.access(found))));
        }
        self.check_undo();
    }

    /// Takes an entry out that is to be deleted or replaced, and keeps it if the log wants it.
    #[cold]
    pub(super) fn remove_noted(&mut self, index: usize, found: Found) {
        self.capture_before(index, found, self.undo.is_none());
        self.db_mut(index);
        let db = &mut self.databases[index];
        let (key, hash, access): (Box<[u8]>, _, _) =
            (db.key(found).into(), found.hash(), db.access(found));
        match self.undo.as_deref_mut() {
            Some(undo) if undo.wants(index, hash, &key) => {
                let taken = db.take(found);
                undo.push_key(index, hash, key, Some((taken, access)));
                self.discard(index, None);
                self.check_undo();
            }
            _ => self.remove_for_good(index, found),
        }
    }

    /// Replaces an entry, which is kept if the log wants it.
    #[cold]
    pub(super) fn replace_noted(
        &mut self,
        index: usize,
        found: Found,
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) -> Found {
        self.capture_before(index, found, self.undo.is_none());
        if self.undo.is_none() {
            return self.overwrite(index, found, value, deadline, access);
        }
        let key = self.databases[index].key(found).to_vec();
        self.remove_noted(index, found);
        self.add(index, &key, value, deadline, access);
        self.databases[index].find(&key).expect("it was just added")
    }

    /// Sets a key; what it held is kept if the log wants it.
    #[cold]
    pub(super) fn store_noted(
        &mut self,
        index: usize,
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) {
        match self.databases[index].find(key) {
            Some(found) => {
                self.replace_noted(index, found, value, deadline, access);
            }
            None => self.add(index, key, value, deadline, access),
        }
    }

    /// Empties a database whose keys are kept.
    pub(super) fn flush_noted(&mut self, index: usize) -> usize {
        let empty = self.empty_db();
        let before = core::mem::replace(self.db_mut(index), empty);
        let len = before.len();
        match self.undo.as_deref_mut() {
            Some(undo) if !undo.is_lost => {
                undo.kept_bytes += before.memory_bytes();
                undo.changes.push(Change::Flushed { index, before: Box::new(before) });
                undo.noted.clear();
                self.check_undo();
            }
            _ => self.throw_away_db(before),
        }
        len
    }

    /// Notes that two databases are exchanged.
    pub(super) fn note_swap(&mut self, a: usize, b: usize) {
        if let Some(undo) = self.undo.as_deref_mut()
            && !undo.is_lost
        {
            undo.changes.push(Change::Swapped(a, b));
            undo.noted.clear();
        }
    }

    /// Gives the log up where it has become too long or has lost something.
    fn check_undo(&mut self) {
        if let Some(undo) = &self.undo
            && (undo.is_lost || undo.kept_bytes > undo.kept_bytes_max)
        {
            self.give_undo_up();
        }
    }

    /// What the log has is freed, and the changes stand.
    pub(super) fn give_undo_up(&mut self) {
        let Some(mut undo) = self.undo.take() else { return };
        undo.is_lost = true;
        self.forget_changes(&mut undo);
        self.undo = Some(undo);
    }

    /// Frees what the log keeps: much of it in later steps.
    fn forget_changes(&mut self, undo: &mut Undo) {
        undo.noted = BTreeMap::new();
        let changes = core::mem::take(&mut undo.changes);
        if changes.len() > FREED_AT_ONCE_MAX {
            self.trash.push_changes(changes);
        } else {
            changes.into_iter().for_each(|change| change.free(&mut self.trash));
        }
    }
}

impl Change {
    /// Frees what it keeps; what is big of that, in later steps.
    pub(super) fn free(self, trash: &mut Trash) {
        match self {
            Self::Key { before: Some((taken, _)), .. } => {
                if let Some(object) = taken.into_big_object() {
                    trash.push_object(object);
                }
            }
            Self::Flushed { before, .. } => trash.push_db(*before),
            Self::Key { .. } | Self::Swapped(..) => {}
        }
    }
}
