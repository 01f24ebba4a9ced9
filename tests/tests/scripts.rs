//! Lua scripts: what they see, what they reply, how they fail, and that they can be stopped.

#[path = "scripts/undo.rs"]
mod undo;

#[path = "scripts/functions.rs"]
mod functions;

#[path = "scripts/lists.rs"]
mod lists;

#[path = "scripts/steps.rs"]
mod steps;

use orrery_engine::{Config, Seed};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;

/// Scripts, apart by lines of dashes, whose replies must be those of Redis 7.0.15 in both
/// protocols.
const CASES: [&str; 4] = [
    include_str!("scripts/cases.txt"),
    include_str!("scripts/errors.txt"),
    include_str!("scripts/libraries.txt"),
    include_str!("scripts/patterns.txt"),
];

/// Steps that no case takes.
const STEPS_MAX: usize = 10_000;

fn cases() -> impl Iterator<Item = &'static str> {
    let cases = CASES.iter().flat_map(|cases| cases.split("\n----\n"));
    cases.map(|case| case.trim_matches('\n')).filter(|case| !case.is_empty())
}

#[test]
fn scripts_reply_as_with_redis() {
    let Some(real) = RealRedis::start("scripts") else { return };
    let mut differences = Vec::new();
    for protocol in ["2", "3"] {
        let mut theirs = real.connect();
        let mut server = Server::default();
        let ours = server.connect();
        theirs.call(&["HELLO", protocol]);
        server.call(ours, &["HELLO", protocol]);
        for case in cases() {
            theirs.call(&["FLUSHALL"]);
            server.line(ours, "FLUSHALL");
            let words = ["EVAL", case, "2", "k1", "k2", "a1", "a2"];
            theirs.send(&encode(&words));
            let expected = theirs.read_raw().escape_ascii().to_string();
            let mut got = server.send(ours, &encode(&words));
            for _ in 0..STEPS_MAX {
                if got.is_empty() {
                    server.tick();
                    got = server.output(ours);
                }
            }
            let got = got.escape_ascii().to_string();
            if got != expected {
                differences
                    .push(format!("RESP{protocol} {case}\n  ours  {got}\n  redis {expected}"));
            }
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn a_script_may_do_what_its_caller_may() {
    let Some(real) = RealRedis::start("scripts of users") else { return };
    let mut theirs = real.connect();
    let mut server = Server::default();
    let ours = server.connect();
    for line in [
        "ACL SETUSER u on nopass +eval +get +publish +acl|whoami ~a* %R~r* resetchannels &c",
        "AUTH u x",
    ] {
        let words = orrery_tests::resp_value::words(line);
        assert_eq!(theirs.call(&words), Value::simple("OK"));
        server.check(ours, line, "OK");
    }
    for script in [
        "return redis.call('set', 'a', 1)",
        "return redis.call('get', 'a')",
        "return redis.call('get', 'b')",
        "return redis.pcall('get', 'b')",
        "return redis.call('publish', 'c', 1)",
        "return redis.call('publish', 'x', 1)",
        "return redis.acl_check_cmd('set', 'a', 1)",
        "return redis.acl_check_cmd('get', 'a')",
        "return redis.acl_check_cmd('get', 'b')",
        "return redis.acl_check_cmd('get', 'r')",
        "return redis.call('acl', 'whoami')",
    ] {
        let words = ["EVAL", script, "0"];
        assert_eq!(server.call(ours, &words), theirs.call(&words), "{script}");
    }
}

fn eval(server: &mut Server, script: &str) -> Value {
    let conn = server.connect();
    server.call(conn, &["EVAL", script, "0"])
}

#[test]
fn a_script_without_end_lets_others_know_and_can_be_killed() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do local ok = pcall(f) end end f()",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "local co = coroutine.create(function() while true do coroutine.yield() end end) \
         while true do coroutine.resume(co) end",
        "while true do redis.pcall('GET', 'k') end",
        "while true do redis.pcall('NOSUCH') end",
        "while true do xpcall(error, function() while true do end end) end",
    ] {
        let config = Config { busy_reply_threshold_ms: 50, ..Config::default() };
        let mut server = Server::new(config, Seed(1));
        let (caller, other, third) = (server.connect(), server.connect(), server.connect());
        let words = encode(&["EVAL", script, "0"]);
        assert_eq!(server.send(caller, &words), b"", "{script}");
        assert_eq!(server.send(other, b"SET k 1\r\n"), b"", "others wait for a while");
        server.oversleep_ms(51);
        server.tick();
        let busy = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or \
                    SHUTDOWN NOSAVE.\r\n";
        let reply = String::from_utf8(server.output(other)).expect("text");
        assert_eq!(reply, busy, "{script}");
        let reply = String::from_utf8(server.send(third, b"GET k\r\n")).expect("text");
        assert_eq!(reply, busy, "{script}");
        assert_eq!(server.send(third, b"SCRIPT KILL\r\n"), b"+OK\r\n");
        server.advance_ms(1);
        let reply = String::from_utf8(server.output(caller)).expect("text");
        assert!(
            reply.starts_with("-ERR Script killed by user with SCRIPT KILL. script: "),
            "{reply}"
        );
        assert_eq!(server.send(other, b"SET k 1\r\n"), b"+OK\r\n");
        assert_eq!(server.send(caller, b"PING\r\n"), b"+PONG\r\n");
        server.check(caller, "EVAL \"return 7\" 0", "(integer) 7");
        server.engine().check_invariants();
    }
}

#[test]
fn a_server_that_ends_in_the_middle_of_a_script_ends() {
    let mut server = Server::default();
    let conn = server.connect();
    let script = "while true do pcall(function() while true do end end) end";
    assert_eq!(server.send(conn, &encode(&["EVAL", script, "0"])), b"");
    drop(server);
}

#[test]
fn a_script_that_wants_too_much_memory_gets_an_error() {
    let config = Config { script_memory_bytes_max: 4 << 20, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    for script in [
        "local t = {} while true do t[#t + 1] = string.rep('x', 1000) .. #t end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
    ] {
        let conn = server.connect();
        let mut output = server.send(conn, &encode(&["EVAL", script, "0"]));
        while output.is_empty() {
            server.tick();
            output = server.output(conn);
        }
        let text = String::from_utf8_lossy(&output).into_owned();
        assert!(text.starts_with("-ERR") && text.contains("not enough memory"), "{script}: {text}");
        assert_eq!(eval(&mut server, "return 1").to_string(), "(integer) 1");
    }
}

#[test]
fn deep_recursion_leaves_the_server_whole() {
    let mut server = Server::default();
    for script in [
        "local function f() return 1 + f() end return f()",
        "local function f(n) pcall(f, n + 1) end f(1) return 1",
        "local s = string.rep('(', 10000) return loadstring('return ' .. s)",
        "return string.find(string.rep('a', 300000), string.rep('a?', 300000))",
        "local t = {} for i = 1, 100000 do t = {t} end return t",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
        "local f = string.rep return table.concat({f('x', 10)}, ',', 1, 100000)",
    ] {
        let conn = server.connect();
        let mut output = server.send(conn, &encode(&["EVAL", script, "0"]));
        for _ in 0..50 {
            if output.is_empty() {
                server.tick();
                output.extend(server.output(conn));
            }
        }
        let other = server.connect();
        server.line(other, "SCRIPT KILL");
        server.tick();
        assert_eq!(eval(&mut server, "return 1").to_string(), "(integer) 1", "after {script}");
    }
}

#[test]
fn one_script_leaves_nothing_for_the_next() {
    let mut server = Server::default();
    for script in [
        "rawset(_G, 'leak', 1)",
        "leak = 1",
        "string.leak = 1",
        "table.insert(_G, 1)",
        "setmetatable(_G, {})",
        "getmetatable('').__index = nil",
        "getmetatable(_G).__index = nil",
        "redis.call = 1",
        "rawset(redis, 'call', 1)",
        "table.remove(redis)",
        "KEYS = 1",
        "loadstring('leak = 1')()",
        "load(function() return nil end)",
        "coroutine.wrap(function() leak = 1 end)()",
        "pcall(rawset, string, 'rep', 1)",
        "next(_G, nil)",
    ] {
        eval(&mut server, script);
        let leaks = "return {rawget(_G, 'leak') == nil, rawget(string, 'leak') == nil, \
                     ('x'):rep(2), type(redis.call), rawget(_G, 1) == nil, \
                     redis.call('PING').ok}";
        let shown = eval(&mut server, leaks).to_string();
        let expected = "1) (integer) 1\n2) (integer) 1\n3) \"xx\"\n4) \"function\"\n\
                        5) (integer) 1\n6) \"PONG\"";
        assert_eq!(shown, expected, "after {script}");
    }
}

#[test]
fn info_counts_the_scripts_that_are_known() {
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "EVAL \"return 1\" 0");
    server.line(conn, "EVAL \"return 1\" 0");
    server.line(conn, "SCRIPT LOAD \"return 22\"");
    let info = String::from_utf8(server.line(conn, "INFO memory").bytes().to_vec()).expect("text");
    assert!(info.contains("number_of_cached_scripts:2\r\n"), "{info}");
    assert!(info.contains("used_memory_scripts_eval:17\r\n"), "{info}");
    server.line(conn, "SCRIPT FLUSH");
    let info = String::from_utf8(server.line(conn, "INFO memory").bytes().to_vec()).expect("text");
    assert!(info.contains("number_of_cached_scripts:0\r\n"), "{info}");
}

#[test]
fn of_scripts_that_only_eval_brought_the_last_five_hundred_stay() {
    let mut server = Server::default();
    let conn = server.connect();
    let mut other = Server::default();
    let names = other.connect();
    let mut known = |server: &mut Server, text: &str| {
        let sha = other.call(names, &["SCRIPT", "LOAD", text]);
        let sha = String::from_utf8_lossy(sha.bytes()).into_owned();
        server.call(conn, &["SCRIPT", "EXISTS", &sha]) == Value::Array(vec![Value::Integer(1)])
    };
    server.call(conn, &["SCRIPT", "LOAD", "return 'loaded'"]);
    for index in 0..500 {
        server.call(conn, &["EVAL", &format!("return {index}"), "0"]);
    }
    // It is used again, so the next in line goes.
    server.check(conn, "EVAL \"return 0\" 0", "(integer) 0");
    server.check(conn, "EVAL \"return 'one more'\" 0", "\"one more\"");
    assert!(known(&mut server, "return 'loaded'"));
    assert!(known(&mut server, "return 0"));
    assert!(!known(&mut server, "return 1"));
    assert!(known(&mut server, "return 2"));
    // The number of the one that went is that of the new one, and both run as they should.
    server.check(conn, "EVAL \"return 1\" 0", "(integer) 1");
    server.check(conn, "EVAL \"return 'one more'\" 0", "\"one more\"");
    // One that is loaded later stays too.
    server.call(conn, &["SCRIPT", "LOAD", "return 3"]);
    for index in 1000..1600 {
        server.call(conn, &["EVAL", &format!("return {index}"), "0"]);
    }
    assert!(known(&mut server, "return 3"));
    assert!(!known(&mut server, "return 4"));
    let info = String::from_utf8(server.line(conn, "INFO memory").bytes().to_vec()).expect("text");
    assert!(info.contains("number_of_cached_scripts:502\r\n"), "{info}");
}

#[test]
fn key_time_stands_still_while_a_script_runs() {
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "SET k 1 PX 100");
    let script = "local n = 0 for i = 1, 3e6 do n = n + 1 end return redis.call('EXISTS', 'k')";
    assert_eq!(server.send(conn, &encode(&["EVAL", script, "0"])), b"", "it takes some steps");
    server.advance_ms(1000);
    for _ in 0..100 {
        server.tick();
    }
    assert_eq!(server.output(conn), b":1\r\n");
    server.check(conn, "EXISTS k", "(integer) 0");
}

