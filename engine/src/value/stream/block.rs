//! Packed entries: the bytes of one block.
//!
//! A number of field names and the names, which are those of the first entry; then the entries,
//! each a header byte, what the id needs beyond it, its fields:
//!
//! ```text
//! bit 7     deleted
//! bit 6     own fields: their number follows the id, then names and values in turn;
//!           otherwise the values of the block's fields follow the id
//! bits 0-5  the id, from the one before it:
//!     0       the same milliseconds, the next sequence number
//!     1..59   so many milliseconds later, sequence number 0
//!     60      a number of milliseconds later (a number follows), sequence number 0
//!     61      the same milliseconds; by how much the sequence number rises follows
//!     62      a number of milliseconds later (follows); the sequence number follows
//! ```
//! The first entry counts from the block's own first id. Strings and numbers are those of
//! [`super::text`].
//!
//! Invariant: ids rise, and `live` of the `total` entries are not deleted.

use super::id::StreamId;
use super::sorted::Keyed;
use super::text::{
    Text, end_if_equal, listpack_integer_bytes, number_at, push_number, push_text, text_at,
    text_end,
};
use crate::value::shared::twin_bytes;

const DELETED: u8 = 0x80;
const OWN_FIELDS: u8 = 0x40;
const ID_BITS: u8 = 0x3f;
const NEXT_SEQ: u8 = 0;
const MS_MAX: u8 = 59;
const MS: u8 = 60;
const SEQ: u8 = 61;
const MS_AND_SEQ: u8 = 62;

/// Some entries.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The id of the first entry, which may be deleted.
    pub(super) first: StreamId,
    pub(super) bytes: Vec<u8>,
    /// Entries that are not deleted.
    pub(super) live: u32,
    /// All entries.
    pub(super) total: u32,
}

impl Keyed for Block {
    fn key(&self) -> StreamId {
        self.first
    }

    fn twin(&self) -> Self {
        Self { bytes: twin_bytes(&self.bytes), ..*self }
    }

    fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Fields as they arrive: name, value, name, value...
pub(super) trait FieldWords<'a>: Iterator<Item = &'a [u8]> + Clone {}

impl<'a, T: Iterator<Item = &'a [u8]> + Clone> FieldWords<'a> for T {}

impl Block {
    /// A block without entries; returns also how many bytes its field names would take in one of
    /// Redis's listpacks. `bytes` is an empty buffer.
    pub(super) fn new<'a>(
        first: StreamId,
        mut bytes: Vec<u8>,
        words: impl FieldWords<'a>,
    ) -> (Self, usize) {
        let names = words.step_by(2);
        let count = names.clone().count();
        push_number(&mut bytes, count as u64);
        let mut listpack = listpack_integer_bytes(count as i64);
        for name in names {
            listpack += push_text(&mut bytes, name);
        }
        (Self { first, bytes, live: 0, total: 0 }, listpack)
    }

