//! Each anomaly by hand, and histories of a store that is right.

use super::*;
use crate::chance::{Chance, Stream};

/// Transactions, one a line: call, return, `!` if it was aborted or `?` if nobody knows, and steps:
/// `x+1` appends to list x, `x=12` reads it.
fn history(text: &str) -> Vec<Transaction> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let transactions = lines.enumerate().map(|(at, line)| {
        let mut words = line.split_whitespace();
        let mut number = || -> u64 { words.next().expect("a time").parse().expect("a number") };
        let (call_ns, return_ns) = (number(), number());
        let mut fate = Fate::Committed;
        let mut steps = Vec::new();
        for word in words {
            let key = u64::from(word.as_bytes()[0]);
            match (word, word.as_bytes().get(1)) {
                ("!", _) => fate = Fate::Aborted,
                ("?", _) => fate = Fate::Unknown,
                (_, Some(b'+')) => {
                    let value = word[2..].parse().expect("a value");
                    steps.push(Step::Append { key, value });
                }
                _ => {
                    let digits = word[2..].bytes().map(|digit| u64::from(digit - b'0'));
                    steps.push(Step::Read { key, values: Some(digits.collect()) });
                }
            }
        }
        let return_ns = if fate == Fate::Unknown { u64::MAX } else { return_ns };
        let id = at as u64;
        Transaction { id, client: id, steps, fate, call_ns, return_ns }
    });
    transactions.collect()
}

#[track_caller]
fn check_text(text: &str, wanted: &[Kind]) -> Vec<Finding> {
    let findings = check(&history(text));
    let kinds: Vec<Kind> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, wanted, "{findings:?}");
    findings
}

#[test]
fn what_can_have_been_is_fine() {
    check_text("", &[]);
    check_text("1 2 x+1 y+1\n 3 4 x=1 y=1 x+2 x=12\n 3 9 x=12\n 5 6 y=1", &[]);
    // Those that overlap may have happened in either order, whatever the order of their calls.
    check_text("1 9 x+1 y=\n 2 8 y+1 x=1\n 3 7 x=1 y=1", &[]);
    check_text("1 9 x+1\n 2 3 x=\n 4 5 x=1\n 6 7 x=1", &[]);
    // One without an answer may happen late, or never; one that was aborted never.
    check_text("1 2 ? x+1\n 3 4 x=\n 5 6 x=1\n 7 8 y+1 ! \n 9 10 y=", &[]);
    check_text("1 2 ? x+1\n 3 4 x=", &[]);
    check_text("1 2 x+1\n 1 2 x+2\n 3 4 x=21\n", &[]);
}

#[test]
fn reads_that_cannot_be_are_named() {
    check_text("1 2 x+1 x=", &[Kind::Internal]);
    check_text("1 9 x= x=1\n 1 9 x+1", &[Kind::Internal]);
    check_text("1 2 x+1\n 3 4 x=11", &[Kind::Duplicate]);
    check_text("1 2 x+1\n 3 4 x+1\n 5 6 x=1", &[Kind::Duplicate]);
    check_text("1 2 x=7", &[Kind::Garbage]);
    check_text("1 9 x+1\n 1 9 x+2\n 1 9 x=12\n 1 9 x=21", &[Kind::IncompatibleOrder]);
    check_text("1 2 ! x+1\n 3 4 x=1", &[Kind::G1a]);
    check_text("1 9 x+1 x+2\n 1 9 x=1\n 10 11 x=12", &[Kind::G1b, Kind::GSingle]);
    // One's own middle is no other's.
    check_text("1 9 x+1 x=1 x+2 x=12\n 10 11 x=12", &[]);
}

#[test]
fn cycles_are_named() {
    // Each overwrote the other: seen by a third.
    check_text("1 9 x+1 y+1\n 1 9 x+2 y+2\n 1 9 x=12\n 1 9 y=21", &[Kind::G0]);
    // Each read from the other.
    check_text("1 9 x+1 y=1\n 1 9 y+1 x=1", &[Kind::G1c]);
    // One saw half of the other.
    check_text("1 9 x+1 y+1\n 1 9 x=1 y=\n 10 11 x=1 y=1", &[Kind::GSingle]);
    // A lost update: both read nothing and appended.
    check_text("1 9 x= x+1\n 1 9 x= x+2\n 10 11 x=12", &[Kind::GSingle]);
    // A write skew.
    check_text("1 9 x= y+1\n 1 9 y= x+1\n 10 11 x=1 y=1", &[Kind::G2]);
}

#[test]
fn cycles_that_need_the_clock_are_named() {
    // Appended in the wrong order.
    check_text("1 2 x+1\n 3 4 x+2\n 5 6 x=21", &[Kind::G0Realtime]);
    // Read from the future.
    check_text("1 2 x=1\n 3 4 x+1", &[Kind::G1cRealtime]);
    // A stale read.
    check_text("1 2 x+1\n 3 4 x=\n 5 6 x=1", &[Kind::GSingleRealtime]);
    // A lost append: nobody ever reads it.
    let both = [Kind::G0Realtime, Kind::GSingleRealtime];
    check_text("1 2 x+1\n 3 4 x=\n 5 6 x+2\n 7 8 x=2", &both);
    check_text("1 2 x+1\n 3 4 x+2\n 5 6 x=1", &[Kind::GSingleRealtime]);
    // Two reads of the past, which only time makes a cycle of.
    check_text("1 20 x+1 y=\n 2 3 y+1\n 5 6 x=\n 30 31 x=1 y=1", &[Kind::G2Realtime]);
    // A long fork, two who each saw half, needs no clock.
    check_text("1 20 x+1\n 1 20 y+1\n 2 3 x=1 y=\n 4 5 x= y=1\n 30 31 x=1 y=1", &[Kind::G2]);
}

