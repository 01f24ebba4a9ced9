//! What clients do: keys, commands and the values they write.
//!
//! Every value written in a run is different and says which operation wrote it, so that a read
//! tells exactly which write it saw.

use crate::chance::{Chance, Draw, Key, Stream};
use crate::setup::Knobs;

/// A kind of use, with keys of its own on each server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// Registers with nothing but GET and SET.
    Plain,
    /// Registers: reads, writes, conditional writes, deletions.
    Registers,
    /// Counters: increments and reads.
    Counters,
    /// Keys with a time to live.
    Ttl,
    /// Many keys, written and read back in pipelines, so that tables grow.
    Bulk,
}

impl Workload {
    /// What runs when nothing else is said.
    pub const DEFAULT: [Self; 4] = [Self::Registers, Self::Counters, Self::Ttl, Self::Bulk];
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Plain, Self::Registers, Self::Counters, Self::Ttl, Self::Bulk];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Registers => "registers",
            Self::Counters => "counters",
            Self::Ttl => "ttl",
            Self::Bulk => "bulk",
        }
    }

    /// The workload of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// The commands it sends.
    #[must_use]
    pub fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Bulk => &["GET", "SET"],
            Self::Registers => &["GET", "SET", "DEL", "GETDEL"],
            Self::Counters => &["GET", "INCRBY"],
            Self::Ttl => &["GET", "SET", "PEXPIRE", "PTTL"],
        }
    }

    fn letter(self) -> u8 {
        match self {
            Self::Plain => b'p',
            Self::Registers => b'r',
            Self::Counters => b'c',
            Self::Ttl => b't',
            Self::Bulk => b'b',
        }
    }
}

/// A key of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// Its use.
    pub workload: Workload,
    /// Which of them.
    pub index: u16,
}

impl KeyName {
    /// Appends the key as the server sees it.
    #[inline]
    pub fn write(self, out: &mut Vec<u8>) {
        out.push(self.workload.letter());
        push_number(out, u64::from(self.index));
    }
}

/// A command on one key. Values are numbers; [`Values`] says how they look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the arguments that Redis's manual names")]
pub enum Ask {
    /// GET.
    Get,
    /// SET.
    Set { value: u64 },
    /// SET NX.
    SetNx { value: u64 },
    /// SET XX.
    SetXx { value: u64 },
    /// SET IFEQ.
    Cas { from: u64, value: u64 },
    /// SET PX.
    SetPx { value: u64, ttl_ms: u64 },
    /// GETDEL.
    GetDel,
    /// DEL.
    Del,
    /// INCRBY.
    IncrBy { by: i64 },
    /// PEXPIRE.
    Pexpire { ttl_ms: u64 },
    /// PTTL.
    Pttl,
}

impl Ask {
    /// Draws the next command on a key of this workload. `value` is a value that nobody has
    /// written; `seen` is one that the client saw there, or zero.
    #[must_use]
    pub fn draw(draw: &mut Draw, workload: Workload, value: u64, seen: u64, knobs: &Knobs) -> Self {
        let die = draw.below(100);
        let ttl_ms = |draw: &mut Draw| draw.between(knobs.ttl_least_ms, knobs.ttl_most_ms);
        match workload {
            Workload::Plain | Workload::Bulk if die < 50 => Self::Get,
            Workload::Plain | Workload::Bulk => Self::Set { value },
            Workload::Registers => match die {
                0..42 => Self::Get,
                42..66 => Self::Set { value },
                66..84 if seen != 0 => Self::Cas { from: seen, value },
                66..86 => Self::SetNx { value },
                86..91 => Self::SetXx { value },
                91..95 => Self::GetDel,
                _ => Self::Del,
            },
            Workload::Counters if die < 60 => {
                // Mostly the same step: increments whose outcome is unknown then stay
                // exchangeable.
                Self::IncrBy { by: if die < 54 { 1 } else { -1 } }
            }
            Workload::Counters => Self::Get,
            Workload::Ttl => match die {
                0..35 => Self::Get,
                35..68 => Self::SetPx { value, ttl_ms: ttl_ms(draw) },
                68..74 => Self::Set { value },
                74..90 => Self::Pttl,
                _ => Self::Pexpire { ttl_ms: ttl_ms(draw) },
            },
        }
    }

