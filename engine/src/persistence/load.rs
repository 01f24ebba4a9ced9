//! Loading a snapshot: its bytes are read ahead, and a bounded number of them becomes keys at a
//! time, while clients are told to wait.
//!
//! Invariants: a file is loaded from its first byte to its checksum, or the server says where it is
//! broken and does not go on with half of it; the file itself is never touched.

use super::{Orders, log};
use crate::disk::{DiskAnswer, DiskErrorKind, DiskOp, DiskResult, Lane, Ticket};
use crate::effects::{Effects, LogLevel};
use crate::input::ConnId;
use crate::script::Policy;
use crate::snapshot::{Setting, load_front};
use crate::state::State;
use crate::time::{Instant, Micros, Now, UnixMillis};
use crate::value::rdb::{self, Corrupt, FileReader, Head, Receive};

/// Bytes that are asked for at once.
const READ_BYTES: usize = 1 << 20;
/// Bytes that may wait to be parsed before more are asked for, unless one value is longer.
const AHEAD_BYTES: usize = 2 << 20;
/// Bytes that become keys in one step.
const STEP_BYTES: usize = 128 << 10;

/// What is loaded, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// What the server begins with.
    AtStart,
    /// What DEBUG RELOAD asks for.
    Again(Reload),
}

/// A DEBUG RELOAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reload {
    /// Who asked.
    pub(crate) conn: ConnId,
    /// Whether all that there is goes before.
    pub(crate) flushes: bool,
    /// Whether a key that is there is replaced; else it is an error.
    pub(crate) merges: bool,
}

/// A file that was loaded or not.
pub(crate) struct Loaded {
    pub(crate) what: What,
    pub(crate) result: Result<(), String>,
}

/// A file that is being loaded.
pub(crate) struct Loading {
    what: What,
    path: String,
    reader: FileReader,
    /// Bytes that were read, and how many of them are parsed.
    bytes: Vec<u8>,
    parsed: usize,
    /// Bytes that the parser must have to get on.
    wanted: usize,
    /// Where the next read begins.
    offset: u64,
    file_len: u64,
    in_flight: Option<Ticket>,
    pub(crate) began: Now,
    keys: u64,
    expired: u64,
    db: usize,
    resume_at: Instant,
}

impl Loading {
    /// Bytes that are loaded, and bytes of the file.
    pub(super) fn share(&self) -> (u64, u64) {
        (self.reader.offset(), self.file_len)
    }

    fn has_all(&self) -> bool {
        self.in_flight.is_none() && self.offset == self.file_len
    }

    /// When there is something to parse.
    pub(crate) fn due(&self) -> Option<Instant> {
        let is_enough = self.bytes.len() - self.parsed >= self.wanted || self.has_all();
        is_enough.then_some(self.resume_at)
    }

    /// Asks for more, if there is more and room for it.
    fn read_ahead(&mut self, orders: &mut Orders, fx: &mut Effects) {
        let ahead = self.bytes.len() - self.parsed;
        let has_room = ahead < AHEAD_BYTES.max(self.wanted);
        if self.in_flight.is_none() && has_room && self.offset < self.file_len {
            self.in_flight = Some(read(orders, &self.path, self.offset, fx));
        }
    }

    fn take(&mut self, answer: &DiskAnswer) -> Result<(), String> {
        if self.offset > 0 && answer.file_len != self.file_len
            || answer.bytes.is_empty() && self.offset < answer.file_len
        {
            return Err("the file has changed while it was read".to_owned());
        }
        self.file_len = answer.file_len;
        self.offset += answer.bytes.len() as u64;
        self.bytes.drain(..self.parsed);
        self.parsed = 0;
        self.bytes.extend_from_slice(&answer.bytes);
        Ok(())
    }
}

fn read(orders: &mut Orders, path: &str, offset: u64, fx: &mut Effects) -> Ticket {
    let op = DiskOp::Read { path: path.to_owned(), offset, len: READ_BYTES };
    orders.give(Lane::Bulk, vec![op], fx)
}

/// Puts what is read where it belongs.
struct Receiver<'s> {
    state: &'s mut State,
    setting: Setting<'s>,
    what: What,
    keys: u64,
    expired: u64,
    db: usize,
    libraries: Vec<Vec<u8>>,
}

impl Receive for Receiver<'_> {
    fn aux(&mut self, _: u64, _: &[u8], _: &[u8]) -> Result<(), Corrupt> {
        Ok(())
    }

    fn library(&mut self, text: &[u8]) -> Result<(), Corrupt> {
        self.libraries.push(text.to_vec());
        Ok(())
    }

    fn database(&mut self, _: u64, index: u64) -> Result<(), Corrupt> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index >= self.state.keyspace.count() {
            return Err(Corrupt("it has more databases than this server is configured to have"));
        }
        self.db = index;
        Ok(())
    }

    fn sizes(&mut self, _: u64, _: u64) -> Result<(), Corrupt> {
        Ok(())
    }

    fn key(&mut self, head: &Head, key: &[u8], value: rdb::Value<'_>) -> Result<usize, Corrupt> {
        let (value, len) = load_front(value, &self.setting)?;
        let deadline = head.deadline_ms.map(UnixMillis);
        let keyspace = &mut self.state.keyspace;
        if deadline.is_some_and(|deadline| deadline < keyspace.now()) {
            self.expired += 1;
            return Ok(len);
        }
        if keyspace.find(self.db, key).is_some() && !self.what.replaces() {
            return Err(Corrupt("a key that was there before"));
        }
        self.keys += 1;
        let access = self.state.access_of_loaded(head.idle_secs, head.frequency);
        value.store(|value| self.state.keyspace.set(self.db, key, value, deadline, access));
        Ok(len)
    }
}

