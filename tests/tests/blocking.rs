//! Commands that make their client wait: for replicas that a server does not have, and for lists.
//! Scenes with several clients are played to a real redis-server too.

use orrery_engine::rng::Rng;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::resp_value::Value;
use orrery_tests::scene::{Ours, Stage, Theirs, bytes_of};
use orrery_tests::server_in_process::Server;

fn server() -> Server {
    Server::new(Config::default(), Seed(1))
}

#[test]
fn wait_answers_when_its_patience_ends_and_not_before() {
    let mut server = server();
    let conn = server.connect();
    assert_eq!(server.send(conn, b"WAIT 1 100\r\nPING\r\n"), b"");
    server.advance_ms(99);
    assert_eq!(server.output(conn), b"");
    server.advance_ms(2);
    // What was sent behind it runs only then, in order.
    assert_eq!(server.output(conn), b":0\r\n+PONG\r\n");
}

#[test]
fn waiting_for_nobody_answers_at_once() {
    let mut server = server();
    let conn = server.connect();
    server.check(conn, "WAIT 0 0", "(integer) 0");
    server.check(conn, "WAIT -5 1000", "(integer) 0");
    assert_eq!(server.send(conn, b"WAITAOF 0 0 1000\r\n"), b"*2\r\n:0\r\n:0\r\n");
}

#[test]
fn wrong_arguments_get_the_texts_of_redis() {
    let mut server = server();
    let conn = server.connect();
    for (line, error) in [
        ("WAIT a b", "-ERR value is not an integer or out of range\r\n"),
        ("WAIT 1 b", "-ERR timeout is not an integer or out of range\r\n"),
        ("WAIT 1 -1", "-ERR timeout is negative\r\n"),
        ("WAIT 1 99999999999999999999", "-ERR timeout is not an integer or out of range\r\n"),
        ("WAITAOF 2 0 0", "-ERR value is out of range, must be between 0 and 1\r\n"),
        ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive\r\n"),
        (
            "WAITAOF 1 0 0",
            "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n",
        ),
    ] {
        let reply = server.send(conn, format!("{line}\r\n").as_bytes());
        assert_eq!(String::from_utf8_lossy(&reply), error, "{line}");
    }
}

#[test]
fn a_wait_for_ever_ends_by_client_unblock() {
    let mut server = server();
    let (waiting, other) = (server.connect(), server.connect());
    assert_eq!(server.send(waiting, b"WAITAOF 0 1 0\r\n"), b"");
    server.advance_ms(1_000_000);
    assert_eq!(server.output(waiting), b"");
    let id = waiting.0;
    server.check(other, &format!("CLIENT UNBLOCK {id}"), "(integer) 1");
    assert_eq!(server.output(waiting), b"*2\r\n:0\r\n:0\r\n");
    server.check(other, &format!("CLIENT UNBLOCK {id}"), "(integer) 0");
    assert_eq!(server.send(waiting, b"WAIT 1 50\r\n"), b"");
    server.check(other, &format!("CLIENT UNBLOCK {id} ERROR"), "(integer) 1");
    let text = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
    assert_eq!(server.output(waiting), text);
    // The deadline that it no longer has must not answer a second time.
    server.advance_ms(100);
    assert_eq!(server.output(waiting), b"");
    assert_eq!(server.send(waiting, b"PING\r\n"), b"+PONG\r\n");
}

#[test]
fn a_client_that_goes_away_leaves_no_deadline_behind() {
    let mut server = server();
    for _ in 0..10 {
        let conn = server.connect();
        assert_eq!(server.send(conn, b"WAIT 1 9000000000000\r\n"), b"");
        assert!(server.engine().deadline().is_some());
        server.disconnect(conn);
        assert_eq!(server.engine().deadline(), None);
    }
}

