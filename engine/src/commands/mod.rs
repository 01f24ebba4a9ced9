//! All commands: one file per family, each with its rows and the functions that they name.

mod arguments;
mod compare;
mod counter;
mod cx;
pub(crate) mod dispatch;
mod expire;
mod generic;
mod lcs;
mod many;
mod scan;
pub mod spec;
mod string;
mod substring;
pub mod table;
mod window;

pub use cx::Cx;
use spec::Command;

/// The families, in the order of COMMAND.
const FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    compare::COMMANDS,
    counter::COMMANDS,
    window::COMMANDS,
    substring::COMMANDS,
    many::COMMANDS,
    lcs::COMMANDS,
    generic::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
];
