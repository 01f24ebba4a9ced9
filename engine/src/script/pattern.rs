//! Lua's patterns: a matcher with the results of Lua 5.1's, whose work is counted, so that a
//! hopeless pattern can be stopped like a loop.
//!
//! Invariants: each step of the search is told to `Work`; the search is at most `DEPTH_MAX` calls
//! deep, which is what the scripts' stack has room for.

use super::work::Work;

/// Captures that a pattern may have.
pub(super) const CAPTURES_MAX: usize = 32;
/// Calls of the matcher inside of each other: as many as items that can be taken back.
const DEPTH_MAX: usize = 4096;
const ESCAPE: u8 = b'%';

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The pattern is wrong.
    Malformed(&'static str),
    /// The script must end.
    Stopped(mlua::Error),
}

impl From<mlua::Error> for Fault {
    fn from(error: mlua::Error) -> Self {
        Self::Stopped(error)
    }
}

type Result<T> = core::result::Result<T, Fault>;

fn malformed<T>(text: &'static str) -> Result<T> {
    Err(Fault::Malformed(text))
}

/// What a pair of parentheses has matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// It is not closed yet.
    Open {
        /// Where it begins.
        start: usize,
    },
    /// These bytes.
    Range {
        /// The first.
        start: usize,
        /// Behind the last.
        end: usize,
    },
    /// An empty pair: the place itself.
    Position(usize),
}

/// A search in a text.
pub(super) struct Matcher<'a, 'w> {
    source: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    level: usize,
    depth: usize,
    work: &'w mut Work<'a>,
}

impl<'a, 'w> Matcher<'a, 'w> {
    /// A search for `pattern`, which ends at its first zero byte, without an anchor.
    pub(super) fn new(source: &'a [u8], pattern: &'a [u8], work: &'w mut Work<'a>) -> Self {
        let end = pattern.iter().position(|&byte| byte == 0).unwrap_or(pattern.len());
        Self {
            source,
            pattern: &pattern[..end],
            captures: [Capture::Position(0); CAPTURES_MAX],
            level: 0,
            depth: 0,
            work,
        }
    }

    /// Where the match that begins at `start` ends, if there is one.
    pub(super) fn match_at(&mut self, start: usize) -> Result<Option<usize>> {
        (self.level, self.depth) = (0, 0);
        self.matches(start, 0)
    }

    /// What the parentheses of the last match have matched.
    pub(super) fn captures(&self) -> &[Capture] {
        &self.captures[..self.level]
    }

