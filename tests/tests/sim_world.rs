//! The simulated world: it repeats itself, faults do what they say, verdicts are what they must
//! be.

use orrery_engine::planted::PlantedBug;
use orrery_engine::time::TtlClock;
use orrery_sim::fault::{Fault, FaultKind};
use orrery_sim::journal::{Op, Seen};
use orrery_sim::judge::Loss;
use orrery_sim::plan::{Plan, Planned};
use orrery_sim::setup::{Keeping, Setup};
use orrery_sim::trial::{Fault as Problem, Trial, first_difference, trial};
use orrery_sim::workload::{Ask, Workload};
use orrery_sim::world::{self, Watch};

const SECOND: u64 = 1_000_000_000;

fn short(seed: u64, faults: &str) -> Setup {
    let faults = FaultKind::named(faults).expect("a kind or a group");
    Setup { seed, seconds: 8, faults, ..Setup::default() }
}

fn run(setup: &Setup) -> Trial {
    assert_eq!(setup.problem(), None);
    trial(setup, &mut Watch::default(), false)
}

fn planned(kind: FaultKind, host: u16, at_ns: u64, lasts_ns: u64) -> Planned {
    let fault = Fault { kind, host, side: 0, amount: 0, period_ns: 0 };
    Planned { at_ns, lasts_ns, fault }
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_gives_others() {
    let log = |seed| {
        let mut watch = Watch { log: true, ..Watch::default() };
        let outcome = world::run(&short(seed, "all"), &mut watch);
        (outcome.log, outcome.digest)
    };
    let (one, digest) = log(11);
    assert!(one.len() > 1_000, "{} events", one.len());
    assert_eq!(log(11), (one.clone(), digest));
    assert_ne!(log(12).1, digest);
    assert!(first_difference(&one, &log(12).0).is_some());
}

#[test]
fn a_disturbance_is_traced_to_its_event() {
    let log = |disturbed_event| {
        let mut watch = Watch { log: true, disturbed_event, ..Watch::default() };
        world::run(&short(3, "none"), &mut watch).log
    };
    assert_eq!(first_difference(&log(None), &log(Some(777))), Some(777));
}

#[test]
fn every_fault_alone_strikes_and_gives_no_violation() {
    for kind in FaultKind::DEFAULT {
        for seed in 1..4 {
            let result = run(&short(seed, kind.name()));
            assert!(result.faults.is_empty(), "{kind} seed {seed}: {:?}", result.faults);
            let fired = result.outcome.fired;
            assert!(fired[kind.index()] > 0, "{kind} struck");
            let others = FaultKind::ALL.iter().filter(|&&other| other != kind);
            assert_eq!(others.map(|other| fired[other.index()]).sum::<u32>(), 0);
        }
    }
}

/// Servers that keep snapshots, whose processes are killed and whose machines lose power.
fn with_disks(seed: u64, faults: &[FaultKind]) -> Setup {
    let deaths = [FaultKind::Kill, FaultKind::PowerLoss];
    Setup {
        keeping: Keeping::Snapshots,
        workloads: vec![Workload::Saves],
        faults: deaths.iter().chain(faults).copied().collect(),
        seconds: 12,
        ..short(seed, "none")
    }
}

#[test]
fn every_fault_of_a_disk_strikes_and_what_was_saved_is_there() {
    for kind in FaultKind::DISKS {
        for seed in 1..4 {
            let result = run(&with_disks(seed, &[kind]));
            assert!(result.faults.is_empty(), "{kind} seed {seed}: {:?}", result.faults);
            assert!(result.outcome.fired[kind.index()] > 0, "{kind} struck");
            assert!(result.recovered() > 0, "{kind} seed {seed}: something was there again");
        }
    }
}

#[test]
fn disks_are_caught_in_the_middle_and_fail_and_lose() {
    let sum = |faults: &[FaultKind], figure: fn(&Trial) -> u64| {
        (1..9).map(|seed| figure(&run(&with_disks(seed, faults)))).sum::<u64>()
    };
    assert!(sum(&[], |it| it.outcome.files.figures.interrupted) > 0);
    assert!(sum(&[], |it| it.outcome.files.figures.lossy) > 0);
    let fails = |it: &Trial| it.outcome.files.figures.failed;
    for kind in [FaultKind::DiskError, FaultKind::DiskFull, FaultKind::SyncFailure] {
        assert!(sum(&[kind], fails) > sum(&[], fails), "{kind}");
    }
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_found() {
    let found = (1..40).any(|seed| {
        let result = run(&with_disks(seed, &[FaultKind::DiskLie]));
        result.faults.iter().any(|it| matches!(it, Problem::NotKept { .. }))
    });
    assert!(found, "what was acknowledged was lost with the power");
}

#[test]
fn a_log_that_is_always_synced_loses_nothing_that_anybody_was_told() {
    let workloads = vec![
        Workload::Registers,
        Workload::Counters,
        Workload::Queues,
        Workload::Groups,
        Workload::Transactions,
        Workload::Saves,
    ];
    let mut recovered = 0;
    for seed in 1..9 {
        let setup = Setup {
            keeping: Keeping::Always,
            workloads: workloads.clone(),
            ..with_disks(seed, &[FaultKind::DiskStall])
        };
        let result = run(&setup);
        assert!(result.faults.is_empty(), "seed {seed}: {:?}", result.faults);
        recovered += result.recovered();
    }
    assert!(recovered > 8, "{recovered}");
    let lies = (1..20).any(|seed| {
        let keeping = Keeping::Always;
        let result = run(&Setup { keeping, ..with_disks(seed, &[FaultKind::DiskLie]) });
        result.faults.iter().any(|it| matches!(it, Problem::NotKept { .. }))
    });
    assert!(lies, "a disk that lies is found");
}

#[test]
fn a_log_that_is_synced_every_second_loses_its_last_second_and_only_with_the_power() {
    let mut lossy = 0;
    for kind in [FaultKind::Kill, FaultKind::PowerLoss] {
        for seed in 1..9 {
            let keeping = Keeping::EverySecond;
            let result = run(&Setup { keeping, faults: vec![kind], ..with_disks(seed, &[]) });
            assert!(result.faults.is_empty(), "{kind} seed {seed}: {:?}", result.faults);
            lossy += result.outcome.files.figures.lossy;
        }
    }
    assert!(lossy > 0, "something was lost");
}

#[test]
fn a_snapshot_that_is_a_mixture_is_found() {
    let found = |planted| {
        (1..40).any(|seed| {
            let result = run(&Setup { planted, ..with_disks(seed, &[]) });
            result.faults.iter().any(|it| matches!(it, Problem::NotKept { .. }))
        })
    };
    assert!(found(Some(PlantedBug::MixedSnapshot)), "it is not");
    assert!(!found(None), "and where there is none");
}

#[test]
fn a_world_with_disks_repeats_itself() {
    let all: Vec<FaultKind> = [FaultKind::DEFAULT.as_slice(), &FaultKind::DISKS].concat();
    for seed in 1..4 {
        let setup = Setup { faults: all.clone(), ..with_disks(seed, &[]) };
        let log = || {
            let outcome = world::run(&setup, &mut Watch { log: true, ..Watch::default() });
            (outcome.log, outcome.digest)
        };
        assert_eq!(log(), log(), "seed {seed}");
    }
}

#[test]
fn faults_have_consequences() {
    let sum = |faults: &str, figure: fn(&Trial) -> u64| {
        (1..6).map(|seed| figure(&run(&short(seed, faults)))).sum::<u64>()
    };
    let quiet = sum("none", |it| {
        let effects = it.outcome.effects;
        // Some links lose a packet now and then without any fault, and some commands ask to wait
        // for longer than their client does.
        let waits = |ask| matches!(ask, Ask::BlockingPop { .. } | Ask::ReadGroup { .. });
        let is_unknown = |op: &&Op| op.seen == Seen::Unknown && !waits(op.ask);
        let unknown = it.outcome.journal.ops.iter().filter(is_unknown).count();
        effects.held + effects.swallowed + if effects.lost == 0 { unknown as u64 } else { 0 }
    });
    assert_eq!(quiet, 0, "without faults nothing is held up and nothing unknown");
    assert!(sum("partitions", |it| it.outcome.effects.held) > 0);
    assert!(sum("half-open", |it| it.outcome.effects.swallowed) > 0);
    assert!(sum("loss", |it| it.outcome.effects.lost) > 0);
    assert!(sum("pause", |it| it.outcome.effects.waited) > 0);
    assert!(sum("kill", |it| it.outcome.journal.unknown) > 0);
    assert!(sum("reset", |it| it.outcome.journal.unknown) > 0);
}

#[test]
fn a_killed_server_loses_its_data_and_clients_see_it() {
    for kind in [FaultKind::Kill, FaultKind::PowerLoss] {
        let plan = Plan { faults: vec![planned(kind, 0, 4 * SECOND, SECOND / 2)] };
        let workloads = vec![Workload::Registers, Workload::Counters];
        let setup = Setup { plan: Some(plan), workloads, seed: 5, seconds: 8, ..Setup::default() };
        let result = run(&setup);
        assert!(result.faults.is_empty(), "{kind}: {:?}", result.faults);
        assert_eq!(result.outcome.deaths.len(), 1);
        assert!(result.outcome.deaths[0].keys > 0, "there was something to lose");
        assert_eq!(result.judged[0].loss, Loss::Seen, "{kind}");
        assert!(result.judged[1..].iter().all(|judged| judged.loss == Loss::None));
    }
}

#[test]
fn a_loss_that_no_death_explains_is_a_violation() {
    let setup = Setup {
        plan: Some(Plan { faults: vec![planned(FaultKind::Kill, 0, 4 * SECOND, SECOND / 2)] }),
        workloads: vec![Workload::Registers],
        seed: 5,
        seconds: 8,
        ..Setup::default()
    };
    let mut outcome = world::run(&setup, &mut Watch::default());
    let fine = orrery_sim::judge::judge(&setup, &outcome, false);
    assert!(fine.iter().all(|judged| judged.wrong.is_none()));
    outcome.deaths[0].at_ns = SECOND / 1000;
    let early = orrery_sim::judge::judge(&setup, &outcome, false);
    assert!(early[0].wrong.is_some(), "a death before there was data explains no loss");
    outcome.deaths.clear();
    let none = orrery_sim::judge::judge(&setup, &outcome, false);
    assert!(none[0].wrong.is_some() && none[1].wrong.is_none());
}

#[test]
fn a_wall_clock_that_is_set_breaks_keys_only_if_they_follow_it() {
    let step = |hours: i64| {
        let mut it = planned(FaultKind::ClockStep, 0, 4 * SECOND, 0);
        it.fault.amount = hours * 3_600_000_000_000;
        Plan { faults: vec![it] }
    };
    for hours in [-2, 2] {
        let mut violations = 0;
        for seed in 1..6 {
            let setup = |ttl_clock| Setup {
                plan: Some(step(hours)),
                workloads: vec![Workload::Ttl],
                ttl_clock,
                seed,
                seconds: 8,
                ..Setup::default()
            };
            let monotonic = run(&setup(TtlClock::Monotonic));
            assert!(monotonic.faults.is_empty(), "seed {seed}: {:?}", monotonic.faults);
            let wall = run(&setup(TtlClock::Wall));
            let violated = |it: &Problem| matches!(it, Problem::Violation { server: 0, .. });
            violations += u32::from(wall.faults.iter().any(violated));
        }
        assert!(violations > 0, "{hours} hours");
    }
}

#[test]
fn a_run_in_which_nothing_happens_fails() {
    let cut = |at_ns, lasts_ns| {
        let mut it = planned(FaultKind::PartitionHalves, 0, at_ns, lasts_ns);
        it.fault.side = 0b111;
        Setup { plan: Some(Plan { faults: vec![it] }), seconds: 5, ..Setup::default() }
    };
    let silent = run(&cut(0, 60 * SECOND));
    assert!(silent.faults.iter().any(|it| matches!(it, Problem::NothingHappened)));
    assert!(silent.outcome.starved.is_empty(), "after the faults everybody is answered");
    assert!(run(&cut(2 * SECOND, SECOND)).faults.is_empty());
}

#[test]
fn a_fault_that_never_strikes_fails_the_run() {
    // The server is dead already when its machine is to lose power, and stays so.
    let plan = Plan {
        faults: vec![
            planned(FaultKind::Kill, 0, SECOND, 60 * SECOND),
            planned(FaultKind::PowerLoss, 0, 2 * SECOND, SECOND),
        ],
    };
    let setup = Setup { plan: Some(plan), seconds: 5, seed: 2, ..Setup::default() };
    let result = run(&setup);
    let silent = |it: &Problem| matches!(it, Problem::NeverFired(FaultKind::PowerLoss));
    assert!(result.faults.iter().any(silent), "{:?}", result.faults);
}

#[test]
fn leaving_a_fault_out_moves_no_other() {
    let setup = short(4, "all");
    let whole = setup.plan();
    for place in 0..whole.faults.len() {
        let part = Setup { without: vec![place], ..setup.clone() }.plan();
        let mut expected = whole.faults.clone();
        expected.remove(place);
        assert_eq!(part.faults, expected);
    }
}

#[test]
fn tables_grow_and_steps_are_cut_in_the_worlds_of_the_swarm() {
    let bulk =
        |seed| Setup { seed, seconds: 8, workloads: vec![Workload::Bulk], ..Setup::default() };
    let result = run(&Setup { faults: Vec::new(), ..bulk(1) });
    assert!(result.faults.is_empty(), "{:?}", result.faults);
    let keys: std::collections::BTreeSet<u16> =
        result.outcome.journal.ops.iter().map(|op| op.key.index).collect();
    assert!(keys.len() > 544, "more keys than one segment holds: {}", keys.len());
}

#[test]
fn setups_that_cannot_be_say_why() {
    let with = |change: fn(&mut Setup)| {
        let mut setup = Setup::default();
        change(&mut setup);
        setup.problem()
    };
    assert_eq!(with(|_| {}), None);
    assert!(with(|it| it.servers = 0).is_some());
    assert!(with(|it| it.clients = 62).is_some());
    assert!(with(|it| it.seconds = 0).is_some());
    assert!(with(|it| it.faults = FaultKind::DISKS.to_vec()).is_some());
    assert!(with(|it| it.keeping = Keeping::Snapshots).is_some());
    assert!(with(|it| it.workloads = vec![Workload::Saves]).is_some());
    assert!(with(|it| it.workloads.clear()).is_some());
    assert!(
        with(|it| {
            it.plan = Some(Plan { faults: vec![planned(FaultKind::Kill, 60, 0, 0)] });
        })
        .is_some()
    );
}
