//! The library `bit` of scripts: operations on numbers as 32 bits, with LuaBitOp's results.

use mlua::{Lua, MultiValue, Table};

use super::arguments::Arguments;

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
            let args = Arguments::new(lua, &args);
            let mut result = operand(&args, 1)?;
            for index in 2..=args.len() {
                result = fold(result, operand(&args, index)?);
            }
            Ok(signed(result))
        };
        bit.set(name, lua.create_function(function)?)?;
    }
    for (name, shift) in SHIFTS {
        let function = move |lua: &Lua, args: MultiValue| {
            let args = Arguments::new(lua, &args);
            let number = operand(&args, 1)?;
            Ok(signed(shift(number, operand(&args, 2)? & 31)))
        };
        bit.set(name, lua.create_function(function)?)?;
    }
    for (name, single) in SINGLES {
        let function = move |lua: &Lua, args: MultiValue| {
            Ok(signed(single(operand(&Arguments::new(lua, &args), 1)?)))
        };
        bit.set(name, lua.create_function(function)?)?;
    }
    let function = |lua: &Lua, args: MultiValue| tohex(&Arguments::new(lua, &args));
    bit.set("tohex", lua.create_function(function)?)?;
    Ok(bit)
}

/// Hexadecimal digits: as many as asked for, upper case for a negative number of them.
fn tohex(args: &Arguments<'_>) -> mlua::Result<String> {
    let number = operand(args, 1)?;
    let digits = if args.value(2).is_none() { 8 } else { operand(args, 2)? as i32 };
    let shown = digits.unsigned_abs().min(8) as usize;
    let all = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    Ok(all[8 - shown..].to_owned())
}

/// An argument as 32 bits: rounded to an integer, of which the lowest bits count.
fn operand(args: &Arguments<'_>, index: usize) -> mlua::Result<u32> {
    let number = args.number(index)?;
    Ok(number.round_ties_even().rem_euclid(4_294_967_296.0) as u32)
}

fn signed(bits: u32) -> f64 {
    f64::from(bits as i32)
}
