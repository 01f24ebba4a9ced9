//! Why a history is not linearizable, in few words.
//!
//! The search is run again with its paths kept. It tells the operation that fits on no path, the
//! states in which it was tried, and the longest order that works. Then the history is made
//! *weaker* while it stays illegal: a read is dropped, a write gets an unknown outcome (it may
//! take effect at any time after its call, or never). Either only allows more, so whatever
//! remains illegal proves the violation; removing a write outright would not.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use super::Options;
use super::judge::{Visitor, compile, most_open, search};
use super::partition::Partition;
use super::plan::{Entry, Plan};
use super::search::{Found, Limits};
use crate::history::{History, Operation};
use crate::model::Model;
use crate::model::redis::Redis;

/// A violation explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counterexample {
    /// The keys concerned.
    pub keys: Vec<String>,
    /// The operation that cannot take effect before it returns.
    pub stuck: Operation,
    /// Some of the states in which it was tried, none of which allows its answer.
    pub states: Vec<String>,
    /// The longest order found that leads there.
    pub longest_order: Vec<Operation>,
    /// Few operations that cannot be put in order, whatever the others did.
    pub core: Vec<Operation>,
    /// Writes that the core allows to take effect at any time after their call, or never.
    pub free_writes: Vec<Operation>,
    /// Whether the core was made as small as this method can (time may have run out before).
    pub is_core_minimal: bool,
    /// The clock error that was allowed, if time matters.
    pub clock_error_ms: Option<u64>,
}

pub(super) fn explain(
    history: &History,
    partition: &Partition<'_>,
    options: &Options,
    limits: Limits<'_>,
) -> Option<Counterexample> {
    let parts = compile(history, partition, options, Explain { options, limits })?;
    let operation = |&index: &u32| history.operations[index as usize].clone();
    Some(Counterexample {
        keys: partition.keys.iter().map(ToString::to_string).collect(),
        stuck: operation(&parts.stuck),
        states: parts.states,
        longest_order: parts.order.iter().map(operation).collect(),
        core: parts.core.iter().map(operation).collect(),
        free_writes: parts.free.iter().map(operation).collect(),
        is_core_minimal: parts.minimal,
        clock_error_ms: parts.clock_error_ms,
    })
}

/// Like [`Counterexample`], with places in the history for operations.
struct Parts {
    stuck: u32,
    states: Vec<String>,
    order: Vec<u32>,
    core: Vec<u32>,
    free: Vec<u32>,
    minimal: bool,
    clock_error_ms: Option<u64>,
}

struct Explain<'a> {
    options: &'a Options,
    limits: Limits<'a>,
}

impl Visitor for Explain<'_> {
    type Output = Option<Parts>;

    fn visit<M: Model>(self, mut model: M, entries: Vec<Entry<M::Op>>) -> Option<Parts> {
        let mut plan = Plan::new(&model, entries, most_open(self.limits)).ok()?;
        // Looking ahead gets stuck early, on account of a read that comes later. The operation
        // that cannot answer as it did is found without, if that is not too hard.
        let ahead = plan.take_ahead();
        let limits = Limits { nodes: NODES_WITHOUT_LOOKAHEAD, ..self.limits };
        let (mut found, mut states) = search::<M, true>(&mut model, &plan, limits);
        let looked_ahead = matches!(found, Found::Unknown(_));
        if looked_ahead {
            plan.put_ahead(ahead);
            (found, states) = search::<M, true>(&mut model, &plan, self.limits);
        }
        let Found::Stuck(stuck) = found else {
            return None;
        };
        // Different states can look the same in words: only their history differs.
        states.sort_unstable();
        states.dedup();
        let index = |&entry: &u32| plan.entries[entry as usize].index;
        let order = stuck.order.iter().map(index).collect();
        let stuck_index = index(&plan.levels[stuck.level as usize].entry);
        let end_us = if looked_ahead { u64::MAX } else { plan.return_us(stuck.level as usize) };
        let mut core = Core::new(&plan, end_us, self.options, self.limits);
        core.shrink(&mut model);
        Some(Parts {
            stuck: stuck_index,
            states,
            order,
            core: core.strong().map(|entry| entry.index).collect(),
            free: core.weak(&model).into_iter().map(|entry| entry.index).collect(),
            minimal: core.is_minimal,
            clock_error_ms: None,
        })
    }

    fn visit_timed(self, model: Redis, entries: Vec<Entry<<Redis as Model>::Op>>) -> Option<Parts> {
        let error_ms = self.options.max_clock_error_ms;
        let parts = self.visit(model.with_clock_error(error_ms), entries);
        parts.map(|parts| Parts { clock_error_ms: Some(error_ms), ..parts })
    }
}

/// The part of a history up to its stuck operation, being made weaker.
struct Core<'a, O> {
    entries: Vec<Entry<O>>,
    /// Which entries still count in full.
    is_strong: Vec<bool>,
    limits: Limits<'a>,
    is_minimal: bool,
}

