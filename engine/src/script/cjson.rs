//! The library `cjson` of scripts: JSON with the results of the library that Redis has.
//!
//! Invariants: tables are written in the order of `next`; no table, however it contains itself,
//! makes it recurse deeper than a limit or write more than there is memory for.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value};

use super::arguments::{Arguments, throw, truncated_32, type_name};
use super::cjson_decode::decode;
use super::general::general;
use super::work::Work;

/// Tables inside of tables, whatever a script sets: the stack that they are written from ends.
const DEPTH_MAX: i32 = 1000;

/// What the functions of one copy of the library share. It outlives scripts, as in Redis.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    sparse_as_object: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth_max: i32,
    pub(super) decode_depth_max: i32,
    encode_invalid: Invalid,
    pub(super) decode_invalid: bool,
    number_precision: i32,
    keep_buffer: bool,
}

/// What becomes of numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_as_object: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            number_precision: 14,
            keep_buffer: true,
        }
    }
}

type Shared = Rc<RefCell<Settings>>;

/// A function that reads a setting, after it has changed it if there are arguments.
type Setter = fn(&Arguments<'_>, &mut Settings) -> mlua::Result<MultiValue>;

/// The functions for settings: their names, and how many arguments they take.
const SETTERS: [(&str, usize, Setter); 7] = [
    ("encode_sparse_array", 3, encode_sparse_array),
    ("encode_max_depth", 1, |args, settings| {
        integer_option(args, 1, &mut settings.encode_depth_max, 1, i32::MAX).map(one)
    }),
    ("decode_max_depth", 1, |args, settings| {
        integer_option(args, 1, &mut settings.decode_depth_max, 1, i32::MAX).map(one)
    }),
    ("encode_number_precision", 1, |args, settings| {
        integer_option(args, 1, &mut settings.number_precision, 1, 14).map(one)
    }),
    ("encode_keep_buffer", 1, |args, settings| {
        switch_option(args, 1, &mut settings.keep_buffer).map(one)
    }),
    ("encode_invalid_numbers", 1, encode_invalid_numbers),
    ("decode_invalid_numbers", 1, |args, settings| {
        switch_option(args, 1, &mut settings.decode_invalid).map(one)
    }),
];

/// A copy of the library, with settings of its own.
pub(super) fn library(lua: &Lua, memory_bytes_max: usize) -> mlua::Result<Table> {
    let settings = Shared::default();
    let cjson = lua.create_table()?;
    let shared = settings.clone();
    let function = move |lua: &Lua, args: MultiValue| {
        encode(&Arguments::new(lua, &args), &shared.borrow().clone(), memory_bytes_max)
    };
    cjson.raw_set("encode", lua.create_function(function)?)?;
    let shared = settings.clone();
    let function = move |lua: &Lua, args: MultiValue| {
        decode(&Arguments::new(lua, &args), &shared.borrow().clone(), memory_bytes_max)
    };
    cjson.raw_set("decode", lua.create_function(function)?)?;
    for (name, arguments_max, setter) in SETTERS {
        let shared = settings.clone();
        let function = move |lua: &Lua, args: MultiValue| {
            let args = Arguments::new(lua, &args);
            if args.len() > arguments_max {
                return args.bad(arguments_max + 1, "found too many arguments");
            }
            setter(&args, &mut shared.borrow_mut())
        };
        cjson.raw_set(name, lua.create_function(function)?)?;
    }
    let new = move |lua: &Lua, _: MultiValue| library(lua, memory_bytes_max);
    cjson.raw_set("new", lua.create_function(new)?)?;
    cjson.raw_set("null", Value::NULL)?;
    cjson.raw_set("_NAME", "cjson")?;
    cjson.raw_set("_VERSION", "2.1.0")?;
    Ok(cjson)
}

fn one(value: Value) -> MultiValue {
    MultiValue::from_iter([value])
}

fn integer_option(
    args: &Arguments<'_>,
    index: usize,
    setting: &mut i32,
    min: i32,
    max: i32,
) -> mlua::Result<Value> {
    if !args.is_nil(index) {
        let value = args.integer(index)? as i32;
        if !(min..=max).contains(&value) {
            return args.bad(1, format!("expected integer between {min} and {max}"));
        }
        *setting = value;
    }
    Ok(Value::Integer((*setting).into()))
}

fn switch_option(args: &Arguments<'_>, index: usize, setting: &mut bool) -> mlua::Result<Value> {
    match args.value(index) {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *setting = *value,
        Some(_) => *setting = choice(args, index, &["off", "on"])? == 1,
    }
    Ok(Value::Boolean(*setting))
}

/// Which of some words an argument is.
fn choice(args: &Arguments<'_>, index: usize, words: &[&str]) -> mlua::Result<usize> {
    let text = args.string(index)?;
    let text = text.as_bytes();
    // As in C a text ends at its first zero.
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    match words.iter().position(|word| word.as_bytes() == text) {
        Some(found) => Ok(found),
        None => args.bad(index, [b"invalid option '", text, b"'"].concat()),
    }
}

fn encode_sparse_array(args: &Arguments<'_>, settings: &mut Settings) -> mlua::Result<MultiValue> {
    Ok(MultiValue::from_iter([
        switch_option(args, 1, &mut settings.sparse_as_object)?,
        integer_option(args, 2, &mut settings.sparse_ratio, 0, i32::MAX)?,
        integer_option(args, 3, &mut settings.sparse_safe, 0, i32::MAX)?,
    ]))
}

fn encode_invalid_numbers(
    args: &Arguments<'_>,
    settings: &mut Settings,
) -> mlua::Result<MultiValue> {
    let chosen = match args.value(1) {
        None | Some(Value::Nil) => None,
        Some(Value::Boolean(value)) => Some(usize::from(*value)),
        Some(_) => Some(choice(args, 1, &["off", "on", "null"])?),
    };
    if let Some(chosen) = chosen {
        settings.encode_invalid = [Invalid::Refused, Invalid::Written, Invalid::Null][chosen];
    }
    Ok(one(match settings.encode_invalid {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => Value::String(args.lua.create_string("null")?),
    }))
}

/// `cjson.encode(value)`
fn encode(
    args: &Arguments<'_>,
    settings: &Settings,
    memory_bytes_max: usize,
) -> mlua::Result<mlua::LuaString> {
    let (1, Some(value)) = (args.len(), args.value(1)) else {
        return args.bad(1, "expected 1 argument");
    };
    let work = Work::new(args.lua, memory_bytes_max);
    let mut encoder = Encoder { lua: args.lua, settings, work, out: Vec::new() };
    encoder.value(value, 0)?;
    args.lua.create_string(&encoder.out)
}

struct Encoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    work: Work<'a>,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value, depth: i32) -> mlua::Result<()> {
        match value {
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Integer(number) => self.number(*number as f64),
            Value::Number(number) => self.number(*number),
            Value::Boolean(true) => self.push(b"true"),
            Value::Boolean(false) => self.push(b"false"),
            Value::Nil => self.push(b"null"),
            Value::Table(table) => self.table(table, depth + 1),
            value if value.is_null() => self.push(b"null"),
            value => self.refuse(value, "type not supported"),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> mlua::Result<()> {
        self.work.write(self.out.len(), bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn refuse<T>(&self, value: &Value, why: &str) -> mlua::Result<T> {
        throw(self.lua, format!("Cannot serialise {}: {why}", type_name(Some(value))))
    }

    fn text(&mut self, text: &[u8]) -> mlua::Result<()> {
        self.work.write(self.out.len(), text.len() + 2)?;
        self.out.push(b'"');
        for &byte in text {
            match byte {
                b'"' | b'\\' | b'/' => self.out.extend([b'\\', byte]),
                b'\x08' => self.out.extend(b"\\b"),
                b'\t' => self.out.extend(b"\\t"),
                b'\n' => self.out.extend(b"\\n"),
                b'\x0c' => self.out.extend(b"\\f"),
                b'\r' => self.out.extend(b"\\r"),
                0..=31 | 127 => self.out.extend(format!("\\u{byte:04x}").bytes()),
                _ => self.out.push(byte),
            }
        }
        self.out.push(b'"');
        Ok(())
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        match self.settings.encode_invalid {
            Invalid::Refused if !number.is_finite() => {
                return self.refuse(&Value::Number(number), "must not be NaN or Inf");
            }
            Invalid::Written if number.is_nan() => return self.push(b"nan"),
            Invalid::Null if !number.is_finite() => return self.push(b"null"),
            _ => {}
        }
        let precision = self.settings.number_precision as usize;
        self.push(general(number, precision).as_bytes())
    }

    fn table(&mut self, table: &Table, depth: i32) -> mlua::Result<()> {
        if depth > self.settings.encode_depth_max.min(DEPTH_MAX) {
            return throw(self.lua, format!("Cannot serialise, excessive nesting ({depth})"));
        }
        match self.array_len(table)? {
            Some(len) if len > 0 => self.array(table, len, depth),
            _ => self.object(table, depth),
        }
    }

    /// How many elements the array has that a table is; nothing: it is none.
    fn array_len(&mut self, table: &Table) -> mlua::Result<Option<i32>> {
        let (mut max, mut items) = (0_i32, 0_i32);
        for pair in table.pairs::<Value, Value>() {
            self.work.spend(4)?;
            let number = match pair?.0 {
                Value::Integer(number) => number as f64,
                Value::Number(number) => number,
                _ => return Ok(None),
            };
            if number < 1.0 || number.fract() != 0.0 && number.is_finite() {
                return Ok(None);
            }
            if number > f64::from(max) {
                max = truncated_32(number);
            }
            items += 1;
        }
        let Settings { sparse_ratio, sparse_safe, .. } = *self.settings;
        if sparse_ratio > 0 && max > items.wrapping_mul(sparse_ratio) && max > sparse_safe {
            if !self.settings.sparse_as_object {
                return self.refuse(&Value::Table(table.clone()), "excessively sparse array");
            }
            return Ok(None);
        }
        Ok(Some(max))
    }

    fn array(&mut self, table: &Table, len: i32, depth: i32) -> mlua::Result<()> {
        self.push(b"[")?;
        for index in 1..=len {
            if index > 1 {
                self.push(b",")?;
            }
            self.work.spend(4)?;
            self.value(&table.raw_get(index)?, depth)?;
        }
        self.push(b"]")
    }

    fn object(&mut self, table: &Table, depth: i32) -> mlua::Result<()> {
        self.push(b"{")?;
        let mut is_first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !core::mem::take(&mut is_first) {
                self.push(b",")?;
            }
            match &key {
                Value::Integer(_) | Value::Number(_) => {
                    self.push(b"\"")?;
                    self.value(&key, depth)?;
                    self.push(b"\":")?;
                }
                Value::String(text) => {
                    self.text(&text.as_bytes())?;
                    self.push(b":")?;
                }
                key => return self.refuse(key, "table key must be a number or string"),
            }
            self.work.spend(4)?;
            self.value(&value, depth)?;
        }
        self.push(b"}")
    }
}
