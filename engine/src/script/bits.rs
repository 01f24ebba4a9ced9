//! The library `bit` of scripts: operations on numbers as 32 bits, with LuaBitOp's results.

use mlua::{Lua, MultiValue, Table, Value};

use super::convert::number_of;
use super::interpreter::raise_at;

/// An operation on two numbers.
type Pair = fn(u32, u32) -> u32;

/// An operation on one number.
type Single = fn(u32) -> u32;

/// Operations on one number and more.
const FOLDS: [(&str, Pair); 3] =
    [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
/// Operations on a number and a count of bits, of which the lowest five count.
const SHIFTS: [(&str, Pair); 5] = [
    ("lshift", |number, bits| number << bits),
    ("rshift", |number, bits| number >> bits),
    ("arshift", |number, bits| (number as i32 >> bits) as u32),
    ("rol", u32::rotate_left),
    ("ror", u32::rotate_right),
];
/// Operations on one number.
const SINGLES: [(&str, Single); 3] =
    [("tobit", |number| number), ("bnot", |number| !number), ("bswap", u32::swap_bytes)];

/// The functions, by name.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let bit = lua.create_table()?;
    for (name, fold) in FOLDS {
        let function = move |lua: &Lua, args: MultiValue| {
            let mut result = operand(lua, name, &args, 0)?;
            for index in 1..args.len() {
                result = fold(result, operand(lua, name, &args, index)?);
            }
            Ok(signed(result))
        };
        bit.set(name, lua.create_function(function)?)?;
    }
    for (name, shift) in SHIFTS {
        let function = move |lua: &Lua, args: MultiValue| {
            let number = operand(lua, name, &args, 0)?;
            Ok(signed(shift(number, operand(lua, name, &args, 1)? & 31)))
        };
        bit.set(name, lua.create_function(function)?)?;
    }
    for (name, single) in SINGLES {
        let function =
            move |lua: &Lua, args: MultiValue| Ok(signed(single(operand(lua, name, &args, 0)?)));
        bit.set(name, lua.create_function(function)?)?;
    }
    bit.set("tohex", lua.create_function(|lua, args: MultiValue| tohex(lua, &args))?)?;
    Ok(bit)
}

/// Hexadecimal digits: as many as asked for, upper case for a negative number of them.
fn tohex(lua: &Lua, args: &MultiValue) -> mlua::Result<String> {
    let number = operand(lua, "tohex", args, 0)?;
    let digits = match args.get(1) {
        None | Some(Value::Nil) => 8,
        Some(_) => operand(lua, "tohex", args, 1)? as i32,
    };
    let shown = digits.unsigned_abs().min(8) as usize;
    let all = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    Ok(all[8 - shown..].to_owned())
}

/// An argument as 32 bits: rounded to an integer, of which the lowest bits count.
fn operand(lua: &Lua, function: &str, args: &MultiValue, index: usize) -> mlua::Result<u32> {
    let value = args.get(index);
    let text = value.and_then(Value::as_string).map(|text| text.to_string_lossy());
    let spelled = text.and_then(|text| text.trim().parse::<f64>().ok());
    match value.and_then(number_of).or(spelled) {
        Some(number) => Ok(number.round_ties_even().rem_euclid(4_294_967_296.0) as u32),
        None => {
            let got = value.map_or("no value", Value::type_name);
            raise_at(
                lua,
                &format!(
                    "bad argument #{} to '{function}' (number expected, got {got})",
                    index + 1
                ),
            )
        }
    }
}

fn signed(bits: u32) -> f64 {
    f64::from(bits as i32)
}
