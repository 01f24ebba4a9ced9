//! A client host: a process with one connection, patience, and a journal of what it saw.
//!
//! It sends a command (a bulk client: several at once), waits, gives up when its patience ends or
//! the connection does, and connects again. It acts on its own clock, which is as wrong as any
//! host's.
//!
//! Invariant: it never has more than one batch of commands open, and never learns more than its
//! connection told it.

use std::collections::VecDeque;

use super::clock::HostClock;
use super::network::{Arrival, End, Kind, Network, Toward};
use super::queue::{Lane, Timer};
use crate::chance::{Chance, Draw, Key, Stream};
use crate::journal::{Journal, NEVER_NS, Op, Seen};
use crate::setup::{Knobs, Setup};
use crate::workload::{Ask, KeyName, Values, Workload, parse_reply};

/// A bulk client that has written and read all its keys goes on this much slower.
const BULK_REST: u64 = 16;

/// So many bulk clients of one server have keys of their own; numbers of keys have sixteen bits.
const BULK_RANGES_MAX: u16 = 40;

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits before it connects.
    Away,
    /// It has asked for a connection.
    Connecting,
    /// It thinks about the next command.
    Thinking,
    /// It waits for answers.
    Waiting,
    /// It has seen all that it wanted to see.
    Finished,
}

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) knobs: Knobs,
    pub(crate) values: Values,
    pub(crate) journal: Journal,
    /// What clients do, bulk work excepted.
    workloads: Vec<Workload>,
    servers: u16,
    /// When the faults were over: from then on everybody reads everything once more and stops.
    pub(crate) healed_ns: Option<u64>,
    /// Clients that have not finished.
    pub(crate) unfinished: usize,
}

impl Shared {
    pub(crate) fn new(setup: &Setup, knobs: Knobs) -> Self {
        let workloads = setup.workloads.iter().copied();
        Self {
            knobs,
            values: Values::new(setup.chance()),
            journal: Journal::default(),
            workloads: workloads.filter(|&workload| workload != Workload::Bulk).collect(),
            servers: setup.servers as u16,
            healed_ns: None,
            unfinished: setup.clients,
        }
    }
}

impl Shared {
    /// Whether this operation is one of the last reads.
    fn is_last_round(&self, at: u32) -> bool {
        self.healed_ns.is_some_and(|healed_ns| self.journal.ops[at as usize].call_ns >= healed_ns)
    }
}

/// One client.
pub(crate) struct Client {
    pub(crate) host: u16,
    index: u16,
    pub(crate) clock: HostClock,
    pub(crate) timers: [Timer; 2],
    state: State,
    conn: u32,
    server: u16,
    /// The server that it mostly uses, and reads in the end.
    home: u16,
    /// When it does the next thing, on its own clock.
    act_mono_ns: u64,
    /// When its patience ends, on its own clock.
    patience_mono_ns: u64,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// The other end has gone.
    ended: bool,
    /// Places in the journal of the commands that it waits for.
    open: VecDeque<u32>,
    /// Batches that it has sent, for drawing the next.
    batches: u64,
    connects: u64,
    commands: Key,
    thoughts: Key,
    connecting: Key,
    bulk: bool,
    /// The bulk client's next key; the next key of the last round of reads.
    next_key: u16,
    /// Where a bulk client's own range of keys begins: a write that is lost stays lost if nobody
    /// else writes the key.
    first_key: u16,
    /// How often a bulk client has written and read all its keys.
    rounds: u64,
    /// Values that it saw last, by key of the server that it talks to.
    seen: Vec<(KeyName, u64)>,
    pub(crate) stopped: u16,
    pub(crate) frozen: u16,
}

