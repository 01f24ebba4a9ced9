//! Which keys go, and what others learn of it.

use orrery_engine::{Micros, Timer};

use super::{info, limit_above, server};

/// Keys `prefix:0`, `prefix:1`... of some hundred bytes.
fn fill(
    server: &mut orrery_tests::server_in_process::Server,
    conn: orrery_engine::ConnId,
    prefix: &str,
    count: usize,
) {
    let value = "v".repeat(100);
    for index in 0..count {
        server.check(conn, &format!("SET {prefix}:{index} {value}"), "OK");
    }
}

/// How many of such keys are there.
fn present(
    server: &mut orrery_tests::server_in_process::Server,
    conn: orrery_engine::ConnId,
    prefix: &str,
    count: usize,
) -> usize {
    let is_there = |index: usize| {
        let reply = server.line(conn, &format!("EXISTS {prefix}:{index}")).to_string();
        reply == "(integer) 1"
    };
    (0..count).map(is_there).filter(|&is_there| is_there).count()
}

#[test]
fn lru_keeps_what_was_used_of_late() {
    let (mut server, conn) = server(&[("maxmemory-policy", "allkeys-lru")]);
    fill(&mut server, conn, "a", 500);
    fill(&mut server, conn, "b", 500);
    server.advance_ms(10_000);
    for index in 0..500 {
        server.line(conn, &format!("GET b:{index}"));
    }
    limit_above(&mut server, conn, 0);
    server.advance_ms(1000);
    fill(&mut server, conn, "c", 400);
    let (old, used) = (present(&mut server, conn, "a", 500), present(&mut server, conn, "b", 500));
    assert!(old <= 130 && used >= 480, "{old} and {used}");
    let evicted = info(&mut server, conn, "evicted_keys");
    assert_eq!(evicted as usize, 1000 - old - used + 400 - present(&mut server, conn, "c", 400));
}

#[test]
fn lrm_does_not_count_reads() {
    let (mut server, conn) = server(&[("maxmemory-policy", "allkeys-lrm")]);
    fill(&mut server, conn, "a", 500);
    server.advance_ms(10_000);
    fill(&mut server, conn, "b", 500);
    server.advance_ms(10_000);
    for index in 0..500 {
        server.line(conn, &format!("GET a:{index}"));
    }
    server.check(conn, "OBJECT IDLETIME a:7", "(integer) 20");
    limit_above(&mut server, conn, 0);
    fill(&mut server, conn, "c", 400);
    let (read, written) =
        (present(&mut server, conn, "a", 500), present(&mut server, conn, "b", 500));
    assert!(read <= 130 && written >= 480, "{read} and {written}");
}

#[test]
fn lfu_keeps_what_is_used_often() {
    let (mut server, conn) = server(&[("maxmemory-policy", "allkeys-lfu")]);
    fill(&mut server, conn, "hot", 200);
    for _ in 0..30 {
        for index in 0..200 {
            server.line(conn, &format!("GET hot:{index}"));
        }
    }
    limit_above(&mut server, conn, 20_000);
    fill(&mut server, conn, "scan", 3000);
    assert!(present(&mut server, conn, "hot", 200) >= 195);
    server.check(conn, "SET new x", "OK");
    server.check(conn, "OBJECT FREQ new", "(integer) 5");
}

#[test]
fn the_lfu_counter_falls_with_time() {
    let (mut server, conn) =
        server(&[("maxmemory-policy", "allkeys-lfu"), ("lfu-log-factor", "0")]);
    server.check(conn, "SET k x", "OK");
    for _ in 0..10 {
        server.line(conn, "GET k");
    }
    server.check(conn, "OBJECT FREQ k", "(integer) 15");
    server.check(conn, "CLIENT NO-TOUCH ON", "OK");
    server.line(conn, "GET k");
    server.check(conn, "OBJECT FREQ k", "(integer) 15");
    server.advance_ms(4 * 60_000);
    server.check(conn, "OBJECT FREQ k", "(integer) 11");
    server.check(conn, "CONFIG SET lfu-decay-time 2", "OK");
    server.check(conn, "OBJECT FREQ k", "(integer) 13");
    server.check(conn, "CONFIG SET lfu-decay-time 0", "OK");
    server.check(conn, "OBJECT FREQ k", "(integer) 15");
    server.check(conn, "SET k y", "OK");
    server.check(conn, "OBJECT FREQ k", "(integer) 16");
    server.check(conn, "RENAME k l", "OK");
    server.check(conn, "OBJECT FREQ l", "(integer) 16");
    for _ in 0..300 {
        server.line(conn, "APPEND l z");
    }
    server.check(conn, "OBJECT FREQ l", "(integer) 255");
}

