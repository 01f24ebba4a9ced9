//! What of a client decides what it does from now on, so that a search can tell its states apart.
//!
//! Left out is what has no future: how requests are called, which moment it is, what was counted
//! and is not looked at again. Waits of chance are not looked at either: a search has none.
//!
//! Invariant: two clients with the same settings and the same essence answer the same inputs at
//! whole ticks of their own with the same requests and the same news, and have the same essence
//! afterwards.

use super::client::{Client, Phase};
use super::held::Held;
use super::message::{Node, RequestId};
use super::settings::{Fencing, Order, Since};
use super::votes::Votes;
use orrery_base::time::{Instant, Micros, Now};

/// How a search counts time.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The client's present.
    pub now: Now,
    /// Time passes by so much at once.
    pub tick: Micros,
    /// As many ticks after its time something is over for good: 0, unless the clock may go back.
    pub horizon_ticks: i64,
}

/// What decides what a client does; times are whole ticks from now on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Essence {
    phase: Phase,
    attempt: u64,
    retries_left: u32,
    next_node: u16,
    /// What would be left if it were granted the lock now.
    left: i64,
    counter: u64,
    failed: u16,
    number: u64,
    proposal: u64,
    retry_in: i64,
    held: Option<HeldEssence>,
    nodes: Vec<NodeEssence>,
}

/// The same of a lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct HeldEssence {
    fence: Option<u64>,
    left: i64,
    left_local: i64,
    /// Until it may not be extended any more, and until it is extended next.
    may_extend: Option<i64>,
    extends_in: Option<i64>,
    /// What a round would leave, when the one after it comes, and whether it is decided.
    round: Option<(i64, i64, bool)>,
}

/// What a client knows of one server, and waits for from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeEssence {
    /// Ticks for which an answer is waited for.
    asked: Option<i64>,
    has_granted: bool,
    /// The same of those that are told a number, and of those that had the key before.
    had_granted: bool,
    late: Option<i64>,
    extends: Option<i64>,
    has_extended: bool,
    is_repaired: bool,
}

impl Scale {
    fn ticks(&self, until_us: u64, now_us: u64) -> i64 {
        let (until, now) = (until_us as i64, now_us as i64);
        (-(now - until).div_euclid(self.tick.0 as i64)).max(-self.horizon_ticks)
    }

    fn until(&self, at: Instant) -> i64 {
        self.ticks(at.0, self.now.mono.0)
    }
}

impl Essence {
    /// What there is of one server.
    #[must_use]
    pub fn node(&self, node: Node) -> NodeEssence {
        self.nodes[usize::from(node.0)]
    }
}

impl Client {
    /// What decides what it does from now on.
    #[must_use]
    pub fn essence(&self, scale: Scale) -> Essence {
        let (local, phase) = (self.local(scale.now), self.phase);
        let is_in = |phases: &[Phase]| phases.contains(&phase);
        let has_begun = is_in(&[Phase::Acquiring, Phase::Committing])
            || phase == Phase::Waiting && self.settings.since == Since::Acquisition;
        let is_acquiring = phase == Phase::Acquiring;
        let only = |counts: bool, value: u64| if counts { value } else { 0 };
        let asks_in_turn = is_acquiring && self.settings.order == Order::OneByOne;
        let counts_failed = is_acquiring && self.settings.fails_on_error;
        let left = || scale.ticks(self.deadline(self.attempt_began, local), local);
        Essence {
            phase,
            attempt: self.token.attempt,
            retries_left: only(!is_in(&[Phase::Idle, Phase::Releasing]), self.retries_left.into())
                as u32,
            next_node: only(asks_in_turn, self.next_node.into()) as u16,
            left: if has_begun { left() } else { 0 },
            counter: only(is_acquiring, self.votes.counter()),
            failed: only(counts_failed, self.votes.failed().into()) as u16,
            number: only(phase == Phase::Committing, self.number),
            proposal: only(self.settings.fencing == Fencing::Proposed, self.proposal),
            retry_in: if phase == Phase::Waiting { scale.until(self.retry_at) } else { 0 },
            held: self.held.as_ref().map(|held| self.held_essence(held, scale)),
            nodes: (0..self.settings.nodes).map(|node| self.node_essence(node, scale)).collect(),
        }
    }

    /// The requests to a server whose answers are waited for, the oldest first.
    #[must_use]
    pub fn awaited(&self, node: Node) -> Vec<RequestId> {
        let late = self.held.as_ref().map(|held| &held.late);
        let round = self.held.as_ref().and_then(|held| held.round.as_ref());
        let all = [Some(&self.votes), late, round.map(|round| &round.votes)];
        let open = all.into_iter().flatten().flat_map(|votes| &votes.open);
        let mut ids: Vec<RequestId> =
            open.filter(|open| open.node == node).map(|open| open.id).collect();
        ids.sort_unstable();
        ids
    }

    /// The same client if its servers were numbered otherwise: which number each gets. Only for
    /// those that ask all at once is one number as good as another.
    #[must_use]
    pub fn renumbered(&self, numbers: &[u16]) -> Self {
        let mut other = self.clone();
        let bits = |bits: u64| {
            let moved = |(old, new): (usize, &u16)| (bits >> old & 1) << new;
            numbers.iter().enumerate().map(moved).sum()
        };
        let votes = |votes: &mut Votes| {
            votes.granted = bits(votes.granted);
            for open in &mut votes.open {
                open.node = Node(numbers[usize::from(open.node.0)]);
            }
        };
        votes(&mut other.votes);
        other.granted = bits(other.granted);
        if let Some(held) = &mut other.held {
            held.granted = bits(held.granted);
            votes(&mut held.late);
            if let Some(round) = &mut held.round {
                votes(&mut round.votes);
                round.repaired = bits(round.repaired);
            }
        }
        other
    }

    fn held_essence(&self, held: &Held, scale: Scale) -> HeldEssence {
        let local = self.local(scale.now);
        let rule = self.settings.extension;
        let after = |at: Instant, ms: u64| scale.until(at + Micros::from_millis(ms));
        HeldEssence {
            fence: held.grant.fence,
            left: scale.until(held.grant.until),
            left_local: scale.ticks(held.grant.until_local, local),
            may_extend: rule.map(|rule| after(held.since, rule.held_ms_max)),
            extends_in: held.next_extension.map(|at| scale.until(at)),
            round: held.round.as_ref().zip(rule).map(|(round, rule)| {
                let left = scale.ticks(self.deadline(round.began_local, local), local);
                (left, after(round.began, rule.every_ms), round.is_decided)
            }),
        }
    }

    fn node_essence(&self, node: u16, scale: Scale) -> NodeEssence {
        let waits = |votes: &Votes| {
            let open = votes.open.iter().find(|open| open.node.0 == node);
            open.map(|open| scale.until(open.until))
        };
        let has = |bits: u64| bits >> node & 1 == 1;
        let counts = matches!(self.phase, Phase::Acquiring | Phase::Committing);
        let mut essence = NodeEssence {
            asked: waits(&self.votes),
            has_granted: counts && has(self.votes.granted),
            had_granted: has(self.granted),
            ..NodeEssence::default()
        };
        if let Some(held) = &self.held {
            essence.had_granted = has(held.granted);
            essence.late = waits(&held.late);
            if let Some(round) = &held.round {
                essence.extends = waits(&round.votes);
                essence.has_extended = has(round.votes.granted);
                essence.is_repaired = has(round.repaired);
            }
        }
        essence
    }
}
