//! `lock-grace`: a server that may have forgotten who holds a lock gives it to nobody for a time.

use std::collections::BTreeMap;

use orrery_engine::config::Access;
use orrery_engine::{Config, ConnId, DiskErrorKind, Effect, Input, Seed};
use orrery_tests::server_in_process::Server;

const FILE: &str = "lock-grace.state";
type Files = BTreeMap<String, Vec<u8>>;

/// A server whose locks are `lock:*`, and a client of it.
fn start(directives: &[(&str, &str)], files: Files) -> (Server, ConnId) {
    let mut config = Config { debug_command: Access::Yes, ..Config::default() };
    for (name, words) in [("save", ""), ("lock-grace", "lock:*")].iter().chain(directives) {
        let words: Vec<&str> = words.split(' ').collect();
        config.set(name, &words).expect("a good directive");
    }
    let mut server = Server::start(config, Seed(1), files);
    let conn = server.connect();
    (server, conn)
}

/// The process is killed: what is in files is there.
fn kill(server: &mut Server) -> Files {
    server.disk().files.clone()
}

const LOG: (&str, &str) = ("appendonly", "yes");
const ALWAYS: (&str, &str) = ("appendfsync", "always");

#[track_caller]
fn is_refused(server: &mut Server, conn: ConnId, line: &str, ms: u64) {
    let expected = format!(
        "(error) LOCKGRACE The server may have lost who holds this lock when it ended. It can be \
         had in {ms} milliseconds."
    );
    server.check(conn, line, &expected);
}

fn kept_ms(server: &mut Server) -> String {
    let file = server.disk().files.get(FILE).expect("it was written").clone();
    let text = String::from_utf8(file).expect("text");
    text.split(' ').nth(2).expect("a number").to_owned()
}

#[test]
fn a_lock_is_not_granted_twice_by_a_server_that_has_forgotten_it() {
    let (mut server, conn) = start(&[], Files::new());
    server.check(conn, "SET lock:a mine NX PX 10000", "OK");
    assert_eq!(kept_ms(&mut server), "16384");
    let files = kill(&mut server);

    let (mut server, conn) = start(&[], files);
    is_refused(&mut server, conn, "SET lock:a other NX PX 10000", 16_384);
    server.advance_ms(10_000);
    is_refused(&mut server, conn, "SET lock:b other NX PX 10000", 6_384);
    server.advance_ms(6_384);
    server.check(conn, "SET lock:a other NX PX 1000", "OK");
    assert_eq!(kept_ms(&mut server), "2048", "the longest lock of this server");
}

#[test]
fn whatever_makes_a_key_is_refused_and_nothing_else() {
    let (mut server, conn) = start(&[], Files::new());
    server.check(conn, "SET lock:a mine PX 1000", "OK");
    let files = kill(&mut server);
    let (mut server, conn) = start(&[], files);
    server.check(conn, "SET other 1 PX 5000", "OK");
    for line in [
        "SET lock:a 1",
        "INCR lock:a",
        "APPEND lock:a x",
        "MSET other 2 lock:a 1",
        "RENAME other lock:a",
        "COPY other lock:a",
        "HSET lock:a f v",
        "RPUSH lock:a x",
        "ZADD lock:a 1 x",
        "XADD lock:a * f v",
        "SORT list STORE lock:a",
        "BITOP NOT lock:a other",
    ] {
        is_refused(&mut server, conn, line, 2048);
    }
    let script = "EVAL \"return redis.call('SET', KEYS[1], 1)\" 1 lock:a";
    let reply = server.line(conn, script).to_string();
    assert!(reply.starts_with("(error) LOCKGRACE "), "{reply}");
    for line in ["MULTI", "SET lock:a 1"] {
        server.line(conn, line);
    }
    let reply = server.line(conn, "EXEC").to_string();
    assert!(reply.contains("LOCKGRACE "), "{reply}");
    for (line, expected) in [
        ("GET lock:a", "(nil)"),
        ("DEL lock:a", "(integer) 0"),
        ("PEXPIRE lock:a 1000", "(integer) 0"),
        ("EXISTS lock:a", "(integer) 0"),
        ("SET other 3", "OK"),
        ("DBSIZE", "(integer) 1"),
    ] {
        server.check(conn, line, expected);
    }
}

#[test]
fn a_lock_that_was_not_lost_can_be_used() {
    let (mut server, conn) = start(&[LOG], Files::new());
    server.check(conn, "SET lock:a mine NX PX 10000", "OK");
    let files = kill(&mut server);
    let (mut server, conn) = start(&[LOG], files);
    server.check(conn, "GET lock:a", "\"mine\"");
    server.check(conn, "SET lock:a other NX PX 10000", "(nil)");
    server.check(conn, "PEXPIRE lock:a 20000", "(integer) 1");
    assert_eq!(kept_ms(&mut server), "32768");
    server.check(conn, "DEL lock:a", "(integer) 1");
    // Who knows who had it last?
    is_refused(&mut server, conn, "SET lock:a other NX PX 10000", 16_384);
}

