//! A string per key that is empty at first, with get, put and append.

use super::{Model, Values, Window};
use crate::history::{Command, Outcome, Reply};

/// The model of one key.
#[derive(Clone, Debug, Default)]
pub struct Kv {
    values: Values,
}

/// An operation with its answer; values are numbers from [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// Read and saw this.
    Get(u32),
    /// Write this.
    Put(u32),
    /// Add this at the end.
    Append(u32),
    /// An answer that the specification never gives.
    Impossible,
}

impl Kv {
    /// A model with room for the values of about so many operations.
    #[must_use]
    pub fn for_operations(count: usize) -> Self {
        let mut model = Self::default();
        model.values.reserve(count);
        model
    }

    /// The operation to judge, or `None` if it says nothing.
    pub fn compile(&mut self, command: &Command, outcome: &Outcome) -> Option<KvOp> {
        let reply = match outcome {
            Outcome::Fail => return None,
            Outcome::Info => None,
            Outcome::Ok(reply) => Some(reply),
        };
        Some(match (command, reply) {
            (Command::Get { .. }, None) => return None,
            (Command::Get { .. }, Some(Reply::Bulk(seen))) => {
                KvOp::Get(self.values.intern(seen.as_bytes()))
            }
            (Command::Set(set), None | Some(Reply::Done)) => {
                KvOp::Put(self.values.intern(set.value.as_bytes()))
            }
            (Command::Append { value, .. }, None | Some(Reply::Done)) => {
                KvOp::Append(self.values.intern(value.as_bytes()))
            }
            _ => KvOp::Impossible,
        })
    }
}

impl Model for Kv {
    type Op = KvOp;
    type State = u32;

    fn initial(&mut self) -> u32 {
        self.values.intern(b"")
    }

    fn step(&mut self, state: &u32, op: &KvOp, _: Window, next: &mut Vec<u32>) {
        match *op {
            KvOp::Get(seen) => next.extend((seen == *state).then_some(seen)),
            KvOp::Put(value) => next.push(value),
            KvOp::Append(tail) => next.push(self.values.concatenate(*state, tail)),
            KvOp::Impossible => {}
        }
    }

    fn only_observes(&self, op: &KvOp) -> bool {
        matches!(op, KvOp::Get(_))
    }

    fn is_telling(&self, op: &KvOp) -> bool {
        matches!(op, KvOp::Get(_))
    }

    fn may_reach(&self, state: &u32, telling: &KvOp) -> bool {
        // Without a suitable put, the value can only have grown.
        match *telling {
            KvOp::Get(seen) => self.values.is_prefix(*state, seen),
            _ => true,
        }
    }

    fn provides(&self, op: &KvOp, telling: &KvOp) -> bool {
        match (*op, *telling) {
            (KvOp::Put(value), KvOp::Get(seen)) => self.values.is_prefix(value, seen),
            (KvOp::Append(_) | KvOp::Get(_), KvOp::Get(_)) => false,
            _ => true,
        }
    }

    fn forget_answer(&self, op: &KvOp) -> Option<KvOp> {
        match *op {
            KvOp::Get(_) | KvOp::Impossible => None,
            KvOp::Put(_) | KvOp::Append(_) => Some(*op),
        }
    }

    fn describe(&self, state: &u32) -> String {
        self.values.describe(*state)
    }
}
