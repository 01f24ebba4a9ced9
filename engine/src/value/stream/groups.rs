//! The groups of a stream, by name.
//!
//! Invariant: `heap_bytes` follows every change of a group.

use super::group::Group;
use super::id::StreamId;
use super::trim::Referrers;

/// Groups in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Groups {
    #[expect(clippy::vec_box, reason = "groups are large, and move when another is added")]
    list: Vec<Box<Group>>,
    heap_bytes: usize,
}

impl Clone for Groups {
    fn clone(&self) -> Self {
        let list = self.list.clone();
        let heap_bytes = list.iter().map(|group| group.heap_bytes()).sum();
        Self { list, heap_bytes }
    }
}

impl Groups {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.list.iter().map(AsRef::as_ref)
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.list.binary_search_by(|group| group.name().cmp(name))
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&Group> {
        self.search(name).ok().map(|at| &*self.list[at])
    }

    /// Lets `change` have a group.
    pub(super) fn edit<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut Group) -> R,
    ) -> Option<R> {
        let at = self.search(name).ok()?;
        Some(self.edit_at(at, change))
    }

    fn edit_at<R>(&mut self, at: usize, change: impl FnOnce(&mut Group) -> R) -> R {
        let group = &mut self.list[at];
        let before = group.heap_bytes();
        let result = change(group);
        self.heap_bytes = self.heap_bytes + group.heap_bytes() - before;
        result
    }

    /// Adds a group; false if there is one with this name.
    pub(super) fn add(
        &mut self,
        name: &[u8],
        last_delivered: StreamId,
        entries_read: Option<i64>,
    ) -> bool {
        let Err(at) = self.search(name) else { return false };
        let group = Box::new(Group::new(name, last_delivered, entries_read));
        self.heap_bytes += group.heap_bytes();
        self.list.insert(at, group);
        true
    }

    /// Removes a group; says whether there was one.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Ok(at) = self.search(name) else { return false };
        let group = self.list.remove(at);
        self.heap_bytes -= group.heap_bytes();
        true
    }

    /// Whether a group has not read and acknowledged an entry.
    pub(super) fn refer_to(&self, id: StreamId) -> bool {
        self.list.iter().any(|group| group.last_delivered() < id || group.pending(id).is_some())
    }

    /// An entry is no longer pending with any group.
    pub(super) fn forget_everywhere(&mut self, id: StreamId) {
        for at in 0..self.list.len() {
            self.edit_at(at, |group| group.acknowledge(id));
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes + self.list.capacity() * size_of::<Box<Group>>()
    }

    /// Drops some of them; true when nothing is left. They are not used for anything else any more.
    pub(super) fn drop_some(&mut self) -> bool {
        if self.list.last_mut().is_some_and(|group| group.drop_some()) {
            self.list.pop();
        }
        self.list.is_empty()
    }

    pub(super) fn check_invariants(&self) {
        self.iter().for_each(Group::check_invariants);
        assert!(self.list.is_sorted_by(|a, b| a.name() < b.name()), "groups are in order");
        let bytes: usize = self.iter().map(Group::heap_bytes).sum();
        assert_eq!(self.heap_bytes, bytes, "bytes of the groups");
    }
}

impl Referrers for Groups {
    fn refers_to(&self, id: StreamId) -> bool {
        self.refer_to(id)
    }

    fn forget(&mut self, id: StreamId) {
        self.forget_everywhere(id);
    }
}
