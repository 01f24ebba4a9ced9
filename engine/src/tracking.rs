//! Client-side caching: who may hold copies of which keys, and is told when one of them changes.
//!
//! A client that tracks is remembered with each key that it reads, until the key changes: then it
//! is told once and forgotten with it. A client that broadcasts is told of everything that changes
//! below its prefixes. Keys are tracked by name, whatever their database, as in Redis.
//!
//! Invariants: whoever has read a key since it was last told of it will be told of the key's next
//! change, of its being forgotten, or of everything's being gone; the table of keys holds at most
//! as many keys as it may; nothing here costs more than one look at a flag while nobody tracks.

mod message;
mod prefixes;
mod table;

use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

use crate::args::Words;
use crate::config::OutputLimits;
use crate::input::ConnId;
use crate::rng::Rng;
use crate::session::{Name, Session, Sessions};
use crate::state::State;
use message::{News, Outlet};
use prefixes::Prefixes;
use table::Table;

/// Keys that one step forgets because the limit was lowered.
const FORGOTTEN_PER_STEP: usize = 512;
/// What one of its prefixes costs in the books of the client and of all.
const PREFIX_BYTES: usize = 4 * size_of::<Name>();
/// What one tracking client costs beside its prefixes.
const TRACKER_BYTES: usize = size_of::<ConnId>() + size_of::<Tracker>();

/// Which keys that a client reads are tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// All.
    #[default]
    All,
    /// Those of commands that CLIENT CACHING YES came before.
    OptIn,
    /// All but those of commands that CLIENT CACHING NO came before.
    OptOut,
}

/// How a client wants to track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// It is told of every change below its prefixes.
    pub broadcast: bool,
    /// Which keys are tracked, if it does not broadcast.
    pub choice: Choice,
    /// It is not told of what it changes itself.
    pub no_loop: bool,
    /// Who gets its messages.
    pub redirect: Option<ConnId>,
}

/// A client that tracks.
#[derive(Debug, Default)]
pub struct Tracker {
    mode: Mode,
    /// Who was to get its messages has gone.
    is_broken: bool,
    /// CLIENT CACHING was called for the command or transaction that runs or is next.
    is_exceptional: bool,
    prefixes: BTreeSet<Name>,
    /// The keys that the script which it runs was given.
    script_keys: Option<Words>,
}

impl Tracker {
    /// How it tracks.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether who was to get its messages has gone.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether CLIENT CACHING was called for the next command.
    pub fn is_exceptional(&self) -> bool {
        self.is_exceptional
    }

    /// Its prefixes, in order.
    pub fn prefixes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.prefixes.iter().map(AsRef::as_ref)
    }

    /// The first of its prefixes that some key has as well as `prefix`. No two of its own overlap
    /// but for the empty one, so only the neighbours can.
    pub(crate) fn overlapping(&self, prefix: &[u8]) -> Option<&[u8]> {
        if let Some(everything) = self.prefixes.get(&b""[..]) {
            return Some(everything);
        }
        let before = (Bound::Unbounded, Bound::Included(prefix));
        let behind = (Bound::Excluded(prefix), Bound::Unbounded);
        let before = self.prefixes.range::<[u8], _>(before).next_back();
        let before = before.filter(|other| prefix.starts_with(other));
        let behind = self.prefixes.range::<[u8], _>(behind).next();
        let behind = behind.filter(|other| other.starts_with(prefix));
        before.or(behind).map(AsRef::as_ref)
    }

    fn wants_keys(&self) -> bool {
        let by_choice = match self.mode.choice {
            Choice::All => true,
            Choice::OptIn => self.is_exceptional,
            Choice::OptOut => !self.is_exceptional,
        };
        by_choice && !self.mode.broadcast
    }
}

