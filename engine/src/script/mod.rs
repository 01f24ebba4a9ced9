//! Lua scripts: the interpreter on its fiber, and the scripts that are known.
//!
//! Invariant: the interpreter is taken out while a script runs, so no script runs inside another.

mod bits;
mod convert;
mod fiber;
mod interpreter;
mod known;
mod memory;
mod promises;
mod random;
mod running;
mod sha;
mod stage;

pub(crate) use fiber::{Ask, Problem, Run, Tell};
pub use known::Scripts;
pub(crate) use known::{Brought, ScriptId};
pub(crate) use promises::Promises;
pub use running::Running;
pub(crate) use sha::Sha;
