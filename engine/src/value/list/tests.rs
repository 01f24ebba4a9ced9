//! Lists against a deque of byte strings, with limits that make every form and every split.

use std::collections::VecDeque;

use super::closed::Form;
use super::*;
use crate::rng::{Rng, Seed};

/// A list and what it should be.
struct Pair {
    list: List,
    model: VecDeque<Vec<u8>>,
    limits: Limits,
}

impl Pair {
    fn new(parameter: i64) -> Self {
        let limits = Limits::new(parameter);
        Self { list: List::default(), model: VecDeque::new(), limits }
    }

    fn push(&mut self, side: Side, elements: &[Vec<u8>]) {
        self.list.push(side, elements.iter().map(Vec::as_slice), &self.limits);
        for element in elements {
            match side {
                Side::Front => self.model.push_front(element.clone()),
                Side::Back => self.model.push_back(element.clone()),
            }
        }
    }

    fn remove_end(&mut self, side: Side, count: usize) {
        if let Some(mut removed) = self.list.remove_end(side, count, &self.limits) {
            removed.check_invariants();
            while !removed.free_some() {}
        }
        for _ in 0..count {
            match side {
                Side::Front => self.model.pop_front(),
                Side::Back => self.model.pop_back(),
            };
        }
    }

    fn remove_equal(&mut self, needle: &[u8], side: Side, max: usize) {
        let removed = self.list.remove_equal(needle, side, max, &self.limits);
        let mut left = max;
        let mut keep = |element: &Vec<u8>| {
            let goes = left > 0 && element == needle;
            left -= usize::from(goes);
            !goes
        };
        if side == Side::Front {
            self.model.retain(&mut keep);
        } else {
            let kept: Vec<_> = self.model.iter().rev().filter(|it| keep(it)).cloned().collect();
            self.model = kept.into_iter().rev().collect();
        }
        assert_eq!(removed, max - left);
    }

    #[track_caller]
    fn check(&self) {
        self.list.check_invariants();
        let reader = self.list.reader();
        assert_eq!(reader.len(), self.model.len());
        let words: Vec<Vec<u8>> = reader.elements().to_vecs();
        assert!(words.iter().eq(&self.model), "{:?}", self.list);
        let (mut bytes, mut parts) = (0, 0);
        reader.for_each_part(|part| {
            bytes += part.dump_len();
            parts += 1;
        });
        assert!(bytes > 0 || self.model.is_empty());
        assert_eq!(parts, reader.part_count());
    }

    #[track_caller]
    fn check_walks(&self, random: &mut Rng) {
        let reader = self.list.reader();
        let len = self.model.len() as u64;
        let (skip, count) = (random.below(len + 2) as usize, random.below(len + 2) as usize);
        let before = (forms(&self.list), self.list.memory_bytes());
        let forwards = reader.walk(Side::Front, skip, count).to_vecs();
        let expected = || self.model.iter().skip(skip).take(count);
        assert!(forwards.iter().eq(expected()));
        let backwards = reader.walk(Side::Back, skip, count).to_vecs();
        let expected_backwards = || self.model.iter().rev().skip(skip).take(count);
        assert!(backwards.iter().eq(expected_backwards()));
        let element = reader.with_element(skip, |it| it.to_vec());
        assert_eq!(element.as_ref(), self.model.get(skip));
        let mut store = None;
        let open = reader.open(&mut store);
        let kept = |side| open.elements(side, skip, count).map(Element::to_vec);
        assert!(kept(Side::Front).eq(expected().cloned()));
        assert!(kept(Side::Back).eq(expected_backwards().cloned()));
        let found = reader.walk(Side::Front, skip, count).position(|it| it == element_of(b"aa"));
        assert_eq!(found, expected().position(|it| it == b"aa"));
        assert_eq!(
            (forms(&self.list), self.list.memory_bytes()),
            before,
            "reading changes nothing"
        );
    }
}

fn word(random: &mut Rng, long_bytes: usize) -> Vec<u8> {
    match random.below(40) {
        0..=15 => random.below(5).to_string().into_bytes(),
        16..=20 => (random.next_u64() as i64 >> random.below(64)).to_string().into_bytes(),
        21..=30 => vec![b'a' + random.below(3) as u8; random.below(20) as usize],
        31..=37 => vec![b'x'; random.below(300) as usize],
        38 => vec![b'y'; random.below(5000) as usize],
        _ => vec![b'z'; random.below(long_bytes as u64) as usize],
    }
}

fn side(random: &mut Rng) -> Side {
    if random.below(2) == 0 { Side::Front } else { Side::Back }
}

