//! Drives the locks' state machines: hands them answers and the time, and carries out what they
//! ask for.
//!
//! Invariants: whoever changes a machine carries out all it asked for before it lets go of the
//! state, so requests reach a server in the order in which they were asked for; nothing waits while
//! it holds the state.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orrery_base::rng::{Rng, Seed};
use orrery_base::time::{Instant, Micros, Now};
use orrery_lock_machine::{
    Action, Client, Dialect, Ended, Fencing, Phase, Reply, Request, RequestId, Settings,
};
use tokio::sync::{Notify, oneshot, watch};

use crate::clock;
use crate::lease::{Lease, Lost, Number, Stage};
use crate::link::{Answer, Answered, GiveUp, Link, LockNames};
use crate::metrics::Counts;
use crate::stream::Writer;
use crate::turn::channel;

/// All locks of one client, and its servers.
pub(crate) struct Hub {
    state: Mutex<State>,
    pub(crate) counts: Counts,
    settings: Settings,
    /// Whether it was said how long servers have to answer.
    is_timeout_said: bool,
    node_timeout_ms: watch::Sender<u64>,
    /// The alarm must ring earlier than it is set to.
    pub(crate) earlier: Notify,
}

struct State {
    links: Vec<Link>,
    /// Of each server, the round trip when it was greeted last.
    trips: Vec<Duration>,
    locks: BTreeMap<u64, Entry>,
    /// When which lock wants to be ticked.
    dues: BTreeSet<(Instant, u64)>,
    /// When the alarm rings next.
    alarm: Instant,
    /// The last number of each lock, as far as it is known.
    numbers: BTreeMap<Vec<u8>, u64>,
    last_lock: u64,
    identity: u128,
    rng: Rng,
    actions: Vec<Action>,
    answers: Vec<Answered>,
}

struct Entry {
    client: Client,
    names: Arc<LockNames>,
    lease: Arc<Lease>,
    since: Instant,
    due: Option<Instant>,
    /// It was woken while it asked already: it asks again at once.
    is_hurried: bool,
}

/// How a server begins to say that a queue is there for something else.
pub(crate) const FOREIGN_FORM: &str = "FORM ";
/// A server has time for so many round trips if nothing is said.
const ROUND_TRIPS_TO_ANSWER: u32 = 4;
/// Locks whose last numbers are remembered: without one, a lock takes a second round trip.
const NUMBERS_MAX: usize = 4096;
/// Bits of an identity that tell the locks of one client apart.
const SERIAL_BITS: u32 = 48;

impl Hub {
    /// `identity` and `seed` are random.
    pub(crate) fn new(
        settings: Settings,
        is_timeout_said: bool,
        identity: u128,
        seed: u64,
    ) -> Self {
        let silence = Micros::from_millis(settings.node_timeout_ms);
        let state = State {
            links: (0..settings.nodes).map(|_| Link::new(silence, settings.replicas)).collect(),
            trips: vec![Duration::ZERO; settings.nodes.into()],
            locks: BTreeMap::new(),
            dues: BTreeSet::new(),
            alarm: Instant(u64::MAX),
            numbers: BTreeMap::new(),
            last_lock: 0,
            identity: identity >> SERIAL_BITS << SERIAL_BITS,
            rng: Rng::new(Seed(seed), "locks"),
            actions: Vec::new(),
            answers: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            counts: Counts::default(),
            settings,
            is_timeout_said,
            node_timeout_ms: watch::Sender::new(settings.node_timeout_ms),
            earlier: Notify::new(),
        }
    }

    /// Begins to acquire a lock.
    pub(crate) fn acquire(&self, names: LockNames, settings: Settings) -> (u64, Arc<Lease>) {
        self.counts.wanted.one();
        let lease = Arc::new(Lease::default());
        let mut state = self.state();
        let now = clock::now();
        let (id, identity) = state.next_identity();
        let mut client = Client::new(settings, identity, Seed(state.rng.next_u64()));
        if let Some(&last) = state.numbers.get(&names.lock) {
            client.expect_number(last);
        }
        let names = Arc::new(names);
        let entry = Entry {
            client,
            names,
            lease: Arc::clone(&lease),
            since: now.mono,
            due: None,
            is_hurried: false,
        };
        state.locks.insert(id, entry);
        self.change(&mut state, now, id, |client, actions| client.acquire(now, actions));
        self.settle(&mut state);
        (id, lease)
    }

