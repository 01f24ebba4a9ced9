//! Writing a snapshot: all keys as they were at one moment, a piece at a time.
//!
//! The walk (`keyspace/capture.rs`) gives entries, they are appended to a temporary file, and what
//! has not reached the disk yet is bounded. At the end the file is synced, takes the place of the
//! one before, and the folder is synced.
//!
//! Invariants: the snapshot is of one moment between the request and its end; the file that was
//! there stays until the new one is safe; a snapshot that fails leaves no file behind.

use std::collections::VecDeque;

use super::base::{Commands, Writer};
use super::{Orders, Persistence, Reload, Saves, Settings, log};
use crate::config::{Encodings, REDIS_VERSION};
use crate::disk::{DiskOp, DiskResult, FileId, Lane, Ticket};
use crate::effects::{Effects, LogLevel};
use crate::evict::Usage;
use crate::input::ConnId;
use crate::keyspace::{Gave, Keyspace};
use crate::script::Libraries;
use crate::state::State;
use crate::time::{Instant, Micros, Now};
use crate::value::aof::BaseFormat;
use crate::value::rdb::FileWriter;

/// Bytes of the file that one step makes.
const STEP_BYTES: usize = 16 << 10;
/// Bytes that are appended at once: few, so that the disk's thread, too, is busy for a short time
/// only where it shares a processor with the engine's.
const CHUNK_BYTES: usize = 64 << 10;
/// Bytes that may be on their way to the disk.
const IN_FLIGHT_BYTES_MAX: usize = 4 << 20;
/// The file is synced each time so much was written, so that the last sync does not take long.
const SYNC_BYTES: u64 = 4 << 20;

/// What is taken of an entry that nobody wants.
const NOTHING: Gave = Gave { bytes: 0, rest: None };

/// Who wants a snapshot, and what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A client with SAVE.
    Client(ConnId),
    /// BGSAVE, or a save point.
    Background,
    /// The base of the append-only log.
    Rewrite,
    /// Clients that sent SYNC: it stays in memory.
    Copy,
    /// The server is to end.
    Shutdown {
        /// Who asked with SHUTDOWN; nobody if it was a signal.
        conn: Option<ConnId>,
        /// Whether it ends even if the save fails.
        forces: bool,
    },
    /// The keys are then loaded anew.
    Reload(Reload),
}

/// A snapshot that was ended.
pub(crate) struct Saved {
    pub(crate) reason: Reason,
    /// Bytes of the file, or why there is none.
    pub(crate) result: Result<u64, String>,
    pub(crate) began: Now,
}

/// A snapshot that is being written.
pub(crate) struct Saving {
    pub(crate) reason: Reason,
    phase: Phase,
    file: FileId,
    temporary: String,
    path: String,
    /// The folder of both.
    folder: String,
    encodings: Encodings,
    in_flight: VecDeque<(Ticket, usize)>,
    in_flight_bytes: usize,
    written_bytes: u64,
    /// What stays in memory.
    copy: Vec<u8>,
    synced_bytes: u64,
    pub(crate) began: Now,
    /// Keys at the moment, and those that were written.
    pub(crate) keys: (u64, u64),
    dirty: u64,
    /// The most memory that it took for what was changed under it.
    pub(crate) extra_bytes_max: usize,
    /// When the walk goes on.
    resume_at: Instant,
}

enum Phase {
    /// The marks of a walk that was given up are being taken back.
    Unmarking,
    /// The walk goes on.
    Walking(Box<Writer>, Usage),
    /// All has been written out. The end of the file, until everything before it is known to be
    /// written: what takes the old file's place must not follow a part that failed.
    Ending(Option<Vec<u8>>),
}

impl Saving {
    /// Whether nothing may change until it has ended.
    pub(crate) fn holds_everybody(&self) -> bool {
        match &self.reason {
            Reason::Client(_) | Reason::Background | Reason::Rewrite | Reason::Copy => false,
            Reason::Shutdown { .. } | Reason::Reload(_) => true,
        }
    }

    /// Whether it is given up when another has to begin.
    pub(crate) fn gives_way(&self) -> bool {
        matches!(self.reason, Reason::Background | Reason::Rewrite | Reason::Copy)
    }

