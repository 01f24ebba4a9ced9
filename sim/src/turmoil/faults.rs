//! Carries out a plan of faults on a turmoil simulation.
//!
//! Invariant: after [`Faults::heal`] every link is whole, every server runs and no clock is off by
//! more than it was set.

use std::rc::Rc;
use std::time::Duration;

use turmoil::Sim;

use super::platform::Machine;
use super::{FAULTS, client_name, latency, server_name};
use crate::chance::{Chance, Stream};
use crate::fault::FaultKind;
use crate::plan::Planned;
use crate::setup::{Knobs, Setup};
use crate::world::Death;

/// What a link is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LinkState {
    to_server_cut: bool,
    to_client_cut: bool,
    held: bool,
    delay_ns: u64,
}

/// The plan and how far it has come.
pub(super) struct Faults {
    chance: Chance,
    servers: u16,
    clients: u16,
    latency: (Duration, Duration),
    machines: Vec<Rc<Machine>>,
    /// Faults that are still to come, the next one last.
    waiting: Vec<Planned>,
    /// Faults that last, with the time of their end.
    active: Vec<(u64, Planned)>,
    links: Vec<LinkState>,
    pub(super) deaths: Vec<Death>,
    pub(super) fired: [u32; FaultKind::ALL.len()],
}

impl Faults {
    pub(super) fn new(setup: &Setup, knobs: &Knobs, machines: &[Rc<Machine>]) -> Self {
        let mut waiting = setup.plan().faults;
        waiting.reverse();
        Self {
            chance: setup.chance(),
            servers: setup.servers as u16,
            clients: setup.clients as u16,
            latency: latency(knobs),
            machines: machines.to_vec(),
            waiting,
            active: Vec::new(),
            links: vec![LinkState::default(); setup.servers * setup.clients],
            deaths: Vec::new(),
            fired: [0; FaultKind::ALL.len()],
        }
    }

    /// Does what is due.
    pub(super) fn carry_out(&mut self, sim: &mut Sim<'_>, now_ns: u64) {
        let over: Vec<Planned> =
            self.active.extract_if(.., |(end_ns, _)| *end_ns <= now_ns).map(|(_, of)| of).collect();
        let mut changed = !over.is_empty();
        for planned in over {
            self.end(sim, planned);
        }
        while let Some(planned) = self.waiting.pop_if(|planned| planned.at_ns <= now_ns) {
            changed = true;
            self.begin(sim, planned, now_ns);
        }
        if changed {
            self.set_links(sim);
        }
        for (_, planned) in &self.active {
            if planned.fault.kind == FaultKind::ClockStrobe {
                let since_ns = now_ns.saturating_sub(planned.at_ns);
                let odd = since_ns / planned.fault.period_ns.max(1) % 2 == 1;
                let offset_us = if odd { 0 } else { planned.fault.amount / 1_000 };
                self.machines[usize::from(planned.fault.host)].strobe_us.set(offset_us);
            }
        }
    }

    /// Ends all faults and starts every server again.
    pub(super) fn heal(&mut self, sim: &mut Sim<'_>) {
        self.waiting.clear();
        for (_, planned) in core::mem::take(&mut self.active) {
            self.end(sim, planned);
        }
        self.set_links(sim);
    }

    fn begin(&mut self, sim: &mut Sim<'_>, planned: Planned, now_ns: u64) {
        let fault = planned.fault;
        if !FAULTS.contains(&fault.kind) {
            // It does not strike, and whoever judges the run finds that out.
            return;
        }
        self.fired[fault.kind.index()] += 1;
        let mut lasts_ns = planned.lasts_ns;
        match fault.kind {
            FaultKind::Kill => self.kill(sim, fault.host, now_ns),
            FaultKind::PowerLoss => {
                // Nobody is told: the links are cut before the sockets close.
                self.active.push((now_ns + lasts_ns, planned));
                self.set_links(sim);
                return self.kill(sim, fault.host, now_ns);
            }
            FaultKind::ClockStep => {
                let offset_us = &self.machines[usize::from(fault.host)].wall_offset_us;
                offset_us.set(offset_us.get().saturating_add(fault.amount / 1_000));
            }
            FaultKind::HalfOpen => {
                // The plan gives it no end: connections of the world never recover from it.
                let key = self.chance.key(Stream::Fault, u64::from(fault.host));
                lasts_ns = key.at(planned.at_ns).between(200_000_000, 3_000_000_000);
            }
            _ => {}
        }
        if lasts_ns > 0 {
            self.active.push((now_ns + lasts_ns, planned));
        }
    }

    fn kill(&mut self, sim: &mut Sim<'_>, server: u16, now_ns: u64) {
        sim.crash(server_name(server));
        self.deaths.push(Death { server, at_ns: now_ns, keys: 0 });
    }

    fn end(&self, sim: &mut Sim<'_>, planned: Planned) {
        let host = planned.fault.host;
        match planned.fault.kind {
            FaultKind::Kill | FaultKind::PowerLoss => {
                sim.bounce(server_name(host));
            }
            FaultKind::ClockStrobe => self.machines[usize::from(host)].strobe_us.set(0),
            _ => {}
        }
    }

    /// Makes every link what the active faults say.
    fn set_links(&mut self, sim: &Sim<'_>) {
        for server in 0..self.servers {
            for client in 0..self.clients {
                let at = usize::from(server) * usize::from(self.clients) + usize::from(client);
                let (old, new) = (self.links[at], self.wanted(server, client));
                if old != new {
                    self.links[at] = new;
                    self.set_link(sim, (server, client), old, new);
                }
            }
        }
    }

    fn wanted(&self, server: u16, client: u16) -> LinkState {
        let hosts = usize::from(self.servers + self.clients);
        let (s, c) = (usize::from(server), usize::from(self.servers + client));
        let mut link = LinkState::default();
        for (_, planned) in &self.active {
            let fault = &planned.fault;
            let touches = [s, c].contains(&usize::from(fault.host));
            match fault.kind {
                FaultKind::PowerLoss if usize::from(fault.host) == s => {
                    (link.to_server_cut, link.to_client_cut) = (true, true);
                }
                FaultKind::HalfOpen => link.held |= touches,
                FaultKind::Latency if touches => link.delay_ns += fault.amount.unsigned_abs(),
                _ => {
                    link.to_server_cut |= fault.cuts(c, s, hosts);
                    link.to_client_cut |= fault.cuts(s, c, hosts);
                }
            }
        }
        // A link that is cut has nothing to hold.
        link.held &= !link.to_server_cut && !link.to_client_cut;
        link
    }

    fn set_link(
        &self,
        sim: &Sim<'_>,
        (server, client): (u16, u16),
        old: LinkState,
        new: LinkState,
    ) {
        let (server, client) = (server_name(server), client_name(client));
        let (server, client) = (server.as_str(), client.as_str());
        if old.held && !new.held {
            sim.release(server, client);
        }
        for (from, to, was_cut, cut) in [
            (client, server, old.to_server_cut, new.to_server_cut),
            (server, client, old.to_client_cut, new.to_client_cut),
        ] {
            if cut && !was_cut {
                sim.partition_oneway(from, to);
            } else if was_cut && !cut {
                sim.repair_oneway(from, to);
            }
        }
        if new.held && !old.held {
            sim.hold(server, client);
        }
        if old.delay_ns != new.delay_ns {
            let delay = Duration::from_nanos(new.delay_ns);
            // Sets the least and the greatest, so that the least is never above.
            sim.set_link_latency(server, client, self.latency.0 + delay);
            sim.set_link_max_message_latency(server, client, self.latency.1 + delay);
        }
    }
}
