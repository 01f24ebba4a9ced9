//! Values and replies in a history.
//!
//! A value is bytes, as in Redis. In JSON it is a string when it is UTF-8 and `{"hex": "..."}`
//! otherwise, so that every value survives a round trip.

use std::fmt;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A key or a value: any bytes.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(Box<[u8]>);

impl Value {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice())
    }
}

impl fmt::Display for Value {
    /// Quoted, and cut in the middle when long: reports are for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 48;
        if self.0.len() <= SHOWN {
            return write!(f, "\"{}\"", self.0.escape_ascii());
        }
        let (head, tail) = (&self.0[..SHOWN / 2], &self.0[self.0.len() - SHOWN / 2..]);
        write!(f, "\"{}...{}\" ({} bytes)", head.escape_ascii(), tail.escape_ascii(), self.0.len())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        let mut hex = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            hex.push_str(&format!("{byte:02x}"));
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("hex", &hex)?;
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Hex { hex: String },
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self(text.into_bytes().into_boxed_slice())),
            Written::Hex { hex } => {
                let bytes: Option<Vec<u8>> = (hex.len() % 2 == 0)
                    .then(|| hex.as_bytes().chunks_exact(2).map(hex_byte).collect())
                    .flatten();
                bytes.map(Self::from).ok_or_else(|| D::Error::custom("not hexadecimal"))
            }
        }
    }
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// `+OK`, or success without a value.
    Done,
    /// No value.
    Nil,
    /// An integer.
    Int(i64),
    /// A string.
    Bulk(Value),
    /// The replies of a command on several keys, or of EXEC.
    Array(Vec<Self>),
    /// An error that says that the command took no effect, such as INCR on text.
    Error(String),
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("OK"),
            Self::Nil => f.write_str("nil"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Bulk(value) => write!(f, "{value}"),
            Self::Error(text) => write!(f, "error {text:?}"),
            Self::Array(replies) => {
                f.write_str("[")?;
                for (index, reply) in replies.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{reply}")?;
                }
                f.write_str("]")
            }
        }
    }
}
