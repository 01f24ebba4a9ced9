//! All commands: one file per family, each with its rows and the functions that they name.

pub mod categories;
mod client;
mod client_kill;
mod client_list;
mod client_pause;
mod command;
mod command_docs;
mod connection;
mod cx;
pub(crate) mod dispatch;
pub mod generate;
mod hello;
mod help;
pub mod keys;
pub mod spec;
mod string;
pub mod syntax;
pub mod table;

pub use cx::Cx;
use spec::Command;

/// The families, in the order of COMMAND.
const FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    connection::COMMANDS,
    hello::COMMANDS,
    client::COMMANDS,
    client_list::COMMANDS,
    client_kill::COMMANDS,
    client_pause::COMMANDS,
    command::COMMANDS,
    command_docs::COMMANDS,
];
