//! States as small numbers, and every step between them remembered.
//!
//! A search visits the same state under many masks; comparing and hashing a number instead of a
//! state, and looking a step up instead of running the model, is most of the checker's speed.

use std::hash::Hash;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::plan::Plan;
use crate::model::Model;

/// Numbers for states.
#[derive(Debug)]
pub struct StateTable<S> {
    ids: FxHashMap<S, u32>,
    states: Vec<S>,
}

impl<S> Default for StateTable<S> {
    fn default() -> Self {
        Self { ids: FxHashMap::default(), states: Vec::new() }
    }
}

impl<S: Clone + Eq + Hash> StateTable<S> {
    fn with_capacity(capacity: usize) -> Self {
        let ids = FxHashMap::with_capacity_and_hasher(capacity, FxBuildHasher);
        Self { ids, states: Vec::with_capacity(capacity) }
    }

    /// The number of a state; equal states get equal numbers.
    ///
    /// # Panics
    /// After 2^31 different states, far beyond any memory limit.
    pub fn intern(&mut self, state: S) -> u32 {
        if let Some(&id) = self.ids.get(&state) {
            return id;
        }
        let id = u32::try_from(self.states.len()).expect("fewer than 2^31 states");
        assert!(id < Steps::MANY, "fewer than 2^31 states");
        self.states.push(state.clone());
        self.ids.insert(state, id);
        id
    }

    /// The state with that number.
    #[must_use]
    pub fn state(&self, id: u32) -> &S {
        &self.states[id as usize]
    }

    /// How many states there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
}

/// Where a step leads: nowhere, to one state, or (rarely) to several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps(u32);

impl Steps {
    const NONE: Self = Self(u32::MAX);
    /// From here on a number means an entry in the table of several next states.
    const MANY: u32 = 1 << 31;

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Whether the step leads to exactly this state.
    pub(super) fn is_only(self, state: u32) -> bool {
        self.0 == state
    }
}

/// Room to reserve beforehand, so that tiny memory limits and huge histories keep their meaning.
const MOST_RESERVED: usize = 1_024;

/// The transitions of one partition's model.
pub(super) struct Transitions<'a, M: Model> {
    pub(super) model: &'a mut M,
    pub(super) states: StateTable<M::State>,
    steps: FxHashMap<u64, Steps>,
    many: Vec<Box<[u32]>>,
    scratch: Vec<M::State>,
}

impl<'a, M: Model> Transitions<'a, M> {
    /// With room for an easy search of about so many operations.
    pub(super) fn new(model: &'a mut M, operations: usize) -> Self {
        Self {
            model,
            states: StateTable::with_capacity(operations.min(MOST_RESERVED)),
            steps: FxHashMap::with_capacity_and_hasher(
                (3 * operations).min(MOST_RESERVED),
                FxBuildHasher,
            ),
            many: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn initial(&mut self) -> u32 {
        let state = self.model.initial();
        self.states.intern(state)
    }

    /// Where the operations of `class` lead from `state`.
    pub(super) fn step(&mut self, plan: &Plan<M::Op>, state: u32, class: u32) -> Steps {
        let key = u64::from(state) << 32 | u64::from(class);
        if let Some(&steps) = self.steps.get(&key) {
            return steps;
        }
        let steps = self.run(plan, state, class);
        self.steps.insert(key, steps);
        steps
    }

    fn run(&mut self, plan: &Plan<M::Op>, state: u32, class: u32) -> Steps {
        let (op, window) = plan.class(class);
        self.scratch.clear();
        self.model.step(self.states.state(state), op, window, &mut self.scratch);
        match self.scratch.len() {
            0 => Steps::NONE,
            1 => {
                let next = self.scratch.swap_remove(0);
                Steps(self.states.intern(next))
            }
            _ => {
                let next = self.scratch.drain(..).map(|state| self.states.intern(state)).collect();
                self.many.push(next);
                let at = u32::try_from(self.many.len() - 1).expect("fewer than 2^31 steps");
                Steps(Steps::MANY + at)
            }
        }
    }

    /// See [`Model::may_reach`].
    pub(super) fn may_reach(&self, plan: &Plan<M::Op>, state: u32, telling: u32) -> bool {
        self.model.may_reach(self.states.state(state), &plan.entries[telling as usize].op)
    }

    /// The states a step leads to.
    pub(super) fn targets<'s>(&'s self, steps: &'s Steps) -> &'s [u32] {
        match steps.0 {
            _ if steps.is_none() => &[],
            id if id < Steps::MANY => std::slice::from_ref(&steps.0),
            id => &self.many[(id - Steps::MANY) as usize],
        }
    }

    /// Bytes used, about: what the states themselves hold on the heap is guessed.
    pub(super) fn memory_bytes(&self) -> usize {
        const HEAP_PER_STATE: usize = 64;
        self.states.len() * (2 * size_of::<M::State>() + HEAP_PER_STATE)
            + self.steps.capacity() * 17
            + self.many.len() * 32
    }
}
