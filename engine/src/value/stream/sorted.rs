//! Things sorted by id, in short vectors: cheap to extend at the end and to cut at the front.
//!
//! Invariants: keys rise from thing to thing; no vector is empty and none is longer than `CHUNK`;
//! `heap_bytes` counts what the vectors have allocated.

use std::collections::VecDeque;

use super::id::StreamId;
use crate::value::shared::{Meter, Part, Shared, twins};

/// Things in one vector. What an operation moves is bounded by it.
const CHUNK: usize = 128;
/// A vector with fewer things than this is joined with a neighbour that has room.
const SPARSE: usize = CHUNK / 4;

/// Something that has an id.
pub(super) trait Keyed {
    /// Its id.
    fn key(&self) -> StreamId;

    /// A copy with as much room.
    fn twin(&self) -> Self;

    /// Heap bytes of a copy.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl<T: Keyed> Part for Vec<T> {
    fn twin(&self) -> Self {
        twins(self, T::twin)
    }

    fn part_bytes(&self) -> usize {
        self.capacity() * size_of::<T>() + self.iter().map(T::heap_bytes).sum::<usize>()
    }
}

impl Keyed for StreamId {
    fn key(&self) -> StreamId {
        *self
    }

    fn twin(&self) -> Self {
        *self
    }
}

/// Where a thing is. Valid until the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    chunk: usize,
    index: usize,
}

impl Position {
    /// As a number, 0 for the first.
    pub(super) fn place(self) -> u64 {
        (self.chunk as u64) << 32 | self.index as u64
    }

    pub(super) fn of_place(place: u64) -> Self {
        Self { chunk: (place >> 32) as usize, index: place as u32 as usize }
    }
}

/// Things sorted by id.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    chunks: VecDeque<Shared<Vec<T>>>,
    len: usize,
    heap_bytes: usize,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), len: 0, heap_bytes: 0 }
    }
}

impl<T: Clone> Clone for Sorted<T> {
    fn clone(&self) -> Self {
        let chunks = self.chunks.clone();
        // The copies have no room to grow.
        let heap_bytes = allocated(&chunks);
        Self { chunks, len: self.len, heap_bytes }
    }
}

fn allocated<T>(chunks: &VecDeque<Shared<Vec<T>>>) -> usize {
    let inside: usize = chunks.iter().map(|chunk| chunk.capacity() * size_of::<T>()).sum();
    inside + chunks.capacity() * size_of::<Shared<Vec<T>>>()
}

impl<T: Keyed> Sorted<T> {
    /// The same things, to be read.
    pub(super) fn share(&mut self, meter: &Meter) -> Self {
        meter.add(self.chunks.len() * size_of::<Shared<Vec<T>>>());
        let chunks = self.chunks.iter_mut().map(|chunk| chunk.share(meter)).collect();
        Self { chunks, len: self.len, heap_bytes: self.heap_bytes }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated here; not what the things own themselves.
    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// The first.
    pub(super) fn first(&self) -> Option<&T> {
        self.chunks.front()?.first()
    }

    /// The last.
    pub(super) fn last(&self) -> Option<&T> {
        self.chunks.back()?.last()
    }

    /// The last.
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.chunks.back_mut()?.last_mut()
    }

    /// Where the first is.
    pub(super) fn start(&self) -> Option<Position> {
        (self.len > 0).then_some(Position { chunk: 0, index: 0 })
    }

    /// Where the last is.
    pub(super) fn end(&self) -> Option<Position> {
        let chunk = self.chunks.len().checked_sub(1)?;
        Some(Position { chunk, index: self.chunks[chunk].len() - 1 })
    }

    /// The thing there.
    pub(super) fn at(&self, position: Position) -> &T {
        &self.chunks[position.chunk][position.index]
    }

    /// The thing there, if there is one.
    pub(super) fn get(&self, position: Position) -> Option<&T> {
        self.chunks.get(position.chunk)?.get(position.index)
    }

    /// The thing there. Its key must stay.
    pub(super) fn at_mut(&mut self, position: Position) -> &mut T {
        &mut self.chunks[position.chunk][position.index]
    }

    /// Where the next one is.
    pub(super) fn after(&self, position: Position) -> Option<Position> {
        let Position { chunk, index } = position;
        if index + 1 < self.chunks[chunk].len() {
            return Some(Position { chunk, index: index + 1 });
        }
        (chunk + 1 < self.chunks.len()).then_some(Position { chunk: chunk + 1, index: 0 })
    }

