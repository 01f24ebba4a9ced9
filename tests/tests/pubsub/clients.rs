//! Subscribers as clients: how they are listed, killed, reset and timed out, and what they may ask
//! for.

use orrery_engine::commands::spec::Flags;
use orrery_engine::commands::table::table;
use orrery_engine::session::Topic;
use orrery_engine::{Config, ConnId, Effect, Effects, Engine, Input, Now, Origin, Seed};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{Value, encode, words};
use orrery_tests::server_in_process::Server;

fn counts(server: &Server) -> [usize; 3] {
    server.engine().check_invariants();
    Topic::ALL.map(|topic| server.engine().state().pubsub.count(topic))
}

fn subscriber(server: &mut Server) -> ConnId {
    let conn = server.connect();
    server.send(conn, b"SUBSCRIBE a b\r\nPSUBSCRIBE p*\r\nSSUBSCRIBE s\r\n");
    conn
}

#[test]
fn whoever_goes_takes_his_subscriptions_along() {
    let mut server = Server::default();
    let admin = server.connect();
    let gone = subscriber(&mut server);
    let stays = server.connect();
    server.send(stays, b"SUBSCRIBE b c\r\n");
    assert_eq!(counts(&server), [3, 1, 1]);
    server.check(admin, "PUBLISH b x", "(integer) 2");
    server.disconnect(gone);
    assert_eq!(counts(&server), [2, 0, 0]);
    server.check(admin, "PUBLISH b x", "(integer) 1");
    let reset = subscriber(&mut server);
    assert_eq!(counts(&server), [3, 1, 1]);
    assert_eq!(server.send(reset, b"RESET\r\nPING\r\n"), b"+RESET\r\n+PONG\r\n");
    assert_eq!(counts(&server), [2, 0, 0]);
    let quit = subscriber(&mut server);
    assert_eq!(server.send(quit, b"QUIT\r\n"), b"+OK\r\n");
    assert_eq!(counts(&server), [2, 0, 0]);
    let killed = subscriber(&mut server);
    server.check(admin, &format!("CLIENT KILL ID {}", killed.0), "(integer) 1");
    assert!(server.is_closed(killed));
    assert_eq!(counts(&server), [2, 0, 0]);
    server.disconnect(stays);
    assert_eq!(counts(&server), [0, 0, 0]);
    assert_eq!(server.engine().state().pubsub.memory_bytes(), 0);
}

#[test]
fn a_killed_subscriber_does_not_count_before_its_connection_is_closed() {
    let mut engine = Engine::new(Config::default(), Seed(1), Now::default());
    let mut fx = Effects::new();
    let (admin, victim) = (ConnId(1), ConnId(2));
    for conn in [admin, victim] {
        let origin = Origin::Unix { path: "/tmp/s".into() };
        engine.step(Now::default(), Input::Opened { conn, origin }, &mut fx);
    }
    let mut say = |conn: ConnId, line: &str| {
        let mut bytes = bytes::BytesMut::from(line);
        engine.step(Now::default(), Input::Received { conn, bytes: &mut bytes }, &mut fx);
        let effects: Vec<Effect> = fx.drain().collect();
        let mut out = Vec::new();
        engine.take_output(conn, &mut out);
        (effects, String::from_utf8(out).expect("text"))
    };
    say(victim, "SUBSCRIBE a\r\n");
    assert_eq!(say(admin, "PUBLISH a x\r\n").1, ":1\r\n");
    let (effects, reply) = say(admin, "CLIENT KILL TYPE pubsub\r\nPUBLISH a x\r\n");
    assert_eq!(reply, ":1\r\n:0\r\n");
    assert_eq!(effects, [Effect::Abort(victim), Effect::Flush(admin)]);
}

