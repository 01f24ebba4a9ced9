//! `cjson.decode`: JSON as values of Lua, with the errors of the library that Redis has.
//!
//! Invariants: each step takes at least a byte of the text; what is open is in a list, not on the
//! stack.

use mlua::{Lua, LuaString, Table, Value};

use super::arguments::{Arguments, STACK_SLOTS_MAX, throw};
use super::cjson::Settings;
use super::nest::Nest;
use super::work::Work;
use crate::value::strtod::strtod;

/// What the next part of a text is.
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// Nothing that JSON has: why not.
    Bad(&'static str),
}

impl Token {
    /// What the texts of errors call it.
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Text(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Bad(why) => why,
        }
    }
}

/// An array or object whose end has not been read.
enum Open {
    /// And the index of what is read.
    Array(Table, usize),
    /// And the key whose value is read.
    Object(Table, LuaString),
}

/// An array or object, of which a part is read that has parts itself; what it is waits in a nest.
#[derive(Clone, Copy)]
enum Outer {
    Array(usize),
    Object,
}

/// `cjson.decode(text)`
pub(super) fn decode(
    args: &Arguments<'_>,
    settings: &Settings,
    memory_bytes_max: usize,
) -> mlua::Result<Value> {
    if args.len() != 1 {
        return args.bad(1, "expected 1 argument");
    }
    let text = args.string(1)?;
    let text = text.as_bytes();
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return throw(args.lua, "JSON parser does not support UTF-16 or UTF-32");
    }
    let mut work = Work::new(args.lua, memory_bytes_max);
    work.write(0, text.len())?;
    let decoder = Decoder {
        lua: args.lua,
        settings,
        work,
        text: &text,
        at: 0,
        began: 0,
        open: None,
        outer: Vec::new(),
        waiting: Nest::new(args.lua),
        slots: 1,
    };
    decoder.whole()
}

struct Decoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    work: Work<'a>,
    text: &'a [u8],
    /// What is read next.
    at: usize,
    /// Where the last token began.
    began: usize,
    open: Option<Open>,
    /// What that is in, outermost first.
    outer: Vec<Outer>,
    waiting: Nest<'a>,
    /// Slots of its stack that the original would use.
    slots: usize,
}

