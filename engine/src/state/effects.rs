//! What the server itself puts into the log of effects: the ends of keys and fields that no command
//! asked for.

use super::State;
use crate::config::Config;
use crate::log::{Log, Readers};

impl State {
    /// Ends the unit of the log: what it has goes to the readers, as a transaction if it belongs
    /// `together`.
    pub(crate) fn end_unit(&mut self, together: bool) {
        self.tell_lapsed();
        self.log.commit(together);
    }

    /// A key was found to have expired.
    #[cold]
    pub(super) fn log_expired(&mut self, db: usize, key: &[u8]) {
        ExpiryLog::new(&self.config, &mut self.log).note(db, key, "expired", &[]);
    }

    /// A key was evicted: before a command, and not with it.
    #[cold]
    pub(crate) fn log_evicted(&mut self, db: usize, key: &[u8]) {
        let word = removal(self.config.frees_lazily("lazyfree-lazy-eviction"));
        self.log.push(db, [word, key], Readers::ALL);
        self.log.commit(false);
    }
}

/// The command that removes a key.
pub(crate) fn removal(is_lazy: bool) -> &'static [u8] {
    if is_lazy { b"UNLINK" } else { b"DEL" }
}

/// Takes down what time takes.
pub(crate) struct ExpiryLog<'a> {
    log: &'a mut Log,
    removal: &'static [u8],
}

impl<'a> ExpiryLog<'a> {
    pub(crate) fn new(config: &Config, log: &'a mut Log) -> Self {
        Self { log, removal: removal(config.frees_lazily("lazyfree-lazy-expire")) }
    }

    /// A key, or these fields of it, have gone; `event` says which.
    pub(crate) fn note(&mut self, db: usize, key: &[u8], event: &str, fields: &[Vec<u8>]) {
        match event {
            "expired" => self.log.push_expiry(db, [self.removal, key]),
            "hexpired" => {
                let mut words = Vec::with_capacity(2 + fields.len());
                words.extend([b"HDEL".as_slice(), key]);
                words.extend(fields.iter().map(Vec::as_slice));
                self.log.push_expiry(db, words);
            }
            // Who loses its last field goes with it.
            _ => {}
        }
    }
}