#[test]
fn subscribers_are_listed_with_what_they_have() {
    let mut server = Server::default();
    let admin = server.connect();
    let resp2 = subscriber(&mut server);
    let resp3 = server.connect();
    server.line(resp3, "HELLO 3");
    server.send(resp3, b"SSUBSCRIBE x y\r\n");
    let field = |server: &mut Server, line: &str, name: &str| -> Vec<String> {
        let text = server.line(admin, line);
        let text = String::from_utf8_lossy(text.bytes()).into_owned();
        let prefix = format!("{name}=");
        let words = text.split_whitespace().filter_map(|word| word.strip_prefix(&prefix));
        words.map(str::to_owned).collect()
    };
    assert_eq!(field(&mut server, "CLIENT LIST", "sub"), ["0", "2", "0"]);
    assert_eq!(field(&mut server, "CLIENT LIST", "psub"), ["0", "1", "0"]);
    assert_eq!(field(&mut server, "CLIENT LIST", "ssub"), ["0", "1", "2"]);
    assert_eq!(field(&mut server, "CLIENT LIST", "flags"), ["U", "PU", "PU"]);
    let ids = [resp2, resp3].map(|conn| conn.0.to_string());
    assert_eq!(field(&mut server, "CLIENT LIST TYPE pubsub", "id"), ids);
    assert_eq!(field(&mut server, "CLIENT LIST TYPE normal", "id"), [admin.0.to_string()]);
    let info = server.line(admin, "INFO stats");
    let info = String::from_utf8_lossy(info.bytes()).into_owned();
    for line in ["pubsub_channels:2", "pubsub_patterns:1", "pubsubshard_channels:3"] {
        assert!(info.lines().any(|found| found == line), "{line} in {info}");
    }
    server.check(admin, "CLIENT KILL TYPE pubsub", "(integer) 2");
    assert!(server.is_closed(resp2) && server.is_closed(resp3) && !server.is_closed(admin));
    assert_eq!(counts(&server), [0, 0, 0]);
}

#[test]
fn idle_subscribers_stay() {
    let mut server = Server::new(Config { timeout_secs: 5, ..Config::default() }, Seed(1));
    let (listener, idle) = (subscriber(&mut server), server.connect());
    server.advance_ms(60_000);
    assert!(!server.is_closed(listener) && server.is_closed(idle));
    server.send(listener, b"RESET\r\n");
    server.advance_ms(60_000);
    assert!(server.is_closed(listener));
}

/// Every command that both servers know, sent by a subscriber that speaks RESP2.
#[test]
fn what_a_subscriber_may_ask_for_is_what_redis_lets_it() {
    let mut server = Server::default();
    let mut compared = 0;
    let Some(real) = RealRedis::start("what_a_subscriber_may_ask_for") else { return };
    let mut asker = real.connect();
    for row in table().rows() {
        let info = asker.call(&["COMMAND", "INFO", row.full_name]);
        // DEBUG is refused before anybody looks whether the client is a subscriber.
        let is_refused = row.command.flags.has(Flags::PROTECTED);
        if matches!(info.elements()[0], Value::Null | Value::NullArray) || is_refused {
            continue;
        }
        let Value::Array(fields) = &info.elements()[0] else { panic!("{info}") };
        let arity = fields[1].integer().unsigned_abs() as usize;
        let mut words: Vec<String> = row.full_name.split('|').map(str::to_owned).collect();
        let len = words.len().max(arity).max(1 + usize::from(!row.subcommands.is_empty()));
        if row.subcommands.is_empty() {
            words.resize(len, "1".to_owned());
        }
        let mut theirs = real.connect();
        theirs.call(&["SUBSCRIBE", "a"]);
        theirs.send(&encode(&words));
        let theirs = theirs.read();
        let conn = server.connect();
        server.send(conn, b"SUBSCRIBE a\r\n");
        let ours = Value::read_all(&server.send(conn, &encode(&words)));
        assert_eq!(ours[0], theirs, "{words:?}");
        compared += 1;
    }
    assert!(compared > 200, "only {compared} commands are shared");
}

#[test]
fn messages_to_a_client_that_runs_come_behind_the_reply_of_the_command() {
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "HELLO 3");
    server.send(conn, b"SUBSCRIBE a\r\n");
    let output = server.send(conn, b"PUBLISH a 1\r\nPING\r\nPUBLISH a 2\r\n");
    let message = |text: &str| format!(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n{text}\r\n");
    let expected = format!(":1\r\n{}+PONG\r\n:1\r\n{}", message("1"), message("2"));
    assert_eq!(String::from_utf8_lossy(&output), expected);
}

/// The subscriber pushes an element that another client waits for; that it was popped is told to
/// the subscriber while it still runs.
#[test]
fn a_client_hears_of_those_whom_it_has_served() {
    let mut server = Server::default();
    let (conn, waiting) = (server.connect(), server.connect());
    server.line(conn, "CONFIG SET notify-keyspace-events El");
    server.line(conn, "HELLO 3");
    server.send(conn, b"PSUBSCRIBE *\r\n");
    assert_eq!(server.send(waiting, b"BLPOP l 0\r\n"), b"");
    let heard = |bytes: &[u8]| -> Vec<String> {
        Value::read_all(bytes).iter().map(|value| value.to_string().replace('\n', " ")).collect()
    };
    let output = heard(&server.send(conn, b"RPUSH l x\r\nPING\r\n"));
    assert_eq!(output[0], "(integer) 1");
    assert!(output[1].contains("rpush"), "{output:?}");
    assert_eq!(output.len(), 4, "{output:?}");
    assert!(output.contains(&"PONG".to_owned()), "{output:?}");
    assert!(output.iter().any(|line| line.contains("lpop")), "{output:?}");
    assert_eq!(heard(&server.output(waiting)), ["1) \"l\" 2) \"x\""]);
}

