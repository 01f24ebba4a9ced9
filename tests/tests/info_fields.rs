//! INFO against a real redis-server: the same sections, the same fields in the same order.

use orrery_engine::{Facts, Handshakes, Input, Vitals};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::server_in_process::Server;

/// Fields of redis 7.0.15 that are left out: the engine does not see inside its allocator, has no
/// library of atomics, and nobody measures the time of expiry or of one thread alone.
const LEFT_OUT: [&str; 13] = [
    "atomicvar_api",
    "allocator_allocated",
    "allocator_active",
    "allocator_resident",
    "allocator_frag_ratio",
    "allocator_frag_bytes",
    "allocator_rss_ratio",
    "allocator_rss_bytes",
    "rss_overhead_ratio",
    "rss_overhead_bytes",
    "expire_cycle_cpu_milliseconds",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
];

/// Fields that redis 7.0.15 does not have.
const ADDED: [&str; 20] = [
    "orrery_rdb_writers_held",
    "orrery_unused_page_bytes",
    "orrery_durations_bytes",
    "watching_clients",
    "total_watched_keys",
    "expired_subkeys",
    "total_blocking_keys",
    "total_blocking_keys_on_nokey",
    "orrery_version",
    "orrery_ttl_clock",
    "client_query_buffer_limit_disconnections",
    "client_output_buffer_limit_disconnections",
    "orrery_steps",
    "orrery_longest_step_usec",
    "orrery_expire_lag_ms",
    "orrery_expire_lag_max_ms",
    "orrery_tls_handshakes",
    "orrery_tls_handshakes_resumed",
    "orrery_tls_handshakes_failed",
    "orrery_tls_handshakes_pending",
];

fn facts() -> Facts {
    Facts {
        process_id: 4711,
        executable: "/usr/bin/orrery-server".into(),
        config_file: Some("/etc/orrery.conf".into()),
        os: "Linux 6.1 x86_64".into(),
        multiplexing_api: "epoll".into(),
        monotonic_clock: "POSIX clock_gettime".into(),
        allocator: "system".into(),
        build_id: "0badcafe".into(),
    }
}

/// Titles and field names in order; the figures of commands have names of their own.
fn names(text: &str) -> Vec<String> {
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let lines = text.split("\r\n").map(name);
    lines.filter(|name| !name.starts_with("cmdstat_") && !name.starts_with("latency_")).collect()
}

fn info(server: &mut Server, line: &str) -> String {
    let conn = server.connect();
    let reply = server.line(conn, line);
    server.disconnect(conn);
    String::from_utf8(reply.bytes().to_vec()).unwrap()
}

