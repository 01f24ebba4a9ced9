//! Glob patterns as KEYS, SCAN, PSUBSCRIBE and CONFIG GET understand them.
//!
//! `*` any bytes, `?` one byte, `[a-c]` and `[^a-c]` sets, `\` takes the next byte literally.
//!
//! Invariant: time is bounded by pattern length times text length, whatever the pattern: only the
//! last `*` is ever gone back to.

/// Whether the whole of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_folded(pattern, text, |byte| byte)
}

/// Like [`matches()`], without regard to the case of ASCII letters.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_folded(pattern, text, |byte| byte.to_ascii_lowercase())
}

/// Whether `pattern` has any byte with a meaning beyond itself.
pub fn is_pattern(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

fn matches_folded(pattern: &[u8], text: &[u8], fold: impl Fn(u8) -> u8 + Copy) -> bool {
    if text.is_empty() {
        // As in Redis, whose matcher does not look at `*` then.
        return pattern.is_empty();
    }
    let (mut at, mut read) = (0, 0);
    // Where to go on when a byte does not match: behind the last `*`, one byte of text later.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if at < pattern.len() && pattern[at] == b'*' {
            // `?` and `*` in any order are so many bytes and any number more: nothing to go back
            // for.
            let run = pattern[at..].iter().take_while(|byte| matches!(byte, b'*' | b'?'));
            let (len, least) = run
                .fold((0, 0), |(len, least), &byte| (len + 1, least + usize::from(byte == b'?')));
            if text.len() - read < least {
                return false;
            }
            (at, read) = (at + len, read + least);
            if at == pattern.len() {
                return true;
            }
            star = Some((at, read));
            continue;
        }
        if read == text.len() {
            // Only stars could still match nothing, and those were passed above.
            return at >= pattern.len();
        }
        if let Some(len) = one(&pattern[at.min(pattern.len())..], text[read], fold) {
            at += len;
            read += 1;
            continue;
        }
        let Some((after, from)) = star else { return false };
        star = Some((after, from + 1));
        (at, read) = (after, from + 1);
    }
}

/// Matches one byte with the front of the pattern; returns the length of that front.
fn one(pattern: &[u8], byte: u8, fold: impl Fn(u8) -> u8 + Copy) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let (is_in, len) = set(rest, byte, fold);
            is_in.then_some(1 + len)
        }
        [b'\\', literal, ..] => (fold(*literal) == fold(byte)).then_some(2),
        [literal, ..] => (fold(*literal) == fold(byte)).then_some(1),
    }
}

/// Whether `byte` is in the set that begins behind `[`, and how long the set's text is. A set that
/// is not closed ends with the pattern.
fn set(text: &[u8], byte: u8, fold: impl Fn(u8) -> u8 + Copy) -> (bool, usize) {
    let negated = text.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut is_in = false;
    let byte = fold(byte);
    loop {
        match text[at..] {
            [] => break,
            [b'\\', literal, ..] => {
                is_in |= fold(literal) == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(from.min(to)), fold(from.max(to)));
                is_in |= (from..=to).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                is_in |= fold(literal) == byte;
                at += 1;
            }
        }
    }
    (is_in != negated, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} matches {text}");
        }
        for text in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} takes {text}");
        }
    }

    #[test]
    fn stars_and_question_marks() {
        check("*", &["a", "abc"], &[""]);
        check("", &[""], &["a"]);
        check("a*", &["a", "abc"], &["", "ba"]);
        check("*a", &["a", "bca", "aa"], &["ab", ""]);
        check("a*b*c", &["abc", "aXbYc", "abbcc"], &["abcd", "acb"]);
        check("***x**", &["x", "axb"], &["", "y"]);
        check("h?llo", &["hello", "h*llo"], &["hllo", "heello"]);
        check("?*", &["a", "ab"], &[""]);
        check("*?", &["a", "ab"], &[""]);
    }

    #[test]
    fn sets() {
        check("h[ae]llo", &["hello", "hallo"], &["hillo", "hllo"]);
        check("h[^e]llo", &["hallo"], &["hello"]);
        check("[a-c]x", &["ax", "cx"], &["dx", "-x"]);
        check("[c-a]x", &["bx"], &["dx"]);
        check("[a\\]]", &["a", "]"], &["\\", "b"]);
        check("[^]", &["a", "]"], &[""]);
        check("[abc", &["a", "c"], &["[", "d"]);
        check("[a-", &["a", "-"], &["b"]);
        check("x[]y", &[], &["xy", "x]y"]);
    }

    #[test]
    fn escapes() {
        check("\\*", &["*"], &["a", "\\*"]);
        check("a\\", &["a\\"], &["a"]);
        check("a\\?c", &["a?c"], &["abc"]);
    }

    #[test]
    fn case_may_be_ignored() {
        assert!(matches_ignoring_case(b"MAX*[A-C]", b"maxmemorya"));
        assert!(!matches(b"MAX*", b"maxmemory"));
    }

    #[test]
    fn a_pattern_of_many_stars_is_no_trap() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(20_000).as_bytes()));
        assert!(matches("*?".repeat(50_000).as_bytes(), "a".repeat(50_000).as_bytes()));
        assert!(!matches("*?".repeat(50_001).as_bytes(), "a".repeat(50_000).as_bytes()));
    }
}
