//! The append-only file while the server runs: what was logged goes to the disk, in groups.
//!
//! One order for the log is on its way at a time: whatever all clients change meanwhile shares the
//! next. Under `always` it is synced with each group; under `everysec` another lane syncs it once a
//! second, so that a slow sync holds up nobody until it lasts too long. What clients may be told is
//! decided by [`Aof::safe`], see `engine/gate.rs`.
//!
//! Invariants: records reach the files in the order in which they were logged; nothing is told of a
//! record before it is written, under `always` before it is synced; after a sync that failed
//! nothing more is called safe that was written before, and no record follows what may be half of
//! another.

use std::collections::VecDeque;

use super::settings::{LogSettings, Policy};
use super::{Orders, log};
use crate::disk::{DiskError, DiskOp, DiskResult, FileId, Lane, Ticket};
use crate::effects::{Effects, LogLevel};
use crate::log::{Log, Reader};
use crate::time::{Instant, Micros, Now};
use crate::value::aof::{Manifest, manifest_name, temporary_name};

/// How often the file is synced under `everysec`.
const SYNC_INTERVAL: Micros = Micros::from_secs(1);
/// A sync that lasts longer holds writers up.
const SYNC_PATIENCE: Micros = Micros::from_secs(2);
/// Bytes that may wait to be written before writers are held up.
const PENDING_BYTES_MAX: usize = 64 << 20;
/// After a write that failed the next one is not tried before.
const RETRY_INTERVAL: Micros = Micros::from_secs(1);

/// How far the log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its first files are being made: nothing is promised yet. `holds`: nobody is answered before.
    Beginning { holds: bool },
    /// Everything that is logged goes to it.
    On,
}

/// What the order that is on its way is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Group {
    /// Records up to this position of the log.
    Records(u64),
    /// A sync of the file before, in which nothing more is written.
    FileBefore(FileId),
    /// A manifest, and what goes with it.
    Manifest(Change),
    /// What nobody was told of is cut off; then the server ends, for this reason.
    Cut(String),
}

/// Why the manifest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The first files are there, but for the base if there are keys and nothing has them.
    First {
        /// Whether a snapshot is still to become the base.
        lacks_base: bool,
    },
    /// A rewrite begins: what follows goes to another file.
    Switch(FileId),
    /// A rewrite has ended, with this many bytes: the log begins with what it wrote.
    Base(u64),
    /// Files that were replaced are gone: the manifest is to forget them.
    Removed,
    /// It has.
    Forget,
}

/// The log on disk.
pub(crate) struct Aof {
    pub(crate) stage: Stage,
    pub(crate) settings: LogSettings,
    pub(crate) manifest: Manifest,
    /// What the manifest becomes when the order that changes it is answered, and what is to be done
    /// before it is written.
    next: Option<(Manifest, Change, Vec<DiskOp>)>,
    /// What it becomes when the rewrite that goes on has ended.
    pub(crate) rewritten: Option<Manifest>,
    /// Somebody has asked for a rewrite as soon as it can begin.
    pub(crate) is_asked: bool,
    /// What is on disk cannot be trusted before the next rewrite.
    is_needed: bool,
    /// When one that nobody has asked for may begin.
    not_before: Instant,
    /// Files that were replaced are being deleted, or could not be.
    removing: Option<Ticket>,
    cannot_remove: bool,
    /// DEBUG AOF-FLUSH-SLEEP: how long a write waits, for tests; and when the next may begin.
    pub(crate) flush_delay: Micros,
    flush_at: Option<Instant>,
    /// The server ends: everything is synced.
    is_ending: bool,
    /// Nothing can be promised any more.
    is_dead: bool,
    /// Where records go, on the lane of the log.
    file: FileId,
    /// The same file on the lane of syncs.
    sync_file: Option<FileId>,
    /// The file before, as long as it is not synced.
    unsynced_before: Option<FileId>,
    /// Files that were replaced and are still open, with their lanes.
    replaced: Vec<(Lane, FileId)>,
    /// Its length as far as it is good, and where in the log it began.
    good_len: u64,
    /// What was logged and is not written, with its files and how long they are before it.
    pending: VecDeque<(FileId, u64, Vec<u8>)>,
    pending_bytes: usize,
    /// Up to which position of the log `pending` goes, was written, was synced.
    taken: u64,
    written: u64,
    synced: u64,
    in_flight: Option<(Ticket, Group, usize)>,
    sync_in_flight: Option<(Ticket, u64, Instant)>,
    last_sync: Instant,
    /// Bytes of the base and of all increments.
    pub(crate) base_bytes: u64,
    pub(crate) bytes: u64,
    /// Why the last write failed, if it did, and when the next is tried.
    failure: Option<(DiskError, Instant)>,
    /// Why what was written may be lost, until the log has been rewritten.
    pub(crate) sync_failure: Option<(String, FileId)>,
    /// How many syncs took so long that writers were held up.
    pub(crate) delayed_syncs: u64,
}

