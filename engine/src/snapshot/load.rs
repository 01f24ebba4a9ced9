//! From RDB bytes to the value of a key.
//!
//! Invariant: what is refused leaves nothing behind.

use crate::config::Encodings;
use crate::keyspace::{NewValue, Object};
use crate::time::UnixMillis;
use crate::value::rdb::{self, Corrupt, Dialect, Item, Kind};

/// A value that was read.
pub(crate) enum Loaded {
    /// A string.
    String(Vec<u8>),
    /// Anything else.
    Object(Object),
}

impl Loaded {
    /// Gives the value to `store`.
    pub(crate) fn store(self, store: impl FnOnce(NewValue<'_>)) {
        match self {
            Self::String(bytes) => store(NewValue::String(&bytes)),
            Self::Object(object) => store(NewValue::Object(object)),
        }
    }
}

/// Reads a value, type byte first. `None`: a hash of which every field has expired.
pub(crate) fn load(
    value: &[u8],
    dialect: Dialect,
    _encodings: &Encodings,
    _now: UnixMillis,
) -> Result<Option<Loaded>, Corrupt> {
    match rdb::kind(value, dialect)? {
        Kind::String => string(value, dialect).map(Some),
        _ => Err(Corrupt("a type that is not there yet")),
    }
}

fn string(value: &[u8], dialect: Dialect) -> Result<Loaded, Corrupt> {
    let mut string = Vec::new();
    rdb::load(value, dialect, &mut |item| {
        if let Item::String(element) = item {
            string = element.to_vec();
        }
        Ok(())
    })?;
    Ok(Loaded::String(string))
}
