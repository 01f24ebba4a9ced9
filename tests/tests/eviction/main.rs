//! Limits on memory through the front door: what is evicted, what is refused, who has to go.

mod clients;
mod differential;
mod keys;
mod model;
mod protection;
mod quality;

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::server_in_process::Server;

/// A server with these settings, and a client.
fn server(settings: &[(&str, &str)]) -> (Server, ConnId) {
    let mut config = Config::default();
    for (name, value) in settings {
        let words: Vec<&str> = value.split(' ').collect();
        config.set(name, &words).unwrap();
    }
    let mut server = Server::new(config, Seed(7));
    let conn = server.connect();
    (server, conn)
}

/// A field of INFO, as a number.
fn info(server: &mut Server, conn: ConnId, field: &str) -> u64 {
    let text = server.line(conn, "INFO").to_string();
    let start = text.find(&format!("{field}:")).unwrap_or_else(|| panic!("no {field} in {text}"));
    let value = &text[start + field.len() + 1..];
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().unwrap()
}

/// Sets the limit so many bytes above what is in use.
fn limit_above(server: &mut Server, conn: ConnId, more: usize) -> usize {
    let state = server.engine().state();
    let limit = state.memory_used() + more;
    server.check(conn, &format!("CONFIG SET maxmemory {limit}"), "OK");
    limit
}