/// What an answer of the disk leads to.
pub(crate) enum Turn {
    /// Nothing but that more may be safe.
    Going,
    /// The manifest is written.
    Changed(Change),
    /// It could not be, and a rewrite ends with that.
    RewriteFailed,
    /// Nothing can be promised any more: the server must end.
    Fatal(String),
}

/// What replaces the manifest by this one, once all its files are there.
pub(crate) fn manifest_ops(settings: &LogSettings, manifest: &Manifest) -> Vec<DiskOp> {
    let name = manifest_name(&settings.stem);
    let path = |name: &str| format!("{}/{name}", settings.folder);
    let (file, temporary) = (FileId(u64::MAX), path(&temporary_name(&name)));
    vec![
        // The names of its files must be safe before it is.
        DiskOp::SyncFolder { path: settings.folder.clone() },
        DiskOp::Create { file, path: temporary.clone() },
        DiskOp::Append { file, bytes: manifest.to_text().into_bytes() },
        DiskOp::Sync { file },
        DiskOp::Close { file },
        DiskOp::Rename { from: temporary, to: path(&name) },
        DiskOp::SyncFolder { path: settings.folder.clone() },
    ]
}

impl Aof {
    pub(crate) fn new(settings: LogSettings, stage: Stage, now: Now, position: u64) -> Self {
        Self {
            stage,
            settings,
            manifest: Manifest::default(),
            next: None,
            rewritten: None,
            is_asked: false,
            is_needed: false,
            not_before: now.mono,
            removing: None,
            cannot_remove: false,
            flush_delay: Micros(0),
            flush_at: None,
            is_ending: false,
            is_dead: false,
            file: FileId(0),
            sync_file: None,
            replaced: Vec::new(),
            good_len: 0,
            pending: VecDeque::new(),
            pending_bytes: 0,
            taken: position,
            written: position,
            synced: position,
            in_flight: None,
            sync_in_flight: None,
            last_sync: now.mono,
            base_bytes: 0,
            bytes: 0,
            failure: None,
            sync_failure: None,
            unsynced_before: None,
            delayed_syncs: 0,
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.settings.folder)
    }

    /// Up to which position of the log clients may be told of it.
    #[inline]
    pub(crate) fn safe(&self) -> u64 {
        match (self.stage, self.settings.policy) {
            (Stage::Beginning { holds: false }, _) => u64::MAX,
            (Stage::Beginning { holds: true }, _) => self.written,
            (Stage::On, Policy::Always) => self.synced,
            // What cannot be written is told all the same: writes are refused from then on.
            (Stage::On, _) if self.failure.is_some() => u64::MAX,
            (Stage::On, _) => self.written,
        }
    }

    /// Up to which position it is synced, for WAITAOF.
    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    /// Why writes are refused, if they are.
    pub(crate) fn refusal(&self) -> Option<&str> {
        let failed = self.failure.as_ref().map(|(error, _)| &*error.text);
        failed.or_else(|| self.sync_failure.as_ref().map(|(why, _)| &**why))
    }

