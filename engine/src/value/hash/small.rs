//! Small hashes: a packed sequence of fields and values, with deadlines if any field ever had one.
//!
//! ```text
//! plain            field, value, field, value...
//! with deadlines   a head of three elements: the earliest deadline as the bits of a double, 0, 0;
//!                  then field, value, deadline, field, value, deadline... (0: there is none)
//! ```
//! Fields are strings and never doubles: the first element tells the forms apart. A hash that has
//! become one with deadlines stays one, as in Redis.
//!
//! Invariant: the head is right after every change.

use super::{Field, NewDeadline, is_due};
use crate::value::packed::{self, DOUBLE, ELEMENTS_MAX, Element, Encoded, HEADER_BYTES};

/// Elements of the head, and of a field with its deadline.
const TRIPLE: usize = 3;
const PAIR: usize = 2;
/// Bytes of the head: a double and two small integers.
const HEAD_BYTES: usize = 11;
/// In the head: no field has a deadline. Later than any.
const NEVER_MS: u64 = 1 << 48;

/// Whether the form is the one with deadlines.
#[inline]
pub(super) fn has_deadlines(bytes: &[u8]) -> bool {
    bytes.get(HEADER_BYTES) == Some(&DOUBLE)
}

#[inline]
fn step(bytes: &[u8]) -> usize {
    if has_deadlines(bytes) { TRIPLE } else { PAIR }
}

/// How many fields there are.
#[inline]
pub(super) fn len(bytes: &[u8]) -> usize {
    let count = packed::count(bytes);
    if has_deadlines(bytes) { count / TRIPLE - 1 } else { count / PAIR }
}

/// Whether there may be no room for one more field, or for the deadlines of all.
pub(super) fn is_full(bytes: &[u8]) -> bool {
    (len(bytes) + 2) * TRIPLE > ELEMENTS_MAX
}

/// The earliest deadline.
#[inline]
pub(super) fn first_deadline(bytes: &[u8]) -> Option<u64> {
    if !has_deadlines(bytes) {
        return None;
    }
    let head = bytes[HEADER_BYTES + 1..].first_chunk().expect("the head holds a double");
    Some(u64::from_le_bytes(*head)).filter(|&deadline_ms| deadline_ms != NEVER_MS)
}

/// Where a field lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    start: usize,
    value: usize,
    /// Behind the value: the deadline, or the next field.
    value_end: usize,
    end: usize,
}

impl Place {
    fn of_name(bytes: &[u8], name: packed::Place) -> Self {
        let value_end = packed::end_of(bytes, name.end);
        let end = if has_deadlines(bytes) { packed::end_of(bytes, value_end) } else { value_end };
        Self { start: name.start, value: name.end, value_end, end }
    }

    /// What lies there.
    #[inline]
    pub(super) fn field<'a>(&self, bytes: &'a [u8]) -> Field<'a> {
        Field {
            name: packed::element_at(bytes, self.start).0,
            value: packed::element_at(bytes, self.value).0,
            deadline_ms: self.deadline(bytes),
        }
    }

    fn deadline(&self, bytes: &[u8]) -> Option<u64> {
        if self.value_end == self.end {
            return None;
        }
        deadline_of(packed::element_at(bytes, self.value_end).0)
    }
}

fn deadline_of(element: Element<'_>) -> Option<u64> {
    match element {
        Element::Integer(0) => None,
        Element::Integer(deadline_ms) => Some(deadline_ms as u64),
        other => unreachable!("{other:?} is not a deadline"),
    }
}

fn encoded(deadline_ms: Option<u64>) -> Encoded<'static> {
    Encoded::integer(deadline_ms.map_or(0, |deadline_ms| deadline_ms as i64))
}

/// Finds a field.
#[inline]
pub(super) fn find(bytes: &[u8], name: &Encoded<'_>) -> Option<Place> {
    let place = packed::find(bytes, name, step(bytes))?;
    Some(Place::of_name(bytes, place))
}

/// Gives a field a value; true if the field is new.
pub(super) fn set(
    bytes: &mut Vec<u8>,
    name: &Encoded<'_>,
    value: &Encoded<'_>,
    deadline: NewDeadline,
) -> bool {
    if matches!(deadline, NewDeadline::At(_)) {
        add_deadlines(bytes);
    }
    let Some(place) = find(bytes, name) else {
        let (end, new) = (bytes.len(), deadline.after(None));
        let elements = [*name, *value, encoded(new)];
        packed::splice(bytes, end, end, 0, &elements[..step(bytes)]);
        deadline_changed(bytes, None, new);
        return true;
    };
    let old = place.deadline(bytes);
    let new = deadline.after(old);
    if old == new {
        packed::splice(bytes, place.value, place.value_end, 1, &[*value]);
    } else {
        packed::splice(bytes, place.value, place.end, 2, &[*value, encoded(new)]);
        deadline_changed(bytes, old, new);
    }
    false
}

