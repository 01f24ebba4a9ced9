//! Random commands for tests and fuzzing, drawn from the rows.
//!
//! Valid ones follow a row's syntax to the letter, with small pools of keys and values so that
//! commands meet; nearly valid ones have been damaged a little. The same generator state gives the
//! same commands.

use super::syntax::{Arg, Kind, parse};
use super::table::{Row, table};
use crate::rng::Rng;

/// Distinct keys in generated commands, unless told otherwise.
const KEYS: u64 = 8;
/// Most repetitions of an argument that may be repeated.
const REPETITIONS_MAX: u64 = 3;

/// Draws until a command has the number of words that its row allows.
const ATTEMPTS_MAX: usize = 64;

const VALUES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"-1",
    b"10",
    b"3.5",
    b"-0.25",
    b"1e3",
    b"nan",
    b"hello",
    b"Hello, world",
    b"a\r\nb",
    b"\x00\xff\x80",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];
const PATTERNS: &[&[u8]] =
    &[b"*", b"k?", b"k[0-3]", b"k[^2]", b"h*o", b"\\k1", b"", b"[", b"k*", b"*max*"];
const DOUBLES: &[&[u8]] =
    &[b"0", b"1", b"-1", b"1.5", b"-2.25", b"1e3", b"3.0e-5", b"inf", b"-inf", b"nan", b"0.1"];
/// Coordinates; few are off the map.
const DEGREES: &[&[u8]] =
    &[b"0", b"1", b"-1", b"1.5", b"-2.25", b"13.361389", b"38.115556", b"-74.01", b"85", b"1e3"];
const LENGTHS: &[&[u8]] = &[b"0", b"1", b"100", b"200.5", b"5000", b"1e5", b"inf", b"-1"];
/// Integer types of BITFIELD.
const FIELDS: &[&[u8]] = &[b"u1", b"i5", b"u7", b"i8", b"u8", b"i16", b"u32", b"u63", b"i64"];
/// Bounds of scores and of members.
const BOUNDS: &[&[u8]] = &[b"-", b"+", b"[a", b"(b", b"-inf", b"+inf", b"0", b"(1", b"1.5", b"x"];
/// Fencing tokens.
const TOKENS: &[&[u8]] =
    &[b"1", b"2:a", b"2:b", b"3", b"3", b"4", b"5:a", b"07", b"9223372036854775807", b"x"];
/// Groups, and consumers in them.
const NAMES: &[&[u8]] = &[b"g", b"g", b"g", b"h"];
/// Where stream entries may be.
const ENTRY_IDS: &[&[u8]] = &[
    b"1-1", b"1-1", b"1-1", b"2-0", b"2-0", b"0", b"0-3", b"5", b"99-1", b"-", b"+", b"$", b">",
    b"(1", b"7-*", b"x",
];
/// Tools of DEBUG that end soon whatever their arguments are.
const TOOLS: &[&[u8]] =
    &[b"OBJECT", b"DIGEST", b"DIGEST-VALUE", b"HELP", b"SLEEP", b"HTSTATS", b"LOG", b"NONE"];
/// Users; none is the one that every client is to begin with, which others need.
const USERS: &[&[u8]] = &[b"alice", b"alice", b"alice", b"bob"];
/// What users are made of.
const RULES: &[&[u8]] = &[
    b"on",
    b"on",
    b"off",
    b"nopass",
    b"nopass",
    b">hello",
    b"<hello",
    b"reset",
    b"+@all",
    b"+@all",
    b"-@all",
    b"~*",
    b"~*",
    b"~k0",
    b"%R~k*",
    b"%W~k[0-3]",
    b"resetkeys",
    b"&*",
    b"&h*",
    b"+get",
    b"-set",
    b"+@read",
    b"-@write",
    b"+select|0",
    b"-acl|load",
    b"db=0",
    b"alldbs",
    b"(+get ~k1)",
    b"(+@all ~k2",
    b"%R~k3 &*)",
    b"clearselectors",
    b"none",
];
const INTEGERS: &[i64] =
    &[i64::MIN, i64::MAX, i32::MIN as i64, i32::MAX as i64, u32::MAX as i64, -1, -2, 1 << 20];

/// Draws commands.
#[derive(Debug)]
pub struct Generator<'a> {
    rng: &'a mut Rng,
    /// Distinct keys to draw from: `k0`, `k1`...
    pub keys: u64,
    /// The time that points in time are near to, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// The word that must tell how many keys, or corners of a polygon, follow, and how many there
    /// must be.
    numkeys_at: Option<(usize, u64)>,
    /// How many keys were just drawn: XREAD wants as many ids.
    keys_drawn: Option<u64>,
}

