//! Clients whose command waits for something that has not happened yet: their patience, the keys
//! that they wait for, and how their wait ends.
//!
//! A client that waits for keys stands in the queue of each of them with one ticket, so that who
//! came first is first in all of them. A command that changes a key which somebody waits for makes
//! the key ready; after the command the clients in its queue are tried again, in order, before any
//! other command runs.
//!
//! Invariants: a client is in the list of deadlines exactly while it waits with one, and in the
//! queues of its keys exactly while it waits for them, so neither is longer than clients asked for;
//! a key has a queue only while somebody is in it; while nobody waits for keys none is ready.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::args::Words;
use crate::effects::{Effect, Effects};
use crate::input::ConnId;
use crate::keyspace::{Keyspace, Value};
use crate::resp::Reply;
use crate::session::{Blocked, KeysWait, Kind, Session, TimedOut, Wait, WaitFor};
use crate::state::State;
use crate::time::Instant;

/// All waits of all clients.
#[derive(Debug, Default)]
pub struct Waits {
    /// When the patience of waiting clients ends, in order.
    deadlines: BTreeSet<(Instant, ConnId)>,
    /// By database: the queues of the keys that somebody waits for.
    queues: Vec<BTreeMap<Box<[u8]>, Queue>>,
    /// Clients that wait for keys.
    clients: usize,
    next_ticket: u64,
    /// Keys that have changed, in order. Their queues may have gone meanwhile.
    ready: VecDeque<ReadyKey>,
    /// The key whose queue is being served.
    turn: Option<Turn>,
    /// When keys become ready by themselves.
    alarms: BTreeSet<(Instant, usize, Box<[u8]>)>,
}

/// Who waits for one key, by what it must hold, in order of their tickets.
#[derive(Debug, Default)]
struct Queue {
    clients: [BTreeMap<u64, ConnId>; Kind::COUNT],
    /// Whether the key is in the list of those that are ready.
    is_ready: bool,
    /// When the key becomes ready by itself.
    alarm: Option<Instant>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.clients.iter().all(BTreeMap::is_empty)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct ReadyKey {
    db: usize,
    key: Box<[u8]>,
}

/// How far one key's queue has been served.
#[derive(Debug)]
struct Turn {
    ready: ReadyKey,
    /// The first ticket that has not been tried.
    next: u64,
    /// The first ticket of those that came when the turn had begun: they have seen the key as it
    /// is.
    end: u64,
}

impl Waits {
    /// When the first patience ends, or a key becomes ready by itself.
    pub fn first_deadline(&self) -> Option<Instant> {
        let patience = self.deadlines.first().map(|&(at, _)| at);
        let alarm = self.alarms.first().map(|&(at, ..)| at);
        patience.into_iter().chain(alarm).min()
    }

    /// How many clients wait for keys.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// How many keys somebody waits for, and how many of these by clients that want to know of the
    /// key's end.
    pub fn keys(&self) -> (usize, usize) {
        let queues = || self.queues.iter().flat_map(BTreeMap::values);
        let of_any = |queue: &&Queue| !queue.clients[Kind::Anything as usize].is_empty();
        (queues().count(), queues().filter(of_any).count())
    }

    /// Whether clients may be waiting to be tried again.
    #[inline]
    pub fn has_ready(&self) -> bool {
        self.turn.is_some() || !self.ready.is_empty()
    }

    /// Begins the wait of the client that runs the present command.
    pub(crate) fn begin(&mut self, session: &mut Session, wait: Wait) {
        session.blocked = Some(Blocked::Command(wait));
        if let Some(until) = wait.until {
            self.deadlines.insert((until, session.id));
        }
    }

