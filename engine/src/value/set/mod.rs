//! Sets of strings, in one of three forms.
//!
//! While all members are integers and few: sorted integers ([`integers`]). While there are few
//! short members: a packed sequence ([`crate::value::packed`]). Else a table. The second byte tells
//! the first two apart. A set goes from one form to the next when its limits are passed and never
//! back, but for commands that build a new set.
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
use crate::value::shared::Meter;
use crate::value::table::{Entries, HashKey, Table};
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
    pub hash_key: HashKey,
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
            (Self::Packed(bytes), _) => packed::find(bytes, &Encoded::element(member), 1).is_some(),
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
    pub fn scan(self, cursor: u64, mut visit: impl FnMut(Element<'_>)) -> u64 {
        match self {
            Self::Table(table) => table.scan(cursor, |entry| visit(entry.key())),
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
    Table(Entries<'a>),
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
            Self::Table(entries) => entries.next().map(|entry| entry.key()),
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

    fn share(&mut self, meter: &Meter) -> Self {
        match self {
            Self::Packed(bytes) => Self::Packed(bytes.clone()),
            Self::Table(table) => Self::Table(Box::new(table.share(meter))),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::{Rng, Seed};

    pub(super) const LIMITS: Limits =
        Limits { integers: 512, entries: 128, value_bytes: 64, hash_key: (1, 2) };

    /// The members `prefix` with the numbers below `len`.
    pub(super) fn numbered(prefix: &str, len: usize, limits: &Limits) -> Set {
        set_of((0..len).map(|number| format!("{prefix}{number}")), limits)
    }

    fn set_of(members: impl IntoIterator<Item = impl AsRef<[u8]>>, limits: &Limits) -> Set {
        let mut set = Set::default();
        for it in members {
            set.expect(member(it.as_ref()), 1, limits);
            set.insert(member(it.as_ref()), limits);
        }
        set.check_invariants();
        set
    }

    fn members(set: SetRef<'_>) -> BTreeSet<Vec<u8>> {
        let all: BTreeSet<Vec<u8>> = set.iter().map(Element::to_vec).collect();
        assert_eq!(all.len(), set.len(), "members differ and are counted");
        all
    }

    #[test]
    fn the_form_follows_the_limits() {
        let limits = Limits { integers: 3, entries: 4, value_bytes: 3, ..LIMITS };
        for (all, encoding) in [
            (&["1", "2", "3"][..], "intset"),
            (&["1", "2", "3", "4"], "hashtable"),
            (&["a"], "listpack"),
            (&["a", "b", "1", "2"], "listpack"),
            (&["a", "b", "c", "d", "e"], "hashtable"),
            (&["abc"], "listpack"),
            (&["abcd"], "hashtable"),
            (&["a", "abcd"], "hashtable"),
            (&["1", "2", "a"], "listpack"),
            (&["1", "2", "abcd"], "hashtable"),
            (&["1000", "a"], "hashtable"),
            (&["-100", "a"], "hashtable"),
            (&["01"], "listpack"),
        ] {
            assert_eq!(set_of(all, &limits).reader().encoding(), encoding, "{all:?}");
        }
        // Three integers and one string are four members.
        assert_eq!(set_of(["1", "2", "3", "a"], &limits).reader().encoding(), "listpack");
    }

    #[test]
    fn the_number_of_members_to_come_decides() {
        let limits = Limits { integers: 2, entries: 4, ..LIMITS };
        for (first, more, encoding) in [
            ("1", 2, "intset"),
            ("1", 3, "listpack"),
            ("a", 4, "listpack"),
            ("1", 5, "hashtable"),
            ("a", 5, "hashtable"),
        ] {
            let mut set = Set::default();
            set.expect(member(first.as_bytes()), more, &limits);
            assert_eq!(set.reader().encoding(), encoding, "{first} and {more}");
        }
        let mut set = set_of(["1"], &limits);
        set.expect(Element::Integer(1), 3, &limits);
        assert_eq!(set.reader().encoding(), "hashtable");
    }

    #[test]
    fn integers_come_back_where_only_they_are_left() {
        let limits = Limits { integers: 2, ..LIMITS };
        let mut set = set_of(["a", "1", "2"], &limits);
        set.prefer_integers(&limits);
        assert_eq!(set.reader().encoding(), "listpack");
        set.remove(Element::Bytes(b"a"));
        set.prefer_integers(&limits);
        assert_eq!(set.reader().encoding(), "intset");
        let mut set = set_of(["a", "1", "2", "3"], &limits);
        set.remove(Element::Bytes(b"a"));
        set.prefer_integers(&limits);
        assert_eq!(set.reader().encoding(), "listpack", "too many");
    }

    #[test]
    fn random_changes_are_those_of_a_tree() {
        let mut rng = Rng::new(Seed(5), "set");
        for limits in [
            LIMITS,
            Limits { integers: 8, entries: 20, value_bytes: 2, ..LIMITS },
            Limits { integers: 0, entries: 0, value_bytes: 0, ..LIMITS },
            Limits { integers: usize::MAX, entries: usize::MAX, value_bytes: usize::MAX, ..LIMITS },
        ] {
            let (mut set, mut tree) = (Set::default(), BTreeSet::new());
            for step in 0..3000 {
                let number = rng.below(300) as i64 - 150;
                let string = match step / 500 % 3 {
                    0 => number.to_string(),
                    1 => format!("m{number}"),
                    _ => "long".repeat(number.unsigned_abs() as usize),
                };
                let it = member(string.as_bytes());
                if rng.chance(3, 5) {
                    assert_eq!(set.insert(it, &limits), tree.insert(string.clone().into_bytes()));
                } else {
                    assert_eq!(set.remove(it), tree.remove(string.as_bytes()));
                }
                assert_eq!(set.reader().contains(it), tree.contains(string.as_bytes()));
                assert_eq!(set.reader().len(), tree.len());
                if step % 50 == 0 {
                    set.check_invariants();
                    assert_eq!(members(set.reader()), tree);
                    let mut scanned = BTreeSet::new();
                    let mut cursor = 0;
                    loop {
                        cursor = set.reader().scan(cursor, |it| {
                            scanned.insert(it.to_vec());
                        });
                        if cursor == 0 {
                            break;
                        }
                    }
                    assert_eq!(scanned, tree);
                }
            }
        }
    }

    #[test]
    fn packed_bytes_tell_their_form() {
        for set in [numbered("", 300, &LIMITS), numbered("m", 100, &LIMITS), Set::default()] {
            let bytes = set.packed().expect("it is packed").to_vec();
            let again = Set::from_packed(bytes);
            assert_eq!(again.reader().encoding(), set.reader().encoding());
            assert_eq!(members(again.reader()), members(set.reader()));
        }
        // The longest packed sequence.
        let limits = Limits { entries: usize::MAX, ..LIMITS };
        let mut set = Set::default();
        for number in 0..PACKED_LEN_MAX {
            set.insert_new(Element::Bytes(format!("m{number}").as_bytes()), &limits);
        }
        assert_eq!(set.reader().encoding(), "listpack");
        set.insert_new(Element::Bytes(b"one more"), &limits);
        assert_eq!(set.reader().encoding(), "hashtable");
        assert_eq!(set.reader().len(), PACKED_LEN_MAX + 1);
    }

    #[test]
    fn a_set_is_freed_in_steps() {
        let mut set = numbered("m", 100_000, &LIMITS);
        assert!(set.is_big());
        let mut steps = 1;
        while !set.free_some() {
            steps += 1;
        }
        assert!(steps > 3, "{steps} steps");
        assert!(!numbered("m", 200, &LIMITS).is_big());
    }
}
