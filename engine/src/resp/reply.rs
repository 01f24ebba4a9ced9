//! Writing replies, in the protocol version that the client chose.
//!
//! A handler writes what it means (a map, a null, a double); the writer knows how each protocol
//! version spells it.

use crate::error::Error;

/// The protocol version of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// What a client speaks before HELLO.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Appends replies to a client's output.
#[derive(Debug, Default)]
pub struct Reply {
    /// The bytes so far.
    pub out: Vec<u8>,
    /// The spelling to use.
    pub protocol: Protocol,
}

impl Reply {
    /// A status such as `+OK`. `text` must have no line end.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a status is one line");
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// An error. Line ends inside its text become spaces, as in Redis.
    pub fn error(&mut self, error: &Error) {
        self.error_text(&error.message());
    }

    /// An error from its text, code word first.
    pub fn error_text(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// An error whose text quotes bytes of the client that may be anything.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.out.push(b'-');
        let shown = text.iter().map(|&byte| match byte {
            b'\r' | b'\n' => b' ',
            _ => byte,
        });
        self.out.extend(shown);
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        match value {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => self.header(b':', value),
        }
    }

    /// A count or length as an integer.
    pub fn count(&mut self, value: usize) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// A binary-safe string.
    pub fn bulk(&mut self, value: &[u8]) {
        self.out.reserve(value.len() + 16);
        self.header(b'$', value.len() as i64);
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A string that is known to be text.
    pub fn text(&mut self, value: &str) {
        self.bulk(value.as_bytes());
    }

    /// An integer spelled as a string, as GET answers for a counter.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Nothing there.
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Nothing there, where an array was asked for.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// A bulk string or null.
    pub fn bulk_or_null(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bulk(value),
            None => self.null(),
        }
    }

    /// Announces an array of `len` replies, which must follow.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// Announces a map of `len` pairs, which must follow. In RESP2 it is a flat array.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', 2 * len as i64),
            Protocol::Resp3 => self.header(b'%', len as i64),
        }
    }

    /// Announces a set of `len` members, which must follow. In RESP2 it is an array.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'~', len as i64),
        }
    }

    /// Announces an out-of-band message of `len` parts. In RESP2 it is an array.
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'>', len as i64),
        }
    }

    /// A truth value. In RESP2 it is 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        match self.protocol {
            Protocol::Resp2 => self.integer(i64::from(value)),
            Protocol::Resp3 => {
                self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" })
            }
        }
    }

    /// A double. In RESP2 it is a bulk string.
    pub fn double(&mut self, value: f64) {
        let text = crate::value::number::format_double(value);
        match self.protocol {
            Protocol::Resp2 => self.text(&text),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Text for a person to read (`txt`, `mkd`). In RESP2 it is a bulk string.
    pub fn verbatim(&mut self, format: &str, value: &str) {
        debug_assert_eq!(format.len(), 3, "a verbatim format has three letters");
        match self.protocol {
            Protocol::Resp2 => self.text(value),
            Protocol::Resp3 => {
                self.header(b'=', value.len() as i64 + 4);
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(value.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// An array of texts.
    pub fn texts<T: AsRef<str>>(&mut self, values: &[T]) {
        self.array(values.len());
        for value in values {
            self.text(value.as_ref());
        }
    }

    fn header(&mut self, kind: u8, value: i64) {
        self.out.push(kind);
        if let digit @ 0..=9 = value {
            self.out.extend_from_slice(&[b'0' + digit as u8, b'\r', b'\n']);
            return;
        }
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}
