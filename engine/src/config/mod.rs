//! The server's configuration: typed settings, and the table of parameters that names them.
//!
//! Invariant: a setting that the engine acts on is a typed field here; text is parsed once.

use crate::planted::PlantedBug;
use crate::time::TtlClock;

/// Every setting that the engine itself acts on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of databases.
    pub databases: usize,
    /// Longest string that a client may send or make, in bytes.
    pub proto_max_bulk_len: u64,
    /// Most bytes that one client may have sent and not had taken, in bytes.
    pub client_query_buffer_limit: u64,
    /// Most connections at a time.
    pub maxclients: usize,
    /// Close connections that were idle for this many seconds; 0: never.
    pub timeout_secs: u64,
    /// The password of the default user; empty: none.
    pub requirepass: String,
    /// Refuse clients from other machines while there is no password.
    pub protected_mode: bool,
    /// Which clock decides when keys expire.
    pub ttl_clock: TtlClock,
    /// How fast key time follows a wall clock that was set, in microseconds per second.
    pub ttl_clock_slew_ppm: u64,
    /// Most commands of one client in one step.
    pub step_commands_max: usize,
    /// Most keys that one step expires.
    pub step_expirations_max: usize,
    /// A bug for tests to find. Not a parameter: no configuration file or command can set it.
    pub planted: Option<PlantedBug>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            databases: 16,
            proto_max_bulk_len: 512 << 20,
            client_query_buffer_limit: 1 << 30,
            maxclients: 10_000,
            timeout_secs: 0,
            requirepass: String::new(),
            protected_mode: true,
            ttl_clock: TtlClock::Monotonic,
            ttl_clock_slew_ppm: 500,
            step_commands_max: 512,
            step_expirations_max: 512,
            planted: None,
        }
    }
}
