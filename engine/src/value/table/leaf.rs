//! A leaf: some dozen entries in one allocation.
//!
//! ```text
//! 0..2   how many entries there are
//! 2..4   how many slots there are: S, a multiple of eight
//! 4..    S one-byte tags
//!        S two-byte offsets, from the first byte of the entries
//!        the entries, one behind the other, in any order, without gaps
//! ```
//! A search compares eight tags at a time and touches an entry only where its tag is the right one.
//!
//! Invariant: slots below the count describe all entries; an entry is as long as its cells say.
//! Two bytes are enough for offsets because leaves are split long before 64 KiB: that many keys
//! whose hashes cannot be told apart would take the hash's secret key.

use super::blobs::allocated_bytes;
use crate::value::shared::twin_bytes;

const HEADER_BYTES: usize = 4;
const SLOT_BYTES: usize = 3;
/// Slots come and go by so many.
const SLOTS_STEP: usize = 8;
/// A byte of one in every lane.
const ONES: u64 = 0x0101_0101_0101_0101;
const SEVENS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Some entries of a table.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    data: Vec<u8>,
}

impl Clone for Leaf {
    fn clone(&self) -> Self {
        let mut data = Vec::new();
        if !self.data.is_empty() {
            data.reserve_exact(roomy(self.data.len()));
            data.extend_from_slice(&self.data);
        }
        Self { data }
    }
}

impl Leaf {
    /// A copy with as much room.
    pub(super) fn twin(&self) -> Self {
        Self { data: twin_bytes(&self.data) }
    }

    /// An empty leaf with room for so many entries of so many bytes altogether.
    fn with_room(count: usize, entries_bytes: usize) -> Self {
        if count == 0 {
            return Self::default();
        }
        let slots = count.next_multiple_of(SLOTS_STEP);
        let start = HEADER_BYTES + slots * SLOT_BYTES;
        let mut data = Vec::new();
        data.reserve_exact(roomy(start + entries_bytes));
        data.resize(start, 0);
        let mut leaf = Self { data };
        leaf.set_shape(0, slots);
        leaf
    }

