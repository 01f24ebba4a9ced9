//! From the value of a key to its RDB form: each type in the packing that fits how it is held.

use super::stream::{save_stream, save_stream_piece};
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

/// Writes a piece of a big value; `place` is 0 at first, then what was returned, and the value must
/// be the same. `None`: it is at its end. What is never big is one piece.
pub(crate) fn save_piece(
    saver: &mut Saver,
    value: Value<'_>,
    place: u64,
    piece_bytes: usize,
    encodings: &Encodings,
) -> Option<u64> {
    let before = saver.len();
    let is_full = |saver: &Saver| saver.len() - before >= piece_bytes;
    let mut next = Some(place);
    match value {
        Value::Bytes(bytes) => return saver.string_piece(bytes, place, piece_bytes),
        Value::Stream(stream) => {
            return save_stream_piece(saver, stream, place, piece_bytes, encodings);
        }
        Value::List(list) => {
            if place == 0 {
                saver.begin_list(list.part_count());
            }
            while let Some(number) = next.filter(|_| !is_full(saver)) {
                list.show_part(number as usize, |part| saver.list_part(part));
                next = Some(number + 1).filter(|&next| next < list.part_count() as u64);
            }
        }
        Value::Set(SetRef::Table(table)) => {
            if place == 0 {
                saver.begin_set(table.len());
            }
            while let Some(leaf) = next.filter(|_| !is_full(saver)) {
                next = table.show_leaf(leaf, |entry| saver.member(entry.key().into()));
            }
        }
        Value::Hash(hash @ HashRef::Table(_)) => {
            let earliest_ms = hash.first_deadline();
            if place == 0 {
                saver.begin_hash(hash.len(), earliest_ms);
            }
            while let Some(leaf) = next.filter(|_| !is_full(saver)) {
                next = hash.show_some(leaf, |field| {
                    let words = (field.name.into(), field.value.into(), field.deadline_ms);
                    saver.field(earliest_ms, words);
                });
            }
        }
        Value::Zset(zset @ ZsetRef::Tree(_)) => {
            if place == 0 {
                saver.begin_zset(zset.len());
            }
            let mut members = zset.range(place as usize..zset.len());
            let mut rank = place;
            while !is_full(saver) {
                let (member, score) = members.next()?;
                saver.scored(member.into(), score);
                rank += 1;
            }
            next = Some(rank);
        }
        _ => {
            save_into(saver, value, encodings);
            next = None;
        }
    }
    next
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
