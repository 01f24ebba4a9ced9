//! The record of the command that runs.
//!
//! Invariant: a command that runs others (a script, a transaction) has no record of its own, so one
//! place for the words that a command wants logged is enough.

use super::{Log, Readers, encode};

/// What is logged of a command that has changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// Its own words.
    Words,
    /// Another command.
    Instead,
    /// Nothing, or what it has logged itself.
    Nothing,
}

/// A command that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// How many changes there had been.
    dirty: u64,
    /// What was to be logged of the command around it.
    outer: Own,
}

impl Log {
    /// A command begins; what this returns goes to [`Self::end_command`].
    pub(crate) fn begin_command(&mut self, dirty: u64) -> Frame {
        Frame { dirty, outer: core::mem::replace(&mut self.own, Own::Words) }
    }

    /// A command in a database has ended: its record, if it has changed something.
    pub(crate) fn end_command<'a, I>(&mut self, frame: Frame, dirty: u64, db: usize, words: I)
    where
        I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
    {
        let own = core::mem::replace(&mut self.own, frame.outer);
        let readers = self.may_get.and(self.readers);
        if dirty == frame.dirty || own == Own::Nothing || readers == Readers::NONE {
            return;
        }
        match own {
            Own::Words => encode::command(&mut self.unit.bytes, words),
            _ => self.unit.bytes.extend_from_slice(&self.instead),
        }
        self.end_record(db, readers, false);
    }

    /// This is logged of the command that runs, in place of its words.
    pub(crate) fn log_instead<'a, I>(&mut self, words: I)
    where
        I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
    {
        self.own = Own::Instead;
        self.instead.clear();
        encode::command(&mut self.instead, words);
    }

    /// Nothing is logged of the command that runs.
    pub(crate) fn log_nothing(&mut self) {
        self.own = Own::Nothing;
    }
}
