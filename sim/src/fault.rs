//! The faults that a world knows: what they are called and what they need to be carried out.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of fault; the names are those of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// kill -9 of a server's process: peers get a reset, the process starts again with what is in
    /// its files.
    Kill,
    /// A server's machine loses power: silence, then a boot.
    PowerLoss,
    /// SIGSTOP of a server: clocks go on, the kernel goes on receiving.
    Pause,
    /// SIGSTOP of a client.
    ClientPause,
    /// A server's virtual machine is suspended: clocks stand still, nothing is received.
    VmFreeze,
    /// A server's wall clock is set forward or back.
    ClockStep,
    /// A host's clocks run at another rate for a while.
    ClockDrift,
    /// A host's clocks are slewed, as time daemons do.
    ClockSlew,
    /// A server's wall clock jumps to and fro.
    ClockStrobe,
    /// Packets from some hosts to some others are lost.
    PartitionOneWay,
    /// The hosts fall into two halves.
    PartitionHalves,
    /// Each host reaches a majority, but no two reach the same.
    PartitionRing,
    /// Two halves that have one host in common.
    PartitionBridge,
    /// One host reaches nobody.
    Isolate,
    /// The server with the most clients reaches nobody.
    IsolatePrimary,
    /// One connection swallows everything, and neither end is told.
    HalfOpen,
    /// One connection is reset by something in the middle.
    Reset,
    /// The links of one host take longer.
    Latency,
    /// The links of one host lose packets.
    Loss,
    /// The links of one host have little bandwidth.
    Slow,
    /// A server's disk takes seconds for what it is asked.
    DiskStall,
    /// Half of what is read from a server's disk or appended to its files fails.
    DiskError,
    /// There is no more room on a server's disk.
    DiskFull,
    /// Half of the syncs of a server's disk fail and throw away what they were to write.
    SyncFailure,
    /// A bit of a file that is safe turns over.
    BitRot,
    /// A sector that is to be written ends elsewhere.
    MisdirectedWrite,
    /// A server's disk says that it has synced and has not. No server survives this.
    DiskLie,
}

impl FaultKind {
    /// What happens when nothing else is said: what needs no disk.
    pub const DEFAULT: [Self; 20] = [
        Self::Kill,
        Self::PowerLoss,
        Self::Pause,
        Self::ClientPause,
        Self::VmFreeze,
        Self::ClockStep,
        Self::ClockDrift,
        Self::ClockSlew,
        Self::ClockStrobe,
        Self::PartitionOneWay,
        Self::PartitionHalves,
        Self::PartitionRing,
        Self::PartitionBridge,
        Self::Isolate,
        Self::IsolatePrimary,
        Self::HalfOpen,
        Self::Reset,
        Self::Latency,
        Self::Loss,
        Self::Slow,
    ];
    /// What happens to disks and leaves a server a chance.
    pub const DISKS: [Self; 6] = [
        Self::DiskStall,
        Self::DiskError,
        Self::DiskFull,
        Self::SyncFailure,
        Self::BitRot,
        Self::MisdirectedWrite,
    ];
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 27] = {
        let mut all = [Self::DiskLie; 27];
        let (mut at, split) = (0, Self::DEFAULT.len());
        while at < split + Self::DISKS.len() {
            all[at] = if at < split { Self::DEFAULT[at] } else { Self::DISKS[at - split] };
            at += 1;
        }
        all
    };

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::PowerLoss => "power-loss",
            Self::Pause => "pause",
            Self::ClientPause => "client-pause",
            Self::VmFreeze => "vm-freeze",
            Self::ClockStep => "clock-step",
            Self::ClockDrift => "clock-drift",
            Self::ClockSlew => "clock-slew",
            Self::ClockStrobe => "clock-strobe",
            Self::PartitionOneWay => "partition-one-way",
            Self::PartitionHalves => "partition-halves",
            Self::PartitionRing => "partition-ring",
            Self::PartitionBridge => "partition-bridge",
            Self::Isolate => "isolate",
            Self::IsolatePrimary => "isolate-primary",
            Self::HalfOpen => "half-open",
            Self::Reset => "reset",
            Self::Latency => "latency",
            Self::Loss => "loss",
            Self::Slow => "slow",
            Self::DiskStall => "disk-stall",
            Self::DiskError => "disk-error",
            Self::DiskFull => "disk-full",
            Self::SyncFailure => "sync-failure",
            Self::BitRot => "bit-rot",
            Self::MisdirectedWrite => "misdirected-write",
            Self::DiskLie => "disk-lie",
        }
    }

    /// The kinds that a word of the command line means: one kind or a group.
    #[must_use]
    pub fn named(word: &str) -> Option<Vec<Self>> {
        let group: fn(Self) -> bool = match word {
            "none" => |_| false,
            "all" => |kind| Self::DEFAULT.contains(&kind),
            "disks" => |kind| Self::DISKS.contains(&kind),
            "deaths" => Self::is_death,
            "clocks" => |kind| kind.name().starts_with("clock-"),
            "partitions" => {
                |kind| kind.name().starts_with("partition-") || kind.name().starts_with("isolate")
            }
            "network" => |kind| {
                matches!(
                    kind,
                    Self::HalfOpen | Self::Reset | Self::Latency | Self::Loss | Self::Slow
                )
            },
            "pauses" => |kind| matches!(kind, Self::Pause | Self::ClientPause | Self::VmFreeze),
            name => {
                return Self::ALL.iter().find(|kind| kind.name() == name).map(|&kind| vec![kind]);
            }
        };
        Some(Self::ALL.into_iter().filter(|&kind| group(kind)).collect())
    }

    /// Whether it takes the server's memory with it.
    #[must_use]
    pub fn is_death(self) -> bool {
        matches!(self, Self::Kill | Self::PowerLoss)
    }

    /// Whether it happens to a server's disk.
    #[must_use]
    pub fn is_of_disk(self) -> bool {
        self == Self::DiskLie || Self::DISKS.contains(&self)
    }

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of hosts, by bit: servers first, then clients.
pub type Hosts = u64;

