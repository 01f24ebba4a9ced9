//! Transactions: what is queued, what EXEC runs, and what makes it refuse. Scenes are played to a
//! real redis-server too.

#[path = "transactions/figures.rs"]
mod figures;

#[path = "transactions/refusals.rs"]
mod refusals;

use orrery_engine::rng::Rng;
use orrery_engine::{Config, Seed};
use orrery_tests::scene::{self, Ours, Stage, Theirs, bytes_of};
use orrery_tests::server_in_process::Server;

/// Scenes that must go as with Redis 7.0.15, apart by empty lines.
const SCENES: &str = r"
A: MULTI
A: SET k 1
A: INCR k
A: GET k
B: GET k
A: EXEC
B: GET k

A: EXEC; DISCARD
A: MULTI; MULTI; SET k 1; EXEC
A: MULTI; EXEC
A: MULTI; DISCARD; EXEC
A: GET k

A: MULTI
A: SET k
A: SET k 1
A: EXEC
A: GET k

A: MULTI; NOSUCH x; SET k 1; EXEC; GET k

A: MULTI; SET k x; INCR k; LPUSH k y; SET j 1; EXEC
A: GET k; GET j

A: MULTI; EXEC now; EXEC
A: EXEC now

A: MULTI; WATCH k; SET k 1; EXEC

A: WATCH
A: MULTI; WATCH; EXEC

A: WATCH k
B: SET k 1
A: MULTI; GET k; EXEC
A: MULTI; GET k; EXEC

A: WATCH k
A: SET k 1
A: MULTI; GET k; EXEC

A: WATCH k k j
B: SET other 1
A: MULTI; GET k; EXEC

A: WATCH k
B: SET k 1
A: UNWATCH
A: MULTI; PING; EXEC

A: WATCH k
B: SET k 1
A: MULTI; DISCARD
A: MULTI; PING; EXEC

A: WATCH k
A: MULTI; UNWATCH
B: SET k 1
A: PING; EXEC

A: WATCH k
A: MULTI; PING; NOSUCH
B: SET k 1
A: EXEC

A: WATCH k
B: SET k 1
A: WATCH j
A: MULTI; PING; EXEC

A: WATCH k
B: DEL k
A: MULTI; PING; EXEC

B: SET k 1
A: WATCH k
B: DEL k
A: MULTI; PING; EXEC

B: SET k 1
A: WATCH k
B: FLUSHALL
A: MULTI; PING; EXEC

A: WATCH k
B: SET j 1
B: FLUSHDB
A: MULTI; PING; EXEC

B: SELECT 1; SET k 1
A: WATCH k
B: FLUSHDB
A: MULTI; PING; EXEC

B: SELECT 1; SET k 1
A: WATCH k
B: SWAPDB 0 1
A: MULTI; GET k; EXEC

A: SET k 1; WATCH k
B: SWAPDB 0 1
A: MULTI; GET k; EXEC

A: WATCH k
B: SWAPDB 0 1; SET k 1
A: MULTI; GET k; EXEC

A: SELECT 1; WATCH k; SELECT 0
B: SET k 1
A: MULTI; PING; EXEC

A: SELECT 1; WATCH k; SELECT 0
B: SELECT 1; SET k 1
A: MULTI; PING; EXEC

A: WATCH k
B: MULTI; SET k 1; DISCARD
A: MULTI; PING; EXEC

A: WATCH k
B: MULTI; SET k 1; EXEC
A: MULTI; PING; EXEC

A: RPUSH k 1; WATCH k
B: RENAME k j
A: MULTI; PING; EXEC

A: RPUSH k 1; WATCH j
B: RENAME k j
A: MULTI; PING; EXEC

A: SET k 1; WATCH k
B: EXPIRE k 100
A: MULTI; PING; EXEC

A: SADD k 1; WATCH k
B: SADD k 1; SREM k 2; EXPIRE j 5; PERSIST k; GET k; TYPE k
A: MULTI; PING; EXEC

A: SET k 1 PX 20; WATCH k
~ 40
A: MULTI; PING; EXEC

A: SET k 1 PX 20
~ 40
A: WATCH k
A: MULTI; PING; EXEC

A: SET k 1 PX 20
~ 40
A: WATCH k
B: DEL k; EXISTS k
A: MULTI; PING; EXEC

