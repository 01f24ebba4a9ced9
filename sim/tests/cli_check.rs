//! `orrery-sim check` as a user runs it: exit status, text, JSON, bad input.

use std::io::Write;
use std::process::{Command, Output, Stdio};

const HEADER: &str = r#"{"format":"orrery-history","version":1,"specification":"redis"}"#;
const SET: &str = concat!(
    r#"{"id":0,"process":0,"command":{"set":{"key":"a","value":"1","ttl_ms":50}},"#,
    r#""call_us":0,"return_us":100,"outcome":{"ok":"done"}}"#
);

/// A GET of the value 60 ms or more after its time to live of 50 ms began.
fn late_read(value: &str) -> String {
    let get =
        r#"{"id":1,"process":1,"command":{"get":{"key":"a"}},"call_us":60100,"return_us":60200"#;
    format!("{HEADER}\n{SET}\n{get},\"outcome\":{{\"ok\":{value}}}}}\n")
}

fn check(input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_orrery-sim"))
        .arg("check")
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_legal_history_exits_with_0() {
    let output = check(&late_read("\"nil\""), &[]);
    assert_eq!(output.status.code(), Some(0));
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with("linearizable: 2 operations, 1 independent objects"), "{stdout}");
    assert!(!stdout.contains('\x1b'), "no colours in a pipe");
    assert!(!stdout.contains("erred"), "{stdout}");
}

#[test]
fn the_clock_error_that_is_needed_is_told() {
    // Written at 0.1 ms at the latest, to live 50 ms and a tick of 1 ms: read 9 ms too late.
    let output = check(&late_read(r#"{"bulk":"1"}"#), &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("clock erred by 9 ms or more"), "{output:?}");
    let output = check(&late_read(r#"{"bulk":"1"}"#), &["--max-clock-error-ms", "8", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "not_linearizable");
    assert_eq!(report["counterexample"]["stuck"]["id"], 1);
    assert_eq!(report["counterexample"]["is_core_minimal"], true);
}

#[test]
fn an_illegal_history_exits_with_1_and_says_why() {
    let output = check(&late_read(r#"{"bulk":"2"}"#), &[]);
    assert_eq!(output.status.code(), Some(1));
    let stdout = text(&output.stdout);
    for part in ["not linearizable", "GET \"a\" -> \"2\"", "contradict each other (minimal)"] {
        assert!(stdout.contains(part), "{stdout}");
    }
}

#[test]
fn an_unreadable_file_exits_with_2_and_names_the_line() {
    let output = check(&format!("{HEADER}\n{SET}\n{SET}\n"), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("line 3: id 0 is used twice"), "{output:?}");
    let output = check("nonsense", &["--json"]);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "unreadable");
    let output = check("{:process 0}", &["--format", "etcd"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn help_has_examples() {
    let output = check("", &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("Examples:\n  orrery-sim check history.jsonl"));
}
