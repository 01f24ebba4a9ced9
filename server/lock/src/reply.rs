//! What servers reply to commands that are no requests of a lock's state machine.
//!
//! Invariant: no bytes make it panic or use more memory than they have themselves.

/// A reply has at most so many bytes: INFO is the longest that is asked for.
pub(crate) const BYTES_MAX: usize = 512 * 1024;
/// And so many elements, in all its arrays together.
const ELEMENTS_MAX: usize = 4096;
const DEPTH_MAX: u32 = 8;

/// A reply in RESP2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Vec<u8>),
    Error(Vec<u8>),
    Number(i64),
    Null,
    Array(Vec<Self>),
}

impl Value {
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Whoever is there speaks something else, or too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Odd;

/// Reads the reply at the front, with its bytes; `None`: it is not whole yet.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Value, usize)>, Odd> {
    let mut reader = Reader { bytes, at: 0, elements: 0 };
    match reader.value(0)? {
        Some(value) => Ok(Some((value, reader.at))),
        None if bytes.len() >= BYTES_MAX => Err(Odd),
        None => Ok(None),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    elements: usize,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.at += end + 2;
        Some(&rest[..end])
    }

    fn value(&mut self, depth: u32) -> Result<Option<Value>, Odd> {
        let Some(line) = self.line() else { return Ok(None) };
        let (kind, rest) = line.split_first().ok_or(Odd)?;
        let number = || str::from_utf8(rest).ok()?.parse::<i64>().ok();
        Ok(match kind {
            b'+' => Some(Value::Text(rest.to_vec())),
            b'-' => Some(Value::Error(rest.to_vec())),
            b':' => Some(Value::Number(number().ok_or(Odd)?)),
            b'$' => self.bulk(number().ok_or(Odd)?)?,
            b'*' => self.array(number().ok_or(Odd)?, depth)?,
            _ => return Err(Odd),
        })
    }

    fn bulk(&mut self, len: i64) -> Result<Option<Value>, Odd> {
        if len == -1 {
            return Ok(Some(Value::Null));
        }
        let len = usize::try_from(len).ok().filter(|&len| len <= BYTES_MAX).ok_or(Odd)?;
        let Some(text) = self.bytes.get(self.at..self.at + len + 2) else { return Ok(None) };
        self.at += len + 2;
        let text = text.strip_suffix(b"\r\n").ok_or(Odd)?;
        Ok(Some(Value::Text(text.to_vec())))
    }

    fn array(&mut self, len: i64, depth: u32) -> Result<Option<Value>, Odd> {
        if len == -1 {
            return Ok(Some(Value::Null));
        }
        let len = usize::try_from(len).map_err(|_| Odd)?;
        self.elements = self.elements.saturating_add(len);
        if self.elements > ELEMENTS_MAX || depth >= DEPTH_MAX {
            return Err(Odd);
        }
        let mut values = Vec::new();
        for _ in 0..len {
            let Some(value) = self.value(depth + 1)? else { return Ok(None) };
            values.push(value);
        }
        Ok(Some(Value::Array(values)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_when_they_are_whole() {
        let bytes = b"*4\r\n:-7\r\n$3\r\na\r\n\r\n*-1\r\n$-1\r\n+next\r\n";
        let text = Value::Text(b"a\r\n".to_vec());
        let whole = Value::Array(vec![Value::Number(-7), text, Value::Null, Value::Null]);
        let len = bytes.len() - b"+next\r\n".len();
        for cut in 0..len {
            assert_eq!(read(&bytes[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(read(bytes), Ok(Some((whole, len))));
        assert_eq!(read(b"-ERR x\r\n"), Ok(Some((Value::Error(b"ERR x".to_vec()), 8))));
    }

    #[test]
    fn what_no_server_says_is_odd_and_so_is_what_is_too_much() {
        for odd in
            [&b"HTTP/1.1 400\r\n"[..], b"\r\n", b":x\r\n", b"$-2\r\n", b"$1\r\nabc", b"*-5\r\n"]
        {
            assert_eq!(read(odd), Err(Odd), "{}", odd.escape_ascii());
        }
        let array = |len: usize| format!("*{len}\r\n").into_bytes();
        assert_eq!(read(&array(ELEMENTS_MAX)), Ok(None));
        assert_eq!(read(&array(ELEMENTS_MAX + 1)), Err(Odd));
        let nested = |depth: usize| b"*1\r\n".repeat(depth);
        assert_eq!(read(&nested(DEPTH_MAX as usize)), Ok(None));
        assert_eq!(read(&nested(DEPTH_MAX as usize + 1)), Err(Odd));
        let text = |len: usize| format!("${len}\r\n").into_bytes();
        assert_eq!(read(&text(BYTES_MAX)), Ok(None));
        assert_eq!(read(&text(BYTES_MAX + 1)), Err(Odd));
        assert_eq!(read(&[b'+'; BYTES_MAX - 1]), Ok(None));
        assert_eq!(read(&[b'+'; BYTES_MAX]), Err(Odd));
    }
}
