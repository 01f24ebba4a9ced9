//! Queues, consumer groups, fields with a time to live, transactions, messages, copies that clients
//! keep, scripts and full memory in the simulated world: nothing is wrong with the engine, much is
//! wrong with one that has a bug, and what should happen happens.

use orrery_engine::config::{Order, Policy};
use orrery_engine::planted::PlantedBug;
use orrery_sim::check::messages::Event;
use orrery_sim::fault::FaultKind;
use orrery_sim::journal::{Op, Recall, Seen};
use orrery_sim::setup::{Memory, Setup};
use orrery_sim::trial::{Fault, Trial, trial};
use orrery_sim::workload::{Ask, Mode, Scope, Step, Style, Via, Workload};
use orrery_sim::world::Watch;

const WORKLOADS: [Workload; 3] = [Workload::Queues, Workload::Groups, Workload::Fields];

fn run(setup: &Setup) -> Trial {
    trial(setup, &mut Watch::default(), true)
}

/// A world with this one workload; without faults if it is to be calm.
fn world(workload: Workload, seed: u64, calm: bool) -> Setup {
    let setup = Setup { seed, seconds: 10, workloads: vec![workload], ..Setup::default() };
    if calm { Setup { faults: Vec::new(), ..setup } } else { setup }
}

/// How many operations of calm worlds are such.
fn count(workload: Workload, is_such: impl Fn(&Trial, &Op) -> bool) -> usize {
    let trials = (1..=4).map(|seed| run(&world(workload, seed, true)));
    let counts = trials
        .map(|trial| trial.outcome.journal.ops.iter().filter(|op| is_such(&trial, op)).count());
    counts.sum()
}

#[test]
fn nothing_is_wrong_whatever_the_faults_are() {
    for workload in WORKLOADS {
        for seed in 1..=6 {
            for calm in [true, false] {
                let result = run(&world(workload, seed, calm));
                let ours = |fault: &&Fault| !matches!(fault, Fault::NeverFired(_));
                let faults: Vec<&Fault> = result.faults.iter().filter(ours).collect();
                assert!(faults.is_empty(), "{workload:?} seed {seed}: {faults:?}");
            }
        }
    }
}

#[test]
fn an_engine_that_forgets_changes_is_found_by_each_workload() {
    for workload in WORKLOADS {
        let found = (1..=3).any(|seed| {
            let planted = Some(PlantedBug::LostChange);
            let result = run(&Setup { planted, ..world(workload, seed, true) });
            result.faults.iter().any(|fault| match fault {
                Fault::NotKept { .. } => workload != Workload::Fields,
                Fault::Violation { .. } => workload == Workload::Fields,
                _ => false,
            })
        });
        assert!(found, "{workload:?}");
    }
}

#[test]
fn waiting_clients_are_served_and_time_out() {
    let blocking = |op: &Op| matches!(op.ask, Ask::BlockingPop { .. });
    // Served after it has waited for longer than any reply is on its way.
    let served = count(Workload::Queues, |_, op| {
        let waited_ns = op.return_ns.saturating_sub(op.call_ns);
        blocking(op) && matches!(op.seen, Seen::Value(_)) && waited_ns > 100_000_000
    });
    let timed_out = count(Workload::Queues, |_, op| blocking(op) && op.seen == Seen::Nil);
    assert!(served > 20 && timed_out > 20, "{served} served, {timed_out} timed out");
}

#[test]
fn groups_read_claim_and_acknowledge() {
    let lists = |wanted: fn(&Ask) -> bool| {
        count(Workload::Groups, |trial, op| match op.seen {
            Seen::List(at) => {
                wanted(&op.ask) && !trial.outcome.journal.lists[at as usize].is_empty()
            }
            _ => false,
        })
    };
    let read = lists(|ask| matches!(ask, Ask::ReadGroup { .. }));
    let claimed = lists(|ask| matches!(ask, Ask::Claim { .. }));
    let pending = lists(|ask| matches!(ask, Ask::Pending));
    let is_ack = |op: &Op| matches!(op.ask, Ask::Ack { .. }) && op.seen == Seen::Integer(1);
    let acknowledged = count(Workload::Groups, |_, op| is_ack(op));
    let counts = [read, claimed, pending, acknowledged];
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
}

