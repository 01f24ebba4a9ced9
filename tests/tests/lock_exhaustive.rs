//! Every interleaving of two clients of a lock (`orrery_sim::locks::exhaustive`): in how many steps
//! what breaks is broken, what holds however messages and clients are delayed, and that a fault
//! that is planted is found.
//!
//! The scopes are small enough for a build with debug assertions; what larger ones show is in
//! docs/LOCKS.md.

use orrery_engine::lock::{LocalClock, LossSignal, Settings, Since};
use orrery_sim::locks::Fences;
use orrery_sim::locks::exhaustive::{
    Algorithm, Broken, Findings, Forgets, Invariant, Options, Scope, extending, search,
};

use Algorithm::{Fenced, Proposed, QuorumFenced, Redlock};
use Invariant::{LaterServed, NoLateWrite, NoLostUpdate, NumbersGrow, OneBelieves, OneGranted};

fn scope(algorithm: Algorithm, fences: Fences) -> Scope {
    Scope { fences, ..Scope::new(algorithm.settings(3)) }
}

fn all_of(scope: &Scope) -> Findings {
    let findings = search(scope, Options::default(), &|_| ());
    assert!(findings.is_complete, "{} states", findings.states);
    findings
}

/// What is broken, and in how many steps at least.
fn broken(scope: &Scope) -> Vec<(Invariant, usize)> {
    all_of(scope).broken.iter().map(|found| (found.invariant, found.steps)).collect()
}

/// In how many steps it is broken at least; the story has been walked a second time by then.
fn fewest(scope: &Scope, invariant: Invariant) -> Option<usize> {
    let options = Options { enough: Broken::only(invariant), ..Options::default() };
    let findings = search(scope, options, &|_| ());
    let found = findings.how(invariant)?;
    assert_eq!(found.story.len(), found.steps);
    Some(found.steps)
}

#[test]
fn redlock_loses_an_update_by_one_slow_message_and_without_any_fault() {
    let plain = scope(Redlock, Fences::Nothing);
    assert_eq!(broken(&plain), [(NoLateWrite, 17), (NoLostUpdate, 19)]);
    // Numbers that the store does not look at, or only with writes (S27), help nothing.
    for fences in [Fences::Nothing, Fences::Writes] {
        assert_eq!(broken(&scope(Fenced, fences)), [(NoLateWrite, 17), (NoLostUpdate, 19)]);
        let quorum_fenced = scope(QuorumFenced, fences);
        assert_eq!(broken(&quorum_fenced), [(NoLateWrite, 27), (NoLostUpdate, 29)]);
    }
}

#[test]
fn numbers_with_reads_and_writes_keep_everything_however_slow_messages_are() {
    for algorithm in [Fenced, QuorumFenced, Proposed] {
        assert_eq!(broken(&scope(algorithm, Fences::All)), []);
    }
    let extended = extending(QuorumFenced.settings(1), 3);
    let scope = Scope { fences: Fences::All, turns: [2, 1], ..Scope::new(extended) };
    assert_eq!(broken(&Scope { pauses: 1, ..scope }), []);
}

#[test]
fn a_pause_makes_no_two_believe_and_a_clock_that_is_set_or_a_crash_does() {
    let plain = scope(Redlock, Fences::Nothing);
    assert_eq!(fewest(&Scope { pauses: 1, ..plain }, OneBelieves), None);
    assert_eq!(fewest(&Scope { clock_steps: 1, ..plain }, OneBelieves), Some(11));
    assert_eq!(fewest(&Scope { crashes: 1, ..plain }, OneBelieves), Some(11));
    // Three ticks must pass before anybody is late.
    let short = Scope { ticks: Some(2), ..plain };
    assert_eq!((broken(&short), broken(&Scope { pauses: 1, ..short })), (vec![], vec![]));
}

#[test]
fn counters_of_several_servers_go_back_unless_a_majority_is_told_the_number() {
    // S29: one server has counted an attempt that came to nothing.
    let uneven = |algorithm| Scope { counters: [1, 0, 0], ..scope(algorithm, Fences::All) };
    assert_eq!(broken(&uneven(Fenced)), [(NumbersGrow, 13), (LaterServed, 15)]);
    assert_eq!(broken(&uneven(QuorumFenced)), []);
    assert_eq!(broken(&uneven(Proposed)), []);
}