    /// Whether those who write must wait: too much is not on disk yet.
    pub(crate) fn holds_writers(&self, now: Instant) -> bool {
        let is_slow = self.sync_in_flight.is_some_and(|(_, _, since)| since + SYNC_PATIENCE <= now);
        (is_slow && self.settings.policy == Policy::EverySecond)
            || self.pending_bytes >= PENDING_BYTES_MAX
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Whether a sync goes on beside the writing.
    pub(crate) fn is_syncing(&self) -> bool {
        self.sync_in_flight.is_some()
    }

    /// Whether everything that was logged is safe and nothing goes on.
    pub(crate) fn is_settled(&self, position: u64) -> bool {
        let has_all = self.synced >= position
            && self.in_flight.is_none()
            && self.next.is_none()
            && self.unsynced_before.is_none();
        // What cannot be written does not keep the server from ending.
        self.is_dead || has_all
    }

    /// Whether nothing was lost: what is settled is safe.
    pub(crate) fn has_kept_all(&self) -> bool {
        self.stage == Stage::On && !self.is_dead && self.failure.is_none()
    }

    /// Whether everything up to this position is in the files, as far as others can read them.
    pub(crate) fn is_written(&self, position: u64) -> bool {
        self.written >= position
    }

    /// Whether there is something for the disk, and it has nothing to do.
    pub(crate) fn has_turn(&self, position: u64) -> bool {
        let has_work = position > self.taken
            || self.unsynced_before.is_some()
            || !self.pending.is_empty()
            || self.next.is_some()
            || self.is_ending && self.synced < self.written;
        let is_free = self.in_flight.is_none() && self.failure.is_none() && !self.is_dead;
        has_work && is_free && self.file != FileId(0) && self.flush_at.is_none()
    }

    /// When something is due by the clock.
    pub(crate) fn due(&self, position: u64) -> Option<Instant> {
        if self.is_dead {
            return None;
        }
        if let Some((_, at)) = &self.failure {
            return Some(*at).filter(|_| self.in_flight.is_none());
        }
        if let Some(at) = self.flush_at {
            return Some(at);
        }
        if self.sync_in_flight.is_some() {
            return None;
        }
        let wants_sync = self.settings.policy == Policy::EverySecond
            && self.synced < position
            && self.sync_failure.is_none()
            && self.unsynced_before.is_none()
            && self.stage == Stage::On;
        wants_sync.then_some(self.last_sync + SYNC_INTERVAL)
    }

    /// Takes what was logged for the file that is written.
    fn take(&mut self, records: &mut Log) {
        if records.position() > self.taken {
            let bytes = records.take();
            self.taken = records.position();
            self.pending_bytes += bytes.len();
            match self.pending.back_mut() {
                Some((file, _, waiting)) if *file == self.file => {
                    waiting.extend_from_slice(&bytes);
                }
                _ => self.pending.push_back((self.file, self.good_len, bytes)),
            }
        }
    }

    /// Takes what was logged and sees to it that it goes to the disk.
    pub(crate) fn go_on(
        &mut self,
        records: &mut Log,
        orders: &mut Orders,
        now: Instant,
        fx: &mut Effects,
    ) {
        self.take(records);
        let must_wait = self.failure.as_ref().is_some_and(|(_, at)| *at > now);
        if self.is_dead {
            return;
        }
        if self.in_flight.is_none() && self.file != FileId(0) && !must_wait {
            if let Some((manifest, change, before)) = &mut self.next {
                let (mut ops, change) = (core::mem::take(before), *change);
                ops.extend(manifest_ops(&self.settings, manifest));
                let ticket = orders.give(Lane::Log, ops, fx);
                self.in_flight = Some((ticket, Group::Manifest(change), 0));
            } else if let Some(file) = self.unsynced_before.filter(|file| !self.is_pending(*file)) {
                // A loss of power must not take the end of one file and leave the next.
                let ticket = orders.give(Lane::Log, vec![DiskOp::Sync { file }], fx);
                self.in_flight = Some((ticket, Group::FileBefore(file), 0));
            } else if !self.pending.is_empty() {
                let may_begin = self.flush_delay == Micros(0)
                    || *self.flush_at.get_or_insert(now + self.flush_delay) <= now;
                if may_begin {
                    self.flush_at = None;
                    self.write(orders, fx);
                }
            } else if self.is_ending && self.synced < self.written {
                let ops = vec![DiskOp::Sync { file: self.file }];
                let ticket = orders.give(Lane::Log, ops, fx);
                self.in_flight = Some((ticket, Group::Records(self.written), 0));
            }
        }
        self.sync(orders, now, fx);
    }

    /// Whether something waits that belongs into this file.
    fn is_pending(&self, file: FileId) -> bool {
        self.pending.front().is_some_and(|(first, ..)| *first == file)
    }

    fn syncs_each_group(&self) -> bool {
        self.settings.policy == Policy::Always || self.is_ending
    }

    /// What ends the file: everything that waits is written and synced.
    pub(crate) fn last_ops(mut self, records: &mut Log) -> Vec<DiskOp> {
        self.take(records);
        let (mut ops, file) = (Vec::new(), self.file);
        for (file, len, bytes) in self.pending {
            // What is on its way is in what waits, too, and may have been written, or half of it.
            ops.extend([DiskOp::Truncate { file, len }, DiskOp::Append { file, bytes }]);
        }
        ops.extend(self.unsynced_before.map(|file| DiskOp::Sync { file }));
        ops.extend([DiskOp::Sync { file }, DiskOp::Close { file }]);
        ops
    }

    /// The server ends when all is synced.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
    }

