//! Writing values: each in the packing that fits how it is held, in the newest form that the
//! readers in mind understand.

use super::envelope::{REDIS_VERSION_MAX, VALKEY_VERSION};
use super::listpack::Builder;
use super::lzf::Packing;
use super::writer::{COMPRESSION_GAIN_MIN, Writer};
use super::{Element, intset, seal, types};
use crate::value::list::Part;
use crate::value::number::format_double;

/// Who has to read what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Redis 7.0 and whatever came later.
    Redis70,
    /// Redis 7.2, Valkey 7.2 and whatever came later. Hashes with deadlines need Redis 7.4.
    #[default]
    Redis72,
    /// Redis 7.2, Valkey 7.2 and whatever came later. Hashes with deadlines need Valkey 9.
    Valkey9,
}

impl Target {
    /// The version of what needs nothing newer.
    pub(super) fn version(self) -> u16 {
        match self {
            Self::Redis70 => 10,
            Self::Redis72 | Self::Valkey9 => 11,
        }
    }

    /// The newest version that anything needs.
    pub fn version_max(self) -> u16 {
        match self {
            Self::Redis70 | Self::Redis72 => REDIS_VERSION_MAX,
            Self::Valkey9 => VALKEY_VERSION,
        }
    }
}

/// A field of a hash, its value and its deadline in milliseconds since the epoch.
pub type HashField<'a> = (Element<'a>, Element<'a>, Option<u64>);

/// Writes values.
#[derive(Debug)]
pub struct Saver {
    pub(super) writer: Writer,
    pub(super) target: Target,
    /// What readers must understand.
    pub(super) version: u16,
    /// What stands between the type byte and the value, in files.
    key: Option<Vec<u8>>,
    /// A long string that is being compressed, or was.
    packing: Option<Packing>,
    /// The type byte of the stream that was begun last.
    pub(super) stream_type: u8,
}

/// What [`Saver::string_piece`] puts into a place: the string is being compressed; the rest of it
/// is written as it is, or the rest of its compressed form, from here on.
const COMPRESSING: u64 = 1;
const AS_IT_IS: u64 = 1 << 61;
const COMPRESSED: u64 = 1 << 62;

impl Saver {
    /// A value for these readers; long strings are compressed or not.
    pub fn new(target: Target, compress: bool) -> Self {
        let writer = Writer::new(compress);
        let version = target.version();
        Self { writer, target, version, key: None, packing: None, stream_type: 0 }
    }

    /// Values are those of keys from now on, whose names come behind the type byte.
    pub(super) fn expect_keys(&mut self) {
        self.key = Some(Vec::new());
    }

    /// The next value is that of this key.
    pub(super) fn name(&mut self, key: &[u8]) {
        let name = self.key.as_mut().expect("a writer of files expects keys");
        name.clear();
        name.extend_from_slice(key);
    }

    /// Begins a value.
    pub(super) fn begin(&mut self, type_byte: u8) {
        self.writer.byte(type_byte);
        if let Some(key) = &self.key {
            self.writer.text(Element::Bytes(key));
        }
    }

    /// The value, type byte first, and the version of it.
    pub fn into_value(self) -> (Vec<u8>, u16) {
        (self.writer.out, self.version)
    }

    /// The value with its version and checksum, as DUMP gives it.
    pub fn into_payload(self) -> Vec<u8> {
        let (mut value, version) = self.into_value();
        seal(&mut value, version);
        value
    }

    /// Nothing older understands what is written.
    pub(super) fn needs(&mut self, version: u16) {
        self.version = self.version.max(version);
    }

    fn packed(&mut self, type_byte: u8, listpack: Builder) {
        self.begin(type_byte);
        self.writer.bytes(&listpack.finish());
    }

    /// A string.
    pub fn string(&mut self, string: Element<'_>) {
        self.begin(types::STRING);
        self.writer.text(string);
    }

