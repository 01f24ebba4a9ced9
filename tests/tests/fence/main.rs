//! FENCE through the front door: commands of a lock's holder that has lost its lock are refused.

mod gates;
mod loss;
mod model;
mod units;

use std::collections::BTreeMap;

use orrery_engine::config::Access;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::server_in_process::Server;

type Files = BTreeMap<String, Vec<u8>>;

/// A server with these settings that finds these files, and a client.
fn start(directives: &[(&str, &str)], files: Files) -> (Server, ConnId) {
    let mut config = Config { debug_command: Access::Yes, ..Config::default() };
    for (name, words) in [("save", "")].iter().chain(directives) {
        let words: Vec<&str> = words.split(' ').collect();
        config.set(name, &words).expect("a good directive");
    }
    let mut server = Server::start(config, Seed(1), files);
    let conn = server.connect();
    (server, conn)
}

fn server() -> (Server, ConnId) {
    start(&[], Files::new())
}

/// Runs commands and compares each reply.
#[track_caller]
fn check_all(server: &mut Server, conn: ConnId, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        server.check(conn, line, expected);
    }
}

const OLDER: &str = "(error) FENCED token 33 is older than 34";
const ANOTHER: &str = "(error) FENCED token 34 is another owner's";

#[test]
fn a_holder_that_has_lost_its_lock_changes_nothing() {
    let (mut server, a) = server();
    let b = server.connect();
    server.check(a, "FENCE account:fence 33:a SET account 100", "OK");
    // The lock of A runs out while A sleeps; B gets it, with the next token.
    server.check(b, "FENCE account:fence 34:b SET account 70", "OK");
    // A wakes up and goes on.
    for line in [
        "FENCE account:fence 33:a SET account 110",
        "FENCE account:fence 33:a GET account",
        "FENCE account:fence 33:a DEL account",
        "FENCE account:fence 33 PING",
    ] {
        server.check(a, line, OLDER);
    }
    check_all(
        &mut server,
        b,
        &[("FENCE account:fence 34:b GET account", "\"70\""), ("GET account:fence", "\"34:b\"")],
    );
}

/// S27 of the scenarios of locks: a fence that only writes pass does not keep updates.
#[test]
fn what_was_read_before_the_next_holder_cannot_be_written_after_it() {
    let (mut server, a) = server();
    let b = server.connect();
    server.check(a, "SET stock 10", "OK");
    server.check(a, "FENCE stock:fence 33 GET stock", "\"10\"");
    // The lease of A has expired, and the first that B does is to read.
    server.check(b, "FENCE stock:fence 34 GET stock", "\"10\"");
    // If only writes registered, this one would be taken, and then lost.
    server.check(a, "FENCE stock:fence 33 SET stock 9", OLDER);
    server.check(b, "FENCE stock:fence 34 SET stock 7", "OK");
    server.check(a, "GET stock", "\"7\"");
}

/// S28 and S29: a counter that was lost gives the same number out twice.
#[test]
fn two_owners_never_share_a_number() {
    let (mut server, conn) = server();
    check_all(
        &mut server,
        conn,
        &[
            ("FENCE r 34:a SET k a", "OK"),
            ("FENCE r 34:b SET k b", ANOTHER),
            ("FENCE r 34 SET k b", ANOTHER),
            ("FENCE r 34:A SET k b", ANOTHER),
            ("FENCE r 34:a GET k", "\"a\""),
            ("FENCE r 35 SET k c", "OK"),
            ("FENCE r 35:a SET k d", "(error) FENCED token 35 is another owner's"),
            ("FENCE r 35 GET k", "\"c\""),
        ],
    );
}

#[test]
fn what_is_refused_has_done_nothing() {
    let (mut server, conn) = server();
    check_all(
        &mut server,
        conn,
        &[
            ("FENCE r 34 SET k v", "OK"),
            ("RPUSH list x", "(integer) 1"),
            ("SET text hello", "OK"),
            ("SET zeroes 007", "OK"),
            ("SET big 9223372036854775808", "OK"),
        ],
    );
    let before = server.engine().digest();
    let no_token = "(error) ERR the register holds a string that is no fencing token";
    let wrong_type = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
    check_all(
        &mut server,
        conn,
        &[
            ("FENCE r 33 SET k w", OLDER),
            ("FENCE list 35 SET k w", wrong_type),
            ("FENCE text 35 SET k w", no_token),
            ("FENCE zeroes 35 SET k w", no_token),
            ("FENCE big 35 SET k w", no_token),
            ("FENCE", "(error) ERR wrong number of arguments for 'fence' command"),
            ("FENCE r 35", "(error) ERR wrong number of arguments for 'fence' command"),
            ("FENCE r 35 GET", "(error) ERR wrong number of arguments for 'get' command"),
            (
                "FENCE r 35 NOSUCH a",
                "(error) ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
            ),
            (
                "FENCE r 35 OBJECT NOSUCH",
                "(error) ERR unknown subcommand 'NOSUCH'. Try OBJECT HELP.",
            ),
        ],
    );
    for line in [
        "FENCE r 36 GET k",
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH k",
        "SELECT 1",
        "AUTH secret",
        "HELLO 3",
        "RESET",
        "SUBSCRIBE c",
        "MONITOR",
        "CONFIG SET timeout 1",
        "CLIENT REPLY OFF",
        "DEBUG SLEEP 0",
        "SCRIPT FLUSH",
    ] {
        let reply = server.line(conn, &format!("FENCE r 35 {line}")).to_string();
        assert!(reply.ends_with("cannot be run by 'fence'"), "{line}: {reply}");
    }
    assert_eq!(server.engine().digest(), before);
}

