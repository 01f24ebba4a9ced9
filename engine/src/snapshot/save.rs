//! From the value of a key to its RDB form: each type in the packing that fits how it is held.

use crate::error::Error;
use crate::keyspace::Value;
use crate::value::rdb::{Element, Saver, Target};

/// Writes a value for these readers; long strings are compressed or not.
pub(crate) fn save(value: Value<'_>, target: Target, compress: bool) -> Result<Saver, Error> {
    let mut saver = Saver::new(target, compress);
    match value {
        Value::Bytes(bytes) => saver.string(Element::Bytes(bytes)),
        Value::Integer(value) => saver.string(Element::Integer(value)),
        #[allow(unreachable_patterns, reason = "there are types beside strings")]
        _ => return Err(Error::WrongType),
    }
    Ok(saver)
}