    /// When there is something to do; `None`: the disk has to answer first.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Ending(_) => None,
            Phase::Unmarking => Some(self.resume_at),
            Phase::Walking(..) => {
                (self.in_flight_bytes < IN_FLIGHT_BYTES_MAX).then_some(self.resume_at)
            }
        }
    }

    /// The walk rests no longer.
    pub(crate) fn end_rest(&mut self) {
        self.resume_at = self.began.mono;
    }

    fn give(&mut self, orders: &mut Orders, ops: Vec<DiskOp>, bytes: usize, fx: &mut Effects) {
        let ticket = orders.give(Lane::Bulk, ops, fx);
        self.in_flight.push_back((ticket, bytes));
        self.in_flight_bytes += bytes;
        self.written_bytes += bytes as u64;
    }

    /// Hands what was written to the disk.
    fn append(
        &mut self,
        settings: &Settings,
        orders: &mut Orders,
        bytes: Vec<u8>,
        fx: &mut Effects,
    ) {
        let len = bytes.len();
        if self.reason == Reason::Copy {
            self.copy.extend_from_slice(&bytes);
            return;
        }
        let mut ops = vec![DiskOp::Append { file: self.file, bytes }];
        if settings.syncs_often && self.written_bytes + len as u64 >= self.synced_bytes + SYNC_BYTES
        {
            self.synced_bytes = self.written_bytes + len as u64;
            ops.push(DiskOp::Sync { file: self.file });
        }
        self.give(orders, ops, len, fx);
    }

    /// Hands the rest over and puts the file in its place, once everything before it is written.
    fn finish(&mut self, orders: &mut Orders, fx: &mut Effects) {
        let Phase::Ending(last) = &mut self.phase else { return };
        let Some(bytes) = last.take_if(|_| self.in_flight.is_empty()) else { return };
        let (len, file) = (bytes.len(), self.file);
        let ops = vec![
            DiskOp::Append { file, bytes },
            DiskOp::Sync { file },
            DiskOp::Close { file },
            DiskOp::Rename { from: self.temporary.clone(), to: self.path.clone() },
            DiskOp::SyncFolder { path: self.folder.clone() },
        ];
        self.give(orders, ops, len, fx);
    }
}

/// What a file says before its keys.
pub(super) fn front(
    file: &mut FileWriter,
    keyspace: &Keyspace,
    libraries: &Libraries,
    now: Now,
    used_bytes: usize,
    is_base: bool,
) {
    file.aux("redis-ver", REDIS_VERSION);
    file.aux("redis-bits", "64");
    file.aux("ctime", &(now.wall.0 / 1_000_000).to_string());
    file.aux("used-mem", &used_bytes.to_string());
    file.aux("aof-base", if is_base { "1" } else { "0" });
    libraries.libraries().values().for_each(|library| file.library(&library.text));
    for index in 0..keyspace.count() {
        let db = keyspace.db(index);
        if !db.is_empty() {
            file.sizes(index, db.len(), db.len_with_ttl());
        }
    }
}

impl State {
    /// Begins a snapshot; one that goes on in the background gives way.
    ///
    /// # Panics
    /// If one goes on that somebody waits for.
    pub(crate) fn begin_save(&mut self, reason: Reason, now: Now, fx: &mut Effects) {
        let path = self.persistence.settings.file_name.clone();
        // Of the same name each time: what another has left is written over, on the same lane.
        let temporary = format!("temp-{}.rdb", self.facts.process_id);
        self.begin_save_to(reason, path, temporary, now, fx);
    }

