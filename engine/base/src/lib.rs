//! What Orrery's state machines share and nothing else: the engine builds on it, and so do clients
//! that are to know nothing of the engine.
//!
//! Invariant: no clock, no entropy, no I/O; everything is handed in.

pub mod encode;
pub mod rng;
pub mod time;
