//! Lua scripts: the interpreter on its fiber, and the scripts that are known.
//!
//! Invariant: the interpreter is taken out while a script runs, so no script runs inside another.

mod arguments;
mod bits;
mod cjson;
mod cjson_decode;
mod cmsgpack;
mod convert;
mod fiber;
mod general;
mod interpreter;
mod known;
mod memory;
mod nest;
mod promises;
mod random;
mod running;
mod sha;
mod stage;
mod structs;
mod work;

pub(crate) use fiber::{Ask, Problem, Run, Tell};
pub use known::Scripts;
pub(crate) use known::{Brought, ScriptId};
pub(crate) use promises::Promises;
pub use running::Running;
pub(crate) use sha::Sha;
