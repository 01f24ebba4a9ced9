//! The program as its users meet it: usage, output, exit status, and no process left behind.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_orrery-jepsen"))
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program runs")
}

fn redis_server() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("redis-server"));
    found
        .find(|path| path.exists())
        .expect("these tests need redis-server: apt-get install redis-server")
}

/// A folder of its own for one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("orrery-jepsen-test-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn wrong_usage_is_told_in_words_and_by_status_2() {
    for (arguments, word) in [
        (&["run"][..], "--target"),
        (&["run", "--target", "/no/such/file"], "No such file"),
        (&["run", "--target", "/bin/true"], "no server that is known here"),
        (&["run", "--target", "/bin/true", "--nemesis", "vm-freeze"], "kill, pause or none"),
        (&["run", "--target", "/bin/true", "--workload", "poetry"], "no workload"),
        (&["run", "--target", "/bin/true", "--seconds", "0"], "seconds: from 1"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
    let help = run(&["run", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
}

#[test]
fn a_run_prints_one_object_and_a_history_that_is_where_it_says() {
    let folder = Folder::new("json");
    let target = redis_server();
    let output = program()
        .args(["run", "--nemesis", "pause", "--seconds", "2", "--workload", "registers", "--json"])
        .arg("--target")
        .arg(&target)
        .arg("--keep-logs")
        .arg(&folder.0)
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let summary: serde_json::Value = serde_json::from_str(&text).expect("one object");
    assert_eq!(summary["status"], 0);
    assert_eq!(summary["workloads"][0]["linearizable"], true);
    assert_eq!(summary["workloads"][0]["loss_seen"], false);
    assert!(summary["faults_fired"]["pause"].as_u64() > Some(0));
    let history = summary["workloads"][0]["history"].as_str().expect("a path");
    assert!(fs::metadata(history).expect("it is there").len() > 1_000);
    assert!(summary["command"].as_str().expect("a line").contains("--seed 1"));
}

#[test]
fn an_interrupted_run_leaves_no_server_behind() {
    let folder = Folder::new("interrupted");
    for signal in [Signal::INT, Signal::TERM] {
        drop(fs::remove_file(folder.0.join("server.log")));
        let mut child = program()
            .args(["run", "--nemesis", "pause", "--seconds", "60"])
            .arg("--target")
            .arg(redis_server())
            .arg("--keep-logs")
            .arg(&folder.0)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let port = port_of_server(&folder);
        // Time for the clients to begin; the signals are caught from then on.
        std::thread::sleep(Duration::from_secs(1));
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        assert_eq!(status_of(&mut child), Some(2));
        let mut said = String::new();
        let stderr = child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut said).expect("it is text");
        assert!(said.contains("interrupted"), "{said}");
        TcpStream::connect(("127.0.0.1", port)).expect_err("the server is gone");
    }
}

/// What redis-server writes to its log when it starts.
fn port_of_server(folder: &Folder) -> u16 {
    let start = Instant::now();
    loop {
        let log = fs::read_to_string(folder.0.join("server.log")).unwrap_or_default();
        let port = log.split("port=").nth(1).and_then(|rest| rest.split('.').next());
        if let Some(port) = port.filter(|_| log.contains("Ready to accept connections")) {
            return port.parse().expect("a number");
        }
        assert!(start.elapsed() < PATIENCE, "the server does not start: {log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn status_of(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is a child") {
            return status.code();
        }
        assert!(start.elapsed() < PATIENCE, "the program does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}
