//! List commands against a real redis-server: every reply must be the same, byte for byte, in both
//! protocols, for fixed lines and for random ones, right and wrong.
//!
//! LMOVEM and BLMOVEM are younger than the installed server; `model_lists.rs` knows them.

use orrery_engine::rng::Rng;
use orrery_engine::{Config, Seed};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{encode, words};
use orrery_tests::server_in_process::Server;

/// Lines whose replies must be those of Redis 7.0.15; an empty line begins with no keys.
const LINES: &str = r#"
LPUSH
LPUSH k
LPUSH k a b c
RPUSH k 1 2 3
LRANGE k 0 -1
LRANGE k -100 100
LRANGE k 5 3
LRANGE k -1 -2
LRANGE k 6 9
LRANGE k x 1
LRANGE none 0 -1
LRANGE k 9223372036854775807 -9223372036854775808
LRANGE k -9223372036854775808 9223372036854775807
LLEN k
LLEN none
LLEN
LPUSHX none a
RPUSHX none a
LPUSHX k x y
RPUSHX k z
EXISTS none
LINDEX k 0
LINDEX k -1
LINDEX k 100
LINDEX k -100
LINDEX k x
LINDEX none x
LINDEX k 1.5
LSET k 0 new
LSET k -1 last
LSET k 100 x
LSET k x y
LSET none 0 x
LSET none x y
LINSERT k BEFORE new first
LINSERT k after new second
LINSERT k AFTER nothing x
LINSERT k foo new x
LINSERT none BEFORE a b
LINSERT k BEFORE a
LRANGE k 0 -1
LREM k 0 nothing
LREM k x y
LREM none 0 x
LREM none x y
LREM k -1 a
LREM k 9223372036854775807 b
LREM k -9223372036854775807 c
LRANGE k 0 -1
LTRIM k 1 -2
LTRIM k x 1
LTRIM none 0 -1
LRANGE k 0 -1
LTRIM k 5 1
EXISTS k

RPUSH k a b c 1 2 3 c c
LPOS k c
LPOS k a
LPOS k nothing
LPOS k c RANK 2
LPOS k c RANK -1
LPOS k c RANK -9
LPOS k c RANK 0
LPOS k c RANK x
LPOS k c COUNT 2
LPOS k c COUNT 0
LPOS k c COUNT -1
LPOS k c COUNT x
LPOS k c RANK -1 COUNT 2
LPOS k c RANK -1 COUNT 0 MAXLEN 2
LPOS k c MAXLEN 2
LPOS k c MAXLEN -1
LPOS k c MAXLEN x
LPOS k c COUNT 0 MAXLEN 3
LPOS k c RANK 2 COUNT 0
LPOS k c RANK 9223372036854775807
LPOS k c RANK 2 RANK 1
LPOS k c RANK
LPOS k c foo
LPOS k c foo 1
LPOS none c
LPOS none c COUNT 0
LPOS none c COUNT 0 RANK 0
LPOS k 1
LPOS k 01

RPUSH k a b c d e f
LPOP k
RPOP k
LPOP k 0
LPOP none 0
LPOP none 1
LPOP none
LPOP k -1
LPOP k x
LPOP k 1 2
LPOP none x
LPOP k 2
RPOP k 100
EXISTS k
LPOP k 1

RPUSH k a b c d e f
LMPOP 1 k LEFT
LMPOP 2 none k right COUNT 2
LMPOP 2 none k LEFT COUNT 100
LMPOP 1 k LEFT
LMPOP 0 k LEFT
LMPOP x k LEFT
LMPOP -1 k LEFT
LMPOP 2 k LEFT
LMPOP 9223372036854775807 k LEFT
LMPOP 1 k UP
LMPOP 1 k LEFT COUNT
LMPOP 1 k LEFT COUNT 0
LMPOP 1 k LEFT COUNT x
LMPOP 1 k LEFT COUNT 1 COUNT 2
LMPOP 1 k LEFT COUNT 1 foo
LMPOP 1 k LEFT foo 1
LMPOP 1 k
BLMPOP x 1 k LEFT
BLMPOP x 0 k LEFT
BLMPOP -1 1 k UP
BLMPOP -1 1 k LEFT
BLMPOP 0 1 k

RPUSH k a b c
LMOVE k l LEFT RIGHT
LMOVE k l RIGHT LEFT
LMOVE k l LEFT UP
LMOVE k l UP LEFT
LMOVE none l LEFT LEFT
LMOVE none l UP LEFT
LMOVE k k LEFT RIGHT
LMOVE k l left right
EXISTS k
LRANGE l 0 -1
LMOVE l l LEFT RIGHT
LMOVE l l LEFT LEFT
RPOPLPUSH l l
RPOPLPUSH l k
RPOPLPUSH none k
BRPOPLPUSH l k 0
BRPOPLPUSH l k x
BRPOPLPUSH l k -1
BLMOVE k l LEFT RIGHT 0
BLMOVE k l LEFT RIGHT x
BLMOVE k l LEFT UP x
BLMOVE k l LEFT
BLPOP l 0
BRPOP none l 0
BLPOP l
BLPOP l x
BLPOP l -1
LRANGE l 0 -1
LRANGE k 0 -1

