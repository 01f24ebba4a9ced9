//! Queues, consumer groups, fields with a time to live, transactions and messages in the simulated
//! world: nothing is wrong with the engine, everything is wrong with one that has a bug, and what
//! should happen happens.

use orrery_engine::planted::PlantedBug;
use orrery_sim::check::messages::Event;
use orrery_sim::journal::{Op, Seen};
use orrery_sim::setup::Setup;
use orrery_sim::trial::{Fault, Trial, trial};
use orrery_sim::workload::{Ask, Style, Workload};
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
    let faults = vec![orrery_sim::fault::FaultKind::Kill];
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
