//! Stories of locks, as they are spelled, and what is broken in them with which algorithm.

use orrery_sim::locks::{Invariant, algorithm, happen, read, tell};

/// What is broken when the story happens with an algorithm, as the catalogue counts it.
fn broken(story: &str, name: &str) -> String {
    let story = read(story, &[]).expect("a story");
    let algorithm = algorithm(name).expect("an algorithm");
    let outcome = happen(&story, algorithm, true);
    assert!(outcome.figures.grants > 0, "{name}: nobody got anything");
    let words: Vec<String> = outcome.broken().iter().map(Invariant::to_string).collect();
    words.join(" ")
}

fn check(story: &str, expected: &[(&str, &str)]) {
    for &(name, invariants) in expected {
        assert_eq!(broken(story, name), invariants, "{name}: {story}");
    }
}

const LATE_HOLDER: &str = "
nodes 1
clients 2
until 30000
0     A acquires
100   A reads
5000  A pauses 10000
10001 B works 100
15001 A writes
";

#[test]
fn a_late_holder_harms_where_nothing_is_fenced() {
    check(LATE_HOLDER, &[("naive", "I1 I3 I4 I10"), ("single", "")]);
    let five = LATE_HOLDER.replace("nodes 1", "nodes 5");
    check(&five, &[("redlock", "I3 I4"), ("fenced", ""), ("redlock-counters", "")]);
}

const CLOCK: &str = "
nodes 5
clients 2
until 30000
servers ideal-wall
0     n4 stops 500
0     n5 stops 500
0     A works 5000
1000  n3 clock +60000
1001  B works 100
";

#[test]
fn a_clock_that_is_set_forward_breaks_a_bare_majority() {
    check(CLOCK, &[("redlock", "I1 I2 I3 I4 I10")]);
    let monotonic = CLOCK.replace("ideal-wall", "ideal");
    check(&monotonic, &[("redlock", "")]);
}

/// Two answers of n2 reach C at one moment, late.
const AT_ONCE: &str = "
nodes 3
clients 3
ttl 1000
until 3000
network 0.859 0.859 10 10
seed 171
0     B acquires
0     B releases
400   C works 0
500   n3 forgets
800   A acquires
2000  C works 0
";

#[test]
fn what_one_server_says_twice_at_one_moment_is_told_twice() {
    let story = read(AT_ONCE, &[]).expect("a story");
    let algorithm = algorithm("redlock-rb").expect("an algorithm");
    let trace = happen(&story, algorithm, true).trace.expect("it was to be written down");
    let lines = tell(&trace);
    let answers = lines.iter().filter(|line| line.text == "What is answered by n2 reaches C.");
    let times: Vec<u64> = answers.map(|line| line.at_us).collect();
    assert!(times.windows(2).any(|pair| pair[0] == pair[1]), "{times:?}");
    assert!(lines.iter().all(|line| !line.text.contains("n2 and n2")), "{lines:#?}");
}
