//! Where entries live: pages cut into slots of one size class, addressed by 39-bit handles.
//!
//! Why not one `malloc` per entry: 8-byte size classes without a header per block save 16 bytes an
//! entry, memory is accounted exactly and the same on every machine, and a whole database is given
//! back page by page. All of it is safe code: a handle that is wrong reads wrong bytes, never
//! memory that is not ours.
//!
//! Invariants: a handle stays valid until `free`; slots of a page all have the page's class; a page
//! without a live slot is released at once, except one per class.

/// Bytes of an ordinary page.
const PAGE_BYTES: usize = 64 * 1024;
/// Handles count in units of this many bytes within a page.
const UNIT_BYTES: usize = 8;
const UNITS_PER_PAGE_BITS: u32 = (PAGE_BYTES / UNIT_BYTES).trailing_zeros();
/// Pages that handles can address: 2^39 units of 8 bytes are 4 TiB.
const PAGES_MAX: usize = 1 << (Handle::BITS - UNITS_PER_PAGE_BITS);
/// Slots up to this size share pages; a bigger one has a page of its own.
pub(crate) const SHARED_SLOT_BYTES_MAX: usize = 1024;

const CLASS_SIZES: [u16; 38] = [
    8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 144, 160, 176, 192, 208,
    224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024,
];
/// The class of a page that holds one big slot.
const CLASS_OWN: u8 = u8::MAX;
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

    fn new(page: usize, offset: usize) -> Self {
        Self((page as u64) << UNITS_PER_PAGE_BITS | (offset / UNIT_BYTES) as u64)
    }

    fn page(self) -> usize {
        (self.0 >> UNITS_PER_PAGE_BITS) as usize
    }

    fn offset(self) -> usize {
        (self.0 as usize & ((1 << UNITS_PER_PAGE_BITS) - 1)) * UNIT_BYTES
    }
}

#[derive(Debug)]
struct Page {
    bytes: Box<[u8]>,
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

/// Pages and the lists of those that have room.
#[derive(Debug)]
pub(crate) struct Arena {
    pages: Vec<Page>,
    /// Indexes of `pages` that hold nothing.
    vacant: Vec<u32>,
    with_room: [u32; CLASS_SIZES.len()],
    /// Bytes of slots in use.
    used_bytes: usize,
    /// Bytes of pages.
    page_bytes: usize,
}

impl Default for Arena {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            vacant: Vec::new(),
            with_room: [NO_PAGE; CLASS_SIZES.len()],
            used_bytes: 0,
            page_bytes: 0,
        }
    }
}

impl Arena {
    /// A slot of at least `len` bytes. Its content is arbitrary.
    pub(crate) fn alloc(&mut self, len: usize) -> Handle {
        if len > SHARED_SLOT_BYTES_MAX {
            return self.alloc_own(len);
        }
        let class = class_of(len);
        let size = usize::from(CLASS_SIZES[class]);
        let mut index = self.with_room[class];
        if index == NO_PAGE {
            index = self.add_page(class as u8, PAGE_BYTES);
            self.push_room(class, index);
        }
        let page = &mut self.pages[index as usize];
        let slot = if page.free != 0 {
            let slot = usize::from(page.free - 1);
            let at = slot * size;
            page.free = u16::from_le_bytes([page.bytes[at], page.bytes[at + 1]]);
            slot
        } else {
            page.fresh += 1;
            usize::from(page.fresh - 1)
        };
        page.live += 1;
        if page.free == 0 && usize::from(page.fresh) == PAGE_BYTES / size {
            self.remove_room(class, index);
        }
        self.used_bytes += size;
        Handle::new(index as usize, slot * size)
    }

