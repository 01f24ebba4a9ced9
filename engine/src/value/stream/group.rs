//! Groups of consumers: how far they have read, and what is pending with whom.
//!
//! Invariants: every pending entry that has an owner is in the list of that consumer, and of no
//! other; `released` of them have none; the order of claims, once somebody has asked for it, has
//! exactly the pending entries.

use std::collections::BTreeSet;

use super::consumer::{Consumer, ConsumerNumber};
use super::id::StreamId;
use super::log::Log;
use super::pending::{ClaimOrder, Pending};
use super::sorted::Sorted;

/// About what a set spends on an element.
const CLAIM_ORDER_BYTES: usize = 48;

/// A group of consumers.
#[derive(Debug)]
pub struct Group {
    pub(super) name: Box<[u8]>,
    last_delivered: StreamId,
    entries_read: Option<i64>,
    pending: Sorted<Pending>,
    /// By number. Places of consumers that are gone are used again.
    consumers: Vec<Option<Box<Consumer>>>,
    /// In the order of their names.
    by_name: Vec<ConsumerNumber>,
    /// Heap bytes of all consumers.
    consumer_bytes: usize,
    /// Pending entries without an owner.
    released: usize,
    /// How many were ever released: the next one's place in their queue.
    release_clock: u64,
    /// Pending entries in the order in which they are claimed. Made when XREADGROUP CLAIM first
    /// asks.
    claim_order: Option<BTreeSet<ClaimOrder>>,
}

/// How a claim changes the number of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliveries {
    /// It stays.
    Keep,
    /// One more.
    Add,
    /// Set to this.
    Set(i64),
}

/// What becomes of a claimed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose it is from now on.
    pub owner: ConsumerNumber,
    /// When it counts as delivered, in milliseconds since the Unix epoch.
    pub delivered_ms: u64,
    /// How often it was delivered.
    pub deliveries: Deliveries,
}

impl Clone for Group {
    fn clone(&self) -> Self {
        let consumers = self.consumers.clone();
        // The copies have no room to grow.
        let consumer_bytes = consumers.iter().flatten().map(|it| it.heap_bytes()).sum();
        Self {
            name: self.name.clone(),
            pending: self.pending.clone(),
            consumers,
            by_name: self.by_name.clone(),
            consumer_bytes,
            claim_order: self.claim_order.clone(),
            ..*self
        }
    }
}

impl Group {
    pub(super) fn new(name: &[u8], last_delivered: StreamId, entries_read: Option<i64>) -> Self {
        Self {
            name: name.into(),
            last_delivered,
            entries_read,
            pending: Sorted::default(),
            consumers: Vec::new(),
            by_name: Vec::new(),
            consumer_bytes: 0,
            released: 0,
            release_clock: 0,
            claim_order: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The last entry that it has got.
    pub fn last_delivered(&self) -> StreamId {
        self.last_delivered
    }

    /// How many entries it has read, if that is known.
    pub fn entries_read(&self) -> Option<i64> {
        self.entries_read
    }

    /// Sets how far it has read.
    pub fn set_position(&mut self, last_delivered: StreamId, entries_read: Option<i64>) {
        self.last_delivered = last_delivered;
        self.entries_read = entries_read;
    }

    /// Moves on to an entry that is delivered now, if it is the furthest so far.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        if id <= self.last_delivered {
            return;
        }
        match self.entries_read {
            Some(read) if !has_tombstone_from(log, id) => {
                // It wraps as that of Redis does.
                self.entries_read = Some(read.wrapping_add(1));
            }
            _ if log.entries_added() != 0 => self.entries_read = entries_up_to(log, id),
            _ => {}
        }
        self.last_delivered = id;
    }

    /// How many entries it has still to read; `None` if that cannot be said.
    pub(super) fn lag(&self, log: &Log) -> Option<i64> {
        let added = log.entries_added() as i64;
        if added == 0 {
            return Some(0);
        }
        let known = self.entries_read.filter(|_| !has_tombstone_from(log, self.last_delivered));
        let read = known.or_else(|| entries_up_to(log, self.last_delivered))?;
        Some(added.wrapping_sub(read))
    }

    // Consumers.

