//! The patterns of SORT: from an element to the value of a key, or of a field of a hash.
//!
//! Invariant: looking up changes nothing. What has expired is not there, though it is not deleted
//! here; which keys were used is remembered, to be noted when nothing is borrowed any more.

use crate::keyspace::{Found, Keyspace, Value};
use crate::value::packed::Element;

/// What an element stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: itself.
    Element,
    /// A text without `*`: nothing.
    Nothing,
    /// The value of the key whose name is the element between two texts, or a field of that hash.
    Key {
        /// What stands before the element.
        before: &'a [u8],
        /// What stands behind it.
        behind: &'a [u8],
        /// The field, if the value is that of a field.
        field: Option<&'a [u8]>,
    },
}

/// The text up to a zero byte, where C's text ends: there Redis searches for `*` and `->`.
fn searched(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or(text)
}

/// Whether a pattern names the same for every element, so that it orders nothing.
pub(super) fn is_constant(pattern: &[u8]) -> bool {
    !searched(pattern).contains(&b'*')
}

impl<'a> Pattern<'a> {
    /// The pattern that a text is.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let searched = searched(text);
        if searched == b"#" {
            return Self::Element;
        }
        let Some(star) = searched.iter().position(|&byte| byte == b'*') else {
            return Self::Nothing;
        };
        let (before, rest) = (&text[..star], &text[star + 1..]);
        let arrow = searched[star + 1..].windows(2).position(|pair| pair == b"->");
        // An arrow with nothing behind it is part of the name.
        match arrow.filter(|arrow| searched.len() > star + 1 + arrow + 2) {
            Some(arrow) => {
                Self::Key { before, behind: &rest[..arrow], field: Some(&rest[arrow + 2..]) }
            }
            None => Self::Key { before, behind: rest, field: None },
        }
    }
}

/// Reads of other keys.
pub(super) struct Lookups<'k> {
    keyspace: &'k Keyspace,
    database: usize,
    /// The name of the key that is looked up.
    name: Vec<u8>,
    seen: Seen,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The keys that were there.
    pub(super) used: Vec<Found>,
    /// How many were not.
    pub(super) misses: u64,
    /// Their names, if somebody may want to know them.
    pub(super) missed: Option<Vec<Box<[u8]>>>,
    /// Fields that have expired and were not taken out yet, with their keys, likewise.
    pub(super) due: Vec<[Box<[u8]>; 2]>,
}

impl<'k> Lookups<'k> {
    pub(super) fn new(keyspace: &'k Keyspace, database: usize, notes_names: bool) -> Self {
        let seen = Seen { missed: notes_names.then(Vec::new), ..Seen::default() };
        Self { keyspace, database, name: Vec::new(), seen }
    }

    /// The value of an entry.
    pub(super) fn value(&self, found: Found) -> Value<'k> {
        self.keyspace.db(self.database).value(found)
    }

    /// What was read so far.
    pub(super) fn seen(self) -> Seen {
        self.seen
    }

    /// What a pattern makes of an element; `None` if there is no such key or field, or the key has
    /// another type.
    pub(super) fn find(
        &mut self,
        pattern: &Pattern<'_>,
        element: Element<'k>,
    ) -> Option<Element<'k>> {
        let Pattern::Key { before, behind, field } = *pattern else {
            return (*pattern == Pattern::Element).then_some(element);
        };
        self.name.clear();
        self.name.extend_from_slice(before);
        self.name.extend_from_slice(element.bytes(&mut itoa::Buffer::new()));
        self.name.extend_from_slice(behind);
        let db = self.keyspace.db(self.database);
        let found = db.find(&self.name);
        let found = found.filter(|&found| !self.keyspace.is_expired(self.database, found));
        let Some(found) = found else {
            self.seen.misses += 1;
            if let Some(missed) = &mut self.seen.missed {
                missed.push(self.name.as_slice().into());
            }
            return None;
        };
        self.seen.used.push(found);
        match (db.value(found), field) {
            (Value::Bytes(bytes), None) => Some(Element::Bytes(bytes)),
            (Value::Integer(value), None) => Some(Element::Integer(value)),
            (Value::Hash(hash), Some(field)) => {
                let found = hash.find(field)?;
                if found.is_due(self.keyspace.now().0) {
                    if self.seen.missed.is_some() {
                        self.seen.due.push([self.name.as_slice().into(), field.into()]);
                    }
                    return None;
                }
                Some(found.value)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_apart() {
        let key = |before, behind, field| Pattern::Key { before, behind, field };
        for (text, pattern) in [
            (&b"#"[..], Pattern::Element),
            (b"##", Pattern::Nothing),
            (b"nosort", Pattern::Nothing),
            (b"w_*", key(b"w_", b"", None)),
            (b"*", key(b"", b"", None)),
            (b"a*b*c", key(b"a", b"b*c", None)),
            (b"h_*->f", key(b"h_", b"", Some(b"f"))),
            (b"h_*x->f->g", key(b"h_", b"x", Some(b"f->g"))),
            (b"h_*->", key(b"h_", b"->", None)),
            (b"h->f_*", key(b"h->f_", b"", None)),
            (b"h->*->f", key(b"h->", b"", Some(b"f"))),
            (b"h\0*", Pattern::Nothing),
            (b"*\0->f", key(b"", b"\0->f", None)),
            (b"#\0x", Pattern::Element),
        ] {
            assert_eq!(Pattern::new(text), pattern, "{}", text.escape_ascii());
        }
        assert!(is_constant(b"#") && is_constant(b"h\0*") && !is_constant(b"a*"));
    }
}
