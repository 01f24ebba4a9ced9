//! Servers, clients, a store and a network, driven step by step.
//!
//! Invariant: an event happens at its time; what comes for a client that is paused waits in order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use orrery_engine::lock::{
    Action, Client, Ended, Grant, Node, Reply, Request, RequestId, Settings,
};
use orrery_engine::time::TtlClock;
use orrery_engine::{Now, Seed};

use super::server::{IdealServer, LockServer};
use super::store::{Access, Accessed, Change, Fences, Store};
use crate::chance::{Chance, Key, Stream};
use crate::world::clock::HostClock;

/// The time of day at which a lab begins: 2026-01-01, in nanoseconds.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
const MS: u64 = 1000;

/// What the lock servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// Ideal ones.
    Ideal,
    /// Engines whose keys go by this clock.
    Engines(TtlClock),
}

/// How long messages take, and what becomes of them.
#[derive(Clone, Copy, Debug)]
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

/// Something that a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The lock is there.
    Granted(Grant),
    /// It is there for longer.
    Extended(Grant),
    /// It is not.
    Ended(Ended),
}

/// What became of a client's work on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It has read this.
    Read(u64),
    /// Its change was taken.
    Written,
    /// Its number was too old.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A message has arrived, by its number.
    Arrives(u64),
    /// A client looks at its time.
    Looks(usize),
    /// It goes on after a pause.
    GoesOn(usize),
}

#[derive(Clone, Copy, Debug)]
enum Message {
    Asked { client: usize, node: Node, id: RequestId, request: Request },
    Answered { client: usize, id: RequestId, reply: Reply },
    Accessed { client: usize, fence: Option<u64>, access: Access },
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
    clocks: Vec<HostClock>,
    store: Store,
    paused: Vec<Option<Vec<Event>>>,
    messages: Vec<Message>,
    posted: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    chance: Key,
}

impl Lab {
    /// A lab with so many clients, all of whose clocks are right.
    #[must_use]
    pub fn new(seed: u64, settings: Settings, clients: usize, servers: Servers) -> Self {
        let client =
            |at: usize| Client::new(settings, at as u128 + 1, Seed(seed * 100 + at as u64));
        let server = |at: u16| match servers {
            Servers::Ideal => LockServer::ideal(),
            Servers::Engines(clock) => LockServer::engine(clock, seed + u64::from(at), EPOCH_NS),
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
            clocks: vec![HostClock::new(0, EPOCH_NS, 0); clients],
            store: Store::new(Fences::Nothing, seed),
            paused: vec![None; clients],
            messages: Vec::new(),
            posted: 0,
            queue: BinaryHeap::new(),
            chance: Chance::new(seed).key(Stream::Message, 0),
        }
    }

    /// The same with a store that lets only this through.
    #[must_use]
    pub fn with_fences(mut self, fences: Fences) -> Self {
        self.store = Store::new(fences, 1);
        self
    }

    /// The client begins to acquire the lock.
    pub fn acquire(&mut self, client: usize) {
        let (mut out, now) = (Vec::new(), self.now(client));
        self.clients[client].acquire(now, &mut out);
        self.carry_out(client, out);
    }

    /// The client gives it back; false: it has nothing.
    pub fn release(&mut self, client: usize) -> bool {
        let (mut out, now) = (Vec::new(), self.now(client));
        let had = self.clients[client].release(now, &mut out);
        self.carry_out(client, out);
        had
    }

    /// The client asks the store for something, with its number if it has one.
    pub fn access(&mut self, client: usize, access: Access) {
        let fence = self.clients[client].grant().and_then(|grant| grant.fence);
        self.access_with(client, fence, access);
    }

    /// The same with a number from before.
    pub fn access_with(&mut self, client: usize, fence: Option<u64>, access: Access) {
        self.send(Message::Accessed { client, fence, access }, None);
    }

    /// The client does nothing until then; what comes for it waits.
    pub fn pause(&mut self, client: usize, until_us: u64) {
        self.paused[client].get_or_insert_default();
        self.post(until_us, Event::GoesOn(client));
    }

    /// Whether it does nothing now.
    #[must_use]
    pub fn is_paused(&self, client: usize) -> bool {
        self.paused[client].is_some()
    }

