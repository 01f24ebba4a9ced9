//! Where entries live: pages cut into slots of one size class, addressed by 39-bit handles.
//!
//! Why not one `malloc` per entry: 8-byte size classes without a header per block save 16 bytes an
//! entry, memory is accounted exactly and the same on every machine, and a whole database is given
//! back block by block. All of it is safe code: a handle that is wrong reads wrong bytes, never
//! memory that is not ours.
//!
//! Invariants: a handle stays valid until `free`; slots of a page all have the page's class; a page
//! without a live slot goes back to its chunk at once, except one per class; a chunk without a page
//! in use is retired, except one.

use std::collections::BTreeSet;

use super::chunk::{CHUNK_BYTES, Chunk};

/// Bytes of a page.
const PAGE_BYTES: usize = 64 * 1024;
/// Handles count in units of this many bytes.
const UNIT_BYTES: usize = 8;
const UNITS_PER_PAGE_BITS: u32 = (PAGE_BYTES / UNIT_BYTES).trailing_zeros();
const UNITS_PER_CHUNK_BITS: u32 = (CHUNK_BYTES / UNIT_BYTES).trailing_zeros();
const PAGES_PER_CHUNK: usize = CHUNK_BYTES / PAGE_BYTES;
/// Chunks that handles can address: 2^38 units of 8 bytes are 2 TiB.
const CHUNKS_MAX: usize = 1 << (Handle::BITS - 1 - UNITS_PER_CHUNK_BITS);
/// Slots up to this size share pages; a bigger one has a block of its own.
pub(crate) const SHARED_SLOT_BYTES_MAX: usize = 1024;

const CLASS_SIZES: [u16; 38] = [
    8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 144, 160, 176, 192, 208,
    224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024,
];
/// "No page" in the lists of pages.
const NO_PAGE: u32 = u32::MAX;

/// The address of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Handle(u64);

impl Handle {
    /// Significant bits; the fortieth is free for marks of the users of five-byte handles.
    pub(crate) const BITS: u32 = 39;

    /// The handle as five little-endian bytes.
    pub(crate) fn to_bytes(self) -> [u8; 5] {
        let [a, b, c, d, e, ..] = self.0.to_le_bytes();
        [a, b, c, d, e]
    }

    /// The inverse of `to_bytes`.
    pub(crate) fn from_bytes([a, b, c, d, e]: [u8; 5]) -> Self {
        Self(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
    }

    /// Set in the handle of a slot with a block of its own; the rest is the block's index.
    const BIG: u64 = 1 << (Self::BITS - 1);

    fn new(page: u32, offset: usize) -> Self {
        Self(u64::from(page) << UNITS_PER_PAGE_BITS | (offset / UNIT_BYTES) as u64)
    }

    fn big(index: usize) -> Self {
        Self(Self::BIG | index as u64)
    }

    /// The index of the slot's own block, if it has one.
    #[inline]
    fn block(self) -> Option<usize> {
        (self.0 & Self::BIG != 0).then_some((self.0 & !Self::BIG) as usize)
    }

    fn page(self) -> u32 {
        (self.0 >> UNITS_PER_PAGE_BITS) as u32
    }

    fn offset_in_page(self) -> usize {
        (self.0 as usize & ((1 << UNITS_PER_PAGE_BITS) - 1)) * UNIT_BYTES
    }

    #[inline]
    fn chunk(self) -> usize {
        (self.0 >> UNITS_PER_CHUNK_BITS) as usize
    }

    #[inline]
    fn offset_in_chunk(self) -> usize {
        (self.0 as usize & ((1 << UNITS_PER_CHUNK_BITS) - 1)) * UNIT_BYTES
    }
}

/// What is known about a page; its bytes are in its chunk.
#[derive(Clone, Copy, Debug)]
struct Page {
    class: u8,
    live: u16,
    /// Slots from here on were never used.
    fresh: u16,
    /// One more than the index of the first free slot among the used ones; 0: none.
    free: u16,
    /// Neighbours in the class's list of pages with room.
    previous: u32,
    next: u32,
}

impl Page {
    const EMPTY: Self =
        Self { class: 0, live: 0, fresh: 0, free: 0, previous: NO_PAGE, next: NO_PAGE };
}

/// A chunk and which of its pages are in use.
#[derive(Debug)]
struct Region {
    chunk: Chunk,
    /// Pages from here on were never used.
    fresh: u16,
    /// Used pages that hold nothing now.
    vacant: Vec<u16>,
}

impl Region {
    fn in_use(&self) -> usize {
        usize::from(self.fresh) - self.vacant.len()
    }
}

/// Pages and the lists of those that have room.
#[derive(Debug)]
pub(crate) struct Arena {
    /// Chunks by index; a retired one's place is empty until it is needed again.
    regions: Vec<Region>,
    /// Regions that can give a page, the lowest first, so that the highest become empty.
    regions_with_room: BTreeSet<u32>,
    pages: Vec<Page>,
    with_room: [u32; CLASS_SIZES.len()],
    /// Slots with a block of their own.
    blocks: Vec<Box<[u8]>>,
    vacant_blocks: Vec<u32>,
    /// Chunks that hold nothing any more, to be given back little by little.
    retired: Vec<Chunk>,
    /// Bytes of slots in use.
    used_bytes: usize,
    /// Bytes of pages in use and of blocks.
    page_bytes: usize,
}

impl Default for Arena {
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            regions_with_room: BTreeSet::new(),
            pages: Vec::new(),
            with_room: [NO_PAGE; CLASS_SIZES.len()],
            blocks: Vec::new(),
            vacant_blocks: Vec::new(),
            retired: Vec::new(),
            used_bytes: 0,
            page_bytes: 0,
        }
    }
}

