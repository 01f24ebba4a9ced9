//! Nothing is allowed inside a fence that would be refused outside of it.

use orrery_engine::{ConnId, DiskErrorKind};
use orrery_tests::server_in_process::Server;

use crate::{Files, check_all, server, start};

const NO_KEY: &str =
    "(error) NOPERM this user has no permissions to access one of the keys used as arguments";
const NO_CHANNEL: &str =
    "(error) NOPERM this user has no permissions to access one of the channels used as arguments";

fn no_command(name: &str) -> String {
    format!("(error) NOPERM this user has no permissions to run the '{name}' command")
}

/// A client of a user with these rights.
fn user(server: &mut Server, admin: ConnId, rules: &str) -> ConnId {
    server.check(admin, &format!("ACL SETUSER u reset on nopass {rules}"), "OK");
    let conn = server.connect();
    server.check(conn, "AUTH u x", "OK");
    conn
}

#[test]
fn the_user_needs_the_rights_for_both() {
    let (mut server, admin) = server();
    server.check(admin, "SET data v", "OK");
    let conn = user(&mut server, admin, "+fence +get +publish &news ~reg ~data");
    check_all(
        &mut server,
        conn,
        &[
            ("FENCE reg 1 GET data", "\"v\""),
            ("FENCE reg 2 SET data w", &no_command("set")),
            ("FENCE reg 2 GET other", NO_KEY),
            ("FENCE other 2 GET data", NO_KEY),
            ("FENCE reg 2 PUBLISH sport x", NO_CHANNEL),
            ("FENCE reg 1 PUBLISH news x", "(integer) 0"),
        ],
    );
    server.check(admin, "GET reg", "\"1\"");
    let says = "\"This user has no permissions to run the \\'set\\' command\"";
    let no_key = "\"This user has no permissions to access the \\'other\\' key\"";
    check_all(
        &mut server,
        admin,
        &[
            ("ACL DRYRUN u FENCE reg 2 GET data", "OK"),
            ("ACL DRYRUN u FENCE reg 2 SET data w", says),
            ("ACL DRYRUN u FENCE reg 2 GET other", no_key),
            ("ACL DRYRUN u FENCE other 2 GET data", no_key),
        ],
    );
    let log = server.line(admin, "ACL LOG").to_string();
    assert!(log.contains("\"set\"") && log.contains("\"sport\""), "{log}");

    let conn = user(&mut server, admin, "+get ~reg ~data");
    server.check(conn, "FENCE reg 2 GET data", &no_command("fence"));
    // A fence is for somebody who may read and write the register.
    for rules in ["+fence +get %R~reg ~data", "+fence +get %W~reg ~data"] {
        let conn = user(&mut server, admin, rules);
        server.check(conn, "FENCE reg 2 GET data", NO_KEY);
    }
    // Each may be allowed by rules of its own.
    let conn = user(&mut server, admin, "+fence ~reg (+get ~data)");
    server.check(conn, "FENCE reg 1 GET data", "\"v\"");
    server.check(conn, "FENCE reg 2 GET reg", NO_KEY);
    server.check(admin, "GET reg", "\"1\"");
}

#[test]
fn rights_are_asked_for_again_when_a_transaction_is_run() {
    let (mut server, admin) = server();
    let conn = user(&mut server, admin, "+fence +set +multi +exec ~*");
    check_all(&mut server, conn, &[("MULTI", "OK"), ("FENCE reg 1 SET k v", "QUEUED")]);
    server.check(admin, "ACL SETUSER u -set", "OK");
    let reply = server.line(conn, "EXEC").to_string();
    assert!(reply.contains("NOPERM") && reply.contains("no permission to execute"), "{reply}");
    server.check(admin, "DBSIZE", "(integer) 0");
    check_all(
        &mut server,
        conn,
        &[
            ("MULTI", "OK"),
            ("FENCE reg 1 SET k v", &no_command("set")),
            ("EXEC", "(error) EXECABORT Transaction discarded because of previous errors."),
        ],
    );
}

#[test]
fn clients_find_the_keys_of_both() {
    let (mut server, conn) = server();
    check_all(
        &mut server,
        conn,
        &[
            ("COMMAND GETKEYS FENCE r 1 MSET a 1 b 2", "1) \"r\"\n2) \"a\"\n3) \"b\""),
            ("COMMAND GETKEYS FENCE r 1 PING", "1) \"r\""),
            ("COMMAND GETKEYS FENCE r 1 EVAL x 1 k a", "1) \"r\"\n2) \"k\""),
            (
                "COMMAND GETKEYS FENCE r 1 GET",
                "(error) ERR wrong number of arguments for 'get' command",
            ),
            (
                "COMMAND GETKEYS FENCE r 1 FENCE s 1 GET k",
                "(error) ERR 'fence' cannot be run by 'fence'",
            ),
        ],
    );
    let flags = server.line(conn, "COMMAND GETKEYSANDFLAGS FENCE r 1 GET k").to_string();
    assert!(flags.contains("RW") && flags.contains("RO"), "{flags}");
    let info = server.line(conn, "COMMAND INFO fence").to_string();
    assert!(info.contains("movablekeys") && info.contains("@write"), "{info}");
}

