//! What holders of the lock do with it, and what happens to servers' keys: the parts of the lab
//! that the judge hears of.
//!
//! Invariant: a client is in one session at most; one that looks sends no write after it has seen
//! that it has lost the lock.

use orrery_engine::lock::{Ended, Phase, Request};

use super::judge::KeyChange;
use super::lab::{Event, Lab};
use super::store::{Access, Accessed};
use super::trace::{Happening, Work};
use crate::chance::Stream;

/// What a client does between asking for the lock and giving it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing.
    Nothing,
    /// It wants the lock, and to work for so long.
    Wants(u64),
    /// It reads before it works for so long.
    Reads(u64),
    /// It works.
    Works,
    /// It has looked whether it still has the lock, and is about to write, or has.
    Writes,
    /// It gives the lock back.
    Leaves,
}

/// How clients use the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Habits {
    /// Whether a holder looks whether it still has the lock before it writes, and stops when it is
    /// told that it has not.
    pub(super) looks: bool,
    /// Whether messages on one way may overtake each other.
    pub(super) is_pooled: bool,
    /// Whether the number is asked for when it is needed; the question takes no time.
    pub(super) asks_number: bool,
    /// After so long, in microseconds, what has no answer is sent once more to the server.
    pub(super) resends_us: Option<u64>,
    /// From looking to writing, at most, in microseconds.
    pub(super) gap_us: u64,
    /// Clients have one session after the other.
    pub(super) again: Option<Again>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            looks: true,
            is_pooled: true,
            asks_number: false,
            resends_us: None,
            gap_us: 100,
            again: None,
        }
    }
}

/// How long sessions and the breaks between them are, at most, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) work_us: u64,
    pub(super) think_us: u64,
}

impl Lab {
    /// A client begins a session, unless it is about something else.
    pub(super) fn work_for(&mut self, client: usize, for_us: u64) {
        let host = &mut self.hosts[client];
        let is_idle = self.clients[client].phase() == Phase::Idle;
        if host.is_gone || !is_idle || host.doing != Doing::Nothing {
            return;
        }
        host.doing = Doing::Wants(for_us);
        host.sessions += 1;
        self.acquire(client);
    }

    /// The next of the sessions that a client has one after the other.
    pub(super) fn begin(&mut self, client: usize) {
        if let Some(again) = self.habits.again {
            let session = self.hosts[client].sessions;
            let mut draw = self.chance.key(Stream::Think, client as u64).at(2 * session);
            self.work_for(client, draw.below(again.work_us + 1));
        }
    }

    /// A client has the lock: if it wants to work, it begins.
    pub(super) fn has_lock(&mut self, client: usize) {
        if let Doing::Wants(for_us) = self.hosts[client].doing {
            self.hosts[client].doing = Doing::Reads(for_us);
            self.read_value(client);
        }
    }

    pub(super) fn read_value(&mut self, client: usize) {
        let fence = self.number_of(client);
        self.access_with(client, fence, Access::Read);
    }

    /// The number that a client sends with its work.
    fn number_of(&mut self, client: usize) -> Option<u64> {
        if !self.habits.asks_number {
            return self.hosts[client].fence;
        }
        let at_ns = self.now_us * 1000;
        self.servers.iter_mut().map(|server| server.counter(at_ns)).max()
    }

    pub(super) fn write_value(&mut self, client: usize) {
        let (base, value) = (self.hosts[client].seen, self.new_value());
        let fence = self.number_of(client);
        self.access_with(client, fence, Access::Write { base, value });
    }

    /// The store has answered.
    pub(super) fn worked(&mut self, client: usize, work: Work) {
        let session = self.hosts[client].sessions;
        if let Work::Read(value) = work {
            self.hosts[client].seen = value;
        }
        match (self.hosts[client].doing, work) {
            (Doing::Reads(for_us), Work::Read(_)) => {
                self.hosts[client].doing = Doing::Works;
                self.post(self.now_us + for_us, Event::HasWorked(client, session));
            }
            (Doing::Reads(_) | Doing::Writes, _) => self.leave(client),
            _ => {}
        }
    }

