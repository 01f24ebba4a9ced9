//! Loading a snapshot or a log: bytes are read ahead, and a bounded number of them becomes keys at
//! a time, while clients are told to wait.
//!
//! Invariants: a file is loaded from its first byte to its last, or the server says where it is
//! broken and does not go on with half of it, but for a log's last record that was never whole; the
//! file itself is not touched.

use std::collections::VecDeque;

use super::batch::{Batch, Place};
use super::find_log::OldPlace;
use super::log_files::{Found, Torn};
use super::settings::LogSettings;
use super::{Orders, log};
use crate::args::{Args, Words};
use crate::disk::{DiskAnswer, DiskErrorKind, DiskOp, DiskResult, Lane, Ticket};
use crate::effects::{Effects, LogLevel};
use crate::input::{ConnId, Origin};
use crate::script::Policy;
use crate::session::Session;
use crate::snapshot::Setting;
use crate::state::State;
use crate::time::{Instant, Micros, Now, UnixMillis};
use crate::value::aof::{self, AofReader, Damage, Manifest, Role, manifest_name};
use crate::value::number::parse_integer;
use crate::value::rdb::{self, Broken, Corrupt, FileReader, Head};

/// Bytes that are asked for at once.
const READ_BYTES: usize = 1 << 20;
/// Bytes that may wait to be parsed before more are asked for, unless one value is longer.
const AHEAD_BYTES: usize = 2 << 20;
/// Who runs the commands of a log; no client.
pub(crate) const LOADER: ConnId = ConnId(0);
/// Keys without a value that the log names, of one file.
const EMPTY_SHOWN_MAX: u64 = 10;
/// Bytes that become keys in one step.
const STEP_BYTES: usize = 128 << 10;
/// Bytes that no key of a file and its value are shorter than.
const KEY_BYTES_MIN: u64 = 3;

/// What is loaded, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// What the server begins with.
    AtStart,
    /// What DEBUG RELOAD asks for.
    Again(Reload),
    /// What DEBUG LOADAOF of this client asks for: the log.
    LogAgain(ConnId),
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

/// What was loaded or not.
pub(crate) struct Loaded {
    pub(crate) what: What,
    /// What was found of the log, if that is what was loaded.
    pub(crate) result: Result<Found, String>,
}

/// Where the data comes from.
pub(super) enum Source {
    /// The snapshot file.
    Snapshot(FileReader),
    /// The log's manifest is being read.
    Manifest,
    /// The one file is looked for that a log of an older version is.
    Old(OldPlace),
    /// A file of the log; with the number of the file in the manifest.
    Log(Box<AofReader>, usize),
}

/// Files that are being loaded.
pub(crate) struct Loading {
    pub(super) what: What,
    path: String,
    pub(super) source: Source,
    pub(super) found: Found,
    /// Whether the folder of the log has a file of an older version.
    pub(super) has_inside: bool,
    /// Who runs the commands of the log, and those of a transaction whose end is to come.
    session: Box<Session>,
    queued: Option<Vec<Words>>,
    /// Bytes that are being parsed, and how many of them are.
    bytes: Vec<u8>,
    parsed: usize,
    /// What was read behind them.
    ahead: VecDeque<Vec<u8>>,
    batch: Batch,
    /// Bytes that the parser must have to get on.
    wanted: usize,
    /// Where the next read begins.
    offset: u64,
    file_len: u64,
    pub(super) in_flight: Option<Ticket>,
    pub(crate) began: Now,
    keys: u64,
    expired: u64,
    empty: u64,
    db: usize,
    resume_at: Instant,
}

impl Loading {
    /// Bytes that are loaded, and bytes of the file.
    pub(super) fn share(&self) -> (u64, u64) {
        (self.offset - self.left() as u64, self.file_len)
    }

    /// Whether what is loaded is a log: keys do not expire before its end.
    pub(crate) fn is_of_log(&self) -> bool {
        !matches!(self.source, Source::Snapshot(_))
    }

    /// Bytes that were read and are not parsed.
    fn left(&self) -> usize {
        let ahead: usize = self.ahead.iter().map(Vec::len).sum();
        self.bytes.len() - self.parsed + ahead
    }

    fn has_all(&self) -> bool {
        self.in_flight.is_none() && self.offset == self.file_len
    }

    /// When there is something to parse.
    pub(crate) fn due(&self) -> Option<Instant> {
        let is_enough = self.left() >= self.wanted || self.has_all();
        is_enough.then_some(self.resume_at)
    }

