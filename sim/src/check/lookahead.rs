//! What will soon be seen, and so which states are hopeless already.
//!
//! An answered read says what the state was when it took effect. If no operation that could still
//! come before it *provides* what it saw (a write of that value, say), then only states from which
//! that value can grow are worth keeping. For values that are written once, as good workloads do,
//! this leaves hardly any choice.
//!
//! A read is used at a level only if no provider is open there or called later, before the read's
//! return. So dropping a node on its account never loses a linearization.

use super::plan::{NO_SLOT, Plan};
use crate::model::Model;

/// A read soon to return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) entry: u32,
    /// Its slot if it is open already, else [`super::plan::NO_SLOT`].
    pub(super) slot: u32,
}

/// How many levels before its return a read is used.
const DISTANCE: usize = 64;
/// How many reads are used at a level.
const READS_PER_LEVEL: usize = 2;

/// Fills in the reads for every level of a plan that is otherwise complete.
pub(super) fn fill<M: Model>(model: &M, plan: &mut Plan<M::Op>) {
    let mut of_level = vec![[None; READS_PER_LEVEL]; plan.levels.len()];
    let telling = |level: usize| {
        let op = &plan.entries[plan.levels[level].entry as usize].op;
        model.is_telling(op)
    };
    for read in (0..plan.levels.len()).filter(|&level| telling(level)) {
        let end = read + 1;
        let start = first_usable(model, plan, read);
        let entry = plan.levels[read].entry;
        for (level, ahead) in (start..end).zip(&mut of_level[start..end]) {
            if let Some(free) = ahead.iter_mut().find(|ahead| ahead.is_none()) {
                let is_open = plan.entries[entry as usize].call_us <= plan.return_us(level);
                let slot = if is_open { plan.levels[read].slot } else { NO_SLOT };
                *free = Some(Ahead { entry, slot });
            }
        }
    }
    for (level, ahead) in plan.levels.iter_mut().zip(of_level) {
        let start = plan.ahead.len() as u32;
        plan.ahead.extend(ahead.into_iter().flatten());
        level.ahead = start..plan.ahead.len() as u32;
    }
}

/// The first level at which the read that returns at level `read` may be used.
fn first_usable<M: Model>(model: &M, plan: &Plan<M::Op>, read: usize) -> usize {
    let level = &plan.levels[read];
    let op = &plan.entries[level.entry as usize].op;
    let provides = |entry: u32| model.provides(&plan.entries[entry as usize].op, op);
    let optionals = &plan.optionals[..level.optionals as usize];
    let open = &plan.open[level.writers.start as usize..level.observers.end as usize];
    if optionals.iter().any(|optional| provides(optional.entry))
        || open.iter().any(|open| open.entry != level.entry && provides(open.entry))
    {
        return read + 1;
    }
    let earliest = read.saturating_sub(DISTANCE);
    let blocked = (earliest..read).rev().find(|&before| provides(plan.levels[before].entry));
    blocked.map_or(earliest, |before| before + 1)
}