/// One fault with everything that it needs; hosts are numbered servers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The host, for faults of one host; the client, for faults of one connection.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub host: u16,
    /// One side of a partition.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub side: Hosts,
    /// How much: nanoseconds for clocks and latency, ppm for rates, of 65,536 for loss,
    /// nanoseconds per byte for bandwidth, bytes of room for a full disk. For a freeze: whether the
    /// wall clock is set afterwards. For a death: in the middle of which of the next operations of
    /// the server's disk it comes; 0: at once.
    #[serde(default, skip_serializing_if = "is_null")]
    pub amount: i64,
    /// How long until a strobe jumps again.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub period_ns: u64,
}

fn is_zero(host: &u16) -> bool {
    *host == 0
}

fn is_nothing(number: &u64) -> bool {
    *number == 0
}

fn is_null(number: &i64) -> bool {
    *number == 0
}

impl Fault {
    /// Whether a partition of this kind stops packets from `from` to `to`, among `hosts` hosts.
    #[must_use]
    pub fn cuts(&self, from: usize, to: usize, hosts: usize) -> bool {
        let in_side = |host: usize| self.side >> host & 1 == 1;
        let one = usize::from(self.host);
        if from == to {
            return false;
        }
        match self.kind {
            FaultKind::PartitionOneWay => in_side(from) && !in_side(to),
            FaultKind::PartitionHalves => in_side(from) != in_side(to),
            FaultKind::PartitionBridge => from != one && to != one && in_side(from) != in_side(to),
            FaultKind::PartitionRing => {
                // A multiplier without a common factor with the number of hosts shuffles the ring.
                let place = |host: usize| host * self.amount.unsigned_abs() as usize % hosts;
                let apart = place(from).abs_diff(place(to));
                // The fewest neighbours on each side that make a majority with the host itself.
                apart.min(hosts - apart) > (hosts / 2).div_ceil(2)
            }
            FaultKind::Isolate | FaultKind::IsolatePrimary => from == one || to == one,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_named_and_in_its_place() {
        for (index, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
            assert_eq!(FaultKind::named(kind.name()), Some(vec![kind]));
        }
        assert_eq!(FaultKind::named("no-such"), None);
        assert_eq!(FaultKind::named("clocks").map(|kinds| kinds.len()), Some(4));
        assert_eq!(FaultKind::named("partitions").map(|kinds| kinds.len()), Some(6));
        assert_eq!(FaultKind::named("disks"), Some(FaultKind::DISKS.to_vec()));
        assert_eq!(FaultKind::named("all"), Some(FaultKind::DEFAULT.to_vec()));
    }

    #[test]
    fn partitions_cut_what_they_say() {
        let fault = |kind| Fault { kind, host: 2, side: 0b0011, amount: 1, period_ns: 0 };
        let cuts = |kind, from, to| fault(kind).cuts(from, to, 4);
        assert!(cuts(FaultKind::PartitionOneWay, 0, 3) && !cuts(FaultKind::PartitionOneWay, 3, 0));
        assert!(cuts(FaultKind::PartitionHalves, 0, 3) && cuts(FaultKind::PartitionHalves, 3, 0));
        assert!(!cuts(FaultKind::PartitionHalves, 0, 1));
        assert!(!cuts(FaultKind::PartitionBridge, 0, 2) && cuts(FaultKind::PartitionBridge, 0, 3));
        assert!(cuts(FaultKind::Isolate, 2, 0) && !cuts(FaultKind::Isolate, 1, 0));
    }

    #[test]
    fn in_a_ring_everybody_reaches_a_majority_and_no_two_the_same() {
        for hosts in [5, 7, 9, 13] {
            let ring = FaultKind::PartitionRing;
            let fault = Fault { kind: ring, host: 0, side: 0, amount: 1, period_ns: 0 };
            let reached: Vec<Vec<usize>> = (0..hosts)
                .map(|from| (0..hosts).filter(|&to| !fault.cuts(from, to, hosts)).collect())
                .collect();
            for (one, view) in reached.iter().enumerate() {
                assert!(view.len() * 2 > hosts && view.len() < hosts, "{hosts}: {view:?}");
                assert!(reached[..one].iter().all(|other| other != view));
            }
        }
    }
}