impl Arena {
    /// A slot of at least `len` bytes. Its content is arbitrary.
    pub(crate) fn alloc(&mut self, len: usize) -> Handle {
        if len > SHARED_SLOT_BYTES_MAX {
            return self.alloc_block(len);
        }
        let class = class_of(len);
        let size = usize::from(CLASS_SIZES[class]);
        let mut index = self.with_room[class];
        if index == NO_PAGE {
            index = self.add_page(class as u8);
            self.push_room(class, index);
        }
        let page = self.pages[index as usize];
        let (slot, free) = if page.free == 0 {
            self.pages[index as usize].fresh += 1;
            (usize::from(page.fresh), 0)
        } else {
            let slot = usize::from(page.free - 1);
            let bytes = self.bytes(Handle::new(index, slot * size));
            (slot, u16::from_le_bytes([bytes[0], bytes[1]]))
        };
        let page = &mut self.pages[index as usize];
        page.free = free;
        page.live += 1;
        if page.free == 0 && usize::from(page.fresh) == PAGE_BYTES / size {
            self.remove_room(class, index);
        }
        self.used_bytes += size;
        Handle::new(index, slot * size)
    }

    /// Gives a slot back.
    ///
    /// # Panics
    /// If the handle's page holds nothing: a double free.
    pub(crate) fn free(&mut self, handle: Handle) {
        if let Some(block) = handle.block() {
            return self.free_block(block);
        }
        let index = handle.page();
        let page = self.pages[index as usize];
        assert!(page.live > 0, "an entry was freed twice");
        let class = usize::from(page.class);
        let size = usize::from(CLASS_SIZES[class]);
        let was_full = page.free == 0 && usize::from(page.fresh) == PAGE_BYTES / size;
        self.bytes_mut(handle)[..2].copy_from_slice(&page.free.to_le_bytes());
        let page = &mut self.pages[index as usize];
        page.live -= 1;
        page.free = (handle.offset_in_page() / size) as u16 + 1;
        let empty = page.live == 0;
        self.used_bytes -= size;
        if was_full {
            self.push_room(class, index);
        }
        // The last page with room stays, so that one entry coming and going costs no page.
        let page = &self.pages[index as usize];
        if empty && (page.previous != NO_PAGE || page.next != NO_PAGE) {
            self.remove_room(class, index);
            self.release_page(index);
        }
    }

    /// The bytes of a slot, at least as many as were asked for.
    #[inline]
    pub(crate) fn bytes(&self, handle: Handle) -> &[u8] {
        match handle.block() {
            None => self.regions[handle.chunk()].chunk.at(handle.offset_in_chunk()),
            Some(block) => &self.blocks[block],
        }
    }