fn step(pair: &mut Pair, random: &mut Rng, growth: u64) {
    let len = pair.model.len() as u64;
    if random.below(60) == 0 {
        let depth = [0, 0, 1, 1, 2, 5][random.below(6) as usize];
        pair.limits = pair.limits.compressing(depth);
    }
    match random.below(10 + growth) {
        0 => {
            let count = if random.below(5) == 0 { random.below(len + 2) } else { random.below(4) };
            pair.remove_end(side(random), count as usize);
        }
        1 if len > 0 => {
            let (index, element) = (random.below(len) as usize, word(random, 20_000));
            pair.list.set(index, &element, &pair.limits);
            pair.model[index] = element;
        }
        2 | 3 => {
            let (index, element) = (random.below(len + 1) as usize, word(random, 20_000));
            pair.list.insert(index, &element, &pair.limits);
            pair.model.insert(index, element);
        }
        4 => {
            let needle = word(random, 10);
            let max = if random.below(3) == 0 { usize::MAX } else { random.below(3) as usize };
            pair.remove_equal(&needle, side(random), max.min(usize::MAX / 2));
        }
        5..=7 => pair.check_walks(random),
        _ => {
            let elements: Vec<_> = (0..=random.below(3)).map(|_| word(random, 20_000)).collect();
            pair.push(side(random), &elements);
        }
    }
}

#[test]
fn a_list_does_what_a_deque_does() {
    for (seed, parameter) in [1, 2, 3, 10, 128, -1, -2, -5, 0].into_iter().enumerate() {
        let mut random = Rng::new(Seed(seed as u64), "lists");
        for growth in [0, 3, 20] {
            let mut pair = Pair::new(parameter);
            for number in 0..400 {
                step(&mut pair, &mut random, growth);
                if number % 7 == 0 || number > 380 {
                    pair.check();
                }
            }
        }
    }
}

/// The same with many short nodes, of which most are compressed.
#[test]
fn a_compressed_list_does_what_a_deque_does() {
    for seed in 0..6 {
        let mut random = Rng::new(Seed(seed), "compressed lists");
        let mut pair = Pair::new([3, 1, -1][seed as usize % 3]);
        pair.limits = pair.limits.compressing(1 + seed as usize / 3).with_long_elements(250);
        for number in 0..600 {
            match random.below(12) {
                0..=4 => {
                    let words: Vec<_> = (0..4).map(|_| word(&mut random, 300)).collect();
                    pair.push(side(&mut random), &words);
                }
                _ => step(&mut pair, &mut random, 3),
            }
            pair.list.check_invariants();
            if number % 20 == 0 {
                pair.check();
                let copy = Pair { list: pair.list.clone(), model: pair.model.clone(), ..pair };
                copy.check();
            }
        }
    }
}

/// How many nodes there are and what is compressed.
fn forms(list: &List) -> Vec<Form> {
    match list {
        List::Packed(_) => Vec::new(),
        List::Nodes(nodes) => nodes.nodes.iter().map(|node| node.form).collect(),
    }
}

fn closed(list: &List) -> usize {
    forms(list).iter().filter(|&&form| form == Form::Closed).count()
}

/// Words that repeat themselves, as words of one kind do.
fn record(number: usize) -> Vec<u8> {
    format!("{{\"kind\":\"order\",\"number\":{number:08},\"state\":\"new\"}}").into_bytes()
}

#[test]
fn a_list_that_repeats_itself_becomes_small() {
    let memory_bytes = |depth: usize| {
        let mut pair = Pair::new(-2);
        pair.limits = pair.limits.compressing(depth);
        (0..20_000).for_each(|number| pair.push(Side::Back, &[record(number)]));
        pair.check();
        (pair.list.memory_bytes(), forms(&pair.list).len(), closed(&pair.list))
    };
    let (open_bytes, nodes, none) = memory_bytes(0);
    assert_eq!(none, 0);
    for depth in [1, 2, 10] {
        let (bytes, same_nodes, closed) = memory_bytes(depth);
        assert_eq!((same_nodes, closed), (nodes, nodes - 2 * depth));
        // What is left are the ends, and the rest at less than a quarter.
        let inner_bytes = bytes - 2 * depth * (8 << 10);
        assert!(inner_bytes < open_bytes / 4, "{bytes} bytes of {open_bytes}");
    }
}

#[test]
fn what_does_not_shrink_and_what_is_short_is_left() {
    let mut random = Rng::new(Seed(1), "noise");
    let mut pair = Pair::new(1);
    pair.limits = pair.limits.compressing(1);
    let noise: Vec<u8> = (0..500).map(|_| random.next_u64() as u8).collect();
    // With eleven bytes around it a word of 37 makes a listpack of 46; the next one of 48.
    let (short, long_enough) = (vec![b'x'; 37], vec![b'x'; 39]);
    let huge = vec![b'x'; (1 << 20) + 1];
    pair.push(Side::Back, &[short.clone(), noise, short.clone(), long_enough, huge, short]);
    pair.check();
    let (left, end) = (Form::Refused, Form::Open);
    assert_eq!(forms(&pair.list), [end, left, left, Form::Closed, left, end]);
    // An element that is alone is compressed like others.
    let mut pair = Pair::new(-2);
    pair.limits = pair.limits.compressing(1).with_long_elements(40);
    pair.push(Side::Back, &[vec![b'x'; 47], vec![b'y'; 47], vec![b'z'; 48], vec![b'x'; 47]]);
    pair.check();
    assert_eq!(forms(&pair.list), [end, left, Form::Closed, end]);
}

