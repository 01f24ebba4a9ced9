//! Where planted bugs are carried out; see [`crate::planted`]. Nothing here runs in a keyspace
//! that has none.

use super::{Found, Keyspace, NewValue};
use crate::planted::PlantedBug;
use crate::time::UnixMillis;

/// One stale read of this many that could be.
const STALE_ONE_IN: u64 = 4;

/// A planted bug and what it needs to do its harm.
pub(super) struct Planted {
    bug: PlantedBug,
    /// The key that was last overwritten and what it held.
    overwritten: (usize, Vec<u8>, Vec<u8>),
    reads: u64,
}

impl Keyspace {
    /// Plants a bug.
    pub(crate) fn plant(&mut self, bug: PlantedBug) {
        self.planted = Some(Box::new(Planted { bug, overwritten: Default::default(), reads: 0 }));
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
