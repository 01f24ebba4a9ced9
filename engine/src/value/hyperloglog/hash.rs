//! Which register an element belongs to, and the value that it gives it.
//!
//! Source: Austin Appleby's MurmurHash2, its 64-bit version for 64-bit machines.

use super::{INDEX_BITS, REGISTERS};

const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;
/// The seed that Redis uses.
const SEED: u64 = 0xadc8_3b19;

/// The register of an element, and its rank: one more than the zeros at the end of what is left of
/// its hash.
pub(super) fn register_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, SEED);
    let index = hash as usize % REGISTERS;
    // A bit above all others ends the zeros.
    let rest = hash >> INDEX_BITS | 1 << (u64::BITS - INDEX_BITS);
    (index, rest.trailing_zeros() as u8 + 1)
}

fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let words = bytes.chunks_exact(8);
    let tail = words.remainder();
    for word in words {
        let word = u64::from_le_bytes(word.try_into().expect("a word has eight bytes"));
        let mixed = word.wrapping_mul(MULTIPLIER);
        let mixed = (mixed ^ mixed >> SHIFT).wrapping_mul(MULTIPLIER);
        hash = (hash ^ mixed).wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_fits_its_histogram() {
        for element in 0..100_000_u32 {
            let (index, rank) = register_of(&element.to_le_bytes());
            assert!(index < REGISTERS && (1..=51).contains(&rank));
        }
    }

    #[test]
    fn hashes_depend_on_every_byte() {
        let bytes: Vec<u8> = (0..40).collect();
        let mut seen: Vec<u64> = (0..=bytes.len()).map(|len| murmur64a(&bytes[..len], 1)).collect();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            seen.push(murmur64a(&other, 1));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 2 * bytes.len() + 1);
    }
}
