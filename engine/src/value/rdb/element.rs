//! One string of a value: bytes, or an integer that stands for its decimal spelling.

use crate::value::number::parse_integer;
use crate::value::packed;

/// A string. The same string may come in either form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// The string that this integer is spelled as.
    Integer(i64),
}

impl<'a> Element<'a> {
    /// The bytes; an integer is spelled into `buffer`.
    pub fn bytes<'b>(self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Integer(value) => buffer.format(value).as_bytes(),
        }
    }

    /// The integer that the string spells, if it spells one as Redis would.
    pub fn integer(self) -> Option<i64> {
        match self {
            Self::Bytes(bytes) => parse_integer(bytes),
            Self::Integer(value) => Some(value),
        }
    }

    /// The string as bytes of its own.
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut itoa::Buffer::new()).to_vec()
    }
}

impl<'a> From<packed::Element<'a>> for Element<'a> {
    /// # Panics
    /// If it is a score: those are no strings.
    fn from(element: packed::Element<'a>) -> Self {
        match element {
            packed::Element::Bytes(bytes) => Self::Bytes(bytes),
            packed::Element::Integer(value) => Self::Integer(value),
            packed::Element::Double(_) => unreachable!("a score is not a string"),
        }
    }
}

impl<'a> From<&'a [u8]> for Element<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<i64> for Element<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}
