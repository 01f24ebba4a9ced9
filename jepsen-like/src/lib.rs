//! Black-box runs: a real server process, real sockets, real faults.
//!
//! The workloads, histories and checkers are those of the simulator; only the server, the network
//! and the clocks are real. Any server that speaks RESP and takes Redis's arguments can be the
//! target.
//!
//! Invariant: whatever ends a run, a panic and ctrl-C included, no server process outlives it.

mod children;
pub mod cli;
mod nemesis;
mod process;
mod report;
mod run;
mod target;

pub use nemesis::FAULTS;
pub use report::{Status, Summary};
pub use run::{Options, Stop, run};
pub use target::{Kind, Target};
