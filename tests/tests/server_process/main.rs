//! The `orrery-server` program as users meet it: a process, its log, its exit code, its sockets.

mod life;
mod process;
mod settings;
mod traffic;
mod users;
