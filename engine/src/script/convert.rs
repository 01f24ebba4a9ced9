//! Values of Lua as replies, replies as values of Lua, and both as words of commands.

use std::collections::BTreeMap;

use mlua::{Lua, Table, Value};

use super::interpreter::COUNTED;
use super::work::Work;
use crate::args::Words;
use crate::error::Error;
use crate::resp::{Protocol, Reply};

/// Tables inside of tables up to this depth are replied.
const DEPTH_MAX: usize = 1000;

/// Appends the word that a string or a number is in a command; false: it is neither.
pub(super) fn push_word(value: &Value, words: &mut Words) -> bool {
    match value {
        Value::String(text) => words.push(&text.as_bytes()),
        Value::Integer(number) if number.unsigned_abs() < 100_000_000_000_000_000 => {
            words.push(number.to_string().as_bytes());
        }
        Value::Integer(number) => words.push(number_word(*number as f64).as_bytes()),
        Value::Number(number) => words.push(number_word(*number).as_bytes()),
        _ => return false,
    }
    true
}

/// The word that a string or a number is; `None`: it is neither.
pub(super) fn word_of(value: &Value) -> Option<Vec<u8>> {
    let mut words = Words::default();
    push_word(value, &mut words).then(|| words.args().at(0).to_vec())
}

