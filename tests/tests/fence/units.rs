//! The token and what the command does are one: in transactions, in the log, on disk, and for those
//! who watch.

use orrery_engine::ConnId;
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;

use crate::{Files, check_all, server, start};

/// The records of the log since this was last asked.
fn logged(server: &mut Server) -> Vec<String> {
    let words = |record: &Value| {
        let words = record.elements().iter();
        words.map(|word| String::from_utf8_lossy(word.bytes()).into_owned()).collect::<Vec<_>>()
    };
    Value::read_all(&server.log().take()).iter().map(|record| words(record).join(" ")).collect()
}

#[track_caller]
fn check_logged(server: &mut Server, expected: &[&str]) {
    assert_eq!(logged(server), expected);
}

#[test]
fn the_log_holds_the_token_and_what_was_done() {
    let (mut server, conn) = server();
    server.log().start();
    server.check(conn, "FENCE r 33 SET k v PX 1000", "OK");
    let moment = format!("SET k v PXAT {}", server.unix_ms() + 1000);
    check_logged(&mut server, &["SELECT 0", "MULTI", "SET r 33", &moment, "EXEC"]);
    server.check(conn, "FENCE r 33 SET k w", "OK");
    check_logged(&mut server, &["SET k w"]);
    server.check(conn, "FENCE r 33 GET k", "\"w\"");
    server.line(conn, "FENCE r 32 SET k x");
    check_logged(&mut server, &[]);
    server.check(conn, "FENCE r 34:a GET k", "\"w\"");
    check_logged(&mut server, &["SET r 34:a"]);
    server.line(conn, "FENCE r 35 INCR k");
    check_logged(&mut server, &["SET r 35"]);
    server.check(conn, "PEXPIREAT r 1893456000000", "(integer) 1");
    server.check(conn, "FENCE r 36 DEL k", "(integer) 1");
    check_logged(
        &mut server,
        &["PEXPIREAT r 1893456000000", "MULTI", "SET r 36 KEEPTTL", "DEL k", "EXEC"],
    );
}

#[test]
fn inside_a_transaction_it_is_one_command() {
    let (mut server, conn) = server();
    server.log().start();
    for line in ["MULTI", "FENCE r 34 SET k v", "FENCE r 33 SET k w", "INCR n", "FENCE r 35 GET k"]
    {
        server.line(conn, line);
    }
    let replies = "1) OK\n2) (error) FENCED token 33 is older than 34\n3) (integer) 1\n4) \"v\"";
    server.check(conn, "EXEC", replies);
    let done = ["SELECT 0", "MULTI", "SET r 34", "SET k v", "INCR n", "SET r 35", "EXEC"];
    check_logged(&mut server, &done);
    check_all(
        &mut server,
        conn,
        &[
            ("MULTI", "OK"),
            (
                "FENCE r 36 NOSUCH",
                "(error) ERR unknown command 'NOSUCH', with args beginning with: ",
            ),
            ("EXEC", "(error) EXECABORT Transaction discarded because of previous errors."),
            ("GET r", "\"35\""),
        ],
    );
}

#[test]
fn who_watches_the_register_sees_newer_tokens() {
    let (mut server, conn) = server();
    let other = server.connect();
    server.check(conn, "FENCE r 34 PING", "PONG");
    for (line, expected) in [
        ("FENCE r 34 PING", "1) PONG"),
        ("FENCE r 33 PING", "1) PONG"),
        ("FENCE r 35 PING", "(nil array)"),
    ] {
        check_all(&mut server, conn, &[("WATCH r", "OK"), ("MULTI", "OK"), ("PING", "QUEUED")]);
        server.line(other, line);
        server.check(conn, "EXEC", expected);
    }
}

/// What a server has in its files is what it knows when it starts again.
#[test]
fn the_register_is_kept_like_any_key() {
    for directives in [&[("appendonly", "yes")][..], &[]] {
        let (mut server, conn) = start(directives, Files::new());
        server.check(conn, "FENCE r 34:a SET k v", "OK");
        if directives.is_empty() {
            server.check(conn, "SAVE", "OK");
        }
        let files = server.disk().files.clone();
        let (mut server, conn) = start(directives, files);
        check_all(
            &mut server,
            conn,
            &[
                ("FENCE r 33:z SET k w", "(error) FENCED token 33 is older than 34"),
                ("FENCE r 34:b SET k w", "(error) FENCED token 34 is another owner's"),
                ("FENCE r 34:a GET k", "\"v\""),
            ],
        );
    }
}