impl What {
    fn replaces(self) -> bool {
        matches!(self, Self::Again(Reload { merges: true, .. }))
    }
}

impl State {
    /// DEBUG RELOAD, once there is a file: the keys go, unless they are to stay, and it is read.
    pub(crate) fn load_again(&mut self, reload: Reload, now: Now, fx: &mut Effects) {
        if reload.flushes {
            self.libraries.flush();
            for index in 0..self.keyspace.count() {
                if !self.keyspace.db(index).is_empty() {
                    self.touch_watched(index, None);
                    self.keyspace.flush(index, false);
                }
            }
        }
        self.begin_loading(What::Again(reload), now, fx);
    }

    /// Begins to load the snapshot file, if there is one.
    pub(crate) fn begin_loading(&mut self, what: What, now: Now, fx: &mut Effects) {
        let persistence = &mut self.persistence;
        let path = persistence.settings.file_name.clone();
        let in_flight = Some(read(&mut persistence.orders, &path, 0, fx));
        persistence.loading = Some(Box::new(Loading {
            what,
            path,
            reader: FileReader::default(),
            bytes: Vec::new(),
            parsed: 0,
            wanted: 1,
            offset: 0,
            file_len: 0,
            in_flight,
            began: now,
            keys: 0,
            expired: 0,
            db: 0,
            resume_at: now.mono,
        }));
    }

    /// Takes an answer of the disk, if it is about the file; `Some`: loading has ended.
    pub(crate) fn load_answered(
        &mut self,
        ticket: Ticket,
        result: &DiskResult,
        fx: &mut Effects,
    ) -> Option<Loaded> {
        let persistence = &mut self.persistence;
        let loading = persistence.loading.as_mut()?;
        loading.in_flight.take_if(|expected| *expected == ticket)?;
        let outcome = match result {
            Ok(answer) => loading.take(answer),
            Err(error)
                if error.kind == DiskErrorKind::NotFound && loading.what == What::AtStart =>
            {
                persistence.loading = None;
                return Some(Loaded { what: What::AtStart, result: Ok(()) });
            }
            Err(error) => Err(error.text.clone()),
        };
        if let Err(why) = outcome {
            let path = loading.path.clone();
            let text = format!("Error reading {path}: {why}");
            return self.end_loading(Err(text), fx);
        }
        loading.read_ahead(&mut persistence.orders, fx);
        None
    }

    /// Loads a bounded part of what was read; `Some`: loading has ended.
    pub(crate) fn go_on_loading(&mut self, now: Now, fx: &mut Effects) -> Option<Loaded> {
        let mut loading = self.persistence.loading.take()?;
        if loading.due().is_none_or(|due| due > now.mono) {
            self.persistence.loading = Some(loading);
            return None;
        }
        let delay_us = self.persistence.settings.load_delay_us;
        let budget = if delay_us == 0 { STEP_BYTES } else { 1 };
        let (encodings, hash_key) = (self.config.encodings, self.hash_key);
        let mut receiver = Receiver {
            state: self,
            setting: Setting { encodings: &encodings, hash_key },
            what: loading.what,
            keys: 0,
            expired: 0,
            db: loading.db,
            libraries: Vec::new(),
        };
        let has_all = loading.has_all();
        let bytes = &loading.bytes[loading.parsed..];
        let progress = loading.reader.read(bytes, budget, has_all, &mut receiver);
        let Receiver { keys, expired, db, libraries, .. } = receiver;
        loading.keys += keys;
        loading.expired += expired;
        loading.db = db;
        loading.resume_at = now.mono + Micros(delay_us.saturating_mul(keys + expired));
        let read = self.load_libraries(&libraries, loading.what.replaces());
        let result = match (progress, read) {
            (Err(broken), _) => Err(explain(&loading.path, broken.offset, &broken.reason)),
            (Ok(_), Err(why)) => Err(explain(&loading.path, loading.reader.offset(), &why)),
            (Ok(progress), Ok(())) => {
                loading.parsed += progress.taken;
                loading.wanted = if progress.taken == 0 { progress.wanted } else { 1 };
                loading.read_ahead(&mut self.persistence.orders, fx);
                if !loading.reader.has_ended() {
                    self.persistence.loading = Some(loading);
                    return None;
                }
                Ok(())
            }
        };
        self.persistence.loading = Some(loading);
        self.end_loading(result, fx)
    }

    fn load_libraries(&mut self, texts: &[Vec<u8>], replaces: bool) -> Result<(), String> {
        if texts.is_empty() {
            return Ok(());
        }
        let policy = if replaces { Policy::Replace } else { Policy::Append };
        let memory_bytes_max = self.config.script_memory_bytes_max;
        self.libraries.restore(texts, policy, memory_bytes_max)
    }

    fn end_loading(&mut self, result: Result<(), String>, fx: &mut Effects) -> Option<Loaded> {
        let loading = self.persistence.loading.take()?;
        if result.is_ok() {
            self.persistence.loaded = (loading.keys, loading.expired);
            let text = format!(
                "Done loading RDB, keys loaded: {}, keys expired: {}.",
                loading.keys, loading.expired
            );
            log(fx, LogLevel::Notice, text);
        }
        Some(Loaded { what: loading.what, result })
    }
}

/// Says what is wrong, where, and what can be done.
fn explain(path: &str, offset: u64, reason: &str) -> String {
    format!(
        "{path} is broken at byte {offset}: {reason}. The file was left as it is; see what can be \
         read of it with: orrery-server --check-rdb {path}"
    )
}
