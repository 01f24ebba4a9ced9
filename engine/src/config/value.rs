//! One setting's value, apart from its spelling.

/// A parsed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `yes` or `no`.
    Flag(bool),
    /// A number; sizes are in bytes.
    Integer(i128),
    /// A share of the machine's memory, 0 to 100.
    Percent(u8),
    /// One of the words that the parameter knows.
    Choice(&'static str),
    /// Free text.
    Text(String),
    /// Several words.
    Words(Vec<String>),
}

impl Value {
    /// The truth value; false for another kind of value.
    pub fn flag(&self) -> bool {
        matches!(self, Self::Flag(true))
    }

    /// The number; 0 for another kind of value.
    pub fn integer(&self) -> i128 {
        match self {
            Self::Integer(value) => *value,
            _ => 0,
        }
    }

    /// The number as an unsigned one, cut to its range.
    pub fn unsigned(&self) -> u64 {
        u64::try_from(self.integer().max(0)).unwrap_or(u64::MAX)
    }

    /// The number, cut to its range.
    pub fn signed(&self) -> i64 {
        let (min, max) = (i64::MIN.into(), i64::MAX.into());
        self.integer().clamp(min, max) as i64
    }

    /// The number as a size, cut to its range.
    pub fn size(&self) -> usize {
        usize::try_from(self.unsigned()).unwrap_or(usize::MAX)
    }

    /// The text or the word; empty for another kind of value.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Choice(word) => word,
            _ => "",
        }
    }

    /// The words; none for another kind of value.
    pub fn words(&self) -> &[String] {
        match self {
            Self::Words(words) => words,
            _ => &[],
        }
    }
}