    /// The consumers, by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerNumber, &Consumer)> {
        self.by_name.iter().map(|&number| (number, self.consumer(number)))
    }

    /// A consumer.
    ///
    /// # Panics
    /// If it is gone.
    pub fn consumer(&self, number: ConsumerNumber) -> &Consumer {
        self.consumers[number.index()].as_ref().expect("the consumer exists")
    }

    fn consumer_mut(&mut self, number: ConsumerNumber) -> &mut Consumer {
        self.consumers[number.index()].as_mut().expect("the consumer exists")
    }

    /// The consumer with this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.search(name).ok().map(|at| self.by_name[at])
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&number| self.consumer(number).name().cmp(name))
    }

    /// Adds a consumer; `None` if there is one with this name.
    pub fn add_consumer(&mut self, name: &[u8], seen_ms: u64) -> Option<ConsumerNumber> {
        let at = self.search(name).err()?;
        let consumer = Box::new(Consumer::new(name, seen_ms));
        self.consumer_bytes += consumer.heap_bytes();
        let vacant = self.vacant();
        let number = ConsumerNumber::of(vacant);
        self.consumers[vacant] = Some(consumer);
        self.by_name.insert(at, number);
        Some(number)
    }

    /// The first free place for a consumer.
    fn vacant(&mut self) -> usize {
        if self.by_name.len() < self.consumers.len() {
            let vacant = self.consumers.iter().position(Option::is_none);
            return vacant.expect("there are more places than consumers");
        }
        self.consumers.push(None);
        self.consumers.len() - 1
    }

    /// Notes that a consumer has read or claimed something just now.
    pub fn see_consumer(&mut self, number: ConsumerNumber, now_ms: u64) {
        self.consumer_mut(number).seen_ms = now_ms;
    }

    /// Notes that a consumer has got something just now; or never, for one that is restored.
    pub fn set_active(&mut self, number: ConsumerNumber, active_ms: Option<u64>) {
        self.consumer_mut(number).active_ms = active_ms;
    }

    /// Removes a consumer and what is pending with it; returns how many entries those were.
    pub fn remove_consumer(&mut self, number: ConsumerNumber) -> usize {
        let at = self.search(self.consumer(number).name()).expect("it is in the list");
        self.by_name.remove(at);
        let consumer = self.consumers[number.index()].take().expect("the consumer exists");
        self.consumer_bytes -= consumer.heap_bytes();
        for id in consumer.pending.iter() {
            let pending = self.pending.remove(*id).expect("what a consumer has is pending");
            if let Some(order) = &mut self.claim_order {
                order.remove(&pending.claim_order());
            }
        }
        consumer.pending.len()
    }

    // Pending entries.

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// How many of them have no owner.
    pub fn released_len(&self) -> usize {
        self.released
    }

    /// The first and the last of them.
    pub fn pending_ends(&self) -> Option<(StreamId, StreamId)> {
        Some((self.pending.first()?.id, self.pending.last()?.id))
    }

    /// Those from `start` on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = &Pending> {
        self.pending.iter_from(start)
    }

    /// One of them.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.find(id)
    }

    /// The entries that have no owner, first the one that was released first.
    pub fn released(&self) -> Vec<StreamId> {
        let ownerless = self.pending.iter().filter(|pending| pending.owner.is_none());
        let mut queue: Vec<&Pending> = ownerless.collect();
        queue.sort_unstable_by_key(|pending| pending.since);
        queue.into_iter().map(|pending| pending.id).collect()
    }

    /// An entry is delivered to a consumer as if for the first time, whoever had it.
    pub fn deliver(&mut self, id: StreamId, owner: ConsumerNumber, now_ms: u64) {
        self.put(Pending { id, since: now_ms, deliveries: 1, owner: Some(owner) });
    }

    /// A pending entry is delivered to its owner once more.
    pub fn deliver_again(&mut self, id: StreamId, now_ms: u64) {
        if let Some(&pending) = self.pending(id) {
            let deliveries = pending.deliveries.wrapping_add(1);
            self.put(Pending { since: now_ms, deliveries, ..pending });
        }
    }

    /// A consumer takes an entry over; one that was not pending counts as delivered once.
    pub fn claim(&mut self, id: StreamId, claim: Claim) {
        let before = self.pending(id).map_or(1, |pending| pending.deliveries);
        let deliveries = match claim.deliveries {
            Deliveries::Keep => before,
            Deliveries::Add => before.wrapping_add(1),
            Deliveries::Set(deliveries) => deliveries,
        };
        let owner = Some(claim.owner);
        self.put(Pending { id, since: claim.delivered_ms, deliveries, owner });
    }

    /// An entry has no owner any more and goes to the end of the queue of such entries.
    pub fn release(&mut self, id: StreamId, deliveries: i64) {
        let since = self.release_clock;
        self.release_clock += 1;
        self.put(Pending { id, since, deliveries, owner: None });
    }

    /// An entry is no longer pending; says whether it was.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.unlink(&pending, None);
        true
    }

    /// The entries that nobody owns, and those that were delivered `min_idle_ms` ago or earlier, in
    /// the order in which they are claimed; at most `count` of those that `is_wanted`, which is
    /// asked in this order until there are as many.
    pub fn claimable(
        &mut self,
        now_ms: u64,
        min_idle_ms: u64,
        count: usize,
        mut is_wanted: impl FnMut(StreamId) -> bool,
    ) -> Vec<StreamId> {
        // `None`: nothing is that old.
        let until = now_ms.checked_sub(min_idle_ms);
        let is_due = |order: &&ClaimOrder| !order.has_owner || until >= Some(order.since);
        let due = self.claim_order().iter().take_while(is_due).map(|order| order.id);
        due.filter(|&id| is_wanted(id)).take(count).collect()
    }

    /// When the first entry that is still too young for [`Self::claimable`] was delivered.
    pub fn next_delivered_ms(&mut self, now_ms: u64, min_idle_ms: u64) -> Option<u64> {
        let since = now_ms.checked_sub(min_idle_ms).map_or(0, |until| until.saturating_add(1));
        let first = ClaimOrder { has_owner: true, since, id: StreamId::MIN };
        self.claim_order().range(first..).next().map(|order| order.since)
    }

    /// Whether anybody has asked what can be claimed.
    pub fn has_claimants(&self) -> bool {
        self.claim_order.is_some()
    }

    fn claim_order(&mut self) -> &BTreeSet<ClaimOrder> {
        let pending = &self.pending;
        self.claim_order.get_or_insert_with(|| pending.iter().map(Pending::claim_order).collect())
    }

    /// Stores a pending entry, in the place of the old one with its id.
    fn put(&mut self, new: Pending) {
        match self.pending.position(new.id) {
            Some(position) => {
                let old = core::mem::replace(self.pending.at_mut(position), new);
                self.unlink(&old, new.owner);
                self.link(&new, old.owner);
            }
            None => {
                self.pending.insert(new);
                self.link(&new, None);
            }
        }
    }

    /// Takes a pending entry out of all other lists. If its owner stays, it stays in his.
    fn unlink(&mut self, old: &Pending, new_owner: Option<ConsumerNumber>) {
        if let Some(order) = &mut self.claim_order {
            order.remove(&old.claim_order());
        }
        match old.owner {
            None => self.released -= 1,
            owner if owner == new_owner => {}
            Some(owner) => {
                let removed = self.change_list(owner, |list| list.remove(old.id));
                assert!(removed.is_some(), "a pending entry is in the list of its owner");
            }
        }
    }

    /// Puts a pending entry into all other lists.
    fn link(&mut self, new: &Pending, old_owner: Option<ConsumerNumber>) {
        if let Some(order) = &mut self.claim_order {
            order.insert(new.claim_order());
        }
        match new.owner {
            None => self.released += 1,
            owner if owner == old_owner => {}
            Some(owner) => self.change_list(owner, |list| list.insert(new.id)),
        }
    }

    fn change_list<R>(
        &mut self,
        owner: ConsumerNumber,
        change: impl FnOnce(&mut Sorted<StreamId>) -> R,
    ) -> R {
        let list = &mut self.consumer_mut(owner).pending;
        let before = list.heap_bytes();
        let result = change(list);
        let after = list.heap_bytes();
        self.consumer_bytes = self.consumer_bytes + after - before;
        result
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let order = self.claim_order.as_ref().map_or(0, |order| order.len() * CLAIM_ORDER_BYTES);
        let places = self.consumers.capacity() * size_of::<Option<Box<Consumer>>>()
            + self.by_name.capacity() * size_of::<ConsumerNumber>();
        size_of::<Self>()
            + self.name.len()
            + self.pending.heap_bytes()
            + self.consumer_bytes
            + places
            + order
    }

    /// Drops some of it; true when nothing is left. It is not used for anything else any more.
    pub(super) fn drop_some(&mut self) -> bool {
        self.claim_order = None;
        if !self.pending.drop_some() {
            return false;
        }
        let Some(last) = self.consumers.last_mut() else { return true };
        if last.as_mut().is_none_or(|consumer| consumer.pending.drop_some()) {
            self.consumers.pop();
        }
        self.consumers.is_empty()
    }

    /// Checks that all lists agree.
    pub(super) fn check_invariants(&self) {
        self.pending.check_invariants();
        let (mut owned, mut bytes) = (0, 0);
        for (number, consumer) in self.consumers() {
            consumer.pending.check_invariants();
            owned += consumer.pending.len();
            bytes += consumer.heap_bytes();
            for id in consumer.pending.iter() {
                let pending = self.pending(*id).expect("what a consumer has is pending");
                assert_eq!(pending.owner, Some(number), "the owner of {id}");
            }
        }
        assert_eq!(self.consumer_bytes, bytes, "bytes of the consumers");
        let released = self.pending.iter().filter(|pending| pending.owner.is_none()).count();
        assert_eq!((self.released, owned), (released, self.pending.len() - released), "owners");
        let names: Vec<&[u8]> = self.consumers().map(|(_, consumer)| consumer.name()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "consumers are in the order of their names");
        let places = self.consumers.iter().flatten().count();
        assert_eq!(places, self.by_name.len(), "every consumer has a name");
        if let Some(order) = &self.claim_order {
            let expected: BTreeSet<ClaimOrder> =
                self.pending.iter().map(Pending::claim_order).collect();
            assert_eq!(*order, expected, "the order of claims");
        }
    }
}

