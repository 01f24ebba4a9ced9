//! Sets of strings, in one of three forms.
//!
//! While all members are integers and few: sorted integers ([`integers`]). While there are few short
//! members: a packed sequence ([`crate::value::packed`]). Else a table. The second byte tells the
//! first two apart. A set goes from one form to the next when its limits are passed and never back,
//! but for commands that build a new set.
//!
//! Invariant: a string that spells an integer is an integer in every form, so that members are
//! equal exactly if their [`Element`]s are.

pub mod algebra;
mod change;
mod choose;
pub mod integers;

use crate::value::collection::Collection;
use crate::value::number::parse_integer;
use crate::value::packed::{self, Element, Encoded};
use crate::value::table::{self, Table};
use integers::Integers;

/// A packed sequence with more elements would have [`integers::MARK`] as its second byte.
const PACKED_LEN_MAX: usize = 0xfeff;
/// A set of integers never has more members, whatever the limits say; as in Redis.
const INTEGERS_LEN_MAX: usize = 1 << 30;
/// A packed sequence never has more bytes, whatever the limits say; as in Redis.
const PACKED_BYTES_MAX: usize = 1 << 30;
/// How much of a large block is given back in one step.
const FREE_BYTES_PER_STEP: usize = 1 << 20;

/// Up to where a set keeps its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members of a set of integers.
    pub integers: usize,
    /// Members of a packed set.
    pub entries: usize,
    /// Bytes of a member of a packed set.
    pub value_bytes: usize,
    /// The key of the hash function of tables.
    pub hash_key: table::HashKey,
}

/// A set.
#[derive(Clone, Debug)]
pub enum Set {
    /// Sorted integers or a packed sequence; no bytes are an empty set of integers.
    Packed(Vec<u8>),
    /// A table without values.
    Table(Box<Table>),
}

impl Default for Set {
    /// Without members.
    fn default() -> Self {
        Self::Packed(Vec::new())
    }
}

/// Reads a set.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Sorted integers.
    Integers(Integers<'a>),
    /// A packed sequence.
    Packed(&'a [u8]),
    /// A table without values.
    Table(&'a Table),
}

/// A string as a member: an integer if it spells one.
#[inline]
pub fn member(string: &[u8]) -> Element<'_> {
    match string.first() {
        Some(b'0'..=b'9' | b'-') if string.len() <= 20 => match parse_integer(string) {
            Some(value) => Element::Integer(value),
            None => Element::Bytes(string),
        },
        _ => Element::Bytes(string),
    }
}

impl<'a> SetRef<'a> {
    /// A set without members.
    pub const EMPTY: Self = Self::Packed(&[]);

    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Integers(integers) => integers.len(),
            Self::Packed(bytes) => packed::count(bytes),
            Self::Table(table) => table.len(),
        }
    }

    /// Whether there are no members.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether this is a member.
    #[inline]
    pub fn contains(self, member: Element<'_>) -> bool {
        match (self, member) {
            (Self::Integers(integers), Element::Integer(value)) => integers.contains(value),
            (Self::Integers(_), _) => false,
            (Self::Packed(bytes), _) => {
                packed::find(bytes, &Encoded::element(member), 1).is_some()
            }
            (Self::Table(table), _) => table.contains(&Encoded::element(member)),
        }
    }

    /// The members, in no particular order.
    pub fn iter(self) -> Iter<'a> {
        match self {
            Self::Integers(integers) => Iter::Integers { integers, next: 0 },
            Self::Packed(bytes) => Iter::Packed(packed::elements(bytes)),
            Self::Table(table) => Iter::Table(table.iter()),
        }
    }

    /// Visits the members of the next piece of the set; returns the next cursor, 0 at the end. A
    /// small set is one piece.
    pub fn scan(self, cursor: u64, mut visit: impl FnMut(Element<'a>)) -> u64 {
        match self {
            Self::Table(table) => table.scan(cursor, |key, _| visit(key)),
            small => {
                small.iter().for_each(visit);
                0
            }
        }
    }

    /// Redis's name of the form.
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Integers(_) => "intset",
            Self::Packed(_) => "listpack",
            Self::Table(_) => "hashtable",
        }
    }

    /// Whether both read the same set in the same place.
    pub fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Integers(a), Self::Integers(b)) => a.is_same(b),
            (Self::Packed(a), Self::Packed(b)) => core::ptr::eq(a, b),
            (Self::Table(a), Self::Table(b)) => core::ptr::eq(a, b),
            _ => false,
        }
    }

    /// Checks the structure.
    pub fn check_invariants(self) {
        match self {
            Self::Integers(integers) => integers.check_invariants(),
            Self::Packed(bytes) => {
                packed::check_invariants(bytes);
                for (index, element) in packed::elements(bytes).enumerate() {
                    let place = packed::find(bytes, &Encoded::element(element), 1);
                    assert_eq!(place.map(|place| place.index), Some(index), "members differ");
                }
            }
            Self::Table(table) => table.check_invariants(),
        }
    }
}

/// Walks over the members.
#[derive(Clone, Debug)]
pub enum Iter<'a> {
    /// Of sorted integers.
    Integers {
        /// All of them.
        integers: Integers<'a>,
        /// The rank of the next.
        next: usize,
    },
    /// Of a packed sequence.
    Packed(packed::Elements<'a>),
    /// Of a table.
    Table(table::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Self::Integers { integers, next } => {
                let rank = *next;
                *next += 1;
                (rank < integers.len()).then(|| Element::Integer(integers.at(rank)))
            }
            Self::Packed(elements) => elements.next(),
            Self::Table(entries) => entries.next().map(|(key, _)| key),
        }
    }
}

impl Collection for Set {
    type Reader<'a> = SetRef<'a>;

    fn from_packed(bytes: Vec<u8>) -> Self {
        Self::Packed(bytes)
    }

    #[inline]
    fn read_packed(bytes: &[u8]) -> SetRef<'_> {
        match Integers::read(bytes) {
            Some(integers) => SetRef::Integers(integers),
            None => SetRef::Packed(bytes),
        }
    }

    #[inline]
    fn reader(&self) -> SetRef<'_> {
        match self {
            Self::Packed(bytes) => Self::read_packed(bytes),
            Self::Table(table) => SetRef::Table(table),
        }
    }

    fn encoding(reader: SetRef<'_>) -> &'static str {
        reader.encoding()
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

    fn is_empty(&self) -> bool {
        self.reader().is_empty()
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Packed(bytes) => bytes.capacity(),
            Self::Table(table) => size_of::<Table>() + table.memory_bytes(),
        }
    }

    fn is_big(&self) -> bool {
        match self {
            Self::Packed(bytes) => bytes.capacity() > FREE_BYTES_PER_STEP,
            Self::Table(table) => table.is_big(),
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
            Self::Table(table) => table.free_some(),
        }
    }

    fn check_invariants(&self) {
        self.reader().check_invariants();
    }
}
