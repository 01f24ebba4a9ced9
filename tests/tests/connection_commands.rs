//! The connection family: every reply and error is compared with a real redis-server; what only
//! Orrery has, or what takes time, is checked against what is expected.

use orrery_engine::config::Access;
use orrery_engine::{Config, Effect, Input, Origin, Outcome, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode, words};
use orrery_tests::server_in_process::Server;

/// Lines whose replies must be those of Redis 7.0.15, run on one connection in order.
const SAME_AS_REDIS: &str = r#"
CLIENT
CLIENT FOO
client foo bar
CLIENT KILL
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID 0
CLIENT KILL ID x
CLIENT KILL ID 999999
CLIENT KILL ID
CLIENT KILL ID 1 TYPE
CLIENT KILL TYPE foo
CLIENT KILL USER foo
CLIENT KILL SKIPME maybe
CLIENT KILL ADDR 1:1
CLIENT KILL LADDR 1:1 TYPE master
CLIENT KILL USER default TYPE replica
CLIENT LIST ID
CLIENT LIST ID x
CLIENT LIST ID 999999 -1
CLIENT LIST TYPE foo
CLIENT LIST TYPE pubsub
CLIENT LIST TYPE master
CLIENT LIST foo bar
CLIENT LIST TYPE normal x
CLIENT NO-EVICT x
CLIENT NO-EVICT on
CLIENT NO-EVICT off
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 1 foo
CLIENT PAUSE 1 ALL x
CLIENT PAUSE x foo
CLIENT PAUSE 0
CLIENT UNPAUSE
CLIENT UNPAUSE x
CLIENT REPLY foo
CLIENT REPLY ON
CLIENT UNBLOCK x
CLIENT UNBLOCK 1 foo
CLIENT UNBLOCK 1 error foo
CLIENT UNBLOCK x foo
CLIENT UNBLOCK 999999
CLIENT UNBLOCK 999999 TIMEOUT
CLIENT TRACKING foo
CLIENT TRACKING OFF
CLIENT TRACKING OFF BCAST
CLIENT TRACKING OFF foo
CLIENT TRACKING ON foo
CLIENT TRACKINGINFO
CLIENT GETREDIR
CLIENT CACHING yes
CLIENT CACHING foo
CLIENT SETNAME "a b"
CLIENT SETNAME ab
CLIENT GETNAME
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT SETNAME "a\n"
CLIENT GETNAME x
CLIENT HELP x
AUTH
AUTH x
AUTH default x
AUTH foo x
AUTH a b c
SELECT x
SELECT 16
SELECT -1
SELECT 99999999999
SELECT 01
SELECT 15
SELECT 0
PING
PING a
PING a b
PING "\xff\x00\r\n"
ECHO
ECHO x
ECHO x y
HELLO 4
HELLO x
HELLO 2 foo
HELLO 2 AUTH
HELLO 2 AUTH default
HELLO 2 AUTH foo bar
HELLO 2 SETNAME "a b"
HELLO 2 SETNAME
HELLO 1
HELLO -1
HELLO 99999999999999999999
CLIENT SETNAME name
RESET
CLIENT GETNAME
RESET x
FOO
foo "\xffbar" baz
"" x
"a\nb" "c\r\nd"
CLIENT "\xff"
"#;

/// As above, on a server with the password `sesame`; an empty line begins a new connection.
const SAME_WITH_PASSWORD: &str = r"
PING
FOO
GET
GET a
HELLO
HELLO 3
HELLO x
HELLO 2 foo
HELLO 3 SETNAME a
HELLO 3 AUTH default x
AUTH x
AUTH default x
AUTH foo sesame
AUTH a b c
CLIENT
CLIENT FOO
CLIENT ID
SELECT x
ECHO
RESET
AUTH sesame
PING
AUTH bad
PING
RESET
PING
AUTH default sesame
CLIENT GETNAME

HELLO 2 AUTH default sesame foo
PING

HELLO 2 SETNAME first AUTH default bad
AUTH sesame
CLIENT GETNAME

HELLO 3 SETNAME a foo
CLIENT TRACKINGINFO
";