impl Client {
    pub(crate) fn new(setup: &Setup, index: u16, clock: HostClock, bulk: bool) -> Self {
        let chance: Chance = setup.chance();
        let range = (index / setup.servers as u16).min(BULK_RANGES_MAX);
        let who = u64::from(index);
        Self {
            host: setup.servers as u16 + index,
            index,
            act_mono_ns: clock.mono_ns(0),
            clock,
            timers: [Timer::default(); 2],
            state: State::Away,
            conn: 0,
            server: index % setup.servers as u16,
            home: index % setup.servers as u16,
            patience_mono_ns: u64::MAX,
            inbox: Vec::new(),
            outbox: Vec::new(),
            ended: false,
            open: VecDeque::new(),
            batches: 0,
            connects: 0,
            commands: chance.key(Stream::Command, who),
            thoughts: chance.key(Stream::Think, who),
            connecting: chance.key(Stream::Connect, who),
            bulk,
            next_key: 0,
            first_key: range * Knobs::draw(chance).bulk_keys,
            rounds: 0,
            seen: Vec::new(),
            stopped: 0,
            frozen: 0,
        }
    }

    /// The connection that it has, if it is there at both ends.
    pub(crate) fn connection(&self, net: &Network) -> Option<u32> {
        let there = matches!(self.state, State::Thinking | State::Waiting)
            && net.conns[self.conn as usize].at_server == End::Open;
        there.then_some(self.conn)
    }

    /// Whether it has seen all that it wanted to see.
    pub(crate) fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    /// In words, for reports of clients that got no answer.
    pub(crate) fn describe(&self) -> String {
        format!("client {} is {:?} at server {}", self.index, self.state, self.server)
    }

    fn runs(&self) -> bool {
        self.stopped == 0 && self.frozen == 0
    }

    /// Plans both timers by the clock as it is now.
    pub(crate) fn plan(&mut self, net: &mut Network) {
        let deadlines = [self.act_mono_ns, self.patience_mono_ns];
        for (lane, deadline) in [Lane::Act, Lane::Patience].into_iter().zip(deadlines) {
            if deadline != u64::MAX
                && let Some(at_ns) = self.clock.when_mono(deadline, net.now_ns)
            {
                let timer = &mut self.timers[lane as usize];
                timer.plan(&mut net.queue, self.host, lane, at_ns);
            }
        }
    }

    /// Something has arrived at the host.
    pub(crate) fn arrived(&mut self, net: &mut Network, shared: &mut Shared, arrival: Arrival) {
        let Arrival { conn, kind, len, .. } = arrival;
        if net.conns[conn as usize].at_client == End::Closed {
            net.drop_arrived(conn, Toward::Client, len);
            if matches!(kind, Kind::Data | Kind::SynAck) {
                net.post(conn, Toward::Server, Kind::Rst);
            }
            return;
        }
        match kind {
            Kind::SynAck => net.conns[conn as usize].at_client = End::Open,
            Kind::Data => net.take(conn, Toward::Client, len, &mut self.inbox),
            Kind::Fin => self.ended = true,
            Kind::Rst => {
                self.ended = true;
                self.inbox.clear();
            }
            Kind::Syn => return,
        }
        if self.runs() {
            self.react(net, shared);
            self.plan(net);
        }
    }

    /// One of its timers may have come.
    pub(crate) fn wake(&mut self, net: &mut Network, shared: &mut Shared) {
        if self.runs() {
            self.keep_time(net, shared);
            self.plan(net);
        }
    }

    /// It goes on after it was stopped, or its clock was changed.
    pub(crate) fn go_on(&mut self, net: &mut Network, shared: &mut Shared) {
        self.timers.iter_mut().for_each(Timer::cancel);
        if !self.runs() {
            return;
        }
        // Both the socket and the timer are due; which a process looks at first is its own
        // business.
        if self.connecting.at(self.connects << 32 | self.batches).chance(1, 2) {
            self.react(net, shared);
            self.keep_time(net, shared);
        } else {
            self.keep_time(net, shared);
            self.react(net, shared);
        }
        self.plan(net);
    }

    /// The last round begins: every key is read once more.
    pub(crate) fn heal(&mut self) {
        self.next_key = 0;
    }