    /// Gives a lock back, or the wish for it up.
    pub(crate) fn release(&self, id: u64) {
        let mut state = self.state();
        let now = clock::now();
        let Some(entry) = state.locks.get(&id) else { return };
        // Who waits for the release sees when servers have confirmed it; nobody may go on until
        // then as if it were held.
        if entry.lease.check().is_ok() {
            self.counts.released.one();
        }
        entry.lease.stop();
        self.change(&mut state, now, id, |client, actions| {
            client.release(now, actions);
        });
        self.settle(&mut state);
    }

    /// Takes what a server said; returns how many bytes of it are done with.
    pub(crate) fn received(&self, node: usize, bytes: &[u8]) -> Result<usize, GiveUp> {
        let mut state = self.state();
        let now = clock::now();
        let mut answers = std::mem::take(&mut state.answers);
        let taken = state.links[node].take_replies(bytes, now.mono, &mut answers);
        self.answer(&mut state, now, answers);
        taken
    }

    /// Ticks every lock whose time has come; returns when the next one's comes.
    pub(crate) fn tick(&self) -> Instant {
        let mut state = self.state();
        let now = clock::now();
        while let Some(&(at, id)) = state.dues.first()
            && at <= now.mono
        {
            state.dues.pop_first();
            if let Some(entry) = state.locks.get_mut(&id) {
                entry.due = None;
            }
            self.change(&mut state, now, id, |client, actions| client.tick(now, actions));
        }
        self.settle(&mut state);
        state.alarm = state.dues.first().map_or(Instant(u64::MAX), |due| due.0);
        state.alarm
    }

    /// Asks one server for anything.
    pub(crate) fn command(&self, node: usize, words: &[&[u8]]) -> oneshot::Receiver<Answer> {
        let mut state = self.state();
        self.counts.requests.one();
        let link = &mut state.links[node];
        let answer = link.command(clock::now().mono, words);
        link.flush();
        answer
    }

    /// A server is there.
    pub(crate) fn attach(
        &self,
        node: usize,
        writer: Arc<Writer>,
        dialect: Dialect,
        round_trip: Duration,
    ) {
        self.counts.connected.one();
        let mut state = self.state();
        state.links[node].attach(writer, dialect);
        state.trips[node] = round_trip;
        if self.is_timeout_said {
            return;
        }
        let slowest = state.trips.iter().max().copied().unwrap_or_default();
        let needed_ms = millis(slowest * ROUND_TRIPS_TO_ANSWER);
        let timeout_ms = self.settings.node_timeout_ms.max(needed_ms);
        self.node_timeout_ms.send_replace(timeout_ms);
        for link in &mut state.links {
            link.silence = Micros::from_millis(timeout_ms);
        }
    }

    /// How a lock that is asked for now is to be acquired.
    pub(crate) fn settings(&self) -> Settings {
        Settings { node_timeout_ms: self.node_timeout_ms(), ..self.settings }
    }

    /// How long a server has to answer, as far away as it is now.
    pub(crate) fn node_timeout_ms(&self) -> u64 {
        *self.node_timeout_ms.borrow()
    }

    /// Waits until servers have more time to answer than this.
    pub(crate) async fn slower_than(&self, timeout_ms: u64) {
        let mut timeout = self.node_timeout_ms.subscribe();
        let slower = timeout.wait_for(|now_ms| *now_ms > timeout_ms).await.map(drop);
        slower.expect("the sender is this hub's");
    }

    pub(crate) fn ttl_ms(&self) -> u64 {
        self.settings.ttl_ms
    }

    /// A server is there no more.
    pub(crate) fn detach(&self, node: usize) {
        self.counts.disconnected.one();
        let mut state = self.state();
        let mut answers = std::mem::take(&mut state.answers);
        state.links[node].detach(&mut answers);
        self.answer(&mut state, clock::now(), answers);
    }

    /// Wakes the task of a server's connection.
    pub(crate) fn wake(&self, node: usize) -> Arc<Notify> {
        Arc::clone(&self.state().links[node].wake)
    }