#[test]
fn a_cycle_is_explained_by_its_transactions() {
    let findings = check_text("1 9 x+1 y+1\n 1 9 x=1 y=\n 10 11 x=1 y=1", &[Kind::GSingle]);
    assert_eq!(findings[0].transactions.len(), 2);
    let text = findings[0].to_string();
    assert!(text.starts_with("G-single: no order of these transactions explains"), "{text}");
    let lines = [
        "  T0 of client 0: append 1 to list 120, append 1 to list 121; called at 0.000000001 s, \
         answered at 0.000000009 s",
        "  T1 comes before T0: T1 read list 121 with 0 values, before T0 appended 1 (rw)",
        "  T0 comes before T1: T1 read list 120 up to T0's 1 (wr)",
    ];
    for line in lines {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
    let findings = check_text("1 2 x+1\n 3 4 x=", &[Kind::GSingleRealtime]);
    let text = findings[0].to_string();
    let line = "  T0 comes before T1: T0 had its answer before T1 was called (real time)";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("T1 read list 120 with 0 values, before T0 appended 1 (rw)"), "{text}");
}

/// A store that is right: clients whose transactions take effect at one moment each. Some are never
/// answered, with or without effect, some are aborted.
fn serial(seed: u64, count: usize, clients: usize) -> Vec<Transaction> {
    let key = Chance::new(seed).key(Stream::Command, 0);
    let mut lists = std::collections::BTreeMap::<u64, Vec<u64>>::new();
    let mut free_at = vec![0_u64; clients];
    let mut transactions = Vec::new();
    let mut now_ns = 0;
    for id in 0..count as u64 {
        let mut draw = key.at(id);
        now_ns += draw.between(1, 10);
        let client = draw.below(clients as u64) as usize;
        // It happens now; it was called before and is answered later.
        let call_ns = free_at[client].max(now_ns.saturating_sub(draw.below(60)));
        let return_ns = now_ns + draw.below(60);
        now_ns = now_ns.max(call_ns);
        let return_ns = return_ns.max(now_ns + 1);
        free_at[client] = return_ns + 1;
        let fate = match draw.below(20) {
            0 => Fate::Unknown,
            1 => Fate::Aborted,
            _ => Fate::Committed,
        };
        let happens = fate == Fate::Committed || fate == Fate::Unknown && draw.chance(1, 2);
        let mut steps = Vec::new();
        for slot in 0..draw.between(1, 4) {
            let list = id / 400 * 8 + draw.below(8);
            if draw.chance(1, 2) {
                let value = id * 8 + slot + 1;
                steps.push(Step::Append { key: list, value });
                if happens {
                    lists.entry(list).or_default().push(value);
                }
            } else {
                let is_known = fate == Fate::Committed;
                let values = is_known.then(|| lists.get(&list).cloned().unwrap_or_default());
                steps.push(Step::Read { key: list, values });
            }
        }
        let return_ns = if fate == Fate::Unknown { u64::MAX } else { return_ns };
        transactions.push(Transaction {
            id,
            client: client as u64,
            steps,
            fate,
            call_ns,
            return_ns,
        });
    }
    transactions
}

#[test]
fn a_store_that_is_right_is_never_blamed() {
    for seed in 0..60 {
        let transactions = serial(seed, 300, 1 + seed as usize % 12);
        let findings = check(&transactions);
        assert!(findings.is_empty(), "seed {seed}: {}", findings[0]);
    }
}

#[test]
fn one_wrong_thing_is_found_in_a_long_history_and_always_the_same() {
    let mut found = 0;
    for seed in 0..30 {
        let mut transactions = serial(seed, 600, 6);
        // A read loses its last value: somebody's append is not seen, or seen too late.
        let places: Vec<usize> = (0..transactions.len())
            .filter(|&at| transactions[at].fate == Fate::Committed)
            .filter(|&at| match &transactions[at].steps[0] {
                Step::Read { values: Some(values), .. } => values.len() > 2,
                _ => false,
            })
            .collect();
        let at = places[seed as usize % places.len()];
        if let Step::Read { values: Some(values), .. } = &mut transactions[at].steps[0] {
            values.truncate(1);
        }
        let findings = check(&transactions);
        assert_eq!(findings, check(&transactions));
        found += usize::from(!findings.is_empty());
    }
    // Now and then all that it no longer saw overlapped with it.
    assert!(found >= 28, "{found} of 30");
}

#[test]
fn a_hundred_thousand_transactions_are_judged_in_time_that_grows_with_their_number() {
    let transactions = serial(1, 100_000, 20);
    assert!(check(&transactions).is_empty());
    let (versions, _) = versions::infer(&transactions);
    let graph = graph::build(&transactions, &versions);
    assert!(graph.edges.len() < 10 * transactions.len(), "{} edges", graph.edges.len());
}
