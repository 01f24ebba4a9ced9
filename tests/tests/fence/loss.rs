//! A holder that tracks its lock's key is told at once when the lock is lost, and who caches a
//! register is told of newer tokens.

use orrery_engine::ConnId;
use orrery_tests::server_in_process::Server;

use crate::{Files, check_all, server, start};

const LOST: &str = ">2\\r\\n$10\\r\\ninvalidate\\r\\n*1\\r\\n$4\\r\\nlock\\r\\n";

fn heard(server: &mut Server, conn: ConnId) -> String {
    server.output(conn).escape_ascii().to_string()
}

/// A client that has the lock for a second and is told of its loss over the same connection.
fn holder(server: &mut Server) -> ConnId {
    let conn = server.connect();
    server.line(conn, "HELLO 3");
    check_all(
        server,
        conn,
        &[
            ("CLIENT TRACKING ON NOLOOP", "OK"),
            ("SET lock mine NX PX 1000", "OK"),
            ("GET lock", "\"mine\""),
        ],
    );
    conn
}

#[test]
fn a_holder_is_told_when_its_lock_is_deleted_or_taken() {
    for line in ["DEL lock", "SET lock other", "RENAME lock away", "FLUSHDB"] {
        let (mut server, other) = server();
        let conn = holder(&mut server);
        server.line(other, line);
        let text = heard(&mut server, conn);
        let everything = line == "FLUSHDB" && text.contains("invalidate\\r\\n_\\r\\n");
        assert!(text == LOST || everything, "{line}: {text}");
    }
}

#[test]
fn a_holder_is_told_in_the_very_millisecond_in_which_its_lock_expires() {
    let (mut server, _) = server();
    let conn = holder(&mut server);
    server.advance_ms(1000);
    assert_eq!(heard(&mut server, conn), "", "a key lives through the millisecond of its end");
    server.advance_ms(1);
    assert_eq!(heard(&mut server, conn), LOST);
}

#[test]
fn an_extension_is_no_loss_to_who_made_it_and_the_end_comes_later() {
    let (mut server, _) = server();
    let conn = holder(&mut server);
    server.advance_ms(900);
    check_all(
        &mut server,
        conn,
        &[
            ("SET lock mine IFEQ mine PX 1000", "OK"),
            // What was told or changed once has to be read again to be told of once more.
            ("GET lock", "\"mine\""),
        ],
    );
    server.advance_ms(1000);
    assert_eq!(heard(&mut server, conn), "");
    server.advance_ms(1);
    assert_eq!(heard(&mut server, conn), LOST);
}

#[test]
fn a_holder_is_told_when_its_lock_is_evicted() {
    let (mut server, other) = start(&[("maxmemory-policy", "volatile-ttl")], Files::new());
    let conn = holder(&mut server);
    let limit = server.engine().state().memory_used() + 2000;
    server.check(other, &format!("CONFIG SET maxmemory {limit}"), "OK");
    // It is evicted for this one, in vain: even so there is not enough.
    let reply = server.line(other, &format!("SET big {}", "x".repeat(4000))).to_string();
    assert!(reply.starts_with("(error) OOM "), "{reply}");
    server.check(other, "EXISTS lock", "(integer) 0");
    assert_eq!(heard(&mut server, conn), LOST);
}

#[test]
fn a_holder_of_resp2_is_told_over_a_second_connection() {
    let (mut server, ears) = server();
    let id = server.line(ears, "CLIENT ID").to_string();
    let id = id.strip_prefix("(integer) ").expect("a number").to_owned();
    server.line(ears, "SUBSCRIBE __redis__:invalidate");
    let conn = server.connect();
    let lost = "*3\\r\\n$7\\r\\nmessage\\r\\n$20\\r\\n__redis__:invalidate\\r\\n\
                *1\\r\\n$4\\r\\nlock\\r\\n";
    server.check(conn, &format!("CLIENT TRACKING ON REDIRECT {id}"), "OK");
    let other = server.connect();
    for is_deleted in [true, false] {
        server.check(conn, "SET lock mine NX PX 1000", "OK");
        server.check(conn, "GET lock", "\"mine\"");
        if is_deleted {
            server.check(other, "DEL lock", "(integer) 1");
        } else {
            server.advance_ms(1000);
            assert_eq!(heard(&mut server, ears), "");
            server.advance_ms(1);
        }
        assert_eq!(heard(&mut server, ears), lost, "deleted: {is_deleted}");
    }
}

#[test]
fn who_caches_a_register_is_told_of_newer_tokens_only() {
    let (mut server, conn) = server();
    let cache = server.connect();
    server.line(cache, "HELLO 3");
    check_all(&mut server, cache, &[("CLIENT TRACKING ON", "OK")]);
    server.check(conn, "FENCE lock 34 PING", "PONG");
    server.check(cache, "GET lock", "\"34\"");
    server.check(conn, "FENCE lock 34 PING", "PONG");
    server.line(conn, "FENCE lock 33 PING");
    assert_eq!(heard(&mut server, cache), "");
    server.check(conn, "FENCE lock 35 PING", "PONG");
    assert_eq!(heard(&mut server, cache), LOST);
    // What a fence reads is tracked as well.
    server.check(cache, "FENCE r 1 GET lock", "\"35\"");
    server.check(conn, "FENCE lock 36 PING", "PONG");
    assert_eq!(heard(&mut server, cache), LOST);
}