    /// Where the one before is.
    pub(super) fn before(&self, position: Position) -> Option<Position> {
        let Position { chunk, index } = position;
        if index > 0 {
            return Some(Position { chunk, index: index - 1 });
        }
        let chunk = chunk.checked_sub(1)?;
        Some(Position { chunk, index: self.chunks[chunk].len() - 1 })
    }

    /// Where the last one up to this key is.
    pub(super) fn floor(&self, key: StreamId) -> Option<Position> {
        let chunk = self.chunks.partition_point(|chunk| chunk[0].key() <= key).checked_sub(1)?;
        let index = self.chunks[chunk].partition_point(|thing| thing.key() <= key) - 1;
        Some(Position { chunk, index })
    }

    /// Where the first one from this key on is.
    pub(super) fn ceiling(&self, key: StreamId) -> Option<Position> {
        match self.floor(key) {
            None => self.start(),
            Some(position) if self.at(position).key() == key => Some(position),
            Some(position) => self.after(position),
        }
    }

    /// Where the thing with this key is.
    pub(super) fn position(&self, key: StreamId) -> Option<Position> {
        self.floor(key).filter(|&position| self.at(position).key() == key)
    }

    /// The thing with this key.
    pub(super) fn find(&self, key: StreamId) -> Option<&T> {
        self.position(key).map(|position| self.at(position))
    }

    /// The things from this key on.
    pub(super) fn iter_from(&self, key: StreamId) -> impl Iterator<Item = &T> {
        let mut next = self.ceiling(key);
        core::iter::from_fn(move || {
            let position = next?;
            next = self.after(position);
            Some(self.at(position))
        })
    }

    /// All things.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Adds a thing. No other has its key.
    pub(super) fn insert(&mut self, thing: T) {
        self.len += 1;
        let key = thing.key();
        let Some(last) = self.chunks.len().checked_sub(1) else {
            return self.insert_chunk(0, vec![thing]);
        };
        let (chunk, index) = if self.chunks[last][0].key() <= key {
            (last, self.chunks[last].partition_point(|thing| thing.key() < key))
        } else {
            let after = self.chunks.partition_point(|chunk| chunk[0].key() <= key);
            let chunk = after.saturating_sub(1);
            (chunk, self.chunks[chunk].partition_point(|thing| thing.key() < key))
        };
        if self.chunks[chunk].len() < CHUNK {
            let before = self.chunks[chunk].capacity();
            self.chunks[chunk].insert(index, thing);
            return self.note_capacity(chunk, before);
        }
        if chunk == last && index == CHUNK {
            return self.insert_chunk(last + 1, vec![thing]);
        }
        let upper = self.chunks[chunk].split_off(CHUNK / 2);
        self.insert_chunk(chunk + 1, upper);
        let (chunk, index) =
            if index > CHUNK / 2 { (chunk + 1, index - CHUNK / 2) } else { (chunk, index) };
        let before = self.chunks[chunk].capacity();
        self.chunks[chunk].insert(index, thing);
        self.note_capacity(chunk, before);
    }

    /// Takes the thing with this key out.
    pub(super) fn remove(&mut self, key: StreamId) -> Option<T> {
        self.position(key).map(|position| self.remove_at(position))
    }

    /// Takes the thing there out. Those after it are now where it was.
    pub(super) fn remove_at(&mut self, position: Position) -> T {
        let Position { chunk, index } = position;
        self.len -= 1;
        let before = self.chunks[chunk].capacity();
        let thing = self.chunks[chunk].remove(index);
        let (len, capacity) = (self.chunks[chunk].len(), before);
        if len == 0 {
            self.remove_chunk(chunk);
            return thing;
        }
        if len * 4 <= capacity {
            self.chunks[chunk].shrink_to(len * 2);
            self.note_capacity(chunk, before);
        }
        if len < SPARSE {
            self.join(chunk);
        }
        thing
    }

    /// Drops the last things, `CHUNK` of them at most; true when nothing is left.
    pub(super) fn drop_some(&mut self) -> bool {
        if let Some(last) = self.chunks.len().checked_sub(1) {
            self.len -= self.chunks[last].len();
            self.remove_chunk(last);
        }
        self.chunks.is_empty()
    }

