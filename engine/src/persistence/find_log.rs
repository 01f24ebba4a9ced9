//! Finding the log when the server starts: what the manifest names, or the one file of an older
//! version, which then becomes the base.
//!
//! Invariants: the file of an older version is moved only when the manifest is safe that names it,
//! and never over another file; a start that was interrupted on the way is taken up again.

use super::aof::manifest_ops;
use super::load::{Loaded, Source, What};
use super::{Persistence, log, log_files::Found};
use crate::disk::{DiskOp, Lane};
use crate::effects::{Effects, LogLevel};
use crate::state::State;
use crate::value::aof::Manifest;
use crate::value::rdb::FileReader;

/// Where the file of an older version is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OldPlace {
    /// In the folder of the log, where it is moved to.
    Inside,
    /// Beside the folder, where it was.
    Outside,
    /// On the way from there to here.
    Moving,
}

impl State {
    /// What the manifest says is known, or that there is none.
    pub(super) fn manifest_read(
        &mut self,
        manifest: Option<Manifest>,
        fx: &mut Effects,
    ) -> Option<Loaded> {
        let Persistence { loading, settings, orders, last_manifest, .. } = &mut self.persistence;
        let loading = loading.as_mut()?;
        let log = &settings.log;
        if loading.what == What::AtStart && !log.is_on {
            // When the log is switched on its files are to be others than those that are there.
            *last_manifest = manifest.unwrap_or_default();
            let source = Source::Snapshot(FileReader::default());
            loading.open(settings.file_name.clone(), source, orders, fx);
            return None;
        }
        let takes_old = manifest.as_ref().is_none_or(|it| it.takes_old_file(&log.stem, false));
        loading.found.manifest = manifest;
        if !takes_old {
            return self.open_log_file(0, fx);
        }
        let path = format!("{}/{}", log.folder, log.stem);
        loading.open(path, Source::Old(OldPlace::Inside), orders, fx);
        None
    }

    /// The file of an older version is there, or not.
    pub(super) fn old_file_answered(
        &mut self,
        place: OldPlace,
        is_there: bool,
        fx: &mut Effects,
    ) -> Option<Loaded> {
        let Persistence { loading, settings, orders, .. } = &mut self.persistence;
        let loading = loading.as_mut()?;
        let (stem, folder) = (&settings.log.stem, &settings.log.folder);
        let is_named = loading.found.manifest.as_ref().is_some_and(|it| !it.is_empty());
        match place {
            OldPlace::Inside if is_there && is_named => return self.open_log_file(0, fx),
            OldPlace::Inside => {
                loading.has_inside = is_there;
                loading.open(stem.clone(), Source::Old(OldPlace::Outside), orders, fx);
            }
            OldPlace::Outside if is_there && loading.has_inside => {
                let why = format!(
                    "{stem} and {folder}/{stem} are both there, and no manifest says which of them \
                     is the log"
                );
                return self.end_loading(Err(why), fx);
            }
            OldPlace::Outside if is_there => self.move_old_file(fx),
            OldPlace::Outside if is_named => return self.open_log_file(0, fx),
            OldPlace::Outside => {
                let what = loading.what;
                self.persistence.loading = None;
                return Some(Loaded { what, result: Ok(Found::default()) });
            }
            OldPlace::Moving => {
                let text = format!(
                    "Successfully migrated an old-style AOF file ({stem}) into the AOF directory \
                     ({folder})."
                );
                log(fx, LogLevel::Notice, text);
                return self.open_log_file(0, fx);
            }
        }
        None
    }

    fn move_old_file(&mut self, fx: &mut Effects) {
        let Persistence { loading, settings, orders, .. } = &mut self.persistence;
        let Some(loading) = loading else { return };
        let log = &settings.log;
        let mut manifest = Manifest::default();
        manifest.take_old_file(&log.stem);
        let mut ops = vec![
            DiskOp::MakeFolder { path: log.folder.clone() },
            DiskOp::SyncFolder { path: String::new() },
        ];
        ops.extend(manifest_ops(log, &manifest));
        ops.extend([
            DiskOp::Rename { from: log.stem.clone(), to: format!("{}/{}", log.folder, log.stem) },
            DiskOp::SyncFolder { path: log.folder.clone() },
            DiskOp::SyncFolder { path: String::new() },
        ]);
        loading.found.manifest = Some(manifest);
        loading.source = Source::Old(OldPlace::Moving);
        loading.in_flight = Some(orders.give(Lane::Bulk, ops, fx));
    }
}