#[test]
fn fields_are_seen_to_expire() {
    let result = run(&world(Workload::Fields, 1, true));
    let ops = &result.outcome.journal.ops;
    let gone = ops.iter().filter(|op| op.ask == Ask::Pttl && op.seen == Seen::Integer(-2)).count();
    let timed = ops
        .iter()
        .filter(|op| op.ask == Ask::Pttl && matches!(op.seen, Seen::Integer(ttl_ms) if ttl_ms > 0));
    let timed = timed.count();
    assert!(gone > 5 && timed > 5, "{gone} gone, {timed} with a time to live");
}

/// What is wrong with worlds of one workload whose servers have a bug, without faults.
fn wrongs(workload: Workload, planted: PlantedBug, seeds: u64) -> Vec<String> {
    let setups =
        (1..=seeds).map(|seed| Setup { planted: Some(planted), ..world(workload, seed, true) });
    let faults = setups.flat_map(|setup| run(&setup).faults);
    let not_kept = faults.filter_map(|fault| match fault {
        Fault::NotKept { why, .. } => Some(why),
        _ => None,
    });
    not_kept.collect()
}

#[test]
fn transactions_and_messages_are_as_they_should_be_whatever_the_faults_are() {
    for workload in Workload::ADDED {
        for seed in 1..=8 {
            for calm in [true, false] {
                let result = run(&world(workload, seed, calm));
                let ours = |fault: &&Fault| !matches!(fault, Fault::NeverFired(_));
                let faults: Vec<&Fault> = result.faults.iter().filter(ours).collect();
                assert!(faults.is_empty(), "{workload:?} seed {seed}: {faults:?}");
            }
        }
    }
}

#[test]
fn transactions_append_read_abort_and_run_as_scripts() {
    let style = |wanted: Style, seen: fn(&Seen) -> bool| {
        count(Workload::Transactions, |_, op| match op.ask {
            Ask::Transact(plan) => plan.style == wanted && seen(&op.seen),
            _ => false,
        })
    };
    let is_list = |seen: &Seen| matches!(seen, Seen::List(_));
    let (exec, script) = (style(Style::Exec, is_list), style(Style::Script, is_list));
    let aborted = style(Style::Aborted, |seen| *seen == Seen::Nil);
    let looks = count(Workload::Transactions, |_, op| op.ask == Ask::Look);
    let counts = [exec, script, aborted, looks];
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
    // With deaths, clients see that their lists are gone.
    let faults = vec![FaultKind::Kill];
    let losses = (1..=4).filter(|&seed| {
        let setup = Setup { faults: faults.clone(), ..world(Workload::Transactions, seed, true) };
        run(&setup).loss() == orrery_sim::judge::Loss::Seen
    });
    assert!(losses.count() > 0);
}

#[test]
fn transactions_that_are_not_atomic_lose_appends_or_read_stale_lists_are_found_and_explained() {
    let bugs = [
        (PlantedBug::TornExec, &["G-single", "G2", "G0", "G1c"][..]),
        (PlantedBug::LostChange, &["G-single", "internal", "incompatible-order"][..]),
        (PlantedBug::StaleReply, &["G-single", "internal", "G2"][..]),
    ];
    for (bug, names) in bugs {
        let found = wrongs(Workload::Transactions, bug, 3);
        let is_named = |why: &String| {
            let mut lines = why.lines();
            lines.any(|line| names.iter().any(|name| line.starts_with(name)))
        };
        assert!(!found.is_empty(), "{bug:?} is not found");
        assert!(found.iter().any(is_named), "{bug:?}: {found:?}");
        assert!(found.iter().all(|why| why.contains("not strictly serializable")), "{found:?}");
    }
}

