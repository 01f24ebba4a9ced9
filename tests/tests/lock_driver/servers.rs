//! Servers as processes that can be killed and paused, and a slow wire in front of them.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use orrery_tests::free_port::free_port;
use orrery_tests::program;
use orrery_tests::resp_value::{Value, encode, words};
use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Orrery,
    Redis,
}

impl Kind {
    /// Those that are there: ours, and redis-server where it is installed. Where it is not, stderr
    /// is told so past the harness's capture; with `ORRERY_REQUIRE_REDIS=1` the test fails.
    pub(crate) fn all(test: &str) -> Vec<Self> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if found.is_ok() {
            return vec![Self::Orrery, Self::Redis];
        }
        let required = std::env::var("ORRERY_REQUIRE_REDIS").is_ok_and(|value| value == "1");
        assert!(!required, "{test}: redis-server is not installed");
        let message = format!("SKIPPED {test} against redis-server: it is not installed\n");
        std::io::stderr().write_all(message.as_bytes()).expect("stderr takes a line");
        vec![Self::Orrery]
    }
}

/// A server without persistence; killed when dropped.
pub(crate) struct Server {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    pub(crate) fn start_with(kind: Kind, arguments: &[&str]) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("orrery-lock-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        let mut server = Self { kind, port: free_port(), folder, arguments, child: None };
        server.restart();
        server
    }

    /// So many of the kinds that are there, in turn.
    pub(crate) fn several(count: usize, test: &str) -> Vec<Self> {
        let kinds = Kind::all(test);
        (0..count).map(|number| Self::start(kinds[number % kinds.len()])).collect()
    }

    /// Starts it at the same port, with nothing.
    pub(crate) fn restart(&mut self) {
        let program = match self.kind {
            Kind::Orrery => program::server().to_owned(),
            Kind::Redis => "redis-server".into(),
        };
        let child = Command::new(program)
            .args(["--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--bind", "127.0.0.1", "--dir"])
            .arg(&self.folder)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
        let start = Instant::now();
        // It may listen before it has loaded what it finds.
        while !self.is_ready() {
            assert!(start.elapsed() < PATIENCE, "the server does not answer");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut said = [0; 5];
        let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut said));
        asked.is_ok() && (said == *b"+PONG" || said == *b"-NOAU")
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it is our child");
        }
    }

    /// It stands still, and its sockets with it.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let process = Pid::from_raw(child.id() as i32).expect("a process id is not zero");
        kill_process(process, signal).expect("it runs");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs a command that is written as a line, as for `redis-cli`, over a connection of its own.
    pub(crate) fn line(&self, line: &str) -> String {
        line_to(self.port, line)
    }
}

/// Runs a command that is written as a line at whoever listens there.
pub(crate) fn line_to(port: u16, line: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
    stream.write_all(&encode(&words(line))).expect("it reads");
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((value, _)) = Value::read(&bytes).expect("it speaks RESP") {
            return value.to_string();
        }
        let len = stream.read(&mut buffer).expect("it answers");
        assert!(len > 0, "it has closed the connection");
        bytes.extend_from_slice(&buffer[..len]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// A port in front of a server, whose bytes take so long each way.
pub(crate) fn slow_wire(server: &Server, delay: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let port = listener.local_addr().expect("it is bound").port();
    let target = server.port();
    thread::spawn(move || {
        for near in listener.incoming() {
            let (Ok(near), Ok(far)) = (near, TcpStream::connect(("127.0.0.1", target))) else {
                return;
            };
            let (near_too, far_too) = (near.try_clone(), far.try_clone());
            thread::spawn(move || copy_late(near, far, delay));
            if let (Ok(near), Ok(far)) = (near_too, far_too) {
                thread::spawn(move || copy_late(far, near, delay));
            }
        }
    });
    format!("redis://127.0.0.1:{port}")
}

fn copy_late(mut from: TcpStream, mut into: TcpStream, delay: Duration) {
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Ok(len) if len > 0 => {
                thread::sleep(delay);
                if into.write_all(&buffer[..len]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}
