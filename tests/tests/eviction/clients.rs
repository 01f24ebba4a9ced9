//! `maxmemory-clients`: who goes when clients take too much.

use bytes::BytesMut;
use orrery_engine::{Config, ConnId, Effect, Effects, Engine, Input, Now, Origin, Seed};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;

use super::{info, server};

/// Sends a request but for its last line end.
fn send_part(server: &mut Server, conn: ConnId, bytes: usize) {
    let mut input = format!("*2\r\n$3\r\nGET\r\n${bytes}\r\n").into_bytes();
    input.resize(input.len() + bytes, b'x');
    server.send(conn, &input);
}

#[test]
fn the_biggest_go_first_and_no_more_than_must() {
    let (mut server, conn) = server(&[]);
    let small: Vec<ConnId> = (0..3).map(|_| server.connect()).collect();
    let big: Vec<ConnId> = (0..3).map(|_| server.connect()).collect();
    for &conn in &small {
        send_part(&mut server, conn, 300_000);
    }
    for &conn in &big {
        send_part(&mut server, conn, 3_000_000);
    }
    server.check(conn, "CONFIG SET maxmemory-clients 4000000", "OK");
    server.check(conn, "PING", "PONG");
    let closed = |server: &Server, conns: &[ConnId]| {
        conns.iter().filter(|&&conn| server.is_closed(conn)).count()
    };
    assert_eq!((closed(&server, &small), closed(&server, &big)), (0, 2));
    server.check(conn, "CONFIG SET maxmemory-clients 3950000", "OK");
    server.check(conn, "PING", "PONG");
    assert_eq!((closed(&server, &small), closed(&server, &big)), (0, 2));
    server.check(conn, "CONFIG SET maxmemory-clients 500kb", "OK");
    server.check(conn, "PING", "PONG");
    assert_eq!((closed(&server, &small), closed(&server, &big)), (2, 3));
    assert_eq!(info(&mut server, conn, "evicted_clients"), 5);
    server.engine().check_invariants();
}

#[test]
fn who_said_no_evict_stays_until_it_says_otherwise() {
    let (mut server, conn) = server(&[("maxmemory-clients", "1mb")]);
    let spared = server.connect();
    server.check(spared, "CLIENT NO-EVICT ON", "OK");
    server.check(conn, "CLIENT NO-EVICT ON", "OK");
    server.check(conn, "SETRANGE k 2000000 x", "(integer) 2000001");
    send_part(&mut server, spared, 2_000_000);
    assert!(!server.is_closed(spared));
    // Somebody who is small goes, and it does not help.
    let other = server.connect();
    server.check(conn, "PING", "PONG");
    assert!(server.is_closed(other));
    assert!(!server.is_closed(spared) && !server.is_closed(conn));
    server.check(conn, "PING", "PONG");
}

#[test]
fn a_share_of_maxmemory_is_a_limit_only_with_maxmemory() {
    let (mut server, conn) = server(&[("maxmemory-clients", "5%")]);
    let other = server.connect();
    send_part(&mut server, other, 2_000_000);
    assert!(!server.is_closed(other));
    server.check(conn, "CONFIG SET maxmemory 100mb", "OK");
    server.check(conn, "PING", "PONG");
    assert!(!server.is_closed(other), "5 MB are enough");
    server.check(conn, "CONFIG SET maxmemory 10mb", "OK");
    server.check(conn, "PING", "PONG");
    assert!(server.is_closed(other));
}

#[test]
fn queues_watches_and_subscriptions_count() {
    for (lines, word) in [
        (["MULTI", "SET k "], "v".repeat(60_000)),
        (["PING", "WATCH key:"], "k".repeat(20_000)),
        (["HELLO 3", "SUBSCRIBE channel:"], "c".repeat(20_000)),
        (["HELLO 3", "PSUBSCRIBE pattern:"], "p".repeat(20_000)),
    ] {
        let (mut server, _) = server(&[("maxmemory-clients", "1mb")]);
        let conn = server.connect();
        server.send(conn, format!("{}\r\n", lines[0]).as_bytes());
        let mut count = 0;
        while !server.is_closed(conn) {
            server.send(conn, format!("{}{count}{word}\r\n", lines[1]).as_bytes());
            server.engine().check_invariants();
            count += 1;
            assert!(count < 60, "{lines:?}");
        }
        assert!(count >= 5, "{lines:?} after {count}");
    }
}

