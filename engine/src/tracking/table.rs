//! The keys that clients may hold copies of, and which clients that are.
//!
//! Invariants: a key that is listed has at least one client, in ascending order, each once; the
//! counts are those of what is listed. No operation costs more than a search among the keys of one
//! shard, and freeing is done shard by shard.

use std::collections::BTreeMap;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::input::ConnId;
use crate::rng::Rng;

/// Keys are spread over so many shards: a million of them makes some 250 a shard.
const SHARDS: usize = 4096;
/// Shards that one step frees.
const SHARDS_FREED_PER_STEP: usize = 64;
/// A key's clients are searched for such as have gone when their list outgrows a multiple of this.
const CLIENTS_STEP: usize = 8;
/// Heap bytes of a key and of one of its clients, beside the key itself.
const KEY_BYTES: usize = size_of::<Box<[u8]>>() + size_of::<Vec<ConnId>>();
const CLIENT_BYTES: usize = size_of::<ConnId>();

type Shard = BTreeMap<Box<[u8]>, Vec<ConnId>>;

/// Tracked keys with their clients.
#[derive(Debug)]
pub(super) struct Table {
    /// None, or all of them.
    shards: Vec<Shard>,
    /// Shards of a table that was cleared.
    old: Vec<Shard>,
    hasher: SipHasher13,
    /// Chooses the keys that are forgotten.
    rng: Rng,
    keys: usize,
    items: usize,
    key_bytes: usize,
}

impl Table {
    pub(super) fn new(mut rng: Rng) -> Self {
        let hasher = SipHasher13::new_with_keys(rng.next_u64(), rng.next_u64());
        let (shards, old) = (Vec::new(), Vec::new());
        Self { shards, old, hasher, rng, keys: 0, items: 0, key_bytes: 0 }
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    /// How many pairs of a key and a client there are.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.key_bytes + self.keys * KEY_BYTES + self.items * CLIENT_BYTES
    }

    fn shard_of(&self, key: &[u8]) -> usize {
        let mut hasher = self.hasher;
        hasher.write(key);
        (hasher.finish() % SHARDS as u64) as usize
    }

