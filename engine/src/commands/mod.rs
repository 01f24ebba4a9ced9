//! All commands: one file per family, each with its rows and the functions that they name.

mod arguments;
pub mod categories;
mod client;
mod client_kill;
mod client_list;
mod client_pause;
mod command;
mod command_docs;
mod compare;
mod config;
mod connection;
mod counter;
mod cx;
mod databases;
mod debug;
mod debug_digest;
mod debug_protocol;
pub(crate) mod dispatch;
mod dump;
mod expire;
pub mod generate;
mod generic;
mod hello;
mod help;
pub mod info;
mod info_memory;
pub mod keys;
mod lcs;
mod lolwut;
mod many;
mod memory;
mod object;
mod process;
mod scan;
pub mod schema;
pub mod spec;
mod stream;
mod stream_add;
mod stream_claim;
mod stream_group;
mod stream_info;
mod stream_pending;
mod stream_read;
mod stream_words;
mod string;
mod substring;
pub mod syntax;
pub mod table;
mod wait;
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
    stream::COMMANDS,
    stream_add::COMMANDS,
    stream_read::COMMANDS,
    stream_group::COMMANDS,
    stream_pending::COMMANDS,
    stream_claim::COMMANDS,
    stream_info::COMMANDS,
    generic::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    dump::COMMANDS,
    wait::COMMANDS,
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
    command::COMMANDS,
    command_docs::COMMANDS,
];
