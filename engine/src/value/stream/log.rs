//! The entries of a stream: packed blocks in order, and what is counted about them.
//!
//! A block is closed when it is full: it then takes exactly the memory that it needs. What counts
//! as full is counted as Redis counts it, so that both trim at the same places.
//!
//! Invariants: blocks and the entries in them are in the order of their ids; `first_id` is that of
//! the first entry which is not deleted, zero if there is none; no entry is after `last_id`. A
//! block goes when XDEL takes its last entry; one that a trim has emptied may stay, as in Redis, if
//! an entry in it that was deleted before is not to be trimmed.

use super::block::{Block, Entry, FieldWords};
use super::id::{IdRequest, StreamId};
use super::range::{Range, RangeBack};
use super::sorted::{Position, Sorted};
use super::text::listpack_integer_bytes;
use crate::value::shared::Meter;

/// A block never gets longer than this, whatever the limits say; nor is an entry.
const NODE_BYTES_MAX: usize = 1 << 30;
/// Header and end of one of Redis's listpacks.
const LISTPACK_FRAME_BYTES: usize = 7;

/// When a block is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `stream-node-max-bytes`; 0: no limit.
    pub node_bytes: u64,
    /// `stream-node-max-entries`; 0: no limit.
    pub node_entries: u64,
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotAdd {
    /// Its id is not after the last one.
    IdTooSmall,
    /// The last id is the greatest that there is.
    Exhausted,
    /// It is too long.
    TooLong,
}

/// The entries of a stream.
#[derive(Debug, Default)]
pub struct Log {
    pub(super) blocks: Sorted<Block>,
    /// Bytes that the blocks have allocated.
    block_bytes: usize,
    len: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    tail: Tail,
}

/// What is remembered about the last block, which is the one that grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tail {
    /// The id of its last entry, deleted or not.
    last: StreamId,
    /// The id of its last entry that is not deleted.
    last_live: StreamId,
    /// Its size as one of Redis's listpacks, without the two counts at its start.
    listpack_bytes: usize,
}

impl Clone for Log {
    fn clone(&self) -> Self {
        let blocks = self.blocks.clone();
        // The copies have no room to grow.
        let block_bytes = blocks.iter().map(|block| block.bytes.capacity()).sum();
        Self { blocks, block_bytes, ..*self }
    }
}

impl Log {
    /// The same entries, to be read.
    pub(super) fn share(&mut self, meter: &Meter) -> Self {
        Self { blocks: self.blocks.share(meter), ..*self }
    }

    /// How many entries each block has that are not deleted, in order, empty blocks included.
    pub fn block_lens(&self) -> impl Iterator<Item = usize> {
        self.blocks.iter().map(|block| block.live as usize)
    }

    /// Shows the entries of the block at a place, 0 at first; returns the next place, `None` at the
    /// end. Places mean something until the log is next changed.
    pub fn show_block<'a>(&'a self, place: u64, show: impl FnMut(Entry<'a>)) -> Option<u64> {
        let position = Position::of_place(place);
        let block = self.blocks.get(position)?;
        block.entries().filter(|entry| !entry.is_deleted()).for_each(show);
        self.blocks.after(position).map(Position::place)
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry; zero if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The id of the last entry that is there; `None` if there is none.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        (self.len > 0).then_some(self.tail.last_live)
    }

    /// The last id that was given out.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest id that XDEL has deleted.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Sets what XSETID may set; false, and nothing is done, if `last_id` is before the last entry.
    #[must_use]
    pub fn set_counters(
        &mut self,
        last_id: StreamId,
        max_deleted_id: StreamId,
        added: u64,
    ) -> bool {
        if self.last_entry_id().is_some_and(|last| last_id < last) {
            return false;
        }
        self.last_id = last_id;
        self.max_deleted_id = max_deleted_id;
        self.entries_added = added;
        self.forget_deleted_after(last_id);
        true
    }

    /// Takes out the deleted entries after `id`, so that others can follow it.
    fn forget_deleted_after(&mut self, id: StreamId) {
        while let Some(end) = self.blocks.end().filter(|_| self.tail.last > id) {
            let last_live = self.tail.last_live;
            let block = self.blocks.at_mut(end);
            if block.first > id {
                self.remove_block(end);
            } else {
                block.truncate(id);
                self.measure_tail();
            }
            self.tail.last_live = last_live;
        }
    }