    /// Gives a slot back.
    ///
    /// # Panics
    /// If the handle's page holds nothing: a double free.
    pub(crate) fn free(&mut self, handle: Handle) {
        let index = handle.page();
        let page = &mut self.pages[index];
        assert!(page.live > 0, "an entry was freed twice");
        page.live -= 1;
        if page.class == CLASS_OWN {
            self.used_bytes -= page.bytes.len();
            self.release(index);
            return;
        }
        let class = usize::from(page.class);
        let size = usize::from(CLASS_SIZES[class]);
        let was_full = page.free == 0 && usize::from(page.fresh) == PAGE_BYTES / size;
        let at = handle.offset();
        let [low, high] = page.free.to_le_bytes();
        page.bytes[at] = low;
        page.bytes[at + 1] = high;
        page.free = (at / size) as u16 + 1;
        let empty = page.live == 0;
        self.used_bytes -= size;
        if was_full {
            self.push_room(class, index as u32);
        }
        // The last page with room stays, so that one entry coming and going costs no page.
        let page = &self.pages[index];
        if empty && (page.previous != NO_PAGE || page.next != NO_PAGE) {
            self.remove_room(class, index as u32);
            self.release(index);
        }
    }

    /// The bytes of a slot, at least as many as were asked for.
    #[inline]
    pub(crate) fn bytes(&self, handle: Handle) -> &[u8] {
        &self.pages[handle.page()].bytes[handle.offset()..]
    }

    /// The bytes of a slot, to write.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, handle: Handle) -> &mut [u8] {
        &mut self.pages[handle.page()].bytes[handle.offset()..]
    }

    /// How many bytes a slot for `len` bytes really takes.
    pub(crate) fn slot_bytes(len: usize) -> usize {
        if len > SHARED_SLOT_BYTES_MAX { len } else { usize::from(CLASS_SIZES[class_of(len)]) }
    }

    /// Bytes of the slots in use.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Bytes of all pages.
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Drops up to `pages` pages, whatever they hold; true when none is left. For an arena that is
    /// no longer in use.
    pub(crate) fn drop_pages(&mut self, pages: usize) -> bool {
        let keep = self.pages.len().saturating_sub(pages);
        self.pages.truncate(keep);
        self.pages.is_empty()
    }

    fn alloc_own(&mut self, len: usize) -> Handle {
        let index = self.add_page(CLASS_OWN, len);
        self.pages[index as usize].live = 1;
        self.used_bytes += len;
        Handle::new(index as usize, 0)
    }

    fn add_page(&mut self, class: u8, len: usize) -> u32 {
        self.page_bytes += len;
        let page = Page {
            bytes: vec![0; len].into_boxed_slice(),
            class,
            live: 0,
            fresh: 0,
            free: 0,
            previous: NO_PAGE,
            next: NO_PAGE,
        };
        if let Some(index) = self.vacant.pop() {
            self.pages[index as usize] = page;
            return index;
        }
        assert!(self.pages.len() < PAGES_MAX, "the keyspace is larger than handles can address");
        self.pages.push(page);
        (self.pages.len() - 1) as u32
    }

    fn release(&mut self, index: usize) {
        let page = &mut self.pages[index];
        self.page_bytes -= page.bytes.len();
        page.bytes = Box::default();
        self.vacant.push(index as u32);
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
        let mut used = 0;
        let mut owned = 0;
        for page in &self.pages {
            owned += page.bytes.len();
            if page.bytes.is_empty() {
                assert_eq!(page.live, 0, "a released page holds something");
                continue;
            }
            let size = match page.class {
                CLASS_OWN => page.bytes.len(),
                class => usize::from(CLASS_SIZES[usize::from(class)]),
            };
            used += usize::from(page.live) * size;
            let mut free = 0;
            let mut at = page.free;
            while at != 0 {
                free += 1;
                let offset = usize::from(at - 1) * size;
                at = u16::from_le_bytes([page.bytes[offset], page.bytes[offset + 1]]);
            }
            if page.class != CLASS_OWN {
                assert_eq!(page.live + free, page.fresh, "slots are live, free or fresh");
            }
        }
        assert_eq!(used, self.used_bytes, "used bytes add up");
        assert_eq!(owned, self.page_bytes, "page bytes add up");
    }
}

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