#[test]
fn listeners_hear_messages_and_miss_those_that_are_lost_or_late() {
    let result = run(&world(Workload::Messages, 1, true));
    let heard = &result.outcome.journal.heard;
    let messages = heard.iter().filter(|heard| matches!(heard.event, Event::Message { .. }));
    let answers = heard.iter().filter(|heard| matches!(heard.event, Event::Answered { .. }));
    let counts = [messages.count(), answers.count()];
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
    let lost = wrongs(Workload::Messages, PlantedBug::LostMessage, 2);
    assert!(lost.iter().any(|why| why.contains("is lost")), "{lost:?}");
    let late = wrongs(Workload::Messages, PlantedBug::LateMessage, 2);
    assert!(late.iter().any(|why| why.contains("came behind message")), "{late:?}");
}

/// The worlds of one workload whose servers have a bug, without faults, up to the first in which
/// something is wrong: how many, and what is.
fn search(setups: impl Iterator<Item = Setup>) -> (usize, String) {
    let mut worlds = 0;
    for setup in setups {
        worlds += 1;
        let wrong = run(&setup).faults.into_iter().find_map(|fault| match fault {
            Fault::NotKept { why, .. } | Fault::Violation { why, .. } => Some(why),
            _ => None,
        });
        if let Some(why) = wrong {
            return (worlds, why);
        }
    }
    (worlds, String::new())
}

#[test]
fn clients_keep_copies_in_every_way_and_look_at_them() {
    let trials: Vec<Trial> =
        (1..=6).map(|seed| run(&world(Workload::Caches, seed, true))).collect();
    let recalls = || trials.iter().flat_map(|trial| &trial.outcome.journal.recalls);
    let (there, not_there) =
        (|recall: &&Recall| recall.value.is_some(), |recall: &&Recall| recall.value.is_none());
    let counts = [recalls().filter(there).count(), recalls().filter(not_there).count()];
    assert!(counts.iter().all(|&count| count > 300), "{counts:?}");
    let ops = || trials.iter().flat_map(|trial| &trial.outcome.journal.ops);
    let modes: Vec<Mode> = ops()
        .filter_map(|op| match (op.ask, op.seen) {
            (Ask::Cached(Step::Track { mode, .. }), Seen::Done) => Some(mode),
            _ => None,
        })
        .collect();
    for via in [Via::Push, Via::Redirect] {
        for scope in [Scope::All, Scope::OptIn, Scope::OptOut, Scope::Everything] {
            assert!(modes.iter().any(|mode| (mode.via, mode.scope) == (via, scope)), "{scope:?}");
        }
        let some = |mode: &Mode| mode.via == via && matches!(mode.scope, Scope::Prefixes { .. });
        assert!(modes.iter().any(some), "{via:?}");
    }
    let done = |wanted: fn(Step) -> bool| {
        ops().filter(|op| matches!(op.ask, Ask::Cached(step) if wanted(step))).count()
    };
    let flushes = done(|step| matches!(step, Step::Flush { .. }));
    let swaps = done(|step| matches!(step, Step::Swap { .. }));
    let pairs = done(|step| matches!(step, Step::Pair { .. }));
    assert!(flushes > 10 && swaps > 3 && pairs > 50, "{flushes}, {swaps}, {pairs}");
}

#[test]
fn a_copy_whose_end_nobody_is_told_of_is_found() {
    for calm in [true, false] {
        let worlds = (1..=30).map(|seed| world(Workload::Caches, seed, calm));
        let planted = Some(PlantedBug::MissedNews);
        let (worlds, why) = search(worlds.map(|setup| Setup { planted, ..setup }));
        assert!(why.contains("copy of \"k"), "{worlds} worlds: {why}");
    }
}

#[test]
fn a_watch_that_does_not_see_what_scripts_change_is_a_lost_update() {
    let commits = |wanted: Seen| {
        count(Workload::Transactions, |_, op| matches!(op.ask, Ask::Commit(_)) && op.seen == wanted)
    };
    let counts = [commits(Seen::Done), commits(Seen::Nil)];
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
    let found = wrongs(Workload::Transactions, PlantedBug::BlindWatch, 3);
    let is_named = |why: &String| why.lines().any(|line| line.starts_with("G-single"));
    assert!(found.iter().any(is_named), "{found:?}");
}

