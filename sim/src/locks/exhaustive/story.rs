//! A path walked with clients, servers and clocks as they are, and told in words.
//!
//! It shares nothing with the search but the rules of the game: times pass here and are compared,
//! requests have the names that clients give them, values that are written are different numbers.
//!
//! Invariant: each step can be taken, and the last one breaks what it is said to break.

use std::collections::VecDeque;

use orrery_engine::lock::{
    Action, Client, Ended, Node, Phase, Reply, Request, RequestId, Settings, Token,
};
use orrery_engine::{Now, Seed};

use super::machine::{first_moment, passed, set_back};
use super::moves::Move;
use super::scope::{CLIENTS, Forgets, Scope, TICK};
use super::{Broken, Invariant};
use crate::locks::{Fences, IdealServer};

const NAMES: [&str; CLIENTS] = ["A", "B"];

/// Tells a path whose last step breaks something.
pub(super) fn tell(scope: &Scope, path: &[Move], breaks: Invariant) -> Vec<String> {
    let mut play = Play::new(scope);
    for &step in path {
        assert!(!play.broken.has(breaks), "it is broken by the last step, not before");
        play.take(step);
    }
    assert!(play.broken.has(breaks), "{breaks:?} is not broken:\n{}", play.lines.join("\n"));
    play.lines
}

/// What a client does with its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Nothing,
    /// It has asked the store.
    Waits,
    /// It gives the lock back.
    Ends,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Value(u64),
    Written,
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Access {
    /// The grant in whose name, by its place among all that were told.
    grant: usize,
    number: Option<u64>,
    /// What was read and what is written; none: it reads.
    change: Option<(u64, u64)>,
    is_awaited: bool,
}

struct Seat {
    client: Client,
    now: Now,
    turns: u8,
    work: Work,
    is_paused: bool,
    grant: Option<usize>,
    before: usize,
    accesses: VecDeque<Access>,
    said: Option<Said>,
}

struct Server {
    ideal: IdealServer,
    /// Its clock.
    now_us: u64,
    asked: [VecDeque<(RequestId, Request)>; CLIENTS],
    answered: [VecDeque<(RequestId, Request, Reply)>; CLIENTS],
}

struct Play {
    settings: Settings,
    fences: Fences,
    forgets: Forgets,
    seats: Vec<Seat>,
    servers: Vec<Server>,
    tick: usize,
    /// The numbers of grants in the order in which they were told, and how many were before each
    /// was asked for.
    grants: Vec<(Option<u64>, usize)>,
    /// The grants that have got through to the store.
    through: Vec<usize>,
    register: Option<(u64, usize)>,
    value: u64,
    values: u64,
    broken: Broken,
    lines: Vec<String>,
    line: String,
}

impl Play {
    fn new(scope: &Scope) -> Self {
        let seat = |at: usize| Seat {
            client: Client::new(scope.settings, at as u128, Seed(1)),
            now: first_moment(),
            turns: scope.turns[at],
            work: Work::Nothing,
            is_paused: false,
            grant: None,
            before: 0,
            accesses: VecDeque::new(),
            said: None,
        };
        let server = |at: u16| Server {
            ideal: IdealServer { key: None, counter: scope.counters[usize::from(at)].into() },
            now_us: first_moment().mono.0,
            asked: Default::default(),
            answered: Default::default(),
        };
        Self {
            settings: scope.settings,
            fences: scope.fences,
            forgets: scope.forgets,
            seats: (0..CLIENTS).map(seat).collect(),
            servers: (0..scope.settings.nodes).map(server).collect(),
            tick: 0,
            grants: Vec::new(),
            through: Vec::new(),
            register: None,
            value: 0,
            values: 0,
            broken: Broken::default(),
            lines: Vec::new(),
            line: String::new(),
        }
    }

