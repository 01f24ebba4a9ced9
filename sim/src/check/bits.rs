//! Fixed-size bit masks: which of the open operations have taken effect.
//!
//! A mask lives in a search node by value, so nodes need no heap. [`Bits`] has the sizes from
//! which a search picks the smallest that holds its history's concurrency.

use std::fmt::Debug;
use std::hash::Hash;

/// A set of small numbers.
pub(super) trait Bits: Copy + Eq + Hash + Debug + Send + Sync {
    /// How many numbers fit: `0..CAPACITY`.
    const CAPACITY: usize;
    /// The empty set.
    const EMPTY: Self;
    /// Whether `bit` is in the set.
    fn has(self, bit: u32) -> bool;
    /// The set and `bit`.
    #[must_use]
    fn with(self, bit: u32) -> Self;
    /// The set without `bit`.
    #[must_use]
    fn without(self, bit: u32) -> Self;
    /// Whether every number of this set is in the other.
    fn is_subset(self, other: Self) -> bool;
}

impl Bits for () {
    const CAPACITY: usize = 0;
    const EMPTY: Self = ();
    fn has(self, _: u32) -> bool {
        false
    }
    fn with(self, _: u32) -> Self {}
    fn without(self, _: u32) -> Self {}
    fn is_subset(self, (): Self) -> bool {
        true
    }
}

impl Bits for u64 {
    const CAPACITY: usize = 64;
    const EMPTY: Self = 0;
    fn has(self, bit: u32) -> bool {
        self >> bit & 1 == 1
    }
    fn with(self, bit: u32) -> Self {
        self | 1 << bit
    }
    fn without(self, bit: u32) -> Self {
        self & !(1 << bit)
    }
    fn is_subset(self, other: Self) -> bool {
        self & !other == 0
    }
}

impl<const N: usize> Bits for [u64; N] {
    const CAPACITY: usize = 64 * N;
    const EMPTY: Self = [0; N];
    fn has(self, bit: u32) -> bool {
        self[bit as usize / 64].has(bit % 64)
    }
    fn with(mut self, bit: u32) -> Self {
        let word = &mut self[bit as usize / 64];
        *word = word.with(bit % 64);
        self
    }
    fn without(mut self, bit: u32) -> Self {
        let word = &mut self[bit as usize / 64];
        *word = word.without(bit % 64);
        self
    }
    fn is_subset(self, other: Self) -> bool {
        self.iter().zip(other).all(|(&one, other)| one.is_subset(other))
    }
}
