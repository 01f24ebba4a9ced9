//! What reads tell about lists: the order of each list's values, who appended them, and who read
//! which state; and what is wrong with single reads.
//!
//! Invariant: the order of a list is that of its longest read, of which every other read is a
//! beginning; a list of which that is not so has no order.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Fate, Finding, Kind, Step, Transaction, explain};

/// One list.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Its values in order, as far as somebody has read them.
    pub(super) order: Vec<u64>,
    /// Who appended each of them.
    pub(super) writers: Vec<usize>,
    /// Who read it without having appended to it before, and how many values there were.
    pub(super) readers: Vec<(usize, usize)>,
    /// Transactions that have happened and whose appends nobody has read: they come behind all that
    /// was read. Each with its value.
    pub(super) unread: Vec<(usize, u64)>,
}

/// All lists, by key.
pub(super) type Lists = BTreeMap<u64, Versions>;

/// Who appended a value.
#[derive(Clone, Copy)]
struct Append {
    transaction: usize,
    /// The same transaction appended another one to the same list later.
    is_intermediate: bool,
}

/// A read: transaction, and what it saw; the last values may be the transaction's own.
struct Read<'a> {
    transaction: usize,
    values: &'a [u64],
    own: usize,
    /// Not the first read of this list in the transaction.
    is_repeated: bool,
}

struct Inference<'a> {
    transactions: &'a [Transaction],
    appends: HashMap<(u64, u64), Append>,
    reads: BTreeMap<u64, Vec<Read<'a>>>,
    findings: BTreeMap<Kind, Finding>,
}

/// Infers the order of every list, with what contradicts it.
pub(super) fn infer(transactions: &[Transaction]) -> (Lists, Vec<Finding>) {
    let mut inference = Inference {
        transactions,
        appends: HashMap::new(),
        reads: BTreeMap::new(),
        findings: BTreeMap::new(),
    };
    inference.collect_appends();
    (0..transactions.len()).for_each(|at| inference.collect_reads(at));
    let lists = inference.order_lists();
    (lists, inference.findings.into_values().collect())
}

impl<'a> Inference<'a> {
    fn found(&mut self, kind: Kind, transactions: Vec<usize>, text: impl FnOnce() -> String) {
        let all = self.transactions;
        self.findings.entry(kind).or_insert_with(|| {
            let text = format!("{}\n{}", text(), explain::list(all, &transactions));
            Finding { kind, transactions, text }
        });
    }

    fn collect_appends(&mut self) {
        for (at, transaction) in self.transactions.iter().enumerate() {
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            for step in &transaction.steps {
                let Step::Append { key, value } = *step else { continue };
                if let Some(before) = last.insert(key, value)
                    && let Some(append) = self.appends.get_mut(&(key, before))
                {
                    append.is_intermediate = true;
                }
                let append = Append { transaction: at, is_intermediate: false };
                if let Some(other) = self.appends.insert((key, value), append) {
                    let both = vec![other.transaction, at];
                    self.found(Kind::Duplicate, both, || {
                        format!("value {value} was appended to list {key} twice")
                    });
                }
            }
        }
    }

    /// Sees what a transaction read, and whether it fits what it did itself.
    fn collect_reads(&mut self, at: usize) {
        let transaction = &self.transactions[at];
        if transaction.fate != Fate::Committed {
            return;
        }
        let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut before: BTreeMap<u64, &'a [u64]> = BTreeMap::new();
        for step in &transaction.steps {
            match step {
                Step::Append { key, value } => own.entry(*key).or_default().push(*value),
                Step::Read { values: None, .. } => {}
                Step::Read { key, values: Some(values) } => {
                    let mine = own.get(key).map_or(&[][..], Vec::as_slice);
                    let Some(others) = values.strip_suffix(mine) else {
                        self.found(Kind::Internal, vec![at], || {
                            let mine = explain::values(mine);
                            format!(
                                "list {key} does not end with {mine}, which was appended before"
                            )
                        });
                        continue;
                    };
                    let earlier = before.insert(*key, others);
                    if earlier.is_some_and(|earlier| earlier != others) {
                        self.found(Kind::Internal, vec![at], || {
                            format!("list {key} was read twice and changed in between")
                        });
                    }
                    let is_repeated = earlier.is_some();
                    let read = Read { transaction: at, values, own: mine.len(), is_repeated };
                    self.reads.entry(*key).or_default().push(read);
                }
            }
        }
    }