#[test]
fn many_waits_that_end_together_are_ended_in_bounded_steps() {
    let mut server = server();
    let clients: Vec<_> = (0..2000).map(|_| server.connect()).collect();
    for &conn in &clients {
        assert_eq!(server.send(conn, b"WAIT 1 10\r\n"), b"");
    }
    server.oversleep_ms(20);
    server.tick();
    let answered = clients.iter().filter(|&&conn| !server.output(conn).is_empty()).count();
    assert_eq!(answered, 512, "one step ends this many");
    for _ in 0..3 {
        server.tick();
    }
    let answered = clients.iter().filter(|&&conn| !server.output(conn).is_empty()).count();
    assert_eq!(answered, 2000 - 512);
}

/// Scenes that must go as with Redis 7.0.15, apart by empty lines.
const SCENES: &str = r"
A: BLPOP k 0
B: BLPOP k 0
C: BRPOP k 0
D: RPUSH k 1 2
D: LRANGE k 0 -1
D: RPUSH k 3 4
D: LRANGE k 0 -1

A: BLPOP a b c 0
D: RPUSH b x
A: BLPOP a b c 0
D: LLEN b
D: EXISTS a b c

A: BLPOP k k 0
D: RPUSH k x y
D: LRANGE k 0 -1
A: BLPOP k k 0
D: DEL k
A: BLPOP k k 0
D: RPUSH k z

A: BRPOPLPUSH a b 0
B: BRPOPLPUSH b c 0
C: BLPOP c 0
D: LPUSH a x
D: EXISTS a b c

A: BRPOPLPUSH a b 0
B: BRPOPLPUSH b a 0
D: RPUSH a foo
D: LRANGE a 0 -1
D: LRANGE b 0 -1

A: BRPOPLPUSH k k 0
D: LPUSH k foo
D: LRANGE k 0 -1

A: BLMOVE src dst LEFT RIGHT 0
D: SET dst nolist
D: LPUSH src x
D: LRANGE src 0 -1
B: BLMOVE src dst LEFT RIGHT 0
D: DEL dst
B: BLMOVE src dst LEFT RIGHT 0

A: BLMOVE src dst LEFT RIGHT 0
B: BRPOPLPUSH src other 0
D: SET dst nolist
D: RPUSH src x
D: LRANGE other 0 -1

D: SET k v
A: BLPOP k 0
A: BLPOP none k 0
A: BLMOVE k l LEFT RIGHT 0
A: BLMPOP 0 2 none k LEFT
A: BRPOPLPUSH none k 0
D: RPUSH none x

A: BLPOP k 0
D: SET k v
D: DEL k
D: RPUSH k x

A: BLPOP k 0
B: BZPOPMIN k 0
C: BLPOP k 0
D: ZADD k 1 m
D: RPUSH k x
D: ZADD k 1 m
D: DEL k
D: RPUSH k z

A: BLPOP k 0
D: SELECT 1
D: RPUSH k x
D: SWAPDB 0 1
D: LLEN k

A: SELECT 9
A: BLPOP k 0
D: RPUSH k wrong
D: SELECT 9
D: RPUSH k right

A: BLPOP k 0
D: RPUSH other x y
D: RENAME other k
D: LRANGE k 0 -1

A: BLPOP k 0
D: RPUSH other x y
D: COPY other k
D: LRANGE k 0 -1
D: LRANGE other 0 -1

A: BLPOP k 0
D: SELECT 1
D: RPUSH k x
D: MOVE k 0
D: EXISTS k

A: BLPOP k 0
D: RPUSH src 3 1 2
D: SORT src STORE k
D: LRANGE k 0 -1

A: BLPOP k 0
B: BLPOP k 0
D: RPUSH src a
D: LMOVE src k LEFT RIGHT
D: RPUSH src b
D: RPOPLPUSH src k

A: BLPOP k 0; SET done 1; GET done
D: EXISTS done
D: RPUSH k x
D: EXISTS done

A: BLPOP k 0
A: PING
A: BLPOP l 0; PING again
D: RPUSH k x
D: RPUSH l y

A: BLPOP k 0
D: LPUSH k a b c
D: LRANGE k 0 -1

A: BLMPOP 0 1 k LEFT COUNT 10
B: BLPOP k 0
D: RPUSH k 1 2 3
D: RPUSH k 4

