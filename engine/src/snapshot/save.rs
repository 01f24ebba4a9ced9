//! From the value of a key to its RDB form: each type in the packing that fits how it is held.

use super::stream::save_stream;
use crate::config::Encodings;
use crate::keyspace::Value;
use crate::value::hash::HashRef;
use crate::value::rdb::{Element, Saver};
use crate::value::set::SetRef;
use crate::value::zset::ZsetRef;

/// Writes a value for the readers that the settings name.
pub(crate) fn save(value: Value<'_>, encodings: &Encodings) -> Saver {
    let mut saver = Saver::new(encodings.rdb_target, encodings.rdb_compression);
    save_into(&mut saver, value, encodings);
    saver
}

/// The same, behind what was written before.
pub(crate) fn save_into(saver: &mut Saver, value: Value<'_>, encodings: &Encodings) {
    match value {
        Value::Bytes(bytes) => saver.string(Element::Bytes(bytes)),
        Value::Integer(value) => saver.string(Element::Integer(value)),
        Value::List(list) => {
            saver.begin_list(list.part_count());
            list.for_each_part(|part| saver.list_part(part));
        }
        Value::Set(set) => save_set(saver, set),
        Value::Hash(hash) => save_hash(saver, hash),
        Value::Zset(zset) => save_zset(saver, zset),
        Value::Stream(stream) => save_stream(saver, stream, encodings),
    }
}

fn save_set(saver: &mut Saver, set: SetRef<'_>) {
    let members = set.iter().map(Element::from);
    match set {
        SetRef::Integers(integers) => saver.integer_set(integers.iter()),
        SetRef::Packed(_) => saver.small_set(set.len(), members),
        SetRef::Table(_) => saver.set(set.len(), members),
    }
}

/// Fields whose deadlines have passed are written, too: whoever reads them knows their own time.
fn save_hash(saver: &mut Saver, hash: HashRef<'_>) {
    let element = Element::from;
    if let Some(earliest_ms) = hash.first_deadline() {
        let fields =
            hash.iter().map(|field| (element(field.name), element(field.value), field.deadline_ms));
        return saver.hash_with_deadlines(hash.len(), earliest_ms, fields);
    }
    let fields = hash.iter().map(|field| (element(field.name), element(field.value)));
    match hash {
        HashRef::Packed(_) => saver.small_hash(fields),
        HashRef::Table(_) => saver.hash(hash.len(), fields),
    }
}

fn save_zset(saver: &mut Saver, zset: ZsetRef<'_>) {
    let members = zset.iter().map(|(member, score)| (Element::from(member), score));
    match zset {
        ZsetRef::Packed(_) => saver.small_zset(members),
        ZsetRef::Tree(_) => saver.zset(zset.len(), members),
    }
}