#[test]
fn a_key_that_comes_to_another_database_is_made_there() {
    let (mut server, conn) = start(&[LOG], Files::new());
    server.check(conn, "SET lock:a mine PX 10000", "OK");
    server.check(conn, "SET other 1", "OK");
    let files = kill(&mut server);
    let (mut server, conn) = start(&[LOG], files);
    is_refused(&mut server, conn, "MOVE lock:a 1", 16_384);
    is_refused(&mut server, conn, "COPY other lock:a DB 1", 16_384);
    is_refused(&mut server, conn, "COPY lock:a lock:a DB 1 REPLACE", 16_384);
    server.check(conn, "COPY lock:a other DB 1", "(integer) 1");
    server.check(conn, "MOVE other 2", "(integer) 1");
    server.check(conn, "MOVE lock:a 99", "(error) ERR DB index is out of range");
    server.check(conn, "GET lock:a", "\"mine\"");
    server.advance_ms(16_384);
    server.check(conn, "COPY lock:a lock:a DB 1", "(integer) 0");
}

#[test]
fn nothing_waits_after_an_end_that_lost_nothing() {
    for (directives, command) in
        [(&[][..], "SHUTDOWN SAVE"), (&[LOG], "SHUTDOWN"), (&[("save", "3600 1")], "SHUTDOWN")]
    {
        let (mut server, conn) = start(directives, Files::new());
        server.check(conn, "SET lock:a mine NX PX 10000", "OK");
        server.send(conn, format!("{command}\r\n").as_bytes());
        server.advance_ms(1);
        assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }), "{command}");
        assert_eq!(kept_ms(&mut server), "0");
        let files = kill(&mut server);
        let (mut server, conn) = start(directives, files);
        server.check(conn, "GET lock:a", "\"mine\"");
        server.check(conn, "SET lock:b mine NX PX 10000", "OK");
    }
}

#[test]
fn an_end_that_lost_the_locks_is_not_a_good_one() {
    let (mut server, conn) = start(&[], Files::new());
    server.check(conn, "SET lock:a mine NX PX 1000", "OK");
    server.send(conn, b"SHUTDOWN\r\n");
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
    let files = kill(&mut server);
    let (mut server, conn) = start(&[], files);
    is_refused(&mut server, conn, "SET lock:a other NX PX 1000", 2048);
    // And one in between does not shorten the time.
    server.advance_ms(48);
    server.send(conn, b"SHUTDOWN SAVE\r\n");
    server.advance_ms(1);
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
    let files = kill(&mut server);
    let (mut server, conn) = start(&[], files);
    is_refused(&mut server, conn, "SET lock:a other NX PX 1000", 2048);
}

#[test]
fn a_log_that_is_synced_before_anybody_is_told_needs_no_grace() {
    let (mut server, conn) = start(&[LOG, ALWAYS], Files::new());
    server.check(conn, "SET lock:a mine NX PX 10000", "OK");
    assert!(!server.disk().files.contains_key(FILE));
    // From the moment on at which it is not.
    server.check(conn, "CONFIG SET appendfsync everysec", "OK");
    assert_eq!(kept_ms(&mut server), "16384");
    server.check(conn, "SET lock:b mine NX PX 20000", "OK");
    assert_eq!(kept_ms(&mut server), "32768");
}

#[test]
fn nobody_is_told_of_a_lock_before_the_disk_knows_how_long_it_lives() {
    let (mut server, conn) = start(&[], Files::new());
    server.stall_disk();
    assert_eq!(server.send(conn, b"SET lock:a mine NX PX 1000\r\n"), b"");
    // Nor does anybody else see it.
    let other = server.connect();
    assert_eq!(server.send(other, b"GET lock:a\r\n"), b"");
    server.release_disk();
    assert_eq!(server.output(conn), b"+OK\r\n");
    assert_eq!(server.output(other), b"$4\r\nmine\r\n");
    // What is known need not be written again, and what is no lock never waits.
    server.stall_disk();
    server.check(conn, "SET lock:b mine NX PX 1000", "OK");
    server.check(conn, "SET other mine NX PX 100000", "OK");
    assert_eq!(server.send(conn, b"PEXPIRE lock:b 100000\r\n"), b"");
    server.release_disk();
    assert_eq!(server.output(conn), b":1\r\n");
}

#[test]
fn a_disk_that_cannot_write_it_is_asked_again() {
    let (mut server, conn) = start(&[], Files::new());
    server.disk().failure = Some(DiskErrorKind::NoSpace);
    assert_eq!(server.send(conn, b"SET lock:a mine NX PX 1000\r\n"), b"");
    server.advance_ms(500);
    assert_eq!(server.output(conn), b"");
    server.disk().failure = None;
    server.advance_ms(600);
    assert_eq!(server.output(conn), b"+OK\r\n");
    assert_eq!(kept_ms(&mut server), "2048");
}