A: BLMPOP 0 2 a b RIGHT COUNT 2
D: RPUSH b 1 2 3
D: LRANGE b 0 -1

A: BLPOP dst 0
B: BLMOVE src dst LEFT RIGHT 0
D: RPUSH src 1 2 3
D: LRANGE src 0 -1
D: EXISTS dst

A: BLPOP k 0
D: FLUSHALL
D: FLUSHDB
D: RPUSH k x

A: BLPOP k 0
D: RPUSHX k x
D: LINSERT k BEFORE a b
D: LPUSH k y

A: HELLO 3
A: BLMPOP 0 1 k LEFT
D: RPUSH k x
A: BLPOP k 0.001
A: BLMOVE k l LEFT LEFT 0
D: RPUSH k x

A: BLPOP k 0
D: RPUSH k x; LPUSH k y; LRANGE k 0 -1
D: DEL k

A: BLPOP k 0
B: BLPOP k 0
D: RPUSH k x; DEL k; RPUSH k y; RPUSH k z
D: LRANGE k 0 -1

A: CLIENT REPLY OFF
A: BLPOP k 0
D: RPUSH k x
A: CLIENT REPLY ON
D: EXISTS k

D: RPUSH k 1 2 3
A: BLPOP k 0; BRPOP k 0; BLMPOP 0 1 k LEFT; BLPOP k 0; PING
D: RPUSH k 4
";

#[test]
fn scenes_go_as_with_redis() {
    let Some(mut theirs) = Theirs::start("blocking") else { return };
    for scene in SCENES.split("\n\n") {
        theirs.clear();
        let mut ours = Ours::new(Config::default());
        for line in scene.lines().filter(|line| !line.is_empty()) {
            let (client, bytes) = bytes_of(line);
            // What waits for a moment has been answered when both are asked.
            let mut expected = theirs.say(client, &bytes);
            let mut got = ours.say(client, &bytes);
            if line.contains("0.001") {
                std::thread::sleep(std::time::Duration::from_millis(20));
                ours.server.advance_ms(2);
                expected.extend(theirs.say(client, b""));
                got.extend(ours.say(client, b""));
            }
            // It tells the number of the connection.
            if !line.contains("HELLO") {
                assert_eq!(got, expected, "after {line} in\n{scene}");
            }
        }
    }
}

/// Random scenes: a few clients wait for a few keys, and others push, pop and move.
fn random_line(random: &mut Rng, moves: bool) -> String {
    let client = char::from(b'A' + random.below(6) as u8);
    let mut pick =
        |choices: &[&str]| choices[random.below(choices.len() as u64) as usize].to_owned();
    let side = pick(&["LEFT", "RIGHT"]);
    let to = pick(&["LEFT", "RIGHT"]);
    let first = pick(&["k0", "k1", "k2", "k3"]);
    let second = pick(&["k0", "k1", "k2", "k3"]);
    let elements = pick(&["a", "b c", "d e f"]);
    let command = match (random.below(14), moves) {
        (0 | 1, _) => format!("BLPOP {first} 0"),
        (2, _) => format!("BRPOP {first} 0"),
        (3, _) => format!("BLMPOP 0 1 {first} {side} COUNT 2"),
        (4 | 5, true) => format!("BLMOVE {first} {second} {side} {to} 0"),
        (4 | 5, false) => format!("BLPOP {first} {second} 0"),
        (6, true) => format!("LMOVE {first} {second} {side} {to}"),
        (6, false) => format!("BLMPOP 0 2 {first} {second} {side}"),
        (7, _) => format!("DEL {first}"),
        (8, _) => format!("LPOP {first}"),
        (9, _) => format!("RENAME {first} {second}"),
        (10, _) => format!("LPUSH {first} {elements}"),
        _ => format!("RPUSH {first} {elements}"),
    };
    format!("{client}: {command}")
}

