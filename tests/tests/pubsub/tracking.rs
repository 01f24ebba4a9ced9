//! Client-side caching in conversations: who is told of what, and where among the replies.

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;
use orrery_tests::transcript::transcript;

macro_rules! conversations {
    ($($name:ident: $script:expr;)*) => {
        $(
            #[test]
            fn $name() {
                insta::with_settings!({ omit_expression => true }, {
                    insta::assert_snapshot!(stringify!($name), transcript($script));
                });
            }
        )*
    };
}

conversations! {
    tracking_what_was_read: "
        @hello 3
        CLIENT TRACKING ON
        SET k 1
        GET k
        # A change of one's own is told behind the reply, once
        SET k 2
        SET k 3
        # What is not there can be cached too
        MGET a b
        @client other
        MSET a 1 b 2 c 3
        @client main
        @read
        # A transaction is told of behind its reply, a key as often as it was read
        MULTI
        GET k
        SET k 4
        SET k 5
        GET k
        SET k 6
        EXEC
        # So is a script, which tracks the keys that it was given once it has read anything
        EVAL \"return redis.call('SET', KEYS[1], 7)\" 1 k
        SET k 8
        EVAL \"redis.call('GET', 'x'); return redis.call('SET', KEYS[1], 9)\" 1 k
        SET x 1
        # And what expires
        SET k 10 PX 50
        GET k
        @sleep 60
        @read
        FLUSHALL
        MULTI
        GET k
        FLUSHDB
        SET k 1
        EXEC
        # Databases are not told apart, nor is exchanging them a change
        GET k
        SELECT 1
        SET k 1
        GET k
        SWAPDB 0 1
        RESET
        CLIENT TRACKINGINFO
    ";
    choosing_what_is_tracked: "
        @hello 3
        CLIENT CACHING YES
        CLIENT TRACKING ON OPTIN
        CLIENT CACHING NO
        CLIENT CACHING MAYBE
        GET k
        SET k 1
        # What CLIENT is asked does not use it up
        CLIENT CACHING YES
        CLIENT TRACKINGINFO
        CLIENT GETNAME
        GET k
        GET l
        SET k 1
        SET l 1
        # A command that is refused does
        CLIENT CACHING YES
        NOSUCH
        GET k
        SET k 1
        # It is for a whole transaction, or for the rest of one
        CLIENT CACHING YES
        MULTI
        GET k
        GET l
        EXEC
        MSET k 1 l 1
        MULTI
        GET k
        CLIENT CACHING YES
        GET l
        EXEC
        MSET k 1 l 1
        CLIENT TRACKING ON OPTOUT
        CLIENT TRACKING OFF
        CLIENT TRACKING ON OPTOUT
        CLIENT CACHING YES
        GET l
        CLIENT CACHING NO
        CLIENT TRACKINGINFO
        GET k
        MSET k 1 l 1
    ";
    broadcasting: "
        @hello 3
        CLIENT TRACKING ON BCAST PREFIX user: PREFIX item:
        CLIENT TRACKING ON BCAST PREFIX user:1
        CLIENT TRACKING ON
        CLIENT TRACKINGINFO
        @client all
        @hello 3
        CLIENT TRACKING ON BCAST NOLOOP
        @client other
        MSET user:2 a user:1 b item:1 c us d
        @client main
        @read
        # Told once for all that a step has done, in order
        MULTI
        SET user:1 b
        SET item:1 b
        SET user:0 b
        DEL user:1
        EXEC
        @client all
        @read
        SET mine 1
        FLUSHALL
        CLIENT TRACKING OFF
        @client main
        @read
        CLIENT TRACKING OFF
        CLIENT TRACKINGINFO
        SET user:1 a
    ";
    sending_elsewhere: "
        CLIENT ID
        @client tracker
        @hello 3
        CLIENT TRACKING ON REDIRECT 1
        CLIENT GETREDIR
        GET k
        SET k 1
        # RESP2 has to subscribe to something
        @client main
        SUBSCRIBE __redis__:invalidate
        @client tracker
        GET k
        SET k 2
        FLUSHALL
        GET k
        @client main
        @read
        PING
        RESET
        @hello 3
        # Never inside a reply
        MULTI
        GET a
        SET k 3
        GET b
        EXEC
        @close
        @client tracker
        GET k
        SET k 4
        CLIENT TRACKINGINFO
        CLIENT TRACKING ON
        CLIENT TRACKINGINFO
    ";
    what_tracking_refuses: "
        CLIENT TRACKING MAYBE
        CLIENT TRACKING ON FOO
        CLIENT TRACKING ON REDIRECT
        CLIENT TRACKING ON REDIRECT x
        CLIENT TRACKING ON REDIRECT 0
        CLIENT TRACKING ON REDIRECT -1
        CLIENT TRACKING ON REDIRECT 99
        CLIENT TRACKING ON REDIRECT 1 REDIRECT 1
        CLIENT TRACKING ON PREFIX a
        CLIENT TRACKING ON BCAST OPTIN
        CLIENT TRACKING ON BCAST PREFIX a PREFIX ab
        CLIENT TRACKING ON OPTIN OPTOUT
        CLIENT TRACKING OFF FOO
        CLIENT TRACKING OFF PREFIX a
        CLIENT GETREDIR
        CLIENT TRACKINGINFO
    ";
}

