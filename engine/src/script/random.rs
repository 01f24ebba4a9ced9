//! Random numbers of scripts: those of `lrand48`, from the same start in every interpreter, as in
//! Redis.

/// A generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The generator that `math.randomseed` of a seed gives.
    pub(super) fn new(seed: u32) -> Self {
        Self(u64::from(seed) << 16 | 0x330e)
    }

    /// A number in [0, 1).
    pub(super) fn next(&mut self) -> f64 {
        const MAX: u64 = i32::MAX as u64;
        self.0 = self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & 0xffff_ffff_ffff;
        (self.0 >> 17 & MAX) as f64 % MAX as f64 / MAX as f64
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new(0)
    }
}
