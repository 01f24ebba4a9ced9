//! CONFIG and its neighbours with what they do beyond their replies: effects, clocks, clients.

use orrery_engine::{
    Config, ConnId, DiskErrorKind, Effect, Facts, Input, LogLevel, Micros, Origin, Outcome, Seed,
    UnixMicros,
};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::{START_UNIX_MS, Server};

fn configured(directives: &[(&str, &str)]) -> Server {
    let mut config = Config::default();
    for (name, value) in directives {
        config.set(name, &[value]).unwrap();
    }
    Server::new(config, Seed(1))
}

fn remote() -> Origin {
    Origin::Tcp { peer: "10.0.0.9:4000".parse().unwrap(), local: "10.0.0.1:6379".parse().unwrap() }
}

fn applied(server: &mut Server, conn: ConnId, result: Result<(), &str>) -> Vec<u8> {
    let outcome = Outcome::ConfigApplied(result.map_err(str::to_owned));
    server.input(Input::Done { conn, outcome });
    server.output(conn)
}

#[test]
fn a_setting_of_the_driver_is_in_force_when_the_driver_says_so() {
    let mut server = Server::default();
    let conn = server.connect();
    // The client waits, and so does what it sent behind.
    let sent = b"CONFIG SET port 7001 timeout 9 loglevel debug\r\nCONFIG GET port\r\n";
    assert_eq!(server.send(conn, sent), b"");
    let names = vec!["port", "loglevel"];
    assert_eq!(server.take_effects(), [Effect::ApplyConfig { conn, names }]);
    assert_eq!(server.engine().config().value("port").unwrap(), "7001");
    let other = server.connect();
    let busy = "(error) ERR CONFIG SET failed (possibly related to argument 'port') - another \
                change is being carried out";
    server.check(other, "CONFIG SET port 7002", busy);
    server.check(other, "CONFIG SET hz 20", "OK");
    let replies = applied(&mut server, conn, Ok(()));
    assert_eq!(replies, b"+OK\r\n*2\r\n$4\r\nport\r\n$4\r\n7001\r\n");
    assert_eq!(server.engine().config().timeout_secs, 9);
}

#[test]
fn a_setting_that_the_driver_could_not_carry_out_is_taken_back() {
    let mut server = Server::default();
    let conn = server.connect();
    assert_eq!(server.send(conn, b"CONFIG SET port 7001 timeout 9\r\n"), b"");
    let replies = applied(&mut server, conn, Err("Unable to listen on this port"));
    let text = "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen \
                on this port\r\n";
    assert_eq!(String::from_utf8(replies).unwrap(), text);
    assert_eq!(server.engine().config().value("port").unwrap(), "6379");
    assert_eq!(server.engine().config().timeout_secs, 0, "all or nothing");
    // What others changed meanwhile stays.
    let other = server.connect();
    assert_eq!(server.send(conn, b"CONFIG SET port 7001 timeout 9\r\n"), b"");
    server.check(other, "CONFIG SET timeout 30 maxclients 50", "OK");
    applied(&mut server, conn, Err("no"));
    assert_eq!(server.engine().config().timeout_secs, 30);
    assert_eq!(server.engine().config().maxclients, 50);
}

#[test]
fn a_change_outlives_the_client_that_asked_for_it() {
    let mut server = Server::default();
    let conn = server.connect();
    server.send(conn, b"CONFIG SET port 7001\r\n");
    server.disconnect(conn);
    server.input(Input::Done { conn, outcome: Outcome::ConfigApplied(Err("no".into())) });
    assert_eq!(server.engine().config().value("port").unwrap(), "6379");
    let conn = server.connect();
    assert_eq!(server.send(conn, b"CONFIG SET port 7002\r\n"), b"", "no change is under way");
}

