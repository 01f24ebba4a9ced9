//! Big hashes: a table of fields with values and, beside a value, its deadline.
//!
//! Deadlines are kept a second time in their order, with the hash of the field instead of its name:
//! two fields may agree in both, so they are counted.
//!
//! Invariant: the order holds as many of a deadline and a hash as there are such fields in the
//! table.

use std::collections::BTreeMap;

use super::NewDeadline;
use crate::value::packed::Encoded;
use crate::value::shared::Meter;
use crate::value::table::{HashKey, Table};

/// What a deadline takes in the order, about: its key and number in a tree's node that is two
/// thirds full.
const DEADLINE_BYTES: usize = 36;
/// Deadlines that one step of freeing takes out.
const DEADLINES_FREED_PER_STEP: usize = 4096;

/// A table of fields.
#[derive(Clone, Debug)]
pub struct Big {
    table: Table,
    /// How many fields there are of a deadline and of a hash.
    deadlines: BTreeMap<(u64, u64), u32>,
}

impl Big {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self { table: Table::of_pairs(hash_key), deadlines: BTreeMap::new() }
    }

    /// The same fields, to be read; of the order of deadlines only the first is there.
    pub(super) fn share(&mut self, meter: &Meter) -> Self {
        let first = self.deadlines.first_key_value().map(|(&first, &count)| (first, count));
        Self { table: self.table.share(meter), deadlines: first.into_iter().collect() }
    }

    #[inline]
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    #[inline]
    pub(super) fn first_deadline(&self) -> Option<u64> {
        self.deadlines.first_key_value().map(|(&(deadline_ms, _), _)| deadline_ms)
    }

    /// Gives a field a value; true if the field is new.
    #[inline]
    pub(super) fn set(
        &mut self,
        name: &Encoded<'_>,
        value: &Encoded<'_>,
        deadline: NewDeadline,
    ) -> bool {
        let old = self.deadline_of(name);
        let new = deadline.after(old);
        self.move_deadline(name, old, new);
        self.table.set(name, value, new)
    }

    /// Takes a field out; false if there is none of that name.
    #[inline]
    pub(super) fn remove(&mut self, name: &Encoded<'_>) -> bool {
        let old = self.deadline_of(name);
        self.move_deadline(name, old, None);
        self.table.remove(name)
    }

    /// Changes only when a field expires; false if there is none of that name.
    pub(super) fn set_deadline(&mut self, name: &Encoded<'_>, deadline_ms: Option<u64>) -> bool {
        let old = self.deadline_of(name);
        if !self.table.set_deadline(name, deadline_ms) {
            return false;
        }
        self.move_deadline(name, old, deadline_ms);
        true
    }

    /// Takes up to so many fields out whose deadlines have passed; returns how many, and adds their
    /// names to `names`.
    pub(super) fn remove_due(
        &mut self,
        now_ms: u64,
        count_max: usize,
        mut names: Option<&mut Vec<Vec<u8>>>,
    ) -> usize {
        let mut removed = 0;
        while removed < count_max
            && let Some((&(deadline_ms, hash), _)) = self.deadlines.first_key_value()
            && deadline_ms < now_ms
        {
            let is_it = |deadline| deadline == Some(deadline_ms);
            let entry = self.table.find_hash(hash, |entry| is_it(entry.deadline_ms()));
            let name = entry.expect("a deadline in the order is of a field").key().to_vec();
            self.remove(&Encoded::string(&name));
            removed += 1;
            if let Some(names) = &mut names {
                names.push(name);
            }
        }
        removed
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.deadlines.len() * DEADLINE_BYTES
    }

    pub(super) fn is_big(&self) -> bool {
        self.table.is_big() || self.deadlines.len() > DEADLINES_FREED_PER_STEP
    }

    pub(super) fn free_some(&mut self) -> bool {
        for _ in 0..DEADLINES_FREED_PER_STEP {
            if self.deadlines.pop_first().is_none() {
                return self.table.free_some();
            }
        }
        false
    }

    pub(super) fn check_invariants(&self) {
        self.table.check_invariants();
        let mut deadlines = BTreeMap::new();
        for entry in self.table.iter() {
            if let Some(deadline_ms) = entry.deadline_ms() {
                *deadlines.entry((deadline_ms, self.table.hash_of(entry))).or_default() += 1;
            }
        }
        assert_eq!(deadlines, self.deadlines, "the order holds the deadlines of all fields");
    }

    /// The deadline of a field. Costs nothing while no field has one.
    #[inline]
    fn deadline_of(&self, name: &Encoded<'_>) -> Option<u64> {
        if self.deadlines.is_empty() {
            return None;
        }
        self.table.find(name).and_then(|entry| entry.deadline_ms())
    }

    /// Changes the order.
    #[inline]
    fn move_deadline(&mut self, name: &Encoded<'_>, old: Option<u64>, new: Option<u64>) {
        if old == new {
            return;
        }
        let hash = self.table.hash(name);
        if let Some(old) = old {
            let count = self.deadlines.get_mut(&(old, hash)).expect("a deadline is in the order");
            *count -= 1;
            if *count == 0 {
                self.deadlines.remove(&(old, hash));
            }
        }
        if let Some(new) = new {
            *self.deadlines.entry((new, hash)).or_default() += 1;
        }
    }
}
