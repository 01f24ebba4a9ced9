//! TLS for clients: what the parameters ask for, certificates, handshakes, and the stream that the
//! rest of the server reads and writes.
//!
//! Invariants: outside this folder nobody knows TLS but by [`Wire`] and [`Tls`]; a change of the
//! parameters is in force as a whole or not at all; connections keep what they began with.

mod ciphers;
mod context;
mod handshake;
mod identity;
mod sessions;
mod stream;

pub(crate) use context::{TlsContext, TlsSettings, load, shapes_context};
pub(crate) use handshake::{Tls, begin};
pub(crate) use stream::Wire;
