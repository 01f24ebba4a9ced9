//! Faults carried out: each begins, perhaps turns (a strobe), and ends.
//!
//! Invariant: what a fault did is undone exactly, whatever else began or ended meanwhile; so links
//! count their cuts and hosts their stops.

use super::World;
use super::network::{End, Kind, Toward};
use super::queue::What;
use crate::chance::Stream;
use crate::fault::{Fault, FaultKind};
use crate::plan::Planned;

/// How far a planned fault is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) state: Stage,
    /// Which turn is the valid one.
    generation: u16,
    /// When it is to end.
    ends_ns: u64,
    /// The host that was chosen when it began.
    host: u16,
    /// Whether it has tried to begin.
    tried: bool,
    /// How far a strobe has moved the clock.
    moved_ns: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Waiting,
    InForce,
    Over,
}

/// A fault of one connection that finds none tries again after this.
const RETRY_NS: u64 = 10_000_000;
/// After this it strikes a connection of another client.
const STRIKE_PATIENCE_NS: u64 = 1_000_000_000;
/// A death waits at most so long for the server's disk to have something to do.
pub(super) const AMBUSH_NS: u64 = 2_000_000_000;

impl World {
    /// A planned fault begins.
    pub(super) fn begin(&mut self, index: u16) {
        if self.progress[usize::from(index)].state != Stage::Waiting {
            return;
        }
        if self.lies_in_wait(index) || !self.strike_planned(index) {
            self.net.queue.push(self.net.now_ns + RETRY_NS, What::Begin { fault: index });
        }
    }

    /// A planned fault strikes; false if there is nothing to strike.
    fn strike_planned(&mut self, index: u16) -> bool {
        let place = usize::from(index);
        let planned = self.plan.faults[place];
        if !self.strike(place, planned.fault) {
            return false;
        }
        self.fired[planned.fault.kind.index()] += 1;
        let progress = &mut self.progress[place];
        if planned.lasts_ns == 0 {
            progress.state = Stage::Over;
            return true;
        }
        progress.state = Stage::InForce;
        progress.ends_ns = self.net.now_ns + planned.lasts_ns;
        self.plan_turn(index);
        true
    }

    /// Whether a death waits for the server's disk.
    fn lies_in_wait(&mut self, index: u16) -> bool {
        let Planned { at_ns, fault, .. } = self.plan.faults[usize::from(index)];
        let is_late = self.net.now_ns >= at_ns + self.ambush_ns;
        if !fault.kind.is_death() || fault.amount <= 0 || is_late {
            return false;
        }
        let storage = self.servers[usize::from(fault.host)].storage.as_mut();
        let Some(storage) = storage else { return false };
        if !core::mem::replace(&mut self.progress[usize::from(index)].tried, true) {
            storage.ambush = Some((index, fault.amount.unsigned_abs()));
        }
        true
    }

    /// An operation of a server's disk is about to end: that may be when the server dies.
    pub(super) fn spring(&mut self, server: u16) {
        let storage = self.servers[usize::from(server)].storage.as_mut();
        if let Some(index) = storage.and_then(super::Storage::springs)
            && self.progress[usize::from(index)].state == Stage::Waiting
        {
            self.strike_planned(index);
        }
    }

    fn plan_turn(&mut self, index: u16) {
        let place = usize::from(index);
        let period_ns = self.plan.faults[place].fault.period_ns;
        let progress = &mut self.progress[place];
        progress.generation = progress.generation.wrapping_add(1);
        let next_ns = match period_ns {
            0 => progress.ends_ns,
            _ => progress.ends_ns.min(self.net.now_ns + period_ns),
        };
        let what = What::Turn { fault: index, generation: progress.generation };
        self.net.queue.push(next_ns, what);
    }

    /// A fault in force does its next piece of work, or ends.
    pub(super) fn turn(&mut self, index: u16, generation: u16) {
        let progress = self.progress[usize::from(index)];
        if progress.state != Stage::InForce || progress.generation != generation {
            return;
        }
        if self.net.now_ns >= progress.ends_ns {
            self.end(usize::from(index));
        } else {
            self.strobe(usize::from(index));
            self.plan_turn(index);
        }
    }

    /// All faults end: the liveness phase begins.
    pub(super) fn heal(&mut self) {
        for place in 0..self.progress.len() {
            if self.progress[place].state == Stage::InForce {
                self.end(place);
            }
            let kind = self.plan.faults[place].fault.kind;
            let needs_connection = matches!(kind, FaultKind::HalfOpen | FaultKind::Reset);
            if needs_connection && self.progress[place].state == Stage::Waiting {
                self.struck_nobody[kind.index()] = true;
            }
            self.progress[place].state = Stage::Over;
        }
        for server in &mut self.servers {
            if let Some(storage) = &mut server.storage {
                storage.disk.trouble.misdirected = 0;
            }
        }
        self.net.weather.loss = 0;
        self.net.weather.spike_one_in = 1 << 40;
        self.shared.healed_ns = Some(self.net.now_ns);
        self.clients.iter_mut().for_each(super::Client::heal);
    }

