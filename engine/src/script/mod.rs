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
mod function_flags;
mod general;
mod interpreter;
mod known;
mod library;
mod memory;
mod nest;
mod pace;
mod pattern;
mod promises;
mod random;
mod register;
#[cfg(test)]
mod round_trips;
mod running;
mod sha;
mod shelf;
mod stage;
mod strings;
mod structs;
mod work;

pub(crate) use convert::InnerErrors;
pub(crate) use fiber::{Ask, Problem, Run, Tell};
pub(crate) use function_flags::FunctionFlags;
pub use known::Scripts;
pub(crate) use known::{Brought, ScriptId};
pub use library::Libraries;
pub(crate) use library::Policy;
pub(crate) use pace::Pace;
pub(crate) use promises::Promises;
pub use running::Running;
pub(crate) use running::{Called, Program};
pub(crate) use sha::Sha;
pub(crate) use shelf::{Library, Registered};
pub(crate) use stage::Stage;
