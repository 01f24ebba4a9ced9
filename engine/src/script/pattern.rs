//! Lua's patterns, with the results of Lua 5.1.
//!
//! Invariants: what is still to be tried is in a list, at most one entry for an item of the
//! pattern; every step is counted, so that a pattern that takes for ever can be stopped.

use mlua::Lua;

use super::arguments::throw;
use super::work::Work;

/// Captures of one pattern.
const CAPTURES_MAX: usize = 32;

/// A part of the text that a pattern has captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// Its end has not been found.
    Open(usize),
    /// From here, so many bytes.
    Text(usize, usize),
    /// No part, but a place.
    Position(usize),
}

/// What is tried when the rest of a pattern does not match.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// The rest of the pattern from here on.
    Skip { at: usize, pattern: usize },
    /// One repetition less of so many that begin here, before the rest of the pattern.
    Fewer { from: usize, count: usize, pattern: usize },
    /// One repetition more of an item, from here on.
    More { at: usize, item: usize, end: usize },
    /// Nothing: the last capture is undone.
    Uncapture,
    /// Nothing: the end of a capture is undone.
    Reopen(usize),
}

/// Whether to go on in the text and the pattern, or not to.
enum Step {
    To(usize, usize),
    Matched(usize),
    Failed,
}

/// A pattern and a text.
pub(super) struct Matcher<'a> {
    lua: &'a Lua,
    work: Work<'a>,
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    level: usize,
    choices: Vec<Choice>,
}

impl<'a> Matcher<'a> {
    /// As in C a pattern ends at its first zero.
    pub(super) fn new(lua: &'a Lua, work: Work<'a>, text: &'a [u8], pattern: &'a [u8]) -> Self {
        let pattern = pattern.split(|&byte| byte == 0).next().unwrap_or_default();
        let captures = [Capture::Position(0); CAPTURES_MAX];
        Self { lua, work, text, pattern, captures, level: 0, choices: Vec::new() }
    }

    /// Whether the pattern begins with an anchor, which is taken from it.
    pub(super) fn take_anchor(&mut self) -> bool {
        let anchored = self.pattern.strip_prefix(b"^");
        self.pattern = anchored.unwrap_or(self.pattern);
        anchored.is_some()
    }

    /// The first match that begins here, or later unless the pattern is anchored: from where to
    /// where.
    pub(super) fn search(
        &mut self,
        from: usize,
        is_anchored: bool,
    ) -> mlua::Result<Option<(usize, usize)>> {
        let last = if is_anchored { from } else { self.text.len() };
        for start in from..=last {
            if let Some(end) = self.matches_at(start)? {
                return Ok(Some((start, end)));
            }
        }
        Ok(None)
    }

    /// The captures of the last match; if the pattern has none nothing.
    pub(super) fn captures(&self) -> &[Capture] {
        &self.captures[..self.level]
    }

