//! A client host: a process with one connection, or two that it needs both, patience, and a journal
//! of what it saw.
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
use crate::errands::{Errands, Line, Menu};
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
    /// The second connection, if it has one.
    aside: Option<u32>,
    errands: Errands,
    /// When it does the next thing, on its own clock.
    act_mono_ns: u64,
    /// When its patience ends, on its own clock.
    patience_mono_ns: u64,
    inbox: Vec<u8>,
    /// What came over the second connection.
    aside_inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// The other end of a connection has gone.
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
            aside: None,
            errands: Errands::new(setup.chance(), menu, index, bulk),
            patience_mono_ns: u64::MAX,
            inbox: Vec::new(),
            aside_inbox: Vec::new(),
            outbox: Vec::new(),
            ended: false,
            stopped: 0,
            frozen: 0,
        }
    }

    /// The connection that it has, if it is there at both ends.
    pub(crate) fn connection(&self, net: &Network) -> Option<u32> {
        self.there(net, self.conn)
    }

    /// The same of its second connection.
    pub(crate) fn second_connection(&self, net: &Network) -> Option<u32> {
        self.aside.and_then(|aside| self.there(net, aside))
    }

    fn there(&self, net: &Network, conn: u32) -> Option<u32> {
        let there = matches!(self.state, State::Thinking | State::Waiting)
            && net.conns[conn as usize].at_server == End::Open;
        there.then_some(conn)
    }

    /// Whether what it has asked for is there.
    fn is_connected(&self, net: &Network) -> bool {
        let mut conns = [Some(self.conn), self.aside].into_iter().flatten();
        conns.all(|conn| net.conns[conn as usize].at_client == End::Open)
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
        let is_aside = self.aside == Some(conn);
        let inbox = if is_aside { &mut self.aside_inbox } else { &mut self.inbox };
        match kind {
            Kind::SynAck => net.conns[conn as usize].at_client = End::Open,
            Kind::Data => net.take(conn, Toward::Client, len, inbox),
            Kind::Fin => self.ended = true,
            Kind::Rst => {
                self.ended = true;
                inbox.clear();
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
        if self.state == State::Connecting && self.is_connected(net) {
            self.think(net, shared);
        }
        // Which connection a process looks at first is its own business.
        let mut lines = [Line::Main, Line::Aside];
        if !self.aside_inbox.is_empty() && self.errands.looking().chance(1, 2) {
            lines.reverse();
        }
        for line in lines {
            self.read(net, shared, line);
        }
        if self.ended && !matches!(self.state, State::Away | State::Finished) {
            self.disconnect(net, shared, true);
        }
    }

    fn connect(&mut self, net: &mut Network, shared: &Shared) {
        self.errands.choose_server(&shared.menu, shared.is_closing());
        self.ended = false;
        self.inbox.clear();
        self.aside_inbox.clear();
        self.conn = net.connect(self.host, self.errands.server);
        let wants_second = self.errands.wants_second();
        self.aside = wants_second.then(|| net.connect(self.host, self.errands.server));
        self.state = State::Connecting;
        self.patience_mono_ns = self.clock.mono_ns(net.now_ns) + shared.menu.knobs.patience_ns;
    }

    /// Lets go of the connection; whatever is open stays unknown.
    fn disconnect(&mut self, net: &mut Network, shared: &mut Shared, by_peer: bool) {
        self.errands.rewind();
        self.errands.give_up(&mut shared.journal);
        let mut draw = self.errands.leaving();
        let conns = [Some(self.conn), self.aside.take()].into_iter().flatten();
        let is_open = |conn: &u32| net.conns[*conn as usize].at_client == End::Open;
        // Of two connections, one may be there when the other has gone.
        let says_so = (!by_peer || conns.clone().count() > 1) && conns.clone().any(|c| is_open(&c));
        let kind = says_so.then(|| if draw.chance(1, 4) { Kind::Rst } else { Kind::Fin });
        for conn in conns {
            if let Some(kind) = kind.filter(|_| net.conns[conn as usize].at_client == End::Open) {
                net.post(conn, Toward::Server, kind);
            }
            net.conns[conn as usize].at_client = End::Closed;
            net.release(conn);
        }
        self.ended = false;
        self.inbox.clear();
        self.aside_inbox.clear();
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
        let line = self.errands.write_batch(menu, journal, &mut self.outbox, now, closing);
        let conn = if line == Line::Aside { self.aside } else { None }.unwrap_or(self.conn);
        net.send(conn, Toward::Server, &self.outbox);
        self.state = State::Waiting;
        self.act_mono_ns = u64::MAX;
        self.patience_mono_ns = self.clock.mono_ns(net.now_ns) + menu.knobs.patience_ns;
    }

    fn read(&mut self, net: &mut Network, shared: &mut Shared, line: Line) {
        let inbox = if line == Line::Main { &mut self.inbox } else { &mut self.aside_inbox };
        if inbox.is_empty() {
            return;
        }
        let now = (net.now_ns, self.clock.now(net.now_ns).wall.0);
        let Shared { menu, journal, healed_ns, .. } = shared;
        let healed_ns = *healed_ns;
        let read = self.errands.read(menu, journal, (line, inbox), now, |op| {
            healed_ns.is_some_and(|healed_ns| op.call_ns >= healed_ns)
        });
        if read.is_err() {
            // The connection makes no sense any more.
            return self.disconnect(net, shared, false);
        }
        if self.errands.has_nothing_open() && self.state == State::Waiting {
            self.think(net, shared);
        }
    }
}