    /// Whether somebody may hold a copy of `key`.
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.keys > 0 && self.shards[self.shard_of(key)].contains_key(key)
    }

    /// Notes that `conn` may hold a copy of `key`. When the list of the key's clients grows, those
    /// that `is_there` denies are taken out of it: nobody looks for them when they go.
    pub(super) fn insert(&mut self, key: &[u8], conn: ConnId, is_there: impl Fn(ConnId) -> bool) {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARDS, Shard::new);
        }
        let shard = self.shard_of(key);
        let shard = &mut self.shards[shard];
        let Some(clients) = shard.get_mut(key) else {
            shard.insert(key.into(), vec![conn]);
            self.keys += 1;
            self.items += 1;
            self.key_bytes += key.len();
            return;
        };
        let Err(mut at) = clients.binary_search(&conn) else { return };
        if clients.len() % CLIENTS_STEP == 0 {
            let before = clients.len();
            clients.retain(|&client| is_there(client));
            self.items -= before - clients.len();
            at = clients.partition_point(|&client| client < conn);
        }
        clients.insert(at, conn);
        self.items += 1;
    }

    /// Forgets a key: its clients, in ascending order.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Vec<ConnId>> {
        if self.keys == 0 {
            return None;
        }
        let shard = self.shard_of(key);
        let clients = self.shards[shard].remove(key)?;
        self.forget(key, &clients);
        Some(clients)
    }

    /// Forgets any key.
    pub(super) fn take_any(&mut self) -> Option<(Box<[u8]>, Vec<ConnId>)> {
        if self.keys == 0 {
            return None;
        }
        let first = self.rng.below(SHARDS as u64) as usize;
        let mut shards = (first..SHARDS).chain(0..first);
        let shard = shards.find(|&shard| !self.shards[shard].is_empty())?;
        let shard = &mut self.shards[shard];
        let index = self.rng.below(shard.len() as u64) as usize;
        let key = shard.keys().nth(index)?.clone();
        let clients = shard.remove(&key)?;
        self.forget(&key, &clients);
        Some((key, clients))
    }

    fn forget(&mut self, key: &[u8], clients: &[ConnId]) {
        self.keys -= 1;
        self.items -= clients.len();
        self.key_bytes -= key.len();
    }

    /// Forgets all keys; their memory is given back by and by.
    pub(super) fn clear(&mut self) {
        if self.keys > 0 {
            self.old.append(&mut self.shards);
            (self.keys, self.items, self.key_bytes) = (0, 0, 0);
        }
    }

    /// Whether memory of forgotten keys is to be given back.
    pub(super) fn has_old(&self) -> bool {
        !self.old.is_empty()
    }

    /// Gives a bounded part of it back.
    pub(super) fn free_some(&mut self) {
        self.old.truncate(self.old.len().saturating_sub(SHARDS_FREED_PER_STEP));
    }

    pub(super) fn check_invariants(&self) {
        let all = || self.shards.iter().flatten();
        for (key, clients) in all() {
            assert!(!clients.is_empty(), "a key that is listed has a client");
            assert!(clients.is_sorted_by(|a, b| a < b), "in order, each once");
            assert!(self.contains(key), "a key is where it is looked for");
        }
        assert_eq!(all().count(), self.keys);
        assert_eq!(all().map(|(_, clients)| clients.len()).sum::<usize>(), self.items);
        assert_eq!(all().map(|(key, _)| key.len()).sum::<usize>(), self.key_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;
    use std::collections::BTreeSet;

    fn table() -> Table {
        Table::new(Rng::new(Seed(7), "tracking table"))
    }

    #[test]
    fn keys_list_their_clients_once() {
        let mut table = table();
        for conn in [3, 1, 2, 3] {
            table.insert(b"k", ConnId(conn), |_| true);
        }
        table.insert(b"", ConnId(9), |_| true);
        table.check_invariants();
        assert_eq!((table.keys(), table.items()), (2, 4));
        assert_eq!(table.take(b"k"), Some(vec![ConnId(1), ConnId(2), ConnId(3)]));
        assert_eq!((table.take(b"k"), table.take(b"x")), (None, None));
        assert_eq!((table.keys(), table.items(), table.contains(b"")), (1, 1, true));
        table.check_invariants();
    }

    #[test]
    fn clients_that_have_gone_do_not_pile_up() {
        let mut table = table();
        for conn in 0..10_000 {
            table.insert(b"k", ConnId(conn), |client| client.0 + 3 > conn);
            assert!(table.items() <= 2 * CLIENTS_STEP, "{}", table.items());
        }
        table.check_invariants();
    }

    #[test]
    fn any_key_is_every_key_in_the_end_and_the_same_for_the_same_seed() {
        let order = || {
            let mut table = table();
            for key in 0..500_u32 {
                table.insert(&key.to_be_bytes(), ConnId(1), |_| true);
            }
            let mut keys = Vec::new();
            while let Some((key, clients)) = table.take_any() {
                assert_eq!(clients, [ConnId(1)]);
                keys.push(key);
            }
            table.check_invariants();
            keys
        };
        let keys = order();
        assert_eq!(keys, order());
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 500);
        assert!(!keys.is_sorted());
    }

    #[test]
    fn a_cleared_table_is_freed_in_steps() {
        let mut table = table();
        for key in 0..5000_u32 {
            table.insert(&key.to_be_bytes(), ConnId(1), |_| true);
        }
        table.clear();
        assert_eq!((table.keys(), table.memory_bytes(), table.has_old()), (0, 0, true));
        table.insert(b"k", ConnId(1), |_| true);
        let mut steps = 0;
        while table.has_old() {
            table.free_some();
            steps += 1;
        }
        assert_eq!(steps, SHARDS / SHARDS_FREED_PER_STEP);
        assert!(table.contains(b"k"));
        table.check_invariants();
    }
}
