//! Judges one partition: picks the model, compiles the operations, runs the search.

use rustc_hash::FxHashMap;

use super::clock_error::{ClockError, Legal, smallest};
use super::partition::Partition;
use super::plan::{Entry, Plan};
use super::search::{Found, Limits, Search};
use super::{Options, UnknownReason};
use crate::history::{History, Operation, Outcome, Specification, Value};
use crate::model::Model;
use crate::model::joint::Joint;
use crate::model::kv::Kv;
use crate::model::redis::{Clock, Redis, Vanishing, sets_deadlines};
use crate::model::register::Register;

/// The answer for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Linearizable(ClockError),
    NotLinearizable,
    Unknown(UnknownReason),
}

/// Something to be done with a partition once its model is known: a generic closure.
pub(super) trait Visitor {
    type Output;
    /// `model` compiled `entries`; with a clock error of zero if it has a clock.
    fn visit<M: Model>(self, model: M, entries: Vec<Entry<M::Op>>) -> Self::Output;
    /// The same for the model whose clock may err.
    fn visit_timed(self, model: Redis, entries: Vec<Entry<<Redis as Model>::Op>>) -> Self::Output;
}

/// Compiles the partition for its specification.
pub(super) fn compile<V: Visitor>(
    history: &History,
    partition: &Partition<'_>,
    options: &Options,
    visitor: V,
) -> V::Output {
    let key_ids: FxHashMap<&Value, u32> = if partition.keys.len() == 1 {
        FxHashMap::default()
    } else {
        partition.keys.iter().copied().zip(0u32..).collect()
    };
    // Every key of a partition is numbered; a single one is not looked up.
    let key_index = |key: &Value| key_ids.get(key).copied().unwrap_or(0);
    let single = partition.keys.len() == 1;
    let count = partition.operations.len();
    let operations = || partition.operations.iter().map(|&at| &history.operations[at as usize]);
    match history.specification {
        Specification::Register if single => {
            let mut model = Register::for_operations(8);
            let entries = entries(history, partition, |operation| {
                model.compile(&operation.command, &operation.outcome)
            });
            visitor.visit(model, entries)
        }
        Specification::Register => {
            let mut model = Joint::new(Register::for_operations(8), partition.keys.len());
            let entries = entries(history, partition, |operation| {
                let op = model.inner().compile(&operation.command, &operation.outcome)?;
                Some((first_key(operation, key_index), op))
            });
            visitor.visit(model, entries)
        }
        Specification::Kv if single => {
            let mut model = Kv::for_operations(2 * count);
            let entries = entries(history, partition, |operation| {
                model.compile(&operation.command, &operation.outcome)
            });
            visitor.visit(model, entries)
        }
        Specification::Kv => {
            let mut model = Joint::new(Kv::for_operations(2 * count), partition.keys.len());
            let entries = entries(history, partition, |operation| {
                let op = model.inner().compile(&operation.command, &operation.outcome)?;
                Some((first_key(operation, key_index), op))
            });
            visitor.visit(model, entries)
        }
        Specification::Redis => {
            let timed = operations().any(|operation| sets_deadlines(&operation.command));
            let resolution_us = i64::from(options.clock_resolution_us);
            let clock = timed.then_some(Clock { slack_us: 0, resolution_us });
            let lasts = |key: &&Value| {
                options.lasting.iter().any(|start| key.as_bytes().starts_with(start.as_bytes()))
            };
            let all_last = partition.keys.iter().all(lasts);
            let vanishing = if all_last { Vanishing::Never } else { options.vanishing };
            let mut model = Redis::new(partition.keys.len(), clock).with_vanishing(vanishing);
            let entries = entries(history, partition, |operation| {
                model.compile(&operation.command, &operation.outcome, key_index)
            });
            if timed { visitor.visit_timed(model, entries) } else { visitor.visit(model, entries) }
        }
    }
}

fn first_key(operation: &Operation, key_index: impl Fn(&Value) -> u32) -> u32 {
    let mut index = None;
    operation.command.for_each_key(&mut |key| {
        index.get_or_insert_with(|| key_index(key));
    });
    index.unwrap_or(0)
}

