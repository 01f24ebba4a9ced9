//! What can happen next, and what comes of it.
//!
//! Requests of one client to one server, and the answers, keep their order; apart from that every
//! message takes as long as it likes, for ever included. Nothing is lost: what is slow enough is.
//!
//! Three things are left out because they do nothing: an answer that nobody waits for, a request
//! that can find nothing to do any more, and what happens when nobody will hold or change anything.
//!
//! Invariant: what a client does is what the real machine does ([`super::machine`]), what a server
//! answers is what [`IdealServer`] answers.

use orrery_engine::lock::Token;

use super::machine::{Deed, Input, Machines, Outcome, SPENT};
use super::scope::{CLIENTS, Forgets, Scope, TICK};
use super::state::{Heard, Rest, Seat, Stage, State, holder};
use super::word::{Accessing, Answered, Asked, Row};
use super::{Broken, Invariant};
use crate::locks::{Fences, IdealServer};

/// A moment at which an ideal server is asked; it knows only how long a key has left.
const SERVED_US: u64 = 1_000_000_000;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// A client begins to acquire the lock.
    Begin(usize),
    /// The next request of a client reaches a server.
    Serve(usize, usize),
    /// The next answer of a server reaches a client.
    Hear(usize, usize),
    /// The next request of a client reaches the store.
    Access(usize),
    /// The store's answer reaches a client.
    Learn(usize),
    /// A client looks at its clock.
    Look(usize),
    /// Time passes.
    Tick,
    /// A client is paused.
    Pause(usize),
    /// It goes on.
    GoOn(usize),
    /// A server's clock is set forward by more than a lock lives.
    StepClock(usize),
    /// A client's time of day is set back.
    SetBack(usize),
    /// A server dies and comes back at once.
    Crash(usize),
}

impl Move {
    /// As a byte.
    pub(super) fn pack(self) -> u8 {
        let (kind, client, node) = match self {
            Self::Begin(client) => (0, client, 0),
            Self::Serve(client, node) => (1, client, node),
            Self::Hear(client, node) => (2, client, node),
            Self::Access(client) => (3, client, 0),
            Self::Learn(client) => (4, client, 0),
            Self::Look(client) => (5, client, 0),
            Self::Tick => (6, 0, 0),
            Self::Pause(client) => (7, client, 0),
            Self::GoOn(client) => (8, client, 0),
            Self::StepClock(node) => (9, 0, node),
            Self::SetBack(client) => (10, client, 0),
            Self::Crash(node) => (11, 0, node),
        };
        kind << 4 | (client as u8) << 2 | node as u8
    }

    /// The step of a byte that [`Move::pack`] has made.
    pub(super) fn unpack(byte: u8) -> Self {
        let (client, node) = (usize::from(byte >> 2 & 3), usize::from(byte & 3));
        match byte >> 4 {
            0 => Self::Begin(client),
            1 => Self::Serve(client, node),
            2 => Self::Hear(client, node),
            3 => Self::Access(client),
            4 => Self::Learn(client),
            5 => Self::Look(client),
            6 => Self::Tick,
            7 => Self::Pause(client),
            8 => Self::GoOn(client),
            9 => Self::StepClock(node),
            10 => Self::SetBack(client),
            _ => Self::Crash(node),
        }
    }

    /// The same step of other clients and servers.
    pub(super) fn renamed(self, who: impl Fn(usize) -> usize, at: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Begin(client) => Self::Begin(who(client)),
            Self::Serve(client, node) => Self::Serve(who(client), at(node)),
            Self::Hear(client, node) => Self::Hear(who(client), at(node)),
            Self::Access(client) => Self::Access(who(client)),
            Self::Learn(client) => Self::Learn(who(client)),
            Self::Look(client) => Self::Look(who(client)),
            Self::Tick => Self::Tick,
            Self::Pause(client) => Self::Pause(who(client)),
            Self::GoOn(client) => Self::GoOn(who(client)),
            Self::StepClock(node) => Self::StepClock(at(node)),
            Self::SetBack(client) => Self::SetBack(who(client)),
            Self::Crash(node) => Self::Crash(at(node)),
        }
    }
}

/// What is searched, and what was learned about the clients so far.
pub(super) struct World {
    pub(super) scope: Scope,
    pub(super) machines: Machines,
    nodes: usize,
}

