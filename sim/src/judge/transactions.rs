//! Transactions of the journal as their checker knows them.
//!
//! A server without persistence begins anew after its death: what a list held before and after are
//! two lists. An answer that came was given by the process to which the connection had been made,
//! so an operation belongs to the life in which it was called.

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
    for &at in places {
        let op = &journal.ops[at];
        if op.key.workload == Workload::Transactions {
            let life = deaths.partition_point(|&death_ns| death_ns < op.call_ns) as u64;
            transactions.push(transaction(journal, at, life)?);
        }
    }
    let findings = check(&transactions);
    if findings.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(format!("transactions are not strictly serializable\n{}", texts.join("\n")))
}

fn transaction(journal: &Journal, at: usize, life: u64) -> Result<Transaction, String> {
    let op = &journal.ops[at];
    let key = |index: u16| life << KEY_BITS | u64::from(index);
    let (fate, steps) = match (op.ask, op.seen) {
        (Ask::Look, Seen::List(list)) => {
            let values = journal.lists[list as usize].iter().map(|&(_, value)| value).collect();
            (Fate::Committed, vec![Step::Read { key: key(op.key.index), values: Some(values) }])
        }
        (Ask::Look, Seen::Open | Seen::Unknown) => (Fate::Unknown, Vec::new()),
        (Ask::Transact(plan), Seen::List(list)) => {
            let steps = steps(plan, key, Some(&journal.lists[list as usize]));
            (Fate::Committed, steps.ok_or_else(|| odd(journal, op))?)
        }
        (Ask::Transact(plan), Seen::Nil | Seen::Open | Seen::Unknown) => {
            let steps = steps(plan, key, None).unwrap_or_default();
            (fate_of(op, plan), steps)
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
    let is_aborted = plan.style == crate::workload::Style::Aborted || op.seen == Seen::Nil;
    if is_aborted { Fate::Aborted } else { Fate::Unknown }
}

/// The steps of a transaction with what they read.
fn steps(
    plan: Plan,
    key: impl Fn(u16) -> u64,
    list: Option<&[((u64, u64), u64)]>,
) -> Option<Vec<Step>> {
    let mut rest = list;
    plan.actions()
        .map(|action| {
            let key = key(action.key);
            if let Some(value) = action.append {
                return Some(Step::Append { key, value });
            }
            let Some(entries) = rest else { return Some(Step::Read { key, values: None }) };
            let (&((mark, count), _), entries) = entries.split_first()?;
            let (values, others) = entries.split_at_checked(usize::try_from(count).ok()?)?;
            rest = Some(others);
            let values = values.iter().map(|&(_, value)| value).collect();
            (mark == READ).then_some(Step::Read { key, values: Some(values) })
        })
        .collect()
}
