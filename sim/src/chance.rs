//! Keyed randomness: every decision is a hash of (seed, stream, who, index).
//!
//! Invariant: no decision consumes anything. Removing a fault, a client or a message changes no
//! other draw, which is what makes a failing run shrink.
//!
//! The mixer is the 64-bit finaliser of `SplitMix64` (Stafford's variant 13) over a multiply-add
//! of the key; a [`Draw`] goes on from there as `SplitMix64`. Only integers are used, so that
//! every machine draws alike.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a decision is about. The numbers are part of what a seed means: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// What kind of world this is: latencies, rates, numbers of keys.
    Setup = 1,
    /// Which faults there are, when, and on whom.
    Plan = 2,
    /// How long a message takes, whether it is lost, how it is cut.
    Message = 3,
    /// How long a client thinks.
    Think = 4,
    /// Which command a client sends.
    Command = 5,
    /// The seed of an engine.
    Engine = 6,
    /// Offset and drift of a host's clocks.
    Clock = 7,
    /// What a client does about its connection.
    Connect = 8,
    /// How a value looks.
    Value = 9,
    /// What a fault does while it lasts.
    Fault = 10,
    /// The configuration that the swarm draws.
    Swarm = 11,
    /// What a disk does, and what is left of it.
    Disk = 12,
}

/// The source of all decisions of one run.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    seed: u64,
}

/// The decisions of one stream for one host, link or client.
#[derive(Clone, Copy, Debug)]
pub struct Key(u64);

/// One decision: as many numbers as it takes.
#[derive(Clone, Copy, Debug)]
pub struct Draw(u64);

impl Chance {
    /// All decisions of the run with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The decisions of `stream` for `who`.
    #[must_use]
    pub fn key(self, stream: Stream, who: u64) -> Key {
        Key(mix(mix(self.seed.wrapping_add(GOLDEN)) ^ mix((stream as u64) << 48 ^ who)))
    }
}

impl Key {
    /// The decision number `index`.
    #[inline]
    #[must_use]
    pub fn at(self, index: u64) -> Draw {
        Draw(self.0.wrapping_add(index.wrapping_mul(0xd134_2543_de82_ef95)))
    }
}

impl Draw {
    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `bound`; zero if the bound is. The bias is below 2^-32 for the bounds here.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `least..=most`.
    #[inline]
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True in `numerator` of `denominator` cases.
    #[inline]
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// One of the elements.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A number in `least..=most` whose order of magnitude is what is drawn evenly.
    pub fn spread(&mut self, least: u64, most: u64) -> u64 {
        let doublings = u64::from((most / least.max(1)).max(1).ilog2());
        let base = least << self.between(0, doublings);
        self.between(base, base.saturating_mul(2).min(most).max(base))
    }
}

#[inline]
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Adds one word to a rolling hash of everything that happened.
#[inline]
#[must_use]
pub fn roll(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25)
}

/// Adds bytes to a rolling hash.
#[inline]
#[must_use]
pub fn roll_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = roll(hash, bytes.len() as u64);
    for word in words {
        hash = roll(hash, u64::from_le_bytes(*word));
    }
    if rest.is_empty() {
        return hash;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    roll(hash, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_evenly_over_neighbouring_keys() {
        let mut seen = [0_u32; 8];
        for seed in 0..10 {
            for who in 0..10 {
                let key = Chance::new(seed).key(Stream::Plan, who);
                for index in 0..80 {
                    seen[key.at(index).below(8) as usize] += 1;
                }
            }
        }
        assert!(seen.iter().all(|&n| (900..1100).contains(&n)), "{seen:?}");
    }

    #[test]
    fn neighbouring_indexes_do_not_share_numbers() {
        let key = Chance::new(1).key(Stream::Message, 0);
        let mut all = std::collections::BTreeSet::new();
        for index in 0..1000 {
            let mut draw = key.at(index);
            all.extend([draw.bits(), draw.bits(), draw.bits()]);
        }
        assert_eq!(all.len(), 3000);
    }

    #[test]
    fn spread_keeps_its_bounds() {
        let key = Chance::new(3).key(Stream::Setup, 0);
        for index in 0..1000 {
            let value = key.at(index).spread(50, 7000);
            assert!((50..=7000).contains(&value), "{value}");
        }
    }
}
