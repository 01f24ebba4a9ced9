//! Registers of six bits, the lowest bits of a byte first.
//!
//! Four registers are three bytes; whole strings are worked on in such groups.

use super::{Histogram, REGISTERS};

const BITS: usize = 6;
const VALUE_MAX: u8 = (1 << BITS) - 1;
/// The bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * BITS / 8;

/// The value of a register.
fn get(packed: &[u8], index: usize) -> u8 {
    let (byte, shift) = (index * BITS / 8, index * BITS % 8);
    let high = if shift > 8 - BITS { packed[byte + 1] << (8 - shift) } else { 0 };
    (packed[byte] >> shift | high) & VALUE_MAX
}

/// Sets a register.
pub(super) fn set(packed: &mut [u8], index: usize, value: u8) {
    let (byte, shift) = (index * BITS / 8, index * BITS % 8);
    packed[byte] = packed[byte] & !(VALUE_MAX << shift) | value << shift;
    if shift > 8 - BITS {
        let next = &mut packed[byte + 1];
        *next = *next & !(VALUE_MAX >> (8 - shift)) | value >> (8 - shift);
    }
}

/// Raises a register if it is lower; says whether it was.
pub(super) fn raise(packed: &mut [u8], index: usize, value: u8) -> bool {
    let is_lower = get(packed, index) < value;
    if is_lower {
        set(packed, index, value);
    }
    is_lower
}

/// The four registers of a group.
fn unpacked(group: [u8; 3]) -> [u8; 4] {
    let [a, b, c] = group;
    let word = u32::from_le_bytes([a, b, c, 0]);
    [0, 6, 12, 18].map(|shift| (word >> shift) as u8 & VALUE_MAX)
}

fn groups(packed: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    packed.as_chunks().0.iter().map(|&group| unpacked(group))
}

/// How often each value is there.
pub(super) fn histogram(packed: &[u8]) -> Histogram {
    // One table for each place in a group: additions to different ones need not wait for each
    // other.
    let mut tables = [[0; 64]; 4];
    for group in groups(packed) {
        for (table, value) in tables.iter_mut().zip(group) {
            table[usize::from(value)] += 1;
        }
    }
    core::array::from_fn(|value| tables.iter().map(|table| table[value]).sum())
}

/// Raises every one of `registers` to the one here if it is lower.
pub(super) fn merge(packed: &[u8], registers: &mut [u8]) {
    for (four, group) in registers.as_chunks_mut::<4>().0.iter_mut().zip(groups(packed)) {
        *four = core::array::from_fn(|at| group[at].max(four[at]));
    }
}

/// Sets all registers.
pub(super) fn pack(registers: &[u8], packed: &mut [u8]) {
    let (groups, _) = packed.as_chunks_mut::<3>();
    for (group, &four) in groups.iter_mut().zip(registers.as_chunks::<4>().0) {
        let [a, b, c, d] = four.map(|value| u32::from(value & VALUE_MAX));
        let [x, y, z, _] = (a | b << 6 | c << 12 | d << 18).to_le_bytes();
        *group = [x, y, z];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    #[test]
    fn registers_do_not_touch_each_other() {
        let mut rng = Rng::new(Seed(1), "dense");
        let mut packed = vec![0; BYTES];
        let mut expected = vec![0; REGISTERS];
        for _ in 0..20_000 {
            let (index, value) = (rng.below(REGISTERS as u64) as usize, rng.below(64) as u8);
            if rng.chance(1, 2) {
                set(&mut packed, index, value);
                expected[index] = value;
            } else {
                assert_eq!(raise(&mut packed, index, value), value > expected[index]);
                expected[index] = value.max(expected[index]);
            }
        }
        for (index, value) in expected.iter().enumerate() {
            assert_eq!(get(&packed, index), *value);
        }
        let mut merged = vec![7; REGISTERS];
        merge(&packed, &mut merged);
        assert!(merged.iter().zip(&expected).all(|(merged, value)| *merged == *value.max(&7)));
        let histogram = histogram(&packed);
        for value in 0..64 {
            let times = expected.iter().filter(|other| **other == value).count();
            assert_eq!(histogram[usize::from(value)] as usize, times);
        }
        let mut again = vec![0xff; BYTES];
        pack(&expected, &mut again);
        assert_eq!(again, packed);
    }
}
