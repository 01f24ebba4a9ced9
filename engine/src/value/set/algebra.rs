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
use crate::value::packed::Element;

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
    // Nothing has to be looked up for the members of the largest.
    sets.sort_by_key(|set| Reverse(set.len()));
    let (mut by_lookup, mut before, mut members) = (0_usize, 0, 0);
    for set in &*sets {
        by_lookup = by_lookup.saturating_add(set.len().saturating_mul(before));
        before += lookup_cost(*set);
        members += set.len();
    }
    if by_lookup <= members.saturating_mul(INSERT_COST) {
        for (index, set) in sets.iter().enumerate() {
            for member in set.iter() {
                let is_new = !sets[..index].iter().any(|earlier| earlier.contains(member));
                if is_new && visit(member).is_break() {
                    return;
                }
            }
        }
    } else {
        let mut seen = Set::table(limits);
        for member in sets.iter().flat_map(|set| set.iter()) {
            if seen.insert(member, limits) && visit(member).is_break() {
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
