//! The deadlines of fields line by line: texts of errors, the order of checks, codes and moments,
//! what is seen of fields that have expired. Redis 7.0 does not have these commands; the lines say
//! what 7.4 and 8.0 reply.

use orrery_engine::{Config, Seed};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::{START_UNIX_MS, Server};

fn shown(value: &Value) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let list = |values: &[Value]| values.iter().map(shown).collect::<Vec<_>>().join(" ");
    match value {
        Value::Integer(value) => value.to_string(),
        Value::Bulk(bytes) => format!("'{}'", text(bytes)),
        Value::Simple(bytes) | Value::Error(bytes) => text(bytes),
        Value::Null | Value::NullArray => "nil".to_owned(),
        Value::Array(values) => format!("[{}]", list(values)),
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| format!("{} {}", shown(key), shown(value));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        other => panic!("{other:?} is not a reply of a hash"),
    }
}

/// Runs lines of the form `command => reply`; `sleep n` lets milliseconds pass, `doze n` without a
/// tick, so that nothing is taken out.
fn check(lines: &str) {
    let mut server = Server::new(Config::default(), Seed(1));
    let conn = server.connect();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        if let Some(millis) = line.strip_prefix("sleep ") {
            server.advance_ms(millis.parse().expect("a number"));
        } else if let Some(millis) = line.strip_prefix("doze ") {
            server.oversleep_ms(millis.parse().expect("a number"));
        } else {
            let (command, expected) = line.split_once(" => ").expect("a command and a reply");
            assert_eq!(shown(&server.line(conn, command)), expected, "after {command}");
        }
    }
    server.engine().check_invariants();
}

#[test]
fn words_are_checked_in_the_order_of_redis() {
    check(
        "\
SET s x => OK
HSET h a 1 b 2 => 2
HEXPIRE h 10 FIELDS 1 => ERR wrong number of arguments for 'hexpire' command
HEXPIRE s x NX FIELDS 1 a => WRONGTYPE Operation against a key holding the wrong kind of value
HEXPIRE h x BAD FIELDS 1 a => ERR value is not an integer or out of range
HEXPIRE h -1 FIELDS 1 a => ERR invalid expire time, must be >= 0
HEXPIRE h 70368744178 FIELDS 1 a => ERR invalid expire time in 'hexpire' command
HPEXPIRE h 70368744177663 FIELDS 1 a => ERR invalid expire time in 'hpexpire' command
HPEXPIREAT h 70368744177664 FIELDS 1 a => ERR invalid expire time in 'hpexpireat' command
HEXPIREAT h 9223372036854775807 FIELDS 1 a => ERR invalid expire time in 'hexpireat' command
HEXPIRE h 10 BAD 1 a b => ERR Mandatory argument FIELDS is missing or not at the right position
HEXPIRE h 10 NX XX FIELDS 1 a => ERR Mandatory argument FIELDS is missing or not at the right \
position
HEXPIRE h 10 FIELDS 0 a => ERR Parameter `numFields` should be greater than 0
HEXPIRE h 10 FIELDS x a => ERR Parameter `numFields` should be greater than 0
HEXPIRE h 10 FIELDS 2 a => ERR The `numfields` parameter must match the number of arguments
HEXPIRE h 10 FIELDS 1 a b => ERR The `numfields` parameter must match the number of arguments
HEXPIRE h 10 NX FIELDS 1 => ERR The `numfields` parameter must match the number of arguments
HEXPIRE nokey 10 FIELDS 2 a b => [-2 -2]
HTTL s FIELDS 0 a => WRONGTYPE Operation against a key holding the wrong kind of value
HTTL h BAD 1 a => ERR Mandatory argument FIELDS is missing or not at the right position
HTTL h FIELDS 0 a => ERR Number of fields must be a positive integer
HTTL h FIELDS 2 a => ERR The `numfields` parameter must match the number of arguments
HPTTL nokey FIELDS 2 a b => [-2 -2]
HPERSIST h FIELDS -1 a => ERR Number of fields must be a positive integer
HPERSIST nokey FIELDS 1 a => [-2]
HGETDEL s BAD 1 a => WRONGTYPE Operation against a key holding the wrong kind of value
HGETDEL h BAD 1 a => ERR Mandatory argument FIELDS is missing or not at the right position
HGETDEL h FIELDS 0 a => ERR Number of fields must be a positive integer
HGETDEL nokey FIELDS 2 a b => [nil nil]
HGETEX s EX x FIELDS 1 a => WRONGTYPE Operation against a key holding the wrong kind of value
HGETEX h EX x FIELDS 1 a => ERR value is not an integer or out of range
HGETEX h EX -1 FIELDS 1 a => ERR invalid expire time, must be >= 0
HGETEX h KEEPTTL FIELDS 1 a => ERR Mandatory argument FIELDS is missing or not at the right position
HGETEX h EX 1 PX 1 FIELDS 1 a => ERR Mandatory argument FIELDS is missing or not at the right \
position
HGETEX h EX 10 FIELDS => ERR Number of fields must be a positive integer
HGETEX nokey EX 10 FIELDS 2 a b => [nil nil]
HSETEX h EX 10 FIELDS 1 => ERR wrong number of arguments for 'hsetex' command
HSETEX h FIELDS 1 a 1 b => ERR wrong number of arguments for 'hsetex' command
HSETEX h FIELDS 0 a 1 => ERR invalid number of fields
HSETEX h FIELDS 2 a 1 => ERR wrong number of arguments for 'hsetex' command
HSETEX h BAD FIELDS 1 a 1 => ERR unknown argument: BAD
HSETEX h FXX FNX FIELDS 1 a 1 => ERR Only one of FXX or FNX arguments can be specified
HSETEX h EX 1 KEEPTTL FIELDS 1 a 1 => ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments \
can be specified
HSETEX h EX -1 FIELDS 1 a 1 => ERR invalid expire time, must be >= 0
HSETEX h EX x FIELDS 1 a 1 => ERR value is not an integer or out of range
HSETEX h FXX KEEPTTL FNX EX 1 => ERR Only one of FXX or FNX arguments can be specified
HSETEX h FXX FXX KEEPTTL EX 1 => ERR Only one of FXX or FNX arguments can be specified
HSETEX h NX XX FIELDS 1 a 1 => ERR Only one of XX or NX arguments can be specified
HSETEX s FIELDS 1 a 1 => WRONGTYPE Operation against a key holding the wrong kind of value
HSCAN s 0 NOVALUES => WRONGTYPE Operation against a key holding the wrong kind of value
HSCAN h 0 NOSCORES => ERR NOSCORES option can only be used in ZSCAN
HGETALL h => ['a' '1' 'b' '2']
",
    );
}

