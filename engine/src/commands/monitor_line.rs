//! MONITOR: every command as a line, for those who watch.
//!
//! Invariant: while nobody watches, no line is made.

use super::Cx;
use super::redact::{REDACTED, is_secret};
use crate::args::Args;
use crate::input::Origin;
use crate::session::Session;

/// Sends the line of the client's command to all who watch.
#[cold]
pub(super) fn feed(cx: &mut Cx<'_>, args: Args<'_>) {
    let line = line(cx, args);
    let limits = cx.state.config.output_limits;
    for &conn in &cx.state.observer.monitors {
        // It has just asked for silence, or left.
        if conn == cx.session.id && (cx.session.is_muted() || cx.session.closing) {
            continue;
        }
        cx.state.sessions.post_line(conn, &line, &limits);
    }
}

/// `+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`, with the time of the step.
fn line(cx: &Cx<'_>, args: Args<'_>) -> Vec<u8> {
    let wall = cx.now.wall.0;
    let client = client(cx.session);
    let (secs, micros, db) = (wall / 1_000_000, wall % 1_000_000, cx.session.db);
    let mut line = format!("+{secs}.{micros:06} [{db} {client}]").into_bytes();
    for (index, word) in args.from(0).enumerate() {
        line.push(b' ');
        let word = if is_secret(cx.row, args, index) { REDACTED } else { word };
        quote(&mut line, word);
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn client(session: &Session) -> String {
    match &session.origin {
        _ if session.is_script => "lua".to_owned(),
        Origin::Unix { path } => format!("unix:{path}"),
        Origin::Tcp { .. } | Origin::Tls { .. } => session.address(),
    }
}

/// Appends a word in double quotes with Redis's escapes.
fn quote(line: &mut Vec<u8>, word: &[u8]) {
    line.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn bytes_that_cannot_be_printed_are_escaped() {
        let mut line = Vec::new();
        quote(&mut line, b"a \"\\\n\r\t\x07\x08\x00\x7f\xff");
        assert_eq!(line, br#""a \"\\\n\r\t\a\b\x00\x7f\xff""#);
    }
}
