//! Functions whose originals in C could not be stopped or do harm: those of `string` that match
//! patterns, `rep`, `table.concat`, and what `unpack` needs.
//!
//! Invariant: what they return and the errors that they raise are those of Lua 5.1.

use memchr::memmem;
use mlua::{Lua, LuaString, MultiValue, Table, Value};

use super::arguments::{Arguments, STACK_SLOTS_MAX, throw, truncated_32, type_name};
use super::pattern::{Capture, Matcher};
use super::work::Work;

/// Bytes that make a pattern more than a text.
const SPECIAL: &[u8] = b"^$*+?.([%-";

/// Bytes whose search for a plain text is one unit of work.
const PLAIN_BYTES_PER_UNIT: usize = 4;

/// The functions, by name. `next_match` and `gsub_arguments` are what `gmatch` and `gsub` are made
/// of in the prelude.
pub(super) fn library(lua: &Lua, memory_bytes_max: usize) -> mlua::Result<Table> {
    type Function = fn(&Arguments<'_>, usize) -> mlua::Result<MultiValue>;
    let functions: [(&str, Function); 9] = [
        ("find", |args, memory| find(args, memory, true)),
        ("match", |args, memory| find(args, memory, false)),
        ("gmatch_arguments", gmatch_arguments),
        ("next_match", next_match),
        ("gsub_arguments", gsub_arguments),
        ("gsub", gsub),
        ("rep", rep),
        ("concat", concat),
        ("check_unpack", check_unpack),
    ];
    let strings = lua.create_table()?;
    for (name, function) in functions {
        let function = move |lua: &Lua, args: MultiValue| {
            function(&Arguments::new(lua, &args), memory_bytes_max)
        };
        strings.raw_set(name, lua.create_function(function)?)?;
    }
    Ok(strings)
}

/// `string.find(text, pattern [, init [, plain]])`, or `string.match`.
fn find(args: &Arguments<'_>, memory: usize, is_find: bool) -> mlua::Result<MultiValue> {
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let init = args.integer_or(3, 1)?;
    let from = match usize::try_from(init) {
        Ok(init) => init.saturating_sub(1),
        Err(_) => text.len().saturating_sub(init.unsigned_abs() as usize),
    };
    let from = from.min(text.len());
    let is_plain = !matches!(args.value(4), None | Some(Value::Nil | Value::Boolean(false)));
    let until_zero = pattern.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut work = Work::new(args.lua, memory);
    if is_find && (is_plain || !until_zero.iter().any(|byte| SPECIAL.contains(byte))) {
        work.spend((text.len() - from + pattern.len()) / PLAIN_BYTES_PER_UNIT)?;
        let found = memmem::find(&text[from..], &pattern).map(|at| from + at);
        return Ok(found.map_or_else(nothing, |at| {
            let ends = [at + 1, at + pattern.len()];
            ends.map(|end| Value::Integer(end as i64)).into_iter().collect()
        }));
    }
    let mut matcher = Matcher::new(args.lua, work, &text, &pattern);
    let is_anchored = matcher.take_anchor();
    let Some((start, end)) = matcher.search(from, is_anchored)? else { return Ok(nothing()) };
    let whole = (!is_find).then_some((start, end));
    let mut values = MultiValue::new();
    if is_find {
        values.push_back(Value::Integer(start as i64 + 1));
        values.push_back(Value::Integer(end as i64));
    }
    add_captures(args.lua, &matcher, &text, whole, &mut values)?;
    Ok(values)
}

fn nothing() -> MultiValue {
    MultiValue::from_iter([Value::Nil])
}

/// The captures of a match; if there are none the whole, unless it is not asked for.
fn add_captures(
    lua: &Lua,
    matcher: &Matcher<'_>,
    text: &[u8],
    whole: Option<(usize, usize)>,
    values: &mut MultiValue,
) -> mlua::Result<()> {
    let captures = matcher.captures();
    if captures.is_empty()
        && let Some((start, end)) = whole
    {
        values.push_back(Value::String(lua.create_string(&text[start..end])?));
    }
    for capture in captures {
        values.push_back(match *capture {
            Capture::Text(from, len) => Value::String(lua.create_string(&text[from..from + len])?),
            Capture::Position(at) => Value::Integer(at as i64 + 1),
            Capture::Open(_) => return throw(lua, "unfinished capture"),
        });
    }
    Ok(())
}

/// The arguments of `gmatch`: text and pattern.
fn gmatch_arguments(args: &Arguments<'_>, _: usize) -> mlua::Result<MultiValue> {
    Ok([args.string(1)?, args.string(2)?].map(Value::String).into_iter().collect())
}

/// `next_match(text, pattern, from, is_anchored)`: the next match from an offset on: from where and
/// to where it is, as offsets, and its captures.
fn next_match(args: &Arguments<'_>, memory: usize) -> mlua::Result<MultiValue> {
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let from = usize::try_from(args.integer(3)?).unwrap_or_default();
    let work = Work::new(args.lua, memory);
    let mut matcher = Matcher::new(args.lua, work, &text, &pattern);
    let found = matcher.search(from, matches!(args.value(4), Some(Value::Boolean(true))))?;
    let Some((start, end)) = found else { return Ok(nothing()) };
    let ends = [start, end].map(|end| Value::Integer(end as i64));
    let mut values = MultiValue::from_iter(ends);
    add_captures(args.lua, &matcher, &text, Some((start, end)), &mut values)?;
    Ok(values)
}

/// The arguments of `gsub`: text, pattern without its anchor, how many to replace at most, and
/// whether there was an anchor.
fn gsub_arguments(args: &Arguments<'_>, _: usize) -> mlua::Result<MultiValue> {
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let most = match args.is_nil(4) {
        true => text.as_bytes().len() as i64 + 1,
        false => truncated_32(args.number(4)?).into(),
    };
    let is_known = matches!(
        args.value(3),
        Some(
            Value::Integer(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Function(_)
                | Value::Table(_)
        )
    );
    if !is_known {
        return args.bad(3, "string/function/table expected");
    }
    let anchored = pattern.as_bytes().strip_prefix(b"^").map(<[u8]>::to_vec);
    let is_anchored = anchored.is_some();
    let pattern = anchored.map_or(Ok(pattern), |rest| args.lua.create_string(rest))?;
    Ok(MultiValue::from_iter([
        Value::String(text),
        Value::String(pattern),
        Value::Integer(most),
        Value::Boolean(is_anchored),
    ]))
}

/// `gsub(text, pattern, replacement, most, is_anchored)` with a text as the replacement, and the
/// other arguments from `gsub_arguments`.
fn gsub(args: &Arguments<'_>, memory: usize) -> mlua::Result<MultiValue> {
    let (text, pattern, replacement) = (args.string(1)?, args.string(2)?, args.string(3)?);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let most = args.integer(4)?;
    let is_anchored = matches!(args.value(5), Some(Value::Boolean(true)));
    let work = Work::new(args.lua, memory);
    let mut matcher = Matcher::new(args.lua, work, &text, &pattern);
    let (mut out, mut count, mut from) = (Vec::new(), 0, 0);
    while count < most && from <= text.len() {
        let Some((start, end)) = matcher.search(from, is_anchored)? else { break };
        count += 1;
        matcher.work().write(out.len(), start - from)?;
        out.extend_from_slice(&text[from..start]);
        add_replacement(args, &mut matcher, &replacement, &text, (start, end), &mut out)?;
        from = end;
        if start == end {
            out.extend(text.get(end));
            from += 1;
        }
        if is_anchored {
            break;
        }
    }
    let rest = text.get(from..).unwrap_or_default();
    matcher.work().write(out.len(), rest.len())?;
    out.extend_from_slice(rest);
    let made = Value::String(args.lua.create_string(&out)?);
    Ok(MultiValue::from_iter([made, Value::Integer(count)]))
}

/// Writes a replacement, in which `%1` stands for a capture and `%0` for the whole match.
fn add_replacement(
    args: &Arguments<'_>,
    matcher: &mut Matcher<'_>,
    replacement: &LuaString,
    text: &[u8],
    (start, end): (usize, usize),
    out: &mut Vec<u8>,
) -> mlua::Result<()> {
    let replacement = replacement.as_bytes();
    matcher.work().write(out.len(), replacement.len())?;
    let mut bytes = replacement.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        // As in C a zero is behind the end.
        let digit = match bytes.next().copied().unwrap_or(0) {
            digit @ b'0'..=b'9' => digit,
            other => {
                out.push(other);
                continue;
            }
        };
        let index = usize::from(digit - b'0');
        let captures = matcher.captures();
        let part = match index.checked_sub(1).map(|index| captures.get(index).copied()) {
            None => &text[start..end],
            Some(None) if index == 1 => &text[start..end],
            Some(None) => return throw(args.lua, "invalid capture index"),
            Some(Some(Capture::Open(_))) => return throw(args.lua, "unfinished capture"),
            Some(Some(Capture::Text(from, len))) => &text[from..from + len],
            Some(Some(Capture::Position(at))) => {
                out.extend((at + 1).to_string().bytes());
                continue;
            }
        };
        matcher.work().write(out.len(), part.len())?;
        out.extend_from_slice(part);
    }
    Ok(())
}

/// Checks the arguments of `unpack`: the original takes numbers that overflow for small ones, and
/// writes behind the end of its stack.
fn check_unpack(args: &Arguments<'_>, _: usize) -> mlua::Result<MultiValue> {
    let Some(Value::Table(list)) = args.value(1) else {
        let got = type_name(args.value(1));
        return args.bad(1, format!("table expected, got {got}"));
    };
    let from = args.integer_or(2, 1)? as i32;
    let to = match args.is_nil(3) {
        true => i32::try_from(list.raw_len()).unwrap_or(i32::MAX),
        false => args.integer(3)? as i32,
    };
    let count = i64::from(to) - i64::from(from) + 1;
    if count > 0 && count + args.len() as i64 > STACK_SLOTS_MAX as i64 {
        return throw(args.lua, "too many results to unpack");
    }
    Ok(MultiValue::new())
}

/// `string.rep(text, count)`
fn rep(args: &Arguments<'_>, memory: usize) -> mlua::Result<MultiValue> {
    let text = args.string(1)?;
    let count = usize::try_from(truncated_32(args.number(2)?)).unwrap_or_default();
    let text = text.as_bytes();
    Work::new(args.lua, memory).write(0, text.len().saturating_mul(count))?;
    let made = args.lua.create_string(text.repeat(count))?;
    Ok(MultiValue::from_iter([Value::String(made)]))
}

/// `table.concat(list [, separator [, from [, to]]])`
fn concat(args: &Arguments<'_>, memory: usize) -> mlua::Result<MultiValue> {
    let separator = if args.is_nil(2) { None } else { Some(args.string(2)?) };
    let separator = separator.as_ref().map(|text| text.as_bytes());
    let separator = separator.as_deref().unwrap_or_default();
    let Some(Value::Table(list)) = args.value(1) else {
        let got = type_name(args.value(1));
        return args.bad(1, format!("table expected, got {got}"));
    };
    let from = args.integer_or(3, 1)? as i32;
    let to = match args.is_nil(4) {
        true => i32::try_from(list.raw_len()).unwrap_or(i32::MAX),
        false => args.integer(4)? as i32,
    };
    let mut work = Work::new(args.lua, memory);
    let mut out = Vec::new();
    for index in from..=to {
        let value: Value = list.raw_get(index)?;
        let text = match &value {
            Value::String(text) => Some(text.clone()),
            Value::Integer(_) | Value::Number(_) => args.lua.coerce_string(value.clone())?,
            _ => None,
        };
        let Some(text) = text else {
            let kind = type_name(Some(&value));
            let what = format!("invalid value ({kind}) at index {index} in table for 'concat'");
            return throw(args.lua, what);
        };
        work.make(0)?;
        work.write(out.len(), text.as_bytes().len() + separator.len())?;
        out.extend_from_slice(&text.as_bytes());
        if index < to {
            out.extend_from_slice(separator);
        }
    }
    let made = args.lua.create_string(&out)?;
    Ok(MultiValue::from_iter([Value::String(made)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::arguments::Thrown;
    use crate::script::work::tell_of_work_by;
    use mlua::{Function, LuaOptions, StdLib};
    use proptest::prelude::*;

    /// Lua with its own library, and with ours.
    fn both() -> (Lua, Table, Table) {
        let lua = Lua::new_with(StdLib::STRING, LuaOptions::new()).expect("it is safe");
        let spend = lua.create_function(|_, _: usize| Ok(())).expect("there is memory");
        tell_of_work_by(&lua, &spend).expect("there is memory");
        let originals: Table = lua.globals().get("string").expect("it was asked for");
        let ours = library(&lua, 1 << 24).expect("there is memory");
        (lua, originals, ours)
    }

    /// What a function returns, or the text of its error.
    fn outcome(function: &Function, args: &[Value]) -> Result<Vec<String>, String> {
        let args: MultiValue = args.iter().cloned().collect();
        match function.call::<MultiValue>(args) {
            Ok(values) => Ok(values.iter().map(|value| format!("{value:?}")).collect()),
            Err(error) => match error.downcast_ref::<Thrown>() {
                Some(Thrown(text)) => Err(String::from_utf8_lossy(text).into_owned()),
                None => Err(error.to_string()),
            },
        }
    }

    fn agree(ours: &Function, original: &Function, args: &[Value]) {
        let (got, expected) = (outcome(ours, args), outcome(original, args));
        match (&got, &expected) {
            (Err(got), Err(expected)) => {
                assert!(expected.contains(got.as_str()), "{got} != {expected}: {args:?}");
            }
            _ => assert_eq!(got, expected, "{args:?}"),
        }
    }

    /// Parts of patterns, and what breaks them.
    const PARTS: [&str; 40] = [
        "a", "b", "c", "x", ".", "%a", "%d", "%s", "%S", "%w", "%x", "%z", "%p", "%.", "%%",
        "[ab]", "[^a]", "[a-c]", "[%a-]", "[]]", "[^]a]", "[a-]", "(", ")", "()", "%1", "%2",
        "%b()", "%bab", "%f[a]", "%f[^%w]", "*", "+", "-", "?", "^", "$", "%", "[", "\0",
    ];

    fn pattern() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(&PARTS[..]), 0..7)
            .prop_map(|parts| parts.concat())
    }

    fn text() -> impl Strategy<Value = String> {
        let bytes = prop::sample::select(&["a", "b", "c", "(", ")", " ", "1", "\0", "ab", "-"][..]);
        prop::collection::vec(bytes, 0..10).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn patterns_match_as_in_c(
            pattern in pattern(), text in text(), init in -12_i64..12, plain in any::<bool>(),
        ) {
            let (lua, originals, ours) = both();
            let string = |text: &str| Value::String(lua.create_string(text).expect("memory"));
            let args =
                [string(&text), string(&pattern), Value::Integer(init), Value::Boolean(plain)];
            for name in ["find", "match"] {
                let (one, other): (Function, Function) =
                    (ours.get(name).expect("it is there"), originals.get(name).expect("too"));
                agree(&one, &other, &args);
                agree(&one, &other, &args[..2]);
            }
        }

        #[test]
        fn texts_are_replaced_as_in_c(
            pattern in pattern(), text in text(), most in prop::option::of(-1_i64..5),
            replacement in prop::collection::vec(
                prop::sample::select(&["x", "%0", "%1", "%2", "%%", "%", "%a", ""][..]), 0..4),
        ) {
            let (lua, originals, ours) = both();
            let string = |text: &str| Value::String(lua.create_string(text).expect("memory"));
            let most = most.map_or(Value::Nil, Value::Integer);
            let args = [string(&text), string(&pattern), string(&replacement.concat()), most];
            let original: Function = originals.get("gsub").expect("it is there");
            let prepare: Function = ours.get("gsub_arguments").expect("it is there");
            let replace: Function = ours.get("gsub").expect("it is there");
            let joined = lua.create_function(move |_, args: MultiValue| {
                let replacement = args[2].clone();
                let mut prepared: MultiValue = prepare.call(args)?;
                prepared.insert(2, replacement);
                replace.call::<MultiValue>(prepared)
            }).expect("there is memory");
            agree(&joined, &original, &args);
        }

        #[test]
        fn texts_are_repeated_as_in_c(text in text(), count in -3_i64..20) {
            let (lua, originals, ours) = both();
            let args = [
                Value::String(lua.create_string(&text).expect("there is memory")),
                Value::Integer(count),
            ];
            let (one, other): (Function, Function) =
                (ours.get("rep").expect("it is there"), originals.get("rep").expect("too"));
            agree(&one, &other, &args);
        }
    }
}
