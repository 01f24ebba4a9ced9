//! Servers, clients, a store and a network, driven step by step.
//!
//! Invariant: an event happens at its time; what comes for a client that is paused waits in order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use orrery_engine::lock::{Action, Client, Grant, LossSignal, Node, Reply, Request, RequestId};
use orrery_engine::lock::{Phase, Settings};
use orrery_engine::time::TtlClock;
use orrery_engine::{Now, Seed};

use super::judge::{Figures, Judge, Lease, Violation};
use super::server::{IdealServer, LockServer};
use super::store::{Access, Change, Fences, Store};
use super::story::{Step, Who};
use super::trace::{Happening, Spoken, Told, Trace, Work};
use super::work::{Doing, Habits};
use crate::chance::{Chance, Stream};
use crate::world::clock::HostClock;

/// The time of day at which a lab begins: 2026-01-01, in nanoseconds.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
const MS: u64 = 1000;

/// What the lock servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// Ideal ones, whose keys go by a clock that only goes on.
    Ideal,
    /// Ideal ones, whose keys go by the time of day.
    IdealWall,
    /// Engines whose keys go by this clock.
    Engines(TtlClock),
}

/// How long messages take, and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The least that one takes, in microseconds.
    pub least_us: u64,
    /// The most.
    pub most_us: u64,
    /// One in so many takes up to a hundred times as long; 0: none.
    pub slow_one_in: u64,
    /// One in so many is lost; 0: none.
    pub lost_one_in: u64,
}

/// Each message takes half a millisecond.
pub const CALM: Network = Network { least_us: 500, most_us: 500, slow_one_in: 0, lost_one_in: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A message has arrived, by its number.
    Arrives(u64),
    /// A client looks at its time.
    Looks(usize),
    /// It goes on after a pause.
    GoesOn(usize),
    /// It has worked for as long as it wanted, in the session with this number.
    HasWorked(usize, u64),
    /// It has looked whether it has the lock, and sends its write.
    Sends(usize, u64),
    /// It begins its next session.
    Begins(usize),
    /// A step of the story, by its number.
    Step(usize),
    /// A request that may have no answer is sent once more, by its place.
    Resends(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    Asked { client: usize, server: usize, life: u32, id: RequestId, request: Request },
    Answered { client: usize, server: usize, life: u32, id: RequestId, reply: Reply },
    Accessed { client: usize, life: u32, fence: Option<u64>, access: Access, grant: u64 },
    Worked { client: usize, life: u32, work: Work },
}

impl Message {
    fn link(self) -> (Who, bool) {
        match self {
            Self::Asked { client, server, .. } => (Who::Link(client, server), true),
            Self::Answered { client, server, .. } => (Who::Link(client, server), false),
            Self::Accessed { client, .. } => (Who::Store(client), true),
            Self::Worked { client, .. } => (Who::Store(client), false),
        }
    }

    fn spoken(self) -> Spoken {
        match self {
            Self::Asked { request, .. } => Spoken::Asked(request),
            Self::Answered { reply, .. } => Spoken::Answered(reply),
            Self::Accessed { access, fence, .. } => Spoken::Accessed(access, fence),
            Self::Worked { work, .. } => Spoken::Worked(work),
        }
    }
}

/// What a way between two does to what is sent on it, for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) link: Who,
    pub(super) is_request: Option<bool>,
    pub(super) until_us: u64,
    /// How long a message takes; nothing: it is lost.
    pub(super) takes_us: Option<u64>,
}

/// One direction of the way between a client and a server or the store.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    sent: u64,
    last_arrival_us: u64,
}

/// A client's machine, its host and what it is doing.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) clock: HostClock,
    /// What waits for it while it is paused.
    pub(super) waiting: Option<Vec<Event>>,
    pub(super) paused_until_us: u64,
    pub(super) is_gone: bool,
    /// How often it has come back from being gone.
    pub(super) life: u32,
    /// The servers that it knows, in its order.
    pub(super) servers: Vec<usize>,
    /// When the attempt or the extension under way began, in true time.
    began_us: u64,
    attempt: u64,
    /// The number and the serial number of its last grant.
    pub(super) fence: Option<u64>,
    pub(super) grant: u64,
    /// What it has read last.
    pub(super) seen: u64,
    pub(super) doing: Doing,
    pub(super) sessions: u64,
    looks_at_us: u64,
}