    /// How many bytes were written and not taken.
    pub fn len(&self) -> usize {
        self.writer.out.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A piece of a long string; `place` is 0 at first, then what was returned. `None`: that was
    /// the last.
    pub fn string_piece(&mut self, string: &[u8], place: u64, piece_bytes: usize) -> Option<u64> {
        if place == 0 && self.writer.compresses() {
            self.packing = Packing::of(string, string.len() - COMPRESSION_GAIN_MIN);
            if self.packing.is_some() {
                return Some(COMPRESSING);
            }
        }
        if place == COMPRESSING {
            let packing = self.packing.as_mut()?;
            if !self.writer.compress_some(packing, string, piece_bytes) {
                return Some(COMPRESSING);
            }
            if let Some(packed) = self.packing.as_ref().and_then(Packing::packed) {
                let len = packed.len();
                self.begin(types::STRING);
                self.writer.packed_head(len, string.len());
                return Some(COMPRESSED);
            }
            self.packing = None;
        }
        if place <= COMPRESSING {
            self.begin(types::STRING);
            self.writer.count(string.len());
            return Some(AS_IT_IS);
        }
        let of = place & COMPRESSED;
        let packed = self.packing.as_ref().and_then(Packing::packed).filter(|_| of != 0);
        let bytes = packed.unwrap_or(string);
        let from = (place & (AS_IT_IS - 1)) as usize;
        let end = bytes.len().min(from + piece_bytes);
        self.writer.out.extend_from_slice(&bytes[from..end]);
        if end < bytes.len() {
            return Some(place + (end - from) as u64);
        }
        self.packing = None;
        None
    }

    /// A list of so many parts, which are to follow from head to tail, none of them empty.
    pub fn begin_list(&mut self, parts: usize) {
        self.begin(types::LIST_QUICKLIST_2);
        self.writer.count(parts);
    }

    /// The next part of the list.
    pub fn list_part(&mut self, part: Part<'_>) {
        const PLAIN: u64 = 1;
        const PACKED: u64 = 2;
        match part {
            // Redis 7.0 has single elements only if they are larger than a listpack can be.
            Part::Long(element) if self.target == Target::Redis70 => {
                let mut listpack = Builder::default();
                listpack.push(Element::Bytes(element));
                self.writer.length(PACKED);
                self.writer.bytes(&listpack.finish());
            }
            Part::Long(element) => {
                self.writer.length(PLAIN);
                self.writer.bytes(element);
            }
            Part::Entries { bytes, count } => {
                self.writer.length(PACKED);
                self.writer.bytes(&Builder::of_entries(bytes, count).finish());
            }
        }
    }

    /// A set of integers in any order.
    pub fn integer_set(&mut self, integers: impl Iterator<Item = i64>) {
        let mut integers: Vec<i64> = integers.collect();
        integers.sort_unstable();
        self.begin(types::SET_INTSET);
        self.writer.bytes(&intset::build(&integers));
    }

    /// A set that is small.
    pub fn small_set<'a>(&mut self, len: usize, members: impl Iterator<Item = Element<'a>>) {
        if self.target == Target::Redis70 {
            return self.set(len, members);
        }
        let mut listpack = Builder::default();
        members.for_each(|member| listpack.push(member));
        self.packed(types::SET_LISTPACK, listpack);
    }

