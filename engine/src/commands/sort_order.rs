//! The order of SORT.
//!
//! Invariant: the order is total and stable: what compares as equal stays in the order in which it
//! came, so that a part of the result is the same whether the rest is sorted or not.

use core::cmp::Ordering;
use core::ops::Range;

use super::sort_pattern::{Lookups, Pattern};
use crate::error::Error;
use crate::value::packed::Element;
use crate::value::strtod::strtod;

/// By what elements are ordered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    /// What the elements weigh; without it they are their own weights.
    pub(super) by: Option<Pattern<'a>>,
    /// Weights are texts, not numbers.
    pub(super) alpha: bool,
    /// Backwards.
    pub(super) descending: bool,
}

/// An element and what it weighs.
#[derive(Clone, Copy, Debug)]
struct Item<'k> {
    element: Element<'k>,
    weight: Weight<'k>,
    /// Where it stood before.
    place: usize,
}

#[derive(Clone, Copy, Debug)]
enum Weight<'k> {
    Number(f64),
    /// The weight's text; `None`: there is no weight.
    Text(Option<Element<'k>>),
    /// The text of the element.
    Itself,
}

/// Elements that are about to be sorted.
#[derive(Debug)]
pub(super) struct Sorted<'k> {
    items: Vec<Item<'k>>,
    descending: bool,
}

impl<'k> Sorted<'k> {
    /// Looks up what the elements weigh. A weight that should be a number and is none is an error.
    pub(super) fn new(
        elements: impl Iterator<Item = Element<'k>>,
        order: &Order<'_>,
        lookups: &mut Lookups<'k>,
    ) -> Result<Self, Error> {
        let mut is_number = true;
        let items = elements.enumerate().map(|(place, element)| {
            let weight = match &order.by {
                None if order.alpha => Weight::Itself,
                None => Weight::Number(number(element, &mut is_number)),
                Some(by) => match lookups.find(by, element) {
                    weight if order.alpha => Weight::Text(weight),
                    // What weighs nothing counts as zero.
                    weight => Weight::Number(weight.map_or(0.0, |it| number(it, &mut is_number))),
                },
            };
            Item { element, weight, place }
        });
        let items = items.collect();
        if !is_number {
            return Err(Error::fixed("ERR One or more scores can't be converted into double"));
        }
        Ok(Self { items, descending: order.descending })
    }

    /// The elements that are in this range when all are sorted.
    pub(super) fn range(mut self, range: Range<usize>) -> Vec<Element<'k>> {
        let compare = |a: &Item<'_>, b: &Item<'_>| {
            let order = compare(a, b);
            let order = if self.descending { order.reverse() } else { order };
            order.then(a.place.cmp(&b.place))
        };
        let mut items = &mut self.items[..];
        if range.is_empty() {
            return Vec::new();
        }
        // Only the wanted part is sorted; what belongs before and behind it is only moved there.
        if range.end < items.len() {
            items.select_nth_unstable_by(range.end, compare);
            items = &mut items[..range.end];
        }
        if range.start > 0 {
            items.select_nth_unstable_by(range.start, compare);
            items = &mut items[range.start..];
        }
        items.sort_unstable_by(compare);
        items.iter().map(|item| item.element).collect()
    }
}

/// A weight as a number; the whole text must be one, or end where C's text ends.
fn number(weight: Element<'_>, is_number: &mut bool) -> f64 {
    let text = match weight {
        Element::Bytes(text) => text,
        other => return other.score(),
    };
    let read = strtod(text);
    let is_whole = matches!(text.get(read.len), None | Some(0));
    if !is_whole || read.is_out_of_range || read.value.is_nan() {
        *is_number = false;
        return 0.0;
    }
    read.value
}

fn compare(a: &Item<'_>, b: &Item<'_>) -> Ordering {
    match (a.weight, b.weight) {
        // There is no NaN. Elements of the same weight are ordered by their texts.
        (Weight::Number(x), Weight::Number(y)) => match x.partial_cmp(&y) {
            Some(Ordering::Equal) | None => compare_texts(a.element, b.element),
            Some(order) => order,
        },
        (Weight::Text(Some(x)), Weight::Text(Some(y))) => compare_texts(x, y),
        (Weight::Text(x), Weight::Text(y)) => x.is_some().cmp(&y.is_some()),
        _ => compare_texts(a.element, b.element),
    }
}

/// The order of texts, byte by byte; integers are compared as they are spelled.
fn compare_texts(a: Element<'_>, b: Element<'_>) -> Ordering {
    match (a, b) {
        (Element::Bytes(a), Element::Bytes(b)) => a.cmp(b),
        (Element::Integer(a), Element::Integer(b)) if a == b => Ordering::Equal,
        _ => a.bytes(&mut itoa::Buffer::new()).cmp(b.bytes(&mut itoa::Buffer::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Keyspace;
    use crate::rng::{Rng, Seed};

    fn sorted(texts: &[&str], alpha: bool, descending: bool) -> Result<Vec<String>, Error> {
        let keyspace = Keyspace::new(1, Rng::new(Seed(1), "sort"));
        let mut lookups = Lookups::new(&keyspace, 0, false);
        let elements = texts.iter().map(|text| crate::value::set::member(text.as_bytes()));
        let order = Order { by: None, alpha, descending };
        let sorted = Sorted::new(elements, &order, &mut lookups)?;
        let range = 0..texts.len();
        let texts = sorted.range(range).into_iter().map(Element::to_vec);
        Ok(texts.map(|text| String::from_utf8(text).expect("ASCII")).collect())
    }

    #[test]
    fn numbers_are_ordered_by_value_and_then_by_text() {
        let order = ["-inf", "-2", "-0x1", "", "-0", "0", "0.0", "1", "1.0", "10", "1e1", "inf"];
        let mut shuffled = order;
        shuffled.reverse();
        assert_eq!(sorted(&shuffled, false, false).expect("numbers"), order);
        shuffled.sort();
        assert_eq!(sorted(&shuffled, false, true).expect("numbers"), {
            let mut backwards = order;
            backwards.reverse();
            backwards
        });
        for text in ["x", "1x", "nan", "1e400", "1 ", "0x"] {
            assert!(sorted(&["1", text], false, false).is_err(), "{text:?}");
        }
        assert!(sorted(&[" 1", "1\0x"], false, false).is_ok());
    }

    #[test]
    fn texts_are_ordered_by_bytes() {
        let order = ["", "-1", "-10", "-2", "1", "10", "100", "2", "a", "ab", "b"];
        let mut shuffled = order;
        shuffled.reverse();
        assert_eq!(sorted(&shuffled, true, false).expect("texts"), order);
    }

    #[test]
    fn a_part_is_what_it_would_be_of_the_whole() {
        let keyspace = Keyspace::new(1, Rng::new(Seed(1), "sort"));
        let mut lookups = Lookups::new(&keyspace, 0, false);
        let mut rng = Rng::new(Seed(2), "sort");
        let all: Vec<_> = (0..200).map(|_| Element::Integer(rng.below(50) as i64)).collect();
        let order = Order { by: None, alpha: false, descending: true };
        let mut sort = |range| {
            let sorted = Sorted::new(all.iter().copied(), &order, &mut lookups).expect("numbers");
            sorted.range(range)
        };
        let whole = sort(0..200);
        for range in [0..0, 0..1, 0..10, 190..200, 199..200, 50..60, 1..199, 200..200] {
            assert_eq!(sort(range.clone()), whole[range]);
        }
    }
}