#[track_caller]
fn field(text: &str, name: &str) -> String {
    let value = text.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[test]
fn sections_and_fields_are_those_of_a_real_redis() {
    let Some(redis) = RealRedis::start("info_fields") else { return };
    let mut client = redis.connect();
    let mut server = Server::default();
    server.set_facts(facts());
    for line in ["INFO everything", "INFO", "INFO keyspace server", "INFO all", "INFO default"] {
        let words: Vec<&str> = line.split(' ').collect();
        let theirs = String::from_utf8(client.call(&words).bytes().to_vec()).unwrap();
        let theirs: Vec<String> =
            names(&theirs).into_iter().filter(|name| !LEFT_OUT.contains(&name.as_str())).collect();
        let ours = names(&info(&mut server, line));
        let ours: Vec<String> =
            ours.into_iter().filter(|name| !ADDED.contains(&name.as_str())).collect();
        assert_eq!(ours, theirs, "{line}");
    }
}

#[test]
fn facts_and_vitals_are_shown_and_unknown_ones_are_not() {
    let mut server = Server::default();
    let text = info(&mut server, "INFO");
    for name in ["os", "process_id", "executable", "multiplexing_api", "mem_allocator"] {
        assert!(!text.contains(&format!("\r\n{name}:")), "{name} was not told");
    }
    assert_eq!(field(&text, "config_file"), "");
    server.set_facts(facts());
    server.input(Input::Vitals(Vitals {
        resident_bytes: 7 << 20,
        machine_bytes: 8 << 30,
        cpu_user_us: 1_500_000,
        cpu_system_us: 20,
        handshakes: Handshakes { done: 5, resumed: 4, failed: 3, pending: 2 },
    }));
    let text = info(&mut server, "INFO");
    for (name, value) in [
        ("redis_version", "7.0.15"),
        ("orrery_version", "0.1.0"),
        ("orrery_tls_handshakes_resumed", "4"),
        ("orrery_tls_handshakes_failed", "3"),
        ("process_id", "4711"),
        ("config_file", "/etc/orrery.conf"),
        ("os", "Linux 6.1 x86_64"),
        ("used_memory_rss", "7340032"),
        ("used_memory_rss_human", "7.00M"),
        ("total_system_memory_human", "8.00G"),
        ("used_cpu_user", "1.500000"),
        ("used_cpu_sys", "0.000020"),
    ] {
        assert_eq!(field(&text, name), value, "{name}");
    }
}

#[test]
fn counters_count_and_are_reset() {
    let mut server = Server::default();
    let conn = server.connect();
    server.check(conn, "SET k v", "OK");
    server.check(conn, "SET t v", "OK");
    server.check(conn, "GET k", "\"v\"");
    server.check(conn, "GET none", "(nil)");
    server.line(conn, "SET k");
    server.line(conn, "SWAPDB 0 99");
    let text = info(&mut server, "INFO everything");
    for (name, value) in [
        ("connected_clients", "2"),
        ("total_connections_received", "2"),
        // The refused SET did not run, and INFO has not ended.
        ("total_commands_processed", "5"),
        ("keyspace_hits", "1"),
        ("keyspace_misses", "1"),
        ("total_error_replies", "2"),
        ("errorstat_ERR", "count=2"),
        ("rdb_changes_since_last_save", "2"),
        ("db0", "keys=2,expires=0,avg_ttl=0"),
        ("cmdstat_set", "calls=2,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"),
        ("cmdstat_swapdb", "calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1"),
    ] {
        assert_eq!(field(&text, name), value, "{name}");
    }
    let data: u64 = field(&text, "used_memory_dataset").parse().unwrap();
    let used: u64 = field(&text, "used_memory").parse().unwrap();
    assert!(data >= 2 * 8 && used > data, "{data} of {used}");
    server.check(conn, "CONFIG RESETSTAT", "OK");
    let text = info(&mut server, "INFO everything");
    for name in ["total_commands_processed", "keyspace_hits", "total_error_replies"] {
        assert!(["0", "1"].contains(&field(&text, name).as_str()), "{name}");
    }
    assert!(!text.contains("cmdstat_set") && !text.contains("errorstat_"));
    assert_eq!(field(&text, "db0"), "keys=2,expires=0,avg_ttl=0");
}

#[test]
fn the_present_rate_rises_and_falls() {
    let mut server = Server::default();
    let conn = server.connect();
    for _ in 0..40 {
        server.send(conn, &b"PING\r\n".repeat(25));
        server.advance_ms(50);
    }
    let text = info(&mut server, "INFO stats");
    assert_eq!(field(&text, "instantaneous_ops_per_sec"), "500");
    server.advance_ms(60_000);
    let text = info(&mut server, "INFO stats");
    assert_eq!(field(&text, "instantaneous_ops_per_sec"), "0");
    let text = info(&mut server, "INFO server");
    assert_eq!(field(&text, "uptime_in_seconds"), "62");
}

#[test]
fn late_expiry_shows_as_lag() {
    let mut server = Server::default();
    let conn = server.connect();
    server.check(conn, "SET k v PX 100", "OK");
    server.oversleep_ms(600);
    server.tick();
    let text = info(&mut server, "INFO");
    assert_eq!(field(&text, "expired_keys"), "1");
    let lag: u64 = field(&text, "orrery_expire_lag_max_ms").parse().unwrap();
    assert!((499..=500).contains(&lag), "{lag}");
}
