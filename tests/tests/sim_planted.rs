//! The simulator finds bugs that are planted in the engine, at pinned seeds, and nothing where
//! none is.

use orrery_engine::planted::PlantedBug;
use orrery_sim::setup::Setup;
use orrery_sim::trial::{Fault, Trial, trial};
use orrery_sim::world::Watch;

/// A seed of the swarm for each bug; each has the workload that the bug needs.
const PINNED: [(PlantedBug, u64); 4] = [
    (PlantedBug::ShortTtl, 8),
    (PlantedBug::LostInsert, 6),
    (PlantedBug::StaleRead, 1),
    (PlantedBug::LostChange, 1),
];

fn run(setup: &Setup) -> Trial {
    trial(setup, &mut Watch::default(), true)
}

fn violations(result: &Trial) -> Vec<&str> {
    fn violation(fault: &Fault) -> Option<&str> {
        match fault {
            Fault::Violation { why, .. } | Fault::NotKept { why, .. } => Some(why),
            _ => None,
        }
    }
    result.faults.iter().filter_map(violation).collect()
}

#[test]
fn each_planted_bug_is_found_and_explained() {
    for (bug, seed) in PINNED {
        let result = run(&Setup { planted: Some(bug), ..Setup::drawn(seed) });
        let found = violations(&result);
        assert!(!found.is_empty(), "{bug:?} at seed {seed}");
        let key = match bug {
            PlantedBug::ShortTtl => "key \"t",
            PlantedBug::LostInsert => "key \"b",
            PlantedBug::StaleRead => "key \"",
            PlantedBug::LostChange => "key ",
            other => unreachable!("{other:?} is looked for where collections are"),
        };
        assert!(found.iter().any(|why| why.contains(key)), "{bug:?}: {found:?}");
    }
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    for (_, seed) in PINNED {
        let result = run(&Setup::drawn(seed));
        assert!(result.faults.is_empty(), "seed {seed}: {:?}", result.faults);
    }
}

#[test]
fn without_faults_the_bugs_are_found_too_and_only_by_their_own_workload() {
    use orrery_sim::workload::Workload;
    let calm = |bug, workload| Setup {
        seed: 1,
        seconds: 10,
        faults: Vec::new(),
        workloads: vec![workload],
        planted: Some(bug),
        ..Setup::default()
    };
    let found = |bug, workload| !violations(&run(&calm(bug, workload))).is_empty();
    assert!(found(PlantedBug::ShortTtl, Workload::Ttl));
    assert!(!found(PlantedBug::ShortTtl, Workload::Registers));
    assert!(found(PlantedBug::LostInsert, Workload::Bulk));
    assert!(!found(PlantedBug::LostInsert, Workload::Registers), "few keys need no second segment");
    assert!(found(PlantedBug::StaleRead, Workload::Registers));
}
