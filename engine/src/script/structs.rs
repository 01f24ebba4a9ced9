//! The library `struct` of scripts: values in the layout that a format says, with the results of
//! the library that Redis has.
//!
//! Invariants: work is in proportion to the format and the data, nothing reads behind its end.

use mlua::{Lua, LuaString, MultiValue, Table, Value};

use super::arguments::{Arguments, STACK_SLOTS_MAX, throw, truncated};
use super::work::Work;

/// Bytes that an integer can have.
const INTEGER_BYTES_MAX: usize = 32;
/// What values are aligned to after `!`.
const ALIGNMENT: usize = 8;

/// The functions, by name.
pub(super) fn library(lua: &Lua, memory_bytes_max: usize) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    let function = move |lua: &Lua, mut args: MultiValue| {
        // In the original a nil is behind the arguments.
        if !args.is_empty() {
            args.push_back(Value::Nil);
        }
        pack(&Arguments::new(lua, &args), memory_bytes_max)
    };
    library.raw_set("pack", lua.create_function(function)?)?;
    let function =
        move |lua: &Lua, args: MultiValue| unpack(&Arguments::new(lua, &args), memory_bytes_max);
    library.raw_set("unpack", lua.create_function(function)?)?;
    let function =
        move |lua: &Lua, args: MultiValue| size(&Arguments::new(lua, &args), memory_bytes_max);
    library.raw_set("size", lua.create_function(function)?)?;
    Ok(library)
}

/// The options of a format, one after the other.
struct Format<'a, 'b> {
    args: &'a Arguments<'b>,
    text: &'a [u8],
    at: usize,
    is_big_endian: bool,
    alignment: usize,
    work: Work<'b>,
}

impl<'a, 'b> Format<'a, 'b> {
    fn new(args: &'a Arguments<'b>, text: &'a [u8], memory_bytes_max: usize) -> Self {
        // As in C a text ends at its first zero.
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let work = Work::new(args.lua, memory_bytes_max);
        Self { args, text, at: 0, is_big_endian: false, alignment: 1, work }
    }

    /// The next option and how many bytes it takes.
    fn next(&mut self) -> mlua::Result<Option<(u8, usize)>> {
        self.work.spend(1)?;
        let Some(&option) = self.text.get(self.at) else { return Ok(None) };
        self.at += 1;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'f' => 4,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_BYTES_MAX {
                    let text =
                        format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return throw(self.args.lua, text);
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// The number that is written next, or another if there is none.
    fn number(&mut self, otherwise: usize) -> mlua::Result<usize> {
        const MAX: usize = i32::MAX as usize;
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(otherwise);
        }
        let mut number = 0;
        for &digit in &self.text[self.at..self.at + digits] {
            let digit = usize::from(digit - b'0');
            if number > MAX / 10 || number * 10 > MAX - digit {
                return throw(self.args.lua, "integral size overflow");
            }
            number = number * 10 + digit;
        }
        self.at += digits;
        Ok(number)
    }

    /// Bytes before an element, to align it.
    fn padding(&self, position: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }

    /// An option that stands for no element.
    fn control(&mut self, option: u8) -> mlua::Result<()> {
        match option {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    let text = format!("alignment {alignment} is not a power of 2");
                    return throw(self.args.lua, text);
                }
                self.alignment = alignment;
            }
            option => {
                return self
                    .args
                    .bad(1, [&b"invalid format option '"[..], &[option], b"'"].concat());
            }
        }
        Ok(())
    }

    /// Bytes in the order that was chosen, from little-endian ones or to them.
    fn ordered<const LEN: usize>(&self, mut bytes: [u8; LEN]) -> [u8; LEN] {
        if self.is_big_endian {
            bytes.reverse();
        }
        bytes
    }
}

fn is_integer(option: u8) -> bool {
    matches!(option, b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I')
}

/// C's conversion to an unsigned 64-bit integer, as processors do it.
fn unsigned(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if number >= HALF {
        truncated(number - HALF) as u64 ^ 1 << 63
    } else {
        truncated(number) as u64
    }
}

/// `struct.pack(format, value, ...)`
fn pack(args: &Arguments<'_>, memory_bytes_max: usize) -> mlua::Result<LuaString> {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(args, &text, memory_bytes_max);
    let mut out = Vec::new();
    let mut index = 2;
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(out.len(), option, size);
        format.work.write(out.len(), padding + INTEGER_BYTES_MAX)?;
        out.resize(out.len() + padding, 0);
        match option {
            b'x' => out.push(0),
            b'f' => {
                let number = args.number(index)? as f32;
                out.extend(format.ordered(number.to_le_bytes()));
            }
            b'd' => out.extend(format.ordered(args.number(index)?.to_le_bytes())),
            b'c' | b's' => {
                let bytes = args.string(index)?;
                let bytes = bytes.as_bytes();
                let size = if size == 0 { bytes.len() } else { size };
                let Some(bytes) = bytes.get(..size) else {
                    return args.bad(index + 1, "string too short");
                };
                format.work.write(out.len(), size + 1)?;
                out.extend_from_slice(bytes);
                out.extend((option == b's').then_some(0));
            }
            option if is_integer(option) => {
                let number = args.number(index)?;
                let value = if number < 0.0 { truncated(number) as u64 } else { unsigned(number) };
                let mut bytes = [0; INTEGER_BYTES_MAX];
                bytes[..8].copy_from_slice(&value.to_le_bytes());
                if format.is_big_endian {
                    bytes[..size].reverse();
                }
                out.extend_from_slice(&bytes[..size]);
            }
            option => {
                format.control(option)?;
                continue;
            }
        }
        index += usize::from(option != b'x');
    }
    args.lua.create_string(&out)
}

