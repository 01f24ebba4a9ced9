//! What a row of the parameter table says, and how a value of each kind is read and spelled.
//!
//! Invariant: text that `Kind::spell` gives is read back by `Parameter::parse` as the same value.

use super::value::Value;
use super::{Config, memory};

/// One parameter: a directive of redis.conf, and a name that CONFIG GET and SET know.
pub struct Parameter {
    /// Its name in lower case.
    pub name: &'static str,
    /// An older name that means the same; empty: none.
    pub alias: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The value of a server that was told nothing, as CONFIG GET shows it.
    pub default: &'static str,
    /// How it may be used.
    pub flags: Flags,
    /// Who acts on it.
    pub actor: Actor,
    /// Where a typed setting lives; without it the value is kept as it was parsed.
    pub field: Option<Field>,
    /// What a text must satisfy beyond its kind.
    pub check: Option<Check>,
}

/// What a value looks like.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Flag,
    /// A whole number in this range.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number of bytes in this range, with an optional unit.
    Memory {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number of bytes with an optional unit, or a percentage of the machine's memory.
    MemoryOrPercent,
    /// File permissions.
    Octal,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One word of text.
    Text,
    /// Text with a grammar of its own.
    Special(&'static Grammar),
}

/// What a text must satisfy, or why it does not.
pub type Check = fn(&str) -> Result<(), &'static str>;
/// From what is set and the words given to the next value.
pub type Parse = fn(set: Option<&Value>, words: &[&str], source: Source) -> Result<Value, String>;

/// How a text with a grammar of its own is read and written.
pub struct Grammar {
    /// From what is set (`None`: nothing yet) and the words to the next value.
    pub parse: Parse,
    /// The directives that say the value in a file: the words of each.
    pub lines: fn(&Value) -> Vec<Vec<String>>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or the command line: directives add up.
    Start,
    /// CONFIG SET: the value replaces what was there.
    Command,
}

/// Who acts on a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The engine, through a typed field or from the value that is kept.
    Engine,
    /// The driver: sockets, files, the process.
    Driver,
    /// Nobody: the value is kept, and reported at start unless it is the default.
    Nobody,
}

/// How a parameter may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// Only at start.
    pub const IMMUTABLE: Self = Self(1);
    /// Its value does not belong in a log.
    pub const SENSITIVE: Self = Self(1 << 1);
    /// Takes several words.
    pub const SEVERAL_WORDS: Self = Self(1 << 2);
    /// CONFIG SET needs `enable-protected-configs`.
    pub const PROTECTED: Self = Self(1 << 3);
    /// CONFIG GET shows it only under its exact name.
    pub const HIDDEN: Self = Self(1 << 4);
    /// Only a directive: CONFIG GET, SET and REWRITE do not know it.
    pub const DIRECTIVE: Self = Self(1 << 5);
    /// CONFIG SET to the value that it has is a change: what it names may have changed.
    pub const VOLATILE: Self = Self(1 << 6);
    /// CONFIG REWRITE knows the directive all the same.
    pub const REWRITTEN: Self = Self(1 << 7);
    /// Only at start, and one that Redis does not have: tools that set every parameter to what it
    /// is, and know which of Redis's they must leave out, may set it to what it is.
    pub const FIXED: Self = Self(1 << 8);

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Reads and writes a typed setting.
#[derive(Clone, Copy)]
pub struct Field {
    /// The setting as a value.
    pub read: fn(&Config) -> Value,
    /// Takes a value of the parameter's kind over.
    pub write: fn(&mut Config, &Value),
}

/// Rows are made by these; each is a plain value.
impl Parameter {
    const fn new(name: &'static str, kind: Kind, default: &'static str) -> Self {
        Self {
            name,
            alias: "",
            kind,
            default,
            flags: Flags::NONE,
            actor: Actor::Nobody,
            field: None,
            check: None,
        }
    }