    /// Keys hold nothing: as in Redis they are not there.
    fn pass_by(&mut self, keys: &[Box<[u8]>], fx: &mut Effects) {
        for key in keys {
            self.empty += 1;
            if self.empty <= EMPTY_SHOWN_MAX {
                let text = format!("Loading: skipping empty key: {}", key.escape_ascii());
                log(fx, LogLevel::Notice, text);
            }
        }
    }

    /// Asks for more, if there is more and room for it.
    fn read_ahead(&mut self, orders: &mut Orders, fx: &mut Effects) {
        let has_room = self.left() < AHEAD_BYTES.max(self.wanted);
        if self.in_flight.is_none() && has_room && self.offset < self.file_len {
            self.in_flight = Some(read(orders, &self.path, self.offset, fx));
        }
    }

    fn take(&mut self, answer: DiskAnswer) -> Result<(), String> {
        if self.offset > 0 && answer.file_len != self.file_len
            || answer.bytes.is_empty() && self.offset < answer.file_len
        {
            return Err("the file has changed while it was read".to_owned());
        }
        self.file_len = answer.file_len;
        self.offset += answer.bytes.len() as u64;
        if !answer.bytes.is_empty() {
            self.ahead.push_back(answer.bytes);
        }
        Ok(())
    }

    /// Puts all that was read behind the bytes that are being parsed, if these are too few to get
    /// on. All: a value that is longer than one piece is read from its start each time.
    fn fetch(&mut self) {
        if self.bytes.len() - self.parsed >= self.wanted {
            return;
        }
        self.bytes.drain(..self.parsed);
        self.parsed = 0;
        if self.bytes.is_empty() {
            self.bytes = self.ahead.pop_front().unwrap_or_default();
        }
        for piece in self.ahead.drain(..) {
            self.bytes.extend_from_slice(&piece);
        }
    }

    /// Goes on with another file.
    pub(super) fn open(
        &mut self,
        path: String,
        source: Source,
        orders: &mut Orders,
        fx: &mut Effects,
    ) {
        // Of the part that grows, what was never safe must not be taken for what is: a process
        // before this one may have ended because a sync failed.
        let grows = match &source {
            Source::Log(_, number) => self.found.may_grow(*number),
            Source::Snapshot(_) | Source::Manifest | Source::Old(_) => false,
        };
        let settle = grows.then(|| DiskOp::Settle { path: path.clone() });
        let ops = settle.into_iter().chain([read_op(&path, 0)]).collect();
        self.in_flight = Some(orders.give(Lane::Bulk, ops, fx));
        (self.path, self.source) = (path, source);
        self.bytes.clear();
        self.ahead.clear();
        (self.parsed, self.wanted, self.offset, self.file_len, self.db) = (0, 1, 0, 0, 0);
    }

    /// Nothing is behind an increment that ends in the middle of a record.
    fn check_torn(&self) -> Result<(), String> {
        match &self.found.torn {
            Some(torn) if torn.path != self.path && self.file_len > 0 => Err(torn.why.clone()),
            _ => Ok(()),
        }
    }

    /// The file of the log that has just been loaded ends: what is known of it.
    fn end_file(&mut self, number: usize, good_len: u64) {
        if self.found.manifest.is_none() {
            return;
        }
        if self.found.role(number) == Some(Role::Base) {
            self.found.base_bytes = good_len;
        } else {
            self.found.bytes += good_len;
        }
        self.found.last_len = good_len;
    }
}

fn read(orders: &mut Orders, path: &str, offset: u64, fx: &mut Effects) -> Ticket {
    orders.give(Lane::Bulk, vec![read_op(path, offset)], fx)
}

fn read_op(path: &str, offset: u64) -> DiskOp {
    DiskOp::Read { path: path.to_owned(), offset, len: READ_BYTES }
}

/// Runs a command of the log.
pub(crate) type Apply<'a> =
    &'a mut dyn FnMut(&mut State, &mut Session, Args<'_>) -> Result<(), String>;

/// Puts what is read where it belongs.
struct Receiver<'s, 'a> {
    state: &'s mut State,
    apply: Apply<'a>,
    session: &'s mut Session,
    queued: &'s mut Option<Vec<Words>>,
    setting: Setting<'s>,
    what: What,
    batch: &'s mut Batch,
    /// How many keys the file can have at most.
    keys_max: u64,
    keys: u64,
    expired: u64,
    db: usize,
    libraries: Vec<Vec<u8>>,
    /// Keys that hold nothing, and are passed by.
    empty: Vec<Box<[u8]>>,
}

