//! What a script has written is undone when it is killed.

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::resp_value::encode;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

/// Runs the commands that its arguments spell, and never ends.
const WRITE_AND_HANG: &str = "for i = 1, #ARGV do local words = {} \
     for word in ARGV[i]:gmatch('%S+') do words[#words + 1] = word end \
     redis.pcall(unpack(words)) end while true do end";
const UNKILLABLE: &str = "-UNKILLABLE Sorry the script already executed write commands against \
     the dataset. You can either wait the script termination or kill the server in a hard way \
     using the SHUTDOWN NOSAVE command.\r\n";

/// Commands over a few keys of two databases; `#` is one of the keys, `@` a small number.
const COMMANDS: &[&str] = &[
    "SET # @",
    "SET # @ EX 100",
    "SET # @ KEEPTTL",
    "APPEND # text",
    "SETRANGE # @ text",
    "INCR #",
    "SETBIT # 60000 1",
    "SETRANGE # 9000 x",
    "GETDEL #",
    "GETEX # PERSIST",
    "MSET # @ # @",
    "DEL # #",
    "UNLINK #",
    "RENAME # #",
    "RENAMENX # #",
    "COPY # #",
    "COPY # # DB 1 REPLACE",
    "MOVE # 1",
    "EXPIRE # 1@",
    "PERSIST #",
    "RPUSH # @ b c d",
    "LPOP #",
    "LSET # 0 @",
    "LMOVE # # LEFT RIGHT",
    "LTRIM # 1 2",
    "LINSERT # BEFORE b @",
    "SADD # @ 7 8",
    "SADD # a b",
    "SREM # @",
    "SPOP #",
    "SMOVE # # 7",
    "SINTERSTORE # # #",
    "SUNIONSTORE # # #",
    "HSET # f @ g 2",
    "HDEL # f",
    "HINCRBY # f @",
    "HEXPIRE # 100 FIELDS 1 f",
    "ZADD # @ a 2 b",
    "ZINCRBY # @ a",
    "ZPOPMIN #",
    "ZREM # a",
    "ZUNIONSTORE # 2 # #",
    "ZRANGESTORE # # 0 -1",
    "XADD # * f v",
    "XTRIM # MAXLEN 1",
    "XGROUP CREATE # g@ 0",
    "XREADGROUP GROUP g1 c STREAMS # >",
    "PFADD # a b",
    "BITOP OR # # #",
    "GEOADD # 1 2 place",
    "SORT # ALPHA STORE #",
    "FLUSHDB",
    "FLUSHALL",
    "SWAPDB 0 1",
    "SELECT @",
];

fn command() -> impl Strategy<Value = String> {
    // FLUSHDB and its like are rare, or there would be nothing to undo.
    let common = COMMANDS.len() - 4;
    let row = prop_oneof![20 => 0..common, 1 => common..COMMANDS.len()];
    (row, prop::collection::vec(0..5_u8, 4), 0..2_u8).prop_map(|(row, keys, number)| {
        let mut keys = keys.into_iter();
        let mut next = || format!("k{}", keys.next().expect("no command names more keys"));
        let mut line = String::new();
        for character in COMMANDS[row].chars() {
            match character {
                '#' => line.push_str(&next()),
                '@' => line.push_str(&number.to_string()),
                _ => line.push(character),
            }
        }
        line
    })
}

/// Runs a script that writes and hangs; nothing is replied.
fn hang(server: &mut Server, conn: ConnId, commands: &[String]) {
    let mut words = vec!["EVAL", WRITE_AND_HANG, "0"];
    words.extend(commands.iter().map(String::as_str));
    assert_eq!(server.send(conn, &encode(&words)), b"", "it has not ended");
    // By then it has written everything.
    for _ in 0..50 {
        server.tick();
    }
}

fn kill(server: &mut Server, killer: ConnId) -> String {
    let reply = server.send(killer, b"SCRIPT KILL\r\n");
    if reply == b"+OK\r\n" {
        // Time does not pass while a script runs.
        server.advance_ms(1);
    }
    String::from_utf8(reply).expect("text")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_killed_script_leaves_the_data_as_they_were(
        before in prop::collection::vec(command(), 0..40),
        written in prop::collection::vec(command(), 0..40),
    ) {
        let mut server = Server::default();
        let (caller, killer) = (server.connect(), server.connect());
        for line in &before {
            server.line(killer, line);
        }
        server.send(killer, b"SELECT 0\r\n");
        let digest = server.engine().digest();
        hang(&mut server, caller, &written);
        prop_assert_eq!(kill(&mut server, killer), "+OK\r\n");
        prop_assert_eq!(server.engine().digest(), digest);
        server.engine().check_invariants();
        let reply = String::from_utf8(server.output(caller)).expect("text");
        prop_assert!(reply.starts_with("-ERR Script killed by user"), "{}", reply);
        // Whatever was kept does not stay.
        server.check(caller, "SET k0 new", "OK");
        server.check(caller, "GET k0", "\"new\"");
    }
}

