//! A compare-and-set register, absent at first (what etcd is in Jepsen's test).
//!
//! A compare-and-set on an absent register is refused, as etcd does.

use super::{Model, Values, Window};
use crate::history::{Command, Outcome, Reply};

/// The model of one register.
#[derive(Clone, Debug, Default)]
pub struct Register {
    values: Values,
}

/// An operation with its answer; values are numbers from [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// Read and saw this; `None` is absent.
    Read(Option<u32>),
    /// Write this.
    Write(u32),
    /// If it holds the first, write the second. The answer says whether it did.
    Cas(u32, u32, Option<bool>),
    /// An answer that the specification never gives.
    Impossible,
}

impl Register {
    /// A model with room for the values of about so many operations.
    #[must_use]
    pub fn for_operations(count: usize) -> Self {
        let mut model = Self::default();
        model.values.reserve(count);
        model
    }

    /// The operation to judge, or `None` if it says nothing.
    pub fn compile(&mut self, command: &Command, outcome: &Outcome) -> Option<RegisterOp> {
        let reply = match outcome {
            Outcome::Fail => return None,
            Outcome::Info => None,
            Outcome::Ok(reply) => Some(reply),
        };
        Some(match (command, reply) {
            (Command::Get { .. }, None) => return None,
            (Command::Get { .. }, Some(Reply::Nil)) => RegisterOp::Read(None),
            (Command::Get { .. }, Some(Reply::Bulk(value))) => {
                RegisterOp::Read(Some(self.values.intern(value.as_bytes())))
            }
            (Command::Set(set), None | Some(Reply::Done)) => {
                RegisterOp::Write(self.values.intern(set.value.as_bytes()))
            }
            (Command::Cas { from, to, .. }, None | Some(Reply::Int(0 | 1))) => RegisterOp::Cas(
                self.values.intern(from.as_bytes()),
                self.values.intern(to.as_bytes()),
                reply.map(|reply| *reply == Reply::Int(1)),
            ),
            _ => RegisterOp::Impossible,
        })
    }
}

impl Model for Register {
    type Op = RegisterOp;
    type State = Option<u32>;

    fn initial(&mut self) -> Self::State {
        None
    }

    fn step(&mut self, state: &Self::State, op: &Self::Op, _: Window, next: &mut Vec<Self::State>) {
        match *op {
            RegisterOp::Read(seen) => next.extend((seen == *state).then_some(seen)),
            RegisterOp::Write(value) => next.push(Some(value)),
            RegisterOp::Cas(from, to, answer) => {
                let holds = *state == Some(from);
                if answer.is_none_or(|answer| answer == holds) {
                    next.push(if holds { Some(to) } else { *state });
                }
            }
            RegisterOp::Impossible => {}
        }
    }

    fn only_observes(&self, op: &Self::Op) -> bool {
        match *op {
            RegisterOp::Read(_) | RegisterOp::Cas(_, _, Some(false)) => true,
            RegisterOp::Cas(from, to, _) => from == to,
            RegisterOp::Write(_) | RegisterOp::Impossible => false,
        }
    }

    fn is_telling(&self, op: &Self::Op) -> bool {
        matches!(op, RegisterOp::Read(_))
    }

    fn may_reach(&self, state: &Self::State, telling: &Self::Op) -> bool {
        match *telling {
            RegisterOp::Read(seen) => seen == *state,
            _ => true,
        }
    }

    fn provides(&self, op: &Self::Op, telling: &Self::Op) -> bool {
        match (*op, *telling) {
            (RegisterOp::Write(value), RegisterOp::Read(seen)) => Some(value) == seen,
            (RegisterOp::Cas(_, to, _), RegisterOp::Read(seen)) => Some(to) == seen,
            (RegisterOp::Read(_), RegisterOp::Read(_)) => false,
            _ => true,
        }
    }

    fn forget_answer(&self, op: &Self::Op) -> Option<Self::Op> {
        match *op {
            RegisterOp::Read(_) | RegisterOp::Impossible | RegisterOp::Cas(_, _, Some(false)) => {
                None
            }
            RegisterOp::Write(value) => Some(RegisterOp::Write(value)),
            RegisterOp::Cas(from, to, _) => Some(RegisterOp::Cas(from, to, None)),
        }
    }

    fn describe(&self, state: &Self::State) -> String {
        state.map_or_else(|| "absent".to_owned(), |value| self.values.describe(value))
    }
}
