//! `protected-keys`: keys that are neither evicted nor flushed.

use orrery_engine::{Config, Seed};
use orrery_tests::server_in_process::Server;

use super::server;

#[test]
fn protected_keys_are_not_evicted() {
    for policy in ["allkeys-lru", "allkeys-random", "allkeys-lfu", "volatile-lru", "volatile-ttl"] {
        let (mut server, conn) =
            server(&[("maxmemory-policy", policy), ("protected-keys", "lock:* leader")]);
        for index in 0..300 {
            server.check(conn, &format!("SET lock:{index} owner EX 1000"), "OK");
        }
        server.check(conn, "SET leader me", "OK");
        for index in 0..10 {
            server.check(conn, &format!("SET cache:{index} x EX 1000"), "OK");
        }
        server.check(conn, "CONFIG SET maxmemory 1000", "OK");
        server.advance_ms(0);
        server.check(conn, "DBSIZE", "(integer) 301");
        let refused = "(error) OOM command not allowed when used memory > 'maxmemory'.";
        // A search that is under way lets commands through.
        for _ in 0..20 {
            server.line(conn, "SET lock:new x");
        }
        server.check(conn, "SET lock:new x", refused);
        server.engine().check_invariants();
    }
}

#[test]
fn a_flush_keeps_protected_keys_unless_it_is_forced() {
    let (mut server, conn) = server(&[("protected-keys", "lock:*")]);
    server.check(conn, "SET lock:a owner EX 100", "OK");
    server.check(conn, "HSET lock:h f v", "(integer) 1");
    server.check(conn, "SET cache x", "OK");
    server.check(conn, "SELECT 1", "OK");
    server.check(conn, "SET lock:b owner", "OK");
    server.check(conn, "SET cache x", "OK");
    server.check(conn, "FLUSHDB", "OK");
    server.check(conn, "DBSIZE", "(integer) 1");
    server.check(conn, "SELECT 0", "OK");
    server.check(conn, "FLUSHALL SYNC", "OK");
    server.check(conn, "DBSIZE", "(integer) 2");
    server.check(conn, "TTL lock:a", "(integer) 100");
    server.check(conn, "HGET lock:h f", "\"v\"");
    server.engine().check_invariants();
    server.check(conn, "SWAPDB 0 1", "OK");
    server.check(conn, "FLUSHDB ASYNC", "OK");
    server.check(conn, "GET lock:b", "\"owner\"");
    server.check(conn, "RENAME lock:b other", "OK");
    server.check(conn, "FLUSHDB", "OK");
    server.check(conn, "DBSIZE", "(integer) 0");
    server.check(conn, "FLUSHALL FORCE", "OK");
    server.check(conn, "SELECT 1", "OK");
    server.check(conn, "DBSIZE", "(integer) 0");
    server.check(conn, "FLUSHALL FORCE SYNC", "(error) ERR syntax error");
    server.check(conn, "FLUSHALL SYNC FORCE", "OK");
    server.engine().check_invariants();
}

#[test]
fn a_key_that_is_deleted_or_has_expired_is_gone_all_the_same() {
    let (mut server, conn) = server(&[("protected-keys", "lock:*")]);
    server.check(conn, "SET lock:a owner PX 10", "OK");
    server.check(conn, "SET lock:b owner", "OK");
    server.check(conn, "DEL lock:b", "(integer) 1");
    server.advance_ms(20);
    server.check(conn, "DBSIZE", "(integer) 0");
    server.check(conn, "FLUSHALL", "OK");
    server.check(conn, "DBSIZE", "(integer) 0");
    server.engine().check_invariants();
}

#[test]
fn the_patterns_are_those_of_the_start() {
    let mut config = Config::default();
    config.set("protected-keys", &["a*", "b?"]).unwrap();
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    server.check(conn, "CONFIG GET protected-keys", "1) \"protected-keys\"\n2) \"a* b?\"");
    let reply = server.line(conn, "CONFIG SET protected-keys x").to_string();
    assert!(reply.contains("can't set immutable config"), "{reply}");
}
