//! FUNCTION and FCALL: the replies of Redis 7.0.15, and what a library can and cannot do.

use orrery_engine::{Config, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;

/// Bodies of libraries that have all the ways to be refused, and some that are not.
const BODIES: &[&str] = &[
    "redis.register_function()",
    "redis.register_function('a')",
    "redis.register_function(1, 2, 3)",
    "redis.register_function('a', 1)",
    "redis.register_function({}, function() end)",
    "redis.register_function(nil, nil)",
    "redis.register_function{}",
    "redis.register_function{function_name='x'}",
    "redis.register_function{callback=function() end}",
    "redis.register_function{function_name={}, callback=function() end}",
    "redis.register_function{function_name='x', callback=1}",
    "redis.register_function{function_name='x', callback=function() end, flags=1}",
    "redis.register_function{function_name='x', callback=function() end, flags={'bad'}}",
    "redis.register_function{function_name='x', callback=function() end, flags={1}}",
    "redis.register_function{function_name='x', callback=function() end, flags={'no-writes', {}}}",
    "redis.register_function{function_name='x', callback=function() end, description=5}",
    "redis.register_function{function_name='x', callback=function() end, description={}}",
    "redis.register_function{function_name='x', callback=function() end, zz=1}",
    "redis.register_function{function_name='x', callback=function() end, [1]=1}",
    "redis.register_function{function_name='x', callback=function() end, [{}]=1}",
    "redis.register_function('a b', function() end)",
    "redis.register_function('', function() end)",
    "redis.register_function('a', function() end) redis.register_function('a', function() end)",
    "redis.register_function(12, function() end)",
    "redis.register_function('f', redis.log)",
    "redis.log(1)",
    "redis.log(redis.LOG_NOTICE, 'x')",
    "redis.log(redis.LOG_NOTICE, 'x') redis.register_function('f', function() end)",
    "return redis.REDIS_VERSION",
    "x = redis.setresp",
    "redis.x = 1",
    "redis.call('x')",
    "local a = string",
    "local a = _G",
    "local a = KEYS",
    "math.random()",
    "pcall(1)",
    "error('x')",
    "a = 1",
    "x x",
    "local t = nil; t.x = 1",
    "local function f() return f() + 1 end f()",
    "redis.register_function{['FUNCTION_NAME']='x', CALLBACK=function() end, Description='d', \
     FLAGS={'NO-WRITES', 'no-cluster', 'allow-oom', 'allow-stale', 'allow-cross-slot-keys'}}",
    "",
];

/// Texts of libraries whose first line is the matter.
const HEADERS: &[&str] = &[
    "return 1",
    "",
    "#!",
    "#!lua name=a",
    "#!lua\nreturn 1",
    "#!lua name=a b=c\n",
    "#!lua name=a name=b\n",
    "#!lua name='a'\nredis.register_function('f', function() end)",
    "#!lua 'name=a\n",
    "#!foo name=a\n",
    "#! name=a\n",
    "#!lua name=a-b\n",
    "#!lua name=\n",
    "#!LUA NAME=a\nredis.register_function('f', function() end)",
    "#!lua name=a\nredis.register_function('f', function() end)",
];

const LIBRARY: &str = "#!lua name=lib
local r = redis
redis.register_function('f', function(keys, args) return {keys, args} end)
redis.register_function('err', function() error('boom') end)
redis.register_function('err2', function() return redis.call('get') end)
redis.register_function('late', function() return redis.register_function('x', function() end) end)
redis.register_function('late2', function() return r.register_function('x', function() end) end)
redis.register_function('late3', function() return r.call('get', 'x') end)
redis.register_function('glob', function() a = 1 end)
redis.register_function('glob2', function() return KEYS[1] end)
redis.register_function('glob3', function() redis.x = 1 end)
redis.register_function('set', function(keys, args) return redis.call('set', keys[1], args[1]) end)
redis.register_function('errt', function() return {err = 'X y'} end)
redis.register_function('see', function()
  return {type(_G), _G.string == string, type(loadstring), type(redis.register_function)}
end)
redis.register_function('json', function(keys, args) return cjson.encode({keys, args}) end)
redis.register_function('log', function() return redis.log(redis.LOG_NOTICE, 'said') end)
redis.register_function('three', function() redis.setresp(3) return {map = {a = 1}} end)
local count = 0
redis.register_function('count', function() count = count + 1 return count end)
redis.register_function{
  function_name = 'ro', description = 'it \"only\" reads', flags = {'no-writes'},
  callback = function(keys, args) return redis.call(args[1], keys[1], 'v') end,
}
";

/// Calls of the library's functions.
const CALLS: &[&[&str]] = &[
    &["f", "2", "a", "b", "c"],
    &["F", "0"],
    &["f", "x"],
    &["f", "3", "a"],
    &["f", "-1", "a"],
    &["nosuch", "x"],
    &["err", "0"],
    &["err2", "0"],
    &["late", "0"],
    &["late2", "0"],
    &["late3", "0"],
    &["glob", "0"],
    &["glob2", "1", "a"],
    &["glob3", "0"],
    &["set", "1", "k", "v"],
    &["errt", "0"],
    &["see", "0"],
    &["json", "1", "k", "x", "y"],
    &["log", "0"],
    &["three", "0"],
    &["count", "0"],
    &["count", "0"],
    &["ro", "1", "k", "set"],
    &["ro", "1", "k", "echo"],
    &["ro", "1", "k", "publish"],
];

/// A server of ours and Redis, which are told the same.
struct Pair {
    theirs: RealClient,
    server: Server,
    ours: orrery_engine::ConnId,
    differences: Vec<String>,
}

impl Pair {
    fn new(real: &RealRedis, protocol: &str) -> Self {
        let mut server = Server::default();
        let ours = server.connect();
        let mut pair = Self { theirs: real.connect(), server, ours, differences: Vec::new() };
        pair.theirs.call(&["HELLO", protocol]);
        pair.server.call(ours, &["HELLO", protocol]);
        pair.tell(&["FUNCTION", "FLUSH"]);
        pair
    }

    fn tell(&mut self, words: &[&str]) {
        self.theirs.send(&encode(words));
        let expected = self.theirs.read_raw().escape_ascii().to_string();
        let got = self.server.send(self.ours, &encode(words)).escape_ascii().to_string();
        if got != expected {
            self.differences.push(format!("{words:?}\n  ours  {got}\n  redis {expected}"));
        }
    }

    fn end(self) {
        assert!(self.differences.is_empty(), "\n{}", self.differences.join("\n"));
    }
}

#[test]
fn libraries_are_refused_as_with_redis() {
    let Some(real) = RealRedis::start("libraries") else { return };
    let mut pair = Pair::new(&real, "3");
    for text in HEADERS {
        pair.tell(&["FUNCTION", "LOAD", text]);
        pair.tell(&["FUNCTION", "LOAD", "REPLACE", text]);
    }
    for body in BODIES {
        pair.tell(&["FUNCTION", "LOAD", "REPLACE", &format!("#!lua name=a\n{body}")]);
        pair.tell(&["FUNCTION", "LIST", "WITHCODE"]);
    }
    pair.tell(&["FUNCTION", "LOAD", "#!lua name=b\nredis.register_function('X', function() end)"]);
    for words in [
        &["LOAD", "x", "y"][..],
        &["LOAD", "replace"],
        &["LOAD", "replace", "REPLACE", "#!lua name=a\n"],
        &["LIST", "x"],
        &["LIST", "x\r\ny"],
        &["LIST", "LIBRARYNAME"],
        &["LIST", "WITHCODE", "WITHCODE"],
        &["LIST", "libraryname", "A*", "withcode"],
        &["LIST", "libraryname", "x*"],
        &["DELETE", "nosuch"],
        &["DELETE", "A"],
        &["RESTORE", "x"],
        &["RESTORE", "x", "y"],
        &["RESTORE", "x", "y", "z"],
        &["RESTORE", "", "flush"],
        &["FLUSH", "x"],
        &["FLUSH", "x", "y"],
        &["KILL"],
        &["STATS"],
        &["nosuch"],
        &["DUMP", "x"],
        &["FLUSH", "async"],
        &["STATS"],
    ] {
        pair.tell(&[&["FUNCTION"], words].concat());
    }
    pair.tell(&["SCRIPT", "KILL"]);
    pair.tell(&["EVAL", "return redis.call('function', 'list')", "0"]);
    pair.tell(&["EVAL", "return redis.call('fcall', 'f', 0)", "0"]);
    pair.tell(&["EVAL_RO", "#!lua\nreturn 1", "0"]);
    pair.tell(&["EVAL_RO", "#!lua flags=no-writes\nreturn 1", "0"]);
    pair.end();
}

#[test]
fn functions_reply_as_with_redis() {
    let Some(real) = RealRedis::start("functions") else { return };
    for protocol in ["2", "3"] {
        let mut pair = Pair::new(&real, protocol);
        pair.tell(&["FUNCTION", "LOAD", LIBRARY]);
        for call in CALLS {
            for command in ["FCALL", "FCALL_RO"] {
                pair.tell(&[&[command], *call].concat());
            }
        }
        for text in [
            "#!lua name=lib2\nredis.register_function('f', function() end)",
            "#!lua name=lib2\nredis.register_function('F', function() end)",
            "#!lua name=lib\nredis.register_function('f', function() return 7 end)",
            "#!lua name=lib2\nredis.register_function('own', function() return 8 end)",
        ] {
            pair.tell(&["FUNCTION", "LOAD", text]);
        }
        pair.tell(&["FCALL", "own", "0"]);
        pair.tell(&["MULTI"]);
        pair.tell(&["FCALL", "count", "0"]);
        pair.tell(&["FUNCTION", "LOAD", "REPLACE", LIBRARY]);
        pair.tell(&["FCALL", "count", "0"]);
        pair.tell(&["EXEC"]);
        pair.tell(&["FUNCTION", "DELETE", "lib"]);
        pair.tell(&["FCALL", "f", "0"]);
        pair.tell(&["FLUSHALL"]);
        pair.tell(&["FCALL", "own", "0"]);
        pair.end();
    }
}

#[test]
fn dumps_go_both_ways() {
    let Some(real) = RealRedis::start("dumps of libraries") else { return };
    let mut pair = Pair::new(&real, "2");
    pair.tell(&["FUNCTION", "LOAD", LIBRARY]);
    pair.tell(&["FUNCTION", "LOAD", "#!lua name=a\nredis.register_function('x', redis.log)"]);
    let ours = pair.server.call(pair.ours, &["FUNCTION", "DUMP"]).bytes().to_vec();
    let theirs = pair.theirs.call(&["FUNCTION", "DUMP"]).bytes().to_vec();
    for (payload, policy) in [
        (&ours, "FLUSH"),
        (&theirs, "FLUSH"),
        (&ours, "REPLACE"),
        (&theirs, "REPLACE"),
        (&theirs, "APPEND"),
        (&ours, "bad"),
    ] {
        let words: [&[u8]; 4] = [b"FUNCTION", b"RESTORE", payload, policy.as_bytes()];
        let request = encode(&words);
        pair.theirs.send(&request);
        let expected = pair.theirs.read_raw().escape_ascii().to_string();
        let got = pair.server.send(pair.ours, &request).escape_ascii().to_string();
        // Which of the libraries is named depends on the order of a hash table.
        let general = |reply: &str| reply.replace("Library lib ", "Library a ");
        assert_eq!(general(&got), general(&expected), "{policy}");
        pair.tell(&["FUNCTION", "LIST", "LIBRARYNAME", "a", "WITHCODE"]);
        pair.tell(&["FUNCTION", "STATS"]);
        pair.tell(&["FCALL", "json", "1", "k", "v"]);
    }
    let mut damaged = ours;
    damaged[5] ^= 1;
    let shown = String::from_utf8_lossy(&damaged).into_owned();
    pair.tell(&["FUNCTION", "RESTORE", &shown]);
    pair.end();
}

#[test]
fn a_function_without_end_can_be_killed_and_its_writes_are_undone() {
    let config = Config { busy_reply_threshold_ms: 50, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let (caller, other) = (server.connect(), server.connect());
    let text = "#!lua name=a\nredis.register_function('loop', function(keys) \
                redis.call('set', keys[1], 1) while true do end end)";
    assert_eq!(server.call(caller, &["FUNCTION", "LOAD", text]).bytes(), b"a");
    assert_eq!(server.send(caller, &encode(&["FCALL", "loop", "1", "k"])), b"");
    server.oversleep_ms(51);
    server.tick();
    let busy = "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
                NOSAVE.\r\n";
    for line in ["GET k", "SCRIPT KILL", "FUNCTION LIST"] {
        let reply = server.send(other, format!("{line}\r\n").as_bytes());
        assert_eq!(String::from_utf8_lossy(&reply), busy, "{line}");
    }
    let stats = server.line(other, "FUNCTION STATS").to_string();
    for part in ["\"loop\"", "\"FCALL\"", "\"duration_ms\"", "\"functions_count\""] {
        assert!(stats.contains(part), "{stats}");
    }
    assert_eq!(server.send(other, b"FUNCTION KILL\r\n"), b"+OK\r\n");
    server.advance_ms(1);
    let reply = String::from_utf8(server.output(caller)).expect("text");
    let expected = "-ERR Script killed by user with SCRIPT KILL. script: loop";
    assert!(reply.starts_with(expected), "{reply}");
    server.check(other, "GET k", "(nil)");
    assert_eq!(server.send(caller, &encode(&["EVAL", "while true do end", "0"])), b"");
    server.oversleep_ms(51);
    server.tick();
    for line in ["FUNCTION KILL", "FUNCTION STATS"] {
        let reply = server.send(other, format!("{line}\r\n").as_bytes());
        assert!(
            reply.starts_with(b"-BUSY Redis is busy running a script. You can only call SCRIPT")
        );
    }
    assert_eq!(server.send(other, b"SCRIPT KILL\r\n"), b"+OK\r\n");
    server.advance_ms(1);
    server.engine().check_invariants();
}

#[test]
fn libraries_are_counted_and_survive_flushall() {
    let mut server = Server::default();
    let conn = server.connect();
    let empty = server.engine().digest();
    server.call(conn, &["FUNCTION", "LOAD", LIBRARY]);
    assert_ne!(server.engine().digest(), empty, "libraries are part of the state");
    server.check(conn, "FLUSHALL", "OK");
    let info = String::from_utf8(server.line(conn, "INFO memory").bytes().to_vec()).expect("text");
    assert!(info.contains("number_of_functions:17\r\nnumber_of_libraries:1\r\n"), "{info}");
    assert!(info.contains(&format!("used_memory_functions:{}\r\n", LIBRARY.len())), "{info}");
    server.check(conn, "FUNCTION FLUSH", "OK");
    assert_eq!(server.engine().digest(), empty);
}

#[test]
fn libraries_have_limits() {
    let config = Config { script_memory_bytes_max: 4 << 20, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    for body in [
        "while true do end",
        "local s = 'x' while true do s = s .. s end",
        "local function f() f() f() end f()",
        "while true do redis.log(1, 'x') end",
    ] {
        let text = format!("#!lua name=a\n{body}");
        let reply = server.call(conn, &["FUNCTION", "LOAD", &text]).to_string();
        assert!(reply.contains("ERR Error registering functions: ERR "), "{body}: {reply}");
        let text = "#!lua name=b\nredis.register_function('f', function() return 1 end)";
        assert_eq!(server.call(conn, &["FUNCTION", "LOAD", "REPLACE", text]).bytes(), b"b");
        server.check(conn, "FCALL f 0", "(integer) 1");
    }
    let long = format!("#!lua name=c\nlocal s = '{}'", "x".repeat(4 << 20));
    let reply = server.call(conn, &["FUNCTION", "LOAD", &long]).to_string();
    assert!(reply.contains("longer than scripts may take memory"), "{reply}");
    assert_eq!(server.call(conn, &["FUNCTION", "LIST"]).elements().len(), 1);
    assert_eq!(
        server.call(conn, &["FCALL", "nosuch", "0"]),
        Value::error("ERR Function not found")
    );
}
