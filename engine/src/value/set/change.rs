//! Adding and removing members, and what that does to the form of a set.

use super::integers::{self, Integers};
use super::{INTEGERS_LEN_MAX, Limits, PACKED_BYTES_MAX, PACKED_LEN_MAX, Set, SetRef};
use crate::value::collection::Collection;
use crate::value::packed::{self, Element, Encoded};
use crate::value::table::Table;

impl Set {
    /// An empty set, made for a member like `first` and `expected` members in all. As in Redis the
    /// number decides although some of them may be equal.
    pub fn create(first: Element<'_>, expected: usize, limits: &Limits) -> Self {
        if matches!(first, Element::Integer(_)) && expected <= limits.integers {
            Self::Packed(Vec::new())
        } else if expected <= limits.entries {
            Self::empty_packed()
        } else {
            Self::table(limits)
        }
    }

    /// An empty set in the last form.
    pub(super) fn table(limits: &Limits) -> Self {
        Self::Table(Box::new(Table::new(limits.hash_key)))
    }

    /// An empty set that begins as a packed sequence whatever comes.
    pub(super) fn empty_packed() -> Self {
        Self::Packed(vec![0; packed::HEADER_BYTES])
    }

    /// Takes the last form at once if so many members to come are more than the present one has
    /// room for. As in Redis the members that are there do not count.
    pub fn expect(&mut self, more: usize, limits: &Limits) {
        let limit = match self.reader() {
            SetRef::Integers(_) => limits.integers,
            SetRef::Packed(_) => limits.entries,
            SetRef::Table(_) => return,
        };
        if more > limit {
            self.make_table(limits);
        }
    }

    /// Adds a member; false if it was there.
    #[inline]
    pub fn insert(&mut self, member: Element<'_>, limits: &Limits) -> bool {
        match self {
            Self::Table(table) => table.insert(&Encoded::element(member), &[]),
            Self::Packed(bytes) if Integers::read(bytes).is_some() => match member {
                Element::Integer(value) => {
                    let is_new = integers::insert(bytes, value);
                    if is_new {
                        self.limit_integers(limits);
                    }
                    is_new
                }
                _ => {
                    self.push(member, limits);
                    true
                }
            },
            Self::Packed(bytes) => {
                let is_new = packed::find(bytes, &Encoded::element(member), 1).is_none();
                if is_new {
                    self.push(member, limits);
                }
                is_new
            }
        }
    }

    /// Adds what is known not to be a member.
    pub fn insert_new(&mut self, member: Element<'_>, limits: &Limits) {
        match self {
            Self::Packed(bytes) if Integers::read(bytes).is_none() => self.push(member, limits),
            _ => {
                let is_new = self.insert(member, limits);
                debug_assert!(is_new, "the caller knows that it is new");
            }
        }
    }

    /// Removes a member; false if it was not there.
    #[inline]
    pub fn remove(&mut self, member: Element<'_>) -> bool {
        match self {
            Self::Table(table) => table.remove(&Encoded::element(member)),
            Self::Packed(bytes) if Integers::read(bytes).is_some() => match member {
                Element::Integer(value) => integers::remove(bytes, value),
                _ => false,
            },
            Self::Packed(bytes) => {
                let place = packed::find(bytes, &Encoded::element(member), 1);
                if let Some(place) = place {
                    packed::splice(bytes, place.start, place.end, 1, &[]);
                }
                place.is_some()
            }
        }
    }

    /// Adds what is no member of a set that is no table, and no integer if it is one of integers.
    fn push(&mut self, member: Element<'_>, limits: &Limits) {
        let Self::Packed(bytes) = self else { unreachable!("a table has its own way") };
        let encoded = Encoded::element(member);
        match Integers::read(bytes) {
            Some(set) => {
                if has_room(set.len(), bytes.len(), member, limits)
                    && set.texts_fit(limits.value_bytes)
                {
                    *bytes = packed_of(set, encoded.len());
                    packed::push(bytes, &encoded);
                    return;
                }
            }
            None if has_room(packed::count(bytes), bytes.len(), member, limits) => {
                packed::push(bytes, &encoded);
                return;
            }
            None => {}
        }
        self.make_table(limits);
        self.insert(member, limits);
    }

    /// Takes the last form if there are too many integers.
    fn limit_integers(&mut self, limits: &Limits) {
        if self.reader().len() > limits.integers.min(INTEGERS_LEN_MAX) {
            self.make_table(limits);
        }
    }

    /// Takes the form of sorted integers if all members are integers and not too many.
    pub fn prefer_integers(&mut self, limits: &Limits) {
        let set = self.reader();
        if matches!(set, SetRef::Integers(_)) || set.len() > limits.integers.min(INTEGERS_LEN_MAX) {
            return;
        }
        let mut bytes = Vec::new();
        for member in set.iter() {
            let Element::Integer(value) = member else { return };
            integers::insert(&mut bytes, value);
        }
        *self = Self::Packed(bytes);
    }

    /// Takes the last form.
    fn make_table(&mut self, limits: &Limits) {
        let mut table = Table::new(limits.hash_key);
        for member in self.reader().iter() {
            table.insert(&Encoded::element(member), &[]);
        }
        *self = Self::Table(Box::new(table));
    }
}

/// Whether a packed set of so many members and bytes may have this one more.
fn has_room(len: usize, bytes: usize, member: Element<'_>, limits: &Limits) -> bool {
    len < limits.entries.min(PACKED_LEN_MAX)
        && member.len() <= limits.value_bytes
        && bytes + member.len() < PACKED_BYTES_MAX
}

/// Integers as a packed sequence, with room for so many bytes more.
fn packed_of(set: Integers<'_>, more: usize) -> Vec<u8> {
    let encoded = set.iter().map(Encoded::integer);
    let len: usize = encoded.clone().map(|integer| integer.len()).sum();
    let mut bytes = Vec::with_capacity(packed::HEADER_BYTES + len + more);
    encoded.for_each(|integer| packed::push(&mut bytes, &integer));
    bytes
}
