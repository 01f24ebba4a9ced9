//! Adding and removing members, and what that does to the form of a set.

use super::integers::{self, Integers};
use super::{INTEGERS_LEN_MAX, Limits, PACKED_BYTES_MAX, PACKED_LEN_MAX, Set, SetRef};
use crate::value::collection::Collection;
use crate::value::packed::{self, Element, Encoded};
use crate::value::table::Table;

impl Set {
    /// Takes the form for `more` members to come, of which `first` is one, if there is none yet or
    /// they are more than the present form has room for. As in Redis the number decides although
    /// some of them may be there or equal.
    pub fn expect(&mut self, first: Element<'_>, more: usize, limits: &Limits) {
        match self {
            Self::Packed(bytes) if bytes.is_empty() => {
                if matches!(first, Element::Integer(_)) && more <= limits.integers {
                } else if more <= limits.entries {
                    bytes.resize(packed::HEADER_BYTES, 0);
                } else {
                    *self = Self::table(limits);
                }
            }
            Self::Packed(bytes) => {
                let are_integers = Integers::read(bytes).is_some();
                if more > if are_integers { limits.integers } else { limits.entries } {
                    self.make_table(limits);
                }
            }
            Self::Table(_) => {}
        }
    }

    /// An empty set in the last form.
    pub(super) fn table(limits: &Limits) -> Self {
        Self::Table(Box::new(Table::of_keys(limits.hash_key)))
    }

    /// An empty set that begins as a packed sequence whatever comes.
    pub(super) fn empty_packed() -> Self {
        Self::Packed(vec![0; packed::HEADER_BYTES])
    }

    /// Adds a member; false if it was there.
    #[inline]
    pub fn insert(&mut self, member: Element<'_>, limits: &Limits) -> bool {
        match self {
            Self::Table(table) => table.insert(&Encoded::element(member)),
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
            Some(set)
                if has_room(set.len(), bytes.len(), member, limits)
                    && set.texts_fit(limits.value_bytes) =>
            {
                *bytes = packed_of(set, encoded.len());
                packed::push(bytes, &encoded);
                return;
            }
            None if has_room(packed::count(bytes), bytes.len(), member, limits) => {
                packed::push(bytes, &encoded);
                return;
            }
            _ => {}
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
        let mut table = Table::of_keys(limits.hash_key);
        for member in self.reader().iter() {
            table.insert(&Encoded::element(member));
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
