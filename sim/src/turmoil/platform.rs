//! The platform of a host in a turmoil simulation: the real server code on simulated sockets.
//!
//! Invariant: everything that the server learns comes from turmoil, from the seed or from the
//! [`Machine`]; nothing comes from the operating system.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use orrery_engine::{
    DiskOrder, DiskResult, Instant, LogLevel, Micros, Now, Origin, Seed, Ticket, UnixMicros,
};
use orrery_server::{Endpoint, NoDisk, Platform};
use turmoil::net::{TcpListener, TcpStream};

/// Most lines of a server's log that are kept.
const LOG_LINES_MAX: usize = 200;

/// What of a host outlives its server's process.
#[derive(Debug, Default)]
pub struct Machine {
    /// How far the wall clock is off, in microseconds.
    pub wall_offset_us: Cell<i64>,
    /// How far it is off beyond that for now: a strobe moves it to and fro.
    pub strobe_us: Cell<i64>,
    boots: Cell<u64>,
    log: RefCell<VecDeque<String>>,
}

impl Machine {
    /// The number of the next server process.
    pub(super) fn next_boot(&self) -> u64 {
        self.boots.replace(self.boots.get() + 1)
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        self.log.borrow().iter().cloned().collect()
    }
}

/// One server process on a [`Machine`].
#[derive(Debug)]
pub struct TurmoilPlatform {
    seed: u64,
    machine: Rc<Machine>,
    disk: NoDisk,
}

impl TurmoilPlatform {
    /// A platform whose server draws its random numbers from `seed`.
    #[must_use]
    pub fn new(seed: u64, machine: Rc<Machine>) -> Self {
        Self { seed, machine, disk: NoDisk::default() }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Platform for TurmoilPlatform {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn now(&self) -> Now {
        let wall_us = micros(turmoil::since_epoch().unwrap_or_default());
        let off_us = self.machine.wall_offset_us.get().saturating_add(self.machine.strobe_us.get());
        let wall = UnixMicros(wall_us.saturating_add_signed(off_us));
        Now { mono: self.mono(), wall }
    }

    fn mono(&self) -> Instant {
        // The machine has been up for a second when the simulation starts: no clock reads zero.
        Instant(1_000_000 + micros(turmoil::sim_elapsed().unwrap_or_default()))
    }

    fn seed(&self) -> Seed {
        Seed(self.seed)
    }

    fn log(&self, level: LogLevel, text: &str) {
        let mut log = self.machine.log.borrow_mut();
        if log.len() == LOG_LINES_MAX {
            log.pop_front();
        }
        let at = turmoil::sim_elapsed().unwrap_or_default();
        log.push_back(format!("{:>12.3} {level:?} {text}", at.as_secs_f64()));
    }

    fn order(&self, order: DiskOrder) {
        self.disk.order(&order);
    }

    fn answered(&self) -> impl Future<Output = Vec<(Ticket, DiskResult)>> {
        self.disk.answered()
    }

    async fn bind(&self, at: &Endpoint) -> io::Result<TcpListener> {
        match at {
            // Turmoil's hosts have one IPv4 address each.
            Endpoint::Tcp { host, port, .. } if !host.contains(':') => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).await
            }
            Endpoint::Tcp { .. } | Endpoint::Unix { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, Origin)> {
        let (stream, peer) = listener.accept().await?;
        let local = stream.local_addr()?;
        Ok((stream, Origin::Tcp { peer, local }))
    }

    async fn connect(&self, peer: &str) -> io::Result<TcpStream> {
        TcpStream::connect(peer).await
    }

    async fn sleep_until(&self, at: Instant) {
        let Micros(span) = at.since(self.mono());
        tokio::time::sleep(Duration::from_micros(span)).await;
    }
}
