//! The files of the append-only log: how a rewrite replaces them, also where it fails, where the
//! log is off, or where an older version has left one file.

use std::collections::BTreeMap;

use orrery_engine::config::Access;
use orrery_engine::{Config, ConnId, Effect, Seed};
use orrery_tests::server_in_process::Server;

const FOLDER: &str = "appendonlydir/";
const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";

type Files = BTreeMap<String, Vec<u8>>;

fn config(directives: &[(&str, &str)]) -> Config {
    let mut config = Config { debug_command: Access::Yes, ..Config::default() };
    config.set("save", &[""]).expect("a good directive");
    for (name, words) in directives {
        let words: Vec<&str> = words.split(' ').collect();
        config.set(name, &words).expect("a good directive");
    }
    config
}

const ON: (&str, &str) = ("appendonly", "yes");

fn start(directives: &[(&str, &str)], files: Files) -> Server {
    Server::start(config(directives), Seed(1), files)
}

fn restart(server: &mut Server, directives: &[(&str, &str)]) -> Server {
    let files = server.disk().files.clone();
    Server::start(config(directives), Seed(2), files)
}

/// The names of the files in the folder of the log, but for the manifest.
fn names(server: &mut Server) -> Vec<String> {
    let names = server.disk().files.keys().filter_map(|path| path.strip_prefix(FOLDER));
    let names = names.filter(|name| !name.ends_with("manifest"));
    names.map(|name| name.trim_start_matches("appendonly.aof.").to_owned()).collect()
}

fn manifest(server: &mut Server) -> String {
    String::from_utf8(server.disk().files[MANIFEST].clone()).unwrap()
}

fn info(server: &mut Server, conn: ConnId, name: &str) -> String {
    let text = server.line(conn, "INFO persistence").to_string();
    let at = text.find(&format!("{name}:")).unwrap_or_else(|| panic!("no {name} in {text}"));
    let value = &text[at + name.len() + 1..];
    value[..value.find("\\r").unwrap_or(value.len())].lines().next().unwrap_or("").to_owned()
}

fn logged(server: &mut Server) -> String {
    let texts = server.take_effects().into_iter().filter_map(|effect| match effect {
        Effect::Log(_, text) => Some(text + "\n"),
        _ => None,
    });
    texts.collect()
}

fn fill(server: &mut Server, conn: ConnId) {
    for line in [
        "SET string value",
        "SET integer 12345",
        "SET soon x PX 5000000",
        "RPUSH list a b 3",
        "SADD set 1 2 x",
        "SADD integers 1 2 3",
        "HSET hash f v g 2",
        "HSET fields f v g 2",
        "HPEXPIRE fields 7000000 FIELDS 1 f",
        "ZADD zset 1 a 2.5 b inf c -inf d 0.1 e",
        "XADD stream 1-1 f v g w",
        "XADD stream 2-1 f v",
        "XADD stream 2-2 h i",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group me COUNT 2 STREAMS stream >",
        "XGROUP CREATECONSUMER stream group idle",
        "XADD emptied 5-5 f v",
        "XDEL emptied 5-5",
        "XADD deleted 1-1 f v",
        "XGROUP CREATE deleted group 0",
        "XREADGROUP GROUP group me STREAMS deleted >",
        "XDEL deleted 1-1",
        "SELECT 3",
        "SET other db",
        "SELECT 0",
    ] {
        assert!(!server.line(conn, line).to_string().starts_with("(error)"), "{line}");
    }
    for number in 0..150 {
        let number = number.to_string();
        for words in [["RPUSH", "long-list"], ["SADD", "long-set"]] {
            server.call(conn, &[words[0], words[1], &number]);
        }
        server.call(conn, &["HSET", "long-hash", &number, "x"]);
        server.call(conn, &["ZADD", "long-zset", &number, &number]);
    }
    let library = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    server.call(conn, &["FUNCTION", "LOAD", library]);
}

