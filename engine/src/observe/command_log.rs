//! Logs of commands that were slow, or large: a bounded list, the newest first.
//!
//! Invariant: ids rise by one and are never given twice.

use std::collections::VecDeque;

use crate::config::LogLimits;

/// A log of commands.
#[derive(Debug, Default)]
pub(crate) struct CommandLog {
    entries: VecDeque<Entry>,
    next_id: u64,
    bytes: usize,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// When it ended, in seconds of the wall clock.
    pub(crate) unix_secs: u64,
    /// What it was logged for: microseconds or bytes.
    pub(crate) amount: u64,
    /// Its words, shortened.
    pub(crate) words: Vec<Box<[u8]>>,
    /// The client's address.
    pub(crate) address: String,
    /// The client's name.
    pub(crate) name: Box<[u8]>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let words: usize = self.words.iter().map(|word| size_of::<Box<[u8]>>() + word.len()).sum();
        size_of::<Self>() + words + self.address.len() + self.name.len()
    }
}

impl CommandLog {
    /// Adds an entry, whose id it gives, and forgets the oldest if there are too many.
    pub(crate) fn add(&mut self, mut entry: Entry, limits: LogLimits) {
        entry.id = self.next_id;
        self.next_id += 1;
        self.bytes += entry.bytes();
        self.entries.push_front(entry);
        self.cut(limits);
    }

    /// Forgets the oldest entries if there are too many.
    pub(crate) fn cut(&mut self, limits: LogLimits) {
        while self.entries.len() > limits.len_max {
            if let Some(oldest) = self.entries.pop_back() {
                self.bytes -= oldest.bytes();
            }
        }
    }

    /// The entries, the newest first.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets all entries, but not which ids were given.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_go_and_ids_rise() {
        let entry = Entry {
            id: 0,
            unix_secs: 1,
            amount: 2,
            words: vec![b"get".as_slice().into()],
            address: "?:0".to_owned(),
            name: Box::default(),
        };
        let mut log = CommandLog::default();
        let limits = LogLimits { threshold: 0, len_max: 2 };
        (0..5).for_each(|_| log.add(entry.clone(), limits));
        let ids: Vec<u64> = log.entries().map(|entry| entry.id).collect();
        assert_eq!((ids, log.memory_bytes()), (vec![4, 3], 2 * entry.bytes()));
        log.clear();
        assert_eq!((log.len(), log.memory_bytes()), (0, 0));
        log.add(entry.clone(), LogLimits { threshold: 0, len_max: 0 });
        log.add(entry, limits);
        assert_eq!(log.entries().next().map(|entry| entry.id), Some(6));
    }
}
