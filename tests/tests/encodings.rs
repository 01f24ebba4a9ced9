//! The forms of values: at which limits they change, when they come back, and that they are those
//! of Redis 7.0.15 where OBJECT ENCODING is told to use its names.

use std::collections::BTreeSet;

use orrery_engine::config::Access;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{Value, words};
use orrery_tests::server_in_process::Server;

struct Client {
    server: Server,
    conn: ConnId,
}

impl Client {
    fn new() -> Self {
        let mut server = Server::default();
        let conn = server.connect();
        Self { server, conn }
    }

    /// Runs a command that must not fail.
    #[track_caller]
    fn run(&mut self, line: &str) -> Value {
        let reply = self.server.line(self.conn, line);
        assert!(!reply.is_error(), "{line} gives {reply}");
        reply
    }

    #[track_caller]
    fn assert_encoding(&mut self, key: &str, encoding: &str) {
        let reply = self.run(&format!("OBJECT ENCODING {key}"));
        assert_eq!(reply, Value::bulk(encoding), "{key}");
    }

    /// The key holds what `lines` make of it, in this form.
    #[track_caller]
    fn assert_form(&mut self, lines: &[&str], encoding: &str) {
        self.run("DEL k");
        for line in lines {
            self.run(line);
        }
        let reply = self.run("OBJECT ENCODING k");
        assert_eq!(reply, Value::bulk(encoding), "{lines:?}");
        self.server.engine().check_invariants();
    }
}

/// Numbered words behind a command; `each` makes the words of one number.
fn many(command: &str, count: usize, each: impl Fn(usize) -> String) -> String {
    let words: Vec<String> = (0..count).map(each).collect();
    format!("{command} {}", words.join(" "))
}

fn fields(count: usize) -> String {
    many("HSET k", count, |number| format!("f{number} v"))
}

fn members(count: usize) -> String {
    many("SADD k", count, |number| format!("m{number}"))
}

fn integers(count: usize) -> String {
    many("SADD k", count, |number| number.to_string())
}

fn scores(count: usize) -> String {
    many("ZADD k", count, |number| format!("{number} m{number}"))
}

fn elements(count: usize) -> String {
    many("RPUSH k", count, |number| format!("e{number}"))
}

#[test]
fn default_limits_are_those_of_redis() {
    let mut client = Client::new();
    let text = |len: usize| "x".repeat(len);
    client.assert_form(&[&fields(512)], "listpack");
    client.assert_form(&[&fields(513)], "hashtable");
    client.assert_form(&[&format!("HSET k f {}", text(64))], "listpack");
    client.assert_form(&[&format!("HSET k f {}", text(65))], "hashtable");
    client.assert_form(&[&format!("HSET k {} v", text(65))], "hashtable");
    client.assert_form(&[&scores(128)], "listpack");
    client.assert_form(&[&scores(129)], "skiplist");
    client.assert_form(&[&format!("ZADD k 1 {}", text(64))], "listpack");
    client.assert_form(&[&format!("ZADD k 1 {}", text(65))], "skiplist");
    client.assert_form(&[&integers(512)], "intset");
    client.assert_form(&[&integers(512), "SADD k 512"], "hashtable");
    client.assert_form(&[&integers(127), "SADD k text"], "listpack");
    client.assert_form(&[&integers(128), "SADD k text"], "hashtable");
    client.assert_form(&[&members(128)], "listpack");
    client.assert_form(&[&members(128), "SADD k more"], "hashtable");
    client.assert_form(&[&format!("SADD k {}", text(64))], "listpack");
    client.assert_form(&[&format!("SADD k {}", text(65))], "hashtable");
    client.assert_form(&[&format!("RPUSH k {}", text(8000))], "listpack");
    client.assert_form(&[&format!("RPUSH k {} x", text(8200))], "quicklist");
    client.assert_form(&["SET k 12345"], "int");
    client.assert_form(&[&format!("SET k {}", text(44))], "embstr");
    client.assert_form(&[&format!("SET k {}", text(45))], "raw");
    client.assert_form(&["SET k short", "APPEND k er"], "raw");
    client.assert_form(&["XADD k 1-1 f v"], "stream");
    client.assert_form(&["PFADD k a b"], "raw");
    client.assert_form(&["SETBIT k 7 1"], "raw");
    client.assert_form(&["GEOADD k 13.4 52.5 Berlin"], "listpack");
}

