//! The contents of one file: what processes read, what is safe, and what may become of the rest.
//!
//! A file is a row of sectors and a length. A write changes sectors and the length in the cache;
//! until they are made safe, the platter may hold any version of each sector since the last sync,
//! whatever it holds of the others, and any of the lengths, those in the middle of an append
//! included. Nothing is assumed about an order among them.
//!
//! Invariant: [`Inode::sync`] makes exactly the present contents safe, but for sectors that a
//! failed sync has thrown away: the cache may show them, and no later sync writes them.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::Choice;
use crate::chance::{Draw, roll, roll_bytes};

/// What a disk writes as a whole or not at all, in bytes.
pub const SECTOR_BYTES: usize = 512;

type Sector = [u8; SECTOR_BYTES];

/// What a block shows that nobody has cleared or written: bytes of a file that was removed.
const STALE: Sector = {
    let mut bytes = [0; SECTOR_BYTES];
    let mut at = 0;
    while at < SECTOR_BYTES {
        // Anything that is neither zeros nor text.
        bytes[at] = (at as u8).wrapping_mul(167) ^ 0xa5;
        at += 1;
    }
    bytes
};

/// The contents of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What processes see.
    cached: Vec<u8>,
    /// What is safe: whole sectors.
    platter: Vec<u8>,
    /// How long the file safely is.
    platter_len: usize,
    /// What was written to each sector since it was last made safe, oldest first.
    dirty: BTreeMap<usize, Vec<Sector>>,
    /// Lengths that it had since, as (before, after), oldest first.
    lens: Vec<(usize, usize)>,
}

/// The sector that holds this byte.
fn sector_of(byte: usize) -> usize {
    byte / SECTOR_BYTES
}

/// A sector of these bytes; beyond their end is nothing.
fn image(bytes: &[u8], sector: usize) -> Sector {
    let mut image = [0; SECTOR_BYTES];
    let from = (sector * SECTOR_BYTES).min(bytes.len());
    let part = &bytes[from..bytes.len().min(from + SECTOR_BYTES)];
    image[..part.len()].copy_from_slice(part);
    image
}

/// Writes a sector; what it does not reach is cleared.
fn put(bytes: &mut Vec<u8>, sector: usize, image: &Sector) {
    let from = sector * SECTOR_BYTES;
    if bytes.len() < from + SECTOR_BYTES {
        bytes.resize(from + SECTOR_BYTES, 0);
    }
    bytes[from..from + SECTOR_BYTES].copy_from_slice(image);
}