fn entries<O>(
    history: &History,
    partition: &Partition<'_>,
    mut compile: impl FnMut(&Operation) -> Option<O>,
) -> Vec<Entry<O>> {
    let mut entries = Vec::with_capacity(partition.operations.len());
    for &index in &partition.operations {
        let operation = &history.operations[index as usize];
        if let Some(op) = compile(operation) {
            let return_us = match operation.outcome {
                // Whatever was recorded as a return, an unknown outcome may come true later.
                Outcome::Info => None,
                _ => operation.return_us,
            };
            entries.push(Entry { op, index, call_us: operation.call_us, return_us });
        }
    }
    entries
}

/// Judges one partition.
pub(super) fn judge(
    history: &History,
    partition: &Partition<'_>,
    options: &Options,
    limits: Limits<'_>,
) -> Judgement {
    compile(history, partition, options, Judge { options, limits })
}

struct Judge<'a> {
    options: &'a Options,
    limits: Limits<'a>,
}

impl Visitor for Judge<'_> {
    type Output = Judgement;

    fn visit<M: Model>(self, mut model: M, entries: Vec<Entry<M::Op>>) -> Judgement {
        let plan = match Plan::new(&model, entries, most_open(self.limits)) {
            Ok(plan) => plan,
            Err(reason) => return Judgement::Unknown(reason),
        };
        match legal(&mut model, &plan, self.limits) {
            Legal::Yes => Judgement::Linearizable(ClockError::default()),
            Legal::No => Judgement::NotLinearizable,
            Legal::Unknown(reason) => Judgement::Unknown(reason),
        }
    }

    fn visit_timed(self, model: Redis, entries: Vec<Entry<<Redis as Model>::Op>>) -> Judgement {
        let plan = match Plan::new(&model, entries, most_open(self.limits)) {
            Ok(plan) => plan,
            Err(reason) => return Judgement::Unknown(reason),
        };
        smallest(self.options.max_clock_error_ms, |error_ms| {
            legal(&mut model.with_clock_error(error_ms), &plan, self.limits)
        })
    }
}

/// How many open operations, summed over levels, fit in a quarter of the memory.
pub(super) fn most_open(limits: Limits<'_>) -> usize {
    limits.memory_bytes / 64
}

fn legal<M: Model>(model: &mut M, plan: &Plan<M::Op>, limits: Limits<'_>) -> Legal {
    match search::<M, false>(model, plan, limits).0 {
        Found::Linearizable { .. } => Legal::Yes,
        Found::Stuck(_) => Legal::No,
        Found::Unknown(reason) => Legal::Unknown(reason),
    }
}

/// Searches with the smallest nodes that hold the history's concurrency. Gives the states where
/// the search got stuck in words too, if traced.
pub(super) fn search<M: Model, const TRACE: bool>(
    model: &mut M,
    plan: &Plan<M::Op>,
    limits: Limits<'_>,
) -> (Found, Vec<String>) {
    macro_rules! run {
        ($required:ty, $optional:ty) => {{
            let mut search = Search::<M, $required, $optional, TRACE>::new(model, plan, limits);
            let found = search.run();
            let words = match &found {
                Found::Stuck(stuck) if TRACE => {
                    stuck.states.iter().map(|&state| search.describe_state(state)).collect()
                }
                _ => Vec::new(),
            };
            (found, words)
        }};
    }
    match (plan.slots, plan.optionals.len()) {
        (0..=64, 0) => run!(u64, ()),
        (0..=256, 0) => run!([u64; 4], ()),
        (0..=1024, 0) => run!([u64; 16], ()),
        (0..=64, 0..=64) => run!(u64, u64),
        (0..=256, 0..=256) => run!([u64; 4], [u64; 4]),
        (0..=1024, 0..=1024) => run!([u64; 16], [u64; 16]),
        _ => (Found::Unknown(UnknownReason::TooConcurrent), Vec::new()),
    }
}
