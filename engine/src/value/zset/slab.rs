//! Things by number: the nodes of a tree and its long members.
//!
//! Invariant: growth never moves more than one chunk, and a number stays valid until its thing is
//! removed.

use crate::value::shared::{Meter, Part, Shared, twins};

/// Things in one allocation.
const CHUNK: usize = 128;

/// A growing table with reuse of vacant places.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Shared<Chunk<T>>>,
    vacant: Vec<u32>,
    len: usize,
    /// Places in all chunks.
    places: usize,
}

/// Something in a table that can be shared.
pub(super) trait Twin {
    /// A copy with as much room.
    fn twin(&self) -> Self;

    /// Heap bytes of a copy.
    fn heap_bytes(&self) -> usize;
}

#[derive(Debug)]
struct Chunk<T>(Vec<Option<T>>);

impl<T> Default for Chunk<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> Clone for Chunk<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Twin> Part for Chunk<T> {
    fn twin(&self) -> Self {
        Self(twins(&self.0, |place| place.as_ref().map(T::twin)))
    }

    fn part_bytes(&self) -> usize {
        let things: usize = self.0.iter().flatten().map(T::heap_bytes).sum();
        self.0.capacity() * size_of::<Option<T>>() + things
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), vacant: Vec::new(), len: 0, places: 0 }
    }
}

impl<T: Clone> Clone for Slab<T> {
    fn clone(&self) -> Self {
        let (chunks, vacant) = (self.chunks.clone(), self.vacant.clone());
        // Copies of vectors have no room.
        let places = chunks.iter().map(|chunk| chunk.0.capacity()).sum();
        Self { chunks, vacant, len: self.len, places }
    }
}

impl<T: Twin> Slab<T> {
    /// The same things, to be read.
    pub(super) fn share(&mut self, meter: &Meter) -> Self {
        let chunks = self.chunks.iter_mut().map(|chunk| chunk.share(meter)).collect();
        Self { chunks, vacant: Vec::new(), len: self.len, places: self.places }
    }

    /// Adds a thing and returns its number.
    pub(super) fn insert(&mut self, thing: T) -> u32 {
        self.len += 1;
        if let Some(number) = self.vacant.pop() {
            self.chunks[number as usize / CHUNK].0[number as usize % CHUNK] = Some(thing);
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.0.len() == CHUNK) {
            // The first chunk grows with its content: most trees are small.
            let capacity = if self.chunks.is_empty() { 4 } else { CHUNK };
            self.chunks.push(Chunk(Vec::with_capacity(capacity)).into());
            self.places += capacity;
        }
        let first = (self.chunks.len() - 1) * CHUNK;
        let last = &mut self.chunks.last_mut().expect("there is a chunk").0;
        let before = last.capacity();
        last.push(Some(thing));
        self.places += last.capacity() - before;
        u32::try_from(first + last.len() - 1).expect("fewer than 2^32 things fit in memory")
    }

    /// Takes a thing out.
    pub(super) fn remove(&mut self, number: u32) -> T {
        let place = &mut self.chunks[number as usize / CHUNK].0[number as usize % CHUNK];
        let thing = place.take().expect("the number is in use");
        self.len -= 1;
        self.vacant.push(number);
        thing
    }

    /// The thing with this number.
    #[inline]
    pub(super) fn at(&self, number: u32) -> &T {
        let chunk = &self.chunks[number as usize / CHUNK];
        chunk.0[number as usize % CHUNK].as_ref().expect("the number is in use")
    }

    /// The thing with this number, to change it.
    #[inline]
    pub(super) fn at_mut(&mut self, number: u32) -> &mut T {
        let chunk = &mut self.chunks[number as usize / CHUNK];
        chunk.0[number as usize % CHUNK].as_mut().expect("the number is in use")
    }

    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The things in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.0.iter().flatten())
    }

    /// Bytes of the table itself.
    pub(super) fn memory_bytes(&self) -> usize {
        self.places * size_of::<Option<T>>()
            + self.chunks.capacity() * size_of::<Shared<Chunk<T>>>()
            + self.vacant.capacity() * size_of::<u32>()
    }

    /// Takes any thing out of a table that is being freed; `None` when it is empty.
    pub(super) fn take_any(&mut self) -> Option<T> {
        self.vacant = Vec::new();
        loop {
            // What another has, too, is not taken out.
            match self.chunks.last_mut()?.own_to_free().and_then(|chunk| chunk.0.pop()) {
                Some(Some(thing)) => return Some(thing),
                Some(None) => {}
                None => {
                    self.chunks.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Twin for u32 {
        fn twin(&self) -> Self {
            *self
        }

        fn heap_bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn numbers_are_used_again_and_stay_valid() {
        let mut slab = Slab::default();
        let numbers: Vec<u32> = (0..1000).map(|thing| slab.insert(thing)).collect();
        for number in numbers.iter().step_by(2) {
            slab.remove(*number);
        }
        let bytes = slab.memory_bytes();
        for thing in 1000..1500 {
            assert!(slab.insert(thing) < 1000, "a vacant place is used first");
        }
        assert_eq!(slab.memory_bytes(), bytes);
        assert_eq!(slab.len(), 1000);
        assert!(numbers.iter().skip(1).step_by(2).all(|&number| *slab.at(number) == number));
        *slab.at_mut(numbers[1]) = 7;
        assert_eq!(*slab.at(numbers[1]), 7);
        let mut taken = 0;
        while slab.take_any().is_some() {
            taken += 1;
        }
        assert_eq!(taken, 1000);
    }
}
