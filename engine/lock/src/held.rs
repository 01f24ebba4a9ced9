//! A lock that is held: its deadline, its extensions, its loss.
//!
//! Invariants, unless the settings want it otherwise: a deadline moves only forward, and only by a
//! round in which enough servers, before it had passed, still had the key; at every moment a quorum
//! has had it since the one before, those that were repaired only from then on. What is lost is not
//! brought back.

use super::client::{Action, Client, Ended};
use super::message::{Node, Reply, Request, RequestId, Token};
use super::settings::{Extension, FailedExtension, LossSignal};
use super::votes::Votes;
use orrery_base::time::{Instant, Micros, Now};

/// What a holder has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The value of the key on the servers.
    pub token: Token,
    /// The number that what the holder changes is to check, if grants have numbers.
    pub fence: Option<u64>,
    /// From here on the servers may give the lock to the next, on the monotonic clock.
    pub until: Instant,
    /// The same on the clock that the client goes by, in microseconds.
    pub(super) until_local: u64,
}

impl Grant {
    pub(super) fn new(
        token: Token,
        fence: Option<u64>,
        now: Now,
        local: u64,
        until_local: u64,
    ) -> Self {
        let left = Micros(until_local.saturating_sub(local));
        Self { token, fence, until: now.mono + left, until_local }
    }
}

/// An extension that something suspected makes early comes no sooner after the one before than this
/// part of the usual time.
const EARLY_PART: u64 = 8;

/// A lock that is held.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) grant: Grant,
    /// The servers that have had the key without a break, as far as is known, as bits: since it is
    /// held, or since a round in which a quorum of such still had it.
    pub(super) granted: u64,
    /// Answers to the acquisition that may still come.
    pub(super) late: Votes,
    pub(super) since: Instant,
    pub(super) next_extension: Option<Instant>,
    pub(super) round: Option<Round>,
    /// When the last extension began.
    extension_began: Option<Instant>,
    /// Somebody says that a server may have lost the key, and no extension has begun since.
    is_suspected: bool,
}

/// An extension under way.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) votes: Votes,
    /// The servers that were asked to set the key anew. Only when a quorum still has it: what is
    /// repaired says nothing about who has had it before.
    pub(super) repaired: u64,
    /// When it began, and when by the client's clock.
    pub(super) began: Instant,
    pub(super) began_local: u64,
    /// Enough servers have said yes.
    pub(super) is_decided: bool,
}

impl Held {
    pub(super) fn new(
        grant: Grant,
        granted: u64,
        late: Votes,
        since: Instant,
        extension: Option<Extension>,
    ) -> Self {
        let next_extension = extension.map(|it| since + Micros::from_millis(it.every_ms));
        Self {
            grant,
            granted,
            late,
            since,
            next_extension,
            round: None,
            extension_began: None,
            is_suspected: false,
        }
    }

    /// The next extension is early if something is suspected.
    fn hasten(&mut self, rule: Extension, now: Instant) {
        if !self.is_suspected {
            return;
        }
        let pause = Micros(rule.every_ms.saturating_mul(1000) / EARLY_PART);
        let earliest = self.extension_began.map_or(now, |began| now.max(began + pause));
        self.next_extension = self.next_extension.map(|next| next.min(earliest));
    }

    pub(super) fn believes(&self, local: u64, loss: LossSignal) -> bool {
        loss != LossSignal::AtDeadline || local < self.grant.until_local
    }

    pub(super) fn due(&self, loss: LossSignal) -> Option<Instant> {
        let deadline = (loss == LossSignal::AtDeadline).then_some(self.grant.until);
        let round = self.round.as_ref().and_then(|round| round.votes.due());
        let next = self.next_extension.filter(|_| self.round.is_none());
        [deadline, round, next].into_iter().flatten().min()
    }
}

impl Client {
    /// Takes an answer while the lock is held.
    pub(super) fn answer_held(
        &mut self,
        now: Now,
        id: RequestId,
        reply: Reply,
        out: &mut Vec<Action>,
    ) {
        let Some(held) = &mut self.held else { return };
        if let Some(node) = held.late.close(id) {
            // Somebody who was not needed has granted as well.
            if matches!(reply, Reply::Done { .. }) {
                held.granted |= 1 << node.0;
            }
            return;
        }
        let Some(round) = &mut held.round else { return };
        let Some(node) = round.votes.close(id) else { return };
        match reply {
            Reply::Done { counter } => {
                round.votes.grant(node, counter);
                held.granted |= 1 << node.0;
            }
            Reply::Refused { .. } => held.granted &= !(1 << node.0),
            Reply::Failed => round.votes.fail(),
        }
        self.decide_extension(now, out);
    }

    /// Whether the deadline has passed and the holder goes by it: then it is one no more.
    pub(super) fn is_over(&mut self, now: Now, out: &mut Vec<Action>) -> bool {
        let (loss, local) = (self.settings.loss, self.local(now));
        let Some(Held { grant, granted, .. }) = self.held else { return false };
        let has_passed = grant.until <= now.mono || grant.until_local <= local;
        if loss == LossSignal::AtDeadline && has_passed {
            self.give_back(now, granted, out);
            self.end(Ended::DeadlinePassed, out);
        }
        loss == LossSignal::AtDeadline && has_passed
    }

