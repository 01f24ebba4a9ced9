//! One numbered database: entries in an arena, an index over them, deadlines in a wheel.
//!
//! This is the raw structure: it knows nothing of time passing. Whether an entry has expired is the
//! caller's question ([`super::Keyspace`] asks it).
//!
//! Invariant: index, arena, wheel and objects speak of the same entries.

use super::arena::{Arena, Handle};
use super::collections::{Kept, Object, Value};
use super::entry::{self, Parts, Stored};
use super::fields::Fields;
use super::hashes::{Entries, HashKey, hash, hash_entry};
use super::object::Objects;
use super::protected::Protected;
use super::table::{Position, Table};
use super::wheel::{Turn, Wheel};
use crate::error::Error;
use crate::time::UnixMillis;
use crate::value::number::parse_integer;

/// Entries up to this size are rewritten without an allocation.
const SHORT_ENTRY_BYTES_MAX: usize = 256;

/// A larger scratch buffer is not kept.
const SCRATCH_BYTES_MAX: usize = 4096;

/// One entry that was found; valid until the database is next changed through anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub(super) handle: Handle,
    position: Position,
    hash: u64,
}

impl Found {
    /// The cursor of a scan that comes to the entry next.
    pub(crate) fn cursor(self) -> u64 {
        Table::cursor_of(self.hash)
    }

    /// The hash of its key.
    pub(super) fn hash(self) -> u64 {
        self.hash
    }
}

/// A value that was taken out of its entry, on its way into another.
#[derive(Debug)]
pub struct Taken {
    pub(super) value: TakenValue,
    pub(super) deadline: Option<UnixMillis>,
    /// The 24 bits of access that the entry had.
    pub access: u32,
}

/// The value of a [`Taken`].
#[derive(Debug)]
pub(super) enum TakenValue {
    /// A short string and whether its encoding is `raw`.
    Inline(Vec<u8>, bool),
    /// A string that is an integer.
    Integer(i64),
    /// A packed collection: the number of its type and its bytes.
    Packed(u8, Vec<u8>),
    /// An object.
    Object(Object),
}

impl Taken {
    /// Heap bytes that it owns.
    pub(super) fn memory_bytes(&self) -> usize {
        match &self.value {
            TakenValue::Inline(bytes, _) | TakenValue::Packed(_, bytes) => bytes.capacity(),
            TakenValue::Integer(_) => 0,
            TakenValue::Object(object) => object.memory_bytes(),
        }
    }

    /// Its value, if freeing that takes long.
    pub(super) fn into_big_object(self) -> Option<Object> {
        match self.value {
            TakenValue::Object(object) if object.is_big() => Some(object),
            _ => None,
        }
    }
}

impl TakenValue {
    /// The value, to be read.
    pub(super) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Inline(bytes, _) => Value::Bytes(bytes),
            Self::Integer(value) => Value::Integer(*value),
            Self::Packed(kind, bytes) => Value::of_packed(*kind, bytes),
            Self::Object(object) => object.value(),
        }
    }

    pub(super) fn as_new(&mut self) -> NewValue<'_> {
        match self {
            Self::Inline(bytes, false) => NewValue::Text(bytes),
            Self::Inline(bytes, true) => NewValue::Modified(bytes),
            Self::Integer(value) => NewValue::Integer(*value),
            Self::Packed(kind, bytes) => NewValue::Packed(*kind, bytes),
            // What is left behind is dropped with `self`.
            Self::Object(object) => {
                NewValue::Object(core::mem::replace(object, Object::placeholder()))
            }
        }
    }
}

