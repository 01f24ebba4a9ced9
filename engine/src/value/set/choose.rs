//! Random members: every one, and every choice of several, is equally likely.

use super::integers::{self, Integers};
use super::{Limits, Set, SetRef};
use crate::rng::Rng;
use crate::value::packed::{self, Element, Encoded};

/// From this many picks on, the members of a packed set are listed once instead of walked to.
const LIST_PICKS_MIN: usize = 4;
/// Members are taken out of a table one by one unless so many times more are taken than stay.
const TAKEN_PER_LEFT_MAX: usize = 5;

/// Says of one item after the other whether it is among the chosen ones (Knuth, "The Art of
/// Computer Programming" 3.4.2, algorithm S).
#[derive(Debug)]
struct Selection<'r> {
    rng: &'r mut Rng,
    wanted: usize,
    left: usize,
}

impl<'r> Selection<'r> {
    /// `wanted` of `len` items.
    fn new(wanted: usize, len: usize, rng: &'r mut Rng) -> Self {
        Self { rng, wanted: wanted.min(len), left: len }
    }

    #[inline]
    fn takes_next(&mut self) -> bool {
        // Without a draw where there is no choice.
        let takes = self.wanted > 0
            && (self.wanted == self.left || self.rng.below(self.left as u64) < self.wanted as u64);
        self.left -= 1;
        self.wanted -= usize::from(takes);
        takes
    }

    fn is_complete(&self) -> bool {
        self.wanted == 0
    }
}

impl<'a> SetRef<'a> {
    /// A random member; `None` if there is none.
    pub fn random(self, rng: &mut Rng) -> Option<Element<'a>> {
        let mut rank = || (!self.is_empty()).then(|| rng.below(self.len() as u64) as usize);
        match self {
            Self::Integers(integers) => Some(Element::Integer(integers.at(rank()?))),
            Self::Packed(bytes) => {
                let mut elements = packed::elements(bytes);
                elements.pass(rank()?);
                elements.next()
            }
            Self::Table(table) => table.random(rng).map(|entry| entry.key()),
        }
    }

    /// Visits `count` random members, each drawn from all of them; none if there is none.
    pub fn draw(self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'a>)) {
        match self {
            Self::Packed(bytes) if count >= LIST_PICKS_MIN && !self.is_empty() => {
                let members: Vec<Element<'_>> = packed::elements(bytes).collect();
                for _ in 0..count {
                    visit(members[rng.below(members.len() as u64) as usize]);
                }
            }
            _ => {
                for _ in 0..count {
                    let Some(member) = self.random(rng) else { return };
                    visit(member);
                }
            }
        }
    }

    /// Visits `count` different members, or all if there are not so many, in no particular order.
    pub fn choose(self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'_>)) {
        if let Self::Table(table) = self {
            return table.choose(rng, count, |entry| visit(entry.key()));
        }
        let mut selection = Selection::new(count, self.len(), rng);
        for member in self.iter() {
            if selection.is_complete() {
                return;
            }
            if selection.takes_next() {
                visit(member);
            }
        }
    }

    /// Whether so many members are better taken out one by one than by building what is left anew.
    pub fn is_popped_singly(self, count: usize) -> bool {
        let left = self.len().saturating_sub(count);
        match self {
            Self::Integers(_) | Self::Packed(_) => count <= 1,
            Self::Table(_) => count < left.saturating_mul(TAKEN_PER_LEFT_MAX),
        }
    }

    /// Visits `count` different members, or all if there are not so many; returns what is left as a
    /// set of its own, which may have another form if this is a table.
    pub fn part(
        self,
        count: usize,
        limits: &Limits,
        rng: &mut Rng,
        mut visit: impl FnMut(Element<'a>),
    ) -> Set {
        let mut selection = Selection::new(count, self.len(), rng);
        let mut left = Set::default();
        let mut bytes = Vec::new();
        for member in self.iter() {
            if selection.takes_next() {
                visit(member);
                continue;
            }
            match (self, member) {
                (Self::Integers(_), Element::Integer(value)) => {
                    integers::insert(&mut bytes, value);
                }
                (Self::Table(_), _) => {
                    left.expect(member, 1, limits);
                    left.insert_new(member, limits);
                }
                _ => packed::push(&mut bytes, &Encoded::element(member)),
            }
        }
        if matches!(self, Self::Table(_)) { left } else { Set::Packed(bytes) }
    }
}

