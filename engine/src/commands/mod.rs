//! All commands: one file per family, each with its rows and the functions that they name.

mod cx;
pub(crate) mod dispatch;
pub mod spec;
mod string;
pub mod table;

pub use cx::Cx;
use spec::Command;

/// The families, in the order of COMMAND.
const FAMILIES: &[&[Command]] = &[string::COMMANDS];
