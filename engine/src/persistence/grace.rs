//! `lock-grace`: after an end that may have lost who holds a lock, nobody gets one before the
//! longest of their times to live has passed.
//!
//! Whoever reads that it has a lock must be able to rely on it, and a server that has forgotten it
//! would give it to the next. What the server must know after such an end is how long to wait. That
//! is in a small file: the longest time that a key which matches was given to live since the
//! server started, rounded up to a power of two so that it is written a few times in its life.
//!
//! Invariants: nobody is told of a lock that lives longer than the file says that is safe on the
//! disk, but while the log is synced before anybody is told of anything; the file says that nothing
//! was lost only if all data were safe when the server ended.

use crc::{CRC_64_REDIS, Crc};

use super::settings::{LogSettings, Policy};
use super::{Aof, Orders, Stage, log};
use crate::config::Config;
use crate::disk::{DiskErrorKind, DiskOp, DiskResult, Lane, Ticket};
use crate::effects::{Effects, LogLevel};
use crate::error::Error;
use crate::state::State;
use crate::time::{Instant, Micros};

/// The file, in the server's folder.
const PATH: &str = "lock-grace.state";
const TEMPORARY_PATH: &str = "temp-lock-grace.state";
/// How its one line begins, behind which the milliseconds and their check stand.
const HEAD: &str = "orrery-lock-grace 1 ";
/// A file that is longer is none of ours.
const FILE_BYTES_MAX: usize = 64;
/// No longer time is configured (a year): a file that says more is none of ours.
const TTL_MS_LIMIT: u64 = 31_536_000_000;
/// A shorter time is counted as this: the file is not written again for it.
const TTL_MS_MIN: u64 = 1024;
/// A file that cannot be read is read so often.
const READS_MAX: u32 = 3;
/// A write that failed is tried again after this.
const RETRY_INTERVAL: Micros = Micros::from_secs(1);

/// What is known of the longest lock, and what is waited for.
#[derive(Debug)]
pub(crate) struct Grace {
    patterns: Vec<String>,
    /// A longer time to live counts as this, in milliseconds.
    ttl_ms_max: u64,
    /// The file is being read.
    reading: Option<Ticket>,
    /// What the file says that is safe; 0: that nothing was lost.
    kept_ms: u64,
    /// The longest time to live since the start, rounded up.
    seen_ms: u64,
    /// The same of locks that were granted while nothing could be lost.
    safe_ms: u64,
    /// What the file must say until nobody waits any more: what the server before this one did.
    owed_ms: u64,
    /// How often the file is read again if it cannot be.
    reads_left: u32,
    /// The file is being written, with this in it.
    writing: Option<(Ticket, u64)>,
    retry_at: Option<Instant>,
    /// Until then nobody gets a lock.
    until: Option<Instant>,
    /// The server ends, and all data are safe.
    is_ending: bool,
    /// That cannot be written: the next start waits though nothing was lost.
    has_given_up: bool,
}

impl Grace {
    /// What the configuration asks for, if it does.
    pub(crate) fn of(config: &Config) -> Option<Box<Self>> {
        let asked = &config.lock_grace;
        (!asked.patterns.is_empty()).then(|| {
            Box::new(Self {
                patterns: asked.patterns.clone(),
                ttl_ms_max: asked.ttl_ms_max,
                reading: None,
                kept_ms: 0,
                seen_ms: 0,
                safe_ms: 0,
                owed_ms: 0,
                reads_left: READS_MAX,
                writing: None,
                retry_at: None,
                until: None,
                is_ending: false,
                has_given_up: false,
            })
        })
    }

    /// Whether it is not known yet how the server before this one has ended.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Whether the disk knows of locks that live so long, whatever becomes of the write that is
    /// under way: that may be one of a shorter time.
    pub(crate) fn has_kept(&self, bound_ms: u64) -> bool {
        let writing_ms = self.writing.map_or(self.kept_ms, |(_, ms)| ms);
        self.kept_ms.min(writing_ms) >= bound_ms
    }

    /// How long nobody gets a lock yet.
    pub(crate) fn left(&self, now: Instant) -> Option<Micros> {
        self.until.filter(|until| *until > now).map(|until| until.since(now))
    }

    /// A lock lives so long from now; it is on the disk before anybody is told of it, or not.
    fn note(&mut self, ttl_ms: u64, is_safe: bool) {
        // The clock that deadlines are kept by may be a little slow beside that of a later start.
        let ttl_ms = ttl_ms.saturating_add(ttl_ms / 16).max(TTL_MS_MIN).min(self.ttl_ms_max);
        let rounded = ttl_ms.checked_next_power_of_two().unwrap_or(self.ttl_ms_max);
        let longest_ms = if is_safe { &mut self.safe_ms } else { &mut self.seen_ms };
        *longest_ms = (*longest_ms).max(rounded.min(self.ttl_ms_max));
    }

