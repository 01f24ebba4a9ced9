//! All commands: one file per family, each with its rows and the functions that they name.

mod arguments;
mod client;
mod client_kill;
mod client_list;
mod client_pause;
mod compare;
mod connection;
mod counter;
mod cx;
pub(crate) mod dispatch;
mod expire;
pub mod generate;
mod generic;
mod hello;
mod help;
mod lcs;
mod many;
mod scan;
pub mod spec;
mod string;
mod substring;
pub mod syntax;
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
    connection::COMMANDS,
    hello::COMMANDS,
    client::COMMANDS,
    client_list::COMMANDS,
    client_kill::COMMANDS,
    client_pause::COMMANDS,
];
