//! The lab of locks: lock servers, clients of locks, a network between them, and what the holders
//! work on.
//!
//! The clients are those of [`orrery_engine::lock`], the servers real engines or ideal ones. It is
//! much smaller than the world of `orrery-sim run`: a message is one command or one reply, and
//! whoever tells the story decides what goes wrong.
//!
//! Invariant: a lab is a function of its seed and of what is done to it.

mod lab;
mod server;
mod store;

pub use lab::{CALM, Lab, Network, Servers, Told, Work};
pub use server::{IdealServer, LockServer};
pub use store::{Access, Change, Fences};
