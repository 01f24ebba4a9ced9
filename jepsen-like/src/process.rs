//! One server process: started, stopped, continued, killed.
//!
//! Invariant: dropping a [`Process`] kills it and waits for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::children;
use crate::target::Target;

/// How long a server may take to answer its first PING.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one attempt to talk to it may take.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// Between two attempts.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);
/// Ports that kernels do not hand out by themselves: connecting to one that nobody listens on is
/// refused, where a port of the ephemeral range can end up connected to itself.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Longest reply that a probe reads.
const REPLY_BYTES_MAX: usize = 4_096;

/// A server on this machine.
#[derive(Debug)]
pub(crate) struct Process {
    target: Target,
    directory: PathBuf,
    port: u16,
    child: Child,
    pid: Pid,
}

impl Process {
    /// Starts a server on a free port and waits until it answers. Blocks.
    pub(crate) fn start(target: &Target, directory: &Path) -> io::Result<Self> {
        let port = free_port()?;
        Self::start_on(target, directory, port)
    }

    fn start_on(target: &Target, directory: &Path, port: u16) -> io::Result<Self> {
        let (child, pid) = spawn(target, directory, port)?;
        let target = target.clone();
        let mut process = Self { target, directory: directory.to_owned(), port, child, pid };
        process.wait_until_ready()?;
        Ok(process)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)
    }

    /// Its log: standard output and error of all its lives.
    pub(crate) fn log_path(directory: &Path) -> PathBuf {
        directory.join("server.log")
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::STOP)?)
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        children::remove(self.pid);
        Ok(())
    }

    /// Starts it again after a kill, with nothing, and waits until it answers. Blocks.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        (self.child, self.pid) = spawn(&self.target, &self.directory, self.port)?;
        self.wait_until_ready()
    }

    /// How it ended, if it ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends one command and gives the first line of the reply. Blocks.
    pub(crate) fn ask(&self, words: &[&str]) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address().into(), PROBE_TIMEOUT)?;
        stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(command.as_bytes())?;
        let mut reply = Vec::new();
        let mut chunk = [0; 512];
        while !reply.contains(&b'\n') && reply.len() < REPLY_BYTES_MAX {
            match stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => reply.extend_from_slice(&chunk[..len]),
            }
        }
        let text = String::from_utf8_lossy(&reply);
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if self.ask(&["PING"]).is_ok_and(|reply| reply == "+PONG") {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                let log = last_line(&Self::log_path(&self.directory));
                return Err(io::Error::other(format!(
                    "the server ended at once ({status}): {log}"
                )));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("the server did not answer PING in time"));
            }
            std::thread::sleep(PROBE_INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already; then there is nothing to do and nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
        children::remove(self.pid);
    }
}

fn spawn(target: &Target, directory: &Path, port: u16) -> io::Result<(Child, Pid)> {
    let log_path = Process::log_path(directory);
    let log: File = OpenOptions::new().create(true).append(true).open(log_path)?;
    let child = Command::new(&target.path)
        .args(target.arguments(port, directory))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let pid = Pid::from_child(&child);
    children::add(pid);
    Ok((child, pid))
}

/// A port that nobody listens on now. Where to begin differs between processes that run at once.
fn free_port() -> io::Result<u16> {
    let len = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(97) % len;
    (0..len)
        .map(|step| PORTS.start + ((first + step) % len) as u16)
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or_else(|| io::Error::other("no port is free"))
}

fn last_line(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no log").to_owned()
}