    /// Orders everything to be written that waits.
    fn write(&mut self, orders: &mut Orders, fx: &mut Effects) {
        let mut ops = Vec::new();
        let (syncs, mut len) = (self.syncs_each_group(), 0);
        for (file, good_len, bytes) in &self.pending {
            let file = *file;
            if self.failure.is_some() {
                // The write that failed may have left half of a record.
                ops.push(DiskOp::Truncate { file, len: *good_len });
            }
            len += bytes.len();
            // They are kept until they are written: a write that fails is made again.
            ops.push(DiskOp::Append { file, bytes: bytes.clone() });
            if syncs || file != self.file {
                ops.push(DiskOp::Sync { file });
            }
        }
        let ticket = orders.give(Lane::Log, ops, fx);
        self.in_flight = Some((ticket, Group::Records(self.taken), len));
    }

    /// Orders a sync if one is due.
    fn sync(&mut self, orders: &mut Orders, now: Instant, fx: &mut Effects) {
        let is_due = self.last_sync + SYNC_INTERVAL <= now;
        if self.settings.policy != Policy::EverySecond || self.synced >= self.written || !is_due {
            return;
        }
        let has_failed = self.sync_failure.as_ref().is_some_and(|(_, file)| *file == self.file);
        let must_wait = self.sync_in_flight.is_some() || self.unsynced_before.is_some();
        if must_wait || has_failed || self.stage != Stage::On {
            return;
        }
        let mut ops = Vec::new();
        let file = match self.sync_file {
            Some(file) => file,
            None => {
                let file = orders.file();
                let Some(last) = self.manifest.increments().last() else { return };
                ops.push(DiskOp::Open { file, path: self.path(&last.name) });
                self.sync_file = Some(file);
                file
            }
        };
        ops.push(DiskOp::Sync { file });
        let ticket = orders.give(Lane::Sync, ops, fx);
        self.sync_in_flight = Some((ticket, self.written, now));
        self.last_sync = now;
    }

    /// Takes an answer of the disk, if it is about the log.
    pub(crate) fn answered(
        &mut self,
        ticket: Ticket,
        result: &DiskResult,
        now: Instant,
        orders: &mut Orders,
        fx: &mut Effects,
    ) -> Option<Turn> {
        if let Some((_, position, since)) = self.sync_in_flight.take_if(|(own, ..)| *own == ticket)
        {
            self.delayed_syncs += u64::from(since + SYNC_PATIENCE <= now);
            match result {
                Ok(_) if self.sync_failure.is_none() => self.synced = self.synced.max(position),
                Ok(_) => {}
                Err(error) => self.sync_failed(error, self.file, fx),
            }
            return Some(Turn::Going);
        }
        if self.removing.take_if(|own| *own == ticket).is_some() {
            return Some(self.removed(result, fx));
        }
        let (_, group, len) = self.in_flight.take_if(|(own, ..)| *own == ticket)?;
        Some(match (group, result) {
            (Group::Records(position), Ok(_)) => {
                self.records_written(position, len, fx);
                Turn::Going
            }
            (Group::Records(_), Err(error)) => self.records_failed(error, now, orders, fx),
            (Group::FileBefore(file), result) => {
                self.unsynced_before = None;
                if let Err(error) = result {
                    self.sync_failed(error, file, fx);
                    if self.settings.policy == Policy::Always {
                        return Some(self.records_failed(error, now, orders, fx));
                    }
                }
                Turn::Going
            }
            (Group::Cut(why), _) => Turn::Fatal(why),
            (Group::Manifest(change), Ok(_)) => {
                if let Some((manifest, ..)) = self.next.take() {
                    self.manifest = manifest;
                }
                Turn::Changed(change)
            }
            (Group::Manifest(change), Err(error)) => {
                let why = &error.text;
                let text = format!("Error writing the manifest of the append-only file: {why}");
                log(fx, LogLevel::Warning, text.clone());
                self.next = None;
                self.is_dead = matches!(change, Change::First { .. });
                match change {
                    Change::First { .. } => Turn::Fatal(text),
                    Change::Switch(_) | Change::Base(_) => Turn::RewriteFailed,
                    Change::Removed | Change::Forget => Turn::Going,
                }
            }
        })
    }

