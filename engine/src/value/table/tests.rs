//! The table against a sorted map, with shapes forced; a scan's guarantee; uniform choice; size.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::rng::{Rng, Seed};
use crate::value::packed::Element;

const HASH_KEY: HashKey = (7, 11);

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn set(table: &mut Table, key: &[u8], value: &[u8], deadline_ms: Option<u64>) -> bool {
    table.set(&Encoded::string(key), &Encoded::string(value), deadline_ms)
}

fn keys_of(table: &Table) -> BTreeSet<Vec<u8>> {
    let keys: BTreeSet<Vec<u8>> = table.iter().map(|entry| entry.key().to_vec()).collect();
    assert_eq!(keys.len(), table.len(), "no key twice");
    keys
}

fn check(table: &Table, model: &Model) {
    table.check_invariants();
    assert_eq!(table.len(), model.len());
    let all: Model = table
        .iter()
        .map(|entry| (entry.key().to_vec(), (entry.value().to_vec(), entry.deadline_ms())))
        .collect();
    assert_eq!(&all, model);
    for (key, (value, deadline_ms)) in model {
        let entry = table.find(&Encoded::string(key)).expect("it is there");
        assert_eq!((entry.value().to_vec(), entry.deadline_ms()), (value.clone(), *deadline_ms));
    }
}

/// A string of a shape that matters: number, short, at the limits of forms, huge.
fn word(rng: &mut Rng, range: u64) -> Vec<u8> {
    let id = rng.below(range);
    match rng.below(20) {
        0..5 => id.to_string().into_bytes(),
        5..8 => (id as i64).wrapping_mul(-0x1234_5678_9abc).to_string().into_bytes(),
        8..16 => format!("word:{id:0width$}", width = 1 + id as usize % 12).into_bytes(),
        16 => vec![b'a' + (id % 26) as u8; 60 + id as usize % 8],
        17 => vec![b'a' + (id % 26) as u8; 195 + id as usize % 8],
        18 => vec![b'a' + (id % 26) as u8; 250 + id as usize % 10],
        _ => vec![b'a' + (id % 26) as u8; [0, 300, 5000, 40_000][id as usize % 4]],
    }
}

fn deadline(rng: &mut Rng) -> Option<u64> {
    rng.chance(1, 4).then(|| rng.below(DEADLINE_MS_MAX + 1))
}

/// Random operations; `growth` of ten add or change, the rest remove.
fn run(rng: &mut Rng, table: &mut Table, model: &mut Model, steps: usize, growth: u64, range: u64) {
    for _ in 0..steps {
        let key = word(rng, range);
        if rng.below(10) < growth {
            let (value, deadline_ms) = (word(rng, 1000), deadline(rng));
            let is_new = model.insert(key.clone(), (value.clone(), deadline_ms)).is_none();
            assert_eq!(set(table, &key, &value, deadline_ms), is_new);
        } else if rng.chance(1, 5) {
            let deadline_ms = deadline(rng);
            let known = model.get_mut(&key).map(|(_, old)| *old = deadline_ms).is_some();
            assert_eq!(table.set_deadline(&Encoded::string(&key), deadline_ms), known);
        } else {
            // A known key, most times.
            let key = model.range(key.clone()..).next().map_or(key, |(known, _)| known.clone());
            let known = model.remove(&key).is_some();
            assert_eq!(table.remove(&Encoded::string(&key)), known);
            assert!(!table.contains(&Encoded::string(&key)));
        }
    }
}

#[test]
fn pairs_behave_like_a_map_while_they_grow_change_and_shrink() {
    for seed in 0..8 {
        let mut rng = Rng::new(Seed(seed), "table");
        let (mut table, mut model) = (Table::of_pairs(HASH_KEY), Model::new());
        let range = [20, 500, 4000, 100_000][seed as usize % 4];
        for growth in [10, 7, 3, 9, 0] {
            run(&mut rng, &mut table, &mut model, 3000, growth, range);
            check(&table, &model);
            check(&table.clone(), &model);
        }
        while let Some((key, _)) = model.pop_first() {
            assert!(table.remove(&Encoded::string(&key)));
        }
        check(&table, &model);
        assert_eq!((table.root.len(), table.segments[0].leaves().len()), (1, 1), "all merged");
        assert!(table.memory_bytes() < 1000, "memory is given back");
    }
}

