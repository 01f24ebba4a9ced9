//! What is kept on disk: snapshots, and what is loaded when the server starts.
//!
//! The engine gives orders for files ([`crate::Effect::Disk`]) and learns later what became of
//! them.
//!
//! Invariants: a file is never overwritten before what replaces it is whole and safe; at most one
//! snapshot is being written, and at most one file is being loaded; an answer to an order that
//! nobody waits for any more changes nothing.

mod load;
mod save;
mod settings;

use std::collections::BTreeSet;

use crate::config::Config;
use crate::disk::{DiskOp, DiskOrder, FileId, Lane, Ticket};
use crate::effects::{Effect, Effects, LogLevel};
use crate::input::ConnId;
use crate::time::{Instant, Micros, Now};
pub(crate) use load::{Loaded, Loading, Reload, What};
pub(crate) use save::{Reason, Saved, Saving};
pub(crate) use settings::Settings;

/// After a save that failed the next one is not tried before.
const RETRY_INTERVAL: Micros = Micros::from_secs(5);

/// Everything about files.
pub struct Persistence {
    pub(crate) settings: Settings,
    orders: Orders,
    pub(crate) saving: Option<Box<Saving>>,
    pub(crate) loading: Option<Box<Loading>>,
    /// How saving went so far.
    pub saves: Saves,
    /// Keys of the file that was loaded last, and those of them whose time was over.
    pub loaded: (u64, u64),
    /// Somebody has asked for a save as soon as none goes on.
    pub(crate) is_scheduled: bool,
    /// The server is to end when the running script has ended.
    pub(crate) must_end: bool,
    /// Clients that wait until the server has saved all keys before its end or before it loads
    /// them anew: nothing may change meanwhile.
    pub(crate) held: BTreeSet<ConnId>,
    /// The version of the format that the last snapshot turned out to need.
    version_min: u16,
}

/// How saving went so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saves {
    /// When the last one that succeeded had begun, or the server; in seconds since the epoch.
    pub last_unix_secs: u64,
    /// The same on the other clock.
    last_at: Instant,
    /// When the last one was tried, if it failed.
    failed_at: Option<Instant>,
    /// How long the last one took, if there was one.
    pub last_took: Option<Micros>,
    /// How many succeeded.
    pub count: u64,
    /// The most memory that the last one took for what was changed under it.
    pub last_extra_bytes: usize,
}

impl Saves {
    /// Whether the last one went well.
    pub fn is_ok(&self) -> bool {
        self.failed_at.is_none()
    }
}

/// Gives orders their names.
#[derive(Debug, Default)]
struct Orders {
    last_ticket: u64,
    last_file: u64,
}

impl Orders {
    fn file(&mut self) -> FileId {
        self.last_file += 1;
        FileId(self.last_file)
    }

    fn give(&mut self, lane: Lane, ops: Vec<DiskOp>, fx: &mut Effects) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        fx.push(Effect::Disk(DiskOrder { ticket, lane, ops }));
        ticket
    }
}

fn log(fx: &mut Effects, level: LogLevel, text: impl Into<String>) {
    fx.push(Effect::Log(level, text.into()));
}

impl Persistence {
    pub(crate) fn new(config: &Config, now: Now) -> Self {
        let saves = Saves {
            last_unix_secs: now.wall.0 / 1_000_000,
            last_at: now.mono,
            failed_at: None,
            last_took: None,
            count: 0,
            last_extra_bytes: 0,
        };
        Self {
            settings: Settings::of(config),
            orders: Orders::default(),
            saving: None,
            loading: None,
            saves,
            loaded: (0, 0),
            is_scheduled: false,
            must_end: false,
            held: BTreeSet::new(),
            version_min: 0,
        }
    }

    /// Whether what was on disk is not all there yet.
    #[inline]
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// Whether a snapshot is being written or is to be, or a file is being loaded.
    pub fn is_busy(&self) -> bool {
        self.saving.is_some() || self.is_loading() || self.is_scheduled || self.must_end
    }

    /// How far loading has come: bytes that are loaded and bytes of the file.
    pub(crate) fn loading_share(&self) -> Option<(u64, u64)> {
        self.loading.as_ref().map(|loading| loading.share())
    }

    /// Whether nothing may change until the snapshot is safe.
    #[inline]
    pub(crate) fn holds_everybody(&self) -> bool {
        self.saving.as_ref().is_some_and(|saving| saving.holds_everybody())
    }

    /// Whether writes are refused because the last save failed.
    pub(crate) fn refuses_writes(&self) -> bool {
        !self.saves.is_ok() && self.settings.stops_writes && !self.settings.save_points.is_empty()
    }

    /// When keys are saved without being asked to, after so many changes; `None`: not as long as
    /// there are no more.
    pub(crate) fn save_due(&self, changes: u64) -> Option<Instant> {
        if self.saving.is_some() || self.is_loading() {
            return None;
        }
        let due = |secs| self.saves.last_at + Micros::from_secs(secs) + Micros(1);
        let points = self.settings.save_points.iter();
        let reached = points.filter(|point| changes >= point.changes);
        let due = reached.map(|point| due(point.secs)).min()?;
        let may = self.saves.failed_at.map(|at| at + RETRY_INTERVAL);
        Some(due.max(may.unwrap_or_default()))
    }
}
