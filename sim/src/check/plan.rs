//! A partition's history laid out for the search.
//!
//! Operations with an answer (*required*) are put in order of their returns: one *level* each. At
//! a level, the required operation that returns must take effect, if it has not yet, before any
//! later return is looked at. The operations that may take effect at a level are those called
//! before its return and not returned at an earlier level; each has a small *slot* for as long as
//! it is open, so a search node needs only one bit for each. Operations without an answer
//! (*optional*) stay open for ever and have bits of their own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::UnknownReason;
use super::lookahead::{self, Ahead};
use crate::model::{Model, NEVER_US, Window};

/// An operation to be judged.
#[derive(Clone, Debug)]
pub(super) struct Entry<O> {
    /// What it did and what its client was told.
    pub(super) op: O,
    /// Its place in the whole history.
    pub(super) index: u32,
    /// When it was called.
    pub(super) call_us: u64,
    /// When its answer arrived; `None` makes it optional.
    pub(super) return_us: Option<u64>,
}

/// A required operation that is open at a level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) entry: u32,
    pub(super) class: u32,
    pub(super) slot: u32,
    /// Slot of an open equal operation that may as well go first, or [`NO_SLOT`].
    pub(super) twin: u32,
    /// Whether a history without it would only be weaker.
    pub(super) is_droppable: bool,
}

pub(super) const NO_SLOT: u32 = u32::MAX;

/// An optional operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Optional {
    pub(super) entry: u32,
    pub(super) class: u32,
    /// An equal one that was called earlier and so may as well go first, or [`NO_SLOT`].
    pub(super) twin: u32,
}

/// The return of one required operation.
#[derive(Clone, Debug)]
pub(super) struct Level {
    pub(super) entry: u32,
    pub(super) slot: u32,
    /// Open operations that may change the state, the one that returns first.
    pub(super) writers: Range<u32>,
    /// Open operations that never do.
    pub(super) observers: Range<u32>,
    /// Optional operations called so far: bits `0..optionals`.
    pub(super) optionals: u32,
    /// See [`Plan::ahead`].
    pub(super) ahead: Range<u32>,
}

/// The layout.
#[derive(Debug)]
pub(super) struct Plan<O> {
    pub(super) entries: Vec<Entry<O>>,
    classes: Vec<(u32, Window)>,
    is_droppable: Vec<bool>,
    pub(super) levels: Vec<Level>,
    pub(super) open: Vec<Open>,
    pub(super) optionals: Vec<Optional>,
    /// What is soon to be seen, for each level; `lookahead` says how it is used.
    pub(super) ahead: Vec<Ahead>,
    /// Slots needed for required operations.
    pub(super) slots: usize,
}

/// The most operations that may be open at once; the widest search node has room for as many.
const MOST_SLOTS: usize = 1_024;
/// How far to look for an equal open operation. Not finding one costs only time.
const TWINS_SOUGHT: usize = 32;

/// What happens at one time: calls before returns, since windows are closed intervals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    time_us: u64,
    is_return: bool,
    entry: u32,
}

struct Pending {
    entry: u32,
    slot: u32,
    return_us: u64,
}

impl<O: Clone + Eq + std::hash::Hash> Plan<O> {
    /// The operation and window of a class of interchangeable operations.
    pub(super) fn class(&self, class: u32) -> (&O, Window) {
        let (entry, window) = self.classes[class as usize];
        (&self.entries[entry as usize].op, window)
    }

    /// Takes away what [`Plan::put_ahead`] can put back: without it the search only gets stuck at
    /// an operation that cannot answer as it did.
    pub(super) fn take_ahead(&mut self) -> (Vec<Range<u32>>, Vec<Ahead>) {
        let ranges = self.levels.iter_mut().map(|level| std::mem::replace(&mut level.ahead, 0..0));
        (ranges.collect(), std::mem::take(&mut self.ahead))
    }

    pub(super) fn put_ahead(&mut self, (ranges, ahead): (Vec<Range<u32>>, Vec<Ahead>)) {
        for (level, range) in self.levels.iter_mut().zip(ranges) {
            level.ahead = range;
        }
        self.ahead = ahead;
    }

    /// When the operation of a level returned.
    pub(super) fn return_us(&self, level: usize) -> u64 {
        self.entries[self.levels[level].entry as usize].return_us.unwrap_or(u64::MAX)
    }

