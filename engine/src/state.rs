//! Everything that a command may touch beside the client that runs it.

mod effects;
mod harm;

use std::sync::Arc;

use crate::acl::{Acl, Catalogue};
use crate::block::Waits;
use crate::config::Config;
use crate::effects::{Effect, Effects};
use crate::evict::Eviction;
use crate::input::{ConnId, Facts, Vitals};
use crate::keyspace::Keyspace;
use crate::log::Log;
use crate::names::CommandNames;
use crate::observe::Observer;
use crate::persistence::Persistence;
use crate::pubsub::PubSub;
use crate::rates::{Counters, Rates};
use crate::rng::{Rng, Seed};
use crate::script::{Libraries, Running, Scripts};
use crate::session::{Blocked, Session, Sessions};
use crate::time::{Instant, KeyClock, Micros, Now};
use crate::tracking::Tracking;
use crate::watch::Watches;
pub(crate) use effects::{ExpiryLog, removal};
pub(crate) use harm::{Harm, Torn};

/// The state of one server, without the code that turns its crank.
pub struct State {
    /// The settings in force.
    pub config: Config,
    /// The data.
    pub keyspace: Keyspace,
    /// The users.
    pub acl: Acl,
    /// What `rename-command` has made of the commands' names.
    pub(crate) names: CommandNames,
    /// Derives key time.
    pub clock: KeyClock,
    /// All clients but the one whose command is running.
    pub sessions: Sessions,
    /// Counters for INFO.
    pub stats: Stats,
    /// What is known about the commands that ran.
    pub observer: Observer,
    /// Figures of the process.
    pub vitals: Vitals,
    /// What the driver knows about the process.
    pub facts: Facts,
    /// What commands and bytes were counted when.
    pub(crate) rates: Rates,
    /// The most memory that was in use when somebody looked.
    pub memory_peak: usize,
    /// The memory in use at start.
    pub memory_startup: usize,
    /// What is evicted when memory is over its limit.
    pub(crate) eviction: Eviction,
    /// The change of configuration that the driver is carrying out.
    pub(crate) config_change: Option<ConfigChange>,
    /// Clients whose output was over the soft limit; some may be under it again.
    pub(crate) over_soft_limit: Vec<ConnId>,
    /// Names this server's history for replicas: forty hexadecimal digits.
    pub replication_id: String,
    /// Random numbers for commands (RANDOMKEY, LOLWUT...).
    pub rng: Rng,
    /// Clients that wait inside a command.
    pub waits: Waits,
    /// Channels and patterns, and who has subscribed to them.
    pub pubsub: PubSub,
    /// Who holds copies of keys.
    pub tracking: Tracking,
    /// Keys that transactions depend on.
    pub watches: Watches,
    /// The secret key of the hash functions of collections.
    pub hash_key: (u64, u64),
    /// The scripts that are known.
    pub scripts: Scripts,
    /// The libraries of functions.
    pub libraries: Libraries,
    /// The script that runs between two steps.
    pub(crate) running_script: Option<Box<Running>>,
    /// Clients that wait for its end.
    pub(crate) held_by_script: Vec<ConnId>,
    /// CLIENT PAUSE: until when, and whether only writes wait.
    pub pause: Option<Pause>,
    /// Clients that wait for its end, in the order in which they came.
    pub(crate) held_by_pause: Vec<ConnId>,
    /// When a web request was last logged.
    pub(crate) last_web_request: Option<Instant>,
    /// A planted bug at work.
    pub(crate) harm: Option<Box<Harm>>,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: bool,
    /// DEBUG PAUSE-CRON: what Redis does periodically rests.
    pub(crate) pauses_cron: bool,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS.
    pub(crate) scripts_may_debug: bool,
    /// DEBUG QUICKLIST-PACKED-THRESHOLD: a longer element of a list is alone in its node.
    pub list_element_bytes: Option<usize>,
    /// This server's run id: forty hexadecimal digits.
    pub run_id: String,
    /// Both clocks at start.
    pub started: Now,
    /// Changes since the last save.
    pub dirty: u64,
    /// Snapshots, and what is loaded.
    pub persistence: Persistence,
    /// The changes as commands, for who reads them.
    pub log: Log,
}

/// A change of driver-owned parameters that is not carried out yet.
#[derive(Debug)]
pub(crate) struct ConfigChange {
    /// Who asked.
    pub(crate) conn: ConnId,
    /// What the driver was asked to carry out.
    pub(crate) names: Vec<&'static str>,
    /// The configuration before.
    pub(crate) before: Config,
    /// The configuration with the change.
    pub(crate) after: Config,
}

/// A CLIENT PAUSE in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends by itself.
    pub until: Instant,
    /// Whether commands that only read go on.
    pub writes_only: bool,
}