    fn keep_time(&mut self, net: &mut Network, shared: &mut Shared) {
        let mono_ns = self.clock.mono_ns(net.now_ns);
        if self.patience_mono_ns <= mono_ns {
            self.disconnect(net, shared, false);
        }
        if self.act_mono_ns <= mono_ns {
            self.act_mono_ns = u64::MAX;
            match self.state {
                State::Away => self.connect(net, shared),
                State::Thinking => self.send(net, shared),
                State::Connecting | State::Waiting | State::Finished => {}
            }
        }
    }

    fn react(&mut self, net: &mut Network, shared: &mut Shared) {
        if self.state == State::Connecting && net.conns[self.conn as usize].at_client == End::Open {
            self.think(net, shared);
        }
        if !self.inbox.is_empty() {
            self.read(net, shared);
        }
        if self.ended && !matches!(self.state, State::Away | State::Finished) {
            self.disconnect(net, shared, true);
        }
    }

    fn connect(&mut self, net: &mut Network, shared: &Shared) {
        let mut draw = self.connecting.at(self.connects);
        self.connects += 1;
        let strays = !self.bulk && shared.healed_ns.is_none() && draw.chance(1, 4);
        let server = if strays { draw.below(u64::from(shared.servers)) as u16 } else { self.home };
        if server != self.server {
            self.server = server;
            self.seen.clear();
        }
        self.ended = false;
        self.inbox.clear();
        self.conn = net.connect(self.host, self.server);
        self.state = State::Connecting;
        self.patience_mono_ns = self.clock.mono_ns(net.now_ns) + shared.knobs.patience_ns;
    }

    /// Lets go of the connection; whatever is open stays unknown.
    fn disconnect(&mut self, net: &mut Network, shared: &mut Shared, by_peer: bool) {
        if self.bulk {
            self.next_key = self.next_key.saturating_sub(self.open.len() as u16);
        }
        for at in self.open.drain(..) {
            shared.journal.give_up(at as usize);
        }
        let mut draw = self.connecting.at(self.connects << 16 | 0xffff);
        if !by_peer && self.state != State::Connecting {
            let kind = if draw.chance(1, 4) { Kind::Rst } else { Kind::Fin };
            net.post(self.conn, Toward::Server, kind);
        }
        net.conns[self.conn as usize].at_client = End::Closed;
        net.release(self.conn);
        self.ended = false;
        self.inbox.clear();
        self.state = State::Away;
        self.patience_mono_ns = u64::MAX;
        let wait_ns = draw.between(shared.knobs.backoff_ns / 2, shared.knobs.backoff_ns);
        self.act_mono_ns = self.clock.mono_ns(net.now_ns) + wait_ns;
    }

    /// Nothing is open: decides when the next command goes out.
    fn think(&mut self, net: &mut Network, shared: &mut Shared) {
        self.patience_mono_ns = u64::MAX;
        self.state = State::Thinking;
        if shared.healed_ns.is_some() && self.server != self.home {
            return self.disconnect(net, shared, false);
        }
        if shared.healed_ns.is_some() && self.next_key >= self.keys(shared) {
            self.state = State::Finished;
            self.act_mono_ns = u64::MAX;
            shared.unfinished -= 1;
            return;
        }
        let mut draw = self.thoughts.at(self.batches);
        let Knobs { think_ns, hasty, .. } = shared.knobs;
        let hurries = shared.healed_ns.is_some() || (!self.bulk && draw.chance(hasty, 16));
        if hurries {
            return self.send(net, shared);
        }
        let mut wait_ns = draw.between(think_ns / 4, think_ns * 7 / 4);
        if self.bulk && self.rounds > 0 {
            wait_ns *= BULK_REST;
        }
        self.act_mono_ns = self.clock.mono_ns(net.now_ns) + wait_ns;
    }