#[test]
fn numbers_of_a_majority_grow_when_a_clock_is_set_and_not_when_a_counter_is_forgotten() {
    let fenced = scope(QuorumFenced, Fences::All);
    assert_eq!(broken(&Scope { clock_steps: 1, ..fenced }), [(OneBelieves, 22)]);
    let crash = Scope { crashes: 1, ..fenced };
    let expected = [(OneBelieves, 22), (NumbersGrow, 22), (LaterServed, 25)];
    assert_eq!(broken(&crash), expected, "and yet nothing is lost");
    // A number that is proposed needs no second round, and keeps as much.
    let proposed = scope(Proposed, Fences::All);
    assert_eq!(broken(&Scope { clock_steps: 1, ..proposed }), [(OneBelieves, 18)]);
    let crash = broken(&Scope { crashes: 1, ..proposed });
    let names: Vec<Invariant> = crash.iter().map(|found| found.0).collect();
    assert_eq!(names, [OneBelieves, NumbersGrow, LaterServed], "{crash:?}");
}

#[test]
fn a_crash_that_forgets_who_has_the_lock_is_a_clock_that_is_set() {
    let fenced = scope(Fenced, Fences::Writes);
    let crash = all_of(&Scope { crashes: 1, forgets: Forgets::Key, ..fenced });
    let step = all_of(&Scope { clock_steps: 1, ..fenced });
    assert_eq!((crash.states, crash.steps, crash.levels), (step.states, step.steps, step.levels));
    let steps = |findings: &Findings| -> Vec<_> {
        findings.broken.iter().map(|found| (found.invariant, found.steps)).collect()
    };
    assert_eq!(steps(&crash), steps(&step));
}

#[test]
fn what_is_planted_is_found() {
    let plain = Redlock.settings(3);
    let planted = [
        ("a quorum of one", Settings { quorum: 1, ..plain }),
        ("time from the answer", Settings { since: Since::Answer, ..plain }),
        ("a loss that nobody is told", Settings { loss: LossSignal::Never, ..plain }),
    ];
    for (what, settings) in planted {
        assert!(fewest(&Scope::new(settings), OneBelieves).is_some(), "{what} is not found");
    }
    assert_eq!(
        fewest(&Scope::new(Settings { quorum: 1, ..plain }), OneGranted),
        Some(4),
        "two quorums"
    );
    // S01: a late release takes away what another was granted.
    for checks_release in [true, false] {
        let settings = Settings { checks_release, ..Redlock.settings(1) };
        let twice = Scope { turns: [2, 1], ..Scope::new(settings) };
        assert_eq!(fewest(&twice, OneBelieves).is_some(), !checks_release);
    }
    // S20: time is measured by a clock that somebody sets back.
    for (clock, is_broken) in [(LocalClock::Monotonic, false), (LocalClock::Wall, true)] {
        let wall = Scope { wall_steps: 1, ..Scope::new(Settings { clock, ..plain }) };
        assert_eq!(fewest(&wall, OneBelieves).is_some(), is_broken, "{clock:?}");
    }
}

#[test]
fn what_is_found_depends_on_the_scope_alone() {
    let scope = Scope { clock_steps: 1, ..scope(Redlock, Fences::Nothing) };
    let with = |key| search(&scope, Options { key, ..Options::default() }, &|_| ());
    let (one, other) = (with(0), with(0x5eed));
    assert_eq!((one.states, one.steps, one.levels), (other.states, other.steps, other.levels));
    let stories = |findings: &Findings| -> Vec<Vec<String>> {
        findings.broken.iter().map(|found| found.story.clone()).collect()
    };
    assert_eq!(stories(&one), stories(&other), "and no two states have the same hash");
}

#[test]
fn what_cannot_be_searched_is_refused_and_what_is_too_large_is_not_complete() {
    let plain = scope(Redlock, Fences::Nothing);
    let options = Options { states_max: 1000, ..Options::default() };
    let findings = search(&plain, options, &|_| ());
    assert!(findings.is_too_large && !findings.is_complete && findings.broken.is_empty());
    assert_eq!(plain.problem(), None);
    for scope in [
        Scope::new(Redlock.settings(5)),
        Scope { turns: [3, 1], ..plain },
        Scope { counters: [9, 0, 0], ..plain },
        Scope { crashes: 4, ..plain },
        Scope::new(Settings { quorum: 4, ..Redlock.settings(3) }),
        Scope::new(extending(Redlock.settings(3), 4)),
    ] {
        assert!(scope.problem().is_some(), "{scope:?}");
    }
}
