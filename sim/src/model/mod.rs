//! Sequential specifications: what one client alone would see.
//!
//! A [`Model`] says which states an operation can lead to from a state, given what its client was
//! told. The checker interns states and remembers every step, so `step` is called once for each
//! pair of state and operation; it must be a pure function of its arguments as far as the answer
//! goes (the model may intern values on the way).

use std::hash::Hash;

pub mod joint;
pub mod kv;
pub mod redis;
pub mod register;
mod values;

pub use values::Values;

/// The true time in which an operation may take effect, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it was called.
    pub call_us: i64,
    /// When its answer arrived; [`NEVER_US`] if it did not.
    pub return_us: i64,
}

/// Later than everything, with room for sums.
pub const NEVER_US: i64 = i64::MAX / 4;

/// A sequential specification.
pub trait Model {
    /// An operation together with the answer that its client got. Equal operations have equal
    /// effects at equal times.
    type Op: Clone + Eq + Hash;
    /// A state of the objects of one partition.
    type State: Clone + Eq + Hash;

    /// The state before the first operation.
    fn initial(&mut self) -> Self::State;

    /// Pushes each state that can follow when `op` takes effect in `state` within `window` and
    /// answers as recorded. Pushes nothing when that cannot happen.
    fn step(
        &mut self,
        state: &Self::State,
        op: &Self::Op,
        window: Window,
        next: &mut Vec<Self::State>,
    );

    /// Whether `op` never changes any state. (False is always a safe answer.)
    fn only_observes(&self, op: &Self::Op) -> bool;

    /// Whether states depend on the windows of operations.
    fn is_timed(&self) -> bool {
        false
    }

    /// Whether two operations always commute, with the same answers in either order.
    fn commute(&self, _one: &Self::Op, _other: &Self::Op) -> bool {
        false
    }

    /// Whether [`Model::commute`] can be true at all.
    fn has_independent_operations(&self) -> bool {
        false
    }

    /// Whether the checker may use [`Model::may_reach`] for this operation: one that saw a value.
    fn is_telling(&self, _op: &Self::Op) -> bool {
        false
    }

    /// Whether `telling` can still answer as recorded after some operations from `state`, none of
    /// which [`Model::provides`] what it saw. (True is always a safe answer.)
    fn may_reach(&self, _state: &Self::State, _telling: &Self::Op) -> bool {
        true
    }

    /// Whether `op` can make `telling` possible whatever the state before was. (True is always a
    /// safe answer.)
    fn provides(&self, _op: &Self::Op, _telling: &Self::Op) -> bool {
        true
    }

    /// `op` with its answer forgotten; `None` if it then cannot have changed anything, so that
    /// leaving it out only makes a history weaker.
    fn forget_answer(&self, op: &Self::Op) -> Option<Self::Op>;

    /// A state in words.
    fn describe(&self, state: &Self::State) -> String;
}
