//! SLOWLOG and COMMANDLOG.

use orrery_engine::ConnId;
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, words};
use orrery_tests::server_in_process::Server;

/// The entries of a log without times, durations and addresses, but for that of scripts.
fn plain(entries: &Value) -> Vec<String> {
    let entry = |entry: &Value| {
        let [id, _, _, words, address, name] = entry.elements() else {
            panic!("no entry: {entry}");
        };
        let address = if address.bytes() == b"?:0" { "script" } else { "client" };
        format!("{id} {words} {address} {name}")
    };
    entries.elements().iter().map(entry).collect()
}

/// Runs lines on both servers; `?` before a line compares the logs that it returns.
#[track_caller]
fn compare(real: &mut RealClient, server: &mut Server, conn: ConnId, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (asks, line) = line.strip_prefix("? ").map_or((false, line), |line| (true, line));
        let (theirs, ours) = (real.call(&words(line)), server.line(conn, line));
        if asks {
            assert_eq!(plain(&ours), plain(&theirs), "after {line}");
        } else {
            assert_eq!(ours, theirs, "after {line}");
        }
    }
}

#[test]
fn everything_is_logged_as_in_a_real_redis() {
    let Some(redis) = RealRedis::start("slowlog") else { return };
    let mut real = redis.connect();
    let mut server = super::server();
    let conn = server.connect();
    let many: Vec<String> = (0..40).map(|index| index.to_string()).collect();
    let long = "x".repeat(300);
    let lines = format!(
        r#"
        SLOWLOG LEN
        SLOWLOG GET
        CONFIG SET slowlog-log-slower-than 0
        SLOWLOG RESET
        CLIENT SETNAME me
        SET k v
        GET k
        GET
        NOSUCH
        ? SLOWLOG GET
        ? SLOWLOG GET -1
        ? SLOWLOG GET 2
        ? SLOWLOG GET 0
        SLOWLOG GET -2
        SLOWLOG GET x
        SLOWLOG GET 1 2
        SLOWLOG LEN 1
        SADD many {}
        SET long {long}
        ? SLOWLOG GET
        MULTI
        SET k 1
        INCR k
        EXEC
        ? SLOWLOG GET
        MULTI
        GET
        EXEC
        ? SLOWLOG GET
        EVAL "return redis.call('get', KEYS[1])" 1 k
        EVALSHA ffff 0
        ? SLOWLOG GET 5
        AUTH secret
        AUTH user secret
        ACL SETUSER u on >secret
        CONFIG SET masterauth secret
        CONFIG SET maxclients 5000 requirepass ""
        ? SLOWLOG GET
        SLOWLOG RESET
        SLOWLOG LEN
        CONFIG SET slowlog-max-len 3
        GET a
        GET b
        GET c
        SLOWLOG LEN
        CONFIG SET slowlog-max-len 1
        SLOWLOG LEN
        CONFIG SET slowlog-max-len 0
        SLOWLOG LEN
        CONFIG SET slowlog-max-len 128
        CONFIG SET slowlog-log-slower-than -1
        GET a
        SLOWLOG LEN
        "#,
        many.join(" ")
    );
    compare(&mut real, &mut server, conn, &lines);
}

#[test]
fn a_command_that_pauses_the_server_is_slow() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "CLIENT SETNAME sleeper", "OK");
    server.check(conn, "DEBUG SLEEP 0.009", "OK");
    server.check(conn, "SLOWLOG LEN", "(integer) 0");
    server.check(conn, "DEBUG SLEEP 0.25", "OK");
    server.line(conn, "MULTI");
    server.line(conn, "DEBUG SLEEP 0.5");
    server.check(conn, "EXEC", "1) OK");
    let entries = server.line(conn, "SLOWLOG GET");
    let entries = entries.elements();
    assert_eq!(entries.len(), 2, "EXEC itself is not logged");
    let parts = entries[0].elements();
    assert_eq!(parts[0].to_string(), "(integer) 1");
    assert_eq!(parts[1].to_string(), "(integer) 1767225600");
    assert_eq!(parts[2].to_string(), "(integer) 500000");
    assert_eq!(parts[3].to_string(), "1) \"DEBUG\"\n2) \"SLEEP\"\n3) \"0.5\"");
    assert_eq!(parts[4].to_string(), "\"/tmp/test.sock:0\"");
    assert_eq!(parts[5].to_string(), "\"sleeper\"");
}

