//! The ends of ranges of sorted sets, as clients write them: `(1`, `-inf`, `[a`, `+`.

use crate::error::Error;
use crate::value::strtod::strtod;
use crate::value::zset::Edge;

/// Which end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// The edges of a range by score.
pub(super) fn score_range<'a>(min: &[u8], max: &[u8]) -> Result<(Edge<'a>, Edge<'a>), Error> {
    let edges = score_edge(min, End::Min).zip(score_edge(max, End::Max));
    edges.ok_or(Error::fixed("ERR min or max is not a float"))
}

/// The edges of a range by name.
pub(super) fn name_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<(Edge<'a>, Edge<'a>), Error> {
    let edges = name_edge(min, End::Min).zip(name_edge(max, End::Max));
    edges.ok_or(Error::fixed("ERR min or max not valid string range item"))
}

/// A score, with `(` before it if members with this score are not in the range. Redis has C read
/// the number, and so takes no text for 0, white space before the number, and infinity for what is
/// too large.
fn score_edge<'a>(word: &[u8], end: End) -> Option<Edge<'a>> {
    let (is_excluded, text) = match word.strip_prefix(b"(") {
        Some(text) => (true, text),
        None => (false, word),
    };
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let read = strtod(text);
    if read.len != text.len() || read.value.is_nan() {
        return None;
    }
    Some(match (end, is_excluded) {
        (End::Min, false) | (End::Max, true) => Edge::BeforeScore(read.value),
        (End::Min, true) | (End::Max, false) => Edge::BehindScore(read.value),
    })
}

/// `-`, `+`, or a name with `[` before it if it is in the range, and `(` if not.
fn name_edge(word: &[u8], end: End) -> Option<Edge<'_>> {
    match (word, end) {
        ([b'-'] | [b'-', 0, ..], _) => Some(Edge::Start),
        ([b'+'] | [b'+', 0, ..], _) => Some(Edge::End),
        ([b'[', name @ ..], End::Min) | ([b'(', name @ ..], End::Max) => {
            Some(Edge::BeforeMember(name))
        }
        ([b'(', name @ ..], End::Min) | ([b'[', name @ ..], End::Max) => {
            Some(Edge::BehindMember(name))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_may_be_excluded() {
        for (text, edge) in [
            ("1", Some(Edge::BeforeScore(1.0))),
            ("(1.5", Some(Edge::BehindScore(1.5))),
            ("-inf", Some(Edge::BeforeScore(f64::NEG_INFINITY))),
            ("(+inf", Some(Edge::BehindScore(f64::INFINITY))),
            ("1e999", Some(Edge::BeforeScore(f64::INFINITY))),
            ("", Some(Edge::BeforeScore(0.0))),
            ("(", Some(Edge::BehindScore(0.0))),
            (" 2", Some(Edge::BeforeScore(2.0))),
            ("2 ", None),
            ("((2", None),
            ("nan", None),
            ("x", None),
        ] {
            assert_eq!(score_edge(text.as_bytes(), End::Min), edge, "{text:?}");
        }
        assert_eq!(score_edge(b"(1", End::Max), Some(Edge::BeforeScore(1.0)));
        assert_eq!(score_edge(b"1", End::Max), Some(Edge::BehindScore(1.0)));
    }

    #[test]
    fn names_say_whether_they_are_excluded() {
        for (text, edge) in [
            ("-", Some(Edge::Start)),
            ("+", Some(Edge::End)),
            ("[a", Some(Edge::BeforeMember(b"a"))),
            ("(a", Some(Edge::BehindMember(b"a"))),
            ("[", Some(Edge::BeforeMember(b""))),
            ("a", None),
            ("", None),
            ("+a", None),
            ("--", None),
        ] {
            assert_eq!(name_edge(text.as_bytes(), End::Min), edge, "{text:?}");
        }
        assert_eq!(name_edge(b"(a", End::Max), Some(Edge::BeforeMember(b"a")));
    }
}
