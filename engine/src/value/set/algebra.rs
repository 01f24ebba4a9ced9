//! Intersection, union and difference of sets.
//!
//! Members are visited where they lie; only where looking each one up in the other sets would cost
//! more is a table made of them. A visitor that returns [`ControlFlow::Break`] ends the work.
//!
//! Invariant: every member of the result is visited exactly once.

use core::cmp::Reverse;
use core::ops::ControlFlow;

use super::{Limits, Set, SetRef};
use crate::value::collection::Collection;
use crate::value::hyperloglog;
use crate::value::packed::Element;

/// A sketch of a union has at most these bytes before it becomes dense.
const SPARSE_BYTES_MAX: usize = 3000;
const WELL_FORMED: &str = "the sketch was made here";
/// What it costs to put a member into a table, in the unit of [`lookup_cost`].
const INSERT_COST: usize = 12;

/// Visits what is in all of the sets.
pub fn intersection<'a>(
    sets: &mut [SetRef<'a>],
    mut visit: impl FnMut(Element<'a>) -> ControlFlow<()>,
) {
    // The smallest set bounds the work; a small one rules most members out early.
    sets.sort_by_key(|set| set.len());
    let Some((&smallest, others)) = sets.split_first() else { return };
    for member in smallest.iter() {
        let is_in = |set: &SetRef<'_>| set.is_same(smallest) || set.contains(member);
        if others.iter().all(is_in) && visit(member).is_break() {
            return;
        }
    }
}

/// The intersection as a set of its own.
pub fn intersection_set(sets: &mut [SetRef<'_>], limits: &Limits) -> Set {
    let all_integers = |set: &SetRef<'_>| matches!(set, SetRef::Integers(_));
    // Redis looks at the smallest only.
    let smallest = sets.iter().min_by_key(|set| set.len());
    let mut result = match smallest {
        Some(set) if !all_integers(set) => Set::empty_packed(),
        _ => Set::default(),
    };
    intersection(sets, |member| {
        result.insert_new(member, limits);
        ControlFlow::Continue(())
    });
    result.prefer_integers(limits);
    result
}

/// Visits what is in any of the sets.
pub fn union<'a>(
    sets: &mut [SetRef<'a>],
    limits: &Limits,
    mut visit: impl FnMut(Element<'a>) -> ControlFlow<()>,
) {
    if is_looked_up(sets) {
        return union_by_lookup(sets, visit);
    }
    let mut seen = Set::table(limits);
    for member in sets.iter().flat_map(|set| set.iter()) {
        if seen.insert(member, limits) && visit(member).is_break() {
            return;
        }
    }
}

/// Estimates the size of the union in little memory, however large the sets are; where it takes
/// none to be exact, this is exact.
pub fn estimate_union(sets: &mut [SetRef<'_>]) -> u64 {
    let mut count = 0;
    if is_looked_up(sets) {
        union_by_lookup(sets, |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        return count;
    }
    let mut sketch = hyperloglog::empty();
    for member in sets.iter().flat_map(|set| set.iter()) {
        let mut buffer = itoa::Buffer::new();
        let text = member.bytes(&mut buffer);
        hyperloglog::add(&mut sketch, text, SPARSE_BYTES_MAX).expect(WELL_FORMED);
    }
    hyperloglog::count(&sketch).expect(WELL_FORMED)
}

/// Whether a union is found by looking each member up in the sets before its own. Orders the sets
/// for it: nothing has to be looked up for the members of the largest.
fn is_looked_up(sets: &mut [SetRef<'_>]) -> bool {
    sets.sort_by_key(|set| Reverse(set.len()));
    let (mut looking_up, mut before, mut members) = (0_usize, 0, 0);
    for set in &*sets {
        looking_up = looking_up.saturating_add(set.len().saturating_mul(before));
        before += lookup_cost(*set);
        members += set.len();
    }
    looking_up <= members.saturating_mul(INSERT_COST)
}

fn union_by_lookup<'a>(sets: &[SetRef<'a>], mut visit: impl FnMut(Element<'a>) -> ControlFlow<()>) {
    for (index, set) in sets.iter().enumerate() {
        for member in set.iter() {
            let is_new = !sets[..index].iter().any(|earlier| earlier.contains(member));
            if is_new && visit(member).is_break() {
                return;
            }
        }
    }
}

/// The union as a set of its own.
pub fn union_set(sets: &mut [SetRef<'_>], limits: &Limits) -> Set {
    sets.sort_by_key(|set| Reverse(set.len()));
    let Some((&largest, others)) = sets.split_first() else { return Set::default() };
    let mut result = copy(largest, limits);
    for set in others {
        for member in set.iter() {
            result.insert(member, limits);
        }
    }
    result
}

/// Visits what is in the first set and in none of the others.
pub fn difference<'a>(
    first: SetRef<'a>,
    others: &mut [SetRef<'a>],
    limits: &Limits,
    mut visit: impl FnMut(Element<'_>) -> ControlFlow<()>,
) {
    if others.iter().any(|set| set.is_same(first)) {
        return;
    }
    if is_searched(first, others) {
        for member in first.iter() {
            let is_left = !others.iter().any(|set| set.contains(member));
            if is_left && visit(member).is_break() {
                return;
            }
        }
    } else {
        let left = subtract(first, others, limits);
        let _ = left.reader().iter().try_for_each(visit);
    }
}

/// The difference as a set of its own.
pub fn difference_set(first: SetRef<'_>, others: &mut [SetRef<'_>], limits: &Limits) -> Set {
    if others.iter().any(|set| set.is_same(first)) {
        return Set::default();
    }
    if !is_searched(first, others) {
        return subtract(first, others, limits);
    }
    let mut result = Set::default();
    for member in first.iter() {
        if !others.iter().any(|set| set.contains(member)) {
            result.insert_new(member, limits);
        }
    }
    result
}

/// Whether a difference is found by looking the members of the first set up in the others, and not
/// by taking their members out of a copy. Orders the others for it: a large one rules most out.
fn is_searched(first: SetRef<'_>, others: &mut [SetRef<'_>]) -> bool {
    let total: usize = others.iter().map(|set| set.len()).sum();
    // Redis's estimate of the work of both ways.
    let searching = first.len().saturating_mul(others.len() + 1) / 2;
    let is_searched = searching <= first.len().saturating_add(total);
    if is_searched {
        others.sort_by_key(|set| Reverse(set.len()));
    }
    is_searched
}

/// The difference by taking the members of the others out of a copy.
fn subtract(first: SetRef<'_>, others: &[SetRef<'_>], limits: &Limits) -> Set {
    let mut left = copy(first, limits);
    for member in others.iter().flat_map(|set| set.iter()) {
        if left.remove(member) && left.is_empty() {
            break;
        }
    }
    left
}

/// A copy in the form that a set has when its members are added to nothing.
fn copy(set: SetRef<'_>, limits: &Limits) -> Set {
    if let SetRef::Table(table) = set
        && set.len() > limits.integers.max(limits.entries)
    {
        // It would become a table in any case.
        return Set::Table(Box::new(table.clone()));
    }
    let mut copy = Set::default();
    set.iter().for_each(|member| copy.insert_new(member, limits));
    copy
}

/// What looking a member up costs, in some unit of time.
fn lookup_cost(set: SetRef<'_>) -> usize {
    match set {
        SetRef::Integers(_) => 2,
        SetRef::Packed(_) => 2 + set.len() / 4,
        SetRef::Table(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::{Rng, Seed};
    use crate::value::set::member;
    use crate::value::set::tests::LIMITS;

    type Texts = BTreeSet<Vec<u8>>;
    type Visitor<'v> = &'v mut dyn FnMut(Element<'_>) -> ControlFlow<()>;

    /// Some sets of every form that have much in common, and the same as trees.
    fn random_sets(rng: &mut Rng) -> Vec<(Set, Texts)> {
        let most = if rng.chance(1, 2) { 4 } else { 40 };
        let count = 1 + rng.below(most);
        let sets = (0..count).map(|_| {
            let limits = if rng.chance(1, 3) { Limits { entries: 0, ..LIMITS } } else { LIMITS };
            let len = [0, 3, 20, 100, 700][rng.below(5) as usize];
            let integers = rng.chance(1, 2);
            let (mut set, mut tree) = (Set::default(), Texts::new());
            for _ in 0..len {
                let number = rng.below(len * 2 + 10);
                let text = if integers { number.to_string() } else { format!("m{number}") };
                let text = if rng.chance(1, 200) { "x".repeat(300) } else { text };
                set.insert(member(text.as_bytes()), &limits);
                tree.insert(text.into_bytes());
            }
            (set, tree)
        });
        sets.collect()
    }

    fn texts(set: &Set) -> Texts {
        set.check_invariants();
        set.reader().iter().map(Element::to_vec).collect()
    }

    /// Collects what is visited, which must not come twice.
    fn visited(run: impl FnOnce(Visitor<'_>)) -> Texts {
        let mut all = Texts::new();
        run(&mut |member| {
            assert!(all.insert(member.to_vec()), "a member came twice");
            ControlFlow::Continue(())
        });
        all
    }

    #[test]
    fn both_ways_give_what_trees_give() {
        let mut rng = Rng::new(Seed(31), "algebra");
        let (mut looked_up, mut searched) = (0, 0);
        for _ in 0..120 {
            let sets = random_sets(&mut rng);
            let refs = || sets.iter().map(|(set, _)| set.reader()).collect::<Vec<_>>();
            let trees = || sets.iter().map(|(_, tree)| tree);
            let first = &sets[0].1;
            looked_up += usize::from(is_looked_up(&mut refs()));
            searched += usize::from(is_searched(refs()[0], &mut refs()[1..]));

            let all: Texts = trees().flatten().cloned().collect();
            assert_eq!(visited(|visit| union(&mut refs(), &LIMITS, visit)), all);
            assert_eq!(texts(&union_set(&mut refs(), &LIMITS)), all);
            let estimate = estimate_union(&mut refs()) as f64;
            assert!((estimate - all.len() as f64).abs() <= 2.0 + all.len() as f64 / 20.0);

            let common: Texts =
                first.iter().filter(|it| trees().all(|tree| tree.contains(*it))).cloned().collect();
            assert_eq!(visited(|visit| intersection(&mut refs(), visit)), common);
            assert_eq!(texts(&intersection_set(&mut refs(), &LIMITS)), common);

            let others = || trees().skip(1);
            let left: Texts = first
                .iter()
                .filter(|it| !others().any(|tree| tree.contains(*it)))
                .cloned()
                .collect();
            let mut rest = refs();
            let subtrahends = &mut rest[1..];
            let set = sets[0].0.reader();
            assert_eq!(visited(|visit| difference(set, subtrahends, &LIMITS, visit)), left);
            assert_eq!(texts(&difference_set(set, subtrahends, &LIMITS)), left);
        }
        assert!((10..110).contains(&looked_up), "{looked_up} unions by lookup");
        assert!((10..110).contains(&searched), "{searched} differences by search");
    }

    #[test]
    fn a_visitor_ends_the_work() {
        let (mut set, mut table) = (Set::default(), Set::table(&LIMITS));
        for number in 0..100 {
            set.insert(Element::Integer(number), &LIMITS);
            table.insert(Element::Integer(number), &LIMITS);
        }
        let (set, table) = (set.reader(), table.reader());
        let few = |run: &mut dyn FnMut(Visitor<'_>)| {
            let mut seen = 0;
            run(&mut |_| {
                seen += 1;
                if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(seen, 3);
        };
        few(&mut |visit| intersection(&mut [set, table], visit));
        few(&mut |visit| union(&mut [set, table], &LIMITS, visit));
        few(&mut |visit| difference(set, &mut [], &LIMITS, visit));
    }

    #[test]
    fn a_set_without_itself_is_empty() {
        let mut set = Set::default();
        (0..5).for_each(|number| assert!(set.insert(Element::Integer(number), &LIMITS)));
        let set = set.reader();
        assert_eq!(visited(|visit| difference(set, &mut [set], &LIMITS, visit)), Texts::new());
        assert!(difference_set(set, &mut [set], &LIMITS).is_empty());
        assert_eq!(texts(&intersection_set(&mut [set, set], &LIMITS)).len(), 5);
    }
}
