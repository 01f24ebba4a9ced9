//! The simulated world: servers that are real engines, clients, the network between them, their
//! clocks, and what goes wrong.
//!
//! A discrete-event simulation: the next event is taken off the queue, carried out, and whatever
//! it causes goes into the queue. Nothing happens between events and nothing takes time but what
//! says so.
//!
//! Invariant: a run is a function of its [`Setup`]; the same setup gives the same events, byte for
//! byte.

mod client;
pub(crate) mod clock;
mod faults;
mod link;
mod network;
mod queue;
mod server;
mod storage;
mod trace;

use orrery_engine::{Config, Digest};

pub(crate) use link::Weather;
pub use storage::Figures;
pub use trace::Trace;

use crate::chance::{Chance, Stream, roll, roll_bytes};
use crate::disk::Disk;
use crate::fault::FaultKind;
use crate::journal::Journal;
use crate::plan::Plan;
use crate::setup::{Keeping, Knobs, Setup};
use crate::workload::Workload;
use client::{Client, Shared};
use clock::HostClock;
use faults::Progress;
use network::{Network, Toward, Traffic};
use queue::What;
use server::Server;
use storage::Storage;

/// Simulated time that clients have after the faults to get their answers.
const LIVENESS_NS: u64 = 60_000_000_000;
/// True time zero, as the wall clocks know it: the first second of 2026.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
/// Most events in a run: a world that does more than this has gone round in circles.
const EVENTS_MAX: u64 = 1 << 32;

/// A server process that died with its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// Whose.
    pub server: u16,
    /// When.
    pub at_ns: u64,
    /// How many keys it had.
    pub keys: usize,
}

/// What became of servers' files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Servers whose disk somebody had to empty, since it had changed what was safe or they could
    /// not begin with what was on it, and the time of the death before.
    pub emptied: Vec<(u16, u64)>,
    /// Servers that did not begin with what nobody had harmed, or ended themselves, and why.
    pub refused: Vec<(u16, String)>,
    /// Deaths of servers whose machines lost power.
    pub power_losses: Vec<(u16, u64)>,
    /// How long each server's process or machine stood still, or its disk, at most.
    pub stood_ns: Vec<u64>,
    /// When each process began to look at them, in the order of time for each server.
    pub starts: Vec<(u16, u64)>,
    /// What the disks did.
    pub figures: Figures,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What the clients saw.
    pub journal: Journal,
    /// The rolling hash over every event and every engine's data.
    pub digest: u64,
    /// How many events there were.
    pub events: u64,
    /// Steps of all engines.
    pub steps: u64,
    /// True time at the end.
    pub simulated_ns: u64,
    /// How often each kind of fault struck.
    pub fired: [u32; FaultKind::ALL.len()],
    /// Which kinds, of those that strike a connection, waited for one to the end in vain.
    pub struck_nobody: [bool; FaultKind::ALL.len()],
    /// Which servers died when.
    pub deaths: Vec<Death>,
    /// By how much each server may have misjudged the longest time to live, in milliseconds.
    pub clock_error_ms: Vec<u64>,
    /// Clients that got no answer after the faults were over, in words.
    pub starved: Vec<String>,
    /// Servers whose data took more memory than it may, and that in words.
    pub overfull: Vec<(u16, String)>,
    /// What became of servers' files.
    pub files: Files,
    /// Messages sent, and what became of them.
    pub effects: Effects,
    /// The rolling hash after each event, if that was asked for.
    pub log: Vec<u64>,
}

/// What the faults did, to see that they did something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Messages sent.
    pub messages: u64,
    /// Messages held up by a partition, a frozen or powerless host, or a full buffer.
    pub held: u64,
    /// Messages lost and sent again.
    pub lost: u64,
    /// Messages that arrived in pieces.
    pub pieces: u64,
    /// Messages swallowed by half-open connections.
    pub swallowed: u64,
    /// Inputs that waited for a stopped process.
    pub waited: u64,
    /// Keys evicted because memory was full.
    pub evicted: u64,
    /// Steps in which a script ran and did not end.
    pub script_steps: u64,
}

/// How to watch a run.
#[derive(Default)]
pub struct Watch {
    /// Keep the rolling hash after each event.
    pub log: bool,
    /// Tell of events.
    pub trace: Trace,
    /// Flip a bit of the digest at this event: to test those who compare digests.
    pub disturbed_event: Option<u64>,
}

