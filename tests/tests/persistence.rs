//! Snapshots through the front door: what is saved, when, and what a server makes of it when it
//! starts.

use std::collections::BTreeMap;

use orrery_engine::config::Access;
use orrery_engine::{Config, DiskErrorKind, DiskOp, Effect, Input, LogLevel, Seed};
use orrery_tests::server_in_process::Server;

fn config(directives: &[(&str, &str)]) -> Config {
    let mut config = Config { debug_command: Access::Yes, ..Config::default() };
    for (name, words) in directives {
        let words: Vec<&str> = words.split(' ').collect();
        config.set(name, &words).expect("a good directive");
    }
    config
}

fn server(directives: &[(&str, &str)]) -> Server {
    Server::start(config(directives), Seed(1), BTreeMap::new())
}

/// A server that starts with the files that this one leaves.
fn restart(server: &mut Server, directives: &[(&str, &str)]) -> Server {
    let files = server.disk().files.clone();
    Server::start(config(directives), Seed(2), files)
}

/// The lines that the server has logged.
fn logged(server: &mut Server) -> Vec<String> {
    let texts = server.take_effects().into_iter();
    texts
        .filter_map(|effect| match effect {
            Effect::Log(level, text) => Some((level, text)),
            _ => None,
        })
        .filter(|(level, _)| *level >= LogLevel::Notice)
        .map(|(_, text)| text)
        .collect()
}

/// The value of a line of INFO.
fn info(server: &mut Server, conn: orrery_engine::ConnId, name: &str) -> String {
    let text = server.line(conn, "INFO persistence").to_string();
    let at = text.find(&format!("{name}:")).unwrap_or_else(|| panic!("no {name} in {text}"));
    let value = &text[at + name.len() + 1..];
    value[..value.find("\\r").unwrap_or(value.len())].lines().next().unwrap_or("").to_owned()
}

const ALL_TYPES: &[&str] = &[
    "SET string value",
    "SET integer 12345",
    "SET soon x PX 50000",
    "RPUSH list a b 3",
    "SADD set 1 2 x",
    "SADD integers 1 2 3",
    "HSET hash f v g 2",
    "HSET fields f v g 2",
    "HPEXPIRE fields 70000 FIELDS 1 f",
    "ZADD zset 1 a 2.5 b",
    "XADD stream 1-1 f v",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group me STREAMS stream >",
    "PFADD hll a b c",
    "SELECT 3",
    "SET other db",
    "SELECT 0",
];

fn fill(server: &mut Server) -> orrery_engine::ConnId {
    let conn = server.connect();
    for line in ALL_TYPES {
        assert!(!server.line(conn, line).to_string().starts_with("(error)"), "{line}");
    }
    let library = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    server.call(conn, &["FUNCTION", "LOAD", library]);
    conn
}

#[test]
fn what_is_saved_is_there_after_a_restart() {
    let mut first = server(&[]);
    let conn = fill(&mut first);
    first.check(conn, "SAVE", "OK");
    assert_eq!(info(&mut first, conn, "rdb_changes_since_last_save"), "0");
    assert_eq!(info(&mut first, conn, "rdb_saves"), "1");
    let names: Vec<_> = first.disk().files.keys().cloned().collect();
    assert_eq!(names, ["dump.rdb"], "nothing else is left");
    let mut second = restart(&mut first, &[]);
    assert_eq!(first.engine().digest(), second.engine().digest());
    let conn = second.connect();
    second.check(conn, "FCALL f 0", "(integer) 7");
    second.check(conn, "PTTL soon", "(integer) 50000");
    second.check(conn, "HPTTL fields FIELDS 1 f", "1) (integer) 70000");
    second.engine().check_invariants();
}

#[test]
fn the_file_is_whole_and_safe_before_it_takes_the_place_of_the_old_one() {
    let mut server = server(&[]);
    let conn = fill(&mut server);
    server.check(conn, "SAVE", "OK");
    let orders = server.disk().orders.iter();
    let ops: Vec<DiskOp> = orders.flat_map(|order| order.ops.clone()).collect();
    let place = |wanted: fn(&DiskOp) -> bool| ops.iter().rposition(wanted).expect("it is done");
    let appended = place(|op| matches!(op, DiskOp::Append { .. }));
    let synced = place(|op| matches!(op, DiskOp::Sync { .. }));
    let renamed = place(|op| matches!(op, DiskOp::Rename { .. }));
    let folder = place(|op| matches!(op, DiskOp::SyncFolder { .. }));
    assert!(appended < synced && synced < renamed && renamed < folder, "{ops:?}");
    assert!(!ops.iter().any(|op| matches!(op, DiskOp::Create { path, .. } if path == "dump.rdb")));
}

