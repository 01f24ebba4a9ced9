//! Whether a list was used as a queue without losing, repeating or reordering anything.
//!
//! Every value is pushed once at most, so what each operation did can be read from the answers, and
//! a handful of rules replaces a search: a queue with distinct values is linearizable if and only
//! if nothing comes out that did not go in, nothing comes out twice, nothing overtakes, and nothing
//! is said to be empty while something was in it (Henzinger, Sezgin and Vafeiadis, "Aspect-oriented
//! linearizability proofs", 2013). The deaths of a server that keeps nothing empty the queue.
//!
//! Invariant: an operation without an answer may have happened at any time after its call, or
//! never; no rule blames a server for what such an operation explains.

use std::collections::HashMap;

/// What an operation was, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A value went in at the end, or perhaps did.
    Push {
        /// The value.
        value: u64,
        /// Whether the answer came.
        known: bool,
    },
    /// This value came out at the front.
    Popped(u64),
    /// There was nothing to come out.
    Empty,
    /// Something may have come out; nobody knows what.
    Unknown,
    /// These were in it, from the front.
    Saw(Vec<u64>),
}

/// One operation on the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it was.
    pub act: Act,
    /// When it was called.
    pub call_ns: u64,
    /// When its answer came; [`u64::MAX`] if it did not.
    pub return_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    call_ns: u64,
    return_ns: u64,
}

/// The life of one value, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    push: Option<Span>,
    known: bool,
    pop: Option<Span>,
}

struct Queue<'a> {
    lives: HashMap<u64, Life>,
    /// Values that were certainly pushed, by the call of their push.
    order: Vec<u64>,
    /// When pops of unknown outcome were called, in order.
    unknown_pops: Vec<u64>,
    deaths: &'a [u64],
}

/// Judges the operations on one queue. `deaths` are the moments at which it was emptied, in order.
///
/// # Errors
/// What is wrong, in words.
pub fn check(operations: &[Operation], deaths: &[u64]) -> Result<(), String> {
    let mut queue =
        Queue { lives: HashMap::new(), order: Vec::new(), unknown_pops: Vec::new(), deaths };
    queue.collect_pushes(operations);
    queue.collect_pops(operations)?;
    queue.nothing_overtakes()?;
    for operation in operations {
        match &operation.act {
            Act::Saw(values) => queue.a_look_fits(operation, values)?,
            Act::Empty => queue.it_was_empty(operation)?,
            _ => {}
        }
    }
    Ok(())
}

