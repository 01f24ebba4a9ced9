//! Whether a stream and its consumer group account for every entry.
//!
//! Every value is added once at most, the stream has one group, and nobody deletes entries. Then:
//! ids grow with time; each entry is handed to one consumer as new, in the order of the ids, with
//! the value it was added with; none is passed over; what was handed out is pending until it is
//! acknowledged, and acknowledged once. The deaths of a server that keeps nothing lose the stream
//! and its group.
//!
//! Invariant: an operation without an answer may have happened at any time after its call, or
//! never; no rule blames a server for what such an operation explains.

use std::collections::{HashMap, HashSet};

/// The id of an entry: milliseconds and sequence.
pub type Id = (u64, u64);

/// What an operation was, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// An entry was added; its id is known if the answer came.
    Add {
        /// Its value.
        value: u64,
        /// Its id.
        id: Option<Id>,
    },
    /// These were handed out as new to a consumer.
    Read(Vec<(Id, u64)>),
    /// New entries may have been handed out; nobody knows which.
    UnknownRead,
    /// These were taken over from other consumers.
    Claimed(Vec<(Id, u64)>),
    /// An acknowledgement, and whether the entry was pending; `None`: no answer came.
    Ack {
        /// The entry.
        id: Id,
        /// Whether it was pending.
        was_pending: Option<bool>,
    },
    /// All pending entries of the group.
    Pending(Vec<Id>),
    /// All entries of the stream.
    Range(Vec<(Id, u64)>),
}

/// One operation on the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it was.
    pub act: Act,
    /// When it was called.
    pub call_ns: u64,
    /// When its answer came; [`u64::MAX`] if it did not.
    pub return_ns: u64,
}

struct Group<'a> {
    operations: &'a [Operation],
    deaths: &'a [u64],
    /// Additions by value.
    added: HashMap<u64, &'a Operation>,
    /// Reads as new, by entry.
    delivered: HashMap<Id, Vec<&'a Operation>>,
    /// When reads of unknown outcome were called.
    unknown_reads: Vec<u64>,
}

/// Judges the operations on one stream. `deaths` are the moments at which it was lost, in order.
///
/// # Errors
/// What is wrong, in words.
pub fn check(operations: &[Operation], deaths: &[u64]) -> Result<(), String> {
    let mut group = Group {
        operations,
        deaths,
        added: HashMap::new(),
        delivered: HashMap::new(),
        unknown_reads: Vec::new(),
    };
    for operation in operations {
        match &operation.act {
            Act::Add { value, .. } => {
                group.added.insert(*value, operation);
            }
            Act::Read(entries) => {
                for (id, _) in entries {
                    group.delivered.entry(*id).or_default().push(operation);
                }
            }
            Act::UnknownRead => group.unknown_reads.push(operation.call_ns),
            _ => {}
        }
    }
    group.ids_grow_with_time()?;
    group.entries_are_what_was_added()?;
    group.each_is_delivered_once()?;
    group.deliveries_are_in_order()?;
    group.none_is_passed_over()?;
    group.acknowledged_once()?;
    group.pending_until_acknowledged()?;
    group.ranges_are_complete()
}