    /// Somebody sets the clock of a client's host.
    pub fn step_wall(&mut self, client: usize, by_ms: i64) {
        self.clocks[client].step_wall(self.now_us * 1000, by_ms * 1_000_000);
    }

    /// Whether a client takes the lock for its own.
    #[must_use]
    pub fn believes(&self, client: usize) -> bool {
        self.clients[client].believes(self.now(client))
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
    }

    /// A server dies and comes back at once, and has kept nothing.
    pub fn forget(&mut self, node: usize) {
        self.servers[node].forget(self.now_us * 1000);
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

    fn now(&self, client: usize) -> Now {
        self.clocks[client].now(self.now_us * 1000)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::GoesOn(client) => {
                for waiting in self.paused[client].take().unwrap_or_default() {
                    self.happen(waiting);
                }
            }
            Event::Looks(client) => self.tell(client, event),
            Event::Arrives(number) => match self.messages[number as usize] {
                Message::Asked { client, node, id, request } => {
                    let server = &mut self.servers[usize::from(node.0)];
                    if !server.is_cut {
                        let reply = server.carry_out(self.now_us * 1000, request);
                        self.send(Message::Answered { client, id, reply }, None);
                    }
                }
                Message::Answered { client, .. } => self.tell(client, event),
                Message::Accessed { client, fence, access } => {
                    let work = match self.store.access(self.now_us, (client, fence), access) {
                        Accessed::Refused => Work::Refused,
                        Accessed::Read(value) => Work::Read(value),
                        Accessed::Changed(change) => {
                            self.changes.push(change);
                            Work::Written
                        }
                    };
                    self.work.push((self.now_us, client, work));
                }
            },
        }
    }

    /// A client learns of something, unless it is paused.
    fn tell(&mut self, client: usize, event: Event) {
        if let Some(waiting) = &mut self.paused[client] {
            waiting.push(event);
            return;
        }
        let (mut out, now) = (Vec::new(), self.now(client));
        match event {
            Event::Arrives(number) => {
                if let Message::Answered { id, reply, .. } = self.messages[number as usize] {
                    self.clients[client].answer(now, id, reply, &mut out);
                }
            }
            _ => self.clients[client].tick(now, &mut out),
        }
        self.carry_out(client, out);
    }

    fn carry_out(&mut self, client: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { node, id, request } => {
                    self.sent.push((self.now_us, client, node, request));
                    let delay_us = self.delays_us.get(&(client, node.0)).copied();
                    self.send(Message::Asked { client, node, id, request }, delay_us);
                }
                Action::Granted(grant) => self.granted(client, grant),
                Action::Extended(grant) => {
                    self.told.push((self.now_us, client, Told::Extended(grant)));
                }
                Action::Ended(why) => self.told.push((self.now_us, client, Told::Ended(why))),
            }
        }
        let now_ns = self.now_us * 1000;
        let due = self.clients[client].due();
        let due_ns = due.and_then(|due| self.clocks[client].when_mono(due.0 * 1000, now_ns));
        if let Some(due_ns) = due_ns {
            self.post(due_ns.div_ceil(1000), Event::Looks(client));
        }
    }

    fn granted(&mut self, client: usize, grant: Grant) {
        self.told.push((self.now_us, client, Told::Granted(grant)));
        for other in (0..self.clients.len()).filter(|&other| other != client) {
            if self.believes(other) && self.believes(client) {
                self.overlaps.push((self.now_us, other, client));
            }
        }
    }

    fn send(&mut self, message: Message, delay_us: Option<u64>) {
        let Network { least_us, most_us, slow_one_in, lost_one_in } = self.network;
        let number = self.messages.len() as u64;
        let mut draw = self.chance.at(number);
        self.messages.push(message);
        if lost_one_in > 0 && draw.chance(1, lost_one_in) {
            return;
        }
        let mut takes_us = draw.between(least_us, most_us);
        if slow_one_in > 0 && draw.chance(1, slow_one_in) {
            takes_us *= 1 + draw.below(100);
        }
        self.post(self.now_us + delay_us.unwrap_or(takes_us), Event::Arrives(number));
    }

    fn post(&mut self, at_us: u64, event: Event) {
        self.posted += 1;
        self.queue.push(Reverse((at_us.max(self.now_us), self.posted, event)));
    }
}