    fn take(&mut self, step: Move) {
        let tick = self.tick;
        match step {
            Move::Begin(client) => self.begin(client),
            Move::Serve(client, node) => self.serve(client, node),
            Move::Hear(client, node) => self.hear(client, node),
            Move::Access(client) => self.access(client),
            Move::Learn(client) => self.learn(client),
            Move::Look(client) => {
                self.line = format!("{} looks at its clock", NAMES[client]);
                self.drive(client, |client, now, out| client.tick(now, out));
            }
            Move::Tick => self.pass(),
            Move::Pause(client) => {
                self.seats[client].is_paused = true;
                self.line = format!("{} is paused", NAMES[client]);
            }
            Move::GoOn(client) => {
                self.seats[client].is_paused = false;
                self.line = format!("{} goes on", NAMES[client]);
            }
            Move::StepClock(node) => {
                let server = &mut self.servers[node];
                server.now_us += self.settings.ttl_ms * 2000;
                self.line = format!("the clock of server {} is set forward", node + 1);
            }
            Move::SetBack(client) => {
                self.seats[client].now = set_back(self.seats[client].now);
                self.line = format!("{}'s time of day is set back two ticks", NAMES[client]);
            }
            Move::Crash(node) => self.crash(node),
        }
        let line = core::mem::take(&mut self.line);
        self.lines.push(format!("tick {tick}: {line}"));
        self.check();
    }

    fn begin(&mut self, client: usize) {
        let seat = &mut self.seats[client];
        assert!(seat.turns > 0 && seat.client.phase() == Phase::Idle, "it may begin");
        seat.turns -= 1;
        seat.before = self.grants.len();
        self.line = format!("{} asks all servers for the lock", NAMES[client]);
        self.drive(client, |client, now, out| client.acquire(now, out));
    }

    fn serve(&mut self, client: usize, node: usize) {
        // What can find nothing to do is not counted as a step.
        while let Some(&(id, request)) = self.servers[node].asked[client].front()
            && !self.is_awaited(client, node, id)
            && self.finds_nothing(node, request)
        {
            self.servers[node].asked[client].pop_front();
        }
        let server = &mut self.servers[node];
        let (id, request) = server.asked[client].pop_front().expect("there is a request");
        let reply = server.ideal.carry_out(server.now_us, request);
        server.answered[client].push_back((id, request, reply));
        let (who, node) = (NAMES[client], node + 1);
        self.line = match (request, reply) {
            (Request::Acquire { .. }, Reply::Done { counter: 0 }) => {
                format!("server {node} grants {who} the lock")
            }
            (Request::Acquire { .. }, Reply::Done { counter }) => {
                format!("server {node} grants {who} the lock, its counter is {counter}")
            }
            (Request::Commit { number, .. }, Reply::Done { .. }) => {
                format!("server {node} notes number {number} for {who}")
            }
            (Request::Release { .. }, Reply::Done { .. }) => {
                format!("server {node} takes the lock back from {who}")
            }
            (Request::Extend { .. }, Reply::Done { .. }) => {
                format!("server {node} extends the lock of {who}")
            }
            (request, _) => format!("server {node} refuses {who} {}", in_words(request)),
        };
    }

    /// Whether a request does nothing whenever it arrives.
    fn finds_nothing(&self, node: usize, request: Request) -> bool {
        let Server { ideal, now_us, .. } = &self.servers[node];
        let has = |token: Token| ideal.key.is_some_and(|key| key.0 == token && *now_us < key.1);
        match request {
            Request::Release { token: Some(token) } | Request::Commit { token, .. } => !has(token),
            _ => false,
        }
    }

    fn is_awaited(&self, client: usize, node: usize, id: RequestId) -> bool {
        let seat = &self.seats[client];
        let is_spent = seat.turns == 0 && matches!(seat.work, Work::Ends);
        !is_spent && seat.client.awaited(Node(node as u16)).contains(&id)
    }

    fn hear(&mut self, client: usize, node: usize) {
        // An answer that nobody waits for is not counted as a step.
        while let Some(&(id, ..)) = self.servers[node].answered[client].front()
            && !self.is_awaited(client, node, id)
        {
            self.servers[node].answered[client].pop_front();
        }
        let answer = self.servers[node].answered[client].pop_front();
        let (id, request, reply) = answer.expect("there is an answer");
        let is_done = matches!(reply, Reply::Done { .. });
        let answer = if is_done { "yes" } else { "no" };
        let what = in_words(request);
        self.line = format!("{} hears server {}'s {answer} to {what}", NAMES[client], node + 1);
        self.drive(client, |client, now, out| client.answer(now, id, reply, out));
    }

