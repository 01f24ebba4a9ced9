//! Tests that cross crates live in `tests/tests`; here is what they share.

pub mod free_port;
pub mod memory_disk;
pub mod model;
pub mod program;
pub mod real_check_aof;
pub mod real_redis;
pub mod resp_value;
pub mod scene;
pub mod server_in_process;
pub mod transcript;
