//! From the value of a key to its RDB form: each type in the packing that fits how it is held.

use crate::error::Error;
use crate::keyspace::Value;
use crate::value::rdb::{Element, Saver, Target};
use crate::value::zset::ZsetRef;

/// Writes a value for these readers; long strings are compressed or not.
pub(crate) fn save(value: Value<'_>, target: Target, compress: bool) -> Result<Saver, Error> {
    let mut saver = Saver::new(target, compress);
    match value {
        Value::Bytes(bytes) => saver.string(Element::Bytes(bytes)),
        Value::Integer(value) => saver.string(Element::Integer(value)),
        Value::List(list) => saver.list(list.parts()),
        Value::Zset(zset) => save_zset(&mut saver, zset),
        #[allow(unreachable_patterns, reason = "there are types beside strings")]
        _ => return Err(Error::WrongType),
    }
    Ok(saver)
}

fn save_zset(saver: &mut Saver, zset: ZsetRef<'_>) {
    let members = zset.iter().map(|(member, score)| (Element::from(member), score));
    match zset {
        ZsetRef::Packed(_) => saver.small_zset(members),
        ZsetRef::Tree(_) => saver.zset(zset.len(), members),
    }
}
