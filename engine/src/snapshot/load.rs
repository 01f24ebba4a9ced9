//! From RDB bytes to the value of a key, through the same changes that commands make.
//!
//! Invariant: what is refused leaves nothing behind.

use crate::config::Encodings;
use crate::keyspace::{Kept, NewValue, Object};
use crate::value::hash::{self, Hash, NewDeadline};
use crate::value::list::{self, List, Side};
use crate::value::packed::Element;
use crate::value::rdb::{self, Corrupt, Dialect, Item, Kind};
use crate::value::set::{self, Set};
use crate::value::stream::Stream;
use crate::value::zset::{self, Zset};

/// What the form of a value depends on.
pub(crate) struct Setting<'a> {
    /// The limits of the small forms.
    pub(crate) encodings: &'a Encodings,
    /// The secret key of the hash function of tables.
    pub(crate) hash_key: (u64, u64),
}

/// A value that was read.
pub(crate) enum Loaded {
    /// A string.
    String(Vec<u8>),
    /// Anything else; not empty, unless it is a stream.
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

pub(super) const STRAY: Corrupt = Corrupt("a part of another type");
pub(super) const TWICE: Corrupt = Corrupt("an element that comes twice");

/// Room for the packed form of a collection in the making: most need no more.
const PACKED_BYTES: usize = 128;

/// A value in the making.
pub(super) trait Build {
    fn add(&mut self, item: Item<'_>, setting: &Setting<'_>) -> Result<(), Corrupt>;
}

/// Reads a value, type byte first.
pub(crate) fn load(
    value: &[u8],
    dialect: Dialect,
    setting: &Setting<'_>,
) -> Result<Loaded, Corrupt> {
    let mut loaded = None;
    rdb::whole(rdb::Value::of(value, dialect)?, |value| {
        let (found, len) = load_front(value, setting)?;
        loaded = Some(found);
        Ok(len)
    })?;
    loaded.ok_or(STRAY)
}

/// Reads a value with more behind it; gives its length, too, without the type byte.
pub(crate) fn load_front(
    value: rdb::Value<'_>,
    setting: &Setting<'_>,
) -> Result<(Loaded, usize), Corrupt> {
    match rdb::kind(value.type_byte, value.dialect)? {
        Kind::String => {
            let (text, len) = build(Text::default(), value, setting)?;
            Ok((Loaded::String(text.0), len))
        }
        Kind::List => object::<List>(value, setting),
        Kind::Set => object::<Set>(value, setting),
        Kind::Hash => object::<Hash>(value, setting),
        Kind::Zset => object::<Zset>(value, setting),
        Kind::Stream => object::<Stream>(value, setting),
    }
}

fn build<T: Build>(
    mut built: T,
    value: rdb::Value<'_>,
    setting: &Setting<'_>,
) -> Result<(T, usize), Corrupt> {
    let len = rdb::load_front(value, &mut |item| built.add(item, setting))?;
    Ok((built, len))
}

fn object<T: Build + Kept>(
    value: rdb::Value<'_>,
    setting: &Setting<'_>,
) -> Result<(Loaded, usize), Corrupt> {
    let built = T::from_packed(Vec::with_capacity(PACKED_BYTES));
    let (built, len) = build(built, value, setting)?;
    Ok((Loaded::Object(built.into_object()), len))
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
        let limits = list::Limits::new(setting.encodings.list_node_size)
            .compressing(setting.encodings.list_compress_depth);
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

impl Build for Hash {
    /// Fields whose deadlines have passed expire here like any other.
    fn add(&mut self, item: Item<'_>, setting: &Setting<'_>) -> Result<(), Corrupt> {
        let Item::HashField { field, value, deadline_ms } = item else { return Err(STRAY) };
        let limits = hash::Limits {
            entries: setting.encodings.hash_entries,
            value_bytes: setting.encodings.hash_value_bytes,
            hash_key: setting.hash_key,
        };
        let (mut first, mut second) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (name, value) = (field.bytes(&mut first), value.bytes(&mut second));
        let deadline = deadline_ms.map_or(NewDeadline::Discard, NewDeadline::At);
        if self.set(name, value, deadline, &limits) { Ok(()) } else { Err(TWICE) }
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
