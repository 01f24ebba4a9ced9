//! HOTKEYS: collections as in Redis 8.6, and the report that is always there.

use orrery_engine::rng::Rng;
use orrery_engine::{ConnId, Instant, Seed, Stopwatch};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;

fn field<'a>(map: &'a Value, name: &str) -> &'a Value {
    let parts = map.elements();
    let place = parts.iter().step_by(2).position(|part| part.bytes() == name.as_bytes());
    &parts[2 * place.unwrap_or_else(|| panic!("no {name} in {map}")) + 1]
}

/// Sends commands of which four of five are for twenty of a hundred keys.
fn biased_load(server: &mut Server, conn: ConnId, commands: usize) {
    let mut rng = Rng::new(Seed(7), "load");
    for _ in 0..commands {
        let key = if rng.chance(4, 5) { rng.below(20) } else { 20 + rng.below(80) };
        server.send(conn, format!("SET key:{key} value\r\n").as_bytes());
    }
}

fn hot_among(keys: &[&Value]) -> usize {
    let number = |key: &Value| -> u64 {
        let text = String::from_utf8(key.bytes().to_vec()).unwrap();
        text["key:".len()..].parse().unwrap()
    };
    keys.iter().filter(|key| number(key) < 20).count()
}

#[test]
fn errors_and_states_are_those_of_redis() {
    let mut server = super::server();
    let conn = server.connect();
    for (line, expected) in [
        ("HOTKEYS GET", "(nil)"),
        ("HOTKEYS STOP", "(nil)"),
        ("HOTKEYS RESET", "OK"),
        ("HOTKEYS START", "ERR METRICS parameter is required"),
        ("HOTKEYS START METRICS 0", "ERR METRICS count must be > 0 and <= 2"),
        ("HOTKEYS START METRICS 3 CPU NET", "ERR METRICS count must be > 0 and <= 2"),
        (
            "HOTKEYS START METRICS 2 CPU",
            "ERR METRICS count does not match number of metric types provided",
        ),
        ("HOTKEYS START METRICS 1 CPU NET", "ERR syntax error"),
        ("HOTKEYS START METRICS 1 GPU", "ERR METRICS no valid metrics passed. Supported: CPU|NET"),
        ("HOTKEYS START METRICS 2 CPU CPU", "ERR METRICS CPU defined more than once!"),
        ("HOTKEYS START METRICS 2 NET NET", "ERR METRICS NET defined more than once!"),
        ("HOTKEYS START METRICS 1 CPU COUNT 0", "ERR COUNT must be between 1 and 64"),
        ("HOTKEYS START METRICS 1 CPU COUNT 65", "ERR COUNT must be between 1 and 64"),
        ("HOTKEYS START METRICS 1 CPU SAMPLE 0", "ERR SAMPLE ratio must be positive"),
        (
            "HOTKEYS START METRICS 1 CPU SLOTS 2 0 5",
            "ERR SLOTS parameter cannot be used in non-cluster mode",
        ),
        ("HOTKEYS START METRICS 2 GPU CPU", "OK"),
        ("HOTKEYS START METRICS 1 NET", "ERR hotkey tracking session already in progress"),
        ("HOTKEYS RESET", "ERR hotkey tracking session in progress, stop tracking first"),
        ("HOTKEYS STOP", "OK"),
        ("HOTKEYS RESET", "OK"),
        ("HOTKEYS GET", "(nil)"),
    ] {
        let reply = server.line(conn, line).to_string();
        assert!(reply.ends_with(expected), "{line}: {reply}");
    }
}

