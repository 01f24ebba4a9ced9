//! Members that are too long to be moved about inside a tree's nodes.
//!
//! Invariant: each belongs to exactly one key of one run.

use super::run::Payload;
use super::slab::{Slab, Twin};
use crate::value::shared::Meter;

/// How much of a long member is given back in one step.
const FREE_BYTES_PER_STEP: usize = 1 << 20;

/// The long members of one tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Outside {
    members: Slab<Box<[u8]>>,
    /// Bytes of the members.
    bytes: usize,
}

impl Twin for Box<[u8]> {
    fn twin(&self) -> Self {
        self.clone()
    }

    fn heap_bytes(&self) -> usize {
        self.len()
    }
}

impl Outside {
    /// The same members, to be read.
    pub(super) fn share(&mut self, meter: &Meter) -> Self {
        Self { members: self.members.share(meter), bytes: self.bytes }
    }

    /// What stands for a member in a run: itself, or a number if it has more than `inline_max`
    /// bytes.
    pub(super) fn admit<'a>(&mut self, member: &'a [u8], inline_max: usize) -> Payload<'a> {
        if member.len() <= inline_max {
            return Payload::Inline(member);
        }
        self.bytes += member.len();
        Payload::Outside(self.members.insert(member.into()))
    }

    /// The member that a payload stands for.
    #[inline]
    pub(super) fn bytes<'a>(&'a self, payload: Payload<'a>) -> &'a [u8] {
        match payload {
            Payload::Inline(bytes) => bytes,
            Payload::Outside(number) => self.members.at(number),
        }
    }

    /// Forgets a member whose key is going.
    pub(super) fn release(&mut self, payload: Payload<'_>) {
        if let Payload::Outside(number) = payload {
            self.bytes -= self.members.remove(number).len();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.members.memory_bytes() + self.bytes
    }

    /// Frees one member, or a bounded part of it; returns how many bytes, or 0 when nothing is
    /// left.
    pub(super) fn free_some(&mut self) -> usize {
        let Some(member) = self.members.take_any() else { return 0 };
        let len = member.len();
        if len <= FREE_BYTES_PER_STEP {
            return len;
        }
        let mut rest = member.into_vec();
        rest.truncate(len - FREE_BYTES_PER_STEP);
        rest.shrink_to_fit();
        self.members.insert(rest.into_boxed_slice());
        FREE_BYTES_PER_STEP
    }
}
