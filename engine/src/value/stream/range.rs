//! Walks over the entries between two ids, in both directions.
//!
//! Blocks can only be read forwards: on the way back the entries of one block are collected and
//! then taken from the end.

use super::block::{Entries, Entry};
use super::id::StreamId;
use super::log::Log;
use super::sorted::Position;

/// Entries in order.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    log: &'a Log,
    /// The block after the one that is being read.
    next: Option<Position>,
    entries: Option<Entries<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Range<'a> {
    pub(super) fn new(log: &'a Log, start: StreamId, end: StreamId) -> Self {
        let next = log.blocks.floor(start).or_else(|| log.blocks.start());
        Self { log, next, entries: None, start, end }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entries) = &mut self.entries {
                for entry in entries {
                    if entry.id > self.end {
                        self.next = None;
                        break;
                    }
                    if entry.id >= self.start && !entry.is_deleted() {
                        return Some(entry);
                    }
                }
            }
            self.entries = None;
            let position = self.next?;
            let block = self.log.blocks.at(position);
            if block.first > self.end {
                self.next = None;
                return None;
            }
            self.entries = Some(block.entries());
            self.next = self.log.blocks.after(position);
        }
    }
}

/// Entries from the last to the first.
#[derive(Clone, Debug)]
pub struct RangeBack<'a> {
    log: &'a Log,
    /// The block before the one whose entries were collected.
    next: Option<Position>,
    collected: Vec<Entry<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> RangeBack<'a> {
    pub(super) fn new(log: &'a Log, start: StreamId, end: StreamId) -> Self {
        let next = log.blocks.floor(end).filter(|_| start <= end);
        Self { log, next, collected: Vec::new(), start, end }
    }
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entry) = self.collected.pop() {
                return Some(entry);
            }
            let position = self.next?;
            let block = self.log.blocks.at(position);
            let (start, end) = (self.start, self.end);
            let wanted = block
                .entries()
                .take_while(|entry| entry.id <= end)
                .filter(|entry| entry.id >= start && !entry.is_deleted());
            self.collected.extend(wanted);
            let goes_on = block.first > start;
            self.next = self.log.blocks.before(position).filter(|_| goes_on);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::log::Limits;
    use super::*;
    use crate::rng::{Rng, Seed};

    #[test]
    fn ranges_are_those_of_a_sorted_map() {
        let mut rng = Rng::new(Seed(9), "range");
        let limits = Limits { node_bytes: 4096, node_entries: 7 };
        let (mut log, mut model) = (Log::default(), BTreeMap::new());
        let mut id = StreamId::new(1, 0);
        for number in 0..400 {
            id = StreamId::new(id.ms + rng.below(3), id.seq + 1 + rng.below(3));
            let value = number.to_string();
            log.push(id, [b"field".as_slice(), value.as_bytes()].into_iter(), limits)
                .expect("ids rise");
            model.insert(id, value);
        }
        for _ in 0..250 {
            let victim = StreamId::new(rng.below(id.ms + 2), rng.below(id.seq + 2));
            let near = model.range(victim..).next().map(|(&near, _)| near);
            let victim = near.filter(|_| rng.chance(4, 5)).unwrap_or(victim);
            assert_eq!(log.delete(victim), model.remove(&victim).is_some());
            log.check_invariants();
        }
        let values = |entry: Entry<'_>| {
            let (_, value) = entry.fields().next().expect("it has a field");
            (entry.id, String::from_utf8(value.as_bytes().to_vec()).expect("text"))
        };
        let owned = |(id, value): (&StreamId, &String)| (*id, value.clone());
        for _ in 0..300 {
            let mut bound = || StreamId::new(rng.below(id.ms + 2), rng.below(id.seq + 2));
            let (a, b) = (bound(), bound());
            assert_eq!(log.range(a.max(b), a.min(b)).filter(|entry| a != entry.id).count(), 0);
            let (a, b) = (a.min(b), a.max(b));
            assert!(log.range(a, b).map(values).eq(model.range(a..=b).map(owned)));
            assert!(log.range_back(a, b).map(values).eq(model.range(a..=b).rev().map(owned)));
            assert_eq!(log.entry(a).map(values), model.get_key_value(&a).map(owned));
        }
        assert_eq!(log.range_back(StreamId::MAX, StreamId::MIN).count(), 0);
    }
}