    /// The id that an entry gets which is added now.
    pub fn next_id(&self, request: IdRequest, unix_ms: u64) -> Result<StreamId, CannotAdd> {
        let last = self.last_id;
        if last == StreamId::MAX {
            return Err(CannotAdd::Exhausted);
        }
        let id = match request {
            IdRequest::Exact(id) => Some(id),
            IdRequest::AutoSeq(ms) if ms == last.ms => {
                last.seq.checked_add(1).map(|seq| StreamId::new(ms, seq))
            }
            IdRequest::AutoSeq(ms) => Some(StreamId::new(ms, 0)),
            IdRequest::Auto if unix_ms > last.ms => Some(StreamId::new(unix_ms, 0)),
            IdRequest::Auto => last.next(),
        };
        id.filter(|&id| id > last).ok_or(CannotAdd::IdTooSmall)
    }

    /// Adds an entry; `words` are its names and values in turn. The id is one that
    /// [`Self::next_id`] gave.
    pub fn push<'a>(
        &mut self,
        id: StreamId,
        words: impl Iterator<Item = &'a [u8]> + Clone,
        limits: Limits,
    ) -> Result<(), CannotAdd> {
        let payload: usize = words.clone().map(<[u8]>::len).sum();
        if payload > NODE_BYTES_MAX {
            return Err(CannotAdd::TooLong);
        }
        if self.tail_is_full(payload, limits) {
            self.start_block(id, words.clone());
        }
        self.push_to_tail(id, words);
        self.entries_added += 1;
        self.last_id = id;
        Ok(())
    }

    /// Adds an entry that was stored elsewhere (RESTORE), in a new block if `starts_block` says so;
    /// it may be a deleted one. Entries are counted, but what was ever added or deleted is not: see
    /// [`Self::set_counters`]. Returns false, and does nothing, if the id is not after that of the
    /// entry before it.
    pub fn restore<'a>(
        &mut self,
        id: StreamId,
        words: impl Iterator<Item = &'a [u8]> + Clone,
        starts_block: bool,
        deleted: bool,
    ) -> bool {
        let is_first = self.blocks.is_empty();
        if !is_first && id <= self.tail.last {
            return false;
        }
        if starts_block || is_first {
            self.start_block(id, words.clone());
        }
        let (last_live, first_id) = (self.tail.last_live, self.first_id);
        self.push_to_tail(id, words);
        self.last_id = self.last_id.max(id);
        if deleted {
            let block = self.blocks.last_mut().expect("an entry was added to it");
            let entry = block.entries().last().expect("it was added");
            block.delete(entry.header_at);
            self.len -= 1;
            (self.tail.last_live, self.first_id) = (last_live, first_id);
        }
        true
    }

    fn push_to_tail<'a>(&mut self, id: StreamId, words: impl FieldWords<'a>) {
        let last = self.tail.last;
        let block = self.blocks.last_mut().expect("there is a last block");
        let before = block.bytes.capacity();
        self.tail.listpack_bytes += block.push(last, id, words);
        self.block_bytes += block.bytes.capacity() - before;
        (self.tail.last, self.tail.last_live) = (id, id);
        self.len += 1;
        if self.len == 1 {
            self.first_id = id;
        }
    }

    /// Whether an entry of so many bytes must go into a new block.
    fn tail_is_full(&self, payload: usize, limits: Limits) -> bool {
        let Some(block) = self.blocks.last() else { return true };
        let max = match usize::try_from(limits.node_bytes) {
            Ok(max @ 1..=NODE_BYTES_MAX) => max,
            _ => NODE_BYTES_MAX,
        };
        let counts = listpack_integer_bytes(i64::from(block.live))
            + listpack_integer_bytes(i64::from(block.total - block.live));
        self.tail.listpack_bytes + counts + payload >= max
            || limits.node_entries != 0 && u64::from(block.total) >= limits.node_entries
    }

    /// Closes the last block and adds one behind it. The new one takes over the buffer of the old
    /// one, which gets one of exactly its size.
    fn start_block<'a>(&mut self, id: StreamId, words: impl FieldWords<'a>) {
        let mut buffer = Vec::new();
        if let Some(block) = self.blocks.last_mut() {
            let exact = block.bytes.as_slice().to_vec();
            self.block_bytes += exact.capacity();
            buffer = core::mem::replace(&mut block.bytes, exact);
            buffer.clear();
        }
        let before = buffer.capacity();
        let (block, names) = Block::new(id, buffer, words);
        self.block_bytes += block.bytes.capacity() - before;
        self.blocks.insert(block);
        // One byte and its length for the zero that ends the first entry of a listpack.
        let listpack_bytes = LISTPACK_FRAME_BYTES + names + 2;
        // The last entry that is not deleted is in the block before, until one is added.
        self.tail = Tail { last: id, listpack_bytes, ..self.tail };
    }

    /// The entry with this id.
    pub fn entry(&self, id: StreamId) -> Option<Entry<'_>> {
        let position = self.blocks.floor(id)?;
        let mut entries = self.blocks.at(position).entries();
        entries.find(|entry| entry.id >= id).filter(|entry| entry.id == id && !entry.is_deleted())
    }

    /// The entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::new(self, start, end)
    }

    /// The entries from `end` back to `start`, both included.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        RangeBack::new(self, start, end)
    }

    /// Deletes an entry; says whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some(entry) = self.entry(id) else { return false };
        let header_at = entry.header_at;
        let position = self.blocks.floor(id).expect("the entry is in a block");
        self.delete_in(position, header_at);
        if self.blocks.at(position).live == 0 {
            self.remove_block(position);
        }
        self.settle(id, id);
        self.max_deleted_id = self.max_deleted_id.max(id);
        true
    }

    /// Marks an entry as deleted. [`Self::settle`] must follow.
    pub(super) fn delete_in(&mut self, position: Position, header_at: usize) {
        self.blocks.at_mut(position).delete(header_at);
        self.len -= 1;
    }

    /// Removes a whole block with the entries that it has. [`Self::settle`] must follow.
    pub(super) fn remove_block(&mut self, position: Position) {
        let was_last = self.blocks.after(position).is_none();
        let block = self.blocks.remove_at(position);
        self.len -= u64::from(block.live);
        self.block_bytes -= block.bytes.capacity();
        if was_last {
            self.measure_tail();
        }
    }

    /// Finds out what is to be remembered about the last block, but not its last entry that is not
    /// deleted.
    fn measure_tail(&mut self) {
        self.tail = self.blocks.last().map_or_else(Tail::default, |block| Tail {
            last: block.entries().last().map_or(block.first, |entry| entry.id),
            last_live: StreamId::MIN,
            listpack_bytes: LISTPACK_FRAME_BYTES + 2 + block.listpack_bytes(),
        });
    }

    /// Finds the first and the last entry anew where they may be among those that were deleted, the
    /// first of which was `first` and the last `last`.
    pub(super) fn settle(&mut self, first: StreamId, last: StreamId) {
        if last >= self.tail.last_live {
            let mut blocks =
                core::iter::successors(self.blocks.end(), |&it| self.blocks.before(it));
            let last_live = blocks.find_map(|block| self.blocks.at(block).last_live());
            self.tail.last_live = last_live.unwrap_or(StreamId::MIN);
        }
        if first <= self.first_id || self.len == 0 {
            let first_live = self.blocks.iter().find_map(Block::first_live);
            self.first_id = first_live.unwrap_or(StreamId::MIN);
        }
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.heap_bytes() + self.block_bytes
    }

    /// Drops some of the blocks; true when nothing is left. It is not used for anything else any
    /// more.
    pub(super) fn drop_some(&mut self) -> bool {
        self.blocks.drop_some()
    }

    /// Checks order, counts and what is remembered.
    pub(super) fn check_invariants(&self) {
        self.blocks.check_invariants();
        let (mut last, mut live, mut bytes) = (None, Vec::new(), 0);
        for block in self.blocks.iter() {
            let mut counts = (0, 0);
            for entry in block.entries() {
                assert!(last.is_none_or(|last| last < entry.id), "ids rise");
                assert!(counts.1 > 0 || entry.id == block.first, "the first id of a block");
                last = Some(entry.id);
                counts.1 += 1;
                if !entry.is_deleted() {
                    counts.0 += 1;
                    live.push(entry.id);
                }
            }
            assert_eq!(counts, (block.live, block.total), "entries of a block");
            bytes += block.bytes.capacity();
        }
        assert_eq!(self.len, live.len() as u64, "entries");
        assert_eq!(self.first_id, live.first().copied().unwrap_or_default(), "the first id");
        assert!(last.is_none_or(|last| last <= self.last_id), "the last id");
        assert_eq!(self.block_bytes, bytes, "bytes of the blocks");
        assert_eq!(self.tail.last_live, live.last().copied().unwrap_or_default(), "the last entry");
        if let Some(block) = self.blocks.last() {
            assert_eq!(Some(self.tail.last), last, "the end of the last block");
            let listpack = LISTPACK_FRAME_BYTES + 2 + block.listpack_bytes();
            assert_eq!(self.tail.listpack_bytes, listpack, "the size as a listpack");
        }
    }
}
