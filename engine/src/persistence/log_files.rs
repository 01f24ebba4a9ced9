//! The files of the append-only log: the first ones, and those that replace them.
//!
//! A rewrite is two changes of the manifest with a snapshot between: records go to a new increment
//! from the moment on of which the snapshot is; when the snapshot is safe it is the base, and what
//! was before is deleted.
//!
//! Invariants: at any moment what the manifest on disk names is all there and gives all data that
//! was promised; a file is deleted only when the manifest that does not name it is safe.

use super::aof::{Aof, Change, Stage, manifest_ops};
use super::base::Commands;
use super::save::front;
use super::{Persistence, Reason, log};
use crate::disk::{DiskOp, FileId, Lane};
use crate::effects::{Effects, LogLevel};
use crate::state::State;
use crate::time::{Micros, Now};
use crate::value::aof::{BaseFormat, Manifest, Role, temporary_name};
use crate::value::rdb::FileWriter;

/// What loading found of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The manifest; nothing if there was none.
    pub(crate) manifest: Option<Manifest>,
    /// How long the last increment is, and whether it must be cut to that.
    pub(crate) last_len: u64,
    pub(crate) must_cut: bool,
    /// An increment before that which ends in the middle of a record.
    pub(super) torn: Option<Torn>,
    /// Bytes of the base and of the increments.
    pub(crate) base_bytes: u64,
    pub(crate) bytes: u64,
}

/// An increment that ends in the middle of a record, though a rewrite had begun another: power was
/// lost before it was synced. Before that nothing is written to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) path: String,
    /// How much of it is good.
    pub(super) len: u64,
    /// What is said if the next one holds something all the same.
    pub(super) why: String,
}

impl Found {
    /// What the file of this number in the manifest is.
    pub(super) fn role(&self, number: usize) -> Option<Role> {
        let mut files = self.manifest.as_ref()?.files_to_load();
        files.nth(number).map(|(_, role)| role)
    }

    /// Whether records were appended to it: that is the case, too, of a base that an older version
    /// has left.
    pub(super) fn may_grow(&self, number: usize) -> bool {
        let count = self.manifest.as_ref().map_or(0, |it| it.files_to_load().count());
        self.role(number) != Some(Role::Base) || count == 1
    }
}

/// So many rewrites have to fail one after the other before the next are put off for long.
const FAILURES_MAX: u32 = 3;
/// For how long at most.
const PUT_OFF_MINUTES_MAX: u64 = 60;
/// After one that failed the next one is not tried before.
const RETRY_INTERVAL: Micros = Micros::from_secs(1);
const NO_NUMBER: &str = "The append-only log has no number for another file";

/// How rewriting went so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewrites {
    /// How many have begun.
    pub(crate) count: u64,
    /// How long the last one took.
    pub(crate) last_took: Option<Micros>,
    /// How many have failed since one has not.
    pub(crate) failures: u32,
    /// How the one that goes on writes the base.
    pub(crate) format: BaseFormat,
}

impl Default for Rewrites {
    fn default() -> Self {
        Self { count: 0, last_took: None, failures: 0, format: BaseFormat::Rdb }
    }
}

impl Rewrites {
    /// For how long the next one is put off that nobody asks for.
    fn put_off(&self) -> Micros {
        match self.failures.checked_sub(FAILURES_MAX) {
            None => RETRY_INTERVAL,
            Some(more) => Micros::from_secs(60 * self.put_off_minutes(more)),
        }
    }

    fn put_off_minutes(&self, more: u32) -> u64 {
        (1_u64 << more.min(16)).min(PUT_OFF_MINUTES_MAX)
    }
}