impl rdb::Receive for Receiver<'_, '_> {
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

    fn sizes(&mut self, keys: u64, _: u64) -> Result<(), Corrupt> {
        let keys = usize::try_from(keys.min(self.keys_max)).unwrap_or(usize::MAX);
        self.state.keyspace.expect(self.db, keys);
        Ok(())
    }

    fn key(
        &mut self,
        offset: u64,
        head: &Head,
        key: &[u8],
        value: rdb::Value<'_>,
    ) -> Result<usize, Corrupt> {
        let (value, len) = match self.batch.read(value, &self.setting) {
            Err(rdb::EMPTY) => {
                let len = rdb::empty_len(value).ok_or(rdb::EMPTY)?;
                self.empty.push(key.into());
                return Ok(len);
            }
            read => read?,
        };
        let deadline = head.deadline_ms.map(UnixMillis);
        if deadline.is_some_and(|deadline| deadline < self.state.keyspace.now()) {
            self.expired += 1;
            return Ok(len);
        }
        let access = self.state.access_of_loaded(head.idle_secs, head.frequency);
        self.batch.push(key, value, Place { offset, db: self.db, deadline, access });
        Ok(len)
    }

    fn settle(&mut self) -> Result<(), Broken> {
        self.keys += self.batch.store(&mut self.state.keyspace, self.what.replaces())?;
        Ok(())
    }
}

impl aof::Receive for Receiver<'_, '_> {
    /// SELECT, MULTI and EXEC are the log's own. What stands between the latter two is kept until
    /// the last comes.
    fn command(&mut self, _: u64, words: Args<'_>) -> Result<(), String> {
        if words.is(0, "SELECT") {
            let index = words.opt(1).and_then(parse_integer);
            let count = self.state.keyspace.count();
            let db = index.and_then(|index| usize::try_from(index).ok()).filter(|db| *db < count);
            self.session.db = db.ok_or("a database that there is not")?;
            return Ok(());
        }
        if words.is(0, "MULTI") {
            *self.queued = Some(Vec::new());
            return Ok(());
        }
        if words.is(0, "EXEC") {
            for words in self.queued.take().unwrap_or_default() {
                (self.apply)(self.state, self.session, words.args())?;
                self.keys += 1;
            }
            return Ok(());
        }
        if let Some(queued) = self.queued {
            queued.push(Words::new(words.from(0)));
            return Ok(());
        }
        self.keys += 1;
        (self.apply)(self.state, self.session, words)
    }

