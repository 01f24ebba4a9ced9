//! How many elements registers with given values speak of.
//!
//! Source: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017),
//! the improved raw estimator.

use super::{Histogram, RANK_MAX, REGISTERS};

/// `1 / (2 ln 2)`, the bias for infinitely many registers.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimate, rounded to the nearest integer.
pub(super) fn estimate(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let at = |value: u32| f64::from(histogram[value as usize]);
    let mut sum = registers * tau((registers - at(RANK_MAX)) / registers);
    for value in (1..RANK_MAX).rev() {
        sum = (sum + at(value)) * 0.5;
    }
    sum += registers * sigma(at(0) / registers);
    let estimate = (ALPHA * registers * registers / sum).round();
    // No elements give this many; strings that clients wrote do, and Redis says so then.
    if estimate < 9.2e18 { estimate as u64 } else { 1 << 63 }
}

/// `x + sum of x^(2^k) 2^(k-1)`: what registers stand for that are still zero.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut factor, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        if sum == before {
            return sum;
        }
    }
}

/// `(1 - x - sum of (1 - x^(2^-k))^2 2^-k) / 3`: what registers stand for that are at their limit.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut factor, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: &[(usize, u32)]) -> Histogram {
        let mut histogram = [0; 64];
        counts.iter().for_each(|&(value, count)| histogram[value] = count);
        histogram
    }

    #[test]
    fn extremes_have_estimates() {
        assert_eq!(estimate(&histogram(&[(0, 16_384)])), 0);
        assert_eq!(estimate(&histogram(&[(0, 16_383), (1, 1)])), 1);
        // All at the limit, and values beyond it that only clients write.
        assert_eq!(estimate(&histogram(&[(51, 16_384)])), 1 << 63);
        assert_eq!(estimate(&histogram(&[(60, 16_384)])), 1 << 63);
    }
}
