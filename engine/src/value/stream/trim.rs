//! Cutting entries off the front of a stream.
//!
//! Whole blocks go where they can; an approximate trim takes nothing else. Blocks are cut where
//! Redis cuts them.

use super::id::StreamId;
use super::log::Log;
use super::sorted::Position;

/// What is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The first entries, until so many are left.
    MaxLen(u64),
    /// The entries before this id.
    MinId(StreamId),
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is cut off.
    pub cut: Cut,
    /// `~`: only whole blocks.
    pub approximate: bool,
    /// No more entries than this; 0: as many as it takes.
    pub limit: u64,
    /// What becomes of references to the entries.
    pub references: References,
}

/// What deleting an entry means for the groups in which it is pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// `KEEPREF`: it stays pending.
    #[default]
    Keep,
    /// `DELREF`: it is no longer pending.
    Drop,
    /// `ACKED`: it is not deleted before every group has read and acknowledged it.
    Acked,
}

/// The groups, as far as a trim is concerned.
pub(super) trait Referrers {
    /// Whether a group has not read and acknowledged an entry.
    fn refers_to(&self, id: StreamId) -> bool;

    /// An entry is no longer pending anywhere.
    fn forget(&mut self, id: StreamId);
}

impl Log {
    /// Trims; returns how many entries went, and the last of those that did not go with a whole
    /// block: where it depends on references which of them do, no other goes.
    pub(super) fn trim(&mut self, trim: Trim, referrers: &mut impl Referrers) -> (u64, StreamId) {
        let before = self.len();
        // The id of the last entry that was taken out of a block which stays.
        let mut last_deleted = StreamId::MIN;
        let mut next = self.blocks.start();
        while let Some(position) = next {
            if matches!(trim.cut, Cut::MaxLen(max) if self.len() <= max) {
                break;
            }
            let live = u64::from(self.blocks.at(position).live);
            if trim.limit != 0 && before - self.len() + live > trim.limit {
                break;
            }
            let goes = self.goes_whole(position, trim.cut);
            if goes && trim.references == References::Keep {
                self.remove_block(position);
                next = self.blocks.start();
                continue;
            }
            if !goes && trim.approximate {
                break;
            }
            let key = self.blocks.at(position).first;
            last_deleted = last_deleted.max(self.trim_block(position, trim, referrers));
            if goes && self.blocks.at(position).live == 0 {
                self.remove_block(position);
            }
            if !goes {
                // What is left to cut off, if anything, was in this block.
                break;
            }
            next = key.next().and_then(|key| self.blocks.ceiling(key));
        }
        if self.len() < before {
            self.settle(StreamId::MIN, last_deleted);
        }
        (before - self.len(), last_deleted)
    }

    /// Whether all of a block is to be cut off.
    fn goes_whole(&self, position: Position, cut: Cut) -> bool {
        let block = self.blocks.at(position);
        match cut {
            Cut::MaxLen(max) => self.len() - u64::from(block.live) >= max,
            Cut::MinId(min) => {
                let next = self.blocks.after(position).map(|next| self.blocks.at(next).first);
                // Deleted entries count, as in Redis.
                next.is_some_and(|next| next <= min)
                    || block.entries().last().is_some_and(|entry| entry.id < min)
            }
        }
    }

    /// Cuts entries out of one block; returns the id of the last of them.
    fn trim_block(
        &mut self,
        position: Position,
        trim: Trim,
        referrers: &mut impl Referrers,
    ) -> StreamId {
        let excess = match trim.cut {
            Cut::MaxLen(max) => usize::try_from(self.len() - max).unwrap_or(usize::MAX),
            Cut::MinId(_) => usize::MAX,
        };
        let victims: Vec<(StreamId, usize)> = self
            .blocks
            .at(position)
            .entries()
            .take_while(|entry| !matches!(trim.cut, Cut::MinId(min) if entry.id >= min))
            .filter(|entry| !entry.is_deleted())
            .filter(|entry| trim.references != References::Acked || !referrers.refers_to(entry.id))
            .take(excess)
            .map(|entry| (entry.id, entry.header_at))
            .collect();
        for &(id, header_at) in &victims {
            if trim.references == References::Drop {
                referrers.forget(id);
            }
            self.delete_in(position, header_at);
        }
        victims.last().map_or(StreamId::MIN, |&(id, _)| id)
    }
}