A: SET k 1 PX 20; WATCH k
~ 40
B: GET k
A: MULTI; PING; EXEC

A: MULTI; BLPOP k 0; BLMOVE k j LEFT LEFT 0; BRPOPLPUSH k j 0; BZPOPMIN z 0
A: XREAD BLOCK 0 STREAMS s $; WAIT 1 0; BLMPOP 0 1 k LEFT; EXEC

A: BLPOP k 0
B: MULTI; LPUSH k 1; LPUSH k 2; LLEN k; EXEC
B: LRANGE k 0 -1

A: BLPOP k 0
B: MULTI; LPUSH k 1; DEL k; EXEC
B: MULTI; LPUSH k 1; LPOP k; EXEC
B: MULTI; LPUSH k 1; DEL k; SET k 1; EXEC
B: DEL k; RPUSH k last

A: WATCH k
A: BLPOP j 0
B: SET k 1; RPUSH j 1
A: MULTI; PING; EXEC

A: WATCH j
A: BLPOP j 0
B: RPUSH j 1
A: MULTI; PING; EXEC

A: MULTI; SELECT 1; SET k 1; EXEC
A: GET k
B: GET k

A: MULTI; HELLO 3; HGETALL k; EXEC
A: WATCH k; SET k 1
A: MULTI; PING; EXEC

A: MULTI; RESET; EXEC
A: MULTI; QUIT

A: MULTI; CLIENT SETNAME me; CLIENT GETNAME; ECHO hi; OBJECT ENCODING k; CLIENT NOSUCH; EXEC

A: MULTI; SHUTDOWN; PING; EXEC

A: MULTI; CONFIG SET maxmemory-samples bla; EXEC

A: WATCH k; MULTI; CONFIG RESETSTAT; FLUSHALL; EXEC

A: XADD s 1 f v; WATCH s
B: XDEL s 5-5; XTRIM s MAXLEN 10; XGROUP CREATE s g 0; XGROUP CREATECONSUMER s g c
B: XREADGROUP GROUP g d STREAMS s >; XACK s g 1; XGROUP SETID s g 0; XGROUP DELCONSUMER s g c
A: MULTI; PING; EXEC

A: XADD s 1 f v; WATCH s
B: XSETID s 5; XGROUP CREATE s g 0; XGROUP DESTROY s g
A: MULTI; PING; EXEC

A: WATCH s
B: XGROUP CREATE s g 0 MKSTREAM
A: MULTI; PING; EXEC

A: XADD s 1 f v; WATCH s
B: XDEL s 1
A: MULTI; PING; EXEC

A: PFADD k x y; WATCH k
B: PFADD k x; PFMERGE k none
A: MULTI; PING; EXEC

A: PFADD k x y; WATCH k
B: PFADD k x
A: MULTI; PING; EXEC

A: GEOADD k 1 1 a; WATCH k
B: GEOADD k 1 1 a; ZADD k XX 5 b; ZREM k c; ZINCRBY k 0 a
A: MULTI; PING; EXEC

A: SET k 1; WATCH k
B: SETRANGE k 0 ''; GETEX k; SETNX k 5; MSETNX k 1 j 2; GETDEL none; APPEND k ''
A: MULTI; PING; EXEC

A: SET k 1; WATCH k
B: SETBIT k 0 0
A: MULTI; PING; EXEC

A: HSET k f v; WATCH k
B: HDEL k g; HSETNX k f w; HSET k f v
A: MULTI; PING; EXEC

A: RPUSH k a; WATCH k
B: LREM k 0 b; LTRIM k 0 -1
A: MULTI; PING; EXEC

A: RPUSH k a; WATCH k
B: LSET k 0 a
A: MULTI; PING; EXEC

A: RPUSH k a; WATCH k
B: LINSERT k BEFORE z y; LPUSHX none x; RPOP none; LMOVE k k LEFT LEFT
A: MULTI; PING; EXEC

A: SADD k a b; WATCH k
B: SMOVE k k a; SMOVE k j c; SPOP k 0
A: MULTI; PING; EXEC

A: SADD k a b; WATCH j
B: SMOVE k j a
A: MULTI; PING; EXEC