#[test]
fn volatile_ttl_evicts_what_expires_soon() {
    let (mut server, conn) = server(&[("maxmemory-policy", "volatile-ttl")]);
    let value = "v".repeat(100);
    for index in 0..300 {
        let secs = 1000 + index * 10;
        server.check(conn, &format!("SET k:{index} {value} EX {secs}"), "OK");
    }
    fill(&mut server, conn, "stays", 50);
    limit_above(&mut server, conn, 0);
    fill(&mut server, conn, "more", 100);
    let left: Vec<usize> = (0..300)
        .filter(|index| {
            server.line(conn, &format!("EXISTS k:{index}")).to_string() == "(integer) 1"
        })
        .collect();
    let early = left.iter().filter(|&&index| index < 150).count();
    let (gone_early, gone_late) = (150 - early, 150 - (left.len() - early));
    assert!(gone_early > 70 && gone_late * 8 < gone_early, "{gone_early} and {gone_late} gone");
    assert_eq!(present(&mut server, conn, "stays", 50), 50);
    assert_eq!(present(&mut server, conn, "more", 100), 100);
}

#[test]
fn few_volatile_keys_among_many_others_are_found() {
    for policy in
        ["volatile-lru", "volatile-lfu", "volatile-lrm", "volatile-random", "volatile-ttl"]
    {
        let (mut server, conn) = server(&[("maxmemory-policy", policy)]);
        fill(&mut server, conn, "stays", 5000);
        for index in 0..5 {
            server.check(conn, &format!("SET v:{index} x EX 1000"), "OK");
        }
        server.check(conn, "CONFIG SET maxmemory 1000", "OK");
        server.advance_ms(0);
        assert_eq!(present(&mut server, conn, "v", 5), 0, "{policy}");
        server.check(conn, "DBSIZE", "(integer) 5000");
        let refused = "(error) OOM command not allowed when used memory > 'maxmemory'.";
        server.check(conn, "SET k v", refused);
    }
}

#[test]
fn random_policies_evict_from_every_database() {
    let (mut server, conn) = server(&[("maxmemory-policy", "allkeys-random")]);
    for db in 0..3 {
        server.check(conn, &format!("SELECT {db}"), "OK");
        fill(&mut server, conn, "k", 200);
    }
    let state = server.engine().state();
    let used = state.memory_used();
    server.check(conn, &format!("CONFIG SET maxmemory {}", used - 30_000), "OK");
    server.advance_ms(0);
    for db in 0..3 {
        server.check(conn, &format!("SELECT {db}"), "OK");
        let left = present(&mut server, conn, "k", 200);
        assert!((100..170).contains(&left), "{left} left in {db}");
    }
}

#[test]
fn an_eviction_is_told_of_and_spoils_transactions() {
    let (mut server, conn) =
        server(&[("maxmemory-policy", "allkeys-random"), ("notify-keyspace-events", "Ee")]);
    let (other, listener) = (server.connect(), server.connect());
    server.line(listener, "SUBSCRIBE __keyevent@0__:evicted");
    server.check(conn, "SET k v", "OK");
    server.check(other, "WATCH k", "OK");
    server.check(conn, "CONFIG SET maxmemory 1", "OK");
    server.advance_ms(0);
    let told = String::from_utf8(server.output(listener)).unwrap();
    assert_eq!(told, "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:evicted\r\n$1\r\nk\r\n");
    server.check(conn, "CONFIG SET maxmemory 0", "OK");
    server.check(other, "MULTI", "OK");
    server.check(other, "PING", "QUEUED");
    server.check(other, "EXEC", "(nil array)");
}

#[test]
fn a_big_surplus_goes_in_steps() {
    let (mut server, conn) =
        server(&[("maxmemory-policy", "allkeys-random"), ("maxmemory-eviction-tenacity", "0")]);
    fill(&mut server, conn, "k", 1000);
    server.check(conn, "CONFIG SET maxmemory 1000", "OK");
    for _ in 0..5 {
        assert_eq!(server.engine().deadline().map(|(_, timer)| timer), Some(Timer::Evict));
        let before = server.engine().state().keyspace.db(0).len();
        server.tick();
        assert_eq!(server.engine().state().keyspace.db(0).len(), before - 16);
    }
    // A command is not refused as long as there is something left to evict.
    server.check(conn, "SET new v", "OK");
    server.advance_ms(0);
    server.check(conn, "DBSIZE", "(integer) 0");
    assert_ne!(server.engine().deadline().map(|(_, timer)| timer), Some(Timer::Evict));
    server.check(
        conn,
        "SET new v",
        "(error) OOM command not allowed when used memory > 'maxmemory'.",
    );
}