#[test]
fn a_base_of_commands_gives_every_type_back() {
    let directives = [ON, ("aof-use-rdb-preamble", "no"), ("aof-timestamp-enabled", "yes")];
    let mut server = start(&directives, Files::new());
    assert_eq!(names(&mut server), ["1.base.aof", "1.incr.aof"]);
    let conn = server.connect();
    fill(&mut server, conn);
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    server.check(conn, "SET after x", "OK");
    assert_eq!(names(&mut server), ["2.base.aof", "2.incr.aof"]);
    let base = &server.disk().files["appendonlydir/appendonly.aof.2.base.aof"];
    assert!(base.starts_with(b"#TS:"));
    let text = base.escape_ascii().to_string();
    // As many elements share a command as in Redis.
    for command in ["*66\\r\\n$5\\r\\nRPUSH", "*130\\r\\n$5\\r\\nHMSET", "*130\\r\\n$4\\r\\nZADD"] {
        assert!(text.contains(command), "{command}");
    }
    assert!(!text.contains("REDIS0"), "it is no snapshot");
    for directives in [&directives[..], &[ON]] {
        let mut again = restart(&mut server, directives);
        assert_eq!(server.engine().digest(), again.engine().digest());
        let conn = again.connect();
        again.check(conn, "FCALL f 0", "(integer) 7");
        for key in ["soon", "fields"] {
            let ttl =
                if key == "soon" { "PEXPIRETIME soon" } else { "HPEXPIRETIME fields FIELDS 1 f" };
            let conn_before = server.connect();
            let expected = server.line(conn_before, ttl).to_string();
            again.check(conn, ttl, &expected);
        }
        again.engine().check_invariants();
    }
}

