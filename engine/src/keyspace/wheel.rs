//! Deadlines in order: a hierarchical timing wheel whose lists run through the entries themselves.
//!
//! Eight levels of 64 buckets; a bucket of level l covers 64^l milliseconds. An entry hangs in the
//! bucket of the highest six-bit digit in which its deadline differs from the wheel's time, and
//! moves down as that time comes. Setting, changing and clearing a TTL is O(1), needs no memory
//! beyond the ten bytes of links in the entry, and leaves nothing stale behind.
//!
//! Invariant: every entry with a TTL is in exactly one bucket; no deadline in the buckets, except
//! in `OVERDUE`, is before the wheel's time. Source: Varghese and Lauck, "Hashed and hierarchical
//! timing wheels" (1987).

use super::arena::{Arena, Handle};
use super::entry::{self, NO_LINK};

const LEVELS: usize = 8;
const DIGIT_BITS: u32 = 6;
const BUCKETS: usize = 1 << DIGIT_BITS;
/// Deadlines beyond the last level wait in its last reachable bucket and are then filed again.
const HORIZON_MS: u64 = (1 << (DIGIT_BITS * LEVELS as u32)) - 1;
/// The bucket of entries that were already overdue when they were filed.
const OVERDUE: usize = LEVELS * BUCKETS;
/// A "previous" link with this bit names a bucket: the entry is its first.
const HEAD_MARK: u64 = 1 << Handle::BITS;

/// The wheel of one database.
pub(crate) struct Wheel {
    /// The wheel's time in milliseconds: every deadline before it has been dealt with.
    time_ms: u64,
    /// The first entry of each bucket.
    heads: Box<[[u8; 5]]>,
    /// Which buckets of a level hold something.
    occupied: [u64; LEVELS],
    len: usize,
}

/// What the wheel has to say about one entry that it was asked to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// This entry's deadline has passed; it is still in the wheel.
    Due(Handle),
    /// Some entry was moved to a nearer bucket: work was done, nothing is due.
    Moved,
    /// Nothing is due.
    Idle,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { time_ms: 0, heads: Box::default(), occupied: [0; LEVELS], len: 0 }
    }
}

impl Wheel {
    /// How many entries have a TTL.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Brings an empty wheel up to `now_ms`.
    #[inline]
    pub(crate) fn sync(&mut self, now_ms: u64) {
        if self.len == 0 {
            self.time_ms = self.time_ms.max(now_ms);
        }
    }

    /// Files an entry that has a TTL and is in no bucket.
    pub(crate) fn add(&mut self, arena: &mut Arena, handle: Handle) {
        if self.heads.is_empty() {
            self.heads = vec![NO_LINK; LEVELS * BUCKETS + 1].into_boxed_slice();
        }
        self.len += 1;
        let bucket = self.bucket_of(deadline(arena, handle));
        self.link(arena, handle, bucket);
    }

    /// Takes an entry out of its bucket, before its deadline is changed or it is freed.
    pub(crate) fn remove(&mut self, arena: &mut Arena, handle: Handle) {
        self.len -= 1;
        let (previous, next) = entry::links(arena.bytes(handle));
        if next != NO_LINK {
            entry::set_previous(arena.bytes_mut(Handle::from_bytes(next)), previous);
        }
        match head_of(previous) {
            None => entry::set_next(arena.bytes_mut(Handle::from_bytes(previous)), next),
            Some(bucket) => {
                self.heads[bucket] = next;
                if next == NO_LINK && bucket != OVERDUE {
                    self.occupied[bucket / BUCKETS] &= !(1 << (bucket % BUCKETS));
                }
            }
        }
    }

    /// One bounded piece of work: names an entry that is due at `now_ms`, or moves one nearer.
    pub(crate) fn turn(&mut self, arena: &mut Arena, now_ms: u64) -> Turn {
        if self.len == 0 {
            self.sync(now_ms);
            return Turn::Idle;
        }
        if self.heads[OVERDUE] != NO_LINK {
            let handle = Handle::from_bytes(self.heads[OVERDUE]);
            if deadline(arena, handle) <= now_ms {
                return Turn::Due(handle);
            }
        }
        let Some((bucket, start_ms)) = self.next_bucket() else {
            self.time_ms = self.time_ms.max(now_ms);
            return Turn::Idle;
        };
        if start_ms > now_ms {
            self.time_ms = self.time_ms.max(now_ms);
            return Turn::Idle;
        }
        self.time_ms = self.time_ms.max(start_ms);
        let handle = Handle::from_bytes(self.heads[bucket]);
        if bucket < BUCKETS && deadline(arena, handle) <= now_ms {
            return Turn::Due(handle);
        }
        self.remove(arena, handle);
        self.add(arena, handle);
        Turn::Moved
    }