/// Each row is one pipeline of requests on a new connection.
const REPLY_MODES: &[&str] = &[
    "CLIENT REPLY OFF|PING a|FOO|CLIENT REPLY ON|PING b",
    "CLIENT REPLY SKIP|PING a|PING b",
    "CLIENT REPLY SKIP|FOO|PING b",
    "CLIENT REPLY SKIP|CLIENT REPLY SKIP|PING b|PING c",
    "CLIENT REPLY SKIP|CLIENT REPLY ON|PING b|PING c",
    "CLIENT REPLY SKIP|CLIENT REPLY OFF|PING b|CLIENT REPLY ON|PING c",
    "CLIENT REPLY SKIP|CLIENT REPLY foo|PING b|PING c",
    "CLIENT REPLY SKIP|CLIENT REPLY SKIP x|PING b|PING c",
    "CLIENT REPLY SKIP|RESET|PING b",
    "CLIENT REPLY OFF|RESET|PING b",
    "CLIENT REPLY OFF|CLIENT REPLY SKIP|PING b|CLIENT REPLY ON|PING c",
    "CLIENT REPLY OFF|CLIENT REPLY foo|CLIENT REPLY|CLIENT REPLY ON x|CLIENT REPLY ON|PING c",
    "CLIENT REPLY SKIP||PING b|PING c",
    "CLIENT REPLY SKIP|*0|*-1|PING b|PING c",
    "CLIENT REPLY SKIP|GET|GET x|PING c",
];

