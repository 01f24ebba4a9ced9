//! What was deleted and is freed little by little: big values and whole databases.
//!
//! Invariants: `free_some` does a bounded amount of work, whatever lies in the trash; whoever
//! throws away values while many bytes of them wait frees as many as it adds.

use std::collections::VecDeque;

use super::chunk::Chunk;
use super::collections::Object;
use super::db::Db;
use super::undo::Change;

/// Objects of a dropped database freed per step.
const OBJECTS_PER_STEP: usize = 256;
/// Bytes of values that may wait; those who throw away more take part in freeing them.
const WAITING_BYTES_MAX: usize = 256 << 20;
/// What one step of freeing takes of a value, or less where pieces are small.
const BYTES_PER_STEP: usize = 1 << 20;

/// A value that waits, or what is left of it.
struct Thrown {
    object: Object,
    /// About what it takes.
    bytes: usize,
}

/// Things to free.
#[derive(Default)]
pub(crate) struct Trash {
    objects: VecDeque<Thrown>,
    /// About what the objects take.
    object_bytes: usize,
    chunks: Vec<Chunk>,
    databases: VecDeque<Db>,
    /// What scripts had changed, which stands.
    changes: Vec<Vec<Change>>,
    /// How many objects have been freed since start (INFO lazyfreed_objects).
    pub(crate) freed: u64,
}

impl Trash {
    pub(crate) fn push_object(&mut self, object: Object) {
        let bytes = object.memory_bytes();
        let mut steps = 2 + 2 * (bytes / BYTES_PER_STEP);
        while self.object_bytes > WAITING_BYTES_MAX && steps > 0 {
            self.free_some_of_object();
            steps -= 1;
        }
        self.objects.push_back(Thrown { object, bytes });
        self.object_bytes += bytes;
    }

    /// Frees a part of the first object; whether there was one.
    fn free_some_of_object(&mut self) -> bool {
        let Some(thrown) = self.objects.front_mut() else { return false };
        let is_gone = thrown.object.free_some();
        let freed = if is_gone { thrown.bytes } else { thrown.bytes.min(BYTES_PER_STEP) };
        thrown.bytes -= freed;
        self.object_bytes -= freed;
        if is_gone {
            self.objects.pop_front();
            self.freed += 1;
        }
        true
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
        if self.free_some_of_object() {
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
                    self.push_object(object);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: usize) -> Object {
        Object::Raw(Vec::with_capacity(bytes))
    }

    #[test]
    fn what_waits_is_bounded_however_fast_it_is_thrown_away() {
        let mut trash = Trash::default();
        for _ in 0..1000 {
            trash.push_object(string(5 << 20));
            assert!(trash.object_bytes <= WAITING_BYTES_MAX + (5 << 20));
        }
        assert!(trash.freed > 900);
        while !trash.is_empty() {
            trash.free_some();
        }
        assert_eq!((trash.object_bytes, trash.freed), (0, 1000));
    }

    #[test]
    fn one_large_value_is_freed_later_and_in_steps() {
        let mut trash = Trash::default();
        trash.push_object(string(WAITING_BYTES_MAX * 2));
        assert_eq!((trash.pending(), trash.freed), (1, 0));
        // A small one behind it pays for no more than about what it is itself.
        trash.push_object(string(2 << 20));
        assert!(trash.object_bytes > WAITING_BYTES_MAX * 2 - (8 << 20));
        let steps = (0..)
            .take_while(|_| {
                trash.free_some();
                !trash.is_empty()
            })
            .count();
        assert!(steps > 500, "{steps}");
    }
}
