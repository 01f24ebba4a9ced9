//! The keyspace: numbered databases whose keys expire.
//!
//! Invariant: nobody above this module ever sees an entry whose deadline has passed. A key lives
//! through the millisecond of its deadline and dies with the next, as in Redis.

mod arena;
mod capture;
mod chunk;
mod collections;
mod db;
mod entry;
mod fields;
mod hashes;
mod lend;
mod lock_keys;
mod object;
mod planted;
mod protected;
mod sample;
mod segment;
mod table;
mod trash;
mod undo;
mod wheel;

pub use capture::{Gave, Given};
pub use collections::{Kept, Object, Value};
pub use db::{Db, Found, NewValue, Taken};
pub use sample::Candidate;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::Error;
use crate::rng::Rng;
use crate::time::UnixMillis;
use capture::Capture;
use db::DbTurn;
use lock_keys::LockKeys;
use planted::Planted;
use protected::Patterns;
use trash::Trash;
pub(crate) use undo::{Undo, Undone};

/// How often RANDOMKEY tries its luck before it walks.
const RANDOM_TRIES_MAX: usize = 128;

/// A database up to this size is freed in the step that empties it.
const SMALL_DB_BYTES: usize = 256 << 10;

/// All databases of one server.
pub struct Keyspace {
    databases: Vec<Db>,
    /// The database that was last handed out to be changed.
    current: usize,
    /// Bytes of all databases but the current one, so that the sum is known at once.
    others_bytes: usize,
    /// Which keys survive a flush; empty: none.
    protected: Arc<Patterns>,
    trash: Trash,
    hash_keys: Rng,
    /// Key time of the present step.
    now: UnixMillis,
    stats: ExpireStats,
    /// Keys that were found to have expired, which nobody has been told of yet.
    lapsed: VecDeque<(usize, Box<[u8]>)>,
    /// A bug that a test has planted.
    planted: Option<Box<Planted>>,
    /// The changes of the script that runs.
    undo: Option<Box<Undo>>,
    /// The walk over a moment's keys that goes on.
    capture: Option<Box<Capture>>,
    /// Keys whose deadlines are noted.
    locks: Option<Box<LockKeys>>,
}

/// What expiry has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireStats {
    /// Keys that were deleted because their time had come.
    pub expired_keys: u64,
    /// Fields of hashes that were taken out because their time had come.
    pub expired_fields: u64,
    /// How late the last deletion by the wheel was, in milliseconds.
    pub lag_ms: u64,
    /// The largest `lag_ms` so far.
    pub lag_ms_max: u64,
}

impl Keyspace {
    /// `count` empty databases; hash functions are keyed from `rng`.
    pub fn new(count: usize, mut rng: Rng) -> Self {
        let databases = (0..count).map(|_| Db::new(hash_key(&mut rng))).collect();
        let mut keyspace = Self {
            databases,
            current: 0,
            others_bytes: 0,
            protected: Arc::default(),
            trash: Trash::default(),
            hash_keys: rng,
            now: UnixMillis(0),
            stats: ExpireStats::default(),
            lapsed: VecDeque::new(),
            planted: None,
            undo: None,
            capture: None,
            locks: None,
        };
        keyspace.sum_up();
        keyspace
    }

    /// Sets key time for the step that begins.
    pub fn set_now(&mut self, now: UnixMillis) {
        self.now = now;
    }

    /// Key time of the present step.
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// How many databases there are.
    pub fn count(&self) -> usize {
        self.databases.len()
    }

    /// A database, to read figures or found entries.
    ///
    /// # Panics
    /// If there is no such database.
    pub fn db(&self, index: usize) -> &Db {
        &self.databases[index]
    }

    /// A database, to change found entries.
    ///
    /// # Panics
    /// If there is no such database.
    #[inline]
    pub fn db_mut(&mut self, index: usize) -> &mut Db {
        if index != self.current {
            self.make_current(index);
        }
        &mut self.databases[index]
    }

    /// The sum of the others' bytes leaves out another database.
    #[cold]
    fn make_current(&mut self, index: usize) {
        self.others_bytes += self.databases[self.current].memory_bytes();
        self.others_bytes -= self.databases[index].memory_bytes();
        self.current = index;
    }

    /// Sums the others' bytes up afresh.
    fn sum_up(&mut self) {
        let others = self.databases.iter().enumerate().filter(|&(index, _)| index != self.current);
        self.others_bytes = others.map(|(_, db)| db.memory_bytes()).sum();
    }

    /// Finds a living entry. One whose deadline has passed is deleted on the way.
    #[inline]
    pub fn find(&mut self, index: usize, key: &[u8]) -> Option<Found> {
        let hash = self.databases[index].hash(key);
        self.find_hashed(index, key, hash)
    }

