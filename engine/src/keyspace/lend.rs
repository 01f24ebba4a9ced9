//! What a walk in pieces gets of a big value that is about to change: a copy that shares its parts,
//! or the value itself where it goes.
//!
//! Invariant: the entry has its value as before, unless it was said to go.

use super::collections::Object;
use super::db::{Db, Found, Taken, TakenValue};
use super::entry::{self, Stored};
use crate::time::UnixMillis;
use crate::value::shared::Meter;

/// A walk gives larger values out in pieces, and shares their parts where they are changed.
const WHOLE_BYTES_MAX: usize = 64 << 10;

impl Db {
    /// Whether an entry's value is so large that it is given out in pieces.
    #[inline]
    pub(super) fn is_big(&self, found: Found) -> bool {
        match entry::value(self.arena.bytes(found.handle)) {
            Stored::Object(index) => self.objects.at(index).memory_bytes() > WHOLE_BYTES_MAX,
            Stored::Inline(_) | Stored::Integer(_) | Stored::Packed(..) => false,
        }
    }

    /// An entry's big value, to be read, and its deadline. The entry's value shares parts with it.
    pub(super) fn share(&mut self, found: Found, meter: &Meter) -> Taken {
        let slot = self.arena.bytes(found.handle);
        let (deadline, access) = (entry::deadline_ms(slot).map(UnixMillis), entry::access(slot));
        let Stored::Object(index) = entry::value(slot) else { return self.copy(found) };
        let value = TakenValue::Object(self.objects.at_mut(index).share(meter));
        Taken { value, deadline, access }
    }

    /// The long string of an entry that is about to go, with its deadline: nothing of it is left.
    /// `None` if the entry is something else.
    pub(super) fn strip(&mut self, found: Found) -> Option<Taken> {
        let slot = self.arena.bytes(found.handle);
        let (deadline, access) = (entry::deadline_ms(slot).map(UnixMillis), entry::access(slot));
        let Stored::Object(index) = entry::value(slot) else { return None };
        let object = self.objects.at_mut(index);
        if !matches!(object, Object::Raw(_)) {
            return None;
        }
        let object = core::mem::replace(object, Object::placeholder());
        self.object_bytes -= object.memory_bytes();
        Some(Taken { value: TakenValue::Object(object), deadline, access })
    }
}
