//! SYNC: all keys as a snapshot, and then every change as a command.

use std::collections::BTreeMap;

use orrery_engine::{Config, Seed};
use orrery_tests::server_in_process::Server;

/// Takes the snapshot off the front.
fn snapshot(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    assert_eq!(bytes.first(), Some(&b'$'), "{}", bytes.escape_ascii());
    let end = bytes.iter().position(|&byte| byte == b'\n').expect("a line");
    let len: usize = std::str::from_utf8(&bytes[1..end - 1]).unwrap().parse().unwrap();
    let rest = &bytes[end + 1..];
    (rest[..len].to_vec(), rest[len..].to_vec())
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

#[test]
fn whoever_syncs_gets_all_keys_and_then_every_change() {
    let mut server = Server::default();
    let (conn, reader) = (server.connect(), server.connect());
    for number in 0..5000 {
        server.call(conn, &["SET", &format!("key:{number}"), &number.to_string()]);
    }
    let first = server.send(reader, b"SYNC\r\n");
    let (file, rest) = snapshot(&first);
    assert!(rest.is_empty());
    let files = BTreeMap::from([("dump.rdb".to_owned(), file)]);
    let copy = Server::start(Config::default(), Seed(3), files);
    assert_eq!(copy.engine().digest(), server.engine().digest());
    server.check(conn, "SET a b", "OK");
    server.check(conn, "GET a", "\"b\"");
    server.check(conn, "PUBLISH channel text", "(integer) 0");
    let expected = [
        command(&["SELECT", "0"]),
        command(&["SET", "a", "b"]),
        command(&["PUBLISH", "channel", "text"]),
    ];
    let stream = server.output(reader);
    assert_eq!(stream.escape_ascii().to_string(), expected.concat().escape_ascii().to_string());
    assert_eq!(server.send(reader, b"REPLCONF ACK 10\r\n"), b"");
    server.disconnect(reader);
    server.check(conn, "SET a c", "OK");
    assert!(!server.engine().state().log.is_on(), "nobody reads");
}

#[test]
fn a_snapshot_that_is_longer_than_replicas_may_have_is_refused() {
    let mut server = Server::default();
    let (conn, reader) = (server.connect(), server.connect());
    server.check(conn, "CONFIG SET client-output-buffer-limit \"replica 100000 0 0\"", "OK");
    server.check(conn, "CONFIG SET rdbcompression no", "OK");
    server.call(conn, &["SET", "big", &"x".repeat(200_000)]);
    let text = b"-ERR the snapshot exceeds the output limit of replicas\r\n";
    assert_eq!(server.send(reader, b"SYNC\r\n"), text);
    server.check(conn, "SET a b", "OK");
    server.engine().check_invariants();
}

#[test]
fn messages_about_what_is_not_safe_wait_like_replies() {
    let mut config = Config::default();
    config.set("appendonly", &["yes"]).unwrap();
    config.set("appendfsync", &["always"]).unwrap();
    let mut server = Server::start(config, Seed(1), BTreeMap::new());
    let (conn, listener) = (server.connect(), server.connect());
    server.check(conn, "CONFIG SET notify-keyspace-events KEA", "OK");
    server.send(listener, b"PSUBSCRIBE *\r\n");
    server.stall_disk();
    server.send(conn, b"SET a 1\r\n");
    assert_eq!(server.output(listener), b"");
    server.send(conn, b"SET b 1\r\n");
    assert_eq!(server.output(listener), b"");
    server.release_disk();
    let text = server.output(listener).escape_ascii().to_string();
    assert!(text.contains("__keyspace@0__:a") && text.contains("__keyspace@0__:b"), "{text}");
}