    /// Appends the command as the server sees it.
    pub fn write(self, key: KeyName, values: &Values, out: &mut Vec<u8>) {
        let words = Words { key, values, out };
        match self {
            Self::Get => words.send(b"*2\r\n$3\r\nGET\r\n", None, None, b""),
            Self::Set { value } => words.send(b"*3\r\n$3\r\nSET\r\n", Some(value), None, b""),
            Self::SetNx { value } => {
                words.send(b"*4\r\n$3\r\nSET\r\n", Some(value), None, b"$2\r\nNX\r\n");
            }
            Self::SetXx { value } => {
                words.send(b"*4\r\n$3\r\nSET\r\n", Some(value), None, b"$2\r\nXX\r\n");
            }
            Self::Cas { from, value } => {
                words.send(b"*5\r\n$3\r\nSET\r\n", Some(value), None, b"$4\r\nIFEQ\r\n");
                bulk(out, |out| values.write(from, out));
            }
            Self::SetPx { value, ttl_ms } => {
                words.send(b"*5\r\n$3\r\nSET\r\n", Some(value), None, b"$2\r\nPX\r\n");
                bulk(out, |out| push_number(out, ttl_ms));
            }
            Self::GetDel => words.send(b"*2\r\n$6\r\nGETDEL\r\n", None, None, b""),
            Self::Del => words.send(b"*2\r\n$3\r\nDEL\r\n", None, None, b""),
            Self::IncrBy { by } => words.send(b"*3\r\n$6\r\nINCRBY\r\n", None, Some(by), b""),
            Self::Pexpire { ttl_ms } => {
                words.send(b"*3\r\n$7\r\nPEXPIRE\r\n", None, Some(ttl_ms as i64), b"");
            }
            Self::Pttl => words.send(b"*2\r\n$4\r\nPTTL\r\n", None, None, b""),
        }
    }
}

struct Words<'a> {
    key: KeyName,
    values: &'a Values,
    out: &'a mut Vec<u8>,
}

impl Words<'_> {
    #[inline]
    fn send(self, head: &[u8], value: Option<u64>, number: Option<i64>, tail: &[u8]) {
        let Self { key, values, out } = self;
        out.extend_from_slice(head);
        bulk(out, |out| key.write(out));
        if let Some(value) = value {
            bulk(out, |out| values.write(value, out));
        }
        if let Some(number) = number {
            bulk(out, |out| {
                if number < 0 {
                    out.push(b'-');
                }
                push_number(out, number.unsigned_abs());
            });
        }
        out.extend_from_slice(tail);
    }
}

