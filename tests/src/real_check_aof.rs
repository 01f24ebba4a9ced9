//! The real `redis-check-aof`, which is redis-server under another name.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

/// Runs it to its end. It is there wherever [`crate::real_redis::RealRedis`] is.
///
/// # Panics
/// If it cannot be run.
pub fn check_aof(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("redis-server")
        .arg0("redis-check-aof")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("redis-server can be run");
    let mut stdin = child.stdin.take().expect("it was asked for");
    // It may have ended before it reads.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().expect("it ends")
}
