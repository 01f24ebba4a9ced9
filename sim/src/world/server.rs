//! A server host: one real engine, its machine's clocks, and the kernel between it and the
//! network.
//!
//! The kernel accepts connections, buffers what arrives and answers with resets whether the
//! process runs, is stopped or is dead; the process takes steps only while it runs.
//!
//! Invariant: what the engine is told, in what order and at which reading of its clocks, is what a
//! driver on such a machine would tell it.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::collections::VecDeque;

use orrery_engine::time::Micros;
use orrery_engine::{
    Config, ConnId, Digest, DiskError, DiskErrorKind, Effect, Effects, Engine, Input, LogLevel,
    Origin, Outcome, Seed,
};

use super::clock::HostClock;
use super::network::{Arrival, Conn, End, Kind, Network, Toward};
use super::queue::{Lane, Timer, What};
use super::storage::Storage;
use crate::chance::Key;

/// The engine learns at once that output has left while no more than this is under way.
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// Between two connections that a busy process serves, in nanoseconds.
const TURN_NS: u64 = 2_000;
/// A deadline that has passed is met this much later, so that no instant has endless work.
const TICK_NS: u64 = 1_000;
/// What one command adds to the data at most, tables that grow included.
const COMMAND_BYTES_MAX: u64 = 128 << 10;
/// A unit of a script's work takes this long. Few machines are so slow, but a world is fast that
/// has little to compute.
const UNIT_NS: u64 = 1_000;
/// A server that has ended itself is started again after this.
const RESTART_NS: u64 = 200_000_000;
/// Everybody is on one network without passwords.
const PORT: u16 = 6379;

/// One server.
pub(crate) struct Server {
    pub(crate) host: u16,
    pub(crate) clock: HostClock,
    engine: Option<Engine>,
    config: Config,
    /// How much memory data and clients may take beyond what an empty engine takes.
    room_bytes: Option<u64>,
    seeds: Key,
    incarnation: u64,
    pub(crate) timer: Timer,
    effects: Effects,
    out: Vec<u8>,
    /// Connections that have something for the process, first come first served.
    ready: VecDeque<u32>,
    run_planned: bool,
    /// SIGSTOP.
    pub(crate) stopped: u16,
    /// The virtual machine is suspended.
    pub(crate) frozen: u16,
    busy_until_ns: u64,
    /// Steps of all engines that this host has had.
    pub(crate) steps: u64,
    /// Inputs that waited because the process was stopped, frozen or busy.
    pub(crate) waited: u64,
    /// Steps at whose end a script still ran.
    pub(crate) script_steps: u64,
    /// Keys that engines before the present one have evicted.
    evicted_before: u64,
    /// The most memory that data took after a step beyond what it may.
    excess_bytes: u64,
    /// Its disk, if it keeps anything.
    pub(crate) storage: Option<Storage>,
    /// When it died last.
    pub(crate) died_ns: u64,
    /// The engine has said that it is ready.
    is_ready: bool,
    /// The engine wants the process to end.
    must_end: bool,
    /// How often it has ended itself.
    ends: u64,
    /// What its log has said last that matters.
    warning: String,
    /// Deaths after which its disk was emptied.
    pub(crate) emptied: Vec<(u16, u64)>,
    /// When it ended itself after it had served.
    pub(crate) own_deaths: Vec<u64>,
    /// When its processes began.
    pub(crate) starts: Vec<u64>,
    /// Why it ended itself without need.
    pub(crate) refused: Vec<(u16, String)>,
}