A: WATCH k
B: SORT none STORE k; SINTERSTORE k none; ZUNIONSTORE k 1 none
B: BITOP AND k none; COPY none k; LMOVE none k LEFT LEFT
A: MULTI; PING; EXEC
";

#[test]
fn scenes_go_as_with_redis() {
    let Some(mut theirs) = Theirs::start("transactions") else { return };
    scene::check(&mut theirs, &Config::default(), SCENES);
}

/// A line of a random scene: few clients, few keys, so that they meet.
fn random_line(random: &mut Rng) -> String {
    let client = char::from(b'A' + random.below(3) as u8);
    let mut pick =
        |choices: &[&str]| choices[random.below(choices.len() as u64) as usize].to_owned();
    let (key, other) = (pick(&["k0", "k1", "k2"]), pick(&["k0", "k1", "k2"]));
    let command = match pick(&["watch", "transaction", "transaction", "write", "all", "other"])
        .as_str()
    {
        "watch" => pick(&["WATCH ", "WATCH ", "WATCH none "]) + &key,
        "transaction" => {
            pick(&["MULTI", "MULTI", "MULTI", "EXEC", "EXEC", "EXEC", "DISCARD", "UNWATCH"])
        }
        "write" => {
            match pick(&["set", "del", "push", "pop", "rename", "expire", "copy"]).as_str() {
                "set" => format!("SET {key} 1"),
                "del" => format!("DEL {key} {other}"),
                "push" => format!("RPUSH {key} x"),
                "pop" => format!("LPOP {key}"),
                "rename" => format!("RENAME {key} {other}"),
                "expire" => format!("EXPIRE {key} 100"),
                _ => format!("COPY {key} {other} REPLACE"),
            }
        }
        "all" => pick(&["FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "SWAPDB 0 0", "SELECT 1", "SELECT 0"]),
        _ => match pick(&[
            "get", "pop", "get", "ping", "ping", "lrange", "lrange", "wrong", "unknown",
        ])
        .as_str()
        {
            "get" => format!("GET {key}"),
            "pop" => format!("LMPOP 1 {key} LEFT"),
            "wrong" => format!("SET {key}"),
            "unknown" => "NOSUCH".to_owned(),
            "ping" => "PING".to_owned(),
            _ => format!("LRANGE {key} 0 -1"),
        },
    };
    format!("{client}: {command}")
}

#[test]
fn random_scenes_go_as_with_redis() {
    let Some(mut theirs) = Theirs::start("random transactions") else { return };
    let (mut ran, mut refused) = (0, 0);
    for seed in 0..100 {
        let mut random = Rng::new(Seed(seed), "transactions");
        theirs.clear();
        let mut ours = Ours::new(Config::default());
        let mut lines = Vec::new();
        for _ in 0..150 {
            let line = random_line(&mut random);
            let (client, bytes) = bytes_of(&line);
            lines.push(line);
            let (expected, got) = (theirs.say(client, &bytes), ours.say(client, &bytes));
            assert_eq!(got, expected, "seed {seed} after\n{}", lines.join("\n"));
            if lines.last().is_some_and(|line| line.ends_with("EXEC")) {
                let reply = &got[0].1;
                ran += usize::from(reply.starts_with('*') && !reply.starts_with("*-1"));
                refused += usize::from(reply.starts_with("*-1"));
            }
        }
    }
    assert!(ran > 300 && refused > 50, "transactions ran {ran} times, were refused {refused}");
}

fn client_field(server: &mut Server, conn: orrery_engine::ConnId, name: &str) -> String {
    let list = server.line(conn, "CLIENT INFO").bytes().to_vec();
    let list = String::from_utf8(list).expect("it is text");
    let field = list.split(' ').find_map(|field| field.strip_prefix(&format!("{name}=")));
    field.expect("there is such a field").to_owned()
}

#[test]
fn clients_show_what_they_watch_and_have_queued() {
    let mut server = Server::default();
    let (a, b) = (server.connect(), server.connect());
    assert_eq!(client_field(&mut server, a, "multi"), "-1");
    server.line(a, "WATCH k j k");
    assert_eq!(client_field(&mut server, a, "watch"), "2");
    server.line(b, "SET j 1");
    assert_eq!(client_field(&mut server, a, "flags"), "dU");
    assert_eq!(client_field(&mut server, a, "watch"), "0");
    server.line(a, "UNWATCH");
    assert_eq!(client_field(&mut server, a, "flags"), "U");
    server.line(a, "MULTI");
    server.line(a, "SET k 0123456789");
    server.line(a, "PING");
    let list = server.line(b, "CLIENT LIST").bytes().to_vec();
    let list = String::from_utf8(list).expect("it is text");
    let line = list.lines().next().expect("the first client");
    assert!(line.contains(" flags=xU ") && line.contains(" multi=2 "), "{line}");
    server.check(a, "DISCARD", "OK");
    server.line(a, "WATCH k");
    let info = String::from_utf8(server.line(b, "INFO clients").bytes().to_vec()).expect("text");
    assert!(info.contains("watching_clients:1\r\ntotal_watched_keys:1\r\n"), "{info}");
    server.disconnect(a);
    let info = String::from_utf8(server.line(b, "INFO clients").bytes().to_vec()).expect("text");
    assert!(info.contains("watching_clients:0\r\ntotal_watched_keys:0\r\n"), "{info}");
}

#[test]
fn a_write_in_a_transaction_waits_for_the_end_of_a_pause_of_writes() {
    let mut server = Server::default();
    let (a, b) = (server.connect(), server.connect());
    server.line(a, "MULTI");
    server.check(a, "SET k 1", "QUEUED");
    server.line(b, "MULTI");
    server.check(b, "GET k", "QUEUED");
    let other = server.connect();
    server.line(other, "CLIENT PAUSE 100 WRITE");
    assert_eq!(server.send(a, b"EXEC\r\n"), b"");
    assert_eq!(server.send(b, b"EXEC\r\n"), b"*1\r\n$-1\r\n");
    server.advance_ms(101);
    assert_eq!(server.output(a), b"*1\r\n+OK\r\n");
}

#[test]
fn what_is_queued_counts_as_input() {
    let config = Config { client_query_buffer_limit: 1 << 20, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    server.line(conn, "MULTI");
    let mut queued = 0;
    while !server.is_closed(conn) {
        server.send(conn, &[b"SET k ".as_slice(), &[b'x'; 10_000], b"\r\n"].concat());
        queued += 1;
        assert!(queued < 200, "the limit holds");
    }
    assert!(queued > 50, "{queued} commands of 10,000 bytes are no megabyte");
    server.engine().check_invariants();
}

#[test]
fn a_refused_transaction_keeps_nothing() {
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "MULTI");
    server.line(conn, "SET");
    for _ in 0..100 {
        server.check(conn, &format!("SET k {}", "x".repeat(1000)), "QUEUED");
    }
    let other = server.connect();
    let list = String::from_utf8(server.line(other, "CLIENT LIST").bytes().to_vec()).expect("text");
    let field =
        list.split(' ').find_map(|field| field.strip_prefix("multi-mem=")).expect("a field");
    let memory_bytes: usize = field.parse().expect("a number");
    assert!(memory_bytes < 200, "{memory_bytes}");
    let reply = server.line(conn, "EXEC");
    assert!(reply.is_error(), "{reply}");
}

#[test]
fn every_command_of_a_transaction_replies() {
    let mut server = Server::default();
    let conn = server.connect();
    let sent = b"MULTI\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY OFF\r\nPING\r\nEXEC\r\n";
    let reply = String::from_utf8(server.send(conn, sent)).expect("it is text");
    let refusal = "-ERR CLIENT REPLY OFF and SKIP are not allowed in a transaction\r\n";
    assert!(reply.ends_with(&format!("*3\r\n{refusal}{refusal}+PONG\r\n")), "{reply}");
}

#[test]
fn a_transaction_does_not_wait_for_the_driver() {
    let mut server = Server::default();
    let conn = server.connect();
    let sent = b"MULTI\r\nCONFIG SET maxclients 77\r\nCONFIG GET maxclients\r\nEXEC\r\nPING\r\n";
    let reply = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n\
        *2\r\n+OK\r\n*2\r\n$10\r\nmaxclients\r\n$2\r\n77\r\n+PONG\r\n";
    assert_eq!(
        server.send(conn, sent).escape_ascii().to_string(),
        reply.escape_ascii().to_string()
    );
}
