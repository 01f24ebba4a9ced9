//! What the server tells about the commands that it runs: MONITOR, logs of slow and large commands,
//! durations, events that took long, hot keys.

mod durations;
mod hot_keys;
mod latency;
mod logs;
mod monitor;

use orrery_engine::config::Access;
use orrery_engine::{Config, Seed};
use orrery_tests::server_in_process::Server;

/// A server that allows DEBUG.
fn server() -> Server {
    Server::new(Config { debug_command: Access::Yes, ..Config::default() }, Seed(1))
}
