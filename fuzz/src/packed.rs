//! Every packing of small collections: any bytes are read or refused, and what is read can be
//! written and read again.

use orrery_engine::value::rdb::listpack::{Builder, Listpack};
use orrery_engine::value::rdb::{Corrupt, Dialect, Element, Item, Kind, Saver, Target, kind, load};

/// The types whose value is one string with everything in it: zipmap, ziplists, intset, listpacks.
const TYPES: [u8; 9] = [9, 10, 11, 12, 13, 16, 17, 20, 23];

/// A part of a value that owns its bytes.
#[derive(Debug, PartialEq)]
enum Part {
    Element(Vec<u8>),
    Field(Vec<u8>, Vec<u8>, Option<u64>),
    Member(Vec<u8>, u64),
}

fn read(value: &[u8]) -> Result<Vec<Part>, Corrupt> {
    let mut parts = Vec::new();
    load(value, Dialect::Redis, &mut |item| {
        parts.push(match item {
            Item::ListElement(element) | Item::SetMember(element) => {
                Part::Element(element.to_vec())
            }
            Item::HashField { field, value, deadline_ms } => {
                Part::Field(field.to_vec(), value.to_vec(), deadline_ms)
            }
            Item::ZsetMember { member, score } => Part::Member(member.to_vec(), score.to_bits()),
            other => panic!("{other:?}"),
        });
        Ok(())
    })?;
    Ok(parts)
}

/// The first byte chooses the packing, the others are packed.
pub fn packed_values_are_read(data: &[u8]) {
    let [choice, packed @ ..] = data else { return };
    let mut value = vec![TYPES[usize::from(*choice) % TYPES.len()], 0x80];
    value.extend_from_slice(&(packed.len() as u32).to_be_bytes());
    value.extend_from_slice(packed);
    if let Ok(entries) = Listpack::open(packed) {
        let entries: Result<Vec<Element<'_>>, Corrupt> = entries.collect();
        if let Ok(entries) = entries {
            rebuilt_listpacks_are_the_same(&entries);
        }
    }
    let Ok(parts) = read(&value) else { return };
    assert!(!parts.is_empty(), "no collection is empty");
    for compress in [false, true] {
        let mut saver = Saver::new(Target::Redis72, compress);
        match kind(value[0], Dialect::Redis) {
            Ok(Kind::Hash) => write_hash(&mut saver, &parts),
            Ok(Kind::Zset) => saver.small_zset(parts.iter().map(|part| match part {
                Part::Member(member, score) => (Element::Bytes(member), f64::from_bits(*score)),
                other => panic!("{other:?}"),
            })),
            _ => saver.set(parts.len(), parts.iter().map(element)),
        }
        assert_eq!(read(&saver.into_value().0).as_ref(), Ok(&parts));
    }
}

fn element(part: &Part) -> Element<'_> {
    match part {
        Part::Element(element) => Element::Bytes(element),
        other => panic!("{other:?}"),
    }
}

fn write_hash(saver: &mut Saver, parts: &[Part]) {
    let fields = || {
        parts.iter().map(|part| match part {
            Part::Field(field, value, time) => {
                (Element::Bytes(field), Element::Bytes(value), *time)
            }
            other => panic!("{other:?}"),
        })
    };
    match fields().filter_map(|(.., time)| time).min() {
        Some(earliest) => saver.hash_with_deadlines(parts.len(), earliest, fields()),
        None => saver.small_hash(fields().map(|(field, value, _)| (field, value))),
    }
}

/// Integers may be written longer than they need to be; strings that spell some become integers.
fn rebuilt_listpacks_are_the_same(entries: &[Element<'_>]) {
    let mut builder = Builder::default();
    entries.iter().for_each(|&entry| builder.push(entry));
    let bytes = builder.finish();
    let again = Listpack::open(&bytes).expect("what is built is sound");
    let again: Vec<Vec<u8>> =
        again.map(|entry| entry.expect("what is built is sound").to_vec()).collect();
    let before: Vec<Vec<u8>> = entries.iter().map(|entry| entry.to_vec()).collect();
    assert_eq!(again, before);
}
