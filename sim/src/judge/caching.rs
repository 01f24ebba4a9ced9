//! What clients with copies did and saw, as operations on single keys.
//!
//! A look at a copy is a read. It may have taken effect at any time since everything that the
//! server had told was known to the client: a copy may be stale only as long as the news about its
//! key may be under way. That a key's time is over is told when somebody finds it so, so a copy
//! need not know it before.
//!
//! What changes several keys at once is judged as one operation on each.

use super::{WORLD_PROCESS, Writer, odd};
use crate::history::{Command, Operation, Outcome, Reply, SetCommand, Value};
use crate::journal::{Journal, Op, Recall, Seen};
use crate::workload::{Ask, KeyName, Step, Workload};

/// Operations that the world makes of one have numbers from here on.
const EXTRA_IDS: u64 = 1 << 40;
/// Looks at copies have numbers from here on.
const RECALL_IDS: u64 = 1 << 41;
/// As many keys have room for their numbers in an operation's.
const KEY_BITS: u32 = 16;

/// Whether the answers that are no operations on keys are what they should be.
pub(super) fn judge(journal: &Journal, places: &[usize]) -> Result<(), String> {
    for op in places.iter().map(|&at| &journal.ops[at]) {
        let unanswered = matches!(op.seen, Seen::Open | Seen::Unknown | Seen::Refused(_));
        let is_fine = match (op.ask, op.seen) {
            _ if op.key.workload != Workload::Caches || unanswered => true,
            (Ask::Cached(Step::WhoAmI), seen) => matches!(seen, Seen::Integer(1..)),
            (Ask::Cached(Step::Track { redirect: Some(_), .. }), Seen::Error(text)) => {
                // The second connection may end at any time.
                let text = &journal.texts[text as usize];
                text.starts_with(b"ERR The client ID you want redirect to does not exist")
            }
            (
                Ask::Ping
                | Ask::Cached(
                    Step::Hello
                    | Step::Select { .. }
                    | Step::Listen
                    | Step::Track { .. }
                    | Step::Probe
                    | Step::Pair { .. }
                    | Step::Flush { .. }
                    | Step::Swap { .. },
                ),
                seen,
            ) => seen == Seen::Done,
            _ => true,
        };
        if !is_fine {
            return Err(odd(journal, op));
        }
    }
    Ok(())
}

/// The operations on keys that one of a client with copies is; `keys` is how many there are.
pub(super) fn operations(writer: &mut Writer<'_>, at: usize, keys: u16) -> Vec<Operation> {
    let op = writer.journal.ops[at];
    match op.ask {
        Ask::Ping => Vec::new(),
        Ask::Cached(Step::Fetch { .. }) => {
            let key = writer.key(op.key);
            vec![writer.operation_of(at, Command::Get { key })]
        }
        Ask::Cached(Step::Pair { value, other, .. }) => {
            let names = [op.key.index, other];
            let both = names.into_iter().zip(Step::pair(value)).zip(0_u64..);
            both.map(|((index, value), slot)| {
                let key = writer.key(KeyName { index, ..op.key });
                let set = SetCommand { key, value: writer.value(value), ..SetCommand::default() };
                let set = writer.operation_of(at, Command::Set(set));
                extra(set, slot)
            })
            .collect()
        }
        Ask::Cached(Step::Flush { .. } | Step::Swap { .. }) => {
            let all = (0..keys).map(|index| {
                let key = writer.key(KeyName { index, ..op.key });
                extra(
                    gone(writer.operation_of(at, Command::Get { key: key.clone() }), key),
                    index.into(),
                )
            });
            all.collect()
        }
        Ask::Cached(_) => Vec::new(),
        _ => vec![writer.operation(at)],
    }
}

fn extra(operation: Operation, slot: u64) -> Operation {
    let id = EXTRA_IDS | operation.id << KEY_BITS | slot;
    Operation { id, process: WORLD_PROCESS + id, ..operation }
}

/// The deletion of a key, whether it is there or not: SET and DEL in one transaction have one
/// answer in both cases.
pub(super) fn gone(operation: Operation, key: Value) -> Operation {
    let set = SetCommand { key: key.clone(), ..SetCommand::default() };
    let commands = vec![Command::Set(set), Command::Del { keys: vec![key] }];
    let outcome = match operation.outcome {
        Outcome::Ok(_) => Outcome::Ok(Reply::Array(vec![Reply::Done, Reply::Int(1)])),
        other => other,
    };
    Operation { command: Command::Multi { commands }, outcome, ..operation }
}

/// A look at a copy as an operation.
pub(super) fn recall(writer: &mut Writer<'_>, at: usize, recall: Recall) -> Operation {
    let key = writer.key(KeyName { workload: Workload::Caches, index: recall.key });
    let value = recall.value.map(|value| writer.value(value));
    let id = RECALL_IDS | at as u64;
    Operation {
        id,
        process: WORLD_PROCESS + id,
        command: Command::Cached { key },
        call_us: recall.since_ns / 1000,
        return_us: Some(recall.at_ns.div_ceil(1000)),
        outcome: Outcome::Ok(value.map_or(Reply::Nil, Reply::Bulk)),
    }
}

/// Why servers may refuse commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refuses {
    /// Their memory is limited.
    pub(super) is_limited: bool,
    /// Scripts may keep others waiting.
    pub(super) has_scripts: bool,
    /// They have files to load, and to write.
    pub(super) loads: bool,
}

/// Whether an operation was refused for a reason that there was.
pub(super) fn is_fair(journal: &Journal, op: &Op, refuses: Refuses) -> bool {
    let Refuses { is_limited, has_scripts, loads } = refuses;
    let Seen::Refused(text) = op.seen else { return true };
    match &journal.texts[text as usize][..] {
        text if text.starts_with(b"OOM ") => is_limited,
        text if text.starts_with(b"BUSY ") => has_scripts,
        text if text.starts_with(b"LOADING ") => loads,
        text if text.starts_with(b"MISCONF ") => loads,
        // Their own judge looks at the times.
        text if text.starts_with(b"LOCKGRACE ") => loads && op.key.workload == Workload::Locks,
        _ => is_limited || has_scripts || loads,
    }
}