    pub(super) fn has_worked(&mut self, client: usize, session: u64) {
        let host = &self.hosts[client];
        if host.doing != Doing::Works || host.sessions != session {
            return;
        }
        if self.habits.looks && !self.believes(client) {
            return self.leave(client);
        }
        let mut draw = self.chance.key(Stream::Think, client as u64).at(2 * session + 1);
        let gap_us = draw.below(self.habits.gap_us + 1);
        self.hosts[client].doing = Doing::Writes;
        self.post(self.now_us + gap_us, Event::Sends(client, session));
    }

    pub(super) fn sends(&mut self, client: usize, session: u64) {
        let host = &self.hosts[client];
        if host.doing == Doing::Writes && host.sessions == session {
            self.write_value(client);
        }
    }

    fn leave(&mut self, client: usize) {
        self.hosts[client].doing = Doing::Leaves;
        if !self.release(client) {
            self.ended_session(client);
        }
    }

    /// A client was told that it has the lock no more, or will not have it.
    pub(super) fn ended(&mut self, client: usize, why: Ended) {
        if why == Ended::NotAcquired {
            self.judge.refused(self.now_us, client);
        } else {
            self.judge.ends(self.now_us, client);
        }
        match self.hosts[client].doing {
            Doing::Wants(_) | Doing::Leaves => self.ended_session(client),
            Doing::Reads(_) | Doing::Works if self.habits.looks => self.ended_session(client),
            // Who has looked already, or never does, goes on.
            _ => {}
        }
    }

    fn ended_session(&mut self, client: usize) {
        let host = &mut self.hosts[client];
        host.doing = Doing::Nothing;
        if let Some(again) = self.habits.again {
            let mut draw = self.chance.key(Stream::Command, client as u64).at(host.sessions);
            let at_us = self.now_us + draw.below(again.think_us + 1);
            self.post(at_us, Event::Begins(client));
        }
    }

    /// The store is asked for something.
    pub(super) fn access_store(
        &mut self,
        client: usize,
        fence: Option<u64>,
        access: Access,
        grant: u64,
    ) -> Work {
        let (at_us, is_write) = (self.now_us, access != Access::Read);
        let accessed = self.store.access(at_us, (client, fence, grant), access);
        if !matches!(accessed, Accessed::Refused) {
            self.judge.accessed(at_us, client, grant, is_write);
        }
        let work = match accessed {
            Accessed::Refused => Work::Refused,
            Accessed::Read(value) => Work::Read(value),
            Accessed::Changed(change) => {
                if change.loses_an_update() {
                    self.judge.lost_update(at_us, client);
                }
                let (before, base, value) = (change.before, change.base, change.value);
                self.note(Happening::Changed { client, before, base, value });
                if self.is_recording() {
                    self.changes.push(change);
                }
                Work::Written
            }
        };
        if self.is_recording() {
            self.work.push((at_us, client, work));
        }
        work
    }

    /// A server has done what a client asked for.
    pub(super) fn key_changed(&mut self, node: usize, client: usize, request: Request) {
        let at_us = self.now_us;
        let until_us =
            |ttl_ms: u64| at_us + self.servers[node].true_us(at_us * 1000, ttl_ms * 1000);
        let (change, holder) = match request {
            Request::Acquire { ttl_ms, .. } => {
                let until_us = until_us(ttl_ms);
                (KeyChange::Set { client, until_us }, Some((client, until_us)))
            }
            Request::Extend { ttl_ms, .. } => {
                let until_us = until_us(ttl_ms);
                (KeyChange::Extended { client, until_us }, Some((client, until_us)))
            }
            Request::AcquireUntil { until_ms, .. } => {
                let until_us = self.servers[node].end_us(at_us * 1000, until_ms);
                (KeyChange::Set { client, until_us }, Some((client, until_us)))
            }
            Request::Limit { ttl_ms } => {
                let until_us = until_us(ttl_ms);
                let holder = self.judge.owner(node).map(|owner| (owner, until_us));
                (KeyChange::Extended { client, until_us }, holder)
            }
            Request::Release { .. } => (KeyChange::Released { client }, None),
            Request::Commit { .. } | Request::Look { .. } => return,
        };
        self.judge.key(at_us, node, change);
        self.note(Happening::Key { node, holder });
    }

    /// A server has lost the lock's key.
    pub(super) fn key_is_gone(&mut self, node: usize) {
        self.judge.key(self.now_us, node, KeyChange::Gone);
        self.note(Happening::Key { node, holder: None });
    }
}