    /// Appends an entry behind the one with the id `last`; returns how many bytes it would take in
    /// one of Redis's listpacks.
    pub(super) fn push<'a>(
        &mut self,
        last: StreamId,
        id: StreamId,
        words: impl FieldWords<'a>,
    ) -> usize {
        let own_fields = !self.has_fields(words.clone());
        self.push_id(last, id, if own_fields { OWN_FIELDS } else { 0 });
        let mut count = words.clone().count() / 2;
        let mut listpack = 0;
        if own_fields {
            push_number(&mut self.bytes, count as u64);
            listpack += listpack_integer_bytes(count as i64);
            for word in words {
                listpack += push_text(&mut self.bytes, word);
            }
            count = 2 * count + 1;
        } else {
            for value in words.skip(1).step_by(2) {
                listpack += push_text(&mut self.bytes, value);
            }
        }
        self.live += 1;
        self.total += 1;
        // Flags; both halves of the id, from the block's first; the number of elements.
        let ms = id.ms.wrapping_sub(self.first.ms) as i64;
        let seq = id.seq.wrapping_sub(self.first.seq) as i64;
        let head = 2 + listpack_integer_bytes(ms) + listpack_integer_bytes(seq);
        head + listpack + listpack_integer_bytes(count as i64 + 3)
    }

    fn push_id(&mut self, last: StreamId, id: StreamId, flags: u8) {
        let ms = id.ms - last.ms;
        match (ms, id.seq) {
            (0, seq) if last.seq.checked_add(1) == Some(seq) => self.bytes.push(flags | NEXT_SEQ),
            (0, seq) => {
                self.bytes.push(flags | SEQ);
                push_number(&mut self.bytes, seq - last.seq);
            }
            (ms, 0) if ms <= u64::from(MS_MAX) => self.bytes.push(flags | ms as u8),
            (ms, 0) => {
                self.bytes.push(flags | MS);
                push_number(&mut self.bytes, ms);
            }
            (ms, seq) => {
                self.bytes.push(flags | MS_AND_SEQ);
                push_number(&mut self.bytes, ms);
                push_number(&mut self.bytes, seq);
            }
        }
    }

    /// Whether an entry with these fields can do without their names.
    fn has_fields<'a>(&self, words: impl FieldWords<'a>) -> bool {
        let (count, mut at) = number_at(&self.bytes, 0);
        let mut left = count;
        for name in words.step_by(2) {
            if left == 0 {
                return false;
            }
            let Some(end) = end_if_equal(&self.bytes, at, name) else { return false };
            at = end;
            left -= 1;
        }
        left == 0
    }

    /// Its entries, deleted ones too.
    pub(super) fn entries(&self) -> Entries<'_> {
        let (fields, names_at) = number_at(&self.bytes, 0);
        let mut at = names_at;
        for _ in 0..fields {
            at = text_end(&self.bytes, at);
        }
        let fields = fields as usize;
        Entries { bytes: &self.bytes, at, last: self.first, fields, names_at, left: self.total }
    }

    /// The last entry, if one is not deleted.
    pub(super) fn last_live(&self) -> Option<StreamId> {
        self.entries().filter(|entry| !entry.is_deleted()).last().map(|entry| entry.id)
    }

    /// The first entry that is not deleted.
    pub(super) fn first_live(&self) -> Option<StreamId> {
        self.entries().find(|entry| !entry.is_deleted()).map(|entry| entry.id)
    }

    /// Marks the entry whose header is at `header_at` as deleted.
    pub(super) fn delete(&mut self, header_at: usize) {
        debug_assert_eq!(self.bytes[header_at] & DELETED, 0, "it is not deleted yet");
        self.bytes[header_at] |= DELETED;
        self.live -= 1;
    }

    /// Takes out the entries after `id`, which are deleted ones. The first one stays.
    pub(super) fn truncate(&mut self, id: StreamId) {
        let kept = self.entries().take_while(|entry| entry.id <= id).count().max(1);
        let next = self.entries().nth(kept).map(|entry| entry.header_at);
        if let Some(header_at) = next {
            self.bytes.truncate(header_at);
            self.total = kept as u32;
        }
    }

    /// Bytes that the block would have as one of Redis's listpacks, without its two counts, which
    /// change.
    pub(super) fn listpack_bytes(&self) -> usize {
        let mut entries = self.entries();
        let mut names = Vec::new();
        let mut at = entries.names_at;
        let mut bytes = listpack_integer_bytes(entries.fields as i64);
        for _ in 0..entries.fields {
            let (name, end) = text_at(entries.bytes, at);
            bytes += push_text(&mut names, name.as_bytes());
            at = end;
        }
        // The block again, entry by entry, into a buffer that is thrown away.
        let mut copy = Self { first: self.first, bytes: Vec::new(), live: 0, total: 0 };
        copy.bytes.extend_from_slice(&self.bytes[..entries.at]);
        let mut last = self.first;
        for entry in &mut entries {
            let fields: Vec<_> = entry.fields().collect();
            let words = fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
            bytes += copy.push(last, entry.id, words);
            last = entry.id;
        }
        bytes
    }
}

/// Walks over the entries of a block, deleted ones too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    last: StreamId,
    fields: usize,
    names_at: usize,
    left: u32,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        self.left = self.left.checked_sub(1)?;
        let bytes = self.bytes;
        let header_at = self.at;
        let header = bytes[header_at];
        let (id, mut at) = id_at(bytes, header_at, self.last);
        let mut entry = Entry {
            id,
            bytes,
            header_at,
            fields_at: at,
            names_at: self.names_at,
            len: self.fields,
            has_own_names: header & OWN_FIELDS != 0,
        };
        let mut texts = self.fields;
        if entry.has_own_names {
            let (len, end) = number_at(bytes, at);
            (entry.len, entry.fields_at, at) = (len as usize, end, end);
            texts = 2 * entry.len;
        }
        for _ in 0..texts {
            at = text_end(bytes, at);
        }
        (self.at, self.last) = (at, id);
        Some(entry)
    }
}