#[test]
fn random_scenes_go_as_with_redis() {
    let Some(mut theirs) = Theirs::start("random blocking") else { return };
    for seed in 0..40 {
        let mut random = Rng::new(Seed(seed), "blocking");
        theirs.clear();
        let mut ours = Ours::new(Config::default());
        let mut lines = Vec::new();
        for _ in 0..60 {
            let line = random_line(&mut random, seed % 2 == 0);
            let (client, bytes) = bytes_of(&line);
            lines.push(line);
            let (expected, got) = (theirs.say(client, &bytes), ours.say(client, &bytes));
            assert_eq!(got, expected, "seed {seed} after\n{}", lines.join("\n"));
        }
    }
}

fn info(server: &mut Server, conn: ConnId, field: &str) -> String {
    let text = server.line(conn, "INFO clients");
    let text = String::from_utf8(text.bytes().to_vec()).expect("text");
    let value = text.split("\r\n").find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.expect("the field is there").to_owned()
}

#[test]
fn patience_ends_in_time_and_in_order() {
    let mut server = server();
    let (first, second, other) = (server.connect(), server.connect(), server.connect());
    assert_eq!(server.send(first, b"BLPOP k 0.2\r\nPING\r\n"), b"");
    assert!(!server.send(second, b"HELLO 3\r\n").is_empty());
    assert_eq!(server.send(second, b"BLMOVE k l LEFT LEFT 0.1\r\n"), b"");
    assert_eq!(info(&mut server, other, "blocked_clients"), "2");
    assert_eq!(info(&mut server, other, "total_blocking_keys"), "1");
    server.advance_ms(101);
    assert_eq!(server.output(second), b"_\r\n");
    assert_eq!(server.output(first), b"");
    server.advance_ms(100);
    assert_eq!(server.output(first), b"*-1\r\n+PONG\r\n");
    assert_eq!(info(&mut server, other, "blocked_clients"), "0");
    assert_eq!(info(&mut server, other, "total_blocking_keys"), "0");
    // Nobody waits any more.
    server.check(other, "RPUSH k a", "(integer) 1");
    server.check(other, "LLEN k", "(integer) 1");
    assert_eq!(server.engine().deadline(), None);
}

#[test]
fn wrong_patience_is_refused() {
    let mut server = server();
    let conn = server.connect();
    for (word, error) in [
        ("x", "timeout is not a float or out of range"),
        ("nan", "timeout is not a float or out of range"),
        ("1e5000", "timeout is not a float or out of range"),
        ("-1", "timeout is negative"),
        ("-0.002", "timeout is negative"),
        ("-inf", "timeout is negative"),
        ("inf", "timeout is out of range"),
        ("0x7FFFFFFFFFFFFF", "timeout is out of range"),
        ("9223372036854775", "timeout is out of range"),
        ("9223372036854775807", "timeout is out of range"),
    ] {
        let expected = format!("(error) ERR {error}");
        server.check(conn, &format!("BLPOP k {word}"), &expected);
        server.check(conn, &format!("BLMPOP {word} 1 k LEFT"), &expected);
        server.check(conn, &format!("BLMOVE k l LEFT LEFT {word}"), &expected);
    }
    // What rounds up to zero is for ever: as with Redis minus a millisecond just does.
    assert_eq!(server.send(conn, b"BLPOP k -0.001\r\n"), b"");
    server.advance_ms(1_000_000);
    assert_eq!(server.output(conn), b"");
}

