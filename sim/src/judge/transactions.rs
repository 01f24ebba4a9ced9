//! Transactions of the journal as their checker knows them.
//!
//! A server without persistence begins anew after its death: what a list held before and after are
//! two lists. An answer that came was given by the process to which the connection had been made,
//! so an operation belongs to the life in which it was called.
//!
//! A watched transaction is two operations: what it read is in the first, what became of it in the
//! second. If it has happened, its reads and its appends are one transaction; if not, it has only
//! read.

use std::collections::HashMap;

use super::odd;
use crate::check::elle::{Fate, Finding, Step, Transaction, check};
use crate::journal::{Journal, Op, Seen};
use crate::workload::{Ask, Plan, READ, Workload};
use crate::world::Death;

/// Bits of the number of a list; those above say which life of the server it is.
const KEY_BITS: u32 = 16;

/// Judges the transactions among the operations on one server.
pub(super) fn judge(journal: &Journal, places: &[usize], deaths: &[&Death]) -> Result<(), String> {
    let mut deaths: Vec<u64> = deaths.iter().map(|death| death.at_ns).collect();
    deaths.sort_unstable();
    let mut transactions = Vec::new();
    let mut halves = HashMap::new();
    for &at in places {
        let op = &journal.ops[at];
        if op.key.workload == Workload::Transactions {
            let life = deaths.partition_point(|&death_ns| death_ns < op.call_ns) as u64;
            if let Ask::Watch(plan) = op.ask {
                halves.insert(plan.value, op);
            }
            transactions.push(transaction(journal, at, life, &halves)?);
        }
    }
    let findings = check(&transactions);
    if findings.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(format!("transactions are not strictly serializable\n{}", texts.join("\n")))
}

/// `halves` are the first halves of watched transactions by the number of their values.
fn transaction(
    journal: &Journal,
    at: usize,
    life: u64,
    halves: &HashMap<u64, &Op>,
) -> Result<Transaction, String> {
    let op = &journal.ops[at];
    let key = |index: u16| life << KEY_BITS | u64::from(index);
    let (fate, steps) = match (op.ask, op.seen) {
        (Ask::Look, Seen::List(list)) => {
            let values = journal.lists[list as usize].iter().map(|&(_, value)| value).collect();
            (Fate::Committed, vec![Step::Read { key: key(op.key.index), values: Some(values) }])
        }
        (Ask::Transact(plan), Seen::List(list)) => {
            let steps = steps(plan, key, Some(&journal.lists[list as usize]));
            (Fate::Committed, steps.ok_or_else(|| odd(journal, op))?)
        }
        (Ask::Transact(plan), Seen::Nil | Seen::Refused(_) | Seen::Open | Seen::Unknown) => {
            let steps = steps(plan, key, None).unwrap_or_default();
            (fate_of(op, plan), steps)
        }
        (Ask::Watch(plan), Seen::List(list)) => {
            let steps = reads(plan, key, &journal.lists[list as usize]);
            (Fate::Committed, steps.ok_or_else(|| odd(journal, op))?)
        }
        (Ask::Watch(_) | Ask::Look | Ask::Kill, Seen::Open | Seen::Unknown | Seen::Refused(_)) => {
            (Fate::Unknown, Vec::new())
        }
        (Ask::Commit(plan), seen) => {
            let fate = match seen {
                Seen::Done => Fate::Committed,
                Seen::Nil | Seen::Refused(_) => Fate::Aborted,
                Seen::Open | Seen::Unknown => Fate::Unknown,
                _ => return Err(odd(journal, op)),
            };
            let first = halves.get(&plan.value).ok_or_else(|| odd(journal, op))?;
            return Ok(commit(journal, (at, op), (plan, first), fate, key));
        }
        _ => return Err(odd(journal, op)),
    };
    Ok(Transaction {
        id: at as u64,
        client: u64::from(op.client),
        steps,
        fate,
        call_ns: op.call_ns,
        return_ns: op.return_ns,
    })
}

/// One that is to be aborted has no effect, whether or not its client was told so.
fn fate_of(op: &Op, plan: Plan) -> Fate {
    let is_aborted = plan.style == crate::workload::Style::Aborted
        || matches!(op.seen, Seen::Nil | Seen::Refused(_));
    if is_aborted { Fate::Aborted } else { Fate::Unknown }
}

/// A watched transaction with both its halves. Only if it has happened were its reads a part of it.
fn commit(
    journal: &Journal,
    (at, op): (usize, &Op),
    (plan, first): (Plan, &Op),
    fate: Fate,
    key: impl Fn(u16) -> u64 + Copy,
) -> Transaction {
    let list = match first.seen {
        Seen::List(list) if fate == Fate::Committed => &journal.lists[list as usize][..],
        _ => &[],
    };
    let mut steps = reads(plan, key, list).unwrap_or_default();
    steps.extend(plan.appends().map(|(list, value)| Step::Append { key: key(list), value }));
    let call_ns = if fate == Fate::Committed { first.call_ns } else { op.call_ns };
    let (id, client) = (at as u64, u64::from(op.client));
    Transaction { id, client, steps, fate, call_ns, return_ns: op.return_ns }
}

/// What the first half of a watched transaction read.
fn reads(plan: Plan, key: impl Fn(u16) -> u64, mut rest: Entries<'_>) -> Option<Vec<Step>> {
    plan.lists()
        .into_iter()
        .map(|list| {
            let (values, others) = split_list(rest)?;
            rest = others;
            Some(Step::Read { key: key(list), values: Some(values) })
        })
        .collect()
}

/// A list that was read, with its values and numbers.
type Entries<'a> = &'a [((u64, u64), u64)];

/// The first of the lists that a transaction read, and the others.
fn split_list(entries: Entries<'_>) -> Option<(Vec<u64>, Entries<'_>)> {
    let (&((mark, count), _), entries) = entries.split_first()?;
    let (values, others) = entries.split_at_checked(usize::try_from(count).ok()?)?;
    let values = values.iter().map(|&(_, value)| value).collect();
    (mark == READ).then_some((values, others))
}

/// The steps of a transaction with what they read.
fn steps(plan: Plan, key: impl Fn(u16) -> u64, list: Option<Entries<'_>>) -> Option<Vec<Step>> {
    let mut rest = list;
    plan.actions()
        .map(|action| {
            let key = key(action.key);
            if let Some(value) = action.append {
                return Some(Step::Append { key, value });
            }
            let Some(entries) = rest else { return Some(Step::Read { key, values: None }) };
            let (values, others) = split_list(entries)?;
            rest = Some(others);
            Some(Step::Read { key, values: Some(values) })
        })
        .collect()
}