/// The id of the entry whose header is at `at`, behind the entry `last`; and where it ends.
#[inline]
fn id_at(bytes: &[u8], at: usize, last: StreamId) -> (StreamId, usize) {
    match bytes[at] & ID_BITS {
        NEXT_SEQ => (StreamId::new(last.ms, last.seq + 1), at + 1),
        MS => {
            let (ms, at) = number_at(bytes, at + 1);
            (StreamId::new(last.ms + ms, 0), at)
        }
        SEQ => {
            let (seq, at) = number_at(bytes, at + 1);
            (StreamId::new(last.ms, last.seq + seq), at)
        }
        MS_AND_SEQ => {
            let (ms, at) = number_at(bytes, at + 1);
            let (seq, at) = number_at(bytes, at);
            (StreamId::new(last.ms + ms, seq), at)
        }
        ms => (StreamId::new(last.ms + u64::from(ms), 0), at + 1),
    }
}

/// An entry of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    bytes: &'a [u8],
    pub(super) header_at: usize,
    fields_at: usize,
    names_at: usize,
    len: usize,
    has_own_names: bool,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    #[expect(clippy::len_without_is_empty, reason = "an entry has at least one field")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Names and values.
    pub fn fields(&self) -> Fields<'a> {
        Fields {
            bytes: self.bytes,
            names_at: self.names_at,
            values_at: self.fields_at,
            left: self.len,
            has_own_names: self.has_own_names,
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.bytes[self.header_at] & DELETED != 0
    }
}

/// Walks over the fields of an entry.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    names_at: usize,
    values_at: usize,
    left: usize,
    has_own_names: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Text<'a>, Text<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name;
        if self.has_own_names {
            (name, self.values_at) = text_at(self.bytes, self.values_at);
        } else {
            (name, self.names_at) = text_at(self.bytes, self.names_at);
        }
        let value;
        (value, self.values_at) = text_at(self.bytes, self.values_at);
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(fields: &'a [&'a str]) -> impl FieldWords<'a> {
        fields.iter().map(|word| word.as_bytes())
    }

    fn shown(block: &Block) -> Vec<String> {
        let entries = block.entries().map(|entry| {
            let mut text = entry.id.to_string();
            assert_eq!(entry.fields().count(), entry.len());
            for (name, value) in entry.fields() {
                for word in [name, value] {
                    text.push(' ');
                    text.push_str(core::str::from_utf8(word.as_bytes()).expect("text"));
                }
            }
            text + if entry.is_deleted() { " deleted" } else { "" }
        });
        entries.collect()
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let ids = [(5, 3), (5, 4), (5, 9), (6, 0), (65, 0), (125, 0), (1000, 0), (1000, 1)];
        let ids = ids.iter().chain(&[(2000, 7), (u64::MAX, 0), (u64::MAX, u64::MAX)]);
        let fields: [&[&str]; 4] = [
            &["sensor", "000042", "reading", "12.5"],
            &["sensor", "7", "reading", "-3"],
            &["sensor", "7"],
            &["other", "", "reading", "x", "third", "y"],
        ];
        let first = StreamId::new(5, 3);
        let (mut block, names) = Block::new(first, Vec::new(), words(fields[0]));
        let (mut last, mut listpack, mut expected) = (first, names, Vec::new());
        for (number, &(ms, seq)) in ids.enumerate() {
            let id = StreamId::new(ms, seq);
            let fields = fields[number % fields.len()];
            listpack += block.push(last, id, words(fields));
            last = id;
            expected.push(format!("{id} {}", fields.join(" ")));
        }
        assert_eq!(shown(&block), expected);
        assert_eq!(block.listpack_bytes(), listpack);
        let third = block.entries().nth(2).expect("there are more").header_at;
        block.delete(third);
        expected[2].push_str(" deleted");
        assert_eq!(shown(&block), expected);
        assert_eq!((block.live, block.total), (10, 11));
        assert_eq!(block.first_live(), Some(first));
        assert_eq!(block.last_live(), Some(StreamId::MAX));
    }

    #[test]
    fn an_entry_with_the_fields_of_the_block_stores_only_values() {
        let fields = ["sensor", "000042", "reading", "000000012345"];
        let first = StreamId::new(1_700_000_000_000, 0);
        let (mut block, _) = Block::new(first, Vec::new(), words(&fields));
        block.push(first, first, words(&fields));
        let before = block.bytes.len();
        block.push(first, StreamId::new(first.ms, 1), words(&fields));
        assert_eq!(block.bytes.len() - before, 1 + 2 + 3);
    }
}
