//! The task of one listening socket.

use std::rc::Rc;

use orrery_engine::{LogLevel, Micros, Origin};
use tokio::task::{JoinHandle, spawn_local};

use crate::connection::Connection;
use crate::node::NodeRef;
use crate::platform::Platform;
use crate::tls::{self, Wire};

/// How long to wait when the machine has no room for another connection.
const RETRY_AFTER: Micros = Micros::from_millis(100);

/// Accepts connections until it is aborted. Those over TLS first have a handshake to make.
pub(crate) fn spawn<P: Platform>(
    node: &NodeRef<P>,
    listener: P::Listener,
    over_tls: bool,
) -> JoinHandle<()> {
    spawn_local(run(Rc::clone(node), listener, over_tls))
}

async fn run<P: Platform>(node: NodeRef<P>, listener: P::Listener, over_tls: bool) {
    let platform = Rc::clone(&node.borrow().platform);
    loop {
        match platform.accept(&listener).await {
            Ok((stream, origin)) => {
                let keepalive = node.borrow().keepalive;
                if let Some(interval) = keepalive {
                    platform.keep_alive(&stream, interval);
                }
                if over_tls {
                    tls::begin(&node, stream, origin);
                } else {
                    admit(&node, Wire::Plain(stream), origin).await;
                }
            }
            Err(error) => {
                node.borrow().log(
                    LogLevel::Warning,
                    &format!("Accepting client connection: accept: {error}"),
                );
                platform.sleep_until(platform.mono() + RETRY_AFTER).await;
            }
        }
    }
}

/// Lets a client in that is ready to speak.
pub(crate) async fn admit<P: Platform>(node: &NodeRef<P>, stream: Wire<P::Stream>, origin: Origin) {
    wait_for_stall(node).await;
    if node.borrow().stopping {
        return;
    }
    let mailbox = node.borrow_mut().open(origin);
    spawn_local(Connection::new(Rc::clone(node), mailbox, stream).run());
}

async fn wait_for_stall<P: Platform>(node: &NodeRef<P>) {
    loop {
        let Some(until) = node.borrow().stalled_until() else { return };
        let platform = Rc::clone(&node.borrow().platform);
        platform.sleep_until(until).await;
        tokio::task::yield_now().await;
    }
}
