//! What becomes of the access bits of all keys when the policy changes between LFU and the others.
//!
//! The bits of both kinds look alike. Redis lets those of one kind be read as the other for a
//! while, which makes hot keys look cold; here a walk translates them: who was used lately counts
//! as new in LFU, and the minute of the last use is the second of it otherwise.
//!
//! Invariant: bits that were written since the change are known by their time, but for one key in
//! many thousands, and left as they are. A key that is used before the walk comes to it is
//! translated then.

use super::access::{FREQUENCY_OF_NEW, minute};
use crate::keyspace::Found;
use crate::state::State;
use crate::time::UnixMillis;

/// Pieces of hash space that one step translates: some ten keys each.
const PIECES_PER_STEP: usize = 64;
const MINUTES: u32 = 0xffff;
const SECONDS: u32 = 0x00ff_ffff;

/// A walk through all keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversion {
    to_lfu: bool,
    since: UnixMillis,
    db: usize,
    cursor: u64,
}

impl Conversion {
    /// The LFU bits of a key that is being used.
    pub(super) fn lfu_bits(&self, db: usize, found: Found, access: u32, now: UnixMillis) -> u32 {
        let was_passed = (db, found.cursor()) < (self.db, self.cursor);
        if was_passed { access } else { self.translate(access, now).unwrap_or(access) }
    }

    /// What bits of the other kind mean in the new one; `None`: they are of the new kind already.
    fn translate(&self, access: u32, now: UnixMillis) -> Option<u32> {
        let (second, minute_now) = ((now.0 / 1000) as u32 & SECONDS, minute(now));
        if self.to_lfu {
            let age = minute_now.wrapping_sub(access >> 8) & MINUTES;
            let walked = minute_now.wrapping_sub(minute(self.since)) & MINUTES;
            if age <= walked {
                return None;
            }
            let idle_mins = (second.wrapping_sub(access) & SECONDS) / 60;
            let then = minute_now.wrapping_sub(idle_mins.min(MINUTES)) & MINUTES;
            Some(then << 8 | u32::from(FREQUENCY_OF_NEW))
        } else {
            let age = second.wrapping_sub(access) & SECONDS;
            let walked = second.wrapping_sub((self.since.0 / 1000) as u32) & SECONDS;
            if age <= walked {
                return None;
            }
            let idle_mins = minute_now.wrapping_sub(access >> 8) & MINUTES;
            Some(second.wrapping_sub(idle_mins * 60) & SECONDS)
        }
    }
}

impl State {
    /// Begins to translate all keys' bits.
    pub(super) fn begin_conversion(&mut self, to_lfu: bool) {
        let since = self.keyspace.now();
        self.eviction.conversion = Some(Conversion { to_lfu, since, db: 0, cursor: 0 });
    }

    /// Translates the bits of some keys.
    pub(super) fn convert_some(&mut self) {
        let Some(mut conversion) = self.eviction.conversion else { return };
        let now = self.keyspace.now();
        let mut met: Vec<(Found, u32)> = Vec::new();
        for _ in 0..PIECES_PER_STEP {
            if conversion.db >= self.keyspace.count() {
                self.eviction.conversion = None;
                return;
            }
            let db = self.keyspace.db_mut(conversion.db);
            let cursor = conversion.cursor;
            conversion.cursor = db.scan(cursor, |_, found| met.push((found, db.access(found))));
            for (found, access) in met.drain(..) {
                if let Some(access) = conversion.translate(access, now) {
                    db.set_access(found, access);
                }
            }
            if conversion.cursor == 0 {
                conversion.db += 1;
            }
        }
        self.eviction.conversion = Some(conversion);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn walk(to_lfu: bool) -> Conversion {
        Conversion { to_lfu, since: UnixMillis(NOW.0 - 3000), db: 0, cursor: 0 }
    }

    #[test]
    fn the_time_of_the_last_use_is_kept() {
        let second = (NOW.0 / 1000) as u32;
        let lru = second.wrapping_sub(600) & SECONDS;
        let lfu = (minute(NOW).wrapping_sub(10) & MINUTES) << 8 | u32::from(FREQUENCY_OF_NEW);
        assert_eq!(walk(true).translate(lru, NOW), Some(lfu));
        assert_eq!(walk(false).translate(lfu, NOW), Some(lru));
    }

    #[test]
    fn bits_of_the_new_kind_stay() {
        let second = (NOW.0 / 1000) as u32 & SECONDS;
        assert_eq!(walk(true).translate(minute(NOW) << 8 | 77, NOW), None);
        assert_eq!(walk(false).translate(second.wrapping_sub(2) & SECONDS, NOW), None);
    }

    #[test]
    fn what_was_idle_for_very_long_is_as_old_as_can_be() {
        let second = (NOW.0 / 1000) as u32;
        let lru = second.wrapping_sub(15_000_000) & SECONDS;
        let bits = walk(true).translate(lru, NOW).unwrap();
        assert_eq!(minute(NOW).wrapping_sub(bits >> 8) & MINUTES, MINUTES);
    }
}