fn tracker(server: &mut Server, words: &str) -> ConnId {
    let conn = server.connect();
    server.line(conn, "HELLO 3");
    server.line(conn, &format!("CLIENT TRACKING ON {words}"));
    conn
}

fn figures(server: &mut Server, conn: ConnId) -> Vec<String> {
    let text = server.line(conn, "INFO everything");
    let text = String::from_utf8_lossy(text.bytes()).into_owned();
    text.lines().filter(|line| line.starts_with("tracking_")).map(str::to_owned).collect()
}

/// The keys in the messages that a client has received.
fn told(server: &mut Server, conn: ConnId) -> Vec<String> {
    let mut keys = Vec::new();
    for message in Value::read_all(&server.output(conn)) {
        assert_eq!(message.elements()[0], Value::bulk("invalidate"));
        keys.extend(message.elements()[1].elements().iter().map(ToString::to_string));
    }
    keys
}

#[test]
fn the_table_holds_no_more_keys_than_it_may_and_whoever_loses_one_is_told() {
    let config = Config { tracking_table_max_keys: 100, ..Config::default() };
    let mut server = Server::new(config, Seed(5));
    let (a, b) = (tracker(&mut server, ""), tracker(&mut server, "NOLOOP"));
    let mut lost = 0;
    for key in 0..150 {
        for conn in [a, b] {
            let bytes = server.send(conn, &encode(&["GET", &format!("k{key}")]));
            let messages = Value::read_all(&bytes).len() - 1;
            lost += if conn == b { messages } else { 0 };
        }
    }
    lost += told(&mut server, b).len();
    assert_eq!(lost, 50, "a key each, though it wants to hear nothing of its own changes");
    assert_eq!(server.engine().state().tracking.totals(), [100, 200, 0]);
    let admin = server.connect();
    server.check(admin, "CONFIG SET tracking-table-max-keys 10", "OK");
    server.advance_ms(1);
    assert_eq!(server.engine().state().tracking.totals(), [10, 20, 0]);
    assert_eq!(told(&mut server, b).len(), 90);
    server.engine().check_invariants();
    assert_eq!(
        figures(&mut server, admin),
        [
            "tracking_clients:2",
            "tracking_total_keys:10",
            "tracking_total_items:20",
            "tracking_total_prefixes:0"
        ]
    );
    server.check(admin, "CONFIG SET tracking-table-max-keys 0", "OK");
    for key in 0..150 {
        server.send(a, &encode(&["GET", &format!("n{key}")]));
    }
    assert_eq!(server.engine().state().tracking.totals()[0], 160);
}

#[test]
fn nothing_is_left_of_those_who_have_gone() {
    let mut server = Server::default();
    let admin = server.connect();
    let before = server.engine().state().tracking.memory_bytes();
    let plain = tracker(&mut server, "");
    let all = tracker(&mut server, "BCAST PREFIX a PREFIX b");
    for key in 0..1000 {
        server.line(plain, &format!("GET k{key}"));
    }
    server.engine().check_invariants();
    assert_eq!(server.engine().state().tracking.totals(), [1000, 1000, 2]);
    server.disconnect(all);
    assert_eq!(server.engine().state().tracking.totals(), [1000, 1000, 0]);
    server.disconnect(plain);
    server.advance_ms(1);
    assert_eq!(server.engine().state().tracking.totals(), [0, 0, 0]);
    assert!(!server.engine().state().tracking.is_active());
    assert_eq!(server.engine().state().tracking.memory_bytes(), before);
    server.line(admin, "SET k1 v");
    server.engine().check_invariants();
    // One that only stops may start again, and its keys are still known.
    let again = tracker(&mut server, "");
    server.line(again, "GET k1");
    server.line(again, "CLIENT TRACKING OFF");
    server.line(again, "CLIENT TRACKING ON");
    server.line(admin, "SET k1 w");
    assert_eq!(told(&mut server, again), ["\"k1\""]);
}