#[test]
fn a_pause_keeps_the_data_as_it_is() {
    let (mut server, conn) = server(&[("maxmemory-policy", "allkeys-random")]);
    fill(&mut server, conn, "k", 100);
    server.check(conn, "CLIENT PAUSE 5000 WRITE", "OK");
    server.check(conn, "CONFIG SET maxmemory 1000", "OK");
    server.advance_ms(4000);
    server.check(conn, "DBSIZE", "(integer) 100");
    server.advance_ms(2000);
    server.check(conn, "DBSIZE", "(integer) 0");
}

#[test]
fn info_tells_how_long_memory_was_over_the_limit() {
    let (mut server, conn) = server(&[]);
    fill(&mut server, conn, "k", 100);
    server.check(conn, "CONFIG SET maxmemory 1000", "OK");
    server.line(conn, "GET k:1");
    server.advance_ms(1500);
    server.line(conn, "GET k:1");
    assert_eq!(info(&mut server, conn, "current_eviction_exceeded_time"), 1500);
    server.check(conn, "CONFIG SET maxmemory 100mb", "OK");
    server.line(conn, "GET k:1");
    assert_eq!(info(&mut server, conn, "current_eviction_exceeded_time"), 0);
    assert_eq!(info(&mut server, conn, "total_eviction_exceeded_time"), 1500);
    assert_eq!(info(&mut server, conn, "evicted_keys"), 0);
    server.check(conn, "CONFIG RESETSTAT", "OK");
    assert_eq!(info(&mut server, conn, "total_eviction_exceeded_time"), 0);
    assert_eq!(info(&mut server, conn, "maxmemory"), 100 << 20);
}

#[test]
fn a_change_of_policy_keeps_what_is_known_of_keys() {
    let (mut server, conn) = server(&[]);
    fill(&mut server, conn, "old", 2000);
    server.advance_ms(600_000);
    fill(&mut server, conn, "new", 2000);
    server.check(conn, "CONFIG SET maxmemory-policy allkeys-lfu", "OK");
    server.line(conn, "GET new:5");
    server.advance_ms(1);
    server.check(conn, "OBJECT FREQ old:1999", "(integer) 0");
    server.check(conn, "OBJECT FREQ new:1999", "(integer) 5");
    server.check(conn, "OBJECT FREQ new:5", "(integer) 6");
    server.check(conn, "CONFIG SET maxmemory-policy volatile-lru", "OK");
    server.advance_ms(1);
    let idle = |server: &mut orrery_tests::server_in_process::Server, key: &str| -> u64 {
        let text = server.line(conn, &format!("OBJECT IDLETIME {key}")).to_string();
        text.trim_start_matches("(integer) ").parse().unwrap()
    };
    assert!((540..=660).contains(&idle(&mut server, "old:1999")));
    assert!(idle(&mut server, "new:1999") <= 60);
}

#[test]
fn restore_sets_what_the_policy_looks_at() {
    let (mut server, conn) = server(&[]);
    server.check(conn, "SET k v", "OK");
    let orrery_tests::resp_value::Value::Bulk(payload) = server.line(conn, "DUMP k") else {
        panic!("DUMP gives bytes");
    };
    let restore = |server: &mut orrery_tests::server_in_process::Server, option: &[&str]| {
        let mut words: Vec<&[u8]> = vec![b"RESTORE", b"k", b"0", &payload, b"REPLACE"];
        words.extend(option.iter().map(|word| word.as_bytes()));
        assert_eq!(server.call(conn, &words).to_string(), "OK");
    };
    restore(&mut server, &["IDLETIME", "1000"]);
    server.check(conn, "OBJECT IDLETIME k", "(integer) 1000");
    restore(&mut server, &["FREQ", "100"]);
    server.check(conn, "OBJECT IDLETIME k", "(integer) 0");
    server.check(conn, "CONFIG SET maxmemory-policy allkeys-lfu", "OK");
    server.advance_ms(0);
    restore(&mut server, &["FREQ", "100"]);
    server.check(conn, "OBJECT FREQ k", "(integer) 100");
    restore(&mut server, &["IDLETIME", "1000"]);
    let text = server.line(conn, "OBJECT FREQ k").to_string();
    assert!(text == "(integer) 100" || text == "(integer) 101", "{text}");
}

#[test]
fn the_step_that_evicts_big_values_does_not_free_them_all() {
    let (mut server, conn) = server(&[("maxmemory-policy", "allkeys-random")]);
    for index in 0..20 {
        server.check(conn, &format!("SETRANGE k:{index} 4000000 x"), "(integer) 4000001");
    }
    server.check(conn, "CONFIG SET maxmemory 1000", "OK");
    server.tick();
    assert!(info(&mut server, conn, "lazyfree_pending_objects") > 0);
    server.advance_ms(Micros::from_secs(1).as_millis());
    assert_eq!(info(&mut server, conn, "lazyfree_pending_objects"), 0);
    server.check(conn, "DBSIZE", "(integer) 0");
}