impl Server {
    pub(crate) fn new(
        host: u16,
        clock: HostClock,
        (config, room_bytes): (Config, Option<u64>),
        seeds: Key,
    ) -> Self {
        Self {
            host,
            clock,
            engine: None,
            config,
            room_bytes,
            seeds,
            incarnation: 0,
            timer: Timer::default(),
            effects: Effects::new(),
            out: Vec::new(),
            ready: VecDeque::new(),
            run_planned: false,
            stopped: 0,
            frozen: 0,
            busy_until_ns: 0,
            steps: 0,
            waited: 0,
            script_steps: 0,
            evicted_before: 0,
            excess_bytes: 0,
            storage: None,
            died_ns: 0,
            is_ready: false,
            must_end: false,
            ends: 0,
            warning: String::new(),
            emptied: Vec::new(),
            own_deaths: Vec::new(),
            starts: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The process starts, with what is on its disk.
    pub(crate) fn start(&mut self, net: &mut Network) {
        let seed = Seed(self.seeds.at(self.incarnation).bits());
        self.incarnation += 1;
        self.starts.push(net.now_ns);
        self.busy_until_ns = 0;
        self.timer.cancel();
        let now = self.clock.now(net.now_ns);
        let mut config = self.config.clone();
        if let Some(room_bytes) = self.room_bytes {
            let empty = Engine::new(config.clone(), seed, now).state().memory_used();
            config.eviction.bytes_max = empty as u64 + room_bytes;
        }
        self.engine = Some(Engine::new(config, seed, now));
        if self.storage.is_some() {
            self.step(net, |_| Input::Start);
            self.carry_out(net);
            self.plan_deadline(net);
        }
    }

    /// Somebody starts it again that has ended itself.
    pub(crate) fn start_again(&mut self, net: &mut Network) {
        if !self.is_up() {
            self.start(net);
        }
    }

    /// An operation of its disk has ended.
    pub(crate) fn disk_ends(&mut self, net: &mut Network, lane: u8, generation: u32) {
        let stands = self.stopped > 0 || self.frozen > 0;
        let Some(storage) = &mut self.storage else { return };
        if storage.expects(generation) {
            storage.end(lane, stands, net.now_ns, &mut net.queue);
            self.plan_run(net, 0);
        }
    }

    /// The process hears what became of an order; false: there is nothing to hear.
    fn hear_of_disk(&mut self, net: &mut Network) -> bool {
        let answer = self.storage.as_mut().and_then(|storage| storage.answers.pop_front());
        let Some((ticket, result)) = answer else { return false };
        self.step(net, |_| Input::Disk { ticket, result });
        self.carry_out(net);
        self.plan_deadline(net);
        true
    }

    fn has_answers(&self) -> bool {
        self.storage.as_ref().is_some_and(|storage| !storage.answers.is_empty())
    }

    /// The process ends itself: what it has on disk is of no use to it, or its disk can keep
    /// nothing more. Who looks after it empties a disk that has changed what was safe, cuts a log
    /// where its end is broken after a loss of power, as it is told, tries again where the disk
    /// had failed, and has no excuse for it otherwise.
    #[cold]
    fn end(&mut self, net: &mut Network) {
        let is_loading = !self.is_ready;
        let has_failed = self.storage.as_ref().is_some_and(|storage| storage.has_failed);
        self.ends += 1;
        let _lost = self.die(net, true, self.ends | 1 << 32);
        net.queue.push(net.now_ns + RESTART_NS, What::Start { server: self.host });
        if !is_loading {
            self.died_ns = net.now_ns;
            self.own_deaths.push(net.now_ns);
        }
        let Some(storage) = &mut self.storage else { return };
        if is_loading && storage.disk.is_harmed() {
            self.emptied.push((self.host, self.died_ns));
            storage.disk.wipe();
        } else if is_loading && storage.lost_power && storage.repair(&self.warning) {
            // What was not safe at the end of a log may be anything.
        } else if !has_failed {
            let when = if is_loading { "while it loaded: " } else { "" };
            self.refused.push((self.host, format!("{when}{}", self.warning)));
            // What is not there any more is not a second thing that is wrong.
            self.emptied.push((self.host, self.died_ns));
            storage.disk.wipe();
        }
    }

    /// How many keys its engines have evicted.
    pub(crate) fn evicted(&self) -> u64 {
        let engine = self.engine.as_ref();
        self.evicted_before + engine.map_or(0, |engine| engine.state().evicted().0)
    }

    /// That its data took more memory than it may, if it did.
    pub(crate) fn overfull(&self) -> Option<(u16, String)> {
        let excess = self.excess_bytes;
        (excess > 0).then(|| (self.host, format!("its data took {excess} bytes more than it may")))
    }

    /// Whether there is a process.
    pub(crate) fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    fn runs(&self, now_ns: u64) -> bool {
        self.engine.is_some()
            && self.stopped == 0
            && self.frozen == 0
            && now_ns >= self.busy_until_ns
    }

    /// The process dies. With `resets` the kernel tells the peers. Returns the digest of what was
    /// lost and how many keys that was.
    pub(crate) fn die(&mut self, net: &mut Network, resets: bool, number: u64) -> (Digest, usize) {
        self.must_end = false;
        self.is_ready = false;
        if let Some(storage) = &mut self.storage {
            storage.die(!resets, number);
        }
        self.evicted_before = self.evicted();
        let lost = self.engine.take().map(|engine| {
            engine.check_invariants();
            let keyspace = &engine.state().keyspace;
            let keys = (0..keyspace.count()).map(|index| keyspace.db(index).len()).sum();
            (engine.digest(), keys)
        });
        self.ready.clear();
        self.timer.cancel();
        let mine: Vec<u32> = net
            .live()
            .filter(|&index| net.conns[index as usize].server == self.host)
            .filter(|&index| net.conns[index as usize].at_server == End::Open)
            .collect();
        for index in mine {
            net.lose_held(index, Toward::Client);
            let conn = &mut net.conns[index as usize];
            conn.at_server = End::Closed;
            conn.ready = false;
            conn.inbox.clear();
            if resets {
                net.post(index, Toward::Client, Kind::Rst);
            }
            net.release(index);
        }
        lost.unwrap_or_default()
    }

    /// The engine's state, hashed; nothing is there if there is no engine.
    pub(crate) fn digest(&self) -> Digest {
        self.engine.as_ref().map(Engine::digest).unwrap_or_default()
    }

    /// Checks the engine's structures.
    pub(crate) fn check_invariants(&self) {
        if let Some(engine) = &self.engine {
            engine.check_invariants();
        }
    }

    /// A message of a client has arrived at the host.
    pub(crate) fn arrived(&mut self, net: &mut Network, arrival: Arrival) {
        let Arrival { conn: index, kind, len, .. } = arrival;
        let conn = &mut net.conns[index as usize];
        match kind {
            Kind::Syn if self.engine.is_some() => {
                conn.at_server = End::Open;
                net.post(index, Toward::Client, Kind::SynAck);
            }
            Kind::Syn => return net.post(index, Toward::Client, Kind::Rst),
            Kind::Data if conn.at_server == End::Open => net.take_to_inbox(index, len),
            Kind::Data => {
                net.drop_arrived(index, Toward::Server, len);
                return net.post(index, Toward::Client, Kind::Rst);
            }
            Kind::Fin | Kind::Rst if conn.at_server != End::Open => return,
            Kind::Fin => conn.ended = true,
            Kind::Rst => {
                conn.ended = true;
                conn.inbox.clear();
                net.forget_sent(index, Toward::Client);
            }
            Kind::SynAck => return,
        }
        if self.runs(net.now_ns) && !net.conns[index as usize].ready {
            self.serve(net, index);
        } else {
            self.waited += 1;
            self.enqueue(net, index);
        }
    }

    /// The process takes its turn: one connection.
    pub(crate) fn run(&mut self, net: &mut Network) {
        self.run_planned = false;
        if !self.runs(net.now_ns) {
            return;
        }
        if self.hear_of_disk(net) {
            // Files first: whoever waits for them waits longest.
        } else if let Some(index) = self.ready.pop_front() {
            net.conns[index as usize].ready = false;
            self.serve(net, index);
        } else {
            // It was busy, and has looked at no clock meanwhile.
            self.plan_deadline(net);
        }
        self.plan_run(net, TURN_NS);
    }

    /// The engine's deadline may have come.
    pub(crate) fn wake(&mut self, net: &mut Network) {
        if !self.runs(net.now_ns) {
            return;
        }
        let now = self.clock.now(net.now_ns);
        if let Some(engine) = &self.engine
            && engine.deadline().is_some_and(|(at, _)| at <= now.mono)
        {
            self.step(net, |_| Input::Tick);
            self.carry_out(net);
        }
        self.plan_deadline(net);
    }

    /// The process goes on after it was stopped, or its clock was changed.
    pub(crate) fn go_on(&mut self, net: &mut Network) {
        self.timer.cancel();
        if self.stopped == 0
            && self.frozen == 0
            && let Some(storage) = &mut self.storage
        {
            storage.go_on(net.now_ns, &mut net.queue);
        }
        if self.runs(net.now_ns) {
            self.plan_deadline(net);
            self.plan_run(net, 0);
        }
    }

    fn enqueue(&mut self, net: &mut Network, index: u32) {
        let conn = &mut net.conns[index as usize];
        if !conn.ready {
            conn.ready = true;
            self.ready.push_back(index);
        }
        self.plan_run(net, TURN_NS);
    }

    fn plan_run(&mut self, net: &mut Network, wait_ns: u64) {
        let able = self.engine.is_some() && self.stopped == 0 && self.frozen == 0;
        if able && !self.run_planned && (!self.ready.is_empty() || self.has_answers()) {
            self.run_planned = true;
            let at_ns = (net.now_ns + wait_ns).max(self.busy_until_ns);
            net.queue.push(at_ns, What::Run { server: self.host });
        }
    }

    /// The process reads one connection.
    fn serve(&mut self, net: &mut Network, index: u32) {
        let conn = &mut net.conns[index as usize];
        if conn.at_server != End::Open {
            net.release(index);
            return;
        }
        let id = id(index, conn);
        if !conn.introduced {
            conn.introduced = true;
            let address = |host: u16, port| {
                let [high, low] = host.to_be_bytes();
                SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, high, low), port))
            };
            let peer = address(conn.client, 20_000 + (conn.serial % 40_000) as u16);
            let local = address(conn.server, PORT);
            self.step(net, |_| Input::Opened { conn: id, origin: Origin::Tcp { peer, local } });
            self.carry_out(net);
        }
        let conn = &net.conns[index as usize];
        if !conn.inbox.is_empty() && !conn.waits && conn.at_server == End::Open {
            self.step(net, |net| {
                let bytes = &mut net.conns[index as usize].inbox;
                Input::Received { conn: id, bytes }
            });
            self.carry_out(net);
            net.open_window(index);
        }
        let conn = &mut net.conns[index as usize];
        // A connection that is to be read again ends after that.
        if conn.ended && !conn.ready && conn.at_server == End::Open {
            conn.at_server = End::Closed;
            conn.inbox.clear();
            self.step(net, |_| Input::Closed { conn: id });
            self.carry_out(net);
            net.forget_sent(index, Toward::Client);
        }
        self.plan_deadline(net);
    }

    #[inline]
    fn step(&mut self, net: &mut Network, input: impl FnOnce(&mut Network) -> Input<'_>) {
        let now = self.clock.now(net.now_ns);
        if let Some(engine) = &mut self.engine {
            self.steps += 1;
            engine.step(now, input(net), &mut self.effects);
            if let Some(units) = engine.script_units() {
                let elapsed = Micros(u64::from(units) * UNIT_NS / 1_000);
                engine.note_elapsed(elapsed);
                self.script_steps += 1;
                self.be_busy(net, elapsed);
            }
            if self.room_bytes.is_some() {
                self.weigh();
            }
        }
    }

    /// The process has no time for anything else.
    fn be_busy(&mut self, net: &mut Network, span: Micros) {
        let until_ns = self.clock.mono_ns(net.now_ns).saturating_add(span.0 * 1000);
        let until_ns = self.clock.when_mono(until_ns, net.now_ns);
        self.busy_until_ns = until_ns.unwrap_or(u64::MAX);
        self.timer.cancel();
        net.queue.push(self.busy_until_ns, What::Run { server: self.host });
        self.run_planned = true;
    }

    /// Looks whether data keeps within memory: what one command adds may be over it, and no more.
    #[cold]
    fn weigh(&mut self) {
        let Some(engine) = &self.engine else { return };
        let may_take = engine.config().eviction.bytes_max + COMMAND_BYTES_MAX;
        let excess_bytes = (engine.state().keyspace.memory_bytes() as u64).saturating_sub(may_take);
        self.excess_bytes = self.excess_bytes.max(excess_bytes);
    }

    /// Does what the engine asked for, and what it asks for because of that.
    fn carry_out(&mut self, net: &mut Network) {
        while !self.effects.is_empty() {
            let mut effects = core::mem::take(&mut self.effects);
            for effect in effects.drain() {
                self.carry_out_one(net, effect);
            }
            if self.effects.is_empty() {
                self.effects = effects;
            }
        }
        if self.must_end {
            self.end(net);
        }
    }

    fn carry_out_one(&mut self, net: &mut Network, effect: Effect) {
        match effect {
            Effect::Flush(id) => self.flush(net, id),
            Effect::Close(id) => {
                self.flush(net, id);
                self.close(net, id, Kind::Fin);
            }
            Effect::Abort(id) => self.close(net, id, Kind::Rst),
            Effect::Resume(id) => {
                let Some(index) = place(net, id) else { return };
                net.conns[index as usize].waits = false;
                self.enqueue(net, index);
            }
            Effect::Pause(id) => {
                if let Some(index) = place(net, id) {
                    net.conns[index as usize].waits = true;
                }
            }
            Effect::Stall(span) => self.be_busy(net, span),
            Effect::RewriteConfig { conn, .. } => {
                let outcome = Outcome::ConfigRewritten(Err("there is no file".to_owned()));
                self.step(net, |_| Input::Done { conn, outcome });
            }
            Effect::ReadUsers { conn } => {
                let outcome = Outcome::UsersRead(Err("there is no file".to_owned()));
                self.step(net, |_| Input::Done { conn, outcome });
            }
            Effect::WriteUsers { conn, .. } => {
                let outcome = Outcome::UsersWritten(Err("there is no file".to_owned()));
                self.step(net, |_| Input::Done { conn, outcome });
            }
            Effect::ApplyConfig { conn, .. } => {
                let outcome = Outcome::ConfigApplied(Ok(()));
                self.step(net, |_| Input::Done { conn, outcome });
            }
            Effect::Disk(order) if let Some(storage) = &mut self.storage => {
                storage.give(order, net.now_ns, &mut net.queue);
            }
            Effect::Disk(order) => {
                let (kind, text) = (DiskErrorKind::NotFound, "there is no disk".to_owned());
                let result = Err(DiskError { at: 0, kind, text });
                self.step(net, |_| Input::Disk { ticket: order.ticket, result });
            }
            Effect::Log(LogLevel::Warning, text) => self.warning = text,
            Effect::Shutdown { .. } => self.must_end = self.storage.is_some(),
            Effect::Ready => self.is_ready = true,
            Effect::Log(..) => {}
        }
    }

    fn close(&mut self, net: &mut Network, id: ConnId, kind: Kind) {
        let Some(index) = place(net, id) else { return };
        net.post(index, Toward::Client, kind);
        net.conns[index as usize].at_server = End::Closed;
        net.conns[index as usize].inbox.clear();
        self.step(net, |_| Input::Closed { conn: id });
        net.release(index);
    }

    fn flush(&mut self, net: &mut Network, id: ConnId) {
        let Some(index) = place(net, id) else { return };
        let Some(engine) = &mut self.engine else { return };
        self.out.clear();
        engine.take_output(id, &mut self.out);
        if self.out.is_empty() {
            return;
        }
        net.send(index, Toward::Client, &self.out);
        net.conns[index as usize].unsent += self.out.len();
        self.report_sent(net, index);
    }

    /// Tells the engine what its kernel has taken.
    fn report_sent(&mut self, net: &mut Network, index: u32) {
        if net.under_way(index, Toward::Client) > SEND_BUFFER_BYTES {
            return;
        }
        let conn = &mut net.conns[index as usize];
        let (id, len) = (id(index, conn), core::mem::take(&mut conn.unsent));
        if len > 0 {
            self.step(net, |_| Input::Sent { conn: id, len });
        }
    }

    /// A client's host has received something of this server's.
    #[inline]
    pub(crate) fn delivered(&mut self, net: &mut Network, index: u32) {
        let conn = &net.conns[index as usize];
        if conn.unsent > 0 && conn.at_server == End::Open && self.runs(net.now_ns) {
            self.report_sent(net, index);
            self.carry_out(net);
        }
    }

    #[inline]
    fn plan_deadline(&mut self, net: &mut Network) {
        let Some(engine) = &self.engine else { return };
        let Some((deadline, _)) = engine.deadline() else { return };
        let Some(at_ns) = self.clock.when_mono(deadline.0.saturating_mul(1000), net.now_ns) else {
            return;
        };
        let at_ns = at_ns.max(net.now_ns + TICK_NS);
        self.timer.plan(&mut net.queue, self.host, Lane::Act, at_ns);
    }
}

/// The name of a connection for the engine: its place and what makes it unique.
#[inline]
fn id(index: u32, conn: &Conn) -> ConnId {
    ConnId(conn.serial << 16 | u64::from(index))
}

/// The place of a connection that the server still has.
#[inline]
fn place(net: &Network, id: ConnId) -> Option<u32> {
    let index = (id.0 & 0xffff) as u32;
    let conn = net.conns.get(index as usize)?;
    (conn.serial == id.0 >> 16 && conn.at_server == End::Open).then_some(index)
}
