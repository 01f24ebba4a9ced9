//! Trees with tiny nodes, and both forms of sorted sets, against a sorted vector.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::node::Shape;
use super::{Edge, Limits, Tree, Zset, ZsetRef};
use crate::rng::{Rng, Seed};
use crate::value::collection::Collection;

const HASH_KEY: (u64, u64) = (1, 2);
/// Some four keys in a leaf, some five children in an inner node: ten levels for a thousand keys.
const TINY: Shape = Shape { leaf_bytes: 96, children: 5, inner_bytes: 150, inline_bytes: 12 };
const SCORES: [f64; 9] = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1.0, 1.0, 2.0, 1e17, f64::INFINITY];

#[derive(Clone, Debug)]
enum Op {
    /// A member gets a score, whether it is there or not.
    Set(u16, usize),
    /// Members in a row get rising scores, as when a set is filled in order.
    Fill(u16, u16),
    Remove(u16),
    /// Ranks go, given in thousandths of the length.
    RemoveRanks(usize, usize),
    Position(u16, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let member = || prop_oneof![0..40_u16, 0..400_u16];
    let score = || 0..SCORES.len();
    prop_oneof![
        6 => (member(), score()).prop_map(|(member, score)| Op::Set(member, score)),
        1 => (member(), 0..60_u16).prop_map(|(member, count)| Op::Fill(member, count)),
        4 => member().prop_map(Op::Remove),
        1 => (0..1000_usize, 0..500_usize).prop_map(|(start, len)| Op::RemoveRanks(start, len)),
        2 => (member(), score()).prop_map(|(member, score)| Op::Position(member, score)),
    ]
}

/// Members with long common beginnings; every seventh is too long for tiny nodes.
fn name(member: u16) -> Vec<u8> {
    let tail = if member.is_multiple_of(7) { "with a long tail" } else { "" };
    format!("m:{:04}{tail}", member).into_bytes()
}

/// The simplest sorted set.
#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, f64>);

impl Model {
    fn sorted(&self) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> =
            self.0.iter().map(|(member, score)| (member.clone(), *score)).collect();
        all.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no NaN").then_with(|| a.0.cmp(&b.0)));
        all
    }

    /// Equal scores stay as they are: -0 does not become 0.
    fn set(&mut self, member: Vec<u8>, score: f64) {
        let old = self.0.entry(member).or_insert(score);
        if *old != score {
            *old = score;
        }
    }
}

fn pairs_of(zset: ZsetRef<'_>) -> Vec<(Vec<u8>, f64)> {
    zset.iter().map(|(member, score)| (member.to_vec(), score)).collect()
}

fn check_all(zset: ZsetRef<'_>, model: &Model) {
    let sorted = model.sorted();
    let bits = |pairs: &[(Vec<u8>, f64)]| {
        pairs.iter().map(|(member, score)| (member.clone(), score.to_bits())).collect::<Vec<_>>()
    };
    assert_eq!(bits(&pairs_of(zset)), bits(&sorted));
    let mut back: Vec<_> =
        zset.range_back(0..zset.len()).map(|(member, score)| (member.to_vec(), score)).collect();
    back.reverse();
    assert_eq!(back, sorted);
    for (rank, (member, score)) in sorted.iter().enumerate() {
        assert_eq!(zset.rank(member), Some((rank, *score)));
        assert_eq!(zset.score(member), Some(*score));
        assert_eq!(zset.at(rank).map(|(own, _)| own.to_vec()).as_ref(), Some(member));
    }
    let middle = sorted.len() / 3..sorted.len() / 2;
    let some: Vec<_> = zset.range(middle.clone()).map(|(member, _)| member.to_vec()).collect();
    assert!(some.iter().eq(sorted[middle].iter().map(|(member, _)| member)));
    assert_eq!(zset.rank(b"nobody"), None);
}