    /// Begins such a wait for keys of the client's database.
    pub(crate) fn begin_for_keys(&mut self, session: &mut Session, want: WaitFor<'_>) {
        let (db, kind, ticket) = (session.db, want.kind, self.next_ticket);
        self.next_ticket += 1;
        self.clients += 1;
        if self.queues.len() <= db {
            self.queues.resize_with(db + 1, BTreeMap::new);
        }
        let keys: Vec<Box<[u8]>> = want.keys.iter().map(|&key| key.into()).collect();
        for key in &keys {
            let queue = self.queues[db].entry(key.clone()).or_default();
            queue.clients[kind as usize].insert(ticket, session.id);
        }
        let words = want.words.map(|words| Words::new(words.iter().map(Vec::as_slice)));
        let words = words.unwrap_or_default();
        session.keys_wait = Some(Box::new(KeysWait { ticket, kind, db, keys, words }));
        self.begin(session, Wait { until: want.until, timed_out: want.timed_out });
    }

    /// Ends the wait of a client, if it waits inside a command, without a reply.
    pub(crate) fn end(&mut self, session: &mut Session) {
        if let Some(Blocked::Command(wait)) = session.blocked {
            session.blocked = None;
            self.forget_deadline(session.id, wait);
        }
        if let Some(keys_wait) = session.keys_wait.take() {
            self.leave_queues(&keys_wait);
        }
    }

    fn forget_deadline(&mut self, conn: ConnId, wait: Wait) {
        if let Some(until) = wait.until {
            let was_there = self.deadlines.remove(&(until, conn));
            assert!(was_there, "a client that waits with a deadline is in the list");
        }
    }

    fn leave_queues(&mut self, wait: &KeysWait) {
        let queues = &mut self.queues[wait.db];
        for key in &wait.keys {
            // A key that the client named twice has gone the first time.
            let Some(queue) = queues.get_mut(key) else { continue };
            queue.clients[wait.kind as usize].remove(&wait.ticket);
            if queue.is_empty() {
                if let Some(at) = queue.alarm {
                    self.alarms.remove(&(at, wait.db, key.clone()));
                }
                queues.remove(key);
            }
        }
        self.clients -= 1;
        if self.clients == 0 {
            self.turn = None;
            self.ready.clear();
        }
    }

    /// Says that a key was changed or has gone.
    #[inline]
    pub fn touch(&mut self, db: usize, key: &[u8]) {
        if self.clients > 0 {
            self.make_ready(db, key);
        }
    }

    #[cold]
    fn make_ready(&mut self, db: usize, key: &[u8]) {
        let queue = self.queues.get_mut(db).and_then(|queues| queues.get_mut(key));
        if let Some(queue) = queue
            && !queue.is_ready
        {
            queue.is_ready = true;
            self.ready.push_back(ReadyKey { db, key: key.into() });
        }
    }

    /// Makes a key ready at a time, if somebody waits for it: what a command looks for may be there
    /// then although nothing changes.
    pub fn touch_at(&mut self, at: Instant, db: usize, key: &[u8]) {
        let queue = self.queues.get_mut(db).and_then(|queues| queues.get_mut(key));
        let Some(queue) = queue.filter(|queue| queue.alarm.is_none_or(|alarm| at < alarm)) else {
            return;
        };
        if let Some(later) = queue.alarm.replace(at) {
            self.alarms.remove(&(later, db, key.into()));
        }
        self.alarms.insert((at, db, key.into()));
    }

    /// Makes the keys ready whose time has come, at most `budget` of them.
    pub(crate) fn touch_due(&mut self, now: Instant, budget: usize) {
        for _ in 0..budget {
            if self.alarms.first().is_none_or(|&(at, ..)| at > now) {
                return;
            }
            let Some((_, db, key)) = self.alarms.pop_first() else { return };
            if let Some(queue) = self.queues[db].get_mut(&key) {
                queue.alarm = None;
            }
            self.make_ready(db, &key);
        }
    }

    /// Says that every key of a database may have changed or gone.
    pub fn touch_all(&mut self, db: usize) {
        let Some(queues) = self.queues.get_mut(db) else { return };
        for (key, queue) in queues.iter_mut().filter(|(_, queue)| !queue.is_ready) {
            queue.is_ready = true;
            self.ready.push_back(ReadyKey { db, key: key.clone() });
        }
    }