#[test]
fn limits_may_be_set_while_the_server_runs() {
    let mut client = Client::new();
    for line in [
        "CONFIG SET hash-max-listpack-entries 3 hash-max-listpack-value 4",
        "CONFIG SET zset-max-listpack-entries 3 zset-max-listpack-value 4",
        "CONFIG SET set-max-listpack-entries 3 set-max-listpack-value 4",
        "CONFIG SET set-max-intset-entries 2 list-max-listpack-size 3",
    ] {
        client.run(line);
    }
    for (build, fits, exceeds, long, big) in [
        (fields as fn(usize) -> String, 3, 4, "HSET k f abcde", "hashtable"),
        (scores, 3, 4, "ZADD k 1 abcde", "skiplist"),
        (members, 3, 4, "SADD k abcde", "hashtable"),
        (elements, 3, 4, "", "quicklist"),
    ] {
        client.assert_form(&[&build(fits)], "listpack");
        client.assert_form(&[&build(exceeds)], big);
        if !long.is_empty() {
            client.assert_form(&[long], big);
            client.assert_form(&[&long.replace("abcde", "abcd")], "listpack");
        }
    }
    client.assert_form(&[&integers(2)], "intset");
    client.assert_form(&[&integers(2), "SADD k 2"], "hashtable");
    client.assert_form(&["SADD k 1 2", "SADD k a"], "listpack");
    client.assert_form(&["SADD k 1 12345", "SADD k a"], "hashtable");
    // More are announced than integers may be; then they are packed.
    client.assert_form(&["SADD k 1 2 3"], "listpack");
    client.assert_form(&["SADD k 1 1 1 1"], "hashtable");
}

#[test]
fn old_names_of_limits_are_understood() {
    let mut client = Client::new();
    client.run("CONFIG SET hash-max-ziplist-entries 1 zset-max-ziplist-entries 1");
    client.assert_form(&[&fields(2)], "hashtable");
    client.assert_form(&[&scores(2)], "skiplist");
    client.run("CONFIG SET hash-max-ziplist-value 1 zset-max-ziplist-value 1");
    client.assert_form(&["HSET k f vv"], "hashtable");
    client.assert_form(&["ZADD k 1 mm"], "skiplist");
    client.run("CONFIG SET list-max-ziplist-size 1");
    client.assert_form(&[&elements(2)], "quicklist");
}

#[test]
fn a_limit_that_is_lowered_counts_from_the_next_write() {
    let mut client = Client::new();
    client.run(&fields(10));
    client.run("CONFIG SET hash-max-listpack-entries 5");
    client.assert_encoding("k", "listpack");
    client.run("HSET k new v");
    client.assert_encoding("k", "hashtable");
    client.run("DEL k");
    client.run(&members(10));
    client.run("CONFIG SET set-max-listpack-entries 5");
    client.run("SREM k m0");
    client.assert_encoding("k", "listpack");
    client.run("SADD k m1");
    client.assert_encoding("k", "listpack");
    client.run("SADD k m0");
    client.assert_encoding("k", "hashtable");
}

#[test]
fn only_lists_become_small_again() {
    let mut client = Client::new();
    client.run("CONFIG SET list-max-listpack-size 8");
    let shrink = |command: &str, count| many(command, count, |number| format!("m{number}"));
    client.assert_form(&[&members(200), &shrink("SREM k", 199)], "hashtable");
    client.assert_form(&[&scores(200), &shrink("ZREM k", 199)], "skiplist");
    let hdel = shrink("HDEL k", 599).replace(" m", " f");
    client.assert_form(&[&fields(600), &hdel], "hashtable");
    client.assert_form(&["SADD k 1 a", "SREM k a"], "listpack");
    // One node of at most half the limit.
    client.assert_form(&[&elements(9), "RPOP k 4"], "quicklist");
    client.assert_form(&[&elements(9), "RPOP k 5"], "listpack");
    client.assert_form(&[&elements(9), "LPOP k 7"], "quicklist");
    client.assert_form(&[&elements(9), "LPOP k 8"], "listpack");
    // A key that is made anew begins small.
    client.assert_form(&[&members(200), "DEL k", "SADD k 1"], "intset");
    client.assert_form(&[&members(200), &shrink("SREM k", 200), "SADD k a"], "listpack");
}