#[test]
fn a_snapshot_is_of_the_moment_at_which_it_began() {
    let mut server = server(&[]);
    let conn = server.connect();
    for number in 0..20_000 {
        server.call(conn, &["SET", &format!("key:{number}"), &number.to_string()]);
    }
    let before = server.engine().digest();
    server.stall_disk();
    server.check(conn, "BGSAVE", "Background saving started");
    server.check(conn, "BGSAVE", "(error) ERR Background save already in progress");
    server.check(conn, "SAVE", "(error) ERR Background save already in progress");
    assert_eq!(info(&mut server, conn, "rdb_bgsave_in_progress"), "1");
    for number in (0..20_000).step_by(3) {
        server.call(conn, &["APPEND", &format!("key:{number}"), "changed"]);
        server.call(conn, &["DEL", &format!("key:{}", number + 1)]);
        server.call(conn, &["SET", &format!("new:{number}"), "x"]);
    }
    server.check(conn, "SWAPDB 0 5", "OK");
    server.check(conn, "SELECT 5", "OK");
    server.check(conn, "FLUSHDB", "OK");
    server.release_disk();
    assert_eq!(info(&mut server, conn, "rdb_bgsave_in_progress"), "0");
    let again = restart(&mut server, &[]);
    assert_eq!(before, again.engine().digest());
}

#[test]
fn a_save_that_fails_keeps_the_old_file_and_stops_writes_until_one_succeeds() {
    let mut server = server(&[("save", "3600 1")]);
    let conn = fill(&mut server);
    server.check(conn, "SAVE", "OK");
    let saved = server.disk().files.clone();
    server.check(conn, "SET more x", "OK");
    server.disk().failure = Some(DiskErrorKind::NoSpace);
    let failed = "(error) ERR Error trying to save the DB, check server logs";
    server.check(conn, "SAVE", failed);
    assert_eq!(server.disk().files, saved, "the old file is there, the new one is gone");
    assert!(logged(&mut server).concat().contains("No space left on device"));
    // As in Redis whoever saves by hand is told, and nobody else.
    server.check(conn, "SET more y", "OK");
    assert_eq!(info(&mut server, conn, "rdb_last_bgsave_status"), "ok");
    server.check(conn, "BGSAVE", "Background saving started");
    server.advance_ms(10);
    assert_eq!(server.disk().files, saved);
    assert_eq!(info(&mut server, conn, "rdb_last_bgsave_status"), "err");
    for line in ["SET a b", "PING"] {
        let reply = server.line(conn, line).to_string();
        assert!(reply.starts_with("(error) MISCONF Redis is configured to save RDB"), "{reply}");
    }
    server.check(conn, "GET string", "\"value\"");
    // Nor may scripts write, unless they have begun to; those that say that they do are not begun.
    let words = |script| ["EVAL", script, "1", "string"];
    let reply = server.call(conn, &words("return redis.call('GET', KEYS[1])"));
    assert_eq!(reply.to_string(), "\"value\"");
    let reply = server.call(conn, &words("return redis.call('SET', KEYS[1], 'x')")).to_string();
    assert!(reply.starts_with("(error) MISCONF Redis is configured to save RDB"), "{reply}");
    let reply = server.call(conn, &words("#!lua\nreturn 1")).to_string();
    assert!(reply.starts_with("(error) MISCONF Redis is configured to save RDB"), "{reply}");
    server.check(conn, "CONFIG SET stop-writes-on-bgsave-error no", "OK");
    server.check(conn, "SET a b", "OK");
    server.check(conn, "CONFIG SET stop-writes-on-bgsave-error yes", "OK");
    server.disk().failure = None;
    server.advance_ms(3_601_000);
    server.check(conn, "SET a c", "OK");
    assert_eq!(info(&mut server, conn, "rdb_last_bgsave_status"), "ok");
}

