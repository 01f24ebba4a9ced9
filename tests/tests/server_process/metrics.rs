//! The endpoint for Prometheus: what it tells, and that scrapers cannot harm the server.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use crate::process::{PATIENCE, Server, command, expect, expect_last, free_port, run, talk};

/// A server with an endpoint, and the endpoint's port.
fn start() -> (Server, u16) {
    let port = free_port();
    (Server::start(&["--metrics-port", &port.to_string()]), port)
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the endpoint listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is possible");
    stream
}

/// Sends a request and reads the whole response: its head and its body.
fn ask(port: u16, request: &str) -> (String, String) {
    let mut stream = connect(port);
    stream.write_all(request.as_bytes()).expect("the endpoint reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the endpoint answers in text");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

/// All samples, by their names and labels as they are written.
fn scrape(port: u16) -> BTreeMap<String, f64> {
    let (head, body) = ask(port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let mut samples = BTreeMap::new();
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

#[test]
fn there_is_no_endpoint_unless_it_is_wanted() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let reply = b"*2\r\n$12\r\nmetrics-port\r\n$1\r\n0\r\n";
    talk(&mut client, b"CONFIG GET metrics-port\r\n", reply);
}

#[test]
fn figures_are_those_of_the_server() {
    let (server, port) = start();
    let mut client = server.connect();
    talk(
        &mut client,
        b"SET k v\r\nSET e v EX 100\r\nGET k\r\nGET no\r\n",
        b"+OK\r\n+OK\r\n$1\r\nv\r\n$-1\r\n",
    );
    talk(&mut client, b"SELECT 3\r\nSET k v\r\nSELECT 0\r\n", b"+OK\r\n+OK\r\n+OK\r\n");
    talk(&mut client, b"GET\r\n", b"-ERR wrong number of arguments for 'get' command\r\n");
    talk(&mut client, b"CONFIG SET maxmemory 100mb\r\n", b"+OK\r\n");
    let samples = scrape(port);
    for (name, value) in [
        ("redis_up", 1.0),
        ("redis_connected_clients", 1.0),
        ("redis_connections_received_total", 1.0),
        ("redis_commands_total{cmd=\"set\"}", 3.0),
        ("redis_commands_total{cmd=\"config|set\"}", 1.0),
        ("redis_commands_rejected_calls_total{cmd=\"get\"}", 1.0),
        ("redis_errors_total{err=\"ERR\"}", 1.0),
        ("redis_keyspace_hits_total", 1.0),
        ("redis_keyspace_misses_total", 1.0),
        ("redis_db_keys{db=\"db0\"}", 2.0),
        ("redis_db_keys_expiring{db=\"db0\"}", 1.0),
        ("redis_db_keys{db=\"db3\"}", 1.0),
        ("redis_db_keys{db=\"db15\"}", 0.0),
        ("redis_memory_max_bytes", 104_857_600.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} of {samples:#?}");
    }
    for name in [
        "redis_memory_used_bytes",
        "redis_memory_used_rss_bytes",
        "redis_net_input_bytes_total",
        "redis_commands_processed_total",
        "orrery_steps_total",
        "orrery_longest_step_seconds",
    ] {
        assert!(samples[name] > 0.0, "{name} of {samples:#?}");
    }
    assert!(samples.contains_key("orrery_expire_lag_seconds"));
}

#[test]
fn what_was_slow_hot_or_large_is_told_without_names_of_keys() {
    let (server, port) = start();
    let mut client = server.connect();
    let settings = b"CONFIG SET slowlog-log-slower-than 0 latency-monitor-threshold 1 \
        hotkeys-report-sample 1\r\n";
    talk(&mut client, settings, b"+OK\r\n");
    let secret = b"SET a-secret v\r\nGET a-secret\r\nGET a-secret\r\nGET other\r\n";
    talk(&mut client, secret, b"+OK\r\n$1\r\nv\r\n$1\r\nv\r\n$-1\r\n");
    // Long enough for an event.
    let script = b"local n = 0 while n < 3000000 do n = n + 1 end return n";
    client.write_all(&command(&[b"EVAL", script, b"0"])).unwrap();
    expect(&mut client, b":3000000\r\n");
    let samples = scrape(port);
    assert!(samples["redis_slowlog_length"] >= 4.0, "{samples:#?}");
    assert!(samples.contains_key("redis_slowlog_last_id"));
    assert!(samples["redis_last_slow_execution_duration_seconds"] > 0.0);
    let event = "{event_name=\"command\"}";
    assert!(samples[&format!("redis_latency_spike_last{event}")] > 1e9);
    let last = samples[&format!("redis_latency_spike_duration_seconds{event}")];
    assert!(last > 0.0 && last <= samples[&format!("orrery_latency_spike_max_seconds{event}")]);
    assert_eq!(samples["redis_latency_percentiles_usec_count{cmd=\"get\"}"], 3.0);
    for quantile in ["50", "99", "99.9"] {
        let name = format!("redis_latency_percentiles_usec{{cmd=\"get\",quantile=\"{quantile}\"}}");
        assert!(samples[&name] > 0.0, "{name}");
    }
    assert_eq!(samples["orrery_hot_key_commands{rank=\"1\"}"], 3.0);
    assert_eq!(samples["orrery_hot_key_commands{rank=\"2\"}"], 1.0);
    assert!(samples["orrery_hot_key_bytes{rank=\"1\"}"] > 0.0);
    assert!(samples.keys().all(|name| !name.contains("a-secret")), "{samples:#?}");
    talk(&mut client, b"CONFIG SET metrics-key-names yes\r\n", b"+OK\r\n");
    let named = "orrery_hot_key_commands{rank=\"1\",db=\"db0\",key=\"a-secret\"}";
    assert_eq!(scrape(port)[named], 3.0);
}

#[test]
fn a_scrape_changes_nothing() {
    let (server, port) = start();
    talk(&mut server.connect(), b"PING\r\n", b"+PONG\r\n");
    // Without clients the server has nothing to do, unless scrapes make it do something.
    loop {
        let before = scrape(port);
        if before["redis_connected_clients"] == 0.0 {
            let after = scrape(port);
            for name in ["orrery_steps_total", "redis_commands_processed_total"] {
                assert_eq!(before[name], after[name], "{name}");
            }
            return;
        }
    }
}

#[test]
fn whatever_else_is_asked_is_answered_too() {
    let (_server, port) = start();
    for (request, status) in [
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET /metrics?x=y HTTP/1.0\r\n\r\n", "200 OK"),
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd", "405 Method Not Allowed"),
        ("*1\r\n$4\r\nPING\r\n", "400 Bad Request"),
    ] {
        let (head, body) = ask(port, request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {head}");
        assert_eq!(body.is_empty(), request.starts_with("HEAD"), "{request}");
    }
    let endless = format!("GET /metrics HTTP/1.1\r\nX: {}", "y".repeat(20_000));
    assert!(ask(port, &endless).0.starts_with("HTTP/1.1 431 "));
}

#[test]
fn scrapers_that_say_nothing_give_way() {
    let (server, port) = start();
    let silent: Vec<TcpStream> = (0..100).map(|_| connect(port)).collect();
    let mut slow = connect(port);
    slow.write_all(b"GET /metr").unwrap();
    assert_eq!(scrape(port)["redis_up"], 1.0);
    // The oldest were closed at once, the last are when their time is over.
    let start = Instant::now();
    for mut stream in silent {
        let mut rest = Vec::new();
        // One that is aborted may be closed with a reset.
        drop(stream.read_to_end(&mut rest));
        assert!(rest.is_empty());
    }
    expect_last(&mut slow, b"");
    assert!(start.elapsed() < PATIENCE);
    talk(&mut server.connect(), b"PING\r\n", b"+PONG\r\n");
}

#[test]
fn the_endpoint_moves_and_goes_at_run_time() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let [first, second] = [free_port(), free_port()];
    for port in [first, second] {
        talk(&mut client, format!("CONFIG SET metrics-port {port}\r\n").as_bytes(), b"+OK\r\n");
        assert_eq!(scrape(port)["redis_up"], 1.0);
    }
    assert!(TcpStream::connect(("127.0.0.1", first)).is_err());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let request = format!("CONFIG SET metrics-port {}\r\n", taken.local_addr().unwrap().port());
    let refused = b"-ERR CONFIG SET failed (possibly related to argument 'metrics-port') - Unable \
                    to listen on this port. Check server logs.\r\n";
    talk(&mut client, request.as_bytes(), refused);
    assert_eq!(scrape(second)["redis_up"], 1.0, "it is where it was");
    talk(&mut client, b"CONFIG SET metrics-port 0\r\n", b"+OK\r\n");
    assert!(TcpStream::connect(("127.0.0.1", second)).is_err());
}

#[test]
fn an_endpoint_that_cannot_be_had_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["--port", &free_port().to_string(), "--metrics-port", &port], "");
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        log.contains(&format!("Failed listening on port {port} (metrics), aborting.")),
        "{log}"
    );
    let output = run(&["--port", "0", "--metrics-port", &free_port().to_string()], "");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(log.contains("Configured to not listen anywhere, exiting."), "{log}");
}
