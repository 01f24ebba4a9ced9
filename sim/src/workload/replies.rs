//! Replies as clients read them.
//!
//! Invariant: a reply is taken only when all of it is there; what is no reply to any command here
//! is kept as it is, for the report.

/// Arrays inside arrays, at most.
const DEPTH_MAX: usize = 8;

/// A reply as its bytes say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Integer(i64),
    Bulk(&'a [u8]),
    Nil,
    /// A map is an array of its names and values.
    Array(Items<'a>),
    /// A message that answers nothing.
    Push(Items<'a>),
    /// Not a reply to any command here.
    Odd(&'a [u8]),
}

/// The elements of an array, all of which are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Items<'a> {
    left: usize,
    bytes: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Said<'a>;

    fn next(&mut self) -> Option<Said<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (said, len) = parse_reply(self.bytes)?;
        self.bytes = &self.bytes[len..];
        Some(said)
    }
}

impl<'a> Said<'a> {
    /// The elements, if it is an array.
    pub(crate) fn items(self) -> Option<Items<'a>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub(crate) fn bulk(self) -> Option<&'a [u8]> {
        match self {
            Self::Bulk(text) => Some(text),
            _ => None,
        }
    }
}

/// The first reply in `bytes` and its length; `None` while it is not complete.
#[inline]
pub(crate) fn parse_reply(bytes: &[u8]) -> Option<(Said<'_>, usize)> {
    parse(bytes, DEPTH_MAX)
}

fn parse(bytes: &[u8], depth: usize) -> Option<(Said<'_>, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let line = rest[..end].strip_suffix(b"\r");
    let line_len = end + 2;
    let Some(line) = line else { return Some((Said::Odd(&bytes[..line_len]), line_len)) };
    let said = match first {
        b'+' => Said::Simple(line),
        b'-' => Said::Error(line),
        b':' => number(line).map_or(Said::Odd(line), Said::Integer),
        b'$' => match number(line) {
            Some(-1) => Said::Nil,
            Some(len @ 0..) => {
                let len = len as usize;
                let body = bytes.get(line_len..line_len + len + 2)?;
                return Some((Said::Bulk(&body[..len]), line_len + len + 2));
            }
            _ => Said::Odd(line),
        },
        b'_' if line.is_empty() => Said::Nil,
        b'*' | b'>' | b'%' => match number(line) {
            Some(-1) if first == b'*' => Said::Nil,
            Some(count @ 0..) if depth > 0 => {
                let count = if first == b'%' { count.saturating_mul(2) } else { count };
                let mut len = line_len;
                for _ in 0..count {
                    len += parse(bytes.get(len..)?, depth - 1)?.1;
                }
                let items = Items { left: count as usize, bytes: &bytes[line_len..len] };
                let said = if first == b'>' { Said::Push(items) } else { Said::Array(items) };
                return Some((said, len));
            }
            _ => Said::Odd(line),
        },
        _ => Said::Odd(&bytes[..line_len]),
    };
    Some((said, line_len))
}

/// A decimal number as replies have them.
pub(crate) fn number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut sum: i64 = 0;
    for digit in digits {
        sum = sum.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(sum) } else { sum.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_parsed_when_they_are_complete() {
        let replies = ["+OK\r\n", "$-1\r\n", "$3\r\nabc\r\n", ":-12\r\n", "-ERR no\r\n"];
        let arrays = ["*-1\r\n", "*2\r\n:1\r\n*1\r\n$1\r\na\r\n", "*0\r\n"];
        let newer = ["_\r\n", "%1\r\n+a\r\n:1\r\n", ">2\r\n+a\r\n_\r\n"];
        for reply in replies.into_iter().chain(arrays).chain(newer) {
            for len in 0..reply.len() {
                assert_eq!(parse_reply(&reply.as_bytes()[..len]), None);
            }
            let two = format!("{reply}+OK\r\n");
            assert_eq!(parse_reply(two.as_bytes()).map(|(_, len)| len), Some(reply.len()));
        }
        assert_eq!(parse_reply(b":-12\r\n"), Some((Said::Integer(-12), 6)));
        assert_eq!(parse_reply(b"~1\r\n"), Some((Said::Odd(b"~1\r\n"), 4)));
    }

    #[test]
    fn an_array_gives_its_elements() {
        let (said, _) = parse_reply(b"*2\r\n$1\r\na\r\n*1\r\n:5\r\n").expect("complete");
        let mut items = said.items().expect("an array");
        assert_eq!(items.next(), Some(Said::Bulk(b"a")));
        let inner: Vec<Said<'_>> = items.next().and_then(Said::items).expect("an array").collect();
        assert_eq!(inner, [Said::Integer(5)]);
        assert_eq!(items.next(), None);
    }
}
