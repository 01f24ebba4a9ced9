//! The graph of dependencies between transactions.
//!
//! Orders that would need many edges go through nodes that are no transactions: all who have read
//! the whole of a list come before all whose appends nobody has read, and everything that ended
//! before a moment comes before everything that began after it.
//!
//! Invariants: the first nodes are the transactions, in their order; the number of edges grows with
//! the number of reads and values; edges are sorted.

use std::collections::BTreeSet;

use super::versions::{Lists, Versions};
use super::{Fate, Transaction};

/// A node: a transaction or a bundle of edges.
pub(super) type Node = u32;

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// The second appended behind a value of the first.
    Ww {
        /// The list.
        key: u64,
        /// How many values there were before those of the second.
        place: u32,
    },
    /// The second read up to a value of the first.
    Wr {
        /// The list.
        key: u64,
        /// How many values were read.
        place: u32,
    },
    /// The first read what was there before a value of the second.
    Rw {
        /// The list.
        key: u64,
        /// How many values were read.
        place: u32,
    },
    /// The first had ended before the second began.
    Realtime,
    /// The rest of the way through a bundle.
    Rest,
}

impl Why {
    /// Its bit in a set of kinds.
    pub(super) fn bit(self) -> u8 {
        match self {
            Self::Ww { .. } => WW,
            Self::Wr { .. } => WR,
            Self::Rw { .. } => RW,
            Self::Realtime => REALTIME,
            Self::Rest => REST,
        }
    }
}

/// Of a list: those that read all of it and appended what nobody has read. In a history that is
/// right there is one.
const DIRECT_MAX: usize = 8;

pub(super) const WW: u8 = 1;
pub(super) const WR: u8 = 2;
pub(super) const RW: u8 = 4;
pub(super) const REALTIME: u8 = 8;
pub(super) const REST: u8 = 16;

/// An edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) from: Node,
    pub(super) to: Node,
    pub(super) why: Why,
}

/// All edges, with where those of each node begin.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) edges: Vec<Edge>,
    starts: Vec<usize>,
    transactions: usize,
}

impl Graph {
    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The edges that leave a node.
    pub(super) fn from(&self, node: Node) -> &[Edge] {
        let node = node as usize;
        &self.edges[self.starts[node]..self.starts[node + 1]]
    }

    /// The same, each with its place among all edges.
    pub(super) fn numbered_from(&self, node: Node) -> impl Iterator<Item = (usize, &Edge)> {
        let start = self.starts[node as usize];
        (start..).zip(self.from(node))
    }

    /// Whether a node is a transaction.
    pub(super) fn is_transaction(&self, node: Node) -> bool {
        (node as usize) < self.transactions
    }
}

struct Builder {
    edges: Vec<Edge>,
    nodes: usize,
}

impl Builder {
    fn node(&mut self) -> usize {
        self.nodes += 1;
        self.nodes - 1
    }

    fn edge(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            self.edges.push(Edge { from: from as Node, to: to as Node, why });
        }
    }
}

/// The graph of everything that follows from what was read, and from time.
pub(super) fn build(transactions: &[Transaction], lists: &Lists) -> Graph {
    let mut builder = Builder { edges: Vec::new(), nodes: transactions.len() };
    for (&key, versions) in lists {
        let writers = &versions.writers;
        for (index, pair) in writers.windows(2).enumerate() {
            builder.edge(pair[0], pair[1], Why::Ww { key, place: index as u32 + 1 });
        }
        for &(reader, len) in &versions.readers {
            let place = len as u32;
            if let Some(last) = len.checked_sub(1) {
                builder.edge(writers[last], reader, Why::Wr { key, place });
            }
            if let Some(&next) = writers.get(len) {
                builder.edge(reader, next, Why::Rw { key, place });
            }
        }
        add_unread(&mut builder, key, versions);
    }
    add_time(&mut builder, transactions);
    finish(builder, transactions.len())
}

/// Who has read or ended the whole of a list comes before all whose appends nobody has read.
fn add_unread(builder: &mut Builder, key: u64, versions: &Versions) {
    let unread: BTreeSet<usize> = versions.unread.iter().map(|&(writer, _)| writer).collect();
    if unread.is_empty() {
        return;
    }
    let place = versions.writers.len() as u32;
    let whole = versions.readers.iter().filter(|(_, len)| *len == versions.writers.len());
    let readers = whole.map(|&(reader, _)| (reader, Why::Rw { key, place }));
    let last = versions.writers.last().map(|&last| (last, Why::Ww { key, place }));
    let before: Vec<(usize, Why)> = readers.chain(last).collect();
    let bundle = builder.node();
    let mut direct = 0;
    for (one, why) in before {
        if !unread.contains(&one) {
            builder.edge(one, bundle, why);
        } else if direct < DIRECT_MAX {
            // Its own append is one of them: the bundle would lead back to it.
            direct += 1;
            unread.iter().for_each(|&other| builder.edge(one, other, why));
        }
    }
    unread.iter().for_each(|&writer| builder.edge(bundle, writer, Why::Rest));
}