    fn insert_chunk(&mut self, at: usize, chunk: Vec<T>) {
        self.heap_bytes += chunk.capacity() * size_of::<T>();
        let before = self.chunks.capacity();
        if before == 0 {
            self.chunks.reserve_exact(1);
        }
        self.chunks.insert(at, chunk.into());
        self.heap_bytes += (self.chunks.capacity() - before) * size_of::<Shared<Vec<T>>>();
    }

    fn remove_chunk(&mut self, at: usize) {
        let chunk = self.chunks.remove(at).expect("there is such a chunk");
        self.heap_bytes -= chunk.capacity() * size_of::<T>();
        let (len, before) = (self.chunks.len(), self.chunks.capacity());
        if len * 4 <= before {
            self.chunks.shrink_to(len * 2);
            self.heap_bytes -= (before - self.chunks.capacity()) * size_of::<Shared<Vec<T>>>();
        }
    }

    /// Joins a short chunk with a neighbour, if they fit well into one.
    fn join(&mut self, chunk: usize) {
        let fits = |left: usize| {
            let right = self.chunks.get(left + 1)?;
            (self.chunks[left].len() + right.len() <= CHUNK * 3 / 4).then_some(left)
        };
        let Some(left) = chunk.checked_sub(1).and_then(fits).or_else(|| fits(chunk)) else {
            return;
        };
        let right = core::mem::take(&mut self.chunks[left + 1]).into_own();
        self.heap_bytes -= right.capacity() * size_of::<T>();
        self.remove_chunk(left + 1);
        let before = self.chunks[left].capacity();
        self.chunks[left].extend(right);
        self.note_capacity(left, before);
    }

    fn note_capacity(&mut self, chunk: usize, before: usize) {
        let after = self.chunks[chunk].capacity();
        self.heap_bytes = self.heap_bytes + after * size_of::<T>() - before * size_of::<T>();
    }

    /// Checks the order and the counts.
    pub(super) fn check_invariants(&self) {
        let mut last = None;
        for chunk in &self.chunks {
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK, "a chunk has {}", chunk.len());
            for thing in chunk.iter() {
                assert!(last.is_none_or(|last| last < thing.key()), "keys rise");
                last = Some(thing.key());
            }
        }
        assert_eq!(self.len, self.chunks.iter().map(|chunk| chunk.len()).sum::<usize>(), "things");
        assert_eq!(self.heap_bytes, allocated(&self.chunks), "bytes allocated");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::{Rng, Seed};

    fn id(number: u64) -> StreamId {
        StreamId::new(number / 7, number % 7)
    }

    #[test]
    fn it_is_a_sorted_set() {
        let mut rng = Rng::new(Seed(3), "sorted");
        let (mut sorted, mut model) = (Sorted::default(), BTreeSet::new());
        for step in 0..20_000 {
            // It grows, shrinks, grows again.
            let grows = step / 5000 % 2 == 0;
            let key = id(rng.below(3000));
            if rng.chance(if grows { 3 } else { 1 }, 4) {
                if model.insert(key) {
                    sorted.insert(key);
                }
            } else {
                assert_eq!(sorted.remove(key).is_some(), model.remove(&key));
            }
            let probe = id(rng.below(3000));
            assert_eq!(sorted.find(probe).is_some(), model.contains(&probe));
            assert_eq!(sorted.iter_from(probe).next(), model.range(probe..).next());
            let floor = sorted.floor(probe).map(|position| sorted.at(position));
            assert_eq!(floor, model.range(..=probe).next_back());
            if step % 500 == 0 {
                sorted.check_invariants();
                assert!(sorted.iter().eq(model.iter()));
            }
        }
        while let Some(start) = sorted.start() {
            assert_eq!(Some(sorted.remove_at(start)), model.pop_first());
        }
        assert!(model.is_empty());
        sorted.check_invariants();
    }

    #[test]
    fn it_is_walked_both_ways_and_dropped_in_parts() {
        let mut sorted = Sorted::default();
        for number in 0..1000 {
            sorted.insert(id(number));
        }
        let mut position = sorted.end();
        let mut number = 1000;
        while let Some(here) = position {
            number -= 1;
            assert_eq!(*sorted.at(here), id(number));
            position = sorted.before(here);
        }
        assert_eq!(number, 0);
        let mut steps = 1;
        while !sorted.drop_some() {
            steps += 1;
            sorted.check_invariants();
        }
        assert_eq!((steps, sorted.heap_bytes()), (8, 0));
    }
}
