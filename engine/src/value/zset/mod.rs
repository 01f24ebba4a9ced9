//! Sorted sets: members with scores, in the order of (score, member).
//!
//! Small ones are packed sequences ([`crate::value::packed`]), bigger ones a B+-tree with an index
//! of members (`tree`). A score is a double and never NaN; 0 and -0 are equal, and which of the
//! two was stored is shown. Members are compared as bytes.
//!
//! Invariant: both forms hold the same set in the same order; a set that has become a tree stays
//! one.

mod check;
mod edge;
mod grow;
mod index;
mod node;
mod outside;
mod run;
mod shrink;
mod slab;
mod small;
mod tally;
mod tree;
mod walk;

use core::ops::Range;

pub use edge::Edge;
pub use tally::Tally;
pub use tree::Tree;

use crate::rng::Rng;
use crate::value::collection::Collection;
use crate::value::packed::Element;
use crate::value::shared::Meter;

/// When a set becomes a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members that the packed form may have.
    pub entries: usize,
    /// Bytes that a member may have in it.
    pub value_bytes: usize,
    /// The secret key of the hash function of trees.
    pub hash_key: (u64, u64),
}

/// A sorted set.
#[derive(Clone, Debug)]
pub enum Zset {
    /// A small one.
    Packed(Vec<u8>),
    /// A big one.
    Tree(Box<Tree>),
}

/// What reads a sorted set.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    /// A small one.
    Packed(&'a [u8]),
    /// A big one.
    Tree(&'a Tree),
}

impl<'a> ZsetRef<'a> {
    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(bytes) => small::len(bytes),
            Self::Tree(tree) => tree.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Packed(bytes) => Some(small::find(bytes, member)?.score),
            Self::Tree(tree) => tree.score(member),
        }
    }

    /// How many members lie before a member, and its score.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            Self::Packed(bytes) => small::find(bytes, member).map(|pair| (pair.rank, pair.score)),
            Self::Tree(tree) => tree.rank(member),
        }
    }

    /// How many members lie before an edge.
    pub fn position(self, edge: Edge<'_>) -> usize {
        match (self, edge) {
            (_, Edge::Start) => 0,
            (_, Edge::End) => self.len(),
            (Self::Packed(bytes), edge) => small::position(bytes, edge),
            (Self::Tree(tree), edge) => tree.position(edge),
        }
    }

    /// The ranks of the members between two edges.
    pub fn between(self, min: Edge<'_>, max: Edge<'_>) -> Range<usize> {
        let start = self.position(min);
        start..self.position(max).max(start)
    }

    /// The members of these ranks and their scores, the first first.
    ///
    /// # Panics
    /// If there are not as many members.
    pub fn range(self, ranks: Range<usize>) -> Pairs<'a> {
        assert!(ranks.end <= self.len(), "there are members of all ranks");
        Pairs(match self {
            Self::Packed(bytes) => {
                Walk::Packed(small::pairs_from(bytes, ranks.start).take(ranks.len()))
            }
            Self::Tree(tree) => Walk::Ascending(tree.ascending(ranks.start, ranks.end)),
        })
    }

    /// The members of these ranks and their scores, the last first.
    ///
    /// # Panics
    /// If there are not as many members.
    pub fn range_back(self, ranks: Range<usize>) -> Pairs<'a> {
        assert!(ranks.end <= self.len(), "there are members of all ranks");
        Pairs(match self {
            Self::Packed(bytes) => Walk::PackedBack(small::pairs_back(bytes, ranks)),
            Self::Tree(tree) => Walk::Descending(tree.descending(ranks.start, ranks.end)),
        })
    }

    /// All members and their scores in order.
    pub fn iter(self) -> Pairs<'a> {
        self.range(0..self.len())
    }

    /// The member before which so many lie, and its score.
    pub fn at(self, rank: usize) -> Option<(Element<'a>, f64)> {
        if rank < self.len() { self.range(rank..rank + 1).next() } else { None }
    }

    /// Any member and its score, each equally likely.
    pub fn random(self, rng: &mut Rng) -> Option<(Element<'a>, f64)> {
        match self.len() {
            0 => None,
            len => self.at(rng.below(len as u64) as usize),
        }
    }

    /// Visits some members, at least the next in the order of their hashes, and returns the cursor
    /// to go on from; 0 is both the start and the end. A member that stays from the start to the
    /// end is visited, whatever happens to others and to its score. Of a packed set all are visited
    /// at once.
    pub fn scan(self, cursor: u64, mut visit: impl FnMut(Element<'_>, f64)) -> u64 {
        match self {
            Self::Packed(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            Self::Tree(tree) => {
                // Only positions in hash space were ever given out.
                let Ok(position) = u32::try_from(cursor) else { return 0 };
                let next =
                    tree.scan(position, |member, score| visit(Element::Bytes(member), score));
                u64::from(next)
            }
        }
    }
}

/// Members and their scores in one order or the other.
#[derive(Clone, Debug)]
pub struct Pairs<'a>(Walk<'a>);

