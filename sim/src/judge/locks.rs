//! Locks: nobody may be told that it holds one while somebody else certainly holds it.
//!
//! A client that acquires a lock holds it from some moment between its call and its answer, for as
//! long as it has asked for, so certainly until that long after its call, less what the server's
//! clock may be wrong. An extension that was answered says the same of its own call; the workload
//! sees to it that extensions only lengthen. Whoever has called a release holds nothing any more.
//! What has no answer, and who has forgotten what it holds, changes nothing.
//!
//! Rule: let A and B be tokens that two clients were told they hold the lock by. It is wrong if B
//! was called after A was answered, and B was answered before A's lease can have ended and before a
//! release of A was called. Where the calls of A and B overlap it is wrong if that is so whichever
//! of them was first. All times are true ones.
//!
//! It is so whatever a server has lost: who comes back without its locks has to wait until none can
//! be left. A server that has no disk, or whose disk somebody has emptied, cannot know that; so
//! nothing is said about two tokens with such a death between them.
//!
//! Who has to wait is answered with LOCKGRACE. That is wrong before any process has ended, and when
//! the longest lease that anybody has asked for, as servers round it up, has passed since the last
//! one began. Where disks give errors, a server that cannot read how long to wait may wait longer
//! than any run.
//!
//! Invariant: what a server can have done is never called wrong.

use std::collections::BTreeMap;

use super::odd;
use crate::fault::FaultKind;
use crate::journal::{Journal, Op, Seen};
use crate::setup::{Keeping, Setup};
use crate::workload::{Ask, KeyName, Workload};
use crate::world::Outcome;

const MS: u64 = 1_000_000;
/// A process that begins knows after this how long to wait, where no fault keeps it or its disk
/// from that.
const READING_NS: u64 = 1_000_000_000;

/// What a server makes of the longest lease at most: a sixteenth more, a second at least, and then
/// the next power of two.
fn rounded_up_ms(ttl_ms: u64) -> u64 {
    (ttl_ms + ttl_ms / 16).max(1_024).next_power_of_two()
}

/// What somebody did to one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// It was told that it holds it.
    Acquired {
        /// For how long.
        ttl_ms: u64,
    },
    /// It was told that it holds it for longer.
    Extended {
        /// From then on.
        ttl_ms: u64,
    },
    /// It asked for its release, answered or not.
    Released,
    /// It was told to wait.
    Refused,
    /// It asked for a lease and does not know what came of it, or was not given it.
    Asked {
        /// For how long.
        ttl_ms: u64,
    },
}

/// One operation on one lock.
#[derive(Clone, Copy, Debug)]
struct Operation {
    act: Act,
    client: u16,
    token: u64,
    call_ns: u64,
    return_ns: u64,
}

/// What was true of the server.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// How wrong its clock may have been, over the longest lease.
    slack_ns: u64,
    /// Deaths of which it cannot know.
    forgotten_ns: Vec<u64>,
    /// When its processes began, the first one included.
    starts_ns: Vec<u64>,
    /// Whether it was told which keys are locks, and has lost something perhaps.
    may_refuse: bool,
    /// For how long a process that begins may not know how long to wait; `None`: for ever.
    reading_ns: Option<u64>,
}

