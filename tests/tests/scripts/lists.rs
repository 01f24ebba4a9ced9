//! `KEYS` and `ARGV`, also where there is no word for them: they look the same however they are
//! looked at, and no run sees those of another.

use orrery_engine::{Config, Seed};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::encode;
use orrery_tests::server_in_process::Server;

const SCRIPTS: [&str; 12] = [
    "return {#KEYS, #ARGV, type(KEYS), type(ARGV)}",
    "return {KEYS, ARGV}",
    "return {rawget(_G, 'KEYS'), rawget(_G, 'ARGV')}",
    "return {_G.KEYS, _G['ARGV']}",
    "local n = 0 for name in pairs(_G) do if name == 'KEYS' or name == 'ARGV' then n = n + 1 end \
     end return n",
    "local n, name = 0, next(_G) while name do \
     if name == 'KEYS' or name == 'ARGV' then n = n + 1 end name = next(_G, name) end return n",
    "ARGV[1] = 'more' KEYS[1] = 'other' return {KEYS[1], ARGV[1], #KEYS, #ARGV}",
    "return {ARGV == ARGV, KEYS == KEYS, ARGV == KEYS}",
    "return loadstring('return {#KEYS, #ARGV}')()",
    "return coroutine.wrap(function() return {KEYS[1], ARGV[1], #KEYS, #ARGV} end)()",
    "ARGV = {} return 1",
    "return pcall(function() KEYS = nil end)",
];
const WORDS: [&[&str]; 5] =
    [&["0"], &["1", "a"], &["0", "b"], &["1", "a", "b"], &["2", "a", "\u{e9}", "b", ""]];

#[test]
fn lists_are_as_with_redis() {
    let Some(real) = RealRedis::start("lists of scripts") else { return };
    let (mut theirs, mut server) = (real.connect(), Server::default());
    let ours = server.connect();
    // The words of one script are not those of the next.
    for script in SCRIPTS {
        for words in WORDS {
            let command = [&["EVAL", script], words].concat();
            theirs.send(&encode(&command));
            let expected = theirs.read_raw().escape_ascii().to_string();
            let got = server.send(ours, &encode(&command)).escape_ascii().to_string();
            assert_eq!(got, expected, "{command:?}");
        }
    }
    let library = "#!lua name=l\n\
                   redis.register_function('given', function(keys, argv) return {keys, argv} end)\n\
                   redis.register_function('global', function() return ARGV end)";
    let load: &[&str] = &["FUNCTION", "LOAD", library];
    for command in [load, &["EVAL", "return ARGV[1]", "0", "x"], &["FCALL", "global", "0"]] {
        assert_eq!(server.call(ours, command), theirs.call(command), "{command:?}");
    }
    for words in WORDS {
        let command = [&["FCALL", "given"], words].concat();
        assert_eq!(server.call(ours, &command), theirs.call(&command), "{command:?}");
    }
}

#[test]
fn bytes_that_are_no_text_arrive_as_they_are() {
    let mut server = Server::default();
    let conn = server.connect();
    let mut command =
        b"*5\r\n$4\r\nEVAL\r\n$25\r\nreturn {KEYS[1], ARGV[1]}\r\n$1\r\n1\r\n".to_vec();
    command.extend_from_slice(b"$3\r\n\xff\x00a\r\n$2\r\n\xc3\x28\r\n");
    let expected = b"*2\r\n$3\r\n\xff\x00a\r\n$2\r\n\xc3\x28\r\n";
    assert_eq!(
        server.send(conn, &command).escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
fn what_a_killed_script_had_is_gone() {
    let config = Config { busy_reply_threshold_ms: 50, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let (caller, killer) = (server.connect(), server.connect());
    let library = "#!lua name=l\nredis.register_function('global', function() return ARGV end)";
    server.call(caller, &["FUNCTION", "LOAD", library]);
    for words in [vec!["0"], vec!["1", "k", "a", "b"]] {
        let script = "local n = #ARGV while true do end";
        let command = [vec!["EVAL", script], words].concat();
        assert_eq!(server.send(caller, &encode(&command)), b"");
        server.oversleep_ms(51);
        server.tick();
        assert_eq!(server.send(killer, b"SCRIPT KILL\r\n"), b"+OK\r\n");
        server.advance_ms(1);
        assert!(server.output(caller).starts_with(b"-ERR Script killed"));
        let reply = server.call(caller, &["FCALL", "global", "0"]).to_string();
        assert!(reply.contains("nonexistent global variable 'ARGV'"), "{reply}");
        let lengths = server.call(caller, &["EVAL", "return #KEYS + #ARGV", "0"]);
        assert_eq!(lengths.to_string(), "(integer) 0");
    }
}