/// Takes a field out; false if there is none of that name.
pub(super) fn remove(bytes: &mut Vec<u8>, name: &Encoded<'_>) -> bool {
    let Some(place) = find(bytes, name) else { return false };
    let old = place.deadline(bytes);
    packed::splice(bytes, place.start, place.end, step(bytes), &[]);
    deadline_changed(bytes, old, None);
    true
}

/// Changes only when a field expires; false if there is none of that name. The hash has the form
/// with deadlines afterwards, even if the deadline is taken away.
pub(super) fn set_deadline(
    bytes: &mut Vec<u8>,
    name: &Encoded<'_>,
    deadline_ms: Option<u64>,
) -> bool {
    add_deadlines(bytes);
    let Some(place) = find(bytes, name) else { return false };
    let old = place.deadline(bytes);
    packed::splice(bytes, place.value_end, place.end, 1, &[encoded(deadline_ms)]);
    deadline_changed(bytes, old, deadline_ms);
    true
}

/// Takes up to so many fields out whose deadlines have passed; returns how many, and adds their
/// names to `names`.
pub(super) fn remove_due(
    bytes: &mut Vec<u8>,
    now_ms: u64,
    count_max: usize,
    mut names: Option<&mut Vec<Vec<u8>>>,
) -> usize {
    if !is_due(first_deadline(bytes), now_ms) {
        return 0;
    }
    let first = HEADER_BYTES + HEAD_BYTES;
    let (mut removed, mut from, mut to) = (0, first, first);
    while from < bytes.len() {
        let name = packed::Place { index: 0, start: from, end: packed::end_of(bytes, from) };
        let place = Place::of_name(bytes, name);
        if removed < count_max && is_due(place.deadline(bytes), now_ms) {
            removed += 1;
            if let Some(names) = &mut names {
                names.push(packed::element_at(bytes, from).0.to_vec());
            }
        } else {
            // What stays moves up, each field once.
            bytes.copy_within(from..place.end, to);
            to += place.end - from;
        }
        from = place.end;
    }
    packed::splice(bytes, to, from, removed * TRIPLE, &[]);
    find_first_deadline(bytes);
    removed
}

/// The fields in order.
pub(super) fn fields(bytes: &[u8]) -> Fields<'_> {
    let mut elements = packed::elements(bytes);
    let has_deadlines = has_deadlines(bytes);
    if has_deadlines {
        elements.pass(TRIPLE);
    }
    Fields { elements, has_deadlines }
}

/// Walks over the fields of a small hash.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    elements: packed::Elements<'a>,
    has_deadlines: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let (name, value) = (self.elements.next()?, self.elements.next()?);
        let deadline_ms =
            if self.has_deadlines { deadline_of(self.elements.next()?) } else { None };
        Some(Field { name, value, deadline_ms })
    }
}

/// Checks the form and the head; for tests.
pub(super) fn check_invariants(bytes: &[u8]) {
    packed::check_invariants(bytes);
    let first = fields(bytes).filter_map(|field| field.deadline_ms).min();
    assert_eq!(first_deadline(bytes), first, "the head knows the earliest deadline");
    let mut names: Vec<Vec<u8>> = fields(bytes).map(|field| field.name.to_vec()).collect();
    let count = names.len();
    assert_eq!(count, len(bytes), "fields are whole");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "no field is there twice");
}

/// Gives the hash the form with deadlines.
fn add_deadlines(bytes: &mut Vec<u8>) {
    if has_deadlines(bytes) {
        return;
    }
    let plain = core::mem::take(bytes);
    let count = TRIPLE * (1 + len(&plain));
    bytes.reserve(plain.len() + HEADER_BYTES + HEAD_BYTES + len(&plain));
    let count = u16::try_from(count).expect("a packed hash has room for deadlines");
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.push(DOUBLE);
    bytes.extend_from_slice(&NEVER_MS.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    let mut at = HEADER_BYTES;
    while at < plain.len() {
        let end = packed::end_of(&plain, packed::end_of(&plain, at));
        bytes.extend_from_slice(&plain[at..end]);
        encoded(None).write(bytes);
        at = end;
    }
}

fn set_head(bytes: &mut [u8], deadline_ms: u64) {
    bytes[HEADER_BYTES + 1..HEADER_BYTES + 9].copy_from_slice(&deadline_ms.to_le_bytes());
}

/// Brings the head up to date after the deadline of one field has changed.
fn deadline_changed(bytes: &mut [u8], old: Option<u64>, new: Option<u64>) {
    if old == new {
        return;
    }
    let first = first_deadline(bytes);
    if let Some(new) = new
        && first.is_none_or(|first| new <= first)
    {
        set_head(bytes, new);
    } else if old.is_some() && old == first {
        find_first_deadline(bytes);
    }
}

fn find_first_deadline(bytes: &mut [u8]) {
    let first = fields(bytes).filter_map(|field| field.deadline_ms).min();
    set_head(bytes, first.unwrap_or(NEVER_MS));
}