impl State {
    /// Everything is loaded and the log is on: it goes on where it ended, or begins.
    pub(crate) fn open_log(&mut self, found: Found, now: Now, fx: &mut Effects) {
        let settings = self.persistence.settings.log.clone();
        let position = self.log.position();
        let mut aof = Aof::new(settings, Stage::Beginning { holds: true }, now, position);
        let Some(manifest) = found.manifest.filter(|manifest| !manifest.is_empty()) else {
            self.persistence.aof = Some(Box::new(aof));
            return self.begin_log(now, fx);
        };
        aof.manifest = manifest;
        (aof.base_bytes, aof.bytes) = (found.base_bytes, found.bytes);
        let file = self.persistence.orders.file();
        let (mut ops, mut len) = (Vec::new(), found.last_len);
        if let Some(Torn { path, len, .. }) = found.torn {
            let file = FileId(u64::MAX - 1);
            ops.extend([
                DiskOp::Open { file, path },
                DiskOp::Truncate { file, len },
                DiskOp::Sync { file },
                DiskOp::Close { file },
            ]);
        }
        if let Some(last) = aof.manifest.increments().last() {
            ops.push(DiskOp::Open { file, path: aof.path(&last.name) });
            if found.must_cut {
                ops.push(DiskOp::Truncate { file, len });
            }
            // What was found may not have been synced before.
            ops.push(DiskOp::Sync { file });
        } else {
            if let Some(base) = aof.manifest.base().filter(|_| found.must_cut) {
                let base_file = FileId(u64::MAX - 1);
                ops.extend([
                    DiskOp::Open { file: base_file, path: aof.path(&base.name) },
                    DiskOp::Truncate { file: base_file, len },
                    DiskOp::Sync { file: base_file },
                    DiskOp::Close { file: base_file },
                ]);
            }
            len = 0;
            ops.extend(new_increment(&mut aof, file));
            ops.extend(manifest_ops(&aof.settings, &aof.manifest));
        }
        aof.switch_to(file, len, &mut self.log);
        self.log.start();
        aof.order_first(ops, false, &mut self.persistence.orders, fx);
        self.persistence.aof = Some(Box::new(aof));
    }

    /// There is no log yet: its first files are made. With data, the base is a snapshot.
    pub(crate) fn begin_log(&mut self, now: Now, fx: &mut Effects) {
        let Some(aof) = &mut self.persistence.aof else { return };
        let folder = aof.settings.folder.clone();
        let mut ops =
            vec![DiskOp::MakeFolder { path: folder }, DiskOp::SyncFolder { path: String::new() }];
        let file = self.persistence.orders.file();
        ops.extend(new_increment(aof, file));
        let count = self.keyspace.count();
        let is_empty = (0..count).all(|index| self.keyspace.db(index).is_empty());
        let lacks_base = !is_empty || self.libraries.totals().0 > 0;
        if !lacks_base {
            let (encodings, format) = (&self.config.encodings, aof.settings.base_format);
            let bytes = match format {
                BaseFormat::Rdb => {
                    let mut base = FileWriter::new(encodings.rdb_target, 0, false, true);
                    front(&mut base, &self.keyspace, &self.libraries, now, 0, true);
                    base.finish()
                }
                BaseFormat::Commands => {
                    let secs = aof.settings.notes_time.then(|| self.clock.now().0 / 1000);
                    Commands::new(secs, &self.libraries).finish()
                }
            };
            aof.base_bytes = bytes.len() as u64;
            let kept = aof.manifest.increments().last().map_or(0, |last| last.seq);
            let stem = aof.settings.stem.clone();
            let base = aof.manifest.replace_base(&stem, format, kept);
            let name = base.map(|base| base.name.clone()).expect("the first is not the last one");
            log(fx, LogLevel::Notice, format!("Creating AOF base file {name} on server start"));
            let (path, base) = (aof.path(&name), FileId(u64::MAX - 1));
            ops.extend([
                DiskOp::Create { file: base, path },
                DiskOp::Append { file: base, bytes },
                DiskOp::Sync { file: base },
                DiskOp::Close { file: base },
            ]);
            ops.extend(manifest_ops(&aof.settings, &aof.manifest));
        }
        aof.switch_to(file, 0, &mut self.log);
        if !lacks_base {
            // The base has no keys: whatever comes is in the log.
            self.log.start();
        }
        aof.order_first(ops, lacks_base, &mut self.persistence.orders, fx);
    }

