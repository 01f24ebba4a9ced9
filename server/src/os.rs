//! The platform of a real machine: tokio's sockets, the kernel's clocks and entropy.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use orrery_engine::{
    DiskOrder, DiskResult, Facts, Instant, LogLevel, Micros, Now, Origin, Seed, Ticket, UnixMicros,
    Vitals,
};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::time::{ClockId, Timespec, clock_gettime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::disk::Disk;
use crate::insist::{self, Heard};
use crate::log::Log;
use crate::oom_score::OomScoreFile;
use crate::platform::{Endpoint, Platform, reason};
use crate::record_files::FileSink;
use crate::recorder::RecordSink;
use crate::settings::{RecordSettings, Settings};

/// Fewer probes than this do not tell a dead peer from a slow network.
const KEEPALIVE_PROBES: u32 = 3;
/// Certificates and keys are much smaller.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Authorities that a machine trusts are some hundreds.
const FILES_MAX: usize = 10_000;

/// The machine that this process runs on.
#[derive(Debug)]
pub struct OsPlatform {
    log: Rc<Log>,
    machine_bytes: u64,
    oom_score: OomScoreFile,
    heard: Heard,
    disk: RefCell<Disk>,
}

impl OsPlatform {
    /// The platform, with a log.
    pub fn new(log: Rc<Log>) -> Self {
        let info = rustix::system::sysinfo();
        let machine_bytes = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit));
        let (oom_score, heard) = (OomScoreFile::default(), Heard::default());
        Self { log, machine_bytes, oom_score, heard, disk: RefCell::default() }
    }

    /// Lets a second signal end the process when it does not obey the first.
    pub fn heed_insistence(&self) {
        insist::watch(self.heard.clone());
    }
}

/// A socket that listens; a unix socket's file goes with it.
#[derive(Debug)]
pub enum OsListener {
    /// For TCP.
    Tcp(TcpListener),
    /// For a unix socket at this path.
    Unix(UnixListener, PathBuf),
}

impl Drop for OsListener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // It may have been removed by hand.
            drop(std::fs::remove_file(path));
        }
    }
}

/// A client's connection.
#[derive(Debug)]
pub enum OsStream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl Platform for OsPlatform {
    type Stream = OsStream;
    type Listener = OsListener;

    #[inline]
    fn now(&self) -> Now {
        Now { mono: self.mono(), wall: UnixMicros(micros(clock_gettime(ClockId::Realtime))) }
    }

    #[inline]
    fn mono(&self) -> Instant {
        Instant(micros(clock_gettime(ClockId::Boottime)))
    }

    fn seed(&self) -> Seed {
        Seed(getrandom::u64().expect("the kernel gives random numbers"))
    }

