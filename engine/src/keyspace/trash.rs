//! What was deleted and is freed little by little: big values and whole databases.
//!
//! Invariant: `free_some` does a bounded amount of work, whatever lies in the trash.

use std::collections::VecDeque;

use super::chunk::Chunk;
use super::collections::Object;
use super::db::Db;
use super::undo::Change;

/// Objects of a dropped database freed per step.
const OBJECTS_PER_STEP: usize = 256;

/// Things to free.
#[derive(Default)]
pub(crate) struct Trash {
    objects: VecDeque<Object>,
    chunks: Vec<Chunk>,
    databases: VecDeque<Db>,
    /// What scripts had changed, which stands.
    changes: Vec<Vec<Change>>,
    /// How many objects have been freed since start (INFO lazyfreed_objects).
    pub(crate) freed: u64,
}

impl Trash {
    pub(crate) fn push_object(&mut self, object: Object) {
        self.objects.push_back(object);
    }

    pub(crate) fn push_chunk(&mut self, chunk: Chunk) {
        self.chunks.push(chunk);
    }

    pub(crate) fn push_db(&mut self, db: Db) {
        self.databases.push_back(db);
    }

    pub(super) fn push_changes(&mut self, changes: Vec<Change>) {
        self.changes.push(changes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.chunks.is_empty()
            && self.databases.is_empty()
            && self.changes.is_empty()
    }

    /// How many objects wait to be freed (INFO lazyfree_pending_objects).
    pub(crate) fn pending(&self) -> usize {
        self.objects.len() + self.databases.iter().map(Db::len).sum::<usize>()
    }

    /// Frees a bounded amount.
    pub(crate) fn free_some(&mut self) {
        if let Some(object) = self.objects.front_mut() {
            if object.free_some() {
                self.objects.pop_front();
                self.freed += 1;
            }
            return;
        }
        if let Some(chunk) = self.chunks.last_mut() {
            if chunk.give_back_some() {
                self.chunks.pop();
            }
            return;
        }
        if let Some(mut changes) = self.changes.pop() {
            let kept = changes.len().saturating_sub(OBJECTS_PER_STEP);
            changes.drain(kept..).for_each(|change| change.free(self));
            if kept > 0 {
                self.changes.push(changes);
            }
            return;
        }
        let Some(db) = self.databases.front_mut() else { return };
        for _ in 0..OBJECTS_PER_STEP {
            match db.objects.take_any() {
                Some(object) if object.is_big() => {
                    self.objects.push_back(object);
                    return;
                }
                Some(_) => self.freed += 1,
                None => {
                    let arena_is_gone = db.fields.drop_some() && db.arena.drop_some();
                    if arena_is_gone && db.table.drop_some() {
                        self.databases.pop_front();
                    }
                    return;
                }
            }
        }
    }
}