#[test]
fn rewrite_needs_a_file_and_hands_out_what_is_not_default() {
    let mut server = Server::default();
    let conn = server.connect();
    let no_file = "(error) ERR The server is running without a config file";
    server.check(conn, "CONFIG REWRITE", no_file);
    server.set_facts(Facts { config_file: Some("/etc/o.conf".into()), ..Facts::default() });
    server.check(conn, "CONFIG SET timeout 7 requirepass \"a b\"", "OK");
    assert_eq!(server.send(conn, b"CONFIG REWRITE\r\n"), b"");
    let of = |name: &str, words: &str| (name.to_owned(), words.to_owned());
    let parameters = vec![of("requirepass", "\"a b\""), of("timeout", "7")];
    let everything = false;
    assert_eq!(server.take_effects(), [Effect::RewriteConfig { conn, parameters, everything }]);
    server.input(Input::Done { conn, outcome: Outcome::ConfigRewritten(Ok(())) });
    assert_eq!(server.output(conn), b"+OK\r\n");
    server.send(conn, b"CONFIG REWRITE\r\n");
    let outcome = Outcome::ConfigRewritten(Err("Permission denied".into()));
    server.input(Input::Done { conn, outcome });
    assert_eq!(server.output(conn), b"-ERR Rewriting config file: Permission denied\r\n");
}

#[test]
fn settings_that_the_engine_acts_on_take_effect_at_once() {
    let mut server = Server::default();
    let conn = server.connect();
    server.set_wall_clock(UnixMicros((START_UNIX_MS + 3_600_000) * 1000));
    server.tick();
    assert_eq!(server.engine().state().clock.now().0, START_UNIX_MS);
    server.check(conn, "CONFIG SET ttl-clock wall", "OK");
    server.tick();
    assert_eq!(server.engine().state().clock.now().0, START_UNIX_MS + 3_600_000);
    server.check(conn, "CONFIG SET ttl-clock monotonic ttl-clock-slew-ppm 1000000", "OK");
    server.set_wall_clock(UnixMicros((START_UNIX_MS + 3_601_000) * 1000));
    server.advance_ms(1);
    server.tick();
    let now = server.engine().state().clock.now().0;
    assert_eq!(now, START_UNIX_MS + 3_600_002, "one millisecond passed and one was slewed");

    server.check(conn, "CONFIG SET proto-max-bulk-len 1mb", "OK");
    let reply = server.send(conn, b"*2\r\n$3\r\nGET\r\n$1048577\r\n");
    assert_eq!(reply, b"-ERR Protocol error: invalid bulk length\r\n");

    let conn = server.connect();
    server.check(conn, "CONFIG SET requirepass secret", "OK");
    server.check(conn, "DBSIZE", "(integer) 0");
    let late = server.connect();
    server.check(late, "DBSIZE", "(error) NOAUTH Authentication required.");
    server.check(conn, "CONFIG SET requirepass \"\"", "OK");
    server.check(late, "DBSIZE", "(integer) 0");

    server.check(conn, "CONFIG SET maxclients 2", "OK");
    let refused = server.connect();
    assert_eq!(server.output(refused), b"-ERR max number of clients reached\r\n");

    server.check(conn, "CONFIG SET timeout 5 maxclients 10", "OK");
    server.advance_ms(3000);
    server.check(conn, "PING", "PONG");
    server.advance_ms(4000);
    assert!(server.is_closed(late) && !server.is_closed(conn));
}

#[test]
fn what_is_off_by_default_stays_off_for_those_who_may_not() {
    let denied = "(error) ERR DEBUG command not allowed. If the enable-debug-command option is \
                  set to \"local\", you can run it from a local connection, otherwise you need to \
                  set this option in the configuration file, and then restart the server.";
    let protected = "(error) ERR CONFIG SET failed (possibly related to argument 'dbfilename') - \
                     can't set protected config";
    for (word, local_may, remote_may) in
        [("no", false, false), ("local", true, false), ("yes", true, true)]
    {
        let mut server = configured(&[
            ("enable-debug-command", word),
            ("enable-protected-configs", word),
            ("protected-mode", "no"),
        ]);
        let (local, far) = (server.connect(), server.connect_from(remote()));
        for (conn, may) in [(local, local_may), (far, remote_may)] {
            server.check(conn, "DEBUG SLEEP 0", if may { "OK" } else { denied });
            let reply = if may { "OK" } else { protected };
            server.check(conn, "CONFIG SET dbfilename x.rdb", reply);
        }
    }
}