/// All tracking of all clients.
#[derive(Debug)]
pub struct Tracking {
    trackers: BTreeMap<ConnId, Tracker>,
    table: Table,
    prefixes: Prefixes,
    /// Somebody tracks, or keys are still listed.
    is_active: bool,
    /// What clients will be told when the command that runs has ended.
    deferred: Vec<(ConnId, News)>,
    /// Lends its allocation to the next message.
    message: Vec<u8>,
}

impl Tracking {
    /// Nobody tracks anything.
    pub fn new(rng: Rng) -> Self {
        Self {
            trackers: BTreeMap::new(),
            table: Table::new(rng),
            prefixes: Prefixes::default(),
            is_active: false,
            deferred: Vec::new(),
            message: Vec::new(),
        }
    }

    /// Whether anything is tracked: what every command asks.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// How a client tracks, if it does.
    pub fn find(&self, conn: ConnId) -> Option<&Tracker> {
        self.trackers.get(&conn)
    }

    /// Bytes that a client's tracking takes, but for the names of its prefixes.
    pub(crate) fn memory_bytes_of(&self, conn: ConnId) -> usize {
        let tracker = self.trackers.get(&conn);
        tracker.map_or(0, |tracker| TRACKER_BYTES + tracker.prefixes.len() * PREFIX_BYTES)
    }

    /// How many clients track.
    pub fn clients(&self) -> usize {
        self.trackers.len()
    }

    /// How many keys are listed, how many clients with them, and how many prefixes there are.
    pub fn totals(&self) -> [usize; 3] {
        [self.table.keys(), self.table.items(), self.prefixes.len()]
    }

    /// Heap bytes.
    pub fn memory_bytes(&self) -> usize {
        let trackers = self.trackers.len() * TRACKER_BYTES;
        trackers + self.table.memory_bytes() + self.prefixes.memory_bytes()
    }