    pub(super) const fn flag(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Flag, default)
    }

    pub(super) const fn integer(
        name: &'static str,
        min: i64,
        max: i64,
        default: &'static str,
    ) -> Self {
        Self::new(name, Kind::Integer { min, max }, default)
    }

    pub(super) const fn memory(
        name: &'static str,
        min: u64,
        max: u64,
        default: &'static str,
    ) -> Self {
        Self::new(name, Kind::Memory { min, max }, default)
    }

    pub(super) const fn memory_or_percent(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::MemoryOrPercent, default)
    }

    pub(super) const fn octal(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Octal, default)
    }

    /// The first of `words` that is spelled like `default` is the default.
    pub(super) const fn choice(
        name: &'static str,
        words: &'static [&'static str],
        default: &'static str,
    ) -> Self {
        Self::new(name, Kind::Choice(words), default)
    }

    pub(super) const fn text(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Text, default)
    }

    pub(super) const fn special(
        name: &'static str,
        grammar: &'static Grammar,
        default: &'static str,
    ) -> Self {
        Self::new(name, Kind::Special(grammar), default)
    }

    /// Like `special`, of several words.
    pub(super) const fn words(
        name: &'static str,
        grammar: &'static Grammar,
        default: &'static str,
    ) -> Self {
        Self::special(name, grammar, default).with(Flags::SEVERAL_WORDS)
    }

    pub(super) const fn with(mut self, flags: Flags) -> Self {
        self.flags = self.flags.and(flags);
        self
    }

    pub(super) const fn immutable(self) -> Self {
        self.with(Flags::IMMUTABLE)
    }

    pub(super) const fn fixed(self) -> Self {
        self.with(Flags::FIXED)
    }

    pub(super) const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = alias;
        self
    }

    pub(super) const fn driver(mut self) -> Self {
        self.actor = Actor::Driver;
        self
    }

    /// The engine acts on it, from the value that is kept.
    pub(super) const fn engine(mut self) -> Self {
        self.actor = Actor::Engine;
        self
    }

    /// The name of a file that is read again whenever it is set.
    pub(super) const fn file(name: &'static str) -> Self {
        Self::text(name, "").with(Flags::VOLATILE).driver()
    }

    pub(super) const fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    pub(super) const fn field(
        mut self,
        read: fn(&Config) -> Value,
        write: fn(&mut Config, &Value),
    ) -> Self {
        self.actor = Actor::Engine;
        self.field = Some(Field { read, write });
        self
    }
}

/// Using a row.
impl Parameter {
    /// Whether CONFIG REWRITE writes it.
    pub(super) fn is_rewritten(&self) -> bool {
        !self.flags.has(Flags::DIRECTIVE) || self.flags.has(Flags::REWRITTEN)
    }

    /// Whether it goes by this name, in any case.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || (!self.alias.is_empty() && self.alias.eq_ignore_ascii_case(name))
    }

    /// The next value from what is `set` (`None`: nothing yet) and the words given.
    pub fn parse(
        &self,
        set: Option<&Value>,
        words: &[&str],
        source: Source,
    ) -> Result<Value, String> {
        let several = self.flags.has(Flags::SEVERAL_WORDS);
        if !several && words.len() != 1 {
            return Err("wrong number of arguments".to_owned());
        }
        if let Kind::Special(grammar) = self.kind {
            // One word may hold them all, as CONFIG SET gives them.
            let split: Vec<&str> = match words {
                [""] => Vec::new(),
                [one] if several && !self.flags.has(Flags::DIRECTIVE) => one.split(' ').collect(),
                given => given.to_vec(),
            };
            return (grammar.parse)(set, &split, source);
        }
        let word = words[0];
        let value = self.kind.parse(word)?;
        match (self.check, &value) {
            (Some(check), Value::Text(_) | Value::Flag(_)) => {
                check(word).map(|()| value).map_err(str::to_owned)
            }
            _ => Ok(value),
        }
    }

    /// A text that is known to be well-formed as a value.
    ///
    /// # Panics
    /// If it is not.
    pub(super) fn value_of_text(&self, text: &str) -> Value {
        self.parse(None, &[text], Source::Command).expect("defaults are well-formed")
    }

    /// The words of each directive that says this value in a file.
    pub fn lines(&self, value: &Value) -> Vec<Vec<String>> {
        match self.kind {
            Kind::Special(grammar) => (grammar.lines)(value),
            Kind::Memory { .. } | Kind::MemoryOrPercent if !matches!(value, Value::Percent(_)) => {
                vec![vec![memory::spell(value.unsigned())]]
            }
            _ => vec![vec![self.kind.spell(value)]],
        }
    }
}