    /// The same, with these paths, which are in one folder.
    pub(super) fn begin_save_to(
        &mut self,
        reason: Reason,
        path: String,
        temporary: String,
        now: Now,
        fx: &mut Effects,
    ) {
        if let Some(saving) = &self.persistence.saving {
            assert!(saving.gives_way(), "somebody waits for it");
            self.cancel_save(fx);
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let persistence = &mut self.persistence;
        persistence.saving = Some(Box::new(Saving {
            reason,
            phase: Phase::Unmarking,
            file: persistence.orders.file(),
            temporary,
            path,
            folder,
            encodings: self.config.encodings,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            written_bytes: 0,
            copy: Vec::new(),
            synced_bytes: 0,
            began: now,
            keys: (0, 0),
            dirty: 0,
            extra_bytes_max: 0,
            resume_at: now.mono,
        }));
        if !self.keyspace.is_capturing() {
            self.begin_walk(now, fx);
        }
    }

    /// The moment of the snapshot.
    fn begin_walk(&mut self, now: Now, fx: &mut Effects) {
        let used_bytes = self.memory_used();
        let usage = self.usage();
        let persistence = &mut self.persistence;
        let Some(saving) = &mut persistence.saving else { return };
        let target = saving.encodings.rdb_target;
        let (checksum, compress) =
            (persistence.settings.with_checksum, saving.encodings.rdb_compression);
        let is_base = saving.reason == Reason::Rewrite;
        let is_copy = saving.reason == Reason::Copy;
        let mut writer = if is_base && persistence.rewrites.format == BaseFormat::Commands {
            let secs = self.clock.now().0 / 1000;
            let notes_time = persistence.settings.log.notes_time;
            Writer::Commands(Commands::new(notes_time.then_some(secs), &self.libraries))
        } else {
            let mut file = FileWriter::new(target, persistence.version_min, compress, checksum);
            front(&mut file, &self.keyspace, &self.libraries, now, used_bytes, is_base);
            Writer::Snapshot(file)
        };
        self.keyspace.begin_capture();
        let count = |index| self.keyspace.db(index).len() as u64;
        saving.keys = ((0..self.keyspace.count()).map(count).sum(), 0);
        saving.dirty = self.dirty;
        saving.began = now;
        let bytes = writer.take();
        let len = bytes.len();
        if is_copy {
            saving.copy = bytes;
            saving.phase = Phase::Walking(Box::new(writer), usage);
            self.begin_backlog();
            return;
        }
        let create = DiskOp::Create { file: saving.file, path: saving.temporary.clone() };
        let ops = vec![create, DiskOp::Append { file: saving.file, bytes }];
        saving.phase = Phase::Walking(Box::new(writer), usage);
        saving.give(&mut persistence.orders, ops, len, fx);
    }

    /// Goes on with a snapshot, or takes the marks of one back that was given up.
    pub(crate) fn go_on_saving(&mut self, now: Now, fx: &mut Effects) {
        let persistence = &mut self.persistence;
        let saving = persistence
            .saving
            .as_mut()
            .filter(|saving| saving.due().is_some_and(|due| due <= now.mono));
        let Some(saving) = saving else {
            if self.persistence.saving.is_none() && self.keyspace.is_capturing() {
                self.keyspace.capture_some(STEP_BYTES, |_| NOTHING);
            }
            return;
        };
        let Phase::Walking(writer, usage) = &mut saving.phase else {
            if self.keyspace.capture_some(STEP_BYTES, |_| NOTHING) {
                self.begin_walk(now, fx);
            }
            return;
        };
        let extra_bytes = self.keyspace.capture_bytes();
        saving.extra_bytes_max = saving.extra_bytes_max.max(extra_bytes);
        let delay_us = persistence.settings.save_delay_us;
        let budget = if delay_us == 0 { STEP_BYTES } else { 1 };
        let mut keys = 0;
        let is_at_end = self.keyspace.capture_some(budget, |entry| {
            let gave = writer.add(&entry, usage, &saving.encodings);
            keys += u64::from(gave.rest.is_none());
            gave
        });
        saving.keys.1 += keys;
        saving.resume_at = now.mono + Micros(delay_us.saturating_mul(keys));
        let limit = self.config.output_limits.replica.hard_bytes;
        let is_copy = saving.reason == Reason::Copy;
        if is_copy && limit != 0 && (saving.copy.len() + writer.len()) as u64 >= limit {
            self.cancel_save(fx);
            return;
        }
        if !is_at_end {
            if writer.len() >= CHUNK_BYTES {
                let bytes = writer.take();
                saving.append(&persistence.settings, &mut persistence.orders, bytes, fx);
            }
            return;
        }
        persistence.version_min = writer.version_needed();
        if writer.is_too_old() {
            // It has met something that its header does not announce.
            self.begin_walk(now, fx);
            return;
        }
        let before = core::mem::replace(&mut saving.phase, Phase::Ending(None));
        let Phase::Walking(writer, _) = before else { return };
        if saving.reason == Reason::Copy {
            saving.copy.extend_from_slice(&writer.finish());
            let copy = core::mem::take(&mut saving.copy);
            persistence.saving = None;
            self.end_copy(Some(&copy));
            return;
        }
        saving.phase = Phase::Ending(Some(writer.finish()));
        saving.finish(&mut persistence.orders, fx);
    }

    /// A snapshot for clients is given up: they are told.
    fn give_copy_up(&mut self, saving: &Saving) {
        if matches!(saving.phase, Phase::Walking(..)) {
            self.keyspace.cancel_capture();
        }
        self.end_copy(None);
    }

    /// Gives a snapshot up that nobody waits for, or that has failed.
    pub(crate) fn cancel_save(&mut self, fx: &mut Effects) {
        let Some(saving) = self.persistence.saving.take() else { return };
        if saving.reason == Reason::Copy {
            self.give_copy_up(&saving);
            return;
        }
        if saving.reason == Reason::Rewrite {
            self.give_rewrite_up(fx);
        }
        self.clean_up(&saving, fx);
    }

    fn clean_up(&mut self, saving: &Saving, fx: &mut Effects) {
        if matches!(saving.phase, Phase::Walking(..)) {
            self.keyspace.cancel_capture();
        }
        let path = saving.temporary.clone();
        let ops = vec![DiskOp::Close { file: saving.file }, DiskOp::Remove { path }];
        let ticket = self.persistence.orders.give(Lane::Bulk, ops, fx);
        self.persistence.cleaning_up = Some(ticket);
    }

    /// Takes an answer of the disk, if it is about the snapshot; `Some`: the snapshot has ended.
    pub(crate) fn save_answered(
        &mut self,
        ticket: Ticket,
        result: &DiskResult,
        now: Now,
        fx: &mut Effects,
    ) -> Option<Saved> {
        let saving = self.persistence.saving.as_mut()?;
        let (_, bytes) = saving.in_flight.pop_front_if(|(first, _)| *first == ticket)?;
        saving.in_flight_bytes -= bytes;
        if result.is_ok() {
            saving.finish(&mut self.persistence.orders, fx);
        }
        match result {
            Ok(_) if matches!(saving.phase, Phase::Ending(None)) && saving.in_flight.is_empty() => {
                let saving = self.persistence.saving.take()?;
                if saving.reason != Reason::Rewrite {
                    self.persistence.note_success(&saving, now);
                    self.dirty = self.dirty.saturating_sub(saving.dirty);
                }
                let (reason, began) = (saving.reason, saving.began);
                Some(Saved { reason, result: Ok(saving.written_bytes), began })
            }
            Ok(_) => None,
            Err(error) => {
                let saving = self.persistence.saving.take()?;
                Some(self.save_failed(&saving, &error.text, now, fx))
            }
        }
    }
}

impl State {
    /// DEBUG FAIL-SNAPSHOT: what is being written fails, if it does not wait for its marks.
    pub(crate) fn fail_snapshot(&mut self, now: Now, fx: &mut Effects) -> Option<Saved> {
        let saving = self.persistence.saving.take_if(|saving| saving.reason != Reason::Copy)?;
        self.persistence.fails_snapshot = false;
        Some(self.save_failed(&saving, "DEBUG FAIL-SNAPSHOT has asked for it", now, fx))
    }