    /// The manifest on disk is another, or the first files are there. True: the server is ready.
    pub(crate) fn log_changed(&mut self, change: Change, now: Now, fx: &mut Effects) -> bool {
        let Some(aof) = &mut self.persistence.aof else { return false };
        match change {
            Change::First { lacks_base } => {
                if !lacks_base {
                    let was_held = aof.stage == Stage::Beginning { holds: true };
                    aof.stage = Stage::On;
                    self.delete_history(fx);
                    return was_held;
                }
                self.log.start();
                self.begin_rewrite_walk(now, fx);
            }
            Change::Switch(file) => {
                aof.switch_to(file, 0, &mut self.log);
                self.begin_rewrite_walk(now, fx);
            }
            Change::Base(bytes) => {
                let was_held = aof.stage == Stage::Beginning { holds: true };
                aof.stage = Stage::On;
                aof.base_is_safe(bytes);
                self.persistence.rewrites.failures = 0;
                log(fx, LogLevel::Notice, "Background AOF rewrite finished successfully");
                self.delete_history(fx);
                return was_held;
            }
            Change::Removed => {
                let mut manifest = aof.manifest.clone();
                manifest.forget_history();
                aof.change_manifest(manifest, Change::Forget, Vec::new());
            }
            Change::Forget => {}
        }
        false
    }

    /// `appendonly yes` while the server runs: nothing is promised before all data is in the log.
    pub(crate) fn switch_log_on(&mut self, now: Now, fx: &mut Effects) {
        let settings = self.persistence.settings.log.clone();
        let position = self.log.position();
        let mut aof = Aof::new(settings, Stage::Beginning { holds: false }, now, position);
        // The files of before are whole as long as nothing has replaced them.
        aof.manifest = self.persistence.last_manifest.clone();
        self.persistence.aof = Some(Box::new(aof));
        self.begin_log(now, fx);
    }

    /// `appendonly no`: what was logged is synced, and nothing more is.
    pub(crate) fn switch_log_off(&mut self, fx: &mut Effects) {
        let saving = self.persistence.saving.as_ref();
        if saving.is_some_and(|saving| saving.reason == Reason::Rewrite) {
            let text = "Killing running AOF rewrite: there is no child, the server itself stops it";
            log(fx, LogLevel::Notice, text);
            self.cancel_save(fx);
        }
        let Some(aof) = self.persistence.aof.take() else { return };
        if aof.stage != Stage::On {
            self.log.stop();
            return self.drop_beginning(*aof, fx);
        }
        self.persistence.last_manifest = aof.manifest.clone();
        let ops = aof.last_ops(&mut self.log);
        self.log.stop();
        self.persistence.orders.give(Lane::Log, ops, fx);
    }

    /// A log that was switched on and never came to be: its file goes. What the manifest on disk
    /// names was left as it was.
    fn drop_beginning(&mut self, mut aof: Aof, fx: &mut Effects) {
        let orders = &mut self.persistence.orders;
        for (lane, file) in aof.open_files() {
            orders.give(lane, vec![DiskOp::Close { file }], fx);
        }
        if let Some(last) = aof.manifest.increments().last() {
            let name = &last.name;
            let text = format!("Removing the temp incr aof file {name} in the background");
            log(fx, LogLevel::Notice, text);
            // On the lane of the log, where the next one may have its name.
            let path = aof.path(name);
            orders.give(Lane::Log, vec![DiskOp::Remove { path }], fx);
        }
    }

    /// Deletes files that were replaced, unless they are to stay; then the manifest forgets them.
    pub(crate) fn delete_history(&mut self, fx: &mut Effects) {
        let Persistence { aof, orders, .. } = &mut self.persistence;
        let Some(aof) = aof else { return };
        aof.close_replaced(orders, fx);
        if !aof.may_remove() {
            return;
        }
        let names = aof.manifest.files_to_delete();
        let ops = names.map(|name| DiskOp::Remove { path: aof.path(name) }).collect();
        let ticket = orders.give(Lane::Bulk, ops, fx);
        aof.is_removing(ticket);
    }

    /// Begins a rewrite: the new increment first.
    pub(crate) fn begin_rewrite(&mut self, fx: &mut Effects) {
        let Some(aof) = &mut self.persistence.aof else { return };
        aof.begin_rewrite();
        let mut manifest = aof.manifest.clone();
        let stem = aof.settings.stem.clone();
        let Ok(increment) = manifest.add_increment(&stem) else {
            return log(fx, LogLevel::Warning, NO_NUMBER);
        };
        let path = aof.path(&increment.name);
        let file = self.persistence.orders.file();
        let ops = vec![DiskOp::Create { file, path }, DiskOp::Sync { file }];
        aof.change_manifest(manifest, Change::Switch(file), ops);
        log(fx, LogLevel::Notice, "Background append only file rewriting started");
    }