/// Everything there is.
pub(crate) struct World {
    chance: Chance,
    net: Network,
    servers: Vec<Server>,
    clients: Vec<Client>,
    shared: Shared,
    plan: Plan,
    /// How long a death waits for the server's disk to have something to do.
    ambush_ns: u64,
    progress: Vec<Progress>,
    fired: [u32; FaultKind::ALL.len()],
    struck_nobody: [bool; FaultKind::ALL.len()],
    deaths: Vec<Death>,
    power_losses: Vec<(u16, u64)>,
    digest: u64,
    events: u64,
}

/// Runs one world to its end.
#[must_use]
pub fn run(setup: &Setup, watch: &mut Watch) -> Outcome {
    let mut world = World::new(setup);
    let mut log = Vec::new();
    while world.shared.unfinished > 0 {
        let Some((at_ns, what)) = world.net.queue.pop() else { break };
        if what == What::GiveUp || world.events == EVENTS_MAX {
            break;
        }
        debug_assert!(at_ns >= world.net.now_ns, "time goes forward");
        world.net.now_ns = at_ns;
        if watch.trace.wants(world.events) {
            let text = trace::describe(what, &world);
            watch.trace.line(world.events, at_ns, &text);
        }
        world.carry_out(at_ns, what);
        if watch.disturbed_event == Some(world.events) {
            world.digest ^= 1;
        }
        if watch.log {
            log.push(world.digest);
        }
        world.events += 1;
    }
    world.finish(log)
}

impl World {
    fn new(setup: &Setup) -> Self {
        let chance = setup.chance();
        let knobs = Knobs::draw(chance);
        let hosts = setup.servers + setup.clients;
        let mut net = Network::new(chance, hosts, knobs.weather);
        let clock = |host: usize| {
            let mut draw = chance.key(Stream::Clock, host as u64).at(0);
            let off_ns = draw.below(2 * knobs.offset_ns) as i64 - knobs.offset_ns as i64;
            let drift_ppm = draw.below(2 * knobs.drift_ppm + 1) as i64 - knobs.drift_ppm as i64;
            HostClock::new(draw.below(1 << 40), EPOCH_NS + off_ns, drift_ppm)
        };
        let config = config(setup, &knobs);
        let room_bytes = setup.memory.map(|memory| memory.room_bytes);
        let mut servers: Vec<Server> = (0..setup.servers)
            .map(|host| {
                let seeds = chance.key(Stream::Engine, host as u64);
                Server::new(host as u16, clock(host), (config.clone(), room_bytes), seeds)
            })
            .collect();
        if setup.keeping != Keeping::Nothing {
            for (host, server) in servers.iter_mut().enumerate() {
                let disk = Disk::new(chance.key(Stream::Disk, host as u64), knobs.pace);
                // The log's format has no checksums: a hole in it would be taken for a value.
                let keeps_log = setup.keeping != Keeping::Snapshots;
                let disk = if keeps_log { disk.in_order() } else { disk };
                let deaths = chance.key(Stream::Disk, host as u64 | DEATHS);
                server.storage = Some(Storage::new(host as u16, disk, deaths));
            }
        }
        servers.iter_mut().for_each(|server| server.start(&mut net));
        let shared = Shared::new(setup, knobs);
        let bulk = bulk_clients(setup);
        let mut clients: Vec<Client> = (0..setup.clients)
            .map(|index| {
                let clock = clock(setup.servers + index);
                Client::new(setup, &shared.menu, index as u16, clock, index < bulk)
            })
            .collect();
        clients.iter_mut().for_each(|client| client.plan(&mut net));
        let plan = setup.plan();
        for (index, planned) in plan.faults.iter().enumerate() {
            net.queue.push(planned.at_ns, What::Begin { fault: index as u16 });
        }
        let safety_ns = setup.stage().safety_ns;
        net.queue.push(safety_ns, What::Heal);
        net.queue.push(safety_ns + LIVENESS_NS, What::GiveUp);
        Self {
            chance,
            ambush_ns: faults::AMBUSH_NS.min(safety_ns / 20),
            net,
            servers,
            clients,
            shared,
            progress: vec![Progress::default(); plan.faults.len()],
            plan,
            fired: [0; FaultKind::ALL.len()],
            struck_nobody: [false; FaultKind::ALL.len()],
            deaths: Vec::new(),
            power_losses: Vec::new(),
            digest: setup.seed,
            events: 0,
        }
    }

