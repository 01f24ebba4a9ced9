//! The append-only file as Redis 7 keeps it: a manifest that says which files there are, and files
//! of commands, of which the first may be an RDB file or begin as one.
//!
//! Nothing here opens a file: [`Manifest`] is text and decisions, [`AofReader`] takes bytes piece
//! by piece. What stands in the files is written by `crate::log`.
//!
//! Invariants: any bytes give commands or [`Broken`], never a panic; a manifest that is written
//! here, Redis 7 takes for its own.

mod manifest;
mod names;
mod read;
mod record;
mod strtol;

pub use manifest::{Exhausted, LogFile, Manifest, Role, WrongManifest};
pub use names::{
    BaseFormat, base_name, increment_name, manifest_name, temporary_increment_name, temporary_name,
};
pub use read::{AofReader, Broken, Damage, InvalidTimestamp, Receive, timestamp_of};
pub use record::Limits;
