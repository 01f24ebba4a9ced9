//! A segment: up to a thousand leaves and the directory that leads to them.
//!
//! The directory is a power of two of cells; the bits of a hash behind those that lead to the
//! segment choose a cell. A leaf of depth `d` is chosen by `d` of these bits, so as many cells name
//! it as there are for the rest. A full leaf is split; if it has but one cell, the directory
//! doubles first, up to its limit, where the table splits the segment.
//!
//! Invariant: every leaf holds exactly the entries whose hash leads to it, and is named by one
//! aligned run of cells.

use super::leaf::Leaf;
use crate::value::shared::{Part, twins};

/// The directory never has more cells than two to this.
const BITS_MAX: u32 = 10;
/// No segment has more leaves.
pub(super) const LEAVES_MAX: usize = 1 << BITS_MAX;
/// A leaf with more entries or bytes is split.
const LEAF_LEN_MAX: usize = 64;
const LEAF_BYTES_MAX: usize = 3072;
/// Two leaves are merged if together they have no more.
const MERGED_LEN_MAX: usize = 40;
const MERGED_BYTES_MAX: usize = 1800;
/// Two segments are merged if together they have no more leaves.
const MERGED_LEAVES_MAX: usize = LEAVES_MAX / 2;

/// One cell of a directory: a leaf and how many bits lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    leaf: u16,
    depth: u8,
}

/// Some leaves of a table.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// How many leading bits of a hash lead to this segment.
    pub(super) depth: u32,
    /// How many bits choose a cell.
    bits: u32,
    cells: Vec<Cell>,
    leaves: Vec<Leaf>,
    /// Heap bytes of the leaves.
    leaf_bytes: usize,
}

impl Clone for Segment {
    fn clone(&self) -> Self {
        let leaves = self.leaves.clone();
        let leaf_bytes = leaves.iter().map(Leaf::memory_bytes).sum();
        Self { cells: self.cells.clone(), leaves, leaf_bytes, ..*self }
    }
}

impl Part for Segment {
    fn twin(&self) -> Self {
        let (cells, leaves) = (twins(&self.cells, |&cell| cell), twins(&self.leaves, Leaf::twin));
        Self { cells, leaves, ..*self }
    }

    fn part_bytes(&self) -> usize {
        self.memory_bytes()
    }
}

impl Segment {
    /// A segment with one empty leaf.
    pub(super) fn new(depth: u32) -> Self {
        let cells = vec![Cell { leaf: 0, depth: 0 }];
        Self { depth, bits: 0, cells, leaves: vec![Leaf::default()], leaf_bytes: 0 }
    }

    /// The number of the leaf that a hash leads to.
    #[inline]
    pub(super) fn leaf_of(&self, hash: u64) -> usize {
        self.cells[self.cell_of(hash)].leaf.into()
    }

    /// How many leading bits of a hash lead to the leaf that this one leads to.
    pub(super) fn leaf_depth(&self, hash: u64) -> u32 {
        self.depth + u32::from(self.cells[self.cell_of(hash)].depth)
    }

    #[inline]
    pub(super) fn leaf(&self, index: usize) -> &Leaf {
        &self.leaves[index]
    }

    pub(super) fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Changes a leaf and keeps the figures.
    #[inline]
    pub(super) fn change<R>(&mut self, leaf: usize, change: impl FnOnce(&mut Leaf) -> R) -> R {
        let leaf = &mut self.leaves[leaf];
        let before = leaf.memory_bytes();
        let result = change(leaf);
        self.leaf_bytes = self.leaf_bytes + leaf.memory_bytes() - before;
        result
    }

    /// Heap bytes.
    #[inline]
    pub(super) fn memory_bytes(&self) -> usize {
        self.leaf_bytes
            + self.leaves.capacity() * size_of::<Leaf>()
            + self.cells.capacity() * size_of::<Cell>()
    }

    /// Whether a leaf should be split.
    #[inline]
    pub(super) fn is_crowded(&self, leaf: usize) -> bool {
        let leaf = &self.leaves[leaf];
        leaf.len() > LEAF_LEN_MAX || leaf.used_bytes() > LEAF_BYTES_MAX
    }

