//! Arguments of library functions as Lua's own C libraries take them, and the errors that those
//! raise: texts that begin with the place of the call.

use mlua::{Lua, LuaString, MultiValue, Value};

/// Slots that the stack of one function can have in Lua 5.1.
pub(super) const STACK_SLOTS_MAX: usize = 8000;

/// An error that scripts see as a text.
#[derive(Debug)]
pub(super) struct Thrown(pub(super) Vec<u8>);

impl core::fmt::Display for Thrown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl core::error::Error for Thrown {}

/// An error with this text alone.
pub(super) fn throw_plain<T>(text: impl AsRef<[u8]>) -> mlua::Result<T> {
    Err(mlua::Error::external(Thrown(text.as_ref().to_vec())))
}

/// The level of the function that was called, as scripts see it: some of ours are called by the
/// prelude.
fn level(lua: &Lua) -> usize {
    let is_prelude = |level: usize| {
        let source =
            lua.inspect_stack(level, |it| it.source().short_src.as_deref() == Some("prelude"));
        source == Some(true)
    };
    (0..).find(|level| !is_prelude(level + 1)).unwrap_or(0)
}

/// An error that says where the running function was called, if a script called it.
pub(super) fn throw<T>(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Result<T> {
    let place = lua.inspect_stack(level(lua) + 1, |caller| {
        let line = caller.current_line().filter(|&line| line > 0)?;
        let source = caller.source();
        Some(format!("{}:{line}: ", source.short_src.as_deref().unwrap_or("?")))
    });
    let mut shown = place.flatten().unwrap_or_default().into_bytes();
    shown.extend_from_slice(text.as_ref());
    throw_plain(shown)
}

/// The name of a value's type in Lua.
pub(super) fn type_name(value: Option<&Value>) -> &'static str {
    match value {
        None => "no value",
        Some(Value::Integer(_) | Value::Number(_)) => "number",
        Some(Value::LightUserData(_) | Value::UserData(_) | Value::Error(_)) => "userdata",
        Some(value) => value.type_name(),
    }
}

/// C's conversion to a 64-bit integer, as processors do it.
pub(super) fn truncated(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// C's conversion to a 32-bit integer, as processors do it.
pub(super) fn truncated_32(number: f64) -> i32 {
    let whole = number.trunc();
    if (-2_147_483_648.0..2_147_483_648.0).contains(&whole) { whole as i32 } else { i32::MIN }
}

/// The arguments of a call. Indices begin at 1, as in the texts of errors.
pub(super) struct Arguments<'a> {
    pub(super) lua: &'a Lua,
    values: &'a MultiValue,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(lua: &'a Lua, values: &'a MultiValue) -> Self {
        Self { lua, values }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn value(&self, index: usize) -> Option<&'a Value> {
        self.values.get(index - 1)
    }

    /// Whether there is no value, or nil.
    pub(super) fn is_nil(&self, index: usize) -> bool {
        matches!(self.value(index), None | Some(Value::Nil))
    }

    /// The error that an argument is not what it must be.
    pub(super) fn bad<T>(&self, index: usize, why: impl AsRef<[u8]>) -> mlua::Result<T> {
        let running = self.lua.inspect_stack(level(self.lua), |running| {
            let names = running.names();
            (names.name.map(|name| name.into_owned()), names.name_what == Some("method"))
        });
        let (name, is_method) = running.unwrap_or_default();
        let name = name.unwrap_or_else(|| "?".to_owned());
        let mut text = match index {
            1 if is_method => format!("calling '{name}' on bad self ("),
            _ if is_method => format!("bad argument #{} to '{name}' (", index - 1),
            _ => format!("bad argument #{index} to '{name}' ("),
        }
        .into_bytes();
        text.extend_from_slice(why.as_ref());
        text.push(b')');
        throw(self.lua, text)
    }

    fn of_another_type<T>(&self, index: usize, expected: &str) -> mlua::Result<T> {
        let got = type_name(self.value(index));
        self.bad(index, format!("{expected} expected, got {got}"))
    }

    /// A string, or a number as one.
    pub(super) fn string(&self, index: usize) -> mlua::Result<LuaString> {
        let value = match self.value(index) {
            Some(Value::String(text)) => return Ok(text.clone()),
            Some(value @ (Value::Integer(_) | Value::Number(_))) => value.clone(),
            _ => return self.of_another_type(index, "string"),
        };
        match self.lua.coerce_string(value)? {
            Some(text) => Ok(text),
            None => self.of_another_type(index, "string"),
        }
    }

    /// A number, or a string as one.
    pub(super) fn number(&self, index: usize) -> mlua::Result<f64> {
        match self.value(index) {
            Some(Value::Integer(number)) => Ok(*number as f64),
            Some(Value::Number(number)) => Ok(*number),
            Some(value @ Value::String(_)) => match self.lua.coerce_number(value.clone())? {
                Some(number) => Ok(number),
                None => self.of_another_type(index, "number"),
            },
            _ => self.of_another_type(index, "number"),
        }
    }

    /// A number without its fraction.
    pub(super) fn integer(&self, index: usize) -> mlua::Result<i64> {
        self.number(index).map(truncated)
    }

    /// A number without its fraction, or another if there is no value.
    pub(super) fn integer_or(&self, index: usize, otherwise: i64) -> mlua::Result<i64> {
        if self.is_nil(index) { Ok(otherwise) } else { self.integer(index) }
    }
}
