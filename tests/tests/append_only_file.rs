//! The append-only file through the front door: what is in it, when clients are told, and what a
//! server makes of it when it starts.

use std::collections::BTreeMap;

use orrery_engine::config::Access;
use orrery_engine::{Config, ConnId, DiskErrorKind, DiskOp, Effect, Input, Seed};
use orrery_tests::server_in_process::Server;

const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
const FIRST: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const BASE: &str = "appendonlydir/appendonly.aof.1.base.rdb";

fn config(directives: &[(&str, &str)]) -> Config {
    let mut config = Config { debug_command: Access::Yes, ..Config::default() };
    config.set("appendonly", &["yes"]).expect("a good directive");
    for (name, words) in directives {
        let words: Vec<&str> = words.split(' ').collect();
        config.set(name, &words).expect("a good directive");
    }
    config
}

fn server(directives: &[(&str, &str)]) -> Server {
    Server::start(config(directives), Seed(1), BTreeMap::new())
}

const ALWAYS: &[(&str, &str)] = &[("appendfsync", "always")];

fn restart(server: &mut Server, directives: &[(&str, &str)]) -> Server {
    let files = server.disk().files.clone();
    Server::start(config(directives), Seed(2), files)
}

fn text(server: &mut Server, path: &str) -> String {
    let bytes = server.disk().files.get(path).unwrap_or_else(|| panic!("there is no {path}"));
    bytes.escape_ascii().to_string()
}

fn info(server: &mut Server, conn: ConnId, name: &str) -> String {
    let text = server.line(conn, "INFO persistence").to_string();
    let at = text.find(&format!("{name}:")).unwrap_or_else(|| panic!("no {name} in {text}"));
    let value = &text[at + name.len() + 1..];
    value[..value.find("\\r").unwrap_or(value.len())].lines().next().unwrap_or("").to_owned()
}

fn write_some(server: &mut Server, conn: ConnId) {
    for line in [
        "SET string value",
        "SET soon x PX 50000",
        "RPUSH list a b 3",
        "HSET hash f v g 2",
        "ZADD zset 1 a 2.5 b",
        "XADD stream * f v",
        "SELECT 3",
        "SET other db",
        "INCRBYFLOAT float 1.5",
        "SELECT 0",
    ] {
        assert!(!server.line(conn, line).to_string().starts_with("(error)"), "{line}");
    }
}

#[test]
fn a_new_log_has_redis_s_files() {
    let mut server = server(ALWAYS);
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    let names: Vec<String> = server.disk().files.keys().cloned().collect();
    assert_eq!(names, [BASE, FIRST, MANIFEST]);
    let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\\n\
                    file appendonly.aof.1.incr.aof seq 1 type i\\n";
    assert_eq!(text(&mut server, MANIFEST), manifest);
    let records = "*2\\r\\n$6\\r\\nSELECT\\r\\n$1\\r\\n0\\r\\n\
                   *3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\na\\r\\n$1\\r\\nb\\r\\n";
    assert_eq!(text(&mut server, FIRST), records);
    assert!(server.take_effects().contains(&Effect::Ready));
}

#[test]
fn what_was_logged_is_there_after_a_restart_and_goes_on() {
    for policy in ["always", "everysec", "no"] {
        let mut first = server(&[("appendfsync", policy)]);
        let conn = first.connect();
        write_some(&mut first, conn);
        let mut second = restart(&mut first, &[("appendfsync", policy)]);
        assert_eq!(first.engine().digest(), second.engine().digest(), "{policy}");
        let conn = second.connect();
        second.check(conn, "SET more x", "OK");
        second.check(conn, "DEL list", "(integer) 1");
        let third = restart(&mut second, &[("appendfsync", policy)]);
        assert_eq!(second.engine().digest(), third.engine().digest(), "{policy}");
        third.engine().check_invariants();
    }
}

#[test]
fn under_always_nobody_is_told_before_the_sync_readers_included() {
    let mut server = server(ALWAYS);
    let (writer, reader) = (server.connect(), server.connect());
    assert_eq!(server.send(reader, b"GET a\r\n"), b"$-1\r\n");
    server.stall_disk();
    assert_eq!(server.send(writer, b"SET a b\r\n"), b"");
    assert_eq!(server.send(reader, b"GET a\r\nPING\r\n"), b"", "it would show what may be lost");
    assert_eq!(server.send(writer, b"SET c d\r\n"), b"");
    server.release_disk();
    assert_eq!(server.output(writer), b"+OK\r\n+OK\r\n");
    assert_eq!(server.output(reader), b"$1\r\nb\r\n+PONG\r\n");
}

