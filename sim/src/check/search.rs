//! The search for a linearization of one partition.
//!
//! A node is a level (see `plan`), the set of open operations that took effect, and a state. The
//! returns are met in order, and only when the returning operation has not yet taken effect are
//! open operations tried, until it has: whatever need not happen before that return is left for
//! later. This explores a node for each *set* of operations that a return can force, not for each
//! order. Further reductions, each of which keeps at least one linearization if there is any:
//!
//! - a read that is possible now and leaves the state as it is takes effect at once (a write that
//!   happens to change nothing does not: later it might);
//! - of equal operations, the one that returns first (or, without answer, was called first) goes
//!   first;
//! - a node that differs from a seen one only by having used more optional operations is dropped;
//! - a node from which something soon to be seen cannot come about is dropped (see `lookahead`);
//! - operations that commute with everything the return depends on wait.
//!
//! Depth first by default, since a legal history then needs little more than its length. When
//! memory runs short the search forgets what it has seen and goes on level by level, which needs
//! only what is alive between two returns. Quiescent moments need no special care: no operation
//! is open there, so nodes are equal as soon as their states are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::UnknownReason;
use super::bits::Bits;
use super::plan::{NO_SLOT, Open, Plan};
use super::states::{Steps, Transitions};
use super::visited::Visited;
use crate::model::Model;

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<'a> {
    /// The time to stop at.
    pub(super) deadline: Option<Instant>,
    /// Bytes that this search may use.
    pub(super) memory_bytes: usize,
    /// Nodes that this search may visit.
    pub(super) nodes: u64,
    /// Stop as soon as this is set.
    pub(super) cancelled: &'a AtomicBool,
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Linearizable { order: Vec<u32> },
    Stuck(Stuck),
    Unknown(UnknownReason),
}

/// Where no search path gets further.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stuck {
    /// The level whose returning operation can take effect on no path.
    pub(super) level: u32,
    /// Different states in which it was tried.
    pub(super) states: Vec<u32>,
    /// The longest order that leads to that level, if the search was traced.
    pub(super) order: Vec<u32>,
}

const MOST_STUCK_STATES: usize = 16;
const NODES_BETWEEN_CHECKS: u64 = 512;

#[derive(Clone, Copy, Debug)]
struct Node<R, O> {
    level: u32,
    state: u32,
    required: R,
    optional: O,
    /// Last step of the path to here, when traced.
    trail: u32,
}

/// Nodes of one level, and those seen there.
type Waiting<R, O> = (Vec<Node<R, O>>, Visited<R, O>);

/// Steps of all paths, each with the one before it.
struct Trail {
    steps: Vec<Step>,
    /// Length and end of the longest path to the deepest level.
    longest: (u32, u32),
}

struct Step {
    before: u32,
    entry: u32,
    length: u32,
}

const START: u32 = u32::MAX;

impl Trail {
    fn new() -> Self {
        Self { steps: Vec::new(), longest: (0, START) }
    }

    fn push(&mut self, before: u32, entry: u32) -> u32 {
        let length = self.length(before) + 1;
        self.steps.push(Step { before, entry, length });
        (self.steps.len() - 1) as u32
    }

    fn length(&self, at: u32) -> u32 {
        if at == START { 0 } else { self.steps[at as usize].length }
    }

    fn order(&self, mut at: u32) -> Vec<u32> {
        let mut order = Vec::new();
        while at != START {
            let step = &self.steps[at as usize];
            order.push(step.entry);
            at = step.before;
        }
        order.reverse();
        order
    }
}

/// A search; `TRACE` keeps the paths, which costs memory, to explain the result.
pub(super) struct Search<'a, M: Model, R, O, const TRACE: bool> {
    plan: &'a Plan<M::Op>,
    steps: Transitions<'a, M>,
    limits: Limits<'a>,
    visited: Visited<R, O>,
    stack: Vec<Node<R, O>>,
    /// Set once memory ran short: nodes and what was seen, by level.
    by_level: Option<BTreeMap<u32, Waiting<R, O>>>,
    scratch: Vec<(Open, Steps)>,
    trail: Trail,
    stuck: Stuck,
    nodes: u64,
}

