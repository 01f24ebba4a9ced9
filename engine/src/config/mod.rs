//! The server's configuration: typed settings, and the table of parameters that names them.
//!
//! Invariants: a setting that the engine acts on is a typed field here; text is parsed once; every
//! directive of Redis 7.0 has a row.

mod change;
mod encodings;
mod events;
mod eviction;
mod grammar;
mod lock_grace;
pub mod memory;
mod observation;
pub mod parameter;
mod rewrite;
mod table;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::planted::PlantedBug;
use crate::time::TtlClock;
pub use change::Refusal;
pub use encodings::{EncodingNames, Encodings};
pub use events::EventClasses;
pub use eviction::{ClientsLimit, Eviction, Order, Policy};
pub use lock_grace::LockGrace;
pub use observation::{LogLimits, Observation};
use parameter::{Actor, Flags, Parameter, Source};
pub use rewrite::{Extent, spelled};
pub use table::PARAMETERS;
pub use value::Value;

/// Every setting. Those that the engine itself acts on are typed fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Number of databases.
    pub databases: usize,
    /// Longest string that a client may send or make, in bytes.
    pub proto_max_bulk_len: u64,
    /// Most bytes that one client may have sent and not had taken, in bytes.
    pub client_query_buffer_limit: u64,
    /// Most channels and patterns that one client may subscribe to.
    pub client_subscriptions_max: usize,
    /// Which changes of keys are published.
    pub notify_events: EventClasses,
    /// Most connections at a time.
    pub maxclients: usize,
    /// Close connections that were idle for this many seconds; 0: never.
    pub timeout_secs: u64,
    /// The password of the default user; empty: none.
    pub requirepass: String,
    /// The users as directives declare them: the words of each in quotes where they need them.
    pub users: Vec<String>,
    /// Commands' old and new names, in the order of their directives; no new name: none.
    pub renamed_commands: Vec<(String, String)>,
    /// The file of users; empty: none.
    pub acl_file: String,
    /// Whether new users and selectors may use all channels.
    pub all_channels: bool,
    /// Refusals that ACL LOG keeps.
    pub acl_log_len_max: usize,
    /// Refuse clients from other machines while there is no password.
    pub protected_mode: bool,
    /// Limits on memory.
    pub eviction: Eviction,
    /// Which keys are locks that must not be granted twice.
    pub lock_grace: LockGrace,
    /// How much output may wait for a client.
    pub output_limits: OutputLimits,
    /// Who may use DEBUG.
    pub debug_command: Access,
    /// Who may change protected parameters with CONFIG SET.
    pub protected_configs: Access,
    /// Which clock decides when keys expire.
    pub ttl_clock: TtlClock,
    /// How fast key time follows a wall clock that was set, in microseconds per second.
    pub ttl_clock_slew_ppm: u64,
    /// Most commands of one client in one step.
    pub step_commands_max: usize,
    /// Whose defaults hold for what was not set.
    pub defaults: Defaults,
    /// Bytes that all Lua scripts may take together.
    pub script_memory_bytes_max: usize,
    /// Bytes that what one script has overwritten may take, kept to undo it; 0: nothing is kept.
    pub script_undo_bytes_max: usize,
    /// A script that has run for longer lets others know.
    pub busy_reply_threshold_ms: u64,
    /// Keys that are tracked for client-side caching; 0: any number.
    pub tracking_table_max_keys: usize,
    /// Most keys that one step expires.
    pub step_expirations_max: usize,
    /// Replicas without which nothing is written.
    pub replicas: Replicas,
    /// How values are stored.
    pub encodings: Encodings,
    /// What is measured and logged.
    pub observation: Observation,
    /// What was set of the parameters that have no typed field.
    pub kept: Kept,
    /// A bug for tests to find. Not a parameter: no configuration file or command can set it.
    pub planted: Option<PlantedBug>,
}

/// The version of Redis whose behaviour this server has; clients choose commands by it.
pub const REDIS_VERSION: &str = "7.0.15";