#[test]
fn hot_keys_are_found_by_bytes_and_time() {
    for sample in [1, 20] {
        let mut server = super::server();
        let conn = server.connect();
        let mut time = server.now().mono.0;
        server.set_stopwatch(Stopwatch::new(Box::new(move || {
            time += 3;
            Instant(time)
        })));
        let start = format!("HOTKEYS START METRICS 2 CPU NET SAMPLE {sample}");
        server.check(conn, &start, "OK");
        biased_load(&mut server, conn, 5_000);
        server.oversleep_ms(50);
        server.check(conn, "HOTKEYS STOP", "OK");
        server.send(conn, b"SET late 1\r\n");
        let found = server.line(conn, "HOTKEYS GET");
        let number = |name: &str| field(&found, name).to_string();
        assert_eq!(number("tracking-active"), "(integer) 0");
        assert_eq!(number("sample-ratio"), format!("(integer) {sample}"));
        assert_eq!(number("collection-duration-ms"), "(integer) 50");
        assert_eq!(number("collection-start-time-unix-ms"), "(integer) 1767225600000");
        for name in ["total-net-bytes", "total-cpu-time-user-ms", "total-cpu-time-sys-ms"] {
            assert!(number(name).starts_with("(integer) "), "{name}");
        }
        for name in ["by-cpu-time-us", "by-net-bytes"] {
            let keys: Vec<&Value> = field(&found, name).elements().iter().step_by(2).collect();
            assert_eq!(keys.len(), 10);
            assert!(hot_among(&keys) >= 9, "{found}");
        }
        // Three microseconds each, HOTKEYS START and STOP included.
        let total: u64 = number("all-commands-all-slots-us")["(integer) ".len()..].parse().unwrap();
        assert!((15_000..15_010).contains(&total), "{total}");
    }
}

#[test]
fn one_metric_has_its_fields_alone_and_a_duration_ends_by_itself() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "HOTKEYS START METRICS 1 NET DURATION 1 COUNT 2", "OK");
    server.line(conn, "EVAL \"return redis.call('set', 'x', 1)\" 0");
    server.line(conn, "MSET a 1 b 2 c 3");
    let found = server.line(conn, "HOTKEYS GET").to_string();
    assert!(found.contains("by-net-bytes") && !found.contains("cpu-time"), "{found}");
    let found = server.line(conn, "HOTKEYS GET");
    assert_eq!(field(&found, "by-net-bytes").elements().len(), 4);
    server.oversleep_ms(1_500);
    let found = server.line(conn, "HOTKEYS GET");
    assert_eq!(field(&found, "tracking-active").to_string(), "(integer) 0");
    assert_eq!(field(&found, "collection-duration-ms").to_string(), "(integer) 1000");
    server.check(conn, "HOTKEYS STOP", "(nil)");
    server.check(conn, "HOTKEYS START METRICS 1 CPU", "OK");
}

#[test]
fn the_report_is_always_there() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "CONFIG SET hotkeys-report-sample 10", "OK");
    server.check(conn, &format!("SET large {}", "x".repeat(5_000)), "OK");
    biased_load(&mut server, conn, 5_000);
    for _ in 0..100 {
        server.line(conn, "STRLEN large");
    }
    server.check(conn, "SELECT 1", "OK");
    let report = server.line(conn, "HOTKEYS REPORT");
    let samples: u64 =
        field(&report, "sampled-commands").to_string()["(integer) ".len()..].parse().unwrap();
    assert!((400..620).contains(&samples), "{samples}");
    for name in ["by-count", "by-net-bytes"] {
        let keys: Vec<&Value> =
            field(&report, name).elements().iter().map(|key| &key.elements()[1]).collect();
        assert_eq!(keys.len(), 10);
        let keys: Vec<&Value> = keys.into_iter().filter(|key| key.bytes() != b"large").collect();
        assert!(hot_among(&keys) >= 8, "{report}");
    }
    let largest = field(&report, "by-size-bytes").elements()[0].elements();
    assert_eq!((largest[0].to_string(), largest[1].bytes()), ("(integer) 0".into(), &b"large"[..]));
    let one = server.line(conn, "HOTKEYS REPORT COUNT 1");
    assert_eq!(field(&one, "by-count").elements().len(), 1);
    server.check(conn, "SELECT 0", "OK");
    server.check(conn, "DEL large", "(integer) 1");
    let report = server.line(conn, "HOTKEYS REPORT").to_string();
    assert!(!report.contains(" 50"), "what has gone is not large: {report}");
    server.check(conn, "HOTKEYS REPORT COUNT 0", "(error) ERR COUNT must be between 1 and 128");
}
