//! The `orrery-server` program as users meet it: a process, its log, its exit code, its sockets.

mod aof_files;
mod durability;
mod life;
mod log;
mod metrics;
mod process;
mod rdb_files;
mod settings;
mod traffic;
mod users;