#[test]
fn a_waiting_client_can_be_unblocked_killed_and_lost() {
    let mut server = server();
    let other = server.connect();
    for (line, expected) in [
        ("CLIENT UNBLOCK {id}", "*-1\r\n"),
        ("CLIENT UNBLOCK {id} TIMEOUT", "*-1\r\n"),
        ("CLIENT UNBLOCK {id} ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
        ("CLIENT KILL ID {id}", ""),
    ] {
        let conn = server.connect();
        assert_eq!(server.send(conn, b"BLPOP a k b 7\r\n"), b"");
        let list = server.line(other, "CLIENT LIST");
        let list = String::from_utf8(list.bytes().to_vec()).expect("text");
        let own = list.lines().find(|line| line.starts_with(&format!("id={} ", conn.0)));
        assert!(own.expect("it is listed").contains(" flags=bU "), "{list}");
        let id = conn.0.to_string();
        server.check(other, &line.replace("{id}", &id), "(integer) 1");
        if !server.is_closed(conn) {
            assert_eq!(
                server.output(conn).escape_ascii().to_string(),
                expected.escape_default().to_string()
            );
        }
        server.engine().check_invariants();
        server.check(other, "RPUSH k x", "(integer) 1");
        server.check(other, "LPOP k", "\"x\"");
    }
    let conn = server.connect();
    assert_eq!(server.send(conn, b"BLPOP k 9\r\n"), b"");
    server.disconnect(conn);
    server.engine().check_invariants();
    server.check(other, "RPUSH k x", "(integer) 1");
    server.check(other, "LLEN k", "(integer) 1");
    assert_eq!(server.engine().deadline(), None);
}

#[test]
fn many_are_served_in_bounded_steps_before_anybody_else() {
    let mut server = server();
    let waiting: Vec<ConnId> = (0..2000).map(|_| server.connect()).collect();
    for &conn in &waiting {
        assert_eq!(server.send(conn, b"BLPOP k 0\r\n"), b"");
    }
    let (pusher, thief) = (server.connect(), server.connect());
    let elements: Vec<String> = (0..2000).map(|n: u32| n.to_string()).collect();
    let push = format!("RPUSH k {}\r\nLLEN k\r\n", elements.join(" "));
    // One step of the engine, without what the driver does about its effects.
    let before = server.engine().state().stats.steps;
    let reply = server.send(pusher, push.as_bytes());
    assert_eq!(reply, b":2000\r\n:0\r\n", "what follows a push comes when all are served");
    assert!(server.engine().state().stats.steps - before > 3);
    assert_eq!(server.send(thief, b"LPOP k\r\n"), b"$-1\r\n");
    for (number, &conn) in waiting.iter().enumerate() {
        let number = number.to_string();
        let expected = format!("*2\r\n$1\r\nk\r\n${}\r\n{number}\r\n", number.len());
        assert_eq!(server.output(conn), expected.as_bytes());
    }
    server.engine().check_invariants();
}

#[test]
fn exactly_so_many_are_waited_for() {
    let mut server = server();
    let (all, one, other) = (server.connect(), server.connect(), server.connect());
    assert_eq!(server.send(all, b"BLMOVEM k l LEFT RIGHT 0 EXACTLY 3 BULK\r\n"), b"");
    server.check(other, "RPUSH k 1 2", "(integer) 2");
    assert_eq!(server.output(all), b"");
    // Who asks for what is there gets it, though others wait for more.
    assert_eq!(server.send(one, b"BLPOP k 0\r\n"), b"*2\r\n$1\r\nk\r\n$1\r\n1\r\n");
    server.check(other, "RPUSH k 3", "(integer) 2");
    assert_eq!(server.output(all), b"");
    server.engine().check_invariants();
    server.check(other, "LPUSH k 0", "(integer) 3");
    assert_eq!(server.output(all), b"*3\r\n$1\r\n0\r\n$1\r\n2\r\n$1\r\n3\r\n");
    server.check(other, "EXISTS k", "(integer) 0");
    server.check(other, "LRANGE l 0 -1", "1) \"0\"\n2) \"2\"\n3) \"3\"");
    // The one that waits for more came first and keeps its place.
    assert_eq!(server.send(all, b"BLMOVEM k l LEFT RIGHT 1 EXACTLY 2 BULK\r\n"), b"");
    assert_eq!(server.send(one, b"BLPOP k 0\r\n"), b"");
    server.check(other, "RPUSH k a", "(integer) 1");
    assert_eq!(server.output(one), b"*2\r\n$1\r\nk\r\n$1\r\na\r\n");
    assert_eq!(server.send(one, b"BLPOP k 0\r\n"), b"");
    server.check(other, "RPUSH k b c", "(integer) 2");
    assert_eq!(server.output(all), b"*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
    assert_eq!(server.output(one), b"");
}

#[test]
fn nobody_is_closed_as_idle_for_waiting() {
    let mut server = server();
    let (conn, other) = (server.connect(), server.connect());
    server.check(other, "CONFIG SET timeout 100", "OK");
    assert_eq!(server.send(conn, b"BLPOP k 0\r\n"), b"");
    for _ in 0..20 {
        server.advance_ms(50_000);
        server.check(other, "PING", "PONG");
    }
    server.check(other, "RPUSH k x", "(integer) 1");
    server.advance_ms(10_000);
    assert!(!server.is_closed(conn));
    assert_eq!(server.output(conn), b"*2\r\n$1\r\nk\r\n$1\r\nx\r\n");
}

#[test]
fn who_waits_is_counted_once() {
    let mut server = server();
    let (conn, other) = (server.connect(), server.connect());
    assert_eq!(server.send(conn, b"BLPOP k 0\r\n"), b"");
    server.check(other, "RPUSH k x", "(integer) 1");
    let stats = server.line(other, "INFO commandstats");
    let stats = String::from_utf8(stats.bytes().to_vec()).expect("text");
    assert!(stats.contains("cmdstat_blpop:calls=1,"), "{stats}");
}

/// Whatever happens, nobody waits for a key that holds what it waits for, and every element is
/// either in a list or was given to one client.
#[test]
fn nobody_waits_for_what_is_there_and_nothing_is_lost() {
    for seed in 0..30 {
        let mut random = Rng::new(Seed(seed), "waits");
        let mut server = server();
        let control = server.connect();
        let mut clients: Vec<(ConnId, Vec<String>)> = Vec::new();
        let (mut pushed, mut received, mut overwritten) = (0_u64, 0_u64, false);
        for _ in 0..300 {
            while clients.len() < 8 {
                clients.push((server.connect(), Vec::new()));
            }
            let chosen = random.below(8) as usize;
            let (first, second) = (random.below(5), random.below(5));
            match random.below(12) {
                0..=4 if clients[chosen].1.is_empty() => {
                    let line = match random.below(3) {
                        0 => format!("BLPOP q{first} q{second} 0.05\r\n"),
                        1 => format!("BLMPOP 0 2 q{first} q{second} RIGHT\r\n"),
                        _ => format!("BLMOVE q{first} q{second} LEFT RIGHT 0\r\n"),
                    };
                    let conn = clients[chosen].0;
                    clients[chosen].1 = vec![format!("q{first}"), format!("q{second}")];
                    if line.starts_with("BLMOVE") {
                        clients[chosen].1.pop();
                    }
                    let moves = line.starts_with("BLMOVE");
                    let output = server.send(conn, line.as_bytes());
                    if !output.is_empty() {
                        clients[chosen].1.clear();
                        received += u64::from(!moves);
                    }
                }
                0..=4 => {}
                5 => {
                    server.disconnect(clients[chosen].0);
                    clients.remove(chosen);
                }
                6 => {
                    let id = clients[chosen].0.0;
                    server.line(control, &format!("CLIENT UNBLOCK {id}"));
                }
                7 => server.advance_ms(random.below(40)),
                8 => {
                    server.line(control, &format!("RENAME q{first} q{second}"));
                    overwritten = true;
                }
                _ => {
                    server.line(control, &format!("RPUSH q{first} x y"));
                    pushed += 2;
                }
            }
            server.advance_ms(0);
            for (conn, keys) in &mut clients {
                let output = server.output(*conn);
                if !output.is_empty() {
                    // What a move gives is in a list.
                    received += u64::from(output.starts_with(b"*2"));
                    keys.clear();
                }
                for key in keys {
                    server.check(control, &format!("EXISTS {key}"), "(integer) 0");
                }
            }
            server.engine().check_invariants();
            let lens: i64 = (0..5).map(|n| len(&mut server, control, n)).sum();
            if core::mem::take(&mut overwritten) {
                pushed = received + lens as u64;
            }
            assert_eq!(pushed, received + lens as u64, "seed {seed}");
        }
    }
}

fn len(server: &mut Server, conn: ConnId, number: u64) -> i64 {
    match server.line(conn, &format!("LLEN q{number}")) {
        Value::Integer(len) => len,
        other => panic!("a length, not {other:?}"),
    }
}