    /// Writes what could not be written at once, for the task of the connection; returns whether
    /// something is left.
    pub(crate) fn write_out(&self, node: usize) -> io::Result<bool> {
        self.state().links[node].write_out()
    }

    /// Whether a server owes an answer for longer than this.
    pub(crate) fn is_silent(&self, node: usize, limit: Micros) -> bool {
        self.state().links[node].is_silent(clock::now().mono, limit)
    }

    /// The channel on which waiters are woken.
    pub(crate) fn channel(&self) -> String {
        channel(self.state().identity)
    }

    /// A waiter is to ask again at once.
    pub(crate) fn hurry(&self, id: u64) {
        self.counts.woken.one();
        let mut state = self.state();
        self.hurry_one(&mut state, id);
        self.settle(&mut state);
    }

    /// All who wait for their turn are to ask again at once.
    pub(crate) fn hurry_all(&self) {
        let mut state = self.state();
        let waits = |(id, entry): (&u64, &Entry)| entry.names.turn.is_some().then_some(*id);
        let waiting: Vec<u64> = state.locks.iter().filter_map(waits).collect();
        for id in waiting {
            self.hurry_one(&mut state, id);
        }
        self.settle(&mut state);
    }

    /// A server tells when somebody else has changed the key of a lock, from now on.
    pub(crate) fn track(&self, node: usize) {
        self.state().links[node].track();
    }

    /// Somebody else may have changed this key, or any: who holds such a lock finds out.
    pub(crate) fn suspect(&self, key: Option<&[u8]>) {
        let mut state = self.state();
        let now = clock::now();
        let is_meant = |entry: &Entry| {
            let is_lock =
                entry.names.turn.is_none() && key.is_none_or(|key| key == entry.names.lock);
            is_lock && entry.client.phase() == Phase::Holding
        };
        let meant = |(id, entry): (&u64, &Entry)| is_meant(entry).then_some(*id);
        let suspected: Vec<u64> = state.locks.iter().filter_map(meant).collect();
        for id in suspected {
            self.counts.suspected.one();
            self.change(&mut state, now, id, |client, actions| client.suspect(now, actions));
        }
        self.settle(&mut state);
    }

    fn hurry_one(&self, state: &mut State, id: u64) {
        let Some(entry) = state.locks.get_mut(&id) else { return };
        entry.is_hurried = true;
        self.change(state, clock::now(), id, |_, _| {});
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held is a bug that was told already; locks must still be released.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, state: &mut State, now: Now, mut answers: Vec<Answered>) {
        for Answered { lock, id, reply, error } in answers.drain(..) {
            if reply == Reply::Failed {
                self.counts.failed.one();
            }
            let is_foreign = error.as_ref().is_some_and(|said| said.starts_with(FOREIGN_FORM));
            if let Some(said) = error
                && let Some(entry) = state.locks.get(&lock)
            {
                entry.lease.note_error(said);
            }
            self.change(state, now, lock, |client, actions| {
                client.answer(now, id, reply, actions);
                if is_foreign {
                    client.release(now, actions);
                }
            });
        }
        state.answers = answers;
        self.settle(state);
    }

    /// Lets a machine do something and does what it asks for.
    fn change(
        &self,
        state: &mut State,
        now: Now,
        id: u64,
        step: impl FnOnce(&mut Client, &mut Vec<Action>),
    ) {
        let mut actions = std::mem::take(&mut state.actions);
        let mut unsent = Vec::new();
        if let Some(entry) = state.locks.get_mut(&id) {
            step(&mut entry.client, &mut actions);
        }
        loop {
            let mut is_late = false;
            for action in actions.drain(..) {
                is_late |= !self.carry_out(state, now, id, action, &mut unsent);
            }
            if is_late && let Some(entry) = state.locks.get_mut(&id) {
                entry.client.release(now, &mut actions);
                continue;
            }
            // What could not be asked has failed, which may lead to more to be done.
            let Some(entry) = state.locks.get_mut(&id) else { break };
            if let Some(request) = unsent.pop() {
                entry.client.answer(now, request, Reply::Failed, &mut actions);
            } else if entry.is_hurried && entry.client.phase() == Phase::Waiting {
                entry.is_hurried = false;
                entry.client.hurry(now, &mut actions);
            } else {
                break;
            }
        }
        state.actions = actions;
        state.note_due(id);
    }

