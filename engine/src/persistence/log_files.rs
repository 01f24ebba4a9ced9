//! The files of the append-only log: the first ones, and those that replace them.
//!
//! A rewrite is two changes of the manifest with a snapshot between: records go to a new increment
//! from the moment on of which the snapshot is; when the snapshot is safe it is the base, and what
//! was before is deleted.
//!
//! Invariants: at any moment what the manifest on disk names is all there and gives all data that
//! was promised; a file is deleted only when the manifest that does not name it is safe.

use super::aof::{Aof, Change, Stage, manifest_ops};
use super::save::front;
use super::{Reason, log};
use crate::disk::{DiskOp, FileId, Lane};
use crate::effects::{Effects, LogLevel};
use crate::state::State;
use crate::time::Now;
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
    /// Bytes of the base and of the increments.
    pub(crate) base_bytes: u64,
    pub(crate) bytes: u64,
}

impl Found {
    /// What the file of this number in the manifest is.
    pub(super) fn role(&self, number: usize) -> Option<Role> {
        let mut files = self.manifest.as_ref()?.files_to_load();
        files.nth(number).map(|(_, role)| role)
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
        if let Some(last) = aof.manifest.increments().last() {
            ops.push(DiskOp::Open { file, path: aof.path(&last.name) });
            if found.must_cut {
                ops.push(DiskOp::Truncate { file, len });
            }
            // What was found may not have been synced before.
            ops.push(DiskOp::Sync { file });
        } else {
            len = 0;
            ops = new_increment(&mut aof, file);
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
            let encodings = &self.config.encodings;
            let mut base = FileWriter::new(encodings.rdb_target, 0, false, true);
            front(&mut base, &self.keyspace, &self.libraries, now, 0, true);
            let bytes = base.finish();
            aof.base_bytes = bytes.len() as u64;
            let kept = aof.manifest.increments().last().map_or(0, |last| last.seq);
            let stem = aof.settings.stem.clone();
            let base = aof.manifest.replace_base(&stem, BaseFormat::Rdb, kept);
            let name = base.map(|base| base.name.clone());
            let path = aof.path(&name.expect("the first number is not the last one"));
            let base = FileId(u64::MAX - 1);
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
                log(fx, LogLevel::Notice, "Background AOF rewrite finished successfully");
                self.delete_history(fx);
                return was_held;
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
        aof.manifest = core::mem::take(&mut self.persistence.last_manifest);
        self.persistence.aof = Some(Box::new(aof));
        self.begin_log(now, fx);
    }

    /// `appendonly no`: what was logged is synced, and nothing more is.
    pub(crate) fn switch_log_off(&mut self, fx: &mut Effects) {
        let saving = self.persistence.saving.as_ref();
        if saving.is_some_and(|saving| saving.reason == Reason::Rewrite) {
            self.cancel_save(fx);
        }
        self.log.stop();
        let Some(aof) = self.persistence.aof.take() else { return };
        self.persistence.last_manifest = aof.manifest.clone();
        let ops = aof.last_ops();
        self.persistence.orders.give(Lane::Log, ops, fx);
    }

    fn delete_history(&mut self, fx: &mut Effects) {
        let Some(aof) = &mut self.persistence.aof else { return };
        aof.close_replaced(&mut self.persistence.orders, fx);
        if aof.manifest.history().is_empty() {
            return;
        }
        let paths: Vec<String> =
            aof.manifest.files_to_delete().map(|name| aof.path(name)).collect();
        let ops = paths.into_iter().map(|path| DiskOp::Remove { path }).collect();
        self.persistence.orders.give(Lane::Bulk, ops, fx);
        let mut manifest = aof.manifest.clone();
        manifest.forget_history();
        aof.change_manifest(manifest, Change::Forget, Vec::new());
    }

    /// Begins a rewrite: the new increment first.
    pub(crate) fn begin_rewrite(&mut self, fx: &mut Effects) {
        let Some(aof) = &mut self.persistence.aof else { return };
        aof.is_scheduled = false;
        let mut manifest = aof.manifest.clone();
        let stem = aof.settings.stem.clone();
        let Ok(increment) = manifest.add_increment(&stem) else {
            return log(
                fx,
                LogLevel::Warning,
                "The append-only log has no number for another file",
            );
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
        let stem = aof.settings.stem.clone();
        let Ok(base) = manifest.replace_base(&stem, BaseFormat::Rdb, kept) else {
            return log(
                fx,
                LogLevel::Warning,
                "The append-only log has no number for another file",
            );
        };
        let (path, temporary) = (aof.path(&base.name), aof.path(&temporary_name(&base.name)));
        aof.rewritten = Some(manifest);
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
        let Some(aof) = &mut self.persistence.aof else { return };
        let manifest = aof.rewritten.take();
        aof.rewrites.last_took = Some(now.mono.since(began.mono));
        match (result, manifest) {
            (Ok(bytes), Some(manifest)) => {
                aof.rewrites.has_failed = false;
                aof.rewrites.count += 1;
                aof.change_manifest(manifest, Change::Base(*bytes), Vec::new());
            }
            _ => {
                aof.rewrite_failed(now.mono);
                log(fx, LogLevel::Warning, "Background AOF rewrite terminated with error");
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
