//! One client of one lock: acquires it, keeps it, gives it back.
//!
//! Invariants: at most one round of requests decides at a time; a grant is told once, before
//! anything else about it, and its end is told once.

use super::held::{Grant, Held};
use super::message::{CounterUse, Node, Reply, Request, RequestId, Token};
use super::settings::{
    AtQuorum, Cleanup, Expiry, Fencing, LocalClock, Order, Settings, Since, TokenRule,
};
use super::votes::{Open, Votes};
use orrery_base::rng::{Rng, Seed};
use orrery_base::time::{Instant, Micros, Now};

/// What a driver is to do, or to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask a server; [`Client::answer`] takes what it says.
    Send {
        /// Which.
        node: Node,
        /// Brings the answer back.
        id: RequestId,
        /// What.
        request: Request,
    },
    /// The lock is there.
    Granted(Grant),
    /// It is there for longer.
    Extended(Grant),
    /// It is there no more, or will not be.
    Ended(Ended),
}

/// Why there is no lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No attempt came to anything.
    NotAcquired,
    /// It was given back, or the attempt to acquire it was given up.
    Released,
    /// Its time is over: the servers may give it to the next.
    DeadlinePassed,
    /// Too few servers would extend it.
    ExtensionFailed,
}

/// What a client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing.
    Idle,
    /// Servers were asked for the lock.
    Acquiring,
    /// They have granted it, and are told its number.
    Committing,
    /// The next attempt is waited for.
    Waiting,
    /// It has the lock, as far as it knows.
    Holding,
    /// Servers were told that it has it no more.
    Releasing,
}

/// A client of a lock.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) settings: Settings,
    identity: u128,
    rng: Rng,
    attempts: u64,
    requests: u64,
    pub(super) phase: Phase,
    /// Attempts that are left after this one.
    pub(super) retries_left: u32,
    /// When the acquisition and the attempt began, by the client's own clock.
    pub(super) acquisition_began: u64,
    pub(super) attempt_began: u64,
    pub(super) token: Token,
    /// The next server to be asked, where they are asked one by one.
    pub(super) next_node: u16,
    pub(super) votes: Votes,
    /// The servers that granted the attempt whose number is being committed.
    pub(super) granted: u64,
    pub(super) number: u64,
    /// The number that servers are asked to take, where that is so.
    pub(super) proposal: u64,
    pub(super) retry_at: Instant,
    pub(super) held: Option<Held>,
    /// The servers that were asked whose key it is, before it is deleted.
    looked: u64,
    /// What was given back and is extended nevertheless, and when next.
    forgotten: Option<(Token, Instant)>,
}

impl Client {
    /// A client that has nothing. `identity` is random, so that no two clients have the same;
    /// `seed` decides how long it waits between attempts.
    ///
    /// # Panics
    /// If the settings have a [`problem`](Settings::problem).
    #[must_use]
    pub fn new(settings: Settings, identity: u128, seed: Seed) -> Self {
        assert_eq!(settings.problem(), None, "settings are checked before they are used");
        Self {
            settings,
            identity,
            rng: Rng::new(seed, "lock"),
            attempts: 0,
            requests: 0,
            phase: Phase::Idle,
            retries_left: 0,
            acquisition_began: 0,
            attempt_began: 0,
            token: Token { client: identity, attempt: 0 },
            next_node: 0,
            votes: Votes::default(),
            granted: 0,
            number: 0,
            proposal: 1,
            retry_at: Instant::default(),
            held: None,
            looked: 0,
            forgotten: None,
        }
    }

    /// How it does what it does.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it is about.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What it was granted and was not told to have lost.
    #[must_use]
    pub fn grant(&self) -> Option<Grant> {
        self.held.as_ref().map(|held| held.grant)
    }

    /// Whether who holds the lock may go on now, as far as the client can tell: until the deadline,
    /// or, where nothing is told then, until it is told.
    #[must_use]
    pub fn believes(&self, now: Now) -> bool {
        let local = self.local(now);
        self.held.as_ref().is_some_and(|held| held.believes(local, self.settings.loss))
    }

    /// Whoever had the lock before had this number, as far as the driver knows: the next proposal
    /// is higher.
    pub fn expect_number(&mut self, last: u64) {
        self.proposal = self.proposal.max(last.saturating_add(1));
    }

