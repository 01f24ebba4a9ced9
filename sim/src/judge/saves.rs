//! Keys that are saved, as the checker of recoveries knows them.

use super::odd;
use crate::check::recovery::{self, Act, Death, Operation, Promise};
use crate::journal::{Journal, Op, Seen};
use crate::setup::{Keeping, Setup};
use crate::workload::{Ask, Workload};
use crate::world::Outcome;

/// How often a log is synced that is synced every second.
const SECOND_NS: u64 = 1_000_000_000;
/// A sync takes no longer than this, where no fault says so, and another may be waiting for it.
const SYNC_NS: u64 = 2_000_000_000;

/// Judges what one server had after its deaths; `places` are the operations on it. After how many
/// of them clients saw that something was there again.
pub(super) fn judge(
    setup: &Setup,
    run: &Outcome,
    server: u16,
    places: &[usize],
) -> Result<usize, String> {
    let journal = &run.journal;
    // A snapshot that fails may keep the next one waiting, so that it begins after its reply.
    let may_wait = setup.plan().faults.iter().any(|planned| planned.fault.kind.is_of_disk());
    let mut operations = Vec::new();
    for op in places.iter().map(|&at| &journal.ops[at]) {
        if op.key.workload == Workload::Saves {
            operations.extend(operation(journal, op, may_wait)?);
        }
    }
    let deaths = run.deaths.iter().filter(|death| death.server == server);
    let mut deaths: Vec<Death> = deaths
        .map(|death| {
            let place = (server, death.at_ns);
            let promise = match setup.keeping {
                _ if run.files.emptied.contains(&place) => Promise::Nothing,
                Keeping::Nothing | Keeping::Snapshots => Promise::Snapshot,
                Keeping::EverySecond if run.files.power_losses.contains(&place) => {
                    let stood_ns = run.files.stood_ns[usize::from(server)];
                    Promise::Log { loses_ns: SECOND_NS + SYNC_NS + stood_ns }
                }
                Keeping::Unsynced if run.files.power_losses.contains(&place) => {
                    Promise::Log { loses_ns: u64::MAX }
                }
                Keeping::Unsynced | Keeping::EverySecond | Keeping::Always => {
                    Promise::Log { loses_ns: 0 }
                }
            };
            Death { at_ns: death.at_ns, promise }
        })
        .collect();
    deaths.sort_unstable_by_key(|death| death.at_ns);
    recovery::check(&operations, &deaths)
}

/// An operation as the checker knows it; `None` if it tells nothing.
fn operation(journal: &Journal, op: &Op, may_wait: bool) -> Result<Option<Operation>, String> {
    let unanswered = matches!(op.seen, Seen::Open | Seen::Unknown);
    let mut return_ns = op.return_ns;
    let act = match (op.ask, op.seen) {
        (_, Seen::Refused(_)) => return Ok(None),
        (Ask::Set { value }, Seen::Done) => Act::Write { key: op.key.index, value, known: true },
        (Ask::Set { value }, _) if unanswered => {
            Act::Write { key: op.key.index, value, known: false }
        }
        (Ask::GetAll { .. }, Seen::List(at)) => {
            let shown = journal.lists[at as usize].iter();
            Act::Read(shown.map(|&((key, _), value)| (key as u16, value)).collect())
        }
        (Ask::Save, Seen::Done) => Act::Save { known: true },
        (Ask::SaveInBackground, Seen::Done) => {
            if may_wait {
                return_ns = u64::MAX;
            }
            Act::Save { known: false }
        }
        (Ask::Save | Ask::SaveInBackground, Seen::Error(at)) => {
            let text = &journal.texts[at as usize];
            if text.starts_with(b"ERR Background save already in progress") {
                return Ok(None);
            }
            // It may have come so far that only its end was not safe.
            if !may_wait || !text.starts_with(b"ERR ") {
                return Err(odd(journal, op));
            }
            return_ns = u64::MAX;
            Act::Save { known: false }
        }
        (Ask::Save | Ask::SaveInBackground, _) if unanswered => Act::Save { known: false },
        (Ask::HasSaved { since_ns }, Seen::Done) => Act::Saved { since_ns },
        (Ask::HasSaved { .. }, Seen::Nil) => return Ok(None),
        // It has failed.
        (Ask::HasSaved { .. }, Seen::Integer(_)) if may_wait => return Ok(None),
        (Ask::GetAll { .. } | Ask::HasSaved { .. }, _) if unanswered => return Ok(None),
        _ => return Err(odd(journal, op)),
    };
    Ok(Some(Operation { act, call_ns: op.call_ns, return_ns }))
}
