//! A real redis-server to compare with: started on a private unix socket, ended when dropped.
//!
//! Invariant: where redis-server is not installed a test says so on stderr, past the test harness's
//! capture; with `ORRERY_REQUIRE_REDIS=1` in the environment it fails instead.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::resp_value::{Value, encode};

/// The server must answer within this time.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running redis-server without persistence.
pub struct RealRedis {
    child: Child,
    directory: PathBuf,
}

impl RealRedis {
    /// Starts one; `None`, with a message, where redis-server is not installed.
    ///
    /// # Panics
    /// If it is installed and does not start, or is missing and `ORRERY_REQUIRE_REDIS=1`.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[])
    }

    /// Like [`Self::start`], with more arguments.
    ///
    /// # Panics
    /// As `start` does.
    pub fn start_with(test: &str, arguments: &[&str]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("orrery-redis-{}-{count}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
        let spawned = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--unixsocket")
            .arg(directory.join("socket"))
            .arg("--dir")
            .arg(&directory)
            .args(arguments)
            // SORT's ALPHA follows the locale.
            .env("LC_ALL", "C")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let _ = std::fs::remove_dir_all(&directory);
                let required =
                    std::env::var("ORRERY_REQUIRE_REDIS").is_ok_and(|value| value == "1");
                assert!(!required, "{test}: redis-server is not installed");
                let message = format!("SKIPPED {test}: redis-server is not installed\n");
                std::io::stderr().write_all(message.as_bytes()).expect("stderr takes a line");
                return None;
            }
            Err(error) => panic!("redis-server does not start: {error}"),
        };
        let server = Self { child, directory };
        let start = Instant::now();
        while UnixStream::connect(server.socket()).is_err() {
            assert!(start.elapsed() < START_TIMEOUT, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        // It listens before it has loaded what it finds.
        while server.connect().call(&["DBSIZE"]).to_string().starts_with("(error) LOADING") {
            assert!(start.elapsed() < START_TIMEOUT, "redis-server loads for ever");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// A new connection.
    ///
    /// # Panics
    /// If the server does not take it.
    pub fn connect(&self) -> RealClient {
        let stream = UnixStream::connect(self.socket()).expect("redis-server takes connections");
        stream.set_read_timeout(Some(START_TIMEOUT)).expect("a socket has a read timeout");
        RealClient { stream, pending: Vec::new() }
    }

    /// The folder that it keeps its files in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }
}

impl Drop for RealRedis {
    fn drop(&mut self) {
        // Nothing can be done about a server that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A client of a real server.
pub struct RealClient {
    stream: UnixStream,
    pending: Vec<u8>,
}

impl RealClient {
    /// Runs one command.
    ///
    /// # Panics
    /// If the server does not answer with one well-formed reply in time.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        self.send(&encode(words));
        self.read()
    }

    /// Sends bytes without waiting.
    ///
    /// # Panics
    /// If the server has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("redis-server takes bytes");
    }

    /// Waits for one reply.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn read(&mut self) -> Value {
        Value::read(&self.read_raw()).expect("read already").expect("whole").0
    }

    /// What has come since the client last read, without waiting.
    ///
    /// # Panics
    /// If the socket does not work.
    pub fn available(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.pending);
        let mut buffer = vec![0; 64 * 1024];
        self.stream.set_nonblocking(true).expect("a socket need not block");
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => bytes.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("a socket is read: {error}"),
            }
        }
        self.stream.set_nonblocking(false).expect("a socket may block");
        bytes
    }

    /// Waits for one reply and returns its bytes.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn read_raw(&mut self) -> Vec<u8> {
        self.read_raw_within(START_TIMEOUT).expect("redis-server answers in time")
    }

    /// Waits for one reply, but not for ever: for a command that may have none yet.
    ///
    /// # Panics
    /// If the server has closed the connection or does not speak RESP.
    pub fn read_raw_within(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 64 * 1024];
        let end = Instant::now() + patience;
        loop {
            if let Some((_, len)) = Value::read(&self.pending).expect("redis-server speaks RESP") {
                let rest = self.pending.split_off(len);
                return Some(std::mem::replace(&mut self.pending, rest));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.stream.set_read_timeout(Some(left)).expect("a socket has a read timeout");
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("redis-server has closed the connection"),
                Ok(len) => self.pending.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("redis-server cannot be read: {error}"),
            }
        }
    }
}