#[test]
fn every_field_gets_its_code_and_moment() {
    let start_secs = START_UNIX_MS / 1000;
    check(&format!(
        "\
HSET h a 1 b 2 c 3 => 3
OBJECT ENCODING h => 'listpack'
HTTL h FIELDS 3 a x b => [-1 -2 -1]
HEXPIRE h 10 XX FIELDS 2 a x => [0 -2]
HEXPIRE h 10 GT FIELDS 1 a => [0]
HEXPIRE h 10 LT FIELDS 1 a => [1]
OBJECT ENCODING h => 'listpackex'
HEXPIRE h 20 NX FIELDS 2 a b => [0 1]
HEXPIRE h 10 GT FIELDS 1 a => [0]
HEXPIRE h 11 GT FIELDS 1 a => [1]
HEXPIRE h 11 LT FIELDS 1 a => [0]
HTTL h FIELDS 3 a b c => [11 20 -1]
HPTTL h FIELDS 1 a => [11000]
HEXPIRETIME h FIELDS 2 a c => [{} -1]
HPEXPIRETIME h FIELDS 1 a => [{}]
sleep 1
HTTL h FIELDS 1 a => [11]
HPTTL h FIELDS 1 a => [10999]
HPEXPIRE h 1 FIELDS 1 a => [1]
HTTL h FIELDS 1 a => [1]
HPERSIST h FIELDS 3 a c x => [1 -1 -2]
HTTL h FIELDS 1 a => [-1]
HEXPIREAT h 1 FIELDS 2 a a => [2 -2]
HGETALL h => ['b' '2' 'c' '3']
HEXPIRE h 0 FIELDS 2 b c => [2 2]
EXISTS h => 0
HSETEX h EX 10 FIELDS 2 a 1 b 2 => 1
HSETEX h KEEPTTL FIELDS 2 a 3 c 4 => 1
HTTL h FIELDS 3 a b c => [10 10 -1]
HSETEX h FNX FIELDS 2 a 9 d 9 => 0
HSETEX h FXX FIELDS 2 a 9 d 9 => 0
HSETEX nokey FXX FIELDS 1 a 9 => 0
EXISTS nokey => 0
HSETEX h NX FIELDS 1 z 9 => 0
HSETEX nokey XX FIELDS 1 z 9 => 0
HSETEX h XX FXX FIELDS 1 a 5 => 1
HTTL h FIELDS 1 a => [-1]
HGETEX h FIELDS 3 a b x => ['5' '2' nil]
HTTL h FIELDS 2 a b => [-1 10]
HGETEX h PERSIST FIELDS 2 b a => ['2' '5']
HGETEX h PX 1500 FIELDS 1 b => ['2']
HPTTL h FIELDS 2 a b => [-1 1500]
HGETEX h PXAT 5 FIELDS 1 b => ['2']
HEXISTS h b => 0
HGETDEL h FIELDS 3 a b a => ['5' nil nil]
HGETDEL h FIELDS 1 c => ['4']
EXISTS h => 0
HSETEX h PXAT 5 FIELDS 1 a 1 => 1
EXISTS h => 0
",
        start_secs + 11,
        START_UNIX_MS + 11_000
    ));
}