/// A value that is to be stored.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// A string; one that is an integer is stored as such.
    String(&'a [u8]),
    /// An integer.
    Integer(i64),
    /// A string that is stored as it is, even if it is an integer.
    Text(&'a [u8]),
    /// A string made by a modification of another: never stored as an integer, encoding `raw`.
    Modified(&'a [u8]),
    /// A packed collection that is short enough for an entry: the number of its type, its bytes.
    Packed(u8, &'a [u8]),
    /// An object that is already built.
    Object(Object),
}

/// A database.
pub struct Db {
    pub(super) table: Table,
    pub(super) arena: Arena,
    pub(super) objects: Objects,
    pub(super) wheel: Wheel,
    /// Deadlines of fields.
    pub(super) fields: Fields,
    hash_key: HashKey,
    /// Heap bytes of the objects.
    pub(super) object_bytes: usize,
    /// A buffer for packed collections while they are handed out.
    scratch: Vec<u8>,
    /// The keys that survive a flush, if there can be any.
    pub(super) protected: Option<Box<Protected>>,
}

impl Db {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self {
            table: Table::default(),
            arena: Arena::default(),
            objects: Objects::default(),
            wheel: Wheel::default(),
            fields: Fields::default(),
            hash_key,
            object_bytes: 0,
            scratch: Vec::new(),
            protected: None,
        }
    }

    /// How many entries there are, expired ones that nobody has met yet included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries have a TTL.
    pub fn len_with_ttl(&self) -> usize {
        self.wheel.len()
    }

    /// Finds the entry of a key, expired or not.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Found> {
        self.find_hashed(key, self.hash(key))
    }

    /// Finds the entry of a key with this hash.
    #[inline]
    pub(super) fn find_hashed(&self, key: &[u8], hash: u64) -> Option<Found> {
        let is_it = |handle| entry::key(self.arena.bytes(handle)) == key;
        let (position, handle) = self.table.find(hash, is_it)?;
        Some(Found { handle, position, hash })
    }

    /// Finds the entry of a key with this hash whose value `is_it`.
    pub(super) fn find_hash(&self, hash: u64, is_it: impl Fn(Value<'_>) -> bool) -> Option<Found> {
        let (position, handle) = self.table.find(hash, |handle| {
            hash_entry(&self.arena, self.hash_key, handle) == hash && is_it(self.value_at(handle))
        })?;
        Some(Found { handle, position, hash })
    }

    /// The entry's key.
    pub fn key(&self, found: Found) -> &[u8] {
        entry::key(self.arena.bytes(found.handle))
    }

    /// The entry's value.
    #[inline]
    pub fn value(&self, found: Found) -> Value<'_> {
        self.value_at(found.handle)
    }

    #[inline]
    fn value_at(&self, handle: Handle) -> Value<'_> {
        match entry::value(self.arena.bytes(handle)) {
            Stored::Inline(bytes) => Value::Bytes(bytes),
            Stored::Integer(value) => Value::Integer(value),
            Stored::Object(index) => self.objects.at(index).value(),
            Stored::Packed(kind, bytes) => Value::of_packed(kind, bytes),
        }
    }

    /// Hands out the collection of an entry, to be changed and given back by
    /// [`Self::put_back`] before anything else is done with the database. Another type is an error.
    #[inline]
    pub(super) fn hand_out<T: Kept>(&mut self, found: Found) -> Result<T, Error> {
        match entry::value(self.arena.bytes(found.handle)) {
            Stored::Packed(kind, bytes) if kind == T::KIND => {
                let mut buffer = core::mem::take(&mut self.scratch);
                buffer.clear();
                buffer.extend_from_slice(bytes);
                Ok(T::from_packed(buffer))
            }
            Stored::Object(index) if T::is_in(self.objects.at(index)) => {
                let place = self.objects.at_mut(index);
                let object = core::mem::replace(place, Object::placeholder());
                self.object_bytes -= object.memory_bytes();
                self.fields.change(found.hash, object.value().first_deadline(), None);
                Ok(T::from_object(object).expect("its type was looked at"))
            }
            _ => Err(Error::WrongType),
        }
    }

    /// Takes back a collection that was handed out. It is not empty.
    #[inline]
    pub(super) fn put_back<T: Kept>(&mut self, found: Found, collection: T, access: u32) -> Found {
        let slot = self.arena.bytes_mut(found.handle);
        entry::set_access(slot, access);
        let stored = entry::value(slot);
        let Some(bytes) = collection.packed() else {
            return self.put_back_object(found, collection.into_object());
        };
        if let Stored::Packed(_, old) = stored {
            let old_len = entry::len(slot);
            let len = old_len - old.len() + bytes.len();
            let fits = Arena::slot_bytes(old_len) == Arena::slot_bytes(len)
                && bytes.len() < entry::INLINE_BYTES_MAX;
            if fits {
                let before = T::first_deadline(T::read_packed(old));
                let after = T::first_deadline(collection.reader());
                self.fields.change(found.hash, before, after);
                entry::set_packed(slot, bytes);
                self.reclaim(collection.into_object());
                return found;
            }
        }
        self.put_back_object(found, collection.into_object())
    }

    /// Like `put_back` where the entry may change its form.
    fn put_back_object(&mut self, found: Found, object: Object) -> Found {
        let slot = self.arena.bytes(found.handle);
        let (key_len, deadline) = (entry::key(slot).len(), self.deadline(found));
        let is_inline =
            |bytes: &[u8]| entry::fits_inline(key_len, bytes.len() + 1, deadline.is_some());
        let goes_inline = object.packed().is_some_and(|(_, bytes)| is_inline(bytes));
        if let Stored::Object(index) = entry::value(slot) {
            if !goes_inline {
                self.object_bytes += object.memory_bytes();
                self.fields.change(found.hash, None, object.value().first_deadline());
                *self.objects.at_mut(index) = object;
                return found;
            }
            // It was handed out: what `replace` takes off the account is not on it.
            self.object_bytes += self.objects.at(index).memory_bytes();
        }
        let access = entry::access(slot);
        self.replace(found, NewValue::Object(object), deadline, access).0
    }

    /// An empty collection in the scratch buffer.
    pub(super) fn empty<T: Kept>(&mut self) -> T {
        let mut buffer = core::mem::take(&mut self.scratch);
        buffer.clear();
        T::from_packed(buffer)
    }

    /// Keeps the buffer of a packed collection that was stored inline.
    pub(super) fn reclaim(&mut self, object: Object) {
        if let Some(buffer) = object.into_packed()
            && buffer.capacity() <= SCRATCH_BYTES_MAX
        {
            self.scratch = buffer;
        }
    }

    /// The object that the entry's value is, if it is one, to change it in place. Changes of its
    /// size are accounted by [`Self::object_changed`].
    pub(super) fn object_mut(&mut self, found: Found) -> Option<&mut Object> {
        match entry::value(self.arena.bytes(found.handle)) {
            Stored::Object(index) => Some(self.objects.at_mut(index)),
            Stored::Inline(_) | Stored::Integer(_) | Stored::Packed(..) => None,
        }
    }

    /// Accounts for an object whose size was changed in place from `before` bytes.
    pub(super) fn object_changed(&mut self, found: Found, before: usize) {
        if let Stored::Object(index) = entry::value(self.arena.bytes(found.handle)) {
            let after = self.objects.at(index).memory_bytes();
            self.object_bytes = self.object_bytes + after - before;
        }
    }

    /// When the entry expires.
    #[inline]
    pub fn deadline(&self, found: Found) -> Option<UnixMillis> {
        entry::deadline_ms(self.arena.bytes(found.handle)).map(UnixMillis)
    }

    /// Whether the string was made by a modification, so that its encoding is `raw`.
    pub fn is_raw(&self, found: Found) -> bool {
        entry::is_raw(self.arena.bytes(found.handle))
    }

    /// The 24 bits of last access.
    pub fn access(&self, found: Found) -> u32 {
        entry::access(self.arena.bytes(found.handle))
    }

    /// Sets the 24 bits of last access.
    #[inline]
    pub fn set_access(&mut self, found: Found, access: u32) {
        entry::set_access(self.arena.bytes_mut(found.handle), access);
    }

    /// Bytes that the entry takes, its object and its share of the index included.
    pub fn entry_bytes(&self, found: Found) -> usize {
        let slot = self.arena.bytes(found.handle);
        let object = match entry::value(slot) {
            Stored::Object(index) => {
                size_of::<Option<Object>>() + self.objects.at(index).memory_bytes()
            }
            Stored::Inline(_) | Stored::Integer(_) | Stored::Packed(..) => 0,
        };
        // Six bytes and a bit of index, at the fill of 85 % or below.
        Arena::slot_bytes(entry::len(slot)) + object + 8
    }

    /// Adds an entry for a key that has none.
    pub(super) fn insert(
        &mut self,
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) {
        self.insert_hashed(self.hash(key), key, value, deadline, access);
    }

    /// Adds an entry for a key with this hash that has none.
    #[inline]
    pub(super) fn insert_hashed(
        &mut self,
        hash: u64,
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) {
        if let Some(protected) = &mut self.protected {
            protected.note_added(key);
        }
        let handle = self.write_entry(key, value, deadline, access);
        self.table.insert(hash, handle, Entries { arena: &self.arena, hash_key: self.hash_key });
    }

    /// Gives an entry another value and deadline; returns the object it had, for the trash.
    pub(super) fn replace(
        &mut self,
        found: Found,
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) -> (Found, Option<Object>) {
        // A TTL that comes or goes changes the size of the entry; one that only changes does not.
        let has_ttl = self.deadline(found).is_some();
        if deadline.is_some() == has_ttl && self.overwrite(found, &value) {
            self.set_access(found, access);
            return (self.set_deadline(found, deadline), None);
        }
        let old = self.detach(found);
        // The key is read out of the old entry while the new one is written: it must be copied, and
        // a short one fits the stack.
        let slot = self.arena.bytes(found.handle);
        let key = entry::key(slot);
        let mut short = [0; 128];
        let handle = if let Some(buffer) = short.get_mut(..key.len()) {
            buffer.copy_from_slice(key);
            self.write_entry(buffer, value, deadline, access)
        } else {
            let key = key.to_vec();
            self.write_entry(&key, value, deadline, access)
        };
        self.arena.free(found.handle);
        self.table.replace(found.position, handle);
        (Found { handle, ..found }, old)
    }

    /// Changes only the deadline.
    pub(super) fn set_deadline(&mut self, found: Found, deadline: Option<UnixMillis>) -> Found {
        let slot = self.arena.bytes(found.handle);
        let present = entry::deadline_ms(slot).map(UnixMillis);
        if present == deadline {
            return found;
        }
        if present.is_some() {
            self.wheel.remove(&mut self.arena, found.handle);
        }
        if let Some(deadline) = deadline
            && entry::set_deadline(self.arena.bytes_mut(found.handle), deadline.0)
        {
            self.wheel.add(&mut self.arena, found.handle);
            return found;
        }
        self.resize(found, deadline)
    }

    /// Takes an entry out; returns its object, for the trash.
    pub(super) fn remove(&mut self, found: Found) -> Option<Object> {
        if let Some(protected) = &mut self.protected {
            protected.note_removed(entry::key(self.arena.bytes(found.handle)));
        }
        let object = self.detach(found);
        let (arena, hash_key) = (&self.arena, self.hash_key);
        let hash_of = |other| hash_entry(arena, hash_key, other);
        self.table.remove(found.hash, found.position, hash_of);
        self.arena.free(found.handle);
        object
    }

    /// Takes an entry out with its value, in order to put that under another key.
    pub(super) fn take(&mut self, found: Found) -> Taken {
        let slot = self.arena.bytes(found.handle);
        let deadline = entry::deadline_ms(slot).map(UnixMillis);
        let access = entry::access(slot);
        let small = match entry::value(slot) {
            Stored::Inline(bytes) => Some(TakenValue::Inline(bytes.to_vec(), entry::is_raw(slot))),
            Stored::Integer(value) => Some(TakenValue::Integer(value)),
            Stored::Packed(kind, bytes) => Some(TakenValue::Packed(kind, bytes.to_vec())),
            Stored::Object(_) => None,
        };
        let object = self.remove(found).map(TakenValue::Object);
        Taken { value: small.or(object).expect("an entry has a value"), deadline, access }
    }

    /// Bytes of the value of an entry.
    pub(super) fn value_bytes(&self, found: Found) -> usize {
        match entry::value(self.arena.bytes(found.handle)) {
            Stored::Inline(bytes) | Stored::Packed(_, bytes) => bytes.len(),
            Stored::Integer(_) => 0,
            Stored::Object(index) => self.objects.at(index).memory_bytes(),
        }
    }

    /// A copy of an entry's value and deadline.
    pub(super) fn copy(&self, found: Found) -> Taken {
        let slot = self.arena.bytes(found.handle);
        let value = match entry::value(slot) {
            Stored::Inline(bytes) => TakenValue::Inline(bytes.to_vec(), entry::is_raw(slot)),
            Stored::Integer(value) => TakenValue::Integer(value),
            Stored::Packed(kind, bytes) => TakenValue::Packed(kind, bytes.to_vec()),
            Stored::Object(index) => TakenValue::Object(self.objects.at(index).clone()),
        };
        let (deadline, access) = (entry::deadline_ms(slot).map(UnixMillis), entry::access(slot));
        Taken { value, deadline, access }
    }

    /// Visits the entries of the next piece of hash space; returns the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8], Found)) -> u64 {
        let hash_of = |handle| hash_entry(&self.arena, self.hash_key, handle);
        self.table.scan(cursor, hash_of, |position, handle, hash| {
            let found = Found { handle, position, hash };
            visit(entry::key(self.arena.bytes(handle)), found);
        })
    }

    /// Whether the entry is marked by the walk that goes on.
    pub(super) fn is_marked(&self, found: Found) -> bool {
        self.table.is_marked(found.position)
    }

    /// Marks the entry, or takes the mark back.
    pub(super) fn set_mark(&mut self, found: Found, is_marked: bool) {
        self.table.set_mark(found.position, is_marked);
    }

    /// Any entry near this position in hash space; `pick` chooses among neighbours.
    pub fn sample(&self, position: u64, pick: u64) -> Option<Found> {
        let handle = self.table.sample(position, pick)?;
        self.find(entry::key(self.arena.bytes(handle)))
    }

    /// Tells an empty wheel the time, so that the first deadline is filed near.
    #[inline]
    pub(super) fn sync_wheel(&mut self, now: UnixMillis) {
        self.wheel.sync(now.0);
    }

    /// One bounded piece of the wheel's work at this key time.
    pub(super) fn turn_wheel(&mut self, now: UnixMillis) -> DbTurn {
        match self.wheel.turn(&mut self.arena, now.0) {
            Turn::Due(handle) => {
                let key = entry::key(self.arena.bytes(handle));
                DbTurn::Due(self.find(key).expect("an entry in the wheel is in the index"))
            }
            Turn::Moved => DbTurn::Moved,
            Turn::Idle => DbTurn::Idle,
        }
    }

    /// When the wheel next has work or a field expires, in key time.
    pub(super) fn next_deadline(&self) -> Option<UnixMillis> {
        let fields = self.fields.first().map(|(deadline_ms, _)| deadline_ms);
        let wheel = self.wheel.next_ms(&self.arena);
        [fields, wheel].into_iter().flatten().min().map(UnixMillis)
    }

    /// Bytes of everything that is in use: entries, objects, index. What pages and tables have
    /// room for beside is not counted, as no allocator's rest is in Redis.
    pub fn memory_bytes(&self) -> usize {
        self.data_bytes() + self.overhead_bytes()
    }

    /// Bytes of entries and objects.
    pub fn data_bytes(&self) -> usize {
        self.arena.used_bytes() + self.object_bytes
    }

    /// Bytes of the index and of the places of objects.
    pub fn overhead_bytes(&self) -> usize {
        self.table.memory_bytes() + self.objects.used_bytes() + self.fields.memory_bytes()
    }

    /// Bytes of pages and of the table of objects that nothing is in.
    pub fn unused_bytes(&self) -> usize {
        let pages = self.arena.page_bytes() - self.arena.used_bytes();
        pages + self.objects.memory_bytes() - self.objects.used_bytes()
    }

    /// Places for entries in the index.
    pub fn index_capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Checks that all parts agree.
    pub fn check_invariants(&self) {
        self.arena.check_invariants();
        self.table.check_invariants(|handle| hash_entry(&self.arena, self.hash_key, handle));
        let in_wheel = self.wheel.check_invariants(&self.arena);
        let (mut with_ttl, mut objects, mut bytes, mut cursor) = (0, 0, 0, 0);
        let (mut object_bytes, mut fields) = (0, Vec::new());
        loop {
            cursor = self.scan(cursor, |_, found| {
                with_ttl += usize::from(self.deadline(found).is_some());
                let first_deadline = self.value(found).first_deadline();
                fields.extend(first_deadline.map(|first| (first, found.hash)));
                let slot = self.arena.bytes(found.handle);
                bytes += Arena::slot_bytes(entry::len(slot));
                match entry::value(slot) {
                    Stored::Object(index) => {
                        objects += 1;
                        object_bytes += self.objects.at(index).memory_bytes();
                        self.objects.at(index).check_invariants();
                    }
                    Stored::Packed(kind, bytes) => {
                        Object::from_packed(kind, bytes.to_vec()).check_invariants();
                    }
                    Stored::Inline(_) | Stored::Integer(_) => {}
                }
            });
            if cursor == 0 {
                break;
            }
        }
        self.fields.check_invariants(fields.into_iter());
        self.check_protected();
        assert_eq!(with_ttl, in_wheel, "entries with a TTL are in the wheel");
        assert_eq!(objects, self.objects.len(), "every object has its entry");
        assert_eq!(object_bytes, self.object_bytes, "objects are accounted for");
        assert_eq!(bytes, self.arena.used_bytes(), "every slot has its entry");
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        hash(self.hash_key, key)
    }

    /// Writes a new value over the old one where both have the same shape.
    fn overwrite(&mut self, found: Found, value: &NewValue<'_>) -> bool {
        let slot = self.arena.bytes_mut(found.handle);
        let (key_len, has_ttl) = (entry::key(slot).len(), entry::deadline_ms(slot).is_some());
        match (entry::value(slot), value) {
            (Stored::Integer(_), NewValue::Integer(new)) => entry::set_integer(slot, *new),
            (Stored::Inline(old), NewValue::String(new))
                if old.len() == new.len() && integer_in(new).is_none() =>
            {
                entry::set_inline(slot, new, false);
            }
            (Stored::Inline(old), NewValue::Text(new)) if old.len() == new.len() => {
                entry::set_inline(slot, new, false);
            }
            (Stored::Inline(old), NewValue::Modified(new)) if old.len() == new.len() => {
                entry::set_inline(slot, new, true);
            }
            (Stored::Object(index), NewValue::String(new) | NewValue::Text(new))
                if !entry::fits_inline(key_len, new.len(), has_ttl) =>
            {
                return self.objects.at_mut(index).overwrite(new);
            }
            (Stored::Integer(_), NewValue::String(new)) => match integer_in(new) {
                Some(new) => entry::set_integer(slot, new),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// Takes an entry out of the wheel and its object out of the table.
    fn detach(&mut self, found: Found) -> Option<Object> {
        let slot = self.arena.bytes(found.handle);
        let object = match entry::value(slot) {
            Stored::Object(index) => Some(index),
            Stored::Inline(_) | Stored::Integer(_) | Stored::Packed(..) => None,
        };
        let first_deadline = self.value(found).first_deadline();
        self.fields.change(found.hash, first_deadline, None);
        if entry::deadline_ms(slot).is_some() {
            self.wheel.remove(&mut self.arena, found.handle);
        }
        let object = self.objects.remove(object?);
        self.object_bytes -= object.memory_bytes();
        Some(object)
    }

    fn write_entry(
        &mut self,
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) -> Handle {
        let raw = matches!(value, NewValue::Modified(_) | NewValue::Object(_));
        let fits = |len| entry::fits_inline(key.len(), len, deadline.is_some());
        let stored = match value {
            NewValue::Integer(value) => Stored::Integer(value),
            NewValue::String(bytes) => match integer_in(bytes) {
                Some(value) => Stored::Integer(value),
                None if fits(bytes.len()) => Stored::Inline(bytes),
                None => self.store(Object::Raw(bytes.to_vec())),
            },
            NewValue::Text(bytes) | NewValue::Modified(bytes) => {
                if fits(bytes.len()) {
                    Stored::Inline(bytes)
                } else {
                    self.store(Object::Raw(bytes.to_vec()))
                }
            }
            NewValue::Packed(kind, bytes) => {
                self.note_fields(key, Value::of_packed(kind, bytes));
                Stored::Packed(kind, bytes)
            }
            NewValue::Object(object) => {
                self.note_fields(key, object.value());
                let is_inline = object.packed().is_some_and(|(_, bytes)| fits(1 + bytes.len()));
                if is_inline {
                    return self.write_packed(key, object, deadline, access);
                }
                self.store(object)
            }
        };
        let parts = Parts { key, value: stored, deadline_ms: deadline.map(|at| at.0), raw, access };
        self.write_parts(parts)
    }

    /// Writes an entry with a packed collection inside.
    fn write_packed(
        &mut self,
        key: &[u8],
        object: Object,
        deadline: Option<UnixMillis>,
        access: u32,
    ) -> Handle {
        let (kind, bytes) = object.packed().expect("the caller has looked");
        let deadline_ms = deadline.map(|at| at.0);
        let value = Stored::Packed(kind, bytes);
        let handle = self.write_parts(Parts { key, value, deadline_ms, raw: false, access });
        self.reclaim(object);
        handle
    }

    fn write_parts(&mut self, parts: Parts<'_>) -> Handle {
        let handle = self.arena.alloc(parts.len());
        parts.write(self.arena.bytes_mut(handle));
        if parts.deadline_ms.is_some() {
            self.wheel.add(&mut self.arena, handle);
        }
        handle
    }

    /// Notes the deadline of the fields of a new value.
    #[inline]
    fn note_fields(&mut self, key: &[u8], value: Value<'_>) {
        if let Some(first_deadline) = value.first_deadline() {
            self.fields.change(self.hash(key), None, Some(first_deadline));
        }
    }

    fn store(&mut self, object: Object) -> Stored<'static> {
        self.object_bytes += object.memory_bytes();
        Stored::Object(self.objects.insert(object))
    }

    /// Writes the entry anew because its TTL block comes, goes or changes width. It is in no
    /// bucket.
    fn resize(&mut self, found: Found, deadline: Option<UnixMillis>) -> Found {
        let slot = self.arena.bytes(found.handle);
        let slot = &slot[..entry::len(slot)];
        // A short entry is copied to the stack.
        let (mut short, long);
        let copy = if slot.len() <= SHORT_ENTRY_BYTES_MAX {
            short = [0; SHORT_ENTRY_BYTES_MAX];
            short[..slot.len()].copy_from_slice(slot);
            &short[..slot.len()]
        } else {
            long = slot.to_vec();
            &long[..]
        };
        let parts = Parts {
            key: entry::key(copy),
            value: entry::value(copy),
            deadline_ms: deadline.map(|at| at.0),
            raw: entry::is_raw(copy),
            access: entry::access(copy),
        };
        self.arena.free(found.handle);
        let handle = self.arena.alloc(parts.len());
        parts.write(self.arena.bytes_mut(handle));
        if deadline.is_some() {
            self.wheel.add(&mut self.arena, handle);
        }
        self.table.replace(found.position, handle);
        Found { handle, ..found }
    }
}

/// What one piece of the wheel's work gave.
pub(super) enum DbTurn {
    /// This entry's deadline has passed.
    Due(Found),
    /// Work was done.
    Moved,
    /// There is nothing to do.
    Idle,
}

/// The integer that a string is, if it is stored as one: at most twenty bytes, as in Redis.
fn integer_in(bytes: &[u8]) -> Option<i64> {
    match bytes.first() {
        Some(b'0'..=b'9' | b'-') if bytes.len() <= 20 => parse_integer(bytes),
        _ => None,
    }
}