impl Host {
    /// It comes back and knows nothing of before.
    pub(super) fn starts_again(&mut self) {
        self.life += 1;
        self.sessions += 1;
        self.is_gone = false;
        self.waiting = None;
        self.paused_until_us = 0;
        self.attempt = 0;
        self.doing = Doing::Nothing;
        self.looks_at_us = u64::MAX;
    }
}

/// Everything.
pub struct Lab {
    /// True time, in microseconds.
    pub now_us: u64,
    /// The lock servers.
    pub servers: Vec<LockServer>,
    /// The clients.
    pub clients: Vec<Client>,
    /// What lies between.
    pub network: Network,
    /// Requests of a client to a node take so long instead, as long as they are here.
    pub delays_us: BTreeMap<(usize, u16), u64>,
    /// What clients were told, and when.
    pub told: Vec<(u64, usize, Told)>,
    /// Requests as they were sent, and when.
    pub sent: Vec<(u64, usize, Node, Request)>,
    /// What became of their work, and when.
    pub work: Vec<(u64, usize, Work)>,
    /// The changes that the store took.
    pub changes: Vec<Change>,
    /// Moments at which a client was granted the lock while another took it for its own: when,
    /// that one, and who was granted.
    pub overlaps: Vec<(u64, usize, usize)>,
    pub(super) settings: Settings,
    pub(super) habits: Habits,
    pub(super) hosts: Vec<Host>,
    pub(super) judge: Judge,
    pub(super) troubles: Vec<Trouble>,
    pub(super) steps: Vec<Step>,
    pub(super) store: Store,
    trace: Option<Trace>,
    is_recording: bool,
    written: u64,
    ways: Vec<Way>,
    messages: Vec<Message>,
    /// Requests that are sent once more if they have no answer, and those that have had one.
    unanswered: Vec<(usize, RequestId, Message)>,
    answered: BTreeSet<(usize, RequestId)>,
    free: Vec<u64>,
    posted: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    actions: Vec<Action>,
    pub(super) chance: Chance,
}

impl Lab {
    /// A lab with so many clients, all of whose clocks are right.
    #[must_use]
    pub fn new(seed: u64, settings: Settings, clients: usize, servers: Servers) -> Self {
        let client =
            |at: usize| Client::new(settings, at as u128 + 1, Seed(seed * 100 + at as u64));
        let server = |at: u16| match servers {
            Servers::Ideal => LockServer::ideal(false, EPOCH_NS),
            Servers::IdealWall => LockServer::ideal(true, EPOCH_NS),
            Servers::Engines(clock) => LockServer::engine(clock, seed + u64::from(at), EPOCH_NS),
        };
        let nodes = usize::from(settings.nodes);
        let host = Host {
            clock: HostClock::new(0, EPOCH_NS, 0),
            waiting: None,
            paused_until_us: 0,
            is_gone: false,
            life: 0,
            servers: (0..nodes).collect(),
            began_us: 0,
            attempt: 0,
            fence: None,
            grant: 0,
            seen: 0,
            doing: Doing::Nothing,
            sessions: 0,
            looks_at_us: u64::MAX,
        };
        Self {
            now_us: 0,
            servers: (0..settings.nodes).map(server).collect(),
            clients: (0..clients).map(client).collect(),
            network: CALM,
            delays_us: BTreeMap::new(),
            told: Vec::new(),
            sent: Vec::new(),
            work: Vec::new(),
            changes: Vec::new(),
            overlaps: Vec::new(),
            settings,
            habits: Habits::default(),
            hosts: vec![host; clients],
            judge: Judge::new(nodes, clients),
            troubles: Vec::new(),
            steps: Vec::new(),
            store: Store::new(Fences::Nothing, seed),
            trace: None,
            is_recording: true,
            written: 0,
            ways: vec![Way::default(); clients * (nodes + 1) * 2],
            messages: Vec::new(),
            unanswered: Vec::new(),
            answered: BTreeSet::new(),
            free: Vec::new(),
            posted: 0,
            queue: BinaryHeap::new(),
            actions: Vec::new(),
            chance: Chance::new(seed),
        }
    }

    /// The same with a store that lets only this through.
    #[must_use]
    pub fn with_fences(mut self, fences: Fences) -> Self {
        self.store = Store::new(fences, 1);
        self
    }

    /// The same, and the store is told whose the numbers are.
    #[must_use]
    pub fn with_owners(mut self) -> Self {
        self.store.names_owners = true;
        self
    }

