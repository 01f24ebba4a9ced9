//! Hashes in both forms against a sorted map, deadlines included.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::rng::{Rng, Seed};

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn limits(entries: usize, value_bytes: usize) -> Limits {
    Limits { entries, value_bytes, hash_key: (3, 4) }
}

fn word(rng: &mut Rng, range: u64) -> Vec<u8> {
    let id = rng.below(range);
    match rng.below(12) {
        0..4 => id.to_string().into_bytes(),
        4 => (-(id as i64) * 99_999_999).to_string().into_bytes(),
        5..11 => format!("field:{id}").into_bytes(),
        _ => vec![b'x'; [0, 63, 64, 65, 300][id as usize % 5]],
    }
}

fn check(hash: &Hash, model: &Model, now_ms: u64) {
    hash.check_invariants();
    let reader = hash.reader();
    let all: Model = reader
        .iter()
        .map(|field| (field.name.to_vec(), (field.value.to_vec(), field.deadline_ms)))
        .collect();
    assert_eq!(&all, model);
    assert_eq!(reader.len(), model.len());
    assert_eq!(reader.first_deadline(), model.values().filter_map(|(_, at)| *at).min());
    let living = model.values().filter(|(_, at)| !is_due(*at, now_ms)).count();
    assert_eq!((reader.living_len(now_ms), reader.living(now_ms).count()), (living, living));
    let (mut scanned, mut cursor) = (BTreeSet::new(), 0);
    loop {
        cursor = reader.scan(cursor, |field| {
            scanned.insert(field.name.to_vec());
        });
        if cursor == 0 {
            break;
        }
    }
    assert!(scanned.iter().eq(model.keys()), "a scan meets all");
}

/// One random change of both.
fn change(rng: &mut Rng, hash: &mut Hash, model: &mut Model, limits: &Limits, now_ms: u64) {
    let range = limits.entries as u64 * 2;
    let name = word(rng, range);
    let deadline_ms = now_ms.saturating_sub(20) + 1 + rng.below(1000);
    match rng.below(10) {
        0..5 => {
            let value = word(rng, 1 << 30);
            let new = match rng.below(6) {
                0 => NewDeadline::At(deadline_ms),
                1 => NewDeadline::Keep,
                _ => NewDeadline::Discard,
            };
            let old = model.get(&name).and_then(|(_, at)| *at);
            let is_new = model.insert(name.clone(), (value.clone(), new.after(old))).is_none();
            assert_eq!(hash.set(&name, &value, new, limits), is_new);
        }
        5..7 => {
            let deadline_ms = rng.chance(2, 3).then_some(deadline_ms);
            let known = model.get_mut(&name).map(|(_, at)| *at = deadline_ms).is_some();
            assert_eq!(hash.set_deadline(&name, deadline_ms), known);
        }
        7 => {
            let due = model.get(&name).is_some_and(|(_, at)| is_due(*at, now_ms));
            if due {
                model.remove(&name);
            }
            assert_eq!(hash.remove_if_due(&name, now_ms), due);
        }
        _ => assert_eq!(hash.remove(&name), model.remove(&name).is_some()),
    }
    let found = hash.reader().find(&name).map(|field| (field.value.to_vec(), field.deadline_ms));
    assert_eq!(found.as_ref(), model.get(&name));
}

#[test]
fn hashes_behave_like_maps_in_both_forms() {
    for seed in 0..12 {
        let mut rng = Rng::new(Seed(seed), "hash");
        let limits = [limits(4, 64), limits(100, 64), limits(1000, 400)][seed as usize % 3];
        let (mut hash, mut model, mut now_ms) = (Hash::default(), Model::new(), 0);
        for step in 0..3000 {
            change(&mut rng, &mut hash, &mut model, &limits, now_ms);
            if rng.chance(1, 20) {
                now_ms += rng.below(100);
            }
            if step % 97 == 0 {
                let due = model.values().filter(|(_, at)| is_due(*at, now_ms)).count();
                let (max, mut gone) = (rng.below(8) as usize, Vec::new());
                assert_eq!(hash.remove_due(now_ms, max, Some(&mut gone)), due.min(max));
                // Which of those that are due together went first is the hash's choice, but
                // earlier ones are taken from a table before later ones.
                let before: Vec<Vec<u8>> = model.keys().cloned().collect();
                model.retain(|name, _| hash.reader().find(name).is_some());
                gone.sort();
                let left = before.into_iter().filter(|name| !model.contains_key(name));
                assert_eq!(gone, left.collect::<Vec<_>>());
                assert_eq!(hash.reader().len(), model.len());
                check(&hash, &model, now_ms);
                check(&hash.clone(), &model, now_ms);
            }
        }
        while let Some((name, _)) = model.pop_first() {
            assert!(hash.remove(&name));
        }
        check(&hash, &model, now_ms);
        assert!(hash.is_empty());
    }
}

