//! A client host: a process with one connection, patience, and a journal of what it saw.
//!
//! It sends a command (a bulk client: several at once), waits, gives up when its patience ends or
//! the connection does, and connects again. It acts on its own clock, which is as wrong as any
//! host's.
//!
//! Invariant: it never has more than one batch of commands open, and never learns more than its
//! connection told it.

use super::clock::HostClock;
use super::network::{Arrival, End, Kind, Network, Toward};
use super::queue::{Lane, Timer};
use crate::errands::{Errands, Menu};
use crate::journal::Journal;
use crate::setup::{Knobs, Setup};

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
    pub(crate) menu: Menu,
    pub(crate) journal: Journal,
    /// When the faults were over: from then on everybody reads everything once more and stops.
    pub(crate) healed_ns: Option<u64>,
    /// Clients that have not finished.
    pub(crate) unfinished: usize,
}

impl Shared {
    pub(crate) fn new(setup: &Setup, knobs: Knobs) -> Self {
        Self {
            menu: Menu::new(setup, knobs),
            journal: Journal::default(),
            healed_ns: None,
            unfinished: setup.clients,
        }
    }

    fn is_closing(&self) -> bool {
        self.healed_ns.is_some()
    }
}

/// One client.
pub(crate) struct Client {
    pub(crate) host: u16,
    pub(crate) clock: HostClock,
    pub(crate) timers: [Timer; 2],
    state: State,
    conn: u32,
    errands: Errands,
    /// When it does the next thing, on its own clock.
    act_mono_ns: u64,
    /// When its patience ends, on its own clock.
    patience_mono_ns: u64,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// The other end has gone.
    ended: bool,
    pub(crate) stopped: u16,
    pub(crate) frozen: u16,
}

impl Client {
    pub(crate) fn new(
        setup: &Setup,
        menu: &Menu,
        index: u16,
        clock: HostClock,
        bulk: bool,
    ) -> Self {
        Self {
            host: setup.servers as u16 + index,
            act_mono_ns: clock.mono_ns(0),
            clock,
            timers: [Timer::default(); 2],
            state: State::Away,
            conn: 0,
            errands: Errands::new(setup.chance(), menu, index, bulk),
            patience_mono_ns: u64::MAX,
            inbox: Vec::new(),
            outbox: Vec::new(),
            ended: false,
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
        format!(
            "client {} is {:?} at server {}",
            self.errands.index, self.state, self.errands.server
        )
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
        if self.errands.looking().chance(1, 2) {
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
        self.errands.begin_last_round();
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
        self.errands.choose_server(&shared.menu, shared.is_closing());
        self.ended = false;
        self.inbox.clear();
        self.conn = net.connect(self.host, self.errands.server);
        self.state = State::Connecting;
        self.patience_mono_ns = self.clock.mono_ns(net.now_ns) + shared.menu.knobs.patience_ns;
    }

    /// Lets go of the connection; whatever is open stays unknown.
    fn disconnect(&mut self, net: &mut Network, shared: &mut Shared, by_peer: bool) {
        self.errands.rewind();
        self.errands.give_up(&mut shared.journal);
        let mut draw = self.errands.leaving();
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
        let backoff_ns = shared.menu.knobs.backoff_ns;
        let wait_ns = draw.between(backoff_ns / 2, backoff_ns);
        self.act_mono_ns = self.clock.mono_ns(net.now_ns) + wait_ns;
    }

    /// Nothing is open: decides when the next command goes out.
    fn think(&mut self, net: &mut Network, shared: &mut Shared) {
        self.patience_mono_ns = u64::MAX;
        self.state = State::Thinking;
        let closing = shared.is_closing();
        if closing && !self.errands.is_home() {
            return self.disconnect(net, shared, false);
        }
        if closing && self.errands.has_read_all(&shared.menu) {
            self.state = State::Finished;
            self.act_mono_ns = u64::MAX;
            shared.unfinished -= 1;
            return;
        }
        match self.errands.think_ns(&shared.menu, closing) {
            0 => self.send(net, shared),
            wait_ns => self.act_mono_ns = self.clock.mono_ns(net.now_ns) + wait_ns,
        }
    }

    fn send(&mut self, net: &mut Network, shared: &mut Shared) {
        let closing = shared.is_closing();
        let now = (net.now_ns, self.clock.now(net.now_ns).wall.0);
        let Shared { menu, journal, .. } = shared;
        self.errands.write_batch(menu, journal, &mut self.outbox, now, closing);
        net.send(self.conn, Toward::Server, &self.outbox);
        self.state = State::Waiting;
        self.act_mono_ns = u64::MAX;
        self.patience_mono_ns = self.clock.mono_ns(net.now_ns) + menu.knobs.patience_ns;
    }

    fn read(&mut self, net: &mut Network, shared: &mut Shared) {
        let now = (net.now_ns, self.clock.now(net.now_ns).wall.0);
        let Shared { menu, journal, healed_ns, .. } = shared;
        let healed_ns = *healed_ns;
        let read = self.errands.read(menu, journal, &mut self.inbox, now, |op| {
            healed_ns.is_some_and(|healed_ns| op.call_ns >= healed_ns)
        });
        if read.is_err() {
            // The connection makes no sense any more.
            self.inbox.clear();
            return self.disconnect(net, shared, false);
        }
        if self.errands.has_nothing_open() && self.state == State::Waiting {
            self.think(net, shared);
        }
    }
}
