//! What Redis 7.0 does not have: it comes back from a dump, in a version that says what readers
//! must understand.

use orrery_engine::{Config, Seed};
use orrery_tests::server_in_process::Server;

use crate::draw::words;

/// Makes `k`, moves it through a dump and looks with `look` whether it is the same.
#[track_caller]
fn check(rdb_version: &str, version: u8, make: &[&str], look: &[&str]) {
    let mut config = Config::default();
    config.set("rdb-version", &[rdb_version]).expect("a parameter");
    config.set("enable-debug-command", &["yes"]).expect("a parameter");
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    for line in make {
        let reply = server.line(conn, line);
        assert!(!reply.is_error(), "{line}: {reply}");
    }
    let dump = server.line(conn, "DUMP k").bytes().to_vec();
    assert_eq!(dump[dump.len() - 10..dump.len() - 8], [version, 0], "the version of {make:?}");
    let mut restore = words("RESTORE copy 0");
    restore.push(dump);
    assert_eq!(server.call(conn, &restore).to_string(), "OK", "RESTORE of {make:?}");
    server.engine().check_invariants();
    for line in look.iter().chain(&["DEBUG DIGEST-VALUE k"]) {
        let here = server.line(conn, line);
        let copy = server.line(conn, &line.replace(" k", " copy"));
        assert_eq!(here, copy, "{line}");
    }
}

#[test]
fn deadlines_of_fields_are_kept() {
    let fields = ["HSET k a 1 b 2 c 3", "HPEXPIREAT k 4102444800000 FIELDS 1 b"];
    let more = ["HPEXPIREAT k 4102444800123 FIELDS 1 c"];
    let long = format!("HSET k long {}", "x".repeat(100));
    let look = ["HGETALL k", "HPEXPIRETIME k FIELDS 4 a b c long"];
    for (rdb_version, version) in [("10", 12), ("11", 12), ("80", 80)] {
        let small = [&fields[..], &more].concat();
        check(rdb_version, version, &small, &look);
        let big = [&small[..], &[&long]].concat();
        check(rdb_version, version, &big, &look[1..]);
        check(rdb_version, if rdb_version == "10" { 10 } else { 11 }, &fields[..1], &look);
    }
}

#[test]
fn entries_that_were_given_back_are_kept() {
    let make = [
        "XADD k 1-1 a b",
        "XADD k 2-1 a b",
        "XGROUP CREATE k g 0",
        "XREADGROUP GROUP g c COUNT 2 STREAMS k >",
        "XNACK k g FAIL IDS 1 1-1",
    ];
    let look = ["XPENDING k g", "XPENDING k g - + 10", "XINFO STREAM k FULL"];
    check("11", 14, &make, &look);
    check("11", 11, &make[..4], &look);
}

#[test]
fn names_that_producers_gave_are_kept() {
    let make = ["XADD k IDMP producer one * a b", "XADD k IDMP producer two * a b"];
    let look = ["XINFO STREAM k", "XADD k IDMP producer two * a b"];
    check("11", 13, &make, &look);
}