    /// The moment of the rewrite's snapshot.
    fn begin_rewrite_walk(&mut self, now: Now, fx: &mut Effects) {
        let Some(aof) = &mut self.persistence.aof else { return };
        let mut manifest = aof.manifest.clone();
        let kept = manifest.increments().last().map_or(0, |last| last.seq);
        let (stem, format) = (aof.settings.stem.clone(), aof.settings.base_format);
        let Ok(base) = manifest.replace_base(&stem, format, kept) else {
            return log(fx, LogLevel::Warning, NO_NUMBER);
        };
        let (path, temporary) = (aof.path(&base.name), aof.path(&temporary_name(&base.name)));
        aof.rewritten = Some(manifest);
        self.persistence.rewrites.format = format;
        self.persistence.rewrites.count += 1;
        self.begin_save_to(Reason::Rewrite, path, temporary, now, fx);
    }

    /// The snapshot of a rewrite has ended.
    pub(crate) fn end_rewrite_walk(
        &mut self,
        result: &Result<u64, String>,
        now: Now,
        began: Now,
        fx: &mut Effects,
    ) {
        self.persistence.rewrites.last_took = Some(now.mono.since(began.mono));
        let bytes = match result {
            Ok(bytes) => *bytes,
            Err(_) => {
                log(fx, LogLevel::Warning, "Background AOF rewrite terminated with error");
                return self.rewrite_failed(now, fx);
            }
        };
        log(fx, LogLevel::Notice, "Background AOF rewrite terminated with success");
        let Some(aof) = &mut self.persistence.aof else {
            return self.end_lone_walk(fx);
        };
        if let Some(manifest) = aof.rewritten.take() {
            aof.change_manifest(manifest, Change::Base(bytes), Vec::new());
        }
    }

    /// A rewrite gives way to another snapshot, or the log is switched off: it begins again if it
    /// is still wanted.
    pub(crate) fn give_rewrite_up(&mut self, fx: &mut Effects) {
        let Persistence { aof, lone, .. } = &mut self.persistence;
        if let Some(lone) = lone {
            lone.begin_again();
        }
        let Some(aof) = aof else { return };
        (aof.rewritten, aof.is_asked) = (None, aof.stage == Stage::On);
        if aof.stage == (Stage::Beginning { holds: false }) {
            self.log.stop();
            if let Some(aof) = self.persistence.aof.take() {
                self.drop_beginning(*aof, fx);
            }
        }
    }

    /// A rewrite has failed. If the log was to be switched on with it, that is tried again later
    /// from the start.
    pub(crate) fn rewrite_failed(&mut self, now: Now, fx: &mut Effects) {
        let persistence = &mut self.persistence;
        persistence.lone = None;
        let rewrites = &mut persistence.rewrites;
        rewrites.failures = rewrites.failures.saturating_add(1);
        let not_before = now.mono + rewrites.put_off();
        let Some(aof) = &mut persistence.aof else { return };
        let is_beginning = aof.stage == Stage::Beginning { holds: false };
        if let Some(more) = rewrites.failures.checked_sub(FAILURES_MAX)
            && (is_beginning || aof.wants_rewrite() || aof.settings.growth_percent > 0)
        {
            let minutes = rewrites.put_off_minutes(more);
            let text = format!(
                "Background AOF rewrite has repeatedly failed and triggered the limit, will retry \
                 in {minutes} minutes"
            );
            log(fx, LogLevel::Warning, text);
        }
        aof.rewrite_failed(not_before);
        if is_beginning {
            self.log.stop();
            self.persistence.switches_at = not_before;
            if let Some(aof) = self.persistence.aof.take() {
                self.drop_beginning(*aof, fx);
            }
        }
    }
}

/// Adds an increment to the manifest and says how its file is made.
fn new_increment(aof: &mut Aof, file: FileId) -> Vec<DiskOp> {
    let stem = aof.settings.stem.clone();
    let name = aof.manifest.add_increment(&stem).map(|increment| increment.name.clone());
    let path = aof.path(&name.expect("the first number is not the last one"));
    vec![DiskOp::Create { file, path }, DiskOp::Sync { file }]
}