    /// What the file should say.
    fn wanted_ms(&self) -> u64 {
        match (self.until, self.is_ending) {
            (Some(_), _) => self.owed_ms.max(self.seen_ms),
            (None, true) => 0,
            (None, false) => self.seen_ms,
        }
    }

    /// When there is something to do.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let must_write = self.writing.is_none() && self.wanted_ms() != self.kept_ms;
        let write = must_write.then(|| self.retry_at.unwrap_or(now));
        self.until.into_iter().chain(write).min()
    }

    /// Writes the file if it should say something else.
    fn go_on(&mut self, orders: &mut Orders, now: Instant, fx: &mut Effects) {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
        }
        let wanted_ms = self.wanted_ms();
        let may_write = self.writing.is_none() && self.retry_at.is_none_or(|at| at <= now);
        if may_write && wanted_ms != self.kept_ms && self.reading.is_none() {
            self.retry_at = None;
            let ticket = orders.write_file(TEMPORARY_PATH, PATH, spell(wanted_ms), fx);
            self.writing = Some((ticket, wanted_ms));
        }
    }

    /// How the server before this one has ended is known.
    fn read(&mut self, result: &DiskResult, now: Instant, fx: &mut Effects) {
        let said_ms = match result {
            Ok(answer) => parse(&answer.bytes).filter(|ms| *ms <= TTL_MS_LIMIT).ok_or("is broken"),
            Err(error) if error.kind == DiskErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.text.as_str()),
        };
        // Of a file that cannot be read it is not known that it says enough.
        self.kept_ms = said_ms.unwrap_or(0);
        self.owed_ms = said_ms.unwrap_or_else(|why| {
            let text = format!("{PATH}: {why}. Locks may have been held for the longest time.");
            log(fx, LogLevel::Warning, text);
            self.ttl_ms_max
        });
        if self.owed_ms > 0 {
            let (patterns, ms) = (self.patterns.join(" "), self.owed_ms);
            let text = format!(
                "The server before this one may have lost who holds a lock: no key like {patterns} \
                 is created in the next {ms} milliseconds (lock-grace)"
            );
            log(fx, LogLevel::Warning, text);
            self.until = Some(now + Micros::from_millis(ms));
        }
    }

    fn written(&mut self, ms: u64, result: &DiskResult, now: Instant, fx: &mut Effects) {
        match result {
            Ok(_) => self.kept_ms = ms,
            Err(error) => {
                let text = format!("{PATH} cannot be written: {}", error.text);
                log(fx, LogLevel::Warning, text);
                self.has_given_up = self.is_ending;
                self.retry_at = Some(now + RETRY_INTERVAL);
                // Whether what was there is still there is open: the next that is safe says more.
                if ms < self.kept_ms {
                    self.kept_ms = ms;
                }
            }
        }
    }
}

fn spell(ms: u64) -> Vec<u8> {
    format!("{HEAD}{ms} {:016x}\n", check(ms)).into_bytes()
}

fn parse(bytes: &[u8]) -> Option<u64> {
    let line = core::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (ms, found) = line.strip_prefix(HEAD)?.split_once(' ')?;
    let ms: u64 = ms.parse().ok()?;
    (*bytes == *spell(ms) && found.len() == 16).then_some(ms)
}

/// Tells a number from one of which a bit has changed.
fn check(ms: u64) -> u64 {
    Crc::<u64>::new(&CRC_64_REDIS).checksum(format!("{HEAD}{ms}").as_bytes())
}

impl State {
    /// Asks the disk how the server before this one has ended.
    pub(crate) fn begin_grace(&mut self, fx: &mut Effects) {
        let Some(grace) = &mut self.persistence.grace else { return };
        let read = DiskOp::Read { path: PATH.to_owned(), offset: 0, len: FILE_BYTES_MAX };
        grace.reading = Some(self.persistence.orders.give(Lane::Bulk, vec![read], fx));
    }

    /// What was on disk is loaded: from now on it counts how long locks live.
    pub(crate) fn watch_locks(&mut self) {
        if let Some(grace) = &self.persistence.grace {
            self.keyspace.watch_locks(&grace.patterns);
        }
    }