/// `struct.unpack(format, data [, position])`: the values, and the position behind them.
fn unpack(args: &Arguments<'_>, memory_bytes_max: usize) -> mlua::Result<MultiValue> {
    let (text, data) = (args.string(1)?, args.string(2)?);
    let (text, data) = (text.as_bytes(), data.as_bytes());
    let position = args.integer_or(3, 1)?;
    if position == 0 {
        return args.bad(3, "offset must be 1 or greater");
    }
    let mut format = Format::new(args, &text, memory_bytes_max);
    let mut at = (position as usize).wrapping_sub(1);
    let mut values = Vec::new();
    while let Some((option, size)) = format.next()? {
        at = at.wrapping_add(format.padding(at, option, size));
        let mut taken = element(args, &data, at, size)?;
        if args.len() + values.len() + 2 > STACK_SLOTS_MAX {
            return throw(args.lua, "stack overflow (too many results)");
        }
        match option {
            b'x' => {}
            b'f' => {
                let bytes = format.ordered(fixed::<4>(taken));
                values.push(Value::Number(f32::from_le_bytes(bytes).into()));
            }
            b'd' => values.push(Value::Number(f64::from_le_bytes(format.ordered(fixed(taken))))),
            b'c' => {
                if size == 0 {
                    let last = values.pop();
                    let number = match last {
                        Some(value) => args.lua.coerce_number(value)?,
                        None => None,
                    };
                    let Some(number) = number else {
                        return throw(args.lua, "format 'c0' needs a previous size");
                    };
                    taken = element(args, &data, at, unsigned(number) as usize)?;
                }
                format.work.read(taken.len())?;
                values.push(Value::String(args.lua.create_string(taken)?));
            }
            b's' => {
                let rest = &data[at..];
                let Some(end) = rest.iter().position(|&byte| byte == 0) else {
                    return throw(args.lua, "unfinished string in data");
                };
                format.work.read(end)?;
                values.push(Value::String(args.lua.create_string(&rest[..end])?));
                taken = &rest[..=end];
            }
            option if is_integer(option) => {
                values.push(Value::Number(integer(taken, option, format.is_big_endian)));
            }
            option => format.control(option)?,
        }
        at += taken.len();
    }
    values.push(Value::Integer(at.wrapping_add(1) as i64));
    Ok(MultiValue::from_iter(values))
}

/// So many bytes of the data.
fn element<'a>(
    args: &Arguments<'_>,
    data: &'a [u8],
    at: usize,
    size: usize,
) -> mlua::Result<&'a [u8]> {
    match at.checked_add(size).and_then(|end| data.get(at..end)) {
        Some(bytes) => Ok(bytes),
        None => args.bad(2, "data string too short"),
    }
}

fn fixed<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    let mut fixed = [0; LEN];
    fixed.copy_from_slice(&bytes[..LEN]);
    fixed
}

/// The lowest 64 bits of an integer, with a sign if its option is in lower case.
fn integer(bytes: &[u8], option: u8, is_big_endian: bool) -> f64 {
    let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value =
        if is_big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) };
    if option.is_ascii_uppercase() {
        return value as f64;
    }
    // As processors shift: by the lowest six bits.
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    let value = if value & sign == 0 { value } else { value | sign };
    value as i64 as f64
}

/// `struct.size(format)`
fn size(args: &Arguments<'_>, memory_bytes_max: usize) -> mlua::Result<i64> {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(args, &text, memory_bytes_max);
    let mut total: usize = 0;
    while let Some((option, size)) = format.next()? {
        total = total.wrapping_add(format.padding(total, option, size));
        match option {
            b's' => return args.bad(1, "option 's' has no fixed size"),
            b'c' if size == 0 => return args.bad(1, "option 'c0' has no fixed size"),
            option if !option.is_ascii_alphanumeric() => format.control(option)?,
            _ => {}
        }
        total = total.wrapping_add(size);
    }
    Ok(total as i64)
}
