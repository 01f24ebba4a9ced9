//! Splitting a line into words with quotes and escapes, for inline requests and redis.conf.
//!
//! Rules (Redis's `sdssplitargs`): words are separated by white space; inside double quotes `\n`,
//! `\r`, `\t`, `\b`, `\a`, `\xHH` and `\` before any other byte are escapes; inside single quotes
//! only `\'` is; a closing quote must be followed by white space or the end.

use crate::args::Span;

/// A quote was not closed, or something follows its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// Splits `line` into words, unescaping inside `line` itself: an unescaped word is never longer
/// than its text. The words are appended to `spans`.
pub fn split_words_in_place(
    line: &mut [u8],
    spans: &mut Vec<Span>,
) -> Result<(), UnbalancedQuotes> {
    let mut read = 0;
    loop {
        while read < line.len() && is_space(line[read]) {
            read += 1;
        }
        if read == line.len() {
            return Ok(());
        }
        let start = read;
        let mut write = read;
        let mut quote = None;
        loop {
            let Some(&byte) = line.get(read) else {
                if quote.is_some() {
                    return Err(UnbalancedQuotes);
                }
                break;
            };
            match quote {
                None if is_space(byte) || byte == 0 => break,
                None if byte == b'"' || byte == b'\'' => {
                    quote = Some(byte);
                    read += 1;
                }
                Some(open) if byte == open => {
                    if line.get(read + 1).is_some_and(|&next| !is_space(next)) {
                        return Err(UnbalancedQuotes);
                    }
                    read += 1;
                    break;
                }
                _ => {
                    let (value, len) = unescape(&line[read..], quote);
                    line[write] = value;
                    write += 1;
                    read += len;
                }
            }
        }
        spans.push(Span { start, len: write - start });
        // Redis stops at a zero byte outside quotes: a C string ends there.
        if line.get(read) == Some(&0) {
            return Ok(());
        }
    }
}

/// The byte that the text starts with, and how long its spelling is.
fn unescape(text: &[u8], quote: Option<u8>) -> (u8, usize) {
    match (quote, text) {
        (Some(b'"'), [b'\\', b'x', high, low, ..]) if is_hex(*high) && is_hex(*low) => {
            (hex(*high) << 4 | hex(*low), 4)
        }
        (Some(b'"'), [b'\\', escaped, ..]) => {
            let value = match escaped {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                other => *other,
            };
            (value, 2)
        }
        (Some(b'\''), [b'\\', b'\'', ..]) => (b'\'', 2),
        _ => (text[0], 1),
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &[u8], expected: Option<&[&[u8]]>) {
        let mut line = line.to_vec();
        let mut spans = Vec::new();
        let result = split_words_in_place(&mut line, &mut spans);
        let words: Vec<&[u8]> =
            spans.iter().map(|span| &line[span.start..span.start + span.len]).collect();
        assert_eq!(result.is_ok().then_some(words.as_slice()), expected);
    }

    #[test]
    fn words_quotes_and_escapes() {
        check(b"", Some(&[]));
        check(b"  get   k ", Some(&[b"get", b"k"]));
        check(br#"set k "a b""#, Some(&[b"set", b"k", b"a b"]));
        check(br#"set k "\x41\n\\\"""#, Some(&[b"set", b"k", b"A\n\\\""]));
        check(br"set k 'it\'s \n'", Some(&[b"set", b"k", br"it's \n"]));
        check(br#"a """#, Some(&[b"a", b""]));
        check(br#"a"b c""#, Some(&[b"ab c"]));
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        check(br#"set "k"#, None);
        check(br#"set "k"x"#, None);
        check(b"set 'k", None);
        check(br#"set "k\"#, None);
    }
}
