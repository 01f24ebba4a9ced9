//! Sorted sets line by line against redis-server 7.0.15: texts of errors, the order of checks, the
//! shapes of replies in both protocols. Then clients that wait for members.

use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{Value, encode, words};
use orrery_tests::server_in_process::Server;

/// Lines that both servers run one after the other. Replies must be the same, but for the number of
/// digits of doubles (7.0 writes seventeen).
const LINES: &str = r#"
SET s x
SADD st a x 5 -3
ZADD z -0 a
ZSCORE z a
ZADD z 0 a
ZSCORE z a
ZADD z CH 0 a
ZADD z 5e-1 b inf c nan d
ZADD z 0x10 h
ZADD z " 1" h
ZADD z "" h
ZADD z 1e400 h
ZADD z 1e-400 h
ZADD z 1e-310 tiny
ZADD z XX NX 1 a
ZADD z GT NX 1 a
ZADD z GT LT 1 a
ZADD z LT NX 1 a
ZADD z INCR 1 a 2 b
ZADD z FOO 1 a
ZADD z NX
ZADD z 1
ZADD z NX 1
ZADD z 1 a 2
ZADD z XX NX GT 1 a 2
ZADD z 1 a foo b
ZADD s foo a
ZADD s 1 a
ZADD s XX 1 a
ZADD nokey XX 1 a
ZADD nokey XX INCR 1 a
EXISTS nokey
ZADD z 0.1 b 0.30000000000000004 c 1e21 d -1e-7 e 123456789012345678 f
ZADD z CH GT 0.2 b 0.1 c
ZADD z CH LT 0.1 b 0.1 c
ZADD z XX CH 7 b 1 nobody
ZADD z NX INCR 5 a
ZADD z GT INCR -5 b
ZADD z LT INCR -5 b
ZADD z GT INCR 5 newer
ZADD z INCR 1 newer
ZADD z CH INCR 0 newer
ZINCRBY z foo a
ZINCRBY z 1.5 a
ZINCRBY z NX a
ZINCRBY s foo a
ZINCRBY s 1 a
ZINCRBY z -inf inff
ZINCRBY z inf inff
ZADD z INCR inf inff
ZSCORE z inff
ZREM z inff nobody
ZREM s a
ZREM nokey a
ZCARD z
ZCARD s
ZCARD nokey
ZSCORE nokey a
ZSCORE z nobody
ZSCORE s a
ZMSCORE z a nobody b
ZMSCORE nokey a b
ZMSCORE s a
ZRANGE z 0 -1 WITHSCORES
ZRANGE z 0 -1 REV WITHSCORES
ZRANGE z 0 -1 WITHSCORES LIMIT 0 1
ZRANGE z 0 -1 LIMIT 0 -1
ZRANGE z 0 -1 LIMIT 1 -1
ZRANGE z a b
ZRANGE z 1.5 2
ZRANGE z 0 -1 BYSCORE BYLEX
ZRANGE z 0 -1 LIMIT 0
ZRANGE z 0 -1 LIMIT a 1 BYSCORE
ZRANGE z 0 -1 BYLEX WITHSCORES
ZRANGE z 0 5 BYSCORE WITHSCORES
ZRANGE z 5 0 BYSCORE REV WITHSCORES
ZRANGE z (0 (5 BYSCORE LIMIT 1 1
ZRANGE z -inf +inf BYSCORE LIMIT 1 -1
ZRANGE z -inf +inf BYSCORE LIMIT -1 2
ZRANGE z -inf +inf BYSCORE LIMIT 100 2
ZRANGE z -inf +inf BYSCORE LIMIT 1 0
ZRANGE z +inf -inf BYSCORE REV LIMIT 1 2
ZRANGE z "" " 2" BYSCORE
ZRANGE z a b BYSCORE
ZRANGE z nan 1 BYSCORE
ZRANGE z a b BYLEX
ZRANGE z 0 -1 REV REV
ZRANGE z 3 1
ZRANGE z -100 1
ZRANGE z 1 100
ZRANGE z 100 200
ZRANGE z -2 -1
ZRANGE z 9223372036854775807 -1
ZRANGE z -9223372036854775808 9223372036854775807
ZRANGE s a b
ZRANGE s 1 2
ZRANGE nokey a b
ZRANGE nokey 1 2
ZRANGEBYSCORE z 0 5 REV
ZRANGEBYSCORE z 0 5 LIMIT 0
ZRANGEBYSCORE z 0 5 WITHSCORES LIMIT 0 2
ZRANGEBYSCORE z (1 inf WITHSCORES WITHSCORES
ZREVRANGE z 0 -1 BYSCORE
ZREVRANGE z 0 1 WITHSCORES
ZREVRANGE z -2 -1
ZREVRANGE z 0 -1 LIMIT 0 1
ZREVRANGEBYSCORE z 5 (0 WITHSCORES
ZREVRANGEBYSCORE z 0 5
ZREVRANGEBYLEX z + - WITHSCORES
ZCOUNT z -inf +inf
ZCOUNT z (1 nan
ZCOUNT s 1 nan
ZCOUNT s 1 2
ZCOUNT nokey a b
ZCOUNT nokey 1 2
ZLEXCOUNT z a b
ZLEXCOUNT nokey - +
ZRANK z a
ZRANK z nobody
ZRANK nokey a
ZRANK s a
ZREVRANK z a
ZRANK z
DEL lex
ZADD lex 0 aa 0 b 0 bb 0 c 0 "" 0 100 0 99
ZRANGEBYLEX lex - +
ZRANGEBYLEX lex + -
ZRANGEBYLEX lex [b (c
ZRANGEBYLEX lex (b [c LIMIT 1 5
ZRANGEBYLEX lex [ (a
ZRANGEBYLEX lex ( [1
ZRANGEBYLEX lex [b [b
ZRANGEBYLEX lex (b [b
ZRANGEBYLEX lex (b (b
ZRANGEBYLEX lex [c [b
ZRANGEBYLEX lex b c
ZRANGEBYLEX lex +x -
ZRANGEBYLEX lex - + LIMIT 0 2
ZREVRANGEBYLEX lex (c -
ZREVRANGEBYLEX lex + [b LIMIT 1 2
ZRANGE lex [b + BYLEX REV
ZRANGE lex + [b BYLEX REV LIMIT 0 2
ZLEXCOUNT lex [b +
ZLEXCOUNT lex - (b
ZREMRANGEBYLEX lex b c
ZREMRANGEBYLEX lex [b (c
ZREMRANGEBYLEX lex - +
EXISTS lex
ZREMRANGEBYLEX lex - +
ZREMRANGEBYLEX s - +
DEL r
ZADD r 1 a 2 b 3 c 4 d 5 e
ZREMRANGEBYRANK r a b
ZREMRANGEBYRANK nokey a b
ZREMRANGEBYRANK s 0 1
ZREMRANGEBYRANK r 3 1
ZREMRANGEBYRANK r -1 -1
ZREMRANGEBYSCORE r a b
ZREMRANGEBYSCORE s a b
ZREMRANGEBYSCORE s 1 2
ZREMRANGEBYSCORE r (1 (3
ZREMRANGEBYSCORE r -inf +inf
EXISTS r
DEL p
ZADD p 1 a 2 b 3 c 4 d 5 e 5 f 6 g
ZPOPMIN p a
ZPOPMIN p -1
ZPOPMIN p 0
ZPOPMIN p
ZPOPMAX p 2
ZPOPMIN p 1 2
ZPOPMIN p 1
ZPOPMIN nokey
ZPOPMIN nokey 1
ZPOPMIN nokey -1
ZPOPMIN s 1
ZPOPMIN s 0
ZPOPMIN s -1
ZMPOP 0 p MIN
ZMPOP a p MIN
ZMPOP -1 p MIN
ZMPOP 1 p
ZMPOP 1 p FOO
ZMPOP 1 p MIN COUNT 0
ZMPOP 1 p MIN COUNT a
ZMPOP 1 p MIN COUNT -1
ZMPOP 1 p MIN COUNT
ZMPOP 1 p MIN COUNT 1 COUNT 2
ZMPOP 2 p MIN
ZMPOP 1 p MIN MAX
ZMPOP 9223372036854775807 p MIN
ZMPOP 2 nokey s MIN
ZMPOP 2 s p MIN
ZMPOP 1 nokey MIN
ZMPOP 2 nokey p MAX
ZMPOP 1 p MIN COUNT 2
BZMPOP a 1 p MIN
BZMPOP -1 1 p MIN
BZMPOP 1 0 p MIN
BZMPOP a 0 p MIN
BZMPOP 0.01 1 nokey MIN
BZMPOP 0.01 2 nokey p MIN COUNT 10
BZPOPMIN s 0
BZPOPMIN s a
BZPOPMIN nokey s 0.01
BZPOPMIN nokey a
BZPOPMIN nokey -1
BZPOPMIN nokey 0.01
BZPOPMAX nokey 0.001
ZADD p 1 a 2 b
BZPOPMAX nokey p 1
BZPOPMIN p 1
EXISTS p
DEL u v
ZADD u 1 a 2 b 3 c
ZADD v 10 b 20 c 30 d inf e
ZUNION 0 u
ZUNION a u
ZUNION -1 u
ZUNION 2 u
ZUNION 1 u FOO
ZUNION 1 u WEIGHTS
ZUNION 1 u WEIGHTS a
ZUNION 1 u WEIGHTS nan
ZUNION 1 u WEIGHTS 1 2
ZUNION 1 u WEIGHTS 1 WITHSCORES
ZUNION 1 u AGGREGATE
ZUNION 1 u AGGREGATE foo
ZUNION 2 u v
ZUNION 2 u v WITHSCORES
ZUNION 2 u st AGGREGATE MIN WITHSCORES
ZUNION 2 u v AGGREGATE max WEIGHTS 3 -1 WITHSCORES
ZUNION 1 v WEIGHTS 0 WITHSCORES
ZUNION 2 v v WEIGHTS -1 1 WITHSCORES
ZUNION 1 u WEIGHTS 2 WEIGHTS 3 WITHSCORES
ZUNION 1 s
ZUNION 2 s nokey FOO
ZUNION 2 nokey s
ZUNION 1 nokey
ZUNIONSTORE d 1 u WITHSCORES
ZUNIONSTORE d 0 u
ZUNIONSTORE d a u
ZUNIONSTORE d 2 u v
ZRANGE d 0 -1 WITHSCORES
ZUNIONSTORE d 1 nokey
EXISTS d
ZINTER 0 u
ZINTER 2 u v WITHSCORES
ZINTER 2 v u WEIGHTS 1 0.5 AGGREGATE MIN WITHSCORES
ZINTER 2 u st WITHSCORES
ZINTER 2 u nokey
ZINTER 2 v v WEIGHTS 1 -1 WITHSCORES
ZINTER 2 u v WEIGHTS inf 0 WITHSCORES
ZINTERSTORE d 2 u v WEIGHTS nan 1
ZINTERSTORE d 2 u v AGGREGATE SUM AGGREGATE MIN
ZRANGE d 0 -1 WITHSCORES
ZINTERSTORE d 2 u nokey
EXISTS d
ZINTERCARD 0 u
ZINTERCARD a u
ZINTERCARD 1 u LIMIT
ZINTERCARD 1 u LIMIT -1
ZINTERCARD 1 u LIMIT a
ZINTERCARD 1 u FOO
ZINTERCARD 1 u WITHSCORES
ZINTERCARD 2 u
ZINTERCARD 2 u v
ZINTERCARD 2 u v LIMIT 1
ZINTERCARD 2 u v LIMIT 0
ZINTERCARD 1 u LIMIT 1 LIMIT 2
ZINTERCARD 2 u s
ZDIFF 0 u
ZDIFF 1 u WEIGHTS 1
ZDIFF 2 u v WITHSCORES
ZDIFF 2 u st
ZDIFF 2 nokey u
ZDIFF 2 u u
ZDIFFSTORE d 2 u st
ZDIFFSTORE d 2 u st WITHSCORES
ZDIFFSTORE d 2 u u
EXISTS d
ZRANDMEMBER u a
ZRANDMEMBER u 0
ZRANDMEMBER u 2 FOO
ZRANDMEMBER u 2 WITHSCORES a
ZRANDMEMBER u -9223372036854775808
ZRANDMEMBER u -4611686018427387904 WITHSCORES
ZRANDMEMBER nokey
ZRANDMEMBER nokey 2
ZRANDMEMBER nokey a
ZRANDMEMBER s
ZRANDMEMBER s a
ZRANDMEMBER s 1
ZADD one 5 a
ZRANDMEMBER one
ZRANDMEMBER one 3
ZRANDMEMBER one 3 WITHSCORES
ZRANDMEMBER one -3 WITHSCORES
ZSCAN u a
ZSCAN u 0 COUNT
ZSCAN s 0
ZSCAN nokey a
ZSCAN nokey 0 FOO
ZSCAN u 0 MATCH a COUNT 10
ZSCAN u 0 COUNT 0
ZSCAN u 0
ZRANGESTORE d u 0 -1
ZRANGESTORE d u 0 -1 WITHSCORES
ZRANGESTORE d u 5 10
EXISTS d
ZRANGESTORE d u (1 3 BYSCORE LIMIT 0 1
ZRANGESTORE d u 3 1 BYSCORE REV
ZRANGE d 0 -1 WITHSCORES
ZRANGESTORE d s 5 10
ZRANGESTORE d s a 10
ZRANGESTORE d nokey a 10
ZRANGESTORE d nokey 1 10
EXISTS d
ZRANGESTORE u u 0 1
ZRANGE u 0 -1
ZRANGESTORE s u 0 1
TYPE s
OBJECT ENCODING s
CONFIG SET zset-max-listpack-entries 2
ZADD s 1 x
OBJECT ENCODING s
ZADD big 1 a 2 b 3 c
OBJECT ENCODING big
ZSCAN big 0 MATCH b
CONFIG SET zset-max-listpack-entries 128
"#;

/// Equal texts, or doubles of equal value.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Double(text) | Value::Bulk(text) => {
            std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok())
        }
        _ => None,
    };
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| is_same(a, b))
        }
        (Value::Double(_), Value::Double(_)) | (Value::Bulk(_), Value::Bulk(_)) => {
            ours == theirs || number(ours).is_some() && number(ours) == number(theirs)
        }
        _ => ours == theirs,
    }
}

#[test]
fn every_line_is_answered_as_by_redis() {
    let Some(redis) = RealRedis::start("zset_every_line_is_answered_as_by_redis") else { return };
    let mut differences = Vec::new();
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut real = redis.connect();
        real.call(&words("FLUSHALL"));
        real.call(&words(hello));
        let mut server = Server::default();
        let conn = server.connect();
        server.line(conn, hello);
        for line in LINES.lines().filter(|line| !line.is_empty()) {
            let theirs = real.call(&words(line));
            let mut bytes = server.send(conn, &encode(&words(line)));
            if bytes.is_empty() {
                server.advance_ms(11);
                bytes = server.output(conn);
            }
            let mut ours = Value::read_all(&bytes);
            assert_eq!(ours.len(), 1, "one reply to {line}");
            let ours = ours.remove(0);
            if !is_same(&ours, &theirs) && !line.starts_with("ZRANDMEMBER")
                || ours.is_error() != theirs.is_error()
            {
                differences.push(format!("{hello}, {line}\n{ours}\nbut Redis\n{theirs}"));
            }
        }
        server.engine().check_invariants();
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn counts_of_memberships_are_aggregated() {
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "ZADD a 5 x 7 y");
    server.line(conn, "ZADD b 9 y inf z");
    server.line(conn, "SADD c y");
    let union = "ZUNION 3 a b c AGGREGATE COUNT WITHSCORES";
    let expected = ["x", "1", "z", "1", "y", "3"].map(Value::bulk);
    assert_eq!(server.line(conn, union), Value::Array(expected.to_vec()));
    let union = "ZINTER 2 a b WEIGHTS 2 0.5 AGGREGATE COUNT WITHSCORES";
    assert_eq!(server.line(conn, union), Value::Array(["y", "2.5"].map(Value::bulk).to_vec()));
}

#[test]
fn a_client_that_waits_is_served_in_its_turn() {
    let mut server = Server::default();
    let (first, second, third) = (server.connect(), server.connect(), server.connect());
    let other = server.connect();
    assert_eq!(server.send(first, b"BZPOPMIN a b 0\r\n"), b"");
    assert_eq!(server.send(second, b"BZPOPMAX b 5\r\n"), b"");
    assert_eq!(server.send(third, b"BZMPOP 5 2 b a MAX COUNT 2\r\n"), b"");
    server.check(other, "ZADD b 1 x 2 y 3 z 4 w", "(integer) 4");
    assert_eq!(server.output(first), b"*3\r\n$1\r\nb\r\n$1\r\nx\r\n$1\r\n1\r\n");
    assert_eq!(server.output(second), b"*3\r\n$1\r\nb\r\n$1\r\nw\r\n$1\r\n4\r\n");
    let pairs = b"*2\r\n*2\r\n$1\r\nz\r\n$1\r\n3\r\n*2\r\n$1\r\ny\r\n$1\r\n2\r\n";
    assert_eq!(server.output(third), [&b"*2\r\n$1\r\nb\r\n"[..], pairs].concat());
    server.check(other, "EXISTS b", "(integer) 0");
}

#[test]
fn other_types_do_not_end_a_wait_and_patience_does() {
    let mut server = Server::default();
    let (waiting, other) = (server.connect(), server.connect());
    assert_eq!(server.send(waiting, b"BZPOPMIN a b 1\r\n"), b"");
    server.check(other, "SET a x", "OK");
    server.check(other, "RPUSH b x", "(integer) 1");
    assert_eq!(server.output(waiting), b"");
    server.advance_ms(1001);
    assert_eq!(server.output(waiting), b"*-1\r\n");
    assert_eq!(server.send(waiting, b"HELLO 3\r\n").first(), Some(&b'%'));
    server.line(other, "DEL a b");
    assert_eq!(server.send(waiting, b"BZPOPMIN a b 1\r\n"), b"");
    server.check(other, "SET a x", "OK");
    server.check(other, "ZUNIONSTORE b 1 nothing", "(integer) 0");
    server.check(other, "ZADD c 1.5 m", "(integer) 1");
    assert_eq!(server.output(waiting), b"");
    server.check(other, "RENAME c b", "OK");
    assert_eq!(server.output(waiting), b"*3\r\n$1\r\nb\r\n$1\r\nm\r\n,1.5\r\n");
}

#[test]
fn a_big_set_that_is_deleted_is_freed_in_steps() {
    let mut server = Server::default();
    let conn = server.connect();
    for first in (0..30_000).step_by(1000) {
        let members: Vec<String> =
            (first..first + 1000).flat_map(|n| [n.to_string(), format!("member:{n:06}")]).collect();
        let words: Vec<&str> =
            ["ZADD", "z"].into_iter().chain(members.iter().map(String::as_str)).collect();
        assert_eq!(server.call(conn, &words), Value::Integer(1000));
    }
    server.check(conn, "OBJECT ENCODING z", "\"skiplist\"");
    server.check(conn, "COPY z y", "(integer) 1");
    server.engine().check_invariants();
    server.check(conn, "ZRANK y member:012345", "(integer) 12345");
    server.check(conn, "ZCOUNT y (100 200", "(integer) 100");
    server.check(conn, "DEL z", "(integer) 1");
    server.check(conn, "ZREMRANGEBYRANK y 0 -1", "(integer) 30000");
    server.check(conn, "EXISTS y", "(integer) 0");
    server.engine().check_invariants();
}
