//! Eviction: what goes when data and clients take more memory than they may.
//!
//! Before a command runs, keys are evicted until memory is under the limit, but only so many in one
//! step; the rest follows with a timer. A command that needs memory is refused only when nothing is
//! left that could be evicted. Which key goes is decided by samples and a pool of good candidates,
//! as in Redis, with random numbers that come from the engine's seed alone.
//!
//! Invariants: a protected key is never evicted, nor one without a TTL under a `volatile-` policy;
//! an attempt does a bounded amount of work.

mod access;
mod choose;
mod clients;
mod convert;
mod pool;

use crate::config::Order;
use crate::rng::Rng;
use crate::state::State;
use crate::time::{Instant, Micros};

pub(crate) use access::Usage;
use choose::{Choice, Search};
use convert::Conversion;
use pool::Pool;

/// Keys that one attempt evicts at least.
const KEYS_MIN: u64 = 16;
/// More keys for each point of tenacity up to ten.
const KEYS_PER_POINT: u64 = 50;
/// No tenacity makes an attempt evict more.
const KEYS_MAX: u64 = 1 << 20;
/// An attempt also ends when it has freed this much for each key that it may evict.
const BYTES_PER_KEY: u64 = 64 << 10;

/// What eviction remembers.
pub(crate) struct Eviction {
    pool: Pool,
    rng: Rng,
    /// The database that the last random key came from.
    last_db: usize,
    /// Where the search for a key that lots do not find goes on.
    search: Search,
    /// The change of all keys' access bits that is under way.
    conversion: Option<Conversion>,
    /// There is more to evict: the timer is to go on.
    is_pending: bool,
    /// The command that runs began when memory was over the limit and nothing could be evicted.
    pub(crate) is_full: bool,
    /// Bytes of users, channels and scripts when somebody last looked.
    pub(crate) other_bytes: usize,
    /// Since when memory has been over the limit.
    over_since: Option<Instant>,
    /// How long memory was over the limit before.
    over: Micros,
    /// Keys evicted.
    pub(crate) keys: u64,
    /// Clients evicted.
    pub(crate) clients: u64,
}

/// What an attempt to stay under the limit has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Memory is under the limit, or nothing may be evicted at the moment.
    Enough,
    /// It is not, and eviction goes on.
    Coming,
    /// It is not, and nothing can be evicted.
    None,
}

impl Eviction {
    pub(crate) fn new(rng: Rng, other_bytes: usize) -> Self {
        Self {
            pool: Pool::default(),
            rng,
            last_db: 0,
            search: Search::default(),
            conversion: None,
            is_pending: false,
            is_full: false,
            other_bytes,
            over_since: None,
            over: Micros(0),
            keys: 0,
            clients: 0,
        }
    }

    /// Whether the timer is to go on with something.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.is_pending || self.conversion.is_some()
    }

    /// How long memory has been over the limit this time, and in all.
    pub(crate) fn exceeded(&self, now: Instant) -> (Micros, Micros) {
        let current = self.over_since.map_or(Micros(0), |since| now.since(since));
        (current, Micros(self.over.0 + current.0))
    }

    /// Forgets what was counted (CONFIG RESETSTAT).
    pub(crate) fn reset_stats(&mut self) {
        (self.keys, self.clients, self.over) = (0, 0, Micros(0));
        self.over_since = None;
    }

    fn note(&mut self, room: Room, now: Instant) {
        if room != Room::Enough {
            self.over_since.get_or_insert(now);
        } else if let Some(since) = self.over_since.take() {
            self.over = Micros(self.over.0 + now.since(since).0);
        }
    }
}

/// How many keys one attempt may evict.
fn keys_per_attempt(tenacity: u32) -> u64 {
    let keys = KEYS_MIN + KEYS_PER_POINT * u64::from(tenacity.min(10));
    // Above ten by 15 % for each point, as Redis's time does.
    let grow = |keys: u64, _| (keys + keys * 3 / 20).min(KEYS_MAX);
    let keys = (10..tenacity.min(99)).fold(keys, grow);
    if tenacity >= 100 { KEYS_MAX } else { keys }
}

