//! The simplest keyspace that could be right: sorted maps of strings with deadlines.
//!
//! Model tests write each command on top of it in the plainest way and compare every reply, and at
//! the end everything that is stored, with an engine's.

use std::collections::BTreeMap;

use orrery_engine::ConnId;

use crate::resp_value::{Value, encode};
use crate::server_in_process::Server;

/// A string and when it expires, in milliseconds since the Unix epoch.
pub type Entry = (Vec<u8>, Option<u64>);

/// All databases.
#[derive(Clone, Debug, Default)]
pub struct Model {
    databases: BTreeMap<usize, BTreeMap<Vec<u8>, Entry>>,
    /// The database of the one client.
    pub selected: usize,
    /// The time in milliseconds since the Unix epoch.
    pub now: u64,
}

impl Model {
    /// Empty, at this time.
    pub fn new(now: u64) -> Self {
        Self { now, ..Self::default() }
    }

    /// The entry of a key of the selected database.
    pub fn find(&self, key: &[u8]) -> Option<&Entry> {
        self.find_in(self.selected, key)
    }

    /// The entry of a key.
    pub fn find_in(&self, database: usize, key: &[u8]) -> Option<&Entry> {
        let entry = self.databases.get(&database)?.get(key)?;
        // A key lives through the millisecond of its deadline.
        entry.1.is_none_or(|deadline| deadline >= self.now).then_some(entry)
    }

    /// The string of a key of the selected database, empty if there is none.
    pub fn string(&self, key: &[u8]) -> Vec<u8> {
        self.find(key).map(|(string, _)| string.clone()).unwrap_or_default()
    }

    /// The deadline of a key of the selected database.
    pub fn deadline(&self, key: &[u8]) -> Option<u64> {
        self.find(key)?.1
    }

    /// Sets a key of the selected database.
    pub fn set(&mut self, key: &[u8], string: impl Into<Vec<u8>>, deadline: Option<u64>) {
        self.set_in(self.selected, key, (string.into(), deadline));
    }

    /// Sets a key of the selected database; its deadline stays.
    pub fn set_string(&mut self, key: &[u8], string: impl Into<Vec<u8>>) {
        self.set(key, string, self.deadline(key));
    }

    /// Sets a key.
    pub fn set_in(&mut self, database: usize, key: &[u8], entry: Entry) {
        self.databases.entry(database).or_default().insert(key.to_vec(), entry);
    }

    /// Sets only the deadline of a key of the selected database, as EXPIRE does: one that is not in
    /// the future removes the key.
    pub fn expire(&mut self, key: &[u8], deadline: u64) {
        if deadline > self.now {
            self.set(key, self.string(key), Some(deadline));
        } else {
            self.remove(key);
        }
    }

    /// Removes a key of the selected database; says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let found = self.find(key).is_some();
        self.databases.entry(self.selected).or_default().remove(key);
        found
    }

    /// The keys of the selected database.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let keys = self.databases.get(&self.selected).into_iter().flat_map(BTreeMap::keys);
        keys.filter(|key| self.find(key).is_some()).cloned().collect()
    }

    /// Compares everything with what a server holds: keys, strings, deadlines, in every database that
    /// was ever used.
    ///
    /// # Panics
    /// At the first difference.
    pub fn check(&mut self, server: &mut Server, conn: ConnId) {
        let selected = self.selected;
        for database in self.databases.keys().copied().collect::<Vec<_>>() {
            self.selected = database;
            server.call(conn, &["SELECT", &database.to_string()]);
            let mut keys: Vec<Vec<u8>> = server
                .call(conn, &["KEYS", "*"])
                .elements()
                .iter()
                .map(|key| key.bytes().to_vec())
                .collect();
            keys.sort();
            assert_eq!(keys, self.keys(), "the keys of database {database}");
            for key in keys {
                let (string, deadline) = self.find(&key).expect("it was listed");
                let shown = key.escape_ascii();
                let got = server.call(conn, &[b"GET".as_slice(), &key]);
                assert_eq!(got, Value::bulk(string), "the string of {shown}");
                let got = server.call(conn, &[b"PEXPIRETIME".as_slice(), &key]).integer();
                let deadline = deadline.map_or(-1, |deadline| deadline as i64);
                assert_eq!(got, deadline, "the deadline of {shown}");
            }
        }
        server.call(conn, &["SELECT", &selected.to_string()]);
        self.selected = selected;
    }
}

/// A point in time in one of the four forms; offsets count from the time of the command.
#[derive(Clone, Copy, Debug)]
pub enum Expiry {
    /// `EX`
    Seconds(u64),
    /// `PX`
    Millis(u64),
    /// `EXAT`; may have passed
    UnixSeconds(i64),
    /// `PXAT`; may have passed
    UnixMillis(i64),
}

impl Expiry {
    /// The option's two words.
    pub fn words(self, now: u64) -> [String; 2] {
        let token = match self {
            Self::Seconds(_) => "EX",
            Self::Millis(_) => "PX",
            Self::UnixSeconds(_) => "EXAT",
            Self::UnixMillis(_) => "PXAT",
        };
        let number = match self {
            Self::Seconds(number) | Self::Millis(number) => number,
            Self::UnixSeconds(offset) => (now / 1000).strict_add_signed(offset),
            Self::UnixMillis(offset) => now.strict_add_signed(offset),
        };
        [token.to_owned(), number.to_string()]
    }

    /// The moment in milliseconds since the Unix epoch.
    pub fn deadline(self, now: u64) -> u64 {
        match self {
            Self::Seconds(number) => now + 1000 * number,
            Self::Millis(number) => now + number,
            Self::UnixSeconds(offset) => (now / 1000).strict_add_signed(offset) * 1000,
            Self::UnixMillis(offset) => now.strict_add_signed(offset),
        }
    }
}

/// Runs a command on a server and returns its reply. If the command only reads, the data must be the
/// same after it.
///
/// # Panics
/// If the reply is not one value, or a command that only reads has changed something.
pub fn run(server: &mut Server, conn: ConnId, words: &[Vec<u8>], only_reads: bool) -> Value {
    // A step without a command: the engine's time is now, so that what has expired does not count.
    server.send(conn, b"");
    let before = only_reads.then(|| server.engine().digest());
    let bytes = server.send(conn, &encode(words));
    if let Some(before) = before {
        assert_eq!(before, server.engine().digest(), "a command that only reads has written");
    }
    let mut values = Value::read_all(&bytes);
    assert_eq!(values.len(), 1, "one command has one reply");
    values.remove(0)
}
