//! What the engine asks to be done with files, and what it is told of it.
//!
//! The engine never touches a file: it gives orders, and a driver or a simulated disk carries them
//! out later and answers each with one [`crate::Input::Disk`].
//!
//! Invariants of whoever carries orders out: the orders of one lane are carried out one after the
//! other, in the order in which they were given, and so are the operations of one order; the first
//! operation that fails ends its order; every order is answered exactly once, within its lane in
//! order. Nothing is promised about two lanes.
//!
//! Paths are relative to the server's folder (`dir`), with `/` between their parts; the empty path
//! is that folder.

/// Names one order. Counts up from 1 over the life of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a file that is open for appending. Given by the engine, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// What does not wait for what: a file belongs to the lane that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// What clients wait for: the append-only file and its manifest.
    Log,
    /// Syncs of the append-only file that clients do not wait for: the file is open here once more.
    Sync,
    /// What takes long: snapshots, and reading when the server starts.
    Bulk,
}

/// Operations that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOrder {
    /// Its name.
    pub ticket: Ticket,
    /// Whom it waits for.
    pub lane: Lane,
    /// What to do, in this order, until one fails. Only the last may be a [`DiskOp::Read`].
    pub ops: Vec<DiskOp>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Makes an empty file, or empties the one that is there, and opens it for appending.
    Create {
        /// Its name from now on.
        file: FileId,
        /// Where.
        path: String,
    },
    /// Opens a file that is there for appending.
    Open {
        /// Its name from now on.
        file: FileId,
        /// Where.
        path: String,
    },
    /// Writes behind what the file has. The bytes are not safe before [`DiskOp::Sync`].
    Append {
        /// To which file.
        file: FileId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Cuts a file to this length.
    Truncate {
        /// Which file.
        file: FileId,
        /// Bytes that stay.
        len: u64,
    },
    /// Makes the contents and the length of a file safe from a loss of power. A file whose sync has
    /// failed may have lost what was written since the one before: a later sync proves nothing.
    Sync {
        /// Which file.
        file: FileId,
    },
    /// Makes what there is of a file safe, and sees to it that what is read afterwards is what the
    /// disk has, not what the operating system remembers: of a file whose sync has failed, in this
    /// process or in one before it, it may remember what was never written.
    Settle {
        /// Which.
        path: String,
    },
    /// Forgets a file; what was not synced is as unsafe as before.
    Close {
        /// Which file.
        file: FileId,
    },
    /// Gives a file another path, in place of what was there. Which of the two a loss of power
    /// leaves is open before [`DiskOp::SyncFolder`] of that folder.
    Rename {
        /// Its path.
        from: String,
        /// The path that it gets, in the same folder.
        to: String,
    },
    /// Removes a file. That there is none is no failure.
    Remove {
        /// Which.
        path: String,
    },
    /// Makes a folder. That it is there is no failure.
    MakeFolder {
        /// Where.
        path: String,
    },
    /// Makes the names in a folder safe from a loss of power.
    SyncFolder {
        /// Which; empty: the server's own.
        path: String,
    },
    /// Reads a part of a file; less than `len` bytes only at its end.
    Read {
        /// Which.
        path: String,
        /// Where to begin.
        offset: u64,
        /// Bytes at most.
        len: usize,
    },
}

/// What became of an order whose operations have all been carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskAnswer {
    /// What the read at its end has read; empty where there was none.
    pub bytes: Vec<u8>,
    /// How long that file is altogether.
    pub file_len: u64,
}

/// Why an order was not carried out to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// Which operation failed, counted from 0. Those before it are done, those behind it are not.
    pub at: usize,
    /// What kind of failure it is.
    pub kind: DiskErrorKind,
    /// The operating system's words.
    pub text: String,
}

/// The kinds of failures that make a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskErrorKind {
    /// There is no such file or folder.
    NotFound,
    /// The disk is full.
    NoSpace,
    /// Anything else.
    Other,
}

/// What a driver says about an order.
pub type DiskResult = Result<DiskAnswer, DiskError>;
