//! Large blocks of zeroed bytes that the system gives page by page as they are touched, and that
//! are given back a megabyte at a time.
//!
//! Why this size: from 32 MiB on, the C library maps a block by itself instead of cutting it from
//! the heap, whatever it has learnt about the program. A block cut from the heap is given back when
//! all that lies above it is free too, in one go that took 45 ms for a gigabyte. A mapped block is
//! zero already and costs nothing until it is touched; writing the zeroes ourselves, page by page,
//! cost the simulator 13 %, and an allocator that zeroes the whole block makes a new database slow.
//!
//! Invariant: the first byte in use lies at the start of a cache line.

/// Bytes of a chunk, a power of two.
pub(crate) const CHUNK_BYTES: usize = 32 << 20;
/// What is given back in one step: some hundred microseconds of the system's time.
const GIVEN_BACK_PER_STEP: usize = 1 << 20;
const CACHE_LINE_BYTES: usize = 64;

/// One block.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Where the first cache line starts. It depends on the address, but nothing that anyone can
    /// see depends on it.
    start: usize,
}

impl Chunk {
    /// A block of zeroes.
    pub(crate) fn new() -> Self {
        let bytes = vec![0; CHUNK_BYTES + CACHE_LINE_BYTES];
        let start = bytes.as_ptr().align_offset(CACHE_LINE_BYTES) % CACHE_LINE_BYTES;
        Self { bytes, start }
    }

    /// A block that is gone.
    pub(crate) fn given_back() -> Self {
        Self { bytes: Vec::new(), start: 0 }
    }

    /// Whether nothing is left of the block.
    pub(crate) fn is_given_back(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes from `offset` on.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> &[u8] {
        &self.bytes[self.start + offset..]
    }

    /// The bytes from `offset` on, to write.
    #[inline]
    pub(crate) fn at_mut(&mut self, offset: usize) -> &mut [u8] {
        &mut self.bytes[self.start + offset..]
    }

    /// Gives a part of the block back, from its end; true when nothing is left.
    pub(crate) fn give_back_some(&mut self) -> bool {
        let keep = self.bytes.len().saturating_sub(GIVEN_BACK_PER_STEP);
        self.bytes.truncate(keep);
        self.bytes.shrink_to(keep);
        keep == 0
    }
}