    #[inline]
    fn carry_out(&mut self, at_ns: u64, what: What) {
        match what {
            What::Arrive { pipe } => {
                self.digest = roll(self.digest, at_ns ^ u64::from(pipe) << 48 ^ 1 << 62);
                self.arrive(pipe);
            }
            What::Wake { host, lane, generation } => {
                self.digest = roll(self.digest, at_ns ^ u64::from(host) << 48 ^ 1 << 61);
                self.wake(host, lane, generation);
            }
            What::Run { server } => {
                self.digest = roll(self.digest, at_ns ^ u64::from(server) << 48 ^ 1 << 60);
                self.servers[usize::from(server)].run(&mut self.net);
            }
            What::Disk { server, lane, generation } => {
                self.digest = roll(self.digest, at_ns ^ u64::from(server) << 48 ^ 1 << 57);
                self.digest = roll(self.digest, u64::from(lane));
                self.spring(server);
                self.servers[usize::from(server)].disk_ends(&mut self.net, lane, generation);
            }
            What::Start { server } => {
                self.digest = roll(self.digest, at_ns ^ u64::from(server) << 48 ^ 1 << 56);
                self.servers[usize::from(server)].start_again(&mut self.net);
            }
            What::Begin { fault } => {
                self.digest = roll(self.digest, at_ns ^ u64::from(fault) << 48 ^ 1 << 59);
                self.begin(fault);
            }
            What::Turn { fault, generation } => {
                self.digest = roll(self.digest, at_ns ^ u64::from(fault) << 48 ^ 1 << 58);
                self.turn(fault, generation);
            }
            What::Heal => {
                for index in 0..self.servers.len() {
                    self.roll_digest(self.servers[index].digest());
                }
                self.heal();
            }
            What::GiveUp => {}
        }
    }

    #[inline]
    fn arrive(&mut self, pipe: u32) {
        let Some(arrival) = self.net.arrive(pipe) else {
            return self.net.arrive_next(pipe);
        };
        self.digest = roll(self.digest, arrival.kind as u64);
        self.digest = roll_bytes(self.digest, self.net.front(pipe, arrival.len));
        let conn = &self.net.conns[arrival.conn as usize];
        let (client, server) = (usize::from(conn.client), usize::from(conn.server));
        match arrival.toward {
            Toward::Server => self.servers[server].arrived(&mut self.net, arrival),
            Toward::Client => {
                let client = &mut self.clients[client - self.servers.len()];
                client.arrived(&mut self.net, &mut self.shared, arrival);
                self.servers[server].delivered(&mut self.net, arrival.conn);
            }
        }
        self.net.arrive_next(pipe);
    }

    #[inline]
    fn wake(&mut self, host: u16, lane: queue::Lane, generation: u32) {
        match usize::from(host).checked_sub(self.servers.len()) {
            None => {
                let server = &mut self.servers[usize::from(host)];
                if server.timer.take(generation) {
                    server.wake(&mut self.net);
                }
            }
            Some(client) => {
                let client = &mut self.clients[client];
                if client.timers[lane as usize].take(generation) {
                    client.wake(&mut self.net, &mut self.shared);
                }
            }
        }
    }

    /// Adds what is on a server's disk.
    fn roll_disk(&mut self, server: usize) {
        if let Some(storage) = &self.servers[server].storage {
            self.digest = roll(self.digest, storage.disk.digest());
        }
    }

    fn roll_digest(&mut self, digest: Digest) {
        self.digest = roll(self.digest, digest.0 as u64);
        self.digest = roll(self.digest, (digest.0 >> 64) as u64);
    }

    fn files(&mut self) -> Files {
        let storages = self.servers.iter().filter_map(|server| server.storage.as_ref());
        let figures =
            storages.map(|storage| storage.figures).fold(Figures::default(), Figures::and);
        let stands = |kind: FaultKind| {
            matches!(kind, FaultKind::Pause | FaultKind::VmFreeze | FaultKind::DiskStall)
        };
        let stood_ns = |host: usize| {
            let faults = self.plan.faults.iter();
            let own = faults.filter(|planned| usize::from(planned.fault.host) == host);
            own.filter(|planned| stands(planned.fault.kind)).map(|planned| planned.lasts_ns).sum()
        };
        let stood_ns = (0..self.servers.len()).map(stood_ns).collect();
        let mut files = Files { figures, stood_ns, ..Files::default() };
        files.power_losses = core::mem::take(&mut self.power_losses);
        for server in &mut self.servers {
            files.emptied.append(&mut server.emptied);
            files.refused.append(&mut server.refused);
            files.starts.extend(server.starts.drain(..).map(|at_ns| (server.host, at_ns)));
            let own = server.own_deaths.drain(..);
            self.deaths.extend(own.map(|at_ns| Death { server: server.host, at_ns, keys: 0 }));
        }
        self.deaths.sort_by_key(|death| death.at_ns);
        files
    }