/// A script that takes some steps and ends by itself.
const LONG: &str = "local n = 0 for i = 1, 3e6 do n = n + 1 end return redis.call('INCR', 'n')";

/// Lets the scripts that run come to their end.
fn finish(server: &mut Server) {
    for _ in 0..200 {
        server.tick();
    }
}

fn queue(server: &mut Server, conn: orrery_engine::ConnId, commands: &[&[&str]]) {
    server.check(conn, "MULTI", "OK");
    for words in commands {
        assert_eq!(server.send(conn, &encode(words)), b"+QUEUED\r\n");
    }
}

#[test]
fn a_long_script_in_a_transaction_lets_others_know_and_the_whole_stays_one() {
    let config = Config { busy_reply_threshold_ms: 50, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let (caller, other) = (server.connect(), server.connect());
    let long = ["EVAL", LONG, "0"];
    let fails = ["EVAL", "for i = 1, 3e6 do end error('no')", "0"];
    queue(
        &mut server,
        caller,
        &[&["SELECT", "1"], &["SET", "n", "10"], &long, &fails, &long, &["APPEND", "n", "0"]],
    );
    assert_eq!(server.send(caller, b"EXEC\r\nGET n\r\n"), b"", "nothing leaves before the end");
    assert_eq!(server.send(other, b"SELECT 1\r\nGET n\r\n"), b"", "others wait");
    server.oversleep_ms(51);
    server.tick();
    let busy = String::from_utf8(server.output(other)).expect("text");
    assert!(busy.starts_with("-BUSY "), "{busy}");
    finish(&mut server);
    let reply = String::from_utf8(server.output(caller)).expect("text");
    let sha_and_place = "script: ";
    let parts: Vec<&str> = reply.split(sha_and_place).collect();
    assert_eq!(parts[0], "*6\r\n+OK\r\n+OK\r\n:11\r\n-ERR user_script:1: no ");
    assert!(parts[1].ends_with(".\r\n:12\r\n:3\r\n$3\r\n120\r\n"), "{reply}");
    server.check(other, "SELECT 1", "OK");
    server.check(other, "GET n", "\"120\"");
}

#[test]
fn killing_a_script_in_a_transaction_undoes_the_script_alone() {
    let mut server = Server::default();
    let (caller, killer) = (server.connect(), server.connect());
    let hangs = ["EVAL", "redis.call('SET', 'k', 'script') while true do end", "0"];
    queue(&mut server, caller, &[&["SET", "k", "before"], &hangs, &["APPEND", "k", "!"]]);
    assert_eq!(server.send(caller, b"EXEC\r\n"), b"");
    assert_eq!(server.send(killer, b"SCRIPT KILL\r\n"), b"+OK\r\n");
    server.advance_ms(1);
    let reply = String::from_utf8(server.output(caller)).expect("text");
    assert!(reply.starts_with("*3\r\n+OK\r\n-ERR Script killed by user"), "{reply}");
    assert!(reply.ends_with("\r\n:7\r\n"), "{reply}");
    server.check(killer, "GET k", "\"before!\"");
}

#[test]
fn a_transaction_is_run_to_its_end_when_its_client_goes() {
    let mut server = Server::default();
    let (caller, other) = (server.connect(), server.connect());
    let long = ["EVAL", LONG, "0"];
    queue(&mut server, caller, &[&["SELECT", "3"], &long, &["SET", "k", "v"], &long]);
    assert_eq!(server.send(caller, b"EXEC\r\n"), b"");
    server.disconnect(caller);
    assert_eq!(server.send(other, b"SELECT 3\r\n"), b"", "it waits");
    finish(&mut server);
    assert_eq!(server.output(other), b"+OK\r\n");
    server.check(other, "GET n", "\"2\"");
    server.check(other, "GET k", "\"v\"");
    server.check(other, "EVAL \"return 1\" 0", "(integer) 1");
}

#[test]
fn a_client_that_wants_no_replies_gets_none_from_a_long_script_in_a_transaction() {
    let mut server = Server::default();
    let conn = server.connect();
    queue(&mut server, conn, &[&["EVAL", LONG, "0"], &["PING"]]);
    server.send(conn, b"EXEC\r\n");
    finish(&mut server);
    assert_eq!(server.output(conn), b"*2\r\n:1\r\n+PONG\r\n");
    assert_eq!(server.send(conn, b"CLIENT REPLY OFF\r\nMULTI\r\n"), b"");
    server.send(conn, &encode(&["EVAL", LONG, "0"]));
    server.send(conn, b"EXEC\r\n");
    finish(&mut server);
    assert_eq!(server.output(conn), b"");
    server.check(conn, "CLIENT REPLY ON", "OK");
    server.check(conn, "GET n", "\"2\"");
}

#[test]
fn scripts_can_call_the_api_by_valkeys_name() {
    let mut server = Server::default();
    let script = "redis.call('SET', 'k', 1) local seen = {server.call('GET', 'k')} \
                  for name in pairs(redis) do if server[name] == nil then return name end end \
                  for _, name in ipairs{'SERVER_NAME', 'SERVER_VERSION', 'SERVER_VERSION_NUM'} do \
                    seen[#seen + 1] = type(server[name]) \
                  end \
                  seen[#seen + 1] = tostring(pcall(function() server.x = 1 end)) return seen";
    let shown = eval(&mut server, script).to_string();
    let expected = "1) \"1\"\n2) \"string\"\n3) \"string\"\n4) \"number\"\n5) \"false\"";
    assert_eq!(shown, expected);
}

#[test]
fn patterns_that_backtrack_for_long_can_be_stopped() {
    for script in [
        "return string.find(('a'):rep(4000), ('a?'):rep(2000) .. 'b')",
        "return ('a'):rep(5000):match(('.-'):rep(20) .. 'b')",
        "return pcall(string.gsub, ('a'):rep(5000), ('a*'):rep(20) .. 'b', 'x')",
        "for x in ('a'):rep(5000):gmatch(('a*'):rep(20) .. 'b') do end",
        "while true do pcall(string.find, ('a'):rep(4000), ('a?'):rep(2000) .. 'b') end",
        "local t = {} for i = 1, 30 do t = {t, t} end return cjson.encode(t)",
        "local t = {} for i = 1, 15 do t = {t, t, t, t} end return cmsgpack.pack(t)",
    ] {
        let mut server = Server::default();
        let (conn, other) = (server.connect(), server.connect());
        let output = server.send(conn, &encode(&["EVAL", script, "0"]));
        if !output.is_empty() {
            // Its result is too large.
            let text = String::from_utf8_lossy(&output).into_owned();
            assert!(text.contains("not enough memory"), "{script}: {text}");
            continue;
        }
        assert_eq!(server.send(other, b"SCRIPT KILL\r\n"), b"+OK\r\n");
        server.tick();
        let text = String::from_utf8_lossy(&server.output(conn)).into_owned();
        assert!(
            text.starts_with("-ERR Script killed by user with SCRIPT KILL"),
            "{script}: {text}"
        );
        assert_eq!(eval(&mut server, "return 1").to_string(), "(integer) 1");
    }
}