    /// The same, and everything that happens is written down.
    #[must_use]
    pub fn with_trace(mut self) -> Self {
        self.trace = Some(Trace::default());
        self
    }

    /// The same, and nothing is written down but figures.
    #[must_use]
    pub fn without_records(mut self) -> Self {
        self.is_recording = false;
        self
    }

    /// The client begins to acquire the lock, unless it is about something else.
    pub fn acquire(&mut self, client: usize) {
        if self.clients[client].phase() != Phase::Idle || self.hosts[client].is_gone {
            return;
        }
        let (at_us, settings) = (self.now_us, *self.clients[client].settings());
        self.judge.begins(at_us, client, settings);
        let mut out = core::mem::take(&mut self.actions);
        let now = self.now(client);
        self.clients[client].acquire(now, &mut out);
        self.carry_out(client, out);
    }

    /// The client gives it back; false: it has nothing.
    pub fn release(&mut self, client: usize) -> bool {
        let mut out = core::mem::take(&mut self.actions);
        let now = self.now(client);
        let had = self.clients[client].release(now, &mut out);
        if had {
            self.judge.ends(self.now_us, client);
        }
        self.carry_out(client, out);
        had
    }

    /// The client is told that a server may have lost the key of its lock.
    pub fn suspect(&mut self, client: usize) {
        let mut out = core::mem::take(&mut self.actions);
        let now = self.now(client);
        self.clients[client].suspect(now, &mut out);
        self.carry_out(client, out);
    }

    /// The client asks the store for something, with its number if it has one.
    pub fn access(&mut self, client: usize, access: Access) {
        let fence = self.clients[client].grant().and_then(|grant| grant.fence);
        self.access_with(client, fence, access);
    }

    /// The same with a number from before.
    pub fn access_with(&mut self, client: usize, fence: Option<u64>, access: Access) {
        let Host { grant, life, .. } = self.hosts[client];
        self.send(Message::Accessed { client, life, fence, access, grant }, None);
    }

    /// The client does nothing until then; what comes for it waits.
    pub fn pause(&mut self, client: usize, until_us: u64) {
        let host = &mut self.hosts[client];
        host.waiting.get_or_insert_default();
        host.paused_until_us = host.paused_until_us.max(until_us);
        self.post(until_us, Event::GoesOn(client));
    }

    /// Whether it does nothing now.
    #[must_use]
    pub fn is_paused(&self, client: usize) -> bool {
        self.hosts[client].waiting.is_some()
    }

    /// Somebody sets the clock of a client's host.
    pub fn step_wall(&mut self, client: usize, by_ms: i64) {
        self.hosts[client].clock.step_wall(self.now_us * 1000, by_ms * 1_000_000);
    }

    /// Whether a client takes the lock for its own.
    #[must_use]
    pub fn believes(&self, client: usize) -> bool {
        !self.hosts[client].is_gone && self.clients[client].believes(self.now(client))
    }

    /// Only these servers can be reached.
    pub fn reach_only(&mut self, nodes: &[usize]) {
        for (at, server) in self.servers.iter_mut().enumerate() {
            server.is_cut = !nodes.contains(&at);
        }
    }

    /// Somebody sets the clock of a server's host.
    pub fn step_server(&mut self, node: usize, by_ms: i64) {
        self.servers[node].step_wall(self.now_us * 1000, by_ms * 1_000_000);
        if self.servers[node].goes_by_wall() {
            self.judge.server_clock(self.now_us, node, by_ms);
        }
    }

    /// A server dies and comes back at once, and has kept nothing.
    pub fn forget(&mut self, node: usize) {
        self.servers[node].forget(self.now_us * 1000);
        self.key_is_gone(node);
    }

    /// An ideal server, to be looked at and changed.
    ///
    /// # Panics
    /// If the servers are engines.
    pub fn ideal(&mut self, node: usize) -> &mut IdealServer {
        self.servers[node].as_ideal()
    }

    /// Lets time pass.
    pub fn run_until_ms(&mut self, ms: u64) {
        self.run_until_us(ms * MS);
    }

    /// Lets time pass.
    pub fn run_until_us(&mut self, until_us: u64) {
        while let Some(Reverse((at, _, event))) = self.queue.peek().copied()
            && at <= until_us
        {
            self.queue.pop();
            self.now_us = self.now_us.max(at);
            self.happen(event);
        }
        self.now_us = self.now_us.max(until_us);
    }