impl Decoder<'_> {
    fn whole(mut self) -> mlua::Result<Value> {
        let mut token = self.token()?;
        loop {
            let value = match token {
                Token::ObjectBegin => {
                    let table = self.descend(3)?;
                    let first = self.token()?;
                    if !matches!(first, Token::ObjectEnd) {
                        let key = self.key(&first)?;
                        self.enter(Open::Object(table, key))?;
                        token = self.token()?;
                        continue;
                    }
                    Value::Table(table)
                }
                Token::ArrayBegin => {
                    let table = self.descend(2)?;
                    let first = self.token()?;
                    if !matches!(first, Token::ArrayEnd) {
                        self.enter(Open::Array(table, 1))?;
                        token = first;
                        continue;
                    }
                    Value::Table(table)
                }
                token => self.scalar(&token)?,
            };
            match self.place(value)? {
                Next::Value(next) => token = next,
                Next::Whole(value) => return Ok(value),
            }
        }
    }

    /// A value without parts.
    fn scalar(&self, token: &Token) -> mlua::Result<Value> {
        Ok(match token {
            Token::Text(text) => Value::String(self.lua.create_string(text)?),
            Token::Number(number) => Value::Number(*number),
            Token::Boolean(value) => Value::Boolean(*value),
            Token::Null => Value::NULL,
            token => return self.expected("value", token),
        })
    }

    /// Puts a value where it belongs, and what it completes too.
    fn place(&mut self, mut value: Value) -> mlua::Result<Next> {
        loop {
            let open = self.open.take();
            let token = match &open {
                Some(Open::Array(table, index)) => {
                    table.raw_set(*index, value)?;
                    self.token()?
                }
                Some(Open::Object(table, key)) => {
                    table.raw_set(key, value)?;
                    self.token()?
                }
                None => {
                    return match self.token()? {
                        Token::End => Ok(Next::Whole(value)),
                        token => self.expected("the end", &token),
                    };
                }
            };
            match (open, token) {
                (Some(Open::Array(table, _)), Token::ArrayEnd) => {
                    self.leave(1)?;
                    value = Value::Table(table);
                }
                (Some(Open::Object(table, _)), Token::ObjectEnd) => {
                    self.leave(2)?;
                    value = Value::Table(table);
                }
                (Some(Open::Array(table, index)), Token::Comma) => {
                    self.open = Some(Open::Array(table, index + 1));
                    return self.token().map(Next::Value);
                }
                (Some(Open::Object(table, _)), Token::Comma) => {
                    let first = self.token()?;
                    let key = self.key(&first)?;
                    self.open = Some(Open::Object(table, key));
                    return self.token().map(Next::Value);
                }
                (Some(Open::Array(..)), token) => {
                    return self.expected("comma or array end", &token);
                }
                (_, token) => return self.expected("comma or object end", &token),
            }
        }
    }

    /// A key, with the colon behind it.
    fn key(&mut self, token: &Token) -> mlua::Result<LuaString> {
        let Token::Text(key) = token else { return self.expected("object key string", token) };
        let key = self.lua.create_string(key)?;
        match self.token()? {
            Token::Colon => Ok(key),
            token => self.expected("colon", &token),
        }
    }

    /// The table of a new array or object, for which the original needs some slots of its stack.
    fn descend(&self, slots_needed: usize) -> mlua::Result<Table> {
        let depth = self.outer.len() + usize::from(self.open.is_some()) + 1;
        let is_allowed = i32::try_from(depth).is_ok_and(|it| it <= self.settings.decode_depth_max);
        if !is_allowed || self.slots + slots_needed > STACK_SLOTS_MAX {
            let at = self.at;
            let text = format!("Found too many nested data structures ({depth}) at character {at}");
            return throw(self.lua, text);
        }
        self.lua.create_table()
    }

    /// What is read from here on is in this.
    fn enter(&mut self, open: Open) -> mlua::Result<()> {
        self.slots += match open {
            Open::Array(..) => 1,
            Open::Object(..) => 2,
        };
        match self.open.replace(open) {
            None => {}
            Some(Open::Array(table, index)) => {
                self.outer.push(Outer::Array(index));
                self.waiting.push(table)?;
            }
            Some(Open::Object(table, key)) => {
                self.outer.push(Outer::Object);
                self.waiting.push(table)?;
                self.waiting.push(key)?;
            }
        }
        Ok(())
    }

    /// What is read from here on is in what was around that.
    fn leave(&mut self, slots: usize) -> mlua::Result<()> {
        self.slots -= slots;
        let Some(outer) = self.outer.pop() else { return Ok(()) };
        let last = self.waiting.pop()?;
        self.open = match (outer, last) {
            (Outer::Array(index), Value::Table(table)) => Some(Open::Array(table, index)),
            (Outer::Object, Value::String(key)) => match self.waiting.pop()? {
                Value::Table(table) => Some(Open::Object(table, key)),
                _ => None,
            },
            _ => None,
        };
        Ok(())
    }

    fn expected<T>(&self, what: &str, found: &Token) -> mlua::Result<T> {
        let (found, at) = (found.name(), self.began + 1);
        throw(self.lua, format!("Expected {what} but found {found} at character {at}"))
    }

    /// The byte so far ahead; behind the end are zeros, as in C.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn bad(&mut self, why: &'static str) -> Token {
        self.began = self.at;
        Token::Bad(why)
    }

    fn token(&mut self) -> mlua::Result<Token> {
        let from = self.at;
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.began = self.at;
        let single = match self.peek(0) {
            b'{' => Some(Token::ObjectBegin),
            b'}' => Some(Token::ObjectEnd),
            b'[' => Some(Token::ArrayBegin),
            b']' => Some(Token::ArrayEnd),
            b',' => Some(Token::Comma),
            b':' => Some(Token::Colon),
            _ => None,
        };
        let token = match single {
            Some(token) => {
                self.at += 1;
                token
            }
            None => self.longer_token(),
        };
        self.work.read(4 * 32 + self.at - from)?;
        Ok(token)
    }

    fn longer_token(&mut self) -> Token {
        let byte = self.peek(0);
        match byte {
            0 => return Token::End,
            b'"' => return self.quoted(),
            b'-' | b'0'..=b'9' => {
                if !self.settings.decode_invalid && self.is_no_number_of_json() {
                    return self.bad("invalid number");
                }
                return self.number();
            }
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => {}
            _ => return self.bad("invalid token"),
        }
        let rest = &self.text[self.at..];
        let words = [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ];
        for (word, token) in words {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.settings.decode_invalid && self.is_no_number_of_json() {
            return self.number();
        }
        self.bad("invalid token")
    }

    /// Whether this is a number for C but none of JSON.
    fn is_no_number_of_json(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let sign = usize::from(self.peek(0) == b'-');
        let first = self.peek(sign);
        if first == b'0' {
            return matches!(self.peek(sign + 1), b'x' | b'X' | b'0'..=b'9');
        }
        let word = [first, self.peek(sign + 1), self.peek(sign + 2)];
        first > b'9' && (word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan"))
    }

    fn number(&mut self) -> Token {
        let read = strtod(&self.text[self.at..]);
        if read.len == 0 {
            return self.bad("invalid number");
        }
        self.at += read.len;
        Token::Number(read.value)
    }

    fn quoted(&mut self) -> Token {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek(0) {
                b'"' => break,
                0 => return self.bad("unexpected end of string"),
                b'\\' => {
                    let plain = match self.peek(1) {
                        byte @ (b'"' | b'\\' | b'/') => byte,
                        b'b' => b'\x08',
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => b'\x0c',
                        b'r' => b'\r',
                        b'u' => {
                            let Some((code, len)) = self.unicode_escape() else {
                                return self.bad("invalid unicode escape code");
                            };
                            text.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                            self.at += len;
                            continue;
                        }
                        _ => return self.bad("invalid escape code"),
                    };
                    text.push(plain);
                    self.at += 2;
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Token::Text(text)
    }

    /// The character that an escape spells, two of them if it is a surrogate pair, and how long
    /// that is.
    fn unicode_escape(&self) -> Option<(char, usize)> {
        let high = self.four_digits(2)?;
        if high & 0xf800 != 0xd800 {
            return Some((char::from_u32(high)?, 6));
        }
        if high & 0x400 != 0 || self.peek(6) != b'\\' || self.peek(7) != b'u' {
            return None;
        }
        let low = self.four_digits(8)?;
        if low & 0xfc00 != 0xdc00 {
            return None;
        }
        let code = ((high & 0x3ff) << 10 | low & 0x3ff) + 0x1_0000;
        Some((char::from_u32(code)?, 12))
    }

    fn four_digits(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |code, index| {
            let digit = char::from(self.peek(ahead + index)).to_digit(16)?;
            Some(code << 4 | digit)
        })
    }
}

/// What comes after a value.
enum Next {
    /// The first token of another.
    Value(Token),
    /// Nothing: it is the whole.
    Whole(Value),
}
