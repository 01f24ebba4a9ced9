//! Random members: every one, and every choice of several, is equally likely.

use super::integers::{self, Integers};
use super::{Limits, Set, SetRef};
use crate::rng::Rng;
use crate::value::collection::Collection;
use crate::value::packed::{self, Element, Encoded};
use crate::value::table::Table;

/// From this many picks on, the members of a packed set are listed once instead of walked to.
const LIST_PICKS_MIN: usize = 4;
/// Different members are drawn one by one from a table if it has so many times more of them.
const DRAW_RATIO_MIN: usize = 3;
/// What stays of a table is built anew if so many times more is popped.
const REBUILD_RATIO_MIN: usize = 5;

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
            && (self.wanted == self.left
                || self.rng.below(self.left as u64) < self.wanted as u64);
        self.left -= 1;
        self.wanted -= usize::from(takes);
        takes
    }

    fn is_complete(&self) -> bool {
        self.wanted == 0
    }
}

impl<'a> SetRef<'a> {
    /// A random member.
    ///
    /// # Panics
    /// If there is none.
    pub fn random(self, rng: &mut Rng) -> Element<'a> {
        match self {
            Self::Integers(integers) => {
                Element::Integer(integers.at(rng.below(integers.len() as u64) as usize))
            }
            Self::Packed(bytes) => {
                let index = rng.below(packed::count(bytes) as u64) as usize;
                let mut elements = packed::elements(bytes);
                elements.pass(index);
                elements.next().expect("a set knows its count")
            }
            Self::Table(table) => table.random(rng).0,
        }
    }

    /// Visits `count` random members, each drawn from all of them.
    ///
    /// # Panics
    /// If there is none.
    pub fn draw(self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'a>)) {
        match self {
            Self::Packed(bytes) if count >= LIST_PICKS_MIN => {
                let members: Vec<Element<'_>> = packed::elements(bytes).collect();
                for _ in 0..count {
                    visit(members[rng.below(members.len() as u64) as usize]);
                }
            }
            _ => (0..count).for_each(|_| visit(self.random(rng))),
        }
    }

    /// Visits `count` different members, or all if there are not so many, in no particular order.
    pub fn choose(
        self,
        count: usize,
        limits: &Limits,
        rng: &mut Rng,
        mut visit: impl FnMut(Element<'a>),
    ) {
        let len = self.len();
        match self {
            Self::Table(table) if count <= len / DRAW_RATIO_MIN => {
                // Few of many: those that were drawn before are drawn again rarely.
                let mut drawn = Table::new(limits.hash_key);
                while drawn.len() < count {
                    let (member, _) = table.random(rng);
                    if drawn.insert(&Encoded::element(member), &[]) {
                        visit(member);
                    }
                }
            }
            _ if count >= len => self.iter().for_each(visit),
            _ => {
                let mut selection = Selection::new(count, len, rng);
                for member in self.iter() {
                    if selection.takes_next() {
                        visit(member);
                    }
                    if selection.is_complete() {
                        break;
                    }
                }
            }
        }
    }
}

impl Set {
    /// Removes a random member after a visit to it.
    ///
    /// # Panics
    /// If there is none.
    pub fn pop(&mut self, rng: &mut Rng, visit: impl FnOnce(Element<'_>)) {
        match self {
            Self::Packed(bytes) => match Integers::read(bytes) {
                Some(set) => {
                    let rank = rng.below(set.len() as u64) as usize;
                    visit(Element::Integer(set.at(rank)));
                    integers::remove_at(bytes, rank);
                }
                None => {
                    let mut elements = packed::elements(bytes);
                    elements.pass(rng.below(packed::count(bytes) as u64) as usize);
                    let start = elements.offset();
                    visit(elements.next().expect("a set knows its count"));
                    let end = elements.offset();
                    packed::splice(bytes, start, end, 1, &[]);
                }
            },
            Self::Table(table) => {
                table.pop_random(rng, |member, _| visit(member));
            }
        }
    }

    /// Removes `count` random members after a visit to each; there must be more than so many.
    pub fn pop_some(
        &mut self,
        count: usize,
        limits: &Limits,
        rng: &mut Rng,
        mut visit: impl FnMut(Element<'_>),
    ) {
        let len = self.reader().len();
        debug_assert!(count < len, "who pops all deletes the key");
        let mut selection = Selection::new(count, len, rng);
        let rest = match self {
            Self::Packed(bytes) if Integers::read(bytes).is_some() => {
                integers::retain(bytes, |value| {
                    let takes = selection.takes_next();
                    if takes {
                        visit(Element::Integer(value));
                    }
                    !takes
                });
                return;
            }
            Self::Packed(bytes) => {
                let mut rest = Vec::with_capacity(bytes.len());
                for member in packed::elements(bytes) {
                    if selection.takes_next() {
                        visit(member);
                    } else {
                        packed::push(&mut rest, &Encoded::element(member));
                    }
                }
                Self::Packed(rest)
            }
            Self::Table(_) if (len - count) * REBUILD_RATIO_MIN > count => {
                (0..count).for_each(|_| self.pop(rng, &mut visit));
                return;
            }
            Self::Table(table) => {
                let mut rest: Option<Self> = None;
                for (member, _) in table.iter() {
                    if selection.takes_next() {
                        visit(member);
                    } else {
                        let rest = rest.get_or_insert_with(|| Self::create(member, 1, limits));
                        rest.insert_new(member, limits);
                    }
                }
                rest.expect("not all are popped")
            }
        };
        *self = rest;
    }
}
