//! What a driver tells the engine.

use core::net::SocketAddr;

use bytes::BytesMut;

use crate::disk::{DiskResult, Ticket};

/// Names one connection for its whole life; never reused. Clients see it as CLIENT ID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client that connected over TCP.
    Tcp {
        /// The client's address.
        peer: SocketAddr,
        /// Our address.
        local: SocketAddr,
    },
    /// A client that connected over TCP and speaks TLS; its handshake is over.
    Tls {
        /// The client's address.
        peer: SocketAddr,
        /// Our address.
        local: SocketAddr,
        /// The user that its certificate names, where `tls-auth-clients-user` asks for one. The
        /// driver has verified the certificate; whether there is such a user is not looked at.
        user: Option<Box<str>>,
    },
    /// A client that connected over a unix socket at this path.
    Unix {
        /// The path of our socket.
        path: String,
    },
}

impl Origin {
    /// Whether the other end is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { peer, .. } | Self::Tls { peer, .. } => {
                peer.ip().to_canonical().is_loopback()
            }
            Self::Unix { .. } => true,
        }
    }

    /// The user that the client's certificate names, if it has one and that counts.
    pub fn certified_user(&self) -> Option<&str> {
        match self {
            Self::Tls { user, .. } => user.as_deref(),
            Self::Tcp { .. } | Self::Unix { .. } => None,
        }
    }
}

/// One thing that happened. Time comes beside it, see [`crate::Engine::step`].
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection was accepted.
    Opened {
        /// Its name from now on.
        conn: ConnId,
        /// Where it comes from.
        origin: Origin,
    },
    /// Bytes arrived. Whole commands are taken off the front; the rest stays, and the driver hands
    /// the same buffer in again when it has appended to it.
    Received {
        /// From whom.
        conn: ConnId,
        /// Everything that was received and not yet taken.
        bytes: &'a mut BytesMut,
    },
    /// Bytes that `take_output` gave out have left for the peer: lifts back-pressure.
    Sent {
        /// To whom.
        conn: ConnId,
        /// How many.
        len: usize,
    },
    /// The connection is gone, in whatever way.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// What became of something that an effect asked the driver to do.
    Done {
        /// For whom it was done.
        conn: ConnId,
        /// How it went.
        outcome: Outcome,
    },
    /// What became of an order for files.
    Disk {
        /// Which.
        ticket: Ticket,
        /// How it went.
        result: DiskResult,
    },
    /// The server is complete and begins to serve: what it has on disk is to be loaded. Comes once,
    /// first; an engine that never gets it begins empty.
    Start,
    /// Whoever runs the process wants it to end, in order.
    Terminate {
        /// Whether by SIGINT; else by SIGTERM.
        by_interrupt: bool,
    },
    /// The process's own figures, for INFO.
    Vitals(Vitals),
    /// Only time passed.
    Tick,
}

/// What became of a request that the engine made through an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The configuration file was rewritten, or why not.
    ConfigRewritten(Result<(), String>),
    /// Listening sockets or other driver-owned settings were changed, or why not.
    ConfigApplied(Result<(), String>),
    /// The contents of the file of users, or why it could not be read.
    UsersRead(Result<Vec<u8>, String>),
    /// The file of users was replaced, or why not.
    UsersWritten(Result<(), String>),
}

/// Figures of the process that only the driver can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Resident set, in bytes.
    pub resident_bytes: u64,
    /// Memory of the machine, in bytes.
    pub machine_bytes: u64,
    /// CPU time spent in user mode, in microseconds.
    pub cpu_user_us: u64,
    /// CPU time spent in the kernel, in microseconds.
    pub cpu_system_us: u64,
    /// What became of TLS handshakes.
    pub handshakes: Handshakes,
}

/// Figures of TLS handshakes; zero where there is no TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// Those that made a connection.
    pub done: u64,
    /// Those of `done` that took up an earlier session.
    pub resumed: u64,
    /// Those that failed, in whatever way.
    pub failed: u64,
    /// Those that are going on.
    pub pending: u64,
}

/// What the driver knows about the process once and for all, for INFO. Empty or zero: not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The process's number.
    pub process_id: u32,
    /// The path of the program.
    pub executable: String,
    /// The path of the configuration file; `None`: the server runs without one.
    pub config_file: Option<String>,
    /// The operating system, its version and the machine, as `uname -srm` says them.
    pub os: String,
    /// How the driver waits for sockets: `epoll`, `kqueue`.
    pub multiplexing_api: String,
    /// Which clock the monotonic time comes from.
    pub monotonic_clock: String,
    /// The allocator of the process.
    pub allocator: String,
    /// What build this is: hexadecimal digits.
    pub build_id: String,
}