#[test]
fn a_client_that_waits_is_logged_when_it_is_served() {
    let mut server = super::server();
    let (conn, waiter) = (server.connect(), server.connect());
    server.check(conn, "CONFIG SET slowlog-log-slower-than 0", "OK");
    server.check(conn, "SLOWLOG RESET", "OK");
    server.send(waiter, b"BLPOP l 0\r\n");
    server.check(conn, "SLOWLOG LEN", "(integer) 1");
    server.line(conn, "LPUSH l x");
    let entries = server.line(conn, "SLOWLOG GET").to_string();
    assert_eq!(entries.matches("BLPOP").count(), 1, "{entries}");
}

#[test]
fn a_script_of_many_steps_is_logged_once() {
    let mut server = super::server();
    let conn = server.connect();
    server.send(conn, b"EVAL 'local n = 0 while n < 30000000 do n = n + 1 end return n' 0\r\n");
    for _ in 0..10_000 {
        if server.engine().deadline().is_none() {
            break;
        }
        server.oversleep_ms(5);
        server.tick();
    }
    assert_eq!(server.output(conn), b":30000000\r\n", "in a later step");
    let entries = server.line(conn, "SLOWLOG GET");
    let text = entries.to_string();
    assert_eq!(text.matches("EVAL").count(), 1, "{text}");
    let micros = entries.elements()[0].elements()[2].to_string();
    assert!(micros.len() >= "(integer) 10000".len(), "{micros}");
    server.check(conn, "SLOWLOG LEN", "(integer) 1");
}

#[test]
fn large_requests_and_replies_have_logs_of_their_own() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "CONFIG SET commandlog-request-larger-than 1000", "OK");
    server.check(conn, "CONFIG SET commandlog-reply-larger-than 500", "OK");
    // With what the protocol adds it is 1000 bytes.
    let value = "v".repeat(1000 - "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$969\r\n\r\n".len());
    server.check(conn, &format!("SET k {}", &value[1..]), "OK");
    server.check(conn, "COMMANDLOG LEN large-request", "(integer) 0");
    server.check(conn, &format!("SET k {value}"), "OK");
    server.check(conn, "COMMANDLOG LEN large-request", "(integer) 1");
    server.line(conn, "GET k");
    server.check(conn, "COMMANDLOG LEN large-reply", "(integer) 1");
    server.check(conn, "COMMANDLOG LEN slow", "(integer) 0");
    let entries = server.line(conn, "COMMANDLOG GET -1 large-request");
    let parts = entries.elements()[0].elements().to_vec();
    assert_eq!(parts[2].to_string(), "(integer) 1000");
    assert!(parts[3].to_string().ends_with("... (844 more bytes)\""), "{}", parts[3]);
    let entries = server.line(conn, "COMMANDLOG GET 5 LARGE-REPLY");
    assert_eq!(entries.elements()[0].elements()[2].to_string(), "(integer) 980");
    for (line, expected) in [
        ("COMMANDLOG RESET large-reply", "OK"),
        ("COMMANDLOG LEN large-reply", "(integer) 0"),
        ("COMMANDLOG LEN large-request", "(integer) 1"),
        (
            "COMMANDLOG LEN x",
            "ERR type should be one of the following: slow, large-request, large-reply",
        ),
        ("COMMANDLOG GET -2 slow", "ERR count should be greater than or equal to -1"),
        ("CONFIG SET commandlog-request-larger-than -1", "OK"),
    ] {
        assert!(server.line(conn, line).to_string().ends_with(expected), "{line}");
    }
    server.check(conn, &format!("SET k {value}"), "OK");
    server.check(conn, "COMMANDLOG LEN large-request", "(integer) 1");
}
