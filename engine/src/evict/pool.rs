//! The pool: the best candidates that samples have met, kept from one eviction to the next.
//!
//! Invariant: at most `CANDIDATES_MAX`, each key once, the best one last.

/// Candidates that are kept, as in Redis.
const CANDIDATES_MAX: usize = 16;

/// A key, and how much it deserves to go.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) score: u64,
    pub(super) db: usize,
    pub(super) key: Vec<u8>,
}

/// The candidates, by their scores.
#[derive(Debug, Default)]
pub(super) struct Pool(Vec<Pooled>);

impl Pool {
    /// Takes a candidate in if it is better than the worst, or if there is room.
    pub(super) fn offer(&mut self, score: u64, db: usize, key: &[u8]) {
        let is_full = self.0.len() == CANDIDATES_MAX;
        if is_full && score <= self.0[0].score {
            return;
        }
        if self.0.iter().any(|pooled| pooled.db == db && pooled.key == key) {
            return;
        }
        let mut pooled = Pooled { score, db, key: Vec::new() };
        if is_full {
            // Its buffer is used again.
            pooled.key = self.0.remove(0).key;
            pooled.key.clear();
        }
        pooled.key.extend_from_slice(key);
        let place = self.0.partition_point(|other| other.score < score);
        self.0.insert(place, pooled);
    }

    /// Takes the best candidate out. It may be gone, or have become a worse one.
    pub(super) fn take_best(&mut self) -> Option<Pooled> {
        self.0.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_stay_and_go_first() {
        let mut pool = Pool::default();
        for score in [5, 1, 9, 9, 3] {
            pool.offer(score, 0, &score.to_le_bytes());
        }
        assert_eq!(pool.0.len(), 4);
        for score in 10..40_u64 {
            pool.offer(score, 0, &score.to_le_bytes());
        }
        pool.offer(2, 0, b"worse than all");
        assert_eq!(pool.0.len(), CANDIDATES_MAX);
        let scores: Vec<u64> =
            core::iter::from_fn(|| pool.take_best()).map(|pooled| pooled.score).collect();
        assert_eq!(scores, (24..40).rev().collect::<Vec<u64>>());
    }

    #[test]
    fn keys_of_two_databases_are_two_keys() {
        let mut pool = Pool::default();
        pool.offer(1, 0, b"k");
        pool.offer(1, 1, b"k");
        pool.offer(7, 1, b"k");
        assert_eq!(pool.0.len(), 2);
    }
}
