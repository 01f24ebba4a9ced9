//! The functions of `string` that search, and `string.rep`: Lua 5.1's results, but their work is
//! counted and what they make is bounded before it is made.
//!
//! Invariant: none of them calls a script's function but through the interpreter's own `pcall`, so
//! that an error of a script passes through as it is.

use memchr::memmem;
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use super::arguments::{Arguments, throw, type_name};
use super::interpreter::rethrow;
use super::pattern::{Capture, Fault, Matcher};
use super::work::Work;

/// What makes a text a pattern.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// The functions, by name. `pcall` is the interpreter's own.
pub(super) fn library(lua: &Lua, memory_bytes_max: usize) -> mlua::Result<Table> {
    let pcall: Function = lua.globals().get("pcall")?;
    let strings = lua.create_table()?;
    let find = move |lua: &Lua, args: MultiValue| search(lua, &args, memory_bytes_max, true);
    strings.set("find", lua.create_function(find)?)?;
    let search = move |lua: &Lua, args: MultiValue| search(lua, &args, memory_bytes_max, false);
    strings.set("match", lua.create_function(search)?)?;
    let gmatch = move |lua: &Lua, args: MultiValue| gmatch(lua, &args, memory_bytes_max);
    strings.set("gmatch", lua.create_function(gmatch)?)?;
    let gsub = move |lua: &Lua, args: MultiValue| gsub(lua, &args, memory_bytes_max, &pcall);
    strings.set("gsub", lua.create_function(gsub)?)?;
    let repeat = move |lua: &Lua, args: MultiValue| repeat(lua, &args, memory_bytes_max);
    strings.set("rep", lua.create_function(repeat)?)?;
    Ok(strings)
}

/// An answer, or the error that Lua raises instead of it.
fn settle<T>(lua: &Lua, result: Result<T, Fault>) -> mlua::Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(Fault::Malformed(text)) => throw(lua, text),
        Err(Fault::Stopped(error)) => Err(error),
    }
}

/// A position from the start, where one that is negative counts from the end.
fn from_start(position: i64, len: usize) -> i64 {
    if position < 0 { (position + len as i64 + 1).max(0) } else { position }
}

/// `string.find` and `string.match`.
fn search(
    lua: &Lua,
    args: &MultiValue,
    memory_bytes_max: usize,
    wants_place: bool,
) -> mlua::Result<MultiValue> {
    let args = Arguments::new(lua, args);
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let (text, pattern) = (&*text.as_bytes(), &*pattern.as_bytes());
    let start = from_start(args.integer_or(3, 1)?, text.len()).clamp(1, text.len() as i64 + 1);
    let start = (start - 1) as usize;
    let mut work = Work::new(lua, memory_bytes_max);
    let is_plain = matches!(args.value(4), Some(value) if !matches!(value, Value::Nil | Value::Boolean(false)));
    let head = pattern.split(|&byte| byte == 0).next().unwrap_or_default();
    if wants_place && (is_plain || !head.iter().any(|byte| SPECIALS.contains(byte))) {
        work.read(text.len() - start)?;
        let found = memmem::find(&text[start..], pattern).map(|at| start + at);
        return Ok(found.map_or_else(nothing, |at| {
            MultiValue::from_iter([at + 1, at + pattern.len()].map(number))
        }));
    }
    let (pattern, is_anchored) = unanchored(pattern);
    let mut matcher = Matcher::new(text, pattern, &mut work);
    for at in start..=text.len() {
        if let Some(end) = settle(lua, matcher.match_at(at))? {
            let mut values = MultiValue::new();
            if wants_place {
                values.extend([number(at + 1), number(end)]);
                if matcher.captures().is_empty() {
                    return Ok(values);
                }
            }
            captured(lua, text, &matcher, (at, end), &mut values)?;
            return Ok(values);
        }
        if is_anchored {
            break;
        }
    }
    Ok(nothing())
}

fn nothing() -> MultiValue {
    MultiValue::from_iter([Value::Nil])
}

