//! The choice of the key that goes next.
//!
//! Keys are drawn by lot. Where lots can miss (few keys of a big database may go), a search through
//! the whole of it takes over, a piece at a time, so that "nothing can be evicted" is never said
//! while something can.
//!
//! Invariant: one choice looks at a bounded number of keys.

use super::pool::Pooled;
use crate::config::{Order, Policy};
use crate::keyspace::{Candidate, Db};
use crate::state::State;

/// More samples are not looked at, whatever `maxmemory-samples` says.
const SAMPLES_MAX: usize = 64;
/// Lots that are drawn for each sample that is wanted.
const TRIES_PER_SAMPLE: usize = 8;
/// Keys with a TTL that are looked at where lots miss them.
const VOLATILE_MAX: usize = 64;
/// How often the pool is filled when all that it holds has become worse.
const ROUNDS: usize = 3;
/// Pieces of hash space that one search looks at.
const PIECES_PER_SEARCH: usize = 64;

/// What a choice has come to.
pub(super) enum Choice {
    /// This key of this database goes.
    Key(usize, Vec<u8>),
    /// There may be one, which was not found yet.
    NotYet,
    /// No key may go.
    None,
}

/// A walk through all databases for keys that may go.
#[derive(Debug, Default)]
pub(super) struct Search {
    db: usize,
    cursor: u64,
    /// Whether the present round has met a key that may go.
    has_met: bool,
    /// The last whole round met none.
    was_in_vain: bool,
}

/// How many keys of a database may go, about; zero only if none may.
fn eligible(db: &Db, policy: Policy) -> usize {
    if policy.only_volatile { db.len_with_ttl() } else { db.len() - db.protected_len() }
}

/// Whether a key may go.
fn may_go(db: &Db, policy: Policy, candidate: &Candidate<'_>) -> bool {
    (candidate.deadline.is_some() || !policy.only_volatile) && !db.is_protected(candidate.key)
}

impl State {
    /// Chooses the key that goes next.
    pub(super) fn choose(&mut self) -> Choice {
        let policy = self.config.eviction.policy;
        if let Some(harm) = &mut self.harm
            && harm.takes_any_victim()
            && let Some((db, key)) = self.choose_any()
        {
            return Choice::Key(db, key);
        }
        let key = match policy.order {
            Order::Never => return Choice::None,
            Order::Random => self.choose_at_random(policy),
            Order::Lru | Order::Lfu | Order::Lrm | Order::Ttl => self.choose_from_pool(policy),
        };
        if let Some((db, key)) = key {
            self.eviction.search.was_in_vain = false;
            return Choice::Key(db, key);
        }
        let databases = 0..self.keyspace.count();
        if databases.into_iter().all(|index| eligible(self.keyspace.db(index), policy) == 0) {
            return Choice::None;
        }
        self.search(policy)
    }

    fn choose_from_pool(&mut self, policy: Policy) -> Option<(usize, Vec<u8>)> {
        for _ in 0..ROUNDS {
            for index in 0..self.keyspace.count() {
                if eligible(self.keyspace.db(index), policy) > 0 {
                    self.fill_pool(index, policy);
                }
            }
            let best = self.best_of_pool(policy);
            if best.is_some() {
                return best;
            }
        }
        None
    }

