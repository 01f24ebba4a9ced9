//! MONITOR: the same lines as from a real redis-server, but for times and addresses.

use orrery_engine::{Config, ConnId, Origin, Seed};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::encode;
use orrery_tests::scene::{Ours, Stage, Theirs, bytes_of};
use orrery_tests::server_in_process::Server;

/// Scenes for two servers: what every client receives after each line must be the same.
const SCENES: &str = r#"
A: monitor
B: set k v; get k; nosuch; get; ping hello
B: multi; set a 1; get a; exec
B: multi; set a; exec
B: multi; discard; exec
B: watch k; unwatch
B: config get maxmemory; slowlog len; client list id 999
B: select 3; set k v; select 0
B: incr k; lpush k x
B: echo ""

A: monitor
B: auth secret; auth user secret; hello 2 auth user secret setname x
B: config set masterauth secret

A: monitor
B: eval "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])" 1 k v
B: evalsha ffffffffffffffffffffffffffffffffffffffff 0
B: eval "return redis.pcall('lpush', KEYS[1], 'x')" 1 k
B: multi; eval "return redis.call('ping')" 0; exec

A: monitor
B: blpop l 0
C: lpush l x
B: blpop l 0
C: multi; lpush l y; set z z; exec

A: monitor
A: monitor
A: ping
A: echo self
A: get k
A: publish c m
A: multi; ping; exec
A: multi; get k; exec
B: subscribe c
A: reset
B: unsubscribe
A: get k
C: ping
A: monitor
C: ping
A: quit
C: ping

A: monitor
B: multi; exec now; exec
B: subscribe c
B: exec; get k
B: quit
C: multi; ping; quit

A: multi; monitor; exec
B: ping

A: monitor
C: monitor
B: ping
A: reset
B: ping
C: client reply off
B: ping
"#;

/// Hides times and addresses, and what the watching test itself sent.
fn masked(outputs: Vec<(char, String)>) -> Vec<(char, String)> {
    let line = |line: &str| -> Option<String> {
        let Some((time, rest)) = line.strip_prefix('+').and_then(|line| line.split_once(" ["))
        else {
            return Some(line.to_owned());
        };
        if !time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Some(line.to_owned());
        }
        if rest.contains("] \\\"PING\\\"") {
            return None;
        }
        let (db, rest) = rest.split_once(' ')?;
        let (client, words) = rest.split_once(']')?;
        let client = if client == "lua" { client } else { "client" };
        Some(format!("+[{db} {client}]{words}"))
    };
    let output = |text: &str| {
        let lines: Vec<String> = text.split("\\r\\n").filter_map(line).collect();
        lines.join("\n")
    };
    let all = outputs.into_iter().map(|(name, text)| (name, output(&text)));
    all.filter(|(_, text)| !text.is_empty()).collect()
}

#[test]
fn lines_are_those_of_a_real_redis() {
    let Some(mut theirs) = Theirs::start("monitor") else { return };
    for scene in SCENES.split("\n\n") {
        theirs.clear();
        let mut ours = Ours::new(Config::default());
        for line in scene.lines().filter(|line| !line.is_empty()) {
            let (client, bytes) = bytes_of(line);
            let expected = masked(theirs.say(client, &bytes));
            // It tells numbers of connections and what server it is.
            if line.contains("hello 2") {
                ours.say(client, &bytes);
                continue;
            }
            assert_eq!(masked(ours.say(client, &bytes)), expected, "after {line} in\n{scene}");
        }
    }
    theirs.clear();
    let mut ours = Ours::new(Config::default());
    for bytes in [encode(&["monitor"]), encode(&[&b"echo"[..], b"a \"\\\n\r\t\x07\x08\x00\xff"])] {
        let (expected, got) = (theirs.say('A', &bytes), ours.say('A', &bytes));
        assert_eq!(masked(got), masked(expected));
    }
}

/// What `conn` has received, as lines.
fn lines(server: &mut Server, conn: ConnId) -> Vec<String> {
    let text = String::from_utf8(server.output(conn)).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_line_tells_time_database_and_client() {
    let mut server = super::server();
    let watcher = server.connect();
    server.check(watcher, "MONITOR", "OK");
    let (peer, local) = ("10.0.0.1:1234".parse().unwrap(), "127.0.0.1:6379".parse().unwrap());
    let tcp = server.connect_from(Origin::Tcp { peer, local });
    let unix = server.connect();
    server.oversleep_ms(1);
    server.send(tcp, b"DENIED\r\n");
    server.check(unix, "SELECT 2", "OK");
    server.line(unix, "HELLO 2 AUTH nobody secret SETNAME n");
    let seen = lines(&mut server, watcher);
    let expected = [
        r#"+1767225600.001000 [2 unix:/tmp/test.sock] "SELECT" "2""#,
        concat!(
            r#"+1767225600.001000 [2 unix:/tmp/test.sock] "HELLO" "2" "AUTH" "(redacted)" "#,
            r#""(redacted)" "SETNAME" "n""#
        ),
    ];
    assert_eq!(seen, expected);
    let list = server.line(watcher, "CLIENT LIST TYPE normal").to_string();
    assert!(list.contains(" flags=OU "), "{list}");
}

#[test]
fn who_watches_and_does_not_read_is_closed() {
    let mut config = Config::default();
    config.set("client-output-buffer-limit", &["normal", "2000", "0", "0"]).unwrap();
    let mut server = Server::new(config, Seed(1));
    let (watcher, worker) = (server.connect(), server.connect());
    server.check(watcher, "MONITOR", "OK");
    for _ in 0..3 {
        server.check(worker, "PING", "PONG");
    }
    assert!(!server.is_closed(watcher));
    // All of it in one step, so that nothing leaves in between.
    server.send(worker, &b"PING\r\n".repeat(100));
    assert!(server.is_closed(watcher));
    server.check(worker, "PING", "PONG");
    let engine = server.engine();
    assert_eq!(engine.state().stats.output_buffer_closed, 1);
}

#[test]
fn an_idle_watcher_stays() {
    let mut config = Config::default();
    config.set("timeout", &["5"]).unwrap();
    let mut server = Server::new(config, Seed(1));
    let (watcher, idle) = (server.connect(), server.connect());
    server.check(watcher, "MONITOR", "OK");
    server.advance_ms(20_000);
    assert!(!server.is_closed(watcher) && server.is_closed(idle));
    server.disconnect(watcher);
    let worker = server.connect();
    server.check(worker, "PING", "PONG");
}

#[test]
fn redis_lets_no_watcher_reach_data_either() {
    let Some(redis) = RealRedis::start("monitor_data") else { return };
    let mut real = redis.connect();
    let mut server = super::server();
    let conn = server.connect();
    for line in ["MONITOR", "GET k", "SET k v"] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(server.line(conn, line), real.call(&words), "{line}");
    }
}