#[test]
fn new_sets_have_the_form_of_what_is_in_them() {
    let mut client = Client::new();
    let integers = |key: &str, range: core::ops::Range<usize>| {
        let words: Vec<String> = range.map(|number| number.to_string()).collect();
        format!("SADD {key} {}", words.join(" "))
    };
    client.run(&integers("many", 0..600));
    client.run(&integers("some", 100..200));
    client.run("SADD texts a b 150 151");
    client.assert_encoding("many", "hashtable");
    client.assert_encoding("some", "intset");
    for (line, encoding) in [
        ("SINTERSTORE k many some", "intset"),
        ("SINTERSTORE k many texts", "intset"),
        ("SINTERSTORE k texts", "listpack"),
        ("SUNIONSTORE k some", "intset"),
        ("SUNIONSTORE k some texts", "listpack"),
        ("SUNIONSTORE k many some", "hashtable"),
        ("SUNIONSTORE k many texts", "hashtable"),
        ("SDIFFSTORE k texts some", "listpack"),
        ("SDIFFSTORE k many some", "intset"),
        ("SDIFFSTORE k some texts", "intset"),
        ("SDIFFSTORE k many texts", "hashtable"),
    ] {
        client.assert_form(&[line], encoding);
    }
    // Most of a big set is popped: what is left is a new set.
    client.assert_form(&["SUNIONSTORE k many", "SPOP k 590"], "intset");
    client.assert_form(&["SUNIONSTORE k many", "SPOP k 100"], "hashtable");
    // A packed set with nothing but integers stays packed.
    client.assert_form(&["SADD k 1 a 2", "SREM k a", "SPOP k 1"], "listpack");
    client.assert_form(&["SADD s 1 a", "SMOVE s k 1"], "intset");
    client.assert_form(&["SADD s 1 a", "SADD k 5", "SMOVE s k a"], "listpack");
    client.assert_form(&["SORT some STORE k"], "listpack");
    client.assert_form(&["ZUNIONSTORE k 1 some"], "listpack");
    client.assert_form(&["ZUNIONSTORE k 1 many"], "skiplist");
}

/// Lines about each form that Redis 7.0 has too; after each the encoding of `k` is compared.
fn lines_of_7_0() -> Vec<String> {
    let text = |len: usize| "x".repeat(len);
    let mut lines: Vec<String> = Vec::new();
    let mut add = |all: &[String]| {
        lines.push("DEL k".to_owned());
        lines.extend_from_slice(all);
    };
    for entries in [1, 3, 16] {
        add(&[
            format!("CONFIG SET hash-max-listpack-entries {entries}"),
            fields(entries),
            format!("{} f{entries} v", fields(entries)),
            "HDEL k f0".to_owned(),
        ]);
        add(&[
            format!("CONFIG SET zset-max-listpack-entries {entries}"),
            scores(entries),
            format!("{} 1 another", scores(entries)),
            "ZREM k another".to_owned(),
            "ZRANGESTORE k k 0 0".to_owned(),
        ]);
        add(&[
            format!("CONFIG SET set-max-intset-entries {entries}"),
            integers(entries),
            format!("SADD k {entries}"),
            "SREM k 0".to_owned(),
        ]);
        add(&[integers(entries), "SADD k text".to_owned(), "SREM k text".to_owned()]);
        add(&[
            format!("CONFIG SET list-max-listpack-size {entries}"),
            elements(entries + 1),
            "LTRIM k 0 0".to_owned(),
        ]);
    }
    for bytes in [1, 10, 64] {
        let limits = ["hash-max-listpack-value", "zset-max-listpack-value"];
        add(&limits.map(|limit| format!("CONFIG SET {limit} {bytes}")));
        for len in [bytes, bytes + 1] {
            add(&[format!("HSET k f {}", text(len)), "HSET k f v".to_owned()]);
            add(&[format!("HSET k {} v", text(len))]);
            add(&[format!("HSETNX k f {}", text(len))]);
            add(&[format!("ZADD k 1 {}", text(len)), "ZADD k 1 m".to_owned()]);
        }
        add(&["HSET k f 1".to_owned(), "HINCRBY k f 9999999999".to_owned()]);
        add(&["HSET k f 1".to_owned(), "HINCRBYFLOAT k f 0.123456789".to_owned()]);
    }
    add(&["SADD k 1 2 3".to_owned(), "SADD k 9223372036854775807".to_owned()]);
    add(&["SADD k 01".to_owned()]);
    add(&["SADD s 1 2".to_owned(), "SADD t 2 3".to_owned(), "SUNIONSTORE k s t".to_owned()]);
    add(&["SINTERSTORE k s t".to_owned(), "SDIFFSTORE k s t".to_owned()]);
    add(&["SADD u a".to_owned(), "SUNIONSTORE k s u".to_owned()]);
    add(&["SORT s STORE k".to_owned(), "COPY k c REPLACE".to_owned(), "RENAME c k".to_owned()]);
    for value in ["1", "9223372036854775808", "a", " 1", "1.5", "-0"] {
        add(&[format!("SET k \"{value}\""), "GETRANGE k 0 -1".to_owned()]);
        add(&[format!("SET k \"{value}\""), "APPEND k 1".to_owned()]);
        add(&[format!("SET k \"{value}\""), "SETRANGE k 0 1".to_owned()]);
    }
    add(&[format!("SET k {}", text(44)), format!("SET k {}", text(45))]);
    add(&["INCR k".to_owned(), "INCRBYFLOAT k 0.5".to_owned(), "SETBIT k 0 1".to_owned()]);
    add(&["PFADD k a".to_owned(), "XADD x 1-1 f v".to_owned(), "RENAME x k".to_owned()]);
    lines
}