impl World {
    /// A world and its beginning.
    pub(super) fn new(scope: &Scope) -> (Self, State) {
        let (machines, machine) = Machines::new(scope);
        let nodes = usize::from(scope.settings.nodes);
        (Self { scope: *scope, machines, nodes }, State::first(scope, machine))
    }

    /// The servers whose numbers mean nothing.
    pub(super) fn alike(&self) -> Option<usize> {
        self.scope.is_symmetric().then_some(self.nodes)
    }

    /// What can happen next.
    pub(super) fn moves(&self, state: &State, out: &mut Vec<Move>) {
        let rest = &state.rest;
        for (client, seat) in state.seats.iter().enumerate() {
            self.moves_of(client, seat, state, out);
            out.extend((!seat.accesses.is_empty()).then_some(Move::Access(client)));
        }
        for (node, column) in state.columns[..self.nodes].iter().enumerate() {
            for client in 0..CLIENTS {
                let is_asked = !column.asked[client].is_empty();
                out.extend(is_asked.then_some(Move::Serve(client, node)));
            }
            let has_key = column.holder != 0;
            let forgets = self.scope.forgets == Forgets::Everything && column.counter > 0;
            out.extend((rest.clock_steps > 0 && has_key).then_some(Move::StepClock(node)));
            let loses = rest.crashes > 0 && (has_key || forgets);
            out.extend(loses.then_some(Move::Crash(node)));
        }
        let must_look = |seat: &Seat| !seat.is_paused && self.machines.is_due(seat.machine);
        let may_pass = self.scope.ticks.is_none() || rest.ticks > 0;
        if may_pass && !state.seats.iter().any(must_look) {
            out.push(Move::Tick);
        }
    }

    fn moves_of(&self, client: usize, seat: &Seat, state: &State, out: &mut Vec<Move>) {
        let is_busy = !matches!(seat.stage, Stage::Ready | Stage::Spent);
        if state.rest.wall_steps > 0 && is_busy {
            out.push(Move::SetBack(client));
        }
        if seat.is_paused {
            return out.push(Move::GoOn(client));
        }
        if seat.stage == Stage::Ready {
            out.push(Move::Begin(client));
        }
        for (node, column) in state.columns[..self.nodes].iter().enumerate() {
            let is_answered = !column.answered[client].is_empty();
            out.extend(is_answered.then_some(Move::Hear(client, node)));
        }
        if seat.heard != Heard::Nothing {
            out.push(Move::Learn(client));
        }
        if self.machines.is_due(seat.machine) {
            out.push(Move::Look(client));
        }
        if is_busy && state.rest.pauses > 0 {
            out.push(Move::Pause(client));
        }
    }

    /// What comes of a step, and what it breaks.
    pub(super) fn after(&mut self, before: &State, step: Move) -> (State, Broken) {
        let (mut state, mut broken) = (*before, Broken::default());
        match step {
            Move::Begin(client) => {
                state.seats[client].turns -= 1;
                state.seats[client].stage = Stage::Asking;
                state.seats[client].before = state.rest.grants;
                self.input(&mut state, client, Input::Acquire, &mut broken);
            }
            Move::Serve(client, node) => self.serve(&mut state, client, node),
            Move::Hear(client, node) => {
                let answered: Option<Answered> = state.columns[node].answered[client].pop();
                let answered = answered.expect("there is an answer");
                let input = Input::Answer { node: node as u8, answered };
                self.input(&mut state, client, input, &mut broken);
            }
            Move::Access(client) => self.access(&mut state, client, &mut broken),
            Move::Learn(client) => self.learn(&mut state, client, &mut broken),
            Move::Look(client) => self.input(&mut state, client, Input::Looks, &mut broken),
            Move::Tick => self.tick(&mut state),
            Move::Pause(client) => {
                state.rest.pauses -= 1;
                state.seats[client].is_paused = true;
            }
            Move::GoOn(client) => state.seats[client].is_paused = false,
            Move::StepClock(node) => {
                state.rest.clock_steps -= 1;
                lose_key(&mut state, node);
            }
            Move::SetBack(client) => {
                state.rest.wall_steps -= 1;
                self.input(&mut state, client, Input::SetBack, &mut broken);
            }
            Move::Crash(node) => {
                state.rest.crashes -= 1;
                lose_key(&mut state, node);
                if self.scope.forgets == Forgets::Everything {
                    state.columns[node].counter = 0;
                }
            }
        }
        self.leave_out_what_does_nothing(&mut state);
        self.check(&state, &mut broken);
        (state, broken)
    }

