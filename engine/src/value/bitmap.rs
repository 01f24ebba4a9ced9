//! Strings as rows of bits: reading, setting, counting, searching and combining them.
//!
//! Bit 0 is the most significant bit of the first byte. Beyond its end a string is all zeros.
//!
//! Invariant: whole words are worked on at a time, in plain loops that compilers vectorise; only
//! the edges are looked at byte by byte.

/// Bytes that one round of counting takes: eight groups of four words.
const ROUND_BYTES: usize = 8 * LANES * 8;
/// Words that are worked on side by side.
const LANES: usize = 4;
/// Strings are combined in pieces of this size, which stay in the nearest cache.
const PIECE_BYTES: usize = 4096;

/// The bit at `offset`.
pub fn bit(string: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| string.get(at));
    byte.is_some_and(|byte| byte & mask(offset) != 0)
}

/// Sets or clears the bit at `offset`; says what it was.
///
/// # Panics
/// If the string is too short.
pub fn set_bit(string: &mut [u8], offset: u64, on: bool) -> bool {
    let byte = &mut string[(offset / 8) as usize];
    let old = *byte & mask(offset) != 0;
    if on {
        *byte |= mask(offset);
    } else {
        *byte &= !mask(offset);
    }
    old
}

/// The place of a bit inside its byte.
fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}

/// The byte with the bits before `offset` cleared.
fn from_bit(byte: u8, offset: u64) -> u8 {
    byte & (0xff >> (offset % 8))
}

/// The byte with the bits behind `offset` cleared.
fn to_bit(byte: u8, offset: u64) -> u8 {
    byte & !(0x7f >> (offset % 8))
}

/// How many bits from `first` to `last`, both included, are set.
///
/// # Panics
/// If `last` is not inside the string or lies before `first`.
pub fn count_ones_in(string: &[u8], first: u64, last: u64) -> u64 {
    let bytes = &string[(first / 8) as usize..=(last / 8) as usize];
    let before = bytes[0] ^ from_bit(bytes[0], first);
    let end = bytes[bytes.len() - 1];
    let behind = end ^ to_bit(end, last);
    count_ones(bytes) - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

/// How many bits are set.
pub fn count_ones(bytes: &[u8]) -> u64 {
    let rounds = bytes.chunks_exact(ROUND_BYTES);
    let rest = rounds.remainder();
    let mut counter = Counter::default();
    for round in rounds {
        counter.add_round(round);
    }
    let words = rest.chunks_exact(8);
    let tail: u32 = words.remainder().iter().map(|byte| byte.count_ones()).sum();
    let words: u64 = words.map(|word| u64::from(word_of(word).count_ones())).sum();
    counter.total() + words + u64::from(tail)
}

fn word_of(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().expect("a word has eight bytes"))
}

type Group = [u64; LANES];

/// Counts bits in carry-save form: bit `i` of `ones` and of its three elders is a binary number of
/// how often bit `i` was set, so that a slow count is needed for one group in eight only.
///
/// Source: Muła, Kurz, Lemire, "Faster Population Counts Using AVX2 Instructions" (2018).
#[derive(Default)]
struct Counter {
    ones: Group,
    twos: Group,
    fours: Group,
    /// How many eights were carried out so far.
    eights: u64,
}

impl Counter {
    fn add_round(&mut self, round: &[u8]) {
        let mut groups = [[0; LANES]; 8];
        for (word, bytes) in groups.as_flattened_mut().iter_mut().zip(round.chunks_exact(8)) {
            *word = word_of(bytes);
        }
        let [a, b, c, d, e, f, g, h] = groups;
        let twos_a = add(&mut self.ones, a, b);
        let twos_b = add(&mut self.ones, c, d);
        let fours_a = add(&mut self.twos, twos_a, twos_b);
        let twos_a = add(&mut self.ones, e, f);
        let twos_b = add(&mut self.ones, g, h);
        let fours_b = add(&mut self.twos, twos_a, twos_b);
        let eights = add(&mut self.fours, fours_a, fours_b);
        self.eights += ones_in(eights);
    }

    fn total(&self) -> u64 {
        8 * self.eights + 4 * ones_in(self.fours) + 2 * ones_in(self.twos) + ones_in(self.ones)
    }
}

/// Adds two groups of bits to `sum` and returns the carries.
fn add(sum: &mut Group, a: Group, b: Group) -> Group {
    let mut carry = [0; LANES];
    for lane in 0..LANES {
        let half = sum[lane] ^ a[lane];
        carry[lane] = sum[lane] & a[lane] | half & b[lane];
        sum[lane] = half ^ b[lane];
    }
    carry
}

