//! Lines of the log that are objects of JSON.

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Server, talk};

fn objects(log: &str) -> Vec<Value> {
    let object = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        assert!(value.is_object(), "{line}");
        value
    };
    log.lines().map(object).collect()
}

fn find<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    let found = lines.iter().find(|line| line["message"].as_str().unwrap().contains(message));
    found.unwrap_or_else(|| panic!("no '{message}' in {lines:#?}"))
}

#[test]
fn every_line_is_an_object_with_a_time_a_level_and_a_message() {
    let mut server = Server::start(&["--log-format", "json", "--hz", "20"]);
    let process = server.process();
    assert_eq!(server.end(Signal::TERM), Some(0));
    let lines = objects(&server.logged);
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        // 2026-11-20T10:02:15.123+00:00
        assert_eq!((time.len(), &time[10..11], &time[19..20]), (29, "T", "."), "{time}");
        assert!(
            ["debug", "verbose", "notice", "warning"].contains(&line["level"].as_str().unwrap())
        );
        assert_eq!(line["pid"], process);
    }
    assert_eq!(find(&lines, "Ready to accept connections")["level"], "notice");
    let start = find(&lines, "just started");
    assert_eq!(start["level"], "warning");
    assert_eq!(start["fields"]["bits"], usize::BITS);
    assert_eq!(find(&lines, "Running mode=standalone")["fields"]["port"], server.port);
    assert_eq!(find(&lines, "is not supported")["fields"]["parameter"], "hz");
    assert_eq!(find(&lines, "bye bye")["fields"]["exit_code"], 0);
}

#[test]
fn what_clients_say_cannot_break_a_line() {
    let mut server = Server::start(&["--log-format", "json"]);
    let mut client = server.connect();
    let script =
        b"EVAL \"redis.log(redis.LOG_WARNING, ARGV[1]) return 1\" 0 \"a\\\"b\\n{}\\\\ \\x01\"\r\n";
    talk(&mut client, script, b":1\r\n");
    assert_eq!(server.end(Signal::TERM), Some(0));
    let lines = objects(&server.logged);
    assert_eq!(find(&lines, "a\"b")["message"], "a\"b\n{}\\ \u{1}");
}

#[test]
fn the_format_can_be_changed_at_run_time() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    talk(&mut client, b"CONFIG SET log-format json\r\n", b"+OK\r\n");
    talk(&mut client, b"EVAL \"redis.log(redis.LOG_WARNING, 'the first')\" 0\r\n", b"$-1\r\n");
    talk(&mut client, b"CONFIG SET log-format text\r\n", b"+OK\r\n");
    talk(&mut client, b"EVAL \"redis.log(redis.LOG_WARNING, 'the second')\" 0\r\n", b"$-1\r\n");
    assert_eq!(server.end(Signal::TERM), Some(0));
    let line = |text: &str| server.logged.lines().find(|line| line.contains(text)).unwrap();
    assert_eq!(objects(line("the first")).len(), 1);
    assert!(line("the second").ends_with(" # the second"), "{}", line("the second"));
}
