//! Cycles in the graph of dependencies, by the kinds of their edges.
//!
//! Invariant: a cycle that is told has exactly the edges that its name says; where there is a cycle
//! at all, one is told.

use std::collections::VecDeque;

use super::graph::{Edge, Graph, Node, REALTIME, REST, RW, WR, WW, components};
use super::versions::Lists;
use super::{Finding, Kind, Transaction, explain};

/// Edges through which a cycle of one kind is searched.
const EDGES_TRIED_MAX: usize = 256;
/// Nodes that are looked at for cycles of one kind before the shortest so far is taken.
const NODES_LOOKED_AT_MAX: usize = 4_000_000;

/// A kind of cycle: an edge that it must have, and of what kinds the way back may be.
struct Search {
    kind: Kind,
    edge: u8,
    back: u8,
    /// Another kind, with which this one would only be found again.
    unless: Option<Kind>,
}

const fn search(kind: Kind, edge: u8, back: u8) -> Search {
    Search { kind, edge, back: back | REST, unless: None }
}

const BY_READS: [Search; 4] = [
    search(Kind::G0, WW, WW),
    search(Kind::G1c, WR, WW | WR),
    search(Kind::GSingle, RW, WW | WR),
    Search { unless: Some(Kind::GSingle), ..search(Kind::G2, RW, WW | WR | RW) },
];
const BY_TIME: [Search; 4] = [
    search(Kind::G0Realtime, WW, WW | REALTIME),
    search(Kind::G1cRealtime, WR, WW | WR | REALTIME),
    search(Kind::GSingleRealtime, RW, WW | WR | REALTIME),
    Search {
        unless: Some(Kind::GSingleRealtime),
        ..search(Kind::G2Realtime, RW, WW | WR | RW | REALTIME)
    },
];

/// Finds cycles: those that need no clock, or else those that do.
pub(super) fn find(transactions: &[Transaction], lists: &Lists, graph: &Graph) -> Vec<Finding> {
    let all = components(graph, WW | WR | RW | REALTIME | REST);
    if all.iter().all(|&component| component == 0) {
        return Vec::new();
    }
    for searches in [BY_READS, BY_TIME] {
        let mut findings: Vec<Finding> = Vec::new();
        for search in searches {
            if findings.iter().any(|finding| Some(finding.kind) == search.unless) {
                continue;
            }
            if let Some(cycle) = shortest(graph, &search) {
                let (transactions, text) = explain::cycle(transactions, lists, graph, &cycle);
                findings.push(Finding { kind: search.kind, transactions, text });
            }
        }
        if !findings.is_empty() {
            return findings;
        }
    }
    Vec::new()
}

/// The shortest cycle of a kind among those through the first edges that it can begin with.
fn shortest(graph: &Graph, search: &Search) -> Option<Vec<Edge>> {
    let component = components(graph, search.edge | search.back);
    let inside = |edge: &&Edge| {
        let [from, to] = [edge.from, edge.to].map(|node| component[node as usize]);
        edge.why.bit() == search.edge && from == to && from != 0
    };
    let mut ways = Ways::new(graph, &component);
    let mut found: Option<Vec<Edge>> = None;
    for edge in graph.edges.iter().filter(inside).take(EDGES_TRIED_MAX) {
        let most = found.as_ref().map_or(usize::MAX, Vec::len);
        if let Some(mut way) = ways.back(*edge, search.back, most) {
            way.insert(0, *edge);
            if way.len() < most {
                found = Some(way);
            }
        }
        if ways.looked_at > NODES_LOOKED_AT_MAX {
            break;
        }
    }
    found
}

/// Shortest ways between nodes of one component.
struct Ways<'a> {
    graph: &'a Graph,
    component: &'a [u32],
    /// The edge by which each node was reached, and in which search.
    reached: Vec<(u32, usize)>,
    search: u32,
    looked_at: usize,
}

impl<'a> Ways<'a> {
    fn new(graph: &'a Graph, component: &'a [u32]) -> Self {
        let reached = vec![(0, 0); graph.len()];
        Self { graph, component, reached, search: 0, looked_at: 0 }
    }

    /// The way from an edge's end to its beginning, if it has fewer than `most` edges.
    fn back(&mut self, edge: Edge, kinds: u8, most: usize) -> Option<Vec<Edge>> {
        self.search += 1;
        let mut queue: VecDeque<(Node, usize)> = VecDeque::from([(edge.to, 1)]);
        self.reached[edge.to as usize] = (self.search, usize::MAX);
        while let Some((node, len)) = queue.pop_front() {
            self.looked_at += 1;
            if node == edge.from {
                return Some(self.way_to(node));
            }
            if len >= most {
                return None;
            }
            for (at, next) in self.graph.numbered_from(node) {
                let to = next.to as usize;
                let is_new = self.reached[to].0 != self.search;
                let is_inside = self.component[to] == self.component[edge.to as usize];
                if is_new && is_inside && next.why.bit() & kinds != 0 {
                    self.reached[to] = (self.search, at);
                    queue.push_back((next.to, len + 1));
                }
            }
        }
        None
    }

    fn way_to(&self, mut node: Node) -> Vec<Edge> {
        let mut way = Vec::new();
        while let (_, at) = self.reached[node as usize]
            && at != usize::MAX
        {
            let edge = self.graph.edges[at];
            way.push(edge);
            node = edge.from;
        }
        way.reverse();
        way
    }
}