/// Appends a bulk string; nearly all are short enough for the length to be put in afterwards.
#[inline]
fn bulk(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(b"$00\r\n");
    let body = out.len();
    write(out);
    let len = out.len() - body;
    if len < 100 {
        out[start + 1] = b'0' + (len / 10) as u8;
        out[start + 2] = b'0' + (len % 10) as u8;
        if len < 10 {
            out.copy_within(start + 2.., start + 1);
            out.pop();
        }
    } else {
        let mut digits = Vec::with_capacity(8);
        push_number(&mut digits, len as u64);
        out.splice(start + 1..start + 3, digits);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
#[inline]
pub(crate) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// How values look: integers, short strings, and strings of the lengths at which an engine stores
/// or moves them differently.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    key: Key,
}

impl Values {
    /// The looks of this run's values.
    #[must_use]
    pub fn new(chance: Chance) -> Self {
        Self { key: chance.key(Stream::Value, 0) }
    }

    /// Appends the value of a number.
    pub fn write(&self, value: u64, out: &mut Vec<u8>) {
        let mut draw = self.key.at(value);
        let style = draw.below(256);
        if style >= 128 {
            out.push(b'v');
        }
        let start = out.len();
        push_number(out, value);
        let len = match style {
            0..240 => return,
            240..250 => draw.between(20, 200),
            250..255 => draw.between(200, 2_000),
            _ => draw.between(2_000, 20_000),
        };
        out.resize(start + len as usize, b'.');
    }

    /// The number whose value this is.
    #[must_use]
    pub fn read(&self, bytes: &[u8], scratch: &mut Vec<u8>) -> Option<u64> {
        let digits = bytes.strip_prefix(b"v").unwrap_or(bytes);
        let len = digits.iter().take(19).take_while(|byte| byte.is_ascii_digit()).count();
        let number = digits[..len].iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'));
        scratch.clear();
        self.write(number, scratch);
        (scratch == bytes).then_some(number)
    }
}

/// A reply as its bytes say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Integer(i64),
    Bulk(&'a [u8]),
    Nil,
    /// Not a reply to any command here.
    Odd(&'a [u8]),
}

/// The first reply in `bytes` and its length; `None` while it is not complete.
#[inline]
pub(crate) fn parse_reply(bytes: &[u8]) -> Option<(Said<'_>, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let line = rest[..end].strip_suffix(b"\r");
    let line_len = end + 2;
    let Some(line) = line else { return Some((Said::Odd(&bytes[..line_len]), line_len)) };
    let said = match first {
        b'+' => Said::Simple(line),
        b'-' => Said::Error(line),
        b':' => number(line).map_or(Said::Odd(line), Said::Integer),
        b'$' => match number(line) {
            Some(-1) => Said::Nil,
            Some(len @ 0..) => {
                let len = len as usize;
                let body = bytes.get(line_len..line_len + len + 2)?;
                return Some((Said::Bulk(&body[..len]), line_len + len + 2));
            }
            _ => Said::Odd(line),
        },
        _ => Said::Odd(&bytes[..line_len]),
    };
    Some((said, line_len))
}

/// A decimal number as replies have them.
pub(crate) fn number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut sum: i64 = 0;
    for digit in digits {
        sum = sum.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(sum) } else { sum.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_resp() {
        let values = Values::new(Chance::new(1));
        let key = KeyName { workload: Workload::Ttl, index: 12 };
        let mut out = Vec::new();
        Ask::Pexpire { ttl_ms: 1500 }.write(key, &values, &mut out);
        assert_eq!(out, b"*3\r\n$7\r\nPEXPIRE\r\n$3\r\nt12\r\n$4\r\n1500\r\n");
        out.clear();
        Ask::IncrBy { by: -1 }.write(key, &values, &mut out);
        assert_eq!(out, b"*3\r\n$6\r\nINCRBY\r\n$3\r\nt12\r\n$2\r\n-1\r\n");
    }

    #[test]
    fn bulk_strings_of_every_length_say_their_length() {
        for len in [0, 1, 9, 10, 11, 99, 100, 101, 20_000] {
            let mut out = Vec::new();
            bulk(&mut out, |out| out.resize(out.len() + len, b'x'));
            let (said, consumed) = parse_reply(&out).expect("complete");
            assert_eq!((said, consumed), (Said::Bulk(&vec![b'x'; len]), out.len()));
        }
    }

    #[test]
    fn a_value_is_read_back_and_nothing_else_is() {
        let values = Values::new(Chance::new(1));
        let mut scratch = Vec::new();
        for number in 1..3000 {
            let mut text = Vec::new();
            values.write(number, &mut text);
            assert_eq!(values.read(&text, &mut scratch), Some(number));
            text.push(b'.');
            assert_eq!(values.read(&text, &mut scratch), None);
        }
        assert_eq!(values.read(b"", &mut scratch), None);
        assert_eq!(values.read(b"hello", &mut scratch), None);
    }

    #[test]
    fn replies_are_parsed_when_they_are_complete() {
        for reply in ["+OK\r\n", "$-1\r\n", "$3\r\nabc\r\n", ":-12\r\n", "-ERR no\r\n"] {
            for len in 0..reply.len() {
                assert_eq!(parse_reply(&reply.as_bytes()[..len]), None);
            }
            let two = format!("{reply}+OK\r\n");
            assert_eq!(parse_reply(two.as_bytes()).map(|(_, len)| len), Some(reply.len()));
        }
        assert_eq!(parse_reply(b":-12\r\n"), Some((Said::Integer(-12), 6)));
        assert_eq!(parse_reply(b"*1\r\n"), Some((Said::Odd(b"*1\r\n"), 4)));
    }

    #[test]
    fn draws_of_a_workload_stay_with_its_commands() {
        let knobs = Knobs::draw(Chance::new(1));
        let key = Chance::new(1).key(Stream::Command, 0);
        let values = Values::new(Chance::new(1));
        for workload in Workload::ALL {
            for index in 0..500 {
                let ask = Ask::draw(&mut key.at(index), workload, index + 1, index % 3, &knobs);
                let mut out = Vec::new();
                ask.write(KeyName { workload, index: 0 }, &values, &mut out);
                let name = out.split(|&byte| byte == b'\n').nth(2).expect("a name");
                let name = std::str::from_utf8(&name[..name.len() - 1]).expect("ASCII");
                assert!(workload.commands().contains(&name), "{workload:?} {name}");
            }
        }
    }
}