    /// How many keys it can read on its server.
    fn keys(&self, shared: &Shared) -> u16 {
        if self.bulk {
            shared.knobs.bulk_keys
        } else {
            shared.knobs.keys * shared.workloads.len() as u16
        }
    }

    fn send(&mut self, net: &mut Network, shared: &mut Shared) {
        self.outbox.clear();
        let mut draw = self.commands.at(self.batches);
        self.batches += 1;
        let round =
            if shared.healed_ns.is_some() { self.keys(shared) } else { self.keys(shared) * 2 };
        let left = round.saturating_sub(self.next_key);
        let count = if self.bulk { shared.knobs.pipeline.min(left).max(1) } else { 1 };
        let (now_ns, now) = (net.now_ns, self.clock.now(net.now_ns));
        for slot in 0..count {
            let (key, ask) = self.next_command(shared, &mut draw);
            let journal = &mut shared.journal;
            self.open.push_back(journal.ops.len() as u32);
            ask.write(key, &shared.values, &mut self.outbox);
            journal.ops.push(Op {
                client: self.index,
                slot,
                server: self.server,
                key,
                ask,
                seen: Seen::Open,
                call_ns: now_ns,
                return_ns: NEVER_NS,
                call_local_us: now.wall.0,
                return_local_us: 0,
            });
        }
        net.send(self.conn, Toward::Server, &self.outbox);
        self.state = State::Waiting;
        self.act_mono_ns = u64::MAX;
        self.patience_mono_ns = self.clock.mono_ns(now_ns) + shared.knobs.patience_ns;
    }

    fn next_command(&mut self, shared: &Shared, draw: &mut Draw) -> (KeyName, Ask) {
        let value = shared.journal.next_value();
        if self.bulk {
            // Rounds of writing every key, reading every key.
            let round = self.next_key / shared.knobs.bulk_keys;
            let index = self.first_key + self.next_key % shared.knobs.bulk_keys;
            self.next_key += 1;
            if shared.healed_ns.is_none() && self.next_key >= 2 * shared.knobs.bulk_keys {
                self.next_key = 0;
                self.rounds += 1;
            }
            let reads = shared.healed_ns.is_some() || round % 2 == 1;
            let ask = if reads { Ask::Get } else { Ask::Set { value } };
            return (KeyName { workload: Workload::Bulk, index }, ask);
        }
        if shared.healed_ns.is_some() {
            let (which, index) =
                (self.next_key / shared.knobs.keys, self.next_key % shared.knobs.keys);
            return (KeyName { workload: shared.workloads[usize::from(which)], index }, Ask::Get);
        }
        let workload = draw.pick(&shared.workloads);
        let index = draw.below(u64::from(shared.knobs.keys)) as u16;
        let key = KeyName { workload, index };
        let seen = self.seen.iter().find(|(name, _)| *name == key).map_or(0, |&(_, value)| value);
        (key, Ask::draw(draw, workload, value, seen, &shared.knobs))
    }

    fn read(&mut self, net: &mut Network, shared: &mut Shared) {
        let now = (net.now_ns, self.clock.now(net.now_ns).wall.0);
        let mut taken = 0;
        while let Some((said, len)) = parse_reply(&self.inbox[taken..]) {
            taken += len;
            // An answer to nothing: the connection makes no sense any more.
            let Some(at) = self.open.pop_front() else {
                self.inbox.clear();
                return self.disconnect(net, shared, false);
            };
            let seen = shared.journal.answer(at as usize, said, &shared.values, now);
            if let Seen::Value(value) = seen {
                self.remember(shared.journal.ops[at as usize].key, value);
            }
            if shared.is_last_round(at) && !self.bulk {
                self.next_key += 1;
            }
        }
        self.inbox.drain(..taken);
        if self.open.is_empty() && self.state == State::Waiting {
            self.think(net, shared);
        }
    }

    fn remember(&mut self, key: KeyName, value: u64) {
        match self.seen.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None if key.workload == Workload::Registers => self.seen.push((key, value)),
            None => {}
        }
    }
}