fn ones_in(group: Group) -> u64 {
    group.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// Where the first bit is that equals `wanted`, from `first` to `last`, both included.
///
/// # Panics
/// If `last` is not inside the string or lies before `first`.
pub fn find(string: &[u8], wanted: bool, first: u64, last: u64) -> Option<u64> {
    let (start, end) = ((first / 8) as usize, (last / 8) as usize);
    // With every bit turned over, the first set bit is wanted in either case.
    let flip = if wanted { 0 } else { 0xff };
    let edge = |at: usize| {
        let mut byte = string[at] ^ flip;
        byte = if at == start { from_bit(byte, first) } else { byte };
        if at == end { to_bit(byte, last) } else { byte }
    };
    let in_byte = |at: usize, byte: u8| at as u64 * 8 + u64::from(byte.leading_zeros());
    let byte = edge(start);
    if byte != 0 {
        return Some(in_byte(start, byte));
    }
    if start == end {
        return None;
    }
    if let Some(at) = first_other(&string[start + 1..end], flip) {
        let at = start + 1 + at;
        return Some(in_byte(at, string[at] ^ flip));
    }
    let byte = edge(end);
    (byte != 0).then(|| in_byte(end, byte))
}

/// The index of the first byte that is not `skipped`.
fn first_other(bytes: &[u8], skipped: u8) -> Option<usize> {
    let word = u64::from_ne_bytes([skipped; 8]);
    let is_skipped = |group: &&[u8]| {
        let differences = group.chunks_exact(8).map(|bytes| word_of(bytes) ^ word);
        differences.fold(0, |all, difference| all | difference) == 0
    };
    let start = bytes.chunks_exact(8 * LANES).take_while(is_skipped).count() * 8 * LANES;
    let at = bytes[start..].iter().position(|&byte| byte != skipped)?;
    Some(start + at)
}

/// How BITOP combines strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bits that all strings have.
    And,
    /// Bits that any string has.
    Or,
    /// Bits that an odd number of strings has.
    Xor,
    /// Bits that the only string does not have.
    Not,
    /// Bits of the first string that no other has.
    Diff,
    /// Bits of the other strings that the first does not have.
    Diff1,
    /// Bits of the first string that any other has.
    AndOr,
    /// Bits that exactly one string has.
    One,
}