    fn access(&mut self, client: usize) {
        let access = self.seats[client].accesses.pop_front().expect("there is a request");
        let is_checked = match self.fences {
            Fences::Nothing => false,
            Fences::Writes => access.change.is_some(),
            Fences::All => true,
        };
        let (who, number) = (NAMES[client], access.number.filter(|_| is_checked));
        let passes = match (number, self.register) {
            (Some(own), Some((newest, owner))) => {
                own > newest || own == newest && owner == access.grant
            }
            _ => true,
        };
        let with = number.map_or_else(String::new, |number| format!(" with number {number}"));
        let said = if !passes {
            let (newest, _) = self.register.unwrap_or_default();
            self.line = format!("the store refuses {who}{with}: it has seen {newest}");
            let is_earlier = self.register.is_some_and(|it| self.is_later(access.grant, it.1));
            self.broken.insert_if(is_earlier, Invariant::LaterServed);
            Said::Refused
        } else {
            self.register = number.map(|number| (number, access.grant)).or(self.register);
            let is_past = self.through.iter().any(|&other| self.is_later(other, access.grant));
            let is_late = access.change.is_some() && is_past;
            self.broken.insert_if(is_late, Invariant::NoLateWrite);
            self.through.push(access.grant);
            self.pass_through(who, &with, access)
        };
        if access.is_awaited {
            self.seats[client].said = Some(said);
        }
    }

    /// Whether a grant was asked for when the other was there.
    fn is_later(&self, grant: usize, other: usize) -> bool {
        other < self.grants[grant].1
    }

    fn pass_through(&mut self, who: &str, with: &str, access: Access) -> Said {
        let Some((base, value)) = access.change else {
            self.line = format!("the store tells {who}{with} its value, {}", self.value);
            return Said::Value(self.value);
        };
        self.line = format!("the store takes {who}'s write{with}: {value}, made of {base}");
        if base != self.value {
            self.line.push_str(&format!(", in place of {}", self.value));
        }
        self.broken.insert_if(base != self.value, Invariant::NoLostUpdate);
        self.value = value;
        Said::Written
    }

    fn learn(&mut self, client: usize) {
        let seat = &mut self.seats[client];
        let said = seat.said.take().expect("the store has said something");
        let who = NAMES[client];
        let believes = seat.client.believes(seat.now);
        if let (Said::Value(base), true) = (said, believes) {
            self.values += 1;
            let grant = seat.grant.expect("who reads has the lock");
            let number = seat.client.grant().and_then(|grant| grant.fence);
            let change = Some((base, self.values));
            seat.accesses.push_back(Access { grant, number, change, is_awaited: true });
            self.line = format!("{who} has read {base}, has the lock, and sends {}", self.values);
            return;
        }
        self.line = match said {
            Said::Value(base) => format!("{who} has read {base}, too late, and gives up"),
            Said::Written => format!("{who} hears that it has written, and gives the lock back"),
            Said::Refused => format!("{who} hears that it is refused, and gives the lock back"),
        };
        seat.work = Work::Ends;
        self.drive(client, |client, now, out| {
            client.release(now, out);
        });
        let seat = &mut self.seats[client];
        seat.grant = None;
    }

    fn pass(&mut self) {
        self.tick += 1;
        for seat in &mut self.seats {
            assert!(
                seat.is_paused
                    || seat.client.phase() == Phase::Releasing
                    || seat.client.due().is_none_or(|due| due > seat.now.mono),
                "who must look at its clock does so first"
            );
            seat.now = passed(seat.now);
        }
        for server in &mut self.servers {
            server.now_us += TICK.0;
        }
        self.line = "a tick passes".to_owned();
    }

    fn crash(&mut self, node: usize) {
        let ideal = &mut self.servers[node].ideal;
        let keeps = match self.forgets {
            Forgets::Key => ideal.counter,
            Forgets::Everything => 0,
        };
        *ideal = IdealServer { key: None, counter: keeps };
        let lost = match self.forgets {
            Forgets::Key => "who has the lock",
            Forgets::Everything => "everything",
        };
        self.line = format!("server {} crashes and forgets {lost}", node + 1);
    }