fn number(value: usize) -> Value {
    Value::Number(value as f64)
}

/// The pattern without its anchor, and whether it had one.
fn unanchored(pattern: &[u8]) -> (&[u8], bool) {
    match pattern {
        [b'^', rest @ ..] => (rest, true),
        _ => (pattern, false),
    }
}

/// Appends what the parentheses have matched; without any, the whole match.
fn captured(
    lua: &Lua,
    text: &[u8],
    matcher: &Matcher<'_, '_>,
    (start, end): (usize, usize),
    values: &mut MultiValue,
) -> mlua::Result<()> {
    if matcher.captures().is_empty() {
        values.push_back(Value::String(lua.create_string(&text[start..end])?));
    }
    for &capture in matcher.captures() {
        values.push_back(value_of(lua, text, capture)?);
    }
    Ok(())
}

fn value_of(lua: &Lua, text: &[u8], capture: Capture) -> mlua::Result<Value> {
    match capture {
        Capture::Open { .. } => throw(lua, "unfinished capture"),
        Capture::Position(at) => Ok(number(at + 1)),
        Capture::Range { start, end } => lua.create_string(&text[start..end]).map(Value::String),
    }
}

/// `string.gmatch`: a function that gives the next match with every call.
fn gmatch(lua: &Lua, args: &MultiValue, memory_bytes_max: usize) -> mlua::Result<Function> {
    let args = Arguments::new(lua, args);
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let next = std::cell::Cell::new(0);
    lua.create_function(move |lua, _: MultiValue| {
        let (text, pattern) = (&*text.as_bytes(), &*pattern.as_bytes());
        let mut work = Work::new(lua, memory_bytes_max);
        let mut matcher = Matcher::new(text, pattern, &mut work);
        for at in next.get()..=text.len() {
            if let Some(end) = settle(lua, matcher.match_at(at))? {
                next.set(end + usize::from(end == at));
                let mut values = MultiValue::new();
                captured(lua, text, &matcher, (at, end), &mut values)?;
                return Ok(values);
            }
        }
        next.set(text.len() + 1);
        Ok(nothing())
    })
}

/// `string.gsub`.
fn gsub(
    lua: &Lua,
    args: &MultiValue,
    memory_bytes_max: usize,
    pcall: &Function,
) -> mlua::Result<MultiValue> {
    let args = Arguments::new(lua, args);
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let replacement = match args.value(3) {
        Some(Value::Function(function)) => Replacement::Function(function, pcall),
        Some(Value::Table(table)) => Replacement::Table(table),
        Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => {
            Replacement::Text(args.string(3)?)
        }
        _ => return args.bad(3, "string/function/table expected"),
    };
    let (text, pattern) = (&*text.as_bytes(), &*pattern.as_bytes());
    let times_max = args.integer_or(4, text.len() as i64 + 1)?;
    let mut work = Work::new(lua, memory_bytes_max);
    let (pattern, is_anchored) = unanchored(pattern);
    let mut matcher = Matcher::new(text, pattern, &mut work);
    let (mut made, mut at, mut times) = (Vec::new(), 0, 0);
    while times < times_max {
        let end = settle(lua, matcher.match_at(at))?;
        if let Some(end) = end {
            times += 1;
            replacement.append(lua, text, &mut matcher, (at, end), &mut made)?;
        }
        match end {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                made.push(text[at]);
                at += 1;
            }
            _ => break,
        }
        if is_anchored {
            break;
        }
    }
    matcher.work().write(made.len(), text.len() - at)?;
    made.extend_from_slice(&text[at..]);
    let made = Value::String(lua.create_string(&made)?);
    Ok(MultiValue::from_iter([made, Value::Number(times as f64)]))
}

/// What matches are replaced by.
enum Replacement<'a> {
    Text(LuaString),
    Table(&'a Table),
    /// A script's function, and what calls it.
    Function(&'a Function, &'a Function),
}