    /// How many entries there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.shape().0
    }

    /// Bytes in use.
    #[inline]
    pub(super) fn used_bytes(&self) -> usize {
        self.data.len()
    }

    /// Heap bytes.
    #[inline]
    pub(super) fn memory_bytes(&self) -> usize {
        allocated_bytes(self.data.capacity())
    }

    /// The first slot with this tag for whose entry `is_it` holds. Entries are given from their
    /// first byte to the end of the leaf.
    #[inline]
    pub(super) fn find(&self, tag: u8, mut is_it: impl FnMut(&[u8]) -> bool) -> Option<usize> {
        let (count, slots) = self.shape();
        let tags = self.data.get(HEADER_BYTES..HEADER_BYTES + slots)?;
        let wanted = u64::from(tag) * ONES;
        for (index, lanes) in tags.as_chunks::<8>().0.iter().enumerate() {
            let differing = u64::from_le_bytes(*lanes) ^ wanted;
            // A bit for each lane that is all zeroes.
            let mut equal = !(((differing & SEVENS) + SEVENS) | differing | SEVENS);
            while equal != 0 {
                let slot = index * 8 + equal.trailing_zeros() as usize / 8;
                equal &= equal - 1;
                if slot < count && is_it(self.entry(slot)) {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// The entry of a slot, from its first byte to the end of the leaf.
    #[inline]
    pub(super) fn entry(&self, slot: usize) -> &[u8] {
        &self.data[self.start() + self.offset(slot)..]
    }

    /// All entries, one behind the other.
    #[inline]
    pub(super) fn entries(&self) -> &[u8] {
        &self.data[self.start().min(self.data.len())..]
    }

    /// Adds an entry of so many bytes, which `write` fills in.
    pub(super) fn push(&mut self, tag: u8, len: usize, write: impl FnOnce(&mut [u8])) {
        let (count, slots) = self.shape();
        if count == slots {
            self.reserve(len + SLOTS_STEP * SLOT_BYTES + HEADER_BYTES);
            self.resize_slots(slots + SLOTS_STEP);
        } else {
            self.reserve(len);
        }
        let at = self.data.len();
        self.data.resize(at + len, 0);
        write(&mut self.data[at..]);
        let slots = self.shape().1;
        self.set_shape(count + 1, slots);
        self.set_slot(count, tag, at - self.start());
    }

    /// Takes an entry of `len` bytes out.
    pub(super) fn remove(&mut self, slot: usize, len: usize) {
        let (count, slots) = self.shape();
        if count == 1 {
            *self = Self::default();
            return;
        }
        let (offset, last) = (self.offset(slot), count - 1);
        self.set_slot(slot, self.tag(last), self.offset(last));
        self.set_shape(last, slots);
        self.move_entries(offset, offset + len, offset);
        if slots - last >= 2 * SLOTS_STEP {
            self.resize_slots(slots - SLOTS_STEP);
        }
        self.shrink();
    }

    /// Makes `new` bytes of the `old` bytes that begin `from` bytes behind the start of an entry;
    /// returns them for the caller to fill in.
    #[inline]
    pub(super) fn splice(&mut self, slot: usize, from: usize, old: usize, new: usize) -> &mut [u8] {
        let at = self.offset(slot) + from;
        if new != old {
            self.reserve(new.saturating_sub(old));
            self.move_entries(at, at + old, at + new);
            self.shrink();
        }
        let start = self.start() + at;
        &mut self.data[start..start + new]
    }

    /// Takes the entries out for which `moves` holds, into a leaf of their own. `entry_bytes` tells
    /// how long the entry at the front of bytes is.
    pub(super) fn split(
        &mut self,
        entry_bytes: impl Fn(&[u8]) -> usize,
        moves: impl Fn(&[u8]) -> bool,
    ) -> Self {
        let plan: Vec<(u8, &[u8], bool)> = (0..self.len())
            .map(|slot| {
                let entry = self.entry(slot);
                (self.tag(slot), &entry[..entry_bytes(entry)], moves(entry))
            })
            .collect();
        let half = |moved| {
            let here = || plan.iter().filter(move |(_, _, moves)| *moves == moved);
            let bytes = here().map(|(_, entry, _)| entry.len()).sum();
            let mut leaf = Self::with_room(here().count(), bytes);
            for (tag, entry, _) in here() {
                leaf.push(*tag, entry.len(), |into| into.copy_from_slice(entry));
            }
            leaf
        };
        let (stay, gone) = (half(false), half(true));
        *self = stay;
        gone
    }

    /// Takes all entries of another leaf in.
    pub(super) fn absorb(&mut self, other: &Self) {
        let (count, more) = (self.len(), other.len());
        let mut both = Self::with_room(count + more, self.entries().len() + other.entries().len());
        let mut base = 0;
        for from in [&*self, other] {
            for slot in 0..from.len() {
                let (len, slots) = both.shape();
                both.set_shape(len + 1, slots);
                both.set_slot(len, from.tag(slot), base + from.offset(slot));
            }
            both.data.extend_from_slice(from.entries());
            base = from.entries().len();
        }
        *self = both;
    }

    /// Checks the slots against the entries; `check` is given the tag and the entry.
    pub(super) fn check_invariants(
        &self,
        entry_bytes: impl Fn(&[u8]) -> usize,
        mut check: impl FnMut(u8, &[u8]),
    ) {
        let (count, slots) = self.shape();
        assert!(count <= slots && slots.is_multiple_of(SLOTS_STEP), "slots have room for entries");
        let mut starts: Vec<usize> = (0..count).map(|slot| self.offset(slot)).collect();
        starts.sort_unstable();
        let mut at = 0;
        for start in starts {
            assert_eq!(start, at, "entries lie without gaps");
            at += entry_bytes(&self.entries()[at..]);
        }
        assert_eq!(at, self.entries().len(), "entries fill the leaf");
        (0..count).for_each(|slot| check(self.tag(slot), self.entry(slot)));
    }

    /// How many entries and how many slots there are.
    #[inline]
    fn shape(&self) -> (usize, usize) {
        match self.data.first_chunk::<HEADER_BYTES>() {
            Some(&[a, b, c, d]) => {
                (u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into())
            }
            None => (0, 0),
        }
    }

    #[inline]
    fn set_shape(&mut self, count: usize, slots: usize) {
        self.data[..2].copy_from_slice(&narrow(count));
        self.data[2..HEADER_BYTES].copy_from_slice(&narrow(slots));
    }

    /// Where the entries begin.
    #[inline]
    fn start(&self) -> usize {
        HEADER_BYTES + self.shape().1 * SLOT_BYTES
    }

    #[inline]
    fn tag(&self, slot: usize) -> u8 {
        self.data[HEADER_BYTES + slot]
    }

    #[inline]
    fn offset(&self, slot: usize) -> usize {
        let at = HEADER_BYTES + self.shape().1 + slot * 2;
        u16::from_le_bytes([self.data[at], self.data[at + 1]]).into()
    }

    #[inline]
    fn set_slot(&mut self, slot: usize, tag: u8, offset: usize) {
        self.data[HEADER_BYTES + slot] = tag;
        let at = HEADER_BYTES + self.shape().1 + slot * 2;
        self.data[at..at + 2].copy_from_slice(&narrow(offset));
    }

    /// Moves everything that begins at the offset `from` to `to`, and the offsets of entries behind
    /// `hole` with it.
    fn move_entries(&mut self, hole: usize, from: usize, to: usize) {
        let (start, end) = (self.start(), self.data.len());
        let new_end = end - from + to;
        if new_end > end {
            self.data.resize(new_end, 0);
        }
        self.data.copy_within(start + from..end, start + to);
        self.data.truncate(new_end);
        let (count, slots) = self.shape();
        let first = HEADER_BYTES + slots;
        let shift = narrow_difference(to, from);
        for bytes in self.data[first..first + 2 * count].as_chunks_mut::<2>().0 {
            let offset = u16::from_le_bytes(*bytes);
            if usize::from(offset) > hole {
                *bytes = offset.wrapping_add(shift).to_le_bytes();
            }
        }
        assert!(new_end - start <= usize::from(u16::MAX), "a leaf is split before it is too long");
    }

    /// Changes the number of slots; entries move along.
    fn resize_slots(&mut self, slots: usize) {
        if self.data.is_empty() {
            self.data.resize(HEADER_BYTES, 0);
        }
        let (count, old_slots) = self.shape();
        let (start, end) = (self.start(), self.data.len());
        let new_start = HEADER_BYTES + slots * SLOT_BYTES;
        let offsets = HEADER_BYTES + old_slots..HEADER_BYTES + old_slots + 2 * count;
        if slots > old_slots {
            self.data.resize(end + new_start - start, 0);
            self.data.copy_within(start..end, new_start);
            self.data.copy_within(offsets, HEADER_BYTES + slots);
        } else {
            self.data.copy_within(offsets, HEADER_BYTES + slots);
            self.data.copy_within(start..end, new_start);
            self.data.truncate(end + new_start - start);
        }
        self.set_shape(count, slots);
    }

    /// Makes room for so many more bytes.
    #[inline]
    fn reserve(&mut self, more: usize) {
        let needed = self.data.len() + more;
        if needed > self.data.capacity() {
            self.data.reserve_exact(roomy(needed) - self.data.len());
        }
    }

    /// Gives room back that is not needed soon.
    #[inline]
    fn shrink(&mut self) {
        let len = self.data.len();
        if self.data.capacity() > len + len / 4 + 64 {
            self.data.shrink_to(roomy(len));
        }
    }
}

/// Room for so many bytes and a little more, of a size that allocators serve without rounding.
fn roomy(len: usize) -> usize {
    (len + len / 16 + 7) / 16 * 16 + 8
}

fn narrow(value: usize) -> [u8; 2] {
    u16::try_from(value).expect("a leaf is split before it is too long").to_le_bytes()
}

fn narrow_difference(to: usize, from: usize) -> u16 {
    (to as u16).wrapping_sub(from as u16)
}