impl<'a, M, R, O, const TRACE: bool> Search<'a, M, R, O, TRACE>
where
    M: Model,
    R: Bits,
    O: Bits,
{
    pub(super) fn new(model: &'a mut M, plan: &'a Plan<M::Op>, limits: Limits<'a>) -> Self {
        Self {
            plan,
            steps: Transitions::new(model, plan.entries.len()),
            limits,
            visited: Visited::default(),
            stack: Vec::new(),
            by_level: None,
            scratch: Vec::new(),
            trail: Trail::new(),
            stuck: Stuck::default(),
            nodes: 0,
        }
    }

    /// The answer, and the states in words for [`Stuck::states`].
    pub(super) fn run(&mut self) -> Found {
        let state = self.steps.initial();
        let root = Node { level: 0, state, required: R::EMPTY, optional: O::EMPTY, trail: START };
        let mut result = self.push(root);
        while result.is_none() {
            let Some(node) = self.pop() else {
                if TRACE {
                    self.stuck.order = self.trail.order(self.trail.longest.1);
                }
                return Found::Stuck(std::mem::take(&mut self.stuck));
            };
            self.nodes += 1;
            if self.nodes.is_multiple_of(NODES_BETWEEN_CHECKS)
                && let Some(reason) = self.exhausted()
            {
                return Found::Unknown(reason);
            }
            result = self.expand(node);
        }
        result.map_or(Found::Unknown(UnknownReason::Cancelled), |end| {
            let order = if TRACE { self.trail.order(end) } else { Vec::new() };
            Found::Linearizable { order }
        })
    }

    pub(super) fn describe_state(&self, state: u32) -> String {
        self.steps.model.describe(self.steps.states.state(state))
    }

    fn exhausted(&mut self) -> Option<UnknownReason> {
        if self.limits.cancelled.load(Ordering::Relaxed) {
            return Some(UnknownReason::Cancelled);
        }
        if self.nodes > self.limits.nodes {
            return Some(UnknownReason::Nodes);
        }
        if self.limits.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Some(UnknownReason::Deadline);
        }
        if self.memory_bytes() <= self.limits.memory_bytes {
            return None;
        }
        if self.by_level.is_some() {
            return Some(UnknownReason::Memory);
        }
        // What is on the stack covers all that is not yet explored, so the rest may be forgotten.
        self.visited = Visited::default();
        let mut by_level: BTreeMap<u32, Waiting<R, O>> = BTreeMap::new();
        for node in std::mem::take(&mut self.stack) {
            let (nodes, visited) = by_level.entry(node.level).or_default();
            if visited.insert(node.level, node.state, node.required, node.optional) {
                nodes.push(node);
            }
        }
        self.by_level = Some(by_level);
        None
    }

    fn memory_bytes(&self) -> usize {
        let nodes = size_of::<Node<R, O>>();
        let by_level: usize =
            self.by_level.iter().flat_map(BTreeMap::values).fold(0, |sum, (waiting, visited)| {
                sum + waiting.capacity() * nodes + visited.memory_bytes()
            });
        by_level
            + self.visited.memory_bytes()
            + self.stack.capacity() * nodes
            + self.trail.steps.capacity() * size_of::<Step>()
            + self.steps.memory_bytes()
    }

    fn pop(&mut self) -> Option<Node<R, O>> {
        let Some(by_level) = &mut self.by_level else {
            return self.stack.pop();
        };
        loop {
            let mut first = by_level.first_entry()?;
            if let Some(node) = first.get_mut().0.pop() {
                return Some(node);
            }
            first.remove();
        }
    }

    /// Moves a node on as far as it goes without a choice and keeps it if it is new. Gives the end
    /// of the path if that is the end of the history.
    fn push(&mut self, mut node: Node<R, O>) -> Option<u32> {
        let plan = self.plan;
        loop {
            let Some(level) = plan.levels.get(node.level as usize) else {
                return Some(node.trail);
            };
            for open in &plan.open[level.observers.start as usize..level.observers.end as usize] {
                if !node.required.has(open.slot)
                    && self.steps.step(plan, node.state, open.class).is_only(node.state)
                {
                    self.take(&mut node, open);
                }
            }
            if !node.required.has(level.slot) {
                break;
            }
            node.required = node.required.without(level.slot);
            node.level += 1;
        }
        let Node { level, state, required, optional, .. } = node;
        if self.is_hopeless(&node) {
            return None;
        }
        match &mut self.by_level {
            None => {
                if self.visited.insert(level, state, required, optional) {
                    self.stack.push(node);
                }
            }
            Some(by_level) => {
                let (nodes, visited) = by_level.entry(level).or_default();
                if visited.insert(level, state, required, optional) {
                    nodes.push(node);
                }
            }
        }
        None
    }

    /// Whether something soon to be seen cannot come about any more.
    fn is_hopeless(&self, node: &Node<R, O>) -> bool {
        let ahead = &self.plan.levels[node.level as usize].ahead;
        let ahead = &self.plan.ahead[ahead.start as usize..ahead.end as usize];
        ahead.iter().any(|ahead| {
            let is_done = ahead.slot != NO_SLOT && node.required.has(ahead.slot);
            !is_done && !self.steps.may_reach(self.plan, node.state, ahead.entry)
        })
    }

    fn take(&mut self, node: &mut Node<R, O>, open: &Open) {
        node.required = node.required.with(open.slot);
        if TRACE {
            node.trail = self.trail.push(node.trail, open.entry);
        }
    }

    /// Tries every operation that can take effect next.
    fn expand(&mut self, node: Node<R, O>) -> Option<u32> {
        self.note_depth(&node);
        let plan = self.plan;
        let level = &plan.levels[node.level as usize];
        let mut choices = std::mem::take(&mut self.scratch);
        choices.clear();
        for open in &plan.open[level.writers.start as usize..level.writers.end as usize] {
            let twin_waits = open.twin != NO_SLOT && !node.required.has(open.twin);
            if twin_waits || node.required.has(open.slot) {
                continue;
            }
            let steps = self.steps.step(plan, node.state, open.class);
            if open.is_droppable && steps.is_only(node.state) {
                let mut next = node;
                self.take(&mut next, open);
                self.scratch = choices;
                return self.push(next);
            }
            if !steps.is_none() {
                choices.push((*open, steps));
            }
        }
        let mut end = self.expand_optionals(&node, level.optionals);
        // The stack gives the last first: the operation that returns first is tried first.
        for (open, steps) in choices.iter().rev() {
            let mut next = node;
            self.take(&mut next, open);
            end = end.or_else(|| self.push_all(next, *steps));
        }
        self.scratch = choices;
        end
    }

    fn expand_optionals(&mut self, node: &Node<R, O>, count: u32) -> Option<u32> {
        if O::CAPACITY == 0 {
            return None;
        }
        let plan = self.plan;
        for (bit, optional) in (0u32..).zip(&plan.optionals[..count as usize]) {
            let twin_waits = optional.twin != NO_SLOT && !node.optional.has(optional.twin);
            if twin_waits || node.optional.has(bit) {
                continue;
            }
            let steps = self.steps.step(plan, node.state, optional.class);
            if steps.is_none() || steps.is_only(node.state) {
                continue;
            }
            let mut next = *node;
            next.optional = next.optional.with(bit);
            if TRACE {
                next.trail = self.trail.push(next.trail, optional.entry);
            }
            if let Some(end) = self.push_all(next, steps) {
                return Some(end);
            }
        }
        None
    }

    fn push_all(&mut self, node: Node<R, O>, steps: Steps) -> Option<u32> {
        for index in 0.. {
            let Some(&state) = self.steps.targets(&steps).get(index) else {
                break;
            };
            if let Some(end) = self.push(Node { state, ..node }) {
                return Some(end);
            }
        }
        None
    }

    fn note_depth(&mut self, node: &Node<R, O>) {
        if node.level < self.stuck.level {
            return;
        }
        if node.level > self.stuck.level {
            self.stuck = Stuck { level: node.level, ..Stuck::default() };
            self.trail.longest = (0, START);
        }
        let states = &mut self.stuck.states;
        if states.len() < MOST_STUCK_STATES && !states.contains(&node.state) {
            states.push(node.state);
        }
        if TRACE {
            let length = self.trail.length(node.trail);
            if length > self.trail.longest.0 {
                self.trail.longest = (length, node.trail);
            }
        }
    }
}