    /// How many keys are ready, for [`Self::take_back_ready`].
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// A command was tried again and must go on waiting: that it changed its own keys, as by
    /// making a consumer for itself, is no reason to try it once more.
    pub(crate) fn take_back_ready(&mut self, len: usize, wait: &KeysWait) {
        let mut index = len;
        while let Some(ready) = self.ready.get(index) {
            if ready.db == wait.db && wait.keys.contains(&ready.key) {
                if let Some(queue) = self.queues[ready.db].get_mut(&ready.key) {
                    queue.is_ready = false;
                }
                self.ready.remove(index);
            } else {
                index += 1;
            }
        }
    }

    /// The key whose queue is to be served now, if there is one.
    fn present_turn(&mut self) -> Option<&mut Turn> {
        if self.turn.is_none() {
            let ready = self.ready.pop_front()?;
            if let Some(queue) = self.queues[ready.db].get_mut(&ready.key) {
                queue.is_ready = false;
            }
            self.turn = Some(Turn { ready, next: 0, end: self.next_ticket });
        }
        self.turn.as_mut()
    }

    /// Who is next in the present turn, when the key holds `held`.
    fn next_in_turn(&mut self, held: Option<Kind>) -> Option<ConnId> {
        let turn = self.turn.as_mut()?;
        let queue = self.queues[turn.ready.db].get(&turn.ready.key)?;
        let kinds = [held, Some(Kind::Anything)].into_iter().flatten();
        let firsts =
            kinds.filter_map(|kind| queue.clients[kind as usize].range(turn.next..turn.end).next());
        let (&ticket, &conn) = firsts.min()?;
        turn.next = ticket + 1;
        Some(conn)
    }

    fn check_invariants(&self, state: &State) {
        let (mut deadlines, mut places, mut clients) = (0, BTreeSet::new(), 0);
        for conn in state.sessions.ids() {
            let Some(session) = state.sessions.find(conn) else { continue };
            if let Some(Blocked::Command(Wait { until: Some(until), .. })) = session.blocked {
                deadlines += 1;
                assert!(self.deadlines.contains(&(until, conn)), "a deadline is in the list");
            }
            let Some(wait) = &session.keys_wait else { continue };
            let waits = matches!(session.blocked, Some(Blocked::Command(_)));
            assert!(waits, "who waits for keys waits");
            assert!(!wait.words.is_empty(), "who waits for keys has a command");
            clients += 1;
            for key in &wait.keys {
                let there = self.queues[wait.db][key].clients[wait.kind as usize].get(&wait.ticket);
                assert_eq!(there, Some(&conn), "a client is in the queues of its keys");
                places.insert((wait.db, key.clone(), wait.ticket));
            }
        }
        assert_eq!(self.deadlines.len(), deadlines, "nobody else has a deadline");
        assert_eq!(self.clients, clients, "the clients that wait for keys are counted");
        let (mut in_queues, mut alarms) = (0, BTreeSet::new());
        for (db, queues) in self.queues.iter().enumerate() {
            for (key, queue) in queues {
                assert!(!queue.is_empty(), "somebody waits for a key that has a queue");
                in_queues += queue.clients.iter().map(BTreeMap::len).sum::<usize>();
                let is_listed = self.ready.iter().any(|ready| ready.db == db && ready.key == *key);
                assert!(!queue.is_ready || is_listed, "a ready key is in the list");
                alarms.extend(queue.alarm.map(|at| (at, db, key.clone())));
            }
        }
        assert_eq!(in_queues, places.len(), "nobody else is in a queue");
        assert_eq!(self.alarms, alarms, "an alarm is that of a queue");
        assert!(self.clients > 0 || !self.has_ready(), "nobody waits for what is ready");
    }
}

/// Why a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its patience has ended, or somebody says that it has.
    TimedOut,
    /// Somebody ends it with an error.
    Error,
    /// What it waited for has come: the log is synced (WAITAOF).
    Synced,
}

