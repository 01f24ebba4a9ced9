//! Which faults happen when: drawn from the seed before the run, a value that can be printed,
//! stored, cut down and handed in again.
//!
//! Invariants: each fault is drawn by its own key, so that leaving one out moves no other; faults
//! that need a host's process do not overlap on that host (one that would is drawn again).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chance::{Chance, Draw, Stream};
use crate::fault::{Fault, FaultKind};

/// Most faults in one plan.
pub const FAULTS_MAX: usize = 4_096;

/// A fault and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// True time at which it begins.
    pub at_ns: u64,
    /// How long it lasts; what is over in an instant has none.
    pub lasts_ns: u64,
    /// What happens.
    #[serde(flatten)]
    pub fault: Fault,
}

/// All faults of a run, in the order of their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The faults.
    pub faults: Vec<Planned>,
}

/// What a plan is drawn for.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Hosts `0..servers` are servers.
    pub servers: usize,
    /// The hosts after them are clients.
    pub clients: usize,
    /// How long the safety phase lasts.
    pub safety_ns: u64,
}

const MS: u64 = 1_000_000;
/// Attempts to find a time at which the host's process is not in another fault's hands.
const ATTEMPTS: u64 = 16;

impl Plan {
    /// Draws faults of the given kinds: of each at least one.
    #[must_use]
    pub fn draw(chance: Chance, stage: &Stage, kinds: &[FaultKind]) -> Self {
        let mut faults: Vec<Planned> = Vec::new();
        for &kind in kinds {
            let key = chance.key(Stream::Plan, kind.index() as u64);
            // One every two to ten seconds and kind, fewer when there are many kinds.
            let seconds = stage.safety_ns / 1_000_000_000;
            let most = (seconds / 2 / kinds.len().max(1) as u64).clamp(1, 64);
            let count = key.at(0).between(1, most);
            for index in 0..count {
                let place = (1..=ATTEMPTS)
                    .map(|attempt| place(kind, stage, key.at(index << 8 | attempt)))
                    .find(|new| faults.iter().all(|old| !in_the_way(old, new)));
                faults.extend(place);
            }
        }
        faults.truncate(FAULTS_MAX);
        faults.sort_by_key(|planned| (planned.at_ns, planned.fault.kind, planned.fault.host));
        Self { faults }
    }

    /// The plan without the faults at these places.
    #[must_use]
    pub fn without(mut self, places: &[usize]) -> Self {
        let mut at = 0..;
        self.faults.retain(|_| at.next().is_some_and(|at| !places.contains(&at)));
        self
    }
}

/// Whether two faults would both handle the same host's process or virtual machine.
fn in_the_way(old: &Planned, new: &Planned) -> bool {
    let handles = |kind: FaultKind| {
        use FaultKind as K;
        matches!(kind, K::Kill | K::PowerLoss | K::Pause | K::ClientPause | K::VmFreeze)
    };
    let margin = 20 * MS;
    handles(old.fault.kind)
        && handles(new.fault.kind)
        && old.fault.host == new.fault.host
        && old.at_ns <= new.at_ns + new.lasts_ns + margin
        && new.at_ns <= old.at_ns + old.lasts_ns + margin
}