/// The number that a value is.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// C's `%.17g`.
fn number_word(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e17 {
        return if number == 0.0 && number.is_sign_negative() {
            "-0".to_owned()
        } else {
            (number as i64).to_string()
        };
    }
    if !number.is_finite() {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        return format!("{sign}{}", if number.is_nan() { "nan" } else { "inf" });
    }
    let scientific = format!("{number:.16e}");
    let (digits, exponent) = scientific.split_once('e').expect("it has an exponent");
    let exponent: i32 = exponent.parse().expect("it is a number");
    let trimmed = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if (-4..17).contains(&exponent) {
        let places = usize::try_from(16 - exponent).expect("the exponent is at most 16");
        return trimmed(&format!("{number:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
}

/// C's conversion to a 64-bit integer, as processors do it.
fn integer_of(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// Errors inside of a script's value: they count like those of commands.
#[derive(Debug, Default)]
pub(crate) struct InnerErrors {
    /// How many came from commands, which were counted there.
    pub(crate) counted: u64,
    /// The others, by what they say first; of more than so many different ones only the number.
    pub(crate) others: BTreeMap<String, u64>,
}

impl InnerErrors {
    const CODES_MAX: usize = 128;

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.counted == 0 && self.others.is_empty()
    }

    fn note(&mut self, text: &[u8], is_counted: bool) {
        if is_counted {
            self.counted += 1;
            return;
        }
        let code = Error::text(String::from_utf8_lossy(text).into_owned()).code();
        let is_known = self.others.contains_key(&code) || self.others.len() < Self::CODES_MAX;
        *self.others.entry(if is_known { code } else { "ERR".to_owned() }).or_default() += 1;
    }
}

/// Replies with a script's value. `protocol` is the one that the script chose.
pub(super) fn from_lua(
    value: &Value,
    reply: &mut Reply,
    protocol: Protocol,
    work: &mut Work<'_>,
) -> mlua::Result<InnerErrors> {
    let mut writer = Writer { reply, protocol, work, errors: InnerErrors::default() };
    writer.write(value, DEPTH_MAX)?;
    if writer.reply.out.first() == Some(&b'-') {
        // It is no inner one.
        return Ok(InnerErrors::default());
    }
    Ok(writer.errors)
}

/// Writes values of Lua; what it writes may be as long as what scripts may take.
struct Writer<'a, 'b> {
    reply: &'a mut Reply,
    protocol: Protocol,
    work: &'a mut Work<'b>,
    errors: InnerErrors,
}

impl Writer<'_, '_> {
    fn write(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        self.work.make(0)?;
        if let Value::String(text) = value {
            let bytes = text.as_bytes();
            self.work.write(self.reply.out.len(), bytes.len())?;
            self.reply.bulk(&bytes);
            return Ok(());
        }
        self.work.write(self.reply.out.len(), 0)?;
        match value {
            Value::Integer(number) => self.reply.integer(*number),
            Value::Number(number) => self.reply.integer(integer_of(*number)),
            Value::Boolean(value) if self.protocol == Protocol::Resp3 => {
                self.reply.boolean(*value);
            }
            Value::Boolean(true) => self.reply.integer(1),
            Value::Table(_) if depth == 0 => {
                let text = "ERR reached lua stack limit";
                self.errors.note(text.as_bytes(), false);
                self.reply.error_text(text);
            }
            Value::Table(table) => self.write_table(table, depth - 1)?,
            _ => self.reply.null(),
        }
        Ok(())
    }

    fn write_table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if let Value::String(text) = table.raw_get("err")? {
            let is_counted = table.raw_get::<Value>(COUNTED)? == Value::Boolean(true);
            self.errors.note(&text.as_bytes(), is_counted);
            self.reply.error_bytes(&text.as_bytes());
            return Ok(());
        }
        if let Value::String(text) = table.raw_get("ok")? {
            let shown = text.to_string_lossy().replace(['\r', '\n'], " ");
            self.reply.simple(&shown);
            return Ok(());
        }
        if let Some(number) = number_of(&table.raw_get("double")?) {
            self.reply.double(number);
            return Ok(());
        }
        if let Value::Table(map) = table.raw_get("map")? {
            let len = self.entries(&map)?;
            self.reply.map(len);
            for pair in map.pairs::<Value, Value>() {
                let (key, value) = pair?;
                self.write(&key, depth)?;
                self.write(&value, depth)?;
            }
            return Ok(());
        }
        if let Value::Table(set) = table.raw_get("set")? {
            let len = self.entries(&set)?;
            self.reply.set(len);
            for pair in set.pairs::<Value, Value>() {
                self.write(&pair?.0, depth)?;
            }
            return Ok(());
        }
        if self.write_text(table)? {
            return Ok(());
        }
        self.write_array(table, depth)
    }

    /// How many entries a table has.
    fn entries(&mut self, table: &Table) -> mlua::Result<usize> {
        let mut len = 0;
        for pair in table.pairs::<Value, Value>() {
            pair?;
            self.work.make(0)?;
            len += 1;
        }
        Ok(len)
    }

    /// A number or text that Lua has no type for; false: it is something else.
    fn write_text(&mut self, table: &Table) -> mlua::Result<bool> {
        if let Value::String(number) = table.raw_get("big_number")? {
            let shown = number.to_string_lossy().replace(['\r', '\n'], " ");
            match self.reply.protocol {
                Protocol::Resp2 => self.reply.text(&shown),
                Protocol::Resp3 => {
                    self.reply.out.extend_from_slice(format!("({shown}\r\n").as_bytes());
                }
            }
            return Ok(true);
        }
        if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
            && let Value::String(text) = verbatim.raw_get("string")?
            && let Value::String(format) = verbatim.raw_get("format")?
        {
            self.reply.verbatim(&format.to_string_lossy(), &text.to_string_lossy());
            return Ok(true);
        }
        Ok(false)
    }

    /// An array ends before its first nil. Elements are looked at twice: only some thousand can be
    /// held at the same time.
    fn write_array(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        let mut len = 0;
        while !table.raw_get::<Value>(len + 1)?.is_nil() {
            self.work.make(0)?;
            len += 1;
        }
        self.reply.array(len);
        for index in 1..=len {
            self.write(&table.raw_get(index)?, depth)?;
        }
        Ok(())
    }
}

/// The value of Lua that a command's reply is.
pub(super) fn to_lua(work: Work<'_>, reply: &[u8]) -> mlua::Result<Value> {
    let mut reader = Reader { lua: work.lua(), work, bytes: reply, at: 0 };
    reader.value()
}

/// Reads replies that this server wrote itself.
struct Reader<'a> {
    lua: &'a Lua,
    work: Work<'a>,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> mlua::Result<Value> {
        let kind = self.bytes[self.at];
        self.at += 1;
        let line = self.line();
        self.work.make(line.len())?;
        match kind {
            b'+' => self.tagged("ok", line),
            b'-' => {
                let error = self.tagged("err", line)?;
                if let Value::Table(table) = &error {
                    table.raw_set(COUNTED, true)?;
                }
                Ok(error)
            }
            b':' => Ok(Value::Number(number(line) as f64)),
            b'$' => match number(line) {
                -1 => Ok(Value::Boolean(false)),
                len => {
                    let text = self.block(len as usize);
                    self.work.make(text.len())?;
                    self.lua.create_string(text).map(Value::String)
                }
            },
            b'*' | b'>' => match number(line) {
                -1 => Ok(Value::Boolean(false)),
                len => self.array(len as usize).map(Value::Table),
            },
            b'%' => self.map(number(line) as usize),
            b'~' => self.set(number(line) as usize),
            b'|' => {
                // Attributes are about the reply behind them.
                for _ in 0..2 * number(line) {
                    self.value()?;
                }
                self.value()
            }
            b'_' => Ok(Value::Nil),
            b'#' => Ok(Value::Boolean(line == b"t")),
            b',' => {
                let text = String::from_utf8_lossy(line);
                let table = self.lua.create_table()?;
                table.raw_set("double", text.parse::<f64>().unwrap_or(f64::NAN))?;
                Ok(Value::Table(table))
            }
            b'(' => self.tagged("big_number", line),
            b'=' => {
                let block = self.block(number(line) as usize);
                let (format, text) = (&block[..3], &block[4..]);
                let inner = self.lua.create_table()?;
                inner.raw_set("format", self.lua.create_string(format)?)?;
                inner.raw_set("string", self.lua.create_string(text)?)?;
                let table = self.lua.create_table()?;
                table.raw_set("verbatim_string", inner)?;
                Ok(Value::Table(table))
            }
            other => unreachable!("no reply begins with {other}"),
        }
    }

    fn tagged(&self, name: &str, text: &[u8]) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(name, self.lua.create_string(text)?)?;
        Ok(Value::Table(table))
    }

    fn array(&mut self, len: usize) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(len, 0)?;
        for index in 1..=len {
            let value = self.value()?;
            table.raw_set(index, value)?;
        }
        Ok(table)
    }

    fn map(&mut self, len: usize) -> mlua::Result<Value> {
        let map = self.lua.create_table_with_capacity(0, len)?;
        for _ in 0..len {
            let (key, value) = (self.value()?, self.value()?);
            map.raw_set(key, value)?;
        }
        let table = self.lua.create_table()?;
        table.raw_set("map", map)?;
        Ok(Value::Table(table))
    }

    fn set(&mut self, len: usize) -> mlua::Result<Value> {
        let set = self.lua.create_table_with_capacity(0, len)?;
        for _ in 0..len {
            let member = self.value()?;
            set.raw_set(member, true)?;
        }
        let table = self.lua.create_table()?;
        table.raw_set("set", set)?;
        Ok(Value::Table(table))
    }

    /// The bytes up to the next line end.
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\r').expect("a reply's line ends");
        self.at += end + 2;
        &rest[..end]
    }

    fn block(&mut self, len: usize) -> &'a [u8] {
        let block = &self.bytes[self.at..self.at + len];
        self.at += len + 2;
        block
    }
}

fn number(text: &[u8]) -> i64 {
    crate::value::number::parse_integer(text).expect("a length or an integer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_words_as_in_c() {
        for (number, word) in [
            (3.0, "3"),
            (-0.0, "-0"),
            (0.1, "0.10000000000000001"),
            (1e100, "1e+100"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e-5, "1.0000000000000001e-05"),
            (0.0001, "0.0001"),
            (1.5, "1.5"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number_word(number), word);
        }
    }
}
