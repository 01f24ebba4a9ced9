//! What the node has to say to the task of one connection.
//!
//! Invariant: a connection's own steps post without waking it; it looks before it waits.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use orrery_engine::ConnId;

/// A set of notes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(u8);

impl Notes {
    /// The engine has output.
    pub(crate) const OUTPUT: Self = Self(1);
    /// Commands are left in the input.
    pub(crate) const RESUME: Self = Self(2);
    /// Read no more until the next `RESUME`.
    pub(crate) const PAUSE: Self = Self(4);
    /// Write what is left, then close.
    pub(crate) const CLOSE: Self = Self(8);
    /// Close at once.
    pub(crate) const ABORT: Self = Self(16);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The notes for one connection, and how to wake its task.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) conn: ConnId,
    /// How much of its input the engine has seen and left.
    pub(crate) left: Cell<usize>,
    notes: Cell<Notes>,
    waker: RefCell<Option<Waker>>,
}

impl Mailbox {
    pub(crate) fn new(conn: ConnId) -> Self {
        Self { conn, left: Cell::new(0), notes: Cell::default(), waker: RefCell::default() }
    }

    /// Leaves a note. Of `PAUSE` and `RESUME` the later one counts.
    pub(crate) fn post(&self, note: Notes) {
        let overruled = match note {
            Notes::PAUSE => Notes::RESUME,
            Notes::RESUME => Notes::PAUSE,
            _ => Notes::default(),
        };
        self.notes.set(self.notes.get().without(overruled).and(note));
    }

    /// Wakes the task.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Takes all notes.
    pub(crate) fn take(&self) -> Notes {
        self.notes.take()
    }

    /// Remembers how to wake the task.
    pub(crate) fn enrol(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}