/// Judges the locks of one server; `places` are the operations on it. Unless it `forgives`, deaths
/// of which a server cannot know are none.
pub(super) fn judge(
    setup: &Setup,
    run: &Outcome,
    (server, places): (u16, &[usize]),
    forgives: bool,
) -> Result<(), String> {
    if !setup.workloads.contains(&Workload::Locks) {
        return Ok(());
    }
    let mut by_key: BTreeMap<KeyName, Vec<Operation>> = BTreeMap::new();
    for op in places.iter().map(|&at| &run.journal.ops[at]) {
        if op.key.workload == Workload::Locks {
            by_key.entry(op.key).or_default().extend(operation(&run.journal, op)?);
        }
    }
    let is_forgotten = |at_ns: u64| {
        setup.keeping == Keeping::Nothing || run.files.emptied.contains(&(server, at_ns))
    };
    let harms = [FaultKind::DiskError, FaultKind::BitRot, FaultKind::MisdirectedWrite];
    let deaths = run.deaths.iter().filter(|death| forgives && death.server == server);
    let starts = run.files.starts.iter().filter(|(host, _)| *host == server);
    let has_harms = setup.plan().faults.iter().any(|planned| harms.contains(&planned.fault.kind));
    let facts = Facts {
        slack_ns: run.clock_error_ms[usize::from(server)] * MS,
        forgotten_ns: deaths
            .map(|death| death.at_ns)
            .filter(|&at_ns| is_forgotten(at_ns))
            .collect(),
        starts_ns: starts.map(|&(_, at_ns)| at_ns).collect(),
        // Who cannot read that nothing was lost does not know it.
        may_refuse: setup.lock_grace && (setup.keeping.may_lose() || has_harms),
        reading_ns: (!has_harms).then(|| run.files.stood_ns[usize::from(server)] + READING_NS),
    };
    let asked: Vec<(u64, u64)> = by_key.values().flatten().filter_map(asks).collect();
    for (key, operations) in by_key {
        let mut name = Vec::new();
        key.write(&mut name);
        check(&operations, &facts)
            .and_then(|()| refusals(&operations, &asked, &facts))
            .map_err(|why| format!("lock {}: {why}", String::from_utf8_lossy(&name)))?;
    }
    Ok(())
}

/// An operation as the rule knows it; `None` if it tells nothing.
fn operation(journal: &Journal, op: &Op) -> Result<Option<Operation>, String> {
    let unanswered = matches!(op.seen, Seen::Open | Seen::Unknown);
    let (act, token) = match (op.ask, op.seen) {
        (Ask::Get, Seen::Nil | Seen::Value(_)) => return Ok(None),
        (Ask::Get, _) if unanswered => return Ok(None),
        (Ask::Acquire { value, ttl_ms }, Seen::Done) => (Act::Acquired { ttl_ms }, value),
        (Ask::Acquire { value, ttl_ms }, Seen::Nil) => (Act::Asked { ttl_ms }, value),
        (Ask::Acquire { value, .. }, Seen::Refused(text))
            if journal.texts[text as usize].starts_with(b"LOCKGRACE ") =>
        {
            (Act::Refused, value)
        }
        (Ask::Acquire { value, ttl_ms } | Ask::Extend { value, ttl_ms }, _) if unanswered => {
            (Act::Asked { ttl_ms }, value)
        }
        (Ask::Extend { value, ttl_ms }, Seen::Integer(1)) => (Act::Extended { ttl_ms }, value),
        (Ask::Extend { .. }, Seen::Integer(0)) => return Ok(None),
        (Ask::Release { value }, Seen::Integer(0 | 1) | Seen::Refused(_)) => (Act::Released, value),
        (Ask::Release { value }, _) if unanswered => (Act::Released, value),
        (Ask::Get | Ask::Acquire { .. } | Ask::Extend { .. }, Seen::Refused(_)) => return Ok(None),
        // Somebody meant another script.
        (Ask::Extend { .. } | Ask::Release { .. }, Seen::Error(text))
            if journal.texts[text as usize].starts_with(b"ERR Script killed by user") =>
        {
            return Ok(None);
        }
        _ => return Err(odd(journal, op)),
    };
    let Op { client, call_ns, return_ns, .. } = *op;
    Ok(Some(Operation { act, client, token, call_ns, return_ns }))
}

/// When which time was asked for, if the operation asks for one.
fn asks(operation: &Operation) -> Option<(u64, u64)> {
    match operation.act {
        Act::Acquired { ttl_ms } | Act::Extended { ttl_ms } | Act::Asked { ttl_ms } => {
            Some((operation.call_ns, ttl_ms))
        }
        Act::Released | Act::Refused => None,
    }
}

/// Somebody who was told that it holds the lock, and until when it certainly does.
#[derive(Clone, Copy, Debug)]
struct Holder {
    operation: Operation,
    until_ns: u64,
    is_new: bool,
}

