//! Hashes: fields with values, some of which expire.
//!
//! A small hash is a packed sequence (`small`), a big one a table (`big`). It goes from one to
//! the other when its limits are passed and never back. A field whose deadline has passed is
//! still there until somebody takes it out: who reads says what the time is and does not see it.
//! It lives through the millisecond of its deadline, as keys do.
//!
//! Invariant: the earliest deadline is known at once, in either form.

mod big;
mod choose;
mod small;
#[cfg(test)]
mod tests;

use crate::value::collection::Collection;
use crate::value::packed::{Element, Encoded};
use crate::value::shared::Meter;
use crate::value::table::{self, Entries, HashKey};
use big::Big;

pub use crate::value::table::DEADLINE_MS_MAX;

/// How much of a large block is given back in one step.
const FREE_BYTES_PER_STEP: usize = 1 << 20;

/// Up to where a hash is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most fields of a packed hash.
    pub entries: usize,
    /// Longest field or value of a packed hash.
    pub value_bytes: usize,
    /// The key of the hash function of tables.
    pub hash_key: HashKey,
}

/// A hash.
#[derive(Clone, Debug)]
pub enum Hash {
    /// Few short fields; no bytes are an empty hash.
    Packed(Vec<u8>),
    /// Many or long ones.
    Table(Box<Big>),
}

/// Reads a hash.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Few short fields.
    Packed(&'a [u8]),
    /// Many or long ones.
    Table(&'a Big),
}

/// A field as it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Element<'a>,
    /// Its value.
    pub value: Element<'a>,
    /// When it expires, in milliseconds of key time.
    pub deadline_ms: Option<u64>,
}

impl Field<'_> {
    /// Whether its deadline has passed.
    #[inline]
    pub fn is_due(&self, now_ms: u64) -> bool {
        is_due(self.deadline_ms, now_ms)
    }
}

#[inline]
fn is_due(deadline_ms: Option<u64>, now_ms: u64) -> bool {
    deadline_ms.is_some_and(|deadline_ms| deadline_ms < now_ms)
}

/// What becomes of the deadline of a field that gets a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewDeadline {
    /// The field will have none.
    Discard,
    /// It stays.
    Keep,
    /// A new one.
    At(u64),
}

impl NewDeadline {
    #[inline]
    fn after(self, old: Option<u64>) -> Option<u64> {
        match self {
            Self::Discard => None,
            Self::Keep => old,
            Self::At(deadline_ms) => Some(deadline_ms),
        }
    }
}

impl<'a> HashRef<'a> {
    /// A hash without fields.
    pub const EMPTY: Self = Self::Packed(&[]);

    /// How many fields there are, those included whose deadlines have passed.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(bytes) => small::len(bytes),
            Self::Table(big) => big.table().len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// How many fields there are whose deadlines have not passed.
    pub fn living_len(self, now_ms: u64) -> usize {
        if self.has_due(now_ms) { self.living(now_ms).count() } else { self.len() }
    }

    /// The earliest deadline of all fields; it may have passed.
    #[inline]
    pub fn first_deadline(self) -> Option<u64> {
        match self {
            Self::Packed(bytes) => small::first_deadline(bytes),
            Self::Table(big) => big.first_deadline(),
        }
    }

    /// Whether there are fields whose deadlines have passed.
    #[inline]
    pub fn has_due(self, now_ms: u64) -> bool {
        is_due(self.first_deadline(), now_ms)
    }

    /// The field of that name, even if its deadline has passed.
    #[inline]
    pub fn find(self, name: &[u8]) -> Option<Field<'a>> {
        let name = Encoded::string(name);
        match self {
            Self::Packed(bytes) => small::find(bytes, &name).map(|place| place.field(bytes)),
            Self::Table(big) => big.table().find(&name).map(field_of),
        }
    }

    /// The field of that name, unless its deadline has passed.
    #[inline]
    pub fn find_living(self, name: &[u8], now_ms: u64) -> Option<Field<'a>> {
        self.find(name).filter(|field| !field.is_due(now_ms))
    }

    /// All fields, those included whose deadlines have passed, in no particular order.
    pub fn iter(self) -> Fields<'a> {
        match self {
            Self::Packed(bytes) => Fields::Packed(small::fields(bytes)),
            Self::Table(big) => Fields::Table(big.table().iter()),
        }
    }

    /// All fields whose deadlines have not passed, in no particular order.
    pub fn living(self, now_ms: u64) -> impl Iterator<Item = Field<'a>> {
        self.iter().filter(move |field| !field.is_due(now_ms))
    }

    /// Visits the fields of the next piece of the hash, those included whose deadlines have passed;
    /// returns the next cursor, 0 at the end. A small hash is one piece.
    pub fn scan(self, cursor: u64, mut visit: impl FnMut(Field<'a>)) -> u64 {
        match self {
            Self::Packed(_) => {
                self.iter().for_each(visit);
                0
            }
            Self::Table(big) => big.table().scan(cursor, |entry| visit(field_of(entry))),
        }
    }

    /// Shows the fields at a place, 0 at first; returns the next place, `None` at the end. Places
    /// mean something until the hash is next changed. A small one has one place.
    pub fn show_some(self, place: u64, mut show: impl FnMut(Field<'a>)) -> Option<u64> {
        match self {
            Self::Packed(_) => {
                self.iter().for_each(show);
                None
            }
            Self::Table(big) => big.table().show_leaf(place, |entry| show(field_of(entry))),
        }
    }

    /// Redis's name of the form.
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Packed(bytes) if small::has_deadlines(bytes) => "listpackex",
            Self::Packed(_) => "listpack",
            Self::Table(_) => "hashtable",
        }
    }
}

