//! The lab of locks: lock servers, clients of locks, a network between them, and what the holders
//! work on.
//!
//! The clients are those of [`orrery_engine::lock`], the servers real engines or ideal ones. It is
//! much smaller than the world of `orrery-sim run`: a message is one command or one reply, and
//! whoever tells the story decides what goes wrong.
//!
//! Invariant: a lab is a function of its seed and of what is done to it.

mod algorithm;
pub mod atlas;
pub mod exhaustive;
mod explicit;
mod happen;
mod judge;
mod kinds;
mod lab;
mod page;
mod queue;
mod server;
mod shrink;
mod spelling;
mod store;
mod story;
mod swarm;
mod telling;
mod trace;
mod work;
pub mod zoo;

pub use algorithm::{ALGORITHMS, Algorithm, algorithm};
pub use happen::{Outcome, happen};
pub use judge::{Figures, Invariant, Violation};
pub use kinds::{Scenario, scenario};
pub use lab::{CALM, Lab, Network, Servers};
pub use page::page;
pub use queue::{QUEUES, Queue, queue};
pub use server::{IdealServer, LockServer};
pub use shrink::{RUNS_MAX, Shrunk, shrink};
pub use spelling::{Misspelled, letter, read};
pub use store::{Access, Change, Fences};
pub use story::{CLIENTS_MAX, STEPS_MAX, Step, Story, UNTIL_US_MAX, What, Who};
pub use swarm::{Found, Swarm, Totals, draw, swarm};
pub use telling::{Line, tell};
pub use trace::{Happening, Spoken, Told, Trace, Work};
