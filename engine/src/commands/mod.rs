//! All commands: one file per family, each with its rows and the functions that they name.

mod acl;
mod acl_file;
pub mod acl_gate;
mod acl_log;
mod arguments;
mod bitmap;
mod bitmap_combine;
mod bitmap_field;
mod carried;
pub mod categories;
mod client;
mod client_filter;
mod client_kill;
mod client_list;
mod client_pause;
mod client_tracking;
mod cluster;
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
mod debug_reload;
pub(crate) mod dispatch;
mod dump;
mod effects;
pub(crate) mod eval;
mod expire;
mod fcall;
mod fence;
mod function;
pub mod generate;
mod generic;
mod geo;
mod geo_search;
mod hash;
mod hash_counter;
mod hash_expire;
mod hash_extended;
mod hash_walk;
mod hello;
mod help;
mod hotkeys;
mod hotkeys_count;
mod hyperloglog;
pub mod info;
mod info_memory;
mod info_persistence;
pub mod keys;
mod latency;
mod latency_doctor;
mod lcs;
mod list;
mod list_move;
mod list_pop;
mod lolwut;
mod many;
mod measure;
mod memory;
mod memory_gate;
mod monitor;
mod monitor_line;
pub mod names;
mod object;
mod persistence;
pub(crate) mod planted;
mod process;
mod pubsub;
mod pubsub_info;
mod raw_string;
mod redact;
mod replication;
mod scan;
mod scan_collection;
pub mod schema;
mod script;
mod set;
mod set_algebra;
mod set_random;
mod slowlog;
mod sort;
mod sort_order;
mod sort_pattern;
pub mod spec;
mod stream;
mod stream_add;
mod stream_budget;
mod stream_claim;
mod stream_effects;
mod stream_group;
mod stream_info;
mod stream_pending;
mod stream_read;
mod stream_words;
mod string;
mod substring;
pub mod syntax;
pub mod table;
pub(crate) mod transaction;
mod wait;
mod window;
mod zset;
mod zset_block;
mod zset_bounds;
mod zset_combine;
mod zset_pop;
mod zset_range;
mod zset_rank;
mod zset_walk;

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
    list::COMMANDS,
    list_pop::COMMANDS,
    list_move::COMMANDS,
    set::COMMANDS,
    set_algebra::COMMANDS,
    set_random::COMMANDS,
    hash::COMMANDS,
    hash_counter::COMMANDS,
    hash_walk::COMMANDS,
    hash_expire::COMMANDS,
    hash_extended::COMMANDS,
    zset::COMMANDS,
    zset_rank::COMMANDS,
    zset_range::COMMANDS,
    zset_pop::COMMANDS,
    zset_block::COMMANDS,
    zset_combine::COMMANDS,
    zset_walk::COMMANDS,
    bitmap::COMMANDS,
    bitmap_combine::COMMANDS,
    bitmap_field::COMMANDS,
    hyperloglog::COMMANDS,
    geo::COMMANDS,
    geo_search::COMMANDS,
    pubsub::COMMANDS,
    pubsub_info::COMMANDS,
    generic::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    sort::COMMANDS,
    dump::COMMANDS,
    wait::COMMANDS,
    transaction::COMMANDS,
    fence::COMMANDS,
    eval::COMMANDS,
    fcall::COMMANDS,
    function::COMMANDS,
    script::COMMANDS,
    connection::COMMANDS,
    hello::COMMANDS,
    client::COMMANDS,
    client_list::COMMANDS,
    client_kill::COMMANDS,
    client_pause::COMMANDS,
    client_tracking::COMMANDS,
    cluster::COMMANDS,
    config::COMMANDS,
    acl::COMMANDS,
    acl_file::COMMANDS,
    acl_log::COMMANDS,
    databases::COMMANDS,
    debug::COMMANDS,
    hotkeys::COMMANDS,
    info::COMMANDS,
    latency::COMMANDS,
    lolwut::COMMANDS,
    memory::COMMANDS,
    monitor::COMMANDS,
    object::COMMANDS,
    persistence::COMMANDS,
    process::COMMANDS,
    replication::COMMANDS,
    slowlog::COMMANDS,
    command::COMMANDS,
    command_docs::COMMANDS,
];
