//! Logs of commands that were slow, or large: a bounded list, the newest first.
//!
//! Invariants: an entry has at most 32 words of at most 128 bytes each and what is said about the
//! rest; secrets are not in it; ids rise by one and are never given twice.

use std::collections::VecDeque;

use super::redact::{REDACTED, is_secret};
use crate::args::Args;
use crate::commands::table::Row;
use crate::config::LogLimits;

/// Words that an entry keeps.
const WORDS_MAX: usize = 32;
/// Bytes of a word that an entry keeps.
const WORD_BYTES_MAX: usize = 128;

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

/// The words of a command as a log keeps them.
pub(crate) fn shortened(row: &Row, args: Args<'_>) -> Vec<Box<[u8]>> {
    let shown = args.len().min(WORDS_MAX);
    let is_cut = args.len() > WORDS_MAX;
    let whole = if is_cut { WORDS_MAX - 1 } else { shown };
    let mut words: Vec<Box<[u8]>> = Vec::with_capacity(shown);
    for (index, word) in args.from(0).take(whole).enumerate() {
        words.push(match word.len().checked_sub(WORD_BYTES_MAX) {
            _ if is_secret(row, args, index) => REDACTED.into(),
            None | Some(0) => word.into(),
            Some(more) => {
                let mut text = word[..WORD_BYTES_MAX].to_vec();
                text.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
                text.into_boxed_slice()
            }
        });
    }
    if is_cut {
        let more = args.len() - whole;
        words.push(format!("... ({more} more arguments)").into_bytes().into_boxed_slice());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Words;
    use crate::commands::table::table;

    fn short(words: &[&[u8]]) -> Vec<String> {
        let words = Words::new(words.iter().copied());
        let row = table().find(words.args()).expect("a known command");
        let short = shortened(row, words.args());
        short.iter().map(|word| word.escape_ascii().to_string()).collect()
    }

    #[test]
    fn words_are_cut_where_redis_cuts_them() {
        let long = [b'A'; 129];
        let many = [b"sadd".as_slice(); 33];
        assert_eq!(short(&[b"get", &long[..128]])[1], "A".repeat(128));
        assert_eq!(short(&[b"get", &long])[1], format!("{}... (1 more bytes)", "A".repeat(128)));
        assert_eq!(short(&many[..32]).len(), 32);
        let cut = short(&many);
        assert_eq!((cut.len(), cut[30].as_str()), (32, "sadd"));
        assert_eq!(cut[31], "... (2 more arguments)");
    }

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