    /// Splits the leaf that a hash leads to; false if the segment must be split before.
    pub(super) fn split_leaf(
        &mut self,
        hash: u64,
        entry_bytes: impl Fn(&[u8]) -> usize,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> bool {
        let Cell { leaf, depth } = self.cells[self.cell_of(hash)];
        if u32::from(depth) == self.bits {
            if self.bits == BITS_MAX {
                return false;
            }
            self.cells = self.cells.iter().flat_map(|&cell| [cell, cell]).collect();
            self.bits += 1;
        }
        let bit = 1 << (63 - self.depth - u32::from(depth));
        let gone = self
            .change(leaf.into(), |leaf| leaf.split(entry_bytes, |bytes| hash_of(bytes) & bit != 0));
        self.leaf_bytes += gone.memory_bytes();
        if self.leaves.len() == self.leaves.capacity() {
            self.leaves.reserve_exact(self.leaves.len() / 8 + 1);
        }
        let new = self.leaves.len() as u16;
        self.leaves.push(gone);
        let depth = depth + 1;
        self.name(hash & !bit, Cell { leaf, depth });
        self.name(hash | bit, Cell { leaf: new, depth });
        true
    }

    /// Merges the leaf that a hash leads to with its sister if both are sparse; true if it did.
    pub(super) fn merge_leaf(&mut self, hash: u64) -> bool {
        let Cell { leaf, depth } = self.cells[self.cell_of(hash)];
        if depth == 0 || self.leaves[usize::from(leaf)].len() > MERGED_LEN_MAX / 2 {
            return false;
        }
        let bit = 1 << (64 - self.depth - u32::from(depth));
        let sister = self.cells[self.cell_of(hash ^ bit)];
        let (one, other) =
            (&self.leaves[usize::from(leaf)], &self.leaves[usize::from(sister.leaf)]);
        let fits = sister.depth == depth
            && one.len() + other.len() <= MERGED_LEN_MAX
            && one.used_bytes() + other.used_bytes() <= MERGED_BYTES_MAX;
        if !fits {
            return false;
        }
        let gone = core::mem::take(&mut self.leaves[usize::from(sister.leaf)]);
        self.leaf_bytes -= gone.memory_bytes();
        self.change(leaf.into(), |leaf| leaf.absorb(&gone));
        self.name(hash, Cell { leaf, depth: depth - 1 });
        self.forget_leaf(sister.leaf);
        self.trim();
        true
    }

    /// Whether this segment may be merged with a sister.
    pub(super) fn is_sparse(&self) -> bool {
        self.leaves.len() <= MERGED_LEAVES_MAX / 2
    }

    /// Whether this segment and another of the same depth, its sister, fit into one.
    pub(super) fn fits_with(&self, sister: &Self) -> bool {
        self.depth == sister.depth
            && self.leaves.len() + sister.leaves.len() <= MERGED_LEAVES_MAX
            && self.bits.max(sister.bits) < BITS_MAX
    }

    /// Takes the half with the next bit of the hash set out, into a segment of its own. There are
    /// at least two leaves.
    pub(super) fn split(&mut self) -> Self {
        assert!(self.bits > 0, "a segment with one leaf is not split");
        let upper = self.cells.split_off(self.cells.len() / 2);
        let mut old: Vec<Option<Leaf>> = self.leaves.drain(..).map(Some).collect();
        let depth = self.depth + 1;
        let mut half = |cells: Vec<Cell>| {
            let mut numbers = vec![u16::MAX; old.len()];
            let (mut leaves, mut leaf_bytes) = (Vec::new(), 0);
            let renumber = |cell: Cell| {
                let number = &mut numbers[usize::from(cell.leaf)];
                if *number == u16::MAX {
                    *number = leaves.len() as u16;
                    let leaf = old[usize::from(cell.leaf)].take().expect("a leaf is in one half");
                    leaf_bytes += leaf.memory_bytes();
                    leaves.push(leaf);
                }
                Cell { leaf: *number, depth: cell.depth - 1 }
            };
            let cells = cells.into_iter().map(renumber).collect();
            let mut segment = Self { depth, bits: self.bits - 1, cells, leaves, leaf_bytes };
            segment.trim();
            segment
        };
        let (lower, upper) = (half(core::mem::take(&mut self.cells)), half(upper));
        *self = lower;
        upper
    }

    /// Takes the leaves of its sister in, which holds the hashes above those of this one.
    pub(super) fn absorb(&mut self, upper: Self) {
        let bits = self.bits.max(upper.bits);
        let moved = self.leaves.len() as u16;
        let widened = |segment: &Self, offset: u16| {
            let times = 1 << (bits - segment.bits);
            let widen = move |cell: &Cell| {
                let cell = Cell { leaf: cell.leaf + offset, depth: cell.depth + 1 };
                core::iter::repeat_n(cell, times)
            };
            segment.cells.iter().flat_map(widen).collect::<Vec<Cell>>()
        };
        let mut cells = widened(self, 0);
        cells.append(&mut widened(&upper, moved));
        self.cells = cells;
        self.bits = bits + 1;
        self.depth -= 1;
        self.leaves.reserve_exact(upper.leaves.len());
        self.leaf_bytes += upper.leaf_bytes;
        self.leaves.extend(upper.leaves);
    }

    /// Frees up to so many leaves; true when nothing is left.
    pub(super) fn free_some(&mut self, leaves: &mut usize) -> bool {
        while *leaves > 0 {
            let Some(leaf) = self.leaves.pop() else { return true };
            self.leaf_bytes -= leaf.memory_bytes();
            *leaves -= 1;
        }
        self.leaves.is_empty()
    }

    /// Checks the directory; for tests.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.cells.len(), 1 << self.bits, "the directory is as long as it says");
        assert!(self.bits <= BITS_MAX && self.leaves.len() <= LEAVES_MAX, "within the limits");
        let mut named = vec![0; self.leaves.len()];
        for (index, cell) in self.cells.iter().enumerate() {
            named[usize::from(cell.leaf)] += 1;
            let run = 1 << (self.bits - u32::from(cell.depth));
            let first = index / run * run;
            assert!(self.cells[first..first + run].iter().all(|other| other == cell), "a run");
        }
        for (leaf, count) in named.into_iter().enumerate() {
            let is_it = |cell: &&Cell| usize::from(cell.leaf) == leaf;
            let cell = self.cells.iter().find(is_it).expect("every leaf is named");
            assert_eq!(count, 1 << (self.bits - u32::from(cell.depth)), "by one run of cells");
        }
        let is_deep = |cell: &Cell| u32::from(cell.depth) == self.bits;
        assert!(self.cells.iter().any(is_deep), "the directory is no longer than it must be");
        let leaf_bytes: usize = self.leaves.iter().map(Leaf::memory_bytes).sum();
        assert_eq!(leaf_bytes, self.leaf_bytes, "leaves are accounted for");
    }