#[test]
fn keyspace_events_tell_of_both() {
    let (mut server, conn) = server();
    server.check(conn, "CONFIG SET notify-keyspace-events EA", "OK");
    let ears = server.connect();
    server.line(ears, "PSUBSCRIBE __keyevent@0__:*");
    server.check(conn, "FENCE r 1 INCR n", "(integer) 1");
    server.check(conn, "FENCE r 1 INCR n", "(integer) 2");
    let messages = Value::read_all(&server.output(ears));
    let event = |message: &Value| {
        let words = message.elements();
        let channel = String::from_utf8_lossy(words[2].bytes()).into_owned();
        let event = channel.rsplit(':').next().expect("an event").to_owned();
        format!("{event} {}", String::from_utf8_lossy(words[3].bytes()))
    };
    let events: Vec<String> = messages.iter().map(event).collect();
    assert_eq!(events, ["set r", "incrby n", "incrby n"]);
}

#[test]
fn those_who_look_on_see_the_fence_as_it_was_sent() {
    let (mut server, conn) = server();
    server.check(conn, "CONFIG SET slowlog-log-slower-than 0", "OK");
    let monitor = server.connect();
    server.check(monitor, "MONITOR", "OK");
    server.check(conn, "FENCE r 1 INCR n", "(integer) 1");
    server.line(conn, "FENCE r 1 EVAL \"return redis.call('INCR', 'n')\" 0");
    let lines = String::from_utf8(server.output(monitor)).expect("text");
    let shown: Vec<&str> = lines.lines().map(|line| line.split_once("] ").expect("]").1).collect();
    assert_eq!(
        shown,
        [
            "\"FENCE\" \"r\" \"1\" \"INCR\" \"n\"",
            "\"FENCE\" \"r\" \"1\" \"EVAL\" \"return redis.call('INCR', 'n')\" \"0\"",
            "\"INCR\" \"n\"",
        ]
    );
    let slow = server.line(conn, "SLOWLOG GET 10").to_string();
    assert_eq!(slow.matches("\"FENCE\"").count(), 2, "{slow}");
    assert_eq!(slow.matches("\"EVAL\"").count(), 1, "{slow}");
}

/// Sets a key, works for many steps, sets it again.
const LONG: &str = "EVAL \"redis.call('SET', 'k', 1) for i = 1, 2000000 do end \
                    redis.call('SET', 'k', 2) return 'done'\" 0";

fn send_long(server: &mut Server, conn: ConnId, line: &str) {
    let words = orrery_tests::resp_value::words(line);
    let first = server.send(conn, &orrery_tests::resp_value::encode(&words));
    assert_eq!(first.escape_ascii().to_string(), "", "it takes more than a step");
}

fn wait_for(server: &mut Server, conn: ConnId) -> String {
    for _ in 0..1_000_000 {
        let output = server.output(conn);
        if !output.is_empty() {
            return output.escape_ascii().to_string();
        }
        server.tick();
    }
    panic!("it never ends");
}

#[test]
fn a_script_of_many_steps_is_one_with_its_token() {
    let (mut server, conn) = server();
    server.log().start();
    send_long(&mut server, conn, &format!("FENCE r 34 {LONG}"));
    assert_eq!(wait_for(&mut server, conn), "$4\\r\\ndone\\r\\n");
    let done = ["SELECT 0", "MULTI", "SET r 34", "SET k 1", "SET k 2", "EXEC"];
    check_logged(&mut server, &done);

    for line in ["MULTI", &format!("FENCE r 35 {LONG}"), "INCR k"] {
        server.line(conn, line);
    }
    send_long(&mut server, conn, "EXEC");
    assert_eq!(wait_for(&mut server, conn), "*2\\r\\n$4\\r\\ndone\\r\\n:3\\r\\n");
    check_logged(&mut server, &["MULTI", "SET r 35", "SET k 1", "SET k 2", "INCR k", "EXEC"]);
    server.check(conn, "FENCE r 34 GET k", "(error) FENCED token 34 is older than 35");
}

#[test]
fn a_script_that_is_killed_leaves_its_token() {
    let (mut server, conn) = server();
    server.log().start();
    let other = server.connect();
    send_long(&mut server, conn, &format!("FENCE r 34 {LONG}"));
    server.check(other, "SCRIPT KILL", "OK");
    let reply = wait_for(&mut server, conn);
    assert!(reply.starts_with("-ERR Error running script") || reply.starts_with("-"), "{reply}");
    check_all(&mut server, conn, &[("GET r", "\"34\""), ("EXISTS k", "(integer) 0")]);
    check_logged(&mut server, &["SELECT 0", "SET r 34"]);
}
