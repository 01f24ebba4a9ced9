//! Natural numbers of any size, as little of them as exact conversion of floats needs.
//!
//! Invariant: the last limb is not zero, so that zero has no limbs.

use core::cmp::Ordering;

/// Ten to the ninth, the largest power of ten in a limb.
const LIMB_DECIMALS: usize = 9;
const LIMB_POWER: u32 = 1_000_000_000;

/// A natural number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Natural {
    /// Least significant first.
    limbs: Vec<u32>,
}

impl From<u128> for Natural {
    fn from(mut value: u128) -> Self {
        let mut limbs = Vec::new();
        while value != 0 {
            limbs.push(value as u32);
            value >>= 32;
        }
        Self { limbs }
    }
}

impl Natural {
    /// Ten to a power.
    pub(super) fn power_of_ten(power: usize) -> Self {
        let mut number = Self::from(1);
        for _ in 0..power / LIMB_DECIMALS {
            number.multiply_add(LIMB_POWER, 0);
        }
        for _ in 0..power % LIMB_DECIMALS {
            number.multiply_add(10, 0);
        }
        number
    }

    /// Whether it is zero.
    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Becomes `self * factor + summand`.
    pub(super) fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for limb in &mut self.limbs {
            let wide = u64::from(*limb) * u64::from(factor) + carry;
            *limb = wide as u32;
            carry = wide >> 32;
        }
        if carry != 0 {
            self.limbs.push(carry as u32);
        }
    }

    /// The product.
    pub(super) fn multiply(&self, other: &Self) -> Self {
        let mut limbs = vec![0_u32; self.limbs.len() + other.limbs.len()];
        for (start, &a) in self.limbs.iter().enumerate() {
            let mut carry = 0;
            for (place, &b) in limbs[start..].iter_mut().zip(&other.limbs) {
                let wide = u64::from(a) * u64::from(b) + u64::from(*place) + carry;
                *place = wide as u32;
                carry = wide >> 32;
            }
            limbs[start + other.limbs.len()] = carry as u32;
        }
        let mut product = Self { limbs };
        product.trim();
        product
    }

    /// Becomes `self * 2^bits`.
    pub(super) fn shift_left(&mut self, bits: usize) {
        if self.is_zero() {
            return;
        }
        let small = bits % 32;
        if small != 0 {
            self.multiply_add(1 << small, 0);
        }
        self.limbs.splice(0..0, core::iter::repeat_n(0, bits / 32));
    }

    /// The leading bits as (value, exponent, whether bits below were cut): at least 97 of them if
    /// there are so many.
    pub(super) fn top_bits(&self) -> (u128, i32, bool) {
        let cut = self.limbs.len().saturating_sub(4);
        let top = self.limbs[cut..].iter().rev().fold(0, |top, &limb| top << 32 | u128::from(limb));
        let sticky = self.limbs[..cut].iter().any(|&limb| limb != 0);
        (top, 32 * cut as i32, sticky)
    }

    /// `self / divisor` as (quotient, exponent, whether there is a rest below): a quotient of 100
    /// bits, the first of which is set. Neither may be zero.
    pub(super) fn divide_to_100_bits(&self, divisor: &Self) -> (u128, i32, bool) {
        const BITS: i32 = 100;
        let (mut rest, mut divisor) = (self.clone(), divisor.clone());
        // Aligned so that divisor <= rest < 2 * divisor.
        let mut exponent = self.bits() as i32 - divisor.bits() as i32;
        rest.shift_left(exponent.min(0).unsigned_abs() as usize);
        divisor.shift_left(exponent.max(0).unsigned_abs() as usize);
        if rest.compare(&divisor) == Ordering::Less {
            rest.shift_left(1);
            exponent -= 1;
        }
        let mut quotient = 0;
        for _ in 0..BITS {
            quotient <<= 1;
            if rest.compare(&divisor) != Ordering::Less {
                rest.subtract(&divisor);
                quotient |= 1;
            }
            rest.shift_left(1);
        }
        (quotient, exponent - (BITS - 1), !rest.is_zero())
    }

    fn bits(&self) -> usize {
        self.limbs.last().map_or(0, |last| self.limbs.len() * 32 - last.leading_zeros() as usize)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_len = self.limbs.len().cmp(&other.limbs.len());
        by_len.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    /// Becomes `self - other`, which must not be larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (place, limb) in self.limbs.iter_mut().enumerate() {
            let (value, under) = limb.overflowing_sub(other.limbs.get(place).copied().unwrap_or(0));
            let (value, under_again) = value.overflowing_sub(u32::from(borrow));
            *limb = value;
            borrow = under || under_again;
        }
        debug_assert!(!borrow, "the difference is not negative");
        self.trim();
    }

    /// Becomes the quotient by `divisor`; returns the rest.
    fn divide_by_limb(&mut self, divisor: u32) -> u32 {
        let mut rest = 0;
        for limb in self.limbs.iter_mut().rev() {
            let wide = rest << 32 | u64::from(*limb);
            *limb = (wide / u64::from(divisor)) as u32;
            rest = wide % u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }
}

/// In decimal.
impl core::fmt::Display for Natural {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut rest = self.clone();
        let mut groups = Vec::new();
        while !rest.is_zero() {
            groups.push(rest.divide_by_limb(LIMB_POWER));
        }
        write!(f, "{}", groups.pop().unwrap_or(0))?;
        groups.iter().rev().try_for_each(|group| write!(f, "{group:09}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic() {
        let mut number = Natural::power_of_ten(30);
        assert_eq!(number.to_string(), format!("1{}", "0".repeat(30)));
        number.multiply_add(7, 5);
        assert_eq!(number.to_string(), format!("7{}5", "0".repeat(29)));
        number.shift_left(70);
        let expected = (7 * 10_u128.pow(30) + 5).wrapping_mul(1 << 20);
        let mut again = Natural::from(expected);
        again.shift_left(50);
        assert_eq!(number, again);
        let product = Natural::from(u128::MAX).multiply(&Natural::from(u128::MAX));
        assert_eq!(product.bits(), 256);
        assert_eq!(Natural::from(0).to_string(), "0");
    }

    #[test]
    fn division_gives_the_leading_bits_and_says_if_there_are_more() {
        let (quotient, exponent, rest) = Natural::from(10).divide_to_100_bits(&Natural::from(4));
        assert_eq!((quotient >> 97, exponent, rest), (0b101, -98, false));
        let (quotient, _, rest) = Natural::from(1).divide_to_100_bits(&Natural::from(3));
        assert_eq!((quotient >> 96, rest), (0b1010, true));
        let (top, exponent, sticky) = Natural::power_of_ten(60).top_bits();
        assert_eq!((128 - top.leading_zeros() as i32 + exponent, sticky), (200, true));
    }
}
