//! From the value of a key to its RDB form: each type in the packing that fits how it is held.

use crate::error::Error;
use crate::keyspace::Value;
use crate::value::rdb::{Element, Saver, Target};
use crate::value::set::SetRef;
use crate::value::zset::ZsetRef;

/// Writes a value for these readers; long strings are compressed or not.
pub(crate) fn save(value: Value<'_>, target: Target, compress: bool) -> Result<Saver, Error> {
    let mut saver = Saver::new(target, compress);
    match value {
        Value::Bytes(bytes) => saver.string(Element::Bytes(bytes)),
        Value::Integer(value) => saver.string(Element::Integer(value)),
        Value::List(list) => saver.list(list.parts()),
        Value::Set(set) => save_set(&mut saver, set),
        Value::Zset(zset) => save_zset(&mut saver, zset),
        #[allow(unreachable_patterns, reason = "there are types beside strings")]
        _ => return Err(Error::WrongType),
    }
    Ok(saver)
}

fn save_set(saver: &mut Saver, set: SetRef<'_>) {
    let members = set.iter().map(Element::from);
    match set {
        SetRef::Integers(integers) => saver.integer_set(integers.iter()),
        SetRef::Packed(_) => saver.small_set(set.len(), members),
        SetRef::Table(_) => saver.set(set.len(), members),
    }
}

fn save_zset(saver: &mut Saver, zset: ZsetRef<'_>) {
    let members = zset.iter().map(|(member, score)| (Element::from(member), score));
    match zset {
        ZsetRef::Packed(_) => saver.small_zset(members),
        ZsetRef::Tree(_) => saver.zset(zset.len(), members),
    }
}
