//! Random fields among those whose deadlines have not passed, each equally likely.

use super::{Field, HashRef, field_of};
use crate::rng::Rng;

/// So often a random field of a table is drawn again because its deadline has passed; then all are
/// looked at.
const DRAWS_MAX: usize = 64;

impl<'a> HashRef<'a> {
    /// A random field; `None` if there is none.
    pub fn random(self, now_ms: u64, rng: &mut Rng) -> Option<Field<'a>> {
        if let Self::Table(big) = self {
            for _ in 0..DRAWS_MAX {
                let field = field_of(big.table().random(rng)?);
                if !field.is_due(now_ms) {
                    return Some(field);
                }
            }
        }
        let len = self.living_len(now_ms);
        if len == 0 {
            return None;
        }
        self.living(now_ms).nth(rng.below(len as u64) as usize)
    }

    /// Visits `count` random fields, the same ones perhaps more than once; none if there is none.
    /// `visit` returns whether to go on.
    pub fn draw(
        self,
        count: usize,
        now_ms: u64,
        rng: &mut Rng,
        mut visit: impl FnMut(Field<'a>) -> bool,
    ) {
        if let Self::Table(_) = self
            && !self.has_due(now_ms)
        {
            for _ in 0..count {
                let Some(field) = self.random(now_ms, rng) else { return };
                if !visit(field) {
                    return;
                }
            }
            return;
        }
        // Few, or some that must not be met: they are listed once.
        let living: Vec<Field<'a>> = self.living(now_ms).collect();
        if living.is_empty() {
            return;
        }
        for _ in 0..count {
            if !visit(living[rng.below(living.len() as u64) as usize]) {
                return;
            }
        }
    }

    /// Visits `count` different random fields, or all if there are fewer; each choice of so many is
    /// equally likely. Their order is not random.
    pub fn choose(
        self,
        count: usize,
        now_ms: u64,
        rng: &mut Rng,
        mut visit: impl FnMut(Field<'a>),
    ) {
        if let Self::Table(big) = self
            && !self.has_due(now_ms)
        {
            return big.table().choose(rng, count, |entry| visit(field_of(entry)));
        }
        let len = self.living_len(now_ms);
        let mut wanted = count.min(len);
        // Knuth's algorithm S: of those left, choose each with the chance that fills the need.
        for (passed, field) in self.living(now_ms).enumerate() {
            if wanted == 0 {
                return;
            }
            if rng.below((len - passed) as u64) < wanted as u64 {
                wanted -= 1;
                visit(field);
            }
        }
    }
}