#[test]
fn forms_are_those_of_redis_7_0() {
    let Some(redis) = RealRedis::start("forms_are_those_of_redis_7_0") else { return };
    let mut real = redis.connect();
    let mut client = Client::new();
    // Names for sets that Redis 7.0 knows nothing of are left out.
    client.run("CONFIG SET encoding-names 7.0");
    for line in lines_of_7_0() {
        let theirs = real.call(&words(&line));
        assert!(!theirs.is_error(), "{line} gives {theirs}");
        let ours = client.server.line(client.conn, &line);
        assert_eq!(ours, theirs, "{line}");
        let ask = "OBJECT ENCODING k";
        let (ours, theirs) = (client.server.line(client.conn, ask), real.call(&words(ask)));
        assert_eq!(ours, theirs, "after {}", &line[..line.len().min(200)]);
    }
}

/// What DEBUG OBJECT says of the value at `k` that does not depend on time and place. A list of
/// Redis's knows which limit it was made with; here the limit of now holds for all of them.
fn described(reply: &Value) -> String {
    let text = String::from_utf8(reply.bytes().to_vec()).expect("it is text");
    let words = text.split(' ').skip_while(|word| !word.starts_with("encoding:"));
    let is_stable = |word: &&str| !word.starts_with("lru") && !word.starts_with("ql_listpack_max");
    words.filter(is_stable).collect::<Vec<_>>().join(" ")
}

/// Every form of every type, and how long it is in a dump. (Deleted entries of a stream, which
/// Redis writes for as long as it has others in their block, are not there to be written here.)
#[test]
fn lengths_in_dumps_are_those_of_redis_7_0() {
    let Some(redis) = RealRedis::start_with("lengths in dumps", &["--enable-debug-command", "yes"])
    else {
        return;
    };
    let mut real = redis.connect();
    let config = Config { debug_command: Access::Yes, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    let settings = ["encoding-names 7.0", "rdb-version 10"];
    settings.iter().for_each(|it| server.check(conn, &format!("CONFIG SET {it}"), "OK"));
    let mut lines = vec!["CONFIG SET rdbcompression no".to_owned()];
    lines.extend(lines_of_7_0());
    let nodes =
        ["CONFIG SET list-max-listpack-size 1 list-compress-depth 1", "DEL k", "RPUSH k a b c"];
    let groups = [
        "DEL k",
        "XADD k 1-1 a b",
        "XADD k 1-2 a c",
        "XGROUP CREATE k g 0",
        "XREADGROUP GROUP g me COUNT 1 STREAMS k >",
    ];
    lines.extend(nodes.into_iter().chain(groups).map(str::to_owned));
    let mut seen = BTreeSet::new();
    for line in lines {
        let (_, _) = (real.call(&words(&line)), server.line(conn, &line));
        let ask = "DEBUG OBJECT k";
        let (ours, theirs) = (server.line(conn, ask), real.call(&words(ask)));
        assert_eq!(ours.is_error(), theirs.is_error(), "{ours} {theirs}");
        if !ours.is_error() {
            let (ours, theirs) = (described(&ours), described(&theirs));
            assert_eq!(ours, theirs, "after {}", &line[..line.len().min(200)]);
            seen.insert(ours.split(' ').next().map(str::to_owned));
        }
    }
    assert_eq!(seen.len(), 9, "{seen:?}");
}