    fn order_lists(&mut self) -> Lists {
        let mut lists = Lists::new();
        for (key, reads) in core::mem::take(&mut self.reads) {
            // Of several that are equally long the first, so that the choice is always the same.
            let longest = reads.iter().rev().max_by_key(|read| read.values.len());
            let Some(longest) = longest else { continue };
            if self.is_ordered(key, longest, &reads) {
                let versions = self.versions(key, longest, &reads);
                lists.insert(key, versions);
            }
        }
        // Lists that nobody has read have no order, and nothing depends on them.
        let places: HashSet<(u64, u64)> = lists
            .iter()
            .flat_map(|(&key, versions)| versions.order.iter().map(move |&value| (key, value)))
            .collect();
        for (at, transaction) in self.transactions.iter().enumerate() {
            for step in &transaction.steps {
                if let Step::Append { key, value } = *step
                    && transaction.fate == Fate::Committed
                    && !places.contains(&(key, value))
                    && let Some(versions) = lists.get_mut(&key)
                {
                    versions.unread.push((at, value));
                }
            }
        }
        lists
    }

    /// Whether all reads of a list agree.
    fn is_ordered(&mut self, key: u64, longest: &Read<'_>, reads: &[Read<'_>]) -> bool {
        let mut seen = HashSet::new();
        if let Some(&value) = longest.values.iter().find(|&&value| !seen.insert(value)) {
            self.found(Kind::Duplicate, vec![longest.transaction], || {
                format!("value {value} was in list {key} twice")
            });
            return false;
        }
        let other = reads.iter().find(|read| !longest.values.starts_with(read.values));
        if let Some(other) = other {
            let both = vec![other.transaction, longest.transaction];
            self.found(Kind::IncompatibleOrder, both, || {
                let (one, two) = (explain::values(other.values), explain::values(longest.values));
                format!(
                    "list {key} was read as {one} and as {two}: neither is the beginning of the \
                     other"
                )
            });
        }
        other.is_none()
    }

    fn versions(&mut self, key: u64, longest: &Read<'_>, reads: &[Read<'_>]) -> Versions {
        let mut versions = Versions::default();
        for &value in longest.values {
            let Some(&append) = self.appends.get(&(key, value)) else {
                self.found(Kind::Garbage, vec![longest.transaction], || {
                    format!("value {value} was in list {key} and nobody has appended it")
                });
                break;
            };
            if self.transactions[append.transaction].fate == Fate::Aborted {
                let both = vec![append.transaction, longest.transaction];
                self.found(Kind::G1a, both, || {
                    format!(
                        "value {value} was read in list {key}, and the transaction that appended \
                         it was aborted"
                    )
                });
            }
            versions.order.push(value);
            versions.writers.push(append.transaction);
        }
        for read in reads {
            let len = read.values.len() - read.own;
            if len > versions.order.len() || read.is_repeated {
                continue;
            }
            self.look_at_last(key, read, len);
            versions.readers.push((read.transaction, len));
        }
        versions
    }

    /// The last value that a transaction saw of others must be the last of the other's.
    fn look_at_last(&mut self, key: u64, read: &Read<'_>, len: usize) {
        let Some(&value) = read.values[..len].last() else { return };
        let Some(&append) = self.appends.get(&(key, value)) else { return };
        if append.is_intermediate && append.transaction != read.transaction {
            let both = vec![append.transaction, read.transaction];
            self.found(Kind::G1b, both, || {
                format!(
                    "list {key} was read up to value {value}, and the transaction that appended it \
                     appended more"
                )
            });
        }
    }
}
