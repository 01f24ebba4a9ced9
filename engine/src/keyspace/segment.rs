//! The segments of an index: small open-addressing tables of handles, and the memory they lie in.
//!
//! A segment is 64 buckets; a bucket is one cache line with ten one-byte tags, a count of entries
//! that went past it, and ten five-byte handles:
//!
//! ```text
//! 0..10   tags; 0: the slot is empty
//! 10      how many entries that belong here or before went further; stays at 255 once there
//! 11..61  handles
//! 61..63  a mark for each slot, of a walk that goes on (see `capture.rs`); little endian
//! ```
//! Buckets that overflow count, so removal needs no tombstones and a search ends at the first
//! bucket that nothing went past. A fresh bucket is all zeroes, as the system gives it.
//!
//! Invariant: an entry lies in its home bucket or, with every bucket between counted as overflowed,
//! in a later one of the same segment. Source: Bronson and Shi, "Open-sourcing F14" (2019).

use super::arena::Handle;
use super::chunk::{CHUNK_BYTES, Chunk};

pub(super) const BUCKETS: usize = 64;
const BUCKET_BITS: u32 = 6;
/// Handles in a bucket.
pub(super) const SLOTS: usize = 10;
const BUCKET_BYTES: usize = 64;
const SEGMENT_BYTES: usize = BUCKETS * BUCKET_BYTES;
const SEGMENTS_PER_CHUNK: usize = CHUNK_BYTES / SEGMENT_BYTES;
const OVERFLOW: usize = SLOTS;
const HANDLES: usize = OVERFLOW + 1;
const HANDLE_BYTES: usize = 5;
const MARKS: usize = HANDLES + SLOTS * HANDLE_BYTES;

/// All segments of one index, by number.
#[derive(Default)]
pub(super) struct Segments {
    chunks: Vec<Chunk>,
    shapes: Vec<Shape>,
    /// Numbers that are free to be used again.
    vacant: Vec<u32>,
}

/// What is known about a segment beside its buckets.
#[derive(Clone, Copy, Default)]
struct Shape {
    /// How many leading bits of a hash choose this segment.
    depth: u8,
    len: u16,
    in_use: bool,
}

/// Where a handle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(super) segment: u32,
    bucket: u8,
    slot: u8,
}

impl Segments {
    /// Adds an empty segment and gives its number.
    pub(super) fn add(&mut self, depth: u8) -> u32 {
        let shape = Shape { depth, len: 0, in_use: true };
        if let Some(segment) = self.vacant.pop() {
            self.shapes[segment as usize] = shape;
            return segment;
        }
        if self.shapes.len() == self.chunks.len() * SEGMENTS_PER_CHUNK {
            self.chunks.push(Chunk::new());
        }
        self.shapes.push(shape);
        (self.shapes.len() - 1) as u32
    }

    /// Takes an empty segment out of use.
    pub(super) fn vacate(&mut self, segment: u32) {
        assert_eq!(self.len(segment), 0, "a segment that is vacated is empty");
        self.shapes[segment as usize] = Shape::default();
        self.vacant.push(segment);
    }

    /// How many segments are in use.
    pub(super) fn in_use(&self) -> usize {
        self.shapes.len() - self.vacant.len()
    }