    /// Lets a client track from now on, or in another way; its prefixes are added to those that it
    /// has.
    pub(crate) fn begin<'a>(
        &mut self,
        conn: ConnId,
        mode: Mode,
        prefixes: impl Iterator<Item = &'a [u8]>,
    ) {
        let tracker = self.trackers.entry(conn).or_default();
        (tracker.mode, tracker.is_broken) = (mode, false);
        for prefix in prefixes {
            tracker.prefixes.insert(self.prefixes.join(prefix, conn));
        }
        self.is_active = true;
    }

    /// A client tracks no more. Keys that list it stay until they change, as in Redis.
    pub(crate) fn end(&mut self, conn: ConnId) {
        if let Some(tracker) = self.trackers.remove(&conn) {
            for prefix in &tracker.prefixes {
                self.prefixes.leave(prefix, conn);
            }
            self.look_whether_active();
        }
    }

    /// A client has gone. When it was the last that tracked, all keys are forgotten.
    pub(crate) fn leave(&mut self, conn: ConnId) {
        if self.trackers.contains_key(&conn) {
            self.end(conn);
            if self.trackers.is_empty() {
                self.table.clear();
            }
            self.look_whether_active();
        }
    }

    /// The next command of a client is an exception from its choice.
    pub(crate) fn except(&mut self, conn: ConnId) {
        if let Some(tracker) = self.trackers.get_mut(&conn) {
            tracker.is_exceptional = true;
        }
    }

    /// A command of a client has ended that was not about its connection, outside of a transaction.
    pub(crate) fn end_command(&mut self, conn: ConnId) {
        if let Some(tracker) = self.trackers.get_mut(&conn) {
            tracker.is_exceptional = false;
            tracker.script_keys = None;
        }
    }

    /// Whether the keys that a client reads now are tracked.
    pub(crate) fn wants_keys(&self, conn: ConnId) -> bool {
        self.trackers.get(&conn).is_some_and(Tracker::wants_keys)
    }

    /// A client begins to run a script with these keys: they are tracked whenever the script
    /// reads anything, as in Redis 7.0.
    pub(crate) fn declare_keys<'a>(
        &mut self,
        conn: ConnId,
        keys: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) {
        if let Some(tracker) = self.trackers.get_mut(&conn) {
            tracker.script_keys = tracker.wants_keys().then(|| Words::new(keys));
        }
    }

    /// Takes the keys of the script that a client runs.
    pub(crate) fn take_script_keys(&mut self, conn: ConnId) -> Option<Words> {
        self.trackers.get_mut(&conn)?.script_keys.take()
    }

    /// Gives them back: the script may read more.
    pub(crate) fn give_script_keys_back(&mut self, conn: ConnId, keys: Words) {
        if let Some(tracker) = self.trackers.get_mut(&conn) {
            tracker.script_keys = Some(keys);
        }
    }

    fn look_whether_active(&mut self) {
        self.is_active = !self.trackers.is_empty() || self.table.keys() > 0;
    }

    /// A key has changed: whoever may hold a copy is told, unless it was that client that changed
    /// it and wants to hear nothing of what it does itself.
    #[cold]
    pub(crate) fn touch(
        &mut self,
        key: &[u8],
        by: Option<ConnId>,
        sessions: &mut Sessions,
        limits: &OutputLimits,
    ) {
        if self.prefixes.len() > 0 {
            self.prefixes.touch(key, by);
        }
        if let Some(clients) = self.table.take(key) {
            self.tell_of_key(key, &clients, by, Outlet { sessions, limits, running: None });
            self.look_whether_active();
        }
    }

    fn tell_of_key(
        &mut self,
        key: &[u8],
        clients: &[ConnId],
        by: Option<ConnId>,
        mut outlet: Outlet<'_>,
    ) {
        let news = News::of_keys(core::iter::once(key));
        for &conn in clients {
            let Some(tracker) = self.trackers.get(&conn) else { continue };
            // One that broadcasts now had not always done so.
            let own = tracker.mode.no_loop && by == Some(conn);
            if !own && !tracker.mode.broadcast {
                self.tell(conn, &news, &mut outlet);
            }
        }
    }

    /// Tells what changed below prefixes in this step.
    fn broadcast(&mut self, outlet: &mut Outlet<'_>) {
        while let Some((clients, changed)) = self.prefixes.take_changed() {
            let all = News::of_keys(changed.keys().map(AsRef::as_ref));
            for conn in clients {
                if !self.trackers.get(&conn).is_some_and(|tracker| tracker.mode.no_loop) {
                    self.tell(conn, &all, outlet);
                    continue;
                }
                let others = changed.iter().filter(|&(_, &by)| by != Some(conn));
                let others: Vec<&[u8]> = others.map(|(key, _)| key.as_ref()).collect();
                if !others.is_empty() {
                    self.tell(conn, &News::of_keys(others.into_iter()), outlet);
                }
            }
        }
    }

    /// Whether the command that has ended has left something to tell.
    #[inline]
    pub(crate) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Whether the step that ends has left something to tell.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.has_deferred() || self.prefixes.has_changed()
    }

    /// Whether keys are to be forgotten because there are too many, or memory to be given back.
    pub(crate) fn has_work(&self, keys_max: usize) -> bool {
        self.is_over(keys_max) || self.table.has_old()
    }

    fn is_over(&self, keys_max: usize) -> bool {
        keys_max > 0 && self.table.keys() > keys_max
    }

    /// Checks that clients, keys and prefixes know of each other; between steps.
    pub(crate) fn check_invariants(&self, sessions: &Sessions) {
        self.table.check_invariants();
        self.prefixes.check_invariants(|conn, name| self.trackers[&conn].prefixes.contains(name));
        let named: usize = self.trackers.values().map(|tracker| tracker.prefixes.len()).sum();
        assert_eq!(named, self.prefixes.pairs(), "a client's prefixes list it");
        for (&conn, tracker) in &self.trackers {
            assert!(sessions.find(conn).is_some(), "who tracks is connected");
            assert_eq!(tracker.prefixes.is_empty(), !tracker.mode.broadcast);
        }
        assert!(self.deferred.is_empty(), "between steps everything was told");
        assert_eq!(self.is_active, !self.trackers.is_empty() || self.table.keys() > 0);
    }
}

