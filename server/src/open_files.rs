//! The limit on open files: every client needs one.

use orrery_engine::{Config, LogLevel};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::log::Log;

/// Files that the server itself may have open at a time.
const RESERVED: u64 = 32;

/// Raises the process's limit so that `maxclients` clients fit, or lowers `maxclients`.
pub fn make_room_for(config: &mut Config, log: &Log) {
    // A handshake has a socket and is no client yet.
    let handshakes = match config.value("tls-port").as_deref() {
        Some("0") | None => 0,
        Some(_) => config.parsed("tls-handshakes-max").map_or(0, |value| value.unsigned()),
    };
    let reserved = RESERVED + handshakes;
    let wanted = config.maxclients as u64 + reserved;
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return };
    if current >= wanted {
        return;
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    if setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok() {
        let text = format!("Increased maximum number of open files to {wanted}");
        return log.write(LogLevel::Notice, &text);
    }
    let available = limit.maximum.unwrap_or(current).min(wanted);
    let raised = Rlimit { current: Some(available), maximum: limit.maximum };
    let available = if setrlimit(Resource::Nofile, raised).is_ok() { available } else { current };
    let clients = available.saturating_sub(reserved).max(1);
    let text = format!(
        "You requested maxclients of {} requiring at least {wanted} max file descriptors. Current \
         maximum open files is {available}. maxclients has been reduced to {clients}. If you need \
         higher maxclients increase 'ulimit -n'.",
        config.maxclients
    );
    log.write(LogLevel::Warning, &text);
    config.maxclients = usize::try_from(clients).unwrap_or(usize::MAX);
}