impl Set {
    /// Removes a random member after a visit to it; does nothing if there is none.
    pub fn pop(&mut self, rng: &mut Rng, visit: impl FnOnce(Element<'_>)) {
        match self {
            Self::Packed(bytes) => match Integers::read(bytes) {
                Some(set) if set.is_empty() => {}
                Some(set) => {
                    let rank = rng.below(set.len() as u64) as usize;
                    visit(Element::Integer(set.at(rank)));
                    integers::remove_at(bytes, rank);
                }
                None => {
                    let mut elements = packed::elements(bytes);
                    elements.pass(rng.below(packed::count(bytes).max(1) as u64) as usize);
                    let start = elements.offset();
                    let Some(member) = elements.next() else { return };
                    visit(member);
                    let end = elements.offset();
                    packed::splice(bytes, start, end, 1, &[]);
                }
            },
            Self::Table(table) => table.pop(rng, |entry| visit(entry.key())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rng::Seed;
    use crate::value::collection::Collection;
    use crate::value::set::member;
    use crate::value::set::tests::{LIMITS, numbered};

    type Visitor<'v> = &'v mut dyn FnMut(Element<'_>);

    /// A set of each form.
    fn forms() -> Vec<(Set, usize)> {
        let tables =
            [12, 300].map(|len| (numbered("m", len, &Limits { entries: 0, ..LIMITS }), len));
        [(numbered("", 12, &LIMITS), 12), (numbered("m", 12, &LIMITS), 12)]
            .into_iter()
            .chain(tables)
            .collect()
    }

    /// How far counts are from equal ones: the statistic of the chi-squared test, which has the
    /// mean `counts - 1` and a variance of twice that.
    fn assert_even(counts: &BTreeMap<Vec<u8>, usize>, members: usize, what: &str) {
        let total: usize = counts.values().sum();
        let expected = total as f64 / members as f64;
        let seen: f64 = counts.values().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
        let statistic = seen + (members - counts.len()) as f64 * expected;
        let degrees = (members - 1) as f64;
        let limit = degrees + 6.0 * (2.0 * degrees).sqrt();
        assert!(statistic < limit, "{what}: {statistic} of at most {limit}");
    }

    #[test]
    fn every_member_is_as_likely_as_any_other() {
        let mut rng = Rng::new(Seed(11), "choose");
        for (set, len) in forms() {
            let what = set.reader().encoding();
            let tally = |run: &mut dyn FnMut(Visitor<'_>)| {
                let mut counts = BTreeMap::new();
                run(&mut |member| *counts.entry(member.to_vec()).or_insert(0) += 1);
                assert_even(&counts, len, what);
            };
            let rounds = len * 60;
            tally(&mut |count| {
                (0..rounds).for_each(|_| count(set.reader().random(&mut rng).expect("a member")));
            });
            tally(&mut |count| set.reader().draw(rounds, &mut rng, count));
            tally(&mut |count| {
                (0..rounds).for_each(|_| set.clone().pop(&mut rng, &mut *count));
            });
            for share in [len / 20 + 1, len / 2, len - 1] {
                // Members of one choice differ, so that they spread more evenly than draws.
                tally(&mut |count| {
                    (0..rounds / share)
                        .for_each(|_| set.reader().choose(share, &mut rng, &mut *count));
                });
                tally(&mut |count| {
                    (0..rounds / share).for_each(|_| {
                        set.reader().part(share, &LIMITS, &mut rng, &mut *count);
                    });
                });
            }
        }
    }

    #[test]
    fn pairs_are_as_likely_as_any_other() {
        let mut rng = Rng::new(Seed(12), "choose");
        for (set, len) in forms().into_iter().take(3) {
            let mut counts = BTreeMap::new();
            for _ in 0..len * len * 40 {
                let mut pair = Vec::new();
                set.reader().choose(2, &mut rng, |member| pair.push(member.to_vec()));
                pair.sort();
                *counts.entry(pair.concat()).or_insert(0) += 1;
            }
            assert_even(&counts, len * (len - 1) / 2, set.reader().encoding());
        }
    }

    #[test]
    fn a_part_and_what_is_left_are_the_whole() {
        let mut rng = Rng::new(Seed(13), "choose");
        for (set, len) in forms() {
            for count in [0, 1, len / 2, len - 1, len, len + 5] {
                let mut all = Vec::new();
                let left = set.reader().part(count, &LIMITS, &mut rng, |it| all.push(it.to_vec()));
                left.check_invariants();
                assert_eq!(
                    (all.len(), left.reader().len()),
                    (count.min(len), len - count.min(len))
                );
                all.extend(left.reader().iter().map(Element::to_vec));
                all.sort();
                all.dedup();
                assert_eq!(all.len(), len);
                assert!(all.iter().all(|it| set.reader().contains(member(it))));
            }
        }
    }
}