impl Group<'_> {
    fn dies_within(&self, from_ns: u64, to_ns: u64) -> bool {
        let first = self.deaths.partition_point(|&at_ns| at_ns < from_ns);
        self.deaths.get(first).is_some_and(|&at_ns| at_ns <= to_ns)
    }

    /// Additions whose id is known, by their calls.
    fn known_additions(&self) -> Vec<(Id, &Operation)> {
        let mut additions: Vec<(Id, &Operation)> = Vec::new();
        for operation in self.operations {
            if let Act::Add { id: Some(id), .. } = operation.act {
                additions.push((id, operation));
            }
        }
        additions.sort_by_key(|(_, op)| op.call_ns);
        additions
    }

    fn ids_grow_with_time(&self) -> Result<(), String> {
        let mut returned: Vec<(u64, Id, u64)> = self
            .known_additions()
            .into_iter()
            .map(|(id, op)| (op.return_ns, id, op.call_ns))
            .collect();
        returned.sort_unstable();
        let mut highest: Option<(Id, u64)> = None;
        let mut next = 0;
        for (id, op) in self.known_additions() {
            while next < returned.len() && returned[next].0 < op.call_ns {
                highest = highest.max(Some((returned[next].1, returned[next].2)));
                next += 1;
            }
            if let Some((other, call_ns)) = highest
                && other >= id
                && !self.dies_within(call_ns, op.return_ns)
            {
                return Err(format!("id {id:?} was given after id {other:?}"));
            }
        }
        Ok(())
    }

    /// Whoever sees an entry sees the value and the id that it was added with.
    fn entries_are_what_was_added(&self) -> Result<(), String> {
        for operation in self.operations {
            let (Act::Read(entries) | Act::Claimed(entries) | Act::Range(entries)) = &operation.act
            else {
                continue;
            };
            for &(id, value) in entries {
                let Some(added) = self.added.get(&value) else {
                    return Err(format!("entry {id:?} has value {value}, which nobody added"));
                };
                if added.call_ns > operation.return_ns {
                    return Err(format!("entry {id:?} was seen before it was added"));
                }
                if let Act::Add { id: Some(given), .. } = added.act {
                    if given != id {
                        return Err(format!("value {value} was added as {given:?}, not {id:?}"));
                    }
                    if self.dies_within(added.return_ns, operation.call_ns) {
                        return Err(format!("entry {id:?} was seen after it was lost"));
                    }
                }
            }
            if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
                return Err("entries came in the wrong order".to_owned());
            }
        }
        Ok(())
    }

    fn each_is_delivered_once(&self) -> Result<(), String> {
        for (id, reads) in &self.delivered {
            let mut reads = reads.clone();
            reads.sort_by_key(|read| read.call_ns);
            for pair in reads.windows(2) {
                let latest = pair[0].return_ns.max(pair[1].return_ns);
                if !self.dies_within(pair[0].call_ns, latest) {
                    return Err(format!("entry {id:?} was delivered twice as new"));
                }
            }
        }
        Ok(())
    }

    /// Reads as new that brought something, by their calls.
    fn reads(&self) -> Vec<(&Operation, Id, Id)> {
        let mut reads: Vec<(&Operation, Id, Id)> = Vec::new();
        for operation in self.operations {
            if let Act::Read(entries) = &operation.act
                && let (Some(first), Some(last)) = (entries.first(), entries.last())
            {
                reads.push((operation, first.0, last.0));
            }
        }
        reads.sort_by_key(|(op, ..)| op.call_ns);
        reads
    }

    fn deliveries_are_in_order(&self) -> Result<(), String> {
        let reads = self.reads();
        let mut returned = reads.clone();
        returned.sort_by_key(|(op, ..)| op.return_ns);
        let mut highest: Option<(Id, u64)> = None;
        let mut next = 0;
        for (op, first, _) in &reads {
            while next < returned.len() && returned[next].0.return_ns < op.call_ns {
                highest = highest.max(Some((returned[next].2, returned[next].0.call_ns)));
                next += 1;
            }
            if let Some((other, call_ns)) = highest
                && other >= *first
                && !self.dies_within(call_ns, op.return_ns)
            {
                return Err(format!("entry {first:?} was delivered as new after {other:?}"));
            }
        }
        Ok(())
    }

    /// An entry that was there before a later one was delivered was delivered itself, or a read of
    /// unknown outcome may have had it.
    fn none_is_passed_over(&self) -> Result<(), String> {
        let reads = self.reads();
        for (id, added) in self.known_additions() {
            let passed = reads.iter().find(|(read, _, last)| {
                *last > id
                    && added.return_ns < read.call_ns
                    && !self.dies_within(added.call_ns, read.return_ns)
            });
            let Some((read, ..)) = passed else { continue };
            let delivered = self.delivered.contains_key(&id);
            let may_have_had = self.unknown_reads.iter().any(|&call_ns| call_ns < read.return_ns);
            if !delivered && !may_have_had {
                return Err(format!("entry {id:?} was passed over"));
            }
        }
        Ok(())
    }

    fn acknowledged_once(&self) -> Result<(), String> {
        let mut acked: HashMap<Id, &Operation> = HashMap::new();
        for operation in self.operations {
            let Act::Ack { id, was_pending: Some(true) } = operation.act else { continue };
            if let Some(other) = acked.insert(id, operation) {
                let from = other.call_ns.min(operation.call_ns);
                let to = other.return_ns.max(operation.return_ns);
                if !self.dies_within(from, to) {
                    return Err(format!("entry {id:?} was acknowledged twice"));
                }
            }
        }
        Ok(())
    }

    fn pending_until_acknowledged(&self) -> Result<(), String> {
        for operation in self.operations {
            let Act::Pending(pending) = &operation.act else { continue };
            let listed: HashSet<Id> = pending.iter().copied().collect();
            if listed.len() != pending.len() {
                return Err("an entry is pending twice".to_owned());
            }
            for (id, reads) in &self.delivered {
                let delivered = reads.iter().any(|read| {
                    read.return_ns < operation.call_ns
                        && !self.dies_within(read.call_ns, operation.return_ns)
                });
                if delivered && !listed.contains(id) && !self.may_be_acknowledged(*id, operation) {
                    return Err(format!("entry {id:?} is neither pending nor acknowledged"));
                }
            }
            for id in &listed {
                self.a_pending_one_was_delivered(*id, operation)?;
            }
        }
        Ok(())
    }

    fn may_be_acknowledged(&self, id: Id, before: &Operation) -> bool {
        self.operations.iter().any(|operation| {
            matches!(operation.act, Act::Ack { id: acked, was_pending } if acked == id
                && was_pending != Some(false))
                && operation.call_ns < before.return_ns
        })
    }

    fn a_pending_one_was_delivered(&self, id: Id, seen: &Operation) -> Result<(), String> {
        let delivered = self
            .delivered
            .get(&id)
            .is_some_and(|reads| reads.iter().any(|read| read.call_ns < seen.return_ns));
        let may_be = self.unknown_reads.iter().any(|&call_ns| call_ns < seen.return_ns);
        if !delivered && !may_be {
            return Err(format!("entry {id:?} is pending and was never delivered"));
        }
        let acked = self.operations.iter().any(|operation| {
            operation.act == Act::Ack { id, was_pending: Some(true) }
                && operation.return_ns < seen.call_ns
                && !self.dies_within(operation.call_ns, seen.return_ns)
        });
        if acked {
            return Err(format!("entry {id:?} is pending after it was acknowledged"));
        }
        Ok(())
    }

    fn ranges_are_complete(&self) -> Result<(), String> {
        for operation in self.operations {
            let Act::Range(entries) = &operation.act else { continue };
            let listed: HashSet<Id> = entries.iter().map(|&(id, _)| id).collect();
            for (id, added) in self.known_additions() {
                let is_there = added.return_ns < operation.call_ns
                    && !self.dies_within(added.call_ns, operation.return_ns);
                if is_there && !listed.contains(&id) {
                    return Err(format!("entry {id:?} is lost"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(act: Act, call_ns: u64, return_ns: u64) -> Operation {
        Operation { act, call_ns, return_ns }
    }

    fn add(value: u64, ms: u64, call_ns: u64, return_ns: u64) -> Operation {
        at(Act::Add { value, id: Some((ms, 0)) }, call_ns, return_ns)
    }

    fn read(entries: &[(u64, u64)], call_ns: u64, return_ns: u64) -> Operation {
        let entries = entries.iter().map(|&(ms, value)| ((ms, 0), value)).collect();
        at(Act::Read(entries), call_ns, return_ns)
    }

    fn ack(ms: u64, was_pending: Option<bool>, call_ns: u64, return_ns: u64) -> Operation {
        at(Act::Ack { id: (ms, 0), was_pending }, call_ns, return_ns)
    }

    #[track_caller]
    fn check_says(operations: &[Operation], deaths: &[u64], wanted: Option<&str>) {
        let said = check(operations, deaths).err();
        match (said, wanted) {
            (None, None) => {}
            (Some(said), Some(wanted)) => assert!(said.contains(wanted), "{said}"),
            (said, wanted) => panic!("said {said:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn added_read_and_acknowledged_is_fine() {
        let operations = [
            add(7, 1, 0, 1),
            add(8, 2, 2, 3),
            read(&[(1, 7)], 4, 5),
            ack(1, Some(true), 6, 7),
            read(&[(2, 8)], 8, 9),
            at(Act::Pending(vec![(2, 0)]), 10, 11),
            at(Act::Range(vec![((1, 0), 7), ((2, 0), 8)]), 12, 13),
        ];
        check_says(&operations, &[], None);
    }

    #[test]
    fn ids_grow_and_belong_to_their_values() {
        check_says(&[add(7, 5, 0, 1), add(8, 4, 2, 3)], &[], Some("was given after"));
        check_says(&[add(7, 5, 0, 1), add(8, 4, 4, 5)], &[3], None);
        check_says(&[add(7, 1, 0, 1), read(&[(2, 7)], 2, 3)], &[], Some("was added as"));
        check_says(&[read(&[(2, 7)], 2, 3)], &[], Some("nobody added"));
    }

    #[test]
    fn new_entries_are_delivered_once_in_order_and_none_is_passed_over() {
        let adds = [add(7, 1, 0, 1), add(8, 2, 2, 3)];
        let with = |more: &[Operation]| [&adds[..], more].concat();
        let twice = with(&[read(&[(1, 7)], 4, 5), read(&[(1, 7), (2, 8)], 6, 7)]);
        check_says(&twice, &[], Some("delivered twice"));
        let backwards = with(&[read(&[(2, 8)], 4, 5), read(&[(1, 7)], 6, 7)]);
        check_says(&backwards, &[], Some("as new after"));
        check_says(&with(&[read(&[(2, 8)], 4, 5)]), &[], Some("passed over"));
        let excused = with(&[at(Act::UnknownRead, 3, u64::MAX), read(&[(2, 8)], 4, 5)]);
        check_says(&excused, &[], None);
    }

    #[test]
    fn what_is_delivered_is_pending_until_it_is_acknowledged() {
        let start = [add(7, 1, 0, 1), read(&[(1, 7)], 2, 3)];
        let with = |more: &[Operation]| [&start[..], more].concat();
        let none = at(Act::Pending(Vec::new()), 8, 9);
        let one = at(Act::Pending(vec![(1, 0)]), 8, 9);
        check_says(&with(std::slice::from_ref(&none)), &[], Some("neither pending"));
        check_says(&with(&[ack(1, None, 4, u64::MAX), none.clone()]), &[], None);
        check_says(&with(&[ack(1, Some(true), 4, 5), one]), &[], Some("after it was"));
        let twice = with(&[ack(1, Some(true), 4, 5), ack(1, Some(true), 6, 7)]);
        check_says(&twice, &[], Some("acknowledged twice"));
        check_says(&with(&[none]), &[5], None);
    }

    #[test]
    fn entries_stay() {
        let operations = [add(7, 1, 0, 1), at(Act::Range(Vec::new()), 2, 3)];
        check_says(&operations, &[], Some("is lost"));
        let never = [at(Act::Pending(vec![(1, 0)]), 2, 3)];
        check_says(&never, &[], Some("never delivered"));
    }
}
