//! Requests as bytes and replies as values: a small reader of RESP2 and RESP3 for tests.
//!
//! Invariant: it shares no code with the engine, so that a mistake there cannot hide here.

use std::fmt;

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+OK`
    Simple(Vec<u8>),
    /// `-ERR ...`, without the minus
    Error(Vec<u8>),
    /// `:1`
    Integer(i64),
    /// `$3`
    Bulk(Vec<u8>),
    /// `$-1` or `_`
    Null,
    /// `*-1`
    NullArray,
    /// `*2`
    Array(Vec<Self>),
    /// `%1`
    Map(Vec<(Self, Self)>),
    /// `~2`
    Set(Vec<Self>),
    /// `>2`
    Push(Vec<Self>),
    /// `,1.5`: its text, because tests compare spellings
    Double(Vec<u8>),
    /// `#t`
    Boolean(bool),
    /// `=15`: format and text
    Verbatim(Vec<u8>, Vec<u8>),
    /// `(123`
    BigNumber(Vec<u8>),
}

/// The bytes are not a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl Value {
    /// Reads one reply off the front of `bytes`: the value and its length, or `None` if it is not
    /// all there.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        match reader.value() {
            Ok(value) => Ok(Some((value, reader.at))),
            Err(Stop::Incomplete) => Ok(None),
            Err(Stop::Malformed(why)) => Err(Malformed(why)),
        }
    }

    /// Reads whole replies.
    ///
    /// # Panics
    /// If the bytes are anything but whole replies.
    pub fn read_all(mut bytes: &[u8]) -> Vec<Self> {
        let mut values = Vec::new();
        while !bytes.is_empty() {
            match Self::read(bytes) {
                Ok(Some((value, len))) => {
                    values.push(value);
                    bytes = &bytes[len..];
                }
                other => panic!("{other:?} in {}", bytes.escape_ascii()),
            }
        }
        values
    }

    /// A bulk string.
    pub fn bulk(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(text.as_ref().to_vec())
    }

    /// A status.
    pub fn simple(text: &str) -> Self {
        Self::Simple(text.as_bytes().to_vec())
    }

    /// An error.
    pub fn error(text: &str) -> Self {
        Self::Error(text.as_bytes().to_vec())
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// The elements of an array, set or push.
    ///
    /// # Panics
    /// If it is none of them.
    #[track_caller]
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(values) | Self::Set(values) | Self::Push(values) => values,
            other => panic!("not an array: {other:?}"),
        }
    }

    /// The integer.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(value) => *value,
            other => panic!("not an integer: {other:?}"),
        }
    }

    /// The bytes of a string of any kind.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Simple(text) | Self::Bulk(text) | Self::Verbatim(_, text) => text,
            other => panic!("not a string: {other:?}"),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "{}", text.escape_ascii()),
            Self::Error(text) => write!(f, "(error) {}", String::from_utf8_lossy(text)),
            Self::Integer(value) => write!(f, "(integer) {value}"),
            Self::Bulk(text) => write!(f, "\"{}\"", text.escape_ascii()),
            Self::Null => write!(f, "(nil)"),
            Self::NullArray => write!(f, "(nil array)"),
            Self::Array(values) => write_list(f, values, ")", "(empty array)", indent),
            Self::Set(values) => write_list(f, values, "~", "(empty set)", indent),
            Self::Push(values) => write_list(f, values, ">", "(empty push)", indent),
            Self::Map(pairs) if pairs.is_empty() => write!(f, "(empty map)"),
            Self::Map(pairs) => {
                for (index, (key, value)) in pairs.iter().enumerate() {
                    if index > 0 {
                        write!(f, "\n{:indent$}", "")?;
                    }
                    write!(f, "{}# ", index + 1)?;
                    key.write(f, indent + 3)?;
                    write!(f, " => ")?;
                    value.write(f, indent + 6)?;
                }
                Ok(())
            }
            Self::Double(text) => write!(f, "(double) {}", text.escape_ascii()),
            Self::Boolean(value) => write!(f, "({value})"),
            Self::Verbatim(format, text) => {
                write!(f, "({}) {}", format.escape_ascii(), String::from_utf8_lossy(text))
            }
            Self::BigNumber(text) => write!(f, "(big number) {}", text.escape_ascii()),
        }
    }
}

/// As `redis-cli` shows it, more or less.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// A request as clients send it.
pub fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Splits a line into words as `redis-cli` does: white space separates, double quotes group and
/// know `\n`, `\r`, `\t`, `\"`, `\\` and `\xHH`.
///
/// # Panics
/// If a quote is not closed: the line is part of a test.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    loop {
        while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
        let Some(&first) = bytes.peek() else { return words };
        let mut word = Vec::new();
        if first != b'"' {
            while let Some(byte) = bytes.next_if(|byte| !byte.is_ascii_whitespace()) {
                word.push(byte);
            }
            words.push(word);
            continue;
        }
        bytes.next();
        loop {
            match bytes.next().expect("a quote is closed") {
                b'"' => break,
                b'\\' => match bytes.next().expect("an escape is whole") {
                    b'n' => word.push(b'\n'),
                    b'r' => word.push(b'\r'),
                    b't' => word.push(b'\t'),
                    b'x' => {
                        let mut digit = || {
                            let digit = bytes.next().expect("\\x has two digits");
                            char::from(digit).to_digit(16).expect("\\x has two digits") as u8
                        };
                        let high = digit();
                        word.push(high << 4 | digit());
                    }
                    other => word.push(other),
                },
                byte => word.push(byte),
            }
        }
        words.push(word);
    }
}