/// A chain of moments: who has ended leads into it, who begins is led to.
fn add_time(builder: &mut Builder, transactions: &[Transaction]) {
    let mut ends: Vec<(u64, usize)> = transactions
        .iter()
        .enumerate()
        .filter(|(_, transaction)| transaction.fate == Fate::Committed)
        .map(|(at, transaction)| (transaction.return_ns, at))
        .filter(|&(return_ns, _)| return_ns != u64::MAX)
        .collect();
    ends.sort_unstable();
    let mut begins: Vec<(u64, usize)> = transactions
        .iter()
        .enumerate()
        .filter(|(_, transaction)| transaction.fate != Fate::Aborted)
        .map(|(at, transaction)| (transaction.call_ns, at))
        .collect();
    begins.sort_unstable();
    let mut ended = ends.into_iter().peekable();
    let mut moment: Option<usize> = None;
    for (call_ns, at) in begins {
        let mut has_ended = Vec::new();
        while let Some((_, other)) = ended.next_if(|&(return_ns, _)| return_ns < call_ns) {
            has_ended.push(other);
        }
        if !has_ended.is_empty() {
            let next = builder.node();
            for other in has_ended {
                builder.edge(other, next, Why::Realtime);
            }
            if let Some(moment) = moment {
                builder.edge(moment, next, Why::Rest);
            }
            moment = Some(next);
        }
        if let Some(moment) = moment {
            builder.edge(moment, at, Why::Rest);
        }
    }
}

fn finish(builder: Builder, transactions: usize) -> Graph {
    let Builder { mut edges, nodes } = builder;
    edges.sort_unstable();
    edges.dedup();
    let mut starts = vec![0; nodes + 1];
    for edge in &edges {
        starts[edge.from as usize + 1] += 1;
    }
    for node in 0..nodes {
        starts[node + 1] += starts[node];
    }
    Graph { edges, starts, transactions }
}

/// The strongly connected components of the edges whose kinds are in `kinds`: for each node the
/// number of its component, or zero if it is alone in it. Tarjan's algorithm, without recursion.
pub(super) fn components(graph: &Graph, kinds: u8) -> Vec<u32> {
    const NEW: u32 = u32::MAX;
    let len = graph.len();
    let mut component = vec![0_u32; len];
    let (mut index, mut low) = (vec![NEW; len], vec![0_u32; len]);
    let mut on_stack = vec![false; len];
    let (mut stack, mut calls): (Vec<Node>, Vec<(Node, usize)>) = (Vec::new(), Vec::new());
    let (mut next_index, mut components) = (0, 0);
    for root in 0..len as Node {
        if index[root as usize] != NEW {
            continue;
        }
        calls.push((root, 0));
        while let Some(&mut (node, ref mut at)) = calls.last_mut() {
            let here = node as usize;
            if *at == 0 {
                (index[here], low[here]) = (next_index, next_index);
                next_index += 1;
                stack.push(node);
                on_stack[here] = true;
            }
            let rest = &graph.from(node)[*at..];
            let step = rest.iter().position(|edge| {
                let to = edge.to as usize;
                edge.why.bit() & kinds != 0 && (index[to] == NEW || on_stack[to])
            });
            if let Some(step) = step {
                let to = rest[step].to as usize;
                *at += step + 1;
                if index[to] == NEW {
                    calls.push((to as Node, 0));
                } else {
                    low[here] = low[here].min(index[to]);
                }
                continue;
            }
            calls.pop();
            if let Some(&(parent, _)) = calls.last() {
                let parent = parent as usize;
                low[parent] = low[parent].min(low[here]);
            }
            if low[here] == index[here] {
                let start = stack.iter().rposition(|&other| other == node).unwrap_or(0);
                let is_alone = stack.len() - start == 1;
                components += u32::from(!is_alone);
                for member in stack.drain(start..) {
                    on_stack[member as usize] = false;
                    component[member as usize] = if is_alone { 0 } else { components };
                }
            }
        }
    }
    component
}