#[test]
fn debug_reaches_the_driver_and_the_engine() {
    let mut server = configured(&[("enable-debug-command", "yes")]);
    let conn = server.connect();
    server.check(conn, "DEBUG SLEEP 0.25", "OK");
    server.check(conn, "DEBUG SLEEP -1", "OK");
    server.check(conn, "DEBUG LOG hello", "OK");
    let log = Effect::Log(LogLevel::Warning, "DEBUG LOG: hello".into());
    let effects = [Effect::Stall(Micros(250_000)), Effect::Stall(Micros(0)), log];
    assert_eq!(server.take_effects(), effects);
    server.check(conn, "DEBUG SET-ACTIVE-EXPIRE 0", "OK");
    assert!(!server.engine().state().active_expire);
    let before = server.engine().state().replication_id.clone();
    server.check(conn, "DEBUG CHANGE-REPL-ID", "OK");
    assert_ne!(server.engine().state().replication_id, before);
    // A reload takes every type through its bytes, with its time to live.
    for line in [
        "SET s 1 PX 5000",
        "RPUSH l a b 3",
        "SADD ints 1 2 3",
        "SADD set a b",
        "HSET h f v",
        "ZADD z 1.5 m",
        "XADD x 1-1 f v",
    ] {
        assert!(!server.line(conn, line).is_error(), "{line}");
    }
    let reloaded = server.line(conn, "DEBUG DIGEST");
    let keys = server.line(conn, "DBSIZE");
    server.check(conn, "DEBUG RELOAD", "OK");
    assert_eq!(server.line(conn, "DEBUG DIGEST"), reloaded);
    assert_eq!(server.line(conn, "DBSIZE"), keys);
    server.check(conn, "PTTL s", "(integer) 5000");
    server.engine().check_invariants();
    server.check(conn, "DEL s l ints set h z x", "(integer) 7");
    // An element that is long by decree is alone in its node.
    server.check(conn, "DEBUG QUICKLIST-PACKED-THRESHOLD 1b", "OK");
    server.check(conn, "RPUSH l a b", "(integer) 2");
    server.check(conn, "OBJECT ENCODING l", "\"quicklist\"");
    server.check(conn, "RPUSH l 9", "(integer) 3");
    server.check(conn, "LINSERT l BEFORE 9 c", "(integer) 4");
    server.check(conn, "LPOS l 9", "(integer) 3");
    server.check(conn, "DEBUG QUICKLIST-PACKED-THRESHOLD 0", "OK");
    server.check(conn, "RPUSH few a b", "(integer) 2");
    server.check(conn, "OBJECT ENCODING few", "\"listpack\"");
    let wrong = "(error) ERR argument must be a memory value bigger than 1 and smaller than 4gb";
    server.check(conn, "DEBUG QUICKLIST-PACKED-THRESHOLD 5gb", wrong);
    server.check(conn, "SET n 77", "OK");
    let text = "Value at:0x0 refcount:2147483647 encoding:int serializedlength:2 lru:5617920 \
                lru_seconds_idle:0";
    server.check(conn, "DEBUG OBJECT n", text);
    server.line(conn, "HELLO 3");
    let attribute =
        b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real \
                      reply following the attribute\r\n";
    assert_eq!(server.send(conn, b"DEBUG PROTOCOL attrib\r\n"), attribute);
}

#[test]
fn shutdown_ends_the_server_and_does_not_pretend_to_save() {
    let log = |text: &str| Effect::Log(LogLevel::Warning, text.into());
    let mut server = Server::default();
    let conn = server.connect();
    server.disk().failure = Some(DiskErrorKind::Other);
    server.check(conn, "SHUTDOWN SAVE", "(error) ERR Errors trying to SHUTDOWN. Check logs.");
    let effects = server.take_effects();
    assert_eq!(effects[0], log("User requested shutdown..."));
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Log(..))), "{effects:?}");
    assert_eq!(server.send(conn, b"SHUTDOWN NOSAVE NOW\r\nSET k v\r\n"), b"");
    let end = Effect::Shutdown { exit_code: 0 };
    assert_eq!(server.take_effects(), [log("User requested shutdown..."), end.clone()]);
    assert!(server.is_closed(conn), "what comes behind is not run");
    let conn = server.connect();
    server.check(conn, "DBSIZE", "(integer) 0");
    assert_eq!(server.send(conn, b"SHUTDOWN SAVE FORCE\r\n"), b"");
    assert_eq!(server.take_effects().last(), Some(&end));
}