#[test]
fn what_comes_during_a_sync_shares_the_next() {
    let mut server = server(ALWAYS);
    let clients: Vec<ConnId> = (0..20).map(|_| server.connect()).collect();
    let before = server.disk().orders.len();
    server.stall_disk();
    for (number, conn) in clients.iter().enumerate() {
        server.send(*conn, format!("SET key:{number} x\r\n").as_bytes());
    }
    server.release_disk();
    for conn in clients {
        assert_eq!(server.output(conn), b"+OK\r\n");
    }
    assert_eq!(server.disk().orders.len() - before, 2, "the first alone, the others together");
}

#[test]
fn under_everysec_replies_wait_for_the_write_and_not_for_the_sync() {
    let mut server = server(&[]);
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    let syncs = |server: &mut Server| {
        let ops = server.disk().orders.iter().flat_map(|order| order.ops.iter());
        ops.filter(|op| matches!(op, DiskOp::Sync { .. })).count()
    };
    let before = syncs(&mut server);
    server.check(conn, "SET a c", "OK");
    assert_eq!(syncs(&mut server), before);
    server.advance_ms(1001);
    assert_eq!(syncs(&mut server), before + 1);
    server.advance_ms(5000);
    assert_eq!(syncs(&mut server), before + 1, "there was nothing more to sync");
}

#[test]
fn a_sync_that_lasts_holds_writers_up_and_never_readers() {
    let mut server = server(&[]);
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    server.stall_syncs();
    server.advance_ms(1500);
    server.check(conn, "SET a c", "OK");
    server.advance_ms(2500);
    let reader = server.connect();
    assert_eq!(info(&mut server, reader, "orrery_aof_writers_held"), "1");
    assert_eq!(server.send(conn, b"SET a d\r\n"), b"");
    server.check(reader, "GET a", "\"c\"");
    server.release_disk();
    assert_eq!(server.output(conn), b"+OK\r\n");
    assert_eq!(info(&mut server, reader, "orrery_aof_writers_held"), "0");
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let mut server = server(&[]);
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    server.disk().failure = Some(DiskErrorKind::NoSpace);
    server.check(conn, "SET a c", "OK");
    let refused = "(error) MISCONF Errors writing to the AOF file: No space left on device";
    server.check(conn, "SET a d", refused);
    server.check(conn, "PING", refused);
    server.check(conn, "GET a", "\"c\"");
    assert_eq!(info(&mut server, conn, "aof_last_write_status"), "err");
    server.disk().failure = None;
    server.advance_ms(1100);
    server.check(conn, "SET a d", "OK");
    let again = restart(&mut server, &[]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn under_always_a_write_that_fails_ends_the_server_and_nobody_is_told() {
    let mut server = server(ALWAYS);
    let conn = server.connect();
    server.disk().failure = Some(DiskErrorKind::Other);
    assert_eq!(server.send(conn, b"SET a b\r\n"), b"");
    let effects = server.take_effects();
    assert!(effects.contains(&Effect::Shutdown { exit_code: 1 }), "{effects:?}");
    server.disk().failure = None;
    server.advance_ms(10_000);
    assert_eq!(server.output(conn), b"");
}

/// The world's seed 640005009: of a value that nobody was told of one sector was zeros.
#[test]
fn under_always_what_a_failed_sync_may_have_torn_is_cut_off_before_the_end() {
    let mut server = server(ALWAYS);
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    let good = text(&mut server, FIRST);
    server.disk().sync_failure = true;
    assert_eq!(server.send(conn, b"SET a torn\r\n"), b"");
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 1 }));
    assert_eq!(text(&mut server, FIRST), good);
    server.disk().sync_failure = false;
    let mut server = restart(&mut server, ALWAYS);
    let conn = server.connect();
    server.check(conn, "GET a", "\"b\"");
}

#[test]
fn a_sync_that_failed_is_never_believed_again_before_a_rewrite() {
    let mut server = server(&[("auto-aof-rewrite-percentage", "0")]);
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    server.disk().sync_failure = true;
    server.advance_ms(1001);
    let refused = "(error) MISCONF Errors writing to the AOF file: Input/output error";
    server.check(conn, "SET a c", refused);
    server.disk().sync_failure = false;
    server.check(conn, "SET a c", refused);
    server.advance_ms(1010);
    server.check(conn, "SET a c", "OK");
    let names: Vec<String> = server.disk().files.keys().cloned().collect();
    let expected =
        ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"];
    assert_eq!(names, expected.map(|name| format!("appendonlydir/{name}")), "it was rewritten");
}