/// Seed 89440000509: the first write failed in the middle, the last one came right behind it and
/// put half a file in the place of a whole one.
#[test]
fn a_file_of_which_one_write_failed_takes_no_place() {
    let mut server = server(&[]);
    let conn = fill(&mut server);
    server.check(conn, "SAVE", "OK");
    let saved = server.disk().files.clone();
    for what in ["SAVE", "BGSAVE"] {
        server.check(conn, "SET more x", "OK");
        server.stall_disk();
        server.send(conn, format!("{what}\r\n").as_bytes());
        server.disk().failing_appends = 1;
        server.release_disk();
        assert_eq!(
            server.disk().files,
            saved,
            "{what}: the old file is there, the new one is gone"
        );
        assert_eq!(server.disk().failing_appends, 0);
        server.output(conn);
    }
}

#[test]
fn save_points_save_after_so_many_changes_and_so_long() {
    let mut server = server(&[("save", "60 2"), ("save", "600 1")]);
    let conn = server.connect();
    server.check(conn, "SET a 1", "OK");
    server.advance_ms(61_000);
    assert!(server.disk().files.is_empty(), "one change needs ten minutes");
    server.check(conn, "SET a 2", "OK");
    server.advance_ms(1);
    assert!(logged(&mut server).contains(&"2 changes. Saving...".to_owned()));
    assert!(server.disk().files.contains_key("dump.rdb"));
    assert_eq!(info(&mut server, conn, "rdb_changes_since_last_save"), "0");
    server.disk().files.clear();
    server.check(conn, "SET a 3", "OK");
    server.advance_ms(599_000);
    assert!(server.disk().files.is_empty());
    server.advance_ms(2_000);
    assert!(server.disk().files.contains_key("dump.rdb"));
    server.check(conn, "LASTSAVE", "(integer) 1767226261");
}

#[test]
fn a_broken_file_is_refused_with_the_place_and_left_alone() {
    let mut first = server(&[]);
    let conn = fill(&mut first);
    first.check(conn, "SAVE", "OK");
    let whole = first.disk().files["dump.rdb"].clone();
    for (len, flip) in [(whole.len() - 1, None), (whole.len(), Some(whole.len() / 2)), (3, None)] {
        let mut broken = whole[..len].to_vec();
        if let Some(at) = flip {
            broken[at] ^= 0x10;
        }
        let files = BTreeMap::from([("dump.rdb".to_owned(), broken)]);
        let mut server = Server::start(config(&[("save", "1 1")]), Seed(1), files.clone());
        let effects = server.take_effects();
        assert!(effects.contains(&Effect::Shutdown { exit_code: 1 }), "{effects:?}");
        let text = format!("{effects:?}");
        assert!(text.contains("dump.rdb is broken at byte "), "{text}");
        assert!(text.contains("orrery-server --check-rdb dump.rdb"), "{text}");
        assert!(!effects.contains(&Effect::Ready));
        assert_eq!(server.disk().files, files);
    }
}

#[test]
fn clients_are_told_how_much_is_loaded_until_all_is() {
    let mut first = server(&[]);
    let conn = first.connect();
    for number in 0..200 {
        first.call(conn, &["SET", &format!("key:{number}"), &"x".repeat(20_000 + number)]);
    }
    first.check(conn, "CONFIG SET rdbcompression no", "OK");
    first.check(conn, "SAVE", "OK");
    let mut second = Server::new(config(&[]), Seed(3));
    second.disk().files = first.disk().files.clone();
    second.stall_disk();
    second.input(Input::Start);
    let conn = second.connect();
    second.check(conn, "GET a", "(error) LOADING Redis is loading the dataset in memory (0 %)");
    second.check(conn, "SAVE", "(error) LOADING Redis is loading the dataset in memory (0 %)");
    assert_eq!(info(&mut second, conn, "loading"), "1");
    second.release_disk();
    second.check(conn, "DBSIZE", "(integer) 200");
    assert_eq!(info(&mut second, conn, "loading"), "0");
    assert_eq!(info(&mut second, conn, "rdb_last_load_keys_loaded"), "200");
    assert!(second.take_effects().contains(&Effect::Ready));
}

