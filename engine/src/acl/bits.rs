//! Sets of commands, one bit a command of the catalogue.
//!
//! Invariant: bits beyond the catalogue's length are zero, so sets that are equal have equal words.

/// One bit for every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    words: Box<[u64]>,
    len: usize,
}

impl Bits {
    /// No command of `len`.
    pub(super) fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)].into(), len }
    }

    /// Every command of `len`.
    pub(super) fn all(len: usize) -> Self {
        let mut bits = Self::none(len);
        (0..len).for_each(|index| bits.put(index, true));
        bits
    }

    /// Whether command `index` is in the set.
    #[inline]
    pub(super) fn has(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// Puts command `index` in or out.
    pub(super) fn put(&mut self, index: usize, value: bool) {
        assert!(index < self.len, "no such command");
        let bit = 1 << (index % 64);
        if value {
            self.words[index / 64] |= bit;
        } else {
            self.words[index / 64] &= !bit;
        }
    }

    /// Puts all of `others` in or out.
    pub(super) fn put_all(&mut self, others: &Self, value: bool) {
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word = if value { *word | other } else { *word & !other };
        }
    }

    /// How many of `others` are in the set, and how many are not.
    pub(super) fn count_of(&self, others: &Self) -> (u32, u32) {
        let pairs = || self.words.iter().zip(&others.words);
        let inside = pairs().map(|(word, other)| (word & other).count_ones()).sum();
        let outside = pairs().map(|(word, other)| (!word & other).count_ones()).sum();
        (inside, outside)
    }

    /// Whether every command is in the set.
    pub(super) fn is_all(&self) -> bool {
        self.words.iter().map(|word| word.count_ones() as usize).sum::<usize>() == self.len
    }

    /// The commands in the set, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len).filter(|&index| self.has(index))
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_counted_and_changed_as_wholes() {
        let mut set = Bits::none(130);
        assert!(!set.is_all() && set.iter().next().is_none());
        let mut three = Bits::none(130);
        [0, 64, 129].into_iter().for_each(|index| three.put(index, true));
        set.put(64, true);
        set.put(65, true);
        assert_eq!(set.count_of(&three), (1, 2));
        set.put_all(&three, true);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 64, 65, 129]);
        set.put_all(&three, false);
        assert_eq!(set.iter().collect::<Vec<_>>(), [65]);
        let mut all = Bits::all(130);
        assert!(all.is_all());
        all.put(7, false);
        assert!(!all.is_all() && !all.has(7) && all.has(8));
    }
}
