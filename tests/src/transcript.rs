//! Conversations written down: a script of commands becomes a text with every reply.
//!
//! A script has one command a line, as for `redis-cli`. Lines that start with `#` are copied; empty
//! ones too. Directives: `@client a` makes or chooses a client (the first is `main`), `@sleep 1500`
//! lets so many milliseconds pass, `@hello 3` changes the protocol version, `@read` shows what the
//! client has got without asking, `@close` ends its connection.

use std::collections::BTreeMap;
use std::fmt::Write;

use orrery_engine::ConnId;

use crate::resp_value::{Value, encode, words};
use crate::server_in_process::Server;

/// Runs a script on a new server and returns the transcript.
///
/// # Panics
/// If a directive is unknown or a reply is not well formed.
pub fn transcript(script: &str) -> String {
    transcript_on(&mut Server::default(), script)
}

/// Runs a script on a server.
///
/// # Panics
/// If a directive is unknown or a reply is not well formed.
pub fn transcript_on(server: &mut Server, script: &str) -> String {
    let mut clients: BTreeMap<String, ConnId> = BTreeMap::new();
    let mut current = server.connect();
    clients.insert("main".to_owned(), current);
    let mut text = String::new();
    for line in script.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            writeln!(text, "{line}").expect("a String takes everything");
            continue;
        }
        if let Some(directive) = line.strip_prefix('@') {
            writeln!(text, "@{directive}").expect("a String takes everything");
            match directive.split_once(' ') {
                Some(("sleep", millis)) => {
                    server.advance_ms(millis.parse().expect("milliseconds"));
                }
                Some(("client", name)) => {
                    current = *clients.entry(name.to_owned()).or_insert_with(|| server.connect());
                }
                Some(("hello", version)) => {
                    let reply = server.call(current, &["HELLO", version]);
                    assert!(!reply.is_error(), "HELLO {version} gives {reply}");
                }
                None if directive == "read" => {
                    for value in Value::read_all(&server.output(current)) {
                        writeln!(text, "{value}").expect("a String takes everything");
                    }
                }
                None if directive == "close" => {
                    server.disconnect(current);
                    clients.retain(|_, conn| *conn != current);
                }
                _ => panic!("unknown directive {directive}"),
            }
            continue;
        }
        writeln!(text, "> {line}").expect("a String takes everything");
        let bytes = server.send(current, &encode(&words(line)));
        for value in Value::read_all(&bytes) {
            writeln!(text, "{value}").expect("a String takes everything");
        }
        if server.is_closed(current) {
            text.push_str("(closed)\n");
        }
    }
    text
}