    /// Does the harm; false if there is nothing to do it to.
    fn strike(&mut self, place: usize, fault: Fault) -> bool {
        let host = usize::from(fault.host);
        self.progress[place].host = fault.host;
        match fault.kind {
            FaultKind::Kill | FaultKind::PowerLoss => {
                return self.strike_dead(place, host, fault.kind);
            }
            FaultKind::Pause => self.servers[host].stopped += 1,
            FaultKind::ClientPause => {
                let servers = self.servers.len();
                self.clients[host - servers].stopped += 1;
            }
            FaultKind::VmFreeze => {
                self.net.leave(host);
                let server = &mut self.servers[host];
                server.frozen += 1;
                server.clock.freeze(self.net.now_ns);
                server.timer.cancel();
            }
            FaultKind::ClockStep => self.step_clock(host, fault.amount),
            FaultKind::ClockDrift | FaultKind::ClockSlew => self.add_rate(host, fault.amount),
            FaultKind::ClockStrobe => self.strobe(place),
            FaultKind::HalfOpen | FaultKind::Reset => return self.strike_connection(place),
            FaultKind::Latency | FaultKind::Loss | FaultKind::Slow => self.worsen(fault, true),
            FaultKind::IsolatePrimary => {
                let primary = self.primary();
                self.progress[place].host = primary;
                self.cut(Fault { host: primary, ..fault }, true);
            }
            FaultKind::PartitionOneWay
            | FaultKind::PartitionHalves
            | FaultKind::PartitionRing
            | FaultKind::PartitionBridge
            | FaultKind::Isolate => self.cut(fault, true),
            FaultKind::DiskStall
            | FaultKind::DiskError
            | FaultKind::DiskFull
            | FaultKind::SyncFailure
            | FaultKind::BitRot
            | FaultKind::MisdirectedWrite
            | FaultKind::DiskLie => return self.strike_disk(place, fault),
        }
        true
    }

    /// Undoes it.
    fn end(&mut self, place: usize) {
        let fault = self.plan.faults[place].fault;
        let host = usize::from(self.progress[place].host);
        self.progress[place].state = Stage::Over;
        match fault.kind {
            FaultKind::Kill => self.servers[host].start(&mut self.net),
            FaultKind::PowerLoss => {
                self.net.come_back(host);
                self.servers[host].clock.reboot(self.net.now_ns);
                self.servers[host].start(&mut self.net);
                self.net.try_again();
            }
            FaultKind::Pause => {
                self.servers[host].stopped -= 1;
                self.servers[host].go_on(&mut self.net);
            }
            FaultKind::ClientPause => {
                let client = &mut self.clients[host - self.servers.len()];
                client.stopped -= 1;
                client.go_on(&mut self.net, &mut self.shared);
            }
            FaultKind::VmFreeze => {
                let server = &mut self.servers[host];
                server.frozen -= 1;
                server.clock.thaw(self.net.now_ns, fault.amount != 0);
                self.net.come_back(host);
                self.net.try_again();
                self.servers[host].go_on(&mut self.net);
            }
            FaultKind::ClockDrift | FaultKind::ClockSlew => self.add_rate(host, -fault.amount),
            FaultKind::ClockStrobe => {
                let moved_ns = core::mem::take(&mut self.progress[place].moved_ns);
                self.step_clock(host, -moved_ns);
            }
            FaultKind::Latency | FaultKind::Loss | FaultKind::Slow => self.worsen(fault, false),
            FaultKind::ClockStep | FaultKind::HalfOpen | FaultKind::Reset => {}
            FaultKind::DiskStall
            | FaultKind::DiskError
            | FaultKind::DiskFull
            | FaultKind::SyncFailure
            | FaultKind::DiskLie => self.relieve_disk(host, fault.kind),
            FaultKind::BitRot | FaultKind::MisdirectedWrite => {}
            FaultKind::PartitionOneWay
            | FaultKind::PartitionHalves
            | FaultKind::PartitionRing
            | FaultKind::PartitionBridge
            | FaultKind::Isolate
            | FaultKind::IsolatePrimary => {
                self.cut(Fault { host: host as u16, ..fault }, false);
                self.net.try_again();
            }
        }
    }

    /// A disk gets into trouble; false if there is nothing on it that could.
    fn strike_disk(&mut self, place: usize, fault: Fault) -> bool {
        let rot = self.chance.key(Stream::Disk, u64::from(fault.host) | super::ROT);
        let storage = self.servers[usize::from(fault.host)].storage.as_mut();
        let Some(disk) = storage.map(|storage| &mut storage.disk) else { return false };
        let used_bytes = disk.used_bytes();
        let trouble = &mut disk.trouble;
        match fault.kind {
            FaultKind::DiskStall => trouble.stalls += 1,
            FaultKind::DiskError => trouble.errors += 1,
            FaultKind::SyncFailure => trouble.failing_syncs += 1,
            FaultKind::DiskLie => trouble.lying += 1,
            FaultKind::MisdirectedWrite => trouble.misdirected += 1,
            FaultKind::DiskFull => {
                trouble.full += 1;
                trouble.capacity = Some(used_bytes + fault.amount.unsigned_abs());
            }
            _ => return disk.rot(&mut rot.at(place as u64)).is_some(),
        }
        true
    }