/// Sends a line for a client of an engine whose driver writes nothing out.
fn say(engine: &mut Engine, conn: ConnId, line: &str) -> Vec<Effect> {
    let mut fx = Effects::new();
    let mut bytes = BytesMut::from(format!("{line}\r\n").as_bytes());
    engine.step(Now::default(), Input::Received { conn, bytes: &mut bytes }, &mut fx);
    engine.check_invariants();
    fx.drain().collect()
}

#[test]
fn output_that_nobody_reads_counts() {
    let mut config = Config::default();
    config.set("maxmemory-clients", &["300kb"]).unwrap();
    let mut engine = Engine::new(config, Seed(1), Now::default());
    let (publisher, listener) = (ConnId(1), ConnId(2));
    for conn in [publisher, listener] {
        let origin = Origin::Unix { path: "/tmp/s".into() };
        engine.step(Now::default(), Input::Opened { conn, origin }, &mut Effects::new());
    }
    say(&mut engine, listener, "SUBSCRIBE c");
    let line = format!("PUBLISH c {}", "x".repeat(50_000));
    let evicts = |effects: &[Effect]| effects.contains(&Effect::Abort(listener));
    for _ in 0..6 {
        assert!(!evicts(&say(&mut engine, publisher, &line)));
    }
    // What the driver has taken and not written counts, too.
    engine.take_output(listener, &mut Vec::new());
    let effects = say(&mut engine, publisher, "INFO");
    assert!(!evicts(&effects), "{effects:?}");
    assert!(!evicts(&say(&mut engine, publisher, &line)));
    assert!(evicts(&say(&mut engine, publisher, "PING")));
    assert_eq!(engine.state().sessions.counted_bytes() / 100_000, 0);
}

#[test]
fn what_has_left_counts_for_nothing() {
    let (mut server, conn) = server(&[("maxmemory-clients", "300kb")]);
    let listener = server.connect();
    server.line(listener, "SUBSCRIBE c");
    for _ in 0..10 {
        server.line(conn, &format!("PUBLISH c {}", "x".repeat(50_000)));
        server.engine().check_invariants();
    }
    assert!(!server.is_closed(listener) && !server.is_closed(conn));
}

#[test]
fn the_list_shows_what_clients_take() {
    let (mut server, conn) = server(&[]);
    let other = server.connect();
    server.check(other, "CLIENT SETNAME other", "OK");
    let whole = format!("*2\r\n$3\r\nGET\r\n${}\r\n{}", 10 << 20, "x".repeat(100_000));
    server.send(other, whole.as_bytes());
    let Value::Bulk(text) = server.line(conn, "CLIENT LIST") else { panic!("a list is text") };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find(|line| line.contains("name=other")).unwrap();
    let field = |name: &str| -> usize {
        let start = line.find(&format!(" {name}=")).unwrap() + name.len() + 2;
        line[start..].split(' ').next().unwrap().parse().unwrap()
    };
    // What stands before the long word was parsed.
    assert_eq!(field("qbuf"), 100_000);
    assert_eq!(field("argv-mem"), 3);
    assert!((1_100_000..1_200_000).contains(&field("tot-mem")), "{line}");
}

/// Found by the simulator (seed 2109): a client counted for nothing between the steps of its
/// script.
#[test]
fn who_runs_a_script_counts_while_it_runs() {
    let (mut server, conn) = server(&[("maxmemory", "1gb")]);
    let other = server.connect();
    server.send(conn, &encode(&["EVAL", "while true do end", "0"]));
    for _ in 0..3 {
        server.tick();
        server.engine().check_invariants();
    }
    server.oversleep_ms(10_000);
    server.tick();
    assert_eq!(server.send(other, b"SCRIPT KILL\r\n"), b"+OK\r\n");
    server.advance_ms(1);
    assert!(server.output(conn).starts_with(b"-ERR Script killed by user"));
    server.engine().check_invariants();
}