/// Whether XDEL may have deleted an entry from `id` on. (What is before the first entry does not
/// count.)
fn has_tombstone_from(log: &Log, id: StreamId) -> bool {
    let deleted = log.max_deleted_id();
    !log.is_empty() && deleted != StreamId::MIN && log.first_id() <= deleted && id <= deleted
}

/// How many entries were ever added up to `id`; `None` if that cannot be said.
fn entries_up_to(log: &Log, id: StreamId) -> Option<i64> {
    let (added, len) = (log.entries_added() as i64, log.len() as i64);
    if added == 0 {
        return Some(0);
    }
    if id > log.last_id() {
        return None;
    }
    if log.is_empty() || id == log.last_id() {
        return Some(added);
    }
    let deleted = log.max_deleted_id();
    if deleted != StreamId::MIN && deleted >= log.first_id() {
        return None;
    }
    match id.cmp(&log.first_id()) {
        core::cmp::Ordering::Less => Some(added.wrapping_sub(len)),
        core::cmp::Ordering::Equal => Some(added.wrapping_sub(len).wrapping_add(1)),
        core::cmp::Ordering::Greater => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    fn group_of_three() -> (Group, ConsumerNumber, ConsumerNumber) {
        let mut group = Group::new(b"g", StreamId::MIN, None);
        let bob = group.add_consumer(b"bob", 5).expect("it is new");
        let alice = group.add_consumer(b"alice", 5).expect("it is new");
        for ms in [1, 2, 3] {
            group.deliver(id(ms), alice, 100 + ms);
        }
        (group, alice, bob)
    }

    fn ids(group: &Group, number: ConsumerNumber) -> Vec<u64> {
        group.consumer(number).pending_from(StreamId::MIN).map(|id| id.ms).collect()
    }

    fn claimable(group: &mut Group, min_idle_ms: u64, count: usize) -> Vec<StreamId> {
        group.claimable(110, min_idle_ms, count, |_| true)
    }

    #[test]
    fn an_entry_has_one_owner() {
        let (mut group, alice, bob) = group_of_three();
        assert!(group.add_consumer(b"bob", 6).is_none());
        let claim = Claim { owner: bob, delivered_ms: 200, deliveries: Deliveries::Add };
        group.claim(id(2), claim);
        group.claim(id(9), Claim { deliveries: Deliveries::Keep, ..claim });
        assert_eq!((ids(&group, alice), ids(&group, bob)), (vec![1, 3], vec![2, 9]));
        assert_eq!(group.pending(id(2)).map(|pending| pending.deliveries), Some(2));
        assert_eq!(group.pending(id(9)).map(|pending| pending.deliveries), Some(1));
        group.check_invariants();
        assert!(group.acknowledge(id(2)) && !group.acknowledge(id(2)));
        assert_eq!(group.remove_consumer(alice), 2);
        assert_eq!(group.pending_ends(), Some((id(9), id(9))));
        group.check_invariants();
        // The place is used again.
        assert_eq!(group.add_consumer(b"carol", 7), Some(alice));
        let names: Vec<_> = group.consumers().map(|(_, it)| it.name().to_vec()).collect();
        assert_eq!(names, [b"bob".to_vec(), b"carol".to_vec()]);
    }

    #[test]
    fn released_entries_are_claimed_first_and_in_turn() {
        let (mut group, alice, _) = group_of_three();
        assert_eq!(claimable(&mut group, 8, 10), [id(1), id(2)]);
        group.release(id(3), 7);
        group.release(id(2), 7);
        assert_eq!(claimable(&mut group, 1000, 10), [id(3), id(2)]);
        assert_eq!(claimable(&mut group, 0, 10), [id(3), id(2), id(1)]);
        assert_eq!(claimable(&mut group, 0, 1), [id(3)]);
        assert_eq!(group.claimable(110, 0, 1, |it| it != id(3)), [id(2)]);
        assert_eq!(group.next_delivered_ms(110, 9), None);
        assert_eq!(group.next_delivered_ms(110, 10), Some(101));
        group.release(id(3), 7);
        assert_eq!(claimable(&mut group, 1000, 10), [id(2), id(3)]);
        assert_eq!((group.released_len(), ids(&group, alice)), (2, vec![1]));
        assert_eq!(group.pending(id(3)).map(Pending::delivered_ms), Some(0));
        group.check_invariants();
        group.deliver_again(id(1), 500);
        group.deliver(id(3), alice, 400);
        assert_eq!(group.claimable(500, 0, 10, |_| true), [id(2), id(3), id(1)]);
        assert!(group.acknowledge(id(2)));
        group.check_invariants();
    }
}