#[derive(Clone, Debug)]
enum Walk<'a> {
    Packed(core::iter::Take<small::Pairs<'a>>),
    PackedBack(small::PairsBack<'a>),
    Ascending(walk::Ascending<'a>),
    Descending(walk::Descending<'a>),
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (member, score) = match &mut self.0 {
            Walk::Packed(pairs) => return pairs.next(),
            Walk::PackedBack(pairs) => return pairs.next(),
            Walk::Ascending(pairs) => pairs.next()?,
            Walk::Descending(pairs) => pairs.next()?,
        };
        Some((Element::Bytes(member), score))
    }
}

impl Zset {
    /// The set of members that come in order, none of them twice.
    pub fn from_sorted<'m>(
        limits: &Limits,
        pairs: impl Iterator<Item = (&'m [u8], f64)> + Clone,
    ) -> Self {
        let most = limits.entries.min(small::PAIRS_MAX);
        let mut len = 0;
        let is_small = pairs.clone().all(|(member, _)| {
            len += 1;
            len <= most && member.len() <= limits.value_bytes
        });
        if is_small {
            let mut bytes = Vec::new();
            pairs.for_each(|(member, score)| small::push(&mut bytes, member, score));
            return Self::Packed(bytes);
        }
        let mut tree = Tree::new(limits.hash_key);
        for (member, score) in pairs {
            tree.insert(tree.hash(member), score, member);
        }
        Self::Tree(Box::new(tree))
    }

    /// Has `decide` say what becomes of a member, given its score if it is there: a new score,
    /// never NaN, or `None` to leave it as it is.
    #[inline]
    pub fn update(
        &mut self,
        limits: &Limits,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) {
        match self {
            Self::Tree(tree) => tree.update(member, decide),
            Self::Packed(bytes) => match small::find(bytes, member) {
                Some(pair) => {
                    if let Some(new) = decide(Some(pair.score))
                        && new != pair.score
                    {
                        small::move_pair(bytes, pair, member, new);
                    }
                }
                None => {
                    if let Some(new) = decide(None) {
                        self.add(limits, member, new);
                    }
                }
            },
        }
    }

    /// Gives a member a score and returns the one that it had.
    pub fn insert(&mut self, limits: &Limits, member: &[u8], score: f64) -> Option<f64> {
        let mut old = None;
        self.update(limits, member, |was| {
            old = was;
            Some(score)
        });
        old
    }

    /// Takes a member out and returns its score.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Packed(bytes) => {
                let pair = small::find(bytes, member)?;
                small::remove(bytes, pair);
                Some(pair.score)
            }
            Self::Tree(tree) => tree.remove(member),
        }
    }

    /// Takes the members of these ranks out.
    ///
    /// # Panics
    /// If there are not as many members.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        assert!(ranks.end <= self.reader().len(), "there are members of all ranks");
        if ranks.is_empty() {
            return;
        }
        match self {
            Self::Packed(bytes) => small::remove_ranks(bytes, ranks),
            Self::Tree(tree) => tree.remove_ranks(ranks),
        }
    }

    /// Adds a member that is not there.
    fn add(&mut self, limits: &Limits, member: &[u8], score: f64) {
        if let Self::Packed(bytes) = self {
            let len = small::len(bytes);
            if len < limits.entries.min(small::PAIRS_MAX) && member.len() <= limits.value_bytes {
                return small::insert(bytes, member, score);
            }
            let mut tree = Tree::new(limits.hash_key);
            let mut buffer = itoa::Buffer::new();
            for (own, score) in ZsetRef::Packed(bytes).iter() {
                tree.update(own.bytes(&mut buffer), |_| Some(score));
            }
            *self = Self::Tree(Box::new(tree));
        }
        if let Self::Tree(tree) = self {
            tree.update(member, |_| Some(score));
        }
    }
}

impl Default for Zset {
    fn default() -> Self {
        Self::Packed(Vec::new())
    }
}

impl Collection for Zset {
    type Reader<'a> = ZsetRef<'a>;

    fn from_packed(bytes: Vec<u8>) -> Self {
        Self::Packed(bytes)
    }

    fn read_packed(bytes: &[u8]) -> ZsetRef<'_> {
        ZsetRef::Packed(bytes)
    }

    #[inline]
    fn reader(&self) -> ZsetRef<'_> {
        match self {
            Self::Packed(bytes) => ZsetRef::Packed(bytes),
            Self::Tree(tree) => ZsetRef::Tree(tree),
        }
    }

    fn encoding(reader: ZsetRef<'_>) -> &'static str {
        match reader {
            ZsetRef::Packed(_) => "listpack",
            ZsetRef::Tree(_) => "skiplist",
        }
    }

    fn packed(&self) -> Option<&[u8]> {
        match self {
            Self::Packed(bytes) => Some(bytes),
            Self::Tree(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Self::Packed(bytes) => Some(bytes),
            Self::Tree(_) => None,
        }
    }

    fn share(&mut self, meter: &Meter) -> Self {
        match self {
            Self::Packed(bytes) => Self::Packed(bytes.clone()),
            Self::Tree(tree) => Self::Tree(Box::new(tree.share(meter))),
        }
    }

    fn is_empty(&self) -> bool {
        self.reader().is_empty()
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Packed(bytes) => bytes.capacity(),
            Self::Tree(tree) => tree.memory_bytes(),
        }
    }

    fn is_big(&self) -> bool {
        match self {
            Self::Packed(bytes) => bytes.capacity() > 1 << 20,
            Self::Tree(tree) => tree.is_big(),
        }
    }

    fn free_some(&mut self) -> bool {
        match self {
            Self::Packed(bytes) => {
                let keep = bytes.capacity().saturating_sub(1 << 20);
                bytes.truncate(keep);
                bytes.shrink_to(keep);
                keep == 0
            }
            Self::Tree(tree) => tree.free_some(),
        }
    }

    fn check_invariants(&self) {
        match self {
            Self::Packed(bytes) => small::check_invariants(bytes),
            Self::Tree(tree) => tree.check_invariants(),
        }
    }
}

#[cfg(test)]
mod tests;
