//! Broadcasting: clients that want to be told of every change below some prefixes, read or not.
//!
//! Invariants: a prefix is there exactly while a client has it; what changed below it is told once
//! at the end of the step, each key once, in order.

use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

use crate::input::ConnId;
use crate::session::Name;

/// Heap bytes of one prefix, beside its name, its clients and its changes.
const PREFIX_BYTES: usize = size_of::<Name>() + size_of::<Prefix>();

/// Keys that have changed, and who changed each last; `None`: nobody.
pub(super) type Changes = BTreeMap<Box<[u8]>, Option<ConnId>>;

/// A prefix of keys.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    pub(super) clients: BTreeSet<ConnId>,
    /// What changed in this step.
    pub(super) changed: Changes,
}

/// All prefixes of all clients.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    by_name: BTreeMap<Name, Prefix>,
    /// Prefixes below which something has changed in this step.
    changed: BTreeSet<Name>,
}

impl Prefixes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How many pairs of a prefix and a client there are.
    pub(super) fn pairs(&self) -> usize {
        self.by_name.values().map(|prefix| prefix.clients.len()).sum()
    }

    /// Lets a client have a prefix; returns the shared name.
    pub(super) fn join(&mut self, prefix: &[u8], conn: ConnId) -> Name {
        let name = match self.by_name.get_key_value(prefix) {
            Some((name, _)) => Name::clone(name),
            None => prefix.into(),
        };
        self.by_name.entry(Name::clone(&name)).or_default().clients.insert(conn);
        name
    }

    /// A client has a prefix no longer.
    pub(super) fn leave(&mut self, prefix: &[u8], conn: ConnId) {
        let Some(found) = self.by_name.get_mut(prefix) else { return };
        found.clients.remove(&conn);
        if found.clients.is_empty() {
            self.by_name.remove(prefix);
            self.changed.remove(prefix);
        }
    }

    /// A key has changed. Costs a search for each prefix of it and for each length that a prefix
    /// which sorts before it has in common with it, not a look at all prefixes.
    pub(super) fn touch(&mut self, key: &[u8], by: Option<ConnId>) {
        let mut len = key.len();
        loop {
            let up_to = (Bound::Unbounded, Bound::Included(&key[..len]));
            let Some((name, prefix)) = self.by_name.range_mut::<[u8], _>(up_to).next_back() else {
                return;
            };
            let shared = name.iter().zip(key).take_while(|(a, b)| a == b).count();
            if shared == name.len() {
                prefix.changed.insert(key.into(), by);
                self.changed.insert(Name::clone(name));
                // Shorter ones sort before it.
                let Some(shorter) = shared.checked_sub(1) else { return };
                len = shorter;
            } else {
                len = shared;
            }
        }
    }

    /// Whether anything is to be told.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Takes what changed below the next prefix, and says who is to be told.
    pub(super) fn take_changed(&mut self) -> Option<(Vec<ConnId>, Changes)> {
        let name = self.changed.pop_first()?;
        let prefix = self.by_name.get_mut(&name)?;
        let clients = prefix.clients.iter().copied().collect();
        Some((clients, core::mem::take(&mut prefix.changed)))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let bytes = |(name, prefix): (&Name, &Prefix)| {
            PREFIX_BYTES + name.len() + prefix.clients.len() * size_of::<ConnId>()
        };
        self.by_name.iter().map(bytes).sum()
    }

    /// Checks that prefixes and clients know of each other.
    pub(super) fn check_invariants(&self, knows: impl Fn(ConnId, &Name) -> bool) {
        assert!(self.changed.is_empty(), "between steps everything was told");
        for (name, prefix) in &self.by_name {
            assert!(!prefix.clients.is_empty(), "a prefix is somebody's");
            assert!(prefix.changed.is_empty(), "between steps everything was told");
            for &conn in &prefix.clients {
                assert!(knows(conn, name), "the client knows of its prefix");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    #[test]
    fn a_change_is_noted_below_exactly_the_prefixes_of_the_key() {
        let mut rng = Rng::new(Seed(3), "prefixes");
        let mut word = |longest: u64| -> Vec<u8> {
            let len = rng.below(longest + 1);
            (0..len).map(|_| b'a' + rng.below(2) as u8).collect()
        };
        for _ in 0..300 {
            let mut prefixes = Prefixes::default();
            let names: BTreeSet<Vec<u8>> = (0..6).map(|_| word(5)).collect();
            for name in &names {
                prefixes.join(name, ConnId(1));
            }
            let keys: BTreeSet<Vec<u8>> = (0..4).map(|_| word(7)).collect();
            for key in &keys {
                prefixes.touch(key, None);
            }
            for name in &names {
                let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(name)).collect();
                let changed = &prefixes.by_name[&name[..]].changed;
                let found: Vec<Vec<u8>> = changed.keys().map(|key| key.to_vec()).collect();
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{names:?} {keys:?}");
                assert_eq!(prefixes.changed.contains(&name[..]), !expected.is_empty());
            }
        }
    }

    #[test]
    fn what_has_changed_is_told_in_order_and_once() {
        let mut prefixes = Prefixes::default();
        prefixes.join(b"b", ConnId(2));
        prefixes.join(b"a", ConnId(1));
        prefixes.join(b"a", ConnId(2));
        for key in ["b", "a2", "a1", "a2", "c"] {
            prefixes.touch(key.as_bytes(), Some(ConnId(2)));
        }
        let (clients, keys) = prefixes.take_changed().expect("something has changed");
        assert_eq!(clients, [ConnId(1), ConnId(2)]);
        assert_eq!(keys.keys().map(|key| &key[..]).collect::<Vec<_>>(), [b"a1", b"a2"]);
        prefixes.leave(b"b", ConnId(2));
        assert!(prefixes.take_changed().is_none());
        assert_eq!(prefixes.len(), 1);
    }
}