/// A file of two databases with this said of the first one's size, and `keys` in each: short
/// strings, integers, long strings and lists by turns. It has no checksum.
fn many_keys(said: u32, keys: usize) -> Vec<u8> {
    let mut file = b"REDIS0011".to_vec();
    for db in 0..2 {
        file.extend([0xfe, db, 0xfb, 0x80]);
        file.extend(if db == 0 { said } else { 0 }.to_be_bytes());
        file.push(0);
        for number in 0..keys {
            let name = format!("key:{number:06}");
            let string = |bytes: &[u8]| [&[bytes.len() as u8], bytes].concat();
            let (type_byte, value) = match number % 8 {
                0 => (1, [&[1], &string(b"element")[..]].concat()),
                1 => (0, string(number.to_string().as_bytes())),
                2 => (0, vec![0xc0, number as u8]),
                3 if number < 100 => {
                    (0, [&[0x44, number as u8][..], &vec![b'x'; 1024 + number]].concat())
                }
                _ => (0, string(name.as_bytes())),
            };
            file.push(type_byte);
            file.extend(string(name.as_bytes()));
            file.extend(value);
        }
    }
    file.push(0xff);
    file.extend([0; 8]);
    file
}

fn server_with(file: Vec<u8>) -> Server {
    Server::start(config(&[]), Seed(1), BTreeMap::from([("dump.rdb".to_owned(), file)]))
}