impl Kind {
    /// The text of CONFIG GET.
    pub fn spell(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Flag(value)) => if *value { "yes" } else { "no" }.to_owned(),
            (Self::Octal, Value::Integer(value)) => format!("{value:o}"),
            (_, Value::Integer(value)) => value.to_string(),
            (_, Value::Percent(value)) => format!("{value}%"),
            (_, Value::Choice(word)) => (*word).to_owned(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Words(words)) => words.join(" "),
        }
    }

    fn parse(self, word: &str) -> Result<Value, String> {
        match self {
            Self::Flag => parse_flag(word),
            Self::Integer { min, max } => {
                match crate::value::number::parse_integer(word.as_bytes()) {
                    None => Err("argument couldn't be parsed into an integer".to_owned()),
                    Some(value) if value < min || value > max => Err(outside(min, max)),
                    Some(value) => Ok(Value::Integer(value.into())),
                }
            }
            Self::Memory { min, max } => match memory::parse(word) {
                None => Err("argument must be a memory value".to_owned()),
                Some(value) if value < min || value > max => Err(outside(min, max)),
                Some(value) => Ok(Value::Integer(value.into())),
            },
            Self::MemoryOrPercent => parse_memory_or_percent(word),
            Self::Octal => match i64::from_str_radix(word, 8) {
                Err(_) => Err("argument couldn't be parsed as an octal number".to_owned()),
                Ok(value) if !(0..=0o777).contains(&value) => Err(outside(0, 777)),
                Ok(value) => Ok(Value::Integer(value.into())),
            },
            Self::Choice(known) => {
                let found = known.iter().find(|choice| choice.eq_ignore_ascii_case(word));
                found.map(|choice| Value::Choice(choice)).ok_or_else(|| not_one_of(known))
            }
            Self::Text => Ok(Value::Text(word.to_owned())),
            Self::Special(grammar) => (grammar.parse)(None, &[word], Source::Command),
        }
    }
}

fn outside(min: impl core::fmt::Display, max: impl core::fmt::Display) -> String {
    format!("argument must be between {min} and {max} inclusive")
}

fn not_one_of(known: &[&str]) -> String {
    format!("argument(s) must be one of the following: {}", known.join(", "))
}

fn parse_flag(word: &str) -> Result<Value, String> {
    if word.eq_ignore_ascii_case("yes") {
        Ok(Value::Flag(true))
    } else if word.eq_ignore_ascii_case("no") {
        Ok(Value::Flag(false))
    } else {
        Err("argument must be 'yes' or 'no'".to_owned())
    }
}

fn parse_memory_or_percent(word: &str) -> Result<Value, String> {
    if let Some(percent) = word.strip_suffix('%')
        && let Ok(percent) = percent.parse::<u64>()
    {
        return match u8::try_from(percent) {
            Ok(percent) if percent <= 100 => Ok(Value::Percent(percent)),
            _ => Err("percentage argument must be less or equal to 100".to_owned()),
        };
    }
    memory::parse(word)
        .map(|bytes| Value::Integer(bytes.into()))
        .ok_or_else(|| "argument must be a memory or percent value".to_owned())
}
