//! Which keys are locks, for `lock-grace`.
//!
//! Invariant: without a pattern nothing is a lock.

/// An hour.
const TTL_MS_MAX: u64 = 3_600_000;

/// The parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockGrace {
    /// Patterns of keys that are locks.
    pub patterns: Vec<String>,
    /// Locks that live longer, in milliseconds, count as if they lived so long.
    pub ttl_ms_max: u64,
}

impl Default for LockGrace {
    fn default() -> Self {
        Self { patterns: Vec::new(), ttl_ms_max: TTL_MS_MAX }
    }
}
