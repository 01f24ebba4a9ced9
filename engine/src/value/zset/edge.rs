//! The edges of ranges: places between two members, by score or by name.
//!
//! Every range of sorted sets (by rank, by score, by name; with or without its ends) is a pair of
//! edges, and each edge is found as the number of members before it.

/// A place in the order of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edge<'a> {
    /// Before all members.
    Start,
    /// Behind all members.
    End,
    /// Before the members with this score or a greater one.
    BeforeScore(f64),
    /// Behind the members with this score or a smaller one.
    BehindScore(f64),
    /// Before this member and those behind it, where all scores are equal.
    BeforeMember(&'a [u8]),
    /// Behind this member and those before it, where all scores are equal.
    BehindMember(&'a [u8]),
}

impl Edge<'_> {
    /// Whether the edge is behind a member.
    #[inline]
    pub(super) fn is_behind<'m>(self, score: f64, member: impl FnOnce() -> &'m [u8]) -> bool {
        match self {
            Self::Start => false,
            Self::End => true,
            Self::BeforeScore(edge) => score < edge,
            Self::BehindScore(edge) => score <= edge,
            Self::BeforeMember(edge) => member() < edge,
            Self::BehindMember(edge) => member() <= edge,
        }
    }
}