#[test]
fn a_rewrite_while_the_log_is_off_makes_a_base_and_nothing_else() {
    let mut server = start(&[], Files::new());
    let conn = server.connect();
    fill(&mut server, conn);
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    server.advance_ms(10);
    assert_eq!(manifest(&mut server), "file appendonly.aof.1.base.rdb seq 1 type b\n");
    let digest = server.engine().digest();
    server.check(conn, "SET lost x", "OK");
    server.check(conn, "DEBUG LOADAOF", "OK");
    assert_eq!(server.engine().digest(), digest, "the log is loaded though it is off");
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    server.advance_ms(10);
    assert_eq!(names(&mut server), ["2.base.rdb"], "what was replaced is gone");
    assert_eq!(info(&mut server, conn, "aof_rewrites"), "2");
    server.check(conn, "CONFIG SET appendonly yes", "OK");
    server.check(conn, "SET logged x", "OK");
    assert_eq!(names(&mut server), ["1.incr.aof", "3.base.rdb"]);
    let again = restart(&mut server, &[ON]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn a_server_that_starts_without_the_log_leaves_its_files_until_others_replace_them() {
    let mut first = start(&[ON, ("appendfsync", "always")], Files::new());
    let conn = first.connect();
    first.check(conn, "SET old x", "OK");
    let mut second = restart(&mut first, &[("rdb-key-save-delay", "1000000")]);
    let conn = second.connect();
    second.check(conn, "EXISTS old", "(integer) 0");
    second.check(conn, "SET new x", "OK");
    second.check(conn, "CONFIG SET appendonly yes", "OK");
    second.check(conn, "SET newer x", "OK");
    // The power fails before the first base is whole: the log of before is still there.
    let mut third = restart(&mut second, &[ON]);
    let other = third.connect();
    third.check(other, "EXISTS old new", "(integer) 1");
    second.advance_ms(5000);
    assert_eq!(names(&mut second), ["2.base.rdb", "2.incr.aof"]);
    let fourth = restart(&mut second, &[ON]);
    assert_eq!(second.engine().digest(), fourth.engine().digest());
}

#[test]
fn rewrites_that_fail_leave_more_files_and_are_put_off() {
    let directives = [
        ON,
        ("appendfsync", "always"),
        ("rdb-key-save-delay", "10000000"),
        ("auto-aof-rewrite-percentage", "1"),
        ("auto-aof-rewrite-min-size", "1000"),
    ];
    let mut server = start(&directives, Files::new());
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    for failures in 1..=3 {
        server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
        assert_eq!(info(&mut server, conn, "aof_rewrite_in_progress"), "1");
        server.check(conn, "DEBUG FAIL-SNAPSHOT", "OK");
        server.advance_ms(1);
        let count = info(&mut server, conn, "aof_rewrites_consecutive_failures");
        assert_eq!(count, failures.to_string());
        server.check(conn, &format!("SET key:{failures} x"), "OK");
    }
    assert_eq!(info(&mut server, conn, "aof_last_bgrewrite_status"), "err");
    let nothing = "(error) ERR no snapshot is being written";
    server.check(conn, "DEBUG FAIL-SNAPSHOT", nothing);
    let files = ["1.base.rdb", "1.incr.aof", "2.incr.aof", "3.incr.aof", "4.incr.aof"];
    assert_eq!(names(&mut server), files);
    assert!(logged(&mut server).contains("triggered the limit, will retry in 1 minutes"));
    let again = restart(&mut server, &directives);
    assert_eq!(server.engine().digest(), again.engine().digest());
    // It has grown enough, and is to be rewritten: not yet.
    server.call(conn, &["SET", "long", &"x".repeat(2000)]);
    server.advance_ms(50_000);
    assert_eq!(info(&mut server, conn, "aof_rewrites"), "3");
    server.advance_ms(15_000);
    assert_eq!(info(&mut server, conn, "aof_rewrites"), "4");
    server.check(conn, "DEBUG FAIL-SNAPSHOT", "OK");
    server.advance_ms(1);
    assert!(logged(&mut server).contains("will retry in 2 minutes"));
    // Whoever asks does not wait.
    server.check(conn, "CONFIG SET rdb-key-save-delay 0", "OK");
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    server.advance_ms(10);
    assert_eq!(info(&mut server, conn, "aof_rewrites_consecutive_failures"), "0");
    assert_eq!(names(&mut server), ["2.base.rdb", "6.incr.aof"]);
    let again = restart(&mut server, &directives);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn a_log_whose_first_base_fails_is_switched_on_again() {
    let mut server = start(&[("rdb-key-save-delay", "10000000")], Files::new());
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    server.check(conn, "CONFIG SET appendonly yes", "OK");
    assert_eq!(info(&mut server, conn, "aof_rewrite_in_progress"), "1");
    server.check(conn, "SET c d", "OK");
    server.check(conn, "DEBUG FAIL-SNAPSHOT", "OK");
    server.advance_ms(1);
    assert!(logged(&mut server).contains("Removing the temp incr aof file"));
    assert_eq!(names(&mut server), [] as [&str; 0], "it is as if nothing had been");
    server.check(conn, "CONFIG SET rdb-key-save-delay 0", "OK");
    server.check(conn, "SET e f", "OK");
    server.advance_ms(1100);
    server.check(conn, "SET g h", "OK");
    assert_eq!(names(&mut server), ["1.base.rdb", "1.incr.aof"]);
    let again = restart(&mut server, &[ON]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn a_log_that_is_switched_off_stops_its_rewrite() {
    let directives = [ON, ("rdb-key-save-delay", "10000000")];
    let mut server = start(&directives, Files::new());
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    server.check(conn, "CONFIG SET appendonly no", "OK");
    server.advance_ms(1);
    assert_eq!(info(&mut server, conn, "aof_enabled"), "0");
    assert_eq!(info(&mut server, conn, "aof_rewrite_in_progress"), "0");
    assert!(logged(&mut server).contains("Killing running AOF rewrite"));
    let again = restart(&mut server, &[ON]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn while_a_save_goes_on_the_log_waits_to_be_switched_on() {
    let mut server = start(&[("rdb-key-save-delay", "10000000")], Files::new());
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    server.check(conn, "BGSAVE", "Background saving started");
    let scheduled = "Background append only file rewriting scheduled";
    server.check(conn, "BGREWRITEAOF", scheduled);
    assert_eq!(info(&mut server, conn, "aof_rewrite_scheduled"), "1");
    server.check(conn, "CONFIG SET appendonly yes", "OK");
    server.check(conn, "DEBUG LOADAOF", "OK");
    server.check(conn, "DBSIZE", "(integer) 0");
    server.check(conn, "SET c d", "OK");
    server.check(conn, "CONFIG SET rdb-key-save-delay 0", "OK");
    server.advance_ms(10);
    assert_eq!(info(&mut server, conn, "rdb_bgsave_in_progress"), "0");
    assert_eq!(info(&mut server, conn, "aof_rewrite_scheduled"), "0");
    server.check(conn, "SET e f", "OK");
    let again = restart(&mut server, &[ON]);
    assert_eq!(server.engine().digest(), again.engine().digest());
}

#[test]
fn replaced_files_stay_while_they_are_to() {
    let mut server = start(&[ON, ("aof-disable-auto-gc", "yes")], Files::new());
    let conn = server.connect();
    server.check(conn, "SET a b", "OK");
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    server.advance_ms(10);
    let expected = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                    file appendonly.aof.1.incr.aof seq 1 type h\n\
                    file appendonly.aof.1.base.rdb seq 1 type h\n\
                    file appendonly.aof.2.incr.aof seq 2 type i\n";
    assert_eq!(manifest(&mut server), expected);
    assert_eq!(names(&mut server).len(), 4);
    server.check(conn, "CONFIG SET aof-disable-auto-gc no", "OK");
    server.advance_ms(10);
    assert_eq!(names(&mut server), ["2.base.rdb", "2.incr.aof"]);
    assert!(!manifest(&mut server).contains("type h"));
}

const OLD: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n";
const INSIDE: &str = "appendonlydir/appendonly.aof";

#[test]
fn the_one_file_of_an_older_version_becomes_the_base() {
    let files = Files::from([("appendonly.aof".to_owned(), OLD.to_vec())]);
    let mut server = start(&[ON], files.clone());
    let conn = server.connect();
    server.check(conn, "GET a", "\"b\"");
    assert!(!server.disk().files.contains_key("appendonly.aof"));
    assert_eq!(server.disk().files[INSIDE], OLD);
    let expected =
        "file appendonly.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";
    assert_eq!(manifest(&mut server), expected);
    // However far the move had come when the power failed, it is taken up again.
    let mut disk = orrery_tests::memory_disk::MemoryDisk::default();
    disk.files = files;
    for order in server.disk().orders.clone() {
        for op in order.ops.clone() {
            drop(disk.carry_out(&orrery_engine::DiskOrder { ops: vec![op], ..order.clone() }));
            let mut again = start(&[ON], disk.files.clone());
            let conn = again.connect();
            again.check(conn, "GET a", "\"b\"");
        }
    }
    server.check(conn, "BGREWRITEAOF", "Background append only file rewriting started");
    server.advance_ms(10);
    assert!(!server.disk().files.contains_key(INSIDE));
}

#[test]
fn two_files_of_older_versions_are_not_chosen_from() {
    let files = Files::from([
        ("appendonly.aof".to_owned(), OLD.to_vec()),
        (INSIDE.to_owned(), OLD.to_vec()),
    ]);
    let mut server = start(&[ON], files.clone());
    let effects = server.take_effects();
    assert!(effects.contains(&Effect::Shutdown { exit_code: 1 }), "{effects:?}");
    assert_eq!(server.disk().files, files);
    // The manifest says which.
    let text = b"file appendonly.aof seq 1 type b\n".to_vec();
    let mut server = start(
        &[ON],
        [files, Files::from([(MANIFEST.to_owned(), text)])].into_iter().flatten().collect(),
    );
    assert!(server.take_effects().contains(&Effect::Ready));
    assert!(server.disk().files.contains_key("appendonly.aof"));
}

#[test]
fn a_base_that_ends_in_the_middle_of_a_record_is_cut_where_it_is_the_last_file() {
    let cut = [OLD, &OLD[..20]].concat();
    let files = Files::from([("appendonly.aof".to_owned(), cut)]);
    let mut server = start(&[ON], files);
    let conn = server.connect();
    server.check(conn, "GET a", "\"b\"");
    assert_eq!(server.disk().files[INSIDE], OLD);
    let mut again = restart(&mut server, &[ON]);
    assert!(again.take_effects().contains(&Effect::Ready), "it is not the last any more");
}

#[test]
fn a_corrupt_tail_is_cut_up_to_the_size_that_is_allowed() {
    let garbage = b"!!!garbage";
    for (max, is_taken) in [("0", false), ("9", false), ("10", true), ("1kb", true)] {
        for truncated in ["yes", "no"] {
            let directives =
                [ON, ("aof-load-corrupt-tail-max-size", max), ("aof-load-truncated", truncated)];
            let file = [OLD, garbage].concat();
            let files = Files::from([("appendonly.aof".to_owned(), file.clone())]);
            let mut server = start(&directives, files);
            let effects = format!("{:?}", server.take_effects());
            assert_eq!(effects.contains("Ready"), is_taken, "{max}: {effects}");
            let expected = if is_taken { OLD } else { &file };
            assert_eq!(server.disk().files[INSIDE], expected);
            let words = "Bad file format reading the append only file appendonly.aof";
            assert_eq!(effects.contains(words), !is_taken, "{effects}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_said_in_redis_s_words() {
    let unknown = b"*2\r\n$3\r\nbla\r\n$1\r\nb\r\n";
    for (tail, words) in [
        (&b"*3\r\n$3\r\nSET"[..], "Unexpected end of file reading the append only file"),
        (b"*1\r\n$5\r\nMULTI\r\n", "Unexpected end of file reading the append only file"),
        (b"!!!", "Bad file format reading the append only file"),
        (unknown, "Unknown command 'bla' reading the append only file"),
    ] {
        let file = [OLD, tail].concat();
        let files = Files::from([("appendonly.aof".to_owned(), file)]);
        let mut server = start(&[ON, ("aof-load-truncated", "no")], files);
        let last = logged(&mut server).lines().last().unwrap_or_default().to_owned();
        assert!(last.contains(words), "{last}");
    }
}

#[test]
fn what_stands_behind_a_long_script_of_a_log_finds_what_it_does() {
    let script = "for i = 1, 200000 do redis.call('SET', KEYS[1], i) end";
    let mut log = String::new();
    for words in [&["SELECT", "9"][..], &["EVAL", script, "1", "n"], &["INCR", "n"]] {
        log += &format!("*{}\r\n", words.len());
        words.iter().for_each(|word| log += &format!("${}\r\n{word}\r\n", word.len()));
    }
    let mut server = start(&[ON], Files::from([("appendonly.aof".to_owned(), log.into_bytes())]));
    let conn = server.connect();
    server.check(conn, "SELECT 9", "OK");
    server.check(conn, "GET n", "\"200001\"");
}

/// Nothing is written to an increment before the one that it follows is synced: if that is torn,
/// the other is empty.
#[test]
fn an_increment_that_is_torn_is_cut_if_nothing_is_behind_it() {
    let text = "file appendonly.aof.1.incr.aof seq 1 type i\n\
                file appendonly.aof.2.incr.aof seq 2 type i\n";
    let path = |name: &str| format!("appendonlydir/appendonly.aof.{name}.incr.aof");
    let files = |second: &[u8]| {
        Files::from([
            (MANIFEST.to_owned(), text.as_bytes().to_vec()),
            (path("1"), [OLD, &OLD[..20]].concat()),
            (path("2"), second.to_vec()),
        ])
    };
    let mut server = start(&[ON], files(b""));
    let conn = server.connect();
    server.check(conn, "GET a", "\"b\"");
    assert_eq!(server.disk().files[&path("1")], OLD);
    server.check(conn, "SET a c", "OK");
    let mut again = restart(&mut server, &[ON]);
    let conn = again.connect();
    again.check(conn, "GET a", "\"c\"");

    let mut server = start(&[ON], files(OLD));
    let effects = server.take_effects();
    assert!(effects.contains(&Effect::Shutdown { exit_code: 1 }), "{effects:?}");
    assert_eq!(server.disk().files, files(OLD), "they are left as they are");
}
