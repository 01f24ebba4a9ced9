//! The commands that a client has queued since MULTI, for EXEC to run.
//!
//! Invariant: the queue holds whole commands in the order in which they came; a transaction that
//! will be refused keeps none.

use super::{Session, UserId};
use crate::args::{Args, Span};

/// A transaction that has begun.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The words of all commands, one behind the other.
    bytes: Vec<u8>,
    spans: Vec<Span>,
    commands: Vec<Queued>,
    /// The flags of all commands together, as the table of commands spells them.
    flags: u32,
    is_refused: bool,
}

/// What is left of a transaction whose script takes more than a step.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) transaction: Box<Transaction>,
    /// The number of the command that comes next.
    pub(crate) next: usize,
    /// The number of EXEC's row in the table.
    pub(crate) exec: usize,
    /// The reply so far: it leaves as a whole.
    pub(crate) reply: Vec<u8>,
    /// Its client's database and user, for the case that the client goes: all of it is run anyway.
    pub(crate) db: usize,
    pub(crate) user: UserId,
    pub(crate) authenticated: bool,
}

impl Rest {
    /// The commands from number `next` on, of a client that has got as far as `reply`.
    pub(crate) fn new(
        transaction: Box<Transaction>,
        next: usize,
        exec: usize,
        session: &Session,
        reply: Vec<u8>,
    ) -> Self {
        let Session { db, user, authenticated, .. } = *session;
        Self { transaction, next, exec, reply, db, user, authenticated }
    }
}

/// One command: its row in the table, and where its words end in `spans`.
#[derive(Clone, Copy, Debug)]
struct Queued {
    row: usize,
    end: usize,
}

impl Transaction {
    /// Adds a command, whose row is number `row` of the table; `flags` are those that it has with
    /// these words. One that will be refused anyway takes no memory, as in Redis.
    pub(crate) fn push<'a>(
        &mut self,
        row: usize,
        flags: u32,
        words: impl Iterator<Item = &'a [u8]>,
    ) {
        if self.is_refused {
            return;
        }
        self.flags |= flags;
        for word in words {
            self.spans.push(Span { start: self.bytes.len(), len: word.len() });
            self.bytes.extend_from_slice(word);
        }
        self.commands.push(Queued { row, end: self.spans.len() });
    }

    /// The rows and words of the commands, in order.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (usize, Args<'_>)> {
        let mut start = 0;
        self.commands.iter().map(move |queued| {
            let spans = &self.spans[start..queued.end];
            start = queued.end;
            (queued.row, Args::new(&self.bytes, spans))
        })
    }

    /// The flags that commands were added with, together.
    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// A command could not be queued: EXEC will refuse the whole. What was queued still says why
    /// EXEC itself may be refused.
    pub(crate) fn refuse(&mut self) {
        *self = Self { is_refused: true, flags: self.flags, ..Self::default() };
    }

    /// Whether a command could not be queued.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Heap bytes that it owns, itself included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + self.spans.capacity() * size_of::<Span>()
            + self.commands.capacity() * size_of::<Queued>()
    }
}