    fn relieve_disk(&mut self, host: usize, kind: FaultKind) {
        let Some(storage) = &mut self.servers[host].storage else { return };
        let trouble = &mut storage.disk.trouble;
        match kind {
            FaultKind::DiskStall => trouble.stalls -= 1,
            FaultKind::DiskError => trouble.errors -= 1,
            FaultKind::SyncFailure => trouble.failing_syncs -= 1,
            FaultKind::DiskLie => trouble.lying -= 1,
            _ => {
                trouble.full -= 1;
                trouble.capacity = trouble.capacity.filter(|_| trouble.full > 0);
            }
        }
    }

    fn strike_dead(&mut self, place: usize, host: usize, kind: FaultKind) -> bool {
        if !self.servers[host].is_up() {
            return false;
        }
        let resets = kind == FaultKind::Kill;
        let (digest, keys) = self.servers[host].die(&mut self.net, resets, place as u64);
        self.roll_disk(host);
        if !resets {
            self.net.leave(host);
        }
        self.roll_digest(digest);
        self.servers[host].died_ns = self.net.now_ns;
        if !resets {
            self.power_losses.push((host as u16, self.net.now_ns));
        }
        self.deaths.push(super::Death { server: host as u16, at_ns: self.net.now_ns, keys });
        true
    }

    /// Breaks a connection of the client that was meant, or of another one.
    fn strike_connection(&mut self, place: usize) -> bool {
        let Planned { at_ns, fault, .. } = self.plan.faults[place];
        let meant = usize::from(fault.host) - self.servers.len();
        // One that finds no server for a while is none that a connection could be taken from.
        let others =
            if self.net.now_ns < at_ns + STRIKE_PATIENCE_NS { 1 } else { self.clients.len() };
        let found = self.clients.iter().cycle().skip(meant).take(others).find_map(|client| {
            // Of two connections, either may be struck.
            let second = client.second_connection(&self.net).filter(|_| at_ns.is_multiple_of(2));
            second.or_else(|| client.connection(&self.net))
        });
        let Some(index) = found else { return false };
        if fault.kind == FaultKind::HalfOpen {
            for pipe in &mut self.net.conns[index as usize].pipes {
                pipe.swallowed = true;
            }
        } else {
            self.net.post(index, Toward::Client, Kind::Rst);
            if self.net.conns[index as usize].at_server == End::Open {
                self.net.post(index, Toward::Server, Kind::Rst);
            }
        }
        true
    }

    /// The server that most clients are connected to.
    fn primary(&self) -> u16 {
        let mut clients = vec![0; self.servers.len()];
        for client in &self.clients {
            if let Some(index) = client.connection(&self.net) {
                clients[usize::from(self.net.conns[index as usize].server)] += 1;
            }
        }
        let most = clients.iter().copied().max().unwrap_or(0);
        clients.iter().position(|&count| count == most).unwrap_or(0) as u16
    }

    fn cut(&mut self, fault: Fault, begins: bool) {
        let hosts = self.net.hosts;
        for from in 0..hosts {
            for to in 0..hosts {
                if fault.cuts(from, to, hosts) {
                    let cuts = &mut self.net.links[from * hosts + to].cuts;
                    *cuts = if begins { *cuts + 1 } else { *cuts - 1 };
                }
            }
        }
    }

    fn worsen(&mut self, fault: Fault, begins: bool) {
        let (hosts, host) = (self.net.hosts, usize::from(fault.host));
        let amount = fault.amount.unsigned_abs();
        for (place, link) in self.net.links.iter_mut().enumerate() {
            if place / hosts != host && place % hosts != host {
                continue;
            }
            let what = match fault.kind {
                FaultKind::Latency => &mut link.extra_ns,
                FaultKind::Loss => &mut link.extra_loss,
                _ => &mut link.byte_ns,
            };
            *what = if begins { *what + amount } else { *what - amount };
        }
    }

    fn step_clock(&mut self, host: usize, by_ns: i64) {
        self.servers[host].clock.step_wall(self.net.now_ns, by_ns);
        self.servers[host].go_on(&mut self.net);
    }

    fn strobe(&mut self, place: usize) {
        let fault = self.plan.faults[place].fault;
        let moved_ns = self.progress[place].moved_ns;
        let by_ns = if moved_ns == 0 { fault.amount } else { -moved_ns };
        self.progress[place].moved_ns += by_ns;
        self.step_clock(usize::from(fault.host), by_ns);
    }

    fn add_rate(&mut self, host: usize, ppm: i64) {
        let now_ns = self.net.now_ns;
        match host.checked_sub(self.servers.len()) {
            None => {
                self.servers[host].clock.add_rate(now_ns, ppm);
                self.servers[host].go_on(&mut self.net);
            }
            Some(client) => {
                self.clients[client].clock.add_rate(now_ns, ppm);
                self.clients[client].go_on(&mut self.net, &mut self.shared);
            }
        }
    }
}
