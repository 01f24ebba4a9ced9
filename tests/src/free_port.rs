//! Ports for servers that must be told theirs.
//!
//! Invariant: nobody listened there a moment ago; whoever starts a server sees whether it got it.

use std::net::TcpListener;

/// A port that was free a moment ago.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    socket.local_addr().expect("it is bound").port()
}
