//! Connections: two pipes of bytes each, whose messages arrive in order, late or never.
//!
//! A pipe is a TCP stream as applications see it: nothing is duplicated or reordered, loss and
//! partitions only delay, a message may arrive in pieces, and only a connection's end loses bytes.
//! What is cut off waits with its sender, which tries again with growing pauses.
//!
//! Invariants: a pipe has at most one event in the queue, that of its first message; a
//! connection's place is used again only when both ends have let go of it and no event refers to
//! it.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::link::{Fate, Link, Weather, next_attempt_ns};
use super::queue::{Queue, What};
use crate::chance::{Chance, Draw};

/// Most connections at a time; the clients' limits keep them far below.
const CONNS_MAX: usize = 1 << 16;
/// A kernel takes no more from a sender while its process has left this much unread.
const RECEIVE_BUFFER_BYTES: usize = 64 << 10;
/// The pieces of a cut message follow one another within this time.
const PIECE_GAP_NS: u64 = 300_000;

/// The direction of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toward {
    Server = 0,
    Client = 1,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The client wants a connection.
    Syn,
    /// The server's kernel has accepted it.
    SynAck,
    /// Bytes of the stream.
    Data,
    /// The sender will send nothing more.
    Fin,
    /// The sender knows no such connection (any more). Nobody sends it again if it is lost.
    Rst,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    len: u32,
    sent_ns: u64,
    arrives_ns: u64,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// Everything sent and not arrived; from `start` on.
    bytes: Vec<u8>,
    start: usize,
    messages: VecDeque<Message>,
    last_arrival_ns: u64,
    /// The first message's arrival is in the queue.
    scheduled: bool,
    /// The first message met a cut and waits for its end.
    held: bool,
    /// Everything sent here vanishes without a word.
    pub(crate) swallowed: bool,
}

/// How far one end is with a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// There is none, not yet or no longer.
    #[default]
    Closed,
    /// The client has asked for it.
    Opening,
    /// It is there.
    Open,
}

/// One connection between a client and a server.
#[derive(Debug, Default)]
pub(crate) struct Conn {
    /// Distinguishes the users of this place.
    pub(crate) serial: u64,
    pub(crate) client: u16,
    pub(crate) server: u16,
    pub(crate) at_client: End,
    pub(crate) at_server: End,
    pub(crate) pipes: [Pipe; 2],
    /// What the server's kernel has received and the engine has not taken.
    pub(crate) inbox: BytesMut,
    /// The engine has been told of the connection.
    pub(crate) introduced: bool,
    /// The engine wants no input for now.
    pub(crate) waits: bool,
    /// The connection stands in its server's queue.
    pub(crate) ready: bool,
    /// The client's end is gone, the engine has not been told yet.
    pub(crate) ended: bool,
    /// Bytes given to the kernel that the engine does not know to have left.
    pub(crate) unsent: usize,
}

/// What arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) conn: u32,
    pub(crate) toward: Toward,
    pub(crate) kind: Kind,
    pub(crate) len: usize,
}

/// What faults did to messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Messages that met a cut or a host that was away.
    pub(crate) held: u64,
    /// Messages that had to be sent again because they were lost.
    pub(crate) lost: u64,
    /// Messages that arrived in pieces.
    pub(crate) pieces: u64,
    /// Messages that a half-open connection swallowed.
    pub(crate) swallowed: u64,
}

/// All hosts' connections and the links between them.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) queue: Queue,
    pub(crate) now_ns: u64,
    pub(crate) weather: Weather,
    pub(crate) conns: Vec<Conn>,
    free: Vec<u32>,
    /// By `from * hosts + to`.
    pub(crate) links: Vec<Link>,
    pub(crate) hosts: usize,
    /// Hosts that neither receive nor send: frozen, or without power.
    away: Vec<u16>,
    pub(crate) traffic: Traffic,
    serials: u64,
}