    /// The work so far goes on elsewhere.
    pub(super) fn work(&mut self) -> &mut Work<'a> {
        self.work
    }

    /// Matches the pattern from `p` on with the text from `s` on, where an earlier item may be
    /// taken back.
    fn deeper(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        if self.depth == DEPTH_MAX {
            return malformed("pattern too complex");
        }
        self.depth += 1;
        let end = self.matches(s, p);
        self.depth -= 1;
        end
    }

    fn matches(&mut self, mut s: usize, mut p: usize) -> Result<Option<usize>> {
        loop {
            self.work.spend(1)?;
            match self.pattern.get(p..).unwrap_or_default() {
                [] => return Ok(Some(s)),
                [b'(', b')', ..] => return self.open(s, p + 2, Capture::Position(s)),
                [b'(', ..] => return self.open(s, p + 1, Capture::Open { start: s }),
                [b')', ..] => return self.close(s, p + 1),
                [b'$'] => return Ok((s == self.source.len()).then_some(s)),
                [ESCAPE, b'b', ..] => match self.balanced(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                [ESCAPE, b'f', ..] => match self.frontier(s, p + 2)? {
                    Some(behind) => p = behind,
                    None => return Ok(None),
                },
                [ESCAPE, digit @ b'0'..=b'9', ..] => match self.again(s, *digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(p)?;
                    let fits = self.single(s, p, end);
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if fits && let Some(end) = self.deeper(s + 1, end + 1)? {
                                return Ok(Some(end));
                            }
                            p = end + 1;
                        }
                        Some(b'*') => return self.as_many(s, p, end),
                        Some(b'+') if fits => return self.as_many(s + 1, p, end),
                        Some(b'-') => return self.as_few(s, p, end),
                        _ if !fits => return Ok(None),
                        Some(b'+') => unreachable!("it fits"),
                        _ => (s, p) = (s + 1, end),
                    }
                }
            }
        }
    }

    /// The longest run of a class that lets the rest match.
    fn as_many(&mut self, s: usize, p: usize, end: usize) -> Result<Option<usize>> {
        let mut run = 0;
        while self.single(s + run, p, end) {
            run += 1;
            self.work.spend(1)?;
        }
        loop {
            if let Some(found) = self.deeper(s + run, end + 1)? {
                return Ok(Some(found));
            }
            if run == 0 {
                return Ok(None);
            }
            run -= 1;
        }
    }

    /// The shortest run of a class that lets the rest match.
    fn as_few(&mut self, mut s: usize, p: usize, end: usize) -> Result<Option<usize>> {
        loop {
            if let Some(found) = self.deeper(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.single(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, capture: Capture) -> Result<Option<usize>> {
        if self.level == CAPTURES_MAX {
            return malformed("too many captures");
        }
        self.captures[self.level] = capture;
        self.level += 1;
        let end = self.deeper(s, p)?;
        if end.is_none() {
            self.level -= 1;
        }
        Ok(end)
    }

    fn close(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        let is_open = |capture: &Capture| matches!(capture, Capture::Open { .. });
        let Some(index) = self.captures[..self.level].iter().rposition(is_open) else {
            return malformed("invalid pattern capture");
        };
        let open = self.captures[index];
        if let Capture::Open { start } = open {
            self.captures[index] = Capture::Range { start, end: s };
        }
        let end = self.deeper(s, p)?;
        if end.is_none() {
            self.captures[index] = open;
        }
        Ok(end)
    }

    /// `%1`: the bytes of an earlier capture once more.
    fn again(&mut self, s: usize, digit: u8) -> Result<Option<usize>> {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        match self.captures().get(index) {
            None | Some(Capture::Open { .. }) => malformed("invalid capture index"),
            Some(Capture::Position(_)) => Ok(None),
            Some(&Capture::Range { start, end }) => {
                self.work.read(end - start)?;
                let is_same = self.source[s..].starts_with(&self.source[start..end]);
                Ok(is_same.then_some(s + end - start))
            }
        }
    }

    /// `%bxy`: from an x to the y that closes it.
    fn balanced(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        let Some(&[open, close]) = self.pattern.get(p..p + 2) else {
            return malformed("unbalanced pattern");
        };
        if self.source.get(s) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for (index, &byte) in self.source.iter().enumerate().skip(s + 1) {
            self.work.spend(1)?;
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(index + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: where a set begins to fit; the ends of the text count as zero bytes.
    fn frontier(&self, s: usize, p: usize) -> Result<Option<usize>> {
        if self.pattern.get(p) != Some(&b'[') {
            return malformed("missing '[' after '%f' in pattern");
        }
        let end = self.class_end(p)?;
        let before = if s == 0 { 0 } else { self.source[s - 1] };
        let here = self.source.get(s).copied().unwrap_or(0);
        let set = &self.pattern[p..end];
        Ok((!in_set(before, set) && in_set(here, set)).then_some(end))
    }

    /// Where the class that begins at `p` ends.
    fn class_end(&self, p: usize) -> Result<usize> {
        match self.pattern[p] {
            ESCAPE if p + 1 == self.pattern.len() => malformed("malformed pattern (ends with '%')"),
            ESCAPE => Ok(p + 2),
            b'[' => {
                let mut end = p + 1 + usize::from(self.pattern.get(p + 1) == Some(&b'^'));
                // The first byte of a set may be its closing bracket.
                loop {
                    match self.pattern.get(end) {
                        None => return malformed("malformed pattern (missing ']')"),
                        Some(&ESCAPE) if end + 1 < self.pattern.len() => end += 2,
                        Some(_) => end += 1,
                    }
                    if self.pattern.get(end) == Some(&b']') {
                        return Ok(end + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the byte at `s` is in the class between `p` and `end`.
    fn single(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.source.get(s) else { return false };
        match self.pattern[p] {
            b'.' => true,
            ESCAPE => in_class(byte, self.pattern[p + 1]),
            b'[' => in_set(byte, &self.pattern[p..end]),
            other => other == byte,
        }
    }
}

/// Whether a byte is in a set, which is given with its brackets.
fn in_set(byte: u8, set: &[u8]) -> bool {
    let is_negated = set[1] == b'^';
    let mut rest = &set[1 + usize::from(is_negated)..set.len() - 1];
    while let [first, after @ ..] = rest {
        let fits = match (*first, after) {
            (ESCAPE, [class, after @ ..]) => {
                rest = after;
                in_class(byte, *class)
            }
            (low, [b'-', high, after @ ..]) => {
                rest = after;
                (low..=*high).contains(&byte)
            }
            (other, after) => {
                rest = after;
                other == byte
            }
        };
        if fits {
            return !is_negated;
        }
    }
    is_negated
}

/// Whether a byte is in a class that is named by a letter; an upper-case one names the others.
fn in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | 9..=13),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}