    fn annotation(&mut self, _: u64, _: &[u8]) -> Result<(), String> {
        Ok(())
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
            self.forget_everything();
        }
        self.begin_loading(What::Again(reload), now, fx);
    }

    /// DEBUG LOADAOF, once all of the log is written.
    pub(crate) fn load_log_again(&mut self, conn: ConnId, now: Now, fx: &mut Effects) {
        self.forget_everything();
        // What is run again is not to be logged again.
        self.log.stop();
        self.begin_loading(What::LogAgain(conn), now, fx);
    }

    fn forget_everything(&mut self) {
        self.libraries.flush();
        for index in 0..self.keyspace.count() {
            if !self.keyspace.db(index).is_empty() {
                self.touch_watched(index, None);
                self.keyspace.flush(index, false);
            }
        }
    }

    /// Begins to load what the server starts with: the log if it is on, else the snapshot.
    pub(crate) fn begin_loading(&mut self, what: What, now: Now, fx: &mut Effects) {
        let log = &self.persistence.settings.log;
        // What is there of a log is of interest also where it is off: see `find_log.rs`.
        let is_log = !matches!(what, What::Again(_));
        let (source, path) = if is_log {
            (Source::Manifest, format!("{}/{}", log.folder, manifest_name(&log.stem)))
        } else {
            let path = self.persistence.settings.file_name.clone();
            (Source::Snapshot(FileReader::default()), path)
        };
        let origin = Origin::Unix { path: String::new() };
        let in_flight = Some(read(&mut self.persistence.orders, &path, 0, fx));
        self.persistence.loading = Some(Box::new(Loading {
            what,
            path,
            source,
            found: Found::default(),
            has_inside: false,
            session: Box::new(Session::new(LOADER, origin, now.mono, true)),
            queued: None,
            bytes: Vec::new(),
            ahead: VecDeque::new(),
            parsed: 0,
            batch: Batch::default(),
            wanted: 1,
            offset: 0,
            file_len: 0,
            in_flight,
            began: now,
            keys: 0,
            expired: 0,
            empty: 0,
            db: 0,
            resume_at: now.mono,
        }));
    }

    /// Takes an answer of the disk, if it is about the file; `Some`: loading has ended.
    pub(crate) fn load_answered(
        &mut self,
        ticket: Ticket,
        result: DiskResult,
        fx: &mut Effects,
    ) -> Option<Loaded> {
        let loading = self.persistence.loading.as_mut()?;
        loading.in_flight.take_if(|expected| *expected == ticket)?;
        let is_first = loading.offset == 0 && !matches!(loading.what, What::Again(_));
        if let Source::Old(place) = loading.source {
            return match result {
                Ok(_) => self.old_file_answered(place, true, fx),
                Err(error)
                    if error.kind == DiskErrorKind::NotFound && place != OldPlace::Moving =>
                {
                    self.old_file_answered(place, false, fx)
                }
                Err(error) => {
                    let (text, path) = (&error.text, &loading.path);
                    let text = format!("Error moving {path} into the folder of the log: {text}");
                    self.end_loading(Err(text), fx)
                }
            };
        }
        let outcome = match result {
            Ok(answer) => loading.take(answer),
            Err(error) if error.kind == DiskErrorKind::NotFound && is_first => {
                return self.nothing_there(fx);
            }
            Err(error) => Err(error.text),
        };
        if let Err(why) = outcome {
            let text = format!("Error reading {}: {why}", loading.path);
            return self.end_loading(Err(text), fx);
        }
        loading.read_ahead(&mut self.persistence.orders, fx);
        if matches!(loading.source, Source::Manifest) && loading.has_all() {
            return self.take_manifest(fx);
        }
        None
    }

    /// A file is not there.
    fn nothing_there(&mut self, fx: &mut Effects) -> Option<Loaded> {
        let loading = self.persistence.loading.as_mut()?;
        match &loading.source {
            Source::Manifest => self.manifest_read(None, fx),
            Source::Log(..) => {
                let path = &loading.path;
                let text = format!(
                    "The append log file {path} doesn't exist: No such file or directory, and the \
                     manifest names it"
                );
                self.end_loading(Err(text), fx)
            }
            Source::Snapshot(_) | Source::Old(_) => {
                let what = loading.what;
                self.persistence.loading = None;
                Some(Loaded { what, result: Ok(Found::default()) })
            }
        }
    }

    fn take_manifest(&mut self, fx: &mut Effects) -> Option<Loaded> {
        let loading = self.persistence.loading.as_mut()?;
        loading.wanted = loading.left();
        loading.fetch();
        match Manifest::parse(&loading.bytes) {
            Ok(manifest) => self.manifest_read(Some(manifest), fx),
            Err(wrong) => {
                let text = format!("{} cannot be read: {wrong}", loading.path);
                self.end_loading(Err(text), fx)
            }
        }
    }

    /// Goes on with a file of the manifest; `Some`: there is none of this number.
    pub(super) fn open_log_file(&mut self, number: usize, fx: &mut Effects) -> Option<Loaded> {
        let persistence = &mut self.persistence;
        let loading = persistence.loading.as_mut()?;
        let manifest = loading.found.manifest.as_ref();
        let file = manifest.and_then(|manifest| manifest.files_to_load().nth(number));
        let Some((file, _)) = file else { return self.end_loading(Ok(()), fx) };
        let path = format!("{}/{}", persistence.settings.log.folder, file.name);
        // Each file says which database its records are of.
        loading.session.db = 0;
        loading.open(path, Source::Log(Box::default(), number), &mut persistence.orders, fx);
        None
    }

    /// Loads a bounded part of what was read; `Some`: loading has ended.
    pub(crate) fn go_on_loading(
        &mut self,
        now: Now,
        apply: Apply<'_>,
        fx: &mut Effects,
    ) -> Option<Loaded> {
        let mut loading = self.persistence.loading.take()?;
        let is_due = loading.due().is_some_and(|due| due <= now.mono);
        if !is_due || matches!(loading.source, Source::Manifest | Source::Old(_)) {
            self.persistence.loading = Some(loading);
            return None;
        }
        let part = self.load_part(&mut loading, now, apply, fx);
        self.persistence.loading = Some(loading);
        match part {
            Err(why) => self.end_loading(Err(why), fx),
            Ok(Part::Going) => {
                let persistence = &mut self.persistence;
                persistence.loading.as_mut()?.read_ahead(&mut persistence.orders, fx);
                None
            }
            Ok(Part::FileEnded(number)) => self.open_log_file(number + 1, fx),
            Ok(Part::Ended) => self.end_loading(Ok(()), fx),
        }
    }

    fn load_part(
        &mut self,
        loading: &mut Loading,
        now: Now,
        apply: Apply<'_>,
        fx: &mut Effects,
    ) -> Result<Part, String> {
        loading.check_torn()?;
        let delay_us = self.persistence.settings.load_delay_us;
        let budget = if delay_us == 0 { STEP_BYTES } else { 1 };
        let (encodings, hash_key) = (self.config.encodings, self.hash_key);
        let tail = Tail::of(&self.persistence.settings.log);
        loading.fetch();
        let has_all = loading.has_all() && loading.ahead.is_empty();
        let mut receiver = Receiver {
            state: self,
            apply,
            session: &mut loading.session,
            queued: &mut loading.queued,
            setting: Setting { encodings: &encodings, hash_key },
            what: loading.what,
            batch: &mut loading.batch,
            keys_max: loading.file_len / KEY_BYTES_MIN,
            keys: 0,
            expired: 0,
            db: loading.db,
            libraries: Vec::new(),
            empty: Vec::new(),
        };
        let bytes = &loading.bytes[loading.parsed..];
        let read = match &mut loading.source {
            Source::Manifest | Source::Old(_) => return Ok(Part::Going),
            Source::Snapshot(reader) => reader
                .read(bytes, budget, has_all, &mut receiver)
                .map_err(|broken| Wrong::Snapshot(broken.offset, broken.reason)),
            Source::Log(reader, _) => {
                reader.read(bytes, budget, has_all, &mut receiver).map_err(Wrong::Log)
            }
        };
        let Receiver { keys, expired, db, libraries, empty, .. } = receiver;
        loading.pass_by(&empty, fx);
        loading.keys += keys;
        loading.expired += expired;
        loading.db = db;
        loading.resume_at = now.mono + Micros(delay_us.saturating_mul(keys + expired));
        let replaces = loading.what.replaces() || loading.is_of_log();
        self.load_libraries(&libraries, replaces)
            .map_err(|why| explain(&loading.path, loading.share().0, &why))?;
        let progress = match read {
            Ok(progress) => progress,
            Err(wrong) => return loading.end_broken(wrong, tail, fx),
        };
        loading.parsed += progress.taken;
        loading.wanted = if progress.taken == 0 { progress.wanted } else { 1 };
        let (is_at_end, part) = match &loading.source {
            Source::Manifest | Source::Old(_) => (false, Part::Going),
            Source::Snapshot(reader) => (reader.has_ended(), Part::Ended),
            Source::Log(reader, number) => {
                let is_at_end = has_all && loading.parsed == loading.bytes.len();
                let number = *number;
                let good_len = reader.good_up_to();
                if is_at_end {
                    loading.end_file(number, good_len);
                }
                (is_at_end, Part::FileEnded(number))
            }
        };
        Ok(if is_at_end { part } else { Part::Going })
    }

    fn load_libraries(&mut self, texts: &[Vec<u8>], replaces: bool) -> Result<(), String> {
        if texts.is_empty() {
            return Ok(());
        }
        let policy = if replaces { Policy::Replace } else { Policy::Append };
        let memory_bytes_max = self.config.script_memory_bytes_max;
        self.libraries.restore(texts, policy, memory_bytes_max)
    }

    pub(super) fn end_loading(
        &mut self,
        result: Result<(), String>,
        fx: &mut Effects,
    ) -> Option<Loaded> {
        let loading = self.persistence.loading.take()?;
        let Loading { what, found, keys, expired, empty, .. } = *loading;
        for db in 0..self.keyspace.count() {
            self.keyspace.expect(db, 0);
        }
        if result.is_ok() {
            self.persistence.loaded = (keys, expired);
            let text = match loading.source {
                Source::Snapshot(_) => {
                    let skipped = format!(", empty keys skipped: {empty}");
                    let skipped = if empty == 0 { "" } else { &skipped };
                    format!(
                        "Done loading RDB, keys loaded: {keys}, keys expired: {expired}{skipped}."
                    )
                }
                _ => format!("DB loaded from append only file: {keys} keys and commands"),
            };
            log(fx, LogLevel::Notice, text);
        }
        Some(Loaded { what, result: result.map(|()| found) })
    }
}

