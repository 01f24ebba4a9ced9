//! The types of values: which collections there are, and how one is told from another.
//!
//! A new type is one line in the list at the end of this file; everything that the keyspace asks of
//! a value follows from it.
//!
//! Invariant: the number of a type never changes its meaning while a server runs: it is written
//! into entries.

use super::object::{free_some_of_string, is_big_string};
use crate::error::Error;
use crate::value::collection::Collection;
use crate::value::hash::Hash;
use crate::value::list::List;
use crate::value::number::parse_integer;
use crate::value::set::Set;
use crate::value::shared::Meter;
use crate::value::stream::Stream;
use crate::value::zset::Zset;

/// Larger collections are not copied to check their copies.
const COPY_CHECKED_BYTES_MAX: usize = 64 << 10;

/// A type that values of keys can have.
pub trait Kept: Collection {
    /// Its number inside entries.
    const KIND: u8;

    /// As an object.
    fn into_object(self) -> Object;

    /// Out of an object, if it is of this type.
    fn from_object(object: Object) -> Option<Self>;

    /// Whether an object is of this type.
    fn is_in(object: &Object) -> bool;
}

macro_rules! collections {
    ($($variant:ident($collection:ty) = $kind:literal, $name:literal, $accessor:ident;)*) => {
        /// A value that is too long or too rich for an entry.
        #[derive(Clone, Debug)]
        pub enum Object {
            /// A long string.
            Raw(Vec<u8>),
            $(
                #[doc = concat!("A ", $name, ".")]
                $variant($collection),
            )*
        }

        impl Object {
            /// Heap bytes that the object owns.
            pub fn memory_bytes(&self) -> usize {
                match self {
                    Self::Raw(bytes) => bytes.capacity(),
                    $(Self::$variant(collection) => collection.memory_bytes(),)*
                }
            }

            /// The same value, to be read: see [`Collection::share`]. A string is copied.
            pub(super) fn share(&mut self, meter: &Meter) -> Self {
                match self {
                    Self::Raw(bytes) => {
                        meter.add(bytes.len());
                        Self::Raw(bytes.clone())
                    }
                    $(Self::$variant(collection) => Self::$variant(collection.share(meter)),)*
                }
            }

            /// Whether freeing it may take long, so that it should be freed in steps.
            pub fn is_big(&self) -> bool {
                match self {
                    Self::Raw(bytes) => is_big_string(bytes),
                    $(Self::$variant(collection) => collection.is_big(),)*
                }
            }

            /// Frees a bounded part; true when nothing is left.
            pub fn free_some(&mut self) -> bool {
                match self {
                    Self::Raw(bytes) => free_some_of_string(bytes),
                    $(Self::$variant(collection) => collection.free_some(),)*
                }
            }

            /// The number of its type and its packed bytes, if it is a collection in that form.
            pub(super) fn packed(&self) -> Option<(u8, &[u8])> {
                match self {
                    Self::Raw(_) => None,
                    $(Self::$variant(collection) => {
                        Some((<$collection as Kept>::KIND, collection.packed()?))
                    })*
                }
            }

            /// The buffer of its packed form.
            pub(super) fn into_packed(self) -> Option<Vec<u8>> {
                match self {
                    Self::Raw(_) => None,
                    $(Self::$variant(collection) => collection.into_packed(),)*
                }
            }

            /// A collection of the type with this number from its packed bytes.
            pub(super) fn from_packed(kind: u8, bytes: Vec<u8>) -> Self {
                match kind {
                    $($kind => Self::$variant(<$collection>::from_packed(bytes)),)*
                    kind => unreachable!("a value of kind {kind} was never written"),
                }
            }

            /// Checks its structure; for tests.
            pub(super) fn check_invariants(&self) {
                match self {
                    Self::Raw(_) => {}
                    $(Self::$variant(collection) => {
                        collection.check_invariants();
                        // A copy must account for its own memory.
                        if collection.memory_bytes() <= COPY_CHECKED_BYTES_MAX {
                            collection.clone().check_invariants();
                        }
                    })*
                }
            }

            /// As a value to read.
            pub(super) fn value(&self) -> Value<'_> {
                match self {
                    Self::Raw(bytes) => Value::Bytes(bytes),
                    $(Self::$variant(collection) => Value::$variant(collection.reader()),)*
                }
            }
        }

        /// A value as it is read.
        #[derive(Clone, Copy, Debug)]
        pub enum Value<'a> {
            /// A string.
            Bytes(&'a [u8]),
            /// A string that is an integer.
            Integer(i64),
            $(
                #[doc = concat!("A ", $name, ".")]
                $variant(<$collection as Collection>::Reader<'a>),
            )*
        }

        impl<'a> Value<'a> {
            /// The collection of the type with this number in packed bytes.
            pub(super) fn of_packed(kind: u8, bytes: &'a [u8]) -> Self {
                match kind {
                    $($kind => Self::$variant(<$collection>::read_packed(bytes)),)*
                    kind => unreachable!("a value of kind {kind} in {bytes:?} was never written"),
                }
            }

            /// The name of the type, as TYPE gives it.
            pub fn type_name(self) -> &'static str {
                match self {
                    Self::Bytes(_) | Self::Integer(_) => "string",
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// The earliest deadline of the elements of a collection.
            #[inline]
            pub(super) fn first_deadline(self) -> Option<u64> {
                match self {
                    Self::Bytes(_) | Self::Integer(_) => None,
                    $(Self::$variant(reader) => <$collection>::first_deadline(reader),)*
                }
            }

            /// The name of the form of a collection; `None` for strings.
            pub fn collection_encoding(self) -> Option<&'static str> {
                match self {
                    Self::Bytes(_) | Self::Integer(_) => None,
                    $(Self::$variant(reader) => Some(<$collection>::encoding(reader)),)*
                }
            }

            $(
                #[doc = concat!("The ", $name, "; another type is an error.")]
                #[inline]
                pub fn $accessor(self) -> Result<<$collection as Collection>::Reader<'a>, Error> {
                    match self {
                        Self::$variant(reader) => Ok(reader),
                        _ => Err(Error::WrongType),
                    }
                }
            )*
        }

        $(
            impl Kept for $collection {
                const KIND: u8 = $kind;

                fn into_object(self) -> Object {
                    Object::$variant(self)
                }

                fn from_object(object: Object) -> Option<Self> {
                    match object {
                        Object::$variant(collection) => Some(collection),
                        _ => None,
                    }
                }

                fn is_in(object: &Object) -> bool {
                    matches!(object, Object::$variant(_))
                }
            }
        )*
    };
}

impl<'a> Value<'a> {
    /// The string; an integer is spelled into `buffer`. Other types than strings are an error.
    #[inline]
    pub fn string<'b>(self, buffer: &'b mut itoa::Buffer) -> Result<&'b [u8], Error>
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Integer(value) => Ok(buffer.format(value).as_bytes()),
            #[allow(unreachable_patterns, reason = "there are types beside strings")]
            _ => Err(Error::WrongType),
        }
    }

    /// The integer that the string is. Other types than strings are an error.
    #[inline]
    pub fn integer(self) -> Result<i64, Error> {
        match self {
            Self::Integer(value) => Ok(value),
            Self::Bytes(bytes) => parse_integer(bytes).ok_or(Error::NotAnInteger),
            #[allow(unreachable_patterns, reason = "there are types beside strings")]
            _ => Err(Error::WrongType),
        }
    }
}

// Type, number, name, accessor. The numbers 1 to 5 are kept for list, set, hash, zset and stream.
collections! {
    List(List) = 1, "list", list;
    Set(Set) = 2, "set", set;
    Hash(Hash) = 3, "hash", hash;
    Zset(Zset) = 4, "zset", zset;
    Stream(Stream) = 5, "stream", stream;
}