    /// The work that is counted.
    pub(super) fn work(&mut self) -> &mut Work<'a> {
        &mut self.work
    }

    /// Where the match ends that begins here.
    fn matches_at(&mut self, start: usize) -> mlua::Result<Option<usize>> {
        self.level = 0;
        self.choices.clear();
        let (mut at, mut pattern) = (start, 0);
        loop {
            self.work.spend(1)?;
            match self.step(at, pattern)? {
                Step::To(next, rest) => (at, pattern) = (next, rest),
                Step::Matched(end) => return Ok(Some(end)),
                Step::Failed => match self.other_choice()? {
                    Some(next) => (at, pattern) = next,
                    None => return Ok(None),
                },
            }
        }
    }

    /// What is to be tried next, after a failure.
    fn other_choice(&mut self) -> mlua::Result<Option<(usize, usize)>> {
        while let Some(choice) = self.choices.pop() {
            match choice {
                Choice::Skip { at, pattern } => return Ok(Some((at, pattern))),
                Choice::Fewer { count: 0, .. } => {}
                Choice::Fewer { from, count, pattern } => {
                    let count = count - 1;
                    self.choices.push(Choice::Fewer { from, count, pattern });
                    return Ok(Some((from + count, pattern)));
                }
                Choice::More { at, item, end } => {
                    if self.is_one(at, item, end)? {
                        self.choices.push(Choice::More { at: at + 1, item, end });
                        return Ok(Some((at + 1, end + 1)));
                    }
                }
                Choice::Uncapture => self.level -= 1,
                Choice::Reopen(index) => {
                    if let Capture::Text(from, _) = self.captures[index] {
                        self.captures[index] = Capture::Open(from);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The byte of the pattern; zero behind its end.
    fn letter(&self, index: usize) -> u8 {
        self.pattern.get(index).copied().unwrap_or(0)
    }

    /// The byte of the text; zero behind its end.
    fn byte(&self, index: usize) -> u8 {
        self.text.get(index).copied().unwrap_or(0)
    }

    fn step(&mut self, at: usize, pattern: usize) -> mlua::Result<Step> {
        match (self.letter(pattern), self.letter(pattern + 1)) {
            (b'(', b')') => self.open(Capture::Position(at), at, pattern + 2),
            (b'(', _) => self.open(Capture::Open(at), at, pattern + 1),
            (b')', _) => self.close(at, pattern + 1),
            (b'%', b'b') => self.balanced(at, pattern + 2),
            (b'%', b'f') => self.frontier(at, pattern + 2),
            (b'%', digit @ b'0'..=b'9') => self.again(at, pattern + 2, digit),
            (0, _) => Ok(Step::Matched(at)),
            (b'$', 0) => Ok(if at == self.text.len() { Step::Matched(at) } else { Step::Failed }),
            _ => self.item(at, pattern),
        }
    }

    /// An item, with what says how often it may come.
    fn item(&mut self, at: usize, item: usize) -> mlua::Result<Step> {
        let end = self.item_end(item)?;
        match self.letter(end) {
            b'?' => {
                if self.is_one(at, item, end)? {
                    self.choices.push(Choice::Skip { at, pattern: end + 1 });
                    return Ok(Step::To(at + 1, end + 1));
                }
                Ok(Step::To(at, end + 1))
            }
            b'*' => self.as_many(at, item, end),
            b'+' if self.is_one(at, item, end)? => self.as_many(at + 1, item, end),
            b'+' => Ok(Step::Failed),
            b'-' => {
                self.choices.push(Choice::More { at, item, end });
                Ok(Step::To(at, end + 1))
            }
            _ if self.is_one(at, item, end)? => Ok(Step::To(at + 1, end)),
            _ => Ok(Step::Failed),
        }
    }

    /// As many repetitions as there are.
    fn as_many(&mut self, from: usize, item: usize, end: usize) -> mlua::Result<Step> {
        let mut count = 0;
        while self.is_one(from + count, item, end)? {
            count += 1;
        }
        self.choices.push(Choice::Fewer { from, count, pattern: end + 1 });
        Ok(Step::To(from + count, end + 1))
    }

    fn open(&mut self, capture: Capture, at: usize, rest: usize) -> mlua::Result<Step> {
        if self.level >= CAPTURES_MAX {
            return throw(self.lua, "too many captures");
        }
        self.captures[self.level] = capture;
        self.level += 1;
        self.choices.push(Choice::Uncapture);
        Ok(Step::To(at, rest))
    }

    fn close(&mut self, at: usize, rest: usize) -> mlua::Result<Step> {
        let open = self.captures[..self.level].iter().enumerate().rev();
        let open = open.filter_map(|(index, capture)| match capture {
            Capture::Open(from) => Some((index, *from)),
            _ => None,
        });
        let Some((index, from)) = { open }.next() else {
            return throw(self.lua, "invalid pattern capture");
        };
        self.captures[index] = Capture::Text(from, at - from);
        self.choices.push(Choice::Reopen(index));
        Ok(Step::To(at, rest))
    }

    /// `%b()`
    fn balanced(&mut self, at: usize, pair: usize) -> mlua::Result<Step> {
        let (begin, end) = (self.letter(pair), self.letter(pair + 1));
        if begin == 0 || end == 0 {
            return throw(self.lua, "unbalanced pattern");
        }
        if self.byte(at) != begin || at == self.text.len() {
            return Ok(Step::Failed);
        }
        let mut depth = 1;
        for index in at + 1..self.text.len() {
            self.work.spend(1)?;
            if self.text[index] == end {
                depth -= 1;
                if depth == 0 {
                    return Ok(Step::To(index + 1, pair + 2));
                }
            } else if self.text[index] == begin {
                depth += 1;
            }
        }
        Ok(Step::Failed)
    }

    /// `%f[set]`
    fn frontier(&mut self, at: usize, set: usize) -> mlua::Result<Step> {
        if self.letter(set) != b'[' {
            return throw(self.lua, "missing '[' after '%f' in pattern");
        }
        let end = self.item_end(set)?;
        self.work.read(end - set)?;
        let before = if at == 0 { 0 } else { self.byte(at - 1) };
        if self.is_in_set(before, set, end) || !self.is_in_set(self.byte(at), set, end) {
            return Ok(Step::Failed);
        }
        Ok(Step::To(at, end))
    }

    /// `%1`: what was captured, once more.
    fn again(&mut self, at: usize, rest: usize, digit: u8) -> mlua::Result<Step> {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let captured = match self.captures[..self.level].get(index) {
            None | Some(Capture::Open(_)) => return throw(self.lua, "invalid capture index"),
            // As in the original a place is no text that could come again.
            Some(Capture::Position(_)) => return Ok(Step::Failed),
            Some(&Capture::Text(from, len)) => &self.text[from..from + len],
        };
        self.work.read(captured.len())?;
        if !self.text[at..].starts_with(captured) {
            return Ok(Step::Failed);
        }
        Ok(Step::To(at + captured.len(), rest))
    }

    /// Where an item of the pattern ends.
    fn item_end(&self, item: usize) -> mlua::Result<usize> {
        let mut at = item + 1;
        match self.letter(item) {
            b'%' => {
                if self.letter(at) == 0 {
                    return throw(self.lua, "malformed pattern (ends with '%')");
                }
                Ok(at + 1)
            }
            b'[' => {
                if self.letter(at) == b'^' {
                    at += 1;
                }
                loop {
                    let letter = self.letter(at);
                    if letter == 0 {
                        return throw(self.lua, "malformed pattern (missing ']')");
                    }
                    at += 1;
                    if letter == b'%' && self.letter(at) != 0 {
                        at += 1;
                    }
                    if self.letter(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(at),
        }
    }

    /// Whether the text's next byte is what an item stands for.
    fn is_one(&mut self, at: usize, item: usize, end: usize) -> mlua::Result<bool> {
        self.work.read(end - item)?;
        let Some(&byte) = self.text.get(at) else { return Ok(false) };
        Ok(match self.letter(item) {
            b'.' => true,
            b'%' => is_in_class(byte, self.letter(item + 1)),
            b'[' => self.is_in_set(byte, item, end),
            letter => letter == byte,
        })
    }

    /// Whether a byte is in the set that begins with a bracket here and ends with one before `end`.
    fn is_in_set(&self, byte: u8, set: usize, end: usize) -> bool {
        let last = end - 1;
        let mut at = set + 1;
        let is_negated = self.letter(at) == b'^';
        at += usize::from(is_negated);
        while at < last {
            let letter = self.letter(at);
            let is_in = if letter == b'%' {
                at += 1;
                is_in_class(byte, self.letter(at))
            } else if self.letter(at + 1) == b'-' && at + 2 < last {
                at += 2;
                (letter..=self.letter(at)).contains(&byte)
            } else {
                letter == byte
            };
            if is_in {
                return !is_negated;
            }
            at += 1;
        }
        is_negated
    }
}

/// Whether a byte is in the class of a letter; a letter that names none stands for itself.
fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in == class.is_ascii_lowercase()
}
