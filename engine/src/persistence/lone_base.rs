//! BGREWRITEAOF while the log is off: as in Redis all keys become a base, and a manifest that names
//! nothing else.
//!
//! Invariant: what the manifest on disk names is whole; what it does not name is deleted only when
//! it is safe.

use super::aof::manifest_ops;
use super::{Persistence, Reason, log};
use crate::disk::{DiskOp, DiskResult, Lane, Ticket};
use crate::effects::{Effects, LogLevel};
use crate::state::State;
use crate::time::Now;
use crate::value::aof::{Manifest, temporary_name};

/// A rewrite of a log that is off.
pub(crate) struct LoneBase {
    step: Step,
    /// What the manifest becomes.
    manifest: Manifest,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Asked,
    Walking,
    /// The manifest is being written.
    Naming(Ticket),
    /// What was replaced is being deleted.
    Removing(Ticket),
    /// The manifest is to forget it.
    Forgetting(Ticket),
}

impl LoneBase {
    /// Whether it can begin as soon as nothing else is written.
    pub(crate) fn is_asked(&self) -> bool {
        self.step == Step::Asked
    }

    /// It was interrupted.
    pub(super) fn begin_again(&mut self) {
        self.step = Step::Asked;
    }
}

impl State {
    /// Somebody wants one.
    pub(crate) fn ask_for_lone_base(&mut self) {
        let manifest = Manifest::default();
        self.persistence.lone = Some(LoneBase { step: Step::Asked, manifest });
    }

    /// Begins with it; nothing else must be written.
    pub(crate) fn begin_lone_base(&mut self, now: Now, fx: &mut Effects) {
        let Persistence { settings, orders, lone, last_manifest, rewrites, .. } =
            &mut self.persistence;
        let Some(lone) = lone else { return };
        let settings = &settings.log;
        let mut manifest = last_manifest.clone();
        // Nothing is logged: the base takes the place of all there is.
        let Ok(base) = manifest.replace_base(&settings.stem, settings.base_format, i64::MAX) else {
            self.persistence.lone = None;
            return log(
                fx,
                LogLevel::Warning,
                "The append-only log has no number for another base",
            );
        };
        let path = |name: &str| format!("{}/{name}", settings.folder);
        let (temporary, path) = (path(&temporary_name(&base.name)), path(&base.name));
        let folder = settings.folder.clone();
        // On the lane on which the base follows: it waits for the folder.
        let ops =
            vec![DiskOp::MakeFolder { path: folder }, DiskOp::SyncFolder { path: String::new() }];
        orders.give(Lane::Bulk, ops, fx);
        rewrites.format = settings.base_format;
        rewrites.count += 1;
        (lone.step, lone.manifest) = (Step::Walking, manifest);
        log(fx, LogLevel::Notice, "Background append only file rewriting started");
        self.begin_save_to(Reason::Rewrite, path, temporary, now, fx);
    }

    /// The base is there: the manifest is to name it.
    pub(super) fn end_lone_walk(&mut self, fx: &mut Effects) {
        let Persistence { settings, orders, lone, .. } = &mut self.persistence;
        let Some(lone) = lone else { return };
        let ops = manifest_ops(&settings.log, &lone.manifest);
        lone.step = Step::Naming(orders.give(Lane::Log, ops, fx));
    }

    /// Takes an answer of the disk, if it is about the manifest of such a base. `Some(false)`: it
    /// has failed.
    pub(crate) fn lone_base_answered(
        &mut self,
        ticket: Ticket,
        result: &DiskResult,
        fx: &mut Effects,
    ) -> Option<bool> {
        let Persistence { settings, orders, lone: slot, last_manifest, rewrites, .. } =
            &mut self.persistence;
        let lone = slot.as_mut()?;
        let step = lone.step;
        let (Step::Naming(own) | Step::Removing(own) | Step::Forgetting(own)) = step else {
            return None;
        };
        if own != ticket {
            return None;
        }
        if let Err(error) = result {
            let text = format!("Error writing the files of the append-only log: {}", error.text);
            log(fx, LogLevel::Warning, text);
            *slot = None;
            return Some(!matches!(step, Step::Naming(_)));
        }
        let folder = &settings.log.folder;
        match step {
            Step::Naming(_) => {
                rewrites.failures = 0;
                *last_manifest = lone.manifest.clone();
                log(fx, LogLevel::Notice, "Background AOF rewrite finished successfully");
                if settings.log.keeps_history || lone.manifest.history().is_empty() {
                    *slot = None;
                    return Some(true);
                }
                let names = lone.manifest.files_to_delete();
                let remove = |name| DiskOp::Remove { path: format!("{folder}/{name}") };
                let ops = names.map(remove).collect();
                lone.step = Step::Removing(orders.give(Lane::Bulk, ops, fx));
            }
            Step::Removing(_) => {
                lone.manifest.forget_history();
                let ops = manifest_ops(&settings.log, &lone.manifest);
                lone.step = Step::Forgetting(orders.give(Lane::Log, ops, fx));
            }
            _ => {
                *last_manifest = lone.manifest.clone();
                *slot = None;
            }
        }
        Some(true)
    }
}
