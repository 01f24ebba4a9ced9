//! How long commands take: those that may be slow are measured one by one, quick ones share.

use std::cell::Cell;
use std::rc::Rc;

use orrery_engine::{Instant, Micros, Stopwatch};
use orrery_tests::server_in_process::Server;

/// A stopwatch that goes on by 100 microseconds with every reading, and counts readings.
fn stopwatch(server: &Server) -> (Stopwatch, Rc<Cell<u64>>) {
    let readings = Rc::new(Cell::new(0));
    let (count, start) = (Rc::clone(&readings), server.now().mono.0);
    let clock = move || {
        count.set(count.get() + 1);
        Instant(start + 100 * count.get())
    };
    (Stopwatch::new(Box::new(clock)), readings)
}

fn micros(server: &mut Server, command: &str) -> u64 {
    let conn = server.connect();
    let info = server.line(conn, "INFO commandstats");
    server.disconnect(conn);
    let text = String::from_utf8(info.bytes().to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
    let usec = line.and_then(|line| line.split(',').find_map(|part| part.strip_prefix("usec=")));
    usec.map_or(0, |usec| usec.parse().unwrap())
}

#[test]
fn quick_commands_share_what_the_others_leave() {
    let mut server = super::server();
    let conn = server.connect();
    let (watch, readings) = stopwatch(&server);
    server.set_stopwatch(watch);
    let commands = b"SET a 1\r\nLRANGE l 0 -1\r\nGET a\r\nGET a\r\n";
    server.send_taking(conn, commands, Micros(110));
    assert_eq!(readings.get(), 2, "before and after LRANGE");
    assert_eq!(micros(&mut server, "lrange"), 100);
    let quick = micros(&mut server, "set") + micros(&mut server, "get");
    assert_eq!(quick, 10, "it adds up to the step");
}

#[test]
fn a_pipeline_of_quick_commands_reads_no_clock() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "CONFIG SET hotkeys-report-sample 0", "OK");
    let (watch, readings) = stopwatch(&server);
    server.set_stopwatch(watch);
    server.send(conn, &b"SET a 1\r\nGET a\r\nINCR a\r\nZADD z 1 m\r\n".repeat(500));
    assert_eq!(readings.get(), 0);
    // A sample of the commands is looked at for hot keys: two readings for one of a hundred.
    server.check(conn, "CONFIG SET hotkeys-report-sample 100", "OK");
    let before = readings.get();
    server.send(conn, &b"GET a\r\n".repeat(10_000));
    let read = readings.get() - before;
    assert!((160..=240).contains(&read), "{read} readings for 10000 commands");
    // Whoever wants to know it exactly pays for it.
    server.check(conn, "CONFIG SET hotkeys-report-sample 0 slowlog-log-slower-than 500", "OK");
    let before = readings.get();
    server.send(conn, &b"GET a\r\n".repeat(100));
    assert_eq!(readings.get() - before, 200);
}

#[test]
fn large_replies_and_many_words_are_measured() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "CONFIG SET hotkeys-report-sample 0", "OK");
    server.line(conn, &format!("SET big {}", "x".repeat(70_000)));
    let (watch, readings) = stopwatch(&server);
    server.set_stopwatch(watch);
    server.line(conn, "GET big");
    assert_eq!(readings.get(), 1, "since the step began");
    assert_eq!(micros(&mut server, "get"), 100);
    let before = readings.get();
    server.line(conn, &format!("SADD s {}", "m ".repeat(20).trim()));
    assert_eq!(readings.get() - before, 2);
}

#[test]
fn a_transaction_shares_its_time_among_its_quick_commands() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "CONFIG SET hotkeys-report-sample 0", "OK");
    let (watch, _) = stopwatch(&server);
    server.set_stopwatch(watch);
    let commands = b"MULTI\r\nSET a 1\r\nLRANGE l 0 -1\r\nGET a\r\nEXEC\r\n";
    server.send_taking(conn, commands, Micros(301));
    // Four readings: EXEC took 300, 100 of them for LRANGE.
    for (command, expected) in [("exec", 300), ("lrange", 100), ("set", 100), ("get", 100)] {
        assert_eq!(micros(&mut server, command), expected, "{command}");
    }
    assert_eq!(micros(&mut server, "multi"), 1);
}

#[test]
fn who_looks_at_durations_sees_those_of_the_same_step() {
    let mut server = super::server();
    let conn = server.connect();
    let replies = server.send(conn, b"SET a 1\r\nGET a\r\nLATENCY HISTOGRAM get set\r\n");
    let text = String::from_utf8(replies).unwrap();
    assert!(text.contains("calls") && text.contains("set") && text.contains("get"), "{text}");
    let replies = server.send(conn, b"GET a\r\nCONFIG RESETSTAT\r\nLATENCY HISTOGRAM\r\n");
    let text = String::from_utf8(replies).unwrap();
    assert!(text.contains("config|resetstat") && !text.contains("get"), "{text}");
}

#[test]
fn a_slow_quick_command_is_an_event_of_its_own() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "CONFIG SET latency-monitor-threshold 1", "OK");
    let start = server.now().mono.0;
    let mut time = start;
    server.set_stopwatch(Stopwatch::new(Box::new(move || {
        time += 2_000;
        Instant(time)
    })));
    server.line(conn, "GET a");
    server.line(conn, "KEYS *");
    let latest = server.line(conn, "LATENCY LATEST").to_string();
    assert!(latest.contains("fast-command") && latest.contains("\"command\""), "{latest}");
}