#[test]
fn values_that_change_keep_or_lose_their_deadline() {
    check(
        "\
HSETEX h EX 10 FIELDS 4 a 1 b 2 c 3 d 4 => 1
HSET h a 5 => 0
HINCRBY h b 1 => 3
HINCRBYFLOAT h c 0.5 => '3.5'
HSETNX h d 5 => 0
HTTL h FIELDS 4 a b c d => [-1 10 10 10]
COPY h copy => 1
RENAME copy other => OK
HTTL other FIELDS 4 a b c d => [-1 10 10 10]
CONFIG SET hash-max-listpack-entries 2 => OK
HSET h e 6 => 1
OBJECT ENCODING h => 'hashtable'
HTTL h FIELDS 5 a b c d e => [-1 10 10 10 -1]
HINCRBY h b 1 => 4
HTTL h FIELDS 1 b => [10]
sleep 10000
HLEN h => 5
sleep 1
HLEN h => 2
HLEN other => 1
HKEYS other => ['a']
",
    );
}

#[test]
fn what_has_expired_is_not_seen_before_it_is_taken_out() {
    for table in ["", "CONFIG SET hash-max-listpack-entries 1 => OK\n"] {
        check(&format!(
            "\
{table}HSETEX h PX 100 FIELDS 3 a 1 b 2 c 3 => 1
HSET h d 4 => 1
doze 100
HGET h a => '1'
HPTTL h FIELDS 1 a => [0]
doze 1
HLEN h => 4
HGET h a => nil
HMGET h a d => [nil '4']
HEXISTS h a => 0
HSTRLEN h a => 0
HGETALL h => ['d' '4']
HKEYS h => ['d']
HVALS h => ['4']
HRANDFIELD h 10 => ['d']
HRANDFIELD h -2 => ['d' 'd']
HSCAN h 0 => ['0' ['d' '4']]
HTTL h FIELDS 1 a => [-2]
HPERSIST h FIELDS 1 a => [-2]
HLEN h => 4
HEXPIRE h 10 FIELDS 1 a => [-2]
HLEN h => 3
HDEL h b => 0
HLEN h => 2
HSETNX h c 5 => 1
HTTL h FIELDS 1 c => [-1]
HGETEX h EX 0 FIELDS 1 d => ['4']
HGETALL h => ['c' '5']
HSETEX g PX 1 FIELDS 2 a 1 b 2 => 1
doze 2
HRANDFIELD g => nil
HRANDFIELD g -3 WITHVALUES => []
HGETALL g => []
EXISTS g => 1
HINCRBY g a 5 => 5
HTTL g FIELDS 1 a => [-1]
sleep 0
HLEN g => 1
HPEXPIRE g 1 FIELDS 1 a => [1]
doze 2
HGETDEL g FIELDS 1 a => [nil]
EXISTS g => 0
"
        ));
    }
}

#[test]
fn replies_have_their_shapes_in_resp3() {
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "HELLO 3");
    for (line, expected) in [
        ("HSET h a 1", "1"),
        ("HGETALL h", "{'a' '1'}"),
        ("HGETALL nokey", "{}"),
        ("HRANDFIELD h 1 WITHVALUES", "[['a' '1']]"),
        ("HRANDFIELD h -2 WITHVALUES", "[['a' '1'] ['a' '1']]"),
        ("HRANDFIELD h -2", "['a' 'a']"),
        ("HGET h x", "nil"),
        ("HSCAN h 0 NOVALUES", "['0' ['a']]"),
        ("HINCRBYFLOAT h a 1.5", "'2.5'"),
    ] {
        assert_eq!(shown(&server.line(conn, line)), expected, "after {line}");
    }
}
