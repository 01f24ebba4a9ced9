//! Where planted bugs are carried out; see [`crate::planted`]. Nothing here runs in a keyspace
//! that has none.

use super::{Found, Kept, Keyspace, NewValue, Object};
use crate::planted::PlantedBug;
use crate::time::UnixMillis;

/// One stale read of this many that could be.
const STALE_ONE_IN: u64 = 4;

/// One old value of this many is not set aside for the snapshot that goes on.
const FORGOTTEN_ONE_IN: u64 = 8;

/// One change of a collection of this many is not kept.
const LOST_ONE_IN: u64 = 32;

/// A planted bug and what it needs to do its harm.
pub(super) struct Planted {
    bug: PlantedBug,
    /// The key that was last overwritten and what it held.
    overwritten: (usize, Vec<u8>, Vec<u8>),
    reads: u64,
    changes: u64,
    /// What a collection was before the change that will not be kept.
    before: Option<Object>,
}

impl Keyspace {
    /// Plants a bug.
    pub(crate) fn plant(&mut self, bug: PlantedBug) {
        self.planted = Some(Box::new(Planted {
            bug,
            overwritten: Default::default(),
            reads: 0,
            changes: 0,
            before: None,
        }));
    }

    /// Whether the snapshot that goes on is not told of a change.
    #[cold]
    pub(super) fn planted_forgets(&mut self) -> bool {
        let Some(planted) = &mut self.planted else { return false };
        planted.changes += u64::from(planted.bug == PlantedBug::MixedSnapshot);
        planted.bug == PlantedBug::MixedSnapshot && planted.changes.is_multiple_of(FORGOTTEN_ONE_IN)
    }

    /// The deadline that the bug makes of this one.
    #[cold]
    pub(super) fn planted_deadline(&self, deadline: Option<UnixMillis>) -> Option<UnixMillis> {
        let short = self.planted.as_ref().is_some_and(|it| it.bug == PlantedBug::ShortTtl);
        deadline.map(|deadline| {
            let ttl_ms = deadline.0.saturating_sub(self.now.0);
            if short { UnixMillis(deadline.0 - ttl_ms / 100) } else { deadline }
        })
    }

    /// Remembers what a key holds before it is overwritten.
    #[cold]
    pub(super) fn planted_overwrite(&mut self, index: usize, found: Found) {
        let db = &self.databases[index];
        let key = db.key(found).to_vec();
        let Ok(old) = db.value(found).string(&mut itoa::Buffer::new()).map(<[u8]>::to_vec) else {
            return;
        };
        if let Some(planted) = &mut self.planted {
            planted.overwritten = (index, key, old);
        }
    }

    /// Sees a collection that is handed out.
    #[cold]
    pub(super) fn planted_hand_out<T: Kept>(&mut self, collection: &T) {
        if let Some(planted) = &mut self.planted
            && planted.bug == PlantedBug::LostChange
        {
            planted.changes += 1;
            let is_lost = planted.changes.is_multiple_of(LOST_ONE_IN);
            planted.before = is_lost.then(|| collection.clone().into_object());
        }
    }

    /// What is put back instead of a collection.
    #[cold]
    pub(super) fn planted_put_back<T: Kept>(&mut self, collection: T) -> T {
        let before = self.planted.as_mut().and_then(|planted| planted.before.take());
        before.and_then(T::from_object).unwrap_or(collection)
    }

    /// [`Keyspace::set`] with the bug.
    #[cold]
    pub(super) fn planted_set(
        &mut self,
        index: usize,
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) {
        let deadline = self.planted_deadline(deadline);
        if let Some(found) = self.databases[index].find(key) {
            self.planted_overwrite(index, found);
        }
        let before = self.databases[index].index_capacity();
        self.store(index, key, value, deadline, access);
        let after = self.databases[index].index_capacity();
        let loses = self.planted.as_ref().is_some_and(|it| it.bug == PlantedBug::LostInsert);
        if loses
            && before > 0
            && after > before
            && let Some(found) = self.databases[index].find(key)
        {
            self.remove(index, found);
        }
    }

    /// What the bug answers instead of the value of a found key.
    #[cold]
    fn planted_answer(&mut self, index: usize, found: Found) -> Option<&[u8]> {
        let planted = self.planted.as_mut()?;
        let (db, key, old) = &planted.overwritten;
        if planted.bug != PlantedBug::StaleRead
            || *db != index
            || self.databases[index].key(found) != key
        {
            return None;
        }
        planted.reads += 1;
        (planted.reads % STALE_ONE_IN == 0).then_some(old)
    }

    /// What a planted bug answers instead of the value of a found key.
    #[inline]
    pub(crate) fn stale_value(&mut self, index: usize, found: Found) -> Option<&[u8]> {
        if self.planted.is_none() { None } else { self.planted_answer(index, found) }
    }
}