    /// Finds a living entry, like [`Self::find`], by a key and what [`Self::hash`] gave for it.
    #[inline]
    pub(crate) fn find_hashed(&mut self, index: usize, key: &[u8], hash: u64) -> Option<Found> {
        let found = self.databases[index].find_hashed(key, hash)?;
        match self.databases[index].deadline(found) {
            Some(deadline) if deadline < self.now => {
                self.lapse(index, found);
                None
            }
            _ => Some(found),
        }
    }

    /// Deletes an entry whose deadline has passed and notes its key.
    #[cold]
    fn lapse(&mut self, index: usize, found: Found) {
        self.capture_before(index, found, true);
        self.lapsed.push_back((index, self.databases[index].key(found).into()));
        self.remove_for_good(index, found);
        self.stats.expired_keys += 1;
    }

    /// A key that was found to have expired and was deleted, in the order in which that happened;
    /// each once.
    #[inline]
    pub fn take_lapsed(&mut self) -> Option<(usize, Box<[u8]>)> {
        self.lapsed.pop_front()
    }

    /// Whether an entry's deadline has passed; for walks that must not delete.
    pub fn is_expired(&self, index: usize, found: Found) -> bool {
        self.databases[index].deadline(found).is_some_and(|deadline| deadline < self.now)
    }

    /// Sets a key: adds it or replaces what it held.
    pub fn set(
        &mut self,
        index: usize,
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) {
        if self.planted.is_some() {
            return self.planted_set(index, key, value, deadline, access);
        }
        self.store(index, key, value, deadline, access);
    }

    fn store(
        &mut self,
        index: usize,
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) {
        self.note_lock(key, deadline);
        if self.is_noting() {
            return self.store_noted(index, key, value, deadline, access);
        }
        let now = self.now;
        let db = self.db_mut(index);
        db.sync_wheel(now);
        match db.find(key) {
            None => db.insert(key, value, deadline, access),
            Some(found) => {
                self.overwrite(index, found, value, deadline, access);
            }
        }
    }

    /// Adds a key that was just searched and not found.
    pub fn add(
        &mut self,
        index: usize,
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) {
        let hash = self.databases[index].hash(key);
        self.add_hashed(index, (key, hash), value, deadline, access);
    }

    /// Adds a key that was just searched and not found, with its hash.
    #[inline]
    pub(crate) fn add_hashed(
        &mut self,
        index: usize,
        (key, hash): (&[u8], u64),
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) {
        self.note_lock(key, deadline);
        if self.is_noting() {
            self.note_new(index, key);
        }
        let now = self.now;
        let db = self.db_mut(index);
        debug_assert!(db.find(key).is_none(), "the key was searched and not found");
        db.sync_wheel(now);
        db.insert_hashed(hash, key, value, deadline, access);
        if self.capture.is_some() {
            self.capture_added(index, key);
        }
    }

    /// The hash of a key in a database, as long as nothing empties that.
    #[inline]
    pub(crate) fn hash(&self, index: usize, key: &[u8]) -> u64 {
        self.databases[index].hash(key)
    }

    /// Reads what a search for a hash begins with: a loop of this waits for memory once for many
    /// keys.
    #[inline]
    pub(crate) fn touch(&self, index: usize, hash: u64) -> u8 {
        self.databases[index].table.touch(hash)
    }

    /// Somebody says how many keys will be added to a database; 0: nobody knows.
    pub(crate) fn expect(&mut self, index: usize, keys: usize) {
        let table = &mut self.databases[index].table;
        table.expect(if keys == 0 { 0 } else { table.len().saturating_add(keys) });
    }

    /// Gives a found entry another value and deadline.
    pub fn replace(
        &mut self,
        index: usize,
        found: Found,
        value: NewValue<'_>,
        mut deadline: Option<UnixMillis>,
        access: u32,
    ) -> Found {
        if self.planted.is_some() {
            deadline = self.planted_deadline(deadline);
            self.planted_overwrite(index, found);
        }
        self.note_found_lock(index, found, deadline);
        if self.is_noting() {
            return self.replace_noted(index, found, value, deadline, access);
        }
        self.overwrite(index, found, value, deadline, access)
    }

    fn overwrite(
        &mut self,
        index: usize,
        found: Found,
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) -> Found {
        let now = self.now;
        let db = self.db_mut(index);
        db.sync_wheel(now);
        let (found, old) = db.replace(found, value, deadline, access);
        self.discard(index, old);
        found
    }

    /// Hands out the collection at a found entry, to be changed and given back by
    /// [`Self::put_back`] before anything else is done with the database. Another type is an error.
    #[inline]
    pub fn hand_out<T: Kept>(&mut self, index: usize, found: Found) -> Result<T, Error> {
        if self.is_noting() {
            self.note_change(index, found);
        }
        let collection = self.db_mut(index).hand_out(found)?;
        if self.planted.is_some() {
            self.planted_hand_out(&collection);
        }
        Ok(collection)
    }