    /// Begins to acquire the lock.
    ///
    /// # Panics
    /// If it is about something else.
    pub fn acquire(&mut self, now: Now, out: &mut Vec<Action>) {
        assert_eq!(self.phase, Phase::Idle, "one thing at a time");
        self.retries_left = self.settings.retries;
        self.acquisition_began = self.local(now);
        self.attempts += 1;
        self.token = Token { client: self.identity, attempt: self.attempts };
        self.attempt(now, out);
    }

    /// Gives the lock back, or the attempt to acquire it up; false: there is nothing.
    pub fn release(&mut self, now: Now, out: &mut Vec<Action>) -> bool {
        match self.phase {
            Phase::Idle | Phase::Releasing => return false,
            Phase::Holding => {
                self.held = None;
                let rule = self.settings.extension.filter(|_| self.settings.extends_released);
                let next = rule.map(|rule| now.mono + Micros::from_millis(rule.every_ms));
                self.forgotten = next.map(|next| (self.token, next));
            }
            Phase::Acquiring | Phase::Committing | Phase::Waiting => {}
        }
        self.phase = Phase::Releasing;
        self.votes = Votes::default();
        let looks = self.settings.looks_before_release;
        self.looked = if looks { u64::MAX } else { 0 };
        let token = self.settings.checks_release.then_some(self.token);
        let request =
            if looks { Request::Look { token: self.token } } else { Request::Release { token } };
        for node in 0..self.settings.nodes {
            let open = self.send(now, Node(node), request, out);
            self.votes.asked(open);
        }
        true
    }

    /// Takes what a server said. Answers that come late are known by their ids.
    pub fn answer(&mut self, now: Now, id: RequestId, reply: Reply, out: &mut Vec<Action>) {
        if self.phase == Phase::Holding {
            // Whoever was paused may have slept over the deadline: what comes then is too late.
            if !self.is_over(now, out) {
                self.answer_held(now, id, reply, out);
            }
        } else if let Some(node) = self.votes.close(id) {
            let has_looked = self.phase == Phase::Releasing && self.looked >> node.0 & 1 == 1;
            match reply {
                Reply::Done { .. } if has_looked => {
                    self.looked &= !(1 << node.0);
                    let open = self.send(now, node, Request::Release { token: None }, out);
                    self.votes.asked(open);
                }
                Reply::Done { counter } => self.votes.grant(node, counter),
                Reply::Refused { counter } if self.numbers_follow_all() => self.votes.saw(counter),
                Reply::Refused { .. } => {}
                Reply::Failed => self.votes.fail(),
            }
            self.decide(now, out);
        }
        self.check_invariants();
    }