    /// The deadline has passed, an extension is due, or a server has not answered one in time.
    pub(super) fn tick_held(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.is_over(now, out) {
            return;
        }
        let Some(held) = &mut self.held else { return };
        if let Some(round) = &mut held.round {
            if round.votes.give_up(now.mono) > 0 {
                self.decide_extension(now, out);
            }
        } else if held.next_extension.is_some_and(|at| at <= now.mono) {
            self.extend(now, out);
        }
    }

    /// Somebody says that a server may have lost the key: an extension, which finds that out,
    /// begins now, but not before an eighth of the usual time has passed since the last one, so
    /// that false news do not make too many.
    pub fn suspect(&mut self, now: Now, out: &mut Vec<Action>) {
        let (Some(held), Some(rule)) = (&mut self.held, self.settings.extension) else { return };
        held.is_suspected = true;
        held.hasten(rule, now.mono);
        self.tick(now, out);
    }

    fn extend(&mut self, now: Now, out: &mut Vec<Action>) {
        let (Some(held), Some(rule)) = (&mut self.held, self.settings.extension) else { return };
        held.next_extension = None;
        held.extension_began = Some(now.mono);
        held.is_suspected = false;
        if held.since + Micros::from_millis(rule.held_ms_max) <= now.mono {
            return;
        }
        let (granted, ttl_ms) = (held.granted, self.settings.ttl_ms);
        let mut votes = Votes::default();
        let request = Request::Extend { token: self.token, ttl_ms, recreates: rule.recreates };
        let is_asked = |node: &u16| granted >> node & 1 == 1 || rule.recreates;
        for node in (0..self.settings.nodes).filter(is_asked) {
            votes.asked(self.send(now, Node(node), request, out));
        }
        let (began, began_local) = (now.mono, self.local(now));
        if let Some(held) = &mut self.held {
            held.round = Some(Round { votes, repaired: 0, began, began_local, is_decided: false });
        }
        // Nobody may be left to be asked.
        self.decide_extension(now, out);
    }

    fn decide_extension(&mut self, now: Now, out: &mut Vec<Action>) {
        let (quorum, local) = (self.settings.quorum, self.local(now));
        let Some(rule) = self.settings.extension else { return };
        let Some(Held { round: Some(round), granted, .. }) = &self.held else { return };
        if granted.count_ones() < quorum.into() && !rule.recreates {
            // Others may have had it: more answers change nothing about that.
            return self.lost_by_servers(now, rule, out);
        }
        let (yes, waiting) = (round.votes.grants(), round.votes.waiting());
        if !round.is_decided && yes >= quorum {
            self.extended(now, self.deadline(round.began_local, local), out);
        } else if !round.is_decided && yes + waiting < quorum {
            return self.not_extended(now, rule, out);
        }
        if rule.repairs {
            self.repair(now, out);
        }
        if let Some(held) = &mut self.held
            && let Some(round) = held.round.take_if(|round| round.votes.waiting() == 0)
        {
            held.next_extension = Some(round.began + Micros::from_millis(rule.every_ms));
            held.hasten(rule, now.mono);
        }
    }

    /// Asks servers that do not have the key, if a quorum has it for certain.
    fn repair(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some(Held { round: Some(round), granted, .. }) = &self.held else { return };
        let has_no_part = !(granted | round.repaired);
        let lacking = if round.is_decided { has_no_part } else { 0 };
        for node in (0..self.settings.nodes).filter(|node| lacking >> node & 1 == 1) {
            let open = self.send(now, Node(node), self.acquisition(now), out);
            if let Some(Held { round: Some(round), .. }) = &mut self.held {
                round.repaired |= 1 << node;
                round.votes.asked(open);
            }
        }
    }

    fn extended(&mut self, now: Now, until_local: u64, out: &mut Vec<Action>) {
        let (checks, local) = (self.settings.checks_elapsed, self.local(now));
        let Some(held) = &mut self.held else { return };
        if let Some(round) = &mut held.round {
            round.is_decided = true;
        }
        if checks && until_local <= local {
            return;
        }
        let Grant { token, fence, .. } = held.grant;
        held.grant = Grant::new(token, fence, now, local, until_local);
        out.push(Action::Extended(held.grant));
    }

    /// Too many servers do not have the key any more.
    fn lost_by_servers(&mut self, now: Now, rule: Extension, out: &mut Vec<Action>) {
        if rule.failed == FailedExtension::Keep {
            let everywhere = u64::MAX >> (64 - self.settings.nodes);
            self.give_back(now, everywhere, out);
            return self.end(Ended::ExtensionFailed, out);
        }
        self.not_extended(now, rule, out);
    }

    fn not_extended(&mut self, now: Now, rule: Extension, out: &mut Vec<Action>) {
        let everywhere = u64::MAX >> (64 - self.settings.nodes);
        let (loss, local) = (self.settings.loss, self.local(now));
        let Some(held) = &mut self.held else { return };
        held.round = None;
        match rule.failed {
            // Who learns of the end only by an extension that fails learns of it now.
            FailedExtension::Keep
                if loss == LossSignal::WhenExtensionFails && held.grant.until_local <= local =>
            {
                self.give_back(now, everywhere, out);
                self.end(Ended::ExtensionFailed, out);
            }
            FailedExtension::Keep => {
                held.next_extension = Some(now.mono + Micros::from_millis(rule.every_ms));
            }
            FailedExtension::Release => {
                self.give_back(now, everywhere, out);
                self.end(Ended::ExtensionFailed, out);
            }
            FailedExtension::ReleaseSilently => self.give_back(now, everywhere, out),
        }
    }
}