    fn serve(&self, state: &mut State, client: usize, node: usize) {
        let column = &mut state.columns[node];
        let asked: Asked = column.asked[client].pop().expect("there is a request");
        let key = (column.holder != 0).then(|| {
            let attempt = u64::from(column.holder / 2);
            let token = Token { client: u128::from(column.holder & 1), attempt };
            (token, SERVED_US + u64::from(column.left) * TICK.0)
        });
        let mut server = IdealServer { key, counter: column.counter.into() };
        let reply = server.carry_out(SERVED_US, asked.request(client, &self.scope.settings));
        (column.holder, column.left) = server.key.map_or((0, 0), |(token, until_us)| {
            let left = (until_us - SERVED_US).div_ceil(TICK.0);
            (holder(token.client as usize, token.attempt as u8), left as u8)
        });
        column.counter = server.counter as u8;
        if asked.tag() != 0 {
            column.answered[client].push(Answered::new(reply, asked.tag()));
        }
    }

    fn tick(&mut self, state: &mut State) {
        for seat in &mut state.seats {
            seat.machine = self.machines.step(seat.machine, Input::Passes).next;
        }
        for column in &mut state.columns {
            column.left = column.left.saturating_sub(1);
            if column.left == 0 {
                column.holder = 0;
            }
        }
        state.rest.ticks = state.rest.ticks.saturating_sub(1);
    }

    /// Something happens to a client.
    fn input(&mut self, state: &mut State, client: usize, input: Input, broken: &mut Broken) {
        let outcome = self.machines.step(state.seats[client].machine, input);
        if outcome.renames {
            rename(state, client, outcome);
        }
        state.seats[client].machine = outcome.next;
        for &deed in &outcome.deeds {
            match deed {
                Deed::Asks(node, asked) => {
                    state.columns[usize::from(node)].asked[client].push(asked);
                }
                Deed::Granted(fence) => granted(state, client, fence, broken),
                Deed::Ended => ended(state, client),
            }
        }
    }

    /// A client gives the lock back.
    fn release(&mut self, state: &mut State, client: usize, broken: &mut Broken) {
        state.seats[client].stage = Stage::Ending;
        self.input(state, client, Input::Release, broken);
        let seat = &state.seats[client];
        if seat.turns == 0 || self.machines.is_idle(seat.machine) {
            ended(state, client);
        }
    }

    /// The store is asked for something.
    fn access(&self, state: &mut State, client: usize, broken: &mut Broken) {
        let access: Option<Accessing> = state.seats[client].accesses.pop();
        let access = access.expect("there is a request");
        let is_checked = access.number != 0
            && match self.scope.fences {
                Fences::Nothing => false,
                Fences::Writes => access.writes,
                Fences::All => true,
            };
        let rest = &mut state.rest;
        let own = (access.number, access.grant);
        let passes = !is_checked || access.number > rest.number || own == (rest.number, rest.owner);
        let heard = if !passes {
            let is_earlier = rest.owner <= rest.earlier_than(access.grant);
            broken.insert_if(is_earlier, Invariant::LaterServed);
            Heard::Refused
        } else {
            if is_checked {
                (rest.number, rest.owner) = own;
            }
            let is_late = access.writes && access.grant <= rest.seen;
            broken.insert_if(is_late, Invariant::NoLateWrite);
            rest.seen = rest.seen.max(rest.earlier_than(access.grant));
            if access.writes {
                broken.insert_if(!access.is_fresh, Invariant::NoLostUpdate);
                nothing_is_fresh(state);
                Heard::Written
            } else {
                Heard::Read { is_fresh: true }
            }
        };
        if access.is_awaited {
            state.seats[client].heard = heard;
        }
    }

    /// A client hears what the store has said.
    fn learn(&mut self, state: &mut State, client: usize, broken: &mut Broken) {
        let seat = &mut state.seats[client];
        let heard = core::mem::replace(&mut seat.heard, Heard::Nothing);
        match heard {
            // A good client looks at the time before it writes.
            Heard::Read { is_fresh } if self.machines.believes(seat.machine) => {
                let fence = self.machines.fence(seat.machine);
                seat.stage = Stage::Writing;
                seat.accesses.push(Accessing {
                    writes: true,
                    grant: seat.grant,
                    number: fence.unwrap_or(0) as u8,
                    is_fresh,
                    is_awaited: true,
                });
            }
            _ => self.release(state, client, broken),
        }
    }