    /// Lets the machine of a client do something, and does what it asks for.
    fn drive(&mut self, client: usize, what: impl FnOnce(&mut Client, Now, &mut Vec<Action>)) {
        let mut out = Vec::new();
        let seat = &mut self.seats[client];
        assert!(!seat.is_paused, "who is paused does nothing");
        what(&mut seat.client, seat.now, &mut out);
        for action in out {
            match action {
                Action::Send { node, id, request } => {
                    let server = &mut self.servers[usize::from(node.0)];
                    server.asked[client].push_back((id, request));
                    if let Request::Commit { number, .. } = request {
                        let node = node.0 + 1;
                        self.line
                            .push_str(&format!("; asks server {node} to note number {number}"));
                    }
                }
                Action::Granted(grant) => self.granted(client, grant.fence),
                Action::Extended(_) => self.line.push_str("; it has the lock for longer"),
                Action::Ended(why) => self.ended(client, why),
            }
        }
    }

    fn granted(&mut self, client: usize, fence: Option<u64>) {
        let before = self.seats[client].before;
        let is_wrong = |(at, other): (usize, &(Option<u64>, usize))| {
            fence == other.0 || at < before && fence < other.0
        };
        let is_wrong = self.grants.iter().enumerate().any(is_wrong);
        self.broken.insert_if(fence.is_some() && is_wrong, Invariant::NumbersGrow);
        self.line.push_str("; it has the lock");
        if let Some(number) = fence {
            self.line.push_str(&format!(" with number {number}"));
        }
        self.line.push_str(" and asks to read");
        let grant = self.grants.len();
        self.grants.push((fence, before));
        let seat = &mut self.seats[client];
        (seat.grant, seat.work) = (Some(grant), Work::Waits);
        let read = Access { grant, number: fence, change: None, is_awaited: true };
        seat.accesses.push_back(read);
    }

    fn ended(&mut self, client: usize, why: Ended) {
        self.line.push_str(match why {
            Ended::NotAcquired => "; it has not got the lock",
            Ended::Released => "; it has given the lock back",
            Ended::DeadlinePassed => "; its time is over",
            Ended::ExtensionFailed => "; it has lost the lock",
        });
        let seat = &mut self.seats[client];
        seat.said = None;
        seat.grant = None;
        seat.accesses.iter_mut().for_each(|access| access.is_awaited = false);
        seat.work = if seat.turns == 0 { Work::Ends } else { Work::Nothing };
    }

    fn check(&mut self) {
        let believes = |seat: &Seat| seat.client.believes(seat.now);
        let both = self.seats.iter().all(believes);
        self.broken.insert_if(both, Invariant::OneBelieves);
        let has_quorum = |client: usize| {
            let is_of = |server: &&Server| {
                let key = server.ideal.key;
                key.is_some_and(|(token, until)| {
                    token.client == client as u128 && server.now_us < until
                })
            };
            let keys = self.servers.iter().filter(is_of).count();
            keys >= usize::from(self.settings.quorum)
        };
        let both = (0..CLIENTS).all(has_quorum);
        self.broken.insert_if(both, Invariant::OneGranted);
    }
}

