//! All commands: one file per family, each with its rows and the functions that they name.

mod client;
mod client_kill;
mod client_list;
mod client_pause;
mod config;
mod connection;
mod cx;
mod databases;
mod debug;
mod debug_digest;
mod debug_protocol;
pub(crate) mod dispatch;
mod hello;
mod help;
pub mod info;
mod info_memory;
mod lolwut;
mod memory;
mod object;
mod process;
pub mod spec;
mod string;
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
    config::COMMANDS,
    databases::COMMANDS,
    debug::COMMANDS,
    info::COMMANDS,
    lolwut::COMMANDS,
    memory::COMMANDS,
    object::COMMANDS,
    process::COMMANDS,
];