impl Replacement<'_> {
    /// Appends what replaces a match.
    fn append(
        &self,
        lua: &Lua,
        text: &[u8],
        matcher: &mut Matcher<'_, '_>,
        (start, end): (usize, usize),
        made: &mut Vec<u8>,
    ) -> mlua::Result<()> {
        let value = match self {
            Self::Text(template) => {
                return fill_in(lua, &template.as_bytes(), text, matcher, (start, end), made);
            }
            Self::Table(table) => {
                let mut values = MultiValue::new();
                captured(lua, text, matcher, (start, end), &mut values)?;
                table.get::<Value>(values.pop_front())?
            }
            Self::Function(function, pcall) => {
                let mut values = MultiValue::new();
                captured(lua, text, matcher, (start, end), &mut values)?;
                values.push_front(Value::Function((*function).clone()));
                let mut results: MultiValue = pcall.call(values)?;
                let ok = results.pop_front();
                let value = results.pop_front().unwrap_or(Value::Nil);
                if ok != Some(Value::Boolean(true)) {
                    return rethrow(lua, value);
                }
                value
            }
        };
        let whole = &text[start..end];
        match value {
            Value::Nil | Value::Boolean(false) => write(matcher, made, whole),
            Value::String(text) => write(matcher, made, &text.as_bytes()),
            Value::Integer(_) | Value::Number(_) => {
                let shown = lua.coerce_string(value)?.expect("a number has a text");
                write(matcher, made, &shown.as_bytes())
            }
            other => {
                let name = type_name(Some(&other));
                throw(lua, format!("invalid replacement value (a {name})"))
            }
        }
    }
}

/// Appends a text in which `%1` stands for what the first parentheses have matched.
fn fill_in(
    lua: &Lua,
    template: &[u8],
    text: &[u8],
    matcher: &mut Matcher<'_, '_>,
    (start, end): (usize, usize),
    made: &mut Vec<u8>,
) -> mlua::Result<()> {
    let mut rest = template;
    while let Some(at) = memchr::memchr(b'%', rest) {
        write(matcher, made, &rest[..at])?;
        // A zero byte is behind the end of a text, as in C.
        let escaped = rest.get(at + 1).copied().unwrap_or(0);
        rest = rest.get(at + 2..).unwrap_or_default();
        let index = match escaped {
            b'0' => None,
            b'1'..=b'9' => Some(usize::from(escaped - b'1')),
            other => {
                write(matcher, made, &[other])?;
                continue;
            }
        };
        match index.map(|index| (index, matcher.captures().get(index).copied())) {
            None | Some((0, None)) => write(matcher, made, &text[start..end])?,
            Some((_, None)) => return throw(lua, "invalid capture index"),
            Some((_, Some(Capture::Open { .. }))) => return throw(lua, "unfinished capture"),
            Some((_, Some(Capture::Position(at)))) => {
                write(matcher, made, (at + 1).to_string().as_bytes())?;
            }
            Some((_, Some(Capture::Range { start, end }))) => {
                write(matcher, made, &text[start..end])?;
            }
        }
    }
    write(matcher, made, rest)
}

fn write(matcher: &mut Matcher<'_, '_>, made: &mut Vec<u8>, bytes: &[u8]) -> mlua::Result<()> {
    matcher.work().write(made.len(), bytes.len())?;
    made.extend_from_slice(bytes);
    Ok(())
}

/// `string.rep`.
fn repeat(lua: &Lua, args: &MultiValue, memory_bytes_max: usize) -> mlua::Result<LuaString> {
    let args = Arguments::new(lua, args);
    let (text, times) = (args.string(1)?, args.integer(2)?);
    let text = &*text.as_bytes();
    let times = usize::try_from(super::arguments::truncated_32(times as f64)).unwrap_or(0);
    let len = text.len().saturating_mul(times);
    Work::new(lua, memory_bytes_max).write(0, len.saturating_mul(2))?;
    lua.create_string(text.repeat(times))
}