    /// The bytes of a slot, to write.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, handle: Handle) -> &mut [u8] {
        match handle.block() {
            None => self.regions[handle.chunk()].chunk.at_mut(handle.offset_in_chunk()),
            Some(block) => &mut self.blocks[block],
        }
    }

    /// How many bytes a slot for `len` bytes really takes.
    pub(crate) fn slot_bytes(len: usize) -> usize {
        if len > SHARED_SLOT_BYTES_MAX { len } else { usize::from(CLASS_SIZES[class_of(len)]) }
    }

    /// Bytes of the slots in use.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Bytes of all pages in use, and of the slots with blocks of their own.
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// A chunk that holds nothing any more, to be given back little by little.
    pub(crate) fn take_retired(&mut self) -> Option<Chunk> {
        self.retired.pop()
    }

    /// Gives a bounded part back, whatever it holds; true when nothing is left. For an arena that is
    /// no longer in use.
    pub(crate) fn drop_some(&mut self) -> bool {
        if !self.blocks.is_empty() {
            let keep = self.blocks.len().saturating_sub(BLOCKS_PER_DROP);
            self.blocks.truncate(keep);
            return false;
        }
        if let Some(chunk) = self.retired.last_mut() {
            if chunk.give_back_some() {
                self.retired.pop();
            }
            return false;
        }
        let Some(region) = self.regions.last_mut() else { return true };
        if region.chunk.give_back_some() {
            self.regions.pop();
        }
        self.regions.is_empty()
    }

    fn alloc_block(&mut self, len: usize) -> Handle {
        self.used_bytes += len;
        self.page_bytes += len;
        let block = vec![0; len].into_boxed_slice();
        if let Some(index) = self.vacant_blocks.pop() {
            self.blocks[index as usize] = block;
            return Handle::big(index as usize);
        }
        self.blocks.push(block);
        Handle::big(self.blocks.len() - 1)
    }

    fn free_block(&mut self, index: usize) {
        let len = self.blocks[index].len();
        assert!(len > 0, "an entry was freed twice");
        self.used_bytes -= len;
        self.page_bytes -= len;
        self.blocks[index] = Box::default();
        self.vacant_blocks.push(index as u32);
    }

    fn add_page(&mut self, class: u8) -> u32 {
        let region = match self.regions_with_room.first() {
            Some(&index) => index,
            None => self.add_region(),
        };
        let entry = &mut self.regions[region as usize];
        let place = entry.vacant.pop().unwrap_or_else(|| {
            entry.fresh += 1;
            entry.fresh - 1
        });
        if entry.in_use() == PAGES_PER_CHUNK {
            self.regions_with_room.remove(&region);
        }
        self.page_bytes += PAGE_BYTES;
        let index = region * PAGES_PER_CHUNK as u32 + u32::from(place);
        self.pages[index as usize] = Page { class, ..Page::EMPTY };
        index
    }

    fn add_region(&mut self) -> u32 {
        let retired = self.regions.iter().position(|region| region.chunk.is_given_back());
        let region = Region { chunk: Chunk::new(), fresh: 0, vacant: Vec::new() };
        let index = if let Some(index) = retired {
            self.regions[index] = region;
            index
        } else {
            assert!(self.regions.len() < CHUNKS_MAX, "more data than handles can address");
            self.regions.push(region);
            self.pages.resize(self.regions.len() * PAGES_PER_CHUNK, Page::EMPTY);
            self.regions.len() - 1
        };
        self.regions_with_room.insert(index as u32);
        index as u32
    }

    fn release_page(&mut self, index: u32) {
        self.page_bytes -= PAGE_BYTES;
        self.pages[index as usize] = Page::EMPTY;
        let region = index / PAGES_PER_CHUNK as u32;
        let entry = &mut self.regions[region as usize];
        entry.vacant.push((index % PAGES_PER_CHUNK as u32) as u16);
        self.regions_with_room.insert(region);
        // The last region with room stays, for the next page.
        if entry.in_use() == 0 && self.regions_with_room.len() > 1 {
            self.regions_with_room.remove(&region);
            entry.fresh = 0;
            entry.vacant = Vec::new();
            self.retired.push(core::mem::replace(&mut entry.chunk, Chunk::given_back()));
        }
    }

    fn push_room(&mut self, class: usize, index: u32) {
        let head = self.with_room[class];
        if head != NO_PAGE {
            self.pages[head as usize].previous = index;
        }
        let page = &mut self.pages[index as usize];
        page.previous = NO_PAGE;
        page.next = head;
        self.with_room[class] = index;
    }

    fn remove_room(&mut self, class: usize, index: u32) {
        let page = &mut self.pages[index as usize];
        let (previous, next) = (page.previous, page.next);
        page.previous = NO_PAGE;
        page.next = NO_PAGE;
        if next != NO_PAGE {
            self.pages[next as usize].previous = previous;
        }
        if previous == NO_PAGE {
            self.with_room[class] = next;
        } else {
            self.pages[previous as usize].next = next;
        }
    }

    /// Checks the counts and lists of every page.
    pub(crate) fn check_invariants(&self) {
        let mut used: usize = self.blocks.iter().map(|block| block.len()).sum();
        let mut owned = used;
        for (index, page) in self.pages.iter().enumerate() {
            let region = &self.regions[index / PAGES_PER_CHUNK];
            let place = (index % PAGES_PER_CHUNK) as u16;
            if place >= region.fresh || region.vacant.contains(&place) {
                assert_eq!((page.live, page.fresh), (0, 0), "an unused page holds something");
                continue;
            }
            let size = usize::from(CLASS_SIZES[usize::from(page.class)]);
            used += usize::from(page.live) * size;
            owned += PAGE_BYTES;
            let mut free = 0;
            let mut at = page.free;
            while at != 0 {
                free += 1;
                let bytes = self.bytes(Handle::new(index as u32, usize::from(at - 1) * size));
                at = u16::from_le_bytes([bytes[0], bytes[1]]);
            }
            assert_eq!(page.live + free, page.fresh, "slots are live, free or fresh");
        }
        for (index, region) in self.regions.iter().enumerate() {
            let has_room = region.in_use() < PAGES_PER_CHUNK && !region.chunk.is_given_back();
            let listed = self.regions_with_room.contains(&(index as u32));
            assert_eq!(has_room, listed, "regions with room are listed");
        }
        assert_eq!(used, self.used_bytes, "used bytes add up");
        assert_eq!(owned, self.page_bytes, "page bytes add up");
    }
}

