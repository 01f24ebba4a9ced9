//! Random tiny histories: the checker must agree with the oracle on every one.

use orrery_sim::check::{ClockError, Options, Report, UnknownReason, Verdict, check};
use orrery_sim::history::{
    Command, History, Operation, Outcome, Reply, SetCommand, Specification, Value,
};
use orrery_sim::model::redis::Vanishing;

use super::generate::{Shape, history};
use super::oracle::smallest_error_ms;

const MAX_ERROR_MS: u64 = 12;

fn options() -> Options {
    Options { max_clock_error_ms: MAX_ERROR_MS, ..Options::default() }
}

fn render(history: &History) -> String {
    let lines: Vec<String> = history.operations.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The smallest error that the checker finds, `None` for illegal.
fn judged(history: &History, options: &Options) -> Option<u64> {
    let Report { verdict, .. } = check(history, options);
    match verdict {
        Verdict::Linearizable(ClockError { at_least_ms, at_most_ms }) => {
            assert_eq!(at_least_ms, at_most_ms, "{}", render(history));
            Some(at_most_ms)
        }
        Verdict::NotLinearizable(explained) => {
            let explained = explained.expect("an explanation was asked for");
            assert!(explained.is_core_minimal, "a tiny history takes no time");
            assert!(!explained.core.is_empty());
            None
        }
        Verdict::Unknown(reason) => panic!("unknown: {reason}\n{}", render(history)),
    }
}

/// Checks `count` histories; gives how many were legal, legal only with an error, and illegal.
fn compare(shape: Shape, count: u64) -> [u64; 3] {
    let mut seen = [0; 3];
    for seed in 0..count {
        let history = history(seed, shape);
        let expected = smallest_error_ms(&history, 1_000, MAX_ERROR_MS);
        let found = judged(&history, &options());
        assert_eq!(found, expected, "seed {seed} of {shape:?}\n{}", render(&history));
        let together = Options { no_partition: true, ..options() };
        let found = judged(&history, &together);
        assert_eq!(found, expected, "together, seed {seed} of {shape:?}\n{}", render(&history));
        if shape.lies == 0 {
            // What the generating server could do must not need more than its error.
            let needed_ms = expected.expect("a true history is legal");
            assert!(needed_ms <= shape.clock_error_us.div_ceil(1_000), "seed {seed}");
        }
        seen[expected.map_or(2, |error_ms| usize::from(error_ms > 0))] += 1;
    }
    seen
}

const SHAPE: Shape = Shape {
    specification: Specification::Redis,
    operations: 6,
    keys: 1,
    has_ttl: false,
    clock_error_us: 0,
    window_us: 5_000,
    lies: 0,
};

#[test]
fn registers_agree_with_the_oracle() {
    let shape = Shape { specification: Specification::Register, keys: 2, ..SHAPE };
    assert_eq!(compare(shape, 1_000), [1_000, 0, 0]);
    let [legal, _, illegal] = compare(Shape { lies: 4, ..shape }, 3_000);
    assert!(legal > 500 && illegal > 500, "{legal} legal, {illegal} illegal");
}

#[test]
fn key_value_stores_agree_with_the_oracle() {
    let shape = Shape { specification: Specification::Kv, keys: 2, ..SHAPE };
    assert_eq!(compare(shape, 1_000), [1_000, 0, 0]);
    let [legal, _, illegal] = compare(Shape { lies: 4, ..shape }, 3_000);
    assert!(legal > 500 && illegal > 500, "{legal} legal, {illegal} illegal");
}

#[test]
fn redis_strings_without_ttl_agree_with_the_oracle() {
    for keys in [1, 3] {
        let shape = Shape { keys, ..SHAPE };
        assert_eq!(compare(shape, 1_000), [1_000, 0, 0]);
        let [legal, _, illegal] = compare(Shape { lies: 4, ..shape }, 2_000);
        assert!(legal > 300 && illegal > 300, "{legal} legal, {illegal} illegal");
    }
}

#[test]
fn one_key_with_ttl_agrees_with_the_oracle_on_the_clock_error() {
    let shape = Shape { has_ttl: true, operations: 5, ..SHAPE };
    let exact = compare(shape, 2_000);
    assert_eq!(exact, [2_000, 0, 0], "an exact clock needs no error");
    let erring = Shape { clock_error_us: 4_000, window_us: 300, ..shape };
    let [legal, with_error, _] = compare(erring, 2_000);
    assert!(with_error > 20, "{legal} legal without, {with_error} with an error");
    for shape in [shape, erring] {
        let [legal, with_error, illegal] = compare(Shape { lies: 3, ..shape }, 2_000);
        assert!(
            legal > 300 && with_error > 5 && illegal > 300,
            "{legal} legal, {with_error} with an error, {illegal} illegal"
        );
    }
}

#[test]
fn several_keys_with_ttl_are_never_wrongly_illegal() {
    let shape = Shape { has_ttl: true, operations: 5, keys: 3, lies: 4, ..SHAPE };
    let (mut legal, mut illegal) = (0, 0);
    for seed in 0..1_500 {
        let history = history(seed, shape);
        let expected = smallest_error_ms(&history, 1_000, MAX_ERROR_MS);
        for no_partition in [false, true] {
            let found = judged(&history, &Options { no_partition, ..options() });
            // Bounds between two deadlines are dropped, so the checker may ask for less.
            if let Some(expected_ms) = expected {
                let found_ms = found.unwrap_or(u64::MAX);
                assert!(found_ms <= expected_ms, "seed {seed}\n{}", render(&history));
            }
            match found {
                Some(_) => legal += 1,
                None => illegal += 1,
            }
        }
    }
    assert!(legal > 300 && illegal > 300, "{legal} legal, {illegal} illegal");
}

/// The history with a deletion of each key for each operation, which may have happened or not.
fn with_deletions(history: &History) -> History {
    let mut keys: Vec<Value> = Vec::new();
    for operation in &history.operations {
        operation.command.for_each_key(&mut |key| keys.push(key.clone()));
    }
    keys.sort();
    keys.dedup();
    let mut more = history.clone();
    for id in 100..100 + history.operations.len() as u64 {
        more.operations.extend(keys.iter().zip(0..).map(|(key, place)| Operation {
            id: id * 100 + place,
            process: id * 100 + place,
            command: Command::Del { keys: vec![key.clone()] },
            call_us: 0,
            return_us: None,
            outcome: Outcome::Info,
        }));
    }
    more
}

#[test]
fn a_key_that_may_vanish_is_one_that_others_may_have_deleted() {
    let (mut only_so, mut illegal) = (0, 0);
    for keys in [1, 2] {
        let shape = Shape { keys, operations: 5, lies: 3, ..SHAPE };
        for seed in 0..1_500 {
            let history = history(seed, shape);
            let is_legal = |history: &History, vanishing| {
                let options = Options { vanishing, explain: false, ..options() };
                matches!(check(history, &options).verdict, Verdict::Linearizable(_))
            };
            let found = is_legal(&history, Vanishing::Always);
            let expected = is_legal(&with_deletions(&history), Vanishing::Never);
            assert_eq!(found, expected, "seed {seed} of {shape:?}\n{}", render(&history));
            let is_kept = is_legal(&history, Vanishing::WithTtl);
            assert_eq!(is_kept, is_legal(&history, Vanishing::Never), "no key has a time to live");
            only_so += u64::from(found && !is_kept);
            illegal += u64::from(!found);
        }
    }
    assert!(only_so > 50 && illegal > 300, "{only_so} only so, {illegal} illegal");
}

#[test]
fn only_keys_with_a_time_to_live_vanish_if_only_these_may() {
    let key = Value::from("a");
    let set = |ttl_ms| {
        let value = Value::from("1");
        Command::Set(SetCommand { key: key.clone(), value, ttl_ms, ..Default::default() })
    };
    let get = Command::Get { key: key.clone() };
    let is_legal = |ttl_ms, vanishing, lasting: &[&str]| {
        let operation = |id: u64, command: &Command, reply| Operation {
            id,
            process: id,
            command: command.clone(),
            call_us: 10 * id,
            return_us: Some(10 * id + 5),
            outcome: Outcome::Ok(reply),
        };
        let operations =
            vec![operation(1, &set(ttl_ms), Reply::Done), operation(2, &get, Reply::Nil)];
        let history = History { specification: Specification::Redis, operations };
        let lasting = lasting.iter().map(|&start| start.to_owned()).collect();
        let options = Options { vanishing, lasting, ..options() };
        matches!(check(&history, &options).verdict, Verdict::Linearizable(_))
    };
    assert!(is_legal(Some(1_000), Vanishing::WithTtl, &[]));
    assert!(!is_legal(None, Vanishing::WithTtl, &[]));
    assert!(is_legal(None, Vanishing::Always, &["b"]));
    assert!(!is_legal(None, Vanishing::Always, &["a"]));
    assert!(!is_legal(Some(1_000), Vanishing::Never, &[]));
}

#[test]
fn a_copy_may_outlive_its_time_but_not_a_change_or_a_read_that_misses_it() {
    let key = Value::from("a");
    let set = |value: &str, ttl_ms| {
        let value = Value::from(value);
        let set = SetCommand { key: key.clone(), value, ttl_ms, ..Default::default() };
        (Command::Set(set), Reply::Done)
    };
    let copy = |value: &str| (Command::Cached { key: key.clone() }, Reply::Bulk(value.into()));
    let nothing = (Command::Cached { key: key.clone() }, Reply::Nil);
    let missed = (Command::Get { key: key.clone() }, Reply::Nil);
    let is_legal_in = |all: &[(Command, Reply)], last_but_one_from_us: u64| {
        let operations = all.iter().zip(1..).map(|((command, reply), id)| Operation {
            id,
            process: id,
            command: command.clone(),
            call_us: if id == all.len() as u64 - 1 { last_but_one_from_us } else { 1_000_000 * id },
            return_us: Some(1_000_000 * id + 5),
            outcome: Outcome::Ok(reply.clone()),
        });
        let operations = operations.collect();
        let history = History { specification: Specification::Redis, operations };
        matches!(check(&history, &options()).verdict, Verdict::Linearizable(_))
    };
    let is_legal = |all: &[(Command, Reply)]| is_legal_in(all, (all.len() as u64 - 1) * 1_000_000);
    let short = set("1", Some(10));
    assert!(is_legal(&[short.clone(), copy("1"), missed.clone()]));
    assert!(!is_legal(&[short.clone(), missed.clone(), copy("1")]));
    assert!(!is_legal(&[short.clone(), set("2", None), copy("1")]));
    assert!(is_legal(&[nothing.clone(), set("2", None), copy("2")]));
    assert!(!is_legal(&[nothing.clone(), set("2", None), nothing.clone()]));
    assert!(is_legal(&[short.clone(), missed.clone(), nothing.clone()]));
    // The read that found the end of what was there was asked before there was anything, when
    // another one saw nothing either (seed 354588005721).
    let all = [missed.clone(), set("1", None), short, missed, nothing];
    assert!(is_legal_in(&all, 1_000_000));
}

/// `writers` clients set the same value at the same time; half get no answer if so wished. Then
/// one reads `seen`.
fn crowd(writers: u64, with_unknown: bool, seen: &str) -> History {
    let key = Value::from("a");
    let mut operations: Vec<Operation> = (0..writers)
        .map(|id| {
            let is_unknown = with_unknown && id % 2 == 0;
            let value = Value::from("1");
            Operation {
                id,
                process: id,
                command: Command::Set(SetCommand { key: key.clone(), value, ..Default::default() }),
                call_us: id,
                return_us: (!is_unknown).then_some(10_000 + id),
                outcome: if is_unknown { Outcome::Info } else { Outcome::Ok(Reply::Done) },
            }
        })
        .collect();
    operations.push(Operation {
        id: writers,
        process: writers,
        command: Command::Get { key },
        call_us: 30_000,
        return_us: Some(30_001),
        outcome: Outcome::Ok(Reply::Bulk(Value::from(seen))),
    });
    History { specification: Specification::Redis, operations }
}

#[test]
fn crowds_of_every_size_are_judged_or_refused() {
    for with_unknown in [false, true] {
        for writers in [1, 63, 64, 65, 200, 600, 1_000] {
            assert_eq!(judged(&crowd(writers, with_unknown, "1"), &options()), Some(0));
            let options = Options { explain: false, ..options() };
            let illegal = check(&crowd(writers, with_unknown, "2"), &options).verdict;
            assert_eq!(illegal, Verdict::NotLinearizable(None), "{writers} writers");
        }
    }
    let refused = check(&crowd(1_100, false, "1"), &options()).verdict;
    assert_eq!(refused, Verdict::Unknown(UnknownReason::TooConcurrent));
}
