//! What is kept on disk: snapshots, and what is loaded when the server starts.
//!
//! The engine gives orders for files ([`crate::Effect::Disk`]) and learns later what became of
//! them.
//!
//! Invariants: a file is never overwritten before what replaces it is whole and safe; at most one
//! snapshot is being written, and at most one file is being loaded; an answer to an order that
//! nobody waits for any more changes nothing.

mod aof;
mod base;
mod batch;
mod feed;
mod find_log;
mod grace;
mod load;
mod log_files;
mod lone_base;
mod save;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use crate::block::Ending;
use crate::config::Config;
use crate::disk::{DiskOp, DiskOrder, DiskResult, FileId, Lane, Ticket};
use crate::effects::{Effect, Effects, LogLevel};
use crate::input::ConnId;
use crate::state::State;
use crate::time::{Instant, Micros, Now};
use crate::value::aof::Manifest;
pub(crate) use aof::{Aof, Change, Stage, Turn};
use feed::Feeds;
pub(crate) use grace::Grace;
pub(crate) use load::{LOADER, Loaded, Loading, Reload, What};
use log_files::Rewrites;
pub(crate) use lone_base::LoneBase;
pub(crate) use save::{Reason, Saved, Saving};
pub(crate) use settings::Settings;

/// After a save that failed the next one is not tried before.
const RETRY_INTERVAL: Micros = Micros::from_secs(5);

/// Of values that change under a snapshot, so many bytes are always kept as they were.
const KEPT_BYTES_MIN: usize = 32 << 20;
/// And this share of all data, as its divisor. More holds writers up.
const KEPT_SHARE: usize = 16;

/// Everything about files.
pub struct Persistence {
    pub(crate) settings: Settings,
    orders: Orders,
    pub(crate) saving: Option<Box<Saving>>,
    pub(crate) loading: Option<Box<Loading>>,
    /// The append-only log, if it is on and was loaded.
    pub(crate) aof: Option<Box<Aof>>,
    /// The files of a log that is not on, as the manifest on disk names them.
    pub(crate) last_manifest: Manifest,
    /// A rewrite of a log that is off.
    pub(crate) lone: Option<LoneBase>,
    /// How rewriting went so far.
    pub(crate) rewrites: Rewrites,
    /// What was left of a snapshot that was given up is being deleted; and whether the server ends
    /// when it is.
    cleaning_up: Option<Ticket>,
    ends_when_clean: Option<i32>,
    /// The log is not switched on before.
    pub(crate) switches_at: Instant,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: RESTORE takes any checksum.
    pub(crate) skips_checksum: bool,
    /// DEBUG FAIL-SNAPSHOT: what is being written fails, or what is about to be.
    pub(crate) fails_snapshot: bool,
    /// A signal has asked for the end while what is periodic rests (DEBUG PAUSE-CRON); whether it
    /// was SIGINT.
    pub(crate) end_put_off: Option<bool>,
    /// How saving went so far.
    pub saves: Saves,
    /// Keys of the file that was loaded last, and those of them whose time was over.
    pub loaded: (u64, u64),
    /// Somebody has asked for a save as soon as none goes on.
    pub(crate) is_scheduled: bool,
    /// The server is to end when the running script has ended.
    pub(crate) must_end: bool,
    /// What was on disk is loaded.
    pub(crate) has_started: bool,
    /// What the log has come to while a script ran.
    pub(crate) put_off: Option<Change>,
    /// Who waits for the log to be loaded anew, as soon as all of it is written.
    pub(crate) reloads_log: Option<ConnId>,
    /// The server ends when the log is safe.
    pub(crate) is_ending: bool,
    /// Clients that wait until the server has saved all keys before its end or before it loads
    /// them anew: nothing may change meanwhile.
    pub(crate) held: BTreeSet<ConnId>,
    /// Clients that read all changes.
    pub(crate) feeds: Feeds,
    /// Clients in WAITAOF.
    pub(crate) sync_waits: BTreeMap<ConnId, SyncWait>,
    /// Locks that the server before this one may have granted, if there are patterns of them.
    pub(crate) grace: Option<Box<Grace>>,
    /// All data are in a snapshot that was made to end the server.
    pub(crate) is_saved_for_end: bool,
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

/// What a client in WAITAOF waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyncWait {
    /// The log synced up to here.
    pub(crate) position: u64,
    /// Whether that is all: no replica is asked for.
    pub(crate) is_enough: bool,
}

