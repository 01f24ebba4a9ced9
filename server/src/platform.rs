//! The world as a server sees it: sockets, clocks, entropy, the log.
//!
//! Invariant: nothing else in this crate's generic part touches the operating system, but for the
//! files of configuration and users, which exist only where one was named. Tasks are
//! spawned with tokio, which every platform runs on.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_engine::{
    DiskOrder, DiskResult, Facts, Instant, LogLevel, Now, Origin, Seed, Ticket, Vitals,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::recorder::RecordSink;
use crate::settings::{RecordSettings, Settings};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP port.
    Tcp {
        /// An address or a name; `*` means every IPv4 address, `::*` every IPv6 address.
        host: String,
        /// The port; 0 lets the platform choose one.
        port: u16,
        /// Connections that may wait to be accepted.
        backlog: u32,
    },
    /// A unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permissions, if they are not left to the umask.
        mode: Option<u32>,
        /// Connections that may wait to be accepted.
        backlog: u32,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

/// Everything that a server needs of the machine that it runs on, or seems to run on.
pub trait Platform: 'static {
    /// A connection. It need not be `Send`.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// A socket that listens.
    type Listener: 'static;

    /// Both clocks, now. The monotonic one goes on while the machine sleeps and never goes back.
    fn now(&self) -> Now;

    /// The monotonic clock alone, where that is cheaper.
    fn mono(&self) -> Instant {
        self.now().mono
    }

    /// Where a server's random numbers start.
    fn seed(&self) -> Seed;

    /// What passwords are made from that a server invents, where they must not be foretold.
    fn secret(&self) -> Option<[u8; 32]> {
        None
    }

    /// Figures of the process, where there are any.
    fn vitals(&self) -> Option<Vitals> {
        None
    }

    /// What is known about the process once and for all, but for the configuration file.
    fn facts(&self) -> Facts {
        Facts::default()
    }

    /// Writes a line to the log.
    fn log(&self, level: LogLevel, text: &str);

    /// Carries out settings that were changed at run time under these names; sockets apart.
    fn apply(&self, _settings: &Settings, _names: &[&'static str]) -> Result<(), String> {
        Ok(())
    }

    /// Reads a file that the configuration names, such as a certificate.
    fn read_file(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The files in a folder that the configuration names, in the order of their names.
    fn list_folder(&self, _path: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Has an order for files carried out; what becomes of it is told by [`Self::answered`].
    fn order(&self, order: DiskOrder);

    /// Waits until orders were carried out, and tells what became of them.
    fn answered(&self) -> impl Future<Output = Vec<(Ticket, DiskResult)>>;

    /// Begins a recording in files that the settings name; `id` names the recording.
    fn record(&self, _settings: &RecordSettings, _id: u64) -> io::Result<Box<dyn RecordSink>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Starts to listen.
    fn bind(&self, at: &Endpoint) -> impl Future<Output = io::Result<Self::Listener>>;

    /// Waits for the next connection.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, Origin)>>;

    /// Sets how often to probe a peer that is silent, where that is possible.
    fn keep_alive(&self, _stream: &Self::Stream, _interval: Duration) {}

    /// Connects to `host:port`.
    fn connect(&self, peer: &str) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Waits until the monotonic clock reaches `at`; may end a little late, and early after a step.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;

    /// Waits until somebody wants the server to end and says who, such as `SIGTERM`.
    fn terminated(&self) -> impl Future<Output = &'static str> {
        std::future::pending()
    }
}

/// An error in the words of the C library, without the number that Rust adds.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
