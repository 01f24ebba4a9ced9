//! `redis.register_function`: what a library's code calls to name its functions.
//!
//! Invariant: what is registered has a valid name that no other function of the library has.

use std::cell::RefCell;

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::function_flags::FunctionFlags;
use super::interpreter::raise;

/// A function of a library that is loaded.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) name: String,
    pub(super) description: Option<Vec<u8>>,
    pub(super) flags: FunctionFlags,
    pub(super) body: Function,
}

/// What the library has registered so far; nothing: none is loaded.
pub(super) type Registrations = RefCell<Option<Vec<Registration>>>;

const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and \
                        must be at least one character long";

/// Whether this may be the name of a library or a function.
pub(super) fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The error for a name that cannot be.
pub(super) fn bad_name() -> String {
    BAD_NAME.to_owned()
}

/// `redis.register_function(name, body)` or `redis.register_function{function_name=..., ...}`
pub(super) fn register(
    lua: &Lua,
    registrations: &Registrations,
    args: &MultiValue,
) -> mlua::Result<()> {
    if registrations.borrow().is_none() {
        return raise("ERR redis.register_function can only be called on FUNCTION LOAD command");
    }
    let registration = match args.len() {
        1 => named(lua, &args[0])?,
        2 => positional(lua, &args[0], &args[1])?,
        _ => return raise("ERR wrong number of arguments to redis.register_function"),
    };
    if !is_name(registration.name.as_bytes()) {
        return raise(format!("ERR {BAD_NAME}"));
    }
    let mut registrations = registrations.borrow_mut();
    let Some(known) = registrations.as_mut() else { return Ok(()) };
    if known.iter().any(|known| known.name == registration.name) {
        return raise("ERR Function already exists in the library");
    }
    known.push(registration);
    Ok(())
}

fn positional(lua: &Lua, name: &Value, body: &Value) -> mlua::Result<Registration> {
    let Some(name) = text(lua, name)? else {
        return raise("ERR first argument to redis.register_function must be a string");
    };
    let Value::Function(body) = body else {
        return raise("ERR second argument to redis.register_function must be a function");
    };
    let name = String::from_utf8_lossy(&name).into_owned();
    let flags = FunctionFlags::default();
    Ok(Registration { name, description: None, flags, body: body.clone() })
}

fn named(lua: &Lua, args: &Value) -> mlua::Result<Registration> {
    let Value::Table(args) = args else {
        return raise(
            "ERR calling redis.register_function with a single argument is only applicable to Lua \
             table (representing named arguments).",
        );
    };
    let (mut name, mut description, mut body) = (None, None, None);
    let mut flags = FunctionFlags::default();
    for pair in args.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = text(lua, &key)? else {
            return raise(
                "ERR named argument key given to redis.register_function is not a string",
            );
        };
        let must_be = |what: &str| {
            let key = String::from_utf8_lossy(&key).to_ascii_lowercase();
            raise(format!("ERR {key} argument given to redis.register_function must be a {what}"))
        };
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => match text(lua, &value)? {
                Some(text) => name = Some(String::from_utf8_lossy(&text).into_owned()),
                None => return must_be("string"),
            },
            b"description" => match text(lua, &value)? {
                Some(text) => description = Some(text),
                None => return must_be("string"),
            },
            b"callback" => match value {
                Value::Function(function) => body = Some(function),
                _ => return must_be("function"),
            },
            b"flags" => {
                let Value::Table(names) = value else {
                    return raise(
                        "ERR flags argument to redis.register_function must be a table \
                         representing function flags",
                    );
                };
                flags = flags_of(lua, &names)?;
            }
            _ => return raise("ERR unknown argument given to redis.register_function"),
        }
    }
    let Some(name) = name else {
        return raise("ERR redis.register_function must get a function name argument");
    };
    let Some(body) = body else {
        return raise("ERR redis.register_function must get a callback argument");
    };
    Ok(Registration { name, description, flags, body })
}

fn flags_of(lua: &Lua, names: &Table) -> mlua::Result<FunctionFlags> {
    let mut flags = FunctionFlags::default();
    for index in 1.. {
        let name = names.raw_get::<Value>(index)?;
        if name.is_nil() {
            break;
        }
        if !text(lua, &name)?.is_some_and(|name| flags.add(&name)) {
            return raise("ERR unknown flag given");
        }
    }
    Ok(flags)
}

/// A string, or a number as one.
fn text(lua: &Lua, value: &Value) -> mlua::Result<Option<Vec<u8>>> {
    match value {
        Value::String(text) => Ok(Some(text.as_bytes().to_vec())),
        Value::Integer(_) | Value::Number(_) => {
            let text = lua.coerce_string(value.clone())?;
            Ok(text.map(|text| text.as_bytes().to_vec()))
        }
        _ => Ok(None),
    }
}