#[inline]
fn field_of(entry: table::Entry<'_>) -> Field<'_> {
    Field { name: entry.key(), value: entry.value(), deadline_ms: entry.deadline_ms() }
}

/// Walks over the fields of a hash.
#[derive(Clone, Debug)]
pub enum Fields<'a> {
    /// Of a packed one.
    Packed(small::Fields<'a>),
    /// Of a table.
    Table(Entries<'a>),
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            Self::Packed(fields) => fields.next(),
            Self::Table(entries) => entries.next().map(field_of),
        }
    }
}

impl Hash {
    /// Gives a field a value; true if the field is new.
    #[inline]
    pub fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        deadline: NewDeadline,
        limits: &Limits,
    ) -> bool {
        let (name_bytes, value_bytes) = (name.len(), value.len());
        let (name, value) = (Encoded::string(name), Encoded::string(value));
        if let Self::Packed(bytes) = self {
            if name_bytes.max(value_bytes) > limits.value_bytes {
                self.make_table(limits);
            } else {
                let is_new = small::set(bytes, &name, &value, deadline);
                if small::len(bytes) > limits.entries || small::is_full(bytes) {
                    self.make_table(limits);
                }
                return is_new;
            }
        }
        let Self::Table(big) = self else { unreachable!("it was just made one") };
        big.set(&name, &value, deadline)
    }

    /// Takes a field out; false if there is none of that name.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let name = Encoded::string(name);
        match self {
            Self::Packed(bytes) => small::remove(bytes, &name),
            Self::Table(big) => big.remove(&name),
        }
    }

    /// Changes only when a field expires; false if there is none of that name.
    pub fn set_deadline(&mut self, name: &[u8], deadline_ms: Option<u64>) -> bool {
        let name = Encoded::string(name);
        match self {
            Self::Packed(bytes) => small::set_deadline(bytes, &name, deadline_ms),
            Self::Table(big) => big.set_deadline(&name, deadline_ms),
        }
    }

    /// Takes a field out if its deadline has passed; true if so.
    #[inline]
    pub fn remove_if_due(&mut self, name: &[u8], now_ms: u64) -> bool {
        let reader = self.reader();
        reader.has_due(now_ms)
            && reader.find(name).is_some_and(|field| field.is_due(now_ms))
            && self.remove(name)
    }

    /// Takes up to so many fields out whose deadlines have passed; returns how many, and adds their
    /// names to `names`.
    pub fn remove_due(
        &mut self,
        now_ms: u64,
        count_max: usize,
        names: Option<&mut Vec<Vec<u8>>>,
    ) -> usize {
        match self {
            Self::Packed(bytes) => small::remove_due(bytes, now_ms, count_max, names),
            Self::Table(big) => big.remove_due(now_ms, count_max, names),
        }
    }

    fn make_table(&mut self, limits: &Limits) {
        let mut big = Big::new(limits.hash_key);
        for field in self.reader().iter() {
            let (name, value) = (Encoded::element(field.name), Encoded::element(field.value));
            big.set(&name, &value, field.deadline_ms.map_or(NewDeadline::Discard, NewDeadline::At));
        }
        *self = Self::Table(Box::new(big));
    }
}

impl Default for Hash {
    /// Without fields.
    fn default() -> Self {
        Self::Packed(Vec::new())
    }
}

impl Collection for Hash {
    type Reader<'a> = HashRef<'a>;

    fn from_packed(bytes: Vec<u8>) -> Self {
        Self::Packed(bytes)
    }

    fn read_packed(bytes: &[u8]) -> HashRef<'_> {
        HashRef::Packed(bytes)
    }

    #[inline]
    fn reader(&self) -> HashRef<'_> {
        match self {
            Self::Packed(bytes) => HashRef::Packed(bytes),
            Self::Table(big) => HashRef::Table(big),
        }
    }

    fn packed(&self) -> Option<&[u8]> {
        match self {
            Self::Packed(bytes) => Some(bytes),
            Self::Table(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Self::Packed(bytes) => Some(bytes),
            Self::Table(_) => None,
        }
    }

    fn share(&mut self, meter: &Meter) -> Self {
        match self {
            Self::Packed(bytes) => Self::Packed(bytes.clone()),
            Self::Table(big) => Self::Table(Box::new(big.share(meter))),
        }
    }

    fn is_empty(&self) -> bool {
        self.reader().is_empty()
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Packed(bytes) => bytes.capacity(),
            Self::Table(big) => size_of::<Big>() + big.memory_bytes(),
        }
    }

    fn is_big(&self) -> bool {
        match self {
            Self::Packed(bytes) => bytes.capacity() > FREE_BYTES_PER_STEP,
            Self::Table(big) => big.is_big(),
        }
    }

    fn free_some(&mut self) -> bool {
        match self {
            Self::Packed(bytes) => {
                let keep = bytes.capacity().saturating_sub(FREE_BYTES_PER_STEP);
                bytes.truncate(keep);
                bytes.shrink_to(keep);
                keep == 0
            }
            Self::Table(big) => big.free_some(),
        }
    }

    #[inline]
    fn first_deadline(reader: HashRef<'_>) -> Option<u64> {
        reader.first_deadline()
    }

    fn check_invariants(&self) {
        match self {
            Self::Packed(bytes) => small::check_invariants(bytes),
            Self::Table(big) => big.check_invariants(),
        }
    }

    fn encoding(reader: HashRef<'_>) -> &'static str {
        reader.encoding()
    }
}