    /// Takes back a collection that was handed out; the entry goes when it is empty. Nothing else
    /// may be done with the database in between.
    #[inline]
    pub fn put_back<T: Kept>(
        &mut self,
        index: usize,
        found: Found,
        mut collection: T,
        access: u32,
    ) {
        if self.planted.is_some() {
            collection = self.planted_put_back(collection);
        }
        let now = self.now;
        let db = self.db_mut(index);
        if !collection.is_empty() {
            db.sync_wheel(now);
            let found = db.put_back(found, collection, access);
            debug_assert!(db.find(db.key(found)) == Some(found), "an entry is where it says");
            if let Some(chunk) = db.arena.take_retired() {
                self.trash.push_chunk(chunk);
            }
            return;
        }
        // What it held was noted when it was handed out.
        self.remove_for_good(index, found);
        self.discard(index, Some(collection.into_object()));
    }

    /// An empty collection for a new key.
    pub fn empty<T: Kept>(&mut self, index: usize) -> T {
        self.db_mut(index).empty()
    }

    /// Frees what was taken out of a collection; what takes long in later steps.
    pub fn throw_away<T: Kept>(&mut self, collection: T) {
        let object = collection.into_object();
        if object.is_big() {
            self.trash.push_object(object);
        }
    }

    /// Changes only when a found entry expires.
    pub fn set_deadline(
        &mut self,
        index: usize,
        found: Found,
        mut deadline: Option<UnixMillis>,
    ) -> Found {
        if self.planted.is_some() {
            deadline = self.planted_deadline(deadline);
        }
        self.note_found_lock(index, found, deadline);
        if self.is_noting() {
            self.note_change(index, found);
        }
        let now = self.now;
        let db = self.db_mut(index);
        db.sync_wheel(now);
        db.set_deadline(found, deadline)
    }

    /// The long string at a found entry, to be changed in place; `None`: it is something else.
    /// [`Self::string_changed`] must follow.
    pub fn string_mut(&mut self, index: usize, found: Found) -> Option<&mut Vec<u8>> {
        if self.is_noting() {
            self.note_change(index, found);
        }
        match self.db_mut(index).object_mut(found) {
            Some(Object::Raw(string)) => Some(string),
            _ => None,
        }
    }

    /// A long string was changed in place; it had the capacity `before`.
    pub fn string_changed(&mut self, index: usize, found: Found, before: usize, access: u32) {
        let db = self.db_mut(index);
        db.object_changed(found, before);
        db.set_access(found, access);
    }

    /// Deletes a found entry; a big value is freed in later steps.
    pub fn remove(&mut self, index: usize, found: Found) {
        if self.is_noting() {
            return self.remove_noted(index, found);
        }
        self.remove_for_good(index, found);
    }

    fn remove_for_good(&mut self, index: usize, found: Found) {
        let object = self.db_mut(index).remove(found);
        self.discard(index, object);
    }

    /// Takes a found entry out with its value and deadline, for [`Self::put`].
    pub fn take(&mut self, index: usize, found: Found) -> Taken {
        if self.is_noting() {
            self.note_change(index, found);
        }
        self.db_mut(index).take(found)
    }

    /// A copy of a found entry's value and deadline, for [`Self::put`].
    pub fn copy(&self, index: usize, found: Found) -> Taken {
        self.databases[index].copy(found)
    }

    /// Sets a key to a value that was taken or copied, with its deadline, whatever the key held.
    pub fn put(&mut self, index: usize, key: &[u8], mut taken: Taken, access: u32) {
        let deadline = taken.deadline;
        self.set(index, key, taken.value.as_new(), deadline, access);
    }

    /// Any living key of a database; expired ones that are met are deleted, a bounded number of
    /// them. `None` if there is none.
    pub fn random_key(&mut self, index: usize, rng: &mut Rng) -> Option<Found> {
        for _ in 0..RANDOM_TRIES_MAX {
            if self.databases[index].is_empty() {
                return None;
            }
            let Some(found) = self.databases[index].sample(rng.next_u64(), rng.next_u64()) else {
                continue;
            };
            if !self.is_expired(index, found) {
                return Some(found);
            }
            self.lapse(index, found);
        }
        // Few keys in a table that was made for many: walk to the next one.
        let start = rng.next_u64() >> 16;
        let (mut cursor, mut wrapped, mut living) = (start, false, None);
        loop {
            cursor = self.databases[index].scan(cursor, |_, found| {
                if !self.is_expired(index, found) {
                    living = Some(found);
                }
            });
            wrapped |= cursor == 0;
            if living.is_some() || wrapped && cursor >= start {
                return living;
            }
        }
    }