    fn secret(&self) -> Option<[u8; 32]> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the kernel gives random numbers");
        Some(secret)
    }

    fn vitals(&self) -> Option<Vitals> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let field = |index: usize| fields.split_ascii_whitespace().nth(index)?.parse::<u64>().ok();
        let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        // Fields 14, 15 and 24 of proc(5); the first here is field 3.
        Some(Vitals {
            resident_bytes: field(21)? * rustix::param::page_size() as u64,
            machine_bytes: self.machine_bytes,
            cpu_user_us: field(11)? * tick_us,
            cpu_system_us: field(12)? * tick_us,
            ..Vitals::default()
        })
    }

    fn facts(&self) -> Facts {
        let system = rustix::system::uname();
        let words = [system.sysname(), system.release(), system.machine()];
        let os: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let executable = std::env::current_exe().unwrap_or_default();
        Facts {
            process_id: std::process::id(),
            executable: executable.display().to_string(),
            os: os.join(" "),
            multiplexing_api: "epoll".to_owned(),
            monotonic_clock: "POSIX clock_gettime, CLOCK_BOOTTIME".to_owned(),
            allocator: "libc".to_owned(),
            ..Facts::default()
        }
    }

    fn log(&self, level: LogLevel, text: &str) {
        self.log.write(level, text);
    }

    fn apply(&self, settings: &Settings, names: &[&'static str]) -> Result<(), String> {
        if names.contains(&"dir") {
            settings.enter_directory()?;
        }
        self.log.set_level(settings.log_level);
        self.log.set_format(settings.log_format);
        if names.iter().any(|name| name.starts_with("oom-score-adj"))
            && let Err(error) = self.oom_score.apply(settings.oom_score)
        {
            let text = format!("Unable to write oom_score_adj: {}", reason(&error));
            self.log.write(LogLevel::Warning, &text);
            return Err("Failed to set current oom_score_adj. Check server logs.".to_owned());
        }
        Ok(())
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        // What is named by mistake may be a device that never ends.
        let mut bytes = Vec::new();
        File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn list_folder(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(path)?.take(FILES_MAX);
        let mut paths: Vec<PathBuf> = entries.filter_map(|at| Some(at.ok()?.path())).collect();
        paths.retain(|path| path.is_file());
        paths.sort_unstable();
        Ok(paths)
    }

    fn record(&self, settings: &RecordSettings, id: u64) -> io::Result<Box<dyn RecordSink>> {
        Ok(Box::new(FileSink::create(settings, id)?))
    }

    fn order(&self, order: DiskOrder) {
        self.disk.borrow_mut().order(order);
    }

    fn answered(&self) -> impl Future<Output = Vec<(Ticket, DiskResult)>> {
        self.disk.borrow().answered()
    }

    async fn bind(&self, at: &Endpoint) -> io::Result<OsListener> {
        match at {
            Endpoint::Tcp { host, port, backlog } => {
                let listener = bind_tcp(host, *port, *backlog).map_err(mark_unsupported)?;
                Ok(OsListener::Tcp(listener))
            }
            Endpoint::Unix { path, mode, backlog } => bind_unix(path, *mode, *backlog),
        }
    }

    async fn accept(&self, listener: &OsListener) -> io::Result<(OsStream, Origin)> {
        match listener {
            OsListener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let local = stream.local_addr()?;
                Ok((OsStream::Tcp(stream), Origin::Tcp { peer, local }))
            }
            OsListener::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
                let path = path.to_string_lossy().into_owned();
                Ok((OsStream::Unix(stream), Origin::Unix { path }))
            }
        }
    }

    fn keep_alive(&self, stream: &OsStream, interval: Duration) {
        if let OsStream::Tcp(stream) = stream {
            // As Redis does: a silent peer is given up after twice the interval. A connection whose
            // peer is gone already may refuse the options; reading from it will tell.
            let probe_interval = (interval / KEEPALIVE_PROBES).max(Duration::from_secs(1));
            let _ = sockopt::set_socket_keepalive(stream, true)
                .and_then(|()| sockopt::set_tcp_keepidle(stream, interval))
                .and_then(|()| sockopt::set_tcp_keepintvl(stream, probe_interval))
                .and_then(|()| sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES));
        }
    }

    async fn connect(&self, peer: &str) -> io::Result<OsStream> {
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        Ok(OsStream::Tcp(stream))
    }

    async fn sleep_until(&self, at: Instant) {
        let Micros(span) = at.since(self.mono());
        tokio::time::sleep(Duration::from_micros(span)).await;
    }

    async fn terminated(&self) -> &'static str {
        let kinds = [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")];
        let mut signals = Vec::new();
        for (kind, name) in kinds {
            match signal(kind) {
                Ok(signal) => signals.push((signal, name)),
                Err(error) => self.log(LogLevel::Warning, &format!("Can't catch {name}: {error}")),
            }
        }
        std::future::poll_fn(|cx| {
            for (signal, name) in &mut signals {
                if signal.poll_recv(cx).is_ready() {
                    self.heard.add();
                    return Poll::Ready(*name);
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn micros(time: Timespec) -> u64 {
    // A clock that is set to before 1970 counts as 1970.
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + time.tv_nsec as u64 / 1000
}

fn bind_tcp(host: &str, port: u16, backlog: u32) -> io::Result<TcpListener> {
    let host = match host {
        "*" => "0.0.0.0",
        "::*" => "::",
        other => other,
    };
    let address = (host, port).to_socket_addrs()?.next();
    let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.is_ipv6() {
        // `*` and `::*` may be in one list of addresses.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Gives one kind to all the ways in which a kernel lacks a family of addresses.
fn mark_unsupported(error: io::Error) -> io::Error {
    const LACKING: [Errno; 5] = [
        Errno::NOPROTOOPT,
        Errno::PROTONOSUPPORT,
        Errno::SOCKTNOSUPPORT,
        Errno::PFNOSUPPORT,
        Errno::AFNOSUPPORT,
    ];
    match error.raw_os_error() {
        Some(code) if LACKING.iter().any(|errno| errno.raw_os_error() == code) => {
            io::Error::new(io::ErrorKind::Unsupported, error)
        }
        _ => error,
    }
}

fn bind_unix(path: &Path, mode: Option<u32>, backlog: u32) -> io::Result<OsListener> {
    // A socket file of an earlier run would be in the way.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let listener = OsListener::Unix(socket.listen(backlog)?, path.to_owned());
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}

impl AsyncRead for OsStream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for OsStream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