/// Gives orders their names.
#[derive(Debug, Default)]
pub(crate) struct Orders {
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

impl Orders {
    /// Puts a small file in the place of what was there; the disk's answer says that it is safe.
    fn write_file(
        &mut self,
        temporary: &str,
        path: &str,
        bytes: Vec<u8>,
        fx: &mut Effects,
    ) -> Ticket {
        let file = self.file();
        let (from, to) = (temporary.to_owned(), path.to_owned());
        let ops = vec![
            DiskOp::Create { file, path: from.clone() },
            DiskOp::Append { file, bytes },
            DiskOp::Sync { file },
            DiskOp::Close { file },
            DiskOp::Rename { from, to },
            DiskOp::SyncFolder { path: String::new() },
        ];
        self.give(Lane::Log, ops, fx)
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
            aof: None,
            last_manifest: Manifest::default(),
            lone: None,
            rewrites: Rewrites::default(),
            cleaning_up: None,
            ends_when_clean: None,
            switches_at: now.mono,
            skips_checksum: false,
            fails_snapshot: false,
            end_put_off: None,
            saves,
            loaded: (0, 0),
            is_scheduled: false,
            must_end: false,
            has_started: false,
            put_off: None,
            reloads_log: None,
            is_ending: false,
            held: BTreeSet::new(),
            feeds: Feeds::default(),
            sync_waits: BTreeMap::new(),
            grace: Grace::of(config),
            is_saved_for_end: false,
            version_min: 0,
        }
    }

    /// Whether what was on disk is not all there yet.
    #[inline]
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// Whether clients are told to come later: not all is loaded, or the log is not there in which
    /// what they change is to be.
    #[inline]
    pub(crate) fn is_starting(&self) -> bool {
        let begins = |aof: &Aof| aof.stage == Stage::Beginning { holds: true };
        let has_question = self.grace.as_ref().is_some_and(|grace| grace.is_reading());
        self.is_loading() || has_question || self.aof.as_deref().is_some_and(begins)
    }

    /// Whether a snapshot is being written or is to be, or a file is being loaded.
    pub fn is_busy(&self) -> bool {
        let is_rewriting = self.aof.as_ref().is_some_and(|aof| aof.is_asked) || self.lone.is_some();
        let saves =
            self.saving.is_some() || self.is_scheduled || is_rewriting || self.is_switching();
        let waits = self.must_end
            || self.put_off.is_some()
            || self.reloads_log.is_some()
            || self.feeds.is_waited_for();
        saves || waits || self.is_loading()
    }

    /// Whether the log is to be switched on or off.
    pub(crate) fn is_switching(&self) -> bool {
        self.has_started && self.settings.log.is_on != self.aof.is_some()
    }

    /// When the log is to be switched on, once nothing else is written.
    pub(crate) fn switch_on_due(&self) -> Option<Instant> {
        let is_due = self.is_switching() && self.aof.is_none() && self.lone.is_none();
        is_due.then_some(self.switches_at)
    }

    /// Whether the log is to be switched off now: its manifest must not be about to change.
    pub(crate) fn must_switch_off(&self) -> bool {
        self.is_switching() && self.aof.as_ref().is_some_and(|aof| !aof.is_changing())
    }

    /// Whether a rewrite of the log goes on or is about to, and whether one waits for something
    /// else that is written.
    pub(crate) fn rewriting(&self) -> (bool, bool) {
        let is_walking = self.saving.as_ref().is_some_and(|it| it.reason == Reason::Rewrite);
        let is_asked = self.aof.as_ref().is_some_and(|aof| aof.is_asked)
            || self.lone.as_ref().is_some_and(LoneBase::is_asked)
            || self.is_switching() && self.aof.is_none();
        let must_wait = self.saving.is_some() && !is_walking;
        let goes_on = is_walking
            || self.lone.as_ref().is_some_and(|lone| !lone.is_asked())
            || self.aof.as_ref().is_some_and(|aof| aof.stage != Stage::On || aof.is_changing())
            || self.put_off.is_some();
        (goes_on || is_asked && !must_wait, is_asked && must_wait)
    }

    /// The server ends as soon as everything that was logged is synced.
    pub(crate) fn end_when_safe(&mut self) {
        self.is_ending = true;
        if let Some(aof) = &mut self.aof {
            aof.end();
        }
    }

    /// A client waits no longer for a sync; tells whether it has come.
    pub(crate) fn end_sync_wait(&mut self, conn: ConnId) -> bool {
        let wait = self.sync_waits.remove(&conn);
        let synced = self.aof.as_ref().map_or(0, |aof| aof.synced());
        wait.is_some_and(|wait| wait.position <= synced)
    }

    /// Why writes are refused, if the log cannot be written.
    #[inline]
    pub(crate) fn log_refusal(&self) -> Option<&str> {
        self.aof.as_ref().and_then(|aof| aof.refusal())
    }

    /// The parameters are others.
    pub(crate) fn configure(&mut self, config: &Config) {
        let delay_us = self.settings.save_delay_us;
        self.settings = Settings::of(config);
        if self.settings.save_delay_us < delay_us
            && let Some(saving) = &mut self.saving
        {
            saving.end_rest();
        }
        if let Some(aof) = &mut self.aof {
            aof.settings = self.settings.log.clone();
        }
    }

    /// Whether those who write must wait for the disk.
    #[inline]
    pub(crate) fn holds_writers(&self, now: Instant) -> bool {
        self.aof.as_ref().is_some_and(|aof| aof.holds_writers(now))
    }