/// Draws one fault.
fn place(kind: FaultKind, stage: &Stage, mut draw: Draw) -> Planned {
    let at_ns = draw.between(stage.safety_ns / 20, stage.safety_ns * 8 / 10);
    let longest_ns = (stage.safety_ns / 6).max(20 * MS);
    let lasts = |draw: &mut Draw, least_ms: u64, most_ms: u64| {
        draw.spread(least_ms * MS, most_ms * MS).min(longest_ns)
    };
    let (servers, hosts) = (stage.servers as u64, (stage.servers + stage.clients) as u64);
    let mut fault = Fault { kind, host: 0, side: 0, amount: 0, period_ns: 0 };
    fault.host = draw.below(servers) as u16;
    let sign = if draw.chance(1, 2) { 1 } else { -1 };
    let lasts_ns = match kind {
        FaultKind::Kill | FaultKind::PowerLoss => death(&mut fault, &mut draw).min(longest_ns),
        FaultKind::Pause => lasts(&mut draw, 5, 4_000),
        FaultKind::ClientPause => {
            fault.host = (servers + draw.below(stage.clients as u64)) as u16;
            lasts(&mut draw, 5, 4_000)
        }
        FaultKind::VmFreeze => {
            fault.amount = i64::from(draw.chance(1, 2));
            lasts(&mut draw, 5, 2_000)
        }
        FaultKind::ClockStep => {
            // From a tick to a year.
            fault.amount = sign * draw.spread(MS, 365 * 86_400_000 * MS) as i64;
            0
        }
        FaultKind::ClockDrift => {
            fault.host = draw.below(hosts) as u16;
            fault.amount = sign * draw.between(50, 500) as i64;
            lasts(&mut draw, 500, 20_000)
        }
        FaultKind::ClockSlew => {
            fault.host = draw.below(hosts) as u16;
            fault.amount = sign * 500;
            lasts(&mut draw, 100, 5_000)
        }
        FaultKind::ClockStrobe => {
            fault.amount = sign * draw.spread(10 * MS, 10_000 * MS) as i64;
            fault.period_ns = draw.spread(2 * MS, 200 * MS);
            lasts(&mut draw, 200, 2_000)
        }
        FaultKind::HalfOpen | FaultKind::Reset => {
            fault.host = (servers + draw.below(stage.clients as u64)) as u16;
            0
        }
        FaultKind::Latency => {
            fault.host = draw.below(hosts) as u16;
            fault.amount = draw.spread(MS, 1_000 * MS) as i64;
            lasts(&mut draw, 100, 4_000)
        }
        FaultKind::Loss => {
            fault.host = draw.below(hosts) as u16;
            fault.amount = draw.between(1_000, 30_000) as i64;
            lasts(&mut draw, 100, 4_000)
        }
        FaultKind::Slow => {
            fault.host = draw.below(hosts) as u16;
            fault.amount = draw.spread(1_000, 1_000_000) as i64;
            lasts(&mut draw, 100, 4_000)
        }
        kind if kind.is_of_disk() => of_disk(&mut fault, &mut draw).min(longest_ns),
        _ => {
            partition(&mut fault, stage, &mut draw);
            lasts(&mut draw, 50, 6_000)
        }
    };
    Planned { at_ns, lasts_ns, fault }
}

/// Draws how a server dies; how long it is away.
fn death(fault: &mut Fault, draw: &mut Draw) -> u64 {
    let is_kill = fault.kind == FaultKind::Kill;
    let (least_ms, most_ms) = if is_kill { (5, 2_000) } else { (200, 4_000) };
    let lasts_ns = draw.spread(least_ms * MS, most_ms * MS);
    // Some strike in the middle of what the server's disk does.
    fault.amount = if draw.chance(1, 2) { 0 } else { draw.between(1, 12) as i64 };
    lasts_ns
}

/// Draws what happens to a disk; for how long.
fn of_disk(fault: &mut Fault, draw: &mut Draw) -> u64 {
    match fault.kind {
        FaultKind::BitRot | FaultKind::MisdirectedWrite => return 0,
        FaultKind::DiskLie => return u64::MAX,
        FaultKind::DiskFull if draw.chance(1, 2) => {
            fault.amount = draw.spread(64, 65_536) as i64;
        }
        _ => {}
    }
    draw.spread(100 * MS, 4_000 * MS)
}