    /// Does what a machine asks for; false: its holder has seen the deadline pass before this
    /// extension, and the lock must be given back.
    fn carry_out(
        &self,
        state: &mut State,
        now: Now,
        id: u64,
        action: Action,
        unsent: &mut Vec<RequestId>,
    ) -> bool {
        let Some(entry) = state.locks.get_mut(&id) else { return true };
        match action {
            Action::Send { node, id: request_id, request } => {
                let link = &mut state.links[usize::from(node.0)];
                if link.request(now.mono, id, request_id, request, &entry.names) {
                    self.counts.requests.one();
                } else {
                    self.counts.unsent.one();
                    trace_unsent(&entry.names, &request, node.0);
                    unsent.push(request_id);
                }
            }
            Action::Granted(grant) => {
                self.counts.acquired.one();
                self.counts.waited_micros.add(now.mono.since(entry.since).0);
                // All settings of this crate have numbers.
                let number = grant.fence.unwrap_or(0);
                entry.lease.grant(grant.until, Number { number, owner: grant.token });
                if self.settings.fencing == Fencing::Proposed {
                    note_number(&mut state.numbers, &entry.names.lock, number);
                }
            }
            Action::Extended(grant) => {
                if !entry.lease.prolong(grant.until) {
                    self.note_end(entry, Ended::DeadlinePassed);
                    return false;
                }
                self.counts.extended.one();
            }
            Action::Ended(why) => {
                self.note_end(entry, why);
                if let Some(Entry { due: Some(at), .. }) = state.locks.remove(&id) {
                    state.dues.remove(&(at, id));
                }
            }
        }
        true
    }

    fn note_end(&self, entry: &Entry, why: Ended) {
        let name = entry.names.lock.escape_ascii();
        let how = match why {
            Ended::NotAcquired => Stage::NotAcquired,
            Ended::Released => Stage::Released,
            Ended::DeadlinePassed => Stage::Lost(Lost::DeadlinePassed),
            Ended::ExtensionFailed => Stage::Lost(Lost::GoneFromServers),
        };
        match (entry.lease.end(how), how) {
            (None, _) => {}
            (_, Stage::Lost(why)) => {
                self.counts.lost.one();
                tracing::warn!(lock = %name, %why, "a lock was lost");
            }
            (Some(Stage::Wanted), _) => self.counts.not_acquired.one(),
            _ => tracing::trace!(lock = %name, "a lock was given back"),
        }
    }

    /// Sends what was asked for, and sees to it that the alarm rings in time.
    fn settle(&self, state: &mut State) {
        for link in state.links.iter_mut().filter(|link| link.has_output()) {
            link.flush();
        }
        if let Some(&(first, _)) = state.dues.first()
            && first < state.alarm
        {
            state.alarm = first;
            self.earlier.notify_one();
        }
    }
}

impl State {
    /// The next lock's number, and its identity.
    fn next_identity(&mut self) -> (u64, u128) {
        self.last_lock += 1;
        (self.last_lock, self.identity | u128::from(self.last_lock) & ((1 << SERIAL_BITS) - 1))
    }

    /// Keeps the list of what is due.
    fn note_due(&mut self, id: u64) {
        let Some(entry) = self.locks.get_mut(&id) else { return };
        let due = entry.client.due();
        if due == entry.due {
            return;
        }
        if let Some(old) = entry.due.take() {
            self.dues.remove(&(old, id));
        }
        entry.due = due;
        self.dues.extend(due.map(|at| (at, id)));
    }
}

/// Whole milliseconds, none too few.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

fn note_number(numbers: &mut BTreeMap<Vec<u8>, u64>, lock: &[u8], number: u64) {
    if let Some(last) = numbers.get_mut(lock) {
        *last = number;
        return;
    }
    if numbers.len() >= NUMBERS_MAX {
        numbers.pop_first();
    }
    numbers.insert(lock.to_vec(), number);
}

fn trace_unsent(names: &LockNames, request: &Request, node: u16) {
    let lock = names.lock.escape_ascii();
    tracing::trace!(%lock, node, ?request, "a server cannot be asked");
}