/// A world in which servers have little memory.
fn full(seed: u64, policy: &str, room_bytes: u64) -> Setup {
    let workloads =
        [Workload::Registers, Workload::Counters, Workload::Ttl, Workload::Queues, Workload::Bulk];
    let policy = Policy::named(policy).expect("a policy");
    let setup = Setup { seed, seconds: 10, faults: Vec::new(), ..Setup::default() };
    Setup { workloads: workloads.to_vec(), memory: Some(Memory { policy, room_bytes }), ..setup }
}

#[test]
fn keys_go_when_memory_is_full_and_nothing_else_is_wrong() {
    for policy in Policy::ALL {
        let mut evicted = 0;
        let mut refused = 0;
        for seed in 1..=2 {
            let setup = full(seed, policy.name(), 60_000);
            let result = run(&setup);
            assert!(result.faults.is_empty(), "{policy:?} seed {seed}: {:?}", result.faults);
            evicted += result.outcome.effects.evicted;
            let ops = result.outcome.journal.ops.iter();
            refused += ops.filter(|op| matches!(op.seen, Seen::Refused(_))).count();
        }
        let evicts = policy.order != Order::Never;
        assert_eq!(evicted > 0, evicts, "{policy:?}: {evicted} evicted");
        // Where all keys may go, there is always room.
        assert!(refused > 0 || (evicts && !policy.only_volatile), "{policy:?}: {refused} refused");
    }
}

#[test]
fn an_eviction_of_what_may_not_go_is_found_under_every_policy() {
    let evicting = Policy::ALL.into_iter().filter(|policy| policy.order != Order::Never);
    for policy in evicting {
        let planted = Some(PlantedBug::WrongVictim);
        let worlds = (1..=10).map(|seed| Setup { planted, ..full(seed, policy.name(), 60_000) });
        let (worlds, why) = search(worlds);
        assert!(!why.is_empty(), "{policy:?}: nothing in {worlds} worlds");
    }
}

#[test]
fn a_script_that_never_ends_keeps_others_waiting_until_somebody_kills_it() {
    let (mut killed, mut told) = (0, 0);
    for seed in 1..=4 {
        let result = run(&world(Workload::Scripts, seed, true));
        let journal = &result.outcome.journal;
        let text = |at: u32| String::from_utf8_lossy(&journal.texts[at as usize]).into_owned();
        assert!(result.outcome.effects.script_steps > 50, "seed {seed}");
        for endless in &journal.ops {
            let Ask::SlowSet { turns: 0, .. } = endless.ask else { continue };
            assert_ne!(endless.seen, Seen::Done, "it has no end");
            let Seen::Error(why) = endless.seen else { continue };
            assert!(text(why).starts_with("ERR Script killed by user with SCRIPT KILL"));
            let during = |op: &&Op| {
                op.server == endless.server
                    && op.client != endless.client
                    && op.return_ns > endless.call_ns
                    && op.call_ns < endless.return_ns
            };
            let others: Vec<&Op> = journal.ops.iter().filter(during).collect();
            let is_busy =
                |op: &&&Op| matches!(op.seen, Seen::Refused(why) if text(why).starts_with("BUSY "));
            if let Some(busy) = others.iter().find(is_busy) {
                // They wait first, and the time that passes is the script's own.
                assert!(busy.return_ns - endless.call_ns > 20_000_000, "seed {seed}");
                told += 1;
            }
            let kills = |op: &&Op| op.ask == Ask::Kill && op.seen == Seen::Done;
            assert!(others.into_iter().any(|op| kills(&op)), "somebody killed it");
            killed += 1;
        }
    }
    assert!(killed > 3 && told > 3, "{killed} killed, {told} times others were told");
}