    /// Of what is in a file it is not known any more whether the disk has it: a rewrite must come.
    fn sync_failed(&mut self, error: &DiskError, file: FileId, fx: &mut Effects) {
        let text = format!("Error syncing the append-only file: {}", error.text);
        log(fx, LogLevel::Warning, text);
        self.sync_failure = Some((error.text.clone(), file));
        self.is_needed = true;
    }

    /// Files that were replaced are gone, or some are not: then the next start deletes them.
    fn removed(&mut self, result: &DiskResult, fx: &mut Effects) -> Turn {
        if let Err(error) = result {
            self.cannot_remove = true;
            let why = &error.text;
            let text = format!("Error deleting replaced files of the append-only log: {why}");
            log(fx, LogLevel::Warning, text);
            return Turn::Going;
        }
        Turn::Changed(Change::Removed)
    }

    /// Replaced files are being deleted by this order.
    pub(crate) fn is_removing(&mut self, ticket: Ticket) {
        self.removing = Some(ticket);
    }

    /// Whether files that were replaced are to be deleted now.
    pub(crate) fn may_remove(&self) -> bool {
        let is_free = self.stage == Stage::On && !self.is_changing() && self.rewritten.is_none();
        is_free
            && !self.cannot_remove
            && !self.settings.keeps_history
            && !self.manifest.history().is_empty()
    }

    fn records_written(&mut self, position: u64, len: usize, fx: &mut Effects) {
        if self.failure.take().is_some() {
            let text = "AOF write error looks solved. The server can write again.";
            log(fx, LogLevel::Warning, text);
        }
        self.written = position;
        // As in Redis, who does not want to sync does not wait for it either.
        if self.syncs_each_group() || self.settings.policy == Policy::Never {
            self.synced = position;
        }
        self.bytes += len as u64;
        let mut left = len;
        while left > 0
            && let Some((file, good_len, bytes)) = self.pending.front_mut()
        {
            let done = left.min(bytes.len());
            bytes.drain(..done);
            *good_len += done as u64;
            left -= done;
            self.pending_bytes -= done;
            if *file == self.file {
                self.good_len = *good_len;
            }
            if bytes.is_empty() {
                self.pending.pop_front();
            }
        }
    }

    /// Under `always` there is nothing to do but to end: clients were promised what the disk does
    /// not keep, and a sync that has failed cannot be made again.
    fn records_failed(
        &mut self,
        error: &DiskError,
        now: Instant,
        orders: &mut Orders,
        fx: &mut Effects,
    ) -> Turn {
        let text = format!("Error writing to the append-only file: {}", error.text);
        log(fx, LogLevel::Warning, text.clone());
        if self.settings.policy == Policy::Always {
            self.is_dead = true;
            let why = "It cannot be recovered from when the AOF fsync policy is 'always'";
            return self.cut(format!("{text}. {why}"), orders, fx);
        }
        self.is_dead = self.is_ending;
        self.failure = Some((error.clone(), now + RETRY_INTERVAL));
        Turn::Going
    }

    /// Cuts off what was to be written, and ends: of what a sync that failed has left of it the
    /// next process would read a value with a hole. The disk may refuse this as well.
    fn cut(&mut self, why: String, orders: &mut Orders, fx: &mut Effects) -> Turn {
        if self.pending.is_empty() {
            return Turn::Fatal(why);
        }
        let ops = self
            .pending
            .iter()
            .flat_map(|&(file, len, _)| [DiskOp::Truncate { file, len }, DiskOp::Sync { file }]);
        let ticket = orders.give(Lane::Log, ops.collect(), fx);
        self.in_flight = Some((ticket, Group::Cut(why), 0));
        Turn::Going
    }

    /// The manifest is to become this one as soon as nothing else is on its way, after these
    /// operations.
    pub(crate) fn change_manifest(&mut self, to: Manifest, change: Change, before: Vec<DiskOp>) {
        self.next = Some((to, change, before));
    }