    fn leave_out_what_does_nothing(&self, state: &mut State) {
        if state.is_over() {
            let seats = state.seats.map(|seat| Seat { turns: 0, ..seat });
            *state = State { seats, ..*state };
            state.columns = Default::default();
            state.rest = Default::default();
            return;
        }
        for column in &mut state.columns[..self.nodes] {
            for client in 0..CLIENTS {
                while let Some(asked) = column.asked[client].first::<Asked>()
                    && asked.tag() == 0
                    && asked.needs().is_some_and(|it| holder(client, it) != column.holder)
                {
                    column.asked[client].pop::<Asked>();
                }
            }
        }
    }

    /// What must hold at every moment.
    fn check(&self, state: &State, broken: &mut Broken) {
        let believes = |seat: &Seat| self.machines.believes(seat.machine);
        broken.insert_if(state.seats.iter().all(believes), Invariant::OneBelieves);
        let columns = &state.columns[..self.nodes];
        let has_quorum = |client: usize| {
            let is_of = |holder: u8| holder != 0 && usize::from(holder & 1) == client;
            let keys = columns.iter().filter(|column| is_of(column.holder)).count();
            keys >= usize::from(self.scope.settings.quorum)
        };
        broken.insert_if((0..CLIENTS).all(has_quorum), Invariant::OneGranted);
    }
}

impl Rest {
    /// So many grants are earlier than this one: the first ones.
    fn earlier_than(&self, grant: u8) -> u8 {
        self.before[usize::from(grant) - 1]
    }
}

fn lose_key(state: &mut State, node: usize) {
    state.columns[node].holder = 0;
    state.columns[node].left = 0;
}

/// Calls the requests of a client as it calls them now.
fn rename(state: &mut State, client: usize, outcome: &Outcome) {
    for (column, tags) in state.columns.iter_mut().zip(&outcome.tags) {
        let new = |tag: u8| tags[usize::from(tag)];
        column.asked[client] =
            column.asked[client].changed(|asked: Asked| Some(asked.tagged(new(asked.tag()))));
        column.answered[client] = column.answered[client].changed(|answered: Answered| {
            let tag = new(answered.tag);
            (tag != 0).then_some(Answered { tag, ..answered })
        });
    }
}

/// A client has got the lock: it asks what is in the store.
fn granted(state: &mut State, client: usize, fence: Option<u64>, broken: &mut Broken) {
    let (seat, rest) = (&mut state.seats[client], &mut state.rest);
    let (at, number) = (usize::from(rest.grants), fence.unwrap_or(0) as u8);
    let before = core::mem::take(&mut seat.before);
    let is_equal = rest.numbers[..at].contains(&number);
    let is_lower = rest.numbers[..usize::from(before)].iter().any(|&it| it > number);
    broken.insert_if(fence.is_some() && (is_equal || is_lower), Invariant::NumbersGrow);
    (rest.numbers[at], rest.before[at]) = (number, before);
    rest.grants += 1;
    seat.stage = Stage::Reading;
    seat.grant = rest.grants;
    seat.accesses.push(Accessing {
        writes: false,
        grant: seat.grant,
        number,
        is_fresh: false,
        is_awaited: true,
    });
}

/// A client has not got the lock, has it no more, or has no more use for it.
fn ended(state: &mut State, client: usize) {
    let seat = &mut state.seats[client];
    (seat.grant, seat.before) = (0, 0);
    seat.heard = Heard::Nothing;
    let unawaited = |access: Accessing| Some(Accessing { is_awaited: false, ..access });
    seat.accesses = seat.accesses.changed(unawaited);
    seat.stage = if seat.turns > 0 { Stage::Ready } else { Stage::Spent };
    if seat.stage == Stage::Spent {
        seat.machine = SPENT;
        for column in &mut state.columns {
            column.asked[client] =
                column.asked[client].changed(|asked: Asked| Some(asked.tagged(0)));
            column.answered[client] = Row::default();
        }
    }
}

/// What was read is there no more.
fn nothing_is_fresh(state: &mut State) {
    for seat in &mut state.seats {
        seat.accesses = seat
            .accesses
            .changed(|access: Accessing| Some(Accessing { is_fresh: false, ..access }));
        if let Heard::Read { is_fresh } = &mut seat.heard {
            *is_fresh = false;
        }
    }
}