    /// As in Redis only what is saved in the background tells whoever writes that it has failed:
    /// whoever waits is told himself.
    fn save_failed(&mut self, saving: &Saving, why: &str, now: Now, fx: &mut Effects) -> Saved {
        self.clean_up(saving, fx);
        if saving.reason == Reason::Background {
            let saves = &mut self.persistence.saves;
            saves.failed_at = Some(now.mono);
            saves.last_took = Some(now.mono.since(saving.began.mono));
        }
        log(fx, LogLevel::Warning, format!("Write error saving DB on disk: {why}"));
        Saved { reason: saving.reason, result: Err(why.to_owned()), began: saving.began }
    }

    /// All keys go: nobody needs a snapshot of them any more, and their memory is to be free.
    pub(crate) fn abort_background_save(&mut self, fx: &mut Effects) {
        let saving = self.persistence.saving.as_ref();
        if saving.is_some_and(|saving| saving.reason == Reason::Background) {
            log(fx, LogLevel::Notice, "Background saving is given up: all keys are flushed");
            self.cancel_save(fx);
        }
    }
}

impl Persistence {
    fn note_success(&mut self, saving: &Saving, now: Now) {
        self.saves = Saves {
            last_unix_secs: now.wall.0 / 1_000_000,
            last_at: now.mono,
            failed_at: None,
            last_took: Some(now.mono.since(saving.began.mono)),
            count: self.saves.count + 1,
            last_extra_bytes: saving.extra_bytes_max,
        };
    }
}