/// A draw tries slots up to the widest leaf: entries behind would never be drawn.
#[test]
fn leaves_that_grow_by_merging_are_drawn_from_to_their_ends() {
    let mut table = Table::of_pairs(HASH_KEY);
    // Long entries make leaves of few.
    let keys: Vec<Vec<u8>> = (0..4000).map(|i| format!("{i:0150}").into_bytes()).collect();
    for key in &keys {
        table.set(&Encoded::string(key), &Encoded::string(key), None);
    }
    let short: Vec<Vec<u8>> = (0..4000).map(|i| format!("s{i}").into_bytes()).collect();
    for (key, short) in keys.iter().zip(&short) {
        table.set(&Encoded::string(key), &Encoded::string(short), None);
    }
    for key in &keys[..3000] {
        assert!(table.remove(&Encoded::string(key)));
        table.check_invariants();
    }
}

#[test]
fn keys_alone_behave_like_a_set() {
    let mut rng = Rng::new(Seed(3), "table");
    let (mut table, mut model) = (Table::of_keys(HASH_KEY), BTreeSet::new());
    for step in 0..40_000 {
        let key = word(&mut rng, 9000);
        if rng.below(10) < if step < 25_000 { 8 } else { 1 } {
            assert_eq!(table.insert(&Encoded::string(&key)), model.insert(key));
        } else {
            assert_eq!(table.remove(&Encoded::string(&key)), model.remove(&key));
        }
        if step % 5000 == 0 {
            table.check_invariants();
            assert_eq!(keys_of(&table), model);
        }
    }
    table.check_invariants();
    assert_eq!(keys_of(&table), model);
    for key in &model {
        let hash = table.hash(&Encoded::string(key));
        assert!(table.find_hash(hash, |entry| entry.key().to_vec() == *key).is_some());
        assert!(table.find_hash(hash, |_| false).is_none());
    }
}

#[test]
fn a_scan_meets_all_that_stays_however_leaves_split_and_merge() {
    for seed in 0..12 {
        let mut rng = Rng::new(Seed(seed), "scan");
        let mut table = Table::of_keys(HASH_KEY);
        let stays: BTreeSet<Vec<u8>> =
            (0..3000).map(|id| format!("stays:{id}").into_bytes()).collect();
        stays.iter().for_each(|key| assert!(table.insert(&Encoded::string(key))));
        let mut others: Vec<Vec<u8>> = Vec::new();
        let (mut next_id, mut cursor, mut grows) = (0, 0, seed % 2 == 0);
        if !grows {
            (0..20_000).for_each(|id| others.push(format!("other:{id}").into_bytes()));
            others.iter().for_each(|key| assert!(table.insert(&Encoded::string(key))));
        }
        let mut met = BTreeSet::new();
        loop {
            cursor = table.scan(cursor, |entry| {
                met.insert(entry.key().to_vec());
            });
            if cursor == 0 {
                break;
            }
            for _ in 0..rng.below(400) {
                if grows && others.len() < 25_000 {
                    others.push(format!("later:{next_id}").into_bytes());
                    next_id += 1;
                    table.insert(&Encoded::string(others.last().expect("just added")));
                } else if let Some(key) = others.pop() {
                    table.remove(&Encoded::string(&key));
                }
            }
            grows ^= rng.chance(1, 20);
        }
        assert!(met.is_superset(&stays), "what stays is met");
        table.check_invariants();
    }
}

#[test]
fn a_scan_of_a_table_at_rest_meets_everything_once() {
    for len in [0, 1, 44, 45, 100, 1000, 5000] {
        let mut table = Table::of_keys(HASH_KEY);
        (0..len).for_each(|id| assert!(table.insert(&Encoded::integer(id * 1_000_003))));
        let (mut met, mut cursor) = (Vec::new(), 0);
        loop {
            cursor = table.scan(cursor, |entry| met.push(entry.key().to_vec()));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(met.len() as i64, len, "nothing twice");
        assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), keys_of(&table));
    }
}