    /// How far loading has come: bytes that are loaded and bytes of the file.
    pub(crate) fn loading_share(&self) -> Option<(u64, u64)> {
        self.loading.as_ref().map(|loading| loading.share())
    }

    /// Whether nothing may change until the snapshot is safe.
    #[inline]
    pub(crate) fn holds_everybody(&self) -> bool {
        self.saving.as_ref().is_some_and(|saving| saving.holds_everybody())
            || self.is_ending
            || self.ends_when_clean.is_some()
            || self.aof.as_ref().is_some_and(|aof| aof.stage == Stage::Beginning { holds: true })
            || self.reloads_log.is_some()
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

impl State {
    /// Takes an answer of the disk, if it is about the log.
    pub(crate) fn log_answered(
        &mut self,
        ticket: Ticket,
        result: &DiskResult,
        now: Now,
        fx: &mut Effects,
    ) -> Option<Turn> {
        let Persistence { aof, orders, .. } = &mut self.persistence;
        aof.as_mut()?.answered(ticket, result, now.mono, orders, fx)
    }

    /// The server ends as soon as nothing is left of a snapshot that was given up; true: now.
    pub(crate) fn shut_down(&mut self, fx: &mut Effects) -> bool {
        self.shut_down_with(0, fx)
    }

    fn shut_down_with(&mut self, exit_code: i32, fx: &mut Effects) -> bool {
        if self.persistence.cleaning_up.is_some() {
            self.persistence.ends_when_clean = Some(exit_code);
            return false;
        }
        fx.push(Effect::Shutdown { exit_code });
        true
    }

    /// Whether the server saves or syncs what it has because a signal has asked for its end, or
    /// removes what it has not saved.
    pub(crate) fn is_ending_already(&self) -> bool {
        let persistence = &self.persistence;
        let saving = persistence.saving.as_ref();
        saving.is_some_and(|saving| matches!(saving.reason, Reason::Shutdown { conn: None, .. }))
            || persistence.is_ending
            || persistence.ends_when_clean.is_some()
    }

    /// The server ends though not everything is saved. Who asks once more does not wait for the
    /// disk either.
    pub(crate) fn end_at_once(&mut self, fx: &mut Effects) {
        if self.persistence.ends_when_clean.is_some() {
            return fx.push(Effect::Shutdown { exit_code: 1 });
        }
        self.cancel_save(fx);
        self.shut_down_with(1, fx);
    }

    /// Takes an answer of the disk, if it is about that.
    pub(crate) fn cleaned_up(&mut self, ticket: Ticket, fx: &mut Effects) -> bool {
        let persistence = &mut self.persistence;
        let is_clean = persistence.cleaning_up.take_if(|own| *own == ticket).is_some();
        if is_clean && let Some(exit_code) = persistence.ends_when_clean.take() {
            fx.push(Effect::Shutdown { exit_code });
        }
        is_clean
    }

    /// Clients in WAITAOF for whom the log is synced go on.
    pub(crate) fn end_sync_waits(&mut self, now: Instant, fx: &mut Effects) {
        if self.persistence.sync_waits.is_empty() {
            return;
        }
        let synced = self.persistence.aof.as_ref().map_or(0, |aof| aof.synced());
        let waits = self
            .persistence
            .sync_waits
            .extract_if(.., |_, wait| wait.is_enough && wait.position <= synced);
        let ended: Vec<ConnId> = waits.map(|(conn, _)| conn).collect();
        for conn in ended {
            self.unblock(conn, Ending::Synced, now, fx);
        }
    }

    /// Whether those who write must wait: too much of what they did is not on disk yet, or too much
    /// of what they changed is kept for a snapshot that goes on.
    #[inline]
    pub(crate) fn holds_writers(&self, now: Instant) -> bool {
        self.persistence.holds_writers(now) || self.keeps_too_much()
    }

    /// Whether what is kept for a snapshot has become too much.
    pub(crate) fn keeps_too_much(&self) -> bool {
        let kept = self.keyspace.capture_bytes();
        kept >= KEPT_BYTES_MIN && kept >= self.keyspace.memory_bytes() / KEPT_SHARE
    }

    /// Writers that waited for the disk go on.
    pub(crate) fn release_writers(&mut self, now: Instant, fx: &mut Effects) {
        if !self.held_by_pause.is_empty() && !self.is_paused(now) && !self.holds_writers(now) {
            self.end_pause(fx);
        }
    }

    /// Whether there is something of the log for the disk, and the disk is free for it.
    pub fn has_log_turn(&self) -> bool {
        let position = self.log.position();
        self.persistence.aof.as_ref().is_some_and(|aof| aof.has_turn(position))
    }

    /// Hands what was logged to the disk.
    pub(crate) fn write_log(&mut self, now: Instant, fx: &mut Effects) {
        let Persistence { aof, orders, .. } = &mut self.persistence;
        if let Some(aof) = aof {
            let secs = self.clock.now().0 / 1000;
            self.log.set_time(Some(secs).filter(|_| aof.settings.notes_time));
            aof.go_on(&mut self.log, orders, now, fx);
        }
    }
}