impl State {
    /// Bytes that count for `maxmemory`, but for the running client's; one that asks for them
    /// before each command has them at once.
    #[inline]
    fn counted_bytes(&self) -> usize {
        self.keyspace.memory_bytes() + self.sessions.counted_bytes() + self.eviction.other_bytes
    }

    /// Evicts keys while memory is over the limit: a bounded number of them. `running_bytes` are
    /// those of the client whose command is about to run.
    pub(crate) fn make_room(&mut self, now: Instant, running_bytes: usize) -> Room {
        if self.running_script.is_some() || self.is_paused(now) {
            return Room::Enough;
        }
        let bytes_max = self.config.eviction.bytes_max;
        let used = (self.counted_bytes() + running_bytes) as u64;
        let room = if used <= bytes_max || bytes_max == 0 {
            self.eviction.is_pending = false;
            Room::Enough
        } else {
            let room = self.evict_some(used - bytes_max);
            self.eviction.is_pending = room == Room::Coming;
            room
        };
        self.eviction.note(room, now);
        room
    }

    /// Evicts until `excess` bytes are freed. As in Redis only what the keys themselves took
    /// counts: messages about their end take memory, and must not lead to further evictions.
    #[cold]
    fn evict_some(&mut self, excess: u64) -> Room {
        if self.config.eviction.policy.order == Order::Never {
            return Room::None;
        }
        let keys_max = keys_per_attempt(self.config.eviction.tenacity);
        let bytes_max = keys_max.saturating_mul(BYTES_PER_KEY);
        let before = self.keyspace.memory_bytes();
        let mut keys = 0;
        loop {
            let freed = before.saturating_sub(self.keyspace.memory_bytes()) as u64;
            if freed >= excess {
                return Room::Enough;
            }
            if keys == keys_max || freed >= bytes_max {
                return Room::Coming;
            }
            match self.choose() {
                Choice::Key(db, key) => self.evict(db, &key),
                Choice::NotYet => return Room::Coming,
                Choice::None => return Room::None,
            }
            keys += 1;
        }
    }

    fn evict(&mut self, db: usize, key: &[u8]) {
        let Some(found) = self.keyspace.db(db).find(key) else { return };
        self.keyspace.remove(db, found);
        self.eviction.keys += 1;
        self.key_changed(db, key, "evicted");
        if self.log.is_on() {
            self.log_evicted(db, key);
        }
        // What takes long to free must not pile up behind the evictions.
        if self.keyspace.has_trash() {
            self.keyspace.free_some();
        }
    }

    /// The timer's share: goes on with what earlier steps have left.
    pub(crate) fn go_on_evicting(&mut self, now: Instant) {
        if self.eviction.is_pending {
            self.make_room(now, 0);
        }
        if self.eviction.conversion.is_some() {
            self.convert_some();
        }
    }

    /// Another limit or policy is in force.
    pub(crate) fn eviction_configured(&mut self, before: &crate::config::Eviction) {
        let config = &self.config.eviction;
        if config == before {
            return;
        }
        let (is_lfu, was_lfu) =
            (config.policy.order == Order::Lfu, before.policy.order == Order::Lfu);
        if config.policy != before.policy {
            self.eviction.pool = Pool::default();
            self.eviction.search = Search::default();
        }
        self.eviction.is_pending |= config.bytes_max != before.bytes_max && config.bytes_max != 0;
        if config.bytes_max == 0 {
            (self.eviction.is_full, self.eviction.is_pending) = (false, false);
            self.eviction.over_since = None;
        }
        let counts = config.counts_clients();
        if is_lfu != was_lfu {
            self.begin_conversion(is_lfu);
        }
        self.count_clients(counts);
        self.note_memory();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_tenacity_evicts_more() {
        assert_eq!(keys_per_attempt(0), 16);
        assert_eq!(keys_per_attempt(10), 516);
        assert_eq!(keys_per_attempt(11), 593);
        assert_eq!(keys_per_attempt(100), KEYS_MAX);
        let all: Vec<u64> = (0..=100).map(keys_per_attempt).collect();
        assert!(all.is_sorted());
    }
}