impl Inode {
    /// What processes read.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.cached
    }

    /// Whether something of it is not safe, as far as the kernel knows.
    #[cfg(test)]
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.lens.is_empty()
    }

    /// Bytes that a sync would write.
    pub(super) fn dirty_bytes(&self) -> u64 {
        (self.dirty.len() * SECTOR_BYTES) as u64
    }

    /// Sectors that are safe.
    pub(super) fn safe_sectors(&self) -> usize {
        self.platter_len.div_ceil(SECTOR_BYTES)
    }

    fn touch(&mut self, sectors: std::ops::Range<usize>) {
        for sector in sectors {
            let image = image(&self.cached, sector);
            self.dirty.entry(sector).or_default().push(image);
        }
    }

    /// Writes behind the end.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let before = self.cached.len();
        self.cached.extend_from_slice(bytes);
        let after = self.cached.len();
        self.touch(sector_of(before)..after.div_ceil(SECTOR_BYTES));
        self.lens.push((before, after));
    }

    /// Cuts it, or fills it with zeros, to this length.
    pub(super) fn truncate(&mut self, len: usize) {
        let before = self.cached.len();
        if before == len {
            return;
        }
        self.cached.resize(len, 0);
        // A cut in the middle of a sector clears the rest of it.
        self.touch(sector_of(before.min(len))..before.max(len).div_ceil(SECTOR_BYTES));
        self.lens.push((before, len));
    }

    /// Everything that is to be written is written and safe.
    pub(super) fn sync(&mut self) {
        for sector in core::mem::take(&mut self.dirty).into_keys() {
            put(&mut self.platter, sector, &image(&self.cached, sector));
        }
        if !core::mem::take(&mut self.lens).is_empty() {
            self.platter_len = self.cached.len();
        }
        self.clear_beyond_end();
    }

    /// A sync fails: of what was to be written, some is safe and the rest is thrown away. The
    /// kernel takes all of it for written. The cache goes on showing what is not there, or shows
    /// what is.
    pub(super) fn fail_sync(&mut self, choice: &mut dyn Choice) {
        for sector in core::mem::take(&mut self.dirty).into_keys() {
            if choice.choose(2) == 1 {
                put(&mut self.platter, sector, &image(&self.cached, sector));
            }
        }
        if !core::mem::take(&mut self.lens).is_empty() && choice.choose(2) == 1 {
            self.platter_len = self.cached.len();
        }
        self.clear_beyond_end();
        if choice.choose(2) == 0 {
            self.evict();
        }
    }

    /// The cache forgets what the kernel believes to be safe, and reads it again.
    pub(super) fn evict(&mut self) {
        let len = self.cached.len();
        for sector in 0..len.div_ceil(SECTOR_BYTES) {
            if !self.dirty.contains_key(&sector) {
                let (from, safe) = (sector * SECTOR_BYTES, image(&self.platter, sector));
                let to = len.min(from + SECTOR_BYTES);
                self.cached[from..to].copy_from_slice(&safe[..to - from]);
            }
        }
    }

    /// What is beyond the end of a file that is safe is nothing, whatever was written there.
    fn clear_beyond_end(&mut self) {
        self.platter.truncate(self.platter_len.next_multiple_of(SECTOR_BYTES));
        let len = self.platter_len.min(self.platter.len());
        self.platter[len..].fill(0);
    }

    /// The lengths that a loss of power can leave, the safe one first, the present one last.
    fn lens(&self) -> Vec<usize> {
        self.lens_since(&self.lens)
    }

    /// The same of only these changes.
    fn lens_since(&self, changes: &[(usize, usize)]) -> Vec<usize> {
        let mut all = BTreeSet::new();
        for &(before, after) in changes {
            let (least, most) = (before.min(after), before.max(after));
            all.insert(after);
            if after > before {
                let first = least.next_multiple_of(SECTOR_BYTES);
                all.extend((first..most).step_by(SECTOR_BYTES));
                all.insert(before);
            }
        }
        let last = self.cached.len();
        all.remove(&self.platter_len);
        all.remove(&last);
        let mut lens = vec![self.platter_len];
        lens.extend(all);
        // The present length is last even if it is that of the beginning.
        if !changes.is_empty() && (last != self.platter_len || lens.len() > 1) {
            lens.push(last);
        }
        lens
    }

    /// The same on a file system that keeps things in order: the first is what is safe, of the
    /// others each goes with all that was written up to it.
    fn ordered_lens(&self) -> Vec<usize> {
        let is_cut = |&(before, after): &(usize, usize)| after < before;
        let Some(cut) = self.lens.iter().rposition(is_cut) else { return self.lens() };
        let mut lens = self.lens_since(&self.lens[cut + 1..]);
        if !lens[1..].contains(&self.lens[cut].1) {
            lens.insert(1, self.lens[cut].1);
        }
        lens
    }

    /// How many versions of a sector there are, the one on the platter included.
    fn options(&self, versions: &[Sector], sector: usize, shows_stale: bool) -> u64 {
        versions.len() as u64 + 1 + u64::from(self.can_be_stale(sector, shows_stale))
    }

    fn can_be_stale(&self, sector: usize, shows_stale: bool) -> bool {
        shows_stale && sector * SECTOR_BYTES >= self.platter.len()
    }

    /// In how many ways a loss of power can leave it.
    pub(super) fn count(&self, (is_ordered, shows_stale): (bool, bool)) -> u128 {
        if is_ordered {
            return self.ordered_lens().len() as u128;
        }
        let ways = |len: &usize| {
            let within = self.dirty.range(..len.div_ceil(SECTOR_BYTES));
            within.fold(1_u128, |ways, (&sector, versions)| {
                ways.saturating_mul(self.options(versions, sector, shows_stale).into())
            })
        };
        self.lens().iter().map(ways).fold(0, u128::saturating_add)
    }

    /// The machine has lost power and is back. A file is cut somewhere, and all that is left of it
    /// is
    /// as it was written.
    pub(super) fn lose_power_in_order(&mut self, choice: &mut dyn Choice) {
        let lens = self.ordered_lens();
        let place = choice.choose(lens.len() as u64) as usize;
        if place == 0 {
            self.dirty.clear();
        }
        let len = lens[place];
        for sector in core::mem::take(&mut self.dirty).into_keys() {
            if sector * SECTOR_BYTES < len {
                put(&mut self.platter, sector, &image(&self.cached, sector));
            }
        }
        self.come_back(len);
    }

    /// The machine has lost power and is back. Nothing was kept in order.
    pub(super) fn lose_power(&mut self, choice: &mut dyn Choice, shows_stale: bool) {
        let lens = self.lens();
        let len = lens[choice.choose(lens.len() as u64) as usize];
        for (sector, versions) in core::mem::take(&mut self.dirty) {
            if sector * SECTOR_BYTES >= len {
                continue;
            }
            let options = self.options(&versions, sector, shows_stale);
            let stale = self.can_be_stale(sector, shows_stale);
            match (choice.choose(options), stale) {
                (0, false) => {}
                (0, true) => put(&mut self.platter, sector, &STALE),
                (1, true) => put(&mut self.platter, sector, &[0; SECTOR_BYTES]),
                (at, stale) => {
                    let version = &versions[at as usize - 1 - usize::from(stale)];
                    put(&mut self.platter, sector, version);
                }
            }
        }
        self.come_back(len);
    }

    /// What is on the platter, up to this length, is what there is.
    fn come_back(&mut self, len: usize) {
        self.lens.clear();
        self.platter_len = len;
        self.platter.resize(len.next_multiple_of(SECTOR_BYTES), 0);
        self.platter[len..].fill(0);
        self.cached = self.platter[..len].to_vec();
    }

    /// Bits of a safe sector turn over; false: it has no byte that could.
    pub(super) fn rot(&mut self, sector: usize, draw: &mut Draw) -> bool {
        let from = sector * SECTOR_BYTES;
        let to = self.platter_len.min(self.platter.len()).min(from + SECTOR_BYTES);
        if from >= to {
            return false;
        }
        let at = from + draw.below((to - from) as u64) as usize;
        self.platter[at] ^= 1 << draw.below(8);
        true
    }

    /// What a write of one of its dirty sectors carries, and the kernel takes that one for written.
    pub(super) fn steal(&mut self, choose: impl FnOnce(u64) -> u64) -> Option<Sector> {
        let place = choose(self.dirty.len() as u64) as usize;
        let sector = *self.dirty.keys().nth(place)?;
        self.dirty.remove(&sector);
        Some(image(&self.cached, sector))
    }

    /// A write that was meant for somewhere else ends here.
    pub(super) fn suffer(&mut self, sector: usize, image: &Sector) {
        if sector < self.safe_sectors() {
            put(&mut self.platter, sector, image);
        }
    }

    /// Hashes what processes read and what is safe.
    pub(super) fn digest(&self, hash: u64) -> u64 {
        let hash = roll_bytes(hash, &self.cached);
        roll(roll_bytes(hash, &self.platter), self.platter_len as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::choice::{Newest, Odometer, Oldest};
    use super::*;

    fn left(inode: &Inode) -> BTreeSet<Vec<u8>> {
        let mut odometer = Odometer::default();
        let mut all = BTreeSet::new();
        let mut cases = 0;
        loop {
            let mut copy = inode.clone();
            copy.lose_power(&mut odometer, false);
            all.insert(copy.cached);
            cases += 1;
            if !odometer.advance() {
                break;
            }
        }
        assert_eq!(cases, inode.count((false, false)), "what is counted is what there is");
        all
    }

    #[test]
    fn a_small_append_is_there_is_not_or_is_zeros() {
        let mut inode = Inode::default();
        inode.append(b"ab");
        let expected: [&[u8]; 3] = [b"", b"\0\0", b"ab"];
        assert_eq!(left(&inode), expected.map(<[u8]>::to_vec).into());
        inode.sync();
        assert_eq!(left(&inode), [b"ab".to_vec()].into());
        inode.append(b"cd");
        let expected: [&[u8]; 3] = [b"ab", b"ab\0\0", b"abcd"];
        assert_eq!(left(&inode), expected.map(<[u8]>::to_vec).into());
    }

    #[test]
    fn a_long_append_is_torn_at_any_sector_and_any_sector_may_be_missing() {
        let mut inode = Inode::default();
        inode.append(&[b'x'; 1300]);
        let all = left(&inode);
        let lens: BTreeSet<usize> = all.iter().map(Vec::len).collect();
        assert_eq!(lens, [0, 512, 1024, 1300].into());
        let hole = [vec![b'x'; 512], vec![0; 512], vec![b'x'; 276]].concat();
        assert!(all.contains(&hole), "a hole in the middle");
        assert_eq!(all.len(), 1 + 2 + 4 + 8);
    }

    #[test]
    fn a_cut_that_is_not_safe_may_not_have_been() {
        let mut inode = Inode::default();
        inode.append(&[b'a'; 600]);
        inode.sync();
        inode.truncate(10);
        inode.append(b"b");
        let all = left(&inode);
        assert!(all.contains(&vec![b'a'; 600]));
        assert!(all.contains(&vec![b'a'; 10]));
        assert!(all.contains(&[&[b'a'; 10][..], b"b"].concat()));
        assert!(all.iter().all(|bytes| bytes.len() == 600 || bytes.len() <= 11));
        inode.sync();
        assert_eq!(left(&inode).len(), 1);
        inode.truncate(20);
        let padded = [&[b'a'; 10][..], b"b", &[0; 9]].concat();
        assert!(left(&inode).contains(&padded), "what was cut does not come back");
    }

    #[test]
    fn what_a_failed_sync_threw_away_no_later_sync_brings_back() {
        let mut shown = Inode::default();
        shown.append(&[b'a'; 512]);
        shown.sync();
        shown.append(&[b'b'; 512]);
        // The cache goes on showing it: the last of the choices.
        struct LoseAndShow(u32);
        impl Choice for LoseAndShow {
            fn choose(&mut self, options: u64) -> u64 {
                self.0 += 1;
                if self.0 == 3 { options - 1 } else { 0 }
            }
        }
        let mut evicted = shown.clone();
        shown.fail_sync(&mut LoseAndShow(0));
        assert_eq!(shown.bytes(), [[b'a'; 512], [b'b'; 512]].concat());
        assert!(!shown.is_dirty());
        shown.sync();
        shown.lose_power(&mut Newest, false);
        assert_eq!(shown.bytes(), [b'a'; 512]);
        evicted.fail_sync(&mut Oldest);
        assert_eq!(evicted.bytes(), [[b'a'; 512], [0; 512]].concat());
        // What comes behind is safe, and shows the hole.
        evicted.append(b"c");
        evicted.sync();
        evicted.lose_power(&mut Oldest, false);
        assert_eq!(evicted.bytes(), [&[b'a'; 512][..], &[0; 512], b"c"].concat());
    }

    #[test]
    fn a_file_system_that_keeps_order_only_cuts() {
        let mut inode = Inode::default();
        inode.append(&[b'a'; 600]);
        inode.sync();
        inode.append(&[b'b'; 1_000]);
        inode.truncate(700);
        inode.append(&[b'c'; 500]);
        let whole = [[b'a'; 600].as_slice(), &[b'b'; 100], &[b'c'; 500]].concat();
        let mut odometer = Odometer::default();
        let mut all = BTreeSet::new();
        loop {
            let mut copy = inode.clone();
            copy.lose_power_in_order(&mut odometer);
            all.insert(copy.cached);
            if !odometer.advance() {
                break;
            }
        }
        assert!(all.iter().all(|bytes| whole.starts_with(bytes)));
        let lens: Vec<usize> = all.iter().map(Vec::len).collect();
        assert_eq!(lens, [600, 700, 1_024, 1_200]);
        assert_eq!(inode.count((true, false)), 4);
    }

    #[test]
    fn blocks_that_nobody_cleared_show_what_was_there_before() {
        let mut inode = Inode::default();
        inode.append(b"abc");
        let mut odometer = Odometer::default();
        let mut stale = 0;
        loop {
            let mut copy = inode.clone();
            copy.lose_power(&mut odometer, true);
            stale += u32::from(copy.bytes() == &STALE[..3]);
            if !odometer.advance() {
                break;
            }
        }
        assert_eq!(stale, 1);
        assert_eq!(inode.count((false, true)), 4);
    }
}
