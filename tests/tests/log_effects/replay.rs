//! An engine that is fed with a log.

use orrery_engine::{Config, Seed};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;

use crate::records::Record;

/// Feeds a log to an empty engine with other random numbers, when the clock is that of `server`.
/// The error is a record that is refused.
pub(crate) fn replayed(server: &Server, config: &Config, log: &[u8]) -> Result<Server, String> {
    let mut replica = Server::new(Config { databases: 16, ..config.clone() }, Seed(77));
    replica.oversleep_ms(server.now().mono.since(replica.now().mono).as_millis());
    let client = replica.connect();
    replica.hold_expiry(true);
    for record in Record::read_all(log) {
        let reply = replica.send(client, &orrery_tests::resp_value::encode(&record.0));
        let replies = Value::read_all(&reply);
        if replies.len() != 1 || replies.iter().any(has_error) {
            return Err(format!("{} gets {}", record.shown(0), reply.escape_ascii()));
        }
    }
    replica.hold_expiry(false);
    Ok(replica)
}

fn has_error(value: &Value) -> bool {
    value.is_error() || matches!(value, Value::Array(all) if all.iter().any(has_error))
}

/// What two servers hold, where they do not hold the same.
pub(crate) fn difference(server: &mut Server, replica: &mut Server) -> Option<String> {
    if server.engine().digest() == replica.engine().digest() {
        return None;
    }
    let (ours, copied) = (contents(server), contents(replica));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (ours, copied) = (lines(&ours), lines(&copied));
    let only = |these: &[String], those: &[String]| {
        let lacking = these.iter().filter(|line| !those.contains(line)).cloned();
        lacking.collect::<Vec<_>>().join("\n")
    };
    Some(format!(
        "the server alone has\n{}\nthe fed one alone has\n{}",
        only(&ours, &copied),
        only(&copied, &ours)
    ))
}

/// Every key with its deadline and what it holds, a line each.
fn contents(server: &mut Server) -> String {
    let client = server.connect();
    let mut lines = Vec::new();
    for db in 0..16 {
        server.line(client, &format!("SELECT {db}"));
        let keys = server.line(client, "KEYS *");
        for key in keys.elements() {
            let mut ask = |words: &[&str]| {
                let mut words: Vec<Vec<u8>> = words.iter().map(|it| it.as_bytes().into()).collect();
                let at = words.iter().position(|word| word == b"KEY").expect("a place");
                words[at] = key.bytes().to_vec();
                server.call(client, &words).to_string().replace('\n', " ")
            };
            let (kind, deadline) = (ask(&["TYPE", "KEY"]), ask(&["PEXPIRETIME", "KEY"]));
            let value = match kind.as_str() {
                "string" => ask(&["GET", "KEY"]),
                "list" => ask(&["LRANGE", "KEY", "0", "-1"]),
                "set" => ask(&["SORT", "KEY", "ALPHA"]),
                "zset" => ask(&["ZRANGE", "KEY", "0", "-1", "WITHSCORES"]),
                "hash" => ask(&["HGETALL", "KEY"]),
                _ => ask(&["XINFO", "STREAM", "KEY", "FULL", "COUNT", "0"]),
            };
            lines.push(format!("{db} {key} {kind} {deadline} {value}"));
        }
    }
    lines.sort();
    lines.join("\n")
}
