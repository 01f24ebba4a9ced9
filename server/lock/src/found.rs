//! What lies under a lock's name: a lock of this library, or something else.
//!
//! A key that somebody else has set looks like a lock that is taken, for ever if it has no time to
//! live. Who waits in vain is told.

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

use crate::hub::Hub;
use crate::reply::Value;

/// Shown of a foreign value.
const SHOWN_BYTES: usize = 64;

/// What lies under a lock's name on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The server.
    pub server: String,
    /// What it has.
    pub what: What,
}

impl Found {
    /// Whether it is something that this library has not put there.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self.what, What::ForeignValue { .. } | What::ForeignType(_))
    }
}

/// What there is under a lock's name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Nothing.
    Free,
    /// A lock of this library, for so long.
    Held(Duration),
    /// A string that is no token of this library.
    ForeignValue {
        /// Its beginning.
        value: Vec<u8>,
        /// How long it will be there; `None`: until somebody deletes it.
        left: Option<Duration>,
    },
    /// Something that is no string.
    ForeignType(String),
    /// The server does not answer.
    Unknown,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.server)?;
        match &self.what {
            What::Free => f.write_str("the lock is free"),
            What::Held(left) => write!(f, "somebody has it, for {left:?} if it is not extended"),
            What::ForeignValue { value, left } => {
                write!(f, "no lock but a foreign value lies there, \"{}\"", value.escape_ascii())?;
                match left {
                    Some(left) => write!(f, ", for {left:?}"),
                    None => f.write_str(", without a time to live: it must be deleted by hand"),
                }
            }
            What::ForeignType(kind) => write!(f, "no lock but a {kind} lies there"),
            What::Unknown => f.write_str("the server does not answer"),
        }
    }
}

pub(crate) async fn look(
    hub: &Hub,
    servers: impl Iterator<Item = String>,
    key: &[u8],
    patience: Duration,
) -> Vec<Found> {
    let ask = |node: usize| {
        let words: [&[&[u8]]; 3] = [&[b"TYPE", key], &[b"GET", key], &[b"PTTL", key]];
        words.map(|words| hub.command(node, words))
    };
    let asked: Vec<_> = servers.enumerate().map(|(node, server)| (server, ask(node))).collect();
    let mut found = Vec::new();
    for (server, answers) in asked {
        let mut said = Vec::new();
        for answer in answers {
            said.extend(timeout(patience, answer).await.ok().and_then(Result::ok).flatten());
        }
        let what = if let [kind, value, left] = &said[..] {
            what_is(kind, value, left)
        } else {
            What::Unknown
        };
        found.push(Found { server, what });
    }
    found
}

fn what_is(kind: &Value, value: &Value, left: &Value) -> What {
    let left = left.number().and_then(|left| u64::try_from(left).ok()).map(Duration::from_millis);
    match (kind.text(), value) {
        (Some(b"none"), _) | (Some(b"string"), Value::Null) => What::Free,
        (Some(b"string"), Value::Text(value)) => match left {
            Some(left) if is_token(value) => What::Held(left),
            _ => {
                let value = value[..value.len().min(SHOWN_BYTES)].to_vec();
                What::ForeignValue { value, left }
            }
        },
        (Some(kind), _) if kind != b"string" => {
            What::ForeignType(String::from_utf8_lossy(kind).into_owned())
        }
        _ => What::Unknown,
    }
}

/// Whether a value is spelled as the tokens of this library are.
fn is_token(value: &[u8]) -> bool {
    let is_hex = |digits: &[u8]| {
        !digits.is_empty() && digits.iter().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    };
    match value.split_at_checked(32) {
        Some((client, [b'-', attempt @ ..])) => {
            is_hex(client) && is_hex(attempt) && attempt.len() <= 16
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orrery_lock_machine::Token;

    #[test]
    fn tokens_are_told_from_what_others_write() {
        let token = Token { client: u128::MAX, attempt: u64::MAX }.to_string();
        assert!(is_token(token.as_bytes()));
        let longer = format!("{token}0");
        let uuid = b"550e8400-e29b-41d4-a716-446655440000";
        for foreign in [&b""[..], b"1", uuid, &token.as_bytes()[..33], longer.as_bytes()] {
            assert!(!is_token(foreign), "{}", foreign.escape_ascii());
        }
        let text = |text: &str| Value::Text(text.into());
        let what = |kind, value: Value, left| what_is(&text(kind), &value, &Value::Number(left));
        assert_eq!(what("none", Value::Null, -2), What::Free);
        assert_eq!(what("string", text(&token), 70), What::Held(Duration::from_millis(70)));
        let foreign = What::ForeignValue { value: b"mine".to_vec(), left: None };
        assert_eq!(what("string", text("mine"), -1), foreign);
        let found = Found { server: "host:1".into(), what: foreign };
        assert!(found.is_foreign() && found.to_string().contains("\"mine\", without a time"));
        let wrong = Value::Error(b"WRONGTYPE".to_vec());
        assert_eq!(what("list", wrong.clone(), -1), What::ForeignType("list".into()));
        assert_eq!(what_is(&wrong, &wrong, &wrong), What::Unknown);
    }
}
