//! What is counted of commands that fail or are refused, in transactions and in scripts: the same
//! as by Redis 7.0.15.

use std::collections::BTreeMap;

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode, words};
use orrery_tests::server_in_process::Server;

/// Lines after each of which the figures must be those of Redis 7.0.15; apart by empty lines.
const LINES: &str = r##"
SET k x
EVAL "return redis.call('incr',KEYS[1])" 1 k
EVAL "return redis.pcall('incr',KEYS[1])" 1 k
EVAL "local r = redis.pcall('incr',KEYS[1]) return 1" 1 k
EVAL "return {1, redis.pcall('incr',KEYS[1]), redis.pcall('incr',KEYS[1])}" 1 k
EVAL "return {redis.error_reply('MY own'), redis.error_reply('YOUR own'), {err='alone'}}" 0
EVAL "return redis.error_reply('MY own')" 0
EVAL "return {err='alone'}" 0
EVAL "error('boo')" 0
EVAL "error({err='MY boo'})" 0
EVAL "local ok, problem = pcall(redis.call, 'incr', KEYS[1]) return problem" 1 k
EVAL "local ok, problem = pcall(redis.call, 'incr', KEYS[1]) error(problem)" 1 k
EVAL "redis.call('nosuch')" 0
EVAL "return redis.pcall('nosuch')" 0
EVAL "return redis.pcall('get')" 0
EVAL "return redis.pcall()" 0
EVAL "return redis.call({})" 0
EVAL "return redis.pcall('multi')" 0
EVAL_RO "return redis.call('set',KEYS[1],1)" 1 k
EVAL_RO "return redis.pcall('publish','c','m')" 0
EVAL "return 1" 5
EVAL "return" x
EVAL "not Lua" 0
EVAL "#!lua flags=bad\nreturn 1" 0
EVALSHA x 0
EVAL "return redis.call('select',99)" 0
EVAL "return redis.call('get',KEYS[1])" 1 k

MULTI
MULTI
SET
NOSUCH
GET k
EXEC
EXEC
EXEC now
DISCARD
WATCH
MULTI
WATCH k
INCR k
LPUSH k x
CONFIG SET port x
EVAL "return redis.call('lpush',KEYS[1],1)" 1 k
EXEC

CONFIG SET maxmemory 1
EVAL "return redis.call('set',KEYS[1],1)" 1 k
EVAL "return redis.pcall('set',KEYS[1],1)" 1 k
EVAL "redis.pcall('set',KEYS[1],1) return 1" 1 k
EVAL "#!lua\nreturn 1" 0
EVAL "#!lua flags=allow-oom\nreturn redis.call('set',KEYS[1],1)" 1 k
SET k 1
MULTI
SET k 1
MULTI
EXEC
CONFIG SET maxmemory 0
MULTI
SET k 1
EXEC

CONFIG SET min-replicas-to-write 3
SET k 1
EVAL "return redis.call('set',KEYS[1],1)" 1 k
EVAL "#!lua\nreturn 1" 0
MULTI
SET k 1
EXEC
CONFIG SET min-replicas-to-write 0

ACL SETUSER u on nopass +@all ~*
AUTH u x
MULTI
ACL SETUSER u resetkeys ~j
GET k
GET j
EXEC
MULTI
GET j
GET k
EXEC
"##;

/// How often each command was called, refused and failed, and how often there was which error.
fn figures(mut info: impl FnMut(&str) -> Value) -> BTreeMap<String, String> {
    let mut figures = BTreeMap::new();
    for section in ["commandstats", "errorstats", "stats"] {
        let text = String::from_utf8(info(section).bytes().to_vec()).expect("INFO is text");
        for (name, figure) in text.lines().filter_map(|line| line.split_once(':')) {
            let is_time = |part: &&str| !part.starts_with("usec");
            let figure: Vec<&str> = figure.split(',').filter(is_time).collect();
            let counts = name.starts_with("cmdstat_") && name != "cmdstat_info";
            if counts || name.starts_with("errorstat_") || name == "total_error_replies" {
                figures.insert(name.to_owned(), figure.join(","));
            }
        }
    }
    figures
}

fn compare(
    line: &str,
    ours: (&mut Server, ConnId),
    theirs: &mut RealClient,
    other: &mut RealClient,
) {
    let (server, conn) = ours;
    let command = encode(&words(line));
    theirs.send(&command);
    let expected = theirs.read_raw().escape_ascii().to_string();
    let got = server.send(conn, &command).escape_ascii().to_string();
    assert_eq!(got, expected, "{line}");
    // The client itself may be in a transaction.
    let reader = server.connect();
    let got = figures(|section| server.call(reader, &["INFO", section]));
    server.disconnect(reader);
    let expected = figures(|section| other.call(&["INFO", section]));
    assert_eq!(got, expected, "after {line}");
}

#[test]
fn failures_are_counted_as_by_redis() {
    let Some(real) = RealRedis::start("figures of failures") else { return };
    let (mut theirs, mut other) = (real.connect(), real.connect());
    let mut server = Server::new(Config::default(), Seed(1));
    let conn = server.connect();
    for line in LINES.lines() {
        if line.is_empty() {
            server.line(conn, "CONFIG RESETSTAT");
            theirs.call(&["CONFIG", "RESETSTAT"]);
            continue;
        }
        compare(line, (&mut server, conn), &mut theirs, &mut other);
    }
}

#[test]
fn a_script_that_fails_in_a_later_step_is_counted() {
    let mut server = Server::default();
    let conn = server.connect();
    let script = "for i = 1, 1e7 do end return redis.call('incr', KEYS[1])";
    server.line(conn, "SET k x");
    let mut reply = server.send(conn, &encode(&["EVAL", script, "1", "k"]));
    assert!(reply.is_empty(), "it takes more than a step");
    while reply.is_empty() {
        server.tick();
        reply = server.output(conn);
    }
    assert!(reply.starts_with(b"-ERR value is not an integer"), "{}", reply.escape_ascii());
    let figures = figures(|section| server.call(conn, &["INFO", section]));
    assert_eq!(figures["cmdstat_eval"], "calls=1,rejected_calls=0,failed_calls=1");
    assert_eq!(figures["cmdstat_incr"], "calls=1,rejected_calls=0,failed_calls=1");
    assert_eq!(figures["errorstat_ERR"], "count=1");
    assert_eq!(figures["total_error_replies"], "1");
}