fn raw(real: &mut RealClient, line: &str) -> Vec<u8> {
    real.send(&encode(&words(line)));
    real.read_raw()
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn replies_are_byte_for_byte_those_of_redis() {
    let Some(redis) = RealRedis::start("replies_are_byte_for_byte_those_of_redis") else { return };
    let mut real = redis.connect();
    let mut server = Server::default();
    let conn = server.connect();
    // More words than the error quotes.
    let long = format!("FOO {} {} c\n{} x", "a".repeat(64), "b".repeat(80), "d".repeat(200));
    for line in SAME_AS_REDIS.lines().chain(long.lines()).filter(|line| !line.is_empty()) {
        let ours = server.send(conn, &encode(&words(line)));
        assert_eq!(shown(&ours), shown(&raw(&mut real, line)), "after {line}");
    }
}

#[test]
fn a_password_is_asked_for_as_redis_does() {
    let Some(redis) = RealRedis::start("a_password_is_asked_for_as_redis_does") else { return };
    redis.connect().call(&["CONFIG", "SET", "requirepass", "sesame"]);
    let config = Config { requirepass: "sesame".to_owned(), ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let (mut real, mut conn) = (redis.connect(), server.connect());
    for line in SAME_WITH_PASSWORD.lines().skip(1) {
        if line.is_empty() {
            (real, conn) = (redis.connect(), server.connect());
            continue;
        }
        let ours = server.send(conn, &encode(&words(line)));
        assert_eq!(shown(&ours), shown(&raw(&mut real, line)), "after {line}");
    }
}

#[test]
fn muted_clients_hear_what_redis_lets_them_hear() {
    let Some(redis) = RealRedis::start("muted_clients_hear_what_redis_lets_them_hear") else {
        return;
    };
    for pipeline in REPLY_MODES {
        let bytes = pipeline.replace('|', "\r\n") + "\r\nPING end\r\n";
        let mut real = redis.connect();
        real.send(bytes.as_bytes());
        let mut expected = Vec::new();
        while !expected.ends_with(b"$3\r\nend\r\n") {
            expected.extend(real.read_raw());
        }
        let mut server = Server::default();
        let conn = server.connect();
        let ours = server.send(conn, bytes.as_bytes());
        assert_eq!(shown(&ours), shown(&expected), "after {pipeline}");
    }
}

#[test]
fn a_muted_client_gets_no_protocol_error_and_no_goodbye() {
    for line in [
        "CLIENT REPLY OFF\r\n*x\r\n",
        "CLIENT REPLY SKIP\r\n*x\r\n",
        "CLIENT REPLY OFF\r\nQUIT\r\n",
    ] {
        let mut server = Server::default();
        let conn = server.connect();
        assert_eq!(shown(&server.send(conn, line.as_bytes())), "", "after {line}");
        assert!(server.is_closed(conn), "after {line}");
    }
}

#[test]
fn the_fields_of_a_client_are_those_of_redis_and_the_library() {
    let Some(redis) = RealRedis::start("the_fields_of_a_client") else { return };
    let names = |value: &Value| -> Vec<String> {
        let text = String::from_utf8(value.bytes().to_vec()).expect("ASCII");
        let line = text.lines().next().expect("one client at least").to_owned();
        line.split(' ').map(|field| field.split_once('=').expect("=").0.to_owned()).collect()
    };
    let mut expected = names(&redis.connect().call(&["CLIENT", "INFO"]));
    // Since 7.4, 7.2, 8.0 and Valkey 8.1.
    expected.extend(["watch", "lib-name", "lib-ver", "tot-cmds", "capa"].map(str::to_owned));
    let mut server = Server::default();
    let conn = server.connect();
    assert_eq!(names(&server.line(conn, "CLIENT INFO")), expected);
    assert_eq!(names(&server.line(conn, "CLIENT LIST")), expected);
}

fn tcp(port: u16) -> Origin {
    let address = |port| format!("127.0.0.1:{port}").parse().expect("an address");
    Origin::Tcp { peer: address(port), local: address(6379) }
}

fn field(server: &mut Server, conn: orrery_engine::ConnId, name: &str) -> String {
    let info = server.line(conn, "CLIENT INFO");
    let text = String::from_utf8(info.bytes().to_vec()).expect("ASCII");
    let found =
        text.trim_end().split(' ').find_map(|field| field.strip_prefix(&format!("{name}=")));
    found.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[test]
fn client_info_tells_the_truth() {
    let mut server = Server::default();
    let conn = server.connect_from(Origin::Tcp {
        peer: "[::1]:5000".parse().expect("an address"),
        local: "[::1]:6379".parse().expect("an address"),
    });
    for line in [
        "CLIENT SETNAME me",
        "CLIENT SETINFO lib-name jedis",
        "CLIENT SETINFO LIB-VER 1.2",
        "SELECT 3",
        "CLIENT NO-EVICT on",
        "CLIENT NO-TOUCH ON",
    ] {
        server.check(conn, line, "OK");
    }
    server.line(conn, "HELLO 3");
    server.advance_ms(2500);
    for (name, value) in [
        ("id", "1"),
        ("addr", "[::1]:5000"),
        ("laddr", "[::1]:6379"),
        ("name", "me"),
        ("age", "2"),
        ("idle", "0"),
        ("db", "3"),
        ("flags", "eT"),
        ("resp", "3"),
        ("lib-name", "jedis"),
        ("lib-ver", "1.2"),
        ("cmd", "client|info"),
        ("user", "default"),
        ("argv-mem", "10"),
        ("qbuf", "26"),
    ] {
        assert_eq!(field(&mut server, conn, name), value, "{name}");
    }
    server.check(conn, "RESET", "RESET");
    for (name, value) in
        [("name", ""), ("db", "0"), ("flags", "N"), ("resp", "2"), ("lib-name", "jedis")]
    {
        assert_eq!(field(&mut server, conn, name), value, "{name} after RESET");
    }
}

#[test]
fn library_names_are_checked() {
    let mut server = Server::default();
    let conn = server.connect();
    server.check(
        conn,
        "CLIENT SETINFO lib-name \"a b\"",
        "(error) ERR lib-name cannot contain spaces, newlines or special characters.",
    );
    server.check(conn, "CLIENT SETINFO foo a", "(error) ERR Unrecognized option 'foo'");
    server.check(conn, "CLIENT SETINFO lib-ver \"\"", "OK");
    server.check(conn, "CLIENT CAPA whatever", "OK");
    assert_eq!(field(&mut server, conn, "capa"), "");
    server.check(conn, "CLIENT CAPA Redirect whatever", "OK");
    assert_eq!(field(&mut server, conn, "capa"), "r");
    server.check(conn, "CLIENT IMPORT-SOURCE on", "(error) ERR Server is not in import mode");
    server.check(conn, "CLIENT IMPORT-SOURCE off", "OK");
    server.check(conn, "CLIENT NO-TOUCH maybe", "(error) ERR syntax error");
}

#[test]
fn killing_by_each_filter() {
    let mut server = Server::default();
    let admin = server.connect_from(tcp(1));
    let old = server.connect_from(tcp(2));
    server.advance_ms(10_000);
    let young = server.connect_from(tcp(3));
    server.check(admin, "CLIENT KILL MAXAGE 0", "(error) ERR maxage should be greater than 0");
    server.check(
        admin,
        "CLIENT KILL MAXAGE x",
        "(error) ERR maxage is not an integer or out of range",
    );
    server.check(admin, "CLIENT KILL ADDR 127.0.0.1:3 MAXAGE 5", "(integer) 0");
    server.check(admin, "CLIENT KILL MAXAGE 10", "(integer) 1");
    assert!(server.is_closed(old) && !server.is_closed(young));
    server.check(admin, "CLIENT KILL ID 3 ADDR 127.0.0.1:9", "(integer) 0");
    server.check(admin, "CLIENT KILL ID 3", "(integer) 1");
    assert!(server.is_closed(young));
    let other = server.connect_from(tcp(4));
    server.check(admin, "CLIENT KILL 127.0.0.1:4", "OK");
    assert!(server.is_closed(other));
    let unix = server.connect();
    server.check(admin, "CLIENT KILL LADDR /tmp/test.sock:0", "(integer) 1");
    assert!(server.is_closed(unix));
    let all: Vec<_> = (5..9).map(|port| server.connect_from(tcp(port))).collect();
    server.check(admin, "CLIENT KILL TYPE normal USER default", "(integer) 4");
    assert!(all.iter().all(|&conn| server.is_closed(conn)));
    assert!(!server.is_closed(admin));
}

#[test]
fn clients_are_found_by_what_they_said_they_can_do() {
    let mut server = Server::default();
    let admin = server.connect_from(tcp(1));
    let able = server.connect_from(tcp(2));
    let other = server.connect_from(tcp(3));
    server.check(able, "CLIENT CAPA redirect", "OK");
    let ids = |list: Value| -> Vec<String> {
        let text = String::from_utf8(list.bytes().to_vec()).expect("ASCII");
        text.lines().map(|line| line.split(' ').next().expect("a field").to_owned()).collect()
    };
    assert_eq!(ids(server.line(admin, "CLIENT LIST CAPA r")), ["id=2"]);
    assert_eq!(ids(server.line(admin, "CLIENT LIST NOT-CAPA r")), ["id=1", "id=3"]);
    server.check(
        admin,
        "CLIENT LIST CAPA rx",
        "(error) ERR Unknown capa found in the provided filter: rx",
    );
    server.check(
        admin,
        "CLIENT KILL NOT-CAPA x",
        "(error) ERR Unknown capa found in the NOT-CAPA filter: x",
    );
    server.check(admin, "CLIENT KILL CAPA r", "(integer) 1");
    assert!(server.is_closed(able) && !server.is_closed(other));
    server.check(admin, "CLIENT KILL NOT-CAPA r", "(integer) 1");
    assert!(server.is_closed(other) && !server.is_closed(admin));
}

#[test]
fn who_kills_itself_hears_of_it_and_runs_nothing_more() {
    for line in ["CLIENT KILL SKIPME no", "CLIENT KILL ID 1 SKIPME no", "CLIENT KILL 127.0.0.1:1"] {
        let mut server = Server::default();
        let conn = server.connect_from(tcp(1));
        let pipeline = [encode(&words(line)), encode(&["SET", "k", "v"])].concat();
        let expected = if line.ends_with(":1") { "+OK\\r\\n" } else { ":1\\r\\n" };
        assert_eq!(shown(&server.send(conn, &pipeline)), expected, "after {line}");
        assert!(server.is_closed(conn));
        let next = server.connect();
        server.check(next, "GET k", "(nil)");
    }
}

#[test]
fn a_killed_client_that_was_paused_runs_nothing() {
    let mut server = Server::default();
    let admin = server.connect();
    let writer = server.connect();
    server.check(admin, "CLIENT PAUSE 1000 WRITE", "OK");
    assert_eq!(shown(&server.send(writer, &encode(&["SET", "k", "v"]))), "");
    server.check(admin, "CLIENT KILL ID 2", "(integer) 1");
    server.check(admin, "CLIENT UNPAUSE", "OK");
    server.advance_ms(2000);
    server.check(admin, "GET k", "(nil)");
    assert!(server.is_closed(writer));
}

#[test]
fn a_write_pause_holds_writes_back_until_its_end() {
    let mut server = Server::default();
    let admin = server.connect();
    let writer = server.connect();
    server.check(admin, "CLIENT PAUSE 500 WRITE", "OK");
    assert_eq!(shown(&server.send(writer, b"GET k\r\nSET k v\r\nGET k\r\n")), "$-1\\r\\n");
    assert!(server.line(admin, "CLIENT LIST ID 2").to_string().contains("flags=bU"));
    server.check(admin, "CLIENT UNBLOCK 2", "(integer) 0");
    server.check(admin, "SET", "(error) ERR wrong number of arguments for 'set' command");
    server.advance_ms(499);
    assert_eq!(shown(&server.output(writer)), "");
    server.advance_ms(1);
    assert_eq!(shown(&server.output(writer)), "+OK\\r\\n$1\\r\\nv\\r\\n");
}

#[test]
fn unpause_lets_everybody_go_on_at_once() {
    let mut server = Server::default();
    let admin = server.connect();
    let writers: Vec<_> = (0..3).map(|_| server.connect()).collect();
    server.check(admin, "CLIENT PAUSE 100000 WRITE", "OK");
    for &writer in &writers {
        assert_eq!(shown(&server.send(writer, b"SET k v\r\n")), "");
        // More input does not wake it.
        assert_eq!(shown(&server.send(writer, b"PING\r\n")), "");
    }
    server.check(admin, "CLIENT UNPAUSE", "OK");
    for &writer in &writers {
        assert_eq!(shown(&server.output(writer)), "+OK\\r\\n+PONG\\r\\n");
    }
    assert_eq!(server.engine().deadline(), None);
}

/// (pauses one after the other, a command, after how many milliseconds it runs). The first three
/// were measured on Redis 7.0.15.
#[test]
fn a_pause_is_never_shortened_or_narrowed() {
    let cases: [(&[&str], &str, u64); 6] = [
        (&["1000 WRITE", "10 ALL"], "PING", 1000),
        (&["1000 WRITE", "2000 WRITE"], "SET x 1", 2000),
        (&["1000 ALL"], "CLIENT UNPAUSE", 1000),
        (&["1000 ALL"], "QUIT", 1000),
        (&["1000 WRITE"], "GET x", 0),
        (&["0 ALL"], "PING", 0),
    ];
    for (pauses, command, expected_ms) in cases {
        let mut server = Server::default();
        let client = server.connect();
        for pause in pauses {
            let admin = server.connect();
            server.check(admin, &format!("CLIENT PAUSE {pause}"), "OK");
        }
        let mut waited_ms = 0;
        let mut reply = server.send(client, &encode(&words(command)));
        while reply.is_empty() {
            server.advance_ms(1);
            waited_ms += 1;
            assert!(waited_ms <= 5000, "{pauses:?} {command}: it never runs");
            reply = server.output(client);
        }
        assert_eq!(waited_ms, expected_ms, "{pauses:?} {command}");
    }
}

#[test]
fn refusals_are_answered_during_a_pause() {
    let mut server = Server::default();
    let (admin, client) = (server.connect(), server.connect());
    server.check(admin, "CLIENT PAUSE 1000 ALL", "OK");
    server.check(client, "GET", "(error) ERR wrong number of arguments for 'get' command");
    server.check(client, "FOO", "(error) ERR unknown command 'FOO', with args beginning with: ");
}

#[test]
fn web_requests_are_hung_up_on() {
    for request in [
        "POST / HTTP/1.1\r\nSET k v\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nSET k v\r\n",
        "host:\r\nSET k v\r\n",
    ] {
        let mut server = Server::default();
        let conn = server.connect_from(tcp(7));
        server.send(conn, request.as_bytes());
        assert!(server.is_closed(conn), "after {request}");
        let effects = server.take_effects();
        let [Effect::Log(_, text)] = &effects[..] else { panic!("{effects:?}") };
        assert!(text.contains("127.0.0.1:7"), "{text}");
        let next = server.connect();
        server.check(next, "GET k", "(nil)");
    }
}

#[test]
fn a_password_may_be_set_and_taken_away_under_a_client() {
    let config = Config { requirepass: "sesame".to_owned(), ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    let eleven = [b"*11\r\n".as_slice(), &b"$1\r\nx\r\n".repeat(11)].concat();
    assert!(shown(&server.send(conn, &eleven)).contains("unauthenticated multibulk length"));
    let conn = server.connect();
    server.check(conn, "AUTH sesame", "OK");
    assert!(shown(&server.send(conn, &eleven)).contains("unknown command"));
    server.check(conn, "RESET", "RESET");
    server.check(conn, "ECHO x", "(error) NOAUTH Authentication required.");
}

#[test]
fn a_reply_that_the_driver_delays_is_muted_like_any_other() {
    for (mode, expected) in [
        ("CLIENT REPLY SKIP", "$1\\r\\na\\r\\n$1\\r\\nb\\r\\n"),
        ("CLIENT REPLY OFF", ""),
        ("CLIENT REPLY ON", "+OK\\r\\n+OK\\r\\n$1\\r\\na\\r\\n$1\\r\\nb\\r\\n"),
    ] {
        let mut server = Server::default();
        let conn = server.connect();
        let lines = [mode, "CONFIG SET port 7777", "PING a", "PING b"];
        let pipeline: Vec<u8> = lines.iter().flat_map(|line| encode(&words(line))).collect();
        let mut output = server.send(conn, &pipeline);
        let effects = server.take_effects();
        assert!(matches!(effects[..], [Effect::ApplyConfig { .. }]), "{effects:?}");
        server.input(Input::Done { conn, outcome: Outcome::ConfigApplied(Ok(())) });
        output.extend(server.output(conn));
        assert_eq!(shown(&output), expected, "after {mode}");
    }
}

#[test]
fn keys_are_not_deleted_during_a_pause() {
    let mut server = Server::default();
    let conn = server.connect();
    server.check(conn, "SET k v PX 10", "OK");
    server.check(conn, "CLIENT PAUSE 100 WRITE", "OK");
    server.advance_ms(99);
    server.check(conn, "DBSIZE", "(integer) 1");
    server.check(conn, "GET k", "(nil)");
    server.advance_ms(2);
    server.check(conn, "DBSIZE", "(integer) 0");
}

#[test]
fn help_begins_and_ends_as_in_redis_and_names_every_subcommand() {
    let Some(redis) = RealRedis::start("help_begins_and_ends_as_in_redis") else { return };
    let mut real = redis.connect();
    let mut server = Server::default();
    let conn = server.connect();
    for line in ["CLIENT HELP", "COMMAND HELP"] {
        let expected = real.call(&words(line));
        let ours = server.line(conn, line);
        assert_eq!(ours.elements()[0], expected.elements()[0], "{line}");
        let names = |value: &Value| -> Vec<String> {
            let lines = value.elements()[1..].iter();
            let names = lines.filter_map(|line| {
                let text = String::from_utf8_lossy(line.bytes()).into_owned();
                let is_name = text.starts_with(|first: char| first.is_ascii_uppercase());
                is_name.then(|| text.split(' ').next().expect("a word").to_owned())
            });
            names.collect()
        };
        let (ours, expected) = (names(&ours), names(&expected));
        for name in expected {
            assert!(ours.contains(&name), "{line} does not tell of {name}");
        }
    }
}

#[test]
fn periodic_work_rests_when_debug_says_so() {
    let config = Config { timeout_secs: 1, debug_command: Access::Yes, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let (active, idle) = (server.connect(), server.connect());
    server.line(idle, "PING");
    server.check(active, "DEBUG PAUSE-CRON 1", "OK");
    server.check(active, "SET k v PX 10", "OK");
    server.check(active, "SET other v PX 10", "OK");
    server.advance_ms(5000);
    server.check(active, "DBSIZE", "(integer) 2");
    server.check(active, "GET k", "(nil)");
    server.check(active, "DBSIZE", "(integer) 1");
    assert!(!server.is_closed(idle) && !server.is_closed(active));
    server.check(active, "DEBUG PAUSE-CRON 0", "OK");
    server.advance_ms(900);
    assert!(server.is_closed(idle) && !server.is_closed(active));
    server.check(active, "DBSIZE", "(integer) 0");
}
