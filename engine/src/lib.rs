//! Orrery's engine: the whole behaviour of a Redis-compatible server as one deterministic state
//! machine that does no I/O, reads no clock and owns no thread.
//!
//! A driver owns sockets and clocks. It tells the engine what happened ([`Input`]), with the time
//! ([`Now`]), and carries out what the engine asks for ([`Effect`]):
//!
//! ```
//! use bytes::BytesMut;
//! use orrery_engine::{Config, ConnId, Effects, Engine, Input, Now, Origin, Seed};
//!
//! let mut engine = Engine::new(Config::default(), Seed(1), Now::default());
//! let mut fx = Effects::new();
//! let conn = ConnId(1);
//! let origin = Origin::Unix { path: "/tmp/s".into() };
//! engine.step(Now::default(), Input::Opened { conn, origin }, &mut fx);
//! let mut bytes = BytesMut::from(&b"SET k v\r\nGET k\r\n"[..]);
//! engine.step(Now::default(), Input::Received { conn, bytes: &mut bytes }, &mut fx);
//! let mut out = Vec::new();
//! engine.take_output(conn, &mut out);
//! assert_eq!(out, b"+OK\r\n$1\r\nv\r\n");
//! ```
//!
//! Architecture invariant: the same inputs give the same outputs, byte for byte, on every machine.

pub mod acl;
pub mod args;
pub mod block;
pub mod commands;
pub mod config;
mod digest;
pub mod disk;
pub mod effects;
mod engine;
pub mod error;
mod evict;
pub mod input;
pub mod keyspace;
pub mod log;
pub mod names;
mod notify;
pub mod observe;
pub mod persistence;
pub mod planted;
pub mod pubsub;
mod rates;
pub mod record;
pub mod resp;
pub mod script;
pub mod session;
pub mod snapshot;
pub mod state;
pub mod stopwatch;
pub mod tracking;
pub mod value;
pub mod watch;

pub use commands::acl_gate::check_user_declaration;
pub use commands::names::check_renamed_commands;
pub use config::Config;
pub use digest::Digest;
pub use disk::{DiskAnswer, DiskError, DiskErrorKind, DiskOp, DiskOrder, DiskResult, FileId};
pub use disk::{Lane, Ticket};
pub use effects::{Effect, Effects, LogLevel};
pub use engine::{Engine, Timer};
pub use input::{ConnId, Facts, Handshakes, Input, Origin, Outcome, Vitals};
pub use orrery_base::{rng, time};
pub use orrery_lock_machine as lock;
pub use rng::Seed;
pub use stopwatch::Stopwatch;
pub use time::{Instant, Micros, Now, UnixMicros, UnixMillis};