    /// Lays `entries` out, if no more than `most_open` (a sum over levels) are open.
    pub(super) fn new<M>(
        model: &M,
        entries: Vec<Entry<O>>,
        most_open: usize,
    ) -> Result<Self, UnknownReason>
    where
        M: Model<Op = O>,
    {
        let (class_of, same) = classes(model, &entries);
        let mut plan = Self {
            classes: Vec::new(),
            is_droppable: entries
                .iter()
                .map(|entry| model.forget_answer(&entry.op).is_none())
                .collect(),
            levels: Vec::with_capacity(entries.len()),
            open: Vec::with_capacity(4 * entries.len()),
            optionals: Vec::new(),
            ahead: Vec::new(),
            slots: 0,
            entries,
        };
        plan.fill_classes(model, &class_of);
        let mut events = Vec::with_capacity(plan.entries.len() * 2);
        for (entry, of) in (0u32..).zip(&plan.entries) {
            events.push(Event { time_us: of.call_us, is_return: false, entry });
            if let Some(return_us) = of.return_us {
                events.push(Event { time_us: return_us, is_return: true, entry });
            }
        }
        events.sort_unstable();
        let mut free: BinaryHeap<Reverse<u32>> = BinaryHeap::new();
        let mut pending: Vec<Pending> = Vec::new();
        let mut last_optional: FxHashMap<u32, u32> = FxHashMap::default();
        for event in events {
            let of = &plan.entries[event.entry as usize];
            let class = class_of[event.entry as usize];
            match (event.is_return, of.return_us) {
                (false, None) => {
                    let bit = plan.optionals.len() as u32;
                    let twin = last_optional.insert(same[event.entry as usize], bit);
                    let twin = twin.unwrap_or(NO_SLOT);
                    plan.optionals.push(Optional { entry: event.entry, class, twin });
                }
                (false, Some(return_us)) => {
                    let slot = free.pop().map_or(plan.slots as u32, |Reverse(slot)| slot);
                    plan.slots = plan.slots.max(slot as usize + 1);
                    if plan.slots > MOST_SLOTS {
                        return Err(UnknownReason::TooConcurrent);
                    }
                    let entry = event.entry;
                    let at = pending
                        .partition_point(|open| (open.return_us, open.entry) < (return_us, entry));
                    pending.insert(at, Pending { entry, slot, return_us });
                }
                (true, _) => {
                    plan.push_level(model, &class_of, &pending);
                    if plan.open.len() > most_open {
                        return Err(UnknownReason::Memory);
                    }
                    // Equal return times are in order of entries in both lists.
                    let first = pending.remove(0);
                    free.push(Reverse(first.slot));
                }
            }
        }
        lookahead::fill(model, &mut plan);
        Ok(plan)
    }

    fn fill_classes<M: Model<Op = O>>(&mut self, model: &M, class_of: &[u32]) {
        for (entry, &class) in (0u32..).zip(class_of) {
            if class as usize == self.classes.len() {
                let of = &self.entries[entry as usize];
                let window = if model.is_timed() {
                    let us = |us: u64| i64::try_from(us).unwrap_or(i64::MAX).min(NEVER_US / 2);
                    Window { call_us: us(of.call_us), return_us: of.return_us.map_or(NEVER_US, us) }
                } else {
                    Window { call_us: 0, return_us: NEVER_US }
                };
                self.classes.push((entry, window));
            }
        }
    }

    fn push_level<M: Model<Op = O>>(&mut self, model: &M, class_of: &[u32], pending: &[Pending]) {
        let returning = &pending[0];
        let relevant = self.relevant(model, pending);
        let is_relevant = |entry: u32| relevant.as_ref().is_none_or(|r| r.contains(&entry));
        let start = self.open.len() as u32;
        for observers in [false, true] {
            for (at, open) in pending.iter().enumerate() {
                let op = &self.entries[open.entry as usize].op;
                if model.only_observes(op) != observers || (!observers && !is_relevant(open.entry))
                {
                    continue;
                }
                let class = class_of[open.entry as usize];
                // With time in the states, equal operations with other windows differ.
                let twin = pending[..at]
                    .iter()
                    .rev()
                    .take(TWINS_SOUGHT)
                    .find(|other| class_of[other.entry as usize] == class)
                    .map_or(NO_SLOT, |other| other.slot);
                let is_droppable = self.is_droppable[open.entry as usize];
                let (entry, slot) = (open.entry, open.slot);
                self.open.push(Open { entry, class, slot, twin, is_droppable });
            }
            if !observers {
                let writers = start..self.open.len() as u32;
                self.levels.push(Level {
                    entry: returning.entry,
                    slot: returning.slot,
                    observers: writers.end..writers.end,
                    writers,
                    optionals: self.optionals.len() as u32,
                    ahead: 0..0,
                });
            }
        }
        let end = self.open.len() as u32;
        if let Some(level) = self.levels.last_mut() {
            level.observers.end = end;
        }
    }

    /// The open operations that the returning one may depend on, directly or through others;
    /// `None` means all. What commutes with all of these can wait until after the return, so the
    /// search need not consider it here.
    fn relevant<M: Model<Op = O>>(&self, model: &M, pending: &[Pending]) -> Option<Vec<u32>> {
        if !model.has_independent_operations() {
            return None;
        }
        let mut rest: Vec<u32> = pending[1..].iter().map(|open| open.entry).collect();
        rest.extend(self.optionals.iter().map(|optional| optional.entry));
        let mut found = vec![pending[0].entry];
        let mut next = 0;
        while let Some(&entry) = found.get(next) {
            next += 1;
            let op = &self.entries[entry as usize].op;
            rest.retain(|&other| {
                let commutes = model.commute(op, &self.entries[other as usize].op);
                if !commutes {
                    found.push(other);
                }
                commutes
            });
        }
        Some(found)
    }
}

/// For each entry the class of entries that lead to the same states, and the class of entries
/// with equal operations. They are the same unless states depend on windows.
fn classes<M: Model>(model: &M, entries: &[Entry<M::Op>]) -> (Vec<u32>, Vec<u32>) {
    let mut ids: FxHashMap<&M::Op, u32> = FxHashMap::default();
    let same: Vec<u32> = entries
        .iter()
        .map(|entry| {
            let next = ids.len() as u32;
            *ids.entry(&entry.op).or_insert(next)
        })
        .collect();
    if model.is_timed() {
        ((0..entries.len() as u32).collect(), same)
    } else {
        (same.clone(), same)
    }
}