/// How far a step of loading came.
enum Part {
    Going,
    /// The file of the log of this number has ended.
    FileEnded(usize),
    Ended,
}

/// Why a file cannot be read on.
enum Wrong {
    Snapshot(u64, String),
    Log(aof::Broken),
}

impl Loading {
    /// The file cannot be read on. The last one of a log may end in the middle of a record: whoever
    /// wrote it was stopped, and nobody was told of what is missing.
    fn end_broken(&mut self, wrong: Wrong, tail: Tail, fx: &mut Effects) -> Result<Part, String> {
        let (broken, number) = match (wrong, &self.source) {
            (Wrong::Log(broken), Source::Log(_, number)) => (broken, *number),
            (
                Wrong::Log(aof::Broken { offset, reason, .. }) | Wrong::Snapshot(offset, reason),
                _,
            ) => {
                let text = format!("integrity check failed: {reason}");
                let text = format!("Internal error in RDB reading offset {offset}: {text}");
                log(fx, LogLevel::Warning, text);
                if self.what == What::AtStart {
                    let text = "Terminating server after rdb file reading failure.";
                    log(fx, LogLevel::Warning, text);
                }
                return Err(explain(&self.path, offset, &reason));
            }
        };
        let manifest = self.found.manifest.as_ref();
        let count = manifest.map_or(1, |manifest| manifest.files_to_load().count());
        let bad_bytes = self.file_len.saturating_sub(broken.good_up_to);
        let may_cut = match broken.damage {
            Damage::Cut => tail.may_be_cut,
            Damage::Corrupt => bad_bytes <= tail.corrupt_bytes_max,
            Damage::Snapshot | Damage::Refused => false,
        };
        let (path, good_up_to) = (&self.path, broken.good_up_to);
        let name = path.rsplit_once('/').map_or(&**path, |(_, name)| name);
        let is_last = number + 1 == count;
        let was_replaced = broken.damage == Damage::Cut && self.found.may_grow(number);
        if !may_cut || !is_last && !was_replaced {
            return Err(explain_log(path, name, &broken, is_last));
        }
        let reason = &broken.reason;
        let texts = [
            format!("!!! Warning: short read while loading the AOF file {name}: {reason} !!!"),
            format!("!!! Truncating the AOF {name} at offset {good_up_to}: {bad_bytes} bytes !!!"),
        ];
        texts.into_iter().for_each(|text| log(fx, LogLevel::Warning, text));
        self.queued = None;
        if is_last {
            self.found.must_cut = true;
        } else {
            let why = explain_log(path, name, &broken, false);
            self.found.torn = Some(Torn { path: path.clone(), len: good_up_to, why });
        }
        self.end_file(number, good_up_to);
        Ok(Part::FileEnded(number))
    }
}

