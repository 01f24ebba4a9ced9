//! Every error that a client can get, in Redis's words.

use std::borrow::Cow;

/// An error reply. Its text is what follows `-` on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The key holds another type.
    WrongType,
    /// Options that do not fit together or are unknown.
    Syntax,
    /// An argument is not a 64-bit integer.
    NotAnInteger,
    /// An argument is not a float.
    NotAFloat,
    /// INCR and friends would leave the 64-bit range.
    Overflow,
    /// INCRBYFLOAT would give NaN or infinity.
    NanOrInfinity,
    /// The key must exist and does not.
    NoSuchKey,
    /// An index is outside of what exists.
    OutOfRange,
    /// A string would exceed `proto-max-bulk-len`.
    StringTooLong,
    /// SELECT and friends: no such database.
    DbIndexOutOfRange,
    /// EXPIRE and friends: the time does not fit.
    InvalidExpire,
    /// The value given for the TTL is not positive or does not fit; holds the command's lower-case
    /// name.
    InvalidExpireOf(&'static str),
    /// Wrong number of words; holds the lower-case name of the command (`config|get`).
    WrongArity(&'static str),
    /// Any other text, the code word included: `ERR no such thing`.
    Text(Cow<'static, str>),
    /// What a script ended with because of a command, which has failed or was refused: as in Redis
    /// it was counted there.
    Passed(String),
}

impl Error {
    /// An error whose text is known at compile time. `text` starts with its code word.
    pub const fn fixed(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// An error whose text is made at run time. `text` starts with its code word.
    pub fn text(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }

    /// The reply's text, its code word first.
    pub fn message(&self) -> Cow<'_, str> {
        let fixed = match self {
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::Syntax => "ERR syntax error",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::NotAFloat => "ERR value is not a valid float",
            Self::Overflow => "ERR increment or decrement would overflow",
            Self::NanOrInfinity => "ERR increment would produce NaN or Infinity",
            Self::NoSuchKey => "ERR no such key",
            Self::OutOfRange => "ERR index out of range",
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::DbIndexOutOfRange => "ERR DB index is out of range",
            Self::InvalidExpire => "ERR invalid expire time",
            Self::InvalidExpireOf(command) => {
                return format!("ERR invalid expire time in '{command}' command").into();
            }
            Self::WrongArity(command) => {
                return format!("ERR wrong number of arguments for '{command}' command").into();
            }
            Self::Text(text) => text,
            Self::Passed(text) => text,
        };
        Cow::Borrowed(fixed)
    }

    /// Whether it was counted where it came from.
    pub fn is_counted(&self) -> bool {
        matches!(self, Self::Passed(_))
    }

    /// The word that clients switch on: `ERR`, `WRONGTYPE`, `NOAUTH`... As in Redis a text that
    /// does not begin with a short word and more counts as `ERR`.
    pub fn code(&self) -> String {
        const CODE_BYTES_MAX: usize = 30;
        let message = self.message();
        match message.split_once(' ') {
            Some((code, _)) if code.len() <= CODE_BYTES_MAX => code.to_owned(),
            _ => "ERR".to_owned(),
        }
    }
}