#[test]
fn what_a_file_says_of_its_size_changes_nothing_but_speed() {
    const KEYS: usize = 20_000;
    let digests = [0, 7, KEYS as u32, u32::MAX].map(|said| {
        let mut server = server_with(many_keys(said, KEYS));
        let conn = server.connect();
        server.check(conn, "DBSIZE", &format!("(integer) {KEYS}"));
        server.check(conn, "GET key:000009", "\"9\"");
        server.check(conn, "OBJECT ENCODING key:000009", "\"int\"");
        server.check(conn, "GET key:000014", "\"key:000014\"");
        server.check(conn, "STRLEN key:000011", "(integer) 1035");
        server.check(conn, "LRANGE key:000008 0 -1", "1) \"element\"");
        assert_eq!(info(&mut server, conn, "rdb_last_load_keys_loaded"), (2 * KEYS).to_string());
        server.engine().check_invariants();
        // Nobody expects anything any more.
        for number in 0..KEYS {
            server.call(conn, &["DEL", &format!("key:{number:06}")]);
        }
        server.check(conn, "RANDOMKEY", "(nil)");
        server.check(conn, "SELECT 1", "OK");
        server.check(conn, "DBSIZE", &format!("(integer) {KEYS}"));
        server.engine().check_invariants();
        server.engine().digest()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn a_key_that_comes_twice_is_refused_where_it_stands() {
    for before in [0, 1, 62, 63, 64, 200, 9000] {
        for behind in [0, 1, 100] {
            // The second `twice`, and behind it keys and something that is no key.
            let key = |name: &str| [&[0, name.len() as u8], name.as_bytes(), &[1, b'v']].concat();
            let mut file = [&b"REDIS0011\xfe\x00"[..], &key("twice")].concat();
            (0..before).for_each(|number| file.extend(key(&format!("a{number}"))));
            let offset = file.len();
            file.extend(key("twice"));
            (0..behind).for_each(|number| file.extend(key(&format!("b{number}"))));
            file.extend([0x70, 0, 0]);
            let mut server = server_with(file);
            let effects = format!("{:?}", server.take_effects());
            let expected = format!(
                "dump.rdb is broken at byte {offset}: the value of key 'twice': a key that was \
                 there before."
            );
            assert!(effects.contains(&expected), "{before} {behind}: {effects}");
        }
    }
}

#[test]
fn keys_whose_time_was_over_are_not_loaded() {
    let mut first = server(&[]);
    let conn = first.connect();
    first.check(conn, "SET gone x PX 1000", "OK");
    first.check(conn, "SET stays x PX 9000", "OK");
    first.check(conn, "SAVE", "OK");
    let mut second = Server::new(config(&[]), Seed(3));
    second.disk().files = first.disk().files.clone();
    second.oversleep_ms(2000);
    second.input(Input::Start);
    let conn = second.connect();
    second.check(conn, "KEYS *", "1) \"stays\"");
    second.check(conn, "PTTL stays", "(integer) 7000");
    assert_eq!(info(&mut second, conn, "rdb_last_load_keys_expired"), "1");
}

#[test]
fn shutdown_saves_and_serves_nobody_meanwhile() {
    let mut server = server(&[("save", "3600 1")]);
    let conn = fill(&mut server);
    let other = server.connect();
    server.stall_disk();
    assert_eq!(server.send(conn, b"SHUTDOWN\r\n"), b"");
    assert_eq!(server.send(other, b"SET late x\r\n"), b"", "it would be lost");
    server.disk().failure = Some(DiskErrorKind::Other);
    server.release_disk();
    assert_eq!(server.output(conn), b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
    assert_eq!(server.output(other), b"+OK\r\n", "it goes on, and the save was nobody else's");
    server.disk().failure = None;
    server.take_effects();
    server.input(Input::Terminate { by_interrupt: false });
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
    let again = restart(&mut server, &[]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn shutdown_forced_ends_the_server_even_if_it_cannot_save() {
    let mut server = server(&[("save", "3600 1")]);
    let conn = fill(&mut server);
    server.disk().failure = Some(DiskErrorKind::Other);
    assert_eq!(server.send(conn, b"SHUTDOWN FORCE\r\n"), b"");
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
}

#[test]
fn a_background_save_can_be_canceled_or_wait_for_another() {
    let mut server = server(&[]);
    let conn = fill(&mut server);
    let nothing = "(error) ERR Background saving is currently not in progress or scheduled";
    server.check(conn, "BGSAVE CANCEL", nothing);
    server.stall_disk();
    server.check(conn, "BGSAVE", "Background saving started");
    server.check(conn, "BGSAVE SCHEDULE", "Background saving scheduled");
    server.check(conn, "BGSAVE CANCEL", "Background saving cancelled");
    server.release_disk();
    assert_eq!(info(&mut server, conn, "rdb_saves"), "1", "the scheduled one came");
    let names: Vec<_> = server.disk().files.keys().cloned().collect();
    assert_eq!(names, ["dump.rdb"]);
    server.check(conn, "BGSAVE SCHEDULE x", "(error) ERR syntax error");
    server.check(conn, "MULTI", "OK");
    let refused = "(error) ERR Command not allowed inside a transaction";
    server.check(conn, "SAVE", refused);
    server.check(conn, "DISCARD", "OK");
    server.engine().check_invariants();
}

#[test]
fn debug_reload_saves_flushes_and_loads_unless_told_otherwise() {
    let mut server = server(&[]);
    let conn = fill(&mut server);
    let before = server.engine().digest();
    server.check(conn, "DEBUG RELOAD", "OK");
    assert_eq!(before, server.engine().digest());
    server.check(conn, "SET string changed", "OK");
    let failed = "(error) ERR Error trying to load the RDB dump, check server logs";
    server.check(conn, "DEBUG RELOAD NOSAVE NOFLUSH", failed);
    server.check(conn, "DEBUG RELOAD NOSAVE NOFLUSH MERGE", "OK");
    assert_eq!(before, server.engine().digest());
    server.check(conn, "SET more x", "OK");
    server.check(conn, "DEBUG RELOAD NOSAVE", "OK");
    assert_eq!(before, server.engine().digest());
    let unknown = "(error) ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";
    server.check(conn, "DEBUG RELOAD NOW", unknown);
}

#[test]
fn the_version_is_as_old_as_the_data_allows() {
    let version = |server: &mut Server| {
        let bytes = &server.disk().files["dump.rdb"];
        String::from_utf8_lossy(&bytes[..9]).into_owned()
    };
    let mut server = server(&[]);
    let conn = server.connect();
    server.check(conn, "HSET hash f v", "(integer) 1");
    server.check(conn, "SAVE", "OK");
    assert_eq!(version(&mut server), "REDIS0011");
    server.check(conn, "HPEXPIRE hash 50000 FIELDS 1 f", "1) (integer) 1");
    server.check(conn, "SAVE", "OK");
    assert_eq!(version(&mut server), "REDIS0012");
    let before = server.engine().digest();
    let again = restart(&mut server, &[]);
    assert_eq!(before, again.engine().digest());
    server.check(conn, "DEL hash", "(integer) 1");
    server.check(conn, "CONFIG SET rdb-version 10", "OK");
    // The first one finds out that nothing needs the newer version any more.
    server.check(conn, "SAVE", "OK");
    server.check(conn, "SAVE", "OK");
    assert_eq!(version(&mut server), "REDIS0010");
}

#[test]
fn writers_wait_when_too_much_is_kept_for_a_snapshot() {
    let mut server = server(&[]);
    let (conn, reader) = (server.connect(), server.connect());
    let big = "x".repeat(1 << 20);
    for number in 0..60 {
        server.call(conn, &["SET", &format!("key:{number}"), &big]);
    }
    server.check(conn, "CONFIG SET rdbcompression no", "OK");
    let before = server.engine().digest();
    server.stall_disk();
    server.check(conn, "BGSAVE", "Background saving started");
    let mut written = 0;
    while written < 60 && server.send(conn, format!("SET key:{written} x\r\n").as_bytes()) != b"" {
        written += 1;
    }
    assert!((30..58).contains(&written), "{written}");
    assert_eq!(info(&mut server, reader, "orrery_rdb_writers_held"), "1");
    server.check(reader, "STRLEN key:59", "(integer) 1048576");
    server.release_disk();
    assert_eq!(server.output(conn), b"+OK\r\n");
    assert_eq!(info(&mut server, reader, "orrery_rdb_writers_held"), "0");
    let again = restart(&mut server, &[]);
    assert_eq!(before, again.engine().digest());
}

#[test]
fn flushing_everything_ends_a_save_in_the_background() {
    let mut server = server(&[("save", "3600 1"), ("rdb-key-save-delay", "10000000")]);
    let conn = fill(&mut server);
    server.check(conn, "BGSAVE", "Background saving started");
    server.check(conn, "FLUSHDB", "OK");
    assert_eq!(info(&mut server, conn, "rdb_bgsave_in_progress"), "1");
    let changes = info(&mut server, conn, "rdb_changes_since_last_save");
    server.check(conn, "FLUSHALL", "OK");
    assert_eq!(info(&mut server, conn, "rdb_bgsave_in_progress"), "0");
    assert_eq!(info(&mut server, conn, "rdb_last_bgsave_status"), "ok");
    assert_ne!(changes, "0");
    assert_ne!(info(&mut server, conn, "rdb_changes_since_last_save"), "0");
    assert!(server.disk().files.is_empty(), "and leaves nothing behind");
    server.check(conn, "SET a b", "OK");
}

#[test]
fn a_key_of_a_file_that_holds_nothing_is_passed_by() {
    let mut file = b"REDIS0010\xfe\x00".to_vec();
    // An empty list, set, hash and sorted set, plain and packed; and a string.
    let empty: [&[u8]; 9] = [
        b"\x01\x01l\x00",
        b"\x02\x01s\x00",
        b"\x04\x01h\x00",
        b"\x05\x01z\x00",
        b"\x0e\x01q\x00",
        b"\x10\x02hp\x07\x07\x00\x00\x00\x00\x00\xff",
        b"\x11\x02zp\x07\x07\x00\x00\x00\x00\x00\xff",
        b"\x0a\x02lz\x0b\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff",
        b"\x0b\x02si\x08\x02\x00\x00\x00\x00\x00\x00\x00",
    ];
    empty.into_iter().for_each(|key| file.extend_from_slice(key));
    file.extend_from_slice(b"\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0");
    let files = BTreeMap::from([("dump.rdb".to_owned(), file)]);
    let mut server = Server::start(config(&[]), Seed(1), files);
    let lines = logged(&mut server).join("\n");
    for key in ["l", "s", "h", "z", "q", "hp", "zp", "lz", "si"] {
        assert!(lines.contains(&format!("skipping empty key: {key}\n")), "{key}: {lines}");
    }
    assert!(lines.contains("keys loaded: 1, keys expired: 0, empty keys skipped: 9."), "{lines}");
    let conn = server.connect();
    server.check(conn, "GET k", "\"v\"");
    server.check(conn, "DBSIZE", "(integer) 1");
}

#[test]
fn what_restore_refuses_is_logged_with_its_packing() {
    let mut server = server(&[]);
    let conn = server.connect();
    server.check(conn, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "OK");
    let end = b"\x0a\x00\0\0\0\0\0\0\0\0";
    for (value, words) in [
        (&b"\x10\x09\x07\x00\x00\x00\x01\x00\xf5\x01\xff"[..], "Hash listpack"),
        (b"\x09\x0b\x01\xfe\x01\x00\x00\x00a\x01\x00b\xff", "Zipmap"),
        (b"\x05\x00", "Value"),
    ] {
        let payload = [value, end].concat();
        let reply = server.call(conn, &[b"RESTORE".as_slice(), b"k", b"0", &payload]);
        assert_eq!(reply.to_string(), "(error) ERR Bad data format");
        let lines = logged(&mut server).concat();
        assert!(lines.contains(&format!("{words} integrity check failed")), "{lines}");
    }
    server.check(conn, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 0", "OK");
    let payload = [&b"\x00\x01v"[..], end].concat();
    let reply = server.call(conn, &[b"RESTORE".as_slice(), b"k", b"0", &payload]);
    assert_eq!(reply.to_string(), "(error) ERR DUMP payload version or checksum are wrong");
}

#[test]
fn while_files_are_loaded_what_they_depend_on_cannot_be_set() {
    let mut first = server(&[]);
    let conn = fill(&mut first);
    first.check(conn, "SAVE", "OK");
    let mut second = restart(&mut first, &[("key-load-delay", "1000000")]);
    let conn = second.connect();
    second.check(conn, "CONFIG SET maxmemory-samples 6", "OK");
    for line in ["CONFIG SET dir x", "CONFIG SET maxmemory-samples 7 appendonly yes"] {
        let reply = second.line(conn, line).to_string();
        assert!(reply.starts_with("(error) LOADING"), "{reply}");
    }
    second.check(conn, "CONFIG GET maxmemory-samples", "1) \"maxmemory-samples\"\n2) \"6\"");
}

#[test]
fn a_signal_that_has_not_been_obeyed_can_be_taken_back() {
    let mut server = server(&[]);
    let conn = server.connect();
    server.check(conn, "SHUTDOWN ABORT", "(error) ERR No shutdown in progress.");
    server.check(conn, "DEBUG PAUSE-CRON 1", "OK");
    server.input(Input::Terminate { by_interrupt: false });
    server.check(conn, "SHUTDOWN ABORT", "OK");
    assert!(logged(&mut server).concat().contains("Shutdown manually aborted"));
    server.check(conn, "DEBUG PAUSE-CRON 0", "OK");
    server.check(conn, "PING", "PONG");
    server.check(conn, "DEBUG PAUSE-CRON 1", "OK");
    server.input(Input::Terminate { by_interrupt: false });
    assert!(!server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
    server.check(conn, "DEBUG PAUSE-CRON 0", "OK");
    server.advance_ms(1);
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
}

#[test]
fn a_server_that_ends_during_a_save_removes_what_it_has_written() {
    let mut server = server(&[("rdb-key-save-delay", "10000000")]);
    let conn = fill(&mut server);
    server.check(conn, "BGSAVE", "Background saving started");
    server.advance_ms(1);
    assert_eq!(server.disk().files.len(), 1);
    server.stall_disk();
    server.send(conn, b"SHUTDOWN NOSAVE\r\n");
    assert!(!server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
    server.release_disk();
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 0 }));
    assert!(server.disk().files.is_empty());
}

#[test]
fn who_sends_a_second_sigint_ends_the_server_without_its_save() {
    let mut server = server(&[("save", "3600 1"), ("rdb-key-save-delay", "10000000")]);
    fill(&mut server);
    server.input(Input::Terminate { by_interrupt: true });
    server.advance_ms(1);
    assert_eq!(server.disk().files.len(), 1, "it is saving");
    server.input(Input::Terminate { by_interrupt: false });
    assert!(!format!("{:?}", server.take_effects()).contains("Shutdown"));
    server.stall_disk();
    server.input(Input::Terminate { by_interrupt: true });
    server.release_disk();
    assert!(server.take_effects().contains(&Effect::Shutdown { exit_code: 1 }));
    assert!(server.disk().files.is_empty(), "what was written is gone");
}
