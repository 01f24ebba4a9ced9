//! What PFSELFTEST does: registers keep what is put into them, and estimates are near the truth.

use super::{Encoding, HEADER_BYTES, REGISTERS, add, count, dense, empty, encoding, registers};
use crate::rng::Rng;

/// How often all registers are filled and read.
const CYCLES: usize = 10;
/// How many elements are added; Redis takes a thousand times as many, and some seconds.
const ELEMENTS: u64 = 10_000;
/// `1.04 / sqrt(registers)`.
const STANDARD_ERROR: f64 = 1.04 / 128.0;

/// Tests the registers and the estimator; an error says what is wrong.
pub fn self_test(rng: &mut Rng, sparse_bytes_max: usize) -> Result<(), String> {
    test_registers(rng)?;
    test_estimates(rng, sparse_bytes_max)
}

fn dense_one() -> Vec<u8> {
    let mut string = empty();
    super::to_dense(&mut string).expect("an empty one is well-formed");
    string
}

fn test_registers(rng: &mut Rng) -> Result<(), String> {
    let mut string = dense_one();
    for _ in 0..CYCLES {
        let values: Vec<u8> = (0..REGISTERS).map(|_| rng.below(64) as u8).collect();
        for (index, &value) in values.iter().enumerate() {
            dense::set(&mut string[HEADER_BYTES..], index, value);
        }
        let read = registers(&string).map_err(|_| "dense registers are refused".to_owned())?;
        if let Some(index) = (0..REGISTERS).find(|&index| read[index] != values[index]) {
            let (value, found) = (values[index], read[index]);
            return Err(format!("Register {index} should be {value} but is {found}"));
        }
    }
    Ok(())
}

fn test_estimates(rng: &mut Rng, sparse_bytes_max: usize) -> Result<(), String> {
    let (mut sparse, mut dense) = (empty(), dense_one());
    let seed = rng.next_u64();
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let element = (number ^ seed).to_le_bytes();
        for string in [&mut sparse, &mut dense] {
            add(string, &element, sparse_bytes_max)
                .map_err(|_| "an element is refused".to_owned())?;
        }
        if number != checkpoint {
            continue;
        }
        checkpoint *= 10;
        let is_small = number < sparse_bytes_max as u64 / 2;
        if is_small && encoding(&sparse) != Some(Encoding::Sparse) {
            return Err("sparse encoding not used".to_owned());
        }
        let estimate = count(&dense).map_err(|_| "dense registers are refused".to_owned())?;
        if count(&sparse) != Ok(estimate) {
            return Err("dense/sparse disagree".to_owned());
        }
        let error = estimate.abs_diff(number);
        let error_max = (STANDARD_ERROR * 6.0 * number as f64).ceil().max(1.0);
        if error as f64 > error_max {
            return Err(format!("Too big error. card:{number} abserr:{error}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn it_passes() {
        for sparse_bytes_max in [0, 3000, 16_000] {
            let mut rng = Rng::new(Seed(1), "self test");
            assert_eq!(self_test(&mut rng, sparse_bytes_max), Ok(()));
        }
    }
}