/// Counters since start or CONFIG RESETSTAT.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused (limit, protected mode).
    pub rejected_connections: u64,
    /// Commands run.
    pub commands: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes given out.
    pub bytes_out: u64,
    /// How often input was handed in.
    pub inputs: u64,
    /// How often output was taken.
    pub outputs: u64,
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Error replies sent.
    pub error_replies: u64,
    /// Error replies by code word; bounded by `ERROR_CODES_MAX`.
    pub errors: std::collections::BTreeMap<String, u64>,
    /// Clients closed because of their input.
    pub query_buffer_closed: u64,
    /// Clients closed because of their output.
    pub output_buffer_closed: u64,
    /// Figures of each command, in the order of the table.
    pub by_command: Vec<CommandStats>,
    /// The longest step and what it was, as the driver measured it.
    pub longest_step: Micros,
    /// Steps so far.
    pub steps: u64,
}

/// Figures of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandStats {
    /// How often it ran.
    pub calls: u64,
    /// Microseconds that it took, as far as the driver measures them.
    pub micros: u64,
    /// How often it was refused before it ran.
    pub rejected: u64,
    /// How often it ran and failed.
    pub failed: u64,
}

/// Distinct error codes that are counted one by one, as in Redis.
pub const ERROR_CODES_MAX: usize = 128;

impl State {
    /// An empty server that runs the commands of `catalogue`.
    pub fn new(config: Config, seed: Seed, now: Now, catalogue: Arc<Catalogue>) -> Self {
        let commands = catalogue.len();
        // What cannot be obeyed is refused by whoever reads the configuration.
        let names = CommandNames::new(&config.renamed_commands, &catalogue).unwrap_or_default();
        let mut acl = Acl::new(catalogue, &config.requirepass, seed);
        if config.has_users() {
            acl.shut();
        }
        let clock = KeyClock::new(config.ttl_clock, config.ttl_clock_slew_ppm, now);
        let mut keyspace = Keyspace::new(config.databases, Rng::new(seed, "keyspace"));
        let harm = config.planted.map(Harm::new);
        if let Some(bug) = config.planted {
            keyspace.plant(bug);
        }
        if !config.eviction.protected_keys.is_empty() {
            keyspace.protect(&config.eviction.protected_keys);
        }
        let stats =
            Stats { by_command: vec![CommandStats::default(); commands], ..Stats::default() };
        let observer = Observer::new(commands, &config, seed);
        let other_bytes = acl.memory_bytes() + observer.memory_bytes();
        let memory_startup = keyspace.memory_bytes() + other_bytes;
        let eviction = Eviction::new(Rng::new(seed, "eviction"), other_bytes);
        let mut hash_keys = Rng::new(seed, "collections");
        let persistence = Persistence::new(&config, now);
        let mut sessions = Sessions::default();
        sessions.start_counting(config.eviction.counts_clients());
        Self {
            config,
            keyspace,
            acl,
            names,
            clock,
            sessions,
            stats,
            observer,
            vitals: Vitals::default(),
            facts: Facts::default(),
            rates: Rates::new(now.mono),
            memory_peak: memory_startup,
            memory_startup,
            eviction,
            config_change: None,
            over_soft_limit: Vec::new(),
            replication_id: Rng::new(seed, "replication id").hex40(),
            rng: Rng::new(seed, "commands"),
            waits: Waits::default(),
            pubsub: PubSub::new(Rng::new(seed, "publish and subscribe")),
            tracking: Tracking::new(Rng::new(seed, "tracking")),
            watches: Watches::default(),
            hash_key: (hash_keys.next_u64(), hash_keys.next_u64()),
            scripts: Scripts::default(),
            libraries: Libraries::default(),
            running_script: None,
            held_by_script: Vec::new(),
            pause: None,
            held_by_pause: Vec::new(),
            last_web_request: None,
            harm,
            active_expire: true,
            pauses_cron: false,
            scripts_may_debug: false,
            list_element_bytes: None,
            run_id: Rng::new(seed, "run id").hex40(),
            started: now,
            dirty: 0,
            persistence,
            log: Log::default(),
        }
    }

    /// Whether a client has to authenticate before ordinary commands: as in Redis, not while the
    /// default user has no password and is enabled.
    #[inline]
    pub fn must_authenticate(&self, session: &Session) -> bool {
        !session.authenticated && !self.acl.is_open()
    }

    /// Tells everybody who asked that a key was changed, and by what in the words of keyspace
    /// events.
    #[inline]
    pub(crate) fn key_changed(&mut self, db: usize, key: &[u8], event: &'static str) {
        self.tell_watchers(db, key, event);
        self.notify(db, key, event);
    }

