//! Keys that no operation joins are judged apart.
//!
//! A history is linearizable if and only if each of its objects is (locality). Operations on
//! several keys make one object of them, so keys are united by union-find first.

use rustc_hash::FxHashMap;

use crate::history::{History, Outcome, Value};

/// Operations that are judged together, and their keys in order of first use.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition<'a> {
    /// Places in the history.
    pub(super) operations: Vec<u32>,
    /// The keys.
    pub(super) keys: Vec<&'a Value>,
}

/// Splits a history, the biggest partition first; operations that certainly failed are left out.
/// With `together`, everything is one partition.
#[must_use]
pub(super) fn partition(history: &History, together: bool) -> Vec<Partition<'_>> {
    let mut key_ids: FxHashMap<&Value, u32> = FxHashMap::default();
    let mut keys: Vec<&Value> = Vec::new();
    let mut parents: Vec<u32> = Vec::new();
    let mut first_keys: Vec<Option<u32>> = Vec::with_capacity(history.operations.len());
    for operation in &history.operations {
        let mut first = None;
        if operation.outcome != Outcome::Fail {
            operation.command.for_each_key(&mut |key| {
                let id = *key_ids.entry(key).or_insert_with(|| {
                    keys.push(key);
                    parents.push(parents.len() as u32);
                    parents.len() as u32 - 1
                });
                match first {
                    None => first = Some(id),
                    Some(first) => unite(&mut parents, first, id),
                }
            });
        }
        first_keys.push(first);
    }
    let mut partitions: Vec<Partition<'_>> = Vec::new();
    let mut of_root: Vec<Option<usize>> = vec![None; keys.len()];
    let mut index_of = |parents: &mut [u32], partitions: &mut Vec<Partition<'_>>, key: u32| {
        let root = if together { 0 } else { root(parents, key) as usize };
        *of_root[root].get_or_insert_with(|| {
            partitions.push(Partition::default());
            partitions.len() - 1
        })
    };
    for (id, key) in (0u32..).zip(keys) {
        let at = index_of(&mut parents, &mut partitions, id);
        partitions[at].keys.push(key);
    }
    for (operation, first) in (0u32..).zip(first_keys) {
        if let Some(first) = first {
            let at = index_of(&mut parents, &mut partitions, first);
            partitions[at].operations.push(operation);
        }
    }
    partitions.sort_by_key(|partition| std::cmp::Reverse(partition.operations.len()));
    partitions
}

fn root(parents: &mut [u32], mut key: u32) -> u32 {
    while parents[key as usize] != key {
        let above = parents[parents[key as usize] as usize];
        parents[key as usize] = above;
        key = above;
    }
    key
}

fn unite(parents: &mut [u32], one: u32, other: u32) {
    let (one, other) = (root(parents, one), root(parents, other));
    parents[one.max(other) as usize] = one.min(other);
}
