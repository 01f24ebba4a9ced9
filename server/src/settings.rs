//! The settings that the server acts on rather than the engine, parsed from the parameters' text.

use std::path::PathBuf;
use std::time::Duration;

use orrery_engine::{Config, LogLevel};

use crate::log::LogFormat;
use crate::oom_score::OomScore;
use crate::platform::{Endpoint, reason};
use crate::tls::TlsSettings;

/// Settings of the server around the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Addresses to listen on; a leading `-` marks one that may be unavailable.
    pub bind: Vec<String>,
    /// The TCP port; 0: none.
    pub port: u16,
    /// Addresses for scrapers, in the form of `bind`.
    pub metrics_bind: Vec<String>,
    /// The port for scrapers; 0: none.
    pub metrics_port: u16,
    /// TLS, its port among it.
    pub(crate) tls: TlsSettings,
    /// Where everything is recorded; `None`: nowhere.
    pub record: Option<RecordSettings>,
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
    /// What a line of the log looks like.
    pub log_format: LogFormat,
    /// Where the log goes; `None`: standard output.
    pub log_file: Option<PathBuf>,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// How ready the kernel is to end the process when memory runs out.
    pub oom_score: OomScore,
    /// The working directory; `None`: where the process was started.
    pub directory: Option<PathBuf>,
}

impl Settings {
    /// The settings that a configuration holds.
    pub fn of(config: &Config) -> Self {
        let text = |name| config.value(name).unwrap_or_default();
        let path = |name| Some(text(name)).filter(|path| !path.is_empty()).map(PathBuf::from);
        let size = |name| config.parsed(name).map_or(0, |value| value.unsigned());
        let mode = u32::from_str_radix(&text("unixsocketperm"), 8).ok();
        Self {
            bind: text("bind").split_whitespace().map(str::to_owned).collect(),
            port: text("port").parse().unwrap_or(0),
            metrics_bind: text("metrics-bind").split_whitespace().map(str::to_owned).collect(),
            metrics_port: text("metrics-port").parse().unwrap_or(0),
            tls: TlsSettings::of(config),
            record: path("record-file").map(|path| RecordSettings {
                path,
                file_bytes_max: size("record-file-size-max"),
                files_max: size("record-files-max") as usize,
            }),
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
            log_format: LogFormat::of(&text("log-format")),
            log_file: path("logfile"),
            pid_file: path("pidfile"),
            oom_score: OomScore::of(config),
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

    /// The port that clients are told of: the one for TLS where there is no other.
    pub fn main_port(&self) -> u16 {
        if self.port == 0 { self.tls.port } else { self.port }
    }

    /// Where to listen, in order.
    pub(crate) fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (port, service, bind) in [
            (self.port, Service::Plain, &self.bind),
            (self.tls.port, Service::Tls, &self.bind),
            (self.metrics_port, Service::Metrics, &self.metrics_bind),
        ] {
            for address in bind.iter().filter(|_| port != 0) {
                let (host, optional) = match address.strip_prefix('-') {
                    Some(host) => (host.to_owned(), true),
                    None => (address.clone(), false),
                };
                let endpoint = Endpoint::Tcp { host, port, backlog: self.backlog };
                places.push(Place { endpoint, service, optional });
            }
        }
        if let Some(path) = &self.unix_socket {
            let (path, mode, backlog) = (path.clone(), self.unix_socket_mode, self.backlog);
            let endpoint = Endpoint::Unix { path, mode, backlog };
            places.push(Place { endpoint, service: Service::Plain, optional: false });
        }
        places
    }
}

/// Where everything is recorded, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSettings {
    /// What the names of the files begin with.
    pub path: PathBuf,
    /// A file may be as long as this.
    pub file_bytes_max: u64,
    /// There may be as many files as this.
    pub files_max: usize,
}

/// What is served at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Clients.
    Plain,
    /// Clients over TLS.
    Tls,
    /// Scrapers of figures.
    Metrics,
}

/// Where to listen, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where.
    pub(crate) endpoint: Endpoint,
    /// For whom.
    pub(crate) service: Service,
    /// It is no error when the machine has no such address.
    pub(crate) optional: bool,
}
