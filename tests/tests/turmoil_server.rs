//! The real server code on turmoil's network: fine under faults, the same twice, and not blind.

use orrery_engine::planted::PlantedBug;
use orrery_sim::fault::FaultKind;
use orrery_sim::judge::Loss;
use orrery_sim::setup::Setup;
use orrery_sim::trial::{Fault, Trial};
use orrery_sim::turmoil::{self, FAULTS};
use orrery_sim::workload::Workload;

fn setup(seed: u64, faults: &[FaultKind]) -> Setup {
    Setup { seed, seconds: 6, faults: faults.to_vec(), ..Setup::default() }
}

/// Runs and judges; a simulation that broke is a failure of the test.
fn judged(setup: &Setup) -> Trial {
    let run = turmoil::run(setup);
    assert_eq!(run.broken, None, "seed {}:\n{}", setup.seed, run.logs.join("\n"));
    turmoil::judge(setup, run)
}

#[track_caller]
fn assert_fine(setup: &Setup, trial: &Trial) {
    let problems: Vec<String> = trial.faults.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "seed {}: {}", setup.seed, problems.join("\n"));
}

#[test]
fn under_all_faults_pinned_seeds_are_fine() {
    for seed in [1, 2, 15, 22] {
        let setup = setup(seed, &FAULTS);
        let trial = judged(&setup);
        assert_fine(&setup, &trial);
        assert!(trial.outcome.journal.answered > 500, "seed {seed}");
        assert_eq!(trial.loss(), Loss::Seen, "seed {seed} has a kill and a power loss");
        for kind in FAULTS {
            assert!(trial.outcome.fired[kind.index()] > 0, "seed {seed}: {kind}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_histories_and_another_does_not() {
    let run = |seed| turmoil::run(&setup(seed, &FAULTS));
    let (one, again, other) = (run(5), run(5), run(6));
    assert_eq!(one.histories, again.histories);
    assert_eq!(one.outcome.digest, again.outcome.digest);
    assert_ne!(one.histories, other.histories);
    assert_ne!(one.outcome.digest, other.outcome.digest);
    // What is compared is not empty: each server has a header and operations.
    assert!(one.histories.iter().all(|bytes| bytes.iter().filter(|&&b| b == b'\n').count() > 50));
}

#[test]
fn planted_bugs_are_found_and_only_they() {
    let cases = [
        (PlantedBug::ShortTtl, vec![Workload::Ttl]),
        // One client a server fills the table; were it all of them, they would write over the
        // loss.
        (PlantedBug::LostInsert, vec![Workload::Registers, Workload::Bulk]),
        (PlantedBug::StaleRead, vec![Workload::Registers]),
    ];
    for (bug, workloads) in cases {
        let sound = Setup { workloads, ..setup(1, &[]) };
        assert_fine(&sound, &judged(&sound));
        let found = (1..=5).any(|seed| {
            let planted = Setup { seed, planted: Some(bug), ..sound.clone() };
            let trial = judged(&planted);
            trial.faults.iter().any(|fault| matches!(fault, Fault::Violation { .. }))
        });
        assert!(found, "{} was not found", bug.name());
    }
}

#[test]
fn faults_of_the_network_and_of_clocks_lose_no_data_but_leave_outcomes_unknown() {
    let mut unknown = 0;
    let kinds: Vec<FaultKind> = FAULTS.into_iter().filter(|kind| !kind.is_death()).collect();
    for seed in 30..33 {
        let setup = setup(seed, &kinds);
        let trial = judged(&setup);
        assert_fine(&setup, &trial);
        assert_eq!(trial.loss(), Loss::None);
        unknown += trial.outcome.journal.unknown;
    }
    assert!(unknown > 0, "no fault was ever in the way of a client");
}

#[test]
fn a_run_of_a_kind_of_fault_that_turmoil_cannot_do_is_no_success() {
    let setup = setup(1, &[FaultKind::VmFreeze]);
    let trial = turmoil::judge(&setup, turmoil::run(&setup));
    assert!(trial.failed());
}

/// Tokio draws the order of the branches of `select!` from numbers that are seeded only in builds
/// with `--cfg tokio_unstable`: what runs under turmoil must do without.
#[test]
fn what_runs_under_turmoil_leaves_no_order_to_tokio() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![root.join("sim/src/sockets.rs")];
    let server = std::fs::read_dir(root.join("server/src")).expect("the server has sources");
    files.extend(server.map(|entry| entry.expect("it can be listed").path()));
    assert!(files.len() > 5);
    for file in files.iter().filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(file).expect("it is text");
        for banned in ["select!", "join!", "HashMap", "spawn_blocking"] {
            assert!(!text.contains(banned), "{} uses {banned}", file.display());
        }
    }
}