    #[inline]
    fn cell_of(&self, hash: u64) -> usize {
        // In two steps, because there may be no bits at all.
        (hash << self.depth >> 1 >> (63 - self.bits)) as usize
    }

    /// Lets all cells that this cell stands for, in the place where the hash leads, name its leaf.
    fn name(&mut self, hash: u64, cell: Cell) {
        let run = 1 << (self.bits - u32::from(cell.depth));
        let first = self.cell_of(hash) / run * run;
        self.cells[first..first + run].fill(cell);
    }

    /// Takes an empty leaf out that no cell names.
    fn forget_leaf(&mut self, leaf: u16) {
        self.leaves.swap_remove(leaf.into());
        let moved = self.leaves.len() as u16;
        self.cells.iter_mut().filter(|cell| cell.leaf == moved).for_each(|cell| cell.leaf = leaf);
        if self.leaves.capacity() > self.leaves.len() * 2 + 8 {
            self.leaves.shrink_to(self.leaves.len() + self.leaves.len() / 8);
        }
    }

    /// Halves the directory as long as no leaf needs all of its bits.
    fn trim(&mut self) {
        while self.bits > 0 && self.cells.iter().all(|cell| u32::from(cell.depth) < self.bits) {
            self.cells = self.cells.iter().copied().step_by(2).collect();
            self.bits -= 1;
        }
    }
}
