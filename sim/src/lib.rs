//! The simulated world of Orrery and its checkers.
//! Tests that cross crates live in `tests/tests`.

pub mod check;
pub mod cli;
pub mod history;
pub mod model;