#[test]
fn clocks_and_versions() {
    let mut server = Server::default();
    let conn = server.connect();
    server.advance_ms(1_234);
    let time = server.line(conn, "TIME");
    assert_eq!(time.elements()[0].bytes(), b"1767225601");
    assert_eq!(time.elements()[1].bytes(), b"234000");
    server.check(conn, "LASTSAVE", "(integer) 1767225600");
    for line in ["LOLWUT", "LOLWUT VERSION 5 1 2", "LOLWUT anything"] {
        let text = String::from_utf8(server.line(conn, line).bytes().to_vec()).unwrap();
        assert!(text.ends_with("\nOrrery ver. 0.1.0, speaks as Redis ver. 7.0.15\n"), "{text}");
    }
}

#[test]
fn memory_is_accounted_for() {
    let mut server = configured(&[("enable-debug-command", "yes")]);
    let conn = server.connect();
    let stats = |server: &mut Server| -> Vec<(String, Value)> {
        let reply = server.line(conn, "MEMORY STATS");
        let name = |value: &Value| String::from_utf8(value.bytes().to_vec()).unwrap();
        reply.elements().chunks(2).map(|pair| (name(&pair[0]), pair[1].clone())).collect()
    };
    let of = |stats: &[(String, Value)], name: &str| {
        stats.iter().find(|(other, _)| other == name).unwrap().1.integer()
    };
    let empty = stats(&mut server);
    assert_eq!((of(&empty, "keys.count"), of(&empty, "dataset.bytes")), (0, 0));
    server.check(conn, "DEBUG POPULATE 1000 key 100", "OK");
    let filled = stats(&mut server);
    assert_eq!(of(&filled, "keys.count"), 1000);
    let data = of(&filled, "dataset.bytes");
    assert!((106_000..140_000).contains(&data), "{data}");
    assert!(of(&filled, "total.allocated") >= of(&empty, "total.allocated") + data);
    let usage = server.line(conn, "MEMORY USAGE key:1").integer();
    assert!((106..160).contains(&usage), "{usage}");
    let nothing = "\"This server holds next to nothing: there is nothing to diagnose.\\n\"";
    server.check(conn, "MEMORY DOCTOR", nothing);
    server.check(conn, "DEBUG POPULATE 100000 many 100", "OK");
    let fine = "\"Nothing looks wrong with the use of memory.\\n\"";
    server.check(conn, "MEMORY DOCTOR", fine);
    server.check(conn, "FLUSHALL", "OK");
    server.check(conn, "DBSIZE", "(integer) 0");
    assert!(of(&stats(&mut server), "dataset.bytes") == 0);
    assert!(of(&stats(&mut server), "peak.allocated") > 10_000_000);
}

#[test]
fn a_client_that_fills_and_empties_in_turn_leaves_no_rubbish() {
    let mut server = Server::default();
    let conn = server.connect();
    server.send(conn, "SET k v\r\nFLUSHALL\r\n".repeat(5000).as_bytes());
    assert_eq!(server.engine().state().keyspace.lazy_free().0, 0);
    assert!(!server.engine().state().keyspace.has_trash());
}

#[test]
fn a_setting_that_nobody_acts_on_is_kept_and_logged() {
    let mut server = Server::default();
    let conn = server.connect();
    server.check(conn, "CONFIG SET activerehashing no timeout 5 maxmemory 0", "OK");
    let text = "CONFIG SET: 'activerehashing' is kept but not supported: it has no effect";
    assert_eq!(server.take_effects(), [Effect::Log(LogLevel::Warning, text.into())]);
    let shown = "1) \"activerehashing\"\n2) \"no\"";
    server.check(conn, "CONFIG GET activerehashing", shown);
    server.check(conn, "CONFIG SET activerehashing yes", "OK");
    assert_eq!(server.take_effects(), []);
}