/// Nodes for finding the stuck operation without looking ahead.
const NODES_WITHOUT_LOOKAHEAD: u64 = 500_000;
/// Nodes for one attempt to weaken.
const NODES_PER_ATTEMPT: u64 = 10_000;

impl<'a, O: Clone + Eq + std::hash::Hash> Core<'a, O> {
    /// What happened until `end_us`, which must be illegal in itself.
    fn new(plan: &Plan<O>, end_us: u64, options: &Options, limits: Limits<'a>) -> Self {
        let entries: Vec<Entry<O>> =
            plan.entries.iter().filter(|entry| entry.call_us <= end_us).cloned().collect();
        let returned = |entry: &Entry<O>| entry.return_us.is_some_and(|us| us <= end_us);
        let is_strong = entries.iter().map(returned).collect();
        let latest = Instant::now().checked_add(options.explain_time);
        let deadline = match (limits.deadline, latest) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let limits = Limits { deadline, nodes: NODES_PER_ATTEMPT, ..limits };
        Self { entries, is_strong, limits, is_minimal: false }
    }

    fn strong(&self) -> impl Iterator<Item = &Entry<O>> {
        self.entries.iter().zip(&self.is_strong).filter(|(_, strong)| **strong).map(|pair| pair.0)
    }

    fn weak<M: Model<Op = O>>(&self, model: &M) -> Vec<Entry<O>> {
        let weak = self.entries.iter().zip(&self.is_strong).filter(|(_, strong)| !**strong);
        let forget = |(entry, _): (&Entry<O>, &bool)| {
            let op = model.forget_answer(&entry.op)?;
            Some(Entry { op, return_us: None, ..entry.clone() })
        };
        weak.filter_map(forget).collect()
    }

    fn is_illegal<M: Model<Op = O>>(&self, model: &mut M) -> bool {
        let mut entries: Vec<Entry<O>> = self.strong().cloned().collect();
        entries.extend(self.weak(model));
        Plan::new(model, entries, most_open(self.limits)).is_ok_and(|plan| {
            matches!(search::<M, false>(model, &plan, self.limits).0, Found::Stuck(_))
        })
    }

    /// Weakens ever smaller runs of entries for as long as the history stays illegal.
    fn shrink<M: Model<Op = O>>(&mut self, model: &mut M) {
        let mut run = self.entries.len().div_ceil(2).max(1);
        loop {
            let mut progress = false;
            for start in (0..self.entries.len()).step_by(run) {
                if self.limits.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return;
                }
                let range = start..(start + run).min(self.entries.len());
                let before = self.is_strong[range.clone()].to_vec();
                if !before.contains(&true) {
                    continue;
                }
                self.is_strong[range.clone()].fill(false);
                if self.is_illegal(model) {
                    progress = true;
                } else {
                    self.is_strong[range].copy_from_slice(&before);
                }
            }
            if run > 1 {
                run = run.div_ceil(2);
            } else if !progress {
                self.is_minimal = true;
                return;
            }
        }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        const MOST_CORE_SHOWN: usize = 30;
        writeln!(f, "key {}", self.keys.join(", "))?;
        writeln!(f, "no order lets this operation answer as it did:")?;
        writeln!(f, "  {}", self.stuck)?;
        writeln!(f, "states in which it was tried:")?;
        for state in &self.states {
            writeln!(f, "  {state}")?;
        }
        let hidden = self.longest_order.len().saturating_sub(SHOWN);
        writeln!(f, "the longest order before it ends so ({hidden} earlier ones not shown):")?;
        for operation in &self.longest_order[hidden..] {
            writeln!(f, "  {operation}")?;
        }
        let small = if self.is_core_minimal { "minimal" } else { "not minimal, time ran out" };
        writeln!(f, "these {} operations contradict each other ({small}):", self.core.len())?;
        // A core that could not be made small is most telling at its end.
        let hidden = self.core.len().saturating_sub(MOST_CORE_SHOWN);
        if hidden > 0 {
            writeln!(f, "  ... {hidden} earlier ones, see the JSON report")?;
        }
        for operation in &self.core[hidden..] {
            writeln!(f, "  {operation}")?;
        }
        if !self.free_writes.is_empty() {
            let count = self.free_writes.len();
            writeln!(f, "even if these {count} writes took effect at any later time, or never:")?;
            for operation in self.free_writes.iter().take(SHOWN) {
                writeln!(f, "  {operation}")?;
            }
            if count > SHOWN {
                writeln!(f, "  ... and {} more", count - SHOWN)?;
            }
        }
        match self.clock_error_ms {
            Some(error_ms) => writeln!(f, "(allowing a clock error of {error_ms} ms)"),
            None => Ok(()),
        }
    }
}