    /// Closes files that were replaced and have all that belongs into them.
    pub(crate) fn close_replaced(&mut self, orders: &mut Orders, fx: &mut Effects) {
        let is_waited_for = |file| {
            self.unsynced_before == Some(file)
                || self.pending.iter().any(|(other, ..)| *other == file)
        };
        for (lane, file) in self.replaced.extract_if(.., |(_, file)| !is_waited_for(*file)) {
            orders.give(lane, vec![DiskOp::Close { file }], fx);
        }
    }

    /// Whether a rewrite goes on.
    pub(crate) fn is_rewriting(&self) -> bool {
        let is_change = |change: &Change| matches!(change, Change::Switch(_) | Change::Base(_));
        self.rewritten.is_some()
            || self.next.as_ref().is_some_and(|(_, change, _)| is_change(change))
    }

    /// Whether the manifest is about to change.
    pub(crate) fn is_changing(&self) -> bool {
        self.next.is_some() || self.removing.is_some()
    }

    /// The file that records go to, with its lane, and those that were replaced and are open.
    pub(crate) fn open_files(&mut self) -> Vec<(Lane, FileId)> {
        let mut files = core::mem::take(&mut self.replaced);
        files.extend(self.sync_file.take().map(|file| (Lane::Sync, file)));
        files.push((Lane::Log, self.file));
        files
    }

    /// Gives an order that the next answer of the log is about: nothing else must be on its way.
    pub(crate) fn order_first(
        &mut self,
        ops: Vec<DiskOp>,
        lacks_base: bool,
        orders: &mut Orders,
        fx: &mut Effects,
    ) {
        let ticket = orders.give(Lane::Log, ops, fx);
        self.in_flight = Some((ticket, Group::Manifest(Change::First { lacks_base }), 0));
    }

    /// What is logged from now on goes to this file, which has so many bytes.
    pub(crate) fn switch_to(&mut self, file: FileId, len: u64, records: &mut Log) {
        if self.file != FileId(0) {
            // What was logged before belongs to the file before: a snapshot of this moment has it.
            self.take(records);
            let is_synced = self.settings.policy != Policy::Never && self.synced >= self.taken;
            // One of which a sync has failed is not trusted whatever another says.
            if !is_synced && self.sync_failure.is_none() {
                self.unsynced_before = Some(self.file);
            }
        }
        let before = core::mem::replace(&mut self.file, file);
        if before != FileId(0) {
            self.replaced.push((Lane::Log, before));
        }
        self.replaced.extend(self.sync_file.take().map(|file| (Lane::Sync, file)));
        self.good_len = len;
        records.begin_part(Reader::File);
    }

    /// A rewrite has ended: what was written before it needs no sync any more.
    pub(crate) fn base_is_safe(&mut self, bytes: u64) {
        self.cannot_remove = false;
        self.unsynced_before = None;
        self.base_bytes = bytes;
        self.bytes = self.good_len;
        self.sync_failure = None;
    }

    /// When it is to be rewritten, if it is: at once if somebody has asked for it.
    pub(crate) fn rewrite_due(&self) -> Option<Instant> {
        if self.stage != Stage::On || self.is_changing() || self.is_dead {
            return None;
        }
        if self.is_asked {
            return Some(Instant::default());
        }
        self.wants_rewrite().then_some(self.not_before)
    }

    /// Whether it is to be rewritten though nobody has asked for it.
    pub(crate) fn wants_rewrite(&self) -> bool {
        self.is_needed || self.has_grown()
    }

    /// A rewrite begins.
    pub(crate) fn begin_rewrite(&mut self) {
        (self.is_asked, self.is_needed) = (false, false);
    }

    /// A rewrite has failed. The next is not tried at once, and must come if what was written
    /// before cannot be trusted.
    pub(crate) fn rewrite_failed(&mut self, not_before: Instant) {
        self.rewritten = None;
        self.not_before = not_before;
        self.is_needed |= self.sync_failure.is_some();
    }

    /// Whether the log has grown so much that it is rewritten without being asked to.
    fn has_grown(&self) -> bool {
        let all = self.base_bytes + self.bytes;
        let settings = &self.settings;
        let growth = self.bytes.saturating_mul(100) / self.base_bytes.max(1);
        settings.growth_percent > 0
            && all > settings.rewrite_bytes_min
            && growth >= settings.growth_percent
    }
}