/// Whether nobody was given the lock while somebody else held it.
fn check(operations: &[Operation], facts: &Facts) -> Result<(), String> {
    let mut released_ns: BTreeMap<u64, u64> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| operation.act == Act::Released) {
        let at_ns = released_ns.entry(operation.token).or_insert(operation.call_ns);
        *at_ns = operation.call_ns.min(*at_ns);
    }
    let holder = |&operation: &Operation| {
        let (ttl_ms, is_new) = match operation.act {
            Act::Acquired { ttl_ms } => (ttl_ms, true),
            Act::Extended { ttl_ms } => (ttl_ms, false),
            _ => return None,
        };
        let ends_ns = (operation.call_ns + ttl_ms * MS).saturating_sub(facts.slack_ns);
        let released_ns = released_ns.get(&operation.token).copied().unwrap_or(u64::MAX);
        Some(Holder { operation, until_ns: ends_ns.min(released_ns), is_new })
    };
    let mut holders: Vec<Holder> = operations.iter().filter_map(holder).collect();
    holders.sort_by_key(|holder| holder.operation.call_ns);
    for (place, one) in holders.iter().enumerate() {
        // Whoever was told before this one's lease has ended; those are few.
        let others = holders[place + 1..].iter();
        let others = others.take_while(|other| other.operation.call_ns < one.until_ns);
        for other in others.filter(|other| other.operation.token != one.operation.token) {
            if overlap(one, other) && !facts.have_forgotten(one, other) {
                return Err(explain(one, other, facts));
            }
        }
    }
    Ok(())
}

/// Whether `other`, which was called later, was certainly given the lock while `one` held it.
fn overlap(one: &Holder, other: &Holder) -> bool {
    let lasts = |holder: &Holder, next: &Holder| next.operation.return_ns < holder.until_ns;
    if one.operation.return_ns < other.operation.call_ns {
        // That an extension comes behind says nothing: what was lost may have been there again.
        return other.is_new && lasts(one, other);
    }
    one.is_new && other.is_new && lasts(one, other) && lasts(other, one)
}

impl Facts {
    /// Whether the server may have forgotten `one` without knowing, before it answered `other`.
    fn have_forgotten(&self, one: &Holder, other: &Holder) -> bool {
        let from_ns = one.operation.call_ns.min(other.operation.call_ns);
        let to_ns = one.operation.return_ns.max(other.operation.return_ns);
        self.forgotten_ns.iter().any(|at_ns| (from_ns..=to_ns).contains(at_ns))
    }
}

/// Whether those who were told to wait had a reason to; `asked` tells when which times were asked
/// for, of all locks.
fn refusals(operations: &[Operation], asked: &[(u64, u64)], facts: &Facts) -> Result<(), String> {
    for operation in operations.iter().filter(|operation| operation.act == Act::Refused) {
        let Operation { client, call_ns, return_ns, .. } = *operation;
        let begun = facts.starts_ns.partition_point(|&at_ns| at_ns <= return_ns);
        let wrong = match begun {
            _ if !facts.may_refuse => Some("the server loses nothing".to_owned()),
            0 | 1 => Some("no process has ended yet".to_owned()),
            _ => {
                let asked = asked.iter().filter(|(at_ns, _)| *at_ns < return_ns);
                let longest_ms = asked.map(|&(_, ttl_ms)| ttl_ms).max().unwrap_or(0);
                let start_ns = facts.starts_ns[begun - 1];
                let wait_ns = rounded_up_ms(longest_ms) * MS + facts.slack_ns;
                let until_ns = facts.reading_ns.map(|reading_ns| start_ns + reading_ns + wait_ns);
                until_ns.is_some_and(|until_ns| call_ns > until_ns).then(|| {
                    let start = Seconds(start_ns);
                    format!("its process began at {start} and no lease was over {longest_ms} ms")
                })
            }
        };
        if let Some(wrong) = wrong {
            let at = Seconds(call_ns);
            return Err(format!("client {client} was told at {at} to wait for no reason: {wrong}"));
        }
    }
    Ok(())
}