    fn best_of_pool(&mut self, policy: Policy) -> Option<(usize, Vec<u8>)> {
        while let Some(Pooled { score, db, key }) = self.eviction.pool.take_best() {
            let database = self.keyspace.db(db);
            let candidate = database.candidate_of(&key);
            let is_good = |candidate: &Candidate<'_>| {
                // One that was used since it was looked at is no longer so good.
                may_go(database, policy, candidate) && self.score(policy.order, candidate) >= score
            };
            if candidate.as_ref().is_some_and(is_good) {
                return Some((db, key));
            }
        }
        None
    }

    /// Offers samples of a database to the pool.
    fn fill_pool(&mut self, index: usize, policy: Policy) {
        let wanted = self.config.eviction.samples.min(SAMPLES_MAX);
        let mut pool = core::mem::take(&mut self.eviction.pool);
        let mut rng = self.eviction.rng.clone();
        let db = self.keyspace.db(index);
        let mut met = 0;
        let mut offer = |candidate: Candidate<'_>| {
            if may_go(db, policy, &candidate) {
                pool.offer(self.score(policy.order, &candidate), index, candidate.key);
                met += 1;
            }
            met
        };
        // Where only some may go, neighbours come together; but whoever caches by a policy that
        // looks at nothing but TTLs does not want the very next to expire every time.
        let in_groups = policy.only_volatile && policy.order != Order::Ttl;
        let mut is_enough = false;
        for _ in 0..wanted * TRIES_PER_SAMPLE {
            let met = if in_groups {
                db.lots(rng.next_u64()).map(&mut offer).last()
            } else {
                db.lot(rng.next_u64(), rng.next_u64()).map(&mut offer)
            };
            is_enough = met.is_some_and(|met| met >= wanted);
            if is_enough {
                break;
            }
        }
        if policy.only_volatile && !is_enough {
            db.lots_with_ttl(rng.next_u64(), VOLATILE_MAX).map(&mut offer).for_each(drop);
        }
        self.eviction.pool = pool;
        self.eviction.rng = rng;
    }

    /// How much a key deserves to go.
    fn score(&self, order: Order, candidate: &Candidate<'_>) -> u64 {
        match order {
            Order::Lfu => u64::from(u8::MAX - self.frequency(candidate.access)),
            Order::Ttl => candidate.deadline.map_or(0, |deadline| u64::MAX - deadline.0),
            Order::Lru | Order::Lrm => u64::from(self.idle_secs(candidate.access)),
            Order::Never | Order::Random => 0,
        }
    }

    /// Any key, from each database in turn.
    fn choose_at_random(&mut self, policy: Policy) -> Option<(usize, Vec<u8>)> {
        let count = self.keyspace.count();
        for step in 1..=count {
            let index = (self.eviction.last_db + step) % count;
            if eligible(self.keyspace.db(index), policy) == 0 {
                continue;
            }
            if let Some(key) = self.draw(index, policy) {
                self.eviction.last_db = index;
                return Some((index, key));
            }
        }
        None
    }

    /// What a planted bug takes: any key.
    #[cold]
    fn choose_any(&mut self) -> Option<(usize, Vec<u8>)> {
        let rng = &mut self.eviction.rng;
        let lots = (0..self.keyspace.count()).cycle().take(SAMPLES_MAX);
        lots.filter_map(|index| {
            let candidate = self.keyspace.db(index).lot(rng.next_u64(), rng.next_u64())?;
            Some((index, candidate.key.to_vec()))
        })
        .next()
    }

    fn draw(&mut self, index: usize, policy: Policy) -> Option<Vec<u8>> {
        let db = self.keyspace.db(index);
        let rng = &mut self.eviction.rng;
        for _ in 0..SAMPLES_MAX * TRIES_PER_SAMPLE {
            let lot = db.lot(rng.next_u64(), rng.next_u64());
            if let Some(candidate) = lot.filter(|candidate| may_go(db, policy, candidate)) {
                return Some(candidate.key.to_vec());
            }
        }
        if !policy.only_volatile {
            return None;
        }
        let lots = db.lots_with_ttl(rng.next_u64(), VOLATILE_MAX);
        let found: Vec<Candidate<'_>> =
            lots.filter(|candidate| may_go(db, policy, candidate)).collect();
        let pick = rng.next_u64().checked_rem(found.len() as u64)?;
        Some(found[pick as usize].key.to_vec())
    }

    /// Walks on for a key that may go, a piece of the way.
    #[cold]
    fn search(&mut self, policy: Policy) -> Choice {
        let search = &mut self.eviction.search;
        for _ in 0..PIECES_PER_SEARCH {
            let db = self.keyspace.db(search.db);
            let mut met = None;
            search.cursor = db.scan(search.cursor, |key, found| {
                let (access, deadline) = (db.access(found), db.deadline(found));
                if may_go(db, policy, &Candidate { key, access, deadline }) {
                    met = Some(key.to_vec());
                }
            });
            let index = search.db;
            if search.cursor == 0 {
                search.db = (search.db + 1) % self.keyspace.count();
                if search.db == 0 {
                    search.was_in_vain = !search.has_met && met.is_none();
                    search.has_met = false;
                }
            }
            if let Some(key) = met {
                search.has_met = true;
                search.was_in_vain = false;
                return Choice::Key(index, key);
            }
        }
        if search.was_in_vain { Choice::None } else { Choice::NotYet }
    }
}
