//! Blobs: the long keys and values of a table, each an allocation of its own, by number.
//!
//! Invariant: a number that was given out names its blob until that is removed; vacant numbers form
//! a list through their places and are given out again.

use crate::value::shared::{Meter, Part, Shared, twins};

/// Places per chunk: growth never moves more than one chunk, and a chunk that is shared is copied
/// with its blobs.
const CHUNK: usize = 64;
/// Places of the first chunk when it is made.
const FIRST_CHUNK: usize = 4;
/// No place: the end of the list of vacant ones.
const NONE: u32 = u32::MAX;

/// All blobs of one table.
#[derive(Debug)]
pub(super) struct Blobs {
    chunks: Vec<Shared<Chunk>>,
    /// The first vacant place.
    vacant: u32,
    len: usize,
    /// Heap bytes of the blobs themselves.
    bytes: usize,
}

/// Places, with the room that they will need.
#[derive(Debug, Default)]
struct Chunk(Vec<Place>);

impl Clone for Chunk {
    fn clone(&self) -> Self {
        self.twin()
    }
}

impl Part for Chunk {
    fn twin(&self) -> Self {
        Self(twins(&self.0, Place::clone))
    }

    fn part_bytes(&self) -> usize {
        let blobs = self.0.iter().map(|place| match place {
            Place::Blob(bytes) => allocated_bytes(bytes.len()),
            Place::Vacant(_) => 0,
        });
        self.0.capacity() * size_of::<Place>() + blobs.sum::<usize>()
    }
}

#[derive(Clone, Debug)]
enum Place {
    Blob(Box<[u8]>),
    /// With the next vacant place.
    Vacant(u32),
}

impl Default for Blobs {
    fn default() -> Self {
        Self { chunks: Vec::new(), vacant: NONE, len: 0, bytes: 0 }
    }
}

impl Clone for Blobs {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), ..*self }
    }
}

impl Blobs {
    /// The same blobs, to be read.
    pub(super) fn share(&mut self, meter: &Meter) -> Self {
        let chunks = self.chunks.iter_mut().map(|chunk| chunk.share(meter)).collect();
        Self { chunks, ..*self }
    }

    /// Stores bytes and gives their number.
    pub(super) fn insert(&mut self, bytes: &[u8]) -> u32 {
        self.len += 1;
        self.bytes += allocated_bytes(bytes.len());
        let blob = Place::Blob(bytes.into());
        if self.vacant != NONE {
            let number = self.vacant;
            match core::mem::replace(self.place_mut(number), blob) {
                Place::Vacant(next) => self.vacant = next,
                Place::Blob(_) => unreachable!("only vacant places are in the list"),
            }
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.0.len() == CHUNK) {
            let room = if self.chunks.is_empty() { FIRST_CHUNK } else { CHUNK };
            self.chunks.push(Chunk(Vec::with_capacity(room)).into());
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index].0;
        chunk.push(blob);
        u32::try_from(index * CHUNK + chunk.len() - 1).expect("blobs fill memory before numbers")
    }

    /// The bytes of a blob.
    #[inline]
    pub(super) fn at(&self, number: u32) -> &[u8] {
        match &self.chunks[number as usize / CHUNK].0[number as usize % CHUNK] {
            Place::Blob(bytes) => bytes,
            Place::Vacant(_) => unreachable!("a blob that is named is there"),
        }
    }

    /// Gives a blob other bytes.
    pub(super) fn replace(&mut self, number: u32, bytes: &[u8]) {
        let Place::Blob(old) = self.place_mut(number) else {
            unreachable!("a blob that is named is there");
        };
        let before = allocated_bytes(old.len());
        if old.len() == bytes.len() {
            old.copy_from_slice(bytes);
        } else {
            *old = bytes.into();
        }
        self.bytes = self.bytes + allocated_bytes(bytes.len()) - before;
    }

    /// Forgets a blob.
    pub(super) fn remove(&mut self, number: u32) {
        let vacant = Place::Vacant(self.vacant);
        let Place::Blob(old) = core::mem::replace(self.place_mut(number), vacant) else {
            unreachable!("a blob that is named is there");
        };
        self.vacant = number;
        self.len -= 1;
        self.bytes -= allocated_bytes(old.len());
        if self.len == 0 {
            *self = Self::default();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Heap bytes of everything.
    #[inline]
    pub(super) fn memory_bytes(&self) -> usize {
        let Some(last) = self.chunks.last() else { return 0 };
        let places = (self.chunks.len() - 1) * CHUNK + last.0.capacity();
        let chunks = self.chunks.capacity() * size_of::<Shared<Chunk>>();
        self.bytes + places * size_of::<Place>() + chunks
    }

    /// Frees up to `count` blobs of up to `bytes` bytes; true when nothing is left.
    pub(super) fn free_some(&mut self, mut count: usize, mut bytes: usize) -> bool {
        while let Some(chunk) = self.chunks.last_mut() {
            let Some(Chunk(chunk)) = chunk.own_to_free() else {
                // Their bytes are still another's.
                self.chunks.pop();
                continue;
            };
            let Some(place) = chunk.pop() else {
                self.chunks.pop();
                continue;
            };
            let Place::Blob(blob) = place else { continue };
            self.bytes -= allocated_bytes(blob.len());
            if count == 0 || bytes < blob.len() {
                let mut rest = blob.into_vec();
                rest.truncate(rest.len() - bytes.min(rest.len()));
                self.bytes += allocated_bytes(rest.len());
                chunk.push(Place::Blob(rest.into_boxed_slice()));
                return false;
            }
            count -= 1;
            bytes -= blob.len();
        }
        *self = Self::default();
        true
    }

    /// Checks the figures and the list of vacant places.
    pub(super) fn check_invariants(&self) {
        let (mut len, mut bytes, mut vacant) = (0, 0, 0);
        for place in self.chunks.iter().flat_map(|chunk| &chunk.0) {
            match place {
                Place::Blob(blob) => {
                    len += 1;
                    bytes += allocated_bytes(blob.len());
                }
                Place::Vacant(_) => vacant += 1,
            }
        }
        assert_eq!((len, bytes), (self.len, self.bytes), "blobs are counted");
        let mut next = self.vacant;
        while next != NONE {
            vacant -= 1;
            match &self.chunks[next as usize / CHUNK].0[next as usize % CHUNK] {
                Place::Vacant(after) => next = *after,
                Place::Blob(_) => panic!("a blob is in the list of vacant places"),
            }
        }
        assert_eq!(vacant, 0, "every vacant place is in the list");
    }

    fn place_mut(&mut self, number: u32) -> &mut Place {
        &mut self.chunks[number as usize / CHUNK].0[number as usize % CHUNK]
    }
}

/// What an allocation of so many bytes takes: eight bytes beside them, sixteen at a time.
pub(super) fn allocated_bytes(len: usize) -> usize {
    if len == 0 { 0 } else { (len + 8).next_multiple_of(16).max(32) }
}
