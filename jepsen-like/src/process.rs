//! One server process: started, stopped, continued, killed.
//!
//! Invariant: dropping a [`Process`] kills it and waits for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
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
        let reply = self.converse(words, |reply| reply.contains('\n'))?;
        Ok(reply.lines().next().unwrap_or_default().to_owned())
    }

    /// Whether it is this very process that answers at its address, and no other server.
    fn answers(&self) -> io::Result<bool> {
        let own = format!("process_id:{}\r\n", self.child.id());
        let line =
            |reply: &str| reply.split_once("process_id:").is_some_and(|(_, id)| id.contains('\n'));
        Ok(self.converse(&["INFO", "server"], line)?.contains(&own))
    }

    /// Sends one command and reads until `enough` has come.
    fn converse(&self, words: &[&str], enough: impl Fn(&str) -> bool) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address().into(), PROBE_TIMEOUT)?;
        stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(command.as_bytes())?;
        let mut reply = Vec::new();
        let mut chunk = [0; 512];
        while !enough(&String::from_utf8_lossy(&reply)) && reply.len() < REPLY_BYTES_MAX {
            match stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => reply.extend_from_slice(&chunk[..len]),
            }
        }
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if self.ask(&["PING"]).is_ok_and(|reply| reply == "+PONG")
                && self.answers().unwrap_or(false)
            {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                let log = last_line(&Self::log_path(&self.directory));
                return Err(io::Error::other(format!(
                    "the server ended at once ({status}): {log}"
                )));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("the server did not answer in time"));
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

/// A port that nobody listens on now and that this process has not handed out before: a server that
/// was killed comes back to its port, so another must not take it meanwhile. Where to begin differs
/// between processes that run at once.
fn free_port() -> io::Result<u16> {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    let len = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(97) % len;
    (0..len)
        .map(|_| HANDED_OUT.fetch_add(1, Ordering::Relaxed))
        .map(|step| PORTS.start + (first.wrapping_add(step) % len) as u16)
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or_else(|| io::Error::other("no port is free"))
}

fn last_line(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no log").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two runs of one process once shared a port: one killed its server, the other's took its
    /// place, and the clients of the first talked to the second.
    #[test]
    fn a_port_is_handed_out_once() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().expect("a free port")).collect();
        let distinct: std::collections::BTreeSet<&u16> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len(), "{ports:?}");
    }
}