    /// Only time has passed.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Action>) {
        self.extend_forgotten(now, out);
        match self.phase {
            Phase::Idle => {}
            Phase::Waiting if self.retry_at <= now.mono => {
                if self.settings.tokens == TokenRule::PerAttempt {
                    self.attempts += 1;
                    self.token.attempt = self.attempts;
                }
                self.attempt(now, out);
            }
            Phase::Waiting => {}
            Phase::Holding => self.tick_held(now, out),
            Phase::Acquiring | Phase::Committing | Phase::Releasing => {
                if self.votes.give_up(now.mono) > 0 {
                    self.decide(now, out);
                }
            }
        }
        self.check_invariants();
    }

    /// The next attempt, if one is waited for, begins now: somebody says that the lock is free.
    pub fn hurry(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.phase == Phase::Waiting {
            self.retry_at = self.retry_at.min(now.mono);
            self.tick(now, out);
        }
    }

    /// When [`Client::tick`] is to be called.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let due = match self.phase {
            Phase::Idle => None,
            Phase::Waiting => Some(self.retry_at),
            Phase::Holding => self.held.as_ref().and_then(|held| held.due(self.settings.loss)),
            Phase::Acquiring | Phase::Committing | Phase::Releasing => self.votes.due(),
        };
        let forgotten = self.forgotten.map(|(_, next)| next);
        [due, forgotten].into_iter().flatten().min()
    }

    /// Extends what was given back, where the library that is imitated does so.
    fn extend_forgotten(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some((token, next)) = self.forgotten.filter(|&(_, next)| next <= now.mono) else {
            return;
        };
        let every_ms = self.settings.extension.map_or(1, |rule| rule.every_ms);
        self.forgotten = Some((token, next.max(now.mono) + Micros::from_millis(every_ms)));
        let request = Request::Extend { token, ttl_ms: self.settings.ttl_ms, recreates: false };
        for node in 0..self.settings.nodes {
            self.send(now, Node(node), request, out);
        }
    }

    /// The time by the clock that the client goes by, in microseconds.
    pub(super) fn local(&self, now: Now) -> u64 {
        match self.settings.clock {
            LocalClock::Monotonic => now.mono.0,
            LocalClock::Wall => now.wall.0,
        }
    }

    /// Asks one server.
    pub(super) fn send(
        &mut self,
        now: Now,
        node: Node,
        request: Request,
        out: &mut Vec<Action>,
    ) -> Open {
        self.requests += 1;
        let id = RequestId(self.requests);
        out.push(Action::Send { node, id, request });
        Open { node, id, until: now.mono + Micros::from_millis(self.settings.node_timeout_ms) }
    }

    /// Gives everything back on these servers, and waits for nobody.
    pub(super) fn give_back(&mut self, now: Now, nodes: u64, out: &mut Vec<Action>) {
        let token = self.settings.checks_release.then_some(self.token);
        for node in (0..self.settings.nodes).filter(|node| nodes >> node & 1 == 1) {
            self.send(now, Node(node), Request::Release { token }, out);
        }
    }

    /// The lock is there no more, or will not be.
    pub(super) fn end(&mut self, why: Ended, out: &mut Vec<Action>) {
        self.held = None;
        self.phase = Phase::Idle;
        self.votes = Votes::default();
        out.push(Action::Ended(why));
    }

    pub(super) fn acquisition(&self, now: Now) -> Request {
        let counter = match self.settings.fencing {
            Fencing::None => CounterUse::Ignore,
            Fencing::Counter => CounterUse::Increment,
            Fencing::WriteBack => CounterUse::Read,
            Fencing::Proposed => CounterUse::Propose(self.proposal),
        };
        let (token, ttl_ms) = (self.token, self.settings.ttl_ms);
        match self.settings.expiry {
            Expiry::WithKey => Request::Acquire { token, ttl_ms, counter },
            Expiry::ShortenedAfterwards => Request::Acquire { token, ttl_ms: 2 * ttl_ms, counter },
            Expiry::Afterwards | Expiry::Never => {
                Request::AcquireUntil { token, until_ms: None, counter }
            }
            Expiry::AtClientTime => {
                let until_ms = (now.wall.0 / 1000).saturating_add(ttl_ms);
                Request::AcquireUntil { token, until_ms: Some(until_ms), counter }
            }
        }
    }

    /// Until when a round that began then makes the lock good, by the client's clock.
    pub(super) fn deadline(&self, began: u64, local: u64) -> u64 {
        let from = match self.settings.since {
            Since::Attempt => began,
            Since::Acquisition => self.acquisition_began.min(began),
            Since::Answer => local,
        };
        from.saturating_add((self.settings.ttl_ms - self.settings.drift_ms()).saturating_mul(1000))
    }

    fn attempt(&mut self, now: Now, out: &mut Vec<Action>) {
        self.phase = Phase::Acquiring;
        self.attempt_began = self.local(now);
        self.votes = Votes::default();
        self.next_node = 0;
        let together = match self.settings.order {
            Order::AllAtOnce => self.settings.nodes,
            Order::OneByOne => 1,
        };
        for _ in 0..together {
            self.ask_next(now, out);
        }
    }

    fn ask_next(&mut self, now: Now, out: &mut Vec<Action>) {
        let open = self.send(now, Node(self.next_node), self.acquisition(now), out);
        self.next_node += 1;
        self.votes.asked(open);
    }

    /// Looks whether a round is decided.
    fn decide(&mut self, now: Now, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Acquiring => self.decide_acquisition(now, out),
            Phase::Committing => self.decide_commit(now, out),
            Phase::Releasing if self.votes.waiting() == 0 => self.end(Ended::Released, out),
            _ => {}
        }
    }

    fn decide_acquisition(&mut self, now: Now, out: &mut Vec<Action>) {
        let Settings { nodes, quorum, at_quorum, .. } = self.settings;
        let (grants, waiting) = (self.votes.grants(), self.votes.waiting());
        let unasked = nodes - self.next_node;
        let is_over = waiting + unasked == 0;
        let must_wait = at_quorum == AtQuorum::GoOn || self.settings.fails_on_error;
        if grants >= quorum && (is_over || !must_wait) {
            if self.settings.fails_on_error && self.votes.failed() > 0 {
                return self.fail(now, out);
            }
            self.granted_by_enough(now, out);
        } else if grants + waiting + unasked < quorum {
            self.fail(now, out);
        } else if waiting == 0 && unasked > 0 {
            self.ask_next(now, out);
        }
    }

    fn granted_by_enough(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.is_too_late(now) {
            return self.fail(now, out);
        }
        match self.settings.fencing {
            Fencing::None => self.hold(now, None, out),
            Fencing::Counter => self.hold(now, Some(self.votes.counter()), out),
            Fencing::Proposed if self.votes.counter() < self.proposal => {
                self.hold(now, Some(self.proposal), out);
            }
            Fencing::WriteBack | Fencing::Proposed => {
                self.phase = Phase::Committing;
                self.granted = self.votes.granted();
                self.number = self.votes.counter().saturating_add(1);
                let mut votes = Votes::default();
                let request = Request::Commit { token: self.token, number: self.number };
                let granted = self.granted;
                for node in (0..self.settings.nodes).filter(|node| granted >> node & 1 == 1) {
                    votes.asked(self.send(now, Node(node), request, out));
                }
                self.votes = votes;
            }
        }
    }

    /// Whether a number is to be above the counters of those that refused, too: they may be the
    /// only ones that still know of an earlier one (S32b).
    fn numbers_follow_all(&self) -> bool {
        matches!(self.settings.fencing, Fencing::WriteBack | Fencing::Proposed)
    }

    fn decide_commit(&mut self, now: Now, out: &mut Vec<Action>) {
        let (grants, waiting) = (self.votes.grants(), self.votes.waiting());
        if grants >= self.settings.quorum {
            if self.is_too_late(now) {
                return self.fail(now, out);
            }
            self.hold(now, Some(self.number), out);
        } else if grants + waiting < self.settings.quorum {
            self.fail(now, out);
        }
    }

    /// Whether the time that acquiring took has used the lock's time up.
    fn is_too_late(&self, now: Now) -> bool {
        let local = self.local(now);
        self.settings.checks_elapsed && self.deadline(self.attempt_began, local) <= local
    }

    fn hold(&mut self, now: Now, fence: Option<u64>, out: &mut Vec<Action>) {
        let local = self.local(now);
        let until = self.deadline(self.attempt_began, local);
        let mut votes = core::mem::take(&mut self.votes);
        let mut granted = votes.granted();
        if self.phase == Phase::Committing {
            // Who has not confirmed the number has the key all the same.
            granted |= core::mem::take(&mut self.granted);
            votes = Votes::default();
        }
        self.proposal = fence.map_or(1, |number| number.saturating_add(1));
        let grant = Grant::new(self.token, fence, now, local, until);
        self.phase = Phase::Holding;
        self.held = Some(Held::new(grant, granted, votes, now.mono, self.settings.extension));
        if matches!(self.settings.expiry, Expiry::Afterwards | Expiry::ShortenedAfterwards) {
            let request = Request::Limit { ttl_ms: self.settings.ttl_ms };
            for node in (0..self.settings.nodes).filter(|node| granted >> node & 1 == 1) {
                self.send(now, Node(node), request, out);
            }
        }
        out.push(Action::Granted(grant));
    }

    /// The attempt has come to nothing.
    fn fail(&mut self, now: Now, out: &mut Vec<Action>) {
        let everywhere = u64::MAX >> (64 - self.settings.nodes);
        match self.settings.cleanup {
            Cleanup::Nowhere => {}
            _ if self.settings.fails_on_error && self.votes.failed() > 0 => {}
            Cleanup::Everywhere => self.give_back(now, everywhere, out),
            Cleanup::WhereGranted => {
                self.give_back(now, self.votes.granted() | self.granted, out);
            }
        }
        self.granted = 0;
        // Those who have taken the proposal do not take it again.
        self.proposal = self.proposal.max(self.votes.counter()).saturating_add(1);
        self.votes = Votes::default();
        if self.retries_left == 0 {
            return self.end(Ended::NotAcquired, out);
        }
        self.retries_left -= 1;
        self.phase = Phase::Waiting;
        let jitter_ms = self.rng.below(self.settings.retry_jitter_ms + 1);
        let wait_ms = self.settings.retry_delay_ms.saturating_add(jitter_ms);
        self.retry_at = now.mono + Micros::from_millis(wait_ms);
    }

    fn check_invariants(&self) {
        assert_eq!(self.held.is_some(), self.phase == Phase::Holding, "held is what is held");
        let waits = !matches!(self.phase, Phase::Idle | Phase::Holding);
        assert!(!waits || self.due().is_some(), "who waits for something has a time for it");
    }
}