    /// A set of `len` members.
    pub fn set<'a>(&mut self, len: usize, members: impl Iterator<Item = Element<'a>>) {
        self.begin_set(len);
        members.for_each(|member| self.member(member));
    }

    /// A set of so many members, which are to follow.
    pub fn begin_set(&mut self, len: usize) {
        self.begin(types::SET);
        self.writer.count(len);
    }

    /// The next member of the set.
    pub fn member(&mut self, member: Element<'_>) {
        self.writer.text(member);
    }

    /// A hash that is small and has no deadlines.
    pub fn small_hash<'a>(&mut self, fields: impl Iterator<Item = (Element<'a>, Element<'a>)>) {
        let mut listpack = Builder::default();
        for (field, value) in fields {
            listpack.push(field);
            listpack.push(value);
        }
        self.packed(types::HASH_LISTPACK, listpack);
    }

    /// A hash of `len` fields without deadlines.
    pub fn hash<'a>(
        &mut self,
        len: usize,
        fields: impl Iterator<Item = (Element<'a>, Element<'a>)>,
    ) {
        self.begin_hash(len, None);
        fields.for_each(|(field, value)| self.field(None, (field, value, None)));
    }

    /// A hash of so many fields, which are to follow; the first of those that expire does so at
    /// `earliest_ms`.
    pub fn begin_hash(&mut self, len: usize, earliest_ms: Option<u64>) {
        match earliest_ms {
            None => self.begin(types::HASH),
            Some(_) if self.target == Target::Valkey9 => {
                self.needs(80);
                self.begin(types::HASH_2_VALKEY);
            }
            Some(earliest_ms) => {
                self.needs(12);
                self.begin(types::HASH_DEADLINES);
                self.writer.millis(earliest_ms as i64);
            }
        }
        self.writer.count(len);
    }

    /// The next field of the hash that was begun with this deadline.
    pub fn field(&mut self, earliest_ms: Option<u64>, (field, value, deadline_ms): HashField<'_>) {
        let by_valkey = self.target == Target::Valkey9;
        if let Some(earliest_ms) = earliest_ms.filter(|_| !by_valkey) {
            // Zero is none.
            let distance = deadline_ms.map_or(0, |time| time.saturating_sub(earliest_ms) + 1);
            self.writer.length(distance);
        }
        self.writer.text(field);
        self.writer.text(value);
        if earliest_ms.is_some() && by_valkey {
            self.writer.millis(deadline_ms.map_or(-1, |time| time as i64));
        }
    }

    /// A hash of `len` fields, some of which expire: the first at `earliest_ms`.
    pub fn hash_with_deadlines<'a>(
        &mut self,
        len: usize,
        earliest_ms: u64,
        fields: impl Iterator<Item = HashField<'a>>,
    ) {
        self.begin_hash(len, Some(earliest_ms));
        fields.for_each(|field| self.field(Some(earliest_ms), field));
    }

    /// A sorted set that is small, in its order: readers rely on it.
    pub fn small_zset<'a>(&mut self, members: impl Iterator<Item = (Element<'a>, f64)>) {
        let mut listpack = Builder::default();
        for (member, score) in members {
            listpack.push(member);
            listpack.push(Element::Bytes(format_double(score).as_bytes()));
        }
        self.packed(types::ZSET_LISTPACK, listpack);
    }

    /// A sorted set of `len` members.
    pub fn zset<'a>(&mut self, len: usize, members: impl Iterator<Item = (Element<'a>, f64)>) {
        self.begin_zset(len);
        members.for_each(|(member, score)| self.scored(member, score));
    }

    /// A sorted set of so many members, which are to follow.
    pub fn begin_zset(&mut self, len: usize) {
        self.begin(types::ZSET_2);
        self.writer.count(len);
    }

    /// The next member of the sorted set.
    pub fn scored(&mut self, member: Element<'_>, score: f64) {
        self.writer.text(member);
        self.writer.binary_double(score);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, Item, Kind, kind, load, open};
    use super::*;

    /// Strings of every length and form that is written in a way of its own.
    fn strings() -> Vec<Vec<u8>> {
        let mut strings: Vec<Vec<u8>> = ["", "a", "0", "-1", "300", "70000", "3000000000", "007"]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        strings.extend([20, 21, 63, 64, 5000, 9000].map(|len| vec![b'x'; len]));
        strings.push((0..=255).collect());
        strings
    }

    fn saver(target: Target, compress: bool, write: impl Fn(&mut Saver)) -> (Vec<u8>, u16) {
        let mut saver = Saver::new(target, compress);
        write(&mut saver);
        saver.into_value()
    }

    /// Writes in every way, reads back and gives the items' strings to `check`.
    #[track_caller]
    fn round_trip(expected: Kind, write: impl Fn(&mut Saver), items: &[String]) {
        for target in [Target::Redis70, Target::Redis72, Target::Valkey9] {
            for compress in [false, true] {
                let (value, version) = saver(target, compress, &write);
                let dialect = if version == 80 { Dialect::Valkey } else { Dialect::Redis };
                assert_eq!(kind(value[0], dialect), Ok(expected));
                let mut read = Vec::new();
                load(&value, dialect, &mut |item| {
                    read.push(show(item));
                    Ok(())
                })
                .unwrap();
                assert_eq!(read, items, "{target:?}");
            }
        }
    }

    fn show(item: Item<'_>) -> String {
        let text = |element: Element<'_>| element.to_vec().escape_ascii().to_string();
        match item {
            Item::String(string) | Item::ListElement(string) | Item::SetMember(string) => {
                text(string)
            }
            Item::HashField { field, value, deadline_ms } => {
                format!("{}={} {deadline_ms:?}", text(field), text(value))
            }
            Item::ZsetMember { member, score } => format!("{}={score:?}", text(member)),
            other => panic!("{other:?}"),
        }
    }

    fn elements(strings: &[Vec<u8>]) -> impl Iterator<Item = Element<'_>> {
        strings.iter().map(|string| Element::Bytes(string))
    }

    fn shown(strings: &[Vec<u8>]) -> Vec<String> {
        strings.iter().map(|string| string.escape_ascii().to_string()).collect()
    }

    #[test]
    fn strings_lists_and_sets_are_read_back() {
        let strings = strings();
        for string in &strings {
            let expected = string.escape_ascii().to_string();
            round_trip(Kind::String, |saver| saver.string(Element::Bytes(string)), &[expected]);
        }
        let shown = shown(&strings);
        let mut entries = Builder::default();
        elements(&strings).for_each(|element| entries.push(element));
        let (count, listpack) = (entries.count(), entries.finish());
        let bytes = &listpack[6..listpack.len() - 1];
        let parts = [Part::Entries { bytes, count }, Part::Long(b"long")];
        let in_list = [&shown[..], &["long".to_owned()]].concat();
        let write = |saver: &mut Saver| {
            saver.begin_list(parts.len());
            parts.into_iter().for_each(|part| saver.list_part(part));
        };
        round_trip(Kind::List, write, &in_list);
        let len = strings.len();
        round_trip(Kind::Set, |saver| saver.set(len, elements(&strings)), &shown);
        round_trip(Kind::Set, |saver| saver.small_set(len, elements(&strings)), &shown);
        let integers = [5, -7, i64::MAX, 70_000];
        let sorted = ["-7", "5", "70000", "9223372036854775807"].map(str::to_owned);
        round_trip(Kind::Set, |saver| saver.integer_set(integers.into_iter()), &sorted);
    }

    #[test]
    fn hashes_are_read_back() {
        let strings = strings();
        let pairs = || elements(&strings).zip(elements(&strings).skip(1));
        let plain: Vec<String> = pairs()
            .map(|(field, value)| show(Item::HashField { field, value, deadline_ms: None }))
            .collect();
        let len = plain.len();
        round_trip(Kind::Hash, |saver| saver.hash(len, pairs()), &plain);
        round_trip(Kind::Hash, |saver| saver.small_hash(pairs()), &plain);
        let timed = || {
            let times = [Some(1_000_000), None, Some(1 << 47)].into_iter().cycle();
            pairs().zip(times).map(|((field, value), time)| (field, value, time))
        };
        let expected: Vec<String> = timed()
            .map(|(field, value, deadline_ms)| show(Item::HashField { field, value, deadline_ms }))
            .collect();
        let write = |saver: &mut Saver| saver.hash_with_deadlines(len, 1_000_000, timed());
        round_trip(Kind::Hash, write, &expected);
        assert_eq!(saver(Target::Redis70, true, write).1, 12);
        assert_eq!(saver(Target::Valkey9, true, write).1, 80);
    }

    #[test]
    fn sorted_sets_are_read_back() {
        let scores =
            [f64::NEG_INFINITY, -1e300, -2.5, -0.0, 0.0, 0.1, 3.0, 1e15, 1e20, f64::INFINITY];
        let names: Vec<Vec<u8>> = (0..scores.len()).map(|n| vec![b'a' + n as u8; n]).collect();
        let members = || elements(&names).zip(scores);
        let expected: Vec<String> =
            members().map(|(member, score)| show(Item::ZsetMember { member, score })).collect();
        round_trip(Kind::Zset, |saver| saver.zset(scores.len(), members()), &expected);
        round_trip(Kind::Zset, |saver| saver.small_zset(members()), &expected);
    }

    #[test]
    fn payloads_open() {
        let mut saver = Saver::new(Target::Redis72, true);
        saver.string(Element::Integer(7));
        assert_eq!(open(&saver.into_payload()), Some((Dialect::Redis, &b"\x00\xc0\x07"[..])));
    }
}
