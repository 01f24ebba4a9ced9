//! Values of keys in the form that DUMP payloads and snapshots have, and back.
//!
//! Invariant: what `save` writes, `load` reads as the same value, and so do the servers that
//! the target names.

pub(crate) mod file;
mod inspect;
mod inspect_log;
mod load;
mod save;
mod stream;
#[cfg(test)]
mod tests;

pub use inspect::{Inspector, Note, Tally};
pub use inspect_log::LogInspector;
pub(crate) use load::{Loaded, Setting, load, load_front};
pub(crate) use save::save;
