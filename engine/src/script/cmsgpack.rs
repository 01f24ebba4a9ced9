//! The library `cmsgpack` of scripts: MessagePack with the choices of the library that Redis has.
//!
//! Invariants: tables are written in the order of `next`, sixteen deep; each step of reading takes
//! at least a byte, and what is open is in a list, not on the stack.

use mlua::{Lua, MultiValue, Table, Value};

use super::arguments::{Arguments, STACK_SLOTS_MAX, throw, throw_plain, truncated, truncated_32};
use super::nest::Nest;
use super::work::Work;

/// Tables inside of tables that are written; deeper ones are nil.
const DEPTH_MAX: usize = 16;

/// The functions, by name.
pub(super) fn library(lua: &Lua, memory_bytes_max: usize) -> mlua::Result<Table> {
    let cmsgpack = lua.create_table()?;
    let function = move |lua: &Lua, args: MultiValue| pack(lua, &args, memory_bytes_max);
    cmsgpack.raw_set("pack", lua.create_function(function)?)?;
    let function = move |lua: &Lua, args: MultiValue| {
        let args = Arguments::new(lua, &args);
        unpack(&args, args.len(), 0, 0, memory_bytes_max)
    };
    cmsgpack.raw_set("unpack", lua.create_function(function)?)?;
    let function = move |lua: &Lua, args: MultiValue| {
        let args = Arguments::new(lua, &args);
        let offset = args.integer_or(2, 0)?;
        unpack(&args, 1, 1, offset, memory_bytes_max)
    };
    cmsgpack.raw_set("unpack_one", lua.create_function(function)?)?;
    let function = move |lua: &Lua, args: MultiValue| {
        let args = Arguments::new(lua, &args);
        let limit = args.integer(2)?;
        let offset = args.integer_or(3, 0)?;
        unpack(&args, 1, limit, offset, memory_bytes_max)
    };
    cmsgpack.raw_set("unpack_limit", lua.create_function(function)?)?;
    cmsgpack.raw_set("_NAME", "cmsgpack")?;
    cmsgpack.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    cmsgpack.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    cmsgpack.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(cmsgpack)
}

/// `cmsgpack.pack(value, ...)`
fn pack(lua: &Lua, values: &MultiValue, memory_bytes_max: usize) -> mlua::Result<mlua::LuaString> {
    if values.is_empty() {
        return Arguments::new(lua, values).bad(0, "MessagePack pack needs input.");
    }
    let mut packer = Packer { work: Work::new(lua, memory_bytes_max), out: Vec::new() };
    for value in values {
        packer.value(value, 0)?;
    }
    lua.create_string(&packer.out)
}

struct Packer<'a> {
    work: Work<'a>,
    out: Vec<u8>,
}

