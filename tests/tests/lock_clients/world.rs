//! Lock servers that are what they should be, and a network between them and clients of locks.
//!
//! Invariant: a world is a function of its seed and of what is done to it. Clocks run alike, but
//! for steps of the time of day.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use orrery_engine::lock::{
    Action, Client, CounterUse, Ended, Grant, Node, Reply, Request, RequestId, Settings, Token,
};
use orrery_engine::rng::Rng;
use orrery_engine::{Instant, Now, Seed, UnixMicros};

pub(crate) const MS: u64 = 1000;
const EPOCH: u64 = 1_000_000_000_000_000;

/// A lock server with one lock and its counter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Server {
    pub(crate) key: Option<(Token, u64)>,
    pub(crate) counter: u64,
    /// Nothing reaches it.
    pub(crate) is_cut: bool,
}

impl Server {
    fn expire(&mut self, now_us: u64) {
        self.key = self.key.filter(|&(_, until)| now_us < until);
    }

    pub(crate) fn carry_out(&mut self, now_us: u64, request: Request) -> Reply {
        self.expire(now_us);
        let has = |token: Token| self.key.is_some_and(|(own, _)| own == token);
        let until = |ttl_ms: u64| now_us + ttl_ms * MS;
        let is_done = match request {
            Request::Acquire { token, ttl_ms, counter } => {
                let is_free = self.key.is_none();
                if is_free {
                    self.key = Some((token, until(ttl_ms)));
                    self.counter += u64::from(counter == CounterUse::Increment);
                }
                is_free
            }
            Request::Extend { token, ttl_ms, recreates } => {
                let may = has(token) || recreates && self.key.is_none();
                if may {
                    self.key = Some((token, until(ttl_ms)));
                }
                may
            }
            Request::Commit { token, number } => {
                let may = has(token);
                if may {
                    self.counter = self.counter.max(number);
                }
                may
            }
            Request::Release { token } => {
                let may = token.is_none_or(has);
                if may {
                    self.key = None;
                }
                may
            }
        };
        if is_done { Reply::Done { counter: self.counter } } else { Reply::Refused }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A message has reached a server or a client, by its number.
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
}

/// How long messages take, and what becomes of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    pub(crate) least_us: u64,
    pub(crate) most_us: u64,
    /// One in so many takes up to a hundred times as long; 0: none.
    pub(crate) slow_one_in: u64,
    /// One in so many is lost; 0: none.
    pub(crate) lost_one_in: u64,
}

pub(crate) const CALM: Network =
    Network { least_us: 500, most_us: 500, slow_one_in: 0, lost_one_in: 0 };

/// Something that a client was told, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Granted(Grant),
    Extended(Grant),
    Ended(Ended),
}

/// Servers, clients and a network.
pub(crate) struct World {
    pub(crate) now_us: u64,
    /// How far each client's time of day is from the true one, in microseconds.
    pub(crate) wall_offset_us: Vec<i64>,
    pub(crate) servers: Vec<Server>,
    pub(crate) clients: Vec<Client>,
    pub(crate) network: Network,
    /// Messages that take so long instead, by client and node, for as long as they are here.
    pub(crate) delays_us: BTreeMap<(usize, u16), u64>,
    pub(crate) told: Vec<(u64, usize, Told)>,
    /// Requests as they were sent.
    pub(crate) sent: Vec<(u64, usize, Node, Request)>,
    /// Moments at which two clients took the lock for theirs.
    pub(crate) overlaps: Vec<(u64, usize, usize)>,
    paused: Vec<Option<Vec<Event>>>,
    messages: Vec<Message>,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    rng: Rng,
}

impl World {
    pub(crate) fn new(seed: u64, settings: Settings, clients: usize) -> Self {
        let client =
            |at: usize| Client::new(settings, at as u128 + 1, Seed(seed * 100 + at as u64));
        Self {
            now_us: 0,
            wall_offset_us: vec![0; clients],
            servers: vec![Server::default(); settings.nodes.into()],
            clients: (0..clients).map(client).collect(),
            network: CALM,
            delays_us: BTreeMap::new(),
            told: Vec::new(),
            sent: Vec::new(),
            overlaps: Vec::new(),
            paused: vec![None; clients],
            messages: Vec::new(),
            queue: BinaryHeap::new(),
            rng: Rng::new(Seed(seed), "world"),
        }
    }