impl TimedOut {
    /// Writes the reply.
    pub(crate) fn write(self, reply: &mut Reply) {
        match self {
            Self::Zero => reply.integer(0),
            Self::TwoZeroes => {
                reply.array(2);
                reply.integer(0);
                reply.integer(0);
            }
            Self::Null => reply.null(),
            Self::NullArray => reply.null_array(),
        }
    }
}

impl State {
    /// Ends the wait of a client inside a command, if it waits: it gets a reply and goes on.
    pub(crate) fn unblock(
        &mut self,
        conn: ConnId,
        ending: Ending,
        now: Instant,
        fx: &mut Effects,
    ) -> bool {
        let Some(session) = self.sessions.find_mut(conn) else { return false };
        let Some(Blocked::Command(wait)) = session.blocked else { return false };
        self.waits.end(session);
        if session.closing {
            // It was killed; nobody reads what it would get.
            return false;
        }
        session.last_active = now;
        let mut reply =
            Reply { out: core::mem::take(&mut session.outbox), protocol: session.protocol };
        let start = reply.out.len();
        match ending {
            Ending::Error => reply.error_text("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            Ending::TimedOut if wait.timed_out == TimedOut::TwoZeroes => {
                reply.array(2);
                reply.integer(self.persistence.end_sync_wait(conn).into());
                reply.integer(0);
            }
            Ending::TimedOut => wait.timed_out.write(&mut reply),
            Ending::Synced => {
                reply.array(2);
                reply.integer(1);
                reply.integer(0);
            }
        }
        session.end_command(&mut reply.out, start);
        session.outbox = reply.out;
        fx.push(Effect::Flush(conn));
        fx.push(Effect::Resume(conn));
        if ending == Ending::Error {
            self.count_error("UNBLOCKED");
        }
        true
    }

    /// Ends the waits whose deadline has come, at most `budget` of them.
    pub(crate) fn end_waits(&mut self, now: Instant, budget: usize, fx: &mut Effects) {
        for _ in 0..budget {
            match self.waits.deadlines.first() {
                Some(&(until, conn)) if until <= now => {
                    self.unblock(conn, Ending::TimedOut, now, fx);
                    let is_next = self.waits.deadlines.first() == Some(&(until, conn));
                    assert!(!is_next, "a client in the list waits");
                }
                _ => return,
            }
        }
    }

    /// The next client whose command is to be tried again because a key has changed; `None` when
    /// there is none left, or the budget of looks is spent.
    pub(crate) fn next_ready(&mut self, budget: &mut usize) -> Option<ConnId> {
        while *budget > 0 {
            *budget -= 1;
            let ready = &self.waits.present_turn()?.ready;
            let held = kind_at(&mut self.keyspace, ready.db, &ready.key);
            let next = self.waits.next_in_turn(held);
            if next.is_some() {
                return next;
            }
            self.waits.turn = None;
        }
        None
    }

    /// Checks that waits and waiting clients agree; for tests.
    pub(crate) fn check_waits(&self) {
        self.waits.check_invariants(self);
    }
}

/// What kind of waiting clients the value of a key can serve.
fn kind_at(keyspace: &mut Keyspace, db: usize, key: &[u8]) -> Option<Kind> {
    let found = keyspace.find(db, key)?;
    kind_of(keyspace.db(db).value(found))
}

fn kind_of(value: Value<'_>) -> Option<Kind> {
    match value {
        Value::List(_) => Some(Kind::List),
        Value::Zset(_) => Some(Kind::Zset),
        Value::Stream(_) => Some(Kind::Stream),
        Value::Bytes(_) | Value::Integer(_) | Value::Set(_) | Value::Hash(_) => None,
    }
}