#[test]
fn a_script_that_ends_by_itself_keeps_what_it_wrote() {
    let mut server = Server::default();
    let conn = server.connect();
    server.check(
        conn,
        "EVAL \"redis.call('SET', 'k', 1) return redis.call('INCR', 'k')\" 0",
        "(integer) 2",
    );
    server.line(conn, "EVAL \"redis.call('SET', 'k', 5) error('no')\" 0");
    server.check(conn, "GET k", "\"5\"");
    server.line(conn, "EVAL \"redis.call('FLUSHALL')\" 0");
    server.check(conn, "DBSIZE", "(integer) 0");
}

/// What commands take is not counted where a script pauses: it would write for long before that.
#[test]
fn a_script_that_writes_long_values_is_killed_at_its_next_command() {
    let mut server = Server::default();
    let (caller, killer) = (server.connect(), server.connect());
    server.line(killer, "SET k old");
    let script = "local s = ('x'):rep(4e6) while true do redis.pcall('SET', 'k', s) end";
    assert_eq!(server.send(caller, &encode(&["EVAL", script, "0"])), b"");
    for _ in 0..5 {
        server.tick();
    }
    assert_eq!(server.send(killer, b"SCRIPT KILL\r\n"), b"+OK\r\n");
    for _ in 0..5 {
        server.tick();
    }
    assert!(server.output(caller).starts_with(b"-ERR Script killed"));
    server.check(killer, "GET k", "\"old\"");
}

#[test]
fn watchers_of_a_key_that_was_restored_are_told() {
    let mut server = Server::default();
    let (caller, killer, watcher) = (server.connect(), server.connect(), server.connect());
    server.line(killer, "SET k0 old");
    server.check(watcher, "WATCH k0", "OK");
    hang(&mut server, caller, &["SET k0 new".to_owned()]);
    assert_eq!(kill(&mut server, killer), "+OK\r\n");
    server.check(watcher, "MULTI", "OK");
    server.line(watcher, "GET k0");
    server.check(watcher, "EXEC", "(nil array)");
    server.check(watcher, "GET k0", "\"old\"");
}

#[test]
fn redis_refuses_where_nothing_may_be_kept() {
    let config = Config { script_undo_bytes_max: 0, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let (caller, killer) = (server.connect(), server.connect());
    hang(&mut server, caller, &["SET k0 new".to_owned()]);
    assert_eq!(kill(&mut server, killer), UNKILLABLE);
}

#[test]
fn a_log_at_its_limit_can_be_undone_and_one_beyond_it_cannot() {
    for (keys, reply) in [(50, "+OK\r\n"), (2000, UNKILLABLE)] {
        let config = Config { script_undo_bytes_max: 100_000, ..Config::default() };
        let mut server = Server::new(config, Seed(1));
        let (caller, killer) = (server.connect(), server.connect());
        let commands: Vec<String> = (0..keys).map(|key| format!("SET key:{key} v")).collect();
        hang(&mut server, caller, &commands);
        assert_eq!(kill(&mut server, killer), reply, "{keys} keys");
        server.engine().check_invariants();
    }
}

#[test]
fn a_big_value_is_kept_but_not_copied() {
    for (line, reply) in
        [("DEL big", "+OK\r\n"), ("SET big x", "+OK\r\n"), ("RPOP big", UNKILLABLE)]
    {
        let mut server = Server::default();
        let (caller, killer) = (server.connect(), server.connect());
        for part in 0..20 {
            let element = format!("{part}").repeat(10_000);
            server.call(killer, &["RPUSH", "big", &element]);
        }
        let digest = server.engine().digest();
        hang(&mut server, caller, &[line.to_owned()]);
        assert_eq!(kill(&mut server, killer), reply, "{line}");
        if reply == "+OK\r\n" {
            assert_eq!(server.engine().digest(), digest, "{line}");
        }
        server.engine().check_invariants();
    }
}
