//! Locks in the simulated world: servers that lose them give them to two clients at once, and the
//! judge sees it; those that are told which keys are locks make everybody wait instead.

use orrery_sim::fault::{Fault, FaultKind};
use orrery_sim::journal::{Op, Seen};
use orrery_sim::judge::Loss;
use orrery_sim::plan::{Plan, Planned};
use orrery_sim::setup::{Keeping, Setup};
use orrery_sim::trial::{Fault as Problem, Trial, trial};
use orrery_sim::workload::{Ask, Workload};
use orrery_sim::world::Watch;

/// Worlds in which a server without `lock-grace` gives a lock to two clients at once: the seed,
/// what it keeps, and how it ends.
const TWO_HOLDERS: [(u64, Keeping, FaultKind); 4] = [
    (2, Keeping::EverySecond, FaultKind::PowerLoss),
    (1, Keeping::Unsynced, FaultKind::PowerLoss),
    (1, Keeping::Snapshots, FaultKind::PowerLoss),
    (2, Keeping::Snapshots, FaultKind::Kill),
];

fn run(setup: &Setup) -> Trial {
    assert_eq!(setup.problem(), None);
    trial(setup, &mut Watch::default(), false)
}

/// Two servers and eight clients with nothing but locks.
fn world(seed: u64, keeping: Keeping, faults: &[FaultKind]) -> Setup {
    Setup {
        seed,
        servers: 2,
        clients: 8,
        seconds: 10,
        workloads: vec![Workload::Locks],
        faults: faults.to_vec(),
        keeping,
        ..Setup::default()
    }
}

fn without_grace(setup: Setup) -> Setup {
    Setup { lock_grace: false, ..setup }
}

/// What is wrong with locks.
fn wrongs(result: &Trial) -> Vec<&str> {
    fn why(fault: &Problem) -> Option<&str> {
        match fault {
            Problem::NotKept { why, .. } => Some(why),
            _ => None,
        }
    }
    result.faults.iter().filter_map(why).collect()
}

/// How many commands were answered so.
fn count(result: &Trial, is_such: impl Fn(Ask, Seen) -> bool) -> usize {
    let ops = result.outcome.journal.ops.iter();
    ops.filter(|op| op.key.workload == Workload::Locks && is_such(op.ask, op.seen)).count()
}

#[test]
fn a_server_that_has_lost_its_locks_gives_them_to_others() {
    for (seed, keeping, death) in TWO_HOLDERS {
        let result = run(&without_grace(world(seed, keeping, &[death])));
        let found = wrongs(&result);
        assert!(!found.is_empty(), "{keeping:?} {death} seed {seed}: nothing found");
        for why in found {
            assert!(
                why.contains("two held it at once") && why.contains("processes began"),
                "{why}"
            );
        }
    }
}

#[test]
fn a_log_that_is_written_before_anybody_is_told_loses_no_lock_when_a_process_is_killed() {
    for keeping in [Keeping::Unsynced, Keeping::EverySecond] {
        for seed in 1..=10 {
            let result = run(&without_grace(world(seed, keeping, &[FaultKind::Kill])));
            assert!(result.faults.is_empty(), "{keeping:?} seed {seed}: {:?}", result.faults);
        }
    }
    for seed in 1..=10 {
        let deaths = [FaultKind::Kill, FaultKind::PowerLoss, FaultKind::VmFreeze];
        let result = run(&world(seed, Keeping::Always, &deaths));
        assert!(result.faults.is_empty(), "seed {seed}: {:?}", result.faults);
    }
}

#[test]
fn locks_are_acquired_extended_released_and_lost_to_time() {
    let mut counts = [0; 6];
    for seed in 1..=30 {
        let faults = if seed % 2 == 0 { "none" } else { "pauses" };
        let faults = FaultKind::named(faults).expect("a group");
        let result = run(&world(seed, Keeping::Nothing, &faults));
        assert!(result.faults.is_empty(), "seed {seed}: {:?}", result.faults);
        let of = |is_such: fn(Ask, Seen) -> bool| count(&result, is_such);
        let more = [
            of(|ask, seen| matches!(ask, Ask::Acquire { .. }) && seen == Seen::Done),
            of(|ask, seen| matches!(ask, Ask::Acquire { .. }) && seen == Seen::Nil),
            of(|ask, seen| matches!(ask, Ask::Extend { .. }) && seen == Seen::Integer(1)),
            of(|ask, seen| matches!(ask, Ask::Extend { .. }) && seen == Seen::Integer(0)),
            of(|ask, seen| matches!(ask, Ask::Release { .. }) && seen == Seen::Integer(1)),
            of(|ask, seen| matches!(ask, Ask::Release { .. }) && seen == Seen::Integer(0)),
        ];
        counts.iter_mut().zip(more).for_each(|(sum, count)| *sum += count);
    }
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
}

#[test]
fn a_server_without_a_disk_forgets_its_locks_as_everybody_knows() {
    let mut seen = 0;
    for seed in 1..=10 {
        let result = run(&world(seed, Keeping::Nothing, &[FaultKind::Kill]));
        assert!(result.faults.is_empty(), "seed {seed}: {:?}", result.faults);
        seen += u32::from(result.loss() == Loss::Seen);
    }
    assert!(seen > 3, "{seen}");
}

