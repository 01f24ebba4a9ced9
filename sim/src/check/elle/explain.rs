//! Findings in words.

use std::fmt::Write;

use super::graph::{Edge, Graph, Why};
use super::versions::Lists;
use super::{Fate, Step, Transaction};

/// Values of a list that are shown; of longer ones the last.
const SHOWN_MAX: usize = 8;

/// The values of a list.
pub(super) fn values(values: &[u64]) -> String {
    let skipped = values.len().saturating_sub(SHOWN_MAX);
    let words: Vec<String> = values[skipped..].iter().map(u64::to_string).collect();
    let dots = if skipped > 0 { format!("... {skipped} more ... ") } else { String::new() };
    format!("[{dots}{}]", words.join(" "))
}

fn name(transaction: &Transaction) -> String {
    format!("T{}", transaction.id)
}

/// One line about a transaction.
fn describe(transaction: &Transaction) -> String {
    let steps: Vec<String> = transaction
        .steps
        .iter()
        .map(|step| match step {
            Step::Append { key, value } => format!("append {value} to list {key}"),
            Step::Read { key, values: Some(read) } => format!("read list {key}: {}", values(read)),
            Step::Read { key, values: None } => format!("read list {key}: unknown"),
        })
        .collect();
    let seconds = |ns: u64| format!("{}.{:09} s", ns / 1_000_000_000, ns % 1_000_000_000);
    let end = match (transaction.fate, transaction.return_ns) {
        (Fate::Unknown, _) | (_, u64::MAX) => "without an answer".to_owned(),
        (Fate::Aborted, at) => format!("aborted at {}", seconds(at)),
        (Fate::Committed, at) => format!("answered at {}", seconds(at)),
    };
    format!(
        "  {} of client {}: {}; called at {}, {end}",
        name(transaction),
        transaction.client,
        steps.join(", "),
        seconds(transaction.call_ns),
    )
}

/// The transactions at these places, a line each.
pub(super) fn list(transactions: &[Transaction], places: &[usize]) -> String {
    let lines: Vec<String> = places.iter().map(|&at| describe(&transactions[at])).collect();
    lines.join("\n")
}

/// A cycle: its transactions by place, and why each comes before the next.
pub(super) fn cycle(
    transactions: &[Transaction],
    lists: &Lists,
    graph: &Graph,
    cycle: &[Edge],
) -> (Vec<usize>, String) {
    // It may begin inside of a bundle.
    let start = cycle.iter().position(|edge| graph.is_transaction(edge.from)).unwrap_or(0);
    let rotated: Vec<Edge> = cycle[start..].iter().chain(&cycle[..start]).copied().collect();
    let starts: Vec<usize> =
        (0..rotated.len()).filter(|&at| graph.is_transaction(rotated[at].from)).collect();
    let places: Vec<usize> = starts.iter().map(|&at| rotated[at].from as usize).collect();
    let mut text = String::from("no order of these transactions explains what they saw:\n");
    text.push_str(&list(transactions, &places));
    for (index, &at) in starts.iter().enumerate() {
        let edge = rotated[at];
        let (one, other) = (places[index], places[(index + 1) % places.len()]);
        let why = reason(transactions, lists, one, other, edge.why);
        let (one, other) = (name(&transactions[one]), name(&transactions[other]));
        write!(text, "\n  {one} comes before {other}: {why}").expect("a String takes everything");
    }
    (places, text)
}

fn reason(
    transactions: &[Transaction],
    lists: &Lists,
    one: usize,
    other: usize,
    why: Why,
) -> String {
    let (first, second) = (name(&transactions[one]), name(&transactions[other]));
    // The value behind so many; one that nobody has read comes behind all.
    let value = |key: u64, place: u32| -> String {
        let versions = &lists[&key];
        let read = versions.order.get(place as usize).copied();
        let unread = || versions.unread.iter().find(|(at, _)| *at == other).map(|&(_, v)| v);
        read.or_else(unread).map_or_else(|| "a value".to_owned(), |value| value.to_string())
    };
    match why {
        Why::Ww { key, place } => {
            let before = place.checked_sub(1).map_or_else(String::new, |at| value(key, at));
            let after = value(key, place);
            format!("{second} appended {after} to list {key} behind {first}'s {before} (ww)")
        }
        Why::Wr { key, place } => {
            let last = value(key, place.saturating_sub(1));
            format!("{second} read list {key} up to {first}'s {last} (wr)")
        }
        Why::Rw { key, place } => {
            let missing = value(key, place);
            format!(
                "{first} read list {key} with {place} values, before {second} appended {missing} \
                 (rw)"
            )
        }
        Why::Realtime => format!("{first} had its answer before {second} was called (real time)"),
        Why::Rest => "it follows".to_owned(),
    }
}
