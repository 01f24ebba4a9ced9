//! A part of a big value that a copy of the value may have, too, until either changes it.
//!
//! So a copy of a value of millions of elements costs as much as its parts are many, and each
//! change behind it copies one part. Nothing is shared unless somebody asks for it; until then a
//! part is where it would be without all this, and reading it costs a look at what it is.
//!
//! Invariants: what one of two that share a part changes, the other does not see; a part that was
//! copied takes as much memory as its original, so that no account has to know of copies.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Something that can be shared.
pub(crate) trait Part: Default {
    /// A copy with as much room.
    fn twin(&self) -> Self;

    /// Bytes that a copy takes.
    fn part_bytes(&self) -> usize;
}

/// What the copies of parts have taken that were made since a value was shared.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicUsize>);

impl Meter {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether both are one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A part and who counts copies of it.
pub(crate) struct Counted<T> {
    part: T,
    meter: Meter,
}

/// A part that may be shared.
pub(crate) enum Shared<T> {
    /// Nobody else has it.
    Own(T),
    /// Somebody else may have it.
    Both(Arc<Counted<T>>),
}

impl<T: Part> Shared<T> {
    /// The same part for another.
    pub(crate) fn share(&mut self, meter: &Meter) -> Self {
        meter.add(size_of::<Counted<T>>());
        let part = match core::mem::take(self) {
            Self::Own(part) => Arc::new(Counted { part, meter: meter.clone() }),
            Self::Both(counted) => counted,
        };
        *self = Self::Both(Arc::clone(&part));
        Self::Both(part)
    }

    /// The part, copied if another has it.
    pub(crate) fn into_own(self) -> T {
        match self {
            Self::Own(part) => part,
            Self::Both(counted) => match Arc::try_unwrap(counted) {
                Ok(counted) => counted.part,
                Err(counted) => {
                    counted.meter.add(counted.part.part_bytes());
                    counted.part.twin()
                }
            },
        }
    }

    /// The part, to be freed little by little; `None` if another has it: then there is nothing to
    /// free.
    pub(crate) fn own_to_free(&mut self) -> Option<&mut T> {
        if let Self::Both(_) = self {
            match core::mem::take(self) {
                Self::Both(counted) => *self = Self::Own(Arc::into_inner(counted)?.part),
                own => *self = own,
            }
        }
        match self {
            Self::Own(part) => Some(part),
            Self::Both(_) => None,
        }
    }

    #[cold]
    fn make_own(&mut self) {
        *self = Self::Own(core::mem::take(self).into_own());
    }
}

impl<T> From<T> for Shared<T> {
    fn from(part: T) -> Self {
        Self::Own(part)
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self::Own(T::default())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Self::Own(part) => part,
            Self::Both(counted) => &counted.part,
        }
    }
}

impl<T: Part> DerefMut for Shared<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        if let Self::Both(_) = self {
            self.make_own();
        }
        match self {
            Self::Own(part) => part,
            Self::Both(_) => unreachable!("it was just made one's own"),
        }
    }
}

impl<T: Clone> Clone for Shared<T> {
    /// A copy that is not shared.
    fn clone(&self) -> Self {
        Self::Own((**self).clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A copy of bytes with as much room.
pub(crate) fn twin_bytes(bytes: &Vec<u8>) -> Vec<u8> {
    let mut twin = Vec::new();
    twin.reserve_exact(bytes.capacity());
    twin.extend_from_slice(bytes);
    twin
}

/// A vector of copies with as much room.
pub(crate) fn twins<T>(things: &Vec<T>, twin: impl FnMut(&T) -> T) -> Vec<T> {
    let mut twins = Vec::new();
    twins.reserve_exact(things.capacity());
    twins.extend(things.iter().map(twin));
    twins
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Part for Vec<u8> {
        fn twin(&self) -> Self {
            twin_bytes(self)
        }

        fn part_bytes(&self) -> usize {
            self.capacity()
        }
    }

    #[test]
    fn what_one_changes_the_other_does_not_see_and_copies_are_counted() {
        let meter = Meter::default();
        let mut one = Shared::from(Vec::with_capacity(100));
        one.push(1);
        let mut other = one.share(&meter);
        let before = meter.bytes();
        assert_eq!((*one).as_ptr(), (*other).as_ptr(), "nothing was copied");
        other.push(2);
        assert_eq!((&**one, &**other), (&[1][..], &[1, 2][..]));
        assert_eq!((other.capacity(), meter.bytes()), (100, before + 100));
        one.push(3);
        assert_eq!(meter.bytes(), before + 100, "the last to have it need not copy it");
        assert_eq!(one.into_own(), [1, 3]);
    }

    #[test]
    fn what_another_has_is_not_freed_piece_by_piece() {
        let meter = Meter::default();
        let mut one = Shared::from(vec![1]);
        let mut other = one.share(&meter);
        assert!(one.own_to_free().is_none());
        assert_eq!(other.own_to_free().map(|bytes| bytes.pop()), Some(Some(1)));
    }
}
