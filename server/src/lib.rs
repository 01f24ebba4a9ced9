//! Orrery as a production RESP server: drives one engine with sockets and clocks.
//!
//! [`serve`] runs a server until it is told to stop. It is generic over a [`Platform`], which owns
//! everything that touches the world: `OsPlatform` is the real one, a simulator brings its own. The
//! choice is a type, not a Cargo feature, because features unify across a build.
//!
//! Invariant: all tasks of a server run on one thread (beside it one listens for signals); nobody
//! holds the node across an `await`.

mod accept;
pub mod check_aof;
pub mod check_rdb;
mod clock;
pub mod config_file;
mod connection;
pub mod directives;
mod disk;
mod insist;
mod log;
mod mailbox;
mod metrics;
mod node;
mod oom_score;
pub mod open_files;
mod os;
pub mod platform;
mod record_files;
pub mod recorder;
mod serve;
mod settings;
mod tls;
mod users_file;

pub use disk::NoDisk;
pub use log::{Log, LogFormat};
pub use os::OsPlatform;
pub use platform::{Endpoint, Platform};
pub use serve::{Launch, Refusal, Server, serve};
pub use settings::{RecordSettings, Service, Settings};

/// The version that the server reports.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
