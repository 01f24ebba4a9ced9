//! Sessions that clients may take up again, so that a second handshake costs no signature.
//!
//! Invariants: no more sessions than the limit, the oldest go first; none is given out after its
//! time; the clock is the server's, which tells the time at each handshake.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use orrery_engine::{Instant, Micros};
use tokio_rustls::rustls::server::StoresServerSessions;

/// `tls-session-cache-size 0` means no limit in Redis; here it means this.
const UNLIMITED: usize = 1_000_000;
/// Keys that are gone are left in the order up to about this many.
const GONE_KEPT: usize = 64;

/// A bounded table of sessions.
#[derive(Debug)]
pub(super) struct SessionCache {
    now_us: AtomicU64,
    size: usize,
    lifetime: Micros,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_key: BTreeMap<Vec<u8>, (Instant, Vec<u8>)>,
    /// Keys in the order in which they came; some may be gone.
    order: VecDeque<Vec<u8>>,
}

impl SessionCache {
    /// A cache of `size` sessions that live for `lifetime`.
    pub(super) fn new(size: usize, lifetime: Micros) -> Self {
        let size = if size == 0 { UNLIMITED } else { size };
        Self { now_us: AtomicU64::new(0), size, lifetime, table: Mutex::default() }
    }

    /// Tells the time.
    pub(super) fn set_now(&self, now: Instant) {
        self.now_us.store(now.0, Ordering::Relaxed);
    }

    fn now(&self) -> Instant {
        Instant(self.now_us.load(Ordering::Relaxed))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic between two changes leaves at worst a session too many.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_alive(&self, since: Instant) -> bool {
        self.now().since(since) < self.lifetime
    }
}

impl StoresServerSessions for SessionCache {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let mut table = self.table();
        if table.by_key.insert(key.clone(), (self.now(), value)).is_none() {
            table.order.push_back(key);
        }
        while let Some(oldest) = table.order.front() {
            let since = table.by_key.get(oldest).map(|&(since, _)| since);
            let stays = since.is_some_and(|since| self.is_alive(since));
            if stays && table.by_key.len() <= self.size {
                break;
            }
            let Table { by_key, order } = &mut *table;
            order.pop_front().and_then(|oldest| by_key.remove(&oldest));
        }
        if table.order.len() > 2 * self.size + GONE_KEPT {
            let Table { by_key, order } = &mut *table;
            order.retain(|key| by_key.contains_key(key));
        }
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let table = self.table();
        let (since, value) = table.by_key.get(key)?;
        self.is_alive(*since).then(|| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (since, value) = self.table().by_key.remove(key)?;
        self.is_alive(since).then_some(value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &SessionCache, name: &str) {
        assert!(cache.put(name.into(), format!("of {name}").into()));
    }

    #[test]
    fn the_oldest_goes_first_and_what_was_taken_makes_room() {
        let cache = SessionCache::new(2, Micros::from_secs(10));
        ["a", "b"].iter().for_each(|name| put(&cache, name));
        assert_eq!(cache.take(b"a"), Some(b"of a".to_vec()));
        assert_eq!(cache.take(b"a"), None);
        ["c", "d"].iter().for_each(|name| put(&cache, name));
        assert_eq!(cache.get(b"b"), None);
        assert_eq!(cache.get(b"c"), Some(b"of c".to_vec()));
        assert_eq!(cache.get(b"d"), Some(b"of d".to_vec()));
        for number in 0..1000 {
            put(&cache, &number.to_string());
            cache.take(number.to_string().as_bytes());
        }
        let table = cache.table();
        assert!(table.by_key.len() <= 2 && table.order.len() <= 4 + GONE_KEPT);
    }

    #[test]
    fn a_session_ends_with_its_time() {
        let cache = SessionCache::new(0, Micros::from_secs(10));
        put(&cache, "a");
        cache.set_now(Instant(9_999_999));
        assert!(cache.get(b"a").is_some());
        cache.set_now(Instant(10_000_000));
        assert_eq!(cache.get(b"a"), None);
        assert_eq!(cache.take(b"a"), None);
        put(&cache, "b");
        cache.set_now(Instant(30_000_000));
        put(&cache, "c");
        assert_eq!(cache.table().by_key.len(), 1, "what is over is forgotten");
    }
}