fn write_list(
    f: &mut fmt::Formatter<'_>,
    values: &[Value],
    mark: &str,
    empty: &str,
    indent: usize,
) -> fmt::Result {
    if values.is_empty() {
        return write!(f, "{empty}");
    }
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            write!(f, "\n{:indent$}", "")?;
        }
        let label = format!("{}{mark} ", index + 1);
        write!(f, "{label}")?;
        value.write(f, indent + label.len())?;
    }
    Ok(())
}

enum Stop {
    Incomplete,
    Malformed(String),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value, Stop> {
        let line = self.line()?;
        let Some((&kind, rest)) = line.split_first() else {
            return Err(Stop::Malformed("an empty line".to_owned()));
        };
        Ok(match kind {
            b'+' => Value::Simple(rest.to_vec()),
            b'-' => Value::Error(rest.to_vec()),
            b':' => Value::Integer(number(rest)?),
            b',' => Value::Double(rest.to_vec()),
            b'(' => Value::BigNumber(rest.to_vec()),
            b'_' => Value::Null,
            b'#' => match rest {
                b"t" => Value::Boolean(true),
                b"f" => Value::Boolean(false),
                _ => return Err(malformed("a boolean", rest)),
            },
            b'$' => match number(rest)? {
                -1 => Value::Null,
                len => Value::Bulk(self.block(len)?.to_vec()),
            },
            b'=' => {
                let len = number(rest)?;
                let block = self.block(len)?;
                match block.split_at_checked(4) {
                    Some((format, text)) => Value::Verbatim(format[..3].to_vec(), text.to_vec()),
                    None => return Err(malformed("a verbatim string", block)),
                }
            }
            b'*' => match number(rest)? {
                -1 => Value::NullArray,
                len => Value::Array(self.values(len)?),
            },
            b'~' => Value::Set(self.values(number(rest)?)?),
            b'>' => Value::Push(self.values(number(rest)?)?),
            b'%' => {
                let mut pairs = Vec::new();
                for _ in 0..number(rest)? {
                    pairs.push((self.value()?, self.value()?));
                }
                Value::Map(pairs)
            }
            _ => return Err(malformed("a reply", line)),
        })
    }

    fn values(&mut self, len: i64) -> Result<Vec<Value>, Stop> {
        (0..len).map(|_| self.value()).collect()
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(Stop::Incomplete)?;
        self.at += end + 2;
        Ok(&rest[..end])
    }

    fn block(&mut self, len: i64) -> Result<&'a [u8], Stop> {
        let len = usize::try_from(len).map_err(|_| Stop::Malformed(format!("length {len}")))?;
        let rest = &self.bytes[self.at..];
        let block = rest.get(..len + 2).ok_or(Stop::Incomplete)?;
        if !block.ends_with(b"\r\n") {
            return Err(malformed("the end of a block", block));
        }
        self.at += len + 2;
        Ok(&block[..len])
    }
}

fn number(text: &[u8]) -> Result<i64, Stop> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed("a number", text))
}

fn malformed(what: &str, found: &[u8]) -> Stop {
    Stop::Malformed(format!("not {what}: {}", found.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_is_read_and_shown() {
        let bytes = b"*8\r\n+OK\r\n-ERR no\r\n:-5\r\n$2\r\na\n\r\n_\r\n%1\r\n+k\r\n#t\r\n\
            ~1\r\n,1.5\r\n=6\r\ntxt:hi\r\n";
        let (value, len) = Value::read(bytes).expect("well formed").expect("complete");
        assert_eq!(len, bytes.len());
        let shown = "1) OK\n2) (error) ERR no\n3) (integer) -5\n4) \"a\\n\"\n5) (nil)\n\
            6) 1# k => (true)\n7) 1~ (double) 1.5\n8) (txt) hi";
        assert_eq!(value.to_string(), shown);
        for cut in 0..bytes.len() {
            assert_eq!(Value::read(&bytes[..cut]), Ok(None), "{cut}");
        }
        assert!(Value::read(b"?\r\n").is_err());
    }

    #[test]
    fn lines_are_split_into_words() {
        assert_eq!(
            words(r#"set  k "a b\x00\"" "" x"#),
            [b"set".to_vec(), b"k".to_vec(), b"a b\0\"".to_vec(), b"".to_vec(), b"x".to_vec()]
        );
    }
}