/// Words without end, each the beginning of a fence: nothing looks deeper than one.
#[test]
fn fences_inside_fences_are_not_followed() {
    let (mut server, conn) = server();
    let words: Vec<&str> = ["FENCE", "r", "1"].into_iter().cycle().take(300_000).collect();
    let reply = server.call(conn, &words).to_string();
    assert_eq!(reply, "(error) ERR 'fence' cannot be run by 'fence'");
    let words: Vec<&str> = ["COMMAND", "GETKEYS"].into_iter().chain(words).collect();
    assert!(server.call(conn, &words).is_error());
}

#[test]
fn memory_is_refused_to_what_would_take_it() {
    let (mut server, conn) = server();
    server.check(conn, "SET k v", "OK");
    server.check(conn, "CONFIG SET maxmemory 1", "OK");
    let full = "(error) OOM command not allowed when used memory > 'maxmemory'.";
    check_all(
        &mut server,
        conn,
        &[
            ("FENCE r 1 SET k w", full),
            ("EXISTS r", "(integer) 0"),
            ("FENCE r 1 GET k", "\"v\""),
            ("FENCE r 2 DEL k", "(integer) 1"),
            ("GET r", "\"2\""),
        ],
    );
}

#[test]
fn a_fence_is_a_write_whatever_it_runs() {
    let (mut server, conn) = server();
    server.check(conn, "CONFIG SET min-replicas-to-write 1", "OK");
    let refused = "(error) NOREPLICAS Not enough good replicas to write.";
    server.check(conn, "FENCE r 1 GET k", refused);
    server.check(conn, "CONFIG SET min-replicas-to-write 0", "OK");
    let admin = server.connect();
    server.check(admin, "CLIENT PAUSE 1000 WRITE", "OK");
    assert_eq!(server.send(conn, b"FENCE r 1 GET k\r\n"), b"");
    server.check(admin, "EXISTS r", "(integer) 0");
    server.advance_ms(1000);
    assert_eq!(server.output(conn), b"$-1\r\n");
    // A script that only reads may not have one, nor may any other.
    let script = "EVAL \"return redis.call('FENCE', KEYS[1], '2', 'PING')\" 1 r";
    let reply = server.line(conn, script).to_string();
    assert!(reply.contains("not allowed from script"), "{reply}");
}

#[test]
fn a_lock_that_may_be_another_s_is_not_made_by_a_fence() {
    let grace = [("lock-grace", "lock:*")];
    let (mut server, conn) = start(&grace, Files::new());
    server.check(conn, "SET lock:a mine PX 1000", "OK");
    let files = server.disk().files.clone();
    let (mut server, conn) = start(&grace, files);
    for line in ["FENCE r 1 SET lock:a x", "FENCE r 1 INCR lock:a", "FENCE lock:r 1 GET k"] {
        let reply = server.line(conn, line).to_string();
        assert!(reply.starts_with("(error) LOCKGRACE "), "{line}: {reply}");
    }
    server.check(conn, "DBSIZE", "(integer) 0");
    let script = "FENCE r 1 EVAL \"return redis.call('SET', 'lock:a', 1)\" 0";
    let reply = server.line(conn, script).to_string();
    assert!(reply.starts_with("(error) LOCKGRACE "), "{reply}");
    server.check(conn, "EXISTS lock:a", "(integer) 0");
    server.advance_ms(2048);
    server.check(conn, "FENCE lock:r 1 SET lock:a x", "OK");
}

#[test]
fn a_renamed_command_is_found_by_its_name_and_guarded() {
    let (mut server, admin) = start(&[("rename-command", "GET FETCH")], Files::new());
    server.check(admin, "SET data v", "OK");
    let conn = user(&mut server, admin, "+fence +get ~reg ~data");
    check_all(
        &mut server,
        conn,
        &[("FENCE reg 1 FETCH data", "\"v\""), ("FENCE reg 2 FETCH other", NO_KEY)],
    );
    let reply = server.line(conn, "FENCE reg 2 GET data").to_string();
    assert!(reply.starts_with("(error) ERR unknown command 'GET'"), "{reply}");
}

#[test]
fn a_disk_that_fails_refuses_every_fence() {
    let (mut server, conn) = start(&[("save", "3600 1")], Files::new());
    server.check(conn, "SET k v", "OK");
    server.disk().failure = Some(DiskErrorKind::NoSpace);
    server.check(conn, "BGSAVE", "Background saving started");
    server.advance_ms(10);
    let script = "FENCE r 1 EVAL \"return redis.call('GET', 'k')\" 0";
    for line in ["FENCE r 1 GET k", "FENCE r 1 SET k w", script] {
        let reply = server.line(conn, line).to_string();
        assert!(reply.starts_with("(error) MISCONF "), "{line}: {reply}");
    }
    server.check(conn, "EXISTS r", "(integer) 0");
}