#[test]
fn the_swarm_draws_locks_for_servers_of_every_kind() {
    let mut counts = [0; Keeping::ALL.len()];
    let (mut alone, mut deadly) = (0, 0);
    for seed in 0..3_000 {
        let setup = Setup::drawn(seed);
        assert_eq!(setup.problem(), None, "{}", setup.command_line());
        if setup.workloads.contains(&Workload::Locks) {
            let place = Keeping::ALL.iter().position(|&it| it == setup.keeping);
            counts[place.expect("one of all")] += 1;
            let is_alone = setup.workloads == [Workload::Locks];
            alone += u32::from(is_alone);
            deadly += u32::from(is_alone && setup.faults.iter().any(|kind| kind.is_death()));
        }
    }
    assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
    assert!(alone > 50 && deadly * 2 > alone, "{alone} alone, {deadly} of them with deaths");
}

#[test]
fn leases_that_are_kept_need_the_wall_clock() {
    for kind in [FaultKind::ClockStep, FaultKind::ClockStrobe] {
        assert!(world(1, Keeping::Always, &[kind]).problem().is_some());
        assert!(world(1, Keeping::EverySecond, &[kind]).problem().is_none());
    }
}

#[test]
fn servers_that_know_their_locks_give_none_to_two_clients() {
    for (seed, keeping, death) in TWO_HOLDERS {
        let result = run(&world(seed, keeping, &[death]));
        assert!(result.faults.is_empty(), "{keeping:?} {death} seed {seed}: {:?}", result.faults);
    }
    let worlds = [
        (Keeping::EverySecond, "power-loss"),
        (Keeping::EverySecond, "deaths,pauses,clocks,disk-stall"),
        (Keeping::Unsynced, "power-loss"),
        (Keeping::Snapshots, "kill,power-loss"),
        (Keeping::Snapshots, "deaths,partitions,network"),
        (Keeping::Snapshots, "deaths,disks"),
    ];
    let (mut refused, mut lost) = (0, 0);
    for (keeping, faults) in worlds {
        let kinds: Vec<FaultKind> =
            faults.split(',').flat_map(|word| FaultKind::named(word).expect("a name")).collect();
        for seed in 1..=50 {
            let setup = Setup { seconds: 6, ..world(seed, keeping, &kinds) };
            let result = run(&setup);
            let found = wrongs(&result);
            assert!(found.is_empty(), "{found:?}\n{}", setup.command_line());
            assert!(result.outcome.starved.is_empty(), "{}", setup.command_line());
            refused += count(&result, is_refused);
            lost += u32::from(!wrongs(&run(&without_grace(setup))).is_empty());
        }
    }
    assert!(refused > 10_000, "{refused} refused");
    assert!(lost > 100, "{lost} worlds in which there is something to lose");
}

fn is_refused(ask: Ask, seen: Seen) -> bool {
    matches!((ask, seen), (Ask::Acquire { .. }, Seen::Refused(_)))
}

/// One server that loses its power at these times.
fn losses(seed: u64, keeping: Keeping, times_ns: &[u64]) -> Setup {
    let kind = FaultKind::PowerLoss;
    let fault = Fault { kind, host: 0, side: 0, amount: 0, period_ns: 0 };
    let planned = |&at_ns| Planned { at_ns, lasts_ns: 200_000_000, fault };
    let plan = Some(Plan { faults: times_ns.iter().map(planned).collect() });
    Setup { servers: 1, seconds: 30, plan, ..world(seed, keeping, &[kind]) }
}

#[test]
fn a_death_when_the_wait_is_over_is_like_any_other() {
    for keeping in [Keeping::Snapshots, Keeping::Unsynced, Keeping::EverySecond] {
        for seed in [6, 8, 13] {
            let first_ns = 2_000_000_000;
            let result = run(&losses(seed, keeping, &[first_ns]));
            assert!(result.faults.is_empty(), "{keeping:?} seed {seed}: {:?}", result.faults);
            let ops = &result.outcome.journal.ops;
            let refused = ops.iter().filter(|op| is_refused(op.ask, op.seen));
            let free_ns = refused.map(|op| op.return_ns).max().expect("everybody had to wait");
            let given = |op: &Op| matches!(op.ask, Ask::Acquire { .. }) && op.seen == Seen::Done;
            assert!(ops.iter().any(|op| given(op) && op.call_ns >= free_ns), "and then no more");
            for step in 0..15 {
                let again_ns = free_ns + step * 4_000_000;
                let result = run(&losses(seed, keeping, &[first_ns, again_ns]));
                let found = wrongs(&result);
                assert!(found.is_empty(), "{keeping:?} seed {seed}, at {again_ns} ns: {found:?}");
            }
        }
    }
}

/// The power was lost while a rewrite had named its increment and the one before was not synced:
/// that was torn, and the server refused to start.
#[test]
fn a_log_whose_rewrite_has_just_begun_is_loaded() {
    let kind = FaultKind::PowerLoss;
    let fault = Fault { kind, host: 0, side: 0, amount: 0, period_ns: 0 };
    let lost = Planned { at_ns: 600_000_000, lasts_ns: 100_000_000, fault };
    let plan = Some(Plan { faults: vec![lost] });
    let locks = world(9650, Keeping::EverySecond, &[kind]);
    let result = run(&Setup { servers: 1, clients: 3, seconds: 12, plan, ..locks });
    assert!(result.faults.is_empty(), "{:?}", result.faults);
}
