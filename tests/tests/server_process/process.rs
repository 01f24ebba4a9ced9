//! Starts servers, reads their logs and talks to them in plain bytes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) use orrery_tests::free_port::free_port;
use orrery_tests::program;
use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own for one test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("orrery-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("temporary paths are text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program::server())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut stdin = child.stdin.take().expect("it was asked for");
    // A server that does not read its input may have closed it.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    log: BufReader<std::process::ChildStdout>,
    /// The log as far as it was read.
    pub(crate) logged: String,
    pub(crate) port: u16,
    /// Where it keeps its files, if nobody has said where.
    _folder: Option<Folder>,
}

impl Server {
    /// Starts a server on a free port and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let mut all = vec!["--port".to_owned(), port.to_string()];
        all.extend(arguments.iter().map(|&word| word.to_owned()));
        // What one leaves another must not load.
        let folder = (!arguments.contains(&"--dir")).then(Folder::new);
        if let Some(folder) = &folder {
            all.extend(["--dir".to_owned(), folder.file("")]);
        }
        let mut server = Self::spawn(&all, port);
        server._folder = folder;
        server.wait_for_log("Ready to accept connections");
        server
    }

    pub(crate) fn spawn(arguments: &[String], port: u16) -> Self {
        let mut child = Command::new(program::server())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let log = BufReader::new(child.stdout.take().expect("it was asked for"));
        Self { child, log, logged: String::new(), port, _folder: None }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Reads the log up to a line that contains `text`.
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        loop {
            let start = self.logged.len();
            let len = self.log.read_line(&mut self.logged).expect("the log is text");
            assert!(len > 0, "the server ended without '{text}':\n{}", self.logged);
            if self.logged[start..].contains(text) {
                return;
            }
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is possible");
        stream.set_nodelay(true).expect("an option of every TCP socket");
        stream
    }

    /// Sends a signal and waits for the end; gives the exit code and reads the rest of the log.
    pub(crate) fn end(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.wait_for_end()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.process() as i32).expect("a process id is not zero");
        kill_process(process, signal).expect("it runs");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    pub(crate) fn wait_for_end(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                self.log.read_to_string(&mut self.logged).expect("the log is text");
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A command in the form that clients send.
pub(crate) fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// Reads exactly `expected`.
#[track_caller]
pub(crate) fn expect(stream: &mut impl Read, expected: &[u8]) {
    let mut reply = vec![0; expected.len()];
    let mut len = 0;
    while len < reply.len() {
        match stream.read(&mut reply[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) => panic!("no reply: {error}; so far {:?}", shown(&reply[..len])),
        }
    }
    assert!(reply[..len] == *expected, "{:?} is not {:?}", shown(&reply[..len]), shown(expected));
}

/// Reads to the end of the stream, which must hold exactly `expected`.
#[track_caller]
pub(crate) fn expect_last(stream: &mut impl Read, expected: &[u8]) {
    expect(stream, expected);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the server closes in order");
    assert!(rest.is_empty(), "there is more: {:?}", shown(&rest));
}

/// Sends and reads the reply.
#[track_caller]
pub(crate) fn talk(stream: &mut (impl Read + Write), request: &[u8], reply: &[u8]) {
    stream.write_all(request).expect("the server reads");
    expect(stream, reply);
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

/// Reads a bulk string.
pub(crate) fn bulk(stream: &mut impl Read) -> String {
    let mut byte = [0];
    let mut header = String::new();
    while !header.ends_with("\r\n") {
        stream.read_exact(&mut byte).expect("a reply");
        header.push(char::from(byte[0]));
    }
    let len = header.trim_end().strip_prefix('$').and_then(|len| len.parse().ok());
    let mut text = vec![0; len.unwrap_or_else(|| panic!("no bulk string: {header}"))];
    stream.read_exact(&mut text).expect("the whole of it");
    expect(stream, b"\r\n");
    String::from_utf8(text).expect("it is text")
}
