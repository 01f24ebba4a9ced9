//! Lists with `list-compress-depth`, through the front door: they take less memory, whatever reads
//! them leaves them as they are, and a new depth holds for lists that are there.

use orrery_engine::config::Access;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;

/// Enough for some dozens of nodes.
const ELEMENTS: usize = 5000;

fn server() -> (Server, ConnId) {
    let config = Config { debug_command: Access::Yes, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    (server, conn)
}

fn element(number: usize) -> String {
    format!("{{user:{number:06},state:active,language:en,plan:basic,region:north}}")
}

fn fill(server: &mut Server, conn: ConnId, key: &str) {
    for first in (0..ELEMENTS).step_by(100) {
        let words = (first..first + 100).map(element);
        let line: Vec<String> =
            ["RPUSH".to_owned(), key.to_owned()].into_iter().chain(words).collect();
        assert_eq!(server.call(conn, &line), Value::Integer(first as i64 + 100));
    }
}

fn usage(server: &mut Server, conn: ConnId, key: &str) -> i64 {
    server.line(conn, &format!("MEMORY USAGE {key}")).integer()
}

#[test]
fn a_compressed_list_takes_less_memory_and_reads_the_same() {
    let (mut server, conn) = server();
    fill(&mut server, conn, "open");
    server.check(conn, "CONFIG SET list-compress-depth 1", "OK");
    fill(&mut server, conn, "closed");
    server.engine().check_invariants();
    let (open, closed) = (usage(&mut server, conn, "open"), usage(&mut server, conn, "closed"));
    let two_nodes = 2 * 8192;
    assert!(open > ELEMENTS as i64 * 64, "{open} bytes");
    assert!(closed < two_nodes + (open - two_nodes) / 5, "{closed} of {open} bytes");
    for line in [
        "LRANGE KEY 0 -1",
        "LRANGE KEY 2000 2500",
        "LINDEX KEY 2500",
        "LINDEX KEY -1200",
        "LPOS KEY {user:004000,state:active,language:en,plan:basic,region:north}",
        "LPOS KEY nothing RANK -1 COUNT 0",
        "SORT KEY ALPHA DESC",
        "SORT KEY BY nosort LIMIT 1000 50 DESC",
        "SORT KEY ALPHA GET # LIMIT 2000 10",
        "LLEN KEY",
        "DUMP KEY",
        "DEBUG DIGEST-VALUE KEY",
    ] {
        let of_open = server.line(conn, &line.replace("KEY", "open"));
        let of_closed = server.line(conn, &line.replace("KEY", "closed"));
        assert!(!of_open.is_error(), "{line}: {of_open}");
        assert_eq!(of_open, of_closed, "{line}");
        assert_eq!(usage(&mut server, conn, "closed"), closed, "{line}");
        server.engine().check_invariants();
    }
    server.check(conn, "COPY closed copy", "(integer) 1");
    let copy = usage(&mut server, conn, "copy");
    assert!((closed - two_nodes..=closed).contains(&copy), "{copy} bytes of {closed}");
    let digests = server.line(conn, "DEBUG DIGEST-VALUE closed copy");
    assert_eq!(digests.elements()[0], digests.elements()[1]);
}

/// What DEBUG OBJECT says of the nodes.
fn nodes(server: &mut Server, conn: ConnId, key: &str) -> String {
    let reply = server.line(conn, &format!("DEBUG OBJECT {key}"));
    let text = String::from_utf8(reply.bytes().to_vec()).expect("it is text");
    let (_, nodes) = text.split_once(" ql_nodes:").expect("it is a long list");
    nodes.to_owned()
}

#[test]
fn a_new_depth_holds_for_lists_that_are_there() {
    let (mut server, conn) = server();
    fill(&mut server, conn, "l");
    let open = usage(&mut server, conn, "l");
    assert!(nodes(&mut server, conn, "l").contains(" ql_compressed:0 "));
    server.check(conn, "CONFIG SET list-compress-depth 2", "OK");
    assert_eq!(usage(&mut server, conn, "l"), open, "nothing has changed yet");
    let mut last = open;
    for _ in 0..40 {
        server.line(conn, "LSET l 100 x");
        server.engine().check_invariants();
        let now = usage(&mut server, conn, "l");
        assert!(last - now <= 4 * 8192, "a few nodes at once: {last} and then {now} bytes");
        last = now;
    }
    assert!(last < open / 3, "{last} of {open} bytes");
    assert!(nodes(&mut server, conn, "l").contains(" ql_compressed:1 "));
    server.check(conn, "CONFIG SET list-compress-depth 0", "OK");
    for number in 0..40 {
        server.line(conn, &format!("LSET l 100 {}", element(number)));
    }
    let opened = usage(&mut server, conn, "l");
    assert!((open * 9 / 10..=open).contains(&opened), "{opened} bytes, and {open} before");
    // What is changed far inside is opened and compressed again.
    server.check(conn, "CONFIG SET list-compress-depth 1", "OK");
    (0..60).for_each(|number| drop(server.line(conn, &format!("LSET l 2500 {}", element(number)))));
    let before = usage(&mut server, conn, "l");
    for number in 0..200 {
        server.line(conn, &format!("LINSERT l BEFORE {} {number}", element(3000)));
        server.line(conn, &format!("LSET l {} {}", 1000 + number, element(number)));
        server.engine().check_invariants();
    }
    let after = usage(&mut server, conn, "l");
    assert!(after < before + 4096, "{before} bytes, and then {after}");
    let removed = server.line(conn, &format!("LREM l 0 {}", element(150)));
    assert!(removed.integer() > 0);
    server.engine().check_invariants();
}
