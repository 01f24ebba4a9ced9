//! The bytes of one entry: header, TTL block only when there is a TTL, key, value.
//!
//! ```text
//! 0      flags: bits 0-1 kind (0 inline string, 1 integer, 2 object, 3 packed collection), 2 TTL,
//!               3 raw, 4 long key, 5 wide deadline, 6-7 the high bits of the inline length
//! 1..4   last access (LRU clock or LFU), little endian
//! 4      key length if below 256 (else 0 and four bytes of length stand before the key)
//! 5      the low bits of the inline length
//! [6]    deadline in ms: 6 bytes (8 if wide), previous link 5 bytes, next link 5 bytes
//! [4]    key length, if the key is long
//! ...    key
//! ...    inline string, 8 bytes of integer, 4 bytes of object index, or the number of a type and
//!        the packed bytes of a collection
//! ```
//! Invariant: everything needed to find the parts is in the first six bytes.

use super::arena::SHARED_SLOT_BYTES_MAX;

const HEADER_BYTES: usize = 6;
const LINKS_BYTES: usize = 10;
const KIND: u8 = 0b11;
const HAS_TTL: u8 = 1 << 2;
const RAW: u8 = 1 << 3;
const LONG_KEY: u8 = 1 << 4;
const WIDE: u8 = 1 << 5;
/// Deadlines below this fit six bytes.
const NARROW_DEADLINE_MAX: u64 = (1 << 48) - 1;
/// An inline string's length has ten bits.
pub(super) const INLINE_BYTES_MAX: usize = (1 << 10) - 1;
/// "No entry" or "no link" among five-byte links.
pub(crate) const NO_LINK: [u8; 5] = [0xff; 5];

/// What an entry's value is, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored<'a> {
    /// The string itself.
    Inline(&'a [u8]),
    /// A string that is an integer.
    Integer(i64),
    /// The value is in the object table at this index.
    Object(u32),
    /// The number of a collection's type, and its packed bytes.
    Packed(u8, &'a [u8]),
}

impl Stored<'_> {
    fn len(&self) -> usize {
        match self {
            Stored::Inline(bytes) => bytes.len(),
            Stored::Integer(_) => 8,
            Stored::Object(_) => 4,
            Stored::Packed(_, bytes) => 1 + bytes.len(),
        }
    }
}

/// The parts of an entry that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Stored<'a>,
    pub(crate) deadline_ms: Option<u64>,
    /// The string was made by a modification (APPEND, SETRANGE): its encoding's name is `raw`.
    pub(crate) raw: bool,
    pub(crate) access: u32,
}

