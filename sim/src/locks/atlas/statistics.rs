//! Numbers that say how sure they are.
//!
//! Invariant: everything is computed from counts alone, in one order.

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// What was seen.
    pub seen: f64,
    /// The least that it may be.
    pub least: f64,
    /// The most.
    pub most: f64,
}

/// The quantile of the normal distribution for 95 %.
const Z: f64 = 1.959_964;

/// How many in a million, of `count` in `of`: Wilson's score interval (1927), which is sound for
/// rare things and for none.
#[must_use]
pub(super) fn per_million(count: u64, of: u64) -> Interval {
    if of == 0 {
        return Interval { seen: 0.0, least: 0.0, most: 1e6 };
    }
    let (count, of) = (count.min(of) as f64, of as f64);
    let share = count / of;
    let divisor = 1.0 + Z * Z / of;
    let middle = share + Z * Z / (2.0 * of);
    let spread = Z * (share * (1.0 - share) / of + Z * Z / (4.0 * of * of)).sqrt();
    let least = if count == 0.0 { 0.0 } else { ((middle - spread) / divisor).max(0.0) };
    Interval {
        seen: share * 1e6,
        least: least * 1e6,
        most: ((middle + spread) / divisor).min(1.0) * 1e6,
    }
}

/// The value that `per_mille` of 1000 do not exceed; 0 of nothing. Sorts.
pub(super) fn quantile(values: &mut [u64], per_mille: usize) -> u64 {
    values.sort_unstable();
    let rank = (values.len() * per_mille).div_ceil(1000);
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Jain's index of fairness (1984) in thousandths: 1000 if all have the same, 1000 / n if one has
/// everything.
#[must_use]
pub(super) fn jain_per_mille(shares: &[u64]) -> u64 {
    let sum: u128 = shares.iter().map(|&share| u128::from(share)).sum();
    let squares: u128 = shares.iter().map(|&share| u128::from(share).pow(2)).sum();
    if squares == 0 {
        return 1000;
    }
    (sum * sum * 1000 / (squares * shares.len() as u128)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_what_was_seen_and_say_how_little_none_means() {
        let none = per_million(0, 100_000);
        assert_eq!((none.seen, none.least), (0.0, 0.0));
        assert!((38.0..39.0).contains(&none.most), "{none:?}");
        let ten = per_million(10, 100_000);
        assert!((ten.seen - 100.0).abs() < 1e-9, "{ten:?}");
        // Wilson's interval of 10 in 100,000, by hand.
        assert!((54.3..54.4).contains(&ten.least) && (184.0..184.2).contains(&ten.most), "{ten:?}");
        let all = per_million(5, 5);
        assert!(all.least > 500_000.0 && (all.most - 1e6).abs() < 1e-6, "{all:?}");
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let mut values = [5, 1, 4, 2, 3];
        assert_eq!(quantile(&mut values, 500), 3);
        assert_eq!(quantile(&mut values, 1000), 5);
        assert_eq!(quantile(&mut values, 0), 1);
        assert_eq!(quantile(&mut [], 500), 0);
    }

    #[test]
    fn fairness_is_one_for_all_or_one_nth() {
        assert_eq!(jain_per_mille(&[7, 7, 7]), 1000);
        assert_eq!(jain_per_mille(&[9, 0, 0]), 333);
        assert_eq!(jain_per_mille(&[0, 0]), 1000);
    }
}