#[test]
fn clients_are_listed_with_how_they_track() {
    let mut server = Server::default();
    let gone = server.connect();
    let admin = server.connect();
    tracker(&mut server, "");
    tracker(&mut server, "BCAST");
    let redirected = tracker(&mut server, &format!("REDIRECT {}", gone.0));
    server.line(redirected, "GET k");
    server.disconnect(gone);
    server.line(admin, "SET k v");
    assert_eq!(
        Value::read_all(&server.output(redirected)),
        [Value::Push(vec![Value::bulk("tracking-redir-broken"), Value::Integer(1)])]
    );
    let text = server.line(admin, "CLIENT LIST");
    let text = String::from_utf8_lossy(text.bytes()).into_owned();
    let field = |name: &str| -> Vec<&str> {
        let words = text.split_whitespace();
        words.filter_map(|word| word.strip_prefix(name)).collect()
    };
    assert_eq!(field("flags="), ["U", "tU", "tBU", "tRU"]);
    assert_eq!(field("redir="), ["-1", "0", "0", "1"]);
}

#[test]
fn a_client_with_many_prefixes_is_checked_without_comparing_all_pairs() {
    let config = Config { client_subscriptions_max: 60_000, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    let words = |from: usize, count: usize, more: &[&str]| -> Vec<String> {
        let mut words: Vec<String> =
            ["CLIENT", "TRACKING", "ON", "BCAST"].map(str::to_owned).to_vec();
        let names = (from..from + count).map(|number| format!("{number:06}"));
        for name in names.chain(more.iter().map(|&name| name.to_owned())) {
            words.extend(["PREFIX".to_owned(), name]);
        }
        words
    };
    assert_eq!(server.call(conn, &words(0, 40_000, &[])), Value::simple("OK"));
    let refusal = |other: &str, prefix: &str| {
        Value::error(&format!(
            "ERR Prefix '{prefix}' overlaps with {other}. Prefixes for a single client must not \
             overlap."
        ))
    };
    let existing = refusal("an existing prefix '000123'", "000123x");
    assert_eq!(server.call(conn, &words(50_000, 10_000, &["000123x"])), existing);
    let below = refusal("an existing prefix '012340'", "01234");
    assert_eq!(server.call(conn, &words(0, 0, &["x", "01234"])), below);
    let provided = refusal("another provided prefix '050001x'", "050001");
    assert_eq!(server.call(conn, &words(50_000, 10_000, &["050001x"])), provided);
    let few = refusal("another provided prefix 'a'", "ab");
    assert_eq!(server.call(conn, &words(0, 0, &["ab", "b", "a"])), few);
    let too_many = Value::error("ERR too many prefixes for one client");
    assert_eq!(server.call(conn, &words(50_000, 20_001, &[])), too_many);
    assert_eq!(server.call(conn, &words(50_000, 20_000, &[])), Value::simple("OK"));
    server.line(conn, "SET 055555 v");
    server.engine().check_invariants();
}

#[test]
fn a_pipeline_gets_each_message_behind_the_reply_that_it_belongs_to() {
    let mut server = Server::default();
    let conn = tracker(&mut server, "");
    let bytes = server.send(conn, b"GET k\r\nSET k 1\r\nGET k\r\nSET k 2\r\nGET k\r\n");
    let message = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
    let expected = format!("_\r\n+OK\r\n{message}$1\r\n1\r\n+OK\r\n{message}$1\r\n2\r\n");
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
    // Whoever wants no replies still wants messages.
    server.send(conn, b"CLIENT REPLY OFF\r\n");
    assert_eq!(String::from_utf8_lossy(&server.send(conn, b"SET k 3\r\n")), message);
}

#[test]
fn a_script_of_many_steps_tracks_for_its_caller() {
    let mut server = Server::default();
    let conn = tracker(&mut server, "OPTIN");
    let script = "for i = 1, 3000000 do end redis.call('GET', 'seen') \
                  for i = 1, 3000000 do end return 1";
    server.line(conn, "CLIENT CACHING YES");
    let bytes = server.send(conn, &encode(&["EVAL", script, "1", "given"]));
    assert_eq!(bytes, b"", "it takes more than a step");
    server.advance_ms(1);
    assert_eq!(server.output(conn), b":1\r\n");
    server.engine().check_invariants();
    server.line(conn, "GET other");
    let admin = server.connect();
    server.line(admin, "MSET seen 1 given 1 other 1");
    assert_eq!(told(&mut server, conn), ["\"seen\"", "\"given\""]);
}