#[test]
fn a_rewrite_replaces_the_files_while_writes_go_on() {
    let mut server = server(ALWAYS);
    let conn = server.connect();
    for number in 0..3000 {
        server.call(conn, &["SET", &format!("key:{}", number % 100), &number.to_string()]);
    }
    server.stall_disk();
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    let again = "(error) ERR Background append only file rewriting already in progress";
    server.release_disk();
    let _ = again;
    for number in 0..100 {
        server.call(conn, &["APPEND", &format!("key:{number}"), "x"]);
    }
    let names: Vec<String> = server.disk().files.keys().cloned().collect();
    let expected =
        ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"];
    assert_eq!(names, expected.map(|name| format!("appendonlydir/{name}")));
    assert_eq!(info(&mut server, conn, "aof_rewrites"), "1");
    assert_eq!(server.disk().open_files(), 1, "what was replaced is closed");
    let second = restart(&mut server, ALWAYS);
    assert_eq!(server.engine().digest(), second.engine().digest());
}

#[test]
fn at_every_moment_of_a_rewrite_the_files_give_everything_that_was_promised() {
    let mut server = server(ALWAYS);
    let conn = server.connect();
    for number in 0..2000 {
        server.call(conn, &["RPUSH", &format!("list:{}", number % 50), &number.to_string()]);
    }
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    for number in 0..50 {
        server.call(conn, &["RPUSH", &format!("list:{number}"), "during"]);
    }
    // The disk as it was after every order, from the beginning.
    let orders = server.disk().orders.clone();
    let mut disk = orrery_tests::memory_disk::MemoryDisk::default();
    let mut starts = 0;
    for order in &orders {
        drop(disk.carry_out(order));
        if !disk.files.contains_key(MANIFEST) {
            continue;
        }
        let mut again = Server::start(config(ALWAYS), Seed(3), disk.files.clone());
        let effects = again.take_effects();
        assert!(effects.contains(&Effect::Ready), "{effects:?}");
        starts += 1;
    }
    assert!(starts > 2000);
    let again = Server::start(config(ALWAYS), Seed(3), disk.files.clone());
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn a_log_that_has_grown_is_rewritten_by_itself() {
    let mut server = server(&[("auto-aof-rewrite-min-size", "20000")]);
    let conn = server.connect();
    for number in 0..1000 {
        server.call(conn, &["SET", "a", &number.to_string()]);
    }
    assert!(info(&mut server, conn, "aof_rewrites").parse::<u32>().unwrap() >= 1);
    let size: u64 = info(&mut server, conn, "aof_current_size").parse().unwrap();
    assert!(size < 25_000, "{size}");
    let again = restart(&mut server, &[]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn the_log_can_be_switched_on_and_off_while_the_server_runs() {
    let mut server = Server::start(
        Config { debug_command: Access::Yes, ..Config::default() },
        Seed(1),
        BTreeMap::new(),
    );
    let conn = server.connect();
    write_some(&mut server, conn);
    server.check(conn, "CONFIG SET appendonly yes", "OK");
    server.check(conn, "SET after x", "OK");
    assert_eq!(info(&mut server, conn, "aof_enabled"), "1");
    let again = restart(&mut server, &[]);
    assert_eq!(server.engine().digest(), again.engine().digest());
    server.check(conn, "DEBUG LOADAOF", "OK");
    assert_eq!(server.engine().digest(), again.engine().digest());
    server.check(conn, "CONFIG SET appendonly no", "OK");
    server.check(conn, "SET unlogged x", "OK");
    assert_eq!(info(&mut server, conn, "aof_enabled"), "0");
    let again = restart(&mut server, &[]);
    assert_ne!(server.engine().digest(), again.engine().digest());
    server.check(conn, "CONFIG SET appendonly yes", "OK");
    server.check(conn, "CONFIG SET appendfsync always", "OK");
    let manifest = text(&mut server, MANIFEST);
    assert!(manifest.contains("2.base.rdb seq 2 type b"), "no name is used twice: {manifest}");
    server.check(conn, "SET logged x", "OK");
    let again = restart(&mut server, &[]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn a_last_record_that_was_never_whole_is_cut_and_anything_else_is_refused() {
    let mut first = server(ALWAYS);
    let conn = first.connect();
    write_some(&mut first, conn);
    let digest = first.engine().digest();
    first.check(conn, "MULTI", "OK");
    first.check(conn, "SET a 1", "QUEUED");
    first.check(conn, "SET b 2", "QUEUED");
    first.line(conn, "EXEC");
    let whole = first.disk().files[FIRST].clone();
    let multi = whole.windows(5).rposition(|bytes| bytes == b"MULTI").unwrap() - 8;
    for len in multi + 1..whole.len() {
        let mut files = first.disk().files.clone();
        files.insert(FIRST.to_owned(), whole[..len].to_vec());
        let mut again = Server::start(config(ALWAYS), Seed(2), files.clone());
        assert_eq!(again.engine().digest(), digest, "{len} bytes");
        assert_eq!(again.disk().files[FIRST].len(), multi);
        let refusing = config(&[("aof-load-truncated", "no")]);
        let mut refused = Server::start(refusing, Seed(2), files.clone());
        let effects = refused.take_effects();
        assert!(effects.contains(&Effect::Shutdown { exit_code: 1 }), "{len} bytes");
        assert!(format!("{effects:?}").contains("orrery-server --check-aof --fix"));
        assert_eq!(refused.disk().files, files);
    }
    let mut files = first.disk().files.clone();
    let mut broken = whole;
    broken[multi / 2] ^= 0x55;
    files.insert(FIRST.to_owned(), broken);
    let mut refused = Server::start(config(ALWAYS), Seed(2), files.clone());
    let is_refused = refused.take_effects().contains(&Effect::Shutdown { exit_code: 1 });
    // A bit of a value is changed without a trace: there is no checksum in Redis's format.
    assert!(is_refused || refused.engine().digest() != first.engine().digest());
    files.remove(FIRST);
    let mut refused = Server::start(config(ALWAYS), Seed(2), files);
    assert!(refused.take_effects().contains(&Effect::Shutdown { exit_code: 1 }));
}

#[test]
fn a_key_that_had_not_expired_when_it_was_changed_is_changed_again() {
    let mut first = server(ALWAYS);
    let conn = first.connect();
    first.check(conn, "SET a x PX 1000", "OK");
    first.check(conn, "HSET h f v g w", "(integer) 2");
    first.check(conn, "HPEXPIRE h 1000 FIELDS 1 f", "1) (integer) 1");
    first.check(conn, "APPEND a y", "(integer) 2");
    first.check(conn, "RENAME a b", "OK");
    first.check(conn, "PERSIST b", "(integer) 1");
    first.check(conn, "HPERSIST h FIELDS 1 f", "1) (integer) 1");
    first.check(conn, "SET gone x PX 1000", "OK");
    let mut second = Server::new(config(ALWAYS), Seed(2));
    second.disk().files = first.disk().files.clone();
    second.oversleep_ms(60_000);
    second.input(Input::Start);
    let conn = second.connect();
    second.check(conn, "GET b", "\"xy\"");
    second.check(conn, "HGETALL h", "1) \"f\"\n2) \"v\"\n3) \"g\"\n4) \"w\"");
    second.check(conn, "EXISTS gone a", "(integer) 0");
}

#[test]
fn a_server_that_ends_syncs_its_log_first() {
    let mut server = server(&[]);
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    server.stall_disk();
    server.input(Input::Terminate { by_interrupt: false });
    assert!(!server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
    assert_eq!(server.send(conn, b"SET a c\r\n"), b"", "it would be lost");
    server.release_disk();
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
    let last = server.disk().orders.last().unwrap().ops.clone();
    assert!(matches!(last.last(), Some(DiskOp::Sync { .. })), "{last:?}");
}

#[test]
fn a_log_of_one_file_from_an_older_version_is_taken_over() {
    let old = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n".to_vec();
    let files = BTreeMap::from([("appendonly.aof".to_owned(), old)]);
    let mut server = Server::start(config(ALWAYS), Seed(1), files);
    let conn = server.connect();
    server.check(conn, "GET a", "\"b\"");
    server.check(conn, "SET c d", "OK");
    assert!(server.disk().files.contains_key(MANIFEST));
    server.disk().files.remove("appendonly.aof");
    let again = restart(&mut server, ALWAYS);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn waitaof_waits_for_the_sync() {
    let mut server = server(&[]);
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    assert_eq!(server.send(conn, b"WAITAOF 1 0 0\r\n"), b"");
    server.advance_ms(1001);
    assert_eq!(server.output(conn), b"*2\r\n:1\r\n:0\r\n");
    server.check(conn, "WAITAOF 1 0 0", "1) (integer) 1\n2) (integer) 0");
    server.check(conn, "SET a c", "OK");
    assert_eq!(server.send(conn, b"WAITAOF 1 0 100\r\n"), b"");
    server.advance_ms(101);
    assert_eq!(server.output(conn), b"*2\r\n:0\r\n:0\r\n", "its patience ended before the sync");
    assert_eq!(server.send(conn, b"WAITAOF 1 1 2000\r\n"), b"");
    server.advance_ms(2001);
    assert_eq!(server.output(conn), b"*2\r\n:1\r\n:0\r\n", "there is no replica");
}

#[test]
fn what_comes_while_the_first_files_are_made_is_logged() {
    for keys in [0, 100] {
        let mut server = Server::start(Config::default(), Seed(1), BTreeMap::new());
        let conn = server.connect();
        for number in 0..keys {
            server.call(conn, &["SET", &format!("key:{number}"), "x"]);
        }
        server.stall_disk();
        server.check(conn, "CONFIG SET appendonly yes", "OK");
        server.check(conn, "SET first x", "OK");
        server.tick();
        server.check(conn, "SET second x", "OK");
        server.release_disk();
        server.check(conn, "SET third x", "OK");
        let again = restart(&mut server, &[]);
        assert_eq!(server.engine().digest(), again.engine().digest(), "{keys} keys before");
    }
}

#[test]
fn a_full_disk_does_not_keep_a_server_from_ending() {
    let mut server = server(&[]);
    let conn = server.connect();
    server.disk().failure = Some(DiskErrorKind::NoSpace);
    server.check(conn, "SET a b", "OK");
    server.input(Input::Terminate { by_interrupt: false });
    server.advance_ms(3000);
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
}

#[test]
fn a_log_holds_what_changes_data_and_nothing_else() {
    for (text, is_taken) in [("SET a b", true), ("SELECT 99", false), ("SHUTDOWN", false)] {
        let words: Vec<&str> = text.split(' ').collect();
        let mut old = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| old += &format!("${}\r\n{word}\r\n", word.len()));
        let files = BTreeMap::from([("appendonly.aof".to_owned(), old.into_bytes())]);
        let mut server = Server::start(config(ALWAYS), Seed(1), files);
        let is_refused = server.take_effects().contains(&Effect::Shutdown { exit_code: 1 });
        assert_eq!(is_refused, !is_taken, "{text}");
    }
}

#[test]
fn a_save_that_begins_before_the_walk_of_a_rewrite_is_waited_for() {
    let mut server = server(ALWAYS);
    let conn = server.connect();
    for number in 0..3000 {
        server.call(conn, &["SET", &format!("key:{number}"), &"x".repeat(100)]);
    }
    let other = server.connect();
    server.stall_disk();
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    assert_eq!(server.send(other, b"SAVE\r\n"), b"");
    server.release_disk();
    assert_eq!(server.output(other), b"+OK\r\n");
    server.check(conn, "SET more x", "OK");
    assert_eq!(info(&mut server, conn, "aof_rewrites"), "1");
    assert_eq!(info(&mut server, conn, "rdb_saves"), "1");
    let again = restart(&mut server, ALWAYS);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn a_log_that_is_turned_off_behind_a_write_that_fails_is_whole() {
    let mut server = server(&[]);
    let conn = server.connect();
    write_some(&mut server, conn);
    server.stall_disk();
    server.send(conn, b"SET one 1\r\n");
    server.send(conn, b"SET two 2\r\n");
    server.send(conn, b"CONFIG SET appendonly no\r\n");
    server.disk().failing_appends = 1;
    server.release_disk();
    let again = restart(&mut server, &[]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

/// Else a loss of power could take the end of one file and leave what is in the next.
#[test]
fn the_file_before_is_synced_before_anything_is_written_to_the_next() {
    for policy in ["everysec", "no"] {
        let mut server = server(&[("appendfsync", policy)]);
        let conn = server.connect();
        server.check(conn, "SET a b", "OK");
        server.disk().orders.clear();
        server.line(conn, "BGREWRITEAOF");
        server.advance_ms(1);
        server.check(conn, "SET a c", "OK");
        let ops: Vec<DiskOp> =
            server.disk().orders.iter().flat_map(|order| order.ops.clone()).collect();
        let next = ops.iter().find_map(|op| match op {
            DiskOp::Create { file, path } if path.ends_with(".2.incr.aof") => Some(*file),
            _ => None,
        });
        let next = next.expect("there is a new increment");
        let written = ops.iter().position(
            |op| matches!(op, DiskOp::Append { file, bytes } if *file == next && !bytes.is_empty()),
        );
        let before = &ops[..written.expect("it is written")];
        let is_other_sync = |op: &DiskOp| {
            let DiskOp::Sync { file } = op else { return false };
            *file != next
                && !before
                    .iter()
                    .any(|op| matches!(op, DiskOp::Create { file: made, .. } if made == file))
        };
        assert!(before.iter().any(is_other_sync), "{policy}: {before:?}");
    }
}