fn explain(one: &Holder, other: &Holder, facts: &Facts) -> String {
    let (first, second) = (&one.operation, &other.operation);
    let verb = if one.is_new { "acquired" } else { "extended" };
    let between =
        facts.starts_ns.iter().filter(|at_ns| (first.call_ns..=second.return_ns).contains(at_ns));
    let starts: Vec<String> = between.map(|&at_ns| Seconds(at_ns).to_string()).collect();
    let starts = match starts.len() {
        0 => "its process was the same all the time".to_owned(),
        _ => format!("processes began in between at {}", starts.join(", ")),
    };
    format!(
        "two held it at once: client {} {verb} it between {} and {} (token {}) and held it until \
         {} at least, and client {} acquired it between {} and {} (token {}); {starts}",
        first.client,
        Seconds(first.call_ns),
        Seconds(first.return_ns),
        first.token,
        Seconds(one.until_ns),
        second.client,
        Seconds(second.call_ns),
        Seconds(second.return_ns),
        second.token,
    )
}

/// A time, for people.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.6} s", self.0 as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operation of the client whose number is the token's, over 10 ms.
    fn at(call_ms: u64, token: u64, act: Act) -> Operation {
        let (call_ns, return_ns) = (call_ms * MS, (call_ms + 10) * MS);
        Operation { act, client: token as u16, token, call_ns, return_ns }
    }

    fn acquired(call_ms: u64, token: u64, ttl_ms: u64) -> Operation {
        at(call_ms, token, Act::Acquired { ttl_ms })
    }

    fn extended(call_ms: u64, token: u64, ttl_ms: u64) -> Operation {
        at(call_ms, token, Act::Extended { ttl_ms })
    }

    fn released(call_ms: u64, token: u64) -> Operation {
        at(call_ms, token, Act::Released)
    }

    /// So many milliseconds of clock error, and deaths that servers cannot know of.
    fn facts(slack_ms: u64, forgotten_ms: &[u64]) -> Facts {
        let forgotten_ns = forgotten_ms.iter().map(|ms| ms * MS).collect();
        Facts { slack_ns: slack_ms * MS, forgotten_ns, ..Facts::default() }
    }

    #[track_caller]
    fn judge(operations: &[Operation], facts: &Facts, is_fine: bool) {
        for turned in [false, true] {
            let mut operations = operations.to_vec();
            if turned {
                operations.reverse();
            }
            let verdict = check(&operations, facts);
            assert_eq!(verdict.is_ok(), is_fine, "{verdict:?}");
        }
    }

    #[test]
    fn a_lock_is_free_when_its_time_is_over_and_not_before() {
        let first = acquired(100, 1, 1_000);
        judge(&[first, acquired(1_095, 2, 500)], &facts(0, &[]), true);
        judge(&[first, acquired(1_089, 2, 500)], &facts(0, &[]), false);
        // The clock may have been fast.
        judge(&[first, acquired(1_089, 2, 500)], &facts(5, &[]), true);
        judge(&[first, acquired(1_080, 2, 500)], &facts(5, &[]), false);
        // A third one is compared with both.
        let three = [first, acquired(1_095, 2, 5_000), acquired(3_000, 3, 10)];
        judge(&three, &facts(0, &[]), false);
    }

    #[test]
    fn two_holders_are_told_apart_in_words() {
        let why = check(&[acquired(100, 1, 1_000), acquired(500, 2, 500)], &facts(7, &[]));
        let why = why.expect_err("both held it");
        for part in ["client 1", "client 2", "until 1.093000 s", "the same all the time"] {
            assert!(why.contains(part), "{why}");
        }
        let facts = Facts { starts_ns: vec![0, 300 * MS], ..facts(7, &[]) };
        let why = check(&[acquired(100, 1, 1_000), acquired(500, 2, 500)], &facts);
        assert!(why.expect_err("both").contains("began in between at 0.300000 s"));
    }

    #[test]
    fn a_release_ends_a_lease_as_soon_as_it_is_called() {
        let both = [acquired(100, 1, 5_000), acquired(500, 2, 500)];
        judge(&both, &facts(0, &[]), false);
        judge(&[&both[..], &[released(400, 1)]].concat(), &facts(0, &[]), true);
        // It may be carried out while the other one waits.
        judge(&[&both[..], &[released(509, 1)]].concat(), &facts(0, &[]), true);
        judge(&[&both[..], &[released(511, 1)]].concat(), &facts(0, &[]), false);
        // That of another token is none.
        judge(&[&both[..], &[released(400, 3)]].concat(), &facts(0, &[]), false);
        // Of two, the first counts.
        let twice = [released(800, 1), released(400, 1)];
        judge(&[&both[..], &twice].concat(), &facts(0, &[]), true);
    }

    #[test]
    fn an_extension_lengthens_a_lease_from_its_call_on() {
        let both = [acquired(100, 1, 1_000), acquired(1_500, 2, 500)];
        judge(&both, &facts(0, &[]), true);
        judge(&[&both[..], &[extended(900, 1, 1_000)]].concat(), &facts(0, &[]), false);
        judge(&[&both[..], &[extended(400, 1, 1_000)]].concat(), &facts(0, &[]), true);
        let freed = [extended(900, 1, 1_000), released(950, 1)];
        judge(&[&both[..], &freed].concat(), &facts(0, &[]), true);
        // What came back with an old state may be extended by whoever held it then.
        judge(&[&both[..], &[extended(1_600, 1, 1_000)]].concat(), &facts(0, &[]), true);
        // Whose call is open beside the other's may have been first or last.
        judge(&[&both[..], &[extended(1_495, 1, 1_000)]].concat(), &facts(0, &[]), true);
    }

    #[test]
    fn what_is_not_known_is_no_lease() {
        let asked = at(100, 1, Act::Asked { ttl_ms: 5_000 });
        judge(&[asked, acquired(500, 2, 500)], &facts(0, &[]), true);
        judge(&[at(100, 1, Act::Refused), acquired(500, 2, 500)], &facts(0, &[]), true);
    }

    #[test]
    fn of_two_at_once_one_is_wrong_whichever_was_first() {
        // The calls overlap, and each lease outlasts the other's answer.
        judge(&[acquired(100, 1, 500), acquired(105, 2, 500)], &facts(0, &[]), false);
        // The second may have been first, and its lease may have ended.
        let short = Operation { return_ns: 700 * MS, ..acquired(100, 1, 5_000) };
        judge(&[short, acquired(105, 2, 500)], &facts(0, &[]), true);
        judge(&[short, acquired(105, 2, 800)], &facts(0, &[]), false);
        // Or it was released.
        judge(&[short, acquired(105, 2, 800), released(300, 2)], &facts(0, &[]), true);
    }

    #[test]
    fn a_death_that_a_server_cannot_know_of_explains_everything_over_it() {
        let both = [acquired(100, 1, 5_000), acquired(500, 2, 500)];
        judge(&both, &facts(0, &[300]), true);
        judge(&both, &facts(0, &[105]), true);
        judge(&both, &facts(0, &[99]), false);
        judge(&both, &facts(0, &[511]), false);
    }

    #[test]
    fn who_is_told_to_wait_is_told_why() {
        let refused = |call_ms| vec![at(call_ms, 9, Act::Refused)];
        let asked = [(100 * MS, 2_000), (9_000 * MS, 20_000)];
        let facts = |may_refuse, starts_ms: &[u64]| {
            let starts_ns = starts_ms.iter().map(|ms| ms * MS).collect();
            Facts { may_refuse, starts_ns, reading_ns: Some(500 * MS), ..facts(5, &[]) }
        };
        let judge = |call_ms, facts: &Facts| refusals(&refused(call_ms), &asked, facts);
        assert!(judge(1_500, &facts(true, &[0, 1_000])).is_ok());
        // 2,000 are 4,096.
        assert!(judge(5_601, &facts(true, &[0, 1_000])).is_ok());
        let late = judge(5_602, &facts(true, &[0, 1_000])).expect_err("too late");
        assert!(late.contains("no lease was over 2000 ms"), "{late}");
        // What was asked for later is no reason, but for those who come later still.
        assert!(judge(9_500, &facts(true, &[0, 1_000])).is_ok());
        let unknown = Facts { reading_ns: None, ..facts(true, &[0, 1_000]) };
        assert!(judge(5_602, &unknown).is_ok());
        let first = judge(1_500, &facts(true, &[0])).expect_err("there was none before");
        assert!(first.contains("no process has ended"), "{first}");
        let never = judge(1_500, &facts(false, &[0, 1_000])).expect_err("nothing is lost");
        assert!(never.contains("loses nothing"), "{never}");
    }
}
