//! Sorted sets in the packed form: member, score, member, score, in the order of (score, member).
//!
//! Invariant: the pairs are in order, and no member is there twice.

use core::cmp::Ordering;
use core::ops::Range;

use super::edge::Edge;
use crate::value::packed::{
    self, Element, Elements, Encoded, HEADER_BYTES, element_at, elements_from, end_of,
};

/// Pairs that the form can hold, whatever the limits say.
pub(super) const PAIRS_MAX: usize = packed::ELEMENTS_MAX / 2;

/// One pair that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    /// How many pairs stand before it.
    pub(super) rank: usize,
    /// Its first byte.
    start: usize,
    /// The byte behind it.
    end: usize,
    pub(super) score: f64,
}

/// How many pairs there are.
#[inline]
pub(super) fn len(bytes: &[u8]) -> usize {
    packed::count(bytes) / 2
}

/// The pair of a member.
#[inline]
pub(super) fn find(bytes: &[u8], member: &[u8]) -> Option<Pair> {
    let place = packed::find(bytes, &Encoded::string(member), 2)?;
    let (score, end) = element_at(bytes, place.end);
    Some(Pair { rank: place.index / 2, start: place.start, end, score: score.score() })
}

/// How many pairs lie before an edge.
pub(super) fn position(bytes: &[u8], edge: Edge<'_>) -> usize {
    let mut buffer = itoa::Buffer::new();
    let mut before = 0;
    for (member, score) in (Pairs { elements: packed::elements(bytes) }) {
        let buffer = &mut buffer;
        if !edge.is_behind(score, move || member.bytes(buffer)) {
            break;
        }
        before += 1;
    }
    before
}

/// Appends a pair that comes behind all others.
pub(super) fn push(bytes: &mut Vec<u8>, member: &[u8], score: f64) {
    packed::push(bytes, &Encoded::string(member));
    packed::push(bytes, &Encoded::score(score));
}

/// Puts a pair in whose member is not there.
pub(super) fn insert(bytes: &mut Vec<u8>, member: &[u8], score: f64) {
    let at = place_of(bytes, member, score);
    packed::splice(bytes, at, at, 0, &[Encoded::string(member), Encoded::score(score)]);
}

/// Gives a pair that was found another score, and the place that it then has.
pub(super) fn move_pair(bytes: &mut Vec<u8>, pair: Pair, member: &[u8], score: f64) {
    packed::splice(bytes, pair.start, pair.end, 2, &[]);
    insert(bytes, member, score);
}

/// Takes a pair out that was found.
pub(super) fn remove(bytes: &mut Vec<u8>, pair: Pair) {
    packed::splice(bytes, pair.start, pair.end, 2, &[]);
}

/// Takes the pairs of these ranks out.
pub(super) fn remove_ranks(bytes: &mut Vec<u8>, ranks: Range<usize>) {
    let start = pass(bytes, HEADER_BYTES, ranks.start);
    let end = pass(bytes, start, ranks.len());
    packed::splice(bytes, start, end, 2 * ranks.len(), &[]);
}

/// The pairs from the one of this rank on, in order.
pub(super) fn pairs_from(bytes: &[u8], rank: usize) -> Pairs<'_> {
    let start = if bytes.is_empty() { HEADER_BYTES } else { pass(bytes, HEADER_BYTES, rank) };
    Pairs { elements: elements_from(bytes, start) }
}

/// The pairs of these ranks, the last first.
pub(super) fn pairs_back(bytes: &[u8], ranks: Range<usize>) -> PairsBack<'_> {
    let mut starts = Vec::with_capacity(ranks.len());
    if !ranks.is_empty() {
        let mut at = pass(bytes, HEADER_BYTES, ranks.start);
        for _ in ranks {
            starts.push(at);
            at = pass(bytes, at, 1);
        }
    }
    PairsBack { bytes, starts }
}

/// Walks forwards.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    elements: Elements<'a>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let member = self.elements.next()?;
        let score = self.elements.next().expect("a member has a score").score();
        Some((member, score))
    }
}

/// Walks backwards over pairs whose first bytes were noted.
#[derive(Clone, Debug)]
pub(super) struct PairsBack<'a> {
    bytes: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Iterator for PairsBack<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let (member, end) = element_at(self.bytes, self.starts.pop()?);
        Some((member, element_at(self.bytes, end).0.score()))
    }
}

/// Where the pair begins that is so many pairs behind the one at `start`.
fn pass(bytes: &[u8], mut start: usize, pairs: usize) -> usize {
    for _ in 0..2 * pairs {
        start = end_of(bytes, start);
    }
    start
}

/// Where a pair belongs.
fn place_of(bytes: &[u8], member: &[u8], score: f64) -> usize {
    let mut buffer = itoa::Buffer::new();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let (own, middle) = element_at(bytes, at);
        let (own_score, end) = element_at(bytes, middle);
        let own_score = own_score.score();
        let is_before = own_score < score
            || own_score == score && own.bytes(&mut buffer).cmp(member) == Ordering::Less;
        if !is_before {
            break;
        }
        at = end;
    }
    at
}

/// Checks form and order; for tests.
pub(super) fn check_invariants(bytes: &[u8]) {
    packed::check_invariants(bytes);
    assert_eq!(packed::count(bytes) % 2, 0, "every member has a score");
    let pairs = || Pairs { elements: packed::elements(bytes) };
    for ((member, score), (next, next_score)) in pairs().zip(pairs().skip(1)) {
        let in_order = score < next_score || score == next_score && member.to_vec() < next.to_vec();
        assert!(in_order, "{member:?} {score} before {next:?} {next_score}");
    }
}