    /// The numbers of the segments in use.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.shapes.len() as u32).filter(|&number| self.shapes[number as usize].in_use)
    }

    /// How many leading bits of a hash choose the segment.
    #[inline]
    pub(super) fn depth(&self, segment: u32) -> u8 {
        self.shapes[segment as usize].depth
    }

    /// How many handles the segment holds.
    #[inline]
    pub(super) fn len(&self, segment: u32) -> u16 {
        self.shapes[segment as usize].len
    }

    /// Finds the handle with this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(
        &self,
        segment: u32,
        hash: u64,
        mut is_it: impl FnMut(Handle) -> bool,
    ) -> Option<(Position, Handle)> {
        let tag = tag_of(hash);
        let mut bucket = self.home(segment, hash);
        for _ in 0..BUCKETS {
            let line = self.line(segment, bucket);
            let mut matches = slots_with(line, tag);
            while matches != 0 {
                let slot = matches.trailing_zeros() as usize;
                matches &= matches - 1;
                let handle = handle_in(line, slot);
                if is_it(handle) {
                    let position = Position { segment, bucket: bucket as u8, slot: slot as u8 };
                    return Some((position, handle));
                }
            }
            if line[OVERFLOW] == 0 {
                return None;
            }
            bucket = (bucket + 1) % BUCKETS;
        }
        None
    }

    /// Reads something of the home bucket of a hash.
    #[inline]
    pub(super) fn touch(&self, segment: u32, hash: u64) -> u8 {
        self.line(segment, self.home(segment, hash))[0]
    }

    /// Adds a handle that is not there, marked or not.
    ///
    /// # Panics
    /// If the segment is full.
    pub(super) fn insert(&mut self, segment: u32, hash: u64, handle: Handle, is_marked: bool) {
        let full = usize::from(self.len(segment)) == BUCKETS * SLOTS;
        assert!(!full, "a full segment is split first");
        let mut bucket = self.home(segment, hash);
        loop {
            let line = self.line_mut(segment, bucket);
            let empty = slots_with(line, 0);
            if empty != 0 {
                let slot = empty.trailing_zeros() as usize;
                line[slot] = tag_of(hash);
                set_handle(line, slot, handle);
                if is_marked {
                    set_mark(line, slot, true);
                }
                self.shapes[segment as usize].len += 1;
                return;
            }
            line[OVERFLOW] = line[OVERFLOW].saturating_add(1);
            bucket = (bucket + 1) % BUCKETS;
        }
    }

    /// Takes the handle at `position`, whose hash is `hash`, out.
    pub(super) fn remove(&mut self, hash: u64, position: Position) {
        let Position { segment, bucket: end, slot } = position;
        let line = self.line_mut(segment, usize::from(end));
        assert_eq!(line[usize::from(slot)], tag_of(hash), "it is not where it should be");
        line[usize::from(slot)] = 0;
        set_mark(line, usize::from(slot), false);
        let mut bucket = self.home(segment, hash);
        while bucket != usize::from(end) {
            let line = self.line_mut(segment, bucket);
            if line[OVERFLOW] != u8::MAX {
                line[OVERFLOW] -= 1;
            }
            bucket = (bucket + 1) % BUCKETS;
        }
        self.shapes[segment as usize].len -= 1;
    }

    /// Puts another handle of the same key in its place.
    pub(super) fn replace(&mut self, position: Position, handle: Handle) {
        let line = self.line_mut(position.segment, usize::from(position.bucket));
        set_handle(line, usize::from(position.slot), handle);
    }

    /// Whether the handle at a position is marked.
    #[inline]
    pub(super) fn is_marked(&self, position: Position) -> bool {
        let line = self.line(position.segment, usize::from(position.bucket));
        marks(line) >> position.slot & 1 == 1
    }

    /// Marks the handle at a position, or takes the mark back.
    pub(super) fn set_mark(&mut self, position: Position, is_marked: bool) {
        let line = self.line_mut(position.segment, usize::from(position.bucket));
        set_mark(line, usize::from(position.slot), is_marked);
    }

    /// Empties a segment, gives it another depth, and returns what it held, and what was marked.
    pub(super) fn take_all(&mut self, segment: u32, depth: u8) -> Vec<(Handle, bool)> {
        let mut all = Vec::with_capacity(usize::from(self.len(segment)));
        for bucket in 0..BUCKETS {
            let line = self.line_mut(segment, bucket);
            let marks = marks(line);
            let slots = (0..SLOTS).filter(|&slot| line[slot] != 0);
            all.extend(slots.map(|slot| (handle_in(line, slot), marks >> slot & 1 == 1)));
            line.fill(0);
        }
        self.shapes[segment as usize] = Shape { depth, len: 0, in_use: true };
        all
    }

    /// The buckets in which entries can lie whose home is that of `hash`, the home first.
    pub(super) fn chain(
        &self,
        segment: u32,
        hash: u64,
    ) -> impl Iterator<Item = (Position, Handle)> + '_ {
        let home = self.home(segment, hash);
        let mut went_on = true;
        (0..BUCKETS)
            .map(move |step| (home + step) % BUCKETS)
            .take_while(move |&bucket| {
                let overflows = self.line(segment, bucket)[OVERFLOW] > 0;
                core::mem::replace(&mut went_on, overflows)
            })
            .flat_map(move |bucket| {
                let line = self.line(segment, bucket);
                (0..SLOTS).filter(|&slot| line[slot] != 0).map(move |slot| {
                    let position = Position { segment, bucket: bucket as u8, slot: slot as u8 };
                    (position, handle_in(line, slot))
                })
            })
    }

    /// The handles in the home bucket of `hash`.
    pub(super) fn neighbours(&self, segment: u32, hash: u64) -> impl Iterator<Item = Handle> + '_ {
        handles_in(self.line(segment, self.home(segment, hash)))
    }

    /// The home bucket of a hash.
    #[inline]
    pub(super) fn home(&self, segment: u32, hash: u64) -> usize {
        (hash << self.depth(segment) >> (64 - BUCKET_BITS)) as usize
    }

    /// The width in hash space of a bucket of this segment.
    pub(super) fn bucket_width(&self, segment: u32) -> u64 {
        1 << (64 - BUCKET_BITS - u32::from(self.depth(segment)))
    }

    /// Bytes in use.
    pub(super) fn memory_bytes(&self) -> usize {
        self.in_use() * SEGMENT_BYTES
            + self.shapes.capacity() * size_of::<Shape>()
            + self.vacant.capacity() * 4
    }

    /// Gives a bounded part back, whatever it holds; true when nothing is left. For segments that
    /// are no longer in use.
    pub(super) fn drop_some(&mut self) -> bool {
        let Some(chunk) = self.chunks.last_mut() else { return true };
        if chunk.give_back_some() {
            self.chunks.pop();
        }
        self.chunks.is_empty()
    }

    /// Checks one segment against the hashes; returns how many handles it holds.
    pub(super) fn check_invariants(&self, segment: u32, hash_of: impl Fn(Handle) -> u64) -> usize {
        let mut overflow = [0_u32; BUCKETS];
        let mut len = 0;
        for at in 0..BUCKETS {
            let line = self.line(segment, at);
            let used = (0..SLOTS).filter(|&slot| line[slot] != 0);
            let stray = used.fold(marks(line), |marks, slot| marks & !(1 << slot));
            assert_eq!(stray, 0, "what is marked is there");
            for slot in (0..SLOTS).filter(|&slot| line[slot] != 0) {
                len += 1;
                let hash = hash_of(handle_in(line, slot));
                assert_eq!(line[slot], tag_of(hash), "a tag is of its hash");
                let mut bucket = self.home(segment, hash);
                while bucket != at {
                    overflow[bucket] += 1;
                    bucket = (bucket + 1) % BUCKETS;
                }
            }
        }
        for (bucket, count) in overflow.into_iter().enumerate() {
            let counted = self.line(segment, bucket)[OVERFLOW];
            assert!(u32::from(counted) == count || counted == u8::MAX, "overflow adds up");
        }
        assert_eq!(len, usize::from(self.len(segment)), "a segment knows its length");
        len
    }

    #[inline]
    fn line(&self, segment: u32, bucket: usize) -> &[u8; BUCKET_BYTES] {
        let (chunk, offset) = place(segment, bucket);
        self.chunks[chunk].at(offset).first_chunk().expect("a chunk ends with a segment")
    }

    #[inline]
    fn line_mut(&mut self, segment: u32, bucket: usize) -> &mut [u8; BUCKET_BYTES] {
        let (chunk, offset) = place(segment, bucket);
        self.chunks[chunk].at_mut(offset).first_chunk_mut().expect("a chunk ends with a segment")
    }
}