impl State {
    /// A key has changed. Nobody in particular has let one expire or go because memory was full.
    #[cold]
    pub(crate) fn track_change(&mut self, key: &[u8], event: &'static str) {
        let by_nobody = matches!(event, "expired" | "evicted" | "hexpired");
        let by = if by_nobody { None } else { self.sessions.running() };
        let Self { tracking, sessions, config, .. } = self;
        tracking.touch(key, by, sessions, &config.output_limits);
    }

    /// A client has read a key that it wants to be tracked. If there are too many, another one is
    /// forgotten, and its clients are told as if it had changed.
    pub(crate) fn track_key(&mut self, conn: ConnId, key: &[u8]) {
        let keys_max = self.config.tracking_table_max_keys;
        let Self { tracking, sessions, config, .. } = self;
        let is_full = keys_max > 0 && tracking.table.keys() >= keys_max;
        if is_full
            && !tracking.table.contains(key)
            && let Some((other, clients)) = tracking.table.take_any()
        {
            let outlet = Outlet { sessions, limits: &config.output_limits, running: None };
            tracking.tell_of_key(&other, &clients, None, outlet);
        }
        let Tracking { table, trackers, .. } = &mut self.tracking;
        table.insert(key, conn, |conn| trackers.contains_key(&conn));
    }

    /// A database has lost all its keys: everybody who tracks is told so, and all keys are
    /// forgotten.
    pub(crate) fn track_flush(&mut self) {
        if !self.tracking.is_active() {
            return;
        }
        let Self { tracking, sessions, config, .. } = self;
        let mut outlet = Outlet { sessions, limits: &config.output_limits, running: None };
        let clients: Vec<ConnId> = tracking.trackers.keys().copied().collect();
        for conn in clients {
            tracking.tell(conn, &News::Everything, &mut outlet);
        }
        tracking.table.clear();
        tracking.look_whether_active();
    }

    /// A command of `session` has ended, and its reply is in `out`: what waited for that is told.
    #[cold]
    pub(crate) fn tell_deferred(&mut self, session: &Session, out: &mut Vec<u8>) {
        let Self { tracking, sessions, config, .. } = self;
        let limits = &config.output_limits;
        tracking.tell_deferred(&mut Outlet { sessions, limits, running: Some((session, out)) });
    }

    /// The step ends: everything is told that is left.
    #[cold]
    pub(crate) fn tell_news(&mut self) {
        let Self { tracking, sessions, config, .. } = self;
        let mut outlet = Outlet { sessions, limits: &config.output_limits, running: None };
        tracking.tell_deferred(&mut outlet);
        tracking.broadcast(&mut outlet);
    }

    /// Forgets keys that are too many: every command does, whatever the timer does.
    #[inline]
    pub(crate) fn limit_tracking(&mut self) {
        if self.tracking.is_over(self.config.tracking_table_max_keys) {
            self.tidy_tracking();
        }
    }

    /// Forgets keys that are too many, and gives memory back: a bounded part of it.
    #[cold]
    pub(crate) fn tidy_tracking(&mut self) {
        let keys_max = self.config.tracking_table_max_keys;
        let Self { tracking, sessions, config, .. } = self;
        for _ in 0..FORGOTTEN_PER_STEP {
            if !tracking.is_over(keys_max) {
                break;
            }
            let Some((key, clients)) = tracking.table.take_any() else { break };
            let outlet =
                Outlet { sessions: &mut *sessions, limits: &config.output_limits, running: None };
            tracking.tell_of_key(&key, &clients, None, outlet);
        }
        tracking.table.free_some();
        tracking.look_whether_active();
    }
}