/// Moves everything to another table, a leaf's keys after the other in the order of a scan; both
/// tables use the same hash function.
#[test]
fn tables_that_are_filled_and_emptied_in_the_order_of_a_scan_stay_even() {
    let mut from = Table::of_keys(HASH_KEY);
    (0..300_000).for_each(|id| assert!(from.insert(&Encoded::integer(id))));
    let (mut to, mut cursor, mut steps) = (Table::of_keys(HASH_KEY), 0, 0);
    loop {
        let mut keys = Vec::new();
        let next = from.scan(cursor, |entry| keys.push(entry.key().to_vec()));
        for key in &keys {
            assert!(from.remove(&Encoded::string(key)));
            assert!(to.insert(&Encoded::string(key)));
        }
        steps += 1;
        if steps % 1000 == 0 {
            for table in [&from, &to] {
                table.check_invariants();
                let widest = table.segments.iter().flat_map(|it| it.leaves().iter()).map(Leaf::len);
                assert!(widest.max().expect("there is a leaf") <= 64, "no leaf takes it all");
                let bytes = table.memory_bytes();
                assert!(bytes < 5000 + table.len() * 15, "{bytes} for {}", table.len());
            }
        }
        if next == 0 {
            break;
        }
        cursor = next;
    }
    assert_eq!((from.len(), to.len()), (0, 300_000));
    from.check_invariants();
    to.check_invariants();
}

#[test]
fn every_entry_is_chosen_as_often_as_any_other() {
    for len in [3_i64, 200, 1500] {
        let mut rng = Rng::new(Seed(9), "choice");
        let mut table = Table::of_keys(HASH_KEY);
        (0..len * 3).for_each(|id| assert!(table.insert(&Encoded::integer(id))));
        (len..len * 3).for_each(|id| assert!(table.remove(&Encoded::integer(id))));
        let index = |entry: Entry<'_>| match entry.key() {
            Element::Integer(id) => id as usize,
            other => panic!("{other:?}"),
        };
        let mut times = vec![0_u32; len as usize];
        for _ in 0..len * 400 {
            times[index(table.random(&mut rng).expect("there is one"))] += 1;
        }
        assert!(times.iter().all(|&n| (290..520).contains(&n)), "{times:?}");
        for count in [1, len as usize / 20, len as usize / 2, len as usize, len as usize + 5] {
            let mut chosen = Vec::new();
            table.choose(&mut rng, count, |entry| chosen.push(index(entry)));
            assert_eq!(chosen.len(), count.min(len as usize));
            assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len(), "different");
        }
        let mut times = vec![0_u32; len as usize];
        let (few, rounds) = ((len as usize / 10).max(1), 4000);
        for _ in 0..rounds {
            table.choose(&mut rng, few, |entry| times[index(entry)] += 1);
        }
        let mean = (few * rounds) as f64 / len as f64;
        let deviation = 6.0 * mean.sqrt();
        assert!(times.iter().all(|&n| (f64::from(n) - mean).abs() < deviation), "{times:?}");
    }
    assert!(Table::of_keys(HASH_KEY).random(&mut Rng::new(Seed(1), "none")).is_none());
}

#[test]
fn entries_take_few_bytes() {
    let mut rng = Rng::new(Seed(5), "bytes");
    let (mut members, mut integers) = (Table::of_keys(HASH_KEY), Table::of_keys(HASH_KEY));
    let mut pairs = Table::of_pairs(HASH_KEY);
    let len = 200_000;
    for id in 0..len {
        members.insert(&Encoded::string(format!("member:{id:07}").as_bytes()));
        integers.insert(&Encoded::integer(rng.next_u64() as i64));
        let value = format!("{:016x}", rng.next_u64());
        set(&mut pairs, format!("fld:{id:05}").as_bytes(), value.as_bytes(), None);
    }
    for (table, bytes_max) in [(members, 21), (integers, 15), (pairs, 34)] {
        let bytes = table.memory_bytes() as f64 / len as f64;
        assert!(bytes < f64::from(bytes_max), "{bytes} bytes per entry, not {bytes_max}");
    }
}

#[test]
fn a_table_is_freed_in_bounded_steps() {
    let mut table = Table::of_pairs(HASH_KEY);
    let huge = vec![b'x'; 3 << 20];
    (0..50_000).for_each(|id| {
        table.set(&Encoded::integer(id), &Encoded::integer(-id), None);
    });
    (0..1000).for_each(|id| {
        table.set(&Encoded::integer(id), &Encoded::string(&huge[..250]), None);
    });
    table.set(&Encoded::string(b"huge"), &Encoded::string(&huge), None);
    assert!(table.is_big());
    let mut steps = 1;
    let mut before = table.memory_bytes();
    while !table.free_some() {
        steps += 1;
        let after = table.memory_bytes();
        assert!(before - after < (1 << 20) + (1 << 19), "{} at once", before - after);
        before = after;
    }
    assert!((8..40).contains(&steps), "{steps} steps");
    assert!(table.memory_bytes() < 1000, "nothing is left");
}
