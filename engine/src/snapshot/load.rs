//! From RDB bytes to the value of a key, through the same changes that commands make.
//!
//! Invariant: what is refused leaves nothing behind.

use crate::config::Encodings;
use crate::keyspace::{Kept, NewValue, Object};
use crate::time::UnixMillis;
use crate::value::list::{self, List, Side};
use crate::value::packed::Element;
use crate::value::rdb::{self, Corrupt, Dialect, Item, Kind};
use crate::value::set::{self, Set};
use crate::value::zset::{self, Zset};

/// What the form of a value depends on.
pub(crate) struct Setting<'a> {
    /// The limits of the small forms.
    pub(crate) encodings: &'a Encodings,
    /// The secret key of the hash function of tables.
    pub(crate) hash_key: (u64, u64),
    /// Key time.
    pub(crate) now: UnixMillis,
}

/// A value that was read.
pub(crate) enum Loaded {
    /// A string.
    String(Vec<u8>),
    /// Anything else.
    Object(Object),
}

impl Loaded {
    /// Gives the value to `store`.
    pub(crate) fn store(self, store: impl FnOnce(NewValue<'_>)) {
        match self {
            Self::String(bytes) => store(NewValue::String(&bytes)),
            Self::Object(object) => store(NewValue::Object(object)),
        }
    }
}

const STRAY: Corrupt = Corrupt("a part of another type");
const TWICE: Corrupt = Corrupt("an element that comes twice");

/// A value in the making.
trait Build: Default {
    fn add(&mut self, item: Item<'_>, setting: &Setting<'_>) -> Result<(), Corrupt>;
}

/// Reads a value, type byte first. `None`: a hash of which every field has expired.
pub(crate) fn load(
    value: &[u8],
    dialect: Dialect,
    setting: &Setting<'_>,
) -> Result<Option<Loaded>, Corrupt> {
    let loaded = match rdb::kind(value, dialect)? {
        Kind::String => Loaded::String(build::<Text>(value, dialect, setting)?.0),
        Kind::List => object::<List>(value, dialect, setting)?,
        Kind::Set => object::<Set>(value, dialect, setting)?,
        Kind::Zset => object::<Zset>(value, dialect, setting)?,
        _ => return Err(Corrupt("a type that is not there yet")),
    };
    Ok(Some(loaded))
}

fn build<T: Build>(value: &[u8], dialect: Dialect, setting: &Setting<'_>) -> Result<T, Corrupt> {
    let mut built = T::default();
    rdb::load(value, dialect, &mut |item| built.add(item, setting))?;
    Ok(built)
}

fn object<T: Build + Kept>(
    value: &[u8],
    dialect: Dialect,
    setting: &Setting<'_>,
) -> Result<Loaded, Corrupt> {
    Ok(Loaded::Object(build::<T>(value, dialect, setting)?.into_object()))
}

#[derive(Default)]
struct Text(Vec<u8>);

impl Build for Text {
    fn add(&mut self, item: Item<'_>, _: &Setting<'_>) -> Result<(), Corrupt> {
        let Item::String(element) = item else { return Err(STRAY) };
        self.0 = element.to_vec();
        Ok(())
    }
}

impl Build for List {
    fn add(&mut self, item: Item<'_>, setting: &Setting<'_>) -> Result<(), Corrupt> {
        let Item::ListElement(element) = item else { return Err(STRAY) };
        let limits = list::Limits::new(setting.encodings.list_node_size);
        let mut buffer = itoa::Buffer::new();
        self.push(Side::Back, core::iter::once(element.bytes(&mut buffer)), &limits);
        Ok(())
    }
}

impl Build for Set {
    fn add(&mut self, item: Item<'_>, setting: &Setting<'_>) -> Result<(), Corrupt> {
        let Item::SetMember(element) = item else { return Err(STRAY) };
        let limits = set::Limits {
            integers: setting.encodings.intset_entries,
            entries: setting.encodings.set_entries,
            value_bytes: setting.encodings.set_value_bytes,
            hash_key: setting.hash_key,
        };
        let member = match element {
            rdb::Element::Integer(value) => Element::Integer(value),
            rdb::Element::Bytes(bytes) => set::member(bytes),
        };
        if self.insert(member, &limits) { Ok(()) } else { Err(TWICE) }
    }
}

impl Build for Zset {
    fn add(&mut self, item: Item<'_>, setting: &Setting<'_>) -> Result<(), Corrupt> {
        let Item::ZsetMember { member, score } = item else { return Err(STRAY) };
        let limits = zset::Limits {
            entries: setting.encodings.zset_entries,
            value_bytes: setting.encodings.zset_value_bytes,
            hash_key: setting.hash_key,
        };
        match self.insert(&limits, member.bytes(&mut itoa::Buffer::new()), score) {
            None => Ok(()),
            Some(_) => Err(TWICE),
        }
    }
}