/// However the depth changes, one change of the list brings only a few nodes into their form.
#[test]
fn a_new_depth_is_taken_over_little_by_little() {
    let mut pair = Pair::new(4);
    (0..4000).for_each(|number| pair.push(Side::Back, &[record(number)]));
    for depth in [1, 30, 2, 0] {
        pair.limits = pair.limits.compressing(depth);
        let (mut before, mut changes) = (forms(&pair.list), 0);
        loop {
            match changes % 4 {
                0 | 1 => pair.push(Side::Front, &[record(changes)]),
                2 => pair.remove_end(Side::Front, 1),
                _ => {
                    pair.list.set(100, &record(changes), &pair.limits);
                    pair.model[100] = record(changes);
                }
            }
            pair.list.check_invariants();
            changes += 1;
            let after = forms(&pair.list);
            let worked = closed(&pair.list)
                .abs_diff(before.iter().filter(|it| **it == Form::Closed).count());
            assert!(worked <= 6, "{worked} nodes in one change");
            before = after;
            let inner = if depth == 0 { 0 } else { before.len() - 2 * depth };
            if closed(&pair.list) == inner {
                break;
            }
            assert!(
                changes < 2000,
                "{} of {inner} nodes after so many changes",
                closed(&pair.list)
            );
        }
        pair.check();
    }
}

/// Where many nodes go at an end, those that lie near to it then are opened little by little.
#[test]
fn a_deep_end_is_opened_little_by_little() {
    for end in [Side::Front, Side::Back] {
        let mut pair = Pair::new(1);
        pair.limits = pair.limits.compressing(100);
        (0..1000).for_each(|number| pair.push(Side::Back, &[record(number).repeat(2)]));
        assert_eq!(closed(&pair.list), 800);
        pair.remove_end(end, 200);
        assert!(closed(&pair.list) > 690, "{} nodes are compressed", closed(&pair.list));
        pair.check();
        (0..60).for_each(|number| pair.push(end, &[record(number).repeat(2)]));
        pair.check();
        assert_eq!(closed(&pair.list), 660);
    }
}

#[test]
fn the_form_follows_the_limits() {
    let mut pair = Pair::new(4);
    let words: Vec<Vec<u8>> = (0..4).map(|n: i32| n.to_string().into_bytes()).collect();
    pair.push(Side::Back, &words);
    assert_eq!(List::encoding(pair.list.reader()), "listpack");
    pair.push(Side::Front, &words[..1]);
    assert_eq!(List::encoding(pair.list.reader()), "quicklist");
    // One node is left at four, but only at two it is packed again.
    pair.remove_end(Side::Front, 2);
    assert_eq!(List::encoding(pair.list.reader()), "quicklist");
    pair.remove_end(Side::Front, 1);
    assert_eq!(List::encoding(pair.list.reader()), "listpack");
    pair.check();

    // Lengths of elements count before they are encoded, as in Redis.
    let mut pair = Pair::new(-1);
    pair.push(Side::Back, &[vec![b'x'; 4096 - 7]]);
    assert_eq!(List::encoding(pair.list.reader()), "listpack");
    let mut pair = Pair::new(-1);
    pair.push(Side::Back, &[vec![b'x'; 4096 - 6]]);
    assert_eq!(List::encoding(pair.list.reader()), "quicklist");
    pair.check();
}

#[test]
fn a_long_list_is_tight() {
    for side in [Side::Front, Side::Back] {
        let mut pair = Pair::new(-2);
        for number in 0..200_000_u64 {
            pair.push(side, &[format!("element:{number:08}").into_bytes()]);
        }
        pair.check();
        let per_element = pair.list.memory_bytes() as f64 / 200_000.0;
        assert!(per_element < 18.25, "{per_element} bytes for an element of 16");
    }
}

#[test]
fn a_queue_keeps_its_memory() {
    for (front, back) in [(Side::Front, Side::Back), (Side::Back, Side::Front)] {
        let mut pair = Pair::new(128);
        let word = [vec![b'q'; 30]];
        (0..200).for_each(|_| pair.push(back, &word));
        for _ in 0..10_000 {
            pair.push(back, &word);
            pair.remove_end(front, 1);
        }
        pair.check();
        assert!(pair.list.memory_bytes() < 40_000, "{}", pair.list.memory_bytes());
    }
}

#[test]
fn a_long_list_goes_in_steps() {
    let mut pair = Pair::new(-1);
    for number in 0..400_000 {
        pair.push(Side::Back, &[number.to_string().into_bytes()]);
    }
    assert!(pair.list.is_big());
    let removed = pair.list.remove_end(Side::Back, 399_990, &pair.limits);
    let mut removed = removed.expect("whole nodes went");
    removed.check_invariants();
    let mut steps = 1;
    while !removed.free_some() {
        steps += 1;
    }
    assert!(steps > 1);
    assert!(!pair.list.is_big());
    assert_eq!(List::encoding(pair.list.reader()), "listpack");
    assert_eq!(pair.list.reader().with_element(9, |it| it.to_vec()), Some(b"9".to_vec()));
}