#[inline]
fn place(segment: u32, bucket: usize) -> (usize, usize) {
    let segment = segment as usize;
    let offset = segment % SEGMENTS_PER_CHUNK * SEGMENT_BYTES + bucket * BUCKET_BYTES;
    (segment / SEGMENTS_PER_CHUNK, offset)
}

/// A bit for each slot with this tag.
#[inline]
fn slots_with(line: &[u8; BUCKET_BYTES], tag: u8) -> u32 {
    let mut found = 0;
    for (slot, &here) in line[..SLOTS].iter().enumerate() {
        found |= u32::from(here == tag) << slot;
    }
    found
}

fn handles_in(line: &[u8; BUCKET_BYTES]) -> impl Iterator<Item = Handle> + '_ {
    (0..SLOTS).filter(|&slot| line[slot] != 0).map(|slot| handle_in(line, slot))
}

#[inline]
fn handle_in(line: &[u8; BUCKET_BYTES], slot: usize) -> Handle {
    let mut bytes = [0; HANDLE_BYTES];
    let at = HANDLES + slot * HANDLE_BYTES;
    bytes.copy_from_slice(&line[at..at + HANDLE_BYTES]);
    Handle::from_bytes(bytes)
}

fn set_handle(line: &mut [u8; BUCKET_BYTES], slot: usize, handle: Handle) {
    let at = HANDLES + slot * HANDLE_BYTES;
    line[at..at + HANDLE_BYTES].copy_from_slice(&handle.to_bytes());
}

/// A bit for each slot that is marked.
#[inline]
fn marks(line: &[u8; BUCKET_BYTES]) -> u16 {
    u16::from_le_bytes([line[MARKS], line[MARKS + 1]])
}

fn set_mark(line: &mut [u8; BUCKET_BYTES], slot: usize, is_marked: bool) {
    let others = marks(line) & !(1 << slot);
    let marks = others | u16::from(is_marked) << slot;
    line[MARKS..MARKS + 2].copy_from_slice(&marks.to_le_bytes());
}

/// The tag of a hash: its low byte, but never zero.
#[inline]
fn tag_of(hash: u64) -> u8 {
    let low = hash as u8;
    if low == 0 { 1 } else { low }
}