impl Network {
    pub(crate) fn new(chance: Chance, hosts: usize, weather: Weather) -> Self {
        let pairs = (0..hosts).flat_map(|from| (0..hosts).map(move |to| (from, to)));
        Self {
            queue: Queue::default(),
            now_ns: 0,
            weather,
            conns: Vec::new(),
            free: Vec::new(),
            links: pairs.map(|(from, to)| Link::new(chance, from, to)).collect(),
            hosts,
            away: vec![0; hosts],
            traffic: Traffic::default(),
            serials: 0,
        }
    }

    /// A client asks for a connection; the answer is an arrival.
    pub(crate) fn connect(&mut self, client: u16, server: u16) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            assert!(self.conns.len() < CONNS_MAX, "clients keep too many connections");
            self.conns.push(Conn::default());
            self.conns.len() as u32 - 1
        });
        self.serials += 1;
        let conn = &mut self.conns[index as usize];
        conn.serial = self.serials;
        conn.client = client;
        conn.server = server;
        conn.at_client = End::Opening;
        conn.at_server = End::Closed;
        conn.introduced = false;
        conn.waits = false;
        conn.ended = false;
        conn.unsent = 0;
        self.post(index, Toward::Server, Kind::Syn);
        index
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, index: u32, toward: Toward, bytes: &[u8]) {
        let Fate { takes_ns, losses, draw } = self.fate(index, toward, bytes.len());
        self.traffic.lost += u64::from(losses);
        self.traffic.bytes += bytes.len() as u64;
        let pipe = &mut self.conns[index as usize].pipes[toward as usize];
        if pipe.swallowed {
            self.traffic.swallowed += 1;
            return;
        }
        pipe.bytes.extend_from_slice(bytes);
        self.deliver(index, toward, bytes.len(), takes_ns, draw);
    }

    /// Puts the messages that carry `len` bytes into the pipe: one, or several pieces.
    fn deliver(&mut self, index: u32, toward: Toward, len: usize, takes_ns: u64, mut draw: Draw) {
        let now_ns = self.now_ns;
        let mut arrives_ns = now_ns + takes_ns;
        let mut left = len;
        if draw.below(256) < self.weather.cut {
            self.traffic.pieces += 1;
            for _ in 0..draw.between(1, 3) {
                let piece = draw.below(left as u64) as usize;
                if piece > 0 {
                    self.push(index, toward, Kind::Data, piece, arrives_ns);
                    left -= piece;
                    arrives_ns += draw.below(PIECE_GAP_NS);
                }
            }
        }
        self.push(index, toward, Kind::Data, left, arrives_ns);
    }

    /// Sends a message that carries no bytes.
    pub(crate) fn post(&mut self, index: u32, toward: Toward, kind: Kind) {
        let Fate { takes_ns, losses, .. } = self.fate(index, toward, 0);
        self.traffic.lost += u64::from(losses);
        let pipe = &self.conns[index as usize].pipes[toward as usize];
        if pipe.swallowed {
            self.traffic.swallowed += 1;
            return;
        }
        if kind == Kind::Rst && losses > 0 {
            return;
        }
        self.push(index, toward, kind, 0, self.now_ns + takes_ns);
    }

    #[inline]
    fn fate(&mut self, index: u32, toward: Toward, len: usize) -> Fate {
        self.traffic.messages += 1;
        let conn = &self.conns[index as usize];
        let (from, to) = ends(conn, toward);
        self.links[from * self.hosts + to].send(&self.weather, len)
    }

    #[inline]
    fn push(&mut self, index: u32, toward: Toward, kind: Kind, len: usize, arrives_ns: u64) {
        let pipe = &mut self.conns[index as usize].pipes[toward as usize];
        let arrives_ns = arrives_ns.max(pipe.last_arrival_ns);
        pipe.last_arrival_ns = arrives_ns;
        let message = Message { kind, len: len as u32, sent_ns: self.now_ns, arrives_ns };
        pipe.messages.push_back(message);
        if !pipe.scheduled && !pipe.held {
            pipe.scheduled = true;
            self.queue.push(arrives_ns, What::Arrive { pipe: index * 2 + toward as u32 });
        }
    }

    /// The event of a pipe's first message: what arrives, unless something is in its way. The
    /// bytes are to be taken with [`Self::take`] at once.
    #[inline]
    pub(crate) fn arrive(&mut self, pipe: u32) -> Option<Arrival> {
        let (conn, toward) = (pipe / 2, [Toward::Server, Toward::Client][(pipe % 2) as usize]);
        let cut = self.is_cut(conn, toward);
        let place = &mut self.conns[conn as usize];
        let full = toward == Toward::Server && place.inbox.len() > RECEIVE_BUFFER_BYTES;
        let pipe = &mut place.pipes[toward as usize];
        pipe.scheduled = false;
        let first = pipe.messages.front()?;
        if first.arrives_ns > self.now_ns {
            // The event was for a message that has been forgotten.
            return None;
        }
        if cut || full {
            self.traffic.held += 1;
            if first.kind == Kind::Rst {
                pipe.messages.clear();
                self.release(conn);
            } else {
                pipe.held = true;
            }
            return None;
        }
        let Message { kind, len, .. } = pipe.messages.pop_front()?;
        Some(Arrival { conn, toward, kind, len: len as usize })
    }

    /// Plans the arrival of the pipe's next message, after one has been dealt with.
    #[inline]
    pub(crate) fn arrive_next(&mut self, pipe: u32) {
        let now_ns = self.now_ns;
        let state = &mut self.conns[pipe as usize / 2].pipes[pipe as usize % 2];
        if !state.scheduled
            && !state.held
            && let Some(next) = state.messages.front()
        {
            state.scheduled = true;
            self.queue.push(next.arrives_ns.max(now_ns), What::Arrive { pipe });
        }
        self.release(pipe / 2);
    }

    /// The first `len` bytes of a pipe, to look at.
    #[inline]
    pub(crate) fn front(&self, pipe: u32, len: usize) -> &[u8] {
        let pipe = &self.conns[pipe as usize / 2].pipes[pipe as usize % 2];
        &pipe.bytes[pipe.start..pipe.start + len]
    }

    /// The first message of a pipe and its bytes, to look at.
    pub(crate) fn first(&self, pipe: u32) -> Option<(Kind, &[u8])> {
        let state = &self.conns[pipe as usize / 2].pipes[pipe as usize % 2];
        let first = state.messages.front()?;
        Some((first.kind, self.front(pipe, first.len as usize)))
    }

    /// The first `len` bytes of a pipe, which have arrived.
    #[inline]
    pub(crate) fn take(&mut self, index: u32, toward: Toward, len: usize, into: &mut Vec<u8>) {
        let pipe = &mut self.conns[index as usize].pipes[toward as usize];
        into.extend_from_slice(&pipe.bytes[pipe.start..pipe.start + len]);
        pipe.advance(len);
    }

    /// The same for the server's end, whose inbox is part of the connection.
    #[inline]
    pub(crate) fn take_to_inbox(&mut self, index: u32, len: usize) {
        let conn = &mut self.conns[index as usize];
        let pipe = &mut conn.pipes[Toward::Server as usize];
        conn.inbox.extend_from_slice(&pipe.bytes[pipe.start..pipe.start + len]);
        pipe.advance(len);
    }

    /// Drops bytes that arrived where nobody wants them.
    pub(crate) fn drop_arrived(&mut self, index: u32, toward: Toward, len: usize) {
        self.conns[index as usize].pipes[toward as usize].advance(len);
    }

    /// How many bytes are on their way.
    pub(crate) fn under_way(&self, index: u32, toward: Toward) -> usize {
        let pipe = &self.conns[index as usize].pipes[toward as usize];
        pipe.bytes.len() - pipe.start
    }

    /// The sender is gone: what waited for a cut to end is lost.
    pub(crate) fn lose_held(&mut self, index: u32, toward: Toward) {
        let pipe = &mut self.conns[index as usize].pipes[toward as usize];
        if pipe.held {
            pipe.clear();
            pipe.held = false;
        }
    }

    /// Forgets what one end has sent and what the network has not carried yet.
    pub(crate) fn forget_sent(&mut self, index: u32, toward: Toward) {
        self.conns[index as usize].pipes[toward as usize].clear();
        self.release(index);
    }

    /// Makes a connection's place free if nobody needs it any more.
    pub(crate) fn release(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        let in_use = conn.at_client != End::Closed
            || conn.at_server != End::Closed
            || conn.serial == 0
            || conn.ready
            || conn.pipes.iter().any(|pipe| pipe.scheduled);
        if in_use {
            return;
        }
        conn.serial = 0;
        conn.inbox.clear();
        for pipe in &mut conn.pipes {
            pipe.clear();
            pipe.held = false;
            pipe.swallowed = false;
            pipe.last_arrival_ns = 0;
        }
        self.free.push(index);
    }

    #[inline]
    fn is_cut(&self, index: u32, toward: Toward) -> bool {
        let (from, to) = ends(&self.conns[index as usize], toward);
        self.links[from * self.hosts + to].cuts > 0 || self.away[to] > 0
    }

    /// A host stops receiving and sending.
    pub(crate) fn leave(&mut self, host: usize) {
        self.away[host] += 1;
    }

    /// A host receives and sends again; [`Self::try_again`] must follow.
    pub(crate) fn come_back(&mut self, host: usize) {
        self.away[host] -= 1;
    }

    /// The server has taken what it had received: the sender may go on.
    #[inline]
    pub(crate) fn open_window(&mut self, index: u32) {
        let conn = &self.conns[index as usize];
        if !conn.pipes[0].held
            || conn.inbox.len() > RECEIVE_BUFFER_BYTES
            || self.is_cut(index, Toward::Server)
        {
            return;
        }
        let pipe = &mut self.conns[index as usize].pipes[0];
        pipe.held = false;
        pipe.scheduled = true;
        let at_ns = self.now_ns + self.weather.base_ns;
        self.queue.push(at_ns, What::Arrive { pipe: index * 2 });
    }

    /// After something was healed: senders that waited try again when their pauses are over.
    pub(crate) fn try_again(&mut self) {
        for index in 0..self.conns.len() as u32 {
            for toward in [Toward::Server, Toward::Client] {
                let (from, _) = ends(&self.conns[index as usize], toward);
                let cut = self.is_cut(index, toward) || self.away[from] > 0;
                let pipe = &mut self.conns[index as usize].pipes[toward as usize];
                if !pipe.held || cut {
                    continue;
                }
                pipe.held = false;
                let Some(first) = pipe.messages.front_mut() else { continue };
                let at_ns = next_attempt_ns(first.sent_ns, self.now_ns) + self.weather.base_ns;
                first.arrives_ns = at_ns;
                pipe.scheduled = true;
                let pipe = index * 2 + toward as u32;
                self.queue.push(at_ns, What::Arrive { pipe });
            }
        }
    }

    /// The connections in use, in the order of their places.
    pub(crate) fn live(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.conns.len() as u32).filter(|&index| self.conns[index as usize].serial != 0)
    }
}

impl Pipe {
    #[inline]
    fn advance(&mut self, len: usize) {
        self.start += len;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.messages.clear();
    }
}

/// The hosts that a pipe comes from and goes to.
#[inline]
fn ends(conn: &Conn, toward: Toward) -> (usize, usize) {
    match toward {
        Toward::Server => (usize::from(conn.client), usize::from(conn.server)),
        Toward::Client => (usize::from(conn.server), usize::from(conn.client)),
    }
}