impl Queue<'_> {
    fn collect_pushes(&mut self, operations: &[Operation]) {
        for Operation { act, call_ns, return_ns } in operations {
            let span = Span { call_ns: *call_ns, return_ns: *return_ns };
            match act {
                Act::Push { value, known } => {
                    let life = Life { push: Some(span), known: *known, pop: None };
                    self.lives.insert(*value, life);
                    if *known {
                        self.order.push(*value);
                    }
                }
                Act::Unknown => self.unknown_pops.push(*call_ns),
                _ => {}
            }
        }
        self.unknown_pops.sort_unstable();
        let lives = &self.lives;
        let called = |value: &u64| lives[value].push.map_or(0, |push| push.call_ns);
        self.order.sort_by_key(called);
    }

    fn collect_pops(&mut self, operations: &[Operation]) -> Result<(), String> {
        for operation in operations {
            let Act::Popped(value) = operation.act else { continue };
            self.it_was_pushed(value, operation)?;
            let life = self.lives.entry(value).or_default();
            if life.pop.is_some() {
                return Err(format!("value {value} came out twice"));
            }
            let Operation { call_ns, return_ns, .. } = *operation;
            life.pop = Some(Span { call_ns, return_ns });
        }
        Ok(())
    }

    /// A value that is seen was pushed before, and no death lies in between.
    fn it_was_pushed(&self, value: u64, seen: &Operation) -> Result<(), String> {
        let life = self.lives.get(&value);
        let Some(push) = life.and_then(|life| life.push) else {
            return Err(format!("value {value} came out and was never pushed"));
        };
        if push.call_ns > seen.return_ns {
            return Err(format!("value {value} came out before it was pushed"));
        }
        let known = life.is_some_and(|life| life.known);
        if known && self.dies_within(push.return_ns, seen.call_ns) {
            return Err(format!("value {value} came out of a queue that had lost it"));
        }
        Ok(())
    }

    /// No value comes out before one that was pushed before it.
    fn nothing_overtakes(&self) -> Result<(), String> {
        // Of the values pushed from each place on: the one that came out first.
        let mut first_out: Vec<(u64, u64)> = vec![(u64::MAX, 0); self.order.len() + 1];
        for (place, &value) in self.order.iter().enumerate().rev() {
            let out = self.lives[&value].pop.map_or(u64::MAX, |pop| pop.return_ns);
            first_out[place] = first_out[place + 1].min((out, value));
        }
        for &value in &self.order {
            let Life { push: Some(push), pop: Some(pop), .. } = self.lives[&value] else {
                continue;
            };
            let later = self.order.partition_point(|other| {
                self.lives[other].push.is_some_and(|push_of| push_of.call_ns <= push.return_ns)
            });
            let (out_ns, other) = first_out[later];
            if out_ns < pop.call_ns && !self.dies_within(push.call_ns, pop.return_ns) {
                return Err(format!(
                    "value {other} was pushed after value {value} and came out before it"
                ));
            }
        }
        Ok(())
    }

    /// What was seen in the queue can have been all that was in it.
    fn a_look_fits(&self, look: &Operation, values: &[u64]) -> Result<(), String> {
        let mut places = HashMap::new();
        for (place, &value) in values.iter().enumerate() {
            self.it_was_pushed(value, look)?;
            if places.insert(value, place).is_some() {
                return Err(format!("value {value} was in the queue twice"));
            }
            let popped = self.lives[&value].pop;
            if popped.is_some_and(|pop| pop.return_ns < look.call_ns) {
                return Err(format!("value {value} was in the queue after it came out"));
            }
        }
        let missing = self.missing_from(look, &places);
        let excuses = self.unknown_pops.partition_point(|&call_ns| call_ns < look.return_ns);
        if missing.len() > excuses {
            return Err(format!(
                "value {} is lost: {} values were neither in the queue nor came out, and {excuses} \
                 pops have an unknown outcome",
                missing[0],
                missing.len(),
            ));
        }
        self.a_look_is_in_order(values)
    }

    /// Values that were certainly in the queue before the look, are not seen, and were not taken by
    /// anybody who knows it.
    fn missing_from(&self, look: &Operation, places: &HashMap<u64, usize>) -> Vec<u64> {
        let is_missing = |value: &&u64| {
            let life = &self.lives[*value];
            let pushed = life.push.is_some_and(|push| {
                push.return_ns < look.call_ns && !self.dies_within(push.call_ns, look.return_ns)
            });
            let taken = life.pop.is_some_and(|pop| pop.call_ns < look.return_ns);
            pushed && !taken && !places.contains_key(*value)
        };
        self.order.iter().filter(is_missing).copied().collect()
    }

    fn a_look_is_in_order(&self, values: &[u64]) -> Result<(), String> {
        // The latest call of a push so far: whatever comes behind must not have returned before it.
        let mut latest: Option<(u64, u64)> = None;
        for &value in values {
            let Life { push: Some(push), known, .. } = self.lives[&value] else { continue };
            if let Some((call_ns, other)) = latest
                && known
                && push.return_ns < call_ns
            {
                return Err(format!("value {other} stands before value {value}, pushed before it"));
            }
            latest = latest.max(Some((push.call_ns, value)));
        }
        Ok(())
    }

    /// Nothing was certainly in the queue for all the time of a pop that found nothing.
    fn it_was_empty(&self, pop: &Operation) -> Result<(), String> {
        let was_in = |value: &&u64| {
            let Life { push: Some(push), pop: Some(out), .. } = self.lives[*value] else {
                return false;
            };
            push.return_ns < pop.call_ns
                && out.call_ns > pop.return_ns
                && !self.dies_within(push.call_ns, out.return_ns)
        };
        match self.order.iter().find(was_in) {
            Some(value) => Err(format!("the queue was said to be empty while {value} was in it")),
            None => Ok(()),
        }
    }

    fn dies_within(&self, from_ns: u64, to_ns: u64) -> bool {
        let first = self.deaths.partition_point(|&at_ns| at_ns < from_ns);
        self.deaths.get(first).is_some_and(|&at_ns| at_ns <= to_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(act: Act, call_ns: u64, return_ns: u64) -> Operation {
        Operation { act, call_ns, return_ns }
    }

    fn push(value: u64, call_ns: u64, return_ns: u64) -> Operation {
        at(Act::Push { value, known: true }, call_ns, return_ns)
    }

    fn lost_push(value: u64, call_ns: u64) -> Operation {
        at(Act::Push { value, known: false }, call_ns, u64::MAX)
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
    fn first_in_first_out_is_fine() {
        let operations = [
            push(1, 0, 1),
            push(2, 2, 3),
            at(Act::Popped(1), 4, 5),
            at(Act::Saw(vec![2]), 6, 7),
            at(Act::Popped(2), 8, 9),
            at(Act::Empty, 10, 11),
        ];
        check_says(&operations, &[], None);
    }

    #[test]
    fn what_comes_out_went_in_once() {
        check_says(&[at(Act::Popped(1), 0, 1)], &[], Some("never pushed"));
        check_says(&[push(1, 5, 6), at(Act::Popped(1), 0, 1)], &[], Some("before it was pushed"));
        let twice = [push(1, 0, 1), at(Act::Popped(1), 2, 3), at(Act::Popped(1), 4, 5)];
        check_says(&twice, &[], Some("twice"));
        let unknown = [lost_push(1, 0), at(Act::Popped(1), 2, 3)];
        check_says(&unknown, &[], None);
    }

    #[test]
    fn nothing_overtakes_unless_their_pushes_overlap() {
        let pops = [at(Act::Popped(2), 10, 11), at(Act::Popped(1), 12, 13)];
        let apart = [push(1, 0, 1), push(2, 2, 3)];
        check_says(&[&apart[..], &pops].concat(), &[], Some("came out before it"));
        let overlapping = [push(1, 0, 2), push(2, 1, 3)];
        check_says(&[&overlapping[..], &pops].concat(), &[], None);
    }

    #[test]
    fn a_value_may_only_be_missing_if_somebody_may_have_taken_it() {
        let look = at(Act::Saw(vec![2]), 6, 7);
        let mut operations = vec![push(1, 0, 1), push(2, 2, 3), look];
        check_says(&operations, &[], Some("value 1 is lost"));
        operations.push(at(Act::Unknown, 4, u64::MAX));
        check_says(&operations, &[], None);
        operations[3].call_ns = 8;
        check_says(&operations, &[], Some("value 1 is lost"));
    }

    #[test]
    fn a_look_shows_what_is_there_in_order() {
        let pushes = [push(1, 0, 1), push(2, 2, 3)];
        let look = |values: &[u64]| at(Act::Saw(values.to_vec()), 6, 7);
        check_says(&[&pushes[..], &[look(&[2, 1])]].concat(), &[], Some("stands before"));
        check_says(&[&pushes[..], &[look(&[1, 2, 1])]].concat(), &[], Some("twice"));
        let popped = [at(Act::Popped(1), 4, 5), look(&[1, 2])];
        check_says(&[&pushes[..], &popped].concat(), &[], Some("after it came out"));
    }

    #[test]
    fn empty_means_empty() {
        let operations = [push(1, 0, 1), at(Act::Empty, 2, 3), at(Act::Popped(1), 4, 5)];
        check_says(&operations, &[], Some("empty while 1"));
        let overlapping = [push(1, 0, 1), at(Act::Empty, 2, 5), at(Act::Popped(1), 4, 6)];
        check_says(&overlapping, &[], None);
    }

    #[test]
    fn a_death_empties_the_queue() {
        let operations = [push(1, 0, 1), push(2, 6, 7), at(Act::Saw(vec![2]), 8, 9)];
        check_says(&operations, &[5], None);
        check_says(&operations, &[], Some("lost"));
        check_says(&[push(1, 0, 1), at(Act::Popped(1), 8, 9)], &[5], Some("had lost it"));
    }
}