    /// Empties a database; its memory is given back in later steps. Returns how many entries it
    /// lost: if it `keeps_protected` ones, those stay.
    pub fn flush(&mut self, index: usize, keeps_protected: bool) -> usize {
        let kept = if keeps_protected { self.take_protected(index) } else { Vec::new() };
        let len = self.flush_all(index);
        for (key, taken) in kept {
            let access = taken.access;
            self.put(index, &key, taken, access);
        }
        len
    }

    fn flush_all(&mut self, index: usize) -> usize {
        if self.undo.is_some() {
            if self.capture.is_none() {
                return self.flush_noted(index);
            }
            // The walk needs the database, too, and cannot go back.
            self.give_undo_up();
        }
        let empty = self.empty_db();
        let db = core::mem::replace(self.db_mut(index), empty);
        let len = db.len();
        self.capture_flushed(index, db);
        len
    }

    /// Whether somebody must know of changes before they are made.
    #[inline]
    fn is_noting(&self) -> bool {
        self.undo.is_some() || self.capture.is_some()
    }

    /// Frees a database. A small one is freed at once, or a client that fills and empties in turn
    /// would bring more of them than steps free.
    fn throw_away_db(&mut self, db: Db) {
        if db.memory_bytes() > SMALL_DB_BYTES {
            self.trash.push_db(db);
        }
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.note_swap(a, b);
        self.exchange(a, b);
    }

    fn exchange(&mut self, a: usize, b: usize) {
        self.databases.swap(a, b);
        self.capture_swapped(a, b);
        self.sum_up();
    }

    /// Deletes up to `budget` entries and fields whose deadline has passed, in order of their
    /// deadlines, or does other pieces of the wheels' work. `expired` is told of each database and
    /// key and of what happened, in the words of keyspace events, and of which fields if it
    /// `wants_names` of them.
    pub fn expire_some(
        &mut self,
        budget: usize,
        wants_names: bool,
        mut expired: impl FnMut(usize, &[u8], &'static str, &[Vec<u8>]),
    ) {
        let past = UnixMillis(self.now.0.saturating_sub(1));
        let mut left = budget;
        for index in 0..self.databases.len() {
            while left > 0 {
                match self.databases[index].turn_wheel(past) {
                    DbTurn::Idle => break,
                    DbTurn::Moved => {}
                    DbTurn::Due(found) => {
                        let db = &self.databases[index];
                        expired(index, db.key(found), "expired", &[]);
                        let deadline = db.deadline(found).unwrap_or(past);
                        self.stats.lag_ms = past.0.saturating_sub(deadline.0);
                        self.stats.lag_ms_max = self.stats.lag_ms_max.max(self.stats.lag_ms);
                        self.stats.expired_keys += 1;
                        self.remove(index, found);
                    }
                }
                left -= 1;
            }
            self.expire_fields(index, &mut left, wants_names, &mut expired);
        }
    }

    /// The earliest key time at which `expire_some` has work; it may be in the past.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let first = self.databases.iter().filter_map(Db::next_deadline).min()?;
        Some(UnixMillis(first.0.saturating_add(1)))
    }

    /// Whether deleted things wait to be freed.
    pub fn has_trash(&self) -> bool {
        !self.trash.is_empty()
    }

    /// Frees a bounded amount of what was deleted.
    pub fn free_some(&mut self) {
        self.trash.free_some();
    }

    /// Objects that wait to be freed, and objects freed so far.
    pub fn lazy_free(&self) -> (usize, u64) {
        (self.trash.pending(), self.trash.freed)
    }

    /// What expiry has done.
    pub fn expire_stats(&self) -> ExpireStats {
        self.stats
    }

    /// Forgets what expiry has done (CONFIG RESETSTAT).
    pub fn reset_stats(&mut self) {
        self.stats = ExpireStats::default();
    }

    /// Bytes of all databases.
    #[inline]
    pub fn memory_bytes(&self) -> usize {
        self.others_bytes + self.databases[self.current].memory_bytes()
    }

    /// Bytes of pages and tables of all databases that nothing is in.
    pub fn unused_bytes(&self) -> usize {
        self.databases.iter().map(Db::unused_bytes).sum()
    }

    /// Checks every database.
    pub fn check_invariants(&self) {
        self.databases.iter().for_each(Db::check_invariants);
        let sum: usize = self.databases.iter().map(Db::memory_bytes).sum();
        assert_eq!(self.memory_bytes(), sum, "the sum of all databases is known");
    }

    /// Keeps what a removal left over for later steps, if it is big.
    fn discard(&mut self, index: usize, object: Option<Object>) {
        if let Some(chunk) = self.databases[index].arena.take_retired() {
            self.trash.push_chunk(chunk);
        }
        if let Some(object) = object
            && object.is_big()
        {
            self.trash.push_object(object);
        }
    }
}

fn hash_key(rng: &mut Rng) -> (u64, u64) {
    (rng.next_u64(), rng.next_u64())
}