/// Blocks given back in one step.
const BLOCKS_PER_DROP: usize = 256;

#[inline]
fn class_of(len: usize) -> usize {
    if len <= 128 {
        return len.saturating_sub(1) / 8;
    }
    // Few classes and rare sizes: the search is short.
    CLASS_SIZES.partition_point(|&size| usize::from(size) < len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_gets_a_slot_that_fits() {
        for len in 1..=SHARED_SLOT_BYTES_MAX {
            let size = usize::from(CLASS_SIZES[class_of(len)]);
            assert!(
                size >= len
                    && (class_of(len) == 0 || {
                        usize::from(CLASS_SIZES[class_of(len) - 1]) < len
                    })
            );
        }
    }

    #[test]
    fn slots_do_not_overlap_and_pages_come_back() {
        let mut arena = Arena::default();
        let mut live = Vec::new();
        for round in 0..20_000_usize {
            let len = 1 + round * 7 % 1500;
            let handle = arena.alloc(len);
            arena.bytes_mut(handle)[..len].fill(round as u8);
            live.push((handle, len, round as u8));
            if round % 3 == 0 {
                let (handle, ..) = live.swap_remove(round % live.len());
                arena.free(handle);
            }
        }
        arena.check_invariants();
        for &(handle, len, fill) in &live {
            assert!(arena.bytes(handle)[..len].iter().all(|&byte| byte == fill));
        }
        for (handle, ..) in live {
            arena.free(handle);
        }
        arena.check_invariants();
        assert_eq!(arena.used_bytes(), 0);
        assert!(arena.page_bytes() <= CLASS_SIZES.len() * PAGE_BYTES);
    }
}