RPUSH k one
EXPIRE k 1000
LMOVE k k LEFT RIGHT
TTL k
RPOPLPUSH k k
TTL k
LMOVE k l LEFT RIGHT
TTL l

SET s string
LPUSH s a
RPUSHX s a
LLEN s
LINDEX s 0
LINDEX s x
LRANGE s 0 -1
LRANGE s x -1
LSET s 0 a
LSET s x a
LINSERT s BEFORE a b
LINSERT s foo a b
LREM s 0 a
LTRIM s 0 -1
LPOS s a
LPOS s a RANK 0
LPOP s
LPOP s 0
RPOP s x
LMPOP 1 s LEFT
LMOVE s s LEFT LEFT
LMOVE s l LEFT LEFT
RPUSH l a
LMOVE l s LEFT LEFT
LRANGE l 0 -1
BLPOP s 0
BLPOP none s 0
BLMOVE l s LEFT LEFT 0
BLMOVE s l LEFT LEFT 0
BRPOPLPUSH l s 0
BLMPOP 0 2 none s LEFT
TYPE l
GET l
APPEND l x
INCR l
STRLEN l
"#;

#[test]
fn fixed_lines_are_answered_as_by_redis() {
    let Some(redis) = RealRedis::start("list_commands") else { return };
    for protocol in ["2", "3"] {
        let mut real = redis.connect();
        let mut server = Server::new(Config::default(), Seed(1));
        let conn = server.connect();
        real.call(&["HELLO", protocol]);
        server.call(conn, &["HELLO", protocol]);
        for line in LINES.lines() {
            let words = if line.is_empty() { words("FLUSHALL") } else { words(line) };
            real.send(&encode(&words));
            let expected = real.read_raw().escape_ascii().to_string();
            let got = server.send(conn, &encode(&words)).escape_ascii().to_string();
            assert_eq!(got, expected, "after {line} in RESP{protocol}");
        }
    }
}

fn pick<'a>(random: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[random.below(choices.len() as u64) as usize]
}

/// A random command, now and then a wrong one.
fn line(random: &mut Rng) -> String {
    let templates = [
        "LPUSH K V",
        "LPUSH K V V V",
        "RPUSH K V V",
        "RPUSH K V V V V V",
        "LPUSHX K V V",
        "RPUSHX K V",
        "LLEN K",
        "LINDEX K I",
        "LRANGE K I I",
        "LRANGE K 0 -1",
        "LSET K I V",
        "LINSERT K BEFORE V V",
        "LINSERT K AFTER V V",
        "LREM K I V",
        "LTRIM K I I",
        "LTRIM K 0 I",
        "LPOS K V",
        "LPOS K V RANK I",
        "LPOS K V RANK I COUNT I",
        "LPOS K V COUNT I MAXLEN I",
        "LPOP K",
        "RPOP K",
        "LPOP K I",
        "RPOP K I",
        "LMPOP 2 K K S",
        "LMPOP 1 K S COUNT I",
        "LMOVE K K S S",
        "RPOPLPUSH K K",
        "DEL K",
        "RENAME K K",
        "COPY K K",
        "TYPE K",
        "SET K V",
        "DUMP none",
        "SORT K ALPHA",
        "SORT K LIMIT 0 3",
    ];
    let template = pick(random, &templates);
    let words = template.split(' ').map(|word| match word {
        "K" => pick(random, &["a", "b", "c"]).to_owned(),
        "V" => match random.below(12) {
            0 => "x".repeat(random.below(6000) as usize + 1),
            1 => format!("{}", random.next_u64() as i64 >> random.below(64)),
            _ => {
                pick(random, &["1", "2", "-3", "00", "w", "word", "1.5", "128", "4096"]).to_owned()
            }
        },
        "I" => match random.below(10) {
            0 => pick(random, &["x", "1.5", "9223372036854775808"]).to_owned(),
            _ => format!("{}", random.below(12) as i64 - 5),
        },
        "S" => pick(random, &["LEFT", "RIGHT", "left", "LEFTY"]).to_owned(),
        word => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn random_lines_are_answered_as_by_redis() {
    let Some(redis) = RealRedis::start("random list commands") else { return };
    for (seed, size) in ["-2", "-1", "3", "30", "-2", "1"].into_iter().enumerate() {
        let mut random = Rng::new(Seed(seed as u64), "list commands");
        let mut real = redis.connect();
        let mut server = Server::new(Config::default(), Seed(1));
        let conn = server.connect();
        let depth = ["0", "1", "2"][seed % 3];
        let limits =
            ["CONFIG", "SET", "list-max-listpack-size", size, "list-compress-depth", depth];
        for words in [vec!["FLUSHALL"], limits.to_vec()] {
            real.call(&words);
            server.call(conn, &words);
        }
        for number in 0..3000 {
            let line = line(&mut random);
            let words = words(&line);
            real.send(&encode(&words));
            let expected = real.read_raw().escape_ascii().to_string();
            let got = server.send(conn, &encode(&words)).escape_ascii().to_string();
            assert_eq!(got, expected, "seed {seed}, command {number}: {line}");
        }
        server.engine().check_invariants();
    }
}