/// Replicas that a master must have for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// So many.
    pub count_min: u64,
    /// One that was last heard of longer ago does not count; 0: the rule is off.
    pub lag_secs_max: u64,
}

impl Default for Replicas {
    fn default() -> Self {
        Self { count_min: 0, lag_secs_max: 10 }
    }
}

impl Replicas {
    /// Whether there must be one.
    #[inline]
    pub fn needs_some(&self) -> bool {
        self.count_min > 0 && self.lag_secs_max > 0
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            databases: 16,
            proto_max_bulk_len: 512 << 20,
            client_query_buffer_limit: 1 << 30,
            client_subscriptions_max: 1_000_000,
            notify_events: EventClasses::default(),
            maxclients: 10_000,
            timeout_secs: 0,
            requirepass: String::new(),
            users: Vec::new(),
            renamed_commands: Vec::new(),
            acl_file: String::new(),
            all_channels: false,
            acl_log_len_max: 128,
            protected_mode: true,
            eviction: Eviction::default(),
            lock_grace: LockGrace::default(),
            output_limits: OutputLimits::default(),
            debug_command: Access::No,
            defaults: Defaults::Orrery,
            protected_configs: Access::No,
            ttl_clock: TtlClock::Monotonic,
            ttl_clock_slew_ppm: 500,
            script_memory_bytes_max: 128 << 20,
            script_undo_bytes_max: 256 << 20,
            busy_reply_threshold_ms: 5000,
            step_commands_max: 512,
            tracking_table_max_keys: 1_000_000,
            step_expirations_max: 512,
            replicas: Replicas::default(),
            encodings: Encodings::default(),
            observation: Observation::default(),
            kept: Kept::default(),
            planted: None,
        }
    }
}

/// Values of parameters without a typed field, by name; absent: the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept(BTreeMap<&'static str, Value>);

/// Who may use something that is off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    #[default]
    No,
    /// Everybody.
    Yes,
    /// Clients on this machine.
    Local,
}

impl Access {
    fn of(value: &Value) -> Self {
        match value.text() {
            "yes" => Self::Yes,
            "local" => Self::Local,
            _ => Self::No,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Local => "local",
        }
    }
}

/// Whose defaults hold where ours are others on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defaults {
    /// Ours.
    #[default]
    Orrery,
    /// Those of Redis: it listens on every address, and saves now and then.
    Redis,
}

impl Defaults {
    const WORDS: [&str; 2] = ["orrery", "redis"];

    fn of(word: &str) -> Self {
        if word == "redis" { Self::Redis } else { Self::Orrery }
    }

    fn word(self) -> &'static str {
        Self::WORDS[usize::from(self == Self::Redis)]
    }

    fn text(self, parameter: &Parameter) -> &'static str {
        match (self, parameter.name) {
            (Self::Redis, "bind") => "* -::*",
            (Self::Redis, "save") => "3600 1 300 100 60 10000",
            _ => parameter.default,
        }
    }
}

/// How much output may wait for the clients of each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Clients that subscribed to something.
    pub pubsub: OutputLimit,
}

/// A class's limits; zero means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Above this the client is closed at once, in bytes.
    pub hard_bytes: u64,
    /// Above this for `soft_secs` the client is closed, in bytes.
    pub soft_bytes: u64,
    /// How long it may be above `soft_bytes`.
    pub soft_secs: u64,
}

impl OutputLimit {
    /// Whether so much output is worth a closer look: one comparison for most clients.
    #[inline]
    pub fn concerns(self, pending_bytes: u64) -> bool {
        // Zero, no limit, wraps to the largest number, which nothing exceeds.
        pending_bytes > self.hard_bytes.wrapping_sub(1).min(self.soft_bytes.wrapping_sub(1))
    }
}

impl Default for OutputLimits {
    fn default() -> Self {
        let limit = |hard_mb: u64, soft_mb: u64, soft_secs| OutputLimit {
            hard_bytes: hard_mb << 20,
            soft_bytes: soft_mb << 20,
            soft_secs,
        };
        Self {
            normal: OutputLimit::default(),
            replica: limit(256, 64, 60),
            pubsub: limit(32, 8, 60),
        }
    }
}