    /// Lets time pass until then, or until so many grants were told.
    pub(super) fn run_until_grants(&mut self, until_us: u64, grants: u64) {
        while let Some(Reverse((at, _, event))) = self.queue.peek().copied()
            && at <= until_us
            && self.judge.figures.grants < grants
        {
            self.queue.pop();
            self.now_us = self.now_us.max(at);
            self.happen(event);
        }
    }

    /// What a client was told.
    #[must_use]
    pub fn told_to(&self, client: usize) -> Vec<Told> {
        self.told.iter().filter(|(_, to, _)| *to == client).map(|&(.., told)| told).collect()
    }

    /// Whether the last that a client was told is that it has the lock.
    #[must_use]
    pub fn is_granted(&self, client: usize) -> bool {
        matches!(self.told_to(client).last(), Some(Told::Granted(_) | Told::Extended(_)))
    }

    /// The numbers of all grants, in the order in which they were told.
    #[must_use]
    pub fn fences(&self) -> Vec<u64> {
        let fence = |told: &(u64, usize, Told)| match told.2 {
            Told::Granted(grant) => grant.fence,
            _ => None,
        };
        self.told.iter().filter_map(fence).collect()
    }

    /// What must not have happened, so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.judge.violations
    }

    /// Figures of what has happened so far.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.judge.figures
    }

    /// Everything that has happened, if it was to be written down.
    #[must_use]
    pub fn take_trace(&mut self) -> Option<Trace> {
        let mut trace = self.trace.take()?;
        let broken = |violation: &Violation| (violation.at_us, Happening::Broken(*violation));
        trace.entries.extend(self.judge.violations.iter().map(broken));
        trace.entries.sort_by_key(|entry| entry.0);
        Some(trace)
    }

    pub(super) fn is_recording(&self) -> bool {
        self.is_recording
    }

    pub(super) fn now(&self, client: usize) -> Now {
        self.hosts[client].clock.now(self.now_us * 1000)
    }

    #[inline]
    pub(super) fn note(&mut self, happening: Happening) {
        if let Some(trace) = &mut self.trace {
            trace.entries.push((self.now_us, happening));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(number) => {
                let message = self.messages[number as usize];
                match message {
                    Message::Asked { .. } | Message::Accessed { .. } => {
                        self.free.push(number);
                        self.arrive(message);
                    }
                    Message::Answered { client, .. } | Message::Worked { client, .. } => {
                        self.tell(client, event);
                    }
                }
            }
            Event::GoesOn(client) => self.go_on(client),
            Event::Step(number) => self.take_step(number),
            Event::Resends(place) => self.resend(place),
            Event::Looks(client)
            | Event::HasWorked(client, _)
            | Event::Sends(client, _)
            | Event::Begins(client) => self.tell(client, event),
        }
    }

    fn go_on(&mut self, client: usize) {
        let host = &mut self.hosts[client];
        if self.now_us < host.paused_until_us {
            return;
        }
        let waiting = host.waiting.take().unwrap_or_default();
        self.note(Happening::GoesOn(client));
        for event in waiting {
            self.happen(event);
        }
    }

    /// A server or the store gets a message.
    fn arrive(&mut self, message: Message) {
        match message {
            Message::Asked { client, server: node, life, id, request } => {
                let server = &mut self.servers[node];
                if server.is_cut || self.now_us < server.stopped_until_us {
                    return;
                }
                let mut reply = server.carry_out(self.now_us * 1000, request);
                let mut takes_us = None;
                self.heard(message);
                if matches!(reply, Reply::Done { .. }) {
                    self.key_changed(node, client, request);
                    let replicas = self.settings.replicas;
                    let vain_us = self.servers[node].waits_in_vain_us(&request, replicas);
                    if let Some(vain_us) = vain_us {
                        reply = Reply::Failed;
                        self.note(Happening::IsAlone(node));
                        takes_us = Some(vain_us + self.network.least_us);
                    }
                }
                self.send(Message::Answered { client, server: node, life, id, reply }, takes_us);
            }
            Message::Accessed { client, life, fence, access, grant } => {
                self.heard(message);
                let work = self.access_store(client, fence, access, grant);
                self.send(Message::Worked { client, life, work }, None);
            }
            Message::Answered { .. } | Message::Worked { .. } => {}
        }
    }

    fn heard(&mut self, message: Message) {
        if self.trace.is_some() {
            let (link, is_request) = message.link();
            self.note(Happening::Arrived { link, is_request, spoken: message.spoken() });
        }
    }

    /// A client learns of something, unless it is paused.
    fn tell(&mut self, client: usize, event: Event) {
        let host = &mut self.hosts[client];
        if host.is_gone {
            return;
        }
        if let Some(waiting) = &mut host.waiting {
            waiting.push(event);
            return;
        }
        match event {
            Event::Arrives(number) => {
                let message = self.messages[number as usize];
                self.free.push(number);
                self.heard(message);
                let own = self.hosts[client].life;
                match message {
                    Message::Answered { id, reply, life, .. } if life == own => {
                        if self.habits.resends_us.is_some() {
                            self.answered.insert((client, id));
                        }
                        let mut out = core::mem::take(&mut self.actions);
                        let now = self.now(client);
                        self.clients[client].answer(now, id, reply, &mut out);
                        self.carry_out(client, out);
                    }
                    Message::Worked { work, life, .. } if life == own => {
                        self.worked(client, work);
                    }
                    // It is for one that is gone.
                    _ => {}
                }
            }
            Event::Looks(_) => {
                self.hosts[client].looks_at_us = u64::MAX;
                let mut out = core::mem::take(&mut self.actions);
                let now = self.now(client);
                self.clients[client].tick(now, &mut out);
                self.carry_out(client, out);
            }
            Event::HasWorked(_, session) => self.has_worked(client, session),
            Event::Sends(_, session) => self.sends(client, session),
            Event::Begins(_) => self.begin(client),
            Event::Step(number) => self.act(client, number),
            Event::GoesOn(_) | Event::Resends(_) => {}
        }
    }

    /// The client's library sends once more what has had no answer; nobody above it knows.
    fn resend(&mut self, place: usize) {
        let (client, id, message) = self.unanswered[place];
        if !self.answered.contains(&(client, id)) && !self.hosts[client].is_gone {
            self.send(message, None);
        }
    }

    /// A step that a client takes by itself: not while it is paused.
    pub(super) fn tell_step(&mut self, client: usize, number: usize) {
        self.tell(client, Event::Step(number));
    }

    fn carry_out(&mut self, client: usize, mut actions: Vec<Action>) {
        for action in actions.drain(..) {
            match action {
                Action::Send { node, id, request } => self.ask(client, node, id, request),
                Action::Granted(grant) => self.granted(client, grant),
                Action::Extended(grant) => {
                    let lease = self.lease(client, grant);
                    self.judge.extended(self.now_us, client, lease);
                    self.told(client, Told::Extended(grant));
                }
                Action::Ended(why) => {
                    self.told(client, Told::Ended(why));
                    self.ended(client, why);
                }
            }
        }
        self.actions = actions;
        let now_ns = self.now_us * 1000;
        let due = self.clients[client].due();
        let host = &mut self.hosts[client];
        let due_ns = due.and_then(|due| host.clock.when_mono(due.0 * 1000, now_ns));
        if let Some(due_us) = due_ns.map(|due| due.div_ceil(1000))
            && due_us != host.looks_at_us
        {
            host.looks_at_us = due_us;
            self.post(due_us, Event::Looks(client));
        }
    }

    fn ask(&mut self, client: usize, node: Node, id: RequestId, request: Request) {
        let host = &mut self.hosts[client];
        match request {
            Request::Acquire { token, .. } | Request::AcquireUntil { token, .. }
                if token.attempt != host.attempt =>
            {
                (host.attempt, host.began_us) = (token.attempt, self.now_us);
            }
            Request::Extend { .. } => host.began_us = self.now_us,
            _ => {}
        }
        let (server, life) = (host.servers[usize::from(node.0)], host.life);
        if self.is_recording {
            self.sent.push((self.now_us, client, node, request));
        }
        let delay_us = self.delays_us.get(&(client, node.0)).copied();
        let message = Message::Asked { client, server, life, id, request };
        self.send(message, delay_us);
        if let Some(resends_us) = self.habits.resends_us {
            self.unanswered.push((client, id, message));
            self.post(self.now_us + resends_us, Event::Resends(self.unanswered.len() - 1));
        }
    }

    pub(super) fn told(&mut self, client: usize, told: Told) {
        if self.is_recording {
            self.told.push((self.now_us, client, told));
        }
        self.note(Happening::Told(client, told));
    }

    /// What a grant means in true time.
    fn lease(&self, client: usize, grant: Grant) -> Lease {
        let host = &self.hosts[client];
        let ends = self.clients[client].settings().loss == LossSignal::AtDeadline;
        let until_ns = host.clock.when_mono(grant.until.0 * 1000, self.now_us * 1000);
        Lease {
            began_us: host.began_us,
            believes_until: until_ns.filter(|_| ends).map(|until| until / 1000),
            fence: grant.fence,
        }
    }

    /// The rate of a client's clock has changed.
    pub(super) fn reconsider(&mut self, client: usize) {
        if let Some(grant) = self.clients[client].grant() {
            let lease = self.lease(client, grant);
            self.judge.believes_until(client, lease.believes_until);
        }
    }

    fn granted(&mut self, client: usize, grant: Grant) {
        let lease = self.lease(client, grant);
        self.judge.granted(self.now_us, client, lease);
        let serial = self.judge.grant_of(client);
        let host = &mut self.hosts[client];
        (host.fence, host.grant) = (grant.fence, serial);
        self.told(client, Told::Granted(grant));
        if self.is_recording {
            for other in (0..self.clients.len()).filter(|&other| other != client) {
                if self.believes(other) && self.believes(client) {
                    self.overlaps.push((self.now_us, other, client));
                }
            }
        }
        self.has_lock(client);
    }

    /// A number that was never written.
    pub(super) fn new_value(&mut self) -> u64 {
        self.written += 1;
        self.written
    }

    pub(super) fn send(&mut self, message: Message, delay_us: Option<u64>) {
        let (link, is_request) = message.link();
        let Some(arrives_us) = self.arrival(link, is_request, delay_us) else {
            self.note(Happening::Sent {
                link,
                is_request,
                spoken: message.spoken(),
                arrives_us: None,
            });
            return;
        };
        if self.trace.is_some() {
            let spoken = message.spoken();
            let arrives_us = Some(arrives_us);
            self.note(Happening::Sent { link, is_request, spoken, arrives_us });
        }
        let number = match self.free.pop() {
            Some(number) => {
                self.messages[number as usize] = message;
                number
            }
            None => {
                self.messages.push(message);
                self.messages.len() as u64 - 1
            }
        };
        self.post(arrives_us, Event::Arrives(number));
    }

    /// When what is sent now arrives, if it does.
    fn arrival(&mut self, link: Who, is_request: bool, delay_us: Option<u64>) -> Option<u64> {
        let (client, end) = match link {
            Who::Link(client, server) => (client, server),
            Who::Store(client) | Who::Client(client) => (client, self.servers.len()),
            Who::Node(node) => (0, node),
        };
        let way = (client * (self.servers.len() + 1) + end) * 2 + usize::from(is_request);
        let Network { least_us, most_us, slow_one_in, lost_one_in } = self.network;
        let mut draw = self.chance.key(Stream::Message, way as u64).at(self.ways[way].sent);
        self.ways[way].sent += 1;
        let is_store = matches!(link, Who::Store(_));
        if lost_one_in > 0 && draw.chance(1, lost_one_in) && !is_store {
            return None;
        }
        let mut takes_us = draw.between(least_us, most_us);
        if slow_one_in > 0 && draw.chance(1, slow_one_in) {
            takes_us *= 1 + draw.below(100);
        }
        let mut arrives_us = self.now_us + delay_us.unwrap_or(takes_us);
        for trouble in &self.troubles {
            let applies = trouble.link == link
                && trouble.until_us > self.now_us
                && trouble.is_request.is_none_or(|which| which == is_request);
            match trouble.takes_us {
                _ if !applies => {}
                Some(takes_us) => arrives_us = self.now_us + takes_us,
                // What is lost on the way to the store is sent again.
                None if is_store => arrives_us = trouble.until_us + takes_us,
                None => return None,
            }
        }
        if !self.habits.is_pooled {
            arrives_us = arrives_us.max(self.ways[way].last_arrival_us);
            self.ways[way].last_arrival_us = arrives_us;
        }
        Some(arrives_us)
    }

    pub(super) fn post(&mut self, at_us: u64, event: Event) {
        self.posted += 1;
        self.queue.push(Reverse((at_us.max(self.now_us), self.posted, event)));
    }
}
