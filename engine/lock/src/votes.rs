//! The answers to one round of requests.
//!
//! Invariant: each node is counted once, as what it said first; one that was given up in time may
//! still be counted as having granted, never as waited for.

use super::message::{Node, RequestId};
use super::settings::NODES_MAX;
use orrery_base::time::Instant;

/// A request that has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) node: Node,
    pub(super) id: RequestId,
    /// It is waited for until then.
    pub(super) until: Instant,
}

/// What became of a round.
#[derive(Clone, Debug, Default)]
pub(super) struct Votes {
    pub(super) open: Vec<Open>,
    pub(super) granted: u64,
    counter: u64,
    failed: u16,
    answered: u16,
}

impl Votes {
    pub(super) fn asked(&mut self, open: Open) {
        assert!(open.node.0 < NODES_MAX, "there are no so many nodes");
        self.open.push(open);
    }

    /// Takes the answer of a request out of those that are open; `None`: it is not of this round,
    /// or came too late.
    pub(super) fn close(&mut self, id: RequestId) -> Option<Node> {
        let at = self.open.iter().position(|open| open.id == id)?;
        self.answered += 1;
        Some(self.open.swap_remove(at).node)
    }

    /// Gives those up that have not answered by now.
    pub(super) fn give_up(&mut self, now: Instant) -> usize {
        let before = self.open.len();
        self.open.retain(|open| open.until > now);
        let late = before - self.open.len();
        self.failed += late as u16;
        late
    }

    pub(super) fn grant(&mut self, node: Node, counter: u64) {
        self.granted |= 1 << node.0;
        self.saw(counter);
    }

    /// One that did not grant has said how its counter stands.
    pub(super) fn saw(&mut self, counter: u64) {
        self.counter = self.counter.max(counter);
    }

    pub(super) fn fail(&mut self) {
        self.failed += 1;
    }

    pub(super) fn grants(&self) -> u16 {
        self.granted.count_ones() as u16
    }

    /// The nodes that granted, as bits.
    pub(super) fn granted(&self) -> u64 {
        self.granted
    }

    /// The greatest counter that counts.
    pub(super) fn counter(&self) -> u64 {
        self.counter
    }

    /// Servers that failed or said nothing in time.
    pub(super) fn failed(&self) -> u16 {
        self.failed
    }

    pub(super) fn waiting(&self) -> u16 {
        self.open.len() as u16
    }

    /// When the first of those that are open is given up.
    pub(super) fn due(&self) -> Option<Instant> {
        self.open.iter().map(|open| open.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_counted_once_and_late_ones_not_at_all() {
        let mut votes = Votes::default();
        for node in 0..3 {
            let id = RequestId(node.into());
            votes.asked(Open { node: Node(node), id, until: Instant(100 + u64::from(node)) });
        }
        assert_eq!(votes.due(), Some(Instant(100)));
        assert_eq!(votes.give_up(Instant(100)), 1);
        assert_eq!(votes.close(RequestId(0)), None);
        assert_eq!(votes.close(RequestId(1)), Some(Node(1)));
        votes.grant(Node(1), 7);
        votes.grant(Node(1), 5);
        assert_eq!(
            (votes.grants(), votes.counter(), votes.waiting(), votes.failed()),
            (1, 7, 1, 1)
        );
        assert_eq!(votes.granted(), 0b10);
    }
}