    /// Tells those who wait for a key or watch it that it was changed; there is no event.
    #[inline]
    pub(crate) fn key_touched(&mut self, db: usize, key: &[u8]) {
        self.tell_watchers(db, key, "");
    }

    #[inline]
    fn tell_watchers(&mut self, db: usize, key: &[u8], event: &'static str) {
        if self.harm.as_ref().is_none_or(|harm| !harm.hides_change()) {
            self.watches.touch(db, key);
        }
        self.waits.touch(db, key);
        if self.tracking.is_active() {
            self.track_change(key, event);
        }
    }

    /// Tells of an event at a key that transactions do not count as a change.
    #[inline]
    pub(crate) fn key_announced(&mut self, db: usize, key: &[u8], event: &'static str) {
        self.waits.touch(db, key);
        self.notify(db, key, event);
    }

    /// Tells them of the keys that somebody looked for and that had expired.
    #[inline]
    pub(crate) fn tell_lapsed(&mut self) {
        while let Some((db, key)) = self.keyspace.take_lapsed() {
            self.key_changed(db, &key, "expired");
            if self.log.is_on() {
                self.log_expired(db, &key);
            }
        }
    }

    /// Whether CLIENT PAUSE is in force.
    #[inline]
    pub fn is_paused(&self, now: Instant) -> bool {
        self.pause.is_some_and(|pause| now < pause.until)
    }

    /// Ends CLIENT PAUSE: the clients that it held back go on.
    pub(crate) fn end_pause(&mut self, fx: &mut Effects) {
        self.pause = None;
        for conn in core::mem::take(&mut self.held_by_pause) {
            if let Some(session) = self.sessions.find_mut(conn)
                && session.blocked == Some(Blocked::ClientPause)
            {
                session.blocked = None;
                fx.push(Effect::Resume(conn));
            }
        }
    }

    /// Keys and clients that were evicted.
    pub fn evicted(&self) -> (u64, u64) {
        (self.eviction.keys, self.eviction.clients)
    }

    /// Bytes of all data and clients, as far as the engine accounts for them.
    pub fn memory_used(&self) -> usize {
        self.keyspace.memory_bytes() + self.clients_bytes() + self.other_bytes()
    }

    /// Bytes of the durations of commands, some kilobytes for each command that is ever used. They
    /// do not count as used: no key should go for them.
    pub fn durations_bytes(&self) -> usize {
        self.observer.durations.memory_bytes()
    }

    /// Bytes of what is neither data nor a client.
    fn other_bytes(&self) -> usize {
        self.pubsub.memory_bytes()
            + self.acl.memory_bytes()
            + self.tracking.memory_bytes()
            + self.observer.memory_bytes()
    }

    /// Looks at how much memory is in use, for its peak.
    pub fn note_memory(&mut self) -> usize {
        self.eviction.other_bytes = self.other_bytes();
        let used = self.memory_used();
        self.memory_peak = self.memory_peak.max(used);
        used
    }

    /// What rates are made of.
    pub(crate) fn counters(&self) -> Counters {
        [self.stats.commands, self.stats.bytes_in, self.stats.bytes_out]
    }

    /// Puts another configuration in force, and into what was made from the old one.
    pub(crate) fn configure(&mut self, config: Config) {
        if config.ttl_clock != self.config.ttl_clock {
            self.clock.set_mode(config.ttl_clock);
        }
        self.clock.set_slew_ppm(config.ttl_clock_slew_ppm);
        if config.requirepass != self.config.requirepass {
            self.acl.set_default_password(&config.requirepass);
        }
        self.persistence.configure(&config);
        let before = core::mem::replace(&mut self.config, config);
        self.eviction_configured(&before.eviction);
        self.configure_observer();
    }

    /// Forgets all counters (CONFIG RESETSTAT).
    pub(crate) fn reset_stats(&mut self, now: Instant) {
        self.settle_durations();
        let commands = self.stats.by_command.len();
        let by_command = vec![CommandStats::default(); commands];
        self.stats = Stats { by_command, ..Stats::default() };
        self.rates = Rates::new(now);
        self.observer.forget_durations();
        self.keyspace.reset_stats();
        self.eviction.reset_stats();
    }

    /// Counts an error reply under its code word.
    pub fn count_error(&mut self, code: &str) {
        self.count_errors(code, 1);
    }

    /// Counts so many at once.
    pub(crate) fn count_errors(&mut self, code: &str, more: u64) {
        self.stats.error_replies += more;
        let errors = &mut self.stats.errors;
        if let Some(count) = errors.get_mut(code) {
            *count += more;
        } else if errors.len() < ERROR_CODES_MAX {
            errors.insert(code.to_owned(), more);
        }
    }
}