#[test]
fn a_waiting_client_gets_messages_meanwhile() {
    let mut server = Server::default();
    let (conn, other) = (server.connect(), server.connect());
    server.line(conn, "HELLO 3");
    server.send(conn, b"SUBSCRIBE a\r\n");
    assert_eq!(server.send(conn, b"BLPOP l 0\r\n"), b"");
    server.check(other, "PUBLISH a x", "(integer) 1");
    assert_eq!(server.output(conn), b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    server.check(other, "LPUSH l y", "(integer) 1");
    assert_eq!(server.output(conn), b"*2\r\n$1\r\nl\r\n$1\r\ny\r\n");
}

/// As Redis has it: more confirmations than the transaction has commands, and no shard channels.
#[test]
fn a_transaction_may_subscribe_to_channels() {
    let Some(real) = RealRedis::start("a_transaction_may_subscribe") else { return };
    for hello in ["2", "3"] {
        let mut server = Server::default();
        let (conn, mut client) = (server.connect(), real.connect());
        server.call(conn, &["HELLO", hello]);
        client.call(&["HELLO", hello]);
        for line in [
            "MULTI",
            "SUBSCRIBE a b",
            "SSUBSCRIBE s",
            "PSUBSCRIBE p",
            "UNSUBSCRIBE a none",
            "PING",
            "EXEC",
        ] {
            let ours = server.send(conn, &encode(&words(line)));
            client.send(&encode(&words(line)));
            let mut theirs = client.read_raw();
            while theirs.len() < ours.len() {
                theirs.extend(client.read_raw());
            }
            assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string());
        }
    }
}

#[test]
fn messages_of_a_transaction_come_behind_its_reply() {
    let mut server = Server::default();
    let (conn, other) = (server.connect(), server.connect());
    server.line(conn, "HELLO 3");
    server.send(conn, b"SUBSCRIBE a\r\n");
    server.send(other, b"SUBSCRIBE a\r\n");
    let output = server.send(conn, b"MULTI\r\nPUBLISH a x\r\nPING\r\nPUBLISH a y\r\nEXEC\r\n");
    let values: Vec<String> = Value::read_all(&output).iter().map(flat).collect();
    let replies = ["OK", "QUEUED", "QUEUED", "QUEUED"];
    assert_eq!(values[..4], replies);
    assert_eq!(values[4..], ["2 PONG 2", "message a x", "message a y"]);
    let values: Vec<String> = Value::read_all(&server.output(other)).iter().map(flat).collect();
    assert_eq!(values, ["message a x", "message a y"]);
}

/// The parts of a value in one line.
fn flat(value: &Value) -> String {
    match value {
        Value::Array(parts) | Value::Push(parts) => {
            parts.iter().map(flat).collect::<Vec<_>>().join(" ")
        }
        Value::Integer(value) => value.to_string(),
        other => String::from_utf8_lossy(other.bytes()).into_owned(),
    }
}

/// What a script publishes comes to its caller behind the reply of the whole script.
#[test]
fn scripts_publish_too() {
    let mut server = Server::default();
    let (conn, other) = (server.connect(), server.connect());
    server.line(conn, "HELLO 3");
    server.send(conn, b"SUBSCRIBE a\r\n");
    server.send(other, b"PSUBSCRIBE *\r\n");
    let script = "redis.call('PUBLISH', KEYS[1], 'x') return redis.call('PUBLISH', 'a', 'y')";
    let output = server.send(conn, &encode(&["EVAL", script, "1", "a"]));
    let values: Vec<String> = Value::read_all(&output).iter().map(flat).collect();
    assert_eq!(values, ["2", "message a x", "message a y"]);
    let values: Vec<String> = Value::read_all(&server.output(other)).iter().map(flat).collect();
    assert_eq!(values, ["pmessage * a x", "pmessage * a y"]);
    let output = server.send(conn, &encode(&["EVAL", "return redis.call('SUBSCRIBE', 'b')", "0"]));
    assert!(Value::read_all(&output)[0].is_error(), "{}", output.escape_ascii());
    server.engine().check_invariants();
}