#[test]
fn a_broken_file_means_the_longest_time() {
    let files = Files::from([(FILE.to_owned(), b"orrery-lock-grace 1 2048 0\n".to_vec())]);
    let (mut server, conn) = start(&[("lock-grace-max-ttl", "5000")], files);
    is_refused(&mut server, conn, "SET lock:a mine NX PX 1000", 5000);
    let info = server.line(conn, "INFO persistence").to_string();
    assert!(info.contains("orrery_lock_grace_left_ms:5000"), "{info}");
    server.advance_ms(5000);
    server.check(conn, "SET lock:a mine NX PX 1000000", "OK");
    assert_eq!(kept_ms(&mut server), "5000", "the limit");
}

#[test]
fn clients_wait_until_it_is_known_how_the_server_before_has_ended() {
    let mut config = Config::default();
    config.set("lock-grace", &["lock:*"]).expect("a good directive");
    let mut server = Server::new(config, Seed(1));
    server.stall_disk();
    let conn = server.connect();
    server.input(Input::Start);
    let expected = "(error) LOADING Redis is loading the dataset in memory (0 %)";
    server.check(conn, "GET lock:a", expected);
    server.release_disk();
    server.check(conn, "GET lock:a", "(nil)");
}

#[test]
fn without_the_parameter_there_is_no_file() {
    let mut server = Server::start(Config::default(), Seed(1), Files::new());
    let conn = server.connect();
    server.check(conn, "SET lock:a mine NX PX 1000", "OK");
    assert!(!server.disk().files.contains_key(FILE));
    server.check(
        conn,
        "CONFIG SET lock-grace lock:*",
        "(error) ERR CONFIG SET failed (possibly related to argument 'lock-grace') - can't set \
         immutable config",
    );
}

#[test]
fn a_lock_without_an_end_counts_as_the_longest() {
    let (mut server, conn) = start(&[], Files::new());
    server.check(conn, "SET lock:a mine NX", "OK");
    assert_eq!(kept_ms(&mut server), "3600000");
}

#[test]
fn a_log_that_is_switched_off_does_not_take_its_locks_with_it() {
    let (mut server, conn) = start(&[LOG, ALWAYS], Files::new());
    server.check(conn, "SET lock:a mine NX PX 10000", "OK");
    server.check(conn, "CONFIG SET appendonly no", "OK");
    assert_eq!(kept_ms(&mut server), "16384");
    let files = kill(&mut server);
    let (mut server, conn) = start(&[], files);
    is_refused(&mut server, conn, "SET lock:a other NX PX 10000", 16_384);
}

/// The file is about to say that there is nothing to wait for.
#[test]
fn a_lock_that_is_granted_as_the_wait_ends_waits_for_the_file() {
    let (mut server, conn) = start(&[], Files::new());
    server.check(conn, "SET lock:a mine NX PX 10000", "OK");
    let files = kill(&mut server);
    let (mut server, conn) = start(&[], files);
    server.stall_disk();
    server.advance_ms(16_384);
    assert_eq!(server.send(conn, b"SET lock:a other NX PX 10000\r\n"), b"");
    server.release_disk();
    assert_eq!(server.output(conn), b"+OK\r\n");
    assert_eq!(kept_ms(&mut server), "16384");
}

#[test]
fn a_broken_file_is_replaced_before_locks_are_granted_by_it() {
    let files = Files::from([(FILE.to_owned(), b"nonsense".to_vec())]);
    let (mut server, conn) = start(&[("lock-grace-max-ttl", "60000")], files);
    is_refused(&mut server, conn, "SET lock:a mine NX PX 1000", 60_000);
    assert_eq!(kept_ms(&mut server), "60000");
    let files = kill(&mut server);
    let (mut server, conn) = start(&[("lock-grace-max-ttl", "60000")], files);
    is_refused(&mut server, conn, "SET lock:a mine NX PX 1000", 60_000);
}

#[test]
fn the_longest_time_has_limits() {
    for (limit_ms, expected) in [("1000", "1000"), ("31536000000", "31536000000")] {
        let (mut server, conn) = start(&[("lock-grace-max-ttl", limit_ms)], Files::new());
        server.check(conn, "SET lock:a mine NX", "OK");
        assert_eq!(kept_ms(&mut server), expected);
        let files = kill(&mut server);
        let (mut server, conn) = start(&[("lock-grace-max-ttl", limit_ms)], files);
        let ms = expected.parse().expect("a number");
        is_refused(&mut server, conn, "SET lock:a other NX", ms);
    }
    let mut config = Config::default();
    for wrong in ["999", "31536000001"] {
        assert!(config.set("lock-grace-max-ttl", &[wrong]).is_err(), "{wrong}");
    }
}