fn in_words(request: Request) -> String {
    match request {
        Request::Acquire { .. } | Request::AcquireUntil { .. } => "the lock".to_owned(),
        Request::Limit { .. } => "a time for its key".to_owned(),
        Request::Look { .. } => "whose the key is".to_owned(),
        Request::Commit { number, .. } => format!("the note of number {number}"),
        Request::Release { .. } => "its release".to_owned(),
        Request::Extend { .. } => "its extension".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use orrery_engine::lock::LocalClock;
    use orrery_engine::rng::Rng;

    use super::super::Algorithm;
    use super::super::moves::World;
    use super::super::state::State;
    use super::*;

    fn scopes() -> Vec<Scope> {
        let all =
            [Algorithm::Redlock, Algorithm::Fenced, Algorithm::QuorumFenced, Algorithm::Proposed];
        let mut scopes = Vec::new();
        for (at, algorithm) in all.into_iter().enumerate() {
            for fences in [Fences::Nothing, Fences::Writes, Fences::All] {
                scopes.push(Scope {
                    fences,
                    turns: [1, 1 + at.min(1) as u8],
                    counters: [1, 0, 0],
                    pauses: 1,
                    clock_steps: 1,
                    wall_steps: 1,
                    crashes: 1,
                    ..Scope::new(algorithm.settings(3))
                });
            }
        }
        let wall = Settings { clock: LocalClock::Wall, ..Algorithm::Redlock.settings(3) };
        scopes.push(Scope { settings: wall, ..scopes[0] });
        scopes
    }

    /// Whether a play is where a state says that it is.
    fn agree(play: &Play, state: &State, world: &World) {
        for (seat, at) in play.seats.iter().zip(&state.seats) {
            let machines = &world.machines;
            assert_eq!(seat.client.believes(seat.now), machines.believes(at.machine));
            let fence = seat.client.grant().and_then(|grant| grant.fence);
            assert_eq!(fence, machines.fence(at.machine));
            assert_eq!(seat.is_paused, at.is_paused);
            if at.turns > 0 {
                assert_eq!(seat.client.phase() == Phase::Idle, machines.is_idle(at.machine));
                let is_due = seat.client.due().is_some_and(|due| due <= seat.now.mono);
                assert_eq!(is_due, machines.is_due(at.machine));
            }
        }
        for (server, column) in play.servers.iter().zip(&state.columns) {
            let key = server.ideal.key.filter(|&(_, until)| server.now_us < until);
            let left = key.map_or(0, |(_, until)| (until - server.now_us).div_ceil(TICK.0));
            assert_eq!((left, server.ideal.counter), (column.left.into(), column.counter.into()));
        }
    }

    #[test]
    fn what_is_searched_is_what_clients_and_servers_do() {
        let mut broken_walks = 0;
        for scope in scopes() {
            let (mut world, first) = World::new(&scope);
            let mut draw = Rng::new(Seed(7), "walk");
            let mut moves = Vec::new();
            for _ in 0..400 {
                let (mut state, mut play) = (first, Play::new(&scope));
                let mut all = Broken::default();
                for _ in 0..80 {
                    moves.clear();
                    world.moves(&state, &mut moves);
                    let step = moves[draw.below(moves.len() as u64) as usize];
                    let (after, broken) = world.after(&state, step);
                    play.take(step);
                    (state, all) = (after, all.with(broken));
                    assert_eq!(play.broken, all, "{scope:?}\n{}", play.lines.join("\n"));
                    if state.is_over() {
                        break;
                    }
                    agree(&play, &state, &world);
                }
                broken_walks += usize::from(!all.is_empty());
            }
        }
        assert!(broken_walks > 100, "something goes wrong now and then: {broken_walks}");
    }

    #[test]
    fn names_make_no_difference() {
        for scope in scopes() {
            let (mut world, first) = World::new(&scope);
            let mut draw = Rng::new(Seed(11), "walk");
            let mut moves = Vec::new();
            for _ in 0..100 {
                // The same walk, and what it is with clients and servers called otherwise.
                let (mut state, mut other) = (first, first);
                (other.columns[0], other.columns[2]) = (other.columns[2], other.columns[0]);
                other.seats.swap(0, 1);
                for _ in 0..60 {
                    moves.clear();
                    world.moves(&state, &mut moves);
                    let step = moves[draw.below(moves.len() as u64) as usize];
                    let renamed = step.renamed(|client| 1 - client, |node| 2 - node);
                    let (one, broken) = world.after(&state, step);
                    let (two, broken_too) = world.after(&other, renamed);
                    (state, other) = (one, two);
                    assert_eq!(broken, broken_too);
                    let alike = world.alike();
                    let (one, _) = state.canonical(&mut world.machines, alike);
                    let (two, _) = other.canonical(&mut world.machines, alike);
                    assert_eq!(one, two);
                    assert_eq!(one.fingerprint(3), two.fingerprint(3));
                    if state.is_over() {
                        break;
                    }
                }
            }
        }
    }
}