    pub(crate) fn now(&self, client: usize) -> Now {
        let wall = (EPOCH + self.now_us).saturating_add_signed(self.wall_offset_us[client]);
        Now { mono: Instant(self.now_us), wall: UnixMicros(wall) }
    }

    pub(crate) fn acquire(&mut self, client: usize) {
        let (mut out, now) = (Vec::new(), self.now(client));
        self.clients[client].acquire(now, &mut out);
        self.carry_out(client, out);
    }

    pub(crate) fn release(&mut self, client: usize) -> bool {
        let (mut out, now) = (Vec::new(), self.now(client));
        let had = self.clients[client].release(now, &mut out);
        self.carry_out(client, out);
        had
    }

    /// The client does nothing until it goes on; what comes for it waits.
    pub(crate) fn pause(&mut self, client: usize, until_us: u64) {
        self.paused[client].get_or_insert_default();
        self.post(until_us, Event::GoesOn(client));
    }

    pub(crate) fn is_paused(&self, client: usize) -> bool {
        self.paused[client].is_some()
    }

    pub(crate) fn believes(&self, client: usize) -> bool {
        self.clients[client].believes(self.now(client))
    }

    /// Lets time pass.
    pub(crate) fn run_until_ms(&mut self, ms: u64) {
        self.run_until_us(ms * MS);
    }

    pub(crate) fn run_until_us(&mut self, until_us: u64) {
        while let Some(Reverse((at, _, event))) = self.queue.peek().copied()
            && at <= until_us
        {
            self.queue.pop();
            self.now_us = self.now_us.max(at);
            self.happen(event);
        }
        self.now_us = self.now_us.max(until_us);
    }

    fn happen(&mut self, event: Event) {
        let client = match event {
            Event::GoesOn(client) => {
                for waiting in self.paused[client].take().unwrap_or_default() {
                    self.happen(waiting);
                }
                return;
            }
            Event::Looks(client) => client,
            Event::Arrives(number) => match self.messages[number as usize] {
                Message::Asked { client, node, id, request } => {
                    let server = &mut self.servers[usize::from(node.0)];
                    if !server.is_cut {
                        let reply = server.carry_out(self.now_us, request);
                        self.send(client, node, Message::Answered { client, id, reply });
                    }
                    return;
                }
                Message::Answered { client, .. } => client,
            },
        };
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
                    self.send(client, node, Message::Asked { client, node, id, request });
                }
                Action::Granted(grant) => self.granted(client, grant),
                Action::Extended(grant) => {
                    self.told.push((self.now_us, client, Told::Extended(grant)));
                }
                Action::Ended(why) => self.told.push((self.now_us, client, Told::Ended(why))),
            }
        }
        if let Some(due) = self.clients[client].due() {
            self.post(due.0.max(self.now_us), Event::Looks(client));
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

    fn send(&mut self, client: usize, node: Node, message: Message) {
        let Network { least_us, most_us, slow_one_in, lost_one_in } = self.network;
        if lost_one_in > 0 && self.rng.chance(1, lost_one_in) {
            return;
        }
        let mut takes_us = least_us + self.rng.below(most_us - least_us + 1);
        if slow_one_in > 0 && self.rng.chance(1, slow_one_in) {
            takes_us *= 1 + self.rng.below(100);
        }
        let is_asked = matches!(message, Message::Asked { .. });
        if let Some(&delay_us) = self.delays_us.get(&(client, node.0)).filter(|_| is_asked) {
            takes_us = delay_us;
        }
        self.messages.push(message);
        self.post(self.now_us + takes_us, Event::Arrives(self.messages.len() as u64 - 1));
    }

    fn post(&mut self, at_us: u64, event: Event) {
        let number = self.messages.len() as u64 + self.queue.len() as u64;
        self.queue.push(Reverse((at_us, number, event)));
    }

    /// What a client was told, without the times.
    pub(crate) fn told_to(&self, client: usize) -> Vec<Told> {
        self.told.iter().filter(|(_, to, _)| *to == client).map(|&(.., told)| told).collect()
    }

    /// The numbers of all grants, in the order in which they were told.
    pub(crate) fn fences(&self) -> Vec<u64> {
        let fence = |told: &(u64, usize, Told)| match told.2 {
            Told::Granted(grant) => grant.fence,
            _ => None,
        };
        self.told.iter().filter_map(fence).collect()
    }
}