impl Parts<'_> {
    /// How many bytes the entry takes.
    pub(crate) fn len(&self) -> usize {
        HEADER_BYTES + ttl_bytes(self.deadline_ms) + key_bytes(self.key.len()) + self.value.len()
    }

    /// Writes the entry to the front of `slot`; its links are empty.
    pub(crate) fn write(&self, slot: &mut [u8]) {
        let (kind, inline_len) = match self.value {
            Stored::Inline(bytes) => (0, bytes.len()),
            Stored::Integer(_) => (1, 0),
            Stored::Object(_) => (2, 0),
            Stored::Packed(_, bytes) => (3, 1 + bytes.len()),
        };
        assert!(inline_len <= INLINE_BYTES_MAX, "too long to be inline");
        let long_key = self.key.len() > usize::from(u8::MAX);
        let mut flags = kind | (inline_len >> 8 << 6) as u8;
        flags |= if self.raw { RAW } else { 0 };
        flags |= if long_key { LONG_KEY } else { 0 };
        let mut at = HEADER_BYTES;
        if let Some(deadline) = self.deadline_ms {
            flags |= HAS_TTL;
            let wide = deadline > NARROW_DEADLINE_MAX;
            let len = if wide { 8 } else { 6 };
            flags |= if wide { WIDE } else { 0 };
            slot[at..at + len].copy_from_slice(&deadline.to_le_bytes()[..len]);
            slot[at + len..at + len + LINKS_BYTES].fill(0xff);
            at += len + LINKS_BYTES;
        }
        slot[0] = flags;
        slot[1..4].copy_from_slice(&self.access.to_le_bytes()[..3]);
        slot[4] = if long_key { 0 } else { self.key.len() as u8 };
        slot[5] = inline_len as u8;
        if long_key {
            slot[at..at + 4].copy_from_slice(&(self.key.len() as u32).to_le_bytes());
            at += 4;
        }
        slot[at..at + self.key.len()].copy_from_slice(self.key);
        at += self.key.len();
        match self.value {
            Stored::Inline(bytes) => slot[at..at + bytes.len()].copy_from_slice(bytes),
            Stored::Integer(value) => slot[at..at + 8].copy_from_slice(&value.to_le_bytes()),
            Stored::Object(index) => slot[at..at + 4].copy_from_slice(&index.to_le_bytes()),
            Stored::Packed(kind, bytes) => {
                slot[at] = kind;
                slot[at + 1..=at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

/// Whether a string of `value_len` bytes is stored inside its entry.
pub(crate) fn fits_inline(key_len: usize, value_len: usize, has_ttl: bool) -> bool {
    let head = HEADER_BYTES + key_bytes(key_len) + if has_ttl { 8 + LINKS_BYTES } else { 0 };
    // Beside a key that is too long for a shared page, short values are still inline.
    value_len <= 64 || head + value_len <= SHARED_SLOT_BYTES_MAX && value_len <= INLINE_BYTES_MAX
}

/// How many bytes the entry in `slot` takes.
pub(crate) fn len(slot: &[u8]) -> usize {
    let (start, key_len) = key_place(slot);
    start + key_len + value(slot).len()
}

/// The entry's key.
#[inline]
pub(crate) fn key(slot: &[u8]) -> &[u8] {
    let (start, len) = key_place(slot);
    &slot[start..start + len]
}

/// The entry's value.
#[inline]
pub(crate) fn value(slot: &[u8]) -> Stored<'_> {
    let (start, len) = key_place(slot);
    let rest = &slot[start + len..];
    match slot[0] & KIND {
        0 => Stored::Inline(&rest[..inline_len(slot)]),
        1 => Stored::Integer(i64::from_le_bytes(first(rest))),
        2 => Stored::Object(u32::from_le_bytes(first(rest))),
        _ => Stored::Packed(rest[0], &rest[1..inline_len(slot)]),
    }
}

fn inline_len(slot: &[u8]) -> usize {
    usize::from(slot[5]) | usize::from(slot[0] >> 6) << 8
}

/// Overwrites the packed bytes of an entry that has some, with the number of the type before them;
/// the slot must have room.
pub(crate) fn set_packed(slot: &mut [u8], bytes: &[u8]) {
    let (start, len) = key_place(slot);
    let at = start + len + 1;
    slot[at..at + bytes.len()].copy_from_slice(bytes);
    let inline_len = 1 + bytes.len();
    slot[0] = slot[0] & 0b0011_1111 | (inline_len >> 8 << 6) as u8;
    slot[5] = inline_len as u8;
}

/// Overwrites the integer of an integer entry.
pub(crate) fn set_integer(slot: &mut [u8], value: i64) {
    let (start, len) = key_place(slot);
    slot[start + len..start + len + 8].copy_from_slice(&value.to_le_bytes());
}

/// Overwrites an inline string by one of the same length, and says how it was made.
pub(crate) fn set_inline(slot: &mut [u8], bytes: &[u8], raw: bool) {
    let (start, len) = key_place(slot);
    slot[start + len..start + len + bytes.len()].copy_from_slice(bytes);
    slot[0] = if raw { slot[0] | RAW } else { slot[0] & !RAW };
}

/// Whether the string was made by a modification.
pub(crate) fn is_raw(slot: &[u8]) -> bool {
    slot[0] & RAW != 0
}

/// The entry's deadline in milliseconds of key time.
#[inline]
pub(crate) fn deadline_ms(slot: &[u8]) -> Option<u64> {
    if slot[0] & HAS_TTL == 0 {
        return None;
    }
    let wide = u64::from_le_bytes(first(&slot[HEADER_BYTES..]));
    Some(if slot[0] & WIDE == 0 { wide & NARROW_DEADLINE_MAX } else { wide })
}

/// Overwrites the deadline in place; false if it needs an entry of another size.
pub(crate) fn set_deadline(slot: &mut [u8], deadline_ms: u64) -> bool {
    let wide = deadline_ms > NARROW_DEADLINE_MAX;
    if slot[0] & HAS_TTL == 0 || wide != (slot[0] & WIDE != 0) {
        return false;
    }
    let len = if wide { 8 } else { 6 };
    slot[HEADER_BYTES..HEADER_BYTES + len].copy_from_slice(&deadline_ms.to_le_bytes()[..len]);
    true
}

/// The 24 bits of last access.
pub(crate) fn access(slot: &[u8]) -> u32 {
    u32::from_le_bytes([slot[1], slot[2], slot[3], 0])
}

/// Sets the 24 bits of last access.
#[inline]
pub(crate) fn set_access(slot: &mut [u8], access: u32) {
    slot[1..4].copy_from_slice(&access.to_le_bytes()[..3]);
}

/// The links of an entry with a TTL: (previous, next).
pub(crate) fn links(slot: &[u8]) -> ([u8; 5], [u8; 5]) {
    let at = links_place(slot);
    (first(&slot[at..]), first(&slot[at + 5..]))
}

/// Sets the link to the previous entry.
pub(crate) fn set_previous(slot: &mut [u8], link: [u8; 5]) {
    let at = links_place(slot);
    slot[at..at + 5].copy_from_slice(&link);
}

/// Sets the link to the next entry.
pub(crate) fn set_next(slot: &mut [u8], link: [u8; 5]) {
    let at = links_place(slot) + 5;
    slot[at..at + 5].copy_from_slice(&link);
}

fn links_place(slot: &[u8]) -> usize {
    assert!(slot[0] & HAS_TTL != 0, "only an entry with a TTL has links");
    HEADER_BYTES + if slot[0] & WIDE == 0 { 6 } else { 8 }
}

#[inline]
fn key_place(slot: &[u8]) -> (usize, usize) {
    let flags = slot[0];
    let mut start = HEADER_BYTES;
    if flags & HAS_TTL != 0 {
        start += LINKS_BYTES + if flags & WIDE == 0 { 6 } else { 8 };
    }
    if flags & LONG_KEY == 0 {
        return (start, usize::from(slot[4]));
    }
    (start + 4, u32::from_le_bytes(first(&slot[start..])) as usize)
}

fn ttl_bytes(deadline_ms: Option<u64>) -> usize {
    match deadline_ms {
        None => 0,
        Some(deadline) if deadline > NARROW_DEADLINE_MAX => 8 + LINKS_BYTES,
        Some(_) => 6 + LINKS_BYTES,
    }
}

fn key_bytes(len: usize) -> usize {
    if len > usize::from(u8::MAX) { len + 4 } else { len }
}

#[inline]
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
