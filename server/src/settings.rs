//! The settings that the server acts on rather than the engine, parsed from the parameters' text.

use std::path::PathBuf;
use std::time::Duration;

use orrery_engine::{Config, LogLevel};

use crate::platform::{Endpoint, reason};

/// Settings of the server around the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Addresses to listen on; a leading `-` marks one that may be unavailable.
    pub bind: Vec<String>,
    /// The TCP port; 0: none.
    pub port: u16,
    /// The unix socket; `None`: none.
    pub unix_socket: Option<PathBuf>,
    /// Permissions of the unix socket.
    pub unix_socket_mode: Option<u32>,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// How often to probe silent peers.
    pub keepalive: Option<Duration>,
    /// Lines below this level are not logged.
    pub log_level: LogLevel,
    /// Where the log goes; `None`: standard output.
    pub log_file: Option<PathBuf>,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// The working directory; `None`: where the process was started.
    pub directory: Option<PathBuf>,
}

impl Settings {
    /// The settings that a configuration holds.
    pub fn of(config: &Config) -> Self {
        let text = |name| config.value(name).unwrap_or_default();
        let path = |name| Some(text(name)).filter(|path| !path.is_empty()).map(PathBuf::from);
        let mode = u32::from_str_radix(&text("unixsocketperm"), 8).ok();
        Self {
            bind: text("bind").split_whitespace().map(str::to_owned).collect(),
            port: text("port").parse().unwrap_or(0),
            unix_socket: path("unixsocket"),
            unix_socket_mode: mode.filter(|&mode| mode != 0),
            backlog: text("tcp-backlog").parse().unwrap_or(511),
            keepalive: match text("tcp-keepalive").parse() {
                Ok(0) | Err(_) => None,
                Ok(seconds) => Some(Duration::from_secs(seconds)),
            },
            log_level: match text("loglevel").as_str() {
                "debug" => LogLevel::Debug,
                "verbose" => LogLevel::Verbose,
                "warning" => LogLevel::Warning,
                _ => LogLevel::Notice,
            },
            log_file: path("logfile"),
            pid_file: path("pidfile"),
            directory: path("dir"),
        }
    }

    /// Goes to the working directory.
    pub fn enter_directory(&self) -> Result<(), String> {
        let Some(directory) = &self.directory else { return Ok(()) };
        std::env::set_current_dir(directory).map_err(|error| {
            format!("Can't chdir to '{}': {}", directory.display(), reason(&error))
        })
    }

    /// Where to listen, in order, and whether it is no error when that is impossible.
    pub fn endpoints(&self) -> Vec<(Endpoint, bool)> {
        let mut endpoints = Vec::new();
        if self.port != 0 {
            for address in &self.bind {
                let (host, optional) = match address.strip_prefix('-') {
                    Some(host) => (host, true),
                    None => (address.as_str(), false),
                };
                let (host, port, backlog) = (host.to_owned(), self.port, self.backlog);
                endpoints.push((Endpoint::Tcp { host, port, backlog }, optional));
            }
        }
        if let Some(path) = &self.unix_socket {
            let (path, mode, backlog) = (path.clone(), self.unix_socket_mode, self.backlog);
            endpoints.push((Endpoint::Unix { path, mode, backlog }, false));
        }
        endpoints
    }
}