/// What may be cut off the end of a log.
#[derive(Clone, Copy)]
struct Tail {
    /// A record that is not whole.
    may_be_cut: bool,
    /// So many bytes of anything else.
    corrupt_bytes_max: u64,
}

impl Tail {
    fn of(settings: &LogSettings) -> Self {
        let corrupt_bytes_max = settings.corrupt_tail_bytes_max;
        Self { may_be_cut: settings.cuts_tail, corrupt_bytes_max }
    }
}

/// Says what is wrong, where, and what can be done.
fn explain(path: &str, offset: u64, reason: &str) -> String {
    format!(
        "{path} is broken at byte {offset}: {reason}. The integrity check failed, and the file was \
         left as it is; see what can be read of it with: orrery-server --check-rdb {path}"
    )
}

/// The same of a file of a log, in Redis's words as far as it has any.
fn explain_log(path: &str, name: &str, broken: &aof::Broken, is_last: bool) -> String {
    let aof::Broken { offset, reason, .. } = broken;
    let what = match broken.damage {
        Damage::Cut if !is_last => {
            format!("Fatal error: the truncated file {name} is not the last file")
        }
        Damage::Cut => format!("Unexpected end of file reading the append only file {name}"),
        Damage::Corrupt => format!("Bad file format reading the append only file {name}"),
        Damage::Snapshot => format!("Error reading the RDB base file {name}, AOF loading aborted"),
        Damage::Refused => format!("{reason} reading the append only file {name}"),
    };
    format!(
        "{what}: {path} is broken at byte {offset}: {reason}. The file was left as it is. To look \
         at it and to cut it there: orrery-server --check-aof --fix {path}"
    )
}
