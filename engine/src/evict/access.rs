//! The 24 bits of an entry that tell how it was used: the second of its last use (LRU) or last
//! change (LRM), or 16 bits of a minute and an eight-bit logarithmic counter (LFU), as in Redis.
//!
//! Invariant: no other file knows what the bits mean.

use crate::config::Order;
use crate::keyspace::Found;
use crate::state::State;
use crate::time::UnixMillis;

/// What new keys begin with, so that they are not evicted at once.
pub(super) const FREQUENCY_OF_NEW: u8 = 5;
/// The bits of a second.
const SECONDS: u32 = 0x00ff_ffff;
const MINUTES: u64 = 0xffff;

/// The minute of key time, in 16 bits.
pub(super) fn minute(now: UnixMillis) -> u32 {
    ((now.0 / 60_000) & MINUTES) as u32
}

impl State {
    /// The second of key time, in 24 bits.
    #[inline]
    pub(crate) fn access_second(&self) -> u32 {
        (self.keyspace.now().0 / 1000) as u32 & SECONDS
    }

    /// The bits of a key that is new.
    #[inline]
    pub(crate) fn access_of_new(&self) -> u32 {
        if self.is_lfu() { self.frequent(FREQUENCY_OF_NEW) } else { self.access_second() }
    }

    /// Notes that the value of a found key was read.
    #[inline]
    pub(crate) fn note_read(&mut self, db: usize, found: Found) {
        if self.config.eviction.policy.order != Order::Lrm {
            let access = self.access_of_changed(db, found);
            self.keyspace.db_mut(db).set_access(found, access);
        }
    }

    /// The bits of a found key whose value is being changed.
    #[inline]
    pub(crate) fn access_of_changed(&mut self, db: usize, found: Found) -> u32 {
        if self.is_lfu() { self.used_again(db, found) } else { self.access_second() }
    }

    #[inline]
    pub(crate) fn is_lfu(&self) -> bool {
        self.config.eviction.policy.order == Order::Lfu
    }

    /// Bits that say that a key was last used now, and how often.
    pub(crate) fn frequent(&self, frequency: u8) -> u32 {
        minute(self.keyspace.now()) << 8 | u32::from(frequency)
    }

    #[cold]
    fn used_again(&mut self, db: usize, found: Found) -> u32 {
        let mut access = self.keyspace.db(db).access(found);
        if let Some(conversion) = &self.eviction.conversion {
            access = conversion.lfu_bits(db, found, access, self.keyspace.now());
        }
        let mut frequency = self.frequency(access);
        if frequency < u8::MAX {
            let above = u64::from(frequency.saturating_sub(FREQUENCY_OF_NEW));
            let odds = above * self.config.eviction.lfu_log_factor + 1;
            frequency += u8::from(self.eviction.rng.chance(1, odds));
        }
        self.frequent(frequency)
    }

    /// How often a key with these bits was used of late, on a logarithmic scale.
    pub(crate) fn frequency(&self, access: u32) -> u8 {
        let (now, then) = (minute(self.keyspace.now()), access >> 8);
        // The minutes wrap after 45 days.
        let minutes = u64::from(now.wrapping_sub(then)) & MINUTES;
        let decay = self.config.eviction.lfu_decay_mins;
        let fallen = minutes.checked_div(decay).unwrap_or(0);
        (u64::from(access & 0xff)).saturating_sub(fallen) as u8
    }

    /// Seconds since a key with these bits was last used.
    pub(crate) fn idle_secs(&self, access: u32) -> u32 {
        self.access_second().wrapping_sub(access) & SECONDS
    }

    /// Bits that say that a key was last used so long ago.
    pub(crate) fn access_after(&self, idle_secs: u64) -> u32 {
        self.access_second().wrapping_sub(idle_secs as u32) & SECONDS
    }
}
