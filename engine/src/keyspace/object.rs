//! Values that live outside their entry, and the table that holds them.
//!
//! Invariant: an object belongs to exactly one entry, which knows its index.

use super::collections::Object;

impl Object {
    /// Becomes a long string, in the memory that it has, if that fits well; false if it does not.
    pub(super) fn overwrite(&mut self, new: &[u8]) -> bool {
        #[allow(irrefutable_let_patterns, reason = "there are types beside strings")]
        let Self::Raw(bytes) = self else { return false };
        let fits = new.len() <= bytes.capacity() && bytes.capacity() / 2 <= new.len();
        if fits {
            bytes.clear();
            bytes.extend_from_slice(new);
        }
        fits
    }

    /// What stands in the place of an object that is handed out.
    pub(super) fn placeholder() -> Self {
        Self::Raw(Vec::new())
    }
}

/// Whether freeing a string may take long.
pub(super) fn is_big_string(bytes: &Vec<u8>) -> bool {
    bytes.capacity() > FREE_BYTES_PER_STEP
}

/// Frees a bounded part of a string; true when nothing is left.
pub(super) fn free_some_of_string(bytes: &mut Vec<u8>) -> bool {
    let keep = bytes.capacity().saturating_sub(FREE_BYTES_PER_STEP);
    bytes.truncate(keep);
    bytes.shrink_to(keep);
    keep == 0
}

/// How much of a big string is given back in one step. Returning a megabyte of touched pages to the
/// system takes some hundred microseconds.
const FREE_BYTES_PER_STEP: usize = 1 << 20;

const CHUNK: usize = 1024;

/// Objects by index, in chunks so that growth never moves them all.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    chunks: Vec<Vec<Option<Object>>>,
    vacant: Vec<u32>,
    len: usize,
}

impl Objects {
    pub(crate) fn insert(&mut self, object: Object) -> u32 {
        self.len += 1;
        if let Some(index) = self.vacant.pop() {
            *self.place(index) = Some(object);
            return index;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunks = self.chunks.len();
        let last = &mut self.chunks[chunks - 1];
        last.push(Some(object));
        u32::try_from((chunks - 1) * CHUNK + last.len() - 1).expect("at most 2^32 objects")
    }

    pub(crate) fn remove(&mut self, index: u32) -> Object {
        let object = self.place(index).take().expect("an entry owns its object");
        self.len -= 1;
        self.vacant.push(index);
        object
    }

    pub(crate) fn at(&self, index: u32) -> &Object {
        let chunk = &self.chunks[index as usize / CHUNK];
        chunk[index as usize % CHUNK].as_ref().expect("an entry owns its object")
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> &mut Object {
        self.place(index).as_mut().expect("an entry owns its object")
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the places that are in use.
    pub(crate) fn used_bytes(&self) -> usize {
        self.len * size_of::<Option<Object>>()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Option<Object>>() + self.vacant.capacity() * 4
    }

    /// Takes any object out, for a table that is no longer in use; `None` when it is empty.
    pub(crate) fn take_any(&mut self) -> Option<Object> {
        loop {
            let chunk = self.chunks.last_mut()?;
            match chunk.pop() {
                Some(Some(object)) => return Some(object),
                Some(None) => {}
                None => {
                    self.chunks.pop();
                }
            }
        }
    }

    fn place(&mut self, index: u32) -> &mut Option<Object> {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }
}