impl<'a> Generator<'a> {
    /// A generator whose points in time are near `unix_ms`.
    pub fn new(rng: &'a mut Rng, unix_ms: u64) -> Self {
        Self { rng, keys: KEYS, unix_ms, numkeys_at: None, keys_drawn: None }
    }

    /// A row that can be run: not a container.
    pub fn row(&mut self) -> &'static Row {
        loop {
            let row = &table().rows()[self.index(table().rows().len())];
            if row.subcommands.is_empty() {
                return row;
            }
        }
    }

    fn carried_row(&mut self) -> &'static Row {
        loop {
            let row = self.row();
            if row.may_be_carried() {
                return row;
            }
        }
    }

    /// A command of `row`: three in four are valid, the others nearly.
    pub fn any(&mut self, row: &Row) -> Vec<Vec<u8>> {
        if self.rng.chance(3, 4) { self.valid(row) } else { self.nearly_valid(row) }
    }

    /// A command that `row`'s syntax and arity allow. Its values may still be out of range.
    ///
    /// # Panics
    /// If the row's syntax is not in the notation; a test checks every row.
    pub fn valid(&mut self, row: &Row) -> Vec<Vec<u8>> {
        let mut words = self.by_syntax(row);
        for _ in 0..ATTEMPTS_MAX {
            if row.command.takes(words.len()) {
                break;
            }
            // The notation cannot say that one of many options must be there.
            words = self.by_syntax(row);
        }
        words
    }

    fn by_syntax(&mut self, row: &Row) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> =
            row.command.name.split(' ').map(|word| self.in_some_case(word)).collect();
        self.numkeys_at = None;
        self.keys_drawn = None;
        for arg in parse(row.command.syntax).expect("every row's syntax is in the notation") {
            if row.command.carries == Some(words.len()) {
                let carried = self.carried_row();
                words.extend(self.by_syntax(carried));
                break;
            }
            self.argument(&arg, &mut words);
        }
        words
    }

    /// A command of `row` with one or two words changed, lost or too many.
    pub fn nearly_valid(&mut self, row: &Row) -> Vec<Vec<u8>> {
        let name_words = row.command.name.split(' ').count();
        let mut words = self.valid(row);
        for _ in 0..=self.rng.below(2) {
            let arguments = words.len() - name_words;
            let choice = if arguments == 0 { 0 } else { self.rng.below(5) };
            let at = name_words + self.index(arguments.max(1));
            match choice {
                0 => {
                    let word = self.word();
                    words.insert(at, word);
                }
                1 => drop(words.remove(at)),
                2 => {
                    let other = name_words + self.index(arguments);
                    words.swap(at, other);
                }
                3 => words[at] = self.word(),
                _ => words.insert(at, words[at].clone()),
            }
        }
        words
    }

    fn argument(&mut self, arg: &Arg, words: &mut Vec<Vec<u8>>) {
        if arg.optional && self.rng.chance(1, 2) {
            return;
        }
        let mut times = if arg.multiple { 1 + self.rng.below(REPETITIONS_MAX) } else { 1 };
        if arg.multiple
            && let Some((at, least)) = self.numkeys_at.take()
        {
            times = times.max(least);
            words[at] = times.to_string().into_bytes();
        }
        if arg.multiple && arg.name == "id" {
            times = self.keys_drawn.take().unwrap_or(times);
        }
        self.keys_drawn = (arg.multiple && arg.kind == Kind::Key).then_some(times);
        for time in 0..times {
            if let Some(token) = arg.token
                && (time == 0 || arg.multiple_token)
            {
                let token = self.in_some_case(token);
                words.push(token);
            }
            match &arg.kind {
                Kind::PureToken => {}
                Kind::OneOf(children) => {
                    let child = &children[self.index(children.len())];
                    self.argument(child, words);
                }
                Kind::Block(children) => {
                    children.iter().for_each(|child| self.argument(child, words));
                }
                _ => {
                    match arg.name.as_str() {
                        "numkeys" | "numfields" | "numids" => {
                            self.numkeys_at = Some((words.len(), 1))
                        }
                        "num-vertices" => self.numkeys_at = Some((words.len(), 3)),
                        _ => {}
                    }
                    let value = self.value(arg);
                    words.push(value);
                }
            }
        }
    }

    fn value(&mut self, arg: &Arg) -> Vec<u8> {
        match (&arg.kind, arg.name.as_str()) {
            (Kind::Key, _) => format!("k{}", self.rng.below(self.keys)).into_bytes(),
            (Kind::Pattern, _) => self.pick(PATTERNS),
            (Kind::Double, "longitude" | "latitude") => self.pick(DEGREES),
            (Kind::Double, "radius" | "width" | "height") => self.pick(LENGTHS),
            (Kind::Double, _) => self.pick(DOUBLES),
            (Kind::UnixTime, name) => self.point_in_time(name.contains("milli")),
            (Kind::Integer, "cursor") => b"0".to_vec(),
            (Kind::Integer, "protover") => self.pick(&[b"2", b"3", b"3", b"4"]),
            (Kind::Integer, "bit") => self.pick(&[b"0", b"1"]),
            (Kind::Integer, "value") if self.rng.chance(1, 2) => self.pick(&[b"0", b"1"]),
            (Kind::Integer, _) => self.integer(),
            (_, "encoding") => self.pick(FIELDS),
            (Kind::String, "min" | "max") => self.pick(BOUNDS),
            (Kind::String, "group" | "consumer") => self.pick(NAMES),
            (Kind::String, "start" | "end" | "threshold") => self.pick(ENTRY_IDS),
            (Kind::String, name) if name == "id" || name.ends_with("lastid") => {
                self.pick(ENTRY_IDS)
            }
            (Kind::String, "last-id" | "max-deleted-id") => self.pick(ENTRY_IDS),
            (_, "username") => self.pick(USERS),
            (_, "rule") => self.pick(RULES),
            (_, "category") => self.pick(&[b"read", b"@read", b"String", b"none"]),
            (_, "command" | "command-name") => self.row().full_name.as_bytes().to_vec(),
            (_, "token") => self.pick(TOKENS),
            (_, "subcommand") => self.pick(TOOLS),
            (_, "parameter") => self.pick(&[b"maxmemory", b"timeout", b"save", b"max*", b"none"]),
            (_, "ip:port") => self.pick(&[b"127.0.0.1:1", b"127.0.0.1:2", b"/tmp/test.sock:0"]),
            _ => self.pick(VALUES),
        }
    }

    fn integer(&mut self) -> Vec<u8> {
        let value = match self.rng.below(10) {
            0 => INTEGERS[self.index(INTEGERS.len())],
            1 => -(self.rng.below(10) as i64),
            2 => self.rng.below(10_000) as i64,
            _ => self.rng.below(20) as i64,
        };
        value.to_string().into_bytes()
    }

    /// From a little before now to a little after.
    fn point_in_time(&mut self, is_millis: bool) -> Vec<u8> {
        let millis = (self.unix_ms + self.rng.below(60_000)).saturating_sub(5000);
        let value = if is_millis { millis } else { millis / 1000 };
        value.to_string().into_bytes()
    }

    /// A word that has nothing to do with what is expected: a value, a number, another row's token.
    fn word(&mut self) -> Vec<u8> {
        match self.rng.below(4) {
            0 => self.integer(),
            1 => {
                let syntax = self.row().command.syntax;
                let words: Vec<&str> = syntax.split([' ', '[', ']', '(', ')', '|']).collect();
                words[self.index(words.len())].as_bytes().to_vec()
            }
            2 => (0..self.rng.below(12)).map(|_| self.rng.next_u64() as u8).collect(),
            _ => self.pick(VALUES),
        }
    }

    fn in_some_case(&mut self, word: &str) -> Vec<u8> {
        match self.rng.below(4) {
            0 => word.to_ascii_lowercase().into_bytes(),
            1 => word
                .bytes()
                .map(|byte| if self.rng.chance(1, 2) { byte.to_ascii_lowercase() } else { byte })
                .collect(),
            _ => word.as_bytes().to_vec(),
        }
    }

    fn pick(&mut self, pool: &[&[u8]]) -> Vec<u8> {
        pool[self.index(pool.len())].to_vec()
    }

    fn index(&mut self, len: usize) -> usize {
        self.rng.below(len as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn valid_commands_have_an_allowed_number_of_words() {
        let mut rng = Rng::new(Seed(1), "test");
        let mut generator = Generator::new(&mut rng, 1_700_000_000_000);
        for row in table().rows().iter().filter(|row| row.subcommands.is_empty()) {
            for _ in 0..200 {
                let words = generator.valid(row);
                assert!(
                    row.command.takes(words.len()),
                    "{} does not take {words:?}",
                    row.full_name
                );
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_commands() {
        let draw = || {
            let mut rng = Rng::new(Seed(5), "test");
            let mut generator = Generator::new(&mut rng, 0);
            (0..50)
                .map(|_| {
                    let row = generator.row();
                    generator.any(row)
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
    }
}
