//! Several independent objects judged as one.
//!
//! Keys that no operation joins can be judged apart, which is far cheaper; this model is for
//! judging them together nevertheless (`--no-partition`), as a check of the checker. A state is
//! the numbers of the states of the keys, so a step copies a few bytes whatever the values are.

use rustc_hash::FxHashMap;

use super::{Model, Window};
use crate::check::StateTable;

/// `keys` objects of the same inner model.
#[derive(Debug)]
pub struct Joint<M: Model> {
    inner: M,
    keys: usize,
    states: StateTable<M::State>,
    steps: FxHashMap<(u32, M::Op), u32>,
    scratch: Vec<M::State>,
}

impl<M: Model> Joint<M> {
    /// `keys` objects, each as `inner` describes one. The inner model must not be timed and must
    /// have at most one next state for a step.
    pub fn new(inner: M, keys: usize) -> Self {
        Self {
            inner,
            keys,
            states: StateTable::default(),
            steps: FxHashMap::default(),
            scratch: Vec::new(),
        }
    }

    /// The inner model, to compile operations with.
    pub fn inner(&mut self) -> &mut M {
        &mut self.inner
    }
}

/// Marks a step that cannot happen.
const NONE: u32 = u32::MAX;

impl<M: Model> Model for Joint<M> {
    type Op = (u32, M::Op);
    type State = Box<[u32]>;

    fn initial(&mut self) -> Self::State {
        let state = self.inner.initial();
        let id = self.states.intern(state);
        vec![id; self.keys].into_boxed_slice()
    }

    fn step(
        &mut self,
        state: &Self::State,
        (key, op): &Self::Op,
        window: Window,
        next: &mut Vec<Self::State>,
    ) {
        let key = *key as usize;
        let step = (state[key], op.clone());
        let id = match self.steps.get(&step) {
            Some(&id) => id,
            None => {
                self.scratch.clear();
                self.inner.step(self.states.state(state[key]), op, window, &mut self.scratch);
                let id = self.scratch.pop().map_or(NONE, |state| self.states.intern(state));
                self.steps.insert(step, id);
                id
            }
        };
        if id != NONE {
            let mut after = state.clone();
            after[key] = id;
            next.push(after);
        }
    }

    fn only_observes(&self, (_, op): &Self::Op) -> bool {
        self.inner.only_observes(op)
    }

    fn commute(&self, one: &Self::Op, other: &Self::Op) -> bool {
        one.0 != other.0
    }

    fn has_independent_operations(&self) -> bool {
        true
    }

    fn is_telling(&self, (_, op): &Self::Op) -> bool {
        self.inner.is_telling(op)
    }

    fn may_reach(&self, state: &Self::State, (key, telling): &Self::Op) -> bool {
        self.inner.may_reach(self.states.state(state[*key as usize]), telling)
    }

    fn provides(&self, one: &Self::Op, telling: &Self::Op) -> bool {
        one.0 == telling.0 && self.inner.provides(&one.1, &telling.1)
    }

    fn forget_answer(&self, (key, op): &Self::Op) -> Option<Self::Op> {
        self.inner.forget_answer(op).map(|op| (*key, op))
    }

    fn describe(&self, state: &Self::State) -> String {
        let words: Vec<String> =
            state.iter().map(|&id| self.inner.describe(self.states.state(id))).collect();
        format!("({})", words.join(", "))
    }
}