impl OutputLimits {
    fn of_class(&mut self, name: &str) -> Option<&mut OutputLimit> {
        let is = |class: &str| name.eq_ignore_ascii_case(class);
        if is("normal") {
            Some(&mut self.normal)
        } else if is("replica") || is("slave") {
            Some(&mut self.replica)
        } else if is("pubsub") {
            Some(&mut self.pubsub)
        } else {
            None
        }
    }
}

impl Config {
    /// Takes one directive of a file or of the command line: its name in any case, its words.
    /// The error is Redis's text; an unknown name is an error too. `include` is known but must be
    /// followed by whoever reads the file.
    pub fn set(&mut self, name: &str, words: &[&str]) -> Result<(), String> {
        let unknown = || "Bad directive or wrong number of arguments".to_owned();
        let parameter = find(name).ok_or_else(unknown)?;
        if parameter.flags.has(Flags::DIRECTIVE) && words.is_empty() {
            return Err(unknown());
        }
        let value = parameter.parse(self.set_value(parameter).as_ref(), words, Source::Start)?;
        self.put(parameter, value);
        Ok(())
    }

    /// Whether users are declared, by directives or in a file.
    pub fn has_users(&self) -> bool {
        !self.users.is_empty() || !self.acl_file.is_empty()
    }

    /// The words of each directive that declares a user: its name and rules.
    pub fn user_declarations(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        self.users.iter().map(|line| rewrite::words(line))
    }

    /// The text that CONFIG GET gives for a parameter, by any of its names in any case.
    pub fn value(&self, name: &str) -> Option<String> {
        let parameter = find(name)?;
        Some(parameter.kind.spell(&self.read(parameter)))
    }

    /// A parameter's value: for a driver that acts on it.
    pub fn parsed(&self, name: &str) -> Option<Value> {
        Some(self.read(find(name)?))
    }

    /// Whether one of the `lazyfree-` parameters, all of which are off at first, was switched on.
    /// Memory is given back in later steps anyway; it decides which command replicas get.
    pub(crate) fn frees_lazily(&self, name: &str) -> bool {
        matches!(self.kept.0.get(name), Some(Value::Flag(true)))
    }

    /// The names of the parameters that were set to something that nobody acts on, in order.
    pub fn unsupported(&self) -> Vec<String> {
        // Where Redis's default holds, it is not what this server does either.
        let is_ours = |parameter: &Parameter| {
            parameter.kind.spell(&self.read(parameter)) == parameter.default
        };
        let ignored =
            |parameter: &&Parameter| parameter.actor == Actor::Nobody && !is_ours(parameter);
        PARAMETERS.iter().filter(ignored).map(|parameter| parameter.name.to_owned()).collect()
    }

    /// Whether a parameter has its default.
    pub fn is_default(&self, parameter: &Parameter) -> bool {
        parameter.kind.spell(&self.read(parameter)) == self.defaults.text(parameter)
    }

    /// A row's value.
    pub fn read(&self, parameter: &Parameter) -> Value {
        let default = || parameter.value_of_text(self.defaults.text(parameter));
        self.set_value(parameter).unwrap_or_else(default)
    }

    fn set_value(&self, parameter: &Parameter) -> Option<Value> {
        match parameter.field {
            Some(field) => Some((field.read)(self)),
            None => self.kept.0.get(parameter.name).cloned(),
        }
    }

    fn put(&mut self, parameter: &Parameter, value: Value) {
        match parameter.field {
            Some(field) => (field.write)(self, &value),
            None => drop(self.kept.0.insert(parameter.name, value)),
        }
    }
}

/// Whether a parameter, by any of its names in any case, holds a secret.
pub(crate) fn is_sensitive(name: &str) -> bool {
    find(name).is_some_and(|parameter| parameter.flags.has(Flags::SENSITIVE))
}

/// The row of a parameter, by any of its names in any case.
pub fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.is_called(name))
}