    fn finish(mut self, log: Vec<u64>) -> Outcome {
        for index in 0..self.servers.len() {
            self.servers[index].check_invariants();
            self.roll_digest(self.servers[index].digest());
            self.roll_disk(index);
        }
        let files = self.files();
        let now_ns = self.net.now_ns;
        let longest_ms = self.shared.menu.longest_ttl_ms();
        let clock_error_ms = self.servers.iter().map(|server| {
            let bound = server.clock.bound(now_ns);
            // Drift, the engine's own slewing, rounding at both ends, and time that never was.
            let ppm = bound.rate_ppm + Config::default().ttl_clock_slew_ppm + 1;
            longest_ms * ppm / 1_000_000 + 2 + bound.frozen_ns.div_ceil(1_000_000)
        });
        let waiting = self.clients.iter().filter(|client| !client.is_finished());
        let Traffic { messages, held, lost, pieces, swallowed, .. } = self.net.traffic;
        Outcome {
            digest: self.digest,
            events: self.events,
            steps: self.servers.iter().map(|server| server.steps).sum(),
            simulated_ns: now_ns,
            fired: self.fired,
            struck_nobody: self.struck_nobody,
            clock_error_ms: clock_error_ms.collect(),
            starved: waiting.map(Client::describe).collect(),
            overfull: self.servers.iter().filter_map(Server::overfull).collect(),
            files,
            effects: Effects {
                messages,
                held,
                lost,
                pieces,
                swallowed,
                waited: self.servers.iter().map(|server| server.waited).sum(),
                evicted: self.servers.iter().map(|server| server.evicted()).sum(),
                script_steps: self.servers.iter().map(|server| server.script_steps).sum(),
            },
            deaths: self.deaths,
            journal: self.shared.journal,
            log,
        }
    }
}

/// Decisions at deaths have this in their key, beside the number of the host.
const DEATHS: u64 = 1 << 32;
/// Decisions about what rots.
const ROT: u64 = 2 << 32;

/// The settings of all servers.
fn config(setup: &Setup, knobs: &Knobs) -> Config {
    let mut config = Config {
        databases: knobs.databases,
        step_commands_max: knobs.step_commands_max,
        encodings: knobs.encodings(),
        ttl_clock: setup.ttl_clock,
        tracking_table_max_keys: knobs.tracked_keys_max,
        busy_reply_threshold_ms: knobs.busy_ms,
        protected_mode: false,
        planted: setup.planted,
        ..Config::default()
    };
    if setup.keeping != Keeping::Nothing {
        let names = ["rdb-key-save-delay", "key-load-delay"];
        for (name, delay_us) in names.into_iter().zip(knobs.key_delays_us) {
            config.set(name, &[&delay_us.to_string()]).expect("the engine has this parameter");
        }
        if setup.lock_grace && setup.workloads.contains(&Workload::Locks) {
            let pattern = format!("{}*", Workload::Locks.prefix());
            config.set("lock-grace", &[&pattern]).expect("the engine has this parameter");
        }
        if let Some(log_sync) = setup.keeping.log_sync() {
            // SAVE and a rewrite that begins get in each other's way: each world has one of them.
            let saves = setup.workloads.contains(&Workload::Saves);
            let rewrite = if saves { 1 << 30 } else { knobs.rewrite_bytes }.to_string();
            let settings = [
                ("appendonly", "yes"),
                ("appendfsync", log_sync),
                ("auto-aof-rewrite-min-size", &rewrite),
            ];
            for (name, word) in settings {
                config.set(name, &[word]).expect("the engine has this parameter");
            }
        }
    }
    if let Some(memory) = setup.memory {
        config.eviction.policy = memory.policy;
        config.eviction.protected_keys =
            lasting(setup).iter().map(|name| format!("{name}*")).collect();
    }
    config
}

/// How keys begin that no server with little memory may evict: those of all whose checkers know
/// nothing of eviction, and of one more workload.
pub(crate) fn lasting(setup: &Setup) -> Vec<String> {
    let by_rules = |workload: &Workload| {
        let key = crate::workload::KeyName { workload: *workload, index: 0 };
        crate::judge::has_own_checker(key)
    };
    let one_more = Workload::Counters;
    let lasting = |workload: &Workload| by_rules(workload) || *workload == one_more;
    let lasting = Workload::ALL.into_iter().filter(lasting);
    lasting.filter(|workload| setup.workloads.contains(workload)).map(Workload::prefix).collect()
}

/// How many clients do bulk work: one per server, but not all if there is other work.
pub(crate) fn bulk_clients(setup: &Setup) -> usize {
    if !setup.workloads.contains(&Workload::Bulk) {
        0
    } else if setup.workloads.len() == 1 {
        setup.clients
    } else {
        setup.servers.min(setup.clients - 1)
    }
}
