//! What is the matter with a disk at the moment, and how fast it is at its best.
//!
//! Invariant: whether an operation fails, and how long it takes, is a function of the disk's key,
//! of how many operations it has carried out, and of the troubles in force.

use orrery_engine::disk::DiskOp;

use crate::chance::Draw;

/// How long things take, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Any call of the kernel.
    pub call_ns: u64,
    /// For each 512 bytes that are read or written.
    pub sector_ns: u64,
    /// A sync, at its fastest.
    pub sync_ns: u64,
    /// One operation of this many takes twenty times as long.
    pub spike_one_in: u64,
}

impl Default for Pace {
    /// A good solid-state disk.
    fn default() -> Self {
        Self { call_ns: 5_000, sector_ns: 250, sync_ns: 100_000, spike_one_in: 256 }
    }
}

impl Pace {
    /// Anything between memory that survives and a turning disk that others use too.
    #[must_use]
    pub fn drawn(draw: &mut Draw) -> Self {
        Self {
            call_ns: draw.spread(1_000, 50_000),
            sector_ns: draw.spread(100, 5_000),
            sync_ns: draw.spread(10_000, 20_000_000),
            spike_one_in: draw.pick(&[16, 64, 256, 1 << 30]),
        }
    }

    /// How long an operation takes; `sectors` are those that a sync writes.
    #[must_use]
    pub fn takes_ns(&self, op: &DiskOp, sectors: u64, draw: &mut Draw) -> u64 {
        let least_ns = match op {
            DiskOp::Append { bytes, .. } => {
                self.call_ns + bytes.len() as u64 / 512 * self.sector_ns / 4
            }
            DiskOp::Sync { .. } => self.sync_ns + sectors * self.sector_ns,
            DiskOp::Settle { .. } | DiskOp::SyncFolder { .. } => self.sync_ns,
            DiskOp::Read { len, .. } => self.call_ns + *len as u64 / 512 * self.sector_ns,
            _ => self.call_ns,
        };
        let spike = if draw.chance(1, self.spike_one_in) { 20 } else { 1 };
        draw.between(least_ns, least_ns * 2) * spike
    }
}

/// What is the matter; numbers count how many faults say so, so that they may overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Every operation takes seconds.
    pub stalls: u16,
    /// Half of what is read or appended fails with EIO.
    pub errors: u16,
    /// Syncs fail, and throw away what they were to write.
    pub failing_syncs: u16,
    /// Syncs say that they have done it, and have done nothing.
    pub lying: u16,
    /// So many writes of the next sync end elsewhere.
    pub misdirected: u16,
    /// There is no more room than `capacity` says.
    pub full: u16,
    /// Bytes that files may take in all then; `None`: as many as they like.
    pub capacity: Option<u64>,
}

impl Trouble {
    /// How much longer an operation takes.
    #[must_use]
    pub fn delay_ns(&self, draw: &mut Draw) -> u64 {
        if self.stalls > 0 && draw.chance(1, 2) {
            draw.spread(100_000_000, 4_000_000_000)
        } else {
            0
        }
    }

    /// Whether an operation fails with an error of the device, by chance.
    #[must_use]
    pub fn fails(&self, op: &DiskOp, draw: &mut Draw) -> bool {
        let by_error = match op {
            DiskOp::Append { .. } | DiskOp::Read { .. } => self.errors > 0,
            DiskOp::Sync { .. } | DiskOp::Settle { .. } | DiskOp::SyncFolder { .. } => {
                self.failing_syncs > 0
            }
            _ => false,
        };
        by_error && draw.chance(1, 2)
    }
}