/// Combines strings into one as long as the longest.
pub fn combine(operation: Operation, strings: &[&[u8]]) -> Vec<u8> {
    let len = strings.iter().map(|string| string.len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    let mut parts: Vec<&[u8]> = Vec::with_capacity(strings.len());
    for (index, piece) in result.chunks_mut(PIECE_BYTES).enumerate() {
        let start = index * PIECE_BYTES;
        parts.clear();
        parts.extend(strings.iter().map(|string| {
            let end = string.len().min(start + piece.len());
            string.get(start..end).unwrap_or_default()
        }));
        combine_piece(operation, piece, &parts);
    }
    result
}

/// Combines the parts of the strings that belong to one piece of the result, which is all zeros.
/// Parts may end early.
fn combine_piece(operation: Operation, piece: &mut [u8], parts: &[&[u8]]) {
    let Some((&first, others)) = parts.split_first() else { return };
    match operation {
        Operation::And => {
            or_into(piece, first);
            others.iter().for_each(|part| and_into(piece, part));
        }
        Operation::Or => parts.iter().for_each(|part| or_into(piece, part)),
        Operation::Xor => parts.iter().for_each(|part| xor_into(piece, part)),
        Operation::Not => {
            or_into(piece, first);
            piece.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Operation::Diff => {
            others.iter().for_each(|part| or_into(piece, part));
            piece.iter_mut().for_each(|byte| *byte = !*byte);
            and_into(piece, first);
        }
        Operation::Diff1 => {
            others.iter().for_each(|part| or_into(piece, part));
            for (byte, other) in piece.iter_mut().zip(first) {
                *byte &= !other;
            }
        }
        Operation::AndOr => {
            others.iter().for_each(|part| or_into(piece, part));
            and_into(piece, first);
        }
        Operation::One => one_into(piece, parts),
    }
}

fn and_into(piece: &mut [u8], part: &[u8]) {
    for (byte, other) in piece.iter_mut().zip(part) {
        *byte &= other;
    }
    piece[part.len()..].fill(0);
}

fn or_into(piece: &mut [u8], part: &[u8]) {
    for (byte, other) in piece.iter_mut().zip(part) {
        *byte |= other;
    }
}

fn xor_into(piece: &mut [u8], part: &[u8]) {
    for (byte, other) in piece.iter_mut().zip(part) {
        *byte ^= other;
    }
}

fn one_into(piece: &mut [u8], parts: &[&[u8]]) {
    let mut several = [0; PIECE_BYTES];
    for part in parts {
        for ((byte, several), other) in piece.iter_mut().zip(&mut several).zip(*part) {
            *several |= *byte & other;
            *byte |= other;
        }
    }
    for (byte, several) in piece.iter_mut().zip(&several) {
        *byte &= !several;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    fn random(rng: &mut Rng, len: usize, choices: &[u8]) -> Vec<u8> {
        let mut draw = || match rng.below(choices.len() as u64 + 1) as usize {
            index if index < choices.len() => choices[index],
            _ => rng.next_u64() as u8,
        };
        (0..len).map(|_| draw()).collect()
    }

    /// The bits one by one.
    fn bits(string: &[u8]) -> Vec<bool> {
        (0..string.len() as u64 * 8).map(|offset| bit(string, offset)).collect()
    }

    #[test]
    fn bits_are_numbered_from_the_top() {
        let mut string = vec![0; 3];
        assert!(!set_bit(&mut string, 7, true));
        assert!(!set_bit(&mut string, 8, true));
        assert_eq!(string, [1, 0x80, 0]);
        assert!(set_bit(&mut string, 8, false));
        assert_eq!(string, [1, 0, 0]);
        assert!(
            bit(&string, 7) && !bit(&string, 8) && !bit(&string, 24) && !bit(&string, u64::MAX)
        );
    }

    #[test]
    fn counting_and_finding_agree_with_single_bits() {
        let mut rng = Rng::new(Seed(1), "bitmap");
        for round in 0..400 {
            let len = 1 + rng.below(if round % 4 == 0 { 2000 } else { 80 }) as usize;
            let choices: &[u8] = match rng.below(3) {
                0 => &[0; 200],
                1 => &[0xff; 200],
                _ => &[],
            };
            let string = random(&mut rng, len, choices);
            let bits = bits(&string);
            assert_eq!(count_ones(&string), bits.iter().filter(|bit| **bit).count() as u64);
            for _ in 0..20 {
                let (a, b) = (rng.below(bits.len() as u64), rng.below(bits.len() as u64));
                let (first, last) = (a.min(b), a.max(b));
                let range = &bits[first as usize..=last as usize];
                let ones = range.iter().filter(|bit| **bit).count() as u64;
                assert_eq!(count_ones_in(&string, first, last), ones);
                for wanted in [false, true] {
                    let place = range.iter().position(|bit| *bit == wanted);
                    let place = place.map(|place| first + place as u64);
                    assert_eq!(find(&string, wanted, first, last), place);
                }
            }
        }
    }

    #[test]
    fn strings_are_combined_bit_by_bit() {
        let mut rng = Rng::new(Seed(2), "bitop");
        let operations = [
            Operation::And,
            Operation::Or,
            Operation::Xor,
            Operation::Diff,
            Operation::Diff1,
            Operation::AndOr,
            Operation::One,
        ];
        for round in 0..200 {
            let strings: Vec<Vec<u8>> = (0..1 + rng.below(5))
                .map(|_| {
                    let len = rng.below(if round % 10 == 0 { 10_000 } else { 50 }) as usize;
                    random(&mut rng, len, &[0, 0xff])
                })
                .collect();
            let borrowed: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
            for operation in operations {
                let result = combine(operation, &borrowed);
                let len = strings.iter().map(Vec::len).max().expect("there is one");
                assert_eq!(result.len(), len);
                for offset in 0..len as u64 * 8 {
                    let first = bit(&strings[0], offset);
                    let others = strings[1..].iter().filter(|it| bit(it, offset)).count();
                    let all = usize::from(first) + others;
                    let expected = match operation {
                        Operation::And => all == strings.len(),
                        Operation::Or => all > 0,
                        Operation::Xor => all % 2 == 1,
                        Operation::Not => unreachable!("it has one string"),
                        Operation::Diff => first && others == 0,
                        Operation::Diff1 => !first && others > 0,
                        Operation::AndOr => first && others > 0,
                        Operation::One => all == 1,
                    };
                    assert_eq!(bit(&result, offset), expected, "{operation:?} {offset}");
                }
            }
            let not = combine(Operation::Not, &borrowed[..1]);
            assert!(not.iter().zip(&strings[0]).all(|(not, byte)| *not == !byte));
            assert_eq!(not.len(), strings[0].len());
        }
    }
}