fn check_position(zset: ZsetRef<'_>, model: &Model, member: u16, score: usize) {
    let (score, name) = (SCORES[score], name(member));
    type Pair = (Vec<u8>, f64);
    let count = |edge: Edge<'_>, is_before: &dyn Fn(&Pair) -> bool| {
        let expected = model.sorted().iter().filter(|pair| is_before(pair)).count();
        assert_eq!(zset.position(edge), expected, "{edge:?}");
    };
    count(Edge::BeforeScore(score), &|pair| pair.1 < score);
    count(Edge::BehindScore(score), &|pair| pair.1 <= score);
    count(Edge::Start, &|_| false);
    count(Edge::End, &|_| true);
    let scores: BTreeSet<u64> = model.0.values().map(|score| (score + 0.0).to_bits()).collect();
    if scores.len() == 1 {
        count(Edge::BeforeMember(&name), &|pair| pair.0 < name);
        count(Edge::BehindMember(&name), &|pair| pair.0 <= name);
    }
}

fn apply(zset: &mut Zset, limits: &Limits, model: &mut Model, op: &Op) {
    match *op {
        Op::Set(member, score) => {
            let old = zset.insert(limits, &name(member), SCORES[score]);
            assert_eq!(old, model.0.get(&name(member)).copied());
            model.set(name(member), SCORES[score]);
        }
        Op::Fill(first, count) => {
            for member in first..first + count {
                zset.insert(limits, &name(member), f64::from(member) + 0.5);
                model.set(name(member), f64::from(member) + 0.5);
            }
        }
        Op::Remove(member) => {
            assert_eq!(zset.remove(&name(member)), model.0.remove(&name(member)));
        }
        Op::RemoveRanks(start, len) => {
            let start = model.0.len() * start / 1000;
            let ranks = start..(start + len * model.0.len() / 1000).min(model.0.len());
            for (member, _) in &model.sorted()[ranks.clone()] {
                model.0.remove(member);
            }
            zset.remove_ranks(ranks);
        }
        Op::Position(member, score) => check_position(zset.reader(), model, member, score),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_of_tiny_nodes_is_a_sorted_set(ops in prop::collection::vec(op(), 1..120)) {
        let limits = Limits { entries: 0, value_bytes: 0, hash_key: HASH_KEY };
        let mut zset = Zset::Tree(Box::new(Tree::with_shape(HASH_KEY, TINY)));
        let mut model = Model::default();
        for op in &ops {
            apply(&mut zset, &limits, &mut model, op);
            zset.check_invariants();
        }
        check_all(zset.reader(), &model);
        let copy = zset.clone();
        copy.check_invariants();
        zset.remove_ranks(0..model.0.len());
        zset.check_invariants();
        prop_assert!(zset.is_empty());
        prop_assert_eq!(copy.reader().len(), model.0.len());
    }

    #[test]
    fn both_forms_are_sorted_sets(
        ops in prop::collection::vec(op(), 1..60),
        entries in prop_oneof![Just(0_usize), Just(8), Just(64), Just(100_000)],
        value_bytes in prop_oneof![Just(6_usize), Just(64)],
    ) {
        let limits = Limits { entries, value_bytes, hash_key: HASH_KEY };
        let (mut zset, mut model) = (Zset::default(), Model::default());
        for op in &ops {
            apply(&mut zset, &limits, &mut model, op);
        }
        zset.check_invariants();
        check_all(zset.reader(), &model);
        if let Some(packed) = zset.packed() {
            prop_assert!(zset.reader().len() <= entries);
            check_all(Zset::from_packed(packed.to_vec()).reader(), &model);
        }
    }
}

#[test]
fn integers_are_members_too() {
    let limits = Limits { entries: 128, value_bytes: 64, hash_key: HASH_KEY };
    let mut zset = Zset::default();
    for member in ["10", "9", "-3", "x", "1000000"] {
        assert_eq!(zset.insert(&limits, member.as_bytes(), 1.0), None);
    }
    zset.check_invariants();
    let members: Vec<_> = pairs_of(zset.reader()).into_iter().map(|(member, _)| member).collect();
    assert_eq!(members, [&b"-3"[..], b"10", b"1000000", b"9", b"x"]);
    assert_eq!(zset.reader().position(Edge::BeforeMember(b"9")), 3);
    assert_eq!(zset.reader().position(Edge::BehindMember(b"9")), 4);
    assert_eq!(zset.remove(b"10"), Some(1.0));
}

fn filled(count: u32, score: impl Fn(u32) -> f64) -> Zset {
    let limits = Limits { entries: 128, value_bytes: 64, hash_key: HASH_KEY };
    let mut zset = Zset::default();
    for member in 0..count {
        zset.insert(&limits, format!("member:{member:07}").as_bytes(), score(member));
    }
    zset.check_invariants();
    zset
}

#[test]
fn an_element_of_a_big_set_costs_less_than_forty_bytes() {
    let count = 50_000;
    let rising = filled(count, |member| f64::from(member) * 0.5);
    // What the allocator adds is not seen here: about one byte for each element.
    let bytes = rising.memory_bytes() / count as usize;
    assert!(bytes < 39, "{bytes} bytes in order");
    let mixed = filled(count, |member| f64::from(member.wrapping_mul(2_654_435_761) >> 8));
    let bytes = mixed.memory_bytes() / count as usize;
    assert!(bytes < 42, "{bytes} bytes in any order");
}

#[test]
fn a_set_that_empties_gives_its_memory_back() {
    let mut zset = filled(20_000, f64::from);
    let grown = zset.memory_bytes();
    let mut rng = Rng::new(Seed(3), "zset");
    for left in (101..=20_000).rev() {
        let rank = rng.below(left) as usize;
        zset.remove_ranks(rank..rank + 1);
        if left % 1000 == 0 {
            zset.check_invariants();
        }
    }
    zset.check_invariants();
    assert!(zset.memory_bytes() < grown / 12, "{} of {grown}", zset.memory_bytes());
}

#[test]
fn members_are_drawn_evenly() {
    let zset = filled(1000, f64::from);
    let mut rng = Rng::new(Seed(4), "zset");
    let mut drawn = BTreeMap::<Vec<u8>, u32>::new();
    for _ in 0..100_000 {
        let (member, _) = zset.reader().random(&mut rng).expect("it is not empty");
        *drawn.entry(member.to_vec()).or_default() += 1;
    }
    assert_eq!(drawn.len(), 1000);
    assert!(drawn.values().all(|&count| (50..160).contains(&count)), "{drawn:?}");
}

#[test]
fn a_scan_meets_whoever_stays_although_scores_change_and_others_come_and_go() {
    let limits = Limits { entries: 128, value_bytes: 64, hash_key: HASH_KEY };
    for grows in [true, false] {
        // All scores are equal at first: the worst case for finding members again.
        let mut zset = filled(3000, |_| 1.0);
        let mut rng = Rng::new(Seed(6), "zset");
        let (mut cursor, mut seen, mut step) = (0, BTreeSet::new(), 3000_u32);
        loop {
            cursor = zset.reader().scan(cursor, |member, _| {
                seen.insert(member.to_vec());
            });
            if cursor == 0 {
                break;
            }
            for _ in 0..20 {
                step += 1;
                let stays = format!("member:{:07}", rng.below(1000));
                zset.insert(&limits, stays.as_bytes(), rng.below(5) as f64);
                if grows {
                    zset.insert(&limits, format!("member:{step:07}").as_bytes(), 1.0);
                } else {
                    let goes = format!("member:{:07}", 1000 + rng.below(2000));
                    zset.remove(goes.as_bytes());
                }
            }
        }
        zset.check_invariants();
        for member in 0..1000 {
            assert!(seen.contains(format!("member:{member:07}").as_bytes()), "{member} {grows}");
        }
    }
}

#[test]
fn a_big_set_is_freed_in_steps() {
    let limits = Limits { entries: 128, value_bytes: 64, hash_key: HASH_KEY };
    let mut zset = filled(50_000, f64::from);
    for member in 0..2000 {
        let long = format!("{member:0500}");
        zset.insert(&limits, long.as_bytes(), 1.0);
    }
    zset.insert(&limits, &vec![b'x'; 5 << 20], 1.0);
    zset.check_invariants();
    assert!(zset.is_big());
    let mut steps = 1;
    while !zset.free_some() {
        steps += 1;
    }
    assert!((12..60).contains(&steps), "{steps} steps");
}