impl Packer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        self.work.spend(4)?;
        match value {
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Boolean(value) => self.push(&[if *value { 0xc3 } else { 0xc2 }]),
            Value::Integer(number) => self.integer(*number),
            Value::Number(number) => self.number(*number),
            Value::Table(table) if depth < DEPTH_MAX => self.table(table, depth),
            _ => self.push(&[0xc0]),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> mlua::Result<()> {
        self.work.write(self.out.len(), bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn text(&mut self, text: &[u8]) -> mlua::Result<()> {
        let len = text.len() as u32;
        match len {
            0..=31 => self.push(&[0xa0 | len as u8])?,
            32..=0xff => self.push(&[0xd9, len as u8])?,
            0x100..=0xffff => self.tagged(0xda, &(len as u16).to_be_bytes())?,
            _ => self.tagged(0xdb, &len.to_be_bytes())?,
        }
        self.push(text)
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) -> mlua::Result<()> {
        self.push(&[tag])?;
        self.push(bytes)
    }

    /// The shortest form.
    fn integer(&mut self, number: i64) -> mlua::Result<()> {
        match number {
            -32..=127 => self.push(&[number as u8]),
            0x80..=0xff => self.push(&[0xcc, number as u8]),
            0x100..=0xffff => self.tagged(0xcd, &(number as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.tagged(0xce, &(number as u32).to_be_bytes()),
            0x1_0000_0000.. => self.tagged(0xcf, &number.to_be_bytes()),
            -0x80..=-33 => self.push(&[0xd0, number as u8]),
            -0x8000..=-0x81 => self.tagged(0xd1, &(number as i16).to_be_bytes()),
            -0x8000_0000..=-0x8001 => self.tagged(0xd2, &(number as i32).to_be_bytes()),
            _ => self.tagged(0xd3, &number.to_be_bytes()),
        }
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        let whole = truncated(number);
        if number.is_finite() && whole as f64 == number {
            return self.integer(whole);
        }
        let short = number as f32;
        if f64::from(short) == number {
            return self.tagged(0xca, &short.to_be_bytes());
        }
        self.tagged(0xcb, &number.to_be_bytes())
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        let (len, is_array) = self.shape(table)?;
        let [short, tag_16, tag_32] =
            if is_array { [0x90, 0xdc, 0xdd] } else { [0x80, 0xde, 0xdf] };
        match len {
            0..=15 => self.push(&[short | len as u8])?,
            16..=0xffff => self.tagged(tag_16, &(len as u16).to_be_bytes())?,
            _ => self.tagged(tag_32, &(len as u32).to_be_bytes())?,
        }
        if is_array {
            for index in 1..=len {
                self.value(&table.raw_get(index)?, depth + 1)?;
            }
            return Ok(());
        }
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            self.value(&key, depth + 1)?;
            self.value(&value, depth + 1)?;
        }
        Ok(())
    }

    /// How many entries a table has, and whether its keys are the numbers from one to that.
    fn shape(&mut self, table: &Table) -> mlua::Result<(usize, bool)> {
        let (mut len, mut max, mut is_array) = (0_usize, 0_i32, true);
        for pair in table.pairs::<Value, Value>() {
            self.work.spend(4)?;
            len += 1;
            let number = match pair?.0 {
                Value::Integer(number) => number as f64,
                Value::Number(number) => number,
                _ => f64::NAN,
            };
            if is_array && number > 0.0 && f64::from(truncated_32(number)) == number {
                max = max.max(truncated_32(number));
            } else {
                is_array = false;
            }
        }
        Ok((len, is_array && max as usize == len))
    }
}

/// Reads values from an offset on, at most as many as the limit; all of them if both are zero.
fn unpack(
    args: &Arguments<'_>,
    slots: usize,
    limit: i64,
    offset: i64,
    memory_bytes_max: usize,
) -> mlua::Result<MultiValue> {
    let lua = args.lua;
    let text = args.string(1)?;
    let text = text.as_bytes();
    let len = text.len();
    let from = match usize::try_from(offset) {
        Ok(from) if limit >= 0 => from,
        _ => {
            let (offset, len) = (offset as i32, len as i32);
            let what = format!("with offset of {offset} and limit of {len}");
            return throw(lua, format!("Invalid request to unpack {what}."));
        }
    };
    if from > len {
        let offset = offset as i32;
        return throw(lua, format!("Start offset {offset} greater than input length {len}."));
    }
    let all = limit == 0 && offset == 0;
    let limit = if all { i64::from(i32::MAX) } else { limit };
    let work = Work::new(lua, memory_bytes_max);
    let mut unpacker = Unpacker {
        lua,
        work,
        text: &text,
        at: from,
        slots,
        open: None,
        outer: Vec::new(),
        waiting: Nest::new(lua),
    };
    let mut values = Vec::new();
    while unpacker.at < len && (values.len() as i64) < limit {
        values.push(unpacker.value()?);
        unpacker.slots += 1;
    }
    if !all {
        let next = if unpacker.at == len { -1 } else { unpacker.at as i64 };
        values.insert(0, Value::Integer(next));
    }
    Ok(MultiValue::from_iter(values))
}

/// A table whose end has not been read.
struct Open {
    table: Table,
    /// What it has still to get: elements, or entries.
    left: usize,
    kind: Kind,
}

enum Kind {
    /// It has so many elements.
    Array(usize),
    /// And the key whose value is read; nothing: a key is read.
    Map(Option<Value>),
}

/// A table of which a part is read that has parts itself; the table waits in a nest, with the key
/// if there is one.
enum Outer {
    Array(usize, usize),
    Map(usize, bool),
}

struct Unpacker<'a> {
    lua: &'a Lua,
    work: Work<'a>,
    text: &'a [u8],
    at: usize,
    /// Slots of its stack that the original would use.
    slots: usize,
    open: Option<Open>,
    /// What that is in, outermost first.
    outer: Vec<Outer>,
    waiting: Nest<'a>,
}

impl Unpacker<'_> {
    fn value(&mut self) -> mlua::Result<Value> {
        loop {
            let Some(mut value) = self.begin()? else { continue };
            loop {
                let Some(open) = &mut self.open else { return Ok(value) };
                match &mut open.kind {
                    Kind::Array(len) => {
                        *len += 1;
                        open.table.raw_set(*len, value)?;
                    }
                    Kind::Map(key) => match key.take() {
                        None => {
                            *key = Some(value);
                            self.slots += 1;
                            break;
                        }
                        Some(key) => {
                            self.slots -= 1;
                            set(&open.table, key, value)?;
                        }
                    },
                }
                open.left -= 1;
                if open.left > 0 {
                    break;
                }
                value = Value::Table(open.table.clone());
                self.leave()?;
            }
        }
    }

    /// What is read from here on is in this.
    fn enter(&mut self, open: Open) -> mlua::Result<()> {
        self.slots += match open.kind {
            Kind::Array(_) => 2,
            Kind::Map(_) => 1,
        };
        let Some(Open { table, left, kind }) = self.open.replace(open) else { return Ok(()) };
        self.waiting.push(table)?;
        self.outer.push(match kind {
            Kind::Array(len) => Outer::Array(left, len),
            Kind::Map(None) => Outer::Map(left, false),
            Kind::Map(Some(key)) => {
                self.waiting.push(key)?;
                Outer::Map(left, true)
            }
        });
        Ok(())
    }

    /// What is read from here on is in what was around that.
    fn leave(&mut self) -> mlua::Result<()> {
        self.slots -= match self.open.take().map(|open| open.kind) {
            Some(Kind::Array(_)) => 2,
            _ => 1,
        };
        let Some(outer) = self.outer.pop() else { return Ok(()) };
        let (left, kind) = match outer {
            Outer::Array(left, len) => (left, Kind::Array(len)),
            Outer::Map(left, false) => (left, Kind::Map(None)),
            Outer::Map(left, true) => (left, Kind::Map(Some(self.waiting.pop()?))),
        };
        if let Value::Table(table) = self.waiting.pop()? {
            self.open = Some(Open { table, left, kind });
        }
        Ok(())
    }

    /// A value that is whole, or nothing: a table was begun.
    fn begin(&mut self) -> mlua::Result<Option<Value>> {
        let Some(&tag) = self.text.get(self.at) else { return self.end() };
        self.work.spend(4)?;
        if self.slots + 1 > STACK_SLOTS_MAX {
            let why = "too many return values at once; use unpack_one or unpack_limit instead.";
            return throw(self.lua, format!("stack overflow ({why})"));
        }
        self.at += 1;
        let value = match tag {
            0..=0x7f => Value::Integer(tag.into()),
            0xe0..=0xff => Value::Integer((tag as i8).into()),
            0x80..=0x8f => return self.map((tag & 0xf).into()),
            0x90..=0x9f => return self.array((tag & 0xf).into()),
            0xa0..=0xbf => self.bytes((tag & 0x1f).into())?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f32::from_be_bytes(self.fixed()?).into()),
            0xcb => Value::Number(f64::from_be_bytes(self.fixed()?)),
            0xcc => Value::Integer(u8::from_be_bytes(self.fixed()?).into()),
            0xcd => Value::Integer(u16::from_be_bytes(self.fixed()?).into()),
            0xce => Value::Integer(u32::from_be_bytes(self.fixed()?).into()),
            0xd0 => Value::Integer(i8::from_be_bytes(self.fixed()?).into()),
            0xd1 => Value::Integer(i16::from_be_bytes(self.fixed()?).into()),
            0xd2 => Value::Integer(i32::from_be_bytes(self.fixed()?).into()),
            // As in the original large unsigned numbers turn negative.
            0xcf | 0xd3 => Value::Integer(i64::from_be_bytes(self.fixed()?)),
            0xd9 => {
                let len = u8::from_be_bytes(self.fixed()?);
                self.bytes(len.into())?
            }
            0xda => {
                let len = u16::from_be_bytes(self.fixed()?);
                self.bytes(len.into())?
            }
            0xdb => {
                let len = u32::from_be_bytes(self.fixed()?);
                self.bytes(len as usize)?
            }
            0xdc | 0xde => {
                let len = u16::from_be_bytes(self.fixed()?).into();
                return if tag == 0xdc { self.array(len) } else { self.map(len) };
            }
            0xdd | 0xdf => {
                let len = u32::from_be_bytes(self.fixed()?) as usize;
                return if tag == 0xdd { self.array(len) } else { self.map(len) };
            }
            _ => return throw(self.lua, "Bad data format in input."),
        };
        Ok(Some(value))
    }

    fn end<T>(&self) -> mlua::Result<T> {
        throw(self.lua, "Missing bytes in input.")
    }

    fn take(&mut self, len: usize) -> mlua::Result<&[u8]> {
        let Some(bytes) = self.text[self.at..].get(..len) else { return self.end() };
        self.at += len;
        Ok(bytes)
    }

    fn fixed<const LEN: usize>(&mut self) -> mlua::Result<[u8; LEN]> {
        let mut fixed = [0; LEN];
        fixed.copy_from_slice(self.take(LEN)?);
        Ok(fixed)
    }

    fn bytes(&mut self, len: usize) -> mlua::Result<Value> {
        // Only what is there costs anything.
        self.work.read(len.min(self.text.len() - self.at))?;
        let lua = self.lua;
        Ok(Value::String(lua.create_string(self.take(len)?)?))
    }

    fn array(&mut self, len: usize) -> mlua::Result<Option<Value>> {
        let table = self.lua.create_table()?;
        if self.slots + 2 > STACK_SLOTS_MAX {
            return throw(self.lua, "stack overflow (in function mp_decode_to_lua_array)");
        }
        if len == 0 {
            return Ok(Some(Value::Table(table)));
        }
        self.enter(Open { table, left: len, kind: Kind::Array(0) })?;
        Ok(None)
    }

    fn map(&mut self, len: usize) -> mlua::Result<Option<Value>> {
        let table = self.lua.create_table()?;
        if len == 0 {
            return Ok(Some(Value::Table(table)));
        }
        self.enter(Open { table, left: len, kind: Kind::Map(None) })?;
        Ok(None)
    }
}

/// Sets an entry of a table, with Lua's errors.
fn set(table: &Table, key: Value, value: Value) -> mlua::Result<()> {
    match key {
        Value::Nil => throw_plain("table index is nil"),
        Value::Number(number) if number.is_nan() => throw_plain("table index is NaN"),
        key => table.raw_set(key, value),
    }
}
