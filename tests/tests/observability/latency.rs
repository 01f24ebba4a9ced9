//! LATENCY: events, graphs, advice, and how often commands took how long.

use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::words;

#[test]
fn replies_without_events_are_those_of_a_real_redis() {
    let Some(redis) = RealRedis::start("latency") else { return };
    let mut real = redis.connect();
    let mut server = super::server();
    let conn = server.connect();
    for line in [
        "LATENCY LATEST",
        "LATENCY HISTORY command",
        "LATENCY RESET",
        "LATENCY RESET command",
        "LATENCY GRAPH command",
        "LATENCY HISTOGRAM nosuch",
        "LATENCY LATEST x",
        "LATENCY NOSUCH",
        "LATENCY GRAPH",
        "CONFIG SET latency-tracking no",
        "CONFIG RESETSTAT",
        "LATENCY HISTOGRAM",
        "INFO latencystats",
    ] {
        assert_eq!(server.line(conn, line), real.call(&words(line)), "{line}");
    }
}

#[test]
fn events_of_several_seconds() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "DEBUG SLEEP 1", "OK");
    server.check(conn, "LATENCY LATEST", "(empty array)");
    let nothing = server.line(conn, "LATENCY DOCTOR").to_string();
    assert!(nothing.contains("latency-monitor-threshold is 0"), "{nothing}");
    server.check(conn, "CONFIG SET latency-monitor-threshold 200", "OK");
    for (sleep, pause_ms) in [("0.3", 0), ("0.1", 1_100), ("0.5", 0), ("0.4", 60_000)] {
        server.check(conn, &format!("DEBUG SLEEP {sleep}"), "OK");
        server.advance_ms(pause_ms);
    }
    server.check(conn, "DEBUG SLEEP 0.25", "OK");
    server.check(
        conn,
        "LATENCY HISTORY command",
        "1) 1) (integer) 1767225600\n   2) (integer) 300\n\
         2) 1) (integer) 1767225601\n   2) (integer) 500\n\
         3) 1) (integer) 1767225661\n   2) (integer) 250",
    );
    server.check(
        conn,
        "LATENCY LATEST",
        "1) 1) \"command\"\n   2) (integer) 1767225661\n   3) (integer) 250\n   4) (integer) 500",
    );
    let graph = String::from_utf8(server.line(conn, "LATENCY GRAPH command").bytes().to_vec());
    let expected = format!(
        "command - high 500 ms, low 250 ms (all time high 500 ms)\n{}\n \
         # \n | \n | \n#|_\n   \n110\nmms\n",
        "-".repeat(80)
    );
    assert_eq!(graph.unwrap(), expected);
    let doctor = server.line(conn, "LATENCY DOCTOR").to_string();
    assert!(doctor.contains("1. command: 3 latency spikes (average 350ms"), "{doctor}");
    server.check(conn, "LATENCY RESET Command nosuch", "(integer) 1");
    server.check(conn, "LATENCY LATEST", "(empty array)");
    let none = server.line(conn, "LATENCY DOCTOR").to_string();
    assert!(none.contains("Nothing has taken 200 ms or longer"), "{none}");
}

#[test]
fn durations_are_counted_by_command() {
    let mut server = super::server();
    let conn = server.connect();
    server.check(conn, "CONFIG RESETSTAT", "OK");
    for line in ["DEBUG SLEEP 0.001", "DEBUG SLEEP 0.0005", "DEBUG SLEEP 0.001"] {
        server.check(conn, line, "OK");
    }
    server.line(conn, "GET a");
    server.line(conn, "CLIENT ID");
    server.check(
        conn,
        "LATENCY HISTOGRAM debug",
        "1) \"debug\"\n2) 1) \"calls\"\n   2) (integer) 3\n   3) \"histogram_usec\"\n   \
         4) 1) (integer) 528\n      2) (integer) 1\n      3) (integer) 1056\n      4) (integer) 3",
    );
    let some = server.line(conn, "LATENCY HISTOGRAM nosuch get client set");
    let names: Vec<String> = some.elements().iter().step_by(2).map(ToString::to_string).collect();
    assert_eq!(names, ["\"get\"", "\"client|id\""]);
    let all = server.line(conn, "LATENCY HISTOGRAM");
    assert_eq!(all.elements().len(), 2 * 5, "{all}");
    let info = String::from_utf8(server.line(conn, "INFO latencystats").bytes().to_vec()).unwrap();
    assert!(info.starts_with("# Latencystats\r\n"), "{info}");
    assert!(info.contains("latency_percentiles_usec_get:p50=0.001,p99=0.001,p99.9=0.001\r\n"));
    assert!(info.contains("latency_percentiles_usec_debug:p50=1003.519,p99=1003.519,"), "{info}");
    assert!(info.contains("latency_percentiles_usec_client|id:"), "{info}");
    server.check(conn, "CONFIG SET latency-tracking-info-percentiles \"0 100\"", "OK");
    let info = server.line(conn, "INFO latencystats").to_string();
    assert!(info.contains("_debug:p0=501.759,p100=1003.519"), "{info}");
    server.check(conn, "CONFIG SET latency-tracking no", "OK");
    server.check(conn, "CONFIG RESETSTAT", "OK");
    server.line(conn, "GET a");
    server.check(conn, "LATENCY HISTOGRAM", "(empty array)");
}