#[test]
fn forms_have_their_names_and_limits() {
    let limits = limits(3, 5);
    let mut hash = Hash::default();
    for name in ["a", "b", "c"] {
        hash.set(name.as_bytes(), b"12345", NewDeadline::Discard, &limits);
        assert_eq!(hash.reader().encoding(), "listpack");
    }
    let packed = hash.packed().expect("it is packed").len();
    assert_eq!(packed, 2 + 3 * 5, "a field of one byte, a number of two, their headers");
    let mut expiring = hash.clone();
    assert!(expiring.set_deadline(b"b", Some(9)));
    assert_eq!(expiring.reader().encoding(), "listpackex");
    assert!(expiring.set_deadline(b"b", None));
    assert_eq!(expiring.reader().encoding(), "listpackex", "as in Redis");
    expiring.set(b"b", b"1", NewDeadline::At(7), &limits);
    for (name, value) in [("d", "1"), ("a", "123456"), ("abcdef", "")] {
        let (mut hash, mut expiring) = (hash.clone(), expiring.clone());
        hash.set(name.as_bytes(), value.as_bytes(), NewDeadline::Discard, &limits);
        assert_eq!(hash.reader().encoding(), "hashtable", "{name} {value}");
        expiring.set(name.as_bytes(), value.as_bytes(), NewDeadline::Discard, &limits);
        assert_eq!(expiring.reader().encoding(), "hashtable", "{name} {value}");
        assert_eq!(expiring.reader().first_deadline(), Some(7), "deadlines move along");
        expiring.check_invariants();
    }
}

#[test]
fn random_fields_are_alive_and_equally_likely() {
    for limits in [limits(1000, 64), limits(3, 64)] {
        let mut rng = Rng::new(Seed(2), "random");
        let mut hash = Hash::default();
        for id in 0..60_u8 {
            let new = if id % 3 == 0 { NewDeadline::At(5) } else { NewDeadline::Discard };
            hash.set(&[b'a', id], &[id], new, &limits);
        }
        for now_ms in [0, 6] {
            let reader = hash.reader();
            let len = reader.living_len(now_ms);
            assert_eq!(len, if now_ms == 0 { 60 } else { 40 });
            let mut times: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
            for _ in 0..200 * len {
                let field = reader.random(now_ms, &mut rng).expect("there is one");
                *times.entry(field.name.to_vec()).or_default() += 1;
            }
            let mut draws = 0;
            reader.draw(200 * len, now_ms, &mut rng, |field| {
                *times.entry(field.name.to_vec()).or_default() += 1;
                draws += 1;
                true
            });
            assert_eq!((times.len(), draws), (len, 200 * len));
            assert!(times.values().all(|&n| (280..520).contains(&n)), "{times:?}");
            for count in [0, 1, 10, len, len + 1] {
                let mut chosen = BTreeSet::new();
                reader.choose(count, now_ms, &mut rng, |field| {
                    assert!(chosen.insert(field.name.to_vec()), "different");
                });
                assert_eq!(chosen.len(), count.min(len));
            }
        }
        assert!(HashRef::EMPTY.random(0, &mut rng).is_none());
    }
}

#[test]
fn a_big_hash_is_freed_in_steps() {
    let mut hash = Hash::default();
    for id in 0..20_000 {
        let new = if id % 2 == 0 { NewDeadline::At(id) } else { NewDeadline::Discard };
        hash.set(format!("field:{id}").as_bytes(), b"value", new, &limits(10, 64));
    }
    assert!(hash.is_big());
    let mut steps = 1;
    while !hash.free_some() {
        steps += 1;
    }
    assert!((4..20).contains(&steps), "{steps} steps");
}
