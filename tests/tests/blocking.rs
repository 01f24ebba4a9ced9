//! Commands that make their client wait: WAIT and WAITAOF of a server without replicas.

use orrery_engine::{Config, Seed};
use orrery_tests::server_in_process::Server;

fn server() -> Server {
    Server::new(Config::default(), Seed(1))
}

#[test]
fn wait_answers_when_its_patience_ends_and_not_before() {
    let mut server = server();
    let conn = server.connect();
    assert_eq!(server.send(conn, b"WAIT 1 100\r\nPING\r\n"), b"");
    server.advance_ms(99);
    assert_eq!(server.output(conn), b"");
    server.advance_ms(2);
    // What was sent behind it runs only then, in order.
    assert_eq!(server.output(conn), b":0\r\n+PONG\r\n");
}

#[test]
fn waiting_for_nobody_answers_at_once() {
    let mut server = server();
    let conn = server.connect();
    server.check(conn, "WAIT 0 0", "(integer) 0");
    server.check(conn, "WAIT -5 1000", "(integer) 0");
    assert_eq!(server.send(conn, b"WAITAOF 0 0 1000\r\n"), b"*2\r\n:0\r\n:0\r\n");
}

#[test]
fn wrong_arguments_get_the_texts_of_redis() {
    let mut server = server();
    let conn = server.connect();
    for (line, error) in [
        ("WAIT a b", "-ERR value is not an integer or out of range\r\n"),
        ("WAIT 1 b", "-ERR timeout is not an integer or out of range\r\n"),
        ("WAIT 1 -1", "-ERR timeout is negative\r\n"),
        ("WAIT 1 99999999999999999999", "-ERR timeout is not an integer or out of range\r\n"),
        ("WAITAOF 2 0 0", "-ERR value is out of range, must be between 0 and 1\r\n"),
        ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive\r\n"),
        (
            "WAITAOF 1 0 0",
            "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n",
        ),
    ] {
        let reply = server.send(conn, format!("{line}\r\n").as_bytes());
        assert_eq!(String::from_utf8_lossy(&reply), error, "{line}");
    }
}

#[test]
fn a_wait_for_ever_ends_by_client_unblock() {
    let mut server = server();
    let (waiting, other) = (server.connect(), server.connect());
    assert_eq!(server.send(waiting, b"WAITAOF 0 1 0\r\n"), b"");
    server.advance_ms(1_000_000);
    assert_eq!(server.output(waiting), b"");
    let id = waiting.0;
    server.check(other, &format!("CLIENT UNBLOCK {id}"), "(integer) 1");
    assert_eq!(server.output(waiting), b"*2\r\n:0\r\n:0\r\n");
    server.check(other, &format!("CLIENT UNBLOCK {id}"), "(integer) 0");
    assert_eq!(server.send(waiting, b"WAIT 1 50\r\n"), b"");
    server.check(other, &format!("CLIENT UNBLOCK {id} ERROR"), "(integer) 1");
    let text = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
    assert_eq!(server.output(waiting), text);
    // The deadline that it no longer has must not answer a second time.
    server.advance_ms(100);
    assert_eq!(server.output(waiting), b"");
    assert_eq!(server.send(waiting, b"PING\r\n"), b"+PONG\r\n");
}

#[test]
fn a_client_that_goes_away_leaves_no_deadline_behind() {
    let mut server = server();
    for _ in 0..10 {
        let conn = server.connect();
        assert_eq!(server.send(conn, b"WAIT 1 9000000000000\r\n"), b"");
        assert!(server.engine().deadline().is_some());
        server.disconnect(conn);
        assert_eq!(server.engine().deadline(), None);
    }
}

#[test]
fn many_waits_that_end_together_are_ended_in_bounded_steps() {
    let mut server = server();
    let clients: Vec<_> = (0..2000).map(|_| server.connect()).collect();
    for &conn in &clients {
        assert_eq!(server.send(conn, b"WAIT 1 10\r\n"), b"");
    }
    server.oversleep_ms(20);
    server.tick();
    let answered = clients.iter().filter(|&&conn| !server.output(conn).is_empty()).count();
    assert_eq!(answered, 512, "one step ends this many");
    for _ in 0..3 {
        server.tick();
    }
    let answered = clients.iter().filter(|&&conn| !server.output(conn).is_empty()).count();
    assert_eq!(answered, 2000 - 512);
}