    /// When `turn` has something to do next, in milliseconds of key time; it may be in the past.
    pub(crate) fn next_ms(&self, arena: &Arena) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let overdue = (self.heads[OVERDUE] != NO_LINK)
            .then(|| deadline(arena, Handle::from_bytes(self.heads[OVERDUE])));
        let coming = self.next_bucket().map(|(_, start_ms)| start_ms);
        match (overdue, coming) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The first bucket that holds something, in order of time, and when it starts.
    fn next_bucket(&self) -> Option<(usize, u64)> {
        // A bucket above level 0 whose time has begun is being emptied into nearer ones: it comes
        // first, or time would leave behind what is still in it.
        for level in 1..LEVELS {
            let digit = self.digit(level);
            if self.occupied[level] >> digit & 1 == 1 {
                return Some((level * BUCKETS + digit, self.start_of(level, digit)));
            }
        }
        for (level, &occupied) in self.occupied.iter().enumerate() {
            // Buckets before the present one are of the next round: none of them can be filled.
            let ahead = occupied >> self.digit(level) << self.digit(level);
            if ahead != 0 {
                let digit = ahead.trailing_zeros() as usize;
                return Some((level * BUCKETS + digit, self.start_of(level, digit)));
            }
        }
        None
    }

    /// The first entries of any bucket, which `pick` chooses, at most `max`. None only if the wheel
    /// is empty.
    pub(crate) fn any(&self, arena: &Arena, pick: u64, max: usize) -> Vec<Handle> {
        if self.len == 0 {
            return Vec::new();
        }
        let filled: u32 = self.occupied.iter().map(|occupied| occupied.count_ones()).sum();
        let Some(mut left) = (pick as u32).checked_rem(filled) else {
            return self.list(arena, OVERDUE, max);
        };
        for (level, &occupied) in self.occupied.iter().enumerate() {
            for digit in (0..BUCKETS).filter(|digit| occupied >> digit & 1 == 1) {
                if left == 0 {
                    return self.list(arena, level * BUCKETS + digit, max);
                }
                left -= 1;
            }
        }
        unreachable!("the pick is below the number of filled buckets")
    }

    fn list(&self, arena: &Arena, bucket: usize, max: usize) -> Vec<Handle> {
        let mut found = Vec::new();
        let mut link = self.heads[bucket];
        while link != NO_LINK && found.len() < max {
            let handle = Handle::from_bytes(link);
            found.push(handle);
            (_, link) = entry::links(arena.bytes(handle));
        }
        found
    }

    /// The present digit of a level.
    fn digit(&self, level: usize) -> usize {
        (self.time_ms >> (DIGIT_BITS * level as u32)) as usize % BUCKETS
    }

    /// When a bucket of the present round of a level starts.
    fn start_of(&self, level: usize, digit: usize) -> u64 {
        let shift = DIGIT_BITS * level as u32;
        (self.time_ms >> shift >> DIGIT_BITS << DIGIT_BITS | digit as u64) << shift
    }

    fn bucket_of(&self, deadline_ms: u64) -> usize {
        if deadline_ms < self.time_ms {
            return OVERDUE;
        }
        let deadline_ms = deadline_ms.min(self.time_ms | HORIZON_MS);
        let differing = (deadline_ms ^ self.time_ms) | 1;
        let level = (63 - differing.leading_zeros()) / DIGIT_BITS;
        let digit = (deadline_ms >> (DIGIT_BITS * level)) as usize % BUCKETS;
        level as usize * BUCKETS + digit
    }

    fn link(&mut self, arena: &mut Arena, handle: Handle, bucket: usize) {
        let next = self.heads[bucket];
        if next != NO_LINK {
            let next = Handle::from_bytes(next);
            entry::set_previous(arena.bytes_mut(next), handle.to_bytes());
        }
        let slot = arena.bytes_mut(handle);
        entry::set_previous(slot, head_link(bucket));
        entry::set_next(slot, next);
        self.heads[bucket] = handle.to_bytes();
        if bucket != OVERDUE {
            self.occupied[bucket / BUCKETS] |= 1 << (bucket % BUCKETS);
        }
    }

    /// Checks that the lists are whole and every entry hangs where it must; returns their number.
    pub(crate) fn check_invariants(&self, arena: &Arena) -> usize {
        let mut len = 0;
        for (bucket, &head) in self.heads.iter().enumerate() {
            if bucket != OVERDUE {
                let occupied = self.occupied[bucket / BUCKETS] >> (bucket % BUCKETS) & 1 == 1;
                assert_eq!(occupied, head != NO_LINK, "the map of buckets is right");
            }
            let (mut expected, mut link) = (head_link(bucket), head);
            while link != NO_LINK {
                let handle = Handle::from_bytes(link);
                let (previous, next) = entry::links(arena.bytes(handle));
                assert_eq!(previous, expected, "the links of a list agree");
                let due = deadline(arena, handle);
                assert!(bucket == OVERDUE || due >= self.time_ms, "a deadline was passed over");
                expected = link;
                link = next;
                len += 1;
            }
        }
        assert_eq!(len, self.len, "the wheel knows its length");
        len
    }
}

fn deadline(arena: &Arena, handle: Handle) -> u64 {
    entry::deadline_ms(arena.bytes(handle)).expect("only entries with a TTL are in the wheel")
}

fn head_link(bucket: usize) -> [u8; 5] {
    let [a, b, c, d, e, ..] = (HEAD_MARK | bucket as u64).to_le_bytes();
    [a, b, c, d, e]
}

fn head_of([a, b, c, d, e]: [u8; 5]) -> Option<usize> {
    let link = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
    (link & HEAD_MARK != 0).then_some((link & !HEAD_MARK) as usize)
}