#[test]
fn a_token_is_a_number_and_perhaps_an_owner() {
    let (mut server, conn) = server();
    let bad = "(error) ERR a fencing token is N or N:OWNER, N from 0 to 9223372036854775807 \
               without leading zeros, OWNER 1 to 128 bytes";
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for token in ["", "x", "-1", "+1", "01", "1:", ":a", "9223372036854775808", "1.0"] {
        server.check(conn, &format!("FENCE r \"{token}\" SET k v"), bad);
    }
    server.check(conn, &format!("FENCE r 1:{too_long} SET k v"), bad);
    server.check(conn, "DBSIZE", "(integer) 0");
    server.check(conn, "FENCE r 0 SET k v", "OK");
    server.check(conn, &format!("FENCE r 1:{longest} SET k v"), "OK");
    server.check(conn, "FENCE r \"2:a:b \\x00\\r\\n\" SET k v", "OK");
    server.check(conn, "FENCE r \"2:a:b \\x00\\r\\n\" GET k", "\"v\"");
    server.check(conn, "FENCE r 9223372036854775807 SET k v", "OK");
    let last = "(error) FENCED token 9223372036854775806 is older than 9223372036854775807";
    server.check(conn, "FENCE r 9223372036854775806 SET k v", last);
    server.check(conn, "GET r", "\"9223372036854775807\"");
}

#[test]
fn a_command_that_fails_has_registered_its_token() {
    let (mut server, conn) = server();
    check_all(
        &mut server,
        conn,
        &[
            ("SET k word", "OK"),
            ("FENCE r 34 INCR k", "(error) ERR value is not an integer or out of range"),
            ("GET r", "\"34\""),
            ("FENCE r 33 SET k 1", OLDER),
        ],
    );
    let counted = server.line(conn, "INFO commandstats").to_string();
    assert!(counted.contains("cmdstat_incr:calls=1,") && counted.contains("failed_calls=1"));
}

#[test]
fn a_register_is_a_key_like_others() {
    let (mut server, conn) = server();
    check_all(
        &mut server,
        conn,
        &[
            ("FENCE r 1 PING", "PONG"),
            ("TTL r", "(integer) -1"),
            ("PEXPIRE r 5000", "(integer) 1"),
            ("FENCE r 2 PING", "PONG"),
            ("PTTL r", "(integer) 5000"),
            ("COPY r s", "(integer) 1"),
            ("FENCE s 1 PING", "(error) FENCED token 1 is older than 2"),
            ("SET t 34:x", "OK"),
            ("FENCE t 34:x PING", "PONG"),
        ],
    );
    // It is forgotten with the key.
    server.advance_ms(5001);
    server.check(conn, "FENCE r 1 PING", "PONG");
    // The command may even be about the register.
    server.check(conn, "FENCE r 3 DEL r", "(integer) 1");
    server.check(conn, "FENCE r 1 GET r", "\"1\"");
}

#[test]
fn what_would_wait_does_not() {
    let (mut server, conn) = server();
    check_all(
        &mut server,
        conn,
        &[
            ("FENCE r 1 BLPOP list 0", "(nil array)"),
            ("FENCE r 1 WAIT 1 0", "(integer) 0"),
            ("FENCE r 1 RPUSH list x", "(integer) 1"),
            ("FENCE r 1 BLPOP list 0", "1) \"list\"\n2) \"x\""),
        ],
    );
}

/// The script of docs/LOCKS.md.
#[test]
fn tokens_are_issued_by_standard_commands() {
    let (mut server, conn) = server();
    let page = include_str!("../../../docs/LOCKS.md");
    let script = page.split("```").nth(1).and_then(|block| block.strip_prefix("lua\n"));
    let script = script.expect("the first block is the script");
    let ask = |server: &mut Server, who: &str| {
        let words = ["EVAL", script, "2", "lock", "lock:count", who, "1000"];
        server.call(conn, &words).to_string()
    };
    assert_eq!(ask(&mut server, "a"), "(integer) 1");
    assert_eq!(ask(&mut server, "b"), "(nil)");
    server.advance_ms(1001);
    assert_eq!(ask(&mut server, "b"), "(integer) 2");
    check_all(
        &mut server,
        conn,
        &[
            ("FENCE lock:fence 2:b SET k b", "OK"),
            ("FENCE lock:fence 1:a SET k a", "(error) FENCED token 1 is older than 2"),
            ("SET lock b IFEQ b PX 1000", "OK"),
            ("DELEX lock IFEQ b", "(integer) 1"),
        ],
    );
    assert_eq!(ask(&mut server, "a"), "(integer) 3");
}
