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

    /// What the bits of keys say now.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            now: self.keyspace.now(),
            second: self.access_second(),
            order: self.config.eviction.policy.order,
            lfu_decay_mins: self.config.eviction.lfu_decay_mins,
        }
    }

    /// How often a key with these bits was used of late, on a logarithmic scale.
    pub(crate) fn frequency(&self, access: u32) -> u8 {
        self.usage().frequency(access)
    }

    /// Seconds since a key with these bits was last used.
    pub(crate) fn idle_secs(&self, access: u32) -> u32 {
        self.usage().idle_secs(access)
    }

    /// The bits of a key that comes with what is known of its use: whatever the policy looks at.
    pub(crate) fn access_of_loaded(&self, idle_secs: Option<u64>, frequency: Option<u8>) -> u32 {
        if self.is_lfu() {
            self.frequent(frequency.unwrap_or(FREQUENCY_OF_NEW))
        } else {
            self.access_after(idle_secs.unwrap_or(0))
        }
    }

    /// Bits that say that a key was last used so long ago.
    pub(crate) fn access_after(&self, idle_secs: u64) -> u32 {
        self.access_second().wrapping_sub(idle_secs as u32) & SECONDS
    }
}

/// Reads the bits of keys as they are to be understood at one moment.
pub(crate) struct Usage {
    now: UnixMillis,
    second: u32,
    order: Order,
    lfu_decay_mins: u64,
}

impl Usage {
    /// Where no policy looks at it.
    #[cfg(test)]
    pub(crate) fn unknown() -> Self {
        Self { now: UnixMillis(0), second: 0, order: Order::Never, lfu_decay_mins: 0 }
    }

    fn frequency(&self, access: u32) -> u8 {
        let (now, then) = (minute(self.now), access >> 8);
        // The minutes wrap after 45 days.
        let minutes = u64::from(now.wrapping_sub(then)) & MINUTES;
        let fallen = minutes.checked_div(self.lfu_decay_mins).unwrap_or(0);
        (u64::from(access & 0xff)).saturating_sub(fallen) as u8
    }

    fn idle_secs(&self, access: u32) -> u32 {
        self.second.wrapping_sub(access) & SECONDS
    }

    /// What files say of a key's use: for how many seconds it was idle, or how often it was used;
    /// neither where no policy looks at it.
    pub(crate) fn of(&self, access: u32) -> (Option<u64>, Option<u8>) {
        match self.order {
            Order::Lru | Order::Lrm => (Some(self.idle_secs(access).into()), None),
            Order::Lfu => (None, Some(self.frequency(access))),
            Order::Never | Order::Random | Order::Ttl => (None, None),
        }
    }
}
