//! The simulated world of Orrery and its checkers.

pub mod chance;
pub mod check;
pub mod cli;
pub mod disk;
mod errands;
pub mod fault;
pub mod history;
pub mod journal;
pub mod judge;
pub mod locks;
pub mod model;
pub mod plan;
pub mod replay;
pub mod report;
pub mod setup;
pub mod sockets;
pub mod swarm;
pub mod trial;
pub mod turmoil;
pub mod workload;
pub mod world;