    /// Takes an answer of the disk, if it is about that.
    pub(crate) fn grace_answered(
        &mut self,
        ticket: Ticket,
        result: &DiskResult,
        now: Instant,
        fx: &mut Effects,
    ) -> bool {
        let Some(grace) = &mut self.persistence.grace else { return false };
        if grace.reading.take_if(|own| *own == ticket).is_some() {
            let may_be_there =
                result.as_ref().is_err_and(|error| error.kind != DiskErrorKind::NotFound);
            if may_be_there && grace.reads_left > 1 {
                grace.reads_left -= 1;
                self.begin_grace(fx);
                return true;
            }
            grace.read(result, now, fx);
        } else if let Some((_, ms)) = grace.writing.take_if(|(own, _)| *own == ticket) {
            grace.written(ms, result, now, fx);
        } else {
            return false;
        }
        self.go_on_with_grace(now, fx);
        true
    }

    /// Writes the file if it is due.
    pub(crate) fn go_on_with_grace(&mut self, now: Instant, fx: &mut Effects) {
        if let Some(grace) = &mut self.persistence.grace {
            grace.go_on(&mut self.persistence.orders, now, fx);
        }
    }

    /// Takes note of the locks of a step.
    pub(crate) fn note_locks(&mut self, now: Instant, fx: &mut Effects) {
        let aof = self.persistence.aof.as_deref();
        // A log that is about to be switched off will not be there at the next start.
        let is_safe = aof.is_some_and(|aof| {
            let LogSettings { is_on, policy, .. } = aof.settings;
            aof.stage == Stage::On && is_on && policy == Policy::Always
        });
        let Some(grace) = &mut self.persistence.grace else { return };
        if let Some(deadline) = self.keyspace.take_lock_deadline() {
            let ttl_ms = deadline.0.saturating_sub(self.clock.now().0);
            if ttl_ms > 0 {
                grace.note(ttl_ms, is_safe);
            }
        }
        if !is_safe {
            grace.seen_ms = grace.seen_ms.max(grace.safe_ms);
        }
        if grace.seen_ms > grace.kept_ms {
            self.go_on_with_grace(now, fx);
        }
    }

    /// How long the locks live that were granted so far, rounded up.
    pub(crate) fn lock_bound_ms(&self) -> u64 {
        self.persistence.grace.as_ref().map_or(0, |grace| grace.seen_ms)
    }

    /// The server is about to end, with a log up to this position: whether it may now.
    pub(crate) fn may_end(&mut self, position: u64, now: Instant, fx: &mut Effects) -> bool {
        let persistence = &self.persistence;
        let aof = persistence.aof.as_deref();
        if aof.is_some_and(|aof| !aof.is_settled(position)) {
            return false;
        }
        let is_safe = aof.map_or(persistence.is_saved_for_end, Aof::has_kept_all);
        self.ends_grace(is_safe, now, fx)
    }

    /// Whether the server may end. Where all data are `safe` the file says so first.
    fn ends_grace(&mut self, is_safe: bool, now: Instant, fx: &mut Effects) -> bool {
        let Some(grace) = &mut self.persistence.grace else { return true };
        grace.is_ending = is_safe && grace.left(now).is_none();
        if !grace.is_ending || grace.has_given_up {
            return true;
        }
        grace.go_on(&mut self.persistence.orders, now, fx);
        grace.kept_ms == 0 && grace.writing.is_none()
    }

    /// Why a lock must not be granted now.
    pub(crate) fn grace_refusal(&self, now: Instant) -> Option<Error> {
        let ms = self.persistence.grace.as_ref()?.left(now)?.0.div_ceil(1000);
        Some(Error::text(format!(
            "LOCKGRACE The server may have lost who holds this lock when it ended. It can be had \
             in {ms} milliseconds."
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written_and_nothing_else_is() {
        for ms in [0, 1, 1024, 3_600_000, u64::MAX] {
            let file = spell(ms);
            assert!(file.len() <= FILE_BYTES_MAX);
            assert_eq!(parse(&file), Some(ms));
            for at in 0..file.len() {
                let mut changed = file.clone();
                changed[at] ^= 1;
                assert_eq!(parse(&changed), None, "{}", changed.escape_ascii());
                assert_eq!(parse(&file[..at]), None);
            }
        }
    }

    #[test]
    fn times_are_rounded_up_within_their_limit() {
        let config = Config {
            lock_grace: crate::config::LockGrace {
                patterns: vec!["l*".to_owned()],
                ttl_ms_max: 100_000,
            },
            ..Config::default()
        };
        let seen = |ttl_ms| {
            let mut grace = Grace::of(&config).expect("there is a pattern");
            grace.note(ttl_ms, false);
            grace.seen_ms
        };
        assert_eq!([seen(1), seen(1000), seen(30_000)], [1024, 2048, 32_768]);
        assert_eq!([seen(90_000), seen(u64::MAX)], [100_000, 100_000]);
    }
}
