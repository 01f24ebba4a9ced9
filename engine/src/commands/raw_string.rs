//! Changing strings as arrays of bytes: what bitmaps and HyperLogLogs have in common.
//!
//! Invariant: a long string is changed in place, a short one is rewritten; either way its encoding
//! is `raw` afterwards, as in Redis.

use super::Cx;
use super::substring::{COPIED_BYTES_MAX, set_modified};
use crate::error::Error;
use crate::keyspace::{Found, NewValue, Object};

/// A string that grows by more than this gets new memory, which the system has cleared.
const CLEARED_GROWTH_BYTES_MIN: usize = 64 << 10;

/// Lets `change` have the string at `found`. Its deadline stays. Other types are an error.
pub(super) fn edit<R>(
    cx: &mut Cx<'_>,
    found: Found,
    change: impl FnOnce(&mut Vec<u8>) -> R,
) -> Result<R, Error> {
    let access = cx.state.access_of_changed(cx.session.db, found);
    let db = cx.session.db;
    if let Some(string) = cx.state.keyspace.string_mut(db, found) {
        let before = string.capacity();
        let result = change(string);
        cx.state.keyspace.string_changed(db, found, before, access);
        return Ok(result);
    }
    let mut string = cx.value(found).string(&mut itoa::Buffer::new())?.to_vec();
    let result = change(&mut string);
    set_modified(cx, Some(found), &[], string);
    Ok(result)
}

/// Adds a key that was searched and not found.
pub(super) fn add(cx: &mut Cx<'_>, key: &[u8], string: Vec<u8>) {
    set_modified(cx, None, key, string);
}

/// Sets a key, whatever it held. It has no deadline afterwards.
pub(super) fn set(cx: &mut Cx<'_>, key: &[u8], string: Vec<u8>) {
    if string.len() > COPIED_BYTES_MAX {
        cx.set(key, NewValue::Object(Object::Raw(string)), None);
    } else {
        cx.set(key, NewValue::Modified(&string), None);
    }
}

/// Makes the encoding of the string at `found` `raw`, if it is not.
pub(super) fn make_raw(cx: &mut Cx<'_>, found: Found) -> Result<(), Error> {
    if cx.state.keyspace.db(cx.session.db).is_raw(found) {
        return Ok(());
    }
    edit(cx, found, |_| ())
}

/// Appends zero bytes until the string is `len` bytes long.
pub(super) fn grow(string: &mut Vec<u8>, len: usize) {
    if len > string.capacity() && len - string.len() >= CLEARED_GROWTH_BYTES_MIN {
        let mut cleared = vec![0; len];
        cleared[..string.len()].copy_from_slice(string);
        *string = cleared;
    } else if len > string.len() {
        string.resize(len, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_keeps_its_bytes() {
        let mut string = b"abc".to_vec();
        for len in [2, 3, 5, 100_000, 99, 300_000, 300_001] {
            let before = string.len();
            grow(&mut string, len);
            assert_eq!(string.len(), len.max(before));
            assert!(string.starts_with(b"abc") && string[3..].iter().all(|byte| *byte == 0));
        }
    }
}