/// Draws the sides of a partition so that it cuts at least one client off a server.
fn partition(fault: &mut Fault, stage: &Stage, draw: &mut Draw) {
    let hosts = stage.servers + stage.clients;
    if fault.kind == FaultKind::Isolate {
        fault.host = draw.below(hosts as u64) as u16;
    }
    if fault.kind == FaultKind::PartitionBridge {
        fault.host = draw.below(hosts as u64) as u16;
    }
    if fault.kind == FaultKind::PartitionRing {
        let factors: Vec<i64> =
            (1..hosts.max(2)).filter(|&n| gcd(n, hosts) == 1).map(|n| n as i64).collect();
        fault.amount = draw.pick(&factors);
    }
    let all = u64::MAX >> (64 - hosts);
    let servers = all >> stage.clients;
    for _ in 0..64 {
        fault.side = draw.bits() & all;
        let (inside, outside) = (fault.side, !fault.side & all);
        let across = |one: u64, other: u64| one & servers != 0 && other & !servers != 0;
        if across(inside, outside) || across(outside, inside) {
            return;
        }
    }
    fault.side = servers;
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let Fault { kind, host, side, amount, period_ns } = self.fault;
        write!(f, "{:>10.6} s  {kind:<18}", seconds(self.at_ns))?;
        match kind {
            FaultKind::PartitionOneWay | FaultKind::PartitionHalves => {
                write!(f, " side {side:#b}")?;
            }
            FaultKind::PartitionBridge => write!(f, " side {side:#b} over host {host}")?,
            FaultKind::PartitionRing => write!(f, " factor {amount}")?,
            FaultKind::IsolatePrimary => {}
            _ => write!(f, " host {host}")?,
        }
        match kind {
            FaultKind::ClockStep => write!(f, " by {} ms", amount / 1_000_000)?,
            FaultKind::ClockStrobe => {
                write!(f, " by {} ms every {} ms", amount / 1_000_000, period_ns / 1_000_000)?;
            }
            FaultKind::ClockDrift | FaultKind::ClockSlew => write!(f, " {amount} ppm")?,
            FaultKind::Latency => write!(f, " +{} ms", amount / 1_000_000)?,
            FaultKind::Loss => write!(f, " {} of 65536", amount)?,
            FaultKind::Slow => write!(f, " {amount} ns a byte")?,
            FaultKind::DiskFull => write!(f, " with {amount} bytes left")?,
            FaultKind::Kill | FaultKind::PowerLoss if amount != 0 => {
                write!(f, " at operation {amount} of its disk")?;
            }
            FaultKind::VmFreeze if amount != 0 => write!(f, " and the wall clock catches up")?,
            _ => {}
        }
        if self.lasts_ns > 0 {
            write!(f, " for {:.6} s", seconds(self.lasts_ns))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: Stage = Stage { servers: 3, clients: 10, safety_ns: 20_000_000_000 };

    #[test]
    fn a_plan_has_every_kind_and_one_kind_does_not_move_another() {
        for seed in 0..50 {
            let chance = Chance::new(seed);
            let all = Plan::draw(chance, &STAGE, &FaultKind::ALL);
            for kind in FaultKind::ALL {
                assert!(all.faults.iter().any(|planned| planned.fault.kind == kind), "{kind}");
            }
            let pair = [FaultKind::Latency, FaultKind::Reset];
            let two = Plan::draw(chance, &STAGE, &pair);
            let one = Plan::draw(chance, &STAGE, &pair[..1]);
            // The more kinds there are, the fewer faults of each; but those are the same.
            for planned in two.faults.iter().filter(|it| it.fault.kind == pair[0]) {
                assert!(one.faults.contains(planned), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_process_is_in_one_fault_at_a_time() {
        for seed in 0..50 {
            let plan = Plan::draw(Chance::new(seed), &STAGE, &FaultKind::ALL);
            for (place, new) in plan.faults.iter().enumerate() {
                assert!(plan.faults[..place].iter().all(|old| !in_the_way(old, new)));
                assert!(new.at_ns + new.lasts_ns < STAGE.safety_ns);
            }
        }
    }

    #[test]
    fn a_plan_survives_being_written_and_read() {
        let plan = Plan::draw(Chance::new(9), &STAGE, &FaultKind::ALL);
        let text = serde_json::to_string(&plan).expect("it is plain data");
        assert_eq!(serde_json::from_str::<Plan>(&text).expect("as written"), plan);
        assert_eq!(plan.clone().without(&[0, 2]).faults[0], plan.faults[1]);
    }
}
